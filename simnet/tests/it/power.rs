//! Power: machines that lose it between any two outputs, and disks that come from the past (R4).

use vigo_base::Hash;
use vigo_base::time::{hours, mins, secs};
use vigo_node::crdt::Unverified;
use vigo_node::spanner::NodeKind;
use vigo_node::spanner::spend::STATEMENT;
use vigo_simnet::{Fleet, Ix, Power};

use crate::stories::{CRATE, ENVOYS, all_run, fleet, publish, twice};

/// A machine joins a bolt and both converge on a publish, while `who` loses power once, after `outputs` outputs.
/// Gives whether the plug was really pulled.
fn join_and_publish(who: Ix, outputs: u64) -> bool {
    let mut fleet = Fleet::new(40 + who as u64);
    fleet.found("bolt1");
    let token = fleet.invite(0, "web01", NodeKind::Envoy);
    let web = fleet.add("web01");
    let alice = fleet.operator.clone();
    let mut lives = 0;
    fleet.kill_after(who, outputs);
    fleet.enrol(web, token, "web01");
    let mut tend = |f: &mut Fleet| {
        for ix in [0, web] {
            if f.machine(ix).power() == Power::Off {
                lives += 1;
                if f.has_joined(ix) {
                    f.machine_mut(ix).join = None;
                }
                f.start(ix);
            }
        }
        if f.join_refused(web) {
            f.kill(web);
            f.start(web);
        }
    };
    let joined = fleet.until_every(secs(1), mins(2), |f| {
        tend(f);
        f.has_joined(web)
    });
    assert!(joined.is_some(), "{who} after {outputs}: never joined\n{}", fleet.report());
    fleet.restart_joined(web);
    let mut acknowledged = None;
    for text in 1..20 {
        if let Some(p) = fleet.try_publish(who, &alice, &format!("v{text}")).filter(|p| p.acked) {
            acknowledged = Some((p.at, text));
            break;
        }
        fleet.elapse(secs(2));
        tend(&mut fleet);
    }
    let (at, text) = acknowledged.unwrap_or_else(|| panic!("{who} after {outputs}: cannot publish"));
    let text = format!("v{text}\n");
    let done = fleet.until_every(secs(1), mins(3), |f| {
        tend(f);
        [0, web].iter().all(|ix| f.has_run(*ix, at) && f.file(*ix, "/etc/motd").as_deref() == Some(&text))
    });
    assert!(done.is_some(), "{who} after {outputs}: what was acknowledged is lost\n{}", fleet.report());
    fleet.spare(who);
    let rows = fleet.members(0);
    assert!(rows.iter().all(|m| m.state == "active") && rows.len() == 4, "{who} after {outputs}: {rows:?}");
    lives > 0
}

fn at_every_output(who: Ix, at_least: u64) {
    let mut outputs = 0;
    while join_and_publish(who, outputs) {
        outputs += 1;
    }
    assert!(outputs >= at_least, "only {outputs} outputs were reached");
}

#[test]
pub(crate) fn a_bolt_loses_power_at_every_output() {
    at_every_output(0, 30);
}

#[test]
pub(crate) fn an_envoy_loses_power_at_every_output() {
    at_every_output(1, 30);
}

#[test]
pub(crate) fn a_bolt_with_an_old_disk_forgets_nobody() {
    twice(42, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 1);
        let old = fleet.machine(1).disk.clone();
        let joined = fleet.join(1, "web08", NodeKind::Envoy);
        let first = publish(&mut fleet, 1, "first");
        fleet.elapse(mins(2));
        fleet.kill(1);
        fleet.machine_mut(1).disk = old;
        fleet.elapse(secs(5));
        fleet.start(1);
        fleet.elapse(secs(20));
        let after = fleet.join(1, "web09", NodeKind::Envoy);
        let second = publish(&mut fleet, 1, "second");
        assert_eq!((first.epoch, second.epoch), (1, 2));
        fleet.elapse(mins(2));
        for bolt in [0, 1] {
            let rows = fleet.members(bolt);
            assert!(rows.iter().all(|m| m.state == "active") && rows.len() == 7, "{rows:?}");
        }
        for ix in [0, 1, all[2], joined, after] {
            assert!(fleet.has_run(ix, second), "{ix}\n{}", fleet.report());
        }
        fleet
    });
}

#[test]
pub(crate) fn a_bolt_with_an_old_disk_that_meets_an_envoy_first_is_no_clone() {
    twice(49, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        fleet.elapse(mins(2));
        let old = fleet.machine(1).disk.clone();
        publish(&mut fleet, 1, "first");
        fleet.elapse(mins(12));
        fleet.kill(1);
        fleet.machine_mut(1).disk = old;
        fleet.cut(0, 1);
        fleet.elapse(secs(40));
        fleet.start(1);
        let met = |f: &Fleet| all[2..].iter().any(|web| f.is_connected(1, *web));
        fleet.until(secs(8), met).expect("it meets an envoy");
        fleet.elapse(secs(1));
        fleet.mend(0, 1);
        fleet.until(mins(3), |f| f.is_connected(0, 1)).expect("it meets the other bolt");
        fleet.elapse(mins(2));
        let rows = fleet.members(0);
        assert!(rows.iter().all(|m| m.state == "active"), "envoys hold no status: {rows:?}");
        fleet
    });
}

#[test]
pub(crate) fn what_was_run_is_not_undone_when_a_record_rots() {
    twice(43, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 2);
        let first = publish(&mut fleet, 0, "first");
        fleet.until(secs(30), |f| all_run(f, &all, first)).expect("everyone converges");
        let second = publish(&mut fleet, 0, "second");
        fleet.until(secs(30), |f| all_run(f, &all, second)).expect("everyone converges");
        let web = all[1];
        fleet.kill(web);
        // The store found the newest publish damaged and dropped it; nobody can be asked for it yet.
        let disk = &mut fleet.machine_mut(web).disk;
        disk.records.retain(|_, bytes| {
            let record = Unverified::decode(bytes).and_then(Unverified::trusted).expect("a record");
            record.kind() != STATEMENT || Hash::of(record.payload()) != second.id
        });
        fleet.partition(&[web], &[0, all[2]]);
        fleet.start(web);
        fleet.elapse(mins(12));
        assert_eq!(fleet.file(web, "/etc/motd").as_deref(), Some("second on debian\n"));
        assert!(fleet.machine(web).epochs_run.is_sorted(), "{:?}", fleet.machine(web).epochs_run);
        fleet.heal();
        let third = publish(&mut fleet, 0, "third");
        fleet.until(mins(2), |f| all_run(f, &all, third)).expect("it goes on");
        fleet
    });
}

#[test]
pub(crate) fn a_publisher_keeps_what_no_bolt_holds_yet() {
    twice(44, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        let web = all[2];
        fleet.kill(0);
        fleet.kill(1);
        let alice = fleet.operator.clone();
        let motd = CRATE.replace("TEXT", "older");
        let tree = [("configcrates/motd.vgo", motd.as_str()), ("envoys.vgo", ENVOYS)];
        let source = fleet.store(web, &tree).source.hash;
        fleet.publish_as(web, &alice, &tree).expect("published while no bolt is there");
        let head = publish(&mut fleet, web, "newer");
        fleet.elapse(hours(2));
        fleet.kill(web);
        fleet.start(web);
        fleet.elapse(hours(2));
        assert!(fleet.machine(web).disk.blobs.contains_key(&source), "forgotten before a bolt had it");
        fleet.start(0);
        fleet.start(1);
        fleet.until(mins(2), |f| all_run(f, &all, head)).expect("everyone converges");
        fleet
    });
}

#[test]
pub(crate) fn a_machine_that_comes_back_in_1970_dials_again() {
    twice(45, |seed| {
        let mut fleet = Fleet::new(seed);
        fleet.found("bolt1");
        let token = fleet.invite(0, "nat1", NodeKind::Envoy);
        let nat = fleet.add("nat1");
        fleet.only_dials(nat);
        fleet.enrol(nat, token, "nat1");
        fleet.until(secs(30), |f| f.has_joined(nat)).expect("joins");
        fleet.restart_joined(nat);
        fleet.elapse(secs(10));
        // It dials in vain for a while, and keeps that in its address book.
        fleet.kill(0);
        fleet.elapse(mins(5));
        fleet.kill(nat);
        fleet.machine_mut(nat).clock.ahead = -(56 * 365 * hours(24) as i64);
        fleet.start(0);
        fleet.start(nat);
        fleet.elapse(secs(12));
        let at = publish(&mut fleet, 0, "good morning");
        fleet.until(mins(2), |f| all_run(f, &[0, nat], at)).expect("it dials and converges");
        fleet
    });
}
