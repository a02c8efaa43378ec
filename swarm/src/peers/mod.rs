//! The partial view: whom a node stays connected to, and whom it dials next.
//!
//! An envoy keeps two bolts and four other peers, a bolt keeps the other bolts and four envoys; links to envoys
//! are exchanged slowly, so that the fleet stays one piece and no corner of it grows stale. It never decides who
//! is a member: it dials addresses with an expected key, and papers decide.
//!
//! Whom a beacon names is dialed once beside that: a sign of life from where we never thought of is worth more than
//! what the book says.
//!
//! Invariant: at most [`DIALS`] dials are on their way by the book, and never two to one key; and as many because of
//! beacons, of which the same holds.

mod address;
mod book;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use vigo_base::time::{Micros, millis, mins, secs};
use vigo_base::{Dice, PublicKey, Time, limits};

use crate::frame::{Farewell, Hint};
pub use address::{ADDRESS_BYTES, Address, BadAddress};
pub use book::{BOOK_BYTES, Book, Entry, Kind, Place, Source};

/// Dials on their way at one time.
pub const DIALS: usize = 8;
/// Hints taken from one answer, and given in one.
pub const HINTS: usize = 32;
/// Peers that may be waiting to be dialed at once ([`Peers::urgent`]).
const URGENT: usize = 64;
/// Bolts that an envoy keeps, and other bolts that a bolt keeps.
const BOLTS: (usize, usize) = (2, 16);
/// Envoys that any node keeps.
const ENVOYS: usize = 4;
/// The shortest and the longest pause after a failed dial.
const BACKOFF: (Micros, Micros) = (millis(500), secs(20));
/// Mean pause after a peer turned us away.
const AWAY: Micros = secs(30);
/// How often the pause after a lasting refusal doubles: up to 16 minutes.
const DOUBLINGS: u32 = 5;
/// A dial without an answer counts as failed.
const DIAL: Micros = secs(8);
/// Two connections that began within this time of each other were dialed at once.
const AT_ONCE: Micros = secs(10);
/// Mean time after which a link to an envoy is exchanged for another.
const ROTATE: Micros = mins(10);

/// A dial to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// Whoever answers must hold this key.
    pub key: PublicKey,
    /// Where.
    pub address: Address,
}

/// Who dialed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialer {
    /// This node.
    Us,
    /// The peer.
    Them,
}

/// Which of two connections to the same peer stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The one that stood first; the new one is closed.
    Old,
    /// The new one; the old one is closed.
    New,
}

/// Which of two connections to `peer` stays: both sides come to the same answer.
///
/// Two nodes that dial each other at once keep the connection that the smaller key dialed. Otherwise the new one
/// stays: nobody dials a peer that it is connected to, so whoever dialed again knows that the old one is dead.
/// `old_age` is how long the old connection has stood.
pub fn keep(me: &PublicKey, peer: &PublicKey, old: Dialer, new: Dialer, old_age: Micros) -> Keep {
    if old == new || old_age > AT_ONCE {
        return Keep::New;
    }
    let smaller = if me < peer { Dialer::Us } else { Dialer::Them };
    if new == smaller { Keep::New } else { Keep::Old }
}

/// What this node is for the others.
#[derive(Debug, Clone)]
pub struct Me {
    /// Its key.
    pub key: PublicKey,
    /// What it is.
    pub kind: Kind,
    /// Whether it takes connections. One that does not announces no address.
    pub listens: bool,
    /// Where it may be reached.
    pub addresses: Vec<Address>,
}

/// The address book and what is under way.
#[derive(Debug)]
pub struct Peers {
    me: Me,
    dice: Dice,
    book: Book,
    dialing: BTreeMap<PublicKey, (Address, Time)>,
    /// Whom a beacon made us dial, and as what: its address comes into the book once it has answered.
    heard: BTreeMap<PublicKey, (Kind, Address, Time)>,
    urgent: BTreeSet<PublicKey>,
    /// Those of the book between whom and us it ended for a lasting reason, and how often in a row.
    away: BTreeMap<PublicKey, u32>,
    rotate_at: Option<Time>,
}

impl Peers {
    /// A view that knows nobody but those in `book`.
    pub fn new(me: Me, book: Book, dice: Dice) -> Peers {
        let mut book = book;
        book.remove(&me.key);
        // A pause was measured by the clock of an earlier life. One that ran ahead (or this one, which begins in
        // 1970) would keep us from dialing for years.
        book.forget_pauses();
        Peers {
            me,
            dice,
            book,
            dialing: BTreeMap::new(),
            heard: BTreeMap::new(),
            urgent: BTreeSet::new(),
            away: BTreeMap::new(),
            rotate_at: None,
        }
    }

    /// Our own papers say what we are: it decides whom we keep.
    pub fn become_kind(&mut self, kind: Kind) {
        self.me.kind = kind;
    }

    /// The address book, to look at and to keep.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What this node says of itself: no address if it does not listen.
    pub fn announced(&self) -> Vec<Address> {
        if self.me.listens { self.me.addresses.clone() } else { Vec::new() }
    }

    /// Takes what a token, `node.yaml` or the peer itself says.
    pub fn learn(&mut self, source: Source, key: PublicKey, kind: Kind, addresses: Vec<Address>) {
        if key != self.me.key {
            self.book.learn(source, key, kind, addresses, &mut self.dice);
        }
    }

    /// Takes a peer's hints, [`HINTS`] at most; those without a plausible literal address are passed over.
    pub fn hear(&mut self, hints: &[Hint]) {
        for hint in hints.iter().take(HINTS) {
            let addresses = hint.addresses.iter().filter_map(|a| a.parse().ok()).collect();
            let kind = if hint.bolt { Kind::Bolt } else { Kind::Envoy };
            self.learn(Source::Hint, hint.key, kind, addresses);
        }
    }

    /// Hints for a peer that asks whom we know: at most `n`, at random. Only members that were connected to us,
    /// and of their addresses those that worked or that they announced themselves: hearsay is not passed on.
    pub fn sample(&mut self, n: usize) -> Vec<Hint> {
        let proven =
            |p: &&Place| (p.good.is_some() || p.own) && p.address.is_plausible() && !p.address.is_scoped();
        let known = self.book.iter().filter(|(_, e)| e.certain && e.last_good.is_some());
        let mut hints: Vec<Hint> = known
            .map(|(key, e)| {
                let addresses = e.places.iter().filter(proven).map(|p| p.address.to_string()).collect();
                Hint { key: *key, addresses, bolt: e.kind == Kind::Bolt }
            })
            .filter(|hint| !hint.addresses.is_empty())
            .collect();
        self.dice.shuffle(&mut hints);
        hints.truncate(n.min(HINTS));
        hints
    }

    /// Forgets a peer: it is revoked.
    pub fn forget(&mut self, key: &PublicKey) {
        self.book.remove(key);
        self.urgent.remove(key);
        self.away.remove(key);
    }

    /// A connection to `key` stands, and its papers say that it is a `kind`.
    pub fn connected(&mut self, now: Time, key: PublicKey, kind: Kind, dialer: Dialer) {
        let dial = if dialer == Dialer::Us { self.dialing.remove(&key) } else { None };
        self.heard.remove(&key);
        self.urgent.remove(&key);
        self.away.remove(&key);
        if key != self.me.key {
            self.book.worked(now, key, kind, dial.as_ref().map(|(at, _)| at), &mut self.dice);
        }
    }

    /// A dial failed: nobody answered, or somebody else did.
    pub fn failed(&mut self, now: Time, key: &PublicKey) {
        if self.dialing.remove(key).is_none() {
            return;
        }
        let Some(entry) = self.book.get_mut(key) else { return };
        // All its addresses are tried before the pause grows.
        let rounds = entry.failures as usize / entry.places.len().max(1);
        entry.failures = entry.failures.saturating_add(1);
        let pause = (BACKOFF.0 << rounds.min(10)).min(BACKOFF.1);
        let pause = (pause / 2 + self.dice.below(pause / 2 + 1)).max(BACKOFF.0);
        entry.next_try = now.after(pause);
    }

    /// The same, where it was dialed at `address`.
    pub fn failed_at(&mut self, now: Time, key: &PublicKey, address: &str) {
        if self.heard.get(key).is_some_and(|(_, at, _)| at.as_str() == address) {
            self.heard.remove(key);
        } else {
            self.failed(now, key);
        }
    }

    /// Who was dialed at `address` has answered there: before [`Peers::connected`]. A dial to another address of its
    /// is given up: that one has not worked.
    pub fn answered_at(&mut self, key: &PublicKey, address: &str) {
        if let Some((_, at, since)) = self.heard.remove(key).filter(|(_, at, _)| at.as_str() == address) {
            self.dialing.insert(*key, (at, since));
        } else if self.dialing.get(key).is_some_and(|(at, _)| at.as_str() != address) {
            self.dialing.remove(key);
        }
    }

    /// A connection ended that was not meant to: the peer is dialed again within a moment.
    pub fn lost(&mut self, now: Time, key: &PublicKey) {
        let moment = now.after(millis(50) + self.dice.below(millis(200)));
        if let Some(entry) = self.book.get_mut(key) {
            entry.failures = 0;
            entry.next_try = moment;
        }
    }

    /// A peer turned us away, or we it, or it kept another connection under our key: it is left alone for a while.
    /// While the reason lasts, each time twice as long: whoever is out does not cost every member a check of its papers
    /// twice a minute for ever.
    pub fn turned_away(&mut self, now: Time, key: &PublicKey, why: Farewell) {
        self.dialing.remove(key);
        self.heard.remove(key);
        self.urgent.remove(key);
        if self.away.len() >= limits::ADDRESS_BOOK {
            // Those that the book has let go meanwhile: it holds no more than that.
            self.away.retain(|away, _| away == key || self.book.get(away).is_some());
        }
        let Some(entry) = self.book.get_mut(key) else { return };
        let mut pause = AWAY;
        if why.is_lasting() {
            let times = self.away.entry(*key).or_default();
            pause <<= *times;
            *times = (*times + 1).min(DOUBLINGS);
        }
        entry.next_try = now.after(pause / 2 + self.dice.below(pause));
    }

    /// How many peers it ended with for a lasting reason: at most as many as the book holds.
    pub fn refusals(&self) -> usize {
        self.away.len()
    }

    /// Who belongs has changed, so what was refused may be let in: those that it ended with are tried again within
    /// half a minute, and the pauses begin anew.
    pub fn reconsider(&mut self, now: Time) {
        for key in mem::take(&mut self.away).into_keys() {
            let soon = now.after(self.dice.below(AWAY));
            if let Some(entry) = self.book.get_mut(&key) {
                entry.next_try = entry.next_try.min(soon);
            }
        }
    }

    /// Dial this peer as soon as there is a place, whatever else is connected.
    pub fn urgent(&mut self, now: Time, key: &PublicKey) {
        if self.urgent.len() < URGENT
            && *key != self.me.key
            && let Some(entry) = self.book.get_mut(key)
            && entry.can_be_dialed()
        {
            entry.next_try = entry.next_try.min(now);
            self.urgent.insert(*key);
        }
    }

    /// Whether a beacon of one of this kind is worth a dial. Dials by the book do not count: they may go to where
    /// nobody is any more.
    pub fn lacks(&self, kind: Kind, connected: &BTreeMap<PublicKey, Kind>) -> bool {
        let here = connected.values().filter(|k| **k == kind).count();
        let coming = self.heard.values().filter(|(k, ..)| *k == kind).count();
        self.target(kind) > here + coming
    }

    /// Whether [`Peers::dial_heard`] would dial now.
    pub fn can_dial_heard(&self, now: Time, key: &PublicKey, address: &Address) -> bool {
        let fresh = |at: &Time| at.after(DIAL) > now;
        let busy = self.heard.get(key).is_some_and(|(.., at)| fresh(at));
        let there = self.dialing.get(key).is_some_and(|(at, _)| at == address);
        let room = self.heard.values().filter(|(.., at)| fresh(at)).count() < DIALS;
        room && !busy && !there && *key != self.me.key && address.is_plausible()
    }

    /// A dial, once, to somebody whom a beacon named: its word is not enough for the book, so it is forgotten if
    /// nobody answers there.
    pub fn dial_heard(&mut self, now: Time, key: PublicKey, kind: Kind, address: Address) -> Option<Dial> {
        if !self.can_dial_heard(now, &key, &address) {
            return None;
        }
        self.heard.retain(|_, (.., at)| at.after(DIAL) > now);
        self.heard.insert(key, (kind, address.clone(), now));
        Some(Dial { key, address })
    }

    /// The dials to begin now. `connected` is everybody connected and what they are; `wanted` are peers to keep
    /// beyond the usual number.
    pub fn plan(
        &mut self,
        now: Time,
        connected: &BTreeMap<PublicKey, Kind>,
        wanted: &BTreeSet<PublicKey>,
    ) -> Vec<Dial> {
        let overdue: Vec<PublicKey> =
            self.dialing.iter().filter(|(_, (_, at))| at.after(DIAL) <= now).map(|(k, _)| *k).collect();
        overdue.iter().for_each(|key| self.failed(now, key));
        self.urgent.retain(|key| !connected.contains_key(key) && self.book.get(key).is_some());
        let mut room = DIALS.saturating_sub(self.dialing.len());
        let mut chosen: Vec<PublicKey> = Vec::new();
        for key in self.urgent.iter().chain(wanted) {
            if room > chosen.len() && !chosen.contains(key) && self.is_due(now, key, connected) {
                chosen.push(*key);
            }
        }
        for kind in [Kind::Bolt, Kind::Envoy] {
            room = room.min(DIALS - self.dialing.len().min(DIALS));
            let lacking = self.lacking(kind, connected, &chosen);
            let n = lacking.min(room.saturating_sub(chosen.len()));
            chosen.extend(self.choose(now, kind, n, connected, &chosen));
        }
        chosen.into_iter().filter_map(|key| self.dial(now, key)).collect()
    }

    /// How many more of a kind should be dialed.
    fn lacking(&self, kind: Kind, connected: &BTreeMap<PublicKey, Kind>, chosen: &[PublicKey]) -> usize {
        let target = self.target(kind);
        let here = connected.values().filter(|k| **k == kind).count();
        let is = |key: &&PublicKey| self.book.get(key).is_some_and(|e| e.kind == kind);
        let coming = self.dialing.keys().filter(is).count() + chosen.iter().filter(is).count();
        target.saturating_sub(here + coming)
    }

    fn target(&self, kind: Kind) -> usize {
        match (kind, self.me.kind) {
            (Kind::Bolt, Kind::Envoy) => BOLTS.0,
            (Kind::Bolt, Kind::Bolt) => BOLTS.1,
            (Kind::Envoy, _) => ENVOYS,
        }
    }

    fn is_due(&self, now: Time, key: &PublicKey, connected: &BTreeMap<PublicKey, Kind>) -> bool {
        let due = |e: &Entry| e.can_be_dialed() && e.next_try <= now;
        !connected.contains_key(key) && !self.dialing.contains_key(key) && self.book.get(key).is_some_and(due)
    }

    /// At random among those of a kind that are due; those that failed least, and of which we are certain, first.
    fn choose(
        &mut self,
        now: Time,
        kind: Kind,
        n: usize,
        connected: &BTreeMap<PublicKey, Kind>,
        chosen: &[PublicKey],
    ) -> Vec<PublicKey> {
        if n == 0 {
            return Vec::new();
        }
        let fits = |key: &PublicKey, e: &Entry| {
            e.kind == kind && !chosen.contains(key) && self.is_due(now, key, connected)
        };
        let mut due: Vec<((u32, bool), PublicKey)> = self
            .book
            .iter()
            .filter(|(key, e)| fits(key, e))
            .map(|(key, e)| ((e.failures.min(8), !e.certain), *key))
            .collect();
        self.dice.shuffle(&mut due);
        due.sort_by_key(|(worth, _)| *worth);
        due.into_iter().take(n).map(|(_, key)| key).collect()
    }

    fn dial(&mut self, now: Time, key: PublicKey) -> Option<Dial> {
        let address = self.book.get(&key)?.next_address()?.clone();
        self.dialing.insert(key, (address.clone(), now));
        Some(Dial { key, address })
    }

    /// A peer to hang up on, now and then, so that links to envoys stay random. Only one that we dialed
    /// (`ours`), that is not `wanted`, and only if there is another to take its place.
    pub fn rotate(
        &mut self,
        now: Time,
        ours: &BTreeSet<PublicKey>,
        connected: &BTreeMap<PublicKey, Kind>,
        wanted: &BTreeSet<PublicKey>,
    ) -> Option<PublicKey> {
        let at = self.rotate_at.unwrap_or_else(|| now.after(ROTATE / 2 + self.dice.below(ROTATE)));
        self.rotate_at = Some(at);
        if now < at {
            return None;
        }
        self.rotate_at = Some(now.after(ROTATE / 2 + self.dice.below(ROTATE)));
        let envoys = connected.values().filter(|k| **k == Kind::Envoy).count();
        let fresh = self.book.iter().any(|(k, e)| e.kind == Kind::Envoy && self.is_due(now, k, connected));
        if envoys < ENVOYS || !fresh {
            return None;
        }
        let may = |k: &&PublicKey| connected.get(k) == Some(&Kind::Envoy) && !wanted.contains(k);
        let may: Vec<PublicKey> = ours.iter().filter(may).copied().collect();
        let key = self.dice.pick(&may).copied()?;
        if let Some(entry) = self.book.get_mut(&key) {
            entry.next_try = now.after(mins(1));
        }
        Some(key)
    }

    /// When [`Peers::plan`] (and [`Peers::rotate`]) should be called next, if nothing happens before.
    pub fn next_wake(
        &self,
        now: Time,
        connected: &BTreeMap<PublicKey, Kind>,
        wanted: &BTreeSet<PublicKey>,
    ) -> Option<Time> {
        let dials = self.dialing.values().map(|(_, at)| at.after(DIAL)).min();
        let lacks = [Kind::Envoy, Kind::Bolt].map(|kind| self.lacking(kind, connected, &[]) > 0);
        let matters = |key: &PublicKey, e: &Entry| {
            let asked = lacks[e.kind as usize] || wanted.contains(key) || self.urgent.contains(key);
            asked && !connected.contains_key(key) && !self.dialing.contains_key(key) && e.can_be_dialed()
        };
        // Mostly nobody is lacking: then the book, which may hold thousands, is not read.
        let content = lacks == [false; 2] && wanted.is_empty() && self.urgent.is_empty();
        let tries = if self.dialing.len() >= DIALS || content {
            None
        } else {
            self.book.iter().filter(|(k, e)| matters(k, e)).map(|(_, e)| e.next_try).min()
        };
        let due = [dials, tries, self.rotate_at].into_iter().flatten().min();
        due.map(|at| at.max(Time(now.0 + 1)))
    }
}
