//! What must be written down: a module doc atop every source file, and every crate in the README.

use crate::tree::{Crate, File, crates, rust_files, text_of};
use crate::{Breach, expect_none};

/// Characters of a module doc's first line: shorter says nothing.
const SHORTEST_DOC: usize = 15;

fn undocumented(files: &[File]) -> Vec<Breach> {
    let instead = "open the file with //! lines: what it is, what it never does, the invariant it keeps";
    let mut found = Vec::new();
    for file in files {
        let first = file.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let Some(doc) = first.strip_prefix("//!").map(str::trim) else {
            found.push(Breach::new(&file.path, format!("opens with {first:?}"), instead));
            continue;
        };
        if doc.chars().count() < SHORTEST_DOC {
            found.push(Breach::new(&file.path, format!("its module doc says only {doc:?}"), instead));
        }
    }
    found
}

fn unnamed(crates: &[Crate], readme: &str) -> Vec<Breach> {
    let named = |folder: &str| {
        [format!("`{folder}`"), format!("`{folder}/`"), format!("({folder}/)")]
            .iter()
            .any(|n| readme.contains(n))
            || readme.lines().any(|line| line.trim_start().starts_with(&format!("{folder}/")))
    };
    crates
        .iter()
        .filter(|c| !named(&c.folder))
        .map(|c| {
            let instead = format!("name `{}` with a sentence in the README's map of the crates", c.folder);
            Breach::new("README.md", format!("crate {} is not named", c.folder), instead)
        })
        .collect()
}

#[test]
fn the_tree_documents_its_modules() {
    expect_none("module docs", undocumented(&rust_files()));
}

#[test]
fn the_tree_names_its_crates_in_the_readme() {
    let readme = text_of("README.md");
    assert!(
        !readme.is_empty(),
        "README.md is missing: write what Vigo is, how to run it, and the map of the crates"
    );
    expect_none("README", unnamed(&crates(), &readme));
}

#[test]
fn missing_docs_are_found() {
    let count = |text: &str| {
        undocumented(&[File { path: "a.rs".to_owned(), mode: 0o644, text: text.to_owned() }]).len()
    };
    assert_eq!(count("//! What this file is and never does.\n"), 0);
    assert_eq!(count("\n\n//! What this file is and never does.\n"), 0);
    assert_eq!(count("use std::fmt;\n//! too late\n"), 1);
    assert_eq!(count("// a plain comment, however long it is\n"), 1);
    assert_eq!(count("//! placeholder\nfn a() {}"), 1);
    assert_eq!(count(""), 1);
}

#[test]
fn a_crate_missing_from_the_readme_is_found() {
    let all = [Crate::planted("base", ""), Crate::planted("crdt", "")];
    assert_eq!(unnamed(&all, "| `base` | the ground |\n| [crdt](crdt/) | records |"), []);
    assert_eq!(unnamed(&all, "base/   the ground\ncrdt/   records"), []);
    assert_eq!(unnamed(&all, "| `base` | stands below every crdt |").len(), 1);
    assert_eq!(unnamed(&all, "").len(), 2);
}
