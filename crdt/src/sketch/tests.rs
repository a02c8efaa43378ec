//! Sketches find exactly what differs, cheaply, and no bytes make them do more than they should.

use std::collections::BTreeSet;

use proptest::prelude::*;
use vigo_base::{Dice, Hash, limits};

use super::{BadSketch, COUNTED, Cell, Found, Salt, Short, Sketch, Walk};

type Set = BTreeSet<Short>;

fn shorts(dice: &mut Dice, n: usize) -> Set {
    (0..n).map(|_| Short(dice.bits())).collect()
}

fn sketch(salt: Salt, cells: usize, set: &Set) -> Sketch {
    Sketch::of(salt, cells, set.iter().copied())
}

/// Two sets that share `common` and have so many of their own.
fn apart(dice: &mut Dice, common: usize, ours: usize, theirs: usize) -> (Set, Set) {
    let shared = shorts(dice, common);
    let with = |own: Set| shared.union(&own).copied().collect();
    (with(shorts(dice, ours)), with(shorts(dice, theirs)))
}

fn found(salt: Salt, cells: usize, ours: &Set, theirs: &Set) -> Found {
    // What travels is what is encoded.
    let theirs = Sketch::decode(&sketch(salt, cells, theirs).encode(cells)).unwrap();
    sketch(salt, cells, ours).against(&theirs)
}

fn differ(ours: &Set, theirs: &Set) -> Vec<Short> {
    ours.symmetric_difference(theirs).copied().collect()
}

#[test]
fn a_walk_visits_a_place_as_often_as_it_should() {
    let mut visits = vec![0u64; 200];
    for seed in 0..40_000u64 {
        let places: Vec<usize> =
            Walk::new(Salt([7; 16]).hash(Short(seed))).take_while(|place| *place < 200).collect();
        assert!(places[0] == 0 && places.is_sorted_by(|a, b| a < b));
        places.iter().for_each(|place| visits[*place] += 1);
    }
    for place in [4, 10, 50, 199] {
        let (seen, due) = (visits[place] as f64, 40_000.0 * 2.0 / (place as f64 + 2.0));
        assert!((seen / due - 1.0).abs() < 0.12, "place {place}: {seen} of {due}");
    }
}

#[test]
fn a_walk_is_the_same_on_every_machine() {
    let places: Vec<usize> = Walk::new(Salt(*b"0123456789abcdef").hash(Short(42))).take(9).collect();
    assert_eq!(places, [0, 1, 7, 28, 30, 37, 51, 90, 99]);
}

#[test]
fn the_estimate_is_near_before_anything_can_be_peeled() {
    let mut dice = Dice::from_number(1);
    for (ours, theirs) in [(100, 0), (0, 1_000), (500, 500), (3_000, 1_000), (10_000, 10_000)] {
        let (mut sum, mut worst) = (0.0, 1.0f64);
        for salt in 0..40u8 {
            let (a, b) = apart(&mut dice, 2_000, ours, theirs);
            let got = found(Salt([salt; 16]), 64, &a, &b);
            assert!(!got.complete);
            let ratio = got.estimate as f64 / (ours + theirs) as f64;
            (sum, worst) = (sum + ratio / 40.0, worst.min(ratio));
        }
        println!("{ours} + {theirs}: mean {sum:.2}, least {worst:.2}");
        assert!((0.85..1.2).contains(&sum) && worst > 0.45, "{ours} + {theirs}: {sum} {worst}");
    }
}

#[test]
fn about_four_cells_for_three_differences_are_enough() {
    let mut dice = Dice::from_number(2);
    for (differ, cells, least) in [(1, 4, 28), (20, 44, 27), (30, 64, 27), (200, 320, 28), (1_000, 1_450, 29)]
    {
        let complete = (0..30u8).filter(|salt| {
            let (a, b) = apart(&mut dice, 500, differ / 2, differ - differ / 2);
            found(Salt([*salt; 16]), cells, &a, &b).complete
        });
        let complete = complete.count();
        println!("{differ} in {cells} cells: {complete} of 30");
        assert!(complete >= least, "{differ} in {cells} cells: {complete} of 30");
    }
}

#[test]
fn two_records_with_one_short_name_hide_each_other_and_nothing_else() {
    let mut dice = Dice::from_number(3);
    let (ours, theirs) = apart(&mut dice, 300, 10, 10);
    let (salt, twin) = (Salt([9; 16]), Short(77));
    let mut crafted = sketch(salt, 64, &theirs);
    crafted.add(twin);
    crafted.add(twin);
    let got = sketch(salt, 64, &ours).against(&crafted);
    assert!(got.complete);
    assert_eq!(got.names, differ(&ours, &theirs));
}

#[test]
fn members_that_share_all_their_cells_stay_behind_alone() {
    let mut dice = Dice::from_number(4);
    let (ours, theirs) = apart(&mut dice, 300, 10, 10);
    let salt = Salt([3; 16]);
    // Who knows the salt finds two names that fall into the same of 48 cells.
    let places = |short| Walk::new(salt.hash(short)).take_while(|place| *place < 48).collect::<Vec<_>>();
    let mut seen = std::collections::BTreeMap::new();
    let pair =
        (0..200_000).map(Short).find_map(|short| seen.insert(places(short), short).map(|a| [a, short]));
    let mut crafted = theirs.clone();
    crafted.extend(pair.unwrap());
    let got = found(salt, 48, &ours, &crafted);
    assert!(!got.complete && got.estimate > 20);
    assert_eq!(got.names, differ(&ours, &theirs));
    // Under a salt that was not known, they are like all others.
    assert!(found(Salt([4; 16]), 64, &ours, &crafted).complete);
}

#[test]
fn a_sketch_has_one_encoding_of_twelve_bytes_a_cell() {
    let mut dice = Dice::from_number(5);
    let whole = sketch(Salt([1; 16]), limits::SKETCH_CELLS, &shorts(&mut dice, 100_000));
    let bytes = whole.encode(limits::SKETCH_CELLS);
    println!("{} cells in {} bytes", whole.cells(), bytes.len());
    assert!(
        bytes.len() <= 12 * limits::SKETCH_CELLS + 190 && bytes.len() <= limits::RECONCILE_BYTES,
        "{}",
        bytes.len()
    );
    assert_eq!(Sketch::decode(&bytes).unwrap(), whole);
    let first = Sketch::decode(&whole.encode(COUNTED)).unwrap();
    assert_eq!(first, Sketch { cells: whole.cells[..COUNTED].to_vec(), ..whole.clone() });
    assert_eq!(Sketch::decode(&whole.encode(0)).unwrap().cells(), 1);
    assert!(matches!(Sketch::decode(&bytes[..bytes.len() - 1]), Err(BadSketch::Cut { .. })));
    assert!(matches!(Sketch::decode(&[bytes, vec![0; 12]].concat()), Err(BadSketch::TooLong { .. })));
}

#[test]
fn claims_that_cannot_be_are_refused() {
    let cell = |count: &[u8]| [&[0u8; 12], count].concat();
    let of =
        |members: &[u8], cells: &[Vec<u8>]| Sketch::decode(&[&[0; 16], members, &cells.concat()].concat());
    assert!(of(&[5], &[cell(&[0])]).is_ok());
    assert!(matches!(of(&[5], &[cell(&[2])]), Err(BadSketch::BadCount { cell: 0, found: 6, members: 5 })));
    assert!(matches!(of(&[5], &[cell(&[1])]), Err(BadSketch::BadCount { cell: 0, found: 4, .. })));
    // Three are expected in the second cell of five members; at most five and at least none can be there.
    let second = |count| of(&[5], &[cell(&[0]), cell(&[count])]).is_ok();
    assert_eq!([4, 5, 6].map(second), [true, true, false]);
    assert_eq!([3, 7].map(second), [true, false]);
    assert!(matches!(of(&[0xff; 5], &[]), Err(BadSketch::BadNumber { .. })));
    assert!(matches!(of(&[0x80, 0], &[cell(&[0])]), Err(BadSketch::BadNumber { .. })), "a longer spelling");
    assert!(matches!(of(&[0x81, 0x80, 0x80, 0x80, 0x10], &[]), Err(BadSketch::TooLarge { .. })));
    assert!(matches!(of(&[5], &[]), Err(BadSketch::Cut { .. })), "no cell");
}

#[test]
fn another_salt_tells_nothing() {
    let set = shorts(&mut Dice::from_number(6), 10);
    let got = sketch(Salt([1; 16]), 32, &set).against(&sketch(Salt([2; 16]), 32, &set));
    assert!(!got.complete && got.names.is_empty());
}

#[test]
fn whose_a_member_is_shows_in_our_own_keys() {
    let keys: Vec<Hash> = (0..20u8).map(|n| Hash::of(&[n])).collect();
    let mut names: Vec<Short> = keys[..6].iter().map(Short::of).collect();
    names.sort_unstable();
    let sides = Found { names, complete: true, estimate: 6 }.sides(keys[4..].iter().copied());
    let (mut have, mut need) = (keys[4..6].to_vec(), keys[..4].iter().map(Short::of).collect::<Vec<_>>());
    have.sort_unstable();
    need.sort_unstable();
    assert_eq!((sides.have, sides.need), (have, need));
}

#[test]
fn a_short_name_is_the_front_of_a_key() {
    let key = Hash::of(b"key");
    assert!(Short::of(&key).range().contains(&key));
    assert_eq!(Short::of(Short(7).range().start()), Short(7));
    assert!(!Short(Short::of(&key).0 + 1).range().contains(&key));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_exactly_what_differs(
        seed in any::<u64>(), common in 0usize..400, ours in 0usize..200, theirs in 0usize..200,
    ) {
        let mut dice = Dice::from_number(seed);
        let (a, b) = apart(&mut dice, common, ours, theirs);
        let got = found(Salt([seed as u8; 16]), 2 * (ours + theirs) + 40, &a, &b);
        prop_assert!(got.complete);
        prop_assert_eq!(got.estimate as usize, ours + theirs);
        prop_assert_eq!(got.names, differ(&a, &b));
    }

    #[test]
    fn too_few_cells_find_part_of_it_and_nothing_else(
        seed in any::<u64>(), ours in 0usize..100, theirs in 0usize..100, cells in 1usize..100,
    ) {
        let mut dice = Dice::from_number(seed);
        let (a, b) = apart(&mut dice, 50, ours, theirs);
        let got = found(Salt([seed as u8; 16]), cells, &a, &b);
        prop_assert!(got.names.iter().all(|short| a.contains(short) != b.contains(short)));
        prop_assert!(got.complete == (got.names.len() == ours + theirs));
    }

    #[test]
    fn what_comes_and_goes_leaves_the_same_sketch(seed in any::<u64>(), steps in 0usize..200) {
        let (mut dice, salt, mut set) = (Dice::from_number(seed), Salt([5; 16]), Set::new());
        let mut kept = Sketch::of(salt, 64, []);
        for _ in 0..steps {
            let member = Short(dice.below(60));
            match set.remove(&member) {
                true => kept.remove(member),
                false => {
                    set.insert(member);
                    kept.add(member);
                }
            }
        }
        prop_assert_eq!(kept, sketch(salt, 64, &set));
    }

    #[test]
    fn no_bytes_break_a_sketch(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        let ours = Sketch::of(Salt([0; 16]), 40, (0..30).map(Short));
        for bytes in [noise.clone(), [vec![0; 16], vec![30], noise].concat()] {
            let Ok(theirs) = Sketch::decode(&bytes) else { continue };
            prop_assert_eq!(theirs.encode(theirs.cells()), bytes);
            let got = ours.against(&Sketch { salt: ours.salt(), ..theirs.clone() });
            prop_assert!(got.names.len() <= theirs.cells());
        }
    }

    #[test]
    fn no_cells_make_peeling_do_more_than_there_are_cells(
        seed in any::<u64>(), loops in proptest::collection::vec((0usize..40, 0u64..8), 0..60),
    ) {
        let mut dice = Dice::from_number(seed);
        let mut theirs = sketch(Salt([0; 16]), 40, &shorts(&mut dice, 10));
        // Cells that each look as if they held one member, whatever the others say: taking it out of one puts it into another.
        for (cell, member) in loops {
            let hash = theirs.salt.hash(Short(member));
            theirs.cells[cell] = Cell { names: member, checks: (hash >> 32) as u32 };
        }
        let got = Sketch::of(Salt([0; 16]), 40, []).against(&theirs);
        prop_assert!(got.names.len() <= 40 && got.names.is_sorted_by(|a, b| a < b));
    }
}
