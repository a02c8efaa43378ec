//! Which links of the gossip plane stand, which to dial, which to cut.
//!
//! Links follow the sessions of the peer channel: one to every member that we have a session with, dialed by
//! whoever dialed the session, up to a number. Here a link is cut as soon as its key has no member session, which is
//! how a stranger, somebody revoked and somebody who left all end.
//!
//! Invariants: a link whose key is no connected member's is in no answer of [`Links::carries`] and is cut at the
//! next [`Links::review`]; at most [`DIALS`] dials are under way; what is remembered of keys that are not members
//! is bounded.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::time::{Micros, mins, secs};
use vigo_base::{Dice, PublicKey, Time, planted};

use super::LinkId;

/// Dials under way at one time.
pub const DIALS: usize = 8;
/// A dial without a link after this time has failed.
const DIAL: Micros = secs(6);
/// The shortest and the longest pause after a link that did not come about or did not last.
const PAUSE: (Micros, Micros) = (secs(2), mins(5));
/// A link that stood this long was a good one: what failed before is forgotten.
const LASTED: Micros = secs(30);
/// How old a link is before it is relied on: by then each side knows what the other listens to, and a heartbeat
/// has put it in the mesh.
const YOUNG: Micros = secs(3);
/// Faults of one sender that cut its link.
const STRIKES: u8 = 3;
/// Faults are forgotten when this long none followed.
const FORGIVEN: Micros = mins(60);
/// For how long somebody with so many faults gets no link.
const SHUNNED: Micros = mins(10);
/// Keys that are shunned at one time; the one whose time is over first gives way.
const MOST_SHUNNED: usize = 256;
/// For how long the driver turns away a key that has no business here.
const TURNED_AWAY: Micros = secs(10);

/// What to do about links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Open one.
    Dial {
        /// Whoever answers must hold this key.
        key: PublicKey,
        /// Where: `host:port`.
        address: String,
    },
    /// Cut all links to a key.
    Cut {
        /// Whose.
        key: PublicKey,
        /// For how long the driver should take no link of this key: microseconds.
        refuse: Micros,
        /// Why.
        why: Why,
    },
}

/// Why a link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its key never was a connected member's while it stood.
    Stranger,
    /// Its session has ended, or its key does not belong any more.
    Left,
    /// It sent what it must have known to be wrong, again and again.
    Faults,
    /// There are links enough.
    Full,
}

impl Why {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Why::Stranger => "no member with this key is connected",
            Why::Left => "its session has ended",
            Why::Faults => "it gossiped what it must have known to be wrong",
            Why::Full => "there are links enough",
        }
    }
}

#[derive(Debug, Clone)]
struct Link {
    key: PublicKey,
    since: Time,
    /// Its key was a member's when this was last looked at.
    known: bool,
    cut: bool,
}

/// How it went with dials to a key.
#[derive(Debug, Clone, Default)]
struct Try {
    failures: u32,
    /// The end of the dial under way, or the earliest time of the next one.
    at: Time,
    under_way: bool,
}

/// The links of one node.
#[derive(Debug)]
pub struct Links {
    links: BTreeMap<LinkId, Link>,
    tries: BTreeMap<PublicKey, Try>,
    /// How many faults, and when the last was.
    strikes: BTreeMap<PublicKey, (u8, Time)>,
    shunned: BTreeMap<PublicKey, Time>,
    wake: Option<Time>,
    dice: Dice,
}

impl Links {
    /// None stand.
    pub fn new(dice: Dice) -> Links {
        let (links, tries) = (BTreeMap::new(), BTreeMap::new());
        Links { links, tries, strikes: BTreeMap::new(), shunned: BTreeMap::new(), wake: None, dice }
    }

    /// A link stands. [`Links::review`] must follow at once: it judges it.
    pub fn up(&mut self, now: Time, link: LinkId, key: PublicKey) {
        if let Some(attempt) = self.tries.get_mut(&key) {
            attempt.under_way = false;
        }
        self.links.insert(link, Link { key, since: now, known: false, cut: false });
    }

    /// A link is gone.
    pub fn down(&mut self, now: Time, link: LinkId) {
        let Some(gone) = self.links.remove(&link) else { return };
        if self.links.values().any(|l| l.key == gone.key) {
            return;
        }
        if let Some(attempt) = self.tries.get_mut(&gone.key) {
            if now.since(gone.since) >= LASTED {
                attempt.failures = 0;
            }
            Links::failed(attempt, now, &mut self.dice);
        }
    }

    fn failed(attempt: &mut Try, now: Time, dice: &mut Dice) {
        let pause = (PAUSE.0 << attempt.failures.min(10)).min(PAUSE.1);
        attempt.failures = attempt.failures.saturating_add(1);
        attempt.under_way = false;
        attempt.at = now.after(pause / 2 + dice.below(pause / 2 + 1));
    }

    /// Somebody sent what it must have known to be wrong; says whether this was once too often.
    pub fn strike(&mut self, now: Time, key: &PublicKey) -> bool {
        let (strikes, last) = self.strikes.entry(*key).or_default();
        *strikes = if now.since(*last) >= FORGIVEN { 1 } else { strikes.saturating_add(1) };
        *last = now;
        let over = *strikes >= STRIKES;
        if over {
            self.strikes.remove(key);
            if self.shunned.len() >= MOST_SHUNNED
                && let Some(first) = self.shunned.iter().min_by_key(|(_, until)| **until).map(|(k, _)| *k)
            {
                self.shunned.remove(&first);
            }
            self.shunned.insert(*key, now.after(SHUNNED));
        }
        over
    }

    /// Whether a link to this key stands that was not cut.
    pub fn stands(&self, key: &PublicKey) -> bool {
        self.links.values().any(|l| l.key == *key && !l.cut && l.known)
    }

    /// Whether what is gossiped can be relied on to be offered to this key: an old enough link stands.
    pub fn carries(&self, now: Time, key: &PublicKey) -> bool {
        self.links.values().any(|l| l.key == *key && !l.cut && l.known && now.since(l.since) >= YOUNG)
    }

    /// Whether anybody would hear what is gossiped now.
    pub fn any(&self) -> bool {
        self.links.values().any(|l| !l.cut && l.known)
    }

    /// How many links stand.
    pub fn len(&self) -> usize {
        self.links.values().filter(|l| !l.cut && l.known).count()
    }

    /// Whether none stands.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What to do now. `members` are the keys of all member sessions, with the address to dial where it is ours to
    /// dial; `room` is how many links there may be.
    pub fn review(
        &mut self,
        now: Time,
        members: &BTreeMap<PublicKey, Option<String>>,
        room: usize,
    ) -> Vec<Act> {
        self.shunned.retain(|_, until| *until > now);
        self.strikes.retain(|key, _| members.contains_key(key));
        self.tries.retain(|key, _| members.contains_key(key));
        let mut acts = self.cuts(members, room);
        for attempt in self.tries.values_mut().filter(|t| t.under_way && t.at <= now) {
            Links::failed(attempt, now, &mut self.dice);
        }
        let linked: BTreeSet<PublicKey> = self.links.values().map(|l| l.key).collect();
        let may = |key: &PublicKey| !linked.contains(key) && !self.shunned.contains_key(key);
        let mut dialing = self.tries.values().filter(|t| t.under_way).count();
        let mut free = room.saturating_sub(self.links.len() + dialing);
        self.wake = None;
        let mut soonest = |at: Time| self.wake = Some(self.wake.map_or(at, |w: Time| w.min(at)));
        for (key, address) in members {
            let Some(address) = address.as_ref().filter(|_| may(key)) else { continue };
            let attempt = self.tries.entry(*key).or_default();
            if attempt.under_way || attempt.at > now {
                soonest(attempt.at);
            } else if dialing < DIALS && free > 0 {
                (dialing, free) = (dialing + 1, free - 1);
                *attempt = Try { under_way: true, at: now.after(DIAL), failures: attempt.failures };
                soonest(attempt.at);
                acts.push(Act::Dial { key: *key, address: address.clone() });
            }
        }
        for (key, until) in &self.shunned {
            if members.get(key).is_some_and(Option::is_some) {
                soonest(*until);
            }
        }
        acts
    }

    fn cuts(&mut self, members: &BTreeMap<PublicKey, Option<String>>, room: usize) -> Vec<Act> {
        let mut cut: BTreeMap<PublicKey, (Micros, Why)> = BTreeMap::new();
        let mut kept = 0;
        for link in self.links.values_mut().filter(|l| !l.cut) {
            let verdict = if !members.contains_key(&link.key) {
                match link.known {
                    true => (!planted!(15)).then_some((0, Why::Left)),
                    false => Some((TURNED_AWAY, Why::Stranger)),
                }
            } else if self.shunned.contains_key(&link.key) {
                Some((SHUNNED, Why::Faults))
            } else if kept >= room {
                Some((mins(1), Why::Full))
            } else {
                kept += 1;
                None
            };
            link.known |= verdict.is_none();
            if let Some(verdict) = verdict {
                link.cut = true;
                cut.insert(link.key, verdict);
            }
        }
        // One word cuts every link of a key.
        for link in self.links.values_mut().filter(|l| cut.contains_key(&l.key)) {
            link.cut = true;
        }
        cut.into_iter().map(|(key, (refuse, why))| Act::Cut { key, refuse, why }).collect()
    }

    /// When [`Links::review`] should be called next, if nothing happens before.
    pub fn next_wake(&self) -> Option<Time> {
        self.wake
    }
}

#[cfg(test)]
mod tests;
