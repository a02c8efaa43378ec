//! What is strange: another fleet on the same bridge, and a clock that is half a century off.

use std::time::Instant;

use crate::figures::say;
use crate::fleet::{Fleet, PATIENCE, Said, faketime, in_company};
use crate::lab::{require_lab, secs, wait};

#[test]
fn two_fleets_on_one_bridge_do_not_mix() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("two", 1, 1);
    fleet.found("away", "other1");
    fleet.place("far1");
    fleet.join("away", "other1", &["far1"], false);
    // A member of one fleet is told to look for a node of the other.
    let address = format!("{}:1531", fleet.lab.address("bolt1"));
    fleet.options("far1", &["--peer", &address]);
    fleet.start("far1");
    let (far, bolt) = (fleet.key_of("far1"), fleet.key_of("bolt1"));

    let goodbye = |log: &str| log.lines().any(|l| l.contains(&bolt.short()[..8]) && l.contains("fleet"));
    wait::until("the stranger is told why", secs(15), || {
        let log = fleet.log("far1");
        if goodbye(&log) { Ok(()) } else { Err(log) }
    });
    wait::until("the bolt says whom it turned away", secs(15), || {
        let log = fleet.log("bolt1");
        let line =
            log.lines().find(|l| l.contains("a peer was turned away") && l.contains(&far.short()[..8]));
        line.filter(|l| l.contains("fleet")).map(|_| ()).ok_or_else(|| log.clone())
    });

    let (ours, theirs) = (fleet.publish("bolt1", "ours"), fleet.publish("other1", "theirs"));
    fleet.arrives(&["bolt1", "env1"], "ours", ours.returned, PATIENCE);
    fleet.arrives(&["other1", "far1"], "theirs", theirs.returned, PATIENCE);
    std::thread::sleep(secs(2));
    for (names, stranger) in [(["bolt1", "env1"], "theirs"), (["other1", "far1"], "ours")] {
        for name in names {
            assert!(!fleet.ever_had(name, stranger), "{name} runs a configuration of the other fleet");
            assert_eq!(fleet.publishes(name).len(), 1, "{name}");
        }
    }
    let members = fleet.cli("bolt1", &["spanner", "members", "--json"]).json().to_string();
    assert!(!members.contains("far1") && !members.contains("other1"), "{members}");
    assert!(fleet.peers("bolt1").iter().all(|p| p.key != far), "a stranger is a peer");

    // A member does not become a member of another fleet by a token.
    fleet.stop("far1");
    let token = fleet.token("home", "bolt1", 1, false);
    let said = Said::of(fleet.joining("far1", &token).output().expect("it runs"));
    let why = said.bad(2);
    assert!(why.contains("fleet"), "{why}");
}

/// Whoever's clock is wrong joins all the same, since the bolt judges the token by its own, and converges.
#[test]
fn a_clock_fifty_years_off_keeps_nobody_from_joining_and_converging() {
    if require_lab().skips() {
        return;
    }
    if faketime().is_none() {
        let required = std::env::var("VIGO_LAB").is_ok_and(|v| v == "require");
        assert!(
            !required,
            "libfaketime is missing: apt-get install faketime (VIGO_LAB=require makes this a failure)"
        );
        eprintln!("SKIPPED: libfaketime is missing: apt-get install faketime");
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("clock", 2, 1);
    for (name, shift) in [("ahead", "+50y"), ("behind", "-50y")] {
        fleet.place(name);
        fleet.clock(name, shift);
    }
    fleet.join("home", "bolt1", &["ahead", "behind"], false);
    // Whose clock calls the token expired is told so, and that the clock may be what is wrong.
    let log = std::fs::read_to_string(fleet.lab.folder().join("ahead.join.log")).expect("a log");
    assert!(log.contains("warning") && log.contains("expired") && log.contains("clock is wrong"), "{log}");
    fleet.start("ahead");
    fleet.start("behind");
    let all = ["bolt1", "bolt2", "env1", "ahead", "behind"];
    let year =
        |name| fleet.look(name).expect("it answers").now.rfc3339()[..4].parse::<u32>().expect("a year");
    let (now, ahead, behind) = (year("bolt1"), year("ahead"), year("behind"));
    assert!(ahead >= now + 49 && behind <= now - 49, "the clocks are not off: {now} {ahead} {behind}");

    for (marker, via) in [("first", "bolt1"), ("second", "ahead"), ("third", "behind"), ("fourth", "bolt2")] {
        let published = fleet.publish(via, marker);
        let took = fleet.arrives(&all, marker, published.returned, PATIENCE);
        let worst = took.iter().max().expect("some").as_millis();
        say("R15", &format!("clocks fifty years off: a publish through {via}"), &format!("{worst} ms"));
        fleet.converged(&all, &published.id, PATIENCE);
    }
    // What they say of themselves counts at the bolts.
    let said = fleet.try_publish("home", "bolt1", "fifth", &["--force", "--wait", "--timeout", "20"]).json();
    let rows = said["rollout"]["envoys"].as_array().expect("rows").clone();
    assert!(rows.len() == 5 && rows.iter().all(|r| r["arrived"] == true), "{said}");
    // A node whose clock was put right goes on.
    fleet.stop("ahead");
    fleet.clock("ahead", "+0");
    fleet.start("ahead");
    let began = Instant::now();
    let sixth = fleet.publish("bolt1", "sixth");
    fleet.arrives(&["ahead"], "sixth", began, PATIENCE);
    fleet.converged(&all, &sixth.id, PATIENCE);
}
