//! The records that one node holds.
//!
//! A [`Replica`] files records by space under a *key*: a statement's own id for records that carry statements
//! (so that two carriers of one statement are one thing), the record's id for all others. It keeps the latest of
//! a register, notices two records with one sequence, and knows what it would offer a peer: what counts or
//! waits. It never decides whether a record may be there; whoever inserts has asked `spanner`.
//!
//! Invariant: the set offered in a space is a function of what was inserted and marked, not of the order.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use vigo_base::{Hash, PublicKey, limits, planted};

use crate::reconcile::Sealed;
use crate::record::Record;
use crate::register::Slot;
use crate::sketch::{Salt, Short, Sketch};
use crate::space::Space;

/// How many of an author's sequences are remembered where it writes registers: as many as it may have registers, so that
/// there is always one to forget that none of them stands on.
const REMEMBERED: usize = 64;
const _: () = assert!(REMEMBERED >= crate::register::SLOTS as usize);

/// What a record is to the space that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It carries the statement with this id, made at this time (microseconds); or the proof with this hash, at 0.
    Statement {
        /// The statement's id.
        id: Hash,
        /// When its signer says it was made.
        at: u64,
    },
    /// It stands for itself.
    Single,
    /// It is the value of the author's register of this slot.
    Register(Slot),
    /// Of a kind that this version does not know: stored, counted, passed on.
    Opaque,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen before; it is held now.
    New,
    /// Held already, by itself or by another carrier.
    Known,
    /// A register with a later value is held.
    Superseded,
    /// What it needs is not here yet: parked, and asked for.
    Waiting,
    /// Not taken.
    Refused(Refusal),
}

/// Why a record was not taken, and whose fault that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, for a log.
    pub why: String,
    /// Whether the sender must have known: only then does it lose standing.
    pub senders_fault: bool,
}

/// What an insertion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// [`Verdict::New`], [`Verdict::Known`] or [`Verdict::Superseded`].
    pub verdict: Verdict,
    /// The record that this one superseded: to be dropped from the store.
    pub dropped: Option<Hash>,
    /// Another record with the same author, space and sequence: proof of a copied key.
    pub fork: Option<Record>,
}

#[derive(Debug, Clone)]
struct Held {
    record: Record,
    kept: Kept,
    offered: bool,
}

/// A [`Form`] without the id of a statement, which is the key that it lies under.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Statement { at: u64 },
    Single,
    Register(Slot),
    Opaque,
}

/// The records of one space. One map over all authors, since most authors have few records: a map for each would cost
/// more than what is in it.
#[derive(Debug, Default)]
struct Set {
    held: BTreeMap<Hash, Held>,
    /// Every remembered sequence: the record's id, and its key while it is held.
    seqs: BTreeMap<(PublicKey, u64), (Hash, Hash)>,
    slots: BTreeMap<(PublicKey, Slot), Hash>,
    /// Authors of opaque records, and which each has, by sequence and id.
    opaque: BTreeMap<PublicKey, BTreeSet<(u64, Hash)>>,
    sealed: OnceCell<(Arc<Sealed>, Hash)>,
    /// Made when a peer asks for one, then kept up to date.
    sketch: Option<Box<Sketch>>,
}

impl Kept {
    fn of(form: Form) -> Kept {
        match form {
            Form::Statement { at, .. } => Kept::Statement { at },
            Form::Single => Kept::Single,
            Form::Register(slot) => Kept::Register(slot),
            Form::Opaque => Kept::Opaque,
        }
    }

    fn form(self, key: &Hash) -> Form {
        match self {
            Kept::Statement { at } => Form::Statement { id: *key, at },
            Kept::Single => Form::Single,
            Kept::Register(slot) => Form::Register(slot),
            Kept::Opaque => Form::Opaque,
        }
    }
}

/// All records of one node.
#[derive(Debug, Default)]
pub struct Replica {
    /// Apart: a map makes room for more spaces than there are.
    spaces: BTreeMap<Space, Box<Set>>,
}

impl Replica {
    /// A replica that holds nothing.
    pub fn new() -> Replica {
        Replica::default()
    }

    /// Whether something is held under `key`.
    pub fn contains(&self, space: &Space, key: &Hash) -> bool {
        self.spaces.get(space).is_some_and(|set| set.held.contains_key(key))
    }

    /// The record held under `key`.
    pub fn get(&self, space: &Space, key: &Hash) -> Option<&Record> {
        self.spaces.get(space)?.held.get(key).map(|held| &held.record)
    }

    /// Files a record that may be there. Of an author's opaque records the lowest are kept, up to its quota.
    pub fn insert(&mut self, record: Record, form: Form) -> Inserted {
        let set = self.spaces.entry(record.space().clone()).or_default();
        let key = match form {
            Form::Statement { id, .. } => id,
            _ => record.id(),
        };
        let author = record.author();
        let twin = set.seqs.get(&(author, record.seq())).copied().filter(|(id, _)| *id != record.id());
        let fork = twin.and_then(|(_, key)| set.held.get(&key)).map(|held| held.record.clone());
        let plain = |verdict, fork| Inserted { verdict, dropped: None, fork };
        if set.held.contains_key(&key) {
            return plain(Verdict::Known, fork);
        }
        let mut dropped = None;
        match form {
            Form::Opaque => {
                // The lowest are kept, so that all nodes keep the same ones, whatever came first.
                let place = (record.seq(), record.id());
                let opaque = set.opaque.entry(author).or_default();
                if opaque.len() >= limits::OPAQUE_RECORDS {
                    if opaque.last().is_some_and(|last| *last < place) {
                        let why =
                            format!("{} records of unknown kinds by one author", limits::OPAQUE_RECORDS);
                        return plain(Verdict::Refused(Refusal { why, senders_fault: false }), fork);
                    }
                    dropped = opaque.pop_last().map(|(_, id)| id);
                }
                opaque.insert(place);
            }
            Form::Register(slot) => {
                if let Some(current) = set.slots.get(&(author, slot)).and_then(|key| set.held.get(key)) {
                    let place = (current.record.seq(), current.record.id());
                    let older = (record.seq(), record.id()) < place;
                    let earlier = (record.stamp(), record.id()) < (current.record.stamp(), place.1);
                    let superseded = if older != earlier && planted!(11) { earlier } else { older };
                    if superseded {
                        set.remember(author, record.seq(), (record.id(), key));
                        return plain(Verdict::Superseded, fork);
                    }
                    dropped = Some(place.1);
                }
                set.slots.insert((author, slot), key);
            }
            Form::Statement { .. } | Form::Single => {}
        }
        set.remember(author, record.seq(), (record.id(), key));
        if let Some(old) = dropped {
            set.take(&old);
        }
        set.held.insert(key, Held { record, kept: Kept::of(form), offered: true });
        set.changed(&key, true);
        Inserted { verdict: Verdict::New, dropped, fork }
    }

    /// Removes what is held under `key`.
    pub fn remove(&mut self, space: &Space, key: &Hash) -> Option<Record> {
        let set = self.spaces.get_mut(space)?;
        let held = set.take(key)?;
        let author = held.record.author();
        match held.kept {
            Kept::Opaque => {
                if let Some(held_of) = set.opaque.get_mut(&author) {
                    held_of.remove(&(held.record.seq(), held.record.id()));
                }
            }
            Kept::Register(slot) => drop(set.slots.remove(&(author, slot))),
            Kept::Statement { .. } | Kept::Single => {}
        }
        Some(held.record)
    }

    /// Says whether what is held under `key` counts or waits, and so is offered to peers.
    pub fn offer(&mut self, space: &Space, key: &Hash, offered: bool) {
        let Some(set) = self.spaces.get_mut(space) else { return };
        if let Some(held) = set.held.get_mut(key).filter(|held| held.offered != offered) {
            held.offered = offered;
            if !planted!(8) {
                set.changed(key, offered);
            }
        }
    }

    /// The records of a space with their keys and forms, ascending by key.
    pub fn records(&self, space: &Space) -> impl Iterator<Item = (&Hash, &Record, Form)> {
        self.spaces
            .get(space)
            .into_iter()
            .flat_map(|set| &set.held)
            .map(|(k, h)| (k, &h.record, h.kept.form(k)))
    }

    /// The records that one author has in a space.
    pub fn by_author(&self, space: &Space, author: &PublicKey) -> impl Iterator<Item = &Record> {
        let set = self.spaces.get(space);
        let keys = set.into_iter().flat_map(|set| set.seqs.range(all_of(author)));
        keys.filter_map(move |(_, (id, key))| {
            set.and_then(|set| set.held.get(key)).map(|held| &held.record).filter(|r| r.id() == *id)
        })
    }

    /// The record that one author has in a space under this sequence; of two, the one that counts.
    pub fn at(&self, space: &Space, author: &PublicKey, seq: u64) -> Option<&Record> {
        let set = self.spaces.get(space)?;
        let (id, key) = set.seqs.get(&(*author, seq))?;
        set.held.get(key).map(|held| &held.record).filter(|record| record.id() == *id)
    }

    /// The current value of an author's register.
    pub fn register(&self, space: &Space, author: &PublicKey, slot: Slot) -> Option<&Record> {
        let set = self.spaces.get(space)?;
        let key = set.slots.get(&(*author, slot))?;
        set.held.get(key).map(|held| &held.record)
    }

    /// The highest (seq, id) seen of an author in a space.
    pub fn head(&self, space: &Space, author: &PublicKey) -> Option<(u64, Hash)> {
        let ((_, seq), (id, _)) = self.spaces.get(space)?.seqs.range(all_of(author)).next_back()?;
        Some((*seq, *id))
    }

    /// The spaces that hold something.
    pub fn spaces(&self) -> impl Iterator<Item = &Space> {
        self.spaces.iter().filter(|(_, set)| !set.held.is_empty()).map(|(space, _)| space)
    }

    /// How many records a space holds.
    pub fn len(&self, space: &Space) -> usize {
        self.spaces.get(space).map_or(0, |set| set.held.len())
    }

    /// Whether nothing is held at all.
    pub fn is_empty(&self) -> bool {
        self.spaces().next().is_none()
    }

    /// A name for the set of keys that this node offers of a space: equal sets have equal digests.
    pub fn digest(&self, space: &Space) -> Hash {
        self.spaces.get(space).map_or_else(empty_digest, |set| set.sealed().1)
    }

    /// The offered keys of a space, sealed for reconciliation. Made when asked for, kept until a change.
    pub fn sealed(&self, space: &Space) -> Arc<Sealed> {
        let set = self.spaces.get(space);
        set.map_or_else(|| Arc::new(Sealed::of([])), |set| set.sealed().0.clone())
    }

    /// A sketch of the offered keys of a space, with at least this many cells. Made when first asked for, kept up
    /// to date from then on (under a microsecond for each change, 16 bytes for each cell), and made anew for another salt or more cells.
    pub fn sketch(&mut self, space: &Space, salt: Salt, cells: usize) -> Cow<'_, Sketch> {
        match self.spaces.get_mut(space) {
            Some(set) => Cow::Borrowed(set.sketch(salt, cells)),
            None => Cow::Owned(Sketch::of(salt, cells, [])),
        }
    }

    /// Lets go of all sketches: the next ones are under another salt.
    pub fn forget_sketches(&mut self) {
        self.spaces.values_mut().for_each(|set| set.sketch = None);
    }

    /// The offered keys with this short name, ascending: one, but for what somebody made on purpose. At most `most`.
    pub fn named(&self, space: &Space, short: Short, most: usize) -> Vec<Hash> {
        let held = self.spaces.get(space).map(|set| set.held.range(short.range()));
        let offered = held.into_iter().flatten().filter(|(_, held)| held.offered);
        offered.map(|(key, _)| *key).take(most).collect()
    }
}

fn empty_digest() -> Hash {
    Hash::of(&[])
}

impl Set {
    /// What is offered has one key more, or one less.
    fn changed(&mut self, key: &Hash, more: bool) {
        self.sealed.take();
        if let Some(sketch) = &mut self.sketch {
            match more {
                true => sketch.add(Short::of(key)),
                false => sketch.remove(Short::of(key)),
            }
        }
    }

    fn take(&mut self, key: &Hash) -> Option<Held> {
        let held = self.held.remove(key)?;
        if held.offered {
            self.changed(key, false);
        }
        Some(held)
    }

    fn sketch(&mut self, salt: Salt, cells: usize) -> &Sketch {
        let cells = cells.min(limits::SKETCH_CELLS);
        let kept = self.sketch.take().filter(|sketch| sketch.salt() == salt && sketch.cells() >= cells);
        self.sketch.insert(kept.unwrap_or_else(|| {
            let offered = self.held.iter().filter(|(_, held)| held.offered);
            // Rounded up, so that peers that ask for ever more do not have it made for each cell.
            Box::new(Sketch::of(salt, cells.next_power_of_two(), offered.map(|(key, _)| Short::of(key))))
        }))
    }

    fn sealed(&self) -> &(Arc<Sealed>, Hash) {
        self.sealed.get_or_init(|| {
            let offered = || self.held.iter().filter(|(_, held)| held.offered);
            let parts: Vec<&[u8]> = offered().map(|(key, _)| key.0.as_slice()).collect();
            let items = offered().map(|(key, held)| match held.kept {
                Kept::Statement { at } => (at, *key),
                _ => (held.record.stamp().0, *key),
            });
            (Arc::new(Sealed::of(items)), Hash::of_parts(&parts))
        })
    }
}

/// The places of one author.
fn all_of(author: &PublicKey) -> RangeInclusive<(PublicKey, u64)> {
    (*author, 0)..=(*author, u64::MAX)
}

impl Set {
    /// Remembers the place of a record. Of two with one sequence the lower id counts; it is the one remembered.
    fn remember(&mut self, author: PublicKey, seq: u64, place: (Hash, Hash)) {
        let entry = self.seqs.entry((author, seq)).or_insert(place);
        if place.0 < entry.0 {
            *entry = place;
        }
        self.forget(author);
    }

    /// Forgets the oldest sequence that no register stands on, where the author writes registers and has written many.
    fn forget(&mut self, author: PublicKey) {
        let slots = || self.slots.range((author, Slot::MIN)..=(author, Slot::MAX));
        let many = || self.seqs.range(all_of(&author)).nth(REMEMBERED).is_some();
        if slots().next().is_none() || !many() {
            return;
        }
        let current: Vec<Hash> = slots().map(|(_, key)| *key).collect();
        let mut seqs = self.seqs.range(all_of(&author));
        let oldest = seqs.find(|(_, (_, key))| !current.contains(key)).map(|(at, _)| *at);
        if let Some(at) = oldest {
            self.seqs.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::{SecretKey, SpannerId, Stamp};

    fn record(author: u8, seq: u64, text: &str) -> Record {
        let key = SecretKey::from_seed([author; 32]);
        let payload = text.as_bytes().to_vec();
        Record::sign(&key, &SpannerId::default(), Space::status(), seq, 4, Stamp(seq), payload).unwrap()
    }

    #[test]
    fn a_register_keeps_the_latest_in_any_order() {
        let records: Vec<Record> = (1..=4).map(|seq| record(1, seq, "x")).collect();
        let mut digests = Vec::new();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let mut replica = Replica::new();
            for i in order {
                replica.insert(records[i].clone(), Form::Register(0));
            }
            assert_eq!(replica.register(&Space::status(), &records[0].author(), 0), Some(&records[3]));
            assert_eq!(replica.len(&Space::status()), 1);
            digests.push(replica.digest(&Space::status()));
        }
        assert!(digests.iter().all(|d| *d == digests[0]));
    }

    #[test]
    fn two_records_with_one_sequence_are_a_fork_even_across_registers() {
        let mut replica = Replica::new();
        let (first, second) = (record(1, 1, "a"), record(1, 1, "b"));
        assert_eq!(replica.insert(first.clone(), Form::Register(0)).fork, None);
        assert_eq!(replica.insert(second, Form::Register(1)).fork, Some(first.clone()));
        assert_eq!(replica.insert(first, Form::Register(0)).verdict, Verdict::Known);
    }

    #[test]
    fn two_carriers_of_one_statement_are_one_thing() {
        let mut replica = Replica::new();
        let form = Form::Statement { id: Hash::of(b"statement"), at: 5 };
        assert_eq!(replica.insert(record(1, 1, "s"), form).verdict, Verdict::New);
        let digest = replica.digest(&Space::status());
        assert_eq!(replica.insert(record(2, 1, "s"), form).verdict, Verdict::Known);
        assert_eq!(replica.digest(&Space::status()), digest);
        replica.offer(&Space::status(), &Hash::of(b"statement"), false);
        assert_ne!(replica.digest(&Space::status()), digest);
        assert_eq!(replica.digest(&Space::status()), replica.digest(&Space::config()), "nothing is offered");
    }

    #[test]
    fn unknown_kinds_have_a_quota() {
        let mut replica = Replica::new();
        for seq in 1..=limits::OPAQUE_RECORDS as u64 {
            assert_eq!(replica.insert(record(1, seq, "?"), Form::Opaque).verdict, Verdict::New);
        }
        let over = replica.insert(record(1, 9_999, "?"), Form::Opaque).verdict;
        assert!(matches!(over, Verdict::Refused(Refusal { senders_fault: false, .. })));
        assert_eq!(replica.insert(record(2, 1, "?"), Form::Opaque).verdict, Verdict::New);
    }

    #[test]
    fn of_too_many_unknown_kinds_all_nodes_keep_the_same() {
        let most = limits::OPAQUE_RECORDS as u64 + 40;
        let mut orders: Vec<Vec<u64>> = vec![(1..=most).collect(), (1..=most).rev().collect()];
        orders.push((1..=most).map(|n| 1 + (n * 97) % most).collect());
        let kept: BTreeSet<Hash> = orders
            .iter()
            .map(|order| {
                let mut replica = Replica::new();
                let mut stored = BTreeSet::new();
                for seq in order {
                    let record = record(1, *seq, "?");
                    let inserted = replica.insert(record.clone(), Form::Opaque);
                    if inserted.verdict == Verdict::New {
                        stored.insert(record.id());
                    }
                    inserted.dropped.map(|id| stored.remove(&id));
                    assert!(replica.len(&Space::status()) <= limits::OPAQUE_RECORDS);
                }
                let held: BTreeSet<Hash> = replica.records(&Space::status()).map(|(id, ..)| *id).collect();
                assert_eq!(held, stored, "what is dropped is named");
                replica.digest(&Space::status())
            })
            .collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
    }

    #[test]
    fn what_an_author_wrote_stays_bounded_and_the_head_is_known() {
        let author = record(1, 1, "x").author();
        let remembered = |r: &Replica| r.spaces[&Space::status()].seqs.range(all_of(&author)).count();
        for slots in [1, 31, 32, 63, crate::register::SLOTS] {
            let mut replica = Replica::new();
            for seq in 1..=500 {
                replica.insert(record(1, seq, "x"), Form::Register((seq % u64::from(slots)) as Slot));
                assert_eq!(
                    remembered(&replica),
                    REMEMBERED.min(seq as usize),
                    "{slots} registers, sequence {seq}"
                );
            }
            assert_eq!(replica.head(&Space::status(), &author).map(|h| h.0), Some(500));
            assert_eq!(replica.by_author(&Space::status(), &author).count(), usize::from(slots));
        }
    }

    #[test]
    fn who_writes_no_registers_is_remembered_whole() {
        let mut replica = Replica::new();
        (1..=200).for_each(|seq| drop(replica.insert(record(1, seq, "x"), Form::Single)));
        let author = record(1, 1, "x").author();
        assert_eq!(replica.by_author(&Space::status(), &author).count(), 200);
        assert_eq!(replica.len(&Space::config()), 0);
    }
    #[test]
    fn a_sketch_follows_what_is_offered_and_is_made_anew_for_another_salt() {
        let (mut replica, space, salt) = (Replica::new(), Space::status(), Salt([1; 16]));
        assert_eq!(replica.sketch(&space, salt, 8).members(), 0);
        let keep = |replica: &mut Replica| drop(replica.sketch(&Space::status(), salt, 8).into_owned());
        let same = |replica: &mut Replica, members: u64| {
            let fresh =
                Sketch::of(salt, 8, replica.sealed(&Space::status()).keys().map(|key| Short::of(&key)));
            let kept = replica.sketch(&Space::status(), salt, 8).into_owned();
            assert_eq!((kept, fresh.members()), (fresh, members));
        };
        replica.insert(record(1, 1, "a"), Form::Register(0));
        keep(&mut replica);
        replica.insert(record(1, 2, "b"), Form::Register(0));
        same(&mut replica, 1);
        let (kept, gone) = (record(2, 1, "c"), record(3, 1, "d"));
        replica.insert(kept.clone(), Form::Single);
        replica.insert(gone.clone(), Form::Single);
        same(&mut replica, 3);
        replica.remove(&space, &gone.id());
        same(&mut replica, 2);
        replica.offer(&space, &kept.id(), false);
        same(&mut replica, 1);
        assert_eq!(replica.named(&space, Short::of(&kept.id()), 4), [], "it is held, not offered");
        replica.remove(&space, &kept.id());
        same(&mut replica, 1);
        let other = replica.sketch(&space, Salt([2; 16]), 20).into_owned();
        assert_eq!((other.salt(), other.cells(), other.members()), (Salt([2; 16]), 32, 1));
        assert_eq!(replica.sketch(&space, Salt([2; 16]), 8).cells(), 32, "the longer one is kept");
        replica.forget_sketches();
        assert_eq!(replica.sketch(&space, Salt([2; 16]), 8).cells(), 8);
        let held = replica.sealed(&space).keys().next().unwrap();
        assert_eq!(replica.named(&space, Short::of(&held), 4), [held]);
    }
}
