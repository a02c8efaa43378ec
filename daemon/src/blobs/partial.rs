//! A blob being fetched: chunk by chunk, each checked before it is written.
//!
//! The file of a partial holds right chunks in their places and nothing else of meaning. Which ones are there
//! is kept in memory only and found again by hashing. Nothing is served from it that does not verify when it
//! is read, and it becomes a blob only when the whole hashes to its name and cuts to its outline.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vigo_base::Hash;
use vigo_node::swarm::outline::{BlobRef, Outline};

use super::files::{Dir, Name};
use super::{BlobError, BlobStore, scan};

/// Blobs looked through for chunks that a new one shares.
const LOCAL_BLOBS: usize = 256;

/// What local assembly found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reuse {
    /// Chunks that were here in other blobs.
    pub chunks: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// A fetch that goes on. Dropped, it stays on the disk and can be resumed.
#[derive(Debug)]
pub struct Partial {
    store: BlobStore,
    progress: Arc<Progress>,
}

/// The state of a fetch, shared with those who serve from it.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) blob: BlobRef,
    pub(super) outline: Outline,
    offsets: Vec<u64>,
    /// Chunks that occur more than once, with all their places.
    twins: BTreeMap<Hash, Vec<u32>>,
    file: File,
    have: Mutex<Vec<bool>>,
}

/// Begins or resumes.
pub(super) fn open(store: &BlobStore, blob: BlobRef, outline: Outline) -> Result<Partial, BlobError> {
    outline.check(&blob).map_err(|source| BlobError::Outline { blob, source: Box::new(source) })?;
    {
        let mut index = store.index();
        match index.partials.get(&blob.exchange) {
            Some((_, Some(_))) => return Err(BlobError::Busy { blob }),
            Some((known, None)) if *known == blob => {}
            // The same outline under another reference: one of the two lies about the hash.
            Some((known, None)) => return Err(BlobError::Busy { blob: *known }),
            None => {
                store.room(&index, blob.size)?;
                index.used += blob.size;
                index.partials.insert(blob.exchange, (blob, None));
            }
        }
    }
    let begun = begin(store, blob, outline);
    let mut index = store.index();
    match begun {
        Ok(progress) => {
            let progress = Arc::new(progress);
            match index.partials.get_mut(&blob.exchange) {
                Some((_, going @ None)) => *going = Some(progress.clone()),
                _ => return Err(BlobError::Busy { blob }),
            }
            Ok(Partial { store: store.clone(), progress })
        }
        Err(e) => {
            if store.dir.read(Name::Plan(blob.exchange)).is_err()
                && index.partials.remove(&blob.exchange).is_some()
            {
                index.used = index.used.saturating_sub(blob.size);
            }
            Err(store.io("begin a fetch", e))
        }
    }
}

fn begin(store: &BlobStore, blob: BlobRef, outline: Outline) -> io::Result<Progress> {
    let plan = Name::Plan(blob.exchange);
    if store.dir.read_outline(plan).is_none_or(|(left, _)| left != blob) {
        store.dir.write_outline(plan, &blob, &outline)?;
    }
    let file = store.dir.edit(Name::Partial(blob.exchange))?;
    let there = file.metadata()?.len();
    if there != blob.size {
        file.set_len(blob.size)?;
    }
    let offsets: Vec<u64> = outline.offsets().collect();
    let mut have = vec![false; outline.chunks.len()];
    let mut bytes = Vec::new();
    for (i, (hash, length)) in outline.chunks.iter().enumerate() {
        if offsets[i] < there {
            bytes.resize(*length as usize, 0);
            have[i] = file.read_exact_at(&mut bytes, offsets[i]).is_ok() && Hash::of(&bytes) == *hash;
        }
    }
    let mut twins: BTreeMap<Hash, Vec<u32>> = BTreeMap::new();
    for (i, (hash, _)) in outline.chunks.iter().enumerate() {
        twins.entry(*hash).or_default().push(i as u32);
    }
    twins.retain(|_, places| places.len() > 1);
    Ok(Progress { blob, outline, offsets, twins, file, have: Mutex::new(have) })
}

impl Partial {
    /// What is being fetched.
    pub fn blob(&self) -> BlobRef {
        self.progress.blob
    }

    /// Its outline.
    pub fn outline(&self) -> &Outline {
        &self.progress.outline
    }

    /// The chunks that are not here, in order.
    pub fn missing(&self) -> Vec<u32> {
        let have = self.progress.have();
        (0..).zip(have.iter()).filter(|(_, here)| !**here).map(|(i, _)| i).collect()
    }

    /// Whether a chunk is here.
    pub fn has(&self, index: u32) -> bool {
        self.progress.have().get(index as usize).copied().unwrap_or(false)
    }

    /// Takes a chunk that came from a peer. One that is here already is not written again.
    ///
    /// # Errors
    /// [`BlobError::WrongChunk`] (the sender's fault; nothing was written), [`BlobError::NoSuchChunk`],
    /// [`BlobError::DiskFull`], [`BlobError::Io`].
    pub fn write_chunk(&self, index: u32, bytes: &[u8]) -> Result<(), BlobError> {
        let progress = &self.progress;
        let (hash, length) = progress.chunk(index)?;
        if bytes.len() != length as usize || Hash::of(bytes) != hash {
            return Err(BlobError::WrongChunk { exchange: progress.blob.exchange, index });
        }
        progress.place(index, &hash, bytes).map_err(|e| self.store.io("write a chunk", e))
    }

    /// Takes what other blobs here hold of this one, damaged ones too; every chunk is verified.
    ///
    /// # Errors
    /// [`BlobError::DiskFull`], [`BlobError::Io`] for writing; what cannot be read is passed over.
    pub fn fill_from_local(&self) -> Result<Reuse, BlobError> {
        let progress = &self.progress;
        let mut wanted: BTreeMap<Hash, u32> = BTreeMap::new();
        for index in self.missing() {
            wanted.insert(progress.chunk(index)?.0, index);
        }
        let mut reuse = Reuse::default();
        // The same blob, found damaged: its chunks are where ours go.
        let rotten = (progress.outline.clone(), Name::Rotten(progress.blob.hash));
        let others = self.store.list().into_iter().filter(|b| b.hash != progress.blob.hash).take(LOCAL_BLOBS);
        let others = others.filter_map(|blob| {
            let left = || self.store.dir.read_outline(Name::Outline(blob.hash)).map(|(_, outline)| outline);
            let outline = blob.derived_outline().or_else(left)?;
            Some((outline, Name::Whole(blob.hash)))
        });
        for (outline, name) in std::iter::once(rotten).chain(others) {
            if wanted.is_empty() {
                break;
            }
            self.take_from(&outline, name, &mut wanted, &mut reuse)?;
        }
        Ok(reuse)
    }

    /// Takes the wanted chunks of one file, which `outline` describes.
    fn take_from(
        &self,
        outline: &Outline,
        name: Name,
        wanted: &mut BTreeMap<Hash, u32>,
        reuse: &mut Reuse,
    ) -> Result<(), BlobError> {
        let mut file = None;
        for (offset, (hash, length)) in outline.offsets().zip(&outline.chunks) {
            let Some(index) = wanted.get(hash).copied() else { continue };
            if file.is_none() {
                file = self.store.dir.read(name).ok();
            }
            let Some(file) = &file else { return Ok(()) };
            let mut bytes = vec![0; *length as usize];
            if file.read_exact_at(&mut bytes, offset).is_ok() && Hash::of(&bytes) == *hash {
                self.write_chunk(index, &bytes)?;
                wanted.remove(hash);
                let places = self.progress.twins.get(hash).map_or(1, Vec::len);
                reuse.chunks += places as u32;
                reuse.bytes += places as u64 * u64::from(*length);
            }
        }
        Ok(())
    }

    /// Verifies the whole and makes it a blob.
    ///
    /// # Errors
    /// [`BlobError::Incomplete`] with chunks missing (also those found changed on the disk meanwhile),
    /// [`BlobError::WrongBlob`] if the reference contradicts its outline: the fetch is then forgotten;
    /// [`BlobError::DiskFull`], [`BlobError::Io`].
    pub fn finish(self) -> Result<BlobRef, BlobError> {
        let (store, progress) = (&self.store, &self.progress);
        let blob = progress.blob;
        let missing = self.missing().len() as u32;
        if missing > 0 {
            return Err(BlobError::Incomplete { blob, missing });
        }
        let io = |e| store.io("finish a fetch", e);
        progress.file.sync_all().map_err(io)?;
        let (_, found) = scan::cut(&store.dir, Name::Partial(blob.exchange)).map_err(io)?;
        if found != blob {
            let missing = progress.check_again();
            if missing > 0 {
                return Err(BlobError::Incomplete { blob, missing });
            }
            self.abandon()?;
            return Err(BlobError::WrongBlob { expected: Box::new(blob), found: Box::new(found) });
        }
        let mut index = store.index();
        // Outline first: a blob under its name always has one. The plan goes last, and is swept if it stays.
        store.dir.write_outline(Name::Outline(blob.hash), &blob, &progress.outline).map_err(io)?;
        store.dir.rename(Name::Partial(blob.exchange), Name::Whole(blob.hash)).map_err(io)?;
        store.dir.sync().map_err(io)?;
        index.partials.remove(&blob.exchange);
        index.used = index.used.saturating_sub(blob.size);
        index.add(blob);
        let swept = store.dir.remove(Name::Plan(blob.exchange));
        swept.and_then(|()| store.dir.remove(Name::Rotten(blob.hash))).map_err(io)?;
        Ok(blob)
    }

    /// Gives the fetch up and forgets what came.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn abandon(self) -> Result<(), BlobError> {
        let (store, exchange) = (self.store.clone(), self.progress.blob.exchange);
        drop(self);
        store.forget_partial(&exchange)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let mut index = self.store.index();
        if let Some((_, going)) = index.partials.get_mut(&self.progress.blob.exchange) {
            *going = None;
        }
    }
}

impl Progress {
    /// Reads a chunk for another peer.
    pub(super) fn read(&self, dir: &Dir, index: u32) -> Result<Vec<u8>, BlobError> {
        let exchange = self.blob.exchange;
        let (hash, length) = self.chunk(index)?;
        if !self.have()[index as usize] {
            return Err(BlobError::NotYet { exchange, index });
        }
        let mut bytes = vec![0; length as usize];
        match self.file.read_exact_at(&mut bytes, self.offsets[index as usize]) {
            Ok(()) if Hash::of(&bytes) == hash => Ok(bytes),
            Err(e) if !super::unreadable(&e) => Err(BlobError::from_io(dir.path(), "read a chunk", e)),
            _ => {
                // It will be fetched again.
                self.have()[index as usize] = false;
                Err(BlobError::NotYet { exchange, index })
            }
        }
    }

    fn have(&self) -> MutexGuard<'_, Vec<bool>> {
        self.have.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chunk(&self, index: u32) -> Result<(Hash, u32), BlobError> {
        let chunks = self.outline.chunks.len() as u32;
        let no_such = BlobError::NoSuchChunk { exchange: self.blob.exchange, index, chunks };
        self.outline.chunks.get(index as usize).copied().ok_or(no_such)
    }

    /// Writes a verified chunk to all its places.
    fn place(&self, index: u32, hash: &Hash, bytes: &[u8]) -> io::Result<()> {
        let alone = [index];
        for place in self.twins.get(hash).map_or(&alone[..], Vec::as_slice) {
            let at = *place as usize;
            if !self.have()[at] {
                self.file.write_all_at(bytes, self.offsets[at])?;
                self.have()[at] = true;
            }
        }
        Ok(())
    }

    /// Hashes every chunk anew; says how many are wrong now.
    fn check_again(&self) -> u32 {
        let mut missing = 0;
        for (i, (hash, length)) in self.outline.chunks.iter().enumerate() {
            let mut bytes = vec![0; *length as usize];
            let right =
                self.file.read_exact_at(&mut bytes, self.offsets[i]).is_ok() && Hash::of(&bytes) == *hash;
            self.have()[i] = right;
            missing += u32::from(!right);
        }
        missing
    }
}
