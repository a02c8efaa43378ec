//! One run: every step of a plan, in its order, against a host.
//!
//! It never stops because a step failed, never evaluates a condition or a template before the step's turn, and
//! never reads a clock but the host's. Invariants: a step whose dependency failed or was blocked is blocked; a
//! step that waits for a trigger runs only after one; in a dry run nothing is changed and the report says what a
//! run would do; a second run of steps that describe a state changes nothing.

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
use crate::probe::HostProbe;
use crate::types::Resource;

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

/// Brings `host` to what `plan` declares, or with [`Options::dry_run`] says what that would take.
pub fn converge(
    plan: &Plan,
    host: &mut dyn Host,
    traits: &Value,
    options: &Options,
    observe: &mut dyn FnMut(Progress<'_>),
) -> RunReport {
    let started = host.millis();
    let total = plan.steps.len();
    let mut report = RunReport { dry_run: options.dry_run, ..RunReport::default() };
    let mut triggered = vec![false; total];
    let lists = Lists::default();
    for (index, step) in plan.steps.iter().enumerate() {
        if options.stop.load(Ordering::SeqCst) {
            report.aborted =
                Some(format!("stopped before {}, step {} of {total}", escaped(&step.id), index + 1));
            break;
        }
        observe(Progress::Begun { index, total, step });
        let begun = host.millis();
        let change = match blocked_by(plan, step, index, &report.steps) {
            Some(why) => Change { outcome: Outcome::Blocked, ..Change::nothing(why) },
            None => {
                let was_triggered = triggered.get(index).copied().unwrap_or(false);
                let turn = Turn { triggered: was_triggered, dry_run: options.dry_run, lists: &lists };
                let result = guarded(step, &turn, host, traits, options);
                result.unwrap_or_else(|trouble| match unmade(plan, step, &report.steps, options.dry_run) {
                    Some(id) if trouble.is_missing() => Change {
                        outcome: Outcome::Updated,
                        ..Change::nothing(format!("cannot be foreseen before {id} is done: {trouble}"))
                    },
                    _ => failed(step, &trouble),
                })
            }
        };
        if change.outcome.changed() {
            step.triggers.iter().for_each(|later| {
                if let Some(flag) = triggered.get_mut(*later) {
                    *flag = true;
                }
            });
        }
        let done = reported(step, change, host.millis().saturating_sub(begun));
        observe(Progress::Done { index, total, report: &done });
        report.counts.add(done.outcome);
        report.steps.push(done);
    }
    report.millis = host.millis().saturating_sub(started);
    report
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

/// One step; a panic in it, which would be our mistake, is its failure and not the run's.
fn guarded(
    step: &Step,
    turn: &Turn<'_>,
    host: &mut dyn Host,
    traits: &Value,
    options: &Options,
) -> Result<Change, Trouble> {
    let run = AssertUnwindSafe(|| perform(step, turn, host, traits, options));
    let internal = "an internal error of this program; please report it";
    catch_unwind(run).unwrap_or_else(|_| Ok(Change { outcome: Outcome::Failed, ..Change::nothing(internal) }))
}

fn failed(step: &Step, trouble: &Trouble) -> Change {
    let message = match trouble {
        Trouble::TimedOut => format!("execution timed out: it may take {} s (`timeout`)", step.timeout),
        trouble => trouble.to_string(),
    };
    Change { outcome: Outcome::Failed, ..Change::nothing(message) }
}

fn perform(
    step: &Step,
    turn: &Turn<'_>,
    host: &mut dyn Host,
    traits: &Value,
    options: &Options,
) -> Result<Change, Trouble> {
    if step.only_when_triggered && !turn.triggered {
        return Ok(Change::skipped("waits for a trigger"));
    }
    let deadline = host.millis().saturating_add(step.timeout.max(1).saturating_mul(1000));
    let limits = Limits { deadline, stop: Arc::clone(&options.stop) };
    if let Some(condition) = &step.when {
        let scope = Scope { vars: &step.vars, traits };
        let answer = eval(condition, &scope, &mut HostProbe { host: &mut *host, limits: &limits });
        match answer {
            Answer::Yes => {}
            Answer::No => {
                return Ok(Change::skipped(format!("when: {} does not hold", brief(&condition.to_string()))));
            }
            Answer::Unavailable(_) if options.stop.load(Ordering::SeqCst) => return Err(Trouble::Stopped),
            Answer::Unavailable(_) if host.millis() >= deadline => return Err(Trouble::TimedOut),
            Answer::Unavailable(why) => return Ok(Change::skipped(format!("when: {}", escaped(&why)))),
        }
    }
    let attributes = rendered(step, traits)?;
    let resource = Resource::parse(&step.kind, &attributes).map_err(Trouble::Declared)?;
    let change = resource.check(host, &limits, turn)?;
    if !options.dry_run {
        apply(&change, host, &limits)?;
    }
    Ok(change)
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
