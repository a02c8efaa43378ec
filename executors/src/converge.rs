//! One run: every step of a plan, in its order, against a host.
//!
//! It never stops because a step failed, never evaluates a condition or a template before the step's turn, and
//! never reads a clock but the host's. Invariants: a step whose dependency failed or was blocked is blocked; a
//! step that waits for a trigger runs only after one; in a dry run nothing is changed and the report says what a
//! run would do; a second run of steps that describe a state changes nothing; what a change triggers is recorded
//! before it, by [`crate::pending`].

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use vigo_base::text::escaped;
use vigo_stacks::plan::{Plan, Step};
use vigo_stacks::report::{Outcome, RunReport, StepReport};
use vigo_stacks::template::{TemplateError, render};
use vigo_stacks::when::{Answer, Scope, eval};

use crate::apt::Lists;
use crate::change::{Change, Limits, Trouble, Turn, apply, brief};
use crate::host::Host;
use crate::pending::{Cause, Pending, Triggers, well};
use crate::probe::HostProbe;
use crate::types::{BadResource, Resource};

/// Characters of a message in a report.
const MESSAGE_CHARS: usize = 1000;

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Look and report, change nothing.
    pub dry_run: bool,
    /// Set it to end the run before its next step; a running command is killed.
    pub stop: Arc<AtomicBool>,
}

/// What an observer sees of a run, as it happens.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A step's turn has come.
    Begun {
        /// Its place in the plan, from 0.
        index: usize,
        /// How many steps there are.
        total: usize,
        /// The step.
        step: &'a Step,
    },
    /// A step is done.
    Done {
        /// Its place in the plan, from 0.
        index: usize,
        /// How many steps there are.
        total: usize,
        /// What became of it.
        report: &'a StepReport,
    },
}

/// Brings `host` to what `plan` declares, or with [`Options::dry_run`] says what that would take. `pending` holds what
/// earlier runs left to be triggered, and what this one does.
pub fn converge(
    plan: &Plan,
    host: &mut dyn Host,
    pending: &mut dyn Pending,
    traits: &Value,
    options: &Options,
    observe: &mut dyn FnMut(Progress<'_>),
) -> RunReport {
    let started = host.millis();
    let total = plan.steps.len();
    let mut run = Run {
        plan,
        traits,
        options,
        triggers: Triggers::begin(plan, pending, options.dry_run),
        lists: Lists::default(),
        report: RunReport { dry_run: options.dry_run, ..RunReport::default() },
        unanswered: false,
    };
    for (index, step) in plan.steps.iter().enumerate() {
        if options.stop.load(Ordering::SeqCst) {
            run.report.aborted =
                Some(format!("stopped before {}, step {} of {total}", escaped(&step.id), index + 1));
            break;
        }
        observe(Progress::Begun { index, total, step });
        let begun = host.millis();
        let change = run.turn(index, step, host);
        let done = reported(step, change, host.millis().saturating_sub(begun));
        observe(Progress::Done { index, total, report: &done });
        run.report.counts.add(done.outcome);
        run.report.steps.push(done);
    }
    run.report.pending = run.triggers.left();
    run.report.millis = host.millis().saturating_sub(started);
    run.report
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    traits: &'a Value,
    options: &'a Options,
    triggers: Triggers<'a>,
    lists: Lists,
    report: RunReport,
    /// The condition of the step whose turn it is could not be answered: a trigger waits until it can.
    unanswered: bool,
}

impl Run<'_> {
    /// One step, and what follows for those after it.
    fn turn(&mut self, index: usize, step: &Step, host: &mut dyn Host) -> Change {
        if let Some(why) = blocked_by(self.plan, step, index, &self.report.steps) {
            return Change { outcome: Outcome::Blocked, ..Change::nothing(why) };
        }
        self.unanswered = false;
        let cause = self.triggers.cause(index, &self.report.steps);
        let result = self.guarded(index, step, cause != Cause::None, host);
        let unmade = |trouble: &Trouble| {
            let id = unmade(self.plan, step, &self.report.steps, self.options.dry_run);
            id.filter(|_| trouble.is_missing())
        };
        let mut change = result.unwrap_or_else(|trouble| match unmade(&trouble) {
            Some(id) => Change {
                outcome: Outcome::Updated,
                ..Change::nothing(format!("cannot be foreseen before {id} is done: {trouble}"))
            },
            None => failed(step, &trouble),
        });
        if change.outcome.changed() {
            self.triggers.fire(index);
        }
        if cause == Cause::EarlierRun {
            change.message = format!("pending from an earlier run: {}", change.message);
        }
        if cause != Cause::None
            && well(change.outcome)
            && !self.unanswered
            && let Err(why) = self.triggers.settle(index)
        {
            change
                .message
                .push_str(&format!("; the next run triggers it once more: {}", escaped(&why.to_string())));
        }
        change
    }

    /// One step; a panic in it, which would be our mistake, is its failure and not the run's.
    fn guarded(
        &mut self,
        index: usize,
        step: &Step,
        triggered: bool,
        host: &mut dyn Host,
    ) -> Result<Change, Trouble> {
        let run = AssertUnwindSafe(|| self.perform(index, step, triggered, host));
        let internal = "an internal error of this program; please report it";
        catch_unwind(run)
            .unwrap_or_else(|_| Ok(Change { outcome: Outcome::Failed, ..Change::nothing(internal) }))
    }

    fn perform(
        &mut self,
        index: usize,
        step: &Step,
        triggered: bool,
        host: &mut dyn Host,
    ) -> Result<Change, Trouble> {
        if step.only_when_triggered && !triggered {
            return Ok(Change::skipped("waits for a trigger"));
        }
        let deadline = host.millis().saturating_add(step.timeout.max(1).saturating_mul(1000));
        let limits = Limits { deadline, stop: Arc::clone(&self.options.stop) };
        if let Some(skipped) = self.unmet(step, host, &limits)? {
            return Ok(skipped);
        }
        if let Some(why) = &step.fault {
            return Err(Trouble::Declared(BadResource::Undecided(escaped(why))));
        }
        if step.revert.is_some() {
            return Err(Trouble::Declared(BadResource::NoRevert));
        }
        let attributes = rendered(step, self.traits)?;
        let resource = Resource::parse(&step.kind, &attributes).map_err(Trouble::Declared)?;
        let turn = Turn { triggered, dry_run: self.options.dry_run, lists: &self.lists };
        let change = resource.check(host, &limits, &turn)?;
        if !self.options.dry_run {
            if change.outcome.changed() {
                self.triggers.record(index)?;
            }
            apply(&change, host, &limits)?;
        }
        Ok(change)
    }

    /// What a step comes to whose condition does not hold.
    fn unmet(
        &mut self,
        step: &Step,
        host: &mut dyn Host,
        limits: &Limits,
    ) -> Result<Option<Change>, Trouble> {
        let Some(condition) = &step.when else { return Ok(None) };
        let scope = Scope { vars: &step.vars, traits: self.traits };
        let answer = eval(condition, &scope, &mut HostProbe { host: &mut *host, limits });
        match answer {
            Answer::Yes => Ok(None),
            Answer::No => {
                let why = format!("when: {} does not hold", brief(&condition.to_string()));
                Ok(Some(Change::skipped(why)))
            }
            Answer::Unavailable(_) if self.options.stop.load(Ordering::SeqCst) => Err(Trouble::Stopped),
            Answer::Unavailable(_) if host.millis() >= limits.deadline => Err(Trouble::TimedOut),
            Answer::Unavailable(why) => {
                self.unanswered = true;
                Ok(Some(Change::skipped(format!("when: {}", escaped(&why)))))
            }
        }
    }
}

/// Why the step cannot run, if one of its dependencies stands in the way.
fn blocked_by(plan: &Plan, step: &Step, index: usize, done: &[StepReport]) -> Option<String> {
    step.depends_on.iter().find_map(|dependency| {
        let id = plan.steps.get(*dependency).map_or("?", |s| s.id.as_str());
        let id = escaped(id);
        match done.get(*dependency).filter(|_| *dependency < index).map(|r| r.outcome) {
            Some(Outcome::Failed) => Some(format!("depends on {id}, which failed")),
            Some(Outcome::Blocked) => Some(format!("depends on {id}, which is blocked")),
            Some(_) => None,
            None => Some(format!("depends on {id}, which has not run before it")),
        }
    })
}

/// In a dry run: a dependency that a run would first make or change, so that what is missing now may be there then.
fn unmade(plan: &Plan, step: &Step, done: &[StepReport], dry_run: bool) -> Option<String> {
    let changes = |d: &&usize| done.get(**d).is_some_and(|r| r.outcome.changed());
    let dependency = step.depends_on.iter().filter(|_| dry_run).find(changes)?;
    plan.steps.get(*dependency).map(|s| escaped(&s.id))
}

fn failed(step: &Step, trouble: &Trouble) -> Change {
    let message = match trouble {
        Trouble::TimedOut => format!("execution timed out: it may take {} s (`timeout`)", step.timeout),
        trouble => trouble.to_string(),
    };
    Change { outcome: Outcome::Failed, ..Change::nothing(message) }
}

/// The attributes with their templates rendered.
fn rendered(step: &Step, traits: &Value) -> Result<BTreeMap<String, Value>, Trouble> {
    let render_one = |(name, value): (&String, &Value)| {
        let value = render_value(value, &step.vars, traits)
            .map_err(|error| Trouble::Template { name: name.clone(), error })?;
        Ok((name.clone(), value))
    };
    step.attributes.iter().map(render_one).collect()
}

fn render_value(
    value: &Value,
    vars: &BTreeMap<String, Value>,
    traits: &Value,
) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => Value::String(render(text, vars, traits)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|v| render_value(v, vars, traits)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, v)| Ok((key.clone(), render_value(v, vars, traits)?)))
                .collect::<Result<_, TemplateError>>()?,
        ),
        other => other.clone(),
    })
}

fn reported(step: &Step, change: Change, millis: u64) -> StepReport {
    let mut message = change.message;
    if message.chars().count() > MESSAGE_CHARS {
        message = message.chars().take(MESSAGE_CHARS).chain(['…']).collect();
    }
    let (id, kind) = (step.id.clone(), step.kind.clone());
    StepReport { id, kind, outcome: change.outcome, message, diff: change.diff, millis }
}
