//! What is done to an account: commands of shadow-utils, which keep its files locked and its audit trail, and
//! files in the home, which [`super::home`] puts there.
//!
//! A password's encoding and the text for sudo reach a command in its environment, never in its line, which every
//! user of the machine and every report could read.

use std::collections::BTreeMap;

use super::home::HomeFiles;
use crate::change::{Limits, Run, Trouble, ended_well, run_within};
use crate::host::{Ending, Host};

/// What shadow-utils exit with when a user's processes are in the way.
const IN_USE: i32 = 8;
/// Milliseconds in which processes are asked to end and then killed.
const ENDING_MILLIS: u64 = 6_000;

/// Sets a password: `VIGO_USER` and `VIGO_HASH`.
pub(crate) const SET_PASSWORD: &str = r#"printf '%s:%s\n' "$VIGO_USER" "$VIGO_HASH" | chpasswd --encrypted"#;
/// Asks sudo whether it understands `VIGO_SUDOERS`.
pub(crate) const CHECK_SUDOERS: &str = r#"command -v visudo >/dev/null || { echo "there is no visudo: install the package sudo first"; exit 1; }; printf '%s' "$VIGO_SUDOERS" | visudo -c -f -"#;

/// One act.
#[derive(Debug, Clone)]
pub enum Act {
    /// A command.
    Command {
        /// The command.
        run: Run,
        /// Whose processes are ended first, since they stand in its way.
        ends: Option<u32>,
    },
    /// Files in the home, put there by what the machine is then.
    Home(HomeFiles),
}

impl Act {
    /// A command in words that need no shell.
    pub(super) fn command(words: &[&str], ends: Option<u32>) -> Act {
        let line: Vec<String> = words.iter().map(|w| quoted(w)).collect();
        Act::Command { run: run(line.join(" "), BTreeMap::new()), ends }
    }

    /// One of the constant lines with its variables.
    pub(super) fn with(line: &str, variables: &[(&str, &str)]) -> Act {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Act::Command { run: run(line.to_owned(), variables), ends: None }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`Trouble`] when the command fails, or the home is not such that files are put there.
    pub fn perform(&self, host: &mut dyn Host, limits: &Limits) -> Result<(), Trouble> {
        let (run, ends) = match self {
            Act::Home(files) => return files.perform(host),
            Act::Command { run, ends } => (run, *ends),
        };
        let end = |host: &mut dyn Host| match ends {
            Some(user) => {
                let left = limits.deadline.saturating_sub(host.millis());
                host.end_processes(user, left.min(ENDING_MILLIS)).map(drop)
            }
            None => Ok(()),
        };
        end(host)?;
        let mut ran = run_within(run, host, limits)?;
        if ends.is_some() && ran.ending == Ending::Exit(IN_USE) {
            end(host)?;
            ran = run_within(run, host, limits)?;
        }
        ended_well(run, ran)
    }
}

fn run(command: String, environment: BTreeMap<String, String>) -> Run {
    Run { command, cwd: None, environment, returns: vec![0] }
}

/// A word for `sh`, as it is.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | ',');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
