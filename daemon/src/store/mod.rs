//! The record store: one redb file, `records.redb`, in the state directory.
//!
//! Three words matter here:
//!
//! - an **op** ([`StoreOp`]) is what the node wants kept or forgotten; all ops of one wake-up are one
//!   durable transaction ([`Store::commit`]);
//! - the **ledger** is a row that says how many records there must be and what their ids XOR to, so that a
//!   missing record is noticed as surely as a changed one;
//! - the **witness** is a short note beside the file with the number of the last commit, so that a file that
//!   went back to an earlier state is noticed too.
//!
//! Opening looks before it touches: the file is first opened with all writes kept in memory, its pages,
//! ids and ledger are checked, and only a sound file is opened for good. A damaged one is set aside
//! unchanged, everything in it that proves whole is copied to a new file, and the loss is reported in
//! [`Loaded::damaged`]. What is salvaged from a file whose pages are broken may include records that had been
//! removed: they were valid once, and come from nowhere but this node.
//!
//! The store never serves bytes that do not hash to their id, never refuses to start over a damaged file,
//! and never acknowledges before the bytes are on the disk. It knows nothing of what records mean.
//!
//! Commits are redb's one-phase kind (one flush each). A power cut inside one is told by redb's checksums;
//! ledger, ids and witness stand behind those.

mod bench;
mod error;
mod frame;
mod load;
mod shelf;
mod trial;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableTable, TableDefinition};
use vigo_base::{Hash, limits};

use error::{Fault, fault, guarded};
use frame::{Kind, Ledger, MetaEntry};

pub use bench::{CommitFigures, bench_commit};
pub use error::StoreError;
pub use shelf::{FileShelf, KEPT_ASIDE, Shelf};
pub use vigo_node::io::StoreOp;

/// Bytes of the longest meta key.
pub const META_KEY_BYTES: usize = 256;
/// Bytes of the longest meta value.
pub const META_VALUE_BYTES: usize = 256 * 1024;
/// Bytes of redb's page cache: the node holds the records itself, and an idle envoy has 30 MiB in all.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

const RECORDS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("records");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const LEDGER: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("ledger");
const LEDGER_KEY: &str = "ledger";

/// What was in the store when it was opened.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Every record, by id.
    pub records: Vec<(Hash, Arc<[u8]>)>,
    /// Every meta value.
    pub meta: BTreeMap<String, Vec<u8>>,
    /// What was lost or may have been. Empty after a clean stop and after a crash.
    pub damaged: Vec<Damage>,
}

/// Something in the store that was not as it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// A record's bytes had changed. It was dropped; reconciliation brings it back.
    Record {
        /// Whose bytes they should have been.
        id: Hash,
    },
    /// A meta value had changed. It was dropped.
    Meta {
        /// Its key.
        key: String,
    },
    /// The file was not sound and a new one was made from what could be saved.
    File {
        /// What was found.
        why: String,
        /// The file name the old one now has; `None` if there was none.
        aside: Option<String>,
        /// Records saved.
        records: u64,
        /// Records there should have been, where that is still known.
        expected: Option<u64>,
        /// Meta values saved. Each is the newest whole copy, which may not be the last one written.
        meta: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Record { id } => write!(f, "record {id} was damaged on disk and dropped; peers have it"),
            Damage::Meta { key } => {
                write!(f, "the stored value {:?} was damaged and dropped", vigo_base::text::escaped(key))
            }
            Damage::File { why, aside, records, expected, meta } => {
                write!(f, "the record store was damaged ({why}): saved {records} records")?;
                if let Some(expected) = expected {
                    write!(f, " of {expected}")?;
                }
                write!(f, " and {meta} values; peers are asked for the rest")?;
                match aside {
                    Some(name) => write!(f, "; the damaged file is kept as {name}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A secret of this node that seals every stored value. Made from the node key, it is the same at each
/// start and known to nobody else, so that no peer can put a value into a record that a salvage would take
/// for one of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal(Hash);

impl Seal {
    /// The seal that follows from `secret` (the node key's seed).
    pub fn new(secret: &[u8]) -> Seal {
        Seal(Hash::of_parts(&[b"vigo store seal 1\0", secret]))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// The open store. All methods block on the disk.
#[derive(Debug)]
pub struct Store<S: Shelf = FileShelf> {
    shelf: S,
    seal: Seal,
    /// `None` after a commit failed: redb must be opened again before the next.
    db: Option<Database>,
}

impl Store<FileShelf> {
    /// Opens the store in the state directory `dir`, or makes one.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::DiskFull`], [`StoreError::Denied`], [`StoreError::Io`]. A
    /// damaged file is no error: see [`Loaded::damaged`].
    pub fn open(dir: &Path, seal: Seal) -> Result<(Store, Loaded), StoreError> {
        Store::open_on(FileShelf::new(dir), seal)
    }
}

impl<S: Shelf> Store<S> {
    /// As [`Store::open`], on any shelf.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(mut shelf: S, seal: Seal) -> Result<(Store<S>, Loaded), StoreError> {
        let loaded = load::load(&mut shelf, &seal)?;
        let mut store = Store { shelf, seal, db: None };
        store.reopen()?;
        Ok((store, loaded))
    }

    /// Performs all of `ops` in order, in one durable transaction: when this returns `Ok` they survive a
    /// crash; when it returns an error none or all of them may have been kept, and trying again is safe.
    ///
    /// # Errors
    /// [`StoreError::WrongId`] and [`StoreError::TooLarge`] before anything is written; else what the disk
    /// answered.
    pub fn commit(&mut self, ops: &[StoreOp]) -> Result<(), StoreError> {
        if ops.is_empty() {
            return Ok(());
        }
        ops.iter().try_for_each(check)?;
        if self.db.is_none() {
            self.reopen()?;
        }
        let Some(db) = &self.db else { return Err(self.damaged("it is not open")) };
        let seal = &self.seal;
        let done = guarded(|| apply(db, seal, ops));
        match done {
            Ok(Ok(commit)) => {
                self.shelf.set_witness(&frame::wrap(&self.seal, Kind::Witness, &commit.to_le_bytes()));
                Ok(())
            }
            Ok(Err(e)) => {
                self.close();
                Err(fault(&self.shelf.place(), "write", e).into_error(&self.shelf.place()))
            }
            Err(panic) => {
                self.close();
                Err(self.damaged(&panic))
            }
        }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        let place = self.shelf.place();
        let backend = self.shelf.open().map_err(|e| StoreError::from_io(&place, "open", e))?;
        let Some(backend) = backend else { return Err(self.damaged("records.redb is gone")) };
        match open_redb(backend, &place) {
            Ok(db) => self.db = Some(db),
            Err(fault) => return Err(fault.into_error(&place)),
        }
        Ok(())
    }

    fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { place: self.shelf.place(), why: why.to_string() }
    }

    /// Closes redb, whose own clean-up may panic on a broken file.
    fn close(&mut self) {
        let db = self.db.take();
        let _ = guarded(move || drop(db));
    }
}

impl<S: Shelf> Drop for Store<S> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Refuses what must not be written.
fn check(op: &StoreOp) -> Result<(), StoreError> {
    let within = |what, found: usize, limit: usize| match found <= limit {
        true => Ok(()),
        false => Err(StoreError::TooLarge { what, found, limit }),
    };
    match op {
        StoreOp::Put { id, bytes } => {
            within("record", bytes.len(), limits::RECORD_BYTES)?;
            let found = Hash::of(bytes);
            if found != *id {
                return Err(StoreError::WrongId { id: *id, found });
            }
            Ok(())
        }
        StoreOp::PutMeta { key, value } => {
            within("meta key", key.len(), META_KEY_BYTES)?;
            within("meta value", value.len(), META_VALUE_BYTES)
        }
        StoreOp::Remove { .. } => Ok(()),
    }
}

fn open_redb<B: redb::StorageBackend>(backend: B, place: &str) -> Result<Database, Fault> {
    let opened = guarded(|| Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend));
    match opened {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(e)) => Err(fault(place, "open", e)),
        Err(panic) => Err(Fault::Damaged(panic)),
    }
}

/// One transaction. Returns its number.
fn apply(db: &Database, seal: &Seal, ops: &[StoreOp]) -> Result<u64, redb::Error> {
    let txn = db.begin_write()?;
    let commit = {
        let mut ledgers = txn.open_table(LEDGER)?;
        let mut records = txn.open_table(RECORDS)?;
        let mut meta = txn.open_table(META)?;
        let mut ledger = read_ledger(&ledgers, seal)?;
        ledger.commit += 1;
        for op in ops {
            match op {
                StoreOp::Put { id, bytes } => {
                    let frame = frame::wrap(seal, Kind::Record, bytes);
                    if records.insert(&id.0, frame.as_slice())?.is_none() {
                        ledger.records += 1;
                        ledger.toggle(&id.0);
                    }
                }
                StoreOp::Remove { id } => {
                    if records.remove(&id.0)?.is_some() {
                        ledger.records = ledger.records.saturating_sub(1);
                        ledger.toggle(&id.0);
                    }
                }
                StoreOp::PutMeta { key, value } => {
                    let body = MetaEntry::body(ledger.commit, key, value);
                    meta.insert(key.as_str(), frame::wrap(seal, Kind::Meta, &body).as_slice())?;
                }
            }
        }
        ledgers.insert(LEDGER_KEY, frame::wrap(seal, Kind::Ledger, &ledger.body()).as_slice())?;
        ledger.commit
    };
    txn.commit()?;
    Ok(commit)
}

/// The ledger; that of an empty store if there is none yet.
fn read_ledger(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    seal: &Seal,
) -> Result<Ledger, redb::Error> {
    let Some(row) = table.get(LEDGER_KEY)? else { return Ok(Ledger::default()) };
    frame::unwrap(seal, Kind::Ledger, row.value())
        .and_then(Ledger::read)
        .ok_or_else(|| redb::Error::Corrupted("the ledger row does not verify".into()))
}
