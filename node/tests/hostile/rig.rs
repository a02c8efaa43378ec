//! A fleet of one founded bolt, driven by hand: what comes out of it is kept to be looked at.
//!
//! The rig performs outputs as a driver does, in order: what is persisted goes to a disk that a second life is
//! booted from. Keys are seeds; nothing here is random but by [`Dice`].

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::{Hash, Hostname, Machine as _, Outbox, PublicKey, SecretKey, SpannerId, Stamp, Time, time};
use vigo_node::crdt::{Draft, Record, Space, Statement, Unverified};
use vigo_node::sign::{Signed, Signer};
use vigo_node::spanner::NodeKind;
use vigo_node::swarm::frame::{AskToJoin, Bytes, Digest, Frame, Hello, JoinAnswer, VERSION};
use vigo_node::swarm::gossip::{MessageId, Verdict};
use vigo_node::swarm::ids::ConnId;
use vigo_node::{
    Answer, AskId, Boot, Caller, Command, CommandId, Event, Founding, Input, Node, Options, Output, Refusal,
    Reply, StoreOp, found,
};

/// When everything begins.
pub const BEGINNING: Time = Time(1_800_000_000_000_000);

pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

pub const BOLT: u8 = 1;
pub const RECOVERY: u8 = 2;
pub const OPERATOR: u8 = 3;

/// What a node keeps across lives.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub records: BTreeMap<Hash, Arc<[u8]>>,
    pub meta: BTreeMap<String, Vec<u8>>,
}

/// One node with everything it said.
pub struct Host {
    pub node: Node,
    pub key: SecretKey,
    pub now: Time,
    pub disk: Disk,
    pub events: Vec<Event>,
    pub sent: Vec<(ConnId, Frame)>,
    pub hung: BTreeMap<ConnId, String>,
    pub answers: Vec<Answer>,
    pub verdicts: Vec<(MessageId, Verdict)>,
    pub gossiped: Vec<Vec<u8>>,
    pub cut: Vec<(PublicKey, u64, String)>,
    pub dialed: Vec<(PublicKey, String)>,
    replies: BTreeMap<u64, Result<Reply, Refusal>>,
    next: u64,
}

fn options(key: &SecretKey) -> Options {
    let port = 1000 + u16::from(key.public().as_bytes()[0]);
    Options { addresses: vec![format!("10.0.0.1:{port}")], version: "test".into(), ..Options::default() }
}

impl Host {
    pub fn boot(key: SecretKey, disk: Disk, now: Time) -> Host {
        let mut out = Outbox::new();
        let boot = Boot {
            key: key.clone(),
            seed: [7; 32],
            records: disk.records.values().cloned().collect(),
            meta: disk.meta.clone(),
            blobs: Vec::new(),
            options: options(&key),
        };
        let node = Node::boot(now, boot, &mut out).expect("it boots");
        let mut host = Host {
            node,
            key,
            now,
            disk,
            events: Vec::new(),
            sent: Vec::new(),
            hung: BTreeMap::new(),
            answers: Vec::new(),
            verdicts: Vec::new(),
            gossiped: Vec::new(),
            cut: Vec::new(),
            dialed: Vec::new(),
            replies: BTreeMap::new(),
            next: 1,
        };
        host.perform(out);
        host
    }

    /// A node that starts again from what this one persisted.
    pub fn reload(&self) -> Host {
        Host::boot(self.key.clone(), self.disk.clone(), self.now)
    }

    fn perform(&mut self, mut out: Outbox<Output>) {
        let mut downs = Vec::new();
        for output in out.drain() {
            match output {
                Output::Persist(ops) => ops.into_iter().for_each(|op| self.store(op)),
                Output::Send { conn, frame } => {
                    let frame = Frame::decode(&frame).expect("a node sends frames that it would read itself");
                    if !self.hung.contains_key(&conn) {
                        self.sent.push((conn, frame));
                    }
                }
                Output::HangUp { conn, why } => {
                    self.hung.insert(conn, why.clone());
                    downs.push(Input::PeerDown { conn, why });
                }
                Output::Answer { answer, .. } => self.answers.push(answer),
                Output::Reply { id, reply } => drop(self.replies.insert(id.0, reply)),
                Output::Emit(event) => self.events.push(event),
                Output::GossipVerdict { message, verdict } => self.verdicts.push((message, verdict)),
                Output::Gossip { bytes } => self.gossiped.push(bytes.to_vec()),
                Output::GossipCut { key, refuse, why } => self.cut.push((key, refuse, why)),
                Output::GossipDial { key, address } => self.dialed.push((key, address)),
                Output::Dial { .. }
                | Output::Admit { .. }
                | Output::Extend { .. }
                | Output::Begin { .. }
                | Output::Beacon { .. }
                | Output::Inform(_) => {}
            }
        }
        downs.into_iter().for_each(|down| self.input(down));
    }

    fn store(&mut self, op: StoreOp) {
        match op {
            StoreOp::Put { id, bytes } => drop(self.disk.records.insert(id, bytes)),
            StoreOp::Remove { id } => drop(self.disk.records.remove(&id)),
            StoreOp::PutMeta { key, value } => drop(self.disk.meta.insert(key, value)),
        }
    }

    pub fn input(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.node.handle(self.now, input, &mut out);
        self.perform(out);
    }

    /// Lets time pass and the node do what is due.
    pub fn elapse(&mut self, micros: u64) {
        self.now = self.now.after(micros);
        let mut out = Outbox::new();
        self.node.wake(self.now, &mut out);
        self.perform(out);
    }

    /// Somebody with this key connects and says nothing.
    pub fn connect(&mut self, key: PublicKey) -> ConnId {
        self.next += 1;
        let conn = ConnId(self.next);
        let exporter = Hash::of(&self.next.to_be_bytes()).0;
        self.input(Input::PeerUp { conn, key, dialed: false, address: "10.9.9.9:1".into(), exporter });
        conn
    }

    pub fn exporter(conn: ConnId) -> [u8; 32] {
        Hash::of(&conn.0.to_be_bytes()).0
    }

    pub fn frame(&mut self, conn: ConnId, frame: &Frame) {
        self.input(Input::Frame { conn, bytes: frame.encode() });
    }

    pub fn raw(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.input(Input::Frame { conn, bytes });
    }

    pub fn ask(&mut self, conn: ConnId, bytes: Vec<u8>) -> Vec<Answer> {
        self.answers.clear();
        self.next += 1;
        let ask = AskId(self.next);
        self.input(Input::Asked { conn, ask, bytes });
        std::mem::take(&mut self.answers)
    }

    /// Connects a member and shows its papers.
    pub fn greet(&mut self, key: PublicKey, papers: &[u8]) -> ConnId {
        let conn = self.connect(key);
        self.frame(conn, &hello(papers));
        conn
    }

    /// What was sent on a connection since this was last asked.
    pub fn heard(&mut self, conn: ConnId) -> Vec<Frame> {
        let (mine, others) = std::mem::take(&mut self.sent).into_iter().partition(|(c, _)| *c == conn);
        self.sent = others;
        let mine: Vec<(ConnId, Frame)> = mine;
        mine.into_iter().map(|(_, frame)| frame).collect()
    }

    pub fn call(&mut self, admin: bool, command: Command) -> Result<Reply, Refusal> {
        self.next += 1;
        let id = self.next;
        let caller = Caller { uid: if admin { 0 } else { 1000 }, admin };
        self.input(Input::Command { id: CommandId(id), caller, command });
        self.replies.remove(&id).expect("an answer at once")
    }

    /// Whoever misbehaved since this was last asked.
    pub fn misbehaved(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.events);
        let what = |e| match e {
            Event::Misbehaved { what, .. } => Some(what),
            _ => None,
        };
        events.into_iter().filter_map(what).collect()
    }

    /// What this node says of each space to a bolt with these papers.
    pub fn digests(&mut self, key: PublicKey, papers: &[u8]) -> Vec<Digest> {
        let conn = self.greet(key, papers);
        self.heard(conn);
        self.frame(conn, &Frame::Ping(Vec::new()));
        let pong = self.heard(conn).into_iter().find_map(|f| match f {
            Frame::Pong(digests) => Some(digests),
            _ => None,
        });
        self.input(Input::PeerDown { conn, why: "done".into() });
        pong.unwrap_or_else(|| panic!("no pong: {:?}", self.hung.get(&conn)))
    }

    pub fn status(&mut self) -> vigo_node::command::Status {
        match self.call(true, Command::Status) {
            Ok(Reply::Status(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    pub fn signer(&mut self, key: &SecretKey) -> Signer {
        match self.call(true, Command::Context { key: key.public() }) {
            Ok(Reply::Context(context)) => Signer::new(key.clone(), *context),
            other => panic!("{other:?}"),
        }
    }

    pub fn submit(&mut self, signed: &Signed) -> Result<Hash, Refusal> {
        match self.call(true, signed.command())? {
            Reply::Submitted { id } => Ok(id),
            other => panic!("{other:?}"),
        }
    }

    /// What the disk holds, but for the bolt's own audit log: that somebody was turned away is written down there.
    pub fn kept(&self) -> BTreeMap<Hash, Arc<[u8]>> {
        let own = Some(key(BOLT).public());
        let audit = |bytes: &[u8]| Unverified::decode(bytes).is_ok_and(|r| r.space().audit_of() == own);
        let kept = self.disk.records.iter().filter(|(_, bytes)| !audit(bytes));
        kept.map(|(id, bytes)| (*id, bytes.clone())).collect()
    }

    /// Everything that must not change when somebody is turned away.
    pub fn everything(&mut self) -> String {
        let members = self.call(true, Command::Members);
        let requests = match self.call(true, Command::Requests) {
            // Not from where: a connection that ends takes its address with it.
            Ok(Reply::Requests(rows)) => {
                rows.into_iter().map(|r| (r.name, r.key, r.bolt, r.words)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        let publishes = self.call(true, Command::Publishes);
        let settings = self.call(true, Command::Settings);
        let records: Vec<Hash> = self.kept().into_keys().collect();
        format!("{records:?} {members:?} {requests:?} {publishes:?} {settings:?}")
    }
}

pub fn hello(papers: &[u8]) -> Frame {
    Frame::Hello(Hello {
        version: VERSION,
        papers: Bytes::from(papers.to_vec()),
        addresses: Vec::new(),
        digests: Vec::new(),
        your_heads: Vec::new(),
        gossip: None,
        features: 0,
    })
}

pub fn push(records: &[&[u8]]) -> Frame {
    Frame::Push(records.iter().map(|r| Bytes::from(r.to_vec())).collect())
}

/// A founded fleet of one bolt.
pub struct Rig {
    pub bolt: Host,
    pub spanner: SpannerId,
}

impl Rig {
    pub fn new() -> Rig {
        let founded = found(Founding {
            node: &key(BOLT),
            name: name("bolt1"),
            fleet: "hostile".into(),
            recovery: &key(RECOVERY),
            operator: &key(OPERATOR),
            operator_name: name("alice"),
            nonce: Hash::of(b"nonce"),
            now: BEGINNING,
        })
        .expect("it founds");
        let records = founded.records.iter().map(|r| (Hash::of(r), r.clone())).collect();
        let disk = Disk { records, meta: founded.meta.into_iter().collect() };
        Rig { bolt: Host::boot(key(BOLT), disk, BEGINNING.after(time::secs(1))), spanner: founded.spanner }
    }

    /// Lets a node in as an operator would, and gives its papers.
    pub fn admit(&mut self, who: &SecretKey, text: &str, kind: NodeKind) -> Vec<u8> {
        self.admit_by(&key(OPERATOR), who, text, kind)
    }

    /// The same by this operator.
    pub fn admit_by(&mut self, operator: &SecretKey, who: &SecretKey, text: &str, kind: NodeKind) -> Vec<u8> {
        let signed = self.bolt.signer(operator).approve(who.public(), name(text), kind).expect("it signs");
        self.bolt.submit(&signed).expect("it counts");
        let conn = self.bolt.connect(who.public());
        let ask = AskToJoin { spanner: None, name: name(text), bolt: kind == NodeKind::Bolt };
        self.bolt.frame(conn, &Frame::AskToJoin(ask));
        let papers = self.bolt.heard(conn).into_iter().find_map(|f| match f {
            Frame::JoinAnswer(JoinAnswer::Admitted(_, papers)) => Some(papers.to_vec()),
            _ => None,
        });
        self.bolt.input(Input::PeerDown { conn, why: "joined".into() });
        papers.expect("admitted")
    }

    pub fn revoke(&mut self, who: PublicKey) {
        let signed = self.bolt.signer(&key(OPERATOR)).revoke(&[who], "stolen").expect("it signs");
        self.bolt.submit(&signed).expect("it counts");
    }

    /// A record by `author`, signed right.
    pub fn record(&self, author: &SecretKey, space: Space, seq: u64, kind: u16, payload: Vec<u8>) -> Record {
        let stamp = Stamp((self.bolt.now.0 / 1000) << 16);
        Record::sign(author, &self.spanner, space, seq, kind, stamp, payload).expect("small")
    }

    /// A statement by `signer`, signed right.
    pub fn statement(&self, signer: &SecretKey, draft: Draft) -> Statement {
        draft.sign(signer, &self.spanner)
    }
}

pub fn name(text: &str) -> Hostname {
    text.parse().expect("a name")
}
