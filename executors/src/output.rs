//! What a command wrote, bounded: its beginning and its end.
//!
//! It never holds more than [`OUTPUT_BYTES`]. The beginning says what a program set out to do, the end how it went;
//! where something between them was left out, a line says how much.

use std::collections::VecDeque;

use crate::host::OUTPUT_BYTES;

/// Bytes of the beginning and of the end that are kept; the line between them has the rest of the bound.
const HALF: usize = OUTPUT_BYTES / 2 - 64;

/// Takes what a command writes, piece by piece.
#[derive(Debug, Default)]
pub struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Output {
    /// The next piece.
    pub fn push(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(HALF.saturating_sub(self.head.len())));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(HALF);
        self.tail.drain(..over);
        self.left_out += over as u64;
    }

    /// All of it, or its beginning and its end.
    pub fn finish(self) -> Vec<u8> {
        let mut all = self.head;
        if self.left_out > 0 {
            all.extend_from_slice(format!("\n… {} bytes left out …\n", self.left_out).as_bytes());
        }
        all.extend(self.tail);
        all
    }
}

/// `bytes` within the bound.
pub fn bounded(bytes: &[u8]) -> Vec<u8> {
    let mut output = Output::default();
    output.push(bytes);
    output.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_stay() {
        assert_eq!(bounded(b"short"), b"short");
        let mut output = Output::default();
        (0..100_000).for_each(|n| output.push(format!("line {n}\n").as_bytes()));
        let all = output.finish();
        assert!(all.len() <= OUTPUT_BYTES && all.len() > OUTPUT_BYTES - 128);
        let text = String::from_utf8(all).unwrap();
        assert!(text.starts_with("line 0\n") && text.ends_with("line 99999\n"));
        assert!(text.contains(" bytes left out …\n"));
        let exact = vec![b'x'; HALF * 2];
        assert_eq!(bounded(&exact), exact);
    }
}
