//! systemd's units: what they are, starting and stopping them, and why one does not start.
//!
//! It never guesses from what a program prints: states come from `systemctl show`, whose properties are systemd's
//! interface. After a start it looks again, since most services are "started" before they have failed. Unit names reach
//! a command line only in the form of `Word::Unit`, and in quotes.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use vigo_base::text::{escaped, nearest};
use vigo_stacks::words::Word;

use crate::change::{Limits, Run, Trouble, run_within};
use crate::host::{Ending, Entry, Host, Kind, Ran};
use crate::path::HostPath;

/// Where unit files are.
pub const FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Things read of one folder.
pub const ENTRIES: usize = 8192;
/// Lines of the journal in an error.
const LINES: usize = 5;
/// Characters of them.
const LINES_CHARS: usize = 500;
/// How long a service of which nobody says that it is ready is given to fail.
const SETTLE: &str = "sleep 0.8";
/// What is asked of a unit.
const PROPERTIES: &str = "Id,LoadState,LoadError,ActiveState,SubState,UnitFileState,NeedDaemonReload,CanReload,Type,RemainAfterExit,Result,InvocationID,DropInPaths,ExecMainStartTimestampMonotonic";

/// Why a service is not as declared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ServiceError {
    #[error("systemd does not run on this machine: `service` works with it only, in this version")]
    NoSystemd,
    #[error("there is no unit {unit}{}", near(nearest))]
    NoUnit { unit: String, nearest: Option<String> },
    #[error("{unit} is masked: `systemctl unmask {unit}` lets it be used")]
    Masked { unit: String },
    #[error("systemd cannot read {unit} ({state}): {why}")]
    Unreadable { unit: String, state: String, why: String },
    #[error("{unit} cannot reload its settings: use `state: restarted`")]
    NoReload { unit: String },
    #[error("cannot {doing} {unit}: {why}")]
    Refused { doing: &'static str, unit: String, why: String },
    #[error("{unit} was started and {state} at once ({result}); its journal says: {journal}")]
    Died { unit: String, state: &'static str, result: String, journal: String },
    #[error("{unit} does not {doing} ({result}); its journal says: {journal}")]
    Failed { doing: &'static str, unit: String, result: String, journal: String },
    #[error("systemctl does not answer as expected: {why}")]
    Odd { why: String },
}

/// What systemd knows of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// Its own name: another than the one asked for by an alias.
    pub id: String,
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// Why it is not loaded.
    pub load_error: String,
    /// `active`, `inactive`, `failed`, …
    pub active: String,
    /// `running`, `dead`, `auto-restart`, …
    pub sub: String,
    /// `enabled`, `disabled`, `static`, …; empty for what has no file.
    pub file: String,
    /// Its file has changed since systemd read it.
    pub outdated: bool,
    /// The names of the files in its `.d` folders that systemd has read.
    pub parts: BTreeSet<String>,
    /// It has a command that reloads its settings.
    pub can_reload: bool,
    /// It does something and ends: a `oneshot` that does not remain.
    pub ends: bool,
    /// systemd takes it for started as soon as its process is there.
    pub unsure: bool,
    /// It has been started since the machine was.
    pub begun: bool,
    /// The id of its last start; what it prints carries it.
    pub invocation: String,
    /// How it ended: `success`, `exit-code`, …
    pub result: String,
}

impl Unit {
    /// Whether it runs, or is about to.
    pub fn is_up(&self) -> bool {
        match self.active.as_str() {
            "active" | "reloading" | "refreshing" => true,
            "activating" => self.sub != "auto-restart",
            _ => false,
        }
    }

    /// Whether nothing of it runs, nor will by itself.
    pub fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    fn read(text: &str) -> Unit {
        let fields: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let get = |name: &str| fields.get(name).map(|value| escaped(value)).unwrap_or_default();
        Unit {
            id: get("Id"),
            load: get("LoadState"),
            load_error: get("LoadError"),
            active: get("ActiveState"),
            sub: get("SubState"),
            file: get("UnitFileState"),
            outdated: get("NeedDaemonReload") == "yes",
            parts: get("DropInPaths")
                .split(' ')
                .filter_map(|p| p.rsplit('/').next())
                .map(str::to_owned)
                .collect(),
            can_reload: get("CanReload") == "yes",
            ends: get("Type") == "oneshot" && get("RemainAfterExit") != "yes",
            unsure: matches!(get("Type").as_str(), "simple" | "exec" | "idle"),
            begun: !matches!(get("ExecMainStartTimestampMonotonic").as_str(), "" | "0"),
            invocation: get("InvocationID"),
            result: get("Result"),
        }
    }
}

/// What is to be done with a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The unit's own name.
    pub unit: String,
    /// What to do.
    pub verb: Verb,
}

/// What systemd is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are systemctl's own words")]
pub enum Verb {
    DaemonReload,
    Enable,
    Disable,
    /// Takes back what holds until the next start of the machine only.
    DisableRuntime,
    Start,
    Stop,
    Restart,
    Reload,
}

impl Verb {
    fn line(self, unit: &str) -> String {
        let words = match self {
            Verb::DaemonReload => return "systemctl daemon-reload".to_owned(),
            Verb::DisableRuntime => "disable --runtime",
            other => other.word(),
        };
        format!("systemctl --no-ask-password {words} -- '{unit}'")
    }

    fn word(self) -> &'static str {
        match self {
            Verb::DaemonReload => "reload the definition of",
            Verb::Enable => "enable",
            Verb::Disable | Verb::DisableRuntime => "disable",
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Reload => "reload",
        }
    }
}

/// Whether systemd runs here.
///
/// # Errors
/// [`ServiceError::NoSystemd`] when it does not.
pub fn required(host: &dyn Host) -> Result<(), Trouble> {
    let there =
        HostPath::parse("/run/systemd/system").is_ok_and(|p| matches!(host.stat_followed(&p), Ok(Some(_))));
    if there { Ok(()) } else { Err(ServiceError::NoSystemd.into()) }
}

/// What systemd knows of `unit`.
///
/// # Errors
/// [`Trouble`] when it does not say.
pub fn look(unit: &str, host: &mut dyn Host, limits: &Limits) -> Result<Unit, Trouble> {
    let ran = run(&format!("systemctl show --no-pager --property={PROPERTIES} -- '{unit}'"), host, limits)?;
    let read = Unit::read(&String::from_utf8_lossy(&ran.output));
    if ran.ending == Ending::Exit(0) && !read.load.is_empty() && Word::Unit.fault(&read.id).is_none() {
        let outdated = read.outdated || (read.load == "loaded" && has_new_parts(&read, host));
        return Ok(Unit { outdated, ..read });
    }
    Err(ServiceError::Odd { why: last_lines(&ran.output) }.into())
}

/// Whether a file in the unit's `.d` folders is not yet part of it: systemd itself does not notice a new folder.
fn has_new_parts(unit: &Unit, host: &dyn Host) -> bool {
    let mut seen = BTreeSet::new();
    FOLDERS.iter().any(|folder| {
        let entries = list(host, &format!("{folder}/{}.d", unit.id)).into_iter();
        let mut first = entries.filter(|e| e.name.ends_with(".conf") && seen.insert(e.name.clone()));
        first.any(|e| e.kind == Kind::File && !unit.parts.contains(&e.name))
    })
}

/// Whether an init script, which systemd only wraps, is enabled.
///
/// # Errors
/// [`Trouble`] when it cannot be asked.
pub fn script_enabled(unit: &str, host: &mut dyn Host, limits: &Limits) -> Result<bool, Trouble> {
    let ran = run(&format!("systemctl is-enabled --quiet -- '{unit}'"), host, limits)?;
    Ok(ran.ending == Ending::Exit(0))
}

/// Has systemd read all unit files again.
///
/// # Errors
/// [`Trouble`] when it does not.
pub fn read_again(host: &mut dyn Host, limits: &Limits) -> Result<(), Trouble> {
    perform(&Act { unit: String::new(), verb: Verb::DaemonReload }, host, limits)
}

/// The error for a unit that there is not.
pub fn no_unit(unit: &str, host: &dyn Host) -> ServiceError {
    let known = names(host);
    let nearest = nearest(unit, known.iter().map(String::as_str)).map(str::to_owned);
    ServiceError::NoUnit { unit: unit.to_owned(), nearest }
}

/// The names of all unit files.
pub fn names(host: &dyn Host) -> BTreeSet<String> {
    let entries = FOLDERS.iter().flat_map(|folder| list(host, folder));
    entries.filter(|e| matches!(e.kind, Kind::File | Kind::Symlink)).map(|e| e.name).collect()
}

/// What is in a folder; nothing if it cannot be listed.
pub(crate) fn list(host: &dyn Host, path: &str) -> Vec<Entry> {
    HostPath::parse(path).ok().and_then(|p| host.list(&p, ENTRIES).ok()).unwrap_or_default()
}

/// Does it, and looks whether a unit that was started stays.
///
/// # Errors
/// [`Trouble`] with what systemd, or the unit's journal, says.
pub fn perform(act: &Act, host: &mut dyn Host, limits: &Limits) -> Result<(), Trouble> {
    let unit = act.unit.as_str();
    let starts = matches!(act.verb, Verb::Start | Verb::Restart);
    if starts {
        // A unit that failed often is refused a start until this is said; it is no error if nothing failed.
        run(&format!("systemctl reset-failed -- '{unit}'"), host, limits)?;
    }
    let ran = run(&act.verb.line(unit), host, limits)?;
    let doing = act.verb.word();
    if ran.ending != Ending::Exit(0) {
        let failed = starts || act.verb == Verb::Reload;
        let known = failed.then(|| look(unit, host, limits)).transpose()?;
        return Err(
            match known.filter(|u| u.load == "loaded" && u.result != "success" && !u.result.is_empty()) {
                Some(known) => {
                    let journal = journal(&known, host, limits)?;
                    ServiceError::Failed { doing, unit: unit.to_owned(), result: known.result, journal }
                        .into()
                }
                None => ServiceError::Refused { doing, unit: unit.to_owned(), why: last_lines(&ran.output) }
                    .into(),
            },
        );
    }
    if starts {
        let mut after = look(unit, host, limits)?;
        if after.unsure && after.is_up() {
            run(SETTLE, host, limits)?;
            after = look(unit, host, limits)?;
        }
        let state = match (after.active.as_str(), after.sub.as_str()) {
            ("failed", _) => "failed",
            ("activating", "auto-restart") => "ended",
            _ => return Ok(()),
        };
        let journal = journal(&after, host, limits)?;
        return Err(ServiceError::Died { unit: unit.to_owned(), state, result: after.result, journal }.into());
    }
    Ok(())
}

/// The last lines of a unit's journal: what it said since its last start, else what systemd says of it.
fn journal(unit: &Unit, host: &mut dyn Host, limits: &Limits) -> Result<String, Trouble> {
    let id = unit.invocation.as_str();
    let known = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let own = known.then(|| format!("_SYSTEMD_INVOCATION_ID={id}"));
    // What was printed right before the end may still be on its way.
    run("journalctl --sync", host, limits)?;
    for matches in own.into_iter().chain([format!("--unit='{}'", unit.id)]) {
        let line = format!("journalctl --no-pager --quiet --boot --lines=20 --output=cat {matches}");
        let ran = run(&line, host, limits)?;
        if ran.ending == Ending::Exit(0) && !ran.output.trim_ascii().is_empty() {
            return Ok(last_lines(&ran.output));
        }
    }
    Ok("nothing".to_owned())
}

fn run(line: &str, host: &mut dyn Host, limits: &Limits) -> Result<Ran, Trouble> {
    let environment = [("LC_ALL", "C"), ("SYSTEMD_COLORS", "0")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let run = Run { command: line.to_owned(), cwd: None, environment: environment.into(), returns: vec![0] };
    run_within(&run, host, limits)
}

fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { "it said nothing".to_owned() } else { joined(&lines) }
}

fn joined(lines: &[&str]) -> String {
    let last = lines.iter().skip(lines.len().saturating_sub(LINES));
    let text = last.map(|line| escaped(line)).collect::<Vec<_>>().join("; ");
    text.chars().take(LINES_CHARS).collect()
}

fn near(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|n| format!("; the nearest is {}", escaped(n))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read() {
        let unit = Unit::read(
            "Id=ssh.service\nLoadState=loaded\nActiveState=activating\nSubState=auto-restart\nType=oneshot\n\
             RemainAfterExit=no\nUnitFileState=enabled\nNeedDaemonReload=yes\nCanReload=yes\nResult=exit-code\n\
             ExecMainStartTimestampMonotonic=12\nbroken\n",
        );
        assert!(
            !unit.is_up() && !unit.is_down() && unit.outdated && unit.can_reload && unit.ends && unit.begun
        );
        let starting = Unit { active: "activating".into(), sub: "start".into(), ..Unit::default() };
        assert!(starting.is_up());
        let failed = Unit { active: "failed".into(), ..Unit::default() };
        assert!(failed.is_down() && !failed.is_up());
    }
}
