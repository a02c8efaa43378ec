//! The configcrates of a tree, present and retracted, and where each resource name is declared.
//!
//! It answers who could be meant by a name; what a name means in one policy is decided in [`super::references`].

use std::collections::BTreeMap;

use crate::absent;
use crate::compose::Composed;
use crate::expand::may_be;
use crate::parsed::Configcrate;
use crate::source::SourceTree;

/// The configcrates of a tree, and where each resource name is declared.
pub(crate) struct Library<'a> {
    pub(super) configcrates: &'a BTreeMap<String, Configcrate>,
    /// For sources whose path is known only in a policy.
    pub(super) tree: &'a SourceTree,
    pub(super) by_resource: BTreeMap<&'a str, Vec<&'a str>>,
    /// Names that hold an element of `foreach:`, and who declares them.
    patterns: Vec<(&'a str, &'a str)>,
    /// Those that some mention retracts, as they are then.
    retracted: BTreeMap<&'a str, Configcrate>,
}

impl<'a> Library<'a> {
    pub fn new(configcrates: &'a BTreeMap<String, Configcrate>, tree: &'a SourceTree) -> Library<'a> {
        let mut by_resource: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut patterns = Vec::new();
        for configcrate in configcrates.values() {
            for resource in &configcrate.resources {
                let name = resource.name.value.as_str();
                by_resource.entry(name).or_default().push(&configcrate.name.value);
                if resource.foreach.is_some() || name.contains("{{") {
                    patterns.push((name, configcrate.name.value.as_str()));
                }
            }
        }
        Library { configcrates, tree, by_resource, patterns, retracted: BTreeMap::new() }
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

    /// A configcrate as it was asked for: present, or retracted.
    pub(super) fn form(&self, composed: &Composed) -> Option<&Configcrate> {
        if composed.is_absent() {
            return self.retracted.get(composed.name.as_str());
        }
        self.configcrates.get(&composed.name)
    }

    /// A configcrate that is, or declares, what `name` refers to; keys of instances are passed over.
    pub(super) fn holder(&self, name: &str) -> Option<&str> {
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
        let by_resource = self.by_resource.get(name).and_then(|c| c.first()).copied();
        by_resource
            .or_else(|| self.configcrates.get(name).map(|c| c.name.value.as_str()))
            .or_else(|| self.patterns.iter().find(|(pattern, _)| may_be(pattern, name)).map(|(_, c)| *c))
    }

    /// Whether a resource of `configcrate` comes to that name for some element.
    pub(super) fn may_make(&self, configcrate: &str, name: &str) -> bool {
        let name = without_key(name.rsplit('/').next().unwrap_or(name));
        self.patterns.iter().any(|(pattern, by)| *by == configcrate && may_be(pattern, name))
    }
}

/// The name before the key of an instance.
pub(super) fn without_key(name: &str) -> &str {
    name.strip_suffix(']').and_then(|n| n.split_once('[')).map_or(name, |(name, _)| name)
}
