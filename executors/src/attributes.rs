//! The attributes of a step, read with exact complaints.
//!
//! It never touches a machine. What it accepts is what the schema promises after templates are rendered: a truth
//! value may have become the text `true`, a number may have become digits. An attribute that nobody asked for is
//! an error, so that a misspelt one is never silently ignored.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use thiserror::Error;
use vigo_base::text::{escaped, nearest};
use vigo_stacks::words::{LIST_MAX, Word};

use crate::path::{BadPath, HostPath};

/// What is wrong with an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadAttribute {
    #[error("`{name}` is missing")]
    Missing { name: &'static str },
    #[error("`{name}` is {found}, expected {expected}")]
    Wrong { name: &'static str, found: String, expected: &'static str },
    #[error("`{name}` is {found}: {why}; expected {expected}")]
    Shape { name: &'static str, found: String, why: String, expected: &'static str },
    #[error("`{name}`: {source}")]
    Path { name: &'static str, source: BadPath },
    #[error("this version of vigo cannot do what `{name}` asks for: nothing was changed")]
    Later { name: &'static str },
    #[error("`{}` is not an attribute of this type{}", escaped(name), hint(nearest))]
    Unknown { name: String, nearest: Option<String> },
}

/// A reader over the attributes of one step.
#[derive(Debug)]
pub struct Attributes<'a> {
    values: &'a BTreeMap<String, Value>,
    asked: BTreeSet<&'static str>,
}

impl<'a> Attributes<'a> {
    /// A reader over `values`.
    pub fn new(values: &'a BTreeMap<String, Value>) -> Attributes<'a> {
        Attributes { values, asked: BTreeSet::new() }
    }

    fn get(&mut self, name: &'static str) -> Option<&'a Value> {
        self.asked.insert(name);
        self.values.get(name).filter(|v| !v.is_null())
    }

    /// Refuses an attribute of the language that no executor of this version carries out.
    ///
    /// # Errors
    /// [`BadAttribute::Later`] when it is given.
    pub fn later(&mut self, name: &'static str) -> Result<(), BadAttribute> {
        self.get(name).map_or(Ok(()), |_| Err(BadAttribute::Later { name }))
    }

    /// A text; a number or truth value is taken as it is written.
    ///
    /// # Errors
    /// [`BadAttribute::Wrong`] for a list or map.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, BadAttribute> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(other) => Err(wrong(name, other, "a text")),
        }
    }

    /// A text that is not empty, if there is one.
    ///
    /// # Errors
    /// As [`Attributes::text`].
    pub fn word(&mut self, name: &'static str) -> Result<Option<String>, BadAttribute> {
        Ok(self.text(name)?.filter(|t| !t.is_empty()))
    }

    /// A text of the form `word`, if there is one that is not empty.
    ///
    /// # Errors
    /// [`BadAttribute::Shape`] when it has another form.
    pub fn shaped(&mut self, name: &'static str, word: Word) -> Result<Option<String>, BadAttribute> {
        let Some(text) = self.word(name)? else { return Ok(None) };
        in_shape(name, word, text).map(Some)
    }

    /// A list of texts of the form `word`, or one alone; empty ones are dropped, repeated ones stand once.
    ///
    /// # Errors
    /// [`BadAttribute`] when it is something else or one has another form.
    pub fn shaped_list(
        &mut self,
        name: &'static str,
        word: Word,
    ) -> Result<Option<Vec<String>>, BadAttribute> {
        let items = match self.get(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items.iter().collect(),
            Some(single) => vec![single],
        };
        let mut all = Vec::new();
        for item in items {
            let text = match item {
                Value::String(text) if text.is_empty() => continue,
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                other => return Err(wrong(name, other, "a list of texts")),
            };
            let text = in_shape(name, word, text)?;
            if !all.contains(&text) {
                all.push(text);
            }
        }
        if all.len() > LIST_MAX {
            let found = format!("{} elements", all.len());
            return Err(BadAttribute::Wrong { name, found, expected: "at most 256" });
        }
        Ok(Some(all))
    }

    /// An absolute path, if there is one.
    ///
    /// # Errors
    /// [`BadAttribute::Path`] when it is not one.
    pub fn path(&mut self, name: &'static str) -> Result<Option<HostPath>, BadAttribute> {
        let Some(text) = self.word(name)? else { return Ok(None) };
        HostPath::parse(&text).map(Some).map_err(|source| BadAttribute::Path { name, source })
    }

    /// `target_path`: an absolute path other than the root.
    ///
    /// # Errors
    /// [`BadAttribute`] when it is missing, not a path, or `/`.
    pub fn target(&mut self) -> Result<HostPath, BadAttribute> {
        let name = "target_path";
        let path = self.path(name)?.ok_or(BadAttribute::Missing { name })?;
        match path.name() {
            Some(_) => Ok(path),
            None => Err(BadAttribute::Wrong {
                name,
                found: "`/`".to_owned(),
                expected: "a path below the root, such as `/etc/motd`",
            }),
        }
    }

    /// A truth value, `false` if there is none.
    ///
    /// # Errors
    /// [`BadAttribute::Wrong`] when it is something else.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, BadAttribute> {
        Ok(self.choice(name)?.unwrap_or(false))
    }

    /// A truth value, if there is one.
    ///
    /// # Errors
    /// [`BadAttribute::Wrong`] when it is something else.
    pub fn choice(&mut self, name: &'static str) -> Result<Option<bool>, BadAttribute> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(other) => Err(wrong(name, other, "`true` or `false`")),
        }
    }

    /// The place of a word among `known`; the first if there is none.
    ///
    /// # Errors
    /// [`BadAttribute::Wrong`] when it is another.
    pub fn one_of(
        &mut self,
        name: &'static str,
        known: &[&str],
        expected: &'static str,
    ) -> Result<usize, BadAttribute> {
        let Some(word) = self.word(name)? else { return Ok(0) };
        let place = known.iter().position(|each| *each == word);
        place.ok_or_else(|| BadAttribute::Wrong { name, found: format!("`{}`", shown(&word)), expected })
    }

    /// `state`: whether it is `absent` rather than `present`.
    ///
    /// # Errors
    /// [`BadAttribute::Wrong`] when it is something else.
    pub fn absent(&mut self) -> Result<bool, BadAttribute> {
        match self.word("state")?.as_deref() {
            None | Some("present") => Ok(false),
            Some("absent") => Ok(true),
            Some(other) => Err(BadAttribute::Wrong {
                name: "state",
                found: format!("`{}`", shown(other)),
                expected: "`present` or `absent`",
            }),
        }
    }

    /// `mode`: three or four octal digits.
    ///
    /// # Errors
    /// [`BadAttribute::Wrong`] when it is something else, a number without quotes too.
    pub fn mode(&mut self) -> Result<Option<u32>, BadAttribute> {
        let expected = "three or four octal digits in quotes, such as \"0644\"";
        let text = match self.get("mode") {
            None => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => return Err(wrong("mode", other, expected)),
        };
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u32::from_str_radix(text, 8) {
            Ok(mode) if octal => Ok(Some(mode)),
            _ => Err(BadAttribute::Wrong { name: "mode", found: format!("`{}`", shown(text)), expected }),
        }
    }

    /// A list of whole numbers, or one alone.
    ///
    /// # Errors
    /// [`BadAttribute::Wrong`] when it is something else.
    pub fn numbers(&mut self, name: &'static str) -> Result<Option<Vec<i32>>, BadAttribute> {
        let expected = "an exit code or a list of exit codes, such as `[0, 2]`";
        let number = |value: &Value| match value {
            Value::Number(n) => n.as_i64().and_then(|n| i32::try_from(n).ok()),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(items)) => items
                .iter()
                .map(|v| number(v).ok_or_else(|| wrong(name, v, expected)))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(value) => number(value).map(|n| Some(vec![n])).ok_or_else(|| wrong(name, value, expected)),
        }
    }

    /// A map of variables, or a list of `NAME=value`.
    ///
    /// # Errors
    /// [`BadAttribute::Wrong`] when it is something else, or a name cannot be a variable's.
    pub fn variables(&mut self, name: &'static str) -> Result<BTreeMap<String, String>, BadAttribute> {
        let expected = "a map of names to texts, such as `{LANG: C}`";
        let pairs: Vec<(String, String)> = match self.get(name) {
            None => Vec::new(),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => Ok((key.clone(), text.clone())),
                    Value::Number(_) | Value::Bool(_) => Ok((key.clone(), value.to_string())),
                    other => Err(wrong(name, other, expected)),
                })
                .collect::<Result<_, _>>()?,
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    let pair = item.as_str().and_then(|text| text.split_once('='));
                    pair.map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or_else(|| wrong(name, item, expected))
                })
                .collect::<Result<_, _>>()?,
            Some(other) => return Err(wrong(name, other, expected)),
        };
        match pairs
            .iter()
            .find(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0'))
        {
            Some((key, _)) => Err(BadAttribute::Wrong { name, found: format!("`{}`", shown(key)), expected }),
            None => Ok(pairs.into_iter().collect()),
        }
    }

    /// Complains about the first attribute that nobody asked for.
    ///
    /// # Errors
    /// [`BadAttribute::Unknown`].
    pub fn finish(self) -> Result<(), BadAttribute> {
        match self.values.keys().find(|key| !self.asked.contains(key.as_str())) {
            None => Ok(()),
            Some(key) => Err(BadAttribute::Unknown {
                name: key.clone(),
                nearest: nearest(key, self.asked.iter().copied()).map(str::to_owned),
            }),
        }
    }
}

fn in_shape(name: &'static str, word: Word, text: String) -> Result<String, BadAttribute> {
    let Some(why) = word.fault(&text) else { return Ok(text) };
    // What should be an encoded password may be one in clear.
    let found =
        if word == Word::PasswordHash { "not shown".to_owned() } else { format!("`{}`", shown(&text)) };
    Err(BadAttribute::Shape { name, found, why, expected: word.expected() })
}

fn wrong(name: &'static str, found: &Value, expected: &'static str) -> BadAttribute {
    BadAttribute::Wrong { name, found: format!("`{}`", shown(&found.to_string())), expected }
}

fn shown(text: &str) -> String {
    escaped(&text.chars().take(80).collect::<String>())
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|n| format!("; the nearest is `{n}`")).unwrap_or_default()
}
