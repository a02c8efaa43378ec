//! Nodes of two processes: a peer without any right on its machine, and an applier that believes nothing of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use vigo_base::Dice;

use crate::figures::say;
use crate::fleet::{Fleet, PATIENCE, in_company};
use crate::lab::{require_lab, secs, wait};
use crate::operators::{admit_bob, bob_is_known};

/// A user that has nothing on this machine.
const PEER: u32 = 64_242;

/// Bolts and envoys, each a peer of [`PEER`] and an applier.
fn fleet(title: &str) -> Fleet {
    let mut fleet = Fleet::divided(title, PEER);
    fleet.found("home", "bolt1");
    for name in ["env1", "env2"] {
        fleet.place(name);
    }
    fleet.join("home", "bolt1", &["env1", "env2"], false);
    ["env1", "env2"].iter().for_each(|name| fleet.start(name));
    fleet.all_have_peers(1);
    fleet
}

/// An applier is killed at any moment of its runs; whatever it was at, the next one ends it, and it goes on from what
/// it kept.
#[test]
fn an_applier_killed_amid_its_runs_loses_nothing() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = fleet("amid");
    let mut dice = Dice::from_number(20);
    let mut last = fleet.publish("bolt1", "start");
    fleet.arrives(&["env1"], "start", last.returned, PATIENCE);
    for round in 0..25 {
        let marker = format!("round{round}");
        last = fleet.publish("bolt1", &marker);
        std::thread::sleep(Duration::from_micros(dice.below(60_000)));
        fleet.kill_applier("env1");
        fleet.begin_applier("env1");
        fleet.arrives(&["env1"], &marker, Instant::now(), secs(60));
        let floor = fs::read_to_string(fleet.applier_state("env1").join("floor")).expect("it has run");
        assert!(floor.contains(&last.id), "the floor is that of what was run: {floor}");
    }
    fleet.converged(&["bolt1", "env1", "env2"], &last.id, PATIENCE);
}

#[test]
fn two_processes_converge_revoke_and_survive_the_death_of_each() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = fleet("divided");
    let all = ["bolt1", "env1", "env2"];
    // The peer is the user it should be, holds nothing, and could not have made the files.
    let status = fs::read_to_string(format!("/proc/{}/status", fleet.pid("env1"))).expect("it runs");
    let line = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim();
    assert!(line("Uid:").starts_with(&PEER.to_string()), "{}", line("Uid:"));
    assert!(["CapEff:", "CapPrm:", "CapBnd:"].map(line).iter().all(|caps| *caps == "0000000000000000"));
    let first = fleet.publish("bolt1", "first");
    let took = fleet.arrives(&all, "first", first.returned, PATIENCE);
    let last = took.iter().max().expect("some").as_millis();
    say("R20", "two processes: a publish has been applied on three machines", &format!("{last} ms"));
    fleet.converged(&all, &first.id, PATIENCE);
    let release = fleet.root("env1").join("etc/release");
    assert_eq!(fs::metadata(&release).expect("it was made").uid(), 0, "root made it, not the peer");

    // Without its applier a node says so and runs nothing; with it it does what it could not.
    fleet.kill_applier("env1");
    let second = fleet.publish("bolt1", "second");
    fleet.arrives(&["bolt1", "env2"], "second", second.returned, PATIENCE);
    wait::until("env1 says what it lacks", PATIENCE, || {
        let said = fleet.look("env1").map(|s| s.config).unwrap_or_default();
        if said.contains("the applier does not answer") { Ok(()) } else { Err(said) }
    });
    assert!(fleet.has("env1", "first"));
    let began = Instant::now();
    fleet.begin_applier("env1");
    let took = fleet.arrives(&["env1"], "second", began, secs(60));
    say("R20", "an applier is back, and its peer has used it", &format!("{} ms", took[0].as_millis()));

    // The peer dies; the applier does nothing by itself, and a new peer finds it.
    fleet.kill("env2");
    let third = fleet.publish("bolt1", "third");
    fleet.arrives(&["bolt1", "env1"], "third", third.returned, PATIENCE);
    assert!(fleet.has("env2", "second"));
    fleet.start("env2");
    fleet.arrives(&["env2"], "third", Instant::now(), secs(60));

    // What a revoked operator publishes is run nowhere.
    admit_bob(&fleet, "bolt1");
    bob_is_known(&fleet, "bolt1");
    let bob = fleet.try_publish("bob", "bolt1", "bob", &["--force"]);
    let fourth = fleet.published(&bob);
    fleet.arrives(&all, "bob", fourth.returned, PATIENCE);
    fleet.signed("home", "bolt1", &["spanner", "revoke", "bob", "--yes"]).good();
    let fifth = fleet.publish("bolt1", "fifth");
    fleet.arrives(&all, "fifth", fifth.returned, PATIENCE);
    let after = fleet.try_publish("bob", "bolt1", "after", &["--force"]);
    assert_ne!(after.code, 0, "a revoked operator publishes nothing");
    // All of them again from what they kept.
    for name in all {
        fleet.kill(name);
        fleet.kill_applier(name);
    }
    all.iter().for_each(|name| fleet.start(name));
    let sixth = fleet.publish("env1", "sixth");
    fleet.arrives(&all, "sixth", sixth.returned, secs(60));
    assert!(all.iter().all(|name| !fleet.ever_had(name, "after")));
}
