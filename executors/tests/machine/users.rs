//! Accounts on a machine in memory: made, changed, damaged, repaired, removed; what is left alone and what is
//! refused.

use serde_json::{Value, json};
use vigo_executors::FakeHost;
use vigo_executors::fake::Script;
use vigo_executors::host::{Capabilities, Kind};
use vigo_stacks::report::Outcome::{self, Created, Deleted, Failed, None as Same, Skipped, Updated};
use vigo_stacks::report::StepReport;

use crate::support::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5IG9mIG5vIG9uZSwgZm9yIHRlc3RzIG9ubHkh dan@laptop";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEEga2V5IG9mIG5vIG9uZSwgZm9yIHRlc3RzIG9ubHkh x";
const KEYS: &str = "/home/dan/.ssh/authorized_keys";
const SUDO: &str = "/etc/sudoers.d/dan";

fn machine() -> FakeHost {
    FakeHost::new()
        .with_file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/sh\n")
        .with_file("/etc/shadow", "root:*:20000:0:99999:7:::\nbob:!$6$a$b:20000:0:99999:7:::\n")
        .with_file("/etc/group", "root:x:0:\nadm:x:4:bob\nbob:x:1001:\nvideo:x:44:bob\n")
        .with_file("/bin/bash", "")
}

/// Runs one `user`, having seen that a dry run says the same and changes nothing, and that a second run rests.
#[track_caller]
fn apply(host: &mut FakeHost, attributes: Value, expected: Outcome) -> StepReport {
    let steps = [step("u", "user", attributes)];
    let before = host.clone();
    let predicted = dry_run(host, &steps);
    assert!(host.same_files(&before), "a dry run changed something");
    let done = run(host, &steps);
    assert_eq!(outcomes(&done), [expected], "{:?}", said(&done));
    if expected == Failed {
        assert!(host.same_files(&before), "a refusal changed something: {:?}", said(&done));
    } else {
        assert_eq!(said(&predicted), said(&done));
        let again = run(host, &steps);
        assert!(matches!(outcomes(&again)[..], [Same | Skipped]), "{:?}", said(&again));
    }
    done.steps[0].clone()
}

#[track_caller]
fn text(host: &FakeHost, path: &str) -> String {
    String::from_utf8(host.content(path).unwrap_or_else(|| panic!("{path} is missing")).to_vec()).unwrap()
}

fn dan() -> Value {
    json!({
        "username": "dan", "comment": "Dan D.", "shell": "/bin/bash", "groups": ["adm", "deploy"],
        "authorized_keys": [KEY], "sudo_nopasswd": true, "password": "$6$salt$hash",
    })
}

#[test]
fn an_account_with_everything_is_made_damaged_repaired_and_removed() {
    let mut host = machine();
    let report = apply(&mut host, dan(), Created);
    assert_eq!(
        report.message,
        "created; group deploy made; groups adm, deploy; password set; keys: 1; sudo without password: created"
    );
    assert!(text(&host, "/etc/passwd").ends_with("dan:x:1000:1000:Dan D.:/home/dan:/bin/bash\n"));
    assert!(text(&host, "/etc/group").contains("adm:x:4:bob,dan\n"));
    assert!(text(&host, "/etc/shadow").contains("dan:$6$salt$hash:"));
    assert!(text(&host, KEYS).ends_with(&format!("removed.\n{KEY}\n")));
    assert!(text(&host, SUDO).ends_with("dan ALL=(ALL:ALL) NOPASSWD: ALL\n"));
    let stat = |path: &str| vigo_executors::Host::stat(&host, &crate::support::path(path)).unwrap().unwrap();
    assert_eq!((stat(KEYS).mode, stat(KEYS).owner), (0o600, 1000));
    assert_eq!((stat("/home/dan/.ssh").mode, stat("/home/dan/.ssh").owner), (0o700, 1000));
    assert_eq!(stat(SUDO).mode, 0o440);
    assert!(host.commands().iter().all(|line| !line.contains("$6$")), "{:?}", host.commands());

    host.drift(
        "/etc/passwd",
        text(&host, "/etc/passwd").replace("Dan D.:/home/dan:/bin/bash", "x:/home/dan:/bin/false"),
    );
    host.drift("/etc/group", text(&host, "/etc/group").replace("bob,dan", "bob"));
    host.drift(KEYS, format!("{OTHER}\nroot:$6$of$another:file\n"));
    host.drift(SUDO, "dan ALL=(ALL) ALL\n");
    let report = apply(&mut host, dan(), Updated);
    assert_eq!(
        report.message,
        "shell /bin/false -> /bin/bash; comment x -> Dan D.; groups +adm; keys: 1 added, 1 removed; sudo without password: content"
    );
    let diff = report.diff.unwrap();
    assert!(diff.contains(&format!("-{OTHER}")) && diff.contains("-[a line that is no key]"), "{diff}");
    assert!(!diff.contains("another"), "{diff}");

    let report = apply(&mut host, json!({"username": "dan", "state": "absent"}), Deleted);
    assert_eq!(report.message, "removed; sudo without password: withdrawn; the home /home/dan stays");
    assert!(!text(&host, "/etc/passwd").contains("dan") && !text(&host, "/etc/group").contains("dan"));
    assert!(host.content(SUDO).is_none() && host.content(KEYS).is_some());

    let report = apply(&mut host, dan(), Created);
    assert!(report.message.contains("uid 1000, that of /home/dan"), "{}", report.message);
    apply(&mut host, json!({"username": "dan", "state": "absent", "remove_home": true}), Deleted);
    assert!(!host.paths().iter().any(|path| path.contains("dan")), "{:?}", host.paths());
}

#[test]
fn what_is_not_declared_stays() {
    let mut host = machine();
    host.drift("/etc/sudoers.d/bob", "bob ALL=(ALL) ALL\n");
    let before = host.clone();
    apply(&mut host, json!({"username": "bob", "manage_home": false}), Same);
    assert!(host.same_files(&before));
}

#[test]
fn groups_are_merged_or_replaced() {
    let mut host = machine();
    let mut bob = |groups: Value, purge: bool, expected| {
        let values =
            json!({"username": "bob", "groups": groups, "purge_groups": purge, "manage_home": false});
        let message = apply(&mut host, values, expected).message;
        (message, text(&host, "/etc/group").lines().filter(|l| l.contains(":bob")).count())
    };
    assert_eq!(bob(json!(["adm"]), false, Same), (String::new(), 2));
    assert_eq!(bob(json!("adm"), true, Updated), ("groups -video".to_owned(), 1));
    assert_eq!(bob(json!(["bob", "video"]), false, Updated), ("groups +video".to_owned(), 2));
    assert_eq!(bob(json!([]), true, Updated), ("groups -adm -video".to_owned(), 0));
}

#[test]
fn a_lock_on_a_password_stays() {
    let mut host = machine();
    let with = |hash: &str| json!({"username": "bob", "password": hash, "manage_home": false});
    let report = apply(&mut host, with("$6$a$b"), Same);
    assert_eq!(report.message, "the password is locked and stays so");
    apply(&mut host, with("$6$new$one"), Updated);
    assert!(text(&host, "/etc/shadow").contains("bob:!$6$new$one:"));
    apply(&mut host, with("*"), Updated);
    apply(&mut host, with("$6$a$b"), Updated);
    assert!(text(&host, "/etc/shadow").contains("bob:$6$a$b:"));
    host.drift("/etc/shadow", "bob::20000:0:99999:7:::\n");
    apply(&mut host, with("*"), Updated);
}

#[test]
fn processes_in_the_way_end_and_are_counted() {
    let mut host = machine();
    host.set_processes(1001, 3);
    apply(&mut host, json!({"username": "bob", "shell": "/bin/bash", "manage_home": false}), Updated);
    assert_eq!(vigo_executors::Host::processes(&host, 1001), Ok(3), "a shell is changed beside them");
    let report = apply(&mut host, json!({"username": "bob", "uid": 1500, "manage_home": false}), Updated);
    assert!(
        report.message.starts_with("uid 1001 -> 1500; ends the user's 3 processes;"),
        "{}",
        report.message
    );
    host.set_processes(1500, 1);
    let report = apply(&mut host, json!({"username": "bob", "state": "absent"}), Deleted);
    assert_eq!(report.message, "removed; ends the user's 1 process");
}

#[test]
fn what_sudo_does_not_understand_is_not_put_there() {
    let mut host = machine();
    let first_last = json!({"username": "first.last", "sudo_nopasswd": true});
    apply(&mut host, first_last.clone(), Created);
    let check =
        host.commands().iter().find(|line| line.contains("visudo -c")).expect("it is checked").clone();
    // Sudo passes over files with a dot in their names.
    let files = |host: &FakeHost| {
        host.paths().into_iter().filter(|p| p.starts_with("/etc/sudoers.d/")).collect::<Vec<_>>()
    };
    assert!(
        matches!(&files(&host)[..], [one] if one.contains("first_last-") && !one.ends_with("first.last")),
        "{:?}",
        files(&host)
    );
    let refusal = Script { code: 1, output: "stdin:2: syntax error".into(), ..Script::default() };
    let mut host = machine().with_script(&check, refusal);
    let report = run(&mut host, &[step("u", "user", first_last)]);
    assert_eq!(outcomes(&report), [Failed]);
    assert!(report.steps[0].message.contains("syntax error"), "{}", report.steps[0].message);
    assert_eq!(files(&host), Vec::<String>::new());
}

#[test]
fn the_keys_of_remote_sessions_stay() {
    let mut host = machine();
    apply(&mut host, dan(), Created);
    let session = format!("expiry-time=\"20991231235900Z\" {}", OTHER.replace(" x", " scrier:7"));
    let eternal = OTHER.replace(" x", " scrier:8");
    host.drift(KEYS, format!("{session}\n{eternal}\n"));
    apply(&mut host, dan(), Updated);
    assert!(text(&host, KEYS).ends_with(&format!("{KEY}\n{session}\n")), "{}", text(&host, KEYS));
    apply(&mut host, json!({"username": "dan", "authorized_keys": []}), Updated);
    assert!(text(&host, KEYS).ends_with(&format!("removed.\n{session}\n")));
}

#[test]
fn nothing_is_written_through_links_or_into_what_is_not_theirs() {
    let keys = json!({"username": "dan", "authorized_keys": [KEY]});
    let scene = || {
        let mut host = machine();
        apply(&mut host, json!({"username": "dan"}), Created);
        host
    };
    let mut host = scene();
    host.place("/home/dan/.ssh", Kind::Symlink, "/etc");
    assert!(apply(&mut host, keys.clone(), Failed).message.contains("/home/dan/.ssh is a symlink"));
    let mut host = scene();
    host.place("/home/dan/.ssh", Kind::Directory, "");
    assert!(
        apply(&mut host, keys.clone(), Failed).message.contains("belongs to user 0, not to `dan` (1000)")
    );
    let mut host = scene();
    host.place("/home/dan/.ssh", Kind::Directory, "");
    host.give("/home/dan/.ssh", "1000", "1000");
    host.place(KEYS, Kind::Symlink, "/etc/shadow");
    assert!(apply(&mut host, keys.clone(), Failed).message.contains("is a symlink, expected a regular file"));
    let mut host = scene();
    host.place("/home/dan", Kind::Symlink, "/root");
    assert!(apply(&mut host, keys.clone(), Failed).message.contains("/home/dan is a symlink"));
    let mut host = scene();
    host.erase("/home/dan");
    let none = json!({"username": "dan", "authorized_keys": [KEY], "manage_home": false});
    assert!(apply(&mut host, none, Failed).message.contains("set `manage_home: true`"));
    apply(&mut host, keys, Updated);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut host = machine();
    let mut says = |attributes: Value| apply(&mut host, attributes, Failed).message;
    assert_eq!(
        says(json!({"username": "dan", "uid": 1001})),
        "the uid 1001 is that of `bob`: choose another"
    );
    assert!(
        says(json!({"username": "root", "state": "absent"}))
            .contains("is the account of root: it is not removed")
    );
    assert!(says(json!({"username": "root", "uid": 7})).contains("not given another id"));
    assert!(says(json!({"username": "a b"})).contains("it holds ` `"));
    assert!(says(json!({"username": "dan", "authorized_keys": ["rubbish"]})).contains("one word only"));
    let clear = says(json!({"username": "dan", "password": "hunter2"}));
    assert!(clear.contains("encoded") && !clear.contains("hunter2"), "{clear}");
    assert!(says(json!({"username": "dan", "home": "/a:b"})).contains("without `:`"));
    host.place("/home/bob", Kind::Directory, "");
    let gone = json!({"username": "bob", "state": "absent", "remove_home": true});
    assert!(
        apply(&mut host, gone, Failed).message.contains("/home/bob is not removed: it belongs to user 0")
    );
    let below = Capabilities { exec: false, own: true };
    let mut host = machine().with_capabilities(below);
    let report = apply(&mut host, json!({"username": "dan"}), Skipped);
    assert_eq!(report.message, "accounts are not managed below --fs-root");
}

#[test]
fn a_cron_job_is_made_damaged_repaired_and_removed() {
    let mut host = machine().with_file("/usr/sbin/cron", "");
    let at = "/etc/cron.d/vigo-backup";
    let job = json!({
        "job": "backup", "schedule": "*/5  * * * 1-5", "command": "date +%F >> /x", "user": "bob",
        "environment": {"MAILTO": "ops@acme.example"},
    });
    let go = |host: &mut FakeHost, attributes: &Value, expected| {
        let steps = [step("c", "cron", attributes.clone())];
        let predicted = dry_run(host, &steps);
        let done = run(host, &steps);
        assert_eq!(outcomes(&done), [expected], "{:?}", said(&done));
        assert_eq!(said(&predicted), said(&done));
        done.steps[0].clone()
    };
    go(&mut host, &job, Created);
    assert_eq!(
        text(&host, at),
        "# Written by vigo: the cron job backup. Changes made here are undone.\nMAILTO=\"ops@acme.example\"\n*/5 * * * 1-5 bob date +\\%F >> /x\n"
    );
    go(&mut host, &job, Same);
    host.drift(at, "* * * * * root rm -rf /\n");
    assert!(go(&mut host, &job, Updated).diff.unwrap().contains("-* * * * * root rm -rf /"));
    host.erase(at);
    go(&mut host, &job, Created);
    let gone = json!({"job": "backup", "state": "absent"});
    go(&mut host, &gone, Deleted);
    go(&mut host, &gone, Same);
    assert!(host.content(at).is_none());
    host.erase("/usr/sbin/cron");
    assert!(go(&mut host, &job, Created).message.ends_with("; no cron is installed that would run it"));
    for (wrong, part) in [
        (json!({"schedule": "61 * * * *"}), "the minute `61`: it is from 0 to 59"),
        (json!({"command": "a\nb"}), "join lines"),
        (json!({"job": "a.b"}), "passes over"),
        (json!({"user": "bo"}), "there is no user `bo` in /etc/passwd; the nearest is `bob`"),
        (json!({"environment": {"A": "x\ny"}}), "control character"),
    ] {
        let mut values = job.clone();
        values.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let message = go(&mut host, &values, Failed).message;
        assert!(message.contains(part), "{message}");
    }
}
