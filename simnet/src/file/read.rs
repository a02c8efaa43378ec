//! Reading a scenario file with all its mistakes: each with its line, what was found, what is expected, and the nearest
//! name that there is.
//!
//! A [`Section`] is a table of which every key is taken once; a key that nobody took is a mistake. Reading goes on
//! behind a mistake. It opens no file: text comes in, and the name of the file only for messages. Invariant: whoever
//! gets a value got it from a file without mistakes.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};
use vigo_base::text::{escaped, nearest};

/// How much of a wrong value is shown.
const SHOWN: usize = 48;
/// Mistakes of one file that are told.
const MISTAKES: usize = 50;

/// Something in a file that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What was found, and what is expected.
    pub what: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// A file that is no scenario, and all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    /// The file, as it was named.
    pub file: String,
    /// All mistakes, by line.
    pub all: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.all.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{}: {}", escaped(&self.file), mistake.line, mistake.what)?;
            if let Some(hint) = &mistake.hint {
                write!(f, "; did you mean {hint}?")?;
            }
        }
        Ok(())
    }
}

/// Collects what is wrong.
#[derive(Debug)]
pub(super) struct Notes<'t> {
    text: &'t str,
    mistakes: Vec<Mistake>,
}

impl<'t> Notes<'t> {
    pub fn new(text: &'t str) -> Notes<'t> {
        Notes { text, mistakes: Vec::new() }
    }

    /// Something is wrong at a place.
    pub fn wrong(&mut self, at: &Range<usize>, what: impl Into<String>, hint: Option<String>) {
        let before = self.text.get(..at.start.min(self.text.len())).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let mistake = Mistake { line, what: what.into(), hint };
        if self.mistakes.len() < MISTAKES && !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// A name that is none of those that there are.
    pub fn unknown(&mut self, at: &Range<usize>, of: &str, found: &str, names: &[&str]) {
        let hint = nearest(found, names.iter().copied()).map(str::to_owned);
        let what = format!("found {of} {:?}, expected one of: {}", escaped(found), names.join(", "));
        self.wrong(at, what, hint);
    }

    /// What stands at a place, short enough for a message.
    pub fn shown(&self, at: &Range<usize>) -> String {
        let found = self.text.get(at.clone()).unwrap_or_default().lines().next().unwrap_or_default();
        let short: String = found.chars().take(SHOWN).collect();
        let more = if short.len() < found.len() { "…" } else { "" };
        format!("{}{more}", escaped(&short))
    }

    /// The mistakes, if there are any.
    pub fn end(mut self, file: &str) -> Result<(), Mistakes> {
        self.mistakes.sort_by_key(|mistake| mistake.line);
        match self.mistakes.is_empty() {
            true => Ok(()),
            false => Err(Mistakes { file: file.to_string(), all: self.mistakes }),
        }
    }
}

/// A value with its place.
pub(super) type Found<'a> = (Range<usize>, &'a DeValue<'a>);

/// A table that is being read.
pub(super) struct Section<'a> {
    /// What messages call it: `[links]`.
    title: String,
    /// Its place.
    pub at: Range<usize>,
    entries: Vec<(&'a str, Range<usize>, Found<'a>)>,
    taken: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub fn new(title: &str, at: Range<usize>, table: &'a DeTable<'a>) -> Section<'a> {
        let entry = |(key, value): (&'a toml::Spanned<_>, &'a toml::Spanned<DeValue<'a>>)| {
            let name: &std::borrow::Cow<'a, str> = key.get_ref();
            (name.as_ref(), key.span(), (value.span(), value.get_ref()))
        };
        Section {
            title: title.to_string(),
            at,
            entries: table.iter().map(entry).collect(),
            taken: Vec::new(),
        }
    }

    /// Takes what stands behind a key.
    pub fn find(&mut self, key: &'static str) -> Option<Found<'a>> {
        self.taken.push(key);
        self.entries.iter().find(|(name, ..)| *name == key).map(|(.., found)| found.clone())
    }

    /// Takes a value; a mistake if it cannot be read.
    pub fn value<T>(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
        expected: &str,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Option<T> {
        let (at, found) = self.find(key)?;
        let value = read(found);
        if value.is_none() {
            let shown = notes.shown(&at);
            notes.wrong(&at, format!("found {key} = {shown}, expected {expected}"), None);
        }
        value
    }

    /// Takes a value that must be there.
    pub fn need<T>(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
        expected: &str,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Option<T> {
        if !self.entries.iter().any(|(name, ..)| *name == key) {
            let what = format!("found no {key} in {}, expected {expected}", self.title);
            notes.wrong(&self.at.clone(), what, None);
        }
        self.value(notes, key, expected, read)
    }

    /// Takes a table.
    pub fn table(&mut self, notes: &mut Notes<'_>, key: &'static str) -> Option<Section<'a>> {
        let (at, found) = self.find(key)?;
        match found {
            DeValue::Table(table) => Some(Section::new(&format!("[{key}]"), at, table)),
            _ => {
                let shown = notes.shown(&at);
                notes.wrong(&at, format!("found {key} = {shown}, expected a table [{key}]"), None);
                None
            }
        }
    }

    /// Takes a list of tables.
    pub fn tables(&mut self, notes: &mut Notes<'_>, key: &'static str) -> Vec<Section<'a>> {
        let Some((at, found)) = self.find(key) else { return Vec::new() };
        let mut sections = Vec::new();
        if let DeValue::Array(all) = found {
            for each in all.iter() {
                if let DeValue::Table(table) = each.get_ref() {
                    sections.push(Section::new(&format!("[[{key}]]"), each.span(), table));
                }
            }
            if sections.len() == all.len() {
                return sections;
            }
        }
        let shown = notes.shown(&at);
        notes.wrong(&at, format!("found {key} = {shown}, expected tables [[{key}]]"), None);
        Vec::new()
    }

    /// Takes a list of words, each with its place.
    pub fn words(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
    ) -> Option<Vec<(Range<usize>, &'a str)>> {
        let (at, found) = self.find(key)?;
        if let DeValue::Array(all) = found {
            let words: Option<Vec<_>> =
                all.iter().map(|each| each.get_ref().as_str().map(|word| (each.span(), word))).collect();
            if words.is_some() {
                return words;
            }
        }
        let shown = notes.shown(&at);
        notes.wrong(&at, format!("found {key} = {shown}, expected a list of names in quotes"), None);
        None
    }

    /// Takes everything that is left: for tables whose keys are names of something.
    pub fn rest(&mut self) -> Vec<(&'a str, Range<usize>, Found<'a>)> {
        std::mem::take(&mut self.entries)
    }

    /// What nobody took is a mistake.
    pub fn end(self, notes: &mut Notes<'_>) {
        for (name, at, _) in &self.entries {
            if self.taken.contains(name) {
                continue;
            }
            let hint = nearest(name, self.taken.iter().copied()).map(str::to_owned);
            let known = self.taken.join(", ");
            let what = format!("found {} in {}, expected one of: {known}", escaped(name), self.title);
            notes.wrong(at, what, hint);
        }
    }
}
