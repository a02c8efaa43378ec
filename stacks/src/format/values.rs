//! Repairs of single values: words that look like booleans, modes without quotes, other names of keys, the words of
//! conditions, and the state that goes without saying.
//!
//! It never touches what has an anchor: that stands in more than one place.

use saphyr_parser::ScalarStyle as Style;

use crate::schema::Kind;
use crate::when;

use super::cst::{Body, Cst, Item, Pair, line_end, line_start};
use super::edit::Edit;
use super::shape::{Shape, looks_octal, old_boolean, path_is_alias};

/// What one look at a file found to mend.
#[derive(Default)]
pub(super) struct Found {
    pub edits: Vec<Edit>,
    /// Where, and what is mended there.
    pub repairs: Vec<(usize, String)>,
}

impl Found {
    fn mend(&mut self, item: (usize, usize), new: String, what: String) {
        self.edits.push(Edit::new(item.0, item.1, new));
        self.repairs.push((item.0, what));
    }
}

/// Looks for values to repair.
pub(super) fn repair(text: &str, cst: &Cst, shape: Shape) -> Found {
    let inherits = cst.root.pair("defaults").is_some_and(|d| d.value.pair("state").is_some());
    let mut look = Look { text, inherits, found: Found::default() };
    look.visit(&cst.root, shape, false);
    look.found
}

struct Look<'t> {
    text: &'t str,
    /// Whether the state of a resource may come from `defaults:`.
    inherits: bool,
    found: Found,
}

impl Look<'_> {
    fn visit(&mut self, item: &Item, shape: Shape, in_flow: bool) {
        if item.anchored {
            return;
        }
        match &item.body {
            Body::Alias => {}
            Body::Scalar(text, style) => self.scalar(item, text, *style, shape),
            Body::List(items) => {
                let flow = in_flow || self.text[item.start..].starts_with('[');
                items.iter().for_each(|i| self.visit(i, shape.item(), flow));
            }
            Body::Map { flow, pairs } => {
                let shape = match item.pair("type") {
                    Some(pair) => shape.typed(pair.value.scalar().map(|(text, _)| text)),
                    None => shape,
                };
                self.names(item, pairs, shape);
                self.state(item, pairs, shape, *flow);
                for pair in pairs {
                    self.visit(&pair.value, shape.entry(&pair.key), in_flow || *flow);
                }
            }
        }
    }

    fn scalar(&mut self, item: &Item, text: &str, style: Style, shape: Shape) {
        let range = (item.start, item.end);
        if shape == Shape::When {
            return self.condition(item, text, style);
        }
        if style != Style::Plain {
            return;
        }
        let quoted = format!("\"{text}\"");
        let octal = looks_octal(text)
            || (shape == Shape::Attribute(Kind::Mode)
                && !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_digit()));
        match (shape, old_boolean(text)) {
            (Shape::Attribute(Kind::Bool), Some(value)) => {
                self.found.mend(range, value.to_string(), format!("`{text}` is written {value}"));
            }
            (_, Some(_)) => self.found.mend(range, quoted, format!("the text `{text}` is put in quotes")),
            _ if octal => self.found.mend(range, quoted, format!("`{text}` is put in quotes")),
            _ => {}
        }
    }

    /// `and`, `or` and `not` of a condition as `&&`, `||` and `!`.
    fn condition(&mut self, item: &Item, text: &str, style: Style) {
        let canonical = symbols(text);
        let same = |new: &str| matches!((when::parse(text), when::parse(new)), (Ok(a), Ok(b)) if a == b);
        if canonical == text || !same(&canonical) {
            return;
        }
        let raw = &self.text[item.start..item.end];
        let new = match style {
            Style::Literal | Style::Folded => symbols(raw),
            _ if raw.contains('\n') => return,
            Style::SingleQuoted => format!("'{}'", canonical.replace('\'', "''")),
            Style::Plain if canonical.starts_with(|c: char| c.is_ascii_alphabetic() || c == '(') => canonical,
            _ => format!("\"{}\"", canonical.replace('\\', "\\\\").replace('"', "\\\"")),
        };
        let what = "and, or, not are written &&, ||, !".to_owned();
        self.found.mend((item.start, item.end), new, what);
    }

    fn names(&mut self, item: &Item, pairs: &[Pair], shape: Shape) {
        for pair in pairs {
            match shape {
                Shape::Resource(of)
                    if pair.key == "path" && path_is_alias(of) && item.pair("target_path").is_none() =>
                {
                    let what = "`path` is written `target_path`".to_owned();
                    self.found.mend((pair.start, pair.key_end), "target_path".into(), what);
                }
                Shape::MatchBlock if pair.key == "role" && item.pair("roles").is_none() => {
                    self.role(pair);
                }
                _ => {}
            }
        }
    }

    fn role(&mut self, pair: &Pair) {
        let raw = &self.text[pair.value.start..pair.value.end];
        let simple = pair.value.scalar().is_some_and(|(text, style)| {
            !matches!(style, Style::Literal | Style::Folded)
                && !text.is_empty()
                && old_boolean(text).is_none()
        });
        let plain = !raw.contains(['\n', '[', ']', '{', '}', ',']) || raw.starts_with(['"', '\'']);
        if !simple || !plain || pair.value.marked || looks_octal(raw) {
            return;
        }
        let what = "`role` is written `roles`".to_owned();
        self.found.edits.push(Edit::new(pair.value.start, pair.value.end, format!("[{raw}]")));
        self.found.mend((pair.start, pair.key_end), "roles".into(), what);
    }

    /// Writes out the state that a resource has by default.
    fn state(&mut self, item: &Item, pairs: &[Pair], shape: Shape, flow: bool) {
        let Shape::Resource(Some(of)) = shape else { return };
        let (Some(state), Some(kind)) = (of.default_state(), item.pair("type")) else { return };
        let said = ["state", "case", "match"].iter().any(|key| item.pair(key).is_some());
        if said || self.inherits || kind.value.marked {
            return;
        }
        let what = format!("`state: {state}` is written out");
        if flow {
            let at = kind.value.end;
            return self.found.mend((at, at), format!(", state: {state}"), what);
        }
        let Some(first) = pairs.first() else { return };
        let column = self.text[line_start(self.text, first.start)..first.start].chars().count();
        let at = line_end(self.text, kind.value.end);
        self.found.mend((at, at), format!("\n{}state: {state}", " ".repeat(column)), what);
    }
}

/// A condition with `&&`, `||` and `!` for the words, the texts in it untouched.
fn symbols(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        if chars[i] == '\'' {
            i += 1;
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i = (i + 1).min(chars.len());
            out.extend(&chars[start..i]);
        } else if chars[i].is_alphanumeric() || chars[i] == '_' {
            while i < chars.len() && (chars[i].is_alphanumeric() || matches!(chars[i], '_' | '.' | '-')) {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            match word.as_str() {
                "and" => out += "&&",
                "or" => out += "||",
                "not" => {
                    out.push('!');
                    while chars.get(i) == Some(&' ') {
                        i += 1;
                    }
                }
                _ => out += &word,
            }
        } else {
            out.push(chars[i]);
            i += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::symbols;

    #[test]
    fn words_become_symbols_outside_of_texts() {
        let check = |from: &str, to: &str| assert_eq!(symbols(from), to);
        check("a and not  b or c", "a && !b || c");
        check("distro('x and y') or order", "distro('x and y') || order");
        check("x == 'it''s not' and not(b)", "x == 'it''s not' && !(b)");
    }
}
