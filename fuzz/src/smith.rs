//! Makes acts, statements and records out of a feed: signed with keys of the fleet, so that nothing refuses them for a
//! signature, and bent inside.
//!
//! Every choice is a byte of the feed, so that a small change of the input is a small change of the record.

use vigo_base::{Domain, Hash, Hostname, PublicKey, SecretKey, Stamp, Time, codec, limits};
use vigo_content::audit::{Anchor, Entry, Kind, Who};
use vigo_content::config::{PUBLISH, Publish};
use vigo_content::settings::{Change, KEYS, SETTING};
use vigo_content::status::{Presence, Run, RunStep, Tally, Traits};
use vigo_crdt::{Draft, Record, Space, Statement, log, register};
use vigo_spanner::act::{Admit, Amend, Genesis, Keep, Revoke, Seen, UpTo};
use vigo_spanner::spend::{FORK, SPEND, STATEMENT};
use vigo_spanner::{
    Act, ForkProof, Grant, Invite, Invitee, NameRule, NodeKind, Pattern, Proof, Right, Spend,
};
use vigo_swarm::outline::BlobRef;

use crate::feed::Feed;
use crate::world::{INVITE, World, key, world};

/// Texts that somebody may be hurt by.
const TEXTS: [&str; 8] = [
    "",
    "web01",
    "{{ 7*7 }}\n",
    "\u{1b}[2Jgone",
    "../../etc/x",
    "10.0.0.1:1531",
    "{\"a\":[[[[[[[[1e999]]]]]]]]}",
    "{\"os\":{\"arch\":\"amd64\"},\"packages\":[1,2]}",
];

/// A smith reads a feed.
#[derive(Debug)]
pub struct Smith<'a> {
    /// What it reads.
    pub feed: Feed<'a>,
    world: &'static World,
    /// Ids of what it made, beside those of the fleet.
    made: Vec<Hash>,
    seq: u64,
}

impl<'a> Smith<'a> {
    /// A smith of the fleet.
    pub fn new(bytes: &'a [u8]) -> Smith<'a> {
        Smith { feed: Feed::new(bytes), world: world(), made: Vec::new(), seq: 1_000 }
    }

    /// An id: of something of the fleet, of something made here, or of nothing.
    pub fn id(&mut self) -> Hash {
        let n = usize::from(self.feed.byte());
        match n {
            255 => Hash(self.feed.array()),
            254 => Hash::default(),
            _ if n >= 128 && !self.made.is_empty() => self.made[(n - 128) % self.made.len()],
            _ => self.world.ids[n % self.world.ids.len()],
        }
    }

    fn ids(&mut self) -> Vec<Hash> {
        let many = if self.feed.rarely() { 300 } else { self.feed.below(5) };
        (0..many).map(|_| self.id()).collect()
    }

    fn node(&mut self) -> PublicKey {
        match self.feed.byte() {
            n @ 200.. => key(n).public(),
            n => self.world.keys[usize::from(n) % self.world.keys.len()],
        }
    }

    fn pattern(&mut self) -> Pattern {
        self.feed
            .pick(&["*", "web*", "?", "web01", "a*b*c", "bolt1", "*a*a*a*a*b"])
            .parse()
            .expect("a pattern")
    }

    fn grants(&mut self) -> Vec<Grant> {
        let many = if self.feed.rarely() { 65 } else { self.feed.below(5) };
        let mut grant = |_| {
            let right = *self.feed.pick(&Right::ALL);
            let scope = (0..self.feed.below(3)).map(|_| self.pattern()).collect();
            Grant { right, scope }
        };
        (0..many).map(&mut grant).collect()
    }

    fn hostname(&mut self) -> Hostname {
        let taken = ["bolt1", "bolt2", "web01", "web02", "alice"];
        match self.feed.byte() {
            n @ 0..5 => taken[usize::from(n)].parse().expect("a name"),
            n => format!("web{n:02}").parse().expect("a name"),
        }
    }

    fn text(&mut self) -> String {
        match self.feed.byte() {
            n @ 0..8 => TEXTS[usize::from(n)].to_string(),
            n @ 8..16 => "\u{202e}x".repeat(usize::from(n) * 50),
            _ => String::from_utf8_lossy(self.feed.run()).into_owned(),
        }
    }

    /// One of the spaces of a fleet.
    pub fn space(&mut self) -> Space {
        match self.feed.below(8) {
            0 => Space::admissions(),
            1 => Space::envoys(),
            2 => Space::config(),
            3 => Space::settings(),
            4 => Space::status(),
            5 => "other/space".parse().expect("a space"),
            _ => Space::audit(&self.node()),
        }
    }

    fn seen(&mut self) -> Vec<Seen> {
        (0..self.feed.below(3)).map(|_| Seen { space: self.space(), heads: self.ids() }).collect()
    }

    /// An act, sound or not.
    pub fn act(&mut self) -> Act {
        match self.feed.below(8) {
            0 => Act::Genesis(Genesis {
                label: self.text(),
                version: self.feed.number() as u32,
                nonce: self.id(),
            }),
            1 => Act::Admit(Admit { key: self.node(), name: self.hostname(), grants: self.grants() }),
            2 => Act::Invite(self.invite()),
            3 => {
                let upto = |s: &mut Self| UpTo { key: s.node(), space: s.space(), seq: s.feed.number() };
                let upto = (0..self.feed.below(3)).map(|_| upto(self)).collect();
                let keys = (0..self.feed.below(4)).map(|_| self.node()).collect();
                Act::Revoke(Revoke { keys, seen: self.seen(), upto, reason: self.text() })
            }
            4 => Act::Keep(Keep { statements: self.ids() }),
            5 => Act::Amend(Amend::FleetVersion(self.feed.number() as u32)),
            6 => {
                let patterns = (0..self.feed.below(4)).map(|_| self.pattern()).collect();
                Act::Amend(Amend::Partition { bolt: self.node(), patterns })
            }
            _ => Act::Amend(Amend::Narrow { admit: self.id(), grants: self.grants(), seen: self.seen() }),
        }
    }

    fn invite(&mut self) -> Invite {
        let who = self.node();
        let invitee = if self.feed.below(2) == 0 { Invitee::Token(who) } else { Invitee::Node(who) };
        let kind = if self.feed.below(2) == 0 { NodeKind::Envoy } else { NodeKind::Bolt };
        let name = match self.feed.below(2) {
            0 => NameRule::Exact(self.hostname()),
            _ => NameRule::Pattern(self.pattern()),
        };
        let spenders = (0..self.feed.below(4)).map(|_| self.node()).collect();
        let (uses, until) = (self.feed.number() as u32, Time(self.feed.number()));
        Invite { invitee, kind, name, uses, until, spenders }
    }

    fn blob(&mut self) -> BlobRef {
        match self.feed.below(3) {
            0 => self.world.blob,
            _ => BlobRef { hash: self.id(), exchange: self.id(), size: self.feed.number() },
        }
    }

    /// What a statement says: where, which kind, and the payload, which may be any bytes.
    fn saying(&mut self) -> (Space, u16, Vec<u8>) {
        match self.feed.below(4) {
            0 => {
                let act = self.act();
                (Space::admissions(), act.kind() as u16, act.encode())
            }
            1 => {
                let (epoch, routes, source) = (self.feed.number(), self.blob(), self.blob());
                (Space::config(), PUBLISH, Publish { epoch, routes, source, note: self.text() }.encode())
            }
            2 => {
                let known = self.feed.pick(KEYS).name.to_string();
                let key = if self.feed.rarely() { self.text() } else { known };
                let value = ["1", "true", "\"5m\"", "300", "null", "\"founder\"", "1e999"];
                let value = match self.feed.byte() {
                    255 => None,
                    128.. => Some(self.text()),
                    n => Some(value[usize::from(n) % value.len()].to_string()),
                };
                (Space::settings(), SETTING, Change { key, value, generation: self.feed.number() }.encode())
            }
            _ => {
                let (space, kind) = (self.space(), u16::from(self.feed.byte() % 12));
                (space, kind, self.feed.run().to_vec())
            }
        }
    }

    /// A statement that an operator gone bad signed.
    pub fn statement(&mut self) -> Statement {
        let (space, kind, payload) = self.saying();
        let (signer, admit) = match self.feed.byte() {
            255 => (key(INVITE), Hash::default()),
            n => self.world.operators[usize::from(n) % self.world.operators.len()].clone(),
        };
        let under = if self.feed.rarely() { self.id() } else { admit };
        let (after, at) = (self.ids(), Time(self.feed.number()));
        let statement = Draft { space, kind, under, after, at, payload }.sign(&signer, &self.world.spanner);
        self.note(statement.id());
        statement
    }

    fn note(&mut self, id: Hash) {
        if self.made.len() < 64 {
            self.made.push(id);
        }
    }

    fn spend(&mut self) -> Spend {
        let (invite, node, name) = (self.id(), self.node(), self.hostname());
        let proof = match self.feed.below(3) {
            0 => None,
            1 => Some(Proof::sign(&key(INVITE), &self.world.spanner, &node, &name, b"exporter")),
            _ => {
                let seed = key(self.feed.byte());
                Some(Proof::sign(&seed, &self.world.spanner, &node, &name, self.feed.run()))
            }
        };
        Spend { invite, node, name, proof }
    }

    fn status(&mut self) -> Vec<u8> {
        match self.feed.below(4) {
            0 => {
                let addresses = (0..self.feed.below(4)).map(|_| self.text()).collect();
                let (started, cadence) = (Time(self.feed.number()), self.feed.number());
                Presence { version: self.text(), addresses, started, cadence }.encode()
            }
            1 => {
                let number = |s: &mut Self| s.feed.number();
                let tally =
                    Tally { changed: number(self) as u32, failed: number(self) as u32, ..Tally::default() };
                let changes = (0..self.feed.below(25)).map(|_| self.feed.number() as u32).collect();
                let step = |s: &mut Self| RunStep { id: s.text(), outcome: s.text(), message: s.text() };
                let steps = (0..self.feed.below(4)).map(|_| step(self)).collect();
                let aborted = if self.feed.below(2) == 0 { None } else { Some(self.text()) };
                let run = Run {
                    epoch: number(self),
                    publish: self.id(),
                    at: Time(number(self)),
                    millis: number(self),
                    tally,
                    aborted,
                    changes,
                    steps,
                    intended: self.feed.below(2) == 0,
                    number: number(self),
                };
                run.encode()
            }
            2 => Traits { json: self.text() }.encode(),
            _ => self.feed.run().to_vec(),
        }
    }

    fn entry(&mut self) -> Vec<u8> {
        if self.feed.below(4) == 0 {
            return self.feed.run().to_vec();
        }
        let who = match self.feed.below(3) {
            0 => Who::Node { key: self.node(), name: self.text() },
            _ => Who::Operator { key: self.node(), name: self.text() },
        };
        let (target, text) = (self.text(), self.text());
        let mut entry = Entry::new(Time(self.feed.number()), Kind::Anchors, who, &target, &text);
        entry.kind = u16::from(self.feed.byte());
        entry.count = self.feed.number();
        entry.subject = (self.feed.below(2) == 0).then(|| self.id());
        let anchor = |s: &mut Self| Anchor { bolt: s.node(), number: s.feed.number(), id: s.id() };
        entry.anchors = (0..self.feed.below(4)).map(|_| anchor(self)).collect();
        entry.encode()
    }

    fn fork(&mut self) -> Vec<u8> {
        let author = match self.feed.byte() {
            n @ 128.. => key(n),
            n => self.world.peers[usize::from(n) % self.world.peers.len()].key.clone(),
        };
        let (space, kind, seq) = (self.space(), u16::from(self.feed.byte() % 8), self.feed.number().max(1));
        let mut one = |stamp| {
            let payload = self.feed.run().to_vec();
            Record::sign(&author, &self.world.spanner, space.clone(), seq, kind, Stamp(stamp), payload)
        };
        match (one(1), one(2)) {
            (Ok(one), Ok(two)) => ForkProof::of(one, two).ok().and_then(|p| p.encode()).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// What a record says: where, which kind, and the payload.
    fn plain(&mut self, author: &PublicKey, seq: u64) -> (Space, u16, Vec<u8>) {
        match self.feed.below(8) {
            0 | 1 => {
                let statement = self.statement();
                let space = if self.feed.rarely() { self.space() } else { statement.space().clone() };
                (space, STATEMENT, statement.bytes().to_vec())
            }
            2 => {
                let space = if self.feed.below(2) == 0 { Space::envoys() } else { Space::admissions() };
                (space, SPEND, codec::encode(&self.spend()))
            }
            3 => (Space::admissions(), FORK, self.fork()),
            4 => {
                let slot = if self.feed.rarely() { 65_535 } else { u16::from(self.feed.byte() % 8) };
                (Space::status(), register::REGISTER, register::payload(slot, &self.status()))
            }
            5 => {
                let number = if self.feed.rarely() { self.feed.number() } else { seq };
                let previous = self.id();
                let space = if self.feed.rarely() { self.space() } else { Space::audit(author) };
                (space, log::LOG, log::payload(number, &previous, &self.entry()))
            }
            _ => {
                let (space, kind) = (self.space(), u16::from(self.feed.byte() % 10));
                (space, kind, self.feed.run().to_vec())
            }
        }
    }

    /// An encoded record by one of the peers gone bad, with a signature that holds.
    pub fn record(&mut self) -> Vec<u8> {
        let author = self.world.peers[self.feed.below(self.world.peers.len())].key.clone();
        self.seq += 1;
        let seq = if self.feed.rarely() { self.feed.number().max(1) } else { self.seq };
        let stamp = match self.feed.byte() {
            n @ 0..200 => Stamp((self.world.now.0 / 1000) << 16 | u64::from(n)),
            _ => Stamp(self.feed.number()),
        };
        let (space, kind, mut payload) = self.plain(&author.public(), seq);
        payload.truncate(limits::PAYLOAD_BYTES);
        let record = Record::sign(&author, &self.world.spanner, space, seq, kind, stamp, payload);
        let record = record.expect("it is small enough and has a sequence");
        self.note(record.id());
        record.bytes().to_vec()
    }
}

/// The bytes of a record's envelope with author, length and signature made right; the rest is as it came.
pub fn resigned(bytes: &[u8], author: &SecretKey) -> Option<Vec<u8>> {
    let mut body = bytes.get(..bytes.len().min(limits::RECORD_BYTES - 64))?.to_vec();
    let at = 2 + usize::from(*body.get(1)?);
    body.get_mut(at..at + 32)?.copy_from_slice(author.public().as_bytes());
    let from = at + 32 + 8 + 2 + 4;
    let length = u32::try_from(body.len().checked_sub(from)?).ok()?;
    body.get_mut(from - 4..from)?.copy_from_slice(&length.to_be_bytes());
    let signature = author.sign(Domain::Record, &world().spanner, &body);
    body.extend_from_slice(&signature.0);
    Some(body)
}
