//! A fuzzer's bytes read as the fields of something, and fields written as such bytes.
//!
//! A [`Feed`] never runs dry: behind its end everything is zero and empty, so that each input means something, and a
//! longer input means more. [`Ink`] writes what a feed reads; seeds are made with it. Invariant: what `Ink` wrote with
//! the same calls in the same order, `Feed` reads as it was.

/// Numbers at which something is likely to break.
pub const EDGES: [u64; 16] = [
    0,
    1,
    2,
    63,
    64,
    255,
    256,
    4_096,
    65_535,
    65_536,
    1 << 31,
    u32::MAX as u64,
    1 << 53,
    u64::MAX / 2,
    u64::MAX - 1,
    u64::MAX,
];

/// The first of the bytes that stand for small numbers in [`Feed::number`].
const SMALL: u8 = 16;
/// The first of the bytes behind which a whole number follows.
const WHOLE: u8 = 200;

/// Bytes that are read from front to end.
#[derive(Debug, Clone)]
pub struct Feed<'a> {
    left: &'a [u8],
}

impl<'a> Feed<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Feed<'a> {
        Feed { left: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.left.split_first() {
            Some((first, rest)) => {
                self.left = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `bound` (at most 256), by one byte.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Whether something rare happens: one byte in sixteen says yes.
    pub fn rarely(&mut self) -> bool {
        self.byte() >= 240
    }

    /// A number: one from [`EDGES`], a small one, or eight bytes.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            edge @ 0..SMALL => EDGES[usize::from(edge)],
            small @ SMALL..WHOLE => u64::from(small - SMALL),
            _ => u64::from_be_bytes(self.array()),
        }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A run of bytes: two bytes say how long it is, and it ends where the feed ends.
    pub fn run(&mut self) -> &'a [u8] {
        let long = usize::from(u16::from_be_bytes(self.array()));
        let (run, rest) = self.left.split_at(long.min(self.left.len()));
        self.left = rest;
        run
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    /// One of `items`, which are not none.
    pub fn pick<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        &items[self.below(items.len())]
    }
}

/// Writes what a [`Feed`] reads.
#[derive(Debug, Clone, Default)]
pub struct Ink(Vec<u8>);

impl Ink {
    /// Nothing yet.
    pub fn new() -> Ink {
        Ink::default()
    }

    /// For [`Feed::byte`], [`Feed::below`] and [`Feed::pick`].
    pub fn byte(mut self, byte: u8) -> Ink {
        self.0.push(byte);
        self
    }

    /// For [`Feed::number`].
    pub fn number(mut self, number: u64) -> Ink {
        match u8::try_from(number) {
            Ok(small) if small < WHOLE - SMALL => self.0.push(SMALL + small),
            _ => {
                self.0.push(WHOLE);
                self.0.extend(number.to_be_bytes());
            }
        }
        self
    }

    /// For [`Feed::array`] and [`Feed::rest`].
    pub fn raw(mut self, bytes: &[u8]) -> Ink {
        self.0.extend_from_slice(bytes);
        self
    }

    /// For [`Feed::run`]; what is longer than two bytes can say is cut.
    pub fn run(mut self, bytes: &[u8]) -> Ink {
        let long = bytes.len().min(usize::from(u16::MAX));
        self.0.extend((long as u16).to_be_bytes());
        self.0.extend_from_slice(&bytes[..long]);
        self
    }

    /// The bytes.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let bytes = Ink::new().byte(3).number(7).number(u64::MAX - 9).run(b"abc").raw(b"rest").done();
        let mut feed = Feed::new(&bytes);
        assert_eq!((feed.byte(), feed.number(), feed.number()), (3, 7, u64::MAX - 9));
        assert_eq!((feed.run(), feed.rest(), feed.is_empty()), (&b"abc"[..], &b"rest"[..], true));
        assert_eq!((feed.byte(), feed.number(), feed.run()), (0, 0, &b""[..]), "it never runs dry");
    }
}
