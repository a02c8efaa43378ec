//! Two results of one scenario, figure by figure.
//!
//! All figures are such that less is better. It reads the JSON that [`super::Tally::json`] makes and changes nothing.

use serde_json::Value;

/// Figures that are compared: where they stand, and their unit.
const FIGURES: [(&str, &str); 20] = [
    ("delivery_us.p50", "us"),
    ("delivery_us.p99", "us"),
    ("delivery_us.max", "us"),
    ("undelivered", ""),
    ("converge_us.p50", "us"),
    ("converge_us.p99", "us"),
    ("converge_us.max", "us"),
    ("settle_us.p50", "us"),
    ("settle_us.p99", "us"),
    ("settle_us.max", "us"),
    ("copies_per_node_and_update", ""),
    ("bytes_per_node_and_update.gossip", "B"),
    ("bytes_per_node_and_update.reconciliation", "B"),
    ("bytes_per_node_and_update.push", "B"),
    ("bytes_per_node_and_update.bulk", "B"),
    ("bytes_per_node_and_update.other", "B"),
    ("reconciliation.rounds", ""),
    ("reconciliation.bytes", "B"),
    ("bytes.gossip", "B"),
    ("bytes.push", "B"),
];

/// One figure of two results.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where it stands in a result.
    pub figure: &'static str,
    /// Its unit; none for a number.
    pub unit: &'static str,
    /// In the first result.
    pub before: f64,
    /// In the second.
    pub after: f64,
    /// By how many per cent it grew; none from 0.
    pub percent: Option<f64>,
    /// Whether it grew by more than the threshold.
    pub worse: bool,
}

/// Why two results are not compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotCompare {
    /// One is no result.
    #[error("{which} is no result of `vigo sim run --json`: it has no {missing}")]
    NoResult {
        /// Which: the first or the second.
        which: &'static str,
        /// What it lacks.
        missing: &'static str,
    },
    /// They are of different scenarios.
    #[error(
        "the first is of {first}, the second of {second}: only results of one scenario say something together"
    )]
    Different {
        /// The scenario of the first.
        first: String,
        /// The scenario of the second.
        second: String,
    },
}

/// Compares two results; a figure that grew by more than `threshold` per cent is worse.
///
/// # Errors
/// [`CannotCompare`] if one is no result, or they are of different scenarios.
pub fn diff(before: &Value, after: &Value, threshold: f64) -> Result<Vec<Change>, CannotCompare> {
    let name = |value: &Value, which| {
        let name = value.get("scenario").and_then(Value::as_str).map(str::to_owned);
        name.ok_or(CannotCompare::NoResult { which, missing: "scenario" })
    };
    let (first, second) = (name(before, "the first")?, name(after, "the second")?);
    if first != second {
        return Err(CannotCompare::Different { first, second });
    }
    let figures = |value: &'_ Value, which| {
        value.get("figures").cloned().ok_or(CannotCompare::NoResult { which, missing: "figures" })
    };
    let (before, after) = (figures(before, "the first")?, figures(after, "the second")?);
    let at = |figures: &Value, path: &str| {
        path.split('.').try_fold(figures, |value, key| value.get(key)).and_then(Value::as_f64)
    };
    let change = |(figure, unit): &(&'static str, &'static str)| {
        let (before, after) = (at(&before, figure)?, at(&after, figure)?);
        let percent = (before > 0.0).then(|| (after - before) / before * 100.0);
        let worse = percent.map_or(after > before, |percent| percent > threshold);
        Some(Change { figure, unit, before, after, percent, worse })
    };
    Ok(FIGURES.iter().filter_map(change).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(p99: u64, copies: f64) -> Value {
        let figures = crate::Figures::default().json();
        let mut value = json!({"scenario": "lives", "figures": figures});
        value["figures"]["delivery_us"]["p99"] = json!(p99);
        value["figures"]["copies_per_node_and_update"] = json!(copies);
        value
    }

    #[test]
    fn what_grew_beyond_the_threshold_is_worse() {
        let changes = diff(&result(100, 0.0), &result(109, 2.0), 10.0).unwrap();
        assert_eq!(changes.len(), FIGURES.len(), "every figure is in a result");
        let worse: Vec<&str> = changes.iter().filter(|c| c.worse).map(|c| c.figure).collect();
        assert_eq!(worse, ["copies_per_node_and_update"], "from nothing, anything is more");
        let changes = diff(&result(100, 2.0), &result(112, 1.0), 10.0).unwrap();
        let p99 = changes.iter().find(|c| c.figure == "delivery_us.p99").unwrap();
        assert!(p99.worse && p99.percent == Some(12.0));
        assert_eq!(changes.iter().filter(|c| c.worse).count(), 1);
    }

    #[test]
    fn only_results_of_one_scenario_are_compared() {
        let mut other = result(1, 1.0);
        other["scenario"] = json!("flood");
        assert!(matches!(diff(&result(1, 1.0), &other, 1.0), Err(CannotCompare::Different { .. })));
        let none = diff(&json!({}), &other, 1.0).unwrap_err();
        assert_eq!(none, CannotCompare::NoResult { which: "the first", missing: "scenario" });
    }
}
