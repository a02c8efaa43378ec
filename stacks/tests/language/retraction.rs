//! Retractions: what they say, and that undoing twice is the start.

use vigo_stacks::format::{format, without_comments};
use vigo_stacks::retract::retract;
use vigo_stacks::{SourceTree, compile};

use crate::said;

const WEB: &str = "\
name: web
vars: {port: 80}
depends_on: [base]
resources:
  - name: installed
    type: package
    package: nginx
    state: latest

  - name: conf
    type: file
    target_path: /etc/nginx/nginx.conf
    content: |
      listen {{ .Vars.port }};
    depends_on: [installed]
    notify: [reload]

  - name: sshd
    type: file
    target_path: /etc/ssh/sshd_config
    content: x

  - name: run # the service
    type: service
    service: nginx
    depends_on: [conf]

  - name: reload
    type: service
    service: nginx
    state: reloaded
    when: changed

  - name: opened
    type: exec
    command: ufw allow 80
    on_revert: ufw delete allow 80

  - name: told
    type: exec
    command: logger hello

  - name: old
    type: package
    package: apache2
    state: absent
";

/// Without the actions.
fn states() -> String {
    let parts: Vec<&str> =
        WEB.split_inclusive("\n\n").filter(|p| !p.contains("type: exec") && !p.contains("apache2")).collect();
    parts.concat()
}

fn policies(crates: &[(&str, &str)], given: &str) -> Vec<std::sync::Arc<vigo_stacks::Policy>> {
    let files = crates.iter().map(|(name, text)| (format!("configcrates/{name}.vgo"), (*text).to_owned()));
    let hosts = format!("envoys: [{{match: \"*\", configcrates: [{given}]}}]\n");
    let tree = SourceTree::from_files(files.chain([("s/h.vgo".to_owned(), hosts)])).unwrap();
    let (compiled, diagnostics) = compile(&tree);
    compiled.unwrap_or_else(|| panic!("{}", said(&diagnostics))).policies
}

const BASE: &str = "name: base\nresources: []\n";

// K5, K9, K10
#[test]
fn a_retraction_undoes_each_resource_in_the_opposite_order() {
    let draft = retract("configcrates/web.vgo", WEB.as_bytes()).unwrap();
    assert_eq!((draft.of.as_str(), draft.name.as_str()), ("web", "web-retract"));
    let levels: Vec<&str> = draft.resources.iter().map(|r| r.confidence).collect();
    assert_eq!(
        levels,
        ["low", "low", "medium", "high", "high", "low", "high", "high"],
        "what was removed is not made again"
    );
    let draft_of_states = retract("configcrates/web.vgo", states().as_bytes()).unwrap();
    policies(&[("web-retract", &draft_of_states.text), ("base", BASE)], "base, web-retract");
    insta::assert_snapshot!(draft.text);
}

// K5: for types with a state, and actions with an on_revert.
#[test]
fn undoing_twice_is_the_start() {
    let once = retract("configcrates/web.vgo", WEB.as_bytes()).unwrap();
    let twice = retract("configcrates/web-retract.vgo", once.text.as_bytes()).unwrap();
    assert_eq!(twice.name, "web");
    let once = retract("configcrates/web.vgo", states().as_bytes()).unwrap();
    let again = retract("configcrates/web-retract.vgo", once.text.as_bytes()).unwrap();
    assert_eq!(
        policies(&[("web", &again.text), ("base", BASE)], "base, web"),
        policies(&[("web", &states()), ("base", BASE)], "base, web"),
        "{}",
        again.text
    );
    let plain = |text: &str| String::from_utf8(without_comments(text.as_bytes())).unwrap();
    let start = plain(&format("configcrates/web.vgo", WEB.as_bytes()).unwrap().text);
    let kept = start.split("\n\n  - name: old").next().unwrap();
    assert_eq!(plain(&twice.text).trim(), kept.trim());
}

#[test]
fn what_cannot_be_undone_is_left_out_and_named() {
    let text = "name: a\nresources:\n  - name: x\n    type: cisco_interface\n  - name: y\n    type: file\n    target_path: /y\n    state: \"{{ .Vars.s }}\"\n";
    let draft = retract("configcrates/a.vgo", text.as_bytes()).unwrap();
    assert!(draft.text.contains("REVIEW: this type cannot be undone yet"), "{}", draft.text);
    assert!(draft.text.ends_with("name: a-retract\nresources: []\n"), "{}", draft.text);
    let refused = retract("configcrates/a.vgo", b"name: a\nvars: {x: &x 1}\nresources: []\n").unwrap_err();
    insta::assert_snapshot!(said(&refused), @r"
    configcrates/a.vgo:1:1: error[retract-none]: no retraction can be made of this configcrate: it has anchors; write out what they stand for
      help: write it by hand
    ");
}

#[test]
fn blocks_and_flow_maps_are_undone_too() {
    let text = "name: a\nresources:\n  - {name: x, type: package, package: x}\n  - conditional_block:\n      when: os_family('debian')\n      resources:\n        - {name: y, type: package, package: y}\n        - name: z\n          type: package\n          package: z\n";
    let draft = retract("configcrates/a.vgo", text.as_bytes()).unwrap();
    assert_eq!(draft.text.matches("state: absent").count(), 3, "{}", draft.text);
    let order: Vec<usize> =
        ["name: z", "name: y", "name: x"].iter().map(|n| draft.text.find(n).unwrap()).collect();
    assert!(order.is_sorted(), "{}", draft.text);
    let again = retract("configcrates/a-retract.vgo", draft.text.as_bytes()).unwrap();
    assert_eq!(again.text.matches("state: present\n").count(), 3, "{}", again.text);
}
