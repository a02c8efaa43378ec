//! `stacks-examples/`: every configcrate of it is right, formatted and free of secrets, and has its retraction.
//!
//! With UPDATE_EXAMPLES=1 the files are written as they should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use vigo_stacks::format::format;
use vigo_stacks::retract::retract;
use vigo_stacks::{SourceTree, compile, secrets};

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
