//! The task that owns the swarm: orders in, inputs out.
//!
//! It never waits for the driver. A message the driver has no room for is ignored at once, so that gossipsub
//! forgets it; a link, or the end of one, is kept and offered again. Invariants: at most [`JUDGED`] messages wait
//! for a verdict, [`JUDGED_EACH`] of one peer, each for at most [`PATIENCE`].

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use libp2p_core::ConnectedPoint;
use libp2p_core::transport::ListenerId;
use libp2p_gossipsub::{self as gossipsub, MessageAcceptance, TopicHash};
use libp2p_identify as identify;
use libp2p_identity::PeerId;
use libp2p_swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p_swarm::{ConnectionId, Swarm, SwarmEvent};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use vigo_base::{PublicKey, SpannerId};
use vigo_node::io::Input;
use vigo_node::swarm::gossip::{LinkId, MessageId, Verdict};

use super::config::{Behaviour, BehaviourEvent, GRAYLIST, PROTOCOL, topic};
use super::{Counts, GossipError, Order, key_of, multiaddr, peer_of, socket_address};
use crate::driver::{Handle, NotTaken};

/// Messages that wait for the node's verdict.
const JUDGED: usize = 512;
/// Of those, from one peer.
const JUDGED_EACH: usize = 256;
/// How long a message waits for its verdict.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often scores are looked at and what waits is offered again.
const TICK: Duration = Duration::from_secs(1);
/// How soon a link that the driver had no room for is offered again.
const AGAIN: Duration = Duration::from_millis(20);
/// For how long a peer with a bad score, or of another program, is turned away.
const SHUNNED: Duration = Duration::from_secs(600);
/// Time for a name to be resolved, and addresses of it that are tried.
const RESOLVE: (Duration, usize) = (Duration::from_secs(3), 4);

/// A message that waits for its verdict.
struct Judged {
    id: gossipsub::MessageId,
    from: PeerId,
    since: Instant,
}

/// The swarm and what is under way.
pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    topic: TopicHash,
    driver: Handle,
    counts: Arc<Counts>,
    links: HashMap<ConnectionId, LinkId>,
    next: u64,
    judged: HashMap<MessageId, Judged>,
    judged_of: HashMap<PeerId, usize>,
    /// Links and their ends that the driver had no room for: at most two for each connection.
    untold: VecDeque<Input>,
}

/// Waits until a listener has an address; gives it as it was asked for, with its real port.
pub(super) async fn bound(
    swarm: &mut Swarm<Behaviour>,
    listener: ListenerId,
    asked: SocketAddr,
    patience: Duration,
) -> Result<SocketAddr, GossipError> {
    let why = |why: &str| GossipError::Bind { address: asked, why: why.into() };
    if asked.port() != 0 {
        return Ok(asked);
    }
    let told = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, address } if listener_id == listener => {
                    let port = socket_address(&address).map(|real| real.port());
                    return port
                        .map(|port| SocketAddr::new(asked.ip(), port))
                        .ok_or_else(|| why("it has no port"));
                }
                SwarmEvent::ListenerClosed { listener_id, .. } if listener_id == listener => {
                    return Err(why("the listener closed at once"));
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(patience, told).await.unwrap_or_else(|_| Err(why("the system gave it no port")))
}

impl Task {
    pub fn new(swarm: Swarm<Behaviour>, spanner: &SpannerId, driver: Handle, counts: Arc<Counts>) -> Task {
        let topic = topic(spanner).hash();
        let (links, judged, judged_of) = (HashMap::new(), HashMap::new(), HashMap::new());
        Task { swarm, topic, driver, counts, links, next: 1, judged, judged_of, untold: VecDeque::new() }
    }

    pub async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut words: mpsc::Receiver<Arc<[u8]>>,
    ) {
        let (resolved, mut addresses) = mpsc::channel::<(PublicKey, Vec<SocketAddr>)>(32);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let again = !self.untold.is_empty();
            tokio::select! {
                event = self.swarm.select_next_some() => self.event(event),
                order = orders.recv() => match order {
                    Some(Order::Stop(done)) => {
                        self.end().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(Order::Dial { key, address }) => self.dial(key, address, &resolved),
                    Some(Order::Cut { key, refuse, why }) => self.cut(&key, refuse, &why),
                    Some(Order::Verdict { message, verdict }) => self.verdict(message, verdict),
                    None => return,
                },
                Some(word) = words.recv() => self.say(&word),
                Some((key, found)) = addresses.recv() => self.dial_at(&key, &found),
                () = tokio::time::sleep(AGAIN), if again => self.tell_again(),
                _ = tick.tick() => self.look(),
            }
        }
    }

    /// Closes what stands, so that the other ends need not find out by waiting.
    async fn end(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.connected_peers().next().is_some() {
                let _ = self.swarm.select_next_some().await;
            }
        };
        let _ = tokio::time::timeout(super::ENDS / 2, closed).await;
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.up(&peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, num_established, .. } => {
                let why = cause.map_or_else(|| "closed".to_string(), |cause| super::innermost(&cause));
                if num_established == 0 {
                    self.judged_of.remove(&peer_id);
                }
                if let Some(link) = self.links.remove(&connection_id) {
                    self.tell(Input::GossipDown { link, why });
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(peer = ?peer_id, why = super::innermost(&error), "a gossip link did not come about");
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::trace!(why = super::innermost(&error), "a gossip link was refused");
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(why = super::innermost(&error), "listening for gossip");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(event)) => self.gossipsub(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) if info.protocol_version != PROTOCOL => {
                self.shun(peer_id, "it speaks another protocol");
            }
            _ => {}
        }
        self.counts.links.store(self.links.len() as u64, Ordering::Relaxed);
    }

    fn up(&mut self, peer: &PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        // The gate lets only such keys in.
        let Some(key) = key_of(peer) else { return };
        let link = LinkId(self.next);
        self.next += 1;
        self.links.insert(connection, link);
        self.tell(Input::GossipUp { link, key, dialed: endpoint.is_dialer() });
    }

    fn gossipsub(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.heard(propagation_source, message_id, message.data);
            }
            gossipsub::Event::GossipsubNotSupported { peer_id } => {
                self.shun(peer_id, "it does not speak gossipsub");
            }
            gossipsub::Event::SlowPeer { failed_messages, .. } => {
                let lost = failed_messages.priority + failed_messages.non_priority;
                Counts::add(&self.counts.slow, lost as u64);
            }
            gossipsub::Event::Subscribed { .. } | gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    fn heard(&mut self, from: PeerId, id: gossipsub::MessageId, bytes: Vec<u8>) {
        Counts::add(&self.counts.heard, 1);
        let waiting = self.judged_of.get(&from).copied().unwrap_or(0);
        let room = self.judged.len() < JUDGED && waiting < JUDGED_EACH;
        let message = MessageId(self.next);
        let given = key_of(&from)
            .filter(|_| room && self.untold.is_empty())
            .is_some_and(|key| self.driver.offer(Input::GossipHeard { message, from: key, bytes }).is_ok());
        if given {
            self.next += 1;
            *self.judged_of.entry(from).or_default() += 1;
            self.judged.insert(message, Judged { id, from, since: Instant::now() });
        } else {
            Counts::add(&self.counts.unheard, 1);
            self.report(&id, &from, MessageAcceptance::Ignore);
        }
    }

    fn verdict(&mut self, message: MessageId, verdict: Verdict) {
        let Some(Judged { id, from, .. }) = self.judged.remove(&message) else { return };
        if let Some(waiting) = self.judged_of.get_mut(&from) {
            *waiting = waiting.saturating_sub(1);
        }
        let acceptance = match verdict {
            Verdict::Accept => {
                Counts::add(&self.counts.accepted, 1);
                MessageAcceptance::Accept
            }
            Verdict::Reject => {
                Counts::add(&self.counts.rejected, 1);
                MessageAcceptance::Reject
            }
            Verdict::Ignore => MessageAcceptance::Ignore,
        };
        self.report(&id, &from, acceptance);
    }

    fn report(&mut self, id: &gossipsub::MessageId, from: &PeerId, acceptance: MessageAcceptance) {
        self.swarm.behaviour_mut().gossipsub.report_message_validation_result(id, from, acceptance);
    }

    fn say(&mut self, message: &[u8]) {
        use gossipsub::PublishError::{Duplicate, NoPeersSubscribedToTopic};
        let topic = self.topic.clone();
        match self.swarm.behaviour_mut().gossipsub.publish(topic, message) {
            Ok(_) => Counts::add(&self.counts.said, 1),
            // Somebody said it before, or nobody listens: both are as they should be.
            Err(Duplicate | NoPeersSubscribedToTopic) => {}
            Err(error) => {
                Counts::add(&self.counts.unsaid, 1);
                tracing::debug!(%error, "a message was not said");
            }
        }
    }

    fn dial(
        &mut self,
        key: PublicKey,
        address: String,
        resolved: &mpsc::Sender<(PublicKey, Vec<SocketAddr>)>,
    ) {
        if let Ok(address) = address.parse::<SocketAddr>() {
            return self.dial_at(&key, &[address]);
        }
        let resolved = resolved.clone();
        tokio::spawn(async move {
            let found = tokio::time::timeout(RESOLVE.0, tokio::net::lookup_host(address.as_str())).await;
            if let Ok(Ok(found)) = found {
                let _ = resolved.send((key, found.take(RESOLVE.1).collect())).await;
            }
        });
    }

    fn dial_at(&mut self, key: &PublicKey, addresses: &[SocketAddr]) {
        let Some(peer) = peer_of(key) else { return };
        let addresses = addresses.iter().map(|a| multiaddr(*a)).collect();
        let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::NotDialing);
        // A dial that comes to nothing needs no word: the node waits for a link, and not for ever.
        if let Err(error) = self.swarm.dial(options.build()) {
            tracing::debug!(?key, why = super::innermost(&error), "a gossip link was not dialed");
        }
    }

    fn cut(&mut self, key: &PublicKey, refuse: Duration, why: &str) {
        let Some(peer) = peer_of(key) else { return };
        if !refuse.is_zero() {
            self.swarm.behaviour_mut().gate.turn_away(peer, Instant::now() + refuse);
        }
        if self.swarm.disconnect_peer_id(peer).is_ok() {
            Counts::add(&self.counts.cut, 1);
            tracing::debug!(?key, why, "a gossip link was cut");
        }
    }

    /// Cuts a peer whose node the node cannot judge: the protocol itself was abused.
    fn shun(&mut self, peer: PeerId, why: &str) {
        tracing::warn!(key = ?key_of(&peer), why, "a gossip link is cut");
        self.swarm.behaviour_mut().gate.turn_away(peer, Instant::now() + SHUNNED);
        if self.swarm.disconnect_peer_id(peer).is_ok() {
            Counts::add(&self.counts.cut, 1);
        }
    }

    /// Gives the driver what it must hear of.
    fn tell(&mut self, input: Input) {
        self.untold.push_back(input);
        self.tell_again();
    }

    fn tell_again(&mut self) {
        while let Some(input) = self.untold.pop_front() {
            match self.driver.offer(input) {
                Ok(()) => {}
                Err((_, NotTaken::Ended)) => {}
                Err((input, NotTaken::Full)) => return self.untold.push_front(input),
            }
        }
    }

    /// What is due every second.
    fn look(&mut self) {
        let now = Instant::now();
        self.swarm.behaviour_mut().gate.tidy(now);
        let late: Vec<MessageId> = self
            .judged
            .iter()
            .filter(|(_, judged)| now.duration_since(judged.since) > PATIENCE)
            .map(|(message, _)| *message)
            .collect();
        late.into_iter().for_each(|message| self.verdict(message, Verdict::Ignore));
        let gossipsub = &self.swarm.behaviour().gossipsub;
        let low = |peer: &&PeerId| gossipsub.peer_score(peer).is_some_and(|score| score < GRAYLIST);
        let bad: Vec<PeerId> = self.swarm.connected_peers().filter(low).copied().collect();
        self.counts.mesh.store(gossipsub.mesh_peers(&self.topic).count() as u64, Ordering::Relaxed);
        bad.into_iter().for_each(|peer| self.shun(peer, "its score is too low"));
    }
}
