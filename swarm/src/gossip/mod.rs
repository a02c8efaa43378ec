//! Gossip: the envelope that small records travel in, who is linked with whom, and how much is passed on.
//!
//! A **link** is a connection on the gossip plane. It stands only beside a member session on the peer channel: the
//! papers shown there are what makes its key somebody's. [`Links`] decides which to dial and which to cut.
//! Gossip makes things fast and nothing else: whatever it loses, reconciliation brings.
//!
//! This module sends nothing and judges no record; `node` does the latter, the driver the former.

mod links;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use vigo_base::codec::{self, BadBytes};
use vigo_base::time::Micros;
use vigo_base::{Time, limits};

pub use links::{Act, Links, Why};

/// One connection on the gossip plane. The driver numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkId(pub u64);

/// One message that waits for this node's verdict. The driver numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub u64);

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is new and good: pass it on.
    Accept,
    /// Whoever sent it must have known that it is wrong: drop it, and think less of the sender.
    Reject,
    /// Neither: drop it.
    Ignore,
}

/// The version of [`Envelope`]. A later one is not understood here, and is nobody's fault.
pub const VERSION: u16 = 1;

/// What travels on the topic: one encoded record behind a version. These two fields keep their places for ever; a
/// later version may add others behind them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Envelope {
    /// [`VERSION`].
    #[n(0)]
    pub version: u16,
    /// The encoded record, at most [`limits::GOSSIP_RECORD_BYTES`].
    #[n(1)]
    pub record: ByteVec,
}

/// What a message turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// A record, to be judged.
    Record(Vec<u8>),
    /// Something of a later version.
    Later(u16),
}

/// The message that carries a record; none if the record is too large to be gossiped. The same record always makes
/// the same message, so that one is not carried twice whoever says it.
pub fn seal(record: &[u8]) -> Option<Vec<u8>> {
    let fits = record.len() <= limits::GOSSIP_RECORD_BYTES;
    fits.then(|| codec::encode(&Envelope { version: VERSION, record: ByteVec::from(record.to_vec()) }))
}

/// Opens a message.
///
/// # Errors
/// [`BadBytes`] if it is too large, or no envelope, or spelled in another way than [`seal`] spells it: the sender's
/// fault.
pub fn open(message: &[u8]) -> Result<Opened, BadBytes> {
    if message.len() > limits::GOSSIP_BYTES {
        return Err(BadBytes::TooLarge { found: message.len(), limit: limits::GOSSIP_BYTES });
    }
    // The version first: what stands behind the two frozen fields is not ours to judge.
    let mut decoder = minicbor::Decoder::new(message);
    let malformed = |e: minicbor::decode::Error| BadBytes::Malformed(e.to_string());
    let fields = decoder.array().map_err(malformed)?;
    let version = decoder.u16().map_err(malformed)?;
    if version > VERSION && fields.is_some_and(|n| n >= 2) {
        return Ok(Opened::Later(version));
    }
    let envelope: Envelope = codec::decode(message, limits::GOSSIP_BYTES)?;
    if envelope.version != VERSION {
        return Err(BadBytes::Malformed(format!("a message of version {}", envelope.version)));
    }
    if envelope.record.len() > limits::GOSSIP_RECORD_BYTES {
        return Err(BadBytes::TooLarge { found: envelope.record.len(), limit: limits::GOSSIP_RECORD_BYTES });
    }
    Ok(Opened::Record(envelope.record.into()))
}

/// So many at once, and so many a second on the long run.
#[derive(Debug, Clone)]
pub struct Bucket {
    most: u64,
    rate: u64,
    /// In millionths.
    level: u64,
    at: Time,
}

impl Bucket {
    /// A full bucket: `most` at once, `rate` a second.
    pub fn new(most: u64, rate: u64) -> Bucket {
        Bucket { most, rate, level: most * 1_000_000, at: Time(0) }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Time) -> bool {
        let passed: Micros = now.since(self.at);
        self.at = self.at.max(now);
        self.level = self.level.saturating_add(passed.saturating_mul(self.rate)).min(self.most * 1_000_000);
        let enough = self.level >= 1_000_000;
        if enough {
            self.level -= 1_000_000;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::time::secs;

    #[test]
    fn a_record_comes_out_as_it_went_in_and_nothing_else_does() {
        let record = vec![7; 300];
        let message = seal(&record).unwrap();
        assert_eq!(open(&message), Ok(Opened::Record(record)));
        for cut in 0..message.len() {
            assert!(open(&message[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = message.clone();
        longer.push(0);
        assert_eq!(open(&longer), Err(BadBytes::NotCanonical));
        assert!(open(b"garbage").is_err());
        assert!(open(&[]).is_err());
    }

    #[test]
    fn sizes_are_bounded_on_both_sides() {
        let largest = vec![1; limits::GOSSIP_RECORD_BYTES];
        let message = seal(&largest).unwrap();
        assert!(message.len() <= limits::GOSSIP_BYTES);
        assert_eq!(open(&message), Ok(Opened::Record(largest)));
        assert_eq!(seal(&vec![1; limits::GOSSIP_RECORD_BYTES + 1]), None);
        let forged = Envelope { version: VERSION, record: ByteVec::from(vec![1; 4097]) };
        assert!(matches!(open(&codec::encode(&forged)), Err(BadBytes::TooLarge { found: 4097, .. })));
        assert!(matches!(open(&vec![0; limits::GOSSIP_BYTES + 1]), Err(BadBytes::TooLarge { .. })));
    }

    #[test]
    fn a_later_version_is_nobodys_fault_and_an_earlier_one_is() {
        let later = codec::encode(&(2u16, ByteVec::from(vec![1]), "more".to_string()));
        assert_eq!(open(&later), Ok(Opened::Later(2)));
        let earlier = codec::encode(&Envelope { version: 0, record: ByteVec::from(vec![1]) });
        assert!(open(&earlier).is_err());
        let alone = codec::encode(&(2u16,));
        assert!(open(&alone).is_err(), "the record's place is frozen, too");
    }

    #[test]
    fn a_bucket_gives_what_it_has_and_fills_again() {
        let mut bucket = Bucket::new(4, 2);
        let begin = Time(secs(1_000));
        assert_eq!((0..10).filter(|_| bucket.take(begin)).count(), 4);
        assert_eq!((0..10).filter(|_| bucket.take(begin.after(secs(1)))).count(), 2);
        assert_eq!((0..10).filter(|_| bucket.take(begin)).count(), 0, "a clock that went back gives nothing");
        assert_eq!((0..10).filter(|_| bucket.take(begin.after(secs(3_600)))).count(), 4);
    }
}
