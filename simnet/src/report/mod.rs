//! What runs of a scenario came to: figures, verdicts on its checks, and the line that tells a failing run again.
//!
//! A [`Tally`] takes the runs of any seeds in any order. As JSON it holds virtual times and bytes only, and as a page
//! ([`Tally::html`]) nothing but those either, so that the same seeds give the same bytes. [`diff`] compares two of
//! the JSON results. It writes no file.

mod compare;
mod page;
mod plot;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vigo_base::Hash;
use vigo_base::hash::Hasher;
use vigo_base::text::nearest;
use vigo_base::time::Micros;

use crate::Figures;
use crate::file::File;
use crate::scenario::{Broken, CHECKS, Kept, Outcome};
use crate::watch::Course;

pub use compare::{CannotCompare, Change, diff};
pub use plot::time;

/// Courses that are kept, of the first seeds; and those of broken runs.
const COURSES: usize = 4;
/// What a crowd promises.
const EQUAL: &str = "equal sets in the end";
/// Broken runs of which everything is kept.
const BROKEN: usize = 20;

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The check.
    pub name: String,
    /// `always`, `eventually` or `sometimes`.
    pub kind: &'static str,
    /// What is promised.
    pub promise: String,
    /// Whether it held in all runs; none if that cannot be told from these.
    pub holds: Option<bool>,
    /// In how many runs it held, or how often it was reached.
    pub times: u64,
    /// What there is to say.
    pub note: String,
}

/// Runs of one scenario, added up.
#[derive(Debug, Clone)]
pub struct Tally {
    file: File,
    /// How the scenario is named on the command line, and the nodes that it was given there.
    named: (String, Option<usize>),
    seeds: (u64, u64),
    figures: Figures,
    reached: BTreeMap<String, u64>,
    /// Virtual microseconds of all runs, and the same times their nodes.
    lasted: (u128, u128),
    events: u64,
    traces: BTreeMap<u64, Hash>,
    broken: BTreeMap<u64, Broken>,
    courses: BTreeMap<u64, Course>,
    /// The times to deliver, seed by seed, are merged in the figures; here are those of one run each.
    runs: u64,
}

impl Tally {
    /// Of no runs yet: `count` seeds from `first` on will come. `named` is how a command line names the scenario, and
    /// `nodes` how many nodes it asks for.
    pub fn new(file: &File, named: &str, nodes: Option<usize>, first: u64, count: u64) -> Tally {
        Tally {
            file: file.clone(),
            named: (named.to_string(), nodes),
            seeds: (first, count),
            figures: Figures::default(),
            reached: BTreeMap::new(),
            lasted: (0, 0),
            events: 0,
            traces: BTreeMap::new(),
            broken: BTreeMap::new(),
            courses: BTreeMap::new(),
            runs: 0,
        }
    }

    /// Adds what a seed came to.
    pub fn add(&mut self, seed: u64, came: Result<Outcome, Broken>, course: Course) {
        self.runs += 1;
        let broke = came.is_err();
        match came {
            Ok(outcome) => {
                for (what, times) in &outcome.reached {
                    *self.reached.entry((*what).to_string()).or_default() += times;
                }
                let lasted = u128::from(outcome.lasted);
                self.lasted.0 += lasted;
                self.lasted.1 += lasted * outcome.nodes as u128;
                self.events += outcome.events;
                self.figures.merge(&outcome.figures);
                self.traces.insert(seed, outcome.trace);
            }
            Err(broken) => drop(self.broken.insert(seed, broken)),
        }
        // The first seeds and the first broken ones, whatever the order in which they come.
        self.courses.insert(seed, course);
        let kept: Vec<u64> = self.courses.keys().copied().collect();
        let whole = kept.iter().filter(|seed| !self.broken.contains_key(seed)).skip(COURSES);
        let failed = kept.iter().filter(|seed| self.broken.contains_key(seed)).skip(COURSES);
        for seed in whole.chain(failed) {
            self.courses.remove(seed);
        }
        if broke && self.broken.len() > BROKEN {
            self.broken.values_mut().skip(BROKEN).for_each(|broken| broken.report.clear());
        }
    }

    /// How many seeds have run.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// How many seeds there will be.
    pub fn wanted(&self) -> u64 {
        self.seeds.1
    }

    /// The figures of all runs that held.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The runs that broke a promise, by seed.
    pub fn broken(&self) -> &BTreeMap<u64, Broken> {
        &self.broken
    }

    /// How often each fault and branch was reached.
    pub fn reached(&self) -> &BTreeMap<String, u64> {
        &self.reached
    }

    /// Events of all runs.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Virtual time of all runs together, in microseconds.
    pub fn lasted(&self) -> Micros {
        Micros::try_from(self.lasted.0).unwrap_or(Micros::MAX)
    }

    /// Hours that nodes have lived in all runs.
    pub fn fleet_hours(&self) -> f64 {
        // Thousandths first: a ratio of large integers is the same everywhere.
        (self.lasted.1 / 3_600_000) as f64 / 1_000.0
    }

    /// Whether every seed has run and every check holds.
    pub fn passed(&self) -> bool {
        self.runs == self.seeds.1
            && self.broken.is_empty()
            && self.verdicts().iter().all(|verdict| verdict.holds != Some(false))
    }

    /// `passed`, `failed`, or `stopped` if not every seed has run and nothing is broken yet.
    pub fn word(&self) -> &'static str {
        match self.passed() {
            true => "passed",
            false if self.broken.is_empty() && self.runs < self.seeds.1 => "stopped",
            false => "failed",
        }
    }

    /// The line that runs a seed again, or all of them.
    pub fn again(&self, seed: Option<u64>) -> String {
        let (first, count) = (seed.unwrap_or(self.seeds.0), if seed.is_some() { 1 } else { self.seeds.1 });
        let nodes = self.named.1.map(|n| format!(" --nodes {n}")).unwrap_or_default();
        let many = if count > 1 { format!(" --seeds {count}") } else { String::new() };
        format!("vigo sim run {} --seed {first}{many}{nodes}", self.named.0)
    }

    /// The line to type when this did not pass: the first seed that broke, or all seeds if something was not reached.
    pub fn reproduce(&self) -> String {
        self.again(self.broken.keys().next().copied())
    }

    /// How each check came out.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let held = self.runs - self.broken.len() as u64;
        let mut verdicts = Vec::new();
        for check in CHECKS.iter().filter(|check| self.judged(check)) {
            let kind = if check.kept == Kept::Always { "always" } else { "eventually" };
            let seed = self.broken.iter().find(|(_, b)| check.promises.contains(&b.promise));
            verdicts.push(Verdict {
                name: check.name.into(),
                kind,
                promise: check.promises.join("; "),
                holds: if seed.is_some() { Some(false) } else { (held > 0).then_some(true) },
                times: held,
                note: seed.map(|(seed, _)| format!("broken with seed {seed}")).unwrap_or_default(),
            });
        }
        if self.is_crowd() {
            let seed = self.broken.iter().find(|(_, b)| b.promise == EQUAL).map(|(seed, _)| *seed);
            verdicts.push(Verdict {
                name: "equal".into(),
                kind: "eventually",
                promise: EQUAL.into(),
                holds: if seed.is_some() { Some(false) } else { (held > 0).then_some(true) },
                times: held,
                note: seed.map(|seed| format!("broken with seed {seed}")).unwrap_or_default(),
            });
        }
        // What no check of the table is: a panic.
        for (seed, broken) in &self.broken {
            let known = CHECKS.iter().any(|check| check.promises.contains(&broken.promise));
            if !known && verdicts.iter().all(|verdict: &Verdict| verdict.promise != broken.promise) {
                verdicts.push(Verdict {
                    name: broken.promise.into(),
                    kind: "always",
                    promise: broken.promise.into(),
                    holds: Some(false),
                    times: held,
                    note: format!("broken with seed {seed}"),
                });
            }
        }
        verdicts.extend(self.file.checks.sometimes.iter().map(|name| self.reached_or_not(name)));
        verdicts
    }

    fn judged(&self, check: &crate::scenario::Check) -> bool {
        !self.is_crowd() && self.file.checks.has(check)
    }

    fn is_crowd(&self) -> bool {
        matches!(self.file.kind, crate::file::Kind::Crowd(_))
    }

    fn reached_or_not(&self, name: &str) -> Verdict {
        let times = self.reached.get(name).copied().unwrap_or(0);
        let enough = self.runs >= self.file.seeds;
        let note = match times {
            0 if !enough => format!("not reached; judged from {} seeds on", self.file.seeds),
            0 => match nearest(name, self.reached.keys().map(String::as_str)) {
                Some(near) => format!("never reached; {near:?} was"),
                None => "never reached".into(),
            },
            _ => String::new(),
        };
        let holds = if times > 0 { Some(true) } else { enough.then_some(false) };
        Verdict { name: name.into(), kind: "sometimes", promise: "it is reached".into(), holds, times, note }
    }

    /// Everything as one object; the same for the same seeds, whatever machine it ran on.
    pub fn json(&self) -> Value {
        let mut trace = Hasher::default();
        self.traces.values().for_each(|hash| trace.update(&hash.0));
        let verdict = |v: Verdict| json!({"name": v.name, "kind": v.kind, "holds": v.holds, "times": v.times, "note": v.note});
        let broken = |(seed, b): (&u64, &Broken)| json!({"seed": seed, "promise": b.promise, "what": b.what, "again": self.again(Some(*seed))});
        json!({
            "scenario": self.file.name,
            "kind": self.file.kind.name(),
            "seed": self.seeds.0,
            "seeds": self.runs,
            "nodes": self.named.1,
            "passed": self.passed(),
            "verdict": self.word(),
            "figures": self.figures.json(),
            "virtual_us": self.lasted(),
            "fleet_hours": self.fleet_hours(),
            "events": self.events,
            "checks": self.verdicts().into_iter().map(verdict).collect::<Vec<_>>(),
            "broken": self.broken.iter().take(BROKEN).map(broken).collect::<Vec<_>>(),
            "reached": self.reached,
            "trace": trace.finish().to_string(),
            "again": self.again(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(what: &'static str) -> Outcome {
        let mut figures =
            Figures { runs: 1, nodes: 3, updates: 1, pairs: 2, copies: 3, ..Figures::default() };
        figures.delivery.add_many(5_000, 2);
        Outcome {
            trace: Hash::of(what.as_bytes()),
            events: 10,
            nodes: 3,
            lasted: 3_600_000_000,
            settled: 1,
            reached: BTreeMap::from([(what, 1)]),
            figures,
        }
    }

    fn broken(promise: &'static str) -> Broken {
        Broken { promise, what: "<b>".into(), report: "&".into() }
    }

    fn tally(seeds: u64) -> Tally {
        let mut file = File::built_in("lives").unwrap();
        file.seeds = seeds;
        file.checks.sometimes = vec!["partition".into(), "killed".into()];
        Tally::new(&file, "lives", None, 1, 2)
    }

    #[test]
    fn the_order_in_which_seeds_end_changes_nothing() {
        let (mut one, mut other) = (tally(2), tally(2));
        one.add(1, Ok(outcome("partition")), Course::default());
        one.add(2, Ok(outcome("killed")), Course::default());
        other.add(2, Ok(outcome("killed")), Course::default());
        other.add(1, Ok(outcome("partition")), Course::default());
        assert_eq!(one.json().to_string(), other.json().to_string());
        assert_eq!(one.html(), other.html());
        assert!(one.passed());
        assert_eq!(one.fleet_hours(), 6.0);
    }

    #[test]
    fn what_was_never_reached_fails_from_the_number_of_seeds_of_the_file_on() {
        let mut few = tally(3);
        let mut enough = tally(2);
        for seed in [1, 2] {
            few.add(seed, Ok(outcome("partition")), Course::default());
            enough.add(seed, Ok(outcome("partition")), Course::default());
        }
        assert!(few.passed() && !enough.passed());
        assert_eq!(enough.reproduce(), "vigo sim run lives --seed 1 --seeds 2");
    }

    #[test]
    fn a_broken_promise_is_its_checks_and_the_first_seed_is_told_again() {
        let mut tally = tally(1);
        tally.add(7, Err(broken("nothing acknowledged is lost")), Course::default());
        tally.add(5, Err(broken("something else")), Course::default());
        tally.add(6, Ok(outcome("partition")), Course::default());
        assert!(!tally.passed());
        assert_eq!(tally.reproduce(), "vigo sim run lives --seed 5");
        let verdict = |name: &str| tally.verdicts().into_iter().find(|v| v.name == name).unwrap();
        assert_eq!(verdict("nothing-lost").holds, Some(false));
        assert_eq!(verdict("something else").note, "broken with seed 5");
        assert_eq!((verdict("same-answers").holds, verdict("same-answers").times), (Some(true), 1));
        let page = tally.html();
        assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "what a run says is shown as text");
    }
}
