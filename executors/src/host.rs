//! What an executor and the run-time builtins need from a machine, as one trait.
//!
//! It decides nothing: it reads what is there and does the one thing it is told. Two invariants bind every
//! host: nothing outside its root is read or changed, whatever links say; and the content of a regular file is
//! never replaced or removed without a copy kept. Clocks exist only behind [`Host::millis`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use thiserror::Error;
use vigo_base::text::escaped;

use crate::accounts;
use crate::path::HostPath;

/// Bytes of a file that are read or written at most: as large as the largest blob of configuration.
pub const FILE_BYTES: u64 = vigo_base::limits::CONFIG_BLOB_BYTES;
/// Bytes of a command's output that are kept, half of them from its beginning and half from its end.
pub const OUTPUT_BYTES: usize = 32 * 1024;
/// Links followed while one path is resolved.
pub const LINKS: usize = 40;
/// The mode of folders that are made on the way to a path.
pub const PARENT_MODE: u32 = 0o755;

/// A machine, or a part of one, that a plan is applied to.
pub trait Host {
    /// What may be done here.
    fn capabilities(&self) -> Capabilities;

    /// What is at `path` itself: a link is not followed. `None` when nothing is.
    ///
    /// # Errors
    /// [`HostError`] when it cannot be looked at.
    fn stat(&self, path: &HostPath) -> Result<Option<Stat>, HostError>;

    /// What `path` leads to, links followed below the root. `None` when nothing is there.
    ///
    /// # Errors
    /// [`HostError`] when it cannot be looked at.
    fn stat_followed(&self, path: &HostPath) -> Result<Option<Stat>, HostError>;

    /// Whether the folder at `path` holds nothing.
    ///
    /// # Errors
    /// [`HostError`] when it is missing, not a folder, or cannot be read.
    fn is_empty_dir(&self, path: &HostPath) -> Result<bool, HostError>;

    /// What the folder that `path` leads to holds, links followed below the root, by name; at most `most` things.
    /// Names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// [`HostError`] when it is missing, not a folder, or cannot be read.
    fn list(&self, path: &HostPath, most: usize) -> Result<Vec<Entry>, HostError>;

    /// The bytes of the regular file at `path`, not through a link.
    ///
    /// # Errors
    /// [`HostError`] when it is missing, not a regular file, or longer than `limit` bytes.
    fn read(&self, path: &HostPath, limit: u64) -> Result<Vec<u8>, HostError>;

    /// The bytes of the regular file that `path` leads to, links followed below the root.
    ///
    /// # Errors
    /// As [`Host::read`].
    fn read_followed(&self, path: &HostPath, limit: u64) -> Result<Vec<u8>, HostError>;

    /// The first bytes, at most `most`, of the regular file that `path` leads to, links followed below the root.
    ///
    /// # Errors
    /// [`HostError`] when it is missing, not a regular file, or cannot be read.
    fn read_start(&self, path: &HostPath, most: u64) -> Result<Vec<u8>, HostError>;

    /// Puts a file at `path` in one step, with its folders: somebody who opens it sees the old content or the
    /// new one. The old content is kept first.
    ///
    /// # Errors
    /// [`HostError`] when something other than a regular file is in the way, or the machine refuses; then
    /// nothing has changed at `path`.
    fn write(&mut self, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError>;

    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// [`HostError`] when something is in the way or the machine refuses.
    fn make_dir(&mut self, path: &HostPath, access: &Access) -> Result<(), HostError>;

    /// Puts a link at `path` with the text `to`, in place of another link if there is one.
    ///
    /// # Errors
    /// [`HostError`] when something other than a link is in the way, or the machine refuses.
    fn symlink(&mut self, path: &HostPath, to: &str) -> Result<(), HostError>;

    /// Removes a regular file, keeping a copy, or a link.
    ///
    /// # Errors
    /// [`HostError`] when it is something else, or the machine refuses.
    fn remove_file(&mut self, path: &HostPath) -> Result<(), HostError>;

    /// Removes a folder; with `recursive` all that is in it, of which no copy is kept.
    ///
    /// # Errors
    /// [`HostError`] when it is not a folder, is not empty and `recursive` is not asked for, or is the root or
    /// right below it and `recursive` is.
    fn remove_dir(&mut self, path: &HostPath, recursive: bool) -> Result<(), HostError>;

    /// Sets owner and group (where given) and then the mode (where given) of a file or folder, not of a link.
    ///
    /// # Errors
    /// [`HostError`] when it is neither, or the machine refuses.
    fn set_access(&mut self, path: &HostPath, access: &Access) -> Result<(), HostError>;

    /// As [`Host::write`], for the user with the id `user` and as far as they could: only into a folder that is
    /// there and theirs.
    ///
    /// # Errors
    /// As [`Host::write`], and [`HostError::NotTheirs`].
    fn write_for(&mut self, user: u32, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError>;

    /// Makes a folder for a user in a folder that is there and theirs.
    ///
    /// # Errors
    /// As [`Host::make_dir`], and [`HostError::NotTheirs`].
    fn make_dir_for(&mut self, user: u32, path: &HostPath, access: &Access) -> Result<(), HostError>;

    /// Sets the mode of a file or folder that is a user's, in a folder that is.
    ///
    /// # Errors
    /// As [`Host::set_access`], and [`HostError::NotTheirs`].
    fn set_mode_for(&mut self, user: u32, path: &HostPath, mode: u32) -> Result<(), HostError>;

    /// How many processes of a user run here (not in containers).
    ///
    /// # Errors
    /// [`HostError`] when they cannot be looked at.
    fn processes(&self, user: u32) -> Result<usize, HostError>;

    /// Ends the processes of a user: asks them, and kills those that are there after a while, in at most
    /// `millis` milliseconds. Gives how many they were.
    ///
    /// # Errors
    /// [`HostError`] when they cannot be looked at, or the user is 0.
    fn end_processes(&mut self, user: u32, millis: u64) -> Result<usize, HostError>;

    /// Runs a command to its end, its timeout, or its stop flag.
    ///
    /// # Errors
    /// [`HostError`] when it cannot be started. An exit code is an answer, not an error.
    fn run(&mut self, command: &Command) -> Result<Ran, HostError>;

    /// Milliseconds on a clock that only goes forward, for durations.
    fn millis(&self) -> u64;

    /// What the kernel says of itself.
    fn kernel(&self) -> Kernel;

    /// The id of a user, by name in `/etc/passwd` below the root or as a number.
    ///
    /// # Errors
    /// [`HostError::NoAccount`] when there is none.
    fn user(&self, name: &str) -> Result<u32, HostError> {
        accounts::find(self, accounts::Table::Users, name)
    }

    /// The id of a group, by name in `/etc/group` below the root or as a number.
    ///
    /// # Errors
    /// [`HostError::NoAccount`] when there is none.
    fn group(&self, name: &str) -> Result<u32, HostError> {
        accounts::find(self, accounts::Table::Groups, name)
    }
}

/// What may be done on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Commands may run. Not below `--fs-root`.
    pub exec: bool,
    /// Owners and groups are applied; if not, they are neither compared nor set.
    pub own: bool,
}

/// Said of an `exec` step on a host where [`Capabilities::exec`] is off.
pub const NO_EXEC: &str = "exec is not run below --fs-root";
/// Said of a `user` step on a host where [`Capabilities::exec`] is off.
pub const NO_ACCOUNTS: &str = "accounts are not managed below --fs-root";
/// Said of a step with owner or group on a host where [`Capabilities::own`] is off.
pub const NO_OWN: &str = "owner and group are not applied below --fs-root without root";

/// The kind of a thing in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
}

impl Kind {
    /// The kind in words, with an article.
    pub fn described(self) -> &'static str {
        match self {
            Kind::File => "a regular file",
            Kind::Directory => "a directory",
            Kind::Symlink => "a symlink",
            Kind::Fifo => "a named pipe",
            Kind::Socket => "a socket",
            Kind::Device => "a device",
        }
    }
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What kind of thing.
    pub kind: Kind,
    /// The twelve mode bits.
    pub mode: u32,
    /// The user id.
    pub owner: u32,
    /// The group id.
    pub group: u32,
    /// Bytes of a regular file.
    pub size: u64,
    /// The text of a link; what is not UTF-8 in it is replaced by U+FFFD.
    pub target: Option<String>,
}

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What kind of thing, a link not followed.
    pub kind: Kind,
}

/// Owner, group and mode to set; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// The twelve mode bits.
    pub mode: Option<u32>,
    /// The user id.
    pub owner: Option<u32>,
    /// The group id.
    pub group: Option<u32>,
}

impl Access {
    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        *self == Access::default()
    }
}

/// A file to be written whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewFile<'a> {
    /// The content.
    pub bytes: &'a [u8],
    /// The twelve mode bits.
    pub mode: u32,
    /// The user id; `None` leaves the one that a new file gets.
    pub owner: Option<u32>,
    /// The group id; `None` leaves the one that a new file gets.
    pub group: Option<u32>,
}

/// A command for `sh -c`. Its environment is `PATH`, `HOME=/`, `LANG=C.UTF-8` and `environment`, nothing else;
/// its input is empty.
#[derive(Debug, Clone)]
pub struct Command {
    /// The text for `sh -c`.
    pub line: String,
    /// The folder it starts in; `/` if not given.
    pub cwd: Option<HostPath>,
    /// Variables beside the three.
    pub environment: BTreeMap<String, String>,
    /// Milliseconds after which its whole process group is killed.
    pub timeout_millis: u64,
    /// Kills it when set.
    pub stop: Option<Arc<AtomicBool>>,
}

/// The `PATH` of every command.
pub const COMMAND_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Killed: its time was up.
    TimedOut,
    /// Killed: the run was asked to stop.
    Stopped,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub ending: Ending,
    /// What it wrote to its two outputs as it came, its beginning and its end, at most [`OUTPUT_BYTES`].
    pub output: Vec<u8>,
}

/// What the kernel says of itself (`uname`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kernel {
    /// `Linux`.
    pub name: String,
    /// `6.12.41-amd64`.
    pub release: String,
    /// `#1 SMP …`.
    pub version: String,
    /// `x86_64`.
    pub machine: String,
    /// The machine's name.
    pub hostname: String,
}

/// What kind of refusal the machine gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is there.
    Missing,
    /// Not permitted.
    Denied,
    /// The disk is full, or the quota.
    Full,
    /// The file system is read-only.
    ReadOnly,
    /// Anything else.
    Other,
}

/// What a host could not do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum HostError {
    #[error("cannot {doing} {path}: {why}")]
    Refused { doing: &'static str, path: HostPath, fault: Fault, why: String },
    #[error("{path} is {}, expected {expected}", found.described())]
    WrongKind { path: HostPath, found: Kind, expected: &'static str },
    #[error("{path} holds {size} bytes, more than the {limit} that are handled")]
    TooLarge { path: HostPath, size: u64, limit: u64 },
    #[error("{path} leads through more than {LINKS} links")]
    LinkLoop { path: HostPath },
    #[error("{path} leads through a link of user {owner} to a directory that is not theirs: not followed")]
    Misled { path: HostPath, owner: u32 },
    #[error("{path} belongs to user {owner}, expected user {user}: nothing is put there for that user")]
    NotTheirs { path: HostPath, owner: u32, user: u32 },
    #[error("{path} is not empty: set `recurse: true` to remove what is in it")]
    NotEmpty { path: HostPath },
    #[error("{path} lies at the top of the file system: such a directory is not removed with its content")]
    Precious { path: HostPath },
    #[error("there is no {what} `{}` in {table}{}", escaped(name), hint(nearest))]
    NoAccount { what: &'static str, name: String, table: &'static str, nearest: Option<String> },
    #[error("cannot open the root directory `{}`: {why}", escaped(root))]
    NoRoot { root: String, why: String },
    #[error("cannot run a command: {why}")]
    NoRun { why: String },
    #[error("cannot {doing} the processes of user {user}: {why}")]
    Processes { doing: &'static str, user: u32, why: String },
}

impl HostError {
    /// The refusal's kind; [`Fault::Other`] for what is not a refusal of the machine.
    pub fn fault(&self) -> Fault {
        match self {
            HostError::Refused { fault, .. } => *fault,
            _ => Fault::Other,
        }
    }
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|n| format!("; the nearest is `{}`", escaped(n))).unwrap_or_default()
}
