//! A `stacks/` tree on disk, read into memory.
//!
//! It reads below one directory and nowhere else: a link that leads out is refused and named. Everything that is
//! wrong is told at once. Names that begin with a dot (`.git`, `.live`) are left out. Sizes are bounded by
//! [`SourceTree`].

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use vigo_base::text::escaped;
use vigo_base::{Hash, hash::Hasher};
use vigo_stacks::SourceTree;
use vigo_stacks::source::{FILE_BYTES, FILES_MAX};

use crate::exit::{Exit, Failure};

/// How deep directories may nest.
const DEPTH: usize = 32;
/// Mistakes that are listed.
const LISTED: usize = 20;

/// Reads the tree below `dir`.
///
/// # Errors
/// [`Failure`] with every file that could not be taken.
pub fn read(dir: &Path) -> Result<SourceTree, Failure> {
    let shown = escaped(&dir.display().to_string());
    let root = fs::canonicalize(dir).map_err(|e| {
        let failure = Failure::io("read the tree", dir, &e);
        if failure.exit == Exit::NotFound { failure.hint("name it with --stacks DIR") } else { failure }
    })?;
    if !root.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("{shown} is no directory"))
            .hint("name the tree with --stacks DIR"));
    }
    let mut reader = Reader { root: root.clone(), tree: SourceTree::new(), bad: Vec::new(), seen: 0 };
    reader.walk(&root, "", 0);
    if !reader.bad.is_empty() {
        let more = reader.bad.len().saturating_sub(LISTED);
        reader.bad.truncate(LISTED);
        let mut lines = reader.bad.join("\n");
        if more > 0 {
            lines += &format!("\nand {more} more");
        }
        return Err(Failure::new(Exit::Config, format!("the tree {shown} cannot be read whole:\n{lines}"))
            .hint("mend or remove these; names that begin with a dot are left out"));
    }
    if reader.tree.is_empty() {
        return Err(Failure::new(Exit::Config, format!("the tree {shown} is empty"))
            .hint("docs/language.md begins with a small example; or name another tree with --stacks DIR"));
    }
    Ok(reader.tree)
}

/// What the files below `dir` look like from outside: their names, sizes and times. It changes when one of them is
/// written, added or removed; what cannot be looked at counts as such.
pub fn stamp(dir: &Path) -> Hash {
    let (mut hasher, mut left) = (Hasher::default(), FILES_MAX);
    look(dir, DEPTH, &mut left, &mut hasher);
    hasher.finish()
}

fn look(dir: &Path, depth: usize, left: &mut usize, hasher: &mut Hasher) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let shown = |path: &&PathBuf| !path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    for path in paths.iter().filter(shown) {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        let Ok(meta) = fs::metadata(path) else { continue };
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(format!("\0{} {:?}\0", meta.len(), meta.modified().ok()).as_bytes());
        if meta.is_dir() && depth > 0 {
            look(path, depth - 1, left, hasher);
        }
    }
}

/// Reads one file of at most [`FILE_BYTES`].
///
/// # Errors
/// [`Failure`] if it cannot be read or is larger.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = File::open(path).map_err(|e| Failure::io("read", path, &e))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| Failure::io("read", path, &e))?;
    if bytes.len() > FILE_BYTES {
        let what = format!("{} has more than {FILE_BYTES} bytes", escaped(&path.display().to_string()));
        return Err(Failure::new(Exit::Config, what).hint("a file of configuration is smaller"));
    }
    Ok(bytes)
}

struct Reader {
    root: PathBuf,
    tree: SourceTree,
    bad: Vec<String>,
    seen: usize,
}

impl Reader {
    fn refuse(&mut self, path: &str, why: impl std::fmt::Display) {
        self.bad.push(format!("{}: {why}", escaped(path)));
    }

    fn walk(&mut self, dir: &Path, below: &str, depth: usize) {
        if depth > DEPTH {
            return self.refuse(
                below,
                format!("directories nest deeper than {DEPTH}; does a link lead in a circle?"),
            );
        }
        let listed = fs::read_dir(dir).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(e) => return self.refuse(below, e),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.refuse(&format!("{below}/{}", name.to_string_lossy()), "its name is not UTF-8");
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            self.seen += 1;
            if self.seen > FILES_MAX {
                return self.refuse(&path, format!("more than {FILES_MAX} files and directories"));
            }
            self.take(&entry.path(), &path, depth);
        }
    }

    fn take(&mut self, at: &Path, path: &str, depth: usize) {
        let real = match fs::canonicalize(at) {
            Ok(real) => real,
            Err(e) => return self.refuse(path, format!("a link or file that leads nowhere ({e})")),
        };
        if !real.starts_with(&self.root) {
            return self.refuse(
                path,
                format!("a link out of the tree, to {}", escaped(&real.display().to_string())),
            );
        }
        match fs::metadata(&real) {
            Ok(meta) if meta.is_dir() && path.ends_with(".vgo") => {
                self.refuse(path, "a directory with the name of a file of configuration; rename it");
            }
            Ok(meta) if meta.is_dir() => self.walk(&real, path, depth + 1),
            Ok(meta) if meta.is_file() => match read_file(&real) {
                Ok(bytes) => {
                    if let Err(bad) = self.tree.insert(path, bytes) {
                        self.bad.push(bad.to_string());
                    }
                }
                Err(failure) => self.refuse(path, failure.what),
            },
            Ok(_) => self.refuse(path, "neither a file nor a directory"),
            Err(e) => self.refuse(path, e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_is_read_and_links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("configcrates/a.vgo", "name: a\n");
        write(".git/config", "x");
        symlink("configcrates", dir.path().join("again")).unwrap();
        let tree = read(dir.path()).unwrap();
        assert_eq!(tree.iter().map(|(p, _)| p).collect::<Vec<_>>(), ["again/a.vgo", "configcrates/a.vgo"]);
        symlink("/etc/passwd", dir.path().join("out")).unwrap();
        symlink("..", dir.path().join("configcrates/up")).unwrap();
        symlink("gone", dir.path().join("nowhere")).unwrap();
        let failure = read(dir.path()).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        for part in ["out: a link out of the tree, to /etc/passwd", "nowhere: a link", "deeper than 32"] {
            assert!(failure.what.contains(part), "{part}: {}", failure.what);
        }
    }

    #[test]
    fn what_is_not_there_or_empty_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&dir.path().join("x")).unwrap_err().exit, Exit::NotFound);
        assert!(read(dir.path()).unwrap_err().what.ends_with("is empty"));
        let file = dir.path().join("f");
        fs::write(&file, "").unwrap();
        assert!(read(&file).unwrap_err().what.ends_with("is no directory"));
    }
}
