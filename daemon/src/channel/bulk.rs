//! Requests on streams of their own: answering a peer's asks, and fetching from a peer.
//!
//! On the wire: the request, then the end of that direction; back a status byte, then either the answer or a
//! code of four bytes and a text, then the end. It never interprets a request and never keeps an answer.
//!
//! Invariant: an ask and a fetch end, in time, whatever the other side does.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{ReadError, ReadToEndError, RecvStream, SendStream, VarInt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::endpoint::Shared;
use super::link::{Link, shown};
use super::{AskId, ChannelEvent, Why, code};

const GIVEN: u8 = 0;
const REFUSED: u8 = 1;
/// Bytes of a refusal's text.
const REFUSAL_TEXT: usize = 256;
/// Bytes read from a reader at one time.
const PIECE: usize = 64 * 1024;
/// Pieces taken from the transport at one time, a packet's worth each.
const READ_BATCH: usize = 32;
/// Requests a stranger has per second, and at once.
const STRANGER_ASKS: u32 = 2;

/// What the driver says to a request.
pub enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, which others may hold too: sent without a copy.
    Shared(Arc<[u8]>),
    /// What this reader gives until its end, read on a thread for blocking work. If it fails, the fetch of the
    /// peer fails too.
    Reader(Box<dyn Read + Send>),
    /// No, with a code and a text for the peer.
    Refuse {
        /// From [`code::FIRST_FREE`] on, meaning what the driver wants.
        code: u32,
        /// For people; cut at 256 bytes.
        text: String,
    },
}

/// Why a fetch brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The peer refused.
    #[error("refused by the peer: {text} (code {code})")]
    Refused {
        /// The peer's code.
        code: u32,
        /// The peer's words, escaped.
        text: String,
    },
    /// The answer is longer than was allowed: the peer misbehaves.
    #[error("the answer is longer than the {limit} bytes asked for")]
    TooLong {
        /// The most it might have had.
        limit: usize,
    },
    /// The answer is not in the channel's form: the peer misbehaves.
    #[error("the answer makes no sense")]
    Malformed,
    /// Too slow.
    #[error("no answer in time")]
    TimedOut,
    /// The peer gave up while answering.
    #[error("the peer broke off its answer")]
    BrokenOff,
    /// The connection ended, or there is none of that number.
    #[error("the connection is gone")]
    Gone,
    /// Too many fetches are open to this peer.
    #[error("{limit} fetches are open to this peer already")]
    WeAreBusy {
        /// The most there may be.
        limit: usize,
    },
    /// The request is longer than peers accept.
    #[error("a request of {found} bytes, where at most {limit} are allowed")]
    RequestTooLong {
        /// Its bytes.
        found: usize,
        /// The most it may have.
        limit: usize,
    },
}

/// Takes the peer's asks, one stream each. Ends only with the connection (and then waits to be dropped).
pub(crate) async fn serve(shared: &Arc<Shared>, link: &Arc<Link>, asks: &mut JoinSet<()>) {
    let mut rate = Rate::new();
    while let Ok((send, recv)) = link.connection.accept_bi().await {
        let per_second = if link.is_admitted() { shared.limits.asks_per_second } else { STRANGER_ASKS };
        if let Some(later) = rate.take(Instant::now(), per_second) {
            sleep_until(later).await;
        }
        while asks.try_join_next().is_some() {}
        asks.spawn(serve_one(shared.clone(), link.clone(), send, recv));
    }
    std::future::pending().await
}

async fn serve_one(shared: Arc<Shared>, link: Arc<Link>, mut send: SendStream, mut recv: RecvStream) {
    let limit = shared.limits.request_bytes;
    let bytes = match timeout(shared.limits.handshake, recv.read_to_end(limit)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(ReadToEndError::TooLong)) => {
            let what = format!("a request of more than {limit} bytes");
            return link.close(Why::Misbehaved { what });
        }
        Ok(Err(ReadToEndError::Read(_))) | Err(_) => {
            let _ = send.reset(VarInt::from_u32(code::NO_ANSWER));
            return;
        }
    };
    let (ask, answer) = shared.open_ask();
    let asked = ChannelEvent::Asked { conn: link.id, ask: ask.id, bytes };
    if !shared.tell(asked).await {
        return;
    }
    let answer = match timeout(shared.limits.answer, answer).await {
        Ok(Ok(answer)) => answer,
        _ => Answer::Refuse { code: code::NO_ANSWER, text: "no answer in time".into() },
    };
    drop(ask);
    if give(&shared, &mut send, answer).await.is_none() {
        let _ = send.reset(VarInt::from_u32(code::NO_ANSWER));
    }
}

/// Writes an answer; `None` when it could not be finished.
async fn give(shared: &Shared, send: &mut SendStream, answer: Answer) -> Option<()> {
    match answer {
        Answer::Bytes(bytes) => give_bytes(shared, send, Bytes::from(bytes)).await?,
        Answer::Shared(bytes) => give_bytes(shared, send, Bytes::from_owner(bytes)).await?,
        Answer::Reader(reader) => {
            send.write_all(&[GIVEN]).await.ok()?;
            let mut pieces = pieces_of(reader);
            while let Some(piece) = pieces.recv().await {
                timeout(shared.limits.stall, send.write_chunk(piece.ok()?)).await.ok()?.ok()?;
            }
        }
        Answer::Refuse { code, mut text } => {
            text.truncate(text.floor_char_boundary(REFUSAL_TEXT));
            let words = [&[REFUSED][..], &code.to_be_bytes(), text.as_bytes()].concat();
            timeout(shared.limits.stall, send.write_all(&words)).await.ok()?.ok()?;
        }
    }
    send.finish().ok()
}

async fn give_bytes(shared: &Shared, send: &mut SendStream, bytes: Bytes) -> Option<()> {
    let limit = shared.limits.transfer(bytes.len());
    let mut parts = [Bytes::from_static(&[GIVEN]), bytes];
    timeout(limit, send.write_all_chunks(&mut parts)).await.ok()?.ok()
}

/// Reads on a blocking thread, two pieces ahead.
fn pieces_of(mut reader: Box<dyn Read + Send>) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut reader).take(PIECE as u64).read_to_end(&mut piece);
            let last = !matches!(read, Ok(1..));
            let failed = read.is_err();
            if (failed || !piece.is_empty())
                && sender.blocking_send(read.map(|_| Bytes::from(piece))).is_err()
            {
                return;
            }
            if last {
                return;
            }
        }
    });
    receiver
}

/// Asks the peer and reads its answer of at most `max` bytes.
pub(crate) async fn fetch(
    shared: &Shared,
    link: &Link,
    request: Vec<u8>,
    max: usize,
) -> Result<Vec<u8>, FetchError> {
    let limit = shared.limits.request_bytes;
    if request.len() > limit {
        return Err(FetchError::RequestTooLong { found: request.len(), limit });
    }
    let _slot =
        link.fetches.try_acquire().map_err(|_| FetchError::WeAreBusy { limit: shared.limits.fetches })?;
    let deadline = Instant::now() + shared.limits.transfer(max);
    let stall = shared.limits.stall;
    let opened = timeout(stall, link.connection.open_bi()).await.map_err(|_| FetchError::TimedOut)?;
    let (mut send, recv) = opened.map_err(|_| FetchError::Gone)?;
    if let Err(why) = ask(&mut send, request, stall).await {
        // Dropped as it is, the stream would end as if the request were whole.
        let _ = send.reset(VarInt::from_u32(code::BYE));
        return Err(why);
    }
    let mut reader = AnswerReader { recv, stall, deadline, chunks: vec![Bytes::new(); READ_BATCH] };
    match reader.read(max, 4 + REFUSAL_TEXT).await? {
        (GIVEN, body) => Ok(body),
        (REFUSED, body) => {
            let (code, text) = body.split_first_chunk::<4>().ok_or(FetchError::Malformed)?;
            Err(FetchError::Refused { code: u32::from_be_bytes(*code), text: shown(text) })
        }
        _ => Err(FetchError::Malformed),
    }
}

async fn ask(send: &mut SendStream, request: Vec<u8>, stall: Duration) -> Result<(), FetchError> {
    let written = timeout(stall, send.write_chunk(Bytes::from(request))).await;
    written.map_err(|_| FetchError::TimedOut)?.map_err(|_| FetchError::Gone)?;
    send.finish().map_err(|_| FetchError::Gone)
}

/// An answer as it comes in.
struct AnswerReader {
    recv: RecvStream,
    stall: Duration,
    deadline: Instant,
    chunks: Vec<Bytes>,
}

impl AnswerReader {
    /// The status byte and the whole rest, of at most `max` bytes if it is given and `max_refusal` if it is a
    /// refusal.
    async fn read(&mut self, max: usize, max_refusal: usize) -> Result<(u8, Vec<u8>), FetchError> {
        let (mut status, mut limit) = (None, 0);
        let mut body = Vec::new();
        while let Some(count) = self.next().await? {
            for chunk in self.chunks.iter_mut().take(count).map(std::mem::take) {
                let mut piece = &chunk[..];
                if let (None, Some((first, rest))) = (status, piece.split_first()) {
                    status = Some(*first);
                    limit = if *first == GIVEN { max } else { max_refusal };
                    body.reserve(limit.min(PIECE));
                    piece = rest;
                }
                if body.len() + piece.len() > limit {
                    let _ = self.recv.stop(VarInt::from_u32(code::MISBEHAVED));
                    return Err(FetchError::TooLong { limit });
                }
                body.extend_from_slice(piece);
            }
        }
        Ok((status.ok_or(FetchError::Malformed)?, body))
    }

    /// The next pieces, and how many; none at the end.
    async fn next(&mut self) -> Result<Option<usize>, FetchError> {
        let by = self.deadline.min(Instant::now() + self.stall);
        match timeout_at(by, self.recv.read_chunks(&mut self.chunks)).await {
            Ok(Ok(count)) => Ok(count),
            Ok(Err(ReadError::ConnectionLost(_))) => Err(FetchError::Gone),
            Ok(Err(_)) => Err(FetchError::BrokenOff),
            Err(_) => Err(FetchError::TimedOut),
        }
    }
}

/// A place in the table of asks. Dropping it takes the ask out.
pub(crate) struct OpenAsk {
    pub(crate) id: AskId,
    pub(crate) shared: Arc<Shared>,
}

impl Drop for OpenAsk {
    fn drop(&mut self) {
        self.shared.close_ask(self.id);
    }
}

/// The end of an ask that the driver's answer goes into.
pub(crate) type AnswerSender = oneshot::Sender<Answer>;

/// A bucket that fills at a rate and holds what a quarter of a second gives, two at least.
struct Rate {
    /// When the bucket would be full again.
    full_at: Option<Instant>,
}

impl Rate {
    fn new() -> Rate {
        Rate { full_at: None }
    }

    /// Takes one; says until when to wait, if the bucket is empty.
    fn take(&mut self, now: Instant, per_second: u32) -> Option<Instant> {
        let each = Duration::from_secs(1) / per_second.max(1);
        let depth = each * (per_second / 4).max(2);
        let full_at = self.full_at.unwrap_or(now).max(now) + each;
        self.full_at = Some(full_at);
        let ready = full_at.checked_sub(depth)?;
        (ready > now).then_some(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_lets_a_burst_through_and_then_spaces() {
        let (mut rate, start) = (Rate::new(), Instant::now());
        let free = (0..100).take_while(|_| rate.take(start, 40).is_none()).count();
        assert_eq!(free, 10);
        let second = Duration::from_secs(1);
        assert_eq!(rate.take(start, 40), Some(start + second / 40 * 2));
        assert_eq!(rate.take(start + second, 40), None);
    }
}
