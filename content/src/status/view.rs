//! Convergence on its two axes, and reachability apart from both.
//!
//! Pure functions of a run register, so that every bolt says the same.

use serde::{Deserialize, Serialize};

use super::schema::Run;

/// The failure axis: exactly one for each envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Nothing failed in the latest run, however much changed.
    Converged,
    /// The run completed and something failed.
    Degraded,
    /// See [`FAILED_RULE`].
    Failed,
    /// No run was reported.
    NoData,
}

/// When a run counts as failed rather than degraded (D29).
pub const FAILED_RULE: &str = "the run was aborted, or everything that was not skipped failed or was blocked, or the policy could not be applied";

/// The drift axis: whether runs keep changing the machine. Says nothing of whether they succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// The latest run changed nothing.
    None,
    /// The latest run changed something.
    Changed,
    /// So did as many runs before it as the threshold says.
    Diverged,
}

/// Where the latest run stands on the failure axis.
pub fn failure(run: Option<&Run>) -> Failure {
    let Some(run) = run else { return Failure::NoData };
    let bad = run.tally.failed + run.tally.blocked;
    let good = run.tally.none + run.tally.changed;
    match (&run.aborted, bad, good) {
        (Some(_), _, _) => Failure::Failed,
        (None, 0, _) => Failure::Converged,
        (None, _, 0) => Failure::Failed,
        (None, _, _) => Failure::Degraded,
    }
}

/// Where the last runs stand on the drift axis; `threshold` runs with changes in a row are diverged.
pub fn drift(run: Option<&Run>, threshold: usize) -> Drift {
    let changes = run.map_or(&[][..], |run| &run.changes);
    let streak = changes.iter().take_while(|n| **n > 0).count();
    match streak {
        0 => Drift::None,
        n if n >= threshold.max(1) => Drift::Diverged,
        _ => Drift::Changed,
    }
}

/// After how many seconds of silence an envoy of this cadence (seconds) is offline: two and a half times.
pub fn offline_after(cadence: u64) -> u64 {
    cadence.saturating_mul(5) / 2
}

#[cfg(test)]
mod tests {
    use super::super::Tally;
    use super::*;

    fn run(none: u32, changed: u32, failed: u32) -> Run {
        Run { tally: Tally { none, changed, failed, ..Tally::default() }, ..Run::default() }
    }

    #[test]
    fn the_failure_axis() {
        assert_eq!(failure(None), Failure::NoData);
        assert_eq!(failure(Some(&run(3, 9, 0))), Failure::Converged);
        assert_eq!(failure(Some(&run(0, 0, 0))), Failure::Converged);
        assert_eq!(failure(Some(&run(1, 0, 2))), Failure::Degraded);
        assert_eq!(failure(Some(&run(0, 0, 2))), Failure::Failed);
        let aborted = Run { aborted: Some("disk".into()), ..run(5, 0, 0) };
        assert_eq!(failure(Some(&aborted)), Failure::Failed);
    }

    #[test]
    fn the_drift_axis_is_independent() {
        let with = |changes: &[u32]| Run { changes: changes.to_vec(), ..run(1, 0, 9) };
        assert_eq!(drift(None, 5), Drift::None);
        assert_eq!(drift(Some(&with(&[0, 3, 3, 3, 3, 3])), 5), Drift::None);
        assert_eq!(drift(Some(&with(&[1, 1, 1, 1, 0])), 5), Drift::Changed);
        assert_eq!(drift(Some(&with(&[1, 1, 1, 1, 1])), 5), Drift::Diverged);
        assert_eq!(offline_after(300), 750);
    }
}
