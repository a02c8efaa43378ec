//! Configcrates, usercrates and roles.

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Case, Configcrate, Foreach, Name, Ref, Role, Spanned};
use crate::rules;
use crate::schema;
use crate::yaml::{Data, Node};

use super::Reader;
use super::keys::{Entries, Keys};
use super::resource::{Defaults, Resources};

const CONFIGCRATE: Keys =
    Keys { what: "a configcrate", known: CRATE_KEYS, later: &[], told: &["provides", "bundle", "waivers"] };
const USERCRATE: Keys = Keys { what: "a usercrate", ..CONFIGCRATE };
pub(super) const CRATE_KEYS: &[&str] =
    &["name", "vars", "defaults", "depends_on", "before", "compliance", "resources"];
pub(super) const ROLES: Keys =
    Keys { what: "roles.vgo", known: &["roles"], later: &[], told: &["waivers", "compliance"] };
pub(super) const ROLE: Keys = Keys {
    what: "a role",
    known: &["name", "configcrates", "usercrates", "includes", "case", "vars", "when"],
    later: &[],
    told: &[],
};
pub(super) const CASE: Keys = Keys {
    what: "a branch of `case:`",
    known: &["when", "configcrates", "usercrates"],
    later: &[],
    told: &[],
};
pub(super) const CONFIGCRATE_REF: Keys = Keys {
    what: "a mention of a configcrate",
    known: &["name", "when", "state", "foreach", "key"],
    later: &[],
    told: &[],
};
pub(super) const USERCRATE_REF: Keys =
    Keys { what: "a mention of a usercrate", known: &["name", "when"], later: &[], told: &["state"] };
pub(super) const ROLE_REF: Keys =
    Keys { what: "a mention of a role", known: &["name", "when"], later: &[], told: &["state"] };

impl Reader<'_> {
    /// A file below `configcrates/`, or below a `usercrates/`.
    pub(super) fn configcrate(&mut self, node: &Node, user: bool) -> Option<Configcrate> {
        let keys = if user { &USERCRATE } else { &CONFIGCRATE };
        if let Data::Map(entries) = &node.data
            && let Some(entry) = entries.iter().find(|e| e.key == "envoys")
        {
            let library = if user { "usercrates/" } else { "configcrates/" };
            let message = format!("a hostcrate does not lie below {library}");
            let help =
                format!("move the file out of {library}, beside roles.vgo or into a directory of your own");
            self.sink.push(Diagnostic::error(rules::FILE_PLACE, &entry.key_site, message).help(help));
            return None;
        }
        self.retired_tags(node);
        let map = self.map(node, keys)?;
        let name = match map.get("name") {
            Some((_, value)) => self.name(value, keys.what),
            None if user => self.stem(node),
            None => {
                let help = "it is the name by which roles and hosts ask for it";
                self.missing(&node.site, keys.what, "name", help);
                None
            }
        };
        if user {
            self.usercrate_shape(node);
        }
        let defaults = map.get("defaults").map(|(_, value)| self.defaults(value)).unwrap_or_default();
        let resources = match map.get("resources") {
            Some((_, value)) => self.resources(value, &defaults),
            None => {
                self.missing(&node.site, CONFIGCRATE.what, "resources", "list what it manages");
                Resources::default()
            }
        };
        let (resources, lost) = (resources.read, resources.lost);
        let compliance = map.get("compliance").map(|(_, value)| self.tags(value)).unwrap_or_default();
        let (vars, tests) =
            map.get("vars").map(|(_, value)| self.configcrate_vars(value)).unwrap_or_default();
        let mut names =
            |key: &str| map.get(key).map(|(_, value)| self.names(value, "a configcrate")).unwrap_or_default();
        let (depends_on, before) = (names("depends_on"), names("before"));
        Some(Configcrate {
            name: name?,
            path: self.path.clone(),
            user,
            compliance,
            vars,
            tests,
            depends_on,
            before,
            resources,
            lost,
        })
    }

    /// A usercrate that gives itself no name has that of its file (F30).
    fn stem(&mut self, node: &Node) -> Option<Name> {
        let stem = super::stem_of(&self.path).to_string();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if stem.is_empty() || !stem.chars().all(plain) {
            let message = "the file's name cannot be the name of a usercrate";
            let diagnostic = Diagnostic::error(rules::NAME_INVALID, &node.site, message);
            self.sink
                .push(diagnostic.found(&stem).help("give it a `name:` of letters, digits, `.`, `-` and `_`"));
            return None;
        }
        Some(Name { value: stem, site: Site::start(&self.path) })
    }

    /// A usercrate is one person's: exactly one user, counted as it is written (F27, D6).
    fn usercrate_shape(&mut self, node: &Node) {
        let mut users = Vec::new();
        if let Data::Map(entries) = &node.data
            && let Some(resources) = entries.iter().find(|e| e.key == "resources")
        {
            find_users(&resources.value, &mut users);
        }
        if users.len() != 1 {
            let message =
                format!("usercrate must declare exactly one `type: user` resource — found {}", users.len());
            let site = users.get(1).copied().unwrap_or(&node.site);
            let help = "Move it to configcrates/ or restructure: one file for each person, and lists of people \
                        under `usercrates:` of a role";
            self.sink.push(Diagnostic::error(rules::USERCRATE_SHAPE, site, message).help(help));
        }
    }

    /// `provides:` and `bundle:` at the top of a configcrate (B21).
    fn retired_tags(&mut self, node: &Node) {
        let Data::Map(entries) = &node.data else { return };
        for entry in entries.iter().filter(|e| matches!(e.key.as_str(), "provides" | "bundle")) {
            let message = format!("`{}` stands under `compliance:` now", entry.key);
            let help = format!("write compliance: {{{}: […]}}", entry.key);
            let rule = rules::CONFIGCRATE_TOP_LEVEL_PROVIDES_BUNDLE;
            self.sink.push(Diagnostic::error(rule, &entry.key_site, message).help(help));
        }
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
                let Some(map) = self.map(node, &ROLES) else {
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
        let usercrates =
            map.get("usercrates").map(|(_, value)| self.usercrate_refs(value)).unwrap_or_default();
        let includes = map.get("includes").map(|(_, value)| self.names(value, "a role")).unwrap_or_default();
        let cases = map.get("case").map(|(_, value)| self.cases(value)).unwrap_or_default();
        if !["configcrates", "usercrates", "includes", "case"].iter().any(|key| map.contains_key(key)) {
            let help = "list the configcrates it stands for, or `usercrates:`, `case:` or `includes:`";
            self.missing(&node.site, ROLE.what, "configcrates", help);
        }
        Some(Role {
            configcrates,
            usercrates,
            cases,
            includes,
            vars: map.get("vars").map(|(_, value)| self.vars(value)).unwrap_or_default(),
            when: map.get("when").and_then(|(_, value)| self.ref_condition(value)),
            name: name?,
        })
    }

    /// `case:` of a role: every branch whose condition holds contributes (F11).
    fn cases(&mut self, node: &Node) -> Vec<Case> {
        let mut cases = Vec::new();
        for item in self.list(node, "branches: {when: …, configcrates: […]}") {
            let Some(map) = self.map(item, &CASE) else { continue };
            let when = match map.get("when") {
                Some((_, value)) => self.ref_condition(value),
                None => {
                    let help = "what always applies stands under `configcrates:` of the role";
                    self.missing(&item.site, CASE.what, "when", help);
                    None
                }
            };
            let configcrates =
                map.get("configcrates").map(|(_, value)| self.configcrate_refs(value)).unwrap_or_default();
            let usercrates =
                map.get("usercrates").map(|(_, value)| self.usercrate_refs(value)).unwrap_or_default();
            if !map.contains_key("configcrates") && !map.contains_key("usercrates") {
                let help = "list what the role stands for where the condition holds";
                self.missing(&item.site, CASE.what, "configcrates", help);
            }
            cases.extend(when.map(|when| Case { when, configcrates, usercrates }));
        }
        cases
    }

    /// `configcrates:` of a role, a match block, a common.vgo or an environment.
    pub(super) fn configcrate_refs(&mut self, node: &Node) -> Vec<Ref> {
        let items = self.list(node, "configcrates");
        items.iter().filter_map(|item| self.reference(item, "a configcrate", &CONFIGCRATE_REF)).collect()
    }

    /// `usercrates:` of the same four.
    pub(super) fn usercrate_refs(&mut self, node: &Node) -> Vec<Ref> {
        let items = self.list(node, "usercrates");
        items.iter().filter_map(|item| self.reference(item, "a usercrate", &USERCRATE_REF)).collect()
    }

    /// `roles:` of a match block or a common.vgo.
    pub(super) fn role_refs(&mut self, node: &Node) -> Vec<Ref> {
        let items = self.list(node, "roles");
        items.iter().filter_map(|item| self.reference(item, "a role", &ROLE_REF)).collect()
    }

    fn reference(&mut self, node: &Node, of: &str, keys: &Keys) -> Option<Ref> {
        let Data::Map(entries) = &node.data else {
            return Some(Ref::bare(self.name(node, of)?));
        };
        if keys.told.contains(&"state")
            && let Some(entry) = entries.iter().find(|e| e.key == "state")
        {
            let message = format!("`state:` belongs to mentions of configcrates, not of {}s", &of[2..]);
            let help = match of {
                "a role" => "set it on the configcrates of the role",
                _ => {
                    "to remove somebody, say `state: absent` on the user in the usercrate and publish; \
                      take the mention out once every envoy has converged"
                }
            };
            self.sink.push(Diagnostic::error(rules::REFERENCE_STATE, &entry.key_site, message).help(help));
        }
        let map = self.map(node, keys)?;
        let Some((_, name)) = map.get("name") else {
            self.missing(&node.site, keys.what, "name", "write {name: …, when: …}, or the name alone");
            return None;
        };
        let name = self.name(name, of);
        let when = map.get("when").and_then(|(_, value)| self.ref_condition(value));
        let absent = map.get("state").and_then(|(_, value)| self.ref_state(value));
        let foreach = self.instances(&map);
        Some(Ref { name: name?, when, absent, foreach })
    }

    /// `state:` of a mention: whether it is absent.
    fn ref_state(&mut self, node: &Node) -> Option<Spanned<bool>> {
        let text = self.text(node, "present or absent")?;
        if let "present" | "absent" = text.as_str() {
            return Some(Spanned { value: text == "absent", site: node.site.clone() });
        }
        let message = "a mention of a configcrate has no such state";
        let diagnostic = Diagnostic::error(rules::STATE_UNKNOWN, &node.site, message).found(&text);
        let diagnostic = diagnostic.expected("present or absent").near(&text, ["present", "absent"]);
        self.sink.push(
            diagnostic.help("`absent` retracts what the configcrate manages, `present` is the default"),
        );
        None
    }

    /// `foreach:` and `key:` of a mention of a configcrate (G14, G15).
    fn instances(&mut self, map: &Entries<'_>) -> Option<Foreach> {
        let key = map.get("key").and_then(|(_, value)| self.variable(value, "key"));
        match (map.get("foreach"), map.get("key")) {
            (Some((_, value)), _) => Some(Foreach { list: self.variable(value, "foreach")?, key }),
            (None, Some((site, _))) => {
                let message = "`key` belongs to `foreach`";
                let help = "add `foreach:` with the list variable, or remove `key:`";
                self.sink.push(Diagnostic::error(rules::FOREACH_KEY, site, message).help(help));
                None
            }
            (None, None) => None,
        }
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

/// The places of `type: user` in a list of resources, blocks of resources included.
fn find_users<'n>(node: &'n Node, users: &mut Vec<&'n Site>) {
    let Data::List(items) = &node.data else { return };
    for item in items {
        let Data::Map(entries) = &item.data else { continue };
        for entry in entries {
            match (&entry.value.data, entry.key.as_str()) {
                (Data::Scalar(scalar), "type") if scalar.text == "user" => users.push(&entry.key_site),
                (Data::Map(inner), "conditional_block") => {
                    let resources = inner.iter().filter(|e| e.key == "resources");
                    resources.for_each(|e| find_users(&e.value, users));
                }
                _ => {}
            }
        }
    }
}
