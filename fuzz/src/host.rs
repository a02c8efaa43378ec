//! A node driven by hand: what it persists goes to a disk from which a second life can be booted.
//!
//! Outputs are performed in order, as every driver must. Nothing is kept of what a node sends but its last frames;
//! each of them must be one that a node reads. It never reads a clock: time is what a target says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vigo_base::{Hash, Machine as _, Outbox, PublicKey, SecretKey, Time};
use vigo_crdt::Unverified;
use vigo_node::sign::{Signed, Signer};
use vigo_node::{
    AskId, Boot, Caller, Command, CommandId, Event, Input, Node, Options, Output, Refusal, Reply, StoreOp,
};
use vigo_swarm::frame::{Bytes, Frame, Hello, VERSION};
use vigo_swarm::ids::ConnId;

/// Frames of a node that are kept to be looked at.
const SENT: usize = 256;

/// What survives.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// Encoded records by id.
    pub records: BTreeMap<Hash, Arc<[u8]>>,
    /// Values by name.
    pub meta: BTreeMap<String, Vec<u8>>,
}

/// A node with its disk.
pub struct Host {
    node: Node,
    key: SecretKey,
    /// The time.
    pub now: Time,
    /// What survives.
    pub disk: Disk,
    /// Whom it blamed, and for what.
    pub blamed: Vec<String>,
    /// What it sent last.
    pub sent: Vec<(ConnId, Frame)>,
    /// Connections that it ended.
    pub hung: BTreeSet<ConnId>,
    replies: BTreeMap<u64, Result<Reply, Refusal>>,
    next: u64,
}

impl Host {
    /// Boots a node from a disk.
    pub fn boot(key: SecretKey, disk: Disk, now: Time) -> Host {
        let mut out = Outbox::new();
        let boot = Boot {
            key: key.clone(),
            seed: [7; 32],
            records: disk.records.values().cloned().collect(),
            meta: disk.meta.clone(),
            blobs: Vec::new(),
            options: Options {
                addresses: vec!["10.0.0.1:1531".into()],
                gossip: Some(1530),
                version: "fuzz".into(),
                ..Options::default()
            },
        };
        let node = Node::boot(now, boot, &mut out).expect("what a node persisted, a node boots from");
        let mut host = Host {
            node,
            key,
            now,
            disk,
            blamed: Vec::new(),
            sent: Vec::new(),
            hung: BTreeSet::new(),
            replies: BTreeMap::new(),
            next: 1,
        };
        host.perform(out);
        host
    }

    /// A second life, from what this one persisted.
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
                    if self.sent.len() < SENT && !self.hung.contains(&conn) {
                        self.sent.push((conn, frame));
                    }
                }
                Output::HangUp { conn, why } => {
                    self.hung.insert(conn);
                    downs.push(Input::PeerDown { conn, why });
                }
                Output::Reply { id, reply } => drop(self.replies.insert(id.0, reply)),
                Output::Emit(Event::Misbehaved { what, .. }) => self.blamed.push(what),
                _ => {}
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

    /// Something happens.
    pub fn input(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.node.handle(self.now, input, &mut out);
        self.perform(out);
    }

    /// Time passes: the node is woken as often as it wants to be, and must let go of each moment.
    pub fn elapse(&mut self, micros: u64) {
        let until = self.now.after(micros);
        for _ in 0..32 {
            match self.node.next_wake().filter(|due| *due <= until) {
                Some(due) => self.now = self.now.max(due),
                None => break,
            }
            self.wake();
        }
        self.now = until;
        self.wake();
    }

    fn wake(&mut self) {
        let mut out = Outbox::new();
        self.node.wake(self.now, &mut out);
        self.perform(out);
    }

    /// Somebody dials.
    pub fn connect(&mut self, key: PublicKey) -> ConnId {
        self.next += 1;
        let conn = ConnId(self.next);
        let exporter = Hash::of(&self.next.to_be_bytes()).0;
        self.input(Input::PeerUp { conn, key, dialed: false, address: "10.9.9.9:1".into(), exporter });
        conn
    }

    /// Somebody dials and shows papers.
    pub fn greet(&mut self, key: PublicKey, papers: &[u8]) -> ConnId {
        let conn = self.connect(key);
        let hello = Frame::Hello(Hello {
            version: VERSION,
            papers: Bytes::from(papers.to_vec()),
            addresses: Vec::new(),
            digests: Vec::new(),
            your_heads: Vec::new(),
            gossip: None,
            features: 0,
        });
        self.frame(conn, &hello);
        conn
    }

    /// A frame comes.
    pub fn frame(&mut self, conn: ConnId, frame: &Frame) {
        self.input(Input::Frame { conn, bytes: frame.encode() });
    }

    /// A bulk request comes.
    pub fn ask(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.next += 1;
        self.input(Input::Asked { conn, ask: AskId(self.next), bytes });
    }

    /// The frames that were sent on `conn` since the last call.
    pub fn heard(&mut self, conn: ConnId) -> Vec<Frame> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().filter(|(c, _)| *c == conn).map(|(_, frame)| frame).collect()
    }

    /// A call of the local API; none if the answer takes time.
    pub fn call(&mut self, admin: bool, command: Command) -> Option<Result<Reply, Refusal>> {
        self.next += 1;
        let id = self.next;
        let caller = Caller { uid: if admin { 0 } else { 1000 }, admin };
        self.input(Input::Command { id: CommandId(id), caller, command });
        self.replies.remove(&id)
    }

    /// A call of the local API that is answered at once.
    pub fn told(&mut self, command: Command) -> Reply {
        let shown = format!("{command:?}");
        let answer = self.call(true, command).unwrap_or_else(|| panic!("{shown} is not answered"));
        answer.unwrap_or_else(|refusal| panic!("{shown}: {refusal}"))
    }

    /// Signs for the operator with this key.
    pub fn signer(&mut self, key: &SecretKey) -> Signer {
        match self.told(Command::Context { key: key.public() }) {
            Reply::Context(context) => Signer::new(key.clone(), *context),
            other => panic!("{other:?}"),
        }
    }

    /// Hands in what was signed; gives the statement's id.
    pub fn submit(&mut self, signed: &Signed) -> Hash {
        match self.told(signed.command()) {
            Reply::Submitted { id } => id,
            other => panic!("{other:?}"),
        }
    }

    /// What people would see of the fleet, as one text.
    pub fn view(&mut self) -> String {
        let members = self.told(Command::Members);
        let publishes = self.told(Command::Publishes);
        let settings = self.told(Command::Settings);
        format!("{members:?} {publishes:?} {settings:?}")
    }

    /// The ids of the records held, without the node's own audit log, which tells what happened to it.
    pub fn held(&self) -> Vec<Hash> {
        let own = Some(self.key.public());
        let audit = |bytes: &[u8]| Unverified::decode(bytes).is_ok_and(|r| r.space().audit_of() == own);
        self.disk.records.iter().filter(|(_, bytes)| !audit(bytes)).map(|(id, _)| *id).collect()
    }
}
