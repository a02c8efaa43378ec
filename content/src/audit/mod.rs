//! Audit: what was done, by whom, as each bolt saw it.
//!
//! | | |
//! |---|---|
//! | space, shape | `audit/<bolt>`, a log: every entry holds the id of the one before |
//! | writers | that bolt, and nobody else |
//! | readers | bolts |
//! | limits | 14 KiB an entry, so that two fit into a proof of a fork; [`LOG_ENTRIES`] entries of one bolt |
//!
//! Bolts hold each other's logs, and each writes into its own how far it has seen those of the others (*anchors*). So
//! whoever changes a log, cuts it or starts from an old disk is contradicted by every other bolt.
//!
//! **What bounds it.** What needs an operator's signature is one entry each. All else is folded: the first of a kind
//! by somebody is written at once, what follows is counted and written when a window ends, which begins with
//! [`FOLD`] and doubles up to [`LONGEST_FOLD`] as long as it goes on; and kinds that strangers can cause have
//! [`BURST`] entries at once and one more every [`REFILL`], the rest is one entry an hour. A bolt under attack day and
//! night so writes fewer than 700 entries a day of some 300 bytes, and a quiet one some tens.
//!
//! **What is forgotten.** Nothing in this version: an entry stays as long as a bolt's disk holds it. A log that has
//! reached [`LOG_ENTRIES`] takes no more entries, and the bolt says so in its status; it then joins with a new key.
//!
//! An entry is testimony of one bolt: nothing decides by it who may do what. Its texts come from elsewhere: they are
//! bounded and escaped when they are written.

mod schema;
mod view;

pub use schema::{ANCHORS, Anchor, BODY_BYTES, BadEntry, Entry, KINDS, Kind, TEXT, Who};
pub use view::{Alarm, Finding, Row, Verified, rows, verify};

use vigo_base::time::{Micros, hours, mins};

/// Entries that a log may have. At the pace of a bolt under attack that is half a year, else decades.
pub const LOG_ENTRIES: usize = 100_000;
/// How long what is the same is counted before it is written again, at first.
pub const FOLD: Micros = mins(1);
/// How long at most.
pub const LONGEST_FOLD: Micros = hours(6);
/// How many entries of one kind that strangers can cause are written at once.
pub const BURST: u32 = 32;
/// How long until one more may be written.
pub const REFILL: Micros = mins(10);
/// How often anchors are written at most.
pub const ANCHOR_EVERY: Micros = mins(1);
