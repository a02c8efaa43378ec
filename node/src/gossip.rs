//! Gossip: what is said to all at once, what is believed of it, and whom it is heard from.
//!
//! Gossiped are small records that every node holds: authority, heads of configuration, settings. A link is worth
//! something only while its key has a member session on the peer channel, whose papers were checked here; any
//! other link is cut as soon as it is seen, and so is that of somebody who is revoked, suspended or leaves.
//!
//! Invariants: nothing is heard from a link without a member session; what is not new here is never passed on;
//! nothing is correct because gossip delivered it, so that every bound here may drop what is beyond it.

use std::collections::BTreeMap;

use vigo_base::{Dice, Outbox, PublicKey, Time, limits, time};
use vigo_crdt::replica::Refusal;
use vigo_crdt::{Record, Unverified, Verdict as Taken};
use vigo_swarm::gossip::{Act, Bucket, LinkId, Links, MessageId, Opened, Verdict, Why, open, seal};
use vigo_swarm::ids::ConnId;

use crate::intake::{Origin, is_for_all};
use crate::io::{Event, Output};
use crate::node::{Node, Out};

/// Our own records that are gossiped: at once, and a second on the long run. Beyond that they go from peer to peer.
const OWN: (u64, u64) = (512, 128);
/// Records of others, learned on the peer channel, that are gossiped on. Few: after a long absence thousands come
/// at once, and everybody else has them.
const OTHERS: (u64, u64) = (32, 4);
/// A record of others is gossiped on only within this time of its stamp.
const FRESH: time::Micros = time::mins(2);

/// For how long the driver turns a revoked key away by itself.
const REVOKED: time::Micros = time::mins(10);

/// What a node knows of the gossip plane.
#[derive(Debug)]
pub(crate) struct Gossip {
    links: Links,
    own: Bucket,
    others: Bucket,
    /// Sessions, links or time have changed since links were last reviewed.
    stale: bool,
}

impl Gossip {
    pub fn new(dice: Dice) -> Gossip {
        let bucket = |(most, rate)| Bucket::new(most, rate);
        Gossip { links: Links::new(dice), own: bucket(OWN), others: bucket(OTHERS), stale: false }
    }

    /// Sessions have changed: links are looked at again before this input is done with.
    pub fn stale(&mut self) {
        self.stale = true;
    }

    /// Whether a link to this key stands.
    pub fn stands(&self, key: &PublicKey) -> bool {
        self.links.stands(key)
    }

    /// How many links stand.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// Whether what is gossiped now will be offered to this key.
    pub fn carries(&self, now: Time, key: &PublicKey) -> bool {
        self.links.carries(now, key)
    }

    pub fn next_wake(&self) -> Option<Time> {
        self.links.next_wake()
    }
}

impl Node {
    pub(crate) fn gossip_up(&mut self, now: Time, link: LinkId, key: PublicKey) {
        self.gossip.links.up(now, link, key);
        self.gossip.stale();
    }

    pub(crate) fn gossip_down(&mut self, now: Time, link: LinkId) {
        self.gossip.links.down(now, link);
        self.gossip.stale();
    }

    pub(crate) fn gossip_wake(&mut self, now: Time) {
        if self.gossip.links.next_wake().is_some_and(|at| at <= now) {
            self.gossip.stale();
        }
    }

    /// Cuts the links that have no member session, and dials those that are missing.
    pub(crate) fn gossip_review(&mut self, now: Time, out: &mut Out) {
        if !std::mem::take(&mut self.gossip.stale) {
            return;
        }
        let mut members: BTreeMap<PublicKey, Option<String>> = BTreeMap::new();
        for session in self.sessions.values().filter(|s| s.member().is_some()) {
            let port = session.gossip.filter(|_| session.dialed && !self.dormant);
            let address = port.and_then(|port| with_port(&session.address, port));
            members.insert(session.key, address);
        }
        let room = if self.is_bolt() { limits::BOLT_LINKS } else { limits::ENVOY_LINKS };
        for act in self.gossip.links.review(now, &members, room) {
            match act {
                Act::Dial { key, address } => out.push(Output::GossipDial { key, address }),
                Act::Cut { key, refuse, why } => self.gossip_cut(key, refuse, why, out),
            }
        }
    }

    fn gossip_cut(&self, key: PublicKey, refuse: time::Micros, why: Why, out: &mut Out) {
        let revoked = self.trust.as_ref().is_some_and(|t| t.authority.is_revoked(&key).is_some());
        let (text, refuse) = match revoked {
            true => ("its key is revoked", REVOKED),
            false => (why.text(), refuse),
        };
        if revoked || why == Why::Stranger {
            let why = format!("its gossip link is cut: {text}");
            out.push(Output::Emit(Event::PeerRefused { key, why }));
        }
        out.push(Output::GossipCut { key, refuse: refuse.div_ceil(time::secs(1)), why: text.to_string() });
    }

    /// A message was heard: it goes no further before it is judged here.
    pub(crate) fn gossip_heard(
        &mut self,
        now: Time,
        message: MessageId,
        from: &PublicKey,
        bytes: &[u8],
        out: &mut Out,
    ) {
        let mut rest = Outbox::new();
        let verdict = self.judge_message(now, from, bytes, &mut rest);
        // Ahead of what is to be persisted: others' words need not be on our disk to be passed on.
        out.push(Output::GossipVerdict { message, verdict });
        rest.drain().for_each(|output| out.push(output));
    }

    fn judge_message(&mut self, now: Time, from: &PublicKey, bytes: &[u8], out: &mut Out) -> Verdict {
        let heard = self.gossip.stands(from);
        let Some(conn) = self.session_of(from).filter(|_| heard) else { return Verdict::Ignore };
        let record = match open(bytes) {
            Ok(Opened::Record(record)) => record,
            Ok(Opened::Later(_)) => return Verdict::Ignore,
            Err(e) => {
                return self.gossip_fault(now, from, format!("a message that cannot be read: {e}"), out);
            }
        };
        match Unverified::decode(&record) {
            Ok(unverified) if is_for_all(unverified.space()) => {}
            Ok(_) => return Verdict::Ignore,
            Err(e) => return self.gossip_fault(now, from, e.to_string(), out),
        }
        match self.take(now, Origin::Gossiped(conn), &record, out) {
            Taken::New => Verdict::Accept,
            Taken::Refused(Refusal { why, senders_fault: true }) => self.gossip_fault(now, from, why, out),
            _ => Verdict::Ignore,
        }
    }

    /// Whoever gossiped this must have known that it is wrong: nobody passes on what is not new and good to it.
    fn gossip_fault(&mut self, now: Time, from: &PublicKey, what: String, out: &mut Out) -> Verdict {
        out.push(Output::Emit(Event::Misbehaved { key: *from, what: format!("gossip: {what}") }));
        if self.gossip.links.strike(now, from) {
            self.gossip.stale();
        }
        Verdict::Reject
    }

    /// The connection of the member with this key.
    fn session_of(&self, key: &PublicKey) -> Option<ConnId> {
        self.sessions.values().find(|s| s.key == *key && s.member().is_some()).map(|s| s.conn)
    }

    /// Gossips a new record if that is how it should travel; says whether gossip carries it.
    pub(crate) fn gossip_on(&mut self, now: Time, from: Origin, record: &Record, out: &mut Out) -> bool {
        if !is_for_all(record.space()) || record.bytes().len() > limits::GOSSIP_RECORD_BYTES {
            return false;
        }
        let carried = match from {
            // Our verdict passes it on.
            Origin::Gossiped(_) => return true,
            // Those who hold what it waited for have had it from others.
            Origin::Late => false,
            Origin::Own => self.gossip.links.any() && self.gossip.own.take(now),
            Origin::Pushed(_) => {
                let wall = self.wall(now);
                let fresh = wall.since(record.stamp().time()).max(record.stamp().time().since(wall)) < FRESH;
                fresh && self.gossip.links.any() && self.gossip.others.take(now)
            }
        };
        if carried && let Some(message) = seal(record.bytes()) {
            out.push(Output::Gossip { bytes: message.into() });
        }
        carried
    }
}

/// The same host with another port.
fn with_port(address: &str, port: u16) -> Option<String> {
    let (host, _) = address.rsplit_once(':')?;
    Some(format!("{host}:{port}"))
}
