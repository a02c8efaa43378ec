//! The configcrates of a tree, present and retracted, and where each resource name is declared.
//!
//! It answers who could be meant by a name; what a name means in one policy is decided in [`super::references`]. What
//! was asked of the whole tree is noted: such an answer rests on every configcrate, not only on those of a policy.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::Hash;

use crate::absent;
use crate::compose::Composed;
use crate::expand::may_be;
use crate::parsed::Configcrate;
use crate::source::Templates;

/// The configcrates of a tree, and where each resource name is declared.
pub(crate) struct Library<'a> {
    configcrates: &'a BTreeMap<String, Arc<Configcrate>>,
    /// For sources whose path is known only in a policy.
    pub(crate) templates: &'a Templates<'a>,
    /// Made when somebody asks.
    names: OnceCell<Names>,
    summary: OnceCell<Hash>,
    /// Those that some mention retracts, as they are then.
    retracted: BTreeMap<&'a str, Configcrate>,
    asked: Cell<bool>,
}

/// What is declared where.
struct Names {
    /// The first configcrate that declares each resource.
    by_resource: BTreeMap<String, Arc<Configcrate>>,
    /// Names that hold an element of `foreach:`, and who declares them.
    patterns: Vec<(String, Arc<Configcrate>)>,
}

impl<'a> Library<'a> {
    pub fn new(
        configcrates: &'a BTreeMap<String, Arc<Configcrate>>,
        templates: &'a Templates<'a>,
    ) -> Library<'a> {
        Library {
            configcrates,
            templates,
            names: OnceCell::new(),
            summary: OnceCell::new(),
            retracted: BTreeMap::new(),
            asked: Cell::new(false),
        }
    }

    /// Makes the retracted form of these configcrates known.
    pub fn retract(mut self, names: impl Iterator<Item = &'a str>) -> Library<'a> {
        for name in names {
            if let (Some(found), None) = (self.configcrates.get(name), self.retracted.get(name)) {
                self.retracted.insert(name, absent::retracted(found));
            }
        }
        self
    }

    /// What the answers about the whole tree rest on, if there were any since this was called last.
    pub fn take_asked(&self) -> Option<Hash> {
        self.asked.take().then(|| self.summary())
    }

    /// The hash of all that the tree declares: names of configcrates and resources, not what is in them.
    pub fn summary(&self) -> Hash {
        *self.summary.get_or_init(|| {
            let mut text = String::new();
            for found in self.configcrates.values() {
                text += &format!("\n{:?}", found.name.value);
                for resource in &found.resources {
                    text += &format!(" {:?}{}", resource.name.value, u8::from(resource.foreach.is_some()));
                }
                text += &format!("{:?}", found.lost);
            }
            Hash::of(text.as_bytes())
        })
    }

    /// Whether there is a configcrate or usercrate of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.asked.set(true);
        self.configcrates.contains_key(name)
    }

    /// A configcrate as it was asked for: present, or retracted.
    pub(super) fn form(&self, composed: &Composed) -> Option<&Configcrate> {
        if composed.is_absent() {
            return self.retracted.get(composed.name.as_str());
        }
        self.configcrates.get(&composed.name).map(Arc::as_ref)
    }

    /// A configcrate that is, or declares, what `name` refers to; keys of instances are passed over.
    pub(super) fn holder(&self, name: &str) -> Option<&str> {
        let names = self.names();
        if let Some((configcrate, resource)) = name.split_once('/') {
            let declared = self.configcrates.get(without_key(configcrate))?;
            let resource = without_key(resource);
            return declared
                .resources
                .iter()
                .any(|r| may_be(&r.name.value, resource))
                .then_some(declared.name.value.as_str());
        }
        let name = without_key(name);
        let by_resource = names.by_resource.get(name);
        by_resource
            .or_else(|| self.configcrates.get(name))
            .or_else(|| names.patterns.iter().find(|(pattern, _)| may_be(pattern, name)).map(|(_, c)| c))
            .map(|found| found.name.value.as_str())
    }

    /// Whether a resource of `configcrate` comes to that name for some element.
    pub(super) fn may_make(&self, configcrate: &str, name: &str) -> bool {
        let name = without_key(name.rsplit('/').next().unwrap_or(name));
        self.names()
            .patterns
            .iter()
            .any(|(pattern, by)| by.name.value == configcrate && may_be(pattern, name))
    }

    /// Whether a resource of that name stands somewhere and could not be read.
    pub(super) fn lost(&self, name: &str) -> bool {
        self.asked.set(true);
        self.configcrates.values().any(|c| c.lost.iter().any(|lost| lost == name))
    }

    /// The names of all resources.
    pub(super) fn resources(&self) -> impl Iterator<Item = &str> {
        self.names().by_resource.keys().map(String::as_str)
    }

    fn names(&self) -> &Names {
        self.asked.set(true);
        self.names.get_or_init(|| {
            let mut names = Names { by_resource: BTreeMap::new(), patterns: Vec::new() };
            for configcrate in self.configcrates.values() {
                for resource in &configcrate.resources {
                    let name = resource.name.value.as_str();
                    names.by_resource.entry(name.to_string()).or_insert_with(|| Arc::clone(configcrate));
                    if resource.foreach.is_some() || name.contains("{{") {
                        names.patterns.push((name.to_string(), Arc::clone(configcrate)));
                    }
                }
            }
            names
        })
    }
}

/// The name before the key of an instance.
pub(super) fn without_key(name: &str) -> &str {
    name.strip_suffix(']').and_then(|n| n.split_once('[')).map_or(name, |(name, _)| name)
}
