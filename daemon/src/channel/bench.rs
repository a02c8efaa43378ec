//! The peer channel against bare quinn, in one process over loopback: `vigo bench channel`.
//!
//! Both use the same TLS identity and cipher. The reference is quinn with its default transport, one stream, no
//! framing, and a receiver that throws the bytes away; ours delivers them whole. Rounds alternate and the median
//! counts, because the machine's speed wanders.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connection, Endpoint};
use vigo_base::SecretKey;
use vigo_base::figure::median;
use vigo_base::limits::{CHUNK_MAX, CHUNKS_IN_FLIGHT};

use super::tls::{self, Identity};
use super::{
    Answer, BindError, Channel, ChannelEvent, ConnId, FetchError, Limits, Offer, Sink, sink_to, socket,
};

/// Rounds of each measurement.
const ROUNDS: usize = 5;
/// Requests of one round.
const REQUESTS: u32 = 500;
/// Bytes of a request and of its answer.
const REQUEST: usize = 64;
/// Bytes of a frame in the measurement of one stream.
const FRAME: usize = 64 * 1024;
/// Frames under way at one time in it.
const FRAMES_AHEAD: usize = 64;
/// The most bytes moved in one round.
const MOST: u64 = 1 << 30;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was measured. MB are 10⁶ bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelBench {
    /// Bytes moved in each round.
    pub bytes: u64,
    /// Frames of 64 KiB on one stream, the control stream, delivered to a driver's thread, MB/s.
    pub vigo_mb_s: f64,
    /// Fetches of 256 KiB, sixteen at a time, as the exchange of chunks does it, MB/s.
    pub chunks_mb_s: f64,
    /// Bare quinn on one stream, MB/s.
    pub raw_mb_s: f64,
    /// A request and its answer, each 64 bytes, through a driver's thread, µs.
    pub vigo_request_us: f64,
    /// The same on a stream of bare quinn, µs.
    pub raw_request_us: f64,
}

impl ChannelBench {
    /// Our throughput as a part of bare quinn's: at least 0.9 is wanted.
    pub fn ratio(&self) -> f64 {
        self.vigo_mb_s / self.raw_mb_s
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// No channel on loopback.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A fetch of ours failed.
    #[error("a fetch failed: {0}")]
    Fetch(#[from] FetchError),
    /// Anything of the reference or of the system.
    #[error("{doing}: {text}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What was said.
        text: String,
    },
}

/// Measures with `bytes` a round (a gibibyte at most). Takes some seconds; must not be called within a runtime.
///
/// # Errors
/// [`BenchError`] when loopback or a fetch fails.
pub fn bench_channel(bytes: u64) -> Result<ChannelBench, BenchError> {
    let bytes = bytes.clamp(1 << 20, MOST);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("starting a runtime"))?;
    let payload = |bytes| -> Arc<[u8]> { (0..bytes).map(|i| (i % 251) as u8).collect() };
    let raw = runtime.block_on(Raw::connect(payload(bytes)))?;
    let vigo = Vigo::connect(&runtime, payload(CHUNK_MAX as u64))?;
    let mut rounds: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(speed(bytes, runtime.block_on(raw.stream(bytes))?));
        rounds[1].push(speed(bytes, vigo.frames(bytes as usize)?));
        rounds[2].push(speed(bytes, vigo.chunks(bytes as usize)?));
        rounds[3].push(each(runtime.block_on(raw.requests())?));
        rounds[4].push(each(vigo.requests()?));
    }
    let [raw_mb_s, vigo_mb_s, chunks_mb_s, raw_request_us, vigo_request_us] = rounds.map(median);
    runtime.block_on(vigo.close());
    Ok(ChannelBench { bytes, vigo_mb_s, chunks_mb_s, raw_mb_s, vigo_request_us, raw_request_us })
}

fn speed(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

fn each(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6 / f64::from(REQUESTS)
}

fn system<E: ToString>(doing: &'static str) -> impl Fn(E) -> BenchError {
    move |error| BenchError::System { doing, text: error.to_string() }
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A pair of channels.
struct Vigo {
    asking: Channel,
    serving: Channel,
    events: Receiver<ChannelEvent>,
    /// The connection as `asking` and as `serving` number it.
    conns: (ConnId, ConnId),
    holder: Arc<Mutex<Option<Channel>>>,
}

impl Vigo {
    fn connect(runtime: &tokio::runtime::Runtime, payload: Arc<[u8]>) -> Result<Vigo, BenchError> {
        let (sender, events) = sync_channel(1024);
        let (up, ups) = sync_channel(1);
        let holder: Arc<Mutex<Option<Channel>>> = Arc::default();
        let answering: Sink = {
            let holder = holder.clone();
            Arc::new(move |event| {
                match event {
                    ChannelEvent::Up { conn, .. } => drop(up.try_send(conn)),
                    ChannelEvent::Asked { ask, bytes, .. } => {
                        let answer = match bytes.len() {
                            REQUEST => Answer::Bytes(bytes),
                            _ => Answer::Shared(payload.clone()),
                        };
                        let holder = holder.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(channel) = &*holder {
                            channel.answer(ask, answer);
                        }
                    }
                    _ => {}
                }
                Offer::Taken
            })
        };
        let (here, limits) = ([loopback()], Limits::default());
        let bind = |seed, sink| {
            let key = SecretKey::from_seed([seed; 32]);
            Channel::bind(runtime.handle(), &here, &key, limits.clone(), sink)
        };
        let serving = bind(1, answering)?;
        let asking = bind(2, sink_to(sender))?;
        *holder.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving.clone());
        asking.dial(serving.addresses()[0], None);
        let conn = match events.recv_timeout(PATIENCE).map_err(system("connecting"))? {
            ChannelEvent::Up { conn, .. } => conn,
            other => return Err(system("connecting")(format!("{other:?}"))),
        };
        let theirs = ups.recv_timeout(PATIENCE).map_err(system("connecting"))?;
        asking.admit(conn);
        serving.admit(theirs);
        Ok(Vigo { asking, serving, events, conns: (conn, theirs), holder })
    }

    fn fetched(&self) -> Result<usize, BenchError> {
        match self.next("fetching")? {
            ChannelEvent::Fetched { result, .. } => Ok(result?.len()),
            other => Err(system("fetching")(format!("{other:?}"))),
        }
    }

    fn requests(&self) -> Result<Duration, BenchError> {
        let start = Instant::now();
        for _ in 0..REQUESTS {
            self.asking.fetch(0, self.conns.0, vec![0; REQUEST], REQUEST);
            self.fetched()?;
        }
        Ok(start.elapsed())
    }

    fn chunks(&self, bytes: usize) -> Result<Duration, BenchError> {
        let count = bytes / CHUNK_MAX;
        let start = Instant::now();
        for asked in 0..count + CHUNKS_IN_FLIGHT {
            if asked >= CHUNKS_IN_FLIGHT {
                self.fetched()?;
            }
            if asked < count {
                self.asking.fetch(0, self.conns.0, vec![0], CHUNK_MAX);
            }
        }
        Ok(start.elapsed())
    }

    fn frames(&self, bytes: usize) -> Result<Duration, BenchError> {
        let frame: Arc<[u8]> = vec![7; FRAME].into();
        let count = bytes / FRAME;
        let start = Instant::now();
        for sent in 0..count + FRAMES_AHEAD {
            if sent >= FRAMES_AHEAD {
                match self.next("receiving frames")? {
                    ChannelEvent::Frame { .. } => {}
                    other => return Err(system("receiving frames")(format!("{other:?}"))),
                }
            }
            if sent < count {
                self.serving.send(self.conns.1, frame.clone()).map_err(system("sending frames"))?;
            }
        }
        Ok(start.elapsed())
    }

    fn next(&self, doing: &'static str) -> Result<ChannelEvent, BenchError> {
        self.events.recv_timeout(PATIENCE).map_err(|error: RecvTimeoutError| system(doing)(error))
    }

    async fn close(self) {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.asking.shutdown().await;
        self.serving.shutdown().await;
    }
}

/// A pair of bare quinn endpoints.
struct Raw {
    connection: Connection,
    _asking: Endpoint,
}

impl Raw {
    async fn connect(payload: Arc<[u8]>) -> Result<Raw, BenchError> {
        let identity = Identity::new(&SecretKey::from_seed([3; 32])).map_err(BindError::from)?;
        let crypto = Arc::new(identity.server().map_err(BindError::from)?);
        let server = open(Some(quinn::ServerConfig::with_crypto(crypto)))?;
        let there = server.local_addr().map_err(system("binding"))?;
        tokio::spawn(async move {
            let connection = server.accept().await?.await.ok()?;
            let payload = Bytes::from_owner(payload);
            while let Ok((mut send, mut recv)) = connection.accept_bi().await {
                let payload = payload.clone();
                tokio::spawn(async move {
                    let request = recv.read_to_end(4096).await.ok()?;
                    let answer = if request.len() == REQUEST { Bytes::from(request) } else { payload };
                    send.write_chunk(answer).await.ok()?;
                    send.finish().ok()
                });
            }
            Some(())
        });
        let crypto = identity.client(None, Arc::default()).map_err(BindError::from)?;
        let asking = open(None)?;
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting =
            asking.connect_with(config, there, tls::SERVER_NAME).map_err(system("connecting"))?;
        Ok(Raw { connection: connecting.await.map_err(system("connecting"))?, _asking: asking })
    }

    async fn request(&self, request: usize) -> Result<u64, BenchError> {
        let (mut send, mut recv) = self.connection.open_bi().await.map_err(system("asking"))?;
        send.write_all(&vec![0; request]).await.map_err(system("asking"))?;
        send.finish().map_err(system("asking"))?;
        let (mut chunks, mut read) = (vec![Bytes::new(); 32], 0);
        while let Some(count) = recv.read_chunks(&mut chunks).await.map_err(system("reading"))? {
            read += chunks.iter_mut().take(count).map(|c| std::mem::take(c).len() as u64).sum::<u64>();
        }
        Ok(read)
    }

    async fn stream(&self, bytes: u64) -> Result<Duration, BenchError> {
        let start = Instant::now();
        let read = self.request(1).await?;
        if read != bytes {
            return Err(system("reading")(format!("{read} bytes instead of {bytes}")));
        }
        Ok(start.elapsed())
    }

    async fn requests(&self) -> Result<Duration, BenchError> {
        let start = Instant::now();
        for _ in 0..REQUESTS {
            self.request(REQUEST).await?;
        }
        Ok(start.elapsed())
    }
}

fn open(server: Option<quinn::ServerConfig>) -> Result<Endpoint, BenchError> {
    let socket = socket::bind(loopback()).map_err(system("binding"))?;
    let (config, runtime) = (quinn::EndpointConfig::default(), Arc::new(quinn::TokioRuntime));
    Endpoint::new(config, server, socket, runtime).map_err(system("binding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_measured() {
        let bytes = std::env::var("VIGO_BENCH_BYTES").ok().and_then(|b| b.parse().ok());
        let bench = bench_channel(bytes.unwrap_or(4 << 20)).unwrap();
        println!("{bench:?}, ratio {:.3}", bench.ratio());
        let figures = [bench.vigo_mb_s, bench.chunks_mb_s, bench.raw_mb_s];
        assert!(figures.iter().all(|f| *f > 1.0), "{bench:?}");
        assert!(bench.vigo_request_us > 1.0 && bench.raw_request_us > 1.0, "{bench:?}");
    }
}
