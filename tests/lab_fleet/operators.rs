//! Two operators: at once, against each other, and on two sides of a partition.

use std::time::{Duration, Instant};

use vigo_base::SecretKey;
use vigo_daemon::node::command::{Command, Reply};
use vigo_daemon::node::spanner::{Grant, Right};
use vigo_daemon::operator::{Signer, keyfile};

use crate::figures::{say, say_long, spread};
use crate::fleet::{Fleet, PATIENCE, Said, alone, in_company};
use crate::lab::{require_lab, secs, wait};

/// Makes `bob` an operator who may publish. No command does this yet: it is signed here.
pub(crate) fn admit_bob(fleet: &Fleet, via: &str) {
    let client = fleet.client(via).expect("it answers");
    let alice = keyfile::load(&fleet.key("home"), &mut |_| None).expect("a plain key");
    let context = match client.call(&Command::Context { key: alice.public() }) {
        Ok(Reply::Context(context)) => *context,
        other => panic!("no context: {other:?}"),
    };
    let bob = SecretKey::from_seed([7; 32]);
    keyfile::save(&fleet.key("bob"), &bob, None).expect("saved");
    let grants = vec![Grant::everywhere(Right::ConfigPublish)];
    let name = "bob".parse().expect("a name");
    let signed = Signer::new(alice, context).admit(bob.public(), name, grants).expect("alice may");
    client.call(&signed.command()).expect("taken in");
}

/// Waits until `bob` is an operator at a node.
pub(crate) fn bob_is_known(fleet: &Fleet, at: &str) {
    wait::until("bob is an operator", PATIENCE, || {
        let members = fleet.cli(at, &["spanner", "members", "--json"]).json();
        let bob = members.as_array().and_then(|rows| rows.iter().find(|m| m["name"] == "bob").cloned());
        if bob.as_ref().is_some_and(|b| b["state"] == "active") { Ok(()) } else { Err(members.to_string()) }
    });
}

/// Waits until every machine runs one and the same publish, the head; gives its marker.
fn one_head(fleet: &Fleet, all: &[&str], markers: &[&str], within: Duration) -> String {
    let (marker, _) = wait::until("one head everywhere", within, || {
        let heads: Vec<_> =
            all.iter().map(|name| fleet.look(name).and_then(|s| s.head).map(|h| h.id)).collect();
        let same = heads.iter().all(|h| h.is_some() && *h == heads[0]);
        let marker = markers.iter().find(|m| all.iter().all(|name| fleet.has(name, m)));
        match marker.filter(|_| same) {
            Some(marker) => Ok((*marker).to_owned()),
            None => Err(fleet.states(all)),
        }
    });
    marker
}

/// Both publish at the same moment: each is told 0 or that somebody was faster, and all machines agree.
#[test]
fn of_two_publishes_at_once_one_counts_and_the_other_is_told() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let fleet = Fleet::of("atonce", 2, 2);
    let all = ["bolt1", "bolt2", "env1", "env2"];
    admit_bob(&fleet, "bolt1");
    bob_is_known(&fleet, "bolt2");
    let (mut stale, mut forked) = (0, 0);
    for (round, other) in ["bolt1", "bolt2", "bolt1", "bolt2", "bolt1", "bolt2"].into_iter().enumerate() {
        let markers = [format!("alice{round}"), format!("bob{round}")];
        let at_once = ["--force"];
        let mut pair = [
            fleet.publishing("home", "bolt1", &markers[0], &at_once),
            fleet.publishing("bob", other, &markers[1], &at_once),
        ];
        let started: Vec<_> = pair.iter_mut().map(start).collect();
        let said: Vec<Said> =
            started.into_iter().map(|c| Said::of(c.wait_with_output().expect("it ends"))).collect();
        let mut epochs = Vec::new();
        for said in &said {
            if said.code == 0 {
                epochs.push(said.json()["epoch"].as_u64().expect("an epoch"));
                continue;
            }
            stale += 1;
            let why = said.bad(5);
            assert!(why.contains("stale") && why.contains("hint"), "{why}");
            assert!(why.contains("alice") || why.contains("bob"), "it does not say who: {why}");
        }
        assert!(!epochs.is_empty(), "nobody could publish: {said:?}");
        forked += usize::from(epochs.len() == 2 && epochs[0] == epochs[1]);
        one_head(&fleet, &all, &[&markers[0], &markers[1]], PATIENCE);
    }
    say(
        "R15",
        "two operators at once, 6 rounds",
        &format!("{stale} told that somebody was faster, {forked} forks closed"),
    );

    // With what they keep beside their trees, nobody publishes over what he has not seen.
    let mine = fleet.published(&fleet.try_publish("home", "bolt1", "mine", &["--force"]));
    fleet.arrives(&all, "mine", mine.returned, PATIENCE);
    let over = fleet.published(&fleet.try_publish("bob", "bolt1", "over", &["--force"]));
    let refused = fleet.try_publish("home", "bolt1", "again", &[]);
    let why = refused.bad(5);
    assert!(why.contains("bob") && why.contains(&format!("epoch {}", over.epoch)), "{why}");
    fleet.arrives(&all, "over", over.returned, PATIENCE);
    assert!(!fleet.ever_had("env1", "again"));
}

fn start(command: &mut std::process::Command) -> std::process::Child {
    use std::process::Stdio;
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs")
}

/// Two publishes of one epoch on two sides of a partition: when it heals one of them counts everywhere, and the next
/// publish stands on both.
fn fork(title: &str, split: Duration, heals: Duration) -> Duration {
    let fleet = Fleet::of(title, 2, 4);
    let all = ["bolt1", "bolt2", "env1", "env2", "env3", "env4"];
    let (left, right) = (["bolt1", "env1", "env2"], ["bolt2", "env3", "env4"]);
    admit_bob(&fleet, "bolt1");
    bob_is_known(&fleet, "bolt2");
    let first = fleet.publish("bolt1", "first");
    fleet.arrives(&all, "first", first.returned, PATIENCE);

    fleet.lab.partition(&right);
    let began = Instant::now();
    let one = fleet.published(&fleet.try_publish("home", "bolt1", "left", &["--force"]));
    let two = fleet.published(&fleet.try_publish("bob", "bolt2", "right", &["--force"]));
    assert_eq!((one.epoch, two.epoch), (first.epoch + 1, first.epoch + 1), "the sides were not apart");
    fleet.arrives(&left, "left", one.returned, PATIENCE);
    fleet.arrives(&right, "right", two.returned, PATIENCE);
    std::thread::sleep(split.saturating_sub(began.elapsed()));
    fleet.lab.heal();
    let healed = Instant::now();
    let winner = one_head(&fleet, &all, &["left", "right"], heals);
    let took = healed.elapsed();
    let expected = if one.id > two.id { "left" } else { "right" };
    assert_eq!(winner, expected, "of two publishes of one epoch the one with the greater id counts");

    // Nothing is lost: both are known everywhere, and somebody is told.
    for name in all {
        let rows = fleet.publishes(name);
        for id in [&one.id, &two.id] {
            assert!(rows.iter().any(|r| r.at.id.to_string() == *id), "{name} lacks {id}");
        }
    }
    let loser = if expected == "left" { "bolt2" } else { "bolt1" };
    assert!(all.iter().any(|name| fleet.log(name).contains("two publishes of one epoch")), "nobody is told");
    let third = fleet.publish(loser, "third");
    assert_eq!(third.epoch, first.epoch + 2);
    fleet.arrives(&all, "third", third.returned, PATIENCE);
    fleet.converged(&all, &third.id, PATIENCE);
    took
}

#[test]
fn a_fork_across_a_partition_has_one_winner_and_is_closed_by_the_next_publish() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let took = fork("fork", secs(2), secs(60));
    say("R3", "a partition of seconds heals: to one head everywhere", &format!("{} ms", took.as_millis()));
}

#[test]
#[ignore = "long: partitions that outlast every connection"]
fn long_partitions_of_minutes_heal_within_thirty_seconds() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    let took: Vec<Duration> = (0..5).map(|n| fork("forks", secs(90 + 10 * n), secs(120))).collect();
    say_long(
        "R3",
        "2 bolts and 4 envoys, partitions of 90 to 130 s: healed to one head everywhere",
        &spread(&took),
    );
    assert!(took.iter().all(|t| *t <= secs(30)), "more than 30 s: {took:?}");
}
