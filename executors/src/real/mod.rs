//! The machine that this process runs on, or the part of it below a folder.
//!
//! It never reaches anything but by its module `walk`, never opens what is not a regular file or a folder, and never
//! replaces a regular file without a copy in its folder of backups. Invariant: at every moment a path holds
//! either what it held or what was asked for, whole: files and links come by rename from a temporary name in the
//! same folder. A file's bytes are on the disk before its name is; that the name is too is left to the system, since
//! a change that a power cut takes back is drift, which the next run puts right.

mod backups;
mod command;
mod errors;
mod pending;
mod processes;
mod remove;
mod theirs;
mod walk;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use cap_fs_ext::DirExt;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawMode, Uid};
use rustix::io::Errno;

pub use backups::{COPIES, COPIES_BYTES, COPIES_OF_PATH};
pub use pending::{PENDING_BYTES, PendingFile};

use crate::host::{Access, Capabilities, Command, Entry, Host, HostError, Kernel, Kind, NewFile, Ran, Stat};
use crate::path::HostPath;
use backups::Backups;
use errors::refused;
use remove::remove_tree;
use walk::{Manner, Place, find, must_find, stat_in, stat_place};

/// The real machine.
#[derive(Debug)]
pub struct RealHost {
    root: Dir,
    backups: Backups,
    capabilities: Capabilities,
    started: Instant,
}

const ACCESS: &str = "change the owner or mode of";

impl RealHost {
    /// The whole machine. Former contents are kept in `backups`, a folder that need not exist yet.
    ///
    /// # Errors
    /// [`HostError`] when `/` cannot be opened.
    pub fn system(backups: &Path) -> Result<RealHost, HostError> {
        RealHost::open(Path::new("/"), backups, Capabilities { exec: true, own: true })
    }

    /// The part of the machine below the folder `root` (`--fs-root`): commands do not run; owners are applied
    /// only by root and only where `/etc/passwd` is below it. Keep `backups` outside of `root`.
    ///
    /// # Errors
    /// [`HostError`] when the folder cannot be opened.
    pub fn below(root: &Path, backups: &Path) -> Result<RealHost, HostError> {
        let mut host = RealHost::open(root, backups, Capabilities { exec: false, own: false })?;
        let accounts =
            HostPath::parse("/etc/passwd").ok().and_then(|p| host.stat_followed(&p).ok().flatten());
        host.capabilities.own = rustix::process::geteuid().is_root() && accounts.is_some();
        Ok(host)
    }

    fn open(root: &Path, backups: &Path, capabilities: Capabilities) -> Result<RealHost, HostError> {
        let dir = Dir::open_ambient_dir(root, ambient_authority())
            .map_err(|e| HostError::NoRoot { root: root.display().to_string(), why: e.to_string() })?;
        Ok(RealHost { root: dir, backups: Backups::new(backups), capabilities, started: Instant::now() })
    }

    fn look(&self, path: &HostPath, manner: Manner) -> Result<Option<Stat>, HostError> {
        match find(&self.root, path, manner)? {
            Some(place) => stat_place(&place, path),
            None => Ok(None),
        }
    }

    fn bytes_of(&self, path: &HostPath, limit: u64, manner: Manner) -> Result<Vec<u8>, HostError> {
        let place = must_find(&self.root, path, manner, "read")?;
        let (mut file, size) = open_file(&place, path, "read")?;
        let too_large = |size| HostError::TooLarge { path: path.clone(), size, limit };
        if size > limit {
            return Err(too_large(size));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let read = (&mut file).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|e| refused("read", path, &e))?;
        if bytes.len() as u64 > limit {
            return Err(too_large(bytes.len() as u64));
        }
        Ok(bytes)
    }

    /// Keeps the content of the regular file at `place`.
    fn keep(&self, place: &Place, path: &HostPath) -> Result<(), HostError> {
        let (mut file, size) = open_file(place, path, "keep a copy of")?;
        self.backups.keep(path, &mut file, size)
    }

    /// Puts the file at `place`; a regular file that is there is kept first, anything else is left alone.
    fn write_at(&self, place: &Place, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError> {
        match stat_place(place, path)? {
            None => {}
            Some(stat) if stat.kind == Kind::File => self.keep(place, path)?,
            Some(stat) => return Err(wrong_kind(path, stat.kind, "a regular file or nothing")),
        }
        replace(place, path, file)
    }

    /// The place for a change that refuses the root itself.
    fn place(&self, path: &HostPath, manner: Manner, doing: &'static str) -> Result<Place, HostError> {
        if path.name().is_none() {
            return Err(HostError::Precious { path: path.clone() });
        }
        must_find(&self.root, path, manner, doing)
    }
}

impl Host for RealHost {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn stat(&self, path: &HostPath) -> Result<Option<Stat>, HostError> {
        self.look(path, Manner::Itself)
    }

    fn stat_followed(&self, path: &HostPath) -> Result<Option<Stat>, HostError> {
        self.look(path, Manner::Followed)
    }

    fn is_empty_dir(&self, path: &HostPath) -> Result<bool, HostError> {
        let place = must_find(&self.root, path, Manner::Itself, "read")?;
        match stat_place(&place, path)?.map(|s| s.kind) {
            Some(Kind::Directory) | None => {}
            Some(kind) => return Err(wrong_kind(path, kind, "a directory")),
        }
        let folder = place.dir.open_dir_nofollow(&place.name).map_err(|e| refused("read", path, &e))?;
        let mut entries = folder.entries().map_err(|e| refused("read", path, &e))?;
        Ok(entries.next().is_none())
    }

    fn list(&self, path: &HostPath, most: usize) -> Result<Vec<Entry>, HostError> {
        let place = must_find(&self.root, path, Manner::Followed, "list")?;
        match stat_place(&place, path)?.map(|s| s.kind) {
            Some(Kind::Directory) | None => {}
            Some(kind) => return Err(wrong_kind(path, kind, "a directory")),
        }
        let fail = |e: &std::io::Error| refused("list", path, e);
        let folder = place.dir.open_dir_nofollow(&place.name).map_err(|e| fail(&e))?;
        let mut found = Vec::new();
        for entry in folder.entries().map_err(|e| fail(&e))?.take(most) {
            let entry = entry.map_err(|e| fail(&e))?;
            let kind = entry.file_type().map_err(|e| fail(&e))?;
            if let Ok(name) = entry.file_name().into_string() {
                found.push(Entry { name, kind: kind_of_entry(kind) });
            }
        }
        found.sort();
        Ok(found)
    }

    fn read(&self, path: &HostPath, limit: u64) -> Result<Vec<u8>, HostError> {
        self.bytes_of(path, limit, Manner::Itself)
    }

    fn read_followed(&self, path: &HostPath, limit: u64) -> Result<Vec<u8>, HostError> {
        self.bytes_of(path, limit, Manner::Followed)
    }

    fn read_start(&self, path: &HostPath, most: u64) -> Result<Vec<u8>, HostError> {
        let place = must_find(&self.root, path, Manner::Followed, "read")?;
        let (file, _) = open_file(&place, path, "read")?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).map_err(|e| refused("read", path, &e))?;
        Ok(bytes)
    }

    fn write(&mut self, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError> {
        let place = self.place(path, Manner::Making, "write")?;
        self.write_at(&place, path, file)
    }

    fn make_dir(&mut self, path: &HostPath, access: &Access) -> Result<(), HostError> {
        let place = self.place(path, Manner::Making, "make")?;
        let access = Access { mode: Some(access.mode.unwrap_or(0o755)), ..*access };
        make_dir_at(&place, path, || set_access(&place, path, &access))
    }

    fn symlink(&mut self, path: &HostPath, to: &str) -> Result<(), HostError> {
        let place = self.place(path, Manner::Making, "link")?;
        match stat_place(&place, path)?.map(|s| s.kind) {
            None | Some(Kind::Symlink) => {}
            Some(kind) => return Err(wrong_kind(path, kind, "a symlink or nothing")),
        }
        let temporary = temporary_name(&place.name);
        let _ = rustix::fs::unlinkat(&place.dir, &temporary, AtFlags::empty());
        let linked = rustix::fs::symlinkat(to, &place.dir, &temporary)
            .and_then(|()| rustix::fs::renameat(&place.dir, &temporary, &place.dir, &place.name));
        if let Err(error) = linked {
            let _ = rustix::fs::unlinkat(&place.dir, &temporary, AtFlags::empty());
            return Err(refused("link", path, &error.into()));
        }
        Ok(())
    }

    fn remove_file(&mut self, path: &HostPath) -> Result<(), HostError> {
        let place = self.place(path, Manner::Itself, "remove")?;
        match stat_place(&place, path)?.map(|s| s.kind) {
            Some(Kind::File) => self.keep(&place, path)?,
            Some(Kind::Symlink) | None => {}
            Some(kind) => return Err(wrong_kind(path, kind, "a regular file or a symlink")),
        }
        rustix::fs::unlinkat(&place.dir, &place.name, AtFlags::empty())
            .map_err(|e| refused("remove", path, &e.into()))?;
        Ok(())
    }

    fn remove_dir(&mut self, path: &HostPath, recursive: bool) -> Result<(), HostError> {
        let place = self.place(path, Manner::Itself, "remove")?;
        match stat_place(&place, path)?.map(|s| s.kind) {
            Some(Kind::Directory) | None => {}
            Some(kind) => return Err(wrong_kind(path, kind, "a directory")),
        }
        match rustix::fs::unlinkat(&place.dir, &place.name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if !recursive => {
                return Err(HostError::NotEmpty { path: path.clone() });
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) if path.parts().count() < 2 => {
                return Err(HostError::Precious { path: path.clone() });
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                remove_tree(&place.dir, &place.name).map_err(|e| refused("remove", path, &e))?;
            }
            Err(e) => return Err(refused("remove", path, &e.into())),
        }
        Ok(())
    }

    fn set_access(&mut self, path: &HostPath, access: &Access) -> Result<(), HostError> {
        let place = self.place(path, Manner::Itself, ACCESS)?;
        set_access(&place, path, access)
    }

    fn write_for(&mut self, user: u32, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError> {
        self.put_for(user, path, file)
    }

    fn make_dir_for(&mut self, user: u32, path: &HostPath, access: &Access) -> Result<(), HostError> {
        self.folder_for(user, path, access)
    }

    fn set_mode_for(&mut self, user: u32, path: &HostPath, mode: u32) -> Result<(), HostError> {
        self.mode_for(user, path, mode)
    }

    fn processes(&self, user: u32) -> Result<usize, HostError> {
        processes::of(user).map(|found| found.len())
    }

    fn end_processes(&mut self, user: u32, millis: u64) -> Result<usize, HostError> {
        processes::end(user, millis)
    }

    fn run(&mut self, command: &Command) -> Result<Ran, HostError> {
        if !self.capabilities.exec {
            return Err(HostError::NoRun { why: crate::host::NO_EXEC.to_owned() });
        }
        command::run(command)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn kernel(&self) -> Kernel {
        let uname = rustix::system::uname();
        let text = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
        Kernel {
            name: text(uname.sysname()),
            release: text(uname.release()),
            version: text(uname.version()),
            machine: text(uname.machine()),
            hostname: text(uname.nodename()),
        }
    }
}

/// Opens the regular file at `place` for reading; gives its size too. What is not one is not opened, and what
/// became something else in between does not block.
fn open_file(place: &Place, path: &HostPath, doing: &'static str) -> Result<(File, u64), HostError> {
    let fail = |e: Errno| refused(doing, path, &e.into());
    let stat = stat_in(&place.dir, &place.name).map_err(fail)?;
    if stat.kind != Kind::File {
        return Err(wrong_kind(path, stat.kind, "a regular file"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&place.dir, &place.name, flags, Mode::empty()).map_err(fail)?;
    let raw = rustix::fs::fstat(&file).map_err(fail)?;
    if FileType::from_raw_mode(raw.st_mode) != FileType::RegularFile {
        return Err(wrong_kind(path, Kind::Device, "a regular file"));
    }
    Ok((File::from(file), u64::try_from(raw.st_size).unwrap_or(0)))
}

/// Makes a folder that only root enters, and has `set` give it its owner and mode; it goes again if that fails.
fn make_dir_at(
    place: &Place,
    path: &HostPath,
    set: impl FnOnce() -> Result<(), HostError>,
) -> Result<(), HostError> {
    match rustix::fs::mkdirat(&place.dir, &place.name, Mode::from_raw_mode(0o700)) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            let found = stat_place(place, path)?.map_or(Kind::Directory, |s| s.kind);
            return Err(wrong_kind(path, found, "nothing"));
        }
        Err(e) => return Err(refused("make", path, &e.into())),
    }
    set().inspect_err(|_| {
        let _ = rustix::fs::unlinkat(&place.dir, &place.name, AtFlags::REMOVEDIR);
    })
}

/// Puts the file at `place` in one step, in place of what is there.
fn replace(place: &Place, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError> {
    let temporary = temporary_name(&place.name);
    let written = write_new(&place.dir, &temporary, file).and_then(|()| {
        rustix::fs::renameat(&place.dir, &temporary, &place.dir, &place.name).map_err(Into::into)
    });
    written.map_err(|error| {
        let _ = rustix::fs::unlinkat(&place.dir, &temporary, AtFlags::empty());
        refused("write", path, &error)
    })
}

/// Writes a new file under a temporary name, with its access, to the disk.
fn write_new(dir: &Dir, name: &OsStr, file: &NewFile<'_>) -> std::io::Result<()> {
    let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?;
    let mut out = File::from(fd);
    out.write_all(file.bytes)?;
    if file.owner.is_some() || file.group.is_some() {
        rustix::fs::fchown(&out, file.owner.map(Uid::from_raw), file.group.map(Gid::from_raw))?;
    }
    rustix::fs::fchmod(&out, Mode::from_raw_mode(file.mode as RawMode))?;
    out.sync_all()
}

/// Owner, group, then mode (a change of owner clears set-id bits) of the file or folder at `place`.
fn set_access(place: &Place, path: &HostPath, access: &Access) -> Result<(), HostError> {
    let fail = |e: Errno| refused(ACCESS, path, &e.into());
    let plain = |kind: Kind| matches!(kind, Kind::File | Kind::Directory);
    let stat = stat_in(&place.dir, &place.name).map_err(fail)?;
    if !plain(stat.kind) {
        return Err(wrong_kind(path, stat.kind, "a regular file or a directory"));
    }
    // O_PATH, since what its owner may not read its owner may still change.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(&place.dir, &place.name, flags, Mode::empty()).map_err(fail)?;
    let opened = FileType::from_raw_mode(rustix::fs::fstat(&handle).map_err(fail)?.st_mode);
    if !matches!(opened, FileType::RegularFile | FileType::Directory) {
        return Err(wrong_kind(path, Kind::Device, "a regular file or a directory"));
    }
    if access.owner.is_some() || access.group.is_some() {
        let (owner, group) = (access.owner.map(Uid::from_raw), access.group.map(Gid::from_raw));
        rustix::fs::chownat(&handle, "", owner, group, AtFlags::EMPTY_PATH).map_err(fail)?;
    }
    if let Some(mode) = access.mode {
        use std::os::fd::AsRawFd;
        let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
        rustix::fs::chmod(link, Mode::from_raw_mode(mode as RawMode)).map_err(fail)?;
    }
    Ok(())
}

fn kind_of_entry(kind: cap_std::fs::FileType) -> Kind {
    use cap_fs_ext::FileTypeExt;
    match kind {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_symlink() => Kind::Symlink,
        kind if kind.is_fifo() => Kind::Fifo,
        kind if kind.is_socket() => Kind::Socket,
        _ => Kind::Device,
    }
}

/// The name under which `name` is prepared: always the same, so that what a crash left is reused.
fn temporary_name(name: &OsStr) -> OsString {
    OsString::from(format!(".vigo-{}.tmp", vigo_base::Hash::of(name.as_bytes()).short()))
}

fn wrong_kind(path: &HostPath, found: Kind, expected: &'static str) -> HostError {
    HostError::WrongKind { path: path.clone(), found, expected }
}
