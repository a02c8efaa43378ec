//! The endpoints of a channel: binding, accepting, dialing, the table of connections, shutting down.
//!
//! Commands take a lock for a moment or start a task; none waits for the network. It never keeps a connection
//! that the limits do not allow.
//!
//! Invariant: no lock is held across an await, and nothing but the tables here outlives a connection.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use quinn::{ConnectError, Connecting, Connection, ConnectionError, Endpoint, EndpointConfig, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use vigo_base::{PublicKey, SecretKey};

use super::bulk::{self, Answer, AnswerSender, FetchError, OpenAsk};
use super::guard::{Guard, Permit, Verdict};
use super::link::{self, Control, Link, shown};
use super::tls::{self, Identity};
use super::{AskId, ChannelEvent, ConnId, DialError, Limits, LinkStats, Offer, Sink, Why, code, socket};

/// Connection attempts that wait for the accepting task; more are refused by the transport.
const INCOMING: usize = 256;
/// Bytes buffered for each of them, and for all.
const INCOMING_BYTES: u64 = 16 * 1024;
/// Pause before an event is offered again to a full sink.
const SINK_PAUSE: Duration = Duration::from_millis(2);
/// Time that [`Channel::shutdown`] takes at most.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// The peer channel of one node. Clones are the same channel; when the last is dropped, all connections close.
#[derive(Clone)]
pub struct Channel {
    shared: Arc<Shared>,
    /// Closes the endpoints with the last clone.
    _alive: Arc<Alive>,
}

/// Why a channel could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has the port.
    #[error(
        "{address}/udp is in use by another program: stop that program (`ss -ulpn sport = :{}` names it), \
         or choose another address with `listen:` in node.yaml",
        address.port()
    )]
    InUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address is not of this machine.
    #[error(
        "{address} is no address of this machine: correct `listen:` in node.yaml, or use {} for all addresses",
        if address.is_ipv4() { "0.0.0.0" } else { "[::]" }
    )]
    NotHere {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Anything else the system refused.
    #[error("cannot listen on {address}: {source}; see `listen:` in node.yaml")]
    System {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The key does not make a TLS identity.
    #[error("cannot use the node's key for TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no such connection, or it is closing; its `Down` is on the way.
    #[error("the connection is gone")]
    Gone,
    /// The queue was full, and the connection has been closed for it.
    #[error("the peer's queue is full")]
    QueueFull,
    /// The frame is empty or longer than a frame may be: a mistake on this side, nothing was sent.
    #[error("a frame of {found} bytes, where 1 to {limit} are allowed")]
    BadLength {
        /// Its bytes.
        found: usize,
        /// The most it may have.
        limit: usize,
    },
}

/// Counts since the start, and of now, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that stand now.
    pub connections: usize,
    /// Accepted connections not yet admitted, half-open ones included, now.
    pub strangers: usize,
    /// Asks that wait for the driver now.
    pub asks: usize,
    /// Attempts that were let in to the handshake.
    pub accepted: u64,
    /// Attempts that had to prove their address first.
    pub retried: u64,
    /// Attempts refused for lack of room.
    pub refused: u64,
    /// Accepted handshakes that failed or took too long.
    pub failed_handshakes: u64,
    /// Keys looked at by the verifiers of both sides.
    pub verified: u64,
}

/// What the tasks of a channel share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    identity: Identity,
    sink: Sink,
    runtime: Handle,
    pub(crate) guard: Arc<Guard>,
    dials: Semaphore,
    endpoints: Mutex<Vec<Endpoint>>,
    links: Mutex<BTreeMap<ConnId, Arc<Link>>>,
    /// Told when a link leaves the table.
    emptied: Notify,
    asks: Mutex<BTreeMap<AskId, AnswerSender>>,
    next: AtomicU64,
    stopping: AtomicBool,
    accepted: AtomicU64,
    retried: AtomicU64,
    refused: AtomicU64,
    failed_handshakes: AtomicU64,
}

struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        for endpoint in lock(&self.0.endpoints).drain(..) {
            endpoint.close(VarInt::from_u32(code::BYE), b"");
        }
    }
}

impl Channel {
    /// Opens a channel that listens on these addresses; with none it only dials. Tasks run on `runtime`.
    ///
    /// # Errors
    /// [`BindError`] when an address cannot be had.
    pub fn bind(
        runtime: &Handle,
        listen: &[SocketAddr],
        key: &SecretKey,
        limits: Limits,
        sink: Sink,
    ) -> Result<Channel, BindError> {
        let _context = runtime.enter();
        let shared = Arc::new(Shared {
            identity: Identity::new(key)?,
            sink,
            runtime: runtime.clone(),
            guard: Guard::new(limits.strangers, limits.strangers_per_source),
            dials: Semaphore::new(limits.dials),
            endpoints: Mutex::default(),
            links: Mutex::default(),
            emptied: Notify::new(),
            asks: Mutex::default(),
            next: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed_handshakes: AtomicU64::new(0),
            limits,
        });
        for &address in listen {
            let server = shared.server_config()?;
            let endpoint = open(address, Some(server)).map_err(|source| bind_error(address, source))?;
            lock(&shared.endpoints).push(endpoint.clone());
            runtime.spawn(accept(shared.clone(), endpoint));
        }
        let _alive = Arc::new(Alive(shared.clone()));
        Ok(Channel { shared, _alive })
    }

    /// The addresses bound so far, those only dialed from included.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        lock(&self.shared.endpoints).iter().filter_map(|e| e.local_addr().ok()).collect()
    }

    /// Dials. The outcome is `Up` or `DialFailed`; another key than `expect` there is a failure.
    pub fn dial(&self, address: SocketAddr, expect: Option<PublicKey>) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn(async move {
            if let Err(why) = dial(&shared, address, expect).await {
                shared.tell(ChannelEvent::DialFailed { address, key: expect, why }).await;
            }
        });
    }

    /// Queues a frame for the peer.
    ///
    /// # Errors
    /// [`SendError`]; a full queue has also closed the connection.
    pub fn send(&self, conn: ConnId, frame: Arc<[u8]>) -> Result<(), SendError> {
        let (found, limit) = (frame.len(), self.shared.limits.frame_bytes);
        if found == 0 || found > limit {
            return Err(SendError::BadLength { found, limit });
        }
        self.shared.link(conn).ok_or(SendError::Gone)?.send(frame)
    }

    /// Ends the peer's time as a stranger: windows open, its place for strangers is free.
    pub fn admit(&self, conn: ConnId) {
        if let Some(link) = self.shared.link(conn) {
            link.admit(&self.shared);
        }
    }

    /// Lets a stranger stay for `time` from now, still as a stranger: somebody is deciding about it.
    pub fn extend(&self, conn: ConnId, time: Duration) {
        if let Some(link) = self.shared.link(conn) {
            link.extend(time);
        }
    }

    /// Closes a connection, after what is queued for it has gone out (for a second at most). The peer is told
    /// the code and the text (at most 256 bytes).
    pub fn hang_up(&self, conn: ConnId, code: u32, text: &str) {
        if let Some(link) = self.shared.link(conn) {
            link.hang_up(code, text);
        }
    }

    /// Answers an ask; says whether it still waited.
    pub fn answer(&self, ask: AskId, answer: Answer) -> bool {
        let waiting = lock(&self.shared.asks).remove(&ask);
        waiting.is_some_and(|sender| sender.send(answer).is_ok())
    }

    /// Requests something of the peer; `Fetched` with `op` tells the outcome. An answer longer than
    /// `max_response` bytes is an error.
    pub fn fetch(&self, op: u64, conn: ConnId, request: Vec<u8>, max_response: usize) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn(async move {
            let result = match shared.link(conn) {
                Some(link) => bulk::fetch(&shared, &link, request, max_response).await,
                None => Err(FetchError::Gone),
            };
            shared.tell(ChannelEvent::Fetched { op, result }).await;
        });
    }

    /// What the transport knows about a connection.
    pub fn stats(&self, conn: ConnId) -> Option<LinkStats> {
        self.shared.link(conn).map(|link| link.stats())
    }

    /// The same for all connections, in the order of their numbers.
    pub fn all_stats(&self) -> Vec<(ConnId, LinkStats)> {
        let links: Vec<_> = lock(&self.shared.links).values().cloned().collect();
        links.into_iter().map(|link| (link.id, link.stats())).collect()
    }

    /// Counts for metrics.
    pub fn totals(&self) -> Totals {
        let shared = &self.shared;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            connections: lock(&shared.links).len(),
            strangers: shared.guard.held(),
            asks: lock(&shared.asks).len(),
            accepted: count(&shared.accepted),
            retried: count(&shared.retried),
            refused: count(&shared.refused),
            failed_handshakes: count(&shared.failed_handshakes),
            verified: count(&shared.identity.verified),
        }
    }

    /// Takes no more connections, lets queued frames go out, closes all with code 0 and waits until the peers
    /// have been told: a second at most. A plain thread runs it with `Handle::block_on`.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        let deadline = Instant::now() + SHUTDOWN;
        shared.stopping.store(true, Ordering::Relaxed);
        let endpoints: Vec<_> = lock(&shared.endpoints).clone();
        endpoints.iter().for_each(|endpoint| endpoint.set_server_config(None));
        let links: Vec<_> = lock(&shared.links).values().cloned().collect();
        links.iter().for_each(|link| link.hang_up(code::BYE, "shutting down"));
        let _ = timeout_at(deadline - SHUTDOWN / 2, shared.wait_until_empty()).await;
        for endpoint in &endpoints {
            endpoint.close(VarInt::from_u32(code::BYE), b"shutting down");
        }
        for endpoint in &endpoints {
            let _ = timeout_at(deadline, endpoint.wait_idle()).await;
        }
    }
}

impl Shared {
    /// Offers an event until the driver takes it; false when it never will.
    pub(crate) async fn tell(&self, mut event: ChannelEvent) -> bool {
        loop {
            match (self.sink)(event) {
                Offer::Taken => return true,
                Offer::Gone => return false,
                Offer::Full(_) if self.stopping.load(Ordering::Relaxed) => return false,
                Offer::Full(back) => event = back,
            }
            sleep(SINK_PAUSE).await;
        }
    }

    pub(crate) fn open_ask(self: &Arc<Shared>) -> (OpenAsk, oneshot::Receiver<Answer>) {
        let id = AskId(self.number());
        let (sender, receiver) = oneshot::channel();
        lock(&self.asks).insert(id, sender);
        (OpenAsk { id, shared: self.clone() }, receiver)
    }

    pub(crate) fn close_ask(&self, ask: AskId) {
        lock(&self.asks).remove(&ask);
    }

    pub(crate) fn forget(&self, conn: ConnId) {
        lock(&self.links).remove(&conn);
        self.emptied.notify_waiters();
    }

    fn link(&self, conn: ConnId) -> Option<Arc<Link>> {
        lock(&self.links).get(&conn).cloned()
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    async fn wait_until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if lock(&self.links).is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn server_config(&self) -> Result<quinn::ServerConfig, rustls::Error> {
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(self.identity.server()?));
        config
            .transport_config(self.limits.transport())
            .max_incoming(INCOMING)
            .incoming_buffer_size(INCOMING_BYTES)
            .incoming_buffer_size_total(INCOMING as u64 * INCOMING_BYTES);
        config.validation_token.sent(0);
        Ok(config)
    }

    /// Takes a finished handshake into the table and lets it live.
    /// With the control stream if this side dialed, with the permit if not.
    fn enter(
        self: &Arc<Shared>,
        connection: Connection,
        permit: Option<Permit>,
        control: Option<Control>,
    ) -> Result<(), Why> {
        let Some(key) = key_of(&connection) else {
            return Err(Why::Misbehaved { what: "no key was shown".into() });
        };
        let id = ConnId(self.number());
        let (link, outgoing) = Link::new(self, id, connection, key, permit, control.is_some());
        let link = Arc::new(link);
        {
            let mut links = lock(&self.links);
            if links.len() >= self.limits.connections {
                let why = Why::Busy { limit: self.limits.connections };
                link.close(why.clone());
                return Err(why);
            }
            links.insert(id, link.clone());
        }
        if self.stopping.load(Ordering::Relaxed) {
            link.hang_up(code::BYE, "shutting down");
        }
        self.runtime.spawn(link::run(self.clone(), link, outgoing, control));
        Ok(())
    }

    /// The endpoint to dial `to` from: one that listens and reaches it, else one of its own for the family.
    fn endpoint_for(&self, to: SocketAddr) -> io::Result<Endpoint> {
        let mut endpoints = lock(&self.endpoints);
        let fits = |e: &&Endpoint| e.local_addr().is_ok_and(|local| socket::reaches(local, to));
        if let Some(endpoint) = endpoints.iter().find(fits) {
            return Ok(endpoint.clone());
        }
        let endpoint = open(socket::any(to), None)?;
        endpoints.push(endpoint.clone());
        Ok(endpoint)
    }
}

/// Lets attempts in, or not, for as long as the endpoint lives.
async fn accept(shared: Arc<Shared>, endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let address = incoming.remote_address().ip();
        let proven = incoming.remote_address_validated();
        match shared.guard.judge(address, proven) {
            Verdict::Enter(permit) => {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                if let Ok(connecting) = incoming.accept() {
                    shared.runtime.spawn(shake_hands(shared.clone(), connecting, permit));
                }
            }
            Verdict::Retry => {
                shared.retried.fetch_add(1, Ordering::Relaxed);
                let _ = incoming.retry();
            }
            Verdict::Full => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                incoming.refuse();
            }
        }
    }
}

async fn shake_hands(shared: Arc<Shared>, connecting: Connecting, permit: Permit) {
    let loss = permit.loss();
    let shaken = tokio::select! {
        shaken = timeout(shared.limits.handshake, connecting) => Some(shaken),
        () = loss.comes() => None,
    };
    let entered = match shaken {
        Some(Ok(Ok(connection))) => {
            permit.prove();
            shared.enter(connection, Some(permit), None).map_err(|why| why.to_string())
        }
        Some(Ok(Err(error))) => Err(shown(error.to_string().as_bytes())),
        Some(Err(_)) => Err("too slow".into()),
        None => Err("too slow, and others wait".into()),
    };
    if let Err(why) = entered {
        shared.failed_handshakes.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%why, "an accepted handshake came to nothing");
    }
}

async fn dial(shared: &Arc<Shared>, to: SocketAddr, expect: Option<PublicKey>) -> Result<(), DialError> {
    if shared.stopping.load(Ordering::Relaxed) {
        return Err(DialError::Stopping);
    }
    let limit = shared.limits.dials;
    let _slot = shared.dials.try_acquire().map_err(|_| DialError::WeAreBusy { limit })?;
    let seen = Arc::new(OnceLock::new());
    let crypto = shared.identity.client(expect, seen.clone());
    let crypto = crypto.map_err(|error| DialError::NoPeer { text: error.to_string() })?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(shared.limits.transport());
    let endpoint = shared.endpoint_for(to).map_err(|error| DialError::NoRoute { text: error.to_string() })?;
    let connecting = endpoint.connect_with(config, to, tls::SERVER_NAME).map_err(connect_error)?;
    let after = shared.limits.handshake;
    let connected = async {
        let connection = connecting.await?;
        let control = link::open_control(&connection).await?;
        Ok((connection, control))
    };
    let (connection, control) = match timeout(after, connected).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(dial_error(&error, expect, seen.get().copied(), after)),
        Err(_) => return Err(DialError::TimedOut { after }),
    };
    shared.enter(connection, None, Some(control)).map_err(|why| match why {
        Why::Busy { limit } => DialError::WeAreBusy { limit },
        other => DialError::NoPeer { text: other.to_string() },
    })
}

fn dial_error(
    error: &ConnectionError,
    expect: Option<PublicKey>,
    seen: Option<PublicKey>,
    after: Duration,
) -> DialError {
    let refused = |close: &quinn::ConnectionClose| u64::from(close.error_code) == 0x02;
    match (error, expect, seen) {
        (_, Some(expected), Some(found)) if expected != found => DialError::WrongKey { expected, found },
        (ConnectionError::ConnectionClosed(close), _, _) if refused(close) => DialError::TheyAreBusy,
        (ConnectionError::ApplicationClosed(_), _, _) => DialError::TheyAreBusy,
        (ConnectionError::TimedOut, _, _) => DialError::TimedOut { after },
        (ConnectionError::LocallyClosed, _, _) => DialError::Stopping,
        (other, _, _) => DialError::NoPeer { text: shown(other.to_string().as_bytes()) },
    }
}

fn connect_error(error: ConnectError) -> DialError {
    match error {
        ConnectError::EndpointStopping => DialError::Stopping,
        other => DialError::NoRoute { text: other.to_string() },
    }
}

fn bind_error(address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { address },
        _ => BindError::System { address, source },
    }
}

/// The key the peer has proved to hold.
fn key_of(connection: &Connection) -> Option<PublicKey> {
    let shown = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    tls::key_from_spki(shown.first()?)
}

/// Must be called within the runtime.
fn open(address: SocketAddr, server: Option<quinn::ServerConfig>) -> io::Result<Endpoint> {
    let socket = socket::bind(address)?;
    Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(quinn::TokioRuntime))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
