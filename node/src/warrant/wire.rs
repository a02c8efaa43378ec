//! What a peer process and its applier say to each other: plain data in frames of bounded length.
//!
//! A frame is its length (four bytes, big-endian, of what follows), a kind, and a body. The peer asks, the applier
//! answers, one at a time:
//!
//! | asked | body | answered | body |
//! |---|---|---|---|
//! | `Hello` | [`GREETING`] | `Hello` | the same |
//! | `Known` | | `Known` | the ids of the statements held |
//! | `Tell` | a space, then length and bytes of each statement | `Told` | a tally |
//! | `Traits` | | `Traits` | JSON |
//! | `Converge` | publish, dry run or not, length of the route table | `Go`, or `Refused` with why | |
//! | `Bytes` twice after `Go`: route table, policy | raw | `Ran`, `Refused` or `Later` | a report as JSON, or why |
//!
//! This module only spells: it waits for nothing, and reserves nothing for a length that was only claimed.

use vigo_base::{Hash, limits};
use vigo_content::config::Epoch;
use vigo_crdt::Space;

use super::STATEMENTS;

/// What both say first: a program that says something else is of another version.
pub const GREETING: &[u8] = b"vigo applier 1";
/// Bytes of one frame of statements.
pub const TELL_BYTES: usize = 1 << 20;
/// Bytes of a report or of traits.
pub const REPORT_BYTES: usize = 32 << 20;

/// What became of statements that were told together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// They are held from now on, and durable.
    pub new: u32,
    /// They were held.
    pub known: u32,
    /// They hang on nothing that is held.
    pub early: u32,
    /// There was no room.
    pub full: u32,
    /// They are no statements of this fleet.
    pub bad: u32,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table above says what each is")]
pub enum Kind {
    Hello = 1,
    Known = 2,
    Tell = 3,
    Traits = 4,
    Converge = 5,
    Bytes = 6,
    Told = 7,
    Go = 8,
    Ran = 9,
    Refused = 10,
    Later = 11,
    Bad = 12,
}

impl Kind {
    const ALL: [Kind; 12] = [
        Kind::Hello,
        Kind::Known,
        Kind::Tell,
        Kind::Traits,
        Kind::Converge,
        Kind::Bytes,
        Kind::Told,
        Kind::Go,
        Kind::Ran,
        Kind::Refused,
        Kind::Later,
        Kind::Bad,
    ];

    /// Reads the head of a frame, where `limit` says how long the body of each kind may be: its kind, and the length of its
    /// body in bytes.
    ///
    /// # Errors
    /// What is wrong with it: nothing more is to be read.
    pub fn head(head: &[u8; 5], limit: fn(Kind) -> Option<usize>) -> Result<(Kind, usize), String> {
        let [a, b, c, d, code] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(kind) = Kind::ALL.into_iter().find(|kind| *kind as u8 == code) else {
            return Err(format!("a frame of the unknown kind {code}"));
        };
        let most = limit(kind).ok_or_else(|| format!("{kind:?} is nothing to say here"))?;
        match length.checked_sub(1).filter(|length| *length <= most) {
            Some(length) => Ok((kind, length)),
            None => {
                let found = length.saturating_sub(1);
                Err(format!("{kind:?} with {found} bytes, at most {most} are expected"))
            }
        }
    }

    /// The head of a frame with a body of so many bytes; none if no frame holds them.
    pub fn spelled(self, body: usize) -> Option<[u8; 5]> {
        let [a, b, c, d] = u32::try_from(body.checked_add(1)?).ok()?.to_be_bytes();
        Some([a, b, c, d, self as u8])
    }

    /// The longest body that the applier takes; none if it is nothing that it is asked.
    pub fn asked(self) -> Option<usize> {
        match self {
            Kind::Hello => Some(GREETING.len()),
            Kind::Known | Kind::Traits => Some(0),
            Kind::Tell => Some(TELL_BYTES),
            Kind::Converge => Some(CONVERGE_BYTES),
            Kind::Bytes => Some(limits::CONFIG_BLOB_BYTES as usize),
            _ => None,
        }
    }

    /// The longest body that the peer takes; none if it is no answer.
    pub fn answered(self) -> Option<usize> {
        match self {
            Kind::Hello => Some(64),
            Kind::Known => Some(32 * STATEMENTS),
            Kind::Told => Some(TALLY_BYTES),
            Kind::Go => Some(0),
            Kind::Traits | Kind::Ran => Some(REPORT_BYTES),
            Kind::Refused | Kind::Later | Kind::Bad => Some(64 * 1024),
            _ => None,
        }
    }
}

const CONVERGE_BYTES: usize = 8 + 32 + 1 + 8;
const TALLY_BYTES: usize = 5 * 4;

/// The body of `Converge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The publish.
    pub at: Epoch,
    /// Change nothing.
    pub dry_run: bool,
    /// Bytes of the route table.
    pub routes: u64,
}

impl Offer {
    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.at.epoch.to_be_bytes().to_vec();
        out.extend_from_slice(&self.at.id.0);
        out.push(u8::from(self.dry_run));
        out.extend_from_slice(&self.routes.to_be_bytes());
        out
    }

    /// Reads the body; none if it is something else.
    pub fn decode(bytes: &[u8]) -> Option<Offer> {
        let (epoch, rest) = bytes.split_first_chunk::<8>()?;
        let (id, rest) = rest.split_first_chunk::<32>()?;
        let (dry_run, rest) = rest.split_first()?;
        let routes = <[u8; 8]>::try_from(rest).ok()?;
        let dry_run = match dry_run {
            0 => false,
            1 => true,
            _ => return None,
        };
        let at = Epoch { epoch: u64::from_be_bytes(*epoch), id: Hash(*id) };
        Some(Offer { at, dry_run, routes: u64::from_be_bytes(routes) })
    }
}

/// The body of `Tell`: statements of one space.
#[derive(Debug)]
pub struct Tell(Vec<u8>);

impl Tell {
    /// An empty one.
    pub fn new(space: &Space) -> Tell {
        Tell(vec![u8::from(*space != Space::admissions())])
    }

    /// Adds a statement, if there is room for it.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let fits = self.0.len() + 4 + bytes.len() <= TELL_BYTES;
        if fits {
            self.0.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            self.0.extend_from_slice(bytes);
        }
        fits
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.0
    }

    /// Reads the body; none if it is something else.
    pub fn decode(body: &[u8]) -> Option<(Space, Vec<&[u8]>)> {
        let (space, mut rest) = body.split_first()?;
        let space = match space {
            0 => Space::admissions(),
            1 => Space::config(),
            _ => return None,
        };
        let mut statements = Vec::new();
        while !rest.is_empty() {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let (bytes, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            statements.push(bytes);
            rest = behind;
        }
        Some((space, statements))
    }
}

/// The body of `Told`.
pub fn tally(tally: &Tally) -> Vec<u8> {
    [tally.new, tally.known, tally.early, tally.full, tally.bad]
        .iter()
        .flat_map(|n| n.to_be_bytes())
        .collect()
}

/// Reads the body of `Told`.
pub fn read_tally(body: &[u8]) -> Option<Tally> {
    let (numbers, rest) = body.as_chunks::<4>();
    let numbers = numbers.iter().map(|n| u32::from_be_bytes(*n)).collect::<Vec<_>>();
    match numbers[..] {
        [new, known, early, full, bad] if rest.is_empty() => Some(Tally { new, known, early, full, bad }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_and_a_tally_come_back_as_they_went() {
        let at = Epoch { epoch: 7, id: Hash::of(b"x") };
        let offer = Offer { at, dry_run: true, routes: 99 };
        assert_eq!(Offer::decode(&offer.encode()), Some(offer));
        assert_eq!(Offer::decode(&offer.encode()[..48]), None);
        let mut odd = offer.encode();
        odd[40] = 2;
        assert_eq!(Offer::decode(&odd), None);
        let told = Tally { new: 1, known: 2, early: 3, full: 4, bad: 5 };
        assert_eq!(read_tally(&tally(&told)), Some(told));
        assert_eq!(read_tally(&[&tally(&told)[..], &[0]].concat()), None, "one spelling");
    }
}
