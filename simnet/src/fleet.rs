//! A fleet in a world: performs what nodes want done, and tells them what happened.
//!
//! The driver's rule is kept to the letter: outputs are performed in order, and a machine that loses power between
//! two of them has performed those before and none behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::hash::Hasher;
use vigo_base::time::{Micros, millis, secs};
use vigo_base::{Dice, Hash, Machine as _, Outbox, PublicKey, SecretKey, Time};
use vigo_node::swarm::frame::Bulk;
use vigo_node::swarm::ids::{ConnId, OpId};
use vigo_node::swarm::outline::{BlobRef, Outline};
use vigo_node::{
    Answer, AskId, Caller, Command, CommandId, Done, Effect, Failed, Input, Outlined, Output, Refusal, Reply,
    StoreOp,
};

use crate::Ix;
use crate::faults::Rates;
use crate::lan::Lans;
use crate::machine::{Machine, Power};
use crate::mesh::Mesh;
use crate::meter::Meter;
use crate::net::{Links, NOTICE, Net};
use crate::world::World;

/// When every simulation begins: 2026-01-01.
pub(crate) const BEGINNING: Time = Time(1_767_225_600_000_000);

/// About what the first packets of a connection weigh, in bytes each way.
const HANDSHAKE: usize = 2_400;
/// About what a chunk weighs, in bytes.
const CHUNK: usize = 64 * 1024;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A machine's node gets an input, if it is still the same life.
    Input(Ix, u64, Box<Input>),
    /// A machine's node wants to be woken.
    Wake(Ix, u64),
    /// The ends of cut links notice.
    Notice,
    /// A gossiped message comes to a machine, if it is still the same life.
    Gossip {
        /// Which machine.
        to: Ix,
        /// Which life of it.
        life: u64,
        /// From which.
        from: Ix,
        /// The message.
        bytes: Arc<[u8]>,
    },
}

/// A bulk request under way.
#[derive(Debug, Clone)]
struct Ask {
    by: Ix,
    life: u64,
    op: OpId,
    blob: BlobRef,
    chunk: Option<(u32, Hash)>,
}

/// A fleet of simulated machines.
#[derive(Debug)]
pub struct Fleet {
    pub(crate) world: World<Event>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) net: Net,
    pub(crate) mesh: Mesh,
    /// Whether machines added from now on gossip.
    pub(crate) gossips: bool,
    pub(crate) dice: Dice,
    asks: BTreeMap<u64, Ask>,
    replies: BTreeMap<u64, Result<Reply, Refusal>>,
    next: u64,
    happened: u64,
    trace: Hasher,
    /// The operator that `found` made.
    pub operator: SecretKey,
    /// The recovery key.
    pub recovery: SecretKey,
    /// Pulls a machine's plug after so many more of its outputs.
    pub(crate) plug: BTreeMap<Ix, u64>,
    /// What fails at random now.
    pub faults: Rates,
    pub(crate) lans: Lans,
    pub(crate) meter: Meter,
    /// How often each fault, and each branch worth naming, was really reached.
    pub reached: BTreeMap<&'static str, u64>,
}

impl Fleet {
    /// An empty fleet; everything random in it comes from `seed`.
    pub fn new(seed: u64) -> Fleet {
        let mut dice = Dice::from_number(seed);
        let operator = SecretKey::from_seed(dice.bytes());
        let recovery = SecretKey::from_seed(dice.bytes());
        Fleet {
            world: World::new(BEGINNING),
            machines: Vec::new(),
            net: Net::default(),
            mesh: Mesh::default(),
            gossips: true,
            dice,
            asks: BTreeMap::new(),
            replies: BTreeMap::new(),
            next: 0,
            happened: 0,
            trace: Hasher::default(),
            operator,
            recovery,
            plug: BTreeMap::new(),
            faults: Rates::default(),
            lans: Lans::default(),
            meter: Meter::default(),
            reached: BTreeMap::new(),
        }
    }

    /// A fleet on a network of its own kind.
    pub fn over(mut self, links: Links) -> Fleet {
        self.net.links = links;
        self
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// A hash over everything that happened so far.
    pub fn trace(&self) -> Hash {
        self.trace.clone().finish()
    }

    /// How many events have happened.
    pub fn events(&self) -> u64 {
        self.happened
    }

    /// The machine with this index.
    pub fn machine(&self, ix: Ix) -> &Machine {
        &self.machines[ix]
    }

    /// The machine with this index, to be tampered with.
    pub fn machine_mut(&mut self, ix: Ix) -> &mut Machine {
        &mut self.machines[ix]
    }

    /// A new machine, switched off.
    pub fn add(&mut self, name: &str) -> Ix {
        let ix = self.machines.len();
        let key = SecretKey::from_seed(self.dice.bytes());
        let mut machine = Machine::new(name, key, vec![Net::address(ix)]);
        machine.gossip = machine.gossip.filter(|_| self.gossips);
        self.machines.push(machine);
        ix
    }

    /// Lets a machine dial out only: it announces no address and takes no connection.
    pub fn only_dials(&mut self, ix: Ix) {
        self.net.set_dial_only(ix);
        self.machines[ix].addresses.clear();
        self.machines[ix].gossip = None;
    }

    /// Lets a machine announce one more address, from its next start on.
    pub fn announces(&mut self, ix: Ix, address: String) {
        self.machines[ix].addresses.push(address);
    }

    /// Switches a machine on.
    pub fn start(&mut self, ix: Ix) {
        let now = self.local(ix);
        let mut out = Outbox::new();
        let started = self.machines[ix].boot(now, &mut self.dice, &mut out);
        assert_eq!(started, Ok(()), "{} does not start", self.machines[ix].name);
        self.perform(ix, out);
        self.schedule(ix);
        self.tell_interfaces(ix);
    }

    /// Pulls a machine's plug: connections break, what was not committed is gone.
    pub fn kill(&mut self, ix: Ix) {
        self.machines[ix].die();
        let life = self.machines[ix].life;
        self.record(&("kill", ix, life));
        for (conn, (peer, other)) in self.net.of(ix) {
            self.net.close(ix, conn);
            let why = "the connection broke".to_string();
            self.post(NOTICE / 30, peer, Input::PeerDown { conn: other, why });
        }
        self.asks.retain(|_, ask| ask.by != ix);
        self.gossip_dies(ix);
    }

    /// Pulls a machine's plug in the middle of what it is about to do: after `outputs` more outputs.
    pub fn kill_after(&mut self, ix: Ix, outputs: u64) {
        self.plug.insert(ix, outputs);
    }

    /// Leaves a plug where it is.
    pub fn spare(&mut self, ix: Ix) {
        self.plug.remove(&ix);
    }

    /// Lets time pass.
    pub fn elapse(&mut self, micros: Micros) {
        let until = self.now().after(micros);
        while let Some(event) = self.world.pop(until) {
            self.happen(event);
        }
    }

    /// Lets time pass until `holds`, at most `limit`; gives how long it took.
    pub fn until(&mut self, limit: Micros, mut holds: impl FnMut(&Fleet) -> bool) -> Option<Micros> {
        let began = self.now();
        while self.now().since(began) <= limit {
            if holds(self) {
                return Some(self.now().since(began));
            }
            self.elapse(millis(50));
        }
        None
    }

    /// A call of a machine's local API, answered at once or within a virtual minute.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn call(&mut self, ix: Ix, command: Command) -> Result<Reply, Refusal> {
        self.try_call(ix, command).unwrap_or_else(|| panic!("{} never answers", self.machines[ix].name))
    }

    /// A call that a machine may fail to answer, because it is off or loses power meanwhile.
    pub fn try_call(&mut self, ix: Ix, command: Command) -> Option<Result<Reply, Refusal>> {
        self.next += 1;
        let id = self.next;
        let caller = Caller { uid: 0, admin: true };
        let (began, life) = (self.now(), self.machines[ix].life);
        self.input(ix, Input::Command { id: CommandId(id), caller, command });
        loop {
            if let Some(reply) = self.replies.remove(&id) {
                return Some(reply);
            }
            let over = self.machines[ix].node.is_none() || self.machines[ix].life != life;
            if over || self.now().since(began) >= secs(60) {
                return None;
            }
            self.elapse(millis(10));
        }
    }

    /// Gives a machine's node an input now, as its driver would.
    pub fn input(&mut self, ix: Ix, input: Input) {
        let now = self.local(ix);
        if let Some(inbox) = self.machines[ix].inbox.as_mut() {
            return inbox.push(input);
        }
        let Some(node) = self.machines[ix].node.as_mut() else { return };
        let mut out = Outbox::new();
        node.handle(now, input, &mut out);
        self.perform(ix, out);
        self.schedule(ix);
    }

    fn happen(&mut self, event: Event) {
        self.happened += 1;
        match event {
            Event::Input(ix, life, input) if self.machines[ix].life == life => self.input(ix, *input),
            // One that an earlier moment has replaced is void, or each would bring forth another.
            Event::Wake(ix, life)
                if self.machines[ix].life == life && self.machines[ix].wake_at == Some(self.now()) =>
            {
                let now = self.local(ix);
                self.machines[ix].wake_at = None;
                self.machines[ix].must_not_spin(now);
                let mut out = Outbox::new();
                if let Some(node) = self.machines[ix].node.as_mut() {
                    node.wake(now, &mut out);
                }
                self.perform(ix, out);
                self.schedule(ix);
            }
            Event::Input(..) | Event::Wake(..) => {}
            Event::Gossip { to, life, from, bytes } => {
                let same = self.machines[to].life == life;
                self.gossip_comes(to, from, same, bytes);
            }
            Event::Notice => {
                self.gossip_notices();
                for (ix, conn) in self.net.severed() {
                    self.net.close(ix, conn);
                    self.post(0, ix, Input::PeerDown { conn, why: "timed out".into() });
                }
            }
        }
    }

    fn schedule(&mut self, ix: Ix) {
        let now = self.now();
        let machine = &mut self.machines[ix];
        let Some(due) = machine.node.as_ref().and_then(|n| n.next_wake()) else { return };
        let due = machine.clock.world(now, due).max(now.after(1));
        if machine.wake_at.is_none_or(|at| due < at) {
            machine.wake_at = Some(due);
            self.world.at(due, Event::Wake(ix, machine.life));
        }
    }

    pub(crate) fn post(&mut self, delay: Micros, ix: Ix, input: Input) {
        let life = self.machines[ix].life;
        self.world.after(delay, Event::Input(ix, life, Box::new(input)));
    }

    pub(crate) fn record(&mut self, what: &impl std::fmt::Debug) {
        let line = format!("{} {what:?}\n", self.now().0);
        self.trace.update(line.as_bytes());
    }

    /// Performs outputs in order; stops where the plug is pulled.
    fn perform(&mut self, ix: Ix, mut out: Outbox<Output>) {
        let life = self.machines[ix].life;
        for output in out.drain().collect::<Vec<_>>() {
            if let Some(left) = self.plug.get_mut(&ix) {
                if *left == 0 {
                    self.plug.remove(&ix);
                    return self.kill(ix);
                }
                *left -= 1;
            }
            self.record(&(ix, Summary(&output)));
            self.one(ix, output);
            if self.machines[ix].life != life {
                return;
            }
        }
    }

    fn one(&mut self, ix: Ix, output: Output) {
        let now = self.now();
        match output {
            Output::Persist(ops) => self.machines[ix].disk.commit(ops),
            Output::Dial { address, expect } => self.dial(ix, address, expect),
            Output::Admit { .. } | Output::Extend { .. } => {}
            Output::Send { conn, frame } => self.send(ix, conn, &frame),
            Output::HangUp { conn, why } => {
                let arrives = self.net.arrival(now, (ix, conn), why.len(), &mut self.dice);
                if let Some((peer, other)) = self.net.close(ix, conn) {
                    let heard = arrives.filter(|_| self.net.reaches(ix, peer));
                    let delay = heard.map_or(NOTICE, |transit| transit.delay);
                    self.post(delay, peer, Input::PeerDown { conn: other, why: why.clone() });
                    self.post(0, ix, Input::PeerDown { conn, why });
                }
            }
            Output::GossipDial { key, address } => self.gossip_dial(ix, key, &address),
            Output::GossipCut { key, refuse, .. } => self.gossip_cut(ix, key, refuse),
            Output::Gossip { bytes } => self.gossip(ix, &bytes),
            Output::GossipVerdict { message, verdict } => self.gossip_verdict(ix, message, verdict),
            Output::Answer { ask, answer } => self.answer(ix, ask, answer),
            Output::Begin { op, effect } => self.begin(ix, op, effect),
            Output::Reply { id, reply } => drop(self.replies.insert(id.0, reply)),
            Output::Beacon { from, bytes, .. } => self.shout(ix, from, &bytes),
            Output::Inform(evidence) => self.machines[ix].hear(&evidence),
            Output::Emit(event) => {
                self.meter.hears(now, ix, &event);
                self.machines[ix].note(now, event);
            }
        }
    }

    fn dial(&mut self, ix: Ix, address: String, expect: Option<PublicKey>) {
        self.note_dial(ix, &address);
        let target = Net::machine_at(&address).filter(|t| *t < self.machines.len());
        let up = |t: &Ix| {
            self.machines[*t].power() == Power::On && self.net.accepts(*t) && self.net.both_ways(ix, *t)
        };
        let Some(target) = target.filter(up) else {
            let why = "no answer".to_string();
            return self.post(secs(1), ix, Input::DialFailed { address, expect, why });
        };
        let key = self.machines[target].key.public();
        if expect.is_some_and(|expected| expected != key) {
            let why = "another key answers".to_string();
            return self.post(millis(5), ix, Input::DialFailed { address, expect, why });
        }
        let ours = self.machines[ix].key.public();
        let (x, y, exporter) = self.net.connect(ix, target, (ours, key));
        let delay = self.transit(ix, target, HANDSHAKE)
            + self.transit(target, ix, HANDSHAKE)
            + self.transit(ix, target, 0);
        self.post(delay, ix, Input::PeerUp { conn: x, key, dialed: true, address, exporter });
        let address = Net::address(ix);
        self.post(delay, target, Input::PeerUp { conn: y, key: ours, dialed: false, address, exporter });
    }

    fn begin(&mut self, ix: Ix, op: OpId, effect: Effect) {
        let (delay, done) = match effect {
            Effect::FetchOutline { conn, blob } => return self.ask(ix, op, conn, blob, None),
            Effect::FetchChunk { conn, blob, index, hash, .. } => {
                return self.ask(ix, op, conn, blob, Some((index, hash)));
            }
            Effect::FinishBlob { .. } if self.disk_fails() => {
                (millis(2), Done::Finished(Err(Failed::Local("no space".into()))))
            }
            Effect::FinishBlob { blob } => (millis(2), Done::Finished(self.machines[ix].finish(&blob))),
            Effect::ReadBlob { .. } if self.disk_fails() => {
                (millis(1), Done::Read(Err(Failed::Local("input/output error".into()))))
            }
            Effect::ReadBlob { blob } => {
                let found = self.machines[ix].disk.blobs.get(&blob.hash).map(|(_, bytes)| bytes.to_vec());
                (millis(1), Done::Read(found.ok_or(Failed::Gone)))
            }
            Effect::DropBlobs { blobs } => {
                blobs.iter().for_each(|hash| drop(self.machines[ix].disk.blobs.remove(hash)));
                (millis(1), Done::Dropped)
            }
            Effect::CollectTraits => {
                let traits = vigo_executors::traits::collect(&self.machines[ix].host).to_string();
                (millis(20), Done::Traits(Ok(traits)))
            }
            Effect::Converge { at, routes, policy, evidence, dry_run } => {
                let done = self.machines[ix].converge(at, [routes, policy], &evidence, dry_run);
                (millis(50), done)
            }
        };
        self.post(delay, ix, Input::Done { op, outcome: done });
    }

    fn ask(&mut self, ix: Ix, op: OpId, conn: ConnId, blob: BlobRef, chunk: Option<(u32, Hash)>) {
        let gone = |chunk: Option<_>| match chunk {
            None => Done::Outline(Err(Failed::Gone)),
            Some(_) => Done::Chunk(Err(Failed::Gone)),
        };
        let reached = self.net.peer(ix, conn).filter(|(peer, _)| self.net.reaches(ix, *peer));
        let Some((peer, other)) = reached else {
            return self.post(millis(1), ix, Input::Done { op, outcome: gone(chunk) });
        };
        self.next += 1;
        let life = self.machines[ix].life;
        self.asks.insert(self.next, Ask { by: ix, life, op, blob, chunk });
        let bulk = match chunk {
            None => Bulk::Outline(blob),
            Some((index, _)) => Bulk::Chunk(blob.exchange, index),
        };
        let bytes = bulk.encode();
        let delay = self.transit(ix, peer, bytes.len());
        let ask = AskId(self.next);
        self.post(delay, peer, Input::Asked { conn: other, ask, bytes });
    }

    fn answer(&mut self, ix: Ix, ask: AskId, answer: Answer) {
        let Some(Ask { by, life, op, blob, chunk }) = self.asks.remove(&ask.0) else { return };
        if self.machines[by].life != life {
            return;
        }
        if let Some(why) = self.fetch_fails(ix, by) {
            let outcome = match chunk {
                None => Done::Outline(Err(why)),
                Some(_) => Done::Chunk(Err(why)),
            };
            return self.post(secs(1), by, Input::Done { op, outcome });
        }
        let outcome = match (answer, chunk) {
            (Answer::Refuse(why), None) => Done::Outline(Err(Failed::Refused(why))),
            (Answer::Refuse(why), Some(_)) => Done::Chunk(Err(Failed::Refused(why))),
            (Answer::Outline(_), _) => Done::Outline(
                self.machines[ix]
                    .outline(&blob)
                    .map(|outline| Outlined { outline, held: None })
                    .ok_or(Failed::Gone),
            ),
            (Answer::Chunk { .. }, Some((index, hash))) => {
                let bytes = self.machines[ix].chunk(&blob, index).filter(|b| Hash::of(b) == hash);
                self.meter.bulk(bytes.as_ref().map_or(0, |bytes| bytes.len()));
                let kept = bytes.map(|bytes| self.machines[by].keep_chunk(&blob, index, bytes));
                Done::Chunk(kept.ok_or_else(|| Failed::BadContent("another chunk".into())))
            }
            (Answer::Chunk { .. }, None) => Done::Outline(Err(Failed::BadContent("a chunk".into()))),
        };
        let delay = self.transit(ix, by, weight(&outcome));
        self.post(delay, by, Input::Done { op, outcome });
    }
}

/// About how many bytes of an answer cross the network.
fn weight(outcome: &Done) -> usize {
    match outcome {
        Done::Chunk(Ok(())) => CHUNK,
        Done::Outline(Ok(outlined)) => 40 * outlined.outline.chunks.len(),
        _ => 0,
    }
}

impl Machine {
    fn outline(&self, blob: &BlobRef) -> Option<Outline> {
        self.whole(blob)
            .map(|(outline, _)| outline)
            .or_else(|| self.partial.get(&blob.hash).map(|p| p.0.clone()))
    }

    fn chunk(&self, blob: &BlobRef, index: u32) -> Option<Arc<[u8]>> {
        if let Some((outline, bytes)) = self.whole(blob) {
            let at = outline.offsets().nth(index as usize)? as usize;
            let (_, length) = outline.chunks.get(index as usize)?;
            return bytes.get(at..at + *length as usize).map(Into::into);
        }
        self.partial.get(&blob.hash)?.1.get(&index).cloned()
    }

    fn keep_chunk(&mut self, blob: &BlobRef, index: u32, bytes: Arc<[u8]>) {
        let outline = blob.derived_outline().unwrap_or_default();
        self.partial.entry(blob.hash).or_insert_with(|| (outline, BTreeMap::new())).1.insert(index, bytes);
    }

    fn finish(&mut self, blob: &BlobRef) -> Result<(), Failed> {
        let (_, chunks) = self.partial.remove(&blob.hash).unwrap_or_default();
        let bytes: Vec<u8> = chunks.values().flat_map(|c| c.iter().copied()).collect();
        if Hash::of(&bytes) != blob.hash {
            return Err(Failed::BadContent("the whole does not have its name".into()));
        }
        self.disk.blobs.insert(blob.hash, (*blob, bytes.into()));
        Ok(())
    }
}

/// An output as it goes into the trace: what it is, without the bytes of large things.
struct Summary<'a>(&'a Output);

impl std::fmt::Debug for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Output::Persist(ops) => {
                f.write_str("persist")?;
                ops.iter().try_for_each(|op| match op {
                    StoreOp::Put { id, .. } => write!(f, " +{id}"),
                    StoreOp::Remove { id } => write!(f, " -{id}"),
                    StoreOp::PutMeta { key, value } => write!(f, " {key}={}", Hash::of(value)),
                })
            }
            Output::Send { conn, frame } => write!(f, "send {conn:?} {}", Hash::of(frame)),
            Output::Gossip { bytes } => write!(f, "gossip {}", Hash::of(bytes)),
            Output::Begin { op, effect: Effect::Converge { at, evidence, dry_run, .. } } => {
                write!(f, "run {op:?} {at:?} {evidence:?} {dry_run}")
            }
            Output::Beacon { from, bytes, .. } => write!(f, "beacon {from} {}", Hash::of(bytes)),
            other => write!(f, "{other:?}"),
        }
    }
}
