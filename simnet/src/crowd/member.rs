//! One replica: what it holds, whom it is connected with, and what it has heard of gossip.
//!
//! It decides nothing about records: the set of records and the reconciler are the shipped ones. Invariant: a place
//! among its sessions is used once, so that something that comes late never reaches another session.

use vigo_base::time::{Micros, secs};
use vigo_base::{Dice, Time};
use vigo_node::crdt::Replica;
use vigo_node::swarm::gossip::Bucket;
use vigo_node::swarm::sync::Reconciler;

use super::updates::Update;
use crate::Ix;

/// As in `node`: our own updates that are gossiped, at once and a second; and those learned from peer to peer.
const OWN: (u64, u64) = (512, 128);
const OTHERS: (u64, u64) = (32, 4);
/// As in `swarm`: how old a link must be to be relied on.
const YOUNG: Micros = secs(3);

/// A place among a member's sessions.
pub(super) type Slot = u32;

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Dialing,
    Up,
    Over,
}

/// One end of a connection, with the gossip link beside it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub peer: u32,
    /// The place of the other end among the peer's sessions.
    pub other: Slot,
    pub stage: Stage,
    pub dialed: bool,
    /// Whether there is a gossip link.
    pub link: bool,
    /// Whether the peer is in the mesh.
    pub mesh: bool,
    /// Messages on their way to the peer.
    pub queued: u16,
    pub since: Time,
    /// Not taken into the mesh before.
    pub backoff: Time,
    /// When the last frame sent from here arrives.
    pub last: Time,
}

impl Session {
    pub fn is_link(&self) -> bool {
        self.stage == Stage::Up && self.link
    }

    /// Whether gossip is relied on to reach the peer.
    pub fn carries(&self, now: Time) -> bool {
        self.is_link() && now.since(self.since) >= YOUNG
    }
}

/// One replica.
#[derive(Debug)]
pub(super) struct Member {
    pub on: bool,
    /// Which start this is.
    pub life: u16,
    pub bolt: bool,
    /// When it was last switched on.
    pub since: Time,
    pub replica: Replica,
    pub sync: Reconciler,
    pub wake_at: Option<Time>,
    pub sessions: Vec<Session>,
    /// Messages that it has seen.
    seen: Vec<u64>,
    /// What it can hand on if asked, by heartbeat.
    pub recent: Vec<(u32, Update)>,
    /// What it has asked for, and when.
    pub asked: Vec<(Time, Update)>,
    /// Heartbeats so far.
    pub beat: u32,
    pub own: Bucket,
    pub others: Bucket,
}

impl Member {
    pub fn new(bolt: bool, dice: &mut Dice) -> Member {
        Member {
            on: false,
            life: 0,
            bolt,
            since: Time(0),
            replica: Replica::new(),
            sync: Reconciler::new(dice.fork()),
            wake_at: None,
            sessions: Vec::new(),
            seen: Vec::new(),
            recent: Vec::new(),
            asked: Vec::new(),
            beat: 0,
            own: Bucket::new(OWN.0, OWN.1),
            others: Bucket::new(OTHERS.0, OTHERS.1),
        }
    }

    /// Power comes: what it holds is there, what it remembered of others is not.
    pub fn start(&mut self, now: Time, dice: &mut Dice) {
        let fresh = Member::new(self.bolt, dice);
        let (replica, sessions) = (std::mem::take(&mut self.replica), std::mem::take(&mut self.sessions));
        *self = Member { on: true, life: self.life + 1, since: now, replica, sessions, ..fresh };
    }

    /// Power goes; gives the sessions that there were.
    pub fn die(&mut self) -> Vec<Session> {
        (self.on, self.life, self.wake_at) = (false, self.life + 1, None);
        let open = |s: &&mut Session| s.stage != Stage::Over;
        let mut gone = Vec::new();
        for session in self.sessions.iter_mut().filter(open) {
            gone.push(session.clone());
            (session.stage, session.mesh) = (Stage::Over, false);
        }
        gone
    }

    pub fn has_seen(&self, update: Update) -> bool {
        let (word, bit) = (update as usize / 64, 1 << (update % 64));
        self.seen.get(word).is_some_and(|w| w & bit != 0)
    }

    /// Remembers a message; whether it is the first time.
    pub fn sees(&mut self, update: Update) -> bool {
        let (word, bit) = (update as usize / 64, 1 << (update % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        new
    }

    /// The places of the sessions that are up and for which `wanted` holds.
    pub fn places(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Slot> {
        let up = |s: &Session| s.stage == Stage::Up && wanted(s);
        (0..).zip(&self.sessions).filter(|(_, s)| up(s)).map(|(at, _)| at).collect()
    }

    /// Whether there is a session with this peer, or one is being opened.
    pub fn is_with(&self, peer: Ix) -> bool {
        self.sessions.iter().any(|s| s.peer as usize == peer && s.stage != Stage::Over)
    }

    /// How many sessions and how many links there are or will be.
    pub fn load(&self) -> (usize, usize) {
        let open = self.sessions.iter().filter(|s| s.stage != Stage::Over);
        open.fold((0, 0), |(all, links), s| (all + 1, links + usize::from(s.link)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_in_a_life() {
        let mut dice = Dice::from_number(1);
        let mut member = Member::new(false, &mut dice);
        assert!(member.sees(70) && !member.sees(70) && member.has_seen(70) && !member.has_seen(6));
        member.start(Time(5), &mut dice);
        assert!(member.on && member.sees(70), "what was seen is forgotten with the power");
        assert_eq!(member.life, 1);
    }
}
