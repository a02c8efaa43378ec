//! Peers that are not honest, on the gossip plane: what they cost, and what becomes of them.
//!
//! Each has a node's key and, where it says so, a member's papers and a session on the peer channel, as a machine in
//! the wrong hands has. Whatever it does, the process lives, its memory stays within bounds, the others hear each
//! other, and what is plainly wrong ends its link.

use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use vigo_base::{Hash, SecretKey, SpannerId, Stamp};
use vigo_daemon::channel::{Channel, ChannelEvent, ConnId, Limits, sink_to};
use vigo_daemon::gossip::topic;
use vigo_daemon::node::boot::meta;
use vigo_daemon::node::crdt::{Record, Space};
use vigo_daemon::node::spanner::NodeKind;
use vigo_daemon::node::swarm::frame::{Bytes, Frame, Hello, VERSION};
use vigo_daemon::node::swarm::gossip::seal;
use vigo_daemon::process::{Running, machine_id};
use vigo_daemon::state::StateDir;
use vigo_daemon::store::{Seal, Store};

use crate::honest::{fleet, peers, set, shows};
use crate::house::{House, stop, wait};
use crate::raw::{self, RawPeer, control, graft, ihave, iwant, message, prune, rpc, subscription};

/// How much the whole process, attackers included, may grow.
const GROWTH: u64 = 64 * 1024;

/// One at a time: what is measured is the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// A fleet, and a member of it in the wrong hands.
struct Stage {
    _alone: MutexGuard<'static, ()>,
    house: House,
    running: Vec<Running>,
    key: SecretKey,
    papers: Vec<u8>,
    spanner: SpannerId,
    runtime: Runtime,
    value: u64,
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A member in the wrong hands: its key and its papers.
fn turn(house: &House, name: &str) -> (SecretKey, Vec<u8>) {
    house.join("b1", name, NodeKind::Envoy);
    let state = StateDir::open(&house.state(name)).unwrap();
    let (key, _) = state.node_key(&machine_id(&state).unwrap()).unwrap();
    let (_, loaded) = Store::open(state.path(), Seal::new(&*key.seed())).unwrap();
    (key, loaded.meta[meta::PAPERS].clone())
}

impl Stage {
    fn new() -> Stage {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let house = House::new();
        let running = fleet(&house);
        let (key, papers) = turn(&house, "bad1");
        let spanner = house.status("b1").spanner.unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Stage { _alone: alone, house, running, key, papers, spanner, runtime, value: 100 }
    }

    /// Another member goes bad: the last one is not let in any more.
    fn another(&mut self, name: &str) -> Channel {
        (self.key, self.papers) = turn(&self.house, name);
        self.session()
    }

    fn target(&self) -> SocketAddr {
        self.running[0].gossip_addresses()[0]
    }

    fn topic(&self) -> String {
        topic(&self.spanner).hash().into_string()
    }

    /// A session of the bad member's on the peer channel, which its link needs.
    fn session(&self) -> Channel {
        let (events, heard) = sync_channel(1024);
        let channel =
            Channel::bind(self.runtime.handle(), &[], &self.key, Limits::default(), sink_to(events)).unwrap();
        channel.dial(self.running[0].addresses()[0], None);
        let Ok(ChannelEvent::Up { conn, .. }) = heard.recv_timeout(Duration::from_secs(5)) else {
            panic!("no connection")
        };
        let hello = Hello {
            version: VERSION,
            papers: Bytes::from(self.papers.clone()),
            addresses: Vec::new(),
            digests: Vec::new(),
            your_heads: Vec::new(),
            gossip: None,
            features: 0,
        };
        channel.send(ConnId(conn.0), Frame::Hello(hello).encode().into()).unwrap();
        let talking = channel.clone();
        std::thread::spawn(move || {
            while let Ok(event) = heard.recv() {
                if let ChannelEvent::Frame { conn, bytes } = event
                    && matches!(Frame::decode(&bytes), Ok(Frame::Ping(_)))
                {
                    let _ = talking.send(conn, Frame::Pong(Vec::new()).encode().into());
                }
            }
        });
        let key = self.key.public();
        wait("the bad member's session", || {
            peers(&self.house, "b1").iter().any(|row| row.key == key && row.name.is_some())
        });
        channel
    }

    /// The bad member's link, with gossipsub spoken on it.
    fn link(&self) -> RawPeer {
        let peer = RawPeer::connect(&self.key, self.target()).unwrap();
        assert!(peer.say(rpc(&[subscription(&self.topic(), true)])));
        let key = self.key.public();
        wait("the bad member's link", || peers(&self.house, "b1").iter().any(|r| r.key == key && r.gossip));
        peer
    }

    /// What one honest node says the other hears, soon.
    fn honest_traffic(&mut self, during: &str) {
        self.value += 1;
        let (value, begun) = (self.value, Instant::now());
        set(&self.house, "b1", value);
        for name in ["e1", "e2"] {
            wait(&format!("{name} to show {value} during {during}"), || shows(&self.house, name, value));
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{during}: it took {:?}", begun.elapsed());
    }

    fn end(self) {
        self.running.into_iter().for_each(stop);
    }

    /// A record of this fleet, or of another.
    fn record(&self, spanner: &SpannerId, n: u64) -> Vec<u8> {
        let payload = n.to_be_bytes().to_vec();
        let record =
            Record::sign(&self.key, spanner, Space::settings(), n + 1, 1, Stamp(n), payload).unwrap();
        record.bytes().to_vec()
    }
}

/// Runs an attack until it is over or the link is cut, with honest traffic before, during and after.
fn attack(stage: &mut Stage, name: &str, times: usize, mut bytes: impl FnMut(usize) -> Vec<u8>) -> RawPeer {
    stage.honest_traffic(name);
    let before = resident();
    let peer = stage.link();
    let (mut said, begun) = (0, Instant::now());
    for n in 0..times {
        if begun.elapsed() > Duration::from_secs(20) || !peer.say(bytes(n)) {
            break;
        }
        said += 1;
        if n == times / 4 {
            stage.honest_traffic(name);
        }
    }
    stage.honest_traffic(name);
    let growth = resident().saturating_sub(before);
    println!("{name}: {said} of {times} said, {growth} KiB, {:?}", stage.running[0].gossip_figures());
    assert!(growth <= GROWTH, "{name}: {growth} KiB more");
    peer
}

#[test]
fn wrong_messages_end_the_link_and_reach_nobody() {
    let mut stage = Stage::new();
    let _session = stage.session();
    let topic = stage.topic();
    let elsewhere = SpannerId(Hash::of(b"another fleet"));
    let foreign: Vec<Vec<u8>> =
        (0..64).map(|n| message(&topic, &seal(&stage.record(&elsewhere, n)).unwrap())).collect();
    let peer = attack(&mut stage, "another fleet's records", 64, |n| rpc(&[foreign[n].clone()]));
    wait("the link to be cut", || peer.is_gone());
    let figures: Vec<_> = stage.running.iter().map(Running::gossip_figures).collect();
    assert!(figures[0].rejected >= 3 && figures[0].cut >= 1, "{figures:?}");
    assert_eq!(figures[1].rejected + figures[2].rejected, 0, "nobody else heard it: {figures:?}");
    // And it stays out.
    let again = RawPeer::connect(&stage.key, stage.target());
    wait("the second link to be refused", || again.as_ref().map_or(true, RawPeer::is_gone));
    stage.honest_traffic("afterwards");
    stage.end();
}

#[test]
fn garbage_and_messages_that_are_too_large_end_the_link() {
    let mut stage = Stage::new();
    let _session = stage.session();
    let topic = stage.topic();
    let mut parts = Vec::new();
    for n in 0..200u64 {
        let noise: Vec<u8> = (0..64u64).flat_map(|i| Hash::of(&(n * 64 + i).to_be_bytes()).0).collect();
        parts.push(rpc(&[message(&topic, &noise)]));
        parts.push(rpc(&[message(&topic, &noise.repeat(6))]));
        parts.push(noise);
    }
    let peer = attack(&mut stage, "garbage", parts.len(), |n| parts[n].clone());
    wait("the link to be cut", || peer.is_gone());
    stage.end();
}

#[test]
fn a_million_topics_and_grafts_cost_nothing_worth_naming() {
    let mut stage = Stage::new();
    let _session = stage.session();
    let topics = |from: usize| (from..from + 2_000).map(|n| format!("topic {n}"));
    let peer = attack(&mut stage, "10^6 subscriptions and GRAFTs", 500, |n| {
        let subscribe: Vec<Vec<u8>> = topics(n * 2_000).map(|t| subscription(&t, true)).collect();
        let grafts: Vec<Vec<u8>> = topics(n * 2_000).map(|t| graft(&t)).collect();
        [rpc(&subscribe), rpc(&[control(&grafts)])].concat()
    });
    drop(peer);
    let _session = stage.another("bad2");
    let peer = attack(&mut stage, "one RPC of a million", 2, |_| {
        let all: Vec<Vec<u8>> = (0..200_000).map(|n| subscription(&n.to_string(), true)).collect();
        rpc(&all)
    });
    drop(peer);
    stage.end();
}

#[test]
fn floods_of_ihave_iwant_and_prune_are_borne() {
    let mut stage = Stage::new();
    let _session = stage.session();
    let topic = stage.topic();
    let ids = |n: usize| -> Vec<Vec<u8>> {
        (0..2_000u64)
            .map(|i| Hash::of(&[(n as u64).to_be_bytes(), i.to_be_bytes()].concat()).0[..20].to_vec())
            .collect()
    };
    let haves = topic.clone();
    let peer = attack(&mut stage, "IHAVE", 300, move |n| {
        // Over several heartbeats: each breaks promises of its own.
        std::thread::sleep(Duration::from_millis(25));
        rpc(&[control(&[ihave(&haves, &ids(n))])])
    });
    wait("whoever promises what it does not have to be cut", || peer.is_gone());
    let _session = stage.another("bad2");
    drop(attack(&mut stage, "IWANT", 300, move |n| rpc(&[control(&[iwant(&ids(n))])])));
    let prunes = topic.clone();
    let _session = stage.another("bad3");
    let peer = attack(&mut stage, "PRUNE with a backoff of 2^64-1", 300, move |n| {
        let backoff = if n % 2 == 0 { u64::MAX } else { u64::MAX / 2 };
        rpc(&[control(&[prune(&prunes, backoff), graft(&prunes), prune("another topic", backoff)])])
    });
    wait("whoever comes back before its own backoff is over to be cut", || peer.is_gone());
    stage.end();
}

#[test]
fn frames_without_end_are_not_waited_for_in_memory() {
    let mut stage = Stage::new();
    let _session = stage.session();
    // A frame that promises 2^40 bytes, one that promises 2^63, and megabytes that belong to none.
    let mut first = raw::varint(1 << 40);
    first.extend(vec![0x0a; 60_000]);
    let mut second = raw::varint(u64::MAX);
    second.extend(vec![0xff; 60_000]);
    let peer = attack(&mut stage, "frames without end", 400, move |n| match n % 3 {
        0 => first.clone(),
        1 => second.clone(),
        _ => vec![0x80; 60_000],
    });
    drop(peer);
    stage.end();
}

#[test]
fn strangers_and_the_revoked_are_cut_before_they_are_heard() {
    let mut stage = Stage::new();
    stage.honest_traffic("before");
    let topic = stage.topic();
    let before = resident();
    let good = message(&topic, &seal(&stage.record(&stage.spanner.clone(), 0)).unwrap());
    for n in 0..60u8 {
        let stranger = SecretKey::from_seed([n + 100; 32]);
        if let Ok(peer) = RawPeer::connect(&stranger, stage.target()) {
            peer.say(rpc(&[subscription(&topic, true), good.clone()]));
            wait("the stranger to be cut", || peer.is_gone());
        }
    }
    // A member without a session is one, too.
    if let Ok(peer) = RawPeer::connect(&stage.key, stage.target()) {
        peer.say(rpc(&[subscription(&topic, true), good.clone()]));
        wait("the member without a session to be cut", || peer.is_gone());
    }
    stage.honest_traffic("strangers");
    let figures = stage.running[0].gossip_figures();
    assert_eq!((figures.accepted, figures.rejected, figures.links), (0, 0, 2), "{figures:?}");
    // With a session it is heard; revoked it is cut on both planes.
    std::thread::sleep(Duration::from_secs(11));
    let _session = stage.session();
    let peer = stage.link();
    let signed = stage.house.signer("b1").revoke(&[stage.key.public()], "stolen").unwrap();
    stage.house.client("b1").call(&signed.command()).unwrap();
    wait("the revoked one to be cut", || peer.is_gone());
    let again = RawPeer::connect(&stage.key, stage.target());
    wait("the revoked one to stay out", || again.as_ref().map_or(true, RawPeer::is_gone));
    stage.honest_traffic("the revoked");
    let growth = resident().saturating_sub(before);
    assert!(growth <= GROWTH, "{growth} KiB more");
    stage.end();
}
