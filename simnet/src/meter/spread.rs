//! How something is spread: a histogram of bounded size, from which percentiles are read.
//!
//! A value is kept to a part in 128, the greatest exactly. Two spreads can be merged, so that the figures of many
//! seeds become one. It reads no clock and holds integers only. Invariant: the same values in any order give the
//! same spread.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vigo_base::time::Micros;

/// Steps between a power of two and the next, as a power of two.
const FINE: u32 = 7;

/// Many values, by how often they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spread {
    buckets: BTreeMap<u32, u64>,
    count: u64,
    most: u64,
}

impl Spread {
    /// Adds a value, in microseconds where it is a time.
    pub fn add(&mut self, value: u64) {
        self.add_many(value, 1);
    }

    /// Adds a value so many times.
    pub fn add_many(&mut self, value: u64, times: u64) {
        if times > 0 {
            *self.buckets.entry(bucket(value)).or_default() += times;
            self.count += times;
            self.most = self.most.max(value);
        }
    }

    /// Adds everything of another.
    pub fn merge(&mut self, other: &Spread) {
        for (bucket, times) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += times;
        }
        self.count += other.count;
        self.most = self.most.max(other.most);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest; 0 without any.
    pub fn max(&self) -> u64 {
        self.most
    }

    /// The value that so many of a hundred do not exceed, at most a 128th too large; 0 without any.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = (u128::from(self.count) * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut sum = 0;
        for (bucket, times) in &self.buckets {
            sum += u128::from(*times);
            if sum >= wanted {
                return upper(*bucket).min(self.most);
            }
        }
        self.most
    }

    /// The curve of the spread: a value, and how many of all do not exceed it.
    pub fn curve(&self) -> Vec<(Micros, u64)> {
        let mut sum = 0;
        let point = |(bucket, times): (&u32, &u64)| {
            sum += times;
            (upper(*bucket).min(self.most), sum)
        };
        self.buckets.iter().map(point).collect()
    }

    /// Count, median, 99th percentile and maximum.
    pub fn json(&self) -> Value {
        let (p50, p99) = (self.percentile(50), self.percentile(99));
        json!({"count": self.count, "p50": p50, "p99": p99, "max": self.most})
    }
}

fn bucket(value: u64) -> u32 {
    let top = 63_u32.saturating_sub(value.leading_zeros());
    if top < FINE {
        return u32::try_from(value).unwrap_or(0);
    }
    let shift = top - FINE;
    let place = u32::try_from(value >> shift).unwrap_or(u32::MAX);
    (shift << FINE) + place
}

/// The greatest value of a bucket.
fn upper(bucket: u32) -> u64 {
    let one = 1_u32 << FINE;
    if bucket < 2 * one {
        return u64::from(bucket);
    }
    let shift = (bucket >> FINE) - 1;
    let place = u64::from(bucket - (shift << FINE));
    ((place + 1) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_values_and_no_others() {
        for value in (0..2_000).chain((0..60).map(|n| (1_u64 << n) + n)).chain([u64::MAX, u64::MAX - 1]) {
            let b = bucket(value);
            assert!(value <= upper(b) && upper(b) - value <= value / 128, "{value}: {b} up to {}", upper(b));
            assert!(b == 0 || upper(b - 1) < value, "{value} is of bucket {}", b - 1);
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut spread = Spread::default();
        assert_eq!((spread.percentile(50), spread.max()), (0, 0));
        (1..=100).rev().for_each(|n| spread.add(n));
        assert_eq!([spread.percentile(0), spread.percentile(50), spread.percentile(99)], [1, 50, 99]);
        assert_eq!((spread.percentile(100), spread.max(), spread.count()), (100, 100, 100));
        let mut other = Spread::default();
        other.add_many(1_000_000, 900);
        spread.merge(&other);
        assert_eq!((spread.count(), spread.percentile(10), spread.percentile(50)), (1_000, 100, 1_000_000));
        assert_eq!(spread.curve().last(), Some(&(1_000_000, 1_000)));
    }
}
