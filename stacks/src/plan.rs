//! What one envoy will do: the last stage of the language before the machine is touched.
//!
//! A [`Plan`] is made by `resolve` from a policy and the envoy's own facts. It is ordered: a step depends
//! only on steps before it, and triggers only steps after it. What still depends on the running system (the
//! rest of a `when:`, templates) is in the step, and is evaluated when the step's turn comes, never before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::when::Expr;

/// The ordered steps of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The steps, in the order in which they run.
    pub steps: Vec<Step>,
}

/// One resource of a [`Plan`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// `configcrate/resource`: unique in the plan.
    pub id: String,
    /// The configcrate that declares it.
    pub configcrate: String,
    /// The resource's name in its configcrate.
    pub name: String,
    /// The resource type, a name in the schema table.
    pub kind: String,
    /// The attributes of the type, defaults merged in; strings may still hold templates. The common fields
    /// (`name type when depends_on before notify subscribes timeout`) are not among them.
    pub attributes: BTreeMap<String, Value>,
    /// The variables its templates see as `.Vars`, shared by the steps of a configcrate.
    pub vars: Arc<BTreeMap<String, Value>>,
    /// What is left of its conditions; `None` when nothing is.
    pub when: Option<Expr>,
    /// Runs only when triggered: its condition holds the word `changed`.
    pub only_when_triggered: bool,
    /// Steps that must not have failed, been blocked or be missing; indices into [`Plan::steps`], all smaller.
    pub depends_on: Vec<usize>,
    /// Steps that this one triggers when it changes (`notify` here, `subscribes` there); indices, all greater.
    pub triggers: Vec<usize>,
    /// How long it may take, in seconds.
    pub timeout: u64,
    /// What it did is to be undone: by the inner command, or by the value that was found first.
    pub revert: Option<Revert>,
    /// Paths of secrets whose rotation triggers it.
    pub watch_secret: Vec<String>,
    /// Why it could not be decided what it declares here: then it fails when its turn comes.
    pub fault: Option<String>,
}

/// How a step undoes what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revert {
    /// The value that was found first is set again.
    Snapshot,
    /// This command runs, by the shell or where the step's own command runs; it may hold templates.
    Command(String),
}
