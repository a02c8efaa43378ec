//! What gossipsub is set to in the daemon (`daemon/src/gossip/config.rs`, and gossipsub's own defaults where nothing is
//! set there), for both models of it: of fleets ([`crate::mesh`], [`crate::names`]) and of crowds (`crowd/mesh.rs`).
//!
//! Numbers only. Invariant: what both models have, they have alike.

use vigo_base::time::{Micros, secs};

/// Links in the mesh: wanted, at least, at most.
pub(crate) const MESH: (usize, usize, usize) = (6, 4, 12);
/// Time between two heartbeats.
pub(crate) const BEAT: Micros = secs(1);
/// Heartbeats whose messages are told of, and kept.
pub(crate) const HISTORY: (u32, u32) = (3, 5);
/// Links outside the mesh that are told names: at least, and one in so many.
pub(crate) const LAZY: (usize, usize) = (6, 4);
/// How long nobody else is asked for the same.
pub(crate) const ASKED: Micros = secs(3);
/// How long a pruned link stays out of the mesh.
pub(crate) const BACKOFF: Micros = secs(30);
/// Messages on their way on one link; more are dropped.
pub(crate) const QUEUE: u16 = 64;
/// Bytes of one message's name, and of the frame around names.
pub(crate) const NAME: (u64, u64) = (22, 44);
