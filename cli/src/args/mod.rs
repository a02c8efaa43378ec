//! The command lines, as types: what both programs share.
//!
//! `vigo` is this machine and you ([`vigo`]); `vigocli` is the fleet, with an operator's key ([`vigocli`]). Only what
//! this version does is here, so that no help promises more.

pub mod compliance;
pub mod config;
pub mod offered;
pub mod sim;
pub mod vigo;
pub mod vigocli;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The rule atop both helps.
pub const RULE: &str = "vigo is this machine and you; vigocli is the fleet, with an operator's key.";

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Everywhere {
    /// Print JSON: results on standard output, errors on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// The state directory of the node that is meant [default: /var/lib/vigo]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The socket of the node that is meant [default: /run/vigo/vigo.sock, or vigo.sock in --state; or $VIGO_SOCKET]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Colours and drawn messages
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where an operator's key is, and what opens it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The operator's key")]
pub struct KeyArgs {
    /// The key file [default: ~/.vigo/operator.key of the user before sudo; or $VIGO_OPERATOR_KEY]
    #[arg(long = "key", value_name = "FILE")]
    pub operator_key: Option<PathBuf>,
    /// A file whose first line is the passphrase, instead of asking for it
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}
