//! What `package` and `service` do and say on a booted machine, beside the lives in `software`: holds, locks, triggers,
//! units that do not start, and traits that are as the machine says.
//!
//! The configcrate is applied by `vigo apply`, as somebody who writes one does it; packages come from a repository that
//! the test makes.

use serde_json::Value;

use crate::lab::machines::{Machine, Machines, Repository, require_machines};
use crate::lab::{secs, wait};
use crate::story::{BUILT, checkouts, in_company};

/// A machine with the program and a repository of its own.
fn machine(title: &str) -> (Machines, Repository) {
    let machines = checkouts(title, &["web01"]);
    let repository = Repository::new(machines.lab.folder());
    repository.package("libgreet", "1.0", &[("/usr/share/greet/text", "hello\n")], None);
    let config = [("/etc/greet.conf", "greeting\n")];
    repository.package_with("greet", "1.0", &config, Some("/bin/sleep 100000"), "Depends: libgreet\n");
    repository.give_to(&machines["web01"]);
    (machines, repository)
}

/// Applies resources (YAML, in a list); outcome and message of each.
#[track_caller]
fn apply(web: &Machine, resources: &str, more: &[&str]) -> Vec<(String, String)> {
    web.write("/root/crate.vgo", &format!("name: crate\nresources:\n{resources}"));
    let said = web.run(&[&[BUILT, "apply", "--file", "/root/crate.vgo", "--json"], more].concat());
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    let steps = report["steps"].as_array().unwrap_or_else(|| panic!("{report}"));
    let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    for step in steps {
        println!("lab | executors | {} {} | {} ms", text(step, "id"), text(step, "outcome"), step["millis"]);
    }
    steps.iter().map(|step| (text(step, "outcome"), text(step, "message"))).collect()
}

#[track_caller]
fn one(web: &Machine, resource: &str) -> (String, String) {
    apply(web, resource, &[]).remove(0)
}

fn package(name: &str, state: &str) -> String {
    format!("  - {{name: it, type: package, package: {name}, state: {state}}}\n")
}

fn service(attributes: &str) -> String {
    format!("  - {{name: it, type: service, service: greet, {attributes}}}\n")
}

#[test]
fn a_package_is_installed_kept_repaired_upgraded_and_removed() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let (machines, repository) = machine("exec-package");
    let web = &machines["web01"];
    let has = |name: &str| {
        web.shell(&format!("dpkg-query -W -f '${{db:Status-Status}}' {name}")).out == "installed"
    };

    let dry = apply(web, &package("greet", "present"), &["--dry-run"]);
    assert_eq!(dry[0], ("created".into(), "installed 1.0, with libgreet".into()));
    assert!(!has("greet"), "a dry run installed it");
    assert_eq!(one(web, &package("greet", "present")), dry[0]);
    assert!(has("greet") && has("libgreet"));
    assert_eq!(one(web, &package("greet", "present")), ("none".into(), "1.0".into()));

    web.run(&["apt-get", "remove", "-qy", "greet"]).good();
    assert_eq!(one(web, &package("greet", "present")).0, "created", "damage is repaired");
    assert!(has("greet"));

    // A newer one, found once the lists are old; a changed configuration file stays.
    web.write("/etc/greet.conf", "changed by hand\n");
    repository.package_with(
        "greet",
        "1.1",
        &[("/etc/greet.conf", "new\n")],
        Some("/bin/sleep 100000"),
        "Depends: libgreet\n",
    );
    let young =
        || web.shell("find /var/lib/apt/periodic/update-success-stamp -mmin -60 | grep -q .").went_well();
    assert!(young(), "others do not see how old the lists are");
    web.shell("touch -d '2 hours ago' /var/lib/apt/periodic/update-success-stamp").good();
    web.shell("touch -d '3 hours ago' /etc/apt /etc/apt/*").good();
    web.copy_in(&machines.lab.folder().join("repository"), "/srv/repository");
    web.shell("apt-mark hold greet").good();
    let (outcome, why) = one(web, &package("greet", "latest"));
    assert_eq!(outcome, "failed");
    assert!(why.contains("held at 1.0") && why.contains("1.1 is there"), "{why}");
    web.shell("apt-mark unhold greet").good();
    assert_eq!(one(web, &package("greet", "latest")), ("updated".into(), "1.0 -> 1.1".into()));
    assert!(young(), "the lists were not fetched again");
    assert_eq!(web.read("/etc/greet.conf"), "changed by hand\n");
    assert_eq!(one(web, &package("greet", "latest")), ("none".into(), "1.1".into()));

    assert_eq!(one(web, &package("libgreet", "absent")), ("deleted".into(), "removed, removes greet".into()));
    assert!(!has("greet") && !has("libgreet") && web.has("/etc/greet.conf"));
    assert_eq!(one(web, &package("libgreet", "absent")).0, "none");
    let purge = "  - {name: it, type: package, package: greet, state: absent, purge: true}\n";
    assert_eq!(one(web, purge), ("deleted".into(), "purged".into()));
    assert!(!web.has("/etc/greet.conf"));
    assert_eq!(one(web, purge).0, "none");
}

#[test]
fn what_goes_wrong_with_packages_is_said() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let (machines, repository) = machine("exec-trouble");
    let web = &machines["web01"];
    let failed = |resource: &str| {
        let (outcome, why) = one(web, resource);
        assert_eq!(outcome, "failed", "{why}");
        println!("lab | executors | says | {why}");
        why
    };
    let why = failed(&package("gret", "present"));
    assert!(why.contains("no package `gret`") && why.contains("the nearest is `greet`"), "{why}");

    repository.package_with("needy", "1.0", &[("/usr/share/needy", "x")], None, "Depends: nowhere\n");
    repository.package_with("mta-a", "1.0", &[("/usr/share/mta", "x")], None, "Provides: mta\n");
    repository.give_to(web);
    assert!(failed(&package("needy", "present")).contains("unmet dependencies"), "needy");
    assert!(failed(&package("mta", "present")).contains("name one that provides it: mta-a"));
    assert!(failed(&package("hostname", "absent")).contains("Essential"));

    // A package that another program is at work on, and that it finishes.
    let held = "perl -e 'use Fcntl; open(F, \">\", \"/var/lib/dpkg/lock-frontend\"); \
        my $l = pack(\"s s x4 q q l\", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $l) or die; sleep SECS'";
    let holder = web.spawn("holder", &["sh", "-c", &held.replace("SECS", "6")]);
    let is_held = || {
        let said = web.shell("apt-get -o DPkg::Lock::Timeout=0 -y autoremove");
        if said.went_well() { Err("apt gets the lock".to_owned()) } else { Ok(()) }
    };
    wait::until("the lock is held", secs(20), is_held);
    assert_eq!(one(web, &package("libgreet", "present")).0, "created");
    drop(holder);
    let _holder = web.spawn("holder", &["sh", "-c", &held.replace("SECS", "60")]);
    wait::until("the lock is held again", secs(20), is_held);
    let short = "  - {name: it, type: package, package: greet, timeout: 20}\n";
    let why = failed(short);
    assert!(why.contains("were waited for it") && why.contains("perl"), "{why}");
}

const ON: &str = "state: running, enabled: true";

#[test]
fn a_service_is_started_kept_repaired_and_stopped() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let (machines, _) = machine("exec-service");
    let web = &machines["web01"];
    comes_with_its_package(web);
    is_repaired(web);
    is_restarted_when_triggered(web);
    says_why_it_does_not_start(web);
    is_stopped_and_gone(web);
    // What the distribution brings: aliases, static and oneshot units.
    for unit in ["dbus", "cron", "systemd-journald", "systemd-tmpfiles-setup"] {
        let resource = format!("  - {{name: it, type: service, service: {unit}, enabled: true}}\n");
        assert_eq!(one(web, &resource).0, "none", "{unit}");
    }
}

fn is(web: &Machine, property: &str) -> String {
    web.unit("greet.service", property)
}

fn comes_with_its_package(web: &Machine) {
    let unit = "  - {name: unit, type: service, service: greet, enabled: true, depends_on: [it]}\n";
    let both = format!("{}{unit}", package("greet", "present"));
    let dry = apply(web, &both, &["--dry-run"]);
    assert_eq!(dry[1].0, "updated", "{dry:?}");
    assert!(dry[1].1.starts_with("cannot be foreseen before crate/it is done"), "{dry:?}");
    let (outcome, why) = one(web, &service(ON));
    assert_eq!(outcome, "failed", "{why}");
    assert!(why.starts_with("there is no unit greet.service"), "{why}");
    assert_eq!(apply(web, &both, &[])[0].0, "created");
    assert_eq!((is(web, "ActiveState").as_str(), is(web, "UnitFileState").as_str()), ("active", "enabled"));
    assert_eq!(one(web, &service(ON)), ("none".into(), String::new()));
}

fn is_repaired(web: &Machine) {
    web.run(&["systemctl", "stop", "greet"]).good();
    assert_eq!(one(web, &service(ON)), ("updated".into(), "started".into()));
    web.run(&["systemctl", "disable", "greet"]).good();
    assert_eq!(one(web, &service(ON)), ("updated".into(), "enabled".into()));
    web.shell("kill -9 $(systemctl show -P MainPID greet)").good();
    wait::holds("it is down", secs(20), || is(web, "ActiveState") == "failed");
    assert_eq!(one(web, &service(ON)), ("updated".into(), "started".into()));
    assert_eq!(one(web, &service(ON)).0, "none");
}

/// Restarted, reloaded, when triggered and only then; its definition is read again when it has changed.
fn is_restarted_when_triggered(web: &Machine) {
    let on_change = |text: &str, state: &str| {
        let file = format!(
            "name: settings, type: file, target_path: /etc/greet.conf, content: {text}, notify: [it]"
        );
        format!("  - {{{file}}}\n{}", service(&format!("state: {state}, when: changed")))
    };
    let before = is(web, "MainPID");
    let said = apply(web, &on_change("one", "restarted"), &[]);
    assert_eq!((said[1].0.as_str(), said[1].1.as_str()), ("updated", "restarted"), "{said:?}");
    let after = is(web, "MainPID");
    assert_ne!(before, after);
    assert_eq!(apply(web, &on_change("one", "restarted"), &[])[1].0, "skipped");
    assert_eq!(one(web, &service("state: restarted")).0, "none");
    assert_eq!(is(web, "MainPID"), after);
    let said = apply(web, &on_change("two", "reloaded"), &[]);
    assert!(said[1].1.contains("greet.service cannot reload"), "{said:?}");
    web.write("/etc/systemd/system/greet.service.d/more.conf", "[Service]\nExecReload=/bin/true\n");
    assert_eq!(one(web, &service(ON)), ("updated".into(), "definition read again".into()));
    assert_eq!(one(web, &service(ON)).0, "none");
    assert_eq!(apply(web, &on_change("three", "reloaded"), &[])[1].1, "reloaded");
}

fn says_why_it_does_not_start(web: &Machine) {
    let drop_in = |line: &str| {
        let text = format!("[Service]\nExecStart=\nExecStart={line}\n");
        web.write("/etc/systemd/system/greet.service.d/more.conf", &text);
        web.shell("systemctl stop greet; systemctl daemon-reload").good();
    };
    drop_in("/bin/sh -c 'echo no such setting: colour; exit 3'");
    let (outcome, why) = one(web, &service(ON));
    println!("lab | executors | says | {why}");
    assert_eq!(outcome, "failed");
    assert!(why.contains("was started and failed at once (exit-code)"), "{why}");
    assert!(why.contains("no such setting: colour"), "{why}");
    web.write("/etc/systemd/system/greet.service.d/type.conf", "[Service]\nType=notify\n");
    drop_in("/bin/sh -c 'echo still no such setting; exit 3'");
    let (_, why) = one(web, &service(ON));
    println!("lab | executors | says | {why}");
    assert!(why.contains("does not start") && why.ends_with("journal says: still no such setting"), "{why}");
    web.shell("rm -r /etc/systemd/system/greet.service.d; systemctl daemon-reload").good();
    assert_eq!(one(web, &service(ON)), ("updated".into(), "started".into()));
    web.shell("systemctl stop greet; systemctl mask greet").good();
    assert!(one(web, &service(ON)).1.contains("greet.service is masked"));
    web.shell("systemctl unmask greet").good();
    assert_eq!(one(web, &service(ON)).0, "updated");
}

fn is_stopped_and_gone(web: &Machine) {
    let off = service("state: stopped, enabled: false");
    assert_eq!(one(web, &off), ("updated".into(), "stopped; disabled".into()));
    assert_eq!(
        (is(web, "ActiveState").as_str(), is(web, "UnitFileState").as_str()),
        ("inactive", "disabled")
    );
    assert_eq!(one(web, &off).0, "none");
    web.run(&["apt-get", "purge", "-qy", "greet"]).good();
    assert_eq!(one(web, &off), ("none".into(), "there is no such unit".into()));
}

#[test]
fn traits_say_what_the_machine_says() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let (machines, _) = machine("exec-traits");
    let web = &machines["web01"];
    apply(web, &package("greet", "present"), &[]);
    let template = "{{ range .Traits.services }}{{ if .active }}{{ .unit }}\n{{ end }}{{ end }}--\n\
        {{ range .Traits.services }}{{ if .enabled }}{{ .unit }}\n{{ end }}{{ end }}--\n\
        {{ range .Traits.packages }}{{ .name }} {{ .version }} {{ .arch }}\n{{ end }}--\n\
        {{ range .Traits.users }}{{ .name }}:{{ .uid }}:{{ .home }}\n{{ end }}--\n\
        {{ range .Traits.mounts }}{{ .path }} {{ .type }}\n{{ end }}--\n\
        {{ range .Traits.ports }}{{ .proto }} {{ .address }} {{ .port }}\n{{ end }}";
    let indented: String = template.lines().map(|line| format!("      {line}\n")).collect();
    let resource =
        format!("  - name: it\n    type: file\n    target_path: /root/traits\n    content: |\n{indented}");
    assert_eq!(one(web, &resource).0, "created");
    let text = web.read("/root/traits");
    let parts: Vec<Vec<&str>> = text.split("--\n").map(|part| part.lines().collect()).collect();
    let [active, enabled, packages, users, mounts, _] = parts.as_slice() else { panic!("{text}") };

    let lines = |line: &str| web.shell(line).good().lines().map(|l| l.trim().to_owned()).collect::<Vec<_>>();
    let said = lines(
        "systemctl list-units --type=service --state=active --plain --no-legend | awk '{print $1}' | sort",
    );
    let same: Vec<&String> = said.iter().filter(|unit| !active.contains(&unit.as_str())).collect();
    assert!(same.is_empty(), "systemd says that these are active too: {same:?} ({active:?})");
    let more: Vec<&&str> = active.iter().filter(|unit| !said.contains(&(**unit).to_owned())).collect();
    assert!(more.len() <= 1, "systemd does not say that these are active: {more:?}");
    let said = lines(
        "systemctl list-unit-files --type=service --state=enabled --no-legend | awk '{print $1}' | grep -v @ | sort",
    );
    let missing: Vec<&String> = said.iter().filter(|unit| !enabled.contains(&unit.as_str())).collect();
    assert!(missing.is_empty(), "systemd says that these are enabled too: {missing:?} ({enabled:?})");
    assert_eq!(
        *packages,
        lines("dpkg-query -W -f '${Package} ${Version} ${Architecture}\\n' | LC_ALL=C sort")
    );
    let mut said = lines("getent passwd | awk -F: '{print $1\":\"$3\":\"$6}'");
    said.sort();
    assert_eq!(*users, said);
    assert!(mounts.iter().any(|m| m.starts_with("/ ")), "{mounts:?}");
}
