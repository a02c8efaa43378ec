//! apt, driven without a person: what it would do, doing it, and its errors in words.
//!
//! It never answers a question of a package with anything but the package's default, never replaces a configuration
//! file that somebody changed, and never waits for ever: neither for dpkg's lock nor for a server. What is installed it
//! reads from dpkg's own file ([`crate::dpkg`]); programs run only when something is to be done. Package names reach a
//! command line only in the form of `Word::Package`.

mod said;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use thiserror::Error;
use vigo_base::text::{escaped, nearest};
use vigo_stacks::words::Word;

use crate::change::{Limits, Run, Trouble, run_within};
use crate::dpkg;
use crate::host::{Ending, Host, Ran};
use crate::path::HostPath;
pub use said::Plan;

/// The program without which there is no apt.
pub const PROGRAM: &str = "/usr/bin/apt-get";
/// Milliseconds that a lock held by another program is waited for, at most.
pub const LOCK_MILLIS: u64 = 120_000;
/// Milliseconds between two looks at a lock.
const LOCK_NAP_MILLIS: u64 = 2_000;
/// Minutes for which the lists of packages are taken as they are.
pub const LISTS_MINUTES: u64 = 60;

/// Succeeds if the lists are young, and the sources have not changed since. The file is the one that Debian's and
/// Ubuntu's own tools touch after an update.
pub const FRESH: &str = "find /var/lib/apt/periodic/update-success-stamp -mmin -60 2>&1 | grep -qx /var/lib/apt/periodic/update-success-stamp && ! find /etc/apt -newer /var/lib/apt/periodic/update-success-stamp | grep -q .";
/// Succeeds if the sources have changed since the last update.
pub const CHANGED: &str = "find /etc/apt -newer /var/lib/apt/periodic/update-success-stamp | grep -q .";
/// Fetches the lists.
pub const UPDATE: &str = "apt-get -q -o Acquire::Retries=1 -o APT::Update::Error-Mode=any -o DPkg::Lock::Timeout=0 update && mkdir -p /var/lib/apt/periodic && touch /var/lib/apt/periodic/update-success-stamp";
/// Finishes what a killed dpkg left.
pub const CONFIGURE: &str = "dpkg --force-confdef --force-confold --configure -a";
/// Options of every apt-get that installs or removes.
const OPTIONS: &str = "-y -q -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=0 -o Acquire::Retries=1";

/// Why a package is not as declared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PackageError {
    #[error("this machine has no {PROGRAM}: `package` works with apt only, in this version")]
    NoApt,
    #[error("there is no package `{name}` in apt's lists{}{}", near(nearest), lists(outdated))]
    Unknown { name: String, nearest: Option<String>, outdated: Option<String> },
    #[error("`{name}` is a virtual package: name one that provides it: {}", providers.join(", "))]
    Virtual { name: String, providers: Vec<String> },
    #[error("`{name}` is held at {version} (`apt-mark hold`), {wanted}: `apt-mark unhold {name}` lets it go")]
    Held { name: String, version: String, wanted: String },
    #[error("another program is at work on the packages, {waited} s were waited for it: {why}")]
    Locked { waited: u64, why: String },
    #[error("cannot {doing} `{name}`: {why}")]
    Refused { doing: &'static str, name: String, why: String },
    #[error("apt ended well, but `{name}` is not {wanted}: look at `dpkg -s {name}`")]
    Unchanged { name: String, wanted: &'static str },
}

/// What is known of apt's lists in one run: they are fetched once.
#[derive(Debug, Default)]
pub struct Lists {
    tried: Cell<bool>,
    failure: RefCell<Option<String>>,
}

/// What is to be done with a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Its name, as declared.
    pub name: String,
    /// What to do.
    pub verb: Verb,
}

/// What apt is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Installs it, or its latest version.
    Install,
    /// Removes it and keeps its configuration files.
    Remove,
    /// Removes it with its configuration files.
    Purge,
}

impl Verb {
    /// The word on the command line, which is good for a message too.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Install => "install",
            Verb::Remove => "remove",
            Verb::Purge => "purge",
        }
    }
}

/// Fetches the lists unless they are young; once a run, and again when the sources have changed since.
///
/// # Errors
/// [`Trouble`] when time is up or a lock is not to be had. That servers do not answer is not one: what is known may do.
pub fn freshen(lists: &Lists, wanted: bool, host: &mut dyn Host, limits: &Limits) -> Result<(), Trouble> {
    let again = lists.tried.get() && lists.failure.borrow().is_none() && succeeds(CHANGED, host, limits)?;
    let due = if lists.tried.get() { again } else { wanted || !is_fresh(host, limits)? };
    if !due {
        return Ok(());
    }
    lists.tried.set(true);
    let ran = unlocked(UPDATE, host, limits)?;
    let failed = (ran.ending != Ending::Exit(0)).then(|| said::reason(&ran.output));
    *lists.failure.borrow_mut() = failed;
    Ok(())
}

/// Whether the lists are young enough to be taken as they are.
///
/// # Errors
/// [`Trouble`] when it cannot be asked.
pub fn is_fresh(host: &mut dyn Host, limits: &Limits) -> Result<bool, Trouble> {
    succeeds(FRESH, host, limits)
}

/// The version that an installation would take, as the lists say.
///
/// # Errors
/// [`Trouble`] when apt cannot be asked.
pub fn candidate(name: &str, host: &mut dyn Host, limits: &Limits) -> Result<Option<String>, Trouble> {
    let ran = run(&format!("apt-cache policy {name}"), host, limits)?;
    let text = String::from_utf8_lossy(&ran.output);
    let found = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    Ok(found.map(str::trim).filter(|version| *version != "(none)").map(str::to_owned))
}

/// The error for a name that the lists do not have.
///
/// # Errors
/// [`Trouble`] when apt cannot be asked.
pub fn unknown(
    name: &str,
    lists: &Lists,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<PackageError, Trouble> {
    let stem = name.split(':').next().unwrap_or(name);
    let shown = run(&format!("apt-cache showpkg {stem}"), host, limits)?;
    let providers = said::providers(&shown.output);
    if !providers.is_empty() {
        return Ok(PackageError::Virtual { name: name.to_owned(), providers });
    }
    // Names of another length are not near, and there are 60,000.
    let (start, least, most) =
        (stem.get(..1).unwrap_or_default(), stem.len().saturating_sub(2).max(1), stem.len() + 2);
    let line = format!("apt-cache pkgnames {start} | grep -xE '.{{{least},{most}}}'");
    let ran = run(&line, host, limits)?;
    let text = String::from_utf8_lossy(&ran.output);
    let near =
        nearest(stem, text.lines().filter(|line| Word::Package.fault(line).is_none())).map(str::to_owned);
    let outdated = lists.failure.borrow().clone();
    Ok(PackageError::Unknown { name: name.to_owned(), nearest: near, outdated })
}

/// What apt would do.
///
/// # Errors
/// [`Trouble`] when it could not do it.
pub fn simulate(act: &Act, host: &mut dyn Host, limits: &Limits) -> Result<Plan, Trouble> {
    let ran = run(&format!("apt-get -s {OPTIONS} {} {}", act.verb.word(), act.name), host, limits)?;
    match ran.ending {
        Ending::Exit(0) => Ok(Plan::read(&ran.output)),
        _ => Err(refused(act, &ran)),
    }
}

/// Does it, and looks whether it is done.
///
/// # Errors
/// [`Trouble`] with what apt said.
pub fn perform(act: &Act, host: &mut dyn Host, limits: &Limits) -> Result<(), Trouble> {
    if dpkg::interrupted(host)? {
        let ran = unlocked(CONFIGURE, host, limits)?;
        if ran.ending != Ending::Exit(0) {
            return Err(refused(act, &ran));
        }
    }
    let ran = unlocked(&format!("apt-get {OPTIONS} {} {}", act.verb.word(), act.name), host, limits)?;
    if ran.ending != Ending::Exit(0) {
        return Err(refused(act, &ran));
    }
    let packages = dpkg::packages(host)?;
    let stage = dpkg::find(&packages, &act.name).map_or(dpkg::Stage::Absent, |p| p.stage);
    let (done, wanted) = match act.verb {
        Verb::Install => (stage == dpkg::Stage::Installed, "installed"),
        Verb::Remove => (matches!(stage, dpkg::Stage::Absent | dpkg::Stage::ConfigFiles), "removed"),
        Verb::Purge => (stage == dpkg::Stage::Absent, "purged"),
    };
    let name = act.name.clone();
    if done { Ok(()) } else { Err(PackageError::Unchanged { name, wanted }.into()) }
}

/// Whether apt is there.
///
/// # Errors
/// [`PackageError::NoApt`] when it is not.
pub fn required(host: &dyn Host) -> Result<(), Trouble> {
    let there = HostPath::parse(PROGRAM).is_ok_and(|path| matches!(host.stat_followed(&path), Ok(Some(_))));
    if there { Ok(()) } else { Err(PackageError::NoApt.into()) }
}

/// Runs it again and again while another program holds a lock, within bounds.
fn unlocked(line: &str, host: &mut dyn Host, limits: &Limits) -> Result<Ran, Trouble> {
    let begun = host.millis();
    let patience = LOCK_MILLIS.min(limits.deadline.saturating_sub(begun) / 10 * 9);
    loop {
        let tried = host.millis();
        let ran = run(line, host, limits)?;
        let Some(why) = said::lock(&ran.output).filter(|_| ran.ending != Ending::Exit(0)) else {
            return Ok(ran);
        };
        let waited = host.millis().saturating_sub(begun);
        let took = host.millis().saturating_sub(tried);
        if waited + LOCK_NAP_MILLIS + took >= patience {
            return Err(PackageError::Locked { waited: waited / 1000, why }.into());
        }
        run(&format!("sleep {}", LOCK_NAP_MILLIS / 1000), host, limits)?;
    }
}

fn succeeds(line: &str, host: &mut dyn Host, limits: &Limits) -> Result<bool, Trouble> {
    Ok(run(line, host, limits)?.ending == Ending::Exit(0))
}

fn run(line: &str, host: &mut dyn Host, limits: &Limits) -> Result<Ran, Trouble> {
    let run = Run { command: line.to_owned(), cwd: None, environment: environment(), returns: vec![0] };
    run_within(&run, host, limits)
}

/// English, no questions, and no service restarted beyond what packages do themselves.
fn environment() -> BTreeMap<String, String> {
    let all = [
        ("LC_ALL", "C"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBIAN_PRIORITY", "critical"),
        ("APT_LISTCHANGES_FRONTEND", "none"),
        ("APT_LISTBUGS_FRONTEND", "none"),
        ("NEEDRESTART_SUSPEND", "1"),
        ("NEEDRESTART_MODE", "l"),
        ("UCF_FORCE_CONFFOLD", "1"),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn refused(act: &Act, ran: &Ran) -> Trouble {
    PackageError::Refused { doing: act.verb.word(), name: act.name.clone(), why: said::reason(&ran.output) }
        .into()
}

fn near(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|n| format!("; the nearest is `{}`", escaped(n))).unwrap_or_default()
}

fn lists(outdated: &Option<String>) -> String {
    outdated.as_ref().map(|why| format!("; they could not be fetched: {why}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_the_lists_is_written_once() {
        assert!(FRESH.contains(&format!("-mmin -{LISTS_MINUTES} ")));
    }
}
