//! Why an applier does not run what it is offered.
//!
//! Every refusal says what was offered, what is held here, and what to do. It decides nothing.

use vigo_base::{Hash, Hostname, SpannerId};
use vigo_content::config::{BadConfig, Epoch};

/// Why something is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWarranted {
    /// The applier knows no authority at all.
    #[error(
        "the applier holds no genesis of the fleet {spanner}, so that nothing counts for it: the node tells it once both run; if this stays, is the anchor of another fleet? (`vigo join` as root writes it anew)"
    )]
    NoFleet {
        /// The fleet of the anchor.
        spanner: SpannerId,
    },
    /// This machine was revoked.
    #[error(
        "{name}, this machine, was revoked by {by:?} ({reason}): nothing is applied here any more; join again as a new node"
    )]
    Expelled {
        /// This machine's name.
        name: Hostname,
        /// The revoke.
        by: Hash,
        /// Why, says the revoker.
        reason: String,
    },
    /// No such publish is held.
    #[error("the publish {} of epoch {} was offered, which the applier does not hold: no statement of this fleet that it verified says so", offered.id, offered.epoch)]
    Unknown {
        /// What was offered.
        offered: Epoch,
    },
    /// It does not count.
    #[error("the publish {} of epoch {} does not count: {why}; publish again with an operator that may", offered.id, offered.epoch)]
    DoesNotCount {
        /// What was offered.
        offered: Epoch,
        /// Why not.
        why: String,
    },
    /// Something newer was run.
    #[error("epoch {} ({}) was offered, and epoch {} ({}) was run here already: what is older is never run again; publish anew to go back", offered.epoch, offered.id, floor.epoch, floor.id)]
    BelowFloor {
        /// What was offered.
        offered: Epoch,
        /// What was run last.
        floor: Epoch,
    },
    /// Something newer is known.
    #[error("epoch {} ({}) was offered, and the newest that counts here is epoch {} ({}): the node is to offer that", offered.epoch, offered.id, head.epoch, head.id)]
    Stale {
        /// What was offered.
        offered: Epoch,
        /// The head.
        head: Epoch,
    },
    /// Another route table.
    #[error(
        "a route table with the hash {offered} was offered for epoch {epoch}, whose publish names {expected}"
    )]
    Routes {
        /// The epoch.
        epoch: u64,
        /// The hash of what was offered.
        offered: Hash,
        /// The hash that was signed.
        expected: Hash,
    },
    /// The route table that was signed cannot be read.
    #[error("the route table of epoch {epoch}: {why}")]
    BadRoutes {
        /// The epoch.
        epoch: u64,
        /// Why.
        why: BadConfig,
    },
    /// This machine has no route.
    #[error("epoch {epoch} was offered, which has no match block for {name}, this machine")]
    NotRouted {
        /// The epoch.
        epoch: u64,
        /// This machine's name.
        name: Hostname,
    },
    /// Another policy.
    #[error(
        "a policy with the hash {offered} was offered for epoch {epoch}, which routes {name}, this machine, to {expected}"
    )]
    Policy {
        /// The epoch.
        epoch: u64,
        /// This machine's name.
        name: Hostname,
        /// The hash of what was offered.
        offered: Hash,
        /// The hash that the route names.
        expected: Hash,
    },
    /// The policy that was signed cannot be read.
    #[error("the policy of epoch {epoch}: {why}")]
    BadPolicy {
        /// The epoch.
        epoch: u64,
        /// Why.
        why: String,
    },
    /// The policy gives no plan here.
    #[error("{problems}")]
    Unresolved {
        /// The epoch.
        epoch: u64,
        /// One problem a line.
        problems: String,
    },
}
