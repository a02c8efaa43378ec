//! The rows of the checklist that belong to the language: for each, the test that shows it and a change that breaks it.
//!
//! A row names a test that must stand in the sources, and a mutation that this program runs: a tree that is right and
//! the same tree after one edit, which must be refused by a named rule or come to something else. The mutation says
//! that the rule is there at all; the named test says that it is right. A row of which a later issue does a part says
//! which part is here. No row of the range may be missing.

mod case;
mod compliance;
mod composition;
mod expressions;
mod fields;
mod publishing;
mod resources;
mod sources;
mod types;

use std::collections::BTreeMap;

use case::Case;

/// One row.
pub struct Row {
    /// Its id.
    pub id: &'static str,
    /// What it asks for, in our words.
    pub says: &'static str,
    /// The test that shows it: `crate::function`; empty where nothing is here yet.
    pub test: &'static str,
    /// What breaks it; none where nothing is here yet.
    pub case: Option<Case>,
    /// What a later issue does, and what is here.
    pub later: Option<&'static str>,
}

/// A row that is whole.
pub fn row(id: &'static str, says: &'static str, test: &'static str, case: Case) -> Row {
    Row { id, says, test, case: Some(case), later: None }
}

impl Row {
    /// The same row, of which a part comes later.
    pub fn later(mut self, part: &'static str) -> Row {
        self.later = Some(part);
        self
    }
}

/// The ranges: letter, first and last number.
const RANGES: [(&str, u8, u8); 9] = [
    ("E", 1, 24),
    ("F", 1, 37),
    ("G", 1, 45),
    ("H", 1, 25),
    ("I", 1, 10),
    ("K", 1, 11),
    ("M", 1, 8),
    ("J", 1, 39),
    ("B", 12, 35),
];

fn rows() -> Vec<Row> {
    [
        composition::rows(),
        fields::rows(),
        resources::rows(),
        expressions::rows(),
        types::rows(),
        publishing::rows(),
        compliance::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn every_row_of_the_range_has_one_entry() {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows() {
        *found.entry(row.id).or_default() += 1;
        assert!(row.says.len() > 10, "{} says nothing", row.id);
        assert!(row.case.is_some() || row.later.is_some(), "{} has neither a case nor a reason", row.id);
    }
    let wanted: Vec<String> = RANGES
        .iter()
        .flat_map(|(letter, first, last)| (*first..=*last).map(move |n| format!("{letter}{n}")))
        .collect();
    let missing: Vec<&String> = wanted.iter().filter(|id| !found.contains_key(id.as_str())).collect();
    let twice: Vec<&&str> = found.iter().filter(|(_, n)| **n > 1).map(|(id, _)| id).collect();
    let odd: Vec<&&str> = found.keys().filter(|id| !wanted.iter().any(|w| w == *id)).collect();
    assert!(
        missing.is_empty() && twice.is_empty() && odd.is_empty(),
        "missing {missing:?}, twice {twice:?}, of no range {odd:?}"
    );
}

#[test]
fn every_row_names_a_test_that_is_there() {
    let tests = sources::tests();
    assert!(tests.len() > 300, "the sources were read: {}", tests.len());
    let lost: Vec<String> = rows()
        .iter()
        .filter(|row| row.case.is_some() && !tests.contains(row.test))
        .map(|row| format!("{}: there is no test {}", row.id, row.test))
        .collect();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

#[test]
fn every_mutation_is_noticed() {
    let mut wrong = Vec::new();
    for row in rows() {
        if let Some(case) = &row.case
            && let Err(why) = case.run()
        {
            wrong.push(format!("{} ({}): {why}", row.id, row.says));
        }
    }
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n\n"));
}

/// What a later issue has to do is written down, so that the table shows how far the language is.
#[test]
fn what_is_left_is_listed() {
    let left: Vec<String> =
        rows().iter().filter_map(|row| Some(format!("{} {}: {}", row.id, row.says, row.later?))).collect();
    insta::assert_snapshot!(left.join("\n"));
}
