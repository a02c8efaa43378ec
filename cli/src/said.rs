//! What the language says about a tree, shown in the form that fits where it goes.
//!
//! Drawn over the source on a terminal, a line each elsewhere, one JSON object a line with `--json`. All of it goes
//! to standard error, except with `--json`, where it is part of the result.

use std::io::{IsTerminal, stderr};

use vigo_stacks::diagnostic::tally;
use vigo_stacks::{Diagnostic, SourceTree, render_fancy, secrets};

use crate::args::Everywhere;
use crate::exit::{Exit, Failure};
use crate::{show, words};

/// Prints diagnostics to standard error.
pub fn print(everywhere: &Everywhere, diagnostics: &[Diagnostic], tree: &SourceTree) {
    let mut diagnostics = diagnostics.to_vec();
    secrets::mask(&mut diagnostics, tree);
    let diagnostics = diagnostics.as_slice();
    if everywhere.json {
        for diagnostic in diagnostics {
            if let Ok(line) = serde_json::to_string(diagnostic) {
                eprintln!("{line}");
            }
        }
        return;
    }
    let terminal = stderr().is_terminal();
    if terminal && !diagnostics.is_empty() {
        let color = show::wanted(everywhere.color, true);
        eprint!("{}", render_fancy(diagnostics, tree, color, show::width()));
        return;
    }
    for diagnostic in diagnostics {
        eprintln!("{diagnostic}");
    }
}

/// A failure if any of them blocks a publish, or with `strict` if there is any at all.
///
/// # Errors
/// [`Failure`] with [`Exit::Config`].
pub fn judge(diagnostics: &[Diagnostic], strict: bool, consequence: &str) -> Result<(), Failure> {
    let (errors, warnings) = tally(diagnostics);
    if errors > 0 || (strict && warnings > 0) {
        let (wrong, odd) =
            (words::count(errors, "error", "errors"), words::count(warnings, "warning", "warnings"));
        let found = match (errors, warnings) {
            (0, _) => odd,
            (_, 0) => wrong,
            _ => format!("{wrong} and {odd}"),
        };
        let why = if errors == 0 { " (--strict)" } else { "" };
        return Err(Failure::new(Exit::Config, format!("the configuration has {found}{why}; {consequence}"))
            .hint("mend what is listed above; docs/language.md explains the keys"));
    }
    Ok(())
}
