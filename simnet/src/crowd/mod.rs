//! Crowds: thousands of nodes, to see how things grow.
//!
//! A crowd is either of **replicas** or of **full nodes**. A replica holds records and nothing else: the shipped set of
//! records (`crdt::Replica`) with its verdicts, and the shipped reconciliation (`swarm::sync`), joined by connections
//! with a partial view of the others, and by gossip. A full node is `vigo_node::Node` in a [`Fleet`](crate::Fleet).
//! What is modelled about replicas stands in `docs/simulation.md`; `mesh` is the model of gossip.
//!
//! A run has a workload: so many updates at even intervals by nodes at random. In its middle some nodes lose power
//! while an update spreads; before its end they come back. At the end all must hold the same.
//!
//! Invariants: a run is a function of the [`Crowd`] and the seed; payloads are shared, so that what a replica costs is
//! its own bookkeeping; all queues are bounded.

use vigo_base::time::{Micros, millis, secs};

use crate::net::Links;
use crate::scenario::{Broken, Outcome};

mod field;
mod full;
mod member;
mod mesh;
mod talk;
mod updates;

/// What a crowd is, and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// How many nodes; at least 8.
    pub nodes: usize,
    /// How many of them are bolts: one in 50, at least 3 and at most 20, if none is said.
    pub bolts: Option<usize>,
    /// Replicas, which hold records only; else full nodes.
    pub replicas: bool,
    /// What the links between any two are like. Their loss is replaced by the crowd's.
    pub links: Links,
    /// Packets lost, in per cent. Gossip that is lost is gone; a frame on a connection comes later.
    pub loss: u64,
    /// Nodes that lose power in the middle of the run and come back before its end, in per cent.
    pub crashed: u64,
    /// Updates that are made while it lasts.
    pub updates: usize,
    /// Virtual time from the first connection until the crashed come back and all must become equal: microseconds.
    pub lasts: Micros,
}

impl Crowd {
    /// Replicas on links of 10 to 50 ms, one packet in a hundred up to 250 ms; an update a second for a minute; two
    /// packets of a hundred lost, and one node in ten crashed.
    pub fn of_replicas(nodes: usize) -> Crowd {
        let (bolts, links) = (None, wide());
        Crowd { nodes, bolts, replicas: true, links, loss: 2, crashed: 10, updates: 50, lasts: secs(60) }
    }

    /// Full nodes under the same conditions. Settings and publishes take turns.
    pub fn of_nodes(nodes: usize) -> Crowd {
        Crowd { replicas: false, updates: 12, ..Crowd::of_replicas(nodes) }
    }

    /// The same crowd on a network that loses nothing, and nobody crashes.
    pub fn in_peace(self) -> Crowd {
        Crowd { loss: 0, crashed: 0, ..self }
    }

    /// How many of the nodes are bolts.
    pub fn bolts(&self) -> usize {
        let usual = (self.nodes / 50).clamp(3, 20);
        self.bolts.unwrap_or(usual).clamp(1, self.nodes.saturating_sub(5).max(1))
    }

    /// The links with the crowd's own loss.
    fn network(&self) -> Links {
        let loss = 100_u64.checked_div(self.loss).map_or(0, |one_in| one_in.max(1));
        Links { loss, ..self.links.clone() }
    }
}

/// Links of 10 to 50 ms with a tail.
fn wide() -> Links {
    Links { delay: (millis(10), millis(50)), tail: (100, 5), duplicates: 50, ..Links::default() }
}

/// Runs a crowd. `progress` hears of virtual time that has passed and of how much there will be, in microseconds.
///
/// # Errors
/// [`Broken`] if it is none that can be run, or if not all hold the same in the end.
pub fn run(crowd: &Crowd, seed: u64, progress: &mut dyn FnMut(Micros, Micros)) -> Result<Outcome, Broken> {
    if crowd.nodes < 8 || crowd.loss > 50 || crowd.crashed > 50 || crowd.lasts < secs(20) {
        let what = format!(
            "{} nodes, {} % lost, {} % crashed, {} s: expected are 8 nodes or more, at most 50 % each, 20 s or more",
            crowd.nodes,
            crowd.loss,
            crowd.crashed,
            crowd.lasts / 1_000_000
        );
        return Err(Broken { promise: "a crowd that can be run", what, report: String::new() });
    }
    if crowd.replicas { field::run(crowd, seed, progress) } else { full::run(crowd, seed, progress) }
}
