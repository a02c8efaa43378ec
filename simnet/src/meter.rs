//! What a run costs and how fast it is, in virtual time and in bytes: nothing here depends on the machine it runs on.
//!
//! An **update** is a statement that somebody handed to a node: a publish, a setting, an admission. The meter learns
//! of it when the first node has it, and of every other node when that node says so itself. Bytes are those of
//! messages as nodes encode them, without what QUIC, TLS and IP add, and of messages that arrive or are on their
//! way: those of a cut link are not counted.
//!
//! It changes nothing in the run that it measures, and draws no dice: a run with and without it is the same run.
//! Memory is bounded: [`UPDATES`] updates, a bit for each node and update, [`NAMES`] names of carriers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vigo_base::time::Micros;
use vigo_base::{Hash, Time};
use vigo_node::crdt::Unverified;
use vigo_node::spanner::spend::STATEMENT;
use vigo_node::swarm::frame::Frame;
use vigo_node::swarm::gossip::{Opened, open};
use vigo_node::{Event, Way};

use crate::Ix;

mod spread;

pub use spread::Spread;

/// Updates that are followed; further ones are counted only.
const UPDATES: usize = 16_384;
/// Carriers of updates whose names are remembered.
const NAMES: usize = 65_536;

/// Bytes by what they were for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planes {
    /// Messages of gossip.
    pub gossip: u64,
    /// Frames that find out what a peer lacks, and ask for it.
    pub reconciliation: u64,
    /// Frames that carry records, pushed or asked for.
    pub push: u64,
    /// Outlines and chunks of blobs.
    pub bulk: u64,
    /// All other frames: hellos, signs of life, hints.
    pub other: u64,
}

impl Planes {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.gossip + self.reconciliation + self.push + self.bulk + self.other
    }

    /// Each with its name.
    pub fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("gossip", self.gossip),
            ("reconciliation", self.reconciliation),
            ("push", self.push),
            ("bulk", self.bulk),
            ("other", self.other),
        ]
    }

    fn merge(&mut self, other: &Planes) {
        self.gossip += other.gossip;
        self.reconciliation += other.reconciliation;
        self.push += other.push;
        self.bulk += other.bulk;
        self.other += other.other;
    }
}

/// The figures of a run, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Runs that these figures come from.
    pub runs: u64,
    /// Nodes at the end, of all runs.
    pub nodes: u64,
    /// Updates that were handed in.
    pub updates: u64,
    /// Pairs of an update and another node that was a member when it was handed in.
    pub pairs: u64,
    /// From when an update was handed in until another node, a member then, had it; in microseconds. Time that the
    /// node was off or cut off counts.
    pub delivery: Spread,
    /// From when configuration was published until the last of those that ran it, or a later one, had; in microseconds.
    pub converge: Spread,
    /// From the last fault until all was as it should be; in microseconds.
    pub settle: Spread,
    /// Copies of updates that came to nodes.
    pub copies: u64,
    /// Bytes that came to nodes.
    pub bytes: Planes,
    /// Moves of whoever began a reconciliation.
    pub rounds: u64,
}

impl Figures {
    /// Adds another run's.
    pub fn merge(&mut self, other: &Figures) {
        self.runs += other.runs;
        self.nodes += other.nodes;
        self.updates += other.updates;
        self.pairs += other.pairs;
        self.delivery.merge(&other.delivery);
        self.converge.merge(&other.converge);
        self.settle.merge(&other.settle);
        self.copies += other.copies;
        self.bytes.merge(&other.bytes);
        self.rounds += other.rounds;
    }

    /// Copies that came for each delivery: 1 is the least that is possible.
    pub fn redundancy(&self) -> f64 {
        ratio(self.copies, self.delivery.count())
    }

    /// Bytes for each update and node that it was for.
    pub fn per_update(&self, bytes: u64) -> f64 {
        ratio(bytes, self.pairs)
    }

    /// As one object: times in microseconds of virtual time, nothing of this machine's clock.
    pub fn json(&self) -> Value {
        let bytes: BTreeMap<&str, u64> = self.bytes.named().into_iter().collect();
        let each: BTreeMap<&str, f64> =
            self.bytes.named().into_iter().map(|(name, n)| (name, self.per_update(n))).collect();
        json!({
            "runs": self.runs,
            "nodes": self.nodes,
            "updates": self.updates,
            "delivery_us": self.delivery.json(),
            "undelivered": self.pairs.saturating_sub(self.delivery.count()),
            "converge_us": self.converge.json(),
            "settle_us": self.settle.json(),
            "copies_per_node_and_update": self.redundancy(),
            "bytes": bytes,
            "bytes_per_node_and_update": each,
            "reconciliation": {"rounds": self.rounds, "bytes": self.bytes.reconciliation},
        })
    }
}

/// A ratio to three digits behind the point; 0 of nothing.
fn ratio(of: u64, to: u64) -> f64 {
    if to == 0 {
        return 0.0;
    }
    let thousandths = (u128::from(of) * 1_000 + u128::from(to) / 2) / u128::from(to);
    thousandths as f64 / 1_000.0
}

/// A set of small numbers.
#[derive(Debug, Clone, Default)]
struct Bits(Vec<u64>);

impl Bits {
    /// Whether it was not there yet.
    fn insert(&mut self, ix: Ix) -> bool {
        let (word, bit) = (ix / 64, 1 << (ix % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}

/// An update under way.
#[derive(Debug, Clone)]
struct Update {
    at: Time,
    had: Bits,
    /// For a publish that was a head: its epoch, who ran it or a later one, and how long the last of them took.
    ran: Option<(u64, Bits, Micros)>,
}

/// Measures a fleet; off until [`Meter::begin`].
#[derive(Debug, Default)]
pub(crate) struct Meter {
    on: bool,
    figures: Figures,
    /// Since when a machine is a member.
    since: BTreeMap<Ix, Time>,
    updates: Vec<Update>,
    by_id: BTreeMap<Hash, usize>,
    /// What a record or a message carries, by the hash of its bytes.
    carriers: BTreeMap<Hash, Option<usize>>,
}

impl Meter {
    /// Begins to measure; these machines are members.
    pub fn begin(&mut self, now: Time, members: impl IntoIterator<Item = Ix>) {
        *self = Meter { on: true, ..Meter::default() };
        self.since.extend(members.into_iter().map(|ix| (ix, now)));
    }

    /// A machine has become a member.
    pub fn joined(&mut self, now: Time, ix: Ix) {
        self.since.entry(ix).or_insert(now);
    }

    /// A machine is no member any more, or has lost power: what it hears later is not counted.
    pub fn left(&mut self, ix: Ix) {
        self.since.remove(&ix);
    }

    /// A machine's node says something.
    pub fn hears(&mut self, now: Time, ix: Ix, event: &Event) {
        match event {
            _ if !self.on => {}
            Event::Arrived { id, by, .. } => self.arrived(now, ix, *id, *by),
            Event::Epoch { epoch, id } => {
                if let Some(update) = self.by_id.get(id).and_then(|n| self.updates.get_mut(*n)) {
                    update.ran.get_or_insert_with(|| (*epoch, Bits::default(), 0));
                }
            }
            Event::Ran { epoch, .. } => self.ran(now, ix, *epoch),
            _ => {}
        }
    }

    fn arrived(&mut self, now: Time, ix: Ix, id: Hash, by: Way) {
        let Some(n) = self.by_id.get(&id).copied() else {
            self.figures.updates += 1;
            if self.updates.len() < UPDATES {
                let mut had = Bits::default();
                had.insert(ix);
                self.by_id.insert(id, self.updates.len());
                self.updates.push(Update { at: now, had, ran: None });
                self.figures.pairs += self.since.keys().filter(|other| **other != ix).count() as u64;
            }
            return;
        };
        let update = &mut self.updates[n];
        // Who came later got it with all else, when it came.
        let member = self.since.get(&ix).is_some_and(|since| *since <= update.at);
        if !update.had.insert(ix) || !member {
            return;
        }
        match by {
            // An operator handed it to this node, too: nobody delivered it.
            Way::Own => self.figures.pairs = self.figures.pairs.saturating_sub(1),
            _ => self.figures.delivery.add(now.since(update.at)),
        }
    }

    fn ran(&mut self, now: Time, ix: Ix, epoch: u64) {
        let Some(since) = self.since.get(&ix).copied() else { return };
        for update in &mut self.updates {
            let at = update.at;
            if let Some((of, who, took)) = &mut update.ran
                && *of <= epoch
                && since <= at
                && who.insert(ix)
            {
                *took = (*took).max(now.since(at));
            }
        }
    }

    /// A frame is on its way to a machine.
    pub fn frame(&mut self, bytes: &[u8]) {
        if !self.on {
            return;
        }
        let long = bytes.len() as u64;
        // An array of two: the number of the frame, then what it says.
        match bytes {
            [0x82, 4 | 16, ..] => {
                self.figures.rounds += 1;
                self.figures.bytes.reconciliation += long;
            }
            [0x82, 5 | 6 | 17 | 18, ..] => self.figures.bytes.reconciliation += long,
            [0x82, 7, ..] => {
                self.figures.bytes.push += long;
                if let Ok(Frame::Push(records)) = Frame::decode(bytes) {
                    records.iter().for_each(|record| self.copy(Hash::of(record), || record.to_vec()));
                }
            }
            _ => self.figures.bytes.other += long,
        }
    }

    /// A gossiped message comes to a machine.
    pub fn gossip(&mut self, name: Hash, message: &[u8]) {
        if self.on {
            self.figures.bytes.gossip += message.len() as u64;
            self.copy(name, || match open(message) {
                Ok(Opened::Record(record)) => record,
                _ => Vec::new(),
            });
        }
    }

    /// So many bytes of a message's name are gossiped.
    pub fn named(&mut self, bytes: usize) {
        if self.on {
            self.figures.bytes.gossip += bytes as u64;
        }
    }

    /// A part of a blob comes to a machine.
    pub fn bulk(&mut self, bytes: usize) {
        if self.on {
            self.figures.bytes.bulk += bytes as u64;
        }
    }

    /// A record comes to a machine in something whose bytes have this hash.
    fn copy(&mut self, carrier: Hash, record: impl FnOnce() -> Vec<u8>) {
        if self.carriers.len() >= NAMES {
            self.carriers.clear();
        }
        let update = *self.carriers.entry(carrier).or_insert_with(|| {
            let record = Unverified::decode(&record()).and_then(Unverified::trusted).ok()?;
            let statement = (record.kind() == STATEMENT).then(|| Hash::of(record.payload()))?;
            self.by_id.get(&statement).copied()
        });
        self.figures.copies += u64::from(update.is_some());
    }

    /// The figures so far, of a fleet of so many nodes.
    pub fn figures(&self, nodes: usize) -> Figures {
        let mut figures = Figures { runs: 1, nodes: nodes as u64, ..self.figures.clone() };
        for update in &self.updates {
            if let Some((_, who, took)) = &update.ran
                && who.0.iter().any(|word| *word > 0)
            {
                figures.converge.add(*took);
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrives(meter: &mut Meter, at: u64, ix: Ix, n: u8) {
        arrives_by(meter, at, ix, n, Way::Gossip);
    }

    fn arrives_by(meter: &mut Meter, at: u64, ix: Ix, n: u8, by: Way) {
        let space = "config".to_string();
        meter.hears(Time(at), ix, &Event::Arrived { space, id: Hash([n; 32]), at: Time(at), by });
    }

    #[test]
    fn deliveries_are_counted_once_and_only_to_members() {
        let mut meter = Meter::default();
        arrives(&mut meter, 5, 0, 9);
        meter.begin(Time(10), [0, 1, 2]);
        arrives(&mut meter, 20, 0, 1);
        meter.joined(Time(25), 3);
        for (at, ix) in [(30, 1), (31, 1), (50, 2), (60, 3)] {
            arrives(&mut meter, at, ix, 1);
        }
        let figures = meter.figures(4);
        assert_eq!((figures.updates, figures.pairs), (1, 2));
        assert_eq!(figures.delivery.curve(), [(10, 1), (30, 2)]);
        // What is handed to a second node is not delivered to it.
        arrives_by(&mut meter, 70, 0, 2, Way::Own);
        arrives_by(&mut meter, 70, 1, 2, Way::Own);
        let figures = meter.figures(4);
        assert_eq!((figures.updates, figures.pairs, figures.delivery.count()), (2, 4, 2));
    }

    #[test]
    fn a_publish_has_converged_when_the_last_has_run_it_or_a_later_one() {
        let mut meter = Meter::default();
        meter.begin(Time(0), [0, 1]);
        arrives(&mut meter, 100, 0, 1);
        meter.hears(Time(100), 0, &Event::Epoch { epoch: 1, id: Hash([1; 32]) });
        arrives(&mut meter, 200, 0, 2);
        meter.hears(Time(200), 0, &Event::Epoch { epoch: 2, id: Hash([2; 32]) });
        let ran = |epoch| Event::Ran { epoch, changed: 0, failed: 0, millis: 0 };
        meter.hears(Time(150), 0, &ran(1));
        meter.hears(Time(260), 0, &ran(2));
        meter.hears(Time(300), 1, &ran(2));
        meter.hears(Time(900), 1, &ran(2));
        assert_eq!(meter.figures(2).converge.curve(), [(100, 1), (200, 2)]);
    }

    #[test]
    fn figures_of_many_runs_are_one() {
        let mut one = Figures { runs: 1, pairs: 4, copies: 6, ..Figures::default() };
        one.delivery.add_many(1_000, 4);
        one.bytes.gossip = 1_000;
        let mut both = one.clone();
        both.merge(&one);
        assert_eq!((both.redundancy(), both.per_update(both.bytes.gossip)), (1.5, 250.0));
        assert_eq!((both.runs, both.bytes.sum()), (2, 2_000));
        assert_eq!(ratio(2, 3), 0.667);
    }
}
