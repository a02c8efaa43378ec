//! The files of the blob directory: their names, and writing them so that a crash leaves all or nothing.
//!
//! Every name is a hash in hex with a suffix from a closed list; nothing a peer says becomes a name in any
//! other way. No link is followed.
//!
//! | name | what |
//! |---|---|
//! | `HASH` | a whole blob |
//! | `HASH.outline` | its reference and outline; absent where it follows from the hash |
//! | `EXCHANGE.plan` | reference and outline of a blob being fetched |
//! | `EXCHANGE.partial` | its bytes so far |
//! | `HASH.rotten` | a blob found damaged, kept as a source of chunks until it is whole again |
//! | `N.tmp` | a file being written; never outlives the process |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;
use vigo_base::limits::OUTLINE_BYTES;
use vigo_base::{Hash, codec};
use vigo_node::swarm::outline::{BlobRef, Outline};

/// Bytes of the longest encoded reference.
const REF_BYTES: usize = 96;

/// What a file of the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Whole(Hash),
    Outline(Hash),
    Plan(Hash),
    Partial(Hash),
    Rotten(Hash),
    Temporary,
}

impl Name {
    /// Reads a file name; `None` if it is none of ours.
    pub(super) fn parse(text: &str) -> Option<Name> {
        let (stem, suffix) = text.split_once('.').unwrap_or((text, ""));
        if suffix == "tmp" {
            return stem.parse::<u64>().ok().map(|_| Name::Temporary);
        }
        let hash: Hash = stem.parse().ok().filter(|hash: &Hash| hash.to_string() == stem)?;
        Some(match suffix {
            "" if stem == text => Name::Whole(hash),
            "outline" => Name::Outline(hash),
            "plan" => Name::Plan(hash),
            "partial" => Name::Partial(hash),
            "rotten" => Name::Rotten(hash),
            _ => return None,
        })
    }

    fn text(self) -> String {
        match self {
            Name::Whole(hash) => hash.to_string(),
            Name::Outline(hash) => format!("{hash}.outline"),
            Name::Plan(hash) => format!("{hash}.plan"),
            Name::Partial(hash) => format!("{hash}.partial"),
            Name::Rotten(hash) => format!("{hash}.rotten"),
            Name::Temporary => {
                static NEXT: AtomicU64 = AtomicU64::new(0);
                format!("{}.tmp", NEXT.fetch_add(1, Ordering::Relaxed))
            }
        }
    }
}

/// The directory.
#[derive(Debug, Clone)]
pub(super) struct Dir(PathBuf);

impl Dir {
    /// The directory at `path`, made if it is not there (0700).
    pub(super) fn open(path: &Path) -> io::Result<Dir> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Dir(path.to_path_buf()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn at(&self, name: Name) -> PathBuf {
        self.0.join(name.text())
    }

    /// Opens a file for reading.
    pub(super) fn read(&self, name: Name) -> io::Result<File> {
        options().read(true).open(self.at(name))
    }

    /// Opens a file for reading and writing, made if it is not there.
    pub(super) fn edit(&self, name: Name) -> io::Result<File> {
        options().read(true).write(true).create(true).truncate(false).open(self.at(name))
    }

    /// A new temporary file.
    pub(super) fn temporary(&self) -> io::Result<Temporary> {
        loop {
            let path = self.at(Name::Temporary);
            match options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Temporary { file, path }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Makes renames and removals durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    /// Removes a file; one that is not there is removed already.
    pub(super) fn remove(&self, name: Name) -> io::Result<()> {
        match fs::remove_file(self.at(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    pub(super) fn rename(&self, from: Name, to: Name) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    /// Writes reference and outline under `name`, durably, all or nothing.
    pub(super) fn write_outline(&self, name: Name, blob: &BlobRef, outline: &Outline) -> io::Result<()> {
        let mut temporary = self.temporary()?;
        let reference = codec::encode(blob);
        temporary.file.write_all(&(reference.len() as u16).to_le_bytes())?;
        temporary.file.write_all(&reference)?;
        temporary.file.write_all(&outline.encode())?;
        temporary.keep(&self.at(name))?;
        self.sync()
    }

    /// Reads what [`Dir::write_outline`] wrote; `None` if it is not there or not what it was.
    pub(super) fn read_outline(&self, name: Name) -> Option<(BlobRef, Outline)> {
        let mut bytes = Vec::new();
        let most = (2 + REF_BYTES + OUTLINE_BYTES) as u64;
        self.read(name).ok()?.take(most).read_to_end(&mut bytes).ok()?;
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (reference, outline) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let blob: BlobRef = codec::decode(reference, REF_BYTES).ok()?;
        let outline = Outline::decode_for(&blob, outline).ok()?;
        Some((blob, outline))
    }

    /// The names in the directory that are ours.
    pub(super) fn list(&self) -> io::Result<Vec<Name>> {
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                out.extend(entry.file_name().to_str().and_then(Name::parse));
            }
        }
        Ok(out)
    }
}

/// A file being written. Dropped without [`Temporary::keep`], it is gone.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) file: File,
    path: PathBuf,
}

impl Temporary {
    /// Flushes it and gives it its name.
    pub(super) fn keep(self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, to)
    }

    /// Removes the temporary of an earlier process.
    pub(super) fn sweep(dir: &Dir) -> io::Result<()> {
        for entry in fs::read_dir(dir.path())? {
            let entry = entry?;
            if entry.file_name().to_str().and_then(Name::parse) == Some(Name::Temporary) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After `keep` there is nothing under this name: numbers are not used twice.
        let _ = fs::remove_file(&self.path);
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_names() {
        let hex = Hash::of(b"x").to_string();
        for (text, name) in [
            (hex.clone(), Name::Whole(Hash::of(b"x"))),
            (format!("{hex}.partial"), Name::Partial(Hash::of(b"x"))),
            ("7.tmp".into(), Name::Temporary),
        ] {
            assert_eq!(Name::parse(&text), Some(name));
        }
        let upper = hex.to_uppercase();
        for bad in ["", ".", "..", "../x", "x.tmp", &upper, &format!("{hex}."), &format!("{hex}.a/b")] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }
}
