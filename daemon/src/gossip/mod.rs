//! The gossip plane: libp2p's QUIC and gossipsub behind the node's few words.
//!
//! One task owns the swarm. The driver gives it orders (dial, cut, say, verdict) and never waits; what happens goes
//! to the driver as inputs. A message goes beyond this process only by the node's verdict. What finds a queue full
//! is dropped and counted: reconciliation repairs it. Links and their ends are never dropped, since the node must
//! judge each.
//!
//! It decides nothing but what protects the process itself: how many connections, how fast, how large
//! (`gate`), and that a peer whose gossipsub score has fallen is cut.

mod config;
mod gate;
mod quic;
mod task;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libp2p_core::Multiaddr;
use libp2p_core::multiaddr::Protocol;
use libp2p_identity::{PeerId, ed25519};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use vigo_base::{PublicKey, SecretKey, SpannerId};
use vigo_node::swarm::gossip::{MessageId, Verdict};

use crate::driver::Handle;

pub use config::topic;

/// Messages of our own that wait to be said; more are dropped.
const WORDS: usize = 1024;
/// Time for a listener to say which address it got.
const BINDS: Duration = Duration::from_secs(5);
/// Time for the task to end.
const ENDS: Duration = Duration::from_millis(300);

/// Why the gossip plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen for gossip on {address} (UDP): {why}; is another node running here? Name another in \
         `gossip.listen:` of node.yaml, or none"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        why: String,
    },
    /// libp2p does not take what we give it.
    #[error("the gossip plane cannot be set up: {0}")]
    Setup(String),
}

/// What the driver wants of the task.
#[derive(Debug)]
enum Order {
    Dial { key: PublicKey, address: String },
    Cut { key: PublicKey, refuse: Duration, why: String },
    Verdict { message: MessageId, verdict: Verdict },
    Stop(oneshot::Sender<()>),
}

/// What was counted since the start, and what is now.
#[derive(Debug, Default)]
pub struct Counts {
    /// Links now.
    pub links: AtomicU64,
    /// Peers in the mesh now.
    pub mesh: AtomicU64,
    /// Messages said.
    pub said: AtomicU64,
    /// Messages heard for the first time.
    pub heard: AtomicU64,
    /// Copies of messages that came in, and messages said.
    pub copies: AtomicU64,
    /// Of those, passed on.
    pub accepted: AtomicU64,
    /// Of those, known to be wrong by whoever sent them.
    pub rejected: AtomicU64,
    /// Messages of ours that found a queue full.
    pub unsaid: AtomicU64,
    /// Messages of others that found a queue full.
    pub unheard: AtomicU64,
    /// Messages that a peer was too slow to take.
    pub slow: AtomicU64,
    /// Connections refused: too many, too fast, or of a key that was cut.
    pub refused: AtomicU64,
    /// Peers cut: by the node, or for their score.
    pub cut: AtomicU64,
}

/// The same as plain numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told of in Counts")]
pub struct Figures {
    pub links: u64,
    pub mesh: u64,
    pub said: u64,
    pub heard: u64,
    pub copies: u64,
    pub accepted: u64,
    pub rejected: u64,
    pub unsaid: u64,
    pub unheard: u64,
    pub slow: u64,
    pub refused: u64,
    pub cut: u64,
}

impl Counts {
    fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    fn figures(&self) -> Figures {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            links: get(&self.links),
            mesh: get(&self.mesh),
            said: get(&self.said),
            heard: get(&self.heard),
            copies: get(&self.copies),
            accepted: get(&self.accepted),
            rejected: get(&self.rejected),
            unsaid: get(&self.unsaid),
            unheard: get(&self.unheard),
            slow: get(&self.slow),
            refused: get(&self.refused),
            cut: get(&self.cut),
        }
    }
}

/// The way to the task. Clones lead to the same one.
#[derive(Debug, Clone)]
pub struct Gossip {
    /// Bounded by what the node asks for: one verdict for a message that waits for one, a few dials, one cut a link.
    orders: mpsc::UnboundedSender<Order>,
    words: mpsc::Sender<Arc<[u8]>>,
    counts: Arc<Counts>,
    listening: Arc<[SocketAddr]>,
}

impl Gossip {
    /// No gossip plane: every order is passed over. For a node that only joins.
    pub fn none() -> Gossip {
        let (orders, _) = mpsc::unbounded_channel();
        let (words, _) = mpsc::channel(1);
        Gossip { orders, words, counts: Arc::default(), listening: Arc::new([]) }
    }

    /// Starts the task: listens on `listen` (exclusively; with none it only dials) and tells `driver` what happens.
    ///
    /// # Errors
    /// [`GossipError`]; nothing is left running then.
    pub fn start(
        runtime: &runtime::Handle,
        listen: &[SocketAddr],
        key: &SecretKey,
        spanner: &SpannerId,
        driver: Handle,
    ) -> Result<Gossip, GossipError> {
        let _context = runtime.enter();
        let counts = Arc::new(Counts::default());
        let (orders, order_inlet) = mpsc::unbounded_channel();
        let (words, word_inlet) = mpsc::channel(WORDS);
        let mut swarm = config::swarm(key, spanner, counts.clone())?;
        let mut listening: Vec<SocketAddr> = Vec::new();
        for asked in listen {
            // Others are told of one port: an address that may have any takes the one that is there already.
            let port = listening.first().map_or(0, SocketAddr::port);
            let address = SocketAddr::new(asked.ip(), if asked.port() == 0 { port } else { asked.port() });
            let bind = |e: &dyn std::error::Error| GossipError::Bind { address, why: innermost(e) };
            let listener = swarm.listen_on(multiaddr(address)).map_err(|e| bind(&e));
            let real = listener.and_then(|id| runtime.block_on(task::bound(&mut swarm, id, address, BINDS)));
            match real {
                Ok(real) => listening.push(real),
                Err(error) if asked.port() == 0 && port != 0 => {
                    tracing::warn!(%error, "gossip does without it")
                }
                Err(error) => return Err(error),
            }
        }
        let task = task::Task::new(swarm, spanner, driver, counts.clone());
        runtime.spawn(task.run(order_inlet, word_inlet));
        Ok(Gossip { orders, words, counts, listening: listening.into() })
    }

    /// The addresses listened on, as they were asked for, with their real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// The port to tell others of; none if it only dials.
    pub fn port(&self) -> Option<u16> {
        self.listening.first().map(SocketAddr::port)
    }

    /// Dials `address` (`host:port`); whoever answers must hold `key`.
    pub fn dial(&self, key: PublicKey, address: String) {
        self.order(Order::Dial { key, address });
    }

    /// Cuts every link of `key`, and takes none for so long.
    pub fn cut(&self, key: PublicKey, refuse: Duration, why: String) {
        self.order(Order::Cut { key, refuse, why });
    }

    /// Says something on the topic; dropped when too much waits already.
    pub fn say(&self, message: Arc<[u8]>) {
        if self.words.try_send(message).is_err() {
            Counts::add(&self.counts.unsaid, 1);
        }
    }

    /// What becomes of a message.
    pub fn verdict(&self, message: MessageId, verdict: Verdict) {
        self.order(Order::Verdict { message, verdict });
    }

    /// What was counted.
    pub fn figures(&self) -> Figures {
        self.counts.figures()
    }

    /// Closes every link and ends the task.
    pub async fn stop(&self) {
        let (done, ended) = oneshot::channel();
        self.order(Order::Stop(done));
        let _ = tokio::time::timeout(ENDS, ended).await;
    }

    fn order(&self, order: Order) {
        // A task that has ended does nothing any more, as it should.
        let _ = self.orders.send(order);
    }
}

/// `192.0.2.7:1530` as libp2p spells it.
fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Udp(address.port())).with(Protocol::QuicV1)
}

/// The other way round.
fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Udp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// The name libp2p has for a key.
fn peer_of(key: &PublicKey) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(libp2p_identity::PublicKey::from(key).to_peer_id())
}

/// The key in a name of libp2p's: only Ed25519 keys are nodes'.
fn key_of(peer: &PeerId) -> Option<PublicKey> {
    // An identity multihash: its code, its length, and the key as protobuf.
    let bytes = peer.to_bytes();
    let protobuf = bytes.get(2..).filter(|_| bytes.first() == Some(&0))?;
    let key = libp2p_identity::PublicKey::try_decode_protobuf(protobuf).ok()?;
    PublicKey::from_bytes(key.try_into_ed25519().ok()?.to_bytes()).ok()
}

/// What lies at the bottom of an error, without the wrappings.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_under_both_names() {
        for seed in 0..20 {
            let key = SecretKey::from_seed([seed; 32]).public();
            assert_eq!(peer_of(&key).and_then(|peer| key_of(&peer)), Some(key));
        }
        assert_eq!(key_of(&PeerId::random()), None, "a hash is no key");
    }

    #[test]
    fn an_address_is_the_same_under_both_names() {
        for text in ["192.0.2.7:1530", "[2001:db8::7]:1530", "[::]:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(socket_address(&multiaddr(address)), Some(address));
        }
    }
}
