//! `vigo sim diff`: two results, figure by figure.

use std::path::Path;

use serde_json::{Value, json};
use vigo_base::text::escaped;
use vigo_simnet::report::{Change, diff, time};

use crate::args::Everywhere;
use crate::args::sim::Diff;
use crate::exit::{Exit, Failure};
use crate::show::Show;

/// Runs the command.
///
/// # Errors
/// [`Failure`] if the results cannot be compared, or something got worse by more than the threshold.
pub fn run(everywhere: &Everywhere, args: &Diff) -> Result<(), Failure> {
    let (before, after) = (result(&args.before)?, result(&args.after)?);
    let changes = diff(&before, &after, args.threshold).map_err(|e| {
        Failure::new(Exit::Usage, escaped(&e.to_string()))
            .hint("vigo sim run SCENARIO --json > FILE makes such a file")
    })?;
    let show = Show::new(everywhere);
    let rows: Vec<Value> = changes.iter().map(row).collect();
    show.result(&rows, || {
        let cells: Vec<Vec<String>> = changes.iter().map(cells).collect();
        show.table(&["figure", "before", "after", "change", ""], &cells) + &conditions(&before, &after)
    })?;
    let worse = changes.iter().filter(|change| change.worse).count();
    match worse {
        0 => Ok(()),
        n => {
            let figures = if n == 1 { "1 figure".to_string() } else { format!("{n} figures") };
            let what = format!("{figures} got worse by more than {} %", args.threshold);
            Err(Failure::new(Exit::Failed, what)
                .hint("run both again with the same seeds, or allow more: --threshold"))
        }
    }
}

/// What differs between the runs beside the program.
fn conditions(before: &Value, after: &Value) -> String {
    let differs = |key: &&str| before.get(key) != after.get(key);
    let keys: Vec<&str> = ["seed", "seeds", "nodes"].into_iter().filter(differs).collect();
    match keys[..] {
        [] => String::new(),
        _ => format!("the runs differ in: {}\n", keys.join(", ")),
    }
}

fn row(change: &Change) -> Value {
    json!({
        "figure": change.figure,
        "unit": change.unit,
        "before": change.before,
        "after": change.after,
        "percent": change.percent.map(|p| (p * 100.0).round() / 100.0),
        "worse": change.worse,
    })
}

fn cells(change: &Change) -> Vec<String> {
    let value = |value: f64| match change.unit {
        "us" => time(value as u64),
        "" => format!("{value}"),
        unit => format!("{value:.0} {unit}"),
    };
    let percent = match change.percent {
        Some(percent) if percent.abs() < 0.05 => "=".to_string(),
        Some(percent) => format!("{percent:+.1} %"),
        None if change.after > 0.0 => "new".to_string(),
        None => "=".to_string(),
    };
    let word = if change.worse { "worse" } else { "" };
    vec![change.figure.into(), value(change.before), value(change.after), percent, word.into()]
}

/// A result: the one line that `vigo sim run --json` prints.
fn result(path: &Path) -> Result<Value, Failure> {
    let text = super::read(path)?;
    serde_json::from_str(&text).map_err(|e| {
        let place = escaped(&path.display().to_string());
        Failure::new(Exit::Usage, format!("{place} is no result: {}", escaped(&e.to_string())))
            .hint("vigo sim run SCENARIO --json > FILE makes one")
    })
}
