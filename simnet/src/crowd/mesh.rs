//! A model of gossipsub as the daemon configures it, for crowds.
//!
//! Modelled: whoever says something sends it to all its links; whoever accepts a message sends it to its mesh (6, at
//! least 4, at most 12); links are grafted when a session is new and at heartbeats of 1 s, and pruned with a pause of
//! 30 s; at each heartbeat the names of what came in the last 3 are told to some links outside the mesh, which ask for
//! what they have not seen; 5 heartbeats are kept to answer from. 64 messages are on their way on one link.
//!
//! Not modelled: scores, outbound quotas, fan-out, `IDONTWANT`, and that grafts are lost (they travel on a stream).
//! A message or the telling of names can be lost or come twice: on a real link, which is a stream, that happens only
//! when a queue overflows, so the model is the harder of the two.
//!
//! Invariant: a message goes beyond a member only if the shipped set of records calls it new.

use super::field::{Event, Field};
use super::member::Slot;
use super::updates::Update;
use crate::Ix;
use crate::gossipsub::{ASKED, BACKOFF, HISTORY, LAZY, MESH, NAME, QUEUE};

impl Field {
    /// Says something to all links, unless it was seen already.
    pub(super) fn publish(&mut self, who: Ix, update: Update) {
        let member = &mut self.members[who];
        if !member.sees(update) {
            return;
        }
        let beat = member.beat;
        member.recent.push((beat, update));
        for at in member.places(|s| s.link) {
            self.gossip_send(who, at, update, false);
        }
    }

    pub(super) fn gossip_send(&mut self, who: Ix, at: Slot, update: Update, asked: bool) {
        let session = &mut self.members[who].sessions[at as usize];
        let (to, place) = (session.peer, session.other);
        if session.queued >= QUEUE {
            self.counts.overflow += 1;
            return;
        }
        if self.links.loses(&mut self.dice) {
            self.counts.lost += 1;
            return;
        }
        let twice = self.links.duplicates > 0 && self.dice.one_in(self.links.duplicates);
        self.counts.twice += u64::from(twice);
        for _ in 0..1 + u16::from(twice) {
            self.members[who].sessions[at as usize].queued += 1;
            let after = self.links.packet(&mut self.dice);
            self.world.after(after, Event::Gossip { to, at: place, update, asked });
        }
    }

    /// A message comes in.
    pub(super) fn gossip_comes(&mut self, to: Ix, at: Slot, update: Update, asked: bool) {
        let session = &self.members[to].sessions[at as usize];
        let (from, other, stands) = (session.peer as usize, session.other as usize, session.is_link());
        let sender = &mut self.members[from].sessions[other];
        sender.queued = sender.queued.saturating_sub(1);
        if !stands || !self.members[to].on {
            return;
        }
        self.figures.bytes.gossip += self.shelf.item(update).gossiped();
        self.figures.copies += 1;
        if !self.members[to].sees(update) {
            return;
        }
        let way = if asked { super::field::Way::Asked } else { super::field::Way::Mesh };
        if !self.take(to, update, Some(at), way) {
            self.counts.ignored += 1;
            return;
        }
        self.counts.accepted += 1;
        let (author, member) = (self.shelf.item(update).author, &mut self.members[to]);
        let beat = member.beat;
        member.recent.push((beat, update));
        let others = member.places(|s| s.mesh && s.link && s.peer as usize != author);
        others.into_iter().filter(|o| *o != at).for_each(|o| self.gossip_send(to, o, update, false));
    }

    /// A link stands: it is taken into a mesh that is thin.
    pub(super) fn link_up(&mut self, who: Ix, at: Slot) {
        if self.members[who].places(|s| s.mesh && s.link).len() < MESH.1 {
            self.graft(who, at);
        }
    }

    fn graft(&mut self, who: Ix, at: Slot) {
        let session = &mut self.members[who].sessions[at as usize];
        session.mesh = true;
        let (to, at) = (session.peer, session.other);
        let after = self.links.packet(&mut self.dice);
        self.world.after(after, Event::Graft { to, at });
    }

    fn prune(&mut self, who: Ix, at: Slot) {
        let until = self.world.now().after(BACKOFF);
        let session = &mut self.members[who].sessions[at as usize];
        (session.mesh, session.backoff) = (false, until);
        let (to, at) = (session.peer, session.other);
        let after = self.links.packet(&mut self.dice);
        self.world.after(after, Event::Prune { to, at });
    }

    /// The peer took this end into its mesh.
    pub(super) fn grafted(&mut self, who: Ix, at: Slot) {
        let now = self.world.now();
        let full = self.members[who].places(|s| s.mesh && s.link).len() >= MESH.2;
        let session = &mut self.members[who].sessions[at as usize];
        if !session.is_link() || session.mesh {
            return;
        }
        if full || session.backoff > now {
            self.prune(who, at);
        } else {
            session.mesh = true;
        }
    }

    /// The peer took this end out of its mesh.
    pub(super) fn pruned(&mut self, who: Ix, at: Slot) {
        let until = self.world.now().after(BACKOFF);
        let session = &mut self.members[who].sessions[at as usize];
        (session.mesh, session.backoff) = (false, until);
    }

    /// A heartbeat: the mesh is kept at its size, and others are told what there is.
    pub(super) fn heartbeat(&mut self, who: Ix) {
        let now = self.world.now();
        let member = &mut self.members[who];
        member.beat += 1;
        let oldest = member.beat.saturating_sub(HISTORY.1);
        member.recent.retain(|(beat, _)| *beat >= oldest);
        member.asked.retain(|(at, _)| now.since(*at) < ASKED);
        let (mut mesh, mut outside) = (Vec::new(), Vec::new());
        for at in member.places(|s| s.link) {
            if member.sessions[at as usize].mesh { mesh.push(at) } else { outside.push(at) }
        }
        let told = member.beat.saturating_sub(HISTORY.0);
        let names: Vec<Update> =
            member.recent.iter().filter(|(beat, _)| *beat >= told).map(|(_, update)| *update).collect();
        if mesh.len() < MESH.1 {
            self.dice.shuffle(&mut outside);
            let free = |at: &&Slot| self.members[who].sessions[**at as usize].backoff <= now;
            let more: Vec<Slot> = outside.iter().filter(free).take(MESH.0 - mesh.len()).copied().collect();
            more.iter().for_each(|at| self.graft(who, *at));
            outside.retain(|at| !more.contains(at));
        } else if mesh.len() > MESH.2 {
            self.dice.shuffle(&mut mesh);
            mesh.iter().skip(MESH.0).for_each(|at| self.prune(who, *at));
        }
        if !names.is_empty() && !outside.is_empty() {
            self.tell_names(who, outside, &names);
        }
    }

    fn tell_names(&mut self, who: Ix, mut outside: Vec<Slot>, names: &[Update]) {
        self.dice.shuffle(&mut outside);
        let enough = LAZY.0.max(outside.len() / LAZY.1);
        for at in outside.into_iter().take(enough) {
            if self.links.loses(&mut self.dice) {
                self.counts.lost += 1;
                continue;
            }
            let session = &self.members[who].sessions[at as usize];
            let (to, at, names) = (session.peer, session.other, names.into());
            let after = self.links.packet(&mut self.dice);
            self.world.after(after, Event::Names { to, at, names });
        }
    }

    /// The peer tells what it has: what was not seen is asked for.
    pub(super) fn told(&mut self, who: Ix, at: Slot, names: &[Update]) {
        let now = self.world.now();
        let member = &mut self.members[who];
        if !member.sessions[at as usize].is_link() {
            return;
        }
        self.figures.bytes.gossip += NAME.0 * names.len() as u64 + NAME.1;
        let asked = |update: &Update| member.asked.iter().any(|(_, u)| u == update);
        let lacks: Vec<Update> =
            names.iter().filter(|u| !member.has_seen(**u) && !asked(u)).copied().collect();
        if lacks.is_empty() {
            return;
        }
        member.asked.extend(lacks.iter().map(|u| (now, *u)));
        let session = &member.sessions[at as usize];
        let (to, at) = (session.peer, session.other);
        if self.links.loses(&mut self.dice) {
            self.counts.lost += 1;
            return;
        }
        let after = self.links.packet(&mut self.dice);
        self.world.after(after, Event::Asks { to, at, names: lacks.into() });
    }

    /// The peer asks for messages.
    pub(super) fn asked(&mut self, who: Ix, at: Slot, names: &[Update]) {
        let member = &self.members[who];
        if !member.sessions[at as usize].is_link() {
            return;
        }
        self.figures.bytes.gossip += NAME.0 * names.len() as u64 + NAME.1;
        let has = |update: &&Update| member.recent.iter().any(|(_, u)| u == *update);
        let found: Vec<Update> = names.iter().filter(has).copied().collect();
        found.into_iter().for_each(|update| self.gossip_send(who, at, update, true));
    }
}
