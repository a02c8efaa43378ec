//! Random lives (R1): nodes, deeds and faults from one seed; safety while they last, liveness afterwards.
//!
//! A life that fails prints its seed and the one command that tells it again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use vigo_simnet::{Life, Outcome, Scenario};

/// Seeds of a test run, and of those the ones that are lived twice.
const SEEDS: u64 = 200;
const TWICE: u64 = 12;
/// From here on a seed is one of the long run.
const LONG_SEEDS: u64 = 1_000_000;

/// What every set of lives must have reached, or the test tests less than it says.
const MUST_REACH: &[&str] = &[
    "a fork of epochs",
    "a head went back from a publish that was cut off",
    "a link was looked at",
    "a revoked operator worked on",
    "connections broken",
    "crash in the middle of outputs",
    "durable before it was passed on",
    "failed disk",
    "failed fetch",
    "gossip accepted",
    "gossip came twice",
    "gossip lost",
    "handed to two nodes",
    "joined in trouble",
    "killed",
    "link cut",
    "link cut one way",
    "node revoked",
    "operator revoked",
    "partition",
    "replayed records",
    "restarted",
    "something was cut off",
    "submission refused",
    "two held the same",
    "unacknowledged and gone",
    "unacknowledged and here",
    "wall clock set",
    "wrong clock",
];

fn live(seed: u64, life: &Life) -> Outcome {
    let lived = std::panic::catch_unwind(|| Scenario::random(seed, life).run());
    match lived {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(broken)) => panic!("seed {seed}: {broken}\n{}", again(seed)),
        Err(_) => panic!("seed {seed} panicked, see above\n{}", again(seed)),
    }
}

fn again(seed: u64) -> String {
    format!("tell it again: VIGO_SEED={seed} cargo test -p vigo-simnet --test it one_seed -- --nocapture")
}

#[derive(Default)]
struct Sum {
    reached: BTreeMap<&'static str, u64>,
    settled: Vec<u64>,
    failed: Vec<u64>,
    fleet_hours: f64,
    events: u64,
}

/// Lives the seeds on two threads.
fn live_all(first: u64, count: u64, life: &Life, twice: u64) -> Sum {
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    return;
                }
                let lived = std::panic::catch_unwind(|| {
                    let outcome = live(seed, life);
                    if seed - first < twice {
                        assert_eq!(outcome.trace, live(seed, life).trace, "seed {seed} told two stories");
                    }
                    outcome
                });
                let mut sum = sum.lock().unwrap_or_else(|e| e.into_inner());
                match lived {
                    Ok(outcome) => sum.add(&outcome),
                    Err(_) => sum.failed.push(seed),
                }
            }
        };
        scope.spawn(work);
        scope.spawn(work);
    });
    sum.into_inner().unwrap_or_else(|e| e.into_inner())
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        for (what, times) in &outcome.reached {
            *self.reached.entry(what).or_default() += times;
        }
        self.settled.push(outcome.settled / 1_000);
        self.fleet_hours += outcome.nodes as f64 * outcome.lasted as f64 / 3.6e9;
        self.events += outcome.events;
    }

    fn settled(&mut self, percent: usize) -> u64 {
        self.settled.sort_unstable();
        self.settled
            .get((self.settled.len() * percent / 100).min(self.settled.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    }
}

#[test]
fn random_lives_are_safe_and_settle() {
    let count = std::env::var("VIGO_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    let began = Instant::now();
    let mut sum = live_all(1, count, &Life::short(), TWICE);
    let (p50, p99) = (sum.settled(50), sum.settled(99));
    println!(
        "R1 | {count} lives in {:?} | {:.1} fleet-hours, {} events | settled p50 {p50} ms, p99 {p99} ms | {:?}",
        began.elapsed(),
        sum.fleet_hours,
        sum.events,
        sum.reached
    );
    assert!(sum.failed.is_empty(), "seeds {:?} failed; {}", sum.failed, again(sum.failed[0]));
    let missed: Vec<_> = MUST_REACH.iter().filter(|what| !sum.reached.contains_key(*what)).collect();
    assert!(count < SEEDS || missed.is_empty(), "never reached: {missed:?}");
}

#[test]
fn one_seed() {
    if let Some(seed) = std::env::var("VIGO_SEED").ok().and_then(|n| n.parse().ok()) {
        let outcome = live(seed, &if seed < LONG_SEEDS { Life::short() } else { Life::long() });
        println!("{outcome:?}");
    }
}

/// More than 10,000 fleet-hours.
#[test]
#[ignore = "takes long: .ci/long runs it"]
fn random_lives_over_ten_thousand_fleet_hours() {
    let (mut hours, mut lives, mut first, mut all) = (0.0, 0, LONG_SEEDS, Sum::default());
    while hours < 10_000.0 {
        let mut sum = live_all(first, 8, &Life::long(), 0);
        assert!(sum.failed.is_empty(), "seeds {:?} failed; {}", sum.failed, again(sum.failed[0]));
        first += 8;
        lives += 8;
        hours += sum.fleet_hours;
        all.events += sum.events;
        all.settled.append(&mut sum.settled);
    }
    let (p50, p99) = (all.settled(50), all.settled(99));
    println!("long | R1 | {hours:.0} fleet-hours in {lives} lives, seeds from 1000000 | 0 diverged");
    println!("long | R1 | {} events | settled p50 {p50} ms, p99 {p99} ms after the last fault", all.events);
}
