//! The driver around each node: performs its outputs in order, commits, and lets the node wait while it does.
//!
//! Two ways of committing. On a quick, sound disk outputs are performed one after the other in their order, and
//! power may go between any two. On a slow or failing one a turn of the shipped driver is played
//! (`daemon/src/driver`): verdicts on gossip go ahead, all that is to be kept is one commit, nothing else happens before it is
//! durable, a commit that fails is tried again after ever longer pauses, and what comes meanwhile waits and is handled
//! in one turn. Invariant: nothing behind a Persist is performed before it is durable.

use std::collections::VecDeque;

use vigo_base::time::{Micros, millis, secs};
use vigo_base::{Hash, Machine as _, Outbox};
use vigo_node::{Effect, Input, Output, StoreOp};

use crate::faults::one_in;
use crate::fleet::Event;
use crate::net::NOTICE;
use crate::{Fleet, Ix};

/// Inputs handled in one turn, and so in one commit.
const TURN: usize = 256;
/// The first pause after a commit that failed, and the longest.
const PAUSES: (Micros, Micros) = (millis(50), secs(2));
/// How often a commit is tried before the disk is taken for broken and the process ends.
const TRIES: u32 = 8;

/// A commit under way.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    ops: Vec<StoreOp>,
    rest: Vec<Output>,
    waiting: VecDeque<Input>,
    /// The disk will not take it: the process ends.
    fatal: bool,
}

impl Fleet {
    /// Performs outputs in order; stops where the plug is pulled.
    pub(crate) fn perform(&mut self, ix: Ix, mut out: Outbox<Output>) {
        let outputs: Vec<Output> = out.drain().collect();
        let writes = outputs.iter().any(|output| matches!(output, Output::Persist(_)));
        match self.takes(ix).filter(|_| writes) {
            Some((takes, fatal)) => self.begin_turn(ix, outputs, takes, fatal),
            None => self.perform_all(ix, outputs),
        }
    }

    fn perform_all(&mut self, ix: Ix, outputs: Vec<Output>) {
        let life = self.machines[ix].life;
        for output in outputs {
            if let Some(left) = self.plug.get_mut(&ix) {
                if *left == 0 {
                    self.plug.remove(&ix);
                    if let Output::Persist(ops) = output {
                        self.machines[ix].turn = Some(Turn { ops, ..Turn::default() });
                    }
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

    /// How long a commit of a machine takes now, and whether it fails for good; none if it is done at once.
    fn takes(&mut self, ix: Ix) -> Option<(Micros, bool)> {
        let (least, most) = self.machines[ix].disk.nature.slow;
        let mut takes = least + if most > least { self.dice.below(most - least) } else { 0 };
        let (mut tries, mut pause) = (0, PAUSES.0);
        while tries < TRIES && one_in(&mut self.dice, self.faults.commit) {
            self.reach("commit failed");
            takes += pause;
            pause = (pause * 2).min(PAUSES.1);
            tries += 1;
        }
        if most > 0 {
            self.reach("slow disk");
        }
        (takes > 0).then_some((takes, tries == TRIES))
    }

    fn begin_turn(&mut self, ix: Ix, outputs: Vec<Output>, takes: Micros, fatal: bool) {
        let mut turn = Turn { fatal, ..Turn::default() };
        for output in outputs {
            match output {
                Output::Persist(ops) => turn.ops.extend(ops),
                verdict @ Output::GossipVerdict { .. } => self.one(ix, verdict),
                other => turn.rest.push(other),
            }
        }
        let life = self.machines[ix].life;
        self.machines[ix].turn = Some(turn);
        self.world.after(takes, Event::Committed(ix, life));
    }

    /// A commit has ended: what waited for it happens, and then what came meanwhile.
    pub(crate) fn committed(&mut self, ix: Ix) {
        let Some(turn) = self.machines[ix].turn.take() else { return };
        let Turn { ops, rest, mut waiting, fatal } = turn;
        if fatal {
            self.reach("commit failed for good");
            return self.kill(ix);
        }
        let life = self.machines[ix].life;
        let mut outputs = vec![Output::Persist(ops)];
        outputs.extend(rest);
        self.perform_all(ix, outputs);
        while self.machines[ix].life == life && !waiting.is_empty() {
            let now = self.local(ix);
            let Some(node) = self.machines[ix].node.as_mut() else { return };
            let mut out = Outbox::new();
            for input in waiting.drain(..waiting.len().min(TURN)) {
                node.handle(now, input, &mut out);
            }
            self.perform(ix, out);
            if let Some(turn) = self.machines[ix].turn.as_mut() {
                turn.waiting.append(&mut waiting);
            }
        }
        if self.machines[ix].life == life {
            self.machines[ix].wake_at = None;
            self.schedule(ix);
        }
    }

    /// An input for a node whose driver commits: it waits. Gives it back if none does.
    pub(crate) fn wait_for_turn(&mut self, ix: Ix, input: Input) -> Option<Input> {
        let Some(turn) = self.machines[ix].turn.as_mut() else { return Some(input) };
        turn.waiting.push_back(input);
        self.reach("an input waited for a commit");
        None
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

impl Turn {
    /// What was being written.
    pub(crate) fn into_ops(self) -> Vec<StoreOp> {
        self.ops
    }
}
