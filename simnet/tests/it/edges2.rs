//! A name that is free again, a clock set back, an address that is given up, a publish in the middle of a run: what
//! people do now and then and random lives do not.

use vigo_base::time::{hours, millis, mins, secs};
use vigo_node::spanner::NodeKind;
use vigo_simnet::{Fleet, Ix};

use crate::audit::{busy, logs};
use crate::edges::runs;
use crate::stories::{all_run, fleet, publish, twice};

#[test]
pub(crate) fn what_a_machine_says_counts_after_its_clock_was_set_back() {
    twice(64, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 1);
        let before = publish(&mut fleet, 0, "before");
        fleet.until(secs(30), |f| all_run(f, &all, before)).expect("everyone converges");
        fleet.elapse(mins(1));
        let (web, (_, number)) = (all[1], runs(&mut fleet, 0, "web01"));
        fleet.kill(web);
        fleet.machine_mut(web).clock.ahead -= hours(2) as i64;
        fleet.start(web);
        fleet.elapse(secs(30));
        let after = publish(&mut fleet, 0, "after");
        fleet.until(mins(1), |f| all_run(f, &all, after)).expect("everyone converges");
        fleet.elapse(secs(10));
        let (epoch, newer) = runs(&mut fleet, 0, "web01");
        assert!(
            epoch == after.epoch && newer > number,
            "run {newer} of epoch {epoch} is what the bolt knows"
        );
        fleet
    });
}

#[test]
pub(crate) fn the_name_of_a_revoked_machine_is_its_successors() {
    twice(65, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        let broken = fleet.key(all[2]);
        fleet.kill(all[2]);
        fleet.revoke(0, broken);
        fleet.elapse(secs(10));
        let new = fleet.join(1, "web01", NodeKind::Envoy);
        let at = publish(&mut fleet, 0, "hello");
        let stays = [0, 1, all[3], new];
        let all_do = fleet.until(secs(60), |f| all_run(f, &stays, at));
        assert!(all_do.is_some(), "{:?}\n{}", fleet.members(0), fleet.report());
        for bolt in [0, 1] {
            let rows = fleet.members(bolt);
            let named = |state: &str| rows.iter().filter(|m| m.name == "web01" && m.state == state).count();
            assert_eq!((named("active"), named("suspended")), (1, 0), "{bolt}: {rows:?}");
        }
        fleet
    });
}

#[test]
pub(crate) fn a_bolt_that_gave_up_one_of_its_addresses_is_found_at_the_other() {
    twice(66, |seed| {
        let mut fleet = Fleet::new(seed);
        fleet.found("bolt1");
        fleet.kill(0);
        // Where the third machine will stand.
        let other = fleet.address(2);
        fleet.announces(0, other);
        fleet.start(0);
        let nat = fleet.join_as(0, "nat1", NodeKind::Envoy, true);
        let before = publish(&mut fleet, 0, "before");
        fleet.until(secs(30), |f| all_run(f, &[0, nat], before)).expect("everyone converges");
        fleet.kill(0);
        let moved = fleet.clone_machine(0);
        fleet.start(moved);
        let after = publish(&mut fleet, moved, "after");
        let found = fleet.until(mins(3), |f| all_run(f, &[moved, nat], after));
        assert!(found.is_some(), "{}", fleet.report());
        fleet
    });
}

#[test]
pub(crate) fn a_publish_in_the_middle_of_a_run_is_run_at_once() {
    twice(67, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 1);
        for tens in 0..12 {
            publish(&mut fleet, 0, &format!("one, {tens}"));
            fleet.elapse(millis(10 * tens));
            let at = publish(&mut fleet, 0, &format!("another, {tens}"));
            let took = fleet.until(secs(20), |f| all_run(f, &all, at));
            assert!(
                took.is_some(),
                "published {tens}0 ms later, it waits for the interval\n{}",
                fleet.report()
            );
        }
        fleet
    });
}

#[test]
pub(crate) fn a_bolt_that_was_away_gets_the_log_of_one_that_was_revoked_meanwhile() {
    twice(68, |seed| {
        let mut fleet = busy(seed);
        let gone = fleet.key(2);
        let log = |fleet: &mut Fleet, at: Ix| logs(fleet, at).into_iter().find(|log| log.key == gone);
        let before = log(&mut fleet, 1).expect("its log").length;
        fleet.kill(1);
        fleet.elapse(secs(40));
        publish(&mut fleet, 2, "three");
        fleet.elapse(mins(1));
        fleet.kill(2);
        fleet.revoke(0, gone);
        fleet.elapse(secs(10));
        fleet.start(1);
        fleet.elapse(mins(3));
        let [first, second] = [0, 1].map(|at| log(&mut fleet, at).expect("its log"));
        assert!(second.length > before && second.intact, "{second:?}");
        assert_eq!(first.length, second.length, "both bolts hold all of it");
        fleet
    });
}
