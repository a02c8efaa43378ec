//! Operators' keys on disk: `~/.vigo/operator.key`, wrapped under a passphrase.
//!
//! A file here has mode 0600 in a folder of mode 0700 and is never overwritten: an old key is kept beside it as
//! `.old-N`. Under `sudo` the key is that of the person behind it, in that person's home and given to that
//! person. It never asks anybody anything: whoever has a terminal passes a function that does. A key that
//! others may read is refused, with the command that mends it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use vigo_base::{PublicKey, SecretKey};
use vigo_node::spanner::{BadEnvelope, Cost, Envelope, Purpose};
use zeroize::Zeroizing;

/// Where the key lies below a home.
const PLACE: &str = ".vigo/operator.key";
/// Bytes of a key file that are read.
const FILE_BYTES: u64 = 64 * 1024;
/// How often a passphrase may be wrong.
const ATTEMPTS: usize = 3;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Nobody knows whose home it is.
    #[error("neither HOME nor SUDO_USER says whose operator key to use: name it with --key FILE")]
    NoHome,
    /// There is none.
    #[error("there is no operator key at {}: `vigo init` makes a fleet's first one and `vigocli key new` a further one; name another with --key FILE", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("{} may be read by others (mode {mode:04o}): take that back with `chmod 600 {}`", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It lies where somebody could put another in its place.
    #[error("{} is a link or belongs to somebody else: a key is kept in a folder of its owner's own", path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
    },
    /// It does not open.
    #[error("{}: {why}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: BadEnvelope,
    },
    /// No passphrase was given.
    #[error("{} is wrapped under a passphrase and none was given", path.display())]
    NoPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A key file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The file.
    pub path: PathBuf,
    /// Where the key that was there before is now.
    pub old: Option<PathBuf>,
    /// Whether a passphrase protects it.
    pub wrapped: bool,
}

/// The person behind the process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    home: PathBuf,
    /// To whom files are given, if not to the process's user.
    ids: Option<(u32, u32)>,
}

/// Where the operator's key lies: in the home of whoever runs this, or of `$SUDO_USER` under sudo.
///
/// # Errors
/// [`KeyFileError::NoHome`].
pub fn default_path() -> Result<PathBuf, KeyFileError> {
    person().map(|person| person.home.join(PLACE)).ok_or(KeyFileError::NoHome)
}

fn person() -> Option<Person> {
    let env = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    let root = rustix::process::geteuid().is_root();
    let sudo = env("SUDO_USER").filter(|user| root && user != "root");
    match sudo {
        Some(user) => sudoer(&fs::read_to_string("/etc/passwd").ok()?, &user),
        None => env("HOME").map(PathBuf::from).or_else(own_home).map(|home| Person { home, ids: None }),
    }
}

/// The home of the process's user, where no environment says it (`nsenter`, a unit).
fn own_home() -> Option<PathBuf> {
    let us = rustix::process::geteuid().as_raw();
    let table = fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(us))?;
    fields.get(5).filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn sudoer(passwd: &str, user: &str) -> Option<Person> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    let fields: Vec<&str> = line.split(':').collect();
    let ids = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
    Some(Person { home: fields.get(5).filter(|home| !home.is_empty())?.into(), ids: Some(ids) })
}

/// Keeps a key at `path`, under a passphrase if one is given. What lies there is moved aside.
///
/// # Errors
/// [`KeyFileError`]; then no file was lost.
pub fn save(path: &Path, key: &SecretKey, passphrase: Option<&str>) -> Result<Saved, KeyFileError> {
    let failed = |doing| move |source| KeyFileError::Io { path: path.to_path_buf(), doing, source };
    let envelope = match passphrase {
        Some(passphrase) => {
            let (mut salt, mut nonce) = ([0; 16], [0; 24]);
            let random = getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut nonce));
            random.map_err(|e| failed("make")(io::Error::other(e.to_string())))?;
            Envelope::wrap(key, Purpose::Operator, passphrase, Cost::default(), salt, nonce)
                .map_err(|why| KeyFileError::Bad { path: path.into(), why })?
        }
        None => Envelope::plain(key, Purpose::Operator),
    };
    let owner = person().and_then(|person| person.ids.filter(|_| path.starts_with(&person.home)));
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    prepare(folder, owner)?;
    let draft = folder.join(format!(".operator.key.{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&draft).map_err(failed("write"))?;
    let written = file.write_all(envelope.to_text().as_bytes()).and_then(|()| file.sync_all());
    let given = written.and_then(|()| owner.map_or(Ok(()), |(uid, gid)| chown(&draft, Some(uid), Some(gid))));
    given.inspect_err(|_| drop(fs::remove_file(&draft))).map_err(failed("write"))?;
    let old = set_aside(path).map_err(failed("move aside"))?;
    fs::rename(&draft, path).map_err(failed("write"))?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed("write"))?;
    Ok(Saved { path: path.into(), old, wrapped: passphrase.is_some() })
}

/// Makes the folder, or looks whether the one that is there can be trusted.
fn prepare(folder: &Path, owner: Option<(u32, u32)>) -> Result<(), KeyFileError> {
    let failed = |source| KeyFileError::Io { path: folder.to_path_buf(), doing: "make", source };
    match fs::symlink_metadata(folder) {
        Ok(there) => {
            let us = rustix::process::geteuid().as_raw();
            let known = [Some(0), Some(us), owner.map(|(uid, _)| uid)];
            if !there.is_dir() || !known.contains(&Some(there.uid())) {
                return Err(KeyFileError::Unsafe { path: folder.into() });
            }
            Ok(())
        }
        Err(_) => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
            owner.map_or(Ok(()), |(uid, gid)| chown(folder, Some(uid), Some(gid))).map_err(failed)
        }
    }
}

/// Renames what is at `path` to the first free `.old-N`.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    for n in 1..10_000u32 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".old-{n}"));
        let old = PathBuf::from(name);
        // A link is made only where nothing is: no race with another of us loses a key.
        match fs::hard_link(path, &old) {
            Ok(()) => return Ok(Some(old)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("there are ten thousand old keys beside it"))
}

/// Reads the key at `path`. If it is wrapped, `ask` is asked for the passphrase, up to three times; it hears
/// which attempt it is, from 1.
///
/// # Errors
/// [`KeyFileError`].
pub fn load(
    path: &Path,
    ask: &mut dyn FnMut(usize) -> Option<Zeroizing<String>>,
) -> Result<SecretKey, KeyFileError> {
    let envelope = read(path)?;
    let bad = |why| KeyFileError::Bad { path: path.to_path_buf(), why };
    if !envelope.is_wrapped() {
        return envelope.open(Purpose::Operator, "").map_err(bad);
    }
    let mut last = KeyFileError::NoPassphrase { path: path.to_path_buf() };
    for attempt in 1..=ATTEMPTS {
        let Some(passphrase) = ask(attempt) else { return Err(last) };
        match envelope.open(Purpose::Operator, &passphrase) {
            Ok(key) => return Ok(key),
            Err(why @ BadEnvelope::Passphrase) => last = bad(why),
            Err(why) => return Err(bad(why)),
        }
    }
    Err(last)
}

/// Whose key lies at `path`, and whether a passphrase protects it, without opening it.
///
/// # Errors
/// [`KeyFileError`].
pub fn look(path: &Path) -> Result<(PublicKey, bool), KeyFileError> {
    read(path).map(|envelope| (envelope.public(), envelope.is_wrapped()))
}

/// Whose key lies at `path`, without opening it.
///
/// # Errors
/// [`KeyFileError`].
pub fn public(path: &Path) -> Result<PublicKey, KeyFileError> {
    look(path).map(|(key, _)| key)
}

fn read(path: &Path) -> Result<Envelope, KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing { path: path.into() },
        _ => KeyFileError::Io { path: path.into(), doing: "read", source },
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path.into(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    Envelope::read(&text).map_err(|why| KeyFileError::Bad { path: path.into(), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed([n; 32])
    }

    fn nobody(_: usize) -> Option<Zeroizing<String>> {
        None
    }

    #[test]
    fn a_key_is_kept_and_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("home/.vigo/operator.key");
        let first = save(&path, &key(1), None).unwrap();
        assert_eq!(first, Saved { path: path.clone(), old: None, wrapped: false });
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(load(&path, &mut nobody).unwrap().public(), key(1).public());
        let second = save(&path, &key(2), None).unwrap();
        let old = second.old.unwrap();
        assert!(old.ends_with("operator.key.old-1"));
        assert_eq!(load(&old, &mut nobody).unwrap().public(), key(1).public());
        assert_eq!(public(&path).unwrap(), key(2).public());
        assert_eq!(look(&path).unwrap(), (key(2).public(), false));
        assert!(save(&path, &key(3), None).unwrap().old.unwrap().ends_with("operator.key.old-2"));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 3, "no draft is left");
    }

    #[test]
    fn a_passphrase_is_asked_for_three_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operator.key");
        assert!(save(&path, &key(1), Some("correct horse")).unwrap().wrapped);
        assert_eq!(look(&path).unwrap(), (key(1).public(), true), "no passphrase is needed to look");
        let error = load(&path, &mut nobody).unwrap_err();
        assert!(matches!(error, KeyFileError::NoPassphrase { .. }), "{error}");
        let mut asked = Vec::new();
        let mut third = |attempt| {
            asked.push(attempt);
            Some(Zeroizing::new(if attempt == 2 { "correct horse" } else { "wrong" }.to_string()))
        };
        assert_eq!(load(&path, &mut third).unwrap().public(), key(1).public());
        assert_eq!(asked, [1, 2]);
        let error = load(&path, &mut |_| Some(Zeroizing::new("wrong".into()))).unwrap_err();
        assert!(matches!(error, KeyFileError::Bad { why: BadEnvelope::Passphrase, .. }), "{error}");
    }

    #[test]
    fn what_is_unsafe_or_no_key_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operator.key");
        assert!(load(&path, &mut nobody).unwrap_err().to_string().contains("vigo init"));
        save(&path, &key(1), None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = load(&path, &mut nobody).unwrap_err().to_string();
        assert!(error.contains("mode 0644") && error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "hello").unwrap();
        assert!(load(&path, &mut nobody).unwrap_err().to_string().contains("no vigo key"));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(matches!(save(&link.join("operator.key"), &key(1), None), Err(KeyFileError::Unsafe { .. })));
    }

    #[test]
    fn under_sudo_the_home_is_the_persons() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1002::/home/alice:/bin/sh\n";
        let alice = Person { home: "/home/alice".into(), ids: Some((1001, 1002)) };
        assert_eq!(sudoer(passwd, "alice"), Some(alice));
        assert_eq!(sudoer(passwd, "bob"), None);
    }
}
