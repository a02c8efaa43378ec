//! The edits that make a retraction of a configcrate's text.
//!
//! Each takes a text and gives a text; ranges come from the text itself, read anew each time.

use crate::format::edit::{Edit, apply};
use crate::format::{Body, Item, Pair, TextTree, line_end, line_start};

use super::{Undone, lists, wanted};

/// How the former value of a field is noted.
const WAS: &str = "# was: ";
/// The former value of a field that was not there.
const NOT_GIVEN: &str = "not given";

/// Keys that say who comes first, and their opposites.
const TURNED: [(&str, &str); 4] =
    [("depends_on", "before"), ("before", "depends_on"), ("notify", "subscribes"), ("subscribes", "notify")];

/// The text without comments, but for the former values.
pub(super) fn without_remarks(text: &str) -> String {
    let Some(tree) = TextTree::read(text) else { return text.to_owned() };
    let mut edits = Vec::new();
    for comment in tree.comments(text) {
        let (start, end) = (comment.start, comment.end);
        if comment.alone {
            edits.push(Edit::new(line_start(text, start), (end + 1).min(text.len()), ""));
        } else if !text[start..end].starts_with(WAS) {
            edits.push(Edit::new(text[..start].trim_end_matches([' ', '\t']).len(), end, ""));
        }
    }
    apply(text, edits).map_or_else(|| text.to_owned(), |new| new.trim_start_matches('\n').to_owned())
}

/// The text with every resource in lines of its own: between braces nothing can be noted.
pub(super) fn unfolded(text: &str) -> Option<String> {
    let tree = TextTree::read(text)?;
    let mut edits = Vec::new();
    for list in lists(&tree.root) {
        let Body::List(items) = &list.body else { continue };
        let inline = text[list.start..].starts_with('[');
        for item in items {
            let Body::Map { flow: true, pairs } = &item.body else { continue };
            let column = text[line_start(text, item.start)..item.start].chars().count();
            let lines: Vec<&str> = pairs.iter().map(|p| &text[p.start..p.value.end]).collect();
            let plain = lines.iter().zip(pairs).all(|(line, pair)| {
                !line.contains('\n') && line[pair.key_end - pair.start..].starts_with(": ")
            });
            if !inline && plain && !lines.is_empty() {
                edits.push(Edit::new(item.start, item.end, lines.join(&format!("\n{}", " ".repeat(column)))));
            }
        }
    }
    apply(text, edits)
}

/// Sets the fields that undo each resource, and turns the keys of their order around.
pub(super) fn undone(text: &str, tree: &TextTree) -> Option<(String, Vec<Undone>)> {
    let mut edits = Vec::new();
    let mut told: Vec<(usize, Undone)> = Vec::new();
    let defaults = tree.root.pair("defaults").map(|p| &p.value);
    turn(&tree.root, &TURNED[..2], &mut edits);
    for list in lists(&tree.root) {
        let Body::List(items) = &list.body else { continue };
        let mut out = 0;
        for item in items {
            let Some(wanted) = wanted(text, item, defaults) else { continue };
            told.push((item.start, wanted.undone));
            if wanted.out {
                let from = dash(text, item)?;
                edits.push(Edit::new(from, (line_end(text, item.end) + 1).min(text.len()), ""));
                out += 1;
                continue;
            }
            turn(item, &TURNED, &mut edits);
            for (key, value) in &wanted.fields {
                set(text, item, key, value, &mut edits)?;
            }
        }
        if out > 0 && out == items.len() {
            // A list that lost everything is an empty one.
            let at = text[..list.start].rfind(':').map(|i| i + 1)?;
            edits.retain(|e| e.start < at || e.start > list.end);
            edits.push(Edit::new(at, list.end.max(at), " []"));
        }
    }
    told.sort_by_key(|(at, _)| *at);
    Some((apply(text, edits)?, told.into_iter().map(|(_, undone)| undone).collect()))
}

/// The keys of an order as their opposites.
fn turn(item: &Item, pairs: &[(&str, &str)], edits: &mut Vec<Edit>) {
    for (key, opposite) in pairs {
        if let Some(pair) = item.pair(key) {
            edits.push(Edit::new(pair.start, pair.key_end, *opposite));
        }
    }
}

/// The former value that is noted beside a field.
pub(super) fn noted<'t>(text: &'t str, pair: &Pair) -> Option<&'t str> {
    let rest = &text[pair.value.end..line_end(text, pair.value.end)];
    rest.trim_start().strip_prefix(WAS).map(str::trim)
}

/// Sets a field, noting what it was; one that has a note gets its former value back.
fn set(text: &str, item: &Item, key: &str, value: &str, edits: &mut Vec<Edit>) -> Option<()> {
    let Body::Map { flow, pairs } = &item.body else { return None };
    let Some(pair) = item.pair(key) else {
        let kind = item.pair("type")?;
        let first = pairs.first()?;
        if *flow {
            edits.push(Edit::new(kind.value.end, kind.value.end, format!(", {key}: {value}")));
            return Some(());
        }
        let column = text[line_start(text, first.start)..first.start].chars().count();
        let at = line_end(text, kind.value.end);
        edits.push(Edit::new(at, at, format!("\n{}{key}: {value} {WAS}{NOT_GIVEN}", " ".repeat(column))));
        return Some(());
    };
    let (start, end) = (pair.value.start, pair.value.end);
    let old = &text[start..end];
    let rest = &text[end..line_end(text, end)];
    if *flow {
        edits.push(Edit::new(start, end, value));
    } else if let Some(was) = noted(text, pair) {
        let from = line_start(text, pair.start);
        if was == NOT_GIVEN && text[from..pair.start].trim().is_empty() {
            edits.push(Edit::new(from, (line_end(text, end) + 1).min(text.len()), ""));
        } else {
            edits.push(Edit::new(start, end + rest.len(), was));
        }
    } else if old != value {
        let note = if old.contains('\n') { String::new() } else { format!(" {WAS}{old}") };
        edits.push(Edit::new(start, end + rest.len(), format!("{value}{note}")));
    }
    Some(())
}

/// The text with the resources of every list in the opposite order.
pub(super) fn turned(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    let count = lists(&TextTree::read(&text)?.root).len();
    // Blocks first, the list that holds them last: the ranges of one do not reach into the next.
    for i in 0..count {
        let tree = TextTree::read(&text)?;
        let found = lists(&tree.root);
        if let Some(edit) = turned_list(&text, found.get(i)?)? {
            text = apply(&text, vec![edit])?;
        }
    }
    Some(text)
}

fn turned_list(text: &str, list: &Item) -> Option<Option<Edit>> {
    let Body::List(items) = &list.body else { return Some(None) };
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return Some(None) };
    if items.len() < 2 {
        return Some(None);
    }
    if text[list.start..].starts_with('[') {
        let mut new = String::new();
        for (i, item) in items.iter().rev().enumerate() {
            new += if i == 0 { "" } else { ", " };
            new += &text[item.start..item.end];
        }
        return Some(Some(Edit::new(first.start, last.end, new)));
    }
    let pieces: Option<Vec<(usize, usize)>> =
        items.iter().map(|item| Some((dash(text, item)?, line_end(text, item.end)))).collect();
    let pieces = pieces?;
    let mut new = String::new();
    for (i, (from, to)) in pieces.iter().rev().enumerate() {
        if i > 0 {
            let (before, after) = (pieces[i - 1].1, pieces[i].0);
            new += text.get(before..after)?;
        }
        new += text.get(*from..*to)?;
    }
    Some(Some(Edit::new(pieces.first()?.0, pieces.last()?.1, new)))
}

/// The beginning of the line with an element's dash.
fn dash(text: &str, item: &Item) -> Option<usize> {
    let mut at = line_start(text, item.start);
    loop {
        let line = text[at..line_end(text, at)].trim_start();
        if line.starts_with("- ") || line == "-" {
            return Some(at);
        }
        if at == 0 {
            return None;
        }
        at = line_start(text, at - 1);
    }
}

/// The text with another name of the configcrate.
pub(super) fn named(text: &str, name: &str) -> Option<String> {
    let tree = TextTree::read(text)?;
    let edit = match tree.root.pair("name") {
        Some(pair) => Edit::new(pair.value.start, pair.value.end, name),
        None => Edit::new(0, 0, format!("name: {name}\n")),
    };
    apply(text, vec![edit])
}
