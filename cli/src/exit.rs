//! How the programs end: one enum of exit codes, and the one form of an error.
//!
//! An error says what happened and what to do. It never shows text from elsewhere unescaped. Invariant: every code
//! stands in [`Exit::ALL`], from which `docs/exit-codes.md` and the manual pages are checked.

use serde_json::json;
use vigo_base::text::escaped;
use vigo_daemon::client::CallError;
use vigo_daemon::node::command::{Refusal, RefusalKind};

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went as asked.
    Ok = 0,
    /// It did not, for a reason that has no code of its own.
    Failed = 1,
    /// The command line or a file of settings is wrong.
    Usage = 2,
    /// The caller may not: rights, passphrases, the socket.
    Denied = 3,
    /// There is no such thing.
    NotFound = 4,
    /// Somebody else was faster, or it ran out: look and do it again.
    Stale = 5,
    /// No node answers, or it cannot now.
    Unavailable = 6,
    /// The configuration has errors; nothing was published or applied.
    Config = 7,
    /// It was applied, and some steps or machines failed.
    Partial = 8,
    /// What was checked is damaged.
    Damaged = 9,
}

impl Exit {
    /// Every code, its word in JSON, and what it means.
    pub const ALL: [(Exit, &'static str, &'static str); 10] = [
        (Exit::Ok, "ok", "all went as asked"),
        (Exit::Failed, "failed", "it failed, for a reason that has no code of its own"),
        (Exit::Usage, "usage", "the command line, node.yaml or a value given is wrong"),
        (
            Exit::Denied,
            "denied",
            "you may not: a missing right, a wrong passphrase, a socket or file of others",
        ),
        (Exit::NotFound, "not-found", "there is no such envoy, member, file or publish"),
        (Exit::Stale, "stale", "somebody else was faster, or a token ran out: look, then do it again"),
        (Exit::Unavailable, "unavailable", "no node answers here, or it cannot now: start it or wait"),
        (Exit::Config, "config", "the configuration has errors; nothing was published or applied"),
        (Exit::Partial, "partial", "it was applied, and some steps failed or some envoys did not arrive"),
        (Exit::Damaged, "damaged", "what was checked is damaged, or was tampered with"),
    ];

    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        Exit::ALL.iter().find(|(exit, ..)| *exit == self).map_or("failed", |(_, word, _)| word)
    }

    /// The table for the end of a manual page.
    pub fn table() -> String {
        let line = |(exit, _, about): &(Exit, &str, &str)| format!("  {}  {about}\n", *exit as u8);
        Exit::ALL.iter().map(line).collect()
    }
}

/// An error on its way to the user.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The code to end with.
    pub exit: Exit,
    /// What happened; empty when everything has been said already.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// What happened. Text from elsewhere is escaped by the caller or holds none.
    pub fn new(exit: Exit, what: impl Into<String>) -> Failure {
        Failure { exit, what: what.into(), hint: None }
    }

    /// What to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Only a code: what there is to say was printed as the result.
    pub fn said(exit: Exit) -> Failure {
        Failure::new(exit, "")
    }

    /// A file or directory that the system does not give.
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
        use std::io::ErrorKind as K;
        let place = escaped(&path.display().to_string());
        let (exit, why, hint) = match error.kind() {
            K::NotFound => (Exit::NotFound, "it is not there".to_owned(), "check the path"),
            K::PermissionDenied => {
                (Exit::Denied, "you may not".to_owned(), "run it as a user who may, or with sudo")
            }
            K::StorageFull | K::QuotaExceeded => {
                (Exit::Failed, "the disk is full".to_owned(), "make room there and repeat the command")
            }
            _ => (Exit::Failed, error.to_string(), "see the message of the system"),
        };
        Failure::new(exit, format!("cannot {doing} {place}: {why}")).hint(hint)
    }

    /// Prints it, to standard error.
    pub fn print(&self, json: bool, color: bool) {
        if self.what.is_empty() {
            return;
        }
        if json {
            let body = json!({
                "error": {"exit": self.exit as u8, "kind": self.exit.word(), "what": self.what, "hint": self.hint}
            });
            eprintln!("{body}");
            return;
        }
        let (red, plain) = if color { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        eprintln!("{red}error:{plain} {}", indented(&self.what));
        if let Some(hint) = &self.hint {
            eprintln!("  hint: {}", indented(hint));
        }
    }
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n        ")
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let exit = match refusal.kind {
            RefusalKind::Denied => Exit::Denied,
            RefusalKind::BadRequest => Exit::Usage,
            RefusalKind::NotFound => Exit::NotFound,
            RefusalKind::Stale => Exit::Stale,
            RefusalKind::Unavailable => Exit::Unavailable,
            RefusalKind::Internal => Exit::Failed,
        };
        Failure { exit, what: escaped(&refusal.what), hint: refusal.hint.as_deref().map(escaped) }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        let text = escaped(&error.to_string());
        match error {
            CallError::Refused(refusal) => refusal.into(),
            CallError::NoNode { path } => {
                let place = escaped(&path.display().to_string());
                let what = format!("no vigo node is running here (nothing answers on {place})");
                Failure::new(Exit::Unavailable, what)
                    .hint("start it with `vigo node`, or name its socket with --socket")
            }
            CallError::Denied { path } => {
                let what =
                    format!("you may not use the node's socket {}", escaped(&path.display().to_string()));
                Failure::new(Exit::Denied, what)
                    .hint("run this as root, or as a member of the group vigo-admin")
            }
            CallError::Broken { .. } => crate::reach::split(Exit::Unavailable, &text),
            CallError::Protocol { .. } | CallError::Source(_) | CallError::Io { .. } => {
                crate::reach::split(Exit::Failed, &text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row_and_its_own_number() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|(exit, ..)| *exit as u8).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<u8>>());
        assert_eq!(Exit::Stale.word(), "stale");
    }

    #[test]
    fn what_the_node_says_cannot_move_the_cursor() {
        let refusal = Refusal { kind: RefusalKind::NotFound, what: "no \u{1b}[2J".into(), hint: None };
        assert_eq!(Failure::from(refusal).what, "no \\u{1b}[2J");
    }
}
