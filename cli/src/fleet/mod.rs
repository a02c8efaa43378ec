//! The commands of `vigocli`: the fleet, with an operator's key.

pub mod admit;
pub mod audit;
pub mod compare;
pub mod compliance;
pub mod config;
pub mod envoys;
pub mod examples;
pub mod format;
pub mod history;
pub mod key;
pub mod live;
pub mod lookup;
pub mod migrate;
pub mod publish;
pub mod retract;
pub mod rollout;
pub mod settings;
pub mod spanner;
pub mod yaml;

use crate::args::vigocli::{Command, Vigocli};
use crate::exit::Failure;

/// A command of `vigocli`.
///
/// # Errors
/// [`Failure`] if it did not go as asked.
pub fn run(cli: &Vigocli) -> Result<(), Failure> {
    let everywhere = &cli.everywhere;
    match &cli.command {
        Command::Spanner(args) => spanner::run(everywhere, args),
        Command::Key(args) => key::run(everywhere, args),
        Command::Config(args) => config::run(everywhere, args),
        Command::Compliance(args) => compliance::run(everywhere, args),
        Command::Envoys(args) => envoys::run(everywhere, args),
        Command::Settings(args) => settings::run(everywhere, args),
        Command::Audit(args) => audit::run(everywhere, args),
    }
}
