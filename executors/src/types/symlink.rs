//! A symbolic link and its text.
//!
//! It never looks at what the link points to: a link may dangle, and its text is written as declared. Only a
//! regular file in its place can be replaced (with `force`, a copy kept), never a folder.

use vigo_base::text::escaped;
use vigo_stacks::report::Outcome;

use super::forceable;
use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Action, Change, Trouble};
use crate::diff::{Side, unified};
use crate::host::{Host, Kind, Stat};
use crate::path::{HostPath, PATH_BYTES};

/// What a `symlink` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    path: HostPath,
    /// Empty only when absent.
    to: String,
    absent: bool,
    force: bool,
}

impl Symlink {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<Symlink, BadAttribute> {
        let name = "link_target";
        let (path, absent) = (attributes.target()?, attributes.absent()?);
        let force = attributes.flag("force")?;
        let to = match attributes.word(name)? {
            Some(to) if to.len() < PATH_BYTES && !to.contains('\0') => to,
            Some(to) => {
                let found = format!("`{}`", escaped(&to.chars().take(80).collect::<String>()));
                let expected = "a path of at most 4095 bytes without NUL";
                return Err(BadAttribute::Wrong { name, found, expected });
            }
            None if absent => String::new(),
            None => return Err(BadAttribute::Missing { name }),
        };
        Ok(Symlink { path, to, absent, force })
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// [`Trouble`] when the machine cannot be looked at, or something else is in the way.
    pub fn check(&self, host: &dyn Host) -> Result<Change, Trouble> {
        let (path, to) = (self.path.clone(), self.to.clone());
        let link = Action::Link { path: path.clone(), to: to.clone() };
        let found = host.stat(&self.path)?;
        let old = found.as_ref().and_then(|stat| stat.target.clone());
        match (found, self.absent) {
            (None, true) => Ok(Change::nothing("")),
            (None, false) => {
                Ok(self.change(Outcome::Created, format!("links to {}", escaped(&to)), old, vec![link]))
            }
            (Some(stat), true) => {
                let remove =
                    if stat.kind == Kind::Symlink { Action::RemoveFile { path } } else { self.clear(&stat)? };
                Ok(self.change(Outcome::Deleted, "removed".to_owned(), old, vec![remove]))
            }
            (Some(stat), false) if stat.kind == Kind::Symlink => {
                if old.as_ref() == Some(&to) {
                    return Ok(Change::nothing(""));
                }
                let was = old.as_deref().map(escaped).unwrap_or_default();
                let message = format!("links to {}, was {was}", escaped(&to));
                Ok(self.change(Outcome::Updated, message, old, vec![link]))
            }
            (Some(stat), false) => {
                let clear = self.clear(&stat)?;
                let message = format!("replaced {}, links to {}", stat.kind.described(), escaped(&to));
                Ok(self.change(Outcome::Updated, message, old, vec![clear, link]))
            }
        }
    }

    fn change(&self, outcome: Outcome, message: String, old: Option<String>, actions: Vec<Action>) -> Change {
        let line = |text: &str| if text.is_empty() { String::new() } else { format!("{}\n", escaped(text)) };
        let (before, after) =
            (line(old.as_deref().unwrap_or("")), line(if self.absent { "" } else { &self.to }));
        let label = self.path.as_str();
        let diff = unified(side(label, &before), side(label, &after));
        Change { outcome, message, diff: (!diff.is_empty()).then_some(diff), actions }
    }

    /// The action that removes a file in the way, if that was asked for.
    fn clear(&self, stat: &Stat) -> Result<Action, Trouble> {
        let path = self.path.clone();
        match stat.kind {
            Kind::File if self.force => Ok(Action::RemoveFile { path }),
            Kind::File | Kind::Directory | Kind::Symlink => Err(Trouble::InTheWay {
                path,
                found: stat.kind,
                expected: "a symlink",
                forceable: stat.kind == Kind::File && forceable("symlink"),
            }),
            odd => Err(Trouble::Odd { path, found: odd }),
        }
    }
}

fn side<'a>(label: &'a str, text: &'a str) -> Side<'a> {
    let (label, size) = (if text.is_empty() { "/dev/null" } else { label }, text.len() as u64);
    Side { label, size, bytes: Some(text.as_bytes()) }
}
