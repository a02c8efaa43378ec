//! A figure and its two forms: a line of JSON and a row for people.
//!
//! Invariant: the JSON of every bench has the same seven keys, `name value unit better reference ratio target`, in this order;
//! what is not there is `null`. A figure judges itself against its target and never fails for it.

use std::fmt::Write as _;

use serde::Serialize;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured, as `bench.what.size`.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What stands beside it, in the same unit.
    pub reference: Option<f64>,
    /// Value over reference.
    pub ratio: Option<f64>,
    /// What is wanted of the value.
    pub target: Option<f64>,
    /// What the reference is, for people.
    #[serde(skip)]
    pub against: &'static str,
}

impl Figure {
    /// A figure alone.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str, better: Better) -> Figure {
        let (reference, ratio, target) = (None, None, None);
        Figure { name: name.into(), value, unit, better, reference, ratio, target, against: "" }
    }

    /// Beside what it stands.
    #[must_use]
    pub fn beside(mut self, reference: f64, against: &'static str) -> Figure {
        self.reference = Some(reference);
        self.ratio = (reference > 0.0).then(|| self.value / reference);
        self.against = against;
        self
    }

    /// What is wanted of the value.
    #[must_use]
    pub fn wanted(mut self, target: f64) -> Figure {
        self.target = Some(target);
        self
    }

    /// Whether the target was met; none without a target.
    pub fn met(&self) -> Option<bool> {
        self.target.map(|target| match self.better {
            Better::Lower => self.value <= target,
            Better::Higher => self.value >= target,
        })
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        // Numbers and texts always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The figures in columns, with misses in capitals.
pub fn table(figures: &[Figure]) -> String {
    let rows = rows(figures);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    let mut out = String::new();
    for [name, value, target, ratio, beside] in &rows {
        let [a, b, c, d] = widths;
        let line = format!("{name:a$}  {value:>b$}  {target:c$}  {ratio:>d$}  {beside}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// The figures as rows of a table of `docs/performance.md`.
pub fn markdown(figures: &[Figure]) -> String {
    let row = |row: &[String; 5]| format!("| {} |\n", row.join(" | "));
    rows(figures)[1..].iter().map(row).collect::<String>().replace("MISSED", "**missed**")
}

/// A heading, and a row for each figure.
fn rows(figures: &[Figure]) -> Vec<[String; 5]> {
    let mut rows = vec![["figure", "value", "target", "ratio", "beside"].map(str::to_owned)];
    for figure in figures {
        let judged = match figure.met() {
            Some(met) => format!("{} {}", number(figure.target), if met { "met" } else { "MISSED" }),
            None => String::new(),
        };
        let beside = figure.reference.map(|r| format!("{} {}", number(Some(r)), figure.against));
        rows.push([
            figure.name.clone(),
            format!("{} {}", number(Some(figure.value)), figure.unit).trim_end().to_owned(),
            judged,
            figure.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
            beside.unwrap_or_default(),
        ]);
    }
    rows
}

fn number(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_judges_itself_in_its_direction() {
        let figure = |better| Figure::new("a.b", 10.0, "ms", better).beside(20.0, "x").wanted(9.0);
        assert_eq!((figure(Better::Lower).met(), figure(Better::Higher).met()), (Some(false), Some(true)));
        assert_eq!(figure(Better::Lower).ratio, Some(0.5));
        assert_eq!(Figure::new("a.b", 1.0, "ms", Better::Lower).met(), None);
        let json = r#"{"name":"a.b","value":10.0,"unit":"ms","better":"lower","reference":20.0,"ratio":0.5,"target":9.0}"#;
        assert_eq!(figure(Better::Lower).json(), json);
        let text = table(&[figure(Better::Lower)]);
        assert!(text.contains("10.00 ms  9.00 MISSED  0.500  20.00 x"), "{text}");
        let row = "| a.b | 10.00 ms | 9.00 **missed** | 0.500 | 20.00 x |\n";
        assert_eq!(markdown(&[figure(Better::Lower)]), row);
    }
}
