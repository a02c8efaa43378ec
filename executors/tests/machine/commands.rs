//! Commands on the real machine: time, process groups, output, environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vigo_executors::host::{Command, Ending, OUTPUT_BYTES, Ran};
use vigo_executors::{Host, InMemory, Options, RealHost, converge};
use vigo_stacks::plan::Plan;
use vigo_stacks::report::Outcome;

use crate::support::*;

fn command(line: &str, timeout_millis: u64) -> Command {
    Command { line: line.into(), cwd: None, environment: BTreeMap::new(), timeout_millis, stop: None }
}

fn system(folder: &Path) -> RealHost {
    RealHost::system(&folder.join("kept")).unwrap()
}

fn ran(line: &str, timeout_millis: u64) -> (Ran, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let ran = system(folder.path()).run(&command(line, timeout_millis)).unwrap();
    (ran, started.elapsed())
}

/// Whether a process runs (a zombie does not).
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|s| s != "Z")
}

fn ends(pid: &str) -> bool {
    (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !runs(pid)
    })
}

#[test]
fn a_command_answers_with_code_signal_and_output() {
    let (done, _) = ran("echo out; echo err >&2; exit 7", 5_000);
    assert_eq!(done, Ran { ending: Ending::Exit(7), output: b"out\nerr\n".to_vec() });
    assert_eq!(ran("kill -9 $$", 5_000).0.ending, Ending::Signal(9));
    assert_eq!(ran("cat", 5_000).0, Ran { ending: Ending::Exit(0), output: vec![] });
}

#[test]
fn a_timeout_kills_grandchildren_too() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let inner = format!("trap \"\" TERM; sleep 300 & echo $! >> {}; wait", pids.display());
    let mut late = exec(&format!("sleep 300 & echo $! >> {}; sh -c '{inner}'; true", pids.display()));
    late.timeout = 1;
    let started = Instant::now();
    let report = run(&mut system(folder.path()), &[late]);
    assert_eq!(outcomes(&report), [Outcome::Failed]);
    assert!(report.steps[0].message.starts_with("execution timed out"), "{}", report.steps[0].message);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 2, "the grandchildren were started");
    for pid in pids.lines() {
        assert!(ends(pid), "{pid} still runs");
    }
}

#[test]
fn a_daemon_that_keeps_the_pipe_does_not_hold_the_run() {
    let (done, took) = ran("sleep 300 & echo $!", 20_000);
    assert_eq!(done.ending, Ending::Exit(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let pid = String::from_utf8(done.output).unwrap().trim().to_owned();
    assert!(runs(&pid), "a daemon that a command starts is left alone");
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn output_is_bounded_and_does_not_block() {
    let (done, _) = ran("head -c 5000000 /dev/zero | tr '\\0' x; echo end >&2", 20_000);
    assert_eq!(done.ending, Ending::Exit(0));
    assert!(done.output.len() <= OUTPUT_BYTES && done.output.len() > OUTPUT_BYTES - 128);
    assert!(done.output.ends_with(b"xend\n"), "the end is kept");
}

#[test]
fn the_environment_is_ours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command("env | cut -d= -f1 | sort | tr '\\n' ' '; pwd", 5_000);
    command.environment.insert("MINE".into(), "1".into());
    command.cwd = Some(path(folder.path().to_str().unwrap()));
    let output = system(folder.path()).run(&command).unwrap().output;
    let text = String::from_utf8(output).unwrap();
    let (names, cwd) = text.split_once('/').unwrap();
    let names: Vec<&str> =
        names.split_whitespace().filter(|n| !["PWD", "SHLVL", "_", "OLDPWD"].contains(n)).collect();
    assert_eq!(names, ["HOME", "LANG", "MINE", "PATH"]);
    assert_eq!(format!("/{}", cwd.trim()), folder.path().to_str().unwrap());
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there was something to scrub");
}

#[test]
fn a_stop_kills_a_running_command() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default();
    let stop: Arc<AtomicBool> = options.stop.clone();
    let plan = Plan { steps: vec![exec("sleep 300"), exec("true")] };
    let started = Instant::now();
    let setter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::SeqCst);
    });
    let report = converge(
        &plan,
        &mut system(folder.path()),
        &mut InMemory::default(),
        &traits(),
        &options,
        &mut |_| {},
    );
    setter.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(outcomes(&report), [Outcome::Failed]);
    assert_eq!(report.steps[0].message, "stopped before its end");
    assert!(report.aborted.is_some());
}

#[test]
fn below_a_root_nothing_runs() {
    let mut real = Real::new();
    let report = run(&mut real.host, &[exec("touch /tmp/vigo-must-not-be")]);
    assert_eq!(outcomes(&report), [Outcome::Skipped]);
    assert_eq!(report.steps[0].message, "exec is not run below --fs-root");
    assert!(real.host.run(&command("true", 1_000)).is_err());
}

#[test]
fn a_folder_that_is_not_there_is_an_error_and_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command("true", 1_000);
    command.cwd = Some(path("/no/such/folder"));
    let error = system(folder.path()).run(&command).unwrap_err().to_string();
    assert!(error.contains("/no/such/folder"), "{error}");
}
