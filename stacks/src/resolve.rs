//! The last step before the machine: a policy and the facts of one envoy become a plan.
//!
//! It decides every condition that variables and traits decide and drops what does not apply. It never looks at
//! the machine; what asks about it stays in the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::plan::{Plan, Revert, Step};
use crate::policy::{Policy, PolicyCrate, PolicyStep};
use crate::setting::Machine;
use crate::when::{Expr, Scope, simplify};

/// What is known of the envoy that resolves.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its admitted name.
    pub name: String,
    /// Its tags, from the route.
    pub tags: Vec<String>,
    /// Its traits: an object of objects, see [`crate::traits`].
    pub traits: Value,
}

/// Why a policy gives no plan here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {message}")]
pub struct Problem {
    /// The step, `configcrate/resource`.
    pub step: String,
    /// What is wrong with it.
    pub message: String,
}

/// The plan of one envoy. A step that is dropped counts as satisfied for those that depend on it, and is never
/// triggered.
///
/// # Errors
/// Every step that refers to what is not there; a policy from [`crate::compile`] or [`Policy::from_bytes`] has
/// none.
pub fn resolve(policy: &Policy, facts: &Facts) -> Result<Plan, Vec<Problem>> {
    let scopes: Vec<Arc<BTreeMap<String, Value>>> =
        policy.configcrates.iter().map(|c| Arc::new(scope(policy, c, facts))).collect();
    let machine = Machine::new(&facts.name, &facts.tags, &facts.traits);
    let mut problems = Vec::new();
    let mut kept: Vec<Option<usize>> = Vec::with_capacity(policy.steps.len());
    let mut plan = Plan::default();
    for step in &policy.steps {
        let index = step.configcrate as usize;
        let (Some(configcrate), Some(vars)) = (policy.configcrates.get(index), scopes.get(index)) else {
            problems.push(Problem { step: step.name.clone(), message: "its configcrate is missing".into() });
            kept.push(None);
            continue;
        };
        let of = Owner { id: policy.id(step), configcrate, vars };
        let decided = decide(step, of, facts, &machine);
        kept.push(decided.is_some().then_some(plan.steps.len()));
        plan.steps.extend(decided);
    }
    // Indices are translated once all places are known: triggers point forward.
    for (old, step) in policy.steps.iter().enumerate() {
        let Some(new) = kept[old] else { continue };
        let place = |indices: &[u32]| -> Vec<usize> {
            indices.iter().filter_map(|i| kept.get(*i as usize).copied().flatten()).collect()
        };
        plan.steps[new].depends_on = place(&step.depends_on);
        plan.steps[new].triggers = place(&step.triggers);
    }
    if problems.is_empty() { Ok(plan) } else { Err(problems) }
}

/// The variables that a configcrate sees on this machine.
fn scope(policy: &Policy, configcrate: &PolicyCrate, facts: &Facts) -> BTreeMap<String, Value> {
    let mut vars = configcrate.vars.clone();
    // What a machine does not report is unknown, and stays so in a condition.
    let tests = configcrate.tests.iter();
    vars.extend(
        tests.map(|(name, test)| (name.clone(), test.on(&facts.traits).map_or(Value::Null, Value::Bool))),
    );
    vars.extend(policy.vars.iter().map(|(k, v)| (k.clone(), v.clone())));
    vars
}

/// What a step belongs to.
struct Owner<'p> {
    id: String,
    configcrate: &'p PolicyCrate,
    vars: &'p Arc<BTreeMap<String, Value>>,
}

/// The step of the plan, its edges left out; `None` if it does not apply on this machine.
fn decide(step: &PolicyStep, of: Owner<'_>, facts: &Facts, machine: &Machine) -> Option<Step> {
    let conditions = of.configcrate.when.iter().chain(&step.when).cloned();
    let whole = simplify(&Expr::all(conditions), &Scope { vars: of.vars, traits: &facts.traits });
    let (only_when_triggered, when) = whole.without_changed();
    if when == Some(Expr::Literal(false)) {
        return None;
    }
    let (attributes, fault) = match attributes(step, of.vars, facts, machine) {
        Ok(found) => (found?, None),
        // One resource that cannot be decided is its own failure, not that of the whole policy.
        Err(why) => (BTreeMap::new(), Some(format!("`case` cannot be decided here: {why}"))),
    };
    Some(Step {
        id: of.id,
        configcrate: of.configcrate.name.clone(),
        name: step.name.clone(),
        kind: step.kind.clone(),
        attributes,
        vars: Arc::clone(of.vars),
        when: when.filter(|w| *w != Expr::Literal(true)),
        only_when_triggered,
        depends_on: Vec::new(),
        triggers: Vec::new(),
        timeout: step.timeout,
        revert: step.revert.then(|| step.on_revert.clone().map_or(Revert::Snapshot, Revert::Command)),
        watch_secret: step.watch_secret.clone(),
        fault,
    })
}

/// The attributes of a step on this machine; `None` if it has none to run with here.
fn attributes(
    step: &PolicyStep,
    vars: &BTreeMap<String, Value>,
    facts: &Facts,
    machine: &Machine,
) -> Result<Option<BTreeMap<String, Value>>, String> {
    let branch = match step.case.as_ref().map(|case| case.on(vars, &facts.traits)).transpose()? {
        None => None,
        Some(Some(branch)) => branch,
        Some(None) => return Ok(None),
    };
    let mut settings: BTreeMap<&String, _> = step.attributes.iter().collect();
    settings.extend(branch.into_iter().flatten());
    Ok(Some(settings.into_iter().filter_map(|(name, s)| Some((name.clone(), s.on(machine)?))).collect()))
}
