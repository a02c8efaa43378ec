//! Copies of what was replaced or removed, in a folder outside the managed root.
//!
//! It never holds more than its bounds: 8 copies of one path (the first and the latest seven), 1,024 copies and
//! 256 MiB in all. Invariant: a copy is on the disk before the original is touched; a content that cannot be
//! copied is not replaced. Names: 16 hex digits of the path's hash, milliseconds since 1970, the file's name.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use vigo_base::Hash;

use super::errors::refused;
use crate::host::{FILE_BYTES, HostError};
use crate::path::HostPath;

/// Copies of one path.
pub const COPIES_OF_PATH: usize = 8;
/// Copies in all.
pub const COPIES: usize = 1024;
/// Bytes of all copies.
pub const COPIES_BYTES: u64 = 256 * 1024 * 1024;

/// The folder of copies.
#[derive(Debug, Clone)]
pub(super) struct Backups {
    folder: PathBuf,
}

/// One copy in the folder.
struct Copy {
    name: String,
    bytes: u64,
}

impl Backups {
    pub fn new(folder: &Path) -> Backups {
        Backups { folder: folder.to_owned() }
    }

    /// Keeps what `file` (of `size` bytes) holds as a former content of `path`.
    pub fn keep(&self, path: &HostPath, file: &mut File, size: u64) -> Result<(), HostError> {
        if size > FILE_BYTES {
            return Err(HostError::TooLarge { path: path.clone(), size, limit: FILE_BYTES });
        }
        self.copy(path, file).and_then(|()| self.prune()).map_err(|e| refused("keep a copy of", path, &e))
    }

    fn copy(&self, path: &HostPath, file: &mut File) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let hash = hex16(path);
        let name: String = path.name().unwrap_or("root").chars().map(plain).take(64).collect();
        // Later than the latest, also within one millisecond and when the clock was set back.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        let mut millis = self.latest(&hash)?.map_or(now, |latest| now.max(latest + 1));
        let (target, mut copy) = loop {
            let target = self.folder.join(format!("{hash}-{millis:013}-{name}"));
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&target) {
                Ok(copy) => break (target, copy),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => millis += 1,
                Err(e) => return Err(e),
            }
        };
        let copied = io::copy(&mut file.take(FILE_BYTES + 1), &mut copy).and_then(|_| copy.sync_all());
        if copied.is_err() {
            let _ = fs::remove_file(&target);
        }
        copied
    }

    /// The time of the latest copy of a path, in milliseconds.
    fn latest(&self, hash: &str) -> io::Result<Option<u128>> {
        let mut latest = None;
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name.split('-').next() == Some(hash) {
                latest = latest.max(time_of(&name).parse().ok());
            }
        }
        Ok(latest)
    }

    /// Removes what is over the bounds: of one path the second oldest first, then the oldest of all.
    fn prune(&self) -> io::Result<()> {
        let mut of_path = BTreeMap::<String, Vec<Copy>>::new();
        let (mut count, mut bytes) = (0, 0);
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Some((hash, _)) = name.split_once('-') else { continue };
            let copy = Copy { bytes: entry.metadata()?.len(), name: name.clone() };
            (count, bytes) = (count + 1, bytes + copy.bytes);
            of_path.entry(hash.to_owned()).or_default().push(copy);
        }
        let mut rest = Vec::new();
        for copies in of_path.values_mut() {
            copies.sort_by(|a, b| a.name.cmp(&b.name));
            while copies.len() > COPIES_OF_PATH {
                let copy = copies.remove(1);
                (count, bytes) = (count - 1, bytes - copy.bytes);
                fs::remove_file(self.folder.join(copy.name))?;
            }
            // Order of leaving: by time; the newest of each path is the last to go.
            let newest = copies.len().saturating_sub(1);
            rest.extend(copies.drain(..).enumerate().map(|(i, c)| (i == newest, c)));
        }
        rest.sort_by(|(a_new, a), (b_new, b)| (a_new, time_of(&a.name)).cmp(&(b_new, time_of(&b.name))));
        for (_, copy) in rest {
            if count <= COPIES && bytes <= COPIES_BYTES {
                break;
            }
            (count, bytes) = (count - 1, bytes - copy.bytes);
            fs::remove_file(self.folder.join(copy.name))?;
        }
        Ok(())
    }
}

fn hex16(path: &HostPath) -> String {
    Hash::of(path.as_str().as_bytes()).0.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

fn time_of(name: &str) -> &str {
    name.split('-').nth(1).unwrap_or("")
}

fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '_' }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn file_with(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn the_first_and_the_latest_copies_stay() {
        let folder = tempfile::tempdir().unwrap();
        let backups = Backups::new(&folder.path().join("kept"));
        let path = HostPath::parse("/etc/hosts").unwrap();
        for n in 0..20 {
            backups.keep(&path, &mut file_with(format!("v{n}").as_bytes()), 2).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(folder.path().join("kept")).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        let contents: Vec<_> = names.iter().map(|n| fs::read_to_string(n).unwrap()).collect();
        assert_eq!(contents, ["v0", "v13", "v14", "v15", "v16", "v17", "v18", "v19"]);
        assert!(names[0].to_str().unwrap().ends_with("-hosts"));
    }

    #[test]
    fn what_cannot_be_kept_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "x").unwrap();
        let backups = Backups::new(&blocked.join("kept"));
        let path = HostPath::parse("/etc/hosts").unwrap();
        assert!(backups.keep(&path, &mut file_with(b"a"), 1).is_err());
        let error = backups.keep(&path, &mut file_with(b"a"), FILE_BYTES + 1).unwrap_err();
        assert!(matches!(error, HostError::TooLarge { .. }));
    }
}
