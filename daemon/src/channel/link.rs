//! One connection: its control stream both ways, its time as a stranger, its end.
//!
//! It never decides why to hang up beyond the rules of [`Limits`](super::Limits), and never drops a frame in
//! silence: what cannot be queued ends the connection with a reason.
//!
//! Invariant: the first reason this side had for closing is the one told; the reader, which sees what the peer
//! sent before it left, has the last word on when a connection is down.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use vigo_base::PublicKey;
use vigo_node::swarm::deframer::{BadFrame, Deframer};

use super::endpoint::{SendError, Shared};
use super::guard::Permit;
use super::{ChannelEvent, ConnId, LinkStats, Why, bulk, code};

/// Bytes of a reason, ours or the peer's.
const REASON_BYTES: usize = 256;
/// Frames handed to the transport at one time.
const WRITE_BATCH: usize = 16;
/// Pieces taken from the transport at one time, a packet's worth each.
const READ_BATCH: usize = 32;

/// The control stream, both directions.
pub(crate) type Control = (SendStream, RecvStream);

/// What the rest of the channel holds of a connection.
pub(crate) struct Link {
    pub(crate) id: ConnId,
    pub(crate) key: PublicKey,
    pub(crate) dialed: bool,
    pub(crate) connection: Connection,
    pub(crate) fetches: Semaphore,
    queue: mpsc::Sender<Outgoing>,
    queue_frames: usize,
    queue_bytes: usize,
    queued_bytes: AtomicUsize,
    admitted: watch::Sender<bool>,
    /// When a stranger's time is over.
    deadline: watch::Sender<Instant>,
    /// A stranger's place; given up on admission.
    permit: Mutex<Option<Permit>>,
    /// Why this side closes, once it does.
    closing: watch::Sender<Option<Why>>,
    /// Whether the peer has ended its control stream: it has read all of ours, or hangs up itself.
    peer_finished: watch::Sender<bool>,
}

/// What the writer of the control stream works off.
pub(crate) enum Outgoing {
    Frame(Arc<[u8]>),
    End,
}

impl Link {
    /// A link on a connection whose handshake is done, and the queue that [`run`] empties.
    pub(crate) fn new(
        shared: &Shared,
        id: ConnId,
        connection: Connection,
        key: PublicKey,
        permit: Option<Permit>,
        dialed: bool,
    ) -> (Link, mpsc::Receiver<Outgoing>) {
        let limits = &shared.limits;
        // One place more, so that the end always fits.
        let (queue, outgoing) = mpsc::channel(limits.queue_frames + 1);
        let link = Link {
            id,
            key,
            dialed,
            connection,
            fetches: Semaphore::new(limits.fetches),
            queue,
            queue_frames: limits.queue_frames,
            queue_bytes: limits.queue_bytes,
            queued_bytes: AtomicUsize::new(0),
            admitted: watch::Sender::new(false),
            deadline: watch::Sender::new(Instant::now() + limits.papers),
            permit: Mutex::new(permit),
            closing: watch::Sender::new(None),
            peer_finished: watch::Sender::new(false),
        };
        (link, outgoing)
    }

    pub(crate) fn is_admitted(&self) -> bool {
        *self.admitted.borrow()
    }

    /// Ends the peer's time as a stranger.
    pub(crate) fn admit(&self, shared: &Shared) {
        if !self.admitted.send_replace(true) {
            shared.limits.widen(&self.connection);
            if let Some(permit) = self.lock_permit().take() {
                shared.guard.admitted(permit);
            }
        }
    }

    /// Gives a stranger until `time` from now.
    pub(crate) fn extend(&self, time: Duration) {
        if let Some(permit) = &*self.lock_permit() {
            permit.wait();
        }
        self.deadline.send_replace(Instant::now() + time);
    }

    /// Queues a frame; a full queue ends the connection.
    pub(crate) fn send(&self, frame: Arc<[u8]>) -> Result<(), SendError> {
        if self.closing.borrow().is_some() {
            return Err(SendError::Gone);
        }
        let length = frame.len();
        let waiting = self.queued_bytes.fetch_add(length, Ordering::Relaxed);
        let frames = self.queued_frames();
        let room = waiting + length <= self.queue_bytes && frames < self.queue_frames;
        if room && self.queue.try_send(Outgoing::Frame(frame)).is_ok() {
            return Ok(());
        }
        self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
        self.close(Why::QueueFull { frames, bytes: waiting });
        Err(SendError::QueueFull)
    }

    /// Begins to hang up: what is queued goes out first, for as long as [`run`] waits.
    pub(crate) fn hang_up(&self, code: u32, text: &str) {
        let why = Why::Closed { code, text: cut(text).to_owned() };
        if self.decide(why) && self.queue.try_send(Outgoing::End).is_err() {
            self.close_now();
        }
    }

    /// Hangs up at once.
    pub(crate) fn close(&self, why: Why) {
        self.decide(why);
        self.close_now();
    }

    pub(crate) fn stats(&self) -> LinkStats {
        let stats = self.connection.stats();
        LinkStats {
            key: self.key,
            address: self.address(),
            dialed: self.dialed,
            admitted: self.is_admitted(),
            rtt: stats.path.rtt,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            lost_packets: stats.path.lost_packets,
            queued_frames: self.queued_frames(),
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed),
        }
    }

    fn address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    fn queued_frames(&self) -> usize {
        (self.queue_frames + 1).saturating_sub(self.queue.capacity())
    }

    /// Sets the reason, unless there is one.
    fn decide(&self, why: Why) -> bool {
        self.closing.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert(why);
            first
        })
    }

    fn close_now(&self) {
        let (code, text) = match &*self.closing.borrow() {
            Some(why) => on_the_wire(why),
            None => (code::BYE, String::new()),
        };
        self.connection.close(VarInt::from_u32(code), cut(&text).as_bytes());
    }

    /// Why the connection has ended, once `error` says that it has.
    fn why(&self, error: &ConnectionError) -> Why {
        match error {
            ConnectionError::ApplicationClosed(close) => Why::HungUp {
                code: u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX),
                text: shown(&close.reason),
            },
            ConnectionError::ConnectionClosed(close) if close_is_tls(close) => {
                Why::Refused { text: shown(&close.reason) }
            }
            ConnectionError::LocallyClosed => {
                let reason = self.closing.borrow().clone();
                reason.unwrap_or(Why::Closed { code: code::BYE, text: "shutting down".into() })
            }
            ConnectionError::TransportError(error) => {
                Why::Misbehaved { what: shown(error.to_string().as_bytes()) }
            }
            other => Why::Lost { text: shown(other.to_string().as_bytes()) },
        }
    }

    fn lock_permit(&self) -> std::sync::MutexGuard<'_, Option<Permit>> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text of the peer, made safe to show, at most 256 bytes before escaping.
pub(crate) fn shown(text: &[u8]) -> String {
    let text = &text[..text.len().min(REASON_BYTES)];
    vigo_base::text::escaped(&String::from_utf8_lossy(text))
}

/// What the peer is told about why this side closes.
fn on_the_wire(why: &Why) -> (u32, String) {
    match why {
        Why::Closed { code, text } => (*code, text.clone()),
        Why::Misbehaved { what } => (code::MISBEHAVED, what.clone()),
        Why::QueueFull { .. } => (code::QUEUE_FULL, "reads too slowly".into()),
        Why::NotAdmitted { .. } => (code::NOT_ADMITTED, "no accepted papers in time".into()),
        Why::Busy { .. } => (code::BUSY, "too many connections".into()),
        Why::Crowded => (code::BUSY, "too slow to show papers, and others wait".into()),
        Why::HungUp { .. } | Why::Refused { .. } | Why::Lost { .. } => (code::BYE, String::new()),
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(REASON_BYTES)]
}

/// Whether the peer's TLS ended the connection (QUIC's codes for TLS alerts).
fn close_is_tls(close: &quinn::ConnectionClose) -> bool {
    (0x100..0x200).contains(&u64::from(close.error_code))
}

/// Lives a connection from `Up` to `Down`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    link: Arc<Link>,
    outgoing: mpsc::Receiver<Outgoing>,
    control: Option<Control>,
) {
    let up = ChannelEvent::Up {
        conn: link.id,
        key: link.key,
        dialed: link.dialed,
        address: link.address(),
        exporter: exporter(&link.connection),
    };
    let mut asks = JoinSet::new();
    let told = shared.tell(up).await;
    let why = if told {
        converse(&shared, &link, outgoing, control, &mut asks).await
    } else {
        link.why(&ConnectionError::LocallyClosed)
    };
    link.connection.close(VarInt::from_u32(code::BYE), b"");
    link.lock_permit().take();
    asks.shutdown().await;
    shared.forget(link.id);
    tracing::debug!(conn = link.id.0, key = %link.key.short(), %why, "connection down");
    if told {
        shared.tell(ChannelEvent::Down { conn: link.id, why }).await;
    }
}

fn exporter(connection: &Connection) -> [u8; 32] {
    let mut bytes = [0; 32];
    if connection.export_keying_material(&mut bytes, b"vigo/exporter", b"").is_err() {
        // Only an output longer than TLS can derive fails, and 32 bytes are not.
        tracing::error!("no keying material to export");
    }
    bytes
}

/// Everything that goes on while a connection stands; gives the reason of its end.
async fn converse(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    outgoing: mpsc::Receiver<Outgoing>,
    control: Option<Control>,
    asks: &mut JoinSet<()>,
) -> Why {
    let talk = async {
        let (send, recv) = match control {
            Some(streams) => streams,
            None => match link.connection.accept_bi().await {
                Ok(streams) => streams,
                Err(error) => return link.why(&error),
            },
        };
        // Small and wanted now, beside whatever bulk is under way.
        let _ = send.set_priority(1);
        tokio::select! {
            why = read_frames(shared, link, recv) => why,
            () = write_frames(link, send, outgoing) => unreachable_end(),
            () = bulk::serve(shared, link, asks) => unreachable_end(),
        }
    };
    tokio::select! {
        why = talk => why,
        () = watch_stranger(shared, link) => unreachable_end(),
        () = close_after_flush(shared, link) => unreachable_end(),
    }
}

/// The branches beside the reader wait for ever when they have nothing left to do.
fn unreachable_end() -> Why {
    Why::Lost { text: "internal: a branch ended before the reader".into() }
}

/// The stream for frames. The dialer opens it before anything else can open a stream, and writes an empty frame
/// so that the other side learns of it.
pub(crate) async fn open_control(connection: &Connection) -> Result<Control, ConnectionError> {
    let (mut send, recv) = connection.open_bi().await?;
    match send.write_all(&0u32.to_be_bytes()).await {
        Err(WriteError::ConnectionLost(error)) => Err(error),
        _ => Ok((send, recv)),
    }
}

/// Reads frames and hands them to the driver, until the connection has ended.
async fn read_frames(shared: &Shared, link: &Link, mut recv: RecvStream) -> Why {
    let mut deframer = Deframer::new(shared.limits.frame_bytes);
    let mut chunks = vec![Bytes::new(); READ_BATCH];
    let mut read = 0;
    loop {
        let count = match recv.read_chunks(&mut chunks).await {
            Ok(Some(count)) => count,
            Ok(None) => return peer_finished(shared, link).await,
            Err(ReadError::ConnectionLost(error)) => return link.why(&error),
            Err(error) => return misbehaved(link, error.to_string()),
        };
        for chunk in chunks.iter_mut().take(count).map(std::mem::take) {
            if let Err(bad) = pass_on(shared, link, &mut deframer, &mut read, &chunk).await {
                return misbehaved(link, bad.to_string());
            }
        }
    }
}

/// Hands the frames that `chunk` completes to the driver; `read` counts what a stranger has said.
async fn pass_on(
    shared: &Shared,
    link: &Link,
    deframer: &mut Deframer,
    read: &mut usize,
    mut chunk: &[u8],
) -> Result<(), BadFrame> {
    while let Some(bytes) = deframer.next(&mut chunk)? {
        *read = read.saturating_add(bytes.len());
        if !shared.tell(ChannelEvent::Frame { conn: link.id, bytes }).await {
            link.close(Why::Closed { code: code::BYE, text: "shutting down".into() });
        }
        if *read >= shared.limits.stranger_bytes && !link.is_admitted() {
            wait_for_admission(link).await;
        }
    }
    Ok(())
}

/// A stranger that has said enough is not read any further.
async fn wait_for_admission(link: &Link) {
    let mut admitted = link.admitted.subscribe();
    tokio::select! {
        _ = admitted.wait_for(|admitted| *admitted) => {}
        _ = link.connection.closed() => {}
    }
}

fn misbehaved(link: &Link, what: String) -> Why {
    link.close(Why::Misbehaved { what });
    link.why(&ConnectionError::LocallyClosed)
}

/// The peer has ended its control stream: either it hangs up and its reason follows, or it has read all that
/// this side, hanging up, had sent.
async fn peer_finished(shared: &Shared, link: &Link) -> Why {
    link.peer_finished.send_replace(true);
    match timeout(2 * shared.limits.flush, link.connection.closed()).await {
        Ok(error) => link.why(&error),
        Err(_) => misbehaved(link, "it ended the control stream and stayed".into()),
    }
}

/// Writes queued frames until the end is queued or the peer ends its side, then ends this side.
async fn write_frames(link: &Link, mut send: SendStream, mut outgoing: mpsc::Receiver<Outgoing>) {
    let mut peer_finished = link.peer_finished.subscribe();
    let work = async {
        let mut batch = Vec::with_capacity(WRITE_BATCH);
        while outgoing.recv_many(&mut batch, WRITE_BATCH).await > 0 {
            let end = batch.iter().any(|o| matches!(o, Outgoing::End));
            if write_batch(link, &mut send, &mut batch).await.is_err() || end {
                return;
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = peer_finished.wait_for(|finished| *finished) => {}
    }
    let _ = send.finish();
    std::future::pending().await
}

async fn write_batch(
    link: &Link,
    send: &mut SendStream,
    batch: &mut Vec<Outgoing>,
) -> Result<(), WriteError> {
    let mut chunks = Vec::with_capacity(2 * batch.len());
    let mut bytes = 0;
    for outgoing in batch.drain(..) {
        if let Outgoing::Frame(frame) = outgoing {
            bytes += frame.len();
            chunks.push(Bytes::copy_from_slice(&(frame.len() as u32).to_be_bytes()));
            chunks.push(Bytes::from_owner(frame));
        }
    }
    let written = send.write_all_chunks(&mut chunks).await;
    link.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    written
}

/// Closes a stranger whose time is over.
async fn watch_stranger(shared: &Shared, link: &Link) {
    let (mut admitted, mut deadline) = (link.admitted.subscribe(), link.deadline.subscribe());
    let loss = link.lock_permit().as_ref().map(Permit::loss);
    let lost = async {
        match &loss {
            Some(loss) => loss.comes().await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(lost);
    loop {
        let until = *deadline.borrow_and_update();
        tokio::select! {
            _ = admitted.wait_for(|admitted| *admitted) => break,
            _ = deadline.changed() => {}
            () = &mut lost => {
                link.close(Why::Crowded);
                break;
            }
            () = sleep_until(until) => {
                link.close(Why::NotAdmitted { after: shared.limits.papers });
                break;
            }
        }
    }
    std::future::pending().await
}

/// Once hanging up has begun, gives what was queued its time to arrive and then closes.
async fn close_after_flush(shared: &Shared, link: &Link) {
    let (mut closing, mut finished) = (link.closing.subscribe(), link.peer_finished.subscribe());
    let _ = closing.wait_for(|why| why.is_some()).await;
    let _ = timeout(shared.limits.flush, finished.wait_for(|finished| *finished)).await;
    link.close_now();
    std::future::pending().await
}
