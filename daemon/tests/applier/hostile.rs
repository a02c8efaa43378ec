//! What a peer process gone bad offers: nothing of it is performed, and the applier lives on.

use std::io::Write;
use std::time::{Duration, Instant};

use vigo_daemon::applier::wire::{Kind, Offer, Tell};
use vigo_node::content_types::config::Epoch;
use vigo_node::crdt::Space;
use vigo_node::spanner::{Grant, Right};

use crate::bench::{Bench, is_alone, resident};
use crate::rig::*;

/// A fleet, an applier that has run its first publish, and that publish.
fn ran_one() -> (Paper, Bench, Published) {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let bench = Bench::of(&paper);
    let peer = bench.peer();
    peer.show(&paper.evidence());
    let (kind, report) = peer.offer(&one);
    assert_eq!(kind, Kind::Ran, "{report}");
    assert_eq!(bench.canary().as_deref(), Some("one\n"));
    (paper, bench, one)
}

#[test]
fn what_is_unsigned_wrong_signed_foreign_or_stale_is_not_performed() {
    let (mut paper, bench, one) = ran_one();
    let peer = bench.peer();
    // Signed by nobody: the statement of a publish with other bytes.
    let (space, bytes) = (Space::config(), paper.config[&one.at.id].bytes().to_vec());
    let mut unsigned = bytes.clone();
    *unsigned.last_mut().unwrap() ^= 1;
    assert_eq!(peer.tell(&space, [&unsigned[..]]).bad, 1);
    // Signed by an operator without the right, by a key that nobody admitted, by the node itself.
    let carol = paper.admit(4, "carol", vec![Grant::everywhere(Right::Settings)], ALICE, paper.alice);
    let by_carol = paper.publish_at(2, vec![one.at.id], "carol", 4, carol);
    let stranger = paper.publish_at(2, vec![one.at.id], "stranger", 77, paper.alice);
    let own = paper.publish_at(2, vec![one.at.id], "own", NODE, paper.alice);
    for (space, bytes) in vec![paper.everything(); 4].concat() {
        peer.tell(&space, [&bytes[..]]);
    }
    peer.is_refused(&by_carol, "carol has not the right config.publish");
    peer.is_refused(&stranger, "does not hold");
    peer.is_refused(&own, "does not hold");
    // No node takes what a key signs that nobody admitted.
    for forged in [&stranger, &own] {
        paper.config.remove(&forged.at.id);
    }
    // Of another fleet, whole.
    let mut theirs = Paper::new("work");
    let foreign = theirs.publish("foreign", ALICE, theirs.alice);
    for (space, bytes) in theirs.everything() {
        assert_eq!(peer.tell(&space, [&bytes[..]]).bad, 1);
    }
    peer.is_refused(&foreign, "does not hold");
    assert_eq!(bench.canary().as_deref(), Some("one\n"));
    // The next one is run; the one before never again.
    let two = paper.publish("two", BOB, paper.bob);
    peer.show(&paper.evidence());
    assert_eq!(peer.offer(&two).0, Kind::Ran);
    peer.is_refused(&one, "is never run again");
    let backdated = Published { at: Epoch { epoch: 3, ..one.at }, ..one };
    peer.is_refused(&backdated, "does not hold");
    assert_eq!(bench.canary().as_deref(), Some("two\n"));
}

#[test]
fn other_bytes_than_those_that_were_signed_are_not_performed() {
    let (mut paper, bench, _) = ran_one();
    let two = paper.publish("two", BOB, paper.bob);
    let peer = bench.peer();
    peer.show(&paper.evidence());
    let evil = with_blobs(two.at, &release("evil", "web*"));
    let with_policy = Published { policy: evil.policy.clone(), ..two.clone() };
    peer.is_refused(&with_policy, "a policy with the hash");
    // A table of the same length with another policy in it.
    assert_eq!(evil.routes.len(), two.routes.len());
    peer.is_refused(&evil, "a route table with the hash");
    let longer = Published { routes: [&two.routes[..], b"x"].concat(), ..two.clone() };
    peer.is_refused(&longer, "bytes was offered");
    // What is signed for other machines is not for this one.
    let release = release("db", "db*");
    let statement = paper.sign(3, vec![two.at.id], &release, BOB, paper.bob);
    let db = with_blobs(Epoch { epoch: 3, id: statement.id() }, &release);
    assert_eq!(peer.tell(&Space::config(), [statement.bytes()]).new, 1);
    peer.is_refused(&db, "no match block for web01");
    peer.is_refused(&two, "the newest that counts");
    assert_eq!(bench.canary().as_deref(), Some("one\n"));
}

#[test]
fn garbage_half_frames_and_wrong_turns_are_cut_off_and_the_applier_lives() {
    let (paper, bench, one) = ran_one();
    let frame = |kind: u8, claimed: u32, body: &[u8]| {
        let mut bytes = claimed.to_be_bytes().to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(body);
        bytes
    };
    let offer = Offer { at: one.at, dry_run: false, routes: one.routes.len() as u64 }.encode();
    let bad: [(&str, Vec<u8>); 10] = [
        ("zeros", vec![0; 64]),
        ("ones", vec![0xff; 64]),
        ("an empty frame", frame(Kind::Traits as u8, 0, b"")),
        ("an unknown kind", frame(99, 1, b"")),
        ("an answer", frame(Kind::Ran as u8, 1, b"")),
        ("an oversize tell", frame(Kind::Tell as u8, u32::MAX, &[0; 4096])),
        ("an oversize blob", frame(Kind::Bytes as u8, 64 * 1024 * 1024 + 2, &[0; 4096])),
        ("a tell that cannot be read", frame(Kind::Tell as u8, 6, &[7, 0, 0, 0, 9])),
        ("bytes that nobody asked for", frame(Kind::Bytes as u8, 2, b"x")),
        ("an offer with a tail cut off", frame(Kind::Converge as u8, 40, &offer[..39])),
    ];
    for (what, bytes) in &bad {
        let peer = bench.peer();
        peer.bytes(bytes);
        assert!(peer.is_cut_off(), "{what}");
        // Before saying hello as well.
        let mut raw = bench.raw();
        raw.write_all(bytes).unwrap();
        assert!(crate::bench::Peer(raw).is_cut_off(), "{what}");
    }
    // Half an offer, then another in the middle of the first.
    let peer = bench.peer();
    assert_eq!(peer.ask(Kind::Converge, &offer).unwrap().0, Kind::Go);
    peer.bytes(&frame(Kind::Converge as u8, 50, &offer));
    assert!(peer.is_cut_off(), "an offer where bytes were expected");
    // Whoever never says anything, or half a frame, is in nobody's way: the newest is heard.
    let half = bench.raw();
    (&half).write_all(&[0, 0]).unwrap();
    let idle = bench.raw();
    let peer = bench.peer();
    assert_eq!(peer.offer(&one).0, Kind::Ran);
    drop((half, idle));
    drop(paper);
    assert_eq!(bench.canary().as_deref(), Some("one\n"));
}

#[test]
fn a_flood_of_frames_takes_no_memory_and_runs_nothing() {
    // In a process of its own: what other tests take meanwhile is not measured.
    if !is_alone("hostile::a_flood_of_frames_takes_no_memory_and_runs_nothing") {
        return;
    }
    let (paper, bench, one) = ran_one();
    let peer = bench.peer();
    let unknown = Offer { at: Epoch { epoch: 7, ..one.at }, dry_run: false, routes: 1 }.encode();
    let mut known = Tell::new(&Space::admissions());
    let all = paper.everything();
    assert!(known.add(&all[0].1));
    let before = resident();
    let began = Instant::now();
    for n in 0..100_000 {
        let (kind, _) = match n % 2 {
            0 => peer.ask(Kind::Converge, &unknown).unwrap(),
            _ => peer.ask(Kind::Tell, known.body()).unwrap(),
        };
        assert!(matches!(kind, Kind::Refused | Kind::Told), "{kind:?}");
    }
    println!(
        "100,000 frames in {:?}, {} KiB more",
        began.elapsed(),
        (resident().saturating_sub(before)) >> 10
    );
    // Statements that are none: after so many of them the connection is closed, again and again.
    let mut junk = Tell::new(&Space::config());
    while junk.add(&[0x5a; 900]) {}
    for _ in 0..40 {
        let peer = bench.peer();
        peer.bytes(&(junk.body().len() as u32 + 1).to_be_bytes());
        peer.bytes(&[Kind::Tell as u8]);
        peer.bytes(junk.body());
        assert!(peer.is_cut_off());
    }
    // A thousand connections that say nothing.
    let many: Vec<_> = (0..1000).map(|_| bench.raw()).collect();
    drop(many);
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{} KiB more", grown >> 10);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(bench.peer().offer(&one).0, Kind::Ran, "it lives");
    assert_eq!(bench.canary().as_deref(), Some("one\n"));
}
