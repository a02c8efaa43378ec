//! The lab of machines, tried on itself: what it says about machines must be true of them.
//!
//! No test here needs the program. Everything that was made is shown to be gone.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::lab::machines::{Machines, Repository, require_machines};
use crate::lab::{Lab, Process, secs, sweep, wait};

#[test]
fn four_machines_boot_and_meet() {
    if require_machines().skips() {
        return;
    }
    let names = ["bolt1", "web01", "web02", "db01"];
    let mut machines = Machines::new("four");
    let took = machines.add(&names);
    println!("lab | machines | four boot side by side | {} ms", took.as_millis());
    assert!(took < secs(60), "four machines took {took:?}");

    let mut ids = BTreeSet::new();
    for name in names {
        let machine = &machines[name];
        assert_eq!(machine.shell("hostname").good().trim(), name);
        let failed = machine.shell("systemctl list-units --failed --plain --no-legend").out;
        assert_eq!(machine.shell("systemctl is-system-running").out.trim(), "running", "{name}: {failed}");
        ids.insert(machine.read("/etc/machine-id"));
        for other in names {
            machine.run(&["ping", "-n", "-c", "1", "-W", "5", other]).good();
        }
        // Its own interfaces and no others.
        assert_eq!(machine.shell("echo $(ls /sys/class/net)").good().trim(), "eth0 lo");
    }
    assert_eq!(ids.len(), names.len(), "machine ids are not unique: {ids:?}");

    machines.lab.cut("web01");
    assert!(
        !machines["db01"].run(&["ping", "-c", "1", "-W", "1", "web01"]).went_well(),
        "a cut cable answers"
    );
    machines.lab.mend("web01");
    let ping = || machines["db01"].run(&["ping", "-c", "1", "-W", "1", "web01"]).went_well();
    wait::holds("the cable is back", secs(10), ping);
}

#[test]
fn behind_nat_a_machine_can_only_dial_out() {
    if require_machines().skips() {
        return;
    }
    let mut machines = Machines::boot("nat", &["bolt1"]);
    machines.add_behind_nat(&["laptop"]);
    machines["laptop"].run(&["ping", "-n", "-c", "1", "-W", "5", "bolt1"]).good();
    let inner = machines["laptop"].address().to_string();
    assert!(
        !machines["bolt1"].run(&["ping", "-n", "-c", "1", "-W", "1", &inner]).went_well(),
        "it can be dialled"
    );
    machines["laptop"].reboot();
    machines["laptop"].run(&["ping", "-n", "-c", "1", "-W", "5", "bolt1"]).good();
}

#[test]
fn multicast_crosses_from_a_machine_to_a_host() {
    if require_machines().skips() {
        return;
    }
    let mut machines = Machines::boot("multicast", &["bolt1"]);
    machines.lab.host("probe");
    // What arrives at the cable is what a member of the group would hear.
    let mut hear = machines.lab.command("probe", "nft");
    hear.args(["add table inet heard; add chain inet heard in { type filter hook prerouting priority 0; };
        add rule inet heard in ip daddr 224.0.0.42 udp dport 1531 counter"]);
    assert!(hear.status().expect("nft runs").success());
    machines["bolt1"].shell("for n in 1 2 3; do echo beacon >/dev/udp/224.0.0.42/1531; done").good();
    wait::until("the beacon is heard", secs(10), || {
        let said = machines.lab.run("probe", &["nft", "list", "table", "inet", "heard"]);
        let table = String::from_utf8_lossy(&said.stdout).into_owned();
        if table.contains("packets 3 ") { Ok(()) } else { Err(table) }
    });
}

#[test]
fn disks_outlive_a_reboot_and_a_pulled_plug() {
    if require_machines().skips() {
        return;
    }
    let mut machines = Machines::boot("power", &["web01"]);
    let web = &mut machines["web01"];
    let boot = |web: &crate::lab::machines::Machine| {
        web.read("/proc/sys/kernel/random/boot_id") + &web.unit("dbus.service", "InvocationID")
    };
    let unit = "[Service]\nExecStart=sleep 1000\nExecStop=touch /root/stopped\n[Install]\nWantedBy=multi-user.target\n";
    web.write("/etc/systemd/system/polite.service", unit);
    web.shell("echo kept >file && systemctl enable --now polite.service").good();
    let first = boot(web);

    web.reboot();
    assert_eq!(web.read("/root/file"), "kept\n");
    assert_ne!(boot(web), first, "it was not booted again");
    assert!(web.has("/root/stopped"), "units were not stopped in order");
    assert!(web.journal("polite.service").contains("Deactivated"), "the journal of the boot before is gone");

    web.shell("rm stopped; echo more >>file").good();
    web.pull_the_plug();
    assert!(!web.is_on());
    web.power_on();
    assert_eq!(web.read("/root/file"), "kept\nmore\n");
    assert!(!web.has("/root/stopped"), "somebody was told that the plug is pulled");
    assert_eq!(web.unit("polite.service", "ActiveState"), "active");
}

#[test]
fn users_terminals_files_and_scp() {
    if require_machines().skips() {
        return;
    }
    let machines = Machines::boot("users", &["bolt1", "web01"]);
    let bolt = &machines["bolt1"];
    assert_eq!(bolt.shell_as("admin", false, "sudo id -u; pwd; tty").out, "0\n/home/admin\nnot a tty\n");
    assert_eq!(bolt.shell_as("admin", true, "test -t 1 && sudo id -un").good(), "root\n");
    assert_eq!(bolt.shell_as("admin", true, "exit 7").code, 7);
    let ask = "read -rsp 'Name: ' a; echo; read -rsp 'Age: ' b; echo \"<$a $b>\"; exit 3";
    let said = bolt.talk("admin", ask, &[("Name: ", "Ada"), ("Age: ", "36")]);
    assert_eq!((said.code, said.out.as_str()), (3, "Name: \nAge: <Ada 36>\n"));
    assert!(!bolt.shell_as("guest", false, "sudo -n true").went_well(), "a guest is root");

    let folder = machines.lab.folder().join("tree");
    std::fs::create_dir_all(folder.join("deep")).expect("a folder");
    std::fs::write(folder.join("deep/file"), "text").expect("a file");
    bolt.copy_in(&folder, "/srv/a/tree");
    assert_eq!(bolt.read("/srv/a/tree/deep/file"), "text");
    bolt.copy_in(&folder.join("deep/file"), "/srv/one");
    bolt.shell("chmod 640 /srv/one && echo more >>/srv/one").good();
    bolt.copy_out("/srv/one", &machines.lab.folder().join("back"));
    assert_eq!(std::fs::read_to_string(machines.lab.folder().join("back")).expect("a file"), "textmore\n");

    machines.ssh("admin", "bolt1", "web01");
    bolt.shell_as("admin", false, "echo hello >greeting && scp -q greeting web01: && ssh web01 hostname")
        .good();
    assert_eq!(machines["web01"].read("/home/admin/greeting"), "hello\n");
}

#[test]
fn packages_are_installed_upgraded_and_removed_without_a_network() {
    if require_machines().skips() {
        return;
    }
    let machines = Machines::boot("packages", &["web01"]);
    let (web, repository) = (&machines["web01"], Repository::new(machines.lab.folder()));
    let script = |version: u8| format!("#!/bin/sh\necho hello {version}\n");
    let config = [("/etc/hello.conf", "greeting\n")];
    repository.package("hello", "1.0", &[("/usr/bin/hello", &script(1)), config[0]], Some("/bin/sleep 1000"));
    repository.give_to(web);
    web.run(&["apt-get", "install", "-qy", "hello"]).good();
    assert_eq!(web.run(&["hello"]).good(), "hello 1\n");
    assert_eq!(web.unit("hello.service", "ActiveState"), "active");

    repository.package("hello", "1.1", &[("/usr/bin/hello", &script(2)), config[0]], Some("/bin/sleep 1000"));
    repository.give_to(web);
    web.run(&["apt-get", "upgrade", "-qy"]).good();
    assert_eq!(web.run(&["hello"]).good(), "hello 2\n");
    web.run(&["apt-get", "remove", "-qy", "hello"]).good();
    assert!(!web.has("/usr/bin/hello") && web.has("/etc/hello.conf"), "conffiles are not treated as such");
    assert_eq!(web.unit("hello.service", "ActiveState"), "inactive");
}

#[test]
fn nothing_is_left_after_a_panic_nor_of_a_killed_test() {
    if require_machines().skips() {
        return;
    }
    let (say, hear) = std::sync::mpsc::channel();
    let ended = std::thread::spawn(move || {
        let machines = Machines::boot("panic", &["web01"]);
        let init = machines["web01"].init().expect("it is on");
        say.send((machines.lab.tag().to_owned(), machines.lab.folder().to_owned(), init)).expect("heard");
        panic!("on purpose");
    })
    .join();
    assert!(ended.is_err());
    let (tag, folder, init) = hear.recv().expect("said");
    assert!(!folder.exists(), "{} is left", folder.display());
    assert!(!Path::new(&format!("/proc/{init}")).exists(), "the machine runs on");
    assert!(groups(&tag).is_empty(), "{:?} are left", groups(&tag));
    assert!(!mounts().contains(&tag) && !mounts().contains(folder.to_str().expect("UTF-8")), "{}", mounts());

    // A killed test: its machine runs on, under names with the id of a process that is gone.
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command.args(["--exact", "selftest::helper", "--nocapture"]).env(HELPER, "boot");
    let lab = Lab::new("killer");
    let mut killed = Process::spawn("killed", command, lab.folder());
    let line = killed.wait_line("it is on: ", secs(60));
    let init = line.rsplit(' ').next().expect("its id").to_owned();
    killed.kill();
    let tag = format!("vigo-{}-", killed.pid());
    assert!(
        Path::new("/proc").join(&init).exists() && spaces().contains(&tag),
        "the machine died with its test"
    );
    sweep();
    wait::holds("the machine is gone", secs(10), || !Path::new("/proc").join(&init).exists());
    assert!(!spaces().contains(&tag), "{}", spaces());
    wait::holds("its control groups go with it", secs(10), || {
        sweep();
        groups(&tag).is_empty()
    });
}

/// Makes [`helper`] boot a machine and wait to be killed.
const HELPER: &str = "VIGO_MACHINES_HELPER";

/// Not a test: what the test above kills.
#[test]
fn helper() {
    if std::env::var_os(HELPER).is_none() {
        return;
    }
    let machines = Machines::boot("killed", &["web01"]);
    println!("it is on: {}", machines["web01"].init().expect("it is on"));
    std::thread::sleep(secs(600));
}

fn spaces() -> String {
    let output = Command::new("ip").args(["netns", "list"]).output().expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn groups(tag: &str) -> String {
    let found =
        Command::new("find").args(["/sys/fs/cgroup", "-maxdepth", "2", "-name", &format!("{tag}*")]).output();
    String::from_utf8_lossy(&found.expect("find runs").stdout).into_owned()
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mounts").unwrap_or_default()
}
