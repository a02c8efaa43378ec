//! `stacks-examples/`: every configcrate of it is right, formatted and free of secrets, and has its retraction.
//!
//! With UPDATE_EXAMPLES=1 the files are written as they should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use vigo_stacks::format::format;
use vigo_stacks::retract::retract;
use vigo_stacks::{Facts, SourceTree, compile, resolve, secrets};

use crate::said;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks-examples")
}

/// The files below a directory of the examples, by path.
fn files(dir: &str) -> BTreeMap<String, String> {
    let (root, mut found) = (root(), BTreeMap::new());
    let mut open = vec![root.join(dir)];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn expect(path: &str, found: Option<&String>, expected: &str) {
    if found.map(String::as_str) == Some(expected) {
        return;
    }
    let at = root().join(path);
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        return fs::write(at, expected).unwrap();
    }
    panic!(
        "stacks-examples/{path} is not as it should be: run UPDATE_EXAMPLES=1 cargo test -p vigo-stacks examples"
    );
}

/// A tree of configcrates, each given to a host of its own.
fn tree(crates: &BTreeMap<String, String>) -> SourceTree {
    let mut tree = SourceTree::new();
    let mut hosts = String::from("envoys:\n");
    for (path, text) in crates {
        tree.insert(path.strip_suffix(".example").expect("an example"), text.as_bytes()).unwrap();
        let name = path.rsplit('/').next().unwrap().strip_suffix(".vgo.example").unwrap();
        hosts += &format!("  - {{match: {name}, configcrates: [{name}]}}\n");
    }
    tree.insert("site/hosts.vgo", hosts.into_bytes()).unwrap();
    tree
}

// K11, M5, E4
#[test]
fn every_example_is_right_and_formatted() {
    let examples = files("configcrates");
    assert!(examples.len() >= 60, "there are {}", examples.len());
    for (path, text) in &examples {
        let inside = path.strip_suffix(".example").unwrap();
        let done = format(inside, text.as_bytes()).unwrap_or_else(|why| panic!("{}", said(&why)));
        expect(path, Some(text), &done.text);
        assert!(text.starts_with("# "), "{path} begins with what it is for");
        let stem = inside.rsplit('/').next().unwrap();
        assert!(text.contains(&format!("\nname: {}\n", stem.strip_suffix(".vgo").unwrap())), "{path}");
    }
    let tree = tree(&examples);
    let (compiled, diagnostics) = compile(&tree);
    assert_eq!(said(&diagnostics), "");
    assert_eq!(compiled.unwrap().routes.len(), examples.len());
    assert_eq!(said(&secrets::scan(&tree)), "", "none of them looks like it holds a secret");
}

// K11
#[test]
fn every_example_has_its_retraction() {
    let examples = files("configcrates");
    let retractions = files("retractions");
    for (path, text) in &examples {
        let draft = retract(path.strip_suffix(".example").unwrap(), text.as_bytes());
        let draft = draft.unwrap_or_else(|why| panic!("{}", said(&why)));
        let place = format!("retractions/{}", path.replace(".vgo.example", "-retract.vgo.example"));
        expect(&place, retractions.get(&place), &draft.text);
    }
    assert_eq!(retractions.len(), examples.len(), "a retraction for each, and no other");
}

/// K10, K11, F34: applied, then retracted by its draft, then by `state: absent`, then gone: each state of a host
/// compiles, with all examples and all drafts in one tree, and both ways to retract agree on what has states.
#[test]
fn every_example_is_applied_and_retracted() {
    let (examples, drafts) = (files("configcrates"), files("retractions/configcrates"));
    let mut tree = SourceTree::new();
    let mut hosts = String::from("envoys:\n");
    for (path, text) in examples.iter().chain(&drafts) {
        let inside = path.strip_suffix(".example").unwrap().replace("retractions/", "");
        tree.insert(inside, text.as_bytes()).unwrap();
    }
    let name =
        |path: &String| path.rsplit('/').next().unwrap().strip_suffix(".vgo.example").unwrap().to_owned();
    for of in examples.keys().map(name) {
        let actions = examples.iter().any(|(path, text)| name(path) == of && lasting(path, text));
        hosts += &format!("  - {{match: {of}.now, configcrates: [{of}]}}\n");
        hosts += &format!("  - {{match: {of}.drafted, configcrates: [{of}-retract]}}\n");
        hosts += &format!("  - {{match: {of}.gone, tags: [empty]}}\n");
        if !actions {
            hosts += &format!("  - {{match: {of}.absent, configcrates: [{{name: {of}, state: absent}}]}}\n");
        }
    }
    tree.insert("site/hosts.vgo", hosts.into_bytes()).unwrap();
    let (compiled, diagnostics) = compile(&tree);
    assert_eq!(said(&diagnostics), "");
    let compiled = compiled.unwrap();
    let mut compared = 0;
    for of in examples.keys().map(name) {
        let states = |kind: &str| states(&compiled, &format!("{of}.{kind}"));
        let (now, drafted) = (states("now"), states("drafted"));
        assert!(states("gone").is_empty() && !now.is_empty(), "{of}");
        let Some(absent) = compiled.route(&format!("{of}.absent")).map(|_| states("absent")) else {
            continue;
        };
        assert_eq!(
            now.keys().collect::<Vec<_>>(),
            absent.keys().collect::<Vec<_>>(),
            "{of}: all of it is taken back"
        );
        // What a draft leaves out was absent from the start: nobody knows what was there before.
        for (resource, state) in &drafted {
            assert_eq!(Some(state), absent.get(resource), "{of}: {resource}");
            compared += usize::from(state.is_some());
        }
        for (resource, state) in absent.iter().filter(|(resource, _)| !drafted.contains_key(*resource)) {
            assert_eq!(Some(state), now.get(resource), "{of}: {resource} is left out by the draft");
        }
    }
    assert!(compared > 150, "{compared} resources were compared");
}

/// Whether it has an action that does not say how to undo it, so that `state: absent` is refused.
fn lasting(path: &str, text: &str) -> bool {
    let name = path.rsplit('/').next().unwrap().strip_suffix(".vgo.example").unwrap();
    let hosts = format!("envoys:\n  - {{match: x, configcrates: [{{name: {name}, state: absent}}]}}\n");
    let files = [(path.strip_suffix(".example").unwrap(), text), ("s/h.vgo", hosts.as_str())];
    let diagnostics = compile(&SourceTree::from_files(files).unwrap()).1;
    let refused = diagnostics.iter().filter(|d| d.is_error());
    refused.inspect(|d| assert_eq!(d.rule, "absent-needs-revert", "{d}")).count() > 0
}

/// The state of each resource of a host on a Debian, by name, without the services that only answer changes: they rest
/// where the configcrate is retracted.
fn states(compiled: &vigo_stacks::Compiled, host: &str) -> BTreeMap<String, Option<String>> {
    let traits = serde_json::json!({
        "os": {"family": "debian", "distro": "debian", "version": "12", "kernel_class": "linux", "arch": "amd64"},
        "is_container": false,
    });
    let facts = Facts { name: host.into(), tags: Vec::new(), traits };
    let plan = resolve(&compiled.policies[compiled.route(host).unwrap().policy], &facts).unwrap();
    let state = |s: &vigo_stacks::Step| Some(s.attributes.get("state")?.as_str()?.to_owned());
    let answers = |state: &Option<String>| matches!(state.as_deref(), Some("restarted" | "reloaded"));
    let steps = plan.steps.iter().map(|s| (s.only_when_triggered, s.name.clone(), state(s)));
    steps.filter(|(waits, _, s)| !(*waits && answers(s))).map(|(_, name, state)| (name, state)).collect()
}
