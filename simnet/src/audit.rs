//! Looking at a fleet from outside: what each disk holds, what each node offers, and a report for a failed test.
//!
//! Nothing here changes anything but by calls of the local API, which change nothing either.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use vigo_base::{Hash, PublicKey};
use vigo_node::crdt::{Record, Space, Unverified};
use vigo_node::spanner::spend::STATEMENT;
use vigo_node::{Command, Reply};

use crate::machine::{Machine, Power};
use crate::{Fleet, Ix};

/// What a disk holds, by space: statements by their own id (whoever carries them), all else by record id.
pub type Known = BTreeMap<Space, BTreeSet<Hash>>;

/// A record on a disk, as much of it as tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    author: PublicKey,
    seq: u64,
    kind: u16,
    id: Hash,
}

impl Machine {
    /// What its disk holds.
    pub fn known(&self) -> Known {
        let mut known = Known::new();
        for bytes in self.disk.records.values() {
            let Ok(record) = Unverified::decode(bytes).and_then(Unverified::trusted) else { continue };
            known.entry(record.space().clone()).or_default().insert(key_of(&record));
        }
        known
    }

    /// What its node offers of a space, as far as its disk has it.
    pub(crate) fn offered(&self, space: &Space) -> BTreeSet<Written> {
        let keys = self.node.as_ref().map(|node| node.offered(space)).unwrap_or_default();
        let records = self.disk.records.values();
        let records =
            records.filter_map(|bytes| Unverified::decode(bytes).and_then(Unverified::trusted).ok());
        let records = records.filter(|r| r.space() == space && keys.contains(&key_of(r)));
        records.map(|r| Written { author: r.author(), seq: r.seq(), kind: r.kind(), id: r.id() }).collect()
    }

    /// A name for what its node offers of a space; none when it is off.
    pub fn digest(&self, space: &Space) -> Option<Hash> {
        self.node.as_ref().map(|node| node.digest(space))
    }
}

/// Statements go by their own id, whoever carries them; all else by the record's.
fn key_of(record: &Record) -> Hash {
    if record.kind() == STATEMENT { Hash::of(record.payload()) } else { record.id() }
}

impl Fleet {
    /// A machine's own status, if it runs.
    pub fn try_status(&mut self, ix: Ix) -> Option<vigo_node::command::Status> {
        match self.try_call(ix, Command::Status) {
            Some(Ok(Reply::Status(status))) => Some(*status),
            _ => None,
        }
    }

    /// Everything worth reading after something went wrong.
    pub fn report(&mut self) -> String {
        let mut text = format!("at {} after {} events\n", self.now().rfc3339(), self.events());
        for ix in 0..self.machines.len() {
            let machine = &self.machines[ix];
            let ran: Vec<&u64> = machine.epochs_run.iter().rev().take(8).collect();
            let (name, clock, power) = (&machine.name, machine.clock, machine.power());
            let _ = writeln!(text, "--- {ix} {name} {power:?} {clock:?} ran (newest first) {ran:?}");
            for (at, event) in machine.events.iter().rev().take(25).rev() {
                let _ = writeln!(text, "   {} {event:?}", at.rfc3339());
            }
            if power == Power::On
                && let Some(s) = self.try_status(ix)
            {
                let _ = writeln!(
                    text,
                    "   {} {:?}; {}; head {:?} floor {:?}; {} peers, {} bolts; {:?}; {:?}",
                    s.standing, s.why, s.config, s.head, s.floor, s.peers, s.bolts, s.records, s.warnings
                );
            }
        }
        text
    }
}
