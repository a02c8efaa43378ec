//! The blob store: everything big, one file each, named by the SHA-256 of its bytes.
//!
//! Three words matter here:
//!
//! - a **blob** is whole and verified when it appears under its name, by a rename;
//! - a **partial** is a blob being fetched: every chunk is checked against the outline *before* it is
//!   written, and again when it is read for another peer. Partials survive a crash: what is on the disk is
//!   hashed anew when the fetch goes on, so there is no note that could be wrong;
//! - the **outline** lies beside the blob; a blob of one chunk needs none.
//!
//! Bytes are hashed each time they leave the store. A blob found rotten is moved aside, never served again,
//! and named in the error; when it is fetched anew, its whole chunks are taken from the old file. The store
//! decides nothing about who may read what, holds no blob because it might be useful (the caller removes),
//! and never makes a file name from anything but a hash.
//!
//! All methods block on the disk; call them from blocking threads. One process uses a directory at a time
//! (the state directory's lock sees to it).

mod error;
mod files;
mod partial;
mod scan;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vigo_base::Hash;
use vigo_base::hash::Hasher;
use vigo_base::limits::CHUNK_MAX;
use vigo_node::swarm::outline::{BlobRef, Cutter, Outline};

use files::{Dir, Name};
use partial::Progress;

pub use error::BlobError;
pub use partial::{Partial, Reuse};

/// Outlines kept in memory, with their blobs' files open, for serving chunks.
const OUTLINES_KEPT: usize = 4;
/// Bytes read at a time.
const PIECE: usize = CHUNK_MAX;

/// The blobs of one directory. Clones share it.
#[derive(Debug, Clone)]
pub struct BlobStore {
    dir: Dir,
    quota: u64,
    index: Arc<Mutex<Index>>,
}

/// What was found wrong when the directory was opened. Nothing of it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobDamage {
    /// A file with a blob's name holds other bytes; it was moved aside.
    Rotten {
        /// The blob's hash.
        hash: Hash,
    },
    /// What was known of a fetch could not be read; it starts again.
    Forgotten {
        /// The exchange id.
        exchange: Hash,
    },
}

/// How full the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of whole blobs, and of unfinished ones at their full size.
    pub used: u64,
    /// Bytes allowed.
    pub quota: u64,
}

#[derive(Debug, Default)]
struct Index {
    whole: BTreeMap<Hash, BlobRef>,
    /// Exchange id → blob.
    exchanges: BTreeMap<Hash, Hash>,
    /// Fetches known on disk, by exchange id; `Some` while one goes on.
    partials: BTreeMap<Hash, (BlobRef, Option<Arc<Progress>>)>,
    used: u64,
    /// Newest last.
    warm: Vec<Arc<Warm>>,
}

/// A whole blob ready to be served by chunks.
#[derive(Debug)]
struct Warm {
    blob: BlobRef,
    /// Offset, length and hash of each chunk.
    chunks: Vec<(u64, u32, Hash)>,
    file: File,
}

impl BlobStore {
    /// Opens the directory `path`, made if it is not there. Blobs and unfinished fetches may take `quota`
    /// bytes together.
    ///
    /// # Errors
    /// [`BlobError::Io`], [`BlobError::DiskFull`]. Damage is no error: it comes with the store.
    pub fn open(path: &Path, quota: u64) -> Result<(BlobStore, Vec<BlobDamage>), BlobError> {
        let io = |e| BlobError::from_io(path, "open the blobs", e);
        let dir = Dir::open(path).map_err(io)?;
        let (index, damage) = scan::scan(&dir).map_err(io)?;
        Ok((BlobStore { dir, quota, index: Arc::new(Mutex::new(index)) }, damage))
    }

    /// Keeps `bytes`.
    ///
    /// # Errors
    /// [`BlobError::OverQuota`], [`BlobError::DiskFull`], [`BlobError::Io`]; nothing is kept then.
    pub fn put(&self, bytes: &[u8]) -> Result<BlobRef, BlobError> {
        self.put_reader(bytes, bytes.len() as u64)
    }

    /// Keeps all that `source` gives, at most `max` bytes.
    ///
    /// # Errors
    /// As [`BlobStore::put`], and [`BlobError::TooLarge`].
    pub fn put_reader(&self, mut source: impl Read, max: u64) -> Result<BlobRef, BlobError> {
        let mut temporary = self.dir.temporary().map_err(|e| self.io("write a blob", e))?;
        let mut cutter = Cutter::new();
        let mut piece = vec![0; PIECE];
        let mut size = 0u64;
        loop {
            let n = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.io("read what is to be kept", e)),
            };
            size += n as u64;
            if size > max {
                return Err(BlobError::TooLarge { found: size, limit: max });
            }
            self.room(&self.index(), size)?;
            cutter.update(&piece[..n]);
            temporary.file.write_all(&piece[..n]).map_err(|e| self.io("write a blob", e))?;
        }
        let (outline, blob) = cutter.finish();
        let mut index = self.index();
        if !index.whole.contains_key(&blob.hash) {
            self.room(&index, blob.size)?;
        }
        if outline.chunks.len() > 1 {
            let written = self.dir.write_outline(Name::Outline(blob.hash), &blob, &outline);
            written.map_err(|e| self.io("write an outline", e))?;
        }
        let kept = temporary.keep(&self.dir.at(Name::Whole(blob.hash))).and_then(|()| self.dir.sync());
        kept.map_err(|e| self.io("write a blob", e))?;
        let _ = self.dir.remove(Name::Rotten(blob.hash));
        index.add(blob);
        Ok(blob)
    }

    /// All bytes of a blob, verified; at most `max`.
    ///
    /// # Errors
    /// [`BlobError::Unknown`], [`BlobError::TooLarge`], [`BlobError::Rotten`], [`BlobError::Io`].
    pub fn get(&self, hash: &Hash, max: u64) -> Result<Vec<u8>, BlobError> {
        let blob = self.find(hash)?;
        if blob.size > max {
            return Err(BlobError::TooLarge { found: blob.size, limit: max });
        }
        let mut bytes = Vec::with_capacity(blob.size as usize);
        let read =
            self.dir.read(Name::Whole(*hash)).and_then(|f| f.take(blob.size + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) if Hash::of(&bytes) == *hash => Ok(bytes),
            Err(e) if !unreadable(&e) => Err(self.io("read a blob", e)),
            _ => Err(self.rotten(blob)),
        }
    }

    /// Reads a whole blob and says whether it is what its name says; one that is not is moved aside.
    ///
    /// # Errors
    /// As [`BlobStore::get`].
    pub fn verify(&self, hash: &Hash) -> Result<BlobRef, BlobError> {
        let blob = self.find(hash)?;
        let read = self.dir.read(Name::Whole(*hash)).and_then(|mut file| {
            let (mut hasher, mut piece) = (Hasher::default(), vec![0; PIECE]);
            loop {
                match file.read(&mut piece)? {
                    0 => return Ok(hasher.finish()),
                    n => hasher.update(&piece[..n]),
                }
            }
        });
        match read {
            Ok(found) if found == *hash => Ok(blob),
            Err(e) if !unreadable(&e) => Err(self.io("read a blob", e)),
            _ => Err(self.rotten(blob)),
        }
    }

    /// One chunk of a blob that is here whole or in part, verified.
    ///
    /// # Errors
    /// [`BlobError::Unknown`], [`BlobError::NoSuchChunk`], [`BlobError::NotYet`], [`BlobError::Rotten`],
    /// [`BlobError::Io`].
    pub fn read_chunk(&self, exchange: &Hash, index: u32) -> Result<Vec<u8>, BlobError> {
        if let Some(progress) = self.progress(exchange) {
            return progress.read(&self.dir, index);
        }
        let warm = self.warm(exchange)?;
        let chunks = warm.chunks.len() as u32;
        let no_such = BlobError::NoSuchChunk { exchange: *exchange, index, chunks };
        let (offset, length, hash) = warm.chunks.get(index as usize).copied().ok_or(no_such)?;
        let mut bytes = vec![0; length as usize];
        match warm.file.read_exact_at(&mut bytes, offset) {
            Ok(()) if Hash::of(&bytes) == hash => Ok(bytes),
            Err(e) if !unreadable(&e) => Err(self.io("read a chunk", e)),
            _ => Err(self.rotten(warm.blob)),
        }
    }

    /// The outline of a blob that is here whole or being fetched.
    ///
    /// # Errors
    /// [`BlobError::Unknown`], [`BlobError::Rotten`], [`BlobError::Io`].
    pub fn outline(&self, exchange: &Hash) -> Result<Outline, BlobError> {
        if let Some(progress) = self.progress(exchange) {
            return Ok(progress.outline.clone());
        }
        let warm = self.warm(exchange)?;
        Ok(Outline { chunks: warm.chunks.iter().map(|(_, length, hash)| (*hash, *length)).collect() })
    }

    /// The reference of a whole blob, if it is here.
    pub fn reference(&self, hash: &Hash) -> Option<BlobRef> {
        self.index().whole.get(hash).copied()
    }

    /// Every whole blob, by hash.
    pub fn list(&self) -> Vec<BlobRef> {
        self.index().whole.values().copied().collect()
    }

    /// Every fetch that is not finished, by exchange id, those of an earlier process too.
    pub fn unfinished(&self) -> Vec<BlobRef> {
        self.index().partials.values().map(|(blob, _)| *blob).collect()
    }

    /// How full the store is.
    pub fn usage(&self) -> Usage {
        Usage { used: self.index().used, quota: self.quota }
    }

    /// Forgets a whole blob. One that is not here is forgotten already.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn remove(&self, hash: &Hash) -> Result<(), BlobError> {
        let mut index = self.index();
        // The outline last: alone it is swept at the next start, a blob without one would be cut again.
        let removed = [Name::Whole(*hash), Name::Outline(*hash), Name::Rotten(*hash)];
        let done = removed.into_iter().try_for_each(|name| self.dir.remove(name));
        done.and_then(|()| self.dir.sync()).map_err(|e| self.io("remove a blob", e))?;
        index.drop_whole(hash);
        Ok(())
    }

    /// Begins or resumes a fetch. What an earlier process left of it is hashed and kept where it is right.
    ///
    /// # Errors
    /// [`BlobError::Outline`] if the outline is not that of `blob`, [`BlobError::Busy`],
    /// [`BlobError::OverQuota`], [`BlobError::DiskFull`], [`BlobError::Io`].
    pub fn open_partial(&self, blob: BlobRef, outline: Outline) -> Result<Partial, BlobError> {
        partial::open(self, blob, outline)
    }

    /// As [`BlobStore::open_partial`], with the outline that an earlier process left or that follows from
    /// the reference. `None` if there is neither.
    ///
    /// # Errors
    /// As [`BlobStore::open_partial`].
    pub fn resume(&self, blob: BlobRef) -> Result<Option<Partial>, BlobError> {
        let left = || self.dir.read_outline(Name::Plan(blob.exchange)).filter(|(left, _)| *left == blob);
        match blob.derived_outline().or_else(|| left().map(|(_, outline)| outline)) {
            Some(outline) => self.open_partial(blob, outline).map(Some),
            None => Ok(None),
        }
    }

    /// Forgets an unfinished fetch that is not going on.
    ///
    /// # Errors
    /// [`BlobError::Busy`] while it goes on (drop or [`Partial::abandon`] it), [`BlobError::Io`].
    pub fn forget_partial(&self, exchange: &Hash) -> Result<(), BlobError> {
        let mut index = self.index();
        match index.partials.get(exchange) {
            Some((blob, Some(_))) => return Err(BlobError::Busy { blob: *blob }),
            Some((blob, None)) => {
                let size = blob.size;
                index.used = index.used.saturating_sub(size);
                index.partials.remove(exchange);
            }
            None => {}
        }
        let done =
            self.dir.remove(Name::Partial(*exchange)).and_then(|()| self.dir.remove(Name::Plan(*exchange)));
        done.map_err(|e| self.io("remove a fetch", e))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, doing: &'static str, source: std::io::Error) -> BlobError {
        BlobError::from_io(self.dir.path(), doing, source)
    }

    fn find(&self, hash: &Hash) -> Result<BlobRef, BlobError> {
        self.reference(hash).ok_or(BlobError::Unknown { hash: *hash })
    }

    fn progress(&self, exchange: &Hash) -> Option<Arc<Progress>> {
        self.index().partials.get(exchange).and_then(|(_, progress)| progress.clone())
    }

    fn room(&self, index: &Index, needed: u64) -> Result<(), BlobError> {
        match index.used.checked_add(needed) {
            Some(total) if total <= self.quota => Ok(()),
            _ => Err(BlobError::OverQuota { needed, used: index.used, quota: self.quota }),
        }
    }

    /// The whole blob of an exchange, ready to be served.
    fn warm(&self, exchange: &Hash) -> Result<Arc<Warm>, BlobError> {
        let blob = {
            let mut index = self.index();
            if let Some(at) = index.warm.iter().position(|w| w.blob.exchange == *exchange) {
                let warm = index.warm.remove(at);
                index.warm.push(warm.clone());
                return Ok(warm);
            }
            let blob = index.exchanges.get(exchange).and_then(|hash| index.whole.get(hash)).copied();
            blob.ok_or(BlobError::Unknown { hash: *exchange })?
        };
        let outline = match blob.derived_outline() {
            Some(outline) => outline,
            None => match self.dir.read_outline(Name::Outline(blob.hash)).filter(|(left, _)| *left == blob) {
                Some((_, outline)) => outline,
                None => self.cut_again(blob)?,
            },
        };
        let file = self.dir.read(Name::Whole(blob.hash)).map_err(|e| self.io("read a blob", e))?;
        let offsets: Vec<u64> = outline.offsets().collect();
        let chunks =
            offsets.into_iter().zip(outline.chunks).map(|(at, (hash, len))| (at, len, hash)).collect();
        let warm = Arc::new(Warm { blob, chunks, file });
        let mut index = self.index();
        index.warm.push(warm.clone());
        if index.warm.len() > OUTLINES_KEPT {
            index.warm.remove(0);
        }
        Ok(warm)
    }

    /// The outline from the bytes, where the file beside them was lost or damaged.
    fn cut_again(&self, blob: BlobRef) -> Result<Outline, BlobError> {
        let cut = scan::cut(&self.dir, Name::Whole(blob.hash)).map_err(|e| self.io("read a blob", e))?;
        match cut {
            (outline, found) if found == blob => {
                let written = self.dir.write_outline(Name::Outline(blob.hash), &blob, &outline);
                written.map_err(|e| self.io("write an outline", e))?;
                Ok(outline)
            }
            _ => Err(self.rotten(blob)),
        }
    }

    /// Moves a blob aside whose bytes are wrong, and makes the error that says so.
    fn rotten(&self, blob: BlobRef) -> BlobError {
        let mut index = self.index();
        index.drop_whole(&blob.hash);
        let to = Name::Rotten(blob.hash);
        let moved = self.dir.rename(Name::Whole(blob.hash), to).and_then(|()| self.dir.sync());
        match moved {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => self.io("move a damaged blob aside", e),
            _ => BlobError::Rotten { blob, aside: format!("{}.rotten", blob.hash) },
        }
    }
}

impl Index {
    fn add(&mut self, blob: BlobRef) {
        self.drop_whole(&blob.hash);
        self.used = self.used.saturating_add(blob.size);
        self.exchanges.insert(blob.exchange, blob.hash);
        self.whole.insert(blob.hash, blob);
    }

    fn drop_whole(&mut self, hash: &Hash) {
        if let Some(blob) = self.whole.remove(hash) {
            self.used = self.used.saturating_sub(blob.size);
            self.exchanges.remove(&blob.exchange);
            self.warm.retain(|w| w.blob.hash != *hash);
        }
    }
}

/// Whether an error means that the bytes are not there: a file cut short, or a bad sector.
fn unreadable(error: &std::io::Error) -> bool {
    // Linux: EIO.
    error.kind() == std::io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(5)
}
