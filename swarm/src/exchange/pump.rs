//! What an exchange does after every input: fills free places, asks who has what, asks for chunks, and notes
//! when it must be woken.
//!
//! Invariant: it is idempotent. With nothing new and no time passed, a second run does nothing.

use std::cmp::Reverse;

use vigo_base::time::{Micros, secs};
use vigo_base::{Hash, Outbox, Time, limits};

use super::fetch::{BAD, Fetch, Phase};
use super::share::Share;
use super::{Act, Exchange, Op, Stuck};
use crate::ids::{ConnId, OpId};
use crate::outline::Outline;

/// Peers that are asked about one blob at a time; others get the place of those that have nothing.
pub(super) const SHARES: usize = 32;
/// With so few chunks missing, and all of them asked for, a second peer is asked too.
const END_GAME: usize = 16;
/// How long peers that had nothing are left alone when everybody was tried.
const AGAIN: Micros = secs(3);

impl Exchange {
    pub(super) fn pump(&mut self, now: Time, out: &mut Outbox<Act>) {
        loop {
            self.admit(now);
            let mut order: Vec<(Reverse<u8>, u64, Hash)> =
                self.open.iter().map(|(id, f)| (Reverse(f.priority), f.seq, *id)).collect();
            order.sort_unstable();
            for (_, _, id) in &order {
                // Taken out while it is worked on, so that lines, dice and effects can be changed beside it.
                let Some(mut fetch) = self.open.remove(id) else { continue };
                self.advance(now, &mut fetch, out);
                self.open.insert(*id, fetch);
            }
            let mut made_room = false;
            for (_, _, id) in order {
                made_room |= self.complain(now, &id, out);
            }
            if !made_room {
                break;
            }
        }
        self.wake = self.deadline(now);
    }

    /// Opens what waits while there are places.
    fn admit(&mut self, now: Time) {
        while self.open.len() < limits::OPEN_EXCHANGES {
            let Some(id) = self.queue.first(now).map(|w| w.blob.exchange) else { return };
            let Some(waiter) = self.queue.remove(&id) else { return };
            let mut fetch = Fetch::new(now, waiter.blob, waiter.priority, waiter.seq);
            fetch.early = waiter.held;
            if let Ok(size) = u32::try_from(waiter.blob.size)
                && size as usize <= limits::CHUNK_MAX
            {
                // One chunk, if the exchange id says so: then its outline follows from the reference alone.
                // If not, nothing has changed and the outline is asked for.
                let _ = fetch.begin(Outline::of_one_chunk(waiter.blob.hash, size));
            }
            self.open.insert(id, fetch);
        }
    }

    fn advance(&mut self, now: Time, fetch: &mut Fetch, out: &mut Outbox<Act>) {
        if fetch.paused > now {
            return;
        }
        if fetch.is_whole() {
            if matches!(fetch.phase, Phase::Chunks | Phase::Finish(None)) {
                let op = self.op();
                fetch.phase = Phase::Finish(Some(op));
                out.push(Act::Finish { op, blob: fetch.blob });
            }
            return;
        }
        self.recruit(now, fetch);
        match fetch.phase {
            Phase::Outline(None) => self.ask_outline(now, fetch, out),
            Phase::Chunks => {
                self.ask_chunks(now, fetch, out);
                self.end_game(now, fetch, out);
            }
            _ => {}
        }
        ask_who(now, fetch, out);
    }

    /// Keeps up to [`SHARES`] peers that may have something, drawn at random. Those that have nothing give up
    /// their place if there are others to try.
    fn recruit(&mut self, now: Time, fetch: &mut Fetch) {
        let idle: Vec<ConnId> = fetch.shares.iter().filter(|(_, s)| s.is_idle()).map(|(c, _)| *c).collect();
        let full = fetch.shares.len() >= SHARES && idle.is_empty();
        if full || self.candidates.len() <= fetch.shares.len() {
            return;
        }
        let mut new = self.untried(fetch);
        if new.is_empty() && now >= fetch.retry && fetch.shares.len() < SHARES && !fetch.tried.is_empty() {
            fetch.tried.clear();
            fetch.retry = now.after(AGAIN);
            new = self.untried(fetch);
        }
        let lacking = new.len().saturating_sub(SHARES.saturating_sub(fetch.shares.len()));
        for conn in idle.into_iter().take(lacking) {
            fetch.drop_share(conn);
            fetch.tried.insert(conn);
            fetch.retry = now.after(AGAIN);
        }
        let room = SHARES.saturating_sub(fetch.shares.len());
        if new.len() > room {
            self.dice.shuffle(&mut new);
        }
        for conn in new.into_iter().take(room) {
            fetch.shares.insert(conn, Share::new(now));
        }
    }

    /// Candidates that have no place and did not give one up.
    fn untried(&self, fetch: &Fetch) -> Vec<ConnId> {
        let bad = |c: &ConnId| fetch.bad.get(c).is_some_and(|n| *n >= BAD);
        let fits = |c: &&ConnId| !fetch.shares.contains_key(c) && !fetch.tried.contains(c) && !bad(c);
        self.candidates.iter().filter(fits).copied().collect()
    }

    fn ask_outline(&mut self, now: Time, fetch: &mut Fetch, out: &mut Outbox<Act>) {
        let free = |c: &ConnId| self.lines.get(c).is_some_and(|l| l.is_free(now));
        let able: Vec<ConnId> =
            fetch.shares.iter().filter(|(c, s)| s.has_some() && free(c)).map(|(c, _)| *c).collect();
        let Some(conn) = self.dice.pick(&able).copied() else { return };
        let op = self.begin(now, conn, fetch, None);
        fetch.phase = Phase::Outline(Some(op));
        out.push(Act::FetchOutline { op, conn, blob: fetch.blob });
    }

    /// One chunk from each peer in turn, until no pipeline has room or nothing is left to ask.
    fn ask_chunks(&mut self, now: Time, fetch: &mut Fetch, out: &mut Outbox<Act>) {
        let mut able: Vec<ConnId> = fetch.shares.iter().filter(|(_, s)| s.useful).map(|(c, _)| *c).collect();
        self.dice.shuffle(&mut able);
        while !able.is_empty() && !fetch.want.is_empty() {
            able.retain(|conn| {
                if !self.lines.get(conn).is_some_and(|l| l.is_free(now)) {
                    return false;
                }
                let Some(index) = fetch.pick(*conn, &mut self.dice) else { return false };
                self.ask_chunk(now, *conn, fetch, index, out);
                true
            });
        }
    }

    fn ask_chunk(&mut self, now: Time, conn: ConnId, fetch: &mut Fetch, index: u32, out: &mut Outbox<Act>) {
        let Some((hash, length)) = fetch.outline.chunks.get(index as usize).copied() else { return };
        let op = self.begin(now, conn, fetch, Some(index));
        fetch.flies(index, op);
        out.push(Act::FetchChunk { op, conn, blob: fetch.blob, index, hash, length });
    }

    fn begin(&mut self, now: Time, conn: ConnId, fetch: &Fetch, index: Option<u32>) -> OpId {
        let id = self.op();
        let line = self.lines.entry(conn).or_insert_with(super::Line::new);
        line.began();
        let patience = if index.is_some() { line.patience() } else { outline_patience(fetch.blob.size) };
        let deadline = now.after(patience);
        self.ops.insert(id, Op { conn, exchange: fetch.blob.exchange, index, since: now, deadline });
        id
    }

    /// All that is missing is on its way: what takes longer than usual is asked from a second peer.
    fn end_game(&mut self, now: Time, fetch: &mut Fetch, out: &mut Outbox<Act>) {
        for (index, op) in late(fetch) {
            let Some(first) = self.ops.get(&op).copied() else { continue };
            if self.second_ask_at(&first) > now {
                continue;
            }
            let free = |c: &ConnId| *c != first.conn && self.lines.get(c).is_some_and(|l| l.is_free(now));
            let mut able: Vec<ConnId> =
                fetch.shares.iter().filter(|(c, s)| s.has(index) && free(c)).map(|(c, _)| *c).collect();
            // Two that never delivered anything must not hold the last chunk between them.
            let proven = |c: &ConnId| self.lines.get(c).is_some_and(super::Line::is_proven);
            if able.iter().chain([&first.conn]).any(proven) {
                able.retain(|c| proven(c) || proven(&first.conn));
            } else if fetch.shares.keys().any(proven) {
                continue;
            }
            if let Some(conn) = self.dice.pick(&able).copied() {
                self.ask_chunk(now, conn, fetch, index, out);
            }
        }
    }

    fn second_ask_at(&self, first: &Op) -> Time {
        first.since.after(self.lines.get(&first.conn).map_or(0, super::Line::usual))
    }

    /// Tells the caller of a blob that got nowhere, and lets another have its place if one waits (then true).
    fn complain(&mut self, now: Time, id: &Hash, out: &mut Outbox<Act>) -> bool {
        let Some(fetch) = self.open.get_mut(id) else { return false };
        if now < fetch.complain || fetch.paused > now || matches!(fetch.phase, Phase::Finish(_)) {
            return false;
        }
        fetch.complained(now);
        if !fetch.ops().is_empty() {
            return false;
        }
        let again = fetch.complain;
        out.push(Act::Stuck(fetch.blob, Stuck::NobodyHasIt { missing: fetch.missing() }));
        let waits = self.open.len() >= limits::OPEN_EXCHANGES && self.queue.first(now).is_some();
        if waits {
            self.demote(now, id, again, out);
        }
        waits
    }

    /// Ends what took too long.
    pub(super) fn expire(&mut self, now: Time, out: &mut Outbox<Act>) {
        let late: Vec<OpId> =
            self.ops.iter().filter(|(_, op)| op.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            out.push(Act::Cancel(id));
            if let Some(op) = self.give_back(id) {
                self.failed(now, op, super::FetchFailed::Timeout, out);
            }
        }
        for share in self.open.values_mut().flat_map(|f| f.shares.values_mut()) {
            if share.answer_lost_at().is_some_and(|at| at <= now) {
                share.answer_lost(now);
            }
        }
    }

    /// When something is due next.
    fn deadline(&self, now: Time) -> Option<Time> {
        let ops = self.ops.values().map(|op| op.deadline).min();
        let queue = (self.open.len() < limits::OPEN_EXCHANGES).then(|| self.queue.next_due(now)).flatten();
        let open = self.open.values().filter_map(|f| self.fetch_deadline(now, f)).min();
        let due = [ops, queue, open].into_iter().flatten().min();
        due.map(|at| at.max(Time(now.0 + 1)))
    }

    fn fetch_deadline(&self, now: Time, fetch: &Fetch) -> Option<Time> {
        if fetch.paused > now {
            return Some(fetch.paused);
        }
        if matches!(fetch.phase, Phase::Finish(_)) {
            return None;
        }
        let mut due = fetch.complain;
        for (conn, share) in &fetch.shares {
            let line = self.lines.get(conn).and_then(|l| l.back_at(now));
            let ask = share.ask_at(fetch.knows_outline()).filter(|_| may_ask(fetch));
            for at in [line, ask, share.answer_lost_at()].into_iter().flatten() {
                due = due.min(at);
            }
        }
        if fetch.shares.len() < SHARES.min(self.candidates.len()) && fetch.retry > now {
            due = due.min(fetch.retry);
        }
        for (_, op) in late(fetch) {
            let at = self.ops.get(&op).map(|first| self.second_ask_at(first));
            due = at.filter(|at| *at > now).map_or(due, |at| due.min(at));
        }
        Some(due)
    }
}

/// How long an outline may take: everything waits for it, and any other peer can give it too. Three seconds, and
/// what its bytes (about 37 for each 64 KiB of the blob) take at 100 KB/s, up to two minutes.
fn outline_patience(size: u64) -> Micros {
    secs(3).saturating_add((size >> 16).saturating_mul(370)).min(secs(120))
}

/// The chunks of the end game that only one peer was asked for, with the effect that did.
fn late(fetch: &Fetch) -> Vec<(u32, OpId)> {
    if fetch.phase != Phase::Chunks || !fetch.want.is_empty() || fetch.flying.len() > END_GAME {
        return Vec::new();
    }
    fetch.flying.iter().filter(|(_, ops)| ops.len() == 1).map(|(index, ops)| (*index, ops[0])).collect()
}

/// Whether it matters what peers have: not once everything is on its way.
fn may_ask(fetch: &Fetch) -> bool {
    match fetch.phase {
        Phase::Outline(_) => true,
        Phase::Chunks => !fetch.want.is_empty() || fetch.flying.len() <= END_GAME,
        Phase::Finish(_) => false,
    }
}

fn ask_who(now: Time, fetch: &mut Fetch, out: &mut Outbox<Act>) {
    if !may_ask(fetch) {
        return;
    }
    let (knows, exchange) = (fetch.knows_outline(), fetch.blob.exchange);
    for (conn, share) in &mut fetch.shares {
        if share.ask_at(knows).is_some_and(|at| at <= now) {
            share.ask(now);
            out.push(Act::AskWho { conn: *conn, exchange });
        }
    }
}
