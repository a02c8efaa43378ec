//! Diagnostics drawn over the source, for a terminal.
//!
//! It never looks at the terminal itself: colour and width are arguments.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use vigo_base::text::escaped;

use crate::diagnostic::{Diagnostic, Severity};
use crate::secrets::masked;
use crate::source::SourceTree;

/// Bytes of the longest line that is drawn.
const LINE_BYTES: usize = 1000;

/// Draws `diagnostics` with the lines that they are about, the span underlined. A diagnostic about a file that
/// cannot be shown (missing, not UTF-8) is drawn without lines.
pub fn render_fancy(diagnostics: &[Diagnostic], tree: &SourceTree, color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(width.clamp(40, 400))
        .with_context_lines(1)
        .without_syntax_highlighting();
    let mut out = String::new();
    for diagnostic in diagnostics {
        let drawn = Drawn::new(diagnostic, tree);
        if handler.render_report(&mut out, &drawn).is_err() {
            out.push_str(&diagnostic.to_string());
            out.push('\n');
        }
    }
    out
}

/// One diagnostic with its source.
#[derive(Debug)]
struct Drawn<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<(NamedSource<String>, usize, usize)>,
}

impl<'a> Drawn<'a> {
    fn new(diagnostic: &'a Diagnostic, tree: &SourceTree) -> Drawn<'a> {
        let text = tree.get(&diagnostic.path).and_then(|bytes| std::str::from_utf8(bytes).ok());
        // A line that no terminal can show helps nobody.
        let near = |text: &str| {
            text.lines().skip(diagnostic.line.saturating_sub(2)).take(3).all(|l| l.len() <= LINE_BYTES)
        };
        let source = text.filter(|text| near(text)).map(|text| {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            // What would move the cursor is replaced, one character for one, so that columns stay right.
            // So is what looks like a credential.
            let safe: String = masked(text)
                .chars()
                .map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c })
                .collect();
            let (start, length) = place(&safe, diagnostic);
            (NamedSource::new(escaped(&diagnostic.path), safe), start, length)
        });
        Drawn { diagnostic, source }
    }
}

/// Byte offset and byte length of the diagnostic's span in `text`.
fn place(text: &str, diagnostic: &Diagnostic) -> (usize, usize) {
    let before: usize =
        text.split_inclusive('\n').take(diagnostic.line.saturating_sub(1)).map(str::len).sum();
    let line = text[before..].split('\n').next().unwrap_or("");
    let skip = diagnostic.column.saturating_sub(1);
    let start: usize = line.chars().take(skip).map(char::len_utf8).sum();
    let length: usize = line.chars().skip(skip).take(diagnostic.length).map(char::len_utf8).sum();
    (before + start, length)
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = self.diagnostic;
        match self.source {
            Some(_) => f.write_str(&d.headline()),
            None => write!(f, "{}:{}:{}: {}", escaped(&d.path), d.line, d.column, d.headline()),
        }
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.rule))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.advice().map(|advice| Box::new(advice) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|(source, ..)| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, start, length) = self.source.as_ref()?;
        let label = self.diagnostic.expected.as_ref().map(|e| format!("expected {}", escaped(e)));
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(
            Some(label.unwrap_or_else(|| "here".into())),
            (*start, *length),
        ))))
    }
}
