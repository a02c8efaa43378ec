//! What a file means, with everything that the formatter may repair already repaired: two files of one meaning give
//! equal values.
//!
//! It works on the tree that the language itself reads, not on the formatter's, so that a mistake of the edits shows.
//! It never forgives a difference that is not a declared repair: order in lists, in lookup tables and in variables
//! counts, and every byte of a text does.

use std::collections::BTreeMap;

use crate::schema::Kind;
use crate::when;
use crate::yaml::{Data, Entry, Node, Scalar, Style};

use super::shape::{Shape, looks_octal, old_boolean, path_is_alias};

/// A value without its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A text in quotes, a block, or what the formatter may put in quotes.
    Text(String),
    /// A scalar without quotes.
    Plain(String),
    List(Vec<Meaning>),
    /// A map whose order says nothing.
    Keys(BTreeMap<String, Meaning>),
    /// A map whose order may.
    Map(Vec<(String, Meaning)>),
}

/// What `node` means as the file at `path`.
pub(crate) fn of_file(path: &str, node: &Node) -> Meaning {
    let keys = match &node.data {
        Data::Map(entries) => entries.iter().map(|e| e.key.as_str()).collect(),
        _ => Vec::new(),
    };
    let shape = Shape::of_file(path, keys.into_iter());
    of(node, shape, inherits_state(node))
}

/// Whether the `defaults:` of a configcrate give a state.
fn inherits_state(node: &Node) -> bool {
    let of = |node: &Node, key: &str| match &node.data {
        Data::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| e.value.clone()),
        _ => None,
    };
    of(node, "defaults").is_some_and(|defaults| of(&defaults, "state").is_some())
}

fn of(node: &Node, shape: Shape, inherits: bool) -> Meaning {
    match &node.data {
        Data::Scalar(scalar) => of_scalar(scalar, shape),
        Data::List(items) => {
            Meaning::List(items.iter().map(|item| of(item, shape.item(), inherits)).collect())
        }
        Data::Map(entries) => of_map(entries, shape, inherits),
    }
}

fn of_scalar(scalar: &Scalar, shape: Shape) -> Meaning {
    let text = scalar.text.clone();
    if shape == Shape::When
        && let Ok(expr) = when::parse(&text)
    {
        return Meaning::Text(expr.to_string());
    }
    if scalar.style != Style::Plain {
        return Meaning::Text(text);
    }
    match shape {
        Shape::Attribute(Kind::Bool) => match old_boolean(&text) {
            Some(value) => Meaning::Plain(value.to_string()),
            None => Meaning::Plain(text),
        },
        Shape::Attribute(Kind::Mode) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            Meaning::Text(text)
        }
        _ if old_boolean(&text).is_some() || looks_octal(&text) => Meaning::Text(text),
        _ => Meaning::Plain(text),
    }
}

fn of_map(entries: &[Entry], shape: Shape, inherits: bool) -> Meaning {
    let has = |key: &str| entries.iter().any(|e| e.key == key);
    let text = |key: &str| match entries.iter().find(|e| e.key == key).map(|e| &e.value.data) {
        Some(Data::Scalar(scalar)) => Some(scalar.text.as_str()),
        _ => None,
    };
    let shape = if has("type") { shape.typed(text("type")) } else { shape };
    let mut values: Vec<(String, Meaning)> = Vec::new();
    for entry in entries {
        let (mut key, mut value) = (entry.key.as_str(), of(&entry.value, shape.entry(&entry.key), inherits));
        match shape {
            Shape::Resource(of) if key == "path" && path_is_alias(of) && !has("target_path") => {
                key = "target_path";
                value = self::of(&entry.value, shape.entry(key), inherits);
            }
            Shape::MatchBlock if key == "role" && !has("roles") => {
                key = "roles";
                if !matches!(value, Meaning::List(_)) {
                    value = Meaning::List(vec![value]);
                }
            }
            _ => {}
        }
        values.push((key.to_owned(), value));
    }
    if let Shape::Resource(Some(of)) = shape
        && let Some(state) = of.default_state()
        && has("type")
        && !inherits
        && !["state", "case", "match"].iter().any(|key| has(key))
    {
        values.push(("state".into(), Meaning::Plain(state.into())));
    }
    if shape.rank("").is_some() { Meaning::Keys(values.into_iter().collect()) } else { Meaning::Map(values) }
}
