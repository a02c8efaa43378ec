//! Fleets from the command line: joining, settings, publishing, leaving, recovery, and what a stranger gets wrong.
//!
//! Real nodes on loopback. Messages are compared word for word where they are ours.

mod program;

use std::process::Stdio;
use std::time::Duration;

use program::{Room, taken_port};

const KEY: &str = "--key operator.key";

fn fleet() -> Room {
    let mut room = Room::new();
    room.bolt();
    room
}

/// A tree that gives everyone one file.
fn stacks(room: &Room, dir: &str, text: &str) {
    let resource = format!("  - {{name: note, type: file, target_path: /note, content: \"{text}\\n\"}}\n");
    room.write(&format!("{dir}/configcrates/note.vgo"), &format!("name: note\nresources:\n{resource}"));
    room.write(&format!("{dir}/hosts.vgo"), "envoys:\n  - {match: \"*\", configcrates: [note]}\n");
}

fn publish(dir: &str, more: &str) -> String {
    format!("config publish --stacks {dir}/stacks --state bolt1 {KEY} {more}")
}

#[test]
fn a_fleet_from_its_first_command() {
    let mut room = fleet();
    stacks(&room, "a/stacks", "one");
    let status = room.vigo("status --state bolt1").good();
    assert!(status.contains("\nconfig    nothing published\n"), "{status}");
    let would = room.cli(&publish("a", "--dry-run").replace(KEY, "")).good();
    assert!(would.ends_with("\n1 envoy would be touched; nothing was published\n"), "{would}");
    room.envoy("web01");
    let would = room.cli(&publish("a", "--dry-run").replace(KEY, "")).good();
    assert!(would.ends_with("\n2 envoys would be touched; nothing was published\n"), "{would}");
    assert!(would.contains("new *") && would.contains("for bolt1, web01"), "{would}");
    let did = room.cli(&publish("a", "--wait --json --note first")).json();
    assert_eq!((&did["epoch"], &did["rollout"]["envoys"][1]["arrived"]), (&1.into(), &true.into()));
    assert_eq!(room.read("web01-root/note"), "one\n");
    assert!(room.cli(&publish("a", "--dry-run").replace(KEY, "")).good().contains("nothing would change"));
    let log = room.cli("config log --state web01").good();
    assert!(log.contains("alice") && log.contains("head") && log.contains("first"), "{log}");
    let traced = room.cli("config trace web01 --published --state bolt1").good();
    assert!(traced.contains("matched `*` at hosts.vgo:2"), "{traced}");
    let envoys = room.cli("envoys list --json --state bolt1").json();
    assert_eq!(envoys[1]["name"], "web01");
    assert_eq!(envoys[1]["failure"], "converged");
    assert!(room.cli("envoys runs web01 --state bolt1").good().contains("changed the machine"));
    room.write("web01-root/note", "by hand\n");
    room.until("the file is put back", |room| room.read("web01-root/note") == "one\n");
    let run = room.vigo("converge --dry-run --json --state web01").json();
    assert_eq!((&run["counts"]["none"], &run["dry_run"]), (&1.into(), &true.into()));
    let said = room.cli("envoys show wbe01 --state bolt1").bad(4);
    assert!(said.contains("web01"), "the nearest name: {said}");
    assert!(room.end("web01") < Duration::from_secs(2), "SIGTERM ends a node within two seconds");
}

#[test]
fn settings_are_the_fleets() {
    let mut room = fleet();
    room.envoy("web01");
    let set = room.cli(&format!("settings set converge.interval 10m --state bolt1 {KEY}")).good();
    assert_eq!(set, "converge.interval is 600 now\n");
    room.until("web01 knows", |room| {
        room.cli("settings list --state web01").good().contains("600       set by alice")
    });
    room.write("server.yaml", "converge: {interval: 5m, splay: 1m}\n");
    let set = room.cli(&format!("settings import server.yaml --state bolt1 {KEY}")).good();
    assert_eq!(set, "converge.interval is 300\nconverge.splay is 60\n");
    let unset = room.cli(&format!("settings unset converge.splay --state bolt1 {KEY}")).good();
    assert_eq!(unset, "converge.splay is 30 now\n");
}

#[test]
fn keys_that_do_not_open_or_do_not_count() {
    let room = fleet();
    let mut out = String::new();
    room.write("right.txt", "correct horse\n");
    room.write("wrong.txt", "battery staple\n");
    room.vigo("init --name b2 --passphrase-file right.txt --key wrapped.key --state b2").good();
    let invite = |options: &str| room.cli(&format!("spanner invite --state bolt1 {options}")).bad(3);
    out += &invite("--key wrapped.key --passphrase-file right.txt");
    std::fs::copy(room.path("operator.key"), room.path("open.key")).unwrap();
    std::process::Command::new("chmod").arg("644").arg(room.path("open.key")).status().unwrap();
    out += &invite("--key open.key");
    out += &room.cli("spanner invite --state bolt1 --key nowhere.key").bad(4);
    out += &room.cli("spanner invite --state bolt1").bad(4);
    out += &room.cli("spanner invite --socket nowhere.sock --key operator.key").bad(6);
    insta::assert_snapshot!(room.same(&out));
}

#[test]
fn a_wrong_passphrase() {
    let mut room = Room::new();
    room.write("right.txt", "correct horse\n");
    room.write("wrong.txt", "battery staple\n");
    room.vigo(
        "init --name bolt1 --operator alice --passphrase-file right.txt --key operator.key --state bolt1",
    )
    .good();
    room.node("bolt1");
    let line = format!("spanner invite --state bolt1 {KEY} --passphrase-file");
    let said = room.cli(&format!("{line} wrong.txt")).bad(3);
    assert_eq!(
        said,
        "error: operator.key: wrong passphrase, or the key file was changed\n  hint: type it again; another key: --key FILE, or $VIGO_OPERATOR_KEY\n"
    );
    assert!(room.cli(&format!("{line} right.txt")).good().starts_with("vigo join vigo1"));
    let said = room.cli(&format!("spanner invite --state bolt1 {KEY}")).bad(2);
    assert!(
        said.contains("there is no terminal to ask on") && said.contains("--passphrase-file FILE"),
        "{said}"
    );
}

#[test]
fn tokens_that_are_not_taken() {
    let room = fleet();
    let mut out = String::new();
    let once = room.token("--name web01");
    let short = room.token("--name web02 --expires 1s");
    out += &room.vigo(&format!("join {once} --name web02 --state s")).bad(2);
    room.vigo(&format!("join {once} --state web01")).good();
    out += "# spent\n";
    out += &room.vigo(&format!("join {once} --state again")).bad(5);
    out += "# this machine belongs already\n";
    out += &room.vigo(&format!("join {once} --state web01")).bad(2);
    out += "# cut short, and none at all\n";
    out += &room.vigo(&format!("join {} --state s", &once[..80])).bad(2);
    out += &room.vigo("join hello --state s").bad(2);
    insta::assert_snapshot!(room.same(&out));
    std::thread::sleep(Duration::from_millis(1200));
    let said = room.vigo(&format!("join {short} --state web02")).bad(5);
    assert!(
        said.starts_with("warning: the token expired 0 seconds ago, at ")
            || said.contains("the token expired 1 second ago"),
        "{said}"
    );
    assert!(said.contains("expired") && said.contains("vigocli spanner invite"), "{said}");
    let piped = room.token("--name web03");
    assert!(room.vigo_hears("join - --state web03", &piped).good().starts_with("This machine is web03"));
}

#[test]
fn a_state_directory_of_another_fleet() {
    let room = fleet();
    room.vigo("init --name other --plain-key --key other.key --state other").good();
    let token = room.token("--name web01");
    let mut out = room.vigo(&format!("join {token} --state other")).bad(2);
    out += &room.vigo("init --name bolt9 --plain-key --key x.key --state other").bad(2);
    insta::assert_snapshot!(room.same(&out));
    assert!(!room.path("x.key").exists(), "nothing half done");
}

#[test]
fn nodes_that_cannot_start() {
    let room = fleet();
    let said = room.vigo("node --state empty").bad(2);
    assert_eq!(
        said,
        "error: this node belongs to no fleet\n  hint: run `vigo init` for a new one, or `vigo join TOKEN`\n"
    );
    let said = room.vigo("node --state bolt1 --listen 127.0.0.1:0").bad(6);
    assert!(said.contains("another vigo node (process ") && said.contains("--state"), "{said}");
    room.vigo("init --name b2 --plain-key --key b2.key --state b2").good();
    let said = room.vigo("node --state b2 --listen none --fs-root b2.key").bad(2);
    assert!(said.contains("b2.key is no directory") && said.contains("hint: name another"), "{said}");
    let (_held, port) = taken_port();
    let said = room.vigo(&format!("node --state b2 --listen 127.0.0.1:{port}")).bad(1);
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("hint: "), "{said}");
    assert!(said.contains("in use"), "{said}");
    let said = room.vigo("status --state b2").bad(6);
    assert!(said.starts_with("error: no vigo node is running here") && said.contains("vigo node"), "{said}");
}

/// A disk of a few hundred kilobytes, in a mount namespace of its own that ends with the command.
#[test]
fn a_full_disk() {
    let room = Room::new();
    let script = format!(
        "mkdir disk && mount -t tmpfs -o size=256k none disk && head -c 230k /dev/zero > disk/filler && exec {} init --name bolt1 --plain-key --key disk/operator.key --state disk/state",
        program::VIGO
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "bash", "-c", &script]).current_dir(room.path("."));
    let may = std::process::Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        assert_ne!(std::env::var("VIGO_LAB").as_deref(), Ok("require"), "mount namespaces are needed here");
        eprintln!("skipped: this user may not mount");
        return;
    }
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("error: ") && said.contains("disk is full") && said.contains("hint: "),
        "{said}"
    );
}

#[test]
fn two_operators_publish_at_once() {
    let room = fleet();
    stacks(&room, "a/stacks", "by a");
    stacks(&room, "b/stacks", "by b");
    room.cli(&publish("a", "")).good();
    room.cli(&publish("b", "--note theirs")).good();
    // One after the other: the one that has not looked is told.
    let said = room.cli(&publish("a", "")).bad(5);
    assert!(said.contains("alice published epoch 2") && said.contains("(theirs)"), "{said}");
    assert!(said.contains("this tree was last published as epoch 1") && said.contains("--force"), "{said}");
    room.cli(&publish("a", "--force")).good();
    // At the same moment, through the same node: one wins, the other is told who.
    let start = |dir: &str| {
        let line = publish(dir, "--force");
        let words: Vec<&str> = std::iter::once("vigocli").chain(line.split_whitespace()).collect();
        let mut command = room.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for _ in 0..5 {
        let both = [start("a"), start("b")];
        let ended = both.map(|child| child.wait_with_output().unwrap());
        let codes: Vec<i32> = ended.iter().map(|o| o.status.code().unwrap()).collect();
        assert!(codes.contains(&0) && codes.iter().all(|c| [0, 5].contains(c)), "{codes:?}");
        for lost in ended.iter().filter(|o| o.status.code() == Some(5)) {
            let said = String::from_utf8_lossy(&lost.stderr);
            assert!(said.contains("alice published epoch"), "{said}");
        }
    }
    let log = room.cli("config log --json --state bolt1").json();
    let heads = log.as_array().unwrap().iter().filter(|row| row["head"] == true).count();
    assert_eq!(heads, 1);
}

/// A second key at `bob.key`; its public half.
fn second_key(room: &Room) -> String {
    let made = room.cli("key new --plain-key --key bob.key --json").json();
    let key = made["key"].as_str().unwrap().to_owned();
    assert_eq!(made["admit"], format!("vigocli spanner admit alice {key}").as_str());
    key
}

#[test]
fn a_key_is_made_shown_and_never_lost() {
    let mut room = Room::new();
    let said = room.cli("key show").bad(4);
    assert!(said.contains("home/.vigo/operator.key") && said.contains("vigocli key new"), "{said}");
    room.write("pass.txt", "correct horse\n");
    let first = room.cli("key new --passphrase-file pass.txt").good();
    assert!(first.contains("\nprotected  by a passphrase\n"), "{first}");
    let key = first.lines().next().unwrap().strip_prefix("key        ").unwrap().to_owned();
    assert!(first.ends_with(&format!("\n  vigocli spanner admit alice {key}\n")), "{first}");
    let shown = room.cli("key show").good();
    assert!(
        shown.starts_with(&format!("key        {key}\n")) && shown.contains("by a passphrase"),
        "{shown}"
    );
    assert!(
        shown.contains("fleet      not asked: no vigo node is running here"),
        "it needs no node: {shown}"
    );
    let second = room.cli("key new --plain-key").good();
    assert!(second.contains("operator.key.old-1; what it may do has not changed"), "{second}");
    let old = room.cli("key show --key home/.vigo/operator.key.old-1 --json").json();
    assert_eq!((&old["key"], &old["protected"]), (&key.as_str().into(), &true.into()));
    assert_eq!((&old["asked"], &old["member"]), (&false.into(), &serde_json::Value::Null));
    let said = room.cli("key new --plain-key --passphrase-file pass.txt").bad(2);
    assert!(said.contains("cannot be used with"), "{said}");
    room.bolt();
    let shown = room.cli("key show --state bolt1").good();
    assert!(
        shown.contains("does not know it; an operator admits it: vigocli spanner admit alice "),
        "{shown}"
    );
    let shown = room.cli(&format!("key show --state bolt1 {KEY}")).good();
    assert!(shown.contains("knows it as alice, operator, with all rights"), "{shown}");
}

#[test]
fn who_cannot_be_admitted() {
    let room = fleet();
    let key = second_key(&room);
    let admit =
        |rest: &str, code: i32| room.cli(&format!("spanner admit {rest} --state bolt1 {KEY}")).bad(code);
    let said = admit(&format!("bob {key} --right config.publsh --yes"), 2);
    assert!(
        said.contains("no right config.publsh") && said.contains("did you mean config.publish?"),
        "{said}"
    );
    let said = admit(&format!("bob {key} --right 'settings:converge.*' --yes"), 2);
    assert!(said.contains("for the whole fleet or not at all"), "{said}");
    let said = admit("bob 5f0c --yes", 2);
    assert!(said.contains("PUBLIC-KEY") && said.contains("vigocli key new"), "{said}");
    assert!(admit(&format!("alice {key} --yes"), 2).contains("alice is the name of the operator"));
    let said = admit(&format!("bob {key}"), 2);
    assert!(said.contains("with\n\n    key     ") && said.contains("hint: say --yes"), "{said}");
    let own = room.cli(&format!("key show --json {KEY}")).json()["key"].as_str().unwrap().to_owned();
    assert!(admit(&format!("carol {own} --yes"), 5).contains("the key of the operator alice already"));
    assert!(!room.cli("spanner members --state bolt1").good().contains("bob"), "nothing was signed");
    // What one has not one cannot give.
    let given = room.cli(&format!(
        "spanner admit bob {key} --right admit.operator --right 'invite:web*' --yes --json --state bolt1 {KEY}"
    ));
    assert_eq!(given.json()["rights"], serde_json::json!(["admit.operator", "invite"]));
    let carol =
        room.cli("key new --plain-key --key carol.key --json").json()["key"].as_str().unwrap().to_owned();
    let by_bob = |rest: &str| {
        room.cli(&format!("spanner admit carol {carol} {rest} --yes --state bolt1 --key bob.key"))
    };
    let said = by_bob("--right revoke").bad(3);
    assert!(said.contains("bob has not the right revoke and cannot give it"), "{said}");
    let ran = by_bob("");
    assert!(
        ran.err.contains("warning: bob may not do all of that, so it does not count: invite"),
        "{}",
        ran.err
    );
    assert_eq!(ran.good(), "carol is an operator now, with admit.operator\n");
}

#[test]
fn a_second_operator_publishes_and_no_more() {
    let room = fleet();
    let key = second_key(&room);
    let line = format!("spanner admit bob {key} --right config.publish --yes --state bolt1 {KEY}");
    assert_eq!(room.cli(&line).good(), "bob is an operator now, with config.publish\n");
    let shown = room.cli("key show --key bob.key --state bolt1").good();
    assert!(shown.contains("knows it as bob, operator, with config.publish\n"), "{shown}");
    stacks(&room, "a/stacks", "by alice");
    stacks(&room, "b/stacks", "by bob");
    let by_bob = |more: &str| publish("b", more).replace(KEY, "--key bob.key");
    room.cli(&publish("a", "")).good();
    room.cli(&by_bob("--note mine --wait")).good();
    assert_eq!(room.read("bolt1-root/note"), "by bob\n");
    let said = room.cli("spanner revoke alice --yes --state bolt1 --key bob.key").bad(3);
    assert!(said.contains("bob has not the right revoke; it has config.publish"), "{said}");
    assert!(said.contains("hint: ask an operator who has it"), "{said}");
    // Whoever has not looked is told whose publish it would undo.
    let said = room.cli(&publish("a", "")).bad(5);
    assert!(said.contains("bob published epoch 2") && said.contains("(mine)"), "{said}");
    at_the_same_moment(&room, &publish("a", "--force"), &by_bob("--force"));
    room.cli(&by_bob("--force --note last")).good();
    room.cli(&format!("spanner revoke bob --yes --reason 'left the house' --state bolt1 {KEY}")).good();
    let said = room.cli(&by_bob("--force")).bad(3);
    assert!(said.contains("was revoked: left the house"), "{said}");
    let shown = room.cli("key show --key bob.key --state bolt1").good();
    assert!(shown.contains("knows it as bob, operator, revoked: left the house"), "{shown}");
    let log = room.cli("config log --json --state bolt1").json();
    let head = log.as_array().unwrap().iter().find(|row| row["head"] == true).unwrap();
    assert_eq!((&head["operator"], &head["note"]), (&"bob".into(), &"last".into()), "what they did stays");
    let line = format!("spanner admit bob {key} --yes --state bolt1 {KEY}");
    assert!(room.cli(&line).bad(3).contains("a revoked key never returns"));
}

/// Two publishes at once, again and again until one comes too late: it is told who was faster.
fn at_the_same_moment(room: &Room, alices: &str, bobs: &str) {
    let start = |line: &str| {
        let words: Vec<&str> = std::iter::once("vigocli").chain(line.split_whitespace()).collect();
        let mut command = room.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for _ in 0..40 {
        let ended = [start(alices), start(bobs)].map(|child| child.wait_with_output().unwrap());
        let codes: Vec<i32> = ended.iter().map(|o| o.status.code().unwrap()).collect();
        assert!(codes.contains(&0) && codes.iter().all(|c| [0, 5].contains(c)), "{codes:?}");
        if let Some(late) = codes.iter().position(|c| *c == 5) {
            let said = String::from_utf8_lossy(&ended[late].stderr);
            let faster = ["bob published epoch", "alice published epoch"][late];
            assert!(said.contains(faster), "{said}");
            return;
        }
    }
    panic!("none of 40 pairs met");
}

#[test]
fn waiting_tells_who_failed_and_who_is_away() {
    let mut room = fleet();
    room.envoy("web01");
    room.envoy("web02");
    stacks(&room, "a/stacks", "one");
    room.end("web02");
    room.until("the bolt knows that web02 is gone", |room| {
        room.cli("envoys list --json --state bolt1").json()[2]["online"] == false
    });
    let said = room.cli(&publish("a", "--wait")).good();
    assert!(said.lines().any(|l| l.starts_with("web02") && l.contains("away")), "{said}");
    assert!(said.lines().any(|l| l.starts_with("web01") && l.contains("arrived")), "{said}");
    room.write(
        "a/stacks/configcrates/note.vgo",
        "name: note\nresources:\n  - {name: note, type: directory, target_path: /note}\n",
    );
    let ran = room.cli(&publish("a", "--wait"));
    assert_eq!(ran.code, 8, "{}", ran.err);
    assert!(ran.err.contains("it arrived, and steps failed on bolt1, web01"), "{}", ran.err);
    let shown = room.cli("envoys show web01 --state bolt1").good();
    assert!(shown.contains("failed note/note: /note is a "), "{shown}");
    // The one that was away gets the newest when it is back, without the one in between.
    room.node("web02");
    room.until("web02 has it", |room| room.vigo("status --json --state web02").json()["run"]["epoch"] == 2);
    let said = room.cli(&publish("a", "--note 'two\nlines'")).bad(2);
    assert!(said.contains("a note is one line"), "{said}");
}

#[test]
fn who_is_revoked_is_out() {
    let mut room = fleet();
    room.envoy("web01");
    let said = room.cli(&format!("spanner revoke web01 --state bolt1 {KEY}")).bad(2);
    assert!(said.contains("hint: say --yes"), "{said}");
    room.cli(&format!("spanner revoke web01 --yes --reason stolen --state bolt1 {KEY}")).good();
    let members = room.cli("spanner members --state bolt1").good();
    assert!(members.lines().any(|l| l.contains("web01") && l.contains("revoked")), "{members}");
    room.until("web01 knows that it is out", |room| {
        room.vigo("status --json --state web01").json()["standing"] != "member"
    });
    let said = room.cli(&format!("spanner revoke web01 --yes --state bolt1 {KEY}")).bad(5);
    assert!(said.contains("is revoked already"), "{said}");
    assert!(
        room.cli(&format!("spanner revoke wbe01 --yes --state bolt1 {KEY}"))
            .bad(4)
            .contains("did you mean web01")
    );
}

/// The address on which the bolt listens, from its first line.
fn address(room: &Room) -> String {
    let log = room.read("bolt1.log");
    let at = log.split("listening on ").nth(1).expect("the line");
    at.split([',', ' ']).next().expect("an address").to_owned()
}

#[test]
fn a_machine_asks_and_an_operator_compares_six_words() {
    let mut room = fleet();
    let id = room.vigo("status --json --state bolt1").json()["spanner"].as_str().unwrap().to_owned();
    let address = address(&room);
    let ask = |room: &Room, state: &str| {
        let line = format!("join --address {address} --name web07 --spanner {id} --state {state}");
        let mut command = room.command(&line.split(' ').collect::<Vec<_>>());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let asked = |room: &Room| {
        room.until("the request is listed", |room| {
            room.cli("spanner requests --json --state bolt1").json().as_array().is_some_and(|r| r.len() == 1)
        });
        room.cli("spanner requests --json --state bolt1").json()[0]["words"].as_str().unwrap().to_owned()
    };
    let child = ask(&room, "denied");
    let six = asked(&room);
    assert_eq!(six.split(' ').count(), 6);
    let said = room.cli(&format!("spanner approve web07 --words 'a b c d e f' --state bolt1 {KEY}")).bad(3);
    assert!(said.contains("these are not the words of web07"), "{said}");
    room.cli("spanner deny web07 --state bolt1").good();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("an operator turned the request down"), "{said}");
    assert!(room.cli("spanner deny web07 --state bolt1").bad(4).contains("does not ask to join here"));

    let child = ask(&room, "web07");
    let six = asked(&room);
    room.cli(&format!("spanner approve web07 --words '{six}' --state bolt1 {KEY}")).good();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(said.contains(&six), "its screen shows the same words: {said}");
    room.node("web07");
    let said = room.vigo("join --address 127.0.0.1:1 --name x --state x").bad(2);
    assert!(said.contains("somebody must compare six words"), "{said}");
}

#[test]
fn a_fleet_comes_back_with_the_key_or_with_the_words() {
    let mut room = Room::new();
    let made = room.vigo("init --name bolt1 --fleet test --operator alice --plain-key --key operator.key --state bolt1 --json").json();
    let words = made["recovery_words"].as_str().unwrap().to_owned();
    room.node("bolt1");
    room.cli("spanner export authority.txt --state bolt1").good();
    assert!(room.cli("spanner export authority.txt --state bolt1").bad(1).contains("authority.txt"));
    room.end("bolt1");
    room.vigo(&format!("init --name bolt2 --restore authority.txt {KEY} --state bolt2")).good();
    let line = "init --name bolt3 --restore authority.txt --recovery --operator bob --plain-key --key bob.key --state bolt3";
    let said = room.vigo_hears(line, "abandon ability").bad(3);
    assert!(said.contains("24 words"), "{said}");
    let said = room.vigo_hears(line, &words).good();
    assert!(
        said.contains("is back; this machine is its new bolt bolt3") && !said.contains(&words[..30]),
        "{said}"
    );
    room.node("bolt3");
    let members = room.cli("spanner members --state bolt3").good();
    assert!(members.contains("bob") && members.contains("bolt3"), "{members}");
    let invited = room.cli("spanner invite --name web01 --state bolt3 --key bob.key").good();
    assert!(invited.starts_with("vigo join vigo1"));
}

#[test]
fn a_trace_is_replayed() {
    let mut room = Room::new();
    room.vigo("init --name bolt1 --operator alice --plain-key --key operator.key --state bolt1").good();
    room.node_with("bolt1", &["--listen", "127.0.0.1:0", "--trace", "node.trace"]);
    room.token("--name web01");
    room.end("bolt1");
    let replayed = room.vigo("replay node.trace --json").json();
    assert_eq!((&replayed["complete"], &replayed["differs_at"]), (&true.into(), &serde_json::Value::Null));
    assert!(replayed["inputs"].as_u64().is_some_and(|n| n > 0));
    let said = room.vigo("replay operator.key").bad(1);
    assert!(said.starts_with("error: ") && said.contains("trace"), "{said}");
    let said = room.vigo("node --state bolt1 --listen none --trace node.trace").bad(1);
    assert!(said.contains("never overwrites a file"), "{said}");
}
