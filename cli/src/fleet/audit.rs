//! `vigocli audit`: what was done and by whom, as the bolts wrote it down, and whether they were tampered with.
//!
//! The node on this machine lists and checks; it must be a bolt. What is damaged ends with a code of its own.

use std::fmt::Write as _;

use serde_json::json;
use vigo_base::text::escaped;
use vigo_daemon::node::command::{AuditDamage, AuditFilter, AuditLog, AuditRow, Command, Reply};

use crate::args::Everywhere;
use crate::args::vigocli::{Audit, AuditList};
use crate::exit::{Exit, Failure};
use crate::machine::state::now;
use crate::reach::{self, call};
use crate::show::Show;
use crate::words;

/// A command of `vigocli audit`.
///
/// # Errors
/// [`Failure`]; with [`Exit::Damaged`] if a log is.
pub fn run(everywhere: &Everywhere, args: &Audit) -> Result<(), Failure> {
    match args {
        Audit::List(args) => list(everywhere, args),
        Audit::Verify => verify(everywhere),
    }
}

fn list(everywhere: &Everywhere, args: &AuditList) -> Result<(), Failure> {
    let since = match &args.since {
        None => None,
        Some(text) => {
            let Some(ago) = words::duration(text) else {
                let what = format!("{} is no length of time", escaped(text));
                return Err(Failure::new(Exit::Usage, what).hint("like 30m, 12h or 7d"));
            };
            Some(vigo_base::Time(now().0.saturating_sub(ago)))
        }
    };
    let filter = AuditFilter {
        bolt: args.bolt.clone(),
        kind: args.kind.clone(),
        who: args.who.clone(),
        since,
        limit: Some(args.limit),
    };
    let client = reach::node(everywhere)?;
    let rows = call!(client, Command::Audit { filter }, Reply::Audit(rows) => rows)?;
    let show = Show::new(everywhere);
    show.result(&rows, || {
        if rows.is_empty() {
            return "no entries\n".into();
        }
        let row = |r: &AuditRow| {
            vec![
                words::moment(r.at),
                r.bolt.clone(),
                r.number.to_string(),
                r.kind.clone(),
                r.who.clone(),
                said(r),
            ]
        };
        let heads = ["time (utc)", "bolt", "entry", "what", "who", "about"];
        show.table(&heads, &rows.iter().map(row).collect::<Vec<_>>())
    })
}

fn said(row: &AuditRow) -> String {
    let mut parts: Vec<String> =
        [&row.target, &row.text].into_iter().filter(|t| !t.is_empty()).cloned().collect();
    if row.count > 1 {
        parts.push(format!("{} times", row.count));
    }
    parts.join(": ")
}

fn verify(everywhere: &Everywhere) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let logs = call!(client, Command::AuditVerify, Reply::AuditVerify(logs) => logs)?;
    let intact = logs.iter().all(|log| log.intact);
    let show = Show::new(everywhere);
    show.result(&json!({"intact": intact, "logs": logs}), || verified(&show, &logs))?;
    if intact { Ok(()) } else { Err(Failure::said(Exit::Damaged)) }
}

fn verified(show: &Show, logs: &[AuditLog]) -> String {
    let row = |log: &AuditLog| {
        let seen = match log.anchors {
            0 => "by nobody yet".to_owned(),
            _ => format!("up to {}", log.anchored),
        };
        vec![
            log.bolt.clone(),
            log.state.clone(),
            log.entries.to_string(),
            log.head.map_or_else(String::new, |head| head.short()),
            seen,
            if log.intact { "intact" } else { "damaged" }.into(),
        ]
    };
    let heads = ["bolt", "state", "entries", "head", "seen by others", "log"];
    let mut out = show.table(&heads, &logs.iter().map(row).collect::<Vec<_>>());
    for log in logs {
        let bolt = escaped(&log.bolt);
        for damage in &log.damage {
            let by =
                damage.by.as_ref().map_or_else(String::new, |by| format!(" (by the log of {})", escaped(by)));
            let _ = writeln!(out, "{bolt}: {}{by}", escaped(&damage.text));
        }
        for alarm in &log.alarms {
            let _ = writeln!(out, "{bolt}: {}", alarm_line(alarm));
        }
    }
    out
}

fn alarm_line(alarm: &AuditDamage) -> String {
    let by = escaped(alarm.by.as_deref().unwrap_or("somebody"));
    let at = alarm.at.map_or_else(String::new, |at| format!(" on {}", words::moment(at)));
    format!("{by} found{at}: {}", escaped(&alarm.text))
}
