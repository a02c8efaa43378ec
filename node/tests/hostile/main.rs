//! Hostile peers: what an admitted node gone bad, a stranger, a revoked or a suspended one can send to a node, and
//! what a local caller without rights can ask of it. Everything goes through the public contract of [`Node`]:
//! inputs in, outputs out, and a second life booted from what was persisted.
//!
//! [`Node`]: vigo_node::Node

mod authority;
mod door;
mod flood;
mod forge;
mod frames;
mod gossip;
mod mutants;
mod records;
mod rig;
mod sketch;
