//! One machine: power, commands and files.
//!
//! Commands are run by `nsenter` in all namespaces of its first process, with an environment of their own and a time
//! limit; a machine that is off answers nothing. Its disk is a layer of its own that outlives its boots.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::super::clean::{PROPAGATE, signal};
use super::super::{Lab, Process, Said, secs, wait};
use super::{groups, prepare};

/// How long one command may take; then it is killed, and the exit code is 124.
pub(super) const COMMAND: Duration = secs(180);
/// How long an orderly shutdown may take.
const SHUTDOWN: Duration = secs(60);

/// A machine, on or off.
#[derive(Debug)]
pub struct Machine {
    name: String,
    address: Ipv4Addr,
    namespace: String,
    image: PathBuf,
    binds: Vec<(PathBuf, String)>,
    /// `upper`, `work` and `merged` of its overlay.
    folder: PathBuf,
    /// Where the console's log goes.
    logs: PathBuf,
    nspawn: Option<Process>,
    boots: usize,
}

impl Machine {
    pub(super) fn new(lab: &Lab, name: &str, image: &Path, binds: Vec<(PathBuf, String)>) -> Machine {
        let folder = lab.folder().join(name);
        for part in ["upper", "work", "merged"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        }
        Machine {
            name: name.to_owned(),
            address: lab.address(name),
            namespace: lab.namespace(name),
            image: image.to_owned(),
            binds,
            folder,
            logs: lab.folder().to_owned(),
            nspawn: None,
            boots: 0,
        }
    }

    pub(super) fn prepare(&self, lab: &Lab, hosts: &[(String, Ipv4Addr)]) {
        prepare::prepare(&self.folder.join("upper"), lab, &self.name, hosts);
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    // ---- commands

    /// A command that will run on it as root, with the environment of a fresh login.
    #[track_caller]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let init = self.init().unwrap_or_else(|| panic!("{} is off", self.name)).to_string();
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &COMMAND.as_secs().to_string(), "nsenter", "-t", &init, "-a", "--"]);
        command.args(["env", "-i", "HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8", "TERM=dumb"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg(program).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end, as root.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Said {
        let mut command = self.command(words[0]);
        Said::of(output(command.args(&words[1..])))
    }

    /// Runs a line of shell, as root in `/root`.
    #[track_caller]
    pub fn shell(&self, line: &str) -> Said {
        self.run(&["bash", "-c", &format!("cd; {line}")])
    }

    /// Runs a line in a login shell of a user (`admin` may `sudo`, `guest` may nothing), with a terminal or without;
    /// with one, both outputs are in `out`.
    #[track_caller]
    pub fn shell_as(&self, user: &str, terminal: bool, line: &str) -> Said {
        if !terminal {
            return self.run(&["su", "-", user, "-c", line]);
        }
        let mut said =
            self.run(&["su", "-", user, "-c", "exec script -E never -qec \"$0\" /dev/null", "--", line]);
        said.out = said.out.replace("\r\n", "\n");
        said
    }

    /// Starts a program as root that runs beside the test; its log is `NAME.TITLE.log`.
    #[track_caller]
    pub fn spawn(&self, title: &str, words: &[&str]) -> Process {
        let mut command = self.command(words[0]);
        command.args(&words[1..]);
        Process::spawn(&format!("{}.{title}", self.name), command, &self.logs)
    }

    /// What the journal has of a unit, this boot and those before.
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "-u", unit]).out
    }

    /// A property of a unit, as `systemctl show` prints it.
    pub fn unit(&self, unit: &str, property: &str) -> String {
        let said = self.run(&["systemctl", "show", "--value", "-p", property, unit]);
        said.good().trim().to_owned()
    }

    // ---- files

    /// The text of a file.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        self.run(&["cat", "--", path]).good().to_owned()
    }

    /// Whether something is there, be it a link that leads nowhere.
    pub fn has(&self, path: &str) -> bool {
        self.run(&["sh", "-c", "test -e \"$0\" || test -L \"$0\"", path]).went_well()
    }

    /// Writes a file, and the folders above it.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let script = "mkdir -p \"$(dirname \"$0\")\" && cat >\"$0\"";
        self.feed(&["sh", "-c", script, path], text.as_bytes()).good();
    }

    /// Runs a program with this input.
    #[track_caller]
    pub fn feed(&self, words: &[&str], input: &[u8]) -> Said {
        let path = self.folder.join("input");
        fs::write(&path, input).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        let file = fs::File::open(&path).unwrap_or_else(|e| panic!("cannot open {}: {e}", path.display()));
        let mut command = self.command(words[0]);
        Said::of(output(command.args(&words[1..]).stdin(file)))
    }

    /// Copies a file or folder with its modes to a path of the machine, whose folder is made.
    #[track_caller]
    pub fn copy_in(&self, from: &Path, to: &str) {
        let (folder, name) = split(from);
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder).args(["--owner=0", "--group=0", "-cf", "-"]).arg(name);
        let script = "set -e; d=\"$(dirname \"$0\")\"; mkdir -p \"$d\"; t=\"$(mktemp -d \"$d/.in.XXXXXX\")\"
            tar -C \"$t\" -xf -; rm -rf \"$0\"; mv \"$t\"/* \"$0\"; rmdir \"$t\"";
        self.feed(&["sh", "-c", script, to], &output(&mut tar).stdout).good();
    }

    /// Copies a file or folder of the machine to a path on this one.
    #[track_caller]
    pub fn copy_out(&self, from: &str, to: &Path) {
        let (folder, name) = split(Path::new(from));
        let archive = output(self.command("tar").arg("-C").arg(folder).args(["-cf", "-"]).arg(name)).stdout;
        let (above, _) = split(to);
        let fresh = above.join(format!(".{}-out", self.name));
        fs::create_dir_all(&fresh).unwrap_or_else(|e| panic!("cannot make {}: {e}", fresh.display()));
        let path = self.folder.join("output.tar");
        fs::write(&path, archive).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        let mut tar = Command::new("tar");
        let unpacked = Said::of(output(tar.arg("-C").arg(&fresh).arg("-xf").arg(&path)));
        assert!(unpacked.went_well(), "{from} of {}: {}", self.name, unpacked.err);
        fs::rename(fresh.join(name), to).unwrap_or_else(|e| panic!("cannot put {}: {e}", to.display()));
        let _ = fs::remove_dir(&fresh);
    }

    /// A file of this machine beside its layer, for what comes and goes.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    // ---- power

    /// Whether it runs.
    pub fn is_on(&self) -> bool {
        self.init().is_some()
    }

    /// Switches it on and waits until it is up.
    #[track_caller]
    pub fn power_on(&mut self) {
        self.start();
        self.wait_up(super::BOOT);
    }

    /// Shuts it down in order.
    #[track_caller]
    pub fn power_off(&mut self) {
        let init = self.init().unwrap_or_else(|| panic!("{} is off", self.name));
        // 4 above SIGRTMIN, as systemd has it: poweroff.target.
        signal("38", &[init]);
        if let Some(mut nspawn) = self.nspawn.take() {
            nspawn.wait_exit(SHUTDOWN);
        }
    }

    /// Shuts it down in order and boots it again from the same disk.
    #[track_caller]
    pub fn reboot(&mut self) {
        self.power_off();
        self.power_on();
    }

    /// Takes its power away: every process is killed at once, nothing is said to any of them. What programs had
    /// written is on its disk, synced or not: losing that takes a kernel of its own.
    #[track_caller]
    pub fn pull_the_plug(&mut self) {
        let init = self.init().unwrap_or_else(|| panic!("{} is off", self.name));
        signal("KILL", &[init]);
        if let Some(mut nspawn) = self.nspawn.take() {
            nspawn.wait_exit(secs(10));
        }
    }

    /// Starts to boot; [`Machine::wait_up`] waits for the end.
    #[track_caller]
    pub(super) fn start(&mut self) {
        assert!(!self.is_on(), "{} is on already", self.name);
        self.unplug();
        self.boots += 1;
        let part = |name: &str| self.folder.join(name).display().to_string();
        // In a mount namespace of its own: the overlay goes with the last process, whatever happened to it.
        let groups = groups::groups(&self.namespace);
        groups::make(&groups).unwrap_or_else(|e| panic!("{e}"));
        let enter: String =
            groups.iter().map(|g| format!("echo $$ >{}/cgroup.procs && ", g.display())).collect();
        let script = enter
            + "mount -t overlay overlay -o \"$0\" \"$1\" && root=\"$1\" && shift && \
               exec systemd-nspawn -D \"$root\" \"$@\"";
        let overlay =
            format!("lowerdir={},upperdir={},workdir={}", self.image.display(), part("upper"), part("work"));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, &overlay, &part("merged")]);
        command.args(["--boot", "--register=no", "--keep-unit", "--console=read-only", "--private-network"]);
        command.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off", "--quiet"]);
        command.arg(format!("--network-namespace-path=/run/netns/{}", self.namespace));
        command.args([format!("--machine={}", self.namespace), format!("--hostname={}", self.name)]);
        for (file, path) in &self.binds {
            command.arg(format!("--bind-ro={}:{path}", file.display()));
        }
        self.nspawn =
            Some(Process::spawn(&format!("{}.console{}", self.name, self.boots), command, &self.logs));
    }

    /// Waits until systemd says that it is up and the address is there.
    #[track_caller]
    pub(super) fn wait_up(&mut self, within: Duration) {
        let address = self.address.to_string();
        wait::until(&format!("{} is up", self.name), within, || {
            if !self.nspawn.as_mut().is_some_and(Process::is_running) {
                return Err(format!(
                    "it ended: {}",
                    self.nspawn.as_ref().map(Process::log).unwrap_or_default()
                ));
            }
            self.init().ok_or("its first process is not there yet")?;
            let state = self.run(&["systemctl", "is-system-running"]).out;
            if !matches!(state.trim(), "running" | "degraded") {
                return Err(format!("its state is {state:?}"));
            }
            let addresses = self.run(&["ip", "-4", "-o", "addr", "show", "dev", "eth0"]).out;
            if addresses.contains(&address) { Ok(()) } else { Err(format!("addresses: {addresses:?}")) }
        });
    }

    /// Its first process, as this machine numbers it.
    pub fn init(&self) -> Option<u32> {
        let nspawn = self.nspawn.as_ref()?.pid();
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
        let child: u32 = children.split_whitespace().next()?.parse().ok()?;
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let inside = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        (inside.split_whitespace().last() == Some("1") && inside.split_whitespace().count() > 1)
            .then_some(child)
    }

    /// A fresh interface: what an earlier boot had configured is gone.
    fn unplug(&self) {
        for words in [["addr", "flush", "dev", "eth0"], ["link", "set", "eth0", "down"]] {
            let _ = Command::new("ip").args(["-n", &self.namespace]).args(words).output();
        }
    }

    /// What a failed test should show: the units that failed, their journals, and the program's.
    pub(super) fn confession(&self) -> String {
        if !self.is_on() {
            return format!("---- {} is off\n", self.name);
        }
        let script = "units=$(systemctl list-units --failed --plain --no-legend | cut -d' ' -f1)
            for unit in $units vigo-peer.service vigo-applier.service; do
                echo \"-- $unit\"; journalctl --no-pager -n 40 -o short-precise -u \"$unit\"; done";
        format!("---- journals of {}\n{}", self.name, self.run(&["timeout", "20", "bash", "-c", script]).out)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(init) = self.init() {
            signal("KILL", &[init]);
        }
        if let Some(mut nspawn) = self.nspawn.take() {
            let end = std::time::Instant::now() + secs(5);
            while nspawn.is_running() && std::time::Instant::now() < end {
                std::thread::sleep(wait::PAUSE);
            }
        }
        groups::groups(&self.namespace).iter().for_each(|group| groups::remove(group));
        // systemd-nspawn leaves it when the root file system is a disk.
        let _ = fs::remove_dir(Path::new(PROPAGATE).join(&self.namespace));
    }
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

fn split(path: &Path) -> (&Path, &OsStr) {
    let parts = path.parent().zip(path.file_name());
    parts.unwrap_or_else(|| panic!("{} names no file", path.display()))
}
