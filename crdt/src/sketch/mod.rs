//! Making two sets of names equal when few of them differ, wherever these lie: rateless sketches.
//!
//! A [`Sketch`] is a row of cells. Every member of a set is added (XOR) to the first cell and to ever fewer of the later ones;
//! which, a generator says that its keyed hash seeds. What two sets share vanishes when one sketch is taken from the other, and
//! what is left is *peeled*: a cell that holds one member gives it away, it is taken out of its other cells, and so on
//! ([`Sketch::against`]). About 1.4 cells for each difference are enough, whatever the size of the sets. A longer sketch
//! begins with the shorter one, so one sketch that is kept up to date answers everybody. After Yang, Gilad and
//! Alizadeh, "Practical Rateless Set Reconciliation" (SIGCOMM 2024), with the mapping of its section 4.2 and three choices of our own:
//!
//! - **Members are [`Short`] names**, the first eight bytes of a key. Whoever finds that it lacks one asks for it by that name and
//!   judges what comes as any record; a short name decides nothing.
//! - **Whether a cell holds one member is told by its check alone**, and whose it is by asking who has it. Counts of members
//!   are there in the first [`COUNTED`] cells only, as distances from what a set of that size would put there: the squares of the
//!   differences between two such rows say how many members differ before anything can be peeled
//!   ([`Found::estimate`]), so that nothing is sent for an estimate alone.
//! - **A sketch is one message** ([`limits::SKETCH_CELLS`]), whole in itself: who answers keeps nothing of a conversation,
//!   and no record that comes in between makes two parts disagree. What does not fit in one is for
//!   [`reconcile`](crate::reconcile).
//!
//! **Who could make it fail.** Keys are SHA-256 of what their authors write, and authors can try many. Cells are chosen, and
//! members told apart, by SipHash-2-4 under a [`Salt`] that the answering node draws anew every hour and tells only
//! to those that ask. An author who does not know it can choose neither the cells nor the checks of a record. What is left is
//! two records with one short name: of two of its own (2^32 tries), or of one of its own and some other (2^44 among a
//! million). Where both are missing they hide each other, and nothing else; mostly the counts of members tell. An author that is a peer as well can ask for the salt
//! and make records of its own that share all their cells: those stay unpeeled, all others come out. In each case digests go on
//! differing, and the next comparison is one by ranges, which knows no such trick. So the worst that ids can do is one comparison
//! more; nothing is lost, and nothing is taken for equal that is not.
//!
//! **Who could make it costly.** The one that answers copies a row it keeps. The one that asked works in proportion to its own
//! set, a bounded number of times in a session; a sketch that is garbage ends in [`BadSketch`] or in nothing found.
//! Cells, members found and steps are bounded by the cells that came; counts by the size that was claimed.
//!
//! It holds no records, draws no salt and knows no time. Invariant: a sketch is a function of its salt, its length and the set,
//! not of the order in which members came and went.

use siphasher::sip::SipHasher24;
use vigo_base::{Hash, limits};

mod peel;
#[cfg(test)]
mod tests;
mod walk;
mod wire;

pub use peel::Found;
pub use wire::BadSketch;

use walk::Walk;

/// What cells and checks depend on besides the members; the one that answers chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Salt(pub [u8; 16]);

/// The first eight bytes of a key: enough to ask for a record, never to decide something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Short(pub u64);

/// The bytes of a [`Short`] on the wire.
pub const SHORT_BYTES: usize = 8;
/// Cells that count their members, from the first one on.
pub const COUNTED: usize = 64;

/// The sum of the members that fall into one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cell {
    /// The short names, by XOR.
    names: u64,
    /// Their checks, by XOR.
    checks: u32,
}

/// A sketch of a set under a salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    salt: Salt,
    members: u64,
    cells: Vec<Cell>,
    /// How many members there are in each of the first cells.
    counts: Vec<i64>,
}

impl Short {
    /// The short name of a key.
    pub fn of(key: &Hash) -> Short {
        let [a, b, c, d, e, f, g, h, ..] = key.0;
        Short(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The least and the greatest key with this short name.
    pub fn range(self) -> std::ops::RangeInclusive<Hash> {
        let filled = |rest: u8| {
            let mut bytes = [rest; 32];
            bytes[..SHORT_BYTES].copy_from_slice(&self.0.to_be_bytes());
            Hash(bytes)
        };
        filled(0)..=filled(0xff)
    }
}

impl Salt {
    /// The keyed hash of a member: it seeds the walk over the cells, and its upper half is the check.
    fn hash(&self, member: Short) -> u64 {
        SipHasher24::new_with_key(&self.0).hash(&member.0.to_le_bytes())
    }
}

/// The check of a member with this keyed hash.
fn check(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Cell {
    /// Takes a member in, or out: it is the same.
    fn turn(&mut self, member: Short, hash: u64) {
        self.names ^= member.0;
        self.checks ^= check(hash);
    }
}

impl Sketch {
    /// A sketch of `members` with this many cells, at most [`limits::SKETCH_CELLS`] and at least one. Each member is
    /// given once. Takes some 15 steps for each member.
    pub fn of(salt: Salt, cells: usize, members: impl IntoIterator<Item = Short>) -> Sketch {
        let cells = vec![Cell::default(); cells.clamp(1, limits::SKETCH_CELLS)];
        let counts = vec![0; cells.len().min(COUNTED)];
        let mut sketch = Sketch { salt, members: 0, cells, counts };
        members.into_iter().for_each(|member| sketch.add(member));
        sketch
    }

    /// What the cells depend on besides the members.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// How many cells there are.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// How many members the set has.
    pub fn members(&self) -> u64 {
        self.members
    }

    /// Takes in a member that was not there.
    pub fn add(&mut self, member: Short) {
        self.members = self.members.saturating_add(1);
        self.turn(member, 1);
    }

    /// Takes out a member that was there.
    pub fn remove(&mut self, member: Short) {
        self.members = self.members.saturating_sub(1);
        self.turn(member, -1);
    }

    fn turn(&mut self, member: Short, count: i64) {
        let hash = self.salt.hash(member);
        for ix in Walk::new(hash) {
            let Some(cell) = self.cells.get_mut(ix) else { return };
            cell.turn(member, hash);
            if let Some(counted) = self.counts.get_mut(ix) {
                *counted += count;
            }
        }
    }
}
