//! Removing a folder with all that is in it.
//!
//! It never follows a link, never enters another file system that is mounted inside, and never goes deeper than
//! its bound, so that no tree can exhaust the stack or the open files.

use std::ffi::OsStr;
use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use rustix::fs::{AtFlags, fstat, unlinkat};
use rustix::io::Errno;

/// Folders in folders.
const DEPTH: usize = 200;
/// Times that a folder is emptied again when somebody fills it meanwhile.
const ATTEMPTS: usize = 3;

/// Removes the folder `name` of `dir` and all that is in it.
pub(super) fn remove_tree(dir: &Dir, name: &OsStr) -> io::Result<()> {
    remove(dir, name, fstat(dir)?.st_dev, 0)
}

fn remove(dir: &Dir, name: &OsStr, device: u64, depth: usize) -> io::Result<()> {
    if depth >= DEPTH {
        return Err(io::Error::other(format!("folders are nested deeper than {DEPTH}: remove them by hand")));
    }
    let folder = dir.open_dir_nofollow(name)?;
    if fstat(&folder)?.st_dev != device {
        return Err(io::Error::other("a file system is mounted in it: unmount it first"));
    }
    for _ in 0..ATTEMPTS {
        for entry in folder.entries()? {
            let inner = entry?.file_name();
            match unlinkat(&folder, &inner, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR | Errno::PERM) => remove(&folder, &inner, device, depth + 1)?,
                Err(error) => return Err(error.into()),
            }
        }
        match unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            ended => return Ok(ended?),
        }
    }
    Err(io::Error::other("somebody keeps putting things into it"))
}
