//! The command lines of `vigocli config` beside publishing: what is done to a tree.

use std::path::PathBuf;

use clap::Args;

use super::KeyArgs;
use super::vigocli::StacksDir;

/// `vigocli config lint`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config lint\n  vigocli config lint --stacks ./stacks --strict --json\n\nIt says what publishing would say, and publishes nothing. vigocli config explain RULE tells more of a rule."
)]
pub struct Lint {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: StacksDir,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
}

/// `vigocli config fmt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config fmt                      the whole tree\n  vigocli config fmt --check --diff       change nothing, show what would\n  vigocli config fmt configcrates/web.vgo ./site\n\nKeys come into order, unquoted booleans and modes get quotes, tabs become spaces, `#~` labels are refreshed. Your comments, blank lines and texts stay; a file whose meaning could change is left alone."
)]
pub struct Fmt {
    /// Files or directories [default: the whole tree]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Where the tree is.
    #[command(flatten)]
    pub tree: StacksDir,
    /// Change nothing; fail if something would change
    #[arg(long)]
    pub check: bool,
    /// Show what changes, line by line
    #[arg(long)]
    pub diff: bool,
}

/// `vigocli config diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config diff          this tree against what is published\n  vigocli config diff 12       this tree against epoch 12\n  vigocli config log           lists the epochs"
)]
pub struct Diff {
    /// The publish to compare with [default: the newest]
    #[arg(value_name = "EPOCH")]
    pub epoch: Option<u64>,
    /// Where the tree is.
    #[command(flatten)]
    pub tree: StacksDir,
}

/// `vigocli config rollback`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  vigocli config rollback 12\n\nWhat epoch 12 said is published again, as a new epoch. Your tree stays as it is: vigocli config diff shows the difference."
)]
pub struct Rollback {
    /// The publish to return to
    #[arg(value_name = "EPOCH")]
    pub epoch: u64,
    /// Publish nothing; say whose policy would change, and how
    #[arg(long)]
    pub dry_run: bool,
    /// The key that signs.
    #[command(flatten)]
    pub key: KeyArgs,
}
