//! An operator on this machine: the key file, and what is signed with it.
//!
//! Signing is pure and lives in [`vigo_node::sign`]; the key file is here. Nothing is sent: what comes out is to be
//! handed to a node.

pub mod keyfile;

pub use vigo_node::sign::*;
