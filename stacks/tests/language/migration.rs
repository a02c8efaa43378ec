//! Old trees brought over, and names found in a tree.

use vigo_stacks::migrate::migrate;
use vigo_stacks::search::{Sought, search};
use vigo_stacks::{SourceTree, compile};

use crate::{said, tree};

const OLD: &str = "\
=== configcrates/web.vgo
name: web
provides: [time-sync]
resources:
  - {name: x, type: exec, command: \"true\"}
=== roles/web.vgo
# what web servers have
name: web-server
configcrates:
  - web
=== roles/more.vgo
roles:
  - name: db-server
    configcrates: [web]
=== vars/site.vgo
# of the site
port: 80
names:
  - a
=== envoys/acme/hosts.vgo
envoys:
  - {match: \"web*\", roles: [web-server]}
=== compliance.vgo
compliance:
  cis-ubuntu: [\"1.1.1\"]
waivers:
  cis-ubuntu:
    - {control: \"6.1.10\", reason: tmp, approved_by: dan}
=== configcrates/users.vgo
name: users
resources:
  - name: dan
    type: user
    username: dan
    password-secret: users/dan
";

fn shown(tree: &SourceTree) -> String {
    tree.iter().map(|(path, bytes)| format!("=== {path}\n{}", String::from_utf8_lossy(bytes))).collect()
}

// D10, E20, E21, D25
#[test]
fn an_old_tree_is_brought_over_once() {
    let done = migrate(&tree(OLD));
    assert_eq!(said(&done.left), "");
    let steps: String = done.steps.iter().map(|s| format!("{} -> {}: {}\n", s.from, s.to, s.what)).collect();
    insta::assert_snapshot!(format!("{steps}\n{}", shown(&done.tree)));
    let again = migrate(&done.tree);
    assert_eq!((again.steps.len(), &again.tree), (0, &done.tree), "a second run finds nothing to do");
    let (_, diagnostics) = compile(&done.tree);
    let legacy = |d: &&vigo_stacks::Diagnostic| d.rule.contains("legacy") || d.rule.contains("retired");
    assert_eq!(diagnostics.iter().find(legacy), None);
}

#[test]
fn what_cannot_be_brought_over_is_said_and_left() {
    let text = "=== vars/a.vgo\nport: 1\n=== common.vgo\nvars: {port: 2}\n=== envoys/x.vgo\nenvoys: []\n=== x.vgo\nenvoys: []\n";
    let done = migrate(&tree(text));
    assert_eq!(done.tree, tree(text));
    insta::assert_snapshot!(said(&done.left));
}

// M4
#[test]
fn names_are_found_where_they_are_defined_given_and_used() {
    let text = "\
=== configcrates/web.vgo
name: web
vars: {port: 80}
resources:
  - name: conf
    type: file
    target_path: /x
    source: templates/x
    mode:
      tag:canary: \"0600\"
      default: \"0644\"
    when: port == '80' && other != 'port'
=== templates/x
listen {{ .Vars.port }}
=== roles.vgo
- name: web-server
  configcrates: [{name: web, when: x}]
=== site/common.vgo
configcrates: [web]
vars: {port: 443}
=== site/hosts.vgo
envoys:
  - {match: \"a*\", roles: [web-server], exclude_configcrates: [web], tags: [canary]}
";
    let tree = tree(text);
    let told = |sought| -> Vec<String> {
        search(&tree, sought)
            .iter()
            .map(|f| format!("{}:{} {} in {}", f.path, f.line, f.what, f.within))
            .collect()
    };
    insta::assert_debug_snapshot!((
        told(Sought::Configcrate("we*")),
        told(Sought::Role("web-server")),
        told(Sought::Var("port")),
        told(Sought::Tag("canary")),
        told(Sought::Template("templates/x")),
    ));
}
