//! Watching a publish arrive.
//!
//! Only envoys that can be reached are waited for; who is away is listed and gets it later. A node that is no bolt
//! sees little, and says so.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use vigo_base::Hash;
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, PublishRow, Reply, Rollout, RolloutRow};
use vigo_daemon::node::content_types::status;

use super::config::described;
use super::publish::named;
use crate::exit::{Exit, Failure};
use crate::reach::call;
use crate::show::{self, Show};
use crate::words;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// A publish that arrives at nobody for so long, on a node that sees little, is left alone.
const BLIND: Duration = Duration::from_secs(5);

/// Waits until every envoy that can be reached has it, at most `seconds`. The last look is returned either way.
///
/// # Errors
/// [`Failure`] if the node cannot be asked.
pub fn wait(client: &Client, id: Hash, seconds: u64) -> Result<Rollout, Failure> {
    let begun = Instant::now();
    let bar = show::spinner("waiting for the envoys");
    loop {
        let seen = look(client, id)?;
        let missing: Vec<&str> = waited_for(&seen).filter(|e| !e.arrived).map(|e| e.name.as_str()).collect();
        let over = begun.elapsed() > Duration::from_secs(seconds);
        let blind = !seen.complete && begun.elapsed() > BLIND;
        // A bolt hears of envoys as they connect: nobody at all right after a start is no success.
        if missing.is_empty() || over || blind || !seen.is_head {
            bar.finish_and_clear();
            return Ok(seen);
        }
        let shown: Vec<String> = missing.iter().take(5).map(|name| escaped(name)).collect();
        let all = waited_for(&seen).count();
        bar.set_message(format!(
            "{} of {} have it; waiting for {}",
            all - missing.len(),
            words::count(all, "envoy", "envoys"),
            shown.join(", ")
        ));
        std::thread::sleep(PAUSE);
    }
}

/// How far it has come.
///
/// # Errors
/// [`Failure`] if the node cannot be asked.
pub fn look(client: &Client, id: Hash) -> Result<Rollout, Failure> {
    call!(client, Command::Rollout { id }, Reply::Rollout(rollout) => rollout)
}

fn waited_for(seen: &Rollout) -> impl Iterator<Item = &RolloutRow> {
    seen.envoys.iter().filter(|e| e.online || e.arrived)
}

/// The rollout as a table.
pub fn text(show: &Show, seen: &Rollout) -> String {
    let row = |e: &RolloutRow| {
        let arrived = match (e.arrived, e.online) {
            (true, _) => "arrived",
            (false, true) => "not yet",
            (false, false) => "away",
        };
        let reach = if e.online { "online" } else { "offline" };
        vec![
            e.name.clone(),
            arrived.into(),
            e.epoch.to_string(),
            words::failure(e.failure).into(),
            reach.into(),
        ]
    };
    let rows: Vec<Vec<String>> = seen.envoys.iter().map(row).collect();
    let mut out = show.table(&["envoy", "publish", "runs epoch", "state", "reach"], &rows);
    let arrived = seen.envoys.iter().filter(|e| e.arrived).count();
    let _ = writeln!(
        out,
        "{}: {arrived} of {} {} it, {} {} it",
        named(seen.at),
        words::count(seen.envoys.len(), "envoy", "envoys"),
        if arrived == 1 { "has" } else { "have" },
        words::count(seen.bolts_holding, "bolt", "bolts"),
        if seen.bolts_holding == 1 { "holds" } else { "hold" }
    );
    if !seen.complete {
        out += "this node is no bolt and does not see all envoys; on a bolt: vigocli envoys list\n";
    }
    out
}

/// Whether the publish arrived well.
///
/// # Errors
/// [`Failure`] that says who is missing, what failed, or who published over it.
pub fn judge(seen: &Rollout, publishes: &[PublishRow]) -> Result<(), Failure> {
    if !seen.is_head {
        let by =
            publishes.iter().find(|p| p.head).map_or_else(|| "somebody else published".to_owned(), described);
        return Err(Failure::new(Exit::Stale, format!("{by}: {} is no longer the newest", named(seen.at)))
            .hint("if that was at the same time, take their changes into this tree and publish again: it then stands on both"));
    }
    let names = |keep: &dyn Fn(&&RolloutRow) -> bool| -> Vec<String> {
        waited_for(seen).filter(|e| keep(e)).take(10).map(|e| escaped(&e.name)).collect()
    };
    let missing = names(&|e| !e.arrived);
    if !missing.is_empty() {
        return Err(Failure::new(Exit::Partial, format!("it has not arrived at {}", missing.join(", ")))
            .hint("they go on trying; vigocli envoys show NAME says what holds one up"));
    }
    let failed = names(&|e| matches!(e.failure, status::Failure::Failed | status::Failure::Degraded));
    if !failed.is_empty() {
        return Err(Failure::new(
            Exit::Partial,
            format!("it arrived, and steps failed on {}", failed.join(", ")),
        )
        .hint("vigocli envoys show NAME says which, and why"));
    }
    Ok(())
}
