//! Links and connections of the virtual network.
//!
//! A connection is a pair of ids, one at each end. Frames on it arrive in order after the link's delay. A cut link
//! loses everything; both ends notice after [`NOTICE`]. Invariant: what was sent on a connection that still stands
//! and whose link was never cut arrives.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::time::{Micros, millis, secs};
use vigo_base::{Dice, Hash, PublicKey, Time};
use vigo_node::swarm::ids::ConnId;

use crate::Ix;

/// How long the two ends of a cut link take to notice.
pub(crate) const NOTICE: Micros = secs(30);

/// One end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// The machine at the other end, and the connection's id there.
    pub peer: (Ix, ConnId),
    /// When the last frame sent from here arrives there: the next one does not overtake it.
    pub last: Time,
}

/// Who is connected with whom, and who can be.
#[derive(Debug, Default)]
pub(crate) struct Net {
    ends: BTreeMap<(Ix, ConnId), End>,
    next: u64,
    cut: BTreeSet<(Ix, Ix)>,
    dial_only: BTreeSet<Ix>,
}

impl Net {
    /// Where machine `ix` listens.
    pub fn address(ix: Ix) -> String {
        format!("10.77.{}.{}:1531", ix / 250, ix % 250 + 1)
    }

    /// The machine that listens at an address.
    pub fn machine_at(address: &str) -> Option<Ix> {
        let ip: std::net::SocketAddr = address.parse().ok()?;
        let std::net::IpAddr::V4(v4) = ip.ip() else { return None };
        let [_, _, c, d] = v4.octets();
        Some(usize::from(c) * 250 + usize::from(d).checked_sub(1)?)
    }

    /// Nothing that `from` sends reaches `to` any more.
    pub fn cut_one_way(&mut self, from: Ix, to: Ix) {
        self.cut.insert((from, to));
    }

    pub fn mend(&mut self, a: Ix, b: Ix) {
        self.cut.remove(&(a, b));
        self.cut.remove(&(b, a));
    }

    pub fn mend_all(&mut self) {
        self.cut.clear();
    }

    pub fn set_dial_only(&mut self, ix: Ix) {
        self.dial_only.insert(ix);
    }

    pub fn reaches(&self, from: Ix, to: Ix) -> bool {
        !self.cut.contains(&(from, to))
    }

    pub fn both_ways(&self, a: Ix, b: Ix) -> bool {
        self.reaches(a, b) && self.reaches(b, a)
    }

    pub fn accepts(&self, ix: Ix) -> bool {
        !self.dial_only.contains(&ix)
    }

    /// A new connection; gives both ids and the exporter that both ends see.
    pub fn connect(&mut self, a: Ix, b: Ix, keys: (PublicKey, PublicKey)) -> (ConnId, ConnId, [u8; 32]) {
        self.next += 2;
        let (x, y) = (ConnId(self.next), ConnId(self.next + 1));
        self.ends.insert((a, x), End { peer: (b, y), last: Time(0) });
        self.ends.insert((b, y), End { peer: (a, x), last: Time(0) });
        let number = self.next.to_be_bytes();
        let exporter = Hash::of_parts(&[b"exporter", &number, keys.0.as_bytes(), keys.1.as_bytes()]);
        (x, y, exporter.0)
    }

    pub fn peer(&self, ix: Ix, conn: ConnId) -> Option<(Ix, ConnId)> {
        self.ends.get(&(ix, conn)).map(|end| end.peer)
    }

    /// When something sent now over a connection arrives: after the delay, and not before what was sent earlier.
    pub fn arrival(&mut self, now: Time, ix: Ix, conn: ConnId, dice: &mut Dice) -> Option<Time> {
        let end = self.ends.get_mut(&(ix, conn))?;
        let at = now.after(delay(dice)).max(end.last);
        end.last = at;
        Some(at)
    }

    /// Forgets a connection; gives the other end.
    pub fn close(&mut self, ix: Ix, conn: ConnId) -> Option<(Ix, ConnId)> {
        let end = self.ends.remove(&(ix, conn))?;
        self.ends.remove(&end.peer);
        Some(end.peer)
    }

    /// The connections of a machine: own id and the other end.
    pub fn of(&self, ix: Ix) -> Vec<(ConnId, (Ix, ConnId))> {
        self.ends.range((ix, ConnId(0))..=(ix, ConnId(u64::MAX))).map(|((_, c), e)| (*c, e.peer)).collect()
    }

    /// One end of every connection.
    pub fn all(&self) -> Vec<(Ix, ConnId)> {
        self.ends.iter().filter(|((_, c), e)| *c < e.peer.1).map(|(id, _)| *id).collect()
    }

    /// Connections that run over a link that is cut in either direction: nothing is confirmed, so both ends give up.
    pub fn severed(&self) -> Vec<(Ix, ConnId)> {
        self.ends.iter().filter(|((ix, _), e)| !self.both_ways(*ix, e.peer.0)).map(|(id, _)| *id).collect()
    }
}

/// A delay of 1 to 5 ms, now and then ten times that.
pub(crate) fn delay(dice: &mut Dice) -> Micros {
    let base = millis(1) + dice.below(millis(4));
    if dice.one_in(50) { base * 10 } else { base }
}
