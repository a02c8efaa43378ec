//! Go templates over `.Vars` and `.Traits` (D1, D4, D30).
//!
//! [`check`] is for publish: syntax, functions, variables and named templates are known. [`render`] is for the
//! envoy. A missing key is falsy in a condition and an error when printed; `<no value>` is never written.
//! Output, steps and intermediate texts are bounded. It never reads a file or the environment.
//!
//! How printing is watched: the parsed tree is rewritten before it runs, so that every value about to become
//! text passes a guard, and every action first notes its position; errors therefore have a line and a column.

mod blocks;
mod each;
mod format;
mod rewrite;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gotmpl::parse::{DefineNode, ListNode, Parser};
use gotmpl::{Template, TemplateError as GoError, Value as GoValue};
use serde_json::Value;

pub(crate) use each::{Gap, mentions, substitute};
pub use rewrite::Printed;

/// Bytes that a template may render to.
pub const OUTPUT_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of the text of a template.
pub const TEMPLATE_BYTES: usize = 16 * 1024 * 1024;
/// Actions that one rendering may perform.
const STEPS: usize = 1_000_000;
/// The name of the outermost template; no operator can write it.
const MAIN: &str = "\u{1}main";

/// Why a text is no template, or could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template line {line}, column {column}: {message}")]
pub struct TemplateError {
    /// Line in the template, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to put it right; may be empty.
    pub help: String,
}

/// Whether `text` holds a template action.
pub fn holds(text: &str) -> bool {
    text.contains("{{")
}

/// Checks `text` as far as that is possible without values, and lists the names that it prints for certain. `.Each` and
/// `.Item` may stand in it: they are replaced before anything is rendered.
///
/// # Errors
/// The first mistake: syntax, an unknown function, variable, named template or namespace.
pub fn check(text: &str) -> Result<Vec<Printed>, TemplateError> {
    let (tree, defines) = parse(text)?;
    rewrite::check(text, &tree, &defines, true)
}

/// Renders `text`.
///
/// # Errors
/// A mistake in the template, a missing key that would be printed, or more than [`OUTPUT_BYTES`] of output.
pub fn render(text: &str, vars: &BTreeMap<String, Value>, traits: &Value) -> Result<String, TemplateError> {
    run(text, vars, traits, Missing::Refused)
}

/// Renders a text inside a `when:`, where a missing key is empty rather than an error (D30).
///
/// # Errors
/// As [`render`], except for missing keys.
pub fn render_condition(
    text: &str,
    vars: &BTreeMap<String, Value>,
    traits: &Value,
) -> Result<String, TemplateError> {
    run(text, vars, traits, Missing::Empty)
}

#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Refused,
    Empty,
}

fn run(
    text: &str,
    vars: &BTreeMap<String, Value>,
    traits: &Value,
    missing: Missing,
) -> Result<String, TemplateError> {
    if !holds(text) {
        return Ok(text.to_string());
    }
    let (tree, defines) = parse(text)?;
    rewrite::check(text, &tree, &defines, false)?;
    let position = Arc::new(AtomicUsize::new(0));
    let mut template = guarded(Arc::clone(&position), missing).add_parse_tree(MAIN, rewrite::watched(tree));
    for define in defines {
        template = template.add_parse_tree(define.name.as_str(), rewrite::watched(define.body));
    }
    let vars = GoValue::Map(Arc::new(
        vars.iter().map(|(k, v)| (Arc::from(k.as_str()), to_go(v))).collect::<BTreeMap<Arc<str>, GoValue>>(),
    ));
    let data: BTreeMap<Arc<str>, GoValue> =
        BTreeMap::from([(Arc::from("Vars"), vars), (Arc::from("Traits"), to_go(traits))]);
    let mut out = Bounded { text: String::new(), full: false };
    let done = template.execute_template_fmt(&mut out, MAIN, &GoValue::Map(Arc::new(data)));
    match done {
        Ok(()) => Ok(out.text),
        Err(_) if out.full => {
            let message = format!("the result is longer than {OUTPUT_BYTES} bytes");
            Err(at_offset(text, position.load(Ordering::Relaxed), message))
        }
        Err(error) => Err(located(text, position.load(Ordering::Relaxed), error)),
    }
}

/// A template with our functions: `default`, and the guards that [`rewrite`] inserts.
fn guarded(position: Arc<AtomicUsize>, missing: Missing) -> Template {
    let steps = Arc::new(AtomicUsize::new(0));
    let (of_lists, of_maps) = (Arc::clone(&steps), Arc::clone(&steps));
    Template::new("")
        .max_range_iters(STEPS as u64)
        .func("default", |args| match args {
            [fallback, value] => Ok(if gotmpl::is_true(value) { value.clone() } else { fallback.clone() }),
            _ => Err(GoError::Exec("default needs a fallback: `.Vars.x | default \"info\"`".into())),
        })
        .func("list", move |args| {
            charge(&of_lists, args)?;
            Ok(GoValue::List(args.iter().cloned().collect()))
        })
        .func("dict", move |args| {
            charge(&of_maps, args)?;
            let mut map: BTreeMap<Arc<str>, GoValue> = BTreeMap::new();
            for pair in args.chunks(2) {
                match pair {
                    [GoValue::String(key), value] => drop(map.insert(Arc::clone(key), value.clone())),
                    _ => return Err(GoError::Exec("dict needs pairs: a text, then its value".into())),
                }
            }
            Ok(GoValue::Map(Arc::new(map)))
        })
        .func(rewrite::AT, move |args| {
            if let [GoValue::Int(offset)] = args {
                position.store(usize::try_from(*offset).unwrap_or(0), Ordering::Relaxed);
            }
            if steps.fetch_add(1, Ordering::Relaxed) >= STEPS {
                return Err(GoError::Exec(format!("more than {STEPS} actions were performed")));
            }
            Ok(GoValue::String("".into()))
        })
        .func(rewrite::PRINTED, move |args| match args {
            [name, value] => printable(name, value, missing),
            _ => Err(GoError::Exec("nothing to print".into())),
        })
        .func(rewrite::FORMAT, |args| match args {
            [GoValue::String(format)] => {
                format::check(format).map_err(GoError::Exec)?;
                Ok(GoValue::String(format.clone()))
            }
            [other] => Ok(other.clone()),
            _ => Err(GoError::Exec("printf needs a format".into())),
        })
}

/// What a list or a map holds, lists in it included, counts as actions: a list of itself twice, again and again, is
/// made in no time and never looked through.
fn charge(steps: &AtomicUsize, args: &[GoValue]) -> gotmpl::Result<()> {
    let (mut weight, mut open) = (0, args.iter().collect::<Vec<_>>());
    while let Some(value) = open.pop() {
        weight += 1;
        if weight > STEPS {
            break;
        }
        match value {
            GoValue::List(items) => open.extend(items.iter()),
            GoValue::Map(map) => open.extend(map.values()),
            _ => {}
        }
    }
    if steps.fetch_add(weight, Ordering::Relaxed) + weight > STEPS {
        return Err(GoError::Exec(format!("its lists and maps come to more than {STEPS} values")));
    }
    Ok(())
}

/// The guard: what may become text.
fn printable(name: &GoValue, value: &GoValue, missing: Missing) -> gotmpl::Result<GoValue> {
    match value {
        GoValue::Nil if missing == Missing::Empty => Ok(GoValue::String("".into())),
        GoValue::Nil => Err(GoError::Exec(format!("{name} has no value"))),
        GoValue::String(text) if text.len() > OUTPUT_BYTES => {
            Err(GoError::Exec(format!("a text is longer than {OUTPUT_BYTES} bytes")))
        }
        GoValue::List(_) | GoValue::Map(_) if holds_nil(value) => {
            Err(GoError::Exec(format!("{name} holds an element without a value")))
        }
        other => Ok(other.clone()),
    }
}

fn holds_nil(value: &GoValue) -> bool {
    match value {
        GoValue::Nil => true,
        GoValue::List(items) => items.iter().any(holds_nil),
        GoValue::Map(map) => map.values().any(holds_nil),
        _ => false,
    }
}

fn parse(text: &str) -> Result<(ListNode, Vec<DefineNode>), TemplateError> {
    if text.len() > TEMPLATE_BYTES {
        let message = format!("the template has {} bytes, at most {TEMPLATE_BYTES} are allowed", text.len());
        return Err(at_offset(text, 0, message));
    }
    let actions = blocks::scan(text)?;
    let parsed = Parser::new(text, "{{", "}}").and_then(Parser::parse);
    let (tree, defines) = parsed.map_err(|e| located(text, 0, e))?;
    blocks::check(text, actions, &tree, &defines)?;
    Ok((tree, defines))
}

fn to_go(value: &Value) -> GoValue {
    match value {
        Value::Null => GoValue::Nil,
        Value::Bool(b) => GoValue::Bool(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => GoValue::Int(i),
            (None, Some(u)) => GoValue::Uint(u),
            (None, None) => GoValue::Float(n.as_f64().unwrap_or(0.0)),
        },
        Value::String(s) => GoValue::String(Arc::from(s.as_str())),
        Value::Array(items) => GoValue::List(items.iter().map(to_go).collect()),
        Value::Object(map) => {
            GoValue::Map(Arc::new(map.iter().map(|(k, v)| (Arc::from(k.as_str()), to_go(v))).collect()))
        }
    }
}

/// Line and column of a byte offset, both from 1, the column in characters.
fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

fn at_offset(text: &str, offset: usize, message: String) -> TemplateError {
    let (line, column) = line_column(text, offset);
    TemplateError { line, column, message, help: String::new() }
}

fn located(text: &str, offset: usize, error: GoError) -> TemplateError {
    match error {
        GoError::Parse { line, col, message, .. } | GoError::Lex { line, col, message, .. } => {
            TemplateError { line, column: col, message, help: String::new() }
        }
        GoError::Exec(message) => {
            let help = if message.ends_with(" has no value") {
                "set it, give it a fallback with `| default \"…\"`, or ask first with `{{ if … }}`"
            } else {
                ""
            };
            TemplateError { help: help.into(), ..at_offset(text, offset, message) }
        }
        other => at_offset(text, offset, other.to_string()),
    }
}

/// A text that refuses to grow beyond [`OUTPUT_BYTES`].
struct Bounded {
    text: String,
    full: bool,
}

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        if self.text.len() + s.len() > OUTPUT_BYTES {
            self.full = true;
            return Err(std::fmt::Error);
        }
        self.text.push_str(s);
        Ok(())
    }
}
