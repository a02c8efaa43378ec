//! `.Each` and `.Item` in templates: found, and replaced at publish by what they stand for (D1).
//!
//! A text or number that stands alone in its action becomes plain text; anywhere else the value becomes a literal, so
//! that the rest of the action works on it as on any other. A list becomes `(list …)`, a map `(dict …)`. What a value
//! holds is never taken for a template: the invariant is that no action is added, and none is taken away but those that
//! were replaced whole.

use serde_json::Value;

use super::{TEMPLATE_BYTES, blocks, line_column};

/// One mention of `.Each` or `.Item` in an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// The names after the dot, the first of them `Each` or `Item`.
    pub path: Vec<String>,
    /// Line in the template, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    start: usize,
    end: usize,
    /// The whole action, if the mention is all there is in it and blanks around it stay.
    alone: Option<(usize, usize)>,
}

impl Mention {
    /// As it is written.
    pub fn shown(&self) -> String {
        self.path.iter().map(|part| format!(".{part}")).collect()
    }
}

/// Why a mention could not be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The mention, as it is written.
    pub mention: String,
    /// Line in the template, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub why: String,
}

/// Every mention in `text`, in order.
pub(crate) fn mentions(text: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    if !text.contains(".Each") && !text.contains(".Item") {
        return found;
    }
    for (offset, inside) in blocks::actions(text) {
        let before = found.len();
        scan_action(text, offset, inside, &mut found);
        if let [only] = &mut found[before..] {
            only.alone = whole(text, offset, inside, only);
        }
    }
    found
}

/// The action around a mention, if there is nothing else in it.
fn whole(text: &str, offset: usize, inside: &str, mention: &Mention) -> Option<(usize, usize)> {
    let rest = text[mention.end..offset + inside.len()].trim();
    let open = text[..offset].rfind("{{")?;
    let plain = text[open + 2..offset].trim().is_empty() && mention.start == offset && rest.is_empty();
    plain.then_some((open, offset + inside.len() + 2))
}

/// Finds the mentions of one action: outside its quoted texts and comments, at the beginning of a field.
fn scan_action(text: &str, offset: usize, inside: &str, found: &mut Vec<Mention>) {
    let bytes = inside.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            quote @ (b'"' | b'\'' | b'`') => {
                i += 1;
                while i < bytes.len() && bytes[i] != quote {
                    i += if bytes[i] == b'\\' && quote != b'`' { 2 } else { 1 };
                }
                i += 1;
            }
            b'/' if bytes.get(i + 1) == Some(&b'*') => match inside[i..].find("*/") {
                Some(end) => i += end + 2,
                None => return,
            },
            b'.' => {
                let root = i > 0 && bytes[i - 1] == b'$';
                let before = if root {
                    i.checked_sub(2).map(|b| bytes[b])
                } else {
                    i.checked_sub(1).map(|b| bytes[b])
                };
                let begins = before
                    .is_none_or(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b')' | b'$')));
                let (path, end) = field(inside, i);
                let ours = path.first().is_some_and(|first| first == "Each" || first == "Item");
                if begins && ours {
                    let start = offset + i - usize::from(root);
                    let (line, column) = line_column(text, start);
                    found.push(Mention { path, line, column, start, end: offset + end, alone: None });
                }
                i = end.max(i + 1);
            }
            _ => i += 1,
        }
    }
}

/// The names of a field that begins at `at`, and where it ends.
fn field(inside: &str, at: usize) -> (Vec<String>, usize) {
    let (mut path, mut end) = (Vec::new(), at);
    while inside[end..].starts_with('.') {
        let name = &inside[end + 1..];
        let length = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
        if length == 0 {
            break;
        }
        path.push(name[..length].to_string());
        end += 1 + length;
    }
    (path, end)
}

/// Replaces every mention in `text` by what it stands for in `items`, of which the first that has it counts.
///
/// # Errors
/// The first mention that stands for nothing, or a result over [`TEMPLATE_BYTES`].
pub(crate) fn substitute(text: &str, items: &[&Value]) -> Result<String, Gap> {
    let mut out = String::with_capacity(text.len());
    let mut next = 0;
    for mention in mentions(text) {
        let gap = |why| Gap { mention: mention.shown(), line: mention.line, column: mention.column, why };
        let value = lookup(&mention.path, items).map_err(gap)?;
        if value.is_null() && mention.alone.is_some() {
            return Err(gap("it has no value here".to_string()));
        }
        let (start, end, put) = match (mention.alone, plain(value)) {
            (Some((open, close)), Some(text)) => (open, close, text),
            _ => (mention.start, mention.end, literal(value)),
        };
        out.push_str(&text[next..start]);
        out.push_str(&put);
        next = end;
        if out.len() > TEMPLATE_BYTES {
            return Err(gap(format!("with it the text is longer than {TEMPLATE_BYTES} bytes")));
        }
    }
    out.push_str(&text[next..]);
    Ok(out)
}

/// What a path stands for.
fn lookup<'v>(path: &[String], items: &[&'v Value]) -> Result<&'v Value, String> {
    let (first, rest) = path.split_first().ok_or("it names nothing")?;
    let reach = |item: &'v Value| rest.iter().try_fold(item, |at, part| at.get(part));
    // `.Item` is the innermost element; a field may also be one of an element further out.
    let depth = if first == "Item" { 1 } else { items.len() };
    if let Some(value) = items.iter().take(depth).find_map(|item| reach(item)) {
        return Ok(value);
    }
    Err(match items.first() {
        None => "it has a value only with `foreach:`".to_string(),
        Some(Value::Object(map)) => {
            let known: Vec<&str> = map.keys().map(String::as_str).collect();
            match rest.first().and_then(|name| vigo_base::text::nearest(name, known.iter().copied())) {
                Some(near) => format!("the element does not have it; did you mean .{first}.{near}?"),
                None => format!("the element does not have it, only {}", known.join(", ")),
            }
        }
        Some(_) => "the elements of the list are no maps: write {{ .Item }}".to_string(),
    })
}

/// The text of a value that may stand in place of an action, if nothing in it looks like one.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.contains(['{', '}']) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The value as it is written in an action.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_string(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: String = items.iter().map(|item| format!(" {}", literal(item))).collect();
            format!("(list{items})")
        }
        Value::Object(map) => {
            let pairs: String = map.iter().map(|(k, v)| format!(" {} {}", quoted(k), literal(v))).collect();
            format!("(dict{pairs})")
        }
    }
}

/// A text in double quotes; braces are escaped, so that none of them closes the action.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '{' | '}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
