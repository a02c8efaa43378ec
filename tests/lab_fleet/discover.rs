//! Machines that were told of nobody find each other by multicast, and a newcomer finds the fleet.
//!
//! What a fleet remembers of addresses is made worthless by giving every machine another one while it is off.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::figures::{say, spread};
use crate::fleet::{Fleet, PATIENCE, Said, VIGO, in_company};
use crate::lab::{Lab, require_lab, secs, wait};

/// Runs `ip` on a host.
#[track_caller]
fn ip(lab: &Lab, host: &str, words: &str) {
    let all: Vec<&str> = ["ip"].into_iter().chain(words.split(' ')).collect();
    let output = lab.run(host, &all);
    assert!(output.status.success(), "{host}: ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Takes a host's IPv4 addresses away; its link-local IPv6 address stays.
fn strip(lab: &Lab, host: &str) {
    ip(lab, host, "-4 addr flush dev eth0");
}

fn address(n: usize) -> String {
    format!("10.77.99.{}/17", n + 1)
}

/// Stops these machines, gives each another address, and starts them again.
pub fn strand(fleet: &mut Fleet, names: &[&str]) {
    names.iter().for_each(|name| fleet.stop(name));
    names.iter().enumerate().for_each(|(n, name)| relocate(fleet, name, n));
    names.iter().for_each(|name| fleet.begin(name));
}

/// Gives a machine another address: the nth of those that nobody had.
pub fn relocate(fleet: &Fleet, name: &str, n: usize) {
    strip(&fleet.lab, name);
    ip(&fleet.lab, name, &format!("addr add {} brd + dev eth0", address(n)));
}

/// Waits until each of them has this many peers; gives how long each took.
#[track_caller]
pub fn meet(fleet: &Fleet, names: &[&str], peers: usize, within: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let (mut left, mut took) = (names.to_vec(), Vec::new());
    while !left.is_empty() {
        left.retain(|name| {
            let few = fleet.look(name).is_none_or(|s| s.peers < peers);
            if !few {
                took.push(began.elapsed());
            }
            few
        });
        assert!(began.elapsed() < within, "too few peers after {within:?}: {}", fleet.states(&left));
        std::thread::sleep(Duration::from_millis(20));
    }
    took
}

#[test]
fn two_bolts_and_eight_envoys_without_addresses_find_each_other() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("discover", 2, 8);
    let names = fleet.running();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    strand(&mut fleet, &names);
    say(
        "beacon",
        "10 nodes without addresses: each has two peers",
        &spread(&meet(&fleet, &names, 2, PATIENCE)),
    );
    let done = fleet.publish("bolt1", "found");
    fleet.arrives(&names, "found", done.returned, PATIENCE);
    fleet.converged(&names, &done.id, PATIENCE);
    for name in &names {
        let beacons = fleet.look(name).expect("it answers").beacons;
        assert_eq!(beacons.interfaces, ["eth0"], "{name}: {beacons:?}");
        assert!(beacons.sent > 0 && beacons.heard > 0 && beacons.neighbours >= 5, "{name}: {beacons:?}");
    }
}

#[test]
fn without_beacons_they_stay_alone() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("silent", 1, 1);
    fleet.options("env1", &["--beacon", "off"]);
    fleet.options("bolt1", &["--beacon", "off"]);
    strand(&mut fleet, &["bolt1", "env1"]);
    std::thread::sleep(secs(8));
    for name in ["bolt1", "env1"] {
        let status = wait::until("it answers", PATIENCE, || fleet.look(name).ok_or_else(String::new)).0;
        assert_eq!((status.peers, status.beacons.sent), (0, 0), "{name}: {status:?}");
    }
}

#[test]
fn two_fleets_on_one_lan_do_not_mix() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::new("mixed");
    fleet.found("home", "bolt1");
    fleet.found("work", "gate1");
    let (home, work) = (["bolt1", "env1", "env2"], ["gate1", "desk1", "desk2"]);
    for (label, names) in [("home", home), ("work", work)] {
        names[1..].iter().for_each(|name| fleet.place(name));
        fleet.join(label, names[0], &names[1..], false);
        names[1..].iter().for_each(|name| fleet.start(name));
    }
    strand(&mut fleet, &[home, work].concat());
    meet(&fleet, &home, 2, PATIENCE);
    meet(&fleet, &work, 2, PATIENCE);
    for (names, other) in [(home, work), (work, home)] {
        let marker = format!("of-{}", names[0]);
        let done = fleet.publish(names[0], &marker);
        fleet.arrives(&names, &marker, done.returned, PATIENCE);
        let strangers: Vec<_> = other.iter().map(|name| fleet.key_of(name)).collect();
        for name in names {
            assert!(fleet.peers(name).iter().all(|p| !strangers.contains(&p.key)), "{name} met a stranger");
            assert!(!fleet.log(name).contains("turned away"), "{name}: {}", fleet.log(name));
            assert!(other.iter().all(|o| !fleet.ever_had(o, &marker)), "{marker} came to the other fleet");
            let beacons = fleet.look(name).expect("it answers").beacons;
            assert!(beacons.ignored.get("other_fleet").is_some_and(|n| *n > 0), "{name}: {beacons:?}");
        }
    }
}

#[test]
fn a_bridge_that_was_cut_in_two_is_one_again() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("bridge", 2, 4);
    let names = ["bolt1", "bolt2", "env1", "env2", "env3", "env4"];
    let (left, right) = (["bolt1", "env1", "env2"], ["bolt2", "env3", "env4"]);
    names.iter().for_each(|name| fleet.stop(name));
    // They have never met at these addresses, and are apart when they start.
    fleet.lab.partition(&right);
    names.iter().enumerate().for_each(|(n, name)| relocate(&fleet, name, n));
    names.iter().for_each(|name| fleet.begin(name));
    meet(&fleet, &left, 2, PATIENCE);
    meet(&fleet, &right, 2, PATIENCE);
    let one = fleet.publish("bolt1", "left");
    fleet.arrives(&left, "left", one.returned, PATIENCE);
    assert!(right.iter().all(|name| !fleet.has(name, "left")), "the bridge was not cut");
    let other = fleet.publish("env3", "right");
    fleet.arrives(&right, "right", other.returned, PATIENCE);

    fleet.lab.heal();
    let healed = Instant::now();
    let head = |name: &&str| fleet.look(name).and_then(|s| s.head).map(|h| h.id);
    wait::until("one head everywhere", secs(90), || {
        let heads: Vec<_> = names.iter().map(head).collect();
        let same = heads.iter().all(|h| h.is_some() && *h == heads[0]);
        if same { Ok(()) } else { Err(fleet.states(&names)) }
    });
    say("beacon", "a bridge joined again: equal heads", &format!("{} ms", healed.elapsed().as_millis()));
    let after = fleet.publish("bolt2", "after");
    fleet.arrives(&names, "after", after.returned, PATIENCE);
}

#[test]
fn an_interface_that_comes_later_is_used_and_one_that_goes_is_left() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("plug", 1, 1);
    for name in ["bolt1", "env1"] {
        fleet.stop(name);
        strip(&fleet.lab, name);
    }
    ip(&fleet.lab, "env1", "link set eth0 down");
    ip(&fleet.lab, "bolt1", &format!("addr add {} brd + dev eth0", address(0)));
    fleet.start("bolt1");
    fleet.start("env1");
    std::thread::sleep(secs(7));
    let lonely = fleet.look("env1").expect("it answers");
    assert!(lonely.peers == 0 && lonely.beacons.interfaces.is_empty(), "{lonely:?}");
    ip(&fleet.lab, "env1", "link set eth0 up");
    ip(&fleet.lab, "env1", &format!("addr add {} brd + dev eth0", address(1)));
    let took = meet(&fleet, &["env1"], 1, PATIENCE);
    say("beacon", "an interface comes up: a peer", &spread(&took));
    // It gets another address, on another wire: the old one is of no use to anybody.
    strip(&fleet.lab, "env1");
    ip(&fleet.lab, "env1", "link set eth0 down");
    wait::until("the interface is left", PATIENCE, || {
        let left = fleet.look("env1").is_some_and(|s| s.beacons.interfaces.is_empty());
        if left { Ok(()) } else { Err(fleet.states(&["env1"])) }
    });
    ip(&fleet.lab, "env1", "link set eth0 up");
    ip(&fleet.lab, "env1", &format!("addr add {} brd + dev eth0", address(7)));
    let done = fleet.publish("bolt1", "moved");
    fleet.arrives(&["env1"], "moved", done.returned, secs(60));
}

#[test]
fn link_local_ipv6_is_enough() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("local6", 2, 2);
    let names = ["bolt1", "bolt2", "env1", "env2"];
    names.iter().for_each(|name| fleet.stop(name));
    names.iter().for_each(|name| strip(&fleet.lab, name));
    names.iter().for_each(|name| fleet.begin(name));
    say(
        "beacon",
        "4 nodes with link-local IPv6 only: two peers",
        &spread(&meet(&fleet, &names, 2, PATIENCE)),
    );
    let done = fleet.publish("env1", "six");
    fleet.arrives(&names, "six", done.returned, PATIENCE);
    let local = |name: &&str| fleet.peers(name).iter().all(|p| p.address.starts_with("[fe80::"));
    assert!(names.iter().all(local), "{:?}", fleet.peers("bolt1"));
    // An address that means something on one machine only is told to nobody, nor one that a bolt has left: once
    // bolt1 has heard from bolt2, it knows of none that a token could name, and says what to do instead.
    wait::until("no token", PATIENCE, || {
        let said = fleet.signed("home", "bolt1", &["spanner", "invite", "--json"]);
        let refused = said.err.contains("no bolt of this fleet has an address that a new machine could dial");
        match (said.code, refused && said.err.contains("vigo join --discover")) {
            (6, true) => Ok(()),
            (code, _) => Err(format!("{code}: {}{}", said.out, said.err)),
        }
    });
    // Somebody new joins over it, too.
    fleet.place("new1");
    strip(&fleet.lab, "new1");
    let id = fleet.look("bolt1").and_then(|s| s.spanner).expect("a fleet").to_string();
    let joined = discover(&mut fleet, "new1", &["--spanner", &id], |_, _| {});
    assert_eq!(joined.json()["name"], "new1");
}

/// Runs `vigo join --discover` with these words, without a terminal; once it waits for an operator, `meanwhile` is told
/// the six words, and the request is approved.
fn discover(fleet: &mut Fleet, name: &str, more: &[&str], meanwhile: impl Fn(&Fleet, &str)) -> Said {
    let state = fleet.state(name).display().to_string();
    let mut command = fleet.lab.command(name, VIGO);
    command.args(["join", "--discover", "--name", name, "--json", "--state", &state]).args(more);
    command.env("HOME", fleet.lab.folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it runs");
    let bolts: Vec<String> = fleet.running().into_iter().filter(|name| name.starts_with("bolt")).collect();
    let asks = |bolt: &String| {
        let rows = fleet.cli(bolt, &["spanner", "requests", "--json"]).json();
        let row = rows.as_array().and_then(|rows| rows.iter().find(|row| row["name"] == name).cloned());
        row.and_then(|row| row["words"].as_str().map(|words| (bolt.clone(), words.to_owned())))
    };
    let ((bolt, words), _) = wait::until("a request", PATIENCE, || {
        bolts.iter().find_map(asks).ok_or_else(|| format!("nobody asks at {bolts:?}"))
    });
    meanwhile(fleet, &words);
    fleet.signed("home", &bolt, &["spanner", "approve", name, "--words", &words]).good();
    let said = Said::of(child.wait_with_output().expect("it ends"));
    assert!(said.err.contains(&words), "other words were shown here than there ({words}): {}", said.err);
    said
}

#[test]
fn a_newcomer_finds_the_fleet_and_joins_as_the_help_says() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::new("newcomer");
    fleet.found("home", "bolt1");
    let id = fleet.look("bolt1").and_then(|s| s.spanner).expect("a fleet").to_string();
    fleet.place("new1");
    // Nobody is there to compare six words.
    let said = quick(&fleet, "new1", &[]);
    assert!(said.bad(2).contains("somebody must compare six words") && said.err.contains("--spanner ID"));
    // One fleet, and somebody who compares.
    let began = Instant::now();
    let shown = typed(&fleet, "new1", "y");
    say(
        "beacon",
        "join --discover, with an operator who approves",
        &format!("{} ms", began.elapsed().as_millis()),
    );
    assert!(
        shown.contains("Found on this network:") && shown.contains("home") && shown.contains(&id),
        "{shown}"
    );
    assert!(shown.contains("This machine is new1 of the fleet"), "{shown}");
    fleet.start("new1");
    meet(&fleet, &["new1"], 1, PATIENCE);

    // Two fleets: nothing is chosen, both are listed; with --spanner it goes on unattended.
    let other = fleet.found("work", "gate1")["spanner"].as_str().expect("an id").to_owned();
    fleet.place("new2");
    let shown = typed(&fleet, "new2", "");
    assert!(shown.contains("2 fleets answer on this network") && shown.contains("--spanner ID"), "{shown}");
    assert!(shown.contains(&id) && shown.contains(&other) && shown.contains("work"), "{shown}");
    let said = discover(&mut fleet, "new2", &["--spanner", &id], |_, words| {
        assert_eq!(words.split(' ').count(), 6);
    });
    assert_eq!(
        (said.json()["name"].as_str(), said.json()["spanner"].as_str()),
        (Some("new2"), Some(id.as_str()))
    );

    // A fleet that is not here, and no fleet at all.
    fleet.place("new3");
    let nowhere = "0".repeat(64);
    let said = quick(&fleet, "new3", &["--spanner", &nowhere]);
    assert!(
        said.bad(3).contains("no bolt of the fleet 0000") && said.err.contains("1531/udp"),
        "{}",
        said.err
    );
    strip(&fleet.lab, "new3");
    ip(&fleet.lab, "new3", "link set eth0 down");
    let said = quick(&fleet, "new3", &["--spanner", &id]);
    assert!(said.bad(3).contains("no network interface of this machine is up"), "{}", said.err);
}

/// `vigo join --discover` to its end, without a terminal.
fn quick(fleet: &Fleet, name: &str, more: &[&str]) -> Said {
    let state = fleet.state(name).display().to_string();
    let mut command = fleet.lab.command(name, "setsid");
    command.args(["-w", VIGO, "join", "--discover", "--name", name, "--state", &state]).args(more);
    Said::of(command.env("HOME", fleet.lab.folder()).output().expect("it runs"))
}

/// The same with somebody at the keyboard, who answers the question with `answer`; the operator approves meanwhile.
fn typed(fleet: &Fleet, name: &str, answer: &str) -> String {
    let state = fleet.state(name).display().to_string();
    let line = format!("{VIGO} join --discover --name {name} --state {state}");
    let mut script: Command = fleet.lab.command(name, "script");
    script.args(["-qec", &line, "/dev/null"]).env("HOME", fleet.lab.folder()).env_remove("SUDO_USER");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
    let (mut keyboard, mut screen) =
        (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let (mut shown, mut chunk) = (Vec::new(), [0; 4096]);
    let mut asked = false;
    loop {
        let count = screen.read(&mut chunk).expect("it speaks");
        shown.extend_from_slice(&chunk[..count]);
        if count == 0 {
            break;
        }
        if !asked && String::from_utf8_lossy(&shown).contains("read out the same words?") {
            asked = true;
            keyboard.write_all(format!("{answer}\n").as_bytes()).expect("it listens");
            // What the screen shows is what the operator is told.
            let text = String::from_utf8_lossy(&shown).into_owned();
            let six = |line: &&str| line.starts_with("    ") && line.split_whitespace().count() == 6;
            let words = text.lines().find(six).expect("six words").trim().to_owned();
            fleet.signed("home", "bolt1", &["spanner", "approve", name, "--words", &words]).good();
        }
    }
    drop(keyboard);
    let _ = child.wait();
    String::from_utf8_lossy(&shown).into_owned()
}
