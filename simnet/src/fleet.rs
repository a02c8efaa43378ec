//! A fleet in a world: its machines, what happens to them and when.
//!
//! What nodes want done is performed in `driver`. Invariant: what was scheduled for one life of a machine never
//! reaches a later one.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::hash::Hasher;
use vigo_base::time::{Micros, millis, secs};
use vigo_base::{Dice, Hash, Machine as _, Outbox, PublicKey, SecretKey, Time};
use vigo_node::{Caller, Command, CommandId, Input, Refusal, Reply};

use crate::Ix;
use crate::driver::Turn;
use crate::faults::Rates;
use crate::hostile::Hostile;
use crate::lan::Lans;
use crate::machine::{Machine, Power};
use crate::mesh::Mesh;
use crate::meter::Meter;
use crate::names::Lazy;
use crate::net::{Links, NOTICE, Net};
use crate::transfer::Ask;
use crate::world::World;

/// When every simulation begins: 2026-01-01.
pub(crate) const BEGINNING: Time = Time(1_767_225_600_000_000);

/// About what the first packets of a connection weigh, in bytes each way.
const HANDSHAKE: usize = 2_400;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A machine's node gets an input, if it is still the same life.
    Input(Ix, u64, Box<Input>),
    /// A machine's node wants to be woken.
    Wake(Ix, u64),
    /// A machine's commit has ended, if it is still the same life.
    Committed(Ix, u64),
    /// A hostile machine does something, if it is still the same life.
    Hostile(Ix, u64),
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
    /// A message's name is dealt with, if it is still the same life of the machine.
    Lazy {
        /// Which machine.
        ix: Ix,
        /// Which life of it.
        life: u64,
        /// Which message.
        name: Hash,
        /// What happens.
        what: Lazy,
    },
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
    /// One in so many machines knows no sketches; 0 for none.
    pub(crate) older: usize,
    pub(crate) dice: Dice,
    pub(crate) asks: BTreeMap<u64, Ask>,
    pub(crate) replies: BTreeMap<u64, Result<Reply, Refusal>>,
    pub(crate) next: u64,
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
    /// Machines gone bad that are played.
    pub(crate) hostile: BTreeMap<Ix, Hostile>,
    /// What they made that must count nowhere, by its id; a few words on each.
    pub(crate) forged: BTreeMap<Hash, &'static str>,
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
            older: 0,
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
            hostile: BTreeMap::new(),
            forged: BTreeMap::new(),
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
        machine.ranges_only = self.is_older(ix);
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
        self.opens(ix);
        let started = self.machines[ix].boot(now, &mut self.dice, &mut out);
        assert_eq!(started, Ok(()), "{} does not start", self.machines[ix].name);
        self.perform(ix, out);
        self.schedule(ix);
        self.tell_interfaces(ix);
    }

    /// Pulls a machine's plug: connections break, what was not committed is gone.
    pub fn kill(&mut self, ix: Ix) {
        let under_way = self.machines[ix].turn.take().map(Turn::into_ops);
        self.loses_power(ix, under_way);
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
        let Some(input) = self.wait_for_turn(ix, input) else { return };
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
                if self.machines[ix].turn.is_some() {
                    return;
                }
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
            Event::Committed(ix, life) if self.machines[ix].life == life => self.committed(ix),
            Event::Hostile(ix, life) if self.machines[ix].life == life => self.act_hostile(ix),
            Event::Input(..) | Event::Wake(..) | Event::Committed(..) | Event::Hostile(..) => {}
            Event::Gossip { to, life, from, bytes } => {
                let same = self.machines[to].life == life;
                self.gossip_comes(to, from, same, bytes);
            }
            Event::Lazy { ix, life, name, what } => {
                if self.machines[ix].life == life {
                    self.lazy(ix, name, what);
                }
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

    pub(crate) fn schedule(&mut self, ix: Ix) {
        let now = self.now();
        let machine = &mut self.machines[ix];
        if machine.turn.is_some() {
            return;
        }
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

    pub(crate) fn dial(&mut self, ix: Ix, address: String, expect: Option<PublicKey>) {
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
}
