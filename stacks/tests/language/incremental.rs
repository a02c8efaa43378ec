//! A workshop that has seen other trees says what a new one says, of any tree: results and diagnostics.

use proptest::prelude::*;
use vigo_stacks::{SourceTree, Workshop, compile};

use crate::{said, tree};

/// A tree in which everything that a policy can rest on is there, and some of it is looked for in vain.
const TREE: &str = "
=== common.vgo
configcrates: [base]
vars: {level: info, dns: [a, b]}
=== environments.vgo
env:
  live: {configcrates: [watch], vars: {level: warn}, exclude_configcrates: [old]}
=== roles.vgo
- name: web
  includes: [inner]
  configcrates: [site, {name: vhost, foreach: hosts, key: name}]
  usercrates: [dan]
  case: [{when: x, configcrates: [watch]}]
- {name: inner, configcrates: [base], vars: {port: 80}}
=== acme/common.vgo
roles: [web]
exclude_configcrates: [old]
vars: {x: true, hosts: [{name: a, extra: 1}, {name: b, extra: null}]}
=== acme/environments.vgo
env: {live: {usercrates: [eve]}}
=== acme/lab/hosts.vgo
envoys:
  - {match: web*, environment: live, configcrates: [{name: old, state: absent}], tags: [web]}
  - {match: db1, configcrates: [{name: base, when: x}, other], vars: {which: a}}
=== acme/other.vgo
envoys:
  - {match: \"*\", roles: [inner]}
=== configcrates/base.vgo
name: base
before: [site]
vars: {strict: true, which: b}
defaults: {owner: root}
resources:
  - {name: limits, type: file, target_path: /l, content: \"{{ .Vars.level }}\", notify: [apply]}
  - {name: apply, type: exec, command: x, when: changed}
  - {name: picked, type: file, target_path: /p, source: \"templates/{{ .Vars.which }}\"}
=== configcrates/old.vgo
name: old
resources: [{name: gone, type: package, package: telnetd}]
=== configcrates/other.vgo
name: other
depends_on: [nobody, base]
resources:
  - {name: all, type: exec, command: x, notify: [conf, \"watch/w\", nothing]}
  - {name: \"{{ .Item }}\", type: exec, foreach: dns, command: \"{{ .Item }}\"}
=== configcrates/site.vgo
name: site
resources:
  - {name: conf, type: file, target_path: /s, source: templates/a, depends_on: [base/limits]}
  - {name: run, type: exec, command: x, when: changed, subscribes: [conf]}
=== configcrates/vhost.vgo
name: vhost
resources: [{name: root, type: directory, target_path: \"/srv/{{ .Each.name }}\"}]
=== configcrates/watch.vgo
name: watch
compliance: {provides: [time-sync]}
resources: [{name: w, type: exec, command: x}]
=== configcrates/compliance.vgo
compliance: {soc2: [CC6.1]}
=== templates/a
listen {{ .Vars.port }}
=== templates/b
{{ .Vars.level }} {{ .Vars.none | default \"x\" }}
=== usercrates/dan.vgo
resources: [{name: dan, type: user, username: dan}]
=== usercrates/eve.vgo
resources: [{name: eve, type: user, username: eve}]
=== acme/waivers.vgo
waivers: {soc2: [{control: CC6.1, reason: r, approved_by: d}]}
";

/// What words become.
const WORDS: [&str; 24] = [
    "base",
    "site",
    "watch",
    "old",
    "other",
    "vhost",
    "dan",
    "eve",
    "web",
    "inner",
    "live",
    "x",
    "level",
    "port",
    "conf",
    "limits",
    "w",
    "absent",
    "templates/a",
    "templates/b",
    "gone",
    "hosts",
    "which",
    "nothing",
];
const PLACES: [&str; 10] = [
    "configcrates/new.vgo",
    "configcrates/aaa.vgo",
    "acme/lab/common.vgo",
    "acme/lab/environments.vgo",
    "acme/roles.vgo",
    "templates/c",
    "templates/a",
    "common.vgo",
    "acme/lab/more.vgo",
    "usercrates/retired/eve.vgo",
];

#[derive(Debug, Clone)]
enum Edit {
    /// A word of a file becomes another.
    Word(usize, usize, usize),
    TakeLine(usize, usize),
    DoubleLine(usize, usize),
    Remove(usize),
    Rename(usize, usize),
    Copy(usize, usize),
    /// Everything as it was at the beginning.
    Restore,
}

fn edit() -> impl Strategy<Value = Edit> {
    let (file, at) = (0..64usize, 0..1_000usize);
    prop_oneof![
        6 => (file.clone(), at.clone(), 0..WORDS.len()).prop_map(|(f, a, w)| Edit::Word(f, a, w)),
        2 => (file.clone(), at.clone()).prop_map(|(f, a)| Edit::TakeLine(f, a)),
        1 => (file.clone(), at).prop_map(|(f, a)| Edit::DoubleLine(f, a)),
        1 => file.clone().prop_map(Edit::Remove),
        1 => (file.clone(), 0..PLACES.len()).prop_map(|(f, p)| Edit::Rename(f, p)),
        1 => (file, 0..PLACES.len()).prop_map(|(f, p)| Edit::Copy(f, p)),
        2 => Just(Edit::Restore),
    ]
}

fn apply(tree: &mut SourceTree, edit: &Edit) {
    let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
    let chosen = |file: usize| paths.get(file % paths.len().max(1)).cloned().unwrap_or_default();
    let text = |tree: &SourceTree, path: &str| {
        String::from_utf8_lossy(tree.get(path).unwrap_or_default()).into_owned()
    };
    match *edit {
        Edit::Word(file, at, word) => {
            let path = chosen(file);
            let text = text(tree, &path);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let words: Vec<(usize, &str)> = text
                .match_indices(|c: char| plain(c))
                .filter(|(i, _)| *i == 0 || !text[..*i].ends_with(plain))
                .map(|(i, _)| (i, text[i..].split(|c: char| !plain(c)).next().unwrap_or("")))
                .collect();
            let Some((from, old)) = words.get(at % words.len().max(1)) else { return };
            let new = format!("{}{}{}", &text[..*from], WORDS[word], &text[from + old.len()..]);
            let _ = tree.replace(&path, new);
        }
        Edit::TakeLine(file, at) | Edit::DoubleLine(file, at) => {
            let path = chosen(file);
            let text = text(tree, &path);
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            if lines.is_empty() {
                return;
            }
            let at = at % lines.len();
            if matches!(edit, Edit::TakeLine(..)) {
                lines.remove(at);
            } else {
                lines.insert(at, lines[at]);
            }
            let new = lines.concat();
            let _ = tree.replace(&path, new);
        }
        Edit::Remove(file) => drop(tree.remove(&chosen(file))),
        Edit::Rename(file, to) => {
            if let Some(bytes) = tree.remove(&chosen(file)) {
                let _ = tree.replace(PLACES[to], bytes);
            }
        }
        Edit::Copy(file, to) => {
            let bytes = tree.get(&chosen(file)).unwrap_or_default().to_vec();
            let _ = tree.replace(PLACES[to], bytes);
        }
        Edit::Restore => *tree = self::tree(TREE),
    }
}

#[test]
fn the_tree_compiles() {
    let (compiled, diagnostics) = compile(&tree(TREE));
    let said = said(&diagnostics);
    assert!(compiled.is_none(), "one name is looked for in vain: {said}");
    assert!(diagnostics.iter().filter(|d| d.is_error()).count() <= 3, "{said}");
    // Without that it is right, or the edits would only ever see a broken one.
    let mended = TREE.replace("nobody, ", "").replace(", nothing", "");
    let (compiled, diagnostics) = compile(&tree(&mended));
    assert!(compiled.is_some(), "{}", crate::said(&diagnostics));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_workshop_says_what_a_new_one_says(
        whole in any::<bool>(), edits in prop::collection::vec(edit(), 1..16),
    ) {
        let start = if whole { TREE.to_string() } else { TREE.replace("nobody, ", "").replace(", nothing", "") };
        let mut tree = tree(&start);
        let mut workshop = Workshop::new();
        prop_assert_eq!(workshop.compile(&tree), compile(&tree));
        for edit in &edits {
            apply(&mut tree, edit);
            let (kept, new) = (workshop.compile(&tree), compile(&tree));
            prop_assert_eq!(workshop.lint(&tree), Workshop::new().lint(&tree), "after {:?}", edit);
            prop_assert_eq!(said(&kept.1), said(&new.1), "after {:?}", edit);
            prop_assert_eq!(kept, new, "after {:?}", edit);
        }
    }
}
