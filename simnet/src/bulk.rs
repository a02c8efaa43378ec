//! A whole fleet at once: hundreds or thousands of members without living through every join.
//!
//! What a join leaves behind is made here the legal way, with the shipped code: the operator signs two invites, bolts
//! countersign a spend for every member, and every disk gets the papers that follow from them, the authority, and an
//! address book with some bolts, as if its machine had joined and been at rest since. Nothing is marked as admitted
//! that the nodes would not check themselves: they check all of it when they meet.
//!
//! It does not start anything, and does not simulate the joining itself: `Fleet::join` does.

use vigo_base::time::{hours, millis};
use vigo_base::{Clock, Dice, Hash, PublicKey, SecretKey, SpannerId, codec};
use vigo_node::boot::meta;
use vigo_node::crdt::{Record, Space, Unverified};
use vigo_node::spanner::spend::{SPEND, STATEMENT, Spend};
use vigo_node::spanner::{
    Act, Admissions, Authority, Invite, Invitee, NameRule, NodeKind, Papers, Pattern, Proof, Right, Roster,
};
use vigo_node::swarm::peers::{Book, Kind, Me, Peers, Source};

use crate::net::Net;
use crate::operator::parse;
use crate::{Fleet, Ix};

/// Bolts that a new member's address book names, as a token would.
const KNOWN_BOLTS: usize = 4;

/// The authority while it is written.
struct Desk {
    spanner: SpannerId,
    clock: Clock,
    admissions: Admissions,
    /// The records of `admissions`, then those of `admissions/envoys`.
    authority: Vec<Record>,
    spends: Vec<Record>,
    /// How far the first bolt has written into `admissions`.
    seq: u64,
}

impl Fleet {
    /// A fleet of so many bolts (at least one, at most 200) and envoys, all switched off; bolts come first. An empty
    /// fleet is needed.
    pub fn found_many(&mut self, bolts: usize, envoys: usize) -> Vec<Ix> {
        let first = self.found_disk(&name(NodeKind::Bolt, 0));
        let mut desk = self.desk(first);
        let all: Vec<Ix> = (first..bolts.max(1) + envoys)
            .map(|n| match n {
                0 => first,
                n if n < bolts.max(1) => self.add(&name(NodeKind::Bolt, n)),
                n => self.add(&name(NodeKind::Envoy, n)),
            })
            .collect();
        let (bolts, envoys) = all.split_at(bolts.max(1));
        self.admit_bolts(&mut desk, bolts);
        self.admit_envoys(&mut desk, bolts, envoys);
        self.hand_out(&desk, bolts, &all);
        all
    }

    /// Starts machines one after the other, within about `within` microseconds.
    pub fn start_all(&mut self, all: &[Ix], within: vigo_base::time::Micros) {
        let pause = (within / all.len().max(1) as u64).max(1);
        for ix in all {
            self.start(*ix);
            self.elapse(pause);
        }
        self.elapse(millis(1));
    }

    fn desk(&mut self, first: Ix) -> Desk {
        let disk = &self.machines[first].disk;
        let id = disk.meta.get(meta::SPANNER).and_then(|id| <[u8; 32]>::try_from(&id[..]).ok());
        let spanner = SpannerId(Hash(id.unwrap_or_default()));
        let mut authority: Vec<Record> = disk
            .records
            .values()
            .filter_map(|bytes| Unverified::decode(bytes).and_then(Unverified::trusted).ok())
            .collect();
        authority.sort_by_key(Record::seq);
        let mut admissions = Admissions::new(spanner);
        for record in &authority {
            admissions.insert(record).unwrap_or_else(|e| panic!("what was founded is read: {e}"));
        }
        let seq = authority.last().map_or(0, Record::seq);
        Desk { spanner, clock: Clock::default(), admissions, authority, spends: Vec::new(), seq }
    }

    /// An invite by the operator, carried by the first bolt.
    fn bulk_invite(
        &self,
        desk: &mut Desk,
        kind: NodeKind,
        uses: usize,
        spenders: &[Ix],
        seed: &SecretKey,
    ) -> Hash {
        let authority = Authority::evaluate(&desk.admissions);
        let right = if kind == NodeKind::Bolt { Right::InviteBolt } else { Right::Invite };
        let by = authority.operator_for(&self.operator.public(), right, &Pattern::any());
        let under = by.map(|operator| operator.id).unwrap_or_else(|| panic!("the operator may invite"));
        let mut spenders: Vec<PublicKey> = spenders.iter().map(|ix| self.key(*ix)).collect();
        spenders.sort_unstable();
        let invite = Act::Invite(Invite {
            invitee: Invitee::Token(seed.public()),
            kind,
            name: NameRule::Pattern(Pattern::any()),
            uses: u32::try_from(uses.max(1)).unwrap_or(u32::MAX),
            until: self.now().after(hours(24)),
            spenders,
        });
        let after = authority.heads().to_vec();
        let statement = invite.draft(under, after, self.now()).sign(&self.operator, &desk.spanner);
        self.write_authority(desk, STATEMENT, statement.bytes().to_vec());
        statement.id()
    }

    fn write_authority(&self, desk: &mut Desk, kind: u16, payload: Vec<u8>) {
        desk.seq += 1;
        let (stamp, key) = (desk.clock.tick(self.now()), &self.machines[0].key);
        let record = Record::sign(key, &desk.spanner, Space::admissions(), desk.seq, kind, stamp, payload)
            .unwrap_or_else(|e| panic!("a record of the first bolt: {e}"));
        desk.admissions.insert(&record).unwrap_or_else(|e| panic!("the first bolt's record: {e}"));
        desk.authority.push(record);
    }

    /// The payload of a spend, with the proof that the machine holds the token.
    fn spend_of(&mut self, desk: &Desk, invite: Hash, ix: Ix, seed: &SecretKey) -> Vec<u8> {
        let (node, name) = (self.key(ix), parse(&self.machines[ix].name));
        let proof = Proof::sign(seed, &desk.spanner, &node, &name, &self.dice.bytes());
        codec::encode(&Spend { invite, node, name, proof: Some(proof) })
    }

    fn admit_bolts(&mut self, desk: &mut Desk, bolts: &[Ix]) {
        let Some((first, others)) = bolts.split_first().filter(|(_, others)| !others.is_empty()) else {
            return;
        };
        let seed = SecretKey::from_seed(self.dice.bytes());
        let invite = self.bulk_invite(desk, NodeKind::Bolt, others.len(), &[*first], &seed);
        for ix in others {
            let spend = self.spend_of(desk, invite, *ix, &seed);
            self.write_authority(desk, SPEND, spend);
        }
    }

    fn admit_envoys(&mut self, desk: &mut Desk, bolts: &[Ix], envoys: &[Ix]) {
        if envoys.is_empty() {
            return;
        }
        let seed = SecretKey::from_seed(self.dice.bytes());
        let invite = self.bulk_invite(desk, NodeKind::Envoy, envoys.len(), bolts, &seed);
        for (n, ix) in envoys.iter().enumerate() {
            let payload = self.spend_of(desk, invite, *ix, &seed);
            let (key, seq) = (&self.machines[bolts[n % bolts.len()]].key, (n / bolts.len()) as u64 + 1);
            let stamp = desk.clock.tick(self.world.now());
            let record = Record::sign(key, &desk.spanner, Space::envoys(), seq, SPEND, stamp, payload)
                .unwrap_or_else(|e| panic!("a bolt's spend: {e}"));
            desk.spends.push(record);
        }
    }

    /// Writes everybody's disk.
    fn hand_out(&mut self, desk: &Desk, bolts: &[Ix], all: &[Ix]) {
        let authority = Authority::evaluate(&desk.admissions);
        let mut roster = Roster::new(&authority);
        let bad = roster.insert_all(&authority, &desk.spends);
        assert!(bad.is_empty(), "spends that do not count: {bad:?}");
        for (n, ix) in all.iter().enumerate() {
            let papers = Papers::build(&authority, &roster, &self.key(*ix))
                .unwrap_or_else(|e| panic!("the papers of {}: {e}", self.machines[*ix].name));
            let book = self.book(*ix, (0..KNOWN_BOLTS).map(|i| bolts[(n + i) % bolts.len()]));
            let disk = &mut self.machines[*ix].disk;
            disk.meta.insert(meta::SPANNER.to_string(), desk.spanner.0.0.to_vec());
            disk.meta.insert(meta::PAPERS.to_string(), papers.encode());
            disk.meta.insert(meta::BOOK.to_string(), book);
            let spends = if n < bolts.len() { desk.spends.as_slice() } else { &[] };
            for record in desk.authority.iter().chain(spends) {
                disk.records.insert(record.id(), record.bytes().clone());
            }
        }
    }

    fn book(&self, ix: Ix, known: impl Iterator<Item = Ix>) -> Vec<u8> {
        let me = Me { key: self.key(ix), kind: Kind::Envoy, listens: false, addresses: Vec::new() };
        let mut peers = Peers::new(me, Book::default(), Dice::from_number(ix as u64));
        for bolt in known.filter(|bolt| *bolt != ix) {
            let address = Net::address(bolt).parse().into_iter().collect();
            peers.learn(Source::Token, self.key(bolt), Kind::Bolt, address);
        }
        peers.book().encode()
    }
}

fn name(kind: NodeKind, n: usize) -> String {
    match kind {
        NodeKind::Bolt => format!("bolt{n:03}"),
        NodeKind::Envoy => format!("node{n:05}"),
    }
}
