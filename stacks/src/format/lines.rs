//! Line ends, the byte order mark and tabs: what must be right before the rest of a file can be read.
//!
//! A file whose lines all end in CR LF keeps them. Tabs are replaced only where they indent, in a file that cannot
//! be read with them, and never inside the lines of a block text.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Site, any_error};
use crate::rules;
use crate::yaml::{self, Node};

use super::{Repair, unreadable};

/// What a tab in an indentation stands for.
const TAB: usize = 2;

/// How the lines of a file end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Lf,
    CrLf,
}

impl Ends {
    pub fn restore(self, text: &str) -> String {
        match self {
            Ends::Lf => text.to_owned(),
            Ends::CrLf => text.replace('\n', "\r\n"),
        }
    }
}

/// A file that can be worked on.
pub(super) struct Taken {
    /// With LF only, and a line end at the end.
    pub text: String,
    pub node: Node,
    pub repairs: Vec<Repair>,
    pub ends: Ends,
}

/// Takes a file; `None` if there is nothing in it.
pub(super) fn taken(name: &Arc<str>, bytes: &[u8]) -> Result<Option<Taken>, Vec<Diagnostic>> {
    let mut sink = Vec::new();
    let Ok(text) = std::str::from_utf8(bytes) else {
        yaml::read(name, bytes, &mut sink);
        return Err(unreadable(sink));
    };
    let mut repairs = Vec::new();
    let mut note = |line: usize, what: &str| repairs.push(Repair { line, what: what.to_owned() });
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => {
            note(1, "the byte order mark is removed");
            rest
        }
        None => text,
    };
    let (pairs, lines) = (text.matches("\r\n").count(), text.matches('\n').count());
    if let Some(at) = text.replace("\r\n", "\n\n").find('\r') {
        let line = text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
        let site = Site { line, ..Site::start(name) };
        let message = "a carriage return stands alone, without a line feed";
        return Err(vec![
            Diagnostic::error(rules::YAML_SYNTAX, &site, message)
                .help("end lines with LF, or all with CR LF"),
        ]);
    }
    let ends = if pairs > 0 && pairs == lines { Ends::CrLf } else { Ends::Lf };
    if pairs > 0 && ends == Ends::Lf {
        note(1, "the lines all end in LF");
    }
    let mut text = text.replace("\r\n", "\n");
    let mut node = yaml::read(name, text.as_bytes(), &mut sink);
    if any_error(&sink)
        && let Some((new, lines)) = untabbed(&text)
    {
        let mut second = Vec::new();
        let read = yaml::read(name, new.as_bytes(), &mut second);
        if !any_error(&second) && read.is_some() {
            lines.into_iter().for_each(|line| note(line, "tabs are replaced by spaces"));
            (text, node, sink) = (new, read, second);
        }
    }
    if any_error(&sink) {
        return Err(unreadable(sink));
    }
    let Some(node) = node else { return Ok(None) };
    if !text.ends_with('\n') {
        let mut ended = text.clone();
        ended.push('\n');
        let again = yaml::read(name, ended.as_bytes(), &mut sink);
        // A block text may end where its file does; then its last line has no end.
        if again.is_some_and(|again| {
            super::meaning::of_file(name, &again) == super::meaning::of_file(name, &node)
        }) {
            text = ended;
            note(line_count(&text), "the last line is ended");
        }
    }
    Ok(Some(Taken { text, node, repairs, ends }))
}

fn line_count(text: &str) -> usize {
    text.matches('\n').count().max(1)
}

/// The text with spaces for the tabs that indent, and the lines where they were.
fn untabbed(text: &str) -> Option<(String, Vec<usize>)> {
    let mut out = String::with_capacity(text.len());
    let mut mended = Vec::new();
    // Inside a block text: the indentation of the line with its `|`.
    let mut block: Option<usize> = None;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let body = line.trim_end_matches('\n');
        let blank = body.trim().is_empty();
        let lead = body.len() - body.trim_start_matches([' ', '\t']).len();
        let width: usize = body[..lead].chars().map(|c| if c == '\t' { TAB } else { 1 }).sum();
        if let Some(indent) = block
            && (blank || width > indent)
        {
            // The first characters must be spaces to be content; tabs before them cannot be told from content.
            if body.starts_with('\t') {
                return None;
            }
            out.push_str(line);
            continue;
        }
        block = opens_block(body).then_some(width);
        if body[..lead].contains('\t') {
            mended.push(i + 1);
            out.push_str(&" ".repeat(width));
            out.push_str(&line[lead..]);
        } else {
            out.push_str(line);
        }
    }
    (!mended.is_empty()).then_some((out, mended))
}

/// Whether a line ends in the header of a block text.
fn opens_block(line: &str) -> bool {
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let header = line.rsplit([' ', '\t']).next().unwrap_or("");
    let mut chars = header.chars();
    matches!(chars.next(), Some('|' | '>'))
        && chars.all(|c| c.is_ascii_digit() || matches!(c, '+' | '-'))
        && line.len() > header.len()
}
