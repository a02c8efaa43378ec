//! A package of the distribution, by apt.
//!
//! It never asks apt while what is installed is as declared. `latest` looks at lists that are at most an hour old. What
//! is removed leaves its configuration files unless `purge` is set; a package that somebody holds is not touched but
//! reported.

use vigo_base::text::escaped;
use vigo_stacks::report::Outcome;
use vigo_stacks::words::Word;

use crate::apt::{self, Act, PackageError, Verb};
use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Action, Change, Limits, Trouble, Turn};
use crate::dpkg::{self, Stage};
use crate::host::Host;

/// Said of a package on a host where commands may not run.
pub const NO_PACKAGES: &str = "packages are not managed below --fs-root";

/// What a `package` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    name: String,
    state: State,
    purge: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    Absent,
    Latest,
}

impl Package {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<Package, BadAttribute> {
        let name = "package";
        let package = attributes.shaped(name, Word::Package)?.ok_or(BadAttribute::Missing { name })?;
        let states = ["present", "absent", "latest"];
        let state = match attributes.one_of("state", &states, "`present`, `absent` or `latest`")? {
            1 => State::Absent,
            2 => State::Latest,
            _ => State::Present,
        };
        Ok(Package { name: package, state, purge: attributes.flag("purge")? })
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// [`Trouble`] when there is no apt, it knows no such package, or could not do what is declared.
    pub fn check(&self, host: &mut dyn Host, limits: &Limits, turn: &Turn<'_>) -> Result<Change, Trouble> {
        if !host.capabilities().exec {
            return Ok(Change::skipped(NO_PACKAGES));
        }
        apt::required(host)?;
        let packages = dpkg::packages(host)?;
        let found = dpkg::find(&packages, &self.name);
        let stage = found.map_or(Stage::Absent, |p| p.stage);
        match (self.state, stage) {
            (State::Absent, Stage::Absent) => Ok(Change::nothing("")),
            (State::Absent, Stage::ConfigFiles) if !self.purge => Ok(Change::nothing("")),
            (State::Absent, _) => self.check_absent(found, host, limits),
            (State::Present, Stage::Installed) => Ok(Change::nothing(version(found))),
            (State::Latest, Stage::Installed) => self.check_newer(found, host, limits, turn),
            (State::Present | State::Latest, _) => self.check_install(stage, host, limits, turn),
        }
    }

    fn check_absent(
        &self,
        found: Option<&dpkg::Package>,
        host: &mut dyn Host,
        limits: &Limits,
    ) -> Result<Change, Trouble> {
        if let Some(held) = found.filter(|p| p.held && p.stage != Stage::ConfigFiles) {
            return Err(self.held(held, "and is to be removed"));
        }
        let act = self.act(if self.purge { Verb::Purge } else { Verb::Remove });
        let plan = apt::simulate(&act, host, limits)?;
        let word = if self.purge { "purged" } else { "removed" };
        Ok(change(Outcome::Deleted, format!("{word}{}", plan.beside(&self.name)), act))
    }

    /// A package that is there, and is to be the latest.
    fn check_newer(
        &self,
        found: Option<&dpkg::Package>,
        host: &mut dyn Host,
        limits: &Limits,
        turn: &Turn<'_>,
    ) -> Result<Change, Trouble> {
        if !turn.dry_run {
            apt::freshen(turn.lists, false, host, limits)?;
        }
        let installed = version(found);
        // A package that no source has, such as one that came as a file, has no later version.
        let Some(candidate) = apt::candidate(&self.name, host, limits)?.filter(|c| *c != installed) else {
            return Ok(Change::nothing(installed));
        };
        let act = self.act(Verb::Install);
        if let Some(held) = found.filter(|p| p.held) {
            return Err(
                self.held(held, &format!("{} is there and `latest` is declared", escaped(&candidate)))
            );
        }
        let plan = apt::simulate(&act, host, limits)?;
        match plan.version(&self.name) {
            None => Ok(Change::nothing(installed)),
            Some(newer) => {
                let message = format!("{installed} -> {}{}", escaped(newer), plan.beside(&self.name));
                Ok(change(Outcome::Updated, message, act))
            }
        }
    }

    fn check_install(
        &self,
        stage: Stage,
        host: &mut dyn Host,
        limits: &Limits,
        turn: &Turn<'_>,
    ) -> Result<Change, Trouble> {
        let act = self.act(Verb::Install);
        if !turn.dry_run {
            apt::freshen(turn.lists, false, host, limits)?;
        }
        let mut candidate = apt::candidate(&self.name, host, limits)?;
        if candidate.is_none() && !turn.dry_run {
            apt::freshen(turn.lists, true, host, limits)?;
            candidate = apt::candidate(&self.name, host, limits)?;
        }
        if candidate.is_none() && stage != Stage::Half {
            if turn.dry_run && !apt::is_fresh(host, limits)? {
                let message = "installed, if apt knows it once a run has fetched its lists: now it does not";
                return Ok(change(Outcome::Created, message.to_owned(), act));
            }
            return Err(apt::unknown(&self.name, turn.lists, host, limits)?.into());
        }
        let plan = apt::simulate(&act, host, limits)?;
        let beside = plan.beside(&self.name);
        if stage == Stage::Half {
            return Ok(change(Outcome::Updated, format!("installation completed{beside}"), act));
        }
        let version = plan.version(&self.name).map(escaped).or(candidate).unwrap_or_default();
        Ok(change(Outcome::Created, format!("installed {version}{beside}"), act))
    }

    fn act(&self, verb: Verb) -> Act {
        Act { name: self.name.clone(), verb }
    }

    fn held(&self, found: &dpkg::Package, wanted: &str) -> Trouble {
        let version = escaped(&found.version);
        PackageError::Held { name: self.name.clone(), version, wanted: wanted.to_owned() }.into()
    }
}

fn version(found: Option<&dpkg::Package>) -> String {
    found.map(|p| escaped(&p.version)).unwrap_or_default()
}

fn change(outcome: Outcome, message: String, act: Act) -> Change {
    Change { outcome, message, diff: None, actions: vec![Action::Package(act)] }
}
