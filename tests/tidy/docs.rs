//! What must be written down, and true: a module doc atop every source file, every crate in the README, links that
//! lead somewhere, invariants whose checks exist.

use crate::tree::{Crate, File, crates, files, root, rust_files, text_of};
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

/// Names of checks like `tests/tidy/edges.rs::name` in a page, of which the file has no such function.
fn unheld(page: &File, text_of: &dyn Fn(&str) -> String) -> Vec<Breach> {
    let mut found = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        for (path, name) in line.split('`').filter_map(|word| word.split_once("::")) {
            let check = path.contains('/') && !name.contains([':', ' ', '(']);
            let text = if check { text_of(path) } else { continue };
            let there = [format!("fn {name}("), format!("\n{name}() {{")].iter().any(|f| text.contains(f));
            if !there {
                let place = format!("{}:{}", page.path, index + 1);
                let instead = "name a check that exists, or do not claim what nothing holds";
                found.push(Breach::new(place, format!("{path} has no {name}"), instead));
            }
        }
    }
    found
}

/// Links to files of the tree that lead nowhere.
fn dead_links(page: &File, exists: &dyn Fn(&str) -> bool) -> Vec<Breach> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !exists(&format!("{folder}/{target}")) {
                let place = format!("{}:{}", page.path, index + 1);
                found.push(Breach::new(
                    place,
                    format!("links to {target}, which is not there"),
                    "mend the link",
                ));
            }
        }
    }
    found
}

fn pages() -> Vec<File> {
    files().into_iter().filter(|f| f.path.ends_with(".md")).collect()
}

#[test]
fn the_tree_claims_only_invariants_that_are_checked() {
    let page = pages().into_iter().find(|f| f.path == "docs/architecture.md").expect("docs/architecture.md");
    assert!(page.text.contains("| I1 |"), "docs/architecture.md lists its invariants as rows | I1 | ...");
    expect_none("invariants", unheld(&page, &text_of));
}

#[test]
fn the_tree_has_links_that_lead_somewhere() {
    let exists = |path: &str| root().join(path.trim_start_matches('/')).exists();
    expect_none("links", pages().iter().flat_map(|page| dead_links(page, &exists)).collect());
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

#[test]
fn claims_without_a_check_are_found() {
    let count = |text: &str| {
        let page = File { path: "docs/x.md".to_owned(), mode: 0o644, text: text.to_owned() };
        let text_of = |path: &str| if path == "a/b.rs" { "fn holds() {}".to_owned() } else { String::new() };
        unheld(&page, &text_of).len()
    };
    assert_eq!(count("| I1 | x | `a/b.rs::holds` |"), 0);
    assert_eq!(count("| I1 | x | `a/b.rs::hold` |"), 1);
    assert_eq!(count("| I1 | x | `a/b.rs::holds`, `a/c.rs::holds` |"), 1);
    assert_eq!(count("a type is not a check: `codec::decode`"), 0);
}

#[test]
fn dead_links_are_found() {
    let count = |text: &str| {
        let page = File { path: "docs/x.md".to_owned(), mode: 0o644, text: text.to_owned() };
        dead_links(&page, &|path| path == "docs/there.md").len()
    };
    assert_eq!(count("[a](there.md), [b](there.md#part), [c](https://example.org), [d](#here)"), 0);
    assert_eq!(count("[a](gone.md) and [b](../there.md)"), 2);
}
