//! The command line of `vigo`: this machine and you.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::sim::Sim;
use super::{Everywhere, KeyArgs, RULE};

/// `vigo`.
#[derive(Debug, Parser)]
#[command(
    name = "vigo",
    version,
    about = RULE,
    long_about = "Vigo keeps machines as their configuration says, peer to peer.\n\nvigo is this machine and you; vigocli is the fleet, with an operator's key.",
    after_help = "Start here:\n  vigo demo                       a whole fleet on this machine, for a look\n  vigo install                    this program as a service of this machine\n  vigo init --name bolt1          a new fleet; this machine is its first bolt\n  vigo join TOKEN                 this machine becomes a member\n  vigo apply --file crate.vgo     one configcrate on this machine, without a fleet\n\nThe fleet's commands: vigocli --help. Exit codes: man vigo, or docs/exit-codes.md.",
    disable_help_subcommand = true,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Vigo {
    /// What every command takes.
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `vigo`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put the program, its units, its user and its directories in their places
    Install(Install),
    /// Take away what `install` put there; the state stays
    Uninstall(Uninstall),
    /// Found a fleet; this machine becomes its first bolt
    Init(Init),
    /// Join a fleet, with an operator's token or by asking
    Join(Join),
    /// Run this machine's node, all of it in one process
    Node(Node),
    /// Run the part of a node that has no rights on this machine
    Peer(Peer),
    /// Run the part of a node that changes this machine
    Applier(Applier),
    /// Show how this machine's node is
    #[command(after_help = "Examples:\n  vigo status\n  vigo status --json | jq .standing")]
    Status,
    /// Converge this machine now
    Converge(Converge),
    /// Apply one configcrate to this machine, without a fleet
    Apply(Apply),
    /// Run a whole fleet on this machine, for a look
    Demo(Demo),
    /// Measure this machine against its own references
    Bench(Bench),
    /// Simulate whole fleets in virtual time, and check what must hold
    Sim(Sim),
    /// Run a node's trace again and compare
    Replay(Replay),
    /// Print completions for a shell
    Completions(Completions),
    /// Print or write the manual pages
    Man(Man),
    /// The fleet's program, for machines without the link
    #[command(hide = true, disable_help_flag = true, trailing_var_arg = true)]
    Vigocli {
        /// Its words.
        #[arg(allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
}

/// `vigo install`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo install                             as root; again with a newer program to upgrade, in place\n  vigo install --dry-run                   what it would do\n  vigo install --prefix /usr --root ./img  for packages and images: only files, below a directory\n\nIt starts nothing before `vigo init` or `vigo join`. `systemd` must run this machine; elsewhere: vigo node."
)]
pub struct Install {
    /// Where the program goes: into bin/ below it, with manual pages and completions in share/
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    pub prefix: PathBuf,
    /// Only put files below this directory; users, directories and units are left to sysusers.d, tmpfiles.d and systemd
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Do nothing; say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// `vigo uninstall`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo uninstall              leaves the state, and says where it is\n  vigo uninstall --dry-run    what it would do\n  vigo uninstall --purge      the state, the user and the groups as well\n\nThe tree in /srv/vigo and operators' keys are people's work: they stay."
)]
pub struct Uninstall {
    /// Where the program is [default: where the unit has it, else /usr/local]
    #[arg(long, value_name = "DIR")]
    pub prefix: Option<PathBuf>,
    /// Remove the state, the user and the groups, too
    #[arg(long)]
    pub purge: bool,
    /// Do not ask
    #[arg(long, short, requires = "purge")]
    pub yes: bool,
    /// Do nothing; say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// `vigo init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo init --name bolt1 --fleet home\n  vigo init --name bolt1 --plain-key                           for automation: not protected\n  vigo init --name bolt2 --restore authority.txt               all bolts are lost\n  vigo init --name bolt2 --restore authority.txt --recovery    the operator's key, too",
    group(ArgGroup::new("protection").args(["plain_key", "passphrase_file"]))
)]
pub struct Init {
    /// The name of this machine in the fleet, a hostname like bolt1 or bolt1.example.com
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What people call the fleet
    #[arg(long, value_name = "LABEL", default_value = "fleet")]
    pub fleet: String,
    /// The first operator's name [default: your user name]
    #[arg(long, value_name = "NAME")]
    pub operator: Option<String>,
    /// Write the operator's key without a passphrase; it is so, with a warning, where there is no terminal to ask on
    #[arg(long)]
    pub plain_key: bool,
    /// Where to write a starter tree, if nothing is there [default: /srv/vigo/stacks, where vigo is installed]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["restore", "no_stacks"])]
    pub stacks: Option<PathBuf>,
    /// Write no starter tree
    #[arg(long)]
    pub no_stacks: bool,
    /// Bring back a fleet that lost its bolts, from a file of `vigocli spanner export` or a member's state directory
    #[arg(long, value_name = "FILE")]
    pub restore: Option<PathBuf>,
    /// Write the anchor of this machine's applier there, too [default: /var/lib/vigo-applier, where vigo is installed]
    #[arg(long, value_name = "DIR")]
    pub applier_state: Option<PathBuf>,
    /// Restore with the 24 recovery words, asked for or on standard input, and make a new operator's key
    #[arg(long, requires = "restore")]
    pub recovery: bool,
    /// Where the key is and what opens it.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// `vigo join`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo join vigo1q7m...                  the line that `vigocli spanner invite` printed\n  vigo join --name web01 vigo1q7m...\n  vigo join --address bolt1.example.com  ask; an operator compares six words and approves\n  vigo join --discover                   the same, with the bolts on this network",
    group(ArgGroup::new("how").args(["token", "address", "discover"]).required(true))
)]
pub struct Join {
    /// The token of an invitation; `-` reads it from standard input
    #[arg(value_name = "TOKEN")]
    pub token: Option<String>,
    /// Ask the bolt at this address instead
    #[arg(long, value_name = "HOST[:PORT]")]
    pub address: Option<String>,
    /// Look for a fleet on this machine's own networks, and ask its bolts
    #[arg(long)]
    pub discover: bool,
    /// The name to join under [default: the token's, or this machine's host name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Join this fleet only: with it, nobody is asked to confirm here
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    pub spanner: Option<String>,
    /// Ask to become a bolt
    #[arg(long, conflicts_with = "token")]
    pub bolt: bool,
    /// Write the anchor of this machine's applier there, too [default: /var/lib/vigo-applier, where vigo is installed]
    #[arg(long, value_name = "DIR")]
    pub applier_state: Option<PathBuf>,
    /// How long to wait for the fleet's answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub wait: u64,
}

/// `vigo node`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo node                                        as /etc/vigo/node.yaml says\n  vigo node --check                                only check that file\n  vigo node --state ~/vigo --fs-root ~/root        without root; commands of configcrates do not run\n  vigo node --listen none                          only dial out"
)]
pub struct Node {
    /// Apply configuration below this directory only; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub fs_root: Option<PathBuf>,
    /// What a peer takes as well.
    #[command(flatten)]
    pub runs: Runs,
}

/// `vigo peer`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo peer                                        as /etc/vigo/node.yaml says\n  vigo peer --applier-socket /run/a.sock           the applier listens there\n\nIt runs as a user of its own, and needs `vigo applier` beside it to change anything. The units of `vigo install` run both."
)]
pub struct Peer {
    /// Where the applier listens [default: /run/vigo-applier/applier.sock]
    #[arg(long, value_name = "PATH")]
    pub applier_socket: Option<PathBuf>,
    /// What a node takes as well.
    #[command(flatten)]
    pub runs: Runs,
}

/// `vigo applier`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo applier                                     as /etc/vigo/node.yaml says\n  vigo applier --applier-state /srv/applier --applier-socket /run/a.sock --peer-user vigo\n\nIt hears one user and root, on one Unix socket. The units of `vigo install` run it beside `vigo peer`."
)]
pub struct Applier {
    /// The file to read [default: /etc/vigo/node.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What it decides by [default: /var/lib/vigo-applier]
    #[arg(long, value_name = "DIR")]
    pub applier_state: Option<PathBuf>,
    /// Where it listens [default: /run/vigo-applier/applier.sock]
    #[arg(long, value_name = "PATH")]
    pub applier_socket: Option<PathBuf>,
    /// Whose process it listens to, beside root's [default: vigo]
    #[arg(long, value_name = "USER")]
    pub peer_user: Option<String>,
    /// Apply configuration below this directory only; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub fs_root: Option<PathBuf>,
    /// How much is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// The form of the log: human or json
    #[arg(long, value_name = "FORM")]
    pub log_format: Option<String>,
    /// End when the parent process, which has this id, ends
    #[arg(long, hide = true, value_name = "PID")]
    pub end_with_parent: Option<u32>,
}

/// What `vigo node` and `vigo peer` take alike.
#[derive(Debug, Args)]
pub struct Runs {
    /// The file to read [default: /etc/vigo/node.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the file and the options, show what they come to, and end
    #[arg(long)]
    pub check: bool,
    /// Listen here for peers (UDP); `none` only dials out; may be repeated
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Vec<String>,
    /// What peers are told to dial: `auto`, `none`, or addresses; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    pub announce: Vec<String>,
    /// A member to look for; may be repeated
    #[arg(long, value_name = "[KEY@]HOST:PORT")]
    pub peer: Vec<String>,
    /// Find others by multicast: `auto`, `off`, or on this interface; may be repeated
    #[arg(long, value_name = "HOW")]
    pub beacon: Vec<String>,
    /// Take gossip links here (UDP): `auto`, `none`, or addresses; may be repeated
    #[arg(long, value_name = "IP:PORT")]
    pub gossip_listen: Vec<String>,
    /// How much is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// The form of the log: human or json
    #[arg(long, value_name = "FORM")]
    pub log_format: Option<String>,
    /// How often to converge when nothing was published, like 30s or 5m
    #[arg(long, value_name = "TIME")]
    pub interval: Option<String>,
    /// By how much each converge is delayed at random, at most
    #[arg(long, value_name = "TIME")]
    pub splay: Option<String>,
    /// Write what happens to the node to a new file, for `vigo replay`; it holds the node's private key
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// End when the parent process, which has this id, ends
    #[arg(long, hide = true, value_name = "PID")]
    pub end_with_parent: Option<u32>,
}

/// `vigo converge`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo converge                     converge now, and show what was changed\n  vigo converge --dry-run --diff    show what it would change"
)]
pub struct Converge {
    /// Change nothing; say what would be changed
    #[arg(long)]
    pub dry_run: bool,
    /// Show differences in content
    #[arg(long)]
    pub diff: bool,
}

/// `vigo apply`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo apply --file motd.vgo --dry-run --diff\n  vigo apply --file motd.vgo\n  vigo apply --file motd.vgo --fs-root /tmp/try    below a directory; commands do not run\n\n`source:` names files below templates/ beside the configcrate, or beside the directory configcrates/ that holds it."
)]
pub struct Apply {
    /// The configcrate
    #[arg(long, short, value_name = "FILE")]
    pub file: PathBuf,
    /// Change nothing; say what would be changed
    #[arg(long)]
    pub dry_run: bool,
    /// Show differences in content
    #[arg(long)]
    pub diff: bool,
    /// Apply it below this directory only
    #[arg(long, value_name = "DIR")]
    pub fs_root: Option<PathBuf>,
}

/// `vigo demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo demo                 until Ctrl-C; everything it made is then removed\n  vigo demo --once          the story, and the end\n  vigo demo --once --json   ends with one JSON object; exit code 0 only if all of it happened"
)]
pub struct Demo {
    /// End when the story is told
    #[arg(long)]
    pub once: bool,
    /// Work in this directory, made if need be, and leave it there
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// `vigo bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo bench records          verify, insert, make durable\n  vigo bench channel          the peer channel beside bare QUIC\n  vigo bench publish --json   compile a tree of 1,000 configcrates, resolve one policy\n  vigo bench stacks           trees of 100 to 10,000 configcrates: lint, change, trace, memory\n  sudo vigo bench gossip      fifty nodes in network namespaces, a record to all, beside serf"
)]
pub struct Bench {
    /// What to measure
    pub what: BenchWhat,
    /// Work in this directory, on the disk that is meant [default: the temporary directory; for gossip, memory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How many nodes gossip
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=250))]
    pub nodes: u16,
    /// How many records they are sent
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub updates: u16,
    /// How many configcrates the largest tree has
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(100..=14_000))]
    pub crates: u16,
    /// Lint one tree of that size and say how much memory that took: how `stacks` measures it
    #[arg(long, hide = true)]
    pub peak: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchWhat {
    /// Records: encode, verify and insert, make durable
    Records,
    /// The peer channel beside bare QUIC over loopback
    Channel,
    /// Compiling a large tree, resolving one policy
    Publish,
    /// Linting trees of the language: cold, after a change, traced, and how it grows
    Stacks,
    /// A record to all nodes of a real fleet on a bridge of namespaces, beside serf; needs root
    Gossip,
}

/// `vigo replay`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vigo node --trace /tmp/node.trace\n  vigo replay /tmp/node.trace")]
pub struct Replay {
    /// A file that `vigo node --trace` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `vigo completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo completions bash > /etc/bash_completion.d/vigo\n  vigo completions bash --program vigocli > /etc/bash_completion.d/vigocli\n  vigo completions zsh > ~/.zfunc/_vigo\n  vigo completions fish > ~/.config/fish/completions/vigo.fish"
)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
    /// The program to complete
    #[arg(long, default_value = "vigo")]
    pub program: Program,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// One of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// This machine and you.
    Vigo,
    /// The fleet.
    Vigocli,
}

/// `vigo man`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vigo man | man -l -\n  vigo man --dir /usr/local/share/man/man1    one page for each command of both programs"
)]
pub struct Man {
    /// Write all pages into this directory
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
