//! Installing on a booted machine: twice the same, and taken away again without a trace.

use std::path::Path;

use crate::lab::machines::{Machine, Machines, require_machines};

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
