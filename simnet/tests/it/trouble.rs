//! Faults that a network, a disk or a member really has, one at a time: that each does what it says, and that the
//! others go on.

use vigo_base::time::{Micros, millis, mins, secs};
use vigo_base::{Hash, SecretKey};
use vigo_node::boot::meta;
use vigo_node::crdt::{Space, Unverified};
use vigo_node::spanner::{Grant, NodeKind, Right};
use vigo_node::{Command, Event, Reply};
use vigo_simnet::{Behaviour, Fleet, Ix, Links, Nature, Rot};

use crate::stories::{all_run, fleet, publish, twice};

fn converges(fleet: &mut Fleet, who: &[Ix], text: &str, within: Micros) -> Micros {
    let at = publish(fleet, 0, text);
    let took = fleet.until(within, |f| all_run(f, who, at));
    took.unwrap_or_else(|| panic!("{text}\n{}", fleet.report()))
}

#[test]
pub(crate) fn a_clogged_link_holds_everything_back_and_lets_it_go_in_order() {
    twice(71, |seed| {
        let mut fleet = Fleet::new(seed);
        fleet.without_gossip();
        let bolt = fleet.found("bolt1");
        let web = fleet.join(bolt, "web01", NodeKind::Envoy);
        let quick = converges(&mut fleet, &[web], "quick", secs(20));
        fleet.clog(bolt, web, secs(6));
        let at = publish(&mut fleet, bolt, "held back");
        assert_eq!(fleet.until(secs(5), |f| f.has_run(web, at)), None, "nothing gets through");
        let took = fleet.until(secs(20), |f| f.has_run(web, at)).expect("it goes on");
        assert!(quick < secs(6) && took < secs(15), "{quick} {took}");
        assert!(fleet.is_connected(bolt, web), "no connection was lost");
        fleet
    });
}

#[test]
pub(crate) fn a_narrow_and_lossy_network_is_slower_and_converges() {
    let took = |links: Links| {
        let mut fleet = Fleet::new(72).over(links);
        fleet.found("bolt1");
        let all: Vec<Ix> = (1..=5).map(|n| fleet.join(0, &format!("web{n:02}"), NodeKind::Envoy)).collect();
        fleet.elapse(secs(20));
        converges(&mut fleet, &all, "over", mins(3))
    };
    let good = took(Links::default());
    let bad = took(Links {
        delay: (millis(40), millis(90)),
        loss: 8,
        bandwidth: 20_000,
        clogs: 300,
        ..Links::default()
    });
    assert!(bad > good + millis(200), "good {good} µs, bad {bad} µs");
}

#[test]
pub(crate) fn nothing_behind_a_commit_happens_before_a_slow_disk_has_it() {
    twice(73, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 3);
        for ix in &all {
            fleet.machine_mut(*ix).disk.nature.slow = (millis(200), millis(900));
        }
        converges(&mut fleet, &all, "slow", mins(2));
        assert!(fleet.reached["an input waited for a commit"] > 10, "{:?}", fleet.reached);
        // Power goes while a commit is under way: it is gone, and so is everything behind it.
        let before = fleet.machine(0).disk.records.len();
        let alice = fleet.operator.clone();
        fleet.machine_mut(0).disk.nature.slow = (secs(5), secs(6));
        fleet.elapse(secs(20));
        fleet.kill_after(0, 0);
        assert!(fleet.try_publish(0, &alice, "gone").is_none_or(|p| !p.acked));
        assert!(fleet.machine(0).disk.records.len() <= before + 60);
        fleet.spare(0);
        fleet.kill(0);
        fleet.machine_mut(0).disk.nature = Nature::default();
        fleet.start(0);
        fleet.elapse(secs(30));
        converges(&mut fleet, &all, "quick again", mins(2));
        fleet
    });
}

#[test]
pub(crate) fn commits_that_fail_are_tried_again_and_nothing_is_acknowledged_meanwhile() {
    twice(74, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        fleet.faults.commit = 2;
        for text in ["one", "two", "three"] {
            converges(&mut fleet, &all, text, mins(3));
        }
        assert!(fleet.reached["commit failed"] > 10);
        fleet
    });
}

#[test]
pub(crate) fn what_rots_is_named_at_the_start_and_comes_back_from_peers() {
    twice(75, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        converges(&mut fleet, &all, "first", secs(30));
        fleet.elapse(mins(1));
        let web = all[3];
        let whole = fleet.machine(web).known();
        let rots: Vec<Rot> =
            fleet.machine(web).disk.records.keys().map(|id| Rot::Record(*id)).take(6).collect();
        let blobs: Vec<Rot> = fleet.machine(web).disk.blobs.keys().map(|id| Rot::Blob(*id)).collect();
        // Not the address book as well: without it nobody can be asked what was written before the patience of ten
        // seconds is over (docs/simulation.md).
        let values = [meta::FLOOR, meta::RUN, meta::SPANNER].map(|key| Rot::Meta(key.into()));
        let count = rots.len() + blobs.len() + values.len();
        fleet.kill(web);
        for rot in rots.into_iter().chain(blobs).chain(values) {
            assert!(fleet.machine_mut(web).disk.rots(rot.clone()), "{rot:?}");
        }
        fleet.start(web);
        assert_eq!(fleet.machine(web).disk.damaged.len(), count, "{:?}", fleet.machine(web).disk.damaged);
        fleet.elapse(mins(3));
        let back = fleet.machine(web).known();
        for space in [Space::admissions(), Space::config()] {
            assert_eq!(whole.get(&space), back.get(&space), "{space}\n{}", fleet.report());
        }
        assert!(!refused(&fleet, &all, web), "it asked for nothing that it may not have\n{}", fleet.report());
        converges(&mut fleet, &all, "second", mins(1));
        fleet
    });
}

/// Whether somebody refused this machine's key.
fn refused(fleet: &Fleet, all: &[Ix], whom: Ix) -> bool {
    let whom = fleet.key(whom);
    let is = |event: &Event| matches!(event, Event::PeerRefused { key, .. } if *key == whom);
    all.iter().any(|ix| fleet.machine(*ix).events.iter().any(|(_, event)| is(event)))
}

#[test]
pub(crate) fn an_envoy_without_its_address_book_waits_for_a_word_before_it_writes() {
    twice(78, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        converges(&mut fleet, &all, "first", secs(30));
        fleet.elapse(mins(1));
        let (web, me) = (all[3], fleet.key(all[3]));
        fleet.kill(web);
        let own = |bytes: &[u8]| {
            Unverified::decode(bytes).and_then(Unverified::trusted).is_ok_and(|r| r.author() == me)
        };
        let disk = &fleet.machine(web).disk;
        let mine: Vec<Rot> =
            disk.records.iter().filter(|(_, r)| own(r)).map(|(id, _)| Rot::Record(*id)).collect();
        assert!(!mine.is_empty());
        for rot in mine.into_iter().chain([Rot::Meta(meta::BOOK.into())]) {
            assert!(fleet.machine_mut(web).disk.rots(rot));
        }
        fleet.start(web);
        // A bolt that starts dials everybody whom it knows.
        fleet.kill(0);
        fleet.start(0);
        fleet.elapse(mins(3));
        let rows = fleet.members(0);
        assert!(rows.iter().all(|m| m.state == "active"), "{rows:?}\n{}", fleet.report());
        converges(&mut fleet, &all, "second", mins(1));
        fleet
    });
}

#[test]
pub(crate) fn a_disk_that_lies_is_found_out_and_its_node_goes_on_or_is_named() {
    twice(76, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        let web = all[3];
        fleet.machine_mut(web).disk.nature.lies = true;
        for text in ["one", "two", "three"] {
            converges(&mut fleet, &all, text, mins(1));
            fleet.kill(web);
            fleet.start(web);
            fleet.elapse(secs(20));
        }
        assert!(fleet.reached.contains_key("un-synced writes lost"), "{:?}", fleet.reached);
        converges(&mut fleet, &all[..3], "four", mins(1));
        let rows = fleet.members(0);
        assert!(rows.iter().all(|m| m.state == "active" || m.name == "web02"), "{rows:?}");
        fleet
    });
}

#[test]
pub(crate) fn only_dialing_out_is_enough() {
    twice(77, |seed| {
        let mut fleet = Fleet::new(seed);
        fleet.found("bolt1");
        let all: Vec<Ix> =
            (1..=4).map(|n| fleet.join_as(0, &format!("web{n:02}"), NodeKind::Envoy, n != 1)).collect();
        converges(&mut fleet, &all, "out", secs(60));
        assert!(!fleet.is_connected(all[1], all[2]), "nobody can dial either");
        fleet
    });
}

/// A member that behaves badly for two minutes: the others converge, hold nothing forged, and are rid of it within
/// ten seconds of its revocation.
fn bounded(seed: u64, behaviour: Behaviour) {
    twice(seed, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 4);
        let bad = all[5];
        converges(&mut fleet, &all, "before", secs(30));
        fleet.turn_hostile(bad, behaviour);
        // One never meets it.
        fleet.cut(bad, all[4]);
        let others = &all[..5];
        for text in ["one", "two", "three"] {
            fleet.elapse(secs(30));
            converges(&mut fleet, others, text, mins(2));
        }
        let many = others.iter().map(|ix| fleet.machine(*ix).disk.records.len()).max().unwrap_or(0);
        assert!(many < 900, "{many} records on one disk");
        assert!(others.iter().all(|ix| fleet.forged_on(*ix).is_none()), "somebody holds what was forged");
        let text = fleet.file(all[2], "/etc/motd");
        assert_eq!(text.as_deref(), Some("three on debian\n"), "an operator's, not its");
        let gone = fleet.key(bad);
        fleet.revoke(0, gone);
        fleet.elapse(secs(10));
        // It goes on dialing; nobody talks with it.
        for ix in others {
            let Ok(Reply::Peers(rows)) = fleet.call(*ix, Command::Peers) else { panic!("peers") };
            let known = rows.iter().any(|peer| peer.key == gone && peer.name.is_some());
            assert!(!known, "{ix} talks with it\n{}", fleet.report());
        }
        fleet.elapse(mins(3));
        let digest = |f: &Fleet, ix: Ix, space: &Space| f.machine(ix).digest(space);
        for space in [Space::admissions(), Space::config(), Space::settings()] {
            let ours: Vec<Option<Hash>> = others.iter().map(|ix| digest(&fleet, *ix, &space)).collect();
            assert!(ours.windows(2).all(|two| two[0] == two[1]), "{space}: {ours:?}\n{}", fleet.report());
        }
        assert!(fleet.reached.contains_key("a member turned hostile"));
        let shown = [Behaviour::Rot, Behaviour::Withhold].contains(&behaviour);
        assert!(shown || fleet.reached.contains_key(behaviour.name()), "{:?}", fleet.reached);
        fleet
    });
}

#[test]
pub(crate) fn a_forger_is_believed_by_nobody() {
    bounded(80, Behaviour::Forge);
}

#[test]
pub(crate) fn a_replayer_changes_nothing() {
    bounded(81, Behaviour::Replay);
}

#[test]
pub(crate) fn a_withholder_keeps_nothing_from_anybody() {
    bounded(82, Behaviour::Withhold);
}

#[test]
pub(crate) fn an_equivocator_is_found_and_suspended() {
    bounded(83, Behaviour::Equivocate);
}

#[test]
pub(crate) fn a_flood_leaves_equal_nodes() {
    bounded(84, Behaviour::Flood);
}

#[test]
pub(crate) fn rotten_chunks_stop_nobody() {
    bounded(85, Behaviour::Rot);
}

#[test]
pub(crate) fn stale_words_cost_little() {
    bounded(86, Behaviour::Stale);
}

#[test]
pub(crate) fn a_change_made_after_one_that_was_cut_off_counts_everywhere() {
    twice(79, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 1);
        let (alice, bob) = (fleet.operator.clone(), SecretKey::from_seed([7; 32]));
        let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
        fleet.admit_operator(0, bob.public(), "bob", grants).expect("bob is admitted");
        fleet.elapse(secs(5));
        fleet.partition(&[0], &all[1..]);
        fleet.cut(1, all[2]);
        fleet.elapse(secs(40));
        // One bolt has not heard of what bob sets at the other, and revokes him.
        fleet.revoke(1, bob.public());
        for (key, value) in [(&bob, 11), (&alice, 12)] {
            let signed = fleet.signer(0, key).set("converge.splay", Some(&value.into())).expect("a change");
            assert_eq!(fleet.try_submit(0, &signed), Some(true));
        }
        fleet.mend(0, 1);
        fleet.elapse(mins(1));
        fleet.heal();
        fleet.elapse(mins(1));
        for ix in all {
            let Ok(Reply::Settings(rows)) = fleet.call(ix, Command::Settings) else { panic!("settings") };
            let splay = rows.into_iter().find(|row| row.key == "converge.splay").map(|row| row.value);
            assert_eq!(splay, Some(12.into()), "{ix}\n{}", fleet.report());
        }
        fleet
    });
}

#[test]
pub(crate) fn what_stands_before_the_last_that_a_revoker_saw_was_seen_too() {
    twice(80, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 1);
        let bob = SecretKey::from_seed([7; 32]);
        let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
        fleet.admit_operator(0, bob.public(), "bob", grants).expect("bob is admitted");
        fleet.elapse(secs(5));
        let sets = [("converge.splay", 11), ("converge.interval", 90)];
        for (name, value) in sets {
            let signed = fleet.signer(0, &bob).set(name, Some(&value.into())).expect("a change");
            assert_eq!(fleet.try_submit(0, &signed), Some(true));
        }
        fleet.elapse(mins(1));
        fleet.revoke(1, bob.public());
        fleet.elapse(mins(1));
        for ix in all {
            let Ok(Reply::Settings(rows)) = fleet.call(ix, Command::Settings) else { panic!("settings") };
            for (name, value) in sets {
                let row = rows.iter().find(|row| row.key == name).map(|row| row.value.clone());
                assert_eq!(row, Some(value.into()), "{name} at {ix}\n{}", fleet.report());
            }
        }
        fleet
    });
}
