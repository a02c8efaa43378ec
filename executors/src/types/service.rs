//! A unit of systemd: whether it runs, and whether it starts with the machine.
//!
//! `restarted` and `reloaded` mean running, and restarted or reloaded when the resource is triggered: a run without a
//! trigger starts what does not run and else changes nothing. It never unmasks a unit, and never touches one whose state
//! and files are as declared.

use vigo_stacks::report::Outcome;
use vigo_stacks::words::{Word, unit_name};

use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Action, Change, Limits, Trouble, Turn};
use crate::host::Host;
use crate::systemd::{self, Act, ServiceError, Unit, Verb};

/// Said of a service on a host where commands may not run.
pub const NO_SERVICES: &str = "services are not managed below --fs-root";

/// What a `service` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    unit: String,
    state: State,
    enabled: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
    Restarted,
    Reloaded,
}

impl Service {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<Service, BadAttribute> {
        let name = "service";
        let service = attributes.shaped(name, Word::Unit)?.ok_or(BadAttribute::Missing { name })?;
        let states = ["running", "stopped", "restarted", "reloaded"];
        let state =
            match attributes.one_of("state", &states, "`running`, `stopped`, `restarted` or `reloaded`")? {
                1 => State::Stopped,
                2 => State::Restarted,
                3 => State::Reloaded,
                _ => State::Running,
            };
        Ok(Service { unit: unit_name(&service), state, enabled: attributes.choice("enabled")? })
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// [`Trouble`] when systemd does not run, or the unit is not there, masked or unreadable and is to run.
    pub fn check(&self, host: &mut dyn Host, limits: &Limits, turn: &Turn<'_>) -> Result<Change, Trouble> {
        if !host.capabilities().exec {
            return Ok(Change::skipped(NO_SERVICES));
        }
        systemd::required(host)?;
        let mut unit = systemd::look(&self.unit, host, limits)?;
        if unit.load == "not-found" && self.is_wanted() && !turn.dry_run {
            // systemd may have missed that the file came.
            systemd::read_again(host, limits)?;
            unit = systemd::look(&self.unit, host, limits)?;
        }
        if self.is_wanted() {
            self.usable(&unit, host)?;
        }
        let mut todo = Todo { unit: &unit.id, verbs: Vec::new(), words: Vec::new(), notes: Vec::new() };
        if unit.outdated && self.is_wanted() {
            todo.add(Verb::DaemonReload, "definition read again");
        }
        if self.state == State::Stopped && !unit.is_down() {
            todo.add(Verb::Stop, "stopped");
        }
        self.enablement(&unit, &mut todo, host, limits)?;
        if self.state != State::Stopped {
            self.running(&unit, turn.triggered, &mut todo)?;
        }
        if unit.load == "not-found" {
            todo.notes.push("there is no such unit".to_owned());
        }
        Ok(todo.change())
    }

    /// Whether the unit has to be there.
    fn is_wanted(&self) -> bool {
        self.state != State::Stopped || self.enabled == Some(true)
    }

    fn usable(&self, unit: &Unit, host: &dyn Host) -> Result<(), Trouble> {
        match unit.load.as_str() {
            "loaded" => Ok(()),
            "not-found" => Err(systemd::no_unit(&self.unit, host).into()),
            "masked" => Err(ServiceError::Masked { unit: unit.id.clone() }.into()),
            state => {
                let (unit, state, why) = (unit.id.clone(), state.to_owned(), unit.load_error.clone());
                Err(ServiceError::Unreadable { unit, state, why }.into())
            }
        }
    }

    fn enablement(
        &self,
        unit: &Unit,
        todo: &mut Todo<'_>,
        host: &mut dyn Host,
        limits: &Limits,
    ) -> Result<(), Trouble> {
        let Some(wanted) = self.enabled else { return Ok(()) };
        let is = match unit.file.as_str() {
            "enabled" => true,
            "generated" => systemd::script_enabled(&unit.id, host, limits)?,
            "enabled-runtime" if !wanted => {
                todo.add(Verb::DisableRuntime, "disabled");
                return Ok(());
            }
            // Nothing can be switched: others start it, or nobody does.
            "static" | "indirect" | "alias" | "transient" => {
                if wanted {
                    todo.notes.push(format!("it is {}: other units start it", unit.file));
                }
                wanted
            }
            _ => false,
        };
        match (is, wanted) {
            (false, true) => todo.add(Verb::Enable, "enabled"),
            (true, false) => todo.add(Verb::Disable, "disabled"),
            _ => {}
        }
        Ok(())
    }

    fn running(&self, unit: &Unit, triggered: bool, todo: &mut Todo<'_>) -> Result<(), Trouble> {
        let up = unit.is_up();
        match self.state {
            State::Restarted if triggered && (up || unit.ends) => todo.add(Verb::Restart, "restarted"),
            State::Reloaded if triggered && up && !unit.can_reload => {
                return Err(ServiceError::NoReload { unit: unit.id.clone() }.into());
            }
            State::Reloaded if triggered && up => todo.add(Verb::Reload, "reloaded"),
            _ if up => {}
            // It has done what it is there for, and is not to be started for ever.
            _ if unit.ends && unit.begun && unit.active == "inactive" => {
                todo.notes.push("it has done its work and ended, as a oneshot does".to_owned());
            }
            _ => todo.add(Verb::Start, "started"),
        }
        Ok(())
    }
}

/// What is to be done, in order.
struct Todo<'a> {
    unit: &'a str,
    verbs: Vec<Verb>,
    words: Vec<&'static str>,
    notes: Vec<String>,
}

impl Todo<'_> {
    fn add(&mut self, verb: Verb, word: &'static str) {
        self.verbs.push(verb);
        self.words.push(word);
    }

    fn change(self) -> Change {
        let words: Vec<&str> = self.words.into_iter().chain(self.notes.iter().map(String::as_str)).collect();
        let act = |verb| Action::Service(Act { unit: self.unit.to_owned(), verb });
        Change {
            outcome: if self.verbs.is_empty() { Outcome::None } else { Outcome::Updated },
            message: words.join("; "),
            diff: None,
            actions: self.verbs.into_iter().map(act).collect(),
        }
    }
}
