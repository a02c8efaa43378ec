//! A disk in memory that can lose, tear and reorder what was not flushed, and fill up.
//!
//! The model: a write or a change of length since the last flush may or may not reach the platter, each on
//! its own, in any order, a write by sectors of 512 bytes. What was flushed stays, except on a disk that is
//! not honest.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;
use vigo_base::Dice;
use vigo_daemon::store::Shelf;

const SECTOR: usize = 512;

/// One file.
#[derive(Debug, Default, Clone)]
pub struct Disk {
    /// What is on the platter for certain.
    durable: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    /// What happened since the last flush.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Disk {
    fn flush(&mut self) {
        self.durable.clone_from(&self.seen);
        self.pending.clear();
    }

    /// What is left after the power was cut.
    fn after_power_cut(&self, dice: &mut Dice) -> Vec<u8> {
        let mut out = self.durable.clone();
        let mut pending = self.pending.clone();
        dice.shuffle(&mut pending);
        let mut length = out.len();
        for change in pending.iter().filter(|_| dice.one_in(2)).cloned().collect::<Vec<_>>() {
            match change {
                Change::Length(n) => length = n,
                Change::Write(at, data) => {
                    out.resize(out.len().max(at + data.len()), 0);
                    let torn = dice.one_in(2);
                    for (i, sector) in data.chunks(SECTOR).enumerate() {
                        if !torn || dice.one_in(2) {
                            out[at + i * SECTOR..][..sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        out.resize(length, 0);
        out
    }
}

#[derive(Debug, Default)]
struct State {
    store: Option<Disk>,
    draft: Option<Disk>,
    /// Old and new witness: a power cut leaves either.
    witness: [Option<Vec<u8>>; 2],
    honest: bool,
    /// Operations until the disk fails for good.
    fuse: Option<u64>,
    /// Writes until the disk is full.
    room: Option<u64>,
}

/// A shelf on such a disk. Clones share the disk.
#[derive(Debug, Clone)]
pub struct DiskShelf(Arc<Mutex<State>>);

/// One open file on it.
#[derive(Debug)]
pub struct Open {
    state: Arc<Mutex<State>>,
    draft: bool,
}

impl DiskShelf {
    /// An empty disk; one that is not `honest` only pretends to flush.
    pub fn new(honest: bool) -> DiskShelf {
        DiskShelf(Arc::new(Mutex::new(State { honest, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Everything fails from the disk's operation `fuse` on.
    pub fn fail_at(&self, fuse: u64) {
        self.state().fuse = Some(fuse);
    }

    /// The disk is full after so many writes.
    pub fn fill_after(&self, room: Option<u64>) {
        self.state().room = room;
    }

    /// Loses what was not flushed, in a way that `dice` choose, and works again.
    pub fn cut_power(&self, dice: &mut Dice) {
        let mut state = self.state();
        state.fuse = None;
        for file in [false, true] {
            let file = if file { &mut state.draft } else { &mut state.store };
            if let Some(disk) = file {
                let bytes = disk.after_power_cut(dice);
                *disk = Disk { durable: bytes.clone(), seen: bytes, pending: Vec::new() };
            }
        }
        if dice.one_in(2) {
            state.witness[1] = state.witness[0].clone();
        }
    }

    /// The bytes of the store's file.
    pub fn image(&self) -> Vec<u8> {
        self.state().store.as_ref().map(|d| d.seen.clone()).unwrap_or_default()
    }

    /// A copy of this disk with other bytes in the store's file.
    pub fn with_image(&self, bytes: Vec<u8>) -> DiskShelf {
        let disk = Disk { durable: bytes.clone(), seen: bytes, pending: Vec::new() };
        let witness = self.state().witness.clone();
        let state = State { store: Some(disk), witness, honest: true, ..State::default() };
        DiskShelf(Arc::new(Mutex::new(state)))
    }

    /// A copy of this disk whose store was deleted.
    pub fn without_store(&self) -> DiskShelf {
        let shelf = self.with_image(Vec::new());
        shelf.state().store = None;
        shelf
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|e| e.into_inner())
}

impl State {
    /// Counts an operation.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.fuse {
            Some(0) => Err(io::Error::other("the power is off")),
            Some(fuse) => {
                *fuse -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts a write.
    fn take_room(&mut self) -> io::Result<()> {
        match &mut self.room {
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(room) => {
                *room -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Shelf for DiskShelf {
    type Backend = Open;

    fn open(&mut self) -> io::Result<Option<Open>> {
        self.state().step()?;
        Ok(self.state().store.is_some().then(|| Open { state: self.0.clone(), draft: false }))
    }

    fn draft(&mut self) -> io::Result<Open> {
        let mut state = self.state();
        state.step()?;
        state.draft = Some(Disk::default());
        Ok(Open { state: self.0.clone(), draft: true })
    }

    fn adopt(&mut self) -> io::Result<Option<String>> {
        let mut state = self.state();
        state.step()?;
        if let Some(draft) = &mut state.draft {
            draft.flush();
        }
        let old = state.store.take();
        state.store = state.draft.take();
        Ok(old.map(|_| "aside".to_string()))
    }

    fn witness(&mut self) -> Option<Vec<u8>> {
        self.state().witness[1].clone()
    }

    fn set_witness(&mut self, note: &[u8]) {
        let mut state = self.state();
        if state.step().is_ok() {
            state.witness[0] = state.witness[1].take();
            state.witness[1] = Some(note.to_vec());
        }
    }

    fn place(&self) -> String {
        "a test disk".into()
    }
}

impl Open {
    fn with<T>(&self, work: impl FnOnce(&mut State, &mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.state);
        state.step()?;
        let taken = if self.draft { state.draft.take() } else { state.store.take() };
        let mut disk = taken.ok_or_else(|| io::Error::other("the file is gone"))?;
        let done = work(&mut state, &mut disk);
        *(if self.draft { &mut state.draft } else { &mut state.store }) = Some(disk);
        done
    }
}

impl StorageBackend for Open {
    fn len(&self) -> io::Result<u64> {
        self.with(|_, disk| Ok(disk.seen.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|_, disk| {
            let range = disk.seen.get(offset as usize..).and_then(|b| b.get(..out.len()));
            out.copy_from_slice(range.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|state, disk| {
            if len > disk.seen.len() as u64 {
                state.take_room()?;
            }
            disk.seen.resize(len as usize, 0);
            disk.pending.push(Change::Length(len as usize));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state, disk| {
            if state.honest {
                disk.flush();
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|state, disk| {
            state.take_room()?;
            let (at, end) = (offset as usize, offset as usize + data.len());
            disk.seen.resize(disk.seen.len().max(end), 0);
            disk.seen[at..end].copy_from_slice(data);
            disk.pending.push(Change::Write(at, data.to_vec()));
            Ok(())
        })
    }
}
