//! Making spaces equal with peers: the node's hands for [`vigo_swarm::sync`].
//!
//! The machine there decides when to compare and with whom; here its wishes become frames, and frames its inputs.
//! Answering a peer's comparison keeps no state.

use vigo_base::{Machine, Outbox, Time};
use vigo_crdt::Space;
use vigo_swarm::frame::{Bytes, Digest, Frame};
use vigo_swarm::ids::ConnId;
use vigo_swarm::sync::{Act, Input, SPACES};

use crate::node::{Node, Out};

impl Node {
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

    /// A bolt more, and its audit log is compared with every other bolt from now on.
    pub(crate) fn share_anew(&mut self, now: Time, out: &mut Out) {
        let shared = self.shared_spaces(true);
        if !self.is_bolt() || self.shared == shared.len() {
            return;
        }
        self.shared = shared.len();
        let bolts: Vec<_> =
            self.sessions.values().filter(|s| s.is_bolt()).map(|s| (s.conn, s.dialed)).collect();
        for (conn, leads) in bolts {
            self.sync_input(now, Input::Up { conn, leads, spaces: shared.clone() }, out);
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
                Act::Push(conn, space, keys) => {
                    if let Some(peer) = self.sessions.get(&conn).map(|s| s.key) {
                        self.audit_lacks(&space, &peer, &keys, out);
                    }
                    let found =
                        keys.iter().filter_map(|key| self.replica.get(&space, key)).cloned().collect();
                    self.send_records(conn, found, out);
                }
                Act::Want(conn, space, keys) => self.send(conn, &Frame::Want(space, keys), out),
                Act::Done { .. } => {}
                Act::Blame(conn, why) => self.misbehaved(now, conn, why.to_string(), out),
            }
        }
        for input in later {
            self.sync_input(now, input, out);
        }
    }
}
