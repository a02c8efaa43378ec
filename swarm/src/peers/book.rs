//! The address book: whom we have heard of, where they may be reached, and how dialing them went.
//!
//! What worked is never overridden by what was only heard: a hint adds an address to try behind those that
//! worked, and never pushes out a peer that we once reached. Who somebody is, a hint cannot say at all; papers
//! do, when the connection stands.
//!
//! Invariant: at most [`limits::ADDRESS_BOOK`] peers with at most [`limits::ADDRESSES`] addresses each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use vigo_base::codec::{self, BadBytes};
use vigo_base::{Dice, PublicKey, Time, limits, planted};

use super::address::{ADDRESS_BYTES, Address};

/// Bytes of an encoded address book.
pub const BOOK_BYTES: usize = limits::ADDRESS_BOOK * (limits::ADDRESSES * (ADDRESS_BYTES + 16) + 96);

/// What a node is for the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// Runs on a managed machine.
    #[n(0)]
    Envoy,
    /// A gateway peer that admits and stores.
    #[n(1)]
    Bolt,
}

/// Where an address was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Another peer said so.
    Hint,
    /// The peer itself said so, under its papers.
    Itself,
    /// An invite's token.
    Token,
    /// `node.yaml`.
    File,
}

/// An address of a peer, and when it last worked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Place {
    /// Where.
    #[n(0)]
    pub address: Address,
    /// When a connection to it last stood.
    #[n(1)]
    pub good: Option<Time>,
    /// Whether a token or `node.yaml` names it: it is kept even if it never worked.
    #[n(2)]
    pub pinned: bool,
    /// Whether the peer itself says, under its papers, that it listens there.
    #[n(3)]
    pub own: bool,
}

/// What we know of one peer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// Where it may be reached, the most recent good one first.
    #[n(0)]
    pub places: Vec<Place>,
    /// What it is, or is said to be.
    #[n(1)]
    pub kind: Kind,
    /// Whether its papers, a token or `node.yaml` say what it is, and not just a hint.
    #[n(2)]
    pub certain: bool,
    /// Dials that failed since one worked.
    #[n(3)]
    pub failures: u32,
    /// When a connection to it last stood.
    #[n(4)]
    pub last_good: Option<Time>,
    /// Not dialed before.
    #[n(5)]
    pub next_try: Time,
}

/// Everybody that we have heard of.
#[derive(Debug, Clone, Default)]
pub struct Book {
    entries: BTreeMap<PublicKey, Entry>,
}

#[derive(Encode, Decode)]
struct Saved {
    #[n(0)]
    entries: Vec<SavedEntry>,
}

#[derive(Encode, Decode)]
struct SavedEntry {
    #[n(0)]
    key: PublicKey,
    #[n(1)]
    entry: Entry,
}

impl Entry {
    fn new(kind: Kind) -> Entry {
        Entry { places: Vec::new(), kind, certain: false, failures: 0, last_good: None, next_try: Time(0) }
    }

    /// Whether there is anywhere to dial it.
    pub fn can_be_dialed(&self) -> bool {
        !self.places.is_empty()
    }

    /// The address to try next: the best first, then the others in turn.
    pub fn next_address(&self) -> Option<&Address> {
        let turn = (self.failures as usize).checked_rem(self.places.len())?;
        let turn = if turn > 0 && planted!(14) { 0 } else { turn };
        self.places.get(turn).map(|p| &p.address)
    }

    /// The addresses to tell a stranger who is to dial it: those that it names itself, those that somebody wrote
    /// down, and the one that was dialed when it last connected. One that worked once and is not named any more
    /// is where it was, and one that has a meaning on one machine only is nobody else's.
    pub fn told(&self) -> impl Iterator<Item = &Address> {
        let last = |p: &Place| p.good.is_some() && p.good == self.last_good;
        let told = move |p: &&Place| p.own || p.pinned || last(p);
        self.places.iter().filter(told).map(|p| &p.address).filter(|a| !a.is_scoped())
    }

    fn add(&mut self, address: Address, source: Source) {
        let (pinned, own) = (source >= Source::Token, source == Source::Itself);
        if let Some(place) = self.places.iter_mut().find(|p| p.address == address) {
            place.pinned |= pinned;
            place.own |= own;
        } else if self.places.len() < limits::ADDRESSES {
            self.places.push(Place { address, good: None, pinned, own });
        } else {
            // The one that is worth least makes room, unless it worked or is worth more than the new one.
            let least = self.places.iter_mut().rev().min_by_key(|p| (p.good, p.pinned, p.own));
            if let Some(place) = least.filter(|p| p.good.is_none() && (p.pinned, p.own) <= (pinned, own)) {
                *place = Place { address, good: None, pinned, own };
            }
        }
        self.sort();
    }

    fn worked(&mut self, now: Time, address: &Address) {
        if !self.places.iter().any(|p| p.address == *address) {
            if self.places.len() >= limits::ADDRESSES {
                self.places.pop();
            }
            self.places.push(Place { address: address.clone(), good: None, pinned: false, own: false });
        }
        for place in self.places.iter_mut().filter(|p| p.address == *address) {
            place.good = Some(now);
        }
        self.sort();
    }

    fn sort(&mut self) {
        self.places.sort_by_key(|p| Reverse((p.good, p.pinned, p.own)));
    }

    fn is_pinned(&self) -> bool {
        self.places.iter().any(|p| p.pinned)
    }

    /// The greater, the more it is worth keeping.
    fn worth(&self) -> (bool, bool, Option<Time>, Reverse<u32>) {
        let bolt = self.certain && self.kind == Kind::Bolt;
        (self.is_pinned(), bolt, self.last_good, Reverse(self.failures))
    }
}

impl Book {
    /// Everybody may be dialed now.
    pub(super) fn forget_pauses(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.next_try = Time(0));
    }

    /// What we know of `key`.
    pub fn get(&self, key: &PublicKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Everybody, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Entry)> {
        self.entries.iter()
    }

    /// How many peers are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get_mut(&mut self, key: &PublicKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub(super) fn remove(&mut self, key: &PublicKey) {
        self.entries.remove(key);
    }

    /// Takes what was heard of `key`.
    pub(super) fn learn(
        &mut self,
        source: Source,
        key: PublicKey,
        kind: Kind,
        addresses: Vec<Address>,
        dice: &mut Dice,
    ) {
        let sure = source != Source::Hint;
        let addresses = addresses.into_iter().take(limits::ADDRESSES);
        let addresses: Vec<Address> =
            addresses.filter(|a| source >= Source::Token || (a.is_plausible() && !a.is_scoped())).collect();
        if !sure && addresses.is_empty() {
            return;
        }
        if !self.entries.contains_key(&key) && !self.make_room(sure, dice) {
            return;
        }
        let entry = self.entries.entry(key).or_insert_with(|| Entry::new(kind));
        if sure {
            (entry.kind, entry.certain) = (kind, true);
        }
        if source == Source::Itself {
            // What it said before and never worked is void.
            entry.places.retain(|p| p.pinned || p.good.is_some() || addresses.contains(&p.address));
            entry.places.iter_mut().for_each(|p| p.own = addresses.contains(&p.address));
        }
        for address in addresses {
            entry.add(address, source);
        }
    }

    /// A connection to `key` stands; `dialed` is where we dialed it, if we did.
    pub(super) fn worked(
        &mut self,
        now: Time,
        key: PublicKey,
        kind: Kind,
        dialed: Option<&Address>,
        dice: &mut Dice,
    ) {
        if !self.entries.contains_key(&key) && !self.make_room(true, dice) {
            return;
        }
        let entry = self.entries.entry(key).or_insert_with(|| Entry::new(kind));
        (entry.kind, entry.certain, entry.failures) = (kind, true, 0);
        entry.last_good = Some(now);
        if let Some(address) = dialed {
            entry.worked(now, address);
        }
    }

    /// Removes the peer that is worth least if the book is full; false if there is none that may go.
    fn make_room(&mut self, sure: bool, dice: &mut Dice) -> bool {
        if self.entries.len() < limits::ADDRESS_BOOK {
            return true;
        }
        let Some(least) = self.entries.values().map(Entry::worth).min() else { return true };
        if !sure && least.2.is_some() {
            return false;
        }
        let equals: Vec<PublicKey> =
            self.entries.iter().filter(|(_, e)| e.worth() == least).map(|(k, _)| *k).collect();
        if let Some(key) = dice.pick(&equals) {
            self.entries.remove(key);
        }
        true
    }

    /// The book as canonical bytes, to be kept.
    pub fn encode(&self) -> Vec<u8> {
        let entries = self.entries.iter().map(|(key, entry)| SavedEntry { key: *key, entry: entry.clone() });
        codec::encode(&Saved { entries: entries.collect() })
    }

    /// Reads a book that was kept.
    ///
    /// # Errors
    /// [`BadBytes`] over [`BOOK_BYTES`], malformed or not canonical, or with more peers or addresses than fit.
    pub fn decode(bytes: &[u8]) -> Result<Book, BadBytes> {
        let saved: Saved = codec::decode(bytes, BOOK_BYTES)?;
        let most = saved.entries.iter().map(|e| e.entry.places.len()).max().unwrap_or(0);
        if saved.entries.len() > limits::ADDRESS_BOOK || most > limits::ADDRESSES {
            let (peers, limit) = (saved.entries.len(), limits::ADDRESS_BOOK);
            return Err(BadBytes::Malformed(format!(
                "{peers} peers (at most {limit}) with up to {most} addresses (at most {})",
                limits::ADDRESSES
            )));
        }
        if !saved.entries.windows(2).all(|two| two[0].key < two[1].key) {
            return Err(BadBytes::NotCanonical);
        }
        Ok(Book { entries: saved.entries.into_iter().map(|e| (e.key, e.entry)).collect() })
    }
}
