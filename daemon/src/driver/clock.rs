//! The driver's time: the wall clock when the process began, and from there on steady.
//!
//! Timers must not jump when somebody sets the clock, so [`SteadyClock::now`] never does. What the wall clock
//! says against it is told apart, by [`SteadyClock::jump`]. This is the one place of the driver that reads
//! clocks. Invariant: `now` never goes back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vigo_base::Time;
use vigo_base::time::{Micros, millis, secs};

/// A change of the wall clock that is worth telling, in microseconds.
const JUMP: Micros = millis(500);
/// How often the wall clock is looked at, in microseconds.
const LOOK_EVERY: Micros = secs(1);

/// Counts from the wall clock at its start, steadily.
#[derive(Debug)]
pub struct SteadyClock {
    begin: Time,
    started: Instant,
    looked: Time,
    told: i64,
}

impl SteadyClock {
    /// A clock that begins at the wall clock's time.
    pub fn start() -> SteadyClock {
        let begin = wall();
        SteadyClock { begin, started: Instant::now(), looked: begin, told: 0 }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        let elapsed = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.begin.after(elapsed)
    }

    /// When it began.
    pub fn begin(&self) -> Time {
        self.begin
    }

    /// How long until `deadline`, at most `most`.
    pub fn until(&self, deadline: Option<Time>, most: Duration) -> Duration {
        match deadline {
            Some(at) => Duration::from_micros(at.since(self.now())).min(most),
            None => most,
        }
    }

    /// The wall clock minus this clock, in microseconds, if that has changed since it was last told.
    pub fn jump(&mut self) -> Option<i64> {
        let now = self.now();
        if now.since(self.looked) < LOOK_EVERY {
            return None;
        }
        self.looked = now;
        let offset = i64::try_from(i128::from(wall().0) - i128::from(now.0)).unwrap_or(0);
        if offset.abs_diff(self.told) < JUMP {
            return None;
        }
        self.told = offset;
        Some(offset)
    }
}

/// The wall clock; 1970 if it stands before that.
pub fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward_and_waits_no_longer_than_told() {
        let clock = SteadyClock::start();
        let first = clock.now();
        assert!(clock.now() >= first && first >= clock.begin());
        let second = Duration::from_secs(1);
        assert_eq!(clock.until(None, second), second);
        assert_eq!(clock.until(Some(Time(0)), second), Duration::ZERO);
        assert_eq!(clock.until(Some(clock.now().after(secs(60))), second), second);
    }

    #[test]
    fn a_wall_clock_that_keeps_step_is_not_told() {
        let mut clock = SteadyClock::start();
        assert_eq!(clock.jump(), None);
        clock.looked = Time(0);
        assert_eq!(clock.jump(), None);
        // As if the wall clock had been set an hour ahead since the start.
        clock.begin = Time(clock.begin.0 - secs(3600));
        clock.looked = Time(0);
        let offset = clock.jump().unwrap_or(0);
        assert!(offset.abs_diff(secs(3600) as i64) < millis(100), "{offset}");
        clock.looked = Time(0);
        assert_eq!(clock.jump(), None, "told once");
    }
}
