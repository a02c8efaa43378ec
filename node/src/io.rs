//! The whole contract of a node: what can happen to it, and what it wants done.
//!
//! Inputs are plain data, so that a running node can write them to a file and `simnet` can replay them.
//!
//! **The driver's rule**: outputs are performed in the order in which they were written, and nothing behind an
//! [`Output::Persist`] happens before that is durable. So a record is on disk before it is acknowledged or passed
//! on, and all writes of one wake-up share a commit. Everything else may be lost: the node repairs it.
//! The one output that waits for no disk is [`Output::GossipVerdict`]: passing on what somebody else said relies on
//! nothing of ours (docs/decisions/010). A driver may perform it ahead of the others.

use std::sync::Arc;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use vigo_base::{Hash, PublicKey, Time};
use vigo_content::config::Epoch;
use vigo_stacks::report::RunReport;
use vigo_swarm::beacon::Interface;
use vigo_swarm::gossip::{LinkId, MessageId, Verdict};
use vigo_swarm::ids::{ConnId, OpId};
use vigo_swarm::outline::BlobRef;

pub use crate::content::Outlined;

use crate::command::{Command, Refusal, Reply};
use crate::warrant::Evidence;

/// A request of the local API that waits for its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommandId(pub u64);

/// A peer's bulk request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AskId(pub u64);

/// Who calls the local API, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The caller's user id.
    pub uid: u32,
    /// Whether it may administer: root, the group `vigo-admin`, and the own user of a node that is one process.
    pub admin: bool,
}

/// What can happen to a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Input {
    /// A connection stands; TLS proved the key, nothing more.
    PeerUp {
        /// The connection.
        conn: ConnId,
        /// The peer's key.
        key: PublicKey,
        /// Whether we dialed.
        dialed: bool,
        /// The peer's address as we see it.
        address: String,
        /// The TLS exporter: the same 32 bytes on both sides of this connection and nowhere else.
        exporter: [u8; 32],
    },
    /// A connection is gone.
    PeerDown {
        /// The connection.
        conn: ConnId,
        /// Why.
        why: String,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Where to.
        address: String,
        /// Whom we expected there.
        expect: Option<PublicKey>,
        /// Why.
        why: String,
    },
    /// A frame on a connection's control stream.
    Frame {
        /// The connection.
        conn: ConnId,
        /// The encoded frame.
        bytes: Vec<u8>,
    },
    /// A link on the gossip plane stands; the handshake proved the key, nothing more.
    GossipUp {
        /// The link.
        link: LinkId,
        /// The peer's key.
        key: PublicKey,
        /// Whether we dialed.
        dialed: bool,
    },
    /// A link on the gossip plane is gone.
    GossipDown {
        /// The link.
        link: LinkId,
        /// Why.
        why: String,
    },
    /// A message on the topic, which goes no further before [`Output::GossipVerdict`].
    GossipHeard {
        /// To be judged under this.
        message: MessageId,
        /// Who sent it to us: not who said it first.
        from: PublicKey,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A bulk request on a stream of its own.
    Asked {
        /// The connection.
        conn: ConnId,
        /// To be answered by this.
        ask: AskId,
        /// The encoded request.
        bytes: Vec<u8>,
    },
    /// An effect has ended.
    Done {
        /// Which.
        op: OpId,
        /// How.
        outcome: Done,
    },
    /// Somebody calls the local API.
    Command {
        /// To be answered by this.
        id: CommandId,
        /// Who calls.
        caller: Caller,
        /// What for.
        command: Command,
    },
    /// The local API stored a blob (`PUT /v1/blobs`): keep it until a publish names it.
    BlobStored {
        /// Which.
        blob: BlobRef,
    },
    /// The wall clock stands so many microseconds ahead of (or behind) the driver's steady time.
    WallClock {
        /// Wall clock minus steady time.
        offset: i64,
    },
    /// The interfaces that beacons may use, all of them.
    Interfaces(Vec<Interface>),
    /// A packet to the beacons' group came in.
    Beacon {
        /// On the interface with this index.
        interface: u32,
        /// From here.
        source: SocketAddr,
        /// The packet, of any content.
        bytes: Vec<u8>,
    },
    /// The process is about to end.
    Stopping,
}

/// What a node wants done.
#[derive(Debug, Clone)]
pub enum Output {
    /// Write these durably, all or nothing, before anything behind this output happens.
    Persist(Vec<StoreOp>),
    /// Open a connection.
    Dial {
        /// Where to: `host:port`.
        address: String,
        /// Whoever answers must hold this key.
        expect: Option<PublicKey>,
    },
    /// This connection is no stranger's any more.
    Admit {
        /// Which.
        conn: ConnId,
    },
    /// This connection stays a stranger's, but an operator has to decide: keep it for a while.
    Extend {
        /// Which.
        conn: ConnId,
        /// For so many seconds.
        seconds: u64,
    },
    /// Send a frame.
    Send {
        /// Over which connection.
        conn: ConnId,
        /// The encoded frame.
        frame: Arc<[u8]>,
    },
    /// Close a connection after what was sent on it.
    HangUp {
        /// Which.
        conn: ConnId,
        /// Why, for the peer and the log.
        why: String,
    },
    /// Open a link on the gossip plane: [`Input::GossipUp`] follows if it comes about.
    GossipDial {
        /// Whoever answers must hold this key.
        key: PublicKey,
        /// Where to: `host:port`.
        address: String,
    },
    /// Cut every link of a key, and for a while take none.
    GossipCut {
        /// Whose.
        key: PublicKey,
        /// For how long none is taken: seconds.
        refuse: u64,
        /// Why, for the log.
        why: String,
    },
    /// Say this on the topic.
    Gossip {
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// What becomes of a message that was heard.
    GossipVerdict {
        /// Which.
        message: MessageId,
        /// What.
        verdict: Verdict,
    },
    /// Answer a bulk request.
    Answer {
        /// Which.
        ask: AskId,
        /// With what.
        answer: Answer,
    },
    /// Begin an effect; [`Input::Done`] brings the end.
    Begin {
        /// Its id.
        op: OpId,
        /// What to do.
        effect: Effect,
    },
    /// Reply to a command.
    Reply {
        /// Which.
        id: CommandId,
        /// With what.
        reply: Result<Reply, Refusal>,
    },
    /// Send a packet to the beacons' group.
    Beacon {
        /// On the interface with this index.
        interface: u32,
        /// From this address of it.
        from: IpAddr,
        /// The packet.
        bytes: Vec<u8>,
    },
    /// The applier is to hear this. What is lost on the way is told with the next run.
    Inform(Evidence),
    /// Something worth a line in the log or a count.
    Emit(Event),
}

/// One write to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Keep this record.
    Put {
        /// Its id.
        id: Hash,
        /// Its encoding.
        bytes: Arc<[u8]>,
    },
    /// Forget this record.
    Remove {
        /// Its id.
        id: Hash,
    },
    /// Keep this value under this name.
    PutMeta {
        /// The name, one of `crate::boot::meta`.
        key: String,
        /// The value.
        value: Vec<u8>,
    },
}

/// The answer to a bulk request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The outline of a blob we hold whole or in part.
    Outline(BlobRef),
    /// One chunk of a blob we hold.
    Chunk {
        /// The blob.
        blob: BlobRef,
        /// The chunk's place in the outline.
        index: u32,
    },
    /// Nothing, and why.
    Refuse(String),
}

/// Work that takes time or touches the machine.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Ask a peer for a blob's outline; it must hash to the exchange id.
    FetchOutline {
        /// Whom.
        conn: ConnId,
        /// Of what.
        blob: BlobRef,
    },
    /// Ask a peer for a chunk, check it and keep it.
    FetchChunk {
        /// Whom.
        conn: ConnId,
        /// Of what.
        blob: BlobRef,
        /// The chunk's place in the outline.
        index: u32,
        /// What it must hash to.
        hash: Hash,
        /// How long it is, in bytes.
        length: u32,
    },
    /// All chunks are here: check the whole and keep it under its name.
    FinishBlob {
        /// Which.
        blob: BlobRef,
    },
    /// Read a blob that is held whole.
    ReadBlob {
        /// Which.
        blob: BlobRef,
    },
    /// Forget these blobs.
    DropBlobs {
        /// Which.
        blobs: Vec<Hash>,
    },
    /// Collect this machine's traits.
    CollectTraits,
    /// Run this machine's policy of a publish. Whoever does so judges it anew: see [`crate::warrant`].
    Converge {
        /// The publish.
        at: Epoch,
        /// Its route table, which is held whole.
        routes: BlobRef,
        /// The policy that it routes this machine to, which is held whole.
        policy: BlobRef,
        /// By which it counts.
        evidence: Evidence,
        /// Change nothing, say what would be changed.
        dry_run: bool,
    },
}

/// How an effect ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Done {
    /// The outline of [`Effect::FetchOutline`].
    Outline(Result<Outlined, Failed>),
    /// [`Effect::FetchChunk`]: it is kept.
    Chunk(Result<(), Failed>),
    /// [`Effect::FinishBlob`]: it is kept.
    Finished(Result<(), Failed>),
    /// The bytes of [`Effect::ReadBlob`].
    Read(Result<Vec<u8>, Failed>),
    /// [`Effect::DropBlobs`].
    Dropped,
    /// The traits, a JSON object as text.
    Traits(Result<String, NotRun>),
    /// The report of [`Effect::Converge`].
    Ran(Result<RunReport, NotRun>),
}

/// Why the machine was not looked at or touched at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotRun {
    /// The applier is not there, or went away meanwhile. It may come back.
    Away(String),
    /// A blob cannot be read.
    Unread {
        /// Which.
        blob: Hash,
        /// Why.
        why: Failed,
    },
    /// The applier does not do it: [`crate::warrant::NotWarranted`].
    Refused(String),
}

/// Why an effect failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failed {
    /// The peer sent what it should not have: its fault.
    BadContent(String),
    /// The peer refused.
    Refused(String),
    /// The connection went.
    Gone,
    /// It took too long.
    Timeout,
    /// Our own disk or the like.
    Local(String),
}

/// How a record came to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It wrote it.
    Own,
    /// By gossip.
    Gossip,
    /// On the peer channel: pushed, or sent because it was asked for.
    Push,
    /// It had waited for what it builds on, or came with a goodbye or with papers.
    Late,
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// This node belongs to a fleet now.
    Joined {
        /// Under this name.
        name: String,
        /// Of this fleet.
        spanner: String,
    },
    /// Joining came to nothing.
    JoinRefused {
        /// Why, and what to do.
        why: String,
    },
    /// An operator has to decide; both sides show these words.
    JoinPending {
        /// The fleet.
        spanner: String,
        /// Six words.
        words: String,
    },
    /// Who wants to join has found these fleets on its own networks.
    FleetsFound(Vec<FoundFleet>),
    /// A peer's papers hold.
    PeerKnown {
        /// Its name.
        name: String,
        /// Its key.
        key: PublicKey,
    },
    /// A peer was turned away or cut off.
    PeerRefused {
        /// Its key.
        key: PublicKey,
        /// Why.
        why: String,
    },
    /// A peer sent what it must have known to be wrong.
    Misbehaved {
        /// Its key.
        key: PublicKey,
        /// What.
        what: String,
    },
    /// A statement that this node did not have came to it. For whoever measures how long things take.
    Arrived {
        /// Its space.
        space: String,
        /// Its id.
        id: Hash,
        /// When, by this machine's wall clock.
        at: Time,
        /// By which way.
        by: Way,
    },
    /// A new head of configuration.
    Epoch {
        /// The epoch.
        epoch: u64,
        /// Its publish.
        id: Hash,
    },
    /// A run has ended.
    Ran {
        /// The epoch.
        epoch: u64,
        /// How many steps changed the machine.
        changed: u32,
        /// How many failed.
        failed: u32,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// One of two publishes lost: its operator should publish again on both.
    Fork {
        /// The publish that lost.
        loser: Hash,
    },
    /// A key was found in two places.
    Cloned {
        /// Whose.
        key: PublicKey,
    },
    /// A machine that wanted to join was turned down here.
    JoinTurnedDown {
        /// Its key.
        key: PublicKey,
        /// The name it wanted.
        name: String,
        /// Why.
        why: String,
    },
    /// A bolt's audit log was tampered with.
    Alarm {
        /// Whose log.
        bolt: PublicKey,
        /// What was found.
        what: String,
    },
    /// The applier refused an effect.
    EffectRefused {
        /// Which.
        what: String,
        /// Why.
        why: String,
    },
    /// This node has lost its standing: it stops taking part.
    Expelled {
        /// Why.
        why: String,
    },
    /// Anything else worth a line.
    Note(String),
}

/// A fleet whose bolts were heard. Nothing of it is proven yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFleet {
    /// Its id.
    pub spanner: String,
    /// What its bolts say that people call it, escaped.
    pub label: String,
    /// Where its bolts are.
    pub bolts: Vec<String>,
}
