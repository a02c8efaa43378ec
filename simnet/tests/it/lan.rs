//! Stories of machines that were told of nobody and find each other on their LAN.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use vigo_base::time::{mins, secs};
use vigo_base::{Hash, SecretKey, SpannerId, Time};
use vigo_node::spanner::NodeKind;
use vigo_node::swarm::beacon::{Here, Packet};
use vigo_node::swarm::peers::Kind;
use vigo_node::{Event, Join};
use vigo_simnet::{Fleet, Ix};

use crate::stories::{all_run, fleet, publish, twice};

const LAN: u32 = 1;

/// Switches all off, empties their address books, and switches them on again on one LAN.
fn strand(fleet: &mut Fleet, all: &[Ix]) {
    all.iter().for_each(|ix| fleet.kill(*ix));
    fleet.elapse(secs(60));
    for ix in all {
        fleet.forget_addresses(*ix);
        fleet.plug_in(*ix, LAN);
        fleet.start(*ix);
    }
}

fn alone(fleet: &Fleet, all: &[Ix]) -> Vec<Ix> {
    let met = |a: Ix| all.iter().any(|b| *b != a && fleet.is_connected(a, *b));
    all.iter().copied().filter(|ix| !met(*ix)).collect()
}

#[test]
pub(crate) fn ten_nodes_that_know_no_address_find_each_other() {
    twice(41, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 8);
        fleet.lose_beacons(5);
        strand(&mut fleet, &all);
        let took = fleet.until(secs(30), |f| alone(f, &all).is_empty());
        assert!(took.is_some_and(|took| took < secs(8)), "{took:?}: alone are {:?}", alone(&fleet, &all));
        let at = publish(&mut fleet, 0, "found");
        fleet.until(secs(60), |f| all_run(f, &all, at)).expect("everyone converges");
        assert!(fleet.reached.contains_key("beacon lost"));
        // It grows quiet: two packets a minute from each, and a little more.
        let (before, began) = (fleet.beacons(), fleet.now());
        fleet.elapse(mins(10));
        let (sent, minutes) = (fleet.beacons() - before, fleet.now().since(began) / mins(1));
        assert!(sent <= 10 * 3 * minutes, "{sent} beacons in {minutes} minutes");
        fleet
    });
}

#[test]
pub(crate) fn without_beacons_they_stay_alone() {
    let (mut fleet, all) = fleet(42, 2, 3);
    all.iter().for_each(|ix| fleet.kill(*ix));
    for ix in &all {
        fleet.forget_addresses(*ix);
        fleet.start(*ix);
    }
    fleet.elapse(mins(5));
    assert_eq!(alone(&fleet, &all), all);
}

#[test]
pub(crate) fn a_fleet_setting_switches_beacons_off() {
    let (mut fleet, all) = fleet(43, 1, 3);
    let signer = fleet.signer(0, &fleet.operator.clone());
    let off = signer.set("beacon.enabled", Some(&false.into())).expect("it may be set");
    fleet.submit(0, &off).expect("it is taken");
    fleet.elapse(secs(60));
    let before = fleet.beacons();
    strand(&mut fleet, &all);
    fleet.elapse(mins(5));
    assert_eq!((alone(&fleet, &all), fleet.beacons()), (all, before));
}

#[test]
pub(crate) fn two_fleets_on_one_lan_do_not_mix() {
    twice(44, |seed| {
        let (mut fleet, ours) = fleet(seed, 1, 3);
        let theirs_bolt = fleet.found("other");
        let mut theirs = vec![theirs_bolt];
        for n in 1..=3 {
            theirs.push(fleet.join(theirs_bolt, &format!("oth{n}"), NodeKind::Envoy));
        }
        let all: Vec<Ix> = ours.iter().chain(&theirs).copied().collect();
        strand(&mut fleet, &all);
        for _ in 0..200 {
            fleet.elapse(secs(1));
            for a in &ours {
                assert!(
                    theirs.iter().all(|b| !fleet.is_connected(*a, *b)),
                    "{a} dialed into the other fleet"
                );
            }
        }
        let refused = |ix: &Ix| told(&fleet, *ix, |e| matches!(e, Event::PeerRefused { .. }));
        assert_eq!(all.iter().filter_map(refused).collect::<Vec<_>>(), Vec::<String>::new());
        let (one, two) = (publish(&mut fleet, ours[0], "ours"), publish(&mut fleet, theirs[0], "theirs"));
        let both = |f: &Fleet| all_run(f, &ours, one) && all_run(f, &theirs, two);
        fleet.until(secs(60), both).expect("each converges to its own");
        assert_eq!(fleet.file(ours[1], "/etc/motd").as_deref(), Some("ours on debian\n"));
        assert_eq!(fleet.file(theirs[1], "/etc/motd").as_deref(), Some("theirs on debian\n"));
        fleet
    });
}

#[test]
pub(crate) fn a_node_that_only_dials_asks_and_is_answered() {
    let (mut fleet, all) = fleet(45, 1, 2);
    fleet.kill(all[2]);
    fleet.only_dials(all[2]);
    fleet.forget_addresses(all[2]);
    fleet.plug_in(all[0], LAN);
    fleet.elapse(mins(2));
    fleet.plug_in(all[2], LAN);
    fleet.start(all[2]);
    let took = fleet.until(secs(30), |f| f.is_connected(all[2], all[0]));
    assert!(took.is_some_and(|took| took < secs(5)), "{took:?}");
}

#[test]
pub(crate) fn an_interface_that_comes_later_is_spoken_on_at_once() {
    let (mut fleet, all) = fleet(46, 1, 2);
    let late = all[2];
    // Nobody knows where it is, either.
    all.iter().for_each(|ix| fleet.kill(*ix));
    all.iter().for_each(|ix| fleet.forget_addresses(*ix));
    all[..2].iter().for_each(|ix| fleet.plug_in(*ix, LAN));
    all.iter().for_each(|ix| fleet.start(*ix));
    fleet.elapse(mins(5));
    assert_eq!(alone(&fleet, &all), [late]);
    fleet.plug_in(late, LAN);
    let took = fleet.until(secs(30), |f| f.is_connected(late, all[0]));
    assert!(took.is_some_and(|took| took < secs(5)), "{took:?}");
}

/// A beacon of `key` for the fleet of `spanner` that names `address`.
fn beacon(key: &SecretKey, spanner: SpannerId, address: &str, at: u64) -> Vec<u8> {
    let here = Here {
        spanner,
        kind: Kind::Bolt,
        address: address.parse().unwrap(),
        label: "sim".into(),
        time: Time(at),
        nonce: at,
        seeks: true,
        digests: [[9; _]; 3],
    };
    Packet::Here(here).sign(key)
}

/// The dials of a machine to an address, while a hostile neighbour does its worst for ten minutes.
fn attacked(name: &str, allowed: usize, worst: impl Fn(&mut Fleet, u64, SpannerId)) {
    let (mut fleet, all) = fleet(47, 2, 3);
    strand(&mut fleet, &all);
    fleet.elapse(secs(60));
    let spanner = SpannerId(Hash(fleet.machine(0).disk.meta["spanner"].as_slice().try_into().unwrap()));
    let (before, dialed) = (fleet.beacons(), fleet.dials().len());
    for tick in 0..6_000 {
        worst(&mut fleet, tick, spanner);
        fleet.elapse(secs(1) / 10);
    }
    let victims = |f: &Fleet| {
        let mut by: BTreeMap<Ix, Vec<Time>> = Default::default();
        let to_victim = f.dials()[dialed..].iter().filter(|(_, _, to)| to.starts_with("10.99."));
        to_victim.for_each(|(at, ix, _)| by.entry(*ix).or_default().push(*at));
        by
    };
    for (ix, times) in victims(&fleet) {
        let minute = |t: &Time| times.iter().filter(|u| u.0 >= t.0 && u.since(*t) < secs(60)).count();
        let most = times.iter().map(minute).max().unwrap_or(0);
        assert!(most <= allowed, "{name}: machine {ix} dialed the victim {most} times in a minute");
    }
    // Asked all the time, a node speaks once a second at most, and only to the group.
    let sent = fleet.beacons() - before;
    assert!(sent <= 5 * 601, "{name}: {sent} beacons in ten minutes");
    assert_eq!(alone(&fleet, &all), Vec::<Ix>::new());
    let at = publish(&mut fleet, 0, "after");
    fleet.until(secs(60), |f| all_run(f, &all, at)).expect("the fleet goes on");
}

#[test]
pub(crate) fn a_victim_that_beacons_name_is_dialed_once_a_minute() {
    let victim: SocketAddr = "10.99.9.9:1531".parse().unwrap();
    attacked("many keys", 1, |fleet, tick, spanner| {
        let key = SecretKey::from_seed(Hash::of(&tick.to_be_bytes()).0);
        fleet.shout_by_hand(LAN, victim, &beacon(&key, spanner, "10.99.9.9:1531", tick));
    });
    attacked("one key, from elsewhere", 0, |fleet, tick, spanner| {
        let key = SecretKey::from_seed([77; 32]);
        let from = SocketAddr::new([10, 77, 9, 9].into(), 1531);
        fleet.shout_by_hand(LAN, from, &beacon(&key, spanner, "10.99.9.9:1531", tick));
    });
    let replayed = std::cell::RefCell::new(Vec::new());
    attacked("replayed", 1, |fleet, tick, spanner| {
        let mut kept = replayed.borrow_mut();
        if tick == 0 {
            kept.push(beacon(&SecretKey::from_seed([78; 32]), spanner, "10.99.9.9:1531", 5));
        }
        fleet.shout_by_hand(LAN, victim, &kept[0]);
    });
}

/// A machine that looks for a fleet, on the LAN.
fn looks(fleet: &mut Fleet, name: &str, spanner: Option<SpannerId>) -> Ix {
    let ix = fleet.add(name);
    let name = name.parse().expect("a name");
    fleet.machine_mut(ix).join = Some(Join::Discover { name, bolt: false, spanner });
    fleet.plug_in(ix, LAN);
    fleet.start(ix);
    ix
}

fn told(fleet: &Fleet, ix: Ix, which: impl Fn(&Event) -> bool) -> Option<String> {
    fleet.machine(ix).events.iter().find(|(_, e)| which(e)).map(|(_, e)| format!("{e:?}"))
}

#[test]
pub(crate) fn a_machine_finds_the_fleet_on_its_lan_and_asks_to_join() {
    twice(48, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 1);
        all.iter().for_each(|ix| fleet.plug_in(*ix, LAN));
        fleet.elapse(secs(60));
        let new = looks(&mut fleet, "new1", None);
        let pending = |f: &Fleet| told(f, new, |e| matches!(e, Event::JoinPending { .. })).is_some();
        let took = fleet.until(secs(30), pending).expect("a bolt was asked");
        assert!(took < secs(6), "{took}");
        let found =
            told(&fleet, new, |e| matches!(e, Event::FleetsFound(_))).expect("it is told what was found");
        assert!(found.contains("10.77.0.1:1531") && found.contains("\"sim\""), "{found}");
        fleet
    });
}

#[test]
pub(crate) fn of_several_fleets_none_is_chosen_and_none_is_an_answer_too() {
    let (mut fleet, all) = fleet(49, 1, 0);
    let alone = looks(&mut fleet, "new0", None);
    fleet.elapse(secs(10));
    let why = told(&fleet, alone, |e| matches!(e, Event::JoinRefused { .. })).expect("it is refused");
    assert!(
        why.contains("no fleet answered") && why.contains("1531/udp") && why.contains("--address"),
        "{why}"
    );
    let other = fleet.found("other");
    [all[0], other].iter().for_each(|ix| fleet.plug_in(*ix, LAN));
    let torn = looks(&mut fleet, "new1", None);
    fleet.elapse(secs(10));
    let why = told(&fleet, torn, |e| matches!(e, Event::JoinRefused { .. })).expect("it is refused");
    assert!(why.contains("2 fleets answer") && why.contains("--spanner ID"), "{why}");
    let id = |f: &Fleet, ix: Ix| {
        SpannerId(Hash(f.machine(ix).disk.meta["spanner"].as_slice().try_into().unwrap()))
    };
    let meant = id(&fleet, other);
    let sure = looks(&mut fleet, "new2", Some(meant));
    fleet.elapse(secs(10));
    let pending = told(&fleet, sure, |e| matches!(e, Event::JoinPending { .. })).expect("it has asked");
    assert!(pending.contains(&meant.to_string()), "{pending}");
}

#[test]
pub(crate) fn machines_that_all_moved_while_they_were_off_find_each_other_although_their_books_are_wrong() {
    let (mut fleet, all) = fleet(50, 2, 4);
    all.iter().for_each(|ix| fleet.kill(*ix));
    fleet.elapse(secs(60));
    // Everybody's book says where somebody else, or nobody, is now.
    for ix in &all {
        fleet.scramble_addresses(*ix);
        fleet.plug_in(*ix, LAN);
    }
    all.iter().for_each(|ix| fleet.start(*ix));
    let took = fleet.until(secs(30), |f| alone(f, &all).is_empty());
    assert!(took.is_some_and(|took| took < secs(8)), "{took:?}: alone are {:?}", alone(&fleet, &all));
}
