//! Lives of an applier: what it keeps from one to the next, and how an honest peer finds it again.

use std::fs;

use vigo_daemon::applier::wire::Kind;
use vigo_node::crdt::Space;
use vigo_node::io::NotRun;

use crate::bench::Bench;
use crate::rig::*;

#[test]
fn floor_and_revocations_outlive_a_restart_and_cannot_be_withheld() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let early = paper.evidence();
    let two = paper.publish("two", ALICE, paper.alice);
    let before = paper.evidence();
    let stolen = paper.publish("stolen", BOB, paper.bob);
    let mut bench = Bench::of(&paper);
    let peer = bench.peer();
    peer.show(&before);
    assert_eq!(peer.offer(&two).0, Kind::Ran);
    paper.revoke(key(BOB).public(), vec![two.at.id], ALICE, paper.alice);
    peer.show(&paper.evidence());
    bench.stop();
    bench.start();
    // From now on the peer is bad: it says nothing of the revocation, and shows the thief's publish.
    let peer = bench.peer();
    peer.show(&early);
    let theft = paper.config[&stolen.at.id].clone();
    assert_eq!(peer.tell(&Space::config(), [theft.bytes()]).new, 1);
    peer.is_refused(&stolen, "revoked");
    peer.is_refused(&one, "epoch 2");
    assert_eq!(bench.canary().as_deref(), Some("two\n"));
    // The statements are lost, the floor is not: what is older stays refused, what is newest comes back.
    bench.stop();
    fs::remove_file(bench.state().join("statements")).unwrap();
    bench.start();
    let peer = bench.peer();
    peer.show(&early);
    peer.is_refused(&one, "was run here already");
    peer.show(&paper.evidence());
    assert_eq!(peer.offer(&two).0, Kind::Ran);
    assert_eq!(bench.canary().as_deref(), Some("two\n"));
}

#[test]
fn a_damaged_file_of_statements_gives_no_more_than_was_signed() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let mut bench = Bench::of(&paper);
    bench.peer().show(&paper.evidence());
    bench.stop();
    let path = bench.state().join("statements");
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let (warrants, _kept) = vigo_daemon::applier::anchor::open(&bench.state()).unwrap();
        assert!(warrants.len() < 4, "byte {at}: {} statements", warrants.len());
    }
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    bench.start();
    let mut link = bench.link();
    let ran = link.converge(one.request(), &paper.evidence(), false).unwrap();
    assert_eq!((ran.counts.created, bench.canary().as_deref()), (1, Some("one\n")));
    assert_eq!(fs::read(&path).unwrap().len(), whole.len(), "what was lost was told again");
}

#[test]
fn a_peer_finds_an_applier_again_and_tells_only_what_it_lacks() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let mut bench = Bench::of(&paper);
    let mut link = bench.link();
    assert_eq!(link.converge(one.request(), &paper.evidence(), false).unwrap().counts.created, 1);
    assert!(link.traits().unwrap().contains("\"os\""));
    bench.stop();
    let away = link.converge(one.request(), &paper.evidence(), false).unwrap_err();
    assert!(matches!(&away, NotRun::Away(why) if why.contains("is it running?")), "{away:?}");
    assert!(matches!(link.traits(), Err(NotRun::Away(_))));
    let size = fs::metadata(bench.state().join("statements")).unwrap().len();
    bench.start();
    let again = link.converge(one.request(), &paper.evidence(), false).unwrap();
    assert_eq!((again.counts.none, again.counts.total()), (1, 1));
    assert_eq!(fs::metadata(bench.state().join("statements")).unwrap().len(), size);
    // News reach it at once, not only with the next run.
    let two = paper.publish("two", BOB, paper.bob);
    link.inform(&paper.evidence());
    assert_ne!(fs::metadata(bench.state().join("statements")).unwrap().len(), size);
    let dry = link.converge(two.request(), &paper.evidence(), true).unwrap();
    assert_eq!((dry.counts.updated, bench.canary().as_deref()), (1, Some("one\n")), "a dry run");
    bench.stop();
    let floor = fs::read_to_string(bench.state().join("floor")).unwrap();
    assert!(floor.contains(&one.at.id.to_string()), "a dry run raises no floor: {floor}");
    // An applier whose disk cannot keep the floor runs nothing.
    fs::create_dir(bench.state().join("floor.new")).unwrap();
    bench.start();
    let mut link = bench.link();
    let kept = link.converge(two.request(), &paper.evidence(), false).unwrap_err();
    assert!(matches!(&kept, NotRun::Away(why) if why.contains("floor")), "{kept:?}");
    assert_eq!(bench.canary().as_deref(), Some("one\n"));
}

#[test]
fn one_directory_has_one_applier_and_needs_its_anchor() {
    let paper = Paper::new("home");
    let bench = Bench::of(&paper);
    let open =
        |state: std::path::PathBuf| vigo_daemon::applier::anchor::open(&state).unwrap_err().to_string();
    assert!(open(bench.state()).contains("runs on this state directory"));
    let none = open(bench.dir().join("root"));
    assert!(none.contains("holds no anchor") && none.contains("--applier-state"), "{none}");
}
