//! Steps, plans, runs and scenes for the tests of this crate. It never asserts anything itself.

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, makedev, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;
use vigo_executors::host::{Access, Kind, NewFile};
use vigo_executors::path::HostPath;
use vigo_executors::{FakeHost, Host, InMemory, Options, RealHost, converge};
use vigo_stacks::plan::{Plan, Step};
use vigo_stacks::report::{Outcome, RunReport};

pub fn path(text: &str) -> HostPath {
    HostPath::parse(text).unwrap()
}

/// A step `c/NAME` with those attributes.
pub fn step(name: &str, kind: &str, attributes: Value) -> Step {
    Step {
        id: format!("c/{name}"),
        configcrate: "c".into(),
        name: name.into(),
        kind: kind.into(),
        attributes: attributes.as_object().unwrap().clone().into_iter().collect(),
        vars: Arc::new(BTreeMap::from([("site".to_owned(), json!("Bern"))])),
        when: None,
        only_when_triggered: false,
        depends_on: vec![],
        triggers: vec![],
        timeout: 60,
        revert: None,
        watch_secret: vec![],
        fault: None,
    }
}

pub fn file(target: &str, content: &str) -> Step {
    step(target, "file", json!({"target_path": target, "content": content}))
}

pub fn exec(command: &str) -> Step {
    step(command, "exec", json!({"command": command}))
}

pub fn traits() -> Value {
    json!({"os": {"family": "debian"}})
}

pub fn run(host: &mut dyn Host, steps: &[Step]) -> RunReport {
    converge(
        &Plan { steps: steps.to_vec() },
        host,
        &mut InMemory::default(),
        &traits(),
        &Options::default(),
        &mut |_| {},
    )
}

pub fn dry_run(host: &mut dyn Host, steps: &[Step]) -> RunReport {
    let options = Options { dry_run: true, ..Options::default() };
    converge(
        &Plan { steps: steps.to_vec() },
        host,
        &mut InMemory::default(),
        &traits(),
        &options,
        &mut |_| {},
    )
}

pub fn outcomes(report: &RunReport) -> Vec<Outcome> {
    report.steps.iter().map(|s| s.outcome).collect()
}

/// What a report says, without how long it took.
pub fn said(report: &RunReport) -> Vec<(String, Outcome, String, Option<String>)> {
    let one =
        |s: &vigo_stacks::report::StepReport| (s.id.clone(), s.outcome, s.message.clone(), s.diff.clone());
    report.steps.iter().map(one).collect()
}

/// A real host below a temporary folder, with things beside the root that must not be reached.
pub struct Real {
    pub folder: TempDir,
    pub host: RealHost,
}

impl Real {
    pub fn new() -> Real {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let host = RealHost::below(&folder.path().join("root"), &folder.path().join("kept")).unwrap();
        Real { folder, host }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub fn kept(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("kept")) else { return vec![] };
        let mut all: Vec<_> = entries.map(|e| std::fs::read_to_string(e.unwrap().path()).unwrap()).collect();
        all.sort();
        all
    }
}

/// What is at a path before a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Nothing,
    Text(&'static str),
    Empty,
    Full,
    Link(&'static str),
    Odd(Kind),
}

/// Sets the scene at `at` through the host's own operations; odd things by the caller.
pub fn set(host: &mut dyn Host, at: &str, before: Before) {
    let text = |bytes| NewFile { bytes, mode: 0o644, owner: None, group: None };
    match before {
        Before::Nothing | Before::Odd(_) => {}
        Before::Text(content) => host.write(&path(at), &text(content.as_bytes())).unwrap(),
        Before::Empty => host.make_dir(&path(at), &Access::default()).unwrap(),
        Before::Full => host.write(&path(&format!("{at}/inner")), &text(b"inner")).unwrap(),
        Before::Link(to) => host.symlink(&path(at), to).unwrap(),
    }
}

pub fn set_fake(host: &mut FakeHost, at: &str, before: Before) {
    set(host, at, before);
    if let Before::Odd(kind) = before {
        host.place(at, kind, "");
    }
}

/// `false` when this machine does not let us make such a thing.
pub fn set_real(real: &mut Real, at: &str, before: Before) -> bool {
    set(&mut real.host, at, before);
    let place = real.root().join(at.trim_start_matches('/'));
    let Before::Odd(kind) = before else { return true };
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    make_odd(&place, kind)
}

pub fn make_odd(place: &Path, kind: Kind) -> bool {
    let mode = Mode::from_raw_mode(0o644);
    match kind {
        Kind::Fifo => mknodat(rustix::fs::CWD, place, FileType::Fifo, mode, 0).is_ok(),
        Kind::Socket => UnixListener::bind(place).is_ok(),
        // What /dev/zero is: reading it never ends.
        _ => mknodat(rustix::fs::CWD, place, FileType::CharacterDevice, mode, makedev(1, 5)).is_ok(),
    }
}
