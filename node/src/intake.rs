//! Records: from bytes to a verdict, to the store, to other peers; and the writing of our own.
//!
//! The order is always the same: size and encoding, whether it is known (before the expensive check), the
//! signature, whether this node holds that space, whether its author or signer is known, and only then the set.
//! What is new is persisted and passed on to those who hold that space too; because persisting comes first among
//! the outputs, nobody hears of a record before it is durable.
//!
//! Our own records wait in the [`Pen`] until a bolt (where there is none, any peer) has said which of ours it has
//! seen: a node that comes back with an old disk must not use a sequence twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use vigo_base::{Hash, PublicKey, SpannerId, Time, limits, planted, time};
use vigo_crdt::replica::{Form, Refusal};
use vigo_crdt::{Record, Space, Statement, Unverified, Verdict, log, register};
use vigo_spanner::spend::{FORK, SPEND, STATEMENT};
use vigo_spanner::{Act, ForkProof, Member, NodeKind, SpendRecord, may_push};
use vigo_swarm::frame::{Bytes, Frame, Head};
use vigo_swarm::ids::ConnId;

use crate::forks;
use crate::io::{CommandId, Event, Output, StoreOp, Way};
use crate::node::{Node, Out};
use crate::session::Session;

/// How long a node that knows others waits for one of them before it writes.
const PATIENCE: u64 = time::secs(10);

/// Own records that wait; more are not written.
pub(crate) const PEN_RECORDS: usize = 256;

/// How far a peer's word on our own sequences is believed beyond what we know: no disk is that old, and nobody may
/// take the last sequence from us.
const LEAP: u64 = 1 << 32;

/// To how many bolts a bolt hands on what another bolt sent it. Whoever has a record first sends it to all bolts that it
/// knows; if everybody did, each bolt would get it from every other. The rest comes by reconciliation.
const RELAY: usize = 3;

/// Records whose author or signer is not known yet.
#[derive(Debug, Default)]
pub(crate) struct Parked(VecDeque<Record>);

/// Our own records that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    /// Until when to wait for a peer's word; none when writing is free.
    pub waits: Option<Time>,
    waiting: VecDeque<(Space, u16, Vec<u8>)>,
    /// Statements that somebody handed in meanwhile.
    pub handed_in: VecDeque<HandedIn>,
    /// The highest sequence of ours that anybody has seen, by space.
    seen: BTreeMap<Space, u64>,
}

/// A statement that somebody handed in, to be filed and answered.
#[derive(Debug, Clone)]
pub(crate) struct HandedIn {
    /// The call that waits for the reply.
    pub id: CommandId,
    /// Who called.
    pub uid: u32,
    /// The space that it is for.
    pub space: String,
    /// The statement, in hexadecimal digits.
    pub statement: String,
}

/// Where a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is ours, written now.
    Own,
    /// It waited for what it builds on, or came with papers or a goodbye.
    Late,
    /// A peer sent it, on the peer channel.
    Pushed(ConnId),
    /// It was gossiped, by the member at the other end of this connection.
    Gossiped(ConnId),
}

impl Origin {
    /// Whom to ask for what it lacks, and who need not be told of it.
    pub fn conn(self) -> Option<ConnId> {
        match self {
            Origin::Own | Origin::Late => None,
            Origin::Pushed(conn) | Origin::Gossiped(conn) => Some(conn),
        }
    }

    fn way(self) -> Way {
        match self {
            Origin::Own => Way::Own,
            Origin::Late => Way::Late,
            Origin::Pushed(_) => Way::Push,
            Origin::Gossiped(_) => Way::Gossip,
        }
    }
}

/// What records of one kind are to one space. The same for what a peer sends and for what our store held, so that a
/// second life holds what the first one did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It carries what an operator says.
    Statement,
    /// It lets a node in.
    Spend,
    /// It proves a fork.
    Fork,
    /// It is an envoy's word on itself.
    Register,
    /// It is an entry of a bolt's audit log.
    Log,
    /// It means nothing here: kept and passed on.
    Opaque,
}

impl Shape {
    pub fn of(space: &Space, kind: u16) -> Shape {
        let (admissions, envoys) = (*space == Space::admissions(), *space == Space::envoys());
        let operators = admissions || *space == Space::config() || *space == Space::settings();
        match kind {
            STATEMENT if operators => Shape::Statement,
            SPEND if admissions || envoys => Shape::Spend,
            FORK if admissions => Shape::Fork,
            register::REGISTER if *space == Space::status() => Shape::Register,
            log::LOG if space.audit_of().is_some() => Shape::Log,
            _ => Shape::Opaque,
        }
    }
}

impl Parked {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Pen {
    /// How many own records wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn next_wake(&self) -> Option<Time> {
        self.waits
    }
}

/// Whether a node may ever have written into a space.
fn ours_to_write(space: &Space) -> bool {
    [Space::admissions(), Space::envoys(), Space::config(), Space::settings(), Space::status()]
        .contains(space)
}

fn is_envoy(member: &Member) -> bool {
    member.kind == NodeKind::Envoy
}

/// Whether every node holds a space.
pub(crate) fn is_for_all(space: &Space) -> bool {
    [Space::admissions(), Space::config(), Space::settings()].contains(space)
}

fn refused(why: impl Into<String>, senders_fault: bool) -> Verdict {
    Verdict::Refused(Refusal { why: why.into(), senders_fault })
}

impl Node {
    /// Records pushed by a peer, or sent because we asked.
    pub(crate) fn pushed(&mut self, now: Time, conn: ConnId, records: &[Bytes], out: &mut Out) {
        if records.len() > limits::PUSH_RECORDS {
            return self.misbehaved(now, conn, format!("{} records in one frame", records.len()), out);
        }
        for bytes in records {
            if let Verdict::Refused(Refusal { why, senders_fault: true }) =
                self.take(now, Origin::Pushed(conn), bytes, out)
            {
                return self.misbehaved(now, conn, why, out);
            }
        }
    }

    /// Takes one encoded record.
    pub(crate) fn take(&mut self, now: Time, from: Origin, bytes: &[u8], out: &mut Out) -> Verdict {
        let Some(spanner) = self.spanner() else { return refused("no fleet yet", false) };
        let unverified = match Unverified::decode(bytes) {
            Ok(unverified) => unverified,
            Err(e) => return refused(e.to_string(), true),
        };
        if !self.holds(unverified.space()) {
            return refused("a space that this node does not hold", false);
        }
        if self.replica.contains(unverified.space(), &unverified.key()) {
            return Verdict::Known;
        }
        let (bolt, number) = (unverified.space().audit_of(), unverified.seq());
        let record = match unverified.verify(&spanner) {
            Ok(record) => record,
            Err(e) => {
                if let Some(peer) = from.conn().and_then(|conn| self.sessions.get(&conn)).map(|s| s.key) {
                    self.audit_bent(bolt, &peer, number, &e.to_string(), out);
                }
                return refused(e.to_string(), true);
            }
        };
        if let Some(session) = from.conn().and_then(|conn| self.sessions.get(&conn))
            && let Err(denied) = may_push(&session.who(), record.space(), &record.author(), self.here())
        {
            return refused(denied.to_string(), true);
        }
        let verdict = self.consider(now, from, record, &spanner, out);
        if verdict == Verdict::New
            && let Some(session) = from.conn().and_then(|conn| self.sessions.get(&conn))
        {
            self.heard.insert(session.key, now);
        }
        verdict
    }

    /// Whether this node keeps records of a space.
    fn holds(&self, space: &Space) -> bool {
        let bolts = [Space::envoys(), Space::status()];
        let audit = || space.audit_of().is_some_and(|bolt| self.was_bolt(&bolt));
        is_for_all(space) || (self.is_bolt() && (bolts.contains(space) || audit()))
    }

    /// Judges a record whose signature holds.
    fn consider(
        &mut self,
        now: Time,
        from: Origin,
        record: Record,
        spanner: &SpannerId,
        out: &mut Out,
    ) -> Verdict {
        if Shape::of(record.space(), record.kind()) == Shape::Fork && self.is_outranked(&record) {
            return Verdict::Known;
        }
        match self.form_of(&record, spanner) {
            Ok(Some(form)) => self.file(now, from, record, form, out),
            Ok(None) => {
                self.ask_for_what_is_missing(from.conn(), &record, out);
                if self.parked.0.len() >= limits::PARKED_RECORDS {
                    self.parked.0.pop_front();
                }
                if !self.parked.0.iter().any(|r| r.id() == record.id()) {
                    self.parked.0.push_back(record);
                }
                Verdict::Waiting
            }
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// The spend in an envoy's papers is its admission: a bolt that lost or never had it, after a restore for
    /// instance, takes it in, so that it lists the envoy and a revocation of the spender can say it was seen.
    pub(crate) fn adopt_spend(&mut self, now: Time, spend: Record, out: &mut Out) {
        let Some(spanner) = self.spanner().filter(|_| self.is_bolt()) else { return };
        if *spend.space() == Space::envoys() && !self.replica.contains(spend.space(), &spend.id()) {
            let _ = self.consider(now, Origin::Late, spend, &spanner, out);
        }
    }

    /// What a record is to its space; none if that cannot be said yet.
    fn form_of(&self, record: &Record, spanner: &SpannerId) -> Result<Option<Form>, Refusal> {
        let fault = |why: String| Refusal { why, senders_fault: true };
        let Some(trust) = &self.trust else { return Ok(None) };
        let member = self.known_member(&record.author());
        match Shape::of(record.space(), record.kind()) {
            Shape::Statement => {
                let statement = self.read_statement(record, spanner).map_err(fault)?;
                let known = trust.knows_signer(&statement.signer()) || statement.id() == spanner.0;
                Ok(known.then_some(Form::Statement { id: statement.id(), at: statement.at().0 }))
            }
            Shape::Fork => {
                ForkProof::read(record.payload(), spanner).map_err(|e| fault(e.to_string()))?;
                Ok(Some(forks::form(record)))
            }
            Shape::Spend => {
                let spend = SpendRecord::read(record, spanner).map_err(|e| fault(e.to_string()))?;
                let Some(said) = trust.admissions.statements().get(&spend.spend().invite) else {
                    return Ok(None);
                };
                // Who is not listed can never spend: else any member could fill everybody's disk.
                match &said.act {
                    Ok(Act::Invite(invite)) if invite.spenders.contains(&record.author()) => {
                        Ok(Some(Form::Single))
                    }
                    _ => Err(fault("a spend by a node that the invite does not list".into())),
                }
            }
            Shape::Register => {
                let (slot, value) = register::read(record).map_err(|e| fault(e.to_string()))?;
                if value.len() > vigo_content::status::VALUE_BYTES {
                    return Err(fault(format!("a status of {} bytes", value.len())));
                }
                Ok(member.filter(|m| m.is_active()).map(|_| Form::Register(slot)))
            }
            Shape::Log => {
                let line = log::read(record).map_err(|e| fault(e.to_string()))?;
                if record.space().audit_of() != Some(record.author()) {
                    return Err(fault("an entry in the audit log of another bolt".into()));
                }
                if line.body.len() > vigo_content::audit::BODY_BYTES {
                    return Err(fault(format!("an audit entry of {} bytes", line.body.len())));
                }
                if self.replica.len(record.space()) >= vigo_content::audit::LOG_ENTRIES {
                    return Err(Refusal { why: "that audit log is full".into(), senders_fault: false });
                }
                Ok(Some(Form::Single))
            }
            Shape::Opaque if record.space().audit_of().is_some_and(|bolt| bolt != record.author()) => {
                Err(fault("a record in the audit log of another bolt".into()))
            }
            // Of envoys only those know whom they meet: kept by some and refused by others, it would set equal nodes apart.
            Shape::Opaque if is_for_all(record.space()) && member.as_ref().is_some_and(is_envoy) => {
                let why = "a record of an unknown kind by an envoy, where everybody would have to hold it";
                Err(Refusal { why: why.into(), senders_fault: false })
            }
            Shape::Opaque => Ok(member.map(|_| Form::Opaque)),
        }
    }

    /// Reads the statement in a record.
    pub(crate) fn read_statement(&self, record: &Record, spanner: &SpannerId) -> Result<Statement, String> {
        let read = match *record.space() == Space::admissions() {
            true => vigo_spanner::act::read_statement(record.payload(), spanner),
            false => Statement::decode(record.payload(), record.space(), spanner),
        };
        read.map_err(|e| e.to_string())
    }

    /// Keeps a statement of config or settings read, so that views are made without checking signatures again.
    pub(crate) fn remember_statement(&mut self, id: Hash, record: &Record) {
        let Some(spanner) = self.spanner() else { return };
        if let Ok(statement) = self.read_statement(record, &spanner) {
            self.statements.entry(record.space().clone()).or_default().insert(id, Arc::new(statement));
        }
    }

    /// Asks whoever sent a record that must wait for what it waits for.
    fn ask_for_what_is_missing(&self, from: Option<ConnId>, record: &Record, out: &mut Out) {
        let (Some(conn), Some(spanner)) = (from, self.spanner()) else { return };
        let missing = match record.kind() {
            STATEMENT => self.read_statement(record, &spanner).ok().map(|s| s.under()),
            SPEND => SpendRecord::read(record, &spanner).ok().map(|s| s.spend().invite),
            _ => None,
        };
        if let Some(id) = missing {
            self.send(conn, &Frame::Want(Space::admissions(), vec![id]), out);
        }
    }

    /// Files a record that may be there, persists it, passes it on, and remembers what to draw from it.
    fn file(&mut self, now: Time, from: Origin, record: Record, form: Form, out: &mut Out) -> Verdict {
        let inserted = self.replica.insert(record.clone(), form);
        if let Some(other) = inserted.fork {
            self.found_fork(now, record.clone(), other, out);
        }
        if inserted.verdict != Verdict::New {
            return inserted.verdict;
        }
        self.clock.hear(now, record.stamp());
        let mut ops = vec![StoreOp::Put { id: record.id(), bytes: record.bytes().clone() }];
        ops.extend(inserted.dropped.map(|id| StoreOp::Remove { id }));
        out.push(Output::Persist(ops));
        if record.author() == self.me {
            let seen = self.pen.seen.entry(record.space().clone()).or_default();
            *seen = (*seen).max(record.seq());
        }
        if *record.space() == Space::admissions() || *record.space() == Space::envoys() {
            self.trust_insert(&record);
            if record.kind() == FORK {
                self.drop_outranked(out);
            }
        } else if let Form::Statement { id, .. } = form {
            self.remember_statement(id, &record);
        }
        if let Form::Statement { id, .. } = form {
            let (space, at, by) = (record.space().to_string(), self.wall(now), from.way());
            out.push(Output::Emit(Event::Arrived { space, id, at, by }));
        }
        self.pass_on(now, from, &record, out);
        if record.space().audit_of().is_some() {
            self.audit_filed(now, &record, out);
        } else {
            self.touched.insert(record.space().clone());
        }
        Verdict::New
    }

    /// Hands a new record to every connected member that holds its space, but not back: by gossip where a link
    /// carries it, else on the peer channel. What concerns bolts only, and comes from a bolt, goes to [`RELAY`] more.
    fn pass_on(&mut self, now: Time, from: Origin, record: &Record, out: &mut Out) {
        let for_all = is_for_all(record.space());
        let carried = self.gossip_on(now, from, record, out);
        let hearer = |session: &&Session| {
            (session.member().is_some() && (for_all || session.is_bolt()))
                && Some(session.conn) != from.conn()
                && session.key != record.author()
                && !(carried && self.gossip.carries(now, &session.key))
        };
        let mut hearers: Vec<ConnId> = self.sessions.values().filter(hearer).map(|s| s.conn).collect();
        let relayed = from.conn().and_then(|conn| self.sessions.get(&conn)).is_some_and(Session::is_bolt);
        if relayed && !for_all && hearers.len() > RELAY {
            self.dice.shuffle(&mut hearers);
            hearers.truncate(RELAY);
        }
        // Mostly gossip has carried it to everybody, and no frame is needed.
        if !hearers.is_empty() {
            let frame: Arc<[u8]> = Frame::Push(vec![Bytes::from(record.bytes().to_vec())]).encode().into();
            hearers.into_iter().for_each(|conn| Node::send_bytes(conn, frame.clone(), out));
        }
    }

    /// Looks again at what waited for an author or a signer.
    pub(crate) fn retry_parked(&mut self, now: Time, out: &mut Out) {
        let Some(spanner) = self.spanner() else { return };
        for record in std::mem::take(&mut self.parked.0) {
            let _ = self.consider(now, Origin::Late, record, &spanner, out);
        }
    }

    /// Answers a request for records by key.
    pub(crate) fn wanted(&mut self, now: Time, conn: ConnId, space: &Space, keys: &[Hash], out: &mut Out) {
        if keys.len() > limits::WANT_RECORDS {
            return self.misbehaved(now, conn, format!("{} records asked for in one frame", keys.len()), out);
        }
        if let Some(peer) = self.sessions.get(&conn).map(|s| s.key) {
            self.audit_lacks(space, &peer, keys, out);
        }
        let found = keys.iter().filter_map(|key| self.replica.get(space, key)).cloned().collect();
        self.send_records(conn, found, out);
    }

    /// Sends records in as many frames as they need.
    pub(crate) fn send_records(&self, conn: ConnId, records: Vec<Record>, out: &mut Out) {
        let (mut batch, mut size) = (Vec::new(), 0);
        for record in records {
            let bytes = record.bytes();
            if !batch.is_empty()
                && (size + bytes.len() > limits::FRAME_BYTES / 2
                    || batch.len() == limits::PUSH_RECORDS && !planted!(3))
            {
                self.send(conn, &Frame::Push(std::mem::take(&mut batch)), out);
                size = 0;
            }
            size += bytes.len() + 8;
            batch.push(Bytes::from(bytes.to_vec()));
        }
        if !batch.is_empty() {
            self.send(conn, &Frame::Push(batch), out);
        }
    }

    /// Writes a record of our own, now or when it is known that its sequence is free.
    pub(crate) fn write(&mut self, now: Time, space: Space, kind: u16, payload: Vec<u8>, out: &mut Out) {
        if self.trust.as_ref().is_none_or(|trust| !trust.in_standing()) {
            return;
        }
        if self.pen.waits.is_some() {
            // Of a register only the last value is worth keeping.
            let same = |w: &(Space, u16, Vec<u8>)| {
                w.0 == space && w.1 == kind && kind == register::REGISTER && w.2.get(..2) == payload.get(..2)
            };
            self.pen.waiting.retain(|w| !same(w));
            if self.pen.waiting.len() < PEN_RECORDS {
                self.pen.waiting.push_back((space, kind, payload));
            }
            return;
        }
        self.write_now(now, space, kind, payload, out);
    }

    pub(crate) fn write_now(&mut self, now: Time, space: Space, kind: u16, payload: Vec<u8>, out: &mut Out) {
        let Some(spanner) = self.spanner() else { return };
        let held = self.replica.head(&space, &self.me).map_or(0, |(seq, _)| seq);
        let last = held.max(self.pen.seen.get(&space).copied().unwrap_or(0));
        let Some(seq) = last.checked_add(1) else {
            return self
                .note("the last sequence there is was used with our key: nothing more is written", out);
        };
        let stamp = self.clock.tick(self.wall(now));
        match Record::sign(&self.key, &spanner, space, seq, kind, stamp, payload) {
            Ok(record) => {
                let form = match self.form_of(&record, &spanner) {
                    Ok(Some(form)) => form,
                    Ok(None) | Err(_) if kind == register::REGISTER => {
                        let slot = register::read(&record).map_or(0, |(slot, _)| slot);
                        Form::Register(slot)
                    }
                    _ => return self.note("a record of our own has no place yet: dropped", out),
                };
                self.file(now, Origin::Own, record, form, out);
            }
            Err(e) => self.note(format!("a record of our own cannot be made: {e}"), out),
        }
    }

    /// A peer says which of our records it has seen.
    pub(crate) fn pen_heard_heads(&mut self, now: Time, conn: ConnId, heads: &[Head], out: &mut Out) {
        self.heard_own_log(now, conn, heads, out);
        for head in heads.iter().take(16) {
            if head.space.audit_of().is_some() {
                continue;
            }
            let ours = self.replica.head(&head.space, &self.me);
            let known =
                self.pen.seen.get(&head.space).copied().unwrap_or(0).max(ours.map_or(0, |(seq, _)| seq));
            if !ours_to_write(&head.space) || head.seq > known.saturating_add(LEAP) {
                self.note("a peer speaks of records of ours that cannot be: not believed", out);
                continue;
            }
            self.pen.seen.insert(head.space.clone(), known.max(head.seq));
            // What an envoy wrote for bolts alone it may not ask for.
            let mine_to_want = self.is_bolt() || is_for_all(&head.space);
            match ours {
                Some((seq, id)) if seq == head.seq && id != head.id => {
                    // The same sequence, another record: ask for it, its arrival proves the fork.
                    if mine_to_want {
                        self.send(conn, &Frame::Want(head.space.clone(), vec![head.id]), out);
                    }
                }
                Some((seq, _)) if seq >= head.seq => {}
                _ => {
                    let text = format!("our disk is older than what peers have seen of us in {}", head.space);
                    self.note(text, out);
                    if mine_to_want {
                        self.send(conn, &Frame::Want(head.space.clone(), vec![head.id]), out);
                    }
                }
            }
        }
        // Envoys hold nobody's status: where there are bolts, a bolt's word is needed.
        let bolt = self.sessions.get(&conn).is_some_and(|s| s.is_bolt());
        let alone = self.other_bolts().next().is_none();
        if bolt || alone || (self.pen.waits.is_some() && planted!(18)) {
            self.pen.waits = None;
            self.pen_flush(now, out);
        }
    }

    /// A bolt says how far it has seen our audit log. An entry follows the one before, so its word is not enough
    /// to go on: the entry itself is asked for.
    fn heard_own_log(&mut self, now: Time, conn: ConnId, heads: &[Head], out: &mut Out) {
        if !self.is_bolt() || !self.sessions.get(&conn).is_some_and(|s| s.is_bolt()) {
            return;
        }
        let own = Space::audit(&self.me);
        let head = heads.iter().find(|head| head.space == own);
        self.audit_heard(now, head.map(|head| (head.seq, head.id)));
        if let Some(head) = head.filter(|head| !self.replica.contains(&own, &head.id)) {
            self.send(conn, &Frame::Want(own, vec![head.id]), out);
        }
    }

    pub(crate) fn pen_wake(&mut self, now: Time, out: &mut Out) {
        if self.pen.waits.is_some_and(|until| now >= until) {
            self.pen.waits = None;
            self.pen_flush(now, out);
        }
    }

    /// Starts waiting for a peer's word before anything is written.
    pub(crate) fn pen_wait(&mut self, now: Time) {
        self.pen.waits = Some(now.after(PATIENCE));
    }

    pub(crate) fn pen_flush(&mut self, now: Time, out: &mut Out) {
        if self.pen.waits.is_some() {
            return;
        }
        for (space, kind, payload) in std::mem::take(&mut self.pen.waiting) {
            self.write_now(now, space, kind, payload, out);
        }
        for handed_in in std::mem::take(&mut self.pen.handed_in) {
            self.submit(now, handed_in, out);
        }
    }

    /// Whose registers a bolt holds: for listings.
    pub(crate) fn register_value(&self, author: &PublicKey, slot: u16) -> Option<&[u8]> {
        let record = self.replica.register(&Space::status(), author, slot)?;
        register::read(record).ok().map(|(_, value)| value)
    }
}
