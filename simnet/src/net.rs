//! Links and connections of the virtual network.
//!
//! A connection is a pair of ids, one at each end. Frames on it arrive in order, each after what its [`Links`] make of
//! it: delay with a tail, packets that are lost and sent again, queues that stall and go on in a burst. A cut link
//! loses everything; both ends notice after [`NOTICE`]. It reads no frame. Invariant: what was sent on a connection
//! that still stands and whose link was never cut arrives, in the order in which it was sent.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::time::{Micros, millis, secs};
use vigo_base::{Dice, Hash, PublicKey, Time};
use vigo_node::swarm::ids::ConnId;

use crate::Ix;

/// How long the two ends of a cut link take to notice.
pub(crate) const NOTICE: Micros = secs(30);
/// What an end waits for beside the round trip before it sends a lost packet again: the most by which the other may
/// put off its acknowledgement.
const ACK_DELAY: Micros = millis(25);
/// How often one packet is lost at most.
const LOSSES: u64 = 6;

/// What the links of a network are like: the same for every pair of machines, each direction on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The shortest and the longest time that a packet is under way, in microseconds.
    pub delay: (Micros, Micros),
    /// One packet in so many takes so many times as long; none if the first is 0.
    pub tail: (u64, u64),
    /// One packet in so many is lost, none if 0. On a connection it is sent again and comes later, with all that
    /// was sent behind it on that connection; a beacon is gone.
    pub loss: u64,
    /// One gossiped message in so many is gone between two nodes (a full queue, a link that ends); none if 0.
    pub gossip_loss: u64,
    /// One gossiped message in so many comes twice; none if 0.
    pub duplicates: u64,
    /// One packet in so many meets a queue that stalls; none if 0.
    pub clogs: u64,
    /// How long such a queue stalls at least and at most, in microseconds. All that is sent meanwhile comes in one
    /// burst at its end. Below the 15 s after which connections are given up.
    pub stall: (Micros, Micros),
    /// Bytes a second that go from one machine to another, as many as one likes if 0.
    pub bandwidth: u64,
}

impl Default for Links {
    /// A good network: 1 to 5 ms, now and then ten times that, one gossiped message in fifty lost.
    fn default() -> Links {
        Links {
            delay: (millis(1), millis(5)),
            tail: (50, 10),
            loss: 0,
            gossip_loss: 50,
            duplicates: 20,
            clogs: 0,
            stall: (millis(500), secs(8)),
            bandwidth: 0,
        }
    }
}

impl Links {
    /// How long one packet is under way.
    pub(crate) fn packet(&self, dice: &mut Dice) -> Micros {
        let (least, most) = self.delay;
        let delay = least + dice.below(most.saturating_sub(least));
        if self.tail.0 > 0 && dice.one_in(self.tail.0) { delay * self.tail.1.max(1) } else { delay }
    }

    /// Whether one packet is lost.
    pub(crate) fn loses(&self, dice: &mut Dice) -> bool {
        self.loss > 0 && dice.one_in(self.loss)
    }

    /// When a lost packet is sent again: after the round trip that it would have taken, and what the other may wait.
    fn again(&self) -> Micros {
        2 * self.delay.1 + ACK_DELAY
    }
}

/// How something gets through: how long it takes, and what it met.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Transit {
    pub delay: Micros,
    /// How often it was lost and sent again.
    pub lost: u64,
    /// Whether a queue stalled under it, or had stalled before.
    pub clogged: bool,
}

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
    /// What links are like.
    pub links: Links,
    ends: BTreeMap<(Ix, ConnId), End>,
    next: u64,
    cut: BTreeSet<(Ix, Ix)>,
    dial_only: BTreeSet<Ix>,
    /// Until when the queue from one machine to another stalls.
    stalled: BTreeMap<(Ix, Ix), Time>,
    /// Until when the line from one machine to another is taken, where bandwidth is bounded.
    taken: BTreeMap<(Ix, Ix), Time>,
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
        self.stalled.clear();
    }

    /// The queue from one machine to another stalls until `until`.
    pub fn stall(&mut self, from: Ix, to: Ix, until: Time) {
        let end = self.stalled.entry((from, to)).or_insert(until);
        *end = (*end).max(until);
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

    /// What becomes of a packet or datagram: its delay with stalls and bandwidth, without loss.
    pub fn datagram(&mut self, now: Time, line: (Ix, Ix), bytes: usize, dice: &mut Dice) -> Transit {
        let mut at = now.after(self.links.packet(dice));
        if self.links.clogs > 0 && dice.one_in(self.links.clogs) {
            let (least, most) = self.links.stall;
            self.stall(line.0, line.1, now.after(least + dice.below(most.saturating_sub(least))));
        }
        let clogged = match self.stalled.get(&line).copied() {
            Some(until) if until > now => {
                at = at.max(until);
                true
            }
            Some(_) => self.stalled.remove(&line).is_none(),
            None => false,
        };
        if let Some(takes) = (bytes as u64 * 1_000_000).checked_div(self.links.bandwidth) {
            let free = self.taken.entry(line).or_insert(now);
            *free = (*free).max(now).after(takes);
            at = at.max(free.after(self.links.delay.0));
        }
        Transit { delay: at.since(now), lost: 0, clogged }
    }

    /// What becomes of something that is sent again until it is there.
    pub fn stream(&mut self, now: Time, line: (Ix, Ix), bytes: usize, dice: &mut Dice) -> Transit {
        let mut transit = self.datagram(now, line, bytes, dice);
        while transit.lost < LOSSES && self.links.loses(dice) {
            // Each time twice as patient as before, as QUIC is.
            transit.delay += self.links.again() << transit.lost;
            transit.lost += 1;
        }
        transit
    }

    /// Something sent now over a connection arrives after the delay, and not before what was sent earlier.
    pub fn arrival(&mut self, now: Time, at: (Ix, ConnId), bytes: usize, dice: &mut Dice) -> Option<Transit> {
        let (peer, _) = self.peer(at.0, at.1)?;
        let mut transit = self.stream(now, (at.0, peer), bytes, dice);
        let end = self.ends.get_mut(&at)?;
        end.last = now.after(transit.delay).max(end.last);
        transit.delay = end.last.since(now);
        Some(transit)
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
