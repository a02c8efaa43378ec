//! Machines: whole Debian systems with a real systemd as their first process, as hosts of a [`Lab`].
//!
//! Each runs in `systemd-nspawn` over an overlay of one image ([`image`]), inside the network namespace of a host of
//! the lab: what the lab can do to a cable, a partition or a NAT box it can do to a machine. Nothing on the host is
//! mounted, registered or routed; everything is gone when the [`Machines`] are dropped, also after a panic, and what
//! a killed test left is removed by the next. `README.md` beside this file says how to add a scenario.
//!
//! ```text
//! if require_machines().skips() { return; }
//! let machines = Machines::boot("meet", &["bolt1", "web01"]);
//! machines["web01"].shell("hostname").good();
//! machines.lab.cut("web01");
//! ```

pub(super) mod groups;
mod image;
mod machine;
mod places;
mod prepare;
mod repository;
mod ssh;
mod talk;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::{Index, IndexMut};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use machine::Machine;
use places::Place;
pub use repository::Repository;

use super::clean::{FOLDER, PREFIX};
use super::{Lab, Readiness, decide, net, secs};

/// How long a machine may take to boot, on a machine that does other things as well.
pub const BOOT: Duration = secs(60);

/// Every program that is called, with the Debian package that brings it.
const TOOLS: [(&str, &str); 8] = [
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("dpkg-deb", "dpkg"),
    ("apt-ftparchive", "apt-utils"),
];

/// Machines on one bridge.
#[derive(Debug)]
pub struct Machines {
    machines: BTreeMap<String, Machine>,
    image: PathBuf,
    binds: Vec<(PathBuf, String)>,
    /// The network between them; hosts without a system can be added to it. Behind the machines, so that they are off
    /// when it goes.
    pub lab: Lab,
    /// Given back when all else is gone.
    _place: Place,
}

impl Machines {
    /// An empty bridge, when there is a place for it. `title` names its folder in messages.
    pub fn new(title: &str) -> Machines {
        let image = image::ready().unwrap_or_else(|e| panic!("{e}"));
        let place = Place::take();
        Machines { machines: BTreeMap::new(), image, binds: Vec::new(), lab: Lab::new(title), _place: place }
    }

    /// Machines with these names, booted.
    pub fn boot(title: &str, names: &[&str]) -> Machines {
        let mut machines = Machines::new(title);
        machines.add(names);
        machines
    }

    /// Shows a file or folder of this machine, read-only, at `path` of all machines that are added from now on.
    pub fn show(&mut self, file: &Path, path: &str) {
        assert!(file.exists() && path.starts_with('/'), "nothing to show: {} at {path}", file.display());
        self.binds.push((file.to_owned(), path.to_owned()));
    }

    /// Adds machines, all knowing all names, and boots them side by side. Gives what it took until all were up.
    pub fn add(&mut self, names: &[&str]) -> Duration {
        self.add_with(names, Lab::host)
    }

    /// As [`Machines::add`], each behind a NAT box of its own.
    pub fn add_behind_nat(&mut self, names: &[&str]) -> Duration {
        self.add_with(names, Lab::host_behind_nat)
    }

    fn add_with(&mut self, names: &[&str], plug: fn(&mut Lab, &str) -> std::net::Ipv4Addr) -> Duration {
        let began = Instant::now();
        for name in names {
            plug(&mut self.lab, name);
            let machine = Machine::new(&self.lab, name, &self.image, self.binds.clone());
            self.machines.insert((*name).to_owned(), machine);
        }
        let hosts: Vec<_> = self.machines.keys().map(|n| (n.clone(), self.lab.outer_address(n))).collect();
        for (name, machine) in &mut self.machines {
            if names.contains(&name.as_str()) {
                machine.prepare(&self.lab, &hosts);
                machine.start();
            } else {
                machine.write("/etc/hosts", &prepare::hosts_file(name, &hosts));
            }
        }
        for name in names {
            self[*name].wait_up(BOOT);
        }
        began.elapsed()
    }

    /// All names.
    pub fn names(&self) -> Vec<&str> {
        self.machines.keys().map(String::as_str).collect()
    }
}

impl Index<&str> for Machines {
    type Output = Machine;

    #[track_caller]
    fn index(&self, name: &str) -> &Machine {
        self.machines.get(name).unwrap_or_else(|| panic!("no machine {name:?}; there are {:?}", self.names()))
    }
}

impl IndexMut<&str> for Machines {
    #[track_caller]
    fn index_mut(&mut self, name: &str) -> &mut Machine {
        self.machines.get_mut(name).unwrap_or_else(|| panic!("no machine {name:?}"))
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for machine in self.machines.values() {
                eprint!("{}", machine.confession());
            }
        }
        self.machines.clear();
    }
}

/// Says whether machines can be booted here, and makes their image when it is not there yet. A skip is printed; under
/// `VIGO_LAB=require` it is a failure.
#[track_caller]
pub fn require_machines() -> Readiness {
    static MISSING: OnceLock<Vec<String>> = OnceLock::new();
    let missing = MISSING.get_or_init(missing);
    let required = std::env::var("VIGO_LAB").is_ok_and(|v| v == "require");
    let readiness = decide(missing, required).unwrap_or_else(|why| panic!("{why}"));
    if let Readiness::Skip(why) = &readiness {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Not eprintln!, which the test runner would swallow.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    }
    readiness
}

fn missing() -> Vec<String> {
    if !super::is_root() {
        return vec!["machines need root: run the tests as root".to_owned()];
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let there = |tool: &str| path.split(':').any(|folder| Path::new(folder).join(tool).exists());
    let mut missing: Vec<String> = TOOLS
        .iter()
        .filter(|(tool, _)| !there(tool))
        .map(|(tool, package)| format!("{tool} is missing: apt-get install {package}"))
        .collect();
    if missing.is_empty() {
        missing.extend(net::trial().and_then(|()| trial()).and_then(|()| image::ready().map(drop)).err());
    }
    missing
}

/// Whether overlays can be mounted and control groups made here at all.
fn trial() -> Result<(), String> {
    let groups = groups::groups(&format!("{PREFIX}{}-trial", std::process::id()));
    let made = groups::make(&groups);
    groups.iter().for_each(|group| groups::remove(group));
    made?;
    let folder = std::env::temp_dir().join(format!("{FOLDER}{}-trial", std::process::id()));
    let script = "cd \"$0\" && mkdir -p lower upper work merged && \
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged";
    let path = folder.display().to_string();
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make {path}: {e}"))?;
    let words = ["--mount", "--propagation", "private", "sh", "-c", script, &path];
    let mounted = net::try_run("unshare", &words, None);
    let _ = std::fs::remove_dir_all(&folder);
    mounted
}
