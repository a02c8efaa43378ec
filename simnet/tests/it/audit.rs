//! Audit logs in whole fleets: what is written down, and that tampering shows (R14).
//!
//! The tamperer has everything that the bolt has: its disk and its key, so that what it writes is signed.

use vigo_base::time::{hours, mins, secs};
use vigo_base::{Hash, SecretKey, SpannerId, Time};
use vigo_node::command::{AuditFilter, AuditLog, AuditRow};
use vigo_node::content_types::audit::Entry;
use vigo_node::crdt::{Record, Space, Unverified, log};
use vigo_node::spanner::NodeKind;
use vigo_node::{Caller, Command, CommandId, Event, Input, Reply};
use vigo_simnet::{Disk, Fleet, Ix};

use crate::stories::{fleet, publish, twice};

/// The bolt whose log is tampered with.
const BAD: Ix = 1;

fn rows(fleet: &mut Fleet, at: Ix, filter: AuditFilter) -> Vec<AuditRow> {
    let filter = AuditFilter { limit: filter.limit.or(Some(2_000)), ..filter };
    match fleet.call(at, Command::Audit { filter }) {
        Ok(Reply::Audit(rows)) => rows,
        other => panic!("audit: {other:?}"),
    }
}

pub(crate) fn logs(fleet: &mut Fleet, at: Ix) -> Vec<AuditLog> {
    match fleet.call(at, Command::AuditVerify) {
        Ok(Reply::AuditVerify(logs)) => logs,
        other => panic!("audit verify: {other:?}"),
    }
}

fn all_intact(fleet: &mut Fleet, bolts: &[Ix]) {
    for at in bolts {
        for log in logs(fleet, *at) {
            assert!(log.intact && log.length > 0, "{at}: {log:?}");
        }
    }
}

/// Three bolts and an envoy that have done something, and anchored each other's logs.
pub(crate) fn busy(seed: u64) -> Fleet {
    let (mut fleet, _) = fleet(seed, 3, 1);
    for text in ["one", "two"] {
        publish(&mut fleet, BAD, text);
        fleet.elapse(mins(2));
    }
    fleet
}

/// The entries of a bolt's own log on its disk, in order.
fn own(disk: &Disk, key: &SecretKey) -> Vec<Record> {
    let space = Space::audit(&key.public());
    let read = |bytes: &std::sync::Arc<[u8]>| Unverified::decode(bytes).and_then(Unverified::trusted).ok();
    let mut log: Vec<Record> =
        disk.records.values().filter_map(read).filter(|r| *r.space() == space).collect();
    log.sort_by_key(Record::seq);
    log
}

/// Writes a bolt's log from entry `from` on anew, with these bodies, signed and chained as it should be.
fn rewrite(disk: &mut Disk, key: &SecretKey, spanner: SpannerId, from: usize, bodies: &[Vec<u8>]) {
    let log = own(disk, key);
    let mut previous = log[from - 1].id();
    for (i, body) in bodies.iter().enumerate() {
        let old = &log[from + i];
        let payload = log::payload(old.seq(), &previous, body);
        let new = Record::sign(key, &spanner, old.space().clone(), old.seq(), log::LOG, old.stamp(), payload)
            .unwrap();
        disk.records.remove(&old.id());
        disk.records.insert(new.id(), new.bytes().clone());
        previous = new.id();
    }
}

fn body(record: &Record) -> Vec<u8> {
    log::read(record).unwrap().body.to_vec()
}

fn other_body(record: &Record) -> Vec<u8> {
    let mut entry = Entry::decode(&body(record)).unwrap();
    entry.text = "nothing happened".into();
    entry.encode()
}

/// When, since `from`, some other bolt found something about `BAD`.
fn found(fleet: &Fleet, from: Time) -> Option<(Ix, String)> {
    let bad = fleet.key(BAD);
    [0, 2].into_iter().find_map(|ix| {
        let told = fleet.machine(ix).events.iter().filter(|(at, _)| *at >= from);
        let about = |event: &Event| match event {
            Event::Alarm { bolt, what } if *bolt == bad => Some(what.clone()),
            Event::Cloned { key } if *key == bad => Some("cloned".to_string()),
            Event::Misbehaved { key, what } if *key == bad => Some(what.clone()),
            _ => None,
        };
        told.filter_map(|(_, event)| about(event)).next().map(|what| (ix, what))
    })
}

/// Tampers with the log of `BAD` while it is off, and gives what another bolt found within one exchange: the
/// connection, the greeting and one comparison.
fn tampered(fleet: &mut Fleet, tamper: impl FnOnce(&mut Disk, &SecretKey, SpannerId)) -> String {
    let (key, spanner) = (fleet.secret(BAD), fleet.status(0).spanner.expect("a fleet"));
    all_intact(fleet, &[0, 1, 2]);
    fleet.kill(BAD);
    fleet.elapse(secs(30));
    tamper(&mut fleet.machine_mut(BAD).disk, &key, spanner);
    let from = fleet.now();
    fleet.start(BAD);
    let met = |f: &Fleet| {
        let known = |ix: Ix| f.machine(ix).events.iter().any(|(at, e)| *at >= from && is_known(f, e));
        known(0) || known(2)
    };
    fleet.until(mins(2), met).expect("it meets another bolt");
    fleet
        .until(secs(5), |f| found(f, from).is_some())
        .unwrap_or_else(|| panic!("not found\n{}", fleet.report()));
    let (by, what) = found(fleet, from).expect("just seen");
    fleet.elapse(secs(5));
    let bad = fleet.key(BAD);
    let log = logs(fleet, by).into_iter().find(|log| log.key == bad).expect("its log");
    assert!(!log.intact, "{by} found {what:?} and verify says nothing: {log:?}");
    what
}

fn is_known(fleet: &Fleet, event: &Event) -> bool {
    matches!(event, Event::PeerKnown { key, .. } if *key == fleet.key(BAD))
}

/// The bolt goes on as an honest one would: it got back what it lacked, nobody takes it for a clone.
fn goes_on(fleet: &mut Fleet) {
    assert!(fleet.members(0).iter().all(|m| m.state == "active"), "{:?}", fleet.members(0));
    let at = publish(fleet, BAD, "three");
    fleet.elapse(mins(3));
    assert!(fleet.members(0).iter().all(|m| m.state == "active"), "{:?}", fleet.members(0));
    for ix in [0, 1, 2] {
        assert!(logs(fleet, ix).iter().all(|log| log.damage.is_empty()), "{:?}", logs(fleet, ix));
        assert!(rows(fleet, ix, AuditFilter::default()).iter().any(|r| r.subject == Some(at.id)));
    }
}

#[test]
pub(crate) fn an_edited_entry_is_found() {
    twice(1401, |seed| {
        let mut fleet = busy(seed);
        let what = tampered(&mut fleet, |disk, key, spanner| {
            let log = own(disk, key);
            let at = log.len() / 2;
            rewrite(disk, key, spanner, at, &[other_body(&log[at])]);
        });
        assert!(what == "cloned" || what.contains("lacked"), "{what}");
        fleet.elapse(secs(20));
        assert!(fleet.members(0).iter().any(|m| m.state == "suspended"), "its key signed two things");
        fleet
    });
}

#[test]
pub(crate) fn an_entry_that_was_bent_without_the_key_is_found() {
    twice(1402, |seed| {
        let mut fleet = busy(seed);
        let what = tampered(&mut fleet, |disk, key, _| {
            let log = own(disk, key);
            let old = &log[log.len() / 2];
            let mut bytes = old.bytes().to_vec();
            let end = bytes.len() - 70;
            bytes[end] ^= 1;
            disk.records.remove(&old.id());
            disk.records.insert(Hash::of(&bytes), bytes.into());
        });
        assert!(what.contains("was changed on its disk") || what.contains("lacked"), "{what}");
        fleet
    });
}

#[test]
pub(crate) fn a_dropped_entry_is_found() {
    twice(1403, |seed| {
        let mut fleet = busy(seed);
        let what = tampered(&mut fleet, |disk, key, _| {
            let log = own(disk, key);
            disk.records.remove(&log[log.len() / 2].id());
        });
        assert!(what.contains("lacked entry"), "{what}");
        goes_on(&mut fleet);
        fleet
    });
}

#[test]
pub(crate) fn entries_in_another_order_are_found() {
    twice(1404, |seed| {
        let mut fleet = busy(seed);
        let what = tampered(&mut fleet, |disk, key, spanner| {
            let log = own(disk, key);
            let at = log.len() - 3;
            let mut bodies: Vec<Vec<u8>> = log[at..].iter().map(body).collect();
            bodies.swap(0, 1);
            rewrite(disk, key, spanner, at, &bodies);
        });
        assert!(what == "cloned" || what.contains("lacked"), "{what}");
        fleet.elapse(secs(20));
        assert!(fleet.members(0).iter().any(|m| m.state == "suspended"), "its key signed two things");
        fleet
    });
}

#[test]
pub(crate) fn a_log_that_was_cut_is_found() {
    twice(1405, |seed| {
        let mut fleet = busy(seed);
        let what = tampered(&mut fleet, |disk, key, _| {
            for entry in own(disk, key).iter().rev().take(3) {
                disk.records.remove(&entry.id());
            }
        });
        assert!(what.contains("lacked entr"), "{what}");
        goes_on(&mut fleet);
        fleet
    });
}

#[test]
pub(crate) fn a_disk_rolled_back_is_found() {
    twice(1406, |seed| {
        let (mut fleet, _) = fleet(seed, 3, 1);
        publish(&mut fleet, BAD, "one");
        fleet.elapse(mins(2));
        let old = fleet.machine(BAD).disk.clone();
        publish(&mut fleet, BAD, "two");
        fleet.elapse(mins(2));
        let what = tampered(&mut fleet, |disk, _, _| *disk = old);
        assert!(what.contains("lacked entr"), "{what}");
        goes_on(&mut fleet);
        let warned = [0, 2].into_iter().any(|ix| {
            fleet.status(ix).warnings.iter().any(|w| w.contains("audit log of bolt2") && w.contains("lacked"))
        });
        assert!(warned, "somebody is told");
        fleet
    });
}

#[test]
pub(crate) fn two_histories_for_two_peers_are_found() {
    twice(1407, |seed| {
        let mut fleet = busy(seed);
        all_intact(&mut fleet, &[0, 1, 2]);
        fleet.kill(BAD);
        let old = fleet.machine(BAD).disk.clone();
        // One history for the first bolt, another for the third, which cannot speak to each other.
        fleet.cut(0, 2);
        fleet.cut(BAD, 2);
        fleet.elapse(secs(40));
        fleet.start(BAD);
        fleet.elapse(secs(30));
        fleet.kill(BAD);
        fleet.machine_mut(BAD).disk = old;
        fleet.mend(BAD, 2);
        fleet.cut(BAD, 0);
        fleet.elapse(secs(40));
        fleet.start(BAD);
        fleet.elapse(secs(30));
        fleet.kill(BAD);
        let from = fleet.now();
        assert_eq!(found(&fleet, from), None);
        fleet.mend(0, 2);
        let both = |f: &Fleet| f.is_connected(0, 2);
        fleet.until(mins(5), both).expect("the two meet");
        fleet.until(secs(10), |f| found(f, from).is_some()).expect("the two histories meet");
        fleet.elapse(secs(5));
        let bad = fleet.key(BAD);
        let log = logs(&mut fleet, 0).into_iter().find(|log| log.key == bad).expect("its log");
        assert!(log.damage.iter().any(|d| d.what == "fork"), "{log:?}");
        fleet
    });
}

#[test]
pub(crate) fn anchors_tell_of_what_was_taken_from_every_disk() {
    twice(1412, |seed| {
        let mut fleet = busy(seed);
        let (bad, cut) = (fleet.secret(BAD), own(&fleet.machine(BAD).disk, &fleet.secret(BAD)));
        (0..3).for_each(|ix| fleet.kill(ix));
        for ix in 0..3 {
            for entry in &cut[cut.len() / 2..] {
                fleet.machine_mut(ix).disk.records.remove(&entry.id());
            }
        }
        fleet.elapse(secs(30));
        let from = fleet.now();
        // As long as the bolt itself is away only the end is missing; then it writes other entries in its place.
        fleet.start(0);
        fleet.start(2);
        fleet.elapse(mins(3));
        assert!(found(&fleet, from).is_some_and(|(_, what)| what.contains("its end was cut off")));
        let from = fleet.now();
        fleet.start(BAD);
        fleet.elapse(mins(3));
        assert!(found(&fleet, from).is_some_and(|(_, what)| what.contains("the log was rewritten")));
        let log = logs(&mut fleet, 0).into_iter().find(|log| log.key == bad.public()).expect("its log");
        assert!(log.damage.iter().any(|d| d.what == "differs" && d.by.is_some()), "{log:?}");
        fleet
    });
}

#[test]
pub(crate) fn restarts_and_partitions_raise_no_alarm() {
    twice(1408, |seed| {
        let mut fleet = busy(seed);
        for round in 0..6 {
            fleet.kill(round % 3);
            fleet.elapse(secs(20));
            fleet.start(round % 3);
            fleet.elapse(secs(30));
            fleet.partition(&[round % 3], &[(round + 1) % 3, (round + 2) % 3]);
            publish(&mut fleet, round % 3, &format!("round {round}"));
            fleet.elapse(mins(4));
            fleet.heal();
            fleet.elapse(mins(2));
        }
        fleet.elapse(mins(10));
        all_intact(&mut fleet, &[0, 1, 2]);
        let digests: Vec<Vec<(Option<Hash>, u64)>> = [0, 1, 2]
            .into_iter()
            .map(|ix| logs(&mut fleet, ix).iter().map(|log| (log.head, log.length)).collect())
            .collect();
        assert!(digests.iter().all(|d| *d == digests[0]), "{digests:?}");
        fleet
    });
}

#[test]
pub(crate) fn what_is_done_is_written_down_once_by_every_bolt() {
    twice(1409, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        let at = publish(&mut fleet, 0, "hello");
        let gone = fleet.key(all[3]);
        fleet.revoke(1, gone);
        fleet.elapse(mins(2));
        fleet.kill(0);
        fleet.elapse(secs(10));
        fleet.start(0);
        fleet.elapse(mins(2));
        for ix in [0, 1] {
            let all = rows(&mut fleet, ix, AuditFilter::default());
            for bolt in ["bolt1", "bolt2"] {
                let count = |kind: &str| all.iter().filter(|r| r.bolt == bolt && r.kind == kind).count();
                assert_eq!(
                    (count("genesis"), count("admit"), count("invite"), count("revoke")),
                    (1, 1, 4, 1)
                );
                assert_eq!(count("publish"), 1);
                assert!(count("anchors") > 0 && count("started") > 0);
            }
            let publish = all.iter().find(|r| r.subject == Some(at.id) && r.kind == "publish").unwrap();
            assert_eq!((publish.who.as_str(), publish.target.as_str()), ("alice", "epoch 1"));
            let joined: Vec<&str> =
                all.iter().filter(|r| r.kind == "joined").map(|r| r.target.as_str()).collect();
            assert_eq!(joined, ["bolt1", "bolt2", "web01", "web02"], "each where it happened");
            let submitted = all.iter().filter(|r| r.kind == "command" && r.target == "submit").count();
            assert_eq!(submitted, 5, "three invitations, a publish, a revocation");
            let revoke = all.iter().find(|r| r.kind == "revoke").unwrap();
            assert_eq!((revoke.target.as_str(), revoke.text.as_str()), ("web02", "lost"));
        }
        let only =
            AuditFilter { kind: Some("publish".into()), bolt: Some("bolt2".into()), ..Default::default() };
        assert_eq!(rows(&mut fleet, 0, only).len(), 1);
        let nobody = AuditFilter { bolt: Some("bolt3".into()), ..Default::default() };
        let refused = fleet.call(0, Command::Audit { filter: nobody }).unwrap_err();
        assert_eq!(refused.hint.as_deref(), Some("did you mean bolt1?"));
        let on_envoy = fleet.call(all[2], Command::AuditVerify).unwrap_err();
        assert!(on_envoy.what.contains("no bolt"), "{on_envoy:?}");
        fleet
    });
}

#[test]
pub(crate) fn who_knocks_for_ever_does_not_fill_a_log() {
    twice(1410, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 1);
        let gone = fleet.key(all[1]);
        fleet.revoke(0, gone);
        fleet.elapse(secs(10));
        let before = logs(&mut fleet, 0)[0].length;
        for n in 0..600 {
            let conn = fleet.connect_by_hand(all[1], 0);
            fleet.send_by_hand(all[1], conn, &[0xff; 20]);
            let caller = Caller { uid: 1_000, admin: false };
            fleet.input(0, Input::Command { id: CommandId(1 << 40 | n), caller, command: Command::Status });
            fleet.elapse(secs(6));
        }
        fleet.elapse(hours(7));
        let (after, all) = (logs(&mut fleet, 0)[0].length, rows(&mut fleet, 0, AuditFilter::default()));
        assert!(after - before < 60, "{} entries", after - before);
        let told: u64 = all.iter().filter(|r| r.kind == "command-refused").map(|r| r.count).sum();
        assert_eq!(told, 600, "all of it is counted");
        assert!(all.iter().any(|r| r.kind == "command-refused" && r.who == "uid 1000"));
        fleet
    });
}

#[test]
pub(crate) fn an_old_bolt_that_never_returns_keeps_its_log_and_a_new_one_gets_it() {
    twice(1411, |seed| {
        let mut fleet = busy(seed);
        let gone = fleet.key(2);
        fleet.kill(2);
        fleet.elapse(secs(30));
        fleet.revoke(0, gone);
        fleet.elapse(secs(10));
        let new = fleet.join(0, "bolt4", NodeKind::Bolt);
        fleet.elapse(mins(3));
        let log = logs(&mut fleet, new).into_iter().find(|log| log.key == gone).expect("its log");
        assert!(log.length > 5 && log.intact && log.state == "revoked", "{log:?}");
        assert!(log.anchors > 0);
        all_intact(&mut fleet, &[0, 1, new]);
        fleet
    });
}

/// What a bolt said before it wrote an entry may come after that entry, which another bolt handed on.
#[test]
pub(crate) fn words_that_come_late_raise_no_alarm() {
    for seed in 1_500..1_503 {
        let (mut fleet, _) = fleet(seed, 3, 0);
        for n in 0..14 {
            fleet.clog(BAD, 0, secs(9));
            publish(&mut fleet, BAD, &format!("early {n}"));
            fleet.elapse(secs(4));
            publish(&mut fleet, BAD, &format!("late {n}"));
            fleet.elapse(secs(9));
        }
        fleet.elapse(mins(3));
        all_intact(&mut fleet, &[0, BAD, 2]);
    }
}
