//! Hostcrates and common.vgo.

use vigo_base::Target;

use crate::diagnostic::Diagnostic;
use crate::parsed::{Common, MatchBlock, Name, Ref};
use crate::rules;
use crate::yaml::{Data, Node};

use super::Reader;
use super::keys::{Entries, Keys};

/// Configcrates that a match block may list before a role is asked for.
const INLINE_MAX: usize = 4;

const HOSTCRATE: Keys =
    Keys { what: "a hostcrate", known: &["envoys"], later: &["compliance", "waivers", "env"] };
const MATCH_BLOCK: Keys = Keys {
    what: "a match block",
    known: &["match", "roles", "role", "configcrates", "exclude_configcrates", "tags", "vars"],
    later: &["environment", "usercrates"],
};
const COMMON: Keys = Keys {
    what: "common.vgo",
    known: &["configcrates", "roles", "vars", "exclude_configcrates"],
    later: &["usercrates", "compliance", "waivers"],
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
            roles: self.refs(&map, "roles"),
            vars: map.get("vars").map(|(_, value)| self.vars(value)).unwrap_or_default(),
            exclude: self.exclusions(&map),
        })
    }

    fn refs(&mut self, map: &Entries<'_>, key: &str) -> Vec<Ref> {
        match map.get(key) {
            Some((_, value)) if key == "roles" => self.role_refs(value),
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
                entries.iter().find(|e| matches!(e.key.as_str(), "resources" | "name" | "roles"))
        {
            let (message, help) = match entry.key.as_str() {
                "roles" => ("roles live in roles.vgo at the root of the tree", "move them there"),
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
            roles.extend(self.name(value, "a role").map(|name| Ref { name, when: None }));
        }
        let configcrates = self.refs(&map, "configcrates");
        if let Some((site, _)) = map.get("configcrates")
            && configcrates.len() > INLINE_MAX
        {
            let message = format!("{} configcrates in one match block", configcrates.len());
            let help = "make a role of them in roles.vgo";
            self.sink.push(Diagnostic::warning(rules::INLINE_CONFIGCRATES, site, message).help(help));
        }
        let mut tags = Vec::new();
        if let Some((_, value)) = map.get("tags") {
            for tag in self.names(value, "a tag") {
                if tag.value.contains(' ') {
                    let message = "a tag holds no spaces";
                    let diagnostic = Diagnostic::error(rules::NAME_INVALID, &tag.site, message);
                    self.sink.push(diagnostic.found(&tag.value).help("use `-`"));
                } else if !tags.contains(&tag.value) {
                    tags.push(tag.value);
                }
            }
        }
        Some(MatchBlock {
            dir: dir.to_string(),
            pattern: pattern?,
            roles,
            configcrates,
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
