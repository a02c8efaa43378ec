//! Sessions by sketch: how long a sketch is asked for, and what is made of it.
//!
//! The first sketch is short. What it does not tell it measures, and the next is as long as that calls for. Whatever goes
//! wrong ends in a comparison by ranges, at once or in the next session. Nothing here believes a sketch beyond asking for the
//! records that it names. Invariant: at most [`SKETCHES`] sketches a session, each at most [`limits::SKETCH_CELLS`] long.

use vigo_base::{Outbox, Time, limits};
use vigo_crdt::sketch::{Found, Short, Sketch};

use super::{ANSWER, Act, Key, Pair, Phase, Reconciler, push};

/// Sketches asked for in one session.
const SKETCHES: u32 = 3;
/// Cells of the first sketch: enough for some thirty records that differ, and to measure more.
const FIRST: usize = 64;

/// A sketch that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    cells: usize,
    /// How many were asked for in this session, this one among them.
    times: u32,
}

/// What is done after a sketch.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// What was found is all of it, as far as can be seen; or it is not, but there is no better.
    Settle {
        /// Whether it is known not to be all.
        partly: bool,
    },
    /// A longer one is asked for.
    Ask(Asked),
    /// The sets are compared by ranges.
    Ranges,
}

impl Asked {
    /// The first of a session, for a set of this size of our own: small sets are not worth many cells.
    pub fn first(members: usize) -> Asked {
        Asked { cells: FIRST.min(members.saturating_add(16)), times: 1 }
    }

    /// What is done when a sketch with so many cells came and this was found.
    fn then(self, cells: usize, found: &Found) -> Step {
        if found.complete {
            // Nothing differs, and yet the digests did: the other way knows better.
            return if found.names.is_empty() { Step::Ranges } else { Step::Settle { partly: false } };
        }
        let estimate = usize::try_from(found.estimate).unwrap_or(usize::MAX);
        // Some 1.4 cells are needed for each. A first measure is a fifth off as often as not, a later one was not enough.
        let wanted = match self.times {
            1 => estimate.saturating_mul(2).saturating_add(32).max(self.cells * 2),
            _ => (estimate.saturating_mul(3) / 2).max(self.cells * 3 / 2).saturating_add(64),
        };
        let hopeless = estimate.saturating_mul(7) / 5 > limits::SKETCH_CELLS;
        let cells_next = wanted.min(limits::SKETCH_CELLS);
        if !hopeless && cells >= self.cells && self.times < SKETCHES && cells_next > self.cells {
            return Step::Ask(Asked { cells: cells_next, times: self.times + 1 });
        }
        // A few that lie open in a great difference are not worth a session.
        if self.times == 1 || found.names.is_empty() { Step::Ranges } else { Step::Settle { partly: true } }
    }
}

impl Reconciler {
    /// Asks for a sketch.
    pub(super) fn ask(&mut self, now: Time, key: Key, asked: Asked, out: &mut Outbox<Act>) {
        let Some(Pair { phase: Phase::Open(session), .. }) = self.pairs.get_mut(&key) else { return };
        session.asked = Some(asked);
        self.set_timer(&key, now.after(ANSWER));
        out.push(Act::Sketch(key.0, key.1, asked.cells as u32));
    }

    /// A sketch came.
    pub(super) fn sketched(&mut self, now: Time, key: Key, answer: &[u8], out: &mut Outbox<Act>) {
        let Some(Pair { phase: Phase::Open(session), .. }) = self.pairs.get_mut(&key) else { return };
        // An answer that nobody waits for is late, not wrong.
        let Some(asked) = session.asked else { return };
        session.rounds += 1;
        let theirs = match Sketch::decode(answer) {
            Ok(sketch) if sketch.cells() <= asked.cells => sketch,
            bad => {
                let why = if bad.is_ok() { "a sketch longer than asked for" } else { "a malformed sketch" };
                out.push(Act::Blame(key.0, why));
                self.stop(now, &key);
                return;
            }
        };
        let sealed = session.sealed.clone();
        let ours = Sketch::of(theirs.salt(), theirs.cells(), sealed.keys().map(|key| Short::of(&key)));
        let found = ours.against(&theirs);
        match asked.then(theirs.cells(), &found) {
            Step::Ask(asked) => self.ask(now, key, asked, out),
            Step::Ranges => self.by_ranges(now, key, out),
            Step::Settle { partly } => {
                let sides = found.sides(sealed.keys());
                session.note(found.names.iter().copied());
                push(&key, &sides.have, out);
                for names in sides.need.chunks(limits::WANT_RECORDS) {
                    out.push(Act::WantShort(key.0, key.1.clone(), names.to_vec()));
                }
                // Two of one side with one short name are in neither list, but they were counted.
                let net = ours.members().wrapping_sub(theirs.members());
                let told = (sides.have.len() as u64).wrapping_sub(sides.need.len() as u64);
                if let Some(pair) = self.pairs.get_mut(&key) {
                    pair.doubt |= partly || net != told;
                }
                self.done(now, key, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(complete: bool, names: u64, estimate: u64) -> Found {
        Found { names: (0..names).map(Short).collect(), complete, estimate }
    }

    #[test]
    fn small_sets_ask_for_small_sketches() {
        assert_eq!([0, 10, 1_000_000].map(|members| Asked::first(members).cells), [16, 26, FIRST]);
    }

    #[test]
    fn the_next_sketch_is_as_long_as_the_estimate_calls_for() {
        let first = Asked::first(1_000);
        assert_eq!(first.then(64, &found(true, 7, 7)), Step::Settle { partly: false });
        assert_eq!(first.then(64, &found(true, 0, 0)), Step::Ranges);
        assert_eq!(first.then(64, &found(false, 3, 1_000)), Step::Ask(Asked { cells: 2_032, times: 2 }));
        assert_eq!(first.then(64, &found(false, 0, 3_000)), Step::Ask(Asked { cells: 5_000, times: 2 }));
        assert_eq!(first.then(64, &found(false, 3, 4_000)), Step::Ranges, "more than a sketch tells");
        assert_eq!(first.then(64, &found(false, 3, u64::MAX)), Step::Ranges);
        assert_eq!(first.then(40, &found(false, 3, 50)), Step::Ranges, "they give no more");
    }

    #[test]
    fn sketches_grow_and_come_to_an_end() {
        let mut asked = Asked::first(1_000);
        let mut asks = 1;
        while let Step::Ask(next) = asked.then(asked.cells, &found(false, 5, 6)) {
            assert!(next.cells > asked.cells && next.cells <= limits::SKETCH_CELLS);
            (asked, asks) = (next, asks + 1);
        }
        assert_eq!(asks, SKETCHES);
        assert_eq!(asked.then(asked.cells, &found(false, 5, 6)), Step::Settle { partly: true });
        assert_eq!(asked.then(asked.cells, &found(false, 0, 6)), Step::Ranges);
    }
}
