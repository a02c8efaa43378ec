//! Times, taken so that noise hits both sides alike.
//!
//! A figure and its reference are run in turn, round by round, and the median of each is kept: another process that takes the
//! core for a while spoils single rounds of both, not one of the two. It reads a clock and does nothing else.

use std::hint::black_box;
use std::time::Instant;

/// Seconds that some work took.
pub fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let done = black_box(work());
    (start.elapsed().as_secs_f64(), done)
}

/// The median seconds of two pieces of work that are done in turn.
pub fn in_turn<A, B>(
    rounds: usize,
    mut ours: impl FnMut() -> A,
    mut reference: impl FnMut() -> B,
) -> (f64, f64) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        first.push(seconds(&mut ours).0);
        second.push(seconds(&mut reference).0);
    }
    (median(first), median(second))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![]), 0.0);
        let mut counts = (0, 0);
        in_turn(3, || counts.0 += 1, || counts.1 += 1);
        assert_eq!(counts, (3, 3));
    }
}
