//! The names of the tests in the sources of the workspace, by crate.
//!
//! It reads text, not programs: a function right after `#[test]` is a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// `crate::function` of every test.
pub fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for of in ["stacks", "cli", "tests", "executors", "daemon", "node", "base"] {
        let mut open = vec![root.join(of)];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    let text = fs::read_to_string(&path).unwrap_or_default();
                    found.extend(functions(&text).map(|name| format!("{of}::{name}")));
                }
            }
        }
    }
    found
}

/// The functions that follow `#[test]`.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|rest| {
        let at = rest.find("fn ")?;
        rest[at + 3..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
    })
}
