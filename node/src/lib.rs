//! One node of a fleet, whole and pure.
//!
//! `node` is what `simnet` simulates and what the daemon ships. Its contract is two enums, [`Input`] and
//! [`Output`], and one rule for whoever drives it (see [`io`]): outputs are performed in order, and nothing behind
//! an [`Output::Persist`] happens before that is durable.
//!
//! A node is started from a [`Boot`] by [`Node::boot`]; a fleet from nothing by [`found()`]; a fleet that lost its
//! bolts by [`restore`].
//!
//! What this crate never does: read a clock, draw randomness, touch a disk, a socket or the machine it runs on.

mod audit;
mod beacon;
pub mod boot;
pub mod command;
mod commands;
mod content;
mod discover;
mod enrol;
mod follow;
mod forks;
mod found;
mod gossip;
mod intake;
pub mod io;
mod load;
mod node;
pub mod release;
mod session;
pub mod sign;
mod skew;
mod start;
mod sync;
mod tell;
mod trust;
pub mod warrant;

pub use boot::{BadBoot, Boot, Join, Lan, Options};
pub use command::{Command, Refusal, RefusalKind, Reply};
pub use found::{CannotFound, Founded, Founding, Restoring, found, restore, statements};
pub use io::{
    Answer, AskId, Caller, CommandId, Done, Effect, Event, Failed, FoundFleet, Input, NotRun, Outlined,
    Output, StoreOp, Way,
};
pub use load::Load;
pub use node::Node;

// What a driver needs beside, so that it depends on this crate alone.
pub use vigo_content as content_types;
pub use vigo_crdt as crdt;
pub use vigo_spanner as spanner;
pub use vigo_stacks as stacks;
pub use vigo_swarm as swarm;
