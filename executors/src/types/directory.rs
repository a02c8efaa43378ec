//! A folder: its owner, group and mode.
//!
//! It never looks into the folder except to see whether it is empty, and never removes what is in one unless
//! `recurse: true` says so; of what is removed that way no copy is kept.

use vigo_stacks::report::Outcome;

use super::access::Declared;
use super::forceable;
use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Action, Change, Trouble};
use crate::host::{Access, Host, HostError, Kind, Stat};
use crate::path::HostPath;

/// The mode of a new folder when none is declared.
const NEW_MODE: u32 = 0o755;

/// What a `directory` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    path: HostPath,
    access: Declared,
    absent: bool,
    recurse: bool,
    force: bool,
}

impl Directory {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<Directory, BadAttribute> {
        Ok(Directory {
            path: attributes.target()?,
            access: Declared::parse(attributes)?,
            absent: attributes.absent()?,
            recurse: attributes.flag("recurse")?,
            force: attributes.flag("force")?,
        })
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// [`Trouble`] when the machine cannot be looked at, something else is in the way, or a folder that is to go
    /// is not empty.
    pub fn check(&self, host: &dyn Host) -> Result<Change, Trouble> {
        let found = host.stat(&self.path)?;
        if self.absent {
            return self.check_absent(host, found);
        }
        let wanted = self.access.resolve(host)?;
        let path = self.path.clone();
        let make = Action::MakeDir {
            path: path.clone(),
            access: Access { mode: Some(wanted.access.mode.unwrap_or(NEW_MODE)), ..wanted.access },
        };
        match found {
            None => Ok(change(Outcome::Created, wanted.message(vec!["created".to_owned()]), vec![make])),
            Some(stat) if stat.kind == Kind::Directory => {
                let (access, words) = wanted.differing(&stat);
                if access.is_empty() {
                    return Ok(Change::nothing(wanted.message(words)));
                }
                let set = Action::SetAccess { path, access };
                Ok(change(Outcome::Updated, wanted.message(words), vec![set]))
            }
            Some(stat) => {
                let clear = self.clear(&stat)?;
                let words = vec![format!("replaced {}", stat.kind.described())];
                Ok(change(Outcome::Updated, wanted.message(words), vec![clear, make]))
            }
        }
    }

    fn check_absent(&self, host: &dyn Host, found: Option<Stat>) -> Result<Change, Trouble> {
        let path = self.path.clone();
        let action = match found {
            None => return Ok(Change::nothing("")),
            Some(stat) if stat.kind != Kind::Directory => self.clear(&stat)?,
            Some(_) if host.is_empty_dir(&path)? => Action::RemoveDir { path, recursive: false },
            Some(_) if !self.recurse => return Err(HostError::NotEmpty { path }.into()),
            Some(_) if path.parts().count() < 2 => return Err(HostError::Precious { path }.into()),
            Some(_) => Action::RemoveDir { path, recursive: true },
        };
        let message = match &action {
            Action::RemoveDir { recursive: true, .. } => "removed with all that was in it",
            _ => "removed",
        };
        Ok(change(Outcome::Deleted, message.to_owned(), vec![action]))
    }

    /// The action that removes a file or link in the way, if that was asked for.
    fn clear(&self, stat: &Stat) -> Result<Action, Trouble> {
        let path = self.path.clone();
        match stat.kind {
            Kind::File | Kind::Symlink if self.force => Ok(Action::RemoveFile { path }),
            Kind::File | Kind::Symlink | Kind::Directory => Err(Trouble::InTheWay {
                path,
                found: stat.kind,
                expected: "a directory",
                forceable: forceable("directory"),
            }),
            odd => Err(Trouble::Odd { path, found: odd }),
        }
    }
}

fn change(outcome: Outcome, message: String, actions: Vec<Action>) -> Change {
    Change { outcome, message, diff: None, actions }
}
