//! Making two sets of names equal.
//!
//! A [`Sealed`] set is a snapshot of (order, key) pairs of one space; [`Sealed::open`], [`Sealed::answer`] and
//! [`Sealed::next`] are the three moves of the negentropy protocol (range-based set reconciliation, Meyer 2023)
//! over it. The initiator learns what it has and what it needs; the answering side learns nothing and keeps no
//! state, so a peer can open as many sessions as it likes without costing memory.
//!
//! Invariant: what comes out is sorted, so that the same sets give the same messages on every machine
//! (the library hands ids out in the order of a hash map).

use negentropy::{Id, Negentropy, NegentropyStorageBase, NegentropyStorageVector};
use vigo_base::{Hash, limits};

/// A message that does not follow the protocol: the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed reconciliation message: {0}")]
pub struct BadMessage(pub String);

/// A snapshot of one space's keys.
#[derive(Debug, Clone)]
pub struct Sealed(NegentropyStorageVector);

/// What one round told the initiator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Keys that only we hold, ascending.
    pub have: Vec<Hash>,
    /// Keys that only the other side holds, ascending.
    pub need: Vec<Hash>,
    /// The message to send next; none when the sets have been compared.
    pub next: Option<Vec<u8>>,
}

impl Sealed {
    /// A snapshot of these (order, key) pairs. `order` must be the same on both sides; it only decides how close
    /// together things lie, never what is equal.
    pub fn of(items: impl IntoIterator<Item = (u64, Hash)>) -> Sealed {
        let mut storage = NegentropyStorageVector::new();
        for (order, key) in items {
            // The greatest order stands for the end of all ranges.
            let inserted = storage.insert(order.min(u64::MAX - 1), Id::from_byte_array(key.0));
            debug_assert!(inserted.is_ok(), "an unsealed set takes items");
        }
        let sealed = storage.seal();
        debug_assert!(sealed.is_ok(), "a set is sealed once");
        Sealed(storage)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.size().unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys, by their order.
    pub fn keys(&self) -> impl Iterator<Item = Hash> {
        (0..self.len()).filter_map(|ix| Some(Hash(self.0.get_item(ix).ok()??.id.to_bytes())))
    }

    fn session(&self) -> Result<Negentropy<'_, NegentropyStorageVector>, BadMessage> {
        Negentropy::borrowed(&self.0, limits::RECONCILE_BYTES as u64).map_err(bad)
    }

    /// The first message.
    ///
    /// # Errors
    /// None in practice; the library's are passed on.
    pub fn open(&self) -> Result<Vec<u8>, BadMessage> {
        self.session()?.initiate().map_err(bad)
    }

    /// The answer to a peer's message, at most [`limits::RECONCILE_BYTES`] long.
    ///
    /// # Errors
    /// [`BadMessage`] if the message does not follow the protocol.
    pub fn answer(&self, message: &[u8]) -> Result<Vec<u8>, BadMessage> {
        self.session()?.reconcile(message).map_err(bad)
    }

    /// What the initiator learns from an answer, and what it sends next.
    ///
    /// # Errors
    /// [`BadMessage`] if the answer does not follow the protocol.
    pub fn next(&self, answer: &[u8]) -> Result<Round, BadMessage> {
        let mut session = self.session()?;
        session.set_initiator();
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = session.reconcile_with_ids(answer, &mut have, &mut need).map_err(bad)?;
        Ok(Round { have: sorted(have), need: sorted(need), next })
    }
}

fn sorted(ids: Vec<Id>) -> Vec<Hash> {
    let mut out: Vec<Hash> = ids.into_iter().map(|id| Hash(id.to_bytes())).collect();
    out.sort_unstable();
    out.dedup();
    out
}

fn bad(error: negentropy::Error) -> BadMessage {
    BadMessage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(range: std::ops::Range<u64>) -> Vec<(u64, Hash)> {
        range.map(|n| (n, Hash::of(&n.to_be_bytes()))).collect()
    }

    /// Runs a whole session; gives (have, need, bytes, round trips).
    fn session(ours: &[(u64, Hash)], theirs: &[(u64, Hash)]) -> (Vec<Hash>, Vec<Hash>, usize, usize) {
        let (a, b) = (Sealed::of(ours.iter().copied()), Sealed::of(theirs.iter().copied()));
        let (mut have, mut need, mut bytes, mut trips) = (vec![], vec![], 0, 0);
        let mut message = Some(a.open().unwrap());
        while let Some(query) = message {
            let answer = b.answer(&query).unwrap();
            assert!(answer.len() <= limits::RECONCILE_BYTES + 64);
            bytes += query.len() + answer.len();
            trips += 1;
            let round = a.next(&answer).unwrap();
            have.extend(round.have);
            need.extend(round.need);
            message = round.next;
        }
        (have, need, bytes, trips)
    }

    #[test]
    fn differences_are_found_both_ways() {
        let (mut ours, mut theirs) = (set(0..3000), set(0..3000));
        let missing = ours.remove(17).1;
        let extra = theirs.remove(2000).1;
        let (have, need, ..) = session(&ours, &theirs);
        assert_eq!((have, need), (vec![extra], vec![missing]));
    }

    #[test]
    fn one_difference_in_a_hundred_thousand_is_cheap() {
        let ours = set(0..100_000);
        let (_, need, bytes, trips) = session(&ours[..99_999], &ours);
        assert_eq!(need.len(), 1);
        assert!(bytes <= 2_560, "{bytes} bytes in {trips} round trips");
    }

    #[test]
    fn a_large_difference_goes_on_in_frames() {
        let (_, need, bytes, trips) = session(&[], &set(0..20_000));
        assert_eq!(need.len(), 20_000);
        assert!(trips > 5 && bytes < 20_000 * 45, "{bytes} bytes in {trips} round trips");
    }

    #[test]
    fn nonsense_is_the_senders_fault() {
        let sealed = Sealed::of(set(0..100));
        assert!(sealed.answer(&[]).is_err());
        let good = sealed.open().unwrap();
        for cut in 1..good.len() {
            let _ = sealed.answer(&good[..cut]);
        }
        for i in 0..good.len() {
            for bit in 0..8 {
                let mut bent = good.clone();
                bent[i] ^= 1 << bit;
                let _ = sealed.answer(&bent);
                let _ = sealed.next(&bent);
            }
        }
    }
}
