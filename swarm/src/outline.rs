//! Outlines: how a blob is cut into chunks, and the names that follow from it.
//!
//! An [`Outline`] is the list of (hash, length) of a blob's chunks as FastCDC cuts them; its *exchange id* is
//! the SHA-256 of its encoding. A [`BlobRef`] carries the blob's own hash, the exchange id and the size, and
//! is what signed statements name. So every chunk is checked when it arrives and a liar is known at once.
//!
//! An outline from a peer is taken only by [`Outline::decode`], which refuses whatever FastCDC could not have
//! made in size: empty chunks, tiny ones before the last, more bytes than promised. This module cannot tell
//! whether an outline was cut at the right places (that needs the bytes); the blob's own hash decides at the
//! end. It never reads a file.

use fastcdc::v2020::FastCDC;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use vigo_base::Hash;
use vigo_base::codec::{self, BadBytes};
use vigo_base::hash::Hasher;
use vigo_base::limits::{CHUNK_AVERAGE, CHUNK_MAX, CHUNK_MIN, OUTLINE_BYTES};

/// What a signed statement names when it means a blob.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
pub struct BlobRef {
    /// The SHA-256 of the blob's bytes.
    #[n(0)]
    pub hash: Hash,
    /// The SHA-256 of its encoded outline.
    #[n(1)]
    pub exchange: Hash,
    /// Its size in bytes.
    #[n(2)]
    pub size: u64,
}

/// The chunks of a blob, in order: hash and length in bytes of each. A blob of no bytes has no chunks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct Outline {
    /// Hash and length in bytes of each chunk.
    #[n(0)]
    pub chunks: Vec<(Hash, u32)>,
}

/// Why an outline was not taken. All of these the sender must have known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOutline {
    /// No outline at all.
    #[error("not an outline: {0}")]
    Bytes(#[from] BadBytes),
    /// A chunk has a length that no cut gives.
    #[error("chunk {index} has {found} bytes, where {least} to {most} are possible")]
    ChunkLength {
        /// Which chunk, from 0.
        index: usize,
        /// The length it claims.
        found: u32,
        /// The shortest possible there.
        least: u32,
        /// The longest possible.
        most: u32,
    },
    /// The outline is not the one the reference names.
    #[error("an outline with exchange id {found} where {expected} was asked for")]
    Exchange {
        /// The exchange id of what came.
        found: Hash,
        /// The one that was asked for.
        expected: Hash,
    },
    /// The chunks do not add up.
    #[error("chunks of {found} bytes together, where the blob has {expected}")]
    Size {
        /// What the chunks add up to.
        found: u64,
        /// What the reference says.
        expected: u64,
    },
}

impl Outline {
    /// The outline of `bytes`.
    pub fn of(bytes: &[u8]) -> Outline {
        let mut cutter = Cutter::new();
        cutter.update(bytes);
        cutter.finish().0
    }

    /// The outline of a blob that is a single chunk: it follows from the blob's hash and size alone.
    pub fn of_one_chunk(hash: Hash, size: u32) -> Outline {
        Outline { chunks: if size == 0 { Vec::new() } else { vec![(hash, size)] } }
    }

    /// Its canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Its exchange id.
    pub fn exchange(&self) -> Hash {
        Hash::of(&self.encode())
    }

    /// Bytes of the whole blob; stops at the largest number.
    pub fn size(&self) -> u64 {
        self.chunks.iter().fold(0, |sum, (_, length)| sum.saturating_add(u64::from(*length)))
    }

    /// Where each chunk begins in the blob, in bytes.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.chunks.iter().scan(0u64, |next, (_, length)| {
            let at = *next;
            *next = next.saturating_add(u64::from(*length));
            Some(at)
        })
    }

    /// Reads an outline and checks that it is possible.
    ///
    /// # Errors
    /// [`BadOutline::Bytes`] over [`OUTLINE_BYTES`] or not canonical, [`BadOutline::ChunkLength`].
    pub fn decode(bytes: &[u8]) -> Result<Outline, BadOutline> {
        let outline: Outline = codec::decode(bytes, OUTLINE_BYTES)?;
        outline.validate()?;
        Ok(outline)
    }

    /// Reads the outline that `blob` names, and no other.
    ///
    /// # Errors
    /// As [`Outline::decode`] and [`Outline::check`].
    pub fn decode_for(blob: &BlobRef, bytes: &[u8]) -> Result<Outline, BadOutline> {
        let found = Hash::of(bytes);
        if found != blob.exchange {
            return Err(BadOutline::Exchange { found, expected: blob.exchange });
        }
        let outline = Outline::decode(bytes)?;
        outline.check(blob)?;
        Ok(outline)
    }

    /// Whether this is the outline that `blob` names.
    ///
    /// # Errors
    /// [`BadOutline::ChunkLength`], [`BadOutline::Exchange`], [`BadOutline::Size`].
    pub fn check(&self, blob: &BlobRef) -> Result<(), BadOutline> {
        self.validate()?;
        let (found, expected) = (self.exchange(), blob.exchange);
        if found != expected {
            return Err(BadOutline::Exchange { found, expected });
        }
        let (found, expected) = (self.size(), blob.size);
        if found != expected {
            return Err(BadOutline::Size { found, expected });
        }
        Ok(())
    }

    /// Every chunk has a length that FastCDC can give there; so no outline has more chunks than its size
    /// divided by the smallest, and the sum cannot overflow.
    fn validate(&self) -> Result<(), BadOutline> {
        let last = self.chunks.len().saturating_sub(1);
        let most = CHUNK_MAX as u32;
        for (index, (_, found)) in self.chunks.iter().enumerate() {
            let least = if index == last { 1 } else { CHUNK_MIN as u32 };
            if !(least..=most).contains(found) {
                return Err(BadOutline::ChunkLength { index, found: *found, least, most });
            }
        }
        Ok(())
    }
}

impl BlobRef {
    /// The reference to `bytes`.
    pub fn of(bytes: &[u8]) -> BlobRef {
        let mut cutter = Cutter::new();
        cutter.update(bytes);
        cutter.finish().1
    }

    /// The outline, if the blob is a single chunk (or empty): then nobody needs to be asked for it.
    pub fn derived_outline(&self) -> Option<Outline> {
        let size = u32::try_from(self.size).ok().filter(|size| *size <= CHUNK_MAX as u32)?;
        let outline = Outline::of_one_chunk(self.hash, size);
        (outline.exchange() == self.exchange).then_some(outline)
    }
}

/// Cuts bytes that come in pieces. However they are split up, the outline is the same.
pub struct Cutter {
    /// Bytes not yet cut, fewer than [`CHUNK_MAX`] between calls.
    rest: Vec<u8>,
    chunks: Vec<(Hash, u32)>,
    whole: Hasher,
    size: u64,
}

impl Cutter {
    /// A cutter at the start of a blob.
    pub fn new() -> Cutter {
        Cutter { rest: Vec::new(), chunks: Vec::new(), whole: Hasher::default(), size: 0 }
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        for part in piece.chunks(CHUNK_MAX) {
            self.whole.update(part);
            self.size += part.len() as u64;
            self.rest.extend_from_slice(part);
            if self.rest.len() >= CHUNK_MAX {
                self.cut(CHUNK_MAX);
            }
        }
    }

    /// The outline and the reference of all that was taken.
    pub fn finish(mut self) -> (Outline, BlobRef) {
        self.cut(1);
        let outline = Outline { chunks: self.chunks };
        let blob = BlobRef { hash: self.whole.finish(), exchange: outline.exchange(), size: self.size };
        (outline, blob)
    }

    /// Cuts chunks off the front while at least `least` bytes are there. Where a cut falls depends on the
    /// next [`CHUNK_MAX`] bytes only.
    fn cut(&mut self, least: usize) {
        let chunker = FastCDC::new(&self.rest, CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX);
        let mut start = 0;
        while self.rest.len() - start >= least {
            let (_, end) = chunker.cut(start, self.rest.len() - start);
            let chunk = &self.rest[start..end];
            self.chunks.push((Hash::of(chunk), chunk.len() as u32));
            start = end;
        }
        self.rest.drain(..start);
    }
}

impl Default for Cutter {
    fn default() -> Cutter {
        Cutter::new()
    }
}

impl std::fmt::Debug for Cutter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cutter({} bytes, {} chunks)", self.size, self.chunks.len())
    }
}

impl std::fmt::Display for BlobRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "blob {} ({} bytes)", self.hash.short(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::Dice;

    fn noise(seed: u64, size: usize) -> Vec<u8> {
        let mut dice = Dice::from_number(seed);
        let mut out = Vec::with_capacity(size + 32);
        while out.len() < size {
            out.extend_from_slice(&dice.bytes());
        }
        out.truncate(size);
        out
    }

    #[test]
    fn pieces_and_the_whole_are_cut_alike_and_as_fastcdc_cuts() {
        for size in [0, 1, CHUNK_MIN, CHUNK_MIN + 1, CHUNK_MAX, CHUNK_MAX + 1, 3_000_001] {
            let bytes = noise(size as u64, size);
            let reference: Vec<_> = FastCDC::new(&bytes, CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX)
                .map(|c| (Hash::of(&bytes[c.offset..c.offset + c.length]), c.length as u32))
                .collect();
            let outline = Outline::of(&bytes);
            assert_eq!(outline.chunks, reference, "{size}");
            let mut dice = Dice::from_number(7);
            let mut cutter = Cutter::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + dice.below(rest.len().min(400_000) as u64) as usize);
                cutter.update(piece);
                rest = after;
            }
            let (pieced, blob) = cutter.finish();
            assert_eq!(pieced, outline);
            assert_eq!(blob, BlobRef::of(&bytes));
            assert_eq!((blob.hash, blob.size), (Hash::of(&bytes), size as u64));
            assert_eq!(Outline::decode_for(&blob, &outline.encode()), Ok(outline.clone()));
            assert_eq!(blob.derived_outline().is_some(), outline.chunks.len() < 2);
            assert_eq!(
                outline.offsets().last().map_or(0, |o| o + u64::from(reference.last().unwrap().1)),
                size as u64
            );
        }
    }

    #[test]
    fn the_cuts_never_change() {
        // The format of the fleet: if these move, every stored outline and every exchange id is void.
        let blob = BlobRef::of(&noise(1, 1_000_000));
        assert_eq!(blob.exchange.short(), "59c857b0fa0b");
        assert_eq!(BlobRef::of(b"").exchange, Hash::of(&[0x81, 0x80]));
    }

    #[test]
    fn impossible_outlines_are_refused() {
        let refuse = |chunks: Vec<(Hash, u32)>| {
            let bytes = Outline { chunks }.encode();
            assert!(Outline::decode(&bytes).is_err(), "{} bytes taken", bytes.len());
        };
        let hash = Hash::of(b"x");
        refuse(vec![(hash, 0)]);
        refuse(vec![(hash, CHUNK_MAX as u32 + 1)]);
        refuse(vec![(hash, 1), (hash, 1)]);
        refuse(vec![(hash, 0); 10_000_000 / 8]);
        refuse(vec![(hash, CHUNK_MIN as u32); OUTLINE_BYTES / 30]);
        refuse(vec![(hash, u32::MAX); 4]);
        assert!(Outline::decode(&[0x81, 0x9b, 0, 0, 1, 0, 0, 0, 0, 0]).is_err(), "2^40 promised chunks");
        assert!(Outline::decode(&[0x81, 0x9f, 0xff]).is_err(), "another spelling of no chunks");
        assert!(
            Outline::decode(&Outline { chunks: vec![(hash, CHUNK_MIN as u32), (hash, 1)] }.encode()).is_ok()
        );
    }

    #[test]
    fn an_outline_of_another_blob_is_refused() {
        let (one, other) = (noise(1, 500_000), noise(2, 500_000));
        let blob = BlobRef::of(&one);
        assert!(matches!(
            Outline::decode_for(&blob, &Outline::of(&other).encode()),
            Err(BadOutline::Exchange { .. })
        ));
        let lied = BlobRef { size: blob.size + 1, ..blob };
        assert!(matches!(Outline::of(&one).check(&lied), Err(BadOutline::Size { .. })));
    }
}
