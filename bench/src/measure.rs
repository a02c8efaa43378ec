//! Times, taken so that other work on the machine hits them as little as can be.
//!
//! What is measured runs in one thread and waits for nothing, so its time is the processor time of that thread: what the kernel
//! gave to others meanwhile is not counted. A figure and its reference are run in turn, round by round, and the median of each
//! is kept: caches that others have emptied spoil single rounds of both, not one of the two. It reads a clock and does nothing else.

use std::hint::black_box;

use rustix::time::{ClockId, Timespec, clock_gettime};
use vigo_base::figure::median;

/// Seconds of this thread's processor time that some work took.
pub fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = spent();
    let done = black_box(work());
    (spent() - start, done)
}

fn spent() -> f64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    tv_sec as f64 + tv_nsec as f64 / 1e9
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
        let (asleep, ()) = seconds(|| std::thread::sleep(std::time::Duration::from_millis(50)));
        assert!(asleep < 0.04, "who sleeps works no {asleep} s");
    }
}
