//! A run's report for people: one line a step, differences below, a sum at the end.

use std::fmt::Write as _;

use vigo_base::text::escaped;
use vigo_stacks::report::{Outcome, RunReport, StepReport};

use crate::exit::Exit;
use crate::show::Show;
use crate::words;

/// The report as text. Steps that were as declared are counted and not listed.
pub fn text(show: &Show, report: &RunReport, diff: bool) -> String {
    let mut out = String::new();
    for step in report.steps.iter().filter(|s| s.outcome != Outcome::None) {
        line(show, step, report.dry_run, &mut out);
        if diff && let Some(diff) = &step.diff {
            for line in diff.lines() {
                let _ = writeln!(out, "    {}", painted(show, line));
            }
        }
    }
    if let Some(why) = &report.aborted {
        let _ = writeln!(out, "{}: {}", show.tint("failed"), escaped(why));
    }
    for id in &report.pending {
        let _ = writeln!(
            out,
            "pending {}: triggered, not run well since; the next run does it again",
            escaped(id)
        );
    }
    let c = report.counts;
    let (changed, failed) = match report.dry_run {
        true => (format!("would change {}", c.changed()), format!("would fail {}", c.failed)),
        false => (format!("{} changed", c.changed()), format!("{} failed", c.failed)),
    };
    let steps = words::count(c.total() as usize, "step", "steps");
    let _ = writeln!(
        out,
        "{steps} in {} ms: {} as declared, {changed}, {} skipped, {} blocked, {failed}",
        report.millis, c.none, c.skipped, c.blocked
    );
    out
}

/// How a command that ran this ends.
pub fn exit(report: &RunReport) -> Exit {
    let bad = report.aborted.is_some() || report.counts.failed > 0 || report.counts.blocked > 0;
    if bad { Exit::Partial } else { Exit::Ok }
}

/// The word for an outcome.
pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::None => "none",
        Outcome::Created => "created",
        Outcome::Updated => "updated",
        Outcome::Deleted => "deleted",
        Outcome::Skipped => "skipped",
        Outcome::Blocked => "blocked",
        Outcome::Failed => "failed",
    }
}

fn line(show: &Show, step: &StepReport, dry_run: bool, out: &mut String) {
    let word = word(step.outcome);
    let would = if dry_run && step.outcome.changed() { "would be " } else { "" };
    let message =
        if step.message.is_empty() { String::new() } else { format!(": {}", escaped(&step.message)) };
    let _ = writeln!(out, "{would}{} {}{message}", show.tint(word), escaped(&step.id));
}

fn painted(show: &Show, line: &str) -> String {
    let text = escaped(line);
    match line.as_bytes().first() {
        Some(b'+') if show.color => format!("\u{1b}[32m{text}\u{1b}[0m"),
        Some(b'-') if show.color => format!("\u{1b}[31m{text}\u{1b}[0m"),
        _ => text,
    }
}
