//! How full the bounded tables of a node are: for whoever watches it from outside.
//!
//! It changes nothing. Invariant: no table holds more than its limit.

use vigo_base::limits;
use vigo_spanner::NodeKind;

use crate::audit::Audit;
use crate::commands::HANDED_IN;
use crate::intake::PEN_RECORDS;
use crate::node::Node;

/// How full one table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// What it holds.
    pub table: &'static str,
    /// How many of them.
    pub held: usize,
    /// How many at most.
    pub limit: usize,
}

impl Node {
    /// How full each bounded table is now.
    pub fn loads(&self) -> Vec<Load> {
        let bolt = self.here() == NodeKind::Bolt;
        let members = self.sessions.values().filter(|session| session.member().is_some()).count();
        let links = if bolt { limits::BOLT_LINKS } else { limits::ENVOY_LINKS };
        let load = |table, held, limit| Load { table, held, limit };
        vec![
            load("parked records", self.parked.len(), limits::PARKED_RECORDS),
            load("own records that wait", self.pen.waiting(), PEN_RECORDS),
            load("statements that wait", self.pen.handed_in.len(), HANDED_IN),
            load("audit entries that wait", self.audit.waiting(), Audit::QUEUE),
            load("connected members", members, self.room()),
            load("gossip links", self.gossip.links(), links),
            load("address book", self.peers.book().len(), limits::ADDRESS_BOOK),
            load("refusals that last", self.peers.refusals(), limits::ADDRESS_BOOK),
        ]
    }
}
