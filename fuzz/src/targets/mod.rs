//! The targets, one file each. A decoder that a peer reaches belongs to one of them: tests/tidy/decoders.rs holds the
//! table and fails when a new one is missing there.

mod applier;
mod beacon;
mod command;
mod envelope;
mod frame;
mod lookup;
mod outline;
mod papers;
mod policy;
mod reconcile;
mod record;
mod routes;
mod session;
mod sketch;
mod statement;
mod status;
mod token;
mod tree;
mod when;

use crate::Target;

/// All of them, in the order in which a campaign takes them.
pub const TARGETS: &[Target] = &[
    envelope::TARGET,
    statement::TARGET,
    papers::TARGET,
    frame::TARGET,
    beacon::TARGET,
    token::TARGET,
    outline::TARGET,
    policy::TARGET,
    routes::TARGET,
    status::TARGET,
    reconcile::TARGET,
    sketch::TARGET,
    record::TARGET,
    session::TARGET,
    command::TARGET,
    applier::TARGET,
    tree::TARGET,
    when::TARGET,
    lookup::TARGET,
];
