//! A node between its peers: any frames, requests, gossip and beacons from members, a revoked one and strangers.

use std::net::SocketAddr;

use vigo_base::PublicKey;
use vigo_crdt::Space;
use vigo_node::{Command, Input};
use vigo_swarm::beacon::Interface;
use vigo_swarm::frame::{Bytes, Frame, Have};
use vigo_swarm::gossip::{self, LinkId, MessageId};
use vigo_swarm::ids::ConnId;

use crate::Target;
use crate::feed::Ink;
use crate::host::Host;
use crate::smith::Smith;
use crate::targets::{beacon, frame};
use crate::world::{key, world};

pub const TARGET: Target = Target {
    name: "session",
    about: "a node that is sent any frames, requests, gossip and beacons; its second life",
    run,
    seeds,
    longest: 8_192,
};

/// Things that happen in one input.
const MOST: usize = 24;

struct Stage<'a> {
    smith: Smith<'a>,
    node: Host,
    /// A connection of each peer, and of a stranger.
    conns: Vec<(PublicKey, ConnId)>,
    messages: u64,
}

fn run(bytes: &[u8]) {
    let mut node = world().node();
    node.input(Input::Interfaces(vec![Interface {
        index: 2,
        name: "eth0".into(),
        addresses: vec!["10.9.9.1".parse().expect("an address")],
        apart: false,
    }]));
    let mut conns: Vec<(PublicKey, ConnId)> = Vec::new();
    for peer in &world().peers {
        let key = peer.key.public();
        conns.push((key, node.greet(key, &peer.papers)));
        node.input(Input::GossipUp { link: LinkId(conns.len() as u64), key, dialed: false });
    }
    let stranger = key(99).public();
    conns.push((stranger, node.connect(stranger)));
    let mut stage = Stage { smith: Smith::new(bytes), node, conns, messages: 0 };
    for _ in 0..MOST {
        if stage.smith.feed.is_empty() {
            break;
        }
        stage.step();
    }
    stage.node.told(Command::Status);
    let seen = stage.node.view();
    let mut second = stage.node.reload();
    assert_eq!(
        (second.view(), second.held()),
        (seen, stage.node.held()),
        "a second life shows something else"
    );
}

impl Stage<'_> {
    fn step(&mut self) {
        let which = self.smith.feed.below(self.conns.len());
        let (key, conn) = self.conns[which];
        match self.smith.feed.below(12) {
            0 => {
                let bytes = self.smith.feed.run().to_vec();
                self.node.input(Input::Frame { conn, bytes });
            }
            1 => self.node.ask(conn, self.smith.feed.run().to_vec()),
            2 => self.node.frame(conn, &Frame::Push(vec![Bytes::from(self.smith.record())])),
            3 => {
                let good = frame::good();
                self.node.frame(conn, self.smith.feed.pick(&good));
            }
            4 => {
                let (space, bytes) = (self.smith.space(), Bytes::from(self.smith.feed.run().to_vec()));
                let compared = self.smith.feed.below(2) == 0;
                let frame =
                    if compared { Frame::Compared(space, bytes) } else { Frame::Compare(space, bytes) };
                self.node.frame(conn, &frame);
            }
            5 => {
                let wanted = (0..self.smith.feed.byte()).map(|_| self.smith.id()).collect();
                self.node.frame(conn, &Frame::Want(Space::config(), wanted));
            }
            6 => {
                let have = Have::Some(Bytes::from(self.smith.feed.run().to_vec()));
                self.node.frame(conn, &Frame::Has(world().blob.exchange, have));
            }
            7 => self.gossip(key),
            8 => self.beacon(),
            9 => {
                let micros = self.smith.feed.number() % 600_000_000;
                self.node.elapse(micros);
            }
            10 => {
                self.node.input(Input::PeerDown { conn, why: "gone".into() });
                self.conns[which].1 = self.node.connect(key);
            }
            _ => {
                let papers = world().peers[self.smith.feed.below(world().peers.len())].papers.clone();
                self.conns[which].1 = self.node.greet(key, &papers);
            }
        }
        self.node.sent.clear();
    }

    fn gossip(&mut self, from: PublicKey) {
        let bytes = match self.smith.feed.below(2) {
            0 => gossip::seal(&self.smith.record()).unwrap_or_default(),
            _ => self.smith.feed.run().to_vec(),
        };
        self.messages += 1;
        self.node.input(Input::GossipHeard { message: MessageId(self.messages), from, bytes });
    }

    fn beacon(&mut self) {
        let source: SocketAddr = "10.9.9.9:1531".parse().expect("an address");
        let bytes = match self.smith.feed.below(2) {
            0 => self.smith.feed.pick(&beacon::good()).clone(),
            _ => self.smith.feed.run().to_vec(),
        };
        self.node.input(Input::Beacon { interface: 2, source, bytes });
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (i, good) in frame::good().iter().enumerate() {
        let who = (i % 5) as u8;
        all.push(Ink::new().byte(who).byte(0).run(&good.encode()).byte(who).byte(9).number(5_000_000).done());
        all.push(Ink::new().byte(who).byte(3).byte(i as u8).byte(4).byte(3).byte(i as u8).done());
    }
    for what in 1..12u8 {
        let step = [0, what, 1, 4, 2, 18, 0, 2, 1, 2];
        all.push(Ink::new().raw(&step).raw(&step).done());
    }
    all
}
