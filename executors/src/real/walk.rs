//! From a path to the open folder that holds its last part: the one way in which the real host reaches anything.
//!
//! It never hands a path of more than one part to the kernel and never lets the kernel follow a link: each part
//! is opened below the folder before it, and a link is read as text and walked from there, as in a chroot (an
//! absolute link starts again at our root, `..` stops at it). Invariant: every folder that it opens was reached
//! from the root by names, so a link swapped in by somebody else can fail a walk but cannot lead it out. As root,
//! a user's link is followed only to that user's folders.
//! `cap-std` alone would refuse absolute links, which real machines have (`/var/run`), hence this walk over it.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, statat};
use rustix::io::Errno;

use super::errors::refused;
use crate::host::{Fault, HostError, Kind, LINKS, PARENT_MODE, Stat};
use crate::path::HostPath;

/// Folders that a walk may be deep.
const DEPTH: usize = 256;
/// Times that a part is tried again when somebody changes it under our eyes.
const RETRIES: usize = 64;

/// An open folder and the name of one thing in it (`.` for the folder itself).
pub(super) struct Place {
    pub dir: Dir,
    pub name: OsString,
}

/// What a walk does about its last part and about folders that are missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// The last part is not followed.
    Itself,
    /// The last part is followed when it is a link.
    Followed,
    /// The last part is not followed; missing folders before it are made.
    Making,
}

struct Walk<'a> {
    root: &'a Dir,
    path: &'a HostPath,
    stack: Vec<Dir>,
    todo: VecDeque<OsString>,
    links: usize,
    retries: usize,
    /// The owner of a link that was followed, when it is neither root nor us.
    stranger: Option<u32>,
}

/// The place that `path` names; `None` when a folder on the way is missing (and is not to be made).
pub(super) fn find(root: &Dir, path: &HostPath, manner: Manner) -> Result<Option<Place>, HostError> {
    let todo = path.parts().map(OsString::from).collect();
    let mut walk = Walk { root, path, stack: Vec::new(), todo, links: 0, retries: 0, stranger: None };
    while let Some(part) = walk.todo.pop_front() {
        if part.is_empty() || part == "." {
            continue;
        }
        if part == ".." {
            walk.stack.pop();
            continue;
        }
        if walk.todo.is_empty() {
            if manner == Manner::Followed && walk.expand(&part)? {
                continue;
            }
            return walk.end(part).map(Some);
        }
        if !walk.enter(part, manner)? {
            return Ok(None);
        }
    }
    walk.end(OsString::from(".")).map(Some)
}

impl Walk<'_> {
    fn here(&self) -> &Dir {
        self.stack.last().unwrap_or(self.root)
    }

    /// Refuses a folder that a user's link led us to and that is not that user's: root must not be led by others'
    /// links into what they could not write themselves.
    fn trusted(&self) -> Result<(), HostError> {
        let Some(owner) = self.stranger else { return Ok(()) };
        let found =
            rustix::fs::fstat(self.here()).map_err(|e| refused("reach", self.path, &e.into()))?.st_uid;
        if found == owner { Ok(()) } else { Err(HostError::Misled { path: self.path.clone(), owner }) }
    }

    fn end(mut self, name: OsString) -> Result<Place, HostError> {
        self.trusted()?;
        let dir = match self.stack.pop() {
            Some(dir) => dir,
            None => self.root.try_clone().map_err(|e| refused("reach", self.path, &e))?,
        };
        Ok(Place { dir, name })
    }

    /// Goes into the folder `part`, or takes up the link `part`; `false` when it is missing.
    fn enter(&mut self, part: OsString, manner: Manner) -> Result<bool, HostError> {
        if self.stack.len() >= DEPTH {
            return Err(HostError::LinkLoop { path: self.path.clone() });
        }
        let error = match self.here().open_dir_nofollow(&part) {
            Ok(dir) => {
                self.stack.push(dir);
                return Ok(true);
            }
            Err(error) => error,
        };
        if self.expand(&part)? {
            return Ok(true);
        }
        match stat_in(self.here(), &part) {
            Err(Errno::NOENT) if manner == Manner::Making => {
                self.trusted()?;
                match rustix::fs::mkdirat(self.here(), &part, Mode::from_raw_mode(PARENT_MODE as RawMode)) {
                    Ok(()) | Err(Errno::EXIST) => self.again(part, error),
                    Err(e) => Err(refused("make the directory of", self.path, &e.into())),
                }
            }
            Err(Errno::NOENT) => Ok(false),
            Ok(found)
                if found.kind == Kind::Directory && error.kind() != std::io::ErrorKind::PermissionDenied =>
            {
                self.again(part, error)
            }
            _ => Err(refused("reach", self.path, &error)),
        }
    }

    /// The part has changed since it was looked at: tries it again, not for ever.
    fn again(&mut self, part: OsString, error: std::io::Error) -> Result<bool, HostError> {
        self.retries += 1;
        if self.retries > RETRIES {
            return Err(refused("reach", self.path, &error));
        }
        self.todo.push_front(part);
        Ok(true)
    }

    /// When `part` is a link, puts the parts of its text before what is still to do.
    fn expand(&mut self, part: &OsStr) -> Result<bool, HostError> {
        let (target, owner) = match read_link(self.here(), part) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(e) => return Err(refused("reach", self.path, &e.into())),
        };
        self.links += 1;
        if self.links > LINKS {
            return Err(HostError::LinkLoop { path: self.path.clone() });
        }
        let us = rustix::process::geteuid();
        if us.is_root() && owner != us.as_raw() {
            self.stranger.get_or_insert(owner);
        }
        let bytes = target.to_bytes();
        if bytes.starts_with(b"/") {
            self.stack.clear();
        }
        for piece in bytes.split(|b| *b == b'/').rev() {
            self.todo.push_front(OsStr::from_bytes(piece).to_owned());
        }
        Ok(true)
    }
}

/// Text and owner of the link `name`, of one and the same link; `None` when it is none.
fn read_link(dir: &Dir, name: &OsStr) -> Result<Option<(CString, u32)>, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(link) => link,
        Err(Errno::NOENT) => return Ok(None),
        Err(e) => return Err(e),
    };
    let raw = rustix::fs::fstat(&link)?;
    if FileType::from_raw_mode(raw.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    Ok(Some((rustix::fs::readlinkat(&link, "", Vec::new())?, raw.st_uid)))
}

/// What is at `name` in `dir`, itself.
pub(super) fn stat_in(dir: &Dir, name: &OsStr) -> Result<Stat, Errno> {
    let raw = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = kind_of(FileType::from_raw_mode(raw.st_mode));
    let target = match kind {
        Kind::Symlink => {
            let text = rustix::fs::readlinkat(dir, name, Vec::new())?;
            Some(String::from_utf8_lossy(text.to_bytes()).into_owned())
        }
        _ => None,
    };
    let size = if kind == Kind::File { u64::try_from(raw.st_size).unwrap_or(0) } else { 0 };
    Ok(Stat { kind, mode: raw.st_mode & 0o7777, owner: raw.st_uid, group: raw.st_gid, size, target })
}

/// As [`stat_in`], with `None` for what is missing.
pub(super) fn stat_place(place: &Place, path: &HostPath) -> Result<Option<Stat>, HostError> {
    match stat_in(&place.dir, &place.name) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(refused("look at", path, &e.into())),
    }
}

/// The place, or "missing".
pub(super) fn must_find(
    root: &Dir,
    path: &HostPath,
    manner: Manner,
    doing: &'static str,
) -> Result<Place, HostError> {
    find(root, path, manner)?.ok_or_else(|| HostError::Refused {
        doing,
        path: path.clone(),
        fault: Fault::Missing,
        why: "no such file or directory".to_owned(),
    })
}

fn kind_of(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        _ => Kind::Device,
    }
}
