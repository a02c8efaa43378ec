//! Sketches of sets: any bytes as one, cells that contradict each other, and two honest sides; lists of short names.

use std::collections::BTreeSet;

use vigo_base::limits;
use vigo_crdt::sketch::{Salt, Short, Sketch};
use vigo_swarm::frame::Frame;

use crate::Target;
use crate::feed::{Feed, Ink};

pub const TARGET: Target = Target {
    name: "sketch",
    about: "sketches by which two sets of records are made equal, and the short names that are asked for",
    run,
    seeds,
    longest: 4_096,
};

fn sketch(cells: usize, members: impl IntoIterator<Item = u64>) -> Sketch {
    Sketch::of(Salt::default(), cells, members.into_iter().map(Short))
}

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(4) {
        0 => any(feed.rest()),
        // With the salt that our own has, so that it is peeled.
        1 => any(&[&[0; 16], feed.rest()].concat()),
        2 => names(feed.rest()),
        _ => honest(&mut feed),
    }
}

fn any(bytes: &[u8]) {
    let Ok(theirs) = Sketch::decode(bytes) else { return };
    assert_eq!(theirs.encode(theirs.cells()), bytes, "a sketch has one encoding");
    for size in [0, 1, 30, 300] {
        let found = sketch(theirs.cells(), 0..size).against(&theirs);
        assert!(found.names.len() <= theirs.cells() && found.names.is_sorted_by(|a, b| a < b));
        assert!(!found.complete || found.estimate == found.names.len() as u64);
    }
}

fn names(bytes: &[u8]) {
    let Some(names) = Frame::short_names(bytes) else { return };
    assert!(names.len() <= limits::WANT_RECORDS);
    let Frame::WantShort(_, again) = Frame::want_short(vigo_crdt::Space::config(), &names) else {
        unreachable!("it makes no other frame")
    };
    assert_eq!(again.as_slice(), bytes, "a list has one spelling");
}

/// Two sets that the feed makes: what is found is of their difference, and all of it if it says so.
fn honest(feed: &mut Feed<'_>) {
    let cells = 1 + usize::from(feed.byte());
    let (mut a, mut b): (BTreeSet<u64>, BTreeSet<u64>) = ((0..50).collect(), (0..50).collect());
    while !feed.is_empty() {
        let n = u64::from(u16::from_be_bytes(feed.array()));
        if n % 2 == 0 {
            a.insert(n)
        } else {
            b.insert(n)
        };
    }
    let theirs = Sketch::decode(&sketch(cells, b.iter().copied()).encode(cells)).expect("it is one");
    let found = sketch(cells, a.iter().copied()).against(&theirs);
    let differ: BTreeSet<Short> = a.symmetric_difference(&b).map(|n| Short(*n)).collect();
    assert!(found.names.iter().all(|name| differ.contains(name)), "nothing else");
    assert_eq!(found.complete, found.names.len() == differ.len(), "all of it, or it says so");
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (cells, size) in [(1, 0), (4, 1), (24, 30), (80, 300)] {
        let bytes = sketch(cells, 5..size + 5).encode(cells);
        all.push(Ink::new().byte(0).raw(&bytes).done());
        all.push(Ink::new().byte(1).raw(&bytes[16..]).done());
    }
    let listed: Vec<u8> = [1u64, 2, u64::MAX].into_iter().flat_map(u64::to_be_bytes).collect();
    all.push(Ink::new().byte(2).raw(&listed).done());
    for cells in [10, 40, 200] {
        all.push(Ink::new().byte(3).byte(cells).raw(&[0, 1, 0, 200, 1, 5, 1, 1, 2, 2, 9, 9]).done());
    }
    all
}
