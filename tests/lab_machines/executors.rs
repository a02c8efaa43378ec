//! Resource types on a booted machine, here accounts and cron jobs: applied, applied again, damaged, repaired, absent.
//!
//! `vigo apply` is used, which needs no fleet; what is on the machine is asked of the machine, never of the program.

use serde_json::Value;

use crate::lab::machines::{Machine, Machines, Repository, require_machines};
use crate::lab::{secs, wait};
use crate::story::{BUILT, checkouts, converges, fleet, in_company, publish};

/// What a resource goes through.
pub struct Life<'a> {
    /// One configcrate's resources: what is declared.
    pub declared: &'a str,
    /// Holds on the machine exactly when it is as declared.
    pub holds: &'a str,
    /// Undoes some of it.
    pub damages: &'a [&'a str],
    /// The resources that take it away.
    pub absent: &'a str,
    /// Holds when it is gone.
    pub gone: &'a str,
}

impl Life<'_> {
    #[track_caller]
    /// Goes through all of it.
    pub fn on(&self, machine: &Machine) {
        let holds = || machine.shell(self.holds).went_well();
        assert!(!holds(), "it is as declared before it was applied: {}", self.holds);
        changes(machine, self.declared);
        assert!(holds(), "applied, and not so: {}", self.holds);
        nothing(machine, self.declared);
        for damage in self.damages {
            machine.shell(damage).good();
            assert!(!holds(), "no damage: {damage}");
            changes(machine, self.declared);
            assert!(holds(), "not repaired after: {damage}");
            nothing(machine, self.declared);
        }
        changes(machine, self.absent);
        machine.shell(self.gone).good();
        assert!(!holds());
        nothing(machine, self.absent);
    }
}

/// Applies resources; gives the outcome of each.
#[track_caller]
fn apply(machine: &Machine, resources: &str) -> (Vec<String>, Value) {
    machine.write("/root/trial.vgo", &format!("name: trial\nresources:\n{resources}"));
    let said = machine.run(&[BUILT, "apply", "--file", "/root/trial.vgo", "--json"]).json();
    let steps = said["steps"].as_array().expect("steps");
    (steps.iter().map(|step| step["outcome"].as_str().unwrap_or_default().to_owned()).collect(), said)
}

/// Applies resources, of which at least one must change something and none may fail.
#[track_caller]
pub fn changes(machine: &Machine, resources: &str) {
    let (outcomes, said) = apply(machine, resources);
    assert!(outcomes.iter().any(|o| o != "none"), "nothing was changed: {said:#}");
    assert!(!outcomes.iter().any(|o| ["failed", "blocked", "skipped"].contains(&o.as_str())), "{said:#}");
}

/// Applies resources that must be as declared.
#[track_caller]
pub fn nothing(machine: &Machine, resources: &str) {
    let (outcomes, said) = apply(machine, resources);
    assert!(outcomes.iter().all(|o| o == "none"), "a second run changes something: {said:#}");
}

/// One machine, if there can be one.
pub fn machine(title: &str) -> Option<Machines> {
    (!require_machines().skips()).then(|| checkouts(title, &["web01"]))
}

#[test]
fn accounts() {
    let Some(machines) = machine("user") else { return };
    let _company = in_company();
    let web = &machines["web01"];
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPtZFUmBfRUUBFsDz2dzsgFdCMAVRZmPvBdnGTyRxUTw ada@desk";
    let declared = format!(
        "  - {{name: ada, type: user, username: ada, shell: /bin/bash, comment: Ada, groups: [adm, readers], \
         authorized_keys: [\"{key}\"], sudo_nopasswd: true}}\n"
    );
    web.shell("groupadd readers").good();
    let holds = format!(
        "set -e; test \"$(getent passwd ada | cut -d: -f5,7)\" = Ada:/bin/bash; id -nG ada | grep -qw adm; id -nG ada | grep -qw readers; \
         grep -qxF '{key}' /home/ada/.ssh/authorized_keys; test \"$(stat -c %U:%a /home/ada/.ssh/authorized_keys)\" = ada:600; \
         test \"$(su ada -c 'sudo -n id -u')\" = 0"
    );
    Life {
        declared: &declared,
        holds: &holds,
        damages: &[
            "usermod -s /bin/false ada",
            "gpasswd -d ada adm",
            "rm /home/ada/.ssh/authorized_keys",
            "echo 'ssh-ed25519 AAAAevil' >/home/ada/.ssh/authorized_keys",
            "chmod 666 /home/ada/.ssh/authorized_keys",
            "rm /etc/sudoers.d/*ada*",
            "userdel ada",
        ],
        absent: "  - {name: ada, type: user, username: ada, state: absent, remove_home: true}\n",
        gone: "! getent passwd ada && ! test -e /home/ada && ! ls /etc/sudoers.d | grep ada",
    }
    .on(web);
}

/// All four in one publish, by the applier of a member of a fleet, as its unit lets it.
#[test]
fn a_publish_brings_packages_services_accounts_and_jobs() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let machines = fleet("four-types", &["web01"]);
    let repository = Repository::new(machines.lab.folder());
    let program = [("/usr/bin/greeter", "#!/bin/sh\nexec sleep 1000\n")];
    repository.package("greeter", "1.0", &program, Some("/usr/bin/greeter"));
    for name in ["bolt1", "web01"] {
        repository.give_to(&machines[name]);
    }
    let tree = "  - {name: greeter, type: package, package: greeter}
  - {name: runs, type: service, service: greeter, state: running, enabled: true, depends_on: [greeter]}
  - {name: ada, type: user, username: ada, shell: /bin/bash}
  - {name: tick, type: cron, job: tick, schedule: \"0 4 * * *\", command: /bin/true, user: ada, depends_on: [ada]}
";
    let epoch = publish(&machines, tree);
    let holds = "systemctl is-active greeter && systemctl is-enabled greeter && id ada && grep -q ' ada /bin/true' /etc/cron.d/vigo-tick";
    for name in ["bolt1", "web01"] {
        converges(&machines, name, epoch);
        machines[name].shell(holds).good();
    }
    let web = &machines["web01"];
    web.shell("apt-get purge -qy greeter && userdel -r ada && rm /etc/cron.d/vigo-tick").good();
    assert!(!web.shell(holds).went_well());
    web.run(&["vigo", "converge"]).good();
    web.shell(holds).good();
    let again = web.run(&["vigo", "converge", "--json"]).json();
    let counts = &again["counts"];
    assert!(counts["none"] == 4 || again["tally"]["none"] == 4, "a second run changes something: {again:#}");
}

#[test]
fn cron_jobs() {
    let Some(machines) = machine("cron") else { return };
    let _company = in_company();
    let web = &machines["web01"];
    // All that cron would read otherwise: percent signs, and backslashes before them.
    let declared = r#"  - {name: tick, type: cron, job: tick, schedule: "* * * * *", user: root,
     command: 'printf "%s|" $(date +%s) ''a\\b'' ''c\%d'' >>/srv/ticks'}
"#;
    Life {
        declared,
        holds: "grep -q '^\\* \\* \\* \\* \\* root printf' /etc/cron.d/vigo-tick && test $(stat -c %U:%a /etc/cron.d/vigo-tick) = root:644",
        damages: &["rm /etc/cron.d/vigo-tick", "sed -i 's/^\\*/5/' /etc/cron.d/vigo-tick", "chmod 666 /etc/cron.d/vigo-tick"],
        absent: "  - {name: tick, type: cron, job: tick, state: absent}\n",
        gone: "! test -e /etc/cron.d/vigo-tick",
    }
    .on(web);

    // cron itself understands what was written, the percent sign too.
    changes(web, declared);
    wait::until("cron has run the job", secs(100), || {
        let said = web.shell(r"grep -E '^[0-9]{10}\|' /srv/ticks && grep -F '|a\\b|c\%d|' /srv/ticks");
        if said.went_well() {
            Ok(())
        } else {
            Err(web.shell("ls -l /srv; cat /srv/ticks; tail -n 3 /var/log/syslog").out)
        }
    });
}
