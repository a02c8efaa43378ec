//! Scalars: YAML 1.2 core values, and the traps of unquoted ones (D32).
//!
//! A value that another reader of YAML would take for something else is reported, never guessed in silence.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Condition, Name, Spanned, Vars};
use crate::rules;
use crate::template;
use crate::when;
use crate::yaml::{Data, Node, Scalar, Style};

use super::Reader;

/// Bytes of a name.
const NAME_BYTES: usize = 128;

impl Reader<'_> {
    /// The text of a scalar; numbers and booleans give the characters that stand in the file.
    pub(super) fn text(&mut self, node: &Node, expected: &str) -> Option<String> {
        match &node.data {
            Data::Scalar(scalar) if !node.is_null() => {
                self.note_traps(scalar, &node.site, true);
                self.refuse_secret(&scalar.text, &node.site).then(|| scalar.text.clone())
            }
            _ => {
                let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "this is no text");
                let help = match &node.data {
                    Data::Map(entries) if entries.is_empty() => "a value that begins with {{ needs quotes",
                    _ => "",
                };
                self.sink.push(diagnostic.found(&node.shown()).expected(expected).help(help));
                None
            }
        }
    }

    /// A name: of a configcrate, a role, a tag.
    pub(super) fn name(&mut self, node: &Node, of: &str) -> Option<Name> {
        let text = self.text(node, &format!("the name of {of}"))?;
        let wrong = if template::holds(&text) {
            Some("templates stand in the names of resources only, for the elements of `foreach:`")
        } else {
            name_fault(&text)
        };
        self.named(node, text, of, wrong)
    }

    /// The name of a resource, or a reference to one: elements of `foreach:` may stand in it. A reference may have
    /// the configcrate before a `/`, and the key of an instance in brackets.
    pub(super) fn own_name(&mut self, node: &Node, of: &str) -> Option<Name> {
        let text = self.text(node, &format!("the name of {of}"))?;
        if template::holds(&text) {
            let wrong = match (template::check(&text), template::mentions(&text).is_empty()) {
                (Err(error), _) => {
                    let site = node.site_within(error.line, error.column);
                    let diagnostic = Diagnostic::error(rules::TEMPLATE_INVALID, &site, error.message);
                    self.sink.push(diagnostic.help(error.help));
                    return None;
                }
                (Ok(_), true) => {
                    Some("only the elements of `foreach:` may stand in it: {{ .Item }} or {{ .Each.… }}")
                }
                (Ok(_), false) => None,
            };
            return self.named(node, text, of, wrong);
        }
        let wrong = if of == "a reference" { reference_fault(&text) } else { name_fault(&text) };
        self.named(node, text, of, wrong)
    }

    fn named(&mut self, node: &Node, text: String, of: &str, wrong: Option<&str>) -> Option<Name> {
        match wrong {
            None => Some(Spanned { value: text, site: node.site.clone() }),
            Some(why) => {
                let message = format!("this cannot be the name of {of}");
                let message = if of == "a reference" { "this cannot be a reference".into() } else { message };
                let diagnostic = Diagnostic::error(rules::NAME_INVALID, &node.site, message);
                self.sink.push(diagnostic.found(&text).help(why));
                None
            }
        }
    }

    /// A list of names.
    pub(super) fn names(&mut self, node: &Node, of: &str) -> Vec<Name> {
        let items = self.list(node, &format!("names of {of}s").replace("of a ", "of "));
        items.iter().filter_map(|item| self.name(item, of)).collect()
    }

    /// True or false.
    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        if let Data::Scalar(Scalar { text, style: Style::Plain }) = &node.data {
            let lower = text.to_ascii_lowercase();
            match lower.as_str() {
                "true" => return Some(true),
                "false" => return Some(false),
                "yes" | "on" | "no" | "off" => {
                    let value = matches!(lower.as_str(), "yes" | "on");
                    let message = format!("`{text}` is taken for {value}");
                    let help = format!("write {value}");
                    self.sink.push(Diagnostic::warning(rules::YAML_BOOLEAN, &node.site, message).help(help));
                    return Some(value);
                }
                _ => {}
            }
        }
        let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "this is neither true nor false");
        let help = match &node.data {
            Data::Scalar(s) if matches!(s.text.as_str(), "true" | "false") => "remove the quotes",
            _ => "",
        };
        self.sink.push(diagnostic.found(&node.shown()).expected("true or false").help(help));
        None
    }

    /// A whole number within bounds.
    pub(super) fn whole(&mut self, node: &Node, low: u64, high: u64) -> Option<u64> {
        let number = match &node.data {
            Data::Scalar(s) if s.style == Style::Plain => s.text.parse::<u64>().ok(),
            _ => None,
        };
        match number {
            Some(n) if (low..=high).contains(&n) => Some(n),
            _ => {
                let diagnostic =
                    Diagnostic::error(rules::VALUE_KIND, &node.site, "this number is not allowed");
                let expected = format!("a whole number from {low} to {high}");
                let quoted = matches!(&node.data, Data::Scalar(s) if s.style != Style::Plain);
                let help = if quoted { "write the number without quotes" } else { "" };
                self.sink.push(diagnostic.found(&node.shown()).expected(expected).help(help));
                None
            }
        }
    }

    /// Variables.
    pub(super) fn vars(&mut self, node: &Node) -> Vars {
        let Data::Map(entries) = &node.data else {
            if !node.is_null() {
                let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "`vars:` is a map");
                self.sink.push(diagnostic.found(&node.shown()).expected("names and values"));
            }
            return Vars::new();
        };
        let mut vars = Vars::new();
        for entry in entries {
            if self.refuse_var(&entry.key, &entry.key_site, &entry.value) {
                continue;
            }
            if let Some(value) = self.value(&entry.value) {
                vars.insert(entry.key.clone(), Spanned { value, site: entry.key_site.clone() });
            }
        }
        vars
    }

    /// Reports a variable that cannot be: a conditional one, or one with the name of a word.
    fn refuse_var(&mut self, key: &str, site: &Site, value: &Node) -> bool {
        if let Data::Map(inner) = &value.data {
            if super::branches::is_conditional(inner) {
                let message = format!("the conditional variable `{key}` does not belong here");
                let help = "conditional variables stand in the `vars:` of a configcrate; elsewhere set true or false";
                self.sink.push(Diagnostic::error(rules::CONDITIONAL_VARIABLE, site, message).help(help));
                return true;
            }
            if inner.iter().any(|e| e.key == "default")
                && inner.iter().any(|e| e.key.starts_with("tag:") || e.key.contains('='))
            {
                let message = format!("the variable `{key}` is a lookup table");
                let help = "lookup tables are values of attributes: put the table where the variable is used";
                self.sink.push(Diagnostic::error(rules::LOOKUP_PLACE, site, message).help(help));
                return true;
            }
        }
        self.refuse_word(key, site)
    }

    /// Reports a variable that has the name of a word of conditions.
    pub(super) fn refuse_word(&mut self, key: &str, site: &Site) -> bool {
        let word = ["true", "false", "changed", "and", "or", "not"].contains(&key);
        if word {
            let message = format!("`{key}` is a word of conditions and cannot name a variable");
            self.sink.push(Diagnostic::error(rules::NAME_INVALID, site, message).help("choose another name"));
        }
        word
    }

    /// A value of the YAML core schema.
    pub(super) fn value(&mut self, node: &Node) -> Option<Value> {
        match &node.data {
            Data::Scalar(scalar) => self.scalar(scalar, node),
            Data::List(items) => {
                let values: Vec<Option<Value>> = items.iter().map(|i| self.value(i)).collect();
                values.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
            }
            Data::Map(entries) => {
                let mut map = BTreeMap::new();
                for entry in entries {
                    map.insert(entry.key.clone(), self.value(&entry.value)?);
                }
                Some(Value::Object(map.into_iter().collect()))
            }
        }
    }

    fn scalar(&mut self, scalar: &Scalar, node: &Node) -> Option<Value> {
        let text = scalar.text.as_str();
        if scalar.style != Style::Plain {
            if template::holds(text) {
                let message = "a template in a variable is not rendered";
                let help = "put the template where the variable is used";
                self.sink.push(Diagnostic::warning(rules::TEMPLATE_IN_VARS, &node.site, message).help(help));
            }
            return self.refuse_secret(text, &node.site).then(|| Value::String(text.into()));
        }
        if node.is_null() {
            return Some(Value::Null);
        }
        self.note_traps(scalar, &node.site, false);
        match text {
            "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
            "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
            _ => {}
        }
        if looks_octal(text) {
            return Some(Value::String(text.into()));
        }
        match number(text) {
            Some(Ok(value)) => Some(value),
            Some(Err(why)) => {
                let diagnostic = Diagnostic::error(rules::YAML_NUMBER, &node.site, why);
                self.sink.push(diagnostic.found(text).help("put it in quotes"));
                None
            }
            None => self.refuse_secret(text, &node.site).then(|| Value::String(text.into())),
        }
    }

    /// Warns about unquoted scalars that mislead. `as_text`: the characters are kept as they are.
    fn note_traps(&mut self, scalar: &Scalar, site: &Site, as_text: bool) {
        if scalar.style != Style::Plain {
            return;
        }
        let text = scalar.text.as_str();
        if matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off") {
            let message = format!("`{text}` is the text \"{text}\" in YAML 1.2, and a boolean in YAML 1.1");
            let help = format!("write true or false, or \"{text}\" in quotes");
            self.sink.push(Diagnostic::warning(rules::YAML_BOOLEAN, site, message).help(help));
        } else if looks_octal(text) {
            let message = format!("`{text}` without quotes is taken for the text \"{text}\"");
            let help = format!("write \"{text}\" in quotes");
            self.sink.push(Diagnostic::warning(rules::YAML_OCTAL, site, message).help(help));
        } else if !as_text
            && let Some(Ok(Value::Number(n))) = number(text)
            && n.is_f64()
            && n.to_string() != text
        {
            let message = format!("`{text}` is a number and will print as {n}");
            let help = format!("write \"{text}\" in quotes to keep its digits");
            self.sink.push(Diagnostic::warning(rules::YAML_NUMBER, site, message).help(help));
        }
    }

    /// Reports a `secret:` reference; true if there is none.
    fn refuse_secret(&mut self, text: &str, site: &Site) -> bool {
        let secret = text.starts_with("secret:");
        if secret {
            let message = "secrets (`secret:…`) are part of the language but not of this version";
            let help = "take the value out, or place the secret on the machine by other means";
            self.sink.push(Diagnostic::error(rules::SECRET_UNSUPPORTED, site, message).help(help));
        }
        !secret
    }

    /// A condition.
    pub(super) fn condition(&mut self, node: &Node) -> Option<Condition> {
        let text = match &node.data {
            Data::Scalar(scalar) if !node.is_null() => scalar.text.as_str(),
            _ => {
                let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "this is no condition");
                let expected = "a text like \"os_family('debian')\"";
                self.sink.push(diagnostic.found(&node.shown()).expected(expected));
                return None;
            }
        };
        match when::parse(text) {
            Ok(expr) => {
                self.check_texts(&expr, node);
                Some(Spanned { value: expr, site: node.site.clone() })
            }
            Err(error) => {
                let before: String = text.chars().take(error.at).collect();
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                let mut site = node.site_within(line, column);
                site.length = error.len.max(1);
                self.sink.push(Diagnostic::error(rules::WHEN_INVALID, &site, error.message).help(error.help));
                None
            }
        }
    }

    /// Checks the templates in the texts of a condition.
    fn check_texts(&mut self, expr: &when::Expr, node: &Node) {
        for text in expr.texts().into_iter().filter(|t| template::holds(t)) {
            if let Err(error) = template::check(text) {
                self.sink.push(
                    Diagnostic::error(rules::TEMPLATE_INVALID, &node.site, error.message).help(error.help),
                );
            }
        }
    }
}

/// What is wrong with a name.
pub(crate) fn name_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > NAME_BYTES {
        Some("a name has 1 to 128 bytes")
    } else if text.chars().any(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '))) {
        Some("letters, digits, spaces, `.`, `-` and `_` are allowed")
    } else if text.trim() != text {
        Some("a name does not begin or end with a space")
    } else {
        None
    }
}

/// What is wrong with a reference: names, with keys of instances in brackets.
fn reference_fault(text: &str) -> Option<&'static str> {
    let part = |text: &str| match text.strip_suffix(']').and_then(|t| t.split_once('[')) {
        Some((name, key)) => name_fault(name).or_else(|| crate::expand::key_fault(key)),
        None => name_fault(text),
    };
    match text.split_once('/') {
        Some((configcrate, resource)) => part(configcrate).or_else(|| part(resource)),
        None => part(text),
    }
}

/// Whether it is digits with a leading zero, like the mode 0644.
fn looks_octal(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

/// The number that a plain scalar is, if it looks like one.
fn number(text: &str) -> Option<Result<Value, &'static str>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan") {
        return Some(Err("infinity and NaN are not values"));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(rest) = text.strip_prefix(prefix)
            && !rest.is_empty()
            && rest.chars().all(|c| c.is_digit(radix))
        {
            return Some(
                u64::from_str_radix(rest, radix).map(Value::from).map_err(|_| "the number is too large"),
            );
        }
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !digits.contains(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        let whole = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
        return Some(whole.map_err(|_| "the number is too large"));
    }
    if !digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    Some(serde_json::Number::from_f64(value).map(Value::Number).ok_or("the number is too large"))
}
