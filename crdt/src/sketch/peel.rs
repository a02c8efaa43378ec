//! Taking a difference of two sketches apart.
//!
//! [`Sketch::against`] subtracts and peels. It asks for nothing and believes nothing: what it finds is what the other
//! side's cells claim. Invariant: it ends after at most as many members as there are cells, whatever the cells hold.

use std::collections::BTreeSet;

use vigo_base::Hash;

use super::{Cell, Short, Sketch, Walk, check};

/// What two sketches say of the difference between their sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Members that only one of the two has, ascending.
    pub names: Vec<Short>,
    /// Whether nothing was left when these were taken out.
    pub complete: bool,
    /// About how many members differ: as many as were found once it is complete; before that, within a fifth or so with all
    /// counts. At least the difference of the sizes.
    pub estimate: u64,
}

/// Differences by who has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sides {
    /// Keys that only we have, ascending.
    pub have: Vec<Hash>,
    /// Short names of keys that only they have, ascending.
    pub need: Vec<Short>,
}

impl Found {
    /// Whose each of them is, by a look at our own keys.
    pub fn sides(&self, ours: impl IntoIterator<Item = Hash>) -> Sides {
        let (mut have, mut known) = (Vec::new(), BTreeSet::new());
        for key in ours {
            let short = Short::of(&key);
            if self.names.binary_search(&short).is_ok() {
                known.insert(short);
                have.push(key);
            }
        }
        have.sort_unstable();
        Sides { have, need: self.names.iter().filter(|name| !known.contains(name)).copied().collect() }
    }
}

impl Sketch {
    /// What our set and theirs differ by, as far as the shorter of the two sketches tells. Both must have one salt;
    /// if not, nothing is found.
    pub fn against(&self, theirs: &Sketch) -> Found {
        if self.salt != theirs.salt {
            return Found { estimate: u64::MAX, ..Found::default() };
        }
        let guess = self.guess(theirs);
        let pairs = self.cells.iter().zip(&theirs.cells);
        let cells = pairs.map(|(a, b)| Cell { names: a.names ^ b.names, checks: a.checks ^ b.checks });
        let mut rest = Sketch { salt: self.salt, members: 0, cells: cells.collect(), counts: Vec::new() };
        let names = rest.peel();
        let complete = rest.cells.iter().all(|cell| *cell == Cell::default());
        let seen = names.len() as u64;
        Found { names, complete, estimate: if complete { seen } else { guess.max(seen + 1) } }
    }

    /// How many members differ, by the counts alone. In cell `i` each of them lies with probability p = 2 / (2 + i), so the
    /// square of the count's distance from its mean is p (1 - p) for each on average.
    fn guess(&self, theirs: &Sketch) -> u64 {
        let net = i128::from(self.members) - i128::from(theirs.members);
        let square = |(i, (ours, theirs)): (usize, (&i64, &i64))| {
            let (i, count) = (i as i128, i128::from(*ours) - i128::from(*theirs));
            let distance = (2 + i) * count - 2 * net;
            distance.saturating_mul(distance) / (2 * i)
        };
        // In the first few places the probability is a little off.
        let squares: Vec<i128> =
            self.counts.iter().zip(&theirs.counts).enumerate().skip(4).map(square).collect();
        let sum = squares.iter().fold(0i128, |sum, square| sum.saturating_add(*square));
        let mean = sum / (squares.len().max(1) as i128);
        u64::try_from(mean.max(net.abs())).unwrap_or(u64::MAX)
    }

    fn peel(&mut self) -> Vec<Short> {
        let mut found = BTreeSet::new();
        let mut due: Vec<usize> = (0..self.cells.len()).rev().collect();
        while let Some(ix) = due.pop() {
            let Some(cell) = self.cells.get(ix).copied().filter(|cell| *cell != Cell::default()) else {
                continue;
            };
            let member = Short(cell.names);
            let hash = self.salt.hash(member);
            // No honest sketch shows a member twice; going on might not end.
            if check(hash) != cell.checks || found.len() >= self.cells.len() || !found.insert(member) {
                continue;
            }
            let last = self.cells.len();
            due.extend(Walk::new(hash).take_while(|place| *place < last));
            self.turn(member, 0);
        }
        found.into_iter().collect()
    }
}
