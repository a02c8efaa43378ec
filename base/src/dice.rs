//! Randomness as an argument.
//!
//! A [`Dice`] is a seeded ChaCha8 generator. A machine gets one when it is made, so that the same seed
//! rolls the same fleet. It never asks the operating system, and it is never used to make keys: those are
//! made at the edges from the system's randomness.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded source of choices.
#[derive(Debug, Clone)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Dice that always roll the same for the same seed.
    pub fn from_seed(seed: [u8; 32]) -> Dice {
        Dice(ChaCha8Rng::from_seed(seed))
    }

    /// Dice from a small number, for tests and simulations.
    pub fn from_number(seed: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias is below 2^-32 for bounds under 2^32.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64 }
    }

    /// True once in `n` times on average; always true for `n` of 0 or 1.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n.max(1)) == 0
    }

    /// 32 random bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut out = [0; 32];
        self.0.fill_bytes(&mut out);
        out
    }

    /// Puts `items` in a random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// One of `items`, or none if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// New dice for a part of the machine, so that one part's rolls do not move another's.
    pub fn fork(&mut self) -> Dice {
        Dice::from_seed(self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_sequence() {
        let (mut a, mut b) = (Dice::from_number(1), Dice::from_number(1));
        let mut c = Dice::from_number(2);
        let rolls: Vec<u64> = (0..8).map(|_| a.below(100)).collect();
        assert_eq!(rolls, (0..8).map(|_| b.below(100)).collect::<Vec<_>>());
        assert_ne!(rolls, (0..8).map(|_| c.below(100)).collect::<Vec<_>>());
        assert!(rolls.iter().all(|r| *r < 100));
        assert_eq!(a.below(0), 0);
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut items: Vec<u32> = (0..50).collect();
        Dice::from_number(3).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
