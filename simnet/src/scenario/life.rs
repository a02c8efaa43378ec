//! What a random life is made of, as data: how many nodes, on what network, with which faults, and what happens how
//! often.
//!
//! It holds no state and does nothing. Invariant: a life's [`Life`] and its seed decide all that happens in it.

use std::collections::BTreeMap;

use vigo_base::time::{Micros, mins, secs};

use super::Scenario;
use super::deeds::Deed;
use crate::faults::Rates;
use crate::net::Links;

/// What a random life is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Nodes at the beginning, at least and at most; joins never make more. From 3 on.
    pub nodes: (usize, usize),
    /// How many of them are bolts; one to three by the seed if it is not said.
    pub bolts: Option<usize>,
    /// Things that happen.
    pub steps: u64,
    /// The longest pause between two of them, in microseconds.
    pub pause: Micros,
    /// How long everything may take to settle once the faults have stopped, in microseconds.
    pub settles: Micros,
    /// Whether nodes gossip; in three seeds of four if it is not said.
    pub gossip: Option<bool>,
    /// How many envoys of a hundred only dial out.
    pub dial_only: u64,
    /// The longest that the network stays as it is after it fell apart or was mended, in microseconds.
    pub stable: Micros,
    /// What the network is like.
    pub links: Links,
    /// What fails at random all the time, until the faults stop.
    pub faults: Rates,
    /// How often what happens, by the names of [`super::DEEDS`]; each deed's own weight where a name is missing.
    pub weights: BTreeMap<String, u64>,
}

impl Life {
    /// For every test run: most fleets small, some of twenty.
    pub fn short() -> Life {
        Life {
            nodes: (3, 20),
            bolts: None,
            steps: 34,
            pause: secs(12),
            settles: mins(15),
            gossip: None,
            dial_only: 20,
            stable: Scenario::WINDOW,
            links: Links { loss: 60, clogs: 4_000, ..Links::default() },
            faults: Rates::default(),
            weights: BTreeMap::new(),
        }
    }

    /// As a plan begins: a good network on which everybody can be dialed.
    pub fn calm() -> Life {
        Life { dial_only: 0, links: Links::default(), ..Life::short() }
    }

    /// For the long run: many hours of fleets that stay above twenty nodes, whatever is revoked.
    pub fn long() -> Life {
        Life { nodes: (25, 29), steps: 120, pause: mins(40), stable: mins(60), ..Life::short() }
    }

    /// How often a deed happens beside the others.
    pub fn weight(&self, deed: &Deed) -> u64 {
        self.weights.get(deed.name).copied().unwrap_or(deed.often)
    }
}
