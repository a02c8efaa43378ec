//! The first stage: the files of a `stacks/` tree, as bytes, given by the caller.
//!
//! A [`SourceTree`] never reads a disk. The invariant it keeps: every path is relative, clean and bounded, so
//! that writing the tree below a directory cannot leave it.

mod templates;

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use vigo_base::Hash;
use vigo_base::codec::{self, BadBytes};
use vigo_base::limits::CONFIG_BLOB_BYTES;
use vigo_base::text::escaped;

use crate::diagnostic::{Diagnostic, Site};
use crate::rules;

pub(crate) use templates::{Asked, Templates};

/// Files that a tree may have.
pub const FILES_MAX: usize = 20_000;
/// Bytes of a path.
pub const PATH_BYTES: usize = 512;
/// Bytes of one file.
pub const FILE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of one `.vgo` file.
pub const VGO_BYTES: usize = 1024 * 1024;
/// Bytes of all files and paths together: what fits a configuration blob.
pub const TREE_BYTES: usize = CONFIG_BLOB_BYTES as usize - 4 * 1024 * 1024;
/// The version of the archive's encoding.
const ARCHIVE_VERSION: u8 = 1;

/// A file that a tree does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTree {
    /// A path that could lead out of the tree, or could not be written everywhere.
    #[error("the path \"{}\" is not allowed: {why}", escaped(path))]
    Path {
        /// The path, cut to 200 characters.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The same path twice, or a file where another path needs a directory.
    #[error("the path \"{}\" stands in the tree twice", escaped(path))]
    Twice {
        /// The path.
        path: String,
    },
    /// A file over [`FILE_BYTES`], or over [`VGO_BYTES`] for a `.vgo` file.
    #[error("\"{}\" has {found} bytes, at most {limit} are allowed", escaped(path))]
    FileSize {
        /// The path.
        path: String,
        /// How many bytes it has.
        found: usize,
        /// How many it may have.
        limit: usize,
    },
    /// More than [`FILES_MAX`] files or [`TREE_BYTES`] bytes.
    #[error("the tree is too large: at most {FILES_MAX} files and {TREE_BYTES} bytes are allowed")]
    TreeSize,
    /// An archive that is no archive.
    #[error("the archive of the tree cannot be read: {0}")]
    Archive(#[from] BadBytes),
    /// An archive of a later version.
    #[error("the archive of the tree has version {found}, this program reads {ARCHIVE_VERSION}")]
    Version {
        /// The version found.
        found: u8,
    },
}

impl BadTree {
    /// The same as a diagnostic, for who reads a tree from a disk.
    pub fn diagnostic(&self) -> Diagnostic {
        let (rule, path, help) = match self {
            BadTree::Path { path, .. } => (rules::FILE_PATH, path.as_str(), "rename the file"),
            BadTree::Twice { path } => (rules::FILE_PATH, path.as_str(), "rename one of the two"),
            BadTree::FileSize { path, .. } => (rules::FILE_SIZE, path.as_str(), "split the file"),
            BadTree::TreeSize => (rules::FILE_SIZE, "", "move what is no configuration out of the tree"),
            BadTree::Archive(_) | BadTree::Version { .. } => {
                (rules::FILE_ARCHIVE, "", "fetch the tree again")
            }
        };
        Diagnostic::error(rule, &Site::start(&std::sync::Arc::from(path)), self.to_string()).help(help)
    }
}

/// The files of a tree by path, `/` between the parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceTree {
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl SourceTree {
    /// An empty tree.
    pub fn new() -> SourceTree {
        SourceTree::default()
    }

    /// A tree of these files.
    ///
    /// # Errors
    /// The first [`BadTree`].
    pub fn from_files<P, B>(files: impl IntoIterator<Item = (P, B)>) -> Result<SourceTree, BadTree>
    where
        P: Into<String>,
        B: Into<Vec<u8>>,
    {
        let mut tree = SourceTree::new();
        for (path, bytes) in files {
            tree.insert(path, bytes)?;
        }
        Ok(tree)
    }

    /// Puts other bytes into a file, or adds it.
    ///
    /// # Errors
    /// As [`SourceTree::insert`]; then the file is gone.
    pub fn replace(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<(), BadTree> {
        self.remove(path);
        self.insert(path, bytes)
    }

    /// Takes a file out.
    pub fn remove(&mut self, path: &str) -> Option<Vec<u8>> {
        let bytes = self.files.remove(path)?;
        self.bytes = self.bytes.saturating_sub(bytes.len() + path.len() + 16);
        Some(bytes)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`BadTree`] if the path or the size is not allowed, or the path is there already.
    pub fn insert(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Result<(), BadTree> {
        let (path, bytes) = (path.into(), bytes.into());
        if let Some(why) = problem(&path) {
            return Err(BadTree::Path { path: path.chars().take(200).collect(), why });
        }
        let limit = if path.ends_with(".vgo") { VGO_BYTES } else { FILE_BYTES };
        if bytes.len() > limit {
            return Err(BadTree::FileSize { path, found: bytes.len(), limit });
        }
        let total = self.bytes + bytes.len() + path.len() + 16;
        if total > TREE_BYTES || self.files.len() >= FILES_MAX {
            return Err(BadTree::TreeSize);
        }
        if self.clashes(&path) {
            return Err(BadTree::Twice { path });
        }
        self.bytes = total;
        self.files.insert(path, bytes);
        Ok(())
    }

    /// Whether the path is there, or is a directory of another, or has a file as a directory.
    fn clashes(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.files.contains_key(path)
            || self.files.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below))
            || path.match_indices('/').any(|(i, _)| self.files.contains_key(&path[..i]))
    }

    /// The bytes of a file.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The files in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(p, b)| (p.as_str(), b.as_slice()))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The hash of the archive: equal exactly for equal trees.
    pub fn digest(&self) -> Hash {
        Hash::of(&self.to_archive())
    }

    /// The tree as one run of canonical bytes.
    pub fn to_archive(&self) -> Vec<u8> {
        let files: Vec<(&str, &minicbor::bytes::ByteSlice)> =
            self.files.iter().map(|(p, b)| (p.as_str(), b.as_slice().into())).collect();
        codec::encode(&(ARCHIVE_VERSION, files))
    }

    /// The tree of an archive.
    ///
    /// # Errors
    /// [`BadTree`] if the bytes are not canonical, or a file would not be taken by [`SourceTree::insert`], or
    /// the files are not in order.
    pub fn from_archive(bytes: &[u8]) -> Result<SourceTree, BadTree> {
        let limit = CONFIG_BLOB_BYTES as usize;
        if let [0x82, version, ..] = bytes
            && *version != ARCHIVE_VERSION
            && *version < 24
        {
            return Err(BadTree::Version { found: *version });
        }
        let (_, files): (u8, Vec<(String, ByteVec)>) = codec::decode(bytes, limit)?;
        if let Some(pair) = files.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(BadTree::Twice { path: pair[1].0.clone() });
        }
        SourceTree::from_files(files.into_iter().map(|(p, b)| (p, Vec::from(b))))
    }
}

/// What is wrong with a path.
fn problem(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > PATH_BYTES {
        return Some("a path has 1 to 512 bytes");
    }
    if path.starts_with('/') || path.contains('\\') || path.contains(':') {
        return Some("it must be relative, with `/` between the parts and no `\\` or `:`");
    }
    if path.chars().any(|c| escaped(c.encode_utf8(&mut [0; 4])).chars().count() != 1) {
        return Some("it holds a control character");
    }
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return Some("it has an empty part, `.` or `..`");
        }
        if part.ends_with(' ') || part.ends_with('.') || part.len() > 200 {
            return Some("a part ends in a space or a dot, or has more than 200 bytes");
        }
    }
    None
}
