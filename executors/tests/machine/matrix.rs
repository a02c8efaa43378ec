//! Every type against everything that can be at its path, on both hosts: the outcome, that a dry run changes
//! nothing and says the same, and that a second run finds nothing to do.

use serde_json::{Value, json};
use vigo_executors::FakeHost;
use vigo_executors::host::Kind;
use vigo_stacks::plan::Step;
use vigo_stacks::report::Outcome::{self, Created, Deleted, Failed, None as Same, Updated};

use crate::support::*;

const AT: &str = "/srv/thing";
const ALL: [Before; 9] = [
    Before::Nothing,
    Before::Text("old\n"),
    Before::Text("new\n"),
    Before::Empty,
    Before::Full,
    Before::Link("/elsewhere"),
    Before::Odd(Kind::Fifo),
    Before::Odd(Kind::Socket),
    Before::Odd(Kind::Device),
];

/// The outcome for each of [`ALL`].
fn check(kind: &str, attributes: Value, expected: [Outcome; 9]) {
    let mut attributes = attributes;
    attributes["target_path"] = json!(AT);
    let steps = [step("thing", kind, attributes)];
    for (before, expected) in ALL.into_iter().zip(expected) {
        let what = format!("{kind} {:?} on {before:?}", steps[0].attributes);
        on_fake(before, &steps, expected, &what);
        on_real(before, &steps, expected, &what);
    }
}

fn on_fake(before: Before, steps: &[Step], expected: Outcome, what: &str) {
    let mut host = FakeHost::new();
    set_fake(&mut host, AT, before);
    let start = host.clone();
    let predicted = dry_run(&mut host, steps);
    assert!(host.same_files(&start), "{what}: a dry run changed something");
    let done = run(&mut host, steps);
    assert_eq!(outcomes(&done), [expected], "{what}: {:?}", said(&done));
    assert_eq!(said(&predicted), said(&done), "{what}: prediction");
    let after = host.clone();
    let again = run(&mut host, steps);
    assert_eq!(outcomes(&again), [if expected == Failed { Failed } else { Same }], "{what}: second run");
    assert!(host.same_files(&after) && (expected != Failed || host.same_files(&start)), "{what}");
}

fn on_real(before: Before, steps: &[Step], expected: Outcome, what: &str) {
    let mut real = Real::new();
    if !set_real(&mut real, AT, before) {
        return;
    }
    let start = listing(&real);
    let predicted = dry_run(&mut real.host, steps);
    assert_eq!(listing(&real), start, "{what}: a dry run changed something");
    let done = run(&mut real.host, steps);
    assert_eq!(outcomes(&done), [expected], "{what}: {:?}", said(&done));
    assert_eq!(said(&predicted), said(&done), "{what}: prediction");
    if expected == Failed {
        assert_eq!(listing(&real), start, "{what}: a failure changed something");
    } else {
        assert_eq!(outcomes(&run(&mut real.host, steps)), [Same], "{what}: second run");
    }
    assert!(listing(&real).iter().all(|line| !line.contains(".vigo-")), "{what}: something was left behind");
}

/// Names, kinds, modes and contents of what is below the root.
fn listing(real: &Real) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut todo = vec![real.root()];
    let mut lines = Vec::new();
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let at = entry.unwrap().path();
            let meta = at.symlink_metadata().unwrap();
            let content = if meta.is_file() { std::fs::read(&at).unwrap() } else { vec![] };
            lines.push(format!("{} {:o} {content:?} {:?}", at.display(), meta.mode(), at.read_link().ok()));
            if meta.is_dir() {
                todo.push(at);
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_file_on_everything() {
    let f = Failed;
    check("file", json!({"content": "new\n"}), [Created, Updated, Same, f, f, f, f, f, f]);
    check("file", json!({}), [Created, Same, Same, f, f, f, f, f, f]);
    check("file", json!({"content": "new\n", "mode": "0600"}), [Created, Updated, Updated, f, f, f, f, f, f]);
    check("file", json!({"content": "new\n", "mode": "0644"}), [Created, Updated, Same, f, f, f, f, f, f]);
    check("file", json!({"state": "absent"}), [Same, Deleted, Deleted, f, f, f, f, f, f]);
    let force = json!({"content": "new\n", "force": true});
    check("file", force, [Created, Updated, Same, Updated, Updated, Updated, f, f, f]);
    let gone = json!({"state": "absent", "force": true});
    check("file", gone, [Same, Deleted, Deleted, Deleted, Deleted, Deleted, f, f, f]);
}

#[test]
fn a_directory_on_everything() {
    let f = Failed;
    check("directory", json!({}), [Created, f, f, Same, Same, f, f, f, f]);
    check("directory", json!({"mode": "0700"}), [Created, f, f, Updated, Updated, f, f, f, f]);
    check("directory", json!({"state": "absent"}), [Same, f, f, Deleted, f, f, f, f, f]);
    let all = json!({"state": "absent", "recurse": true});
    check("directory", all, [Same, f, f, Deleted, Deleted, f, f, f, f]);
    check("directory", json!({"force": true}), [Created, Updated, Updated, Same, Same, Updated, f, f, f]);
}

#[test]
fn a_symlink_on_everything() {
    let f = Failed;
    check("symlink", json!({"link_target": "/elsewhere"}), [Created, f, f, f, f, Same, f, f, f]);
    check("symlink", json!({"link_target": "../other"}), [Created, f, f, f, f, Updated, f, f, f]);
    check("symlink", json!({"state": "absent"}), [Same, f, f, f, f, Deleted, f, f, f]);
    let force = json!({"link_target": "/elsewhere", "force": true});
    check("symlink", force, [Created, Updated, Updated, f, f, Same, f, f, f]);
}

#[test]
fn what_is_replaced_or_removed_is_kept() {
    let mut real = Real::new();
    set_real(&mut real, "/etc/hosts", Before::Text("mine\n"));
    run(&mut real.host, &[file("/etc/hosts", "theirs\n")]);
    assert_eq!(real.kept(), ["mine\n"]);
    run(&mut real.host, &[file("/etc/hosts", "theirs\n")]);
    assert_eq!(real.kept(), ["mine\n"]);
    let gone = step("hosts", "file", json!({"target_path": "/etc/hosts", "state": "absent"}));
    run(&mut real.host, &[gone]);
    assert_eq!(real.kept(), ["mine\n", "theirs\n"]);

    let mut fake = FakeHost::new().with_file("/etc/hosts", "mine\n");
    run(&mut fake, &[file("/etc/hosts", "theirs\n")]);
    assert_eq!(fake.kept(), [("/etc/hosts".to_owned(), b"mine\n".as_slice().into())]);
}

#[test]
fn what_cannot_be_kept_is_not_replaced() {
    let mut real = Real::new();
    set_real(&mut real, "/etc/hosts", Before::Text("mine\n"));
    std::fs::write(real.folder.path().join("kept"), "a file where the folder should be").unwrap();
    let report = run(&mut real.host, &[file("/etc/hosts", "theirs\n")]);
    assert_eq!(outcomes(&report), [Failed]);
    assert!(report.steps[0].message.contains("keep a copy of /etc/hosts"), "{}", report.steps[0].message);
    assert_eq!(std::fs::read_to_string(real.root().join("etc/hosts")).unwrap(), "mine\n");
}

#[test]
fn a_set_id_file_loses_its_bits_with_its_content() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mut real = Real::new();
    set_real(&mut real, "/bin/tool", Before::Text("old"));
    let at = real.root().join("bin/tool");
    std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let steps = [file("/bin/tool", "new")];
    assert_eq!(outcomes(&run(&mut real.host, &steps)), [Updated]);
    assert_eq!(at.metadata().unwrap().mode() & 0o7777, 0o755);
    assert_eq!(outcomes(&run(&mut real.host, &steps)), [Same]);
}

#[test]
fn the_last_word_advises_only_what_the_type_has() {
    let mut host = FakeHost::new();
    set_fake(&mut host, AT, Before::Text("x"));
    let link = step("l", "symlink", json!({"target_path": AT, "link_target": "/x"}));
    let message = |report: vigo_stacks::report::RunReport| report.steps[0].message.clone();
    assert_eq!(
        message(run(&mut host, &[link])),
        "/srv/thing is a regular file, expected a symlink: move it away, or set `force: true` to have it replaced"
    );
    set_fake(&mut host, "/srv/full", Before::Full);
    let gone = step("d", "directory", json!({"target_path": "/srv/full", "state": "absent"}));
    let text = message(run(&mut host, &[gone]));
    assert_eq!(text, "/srv/full is not empty: set `recurse: true` to remove what is in it");
    let top = step("d", "directory", json!({"target_path": "/srv", "state": "absent", "recurse": true}));
    assert!(message(run(&mut host, &[top])).contains("top of the file system"));
}
