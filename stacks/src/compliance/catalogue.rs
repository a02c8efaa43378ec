//! The two catalogues: which controls a tag stands for.
//!
//! They are data files beside this one, part of the program: a fleet cannot change them, and an audit can read
//! them. Control ids are facts of the frameworks; the words are ours. The invariant a test keeps: every entry
//! has a framework that is known and ids of that framework's form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::FRAMEWORKS;
use crate::yaml::{self, Data, Node};

const PROVISIONS: &str = include_str!("provisions.yaml");
const BUNDLES: &str = include_str!("bundles.yaml");

/// What a tag stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it means, in a sentence.
    pub about: String,
    /// The controls, by framework.
    pub controls: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

/// Tags and what they stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Catalogue {
    /// By tag.
    pub entries: BTreeMap<Arc<str>, Entry>,
}

impl Catalogue {
    /// The entry of a tag.
    pub fn get(&self, tag: &str) -> Option<&Entry> {
        self.entries.get(tag)
    }

    /// The tags, in order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(|tag| &**tag)
    }
}

/// What `compliance: {provides: […]}` may name: capabilities, across frameworks.
pub fn provisions() -> Catalogue {
    read("provisions.yaml", PROVISIONS)
}

/// What `compliance: {bundle: […]}` may name: sections of one framework.
pub fn bundles() -> Catalogue {
    read("bundles.yaml", BUNDLES)
}

/// A file that is part of the program; what a test would refuse is passed over.
fn read(path: &str, text: &str) -> Catalogue {
    let mut sink = Vec::new();
    let Some(node) = yaml::read(&Arc::from(path), text.as_bytes(), &mut sink) else {
        return Catalogue::default();
    };
    let Data::Map(entries) = &node.data else { return Catalogue::default() };
    let frameworks: BTreeMap<&str, Arc<str>> =
        FRAMEWORKS.iter().map(|(name, _)| (*name, Arc::from(*name))).collect();
    let one = |node: &Node| {
        let mut entry = Entry { about: String::new(), controls: BTreeMap::new() };
        let Data::Map(keys) = &node.data else { return entry };
        for key in keys {
            match (&key.value.data, frameworks.get(key.key.as_str())) {
                (Data::Scalar(text), None) if key.key == "about" => entry.about.clone_from(&text.text),
                (Data::List(ids), Some(framework)) => {
                    let ids = ids.iter().filter_map(|id| match &id.data {
                        Data::Scalar(text) => Some(Arc::from(text.text.as_str())),
                        _ => None,
                    });
                    entry.controls.insert(Arc::clone(framework), ids.collect());
                }
                _ => {}
            }
        }
        entry
    };
    Catalogue { entries: entries.iter().map(|e| (Arc::from(e.key.as_str()), one(&e.value))).collect() }
}
