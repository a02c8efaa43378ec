//! The sealed frame around every stored value.
//!
//! A frame is `magic, kind, length, sum, body`; the sum is a SHA-256 over a secret of this node and all the
//! rest. So a value names its own rot, and [`scan`] can find the values of a broken file without trusting
//! anything that redb wrote around them. A peer that packs a whole frame into a record's payload gains
//! nothing: it does not know the secret. This module never hands out a body whose sum is wrong.

use vigo_base::Hash;

use super::Seal;

const MAGIC: [u8; 4] = *b"VGF1";
const SUM: usize = 16;
/// Bytes before the body.
pub(super) const HEAD: usize = MAGIC.len() + 1 + 4 + SUM;
/// Bytes of the longest frame.
pub(super) const FRAME_BYTES: usize = HEAD + BODY_BYTES;
/// Bytes of the longest body: the largest meta entry is larger than the largest record.
const BODY_BYTES: usize = 8 + 2 + super::META_KEY_BYTES + super::META_VALUE_BYTES;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record's bytes.
    Record = 1,
    /// A [`MetaEntry`].
    Meta = 2,
    /// The ledger of the whole store.
    Ledger = 3,
    /// The witness beside the store.
    Witness = 4,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Record, Kind::Meta, Kind::Ledger, Kind::Witness].into_iter().find(|k| *k as u8 == byte)
    }
}

/// `body` in its frame. The caller keeps bodies under the limits.
pub(super) fn wrap(seal: &Seal, kind: Kind, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_le_bytes();
    let mut out = Vec::with_capacity(HEAD + body.len());
    out.extend_from_slice(&MAGIC);
    out.push(kind as u8);
    out.extend_from_slice(&length);
    out.extend_from_slice(&sum(seal, kind, &length, body));
    out.extend_from_slice(body);
    out
}

/// The body of the frame that is all of `bytes`, if it is one of that kind and whole.
pub(super) fn unwrap<'b>(seal: &Seal, kind: Kind, bytes: &'b [u8]) -> Option<&'b [u8]> {
    let (found, body) = head(seal, bytes)?;
    (found == kind && bytes.len() == HEAD + body.len()).then_some(body)
}

/// Every whole frame in `bytes` in order, skipping what lies inside one; stops `margin` bytes before the end
/// unless that is 0. Returns how many bytes are done with.
pub(super) fn scan(seal: &Seal, bytes: &[u8], margin: usize, mut take: impl FnMut(Kind, &[u8])) -> usize {
    let end = bytes.len().saturating_sub(margin);
    let mut at = 0;
    while at < end {
        match bytes[at..].iter().position(|b| *b == MAGIC[0]) {
            Some(skip) => at += skip,
            None => return bytes.len(),
        }
        if at >= end {
            break;
        }
        match head(seal, &bytes[at..]) {
            Some((kind, body)) => {
                take(kind, body);
                at += HEAD + body.len();
            }
            None => at += 1,
        }
    }
    at
}

/// One meta entry as it is stored: the commit that wrote it, its key, its value.
pub(super) struct MetaEntry {
    /// The number of the commit, so that of two copies the newer is known.
    pub(super) commit: u64,
    /// The key.
    pub(super) key: String,
    /// The value.
    pub(super) value: Vec<u8>,
}

impl MetaEntry {
    /// The body of its frame.
    pub(super) fn body(commit: u64, key: &str, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(10 + key.len() + value.len());
        out.extend_from_slice(&commit.to_le_bytes());
        out.extend_from_slice(&(key.len() as u16).to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value);
        out
    }

    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Option<MetaEntry> {
        let (commit, rest) = body.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (key, value) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let key = std::str::from_utf8(key).ok()?.to_string();
        Some(MetaEntry { commit: u64::from_le_bytes(*commit), key, value: value.to_vec() })
    }
}

/// What the store must hold: how many commits, how many records, and the XOR of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ledger {
    /// Commits so far.
    pub(super) commit: u64,
    /// Records now.
    pub(super) records: u64,
    /// All ids, XORed.
    pub(super) ids: [u8; 32],
}

impl Ledger {
    /// Adds or takes away one id.
    pub(super) fn toggle(&mut self, id: &[u8; 32]) {
        for (mine, theirs) in self.ids.iter_mut().zip(id) {
            *mine ^= theirs;
        }
    }

    /// The body of its frame.
    pub(super) fn body(&self) -> Vec<u8> {
        [&self.commit.to_le_bytes()[..], &self.records.to_le_bytes(), &self.ids].concat()
    }

    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Option<Ledger> {
        let (commit, rest) = body.split_first_chunk::<8>()?;
        let (records, rest) = rest.split_first_chunk::<8>()?;
        Some(Ledger {
            commit: u64::from_le_bytes(*commit),
            records: u64::from_le_bytes(*records),
            ids: rest.try_into().ok()?,
        })
    }
}

/// The frame at the start of `bytes`, if it is whole.
fn head<'b>(seal: &Seal, bytes: &'b [u8]) -> Option<(Kind, &'b [u8])> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (kind, rest) = rest.split_first()?;
    let kind = Kind::from_byte(*kind)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (found, rest) = rest.split_first_chunk::<SUM>()?;
    let size = u32::from_le_bytes(*length) as usize;
    if size > BODY_BYTES {
        return None;
    }
    let body = rest.get(..size)?;
    (sum(seal, kind, length, body) == *found).then_some((kind, body))
}

fn sum(seal: &Seal, kind: Kind, length: &[u8; 4], body: &[u8]) -> [u8; SUM] {
    let hash = Hash::of_parts(&[&seal.0.0, &[kind as u8], length, body]);
    let mut out = [0; SUM];
    out.copy_from_slice(&hash.0[..SUM]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_with_one_bit_wrong_is_none() {
        let seal = Seal::new(b"a secret");
        let frame = wrap(&seal, Kind::Record, b"some bytes");
        assert_eq!(unwrap(&seal, Kind::Record, &frame), Some(&b"some bytes"[..]));
        assert_eq!(unwrap(&seal, Kind::Meta, &frame), None);
        assert_eq!(unwrap(&Seal::new(b"another"), Kind::Record, &frame), None);
        for at in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(unwrap(&seal, Kind::Record, &bad), None, "bit {at}");
        }
    }

    #[test]
    fn a_scan_finds_frames_among_noise_and_not_inside_frames() {
        let seal = Seal::new(b"a secret");
        let inner = wrap(&seal, Kind::Record, b"inner");
        let outer = wrap(&seal, Kind::Record, &inner);
        let bytes = [b"VGVGF1".as_slice(), &outer, b"VGF", &wrap(&seal, Kind::Meta, b"")].concat();
        let mut found = Vec::new();
        scan(&seal, &bytes, 0, |kind, body| found.push((kind, body.to_vec())));
        assert_eq!(found, [(Kind::Record, inner), (Kind::Meta, Vec::new())]);
    }

    #[test]
    fn a_frame_packed_by_a_stranger_is_not_found() {
        let ours = Seal::new(b"ours");
        let forged = wrap(&Seal::new(b"a guess"), Kind::Meta, &MetaEntry::body(99, "floor", b"0"));
        scan(&ours, &forged, 0, |kind, _| panic!("took a forged {kind:?}"));
    }
}
