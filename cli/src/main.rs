//! The programs `vigo` and `vigocli`: words in, text and exit codes out.
//!
//! One executable, two names. `vigo` is this machine and you; `vigocli` is the fleet, with an operator's key. What
//! is decided is decided elsewhere: `stacks` compiles, `daemon` runs nodes and calls them, and here their results
//! become text. What this crate never does: speak a network protocol, keep a key, or print text from elsewhere
//! unescaped.

mod args;
mod demo;
mod exit;
mod fleet;
mod machine;
mod reach;
mod report;
mod said;
mod show;
mod sim;
mod slips;
mod tree;
mod words;

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::Everywhere;
use args::vigo::{Command, Vigo};
use args::vigocli::Vigocli;
use exit::{Exit, Failure};

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let rest: Vec<OsString> = words.collect();
    let link = Path::new(&called).file_name() == Some(OsStr::new("vigocli"));
    let (program, rest) = match rest.split_first() {
        Some((first, rest)) if !link && first == "vigocli" => ("vigocli", rest.to_vec()),
        _ => (if link { "vigocli" } else { "vigo" }, rest),
    };
    let outcome = if program == "vigocli" {
        parsed::<Vigocli>(program, &rest).map(|cli| (cli.everywhere.clone(), fleet::run(&cli)))
    } else {
        parsed::<Vigo>(program, &rest).map(|cli| (cli.everywhere.clone(), run(&cli)))
    };
    let (everywhere, done) = match outcome {
        Ok((everywhere, done)) => (everywhere, done),
        Err(Unparsed::Shown) => return ExitCode::SUCCESS,
        Err(Unparsed::Wrong(everywhere, failure)) => (everywhere, Err(failure)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let color = show::wanted(everywhere.color, std::io::stderr().is_terminal());
            failure.print(everywhere.json, color);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Why a line was not parsed to a command.
enum Unparsed {
    /// Help or the version were asked for, and shown.
    Shown,
    /// It was not understood.
    Wrong(Everywhere, Failure),
}

fn parsed<P: Parser>(program: &str, rest: &[OsString]) -> Result<P, Unparsed> {
    let line = std::iter::once(OsString::from(program)).chain(rest.iter().cloned());
    let error = match P::try_parse_from(line) {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    // As far as they can be told from a line that was not understood.
    let json = rest.iter().take_while(|w| *w != "--").any(|w| w == "--json");
    let everywhere = Everywhere { json, ..Everywhere::default() };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone away has seen enough.
            let _ = error.print();
            return Err(Unparsed::Shown);
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return Err(Unparsed::Wrong(everywhere, Failure::said(Exit::Usage)));
        }
        _ => {}
    }
    let unknown = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument | ErrorKind::InvalidValue
    );
    let failure = match slips::answer(program, rest).filter(|_| unknown) {
        Some((what, hint)) => Failure::new(Exit::Usage, what).hint(hint),
        None => from_clap(program, rest, &error),
    };
    Err(Unparsed::Wrong(everywhere, failure))
}

/// The parser's words in our form.
fn from_clap(program: &str, rest: &[OsString], error: &clap::Error) -> Failure {
    let text = vigo_base::text::escaped(&error.to_string().replace('\n', "\u{1}")).replace("\\u{1}", "\n");
    let body = text.trim_start_matches("error: ");
    let (what, below) = body.split_once("\n\n").unwrap_or((body, ""));
    let what: Vec<&str> = what.lines().map(str::trim).collect();
    let tips = below.lines().filter_map(|l| l.trim().strip_prefix("tip: "));
    let mut hints: Vec<String> = tips.map(str::to_owned).collect();
    hints.extend(below.lines().find_map(|l| l.strip_prefix("Usage: ")).map(|u| format!("usage: {u}")));
    if hints.is_empty() {
        hints.push(format!("more: {} --help", slips::path(program, rest)));
    }
    Failure::new(Exit::Usage, what.join(" ")).hint(hints.join("\n"))
}

/// A command of `vigo`.
fn run(cli: &Vigo) -> Result<(), Failure> {
    let everywhere = &cli.everywhere;
    match &cli.command {
        Command::Install(args) => machine::install::run(everywhere, args),
        Command::Uninstall(args) => machine::install::remove::run(everywhere, args),
        Command::Init(args) => machine::init::run(everywhere, args),
        Command::Join(args) => machine::join::run(everywhere, args),
        Command::Node(args) => machine::node::run(everywhere, args),
        Command::Peer(args) => machine::node::peer(everywhere, args),
        Command::Applier(args) => machine::applier::run(everywhere, args),
        Command::Status => machine::state::status(everywhere),
        Command::Converge(args) => machine::state::converge(everywhere, args),
        Command::Apply(args) => machine::apply::run(everywhere, args),
        Command::Demo(args) => demo::run(everywhere, args),
        Command::Bench(args) => machine::bench::run(everywhere, args),
        Command::Sim(args) => sim::run(everywhere, args),
        Command::Replay(args) => machine::state::replay_trace(everywhere, args),
        Command::Completions(args) => machine::generate::completions(everywhere, args),
        Command::Man(args) => machine::generate::man(everywhere, args),
        Command::Vigocli { .. } => {
            Err(Failure::new(Exit::Usage, "`vigocli` stands first")
                .hint("vigo vigocli … , or the link vigocli"))
        }
    }
}
