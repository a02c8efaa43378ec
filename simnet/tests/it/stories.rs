//! Stories of whole fleets: each is told twice with one seed, and the two traces are compared.

use vigo_base::time::{hours, mins, secs};
use vigo_base::{Hash, Time};
use vigo_node::content_types::config::Epoch;
use vigo_node::spanner::NodeKind;
use vigo_simnet::{Fleet, Ix};

pub(crate) const CRATE: &str = "name: motd\nresources:\n  - name: motd\n    type: file\n    target_path: /etc/motd\n    content: \"TEXT on {{ .Traits.os.distro }}\\n\"\n";
pub(crate) const ENVOYS: &str = "envoys:\n  - match: \"*\"\n    configcrates: [motd]\n";

/// Publishes a motd through a machine.
pub(crate) fn publish(fleet: &mut Fleet, at: Ix, text: &str) -> Epoch {
    let motd = CRATE.replace("TEXT", text);
    fleet.publish(at, &[("configcrates/motd.vgo", &motd), ("envoys.vgo", ENVOYS)])
}

/// A fleet of so many bolts and envoys.
pub(crate) fn fleet(seed: u64, bolts: usize, envoys: usize) -> (Fleet, Vec<Ix>) {
    let mut fleet = Fleet::new(seed);
    let mut all = vec![fleet.found("bolt1")];
    for n in 2..=bolts {
        all.push(fleet.join(0, &format!("bolt{n}"), NodeKind::Bolt));
    }
    for n in 1..=envoys {
        all.push(fleet.join(0, &format!("web{n:02}"), NodeKind::Envoy));
    }
    fleet.elapse(secs(10));
    (fleet, all)
}

/// Tells a story twice and compares the traces.
pub(crate) fn twice(seed: u64, story: impl Fn(u64) -> Fleet) {
    let (first, second): (Hash, Hash) = (story(seed).trace(), story(seed).trace());
    assert_eq!(first, second, "the same seed {seed} told two stories");
}

pub(crate) fn all_run(fleet: &Fleet, who: &[Ix], at: Epoch) -> bool {
    who.iter().all(|ix| fleet.has_run(*ix, at))
}

#[test]
pub(crate) fn ten_nodes_converge_on_a_publish() {
    twice(1, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 8);
        let at = publish(&mut fleet, 0, "hello");
        let took = fleet.until(secs(30), |f| all_run(f, &all, at)).expect("everyone converges");
        assert!(took < secs(5), "it took {took} µs");
        for ix in all {
            assert_eq!(fleet.file(ix, "/etc/motd").as_deref(), Some("hello on debian\n"));
        }
        fleet
    });
}

#[test]
pub(crate) fn drift_is_put_back_by_the_next_run() {
    twice(2, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 2);
        let at = publish(&mut fleet, 0, "hello");
        fleet.until(secs(30), |f| all_run(f, &all, at)).expect("everyone converges");
        fleet.machine_mut(all[1]).host.drift("/etc/motd", "by hand");
        fleet.elapse(mins(6));
        assert_eq!(fleet.file(all[1], "/etc/motd").as_deref(), Some("hello on debian\n"));
        fleet
    });
}

#[test]
pub(crate) fn a_partition_heals_and_a_fork_of_epochs_has_one_winner() {
    twice(3, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 6);
        let base = publish(&mut fleet, 0, "base");
        fleet.until(secs(30), |f| all_run(f, &all, base)).expect("everyone converges");
        let (left, right) = ([0, 2, 3, 4], [1, 5, 6, 7]);
        fleet.partition(&left, &right);
        fleet.elapse(secs(40));
        let (a, b) = (publish(&mut fleet, 0, "left"), publish(&mut fleet, 1, "right"));
        assert_eq!((a.epoch, b.epoch), (2, 2));
        fleet
            .until(secs(30), |f| all_run(f, &left, a) && all_run(f, &right, b))
            .expect("each side converges");
        fleet.heal();
        let winner = a.max(b);
        let text = if winner == a { "left on debian\n" } else { "right on debian\n" };
        let same = |f: &Fleet| all.iter().all(|ix| f.file(*ix, "/etc/motd").as_deref() == Some(text));
        fleet.until(secs(90), same).expect("one winner everywhere");
        let warned = fleet.status(0).warnings.iter().any(|w| w.contains("lost"));
        assert!(warned, "the fork is shown");
        let close = publish(&mut fleet, 0, "closed");
        assert_eq!(close.epoch, 3);
        if fleet.until(secs(30), |f| all_run(f, &all, close)).is_none() {
            panic!("{}", fleet.report());
        }
        assert!(fleet.status(1).warnings.is_empty(), "{:?}", fleet.status(1).warnings);
        fleet
    });
}

#[test]
pub(crate) fn a_late_node_catches_up_from_peers_while_every_bolt_is_down() {
    twice(4, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 5);
        let late = all[6];
        let first = publish(&mut fleet, 0, "first");
        fleet.until(secs(30), |f| all_run(f, &all, first)).expect("everyone converges");
        fleet.kill(late);
        fleet.kill(0);
        fleet.kill(1);
        fleet.elapse(secs(60));
        let second = publish(&mut fleet, all[2], "second");
        let up = &all[2..6];
        fleet.until(secs(60), |f| all_run(f, up, second)).expect("peers converge without a bolt");
        fleet.start(late);
        if fleet.until(secs(60), |f| f.has_run(late, second)).is_none() {
            panic!("{}", fleet.report());
        }
        fleet.start(0);
        fleet.until(secs(120), |f| f.has_run(0, second)).expect("the bolt catches up");
        fleet
    });
}

#[test]
pub(crate) fn a_node_asleep_for_a_year_comes_back() {
    twice(5, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 2);
        let first = publish(&mut fleet, 0, "first");
        fleet.until(secs(30), |f| all_run(f, &all, first)).expect("everyone converges");
        let sleeper = all[2];
        fleet.kill(sleeper);
        for year in 0..3 {
            publish(&mut fleet, 0, &format!("v{year}"));
            fleet.elapse(secs(30));
        }
        fleet.kill(0);
        fleet.kill(all[1]);
        fleet.elapse(hours(24 * 365));
        fleet.start(0);
        fleet.start(all[1]);
        fleet.start(sleeper);
        let text = Some("v2 on debian\n");
        fleet.until(mins(3), |f| f.file(sleeper, "/etc/motd").as_deref() == text).expect("it catches up");
        fleet.elapse(secs(1));
        // It enforces what it has until it hears of more, and then goes straight to the newest.
        assert_eq!(fleet.machine(sleeper).epochs_run, [1, 1, 4]);
        fleet
    });
}

#[test]
pub(crate) fn a_cloned_node_is_suspended() {
    twice(6, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 2);
        let first = publish(&mut fleet, 0, "first");
        fleet.until(secs(30), |f| all_run(f, &all, first)).expect("everyone converges");
        let clone = fleet.clone_machine(all[1]);
        fleet.start(clone);
        let suspended = |f: &mut Fleet| {
            let rows = f.members(0);
            rows.iter().any(|m| m.name == "web01" && m.state == "suspended")
        };
        // Two that speak as one keep displacing each other: it is luck when both are heard of one sequence.
        let found = fleet.until_every(secs(20), hours(6), suspended);
        assert!(found.is_some(), "{:?}", fleet.members(0));
        fleet.elapse(mins(10));
        let next = publish(&mut fleet, 0, "next");
        fleet.elapse(secs(30));
        assert!(fleet.has_run(all[2], next) && !fleet.has_run(all[1], next) && !fleet.has_run(clone, next));
        fleet
    });
}

#[test]
pub(crate) fn a_revoked_node_is_cut_off_and_learns_why() {
    twice(7, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 3);
        let first = publish(&mut fleet, 0, "first");
        fleet.until(secs(30), |f| all_run(f, &all, first)).expect("everyone converges");
        let key = fleet.key(all[2]);
        fleet.revoke(1, key);
        fleet.elapse(secs(5));
        assert_eq!(fleet.status(all[2]).standing, "revoked");
        let next = publish(&mut fleet, 0, "next");
        fleet.elapse(secs(60));
        assert!(!fleet.has_run(all[2], next) && fleet.has_run(all[3], next));
        fleet
    });
}

#[test]
pub(crate) fn one_that_only_dials_is_served_through_bolts_and_serves_through_them() {
    twice(8, |seed| {
        let mut fleet = Fleet::new(seed);
        fleet.found("bolt1");
        let bolt2 = fleet.join(0, "bolt2", NodeKind::Bolt);
        let mut nat = Vec::new();
        for name in ["nat1", "nat2"] {
            let token = fleet.invite(0, name, NodeKind::Envoy);
            let ix = fleet.add(name);
            fleet.only_dials(ix);
            fleet.enrol(ix, token, name);
            fleet.until(secs(30), |f| f.has_joined(ix)).expect("joins");
            fleet.restart_joined(ix);
            nat.push(ix);
        }
        fleet.cut(nat[0], nat[1]);
        fleet.elapse(secs(60));
        let at = publish(&mut fleet, nat[0], "from behind");
        let all = [0, bolt2, nat[0], nat[1]];
        fleet.until(secs(60), |f| all_run(f, &all, at)).expect("everyone converges");
        fleet.kill(0);
        fleet.elapse(secs(5));
        let next = publish(&mut fleet, nat[1], "again");
        fleet.until(secs(60), |f| f.has_run(nat[0], next)).expect("through the other bolt");
        fleet
    });
}

#[test]
pub(crate) fn a_node_with_an_old_disk_does_not_fork_itself() {
    twice(9, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 2);
        let disk = fleet.machine(all[1]).disk.clone();
        let first = publish(&mut fleet, 0, "first");
        fleet.until(secs(30), |f| all_run(f, &all, first)).expect("everyone converges");
        fleet.elapse(mins(12));
        fleet.kill(all[1]);
        fleet.machine_mut(all[1]).disk = disk;
        fleet.elapse(secs(5));
        fleet.start(all[1]);
        fleet.elapse(mins(12));
        let rows = fleet.members(0);
        assert!(rows.iter().all(|m| m.state == "active"), "{rows:?}");
        assert!(fleet.has_run(all[1], first));
        fleet
    });
}

#[test]
pub(crate) fn time_begins_where_it_is_said_to() {
    assert_eq!(Fleet::new(1).now(), Time(1_767_225_600_000_000));
}
