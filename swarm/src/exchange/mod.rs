//! The exchange: decides which chunk of which blob to ask from whom.
//!
//! It moves no bytes and hashes none: the driver fetches, checks each chunk against the outline and reports.
//! It never asks a peer that the caller did not name as a candidate, and it does not decide who may read what:
//! that is checked where a blob is served. Two exchanges with the same seed and the same inputs do the same.
//!
//! The rules: the rarest chunk first, ties at random; a pipeline for each peer sized by what it delivers
//! (`line.rs`); the last chunks from two peers, the slower answer ignored; a wrong chunk is fetched elsewhere
//! and its sender blamed, after two it is asked nothing more about that blob; what is held stays held.
//!
//! Invariant: at most [`limits::OPEN_EXCHANGES`] blobs are open, at most [`limits::CHUNKS_IN_FLIGHT`] requests
//! to one peer, and an answer to an effect that is no longer of interest changes nothing.

mod fetch;
mod line;
mod pump;
mod queue;
mod seeder;
mod share;

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::time::secs;
use vigo_base::{Dice, Hash, Machine, Outbox, Time, limits, planted};

use self::fetch::{BAD, BadStart, Fetch, Phase};
use self::line::Line;
use self::queue::{Queue, Waiter};
use self::share::Share;
use crate::bitmap::Bitmap;
use crate::frame::{Bytes, Have};
use crate::ids::{ConnId, OpId};
use crate::outline::{BlobRef, Outline};
pub use seeder::Seeder;

/// What can happen to an exchange.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A blob is wanted. Of two, that with the higher priority comes first. Wanting it again only changes that.
    Want(BlobRef, u8),
    /// The blob with this exchange id is no longer wanted.
    Unwant(Hash),
    /// The whole blob is here by another way.
    HaveLocal(BlobRef),
    /// These chunks of a wanted blob are here already (bits as in [`Have::Some`]).
    Resume(Hash, Bytes),
    /// The connections that may be asked, all of them. Those missing here are dropped.
    Peers(BTreeSet<ConnId>),
    /// A connection ended.
    PeerGone(ConnId),
    /// A peer says what it has of a blob, asked or not.
    PeerHas {
        /// Who says so.
        conn: ConnId,
        /// Of which blob.
        exchange: Hash,
        /// How much.
        have: Have,
    },
    /// How [`Act::FetchOutline`] ended.
    Outline {
        /// Which effect.
        op: OpId,
        /// The outline, checked against the exchange id.
        outline: Result<Outline, FetchFailed>,
        /// Its chunks that are here already, found in other blobs or left from an earlier run.
        held: Option<Bytes>,
    },
    /// How [`Act::FetchChunk`] ended: the chunk is checked and stored, or not.
    Chunk(OpId, Result<(), FetchFailed>),
    /// How [`Act::Finish`] ended.
    Finished(OpId, Result<(), FetchFailed>),
}

/// What an exchange wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Ask a peer what it has of a blob; its answer is [`Input::PeerHas`].
    AskWho {
        /// Whom.
        conn: ConnId,
        /// Of which blob.
        exchange: Hash,
    },
    /// Fetch an outline and check it against `blob.exchange`.
    FetchOutline {
        /// Answer with this.
        op: OpId,
        /// From whom.
        conn: ConnId,
        /// Of which blob.
        blob: BlobRef,
    },
    /// Fetch a chunk, check it against `hash` and `length`, store it.
    FetchChunk {
        /// Answer with this.
        op: OpId,
        /// From whom.
        conn: ConnId,
        /// Of which blob.
        blob: BlobRef,
        /// Its place in the outline, from 0.
        index: u32,
        /// The SHA-256 that it must have.
        hash: Hash,
        /// Its length in bytes.
        length: u32,
    },
    /// The answer to this effect is no longer of interest: stop it if that is easy.
    Cancel(OpId),
    /// All chunks are here: check the whole against `blob.hash`, and keep it.
    Finish {
        /// Answer with this.
        op: OpId,
        /// Which blob.
        blob: BlobRef,
    },
    /// A wanted blob is here.
    Got(BlobRef),
    /// A peer misbehaved: lower its score.
    Blame(ConnId, &'static str),
    /// A blob does not come.
    Stuck(BlobRef, Stuck),
}

/// Why a fetch failed, and so whose fault it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailed {
    /// What came is not what was asked for: the sender's fault.
    #[error("the bytes do not have the promised hash")]
    BadContent,
    /// The peer does not serve it to us, and says why.
    #[error("refused: {0}")]
    Refused(String),
    /// The peer does not have it.
    #[error("the peer does not have it")]
    Gone,
    /// No answer came in time.
    #[error("no answer in time")]
    Timeout,
    /// This machine could not store it (a full disk, …).
    #[error("cannot be stored here: {0}")]
    Local(String),
}

/// Why a blob does not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// No connected peer gives what is missing. It is looked for again, less and less often.
    #[error("no connected peer has what is missing ({missing} chunks); still looking")]
    NobodyHasIt {
        /// Chunks not held; 0 if the outline is missing too.
        missing: u32,
    },
    /// This machine cannot store it. It is tried again, less and less often.
    #[error("cannot be stored here: {0}; will be tried again")]
    Local(String),
    /// Hash, size and outline contradict each other: whoever signed the reference was wrong. Given up.
    #[error("the reference contradicts itself: {0}; given up")]
    NotAsNamed(String),
    /// Too many blobs are wanted. Given up.
    #[error("more than {} blobs are wanted at once; given up", queue::WAITING)]
    NoRoom,
}

/// An effect on its way.
#[derive(Debug, Clone, Copy)]
struct Op {
    conn: ConnId,
    exchange: Hash,
    /// Which chunk; none for the outline.
    index: Option<u32>,
    since: Time,
    deadline: Time,
}

/// The scheduler of all blobs that a node fetches.
#[derive(Debug)]
pub struct Exchange {
    dice: Dice,
    next_op: u64,
    next_seq: u64,
    candidates: BTreeSet<ConnId>,
    lines: BTreeMap<ConnId, Line>,
    open: BTreeMap<Hash, Fetch>,
    queue: Queue,
    ops: BTreeMap<OpId, Op>,
    wake: Option<Time>,
}

impl Machine for Exchange {
    type Input = Input;
    type Output = Act;

    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox<Act>) {
        match input {
            Input::Want(blob, priority) => self.want(now, blob, priority, out),
            Input::Unwant(exchange) => self.close(&exchange, out),
            Input::HaveLocal(blob) => {
                if self.wants(&blob.exchange) {
                    self.close(&blob.exchange, out);
                    out.push(Act::Got(blob));
                }
            }
            Input::Resume(exchange, held) => self.resume(&exchange, held),
            Input::Peers(conns) => self.peers(conns, out),
            Input::PeerGone(conn) => self.drop_conn(conn, out),
            Input::PeerHas { conn, exchange, have } => self.peer_has(now, conn, &exchange, have),
            Input::Outline { op, outline, held } => self.outline(now, op, outline, held, out),
            Input::Chunk(op, result) => self.chunk(now, op, result, out),
            Input::Finished(op, result) => self.finished(now, op, result, out),
        }
        if self.wake.is_some_and(|at| at <= now) {
            self.expire(now, out);
        }
        self.pump(now, out);
    }

    fn wake(&mut self, now: Time, out: &mut Outbox<Act>) {
        self.expire(now, out);
        self.pump(now, out);
    }

    fn next_wake(&self) -> Option<Time> {
        self.wake
    }
}

impl Exchange {
    /// An exchange that names its effects from `first_op` upwards: the caller leaves that range to it.
    pub fn new(dice: Dice, first_op: OpId) -> Exchange {
        Exchange {
            dice,
            next_op: first_op.0,
            next_seq: 0,
            candidates: BTreeSet::new(),
            lines: BTreeMap::new(),
            open: BTreeMap::new(),
            queue: Queue::default(),
            ops: BTreeMap::new(),
            wake: None,
        }
    }

    /// What we can serve of a blob that is still being fetched; none if it is not.
    pub fn held(&self, exchange: &Hash) -> Option<&Bitmap> {
        self.open.get(exchange).filter(|f| f.knows_outline()).map(|f| &f.held)
    }

    /// The outline of a blob that is still being fetched, once it is known.
    pub fn outline_of(&self, exchange: &Hash) -> Option<&Outline> {
        self.open.get(exchange).filter(|f| f.knows_outline()).map(|f| &f.outline)
    }

    /// Whether a blob is wanted, open or waiting.
    pub fn wants(&self, exchange: &Hash) -> bool {
        self.open.contains_key(exchange) || self.queue.contains(exchange)
    }

    /// (blobs open, blobs waiting, requests on their way): for status and metrics.
    pub fn load(&self) -> (usize, usize, usize) {
        (self.open.len(), self.queue.len(), self.ops.len())
    }

    fn op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op - 1)
    }

    fn want(&mut self, now: Time, blob: BlobRef, priority: u8, out: &mut Outbox<Act>) {
        if let Some(fetch) = self.open.get_mut(&blob.exchange) {
            fetch.priority = priority;
            return;
        }
        let before = self.queue.remove(&blob.exchange);
        let (held, seq) = before.map_or((None, self.next_seq), |w| (w.held, w.seq));
        self.next_seq += 1;
        self.enqueue(Waiter { blob, priority, seq, held, not_before: Time(0) }, out);
        // Something less important gives up its place.
        if self.open.len() >= limits::OPEN_EXCHANGES
            && let Some((id, least)) =
                self.open.iter().min_by_key(|(_, f)| (f.priority, std::cmp::Reverse(f.seq)))
            && least.priority < priority
        {
            let id = *id;
            self.demote(now, &id, now, out);
        }
    }

    fn enqueue(&mut self, waiter: Waiter, out: &mut Outbox<Act>) {
        if let Some(dropped) = self.queue.push(waiter) {
            out.push(Act::Stuck(dropped.blob, Stuck::NoRoom));
        }
    }

    /// Puts an open blob back in the queue, with what is held of it.
    fn demote(&mut self, now: Time, exchange: &Hash, not_before: Time, out: &mut Outbox<Act>) {
        let Some(fetch) = self.open.get(exchange) else { return };
        // What is being put together is left to end.
        if matches!(fetch.phase, Phase::Finish(Some(_))) {
            return;
        }
        let held = match fetch.chunks() {
            Some(_) => Some(Bytes::from(fetch.held.to_bytes())),
            None => fetch.early.clone(),
        };
        let seq = if not_before > now { self.next_seq } else { fetch.seq };
        self.next_seq += 1;
        let waiter = Waiter { blob: fetch.blob, priority: fetch.priority, seq, held, not_before };
        self.close(exchange, out);
        self.enqueue(waiter, out);
    }

    /// Forgets a blob and what is on its way for it.
    fn close(&mut self, exchange: &Hash, out: &mut Outbox<Act>) {
        self.queue.remove(exchange);
        let Some(fetch) = self.open.remove(exchange) else { return };
        for op in fetch.ops() {
            self.end(op);
            out.push(Act::Cancel(op));
        }
    }

    /// Ends an effect, whatever came of it.
    fn end(&mut self, op: OpId) -> Option<Op> {
        let ended = self.ops.remove(&op)?;
        if let Some(line) = self.lines.get_mut(&ended.conn) {
            line.ended();
        }
        Some(ended)
    }

    fn resume(&mut self, exchange: &Hash, held: Bytes) {
        if held.len() > limits::FRAME_BYTES {
            return;
        }
        if let Some(waiter) = self.queue.get_mut(exchange) {
            waiter.held = Some(held);
        } else if let Some(fetch) = self.open.get_mut(exchange) {
            match fetch.chunks().map(|chunks| Bitmap::from_bytes(&held, chunks)) {
                Some(Some(map)) => fetch.resume(&map),
                Some(None) => {}
                None => fetch.early = Some(held),
            }
        }
    }

    fn peers(&mut self, conns: BTreeSet<ConnId>, out: &mut Outbox<Act>) {
        let gone: Vec<ConnId> = self.candidates.difference(&conns).copied().collect();
        gone.into_iter().for_each(|conn| self.drop_conn(conn, out));
        self.candidates = conns.into_iter().take(limits::BOLT_PEERS).collect();
        for conn in &self.candidates {
            self.lines.entry(*conn).or_insert_with(Line::new);
        }
    }

    fn drop_conn(&mut self, conn: ConnId, out: &mut Outbox<Act>) {
        let ops: Vec<OpId> = self.ops.iter().filter(|(_, op)| op.conn == conn).map(|(id, _)| *id).collect();
        for id in ops {
            let _ = if planted!(6) { self.end(id) } else { self.give_back(id) };
            out.push(Act::Cancel(id));
        }
        self.candidates.remove(&conn);
        self.lines.remove(&conn);
        for fetch in self.open.values_mut() {
            fetch.drop_share(conn);
            fetch.tried.remove(&conn);
            fetch.bad.remove(&conn);
        }
    }

    /// Ends an effect that brought nothing, so that what it was for is asked again.
    fn give_back(&mut self, id: OpId) -> Option<Op> {
        let op = self.end(id)?;
        if let Some(fetch) = self.open.get_mut(&op.exchange) {
            match op.index {
                Some(index) => fetch.lost(index, id),
                None if fetch.phase == Phase::Outline(Some(id)) => fetch.phase = Phase::Outline(None),
                None => {}
            }
        }
        Some(op)
    }

    fn peer_has(&mut self, now: Time, conn: ConnId, exchange: &Hash, have: Have) {
        let Some(fetch) = self.open.get_mut(exchange) else { return };
        // A map can be no longer than the blob has chunks of the least length.
        let most = fetch.blob.size / limits::CHUNK_MIN as u64 / 8 + 2;
        let fits = match &have {
            Have::Some(bytes) => bytes.len() as u64 <= most && bytes.len() <= limits::FRAME_BYTES,
            _ => true,
        };
        let known = self.candidates.contains(&conn) && fetch.bad.get(&conn).is_none_or(|n| *n < BAD);
        if !known {
            return;
        }
        // Whoever speaks up unasked is heard while there is room.
        if !fetch.shares.contains_key(&conn) && fetch.shares.len() < pump::SHARES {
            fetch.tried.remove(&conn);
            fetch.shares.insert(conn, Share::new(now));
        }
        fetch.hear(now, conn, if fits { have } else { Have::None });
    }

    fn outline(
        &mut self,
        now: Time,
        id: OpId,
        outline: Result<Outline, FetchFailed>,
        held: Option<Bytes>,
        out: &mut Outbox<Act>,
    ) {
        if self.ops.get(&id).is_none_or(|op| op.index.is_some()) {
            return;
        }
        let Some(op) = self.give_back(id) else { return };
        let Some(fetch) = self.open.get_mut(&op.exchange) else { return };
        match outline {
            Err(failed) => self.failed(now, op, failed, out),
            Ok(outline) => {
                if held.is_some() {
                    fetch.early = held;
                }
                match fetch.begin(outline) {
                    Ok(()) => {
                        fetch.progressed(now);
                        if let Some(line) = self.lines.get_mut(&op.conn) {
                            line.delivered(now.since(op.since));
                        }
                    }
                    Err(BadStart::NotIt) => self.failed(now, op, FetchFailed::BadContent, out),
                    Err(BadStart::Contradiction(why)) => self.hopeless(&op.exchange, why, out),
                }
            }
        }
    }

    fn chunk(&mut self, now: Time, id: OpId, result: Result<(), FetchFailed>, out: &mut Outbox<Act>) {
        let Some(index) = self.ops.get(&id).and_then(|op| op.index) else { return };
        let failed = match result {
            Ok(()) => {
                let Some(op) = self.end(id) else { return };
                if let Some(line) = self.lines.get_mut(&op.conn) {
                    line.delivered(now.since(op.since));
                }
                let Some(fetch) = self.open.get_mut(&op.exchange) else { return };
                fetch.local_failures = 0;
                for slower in fetch.got(now, index).into_iter().filter(|o| *o != id) {
                    self.end(slower);
                    out.push(Act::Cancel(slower));
                }
                return;
            }
            Err(failed) => failed,
        };
        if let Some(op) = self.give_back(id) {
            self.failed(now, op, failed, out);
        }
    }

    /// Draws the consequences of a failure; what was asked for has been given back already.
    fn failed(&mut self, now: Time, op: Op, failed: FetchFailed, out: &mut Outbox<Act>) {
        let Some(fetch) = self.open.get_mut(&op.exchange) else { return };
        match failed {
            FetchFailed::BadContent => {
                let bad = fetch.bad.entry(op.conn).or_default();
                *bad = bad.saturating_add(1);
                out.push(Act::Blame(op.conn, "sent bytes that do not have the promised hash"));
                if *bad >= BAD {
                    fetch.drop_share(op.conn);
                } else if let Some(index) = op.index {
                    fetch.lacks(now, op.conn, index);
                } else {
                    fetch.deny(now, op.conn);
                }
            }
            FetchFailed::Refused(_) => fetch.deny(now, op.conn),
            FetchFailed::Gone => match op.index {
                Some(index) => fetch.lacks(now, op.conn, index),
                None => fetch.deny(now, op.conn),
            },
            FetchFailed::Timeout => {
                if let Some(line) = self.lines.get_mut(&op.conn) {
                    line.timed_out(now, &mut self.dice);
                }
            }
            FetchFailed::Local(text) => self.local(now, &op.exchange, text, out),
        }
    }

    /// This machine could not store something: the blob pauses, twice as long each time, up to a minute.
    fn local(&mut self, now: Time, exchange: &Hash, text: String, out: &mut Outbox<Act>) {
        let Some(fetch) = self.open.get_mut(exchange) else { return };
        if fetch.paused > now {
            return; // One of several requests that failed together.
        }
        fetch.paused = now.after((secs(1) << fetch.local_failures.min(6)).min(secs(60)));
        fetch.local_failures = fetch.local_failures.saturating_add(1);
        out.push(Act::Stuck(fetch.blob, Stuck::Local(text)));
    }

    fn hopeless(&mut self, exchange: &Hash, why: String, out: &mut Outbox<Act>) {
        let Some(fetch) = self.open.get(exchange) else { return };
        let blob = fetch.blob;
        self.close(exchange, out);
        out.push(Act::Stuck(blob, Stuck::NotAsNamed(why)));
    }

    fn finished(&mut self, now: Time, id: OpId, result: Result<(), FetchFailed>, out: &mut Outbox<Act>) {
        let found = self.open.iter_mut().find(|(_, f)| f.phase == Phase::Finish(Some(id)));
        let Some((exchange, fetch)) = found else { return };
        let exchange = *exchange;
        match result {
            Ok(()) => {
                out.push(Act::Got(fetch.blob));
                self.open.remove(&exchange);
            }
            Err(FetchFailed::Local(text)) => {
                fetch.phase = Phase::Finish(None);
                self.local(now, &exchange, text, out);
            }
            // Every chunk was right once. Either one rotted here since, or the reference is wrong.
            Err(_) if !fetch.restarted => fetch.restart(),
            Err(why) => self.hopeless(&exchange, format!("its chunks do not make the blob: {why}"), out),
        }
    }
}
