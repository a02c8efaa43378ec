//! `package` and `service` on a fake machine: apply, again, damage, repair, absent; and what goes wrong.

use proptest::prelude::*;
use serde_json::{Value, json};
use vigo_executors::FakeHost;
use vigo_executors::dpkg::Stage;
use vigo_executors::fake::{FakeUnit, Offer, Software};
use vigo_executors::host::Capabilities;
use vigo_stacks::plan::Step;
use vigo_stacks::report::Outcome;

use crate::support::*;

fn package(name: &str, state: &str) -> Step {
    Step { timeout: 300, ..step(name, "package", json!({"package": name, "state": state})) }
}

fn service(name: &str, attributes: Value) -> Step {
    let mut all = attributes;
    all["service"] = json!(name);
    step(&format!("{name} service"), "service", all)
}

/// A repository with nginx (which needs libpcre and brings a unit), apache2, curl.
fn machine() -> FakeHost {
    let mut software = Software::default();
    let nginx = Offer {
        depends: vec!["libpcre".into()],
        conflicts: vec!["apache2".into()],
        units: vec!["nginx.service".into()],
        ..Offer::new("1.22")
    };
    for (name, offer) in [
        ("nginx", nginx),
        ("libpcre", Offer::new("8")),
        ("apache2", Offer::new("2.4")),
        ("curl", Offer::new("7")),
    ] {
        software.offered.insert(name.into(), offer);
    }
    software.units.insert("ssh.service".into(), FakeUnit::running());
    FakeHost::new().with_software(software)
}

/// The outcome and the message of one step.
fn one(host: &mut FakeHost, step: Step) -> (Outcome, String) {
    let report = run(host, &[step]);
    (report.steps[0].outcome, report.steps[0].message.clone())
}

fn triggered(host: &mut FakeHost, mut last: Step) -> (Outcome, String) {
    let millis = host.software().starts_and_reloads();
    let mut first = file("/etc/trigger", &format!("{millis} {}", host.changes()));
    first.triggers = vec![1];
    last.only_when_triggered = true;
    let report = run(host, &[first, last]);
    (report.steps[1].outcome, report.steps[1].message.clone())
}

trait Count {
    fn starts_and_reloads(&self) -> u32;
}

impl Count for Software {
    fn starts_and_reloads(&self) -> u32 {
        self.units.values().map(|u| u.starts + u.reloads).sum()
    }
}

#[test]
fn a_package_is_installed_kept_repaired_and_removed() {
    let mut host = machine();
    let said = dry_run(&mut host, &[package("nginx", "present")]);
    assert_eq!(said.steps[0].outcome, Outcome::Created);
    assert!(said.steps[0].message.contains("once a run has fetched its lists"), "{}", said.steps[0].message);
    assert_eq!((host.software().fetches, host.installed("nginx")), (0, None), "a dry run changes nothing");

    assert_eq!(
        one(&mut host, package("nginx", "present")),
        (Outcome::Created, "installed 1.22, with libpcre".into())
    );
    assert_eq!(host.installed("nginx").as_deref(), Some("1.22"));
    let commands = host.commands().len();
    assert_eq!(one(&mut host, package("nginx", "present")), (Outcome::None, "1.22".into()));
    assert_eq!(host.commands().len(), commands, "what is as declared costs no process");

    host.set_package("nginx", |p| p.stage = Stage::ConfigFiles);
    assert_eq!(one(&mut host, package("nginx", "present")).0, Outcome::Created);
    assert_eq!(host.software().fetches, 1, "the lists are young");

    let gone = one(&mut host, package("libpcre", "absent"));
    assert_eq!(gone, (Outcome::Deleted, "removed, removes nginx".into()));
    assert_eq!((host.installed("nginx"), host.installed("libpcre")), (None, None));
    assert_eq!(one(&mut host, package("libpcre", "absent")).0, Outcome::None);
    let mut purge = package("libpcre", "absent");
    purge.attributes.insert("purge".into(), json!(true));
    assert_eq!(one(&mut host, purge.clone()), (Outcome::Deleted, "purged".into()));
    assert_eq!(one(&mut host, purge).0, Outcome::None);
}

#[test]
fn the_latest_is_looked_for_once_an_hour_and_a_hold_is_reported() {
    let mut host = machine();
    assert_eq!(one(&mut host, package("curl", "latest")).0, Outcome::Created);
    assert_eq!(one(&mut host, package("curl", "latest")), (Outcome::None, "7".into()));
    host.software().offered.insert("curl".into(), Offer::new("8"));
    host.elapse(50 * 60_000);
    assert_eq!(one(&mut host, package("curl", "latest")).0, Outcome::None);
    host.elapse(11 * 60_000);
    let dry = dry_run(&mut host, &[package("curl", "latest")]);
    assert_eq!(dry.steps[0].outcome, Outcome::None, "a dry run does not fetch");
    host.set_package("curl", |p| p.held = true);
    let (outcome, why) = one(&mut host, package("curl", "latest"));
    assert_eq!(outcome, Outcome::Failed);
    assert!(
        why.contains("`curl` is held at 7") && why.contains("8 is there") && why.contains("unhold"),
        "{why}"
    );
    assert!(one(&mut host, package("curl", "absent")).1.contains("held"));
    assert_eq!(one(&mut host, package("curl", "present")).0, Outcome::None);
    host.set_package("curl", |p| p.held = false);
    assert_eq!(one(&mut host, package("curl", "latest")), (Outcome::Updated, "7 -> 8".into()));
    assert_eq!(one(&mut host, package("curl", "latest")).0, Outcome::None);
    assert_eq!(host.software().fetches, 2);
}

#[test]
fn lists_are_fetched_once_a_run_and_again_when_sources_change() {
    let mut host = machine();
    host.software().unreachable = true;
    let report = run(&mut host, &[package("nginx", "present"), package("curl", "present")]);
    assert_eq!(outcomes(&report), [Outcome::Failed, Outcome::Failed]);
    assert!(
        report.steps[0].message.contains("could not be fetched: Failed to fetch"),
        "{}",
        report.steps[0].message
    );
    assert_eq!(host.software().fetches, 1, "one try a run");

    host.software().unreachable = false;
    let report =
        run(&mut host, &[package("nginx", "present"), package("curl", "present"), package("crl", "present")]);
    assert_eq!(outcomes(&report), [Outcome::Created, Outcome::Created, Outcome::Failed]);
    assert!(report.steps[2].message.contains("no package `crl`"), "{}", report.steps[2].message);
    assert!(report.steps[2].message.contains("the nearest is `curl`"), "{}", report.steps[2].message);
    assert_eq!(host.software().fetches, 2);

    // What is known is installed though servers do not answer.
    host.elapse(2 * 3_600_000);
    host.software().unreachable = true;
    assert_eq!(one(&mut host, package("apache2", "present")).0, Outcome::Created);
    // A package that came to the repository a minute ago is found.
    host.software().unreachable = false;
    host.software().offered.insert("fresh".into(), Offer::new("1"));
    assert_eq!(one(&mut host, package("fresh", "present")).0, Outcome::Created);
}

#[test]
fn locks_are_waited_for_within_bounds() {
    let mut host = machine();
    host.software().locked_until = 30_000;
    assert_eq!(one(&mut host, package("curl", "present")).0, Outcome::Created);
    host.software().locked_until = u64::MAX;
    let (outcome, why) = one(&mut host, package("nginx", "present"));
    assert_eq!(outcome, Outcome::Failed);
    assert!(why.contains("118 s were waited") && why.contains("process 42 (unattended-upgr)"), "{why}");
    let mut short = package("nginx", "present");
    short.timeout = 20;
    assert!(one(&mut host, short).1.contains("16 s were waited"));
}

#[test]
fn a_killed_dpkg_is_finished_first_and_a_broken_package_says_why() {
    let mut host = machine();
    host.drift("/var/lib/dpkg/updates/0003", "");
    assert_eq!(one(&mut host, package("curl", "present")).0, Outcome::Created);
    assert!(host.commands().iter().any(|c| c.starts_with("dpkg ") && c.contains("--configure -a")));

    let offer = Offer { broken: true, ..Offer::new("1") };
    host.software().offered.insert("broken".into(), offer);
    let (outcome, why) = one(&mut host, package("broken", "present"));
    assert_eq!(outcome, Outcome::Failed);
    assert!(why.contains("cannot install `broken`") && why.contains("post-installation script"), "{why}");
    host.software().offered.insert("broken".into(), Offer::new("1"));
    host.set_package("broken", |p| p.version = "0".into());
    let repaired = one(&mut host, package("broken", "present"));
    assert_eq!(repaired, (Outcome::Updated, "installation completed".into()));

    host.software()
        .offered
        .insert("needy".into(), Offer { depends: vec!["nowhere".into()], ..Offer::new("1") });
    assert!(
        one(&mut host, package("needy", "present")).1.contains("unmet") || host.installed("needy").is_none()
    );
}

#[test]
fn a_conflict_is_foretold() {
    let mut host = machine();
    one(&mut host, package("apache2", "present"));
    let foretold = dry_run(&mut host, &[package("nginx", "present")]).steps[0].message.clone();
    assert_eq!(foretold, "installed 1.22, with libpcre, removes apache2");
    assert!(host.installed("apache2").is_some());
    assert_eq!(one(&mut host, package("nginx", "present")).1, foretold);
    assert!(host.installed("apache2").is_none());
}

#[test]
fn below_a_root_and_without_apt_or_systemd_it_is_said() {
    let steps = [package("nginx", "present"), service("ssh", json!({}))];
    let mut below = machine().with_capabilities(Capabilities { exec: false, own: false });
    let report = run(&mut below, &steps);
    assert_eq!(outcomes(&report), [Outcome::Skipped, Outcome::Skipped]);
    assert_eq!(report.steps[0].message, "packages are not managed below --fs-root");
    assert_eq!(report.steps[1].message, "services are not managed below --fs-root");
    let report = run(&mut FakeHost::new(), &steps);
    assert_eq!(outcomes(&report), [Outcome::Failed, Outcome::Failed]);
    assert!(report.steps[0].message.contains("no /usr/bin/apt-get"));
    assert!(report.steps[1].message.contains("systemd does not run"));
}

#[test]
fn a_service_is_started_kept_repaired_and_stopped() {
    let mut host = machine();
    host.software().units.insert("web.service".into(), FakeUnit::default());
    let on = || service("web", json!({"enabled": true}));
    assert_eq!(one(&mut host, on()), (Outcome::Updated, "enabled; started".into()));
    assert_eq!(one(&mut host, on()), (Outcome::None, String::new()));
    let web = |host: &mut FakeHost| host.software().units["web.service"].clone();
    host.software().units.get_mut("web.service").unwrap().active = "failed".into();
    assert_eq!(one(&mut host, on()), (Outcome::Updated, "started".into()));
    host.software().units.get_mut("web.service").unwrap().enabled = false;
    assert_eq!(one(&mut host, on()), (Outcome::Updated, "enabled".into()));
    assert_eq!(web(&mut host).starts, 2);
    // Whether it is enabled stays as it is when not declared.
    assert_eq!(
        one(&mut host, service("web", json!({"state": "stopped"}))),
        (Outcome::Updated, "stopped".into())
    );
    assert!(web(&mut host).enabled);
    let off = || service("web.service", json!({"state": "stopped", "enabled": false}));
    assert_eq!(one(&mut host, off()), (Outcome::Updated, "disabled".into()));
    assert_eq!(one(&mut host, off()).0, Outcome::None);
    host.software().units.remove("web.service");
    assert_eq!(one(&mut host, off()), (Outcome::None, "there is no such unit".into()));
}

#[test]
fn restarts_and_reloads_need_a_trigger() {
    let mut host = machine();
    let restarted = || service("ssh", json!({"state": "restarted"}));
    assert_eq!(one(&mut host, restarted()).0, Outcome::None);
    assert_eq!(triggered(&mut host, restarted()), (Outcome::Updated, "restarted".into()));
    let reloaded = || service("ssh", json!({"state": "reloaded"}));
    assert_eq!(one(&mut host, reloaded()).0, Outcome::None);
    assert_eq!(triggered(&mut host, reloaded()), (Outcome::Updated, "reloaded".into()));
    let ssh = host.software().units.get_mut("ssh.service").unwrap();
    assert_eq!((ssh.starts, ssh.reloads), (1, 1));
    ssh.can_reload = false;
    let (outcome, why) = triggered(&mut host, reloaded());
    assert_eq!(outcome, Outcome::Failed);
    assert!(why.contains("ssh.service cannot reload") && why.contains("restarted"), "{why}");
    host.software().units.get_mut("ssh.service").unwrap().active = "inactive".into();
    assert_eq!(triggered(&mut host, reloaded()), (Outcome::Updated, "started".into()));
    host.software().units.get_mut("ssh.service").unwrap().active = "inactive".into();
    assert_eq!(one(&mut host, restarted()), (Outcome::Updated, "started".into()));
}

#[test]
fn a_service_that_does_not_start_says_why() {
    let mut host = machine();
    let ssh = |host: &mut FakeHost, unit: FakeUnit| host.software().units.insert("ssh.service".into(), unit);
    ssh(&mut host, FakeUnit { fails: true, ..FakeUnit::default() });
    let (outcome, why) = one(&mut host, service("ssh", json!({})));
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(why, "ssh.service does not start (exit-code); its journal says: bad setting in line 3");
    ssh(&mut host, FakeUnit { dies: true, ..FakeUnit::default() });
    let (outcome, why) = one(&mut host, service("ssh", json!({})));
    assert_eq!(outcome, Outcome::Failed);
    assert!(why.contains("was started and failed at once") && why.contains("line 3"), "{why}");
    ssh(&mut host, FakeUnit { masked: true, ..FakeUnit::default() });
    let (outcome, why) = one(&mut host, service("ssh", json!({})));
    assert_eq!(outcome, Outcome::Failed);
    assert!(why.contains("masked") && why.contains("systemctl unmask"), "{why}");
    assert_eq!(
        one(&mut host, service("ssh", json!({"state": "stopped", "enabled": false}))).0,
        Outcome::None
    );
    let (outcome, why) = one(&mut host, service("sh", json!({})));
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(why, "there is no unit sh.service; the nearest is ssh.service");
}

#[test]
fn oneshots_static_units_and_changed_files() {
    let mut host = machine();
    host.software().units.insert("once.service".into(), FakeUnit { oneshot: true, ..FakeUnit::default() });
    host.software().units.insert("fixed.service".into(), FakeUnit { is_static: true, ..FakeUnit::running() });
    let once = || service("once", json!({}));
    assert_eq!(one(&mut host, once()), (Outcome::Updated, "started".into()));
    let (outcome, note) = one(&mut host, once());
    assert_eq!(outcome, Outcome::None);
    assert!(note.contains("oneshot"), "{note}");
    assert_eq!(triggered(&mut host, service("once", json!({"state": "restarted"}))).1, "restarted");
    let (outcome, note) = one(&mut host, service("fixed", json!({"enabled": true})));
    assert_eq!((outcome, note.contains("static")), (Outcome::None, true));
    host.software().units.get_mut("ssh.service").unwrap().outdated = true;
    assert_eq!(one(&mut host, service("ssh", json!({}))), (Outcome::Updated, "definition read again".into()));
    assert_eq!(one(&mut host, service("ssh", json!({}))).0, Outcome::None);
    // A part of it that systemd has not noticed.
    let part = file("/etc/systemd/system/ssh.service.d/limits.conf", "[Service]\nLimitNOFILE=9\n");
    assert_eq!(one(&mut host, part).0, Outcome::Created);
    let (_, said) = triggered(&mut host, service("ssh", json!({"state": "restarted"})));
    assert_eq!(said, "definition read again; restarted");
    assert_eq!(one(&mut host, service("ssh", json!({}))).0, Outcome::None);
}

#[test]
fn a_dry_run_foresees_what_comes_with_a_package() {
    let mut host = machine();
    let mut unit = service("nginx", json!({"enabled": true}));
    unit.depends_on = vec![0];
    let steps = [package("nginx", "present"), unit];
    let dry = dry_run(&mut host, &steps);
    assert_eq!(outcomes(&dry), [Outcome::Created, Outcome::Updated]);
    assert!(dry.steps[1].message.starts_with("cannot be foreseen before c/nginx is done: there is no unit"));
    // Debian starts and enables what it installs.
    assert_eq!(outcomes(&run(&mut host, &steps)), [Outcome::Created, Outcome::None]);
    assert_eq!(outcomes(&run(&mut host, &steps)), [Outcome::None, Outcome::None]);
}

fn declared() -> impl Strategy<Value = Step> {
    const PACKAGES: [&str; 5] = ["nginx", "libpcre", "apache2", "curl", "nothing"];
    let state = proptest::sample::select(&["present", "absent", "latest"][..]);
    let package =
        (proptest::sample::select(&PACKAGES[..]), state).prop_map(|(name, state)| package(name, state));
    let state = proptest::sample::select(&["running", "stopped", "restarted", "reloaded"][..]);
    let units = proptest::sample::select(&["ssh", "web", "once"][..]);
    let service = (units, state, any::<Option<bool>>()).prop_map(|(unit, state, enabled)| {
        let mut attributes = json!({"state": state});
        if let Some(enabled) = enabled {
            attributes["enabled"] = json!(enabled);
        }
        service(unit, attributes)
    });
    prop_oneof![package, service]
}

fn unit() -> impl Strategy<Value = FakeUnit> {
    let active = proptest::sample::select(&["active", "inactive", "failed"][..]);
    (active, any::<[bool; 4]>()).prop_map(|(active, [enabled, masked, is_static, outdated])| FakeUnit {
        active: active.into(),
        enabled,
        masked,
        is_static: is_static && !enabled,
        outdated,
        ..FakeUnit::running()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A second run changes nothing; a dry run before the first, with young lists, says what it did.
    #[test]
    fn a_second_run_changes_nothing(step in declared(), ssh in unit(), web in unit(), there in any::<[bool; 3]>()) {
        let mut host = machine();
        for (name, there) in ["nginx", "curl", "apache2"].into_iter().zip(there) {
            if there && name != "apache2" {
                one(&mut host, package(name, "present"));
            }
        }
        one(&mut host, package("nothing-like-it", "present"));
        host.software().units.insert("ssh.service".into(), ssh);
        host.software().units.insert("web.service".into(), web);
        host.software().units.insert("once.service".into(), FakeUnit { oneshot: true, ..FakeUnit::default() });
        let steps = [step];
        let dry = dry_run(&mut host, &steps);
        let first = run(&mut host, &steps);
        prop_assert_eq!(said(&dry), said(&first));
        let second = run(&mut host, &steps);
        if first.steps[0].outcome == Outcome::Failed {
            prop_assert_eq!(second.steps[0].outcome, Outcome::Failed);
        } else {
            prop_assert_eq!(second.steps[0].outcome, Outcome::None);
        }
    }
}
