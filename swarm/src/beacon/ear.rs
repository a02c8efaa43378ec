//! How much is listened to at all: token buckets for each source and for all of them, before anything is read.
//!
//! A source that floods spends its own bucket and leaves the others theirs. Sources beyond the table share one
//! bucket, so that inventing sources buys nothing. It knows nothing of packets.
//!
//! Invariant: at most [`SOURCES`] sources are remembered.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vigo_base::Time;
use vigo_base::time::secs;

/// Sources remembered.
const SOURCES: usize = 1024;
/// Thousandths of a packet: what a bucket is counted in.
const ONE: u64 = 1_000;

/// How many packets a second, and how many at once.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Of one source: a second, at once.
    pub source: (u64, u64),
    /// Of all sources that are beyond the table together: a second, at once.
    pub crowd: (u64, u64),
    /// Of all together: a second, at once.
    pub all: (u64, u64),
}

impl Rates {
    /// Before a signature is checked: a hundred checks a second cost half a percent of a core.
    pub const CHECKED: Rates = Rates { source: (2, 12), crowd: (10, 20), all: (100, 200) };
    /// Before a packet goes to the node at all.
    pub const TAKEN: Rates = Rates { source: (4, 24), crowd: (100, 200), all: (400, 800) };
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u64,
    at: Time,
}

impl Bucket {
    fn full(rate: (u64, u64), now: Time) -> Bucket {
        Bucket { level: rate.1 * ONE, at: now }
    }

    fn fill(&mut self, rate: (u64, u64), now: Time) {
        // Below a millisecond nothing drips; the time is kept until something does.
        let drops = (now.since(self.at).min(secs(3_600)) / ONE).saturating_mul(rate.0);
        if drops > 0 || now < self.at {
            self.at = now;
            self.level = self.level.saturating_add(drops).min(rate.1 * ONE);
        }
    }

    fn take(&mut self, rate: (u64, u64), now: Time) -> bool {
        self.fill(rate, now);
        let has = self.level >= ONE;
        self.level -= if has { ONE } else { 0 };
        has
    }
}

/// The buckets.
#[derive(Debug)]
pub struct Ear {
    rates: Rates,
    all: Bucket,
    crowd: Bucket,
    sources: BTreeMap<IpAddr, Bucket>,
    swept: Time,
}

impl Ear {
    /// Full buckets.
    pub fn new(rates: Rates, now: Time) -> Ear {
        let (all, crowd) = (Bucket::full(rates.all, now), Bucket::full(rates.crowd, now));
        Ear { rates, all, crowd, sources: BTreeMap::new(), swept: now }
    }

    /// Whether a packet from `source` is listened to.
    pub fn hears(&mut self, now: Time, source: IpAddr) -> bool {
        let Rates { source: own, crowd, all } = self.rates;
        let known = self.sources.len();
        let room = known < SOURCES || self.sweep(now);
        let may = match self.sources.get_mut(&source) {
            Some(bucket) => bucket.take(own, now),
            None if room => {
                self.sources.entry(source).or_insert_with(|| Bucket::full(own, now)).take(own, now)
            }
            None => self.crowd.take(crowd, now),
        };
        may && self.all.take(all, now)
    }

    /// Nothing more is heard from `source` until its bucket has filled again: it sent what was forged.
    pub fn distrust(&mut self, now: Time, source: IpAddr) {
        if let Some(bucket) = self.sources.get_mut(&source) {
            *bucket = Bucket { level: 0, at: now };
        }
    }

    /// Forgets sources whose buckets are full again, at most once a second; says whether there is room.
    fn sweep(&mut self, now: Time) -> bool {
        if now.since(self.swept) >= secs(1) || now < self.swept {
            self.swept = now;
            let own = self.rates.source;
            self.sources.retain(|_, bucket| {
                bucket.fill(own, now);
                bucket.level < own.1 * ONE
            });
        }
        self.sources.len() < SOURCES
    }

    /// Sources remembered.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::time::millis;

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn a_source_that_floods_leaves_the_others_theirs() {
        let mut ear = Ear::new(Rates::CHECKED, Time(0));
        let (mut flood, mut honest) = (0, 0);
        for n in 0..500_000u64 {
            let now = Time(n * 20);
            flood += u64::from(ear.hears(now, ip(1)));
            // Once in five seconds.
            honest += if n % 250_000 == 0 { u64::from(ear.hears(now, ip(2))) } else { 0 };
        }
        assert_eq!(honest, 2);
        assert!((12..=32).contains(&flood), "{flood} in ten seconds");
    }

    #[test]
    fn invented_sources_buy_nothing_and_are_forgotten() {
        let mut ear = Ear::new(Rates::CHECKED, Time(0));
        let heard = (0..500_000u64).filter(|n| ear.hears(Time(n * 20), ip(*n as u32))).count();
        assert!(heard <= 200 + 1_000, "{heard} in ten seconds");
        assert!(ear.sources() <= SOURCES);
        let later = Time(secs(100));
        assert!(ear.hears(later, ip(9_999_999)));
        assert!(ear.sources() < 3, "{} remembered", ear.sources());
    }

    #[test]
    fn who_forges_is_not_heard_for_a_while_and_a_clock_that_goes_back_does_no_harm() {
        let mut ear = Ear::new(Rates::CHECKED, Time(secs(50)));
        assert!(ear.hears(Time(secs(50)), ip(1)));
        ear.distrust(Time(secs(50)), ip(1));
        assert!(!ear.hears(Time(secs(50)), ip(1)));
        assert!(ear.hears(Time(secs(50) + millis(600)), ip(1)));
        assert!(ear.hears(Time(secs(1)), ip(2)));
    }
}
