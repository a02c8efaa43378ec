//! A virtual world that runs whole fleets in one thread, with the very logic we ship.
//!
//! - a **[`World`]** is a clock and a queue of events, nothing more;
//! - a **[`Fleet`]** is nodes in a world: each a [`vigo_node::Node`] with a disk, blobs and a fake host, joined by
//!   links with delay that can be cut;
//! - a **story** reads as one: `fleet.publish(..)`, `fleet.elapse(secs(5))`, `fleet.converged(..)`.
//!
//! - a **[`Scenario`]** is a random life of a fleet from a seed: deeds, faults, then quiet, checked against a model.
//!
//! Everything random comes from one seed; [`Fleet::trace`] is a hash over everything that happened, and the same
//! seed gives the same trace. What is modelled and what is shipped code stands in `docs/simulation.md`: the nodes
//! are the shipped ones; network, disk, power, clocks and driver are modelled, and faults are only such as the real
//! ones have. Connections are made without TLS: a peer's key is what it says.
//!
//! What this crate never does: read a clock, draw real randomness, or touch a disk, a socket or this machine.

mod audit;
mod bulk;
pub mod crowd;
mod disk;
mod driver;
mod faults;
pub mod file;
mod fleet;
mod gossipsub;
mod hostile;
mod lan;
mod machine;
mod mesh;
mod meter;
mod mixed;
mod model;
mod names;
mod net;
mod operator;
pub mod report;
mod scenario;
mod transfer;
mod watch;
mod world;

pub use audit::Known;
pub use disk::{Disk, Nature, Rot};
pub use faults::{Rates, Skew};
pub use fleet::Fleet;
pub use hostile::Behaviour;
pub use machine::{Machine, Power};
pub use meter::{Figures, Planes, Spread};
pub use net::Links;
pub use operator::Published;
pub use scenario::{
    Act, Broken, CHECKS, Check, Checks, DEEDS, Deed, Kept, Life, Outcome, Plan, Scenario, Step, Work,
};
pub use watch::{Course, Seen};
pub use world::World;

/// The index of a machine in its fleet.
pub type Ix = usize;
