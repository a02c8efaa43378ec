//! Beacons: as they came, with a signature that holds, and in a row at the gate.

use std::net::SocketAddr;

use vigo_base::{Domain, Hash, SpannerId, Time};
use vigo_swarm::beacon::{Beacons, Claim, Here, PACKET_BYTES, Packet, Probe, short};
use vigo_swarm::peers::Kind;

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::world::{BOLT, key, world};

pub const TARGET: Target = Target {
    name: "beacon",
    about: "packets from the LAN, signed by a member or a stranger, and the gate that they come to",
    run,
    seeds,
    longest: 2_048,
};

/// Packets of one input.
const MOST: usize = 12;

fn run(bytes: &[u8]) {
    claim(bytes);
    let mut feed = Feed::new(bytes);
    let mut gate = Beacons::new(world().now);
    let mut now = world().now;
    for _ in 0..MOST {
        if feed.is_empty() {
            break;
        }
        let signer = key(40 + feed.byte() % 3);
        let host = feed.byte();
        let source: SocketAddr = match host % 3 {
            0 => SocketAddr::from(([10, 9, 9, host], 1531)),
            1 => SocketAddr::from(([0xfe80, 0, 0, 0, 1, 2, 3, u16::from(host)], 1531)),
            _ => SocketAddr::from(([10, 9, 9, 9], 1531)),
        };
        let fleet = if feed.rarely() { SpannerId::default() } else { world().spanner };
        now = now.after(feed.number() % 100_000_000);
        let body = feed.run();
        let bytes = dressed(body, &signer, &fleet);
        claim(&bytes);
        let heard = gate.hear(now, &key(BOLT).public(), Some(&world().spanner), 2, source, &bytes);
        if heard.is_ok() {
            let twice = gate.hear(now, &key(BOLT).public(), Some(&world().spanner), 2, source, &bytes);
            assert!(twice.is_err(), "a packet counts once");
        }
        gate.may_dial(now, &signer.public(), source);
    }
    assert!(gate.neighbours(now) <= MOST);
}

fn claim(bytes: &[u8]) {
    let Ok(claim) = Claim::decode(bytes) else { return };
    assert!(bytes.len() <= PACKET_BYTES);
    if let Ok((signer, packet)) = claim.verify() {
        let known = [40, 41, 42].into_iter().map(key).find(|key| key.public() == signer);
        if let Some(key) = known {
            assert_eq!(packet.sign(&key), bytes, "one spelling of a packet");
        }
    }
}

/// `body` as a packet with the signature of `signer`, and with its key where a body has one.
fn dressed(body: &[u8], signer: &vigo_base::SecretKey, fleet: &SpannerId) -> Vec<u8> {
    let mut bytes = [&b"VIGO\x01"[..], &body[..body.len().min(PACKET_BYTES)]].concat();
    // Whatever key of ours stands in the body becomes the signer's.
    let ours = key(40).public();
    if let Some(at) = bytes.windows(32).position(|w| w == ours.as_bytes()) {
        bytes[at..at + 32].copy_from_slice(signer.public().as_bytes());
    }
    let signature = signer.sign(Domain::Beacon, fleet, &bytes);
    bytes.extend(signature.0);
    bytes
}

/// Packets as a good member sends them.
pub fn good() -> Vec<Vec<u8>> {
    let here = |address: &str, seeks| {
        Packet::Here(Here {
            spanner: world().spanner,
            kind: Kind::Bolt,
            address: address.parse().expect("an address"),
            label: "hostile".into(),
            time: world().now,
            nonce: 7,
            seeks,
            digests: [short(&Hash::of(b"a")); 3],
        })
    };
    let probe = |spanner| Packet::Probe(Probe { spanner, time: Time(5), nonce: 6 });
    let packets = [
        here("10.9.9.9:1531", false),
        here("[fe80::1:2:3:4]:1531", true),
        probe(None),
        probe(Some(world().spanner)),
    ];
    packets.into_iter().map(|packet| packet.sign(&key(40))).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = good();
    for (i, packet) in good().iter().enumerate() {
        let body = &packet[5..packet.len() - 64];
        let host = if i == 1 { 4 } else { 2 };
        let one = |ink: Ink| ink.byte(0).byte(host).byte(0).number(5).run(body);
        all.push(one(one(Ink::new())).done());
    }
    all
}
