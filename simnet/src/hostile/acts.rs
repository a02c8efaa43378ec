//! What each behaviour does when its turn comes.
//!
//! Everything is made of frames that a member can send. Invariant: what is noted as forged differs from everything
//! that anybody with the right signed.

use std::sync::Arc;

use vigo_base::time::Stamp;
use vigo_base::{Hash, SpannerId};
use vigo_node::boot::meta;
use vigo_node::crdt::{Record, Space, Unverified, register};
use vigo_node::release::Release;
use vigo_node::spanner::spend::STATEMENT;
use vigo_node::spanner::{Grant, Right};
use vigo_node::stacks::{SourceTree, compile};
use vigo_node::swarm::frame::{Bytes, Digest, Frame};
use vigo_node::swarm::ids::ConnId;

use super::{Behaviour, Hostile};
use crate::{Fleet, Ix};

/// Small records that a flood makes in all; signing and checking them is what a run costs.
const FLOOD: u64 = 600;
/// And at one turn.
const WAVE: u64 = 24;

impl Fleet {
    pub(super) fn misbehave(&mut self, ix: Ix, hostile: &mut Hostile) {
        let done = match hostile.behaviour {
            Behaviour::Forge => self.forge(ix, hostile),
            Behaviour::Replay => self.replay(ix, hostile),
            Behaviour::Equivocate => self.equivocate(ix, hostile),
            Behaviour::Flood => self.flood(ix, hostile),
            Behaviour::Stale => self.stale(ix, hostile),
            Behaviour::Withhold | Behaviour::Rot => false,
        };
        if done {
            self.reach(hostile.behaviour.name());
        }
    }

    /// One of its connections.
    fn somebody(&mut self, hostile: &Hostile) -> Option<ConnId> {
        let conns: Vec<ConnId> = hostile.conns.keys().copied().collect();
        self.dice.pick(&conns).copied()
    }

    fn push(&mut self, ix: Ix, conn: ConnId, records: Vec<Bytes>) -> bool {
        self.send_by_hand(ix, conn, &Frame::Push(records).encode())
    }

    fn fleet_of(&self, ix: Ix) -> Option<SpannerId> {
        let id = <[u8; 32]>::try_from(self.machines[ix].disk.meta.get(meta::SPANNER)?.as_slice()).ok()?;
        Some(SpannerId(Hash(id)))
    }

    /// A record of its own, properly signed. It goes onto its disk, where its next life would find it.
    fn own_record(&mut self, ix: Ix, space: &Space, kind: u16, payload: Vec<u8>) -> Option<Record> {
        let seq = self.last_written(ix, space) + 1;
        let record = self.signed(ix, space, seq, kind, payload)?;
        self.machines[ix].disk.records.insert(record.id(), record.bytes().clone());
        let life = self.machines[ix].life;
        self.machines[ix].wrote.insert(space.clone(), (life, seq));
        Some(record)
    }

    /// The sequence of its last record in a space: by its disk, which nobody else writes to while it is played.
    fn last_written(&self, ix: Ix, space: &Space) -> u64 {
        let machine = &self.machines[ix];
        if let Some((_, seq)) = machine.wrote.get(space).filter(|(life, _)| *life == machine.life) {
            return *seq;
        }
        let me = machine.key.public();
        let read = |bytes: &Arc<[u8]>| Unverified::decode(bytes).and_then(Unverified::trusted).ok();
        let records = machine.disk.records.values().filter_map(read);
        let mine = records.filter(|record| record.author() == me && record.space() == space);
        mine.map(|record| record.seq()).max().unwrap_or(0)
    }

    fn signed(&self, ix: Ix, space: &Space, seq: u64, kind: u16, payload: Vec<u8>) -> Option<Record> {
        let stamp = Stamp((self.now().0 / 1_000) << 16);
        let (key, fleet) = (&self.machines[ix].key, self.fleet_of(ix)?);
        Record::sign(key, &fleet, space.clone(), seq, kind, stamp, payload).ok()
    }

    /// Somebody else's record with one bit changed, or a statement that it has no right to.
    fn forge(&mut self, ix: Ix, hostile: &mut Hostile) -> bool {
        let Some(conn) = self.somebody(hostile) else { return false };
        if hostile.acts.is_multiple_of(2) {
            return self.usurp(ix, hostile, conn);
        }
        let records: Vec<Arc<[u8]>> = self.machines[ix].disk.records.values().cloned().collect();
        let Some(record) = self.dice.pick(&records) else { return false };
        let mut bytes = record.to_vec();
        let bit = self.dice.below(bytes.len() as u64 * 8) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
        self.forged.insert(Hash::of(&bytes), "a record with a changed bit");
        self.push(ix, conn, vec![Bytes::from(bytes)])
    }

    /// Publishes, sets and admits as if it were an operator.
    fn usurp(&mut self, ix: Ix, hostile: &Hostile, conn: ConnId) -> bool {
        let Some(signer) = &hostile.signer else { return false };
        let me = self.machines[ix].key.public();
        let signed = match hostile.acts % 6 {
            0 => evil().and_then(|release| signer.publish(release.routes, release.source, "").ok()),
            2 => signer.set("converge.splay", Some(&61.into())).ok(),
            _ => {
                let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
                "mallory".parse().ok().and_then(|name| signer.admit(me, name, grants).ok())
            }
        };
        let Some(signed) = signed else { return false };
        self.forged.insert(signed.id, "a statement by a key without the right");
        let Some(record) = self.own_record(ix, &signed.space, STATEMENT, signed.bytes) else { return false };
        self.push(ix, conn, vec![Bytes::from(record.bytes().to_vec())])
    }

    /// What others said, in another order, to somebody else.
    fn replay(&mut self, ix: Ix, hostile: &Hostile) -> bool {
        let heard: Vec<&Vec<u8>> = hostile.heard.iter().collect();
        let Some(frame) = self.dice.pick(&heard).map(|frame| (*frame).clone()) else { return false };
        let conns: Vec<ConnId> = hostile.conns.keys().copied().collect();
        let twice = conns.iter().chain(&conns);
        twice.fold(false, |sent, conn| self.send_by_hand(ix, *conn, &frame) | sent)
    }

    /// Two records under one sequence, each to another peer.
    fn equivocate(&mut self, ix: Ix, hostile: &Hostile) -> bool {
        let space = Space::status();
        let payload = |n: u64| register::payload(9, &n.to_be_bytes());
        let Some(one) = self.own_record(ix, &space, register::REGISTER, payload(hostile.acts)) else {
            return false;
        };
        let other = self.signed(ix, &space, one.seq(), register::REGISTER, payload(hostile.acts + 1_000_000));
        let Some(other) = other else { return false };
        let records = [one, other];
        let mut sent = 0;
        for (conn, record) in hostile.conns.keys().zip(records.iter().cycle()) {
            sent += u64::from(self.push(ix, *conn, vec![Bytes::from(record.bytes().to_vec())]));
        }
        sent > 1
    }

    /// Small records in numbers, of a kind that is kept and of one that nobody knows; now and then no frame at all.
    fn flood(&mut self, ix: Ix, hostile: &Hostile) -> bool {
        let Some(conn) = self.somebody(hostile) else { return false };
        if hostile.acts.is_multiple_of(8) {
            return (0..50).fold(false, |sent, _| self.send_by_hand(ix, conn, &[0xff; 500]) | sent);
        }
        if hostile.acts * WAVE > FLOOD {
            return false;
        }
        let mut records = Vec::new();
        for n in 0..WAVE {
            let slot = (n % u64::from(register::SLOTS)) as u16;
            let (space, kind, payload) = match n % 3 {
                0 => (Space::admissions(), 999, vec![7; 40]),
                1 => (Space::config(), 999, vec![7; 40]),
                _ => (Space::status(), register::REGISTER, register::payload(slot, &[7; 40])),
            };
            let record = self.signed(ix, &space, hostile.acts * WAVE + n + 1_000, kind, payload);
            records.extend(record.map(|record| Bytes::from(record.bytes().to_vec())));
        }
        self.push(ix, conn, records)
    }

    /// It holds nothing, it says; and offers old things again.
    fn stale(&mut self, ix: Ix, hostile: &Hostile) -> bool {
        let Some(conn) = self.somebody(hostile) else { return false };
        let spaces = [Space::admissions(), Space::config(), Space::settings(), Space::status()];
        let nothing = |space: &Space| Digest { space: space.clone(), digest: Hash::default() };
        let ping = Frame::Ping(spaces.iter().map(nothing).collect()).encode();
        let records: Vec<Arc<[u8]>> = self.machines[ix].disk.records.values().cloned().collect();
        let old: Vec<Bytes> = (0..4)
            .filter_map(|_| self.dice.pick(&records).map(|bytes| Bytes::from(bytes.to_vec())))
            .collect();
        let space = self.dice.pick(&spaces).cloned().unwrap_or_else(Space::config);
        let compare = Frame::Compare(space, Bytes::from(vec![0x61, 0, 0, 0])).encode();
        self.send_by_hand(ix, conn, &ping) && self.push(ix, conn, old) | self.send_by_hand(ix, conn, &compare)
    }
}

/// Configuration that nobody with the right ever published.
fn evil() -> Option<Release> {
    let motd = "name: motd\nresources:\n  - name: motd\n    type: file\n    target_path: /etc/motd\n    content: \"owned\\n\"\n";
    let envoys = "envoys:\n  - match: \"*\"\n    configcrates: [motd]\n";
    let tree = SourceTree::from_files([("configcrates/motd.vgo", motd), ("envoys.vgo", envoys)]).ok()?;
    Some(Release::pack(&tree, &compile(&tree).0?))
}
