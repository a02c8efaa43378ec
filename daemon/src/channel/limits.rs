//! The bounds of the peer channel, each with what happens when it is reached.
//!
//! Plain numbers; it reads no configuration itself.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};
use vigo_base::limits;

/// Receive window of one stream, in bytes: 100 Mbit/s at a round trip of 100 ms.
const STREAM_WINDOW: u32 = 1_250_000;
/// Receive window of an admitted connection, in bytes.
const ADMITTED_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes an admitted connection holds that were sent and not yet acknowledged.
const ADMITTED_SEND_WINDOW: u64 = 8 * 1024 * 1024;
/// Receive window of a stranger's connection, in bytes.
const STRANGER_WINDOW: u32 = 64 * 1024;
/// Bytes a stranger's connection holds that were sent and not yet acknowledged.
const STRANGER_SEND_WINDOW: u64 = 256 * 1024;
/// Streams a stranger may have open: the control stream and one ask.
const STRANGER_STREAMS: u32 = 2;

/// The bounds of one channel. [`Limits::default`] is an envoy's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all; one more is closed with [`code::BUSY`](super::code::BUSY).
    pub connections: usize,
    /// Accepted connections not yet admitted, half-open ones included; more are refused, and from half of it on
    /// an address must be proved first.
    pub strangers: usize,
    /// The same for one IPv4 address or IPv6 /64.
    pub strangers_per_source: usize,
    /// Dials under way at one time; more fail at once.
    pub dials: usize,
    /// Time for a handshake, dialed or accepted.
    pub handshake: Duration,
    /// Time for the driver to admit a connection, dialed or accepted; then it is closed.
    pub papers: Duration,
    /// Bytes of frames read from a stranger; the rest waits, unread, until it is admitted.
    pub stranger_bytes: usize,
    /// Bytes of one frame; a longer one is misbehaviour.
    pub frame_bytes: usize,
    /// Frames waiting for one peer; one more hangs up.
    pub queue_frames: usize,
    /// Bytes of frames waiting for one peer; more hang up.
    pub queue_bytes: usize,
    /// Bytes of a request; a longer one is misbehaviour.
    pub request_bytes: usize,
    /// Requests of one peer open at one time; more wait at the peer.
    pub asks: u32,
    /// Requests of one admitted peer per second over a longer time; more wait. A stranger has two.
    pub asks_per_second: u32,
    /// Time for the driver to answer a request; then it is refused.
    pub answer: Duration,
    /// Fetches open to one peer; one more fails at once.
    pub fetches: usize,
    /// Time without progress after which a fetch or an answer is given up. In all, a transfer has this and a
    /// second for each 16 KiB.
    pub stall: Duration,
    /// Time without a packet after which a connection is lost.
    pub idle: Duration,
    /// Pause after which a packet is sent to keep the connection.
    pub keep_alive: Duration,
    /// Time for frames queued before a hang-up to arrive.
    pub flush: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: limits::ENVOY_PEERS + limits::STRANGERS,
            strangers: limits::STRANGERS,
            strangers_per_source: limits::STRANGERS / 4,
            dials: limits::STRANGERS,
            handshake: Duration::from_secs(5),
            papers: Duration::from_secs(10),
            stranger_bytes: 2 * limits::FRAME_BYTES,
            frame_bytes: limits::FRAME_BYTES,
            queue_frames: limits::PEER_QUEUE_FRAMES,
            queue_bytes: 16 * 1024 * 1024,
            request_bytes: 4096,
            asks: limits::CHUNKS_IN_FLIGHT as u32,
            asks_per_second: 4096,
            answer: Duration::from_secs(30),
            fetches: 4 * limits::CHUNKS_IN_FLIGHT,
            stall: Duration::from_secs(15),
            idle: Duration::from_secs(15),
            keep_alive: Duration::from_secs(5),
            flush: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// A bolt's limits: as an envoy's, with room for its partition.
    pub fn bolt() -> Limits {
        Limits { connections: limits::BOLT_PEERS + limits::STRANGERS, ..Limits::default() }
    }

    /// Time a transfer of at most `bytes` may take in all.
    pub(crate) fn transfer(&self, bytes: usize) -> Duration {
        self.stall + Duration::from_secs(bytes as u64 / (16 * 1024))
    }

    /// The transport of a new connection: a stranger's.
    pub(crate) fn transport(&self) -> Arc<TransportConfig> {
        let mut transport = TransportConfig::default();
        let idle = IdleTimeout::from(VarInt::from_u32(self.idle.as_millis().min(600_000) as u32));
        transport
            .max_concurrent_bidi_streams(STRANGER_STREAMS.into())
            .max_concurrent_uni_streams(0u32.into())
            .datagram_receive_buffer_size(None)
            .datagram_send_buffer_size(0)
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(STRANGER_WINDOW.into())
            .send_window(STRANGER_SEND_WINDOW)
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(self.keep_alive));
        Arc::new(transport)
    }

    /// Opens an admitted connection's windows.
    pub(crate) fn widen(&self, connection: &quinn::Connection) {
        connection.set_receive_window(ADMITTED_WINDOW.into());
        connection.set_send_window(ADMITTED_SEND_WINDOW);
        connection.set_max_concurrent_bi_streams(VarInt::from_u32(self.asks.saturating_add(1)));
    }
}
