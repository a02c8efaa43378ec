//! Who may do what on a machine: the two processes, and people who are nobody to the fleet.

use crate::lab::machines::{Machine, require_machines};
use crate::story::{converges, file, fleet, in_company, publish};

/// R20.
const EXPOSURE: f64 = 2.0;

#[test]
fn the_two_processes_hold_what_they_need_and_no_more() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let machines = fleet("rights", &["web01"]);
    let epoch = publish(&machines, &file("release", "/etc/release", "one"));
    converges(&machines, "web01", epoch);
    for name in ["bolt1", "web01"] {
        let machine = &machines[name];
        let (peer, applier) = (pid(machine, "vigo-peer"), pid(machine, "vigo-applier"));
        let uid = machine.shell("id -u vigo").good().trim().to_owned();
        assert_eq!(status(machine, &peer, "Uid"), [uid.as_str(); 4].join(" "), "the peer is not vigo");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status(machine, &peer, set), "0000000000000000", "{set} of the peer");
        }
        assert_eq!(status(machine, &peer, "NoNewPrivs"), "1");
        assert_eq!(status(machine, &peer, "Seccomp"), "2");
        assert_eq!(status(machine, &applier, "Uid"), "0 0 0 0");

        let sockets = machine.shell("ss -H -a -n -p -t -u -w").good().to_owned();
        assert!(sockets.contains(&format!("pid={peer},")), "the peer has no socket at all: {sockets}");
        assert!(!sockets.contains(&format!("pid={applier},")), "the applier has a network socket: {sockets}");

        let said = machine.shell("systemd-analyze security --no-pager vigo-peer.service").out;
        let exposure = exposure(&said).unwrap_or_else(|| panic!("no exposure in {said}"));
        println!("lab | R20 | exposure of vigo-peer on {name} | {exposure}");
        assert!(exposure <= EXPOSURE, "{said}");
    }
}

#[test]
fn another_local_user_reaches_nothing() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let machines = fleet("guest", &[]);
    let bolt = &machines["bolt1"];
    bolt.shell("vigo status && vigocli envoys list").good();
    // With a key of their own, so that it is not for want of one.
    bolt.shell_as("guest", false, "vigocli key new --plain-key").good();
    for line in [
        "vigo status",
        "vigo converge",
        "vigocli envoys list",
        "vigocli spanner members",
        "vigocli settings list",
        "vigocli config log",
        "vigocli spanner invite --name evil",
        "socat -u /dev/null UNIX-CONNECT:/run/vigo/vigo.sock",
        "socat -u /dev/null UNIX-CONNECT:/run/vigo-applier/applier.sock",
        "ls /var/lib/vigo",
        "ls /var/lib/vigo-applier",
        "cat /root/.vigo/operator.key",
    ] {
        let said = bolt.shell_as("guest", false, line);
        assert!(said.code != 0, "a guest could: {line}\n{}", said.out);
        assert!(
            !said.out.contains("bolt1") && !said.err.contains("panicked"),
            "{line}\n{}\n{}",
            said.out,
            said.err
        );
        let refused = ["ermission denied", "may not", "not allowed", "denied"];
        assert!(refused.iter().any(|word| said.err.contains(word)), "{line} did not say why:\n{}", said.err);
    }
    // The peer's own user is heard by the applier and nobody else is: not even a member of the group vigo.
    bolt.shell("usermod -aG vigo guest").good();
    let said = bolt.shell_as(
        "guest",
        false,
        "echo hello | socat -t 2 - UNIX-CONNECT:/run/vigo-applier/applier.sock",
    );
    assert_eq!(said.out, "", "the applier talks to a member of the group");
    assert_eq!(bolt.unit("vigo-applier.service", "ActiveState"), "active");

    // A member of the group that administers may look, and is no operator.
    bolt.shell("usermod -aG vigo-admin admin").good();
    bolt.shell_as("admin", false, "vigo status").good();
}

fn pid(machine: &Machine, unit: &str) -> String {
    let pid = machine.unit(unit, "MainPID");
    assert_ne!(pid, "0", "{unit} does not run");
    pid
}

/// A line of `/proc/PID/status`, its words with one space between.
fn status(machine: &Machine, pid: &str, key: &str) -> String {
    let all = machine.read(&format!("/proc/{pid}/status"));
    let line = all.lines().find_map(|line| line.strip_prefix(&format!("{key}:")));
    line.unwrap_or_else(|| panic!("no {key} in {all}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn exposure(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("Overall exposure level"))?;
    line.split_whitespace().find_map(|word| word.parse().ok())
}
