//! The command line of `vigo sim`: simulated fleets.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Args, Subcommand};

/// `vigo sim`.
#[derive(Debug, Args)]
pub struct Sim {
    /// What is done.
    #[command(subcommand)]
    pub what: SimWhat,
}

/// The commands of `vigo sim`.
#[derive(Debug, Subcommand)]
pub enum SimWhat {
    /// Run a scenario in virtual time, and check what must hold
    Run(Run),
    /// Show the scenarios that are part of this program
    #[command(after_help = "Examples:\n  vigo sim list\n  vigo sim list --json | jq -r '.[].name'")]
    List,
    /// Print a scenario's file
    Show(Show),
    /// Compare the JSON results of two runs of one scenario
    Diff(Diff),
}

/// `vigo sim run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo sim run lives                           random lives with every fault\n  vigo sim run lives --seed 115                one of them again\n  vigo sim run partition-heal --report run.html\n  vigo sim run ./mine.toml --seeds 20 --json   a file of your own; vigo sim show lives is one to start from\n\nThe same scenario, seed and nodes give the same result on every machine. Exit code 1: a check did not hold."
)]
pub struct Run {
    /// A scenario of `vigo sim list`, or the path of a file
    #[arg(value_name = "SCENARIO", value_parser = Scenarios, hide_possible_values = true)]
    pub scenario: PathBuf,
    /// The first seed [default: 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many seeds, one after the other, on as many threads as there are cores [default: the file's; 1 with --seed]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: Option<u64>,
    /// How many nodes, instead of the file's
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,
    /// Write a report with plots, one HTML page, to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `vigo sim show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo sim show partition-heal\n  vigo sim show lives > mine.toml    a file of your own to start from\n  vigo sim show ./mine.toml --json   what it comes to; all mistakes if it has any"
)]
pub struct Show {
    /// A scenario of `vigo sim list`, or the path of a file
    #[arg(value_name = "SCENARIO", value_parser = Scenarios, hide_possible_values = true)]
    pub scenario: PathBuf,
}

/// `vigo sim diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo sim run flood --json > before.json\n  vigo sim diff before.json after.json\n  vigo sim diff before.json after.json --threshold 2\n\nExit code 1: a figure got worse by more than the threshold. All figures are such that less is better."
)]
pub struct Diff {
    /// The result before
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The result after
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// By how many per cent a figure may grow
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = percent)]
    pub threshold: f64,
}

fn percent(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim_end_matches('%').trim().parse().ok();
    number.filter(|p| (0.0..=1e6).contains(p)).ok_or_else(|| "expected a number of per cent, like 5".into())
}

/// Takes any path; completion offers the scenarios of the program.
#[derive(Debug, Clone, Copy)]
struct Scenarios;

impl TypedValueParser for Scenarios {
    type Value = PathBuf;

    fn parse_ref(
        &self,
        _: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<PathBuf, clap::Error> {
        Ok(PathBuf::from(value))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(vigo_simnet::file::LIBRARY.iter().map(|(name, _)| PossibleValue::new(*name))))
    }
}
