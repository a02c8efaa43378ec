//! Blobs: who may read which, what to fetch, what to keep.
//!
//! A blob has a *class* that follows from the records that name it; the class says who may read it. Everything is
//! served through one check at this edge, [`Node::asked`] and [`Node::who_has`]. What nothing names any more is
//! dropped after an hour.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::{Hash, Outbox, PublicKey, Time, time};
use vigo_content::config::RouteTable;
use vigo_spanner::{BlobClass, Member, Who, may_read};
use vigo_swarm::exchange::{self, Act, FetchFailed};
use vigo_swarm::frame::{Bulk, Bytes, Frame, Have};
use vigo_swarm::ids::{ConnId, OpId};
use vigo_swarm::outline::{BlobRef, Outline};

use crate::boot::meta;
use crate::io::{Answer, AskId, Done, Effect, Event, Failed, Output};
use crate::node::{Node, Op, Out};

/// How many bolts must hold a publish before its publisher may forget it.
const HOLDERS: usize = 2;
/// How many publishes besides the head are kept whole on bolts.
const KEPT_EPOCHS: usize = 8;
/// How long a blob that nothing names stays.
const UNNAMED: u64 = time::hours(1);

/// What a blob is to its readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Class {
    /// A route table: every member.
    Routes,
    /// A policy: bolts, and the envoys whose names these tables route to it.
    Policy(BTreeSet<Hash>),
    /// A source tree: bolts.
    Source,
}

/// A publish that this node keeps for the others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Custody {
    pub holders: BTreeSet<PublicKey>,
    pub asked: Time,
}

/// What this node knows of blobs.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    /// Held whole, by name; with when they came.
    pub held: BTreeMap<Hash, (BlobRef, Time)>,
    /// Every blob that a record names, by exchange id.
    pub classes: BTreeMap<Hash, (BlobRef, Class)>,
    /// Route tables read, by the hash of their blob.
    pub tables: BTreeMap<Hash, RouteTable>,
    /// Publishes kept until enough bolts hold them, by id.
    pub custody: BTreeMap<Hash, Custody>,
    /// Why a blob does not come, for the status.
    pub stuck: BTreeMap<Hash, String>,
}

impl Blobs {
    pub fn holds(&self, blob: &BlobRef) -> bool {
        self.held.contains_key(&blob.hash)
    }
}

impl Node {
    /// The one check for reading blobs: may this member read the blob with this exchange id?
    fn may_read(&self, member: &Member, exchange: &Hash) -> Option<BlobRef> {
        let (blob, class) = self.blobs.classes.get(exchange)?;
        let routed = |table: &Hash| {
            let table = self.blobs.tables.get(table)?;
            table.policy(&member.name).filter(|policy| *policy == blob)
        };
        let class = match class {
            Class::Routes => BlobClass::RouteTable,
            Class::Source => BlobClass::Source,
            Class::Policy(tables) => BlobClass::Policy { routed: tables.iter().any(|t| routed(t).is_some()) },
        };
        may_read(&Who::of(member), class).ok().map(|()| *blob)
    }

    /// A peer asks what we have of a blob.
    pub(crate) fn who_has(&mut self, conn: ConnId, exchange: Hash, out: &mut Out) {
        let Some(member) = self.sessions.get(&conn).and_then(|s| s.member()) else { return };
        // Whether a bolt holds a source tree is no secret: its publisher waits to hear it. The tree itself is.
        let source = self.blobs.classes.get(&exchange).filter(|(_, class)| *class == Class::Source);
        let have = match self.may_read(member, &exchange) {
            None if source.is_some_and(|(blob, _)| self.blobs.holds(blob)) => Have::All,
            None => Have::None,
            Some(blob) if self.blobs.holds(&blob) => Have::All,
            Some(_) => match self.exchange.held(&exchange) {
                Some(bitmap) => Have::Some(Bytes::from(bitmap.to_bytes())),
                None => Have::None,
            },
        };
        self.send(conn, &Frame::Has(exchange, have), out);
    }

    /// A peer's bulk request.
    pub(crate) fn asked(&mut self, now: Time, conn: ConnId, ask: AskId, bytes: &[u8], out: &mut Out) {
        let refuse = |why: &str| Answer::Refuse(why.to_string());
        let answer = match (self.sessions.get(&conn).and_then(|s| s.member()), Bulk::decode(bytes)) {
            (None, _) => refuse("no papers"),
            (_, Err(e)) => {
                out.push(Output::Answer { ask, answer: refuse("malformed") });
                return self.misbehaved(now, conn, format!("a bulk request that cannot be read: {e}"), out);
            }
            (Some(member), Ok(bulk)) => {
                let exchange = match &bulk {
                    Bulk::Outline(blob) => blob.exchange,
                    Bulk::Chunk(exchange, _) => *exchange,
                };
                match (self.may_read(member, &exchange), bulk) {
                    (None, _) => refuse("not yours to read"),
                    (Some(blob), Bulk::Outline(_)) => Answer::Outline(blob),
                    (Some(blob), Bulk::Chunk(_, index)) => Answer::Chunk { blob, index },
                }
            }
        };
        out.push(Output::Answer { ask, answer });
    }

    /// A peer says what it has.
    pub(crate) fn has(&mut self, now: Time, conn: ConnId, exchange: Hash, have: Have, out: &mut Out) {
        if have == Have::All
            && let Some(session) = self.sessions.get(&conn).filter(|s| s.is_bolt())
        {
            let (key, sources) = (session.key, self.custody_sources());
            for (publish, source) in sources {
                if source.exchange == exchange
                    && let Some(custody) = self.blobs.custody.get_mut(&publish)
                {
                    custody.holders.insert(key);
                }
            }
            self.release_custody(out);
        }
        self.exchange_input(now, exchange::Input::PeerHas { conn, exchange, have }, out);
    }

    fn custody_sources(&self) -> Vec<(Hash, BlobRef)> {
        let kept = self.blobs.custody.keys();
        kept.filter_map(|id| self.config.get(id).map(|p| (*id, p.publish.source))).collect()
    }

    /// Asks the connected bolts whether they hold what this node keeps for them.
    pub(crate) fn ask_holders(&mut self, now: Time, out: &mut Out) {
        for (publish, source) in self.custody_sources() {
            let Some(custody) = self.blobs.custody.get_mut(&publish) else { continue };
            if now.since(custody.asked) < time::secs(1) {
                continue;
            }
            custody.asked = now;
            let holders = custody.holders.clone();
            let bolts: Vec<ConnId> = self
                .sessions
                .values()
                .filter(|s| s.is_bolt() && !holders.contains(&s.key))
                .map(|s| s.conn)
                .collect();
            for conn in bolts {
                self.send(conn, &Frame::WhoHas(source.exchange), out);
            }
        }
    }

    /// Takes a publish into custody: this node published it.
    pub(crate) fn take_custody(&mut self, publish: Hash, out: &mut Out) {
        self.blobs.custody.insert(publish, Custody::default());
        self.save_custody(out);
    }

    fn save_custody(&self, out: &mut Out) {
        let ids: Vec<u8> = self.blobs.custody.keys().flat_map(|id| id.0).collect();
        self.keep(meta::CUSTODY, ids, out);
    }

    fn release_custody(&mut self, out: &mut Out) {
        let Some(trust) = &self.trust else { return };
        let others = trust.authority.bolts().filter(|b| b.is_active() && b.key != self.me).count();
        let enough = HOLDERS.min(others + usize::from(self.is_bolt())).max(1);
        let mine = usize::from(self.is_bolt());
        let before = self.blobs.custody.len();
        self.blobs
            .custody
            .retain(|_, custody| custody.holders.len() + mine < enough || others == 0 && mine == 0);
        if self.blobs.custody.len() != before {
            self.save_custody(out);
        }
    }

    /// The local API stored a blob.
    pub(crate) fn blob_stored(&mut self, now: Time, blob: BlobRef) {
        self.blobs.held.insert(blob.hash, (blob, now));
    }

    /// Which blobs the publishes name, and who may read them; made again when publishes or tables change.
    pub(crate) fn classify(&mut self) {
        let mut classes: BTreeMap<Hash, (BlobRef, Class)> = BTreeMap::new();
        for published in self.config.iter().filter(|p| p.refused.is_none()) {
            let publish = &published.publish;
            classes.insert(publish.routes.exchange, (publish.routes, Class::Routes));
            classes.insert(publish.source.exchange, (publish.source, Class::Source));
            let Some(table) = self.blobs.tables.get(&publish.routes.hash) else { continue };
            for policy in &table.policies {
                let entry = classes
                    .entry(policy.exchange)
                    .or_insert_with(|| (*policy, Class::Policy(BTreeSet::new())));
                if let Class::Policy(tables) = &mut entry.1 {
                    tables.insert(publish.routes.hash);
                }
            }
        }
        self.blobs.classes = classes;
    }

    /// The publishes whose blobs this node keeps: the head, what it runs, what it has in custody, and on bolts
    /// the ones before.
    fn kept_publishes(&self) -> BTreeSet<Hash> {
        let mut kept: BTreeSet<Hash> = self.blobs.custody.keys().copied().collect();
        kept.extend(self.config.head().map(|p| p.at.id));
        kept.extend(self.following.floor.map(|floor| floor.id));
        if self.is_bolt() {
            let mut all: Vec<_> = self.config.iter().filter(|p| p.refused.is_none()).map(|p| p.at).collect();
            all.sort_unstable();
            kept.extend(all.iter().rev().take(KEPT_EPOCHS).map(|at| at.id));
        }
        kept
    }

    /// Drops blobs that nothing names any more.
    pub(crate) fn drop_unnamed(&mut self, now: Time, out: &mut Out) {
        let mut named: BTreeSet<Hash> = BTreeSet::new();
        for id in self.kept_publishes() {
            let Some(published) = self.config.get(&id) else { continue };
            named.extend([published.publish.routes.hash, published.publish.source.hash]);
            if let Some(table) = self.blobs.tables.get(&published.publish.routes.hash) {
                named.extend(table.policies.iter().map(|p| p.hash));
            }
        }
        let old = |since: &Time| now.since(*since) > UNNAMED;
        let unnamed =
            self.blobs.held.iter().filter(|(hash, (_, since))| !named.contains(*hash) && old(since));
        let blobs: Vec<Hash> = unnamed.map(|(hash, _)| *hash).collect();
        if blobs.is_empty() {
            return;
        }
        for hash in &blobs {
            self.blobs.held.remove(hash);
            self.blobs.tables.remove(hash);
        }
        let op = self.op(Op::Chore);
        out.push(Output::Begin { op, effect: Effect::DropBlobs { blobs } });
    }

    /// Wants a blob from whoever has it.
    pub(crate) fn want(&mut self, now: Time, blob: BlobRef, priority: u8, out: &mut Out) {
        if !self.blobs.holds(&blob) && !self.exchange.wants(&blob.exchange) {
            self.exchange_peers(now, out);
            self.exchange_input(now, exchange::Input::Want(blob, priority), out);
        }
    }

    pub(crate) fn exchange_input(&mut self, now: Time, input: exchange::Input, out: &mut Out) {
        use vigo_base::Machine;
        let mut acts = Outbox::new();
        self.exchange.handle(now, input, &mut acts);
        self.exchange_acts(now, &mut acts, out);
    }

    pub(crate) fn exchange_wake(&mut self, now: Time, out: &mut Out) {
        use vigo_base::Machine;
        let mut acts = Outbox::new();
        self.exchange.wake(now, &mut acts);
        self.exchange_acts(now, &mut acts, out);
    }

    /// Tells the exchange whom it may ask.
    pub(crate) fn exchange_peers(&mut self, now: Time, out: &mut Out) {
        let peers = self.members().map(|(conn, _)| conn).collect();
        self.exchange_input(now, exchange::Input::Peers(peers), out);
    }

    /// Does what the exchange wants done.
    pub(crate) fn exchange_acts(&mut self, now: Time, acts: &mut Outbox<Act>, out: &mut Out) {
        let mut begin = |op: OpId, effect: Effect, ops: &mut BTreeMap<OpId, Op>| {
            ops.insert(op, Op::Transfer);
            out.push(Output::Begin { op, effect });
        };
        let (mut got, mut blamed, mut asks) = (Vec::new(), Vec::new(), Vec::new());
        for act in acts.drain() {
            match act {
                Act::AskWho { conn, exchange } => asks.push((conn, exchange)),
                Act::FetchOutline { op, conn, blob } => {
                    begin(op, Effect::FetchOutline { conn, blob }, &mut self.ops);
                }
                Act::FetchChunk { op, conn, blob, index, hash, length } => {
                    begin(op, Effect::FetchChunk { conn, blob, index, hash, length }, &mut self.ops);
                }
                Act::Finish { op, blob } => begin(op, Effect::FinishBlob { blob }, &mut self.ops),
                Act::Cancel(op) => {
                    self.ops.remove(&op);
                }
                Act::Got(blob) => got.push(blob),
                Act::Blame(conn, why) => blamed.push((conn, why)),
                Act::Stuck(blob, why) => {
                    self.blobs.stuck.insert(blob.hash, why.to_string());
                }
            }
        }
        for (conn, exchange) in asks {
            self.send(conn, &Frame::WhoHas(exchange), out);
        }
        for (conn, why) in blamed {
            if let Some(key) = self.sessions.get(&conn).map(|s| s.key) {
                out.push(Output::Emit(Event::Misbehaved { key, what: why.to_string() }));
            }
        }
        for blob in got {
            self.blobs.held.insert(blob.hash, (blob, now));
            self.blobs.stuck.remove(&blob.hash);
        }
    }

    /// An effect of the exchange ended.
    pub(crate) fn transfer_done(&mut self, now: Time, op: OpId, outcome: Done, out: &mut Out) {
        let input = match outcome {
            Done::Outline(result) => exchange::Input::Outline {
                op,
                outline: result.as_ref().map(|o: &Outlined| o.outline.clone()).map_err(failed),
                held: result.ok().and_then(|o| o.held).map(Bytes::from),
            },
            Done::Chunk(result) => exchange::Input::Chunk(op, result.map_err(|e| failed(&e))),
            Done::Finished(result) => exchange::Input::Finished(op, result.map_err(|e| failed(&e))),
            _ => return,
        };
        self.exchange_input(now, input, out);
    }
}

/// An outline that came, and which of its chunks this machine holds already.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outlined {
    /// The outline; it hashes to the exchange id.
    pub outline: Outline,
    /// A bitmap of chunks found here (bit 0 of byte 0 is chunk 0), if any.
    pub held: Option<Vec<u8>>,
}

fn failed(why: &Failed) -> FetchFailed {
    match why {
        Failed::BadContent(_) => FetchFailed::BadContent,
        Failed::Refused(text) => FetchFailed::Refused(text.clone()),
        Failed::Gone => FetchFailed::Gone,
        Failed::Timeout => FetchFailed::Timeout,
        Failed::Local(text) => FetchFailed::Local(text.clone()),
    }
}
