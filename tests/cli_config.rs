//! `vigocli config` from the command line: what is done to a tree before, while and after it is published.
//!
//! Trees on the disk first, then a real node on loopback for what needs a fleet.

mod program;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use program::Room;

const UNTIDY: &str = "resources:\n  - {type: file, name: note, path: /note, content: \"one\\n\", mode: 0644}\n# of mine\nname: note\n";
const HOSTS: &str = "envoys:\n  - {match: \"*\", configcrates: [note]}\n";

fn tree(room: &Room, dir: &str, note: &str) {
    room.write(&format!("{dir}/stacks/configcrates/note.vgo"), note);
    room.write(&format!("{dir}/stacks/hosts.vgo"), HOSTS);
}

fn publish(dir: &str, more: &str) -> String {
    format!("config publish --stacks {dir}/stacks --state bolt1 --key operator.key {more}")
}

// K2, M1
#[test]
fn a_tree_is_linted_and_formatted() {
    let room = Room::new();
    tree(&room, "a", UNTIDY);
    let lint = room.cli("config lint --stacks a/stacks").good();
    assert!(lint.contains("the tree is right: 1 policy for 1 match block"), "{lint}");
    let strict = room.cli("config lint --stacks a/stacks --strict --json");
    assert_eq!(strict.code, 7);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&strict.out).unwrap()["diagnostics"][0]["rule"],
        "yaml-octal"
    );
    let check = room.cli("config fmt --check --diff --stacks a/stacks");
    assert_eq!(check.code, 1, "{}", check.err);
    assert!(
        check.out.contains("+#~ Manages file\n") && check.out.contains("would format configcrates/note.vgo"),
        "{}",
        check.out
    );
    assert_eq!(room.read("a/stacks/configcrates/note.vgo"), UNTIDY, "--check changes nothing");
    let did = room.cli("config fmt a/stacks/configcrates/note.vgo --stacks nowhere --json").json();
    assert_eq!(did["files"][0]["path"], "configcrates/note.vgo");
    let text = room.read("a/stacks/configcrates/note.vgo");
    assert!(text.starts_with("# of mine\n#~ Manages file\nname: note\nresources:\n"), "{text}");
    assert!(room.cli("config fmt --check --stacks a/stacks").good().contains("everything is formatted"));
    let undone = room.cli("config fmt --undo --stacks a/stacks --json").json();
    assert_eq!(undone["files"][0]["restored"], true, "{undone}");
    assert_eq!(room.read("a/stacks/configcrates/note.vgo"), UNTIDY, "as it was");
    assert!(room.cli("config fmt --undo --stacks a/stacks").good().contains("nothing was formatted"));
    room.write("a/stacks/configcrates/bad.vgo", "name: [\n");
    let bad = room.cli("config fmt --stacks a/stacks");
    assert!(bad.code == 7 && bad.err.contains("left as they are"), "{}", bad.err);
}

// M3, M4, M5, M6
#[test]
fn names_rules_and_examples_are_shown() {
    let room = Room::new();
    tree(&room, "a", UNTIDY);
    let found = room.cli("config search --configcrate no* --stacks a/stacks --json").json();
    assert_eq!((&found[0]["what"], &found[1]["what"]), (&"defined".into(), &"given".into()));
    room.cli("config search --role nobody --stacks a/stacks").bad(4);
    assert!(room.cli("config explain yaml-octal").good().contains("mode: \"0644\""));
    assert!(room.cli("config explain yaml-octl").bad(4).contains("did you mean yaml-octal?"));
    assert!(room.cli("config explain --json").json().as_array().unwrap().len() > 50);
    let list = room.cli("config examples list ssh").good();
    assert!(list.contains("sshd-hardening"), "{list}");
    room.cli("config examples copy chrony --retraction --stacks a/stacks").good();
    assert!(room.read("a/stacks/configcrates/base/chrony-retract.vgo").contains("state: absent"));
    let draft = room.cli("config retract note --stacks a/stacks").good();
    assert!(
        draft.contains("state: absent # was: present") && draft.contains("name: note-retract"),
        "{draft}"
    );
    room.cli("config retract note --write --stacks a/stacks").good();
    assert!(room.read("a/stacks/configcrates/note.retract").contains("# high   file note"));
    room.cli("config lint --stacks a/stacks").good();
}

// K1, K3, K4, G45, E3
#[test]
fn a_publish_formats_and_a_failed_one_changes_nothing() {
    let mut room = Room::new();
    room.bolt();
    tree(&room, "a", UNTIDY);
    let would = room.cli(&publish("a", "--dry-run").replace("--key operator.key", "")).good();
    assert!(would.contains("would format configcrates/note.vgo"), "{would}");
    room.write("wrong", "not the passphrase\n");
    room.cli(&publish("a", "--strict --note first")).good();
    let note = room.read("a/stacks/configcrates/note.vgo");
    assert!(
        note.contains("target_path: /note") && note.contains("# of mine") && note.contains("\"0644\""),
        "{note}"
    );
    assert_eq!(room.read("a/stacks/.before-format/configcrates/note.vgo"), UNTIDY, "a copy is kept");
    let live = room.read("a/.live/configcrates/note.vgo");
    assert!(!live.contains('#') && live.contains("target_path: /note"), "{live}");
    assert!(room.read("a/.live/hosts.vgo").contains("envoys"));

    // Somebody edits .live: the next publish says so and stops.
    let edited = room.path("a/.live/configcrates/note.vgo");
    assert_eq!(fs::metadata(&edited).unwrap().permissions().mode() & 0o777, 0o444);
    fs::set_permissions(&edited, Permissions::from_mode(0o644)).unwrap();
    fs::write(&edited, "by hand\n").unwrap();
    let said = room.cli(&publish("a", "")).bad(9);
    assert!(said.contains("configcrates/note.vgo: it was edited by hand"), "{said}");
    room.cli(&publish("a", "--force --retract")).good();
    assert_eq!(room.read("a/.live/configcrates/note.vgo"), live);

    // A secret, then a key that does not open: neither .live nor the fleet nor the tree changes.
    let before = room.cli("config log --json --state bolt1").json();
    tree(&room, "a", &UNTIDY.replace("one", "password: Tr0ub4dor&3"));
    let said = room.cli(&publish("a", "")).bad(7);
    assert!(said.contains("secret-in-clear") && !said.contains("Tr0ub4dor"), "{said}");
    tree(&room, "a", &UNTIDY.replace("one", "two"));
    let said = room.cli(&publish("a", "").replace("operator.key", "nowhere.key"));
    assert_ne!(said.code, 0);
    assert_eq!(room.cli("config log --json --state bolt1").json(), before);
    assert_eq!(room.read("a/.live/configcrates/note.vgo"), live);
    assert_eq!(room.read("a/stacks/configcrates/note.vgo"), UNTIDY.replace("one", "two"));

    // What differs is shown, and what was is published again.
    let diff = room.cli("config diff --stacks a/stacks --state bolt1").good();
    assert!(diff.contains("two") && diff.contains("1 file differs"), "{diff}");
    room.cli(&publish("a", "--no-format --retract")).good();
    assert_eq!(room.read("a/stacks/configcrates/note.vgo"), UNTIDY.replace("one", "two"), "--no-format");
    assert!(room.read("a/stacks/configcrates/note.retract").contains("# Envoys that had it: bolt1"));
    let back = room.cli("config rollback 1 --state bolt1 --key operator.key --json").json();
    assert_eq!((&back["of"], &back["epoch"]), (&1.into(), &4.into()));
    room.until("the first is back", |room| room.read("bolt1-root/note") == "one\n");
    room.cli("config rollback 99 --state bolt1 --key operator.key").bad(4);
}
