//! Configcrates and roles.

use crate::diagnostic::Diagnostic;
use crate::parsed::{Configcrate, Ref, Resource, Role, Spanned};
use crate::rules;
use crate::schema;
use crate::yaml::{Data, Node};

use super::Reader;
use super::keys::Keys;
use super::resource::Defaults;

/// Resources that one configcrate may have.
const RESOURCES_MAX: usize = 5_000;

const CONFIGCRATE: Keys = Keys {
    what: "a configcrate",
    known: &["name", "vars", "defaults", "depends_on", "before", "resources"],
    later: &["compliance", "foreach"],
};
const ROLE: Keys = Keys {
    what: "a role",
    known: &["name", "configcrates", "includes", "vars", "when"],
    later: &["usercrates", "case"],
};
const CONFIGCRATE_REF: Keys = Keys {
    what: "a mention of a configcrate",
    known: &["name", "when"],
    later: &["foreach", "key", "state"],
};
const ROLE_REF: Keys = Keys { what: "a mention of a role", known: &["name", "when"], later: &[] };

impl Reader<'_> {
    /// A file below `configcrates/`.
    pub(super) fn configcrate(&mut self, node: &Node) -> Option<Configcrate> {
        if let Data::Map(entries) = &node.data
            && let Some(entry) = entries.iter().find(|e| e.key == "envoys")
        {
            let message = "a hostcrate does not lie below configcrates/";
            let help = "move the file out of configcrates/, beside roles.vgo or into a directory of your own";
            self.sink.push(Diagnostic::error(rules::FILE_PLACE, &entry.key_site, message).help(help));
            return None;
        }
        let map = self.map(node, &CONFIGCRATE)?;
        let name = match map.get("name") {
            Some((_, value)) => self.name(value, "a configcrate"),
            None => {
                self.missing(
                    &node.site,
                    CONFIGCRATE.what,
                    "name",
                    "it is the name by which roles and hosts ask for it",
                );
                None
            }
        };
        let defaults = map.get("defaults").map(|(_, value)| self.defaults(value)).unwrap_or_default();
        let (mut resources, mut lost): (Vec<Resource>, Vec<String>) = (Vec::new(), Vec::new());
        match map.get("resources") {
            Some((_, value)) => {
                let items = self.list(value, "resources");
                if items.len() > RESOURCES_MAX {
                    let message = format!("a configcrate has at most {RESOURCES_MAX} resources");
                    self.sink.push(Diagnostic::error(rules::POLICY_SIZE, &value.site, message));
                }
                for item in items.iter().take(RESOURCES_MAX) {
                    let Some(resource) = self.resource(item, &defaults) else {
                        lost.extend(name_of(item));
                        continue;
                    };
                    if let Some(first) = resources.iter().find(|r| r.name.value == resource.name.value) {
                        let message = format!("the resource {} is declared twice", resource.name.value);
                        let help = format!("the first is on line {}; rename one", first.name.site.line);
                        let site = &resource.name.site;
                        self.sink.push(Diagnostic::error(rules::NAME_TAKEN, site, message).help(help));
                    } else {
                        resources.push(resource);
                    }
                }
            }
            None => self.missing(&node.site, CONFIGCRATE.what, "resources", "list what it manages"),
        }
        let vars = map.get("vars").map(|(_, value)| self.vars(value)).unwrap_or_default();
        let mut names =
            |key: &str| map.get(key).map(|(_, value)| self.names(value, "a configcrate")).unwrap_or_default();
        let (depends_on, before) = (names("depends_on"), names("before"));
        Some(Configcrate { name: name?, path: self.path.clone(), vars, depends_on, before, resources, lost })
    }

    /// `defaults:`: attributes that at least one type knows.
    fn defaults<'n>(&mut self, node: &'n Node) -> Defaults<'n> {
        let Data::Map(entries) = &node.data else {
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "`defaults:` is a map");
            self.sink.push(diagnostic.found(&node.shown()).expected("attributes and values"));
            return Defaults::new();
        };
        let mut defaults = Defaults::new();
        for entry in entries {
            let key = entry.key.as_str();
            let known = || schema::TYPES.iter().flat_map(|t| t.attributes).map(|a| a.name).chain(["state"]);
            if known().any(|k| k == key) {
                defaults.insert(key, (&entry.key_site, &entry.value));
            } else if schema::COMMON_FIELDS.contains(&key) {
                let message = format!("`{key}` cannot have a default");
                let diagnostic = Diagnostic::error(rules::KEY_UNKNOWN, &entry.key_site, message);
                self.sink.push(diagnostic.help("defaults are for the attributes of resource types"));
            } else {
                let message = format!("no resource type has an attribute `{key}`");
                let diagnostic = Diagnostic::error(rules::KEY_UNKNOWN, &entry.key_site, message);
                self.sink.push(diagnostic.near(key, known()).help("remove it"));
            }
        }
        defaults
    }

    /// `roles.vgo`: a list of roles, the key `roles:`, or one role.
    pub(super) fn roles(&mut self, node: &Node) -> Vec<Role> {
        match &node.data {
            Data::List(items) => items.iter().filter_map(|item| self.role(item)).collect(),
            Data::Map(entries) if entries.iter().any(|e| e.key == "roles") => {
                let Some(map) = self.map(node, &Keys { what: "roles.vgo", known: &["roles"], later: &[] })
                else {
                    return Vec::new();
                };
                let items = map.get("roles").map(|(_, value)| self.list(value, "roles")).unwrap_or_default();
                items.iter().filter_map(|item| self.role(item)).collect()
            }
            Data::Map(_) => self.role(node).into_iter().collect(),
            Data::Scalar(_) => {
                let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "roles.vgo holds roles");
                self.sink.push(diagnostic.found(&node.shown()).expected("a list of roles"));
                Vec::new()
            }
        }
    }

    fn role(&mut self, node: &Node) -> Option<Role> {
        let map = self.map(node, &ROLE)?;
        let name = match map.get("name") {
            Some((_, value)) => self.name(value, "a role"),
            None => {
                self.missing(
                    &node.site,
                    ROLE.what,
                    "name",
                    "it is the name by which match blocks ask for it",
                );
                None
            }
        };
        let configcrates =
            map.get("configcrates").map(|(_, value)| self.configcrate_refs(value)).unwrap_or_default();
        let includes = map.get("includes").map(|(_, value)| self.names(value, "a role")).unwrap_or_default();
        if configcrates.is_empty() && includes.is_empty() && !map.contains_key("configcrates") {
            self.missing(
                &node.site,
                ROLE.what,
                "configcrates",
                "list the configcrates it stands for, or `includes:`",
            );
        }
        Some(Role {
            configcrates,
            includes,
            vars: map.get("vars").map(|(_, value)| self.vars(value)).unwrap_or_default(),
            when: map.get("when").and_then(|(_, value)| self.ref_condition(value)),
            name: name?,
        })
    }

    /// `configcrates:` of a role, a match block or a common.vgo.
    pub(super) fn configcrate_refs(&mut self, node: &Node) -> Vec<Ref> {
        let items = self.list(node, "configcrates");
        items.iter().filter_map(|item| self.reference(item, "a configcrate", &CONFIGCRATE_REF)).collect()
    }

    /// `roles:` of a match block or a common.vgo.
    pub(super) fn role_refs(&mut self, node: &Node) -> Vec<Ref> {
        let items = self.list(node, "roles");
        items.iter().filter_map(|item| self.reference(item, "a role", &ROLE_REF)).collect()
    }

    fn reference(&mut self, node: &Node, of: &str, keys: &Keys) -> Option<Ref> {
        if !matches!(node.data, Data::Map(_)) {
            return Some(Ref { name: self.name(node, of)?, when: None });
        }
        let map = self.map(node, keys)?;
        let Some((_, name)) = map.get("name") else {
            self.missing(&node.site, keys.what, "name", "write {name: …, when: …}, or the name alone");
            return None;
        };
        let name = self.name(name, of);
        let when = map.get("when").and_then(|(_, value)| self.ref_condition(value));
        Some(Ref { name: name?, when })
    }

    /// A condition outside a resource, where nothing can be triggered.
    fn ref_condition(&mut self, node: &Node) -> Option<Spanned<crate::when::Expr>> {
        let condition = self.condition(node)?;
        if condition.value.holds_changed() {
            let message = "`changed` belongs to the condition of a resource";
            let help = "only a resource is triggered, by `notify:` or `subscribes:`";
            self.sink.push(Diagnostic::error(rules::WHEN_CHANGED, &node.site, message).help(help));
            return None;
        }
        Some(condition)
    }
}

/// The name that a map gives itself, right or wrong.
pub(super) fn name_of(node: &Node) -> Option<String> {
    let Data::Map(entries) = &node.data else { return None };
    match &entries.iter().find(|e| e.key == "name")?.value.data {
        Data::Scalar(scalar) => Some(scalar.text.clone()),
        _ => None,
    }
}
