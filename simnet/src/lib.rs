//! A virtual world that runs whole fleets in one thread, with the very logic we ship.
//!
//! - a **[`World`]** is a clock and a queue of events, nothing more;
//! - a **[`Fleet`]** is nodes in a world: each a [`vigo_node::Node`] with a disk, blobs and a fake host, joined by
//!   links with delay that can be cut;
//! - a **story** reads as one: `fleet.publish(..)`, `fleet.elapse(secs(5))`, `fleet.converged(..)`.
//!
//! Everything random comes from one seed; [`Fleet::trace`] is a hash over everything that happened, and the same
//! seed gives the same trace. What is modelled and not shipped: the network (ordered, delayed delivery on
//! connections, cut links that time out), the disk (commits are atomic and durable; what was not committed when
//! the machine lost power is gone), time. Connections are made without TLS: a peer's key is what it says.
//!
//! What this crate never does: read a clock, draw real randomness, or touch a disk, a socket or this machine.

mod audit;
mod faults;
mod fleet;
mod machine;
mod model;
mod net;
mod operator;
mod scenario;
mod world;

pub use audit::Known;
pub use faults::Skew;
pub use fleet::Fleet;
pub use machine::{Machine, Power};
pub use operator::Published;
pub use scenario::{Broken, Outcome, Scenario, Size};
pub use world::World;

/// The index of a machine in its fleet.
pub type Ix = usize;
