//! Forks: proofs that a key is in two hands.
//!
//! A proof is self-certifying, so anybody may carry it; it is named by its payload, so carriers do not matter. Of
//! several forks of one author in one space one proof is kept, the lowest: whoever holds a stolen key can make as
//! many as it likes, and costs everybody one.

use vigo_base::{Hash, Time};
use vigo_crdt::replica::Form;
use vigo_crdt::{Record, Space};
use vigo_spanner::ForkProof;
use vigo_spanner::spend::FORK;

use crate::io::{Event, Output, StoreOp};
use crate::node::{Node, Out};

/// The form of a record that carries a proof.
pub(crate) fn form(record: &Record) -> Form {
    Form::Statement { id: Hash::of(record.payload()), at: 0 }
}

fn rank(proof: &ForkProof) -> (u64, Hash, Hash) {
    (proof.seq(), proof.counts(), proof.falls())
}

impl Node {
    /// Tells everyone that a key was found in two places.
    pub(crate) fn found_fork(&mut self, now: Time, one: Record, other: Record, out: &mut Out) {
        let Ok(proof) = ForkProof::of(one, other) else { return };
        let author = proof.author();
        if self.trust.as_ref().is_some_and(|t| t.admissions.fork_of(&author).is_some()) {
            return;
        }
        out.push(Output::Emit(Event::Cloned { key: author }));
        if let Some(payload) = proof.encode() {
            self.write(now, Space::admissions(), FORK, payload, out);
        }
    }

    /// Whether a proof says nothing that a better one has not said already.
    pub(crate) fn is_outranked(&self, record: &Record) -> bool {
        let Some(trust) = &self.trust else { return false };
        let Ok(proof) = ForkProof::read(record.payload(), &trust.spanner()) else { return false };
        let known = trust.admissions.fork_in(&proof.author(), proof.space());
        known.is_some_and(|known| rank(known) < rank(&proof))
    }

    /// Forgets the proofs that the one just taken outranks.
    pub(crate) fn drop_outranked(&mut self, out: &mut Out) {
        let space = Space::admissions();
        let forks = self.replica.records(&space).filter(|(_, record, _)| record.kind() == FORK);
        let old: Vec<Hash> = forks.filter(|(_, r, _)| self.is_outranked(r)).map(|(key, _, _)| *key).collect();
        let gone: Vec<Record> = old.iter().filter_map(|key| self.replica.remove(&space, key)).collect();
        if !gone.is_empty() {
            out.push(Output::Persist(gone.iter().map(|r| StoreOp::Remove { id: r.id() }).collect()));
        }
    }
}
