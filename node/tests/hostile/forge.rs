//! A forger: it owns the keys of an operator and of admitted nodes, and makes records whose checksums and
//! signatures are right while what is inside is bent. What it makes follows from its [`Dice`] alone.

use vigo_base::{Dice, Domain, Hash, PublicKey, SecretKey, SpannerId, Stamp, Time, codec};
use vigo_node::content_types::config::{PUBLISH, Publish};
use vigo_node::content_types::settings::{Change, KEYS, SETTING};
use vigo_node::content_types::status::{Presence, Run, Traits};
use vigo_node::crdt::{Draft, Record, Space, Statement, register};
use vigo_node::spanner::act::{Admit, Amend, Genesis, Keep, Revoke, Seen, UpTo};
use vigo_node::spanner::spend::{FORK, SPEND, STATEMENT, Spend};
use vigo_node::spanner::{Act, ForkProof, Grant, Invite, Invitee, NameRule, NodeKind, Pattern, Proof, Right};
use vigo_node::swarm::outline::BlobRef;

use crate::rig::name;

/// Numbers at which arithmetic breaks.
const EDGES: [u64; 12] =
    [0, 1, 2, 255, 256, 65_535, 1 << 31, u32::MAX as u64, 1 << 53, u64::MAX / 2, u64::MAX - 1, u64::MAX];

/// What is wrong with a record that the forger made; for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bent {
    /// Well formed, with values from the edges.
    Values,
    /// The payload inside a good statement.
    Payload,
    /// The statement inside a good record.
    Statement,
    /// A spend, a fork, a register or an unknown kind, its payload bent.
    Plain,
    /// The envelope, signed as it is.
    Envelope,
    /// The finished record: its signature is wrong.
    Broken,
}

pub struct Forger {
    pub dice: Dice,
    pub spanner: SpannerId,
    /// Operators whose keys it owns, with the Admits they act under.
    pub operators: Vec<(SecretKey, Hash)>,
    /// Nodes whose keys it owns.
    pub authors: Vec<SecretKey>,
    /// Ids that exist, to be named.
    pub ids: Vec<Hash>,
    /// Keys that exist, to be named.
    pub keys: Vec<PublicKey>,
    pub now: Time,
    seq: u64,
    corpus: Vec<Vec<u8>>,
}

impl Forger {
    pub fn new(seed: u64, spanner: SpannerId, now: Time) -> Forger {
        Forger {
            dice: Dice::from_number(seed),
            spanner,
            operators: Vec::new(),
            authors: Vec::new(),
            ids: vec![spanner.0],
            keys: Vec::new(),
            now,
            seq: 1000,
            corpus: vec![vec![0x9b, 0, 0, 1, 0, 0, 0, 0, 0], vec![0x5b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]],
        }
    }

    fn number(&mut self) -> u64 {
        match self.dice.below(3) {
            0 => *self.dice.pick(&EDGES).unwrap_or(&0),
            1 => self.dice.below(20),
            _ => self.dice.bits(),
        }
    }

    fn id(&mut self) -> Hash {
        match self.dice.one_in(4) {
            true => Hash(self.dice.bytes()),
            false => self.dice.pick(&self.ids).copied().unwrap_or_default(),
        }
    }

    fn ids(&mut self, most: u64) -> Vec<Hash> {
        (0..self.dice.below(most + 1)).map(|_| self.id()).collect()
    }

    fn fresh_key(&mut self) -> SecretKey {
        SecretKey::from_seed(self.dice.bytes())
    }

    fn node(&mut self) -> PublicKey {
        match self.dice.one_in(3) {
            true => self.fresh_key().public(),
            false => self.dice.pick(&self.keys).copied().unwrap_or_else(|| self.operators[0].0.public()),
        }
    }

    fn pattern(&mut self) -> Pattern {
        let text = *self.dice.pick(&["*", "web*", "?", "web01", "a*b*c", "bolt1"]).unwrap_or(&"*");
        text.parse().expect("a pattern")
    }

    fn grants(&mut self) -> Vec<Grant> {
        let mut grant = |_| {
            let right = *self.dice.pick(&Right::ALL).unwrap_or(&Right::Invite);
            let scope = (0..self.dice.below(3)).map(|_| self.pattern()).collect();
            Grant { right, scope }
        };
        (0..5).map(&mut grant).collect()
    }

    fn hostname(&mut self) -> vigo_base::Hostname {
        let n = self.dice.below(40);
        name(&format!("web{n:02}"))
    }

    fn space(&mut self) -> Space {
        let all = [Space::admissions(), Space::envoys(), Space::config(), Space::settings(), Space::status()];
        self.dice.pick(&all).cloned().unwrap_or_else(Space::config)
    }

    fn act(&mut self) -> Act {
        match self.dice.below(9) {
            0 | 1 => {
                let (key, name, grants) = (self.node(), self.hostname(), self.grants());
                Act::Admit(Admit { key, name, grants })
            }
            2 | 3 => self.invite(),
            4 => {
                let seen = vec![Seen { space: self.space(), heads: self.ids(3) }];
                let upto = vec![UpTo { key: self.node(), space: self.space(), seq: self.number() }];
                let keys = (0..1 + self.dice.below(2)).map(|_| self.node()).collect();
                Act::Revoke(Revoke { keys, seen, upto, reason: "\u{1b}[2Jgone\n".into() })
            }
            5 => Act::Keep(Keep { statements: vec![self.id(), self.id()] }),
            6 => Act::Amend(Amend::Partition { bolt: self.node(), patterns: vec![self.pattern()] }),
            7 => {
                let (admit, grants) = (self.id(), self.grants());
                Act::Amend(Amend::Narrow { admit, grants, seen: Vec::new() })
            }
            _ if self.dice.one_in(2) => Act::Amend(Amend::FleetVersion(self.number() as u32)),
            _ => Act::Genesis(Genesis { label: "{{ 7*7 }}\n".into(), version: 1, nonce: self.id() }),
        }
    }

    fn invite(&mut self) -> Act {
        let invitee = match self.dice.one_in(2) {
            true => Invitee::Node(self.node()),
            false => Invitee::Token(self.node()),
        };
        let kind = if self.dice.one_in(3) { NodeKind::Bolt } else { NodeKind::Envoy };
        let name = match self.dice.one_in(2) {
            true => NameRule::Exact(self.hostname()),
            false => NameRule::Pattern(self.pattern()),
        };
        let spenders = (0..1 + self.dice.below(3)).map(|_| self.node()).collect();
        let (uses, until) = (self.number() as u32, Time(self.number()));
        Act::Invite(Invite { invitee, kind, name, uses, until, spenders })
    }

    /// What an operator could say in any of the three spaces, with kind and payload.
    fn saying(&mut self) -> (Space, u16, Vec<u8>) {
        match self.dice.below(4) {
            0 | 1 => {
                let act = self.act();
                (Space::admissions(), act.kind() as u16, act.encode())
            }
            2 => {
                let blob = BlobRef { hash: self.id(), exchange: self.id(), size: self.number() };
                let publish =
                    Publish { epoch: self.number(), routes: blob, source: blob, note: "\u{7}".into() };
                (Space::config(), PUBLISH, publish.encode())
            }
            _ => {
                let known = self.dice.pick(KEYS).map_or("x", |k| k.name);
                let value =
                    self.dice.pick(&["1", "true", "\"5m\"", "null", "[[[[", "1e999"]).map(|v| v.to_string());
                let change = Change { key: known.into(), value, generation: self.number() };
                (Space::settings(), SETTING, change.encode())
            }
        }
    }

    /// A statement with a right signature; `bend` bends its payload.
    fn statement(&mut self, bend: bool) -> Statement {
        let (mut space, mut kind, mut payload) = self.saying();
        if bend {
            payload = self.mutated(&payload);
        }
        if self.dice.one_in(20) {
            kind = self.number() as u16;
        }
        if self.dice.one_in(40) {
            space = self.space();
        }
        let (key, admit) = self.dice.pick(&self.operators).cloned().expect("an operator");
        let under = if self.dice.one_in(8) { self.id() } else { admit };
        let draft = Draft { space, kind, under, after: self.ids(4), at: Time(self.number()), payload };
        let statement = draft.sign(&key, &self.spanner);
        if self.ids.len() < 200 {
            self.ids.push(statement.id());
        }
        statement
    }

    fn author(&mut self) -> SecretKey {
        self.dice.pick(&self.authors).cloned().expect("an author")
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        // Now and then one that was used before, or one from the edges.
        match self.dice.below(400) {
            0 => 1000 + self.dice.below(self.seq - 1000),
            1 => self.number().max(1),
            _ => self.seq,
        }
    }

    /// A record around a payload, signed right.
    fn record(&mut self, author: &SecretKey, space: Space, kind: u16, mut payload: Vec<u8>) -> Record {
        payload.truncate(vigo_base::limits::PAYLOAD_BYTES);
        let (seq, stamp) = (self.next_seq(), self.stamp());
        Record::sign(author, &self.spanner, space, seq, kind, stamp, payload).expect("small")
    }

    fn stamp(&mut self) -> Stamp {
        match self.dice.one_in(10) {
            true => Stamp(self.number()),
            false => Stamp((self.now.0 / 1000) << 16 | self.dice.below(60_000)),
        }
    }

    /// A record of a kind that is no statement.
    fn plain(&mut self) -> (Space, u16, Vec<u8>) {
        match self.dice.below(8) {
            0 | 1 => {
                let (node, host) = (self.node(), self.hostname());
                let seed = self.fresh_key();
                let proof =
                    self.dice.one_in(2).then(|| Proof::sign(&seed, &self.spanner, &node, &host, b"x"));
                let spend = Spend { invite: self.id(), node, name: host, proof };
                let space = if self.dice.one_in(2) { Space::admissions() } else { Space::envoys() };
                (space, SPEND, codec::encode(&spend))
            }
            2 => (Space::admissions(), FORK, self.fork()),
            3..=5 => {
                let slot = match self.dice.below(8) {
                    0 => 65_535,
                    1 => 7,
                    n => n as u16 % 4,
                };
                let value = self.status_value();
                (Space::status(), register::REGISTER, register::payload(slot, &value))
            }
            _ => {
                // Any kind anywhere: among them known kinds in spaces where they mean nothing.
                let kind = self.dice.below(8) as u16;
                (self.space(), kind, self.dice.bytes()[..self.dice.below(32) as usize].to_vec())
            }
        }
    }

    fn status_value(&mut self) -> Vec<u8> {
        match self.dice.below(3) {
            0 => Presence {
                version: "\u{1b}]0;x\u{7}".into(),
                addresses: vec!["{{ 7*7 }}\n[Unit]".into()],
                started: Time(self.number()),
                cadence: self.number(),
            }
            .encode(),
            1 => {
                let changes = vec![self.number() as u32; 20];
                let (at, epoch) = (Time(self.number()), self.number());
                Run { epoch, at, changes, millis: self.number(), number: self.number(), ..Run::default() }
                    .encode()
            }
            _ => Traits { json: "{\"a\":[[[[[[[[[[[[1e999]]]]]]]]]]]]}".into() }.encode(),
        }
    }

    fn fork(&mut self) -> Vec<u8> {
        let key = self.fresh_key();
        let one = |text: &[u8]| {
            Record::sign(&key, &self.spanner, Space::status(), 7, 4, Stamp(1), text.to_vec()).expect("small")
        };
        let proof = ForkProof::of(one(b"one"), one(b"two")).expect("a fork");
        proof.encode().expect("small")
    }

    /// A record body bent and signed as it is.
    fn envelope(&mut self) -> Vec<u8> {
        let author = self.author();
        let (space, kind, payload) = self.plain();
        let good = self.record(&author, space, kind, payload);
        let body = &good.bytes()[..good.bytes().len() - 64];
        let head = body.len().min(70);
        let mut bent = self.mutated(&body[..head]);
        bent.extend_from_slice(&body[head..]);
        let signature = author.sign(Domain::Record, &self.spanner, &bent);
        bent.extend_from_slice(&signature.0);
        bent
    }

    /// One bent record.
    pub fn make(&mut self) -> (Bent, Vec<u8>) {
        let author = self.author();
        let (bent, bytes) = match self.dice.below(12) {
            0 | 1 => {
                let statement = self.statement(false);
                (Bent::Values, self.carry(&author, &statement, None))
            }
            2..=4 => {
                let statement = self.statement(true);
                (Bent::Payload, self.carry(&author, &statement, None))
            }
            5 | 6 => {
                let statement = self.statement(false);
                let bytes = self.mutated(statement.bytes());
                (Bent::Statement, self.carry(&author, &statement, Some(bytes)))
            }
            7..=9 => {
                let (space, kind, payload) = self.plain();
                let payload = if self.dice.one_in(3) { payload } else { self.mutated(&payload) };
                (Bent::Plain, self.record(&author, space, kind, payload).bytes().to_vec())
            }
            10 => (Bent::Envelope, self.envelope()),
            _ => {
                let (space, kind, payload) = self.plain();
                let good = self.record(&author, space, kind, payload);
                (Bent::Broken, self.mutated(good.bytes()))
            }
        };
        if self.corpus.len() < 64 {
            self.corpus.push(bytes.clone());
        }
        (bent, bytes)
    }

    fn carry(&mut self, author: &SecretKey, statement: &Statement, payload: Option<Vec<u8>>) -> Vec<u8> {
        let space = statement.space().clone();
        let payload = payload.unwrap_or_else(|| statement.bytes().to_vec());
        self.record(author, space, STATEMENT, payload).bytes().to_vec()
    }

    /// The bytes with a few edits: bits, interesting bytes, cuts, copies, pieces of other messages.
    pub fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..1 + self.dice.below(3) {
            let at = self.dice.below(out.len() as u64 + 1) as usize;
            match self.dice.below(8) {
                0 | 1 if at < out.len() => out[at] ^= 1 << self.dice.below(8),
                2 if at < out.len() => {
                    out[at] =
                        *self.dice.pick(&[0, 0x1b, 0x5f, 0x7f, 0x80, 0x9f, 0xbf, 0xf6, 0xff]).unwrap_or(&0);
                }
                3 => out.insert(at, self.dice.bits() as u8),
                4 if at < out.len() => drop(out.remove(at)),
                5 => out.truncate(at),
                6 => {
                    let piece = self.dice.pick(&self.corpus).cloned().unwrap_or_default();
                    let from = self.dice.below(piece.len() as u64) as usize;
                    let to = (from + 1 + self.dice.below(40) as usize).min(piece.len());
                    out.splice(at..at, piece[from..to].iter().copied());
                }
                _ if at + 8 <= out.len() => out[at..at + 8].copy_from_slice(&self.number().to_be_bytes()),
                _ => out.push(0),
            }
        }
        out.truncate(vigo_base::limits::RECORD_BYTES);
        out
    }
}
