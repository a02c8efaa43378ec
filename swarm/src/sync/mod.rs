//! Keeping the sets of two peers equal, space by space.
//!
//! For each (connection, space) a [`Reconciler`] knows when the two were last compared and whether they differ. Digests
//! are compared first: equal peers exchange nothing more. When they differ, the side that leads (it dialed) opens
//! a reconciliation session over a snapshot, learns what it has and what it needs, and pushes and asks; the other
//! side answers from its own snapshot and keeps nothing. The side that does not lead opens a
//! session only if the difference is still there a while later.
//!
//! A session begins with a short sketch of the other side's set ([`vigo_crdt::sketch`]), if both sides know sketches. It tells
//! what differs, if that is little, and else how much: then either a longer sketch is asked for, or the two sets are
//! compared by ranges ([`Sealed::answer`]). A sketch decides nothing: whatever it misses keeps the digests apart, and after a
//! sketch that did not settle it, sessions go by ranges until the digests are equal. [`bill()`] tells what a session costs.
//!
//! It sends no records itself and does not know what they mean. Invariant: one session for each (connection,
//! space), at most [`SESSIONS`] at one time; the others wait in line. What the other side refuses to take does
//! not make the two compare for ever: the pace slows down as long as nothing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vigo_base::time::{Micros, mins, secs};
use vigo_base::{Dice, Hash, Machine, Outbox, Time, limits};
use vigo_crdt::Space;
use vigo_crdt::reconcile::Sealed;
use vigo_crdt::sketch::Short;

use crate::ids::ConnId;

pub mod bill;
mod sketched;

pub use bill::{Bill, bill};
use sketched::Asked;

/// Sessions open at one time.
pub const SESSIONS: usize = 8;
/// Spaces compared with one peer.
pub const SPACES: usize = 128;
/// Mean time between two checks of one space with one peer.
const PACE: Micros = secs(60);
/// How long the other side may take to answer.
const ANSWER: Micros = secs(10);
/// How long the side that does not lead waits before it opens a session itself.
const YIELD: Micros = secs(3);
/// The longest pause after sessions that changed nothing.
const FRUITLESS: Micros = mins(10);
/// Messages of one session: a set of two million keys needs fewer.
const ROUNDS: u32 = 1_200;

/// What can happen.
#[derive(Debug, Clone)]
pub enum Input {
    /// A peer is here, and these spaces concern both. The side with `leads` (exactly one of the two: say, the
    /// one that dialed) opens sessions at once.
    Up {
        /// The connection.
        conn: ConnId,
        /// Whether this side leads.
        leads: bool,
        /// Whether the other side answers [`Act::Sketch`].
        sketches: bool,
        /// The spaces that both hold, at most [`SPACES`] are taken.
        spaces: Vec<Space>,
    },
    /// A connection ended.
    Gone(ConnId),
    /// The peer told its digest of a space, asked or not.
    Digest {
        /// The connection.
        conn: ConnId,
        /// The space.
        space: Space,
        /// What the peer said.
        theirs: Hash,
        /// Our own at this moment.
        ours: Hash,
    },
    /// The snapshot that [`Act::Seal`] asked for.
    Sealed(ConnId, Space, Arc<Sealed>),
    /// The peer's answer to [`Act::Compare`].
    Compared(ConnId, Space, Vec<u8>),
    /// The peer's answer to [`Act::Sketch`].
    Sketched(ConnId, Space, Vec<u8>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Tell the peer our digest and ask for its own (a ping).
    AskDigest(ConnId, Space),
    /// Take a snapshot of a space and hand it back by [`Input::Sealed`].
    Seal(ConnId, Space),
    /// Send a message of a session.
    Compare(ConnId, Space, Vec<u8>),
    /// Ask for a sketch of so many cells, at most [`limits::SKETCH_CELLS`].
    Sketch(ConnId, Space, u32),
    /// Send these records, at most [`limits::PUSH_RECORDS`]: only we hold them.
    Push(ConnId, Space, Vec<Hash>),
    /// Ask for these records, at most [`limits::WANT_RECORDS`]: only the peer holds them.
    Want(ConnId, Space, Vec<Hash>),
    /// Ask for the records with these short names, at most [`limits::WANT_RECORDS`], ascending.
    WantShort(ConnId, Space, Vec<Short>),
    /// A session ended after so many rounds.
    Done {
        /// The connection.
        conn: ConnId,
        /// The space.
        space: Space,
        /// Messages sent and answered.
        rounds: u32,
        /// Records that differed.
        differed: u64,
        /// Whether a sketch told them.
        by_sketch: bool,
    },
    /// The peer misbehaved: lower its score.
    Blame(ConnId, &'static str),
}

type Key = (ConnId, Space);

#[derive(Debug)]
enum Phase {
    /// Nothing to do before the timer.
    Idle,
    /// Known to differ; waiting for a place, or for its turn.
    Line(u64),
    /// The snapshot was asked for.
    Sealing,
    /// Messages go to and fro. Apart, since of all pairs few are in a session.
    Open(Box<Session>),
}

#[derive(Debug)]
struct Session {
    sealed: Arc<Sealed>,
    rounds: u32,
    differed: u64,
    /// Names what was found in any order, to see whether the next session finds the same again.
    found: Hash,
    /// The sketch that was asked for; none in a session by ranges.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Pair {
    leads: bool,
    sketches: bool,
    /// A sketch did not settle it: by ranges, until the digests are equal.
    doubt: bool,
    phase: Phase,
    timer: Time,
    /// No session before this.
    not_before: Time,
    /// Since when the digests are known to differ.
    differs: Option<Time>,
    found: Hash,
    fruitless: u32,
}

/// All comparisons of one node.
#[derive(Debug)]
pub struct Reconciler {
    dice: Dice,
    pairs: BTreeMap<Key, Pair>,
    timers: BTreeSet<(Time, ConnId, Space)>,
    line: BTreeMap<u64, Key>,
    next_place: u64,
    busy: usize,
}

impl Machine for Reconciler {
    type Input = Input;
    type Output = Act;

    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox<Act>) {
        match input {
            Input::Up { conn, leads, sketches, spaces } => self.up(now, conn, (leads, sketches), spaces),
            Input::Gone(conn) => self.gone(conn),
            Input::Digest { conn, space, theirs, ours } => self.digest(now, (conn, space), theirs == ours),
            Input::Sealed(conn, space, sealed) => self.sealed(now, (conn, space), sealed, out),
            Input::Compared(conn, space, answer) => self.compared(now, (conn, space), &answer, out),
            Input::Sketched(conn, space, answer) => self.sketched(now, (conn, space), &answer, out),
        }
        self.open(now, out);
    }

    fn wake(&mut self, now: Time, out: &mut Outbox<Act>) {
        while let Some(due) = self.timers.first().filter(|(at, ..)| *at <= now).cloned() {
            self.due(now, (due.1, due.2), out);
        }
        self.open(now, out);
    }

    fn next_wake(&self) -> Option<Time> {
        self.timers.first().map(|(at, ..)| *at)
    }
}

impl Reconciler {
    /// Nobody is connected yet.
    pub fn new(dice: Dice) -> Reconciler {
        Reconciler {
            dice,
            pairs: BTreeMap::new(),
            timers: BTreeSet::new(),
            line: BTreeMap::new(),
            next_place: 0,
            busy: 0,
        }
    }

    /// (pairs compared, sessions open, sessions waiting): for status and metrics.
    pub fn load(&self) -> (usize, usize, usize) {
        (self.pairs.len(), self.busy, self.line.len())
    }

    fn up(&mut self, now: Time, conn: ConnId, (leads, sketches): (bool, bool), spaces: Vec<Space>) {
        self.gone(conn);
        for space in spaces.into_iter().take(SPACES) {
            // The digests in the greeting usually come before this.
            let timer = now.after(secs(1) + self.dice.below(secs(2)));
            if let Some(old) = self.pairs.get(&(conn, space.clone())) {
                self.timers.remove(&(old.timer, conn, space.clone()));
            }
            self.timers.insert((timer, conn, space.clone()));
            let pair = Pair {
                leads,
                sketches,
                doubt: false,
                phase: Phase::Idle,
                timer,
                not_before: Time(0),
                differs: None,
                found: Hash::default(),
                fruitless: 0,
            };
            self.pairs.insert((conn, space), pair);
        }
    }

    fn gone(&mut self, conn: ConnId) {
        let keys: Vec<Key> = self.pairs.keys().filter(|(c, _)| *c == conn).cloned().collect();
        for key in keys {
            self.leave(&key);
            if let Some(pair) = self.pairs.remove(&key) {
                self.timers.remove(&(pair.timer, key.0, key.1));
            }
        }
    }

    /// Ends whatever a pair is in the middle of.
    fn leave(&mut self, key: &Key) {
        let Some(pair) = self.pairs.get_mut(key) else { return };
        match std::mem::replace(&mut pair.phase, Phase::Idle) {
            Phase::Idle => {}
            Phase::Line(place) => {
                self.line.remove(&place);
            }
            Phase::Sealing | Phase::Open(_) => self.busy = self.busy.saturating_sub(1),
        }
    }

    fn set_timer(&mut self, key: &Key, at: Time) {
        if let Some(pair) = self.pairs.get_mut(key) {
            self.timers.remove(&(pair.timer, key.0, key.1.clone()));
            pair.timer = at;
            self.timers.insert((at, key.0, key.1.clone()));
        }
    }

    /// A random pause with the mean `PACE`, so that peers do not fall into step.
    fn pace(&mut self) -> Micros {
        PACE / 2 + self.dice.below(PACE)
    }

    fn digest(&mut self, now: Time, key: Key, equal: bool) {
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        if !matches!(pair.phase, Phase::Idle) {
            return;
        }
        if equal {
            (pair.differs, pair.fruitless, pair.doubt) = (None, 0, false);
            let at = now.after(self.pace());
            self.set_timer(&key, at);
            return;
        }
        let since = *pair.differs.get_or_insert(now);
        let turn = if pair.leads { now } else { since.after(YIELD) };
        let at = turn.max(pair.not_before);
        if at > now {
            // Looked at again then; the peer may have settled it by that time.
            let timer = pair.timer.min(at).max(Time(now.0 + 1));
            self.set_timer(&key, timer);
            return;
        }
        self.stand_in_line(key);
    }

    fn stand_in_line(&mut self, key: Key) {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(pair) = self.pairs.get_mut(&key) {
            pair.phase = Phase::Line(place);
            self.line.insert(place, key);
        }
    }

    /// Opens sessions while there are places.
    fn open(&mut self, now: Time, out: &mut Outbox<Act>) {
        while self.busy < SESSIONS {
            let Some((_, key)) = self.line.pop_first() else { return };
            let Some(pair) = self.pairs.get_mut(&key) else { continue };
            pair.phase = Phase::Sealing;
            self.busy += 1;
            self.set_timer(&key, now.after(ANSWER));
            out.push(Act::Seal(key.0, key.1));
        }
    }

    fn sealed(&mut self, now: Time, key: Key, sealed: Arc<Sealed>, out: &mut Outbox<Act>) {
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        if !matches!(pair.phase, Phase::Sealing) {
            return;
        }
        let asked = (pair.sketches && !pair.doubt && !sealed.is_empty()).then(|| Asked::first(sealed.len()));
        let session = Session { sealed, rounds: 0, differed: 0, found: Hash::default(), asked };
        pair.phase = Phase::Open(Box::new(session));
        match asked {
            Some(asked) => self.ask(now, key, asked, out),
            None => self.by_ranges(now, key, out),
        }
    }

    /// The first move of a comparison by ranges.
    fn by_ranges(&mut self, now: Time, key: Key, out: &mut Outbox<Act>) {
        let Some(Pair { phase: Phase::Open(session), .. }) = self.pairs.get_mut(&key) else { return };
        session.asked = None;
        let Ok(first) = session.sealed.open() else {
            self.stop(now, &key);
            return;
        };
        self.set_timer(&key, now.after(ANSWER));
        out.push(Act::Compare(key.0, key.1, first));
    }

    fn compared(&mut self, now: Time, key: Key, answer: &[u8], out: &mut Outbox<Act>) {
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        // An answer that nobody waits for is late, not wrong.
        let Phase::Open(session) = &mut pair.phase else { return };
        if session.asked.is_some() {
            return;
        }
        session.rounds += 1;
        let round = match session.sealed.next(answer) {
            Ok(round) if session.rounds < ROUNDS => round,
            bad => {
                let why = if bad.is_ok() { "a comparison without end" } else { "a malformed comparison" };
                out.push(Act::Blame(key.0, why));
                self.stop(now, &key);
                return;
            }
        };
        session.note(round.have.iter().chain(&round.need).map(Short::of));
        push(&key, &round.have, out);
        for names in round.need.chunks(limits::WANT_RECORDS) {
            out.push(Act::Want(key.0, key.1.clone(), names.to_vec()));
        }
        match round.next {
            Some(next) => {
                self.set_timer(&key, now.after(ANSWER));
                out.push(Act::Compare(key.0, key.1, next));
            }
            None => self.done(now, key, out),
        }
    }

    /// A session came to its end: what it found is on its way, and is checked soon.
    fn done(&mut self, now: Time, key: Key, out: &mut Outbox<Act>) {
        let soon = secs(2) + self.dice.below(secs(2));
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        let Phase::Open(session) = &pair.phase else { return };
        let (rounds, differed, found) = (session.rounds, session.differed, session.found);
        let by_sketch = session.asked.is_some();
        let same = differed > 0 && found == pair.found;
        pair.doubt |= same;
        pair.fruitless = if same { pair.fruitless.saturating_add(1) } else { 0 };
        pair.found = found;
        pair.differs = None;
        let pause = if same { (secs(4) << pair.fruitless.min(12)).min(FRUITLESS) } else { soon };
        pair.not_before = if same { now.after(pause) } else { now };
        self.leave(&key);
        self.set_timer(&key, now.after(pause));
        out.push(Act::Done { conn: key.0, space: key.1, rounds, differed, by_sketch });
    }

    /// A session failed: the next one waits.
    fn stop(&mut self, now: Time, key: &Key) {
        let sketched = |pair: &Pair| matches!(&pair.phase, Phase::Open(session) if session.asked.is_some());
        let doubt = self.pairs.get(key).is_some_and(sketched);
        self.leave(key);
        let jitter = self.dice.below(secs(2));
        let Some(pair) = self.pairs.get_mut(key) else { return };
        pair.doubt |= doubt;
        let pause = (secs(4) << pair.fruitless.min(12)).min(FRUITLESS);
        pair.fruitless = pair.fruitless.saturating_add(1);
        pair.not_before = now.after(pause + jitter);
        let at = pair.not_before;
        self.set_timer(key, at);
    }

    fn due(&mut self, now: Time, key: Key, out: &mut Outbox<Act>) {
        let Some(pair) = self.pairs.get(&key) else { return };
        match pair.phase {
            Phase::Sealing | Phase::Open(_) => self.stop(now, &key),
            Phase::Line(_) => self.set_timer(&key, now.after(ANSWER)),
            Phase::Idle => {
                let at = now.after(self.pace());
                self.set_timer(&key, at);
                out.push(Act::AskDigest(key.0, key.1));
            }
        }
    }
}

impl Session {
    /// Remembers what was found, in whatever order and by whatever name.
    fn note(&mut self, names: impl Iterator<Item = Short>) {
        for name in names {
            self.differed += 1;
            let one = Hash::of(&name.0.to_be_bytes());
            self.found.0.iter_mut().zip(one.0).for_each(|(sum, byte)| *sum ^= byte);
        }
    }
}

/// Sends records that only we hold.
fn push(key: &Key, have: &[Hash], out: &mut Outbox<Act>) {
    for names in have.chunks(limits::PUSH_RECORDS) {
        out.push(Act::Push(key.0, key.1.clone(), names.to_vec()));
    }
}
