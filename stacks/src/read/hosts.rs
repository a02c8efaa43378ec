//! Hostcrates, common.vgo and environments.vgo: who carries what to which hosts.
//!
//! Nothing is looked up here: a name that does not exist is still only a name.

use std::collections::BTreeMap;

use vigo_base::Target;

use crate::diagnostic::Diagnostic;
use crate::parsed::{Common, Environment, MatchBlock, Name, Ref};
use crate::rules;
use crate::yaml::{Data, Node};

use super::Reader;
use super::keys::{Entries, Keys};

/// Configcrates that a match block may list before a role is asked for.
const INLINE_MAX: usize = 4;
/// Bytes of the name of an environment.
const NAME_BYTES: usize = 128;

pub(super) const HOSTCRATE: Keys =
    Keys { what: "a hostcrate", known: &["envoys"], later: &[], told: &["compliance", "waivers"] };
pub(super) const MATCH_BLOCK: Keys = Keys {
    what: "a match block",
    known: &[
        "match",
        "environment",
        "roles",
        "role",
        "configcrates",
        "usercrates",
        "exclude_configcrates",
        "tags",
        "vars",
    ],
    later: &[],
    told: &[],
};
pub(super) const COMMON: Keys = Keys {
    what: "common.vgo",
    known: &["configcrates", "usercrates", "roles", "vars", "exclude_configcrates"],
    later: &[],
    told: &["compliance", "waivers"],
};
pub(super) const ENVIRONMENTS: Keys =
    Keys { what: "environments.vgo", known: &["env"], later: &[], told: &["compliance", "waivers"] };
pub(super) const ENVIRONMENT: Keys = Keys {
    what: "an environment",
    known: &["configcrates", "usercrates", "vars", "exclude_configcrates"],
    later: &[],
    told: &["roles", "role"],
};

impl Reader<'_> {
    /// A `common.vgo` in the directory `dir`.
    pub(super) fn common(&mut self, node: &Node, dir: String) -> Option<Common> {
        if let Data::Map(entries) = &node.data
            && let Some(entry) = entries.iter().find(|e| matches!(e.key.as_str(), "match" | "envoys"))
        {
            let message = "common.vgo is inherited and matches no hosts itself";
            let help = "put the match block into another .vgo file of the directory";
            self.sink.push(Diagnostic::error(rules::FILE_PLACE, &entry.key_site, message).help(help));
            return None;
        }
        let map = self.map(node, &COMMON)?;
        Some(Common {
            dir,
            path: self.path.clone(),
            configcrates: self.refs(&map, "configcrates"),
            usercrates: self.refs(&map, "usercrates"),
            roles: self.refs(&map, "roles"),
            vars: map.get("vars").map(|(_, value)| self.vars(value)).unwrap_or_default(),
            exclude: self.exclusions(&map),
        })
    }

    /// An `environments.vgo`: what it gives to each environment (E16, E17).
    pub(super) fn environments(&mut self, node: &Node) -> BTreeMap<String, Environment> {
        let Some(map) = self.map(node, &ENVIRONMENTS) else { return BTreeMap::new() };
        let Some((_, list)) = map.get("env") else {
            let help = "write env: {production: {vars: …, configcrates: […]}}";
            self.missing(&node.site, ENVIRONMENTS.what, "env", help);
            return BTreeMap::new();
        };
        let Data::Map(entries) = &list.data else {
            if !list.is_null() {
                let diagnostic =
                    Diagnostic::error(rules::VALUE_KIND, &list.site, "`env:` is a map of environments");
                self.sink.push(diagnostic.found(&list.shown()).expected("names, each with what it gives"));
            }
            return BTreeMap::new();
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
            if entry.key.is_empty() || entry.key.len() > NAME_BYTES || !entry.key.chars().all(plain) {
                let message = "this cannot be the name of an environment";
                let diagnostic = Diagnostic::error(rules::NAME_INVALID, &entry.key_site, message);
                let help = "letters, digits, spaces, `.`, `-` and `_` are allowed";
                self.sink.push(diagnostic.found(&entry.key).help(help));
                continue;
            }
            let name = Name { value: entry.key.clone(), site: entry.key_site.clone() };
            if let Some(environment) = self.one_environment(&entry.value, name) {
                found.insert(entry.key.clone(), environment);
            }
        }
        found
    }

    fn one_environment(&mut self, node: &Node, name: Name) -> Option<Environment> {
        if let Data::Map(entries) = &node.data
            && let Some(entry) = entries.iter().find(|e| matches!(e.key.as_str(), "roles" | "role"))
        {
            let message = "an environment gives configcrates, usercrates and variables, not roles";
            let help = "give the role in common.vgo or the match block, or list its configcrates here";
            self.sink.push(Diagnostic::error(rules::KEY_UNKNOWN, &entry.key_site, message).help(help));
        }
        let map = self.map(node, &ENVIRONMENT)?;
        Some(Environment {
            path: self.path.clone(),
            name,
            configcrates: self.refs(&map, "configcrates"),
            usercrates: self.refs(&map, "usercrates"),
            vars: map.get("vars").map(|(_, value)| self.vars(value)).unwrap_or_default(),
            exclude: self.exclusions(&map),
        })
    }

    fn refs(&mut self, map: &Entries<'_>, key: &str) -> Vec<Ref> {
        match map.get(key) {
            Some((_, value)) if key == "roles" => self.role_refs(value),
            Some((_, value)) if key == "usercrates" => self.usercrate_refs(value),
            Some((_, value)) => self.configcrate_refs(value),
            None => Vec::new(),
        }
    }

    fn exclusions(&mut self, map: &Entries<'_>) -> Vec<Name> {
        map.get("exclude_configcrates")
            .map(|(_, value)| self.names(value, "a configcrate"))
            .unwrap_or_default()
    }

    /// Any other .vgo file outside the libraries.
    pub(super) fn hostcrate(&mut self, node: &Node, dir: &str) -> Vec<MatchBlock> {
        if let Data::Map(entries) = &node.data
            && !entries.iter().any(|e| e.key == "envoys")
            && let Some(entry) =
                entries.iter().find(|e| matches!(e.key.as_str(), "resources" | "name" | "roles" | "env"))
        {
            let (message, help) = match entry.key.as_str() {
                "roles" => ("roles live in roles.vgo at the root of the tree", "move them there"),
                "env" => ("environments are read from files named environments.vgo only", "rename the file"),
                _ => ("a configcrate lies below configcrates/", "move the file there"),
            };
            self.sink.push(Diagnostic::error(rules::FILE_PLACE, &entry.key_site, message).help(help));
            return Vec::new();
        }
        let Some(map) = self.map(node, &HOSTCRATE) else { return Vec::new() };
        let Some((_, list)) = map.get("envoys") else {
            let help = "list match blocks: envoys: [{match: \"web*\", roles: [web]}]";
            self.missing(&node.site, HOSTCRATE.what, "envoys", help);
            return Vec::new();
        };
        let items = self.list(list, "match blocks");
        items.iter().filter_map(|item| self.match_block(item, dir)).collect()
    }

    fn match_block(&mut self, node: &Node, dir: &str) -> Option<MatchBlock> {
        let map = self.map(node, &MATCH_BLOCK)?;
        let pattern = match map.get("match") {
            Some((_, value)) => self.pattern(value),
            None => {
                self.missing(
                    &node.site,
                    MATCH_BLOCK.what,
                    "match",
                    "a host name or a glob, like \"web*.example.com\"",
                );
                None
            }
        };
        let mut roles = self.refs(&map, "roles");
        if let Some((site, value)) = map.get("role") {
            if map.contains_key("roles") {
                let message = "`role` and `roles` exclude each other";
                let help = "keep `roles:`, a list";
                self.sink.push(Diagnostic::error(rules::ATTRIBUTES_EXCLUSIVE, site, message).help(help));
            }
            roles.extend(self.name(value, "a role").map(Ref::bare));
        }
        let configcrates = self.refs(&map, "configcrates");
        if let Some((site, _)) = map.get("configcrates")
            && configcrates.len() > INLINE_MAX
        {
            let message = format!("{} configcrates in one match block", configcrates.len());
            let help = "make a role of them in roles.vgo";
            self.sink.push(Diagnostic::warning(rules::INLINE_CONFIGCRATES, site, message).help(help));
        }
        let mut tags: Vec<Name> = Vec::new();
        if let Some((_, value)) = map.get("tags") {
            for tag in self.names(value, "a tag") {
                if tag.value.contains(' ') {
                    let message = "a tag holds no spaces";
                    let diagnostic = Diagnostic::error(rules::NAME_INVALID, &tag.site, message);
                    self.sink.push(diagnostic.found(&tag.value).help("use `-`"));
                } else if !tags.iter().any(|known| known.value == tag.value) {
                    tags.push(tag);
                }
            }
        }
        Some(MatchBlock {
            dir: dir.to_string(),
            pattern: pattern?,
            environment: map.get("environment").and_then(|(_, value)| self.name(value, "an environment")),
            roles,
            configcrates,
            usercrates: self.refs(&map, "usercrates"),
            exclude: self.exclusions(&map),
            tags,
            vars: map.get("vars").map(|(_, value)| self.vars(value)).unwrap_or_default(),
        })
    }

    fn pattern(&mut self, node: &Node) -> Option<Name> {
        let text = self.text(node, "a host name or a glob")?;
        let help = match text.parse::<Target>() {
            Ok(Target::Host(_) | Target::HostGlob(_)) => {
                let odd =
                    text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '*' | '?')));
                match odd {
                    None if text.len() <= 253 => return Some(Name { value: text, site: node.site.clone() }),
                    None => "a host name has at most 253 characters".to_string(),
                    Some(_) => {
                        "host names have letters, digits, `-` and `.`; globs have `*` and `?` too".to_string()
                    }
                }
            }
            Ok(_) => {
                "`match:` sees the host's name only; tags are given by the match block, not asked for".into()
            }
            Err(error) => error.why.to_string(),
        };
        let diagnostic = Diagnostic::error(rules::MATCH_INVALID, &node.site, "this matches no host");
        self.sink.push(diagnostic.found(&text).expected("a host name or a glob").help(help));
        None
    }
}
