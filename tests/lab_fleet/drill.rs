//! The drill: every bolt is lost, and the operator's key with them.
//!
//! What is left is one envoy with its copy of the authority, and the 24 words on paper.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::figures::say;
use crate::fleet::{Fleet, PATIENCE, Said, VIGO, in_company};
use crate::lab::{require_lab, secs, wait};

#[test]
fn with_an_envoy_and_the_recovery_words_a_fleet_comes_back() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::new("drill");
    let made = fleet.found("home", "bolt1");
    let words = made["recovery_words"].as_str().expect("24 words").to_owned();
    assert_eq!(words.split_whitespace().count(), 24);
    for name in ["bolt2", "env1", "env2", "env3"] {
        fleet.place(name);
    }
    fleet.join("home", "bolt1", &["bolt2"], true);
    fleet.join("home", "bolt1", &["env1", "env2", "env3"], false);
    for name in ["bolt2", "env1", "env2", "env3"] {
        fleet.start(name);
    }
    let envoys = ["env1", "env2", "env3"];
    let first = fleet.publish("bolt1", "first");
    fleet.arrives(&["bolt1", "bolt2", "env1", "env2", "env3"], "first", first.returned, PATIENCE);

    let began = Instant::now();
    fleet.lose("bolt1");
    fleet.lose("bolt2");
    std::fs::remove_file(fleet.key("home")).expect("it was there");

    // An envoy gives the authority; wrong words are refused and leave nothing behind.
    let file = fleet.lab.folder().join("authority.json");
    fleet.cli("env2", &["spanner", "export", &file.display().to_string()]).good();
    fleet.place("bolt9");
    let mut wrong: Vec<&str> = words.split(' ').collect();
    wrong.swap(0, 1);
    let refused = restore(&fleet, &file, &wrong.join(" "));
    assert_eq!(refused.code, 3, "{refused:?}");
    let said = restore(&fleet, &file, &words);
    assert!(said.good().contains(made["spanner"].as_str().expect("an id")), "{said:?}");

    // The envoys knew the lost bolts only: the new one is told where one of them is.
    let address = format!("{}:1531", fleet.lab.address("env1"));
    fleet.options("bolt9", &["--peer", &address]);
    fleet.start("bolt9");
    wait::until("the new bolt knows what was published", secs(60), || {
        let head = fleet.look("bolt9").and_then(|s| s.head);
        if head.is_some_and(|h| h.epoch == first.epoch) {
            Ok(())
        } else {
            Err(fleet.states(&["bolt9", "env1"]))
        }
    });
    let after = fleet.published(&fleet.try_publish("new", "bolt9", "after", &["--force"]));
    assert_eq!(after.epoch, first.epoch + 1, "the epochs go on where they were");
    fleet.arrives(&["bolt9"], "after", after.returned, PATIENCE);
    fleet.arrives(&envoys, "after", after.returned, secs(60));
    fleet.converged(&envoys, &after.id, PATIENCE);
    say(
        "drill",
        "all bolts and the operator's key lost: to a new publish on all envoys",
        &format!("{} ms", began.elapsed().as_millis()),
    );

    // The new operator does all that the old one did.
    fleet.place("env4");
    fleet.join("new", "bolt9", &["env4"], false);
    fleet.start("env4");
    fleet.arrives(&["env4"], "after", Instant::now(), PATIENCE);
    let rows = fleet.cli("bolt9", &["envoys", "list", "--json"]).json();
    assert!(rows.as_array().is_some_and(|r| r.iter().any(|e| e["name"] == "env4")), "{rows}");
}

/// `vigo init --restore FILE --recovery` with somebody at the keyboard who types these words.
fn restore(fleet: &Fleet, file: &Path, words: &str) -> Said {
    let (state, key) = (fleet.state("bolt9").display().to_string(), fleet.key("new").display().to_string());
    let line = format!(
        "{VIGO} init --name bolt9 --operator carol --restore {} --recovery --plain-key --key {key} --state {state}",
        file.display()
    );
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_remove("SUDO_USER");
    let mut child = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script runs");
    let (mut keyboard, mut screen) =
        (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    // What is typed before the question is thrown away.
    let (mut shown, mut chunk) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&shown).contains("recovery words: ") {
        let count = screen.read(&mut chunk).expect("it speaks");
        assert!(count > 0, "it ended without asking: {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&chunk[..count]);
    }
    keyboard.write_all(format!("{words}\n").as_bytes()).expect("it listens");
    screen.read_to_end(&mut shown).expect("it speaks");
    drop(keyboard);
    let mut output = child.wait_with_output().expect("it ends");
    output.stdout = shown;
    let said = Said::of(output);
    assert!(!said.out.contains(words), "the words were shown while they were typed");
    said
}
