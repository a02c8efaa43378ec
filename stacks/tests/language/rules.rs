//! The pages of the rules: `docs/rules/` is what the program says.
//!
//! With UPDATE_RULES=1 the files are written as they should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use vigo_stacks::rules::{RULES, page};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rules")
}

/// Every file that belongs there.
fn expected() -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        RULES.iter().map(|rule| (format!("{}.md", rule.name), page(rule))).collect();
    let mut index = String::from(
        "# Rules\n\nEvery message about a tree names its rule. `vigocli config explain RULE` prints these pages.\n\n| rule | what it guards |\n|---|---|\n",
    );
    for rule in RULES {
        index += &format!("| [{0}]({0}.md) | {1} |\n", rule.name, rule.about);
    }
    all.insert("README.md".into(), index);
    all
}

// M1: one page per rule, from one table.
#[test]
fn the_pages_in_docs_are_those_of_the_program() {
    let expected = expected();
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root()).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.insert(name, fs::read_to_string(&path).unwrap());
    }
    if found == expected {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_RULES").is_some(),
        "docs/rules/ is not as the table says: run UPDATE_RULES=1 cargo test -p vigo-stacks pages_in_docs"
    );
    fs::create_dir_all(root()).unwrap();
    for gone in found.keys().filter(|name| !expected.contains_key(*name)) {
        fs::remove_file(root().join(gone)).unwrap();
    }
    for (name, text) in expected {
        fs::write(root().join(name), text).unwrap();
    }
}

/// K2: what each rule says is a snapshot, word for word; those that no tree can break are named here.
#[test]
fn every_rule_is_seen_in_a_snapshot() {
    let elsewhere =
        ["file-path", "file-archive", "file-utf8", "file-size", "policy-size", "too-many", "format-doubt"];
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language/snapshots");
    let mut seen = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        seen += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let retracted = ["retract-none"];
    for rule in RULES.iter().filter(|r| !elsewhere.contains(&r.name) && !retracted.contains(&r.name)) {
        assert!(seen.contains(&format!("[{}]", rule.name)), "no snapshot shows {}", rule.name);
    }
}
