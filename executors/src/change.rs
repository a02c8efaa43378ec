//! The difference between what is and what is declared, and acting on it.
//!
//! `check` of a type gives a [`Change`]; a dry run shows it and stops; [`apply`] performs its actions and nothing
//! else. So a dry run cannot promise what a run does not do. A change never holds what it was computed from,
//! only what is to be done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use thiserror::Error;
use vigo_base::text::escaped;
use vigo_stacks::report::Outcome;
use vigo_stacks::template::TemplateError;

use crate::apt::{self, PackageError};
use crate::host::{Access, Command, Ending, Fault, Host, HostError, Kind, NewFile, Ran};
use crate::path::HostPath;
use crate::pending::NotRecorded;
use crate::systemd::{self, ServiceError};
use crate::types::BadResource;

/// What a step would do.
#[derive(Debug, Clone)]
pub struct Change {
    /// What its outcome is when [`apply`] succeeds.
    pub outcome: Outcome,
    /// What differs, in one line.
    pub message: String,
    /// What differs in content.
    pub diff: Option<String>,
    /// What to do, in order; empty when nothing is to be done.
    pub actions: Vec<Action>,
}

impl Change {
    /// No change, with a message.
    pub fn nothing(message: impl Into<String>) -> Change {
        Change { outcome: Outcome::None, message: message.into(), diff: None, actions: Vec::new() }
    }

    /// No change, since it may not or need not be looked at.
    pub fn skipped(message: impl Into<String>) -> Change {
        Change { outcome: Outcome::Skipped, ..Change::nothing(message) }
    }
}

/// One act on the machine.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "they are the operations of Host")]
pub enum Action {
    Write { path: HostPath, bytes: Arc<[u8]>, mode: u32, owner: Option<u32>, group: Option<u32> },
    MakeDir { path: HostPath, access: Access },
    Link { path: HostPath, to: String },
    RemoveFile { path: HostPath },
    RemoveDir { path: HostPath, recursive: bool },
    SetAccess { path: HostPath, access: Access },
    Run(Run),
    User(crate::types::user::Act),
    Package(apt::Act),
    Service(systemd::Act),
}

/// A command to run, and the exit codes that are a success.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "they are the attributes of exec")]
pub struct Run {
    pub command: String,
    pub cwd: Option<HostPath>,
    pub environment: BTreeMap<String, String>,
    pub returns: Vec<i32>,
}

/// How long a step may still take, and who may stop it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// On the host's clock, in milliseconds.
    pub deadline: u64,
    /// Ends a running command when set.
    pub stop: Arc<AtomicBool>,
}

/// What a step's turn in a run is like.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// A step before it has triggered it.
    pub triggered: bool,
    /// Nothing is to be changed.
    pub dry_run: bool,
    /// What the run knows of apt's lists.
    pub lists: &'a apt::Lists,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Trouble {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Declared(BadResource),
    #[error(transparent)]
    Account(#[from] crate::types::user::BadAccount),
    #[error("`{}`: {error}{}", escaped(name), help(error))]
    Template { name: String, error: TemplateError },
    #[error("{path} is {}, expected {expected}: move it away{}", found.described(), or_force(forceable))]
    InTheWay { path: HostPath, found: Kind, expected: &'static str, forceable: bool },
    #[error("{path} is {}: such a thing is never replaced or removed; move it away", found.described())]
    Odd { path: HostPath, found: Kind },
    #[error("execution timed out")]
    TimedOut,
    #[error("stopped before its end")]
    Stopped,
    #[error("nothing was changed: {0}")]
    Unrecorded(#[from] NotRecorded),
    #[error("`{}` {}, expected exit code {expected}{}", brief(command), ending(end), printed(output))]
    Command { command: String, end: Ending, expected: String, output: Vec<u8> },
}

impl Trouble {
    /// Whether it is that something is not there, which an earlier step may make.
    pub fn is_missing(&self) -> bool {
        match self {
            Trouble::Host(HostError::NoAccount { .. }) => true,
            Trouble::Host(error) => error.fault() == Fault::Missing,
            Trouble::Package(error) => matches!(error, PackageError::Unknown { .. } | PackageError::NoApt),
            Trouble::Service(error) => matches!(error, ServiceError::NoUnit { .. }),
            _ => false,
        }
    }
}

/// Performs the actions of `change`. What was done before an error stays done; the next run goes on from there.
///
/// # Errors
/// [`Trouble`] at the first action that fails; [`Trouble::TimedOut`] when the step's time was up before it began.
pub fn apply(change: &Change, host: &mut dyn Host, limits: &Limits) -> Result<(), Trouble> {
    if !change.actions.is_empty() && host.millis() >= limits.deadline {
        return Err(Trouble::TimedOut);
    }
    change.actions.iter().try_for_each(|action| perform(action, host, limits))
}

fn perform(action: &Action, host: &mut dyn Host, limits: &Limits) -> Result<(), Trouble> {
    match action {
        Action::Write { path, bytes, mode, owner, group } => {
            host.write(path, &NewFile { bytes, mode: *mode, owner: *owner, group: *group })?;
        }
        Action::MakeDir { path, access } => host.make_dir(path, access)?,
        Action::Link { path, to } => host.symlink(path, to)?,
        Action::RemoveFile { path } => host.remove_file(path)?,
        Action::RemoveDir { path, recursive } => host.remove_dir(path, *recursive)?,
        Action::SetAccess { path, access } => host.set_access(path, access)?,
        Action::Package(act) => apt::perform(act, host, limits)?,
        Action::Service(act) => systemd::perform(act, host, limits)?,
        Action::Run(run) => {
            let ran = run_within(run, host, limits)?;
            return ended_well(run, ran);
        }
        Action::User(act) => return act.perform(host, limits),
    }
    Ok(())
}

/// Whether a command ended with one of its codes for success.
pub(crate) fn ended_well(run: &Run, ran: Ran) -> Result<(), Trouble> {
    match ran.ending {
        Ending::Exit(code) if run.returns.contains(&code) => Ok(()),
        end => Err(failed(run, end, ran.output)),
    }
}

/// Runs a command in what is left of the step's time.
///
/// # Errors
/// [`Trouble::TimedOut`], [`Trouble::Stopped`], or the host's.
pub fn run_within(run: &Run, host: &mut dyn Host, limits: &Limits) -> Result<Ran, Trouble> {
    let left = limits.deadline.saturating_sub(host.millis());
    if left == 0 {
        return Err(Trouble::TimedOut);
    }
    let ran = host.run(&Command {
        line: run.command.clone(),
        cwd: run.cwd.clone(),
        environment: run.environment.clone(),
        timeout_millis: left,
        stop: Some(Arc::clone(&limits.stop)),
    })?;
    match ran.ending {
        Ending::TimedOut => Err(Trouble::TimedOut),
        Ending::Stopped => Err(Trouble::Stopped),
        Ending::Exit(_) | Ending::Signal(_) => Ok(ran),
    }
}

fn failed(run: &Run, end: Ending, output: Vec<u8>) -> Trouble {
    let codes: Vec<String> = run.returns.iter().map(i32::to_string).collect();
    Trouble::Command { command: run.command.clone(), end, expected: codes.join(" or "), output }
}

fn help(error: &TemplateError) -> String {
    if error.help.is_empty() { String::new() } else { format!("; {}", error.help) }
}

/// Only types that have the attribute may advise it.
fn or_force(forceable: &bool) -> &'static str {
    if *forceable { ", or set `force: true` to have it replaced" } else { "" }
}

/// A command for a message: one line, at most 120 characters.
pub fn brief(command: &str) -> String {
    let shown: String = command.trim().chars().take(120).collect();
    let more = if shown.len() < command.trim().len() { "…" } else { "" };
    format!("{}{more}", escaped(&shown))
}

fn ending(end: &Ending) -> String {
    match end {
        Ending::Exit(code) => format!("ended with exit code {code}"),
        Ending::Signal(signal) => format!("was ended by signal {signal}"),
        Ending::TimedOut => "timed out".to_owned(),
        Ending::Stopped => "was stopped".to_owned(),
    }
}

/// The end of an output, for a message.
fn printed(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(400);
    let tail: String = text.chars().skip(skip).collect();
    if tail.is_empty() { String::new() } else { format!("; it printed: {}", escaped(&tail)) }
}
