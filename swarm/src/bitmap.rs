//! Which chunks of a blob somebody has: one bit for each.
//!
//! On the wire bit 0 of byte 0 is chunk 0, and the bits behind the last chunk are zero: two spellings of one
//! set do not exist. Invariant: no bit at or above [`Bitmap::len`] is ever set.

/// The most chunks a blob may have: a have-map must fit a frame.
pub const MAX_CHUNKS: u32 = 1_000_000;

/// A set of chunk numbers below a fixed bound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    len: u32,
    words: Vec<u64>,
}

impl Bitmap {
    /// An empty set of numbers below `len` (at most [`MAX_CHUNKS`]).
    pub fn none(len: u32) -> Bitmap {
        let len = len.min(MAX_CHUNKS);
        Bitmap { len, words: vec![0; len.div_ceil(64) as usize] }
    }

    /// All numbers below `len` (at most [`MAX_CHUNKS`]).
    pub fn all(len: u32) -> Bitmap {
        let mut out = Bitmap::none(len);
        out.words.fill(u64::MAX);
        if let Some(last) = out.words.last_mut()
            && !out.len.is_multiple_of(64)
        {
            *last = (1 << (out.len % 64)) - 1;
        }
        out
    }

    /// The set that these bytes spell, if they are exactly as long as `len` chunks need and no bit behind the
    /// last chunk is set.
    pub fn from_bytes(bytes: &[u8], len: u32) -> Option<Bitmap> {
        if len > MAX_CHUNKS || bytes.len() != len.div_ceil(8) as usize {
            return None;
        }
        let mut out = Bitmap::none(len);
        for (i, byte) in bytes.iter().enumerate() {
            out.words[i / 8] |= u64::from(*byte) << (i % 8 * 8);
        }
        let stray = !len.is_multiple_of(8) && bytes.last().is_some_and(|last| last >> (len % 8) != 0);
        (!stray).then_some(out)
    }

    /// The bytes of the set, as they travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        out.truncate(self.len.div_ceil(8) as usize);
        out
    }

    /// The bound: how many chunks there are, set or not.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether every number below the bound is in the set.
    pub fn is_full(&self) -> bool {
        self.count() == self.len
    }

    /// Whether `index` is in the set.
    pub fn has(&self, index: u32) -> bool {
        index < self.len && self.words[index as usize / 64] >> (index % 64) & 1 == 1
    }

    /// Adds `index`; false if it was there or is not below the bound.
    pub fn set(&mut self, index: u32) -> bool {
        let new = index < self.len && !self.has(index);
        if new {
            self.words[index as usize / 64] |= 1 << (index % 64);
        }
        new
    }

    /// Removes `index`; false if it was not there.
    pub fn clear(&mut self, index: u32) -> bool {
        let there = self.has(index);
        if there {
            self.words[index as usize / 64] &= !(1 << (index % 64));
        }
        there
    }

    /// The numbers in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(i, word)| bits(i, *word))
    }

    /// The numbers in both sets (in this one alone, if there is no other), beginning in the word `from` and
    /// going round once.
    pub(crate) fn common_from<'a>(
        &'a self,
        other: Option<&'a Bitmap>,
        from: usize,
    ) -> impl Iterator<Item = u32> + 'a {
        let n = self.words.len();
        (0..n).flat_map(move |step| {
            let i = (from + step) % n;
            let theirs = other.map_or(u64::MAX, |o| o.words.get(i).copied().unwrap_or(0));
            bits(i, self.words[i] & theirs)
        })
    }

    /// How many words of 64 chunks there are.
    pub(crate) fn words(&self) -> usize {
        self.words.len()
    }
}

/// The numbers of the bits set in the word with index `i`.
fn bits(i: usize, word: u64) -> impl Iterator<Item = u32> {
    let mut left = word;
    std::iter::from_fn(move || {
        let bit = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (bit < 64).then_some(i as u32 * 64 + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_survives_the_wire_and_has_one_spelling() {
        for len in [0, 1, 7, 8, 9, 63, 64, 65, 200] {
            let mut map = Bitmap::none(len);
            (0..len).step_by(3).for_each(|i| assert!(map.set(i)));
            let bytes = map.to_bytes();
            assert_eq!(Bitmap::from_bytes(&bytes, len), Some(map.clone()), "{len}");
            assert_eq!(map.iter().collect::<Vec<_>>(), (0..len).step_by(3).collect::<Vec<_>>());
            assert_eq!(Bitmap::all(len).count(), len);
            assert!(Bitmap::all(len).is_full());
            let mut longer = bytes.clone();
            longer.push(0);
            assert_eq!(Bitmap::from_bytes(&longer, len), None);
        }
        assert_eq!(Bitmap::from_bytes(&[0b1000_0000], 7), None, "a bit behind the last chunk");
        assert_eq!(Bitmap::from_bytes(&[0; 8], u32::MAX), None);
    }

    #[test]
    fn what_is_out_of_bounds_is_not_there() {
        let mut map = Bitmap::none(10);
        assert!(!map.set(10) && !map.has(10) && !map.clear(10));
        assert!(map.set(9) && !map.set(9) && map.clear(9) && !map.clear(9));
        assert!(map.is_empty());
    }

    #[test]
    fn a_round_begins_anywhere_and_meets_everything_once() {
        let (ours, mut theirs) = (Bitmap::all(300), Bitmap::none(300));
        [5, 70, 299].into_iter().for_each(|i| assert!(theirs.set(i)));
        assert_eq!(ours.common_from(Some(&theirs), 1).collect::<Vec<_>>(), vec![70, 299, 5]);
        assert_eq!(ours.common_from(None, 0).count(), 300);
        assert_eq!(Bitmap::none(0).common_from(None, 0).count(), 0);
    }
}
