//! How a node comes to life, and its slow chores.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vigo_base::{Clock, Dice, Hash, Outbox, PublicKey, SpannerId, Time};
use vigo_content::config::ConfigView;
use vigo_content::settings::SettingsView;
use vigo_content::status::Run;
use vigo_crdt::replica::Form;
use vigo_crdt::{Replica, Space, Unverified, register};
use vigo_spanner::JoinRequests;
use vigo_swarm::exchange::Exchange;
use vigo_swarm::ids::OpId;
use vigo_swarm::peers::{Book, Kind, Me, Peers, Source};
use vigo_swarm::sync::Reconciler;

use crate::audit::Audit;
use crate::beacon::Beaconing;
use crate::boot::{BadBoot, Boot, meta};
use crate::content::{Blobs, Custody};
use crate::enrol::{Askers, Joining};
use crate::follow::Following;
use crate::gossip::Gossip;
use crate::intake::{Parked, Pen, Shape};
use crate::io::{Done, Output};
use crate::node::{Node, Op, Out, Timers};
use crate::sync::Salting;
use crate::trust::Trust;

/// The exchange numbers its operations from here; the node below.
const EXCHANGE_OPS: u64 = 1 << 62;

impl Node {
    /// Starts a node from what its store held.
    ///
    /// # Errors
    /// [`BadBoot`] if it belongs to no fleet and does not know how to join one, or to another than it should join.
    pub fn boot(now: Time, boot: Boot, out: &mut Outbox<Output>) -> Result<Node, BadBoot> {
        let Boot { key, seed, records, meta, blobs, options } = boot;
        let me = key.public();
        let spanner = match meta.get(meta::SPANNER) {
            Some(bytes) => {
                let id: [u8; 32] = bytes.as_slice().try_into().map_err(|_| BadBoot::BadFleet)?;
                Some(SpannerId(Hash(id)))
            }
            None => None,
        };
        let joining = match (&options.join, spanner) {
            (Some(_), Some(ours)) => return Err(BadBoot::OtherFleet { ours }),
            (Some(join), None) => Some(Joining::new(join.clone(), now)),
            (None, Some(_)) => None,
            (None, None) => return Err(BadBoot::NoFleet),
        };
        let mut dice = Dice::from_seed(seed);
        // Of their own, so that a node without beacons rolls as it did before there were any.
        let beacon_dice = Dice::from_seed(Hash::of_parts(&[b"beacon", &seed]).0);
        let papers = meta.get(meta::PAPERS).cloned().unwrap_or_default();
        let book = meta.get(meta::BOOK).and_then(|bytes| Book::decode(bytes).ok()).unwrap_or_default();
        let mut node = Node {
            me,
            key,
            started: now,
            last: now,
            wall_offset: 0,
            clock: Clock::default(),
            replica: Replica::new(),
            trust: spanner.map(|id| Trust::new(id, me, papers)),
            joining,
            dormant: false,
            requests: JoinRequests::new(),
            askers: Askers::default(),
            parked: Parked::default(),
            audit: Audit::default(),
            pen: Pen::default(),
            sessions: BTreeMap::new(),
            peers: Peers::new(who_i_am(me, &options.addresses), book, dice.fork()),
            lan: Beaconing::new(now, beacon_dice),
            gossip: Gossip::new(dice.fork()),
            sync: Reconciler::new(dice.fork()),
            salting: Salting::new(Dice::from_seed(Hash::of_parts(&[b"sketch", &seed]).0)),
            shared: 0,
            exchange: Exchange::new(dice.fork(), OpId(EXCHANGE_OPS)),
            blobs: Blobs::default(),
            config: ConfigView::default(),
            settings: SettingsView::default(),
            statements: BTreeMap::new(),
            following: Following::default(),
            heard: BTreeMap::new(),
            ops: BTreeMap::new(),
            next_op: 0,
            timers: Timers::default(),
            warnings: BTreeMap::new(),
            touched: BTreeSet::new(),
            rests: BTreeMap::new(),
            saved_book: None,
            options,
            dice,
        };
        node.blobs.held = blobs.into_iter().map(|blob| (blob.hash, (blob, now))).collect();
        node.load(records.into_iter());
        node.recall(&meta);
        node.wake_up(now, out);
        Ok(node)
    }

    /// Files the records of our own store: authority first, since everything else hangs on it.
    fn load(&mut self, records: impl Iterator<Item = std::sync::Arc<[u8]>>) {
        let Some(spanner) = self.spanner() else { return };
        let (mut first, mut rest) = (VecDeque::new(), VecDeque::new());
        for bytes in records {
            // Damaged ones were dropped by the store, which checks ids.
            let Ok(record) = Unverified::decode(&bytes).and_then(Unverified::trusted) else { continue };
            self.clock.hear(self.last, record.stamp());
            match *record.space() == Space::admissions() {
                true => first.push_back(record),
                false => rest.push_back(record),
            }
        }
        for record in first.into_iter().chain(rest) {
            let space = record.space().clone();
            let form = match Shape::of(&space, record.kind()) {
                Shape::Statement => match self.read_statement(&record, &spanner) {
                    Ok(statement) => Form::Statement { id: statement.id(), at: statement.at().0 },
                    Err(_) => continue,
                },
                Shape::Register => match register::read(&record) {
                    Ok((slot, _)) => Form::Register(slot),
                    Err(_) => continue,
                },
                Shape::Fork => crate::forks::form(&record),
                Shape::Spend | Shape::Log => Form::Single,
                Shape::Opaque => Form::Opaque,
            };
            self.replica.insert(record.clone(), form);
            if space == Space::admissions() || space == Space::envoys() {
                self.trust_insert(&record);
            } else if let Form::Statement { id, .. } = form {
                self.remember_statement(id, &record);
            }
            self.touched.insert(space);
        }
    }

    fn recall(&mut self, meta: &BTreeMap<String, Vec<u8>>) {
        self.following.floor = meta::floor(meta);
        self.following.run = meta.get(meta::RUN).and_then(|bytes| Run::decode(bytes).ok());
        let custody = meta.get(meta::CUSTODY).map(|bytes| bytes.as_chunks::<32>().0).unwrap_or_default();
        self.blobs.custody = custody.iter().map(|id| (Hash(*id), Custody::default())).collect();
    }

    fn wake_up(&mut self, now: Time, out: &mut Out) {
        if self.trust.is_none() {
            return;
        }
        self.trust_changed(now, out);
        let kind = if self.is_bolt() { Kind::Bolt } else { Kind::Envoy };
        self.peers.become_kind(kind);
        for (address, key) in self.options.peers.clone() {
            if let (Some(key), Ok(address)) = (key, address.parse()) {
                self.peers.learn(Source::File, key, Kind::Bolt, vec![address]);
            }
        }
        // An empty book proves nothing: it may have been lost, and an envoy has joined through somebody.
        let alone = self.is_bolt()
            && self.other_bolts().next().is_none()
            && self.peers.book().iter().next().is_none()
            && self.options.peers.is_empty();
        if !alone {
            self.pen_wait(now);
        }
        self.audit_boot(now, out);
        // So that the first question finds a node that has looked at its own records.
        self.settle(now, out);
    }

    /// An effect ended.
    pub(crate) fn done(&mut self, now: Time, op: OpId, outcome: Done, out: &mut Out) {
        let Some(what) = self.ops.remove(&op) else { return };
        match (what, outcome) {
            (Op::Transfer, outcome) => self.transfer_done(now, op, outcome, out),
            (what @ (Op::Routes(_) | Op::Policy(_)), outcome) => self.blob_read(now, what, outcome, out),
            (Op::Traits, Done::Traits(traits)) => self.traits_collected(now, traits, out),
            (Op::Run, Done::Ran(report)) => self.run_ended(now, report, out),
            _ => {}
        }
    }

    /// What is due every few seconds.
    pub(crate) fn chores(&mut self, now: Time, out: &mut Out) {
        self.drop_unnamed(now, out);
        self.compare_clocks(out);
        self.save_book(now, out);
        self.serve_requests(now, out);
        self.ask_holders(now, out);
        self.ask_for_parents(out);
        self.read_again(now, out);
        self.beacon_chores(now);
        if self.members().next().is_none() && !self.dormant && self.trust.is_some() {
            // Peers of node.yaml whose keys nobody told us: their papers will say who they are.
            for (address, _) in self.options.peers.iter().filter(|(_, key)| key.is_none()) {
                out.push(Output::Dial { address: address.clone(), expect: None });
            }
        }
    }

    /// Keeps the address book, when it has changed.
    pub(crate) fn save_book(&mut self, _now: Time, out: &mut Out) {
        if self.trust.is_none() {
            return;
        }
        let bytes = self.peers.book().encode();
        let hash = Hash::of(&bytes);
        if self.saved_book != Some(hash) {
            self.saved_book = Some(hash);
            self.keep(meta::BOOK, bytes, out);
        }
    }
}

fn who_i_am(me: PublicKey, addresses: &[String]) -> Me {
    let addresses: Vec<_> = addresses.iter().filter_map(|a| a.parse().ok()).collect();
    Me { key: me, kind: Kind::Envoy, listens: !addresses.is_empty(), addresses }
}
