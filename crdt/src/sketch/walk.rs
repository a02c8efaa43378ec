//! Which cells a member falls into.
//!
//! A [`Walk`] gives ascending places, the first of them 0, so that place `i` is among them with a probability of about
//! 1 / (1 + i/2). It knows neither members nor cells. Invariant: it is strictly ascending, and a function of its seed on
//! every machine: the only operations on floating-point numbers are those that IEEE 754 rounds exactly.

/// The multiplier of the generator: one of those with a good spectrum (Steele and Vigna, "Computationally easy, spectrally
/// good multipliers for congruential pseudorandom number generators", 2022).
const MULTIPLIER: u64 = 0xda94_2042_e4dd_58b5;

/// The places of one member, without end.
pub(super) struct Walk {
    state: u64,
    next: u64,
}

impl Walk {
    /// The walk that this keyed hash seeds.
    pub fn new(seed: u64) -> Walk {
        // An even state would lose its lower bits step by step.
        Walk { state: seed | 1, next: 0 }
    }
}

impl Iterator for Walk {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.next;
        self.state = self.state.wrapping_mul(MULTIPLIER);
        // With u even between 0 and 1, the distance to the next place is (i + 1.5) (1 / sqrt(u) - 1), rounded up.
        let stretch = 4_294_967_296.0 / (self.state as f64 + 1.0).sqrt() - 1.0;
        let distance = ((at as f64 + 1.5) * stretch).ceil();
        self.next = at.saturating_add((distance as u64).max(1));
        // Far beyond any cell where it does not fit.
        Some(usize::try_from(at).unwrap_or(usize::MAX))
    }
}
