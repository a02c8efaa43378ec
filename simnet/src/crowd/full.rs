//! A crowd of full nodes: the shipped node, a thousand times, in one fleet.
//!
//! The fleet is founded at once ([`Fleet::found_many`]), started within ten seconds and left alone until it is at
//! rest. Then a minute of rest is measured, and after it the workload: settings and two publishes, of which the second
//! spreads while some lose power. In the end those come back, and all must hold the same and run the head.

use std::collections::BTreeMap;

use vigo_base::time::{Micros, millis, mins, secs};
use vigo_base::{Dice, Hash};
use vigo_node::content_types::config::Epoch;
use vigo_node::crdt::Space;

use super::Crowd;
use crate::machine::Power;
use crate::scenario::{Broken, Outcome};
use crate::{Fleet, Ix};

/// Time within which all are started, and time to come to rest.
const START: (Micros, Micros) = (secs(10), secs(50));
/// How long rest is measured.
const REST: Micros = secs(60);
/// How long all may take to become equal in the end.
const SETTLES: Micros = mins(5);

struct Full {
    fleet: Fleet,
    dice: Dice,
    bolts: usize,
    all: Vec<Ix>,
    head: Option<Epoch>,
    counts: BTreeMap<&'static str, u64>,
}

/// Runs a crowd of full nodes.
pub(super) fn run(
    crowd: &Crowd,
    seed: u64,
    progress: &mut dyn FnMut(Micros, Micros),
) -> Result<Outcome, Broken> {
    let mut fleet = Fleet::new(seed).over(crowd.network());
    let bolts = crowd.bolts();
    let all = fleet.found_many(bolts, crowd.nodes - bolts);
    let (dice, counts) = (Dice::from_number(seed ^ 0xf0_1100), BTreeMap::new());
    let mut full = Full { fleet, dice, bolts, all, head: None, counts };
    let total = START.0 + START.1 + REST + crowd.lasts;
    full.fleet.start_all(&full.all.clone(), START.0);
    full.count("events of the start", full.fleet.events());
    progress(START.0, total);
    full.fleet.elapse(START.1);
    progress(START.0 + START.1, total);
    full.rest();
    progress(total - crowd.lasts, total);
    let now = full.fleet.now();
    full.fleet.meter.begin(now, full.all.iter().copied());
    full.work(crowd, &mut |passed| progress(total - crowd.lasts + passed, total));
    let began = full.fleet.now();
    full.settle(began)
}

impl Full {
    fn count(&mut self, what: &'static str, n: u64) {
        *self.counts.entry(what).or_default() += n;
    }

    /// A minute of rest: what it costs.
    fn rest(&mut self) {
        let (now, before) = (self.fleet.now(), self.fleet.events());
        self.fleet.meter.begin(now, self.all.iter().copied());
        self.fleet.elapse(REST);
        let bytes = self.fleet.meter.figures(self.all.len()).bytes;
        self.count("bytes at rest", bytes.sum());
        self.count("events at rest", self.fleet.events() - before);
        self.count("seconds at rest", REST / 1_000_000);
    }

    fn work(&mut self, crowd: &Crowd, progress: &mut dyn FnMut(Micros)) {
        let began = self.fleet.now();
        let middle = crowd.updates / 2;
        for n in 0..crowd.updates {
            let due = began.after(crowd.lasts * n as u64 / crowd.updates as u64);
            self.fleet.elapse(due.since(self.fleet.now()));
            progress(due.since(began));
            self.update(n, n == 0 || n == middle);
            if n == middle {
                self.fleet.elapse(millis(60));
                self.crash(crowd.crashed);
            }
        }
        let end = began.after(crowd.lasts);
        self.fleet.elapse(end.since(self.fleet.now()));
    }

    fn on(&self, ix: Ix) -> bool {
        self.fleet.machine(ix).power() == Power::On
    }

    /// Somebody who is on publishes, or sets something.
    fn update(&mut self, n: usize, publishes: bool) {
        // Publishes go through bolts, as people's do: an envoy would have to hand the blobs on first.
        let from = if publishes { self.bolts } else { self.all.len() };
        let mut at = self.all[self.dice.below(from as u64) as usize];
        while !self.on(at) {
            at = self.all[self.dice.below(from as u64) as usize];
        }
        let operator = self.fleet.operator.clone();
        if publishes {
            let published = self.fleet.try_publish(at, &operator, &format!("text {n}"));
            self.head = published.map(|p| p.at).or(self.head);
            return;
        }
        let Some(signer) = self.fleet.try_signer(at, &operator) else { return };
        let value = (1_000 + n as u64).into();
        if let Ok(signed) = signer.set("converge.interval", Some(&value)) {
            self.fleet.try_submit(at, &signed);
        }
    }

    fn crash(&mut self, percent: u64) {
        let mut all = self.all.clone();
        self.dice.shuffle(&mut all);
        let count = all.len() as u64 * percent / 100;
        for ix in all.into_iter().take(count as usize) {
            self.count("crashed", 1);
            self.fleet.kill(ix);
            self.fleet.meter.left(ix);
        }
    }

    fn settle(mut self, began: vigo_base::Time) -> Result<Outcome, Broken> {
        for ix in self.all.clone() {
            if !self.on(ix) {
                self.fleet.start(ix);
            }
        }
        let mut lack = String::new();
        while self.fleet.now().since(began) <= SETTLES {
            lack = self.lacks();
            if lack.is_empty() {
                return Ok(self.outcome(began));
            }
            self.fleet.elapse(millis(250));
        }
        let report = self.fleet.report().chars().take(20_000).collect();
        Err(Broken { promise: "equal sets in the end", what: lack, report })
    }

    /// What is not as it should be in the end; empty if all is.
    fn lacks(&self) -> String {
        let of = |space: &Space, all: &[Ix]| {
            let digests: Vec<_> = all.iter().map(|ix| self.fleet.machine(*ix).digest(space)).collect();
            digests.iter().filter(|digest| **digest != digests[0]).count()
        };
        for space in [Space::admissions(), Space::config(), Space::settings()] {
            let differ = of(&space, &self.all);
            if differ > 0 {
                return format!("{differ} of {} differ in {space} from the first", self.all.len());
            }
        }
        for space in [Space::envoys(), Space::status()] {
            let differ = of(&space, &self.all[..self.bolts]);
            if differ > 0 {
                return format!("{differ} of {} bolts differ in {space} from the first", self.bolts);
            }
        }
        let behind = |head: Epoch| self.all.iter().filter(|ix| !self.fleet.has_run(**ix, head)).count();
        match self.head.map(behind) {
            Some(0) | None => String::new(),
            Some(n) => format!("{n} of {} have not run the head", self.all.len()),
        }
    }

    fn outcome(mut self, began: vigo_base::Time) -> Outcome {
        let settled = self.fleet.now().since(began);
        let on_disk = |ix: Ix| {
            let records = &self.fleet.machine(ix).disk.records;
            (records.len() as u64, records.values().map(|bytes| bytes.len() as u64).sum::<u64>())
        };
        let (bolt, envoy) = (on_disk(self.all[0]), on_disk(self.all[self.all.len() - 1]));
        self.count("records of a bolt", bolt.0);
        self.count("bytes of a bolt's records", bolt.1);
        self.count("records of an envoy", envoy.0);
        self.count("bytes of an envoy's records", envoy.1);
        let mut figures = self.fleet.meter.figures(self.all.len());
        figures.settle.add(settled);
        let mut reached = self.fleet.reached.clone();
        reached.extend(self.counts);
        let trace: Hash = self.fleet.trace();
        Outcome {
            trace,
            events: self.fleet.events(),
            nodes: self.all.len(),
            lasted: self.fleet.now().since(crate::fleet::BEGINNING),
            settled,
            reached,
            figures,
        }
    }
}
