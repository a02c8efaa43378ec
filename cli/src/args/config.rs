//! The command lines of `vigocli config` beside publishing: what is done to a tree.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::KeyArgs;
use super::offered::Offered;
use super::vigocli::StacksDir;

/// `vigocli config lint`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config lint\n  vigocli config lint --stacks ./stacks --strict --json\n  vigocli config lint --watch          again whenever a file changes\n\nIt says what publishing would say, and publishes nothing. vigocli config explain RULE tells more of a rule."
)]
pub struct Lint {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: StacksDir,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
    /// Stay, and lint again whenever a file changes; only what a change reaches is made anew
    #[arg(long)]
    pub watch: bool,
}

/// `vigocli config fmt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config fmt                      the whole tree\n  vigocli config fmt --check --diff       change nothing, show what would\n  vigocli config fmt configcrates/web.vgo ./site\n  vigocli config fmt --undo               give back what the last formatting changed\n\nKeys come into order, unquoted booleans and modes get quotes, tabs become spaces, `#~` labels are refreshed. Your comments, blank lines and texts stay; a file whose meaning could change is left alone."
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
    /// Put the files of the tree back as they were before they were last formatted, by this or by a publish
    #[arg(long, conflicts_with_all = ["paths", "check", "diff"])]
    pub undo: bool,
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
/// `vigocli config search`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config search --configcrate nginx\n  vigocli config search --var 'nginx_*'\n  vigocli config search --template templates/motd.tmpl --json",
    group(ArgGroup::new("of").required(true).args(["configcrate", "role", "var", "tag", "template"]))
)]
pub struct Search {
    /// Where a configcrate or usercrate is defined, given and excluded
    #[arg(long, value_name = "NAME")]
    pub configcrate: Option<String>,
    /// Where a role is defined and given
    #[arg(long, value_name = "NAME")]
    pub role: Option<String>,
    /// Where a variable is set and used
    #[arg(long, value_name = "NAME")]
    pub var: Option<String>,
    /// Where a tag is given and asked for
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
    /// Which resources use a file of templates/
    #[arg(long, value_name = "PATH")]
    pub template: Option<String>,
    /// Where the tree is.
    #[command(flatten)]
    pub tree: StacksDir,
}

/// `vigocli config migrate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config migrate --dry-run\n  vigocli config migrate --stacks ./stacks\n\nIt brings the layout of old versions (envoys/, roles/, vars/) and their keys to this one. A copy of the tree is kept beside it; a second run finds nothing to do."
)]
pub struct Migrate {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: StacksDir,
    /// Change nothing; say what would change
    #[arg(long)]
    pub dry_run: bool,
}

/// `vigocli config examples`.
#[derive(Debug, Subcommand)]
pub enum Examples {
    /// List the configcrates that come with this program
    #[command(after_help = "Example:\n  vigocli config examples list")]
    List {
        /// Only those whose path or description has this in it
        #[arg(value_name = "WORD")]
        word: Option<String>,
    },
    /// Write a whole tree that uses every feature once: the one that `vigo demo` publishes
    #[command(
        after_help = "Examples:\n  vigocli config examples tree ./stacks\n  vigocli config trace bed3.clinic.example --stacks ./stacks\n\nThree customers with inheritance, roles, environments, usercrates, lists, tables, conditions, compliance. Its files say what they show."
    )]
    Tree {
        /// A new or an empty directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Copy one into the tree, with its retraction beside it if you like
    #[command(
        after_help = "Examples:\n  vigocli config examples copy chrony\n  vigocli config examples copy nginx --retraction --stacks ./stacks"
    )]
    Copy {
        /// Its name
        #[arg(value_name = "NAME", value_parser = Offered(crate::fleet::examples::names), hide_possible_values = true)]
        name: String,
        /// Copy its retraction too, as NAME-retract.vgo
        #[arg(long)]
        retraction: bool,
        /// Where the tree is.
        #[command(flatten)]
        tree: StacksDir,
    },
}

/// `vigocli config retract`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config retract nginx                 what would undo it, printed\n  vigocli config retract nginx --write         as nginx.retract beside nginx.vgo\n  vigocli config retract --changed --write     for what is new, changed or gone since the newest publish\n\nA .retract file does nothing. To use it, look at it, rename it to NAME-retract.vgo, and give it to the hosts."
)]
pub struct Retract {
    /// The configcrates to undo
    #[arg(value_name = "NAME", required_unless_present = "changed")]
    pub names: Vec<String>,
    /// Those that are new, changed or gone since the newest publish
    #[arg(long)]
    pub changed: bool,
    /// Write .retract files into the tree
    #[arg(long)]
    pub write: bool,
    /// A program that improves each draft: it reads the draft and prints the better one
    #[arg(long, value_name = "PROGRAM")]
    pub reviewer: Option<PathBuf>,
    /// Where the tree is.
    #[command(flatten)]
    pub tree: StacksDir,
}
