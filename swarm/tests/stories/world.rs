//! A small virtual world for exchanges: nodes with capped uplinks and a fixed latency between any two.
//!
//! An uplink sends what is asked of it in order, one after the other. Everything that a node does is hashed, so
//! that two runs can be compared. Payloads are only counted: an honest node's chunks are right, a liar's are not.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::hash::Hasher;
use vigo_base::time::{Micros, millis};
use vigo_base::{Dice, Hash, Machine, Outbox, Time};
use vigo_swarm::exchange::{Act, Exchange, FetchFailed, Input, Seeder, Stuck};
use vigo_swarm::frame::{Bytes, Have};
use vigo_swarm::ids::{ConnId, OpId};
use vigo_swarm::outline::{BlobRef, Outline};

/// What a node does with the requests of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// Says it has everything, sends wrong bytes.
    Liar,
    /// Says it has everything, never sends any.
    Silent,
    /// Does not answer at all.
    Gone,
}

pub struct Node {
    pub exchange: Exchange,
    pub seeder: Seeder,
    pub manner: Manner,
    pub whole: BTreeSet<Hash>,
    pub done: BTreeMap<Hash, Time>,
    pub uploaded: u64,
    pub chunks_got: u64,
    pub blamed: Vec<usize>,
    pub stuck: Vec<Stuck>,
    pub disk_full: bool,
    /// Chunks asked of it, answered or not.
    pub asked: u64,
    busy_until: Time,
    cancelled: BTreeSet<OpId>,
}

enum Event {
    Ask(Hash),
    Has(Hash, Have),
    AskOutline(OpId, BlobRef),
    AskChunk(OpId, Hash, u32, u32),
    Deliver(Input),
}

pub struct World {
    pub now: Time,
    pub nodes: Vec<Node>,
    pub outlines: BTreeMap<Hash, Outline>,
    pub latency: Micros,
    pub bytes_per_sec: u64,
    events: BTreeMap<(Time, u64), (usize, usize, Event)>,
    seq: u64,
    trace: Hasher,
}

impl World {
    /// `n` nodes that all know each other.
    pub fn new(n: usize, seed: u64, bytes_per_sec: u64) -> World {
        let mut dice = Dice::from_number(seed);
        let nodes = (0..n)
            .map(|_| Node {
                exchange: Exchange::new(dice.fork(), OpId(1)),
                seeder: Seeder::new(dice.fork()),
                manner: Manner::Honest,
                whole: BTreeSet::new(),
                done: BTreeMap::new(),
                uploaded: 0,
                chunks_got: 0,
                blamed: Vec::new(),
                stuck: Vec::new(),
                disk_full: false,
                asked: 0,
                busy_until: Time(0),
                cancelled: BTreeSet::new(),
            })
            .collect();
        let mut world = World {
            now: Time(1_000_000),
            nodes,
            outlines: BTreeMap::new(),
            latency: millis(5),
            bytes_per_sec,
            events: BTreeMap::new(),
            seq: 0,
            trace: Hasher::default(),
        };
        for i in 0..n {
            let others = (0..n).filter(|j| *j != i).map(|j| ConnId(j as u64)).collect();
            world.input(i, Input::Peers(others));
        }
        world
    }

    /// A blob of `chunks` chunks of 64 KiB (the last may be any); nobody has it.
    pub fn blob(&mut self, name: &str, chunks: u32) -> BlobRef {
        let hash = Hash::of(name.as_bytes());
        let outline = match chunks {
            1 => Outline::of_one_chunk(hash, 9_000),
            _ => Outline {
                chunks: (0..chunks)
                    .map(|i| (Hash::of(format!("{name} {i}").as_bytes()), 64 * 1024))
                    .collect(),
            },
        };
        let blob = BlobRef { hash, exchange: outline.exchange(), size: outline.size() };
        self.outlines.insert(blob.exchange, outline);
        blob
    }

    pub fn gives(&mut self, node: usize, blob: &BlobRef) {
        self.nodes[node].whole.insert(blob.exchange);
    }

    pub fn wants(&mut self, node: usize, blob: &BlobRef) {
        self.input(node, Input::Want(*blob, 1));
    }

    /// The node's connections end.
    pub fn vanishes(&mut self, node: usize) {
        self.nodes[node].manner = Manner::Gone;
        for other in 0..self.nodes.len() {
            self.input(other, Input::PeerGone(ConnId(node as u64)));
        }
    }

    pub fn has(&self, node: usize, blob: &BlobRef) -> bool {
        self.nodes[node].whole.contains(&blob.exchange)
    }

    pub fn all_have(&self, nodes: std::ops::Range<usize>, blob: &BlobRef) -> bool {
        nodes.into_iter().all(|n| self.has(n, blob))
    }

    /// The hash of everything that was done.
    pub fn trace(self) -> Hash {
        self.trace.finish()
    }

    pub fn input(&mut self, node: usize, input: Input) {
        let mut out = Outbox::new();
        self.nodes[node].exchange.handle(self.now, input, &mut out);
        self.perform(node, out);
    }

    /// Runs until `done` or until `limit` has passed; how long it took.
    pub fn run(&mut self, limit: Micros, done: impl Fn(&World) -> bool) -> Micros {
        let (began, end) = (self.now, self.now.after(limit));
        while !done(self) {
            let event = self.events.keys().next().map(|(at, _)| *at);
            let wake = self
                .nodes
                .iter()
                .enumerate()
                .filter_map(|(i, n)| n.exchange.next_wake().map(|at| (at, i)))
                .min();
            let next = [event, wake.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                break;
            };
            self.now = self.now.max(next);
            match wake {
                Some((at, node)) if event.is_none_or(|e| at < e) => {
                    let mut out = Outbox::new();
                    self.nodes[node].exchange.wake(self.now, &mut out);
                    self.perform(node, out);
                }
                _ => {
                    if let Some((_, (from, to, event))) = self.events.pop_first() {
                        self.happen(from, to, event);
                    }
                }
            }
        }
        self.now.since(began)
    }

    fn send(&mut self, at: Time, from: usize, to: usize, event: Event) {
        self.seq += 1;
        self.events.insert((at, self.seq), (from, to, event));
    }

    fn perform(&mut self, node: usize, mut out: Outbox<Act>) {
        let there = self.now.after(self.latency);
        for act in out.drain() {
            self.trace.update(format!("{} {node} {act:?}\n", self.now.0).as_bytes());
            match act {
                Act::AskWho { conn, exchange } => {
                    self.send(there, node, conn.0 as usize, Event::Ask(exchange))
                }
                Act::FetchOutline { op, conn, blob } => {
                    self.send(there, node, conn.0 as usize, Event::AskOutline(op, blob));
                }
                Act::FetchChunk { op, conn, blob, index, length, .. } => {
                    let ask = Event::AskChunk(op, blob.exchange, index, length);
                    self.send(there, node, conn.0 as usize, ask);
                }
                Act::Cancel(op) => {
                    self.nodes[node].cancelled.insert(op);
                }
                Act::Finish { op, .. } => {
                    self.send(self.now, node, node, Event::Deliver(Input::Finished(op, Ok(()))));
                }
                Act::Got(blob) => {
                    self.nodes[node].whole.insert(blob.exchange);
                    self.nodes[node].done.insert(blob.exchange, self.now);
                }
                Act::Blame(conn, _) => self.nodes[node].blamed.push(conn.0 as usize),
                Act::Stuck(_, why) => self.nodes[node].stuck.push(why),
            }
        }
    }

    /// `to` hears from `from`.
    fn happen(&mut self, from: usize, to: usize, event: Event) {
        let (me, back) = (&mut self.nodes[to], self.now.after(self.latency));
        match event {
            Event::Deliver(input) => {
                if matches!(input, Input::Chunk(_, Ok(()))) {
                    me.chunks_got += 1;
                }
                self.input(to, input);
            }
            Event::Has(exchange, have) => {
                self.input(to, Input::PeerHas { conn: ConnId(from as u64), exchange, have });
            }
            Event::Ask(exchange) => {
                let chunks = self.outlines[&exchange].chunks.len() as u32;
                let have = match me.manner {
                    Manner::Gone => return,
                    Manner::Liar | Manner::Silent => Have::All,
                    Manner::Honest if me.whole.contains(&exchange) => {
                        me.seeder.reveal(ConnId(from as u64), &exchange, chunks)
                    }
                    Manner::Honest => match me.exchange.held(&exchange) {
                        Some(held) if !held.is_empty() => Have::Some(Bytes::from(held.to_bytes())),
                        _ => Have::None,
                    },
                };
                self.send(back, to, from, Event::Has(exchange, have));
            }
            Event::AskOutline(op, blob) => {
                let outline = match me.manner {
                    Manner::Gone | Manner::Silent => return,
                    Manner::Liar => Err(FetchFailed::BadContent),
                    Manner::Honest => Ok(self.outlines[&blob.exchange].clone()),
                };
                let answer = Input::Outline { op, outline, held: None };
                self.send(back, to, from, Event::Deliver(answer));
            }
            Event::AskChunk(op, exchange, index, length) => self.serve(from, to, op, exchange, index, length),
        }
    }

    fn serve(&mut self, from: usize, to: usize, op: OpId, exchange: Hash, index: u32, length: u32) {
        let took = u64::from(length) * 1_000_000 / self.bytes_per_sec;
        if self.nodes[from].cancelled.contains(&op) {
            return;
        }
        let full = self.nodes[from].disk_full;
        let me = &mut self.nodes[to];
        me.asked += 1;
        let has =
            me.whole.contains(&exchange) || me.exchange.held(&exchange).is_some_and(|held| held.has(index));
        let result = match me.manner {
            Manner::Gone | Manner::Silent => return,
            Manner::Liar => Err(FetchFailed::BadContent),
            Manner::Honest if !has => Err(FetchFailed::Gone),
            Manner::Honest if full => Err(FetchFailed::Local("no space left on device".into())),
            Manner::Honest => Ok(()),
        };
        let mut at = self.now;
        if !matches!(result, Err(FetchFailed::Gone)) {
            me.busy_until = me.busy_until.max(self.now).after(took);
            at = me.busy_until;
            me.uploaded += u64::from(length);
            me.seeder.served(ConnId(from as u64), &exchange, index);
        }
        self.send(at.after(self.latency), to, from, Event::Deliver(Input::Chunk(op, result)));
    }
}
