//! What it costs to find out what differs, in the bytes of real frames: by ranges alone, and by what is chosen.

use std::sync::Arc;

use vigo_base::Hash;
use vigo_crdt::reconcile::Sealed;
use vigo_crdt::sketch::Salt;
use vigo_swarm::sync::bill::Answerer;
use vigo_swarm::sync::{Bill, bill};

/// Where the records lie that one side lacks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    Newest,
    Scattered,
    /// Scattered, and half of them are missing at the one side, half at the other.
    Both,
}

fn set(n: u64, lacks: impl Fn(u64) -> bool) -> Arc<Sealed> {
    Arc::new(Sealed::of((0..n).filter(|at| !lacks(*at)).map(|at| (at, Hash::of(&at.to_be_bytes())))))
}

/// Two sets of together `n` that differ by `differ`: (by ranges alone, by what is chosen).
fn costs(n: u64, differ: u64, lie: Lie, salt: u8) -> (Bill, Bill) {
    let gap = n / differ.max(1);
    // One place in each of `differ` stretches, not at equal distances.
    let lies = |at: u64| {
        let stretch = at / gap;
        let place = u64::from_be_bytes(*Hash::of(&stretch.to_le_bytes()).0.first_chunk().unwrap()) % gap;
        (stretch < differ && at % gap == place).then_some(stretch)
    };
    let ours = set(n, |at| match lie {
        _ if differ == 0 => false,
        Lie::Newest => at >= n - differ,
        Lie::Scattered => lies(at).is_some(),
        Lie::Both => lies(at).is_some_and(|stretch| stretch % 2 == 0),
    });
    let theirs =
        set(n, |at| differ > 0 && lie == Lie::Both && lies(at).is_some_and(|stretch| stretch % 2 == 1));
    let mut other = Answerer::new(theirs, Salt([salt; 16]));
    let costs = (bill(&ours, &mut other, false), bill(&ours, &mut other, true));
    for bill in [costs.0, costs.1] {
        let need = if lie == Lie::Both { differ / 2 } else { differ };
        assert_eq!((bill.need as u64, bill.have as u64), (need, differ - need), "{differ} {lie:?}");
    }
    costs
}

fn show(n: u64, differ: u64, lie: Lie, (ranges, chosen): (Bill, Bill)) {
    let way = if chosen.by_sketch { "sketch" } else { "ranges" };
    println!(
        "| {n} | {differ} {lie:?} | {} B, {} trips | {} B, {} trips, {way} | {:.2} |",
        ranges.bytes(),
        ranges.trips,
        chosen.bytes(),
        chosen.trips,
        chosen.bytes() as f64 / ranges.bytes() as f64
    );
}

/// The table for sets of `n`, asserted.
fn table(n: u64) {
    println!("| records | differ | ranges alone | chosen | ratio |");
    for (differ, lie, most, trips) in [
        (1, Lie::Newest, 2_560, 1),
        (1, Lie::Scattered, 2_560, 1),
        (20, Lie::Scattered, 2_560, 1),
        (100, Lie::Scattered, 6_000, 2),
        (1_000, Lie::Newest, 40_000, 2),
        (1_000, Lie::Scattered, 40_000, 2),
        (1_000, Lie::Both, 40_000, 2),
        (2_000, Lie::Scattered, 80_000, 2),
    ] {
        let (ranges, chosen) = costs(n, differ, lie, 1);
        show(n, differ, lie, (ranges, chosen));
        assert!(chosen.by_sketch && chosen.bytes() <= most && chosen.trips <= trips, "{chosen:?}");
        assert!(chosen.bytes() < ranges.bytes(), "{chosen:?} {ranges:?}");
    }
    // Too much for a sketch: what the measure costs is little beside the ranges.
    let (ranges, chosen) = costs(n, 10_000, Lie::Scattered, 1);
    show(n, 10_000, Lie::Scattered, (ranges, chosen));
    assert!(
        !chosen.by_sketch && chosen.bytes() <= ranges.bytes() + 1_200 && chosen.trips == ranges.trips + 1
    );
}

#[test]
fn scattered_differences_cost_what_they_are_and_not_what_the_sets_are() {
    table(100_000);
}

#[test]
#[ignore = "long: .ci/long"]
fn long_a_thousand_scattered_differences_in_a_million_cost_40_kb_and_two_round_trips() {
    table(1_000_000);
}

#[test]
fn two_round_trips_are_enough_under_nearly_every_salt() {
    let chosen: Vec<Bill> = (0..40).map(|salt| costs(3_000, 1_000, Lie::Both, salt).1).collect();
    let two = chosen.iter().filter(|bill| bill.trips == 2 && bill.by_sketch).count();
    let most = chosen.iter().map(Bill::bytes).max().unwrap();
    println!("two round trips under {two} of 40 salts, at most {most} bytes");
    assert!(two >= 38 && most <= 64_000 && chosen.iter().all(|bill| bill.by_sketch), "{two}, {most} bytes");
}

#[test]
fn small_sets_cost_little_either_way() {
    for (n, differ) in [(20, 1), (20, 10), (200, 5)] {
        let (ranges, chosen) = costs(n, differ, Lie::Scattered, 1);
        show(n, differ, Lie::Scattered, (ranges, chosen));
        assert!(chosen.bytes() <= ranges.bytes().max(1_000), "{chosen:?} {ranges:?}");
    }
}
