//! A sketch as bytes.
//!
//! The salt; the number of members; for each cell eight bytes of names and four of checks; and for those that count, right
//! behind it, the count as its distance from what is expected of a set of this size, folded so that small distances of
//! either sign are one byte. Numbers are in groups of seven bits, lowest first. Invariant: a sketch has one encoding,
//! and decoding allocates no more than the bytes that came call for.

use vigo_base::limits;

use super::{COUNTED, Cell, Salt, Sketch};

/// The largest set that a sketch may claim to be of.
const MEMBERS: u64 = 1 << 32;
/// The bytes of the largest number: a distance of two such sets.
const NUMBER_BYTES: usize = 5;
/// The fewest bytes of a cell.
const CELL_BYTES: usize = 8 + 4;

/// Bytes that are no sketch: the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSketch {
    /// They end in the middle of something.
    #[error("malformed sketch: it ends within {what}")]
    Cut {
        /// What was not whole.
        what: &'static str,
    },
    /// A number that is spelled longer than it must be, or is larger than it may be.
    #[error("malformed sketch: {what} is no number of at most {NUMBER_BYTES} bytes in its shortest spelling")]
    BadNumber {
        /// Which number.
        what: &'static str,
    },
    /// More cells than a sketch has.
    #[error("malformed sketch: more than {most} cells")]
    TooLong {
        /// How many there may be.
        most: usize,
    },
    /// A set too large to be real.
    #[error("malformed sketch: a set of {found} members, at most {MEMBERS} are expected")]
    TooLarge {
        /// How many it claims.
        found: u64,
    },
    /// A cell cannot hold more members than the set has, and the first holds all.
    #[error("malformed sketch: cell {cell} counts {found} of {members} members")]
    BadCount {
        /// Which cell.
        cell: usize,
        /// What it counts.
        found: i64,
        /// The size of the set.
        members: u64,
    },
}

impl Sketch {
    /// The bytes of the first `cells` cells, at least one: 12 for each, and some 160 beside.
    pub fn encode(&self, cells: usize) -> Vec<u8> {
        let cells = &self.cells[..cells.clamp(1, self.cells.len())];
        let mut out = Vec::with_capacity(32 + 3 * COUNTED + cells.len() * CELL_BYTES);
        out.extend_from_slice(&self.salt.0);
        put(&mut out, self.members);
        for (ix, cell) in cells.iter().enumerate() {
            out.extend_from_slice(&cell.names.to_be_bytes());
            out.extend_from_slice(&cell.checks.to_be_bytes());
            if let Some(count) = self.counts.get(ix) {
                put(&mut out, fold(count - expected(self.members, ix)));
            }
        }
        out
    }

    /// Reads a sketch.
    ///
    /// # Errors
    /// [`BadSketch`], the sender's fault.
    pub fn decode(bytes: &[u8]) -> Result<Sketch, BadSketch> {
        let (salt, mut rest) = bytes.split_first_chunk().ok_or(BadSketch::Cut { what: "the salt" })?;
        let members = take(&mut rest, "the number of members")?;
        if members > MEMBERS {
            return Err(BadSketch::TooLarge { found: members });
        }
        let mut cells = Vec::with_capacity((rest.len() / CELL_BYTES).min(limits::SKETCH_CELLS));
        let mut counts = Vec::new();
        while !rest.is_empty() || cells.is_empty() {
            if cells.len() >= limits::SKETCH_CELLS {
                return Err(BadSketch::TooLong { most: limits::SKETCH_CELLS });
            }
            let ix = cells.len();
            cells.push(cell(&mut rest)?);
            if ix < COUNTED {
                counts.push(count(&mut rest, members, ix)?);
            }
        }
        Ok(Sketch { salt: Salt(*salt), members, cells, counts })
    }
}

fn cell(rest: &mut &[u8]) -> Result<Cell, BadSketch> {
    let cut = BadSketch::Cut { what: "a cell" };
    let (names, after) = rest.split_first_chunk().ok_or(cut.clone())?;
    let (checks, after) = after.split_first_chunk().ok_or(cut)?;
    *rest = after;
    Ok(Cell { names: u64::from_be_bytes(*names), checks: u32::from_be_bytes(*checks) })
}

fn count(rest: &mut &[u8], members: u64, cell: usize) -> Result<i64, BadSketch> {
    let count = unfold(take(rest, "a count")?) + expected(members, cell);
    let within = u64::try_from(count).is_ok_and(|count| count <= members && (cell > 0 || count == members));
    if within { Ok(count) } else { Err(BadSketch::BadCount { cell, found: count, members }) }
}

/// How many members of a set of this size the cell holds on average.
fn expected(members: u64, cell: usize) -> i64 {
    (2 * members / (cell as u64 + 2)) as i64
}

/// Numbers of either sign by size: 0, -1, 1, -2, 2, ...
fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unfold(number: u64) -> i64 {
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8], what: &'static str) -> Result<u64, BadSketch> {
    let mut number = 0;
    for at in 0..NUMBER_BYTES {
        let (byte, after) = rest.split_first().ok_or(BadSketch::Cut { what })?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            if *byte == 0 && at > 0 {
                break;
            }
            return Ok(number);
        }
    }
    Err(BadSketch::BadNumber { what })
}
