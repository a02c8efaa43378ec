//! The command line of `vigocli compliance`.

use clap::{Args, Subcommand};

/// `vigocli compliance`.
#[derive(Debug, Subcommand)]
pub enum Compliance {
    /// List what configcrates may provide, across frameworks
    #[command(
        after_help = "Examples:\n  vigocli compliance provisions\n  vigocli compliance provisions --show time-sync\n  vigocli compliance provisions --json\n\nIn a configcrate: compliance: {provides: [time-sync]}"
    )]
    Provisions(Shown),
    /// List the sections of frameworks that configcrates may follow
    #[command(
        after_help = "Examples:\n  vigocli compliance bundles\n  vigocli compliance bundles --show cis-ubuntu-access\n  vigocli compliance bundles --json\n\nIn a configcrate: compliance: {bundle: [cis-ubuntu-access]}"
    )]
    Bundles(Shown),
}

/// Which entries.
#[derive(Debug, Args)]
pub struct Shown {
    /// One tag, with every control that it stands for
    #[arg(long, value_name = "NAME")]
    pub show: Option<String>,
}
