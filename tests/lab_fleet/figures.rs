//! Figures of a lab: percentiles and the one form in which they are printed.
//!
//! It judges nothing; a test compares with its bound itself.

use std::time::Duration;

/// Prints one line of a default test.
pub fn say(promise: &str, what: &str, figure: &str) {
    println!("lab | {promise} | {what} | {figure}");
}

/// Prints one line of a long test, for the table of `docs/reliability.md`.
pub fn say_long(promise: &str, what: &str, figure: &str) {
    println!("long | {promise} | {what} | {figure}");
}

/// The smallest of the samples that at least `percent` of a hundred do not exceed.
pub fn percentile(samples: &[Duration], percent: usize) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
    sorted[rank - 1]
}

/// `p50 … ms, p99 … ms, worst … ms of N`.
pub fn spread(samples: &[Duration]) -> String {
    let ms = |percent| percentile(samples, percent).as_millis();
    format!("p50 {} ms, p99 {} ms, worst {} ms of {}", ms(50), ms(99), ms(100), samples.len())
}

#[test]
fn percentiles_are_of_the_samples() {
    let samples: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
    assert_eq!([50, 99, 100].map(|p| percentile(&samples, p).as_millis()), [50, 99, 100]);
    assert_eq!(percentile(&samples[..1], 1).as_millis(), 100);
}
