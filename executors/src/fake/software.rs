//! The packages and units of a fake machine: what `apt-get`, `dpkg` and `systemctl` say and do there.
//!
//! It understands the command lines that this crate writes and no others, prints what the real programs print, and
//! keeps what is installed where dpkg does: in its status file. It never runs anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::FakeHost;
use super::units::FakeUnit;
use crate::dpkg::{self, Package, Stage};
use crate::host::{Ending, Kind, Ran};

/// What is installed, offered and running.
#[derive(Debug, Clone, Default)]
pub struct Software {
    /// What the repository has now, by name.
    pub offered: BTreeMap<String, Offer>,
    /// What apt's lists say: what was offered when they were fetched.
    pub listed: BTreeMap<String, String>,
    /// When the lists were fetched, on the host's clock.
    pub fetched: Option<u64>,
    /// How often they were fetched, or that was tried.
    pub fetches: u32,
    /// Somebody has changed the sources since.
    pub sources_changed: bool,
    /// The repository does not answer.
    pub unreachable: bool,
    /// Until when another program holds the locks, on the host's clock.
    pub locked_until: u64,
    /// The units, by their full names.
    pub units: BTreeMap<String, FakeUnit>,
    /// How often systemd was told to read all units again.
    pub reads: u32,
}

/// A package of the repository.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// Its version.
    pub version: String,
    /// What it needs.
    pub depends: Vec<String>,
    /// What cannot be beside it.
    pub conflicts: Vec<String>,
    /// The services that come with it: enabled and started, as Debian does.
    pub units: Vec<String>,
    /// Its script fails after unpacking.
    pub broken: bool,
}

impl Offer {
    /// A package of this version that needs nothing.
    pub fn new(version: &str) -> Offer {
        Offer { version: version.to_owned(), ..Offer::default() }
    }
}

impl FakeHost {
    /// This machine with apt, dpkg and systemd; for building scenes.
    #[must_use]
    pub fn with_software(mut self, software: Software) -> FakeHost {
        self.drift(crate::apt::PROGRAM, "");
        self.place("/run/systemd/system", Kind::Directory, "");
        for name in software.units.keys() {
            self.drift(&format!("/usr/lib/systemd/system/{name}"), "");
        }
        self.software = Some(Arc::new(software));
        self.write_status(vec![package("dpkg", "1.21.22", Stage::Installed)]);
        self
    }

    /// The packages and units, to be looked at or changed by hand.
    pub fn software(&mut self) -> &mut Software {
        Arc::make_mut(self.software.get_or_insert_default())
    }

    /// The version that is installed of a package.
    pub fn installed(&self, name: &str) -> Option<String> {
        let found =
            dpkg::packages(self).ok()?.into_iter().find(|p| p.name == name && p.stage == Stage::Installed)?;
        Some(found.version)
    }

    /// Somebody changes a package by hand; one that is not there is made.
    pub fn set_package(&mut self, name: &str, change: impl FnOnce(&mut Package)) {
        let mut packages = dpkg::packages(self).unwrap_or_default();
        if !packages.iter().any(|p| p.name == name) {
            packages.push(package(name, "1", Stage::Installed));
        }
        if let Some(found) = packages.iter_mut().find(|p| p.name == name) {
            change(found);
        }
        self.write_status(packages);
    }

    fn write_status(&mut self, packages: Vec<Package>) {
        let mut text = String::new();
        for p in packages {
            let stage = match p.stage {
                Stage::Absent => continue,
                Stage::ConfigFiles => "config-files",
                Stage::Half => "half-configured",
                Stage::Installed => "installed",
            };
            let want = if p.held { "hold" } else { "install" };
            let Package { name, version, arch, .. } = p;
            let _ = write!(
                text,
                "Package: {name}\nStatus: {want} ok {stage}\nArchitecture: {arch}\nVersion: {version}\n\n"
            );
        }
        self.drift(dpkg::STATUS, text);
    }

    /// What a command line does that a program of packages or units understands; `None` for any other.
    pub(super) fn manage(&mut self, line: &str) -> Option<Ran> {
        self.software.as_ref()?;
        if line == crate::apt::FRESH || line == crate::apt::CHANGED {
            return Some(self.ask_age(line == crate::apt::FRESH));
        }
        let line = line.split(" && ").next().unwrap_or_default();
        let words: Vec<&str> = line.split(' ').map(|w| w.trim_matches('\'')).filter(|w| *w != "--").collect();
        let (program, rest) = words.split_first()?;
        let last = rest.last().copied().unwrap_or_default();
        match *program {
            "sleep" => {
                self.elapse((last.parse::<f64>().unwrap_or(0.0) * 1000.0) as u64);
                Some(ended(0, ""))
            }
            "apt-cache" => Some(self.ask_lists(
                rest.first().copied().unwrap_or_default(),
                rest.get(1).copied().unwrap_or_default(),
            )),
            "apt-get" if rest.contains(&"-s") => Some(self.apt(rest, last, true)),
            "apt-get" => Some(self.locked().unwrap_or_else(|| self.apt(rest, last, false))),
            "dpkg" => Some(self.locked().unwrap_or_else(|| self.configure())),
            "systemctl" | "journalctl" => Some(self.systemd(program, rest, last)),
            _ => None,
        }
    }

    fn ask_age(&mut self, fresh: bool) -> Ran {
        let (now, software) = (self.now, self.software());
        let changed = software.sources_changed;
        let young = software.fetched.is_some_and(|at| now - at < crate::apt::LISTS_MINUTES * 60_000);
        ended(i32::from(!if fresh { young && !changed } else { changed }), "")
    }

    fn ask_lists(&mut self, question: &str, name: &str) -> Ran {
        let software = self.software();
        match question {
            "policy" => match software.listed.get(name) {
                Some(version) => ended(0, &format!("{name}:\n  Installed: x\n  Candidate: {version}\n")),
                None => ended(0, &format!("N: Unable to locate package {name}\n")),
            },
            "pkgnames" => {
                let names: Vec<&str> =
                    software.listed.keys().map(String::as_str).filter(|n| n.starts_with(name)).collect();
                ended(0, &names.join("\n"))
            }
            _ => ended(0, ""),
        }
    }

    fn locked(&mut self) -> Option<Ran> {
        let held = self.now < self.software().locked_until;
        let said =
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (unattended-upgr)\n";
        held.then(|| ended(100, said))
    }

    fn apt(&mut self, words: &[&str], name: &str, simulate: bool) -> Ran {
        if words.contains(&"update") {
            return self.update();
        }
        let interrupted = dpkg::interrupted(self).unwrap_or(false);
        if interrupted && !simulate {
            return ended(
                100,
                "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.\n",
            );
        }
        if words.contains(&"install") {
            return self.install(name, simulate);
        }
        self.remove(name, words.contains(&"purge"), simulate)
    }

    fn update(&mut self) -> Ran {
        let now = self.now;
        let software = self.software();
        software.fetches += 1;
        if software.unreachable {
            return ended(
                100,
                "Err:1 http://deb.example bookworm InRelease\nE: Failed to fetch http://deb.example/InRelease  Could not connect\n",
            );
        }
        software.listed =
            software.offered.iter().map(|(name, offer)| (name.clone(), offer.version.clone())).collect();
        software.fetched = Some(now);
        software.sources_changed = false;
        ended(0, "")
    }

    fn install(&mut self, name: &str, simulate: bool) -> Ran {
        let mut wanted = vec![name.to_owned()];
        let mut at = 0;
        while let Some(each) = wanted.get(at).cloned() {
            let Some(offer) = self.software().offered.get(&each).cloned() else {
                let said = format!(
                    "The following packages have unmet dependencies:\n {name} : Depends: {each} but it is not installable\nE: Unable to correct problems, you have held broken packages.\n"
                );
                return ended(100, &said);
            };
            let more =
                offer.depends.into_iter().filter(|d| self.installed(d).is_none() && !wanted.contains(d));
            wanted.extend(more.collect::<Vec<_>>());
            at += 1;
        }
        let mut said = String::new();
        for each in wanted.into_iter().rev() {
            let offer = self.software().offered[&each].clone();
            if self.installed(&each).as_deref() == Some(&offer.version) {
                continue;
            }
            let _ = writeln!(said, "Inst {each} ({} Fake:1 [amd64])", offer.version);
            for other in offer.conflicts.iter().filter(|c| self.installed(c).is_some()).collect::<Vec<_>>() {
                let _ = writeln!(said, "Remv {other} [1]");
                if !simulate {
                    self.set_package(other, |p| p.stage = Stage::ConfigFiles);
                }
            }
            if !simulate {
                let stage = if offer.broken { Stage::Half } else { Stage::Installed };
                self.set_package(&each, |p| *p = package(&each, &offer.version, stage));
                if offer.broken {
                    let _ = write!(
                        said,
                        "dpkg: error processing package {each} (--configure):\n installed {each} package post-installation script subprocess returned error exit status 1\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n"
                    );
                    return ended(100, &said);
                }
                self.add_units(&offer.units);
            }
        }
        ended(0, &said)
    }

    fn remove(&mut self, name: &str, purge: bool, simulate: bool) -> Ran {
        let needs = |offer: &Offer, gone: &[String]| offer.depends.iter().any(|d| gone.contains(d));
        let mut gone = vec![name.to_owned()];
        loop {
            let offered = self.software().offered.clone();
            let next = offered.iter().find(|(each, offer)| {
                !gone.contains(each) && self.installed(each).is_some() && needs(offer, &gone)
            });
            let Some((each, _)) = next else { break };
            gone.push(each.clone());
        }
        let mut said = String::new();
        for each in gone {
            let _ = writeln!(said, "Remv {each} [1]");
            if !simulate {
                let stage = if purge { Stage::Absent } else { Stage::ConfigFiles };
                self.set_package(&each, |p| p.stage = stage);
                let units = self.software().offered.get(&each).map(|o| o.units.clone()).unwrap_or_default();
                self.remove_units(&units);
            }
        }
        ended(0, &said)
    }

    fn configure(&mut self) -> Ran {
        self.erase(dpkg::UPDATES);
        ended(0, "")
    }
}

fn package(name: &str, version: &str, stage: Stage) -> Package {
    let (name, version, arch) = (name.to_owned(), version.to_owned(), "amd64".to_owned());
    Package { name, version, arch, stage, held: false }
}

pub(super) fn ended(code: i32, output: &str) -> Ran {
    Ran { ending: Ending::Exit(code), output: output.as_bytes().to_vec() }
}
