//! The peer channel: quinn and rustls behind commands that never block and events on one sink.
//!
//! Four words: a **connection** ([`ConnId`]) is one mutually authenticated QUIC connection; its **control
//! stream** carries frames both ways; an **ask** ([`AskId`]) is a peer's request on a stream of its own, which
//! the driver answers or refuses; a **fetch** is the same seen from the side that asks.
//!
//! It is plumbing without policy. TLS proves that the peer holds its key; the driver judges the papers and says
//! [`Channel::admit`]. Until then the peer is a *stranger*: few at a time, small windows, one ask at a time, and
//! only seconds to stay. A dial that came [`Up`](ChannelEvent::Up) is not yet accepted: the other side may still
//! refuse, so wait for its first frame. Two nodes that dial each other at once get two connections; whoever
//! drives decides which one stays.
//!
//! It never decides who may, never resumes a TLS session, never blocks its caller, and never queues without a
//! bound: see [`Limits`], where each bound says what happens when it is reached.
//!
//! Invariants: every `Up` is followed by exactly one [`Down`](ChannelEvent::Down) (unless the sink is gone), and
//! nothing of a connection comes before its `Up`; frames and asks not after its `Down`. Every
//! [`fetch`](Channel::fetch) is reported exactly once.

mod bench;
mod bulk;
mod endpoint;
pub(crate) mod guard;
mod limits;
mod link;
mod socket;
mod tls;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use vigo_base::PublicKey;

pub use bench::{BenchError, ChannelBench, bench_channel};
pub use bulk::{Answer, FetchError};
pub use endpoint::{BindError, Channel, SendError, Totals};
pub use limits::Limits;

/// One connection of this process. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One request of a peer that waits for an answer. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// What happens on the network, told to the driver.
#[derive(Debug)]
pub enum ChannelEvent {
    /// A connection stands and the peer has proved to hold `key`. Not yet admitted, by us or by it.
    Up {
        /// The connection.
        conn: ConnId,
        /// The peer's key.
        key: PublicKey,
        /// Whether this side dialed.
        dialed: bool,
        /// Where the peer is, as this side sees it.
        address: SocketAddr,
        /// The TLS exporter for `vigo/exporter`: the same 32 bytes on both sides, and on no other connection.
        exporter: [u8; 32],
    },
    /// A frame from the peer's control stream, in order, never empty.
    Frame {
        /// The connection.
        conn: ConnId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// The peer requests something on a stream of its own. Answer with [`Channel::answer`].
    Asked {
        /// The connection.
        conn: ConnId,
        /// The request.
        ask: AskId,
        /// What is requested; at most [`Limits::request_bytes`].
        bytes: Vec<u8>,
    },
    /// A connection has ended.
    Down {
        /// The connection.
        conn: ConnId,
        /// Why.
        why: Why,
    },
    /// A dial did not become a connection.
    DialFailed {
        /// Where.
        address: SocketAddr,
        /// The key that was expected there.
        key: Option<PublicKey>,
        /// Why.
        why: DialError,
    },
    /// A fetch has ended.
    Fetched {
        /// The caller's number for it.
        op: u64,
        /// The peer's answer.
        result: Result<Vec<u8>, FetchError>,
    },
}

/// What became of an event offered to the driver.
#[derive(Debug)]
pub enum Offer {
    /// The driver has it.
    Taken,
    /// No room now: offered again in a moment, while the peer it came from is not read any further.
    Full(ChannelEvent),
    /// The driver is gone: connections close.
    Gone,
}

/// Where events go. Called from many threads; must not block.
pub type Sink = Arc<dyn Fn(ChannelEvent) -> Offer + Send + Sync>;

/// A sink into a bounded channel of the standard library, which a plain thread receives from with a deadline.
pub fn sink_to(sender: std::sync::mpsc::SyncSender<ChannelEvent>) -> Sink {
    use std::sync::mpsc::TrySendError;
    Arc::new(move |event| match sender.try_send(event) {
        Ok(()) => Offer::Taken,
        Err(TrySendError::Full(event)) => Offer::Full(event),
        Err(TrySendError::Disconnected(_)) => Offer::Gone,
    })
}

/// Codes that the channel itself closes connections with. A driver uses [`code::BYE`] and those from
/// [`code::FIRST_FREE`] on.
pub mod code {
    /// Nothing is wrong.
    pub const BYE: u32 = 0;
    /// The peer broke the channel's rules.
    pub const MISBEHAVED: u32 = 1;
    /// The peer reads too slowly: its queue is full.
    pub const QUEUE_FULL: u32 = 2;
    /// No papers in time.
    pub const NOT_ADMITTED: u32 = 3;
    /// Too many connections.
    pub const BUSY: u32 = 4;
    /// A request was not answered in time (refusals only).
    pub const NO_ANSWER: u32 = 5;
    /// The first code that a driver may give a meaning of its own.
    pub const FIRST_FREE: u32 = 16;
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The peer hung up and gave this reason (escaped, at most 256 bytes).
    #[error("the peer hung up: {text} (code {code})")]
    HungUp {
        /// The peer's code.
        code: u32,
        /// The peer's words.
        text: String,
    },
    /// This side hung up.
    #[error("hung up: {text} (code {code})")]
    Closed {
        /// Our code.
        code: u32,
        /// Our words.
        text: String,
    },
    /// The peer broke the channel's rules: this side hung up.
    #[error("the peer misbehaved: {what}")]
    Misbehaved {
        /// What it did.
        what: String,
    },
    /// The peer read too slowly and its queue was full: this side hung up.
    #[error("the peer reads too slowly: {frames} frames of {bytes} bytes were waiting for it")]
    QueueFull {
        /// Frames that waited.
        frames: usize,
        /// Bytes that waited.
        bytes: usize,
    },
    /// The driver did not admit the peer in time.
    #[error("the peer was not admitted within {after:?}")]
    NotAdmitted {
        /// The time it had.
        after: Duration,
    },
    /// The peer had shown no papers for seconds, and another needed its place.
    #[error("the peer showed no papers for seconds, and others waited for its place")]
    Crowded,
    /// No room for another connection.
    #[error("{limit} connections are open, no more are taken")]
    Busy {
        /// The most there may be.
        limit: usize,
    },
    /// The peer's TLS did not accept this side, after the dial had already succeeded here.
    #[error("the peer refused the handshake: {text}")]
    Refused {
        /// What its TLS said.
        text: String,
    },
    /// Nothing came for the idle timeout, or the peer forgot the connection.
    #[error("the connection was lost: {text}")]
    Lost {
        /// What happened.
        text: String,
    },
}

/// Why a dial did not become a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody answered in time.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// Somebody else is there.
    #[error("another key is there: expected {expected}, found {found}")]
    WrongKey {
        /// The key that was asked for.
        expected: PublicKey,
        /// The key that was shown.
        found: PublicKey,
    },
    /// The other side has no room, or takes no connections.
    #[error("the other side takes no connection now")]
    TheyAreBusy,
    /// This side has too many dials under way.
    #[error("{limit} dials are under way already")]
    WeAreBusy {
        /// The most there may be.
        limit: usize,
    },
    /// What is there does not speak this protocol, or shows no usable Ed25519 key.
    #[error("no peer channel there: {text}")]
    NoPeer {
        /// What went wrong.
        text: String,
    },
    /// This machine cannot reach such an address.
    #[error("cannot dial from here: {text}")]
    NoRoute {
        /// What the system said.
        text: String,
    },
    /// The channel is shutting down.
    #[error("shutting down")]
    Stopping,
}

/// What the transport knows about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStats {
    /// The peer's key.
    pub key: PublicKey,
    /// Where it is now.
    pub address: SocketAddr,
    /// Whether this side dialed.
    pub dialed: bool,
    /// Whether the driver has admitted it.
    pub admitted: bool,
    /// The current estimate of the round trip.
    pub rtt: Duration,
    /// UDP payload bytes sent.
    pub sent_bytes: u64,
    /// UDP payload bytes received.
    pub received_bytes: u64,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Frames waiting to be sent.
    pub queued_frames: usize,
    /// Bytes waiting to be sent.
    pub queued_bytes: usize,
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conn {}", self.0)
    }
}

impl fmt::Display for AskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ask {}", self.0)
    }
}
