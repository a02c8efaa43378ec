//! The one gate for what is heard, and the limit on what it may cause.
//!
//! [`Beacons::hear`] takes the checks from the cheapest to the dearest: the buckets, the form, the fleet, the source
//! against the named address, the replay window, the signature. A sender's clock may be wrong by decades, so the
//! window compares a packet only with earlier ones of the same key: an older or equal moment is a repetition. One
//! that is forgotten (after [`FORGET`], or because the table is full) may be repeated once more, and what that can
//! cause is what [`Beacons::may_dial`] leaves: a dial to the address that the packet came from, at most once a
//! minute.
//!
//! Invariant: at most [`KEYS`] keys and [`DIALS`] dials are remembered, and no dial that is remembered is younger
//! than a minute when it is forgotten.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use vigo_base::time::{Micros, mins, secs};
use vigo_base::{PublicKey, SpannerId, Time};

use super::ear::{Ear, Rates};
use super::packet::{Claim, Here, Packet, Probe};

/// Keys remembered.
const KEYS: usize = 1024;
/// After this a key that was not heard is forgotten: a machine whose clock was set back is heard again.
const FORGET: Micros = mins(10);
/// Between two dials to one key.
const BETWEEN: Micros = mins(1);
/// Between two to one address: longer, so that a key that names two (IPv4 and IPv6) is tried at the other in between.
const AGAIN: Micros = secs(75);
/// Dials in a minute, over all keys and addresses.
const DIALS: usize = 32;
/// Dials in a minute to one host, over its ports.
const HOST_DIALS: usize = 4;

/// Why a packet was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ignored {
    /// More than is listened to.
    TooMany,
    /// No beacon, or not as one must be.
    Malformed,
    /// Of another fleet.
    OtherFleet,
    /// Our own.
    Own,
    /// It names another address than it came from.
    Spoofed,
    /// It was heard before, or is older than what was.
    Repeated,
    /// Its signature does not hold.
    Forged,
}

impl Ignored {
    /// The reason in one word, for counts.
    pub fn word(self) -> &'static str {
        match self {
            Ignored::TooMany => "too_many",
            Ignored::Malformed => "malformed",
            Ignored::OtherFleet => "other_fleet",
            Ignored::Own => "own",
            Ignored::Spoofed => "spoofed",
            Ignored::Repeated => "repeated",
            Ignored::Forged => "forged",
        }
    }
}

/// What was heard and is signed by the key that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Somebody says that it is a member. It was sent from the address it names; an IPv6 link-local one has the
    /// scope of the interface.
    Here(PublicKey, Here),
    /// Somebody asks who is there.
    Probe(PublicKey, Probe),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    moment: (Time, u64),
    heard: Time,
}

/// The gate.
#[derive(Debug)]
pub struct Beacons {
    ear: Ear,
    known: BTreeMap<[u8; 32], Known>,
    dials: Vec<(Time, PublicKey, SocketAddr)>,
    /// How often each reason was met.
    ignored: BTreeMap<Ignored, u64>,
    heard: u64,
    dialed: u64,
}

impl Beacons {
    /// Nothing was heard yet.
    pub fn new(now: Time) -> Beacons {
        let ear = Ear::new(Rates::CHECKED, now);
        Beacons {
            ear,
            known: BTreeMap::new(),
            dials: Vec::new(),
            ignored: BTreeMap::new(),
            heard: 0,
            dialed: 0,
        }
    }

    /// Takes a packet that came in on the interface with index `scope`. `ours` is the fleet that is listened to; with
    /// none, all are.
    ///
    /// # Errors
    /// Why it was passed over; it is counted.
    pub fn hear(
        &mut self,
        now: Time,
        me: &PublicKey,
        ours: Option<&SpannerId>,
        scope: u32,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<Heard, Ignored> {
        let heard = self.judge(now, me, ours, scope, source.ip(), bytes);
        match &heard {
            Ok(_) => self.heard += 1,
            Err(why) => *self.ignored.entry(*why).or_default() += 1,
        }
        heard
    }

    fn judge(
        &mut self,
        now: Time,
        me: &PublicKey,
        ours: Option<&SpannerId>,
        scope: u32,
        source: IpAddr,
        bytes: &[u8],
    ) -> Result<Heard, Ignored> {
        if !self.ear.hears(now, source) {
            return Err(Ignored::TooMany);
        }
        let claim = Claim::decode(bytes).map_err(|_| Ignored::Malformed)?;
        let key = *claim.key_bytes();
        if key == *me.as_bytes() {
            return Err(Ignored::Own);
        }
        let meant = match claim.packet() {
            Packet::Here(here) => ours.is_none_or(|ours| here.spanner == *ours),
            Packet::Probe(probe) => ours.is_none() || probe.spanner.is_none_or(|asked| ours == Some(&asked)),
        };
        if !meant {
            return Err(Ignored::OtherFleet);
        }
        if let Packet::Here(here) = claim.packet()
            && here.address.ip() != source
        {
            return Err(Ignored::Spoofed);
        }
        let moment = claim.packet().moment();
        if self.known.get(&key).is_some_and(|known| known.moment >= moment && now.since(known.heard) < FORGET)
        {
            return Err(Ignored::Repeated);
        }
        let Ok((signer, packet)) = claim.verify() else {
            self.ear.distrust(now, source);
            return Err(Ignored::Forged);
        };
        self.remember(now, key, moment);
        Ok(match packet {
            Packet::Here(here) => Heard::Here(signer, Here { address: scoped(here.address, scope), ..here }),
            Packet::Probe(probe) => Heard::Probe(signer, probe),
        })
    }

    fn remember(&mut self, now: Time, key: [u8; 32], moment: (Time, u64)) {
        if self.known.len() >= KEYS && !self.known.contains_key(&key) {
            self.known.retain(|_, known| now.since(known.heard) < FORGET);
        }
        if self.known.len() >= KEYS && !self.known.contains_key(&key) {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.heard).map(|(key, _)| *key);
            oldest.map(|key| self.known.remove(&key));
        }
        self.known.insert(key, Known { moment, heard: now });
    }

    /// Whether a beacon may cause a dial now; if so, it counts as dialed. At most once a minute for a key and for an
    /// address, `HOST_DIALS` times for a host, `DIALS` times for all.
    pub fn may_dial(&mut self, now: Time, key: &PublicKey, address: SocketAddr) -> bool {
        self.dials.retain(|(at, ..)| now.since(*at) < AGAIN && now >= *at);
        let young = |at: &Time| now.since(*at) < BETWEEN;
        let same = self.dials.iter().any(|(at, k, a)| (k == key && young(at)) || *a == address);
        let host = self.dials.iter().filter(|(_, _, a)| a.ip() == address.ip()).count();
        let may = !same && host < HOST_DIALS && self.dials.len() < DIALS;
        if may {
            self.dialed += 1;
            self.dials.push((now, *key, address));
        }
        may
    }

    /// How many packets were heard, and how many were passed over for which reason.
    pub fn counts(&self) -> (u64, &BTreeMap<Ignored, u64>) {
        (self.heard, &self.ignored)
    }

    /// How many dials beacons have caused.
    pub fn dialed(&self) -> u64 {
        self.dialed
    }

    /// Keys that were heard lately.
    pub fn neighbours(&self, now: Time) -> usize {
        self.known.values().filter(|known| now.since(known.heard) < FORGET).count()
    }
}

/// A link-local IPv6 address with the interface that it is on.
fn scoped(address: SocketAddr, scope: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
