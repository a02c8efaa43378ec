//! A member: one node of the fleet as everybody sees it.
//!
//! A member is never made by hand: [`crate::Authority`] makes bolts, [`crate::Roster`] envoys, and
//! [`crate::Papers`] one of either for a peer that shows who it is.

use serde::{Serialize, Serializer};
use vigo_base::{Hash, Hostname, PublicKey};

use crate::act::NodeKind;

/// A node that an operator invited and a bolt let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its key: its identity.
    pub key: PublicKey,
    /// Its admitted name.
    pub name: Hostname,
    /// Bolt or envoy.
    pub kind: NodeKind,
    /// One more than the depth of the operator that invited it.
    pub depth: usize,
    /// The invite's statement id.
    pub invite: Hash,
    /// The spend's record id.
    pub spend: Hash,
    /// The bolt that spent it.
    pub by: PublicKey,
    /// Whether it takes part.
    pub state: MemberState,
}

impl Member {
    /// Whether it takes part now.
    pub fn is_active(&self) -> bool {
        self.state == MemberState::Active
    }

    /// Whether it is a bolt that takes part now.
    pub fn is_active_bolt(&self) -> bool {
        self.is_active() && self.kind == NodeKind::Bolt
    }
}

/// Whether a member takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "why")]
pub enum MemberState {
    /// It does.
    Active,
    /// It does not until somebody settles something; it is shown, not forgotten.
    Suspended(Suspension),
    /// It never will again.
    Revoked {
        /// The revoke's statement id.
        by: Hash,
    },
}

/// Why a member is suspended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Suspension {
    /// Another node has the name, with the lower (depth, id).
    #[error(
        "the name {name} belongs to the node {holder:?}, admitted with the lower depth and id: join under another name"
    )]
    NameTaken {
        /// The name.
        name: Hostname,
        /// Who has it.
        holder: PublicKey,
    },
    /// The invite was spent more often than it has uses.
    #[error(
        "the invite {invite:?} has {uses} uses and others spent them with lower ids: join with another invite"
    )]
    UsesExhausted {
        /// The invite.
        invite: Hash,
        /// How often it may be used.
        uses: u32,
    },
    /// Its key signed two records with one sequence.
    #[error(
        "two records of this key have sequence {seq} in {space}: the machine was cloned, or its key stolen; revoke the key and let the machine join anew"
    )]
    Forked {
        /// The space.
        space: String,
        /// The sequence.
        seq: u64,
    },
}

impl Serialize for Suspension {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
