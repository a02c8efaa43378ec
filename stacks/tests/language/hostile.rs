//! Input that is meant to hurt: each is refused in words, in little time and memory, or means what it says.
//!
//! The times allowed are for a build without optimisation on a busy machine; what they catch is what never ends.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;
use vigo_stacks::diagnostic::{DIAGNOSTICS_MAX, tally};
use vigo_stacks::format::format_tree;
use vigo_stacks::source::VGO_BYTES;
use vigo_stacks::{SourceTree, Workshop, compile, template, trace};

use crate::{said, with_configcrate, with_resource};

const HOSTS: &str = "envoys:\n  - {match: \"*\", configcrates: [a]}\n";

/// What is said of a configcrate with these bytes, in time.
fn refused(name: &str, bytes: impl Into<Vec<u8>>) -> String {
    let files = [("configcrates/a.vgo", bytes.into()), ("site/hosts.vgo", HOSTS.into())];
    let tree = SourceTree::from_files(files).unwrap();
    let began = Instant::now();
    let (compiled, diagnostics) = compile(&tree);
    assert!(compiled.is_none() && !diagnostics.is_empty(), "{name} is taken");
    drop(format_tree(&tree));
    drop(trace(&tree, "web", None));
    assert!(began.elapsed() < Duration::from_secs(20), "{name} took {:?}", began.elapsed());
    let told = said(&diagnostics);
    assert!(told.len() < 10_000, "{name}: {} bytes are said", told.len());
    assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{name}: {told:?}");
    format!("# {name}\n{told}\n")
}

fn nested(open: &str, close: &str, times: usize) -> String {
    format!("name: a\nvars: {{x: {}1{}}}\nresources: []\n", open.repeat(times), close.repeat(times))
}

#[test]
fn bytes_that_are_no_text() {
    let mut out = refused("not UTF-8", b"name: a\nresources: []\n# \xff\xfe\n");
    out += &refused("UTF-16", b"\xff\xfen\0a\0m\0e\0");
    out += &refused("a null byte", b"name: a\0b\nresources: []\n");
    out += &refused("a null byte that is spelled", b"name: \"a\\0b\"\nresources: []\n");
    out += &refused("an escape of a terminal", b"name: \"a\\e[31mred\\e[0m\"\nresources: []\n");
    out += &refused(
        "the same in a resource",
        b"name: a\nresources:\n  - {name: \"r\\e[2Jx\", type: \"exec\\r\", command: x}\n",
    );
    out += &refused("a key that turns the line round", "name: a\n\"\u{202e}secruoser\": []\n".as_bytes());
    out += &refused("a byte order mark inside", "name: a\n\u{feff}resources: []\n".as_bytes());
    insta::assert_snapshot!(out);
}

#[test]
fn structures_without_end() {
    let mut out = refused("200,000 brackets", nested("[", "]", 200_000));
    out += &refused("200,000 braces", nested("{", "}", 200_000));
    out += &refused("200,000 brackets that stay open", nested("[", "", 200_000));
    out += &refused(
        "20,000 keys in keys",
        format!("name: a\nvars: {}1\nresources: []\n", "{x: ".repeat(20_000)),
    );
    out += &refused(
        "100,000 question marks",
        format!("name: a\nvars:\n  {}\nresources: []\n", "? ".repeat(100_000)),
    );
    let mut steps = String::from("name: a\nvars:\n");
    (1..1_000).for_each(|depth| steps += &format!("{}x:\n", " ".repeat(depth)));
    out += &refused("a thousand steps down", steps);
    let mut bomb = String::from("name: a\nvars:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..40 {
        let _ = writeln!(bomb, "  a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 10].join(", "));
    }
    out += &refused("an alias bomb", bomb + "resources: []\n");
    let long = format!(
        "name: a\nvars: {{x: &x \"{}\", y: [{}]}}\nresources: []\n",
        "y".repeat(500_000),
        "*x, ".repeat(60_000)
    );
    out += &refused("a long text sixty thousand times", long);
    let anchors: String = (0..20_000).map(|n| format!("&a{n} ")).collect();
    out += &refused("twenty thousand anchors", format!("name: a\nvars: {{x: {anchors}1}}\nresources: []\n"));
    insta::assert_snapshot!(out);
}

#[test]
fn conditions_and_lists_without_end() {
    let of = |condition: &str| {
        format!("name: a\nresources:\n  - {{name: r, type: exec, command: x, when: \"{condition}\"}}\n")
    };
    let mut out = refused("200,000 parentheses", of(&"(".repeat(200_000)));
    out += &refused("200,000 negations", of(&"!".repeat(200_000)));
    out += &refused("4,000 parentheses", of(&format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000))));
    let many = vec!["[1]"; 5_000].join(", ");
    let body: String = (0..2_000)
        .map(|n| format!("  - {{name: \"r{n} {{{{ .Item.x }}}}\", type: exec, foreach: l, command: x}}\n"))
        .collect();
    out += &refused("ten million copies", format!("name: a\nvars: {{l: [{many}]}}\nresources:\n{body}"))
        .replace(char::is_numeric, "#");
    insta::assert_snapshot!(out.lines().take(24).collect::<Vec<_>>().join("\n"));
}

/// Copies of copies: instances times elements.
#[test]
fn copies_of_copies_are_bounded() {
    let numbers = (0..4_000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "=== configcrates/a.vgo\nname: a\nvars: {{l: [{numbers}]}}\nresources:\n  - {{name: \"{{{{ .Item }}}}\", type: exec, foreach: l, command: x}}\n=== s/h.vgo\nenvoys:\n  - {{match: h, configcrates: [{{name: a, foreach: l}}], vars: {{l: [{numbers}]}}}}\n"
    );
    let began = Instant::now();
    let (compiled, diagnostics) = compile(&crate::tree(&text));
    assert!(compiled.is_none());
    assert!(diagnostics.iter().any(|d| d.rule == "policy-size"), "{}", said(&diagnostics));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// A mark of byte order and line ends of another system are no mistake, and mean nothing.
#[test]
fn marks_and_line_ends_of_other_editors_mean_nothing() {
    let plain = "name: a\nresources:\n  - name: r\n    type: file\n    target_path: /x\n    content: |\n      one\n      two\n";
    let policies = |text: String| {
        let (compiled, diagnostics) = compile(&crate::tree(&with_configcrate(&text)));
        compiled.unwrap_or_else(|| panic!("{}", said(&diagnostics))).policies
    };
    let expected = policies(plain.to_string());
    assert_eq!(policies(format!("\u{feff}{plain}")), expected);
    assert_eq!(policies(plain.replace('\n', "\r\n")), expected);
}

#[test]
fn ten_thousand_mistakes_are_counted() {
    let mut files: Vec<(String, String)> = Vec::new();
    for n in 0..100 {
        let mut text = format!("name: c{n}\nresources:\n");
        for r in 0..100 {
            let _ = writeln!(text, "  - {{name: r{r}, type: exec, command: x, depends_on: [nothing{r}]}}");
        }
        files.push((format!("configcrates/c{n}.vgo"), text));
    }
    let tree = SourceTree::from_files(files).unwrap();
    let began = Instant::now();
    let (compiled, diagnostics) = Workshop::new().lint(&tree);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(compiled.is_none());
    assert_eq!(diagnostics.len(), DIAGNOSTICS_MAX + 1);
    assert_eq!(tally(&diagnostics), (10_000, 0));
    insta::assert_snapshot!(said(&diagnostics[DIAGNOSTICS_MAX - 1..]));
}

#[test]
fn templates_that_loop_or_explode_are_stopped() {
    let vars = [("l".to_string(), json!(vec!["x"; 100]))].into();
    let ranges = |n: usize| format!("{}x{}", "{{ range $.Vars.l }}".repeat(n), "{{ end }}".repeat(n));
    let mut out = String::new();
    for (name, text) in [
        (
            "it calls itself",
            "{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}".to_string(),
        ),
        ("a hundred to the tenth", ranges(10)),
        ("ranges deeper than anybody writes", ranges(2_000)),
        ("a wide number", "{{ printf \"%2000000000d\" 1 }}".to_string()),
        ("a wide text", "{{ printf \"%999999999s\" \"x\" }}".to_string()),
        ("many digits", "{{ printf \"%.1999999999f\" 1.5 }}".to_string()),
        ("a width from an argument", "{{ printf \"%*d\" 2000000000 1 }}".to_string()),
        (
            "doubled again and again",
            format!("{{{{ $x := \"xxxxxxxx\" }}}}{}", "{{ $x = print $x $x }}".repeat(60)),
        ),
        (
            "doubled as a list",
            format!("{{{{ $x := list 1 }}}}{}", "{{ $x = list $x $x }}".repeat(60)) + "{{ $x }}",
        ),
    ] {
        let began = Instant::now();
        let rendered = template::render(&text, &vars, &json!({}));
        assert!(began.elapsed() < Duration::from_secs(20), "{name} took {:?}", began.elapsed());
        let told = match rendered {
            Ok(text) => format!("{} bytes", text.len()),
            Err(why) => why.to_string(),
        };
        let _ = writeln!(out, "{name}: {}", told.chars().take(160).collect::<String>());
    }
    insta::assert_snapshot!(out);
}

#[test]
fn files_that_are_too_large_or_lie_in_files_are_refused() {
    let mut tree = SourceTree::new();
    let large = tree.insert("configcrates/a.vgo", vec![b'x'; VGO_BYTES + 1]).unwrap_err();
    let mut out = format!("{large}\n");
    for path in ["a\u{1b}[2J.vgo", "a\nb.vgo", "../a.vgo", "a/\u{202e}/b.vgo", "a\0.vgo"] {
        let _ = writeln!(out, "{}", tree.insert(path, "x").unwrap_err());
    }
    assert!(!out.chars().any(|c| c.is_control() && c != '\n'));
    let (_, diagnostics) = compile(&crate::tree("=== x.vgo/hosts.vgo\nenvoys:\n  - {match: h}\n"));
    out += &said(&diagnostics);
    let cyclic = "=== roles.vgo\n- {name: a, includes: [b], configcrates: []}\n- {name: b, includes: [c], configcrates: []}\n- {name: c, includes: [a], configcrates: []}\n";
    out += &said(&compile(&crate::tree(cyclic)).1);
    let (compiled, _) = compile(&crate::tree(&with_resource("type: exec\ncommand: x")));
    assert!(compiled.is_some());
    insta::assert_snapshot!(out);
}
