//! Sketches: what a peer may ask for is bounded, what it answers is not believed, and who knows none is asked for none.

use vigo_base::time::{hours, secs};
use vigo_base::{Hash, limits};
use vigo_node::crdt::Space;
use vigo_node::crdt::sketch::{Salt, Short, Sketch};
use vigo_node::spanner::NodeKind;
use vigo_node::swarm::frame::{Bytes, Digest, Frame, Hello, features};
use vigo_node::swarm::ids::ConnId;

use crate::rig::{Host, Rig, hello, key};

/// A fleet with another bolt, and that bolt's papers.
fn rig() -> (Rig, Vec<u8>) {
    let mut rig = Rig::new();
    let papers = rig.admit(&key(40), "bolt2", NodeKind::Bolt);
    (rig, papers)
}

fn ask(host: &mut Host, conn: ConnId, cells: u32) -> Sketch {
    host.heard(conn);
    host.frame(conn, &Frame::Sketch(Space::admissions(), cells));
    let answers = host.heard(conn);
    let [Frame::Sketched(space, answer)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(*space, Space::admissions());
    assert!(answer.len() <= limits::RECONCILE_BYTES);
    Sketch::decode(answer).expect("a sketch")
}

#[test]
fn a_sketch_is_as_long_as_one_may_be_and_follows_what_is_held() {
    let (mut rig, papers) = rig();
    let conn = rig.bolt.greet(key(40).public(), &papers);
    assert_eq!(ask(&mut rig.bolt, conn, u32::MAX).cells(), limits::SKETCH_CELLS);
    assert_eq!(ask(&mut rig.bolt, conn, 0).cells(), 1);
    let before = ask(&mut rig.bolt, conn, 64);
    rig.admit(&key(41), "bolt3", NodeKind::Bolt);
    let after = ask(&mut rig.bolt, conn, 64);
    assert_eq!(before.salt(), after.salt(), "made once, kept up to date");
    let new = after.against(&before);
    assert!(new.complete && !new.names.is_empty());
    assert_eq!(new.names.len() as u64, after.members() - before.members(), "and nothing else changed");
}

#[test]
fn the_salt_is_another_after_an_hour_and_in_another_life() {
    let (mut rig, papers) = rig();
    let mut salts: Vec<Salt> = Vec::new();
    for pause in [0, hours(1) - secs(5), secs(6), hours(1)] {
        rig.bolt.elapse(pause);
        let conn = rig.bolt.greet(key(40).public(), &papers);
        salts.push(ask(&mut rig.bolt, conn, 16).salt());
    }
    assert_eq!(salts[0], salts[1]);
    assert!(salts[1] != salts[2] && salts[2] != salts[3] && salts[0] != salts[3]);
    assert_ne!(salts[0], Salt::default(), "drawn");
}

#[test]
fn a_peer_is_asked_only_for_what_it_said_it_knows() {
    for (said, sketch) in [(0, false), (features::SKETCH, true), (u64::MAX, true), (1 << 40, false)] {
        let (mut rig, papers) = rig();
        let conn = rig.bolt.connect(key(40).public());
        let Frame::Hello(greeting) = hello(&papers) else { unreachable!() };
        rig.bolt.frame(conn, &Frame::Hello(Hello { features: said, ..greeting }));
        // It did not dial: it leaves the first move to the other side for a while.
        let differs = Frame::Ping(vec![Digest { space: Space::config(), digest: Hash::of(b"?") }]);
        let admissions = Frame::Ping(vec![Digest { space: Space::admissions(), digest: Hash::of(b"?") }]);
        for _ in 0..3 {
            rig.bolt.frame(conn, &differs);
            rig.bolt.frame(conn, &admissions);
            rig.bolt.elapse(secs(4));
        }
        let heard = rig.bolt.heard(conn);
        let greeted = heard.iter().any(|f| matches!(f, Frame::Hello(h) if h.features == features::SKETCH));
        assert!(greeted, "it says what it knows itself");
        let asked = |space: &Space| {
            let asks = heard.iter().filter_map(|frame| match frame {
                Frame::Sketch(of, _) if of == space => Some(true),
                Frame::Compare(of, _) if of == space => Some(false),
                _ => None,
            });
            asks.collect::<Vec<_>>()
        };
        assert_eq!(asked(&Space::admissions()), [sketch], "{said:x}");
        assert_eq!(asked(&Space::config()), [false], "of nothing one looks for nothing");
    }
}

#[test]
fn records_are_sent_for_short_names_in_order_and_nothing_else_is_a_list() {
    let (mut rig, papers) = rig();
    let known = Short::of(&rig.spanner.0);
    let conn = rig.bolt.greet(key(40).public(), &papers);
    rig.bolt.heard(conn);
    let mut names = [known, Short(known.0 ^ 1)];
    names.sort_unstable();
    rig.bolt.frame(conn, &Frame::want_short(Space::admissions(), &names));
    let answers = rig.bolt.heard(conn);
    assert!(matches!(&answers[..], [Frame::Push(records)] if records.len() == 1), "{answers:?}");
    rig.bolt.frame(conn, &Frame::want_short(Space::config(), &names));
    assert_eq!(rig.bolt.heard(conn), [], "nothing has such a name there");
    let many: Vec<Short> = (0..=limits::WANT_RECORDS as u64).map(Short).collect();
    let bad = [
        Frame::want_short(Space::admissions(), &[known, known]),
        Frame::want_short(Space::admissions(), &many),
        Frame::WantShort(Space::admissions(), Bytes::from(vec![0; 7])),
    ];
    for frame in bad {
        let conn = rig.bolt.greet(key(40).public(), &papers);
        rig.bolt.frame(conn, &frame);
        let blamed = rig.bolt.misbehaved();
        assert!(blamed.iter().any(|what| what.contains("short names")), "{blamed:?}");
        assert!(rig.bolt.hung.contains_key(&conn));
    }
}

#[test]
fn a_sketch_that_lies_costs_a_question_and_changes_nothing() {
    let (mut rig, papers) = rig();
    let conn = rig.bolt.connect(key(40).public());
    let Frame::Hello(greeting) = hello(&papers) else { unreachable!() };
    rig.bolt.frame(conn, &Frame::Hello(Hello { features: features::SKETCH, ..greeting }));
    let differs = Frame::Ping(vec![Digest { space: Space::admissions(), digest: Hash::of(b"?") }]);
    rig.bolt.frame(conn, &differs);
    rig.bolt.elapse(secs(4));
    rig.bolt.frame(conn, &differs);
    let heard = rig.bolt.heard(conn);
    let cells = heard.iter().find_map(|frame| match frame {
        Frame::Sketch(_, cells) => Some(*cells as usize),
        _ => None,
    });
    let before = rig.bolt.kept();
    // A set of nothing but records that there are not.
    let lie = Sketch::of(Salt([1; 16]), cells.expect("it asks"), (0..5).map(Short));
    rig.bolt.frame(conn, &Frame::Sketched(Space::admissions(), Bytes::from(lie.encode(64))));
    let answers = rig.bolt.heard(conn);
    let wanted = answers.iter().find_map(|frame| match frame {
        Frame::WantShort(_, names) => Frame::short_names(names),
        _ => None,
    });
    assert_eq!(
        wanted,
        Some((0..5).map(Short).collect()),
        "it asks for them, and sends what it has: {answers:?}"
    );
    assert!(!rig.bolt.hung.contains_key(&conn) && rig.bolt.kept() == before);
    // Nobody waits for another.
    rig.bolt.frame(conn, &Frame::Sketched(Space::admissions(), Bytes::from(lie.encode(64))));
    assert_eq!(rig.bolt.heard(conn), []);
}
