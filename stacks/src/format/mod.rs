//! The formatter: a file of `stacks/` as the language writes it.
//!
//! It repairs tabs, words that look like booleans and modes without quotes; it writes the canonical name where there
//! are two, and the state that goes without saying; it puts keys in order and refreshes the `#~` labels. It edits
//! ranges of the text and never prints a tree, so what it does not mend stays as it was, byte by byte.
//!
//! The invariants it keeps: formatting twice changes nothing more; every operator's comment is still there; what the
//! file means is compared before and after on the tree that the language reads, and on any doubt the file is left alone
//! and the error says so.

mod cst;
pub(crate) mod edit;
mod labels;
mod lines;
mod meaning;
mod order;
mod shape;
mod strip;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Site, finish};
use crate::rules;
use crate::source::SourceTree;
use crate::yaml::{self, Data, Node};

use cst::{Cst, LineNumbers};
use edit::Edit;
use shape::Shape;

pub(crate) use cst::{Body, Cst as TextTree, Item, Pair, line_end, line_start};
pub use strip::without_comments;

/// Looks at one file until it is in order: maps nest less deep.
const ROUNDS: usize = 40;

/// A formatted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formatted {
    /// The whole file.
    pub text: String,
    /// What was mended, by line of the file as it was.
    pub repairs: Vec<Repair>,
}

/// One thing that was mended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Repair {
    /// Where, from 1.
    pub line: usize,
    /// What.
    pub what: String,
}

/// Whether a file of that path is the formatter's to look at.
pub fn is_formatted(path: &str) -> bool {
    path.ends_with(".vgo")
        && !path.split('/').any(|part| part.starts_with('.'))
        && !path.starts_with("templates/")
}

/// Formats the file at `path`, relative to its tree.
///
/// # Errors
/// The diagnostics of a file that is not YAML, or whose meaning could not be kept. The file is to be left alone then.
pub fn format(path: &str, bytes: &[u8]) -> Result<Formatted, Vec<Diagnostic>> {
    let name: Arc<str> = Arc::from(path);
    let Some(found) = lines::taken(&name, bytes)? else {
        return Ok(Formatted { text: String::from_utf8_lossy(bytes).into_owned(), repairs: Vec::new() });
    };
    let lines::Taken { text: begun, node, mut repairs, ends } = found;
    let changed = repaired(path, &begun, &node, &mut repairs).ok_or_else(|| vec![doubt(&name, None)])?;
    prove(&name, &begun, &node, &changed)?;
    let text = ends.restore(&changed);
    repairs.sort();
    repairs.dedup();
    Ok(Formatted { text, repairs })
}

/// The text with all repairs; `None` if it ceased to be what can be read.
fn repaired(path: &str, begun: &str, node: &Node, repairs: &mut Vec<Repair>) -> Option<String> {
    let keys: Vec<&str> = match &node.data {
        Data::Map(entries) => entries.iter().map(|e| e.key.as_str()).collect(),
        _ => Vec::new(),
    };
    let shape = Shape::of_file(path, keys.into_iter());
    let mut text = begun.to_owned();
    let cst = Cst::read(&text)?;
    let found = values::repair(&text, &cst, shape);
    let lines = LineNumbers::of(&text);
    repairs.extend(found.repairs.into_iter().map(|(at, what)| Repair { line: lines.at(at), what }));
    text = applied(text, found.edits)?;
    for _ in 0..ROUNDS {
        let edits = order::arrange(&text, &Cst::read(&text)?, shape);
        if edits.is_empty() {
            break;
        }
        let lines = LineNumbers::of(&text);
        let note = |edit: &Edit| Repair { line: lines.at(edit.start), what: "keys are put in order".into() };
        repairs.extend(edits.iter().map(note));
        text = applied(text, edits)?;
    }
    if shape == Shape::Crate {
        let labelled = applied(text.clone(), labels::refresh(&text, &Cst::read(&text)?))?;
        if labelled != text {
            repairs.push(Repair { line: 1, what: "the `#~` labels are refreshed".into() });
        }
        text = labelled;
    }
    Some(text)
}

fn applied(text: String, edits: Vec<Edit>) -> Option<String> {
    if edits.is_empty() { Some(text) } else { edit::apply(&text, edits) }
}

/// Proves that `after` means what `begun` means, and has the same comments of operators.
fn prove(name: &Arc<str>, begun: &str, before: &Node, after: &str) -> Result<(), Vec<Diagnostic>> {
    let mut sink = Vec::new();
    let Some(node) = yaml::read(name, after.as_bytes(), &mut sink).filter(|_| sink.is_empty()) else {
        return Err(vec![doubt(name, sink.first())]);
    };
    let same = meaning::of_file(name, before) == meaning::of_file(name, &node);
    if !same || comments(begun) != comments(after) {
        return Err(vec![doubt(name, None)]);
    }
    Ok(())
}

/// The operators' comments of a text, sorted.
fn comments(text: &str) -> Option<Vec<&str>> {
    let all = Cst::read(text)?.comments(text);
    let theirs = all.iter().filter(|c| !(c.alone && text[c.start..c.end].starts_with("#~")));
    let mut found: Vec<&str> = theirs.map(|c| text[c.start..c.end].trim_end()).collect();
    found.sort_unstable();
    Some(found)
}

fn doubt(name: &Arc<str>, why: Option<&Diagnostic>) -> Diagnostic {
    let site = Site::start(name);
    let message = match why {
        Some(why) => format!(
            "formatting would break the file ({}, line {}), so it was left alone",
            why.message, why.line
        ),
        None => "formatting could not be shown to keep the meaning of the file, so it was left alone".into(),
    };
    Diagnostic::error(rules::FORMAT_DOUBT, &site, message)
        .help("put the keys in order by hand, or publish with --no-format; please report the file")
}

/// The diagnostics of a file that cannot be read.
fn unreadable(sink: Vec<Diagnostic>) -> Vec<Diagnostic> {
    finish(sink)
}

/// A file of a tree that is not formatted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its path in the tree.
    pub path: String,
    /// What is mended in it.
    pub repairs: Vec<Repair>,
    /// The whole file as it is written.
    #[serde(skip)]
    pub text: String,
}

/// Formats all configuration of a tree: what changes, and what is wrong with files that cannot be formatted.
pub fn format_tree(tree: &SourceTree) -> (Vec<Change>, Vec<Diagnostic>) {
    let (mut changes, mut sink) = (Vec::new(), Vec::new());
    for (path, bytes) in tree.iter().filter(|(path, _)| is_formatted(path)) {
        match format(path, bytes) {
            Ok(done) if done.text.as_bytes() != bytes => {
                changes.push(Change { path: path.to_owned(), repairs: done.repairs, text: done.text });
            }
            Ok(_) => {}
            Err(diagnostics) => sink.extend(diagnostics),
        }
    }
    (changes, finish(sink))
}

/// The files of `.live`: configcrates and usercrates without comments, all else as it is.
pub fn live(tree: &SourceTree) -> BTreeMap<String, Vec<u8>> {
    let seen = tree.iter().filter(|(path, _)| !path.split('/').any(|p| p.starts_with('.')));
    let copied = seen.map(|(path, bytes)| {
        let library = path.starts_with("configcrates/") || path.split('/').any(|p| p == "usercrates");
        let strip = library && path.ends_with(".vgo");
        (path.to_owned(), if strip { without_comments(bytes) } else { bytes.to_vec() })
    });
    copied.collect()
}
