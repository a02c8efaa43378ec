//! Frames: bent, cut, oversized and random, from members with good papers and from strangers. No panic, the node
//! still answers, and whoever sent what cannot be read is named and cut off.

use std::time::{Duration, Instant};

use vigo_base::{Dice, Hash, PublicKey, Time, limits};
use vigo_node::crdt::Space;
use vigo_node::crdt::reconcile::Sealed;
use vigo_node::crdt::sketch::{Salt, Short, Sketch};
use vigo_node::spanner::{NodeKind, Proof};
use vigo_node::swarm::frame::{
    AskToJoin, Bytes, Digest, Enrol, Farewell, Frame, Goodbye, Have, Head, Hello, Hint, JoinAnswer, VERSION,
};
use vigo_node::swarm::ids::ConnId;

use crate::forge::Forger;
use crate::rig::{Host, Rig, hello, key, name, push};

struct Members {
    rig: Rig,
    bolt: (PublicKey, Vec<u8>),
    envoy: (PublicKey, Vec<u8>),
}

fn members() -> Members {
    let mut rig = Rig::new();
    let bolt = rig.admit(&key(40), "bolt2", NodeKind::Bolt);
    let envoy = rig.admit(&key(20), "web01", NodeKind::Envoy);
    Members { rig, bolt: (key(40).public(), bolt), envoy: (key(20).public(), envoy) }
}

/// One good frame of every kind.
fn good(m: &Members) -> Vec<Frame> {
    let hash = Hash::of(b"x");
    let sealed = Sealed::of((0..300u64).map(|n| (n, Hash::of(&n.to_be_bytes()))));
    let query = sealed.open().expect("a query");
    let answer = Sealed::of([]).answer(&query).expect("an answer");
    let of_many = Sketch::of(Salt::default(), 64, (0..300).map(Short));
    let record = m.rig.bolt.disk.records.values().next().expect("a record").clone();
    let digest = Digest { space: Space::config(), digest: hash };
    let proof = Proof::sign(&key(9), &m.rig.spanner, &m.envoy.0, &name("a"), b"e");
    let greeting = Hello {
        version: VERSION,
        papers: Bytes::from(m.envoy.1.clone()),
        addresses: vec!["10.0.0.1:1".into()],
        digests: vec![digest.clone(); 3],
        your_heads: vec![Head { space: Space::status(), seq: 3, id: hash }],
        gossip: Some(1530),
        features: u64::MAX,
    };
    vec![
        Frame::Hello(greeting),
        Frame::Goodbye(Goodbye {
            why: Farewell::Stopping,
            text: "bye".into(),
            proof: vec![Bytes::from(record.to_vec())],
        }),
        Frame::Ping(vec![digest.clone()]),
        Frame::Pong(vec![digest; 5]),
        Frame::Compare(Space::admissions(), Bytes::from(query)),
        Frame::Compared(Space::admissions(), Bytes::from(answer)),
        Frame::Want(Space::admissions(), vec![m.rig.spanner.0, hash]),
        push(&[&record]),
        Frame::PeersPlease,
        Frame::Peers(vec![Hint { key: m.bolt.0, addresses: vec!["10.0.0.2:1".into()], bolt: true }]),
        Frame::WhoHas(hash),
        Frame::Has(hash, Have::Some(Bytes::from(vec![0xff; 9]))),
        Frame::Enrol(Enrol {
            spanner: m.rig.spanner,
            invite_key: key(9).public(),
            name: name("a"),
            proof: proof.signature,
            bolt: false,
        }),
        Frame::AskToJoin(AskToJoin { spanner: None, name: name("a"), bolt: false }),
        Frame::JoinAnswer(JoinAnswer::Pending(m.rig.spanner, "words".into())),
        Frame::Clock(Time(u64::MAX)),
        Frame::Sketch(Space::admissions(), 64),
        Frame::Sketched(Space::admissions(), Bytes::from(of_many.encode(64))),
        Frame::want_short(Space::admissions(), &[Short(7), Short::of(&m.rig.spanner.0)]),
    ]
}

/// Gives a node one frame; gives whether the connection ended. Each must be short work.
fn give(host: &mut Host, conn: ConnId, bytes: Vec<u8>) -> bool {
    let (began, readable) = (Instant::now(), Frame::decode(&bytes).is_ok());
    host.raw(conn, bytes);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let hung = host.hung.remove(&conn).is_some();
    let blamed = host.misbehaved();
    assert!(readable || (hung && blamed.len() == 1), "what cannot be read is named: {blamed:?}");
    host.sent.clear();
    hung
}

fn attack(frames: usize, seed: u64) -> (usize, usize) {
    let mut m = members();
    let (mut taken, mut ended) = (0, 0);
    let mut forger = Forger::new(seed, m.rig.spanner, Time(0));
    let goods = good(&m);
    let before = m.rig.bolt.kept();
    let mut conns: Vec<Option<ConnId>> = vec![None; 3];
    for _ in 0..frames {
        let who = forger.dice.below(3) as usize;
        let host = &mut m.rig.bolt;
        let conn = *conns[who].get_or_insert_with(|| match who {
            0 => host.greet(m.bolt.0, &m.bolt.1),
            1 => host.greet(m.envoy.0, &m.envoy.1),
            _ => host.connect(key(30).public()),
        });
        let bytes = bent(&mut forger, &goods);
        if give(host, conn, bytes) {
            ended += 1;
            conns[who] = None;
        } else {
            taken += 1;
        }
    }
    assert!(m.rig.bolt.status().warnings.len() < 10);
    assert!(m.rig.bolt.kept() == before, "nothing that was bent is kept");
    let digests = m.rig.bolt.digests(m.bolt.0, &m.bolt.1);
    assert_eq!(m.rig.bolt.reload().digests(m.bolt.0, &m.bolt.1), digests);
    (taken, ended)
}

fn bent(forger: &mut Forger, goods: &[Frame]) -> Vec<u8> {
    let frame = forger.dice.pick(goods).cloned().expect("a frame");
    match forger.dice.below(10) {
        0 => (0..forger.dice.below(300)).map(|_| forger.dice.bits() as u8).collect(),
        1 => {
            let mut bytes = frame.encode();
            bytes.truncate(forger.dice.below(bytes.len() as u64) as usize);
            bytes
        }
        // A good frame around a bent message of a reconciliation.
        2..=4 => {
            let inner = goods.iter().find_map(|f| match f {
                Frame::Compare(_, message)
                | Frame::Compared(_, message)
                | Frame::Sketched(_, message)
                | Frame::WantShort(_, message)
                    if forger.dice.one_in(2) =>
                {
                    Some(message.to_vec())
                }
                _ => None,
            });
            let message = Bytes::from(forger.mutated(&inner.unwrap_or_else(|| vec![0x61])));
            let spaces = [Space::admissions(), Space::config(), Space::status()];
            let space = forger.dice.pick(&spaces).cloned().expect("a space");
            let kind = match forger.dice.below(4) {
                0 => Frame::Compare(space, message),
                1 => Frame::Compared(space, message),
                2 => Frame::Sketched(space, message),
                _ => Frame::WantShort(space, message),
            };
            kind.encode()
        }
        _ => forger.mutated(&frame.encode()),
    }
}

#[test]
fn r6_bent_frames_do_not_kill_a_node() {
    let (taken, ended) = attack(15_000, 1);
    assert!(taken > 500 && ended > 500, "{taken} taken, {ended} ended a connection");
}

#[test]
#[ignore = "long: .ci/long"]
fn r6_long_a_million_bent_frames() {
    let (mut taken, mut ended) = (0, 0);
    for seed in 0..10 {
        let (t, e) = attack(100_000, 1_000 + seed);
        (taken, ended) = (taken + t, ended + e);
    }
    println!("long | R6 | bent frames, {ended} of which ended a connection | {}, 0 exits |", taken + ended);
}

#[test]
fn oversized_and_nested_frames_are_refused() {
    let mut m = members();
    let host = &mut m.rig.bolt;
    let spaces = [0x81u8, 0x9f, 0xbf, 0xd8, 0x5f, 0x7f];
    let mut hostile: Vec<Vec<u8>> = spaces.iter().map(|b| vec![*b; limits::FRAME_BYTES]).collect();
    hostile.extend([
        vec![0; limits::FRAME_BYTES + 1],
        Vec::new(),
        vec![0x82, 7, 0x81, 0x9b, 0xff, 0xff, 0xff, 0xff],
    ]);
    for bytes in hostile {
        for member in [true, false] {
            let conn = match member {
                true => host.greet(m.envoy.0, &m.envoy.1),
                false => host.connect(key(30).public()),
            };
            host.events.clear();
            assert!(give(host, conn, bytes.clone()));
        }
    }
    let conn = host.greet(m.envoy.0, &m.envoy.1);
    host.frame(conn, &Frame::Want(Space::admissions(), vec![Hash::default(); limits::WANT_RECORDS + 1]));
    assert!(host.hung.contains_key(&conn), "more is asked for than one may");
    let conn = host.greet(m.envoy.0, &m.envoy.1);
    host.frame(conn, &hello(&m.envoy.1));
    assert!(host.hung.contains_key(&conn), "a second hello");
}

/// Reconciliation with a liar: whatever it answers, a session of ours ends.
#[test]
fn a_liar_in_a_reconciliation_gets_nowhere() {
    let mut dice = Dice::from_number(4);
    let ours = Sealed::of((0..2_000u64).map(|n| (n, Hash::of(&n.to_be_bytes()))));
    let liars = Sealed::of((1_000..3_000u64).map(|n| (n % 7, Hash::of(&n.to_le_bytes()))));
    let mut forger = Forger::new(5, vigo_base::SpannerId::default(), Time(0));
    let (mut bad, mut ok) = (0, 0);
    for _ in 0..400 {
        let mut message = Some(ours.open().expect("a query"));
        for _ in 0..12 {
            let Some(query) = message.take() else { break };
            let mut answer = liars.answer(&query).expect("it answers");
            if dice.one_in(2) {
                answer = forger.mutated(&answer);
            }
            match ours.next(&answer) {
                Ok(round) => {
                    assert!(round.have.len() + round.need.len() <= 4_000 + answer.len());
                    ok += 1;
                    message = round.next;
                }
                Err(_) => bad += 1,
            }
        }
    }
    assert!(bad > 20 && ok > 100, "{bad} {ok}");
}
