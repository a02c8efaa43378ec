//! Runs: order, dependencies, triggers, conditions, templates, faults, time, stopping.

use std::sync::atomic::Ordering;

use serde_json::json;
use vigo_executors::fake::{Effect, Script};
use vigo_executors::host::{Capabilities, Fault, NO_EXEC};
use vigo_executors::{FakeHost, InMemory, Options, Progress, converge};
use vigo_stacks::plan::{Plan, Revert, Step};
use vigo_stacks::report::Outcome::{Blocked, Created, Failed, None as Same, Skipped, Updated};
use vigo_stacks::when::parse;

use crate::support::*;

fn when(mut step: Step, condition: &str) -> Step {
    step.when = Some(parse(condition).unwrap());
    step
}

#[test]
fn one_failure_blocks_what_depends_on_it_and_nothing_else() {
    let mut host = FakeHost::new();
    host.fail("/a", Some(Fault::Denied));
    let mut steps = [file("/a", "a"), file("/b", "b"), file("/c", "c"), file("/d", "d")];
    steps[1].depends_on = vec![0];
    steps[2].depends_on = vec![1];
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Failed, Blocked, Blocked, Created]);
    assert_eq!(report.steps[0].message, "cannot look at /a: permission denied");
    assert_eq!(report.steps[1].message, "depends on c//a, which failed");
    assert_eq!(report.steps[2].message, "depends on c//b, which is blocked");
    assert_eq!((report.counts.failed, report.counts.blocked, report.counts.created), (1, 2, 1));
    host.fail("/a", None);
    assert_eq!(outcomes(&run(&mut host, &steps)), [Created, Created, Created, Same]);
}

#[test]
fn a_dependency_that_is_not_before_it_blocks() {
    let mut steps = [file("/a", "a"), file("/b", "b")];
    steps[0].depends_on = vec![1];
    steps[1].depends_on = vec![77];
    steps[1].triggers = vec![99];
    assert_eq!(outcomes(&run(&mut FakeHost::new(), &steps)), [Blocked, Blocked]);
}

#[test]
fn a_skipped_dependency_does_not_block() {
    let mut steps = [when(file("/a", "a"), "os_family('redhat')"), file("/b", "b")];
    steps[1].depends_on = vec![0];
    assert_eq!(outcomes(&run(&mut FakeHost::new(), &steps)), [Skipped, Created]);
}

#[test]
fn a_handler_runs_only_after_a_change() {
    let mut host = FakeHost::new().with_script("reload", Script::default());
    let mut steps = [file("/etc/app", "1"), exec("reload")];
    steps[0].triggers = vec![1];
    steps[1].only_when_triggered = true;
    let predicted = dry_run(&mut host, &steps);
    assert_eq!(outcomes(&predicted), [Created, Updated]);
    assert!(host.commands().is_empty());
    let report = run(&mut host, &steps);
    assert_eq!(said(&report), said(&predicted));
    assert_eq!(outcomes(&run(&mut host, &steps)), [Same, Skipped]);
    assert_eq!(host.commands(), ["reload"]);
    host.drift("/etc/app", "by hand");
    assert_eq!(outcomes(&run(&mut host, &steps)), [Updated, Updated]);
    assert_eq!(host.commands(), ["reload", "reload"]);
}

#[test]
fn a_trigger_goes_on_through_a_chain_and_stops_at_a_failure() {
    let script = |code| Script { code, output: "why\n".into(), ..Script::default() };
    let mut host = FakeHost::new().with_script("one", script(0)).with_script("two", script(3));
    let mut steps = [file("/etc/app", "1"), exec("one"), exec("two"), exec("three")];
    for n in 1..4 {
        steps[n - 1].triggers = vec![n];
        steps[n].only_when_triggered = true;
    }
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Created, Updated, Failed, Skipped]);
    assert_eq!(
        report.steps[2].message,
        "`two` ended with exit code 3, expected exit code 0; it printed: why"
    );
}

#[test]
fn a_condition_is_asked_at_the_step_s_turn() {
    let mut host = FakeHost::new();
    let steps = [
        when(file("/late", "x"), "file_exists('/flag')"),
        file("/flag", "x"),
        when(file("/then", "x"), "file_exists('/flag') && dir_exists('/')"),
        when(file("/{{ .Vars.site }}", "x"), "!command_succeeds('false')"),
    ];
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Skipped, Created, Created, Created]);
    assert_eq!(report.steps[0].message, "when: file_exists('/flag') does not hold");
    assert!(host.content("/Bern").is_some());
}

/// What this version cannot do is said, and not done by halves: reverting, editing streams, types without executor.
#[test]
fn what_has_no_executor_fails_and_says_so() {
    let mut host = FakeHost::new();
    let steps = [
        Step { revert: Some(Revert::Command("undo".into())), ..exec("do") },
        Step { fault: Some("`case` cannot be decided".into()), ..exec("do") },
        step(
            "m",
            "mount",
            json!({"target_path": "/x", "device": "/dev/x", "fstype": "ext4", "state": "mounted"}),
        ),
        step(
            "f",
            "file",
            json!({"target_path": "/f", "content": "x", "stream_edit": ["/srv/vigo/scripts/x"]}),
        ),
    ];
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Failed; 4]);
    assert!(report.steps[0].message.contains("cannot revert"), "{}", report.steps[0].message);
    assert!(report.steps[1].message.contains("`case` cannot be decided"), "{}", report.steps[1].message);
    assert!(report.steps[2].message.contains("no executor for `mount` is on this machine"));
    assert!(report.steps[3].message.contains("cannot do what `stream_edit` asks for"));
    assert!(host.commands().is_empty() && host.content("/f").is_none());
}

/// H7, H9–H12, H17–H19: the functions that look at processes, the clock, displays, flags and groups.
#[test]
fn conditions_ask_the_machine_for_processes_time_displays_flags_and_groups() {
    let clock = Script { output: "23 05 7 31\n".into(), ..Script::default() };
    let mut host = FakeHost::new()
        .with_script("date '+%H %M %u %d'", clock)
        .with_file("/proc/1/comm", "systemd\n")
        .with_file("/proc/77/comm", "a-very-long-nam\n")
        .with_file("/proc/77/cmdline", "/usr/bin/a-very-long-name\0--x\0")
        .with_file("/etc/group", "root:x:0:\ndocker:x:99:\n")
        .with_file("/run/user/1000/wayland-0", "")
        .with_file("/var/lib/vigo/flags/beta", "");
    let holds = [
        "process_running('systemd') && !process_running('system')",
        "process_running('a-very-long-name') && !process_running('a-very-long-nine')",
        "in_group('docker') && !in_group('wheel')",
        "has_display()",
        "flag_set('beta') && !flag_set('gamma')",
        "hour_range(22, 5) && !hour_range(0, 23)",
        "minute_range(5, 6) && day_of_week('sun') && day_of_month(31)",
    ];
    let steps: Vec<Step> =
        holds.iter().enumerate().map(|(i, text)| when(file(&format!("/f{i}"), "x"), text)).collect();
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Created; 7], "{:?}", said(&report));
    let mut bare = FakeHost::new();
    let steps = ["process_running('x')", "in_group('99')", "hour_range(1, 2)", "has_display()"]
        .map(|text| when(file("/f", "x"), text));
    let report = run(&mut bare, &steps);
    assert_eq!(outcomes(&report), [Skipped; 4]);
    assert!(report.steps[0].message.contains("no /proc"));
    assert!(report.steps[1].message.contains("the id of a group"));
    assert!(report.steps[2].message.contains("clock says"), "{}", report.steps[2].message);
    assert!(report.steps[3].message.contains("does not hold"));
}

#[test]
fn what_cannot_be_known_skips_and_says_why() {
    let no_exec = Capabilities { exec: false, own: true };
    let mut host = FakeHost::new().with_capabilities(no_exec);
    host.fail("/denied", Some(Fault::Denied));
    let steps = [
        when(file("/a", "x"), "command_succeeds('true')"),
        exec("true"),
        when(file("/b", "x"), "file_exists('/denied')"),
        when(file("/c", "x"), "file_exists('relative')"),
    ];
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Skipped; 4]);
    assert_eq!(report.steps[0].message, format!("when: {NO_EXEC}"));
    assert_eq!(report.steps[1].message, NO_EXEC);
    assert!(report.steps[2].message.contains("permission denied"));
    assert!(report.steps[3].message.contains("not absolute"));
}

#[test]
fn templates_are_rendered_at_the_turn_and_their_mistakes_fail_one_step() {
    let mut host = FakeHost::new();
    let steps = [
        file("/a", "{{ .Vars.site }} {{ .Traits.os.family }}\n"),
        file("/b", "{{ .Vars.nothing }}"),
        file("/c{{ .Vars.site", "x"),
        step("m", "file", json!({"target_path": "/m", "mode": "{{ .Vars.site }}"})),
    ];
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Created, Failed, Failed, Failed]);
    assert_eq!(&*host.content("/a").unwrap(), b"Bern debian\n");
    assert!(report.steps[1].message.starts_with("`content`: template line 1"), "{}", report.steps[1].message);
    assert!(report.steps[3].message.contains("octal"), "{}", report.steps[3].message);
}

#[test]
fn an_exec_s_guards_are_its_state() {
    let made = Script { effects: vec![Effect::Write("/made".into(), vec![])], ..Script::default() };
    let no = Script { code: 1, ..Script::default() };
    let two = Script { code: 2, ..Script::default() };
    let mut host = FakeHost::new()
        .with_script("make", made)
        .with_script("no", no)
        .with_script("two", two)
        .with_script("yes", Script::default());
    let steps = [
        step("creates", "exec", json!({"command": "make", "creates": "/made"})),
        step("onlyif", "exec", json!({"command": "yes", "onlyif": "no"})),
        step("unless", "exec", json!({"command": "yes", "unless": "yes"})),
        step(
            "both",
            "exec",
            json!({"command": "two", "onlyif": "yes", "unless": "no", "exit_codes": [0, 2]}),
        ),
    ];
    assert_eq!(outcomes(&run(&mut host, &steps)), [Updated, Same, Same, Updated]);
    let report = run(&mut host, &steps[..3]);
    assert_eq!(outcomes(&report), [Same; 3]);
    assert_eq!(report.steps[0].message, "creates: /made exists");
    assert_eq!(report.steps[1].message, "onlyif: `no` does not succeed");
}

#[test]
fn time_is_up_for_commands_guards_conditions_and_slow_looks() {
    let slow = Script { millis: 5_000, ..Script::default() };
    let mut host = FakeHost::new().with_script("slow", slow).with_script("yes", Script::default());
    let mut steps = [
        exec("slow"),
        step("guard", "exec", json!({"command": "yes", "onlyif": "slow"})),
        when(file("/a", "x"), "command_succeeds('slow')"),
    ];
    steps.iter_mut().for_each(|s| s.timeout = 2);
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Failed; 3]);
    assert!(report.steps.iter().all(|s| s.message.starts_with("execution timed out") && s.millis == 2_000));
    assert_eq!(report.millis, 6_000);
    steps.iter_mut().for_each(|s| s.timeout = 6);
    assert_eq!(outcomes(&run(&mut host, &steps)), [Updated, Updated, Created]);
}

#[test]
fn a_full_disk_fails_the_step_and_leaves_the_old_content() {
    let mut host = FakeHost::new().with_file("/etc/app", "old");
    host.set_disk_bytes(Some(8));
    let steps = [file("/etc/app", "much longer than that"), file("/small", "x")];
    let report = run(&mut host, &steps);
    assert_eq!(outcomes(&report), [Failed, Created]);
    assert_eq!(report.steps[0].message, "cannot write /etc/app: no space left on device");
    assert_eq!(&*host.content("/etc/app").unwrap(), b"old");
    host.set_disk_bytes(None);
    assert_eq!(outcomes(&run(&mut host, &steps)), [Updated, Same]);
    host.set_read_only(true);
    host.drift("/small", "y");
    assert_eq!(outcomes(&run(&mut host, &steps)), [Same, Failed]);
}

/// A real small disk, where this machine lets us mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Option<SmallDisk> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(at).stderr(std::process::Stdio::null());
        mount.status().is_ok_and(|s| s.success()).then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_real_full_disk_fails_the_step_and_leaves_the_old_content() {
    let mut real = Real::new();
    let data = real.root().join("srv/tree/data");
    std::fs::create_dir_all(&data).unwrap();
    let Some(disk) = SmallDisk::mount(&data) else { return };
    std::fs::write(data.join("app"), "old").unwrap();
    let steps = [file("/srv/tree/data/app", &"long ".repeat(100_000)), file("/srv/tree/data/small", "x")];
    let report = run(&mut real.host, &steps);
    assert_eq!(outcomes(&report), [Failed, Created]);
    assert!(report.steps[0].message.contains("no space left"), "{}", report.steps[0].message);
    assert_eq!(std::fs::read(data.join("app")).unwrap(), b"old");
    let names: Vec<_> = std::fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    // What is mounted inside a tree is not removed with it.
    let gone = json!({"target_path": "/srv/tree", "state": "absent", "recurse": true});
    let report = run(&mut real.host, &[step("tree", "directory", gone)]);
    assert_eq!(outcomes(&report), [Failed]);
    assert!(report.steps[0].message.contains("mounted"), "{}", report.steps[0].message);
    assert_eq!(std::fs::read(data.join("app")).unwrap(), b"old");
    drop(disk);
}

#[test]
fn a_stop_ends_the_run_between_steps() {
    let options = Options::default();
    let stop = options.stop.clone();
    let plan = Plan { steps: vec![file("/a", "a"), file("/b", "b"), file("/c", "c")] };
    let mut host = FakeHost::new();
    let mut seen = Vec::new();
    let report = converge(&plan, &mut host, &mut InMemory::default(), &traits(), &options, &mut |progress| {
        match progress {
            Progress::Begun { index, total, step } => seen.push(format!("{index}/{total} {}", step.id)),
            Progress::Done { report, .. } => {
                seen.push(format!("{} {:?}", report.id, report.outcome));
                stop.store(report.id == "c//b", Ordering::SeqCst);
            }
        }
    });
    assert_eq!(outcomes(&report), [Created, Created]);
    assert_eq!(report.aborted.as_deref(), Some("stopped before c//c, step 3 of 3"));
    assert_eq!(seen, ["0/3 c//a", "c//a Created", "1/3 c//b", "c//b Created"]);
    assert!(host.content("/c").is_none());
}

#[test]
fn what_others_wrote_is_shown_escaped() {
    let mut host = FakeHost::new();
    let steps =
        [file("/bad\u{1b}[2J", "x"), exec("printf '\u{1b}]0;owned\u{7}'"), step("k", "ser\nvice", json!({}))];
    let report = run(&mut host, &steps);
    let texts = report.steps.iter().flat_map(|s| [Some(s.message.clone()), s.diff.clone()]).flatten();
    for text in texts {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}
