//! What a node starts from: its key, what its store held, and what its operator configured.
//!
//! Nothing here touches a disk; the driver has read everything. Records come from our own store, where their
//! ids were checked, so their signatures are not checked again.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vigo_base::{Hostname, PublicKey, SecretKey, SpannerId};
use vigo_spanner::Token;
use vigo_swarm::beacon::Choice;
use vigo_swarm::outline::BlobRef;

/// The names of what a node keeps in its store beside records.
pub mod meta {
    /// The fleet's id, 32 bytes.
    pub const SPANNER: &str = "spanner";
    /// This node's encoded papers.
    pub const PAPERS: &str = "papers";
    /// The publish that this node last converged to: epoch (8 bytes, big-endian) and id.
    pub const FLOOR: &str = "floor";
    /// The address book.
    pub const BOOK: &str = "book";
    /// The last run register, so that a restart goes on counting.
    pub const RUN: &str = "run";
    /// The publishes that this node keeps whole until two bolts hold them: their ids.
    pub const CUSTODY: &str = "custody";

    use std::collections::BTreeMap;

    use vigo_base::Hash;
    use vigo_content::config::Epoch;

    /// The value of [`FLOOR`] among these, if it can be read.
    pub fn floor(meta: &BTreeMap<String, Vec<u8>>) -> Option<Epoch> {
        let (epoch, id) = meta.get(FLOOR)?.split_first_chunk::<8>()?;
        let id = <[u8; 32]>::try_from(id).ok()?;
        Some(Epoch { epoch: u64::from_be_bytes(*epoch), id: Hash(id) })
    }
}

/// Everything a node starts from.
#[derive(Debug)]
pub struct Boot {
    /// The node's private key.
    pub key: SecretKey,
    /// The seed of its choices.
    pub seed: [u8; 32],
    /// The encoded records of the store.
    pub records: Vec<Arc<[u8]>>,
    /// The other values of the store, by the names in [`meta`].
    pub meta: BTreeMap<String, Vec<u8>>,
    /// The blobs that are held whole.
    pub blobs: Vec<BlobRef>,
    /// What its operator configured.
    pub options: Options,
}

/// What the operator of the machine configured.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where this node can be reached, `host:port`; empty if it can only dial out.
    pub addresses: Vec<String>,
    /// The UDP port on which this node takes gossip links; none if it only dials them.
    pub gossip: Option<u16>,
    /// Where other members may be reached, with the key that must answer if it is known.
    pub peers: Vec<(String, Option<PublicKey>)>,
    /// The version of the program.
    pub version: String,
    /// How to join, for a node that belongs to no fleet yet.
    pub join: Option<Join>,
    /// Seconds between two runs; the fleet setting if none.
    pub interval: Option<u64>,
    /// Seconds by which a run is delayed at most; the fleet setting if none.
    pub splay: Option<u64>,
    /// How it takes part in beacons.
    pub lan: Lan,
    /// Compares sets by ranges only, as a node of a version without sketches does.
    pub ranges_only: bool,
}

/// How a node takes part in beacons on its own networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lan {
    /// What the operator of the machine wants.
    pub choice: Choice,
    /// The addresses that peers can dial, as bound: with none, no beacon is sent.
    pub listening: Vec<SocketAddr>,
}

impl Lan {
    /// Whether it can be dialed from this machine alone: nobody on a network is meant to meet it.
    pub(crate) fn is_private(&self) -> bool {
        !self.listening.is_empty() && self.listening.iter().all(|at| at.ip().is_loopback())
    }

    /// The port at which this node takes connections to `ip`.
    pub(crate) fn port(&self, ip: IpAddr) -> Option<u16> {
        let fits =
            |at: &&SocketAddr| at.ip() == ip || (at.ip().is_unspecified() && at.is_ipv4() == ip.is_ipv4());
        self.listening.iter().find(fits).map(SocketAddr::port)
    }
}

/// How a node without a fleet joins one.
#[derive(Debug, Clone)]
pub enum Join {
    /// With an invitation.
    Token {
        /// The invitation.
        token: Token,
        /// The name it would like.
        name: Hostname,
    },
    /// By asking; an operator decides.
    Ask {
        /// Bolts' addresses.
        addresses: Vec<String>,
        /// The name it would like.
        name: Hostname,
        /// Whether it would be a bolt.
        bolt: bool,
        /// The fleet it means, if it knows one: any other is refused.
        spanner: Option<SpannerId>,
    },
    /// By asking whichever bolt is found on this machine's own networks; an operator decides.
    Discover {
        /// The name it would like.
        name: Hostname,
        /// Whether it would be a bolt.
        bolt: bool,
        /// The fleet it means; with none there must be one only.
        spanner: Option<SpannerId>,
    },
}

/// A store that a node cannot start from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBoot {
    /// The store belongs to no fleet, and nobody said how to join one.
    #[error("this node belongs to no fleet: run `vigo init` for a new one, or `vigo join TOKEN`")]
    NoFleet,
    /// The fleet's id in the store is damaged.
    #[error("the store's note of the fleet it belongs to is damaged")]
    BadFleet,
    /// The store belongs to a fleet, and joining another was asked for.
    #[error("this state belongs to the fleet {ours}: to join another, use another state directory")]
    OtherFleet {
        /// The fleet in the store.
        ours: SpannerId,
    },
}
