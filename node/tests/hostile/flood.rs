//! Floods: whatever a stranger or an admitted node sends in quantity, what a node holds stays bounded.

use vigo_base::{Hash, SecretKey, codec, limits};
use vigo_node::crdt::{Space, register};
use vigo_node::spanner::ForkProof;
use vigo_node::spanner::NodeKind;
use vigo_node::spanner::spend::{FORK, SPEND, Spend};
use vigo_node::swarm::frame::{AskToJoin, Bytes, Farewell, Frame, Goodbye, JoinAnswer};
use vigo_node::{Command, Input, Reply};

use crate::rig::{Rig, key, name, push};

fn somebody(n: u64) -> SecretKey {
    let mut seed = [3; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    SecretKey::from_seed(seed)
}

fn records_in(rig: &mut Rig, space: &str) -> usize {
    rig.bolt.status().records.iter().find(|(s, _)| s == space).map_or(0, |(_, n)| *n)
}

#[test]
fn requests_to_join_stay_within_the_table() {
    let mut rig = Rig::new();
    let mut refused = 0;
    for n in 0..200 {
        let conn = rig.bolt.connect(somebody(n).public());
        rig.bolt
            .frame(conn, &Frame::AskToJoin(AskToJoin { spanner: None, name: name("x"), bolt: n % 2 == 0 }));
        let said = rig.bolt.heard(conn);
        refused += usize::from(said.iter().any(|f| matches!(f, Frame::JoinAnswer(JoinAnswer::Refused(_)))));
    }
    let Ok(Reply::Requests(rows)) = rig.bolt.call(true, Command::Requests) else { panic!("requests") };
    assert_eq!((rows.len(), refused), (limits::JOIN_REQUESTS, 200 - limits::JOIN_REQUESTS));
}

#[test]
fn kinds_of_later_versions_have_a_quota_that_survives_a_restart() {
    let mut rig = Rig::new();
    let papers = rig.admit(&key(40), "bolt2", NodeKind::Bolt);
    for life in 0..2u64 {
        let conn = rig.bolt.greet(key(40).public(), &papers);
        for n in 1..=400 {
            let record = rig.record(&key(40), Space::config(), life * 400 + n, 99, vec![0; 8]);
            rig.bolt.frame(conn, &push(&[record.bytes()]));
        }
        assert!(!rig.bolt.hung.contains_key(&conn), "being of a later version is no fault");
        assert_eq!(records_in(&mut rig, "config"), limits::OPAQUE_RECORDS, "life {life}");
        rig.bolt = rig.bolt.reload();
    }
}

#[test]
fn an_author_has_only_so_many_registers() {
    let mut rig = Rig::new();
    let papers = rig.admit(&key(20), "web01", NodeKind::Envoy);
    let conn = rig.bolt.greet(key(20).public(), &papers);
    for slot in 0..2_000u16 {
        let payload = register::payload(slot, &[0; 8]);
        let record = rig.record(&key(20), Space::status(), u64::from(slot) + 1, register::REGISTER, payload);
        rig.bolt.frame(conn, &push(&[record.bytes()]));
    }
    let held = records_in(&mut rig, "status");
    assert!(held <= 64, "{held} registers of one envoy are held");
}

#[test]
fn a_key_in_two_hands_costs_everybody_one_proof_however_often_it_forks() {
    let mut rig = Rig::new();
    let papers = rig.admit(&key(20), "web01", NodeKind::Envoy);
    let carrier_papers = rig.admit(&key(21), "web02", NodeKind::Envoy);
    let before = records_in(&mut rig, "admissions");
    let proof = |rig: &Rig, seq: u64| {
        let one = |value: u8| {
            let payload = register::payload(1, &[value]);
            rig.record(&key(20), Space::status(), seq, register::REGISTER, payload)
        };
        ForkProof::of(one(1), one(2)).expect("a fork").encode().expect("small enough")
    };
    // Falling sequences: each outranks the one before. The last comes again from another carrier.
    let proofs: Vec<Vec<u8>> = (1..=40).rev().map(|seq| proof(&rig, seq)).collect();
    for (n, payload) in (1..).zip(&proofs) {
        let record = rig.record(&key(21), Space::admissions(), n, FORK, payload.clone());
        let conn = rig.bolt.greet(key(21).public(), &carrier_papers);
        rig.bolt.frame(conn, &push(&[record.bytes()]));
        assert_eq!(records_in(&mut rig, "admissions"), before + 1, "after {n} proofs");
    }
    let again = rig.record(&key(21), Space::admissions(), 99, FORK, proofs[39].clone());
    let worse = rig.record(&key(21), Space::admissions(), 100, FORK, proofs[0].clone());
    let conn = rig.bolt.greet(key(21).public(), &carrier_papers);
    rig.bolt.frame(conn, &push(&[again.bytes(), worse.bytes()]));
    assert!(!rig.bolt.hung.contains_key(&conn), "telling it again is no fault");
    assert_eq!(records_in(&mut rig, "admissions"), before + 1);
    let held = rig.bolt.reload();
    assert_eq!(held.kept().len(), rig.bolt.kept().len());
    let forked = rig.bolt.greet(key(20).public(), &papers);
    assert!(rig.bolt.hung.contains_key(&forked), "it is suspended all the same");
}

#[test]
fn only_who_is_listed_fills_the_list_of_spends() {
    let mut rig = Rig::new();
    let papers = rig.admit(&key(20), "web01", NodeKind::Envoy);
    let invite = {
        // The invite by which the envoy itself came in: everybody knows it.
        let spent = rig.bolt.disk.records.values().find_map(|bytes| {
            let record = vigo_node::crdt::Unverified::decode(bytes).ok()?.trusted().ok()?;
            let spend = vigo_node::spanner::SpendRecord::read(&record, &rig.spanner).ok()?;
            (spend.spend().node == key(20).public()).then(|| spend.spend().invite)
        });
        spent.expect("its spend")
    };
    let before = records_in(&mut rig, "admissions");
    for n in 1..200 {
        let spend = Spend { invite, node: somebody(n).public(), name: name("x"), proof: None };
        let record = rig.record(&key(20), Space::admissions(), n, SPEND, codec::encode(&spend));
        let conn = rig.bolt.greet(key(20).public(), &papers);
        rig.bolt.frame(conn, &push(&[record.bytes()]));
        assert!(rig.bolt.hung.contains_key(&conn), "it must have known");
    }
    assert_eq!(records_in(&mut rig, "admissions"), before);
}

#[test]
fn records_that_wait_are_bounded_and_a_strangers_goodbye_leaves_nothing() {
    let mut rig = Rig::new();
    let papers = rig.admit(&key(40), "bolt2", NodeKind::Bolt);
    let before = rig.bolt.everything();
    let spend = |n: u64| {
        let spend = Spend {
            invite: Hash::of(&n.to_be_bytes()),
            node: key(70).public(),
            name: name("x"),
            proof: None,
        };
        codec::encode(&spend)
    };
    for n in 0..50 {
        let author = somebody(n);
        let record = rig.record(&author, Space::envoys(), 1, SPEND, spend(n));
        let conn = rig.bolt.connect(author.public());
        let proof = vec![Bytes::from(record.bytes().to_vec()); 8];
        rig.bolt.frame(
            conn,
            &Frame::Goodbye(Goodbye { why: Farewell::Revoked, text: "\u{1b}[2J".into(), proof }),
        );
        assert!(rig.bolt.hung.contains_key(&conn));
    }
    assert_eq!(rig.bolt.everything(), before);
    // More than may wait, by a member: it goes on answering, and forgets the oldest.
    let conn = rig.bolt.greet(key(40).public(), &papers);
    let total = limits::PARKED_RECORDS as u64 + 500;
    let all: Vec<_> =
        (1..=total).map(|n| rig.record(&key(40), Space::envoys(), n, SPEND, spend(1_000 + n))).collect();
    for chunk in all.chunks(100) {
        rig.bolt.frame(conn, &push(&chunk.iter().map(|r| &r.bytes()[..]).collect::<Vec<_>>()));
        rig.bolt.heard(conn);
    }
    assert!(!rig.bolt.hung.contains_key(&conn), "being early is no fault");
    assert_eq!(rig.bolt.everything(), before);
    rig.bolt.input(Input::PeerDown { conn, why: "done".into() });
    // An honest admission still goes through.
    rig.admit(&key(21), "web02", NodeKind::Envoy);
}
