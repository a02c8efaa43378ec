//! A backend that looks and does not touch.
//!
//! [`Trial`] reads from the storage below it and keeps every write in memory. The store opens a file through
//! it first: redb repairs while it opens, and a repair of a file that turns out to be damaged would write
//! over what could still be saved. What is written here never reaches the storage below.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

const BLOCK: usize = 4096;

/// Reads through, writes to memory.
#[derive(Debug)]
pub(super) struct Trial<B> {
    below: B,
    state: Mutex<Overlay>,
}

#[derive(Debug)]
struct Overlay {
    /// Bytes the storage seems to have.
    len: u64,
    /// Bytes of the storage below that still show through.
    shown: u64,
    /// Blocks that were written.
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl<B: StorageBackend> Trial<B> {
    /// A trial over `below`.
    ///
    /// # Errors
    /// Whatever asking `below` for its length answers.
    pub(super) fn over(below: B) -> io::Result<Trial<B>> {
        let len = below.len()?;
        Ok(Trial { below, state: Mutex::new(Overlay { len, shown: len, blocks: BTreeMap::new() }) })
    }

    fn state(&self) -> MutexGuard<'_, Overlay> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what shows through at `offset`; beyond it are zeros.
    fn read_below(&self, shown: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = (shown.saturating_sub(offset)).min(out.len() as u64) as usize;
        if there > 0 {
            self.below.read(offset, &mut out[..there])?;
        }
        out[there..].fill(0);
        Ok(())
    }
}

/// The parts of `offset..offset + len` by block: block number, offset inside it, length.
fn blocks(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let inside = (at % BLOCK as u64) as usize;
            let take = (BLOCK - inside).min((end - at) as usize);
            let block = at / BLOCK as u64;
            at += take as u64;
            (block, inside, take)
        })
    })
}

impl<B: StorageBackend> StorageBackend for Trial<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_below(state.shown, offset, out)?;
        let mut done = 0;
        for (block, inside, take) in blocks(offset, out.len()) {
            if let Some(bytes) = state.blocks.get(&block) {
                out[done..done + take].copy_from_slice(&bytes[inside..inside + take]);
            }
            done += take;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.shown = state.shown.min(len);
        state.blocks.retain(|block, _| block * (BLOCK as u64) < len);
        if let Some(last) = state.blocks.get_mut(&(len / BLOCK as u64)) {
            last[(len % BLOCK as u64) as usize..].fill(0);
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let shown = state.shown;
        let mut done = 0;
        for (block, inside, take) in blocks(offset, data.len()) {
            let bytes = match state.blocks.entry(block) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(free) => {
                    let mut bytes = vec![0; BLOCK].into_boxed_slice();
                    self.read_below(shown, block * BLOCK as u64, &mut bytes)?;
                    free.insert(bytes)
                }
            };
            bytes[inside..inside + take].copy_from_slice(&data[done..done + take]);
            done += take;
        }
        state.len = state.len.max(offset + data.len() as u64);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    #[test]
    fn writes_are_seen_above_and_not_below() {
        let below = InMemoryBackend::new();
        below.set_len(10_000).unwrap();
        below.write(0, &[1; 10_000]).unwrap();
        let trial = Trial::over(below).unwrap();
        trial.write(4_000, &[2; 200]).unwrap();
        trial.set_len(9_000).unwrap();
        trial.set_len(10_000).unwrap();
        let mut seen = vec![9; 10_000];
        trial.read(0, &mut seen).unwrap();
        let expected = [vec![1; 4_000], vec![2; 200], vec![1; 4_800], vec![0; 1_000]].concat();
        assert_eq!(seen, expected);
        let mut kept = vec![0; 10_000];
        trial.below.read(0, &mut kept).unwrap();
        assert_eq!(kept, vec![1; 10_000]);
        assert!(trial.read(9_999, &mut [0; 2]).is_err());
    }
}
