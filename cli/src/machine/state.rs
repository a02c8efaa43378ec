//! `vigo status`, `vigo converge` and `vigo replay`: how this machine's node is, and what it does when told.

use std::fmt::Write as _;

use serde_json::json;
use vigo_base::Time;
use vigo_base::text::escaped;
use vigo_daemon::node::command::{Command, Reply, Status};
use vigo_daemon::trace::replay;

use crate::args::Everywhere;
use crate::args::vigo::{Converge, Replay};
use crate::exit::{Exit, Failure};
use crate::reach::{self, call};
use crate::show::{self, Show};
use crate::{report, words};

/// `vigo status`.
///
/// # Errors
/// [`Failure`] if no node answers.
pub fn status(everywhere: &Everywhere) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let status = call!(client, Command::Status, Reply::Status(status) => status)?;
    let health = client.health()?;
    let show = Show::new(everywhere);
    let mut body = serde_json::to_value(&status).unwrap_or_default();
    body["health"] = serde_json::to_value(&health).unwrap_or_default();
    show.result(&body, || {
        let mut out = text(&show, &status);
        if !health.ok {
            let what = health.what.as_deref().unwrap_or("the node is in trouble");
            let hint = health.hint.as_deref().map(|h| format!(": {h}")).unwrap_or_default();
            let _ = writeln!(out, "trouble   {}", escaped(&format!("{what}{hint}")));
        }
        out
    })
}

fn text(show: &Show, status: &Status) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<9} {value}");
    };
    let kind = if status.bolt { "bolt" } else { "envoy" };
    row("name", &escaped(status.name.as_deref().unwrap_or("none yet")));
    let fleet = status.spanner.map_or("none yet".to_owned(), |s| s.to_string());
    row("fleet", &format!("{} {fleet}", escaped(status.fleet.as_deref().unwrap_or(""))));
    row("kind", kind);
    row("key", &status.key.to_string());
    let why = status.why.as_deref().map(|w| format!(": {}", escaped(w))).unwrap_or_default();
    row("standing", &format!("{}{why}", show.tint(&status.standing)));
    row("config", &config(status));
    match &status.run {
        Some(run) => {
            let t = run.tally;
            let when = words::ago(status.now, run.at);
            let what = format!(
                "epoch {}, {when}: {} as declared, {} changed, {} skipped, {} blocked, {} failed",
                run.epoch, t.none, t.changed, t.skipped, t.blocked, t.failed
            );
            row("last run", &what);
        }
        None => row("last run", "none yet"),
    }
    row(
        "state",
        &format!("{}, drift {}", show.tint(words::failure(status.failure)), words::drift(status.drift)),
    );
    row("peers", &format!("{} connected, {} of them bolts", status.peers, status.bolts));
    row("gossip", &format!("{} links", status.links));
    row(
        "running",
        &format!("version {}, since {}", escaped(&status.version), words::ago(status.now, status.started)),
    );
    if let Some(run) = &status.run {
        for step in run.steps.iter().filter(|s| s.outcome == "failed" || s.outcome == "blocked") {
            let _ = writeln!(
                out,
                "  {} {}: {}",
                show.tint(&step.outcome),
                escaped(&step.id),
                escaped(&step.message)
            );
        }
    }
    for warning in &status.warnings {
        let _ = writeln!(out, "warning: {}", escaped(warning));
    }
    out
}

/// The newest publish, and what the node does about it. Without one the node's own words say so.
fn config(status: &Status) -> String {
    match status.head {
        Some(head) => format!("epoch {}, {}", head.epoch, escaped(&status.config)),
        None => escaped(&status.config),
    }
}

/// `vigo converge`.
///
/// # Errors
/// [`Failure`] if no node answers or steps failed.
pub fn converge(everywhere: &Everywhere, args: &Converge) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let bar = show::spinner(if args.dry_run { "looking" } else { "converging" });
    let run = call!(client, Command::Converge { dry_run: args.dry_run }, Reply::Run(report) => report);
    bar.finish_and_clear();
    let run = run?;
    let show = Show::new(everywhere);
    show.result(&run, || report::text(&show, &run, args.diff))?;
    match report::exit(&run) {
        Exit::Ok => Ok(()),
        exit => Err(Failure::said(exit)),
    }
}

/// `vigo replay`.
///
/// # Errors
/// [`Failure`] if the file is no trace, or the node did something else this time.
pub fn replay_trace(everywhere: &Everywhere, args: &Replay) -> Result<(), Failure> {
    let bar = show::spinner("replaying");
    let done = replay(&args.file);
    bar.finish_and_clear();
    let done = done.map_err(|e| reach::split(Exit::Failed, &escaped(&e.to_string())))?;
    let show = Show::new(everywhere);
    let body = json!({
        "inputs": done.inputs, "turns": done.turns, "outputs": done.outputs,
        "differs_at": done.differs_at, "complete": done.complete,
    });
    show.result(&body, || {
        let end = if done.complete { "to its orderly end" } else { "to where the trace stops" };
        let same = match done.differs_at {
            Some(turn) => format!("the node did something else in turn {turn}"),
            None => "the node did the same".to_owned(),
        };
        format!(
            "{} in {} replayed {end}, {}: {same}\n",
            words::count(done.inputs, "input", "inputs"),
            words::count(done.turns, "turn", "turns"),
            words::count(done.outputs, "output", "outputs")
        )
    })?;
    if done.differs_at.is_some() {
        return Err(Failure::new(Exit::Failed, "the replay differs from the trace").hint(
            "was the trace written by another version of vigo? If not, please report it with the trace",
        ));
    }
    Ok(())
}

/// Now, by this machine's clock, for tables.
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
