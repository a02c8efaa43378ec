//! The formatter: what it repairs, what it leaves, and the laws that hold for any file.

use proptest::prelude::*;
use vigo_stacks::format::{format, without_comments};
use vigo_stacks::{SourceTree, compile};

use crate::said;

/// Formats a configcrate, twice: the second time changes nothing.
fn formatted(path: &str, text: &str) -> String {
    let once = format(path, text.as_bytes()).unwrap_or_else(|said_| panic!("{}", said(&said_))).text;
    let twice = format(path, once.as_bytes()).unwrap();
    assert_eq!(twice.text, once, "formatting twice changes something");
    assert_eq!(twice.repairs, []);
    once
}

const UNTIDY: &str = "\
# of the file
resources:
  # about the package
  - type: package   # trailing
    # its name
    name: nginx
    package: nginx

  - {type: service, name: run, service: nginx, enabled: yes}
  #~ an old label
  - path: /etc/nginx/nginx.conf
    mode: 0644
    name: conf
    content: |
      # not a comment
      on: yes

    type: file
    when: not is_container and distro('a and b')
    # the last word


# about the variables
vars:
  debug: off
  # in the variables

name: nginx
";

// E1, G41, G42, G43, G44: keys, tabs, booleans, modes, labels; comments, blank lines and content stay.
#[test]
fn an_untidy_configcrate_is_put_in_order() {
    insta::assert_snapshot!(formatted("configcrates/nginx.vgo", UNTIDY));
}

// F17 (D16), D11, D14
#[test]
fn match_blocks_and_roles_are_put_in_order() {
    let hosts = "envoys:\n  - role: web # the only one\n    vars: {on_call: no}\n    # which\n    match: \"web*\"\n  - {vars: {a: 1}, match: db, role: 'b'}\n";
    insta::assert_snapshot!(formatted("site/hosts.vgo", hosts));
    let roles = "- configcrates:\n    - {when: not a or b, name: x}\n  name: web\n";
    insta::assert_snapshot!(formatted("roles.vgo", roles));
}

// G41
#[test]
fn tabs_that_indent_become_spaces_and_others_stay() {
    let text = "name: a\nresources:\n\t- name: x\n\t\ttype: exec\n\t\tcommand: |\n\t\t  a\n";
    let refused = format("configcrates/a.vgo", text.as_bytes()).unwrap_err();
    assert!(said(&refused).contains("yaml-syntax"), "a tab before a block text cannot be told from it");
    let text = "name: a\nresources:\n\t- name: x\n\t\ttype: exec\n\t\tcommand: \"a\tb\"\n";
    assert_eq!(
        formatted("configcrates/a.vgo", text),
        "#~ Manages exec\nname: a\nresources:\n  #~ Run a b\n  - name: x\n    type: exec\n    command: \"a\tb\"\n"
    );
}

#[test]
fn line_ends_and_marks_are_kept_or_mended_or_refused() {
    let text = "#~ Manages exec\r\nname: a\r\nresources:\r\n  #~ Run b\r\n  - name: x\r\n    type: exec\r\n    command: b\r\n";
    assert_eq!(formatted("configcrates/a.vgo", text), text, "CR LF is kept");
    let mixed = text.replacen("\r\n", "\n", 1);
    assert!(!formatted("configcrates/a.vgo", &mixed).contains('\r'), "a mixture becomes LF");
    assert!(formatted("configcrates/a.vgo", &format!("\u{feff}{text}")).starts_with('#'));
    let refusal = format("configcrates/a.vgo", b"name: a\rb: c\n").unwrap_err();
    insta::assert_snapshot!(said(&refusal), @"
    configcrates/a.vgo:1:1: error[yaml-syntax]: a carriage return stands alone, without a line feed
      help: end lines with LF, or all with CR LF
    ");
    assert!(format("configcrates/a.vgo", b"name: \xff").is_err());
    assert_eq!(format("configcrates/a.vgo", b"# nothing\n").unwrap().text, "# nothing\n");
}

// What has an anchor is in two places: it is not edited, and its map keeps its order.
#[test]
fn anchors_are_left_alone() {
    let text = "resources:\n  - &r\n    type: exec\n    name: x\n    command: yes\nvars: {a: *r}\nname: a\n";
    let out = formatted("configcrates/a.vgo", text);
    assert!(
        out.contains("- &r\n    type: exec\n    name: x\n    command: yes\nvars: {a: *r}\nname: a\n"),
        "{out}"
    );
}

// D12: the state is written out, but not where `defaults:` gives it.
#[test]
fn the_default_state_is_written_out() {
    let with = |defaults: &str| {
        format!("name: a\n{defaults}resources:\n  - name: x\n    type: file # it is\n    target_path: /x\n")
    };
    assert!(formatted("configcrates/a.vgo", &with("")).contains("type: file # it is\n    state: present\n"));
    assert!(!formatted("configcrates/a.vgo", &with("defaults: {state: absent}\n")).contains("present"));
}

// A text that ends where its file does keeps its last line as it is.
#[test]
fn the_end_of_a_file_is_kept() {
    for text in [
        "name: a\nresources:\n  - {name: x, type: exec, command: a}",
        "name: a\nresources: []\nvars:\n  x: |\n    a",
    ] {
        let out = formatted("configcrates/a.vgo", text);
        let live = without_comments(out.as_bytes());
        assert!(!String::from_utf8(live).unwrap().contains("#~"));
    }
}

/// A configcrate with its keys in any order, comments anywhere, and values in any spelling.
fn configcrates() -> impl Strategy<Value = String> {
    let attribute = prop::sample::select(vec![
        "mode: 0644",
        "mode: \"0755\"",
        "owner: root # who",
        "group: on",
        "content: |\n      # body\n        deep\n\n      end",
        "content: |+\n      kept\n\n",
        "content: >-\n      folded\n      text",
        "content: \"a\n      b\"",
        "when: not a and (b or c == 'x or y')",
        "when: \"not b\"",
        "timeout: 30",
        "depends_on: []",
        "notify:\n    - r0",
        "state: absent",
    ]);
    let noise = prop::sample::select(vec![
        "",
        "",
        "",
        "    # note\n",
        "\n",
        "  # out\n",
        "      # in\n",
        "\n    # a\n\n    # b\n",
    ]);
    let keys = prop::collection::vec((attribute, noise), 0..6).prop_shuffle();
    let resource = (keys, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>());
    let top = prop::sample::select(vec![
        "",
        "vars: {a: true, b: no, c: x}\n",
        "vars:\n  # in\n  a: 1\n  b: on # b\n  c: y\n\n",
    ]);
    (
        prop::collection::vec(resource, 1..4),
        top,
        any::<bool>(),
        prop::sample::select(vec!["", "# head\n", "#~ old\n\n"]),
    )
        .prop_map(|(resources, vars, last, head)| {
            let mut body = String::from("resources:\n");
            for (i, (keys, at, to, path)) in resources.into_iter().enumerate() {
                let mut seen = std::collections::BTreeSet::new();
                let mut lines: Vec<(String, &str)> = keys
                    .into_iter()
                    .filter(|(k, _)| seen.insert(k.split(':').next().unwrap_or("")))
                    .map(|(k, n)| (k.to_owned(), n))
                    .collect();
                lines.insert(at.index(lines.len() + 1), (format!("name: r{i}"), ""));
                lines.insert(to.index(lines.len() + 1), ("type: file".into(), ""));
                let alias = if path { "path" } else { "target_path" };
                lines.push((format!("{alias}: /x{i}"), ""));
                for (j, (line, noise)) in lines.iter().enumerate() {
                    if j > 0 {
                        body += noise;
                    }
                    body += &format!("{}{line}\n", if j == 0 { "  - " } else { "    " });
                }
            }
            if last { format!("{head}{body}{vars}name: a\n") } else { format!("{head}name: a\n{vars}{body}") }
        })
}

/// The lines of comments outside of content, in no order.
fn comments(text: &str) -> Vec<String> {
    let plain = without_comments(text.as_bytes());
    let plain = String::from_utf8(plain).unwrap();
    let count = |text: &str, word: &str| text.matches(word).count();
    ["# note", "# out", "# in", "# a", "# b", "# head", "# who"]
        .iter()
        .map(|word| format!("{word} {}", count(text, word) - count(&plain, word)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    // Formatting twice changes nothing, keeps every comment, and compiles to the same policies.
    #[test]
    fn formatting_is_idempotent_and_keeps_comments_and_meaning(text in configcrates()) {
        // What is generated is always YAML, so that nothing may be refused.
        let once = format("configcrates/a.vgo", text.as_bytes());
        let once = once.map_err(|why| TestCaseError::fail(format!("{}\n{text}", said(&why))))?;
        let twice = format("configcrates/a.vgo", once.text.as_bytes()).unwrap();
        prop_assert_eq!(&twice.text, &once.text, "from\n{}", text);
        prop_assert_eq!(comments(&text), comments(&once.text), "from\n{}\nto\n{}", text, once.text);
        let policies = |text: &str| {
            let hosts = "envoys: [{match: \"*\", configcrates: [a]}]\n";
            let tree = SourceTree::from_files([("configcrates/a.vgo", text), ("s/h.vgo", hosts)]).unwrap();
            compile(&tree).0.map(|c| c.policies)
        };
        let (before, after) = (policies(&text), policies(&once.text));
        prop_assert_eq!(before, after, "from\n{}\nto\n{}", text, once.text);
    }

    // Any text at all: an answer, never a panic.
    #[test]
    fn any_text_is_formatted_or_refused(text in "([a-z{}\\[\\]:,&*|>#'\"\\-\t \n~!?%é]|- |: |  |\n  ){0,60}") {
        if let Ok(done) = format("configcrates/a.vgo", text.as_bytes()) {
            let again = format("configcrates/a.vgo", done.text.as_bytes()).map(|d| d.text);
            prop_assert_eq!(again, Ok(done.text));
        }
        let _ = without_comments(text.as_bytes());
    }
}
