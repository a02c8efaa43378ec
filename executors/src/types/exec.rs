//! A command, run by `sh -c`.
//!
//! What it changes cannot be known, so that its guards are its state: `creates`, `onlyif` and `unless` say
//! whether it is already as declared. Guards are promised to change nothing, and are asked in a dry run too. It
//! never runs where the host has no such capability.

use std::collections::BTreeMap;

use vigo_base::text::escaped;
use vigo_stacks::report::Outcome;

use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Action, Change, Limits, Run, Trouble, brief, run_within};
use crate::host::{Ending, Host, NO_EXEC};
use crate::path::HostPath;

/// What an `exec` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    command: String,
    onlyif: Option<String>,
    unless: Option<String>,
    creates: Option<HostPath>,
    cwd: Option<HostPath>,
    environment: BTreeMap<String, String>,
    exit_codes: Vec<i32>,
}

impl Exec {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<Exec, BadAttribute> {
        let name = "command";
        let command = attributes.word(name)?.ok_or(BadAttribute::Missing { name })?;
        if command.contains('\0') {
            let found = format!("`{}`", escaped(&command.chars().take(80).collect::<String>()));
            return Err(BadAttribute::Wrong { name, found, expected: "a command line without NUL" });
        }
        Ok(Exec {
            command,
            onlyif: attributes.word("onlyif")?,
            unless: attributes.word("unless")?,
            creates: attributes.path("creates")?,
            cwd: attributes.path("cwd")?,
            environment: attributes.variables("environment")?,
            exit_codes: attributes.numbers("exit_codes")?.unwrap_or_else(|| vec![0]),
        })
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// [`Trouble`] when a guard cannot be asked or takes too long.
    pub fn check(&self, host: &mut dyn Host, limits: &Limits) -> Result<Change, Trouble> {
        if !host.capabilities().exec {
            return Ok(Change::skipped(NO_EXEC));
        }
        if let Some(path) = &self.creates
            && host.stat_followed(path)?.is_some()
        {
            return Ok(Change::nothing(format!("creates: {path} exists")));
        }
        if let Some(guard) = &self.onlyif
            && !self.succeeds(guard, host, limits)?
        {
            return Ok(Change::nothing(format!("onlyif: `{}` does not succeed", brief(guard))));
        }
        if let Some(guard) = &self.unless
            && self.succeeds(guard, host, limits)?
        {
            return Ok(Change::nothing(format!("unless: `{}` succeeds", brief(guard))));
        }
        Ok(Change {
            outcome: Outcome::Updated,
            message: format!("runs `{}`", brief(&self.command)),
            diff: None,
            actions: vec![Action::Run(self.run(&self.command))],
        })
    }

    fn succeeds(&self, guard: &str, host: &mut dyn Host, limits: &Limits) -> Result<bool, Trouble> {
        Ok(run_within(&self.run(guard), host, limits)?.ending == Ending::Exit(0))
    }

    fn run(&self, command: &str) -> Run {
        Run {
            command: command.to_owned(),
            cwd: self.cwd.clone(),
            environment: self.environment.clone(),
            returns: self.exit_codes.clone(),
        }
    }
}
