//! Scenario files: what a simulated fleet is, what happens to it, and what must hold, as TOML.
//!
//! There are three kinds: **lives** are random lives, one for each seed ([`Life`]); a **fleet** follows a plan
//! ([`Plan`]): a workload and steps at their times; a **crowd** is large and only grows and spreads ([`Crowd`]). The
//! files of [`LIBRARY`] are part of the program.
//!
//! [`File::parse`] takes text and opens nothing; it tells all mistakes of a text at once ([`Mistakes`]). Invariant: a
//! run is a function of its [`File`] and its seed.

mod read;
mod schema;
mod value;

use vigo_base::time::Micros;

use crate::crowd::Crowd;
use crate::scenario::{Broken, Checks, Life, Outcome, Plan, Scenario};
use crate::watch::Seen;

pub use read::{Mistake, Mistakes};
pub use value::{time, time_text};

/// A scenario.
#[derive(Debug, Clone)]
pub struct File {
    /// What it is called.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// How many seeds it is for: from so many on it must have reached what it names.
    pub seeds: u64,
    /// What runs.
    pub kind: Kind,
    /// Which checks are made.
    pub checks: Checks,
}

/// What runs.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Random lives.
    Lives(Life),
    /// A fleet that follows a plan.
    Fleet(Plan),
    /// Thousands of nodes.
    Crowd(Crowd),
}

impl Kind {
    /// What files call it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Lives(_) => "lives",
            Kind::Fleet(_) => "fleet",
            Kind::Crowd(_) => "crowd",
        }
    }
}

/// Why a scenario does not run with so many nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} does not run with {found} nodes: expected {expected}")]
pub struct BadSize {
    /// The scenario.
    pub name: String,
    /// How many were asked for.
    pub found: usize,
    /// What it can.
    pub expected: String,
}

impl File {
    /// Reads a scenario; `file` is how messages call it.
    ///
    /// # Errors
    /// [`Mistakes`]: all of them, with their lines.
    pub fn parse(file: &str, text: &str) -> Result<File, Mistakes> {
        schema::file(file, text)
    }

    /// A scenario of the library.
    pub fn built_in(name: &str) -> Option<File> {
        let (name, text) = LIBRARY.iter().find(|(known, _)| *known == name)?;
        File::parse(&format!("{name}.toml"), text).ok()
    }

    /// How many nodes it has, at least and at most.
    pub fn nodes(&self) -> (usize, usize) {
        match &self.kind {
            Kind::Lives(life) => life.nodes,
            Kind::Fleet(plan) => plan.life.nodes,
            Kind::Crowd(crowd) => (crowd.nodes, crowd.nodes),
        }
    }

    /// How much virtual time one run takes about, in microseconds: without founding and settling.
    pub fn lasts(&self) -> Micros {
        match &self.kind {
            // Half of the pauses are short.
            Kind::Lives(life) => life.steps * life.pause / 4,
            Kind::Fleet(plan) => plan.lasts,
            Kind::Crowd(crowd) => crowd.lasts,
        }
    }

    /// The same scenario with so many nodes.
    ///
    /// # Errors
    /// [`BadSize`] if it cannot have so many.
    pub fn with_nodes(mut self, nodes: usize) -> Result<File, BadSize> {
        let (least, most) = schema::sizes(&self.kind);
        if !(least..=most).contains(&nodes) {
            let expected = format!("{least} to {most}");
            return Err(BadSize { name: self.name, found: nodes, expected });
        }
        match &mut self.kind {
            Kind::Lives(life) => life.nodes = (nodes, nodes),
            Kind::Fleet(plan) => plan.life.nodes = (nodes, nodes),
            Kind::Crowd(crowd) => crowd.nodes = nodes,
        }
        Ok(self)
    }

    /// Runs it with a seed. `watch` sees it now and then.
    ///
    /// # Errors
    /// [`Broken`] if a check did not hold.
    pub fn run(&self, seed: u64, watch: &mut dyn FnMut(&Seen)) -> Result<Outcome, Broken> {
        match &self.kind {
            Kind::Lives(life) => Scenario::random(seed, life).judged_by(&self.checks).live(watch),
            Kind::Fleet(plan) => {
                Scenario::random(seed, &plan.life).judged_by(&self.checks).follow(plan, watch)
            }
            Kind::Crowd(crowd) => crate::crowd::run(crowd, seed, &mut |at, of| {
                watch(&Seen { at, of, ..Seen::default() });
            }),
        }
    }
}

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

/// The scenarios of the program: their names and their texts.
pub const LIBRARY: &[(&str, &str)] = library![
    "lives",
    "lives-long",
    "partition-heal",
    "revocation",
    "bolts-down",
    "lossy-gossip",
    "rotten-disks",
    "wrong-clocks",
    "hostile-member",
    "flood",
    "rejoin-after-long-sleep",
    "scale-100",
    "scale-1000",
    "crowd-1000",
    "crowd-10000",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_library_is_one_and_bears_its_name() {
        for (name, text) in LIBRARY {
            let file = File::parse(name, text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            assert_eq!(file.name, *name);
            assert!(file.about.ends_with('.') && file.about.len() > 20, "{name}: {}", file.about);
        }
    }

    #[test]
    fn all_mistakes_of_a_file_are_told_at_once() {
        let text = r#"
name = "Lives"
kind = "lives"
abuot = "a slip"

[size]
nodes = [20, 3]
dial-only = 12

[links]
delay = "5ms..1ms"
los = "2%"

[weights]
pubish = 3
set = "often"

[checks]
sometimes = ["partition", 7]
"#;
        let mistakes = File::parse("my.toml", text).unwrap_err();
        let told = mistakes.to_string();
        for expected in [
            "my.toml:1: found no about in the file, expected a text in quotes",
            "my.toml:2: found name = \"Lives\", expected",
            "my.toml:4: found abuot in the file, expected one of: name, about, kind",
            "did you mean about?",
            "my.toml:7: found nodes = [20, 3], expected",
            "my.toml:8: found dial-only = 12, expected a whole per cent",
            "my.toml:11: found delay = \"5ms..1ms\", expected a span of time",
            "my.toml:12: found los in [links], expected one of: loss, gossip-loss, duplicates",
            "did you mean loss?",
            "my.toml:15: found deed \"pubish\", expected one of: publish",
            "did you mean publish?",
            "my.toml:16: found set = \"often\", expected a whole number",
            "my.toml:19: found sometimes = [\"partition\", 7], expected a list of names",
        ] {
            assert!(told.contains(expected), "{expected}\nis not in\n{told}");
        }
        assert_eq!(mistakes.all.len(), 10, "{told}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let told = File::parse("x.toml", "name = \"a\"\nkind = = 3\n[size\n").unwrap_err().to_string();
        assert!(told.contains("x.toml:2: ") && told.contains("x.toml:3: "), "{told}");
    }
}
