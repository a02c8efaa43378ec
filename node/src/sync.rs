//! Making spaces equal with peers: the node's hands for [`vigo_swarm::sync`].
//!
//! The machine there decides when to compare and with whom; here its wishes become frames, and frames its inputs.
//! Answering a peer's comparison keeps no state but one sketch for each space, under a salt that holds for an hour: a
//! peer that asks again and again is answered from it. Sketches are asked only of peers that said that they know them
//! ([`features`]).

use vigo_base::time::{Micros, hours};
use vigo_base::{Dice, Hash, Machine, Outbox, Time, limits};
use vigo_crdt::Space;
use vigo_crdt::sketch::Salt;
use vigo_swarm::frame::{Bytes, Digest, Frame, features};
use vigo_swarm::ids::ConnId;
use vigo_swarm::sync::{Act, Input, SPACES};

use crate::node::{Node, Out};

/// How long sketches are under one salt: as long as an author that learnt it has for choosing ids after it.
const SALT_LASTS: Micros = hours(1);
/// Records sent for one short name. More than one has it only if somebody made them so.
const NAMESAKES: usize = 4;

/// The salt of our own sketches.
pub(crate) struct Salting {
    dice: Dice,
    salt: Salt,
    until: Option<Time>,
}

impl Salting {
    pub fn new(dice: Dice) -> Salting {
        Salting { dice, salt: Salt::default(), until: None }
    }
}

impl Node {
    /// What we say we can do.
    pub(crate) fn features(&self) -> u64 {
        if self.options.ranges_only { 0 } else { features::SKETCH }
    }

    /// Spaces that we share with a peer are kept equal from now on.
    pub(crate) fn compare_from_now_on(&mut self, now: Time, conn: ConnId, spaces: Vec<Space>, out: &mut Out) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let sketches = session.features & self.features() & features::SKETCH != 0;
        let leads = session.dialed;
        self.sync_input(now, Input::Up { conn, leads, sketches, spaces }, out);
    }

    pub(crate) fn sync_input(&mut self, now: Time, input: Input, out: &mut Out) {
        let mut acts = Outbox::new();
        self.sync.handle(now, input, &mut acts);
        self.sync_acts(now, acts, out);
    }

    pub(crate) fn sync_wake(&mut self, now: Time, out: &mut Out) {
        let mut acts = Outbox::new();
        self.sync.wake(now, &mut acts);
        self.sync_acts(now, acts, out);
    }

    /// A peer told the digests of what it holds.
    pub(crate) fn heard_digests(&mut self, now: Time, conn: ConnId, digests: Vec<Digest>, out: &mut Out) {
        let bolt = self.sessions.get(&conn).is_some_and(|s| s.is_bolt());
        let shared = self.shared_spaces(bolt);
        for Digest { space, digest } in digests.into_iter().filter(|d| shared.contains(&d.space)).take(SPACES)
        {
            let ours = self.replica.digest(&space);
            self.sync_input(now, Input::Digest { conn, space, theirs: digest, ours }, out);
        }
    }

    /// A peer compares a space with us.
    pub(crate) fn compare(&mut self, now: Time, conn: ConnId, space: Space, message: &[u8], out: &mut Out) {
        match self.replica.sealed(&space).answer(message) {
            Ok(answer) => self.send(conn, &Frame::Compared(space, Bytes::from(answer)), out),
            Err(e) => self.misbehaved(now, conn, e.to_string(), out),
        }
    }

    /// A peer's answer to our comparison.
    pub(crate) fn compared(&mut self, now: Time, conn: ConnId, space: Space, answer: &[u8], out: &mut Out) {
        self.sync_input(now, Input::Compared(conn, space, answer.to_vec()), out);
    }

    /// A peer asks for a sketch of a space.
    pub(crate) fn sketch(&mut self, now: Time, conn: ConnId, space: Space, cells: u32, out: &mut Out) {
        if self.features() & features::SKETCH == 0 {
            return self.misbehaved(
                now,
                conn,
                "a sketch was asked for; this node said it knows none".into(),
                out,
            );
        }
        if self.salting.until.is_none_or(|until| now >= until) {
            let drawn = self.salting.dice.bytes();
            self.salting.salt = Salt(std::array::from_fn(|ix| drawn[ix]));
            self.salting.until = Some(now.after(SALT_LASTS));
            self.replica.forget_sketches();
        }
        let cells = usize::try_from(cells).unwrap_or(usize::MAX).min(limits::SKETCH_CELLS);
        let answer = self.replica.sketch(&space, self.salting.salt, cells).encode(cells);
        self.send(conn, &Frame::Sketched(space, Bytes::from(answer)), out);
    }

    /// A peer's sketch.
    pub(crate) fn sketched(&mut self, now: Time, conn: ConnId, space: Space, answer: &[u8], out: &mut Out) {
        self.sync_input(now, Input::Sketched(conn, space, answer.to_vec()), out);
    }

    /// A peer asks for records by their short names.
    pub(crate) fn wanted_short(
        &mut self,
        now: Time,
        conn: ConnId,
        space: &Space,
        names: &[u8],
        out: &mut Out,
    ) {
        let Some(names) = Frame::short_names(names) else {
            let most = limits::WANT_RECORDS;
            let why = format!("records asked for by what is no ascending list of at most {most} short names");
            return self.misbehaved(now, conn, why, out);
        };
        let found = |name| self.replica.named(space, name, NAMESAKES);
        let keys: Vec<Hash> = names.into_iter().flat_map(found).collect();
        for keys in keys.chunks(limits::WANT_RECORDS) {
            self.wanted(now, conn, space, keys, out);
        }
    }

    /// A bolt more, and its audit log is compared with every other bolt from now on.
    pub(crate) fn share_anew(&mut self, now: Time, out: &mut Out) {
        let shared = self.shared_spaces(true);
        if !self.is_bolt() || self.shared == shared.len() {
            return;
        }
        self.shared = shared.len();
        let bolts: Vec<_> = self.sessions.values().filter(|s| s.is_bolt()).map(|s| s.conn).collect();
        for conn in bolts {
            self.compare_from_now_on(now, conn, shared.clone(), out);
        }
    }

    fn sync_acts(&mut self, now: Time, mut acts: Outbox<Act>, out: &mut Out) {
        let mut later = Vec::new();
        for act in acts.drain() {
            match act {
                Act::AskDigest(conn, space) => {
                    let digest = self.replica.digest(&space);
                    self.send(conn, &Frame::Ping(vec![Digest { space, digest }]), out);
                }
                Act::Seal(conn, space) => {
                    let sealed = self.replica.sealed(&space);
                    later.push(Input::Sealed(conn, space, sealed));
                }
                Act::Compare(conn, space, message) => {
                    self.send(conn, &Frame::Compare(space, Bytes::from(message)), out);
                }
                Act::Sketch(conn, space, cells) => self.send(conn, &Frame::Sketch(space, cells), out),
                Act::Push(conn, space, keys) => {
                    if let Some(peer) = self.sessions.get(&conn).map(|s| s.key) {
                        self.audit_lacks(&space, &peer, &keys, out);
                    }
                    let found =
                        keys.iter().filter_map(|key| self.replica.get(&space, key)).cloned().collect();
                    self.send_records(conn, found, out);
                }
                // The snapshot is older than the answer: what came or was written since is not asked for. To ask for an
                // entry of our own log would say that it was lost.
                Act::Want(conn, space, mut keys) => {
                    keys.retain(|key| !self.replica.contains(&space, key));
                    if !keys.is_empty() {
                        self.send(conn, &Frame::Want(space, keys), out);
                    }
                }
                Act::WantShort(conn, space, mut names) => {
                    names.retain(|name| self.replica.named(&space, *name, 1).is_empty());
                    if !names.is_empty() {
                        self.send(conn, &Frame::want_short(space, &names), out);
                    }
                }
                Act::Done { .. } => {}
                Act::Blame(conn, why) => self.misbehaved(now, conn, why.to_string(), out),
            }
        }
        for input in later {
            self.sync_input(now, input, out);
        }
    }
}
