//! What replicas say to each other on connections: signs of life with digests, reconciliation, records.
//!
//! The hands of the shipped reconciler, as `node/src/sync.rs` has them: it decides when to compare and with whom, its
//! acts become frames, and frames its inputs. Bytes are those of the frames of `swarm::frame`. What is taken is judged
//! on the shelf, filed by the shipped set of records, and passed on as a node does.

use vigo_base::{Hash, Machine as _, Outbox, limits};
use vigo_node::crdt::Verdict;
use vigo_node::swarm::frame::{Bytes, Digest, Frame};
use vigo_node::swarm::ids::ConnId;
use vigo_node::swarm::sync::{Act, Input};

use super::field::{Event, Field, Way};
use super::member::Slot;
use super::updates::{SpaceIx, Update};
use crate::Ix;

/// What travels on a connection.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// What the sender holds; to be answered if it asks.
    Digests {
        asks: bool,
        of: Vec<(SpaceIx, Hash)>,
    },
    Compare(SpaceIx, Vec<u8>),
    Compared(SpaceIx, Vec<u8>),
    Want(SpaceIx, Vec<Hash>),
    Push(Vec<Update>),
}

impl Field {
    /// Files an update and passes it on; whether it was new.
    pub(super) fn take(&mut self, who: Ix, update: Update, from: Option<Slot>, way: Way) -> bool {
        let item = self.shelf.item(update);
        let (space, key) = (&self.shelf.spaces[usize::from(item.space)], item.key);
        if self.members[who].replica.contains(space, &key) {
            return false;
        }
        let Some((record, form)) = self.shelf.judged(update) else { return false };
        if self.members[who].replica.insert(record.clone(), *form).verdict != Verdict::New {
            return false;
        }
        self.delivered(who, update, way);
        self.pass_on(who, update, from, way);
        true
    }

    /// Hands a new update on: by gossip where a link carries it, else on the connection.
    fn pass_on(&mut self, who: Ix, update: Update, from: Option<Slot>, way: Way) {
        let now = self.world.now();
        let member = &mut self.members[who];
        let any = member.sessions.iter().any(|s| s.is_link());
        let carried = match way {
            Way::Mesh | Way::Asked => true,
            Way::Own => any && member.own.take(now),
            Way::Pushed => any && member.others.take(now),
        };
        if carried && matches!(way, Way::Own | Way::Pushed) {
            self.publish(who, update);
        }
        let author = self.shelf.item(update).author;
        let others = self.members[who].places(|s| s.peer as usize != author && !(carried && s.carries(now)));
        for at in others.into_iter().filter(|at| Some(*at) != from) {
            self.say(who, at, Said::Push(vec![update]));
        }
    }

    /// Sends a frame: it arrives after what was sent before it.
    pub(super) fn say(&mut self, who: Ix, at: Slot, said: Said) {
        let now = self.world.now();
        let mut after = self.links.packet(&mut self.dice);
        while self.links.loses(&mut self.dice) {
            self.counts.resent += 1;
            after += 2 * self.links.delay.1 + self.links.packet(&mut self.dice);
        }
        let Some(session) = self.members[who].sessions.get_mut(at as usize) else { return };
        let arrives = now.after(after).max(session.last);
        session.last = arrives;
        let (to, at) = (session.peer, session.other);
        self.world.at(arrives, Event::Said { to, at, said: Box::new(said) });
    }

    /// A frame comes in.
    pub(super) fn hear(&mut self, to: Ix, at: Slot, said: Said) {
        let up = self.members[to].sessions[at as usize].stage == super::member::Stage::Up;
        if !up || !self.members[to].on {
            return;
        }
        self.count(&said);
        let conn = ConnId(u64::from(at));
        match said {
            Said::Digests { asks, of } => {
                if asks {
                    let of = self.digests(to);
                    self.say(to, at, Said::Digests { asks: false, of });
                }
                for (place, theirs) in of {
                    let space = self.shelf.spaces[usize::from(place)].clone();
                    let ours = self.members[to].replica.digest(&space);
                    self.sync(to, Input::Digest { conn, space, theirs, ours });
                }
            }
            Said::Compare(place, message) => {
                let space = &self.shelf.spaces[usize::from(place)];
                match self.members[to].replica.sealed(space).answer(&message) {
                    Ok(answer) => self.say(to, at, Said::Compared(place, answer)),
                    Err(_) => self.counts.bad += 1,
                }
            }
            Said::Compared(place, answer) => {
                let space = self.shelf.spaces[usize::from(place)].clone();
                self.sync(to, Input::Compared(conn, space, answer));
            }
            Said::Want(place, keys) => self.push(to, at, place, &keys),
            Said::Push(updates) => {
                self.counts.pushed += updates.len() as u64;
                for update in updates {
                    self.take(to, update, Some(at), Way::Pushed);
                }
            }
        }
    }

    /// What a member holds of each space.
    pub(super) fn digests(&self, who: Ix) -> Vec<(SpaceIx, Hash)> {
        let replica = &self.members[who].replica;
        (0..).zip(&self.shelf.spaces).map(|(place, space)| (place, replica.digest(space))).collect()
    }

    /// Sends those of these records that the member holds.
    fn push(&mut self, who: Ix, at: Slot, place: SpaceIx, keys: &[Hash]) {
        let space = &self.shelf.spaces[usize::from(place)];
        let replica = &self.members[who].replica;
        let held = keys.iter().filter(|key| replica.contains(space, key));
        let found: Vec<Update> = held.filter_map(|key| self.shelf.by_key(key)).collect();
        for batch in found.chunks(limits::PUSH_RECORDS) {
            self.say(who, at, Said::Push(batch.to_vec()));
        }
    }

    /// Gives the reconciler an input and does what it wants.
    pub(super) fn sync(&mut self, who: Ix, input: Input) {
        let (now, mut acts) = (self.world.now(), Outbox::new());
        self.members[who].sync.handle(now, input, &mut acts);
        self.acts(who, acts);
        self.schedule(who);
    }

    pub(super) fn sync_wake(&mut self, who: Ix) {
        let (now, mut acts) = (self.world.now(), Outbox::new());
        self.members[who].sync.wake(now, &mut acts);
        self.acts(who, acts);
        self.schedule(who);
    }

    fn acts(&mut self, who: Ix, mut acts: Outbox<Act>) {
        let mut later = Vec::new();
        for act in acts.drain() {
            match act {
                Act::AskDigest(conn, space) => {
                    let digest = self.members[who].replica.digest(&space);
                    let of = self.shelf.place(&space).map(|place| (place, digest)).into_iter().collect();
                    self.say(who, conn.0 as Slot, Said::Digests { asks: true, of });
                }
                Act::Seal(conn, space) => {
                    let sealed = self.members[who].replica.sealed(&space);
                    later.push(Input::Sealed(conn, space, sealed));
                }
                Act::Compare(conn, space, message) => {
                    let place = self.shelf.place(&space).unwrap_or_default();
                    self.say(who, conn.0 as Slot, Said::Compare(place, message));
                }
                Act::Push(conn, space, keys) => {
                    let place = self.shelf.place(&space).unwrap_or_default();
                    self.push(who, conn.0 as Slot, place, &keys);
                }
                Act::Want(conn, space, keys) => {
                    let place = self.shelf.place(&space).unwrap_or_default();
                    self.say(who, conn.0 as Slot, Said::Want(place, keys));
                }
                Act::Done { differed, .. } => {
                    self.counts.compared += 1;
                    self.counts.differed += differed;
                }
                // Members of a crowd compare by ranges: neither comes.
                Act::Blame(..) | Act::Sketch(..) | Act::WantShort(..) => self.counts.bad += 1,
            }
        }
        for input in later {
            self.sync(who, input);
        }
    }

    /// Counts a frame by what it is for.
    fn count(&mut self, said: &Said) {
        let bytes = self.length(said);
        let planes = &mut self.figures.bytes;
        match said {
            Said::Digests { .. } => planes.other += bytes,
            Said::Push(updates) => {
                self.figures.copies += updates.len() as u64;
                planes.push += bytes;
            }
            Said::Compare(..) => {
                self.figures.rounds += 1;
                planes.reconciliation += bytes;
            }
            Said::Compared(..) | Said::Want(..) => planes.reconciliation += bytes,
        }
    }

    /// Bytes of a frame as it is encoded; of one that carries many records to a few bytes.
    fn length(&self, said: &Said) -> u64 {
        let space = |place: &SpaceIx| self.shelf.spaces[usize::from(*place)].clone();
        let frame = match said {
            Said::Digests { asks, of } => {
                if of.len() == self.shelf.spaces.len() {
                    return self.sign_of_life;
                }
                let digests =
                    of.iter().map(|(place, digest)| Digest { space: space(place), digest: *digest });
                if *asks { Frame::Ping(digests.collect()) } else { Frame::Pong(digests.collect()) }
            }
            Said::Push(updates) => return updates.iter().map(|u| self.shelf.item(*u).pushed).sum(),
            Said::Compare(place, message) => Frame::Compare(space(place), Bytes::from(message.clone())),
            Said::Compared(place, answer) => Frame::Compared(space(place), Bytes::from(answer.clone())),
            Said::Want(place, keys) => Frame::Want(space(place), keys.clone()),
        };
        frame.encode().len() as u64
    }
}
