//! Owners and groups: applied, left alone, or refused, and what is said of each.

use std::os::unix::fs::MetadataExt;

use serde_json::json;
use vigo_executors::host::{Capabilities, NO_OWN};
use vigo_executors::{FakeHost, Host, RealHost, traits};
use vigo_stacks::plan::Step;
use vigo_stacks::report::Outcome::{self, Created, Failed, None as Same, Updated};

use crate::support::*;

fn owned(owner: &str, group: &str) -> [Step; 2] {
    let attributes = json!({"target_path": "/srv/d/f", "content": "x", "owner": owner, "group": group});
    [
        step("d", "directory", json!({"target_path": "/srv/d", "owner": owner, "group": group})),
        step("f", "file", attributes),
    ]
}

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\n";

#[test]
fn owners_are_applied_and_drift_is_put_right() {
    let mut host = FakeHost::new().with_file("/etc/passwd", PASSWD).with_file("/etc/group", "adm:x:4:\n");
    assert_eq!(outcomes(&run(&mut host, &owned("www-data", "adm"))), [Created, Created]);
    assert_eq!(outcomes(&run(&mut host, &owned("www-data", "4"))), [Same, Same]);
    let report = run(&mut host, &owned("root", "adm"));
    assert_eq!(outcomes(&report), [Updated, Updated]);
    assert_eq!(report.steps[1].message, "owner 33 -> 0");
    let report = run(&mut host, &owned("nobody-there", "adm"));
    assert_eq!(outcomes(&report), [Failed, Failed]);
    assert!(report.steps[0].message.starts_with("there is no user `nobody-there` in /etc/passwd"));
}

#[test]
fn where_owners_are_not_applied_the_step_says_so_and_goes_on() {
    let none = Capabilities { exec: false, own: false };
    let mut host = FakeHost::new().with_capabilities(none);
    let report = run(&mut host, &owned("anybody", "anyone"));
    assert_eq!(outcomes(&report), [Created, Created]);
    assert!(report.steps.iter().all(|s| s.message.contains(NO_OWN)));
    let again = run(&mut host, &owned("anybody", "anyone"));
    assert_eq!(outcomes(&again), [Same, Same]);
    assert_eq!(again.steps[0].message, NO_OWN);
    // A demo's folder has no accounts, whoever runs it.
    let mut real = Real::new();
    assert_eq!(outcomes(&run(&mut real.host, &owned("anybody", "anyone"))), [Created, Created]);
}

#[test]
fn root_applies_owners_below_a_root_that_has_accounts() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    std::fs::write(folder.path().join("etc/passwd"), "svc:x:12345:1::/:/bin/false\n").unwrap();
    let kept = tempfile::tempdir().unwrap();
    let mut host = RealHost::below(folder.path(), kept.path()).unwrap();
    assert_eq!(outcomes(&run(&mut host, &owned("svc", "54321"))), [Created, Created]);
    for name in ["srv/d", "srv/d/f"] {
        let meta = folder.path().join(name).metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (12345, 54321), "{name}");
    }
    assert_eq!(outcomes(&run(&mut host, &owned("svc", "54321"))), [Same, Same]);
    // A change of content keeps an owner that is not declared.
    assert_eq!(outcomes(&run(&mut host, &[file("/srv/d/f", "y")])), [Updated]);
    assert_eq!(folder.path().join("srv/d/f").metadata().unwrap().uid(), 12345);
}

#[test]
fn root_is_not_led_astray_by_a_user_s_link() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    use std::os::unix::fs::{chown, lchown, symlink};
    let mut real = Real::new();
    let root = real.root();
    for folder in ["home/alice/mine", "etc/root", "home/bob"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let alice = Some(1000);
    for at in ["home/alice", "home/alice/mine"] {
        chown(root.join(at), alice, alice).unwrap();
    }
    chown(root.join("home/bob"), Some(1001), None).unwrap();
    for (name, to) in
        [("ssh", "/etc/root"), ("bob", "../bob"), ("up", "/"), ("own", "mine"), ("two", "roots")]
    {
        symlink(to, root.join("home/alice").join(name)).unwrap();
        lchown(root.join("home/alice").join(name), alice, alice).unwrap();
    }
    symlink("/etc/root", root.join("home/alice/roots")).unwrap();
    let at = |name: &str| file(&format!("/home/alice/{name}"), "x");
    let steps = [
        at("ssh/keys"),
        at("ssh/new/keys"),
        at("bob/keys"),
        at("up/keys"),
        at("two/keys"),
        at("up/new/keys"),
    ];
    let report = run(&mut real.host, &steps);
    assert_eq!(outcomes(&report), [Failed; 6], "{:?}", said(&report));
    assert_eq!(
        report.steps[0].message,
        "/home/alice/ssh/keys leads through a link of user 1000 to a directory that is not theirs: not followed"
    );
    assert!(!root.join("etc/root/new").exists() && !root.join("new").exists());
    assert_eq!(outcomes(&run(&mut real.host, &[at("own/keys"), at("roots/keys")])), [Created, Created]);
}

#[test]
fn the_whole_machine_as_root_or_a_clear_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = RealHost::system(&folder.path().join("kept")).unwrap();
    let target = folder.path().join("f");
    let attributes = json!({"target_path": target, "content": "x", "owner": "0", "group": "12345"});
    let report = run(&mut host, &[step("f", "file", attributes)]);
    let root = rustix::process::geteuid().is_root();
    let expected: Outcome = if root { Created } else { Failed };
    assert_eq!(outcomes(&report), [expected]);
    assert!(root || report.steps[0].message.contains("not root"), "{}", report.steps[0].message);
    assert_eq!(target.exists(), root, "a refused step leaves nothing");
}

#[test]
fn the_traits_of_this_machine_can_be_collected() {
    let folder = tempfile::tempdir().unwrap();
    let host = RealHost::system(folder.path()).unwrap();
    let traits = traits::collect(&host);
    assert_eq!(traits["os"]["kernel_class"], "linux");
    assert!(traits["hardware"]["memory_mb"].as_u64().unwrap() > 0);
    assert!(traits["hardware"]["cpu_count"].as_u64().unwrap() > 0);
    assert_eq!(traits["kernel"]["release"].as_str().unwrap(), host.kernel().release);
    assert!(!traits["network"]["hostname"].as_str().unwrap().is_empty());
}
