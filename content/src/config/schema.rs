//! The publish statement and the route table it names.
//!
//! Both are canonical CBOR. A route table is a blob that every member holds: it says which policy is whose, so it
//! also decides who may read which policy.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use vigo_base::codec::{self, BadBytes};
use vigo_base::target::glob_matches;
use vigo_base::{Hostname, limits};
use vigo_crdt::Statement;
use vigo_swarm::outline::BlobRef;

/// The kind of a publish among the statements of `config`.
pub const PUBLISH: u16 = 1;
/// Routes in one table.
pub const MAX_ROUTES: usize = 100_000;

/// What an operator signs to publish. What it is based on is the statement's `after`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Publish {
    /// One more than the greatest epoch it is based on.
    #[n(0)]
    pub epoch: u64,
    /// The route table.
    #[n(1)]
    pub routes: BlobRef,
    /// The source tree, for bolts.
    #[n(2)]
    pub source: BlobRef,
    /// A line by the operator.
    #[n(3)]
    pub note: String,
}

/// Which policy is whose.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RouteTable {
    /// The version of this encoding: 1.
    #[n(0)]
    pub version: u16,
    /// The compiled policies.
    #[n(1)]
    pub policies: Vec<BlobRef>,
    /// In order: the first that matches a name is the one.
    #[n(2)]
    pub routes: Vec<Route>,
}

/// One match block.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Route {
    /// A glob over admitted names.
    #[n(0)]
    pub pattern: String,
    /// The tags of the machines it matches.
    #[n(1)]
    pub tags: BTreeSet<String>,
    /// An index into [`RouteTable::policies`].
    #[n(2)]
    pub policy: u32,
    /// `path:line` of the match block.
    #[n(3)]
    pub origin: String,
}

/// Why a publish or a route table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// Not the canonical encoding.
    #[error("malformed: {0}")]
    Malformed(#[from] BadBytes),
    /// A statement of a kind that this version does not know.
    #[error("a statement of the unknown kind {0} in config")]
    Kind(u16),
    /// A route table of another version.
    #[error("a route table of version {0}; this node reads version 1: upgrade it")]
    Version(u16),
    /// A route names a policy that is not there, or there is too much.
    #[error("the route table is inconsistent: {0}")]
    Inconsistent(&'static str),
}

impl Publish {
    /// The payload of a publish statement.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a publish.
    ///
    /// # Errors
    /// [`BadConfig`] if the statement is no publish.
    pub fn read(statement: &Statement) -> Result<Publish, BadConfig> {
        if statement.kind() != PUBLISH {
            return Err(BadConfig::Kind(statement.kind()));
        }
        Ok(codec::decode(statement.payload(), 4096)?)
    }
}

impl RouteTable {
    /// The bytes of the blob.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the blob.
    ///
    /// # Errors
    /// [`BadConfig`] if it is malformed, of another version or inconsistent.
    pub fn decode(bytes: &[u8]) -> Result<RouteTable, BadConfig> {
        let table: RouteTable = codec::decode(bytes, limits::CONFIG_BLOB_BYTES as usize)?;
        if table.version != 1 {
            return Err(BadConfig::Version(table.version));
        }
        if table.routes.len() > MAX_ROUTES || table.policies.len() > MAX_ROUTES {
            return Err(BadConfig::Inconsistent("too many routes"));
        }
        if table.routes.iter().any(|route| route.policy as usize >= table.policies.len()) {
            return Err(BadConfig::Inconsistent("a route without a policy"));
        }
        Ok(table)
    }

    /// The first route that matches an admitted name.
    pub fn route(&self, name: &Hostname) -> Option<&Route> {
        self.routes.iter().find(|route| glob_matches(&route.pattern, name.as_str()))
    }

    /// The policy of an admitted name.
    pub fn policy(&self, name: &Hostname) -> Option<&BlobRef> {
        self.route(name).and_then(|route| self.policies.get(route.policy as usize))
    }
}
