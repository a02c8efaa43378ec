//! The record of pending triggers as a file.
//!
//! A title, and a line for each trigger: a sum of the rest, the digest, and the step. Lines are appended; what is cleared
//! goes by a new file in place of the old one. Both are on the disk when the call returns. A last line without its end
//! was never acknowledged, and is dropped; any other damage is told. It never grows over [`PENDING_BYTES`] and never
//! follows a link.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use vigo_base::Hash;

use crate::pending::{Entry, NotRecorded, Pending, Recorded};

/// Bytes of the file at most: twice what the steps of the largest policy take, each triggered once.
pub const PENDING_BYTES: u64 = 8 * 1024 * 1024;
const TITLE: &str = "vigo pending 1\n";

/// A record in a file, which need not exist yet; its folder is made (0700) when it is first written.
#[derive(Debug, Clone)]
pub struct PendingFile {
    path: PathBuf,
    /// Bytes of whole lines; none before it was read or written, or when it cannot be appended to.
    length: Option<u64>,
}

impl PendingFile {
    /// The record at `path`.
    pub fn at(path: impl Into<PathBuf>) -> PendingFile {
        PendingFile { path: path.into(), length: None }
    }

    fn read(&mut self) -> io::Result<BTreeSet<Entry>> {
        self.length = None;
        let file = match options().read(true).open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            opened => opened?,
        };
        let mut text = Vec::new();
        file.take(PENDING_BYTES + 1).read_to_end(&mut text)?;
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let lines = text.get(..whole).filter(|_| text.len() as u64 <= PENDING_BYTES);
        let entries = lines.and_then(|lines| parse(std::str::from_utf8(lines).ok()?));
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
        let entries = entries.ok_or_else(damaged)?;
        self.length = Some(whole as u64);
        Ok(entries)
    }

    fn append(&mut self, at: u64, text: &str) -> io::Result<()> {
        let mut file = options().write(true).open(&self.path)?;
        // What a failed write left is cut off first.
        file.set_len(at)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("/"));
        if !folder.is_dir() {
            use std::os::unix::fs::DirBuilderExt;
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let draft = self.path.with_extension("new");
        match fs::remove_file(&draft) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let written = (|| {
            let mut file = options().write(true).create_new(true).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)
        })();
        if let Err(error) = written {
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        File::open(folder)?.sync_all()
    }
}

impl Pending for PendingFile {
    fn load(&mut self) -> Recorded {
        match self.read() {
            Ok(entries) => Recorded::Known(entries),
            Err(error) => Recorded::Lost(format!("{}: {error}", self.path.display())),
        }
    }

    fn add(&mut self, entries: &[Entry]) -> Result<(), NotRecorded> {
        if self.length.is_none()
            && let Recorded::Known(known) = self.load()
            && self.length.is_none()
        {
            return self.clear(&known.into_iter().chain(entries.iter().cloned()).collect());
        }
        let text: String = entries.iter().map(line).collect();
        let unread = || self.refused("it cannot be read");
        let at = self.length.ok_or_else(unread)?;
        let length = self.fits(at + text.len() as u64)?;
        self.append(at, &text).map_err(|error| self.refused(error))?;
        self.length = Some(length);
        Ok(())
    }

    fn clear(&mut self, left: &BTreeSet<Entry>) -> Result<(), NotRecorded> {
        let text: String = std::iter::once(TITLE.to_owned()).chain(left.iter().map(line)).collect();
        let length = self.fits(text.len() as u64)?;
        self.write(&text).map_err(|error| self.refused(error))?;
        self.length = Some(length);
        Ok(())
    }
}

impl PendingFile {
    fn refused(&self, why: impl std::fmt::Display) -> NotRecorded {
        NotRecorded { why: format!("{}: {why}", self.path.display()) }
    }

    fn fits(&self, length: u64) -> Result<u64, NotRecorded> {
        let full = || self.refused(format_args!("it would hold more than {PENDING_BYTES} bytes"));
        (length <= PENDING_BYTES).then_some(length).ok_or_else(full)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

fn line(entry: &Entry) -> String {
    let rest = format!("{} {}", entry.trigger, entry.step.replace('\n', "?"));
    format!("{} {rest}\n", sum(&rest))
}

fn sum(rest: &str) -> String {
    Hash::of(rest.as_bytes()).to_string().chars().take(16).collect()
}

/// Whole lines. Without the title it is no such file; an empty one is one of which nothing was ever written.
fn parse(text: &str) -> Option<BTreeSet<Entry>> {
    let line = |line: &str| {
        let (found, rest) = line.split_once(' ')?;
        let (trigger, step) = rest.split_once(' ').filter(|_| sum(rest) == found)?;
        Some(Entry { step: step.to_owned(), trigger: trigger.parse().ok()? })
    };
    text.strip_prefix(TITLE)?.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> BTreeSet<Entry> {
        let entry = |n: &&str| Entry { step: format!("c/{n}"), trigger: Hash::of(n.as_bytes()) };
        names.iter().map(entry).collect()
    }

    #[test]
    fn what_is_recorded_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/pending");
        let mut file = PendingFile::at(&path);
        assert_eq!(file.load(), Recorded::Known(BTreeSet::new()), "a file that is not there is no loss");
        for names in [&["a b", "c"][..], &["b"], &[]] {
            file.add(&entries(names).into_iter().collect::<Vec<_>>()).unwrap();
            assert_eq!(PendingFile::at(&path).load(), Recorded::Known(entries(names)));
            // Another that has not read it goes on from there.
            PendingFile::at(&path).add(&Vec::from_iter(entries(&["x"]))).unwrap();
            let both = entries(names).into_iter().chain(entries(&["x"])).collect();
            assert_eq!(file.load(), Recorded::Known(both));
            file.clear(&BTreeSet::new()).unwrap();
            assert_eq!(PendingFile::at(&path).load(), Recorded::Known(BTreeSet::new()));
        }
        let names: Vec<_> = fs::read_dir(folder.path().join("state")).unwrap().collect();
        assert_eq!(names.len(), 1, "no draft is left: {names:?}");
    }

    #[test]
    fn damage_is_told_and_a_cut_line_was_never_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pending");
        let mut file = PendingFile::at(&path);
        file.add(&Vec::from_iter(entries(&["a", "b"]))).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() - 1 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x01;
            fs::write(&path, &bytes).unwrap();
            assert!(matches!(file.load(), Recorded::Lost(_)), "byte {at}");
        }
        let second = whole.len() - 1 - whole.iter().rev().skip(1).position(|b| *b == b'\n').unwrap();
        for cut in second..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(file.load(), Recorded::Known(entries(&["a"])), "cut at {cut}");
            file.add(&Vec::from_iter(entries(&["b"]))).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
        for other in [vec![], vec![b'x'; PENDING_BYTES as usize + 2]] {
            fs::write(&path, other).unwrap();
            assert!(matches!(file.load(), Recorded::Lost(_)));
            file.add(&Vec::from_iter(entries(&["a"]))).unwrap_err();
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(file.load(), Recorded::Lost(_)), "a link is not followed");
        file.clear(&entries(&["a"])).unwrap();
        assert_eq!(file.load(), Recorded::Known(entries(&["a"])), "and it is whole again");
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_the_old_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "x").unwrap();
        PendingFile::at(folder.path().join("file/pending"))
            .add(&Vec::from_iter(entries(&["a"])))
            .unwrap_err();
        let mut file = PendingFile::at(folder.path().join("pending"));
        file.add(&Vec::from_iter(entries(&["a"]))).unwrap();
        let long = "x".repeat(PENDING_BYTES as usize);
        file.add(&Vec::from_iter(entries(&[&long]))).unwrap_err();
        file.clear(&entries(&[&long])).unwrap_err();
        assert_eq!(file.load(), Recorded::Known(entries(&["a"])));
    }
}
