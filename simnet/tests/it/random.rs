//! Random lives (R1): nodes, deeds and faults from one seed; safety while they last, liveness afterwards.
//!
//! What a life is made of stands in `simnet/scenarios/lives.toml`, which `vigo sim run lives` reads as well. A life that
//! fails prints its seed and the commands that tell it again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use vigo_simnet::Outcome;
use vigo_simnet::file::File;

/// Seeds of a test run that are lived twice.
const TWICE: u64 = 12;
/// From here on a seed is one of the long run.
pub(crate) const LONG_SEEDS: u64 = 1_000_000;

/// A scenario of the library.
pub(crate) fn scenario(name: &str) -> File {
    File::built_in(name).unwrap_or_else(|| panic!("no scenario {name}"))
}

pub(crate) fn live(seed: u64, lives: &File) -> Outcome {
    let lived = std::panic::catch_unwind(|| lives.run(seed, &mut |_| {}));
    match lived {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(broken)) => panic!("seed {seed}: {broken}\n{}", again(seed, lives)),
        Err(_) => panic!("seed {seed} panicked, see above\n{}", again(seed, lives)),
    }
}

pub(crate) fn again(seed: u64, lives: &File) -> String {
    let test = format!("VIGO_SEED={seed} cargo test -p vigo-simnet --test it one_seed -- --nocapture");
    format!("tell it again: vigo sim run {} --seed {seed}\n         or: {test}", lives.name)
}

#[derive(Default)]
struct Sum {
    reached: BTreeMap<&'static str, u64>,
    settled: Vec<u64>,
    failed: Vec<u64>,
    node_hours: f64,
    events: u64,
}

/// Lives the seeds on two threads.
fn live_all(first: u64, count: u64, lives: &File, twice: u64) -> Sum {
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    return;
                }
                let lived = std::panic::catch_unwind(|| {
                    let outcome = live(seed, lives);
                    if seed - first < twice {
                        assert_eq!(outcome.trace, live(seed, lives).trace, "seed {seed} told two stories");
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
        self.node_hours += outcome.nodes as f64 * outcome.lasted as f64 / 3.6e9;
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
    let count = std::env::var("VIGO_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| scenario("lives").seeds);
    let began = Instant::now();
    let lives = scenario("lives");
    let mut sum = live_all(1, count, &lives, TWICE);
    let (p50, p99) = (sum.settled(50), sum.settled(99));
    println!(
        "R1 | {count} lives in {:?} | {:.1} node-hours, {} events | settled p50 {p50} ms, p99 {p99} ms | {:?}",
        began.elapsed(),
        sum.node_hours,
        sum.events,
        sum.reached
    );
    assert!(sum.failed.is_empty(), "seeds {:?} failed; {}", sum.failed, again(sum.failed[0], &lives));
    let must = &lives.checks.sometimes;
    let missed: Vec<_> = must.iter().filter(|what| !sum.reached.contains_key(what.as_str())).collect();
    assert!(must.len() >= 29, "the file names what must be reached: {must:?}");
    assert!(count < lives.seeds || missed.is_empty(), "never reached: {missed:?}");
}

#[test]
fn one_seed() {
    if let Some(seed) = std::env::var("VIGO_SEED").ok().and_then(|n| n.parse().ok()) {
        let outcome = live(seed, &scenario(if seed < LONG_SEEDS { "lives" } else { "lives-long" }));
        println!("{outcome:?}");
    }
}
