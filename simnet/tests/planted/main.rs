//! Whether the suite finds wrong lines (R2): `cargo test -p vigo-simnet --features planted --test planted -- --nocapture`.
//!
//! Each fault of [`faults`] is chosen in turn and the trials of [`suite`] run until the first finding. The stories are
//! those of `simnet/tests/it`, the same files; they also run here as tests of their own, with the feature on and no
//! fault chosen. `VIGO_FAULT=7` tries one fault alone, without its hint; `VIGO_EVERY=1` with it counts every finding of
//! the whole suite, `VIGO_EVERY=gossip::` of the trials with that in their names.

mod faults;
mod quiet;
mod suite;

#[path = "../it/audit.rs"]
mod audit;
#[path = "../it/authority.rs"]
mod authority;
#[path = "../it/edges.rs"]
mod edges;
#[path = "../it/edges2.rs"]
mod edges2;
#[path = "../it/gossip.rs"]
mod gossip;
#[path = "../it/hostile.rs"]
mod hostile;
#[path = "../it/lan.rs"]
mod lan;
#[path = "../it/power.rs"]
mod power;
#[path = "../it/sketch.rs"]
mod sketch;
#[path = "../it/skew.rs"]
mod skew;
#[path = "../it/stories.rs"]
mod stories;
#[path = "../it/trouble.rs"]
mod trouble;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use vigo_base::planted;

use faults::{FAULTS, FOUND_OF_TWENTY, Fault, Hint, MISSED, PLANTED};
use suite::Trial;

/// What became of one fault.
#[derive(Debug)]
struct Row {
    fault: &'static Fault,
    /// How often the wrong line was reached, over all trials up to the finding.
    reached: u64,
    /// What found it, and what it said.
    by: Option<(Trial, String)>,
    tries: usize,
    took: Duration,
}

/// The trials for a fault: what its hint says, then all in order.
fn trials(hint: Hint) -> Vec<Trial> {
    let first = match hint {
        Hint::None => None,
        Hint::Seed(seed) => Some(Trial::Life(seed)),
        Hint::Story(name) => Some(Trial::story(name)),
    };
    first.into_iter().chain(suite::all()).collect()
}

/// Tries the suite against one fault until something is found.
fn try_one(fault: &'static Fault, hint: Hint) -> Row {
    let began = Instant::now();
    let (mut reached, mut tries, mut by) = (0, 0, None);
    for trial in trials(hint) {
        let (found, times) = planted::with(fault.number, || trial.run());
        (reached, tries) = (reached + times, tries + 1);
        if let Some(what) = found {
            assert!(times > 0, "{trial} fails without having reached fault {}: {what}", fault.number);
            if matches!(trial, Trial::Life(_)) {
                let (sound, _) = planted::with(0, || trial.run());
                assert_eq!(sound, None, "{trial} fails when no fault is chosen, too");
            }
            by = Some((trial, what));
            break;
        }
    }
    Row { fault, reached, by, tries, took: began.elapsed() }
}

/// Tries all, on two threads.
fn try_all() -> Vec<Row> {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let work = || {
            while let Some(fault) = FAULTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                let row = try_one(fault, fault.hint);
                let mut rows = rows.lock().unwrap();
                print(&row);
                rows.push(row);
            }
        };
        scope.spawn(work);
        scope.spawn(work);
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|row: &Row| row.fault.number);
    rows
}

fn print(row: &Row) {
    let (by, what) = match &row.by {
        Some((trial, what)) => (trial.to_string(), what.chars().take(150).collect()),
        None => ("NOT FOUND".to_string(), String::new()),
    };
    let (fault, took) = (row.fault, row.took.as_secs_f64());
    println!(
        "{:>2} | {} | {} reached | {} tries in {took:.1} s | {by}\n   | {}: {}\n   | {what}",
        fault.number, fault.name, row.reached, row.tries, fault.place, fault.wrong,
    );
}

#[test]
fn planted_faults_are_found() {
    if std::env::var("VIGO_FAULT").is_ok() {
        return;
    }
    let began = Instant::now();
    let rows = try_all();
    let missed: Vec<u32> = rows.iter().filter(|row| row.by.is_none()).map(|row| row.fault.number).collect();
    let found = rows.len() - missed.len();
    println!(
        "R2 | {found} of {} planted faults found in {:?}; missed: {missed:?}",
        rows.len(),
        began.elapsed()
    );
    let idle: Vec<u32> = rows.iter().filter(|row| row.reached == 0).map(|row| row.fault.number).collect();
    assert!(idle.is_empty(), "never reached, so nothing was planted: {idle:?}");
    assert_eq!(
        missed, MISSED,
        "what the suite misses is told in simnet/tests/planted/faults.rs and docs/simulation.md"
    );
    assert!(found * 20 >= FOUND_OF_TWENTY * rows.len(), "{found} of {} found", rows.len());
}

#[test]
fn the_table_is_whole() {
    let numbers: Vec<u32> = FAULTS.iter().map(|fault| fault.number).collect();
    assert_eq!(numbers, (1..=PLANTED as u32).collect::<Vec<_>>());
}

/// Stories run beside this one as tests of their own.
#[test]
fn lives_without_a_fault_find_nothing() {
    for seed in 1..=8 {
        let (found, _) = planted::with(0, || Trial::Life(seed).run());
        assert_eq!(found, None, "seed {seed}");
    }
}

#[test]
fn one_number_is_wrong_on_one_thread_and_is_counted() {
    let ((), reached) = planted::with(7_007, || {
        assert!(vigo_base::planted!(7_007) && !vigo_base::planted!(8_008));
        assert!(!std::thread::spawn(|| vigo_base::planted!(7_007)).join().unwrap());
        assert_eq!(planted::with(8_008, || vigo_base::planted!(7_007)), (false, 0));
        assert!(vigo_base::planted!(7_007));
    });
    assert_eq!(reached, 2);
    let panicked =
        quiet::panics(|| std::panic::catch_unwind(|| planted::with(7_007, || panic!("on purpose"))));
    assert!(panicked.is_err() && !vigo_base::planted!(7_007));
}

/// One fault alone, for whoever works on the table or the suite.
#[test]
fn one_fault() {
    let Some(number) = std::env::var("VIGO_FAULT").ok().and_then(|n| n.parse::<u32>().ok()) else { return };
    let fault = FAULTS.iter().find(|fault| fault.number == number).expect("a fault of the table");
    let every = std::env::var("VIGO_EVERY");
    let Ok(part) = every else { return print(&try_one(fault, Hint::None)) };
    let wanted = |trial: &Trial| part == "1" || trial.to_string().contains(&part);
    for trial in suite::all().into_iter().filter(wanted) {
        let (found, reached) = planted::with(number, || trial.run());
        let what = found.map_or_else(|| "nothing".to_string(), |what| what.chars().take(160).collect());
        println!("{trial}: reached {reached}, found {what}");
    }
}
