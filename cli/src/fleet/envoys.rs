//! `vigocli envoys`: the machines and how they are, as the node knows it. A bolt knows all of them.

use std::fmt::Write as _;

use serde_json::json;
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, EnvoyDetail, EnvoyRow, Reply};

use crate::args::Everywhere;
use crate::args::vigocli::Envoys;
use crate::exit::Failure;
use crate::machine::state::now;
use crate::reach::{self, call};
use crate::show::Show;
use crate::words;

/// A command of `vigocli envoys`.
///
/// # Errors
/// [`Failure`].
pub fn run(everywhere: &Everywhere, args: &Envoys) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    match args {
        Envoys::List => list(everywhere, &client),
        Envoys::Show { name } => show(everywhere, &detail(&client, name)?),
        Envoys::Runs { name } => runs(everywhere, &detail(&client, name)?),
    }
}

fn detail(client: &Client, name: &str) -> Result<EnvoyDetail, Failure> {
    call!(client, Command::Envoy { name: name.to_owned() }, Reply::Envoy(detail) => *detail)
}

fn reach_word(row: &EnvoyRow) -> &'static str {
    if row.online { "online" } else { "offline" }
}

fn list(everywhere: &Everywhere, client: &Client) -> Result<(), Failure> {
    let rows = call!(client, Command::Envoys, Reply::Envoys(rows) => rows)?;
    let whole = call!(client, Command::Status, Reply::Status(status) => status.bolt)?;
    let show = Show::new(everywhere);
    show.result(&rows, || {
        let row = |e: &EnvoyRow| {
            let heard = e.heard.map_or("never".to_owned(), |t| words::ago(now(), t));
            let kind = if e.bolt { "bolt" } else { "envoy" };
            vec![
                e.name.clone(),
                kind.into(),
                words::failure(e.failure).into(),
                words::drift(e.drift).into(),
                reach_word(e).into(),
                e.epoch.to_string(),
                heard,
                e.tags.join(" "),
            ]
        };
        let heads = ["name", "kind", "state", "drift", "reach", "epoch", "heard", "tags"];
        let note = if whole { "" } else { "this node is no bolt and does not know all envoys\n" };
        show.table(&heads, &rows.iter().map(row).collect::<Vec<_>>()) + note
    })
}

fn show(everywhere: &Everywhere, detail: &EnvoyDetail) -> Result<(), Failure> {
    let show = Show::new(everywhere);
    show.result(detail, || {
        let row = &detail.row;
        let mut out = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(out, "{name:<9} {value}");
        };
        line("name", escaped(&row.name));
        line("uuid", escaped(&row.uuid));
        line("key", detail.key.to_string());
        let heard =
            row.heard.map_or("never heard of".to_owned(), |t| format!("heard {}", words::ago(now(), t)));
        line("reach", format!("{}, {heard}", show.tint(reach_word(row))));
        line(
            "state",
            format!("{}, drift {}", show.tint(words::failure(row.failure)), words::drift(row.drift)),
        );
        line("epoch", row.epoch.to_string());
        line(
            "matched",
            detail.origin.as_deref().map_or("by no match block".into(), |o| format!("at {}", escaped(o))),
        );
        line("tags", if row.tags.is_empty() { "none".into() } else { escaped(&row.tags.join(" ")) });
        if let Some(presence) = &detail.presence {
            let at = if presence.addresses.is_empty() {
                "only dials out".into()
            } else {
                escaped(&presence.addresses.join(" "))
            };
            line("node", format!("version {}, {at}", escaped(&presence.version)));
        }
        out += &last_run(&show, detail);
        if let Some(traits) = &detail.traits {
            out += "traits\n";
            flat("", traits, &mut out);
        }
        out
    })
}

fn last_run(show: &Show, detail: &EnvoyDetail) -> String {
    let Some(run) = &detail.run else { return "last run  none yet\n".into() };
    let t = run.tally;
    let why = if run.intended {
        "the configuration was new"
    } else {
        "the machine had drifted, or nothing was to do"
    };
    let mut out = format!(
        "last run  number {}, {}, {} ms: {} as declared, {} changed, {} skipped, {} blocked, {} failed; {why}\n",
        run.number,
        words::ago(now(), run.at),
        run.millis,
        t.none,
        t.changed,
        t.skipped,
        t.blocked,
        t.failed
    );
    if let Some(aborted) = &run.aborted {
        let _ = writeln!(out, "  aborted: {}", escaped(aborted));
    }
    for step in &run.steps {
        let message =
            if step.message.is_empty() { String::new() } else { format!(": {}", escaped(&step.message)) };
        let _ = writeln!(out, "  {} {}{message}", show.tint(&escaped(&step.outcome)), escaped(&step.id));
    }
    out
}

fn flat(path: &str, value: &serde_json::Value, out: &mut String) {
    if let serde_json::Value::Object(map) = value {
        for (name, inner) in map {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            flat(&below, inner, out);
        }
        return;
    }
    let shown: String = match value {
        // What there are dozens of, each with fields, is for programs.
        serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
            format!("{} (--json lists them)", items.len())
        }
        other => other.to_string().chars().take(200).collect(),
    };
    let _ = writeln!(out, "  {} = {}", escaped(path), escaped(&shown));
}

fn runs(everywhere: &Everywhere, detail: &EnvoyDetail) -> Result<(), Failure> {
    let show = Show::new(everywhere);
    let run = detail.run.as_ref();
    let changes = run.map(|r| r.changes.as_slice()).unwrap_or_default();
    let body = json!({"name": detail.row.name, "last": run, "changes": changes});
    show.result(&body, || {
        let Some(run) = run else { return format!("{} has not run yet\n", escaped(&detail.row.name)) };
        let row = |(i, n): (usize, &u32)| {
            let number = run.number.saturating_sub(i as u64);
            vec![
                number.to_string(),
                n.to_string(),
                if *n == 0 { "as declared".into() } else { "changed the machine".into() },
            ]
        };
        let rows: Vec<Vec<String>> = changes.iter().enumerate().map(row).collect();
        show.table(&["run", "changes", "what"], &rows) + &last_run(&show, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_are_lines_and_long_lists_are_counted() {
        let mut out = String::new();
        let users = json!([{"name": "ada", "uid": 1000}, {"name": "bob", "uid": 1001}]);
        flat("", &json!({"os": {"distro": "debian"}, "tags": ["a", "b"], "users": users}), &mut out);
        assert_eq!(
            out,
            "  os.distro = \"debian\"\n  tags = [\"a\",\"b\"]\n  users = 2 (--json lists them)\n"
        );
    }
}
