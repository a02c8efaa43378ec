//! The language from outside: stories that hold, refusals word for word, properties of any input.
//!
//! One binary; the files of a tree are written in one text, each after a line `=== path`.

mod claims;
mod composed_refusals;
mod composition;
mod controls;
mod documents;
mod editor;
mod examples;
mod formatting;
mod hostile;
mod incremental;
mod migration;
mod properties;
mod refusals;
mod resource_refusals;
mod resources;
mod retraction;
mod rules;
mod secrets;
mod stories;
mod whole_tree;

use vigo_stacks::{Compiled, Diagnostic, SourceTree, compile};

/// The tree that `text` spells out.
fn tree(text: &str) -> SourceTree {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("=== ") {
            Some(path) => files.push((path.trim().to_string(), String::new())),
            None => match files.last_mut() {
                Some((_, body)) => body.push_str(line),
                None => assert!(line.trim().is_empty(), "text before the first file: {line}"),
            },
        }
    }
    SourceTree::from_files(files).expect("a tree")
}

/// What the diagnostics say, one after another.
fn said(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| format!("{d}\n")).collect()
}

/// The compiled tree, which must be free of errors and warnings.
fn compiled(text: &str) -> Compiled {
    let (compiled, diagnostics) = compile(&tree(text));
    assert_eq!(said(&diagnostics), "");
    assert_eq!(editor::valid(&tree(text)), Ok(()), "the schema for editors");
    compiled.expect("no diagnostics, so a result")
}

/// A tree of one configcrate `a`, given to every host.
fn with_configcrate(body: &str) -> String {
    format!(
        "=== configcrates/a.vgo\n{body}\n=== site/hosts.vgo\nenvoys:\n  - match: \"*\"\n    configcrates: [a]\n"
    )
}

/// A tree of one resource `r`, whose keys are `body`, one a line.
fn with_resource(body: &str) -> String {
    let lines: String = body.lines().map(|l| format!("    {l}\n")).collect();
    with_configcrate(&format!("name: a\nresources:\n  - name: r\n{lines}"))
}
