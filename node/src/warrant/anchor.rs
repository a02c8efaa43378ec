//! The anchor: which fleet, which key and which name an applier's machine has.
//!
//! It is made once, from the papers with which the machine was let in, and is the only thing that an applier takes
//! from outside without a signature that leads to it. It never changes: a machine that joins anew gets another one.

use minicbor::{Decode, Encode};
use vigo_base::codec::{self, BadBytes};
use vigo_base::{Hostname, PublicKey, SpannerId};
use vigo_spanner::{Admissions, Authority, Papers, PapersRefused};

/// The version of the encoding.
const VERSION: u16 = 1;
/// Bytes of an encoded anchor.
pub const ANCHOR_BYTES: usize = 1024;

/// Whose machine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The fleet: the id of its genesis.
    pub spanner: SpannerId,
    /// The node's key.
    pub node: PublicKey,
    /// The name under which it was admitted.
    pub name: Hostname,
    /// How far below the recovery key it stands: who is above may revoke it.
    pub depth: u16,
}

/// Why there is no anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnchor {
    /// The papers do not hold.
    #[error("this machine's papers do not show who it is: {0}")]
    Papers(#[from] PapersRefused),
    /// The bytes do not decode.
    #[error("the anchor is damaged: {0}")]
    Malformed(#[from] BadBytes),
    /// The bytes are of another version.
    #[error("the anchor has version {found}, this program reads {VERSION}: install the newer program again")]
    Version {
        /// The version found.
        found: u16,
    },
}

#[derive(Encode, Decode)]
struct Wire {
    #[n(0)]
    version: u16,
    #[n(1)]
    spanner: SpannerId,
    #[n(2)]
    node: PublicKey,
    #[n(3)]
    name: Hostname,
    #[n(4)]
    depth: u16,
}

impl Anchor {
    /// The anchor of the node with this key, by its own papers.
    ///
    /// # Errors
    /// [`BadAnchor::Papers`] if they do not lead from the fleet's genesis to this key.
    pub fn of_papers(spanner: SpannerId, node: PublicKey, papers: &[u8]) -> Result<Anchor, BadAnchor> {
        let nothing = Authority::evaluate(&Admissions::new(spanner));
        let member = Papers::check(papers, &node, &nothing)?.member;
        let depth = u16::try_from(member.depth).unwrap_or(u16::MAX);
        Ok(Anchor { spanner, node, name: member.name, depth })
    }

    pub(crate) fn depth(&self) -> usize {
        usize::from(self.depth)
    }

    /// Its one encoding.
    pub fn encode(&self) -> Vec<u8> {
        let Anchor { spanner, node, name, depth } = self.clone();
        codec::encode(&Wire { version: VERSION, spanner, node, name, depth })
    }

    /// Reads an anchor.
    ///
    /// # Errors
    /// [`BadAnchor::Malformed`], [`BadAnchor::Version`].
    pub fn decode(bytes: &[u8]) -> Result<Anchor, BadAnchor> {
        let Wire { version, spanner, node, name, depth } = codec::decode(bytes, ANCHOR_BYTES)?;
        match version {
            VERSION => Ok(Anchor { spanner, node, name, depth }),
            found => Err(BadAnchor::Version { found }),
        }
    }
}
