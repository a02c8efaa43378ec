//! What can be seen of a run while it lasts: how far it is, how many nodes are on, agree and are current.
//!
//! A [`Course`] remembers it for a plot, thinned so that its size is bounded. Looking changes nothing in a run.

use vigo_base::time::Micros;

/// Points that a course keeps at most, and things that happened.
const POINTS: usize = 600;
const MARKS: usize = 400;

/// A fleet at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Virtual time since the beginning, in microseconds.
    pub at: Micros,
    /// How much of it there will be about, in microseconds.
    pub of: Micros,
    /// Events that have happened.
    pub events: u64,
    /// Members in standing.
    pub nodes: usize,
    /// Those that run.
    pub on: usize,
    /// The most of those that run which hold the same records.
    pub agree: usize,
    /// Those that have run the newest configuration that anybody ran.
    pub current: usize,
    /// What happened at this moment.
    pub mark: Option<String>,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The fleet at moments of the run, in order.
    pub points: Vec<Seen>,
    /// What happened, and when; the first of them if they are many.
    pub marks: Vec<(Micros, String)>,
    /// Only one of so many moments is kept.
    every: usize,
    seen: usize,
}

impl Default for Course {
    fn default() -> Course {
        Course { points: Vec::new(), marks: Vec::new(), every: 1, seen: 0 }
    }
}

impl Course {
    /// Remembers a moment.
    pub fn see(&mut self, seen: &Seen) {
        if let Some(mark) = &seen.mark {
            if self.marks.len() < MARKS {
                self.marks.push((seen.at, mark.clone()));
            }
            return;
        }
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every) {
            return;
        }
        self.points.push(seen.clone());
        if self.points.len() >= POINTS {
            let mut n = 0;
            self.points.retain(|_| {
                n += 1;
                n % 2 == 0
            });
            self.every *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_bounded_and_reaches_from_end_to_end() {
        let mut course = Course::default();
        for at in 0..100_000 {
            course.see(&Seen { at, ..Seen::default() });
        }
        assert!(course.points.len() < POINTS && course.points.len() > POINTS / 4);
        assert!(course.points[0].at < 1_000 && course.points.last().unwrap().at > 99_000);
        let gaps: Vec<u64> = course.points.windows(2).map(|w| w[1].at - w[0].at).collect();
        assert!(gaps.iter().all(|gap| *gap == gaps[0]), "even steps");
    }
}
