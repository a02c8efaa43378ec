//! Names for what a node talks over and what it waits for.
//!
//! A [`ConnId`] is one connection to one peer, an [`OpId`] one effect that was begun and whose answer carries it
//! back. Both are plain numbers given out by whoever owns the counter; they are never reused while a node runs
//! and never leave the machine.

use serde::{Deserialize, Serialize};

/// One connection on the peer channel. The driver numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnId(pub u64);

/// One effect that was begun. The answer to it carries the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u64);
