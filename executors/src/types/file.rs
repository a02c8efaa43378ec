//! A regular file: its content, owner, group and mode.
//!
//! It never writes through a link and never replaces a pipe, a socket or a device. What is not declared stays as
//! it is, with one exception: when the content of a set-id file is replaced and no mode is declared, the set-id
//! bits go, since nobody asked for the new content to have them.

use std::sync::Arc;

use vigo_stacks::report::Outcome;

use super::access::{Declared, Wanted};
use super::forceable;
use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Action, Change, Trouble};
use crate::diff::{SIDE_BYTES, Side, unified};
use crate::host::{FILE_BYTES, Host, Kind, Stat};
use crate::path::HostPath;

/// The mode of a new file when none is declared.
const NEW_MODE: u32 = 0o644;
/// The bits that survive a change of content when no mode is declared.
const PLAIN_BITS: u32 = 0o777;

/// What a `file` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    path: HostPath,
    content: Option<Arc<[u8]>>,
    access: Declared,
    absent: bool,
    force: bool,
}

impl File {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<File, BadAttribute> {
        attributes.later("stream_edit")?;
        let content = attributes.text("content")?.map(|text| Arc::from(text.into_bytes()));
        if let Some(bytes) = content.as_ref().filter(|b: &&Arc<[u8]>| b.len() as u64 > FILE_BYTES) {
            let found = format!("{} bytes", bytes.len());
            return Err(BadAttribute::Wrong { name: "content", found, expected: "at most 64 MiB" });
        }
        Ok(File {
            path: attributes.target()?,
            content,
            access: Declared::parse(attributes)?,
            absent: attributes.absent()?,
            force: attributes.flag("force")?,
        })
    }

    /// A file of another type's making: whole, root's, with that mode.
    pub(super) fn owned_by_root(path: HostPath, text: &str, mode: u32) -> File {
        let root = || Some("root".to_owned());
        let access = Declared { owner: root(), group: root(), mode: Some(mode) };
        let content = Some(Arc::from(text.as_bytes()));
        File { path, content, access, absent: false, force: false }
    }

    /// That there is no such file.
    pub(super) fn gone(path: HostPath) -> File {
        File { path, content: None, access: Declared::default(), absent: true, force: false }
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// [`Trouble`] when the machine cannot be looked at, or something else is in the way.
    pub fn check(&self, host: &dyn Host) -> Result<Change, Trouble> {
        let found = host.stat(&self.path)?;
        if self.absent {
            return self.check_absent(host, found);
        }
        let wanted = self.access.resolve(host)?;
        match found {
            None => Ok(self.create(&wanted, Vec::new(), Outcome::Created, "created".to_owned())),
            Some(stat) if stat.kind == Kind::File => self.compare(host, &stat, &wanted),
            Some(stat) => {
                let remove = self.clear(&stat)?;
                let message = format!("replaced {}", stat.kind.described());
                Ok(self.create(&wanted, vec![remove], Outcome::Updated, message))
            }
        }
    }

    fn check_absent(&self, host: &dyn Host, found: Option<Stat>) -> Result<Change, Trouble> {
        let Some(stat) = found else { return Ok(Change::nothing("")) };
        let (action, diff) = if stat.kind == Kind::File {
            let old = self.old_side(host, &stat)?;
            let new = Side { label: "/dev/null", size: 0, bytes: Some(&[]) };
            (Action::RemoveFile { path: self.path.clone() }, some(unified(old.side(self.path.as_str()), new)))
        } else {
            (self.clear(&stat)?, None)
        };
        let message = format!("removed {}", stat.kind.described());
        Ok(Change { outcome: Outcome::Deleted, message, diff, actions: vec![action] })
    }

    /// The action that removes what is in the way, if that was asked for.
    fn clear(&self, stat: &Stat) -> Result<Action, Trouble> {
        let path = self.path.clone();
        match stat.kind {
            Kind::Fifo | Kind::Socket | Kind::Device => Err(Trouble::Odd { path, found: stat.kind }),
            kind if !self.force => Err(Trouble::InTheWay {
                path,
                found: kind,
                expected: "a regular file",
                forceable: forceable("file"),
            }),
            Kind::Directory => Ok(Action::RemoveDir { path, recursive: true }),
            Kind::File | Kind::Symlink => Ok(Action::RemoveFile { path }),
        }
    }

    fn create(&self, wanted: &Wanted, before: Vec<Action>, outcome: Outcome, message: String) -> Change {
        let bytes = self.content.clone().unwrap_or_default();
        let old = Side { label: "/dev/null", size: 0, bytes: Some(&[]) };
        let diff = some(unified(old, self.new_side(&bytes)));
        let mut actions = before;
        actions.push(Action::Write {
            path: self.path.clone(),
            bytes,
            mode: wanted.access.mode.unwrap_or(NEW_MODE),
            owner: wanted.access.owner,
            group: wanted.access.group,
        });
        Change { outcome, message: wanted.message(vec![message]), diff, actions }
    }

    fn compare(&self, host: &dyn Host, stat: &Stat, wanted: &Wanted) -> Result<Change, Trouble> {
        let (access, mut words) = wanted.differing(stat);
        let changed = match &self.content {
            Some(content) => self.content_differs(host, stat, content)?.map(|old| (content, old)),
            None => None,
        };
        if let Some((content, old)) = changed {
            words.insert(0, "content".to_owned());
            let kept = |id: u32| host.capabilities().own.then_some(id);
            let action = Action::Write {
                path: self.path.clone(),
                bytes: Arc::clone(content),
                mode: wanted.access.mode.unwrap_or(stat.mode & PLAIN_BITS),
                owner: wanted.access.owner.or(kept(stat.owner)),
                group: wanted.access.group.or(kept(stat.group)),
            };
            let diff = some(unified(old.side(self.path.as_str()), self.new_side(content)));
            return Ok(updated(wanted.message(words), diff, action));
        }
        if access.is_empty() {
            return Ok(Change::nothing(wanted.message(words)));
        }
        let action = Action::SetAccess { path: self.path.clone(), access };
        Ok(updated(wanted.message(words), None, action))
    }

    /// The old content (as far as it is shown) when it is not `content`.
    fn content_differs(
        &self,
        host: &dyn Host,
        stat: &Stat,
        content: &Arc<[u8]>,
    ) -> Result<Option<Old>, Trouble> {
        if stat.size != content.len() as u64 {
            return self.old_side(host, stat).map(Some);
        }
        let bytes = host.read(&self.path, FILE_BYTES)?;
        Ok((bytes[..] != content[..]).then_some(Old { size: stat.size, bytes: Some(bytes) }))
    }

    fn old_side(&self, host: &dyn Host, stat: &Stat) -> Result<Old, Trouble> {
        let shown = stat.size <= SIDE_BYTES as u64;
        let bytes = if shown { Some(host.read(&self.path, FILE_BYTES)?) } else { None };
        Ok(Old { size: stat.size, bytes })
    }

    fn new_side<'a>(&'a self, bytes: &'a [u8]) -> Side<'a> {
        let size = bytes.len() as u64;
        Side { label: self.path.as_str(), size, bytes: (bytes.len() <= SIDE_BYTES).then_some(bytes) }
    }
}

/// A former content, as far as it is shown.
struct Old {
    size: u64,
    bytes: Option<Vec<u8>>,
}

impl Old {
    fn side<'a>(&'a self, label: &'a str) -> Side<'a> {
        let bytes = self.bytes.as_deref().filter(|b| b.len() <= SIDE_BYTES);
        Side { label, size: self.size, bytes }
    }
}

fn updated(message: String, diff: Option<String>, action: Action) -> Change {
    Change { outcome: Outcome::Updated, message, diff, actions: vec![action] }
}

fn some(diff: String) -> Option<String> {
    (!diff.is_empty()).then_some(diff)
}
