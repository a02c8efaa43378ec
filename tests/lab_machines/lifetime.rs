//! What happens to an installed machine: it is rebooted, upgraded in place, loses its power amid a run, and is
//! uninstalled.

use std::collections::BTreeSet;

use crate::lab::machines::{Machine, require_machines};
use crate::lab::{secs, wait};
use crate::story::{BUILT, PATIENCE, converges, file, fleet, in_company, join, publish};

const UNITS: [&str; 2] = ["vigo-applier.service", "vigo-peer.service"];

#[test]
fn everything_comes_back_by_itself_after_a_reboot() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let mut machines = fleet("reboot", &["web01"]);
    let first = publish(&machines, &file("release", "/etc/release", "one"));
    converges(&machines, "web01", first);
    for name in ["bolt1", "web01"] {
        machines[name].power_off();
    }
    for name in ["web01", "bolt1"] {
        machines[name].power_on();
    }
    machines["web01"].shell("rm /etc/release").good();
    for name in ["bolt1", "web01"] {
        for unit in UNITS {
            let active = || machines[name].unit(unit, "ActiveState") == "active";
            wait::holds(&format!("{unit} of {name} is active"), PATIENCE, active);
            assert_eq!(machines[name].unit(unit, "NRestarts"), "0", "{unit} of {name} was restarted");
        }
    }
    let second = publish(&machines, &file("release", "/etc/release", "two"));
    for name in ["bolt1", "web01"] {
        converges(&machines, name, second);
        assert_eq!(machines[name].read("/etc/release"), "two\n");
    }
}

#[test]
fn a_new_program_is_put_in_place_under_a_running_fleet() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let machines = fleet("upgrade", &["web01", "web02"]);
    let first = publish(&machines, &file("release", "/etc/release", "one"));
    let state =
        |machine: &Machine| machine.shell("cd /var/lib/vigo && cat node.key 2>/dev/null | sha256sum").out;
    let before = state(&machines["web01"]);
    for name in ["web01", "bolt1"] {
        converges(&machines, name, first);
        let machine = &machines[name];
        let pids = UNITS.map(|unit| machine.unit(unit, "MainPID"));
        // Another program that does the same: what follows an executable's last section is not looked at.
        machine.shell(&format!("cp {BUILT} newer && echo of another day >>newer && ./newer install")).good();
        for (unit, pid) in UNITS.iter().zip(&pids) {
            let now = machine.unit(unit, "MainPID");
            assert_ne!(&now, pid, "{unit} of {name} still runs the old program");
            machine.shell(&format!("cmp /proc/{now}/exe newer")).good();
            assert_eq!(machine.unit(unit, "ActiveState"), "active");
        }
        machine.shell("cmp /usr/local/bin/vigo newer && ./newer install | grep 'Nothing to do'").good();
    }
    let second = publish(&machines, &file("release", "/etc/release", "two"));
    for name in ["bolt1", "web01", "web02"] {
        converges(&machines, name, second);
        assert_eq!(machines[name].read("/etc/release"), "two\n");
    }
    assert_eq!(state(&machines["web01"]), before, "an upgrade gave the machine another key");
}

#[test]
fn a_plug_pulled_amid_a_run_is_made_up_for() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let mut machines = fleet("plug", &["web01"]);
    let many: String = (0..40).map(|n| file(&format!("f{n}"), &format!("/srv/many/f{n}"), "whole")).collect();
    let slow = "  - {name: slow, type: exec, command: \"/bin/sh -c 'touch /srv/begun; sleep 20; touch /srv/done'\", creates: /srv/done, depends_on: [first]}\n";
    let tree = format!(
        "{}{slow}  - {{name: many, type: directory, target_path: /srv/many, mode: \"0755\", depends_on: [slow]}}\n{many}",
        file("first", "/srv/first", "whole")
    );
    let epoch = publish(&machines, &tree);
    wait::holds("the run is at its slow step", PATIENCE, || machines["web01"].has("/srv/begun"));
    machines["web01"].pull_the_plug();
    machines["web01"].power_on();
    converges(&machines, "web01", epoch);
    let web = &machines["web01"];
    assert!(web.has("/srv/done"));
    assert_eq!(web.shell("cat /srv/first /srv/many/f* | sort | uniq -c | tr -s ' '").good(), " 41 whole\n");
    let left = web.shell("find /srv /etc -xdev -name '.*vigo*' -o -xdev -name '*.vigo-*'").out;
    assert_eq!(left, "", "temporary files are left");
}

#[test]
fn uninstall_leaves_nothing_but_the_state() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let machines = fleet("uninstall", &["web01"]);
    let first = publish(&machines, &file("release", "/srv/release", "one"));
    converges(&machines, "web01", first);

    let fresh = crate::story::checkouts("fresh", &["web02"]);
    let before = listing(&fresh["web02"]);
    let web = &machines["web01"];
    let said = web.shell("vigo uninstall").good().to_owned();
    for place in ["/var/lib/vigo", "/var/lib/vigo-applier"] {
        assert!(said.contains(place), "it does not say where {place} is:\n{said}");
    }
    let more: Vec<String> =
        listing(web).difference(&before).filter(|path| !is_state(path)).cloned().collect();
    assert_eq!(more, Vec::<String>::new(), "left behind");
    let less: Vec<String> = before.difference(&listing(web)).cloned().collect();
    assert_eq!(less, Vec::<String>::new(), "taken away");
    let processes = web.shell("pgrep -a vigo").out;
    assert_eq!(processes, "", "it runs on");
    assert_eq!(web.unit("vigo-peer.service", "LoadState"), "not-found");

    // The state is good for another installation.
    web.run(&[BUILT, "install"]).good();
    let second = publish(&machines, &file("release", "/srv/release", "two"));
    converges(&machines, "web01", second);

    let said = web.shell("vigo uninstall --purge --yes").good().to_owned();
    for place in ["/var/lib/vigo", "/var/lib/vigo-applier", "/run/vigo", "/run/vigo-applier"] {
        assert!(!web.has(place), "{place} is left: {said}");
    }
    assert!(!web.shell("getent passwd vigo; getent group vigo vigo-admin").out.contains("vigo"));
    join_again(&machines);
}

#[test]
fn what_was_never_used_leaves_no_trace() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let machines = crate::story::checkouts("trace", &["web01"]);
    let web = &machines["web01"];
    let before = listing(web);
    web.run(&[BUILT, "install"]).good();
    assert!(listing(web).contains("/usr/local/bin/vigo"));
    assert!(web.run(&[BUILT, "install"]).good().contains("Nothing to do"));
    web.shell("vigo uninstall").good();
    let accounts = |path: &String| {
        ["/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"].contains(&path.as_str())
    };
    let left: Vec<String> =
        listing(web).symmetric_difference(&before).filter(|p| !accounts(p)).cloned().collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(!web.shell("getent passwd vigo; getent group vigo vigo-admin").out.contains("vigo"));
}

/// A machine that was purged comes back as a new one.
fn join_again(machines: &crate::lab::machines::Machines) {
    machines["bolt1"].shell("vigocli spanner revoke web01 --reason purged --yes").good();
    machines["web01"].run(&[BUILT, "install"]).good();
    join(machines, "web01");
    let third = publish(machines, &file("release", "/srv/release", "three"));
    wait::until("the new web01 has converged", secs(90), || {
        let text = machines["web01"].shell("cat /srv/release").out;
        if text == "three\n" { Ok(()) } else { Err(format!("{text:?} at epoch {third}")) }
    });
}

/// Every path of a machine's disk, but what any machine writes by itself.
fn listing(machine: &Machine) -> BTreeSet<String> {
    let found = machine.shell("find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp \
        -o -path /var/log -o -path /home/admin -o -path /root -o -path /run \\) -prune -o -print; find /run -xdev -name '*vigo*'");
    found.good().lines().filter(|path| !is_its_own(path)).map(str::to_owned).collect()
}

/// Written by Debian's own programs whenever they run.
fn is_its_own(path: &str) -> bool {
    let random = ["/var/lib/systemd/", "/var/cache/", "/var/lib/private", "/etc/.pwd.lock"];
    random.iter().any(|place| path.starts_with(place))
}

/// What is said to stay, what a configcrate made, and the accounts that own the state.
fn is_state(path: &str) -> bool {
    let places = ["/var/lib/vigo", "/var/lib/vigo-applier", "/etc/vigo", "/srv/vigo", "/srv/release"];
    let accounts = ["/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"];
    places.iter().any(|place| path == *place || path.starts_with(&format!("{place}/")))
        || accounts.contains(&path)
}
