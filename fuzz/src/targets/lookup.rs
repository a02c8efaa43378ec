//! What differs from machine to machine, and from element to element: lookup tables, branches, lists and templates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use vigo_stacks::{Facts, Plan, SourceTree, compile, resolve, template};

use crate::Target;
use crate::feed::{Feed, Ink};

pub const TARGET: Target = Target {
    name: "lookup",
    about: "lookup tables, branches, lists of `foreach:` and templates, in machines of any kind",
    run,
    seeds,
    longest: 8_192,
};

const ARMS: [&str; 16] = [
    "web1",
    "web*",
    "*",
    "?eb1",
    "tag:web",
    "tag:w*",
    "tag:*",
    "os.family=debian",
    "os.family=*",
    "is_container=true",
    "os.version=22.04",
    "WEB1",
    "db1",
    "tag:",
    "=",
    "os.none=x",
];
const VALUES: [&str; 10] = [
    "\"1\"",
    "\"{{ .Vars.x }}\"",
    "null",
    "[a, b]",
    "[b, c]",
    "[]",
    "7",
    "true",
    "{a: 1}",
    "\"{{ .Each.n }}\"",
];
const TEXTS: [&str; 20] = [
    "{{ .Vars.x }}",
    "{{ range .Vars.l }}",
    "{{ range $i, $e := .Vars.l }}",
    "{{ else }}",
    "{{ end }}",
    "{{ . }}",
    "{{ if .Vars.x }}",
    "{{ with .Vars.m }}",
    "{{ define \"t\" }}",
    "{{ template \"t\" . }}",
    "{{ .Each.n }}",
    "{{ .Item }}",
    "{{ .Traits.os.family }}",
    "{{ printf \"%05d\" .Vars.x }}",
    "{{ .Vars.none | default \"d\" }}",
    "{{ index .Vars.l 0 }}",
    "{{ $x := .Vars.l }}",
    "{{ len .Vars.l }}",
    "text\n",
    "{{- \"q\" -}}",
];

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    let list = feed.below(4);
    let written = written(&mut feed);
    let mut text = format!(
        "name: a\nvars: {{x: 3, m: {{k: v}}, l: {}}}\nresources:\n  - name: \"r{}\"\n    type: file\n    target_path: /x\n",
        ["[]", "[{n: a}, {n: b}]", "[a, b, a]", "[[1], {n: [2]}]"][list],
        if list == 0 { "" } else { "{{ .Each.n }}" },
    );
    if list > 0 {
        text.push_str("    foreach: l\n");
    }
    let _ = writeln!(text, "    content: {}", quoted(&written));
    for key in ["owner", "mode", "stream_edit", "state"] {
        if feed.byte() % 2 == 1 {
            let _ = writeln!(text, "    {key}: {}", table(&mut feed));
        }
    }
    if feed.byte() % 4 == 1 {
        let on = quoted(&self::written(&mut feed));
        let _ = writeln!(text, "    case: {on}\n    match: {{debian: {{group: {}}}}}", table(&mut feed));
    }
    if feed.byte() % 4 == 1 {
        let _ = writeln!(text, "    when: {}", quoted(&format!("'{written}' != ''")));
    }
    let hosts = "envoys:\n  - {match: \"*\", configcrates: [a], tags: [web]}\n";
    let Ok(tree) = SourceTree::from_files([("configcrates/a.vgo", text.as_str()), ("s/h.vgo", hosts)]) else {
        return;
    };
    free(&written);
    let (Some(compiled), _) = compile(&tree) else { return };
    for traits in 0..3 {
        let facts = Facts { name: "web1".into(), tags: vec!["web".into()], traits: machine(traits) };
        for policy in &compiled.policies {
            match resolve(policy, &facts) {
                Ok(plan) => rendered(&plan, &facts.traits),
                Err(problems) => panic!("what was compiled does not resolve: {problems:?}"),
            }
        }
    }
}

/// Every text of a plan through the template engine, as an executor would.
fn rendered(plan: &Plan, traits: &Value) {
    let ids: BTreeSet<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids.len(), plan.steps.len(), "each step has a name of its own");
    for step in &plan.steps {
        for text in step.attributes.values().filter_map(Value::as_str) {
            assert!(template::check(text).is_ok(), "publishing checked it: {text}");
            if let Ok(out) = template::render(text, &step.vars, traits) {
                assert!(out.len() <= template::OUTPUT_BYTES);
                assert!(!out.contains("<no value>") || text.contains("<no value>"), "{text}");
            }
        }
    }
}

/// A template on its own: what renders was checked, and comes to the same each time.
fn free(text: &str) {
    let vars = BTreeMap::from([
        ("x".to_string(), json!(3)),
        ("l".to_string(), json!(["a", "b", {"n": 1}, "c", "d", "e", "f", "g"])),
        ("m".to_string(), json!({"k": "v"})),
    ]);
    let traits = machine(1);
    let out = template::render(text, &vars, &traits);
    if let Ok(out) = &out {
        assert!(out.len() <= template::OUTPUT_BYTES, "{} bytes", out.len());
        let checked = template::check(text);
        assert!(!template::holds(text) || checked.is_ok(), "what renders was checked: {checked:?}");
    }
    assert_eq!(template::render(text, &vars, &traits), out, "a template says the same twice");
    drop(template::render_condition(text, &vars, &traits));
}

fn written(feed: &mut Feed<'_>) -> String {
    let mut text = String::new();
    for _ in 0..feed.below(32) {
        match feed.byte() {
            255 => text.push_str(&String::from_utf8_lossy(feed.run())),
            at => text.push_str(TEXTS[usize::from(at) % TEXTS.len()]),
        }
    }
    text
}

fn table(feed: &mut Feed<'_>) -> String {
    let mut text = String::from("{");
    for _ in 0..feed.below(12) {
        let arm = match feed.byte() {
            255 => String::from_utf8_lossy(feed.run()).into_owned(),
            at => ARMS[usize::from(at) % ARMS.len()].to_string(),
        };
        let _ = write!(text, "{}: {}, ", quoted(&arm), feed.pick(&VALUES));
    }
    let _ = write!(text, "default: {}}}", feed.pick(&VALUES));
    text
}

/// In double quotes, as YAML and JSON both read it.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn machine(which: usize) -> Value {
    match which {
        0 => Value::Null,
        1 => {
            json!({"os": {"family": "debian", "distro": "ubuntu", "version": "22.04"}, "is_container": true})
        }
        _ => json!({"os": {"family": ["x"], "version": 7}, "is_container": null}),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for list in 0..4 {
        for text in 0..TEXTS.len() as u8 {
            let ink = Ink::new().byte(list).byte(4).raw(&[text, 18, 4, 4]);
            let ink = ink.byte(1).byte(3).raw(&[0, 0, 4, 1, 7, 0]).byte(0);
            all.push(ink.raw(&[1, 2, 3, 3, 6, 4, 5, 0, 1, 1, 12, 1, 5, 0, 0, 1]).done());
        }
    }
    let nested: Vec<u8> = [1; 15].into_iter().chain([5]).chain([4; 15]).collect();
    all.push(Ink::new().byte(0).byte(31).raw(&nested).done());
    let long = "{{ range .Vars.l }}".repeat(300);
    all.push(Ink::new().byte(0).byte(1).byte(255).run(long.as_bytes()).done());
    all
}
