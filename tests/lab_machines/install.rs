//! Installing on a booted machine: by `vigo install` and as a package; twice the same; the peer's fences; taken away
//! again. What a whole life of a machine is like stands in `lifetime`.

use std::path::Path;

use crate::lab::machines::{Machine, Machines, require_machines};

#[path = "../program/package.rs"]
mod package;

/// Where the program is before it is installed.
const BUILT: &str = "/home/admin/vigo";
/// What is left of a package that was purged, or of an installation that was never used.
const TRACES: &str = "find /etc /usr /opt /var /run /srv -xdev -name '*vigo*' -not -path '/var/log/*' -not -path '/var/cache/*'; getent passwd vigo; getent group vigo vigo-admin; true";

fn one(title: &str) -> Machines {
    let mut machines = Machines::new(title);
    machines.show(Path::new(env!("CARGO_BIN_EXE_vigo")), BUILT);
    machines.add(&["bolt1"]);
    machines
}

/// Mode, owner and group of a path.
fn about(machine: &Machine, path: &str) -> String {
    machine.shell(&format!("stat -c '%a %U:%G' {path}")).good().trim().to_owned()
}

#[test]
fn installing_twice_is_installing_once() {
    if require_machines().skips() {
        return;
    }
    let machines = one("install");
    let bolt = &machines["bolt1"];
    let refused = bolt.shell_as("guest", false, &format!("{BUILT} install"));
    assert!(refused.code == 3 && refused.err.contains("only root can install"), "{}", refused.err);
    bolt.shell_as("admin", false, "sudo ./vigo install --dry-run").good();
    assert_eq!(bolt.shell(TRACES).good(), "");

    let said = bolt.shell_as("admin", false, "sudo ./vigo install").good().to_owned();
    assert!(said.contains("sudo vigo init --name bolt1"), "{said}");
    for (path, expected) in [
        ("/usr/local/bin/vigo", "755 root:root"),
        ("/etc/systemd/system/vigo-peer.service", "644 root:root"),
        ("/etc/vigo", "755 root:root"),
        ("/srv/vigo/stacks", "755 root:root"),
        ("/var/lib/vigo", "700 vigo:vigo"),
        ("/run/vigo", "2755 vigo:vigo-admin"),
    ] {
        assert_eq!(about(bolt, path), expected, "{path}");
    }
    let groups = bolt.shell("id -nG admin; id -nG vigo").good().to_owned();
    let groups: Vec<&str> = groups.lines().collect();
    assert!(groups[0].contains("vigo-admin") && groups[1] == "vigo", "{groups:?}");
    for unit in ["vigo-peer", "vigo-applier"] {
        assert_eq!(bolt.unit(unit, "ActiveState"), "inactive", "{unit} has nothing to run yet");
        assert_eq!(bolt.unit(unit, "UnitFileState"), "disabled", "{unit}");
    }
    let again = bolt.shell_as("admin", false, "sudo vigo install").good().to_owned();
    assert!(again.starts_with("Nothing to do: vigo "), "{again}");

    // Never used, it goes without a trace; from a place of its own as well.
    bolt.shell_as("admin", false, "sudo vigo uninstall").good();
    assert_eq!(bolt.shell(TRACES).good(), "");
    bolt.shell_as("admin", false, "sudo ./vigo install --prefix /opt/vigo").good();
    assert!(
        bolt.read("/etc/systemd/system/vigo-peer.service").contains("\nExecStart=/opt/vigo/bin/vigo peer\n")
    );
    bolt.shell_as("admin", false, "sudo ./vigo uninstall").good();
    assert_eq!(bolt.shell(TRACES).good(), "");
}

#[test]
fn init_starts_two_processes_with_their_own_rights() {
    if require_machines().skips() {
        return;
    }
    let machines = one("units");
    let bolt = &machines["bolt1"];
    bolt.shell_as("admin", false, "sudo ./vigo install").good();
    let said = bolt.shell_as("admin", false, "sudo vigo init --name bolt1");
    assert!(said.err.contains("NOT PROTECTED"), "there was no terminal:\n{}", said.err);
    assert!(
        said.good().ends_with("sudo vigocli spanner invite --name web01   a token for the first envoy\n")
    );
    assert_eq!(about(bolt, "/home/admin/.vigo/operator.key"), "600 admin:admin");
    assert_eq!(about(bolt, "/run/vigo/vigo.sock"), "660 vigo:vigo-admin");
    assert_eq!(bolt.shell("find /var/lib/vigo -not -user vigo").good(), "", "all of the state is the peer's");

    let status = |unit: &str| {
        let id = bolt.unit(unit, "MainPID");
        bolt.shell(&format!("grep -E '^(Uid|Groups|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/{id}/status"))
            .good()
            .to_owned()
    };
    let (peer, applier) = (status("vigo-peer"), status("vigo-applier"));
    let line = |text: &str, name: &str| -> String {
        let line = text.lines().find_map(|l| l.strip_prefix(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let uid = bolt.shell("id -u vigo").good().trim().to_owned();
    assert_eq!(line(&peer, "Uid"), [uid.as_str(); 4].join(" "));
    assert_eq!((line(&peer, "CapEff"), line(&peer, "CapBnd")), ("0".repeat(16), "0".repeat(16)));
    assert_eq!((line(&peer, "NoNewPrivs"), line(&peer, "Seccomp")), ("1".into(), "2".into()));
    assert_eq!(line(&applier, "Uid"), "0 0 0 0");
    // The applier has no socket of the network.
    let id = bolt.unit("vigo-applier", "MainPID");
    let net = bolt.shell(&format!("ss -tuwnap | grep 'pid={id},' || true")).good().to_owned();
    assert_eq!(net, "", "the applier speaks to no network");

    // Who may: the person who installed, from the next login on, and nobody else.
    bolt.shell_as("admin", false, "vigo status").good();
    let refused = bolt.shell_as("guest", false, "vigo status");
    assert!(refused.code == 3 && refused.err.contains("vigo-admin"), "{}", refused.err);
    // A second fleet on the same machine: refused, with what is right here.
    let again = bolt.shell_as("admin", false, "sudo vigo init --name bolt2 --plain-key");
    assert!(again.code != 0 && again.err.contains("sudo vigo status"), "{}", again.err);

    bolt.shell_as("admin", false, "sudo vigocli config publish --wait").good();
    assert!(bolt.read("/etc/motd.d/vigo").contains("bolt1 (the first bolt) is kept by Vigo"));
    // As systemd sees the unit that runs, with whatever a distribution adds.
    let said = bolt.shell("systemd-analyze security --no-pager vigo-peer.service").good().to_owned();
    let figure =
        said.lines().find_map(|l| l.split("level for vigo-peer.service: ").nth(1)?.split(' ').next());
    let figure: f64 = figure.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    println!("lab | R20 | exposure of the running peer | {figure}");
    assert!(figure <= 2.0, "{said}");
}

#[test]
fn the_package_is_installed_used_and_purged() {
    if require_machines().skips() {
        return;
    }
    let Some(tool) = package::cargo_deb() else { return };
    let room = tempfile::tempdir().expect("a directory");
    let deb = package::built(&room.path().join("target"), &tool);
    let machines = Machines::boot("package", &["bolt1"]);
    let bolt = &machines["bolt1"];
    bolt.copy_in(&deb, "/root/vigo.deb");
    bolt.shell("dpkg -i vigo.deb").good();
    assert_eq!(about(bolt, "/var/lib/vigo"), "700 vigo:vigo");
    assert_eq!(bolt.unit("vigo-peer", "ActiveState"), "inactive", "a package starts nothing");
    let refused = bolt.shell("vigo install");
    assert!(refused.code == 2 && refused.err.contains("as a package of this system"), "{}", refused.err);

    bolt.shell("vigo init --name bolt1 --operator alice --plain-key").good();
    bolt.shell("vigocli config publish --wait").good();
    assert!(bolt.has("/etc/motd.d/vigo"));
    let before = bolt.unit("vigo-peer", "MainPID");
    bolt.shell("dpkg -i vigo.deb").good();
    assert_ne!(bolt.unit("vigo-peer", "MainPID"), before, "an upgrade restarts what runs");
    bolt.shell("vigo status").good();

    let said = bolt.shell("dpkg -r vigo");
    assert!(said.err.contains("the state stays in /var/lib/vigo"), "{}", said.err);
    assert!(!bolt.has("/usr/bin/vigo") && bolt.has("/var/lib/vigo/node.key"));
    bolt.shell("dpkg -P vigo").good();
    for path in ["/var/lib/vigo", "/var/lib/vigo-applier", "/etc/vigo"] {
        assert!(!bolt.has(path), "{path} outlived a purge");
    }
    assert!(bolt.has("/srv/vigo/stacks/envoys.vgo"), "people's work stays");
}
