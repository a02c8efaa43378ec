//! The record: the one thing that is stored, gossiped and reconciled.
//!
//! The envelope is frozen, so that a node of any later version can store, count and pass on kinds it does not
//! know. All numbers are big-endian:
//!
//! ```text
//! version 1 | space length 1 | space | author 32 | seq 8 | kind 2 | length 4 | stamp 8 | payload | signature 64
//! ```
//!
//! `length` counts stamp and payload. The signature covers the domain tag, the fleet's id and everything before
//! it. The id is the SHA-256 of all of it. There is one encoding of a record: fixed widths, no options.
//!
//! Types keep the stages apart: [`Unverified`] has an envelope that parses; a [`Record`] has a signature that
//! holds, and there is no other way to get one.

use std::fmt;
use std::sync::Arc;

use vigo_base::{
    BadSignature, Domain, Hash, PublicKey, SecretKey, Signature, SpannerId, Stamp, limits, planted,
};

use crate::space::Space;

/// The version of the envelope.
const VERSION: u8 = 1;
/// Bytes of an envelope besides the space's name and the payload.
const FIXED: usize = 1 + 1 + 32 + 8 + 2 + 4 + 8 + 64;
const SIGNATURE: usize = 64;

/// Why bytes are no record. The sender must have known: it is its fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// More bytes than a record may have.
    #[error("a record of {found} bytes, at most {limit} are allowed", limit = limits::RECORD_BYTES)]
    TooLarge {
        /// How many bytes there are.
        found: usize,
    },
    /// The bytes do not follow the envelope.
    #[error("malformed record: {0}")]
    Malformed(&'static str),
    /// The author's key or the signature is not good.
    #[error("record by {author}: {why}", author = hex(.author))]
    Signature {
        /// The bytes of the author's key.
        author: [u8; 32],
        /// What is wrong.
        why: BadSignature,
    },
}

fn hex(bytes: &[u8; 32]) -> String {
    Hash(*bytes).short()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    space: Space,
    seq: u64,
    kind: u16,
    stamp: Stamp,
    /// Where the payload begins in the encoded bytes.
    payload_at: usize,
    id: Hash,
    bytes: Arc<[u8]>,
}

/// Bytes that follow the envelope, with an author and a signature that nobody has looked at.
#[derive(Debug, Clone)]
pub struct Unverified {
    author: [u8; 32],
    parts: Parts,
}

/// A record whose signature holds. One pointer: all that hold the same record share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Arc<Body>);

#[derive(PartialEq, Eq)]
struct Body {
    author: PublicKey,
    parts: Parts,
}

impl Unverified {
    /// Reads the envelope. Checks sizes and the encoding, not the signature.
    ///
    /// # Errors
    /// [`BadRecord`] for bytes that are not the encoding of a record.
    pub fn decode(bytes: &[u8]) -> Result<Unverified, BadRecord> {
        if bytes.len() > limits::RECORD_BYTES {
            return Err(BadRecord::TooLarge { found: bytes.len() });
        }
        let mut rest = bytes;
        let [version] = take::<1>(&mut rest)?;
        if version != VERSION {
            return Err(BadRecord::Malformed("unknown version of the envelope"));
        }
        let [space_len] = take::<1>(&mut rest)?;
        let space = rest.split_off(..usize::from(space_len)).ok_or(BadRecord::Malformed("cut short"))?;
        let space = std::str::from_utf8(space).ok().and_then(|s| s.parse().ok());
        let space = space.ok_or(BadRecord::Malformed("not a space"))?;
        let author = take::<32>(&mut rest)?;
        let seq = u64::from_be_bytes(take(&mut rest)?);
        let kind = u16::from_be_bytes(take(&mut rest)?);
        let length = u32::from_be_bytes(take(&mut rest)?) as usize;
        if length.checked_add(SIGNATURE) != Some(rest.len()) || length < 8 {
            return Err(BadRecord::Malformed("the length does not fit"));
        }
        if seq == 0 {
            return Err(BadRecord::Malformed("sequences begin at 1"));
        }
        let stamp = Stamp(u64::from_be_bytes(take(&mut rest)?));
        let payload_at = bytes.len() - rest.len();
        let id = Hash::of(bytes);
        let parts = Parts { space, seq, kind, stamp, payload_at, id, bytes: bytes.into() };
        Ok(Unverified { author, parts })
    }

    /// The id the record has if its signature holds.
    pub fn id(&self) -> Hash {
        self.parts.id
    }

    /// Under what a [`crate::Replica`] would file it: the own id of a statement or a proof, or the record's.
    pub fn key(&self) -> Hash {
        let parts = &self.parts;
        if [crate::statement::STATEMENT, crate::statement::PROOF].contains(&parts.kind) {
            Hash::of(&parts.bytes[parts.payload_at..parts.bytes.len() - SIGNATURE])
        } else {
            parts.id
        }
    }

    /// The sequence it claims to have.
    pub fn seq(&self) -> u64 {
        self.parts.seq
    }

    /// The space it claims to be of.
    pub fn space(&self) -> &Space {
        &self.parts.space
    }

    /// Checks the author's key and the signature.
    ///
    /// # Errors
    /// [`BadRecord::Signature`] if they do not hold for this fleet.
    pub fn verify(self, spanner: &SpannerId) -> Result<Record, BadRecord> {
        let Unverified { author, parts } = self;
        let at = parts.bytes.len() - SIGNATURE;
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(&parts.bytes[at..]);
        let message = &parts.bytes[..at];
        let checked = match planted!(1) {
            true => PublicKey::from_bytes(author),
            false => PublicKey::that_signed(author, Domain::Record, spanner, message, &Signature(signature)),
        };
        match checked {
            Ok(author) => Ok(Record::of(author, parts)),
            Err(why) => Err(BadRecord::Signature { author, why }),
        }
    }

    /// Takes a record from our own store without checking its signature again: the store checks the id.
    ///
    /// # Errors
    /// [`BadRecord::Signature`] if the author's key is none that may sign.
    pub fn trusted(self) -> Result<Record, BadRecord> {
        let Unverified { author, parts } = self;
        let key = PublicKey::from_bytes(author).map_err(|why| BadRecord::Signature { author, why })?;
        Ok(Record::of(key, parts))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BadRecord> {
    match rest.split_first_chunk::<N>() {
        Some((head, tail)) => {
            *rest = tail;
            Ok(*head)
        }
        None => Err(BadRecord::Malformed("cut short")),
    }
}

impl Record {
    fn of(author: PublicKey, parts: Parts) -> Record {
        Record(Arc::new(Body { author, parts }))
    }

    /// Makes and signs a record.
    ///
    /// # Errors
    /// [`BadRecord`] if the payload is too large or `seq` is 0.
    #[allow(clippy::too_many_arguments, reason = "one for each field of the envelope")]
    pub fn sign(
        key: &SecretKey,
        spanner: &SpannerId,
        space: Space,
        seq: u64,
        kind: u16,
        stamp: Stamp,
        payload: Vec<u8>,
    ) -> Result<Record, BadRecord> {
        let size = FIXED + space.as_str().len() + payload.len();
        if size > limits::RECORD_BYTES {
            return Err(BadRecord::TooLarge { found: size });
        }
        if seq == 0 {
            return Err(BadRecord::Malformed("sequences begin at 1"));
        }
        let author = key.public();
        let mut bytes = Vec::with_capacity(size);
        bytes.push(VERSION);
        bytes.push(space.as_str().len() as u8);
        bytes.extend_from_slice(space.as_str().as_bytes());
        bytes.extend_from_slice(author.as_bytes());
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&((payload.len() + 8) as u32).to_be_bytes());
        bytes.extend_from_slice(&stamp.0.to_be_bytes());
        let payload_at = bytes.len();
        bytes.extend_from_slice(&payload);
        let signature = key.sign(Domain::Record, spanner, &bytes);
        bytes.extend_from_slice(&signature.0);
        let id = Hash::of(&bytes);
        let parts = Parts { space, seq, kind, stamp, payload_at, id, bytes: bytes.into() };
        Ok(Record::of(author, parts))
    }

    /// SHA-256 of the encoded record.
    pub fn id(&self) -> Hash {
        self.0.parts.id
    }

    /// The space it is of.
    pub fn space(&self) -> &Space {
        &self.0.parts.space
    }

    /// The node that signed it.
    pub fn author(&self) -> PublicKey {
        self.0.author
    }

    /// Its place among the author's records of this space, from 1.
    pub fn seq(&self) -> u64 {
        self.0.parts.seq
    }

    /// What the payload is; each space has its own kinds.
    pub fn kind(&self) -> u16 {
        self.0.parts.kind
    }

    /// When the author says it was made. Decides nothing.
    pub fn stamp(&self) -> Stamp {
        self.0.parts.stamp
    }

    /// What it says.
    pub fn payload(&self) -> &[u8] {
        &self.0.parts.bytes[self.0.parts.payload_at..self.0.parts.bytes.len() - SIGNATURE]
    }

    /// The encoded record with its signature.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.0.parts.bytes
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { space, seq, kind, id, .. } = &self.0.parts;
        write!(f, "Record({space} {:?}#{seq} kind {kind} {id:?})", self.0.author)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed([1; 32])
    }

    fn fleet() -> SpannerId {
        SpannerId(Hash::of(b"fleet"))
    }

    fn record() -> Record {
        Record::sign(&key(), &fleet(), Space::status(), 7, 3, Stamp(5), b"payload".to_vec()).unwrap()
    }

    #[test]
    fn a_record_survives_the_wire() {
        let r = record();
        let back = Unverified::decode(r.bytes()).unwrap().verify(&fleet()).unwrap();
        assert_eq!(back, r);
        assert_eq!(
            (back.seq(), back.kind(), back.stamp(), back.payload()),
            (7, 3, Stamp(5), &b"payload"[..])
        );
        assert_eq!(r.bytes().len(), FIXED + "status".len() + "payload".len());
        const { assert!(FIXED + crate::space::SPACE_BYTES <= 250, "the envelope stays small") };
    }

    #[test]
    fn another_fleet_does_not_believe_it() {
        let other = SpannerId(Hash::of(b"other"));
        let refused = Unverified::decode(record().bytes()).unwrap().verify(&other);
        assert!(matches!(refused, Err(BadRecord::Signature { why: BadSignature::Mismatch, .. })));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = record().bytes().to_vec();
        for i in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[i / 8] ^= 1 << (i % 8);
            assert!(Unverified::decode(&bent).and_then(|u| u.verify(&fleet())).is_err(), "bit {i}");
        }
        for n in 0..bytes.len() {
            assert!(Unverified::decode(&bytes[..n]).is_err(), "cut to {n}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(Unverified::decode(&longer).is_err());
    }

    #[test]
    fn what_is_too_large_or_has_no_sequence_cannot_be_made() {
        let sign = |seq, n| Record::sign(&key(), &fleet(), Space::status(), seq, 3, Stamp(5), vec![0; n]);
        assert!(sign(1, limits::PAYLOAD_BYTES).is_ok());
        assert!(matches!(sign(1, limits::RECORD_BYTES), Err(BadRecord::TooLarge { .. })));
        assert!(sign(0, 1).is_err());
        assert!(Unverified::decode(&vec![1; limits::RECORD_BYTES + 1]).is_err());
    }
}
