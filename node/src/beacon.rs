//! Finding members on this machine's own networks, and being found there.
//!
//! A node that takes connections says so to the beacons' group on each interface; one that does not only asks who is
//! there, when it knows nobody. What it hears of members makes it dial one that it lacks, or one that holds something
//! else than it does; with a connected one it compares at once. When to speak is [`Pace`]'s, what passes [`Beacons`]'.
//!
//! It never believes a beacon: no address comes into the address book because of one, and whoever answers there must
//! hold the key and show papers. Nothing is sent to where a packet came from but that one dial.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use vigo_base::time::{Micros, millis, mins, secs};
use vigo_base::{Dice, PublicKey, Time};
use vigo_crdt::Space;
use vigo_swarm::beacon::{Beacons, Heard, Here, Interface, Pace, Packet, Probe, Short, label, short};
use vigo_swarm::frame::Frame;
use vigo_swarm::peers::{Address, Kind};

use crate::command::BeaconCounts;
use crate::io::Output;
use crate::node::{Node, Out};
use crate::trust::Trust;

/// Interfaces that are used.
const INTERFACES: usize = 32;
/// Former digests of ours that are remembered, and for how long.
const FORMER: (usize, Micros) = (32, mins(5));
/// Members that seem to hold something else, at one time.
const SUSPECTS: usize = 32;
/// How long they have to come to the same by themselves.
const GRACE: Micros = secs(3);
/// Between two comparisons with one peer because of beacons.
const COMPARED: Micros = secs(10);
/// Between two beacons because what we hold has changed.
const CHANGED: Micros = secs(10);
/// Within this a bolt answers who asks.
const ANSWER: Micros = millis(200);
/// Within this for each neighbour an envoy does, at most ten seconds.
const SHARE: Micros = millis(40);

/// What a node knows of its own networks.
#[derive(Debug)]
pub(crate) struct Beaconing {
    pub gate: Beacons,
    dice: Dice,
    pace: Pace,
    pub interfaces: Vec<Interface>,
    /// What we held lately, the newest last.
    mine: VecDeque<(Time, [Short; 3])>,
    told: Option<(Time, [Short; 3])>,
    suspects: BTreeMap<PublicKey, Suspect>,
    compared: BTreeMap<PublicKey, Time>,
    /// The moment in our last packet.
    moment: Time,
    /// Packets sent.
    sent: u64,
    /// How often we asked since we knew somebody.
    asked: u32,
}

/// A member that holds something else than we do.
#[derive(Debug)]
struct Suspect {
    due: Time,
    kind: Kind,
    address: SocketAddr,
    digests: [Short; 3],
}

impl Beaconing {
    pub fn new(now: Time, mut dice: Dice) -> Beaconing {
        Beaconing {
            gate: Beacons::new(now),
            pace: Pace::new(dice.fork()),
            dice,
            interfaces: Vec::new(),
            mine: VecDeque::new(),
            told: None,
            suspects: BTreeMap::new(),
            compared: BTreeMap::new(),
            moment: Time(0),
            sent: 0,
            asked: 0,
        }
    }

    /// The interface and own address of each packet to be sent: IPv4 first.
    pub fn places(&self) -> Vec<(u32, IpAddr)> {
        let of = |i: &Interface| {
            [i.v4(), i.v6()].into_iter().flatten().map(|ip| (i.index, ip)).collect::<Vec<_>>()
        };
        self.interfaces.iter().flat_map(of).collect()
    }

    /// A moment greater than every one before.
    pub fn moment(&mut self, wall: Time) -> (Time, u64) {
        self.moment = wall.max(self.moment.after(1));
        (self.moment, self.dice.bits())
    }
}

impl Node {
    /// The interfaces are these now.
    pub(crate) fn interfaces(&mut self, now: Time, mut found: Vec<Interface>, out: &mut Out) {
        found.truncate(INTERFACES);
        let new = |i: &Interface| !self.lan.interfaces.contains(i);
        let appeared = found.iter().any(new);
        self.lan.interfaces = found;
        if self.joining.is_some() {
            self.discover_begins(now, out);
        } else if self.lan.interfaces.is_empty() {
            self.lan.pace.hush();
        } else if appeared && self.beacons_are_on() {
            self.lan.pace.burst(now);
        }
    }

    fn beacons_are_on(&self) -> bool {
        let standing = self.trust.as_ref().is_some_and(Trust::in_standing);
        let setting = self.settings.switch("beacon.enabled");
        standing && !self.dormant && self.options.lan.choice.is_on(setting)
    }

    pub(crate) fn beacon_next_wake(&self) -> Option<Time> {
        if self.joining.is_some() {
            return self.discover_next_wake();
        }
        if self.lan.interfaces.is_empty() || !self.beacons_are_on() {
            return None;
        }
        self.lan.suspects.values().map(|s| s.due).chain(self.lan.pace.next_wake()).min()
    }

    pub(crate) fn beacon_wake(&mut self, now: Time, out: &mut Out) {
        if self.joining.is_some() || self.lan.interfaces.is_empty() || !self.beacons_are_on() {
            return;
        }
        if self.lan.pace.is_due(now) {
            self.speak(now, out);
        }
        self.judge_suspects(now, out);
    }

    /// What is looked at every few seconds: whether beacons were switched, and whether there is news to tell.
    pub(crate) fn beacon_chores(&mut self, now: Time) {
        if !self.beacons_are_on() || self.lan.interfaces.is_empty() {
            self.lan.pace.hush();
            self.lan.suspects.clear();
            return;
        }
        if self.lan.pace.next_wake().is_none() {
            self.lan.pace.burst(now);
        }
        let held = self.note_digests(now);
        if let Some((at, told)) = self.lan.told
            && told != held
            && now.since(at) >= CHANGED
        {
            self.lan.pace.soon(now, secs(1));
        }
        self.lan.compared.retain(|_, at| now.since(*at) < COMPARED);
    }

    /// Our digests, which are remembered for a while.
    fn note_digests(&mut self, now: Time) -> [Short; 3] {
        let spaces = [Space::admissions(), Space::config(), Space::settings()];
        let held = spaces.map(|space| short(&self.replica.digest(&space)));
        let mine = &mut self.lan.mine;
        if mine.back().is_none_or(|(_, newest)| *newest != held) {
            mine.push_back((now, held));
        }
        while mine.len() > FORMER.0 || (mine.len() > 1 && now.since(mine[0].0) > FORMER.1) {
            mine.pop_front();
        }
        held
    }

    /// Whether this node knows nobody who could serve it.
    fn seeks(&self) -> bool {
        let mut members = self.members().peekable();
        members.peek().is_none() || (!self.is_bolt() && !members.any(|(_, m)| m.is_active_bolt()))
    }

    fn speak(&mut self, now: Time, out: &mut Out) {
        let Some(trust) = &self.trust else { return };
        let (spanner, name) = (trust.spanner(), label(trust.authority.label()));
        let kind = if self.is_bolt() { Kind::Bolt } else { Kind::Envoy };
        let (seeks, digests, wall) = (self.seeks(), self.note_digests(now), self.wall(now));
        for (interface, from) in self.lan.places() {
            let port = self.options.lan.port(from);
            if port.is_none() && (!seeks || self.options.lan.is_private()) {
                continue;
            }
            let (time, nonce) = self.lan.moment(wall);
            let packet = match port {
                Some(port) => Packet::Here(Here {
                    spanner,
                    kind,
                    address: SocketAddr::new(from, port),
                    label: name.clone(),
                    time,
                    nonce,
                    seeks,
                    digests,
                }),
                None => Packet::Probe(Probe { spanner: Some(spanner), time, nonce }),
            };
            self.lan.sent += 1;
            out.push(Output::Beacon { interface, from, bytes: packet.sign(&self.key) });
        }
        self.lan.told = Some((now, digests));
        self.lan.asked = if seeks { self.lan.asked.saturating_add(1) } else { 0 };
        let neighbours = self.lan.gate.neighbours(now);
        self.lan.pace.spoken(now, neighbours, seeks.then_some(self.lan.asked));
    }

    pub(crate) fn beacon_counts(&self, now: Time) -> BeaconCounts {
        let (heard, ignored) = self.lan.gate.counts();
        BeaconCounts {
            interfaces: self.lan.interfaces.iter().map(|i| i.name.clone()).collect(),
            sent: self.lan.sent,
            heard,
            ignored: ignored.iter().map(|(why, count)| (why.word().to_string(), *count)).collect(),
            neighbours: self.lan.gate.neighbours(now),
            dialed: self.lan.gate.dialed(),
        }
    }

    /// A packet came in, from whomever.
    pub(crate) fn beacon_heard(
        &mut self,
        now: Time,
        interface: u32,
        source: SocketAddr,
        bytes: &[u8],
        out: &mut Out,
    ) {
        if self.joining.is_some() {
            return self.discover_heard(now, interface, source, bytes);
        }
        let Some(spanner) = self.spanner().filter(|_| self.beacons_are_on()) else { return };
        match self.lan.gate.hear(now, &self.me, Some(&spanner), interface, source, bytes) {
            Ok(Heard::Here(key, here)) => self.neighbour(now, key, here, out),
            // Whoever asks is answered by a beacon to all, at most once a second: nothing goes to where it came from.
            Ok(Heard::Probe(..)) if self.is_bolt() => self.lan.pace.soon(now, ANSWER),
            Ok(Heard::Probe(..)) | Err(_) => {}
        }
    }

    fn neighbour(&mut self, now: Time, key: PublicKey, here: Here, out: &mut Out) {
        if self.trust.as_ref().is_some_and(|t| t.authority.is_revoked(&key).is_some()) {
            return;
        }
        self.lan.pace.heard_another();
        if here.seeks && self.is_bolt() {
            self.lan.pace.soon(now, ANSWER);
        } else if here.seeks && !self.seeks() {
            let neighbours = self.lan.gate.neighbours(now) as u64;
            self.lan.pace.answer(now, (neighbours * SHARE).clamp(ANSWER, secs(10)));
        }
        let held = self.note_digests(now);
        let connected = self.sessions.values().find(|s| s.key == key);
        if let Some((conn, bolt, member)) = connected.map(|s| (s.conn, s.is_bolt(), s.member().is_some())) {
            let rested = self.lan.compared.get(&key).is_none_or(|at| now.since(*at) >= COMPARED);
            if member && here.digests != held && rested {
                self.lan.compared.insert(key, now);
                self.send(conn, &Frame::Ping(self.digests(bolt)), out);
            }
            return;
        }
        if self.peers.lacks(here.kind, &self.connected()) {
            return self.dial_neighbour(now, key, here.kind, here.address, out);
        }
        // One that holds what we held is behind, and comes to us; one that holds what we never did is worth a dial.
        let strange = !self.lan.mine.iter().any(|(_, former)| *former == here.digests);
        if strange && (self.lan.suspects.len() < SUSPECTS || self.lan.suspects.contains_key(&key)) {
            let due = now.after(GRACE + self.lan.dice.below(GRACE));
            let Here { kind, address, digests, .. } = here;
            let suspect = self.lan.suspects.entry(key).or_insert(Suspect { due, kind, address, digests });
            (suspect.kind, suspect.address, suspect.digests) = (kind, address, digests);
        } else {
            self.lan.suspects.remove(&key);
        }
    }

    /// Dials those who still hold something that we never did.
    fn judge_suspects(&mut self, now: Time, out: &mut Out) {
        let due: Vec<PublicKey> =
            self.lan.suspects.iter().filter(|(_, s)| s.due <= now).map(|(key, _)| *key).collect();
        for key in due {
            let Some(suspect) = self.lan.suspects.remove(&key) else { continue };
            self.note_digests(now);
            let strange = !self.lan.mine.iter().any(|(_, former)| *former == suspect.digests);
            if strange && !self.sessions.values().any(|s| s.key == key) {
                self.dial_neighbour(now, key, suspect.kind, suspect.address, out);
            }
        }
    }

    fn dial_neighbour(&mut self, now: Time, key: PublicKey, kind: Kind, at: SocketAddr, out: &mut Out) {
        let address = Address::from(at);
        if !self.peers.can_dial_heard(now, &key, &address) || !self.lan.gate.may_dial(now, &key, at) {
            return;
        }
        if let Some(dial) = self.peers.dial_heard(now, key, kind, address) {
            out.push(Output::Dial { address: dial.address.to_string(), expect: Some(dial.key) });
        }
    }
}
