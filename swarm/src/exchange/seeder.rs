//! How a seeder says what it has, so that it uploads little more than a blob once, however many peers wait.
//!
//! To each peer it shows a few chunks at a time, those shown least so far; a peer that has taken them is shown
//! the next. So different peers get different chunks first and must trade them among themselves. Nothing is
//! withheld for good: whoever keeps asking is shown everything. It only shapes the have-map: what a peer may
//! read is decided elsewhere.
//!
//! Invariant: at most [`limits::OPEN_EXCHANGES`] blobs and [`PEERS`] peers of each are kept track of; beyond
//! that the whole map is shown.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::{Dice, Hash, limits};

use crate::bitmap::Bitmap;
use crate::frame::{Bytes, Have};
use crate::ids::ConnId;

/// Blobs of fewer chunks are shown whole.
const SMALL: u32 = 16;
/// Chunks that a peer is shown and has not taken: fewer if many ask, so that none is repeated too early.
const AHEAD: (u32, u32) = (2, 16);
/// Peers kept track of, for each blob.
const PEERS: usize = 512;

/// What a node shows of the blobs that it has whole.
#[derive(Debug)]
pub struct Seeder {
    dice: Dice,
    blobs: BTreeMap<Hash, Sown>,
    /// Counts questions, to find the blob that was not asked for the longest.
    clock: u64,
}

#[derive(Debug)]
struct Sown {
    /// (times shown, random tie, chunk): the next to show is the first.
    order: BTreeSet<(u32, u32, u32)>,
    place: Vec<(u32, u32)>,
    peers: BTreeMap<ConnId, Shown>,
    asked: u64,
}

#[derive(Debug)]
struct Shown {
    map: Bitmap,
    /// Shown and not served yet.
    ahead: u32,
    /// Whether anything was served since it asked last.
    took: bool,
}

impl Seeder {
    /// A seeder that has shown nothing.
    pub fn new(dice: Dice) -> Seeder {
        Seeder { dice, blobs: BTreeMap::new(), clock: 0 }
    }

    /// What to answer `conn` that asks what we have of a blob of `chunks` chunks, all of which we have.
    pub fn reveal(&mut self, conn: ConnId, exchange: &Hash, chunks: u32) -> Have {
        if chunks < SMALL {
            return Have::All;
        }
        self.clock += 1;
        if !self.blobs.contains_key(exchange) {
            if self.blobs.len() >= limits::OPEN_EXCHANGES {
                let oldest = self.blobs.iter().min_by_key(|(_, s)| s.asked).map(|(id, _)| *id);
                oldest.map(|id| self.blobs.remove(&id));
            }
            self.blobs.insert(*exchange, Sown::new(chunks, &mut self.dice));
        }
        let Some(sown) = self.blobs.get_mut(exchange) else { return Have::All };
        sown.asked = self.clock;
        sown.reveal(conn)
    }

    /// A chunk was sent to `conn`.
    pub fn served(&mut self, conn: ConnId, exchange: &Hash, index: u32) {
        if let Some(shown) = self.blobs.get_mut(exchange).and_then(|s| s.peers.get_mut(&conn))
            && shown.map.has(index)
        {
            shown.ahead = shown.ahead.saturating_sub(1);
            shown.took = true;
        }
    }

    /// A connection ended.
    pub fn gone(&mut self, conn: ConnId) {
        for sown in self.blobs.values_mut() {
            sown.peers.remove(&conn);
        }
    }

    /// The blob is not kept any longer.
    pub fn forget(&mut self, exchange: &Hash) {
        self.blobs.remove(exchange);
    }
}

impl Sown {
    fn new(chunks: u32, dice: &mut Dice) -> Sown {
        let place: Vec<(u32, u32)> = (0..chunks).map(|_| (0, dice.bits() as u32)).collect();
        let order = place.iter().zip(0..).map(|((times, tie), index)| (*times, *tie, index)).collect();
        Sown { order, place, peers: BTreeMap::new(), asked: 0 }
    }

    fn reveal(&mut self, conn: ConnId) -> Have {
        let chunks = self.place.len() as u32;
        if !self.peers.contains_key(&conn) && self.peers.len() >= PEERS {
            return Have::All;
        }
        let fair = chunks / (self.peers.len() as u32 + 1) / 2;
        let shown = self.peers.entry(conn).or_insert_with(|| Shown {
            map: Bitmap::none(chunks),
            ahead: 0,
            took: false,
        });
        if !shown.took {
            // It asks again and took nothing: what it was shown it has from others.
            shown.ahead = 0;
        }
        shown.took = false;
        let room = fair.clamp(AHEAD.0, AHEAD.1).saturating_sub(shown.ahead) as usize;
        let next: Vec<_> =
            self.order.iter().filter(|(_, _, i)| !shown.map.has(*i)).take(room).copied().collect();
        for (times, tie, index) in next {
            shown.map.set(index);
            shown.ahead += 1;
            self.order.remove(&(times, tie, index));
            self.order.insert((times + 1, tie, index));
            if let Some(place) = self.place.get_mut(index as usize) {
                place.0 = times + 1;
            }
        }
        if shown.map.is_full() { Have::All } else { Have::Some(Bytes::from(shown.map.to_bytes())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(have: Have, chunks: u32) -> Vec<u32> {
        match have {
            Have::Some(bytes) => Bitmap::from_bytes(&bytes, chunks).unwrap().iter().collect(),
            Have::All => (0..chunks).collect(),
            Have::None => Vec::new(),
        }
    }

    #[test]
    fn different_peers_are_shown_different_chunks_before_one_is_repeated() {
        let (blob, mut seeder) = (Hash::of(b"blob"), Seeder::new(Dice::from_number(1)));
        let mut seen = BTreeSet::new();
        for conn in 0..4 {
            for index in shown(seeder.reveal(ConnId(conn), &blob, 64), 64) {
                assert!(seen.insert(index), "chunk {index} was shown twice");
            }
        }
        while seen.len() < 64 {
            let before = seen.len();
            for conn in 0..4 {
                seen.extend(shown(seeder.reveal(ConnId(conn), &blob, 64), 64));
            }
            assert!(seen.len() > before);
        }
        let again = shown(seeder.reveal(ConnId(9), &blob, 64), 64);
        assert!(!again.is_empty(), "then they are repeated");
    }

    #[test]
    fn a_peer_that_takes_what_it_is_shown_is_shown_everything() {
        let (blob, mut seeder) = (Hash::of(b"blob"), Seeder::new(Dice::from_number(1)));
        let mut served = BTreeSet::new();
        for round in 0..20 {
            let now = shown(seeder.reveal(ConnId(1), &blob, 100), 100);
            assert!(now.len() <= 16 * (round + 1));
            for index in now {
                if served.insert(index) {
                    seeder.served(ConnId(1), &blob, index);
                }
            }
        }
        assert_eq!(served.len(), 100);
        assert_eq!(seeder.reveal(ConnId(1), &blob, 100), Have::All);
        assert_eq!(seeder.reveal(ConnId(1), &blob, 3), Have::All, "a small blob is shown whole");
    }

    #[test]
    fn what_is_kept_track_of_is_bounded() {
        let mut seeder = Seeder::new(Dice::from_number(1));
        for n in 0..1000u64 {
            seeder.reveal(ConnId(n), &Hash::of(&n.to_be_bytes()), 20);
            seeder.reveal(ConnId(n), &Hash::of(b"one"), 20);
        }
        assert!(seeder.blobs.len() <= limits::OPEN_EXCHANGES);
        assert!(seeder.blobs.values().all(|s| s.peers.len() <= PEERS));
        (0..1000).for_each(|n| seeder.gone(ConnId(n)));
        assert!(seeder.blobs.values().all(|s| s.peers.is_empty()));
    }
}
