//! What dpkg says of the packages of a machine: its status file, read.
//!
//! It never runs a program and never writes. At rest the file is the whole truth; while dpkg works, or after it was
//! killed, the rest lies in `/var/lib/dpkg/updates` (see [`interrupted`]). Stanzas that make no sense are passed over.

use crate::host::{Fault, Host, HostError};
use crate::path::HostPath;

/// Bytes of the status file that are read at most: a machine with 5,000 packages has 6 MiB.
pub const STATUS_BYTES: u64 = 32 * 1024 * 1024;
/// Where it is.
pub const STATUS: &str = "/var/lib/dpkg/status";
/// Where dpkg notes what it has not yet written there.
pub const UPDATES: &str = "/var/lib/dpkg/updates";

/// How far a package is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing of it is there.
    Absent,
    /// Removed; its configuration files are there.
    ConfigFiles,
    /// Begun and not finished.
    Half,
    /// All of it.
    Installed,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version; empty when nothing of it is there.
    pub version: String,
    /// Its architecture: `amd64`, `all`, …
    pub arch: String,
    /// How far it is installed.
    pub stage: Stage,
    /// Whether somebody asked for it to stay as it is (`apt-mark hold`).
    pub held: bool,
}

/// All packages that dpkg knows of, in its order; none where there is no dpkg.
///
/// # Errors
/// [`HostError`] when the file is there and cannot be read.
pub fn packages(host: &dyn Host) -> Result<Vec<Package>, HostError> {
    let Ok(path) = HostPath::parse(STATUS) else { return Ok(Vec::new()) };
    match host.read_followed(&path, STATUS_BYTES) {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.fault() == Fault::Missing => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether dpkg was ended in the middle of its work, so that it wants `dpkg --configure -a` first.
///
/// # Errors
/// [`HostError`] when its folder is there and cannot be read.
pub fn interrupted(host: &dyn Host) -> Result<bool, HostError> {
    let Ok(path) = HostPath::parse(UPDATES) else { return Ok(false) };
    match host.list(&path, 16) {
        Ok(entries) => Ok(entries.iter().any(|e| e.name.bytes().all(|b| b.is_ascii_digit()))),
        Err(error) if error.fault() == Fault::Missing => Ok(false),
        Err(error) => Err(error),
    }
}

/// The package that a declared name means: `name`, or `name:arch` for one of another architecture.
pub fn find<'a>(packages: &'a [Package], declared: &str) -> Option<&'a Package> {
    let (name, wanted) = match declared.split_once(':') {
        Some((name, arch)) => (name, Some(arch)),
        None => (declared, packages.iter().find(|p| p.name == "dpkg").map(|p| p.arch.as_str())),
    };
    let fits = |p: &&Package| p.arch == "all" || wanted.is_none_or(|arch| arch == p.arch);
    let mut named = packages.iter().filter(|p| p.name == name).filter(fits);
    let first = named.next()?;
    if first.stage == Stage::Installed { Some(first) } else { named.next().or(Some(first)) }
}

/// The packages of a status file.
pub fn parse(text: &str) -> Vec<Package> {
    let mut found = Vec::new();
    let mut stanza = Stanza::default();
    for line in text.lines().chain([""]) {
        if line.is_empty() {
            found.extend(std::mem::take(&mut stanza).package());
        } else if let Some((key, value)) = line.split_once(": ").filter(|_| !line.starts_with(' ')) {
            match key {
                "Package" => stanza.name = value,
                "Status" => stanza.status = value,
                "Version" => stanza.version = value,
                "Architecture" => stanza.arch = value,
                _ => {}
            }
        }
    }
    found
}

#[derive(Default)]
struct Stanza<'a> {
    name: &'a str,
    status: &'a str,
    version: &'a str,
    arch: &'a str,
}

impl Stanza<'_> {
    fn package(self) -> Option<Package> {
        let mut words = self.status.split_whitespace();
        let (want, _, stage) = (words.next()?, words.next()?, words.next()?);
        let stage = match stage {
            "installed" | "triggers-pending" | "triggers-awaited" => Stage::Installed,
            "config-files" => Stage::ConfigFiles,
            "not-installed" => Stage::Absent,
            _ => Stage::Half,
        };
        (!self.name.is_empty()).then(|| Package {
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            arch: self.arch.to_owned(),
            stage,
            held: want == "hold",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    const TEXT: &str = "Package: dpkg\nEssential: yes\nStatus: install ok installed\nArchitecture: amd64\n\
        Version: 1.21.22\nDescription: x\n Package: not-this\n\nPackage: libc6\nStatus: install ok installed\n\
        Architecture: i386\nVersion: 2.36-9\n\nPackage: libc6\nStatus: hold ok installed\nArchitecture: amd64\n\
        Version: 2.36-8\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
        Package: torn\nStatus: install reinstreq half-installed\nArchitecture: amd64\n\nPackage: broken\n\n\
        Status: install ok installed\n";

    #[test]
    fn stanzas_are_read_and_names_mean_the_native_architecture() {
        let all = parse(TEXT);
        let names: Vec<_> = all.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["dpkg", "libc6", "libc6", "gone", "torn"]);
        let libc = find(&all, "libc6").unwrap();
        assert_eq!((libc.version.as_str(), libc.held, libc.stage), ("2.36-8", true, Stage::Installed));
        assert_eq!(find(&all, "libc6:i386").unwrap().version, "2.36-9");
        assert_eq!(find(&all, "gone").unwrap().stage, Stage::ConfigFiles);
        assert_eq!(find(&all, "torn").unwrap().stage, Stage::Half);
        assert!(find(&all, "libc").is_none() && find(&all, "libc6:arm64").is_none());
    }

    #[test]
    fn a_machine_without_dpkg_has_no_packages_and_a_killed_dpkg_shows() {
        let mut host = FakeHost::new();
        assert_eq!(packages(&host).unwrap(), []);
        assert!(!interrupted(&host).unwrap());
        host.drift("/var/lib/dpkg/updates/0001", "Package: x\n");
        assert!(interrupted(&host).unwrap());
    }
}
