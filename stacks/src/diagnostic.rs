//! What is wrong with a tree, and where.
//!
//! A [`Diagnostic`] is plain data: it prints as one line, serialises as one JSON object, and
//! [`crate::render_fancy`] draws it over the source. Text from files is escaped when it is printed.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use vigo_base::text::{escaped, nearest};

use crate::rules;

/// How many diagnostics one run lists.
pub const DIAGNOSTICS_MAX: usize = 500;

/// A place in a file: lines and columns from 1, columns and lengths in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The file, relative to the tree.
    pub path: Arc<str>,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// How many characters are meant, within the line.
    pub length: usize,
}

impl Site {
    /// The beginning of a file.
    pub fn start(path: &Arc<str>) -> Site {
        Site { path: Arc::clone(path), line: 1, column: 1, length: 1 }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", escaped(&self.path), self.line)
    }
}

/// Whether a publish may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It blocks a publish.
    Error,
    /// It does not, unless `--strict` says so.
    Warning,
}

/// One mistake, or one thing to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// The file, relative to the tree.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, within the line.
    pub length: usize,
    /// Whether it blocks a publish.
    pub severity: Severity,
    /// The rule's name; [`rules::find`] explains it.
    pub rule: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The nearest valid name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Errors and warnings for which this one stands because they are not listed.
    #[serde(skip)]
    pub unlisted: (usize, usize),
}

impl Diagnostic {
    fn new(severity: Severity, rule: &'static str, site: &Site, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            path: site.path.to_string(),
            line: site.line,
            column: site.column,
            length: site.length.max(1),
            severity,
            rule,
            message: message.into(),
            found: None,
            expected: None,
            nearest: None,
            help: None,
            unlisted: (0, 0),
        }
    }

    /// Something that blocks a publish.
    pub fn error(rule: &'static str, site: &Site, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, rule, site, message)
    }

    /// Something that does not.
    pub fn warning(rule: &'static str, site: &Site, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, rule, site, message)
    }

    /// Says what was found, cut to 60 characters.
    pub fn found(mut self, found: &str) -> Diagnostic {
        let mut shown: String = found.chars().take(60).collect();
        if shown.len() < found.len() {
            shown.push('…');
        }
        self.found = Some(shown);
        self
    }

    /// Says what was expected.
    pub fn expected(mut self, expected: impl Into<String>) -> Diagnostic {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to do; empty says nothing.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        let help = help.into();
        self.help = (!help.is_empty()).then_some(help);
        self
    }

    /// Gives the valid name nearest to `found`, if one is near.
    pub fn near<'a>(mut self, found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Diagnostic {
        self.nearest = nearest(found, candidates).map(str::to_string);
        self
    }

    /// Whether it blocks a publish.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// What stands beneath the message: what to do, with the nearest name first.
    pub fn advice(&self) -> Option<String> {
        let near = self.nearest.as_ref().map(|n| format!("did you mean `{}`?", escaped(n)));
        match (near, &self.help) {
            (Some(near), Some(help)) => Some(format!("{near} {}", escaped(help))),
            (Some(near), None) => Some(near),
            (None, help) => help.as_deref().map(escaped),
        }
    }

    /// The message with what was found and expected.
    pub fn headline(&self) -> String {
        let mut text = escaped(&self.message);
        match (&self.found, &self.expected) {
            (Some(f), Some(e)) => text += &format!(": found `{}`, expected {}", escaped(f), escaped(e)),
            (Some(f), None) => text += &format!(": found `{}`", escaped(f)),
            (None, Some(e)) => text += &format!(": expected {}", escaped(e)),
            (None, None) => {}
        }
        text
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(
            f,
            "{}:{}:{}: {severity}[{}]: {}",
            escaped(&self.path),
            self.line,
            self.column,
            self.rule,
            self.headline()
        )?;
        match self.advice() {
            Some(advice) => write!(f, "\n  help: {advice}"),
            None => Ok(()),
        }
    }
}

/// Whether any of them blocks a publish.
pub fn any_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// How many errors and warnings there are, those that are not listed included.
pub fn tally(diagnostics: &[Diagnostic]) -> (usize, usize) {
    let own = |d: &Diagnostic| match (d.rule == rules::TOO_MANY, d.is_error()) {
        (true, _) => d.unlisted,
        (false, true) => (1, 0),
        (false, false) => (0, 1),
    };
    diagnostics.iter().map(own).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

/// Puts diagnostics into their order (path, line, column), each once, at most [`DIAGNOSTICS_MAX`], errors
/// before warnings where they must be cut.
pub fn finish(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort();
    diagnostics.dedup();
    if diagnostics.len() > DIAGNOSTICS_MAX {
        diagnostics.sort_by_key(|d| (d.rule == rules::TOO_MANY, d.severity));
        let unlisted = tally(&diagnostics[DIAGNOSTICS_MAX..]);
        let more = unlisted.0 + unlisted.1;
        let last = diagnostics[DIAGNOSTICS_MAX - 1].clone();
        diagnostics.truncate(DIAGNOSTICS_MAX);
        diagnostics.sort();
        let site = Site { path: last.path.as_str().into(), line: last.line, column: last.column, length: 1 };
        let message = format!("{more} more are not listed");
        let told = Diagnostic::warning(rules::TOO_MANY, &site, message).help("mend these first");
        diagnostics.push(Diagnostic { unlisted, ..told });
    }
    diagnostics
}
