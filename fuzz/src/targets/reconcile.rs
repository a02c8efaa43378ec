//! Messages of a reconciliation: any bytes against sets of several sizes, and two sets that talk until they are done.

use std::collections::BTreeSet;

use vigo_base::{Hash, limits};
use vigo_crdt::reconcile::Sealed;

use crate::Target;
use crate::feed::{Feed, Ink};

pub const TARGET: Target = Target {
    name: "reconcile",
    about: "messages by which two sets of records are made equal",
    run,
    seeds,
    longest: 4_096,
};

/// Moves of two honest sides.
const MOVES: usize = 64;

fn item(n: u32) -> (u64, Hash) {
    (u64::from(n / 3) * 1_000, Hash::of(&n.to_be_bytes()))
}

fn sealed(items: impl IntoIterator<Item = u32>) -> Sealed {
    Sealed::of(items.into_iter().map(item))
}

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(3) {
        2 => honest(&mut feed),
        which => {
            let size = [0, 1, 30, 300][feed.below(4)];
            let set = sealed(0..size);
            let message = feed.rest();
            if which == 0 {
                if let Ok(answer) = set.answer(message) {
                    assert!(answer.len() <= limits::RECONCILE_BYTES, "{} bytes", answer.len());
                }
            } else if let Ok(round) = set.next(message) {
                assert!(round.have.is_sorted() && round.need.is_sorted());
                assert!(round.have.len() <= size as usize, "it has no more than it holds");
                assert!(round.need.len() <= message.len(), "a message names no more than its bytes");
            }
        }
    }
}

/// Two sets that the feed makes: what comes out is their difference, exactly.
fn honest(feed: &mut Feed<'_>) {
    let shared = [0u32, 10, 200][feed.below(3)];
    let (mut a, mut b): (BTreeSet<u32>, BTreeSet<u32>) = ((0..shared).collect(), (0..shared).collect());
    while !feed.is_empty() {
        let n = u32::from(u16::from_be_bytes(feed.array()));
        match n % 3 {
            0 => drop(a.insert(n)),
            1 => drop(b.insert(n)),
            _ => drop(a.remove(&(n % shared.max(1)))),
        }
    }
    let (ours, theirs) = (sealed(a.iter().copied()), sealed(b.iter().copied()));
    let (mut have, mut need) = (BTreeSet::new(), BTreeSet::new());
    let mut message = Some(ours.open().expect("it opens"));
    for _ in 0..MOVES {
        let Some(sent) = message else { break };
        let answer = theirs.answer(&sent).expect("an honest message is answered");
        let round = ours.next(&answer).expect("an honest answer is taken");
        have.extend(round.have);
        need.extend(round.need);
        message = round.next;
    }
    let only =
        |x: &BTreeSet<u32>, y: &BTreeSet<u32>| x.difference(y).map(|n| item(*n).1).collect::<BTreeSet<_>>();
    assert_eq!((have, need), (only(&a, &b), only(&b, &a)), "the difference, exactly");
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (i, size) in [0, 1, 30, 300].into_iter().enumerate() {
        let set = sealed(0..size);
        let open = set.open().expect("it opens");
        let answer = sealed(size / 2..size + 9).answer(&open).expect("it answers");
        all.push(Ink::new().byte(0).byte(i as u8).raw(&open).done());
        all.push(Ink::new().byte(1).byte(i as u8).raw(&answer).done());
    }
    for shared in 0..3 {
        all.push(Ink::new().byte(2).byte(shared).raw(&[0, 1, 0, 3, 0, 5, 1, 1, 2, 2, 9, 9]).done());
    }
    all
}
