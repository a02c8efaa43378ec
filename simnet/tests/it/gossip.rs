//! The gossip plane: fast when it works, missed by nobody when it does not, closed to whoever does not belong.

use vigo_base::time::{millis, mins, secs};
use vigo_node::Event;
use vigo_node::crdt::Space;
use vigo_node::spanner::NodeKind;
use vigo_simnet::{Fleet, Ix};

/// A fleet of two bolts and ten envoys, connected and linked.
fn fleet(seed: u64, gossip: bool) -> (Fleet, Vec<Ix>) {
    let mut fleet = Fleet::new(seed);
    if !gossip {
        fleet.without_gossip();
    }
    let mut all = vec![fleet.found("bolt1"), fleet.join(0, "bolt2", NodeKind::Bolt)];
    for n in 1..=10 {
        all.push(fleet.join(0, &format!("web{n:02}"), NodeKind::Envoy));
    }
    fleet.elapse(mins(3));
    (fleet, all)
}

fn links(fleet: &Fleet, all: &[Ix]) -> usize {
    all.iter()
        .flat_map(|a| all.iter().map(move |b| (*a, *b)))
        .filter(|(a, b)| fleet.is_linked(*a, *b))
        .count()
        / 2
}

fn sessions(fleet: &Fleet, all: &[Ix]) -> usize {
    all.iter()
        .flat_map(|a| all.iter().map(move |b| (*a, *b)))
        .filter(|(a, b)| a != b && fleet.is_connected(*a, *b))
        .count()
        / 2
}

fn all_alike(fleet: &mut Fleet, all: &[Ix]) -> bool {
    let digests: Vec<_> = all.iter().filter_map(|ix| fleet.machine(*ix).digest(&Space::settings())).collect();
    digests.len() == all.len() && digests.windows(2).all(|w| w[0] == w[1])
}

fn set(fleet: &mut Fleet, at: Ix, value: u64) {
    let operator = fleet.operator.clone();
    let signed = fleet.signer(at, &operator).set("converge.interval", Some(&value.into())).expect("it signs");
    fleet.submit(at, &signed).expect("it counts");
}

/// Sets something and gives how long it took to be everywhere.
fn spread(fleet: &mut Fleet, all: &[Ix], value: u64, limit: u64) -> Option<u64> {
    set(fleet, 0, value);
    fleet.until_every(millis(5), limit, |fleet| all_alike(fleet, all))
}

#[test]
pub(crate) fn every_session_gets_its_link_and_a_setting_is_everywhere_at_once() {
    let (mut fleet, all) = fleet(1, true);
    assert_eq!(links(&fleet, &all), sessions(&fleet, &all), "one link to a session");
    let mut took: Vec<u64> = Vec::new();
    for n in 0..20 {
        took.push(spread(&mut fleet, &all, 100 + n, mins(2)).expect("it comes everywhere"));
        fleet.elapse(secs(5));
    }
    took.sort_unstable();
    assert!(took[10] < millis(200), "{took:?}");
    for what in ["gossip accepted", "gossip lost", "gossip came twice", "durable before it was gossiped"] {
        assert!(fleet.reached.contains_key(what), "{what}: {:?}", fleet.reached);
    }
    assert!(!fleet.reached.contains_key("gossip rejected"), "honest nodes blame nobody");
}

#[test]
pub(crate) fn what_gossip_loses_reconciliation_brings_and_without_gossip_all_comes_too() {
    for gossip in [true, false] {
        let (mut fleet, all) = fleet(2, gossip);
        // Far more at once than queues hold.
        for n in 0..150 {
            set(&mut fleet, 0, 1_000 + n);
        }
        let took = fleet.until_every(millis(500), mins(3), |fleet| all_alike(fleet, &all));
        assert!(took.is_some(), "gossip {gossip}: {:?}", fleet.reached);
        assert_eq!(fleet.reached.contains_key("gossip accepted"), gossip);
    }
}

#[test]
pub(crate) fn links_come_back_after_cuts_and_crashes() {
    let (mut fleet, all) = fleet(3, true);
    for round in 0..4 {
        let (left, right) = all.split_at(5 + round);
        fleet.partition(left, right);
        fleet.kill(all[3 + round]);
        fleet.elapse(mins(2));
        fleet.heal();
        fleet.start(all[3 + round]);
        fleet.elapse(mins(6));
        assert_eq!(links(&fleet, &all), sessions(&fleet, &all), "round {round}");
        assert!(links(&fleet, &all) >= all.len(), "round {round}");
    }
    assert!(spread(&mut fleet, &all, 77, secs(2)).is_some(), "and they carry");
}

#[test]
pub(crate) fn a_node_that_only_dials_out_takes_part() {
    let mut fleet = Fleet::new(4);
    let mut all = vec![fleet.found("bolt1"), fleet.join(0, "bolt2", NodeKind::Bolt)];
    let token = fleet.invite(0, "web01", NodeKind::Envoy);
    let behind = fleet.add("web01");
    fleet.only_dials(behind);
    fleet.enrol(behind, token, "web01");
    fleet.until(secs(30), |f| f.has_joined(behind)).expect("joins");
    fleet.restart_joined(behind);
    all.push(behind);
    all.push(fleet.join(0, "web02", NodeKind::Envoy));
    fleet.elapse(mins(2));
    assert!(fleet.is_linked(behind, 0) && fleet.is_linked(behind, 1));
    assert!(spread(&mut fleet, &all, 60, secs(2)).is_some());
    fleet.elapse(secs(5));
    set(&mut fleet, behind, 61);
    assert!(fleet.until_every(millis(5), secs(2), |fleet| all_alike(fleet, &all)).is_some());
}

#[test]
pub(crate) fn strangers_and_the_revoked_are_cut() {
    let (mut fleet, all) = fleet(5, true);
    let stranger = fleet.add("stranger");
    fleet.machine_mut(stranger).inbox = Some(Vec::new());
    fleet.link_by_hand(stranger, all[0]);
    fleet.elapse(secs(1));
    assert!(!fleet.is_linked(stranger, all[0]));
    let gone = all[4];
    let key = fleet.key(gone);
    assert!(links(&fleet, &[gone]) == 0 && all.iter().any(|ix| fleet.is_linked(gone, *ix)));
    fleet.revoke(0, key);
    fleet.elapse(secs(1));
    assert!(all.iter().all(|ix| !fleet.is_linked(gone, *ix)), "cut at once");
    let told = |e: &(vigo_base::Time, Event)| matches!(&e.1, Event::PeerRefused { key: k, .. } if *k == key);
    assert!(all.iter().any(|ix| fleet.machine(*ix).events.iter().any(told)));
    fleet.link_by_hand(gone, all[1]);
    fleet.elapse(secs(1));
    assert!(!fleet.is_linked(gone, all[1]), "and does not come back");
}

#[test]
pub(crate) fn one_seed_tells_one_story() {
    let tell = || {
        let (mut fleet, all) = fleet(6, true);
        spread(&mut fleet, &all, 60, mins(1));
        fleet.break_connections(2);
        fleet.elapse(mins(2));
        spread(&mut fleet, &all, 61, mins(1));
        (fleet.trace(), fleet.events())
    };
    assert_eq!(tell(), tell());
}
