//! The field on which a crowd of replicas stands: who is connected with whom, what is on its way, what happens when.
//!
//! Each replica keeps two bolts and four others, a bolt keeps the other bolts (16 of them) and four others, as nodes
//! do; whom it dials is drawn at random instead of from an address book. Connections take three packets, greet with
//! digests, and carry a sign of life every 10 to 30 s; one whose other end lost power is given up after 15 s.
//!
//! Invariant: everything random is drawn from one seed, and everything that happens goes into the trace.

use std::collections::BTreeMap;

use vigo_base::hash::Hasher;
use vigo_base::time::{Micros, millis, mins, secs};
use vigo_base::{Dice, Hash, Machine as _, Time, limits};
use vigo_node::swarm::frame::{Digest, Frame};
use vigo_node::swarm::ids::ConnId;
use vigo_node::swarm::sync::Input;

use super::Crowd;
use super::member::{Member, Session, Slot, Stage};
use super::talk::Said;
use super::updates::{Shelf, Update};
use crate::Ix;
use crate::fleet::BEGINNING;
use crate::gossipsub::BEAT;
use crate::meter::Figures;
use crate::net::Links;
use crate::scenario::{Broken, Outcome};
use crate::world::World;

/// Bolts that a replica keeps, and that a bolt keeps; others that each keeps.
const KEEPS: (usize, usize, usize) = (2, 16, 4);
/// Time between two signs of life, at least; twice that on average, three times at most.
const PING: Micros = secs(10);
/// How long it takes to give up a connection whose other end is dead.
const NOTICE: Micros = secs(15);
/// Time for connections to be made before anything is said.
const WARMTH: Micros = secs(5);
/// Time before the end in which nothing new is said.
const QUIET: Micros = secs(5);
/// How long all may take to become equal in the end.
const SETTLES: Micros = mins(5);

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A member looks for somebody to connect with: a bolt, or another.
    Dial {
        who: u32,
        life: u16,
        bolt: bool,
    },
    /// A connection stands, at one of its ends.
    Up {
        who: u32,
        at: Slot,
    },
    /// An end gives up a connection.
    Down {
        who: u32,
        at: Slot,
    },
    Beat {
        who: u32,
        life: u16,
    },
    Ping {
        who: u32,
        life: u16,
    },
    Wake {
        who: u32,
        life: u16,
    },
    Gossip {
        to: u32,
        at: Slot,
        update: Update,
        asked: bool,
    },
    Names {
        to: u32,
        at: Slot,
        names: Box<[Update]>,
    },
    Asks {
        to: u32,
        at: Slot,
        names: Box<[Update]>,
    },
    Graft {
        to: u32,
        at: Slot,
    },
    Prune {
        to: u32,
        at: Slot,
    },
    Said {
        to: u32,
        at: Slot,
        said: Box<Said>,
    },
    /// Somebody says something new.
    Update,
    /// Some lose power.
    Crash,
}

/// How an update came to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Own,
    /// Over the mesh.
    Mesh,
    /// It was gossiped because it was asked for by name.
    Asked,
    /// On a connection: pushed, or found by reconciliation.
    Pushed,
}

/// What happened how often.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub accepted: u64,
    pub ignored: u64,
    pub lost: u64,
    pub resent: u64,
    pub twice: u64,
    pub overflow: u64,
    pub bad: u64,
    pub pushed: u64,
    pub compared: u64,
    pub differed: u64,
    crashed: u64,
    by_mesh: u64,
    by_asking: u64,
    by_push: u64,
    late: u64,
}

/// A crowd of replicas in a world.
pub(super) struct Field {
    pub world: World<Event>,
    pub members: Vec<Member>,
    pub shelf: Shelf,
    pub links: Links,
    pub dice: Dice,
    pub figures: Figures,
    pub counts: Counts,
    /// Bytes of a sign of life.
    pub sign_of_life: u64,
    bolts: usize,
    crashed: u64,
    happened: u64,
    trace: Hasher,
    /// What is to go into the trace.
    line: Vec<u8>,
}

/// Runs a crowd of replicas.
pub(super) fn run(
    crowd: &Crowd,
    seed: u64,
    progress: &mut dyn FnMut(Micros, Micros),
) -> Result<Outcome, Broken> {
    let mut field = Field::new(crowd, seed);
    field.plan(crowd);
    let step = (crowd.lasts / 100).max(1);
    for n in 1..=100 {
        field.until(BEGINNING.after(n * step));
        progress(n * step, crowd.lasts);
    }
    field.all_on();
    let began = field.world.now();
    while !field.is_equal() {
        let passed = field.world.now().since(began);
        if passed > SETTLES {
            return Err(field.unequal());
        }
        field.until(field.world.now().after(millis(100)));
        progress(crowd.lasts, crowd.lasts);
    }
    let settled = field.world.now().since(began);
    Ok(field.outcome(settled))
}

impl Field {
    fn new(crowd: &Crowd, seed: u64) -> Field {
        let mut dice = Dice::from_number(seed ^ 0xc0_0d00_0000);
        let shelf = Shelf::new(BEGINNING, &mut dice);
        let bolts = crowd.bolts();
        let mut members: Vec<Member> = Vec::with_capacity(crowd.nodes);
        for n in 0..crowd.nodes {
            let mut member = Member::new(n < bolts, &mut dice);
            for update in 0..shelf.len() as Update {
                if let Some((record, form)) = shelf.judged(update) {
                    member.replica.insert(record.clone(), *form);
                }
            }
            members.push(member);
        }
        let digest =
            |space: &vigo_node::crdt::Space| Digest { space: space.clone(), digest: Hash::default() };
        let sign = Frame::Ping(shelf.spaces.iter().map(digest).collect());
        Field {
            world: World::new(BEGINNING),
            members,
            shelf,
            links: crowd.network(),
            dice,
            figures: Figures { runs: 1, nodes: crowd.nodes as u64, ..Figures::default() },
            counts: Counts::default(),
            sign_of_life: sign.encode().len() as u64,
            bolts,
            crashed: crowd.crashed,
            happened: 0,
            trace: Hasher::default(),
            line: Vec::new(),
        }
    }

    /// Puts what people and power do into the future.
    fn plan(&mut self, crowd: &Crowd) {
        for who in 0..self.members.len() {
            self.start(who);
        }
        let room = crowd.lasts.saturating_sub(WARMTH + QUIET);
        let updates = crowd.updates as u64;
        for n in 0..updates {
            self.world.at(BEGINNING.after(WARMTH + room * n / updates.max(1)), Event::Update);
        }
        if crowd.crashed > 0 {
            // While the update in the middle spreads.
            let middle = room * (updates / 2) / updates.max(1);
            self.world.at(BEGINNING.after(WARMTH + middle + millis(60)), Event::Crash);
        }
    }

    fn until(&mut self, until: Time) {
        while let Some(event) = self.world.pop(until) {
            self.happened += 1;
            self.note(&event);
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Dial { who, life, bolt } if self.is_life(who, life) => self.dial(who as Ix, bolt),
            Event::Up { who, at } => self.up(who as Ix, at),
            Event::Down { who, at } => self.down(who as Ix, at),
            Event::Beat { who, life } if self.is_life(who, life) => {
                self.heartbeat(who as Ix);
                self.world.after(BEAT, Event::Beat { who, life });
            }
            Event::Ping { who, life } if self.is_life(who, life) => {
                self.ping(who as Ix);
                let after = PING + self.dice.below(2 * PING);
                self.world.after(after, Event::Ping { who, life });
            }
            Event::Wake { who, life } if self.is_life(who, life) => {
                if self.members[who as Ix].wake_at == Some(self.world.now()) {
                    self.members[who as Ix].wake_at = None;
                    self.sync_wake(who as Ix);
                }
            }
            Event::Dial { .. } | Event::Beat { .. } | Event::Ping { .. } | Event::Wake { .. } => {}
            Event::Gossip { to, at, update, asked } => self.gossip_comes(to as Ix, at, update, asked),
            Event::Names { to, at, names } => self.told(to as Ix, at, &names),
            Event::Asks { to, at, names } => self.asked(to as Ix, at, &names),
            Event::Graft { to, at } => self.grafted(to as Ix, at),
            Event::Prune { to, at } => self.pruned(to as Ix, at),
            Event::Said { to, at, said } => self.hear(to as Ix, at, *said),
            Event::Update => self.update(),
            Event::Crash => self.crash(),
        }
    }

    fn is_life(&self, who: u32, life: u16) -> bool {
        self.members[who as Ix].life == life
    }

    fn start(&mut self, who: Ix) {
        let now = self.world.now();
        let member = &mut self.members[who];
        member.start(now, &mut self.dice);
        let (life, bolt) = (member.life, member.bolt);
        let others = self.bolts - usize::from(bolt);
        let bolts = if bolt { others.min(KEEPS.1) } else { others.min(KEEPS.0) };
        let who = who as u32;
        for n in 0..bolts + KEEPS.2 {
            let after = self.dice.below(secs(1));
            self.world.after(after, Event::Dial { who, life, bolt: n < bolts });
        }
        let (beat, ping) = (self.dice.below(BEAT), self.dice.below(2 * PING));
        self.world.after(beat, Event::Beat { who, life });
        self.world.after(ping, Event::Ping { who, life });
    }

    /// Opens a connection to somebody at random with whom there is none.
    fn dial(&mut self, who: Ix, bolt: bool) {
        let (from, count) =
            if bolt { (0, self.bolts) } else { (self.bolts, self.members.len() - self.bolts) };
        let life = self.members[who].life;
        let drawn = (0..16).find_map(|_| {
            let target = from + self.dice.below(count as u64) as usize;
            let room = if bolt { limits::BOLT_PEERS } else { limits::ENVOY_PEERS };
            let fits = target != who && !self.members[who].is_with(target);
            (fits && self.members[target].load().0 < room).then_some(target)
        });
        let Some(target) = drawn.filter(|target| self.members[*target].on) else {
            // Nobody answers, or all are known: again in a while.
            let after = secs(1) + self.dice.below(secs(1));
            return self.world.after(after, Event::Dial { who: who as u32, life, bolt });
        };
        let link = [who, target].iter().all(|ix| {
            let member = &self.members[*ix];
            member.load().1 < if member.bolt { limits::BOLT_LINKS } else { limits::ENVOY_LINKS }
        });
        let (here, there) =
            (self.members[who].sessions.len() as Slot, self.members[target].sessions.len() as Slot);
        let session = |peer: Ix, other, dialed| Session {
            peer: peer as u32,
            other,
            stage: Stage::Dialing,
            dialed,
            link,
            mesh: false,
            queued: 0,
            since: Time(0),
            backoff: Time(0),
            last: Time(0),
        };
        self.members[who].sessions.push(session(target, there, true));
        self.members[target].sessions.push(session(who, here, false));
        let after = (0..3).map(|_| self.links.packet(&mut self.dice)).sum();
        self.world.after(after, Event::Up { who: who as u32, at: here });
        self.world.after(after, Event::Up { who: target as u32, at: there });
    }

    fn up(&mut self, who: Ix, at: Slot) {
        let now = self.world.now();
        let session = &mut self.members[who].sessions[at as usize];
        if session.stage != Stage::Dialing {
            return;
        }
        (session.stage, session.since) = (Stage::Up, now);
        let (leads, link, conn) = (session.dialed, session.link, ConnId(u64::from(at)));
        self.sync(who, Input::Up { conn, leads, sketches: false, spaces: self.shelf.spaces.to_vec() });
        let of = self.digests(who);
        self.say(who, at, Said::Digests { asks: false, of });
        if link {
            self.link_up(who, at);
        }
    }

    /// A connection has ended; whoever dialed it looks for another.
    fn down(&mut self, who: Ix, at: Slot) {
        let member = &mut self.members[who];
        let session = &mut member.sessions[at as usize];
        if session.stage == Stage::Over {
            return;
        }
        (session.stage, session.mesh) = (Stage::Over, false);
        let (dialed, peer, life) = (session.dialed, session.peer as usize, member.life);
        self.sync(who, Input::Gone(ConnId(u64::from(at))));
        if dialed {
            let (after, bolt) = (millis(50) + self.dice.below(millis(200)), peer < self.bolts);
            self.world.after(after, Event::Dial { who: who as u32, life, bolt });
        }
    }

    fn ping(&mut self, who: Ix) {
        let of = self.digests(who);
        for at in self.members[who].places(|_| true) {
            self.say(who, at, Said::Digests { asks: true, of: of.clone() });
        }
    }

    /// Sees to it that the reconciler is woken when it wants to be.
    pub(super) fn schedule(&mut self, who: Ix) {
        let now = self.world.now();
        let member = &mut self.members[who];
        let Some(due) = member.sync.next_wake().map(|due| due.max(now)) else { return };
        if member.wake_at.is_none_or(|at| due < at) {
            member.wake_at = Some(due);
            self.world.at(due, Event::Wake { who: who as u32, life: member.life });
        }
    }

    /// Somebody who is on says something.
    fn update(&mut self) {
        let on = |field: &Field, who: Ix| field.members[who].on;
        let count = self.members.len() as u64;
        let mut author = self.dice.below(count) as Ix;
        while !on(self, author) {
            author = self.dice.below(count) as Ix;
        }
        let update = self.shelf.make(self.world.now(), author, &mut self.dice);
        self.figures.updates += 1;
        self.take(author, update, None, Way::Own);
    }

    /// The share of the crowd that is to lose power loses it, all in one moment.
    fn crash(&mut self) {
        let mut all: Vec<Ix> = (0..self.members.len()).collect();
        self.dice.shuffle(&mut all);
        let count = (all.len() as u64 * self.crashed / 100) as usize;
        for who in all.into_iter().take(count) {
            self.counts.crashed += 1;
            for session in self.members[who].die() {
                self.world.after(NOTICE, Event::Down { who: session.peer, at: session.other });
            }
        }
    }

    /// Everybody gets power again.
    fn all_on(&mut self) {
        for who in 0..self.members.len() {
            if !self.members[who].on {
                self.start(who);
            }
        }
    }

    /// A member has an update for the first time.
    pub(super) fn delivered(&mut self, who: Ix, update: Update, way: Way) {
        let item = self.shelf.item(update);
        let there = self.members[who].since <= item.at;
        match way {
            Way::Own => return,
            _ if !there => self.counts.late += 1,
            Way::Mesh => self.counts.by_mesh += 1,
            Way::Asked => self.counts.by_asking += 1,
            Way::Pushed => self.counts.by_push += 1,
        }
        if there {
            self.figures.pairs += 1;
            self.figures.delivery.add(self.world.now().since(item.at));
        }
    }

    fn is_equal(&self) -> bool {
        let first = self.digests(0);
        (1..self.members.len()).all(|who| self.digests(who) == first)
    }

    fn note(&mut self, event: &Event) {
        let (kind, who, at, more) = match event {
            Event::Dial { who, bolt, .. } => (0, *who, 0, u32::from(*bolt)),
            Event::Up { who, at } => (1, *who, *at, 0),
            Event::Down { who, at } => (2, *who, *at, 0),
            Event::Beat { who, .. } => (3, *who, 0, 0),
            Event::Ping { who, .. } => (4, *who, 0, 0),
            Event::Wake { who, .. } => (5, *who, 0, 0),
            Event::Gossip { to, at, update, asked } => (6, *to, *at, *update << 1 | u32::from(*asked)),
            Event::Names { to, at, names } => (7, *to, *at, names.len() as u32),
            Event::Asks { to, at, names } => (8, *to, *at, names.len() as u32),
            Event::Graft { to, at } => (9, *to, *at, 0),
            Event::Prune { to, at } => (10, *to, *at, 0),
            Event::Said { to, at, said } => (11, *to, *at, kind_of(said)),
            Event::Update => (12, 0, 0, 0),
            Event::Crash => (13, 0, 0, 0),
        };
        self.line.push(kind);
        self.line.extend_from_slice(&self.world.now().0.to_le_bytes());
        for number in [who, at, more] {
            self.line.extend_from_slice(&number.to_le_bytes());
        }
        if self.line.len() > 16_384 {
            self.trace.update(&self.line);
            self.line.clear();
        }
    }

    fn unequal(&self) -> Broken {
        let first = self.digests(0);
        let differ = (1..self.members.len()).filter(|who| self.digests(*who) != first).count();
        let what = format!(
            "{differ} of {} differ from the first {} s after the end",
            self.members.len(),
            SETTLES / 1_000_000
        );
        Broken { promise: "equal sets in the end", what, report: format!("{:?}", self.counts) }
    }

    fn outcome(mut self, settled: Micros) -> Outcome {
        self.figures.settle.add(settled);
        self.trace.update(&self.line);
        // What everybody holds says more than what happened.
        self.digests(0).iter().for_each(|(_, digest)| self.trace.update(&digest.0));
        let counts = &self.counts;
        let named: [(&'static str, u64); 16] = [
            ("gossip accepted", counts.accepted),
            ("gossip ignored", counts.ignored),
            ("gossip lost", counts.lost),
            ("gossip came twice", counts.twice),
            ("gossip overflow", counts.overflow),
            ("frame sent again", counts.resent),
            ("malformed", counts.bad),
            ("records pushed", counts.pushed),
            ("spaces compared", counts.compared),
            ("differences found", counts.differed),
            ("crashed", counts.crashed),
            ("delivered by the mesh", counts.by_mesh),
            ("delivered by asking", counts.by_asking),
            ("delivered on a connection", counts.by_push),
            ("caught up after an absence", counts.late),
            ("waiting at the end", self.world.waiting() as u64),
        ];
        let reached: BTreeMap<&'static str, u64> = named.into_iter().filter(|(_, n)| *n > 0).collect();
        Outcome {
            trace: self.trace.finish(),
            events: self.happened,
            nodes: self.members.len(),
            lasted: self.world.now().since(BEGINNING),
            settled,
            reached,
            figures: self.figures,
        }
    }
}

fn kind_of(said: &Said) -> u32 {
    match said {
        Said::Digests { asks, of } => 16 * of.len() as u32 + u32::from(*asks),
        Said::Compare(place, message) => (message.len() as u32) << 4 | u32::from(*place) << 2,
        Said::Compared(place, answer) => (answer.len() as u32) << 4 | u32::from(*place) << 2 | 1,
        Said::Want(place, keys) => (keys.len() as u32) << 4 | u32::from(*place) << 2 | 2,
        Said::Push(updates) => (updates.len() as u32) << 4 | 3,
    }
}
