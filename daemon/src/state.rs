//! The state directory: who this node is, and that only one process says so.
//!
//! [`StateDir`] makes the directory (0700), holds its lock for as long as it lives, keeps the node key, the
//! fleet's id and other small files. The key is bound to the machine: on a disk that was copied to another
//! machine it is refused, since two nodes with one key fork their own history. Small files are written whole
//! or not at all. Nothing here follows a link, prints a key, or changes the mode of a directory that it did
//! not make.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use vigo_base::{Hash, SecretKey, SpannerId};
use zeroize::Zeroizing;

const LOCK: &str = "lock";
const KEY: &str = "node.key";
const SPANNER: &str = "spanner.id";
const RECORDS: &str = "records.redb";
const KEY_TITLE: &str = "vigo node key 1";
/// Bytes of the longest file that [`StateDir::read_small`] takes.
pub const SMALL_FILE_BYTES: u64 = 1024 * 1024;

/// The state directory of one node, locked.
#[derive(Debug)]
pub struct StateDir {
    dir: PathBuf,
    _lock: File,
}

/// What identifies the machine: a hash of its machine-id, which itself stays secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineId(Hash);

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Somebody holds the lock.
    #[error(
        "another vigo node{holder} runs on this state directory ({place}): stop it, or give this one \
         another --state"
    )]
    Locked {
        /// The directory.
        place: String,
        /// ` (process 123)`, where it is known.
        holder: String,
    },
    /// Others may write to it.
    #[error(
        "{place} may be written by others (mode {mode:03o}): whoever can write there owns this node; chmod 700 {place}"
    )]
    Exposed {
        /// The directory.
        place: String,
        /// Its mode bits.
        mode: u32,
    },
    /// The key may be read by others.
    #[error(
        "{place} may be read by others (mode {mode:03o}): chmod 600 it, and if others use this machine, \
         revoke this node's key and join again"
    )]
    KeyExposed {
        /// The key file.
        place: String,
        /// Its mode bits.
        mode: u32,
    },
    /// The key file is not what was written.
    #[error(
        "{place} is damaged ({why}): restore it from a backup of this machine, or move the state directory \
         away and join again as a new node"
    )]
    KeyDamaged {
        /// The key file.
        place: String,
        /// What was found.
        why: &'static str,
    },
    /// There are records but no key.
    #[error(
        "{place} holds a node's records but no node.key: restore the key from a backup of this machine, or \
         move the directory away and join again as a new node"
    )]
    KeyMissing {
        /// The directory.
        place: String,
    },
    /// The key was made on another machine.
    #[error(
        "{place} was made on another machine: this disk is a copy, or /etc/machine-id has changed. If this \
         is the same machine, put its old /etc/machine-id back. Otherwise move the state directory away and \
         join again as a new node; if the old machine is gone, revoke its key with vigocli spanner revoke"
    )]
    OtherMachine {
        /// The key file.
        place: String,
    },
    /// The machine has no id.
    #[error(
        "this machine has no machine-id ({place} is missing, empty or not 32 hexadecimal digits): run \
         systemd-machine-id-setup or dbus-uuidgen --ensure=/etc/machine-id"
    )]
    NoMachineId {
        /// The file looked at.
        place: String,
    },
    /// Two fleets.
    #[error(
        "{place} belongs to fleet {found}, and {by} to fleet {expected}: use the state directory of that \
         fleet, or move this one away and join anew"
    )]
    OtherFleet {
        /// The directory.
        place: String,
        /// The fleet its spanner.id names.
        found: Box<SpannerId>,
        /// Who says otherwise.
        by: &'static str,
        /// The fleet that it says.
        expected: Box<SpannerId>,
    },
    /// A small file is not what was written.
    #[error("{place} is damaged: {why}; remove it if nothing else helps")]
    FileDamaged {
        /// The file.
        place: String,
        /// What was found.
        why: String,
    },
    /// No room.
    #[error("the disk that holds {place} is full: free some space there and try again")]
    DiskFull {
        /// The file or directory.
        place: String,
    },
    /// The system answered something else.
    #[error("cannot {doing} {place}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        place: String,
        /// What the system answered.
        source: io::Error,
    },
}

impl StateDir {
    /// Opens `dir` and locks it until the value is dropped; made with mode 0700 if it is not there.
    ///
    /// # Errors
    /// [`StateError::Locked`], [`StateError::Exposed`], [`StateError::DiskFull`], [`StateError::Io`].
    pub fn open(dir: &Path) -> Result<StateDir, StateError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|e| trouble("make the state directory", dir, e))?;
        let about = fs::metadata(dir).map_err(|e| trouble("look at", dir, e))?;
        if about.mode() & 0o022 != 0 {
            return Err(StateError::Exposed { place: shown(dir), mode: about.mode() & 0o7777 });
        }
        let path = dir.join(LOCK);
        let open = options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut lock = open.map_err(|e| trouble("open", &path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = Read::by_ref(&mut lock).take(20).read_to_string(&mut text);
                let holder =
                    text.trim().parse::<u32>().map(|id| format!(" (process {id})")).unwrap_or_default();
                return Err(StateError::Locked { place: shown(dir), holder });
            }
            Err(TryLockError::Error(e)) => return Err(trouble("lock", &path, e)),
        }
        // For the message above only; a full disk must not keep a node from starting.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(StateDir { dir: dir.to_path_buf(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The node key, made from the system's randomness if this is a new node. Says whether it was made.
    ///
    /// # Errors
    /// [`StateError::KeyMissing`] if there are records already, [`StateError::KeyDamaged`],
    /// [`StateError::KeyExposed`], [`StateError::OtherMachine`], [`StateError::DiskFull`],
    /// [`StateError::Io`].
    pub fn node_key(&self, machine: &MachineId) -> Result<(SecretKey, bool), StateError> {
        if let Some(key) = self.read_key(machine)? {
            return Ok((key, false));
        }
        if self.dir.join(RECORDS).exists() {
            return Err(StateError::KeyMissing { place: shown(&self.dir) });
        }
        let mut seed = Zeroizing::new([0; 32]);
        let random = getrandom::fill(&mut *seed).map_err(|e| io::Error::other(e.to_string()));
        random.map_err(|e| trouble("draw randomness for", &self.dir.join(KEY), e))?;
        let key = SecretKey::from_seed(*seed);
        self.write_small(KEY, key_text(&key, machine).as_bytes())?;
        Ok((key, true))
    }

    fn read_key(&self, machine: &MachineId) -> Result<Option<SecretKey>, StateError> {
        let path = self.dir.join(KEY);
        let damaged = |why| StateError::KeyDamaged { place: shown(&path), why };
        let Some(bytes) = self.read_small(KEY)?.map(Zeroizing::new) else { return Ok(None) };
        let mode = fs::metadata(&path).map_err(|e| trouble("look at", &path, e))?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(StateError::KeyExposed { place: shown(&path), mode });
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(KEY_TITLE) {
            return Err(damaged("its first line is not \"vigo node key 1\""));
        }
        let mut value = |name: &str| {
            let line = lines.next()?.strip_prefix(name)?.strip_prefix(' ')?;
            line.parse::<Hash>().ok().map(|hash| Zeroizing::new(hash.0))
        };
        let fields = (value("machine"), value("seed"));
        let (Some(made_on), Some(seed)) = fields else { return Err(damaged("a line is missing or changed")) };
        let key = SecretKey::from_seed(*seed);
        if key_text(&key, &MachineId(Hash(*made_on))).as_bytes() != &bytes[..] {
            return Err(damaged("its sum is wrong"));
        }
        if *made_on != machine.0.0 {
            return Err(StateError::OtherMachine { place: shown(&path) });
        }
        Ok(Some(key))
    }

    /// The fleet that this directory belongs to, checked against what the records and the configuration
    /// say; remembered if it was not known. `None` if nobody knows: the node has not joined.
    ///
    /// # Errors
    /// [`StateError::OtherFleet`], [`StateError::FileDamaged`], [`StateError::DiskFull`],
    /// [`StateError::Io`].
    pub fn fleet(
        &self,
        records: Option<SpannerId>,
        configured: Option<SpannerId>,
    ) -> Result<Option<SpannerId>, StateError> {
        let noted = self.noted_fleet()?;
        let known = noted.or(records).or(configured);
        let Some(fleet) = known else { return Ok(None) };
        for (by, said) in [("the records in it", records), ("this node's configuration", configured)] {
            if let Some(expected) = said.filter(|said| *said != fleet) {
                let (found, expected) = (Box::new(fleet), Box::new(expected));
                return Err(StateError::OtherFleet { place: shown(&self.dir), found, by, expected });
            }
        }
        if noted.is_none() {
            self.write_small(SPANNER, format!("{fleet}\n").as_bytes())?;
        }
        Ok(Some(fleet))
    }

    fn noted_fleet(&self) -> Result<Option<SpannerId>, StateError> {
        let Some(bytes) = self.read_small(SPANNER)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        match text.trim().parse::<Hash>() {
            Ok(hash) => Ok(Some(SpannerId(hash))),
            Err(e) => {
                Err(StateError::FileDamaged { place: shown(&self.dir.join(SPANNER)), why: e.to_string() })
            }
        }
    }

    /// Reads a small file; `None` if there is none.
    ///
    /// # Errors
    /// [`StateError::FileDamaged`] over [`SMALL_FILE_BYTES`], [`StateError::Io`].
    pub fn read_small(&self, name: &'static str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.dir.join(name);
        let file = match options().read(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|e| trouble("open", &path, e))?,
        };
        // As large as a key file at once, so that no copy of one is left behind by growing.
        let mut bytes = Vec::with_capacity(1024);
        file.take(SMALL_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| trouble("read", &path, e))?;
        if bytes.len() as u64 > SMALL_FILE_BYTES {
            let why = format!("over {SMALL_FILE_BYTES} bytes");
            return Err(StateError::FileDamaged { place: shown(&path), why });
        }
        Ok(Some(bytes))
    }

    /// Writes a small file (0600), durably: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// [`StateError::DiskFull`], [`StateError::Io`]; the old file is then still there.
    pub fn write_small(&self, name: &'static str, bytes: &[u8]) -> Result<(), StateError> {
        let (path, draft) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        let write = || {
            match fs::remove_file(&draft) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut file = options().write(true).create_new(true).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|e| {
            let _ = fs::remove_file(&draft);
            trouble("write", &path, e)
        })
    }

    /// Removes a small file; one that is not there is removed already.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn remove_small(&self, name: &'static str) -> Result<(), StateError> {
        let path = self.dir.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => {
                done.and_then(|()| File::open(&self.dir)?.sync_all()).map_err(|e| trouble("remove", &path, e))
            }
        }
    }
}

impl MachineId {
    /// That of this machine.
    ///
    /// # Errors
    /// [`StateError::NoMachineId`].
    pub fn of_this_machine() -> Result<MachineId, StateError> {
        MachineId::read(Path::new("/etc/machine-id"))
    }

    /// That in the file `path`, as machine-id(5) describes it.
    ///
    /// # Errors
    /// [`StateError::NoMachineId`].
    pub fn read(path: &Path) -> Result<MachineId, StateError> {
        let mut text = String::new();
        let read = File::open(path).and_then(|f| f.take(64).read_to_string(&mut text));
        let id = text.trim();
        if read.is_err() || id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(StateError::NoMachineId { place: shown(path) });
        }
        Ok(MachineId(Hash::of_parts(&[b"vigo machine 1\0", id.to_ascii_lowercase().as_bytes()])))
    }
}

/// The key file's text: what it is, the machine, the seed, and a sum over the three.
fn key_text(key: &SecretKey, machine: &MachineId) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str(KEY_TITLE);
    text.push_str("\nmachine ");
    text.push_str(&machine.0.to_string());
    text.push_str("\nseed ");
    text.push_str(&Zeroizing::new(Hash(*key.seed()).to_string()));
    text.push('\n');
    let sum = Hash::of(text.as_bytes()).to_string();
    text.push_str("sum ");
    text.push_str(&sum);
    text.push('\n');
    text
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

fn shown(path: &Path) -> String {
    vigo_base::text::escaped(&path.display().to_string())
}

fn trouble(doing: &'static str, path: &Path, source: io::Error) -> StateError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StateError::DiskFull { place: shown(path) }
        }
        _ => StateError::Io { doing, place: shown(path), source },
    }
}
