//! Whether this machine's clock is right, by those of the members that are connected.
//!
//! Members tell each other what their clocks show, with every ping. When more than half of those that did differ from ours
//! in one direction by more than five minutes, somebody should look: `vigo status` warns, and the log says it once.
//! Nobody's clock is set, and nothing is decided by this: invites end and records are ordered as before. A lone liar
//! cannot raise the warning where two others are connected, and what is said is bounded to one number a session.

use vigo_base::time::{Micros, mins};
use vigo_base::{Time, limits};
use vigo_swarm::frame::Frame;
use vigo_swarm::ids::ConnId;

use crate::node::{Node, Out};

/// The warning's name.
const WARNING: &str = "clock";
/// Below this a clock that was wrong is right again: less than what makes it wrong, so that it is not said time and again.
const RIGHT: Micros = limits::STAMP_AHEAD_MICROS - mins(1);

/// What the clocks of others show against ours, in microseconds ahead of it; how far ours is off, if it is.
fn judge(theirs: &mut [i64], least: Micros) -> Option<(i64, usize)> {
    theirs.sort_unstable();
    let off = |ahead: &&i64| ahead.unsigned_abs() > least;
    let (behind, ahead) = (
        theirs.iter().filter(off).filter(|a| **a < 0).count(),
        theirs.iter().filter(off).filter(|a| **a > 0).count(),
    );
    let most = behind.max(ahead);
    // With more than half of them on one side the middle one is on it.
    let middle = theirs.get(theirs.len() / 2).copied()?;
    (most * 2 > theirs.len()).then_some((middle, most))
}

impl Node {
    /// Says what our clock shows.
    pub(crate) fn tell_clock(&self, now: Time, conn: ConnId, out: &mut Out) {
        self.send(conn, &Frame::Clock(self.wall(now)), out);
    }

    /// A member says what its clock shows.
    pub(crate) fn clock_heard(&mut self, now: Time, conn: ConnId, shows: Time) {
        let Some(session) = self.sessions.get_mut(&conn).filter(|s| s.member().is_some()) else { return };
        session.clock = Some(i64::try_from(i128::from(shows.0) - i128::from(now.0)).unwrap_or(i64::MAX));
    }

    /// Compares; for as long as nobody is connected what was found last stands.
    pub(crate) fn compare_clocks(&mut self, out: &mut Out) {
        let ours = self.wall_offset;
        let told = self.sessions.values().filter(|s| s.member().is_some()).filter_map(|s| s.clock);
        let mut theirs: Vec<i64> = told.map(|theirs| theirs.saturating_sub(ours)).collect();
        if theirs.is_empty() {
            return;
        }
        let was = self.warnings.contains_key(WARNING);
        let least = if was { RIGHT } else { limits::STAMP_AHEAD_MICROS };
        match judge(&mut theirs, least) {
            Some((ahead, most)) => {
                let text = in_words(ahead, most, theirs.len());
                if !was {
                    self.note(text.clone(), out);
                }
                self.warnings.insert(WARNING, text);
            }
            None if was => {
                self.warnings.remove(WARNING);
                self.note("this machine's clock agrees with those of other members again", out);
            }
            None => {}
        }
    }
}

fn in_words(ahead: i64, most: usize, of: usize) -> String {
    let minutes = ahead.unsigned_abs().saturating_add(mins(1) / 2) / mins(1);
    let long = match minutes {
        0..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", (minutes + 30) / 60),
        _ => format!("{} days", (minutes + 720) / 1440),
    };
    let side = if ahead > 0 { "behind" } else { "ahead of" };
    format!(
        "this machine's clock is about {long} {side} those of {most} of the {of} connected members: if it is wrong, set it, and keep it right by a time service (`apt install chrony`; `timedatectl` shows the state)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::time::secs;

    #[test]
    fn a_majority_on_one_side_is_needed() {
        let least = limits::STAMP_AHEAD_MICROS;
        let m = mins(1) as i64;
        for (theirs, found) in [
            (&[][..], None),
            (&[5 * m], None),
            (&[-5 * m], None),
            (&[6 * m], Some((6 * m, 1))),
            (&[6 * m, 0], None),
            (&[i64::MAX, 0, 1], None),
            (&[-6 * m, 6 * m, 0], None),
            (&[-6 * m, 6 * m], None),
            (&[-90 * m, -91 * m, 6 * m], Some((-90 * m, 2))),
            (&[7 * m, 0, 8 * m, i64::MIN, 9 * m], Some((7 * m, 3))),
        ] {
            assert_eq!(judge(&mut theirs.to_vec(), least), found, "{theirs:?}");
        }
    }

    #[test]
    fn it_says_how_far_and_on_which_side() {
        let at = |seconds: u64| secs(seconds) as i64;
        for (ahead, words) in [
            (at(360), "about 6 minutes behind those of 2 of the 3 "),
            (1 - at(7200), "about 2 hours ahead of those"),
            (at(86_400 * 400), "about 400 days behind"),
        ] {
            assert!(in_words(ahead, 2, 3).contains(words), "{}", in_words(ahead, 2, 3));
        }
    }
}
