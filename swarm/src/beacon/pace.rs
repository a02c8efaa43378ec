//! When a node speaks.
//!
//! At the start and when an interface appears a short burst, since packets get lost; soon after somebody asked or
//! something changed; otherwise every half minute, and less often on a large LAN. It decides when, never what.
//!
//! Invariant: between two moments of speaking lies at least [`GAP`], whatever is heard.

use vigo_base::time::{Micros, millis, mins, secs};
use vigo_base::{Dice, Time};

/// Between two moments of speaking, at least.
const GAP: Micros = secs(1);
/// Mean time between two on a small LAN.
const USUAL: Micros = secs(30);
/// The longest mean time, on a very large one.
const LONGEST: Micros = mins(10);
/// A LAN of `n` nodes hears one packet in this time at most: `n` of these make the mean time between two.
const SHARE: Micros = millis(250);
/// Steps of the burst.
const BURST: [Micros; 3] = [millis(300), secs(1), secs(4)];
/// So many others that answer before us are enough.
const ENOUGH: u32 = 4;

/// When to speak next.
#[derive(Debug)]
pub struct Pace {
    dice: Dice,
    next: Option<Time>,
    last: Option<Time>,
    burst: usize,
    /// An answer that may turn out to be needless: when, and how many others have answered since.
    answer: Option<(Time, u32)>,
}

impl Pace {
    /// Nothing is due.
    pub fn new(dice: Dice) -> Pace {
        Pace { dice, next: None, last: None, burst: BURST.len(), answer: None }
    }

    /// Speak now, and a few times more.
    pub fn burst(&mut self, now: Time) {
        self.burst = 0;
        self.soon(now, BURST[0]);
    }

    /// Speak within so long, or as soon as the gap allows.
    pub fn soon(&mut self, now: Time, within: Micros) {
        let at = now.after(self.dice.below(within + 1)).max(self.earliest(now));
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Answer within so long, unless enough others do before.
    pub fn answer(&mut self, now: Time, within: Micros) {
        if self.answer.is_none() {
            let at = now.after(self.dice.below(within + 1)).max(self.earliest(now));
            self.answer = Some((at, 0));
        }
    }

    /// Somebody else has spoken.
    pub fn heard_another(&mut self) {
        if let Some((_, others)) = &mut self.answer {
            *others += 1;
            if *others >= ENOUGH {
                self.answer = None;
            }
        }
    }

    /// Whether to speak now.
    pub fn is_due(&self, now: Time) -> bool {
        self.next_wake().is_some_and(|at| at <= now)
    }

    /// When [`Pace::is_due`] will hold.
    pub fn next_wake(&self) -> Option<Time> {
        self.next.into_iter().chain(self.answer.map(|(at, _)| at)).min()
    }

    /// Spoken; `neighbours` are on this LAN. `seeking` speaks more often, ever less so.
    pub fn spoken(&mut self, now: Time, neighbours: usize, seeking: Option<u32>) {
        self.burst = (self.burst + 1).min(BURST.len());
        let mean = match (BURST.get(self.burst), seeking) {
            (Some(step), _) => *step,
            (None, Some(times)) => (secs(4) << times.min(3)).min(USUAL),
            (None, None) => (neighbours as u64 * SHARE).clamp(USUAL, LONGEST),
        };
        let pause = mean * 3 / 4 + self.dice.below(mean / 2 + 1);
        self.last = Some(now);
        self.answer = None;
        self.next = Some(now.after(pause).max(self.earliest(now)));
    }

    /// Nothing is due any more.
    pub fn hush(&mut self) {
        (self.next, self.answer) = (None, None);
    }

    fn earliest(&self, now: Time) -> Time {
        match self.last {
            Some(last) if last <= now => last.after(GAP),
            _ => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(pace: &mut Pace, now: &mut Time, until: Time, neighbours: usize) -> Vec<Time> {
        let mut out = Vec::new();
        while let Some(at) = pace.next_wake().filter(|at| *at <= until) {
            *now = at;
            assert!(pace.is_due(at));
            pace.spoken(at, neighbours, None);
            out.push(at);
        }
        out
    }

    #[test]
    fn a_burst_then_every_half_minute_and_less_on_a_large_lan() {
        let mut pace = Pace::new(Dice::from_number(1));
        let mut now = Time(secs(1));
        pace.burst(now);
        let first = spoken(&mut pace, &mut now, Time(secs(11)), 3);
        assert_eq!(first.len(), 3, "{first:?}");
        let ten = spoken(&mut pace, &mut now, Time(secs(611)), 3).len();
        assert!((16..=26).contains(&ten), "{ten}");
        let begun = now;
        let large = spoken(&mut pace, &mut now, begun.after(mins(60)), 1_000).len();
        assert!((10..=20).contains(&large), "{large} in an hour on a LAN of a thousand");
    }

    #[test]
    fn whatever_is_asked_there_is_a_gap() {
        let mut pace = Pace::new(Dice::from_number(2));
        let (mut now, mut times) = (Time(secs(1)), Vec::new());
        for _ in 0..10_000 {
            now = now.after(millis(1));
            pace.soon(now, millis(5));
            pace.answer(now, millis(5));
            if pace.is_due(now) {
                pace.spoken(now, 1, Some(0));
                times.push(now);
            }
        }
        assert!(times.len() <= 11 && times.windows(2).all(|two| two[1].since(two[0]) >= GAP), "{times:?}");
    }

    #[test]
    fn an_answer_that_others_gave_is_not_given() {
        let mut pace = Pace::new(Dice::from_number(3));
        pace.answer(Time(0), secs(5));
        assert!(pace.next_wake().is_some());
        (0..ENOUGH).for_each(|_| pace.heard_another());
        assert_eq!(pace.next_wake(), None);
    }
}
