//! The node: one machine that composes the others and decides everything.
//!
//! [`Node`] holds the state and routes inputs; each topic has a module of its own that works on it:
//!
//! | module | topic |
//! |---|---|
//! | `session` | connections: papers first, then frames, each through the one door |
//! | `intake` | records: from bytes to a verdict, to the store, to other peers |
//! | `gossip` | what is gossiped, what is passed on, whom it is heard from |
//! | `trust` | who belongs, and what follows when that changes |
//! | `enrol` | joining, on both sides |
//! | `content` | blobs: who may read which, what to fetch, what to keep |
//! | `beacon`, `discover` | finding members, and fleets to join, on this machine's own networks |
//! | `follow` | from a new head of configuration to a run and its report |
//! | `tell` | registers, listings and everything else that is said about this node |
//! | `audit` | what this bolt writes down, and what it makes of the others' logs |
//! | `command` | the local API |
//!
//! Invariants: nothing is sent or acknowledged before it is persisted (the order of outputs says so); nothing is
//! heard from a peer before its papers hold; every table is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vigo_base::{Clock, Dice, Hash, Machine, Outbox, PublicKey, SecretKey, SpannerId, Time, time};
use vigo_content::config::ConfigView;
use vigo_content::settings::SettingsView;
use vigo_crdt::{Replica, Space, Statement};
use vigo_spanner::JoinRequests;
use vigo_swarm::exchange::Exchange;
use vigo_swarm::ids::{ConnId, OpId};
use vigo_swarm::peers::Peers;
use vigo_swarm::sync::Reconciler;

use crate::audit::Audit;
use crate::beacon::Beaconing;
use crate::boot::Options;
use crate::content::Blobs;
use crate::enrol::{Askers, Joining};
use crate::follow::Following;
use crate::gossip::Gossip;
use crate::intake::{Parked, Pen};
use crate::io::{Event, Input, Output, StoreOp};
use crate::session::Session;
use crate::sync::Salting;
use crate::trust::Trust;

/// How often peers exchange signs of life and digests.
pub(crate) const PING: u64 = time::secs(20);
/// How long a peer may be silent.
pub(crate) const SILENCE: u64 = time::secs(60);
/// How long a view of statements rests after it was made, in microseconds for each statement: about five times what
/// making it takes.
const REST: u64 = 50;
/// How often the address book and other slow chores are looked after.
const CHORES: u64 = time::secs(5);

/// Shorthand for where outputs go.
pub(crate) type Out = Outbox<Output>;

/// What an operation that was begun is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// A transfer: the exchange knows.
    Transfer,
    /// The route table of this publish is being read.
    Routes(Hash),
    /// The policy of this publish is being read.
    Policy(Hash),
    /// Traits are being collected for a run.
    Traits,
    /// A run is under way.
    Run,
    /// Nothing depends on its end.
    Chore,
}

/// Times at which something is due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    pub ping: Time,
    pub chores: Time,
    pub presence: Time,
}

/// One node of a fleet, or one that is about to join it.
pub struct Node {
    pub(crate) key: SecretKey,
    pub(crate) me: PublicKey,
    pub(crate) options: Options,
    pub(crate) started: Time,
    /// The time of the last input.
    pub(crate) last: Time,
    pub(crate) wall_offset: i64,
    pub(crate) dice: Dice,
    pub(crate) clock: Clock,
    pub(crate) replica: Replica,
    pub(crate) trust: Option<Trust>,
    pub(crate) joining: Option<Joining>,
    pub(crate) requests: JoinRequests,
    pub(crate) askers: Askers,
    pub(crate) parked: Parked,
    pub(crate) audit: Audit,
    pub(crate) pen: Pen,
    pub(crate) sessions: BTreeMap<ConnId, Session>,
    pub(crate) peers: Peers,
    pub(crate) lan: Beaconing,
    pub(crate) gossip: Gossip,
    /// Set once this process has joined: the one that converges is another.
    pub(crate) dormant: bool,
    pub(crate) sync: Reconciler,
    pub(crate) salting: Salting,
    /// How many spaces are compared with bolts.
    pub(crate) shared: usize,
    pub(crate) exchange: Exchange,
    pub(crate) blobs: Blobs,
    pub(crate) config: ConfigView,
    pub(crate) settings: SettingsView,
    /// The statements of config and settings, read.
    pub(crate) statements: BTreeMap<Space, BTreeMap<Hash, Arc<Statement>>>,
    pub(crate) following: Following,
    pub(crate) heard: BTreeMap<PublicKey, Time>,
    pub(crate) ops: BTreeMap<OpId, Op>,
    pub(crate) next_op: u64,
    pub(crate) timers: Timers,
    pub(crate) warnings: BTreeMap<&'static str, String>,
    /// Spaces whose records changed since the consequences were last drawn.
    pub(crate) touched: BTreeSet<Space>,
    /// Until when the view of a space rests.
    pub(crate) rests: BTreeMap<Space, Time>,
    /// The hash of the address book as it was last kept.
    pub(crate) saved_book: Option<Hash>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?}, {} sessions)", self.me, self.sessions.len())
    }
}

impl Machine for Node {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Time, input: Input, out: &mut Out) {
        self.last = now;
        let emitted = out.len();
        match input {
            Input::PeerUp { conn, key, dialed, address, exporter } => {
                self.peer_up(now, Session::new(conn, key, dialed, address, exporter, now), out);
            }
            Input::PeerDown { conn, why } => self.peer_down(now, conn, &why, out),
            Input::DialFailed { address, expect, why } => self.dial_failed(now, &address, expect, &why, out),
            Input::Frame { conn, bytes } => self.frame(now, conn, &bytes, out),
            Input::GossipUp { link, key, .. } => self.gossip_up(now, link, key),
            Input::GossipDown { link, .. } => self.gossip_down(now, link),
            Input::GossipHeard { message, from, bytes } => {
                self.gossip_heard(now, message, &from, &bytes, out);
            }
            Input::Asked { conn, ask, bytes } => self.asked(now, conn, ask, &bytes, out),
            Input::Done { op, outcome } => self.done(now, op, outcome, out),
            Input::Command { id, caller, command } => self.command(now, id, caller, command, out),
            Input::BlobStored { blob } => self.blob_stored(now, blob),
            Input::WallClock { offset } => self.wall_offset = offset,
            Input::Interfaces(found) => self.interfaces(now, found, out),
            Input::Beacon { interface, source, bytes } => {
                self.beacon_heard(now, interface, source, &bytes, out);
            }
            Input::Stopping => self.stopping(now, out),
        }
        self.settle(now, out);
        self.audit_events(now, emitted, out);
    }

    fn wake(&mut self, now: Time, out: &mut Out) {
        self.last = now;
        let emitted = out.len();
        if now >= self.timers.ping {
            self.timers.ping = now.after(PING / 2 + self.dice.below(PING));
            self.ping_all(now, out);
        }
        if now >= self.timers.chores {
            self.timers.chores = now.after(CHORES);
            self.chores(now, out);
        }
        if self.trust.is_some() && now >= self.timers.presence {
            self.timers.presence = now.after(time::secs(self.interval()));
            self.tell_presence(now, out);
        }
        self.pen_wake(now, out);
        self.discover_wake(now, out);
        self.joining_wake(now, out);
        self.beacon_wake(now, out);
        self.sync_wake(now, out);
        self.exchange_wake(now, out);
        self.dial_due(now, out);
        self.gossip_wake(now);
        self.follow_wake(now, out);
        self.audit_wake(now, out);
        self.settle(now, out);
        self.audit_events(now, emitted, out);
    }

    fn next_wake(&self) -> Option<Time> {
        let mut due = vec![self.timers.ping, self.timers.chores];
        due.extend(self.touched.iter().filter_map(|space| self.rests.get(space)).copied());
        if self.trust.is_some() {
            due.push(self.timers.presence);
        }
        if !self.dormant && self.trust.as_ref().is_some_and(Trust::in_standing) {
            due.extend(self.peers.next_wake(self.last, &self.connected(), &BTreeSet::new()));
            due.extend(self.following.next_wake());
        }
        due.extend(self.gossip.next_wake());
        due.extend(self.sync.next_wake());
        due.extend(self.exchange.next_wake());
        due.extend(self.audit_next_wake());
        due.extend(self.pen.next_wake());
        due.extend(self.joining.as_ref().and_then(Joining::next_wake));
        due.extend(self.beacon_next_wake());
        due.into_iter().min()
    }
}

impl Node {
    /// Draws the consequences of everything that changed, until nothing changes any more. A large view that was
    /// just made rests for a while, so that a burst of records does not make it again for each.
    pub(crate) fn settle(&mut self, now: Time, out: &mut Out) {
        // Trust first: it decides what counts in every other space. Bounded, because each pass takes a space
        // out and only admissions put others in.
        let mut drawn = false;
        for _ in 0..8 {
            let rests = |space: &&Space| self.rests.get(*space).is_none_or(|until| now >= *until);
            let Some(space) = self.touched.iter().find(rests).cloned() else { break };
            self.touched.remove(&space);
            drawn |= space != Space::status();
            if space == Space::admissions() {
                self.trust_changed(now, out);
            } else if space == Space::envoys() {
                self.envoys_changed(now, out);
            } else if space == Space::config() {
                self.config_changed(out);
            } else if space == Space::settings() {
                self.settings_changed(now);
            }
            let size = self.statements.get(&space).map_or(0, BTreeMap::len) as u64;
            match (size * REST).min(time::secs(1)) {
                short if short < time::millis(10) => drop(self.rests.remove(&space)),
                rest => drop(self.rests.insert(space, now.after(rest))),
            }
        }
        if drawn {
            self.audit_state(now, out);
        }
        self.follow(now, out);
        self.gossip_review(now, out);
    }

    /// Draws all consequences now: somebody asks.
    pub(crate) fn settle_all(&mut self, now: Time, out: &mut Out) {
        self.rests.clear();
        self.settle(now, out);
    }

    /// A name for what this node offers its peers of a space: equal sets have equal digests.
    pub fn digest(&self, space: &Space) -> Hash {
        self.replica.digest(space)
    }

    /// The keys of what this node offers its peers of a space.
    pub fn offered(&self, space: &Space) -> BTreeSet<Hash> {
        self.replica.sealed(space).keys().collect()
    }

    /// The fleet, once there is one.
    pub(crate) fn spanner(&self) -> Option<SpannerId> {
        self.trust.as_ref().map(|trust| trust.spanner())
    }

    /// Whether this node is a bolt in good standing.
    pub(crate) fn is_bolt(&self) -> bool {
        self.trust.as_ref().is_some_and(Trust::is_bolt)
    }

    /// The time by the wall clock, for what people wrote with theirs.
    pub(crate) fn wall(&self, now: Time) -> Time {
        Time(now.0.saturating_add_signed(self.wall_offset))
    }

    /// A new operation.
    pub(crate) fn op(&mut self, what: Op) -> OpId {
        self.next_op += 1;
        let op = OpId(self.next_op);
        self.ops.insert(op, what);
        op
    }

    /// Persists values by name.
    pub(crate) fn keep(&self, key: &'static str, value: Vec<u8>, out: &mut Out) {
        out.push(Output::Persist(vec![StoreOp::PutMeta { key: key.to_string(), value }]));
    }

    /// Says something in the log.
    pub(crate) fn note(&self, text: impl Into<String>, out: &mut Out) {
        out.push(Output::Emit(Event::Note(text.into())));
    }

    /// Seconds between two runs.
    pub(crate) fn interval(&self) -> u64 {
        self.options.interval.unwrap_or_else(|| self.settings.number("converge.interval")).max(1)
    }

    /// Sends one encoded frame.
    pub(crate) fn send_bytes(conn: ConnId, frame: Arc<[u8]>, out: &mut Out) {
        out.push(Output::Send { conn, frame });
    }

    fn stopping(&mut self, now: Time, out: &mut Out) {
        self.save_book(now, out);
        self.audit_stopping(now, out);
        let members: Vec<ConnId> = self.sessions.keys().copied().collect();
        for conn in members {
            self.farewell(conn, vigo_swarm::frame::Farewell::Stopping, "the node is stopping".into(), out);
        }
    }
}
