//! The networks on which machines hear each other's beacons.
//!
//! Machines on one LAN hear what any of them sends to the group, after the link's delay, unless the link is cut or
//! the packet is lost. A machine that was never plugged in hears and sends nothing, so that stories without beacons
//! are what they were. It reads no packet.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use vigo_base::Time;
use vigo_node::Input;
use vigo_node::boot::meta;
use vigo_node::swarm::beacon::{Interface, PORT};
use vigo_node::swarm::peers::{Book, Kind, Me, Peers, Source};

use crate::machine::Power;
use crate::net::Net;
use crate::{Fleet, Ix};

/// The interface's index on every machine.
const INDEX: u32 = 2;

/// Who is on which LAN.
#[derive(Debug, Default)]
pub(crate) struct Lans {
    of: BTreeMap<Ix, u32>,
    /// One packet in so many is lost, as the network's links have it if there is no number.
    loss: Option<u64>,
    sent: u64,
    /// What machines on a LAN dialed.
    dials: Vec<(Time, Ix, String)>,
}

impl Fleet {
    /// Puts a machine on a LAN; takes it from the one it was on.
    pub fn plug_in(&mut self, ix: Ix, lan: u32) {
        self.lans.of.insert(ix, lan);
        self.tell_interfaces(ix);
    }

    /// Takes a machine from its LAN; its connections stay as they are.
    pub fn unplug(&mut self, ix: Ix) {
        if self.lans.of.remove(&ix).is_some() && self.machines[ix].power() == Power::On {
            self.input(ix, Input::Interfaces(Vec::new()));
        }
    }

    /// From now on one beacon in so many is lost on its way to each hearer; none for 0.
    pub fn lose_beacons(&mut self, one_in: u64) {
        self.lans.loss = Some(one_in);
    }

    /// How many beacons were sent so far.
    pub fn beacons(&self) -> u64 {
        self.lans.sent
    }

    /// Everything that machines on a LAN have dialed so far: when, who, where.
    pub fn dials(&self) -> &[(Time, Ix, String)] {
        &self.lans.dials
    }

    /// Empties a machine's address book, as if it had never been told of anybody. It must be off.
    pub fn forget_addresses(&mut self, ix: Ix) {
        assert_eq!(self.machines[ix].power(), Power::Off, "its node would write the book again");
        self.machines[ix].disk.meta.remove(meta::BOOK);
    }

    /// Sends any bytes to the group of a LAN as if they came from `source`: what a hostile neighbour does.
    pub fn shout_by_hand(&mut self, lan: u32, source: SocketAddr, bytes: &[u8]) {
        let hearers: Vec<Ix> = self.lans.of.iter().filter(|(_, l)| **l == lan).map(|(ix, _)| *ix).collect();
        for hearer in hearers {
            let input = Input::Beacon { interface: INDEX, source, bytes: bytes.to_vec() };
            self.post(0, hearer, input);
        }
    }

    /// Makes a machine's address book name, for everybody in it, an address where nobody is. It must be off.
    pub fn scramble_addresses(&mut self, ix: Ix) {
        assert_eq!(self.machines[ix].power(), Power::Off, "its node would write the book again");
        let Some(bytes) = self.machines[ix].disk.meta.get(meta::BOOK) else { return };
        let Ok(book) = Book::decode(bytes) else { return };
        let (mut dice, me) = (self.dice.fork(), self.machines[ix].key.public());
        let who = Me { key: me, kind: Kind::Envoy, listens: false, addresses: Vec::new() };
        let mut moved = Peers::new(who, Book::default(), dice.fork());
        for (key, entry) in book.iter() {
            let nowhere = format!("10.99.{}.{}:1531", 200 + dice.below(50), dice.below(250));
            moved.learn(Source::Itself, *key, entry.kind, nowhere.parse().into_iter().collect());
        }
        self.machines[ix].disk.meta.insert(meta::BOOK.to_string(), moved.book().encode());
    }

    pub(crate) fn note_dial(&mut self, ix: Ix, address: &str) {
        let now = self.now();
        if self.lans.of.contains_key(&ix) {
            self.lans.dials.push((now, ix, address.to_string()));
        }
    }

    pub(crate) fn tell_interfaces(&mut self, ix: Ix) {
        if self.machines[ix].power() == Power::Off || !self.lans.of.contains_key(&ix) {
            return;
        }
        let address: Option<SocketAddr> = Net::address(ix).parse().ok();
        let addresses = address.map(|at| at.ip()).into_iter().collect();
        let one = Interface { index: INDEX, name: "eth0".into(), addresses, apart: false };
        self.input(ix, Input::Interfaces(vec![one]));
    }

    pub(crate) fn shout(&mut self, ix: Ix, from: IpAddr, bytes: &[u8]) {
        let Some(lan) = self.lans.of.get(&ix).copied() else { return };
        self.lans.sent += 1;
        let hearers: Vec<Ix> = self.lans.of.iter().filter(|(_, l)| **l == lan).map(|(ix, _)| *ix).collect();
        for hearer in hearers {
            let loss = self.lans.loss.unwrap_or(self.net.links.loss);
            if (loss > 0 && self.dice.one_in(loss)) || !self.net.reaches(ix, hearer) {
                self.reach("beacon lost");
                continue;
            }
            let source = SocketAddr::new(from, PORT);
            let after = self.datagram(ix, hearer, bytes.len());
            self.post(after, hearer, Input::Beacon { interface: INDEX, source, bytes: bytes.to_vec() });
        }
    }
}
