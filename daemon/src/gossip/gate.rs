//! Who may connect at all: bounds on connections and attempts, before anything is said on them.
//!
//! It knows nothing of membership: whoever passes here is judged by the node. Invariants: at most [`LINKS`]
//! connections stand, [`EACH`] of one key; at most [`PENDING`] strangers' handshakes are under way; all tables are bounded.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p_core::transport::PortUse;
use libp2p_core::{Endpoint, Multiaddr};
use libp2p_identity::PeerId;
use libp2p_swarm::behaviour::FromSwarm;
use libp2p_swarm::{
    ConnectionDenied, ConnectionId, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};

use super::{Counts, key_of, socket_address};

/// Connections at one time: what a bolt keeps, and some that the node is about to judge.
const LINKS: usize = vigo_base::limits::BOLT_LINKS + 64;
/// Connections of one key: an old one that is dead and not known to be, and the new one.
const EACH: u32 = 2;
/// Handshakes of others under way at one time.
const PENDING: usize = 64;
/// Attempts from one address (of IPv6: one /64): at once, and a second on the long run.
const ATTEMPTS: (f64, f64) = (32.0, 8.0);
/// Addresses whose attempts are counted at one time.
const SOURCES: usize = 1024;
/// Keys that are turned away at one time.
const TURNED_AWAY: usize = 1024;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("too many handshakes are under way")]
    Busy,
    #[error("too many attempts from this address")]
    TooFast,
    #[error("too many connections")]
    Full,
    #[error("too many connections of this key")]
    TooManyOfOne,
    #[error("this key was cut a moment ago")]
    TurnedAway,
    #[error("not an Ed25519 key")]
    NoKey,
}

/// The counters and tables.
pub(super) struct Gate {
    pending: HashMap<ConnectionId, ()>,
    sources: HashMap<IpAddr, (f64, Instant)>,
    established: HashMap<PeerId, u32>,
    standing: usize,
    away: HashMap<PeerId, Instant>,
    counts: Arc<Counts>,
}

impl Gate {
    pub fn new(counts: Arc<Counts>) -> Gate {
        Gate {
            pending: HashMap::new(),
            sources: HashMap::new(),
            established: HashMap::new(),
            standing: 0,
            away: HashMap::new(),
            counts,
        }
    }

    /// Takes no connection of this key for so long.
    pub fn turn_away(&mut self, peer: PeerId, until: Instant) {
        if self.away.len() >= TURNED_AWAY
            && !self.away.contains_key(&peer)
            && let Some(first) = self.away.iter().min_by_key(|(_, until)| **until).map(|(p, _)| *p)
        {
            self.away.remove(&first);
        }
        self.away.insert(peer, until);
    }

    /// Forgets what is over.
    pub fn tidy(&mut self, now: Instant) {
        self.away.retain(|_, until| *until > now);
        let full = Duration::from_secs_f64(ATTEMPTS.0 / ATTEMPTS.1);
        self.sources.retain(|_, (_, at)| now.saturating_duration_since(*at) < full);
    }

    fn attempt(&mut self, from: IpAddr, now: Instant) -> Result<(), Denied> {
        if self.pending.len() >= PENDING {
            return Err(Denied::Busy);
        }
        let source = match from {
            IpAddr::V4(_) => from,
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        };
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.tidy(now);
            if self.sources.len() >= SOURCES {
                return Err(Denied::Busy);
            }
        }
        let (level, at) = self.sources.entry(source).or_insert((ATTEMPTS.0, now));
        let passed = now.saturating_duration_since(*at).as_secs_f64();
        *level = (*level + passed * ATTEMPTS.1).min(ATTEMPTS.0);
        *at = now;
        if *level < 1.0 {
            return Err(Denied::TooFast);
        }
        *level -= 1.0;
        Ok(())
    }

    fn established(&mut self, peer: &PeerId, now: Instant) -> Result<(), Denied> {
        if key_of(peer).is_none() {
            return Err(Denied::NoKey);
        }
        if self.away.get(peer).is_some_and(|until| *until > now) {
            return Err(Denied::TurnedAway);
        }
        if self.established.get(peer).is_some_and(|n| *n >= EACH) {
            return Err(Denied::TooManyOfOne);
        }
        if self.standing >= LINKS {
            return Err(Denied::Full);
        }
        Ok(())
    }

    fn told(&self, judged: Result<(), Denied>) -> Result<(), ConnectionDenied> {
        judged.map_err(|denied| {
            Counts::add(&self.counts.refused, 1);
            ConnectionDenied::new(denied)
        })
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let from = socket_address(remote).map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |a| a.ip());
        let judged = self.attempt(from, Instant::now());
        if judged.is_ok() {
            self.pending.insert(connection, ());
        }
        self.told(judged)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        let judged = self.established(&peer, Instant::now());
        self.told(judged).map(|()| dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let judged = self.established(&peer, Instant::now());
        self.told(judged).map(|()| dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(up) => {
                *self.established.entry(up.peer_id).or_default() += 1;
                self.standing += 1;
            }
            FromSwarm::ConnectionClosed(down) => {
                self.standing = self.standing.saturating_sub(1);
                if let Some(count) = self.established.get_mut(&down.peer_id) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.established.remove(&down.peer_id);
                    }
                }
            }
            FromSwarm::ListenFailure(failed) => drop(self.pending.remove(&failed.connection_id)),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(Arc::default())
    }

    #[test]
    fn attempts_of_one_address_are_counted_together_and_forgotten_in_time() {
        let (mut gate, now) = (gate(), Instant::now());
        let first: IpAddr = "192.0.2.1".parse().unwrap();
        let taken = (0..100).filter(|_| gate.attempt(first, now).is_ok()).count();
        assert_eq!(taken, 32);
        assert_eq!(gate.attempt(first, now), Err(Denied::TooFast));
        assert_eq!(gate.attempt("192.0.2.2".parse().unwrap(), now), Ok(()), "another one is not to blame");
        let later = now + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| gate.attempt(first, later).is_ok()).count(), 8);
        for n in 0..=u16::MAX {
            let _ = gate.attempt(IpAddr::from([10, 0, (n >> 8) as u8, n as u8]), later);
        }
        assert!(gate.sources.len() <= SOURCES);
        // The whole network behind one IPv6 prefix is one.
        let mut gate = self::gate();
        let of = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 1, 2, 3, n]);
        assert_eq!((0..100).filter(|n| gate.attempt(of(*n), now).is_ok()).count(), 32);
    }

    #[test]
    fn handshakes_keys_and_connections_are_bounded() {
        let (mut gate, now) = (gate(), Instant::now());
        for n in 0..PENDING {
            gate.pending.insert(ConnectionId::new_unchecked(n), ());
        }
        assert_eq!(gate.attempt("192.0.2.1".parse().unwrap(), now), Err(Denied::Busy));
        let peer = |n: u8| super::super::peer_of(&vigo_base::SecretKey::from_seed([n; 32]).public()).unwrap();
        assert_eq!(gate.established(&PeerId::random(), now), Err(Denied::NoKey));
        gate.established.insert(peer(1), EACH);
        assert_eq!(gate.established(&peer(1), now), Err(Denied::TooManyOfOne));
        gate.turn_away(peer(2), now + Duration::from_secs(10));
        assert_eq!(gate.established(&peer(2), now), Err(Denied::TurnedAway));
        assert_eq!(gate.established(&peer(2), now + Duration::from_secs(11)), Ok(()));
        for _ in 0..3_000 {
            gate.turn_away(PeerId::random(), now + Duration::from_secs(20));
        }
        assert!(gate.away.len() <= TURNED_AWAY);
        gate.tidy(now + Duration::from_secs(30));
        assert!(gate.away.is_empty() && gate.sources.is_empty());
        gate.standing = LINKS;
        assert_eq!(gate.established(&peer(3), now), Err(Denied::Full));
    }
}
