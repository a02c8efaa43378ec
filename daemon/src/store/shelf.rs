//! Where the store lies: the redb file, its draft, its witness and what was moved aside.
//!
//! [`Shelf`] is the few things the store asks of a directory, so that tests can put a disk under it that
//! loses writes. [`FileShelf`] is the real one. A shelf never destroys a store: a draft takes the place of
//! the old file in one rename, and the old file stays beside it (the newest [`KEPT_ASIDE`] of them).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;

/// How many damaged files are kept.
pub const KEPT_ASIDE: usize = 3;

/// What the store asks of the place it lies in.
pub trait Shelf {
    /// The storage of one redb file.
    type Backend: StorageBackend;

    /// The store's storage; `None` if there is no store.
    ///
    /// # Errors
    /// Whatever opening it answers.
    fn open(&mut self) -> io::Result<Option<Self::Backend>>;

    /// New, empty storage beside the store; a draft left by an earlier attempt is gone.
    ///
    /// # Errors
    /// Whatever creating it answers.
    fn draft(&mut self) -> io::Result<Self::Backend>;

    /// Puts the (closed) draft in the store's place in one step, durably. If there was a store, it is kept
    /// under the name that is returned.
    ///
    /// # Errors
    /// Whatever the file system answers; the old store is then still in place.
    fn adopt(&mut self) -> io::Result<Option<String>>;

    /// The note that [`Shelf::set_witness`] left.
    fn witness(&mut self) -> Option<Vec<u8>>;

    /// Leaves a short note beside the store. It need not survive a power cut, and may fail quietly: it can
    /// only make the store more suspicious.
    fn set_witness(&mut self, note: &[u8]);

    /// The directory, for messages.
    fn place(&self) -> String;
}

/// `records.redb` in a state directory.
#[derive(Debug)]
pub struct FileShelf {
    dir: PathBuf,
    witness: Option<File>,
}

const STORE: &str = "records.redb";
const DRAFT: &str = "records.redb.draft";
const WITNESS: &str = "records.count";
const ASIDE: &str = "records.redb.damaged-";

impl FileShelf {
    /// The shelf in `dir`, which must exist.
    pub fn new(dir: &Path) -> FileShelf {
        FileShelf { dir: dir.to_path_buf(), witness: None }
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        options
    }

    /// The numbers of the files moved aside, lowest first.
    fn aside(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            found.extend(
                name.to_str().and_then(|n| n.strip_prefix(ASIDE)).and_then(|n| n.parse::<u64>().ok()),
            );
        }
        found.sort_unstable();
        Ok(found)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Shelf for FileShelf {
    type Backend = FileBackend;

    fn open(&mut self) -> io::Result<Option<FileBackend>> {
        match FileShelf::options().open(self.path(STORE)) {
            Ok(file) => FileBackend::new(file).map(Some).map_err(io::Error::other),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn draft(&mut self) -> io::Result<FileBackend> {
        let path = self.path(DRAFT);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = FileShelf::options().create_new(true).open(path)?;
        FileBackend::new(file).map_err(io::Error::other)
    }

    fn adopt(&mut self) -> io::Result<Option<String>> {
        let (store, draft) = (self.path(STORE), self.path(DRAFT));
        File::open(&draft)?.sync_all()?;
        let mut kept = None;
        if store.try_exists()? {
            let aside = self.aside()?;
            let name = format!("{ASIDE}{}", aside.last().map_or(1, |n| n.saturating_add(1)));
            // A second name first, so that there is no moment without a store. Where the file system has
            // no hard links, a rename leaves a short one.
            if fs::hard_link(&store, self.path(&name)).is_err() {
                fs::rename(&store, self.path(&name))?;
            }
            kept = Some(name);
            for old in aside.iter().take((aside.len() + 1).saturating_sub(KEPT_ASIDE)) {
                fs::remove_file(self.path(&format!("{ASIDE}{old}")))?;
            }
        }
        fs::rename(&draft, &store)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(kept)
    }

    fn witness(&mut self) -> Option<Vec<u8>> {
        let file = File::open(self.path(WITNESS)).ok()?;
        let mut note = vec![0; 4096];
        let size = file.read_at(&mut note, 0).ok()?;
        note.truncate(size);
        Some(note)
    }

    fn set_witness(&mut self, note: &[u8]) {
        if self.witness.is_none() {
            let path = self.path(WITNESS);
            self.witness = FileShelf::options().create(true).truncate(false).open(path).ok();
        }
        if let Some(file) = &self.witness {
            // The note has one length for ever, so it is written over in place.
            let _ = file.write_all_at(note, 0);
        }
    }

    fn place(&self) -> String {
        self.dir.display().to_string()
    }
}
