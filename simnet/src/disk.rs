//! A machine's disk: what survives a loss of power, and what does not on a bad one.
//!
//! A good disk commits whole and at once. A bad one is [`Nature`]: slow, one that says that a commit is durable
//! before it is, or one that tears what it writes when power goes. Bytes may rot at rest. Whatever happens, what is
//! read from it is what the daemon's store would give to a node: a store that was torn or went back is searched for
//! everything in it that is whole (`daemon/src/store/load.rs`), and whatever does not have its name any more is
//! dropped and named ([`Disk::open`]). It never gives a node bytes that are not what was written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use vigo_base::time::Micros;
use vigo_base::{Dice, Hash};
use vigo_node::StoreOp;
use vigo_node::boot::meta;
use vigo_node::swarm::outline::BlobRef;
use vigo_node::warrant::Warrants;

/// Commits that a disk which lies may still lose: a kernel does not put writes off for ever.
const UNSYNCED: usize = 8;
/// Removed records of which a copy may still lie in the store's file.
const REMAINS: usize = 32;
/// Removed records that are remembered.
const REMOVED: usize = 512;
/// One whole record in so many is lost with a page that was torn.
const TORN: u64 = 16;

/// How a disk is bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nature {
    /// How long a commit takes at least and at most, in microseconds.
    pub slow: (Micros, Micros),
    /// It says that a commit is durable, and loses up to the last eight when power goes.
    pub lies: bool,
    /// When power goes in the middle of a commit its file is torn: anything in it may be gone.
    pub tears: bool,
}

/// Something on a disk whose bytes changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rot {
    /// A record.
    Record(Hash),
    /// A value of the store.
    Meta(String),
    /// A whole blob.
    Blob(Hash),
}

/// What a commit overwrote.
type Was = Vec<(Rot, Option<Arc<[u8]>>)>;

/// What survives a loss of power.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// Encoded records by id.
    pub records: BTreeMap<Hash, Arc<[u8]>>,
    /// Values by name.
    pub meta: BTreeMap<String, Vec<u8>>,
    /// Whole blobs by name.
    pub blobs: BTreeMap<Hash, (BlobRef, Arc<[u8]>)>,
    /// What its applier keeps, in a file of its own; none before the machine has papers.
    pub applier: Option<Warrants>,
    /// What its runs have to trigger still.
    pub pending: vigo_executors::InMemory,
    /// How it is bad.
    pub nature: Nature,
    /// The fleet that the state directory belongs to, in a small file beside the store.
    fleet: Option<Vec<u8>>,
    /// What rotted since the store was opened last.
    rot: BTreeSet<Rot>,
    /// What the last commits overwrote, where they may be lost.
    unsynced: VecDeque<Was>,
    remains: VecDeque<(Hash, Arc<[u8]>)>,
    /// The records that were removed last: each was durable once, or its successor is.
    removed: VecDeque<Hash>,
    /// What the next start will find of a store that was torn.
    torn: Option<String>,
    /// What was found when the store was opened last, in the words of its report.
    pub damaged: Vec<String>,
}

impl Disk {
    /// Commits operations, all of them.
    pub fn commit(&mut self, ops: Vec<StoreOp>) {
        let mut was = Was::new();
        for op in ops {
            let (what, old) = self.apply(op);
            self.rot.remove(&what);
            was.push((what, old));
        }
        if self.nature.lies {
            self.unsynced.push_back(was);
            self.unsynced.drain(..self.unsynced.len().saturating_sub(UNSYNCED));
        }
        if self.fleet.is_none() {
            self.fleet = self.meta.get(meta::SPANNER).cloned();
        }
    }

    /// One operation; what it overwrote.
    fn apply(&mut self, op: StoreOp) -> (Rot, Option<Arc<[u8]>>) {
        match op {
            StoreOp::Put { id, bytes } => (Rot::Record(id), self.records.insert(id, bytes)),
            StoreOp::Remove { id } => {
                let old = self.records.remove(&id);
                self.removed.push_back(id);
                self.removed.drain(..self.removed.len().saturating_sub(REMOVED));
                if let Some(bytes) = old.clone().filter(|_| self.nature.tears) {
                    self.remains.push_back((id, bytes));
                    self.remains.drain(..self.remains.len().saturating_sub(REMAINS));
                }
                (Rot::Record(id), old)
            }
            StoreOp::PutMeta { key, value } => {
                let old = self.meta.insert(key.clone(), value);
                (Rot::Meta(key), old.map(Into::into))
            }
        }
    }

    /// Power goes, in the middle of committing `under_way` if something was. Gives what happened to the disk.
    pub(crate) fn lose_power(
        &mut self,
        under_way: Option<Vec<StoreOp>>,
        dice: &mut Dice,
    ) -> Option<&'static str> {
        if self.nature.lies && !self.unsynced.is_empty() {
            let lost = dice.below(self.unsynced.len() as u64 + 1);
            for _ in 0..lost {
                let was = self.unsynced.pop_back().unwrap_or_default();
                was.into_iter().rev().for_each(|(what, old)| self.put_back(what, old));
            }
            self.unsynced.clear();
            return (lost > 0).then_some("un-synced writes lost");
        }
        // A sound file system and a sound store: the commit is there or it is not.
        let ops = under_way.filter(|_| self.nature.tears)?;
        self.tear(ops, dice);
        Some("torn write")
    }

    fn put_back(&mut self, what: Rot, old: Option<Arc<[u8]>>) {
        match (what, old) {
            (Rot::Record(id), Some(bytes)) => drop(self.records.insert(id, bytes)),
            (Rot::Record(id), None) => drop(self.records.remove(&id)),
            (Rot::Meta(key), Some(value)) => drop(self.meta.insert(key, value.to_vec())),
            (Rot::Meta(key), None) => drop(self.meta.remove(&key)),
            (Rot::Blob(_), _) => {}
        }
    }

    /// The store's pages do not agree any more, and it is searched: of what was being written some is there; some
    /// of what was whole is not; some of what had been removed is there again.
    fn tear(&mut self, ops: Vec<StoreOp>, dice: &mut Dice) {
        for op in ops {
            // A removal is a page that was to be written; a value in an old page lies there until it is used again.
            if dice.one_in(2) && !matches!(op, StoreOp::Remove { .. }) {
                self.apply(op);
            }
        }
        self.records.retain(|_, _| !dice.one_in(TORN));
        for (id, bytes) in std::mem::take(&mut self.remains) {
            if dice.one_in(2) {
                self.records.insert(id, bytes);
            }
        }
        let why = "its pages do not agree";
        let saved = self.records.len();
        self.torn = Some(format!("the record store was damaged ({why}): saved {saved} records"));
    }

    /// Whether a record is durable, or was until something newer took its place.
    pub(crate) fn has_kept(&self, id: &Hash) -> bool {
        self.records.contains_key(id) || self.removed.contains(id)
    }

    /// Changes the bytes of something that is there; false if it is not.
    pub fn rots(&mut self, what: Rot) -> bool {
        let there = match &what {
            Rot::Record(id) => self.records.contains_key(id),
            Rot::Meta(key) => self.meta.contains_key(key),
            Rot::Blob(hash) => self.blobs.contains_key(hash),
        };
        there && self.rot.insert(what)
    }

    /// A blob, if it is there and has its name. One that has not is never given out: it is gone from now on.
    pub(crate) fn read(&mut self, hash: &Hash) -> Read {
        if self.rot.remove(&Rot::Blob(*hash)) {
            self.blobs.remove(hash);
            return Read::Rotten;
        }
        self.blobs.get(hash).map_or(Read::Gone, |(_, bytes)| Read::Whole(bytes.clone()))
    }

    /// Opens the store, as a node's start does: what does not have its name any more is dropped and named. The
    /// fleet is known from the state directory too.
    pub(crate) fn open(&mut self) -> u64 {
        let mut damaged: Vec<String> = self.torn.take().into_iter().collect();
        let rot = std::mem::take(&mut self.rot);
        let found = rot.len() as u64;
        for what in rot {
            damaged.push(match &what {
                Rot::Record(id) => format!("record {id} was damaged on disk and dropped; peers have it"),
                Rot::Meta(key) => format!("the stored value {key:?} was damaged and dropped"),
                Rot::Blob(hash) => format!("blob {hash} was damaged on disk; it is fetched again"),
            });
            match what {
                Rot::Record(id) => drop(self.records.remove(&id)),
                Rot::Meta(key) => drop(self.meta.remove(&key)),
                Rot::Blob(hash) => drop(self.blobs.remove(&hash)),
            }
        }
        if let Some(fleet) = &self.fleet {
            self.meta.entry(meta::SPANNER.to_string()).or_insert_with(|| fleet.clone());
        }
        self.fleet = self.meta.get(meta::SPANNER).cloned();
        self.damaged = damaged;
        found
    }
}

/// What came of reading a blob.
pub(crate) enum Read {
    /// It is whole.
    Whole(Arc<[u8]>),
    /// It did not have its name: moved aside.
    Rotten,
    /// It is not there.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(n: u8) -> Vec<StoreOp> {
        let bytes: Arc<[u8]> = Arc::from([n].as_slice());
        vec![StoreOp::Put { id: Hash::of(&bytes), bytes }]
    }

    fn disk(nature: Nature) -> Disk {
        let mut disk = Disk { nature, ..Disk::default() };
        (0..200).for_each(|n| disk.commit(put(n)));
        disk
    }

    #[test]
    fn a_good_disk_loses_nothing_and_one_that_lies_loses_the_last() {
        let mut dice = Dice::from_number(1);
        let mut good = disk(Nature::default());
        assert_eq!((good.lose_power(Some(put(200)), &mut dice), good.records.len()), (None, 200));
        let mut least = 200;
        for _ in 0..50 {
            let mut bad = disk(Nature { lies: true, ..Nature::default() });
            let lost = bad.lose_power(None, &mut dice).is_some();
            assert_eq!(lost, bad.records.len() < 200);
            assert!(bad.records.keys().all(|id| good.records.contains_key(id)));
            let kept = bad.records.len() as u8;
            assert!((0..kept).all(|n| bad.records.contains_key(&Hash::of(&[n]))), "the last ones are lost");
            least = least.min(bad.records.len());
        }
        assert_eq!(least, 200 - UNSYNCED);
    }

    #[test]
    fn a_torn_store_gives_only_what_was_written_once() {
        let mut dice = Dice::from_number(2);
        let mut bad = disk(Nature { tears: true, ..Nature::default() });
        bad.commit(vec![StoreOp::Remove { id: Hash::of(&[7]) }]);
        assert_eq!(bad.lose_power(None, &mut dice), None, "nothing was being written");
        assert_eq!(bad.lose_power(Some(put(250)), &mut dice), Some("torn write"));
        assert!(bad.records.len() > 150 && bad.records.len() < 200, "{}", bad.records.len());
        assert!(bad.records.iter().all(|(id, bytes)| Hash::of(bytes) == *id));
        bad.open();
        assert!(bad.damaged[0].contains("its pages do not agree"), "{:?}", bad.damaged);
    }

    #[test]
    fn what_rotted_is_dropped_and_named_and_a_new_write_heals_it() {
        let mut disk = disk(Nature::default());
        let (one, two) = (Hash::of(&[1]), Hash::of(&[2]));
        assert!(disk.rots(Rot::Record(one)) && disk.rots(Rot::Record(two)));
        assert!(!disk.rots(Rot::Record(Hash::of(b"none"))) && !disk.rots(Rot::Meta("book".into())));
        disk.commit(put(2));
        assert_eq!(disk.open(), 1);
        assert!(!disk.records.contains_key(&one) && disk.records.contains_key(&two));
        assert_eq!(disk.damaged, [format!("record {one} was damaged on disk and dropped; peers have it")]);
        disk.open();
        assert!(disk.damaged.is_empty(), "told once");
    }
}
