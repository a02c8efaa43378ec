//! Triggers that must not be lost: recorded before the change that causes them, cleared after the triggered step.
//!
//! A run that ends early (a crash, a failed step, a stop) leaves its record behind, and the next one takes every
//! recorded trigger of its own plan as given. Invariants: no step with triggers changes the machine before they are
//! recorded, and if they cannot be, it changes nothing; a record goes only when its step has run well since, or when
//! the plan has no such trigger any more; a dry run writes nothing. So a triggered step runs at least once after each
//! change, and once more if the machine died between its end and the note of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use thiserror::Error;
use vigo_base::Hash;
use vigo_base::text::escaped;
use vigo_stacks::plan::{Plan, Step};
use vigo_stacks::report::{Outcome, StepReport};

/// Names of steps in a report's list of what is pending.
const NAMED: usize = 64;

/// One recorded trigger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The triggered step, `configcrate/resource`.
    pub step: String,
    /// Which trigger it is: [`trigger`].
    pub trigger: Hash,
}

/// The digest of a trigger: which step triggers which, and of what type that is. Attributes are not part of it, so that
/// a trigger outlives a new epoch that declares the same two steps differently.
pub fn trigger(from: &Step, to: &Step) -> Hash {
    let length = |text: &str| (text.len() as u64).to_be_bytes();
    let parts = [from.id.as_str(), to.id.as_str(), to.kind.as_str()];
    let [a, b, c] = parts.map(length);
    Hash::of_parts(&[
        b"vigo trigger 1\0",
        &a,
        parts[0].as_bytes(),
        &b,
        parts[1].as_bytes(),
        &c,
        parts[2].as_bytes(),
    ])
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// These triggers; none if nothing was ever recorded.
    Known(BTreeSet<Entry>),
    /// Something was recorded, and it cannot be read. Everything that can be triggered is taken as pending: a step that
    /// has a trigger must bear one more, while one that is missed is noticed by nobody.
    Lost(String),
}

/// A record could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot record triggers in {why}")]
pub struct NotRecorded {
    /// Where, and what the machine said.
    pub why: String,
}

/// Where triggers are recorded.
pub trait Pending: Debug {
    /// What is recorded.
    fn load(&mut self) -> Recorded;

    /// Records more, durably.
    ///
    /// # Errors
    /// [`NotRecorded`]; what was recorded still is.
    fn add(&mut self, entries: &[Entry]) -> Result<(), NotRecorded>;

    /// Clears all but `left`, durably: after a crash it holds what it held or `left`.
    ///
    /// # Errors
    /// [`NotRecorded`]; it then holds what it held.
    fn clear(&mut self, left: &BTreeSet<Entry>) -> Result<(), NotRecorded>;
}

/// A record in memory: for a run of a person's, for tests and for `simnet`.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    /// What is recorded.
    pub entries: BTreeSet<Entry>,
    /// How often it was written.
    pub writes: u64,
    /// Why it is not written, if it is not to be.
    pub refuses: Option<String>,
    /// Why it cannot be read, if it cannot.
    pub lost: Option<String>,
}

impl InMemory {
    fn written(&mut self) -> Result<(), NotRecorded> {
        self.refuses.clone().map_or(Ok(()), |why| Err(NotRecorded { why }))?;
        self.writes += 1;
        Ok(())
    }
}

impl Pending for InMemory {
    fn load(&mut self) -> Recorded {
        match &self.lost {
            Some(why) => Recorded::Lost(why.clone()),
            None => Recorded::Known(self.entries.clone()),
        }
    }

    fn add(&mut self, entries: &[Entry]) -> Result<(), NotRecorded> {
        self.written()?;
        self.entries.extend(entries.iter().cloned());
        Ok(())
    }

    fn clear(&mut self, left: &BTreeSet<Entry>) -> Result<(), NotRecorded> {
        self.written()?;
        self.lost = None;
        self.entries.clone_from(left);
        Ok(())
    }
}

/// Why a step is triggered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is not.
    None,
    /// A step of this run changed.
    ThisRun,
    /// Only a step of an earlier run did.
    EarlierRun,
}

/// The triggers of one run.
#[derive(Debug)]
pub(crate) struct Triggers<'a> {
    plan: &'a Plan,
    pending: &'a mut dyn Pending,
    dry_run: bool,
    recorded: BTreeSet<Entry>,
    /// Triggered in this run, by place in the plan.
    fired: BTreeSet<usize>,
    /// Which steps triggered which in earlier runs.
    earlier: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Triggers<'a> {
    /// Begins with what is recorded and still part of `plan`; what is not is forgotten.
    pub fn begin(plan: &'a Plan, pending: &'a mut dyn Pending, dry_run: bool) -> Triggers<'a> {
        let loaded = pending.load();
        let mut run = Triggers {
            plan,
            pending,
            dry_run,
            recorded: BTreeSet::new(),
            fired: BTreeSet::new(),
            earlier: BTreeMap::new(),
        };
        let known = match &loaded {
            Recorded::Known(known) if known.is_empty() => return run,
            Recorded::Known(known) => Some(known),
            Recorded::Lost(_) => None,
        };
        for (from, to) in edges(plan) {
            let entry = run.entry(from, to);
            // Of a lost record one trigger of each step is enough.
            let counts = known.map_or(!run.earlier.contains_key(&to), |known| known.contains(&entry));
            if counts {
                run.recorded.insert(entry);
                run.earlier.entry(to).or_default().push(from);
            }
        }
        if !dry_run && known != Some(&run.recorded) {
            // What is not forgotten now is forgotten by a later run.
            let _ = run.pending.clear(&run.recorded);
        }
        run
    }

    /// Whether the step's turn comes with a trigger. One of an earlier run waits for as long as its cause fails, as one of
    /// this run would.
    pub fn cause(&self, index: usize, done: &[StepReport]) -> Cause {
        let is_well = |from: &usize| done.get(*from).is_some_and(|r| well(r.outcome));
        if self.fired.contains(&index) {
            Cause::ThisRun
        } else if self.earlier.get(&index).is_some_and(|causes| causes.iter().any(is_well)) {
            Cause::EarlierRun
        } else {
            Cause::None
        }
    }

    /// Records what the step at `index` triggers. It must not change anything before.
    pub fn record(&mut self, index: usize) -> Result<(), NotRecorded> {
        let Some(step) = self.plan.steps.get(index).filter(|_| !self.dry_run) else { return Ok(()) };
        let places = step.triggers.iter().filter(|to| **to < self.plan.steps.len());
        let mut new: Vec<Entry> = places.map(|to| self.entry(index, *to)).collect();
        new.retain(|entry| !self.recorded.contains(entry));
        if !new.is_empty() {
            self.pending.add(&new)?;
            self.recorded.extend(new);
        }
        Ok(())
    }

    /// The step at `index` has changed the machine.
    pub fn fire(&mut self, index: usize) {
        let step = self.plan.steps.get(index);
        self.fired.extend(step.into_iter().flat_map(|s| s.triggers.iter().copied()));
    }

    /// The step at `index` has run well after its trigger.
    pub fn settle(&mut self, index: usize) -> Result<(), NotRecorded> {
        let Some(step) = self.plan.steps.get(index).filter(|_| !self.dry_run) else { return Ok(()) };
        if self.recorded.iter().any(|entry| entry.step == step.id) {
            let mut left = self.recorded.clone();
            left.retain(|entry| entry.step != step.id);
            self.pending.clear(&left)?;
            self.recorded = left;
        }
        Ok(())
    }

    /// The steps that are still to be triggered, the first of them.
    pub fn left(&self) -> Vec<String> {
        let names: BTreeSet<&str> = self.recorded.iter().map(|e| e.step.as_str()).collect();
        names.into_iter().take(NAMED).map(escaped).collect()
    }

    fn entry(&self, from: usize, to: usize) -> Entry {
        // Both are places in the plan: `edges` and `record` give no others.
        let (from, to) = (&self.plan.steps[from], &self.plan.steps[to]);
        Entry { step: to.id.clone(), trigger: trigger(from, to) }
    }
}

/// Which steps of a plan trigger which.
fn edges(plan: &Plan) -> impl Iterator<Item = (usize, usize)> {
    let total = plan.steps.len();
    let all = plan.steps.iter().enumerate();
    all.flat_map(|(from, step)| step.triggers.iter().map(move |to| (from, *to)))
        .filter(move |(_, to)| *to < total)
}

/// Whether a step with this outcome leaves nothing to be done again.
pub(crate) fn well(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Failed | Outcome::Blocked)
}
