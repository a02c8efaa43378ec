//! The soak (R1): random lives of fleets of twenty nodes and more, over many virtual hours.
//!
//! A fleet-hour is one virtual hour of at least [`FULL`] full nodes: of a life with fewer in standing at its end none
//! is counted. The lives are those of `simnet/scenarios/lives-long.toml`. `VIGO_SOAK_HOURS` says how many are wanted, `VIGO_SOAK_MINUTES` after how many minutes of this machine
//! to stop nevertheless, `VIGO_SOAK_SEED` the first seed, `VIGO_THREADS` how many lives at once. What is reached by
//! then is printed, a miss as a miss; progress goes to standard error after every few lives.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vigo_simnet::Outcome;

use crate::random::{LONG_SEEDS, again, live, scenario};

/// Nodes in standing from which on a fleet's hours count.
const FULL: u64 = 20;
/// Fleet-hours that the long run is to have.
const WANTED: u64 = 10_000;
/// Lives between two lines of progress.
const TELLS: usize = 10;

/// What the lives so far came to.
#[derive(Default)]
struct Soaked {
    lives: usize,
    small: usize,
    fleet_hours: f64,
    node_hours: f64,
    events: u64,
    reached: BTreeMap<&'static str, u64>,
    settled: Vec<u64>,
    failed: Vec<u64>,
}

impl Soaked {
    fn add(&mut self, outcome: &Outcome) {
        let hours = outcome.lasted as f64 / 3.6e9;
        let revoked = outcome.reached.get("node revoked").copied().unwrap_or(0);
        match (outcome.nodes as u64).saturating_sub(revoked) >= FULL {
            true => self.fleet_hours += hours,
            false => self.small += 1,
        }
        self.lives += 1;
        self.node_hours += outcome.nodes as f64 * hours;
        self.events += outcome.events;
        self.settled.push(outcome.settled / 1_000);
        for (what, times) in &outcome.reached {
            *self.reached.entry(what).or_default() += times;
        }
    }

    fn settled(&self, percent: usize) -> u64 {
        let mut sorted = self.settled.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len().max(1));
        sorted.get(rank - 1).copied().unwrap_or(0)
    }

    /// The lines of the table.
    fn lines(&self, first: u64, wanted: u64, took: Duration) -> Vec<String> {
        let Soaked { lives, small, fleet_hours, node_hours, events, failed, .. } = self;
        let last = first + *lives as u64 + failed.len() as u64;
        let met = if *fleet_hours >= wanted as f64 { "" } else { ", short of them" };
        let reached: Vec<String> = self.reached.iter().map(|(what, n)| format!("{what} {n}")).collect();
        let (p50, p99) = (self.settled(50), self.settled(99));
        vec![
            format!(
                "long | R1 | virtual fleet-hours of 20 nodes and more | {fleet_hours:.0} (target {wanted}{met}); \
                 {node_hours:.0} node-hours, {events} events"
            ),
            format!(
                "long | R1 | lives of the soak | {lives}, of which {small} too small to count; seeds {first} to {}; \
                 {} min of this machine",
                last.saturating_sub(1),
                took.as_secs() / 60
            ),
            format!("long | R1 | lives in which a promise did not hold | {} {failed:?}", failed.len()),
            format!("long | R1 | from the last fault to equal state everywhere | p50 {p50} ms, p99 {p99} ms"),
            format!("long | R1 | faults injected and branches reached | {} |", reached.join(", ")),
        ]
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
#[ignore = "long: random lives until there are 10,000 fleet-hours"]
fn long_random_lives_over_ten_thousand_fleet_hours() {
    let (wanted, first) = (number("VIGO_SOAK_HOURS", WANTED), number("VIGO_SOAK_SEED", LONG_SEEDS));
    let limit = Duration::from_secs(number("VIGO_SOAK_MINUTES", 60 * 24 * 7).saturating_mul(60));
    let began = Instant::now();
    let (next, over, sum) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(Soaked::default()));
    let lives = scenario("lives-long");
    let work = || {
        while !over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let lived = std::panic::catch_unwind(|| live(seed, &lives));
            let mut sum = sum.lock().unwrap_or_else(|e| e.into_inner());
            match lived {
                Ok(outcome) => sum.add(&outcome),
                Err(_) => sum.failed.push(seed),
            }
            if sum.fleet_hours >= wanted as f64 || began.elapsed() >= limit {
                over.store(true, Ordering::Relaxed);
            }
            if (sum.lives + sum.failed.len()).is_multiple_of(TELLS) {
                let text = sum.lines(first, wanted, began.elapsed()).join("\n").replace("long |", "soak |");
                let rate = sum.fleet_hours * 60.0 / began.elapsed().as_secs_f64();
                // Not eprintln!, which the test runner would swallow.
                let _ = writeln!(std::io::stderr(), "{text}\nsoak | {rate:.1} fleet-hours a minute");
            }
        }
    };
    std::thread::scope(|scope| {
        (0..number("VIGO_THREADS", 2).clamp(1, 64)).for_each(|_| drop(scope.spawn(work)));
    });
    let sum = sum.into_inner().unwrap_or_else(|e| e.into_inner());
    sum.lines(first, wanted, began.elapsed()).iter().for_each(|line| println!("{line}"));
    assert!(sum.failed.is_empty(), "seeds {:?} failed; {}", sum.failed, again(sum.failed[0], &lives));
    let reached = sum.fleet_hours >= wanted as f64 || began.elapsed() >= limit;
    assert!(reached && sum.small < sum.lives, "{} of {} lives were too small", sum.small, sum.lives);
}

#[test]
fn only_hours_of_twenty_nodes_and_more_are_fleet_hours() {
    let outcome = live(1, &scenario("lives"));
    let mut sum = Soaked::default();
    sum.add(&Outcome { nodes: 19, lasted: 3_600_000_000, ..outcome.clone() });
    assert_eq!((sum.fleet_hours, sum.small), (0.0, 1));
    let reached = BTreeMap::from([("node revoked", 2)]);
    sum.add(&Outcome { nodes: 21, lasted: 3_600_000_000, reached, ..outcome.clone() });
    assert_eq!((sum.fleet_hours, sum.small), (0.0, 2), "two of them were revoked");
    sum.add(&Outcome { nodes: 22, lasted: 2 * 3_600_000_000, ..outcome });
    assert_eq!((sum.fleet_hours, sum.small, sum.lives), (2.0, 2, 3));
    assert!(sum.lines(7, 10, Duration::ZERO)[0].contains("2 (target 10, short of them)"));
}
