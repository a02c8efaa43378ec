//! What crosses the socket between the peer process and the applier: plain data in frames of bounded length.
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
//! Whatever else comes, or comes too slowly, is answered with `Bad` and a closed connection. Nothing is reserved for a
//! length that was only claimed.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use vigo_base::{Hash, limits};
use vigo_node::content_types::config::Epoch;
use vigo_node::crdt::Space;
use vigo_node::warrant::STATEMENTS;

use super::seat::Tally;

/// What both say first: a program that says something else is of another version.
pub const GREETING: &[u8] = b"vigo applier 1";
/// Bytes of one frame of statements.
pub const TELL_BYTES: usize = 1 << 20;
/// Bytes of a report or of traits.
pub const REPORT_BYTES: usize = 32 << 20;
/// Time for a frame once it has begun.
pub const FRAME_TIME: Duration = Duration::from_secs(20);
/// How often somebody who waits looks whether to go on.
const LOOK: Duration = Duration::from_millis(200);

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

/// Why no frame came or went.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side is gone.
    #[error("the connection was closed")]
    Closed,
    /// Whoever reads wants to end.
    #[error("stopping")]
    Stopping,
    /// It began and did not end.
    #[error("a frame did not arrive, or was not taken, within {} s", FRAME_TIME.as_secs())]
    Slow,
    /// It is no frame, or none that may come here.
    #[error("{0}")]
    Bad(String),
    /// The system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a frame. Waits for its first byte for as long as `go_on` says, and for the rest for [`FRAME_TIME`].
///
/// # Errors
/// [`WireError`]; after any the connection is good for nothing more.
pub fn read(
    stream: &UnixStream,
    limit: fn(Kind) -> Option<usize>,
    go_on: impl Fn() -> bool,
) -> Result<(Kind, Vec<u8>), WireError> {
    let mut head = [0; 5];
    stream.set_read_timeout(Some(LOOK))?;
    let mut reader = stream;
    loop {
        match reader.read(&mut head[..1]) {
            Ok(0) => return Err(WireError::Closed),
            Ok(_) => break,
            Err(e) if is_timeout(&e) && go_on() => {}
            Err(e) if is_timeout(&e) => return Err(WireError::Stopping),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let until = Instant::now() + FRAME_TIME;
    fill(stream, &mut head[1..], until)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| *kind as u8 == head[4]) else {
        return Err(WireError::Bad(format!("a frame of the unknown kind {}", head[4])));
    };
    let most = limit(kind).ok_or_else(|| WireError::Bad(format!("{kind:?} is nothing to say here")))?;
    let Some(length) = length.checked_sub(1).filter(|length| *length <= most) else {
        let what = format!("{kind:?} with {} bytes, at most {most} are expected", length.saturating_sub(1));
        return Err(WireError::Bad(what));
    };
    let mut body = Vec::new();
    while body.len() < length {
        let from = body.len();
        body.resize(length.min(from + (64 << 10)), 0);
        fill(stream, &mut body[from..], until)?;
    }
    Ok((kind, body))
}

fn fill(mut stream: &UnixStream, mut into: &mut [u8], until: Instant) -> Result<(), WireError> {
    while !into.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(WireError::Slow);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(into) {
            Ok(0) => return Err(WireError::Closed),
            Ok(n) => into = &mut into[n..],
            Err(e) if is_timeout(&e) => return Err(WireError::Slow),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Writes a frame; whoever does not take it within [`FRAME_TIME`] is slow.
///
/// # Errors
/// [`WireError::Slow`], [`WireError::Bad`] for a body no frame holds, [`WireError::Io`].
pub fn write(stream: &UnixStream, kind: Kind, body: &[u8]) -> Result<(), WireError> {
    let length = u32::try_from(body.len() + 1).map_err(|_| WireError::Bad("too long for a frame".into()))?;
    stream.set_write_timeout(Some(FRAME_TIME))?;
    let mut head = [0; 5];
    head[..4].copy_from_slice(&length.to_be_bytes());
    head[4] = kind as u8;
    let mut writer = stream;
    let written = writer.write_all(&head).and_then(|()| writer.write_all(body));
    written.map_err(|e| if is_timeout(&e) { WireError::Slow } else { e.into() })
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
    let numbers = body.as_chunks::<4>().0.iter().map(|n| u32::from_be_bytes(*n)).collect::<Vec<_>>();
    match numbers[..] {
        [new, known, early, full, bad] => Some(Tally { new, known, early, full, bad }),
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
    }

    #[test]
    fn a_promised_length_takes_no_memory_and_a_half_frame_is_no_frame() {
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(&[0xff, 0xff, 0xff, 0xff, Kind::Bytes as u8]).unwrap();
        assert!(matches!(read(&b, Kind::asked, || true), Err(WireError::Bad(_))));
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(&[0, 0, 1, 0, Kind::Tell as u8, 1, 2]).unwrap();
        drop(a);
        assert!(matches!(read(&b, Kind::asked, || true), Err(WireError::Closed)));
        let (a, b) = UnixStream::pair().unwrap();
        write(&a, Kind::Go, b"").unwrap();
        assert!(matches!(read(&b, Kind::asked, || true), Err(WireError::Bad(_))), "an answer is no question");
        assert!(matches!(read(&b, Kind::asked, || false), Err(WireError::Stopping)));
    }
}
