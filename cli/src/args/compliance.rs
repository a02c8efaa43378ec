//! The command line of `vigocli compliance`.

use clap::Subcommand;

use super::offered::{self, Offered};

/// `vigocli compliance`.
#[derive(Debug, Subcommand)]
pub enum Compliance {
    /// List what configcrates may provide, across frameworks
    #[command(
        after_help = "Examples:\n  vigocli compliance provisions\n  vigocli compliance provisions --show time-sync\n  vigocli compliance provisions --json\n\nIn a configcrate: compliance: {provides: [time-sync]}"
    )]
    Provisions {
        /// One tag, with every control that it stands for
        #[arg(long, value_name = "NAME", value_parser = Offered(offered::provisions), hide_possible_values = true)]
        show: Option<String>,
    },
    /// List the sections of frameworks that configcrates may follow
    #[command(
        after_help = "Examples:\n  vigocli compliance bundles\n  vigocli compliance bundles --show cis-ubuntu-access\n  vigocli compliance bundles --json\n\nIn a configcrate: compliance: {bundle: [cis-ubuntu-access]}"
    )]
    Bundles {
        /// One tag, with every control that it stands for
        #[arg(long, value_name = "NAME", value_parser = Offered(offered::bundles), hide_possible_values = true)]
        show: Option<String>,
    },
}
