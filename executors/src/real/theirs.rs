//! What root does in a user's folders, as far as that user could have done it.
//!
//! It never makes a folder on the way, never changes an owner but of what it has just made, and never acts in a
//! folder that is not the user's: the open folder is asked for its owner, so that what the user swaps meanwhile is
//! another folder of theirs or a refusal.

use std::os::fd::AsRawFd;

use rustix::fs::{FileType, Gid, Mode, OFlags, RawMode, Uid};
use rustix::io::Errno;

use super::errors::refused;
use super::walk::{Manner, Place, must_find};
use super::{ACCESS, RealHost, make_dir_at, wrong_kind};
use crate::host::{Access, HostError, Kind, NewFile};
use crate::path::HostPath;

impl RealHost {
    /// The place, in a folder of the user's.
    fn place_of(&self, user: u32, path: &HostPath, doing: &'static str) -> Result<Place, HostError> {
        let folder = path.parent().ok_or_else(|| HostError::Precious { path: path.clone() })?;
        let place = must_find(&self.root, path, Manner::Itself, doing)?;
        let owner = rustix::fs::fstat(&place.dir).map_err(|e| refused(doing, path, &e.into()))?.st_uid;
        if owner == user { Ok(place) } else { Err(HostError::NotTheirs { path: folder, owner, user }) }
    }

    pub(super) fn put_for(&self, user: u32, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError> {
        let place = self.place_of(user, path, "write")?;
        self.write_at(&place, path, file)
    }

    pub(super) fn folder_for(&self, user: u32, path: &HostPath, access: &Access) -> Result<(), HostError> {
        let place = self.place_of(user, path, "make")?;
        make_dir_at(&place, path, || self.hand_over(&place, path, access))
    }

    /// Gives the folder just made its owner and mode. Only an empty one of our own is given away: the user may
    /// have put another folder in its place.
    fn hand_over(&self, place: &Place, path: &HostPath, access: &Access) -> Result<(), HostError> {
        let fail = |e: Errno| refused("make", path, &e.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&place.dir, &place.name, flags, Mode::empty()).map_err(fail)?;
        let owner = rustix::fs::fstat(&folder).map_err(fail)?.st_uid;
        let user = rustix::process::geteuid().as_raw();
        let entries = rustix::fs::Dir::read_from(&folder).map_err(fail)?;
        let is_empty =
            entries.map_while(Result::ok).all(|entry| matches!(entry.file_name().to_bytes(), b"." | b".."));
        if owner != user || !is_empty {
            return Err(HostError::NotTheirs { path: path.clone(), owner, user });
        }
        let (owner, group) = (access.owner.map(Uid::from_raw), access.group.map(Gid::from_raw));
        rustix::fs::fchown(&folder, owner, group).map_err(fail)?;
        let mode = access.mode.unwrap_or(0o755);
        rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode as RawMode)).map_err(fail)
    }

    pub(super) fn mode_for(&self, user: u32, path: &HostPath, mode: u32) -> Result<(), HostError> {
        let place = self.place_of(user, path, ACCESS)?;
        let fail = |e: Errno| refused(ACCESS, path, &e.into());
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&place.dir, &place.name, flags, Mode::empty()).map_err(fail)?;
        let found = rustix::fs::fstat(&handle).map_err(fail)?;
        if !matches!(FileType::from_raw_mode(found.st_mode), FileType::RegularFile | FileType::Directory) {
            return Err(wrong_kind(path, Kind::Symlink, "a regular file or a directory"));
        }
        if found.st_uid != user {
            return Err(HostError::NotTheirs { path: path.clone(), owner: found.st_uid, user });
        }
        let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
        rustix::fs::chmod(link, Mode::from_raw_mode(mode as RawMode)).map_err(fail)
    }
}
