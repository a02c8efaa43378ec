//! The templates of a tree, and which of them somebody asked for.
//!
//! What was made with a template is made anew when that template changes. The invariant it keeps: nothing reads a
//! file of a tree while it is read or assembled but through here, so [`Asked`] names all that a result rests on.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use vigo_base::Hash;

use super::SourceTree;

/// Where templates lie.
const BELOW: &str = "templates/";

/// The templates of a tree.
pub(crate) struct Templates<'t> {
    tree: &'t SourceTree,
    asked: RefCell<BTreeSet<String>>,
    listed: Cell<bool>,
}

impl<'t> Templates<'t> {
    pub fn of(tree: &'t SourceTree) -> Templates<'t> {
        Templates { tree, asked: RefCell::default(), listed: Cell::new(false) }
    }

    /// The bytes of a file.
    pub fn get(&self, path: &str) -> Option<&'t [u8]> {
        self.asked.borrow_mut().insert(path.to_string());
        self.tree.get(path)
    }

    /// The paths of all, in order.
    pub fn list(&self) -> impl Iterator<Item = &'t str> {
        self.listed.set(true);
        paths(self.tree)
    }

    /// What was asked for since this was called last.
    pub fn take_asked(&self) -> Asked {
        let files = self.asked.take().into_iter().map(|path| {
            let found = self.tree.get(&path).map(Hash::of);
            (path, found)
        });
        Asked { files: files.collect(), list: self.listed.take().then(|| list_of(self.tree)) }
    }
}

/// What was asked for, and what there was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    files: BTreeMap<String, Option<Hash>>,
    /// The hash of the list, if that was asked for.
    list: Option<Hash>,
}

impl Asked {
    /// Whether `tree` would give the same answers.
    pub fn holds(&self, tree: &SourceTree) -> bool {
        self.files.iter().all(|(path, found)| tree.get(path).map(Hash::of) == *found)
            && self.list.is_none_or(|list| list == list_of(tree))
    }
}

fn paths(tree: &SourceTree) -> impl Iterator<Item = &str> {
    tree.iter().map(|(path, _)| path).filter(|path| path.starts_with(BELOW))
}

fn list_of(tree: &SourceTree) -> Hash {
    Hash::of(paths(tree).collect::<Vec<_>>().join("\n").as_bytes())
}
