//! The channel over loopback, told as stories of two nodes.

mod bulk;
mod hostile;
mod life;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use quinn::{Connection, ConnectionError, Endpoint};
use tokio::runtime::Runtime;
use vigo_base::{PublicKey, SecretKey};

use super::tls::{self, Identity};
use super::{Channel, ChannelEvent, ConnId, Limits, Why, sink_to, socket};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A node: its channel and what its driver would hear.
struct Node {
    channel: Channel,
    events: Receiver<ChannelEvent>,
    address: SocketAddr,
    key: PublicKey,
}

impl Node {
    fn new(seed: u8, limits: Limits) -> Node {
        Node::with_room(seed, limits, 1024)
    }

    fn with_room(seed: u8, limits: Limits, events: usize) -> Node {
        let (sender, events) = sync_channel(events);
        let listen = [loopback()];
        let channel = Channel::bind(RUNTIME.handle(), &listen, &key(seed), limits, sink_to(sender)).unwrap();
        Node { address: channel.addresses()[0], channel, events, key: key(seed).public() }
    }

    #[track_caller]
    fn next(&self) -> ChannelEvent {
        self.events.recv_timeout(PATIENCE).expect("no event came")
    }

    /// The next event that `pick` wants; others are passed over.
    #[track_caller]
    fn until<T>(&self, mut pick: impl FnMut(ChannelEvent) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("the event did not come");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }

    #[track_caller]
    fn up(&self) -> (ConnId, PublicKey, bool, [u8; 32]) {
        match self.next() {
            ChannelEvent::Up { conn, key, dialed, exporter, .. } => (conn, key, dialed, exporter),
            other => panic!("expected Up, found {other:?}"),
        }
    }

    #[track_caller]
    fn frame(&self) -> Vec<u8> {
        match self.next() {
            ChannelEvent::Frame { bytes, .. } => bytes,
            other => panic!("expected a frame, found {other:?}"),
        }
    }

    #[track_caller]
    fn down(&self) -> Why {
        self.until(|event| match event {
            ChannelEvent::Down { why, .. } => Some(why),
            _ => None,
        })
    }

    fn send(&self, conn: ConnId, frame: &[u8]) {
        self.channel.send(conn, frame.into()).unwrap();
    }
}

/// Two nodes, the first of which has dialed the second; both are up and admitted.
struct Pair {
    a: Node,
    b: Node,
    /// The connection as `a` numbers it.
    to_b: ConnId,
    /// The connection as `b` numbers it.
    to_a: ConnId,
}

impl Pair {
    fn new() -> Pair {
        Pair::of(Node::new(1, Limits::default()), Node::new(2, Limits::default()))
    }

    fn with(limits: Limits) -> Pair {
        Pair::of(Node::new(1, limits.clone()), Node::new(2, limits))
    }

    fn of(a: Node, b: Node) -> Pair {
        a.channel.dial(b.address, Some(b.key));
        let (to_b, _, _, ours) = a.up();
        let (to_a, _, _, theirs) = b.up();
        assert_eq!(ours, theirs, "one exporter on both sides");
        a.channel.admit(to_b);
        b.channel.admit(to_a);
        Pair { a, b, to_b, to_a }
    }
}

/// A peer that speaks QUIC and TLS well and everything above as the test pleases.
struct Rogue {
    endpoint: Endpoint,
    identity: Identity,
}

impl Rogue {
    fn at(seed: u8, ip: [u8; 4]) -> Rogue {
        let _context = RUNTIME.enter();
        let socket = socket::bind((ip, 0).into()).unwrap();
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(Default::default(), None, socket, runtime).unwrap();
        Rogue { endpoint, identity: Identity::new(&key(seed)).unwrap() }
    }

    fn new(seed: u8) -> Rogue {
        Rogue::at(seed, [127, 0, 0, 1])
    }

    async fn connect(&self, to: SocketAddr) -> Result<Connection, ConnectionError> {
        let crypto = self.identity.client(None, Arc::default()).unwrap();
        self.connect_with(crypto, to).await
    }

    async fn connect_with(
        &self,
        crypto: quinn::crypto::rustls::QuicClientConfig,
        to: SocketAddr,
    ) -> Result<Connection, ConnectionError> {
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        self.endpoint.connect_with(config, to, tls::SERVER_NAME).unwrap().await
    }
}

/// The code and words an application closed with.
fn closing(error: ConnectionError) -> (u64, String) {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            (close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned())
        }
        other => panic!("expected a hang-up, found {other:?}"),
    }
}

/// Waits until `done` holds.
#[track_caller]
fn eventually(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
