//! What one connection can carry: how many requests are kept open to it, and how long an answer may take.
//!
//! The pipeline follows what the peer delivers. It starts at two, grows while answers come as quickly as the
//! best one did, shrinks when they queue up at the peer, and is halved when one does not come at all. Nothing
//! here knows what is asked for.
//!
//! Invariant: `1 <= window <= limits::CHUNKS_IN_FLIGHT`.

use vigo_base::time::{Micros, millis, secs};
use vigo_base::{Dice, Time, limits};

/// Requests open to a peer that has not shown anything yet.
const START: usize = 2;
/// The shortest and the longest wait for an answer before it counts as lost.
const PATIENCE: (Micros, Micros) = (secs(5), secs(30));
/// Answers faster than this never count as queued up.
const QUICK: Micros = millis(20);

/// One connection, as the scheduler sees it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    window: usize,
    in_flight: usize,
    /// The smoothed time of an answer, once there was one.
    usual: Option<Micros>,
    best: Micros,
    timeouts: u32,
    not_before: Time,
}

impl Line {
    pub(super) fn new() -> Line {
        Line { window: START, in_flight: 0, usual: None, best: Micros::MAX, timeouts: 0, not_before: Time(0) }
    }

    /// Whether another request may be sent now.
    pub(super) fn is_free(&self, now: Time) -> bool {
        now >= self.not_before && self.in_flight < self.window
    }

    /// When a line that is being left alone may be used again; none if it is not.
    pub(super) fn back_at(&self, now: Time) -> Option<Time> {
        (self.not_before > now).then_some(self.not_before)
    }

    /// A request was sent.
    pub(super) fn began(&mut self) {
        self.in_flight += 1;
    }

    /// A request ended, however it did.
    pub(super) fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// What was asked for came, `took` after it was asked for.
    pub(super) fn delivered(&mut self, took: Micros) {
        self.timeouts = 0;
        self.best = self.best.min(took.max(1));
        self.usual = Some(self.usual.map_or(took, |usual| usual - usual / 4 + took / 4));
        let base = self.best.max(QUICK);
        if took <= base.saturating_mul(2) {
            self.window = (self.window + 1).min(limits::CHUNKS_IN_FLIGHT);
        } else if took > base.saturating_mul(4) {
            self.window = (self.window - 1).max(START.min(self.window));
            // A path may have become longer for good.
            self.best = self.best.saturating_add(self.best / 16);
        }
    }

    /// An answer did not come: half the window, and a pause that doubles.
    pub(super) fn timed_out(&mut self, now: Time, dice: &mut Dice) {
        self.window = (self.window / 2).max(1);
        let pause = millis(500) << self.timeouts.min(6);
        self.timeouts = self.timeouts.saturating_add(1);
        self.not_before = self.not_before.max(now.after(pause / 2 + dice.below(pause)));
    }

    /// Whether the peer has ever delivered anything.
    pub(super) fn is_proven(&self) -> bool {
        self.usual.is_some()
    }

    /// How long an answer may take before it counts as lost.
    pub(super) fn patience(&self) -> Micros {
        self.usual.map_or(secs(15), |usual| usual.saturating_mul(8).clamp(PATIENCE.0, PATIENCE.1))
    }

    /// How long an answer usually takes: past it, another peer may be asked for one of the last chunks.
    pub(super) fn usual(&self) -> Micros {
        self.usual.unwrap_or(millis(500)).max(millis(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_what_is_delivered() {
        let mut line = Line::new();
        (0..40).for_each(|_| line.delivered(millis(30)));
        assert_eq!(line.window, limits::CHUNKS_IN_FLIGHT);
        (0..40).for_each(|_| line.delivered(millis(300)));
        assert_eq!(line.window, START, "answers queue up at the peer");
        let mut dice = Dice::from_number(1);
        let now = Time(secs(10));
        line.timed_out(now, &mut dice);
        assert_eq!(line.window, 1);
        assert!(!line.is_free(now) && line.back_at(now).is_some());
        let first = line.not_before.since(now);
        (0..20).for_each(|_| line.timed_out(now, &mut dice));
        assert!(line.not_before.since(now) > first && line.not_before.since(now) <= secs(48));
        line.delivered(millis(30));
        assert!(line.window >= 1);
    }

    #[test]
    fn patience_is_bounded_both_ways() {
        let mut line = Line::new();
        line.delivered(1);
        assert_eq!(line.patience(), PATIENCE.0);
        (0..50).for_each(|_| line.delivered(secs(100)));
        assert_eq!(line.patience(), PATIENCE.1);
    }
}
