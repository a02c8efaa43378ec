//! A figure of a bench: a value, which way is better, what stands beside it and what is wanted.
//!
//! Invariant: the JSON of every bench has the same seven keys in the same order; what is not there is `null`. A figure judges
//! itself against its target and never fails for it.

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

/// One figure, as every bench prints it.
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
    /// What the machine does without us, in the same unit.
    pub reference: Option<f64>,
    /// What the reference is, for people.
    #[serde(skip)]
    pub against: &'static str,
    /// Value over reference.
    pub ratio: Option<f64>,
    /// What is wanted of the value, or of the ratio: see [`Figure::wanted_ratio`].
    pub target: Option<f64>,
    /// Whether it was met; none without a target.
    #[serde(skip)]
    pub met: Option<bool>,
}

impl Figure {
    /// A figure alone.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str, better: Better) -> Figure {
        let (reference, ratio, target, met) = (None, None, None, None);
        Figure { name: name.into(), value, unit, better, reference, against: "", ratio, target, met }
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
        self.met = Some(self.meets(self.value, target));
        self
    }

    /// What is wanted of the ratio.
    #[must_use]
    pub fn wanted_ratio(mut self, target: f64) -> Figure {
        self.target = Some(target);
        self.met = self.ratio.map(|ratio| self.meets(ratio, target));
        self
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        // Numbers and texts always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Its cells under [`COLUMNS`]; a miss in capitals.
    pub fn row(&self) -> [String; 5] {
        let judged = self.met.map(|met| if met { "met" } else { "MISSED" });
        let judged = judged.map(|judged| format!("{} {judged}", number(self.target)));
        let beside = self.reference.map(|r| format!("{} {}", number(Some(r)), self.against));
        [
            self.name.clone(),
            format!("{} {}", number(Some(self.value)), self.unit).trim_end().to_owned(),
            judged.unwrap_or_default(),
            self.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
            beside.unwrap_or_default(),
        ]
    }

    fn meets(&self, found: f64, target: f64) -> bool {
        match self.better {
            Better::Lower => found <= target,
            Better::Higher => found >= target,
        }
    }
}

/// The value in the middle, of an even number of them the greater one; 0 of none. In any unit.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What the cells of a figure are.
pub const COLUMNS: [&str; 5] = ["figure", "value", "target", "ratio", "beside"];

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
    std::iter::once(COLUMNS.map(str::to_owned)).chain(figures.iter().map(Figure::row)).collect()
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
        assert_eq!((figure(Better::Lower).met, figure(Better::Higher).met), (Some(false), Some(true)));
        assert_eq!(figure(Better::Lower).ratio, Some(0.5));
        assert_eq!(Figure::new("a.b", 1.0, "ms", Better::Lower).met, None);
        assert_eq!(figure(Better::Higher).wanted_ratio(0.9).met, Some(false));
        let json = r#"{"name":"a.b","value":10.0,"unit":"ms","better":"lower","reference":20.0,"ratio":0.5,"target":9.0}"#;
        assert_eq!(figure(Better::Lower).json(), json);
        let text = table(&[figure(Better::Lower)]);
        assert!(text.contains("10.00 ms  9.00 MISSED  0.500  20.00 x"), "{text}");
        let row = "| a.b | 10.00 ms | 9.00 **missed** | 0.500 | 20.00 x |\n";
        assert_eq!(markdown(&[figure(Better::Lower)]), row);
    }
}
