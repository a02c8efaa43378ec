//! The command line of `vigocli`: the fleet, with an operator's key.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use vigo_daemon::node::content_types::audit::KINDS;
use vigo_daemon::node::spanner::Right;

use super::compliance::Compliance;
use super::config::{Diff, Examples, Fmt, Lint, Migrate, Retract, Rollback, Search};
use super::offered::{self, Offered};
use super::{Everywhere, KeyArgs, RULE};

/// `vigocli`.
#[derive(Debug, Parser)]
#[command(
    name = "vigocli",
    version,
    about = RULE,
    long_about = "Vigo keeps machines as their configuration says, peer to peer.\n\nvigo is this machine and you; vigocli is the fleet, with an operator's key.",
    after_help = "Start here:\n  vigocli spanner invite --name web01      a token for a new machine\n  vigocli config publish --wait            publish stacks/, and see it arrive\n  vigocli envoys list                      how they all are\n\nIt speaks to the node on this machine, any node: a bolt knows all envoys. This machine's own commands: vigo --help.",
    disable_help_subcommand = true,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Vigocli {
    /// What every command takes.
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `vigocli`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Who belongs to the fleet
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Spanner(Spanner),
    /// Your key as an operator
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Key(Key),
    /// The configuration of the fleet
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Config(Config),
    /// What configcrates may claim of the controls of frameworks
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Compliance(Compliance),
    /// The machines and how they are
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Envoys(Envoys),
    /// Settings of the whole fleet
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Settings(Settings),
    /// What was done and by whom, as the bolts wrote it down
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Audit(Audit),
}

/// `vigocli spanner`.
#[derive(Debug, Subcommand)]
pub enum Spanner {
    /// Make a token with which a machine joins
    Invite(Invite),
    /// List who asks to join, with the six words that their screens show
    #[command(after_help = "Example:\n  vigocli spanner requests")]
    Requests,
    /// Let in a machine that asks, after comparing the six words
    Approve(Approve),
    /// Turn down a machine that asks
    #[command(after_help = "Example:\n  vigocli spanner deny web07")]
    Deny {
        /// The name it asks under, or its key
        #[arg(value_name = "NAME|KEY")]
        who: String,
    },
    /// Make somebody an operator, by their public key
    Admit(Admit),
    /// List the members: operators, bolts, envoys
    #[command(after_help = "Example:\n  vigocli spanner members --json")]
    Members,
    /// Never accept a member's key again
    Revoke(Revoke),
    /// Write the fleet's authority to a file, for `vigo init --restore`
    #[command(
        after_help = "Example:\n  vigocli spanner export /root/authority.txt\n\nIt holds no secret. Any node has it; a copy elsewhere helps when all bolts are lost."
    )]
    Export {
        /// The file; it must not be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// `vigocli spanner invite`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli spanner invite --name web01\n  vigocli spanner invite --pattern 'web*' --uses 10 --expires 1d\n  vigocli spanner invite --bolt --name bolt2\n\nOn the new machine: vigo join TOKEN. The token is a secret until it is used.",
    group(ArgGroup::new("which").args(["name", "pattern"]))
)]
pub struct Invite {
    /// For a bolt
    #[arg(long)]
    pub bolt: bool,
    /// The name the machine will have
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The names it may choose among, with * and ? [default: *]
    #[arg(long, value_name = "GLOB")]
    pub pattern: Option<String>,
    /// How long it is good for, like 30m, 1h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub expires: String,
    /// How many machines may use it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub uses: u32,
    /// The key that signs.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// `vigocli spanner approve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli spanner approve web07                                  shows the six words and asks\n  vigocli spanner approve web07 --words 'ape bus cat dog elk fox'  when a program compared them"
)]
pub struct Approve {
    /// The name it asks under, or its key
    #[arg(value_name = "NAME|KEY")]
    pub who: String,
    /// The six words as its screen shows them: with them nobody is asked
    #[arg(long, value_name = "WORDS")]
    pub words: Option<String>,
    /// Another name than it asks for
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The key that signs.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// `vigocli spanner admit`.
#[derive(Debug, Args)]
#[command(after_help = admit_help())]
pub struct Admit {
    /// The new operator's name, like bob
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The new operator's public key: 64 hexadecimal digits
    #[arg(value_name = "PUBLIC-KEY")]
    pub public: String,
    /// A right, may be repeated; with a pattern, only over names that match it [default: all rights that you have]
    #[arg(long = "right", value_name = "RIGHT[:PATTERN]")]
    pub rights: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The key that signs.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// Whether this version asks for a right anywhere.
pub fn asked_for(right: Right) -> bool {
    match right {
        Right::AdmitOperator
        | Right::Invite
        | Right::InviteBolt
        | Right::Revoke
        | Right::Settings
        | Right::ConfigPublish => true,
        Right::Filecast
        | Right::Tasks
        | Right::Secrets
        | Right::FleetRead
        | Right::AuditRead
        | Right::ComplianceRead
        | Right::ComplianceDocsWrite
        | Right::ComplianceDocsPurge => false,
    }
}

/// Whether a right can be limited to names in this version.
pub fn takes_pattern(right: Right) -> bool {
    !matches!(right, Right::Revoke | Right::Settings | Right::ConfigPublish)
}

fn admit_help() -> String {
    let those = |keep: &dyn Fn(Right) -> bool| -> String {
        let names: Vec<&str> = Right::ALL.into_iter().filter(|r| keep(*r)).map(Right::as_str).collect();
        names.join(", ")
    };
    format!(
        "Examples:\n  vigocli spanner admit bob 5f0c...                          with all rights that you have\n  vigocli spanner admit bob 5f0c... --right config.publish\n  vigocli spanner admit bob 5f0c... --right 'invite:web*' --right revoke\n\nRights: {}\nOf these, with a pattern: {}\nRights without use in this version: {}\n\nThe other person makes the key: vigocli key new. You cannot give what you have not.",
        those(&asked_for),
        those(&|r| asked_for(r) && takes_pattern(r)),
        those(&|r| !asked_for(r))
    )
}

/// `vigocli key`.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key; an operator of the fleet then admits it
    New(NewKey),
    /// Show the public key, and what the fleet knows of it
    #[command(
        after_help = "Examples:\n  vigocli key show\n  vigocli key show --json\n\nIt works without a node, too, and never asks for a passphrase."
    )]
    Show {
        /// The key file [default: ~/.vigo/operator.key of the user before sudo; or $VIGO_OPERATOR_KEY]
        #[arg(long = "key", value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// `vigocli key new`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli key new                          asks for a passphrase\n  vigocli key new --plain-key              for automation: not protected\n  vigocli key new --key ~/bob.key\n\nIt prints the line with which an operator admits it. A key that is there already is kept beside it as .old-N.",
    group(ArgGroup::new("protection").args(["plain_key", "passphrase_file"]))
)]
pub struct NewKey {
    /// Write the key without a passphrase
    #[arg(long)]
    pub plain_key: bool,
    /// Where the key goes and what protects it.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// `vigocli spanner revoke`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  vigocli spanner revoke web01 --reason 'disk stolen'\n\nA revoked key never returns: the machine joins again with a new one."
)]
pub struct Revoke {
    /// The name of an envoy, a bolt or an operator, or a key
    #[arg(value_name = "NAME|KEY")]
    pub who: String,
    /// Why, for the others
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The key that signs.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// Where a tree is.
#[derive(Debug, Clone, Args)]
pub struct StacksDir {
    /// The tree
    #[arg(long, value_name = "DIR", default_value = "/srv/vigo/stacks")]
    pub stacks: PathBuf,
}

/// `vigocli config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check stacks/, sign it, and give it to the fleet
    Publish(Publish),
    /// Check stacks/ and publish nothing
    Lint(Lint),
    /// Format the files of stacks/ without changing what they mean
    Fmt(Fmt),
    /// Show why a host gets what it gets
    #[command(
        after_help = "Examples:\n  vigocli config trace web01.example.com\n  vigocli config trace web01 --stacks ./stacks --json\n  vigocli config trace web01 --published"
    )]
    Trace {
        /// The host's name in the fleet
        #[arg(value_name = "HOST")]
        host: String,
        /// Where the tree is.
        #[command(flatten)]
        tree: StacksDir,
        /// Look at what is published instead of at the tree (a bolt knows it)
        #[arg(long, conflicts_with = "stacks")]
        published: bool,
    },
    /// Show the hierarchy: who inherits what from where
    #[command(
        after_help = "Examples:\n  vigocli config tree\n  vigocli config tree site/web --stacks ./stacks\n  vigocli config tree --published"
    )]
    Tree {
        /// Only this directory of the tree
        #[arg(value_name = "PATH")]
        path: Option<String>,
        /// Where the tree is.
        #[command(flatten)]
        tree: StacksDir,
        /// Look at what is published instead of at the tree (a bolt knows it)
        #[arg(long, conflicts_with = "stacks")]
        published: bool,
    },
    /// Show where a name is defined and used
    Search(Search),
    /// Explain a rule by the name that a message gives
    #[command(
        after_help = "Examples:\n  vigocli config explain yaml-boolean\n  vigocli config explain            lists all rules"
    )]
    Explain {
        /// The rule [default: list them all]
        #[arg(value_name = "RULE", value_parser = Offered(offered::rules), hide_possible_values = true)]
        rule: Option<String>,
    },
    /// Print the JSON schema of the files, for editors
    #[command(
        after_help = "Examples:\n  vigocli config schema > vigo.schema.json\n  vigocli config schema configcrate     the files of configcrates/ and usercrates/"
    )]
    Schema {
        /// The kind of file [default: any]
        #[arg(value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(vigo_stacks::schema::json::FILES))]
        kind: Option<String>,
    },
    /// List the publishes
    #[command(after_help = "Example:\n  vigocli config log")]
    Log,
    /// Show how this tree differs from what was published
    Diff(Diff),
    /// Publish again what an earlier epoch said
    Rollback(Rollback),
    /// Bring a tree of an old version to this one
    Migrate(Migrate),
    /// Configcrates that come with this program, to copy from
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Examples(Examples),
    /// Write what undoes a configcrate
    Retract(Retract),
}

/// `vigocli config publish`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigocli config publish --dry-run                what would change, for whom\n  vigocli config publish --wait --note 'open 443'\n  vigocli config publish --stacks ./stacks --json\n\nErrors in the tree block it, warnings do not. The files are formatted in place (vigocli config fmt). `.live` beside the tree then holds what was published, read-only."
)]
pub struct Publish {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: StacksDir,
    /// Where what was published is written [default: .live beside the tree]
    #[arg(long, value_name = "DIR")]
    pub live: Option<PathBuf>,
    /// Publish nothing; say whose policy would change, and how
    #[arg(long, conflicts_with_all = ["wait", "note", "force"])]
    pub dry_run: bool,
    /// Wait until every envoy that can be reached has converged
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "wait")]
    pub timeout: u64,
    /// A line for the others
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub note: String,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
    /// Leave the files of the tree as they are
    #[arg(long)]
    pub no_format: bool,
    /// Write .retract files for configcrates that are new, changed or gone
    #[arg(long, conflicts_with = "dry_run")]
    pub retract: bool,
    /// With --retract: a program that improves each draft
    #[arg(long, value_name = "PROGRAM", requires = "retract")]
    pub reviewer: Option<PathBuf>,
    /// Publish over what somebody else published since .live was written, or over a .live that was edited
    #[arg(long)]
    pub force: bool,
    /// The key that signs.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// `vigocli envoys`.
#[derive(Debug, Subcommand)]
pub enum Envoys {
    /// List them with their states
    #[command(after_help = "Example:\n  vigocli envoys list --json")]
    List,
    /// Show one: its last run, what it says of itself, its traits
    #[command(after_help = "Example:\n  vigocli envoys show web01")]
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show its last runs: what they changed and what failed
    #[command(after_help = "Example:\n  vigocli envoys runs web01")]
    Runs {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// `vigocli settings`.
#[derive(Debug, Subcommand)]
pub enum Settings {
    /// List all settings with their values and what they do
    #[command(after_help = "Example:\n  vigocli settings list")]
    List,
    /// Set one
    #[command(after_help = "Example:\n  vigocli settings set converge.interval 10m")]
    Set {
        /// Its name
        #[arg(value_name = "KEY")]
        name: String,
        /// Its value
        #[arg(value_name = "VALUE")]
        value: String,
        /// The key that signs.
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Take one back to its default
    #[command(after_help = "Example:\n  vigocli settings unset converge.interval")]
    Unset {
        /// Its name
        #[arg(value_name = "KEY")]
        name: String,
        /// The key that signs.
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Set what a server.yaml says; its keys are all checked first
    #[command(after_help = "Example:\n  vigocli settings import /etc/vigo/server.yaml --dry-run")]
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Set nothing; say what would be set
        #[arg(long)]
        dry_run: bool,
        /// The key that signs.
        #[command(flatten)]
        key: KeyArgs,
    },
}

/// `vigocli audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List the newest entries, the newest last
    List(AuditList),
    /// Check the logs of all bolts against each other
    #[command(
        after_help = "Examples:\n  vigocli audit verify\n  vigocli audit verify --json\n\nSignatures, the order of entries, and what each bolt has seen of the others. It ends with 9 if a log is damaged now, or if a bolt found one tampered with in the last seven days."
    )]
    Verify,
}

/// `vigocli audit list`.
#[derive(Debug, Args)]
#[command(after_help = audit_help())]
pub struct AuditList {
    /// Only in the log of this bolt
    #[arg(long, value_name = "NAME|KEY")]
    pub bolt: Option<String>,
    /// Only of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only by, or about, this name, key or 'uid N'
    #[arg(long, value_name = "WHO")]
    pub who: Option<String>,
    /// Only of the last 30m, 12h or 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// How many, at most 2000
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub limit: u32,
}

fn audit_help() -> String {
    let kinds = KINDS.iter().map(|(_, name, what)| format!("  {name:<16} {what}\n"));
    format!(
        "Examples:\n  vigocli audit list\n  vigocli audit list --kind publish --since 7d\n  vigocli audit list --who alice --json\n\nKinds:\n{}",
        kinds.collect::<String>()
    )
}
