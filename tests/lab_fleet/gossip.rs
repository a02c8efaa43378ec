//! Gossip between real programs: how long one record takes to all, and what it costs.
//!
//! Each node writes, at level `debug`, when a statement came to it, in microseconds of the wall clock that all
//! machines of a lab share. The first line is the node's that wrote it down; the others are measured from there.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::figures::{percentile, say, say_long, spread};
use crate::fleet::{Fleet, alone};
use crate::lab::{require_lab, secs, wait};

/// What targets.md asks of fifty nodes.
const TARGET: Duration = Duration::from_millis(50);

/// What the lines of all nodes say of one statement.
#[derive(Debug, Default)]
struct Spread {
    /// From the first to each of the others.
    took: Vec<Duration>,
    /// How many nodes had it by gossip.
    by_gossip: usize,
}

/// One line's word of a field: `name=value`.
fn value<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = &line[line.find(&format!(" {name}="))? + name.len() + 2..];
    rest.split_whitespace().next().map(|word| word.trim_matches('"'))
}

/// The statements of settings that arrived at every one of these machines, by what they wrote.
fn arrivals(fleet: &Fleet, names: &[String]) -> BTreeMap<String, Spread> {
    let mut seen: BTreeMap<String, Vec<(u64, bool)>> = BTreeMap::new();
    for name in names {
        for line in fleet.log(name).lines().filter(|l| l.contains("a statement arrived")) {
            let (Some("settings"), Some(id), Some(micros)) =
                (value(line, "space"), value(line, "id"), value(line, "micros"))
            else {
                continue;
            };
            let at = micros.parse().expect("a number");
            seen.entry(id.to_owned()).or_default().push((at, value(line, "by") == Some("Gossip")));
        }
    }
    seen.retain(|_, at| at.len() == names.len());
    let spread = |(id, mut at): (String, Vec<(u64, bool)>)| {
        at.sort_unstable();
        let first = at[0].0;
        let took = at[1..].iter().map(|(t, _)| Duration::from_micros(t - first)).collect();
        (id, Spread { took, by_gossip: at.iter().filter(|(_, gossip)| *gossip).count() })
    };
    seen.into_iter().map(spread).collect()
}

/// A number of the node's metrics.
fn metric(fleet: &Fleet, name: &str, metric: &str) -> u64 {
    let page = fleet.client(name).and_then(|client| client.metrics().ok()).unwrap_or_default();
    let line = page.lines().find(|line| line.starts_with(&format!("{metric} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map_or(0, |n| n as u64)
}

/// What a program holds of memory, in KiB: all of it (what one program alone on its machine would be said to hold), and
/// only what it wrote to itself.
fn memory(pid: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let field = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    };
    (field("Rss:"), field("Private_Dirty:"))
}

/// The memory of `bolt1` with eight sessions, with gossip links beside them and without.
#[test]
fn what_links_cost_in_memory() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    let mut took = Vec::new();
    for listen in ["auto", "none"] {
        let mut fleet = Fleet::new(&format!("links-{listen}"));
        fleet.options_of_all(&["--gossip-listen", listen]);
        fleet.fill(1, 8);
        wait::until("bolt1 has eight peers", secs(60), || {
            let peers = fleet.look("bolt1").map_or(0, |s| s.peers);
            let links = metric(&fleet, "bolt1", "vigo_gossip_links");
            let wanted = if listen == "auto" { 8 } else { 0 };
            if peers == 8 && links == wanted { Ok(()) } else { Err(format!("{peers} peers, {links} links")) }
        });
        std::thread::sleep(secs(15));
        took.push(memory(fleet.pid("bolt1")));
    }
    let [(rss, dirty), (rss_without, dirty_without)] = took[..] else { panic!("{took:?}") };
    let each = dirty.saturating_sub(dirty_without) / 8;
    let what = "resident memory of a node with 8 sessions";
    say("target", &format!("{what} and 8 gossip links"), &format!("{rss} KiB, {dirty} KiB of it its own"));
    say(
        "target",
        &format!("{what} without gossip"),
        &format!("{rss_without} KiB, {dirty_without} KiB of it its own"),
    );
    say("target", "a gossip link", &format!("{each} KiB"));
    assert!(rss <= 64 * 1024, "{took:?}");
}

/// Sets something `count` times through different nodes, and gives what the nodes wrote of it.
fn measure(title: &str, bolts: usize, envoys: usize, count: usize) -> (Vec<Spread>, Fleet) {
    let mut fleet = Fleet::logging(title, "debug");
    fleet.fill(bolts, envoys);
    let names = fleet.running();
    wait::until("everyone is linked", secs(60), || {
        let few = |name: &&String| metric(&fleet, name, "vigo_gossip_links") < 2.min(names.len() as u64 - 1);
        let lonely: Vec<&String> = names.iter().filter(few).collect();
        if lonely.is_empty() { Ok(()) } else { Err(format!("without links: {lonely:?}")) }
    });
    // Links are relied on after a moment, and the mesh has to come about.
    std::thread::sleep(secs(8));
    for n in 0..count {
        let via = &names[n * 7 % names.len()];
        let value = (100 + n).to_string();
        let said = fleet.signed("home", via, &["settings", "set", "converge.interval", &value]);
        assert!(said.code == 0, "{said:?}");
        // The disk that all of them share has to come to rest: each commits what it heard.
        std::thread::sleep(Duration::from_millis(500 + 40 * names.len() as u64));
    }
    std::thread::sleep(secs(2));
    let found = arrivals(&fleet, &names);
    assert_eq!(found.len(), count, "not every statement came to every node");
    (found.into_values().collect(), fleet)
}

fn figures(title: &str, bolts: usize, envoys: usize, count: usize, say: fn(&str, &str, &str)) -> Duration {
    let (spreads, fleet) = measure(title, bolts, envoys, count);
    let nodes = bolts + envoys;
    let each: Vec<Duration> = spreads.iter().flat_map(|s| s.took.clone()).collect();
    let gossiped: usize = spreads.iter().map(|s| s.by_gossip).sum();
    let what = format!("gossip, one setting to {nodes} nodes");
    say("target", &what, &spread(&each));
    let share = gossiped * 100 / (count * (nodes - 1));
    say("target", &format!("{what}: by gossip"), &format!("{share} % of arrivals, the others by push"));
    let sum = |name: &str| fleet.running().iter().map(|node| metric(&fleet, node, name)).sum::<u64>();
    let commit = sum("vigo_store_commit_microseconds_total") / sum("vigo_store_commits_total").max(1);
    say("target", &format!("{what}: a commit took"), &format!("{} ms on average", commit / 1_000));
    assert_eq!(sum("vigo_gossip_rejected_total"), 0, "honest nodes blame nobody");
    assert!(share >= 50, "gossip carried {share} % only");
    percentile(&each, 99)
}

#[test]
fn a_setting_is_with_ten_nodes_at_once() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    let p99 = figures("gossip10", 2, 8, 8, say);
    assert!(p99 <= secs(2), "{p99:?}");
}

#[test]
#[ignore = "long: fifty nodes"]
fn long_a_setting_is_with_fifty_nodes_at_once() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    let p99 = figures("gossip50", 3, 47, 20, say_long);
    // Stated, not asserted: fifty nodes share this machine's cores and its disk.
    let verdict = if p99 <= TARGET { "met" } else { "missed" };
    say_long("target", "gossip to 50 nodes, p99 within 50 ms", &format!("{verdict}: {} ms", p99.as_millis()));
    assert!(p99 <= secs(10), "{p99:?}");
}
