//! A trigger outlives `kill -9` and a command that fails, with a real node on this machine.
//!
//! The node manages the whole machine, since commands run only there; its policy names nothing outside the test's own
//! directory.

mod program;

use program::Room;

/// A file that triggers a command, and between the two a command that waits for the file `go`.
fn stacks(room: &Room, text: &str) {
    let at = room.path("").display().to_string();
    let at = at.trim_end_matches('/');
    let wait = format!("touch {at}/began; for i in $(seq 600); do [ -e {at}/go ] && exit 0; sleep 0.1; done");
    room.write(
        "site/configcrates/app.vgo",
        &format!(
            "name: app
resources:
  - {{name: conf, type: file, target_path: {at}/app.conf, content: \"{text}\\n\", notify: [reload]}}
  - {{name: slow, type: exec, command: \"{wait}\", unless: test -e {at}/go}}
  - {{name: reload, type: exec, when: changed, depends_on: [slow], command: \"test -e {at}/ok && echo {text} >> {at}/reloads\"}}
"
        ),
    );
    room.write("site/hosts.vgo", "envoys:\n  - {match: \"*\", configcrates: [app]}\n");
}

fn publish(room: &Room, text: &str) {
    stacks(room, text);
    room.cli("config publish --stacks site --state bolt1 --key operator.key").good();
}

fn runs(room: &Room) -> u64 {
    room.vigo("status --json --state bolt1").json()["run"]["number"].as_u64().unwrap_or(0)
}

/// Waits for two runs more.
fn settles(room: &mut Room) {
    let before = runs(room);
    room.until("two runs more", |room| runs(room) >= before + 2);
}

#[test]
fn a_trigger_outlives_kill_9_and_a_command_that_fails() {
    let mut room = Room::new();
    room.write("ok", "");
    room.found();
    room.whole_machine("bolt1");
    publish(&room, "one");
    room.until("the run is between change and trigger", |room| room.path("began").exists());
    room.kill("bolt1");
    assert_eq!(room.read("app.conf"), "one\n");
    assert!(room.read("bolt1/pending").contains(" app/reload\n"));
    assert!(!room.path("reloads").exists());
    room.write("go", "");
    room.whole_machine("bolt1");
    room.until("the trigger is made up for", |room| room.path("reloads").exists());
    settles(&mut room);
    assert_eq!(room.read("reloads"), "one\n", "once, and not again");
    assert!(!room.read("bolt1/pending").contains("app/reload"));

    // A command that fails is tried by each run, also after a newer publish and a kill, until it works.
    std::fs::remove_file(room.path("ok")).expect("it was there");
    publish(&room, "two");
    let pending =
        |room: &Room| room.vigo("status --state bolt1").good().contains("app/reload: pending from an");
    room.until("it is pending", pending);
    settles(&mut room);
    let status = room.vigo("status --json --state bolt1").json();
    assert_eq!(
        (&status["report"]["pending"][0], &status["failure"]),
        (&"app/reload".into(), &"degraded".into())
    );
    let step = status["report"]["steps"][2]["message"].as_str().expect("a message").to_owned();
    assert!(step.starts_with("pending from an earlier run: "), "{step}");
    let ran = room.vigo("converge --state bolt1");
    assert!(ran.out.contains("\npending app/reload: triggered, not run well since"), "{ran:?}");
    room.kill("bolt1");
    room.whole_machine("bolt1");
    room.until("it is pending still", pending);
    assert_eq!(room.read("reloads"), "one\n");
    room.write("ok", "");
    room.until("it works", |room| room.read("reloads") == "one\ntwo\n");
    settles(&mut room);
    assert_eq!(room.read("reloads"), "one\ntwo\n");
    assert!(!pending(&room));

    // A policy without the trigger forgets it.
    std::fs::remove_file(room.path("ok")).expect("it was there");
    publish(&room, "three");
    room.until("it is pending", pending);
    let crates = room.read("site/configcrates/app.vgo").replace(", notify: [reload]", "");
    room.write("site/configcrates/app.vgo", &crates);
    room.cli("config publish --stacks site --state bolt1 --key operator.key").good();
    room.until("it is forgotten", |room| !room.read("bolt1/pending").contains("app/reload"));
    room.write("ok", "");
    settles(&mut room);
    assert_eq!(room.read("reloads"), "one\ntwo\n");
}
