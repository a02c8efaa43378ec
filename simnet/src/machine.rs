//! One simulated machine: a node with a disk, blobs and a fake host.
//!
//! Pulling the plug loses the node, its partial blobs and everything that was not committed; starting again boots a
//! node from the disk, as the daemon does. It decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::time::millis;
use vigo_base::{Dice, Hash, Machine as _, Outbox, SecretKey, SpannerId, Time};
use vigo_executors::FakeHost;
use vigo_node::boot::meta;
use vigo_node::content_types::config::Epoch;
use vigo_node::crdt::Space;
use vigo_node::swarm::beacon::Choice;
use vigo_node::swarm::outline::{BlobRef, Outline};
use vigo_node::warrant::{Anchor, Evidence, Request, Warrants};
use vigo_node::{Boot, Done, Event, Failed, Input, Join, Lan, Node, NotRun, Options, Output};

use crate::disk::{Disk, Read};
use crate::driver::Turn;
use crate::faults::Skew;

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    On,
    /// It does not; its disk is as it was.
    Off,
}

/// A blob that is not whole yet: its outline, and the chunks that are here.
pub(crate) type Partial = (Outline, BTreeMap<u32, Arc<[u8]>>);

/// A machine of a fleet.
#[derive(Debug)]
pub struct Machine {
    /// What people call it; its admitted name unless a story says otherwise.
    pub name: String,
    pub(crate) key: SecretKey,
    pub(crate) node: Option<Node>,
    /// What survives a loss of power.
    pub disk: Disk,
    /// The machine that is managed.
    pub host: FakeHost,
    pub(crate) partial: BTreeMap<Hash, Partial>,
    pub(crate) addresses: Vec<String>,
    pub(crate) peers: Vec<String>,
    /// The port on which it takes gossip links.
    pub(crate) gossip: Option<u16>,
    /// How it joins, if it has not.
    pub join: Option<Join>,
    /// Which start this is: what was scheduled for an earlier one is void.
    pub(crate) life: u64,
    pub(crate) wake_at: Option<Time>,
    /// The commit that is under way.
    pub(crate) turn: Option<Turn>,
    /// When it was woken lately, and how often since.
    wakes: (Time, u32),
    /// Seconds between two runs; the fleet's setting if none.
    pub interval: Option<u64>,
    /// What it said of itself, the last thousand.
    pub events: Vec<(Time, Event)>,
    /// The fleets' steps that this machine ran: epochs in order.
    pub epochs_run: Vec<u64>,
    /// The publishes that its applier let pass and ran, in order.
    pub ran: Vec<Epoch>,
    /// The heads of configuration that it saw, in order.
    pub heads: Vec<Epoch>,
    /// Its clock.
    pub clock: Skew,
    /// Whether it sends no records to anybody.
    pub withholds: bool,
    /// What it wrote while it was played: in which life, and its last sequence.
    pub wrote: BTreeMap<Space, (u64, u64)>,
    /// Whether the chunks it serves are rotten.
    pub lies: bool,
    /// Whether it is played, by hand or by a behaviour, and answers those who call.
    pub(crate) played: bool,
    /// Whether it runs a version that knows no sketches.
    pub ranges_only: bool,
    /// What came for a machine that a story plays by hand.
    pub inbox: Option<Vec<Input>>,
}

impl Machine {
    pub(crate) fn new(name: &str, key: SecretKey, addresses: Vec<String>) -> Machine {
        Machine {
            name: name.to_string(),
            key,
            node: None,
            disk: Disk::default(),
            host: FakeHost::new().with_file("/etc/os-release", OS_RELEASE),
            partial: BTreeMap::new(),
            addresses,
            peers: Vec::new(),
            gossip: Some(1530),
            join: None,
            life: 0,
            wake_at: None,
            turn: None,
            wakes: (Time(0), 0),
            interval: Some(300),
            events: Vec::new(),
            epochs_run: Vec::new(),
            ran: Vec::new(),
            heads: Vec::new(),
            clock: Skew::default(),
            withholds: false,
            wrote: BTreeMap::new(),
            lies: false,
            played: false,
            ranges_only: false,
            inbox: None,
        }
    }

    /// Gives the applier its anchor, as `init` and `join` do: once there are papers.
    fn anchor(&mut self) {
        let spanner = self.disk.meta.get(meta::SPANNER).and_then(|id| <[u8; 32]>::try_from(&id[..]).ok());
        if let (None, Some(spanner), Some(papers)) =
            (&self.disk.applier, spanner, self.disk.meta.get(meta::PAPERS))
        {
            let anchor = Anchor::of_papers(SpannerId(Hash(spanner)), self.key.public(), papers);
            self.disk.applier = anchor.ok().map(|anchor| Warrants::new(anchor, None));
        }
    }

    /// What the applier does when it is told something.
    pub(crate) fn hear(&mut self, evidence: &Evidence) {
        if let Some(applier) = &mut self.disk.applier {
            applier.hear(evidence);
        }
    }

    /// What the applier does when it is asked for a run: judge, raise its floor, and only then touch the host.
    pub(crate) fn converge(
        &mut self,
        at: Epoch,
        blobs: [BlobRef; 2],
        evidence: &Evidence,
        dry_run: bool,
    ) -> Done {
        self.hear(evidence);
        let unread = |blob: BlobRef, why| Err(NotRun::Unread { blob: blob.hash, why });
        let [routes, policy] = blobs.map(|blob| match self.disk.read(&blob.hash) {
            Read::Whole(bytes) => Ok(bytes),
            Read::Gone => unread(blob, Failed::Gone),
            Read::Rotten => unread(blob, Failed::BadContent("it was damaged on disk".into())),
        });
        let (routes, policy) = match (routes, policy) {
            (Ok(routes), Ok(policy)) => (routes, policy),
            (Err(why), _) | (_, Err(why)) => return Done::Ran(Err(why)),
        };
        let Some(applier) = &mut self.disk.applier else {
            return Done::Ran(Err(NotRun::Away("there is no applier".into())));
        };
        let traits = vigo_executors::traits::collect(&self.host);
        let warranted = match applier.judge(Request { at, routes: &routes, policy: &policy }, traits.clone())
        {
            Ok(warranted) => warranted,
            Err(why) => return Done::Ran(Err(NotRun::Refused(why.to_string()))),
        };
        if !dry_run {
            applier.begin(&warranted);
            self.ran.push(at);
        }
        let options = vigo_executors::Options { dry_run, ..Default::default() };
        let plan = warranted.plan();
        let (host, pending) = (&mut self.host, &mut self.disk.pending);
        Done::Ran(Ok(vigo_executors::converge(plan, host, pending, &traits, &options, &mut |_| {})))
    }

    /// Whether it runs.
    pub fn power(&self) -> Power {
        if self.node.is_some() || self.played { Power::On } else { Power::Off }
    }

    /// Boots a node from the disk.
    pub(crate) fn boot(
        &mut self,
        now: Time,
        dice: &mut Dice,
        out: &mut Outbox<Output>,
    ) -> Result<(), String> {
        self.life += 1;
        self.wake_at = None;
        let listening = self.addresses.iter().filter_map(|a| a.parse().ok()).collect();
        self.anchor();
        let boot = Boot {
            key: self.key.clone(),
            seed: dice.bytes(),
            records: self.disk.records.values().cloned().collect(),
            meta: self.disk.meta.clone(),
            blobs: self.disk.blobs.values().map(|(blob, _)| *blob).collect(),
            options: Options {
                addresses: self.addresses.clone(),
                gossip: self.gossip,
                peers: self.peers.iter().map(|p| (p.clone(), None)).collect(),
                version: "sim".into(),
                join: self.join.clone(),
                interval: self.interval,
                splay: Some(5),
                lan: Lan { choice: Choice::Auto, listening },
                ranges_only: self.ranges_only,
            },
        };
        self.node = Some(Node::boot(now, boot, out).map_err(|e| e.to_string())?);
        Ok(())
    }

    /// A node that wants to be woken again and again for nothing would burn a processor: it is woken for a due
    /// moment, and must then let go of it.
    pub(crate) fn must_not_spin(&mut self, now: Time) {
        if now.0.abs_diff(self.wakes.0.0) > millis(1) {
            self.wakes = (now, 0);
        }
        self.wakes.1 += 1;
        let due = self.node.as_ref().and_then(|node| node.next_wake());
        assert!(self.wakes.1 < 500, "{} spins at {now:?}: it wants to be woken at {due:?}", self.name);
    }

    /// Pulls the plug.
    pub(crate) fn die(&mut self) {
        self.life += 1;
        self.node = None;
        self.turn = None;
        (self.played, self.inbox) = (false, None);
        self.partial.clear();
    }

    pub(crate) fn note(&mut self, now: Time, event: Event) {
        // One for each statement: nothing to read here.
        if matches!(event, Event::Arrived { .. }) {
            return;
        }
        if let Event::Ran { epoch, .. } = &event {
            self.epochs_run.push(*epoch);
        }
        if let Event::Epoch { epoch, id } = event {
            self.heads.push(Epoch { epoch, id });
        }
        if self.events.len() >= 1_000 {
            self.events.remove(0);
        }
        self.events.push((now, event));
    }

    /// The outline and bytes of a blob held whole, by exchange id.
    pub(crate) fn whole(&mut self, blob: &BlobRef) -> Option<(Outline, Arc<[u8]>)> {
        match self.disk.read(&blob.hash) {
            Read::Whole(bytes) => Some((Outline::of(&bytes), bytes)),
            Read::Rotten | Read::Gone => None,
        }
    }
}

const OS_RELEASE: &str = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";
