//! Policies: as an envoy fetches them, then resolved with facts that it made itself; conditions by themselves.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vigo_stacks::when::Expr;
use vigo_stacks::{Facts, Policy, SourceTree, compile, resolve, template};

use crate::Target;
use crate::feed::{Feed, Ink};

pub const TARGET: Target = Target {
    name: "policy",
    about: "policies and the conditions in them, resolved to a plan",
    run,
    seeds,
    longest: 8_192,
};

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(4) {
        0 => {
            let traits = facts(feed.below(3));
            let bytes = feed.rest();
            if let Ok(policy) = Policy::from_bytes(bytes) {
                assert_eq!(policy.to_bytes(), bytes, "one spelling of a policy");
                plan(&policy, traits);
            }
        }
        1 => {
            if let Ok(text) = std::str::from_utf8(feed.rest()) {
                condition(text);
            }
        }
        2 => {
            let traits = facts(feed.below(3));
            if let Ok(text) = std::str::from_utf8(feed.rest()) {
                written(text, &traits);
            }
        }
        _ => {
            let traits = facts(feed.below(3));
            if let Some(policy) = patched(&mut feed) {
                plan(&policy, traits);
            }
        }
    }
}

fn plan(policy: &Policy, traits: Value) {
    let facts = Facts { name: "web01".into(), tags: vec!["prod".into()], traits };
    match resolve(policy, &facts) {
        Ok(plan) => drop(format!("{plan:?}")),
        Err(problems) => assert!(!problems.is_empty(), "no plan, and no reason"),
    }
    assert_eq!(policy.step_ids().count(), policy.step_ids().filter(|id| id.contains('/')).count());
    policy.configcrates().for_each(drop);
}

fn condition(text: &str) {
    let Ok(expr) = text.parse::<Expr>() else { return };
    let spelled = expr.to_string();
    match spelled.parse::<Expr>() {
        Ok(again) => assert_eq!((&again, again.to_string()), (&expr, spelled), "one spelling of a condition"),
        Err(why) => panic!("{spelled:?} is not read: {why}"),
    }
    // Under `!` and `||` the word stays, and `publish` refuses it; from a conjunction nothing of it is left to take.
    let (_, rest) = expr.clone().without_changed();
    assert!(rest.is_none_or(|rest| !rest.without_changed().0));
}

/// A text of a policy, which may be a template.
fn written(text: &str, traits: &Value) {
    let vars =
        BTreeMap::from([("port".to_string(), json!(80)), ("list".to_string(), json!(["a", {"b": 1}]))]);
    let checked = template::check(text);
    let rendered = template::render(text, &vars, traits);
    if let Ok(out) = &rendered {
        assert!(out.len() <= template::OUTPUT_BYTES, "{} bytes", out.len());
        assert!(!template::holds(text) || checked.is_ok(), "what renders was checked: {checked:?}");
    }
    let _ = template::render_condition(text, &vars, traits);
}

fn facts(which: usize) -> Value {
    match which {
        0 => Value::Null,
        1 => json!({"os": {"family": "debian", "distro": "ubuntu", "version": "22.04", "arch": "amd64"},
                    "is_container": false, "hardware": {"cpu_count": 4}, "packages": [{"name": "a"}]}),
        _ => json!({"os": [], "is_container": "text", "network": null}),
    }
}

/// A good policy with some of its bytes changed in place, and lengths of texts made right again: the feed names places
/// and what is put there.
fn patched(feed: &mut Feed<'_>) -> Option<Policy> {
    let good = policies();
    let mut bytes = feed.pick(good).clone();
    for _ in 0..8 {
        if feed.is_empty() {
            break;
        }
        let at = usize::from(u16::from_be_bytes(feed.array())) % bytes.len();
        let text = feed.run();
        let text = &text[..text.len().min(200)];
        match text_at(&bytes, at) {
            // A text of the policy is replaced as a whole, so that what is around it stays sound.
            Some((from, to)) => {
                let head = match text.len() {
                    short @ 0..24 => vec![0x60 | short as u8],
                    long => vec![0x78, long as u8],
                };
                bytes.splice(from..to, head.into_iter().chain(text.iter().copied()));
            }
            None => bytes[at] = feed.byte(),
        }
    }
    Policy::from_bytes(&bytes).ok()
}

/// Where the CBOR text begins and ends whose head stands at `at` or a little behind.
fn text_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    (at..bytes.len().min(at + 40)).find_map(|from| {
        let (head, long) = match bytes[from] {
            short @ 0x61..0x78 => (1, usize::from(short - 0x60)),
            0x78 => (2, usize::from(*bytes.get(from + 1)?)),
            _ => return None,
        };
        let text = bytes.get(from + head..from + head + long)?;
        std::str::from_utf8(text).ok()?;
        Some((from, from + head + long))
    })
}

const TREE: &str = include_str!("policy.txt");

fn tree() -> SourceTree {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in TREE.split_inclusive('\n') {
        match (line.strip_prefix("=== "), files.last_mut()) {
            (Some(path), _) => files.push((path.trim().to_string(), String::new())),
            (None, Some((_, body))) => body.push_str(line),
            (None, None) => {}
        }
    }
    SourceTree::from_files(files).expect("a tree")
}

fn policies() -> &'static [Vec<u8>] {
    static POLICIES: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(|| {
        let (compiled, said) = compile(&tree());
        let compiled = compiled.unwrap_or_else(|| panic!("{said:?}"));
        compiled.policies.iter().map(|policy| policy.to_bytes()).collect()
    });
    &POLICIES
}

/// Routes and policies of a small tree, and the tree, as they are published.
pub fn published() -> (Vec<vigo_stacks::Route>, Vec<Vec<u8>>, Vec<u8>) {
    let (compiled, said) = compile(&tree());
    let compiled = compiled.unwrap_or_else(|| panic!("{said:?}"));
    (compiled.routes, policies().to_vec(), tree().to_archive())
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (i, policy) in policies().iter().enumerate() {
        all.push(Ink::new().byte(0).byte(1).raw(policy).done());
        all.push(Ink::new().byte(3).byte(1).byte(i as u8).raw(&[0, 9]).run(b"{{ .name }}").done());
        all.push(Ink::new().byte(3).byte(2).byte(i as u8).raw(&[0, 90]).run(b"os_family('debian')").done());
    }
    for text in [
        "os_family('debian') && !is_container",
        "changed && (arch('arm64') || distro('ubuntu'))",
        "((((((((((is_container))))))))))",
        "file_exists('/etc/{{ .Vars.port }}')",
    ] {
        all.push(Ink::new().byte(1).raw(text.as_bytes()).done());
    }
    for text in [
        "listen {{ .Vars.port }} on {{ .Traits.os.arch }}",
        "{{ range .Vars.list }}{{ . }}{{ else }}none{{ end }}",
        "{{ define \"x\" }}{{ . | printf \"%05d\" }}{{ end }}{{ template \"x\" .Vars.port }}",
        "{{- if eq .Vars.port 80 -}} {{ $x := index .Vars.list 0 }}{{ len $x }} {{ with .Vars.port }}{{ . }}{{ end }}{{ end }}",
    ] {
        all.push(Ink::new().byte(2).byte(1).raw(text.as_bytes()).done());
    }
    all
}
