//! Finding a fleet to join on this machine's own networks.
//!
//! Who belongs to no fleet asks the beacons' group who is there, and listens for bolts for a few seconds. One fleet:
//! its bolts are asked to let it in, as if their addresses had been given. Several: nothing is chosen for anybody.
//!
//! What a beacon says is not proven: the six words are what tells a fleet from one that only has its name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use vigo_base::text::escaped;
use vigo_base::time::{Micros, millis, secs};
use vigo_base::{PublicKey, SpannerId, Time};
use vigo_swarm::beacon::{Heard, Packet, Probe};
use vigo_swarm::peers::Kind;

use crate::io::{Event, FoundFleet, Output};
use crate::node::{Node, Out};

/// When to ask, counted from the beginning.
const PROBES: [Micros; 4] = [0, millis(700), millis(1_800), secs(4)];
/// How long to listen for more after the first fleet was found.
const MORE: Micros = secs(3);
/// The same when the fleet that is meant was found: for more of its bolts.
const MEANT: Micros = millis(500);
/// How long to listen at all.
const LONGEST: Micros = secs(8);
/// Fleets and bolts of each that are remembered.
const FLEETS: (usize, usize) = (16, 8);

/// What was found so far.
#[derive(Debug)]
pub(crate) struct Looking {
    since: Time,
    until: Time,
    probed: usize,
    fleets: BTreeMap<SpannerId, Found>,
}

#[derive(Debug, Default)]
struct Found {
    label: String,
    bolts: BTreeMap<PublicKey, BTreeSet<SocketAddr>>,
}

impl Looking {
    pub fn new(now: Time) -> Looking {
        Looking { since: now, until: now.after(LONGEST), probed: 0, fleets: BTreeMap::new() }
    }

    fn next_wake(&self, can_probe: bool) -> Option<Time> {
        let probe = PROBES.get(self.probed).filter(|_| can_probe).map(|at| self.since.after(*at));
        probe.into_iter().chain([self.until]).min()
    }

    fn rows(&self) -> Vec<FoundFleet> {
        let row = |(spanner, found): (&SpannerId, &Found)| FoundFleet {
            spanner: spanner.to_string(),
            label: escaped(&found.label),
            bolts: found.bolts.values().flatten().map(ToString::to_string).collect(),
        };
        self.fleets.iter().map(row).collect()
    }
}

impl Node {
    fn looking(&mut self) -> Option<&mut Looking> {
        self.joining.as_mut().and_then(|joining| joining.looking.as_mut())
    }

    /// The interfaces are known, or have changed: what was asked before may have gone nowhere.
    pub(crate) fn discover_begins(&mut self, now: Time, out: &mut Out) {
        let Some(looking) = self.looking() else { return };
        if looking.probed == 0 || looking.fleets.is_empty() {
            (looking.probed, looking.since) = (0, now);
        }
        self.discover_wake(now, out);
    }

    pub(crate) fn discover_next_wake(&self) -> Option<Time> {
        let looking = self.joining.as_ref().and_then(|joining| joining.looking.as_ref());
        looking.and_then(|looking| looking.next_wake(!self.lan.interfaces.is_empty()))
    }

    pub(crate) fn discover_wake(&mut self, now: Time, out: &mut Out) {
        let wall = self.wall(now);
        let meant = self.joining.as_ref().and_then(|joining| joining.meant());
        let heard_on = !self.lan.interfaces.is_empty();
        let Some(looking) = self.looking() else { return };
        if now >= looking.until {
            return self.choose_fleet(now, meant, out);
        }
        let due = PROBES.get(looking.probed).is_some_and(|at| looking.since.after(*at) <= now);
        if !due || !heard_on {
            return;
        }
        looking.probed += 1;
        for (interface, from) in self.lan.places() {
            let (time, nonce) = self.lan.moment(wall);
            let packet = Packet::Probe(Probe { spanner: meant, time, nonce });
            out.push(Output::Beacon { interface, from, bytes: packet.sign(&self.key) });
        }
    }

    pub(crate) fn discover_heard(&mut self, now: Time, interface: u32, source: SocketAddr, bytes: &[u8]) {
        let Some(joining) = self.joining.as_mut() else { return };
        let meant = joining.meant();
        let Some(looking) = joining.looking.as_mut() else { return };
        let heard = self.lan.gate.hear(now, &self.me, meant.as_ref(), interface, source, bytes);
        let Ok(Heard::Here(key, here)) = heard else { return };
        if here.kind != Kind::Bolt {
            return;
        }
        let room = looking.fleets.len() < FLEETS.0 || looking.fleets.contains_key(&here.spanner);
        if !room {
            return;
        }
        let first = looking.fleets.is_empty();
        let found = looking.fleets.entry(here.spanner).or_default();
        found.label = here.label;
        if found.bolts.len() < FLEETS.1 || found.bolts.contains_key(&key) {
            found.bolts.entry(key).or_default().insert(here.address);
        }
        if first {
            let more = if meant.is_some() { MEANT } else { MORE };
            looking.until = looking.until.min(now.after(more));
        }
    }

    /// Listening is over.
    fn choose_fleet(&mut self, now: Time, meant: Option<SpannerId>, out: &mut Out) {
        let interfaces = self.lan.interfaces.len();
        let Some(joining) = self.joining.as_mut() else { return };
        let Some(looking) = joining.looking.take() else { return };
        let rows = looking.rows();
        if !rows.is_empty() {
            out.push(Output::Emit(Event::FleetsFound(rows.clone())));
        }
        let mut fleets = looking.fleets.into_iter();
        if let (Some((spanner, found)), None) = (fleets.next(), fleets.next()) {
            // The first address of each before the second of any.
            let mut bolts: Vec<(usize, SocketAddr, PublicKey)> = found
                .bolts
                .iter()
                .flat_map(|(key, all)| all.iter().enumerate().map(|(n, at)| (n, *at, *key)))
                .collect();
            bolts.sort();
            let bolts = bolts.into_iter().map(|(_, at, key)| (at.to_string(), Some(key))).collect();
            return joining.found(now, spanner, bolts);
        }
        let why = why_not(&rows, meant, interfaces);
        joining.give_up(&why);
        out.push(Output::Emit(Event::JoinRefused { why }));
    }
}

fn why_not(rows: &[FoundFleet], meant: Option<SpannerId>, interfaces: usize) -> String {
    if !rows.is_empty() {
        let list: Vec<String> = rows.iter().map(|row| format!("{} ({})", row.spanner, row.label)).collect();
        return format!(
            "{} fleets answer on this network, and only you know which is yours: {}; name one with --spanner ID",
            rows.len(),
            list.join(", ")
        );
    }
    let who = meant.map_or("no fleet".to_string(), |meant| format!("no bolt of the fleet {meant}"));
    if interfaces == 0 {
        return format!(
            "{who} can be found from here: no network interface of this machine is up with an address and takes multicast; \
             name a bolt with --address HOST"
        );
    }
    format!(
        "{who} answered on this network; check that a bolt runs on the same LAN, that multicast passes (to 224.0.0.42 or \
         ff12::8a2a:1531, port 1531/udp) and that beacons are on there (`vigocli settings`), or name it with --address HOST"
    )
}
