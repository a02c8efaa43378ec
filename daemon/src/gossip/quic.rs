//! The transport of the gossip plane: libp2p's QUIC, with a guard at the door.
//!
//! On the wire it is what libp2p-quic speaks: TLS 1.3 with libp2p's certificates, a substream a bidirectional stream.
//! libp2p-quic itself begins every handshake that anybody asks for: ten thousand of them took 200 MiB. Here the
//! [`Guard`] of the peer channel decides first, so a stranger costs what it costs there.
//!
//! Invariant: no more handshakes of others are under way than the guard has places, and an address that is not proved
//! must be once they are half taken.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p_core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p_core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p_core::{Endpoint as Side, Multiaddr, Transport};
use libp2p_identity::{Keypair, PeerId};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, Incoming, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Counts, GossipError, multiaddr, socket_address};
use crate::channel::guard::{Guard, Permit, Verdict};

/// Handshakes of others under way at one time, in all and of one address.
const STRANGERS: (usize, usize) = (64, 16);
/// Time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Attempts that wait to be judged, and bytes kept for each.
const WAITING: (usize, u64) = (256, 16 * 1024);
/// Attempts judged before others get their turn.
const TURN: usize = 64;
/// Bytes asked for as the kernel's buffer.
const KERNEL_BUFFER: usize = 2 * 1024 * 1024;
/// The server name that libp2p's dialers send; nobody looks at it.
const SERVER_NAME: &str = "l";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum QuicError {
    /// The system refused a socket.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// It cannot be dialed.
    #[error(transparent)]
    Dial(#[from] quinn::ConnectError),
    /// It was lost, or never came about.
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    /// The handshake took too long.
    #[error("the handshake took too long")]
    TimedOut,
    /// Somebody else needed the place.
    #[error("the handshake was slow, and others waited for its place")]
    Crowded,
    /// The certificate names no key.
    #[error("the certificate is not one of libp2p's")]
    NoKey,
}

type Connected = (PeerId, Muxer);
type Upgrade = BoxFuture<'static, Result<Connected, QuicError>>;
type Happened = TransportEvent<Upgrade, QuicError>;
type Pair = Result<(SendStream, RecvStream), quinn::ConnectionError>;

/// The transport.
pub(super) struct Quic {
    client: quinn::ClientConfig,
    server: quinn::ServerConfig,
    guard: Arc<Guard>,
    counts: Arc<Counts>,
    listeners: Vec<Listener>,
    /// Only dialed from, for IPv4 and IPv6.
    dialers: [Option<Endpoint>; 2],
    events: VecDeque<Happened>,
    waker: Option<Waker>,
}

struct Listener {
    id: ListenerId,
    endpoint: Endpoint,
    local: SocketAddr,
    accepting: BoxFuture<'static, Option<Incoming>>,
}

impl Quic {
    pub fn new(
        keypair: &Keypair,
        transport: quinn::TransportConfig,
        counts: Arc<Counts>,
    ) -> Result<Quic, GossipError> {
        let setup = |e: &dyn std::fmt::Display| GossipError::Setup(e.to_string());
        let transport = Arc::new(transport);
        let crypto = libp2p_tls::make_client_config(keypair, None).map_err(|e| setup(&e))?;
        let crypto = QuicClientConfig::try_from(crypto).map_err(|e| setup(&e))?;
        let mut client = quinn::ClientConfig::new(Arc::new(crypto));
        client.transport_config(Arc::clone(&transport));
        let crypto = libp2p_tls::make_server_config(keypair).map_err(|e| setup(&e))?;
        let crypto = QuicServerConfig::try_from(crypto).map_err(|e| setup(&e))?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server
            .transport_config(transport)
            .migration(false)
            .max_incoming(WAITING.0)
            .incoming_buffer_size(WAITING.1)
            .incoming_buffer_size_total(WAITING.0 as u64 * WAITING.1);
        server.validation_token.sent(0);
        let (listeners, dialers, events) = (Vec::new(), [None, None], VecDeque::new());
        let guard = Guard::new(STRANGERS.0, STRANGERS.1);
        Ok(Quic { client, server, guard, counts, listeners, dialers, events, waker: None })
    }

    /// The endpoint to dial `to` from: one that listens, so that the other side sees the port it may dial; else one
    /// of its own.
    fn endpoint_for(&mut self, to: SocketAddr) -> io::Result<Endpoint> {
        let fits = |l: &&Listener| {
            let own = l.local.ip();
            l.local.is_ipv4() == to.is_ipv4()
                && (own.is_unspecified() || own.is_loopback() == to.ip().is_loopback())
        };
        if let Some(listener) = self.listeners.iter().find(fits) {
            return Ok(listener.endpoint.clone());
        }
        let (place, any): (_, SocketAddr) = match to {
            SocketAddr::V4(_) => (0, (Ipv4Addr::UNSPECIFIED, 0).into()),
            SocketAddr::V6(_) => (1, (Ipv6Addr::UNSPECIFIED, 0).into()),
        };
        if let Some(dialer) = &self.dialers[place] {
            return Ok(dialer.clone());
        }
        let dialer = endpoint(any, None)?;
        self.dialers[place] = Some(dialer.clone());
        Ok(dialer)
    }

    /// Lets an attempt in, makes it prove its address, or turns it away.
    fn judge(&self, incoming: Incoming) -> Option<(SocketAddr, Upgrade)> {
        let from = incoming.remote_address();
        match self.guard.judge(from.ip(), incoming.remote_address_validated()) {
            Verdict::Enter(permit) => {
                let connecting = incoming.accept().ok()?;
                let guard = Arc::clone(&self.guard);
                Some((from, shake(connecting, Some((guard, permit))).boxed()))
            }
            Verdict::Retry => {
                let _ = incoming.retry();
                None
            }
            Verdict::Full => {
                Counts::add(&self.counts.refused, 1);
                incoming.refuse();
                None
            }
        }
    }
}

impl Transport for Quic {
    type Output = Connected;
    type Error = QuicError;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<QuicError>> {
        let Some(address) = socket_address(&addr) else {
            return Err(TransportError::MultiaddrNotSupported(addr));
        };
        let opened = endpoint(address, Some(self.server.clone()));
        let (endpoint, local) = opened
            .and_then(|endpoint| endpoint.local_addr().map(|local| (endpoint, local)))
            .map_err(|e| TransportError::Other(e.into()))?;
        self.events.push_back(TransportEvent::NewAddress { listener_id: id, listen_addr: multiaddr(local) });
        self.listeners.push(Listener { id, accepting: accept(endpoint.clone()), endpoint, local });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(at) = self.listeners.iter().position(|listener| listener.id == id) else { return false };
        let listener = self.listeners.remove(at);
        listener.endpoint.set_server_config(None);
        self.events.push_back(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Upgrade, TransportError<QuicError>> {
        let to = socket_address(&addr).filter(|to| to.port() != 0 && !to.ip().is_unspecified());
        let Some(to) = to.filter(|_| opts.role == Side::Dialer) else {
            return Err(TransportError::MultiaddrNotSupported(addr));
        };
        let endpoint = self.endpoint_for(to).map_err(|e| TransportError::Other(e.into()))?;
        let client = self.client.clone();
        Ok(async move { shake(endpoint.connect_with(client, to, SERVER_NAME)?, None).await }.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Happened> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        for at in 0..self.listeners.len() {
            for turn in 0..=TURN {
                if turn == TURN {
                    cx.waker().wake_by_ref();
                    break;
                }
                let listener = &mut self.listeners[at];
                // None comes when the endpoint was closed, which nobody does before the end.
                let Poll::Ready(Some(incoming)) = listener.accepting.poll_unpin(cx) else { break };
                listener.accepting = accept(listener.endpoint.clone());
                let (listener_id, local_addr) = (listener.id, multiaddr(listener.local));
                if let Some((from, upgrade)) = self.judge(incoming) {
                    let send_back_addr = multiaddr(from);
                    return Poll::Ready(TransportEvent::Incoming {
                        listener_id,
                        upgrade,
                        local_addr,
                        send_back_addr,
                    });
                }
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn accept(endpoint: Endpoint) -> BoxFuture<'static, Option<Incoming>> {
    async move { endpoint.accept().await }.boxed()
}

/// Finishes a handshake in time, and reads who is there.
async fn shake(
    connecting: quinn::Connecting,
    permit: Option<(Arc<Guard>, Permit)>,
) -> Result<Connected, QuicError> {
    let loss = permit.as_ref().map(|(_, permit)| permit.loss());
    let lost = async {
        match &loss {
            Some(loss) => loss.comes().await,
            None => std::future::pending().await,
        }
    };
    let connection = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE, connecting) => shaken.map_err(|_| QuicError::TimedOut)??,
        () = lost => return Err(QuicError::Crowded),
    };
    if let Some((guard, permit)) = permit {
        guard.admitted(permit);
    }
    let shown =
        connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let first = shown.as_ref().and_then(|chain| chain.first()).ok_or(QuicError::NoKey)?;
    let peer = libp2p_tls::certificate::parse(first).map_err(|_| QuicError::NoKey)?.peer_id();
    Ok((peer, Muxer { connection, incoming: None, outgoing: None, closing: None }))
}

/// Must be called within the runtime.
fn endpoint(address: SocketAddr, server: Option<quinn::ServerConfig>) -> io::Result<Endpoint> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, KERNEL_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    }
    let mut config = quinn::EndpointConfig::default();
    config.supported_versions(vec![1]);
    Endpoint::new(config, server, UdpSocket::from(socket), Arc::new(quinn::TokioRuntime))
}

/// A connection as libp2p wants it.
pub(super) struct Muxer {
    connection: quinn::Connection,
    incoming: Option<BoxFuture<'static, Pair>>,
    outgoing: Option<BoxFuture<'static, Pair>>,
    closing: Option<BoxFuture<'static, quinn::ConnectionError>>,
}

impl StreamMuxer for Muxer {
    type Substream = Substream;
    type Error = QuicError;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, QuicError>> {
        let connection = self.connection.clone();
        let next = || async move { connection.accept_bi().await }.boxed();
        let opened = futures::ready!(self.incoming.get_or_insert_with(next).poll_unpin(cx));
        self.incoming = None;
        let (send, recv) = opened?;
        Poll::Ready(Ok(Substream { send, recv }))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, QuicError>> {
        let connection = self.connection.clone();
        let next = || async move { connection.open_bi().await }.boxed();
        let opened = futures::ready!(self.outgoing.get_or_insert_with(next).poll_unpin(cx));
        self.outgoing = None;
        let (send, recv) = opened?;
        Poll::Ready(Ok(Substream { send, recv }))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), QuicError>> {
        let connection = self.connection.clone();
        let closing = self.closing.get_or_insert_with(|| {
            connection.close(0u32.into(), b"");
            async move { connection.closed().await }.boxed()
        });
        match futures::ready!(closing.poll_unpin(cx)) {
            quinn::ConnectionError::LocallyClosed => Poll::Ready(Ok(())),
            other => Poll::Ready(Err(other.into())),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, QuicError>> {
        // An address never changes: migration is off.
        Poll::Pending
    }
}

/// A stream both ways.
pub(super) struct Substream {
    send: SendStream,
    recv: RecvStream,
}

impl futures::AsyncRead for Substream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        futures::AsyncRead::poll_read(Pin::new(&mut self.recv), cx, buffer)
    }
}

impl futures::AsyncWrite for Substream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        futures::AsyncWrite::poll_write(Pin::new(&mut self.send), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::AsyncWrite::poll_close(Pin::new(&mut self.send), cx)
    }
}
