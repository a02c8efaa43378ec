//! Time as an argument.
//!
//! [`Time`] is microseconds since 1970 as the driver counts them: it starts at the wall clock and then runs
//! steadily, so that timers do not jump when somebody sets the clock. [`Stamp`] is a hybrid logical clock
//! (Kulkarni et al. 2014): it orders records for people and breaks ties, and never decides who may.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::limits::STAMP_AHEAD_MICROS;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Time(#[n(0)] pub u64);

/// So many microseconds: what is added to a [`Time`].
pub type Micros = u64;

/// `n` milliseconds.
pub const fn millis(n: u64) -> Micros {
    n * 1_000
}

/// `n` seconds.
pub const fn secs(n: u64) -> Micros {
    n * 1_000_000
}

/// `n` minutes.
pub const fn mins(n: u64) -> Micros {
    secs(n * 60)
}

/// `n` hours.
pub const fn hours(n: u64) -> Micros {
    mins(n * 60)
}

impl Time {
    /// This time and `micros` more; stops at the end of time.
    pub const fn after(self, micros: Micros) -> Time {
        Time(self.0.saturating_add(micros))
    }

    /// How long after `earlier` this is; 0 if it is not.
    pub const fn since(self, earlier: Time) -> Micros {
        self.0.saturating_sub(earlier.0)
    }

    /// `2026-11-20T08:15:00Z`, in whole seconds.
    pub fn rfc3339(self) -> String {
        let secs = self.0 / 1_000_000;
        let (days, rest) = (secs / 86_400, secs % 86_400);
        let (y, m, d) = civil(days);
        format!("{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
    }
}

/// Year, month and day of a day counted from 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// A hybrid logical clock's reading: 48 bits of milliseconds, 16 bits of counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The physical part, to the millisecond.
    pub const fn time(self) -> Time {
        Time((self.0 >> 16) * 1_000)
    }
}

/// The hybrid logical clock of one node.
#[derive(Debug, Clone, Default)]
pub struct Clock(u64);

impl Clock {
    /// A clock that has read `last`.
    pub fn starting_at(last: Stamp) -> Clock {
        Clock(last.0)
    }

    /// A stamp later than every stamp this clock gave or heard.
    pub fn tick(&mut self, now: Time) -> Stamp {
        self.0 = (self.0 + 1).max((now.0 / 1_000) << 16);
        Stamp(self.0)
    }

    /// Hears another's stamp. One more than five minutes ahead of `now` does not advance this clock.
    pub fn hear(&mut self, now: Time, stamp: Stamp) {
        if stamp.time().since(now) <= STAMP_AHEAD_MICROS {
            self.0 = self.0.max(stamp.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        assert_eq!(Time(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Time(951_782_400 * 1_000_000).rfc3339(), "2000-02-29T00:00:00Z");
        assert_eq!(Time(1_795_162_500 * 1_000_000).rfc3339(), "2026-11-20T08:15:00Z");
    }

    #[test]
    fn a_clock_never_goes_back_and_ignores_the_far_future() {
        let mut clock = Clock::default();
        let first = clock.tick(Time(secs(100)));
        assert!(clock.tick(Time(secs(50))) > first);
        let near = Stamp(((secs(300)) / 1_000) << 16);
        clock.hear(Time(secs(100)), near);
        assert!(clock.tick(Time(secs(100))) > near);
        let far = Stamp(((secs(100) + hours(1)) / 1_000) << 16);
        clock.hear(Time(secs(100)), far);
        assert!(clock.tick(Time(secs(100))) < far);
    }
}
