//! What a run did: shared by the executors that write it, the status registers that carry it and the
//! commands that show it. Plain data; it decides nothing.

use serde::{Deserialize, Serialize};

/// What became of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was as declared.
    None,
    /// It was missing and was made.
    Created,
    /// It differed and was changed.
    Updated,
    /// It was there and was removed.
    Deleted,
    /// Its condition did not hold, it was not triggered, or this node may not do such a thing.
    Skipped,
    /// Something it depends on failed or was blocked.
    Blocked,
    /// It could not be brought to the declared state.
    Failed,
}

impl Outcome {
    /// Whether the machine was changed.
    pub fn changed(self) -> bool {
        matches!(self, Outcome::Created | Outcome::Updated | Outcome::Deleted)
    }
}

/// The report of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// `configcrate/resource`.
    pub id: String,
    /// The resource type.
    pub kind: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was skipped, blocked or failed, or what changed, in one line; may be empty.
    pub message: String,
    /// The unified diff of what changed (or would), if the type has one; cut to 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// How many steps had which outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "one counter for each Outcome")]
pub struct Counts {
    pub none: u32,
    pub created: u32,
    pub updated: u32,
    pub deleted: u32,
    pub skipped: u32,
    pub blocked: u32,
    pub failed: u32,
}

impl Counts {
    /// Counts one more outcome.
    pub fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::None => &mut self.none,
            Outcome::Created => &mut self.created,
            Outcome::Updated => &mut self.updated,
            Outcome::Deleted => &mut self.deleted,
            Outcome::Skipped => &mut self.skipped,
            Outcome::Blocked => &mut self.blocked,
            Outcome::Failed => &mut self.failed,
        } += 1;
    }

    /// Steps that changed the machine.
    pub fn changed(&self) -> u32 {
        self.created + self.updated + self.deleted
    }

    /// All steps.
    pub fn total(&self) -> u32 {
        self.none + self.changed() + self.skipped + self.blocked + self.failed
    }
}

/// The report of one run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunReport {
    /// The steps in the order in which they ran.
    pub steps: Vec<StepReport>,
    /// How many had which outcome.
    pub counts: Counts,
    /// Why the run was aborted before its end, or could not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// Steps that were triggered and have not run well since, at most 64: the next run triggers them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
    /// Whether nothing was changed because nothing was to be (`--dry-run`).
    #[serde(default)]
    pub dry_run: bool,
    /// How long it took, in milliseconds.
    pub millis: u64,
}
