//! Frames on the control stream: four bytes of length, big-endian, then so many bytes.
//!
//! It never holds more than one frame beyond what was fed in, and takes memory as bytes arrive, not on the word
//! of a length.
//!
//! Invariant: what comes out is never longer than the limit and never empty.

/// Bytes reserved for a frame before any of it has arrived.
const FIRST_RESERVE: usize = 4096;

/// A peer's stream that is not a sequence of frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// More bytes than a frame may have.
    #[error("a frame of {found} bytes, where at most {limit} are allowed")]
    TooLong {
        /// How many it would have.
        found: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Only the first may be empty.
    #[error("an empty frame after the first")]
    Empty,
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Deframer {
    limit: usize,
    head: [u8; 4],
    head_filled: usize,
    body: Vec<u8>,
    /// Bytes the frame under way will have.
    length: usize,
    /// The stream's first frame may be empty: it opens the stream.
    opened: bool,
}

impl Deframer {
    /// A cutter of frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Deframer {
        Deframer { limit, head: [0; 4], head_filled: 0, body: Vec::new(), length: 0, opened: false }
    }

    /// Takes bytes off the front of `input` until a frame is whole or the input is used up.
    ///
    /// # Errors
    /// [`BadFrame`]: the sender's fault, and nothing behind it can be read.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, BadFrame> {
        loop {
            if self.head_filled < 4 {
                let take = input.len().min(4 - self.head_filled);
                self.head[self.head_filled..self.head_filled + take].copy_from_slice(&input[..take]);
                self.head_filled += take;
                *input = &input[take..];
                if self.head_filled < 4 {
                    return Ok(None);
                }
                self.begin()?;
                if self.length == 0 {
                    self.head_filled = 0;
                    continue;
                }
            }
            let take = input.len().min(self.length - self.body.len());
            self.body.extend_from_slice(&input[..take]);
            *input = &input[take..];
            if self.body.len() < self.length {
                return Ok(None);
            }
            self.head_filled = 0;
            return Ok(Some(std::mem::take(&mut self.body)));
        }
    }

    fn begin(&mut self) -> Result<(), BadFrame> {
        let found = u32::from_be_bytes(self.head) as usize;
        if found > self.limit {
            return Err(BadFrame::TooLong { found, limit: self.limit });
        }
        if found == 0 && self.opened {
            return Err(BadFrame::Empty);
        }
        self.opened = true;
        self.length = found;
        self.body.reserve_exact(found.min(FIRST_RESERVE));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(frames: &[&[u8]]) -> Vec<u8> {
        frames.iter().flat_map(|f| [&(f.len() as u32).to_be_bytes()[..], f].concat()).collect()
    }

    fn cut(bytes: &[u8], piece: usize, limit: usize) -> Result<Vec<Vec<u8>>, BadFrame> {
        let mut deframer = Deframer::new(limit);
        let mut frames = Vec::new();
        for mut part in bytes.chunks(piece) {
            while let Some(frame) = deframer.next(&mut part)? {
                frames.push(frame);
            }
            assert!(part.is_empty());
        }
        Ok(frames)
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_frames() {
        let long = vec![7; 300];
        let bytes = stream(&[b"", b"a", &long, b"bc"]);
        for piece in 1..bytes.len() {
            assert_eq!(cut(&bytes, piece, 300).unwrap(), [b"a".to_vec(), long.clone(), b"bc".to_vec()]);
        }
    }

    #[test]
    fn the_limit_holds_before_memory_is_taken() {
        let limit = BadFrame::TooLong { found: 301, limit: 300 };
        assert_eq!(cut(&stream(&[&[0; 301]]), 4, 300), Err(limit));
        let huge = BadFrame::TooLong { found: u32::MAX as usize, limit: 300 };
        assert_eq!(cut(&[0xff; 4], 4, 300), Err(huge));
        let mut deframer = Deframer::new(1 << 20);
        assert_eq!(deframer.next(&mut &(1u32 << 20).to_be_bytes()[..]), Ok(None));
        assert!(deframer.body.capacity() <= FIRST_RESERVE);
    }

    #[test]
    fn only_the_first_frame_may_be_empty() {
        assert_eq!(cut(&stream(&[b"", b""]), 3, 300), Err(BadFrame::Empty));
        assert_eq!(cut(&stream(&[b"a", b""]), 3, 300), Err(BadFrame::Empty));
    }
}
