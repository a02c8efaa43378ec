//! The socket between the peer process and the applier: frames are read and written, and nobody is waited for longer
//! than [`FRAME_TIME`]. What is in them is spelled by `vigo_node::warrant::wire`.
//!
//! Whatever else comes, or comes too slowly, is answered with `Bad` and a closed connection. Nothing is reserved for a
//! length that was only claimed.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub use vigo_node::warrant::wire::{
    GREETING, Kind, Offer, REPORT_BYTES, TELL_BYTES, Tell, read_tally, tally,
};

/// Time for a frame once it has begun.
pub const FRAME_TIME: Duration = Duration::from_secs(20);
/// How often somebody who waits looks whether to go on.
const LOOK: Duration = Duration::from_millis(200);

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
    let (kind, length) = Kind::head(&head, limit).map_err(WireError::Bad)?;
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
    let head = kind.spelled(body.len()).ok_or_else(|| WireError::Bad("too long for a frame".into()))?;
    stream.set_write_timeout(Some(FRAME_TIME))?;
    let mut writer = stream;
    let written = writer.write_all(&head).and_then(|()| writer.write_all(body));
    written.map_err(|e| if is_timeout(&e) { WireError::Slow } else { e.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

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
