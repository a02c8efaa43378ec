//! Triggers outlive failures, stops and crashes, and go when they have done their work or nobody declares them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use serde_json::json;
use vigo_executors::fake::{Effect, Script};
use vigo_executors::host::Fault;
use vigo_executors::pending::Pending;
use vigo_executors::{FakeHost, Host, InMemory, Options, PendingFile, Progress, converge};
use vigo_stacks::plan::{Plan, Step};
use vigo_stacks::report::Outcome::{Blocked, Created, Failed, None as Same, Skipped, Updated};
use vigo_stacks::report::RunReport;
use vigo_stacks::when::parse;

use crate::support::*;

const EARLIER: &str = "pending from an earlier run: ";

/// A file that triggers `reload`, which does nothing else.
fn steps() -> [Step; 2] {
    let mut steps = [file("/etc/app", "1"), exec("reload")];
    steps[0].triggers = vec![1];
    steps[1].only_when_triggered = true;
    steps
}

fn host(code: i32) -> FakeHost {
    FakeHost::new().with_script("reload", Script { code, ..Script::default() })
}

fn go(host: &mut dyn Host, pending: &mut dyn Pending, steps: &[Step]) -> RunReport {
    converge(&Plan { steps: steps.to_vec() }, host, pending, &traits(), &Options::default(), &mut |_| {})
}

fn dry(host: &mut dyn Host, pending: &mut dyn Pending, steps: &[Step]) -> RunReport {
    let options = Options { dry_run: true, ..Options::default() };
    converge(&Plan { steps: steps.to_vec() }, host, pending, &traits(), &options, &mut |_| {})
}

/// A run that dies, as by `kill -9`, when the turn of the step `at` comes.
fn dies(host: &mut dyn Host, pending: &mut dyn Pending, steps: &[Step], at: usize) {
    let plan = Plan { steps: steps.to_vec() };
    let run = AssertUnwindSafe(|| {
        converge(&plan, host, pending, &traits(), &Options::default(), &mut |progress| {
            assert!(!matches!(progress, Progress::Begun { index, .. } if index == at), "killed");
        })
    });
    catch_unwind(run).unwrap_err();
}

#[test]
fn a_crash_between_change_and_trigger_is_made_up_for() {
    let (mut host, mut pending) = (host(0), InMemory::default());
    dies(&mut host, &mut pending, &steps(), 1);
    assert_eq!((host.commands().len(), pending.entries.len()), (0, 1));
    let would = dry(&mut host, &mut pending, &steps());
    assert_eq!((outcomes(&would), pending.writes), (vec![Same, Updated], 1), "a dry run writes nothing");
    let report = go(&mut host, &mut pending, &steps());
    assert_eq!(said(&report), said(&would));
    assert_eq!(outcomes(&report), [Same, Updated]);
    assert_eq!(report.steps[1].message, format!("{EARLIER}runs `reload`"));
    assert_eq!(host.commands(), ["reload"]);
    assert!(pending.entries.is_empty() && report.pending.is_empty());
    assert_eq!(outcomes(&go(&mut host, &mut pending, &steps())), [Same, Skipped]);
}

#[test]
fn it_is_recorded_before_the_change_and_not_in_a_dry_run() {
    let (mut host, mut pending) = (host(0), InMemory::default());
    dry(&mut host, &mut pending, &steps());
    assert_eq!(pending.writes, 0);
    pending.refuses = Some("/var/lib/x: no space left".into());
    let report = go(&mut host, &mut pending, &steps());
    assert_eq!(outcomes(&report), [Failed, Skipped]);
    let why = "nothing was changed: cannot record triggers in /var/lib/x: no space left";
    assert_eq!(report.steps[0].message, why);
    assert!(host.content("/etc/app").is_none());
    // What triggers nothing needs no record.
    assert_eq!(outcomes(&go(&mut host, &mut pending, &[file("/b", "b")])), [Created]);
    pending.refuses = None;
    assert_eq!(outcomes(&go(&mut host, &mut pending, &steps())), [Created, Updated]);
    assert_eq!(pending.writes, 2, "recorded once, cleared once");
}

#[test]
fn a_failed_trigger_is_tried_until_it_works() {
    let (mut broken, mut pending) = (host(3), InMemory::default());
    let first = go(&mut broken, &mut pending, &steps());
    assert_eq!((outcomes(&first), first.pending), (vec![Created, Failed], vec!["c/reload".to_owned()]));
    for _ in 0..3 {
        let report = go(&mut broken, &mut pending, &steps());
        assert_eq!(outcomes(&report), [Same, Failed]);
        assert!(report.steps[1].message.starts_with(EARLIER), "{}", report.steps[1].message);
        assert_eq!(report.pending, ["c/reload"]);
    }
    let mut mended = broken.clone().with_script("reload", Script::default());
    assert_eq!(outcomes(&go(&mut mended, &mut pending, &steps())), [Same, Updated]);
    assert_eq!(outcomes(&go(&mut mended, &mut pending, &steps())), [Same, Skipped]);
}

#[test]
fn a_stop_and_a_blocked_step_leave_it_pending() {
    let (mut host, mut pending, options) = (host(0), InMemory::default(), Options::default());
    let plan = Plan { steps: steps().to_vec() };
    let report = converge(&plan, &mut host, &mut pending, &traits(), &options, &mut |progress| {
        options.stop.store(matches!(progress, Progress::Done { .. }), Ordering::SeqCst);
    });
    assert_eq!((outcomes(&report), report.pending), (vec![Created], vec!["c/reload".to_owned()]));
    // It now depends on something that fails.
    let mut steps = vec![steps()[0].clone(), file("/denied", "x"), steps()[1].clone()];
    (steps[0].triggers, steps[2].depends_on) = (vec![2], vec![1]);
    host.fail("/denied", Some(Fault::Denied));
    let report = go(&mut host, &mut pending, &steps);
    assert_eq!((outcomes(&report), report.pending.len()), (vec![Same, Failed, Blocked], 1));
    host.fail("/denied", None);
    assert_eq!(outcomes(&go(&mut host, &mut pending, &steps)), [Same, Created, Updated]);
    assert!(pending.entries.is_empty());
}

#[test]
fn a_cause_that_fails_again_and_again_triggers_nothing_until_it_is_well() {
    let mut pending = InMemory::default();
    let mut steps = steps();
    steps[0] = exec("half");
    steps[0].triggers = vec![1];
    steps[0].attributes.insert("creates".into(), json!("/done"));
    let half = |effects| Script { code: 1, effects, ..Script::default() };
    let mut failing = host(0).with_script("half", half(vec![]));
    for _ in 0..3 {
        assert_eq!(outcomes(&go(&mut failing, &mut pending, &steps)), [Failed, Skipped]);
    }
    assert_eq!(pending.writes, 1);
    // It does its work and fails after all: the next run finds it done, and owes the trigger.
    let effects = vec![Effect::Write("/done".into(), vec![])];
    let mut host = failing.with_script("half", half(effects));
    assert_eq!(outcomes(&go(&mut host, &mut pending, &steps)), [Failed, Skipped]);
    assert_eq!(outcomes(&go(&mut host, &mut pending, &steps)), [Same, Updated]);
    assert!(pending.entries.is_empty());
}

#[test]
fn a_policy_without_the_trigger_clears_it_and_a_newer_one_with_it_keeps_it() {
    let (mut broken, mut pending) = (host(1), InMemory::default());
    go(&mut broken, &mut pending, &steps());
    // A newer epoch: the file is the same, the command another one.
    let mut newer = steps();
    newer[1] = Step { id: "c/reload".into(), ..exec("other") };
    newer[1].only_when_triggered = true;
    assert_eq!(outcomes(&dry(&mut broken, &mut pending, &newer)), [Same, Updated]);
    // None of them has the trigger: another file, no trigger, a step of another type.
    let mut unrelated = [file("/etc/other", "1"), steps()[1].clone()];
    unrelated[0].triggers = vec![1];
    let mut silent = steps();
    silent[0].triggers = vec![];
    let mut typed = steps();
    typed[1] = Step { id: "c/reload".into(), only_when_triggered: true, ..file("/x", "x") };
    for policy in [unrelated, silent, typed] {
        let mut pending = pending.clone();
        let mut host = broken.clone().with_file("/etc/other", "1");
        assert_eq!(outcomes(&dry(&mut host, &mut pending, &policy)), [Same, Skipped]);
        assert_eq!(pending.entries.len(), 1, "a dry run forgets nothing");
        let report = go(&mut host, &mut pending, &policy);
        assert_eq!(outcomes(&report), [Same, Skipped]);
        assert!(pending.entries.is_empty() && report.pending.is_empty());
    }
}

#[test]
fn a_condition_that_says_no_is_an_answer_and_one_that_cannot_be_asked_is_not() {
    for (condition, left) in [("file_exists('/flag')", 0), ("file_exists('/denied')", 1)] {
        let (mut host, mut pending) = (host(0), InMemory::default());
        host.fail("/denied", Some(Fault::Denied));
        let mut steps = steps();
        steps[1].when = Some(parse(condition).unwrap());
        assert_eq!(outcomes(&go(&mut host, &mut pending, &steps)), [Created, Skipped]);
        assert_eq!(pending.entries.len(), left, "{condition}");
        host.fail("/denied", None);
        host.drift("/denied", "");
        host.drift("/flag", "");
        assert_eq!(host.commands().len(), 0);
        go(&mut host, &mut pending, &steps);
        assert_eq!(host.commands().len(), left, "{condition}");
    }
}

#[test]
fn a_lost_record_triggers_whatever_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pending");
    let mut host = host(0);
    let mut pending = PendingFile::at(&path);
    assert_eq!(outcomes(&go(&mut host, &mut pending, &steps())), [Created, Updated]);
    assert_eq!(outcomes(&go(&mut host, &mut PendingFile::at(&path), &steps())), [Same, Skipped]);
    std::fs::write(&path, "scratched\n").unwrap();
    assert_eq!(outcomes(&dry(&mut host, &mut PendingFile::at(&path), &steps())), [Same, Updated]);
    dies(&mut host, &mut PendingFile::at(&path), &steps(), 0);
    assert_eq!(outcomes(&go(&mut host, &mut PendingFile::at(&path), &steps())), [Same, Updated]);
    assert_eq!(outcomes(&go(&mut host, &mut PendingFile::at(&path), &steps())), [Same, Skipped]);
}

#[test]
fn thousands_of_causes_are_recorded_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let mut pending = PendingFile::at(folder.path().join("pending"));
    let mut steps: Vec<Step> = (0..500).map(|n| file(&format!("/f{n}"), "x")).collect();
    steps.iter_mut().for_each(|s| s.triggers = vec![500]);
    steps.push(Step { only_when_triggered: true, ..exec("reload") });
    let mut host = host(1);
    let report = go(&mut host, &mut pending, &steps);
    assert_eq!((report.counts.created, report.counts.failed), (500, 1));
    assert_eq!(report.pending, ["c/reload"]);
    let bytes = std::fs::metadata(folder.path().join("pending")).unwrap().len();
    assert!(bytes < 100 * 500, "{bytes}");
    let mut host = host.with_script("reload", Script::default());
    assert_eq!(go(&mut host, &mut pending, &steps).counts.changed(), 1);
    assert_eq!(go(&mut host, &mut pending, &steps).counts.changed(), 0);
}
