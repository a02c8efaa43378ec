//! The wrong program and obvious slips, answered with the right line.
//!
//! Looked at only when the command line was not understood, so that nothing valid is ever second-guessed. The table
//! knows words of either program, of other programs that people come from, and of versions to come; what it
//! answers with is checked by a test against the real command lines.

use std::ffi::OsString;

use clap::CommandFactory;
use vigo_base::text::{escaped, nearest};

use crate::args::vigo::Vigo;
use crate::args::vigocli::Vigocli;

/// What is to be said about some words.
#[derive(Debug, Clone, Copy)]
pub enum Right {
    /// This line was meant; what followed the words follows it.
    Line(&'static str),
    /// Nothing does that in this version.
    Later(&'static str),
    /// Something else has to be explained.
    Say(&'static str),
}

/// Program, words, and what was meant. The first row whose words begin the line counts.
pub const TABLE: &[(&str, &[&str], Right)] = &[
    // The fleet's words said to this machine's program.
    ("vigo", &["publish"], Right::Line("vigocli config publish")),
    ("vigo", &["config", "check"], Right::Line("vigocli config publish --dry-run")),
    ("vigo", &["config"], Right::Line("vigocli config")),
    ("vigo", &["trace"], Right::Line("vigocli config trace")),
    ("vigo", &["tree"], Right::Line("vigocli config tree")),
    ("vigo", &["spanner"], Right::Line("vigocli spanner")),
    ("vigo", &["invite"], Right::Line("vigocli spanner invite")),
    ("vigo", &["token"], Right::Line("vigocli spanner invite")),
    ("vigo", &["approve"], Right::Line("vigocli spanner approve")),
    ("vigo", &["deny"], Right::Line("vigocli spanner deny")),
    ("vigo", &["requests"], Right::Line("vigocli spanner requests")),
    ("vigo", &["members"], Right::Line("vigocli spanner members")),
    ("vigo", &["revoke"], Right::Line("vigocli spanner revoke")),
    ("vigo", &["operator", "add"], Right::Line("vigocli spanner admit")),
    ("vigo", &["admit"], Right::Line("vigocli spanner admit")),
    ("vigo", &["key"], Right::Line("vigocli key")),
    ("vigo", &["keygen"], Right::Line("vigocli key new")),
    ("vigo", &["envoys"], Right::Line("vigocli envoys")),
    ("vigo", &["envoy"], Right::Line("vigocli envoys show")),
    ("vigo", &["settings"], Right::Line("vigocli settings")),
    // This machine's words said to the fleet's program.
    ("vigocli", &["init"], Right::Line("vigo init")),
    ("vigocli", &["join"], Right::Line("vigo join")),
    ("vigocli", &["spanner", "join"], Right::Line("vigo join")),
    ("vigocli", &["node"], Right::Line("vigo node")),
    ("vigocli", &["status"], Right::Line("vigo status")),
    ("vigocli", &["converge"], Right::Line("vigo converge")),
    ("vigocli", &["apply"], Right::Line("vigo apply")),
    ("vigocli", &["demo"], Right::Line("vigo demo")),
    ("vigocli", &["bench"], Right::Line("vigo bench")),
    ("vigocli", &["sim"], Right::Line("vigo sim")),
    ("vigo", &["simulate"], Right::Line("vigo sim run")),
    ("vigo", &["sim", "compare"], Right::Line("vigo sim diff")),
    ("vigo", &["sim", "scenarios"], Right::Line("vigo sim list")),
    ("vigocli", &["replay"], Right::Line("vigo replay")),
    ("vigocli", &["completions"], Right::Line("vigo completions --program vigocli")),
    ("vigocli", &["man"], Right::Line("vigo man")),
    ("vigocli", &["config", "format"], Right::Line("vigocli config fmt")),
    ("vigocli", &["fmt"], Right::Line("vigocli config fmt")),
    ("vigocli", &["lint"], Right::Line("vigocli config lint")),
    // Three different words for three different things.
    ("vigocli", &["envoys", "revoke"], Right::Line("vigocli spanner revoke")),
    ("vigocli", &["envoys", "remove"], Right::Line("vigocli spanner revoke")),
    (
        "vigocli",
        &["envoys", "delete"],
        Right::Say(
            "forgetting an envoy's history comes later; to never accept its key again: vigocli spanner revoke NAME",
        ),
    ),
    ("vigocli", &["envoys", "invite"], Right::Line("vigocli spanner invite")),
    ("vigocli", &["envoys", "add"], Right::Line("vigocli spanner invite --name")),
    ("vigocli", &["envoys", "approve"], Right::Line("vigocli spanner approve")),
    ("vigocli", &["envoys", "status"], Right::Line("vigocli envoys list")),
    (
        "vigocli",
        &["envoys", "converge"],
        Right::Say("an envoy converges itself; on that machine: vigo converge"),
    ),
    ("vigocli", &["operator", "add"], Right::Line("vigocli spanner admit")),
    ("vigocli", &["operator", "remove"], Right::Line("vigocli spanner revoke")),
    ("vigocli", &["operator", "revoke"], Right::Line("vigocli spanner revoke")),
    ("vigocli", &["operator"], Right::Line("vigocli spanner members")),
    ("vigocli", &["operators"], Right::Line("vigocli spanner members")),
    ("vigocli", &["admit"], Right::Line("vigocli spanner admit")),
    (
        "vigocli",
        &["spanner", "add"],
        Right::Say(
            "an operator: vigocli spanner admit NAME PUBLIC-KEY; a machine: vigocli spanner invite --name NAME",
        ),
    ),
    ("vigocli", &["keygen"], Right::Line("vigocli key new")),
    ("vigocli", &["key", "generate"], Right::Line("vigocli key new")),
    ("vigocli", &["key", "create"], Right::Line("vigocli key new")),
    ("vigocli", &["spanner", "list"], Right::Line("vigocli spanner members")),
    ("vigocli", &["spanner", "accept"], Right::Line("vigocli spanner approve")),
    ("vigocli", &["spanner", "reject"], Right::Line("vigocli spanner deny")),
    ("vigocli", &["spanner", "remove"], Right::Line("vigocli spanner revoke")),
    ("vigocli", &["spanner", "delete"], Right::Line("vigocli spanner revoke")),
    ("vigocli", &["spanner", "token"], Right::Line("vigocli spanner invite")),
    ("vigocli", &["invite"], Right::Line("vigocli spanner invite")),
    ("vigocli", &["requests"], Right::Line("vigocli spanner requests")),
    ("vigocli", &["approve"], Right::Line("vigocli spanner approve")),
    ("vigocli", &["deny"], Right::Line("vigocli spanner deny")),
    ("vigocli", &["members"], Right::Line("vigocli spanner members")),
    ("vigocli", &["revoke"], Right::Line("vigocli spanner revoke")),
    ("vigocli", &["publish"], Right::Line("vigocli config publish")),
    ("vigocli", &["trace"], Right::Line("vigocli config trace")),
    ("vigocli", &["tree"], Right::Line("vigocli config tree")),
    ("vigocli", &["log"], Right::Line("vigocli config log")),
    ("vigocli", &["list"], Right::Line("vigocli envoys list")),
    ("vigocli", &["envoy", "list"], Right::Line("vigocli envoys list")),
    ("vigocli", &["envoy", "revoke"], Right::Line("vigocli spanner revoke")),
    ("vigocli", &["envoy"], Right::Line("vigocli envoys show")),
    ("vigocli", &["setting"], Right::Line("vigocli settings")),
    ("vigocli", &["audit", "show"], Right::Line("vigocli audit list")),
    ("vigocli", &["audit", "log"], Right::Line("vigocli audit list")),
    ("vigocli", &["audit", "check"], Right::Line("vigocli audit verify")),
    ("vigo", &["audit"], Right::Line("vigocli audit")),
    ("vigocli", &["settings", "get"], Right::Line("vigocli settings list")),
    ("vigocli", &["settings", "show"], Right::Line("vigocli settings list")),
    ("vigocli", &["settings", "reset"], Right::Line("vigocli settings unset")),
    ("vigocli", &["config", "check"], Right::Line("vigocli config publish --dry-run")),
    ("vigocli", &["config", "validate"], Right::Line("vigocli config publish --dry-run")),
    ("vigocli", &["config", "apply"], Right::Line("vigocli config publish")),
    ("vigocli", &["config", "history"], Right::Line("vigocli config log")),
    ("vigocli", &["config", "list"], Right::Line("vigocli config log")),
    // Words of other programs for the same things.
    ("vigo", &["start"], Right::Line("vigo node")),
    ("vigo", &["run"], Right::Line("vigo node")),
    ("vigo", &["daemon"], Right::Line("vigo node")),
    ("vigo", &["agent"], Right::Line("vigo node")),
    ("vigo", &["enroll"], Right::Line("vigo join")),
    ("vigo", &["enrol"], Right::Line("vigo join")),
    ("vigo", &["sync"], Right::Line("vigo converge")),
    ("vigo", &["pull"], Right::Line("vigo converge")),
    ("vigo", &["check"], Right::Line("vigo converge --dry-run --diff")),
    ("vigo", &["health"], Right::Line("vigo status")),
    ("vigo", &["version"], Right::Line("vigo --version")),
    ("vigo", &["help"], Right::Line("vigo --help")),
    ("vigocli", &["version"], Right::Line("vigocli --version")),
    ("vigocli", &["help"], Right::Line("vigocli --help")),
    // Words of the design that this version does not have yet.
    ("vigo", &["puddle"], Right::Later("vigo swarm puddle")),
    ("vigo", &["pair"], Right::Later("vigo swarm puddle pair")),
    ("vigo", &["swarm"], Right::Later("vigo swarm")),
    ("vigo", &["lockbox"], Right::Later("vigo swarm lockbox")),
    ("vigo", &["longdrawer"], Right::Later("vigo swarm longdrawer")),
    ("vigo", &["gitback"], Right::Later("vigo swarm gitback")),
    ("vigocli", &["puddle"], Right::Later("vigo swarm puddle")),
    ("vigocli", &["filecast"], Right::Later("vigocli swarm filecast")),
    ("vigocli", &["swarm"], Right::Later("vigocli swarm")),
    ("vigocli", &["secrets"], Right::Later("vigocli secrets")),
    ("vigocli", &["task"], Right::Later("vigocli task")),
    ("vigocli", &["query"], Right::Later("vigocli query")),
];

/// What to say about a line that was not understood: what happened, and what to do.
pub fn answer(program: &str, line: &[OsString]) -> Option<(String, String)> {
    let all: Vec<String> = line.iter().map(|w| w.to_string_lossy().into_owned()).collect();
    let places = words(&all);
    let plain: Vec<&str> = places.iter().map(|i| all[*i].as_str()).collect();
    let typed = |n: usize| escaped(&plain[..n.min(plain.len())].join(" "));
    for (of, begin, right) in TABLE {
        if *of != program || !plain.starts_with(begin) {
            continue;
        }
        let what = format!("there is no `{program} {}`", typed(begin.len()));
        let used: Vec<usize> = places[..begin.len()].to_vec();
        let rest = all.iter().enumerate().filter(|(i, _)| !used.contains(i)).map(|(_, w)| shell(w));
        return Some(match right {
            Right::Line(line) => {
                (what, std::iter::once((*line).to_owned()).chain(rest).collect::<Vec<_>>().join(" "))
            }
            Right::Later(line) => {
                (what, format!("`{line}` is its name, and this version does not have it yet"))
            }
            Right::Say(text) => (what, (*text).to_owned()),
        });
    }
    near(program, &plain)
}

/// The nearest subcommand at the first word that is none.
fn near(program: &str, words: &[&str]) -> Option<(String, String)> {
    let mut command = command_of(program);
    let mut path = vec![program.to_owned()];
    for word in words {
        if let Some(next) = command.find_subcommand(word) {
            path.push((*word).to_owned());
            command = next.clone();
            continue;
        }
        let names: Vec<String> =
            command.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name().to_owned()).collect();
        if names.is_empty() {
            return None;
        }
        let what = format!("there is no `{} {}`", path.join(" "), escaped(word));
        let line = match nearest(word, names.iter().map(String::as_str)) {
            Some(name) => format!("{} {name}", path.join(" ")),
            None => format!("{} knows: {}", path.join(" "), names.join(", ")),
        };
        return Some((what, line));
    }
    None
}

/// The program with the subcommands that a line names.
pub fn path(program: &str, line: &[OsString]) -> String {
    let mut command = command_of(program);
    let mut path = program.to_owned();
    for word in line {
        let Some(next) = word.to_str().and_then(|w| command.find_subcommand(w)).cloned() else { continue };
        path += &format!(" {}", next.get_name());
        command = next;
    }
    path
}

/// The command line of a program.
pub fn command_of(program: &str) -> clap::Command {
    if program == "vigocli" { Vigocli::command() } else { Vigo::command() }
}

/// The places of words that are neither options nor the values of options that take one.
fn words(all: &[String]) -> Vec<usize> {
    let takes = ["--state", "--socket", "--color", "--key", "--passphrase-file"];
    let mut places = Vec::new();
    let mut value = false;
    for (i, word) in all.iter().enumerate() {
        if std::mem::take(&mut value) {
            continue;
        }
        if word.starts_with('-') {
            value = takes.contains(&word.as_str());
        } else {
            places.push(i);
        }
    }
    places
}

/// A word as a shell takes it.
fn shell(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./:=@%+,".contains(c));
    if plain { word.to_owned() } else { format!("'{}'", escaped(word).replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (program, rest) = (line.split(' ').next()?, &words[1..]);
        answer(program, rest).map(|(what, hint)| format!("{what} -> {hint}"))
    }

    #[test]
    fn the_command_lines_are_sound() {
        Vigo::command().debug_assert();
        Vigocli::command().debug_assert();
    }

    #[test]
    fn what_is_answered_exists() {
        for (_, _, right) in TABLE {
            let Right::Line(line) = right else { continue };
            let mut words = line.split(' ');
            let mut command = command_of(words.next().unwrap());
            for word in words.filter(|w| !w.starts_with('-') && *w != "vigocli") {
                let next = command.find_subcommand(word).cloned();
                command = next.unwrap_or_else(|| panic!("{line}: there is no {word}"));
            }
        }
    }

    #[test]
    fn what_exists_is_no_slip() {
        for (program, words, right) in TABLE {
            let mut command = command_of(program);
            let known = words.iter().all(|word| match command.find_subcommand(word).cloned() {
                Some(next) => {
                    command = next;
                    true
                }
                None => false,
            });
            assert!(!known, "{program} {words:?} exists, and the table answers {right:?}");
        }
    }

    #[test]
    fn slips_are_answered_with_the_whole_line() {
        assert_eq!(
            said("vigocli envoys revoke web01 --reason gone").unwrap(),
            "there is no `vigocli envoys revoke` -> vigocli spanner revoke web01 --reason gone"
        );
        assert_eq!(
            said("vigo --state /x publish --wait").unwrap(),
            "there is no `vigo publish` -> vigocli config publish --state /x --wait"
        );
        assert_eq!(said("vigo statsu").unwrap(), "there is no `vigo statsu` -> vigo status");
        assert_eq!(
            said("vigocli spanner memebrs").unwrap(),
            "there is no `vigocli spanner memebrs` -> vigocli spanner members"
        );
        assert!(said("vigo puddle").unwrap().contains("`vigo swarm puddle` is its name"));
        assert_eq!(said("vigo status --jsno"), None, "options are the parser's business");
    }

    #[test]
    fn what_was_typed_cannot_move_the_cursor() {
        let words = ["pub\u{1b}[2J".into()];
        let (what, _) = answer("vigo", &words).unwrap();
        assert!(!what.contains('\u{1b}'), "{what}");
        assert_eq!(shell("a b\u{1b}"), "'a b\\u{1b}'");
    }
}
