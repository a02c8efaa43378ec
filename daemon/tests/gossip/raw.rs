//! A libp2p peer by hand: QUIC and the handshake are libp2p's, every byte behind that is ours.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::AsyncReadExt as _;
use futures::AsyncWriteExt as _;
use libp2p_core::muxing::{StreamMuxerBox, StreamMuxerExt as _};
use libp2p_core::transport::{DialOpts, PortUse};
use libp2p_core::{Endpoint, Multiaddr, Transport as _};
use libp2p_identity::Keypair;
use tokio::sync::mpsc;
use vigo_base::SecretKey;

const STEP: Duration = Duration::from_secs(2);

/// A field of protobuf: length-delimited.
pub fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(u64::from(number << 3 | 2));
    out.extend(varint(bytes.len() as u64));
    out.extend_from_slice(bytes);
    out
}

/// A field of protobuf: a number.
pub fn number(number: u32, value: u64) -> Vec<u8> {
    let mut out = varint(u64::from(number << 3));
    out.extend(varint(value));
    out
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// One RPC of gossipsub, with its length before it.
pub fn rpc(parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = varint(body.len() as u64);
    out.extend(body);
    out
}

/// A subscription, or its end.
pub fn subscription(topic: &str, on: bool) -> Vec<u8> {
    field(1, &[number(1, u64::from(on)), field(2, topic.as_bytes())].concat())
}

/// A message on a topic.
pub fn message(topic: &str, data: &[u8]) -> Vec<u8> {
    field(2, &[field(2, data), field(4, topic.as_bytes())].concat())
}

/// Control messages.
pub fn control(parts: &[Vec<u8>]) -> Vec<u8> {
    field(3, &parts.concat())
}

pub fn ihave(topic: &str, ids: &[Vec<u8>]) -> Vec<u8> {
    let ids: Vec<u8> = ids.iter().flat_map(|id| field(2, id)).collect();
    field(1, &[field(1, topic.as_bytes()), ids].concat())
}

pub fn iwant(ids: &[Vec<u8>]) -> Vec<u8> {
    field(2, &ids.iter().flat_map(|id| field(1, id)).collect::<Vec<u8>>())
}

pub fn graft(topic: &str) -> Vec<u8> {
    field(3, &field(1, topic.as_bytes()))
}

pub fn prune(topic: &str, backoff: u64) -> Vec<u8> {
    field(4, &[field(1, topic.as_bytes()), number(3, backoff)].concat())
}

/// A connection to a node's gossip port.
pub struct RawPeer {
    words: mpsc::Sender<Vec<u8>>,
    gone: Arc<AtomicBool>,
    _runtime: tokio::runtime::Runtime,
}

impl RawPeer {
    /// Connects with this key; an error when the node does not let it in.
    pub fn connect(key: &SecretKey, to: SocketAddr) -> io::Result<RawPeer> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let keypair = Keypair::ed25519_from_bytes(*key.seed()).expect("a seed");
        let (words, inlet) = mpsc::channel(4);
        let gone = Arc::new(AtomicBool::new(false));
        let muxer = runtime.block_on(async {
            let mut transport = libp2p_quic::tokio::Transport::new(libp2p_quic::Config::new(&keypair));
            let address: Multiaddr = match to {
                SocketAddr::V4(v4) => format!("/ip4/{}/udp/{}/quic-v1", v4.ip(), v4.port()),
                SocketAddr::V6(v6) => format!("/ip6/{}/udp/{}/quic-v1", v6.ip(), v6.port()),
            }
            .parse()
            .expect("an address");
            let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
            let dial = transport.dial(address, options).map_err(io::Error::other)?;
            let dialed = tokio::time::timeout(STEP, dial).await;
            let (_, muxer) = dialed.map_err(io::Error::other)?.map_err(io::Error::other)?;
            Ok::<_, io::Error>(StreamMuxerBox::new(muxer))
        })?;
        runtime.spawn(speak(muxer, inlet, gone.clone()));
        Ok(RawPeer { words, gone, _runtime: runtime })
    }

    /// Writes these bytes on the gossipsub stream; false once the node has closed the connection or takes nothing.
    pub fn say(&self, bytes: Vec<u8>) -> bool {
        !self.is_gone() && self.words.blocking_send(bytes).is_ok() && !self.is_gone()
    }

    /// Whether the node has closed the connection.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Keeps the connection alive, takes and throws away what comes, and writes what is given on one stream, or on a new
/// one when the node has closed that.
async fn speak(mut muxer: StreamMuxerBox, mut words: mpsc::Receiver<Vec<u8>>, gone: Arc<AtomicBool>) {
    let (want, mut wanted) =
        mpsc::channel::<tokio::sync::oneshot::Sender<libp2p_core::muxing::SubstreamBox>>(1);
    let over = gone.clone();
    tokio::spawn(async move {
        let mut waiting = None;
        loop {
            let step = poll_fn(|cx| {
                if waiting.is_none()
                    && let std::task::Poll::Ready(Some(sender)) = wanted.poll_recv(cx)
                {
                    waiting = Some(sender);
                }
                if waiting.is_some()
                    && let std::task::Poll::Ready(Ok(stream)) = muxer.poll_outbound_unpin(cx)
                    && let Some(sender) = waiting.take()
                {
                    let _ = sender.send(stream);
                }
                while let std::task::Poll::Ready(inbound) = muxer.poll_inbound_unpin(cx) {
                    match inbound {
                        Ok(stream) => drop(tokio::spawn(answer(stream))),
                        Err(_) => return std::task::Poll::Ready(false),
                    }
                }
                muxer.poll_unpin(cx).map(|event| event.is_ok())
            });
            if !step.await {
                over.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
    let (mut stream, mut failed) = (None, 0);
    while let Some(bytes) = words.recv().await {
        // A node that takes nothing any more has silenced us: whoever speaks is told so.
        if failed >= 6 {
            return;
        }
        for _ in 0..2 {
            if stream.is_none() {
                let (sender, opened) = tokio::sync::oneshot::channel();
                if want.send(sender).await.is_err() {
                    return;
                }
                let Ok(Ok(mut fresh)) = tokio::time::timeout(STEP, opened).await else {
                    failed += 1;
                    break;
                };
                let hello = b"\x13/multistream/1.0.0\n\x0f/meshsub/1.1.0\n";
                let _ = fresh.write_all(hello).await;
                stream = Some(fresh);
            }
            let Some(open) = stream.as_mut() else { break };
            let written = async {
                open.write_all(&bytes).await?;
                open.flush().await
            };
            match tokio::time::timeout(STEP, written).await {
                Ok(Ok(())) => {
                    failed = 0;
                    break;
                }
                _ => (stream, failed) = (None, failed + 1),
            }
        }
    }
}

/// Agrees to gossipsub 1.1 on a stream of the node's, and throws away what it says; anything else is declined.
async fn answer(mut stream: libp2p_core::muxing::SubstreamBox) {
    let _ = stream.write_all(b"\x13/multistream/1.0.0\n").await;
    loop {
        let mut length = [0; 1];
        if stream.read_exact(&mut length).await.is_err() || length[0] > 127 {
            return;
        }
        let mut line = vec![0; usize::from(length[0])];
        if stream.read_exact(&mut line).await.is_err() {
            return;
        }
        let reply: &[u8] = match line.as_slice() {
            b"/multistream/1.0.0\n" => continue,
            b"/meshsub/1.1.0\n" => b"\x0f/meshsub/1.1.0\n",
            _ => b"\x03na\n",
        };
        let _ = stream.write_all(reply).await;
        let _ = stream.flush().await;
        if reply.len() > 5 {
            break;
        }
    }
    let mut heap = [0; 4096];
    while let Ok(n) = stream.read(&mut heap).await {
        if n == 0 {
            return;
        }
    }
}
