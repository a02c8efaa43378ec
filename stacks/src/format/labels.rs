//! The `#~` labels: a line above a configcrate and above each of its resources that says what it does.
//!
//! All `#~` lines of a configcrate are the formatter's own and written anew each time. Operators' comments are never
//! touched.

use crate::schema::Type;

use super::cst::{Body, Cst, Item, line_end, line_start};
use super::edit::Edit;
use super::shape::Shape;

/// Characters of a value in a label.
const SHOWN: usize = 72;

/// The edits that refresh the labels of a configcrate.
pub(super) fn refresh(text: &str, cst: &Cst) -> Vec<Edit> {
    let mut edits: Vec<Edit> = cst
        .comments(text)
        .into_iter()
        .filter(|c| c.alone && text[c.start..c.end].starts_with("#~"))
        .map(|c| Edit::new(line_start(text, c.start), (c.end + 1).min(text.len()), ""))
        .collect();
    let Body::Map { flow: _, pairs } = &cst.root.body else { return edits };
    let mut kinds: Vec<&str> = Vec::new();
    if let Some(resources) = cst.root.pair("resources") {
        label_list(text, &resources.value, resources.key_end, &mut kinds, &mut edits);
    }
    let first = pairs.first().map_or(cst.root.start, |p| p.start);
    if !kinds.is_empty() {
        let at = line_start(text, first.min(cst.root.start));
        edits.push(Edit::new(at, at, format!("#~ Manages {}\n", kinds.join(", "))));
    }
    edits
}

fn label_list<'c>(text: &str, list: &'c Item, after: usize, kinds: &mut Vec<&'c str>, edits: &mut Vec<Edit>) {
    let Body::List(items) = &list.body else { return };
    let inline = text[list.start..].starts_with('[');
    let mut end = after;
    for item in items {
        let dash = dash_line(text, end, item.start);
        end = item.end;
        if let Some(block) = item.pair("conditional_block") {
            if let Some(resources) = block.value.pair("resources") {
                label_list(text, &resources.value, resources.key_end, kinds, edits);
            }
            continue;
        }
        let Some((kind, _)) = item.pair("type").and_then(|p| p.value.scalar()) else { continue };
        if !kinds.contains(&kind) && kinds.len() < 20 {
            kinds.push(kind);
        }
        let (Shape::Resource(Some(of)), Some(at)) = (Shape::Resource(None).typed(Some(kind)), dash) else {
            continue;
        };
        if !inline {
            let line = &text[at..line_end(text, at)];
            let indent = &line[..line.len() - line.trim_start().len()];
            edits.push(Edit::new(at, at, format!("{indent}#~ {}\n", described(item, of))));
        }
    }
}

/// The line on which an element begins whose value begins at `start`, after `end`.
fn dash_line(text: &str, end: usize, start: usize) -> Option<usize> {
    let mut at = line_end(text, end) + 1;
    while at <= start {
        let line = text.get(at..line_end(text, at))?.trim_start();
        if line.starts_with("- ") || line == "-" {
            return Some(at);
        }
        at = line_end(text, at) + 1;
    }
    None
}

/// What a resource does, in a line.
fn described(item: &Item, of: &Type) -> String {
    let text = |key: &str| item.pair(key).and_then(|p| p.value.scalar()).map(|(text, _)| text);
    let named = of.attributes.iter().filter(|a| a.required).find_map(|a| text(a.name));
    let what = shown(named.or_else(|| text("name")).unwrap_or_default());
    let kind = of.name.replace('_', " ");
    let state = text("state").or(of.default_state());
    let mut line = match (of.name, state) {
        ("file", Some("present")) => format!("Write {what}"),
        ("directory", Some("present")) => format!("Make the directory {what}"),
        ("symlink", Some("present")) => format!("Link {what}"),
        ("package", Some("present")) => format!("Install {what}"),
        ("package", Some("latest")) => format!("Keep {what} up to date"),
        ("service", Some("running")) => format!("Run the service {what}"),
        ("service", Some("stopped")) => format!("Stop the service {what}"),
        ("service", Some("restarted")) => format!("Restart the service {what}"),
        ("service", Some("reloaded")) => format!("Reload the service {what}"),
        ("file", Some("absent")) => format!("Remove {what}"),
        (_, Some("absent")) => format!("Remove the {kind} {what}"),
        (_, Some("present")) => format!("Manage the {kind} {what}"),
        (_, Some(state)) => format!("Manage the {kind} {what}: {}", shown(state)),
        ("exec", None) => format!("Run {what}"),
        (_, None) => format!("Do {kind}: {what}"),
    };
    if text("when").is_some_and(|when| when.split(|c: char| !c.is_alphanumeric()).any(|w| w == "changed")) {
        line += " when triggered";
    }
    if let Some(list) = text("foreach") {
        line += &format!(", for each of {}", shown(list));
    }
    if text("revert") == Some("true") {
        line += "; being undone by revert: true";
    } else if text("on_revert").is_some() || matches!(of.name, "hostname" | "timezone") {
        line += "; revert: true undoes it";
    }
    line
}

/// A text on one line, cut, without what a terminal would obey.
fn shown(text: &str) -> String {
    let line = text.lines().next().unwrap_or("").trim();
    let clean = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = clean.take(SHOWN).collect();
    if short.chars().count() < text.trim().chars().count() {
        short = short.trim_end().to_owned() + "…";
    }
    short
}
