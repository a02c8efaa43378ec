//! Reading a store at start, and making a new one of what is left of a damaged one.
//!
//! [`load`] leaves behind a sound file in the store's place, or an error and the file as it was. It never
//! writes to a file it found unsound, and never reports less damage than it found.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableError};
use vigo_base::Hash;

use super::error::{Fault, fault, guarded};
use super::frame::{self, FRAME_BYTES, Kind, Ledger, MetaEntry};
use super::trial::Trial;
use super::{Damage, LEDGER, LEDGER_KEY, Loaded, META, RECORDS, Seal, Shelf, StoreError, open_redb};

/// Bytes read at a time when a broken file is searched.
const WINDOW: usize = 4 * 1024 * 1024;
/// Bytes given up at a time where the disk cannot read.
const SECTOR: usize = 4096;
/// Records written in one transaction of a new file.
const REBUILD_BATCH: usize = 4096;

/// What is in a file.
#[derive(Default)]
struct Contents {
    records: BTreeMap<Hash, Arc<[u8]>>,
    meta: BTreeMap<String, MetaEntry>,
    ledger: Ledger,
    /// Entries that do not verify.
    bad: Vec<Damage>,
}

impl Contents {
    /// Whether the records are those the ledger counts.
    fn complete(&self) -> bool {
        let mut found =
            Ledger { commit: self.ledger.commit, records: self.records.len() as u64, ids: [0; 32] };
        self.records.keys().for_each(|id| found.toggle(&id.0));
        found == self.ledger
    }

    fn into_loaded(self, damaged: Vec<Damage>) -> Loaded {
        let meta = self.meta.into_iter().map(|(key, entry)| (key, entry.value)).collect();
        Loaded { records: self.records.into_iter().collect(), meta, damaged }
    }
}

/// Reads the store on `shelf`. Afterwards there is a sound one in its place.
pub(super) fn load<S: Shelf>(shelf: &mut S, seal: &Seal) -> Result<Loaded, StoreError> {
    let place = shelf.place();
    let trouble = |e| StoreError::from_io(&place, "open", e);
    let seen = witness(shelf, seal);
    let Some(backend) = shelf.open().map_err(trouble)? else {
        return match seen {
            None => rebuild(shelf, seal, Contents::default(), None),
            Some(_) => rebuild(shelf, seal, Contents::default(), Some("records.redb is gone".into())),
        };
    };
    let trial = Trial::over(backend).map_err(trouble)?;
    let why = match inspect(trial, seal, &place) {
        Ok(contents) => {
            let commit = contents.ledger.commit;
            if let Some(seen) = seen.filter(|seen| *seen > commit) {
                format!("it went back from commit {seen} to {commit}")
            } else if !contents.bad.is_empty() {
                return rebuild(shelf, seal, contents, None);
            } else if !contents.complete() {
                format!("{} records where {} belong", contents.records.len(), contents.ledger.records)
            } else {
                shelf.set_witness(&frame::wrap(seal, Kind::Witness, &commit.to_le_bytes()));
                return Ok(contents.into_loaded(Vec::new()));
            }
        }
        Err(Fault::Damaged(why)) => why,
        Err(Fault::Trouble(error)) => return Err(error),
    };
    let Some(backend) = shelf.open().map_err(trouble)? else {
        return Err(StoreError::Damaged { place, why: "records.redb vanished while it was read".into() });
    };
    let mut saved = salvage(&backend, seal).map_err(trouble)?;
    let _ = backend.close();
    drop(backend);
    saved.ledger.commit = saved.ledger.commit.max(seen.unwrap_or(0));
    rebuild(shelf, seal, saved, Some(why))
}

/// The number of the last commit, as the note beside the store has it.
fn witness<S: Shelf>(shelf: &mut S, seal: &Seal) -> Option<u64> {
    let note = shelf.witness()?;
    let body = frame::unwrap(seal, Kind::Witness, &note)?;
    body.try_into().ok().map(u64::from_le_bytes)
}

/// Opens through a trial, checks every page, reads everything.
fn inspect<B: StorageBackend>(trial: Trial<B>, seal: &Seal, place: &str) -> Result<Contents, Fault> {
    if trial.len().map_err(|e| fault(place, "read", redb::Error::Io(e)))? == 0 {
        return Err(Fault::Damaged("the file is empty".into()));
    }
    let mut db = open_redb(trial, place)?;
    let read = guarded(|| {
        match db.check_integrity() {
            Ok(true) => {}
            Ok(false) => return Err(Fault::Damaged("its pages do not agree".into())),
            Err(e) => return Err(fault(place, "read", e)),
        }
        read_all(&db, seal).map_err(|e| fault(place, "read", e))
    });
    // Outside the guard above, so that a panic while closing does not meet another.
    let closed = guarded(move || drop(db));
    let contents = read.unwrap_or_else(|panic| Err(Fault::Damaged(panic)))?;
    closed.map_err(Fault::Damaged)?;
    Ok(contents)
}

fn read_all(db: &Database, seal: &Seal) -> Result<Contents, redb::Error> {
    let txn = db.begin_read()?;
    let mut contents = Contents::default();
    let ledgers = match txn.open_table(LEDGER) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => {
            return Err(redb::Error::Corrupted("it has no ledger".into()));
        }
        Err(e) => return Err(e.into()),
    };
    if ledgers.get(LEDGER_KEY)?.is_none() {
        return Err(redb::Error::Corrupted("its ledger is empty".into()));
    }
    contents.ledger = super::read_ledger(&ledgers, seal)?;
    for row in txn.open_table(RECORDS)?.iter()? {
        let (key, value) = row?;
        let id = Hash(*key.value());
        match frame::unwrap(seal, Kind::Record, value.value()).filter(|body| Hash::of(body) == id) {
            Some(body) => drop(contents.records.insert(id, body.into())),
            None => contents.bad.push(Damage::Record { id }),
        }
    }
    for row in txn.open_table(META)?.iter()? {
        let (key, value) = row?;
        let entry = frame::unwrap(seal, Kind::Meta, value.value()).and_then(MetaEntry::read);
        match entry.filter(|entry| entry.key == key.value()) {
            Some(entry) => drop(contents.meta.insert(entry.key.clone(), entry)),
            None => contents.bad.push(Damage::Meta { key: key.value().to_string() }),
        }
    }
    Ok(contents)
}

/// Every whole value in a broken file, wherever it lies.
fn salvage<B: StorageBackend>(backend: &B, seal: &Seal) -> io::Result<Contents> {
    let len = backend.len()?;
    let mut saved = Contents::default();
    let mut newest: Option<Ledger> = None;
    let mut window = Vec::new();
    let mut at = 0;
    loop {
        let want = (len - at).min((WINDOW - window.len()) as u64) as usize;
        read_what_can_be_read(backend, at, want, &mut window);
        at += want as u64;
        let margin = if at < len { FRAME_BYTES } else { 0 };
        let done = frame::scan(seal, &window, margin, |kind, body| match kind {
            Kind::Record => drop(saved.records.insert(Hash::of(body), body.into())),
            Kind::Meta => {
                let Some(entry) = MetaEntry::read(body) else { return };
                if saved.meta.get(&entry.key).is_none_or(|known| known.commit < entry.commit) {
                    saved.meta.insert(entry.key.clone(), entry);
                }
            }
            Kind::Ledger => {
                let found = Ledger::read(body).filter(|l| newest.is_none_or(|n| n.commit < l.commit));
                newest = found.or(newest);
            }
            Kind::Witness => {}
        });
        if at >= len {
            break;
        }
        window.drain(..done.min(window.len()));
    }
    saved.ledger = newest.unwrap_or_default();
    Ok(saved)
}

/// Appends `want` bytes from `at` to `window`, zeros where the disk has none to give.
fn read_what_can_be_read<B: StorageBackend>(backend: &B, at: u64, want: usize, window: &mut Vec<u8>) {
    let start = window.len();
    window.resize(start + want, 0);
    let out = &mut window[start..];
    if backend.read(at, out).is_ok() {
        return;
    }
    for (i, sector) in out.chunks_mut(SECTOR).enumerate() {
        if backend.read(at + (i * SECTOR) as u64, sector).is_err() {
            sector.fill(0);
        }
    }
}

/// Makes a new file of `saved` and puts it in the store's place. `why` is what was wrong with the old one as
/// a whole.
fn rebuild<S: Shelf>(
    shelf: &mut S,
    seal: &Seal,
    mut saved: Contents,
    why: Option<String>,
) -> Result<Loaded, StoreError> {
    let place = shelf.place();
    let trouble = |e| StoreError::from_io(&place, "create", e);
    let known = (saved.ledger != Ledger::default()).then_some(saved.ledger.records);
    saved.ledger.commit += 1;
    let draft = shelf.draft().map_err(trouble)?;
    let db = open_redb(draft, &place).map_err(|f| f.into_error(&place))?;
    let written = guarded(|| write_all(&db, seal, &mut saved));
    let closed = guarded(move || drop(db));
    match written {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return Err(fault(&place, "write", e).into_error(&place)),
        Err(why) => return Err(StoreError::Damaged { place, why }),
    }
    closed.map_err(|why| StoreError::Damaged { place: place.clone(), why })?;
    let aside = shelf.adopt().map_err(trouble)?;
    shelf.set_witness(&frame::wrap(seal, Kind::Witness, &saved.ledger.commit.to_le_bytes()));
    let mut damaged = std::mem::take(&mut saved.bad);
    if let Some(why) = why {
        let (records, meta) = (saved.records.len() as u64, saved.meta.len() as u64);
        damaged.push(Damage::File { why, aside, records, expected: known, meta });
    }
    Ok(saved.into_loaded(damaged))
}

/// Writes everything, the ledger with the last batch: a draft without one is never taken for whole.
fn write_all(db: &Database, seal: &Seal, saved: &mut Contents) -> Result<(), redb::Error> {
    let mut ledger =
        Ledger { commit: saved.ledger.commit, records: saved.records.len() as u64, ids: [0; 32] };
    let records: Vec<_> = saved.records.iter().collect();
    for batch in records.chunks(REBUILD_BATCH) {
        let txn = db.begin_write()?;
        {
            let mut table = txn.open_table(RECORDS)?;
            for (id, bytes) in batch {
                ledger.toggle(&id.0);
                table.insert(&id.0, frame::wrap(seal, Kind::Record, bytes).as_slice())?;
            }
        }
        txn.commit()?;
    }
    saved.ledger = ledger;
    let txn = db.begin_write()?;
    {
        txn.open_table(RECORDS)?;
        let mut meta = txn.open_table(META)?;
        for (key, entry) in &saved.meta {
            let body = MetaEntry::body(entry.commit, key, &entry.value);
            meta.insert(key.as_str(), frame::wrap(seal, Kind::Meta, &body).as_slice())?;
        }
        let frame = frame::wrap(seal, Kind::Ledger, &ledger.body());
        txn.open_table(LEDGER)?.insert(LEDGER_KEY, frame.as_slice())?;
    }
    txn.commit()?;
    Ok(())
}
