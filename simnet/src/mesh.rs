//! The gossip plane of the virtual network: links, a mesh that forwards what was accepted, loss and copies.
//!
//! It models what a node sees of gossipsub: who publishes sends to every link, who accepts a message forwards it to
//! at most [`MESH`] others, nobody gets one message twice, queues are bounded, and some of it is lost on the way: what
//! links beyond those [`MESH`] are told by name and ask for ([`crate::names`]), and the rest is left to
//! reconciliation. Grafting and scores are not modelled.
//!
//! Invariants: a message goes beyond a machine only by that machine's [`Verdict::Accept`]; nobody gossips a record
//! of its own disk that is not durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use vigo_base::time::{Micros, secs};
use vigo_base::{Hash, PublicKey, Time};
use vigo_node::Input;
use vigo_node::swarm::gossip::{LinkId, MessageId, Opened, Verdict, open};

use crate::fleet::Event;
use crate::gossipsub::{MESH, QUEUE};
use crate::machine::Power;
use crate::names::Names;
use crate::net::{NOTICE, Net};
use crate::{Fleet, Ix};

/// Messages a machine remembers having seen.
const SEEN: usize = 4096;

/// A message that waits for a verdict.
#[derive(Debug)]
struct Waiting {
    from: Ix,
    bytes: Arc<[u8]>,
}

/// Links and messages of all machines.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    /// Each end with the other.
    links: BTreeMap<(Ix, LinkId), (Ix, LinkId)>,
    next: u64,
    seen: BTreeMap<Ix, (BTreeSet<Hash>, VecDeque<Hash>)>,
    waiting: BTreeMap<(Ix, MessageId), Waiting>,
    under_way: BTreeMap<(Ix, Ix), usize>,
    refused: BTreeMap<(Ix, PublicKey), Time>,
    pub names: Names,
}

impl Mesh {
    fn link(&mut self, a: Ix, b: Ix) -> (LinkId, LinkId) {
        self.next += 2;
        let (x, y) = (LinkId(self.next), LinkId(self.next + 1));
        self.links.insert((a, x), (b, y));
        self.links.insert((b, y), (a, x));
        (x, y)
    }

    fn of(&self, ix: Ix) -> Vec<(LinkId, (Ix, LinkId))> {
        let range = (ix, LinkId(0))..=(ix, LinkId(u64::MAX));
        self.links.range(range).map(|((_, link), end)| (*link, *end)).collect()
    }

    fn neighbours(&self, ix: Ix) -> BTreeSet<Ix> {
        self.of(ix).into_iter().map(|(_, (peer, _))| peer).collect()
    }

    /// Whether a machine sees a message for the first time.
    fn is_new(&mut self, ix: Ix, name: Hash) -> bool {
        let (seen, order) = self.seen.entry(ix).or_default();
        if !seen.insert(name) {
            return false;
        }
        order.push_back(name);
        if order.len() > SEEN
            && let Some(old) = order.pop_front()
        {
            seen.remove(&old);
        }
        true
    }

    /// Whether a machine remembers a message.
    pub fn has_seen(&self, ix: Ix, name: &Hash) -> bool {
        self.seen.get(&ix).is_some_and(|(seen, _)| seen.contains(name))
    }

    /// The pairs of machines that are linked.
    pub fn pairs(&self) -> BTreeSet<(Ix, Ix)> {
        self.links.iter().map(|((a, _), (b, _))| (*a, *b)).filter(|(a, b)| a < b).collect()
    }
}

impl Fleet {
    /// No machine gossips: everything goes from peer to peer. Before any is started.
    pub fn without_gossip(&mut self) {
        self.gossips = false;
        self.machines.iter_mut().for_each(|machine| machine.gossip = None);
    }

    /// Whether a gossip link between two machines stands.
    pub fn is_linked(&self, a: Ix, b: Ix) -> bool {
        self.mesh.neighbours(a).contains(&b)
    }

    /// Opens a gossip link without being asked to: a stranger, or somebody who was revoked.
    pub fn link_by_hand(&mut self, ix: Ix, target: Ix) {
        let key = self.machines[ix].key.public();
        let (mine, theirs) = self.mesh.link(ix, target);
        self.input(target, Input::GossipUp { link: theirs, key, dialed: false });
        let key = self.machines[target].key.public();
        self.input(ix, Input::GossipUp { link: mine, key, dialed: true });
    }

    /// Sends a message on a gossip link, whatever it is.
    pub fn gossip_by_hand(&mut self, ix: Ix, target: Ix, bytes: &[u8]) {
        self.gossip_arrives(target, ix, bytes.into());
    }

    pub(crate) fn gossip_dial(&mut self, ix: Ix, key: PublicKey, address: &str) {
        let target = Net::machine_at(address).filter(|t| *t < self.machines.len());
        let ours = self.machines[ix].key.public();
        let Some(target) = target else { return };
        let there = &self.machines[target];
        let up = there.power() == Power::On && there.gossip.is_some() && there.key.public() == key;
        let refused = self.mesh.refused.get(&(target, ours)).is_some_and(|until| *until > self.now());
        if !up || refused || !self.net.accepts(target) || !self.net.both_ways(ix, target) {
            return;
        }
        let (mine, theirs) = self.mesh.link(ix, target);
        let after = 3 * self.transit(ix, target, 0);
        self.post(after, ix, Input::GossipUp { link: mine, key, dialed: true });
        self.post(after, target, Input::GossipUp { link: theirs, key: ours, dialed: false });
        self.reach("gossip link");
    }

    pub(crate) fn gossip_cut(&mut self, ix: Ix, key: PublicKey, refuse: u64) {
        self.mesh.refused.insert((ix, key), self.now().after(secs(refuse)));
        for (link, (peer, _)) in self.mesh.of(ix) {
            if self.machines[peer].key.public() == key {
                let after = self.transit(ix, peer, 0);
                self.unlink(ix, link, 0, after, "cut");
            }
        }
        self.reach("gossip link cut");
    }

    /// Forgets a link; its ends hear of it after so long.
    fn unlink(&mut self, ix: Ix, link: LinkId, here: Micros, there: Micros, why: &str) {
        let Some((peer, other)) = self.mesh.links.remove(&(ix, link)) else { return };
        self.mesh.links.remove(&(peer, other));
        self.post(here, ix, Input::GossipDown { link, why: why.into() });
        self.post(there, peer, Input::GossipDown { link: other, why: why.into() });
    }

    /// A machine's power goes, and its links with it.
    pub(crate) fn gossip_dies(&mut self, ix: Ix) {
        for (link, _) in self.mesh.of(ix) {
            self.unlink(ix, link, 0, NOTICE / 3, "timed out");
        }
        self.mesh.seen.remove(&ix);
        self.mesh.waiting.retain(|(at, _), _| *at != ix);
        self.mesh.refused.retain(|(at, _), _| *at != ix);
        self.mesh.names.forget(ix);
    }

    /// Links over what is cut in either direction end.
    pub(crate) fn gossip_notices(&mut self) {
        let severed: Vec<(Ix, LinkId)> = self
            .mesh
            .links
            .iter()
            .filter(|((a, _), (b, _))| !self.net.both_ways(*a, *b))
            .map(|(end, _)| *end)
            .collect();
        for (ix, link) in severed {
            self.unlink(ix, link, 0, 0, "timed out");
        }
    }

    /// A node says something on the topic.
    pub(crate) fn gossip(&mut self, ix: Ix, bytes: &Arc<[u8]>) {
        if let Ok(Opened::Record(record)) = open(bytes) {
            let (machine, id) = (&self.machines[ix], Hash::of(&record));
            let durable = machine.disk.has_kept(&id);
            assert!(durable, "{} gossips {id:?} before it is durable", machine.name);
            self.reach("durable before it was gossiped");
        }
        let name = Hash::of(bytes);
        if self.mesh.is_new(ix, name) {
            let mut peers: Vec<Ix> = self.mesh.neighbours(ix).into_iter().collect();
            for peer in &peers {
                self.gossip_send(ix, *peer, bytes);
            }
            // All were sent it; those who would not be in the mesh are told of it as well.
            if peers.len() > MESH.0 {
                self.dice.shuffle(&mut peers);
                let outside = peers.split_off(MESH.0);
                self.keep_named(ix, name, bytes, outside);
            }
        }
    }

    pub(crate) fn gossip_verdict(&mut self, ix: Ix, message: MessageId, verdict: Verdict) {
        let Some(Waiting { from, bytes }) = self.mesh.waiting.remove(&(ix, message)) else { return };
        match verdict {
            Verdict::Ignore => {}
            Verdict::Reject => self.reach("gossip rejected"),
            Verdict::Accept => {
                self.reach("gossip accepted");
                let mut others: Vec<Ix> =
                    self.mesh.neighbours(ix).into_iter().filter(|p| *p != from).collect();
                self.dice.shuffle(&mut others);
                let outside = others.split_off(others.len().min(MESH.0));
                others.iter().for_each(|peer| self.gossip_send(ix, *peer, &bytes));
                self.keep_named(ix, Hash::of(&bytes), &bytes, outside);
            }
        }
    }

    /// Whether what is gossiped now from one machine to another does not arrive.
    pub(crate) fn gossip_loses(&mut self, ix: Ix, peer: Ix) -> bool {
        let loss = self.net.links.gossip_loss;
        self.machines[ix].withholds || !self.net.reaches(ix, peer) || (loss > 0 && self.dice.one_in(loss))
    }

    pub(crate) fn gossip_send(&mut self, ix: Ix, peer: Ix, bytes: &Arc<[u8]>) {
        let queue = self.mesh.under_way.entry((ix, peer)).or_default();
        if *queue >= usize::from(QUEUE) {
            return self.reach("gossip overflow");
        }
        if self.gossip_loses(ix, peer) {
            return self.reach("gossip lost");
        }
        let twice = self.net.links.duplicates;
        let copies = 1 + u64::from(twice > 0 && self.dice.one_in(twice));
        for _ in 0..copies {
            *self.mesh.under_way.entry((ix, peer)).or_default() += 1;
            let (life, after) = (self.machines[peer].life, self.datagram(ix, peer, bytes.len()));
            self.world.after(after, Event::Gossip { to: peer, life, from: ix, bytes: bytes.clone() });
        }
    }

    /// A message arrives at a machine; `same` says whether it is still the same life of it.
    pub(crate) fn gossip_comes(&mut self, to: Ix, from: Ix, same: bool, bytes: Arc<[u8]>) {
        if let Some(queue) = self.mesh.under_way.get_mut(&(from, to)) {
            *queue = queue.saturating_sub(1);
        }
        if same && self.mesh.neighbours(to).contains(&from) {
            self.gossip_arrives(to, from, bytes);
        }
    }

    fn gossip_arrives(&mut self, to: Ix, from: Ix, bytes: Arc<[u8]>) {
        let name = Hash::of(&bytes);
        self.meter.gossip(name, &bytes);
        if !self.mesh.is_new(to, name) {
            return self.reach("gossip came twice");
        }
        self.mesh.names.came(to, name);
        self.mesh.next += 1;
        let message = MessageId(self.mesh.next);
        self.mesh.waiting.insert((to, message), Waiting { from, bytes: bytes.clone() });
        let from = self.machines[from].key.public();
        self.input(to, Input::GossipHeard { message, from, bytes: bytes.to_vec() });
    }
}
