//! Two bolts with many records that differ, scattered over all of their set, become equal for few bytes.

use vigo_base::time::{millis, mins, secs};
use vigo_node::crdt::Space;
use vigo_node::sign::Signed;
use vigo_node::spanner::NodeKind;
use vigo_simnet::{Figures, Fleet, Ix};

/// Statements on each side of the cut, and twice as many that both have.
const EACH: usize = 100;

fn settings_differ(fleet: &Fleet, all: &[Ix]) -> bool {
    let digests: Vec<_> = all.iter().map(|ix| fleet.machine(*ix).digest(&Space::settings())).collect();
    digests.windows(2).any(|pair| pair[0] != pair[1])
}

/// Statements made one after the other: every fourth will be of one side, every fourth of the other.
fn statements(fleet: &mut Fleet) -> Vec<Signed> {
    let operator = fleet.operator.clone();
    let mut made = Vec::new();
    for n in 0..4 * EACH as u64 {
        fleet.elapse(millis(50));
        let signer = fleet.signer(0, &operator);
        made.push(signer.set("converge.interval", Some(&(600 + n).into())).expect("it signs"));
    }
    made
}

/// Cuts two bolts apart, lets each learn what the other does not, and mends the link: what it cost, and whether sketches were
/// asked for and ranges compared.
fn heal(older: usize, seed: u64) -> (Figures, bool, bool) {
    let mut fleet = Fleet::new(seed).with_older_nodes(older);
    fleet.without_gossip();
    let all = [fleet.found("bolt1"), fleet.join(0, "bolt2", NodeKind::Bolt)];
    fleet.elapse(mins(2));
    let made = statements(&mut fleet);
    let of = |side: &'static [usize]| made.iter().enumerate().filter(|(n, _)| side.contains(&(n % 4)));
    for (_, signed) in of(&[1, 2]) {
        fleet.submit(0, signed).expect("it counts");
    }
    fleet.until(mins(5), |fleet| !settings_differ(fleet, &all)).expect("both have what both are to have");
    fleet.cut(all[0], all[1]);
    fleet.elapse(mins(2));
    for (side, ix) in [(&[0], all[0]), (&[3], all[1])] {
        for (_, signed) in of(side) {
            fleet.submit(ix, signed).expect("it counts");
        }
    }
    fleet.elapse(secs(5));
    assert!(settings_differ(&fleet, &all));
    fleet.reached.clear();
    fleet.measure(&all);
    fleet.heal();
    fleet.until(mins(5), |fleet| !settings_differ(fleet, &all)).expect("they become equal");
    let reached = |what| fleet.reached.contains_key(what);
    (fleet.figures(), reached("a sketch was asked for"), reached("sets were compared by ranges"))
}

#[test]
pub(crate) fn scattered_differences_heal_for_few_bytes_and_with_an_older_node_for_more() {
    let (sketched, asked, _) = heal(0, 1);
    let (ranges, never, compared) = heal(2, 1);
    println!("{} B by sketches, {} B by ranges", sketched.bytes.reconciliation, ranges.bytes.reconciliation);
    assert!(
        asked && !never && compared,
        "one bolt of the second fleet knows no sketches, and is asked for none"
    );
    let differ = 2 * EACH as u64;
    // The records themselves are pushes. All else: twelve bytes for each cell, eight for each name; other spaces differ too.
    assert!(sketched.bytes.reconciliation <= differ * 96, "{}", sketched.bytes.reconciliation);
    assert!(2 * sketched.bytes.reconciliation < ranges.bytes.reconciliation, "{sketched:?} {ranges:?}");
    assert!(sketched.rounds <= ranges.rounds, "{} {}", sketched.rounds, ranges.rounds);
}
