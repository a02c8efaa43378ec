//! `compliance.vgo`, `waivers.vgo` and the `compliance:` of configcrates; and these keys where they do not belong.
//!
//! The two files are known by their names alone, so a key in the wrong file, or a file of the wrong name, would be
//! passed over in silence: both are refused with the place where it belongs (D25).

use std::collections::{BTreeMap, BTreeSet};

use crate::compliance::{FRAMEWORKS, Waiver, is_framework};
use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{ClaimLine, Name, Tags};
use crate::rules;
use crate::yaml::{Data, Node};

use super::Reader;
use super::keys::Keys;

/// Bytes of a control's id.
const CONTROL_BYTES: usize = 64;
/// Bytes of a reason, and of who approved it.
const REASON_BYTES: usize = 2_000;
/// Controls that one file may claim or waive.
const CONTROLS_MAX: usize = 2_000;

pub(super) const CLAIMS: Keys =
    Keys { what: "compliance.vgo", known: &["compliance"], later: &[], told: &["waivers"] };
pub(super) const WAIVERS: Keys =
    Keys { what: "waivers.vgo", known: &["waivers"], later: &[], told: &["compliance"] };
pub(super) const WAIVER: Keys =
    Keys { what: "a waiver", known: &["control", "reason", "approved_by", "expires"], later: &[], told: &[] };

impl Reader<'_> {
    /// A `compliance.vgo`: frameworks and the controls that everything below claims.
    pub(super) fn claims(&mut self, node: &Node) -> Vec<ClaimLine> {
        let Some(map) = self.map(node, &CLAIMS) else { return Vec::new() };
        let Some((_, frameworks)) = map.get("compliance") else {
            if !holds(node, "waivers") {
                let help = "list controls by framework: compliance: {nist-800-53: [AU-8]}";
                self.missing(&node.site, CLAIMS.what, "compliance", help);
            }
            return Vec::new();
        };
        let (mut lines, mut seen) = (Vec::new(), BTreeSet::new());
        for (framework, site, value) in self.frameworks(frameworks, "compliance") {
            for item in self.list(value, "control ids") {
                let Some(control) = self.control(item) else { continue };
                let again = !seen.insert((framework, control.value.clone()));
                if lines.len() >= CONTROLS_MAX {
                    let message = format!("one file claims at most {CONTROLS_MAX} controls");
                    self.sink.push(Diagnostic::error(rules::POLICY_SIZE, site, message));
                    return lines;
                }
                if !again {
                    lines.push(ClaimLine { framework: framework.to_string(), control });
                }
            }
        }
        lines
    }

    /// A `waivers.vgo`: what is accepted as not satisfied on the hosts of its directory.
    pub(super) fn waivers(&mut self, node: &Node) -> Vec<Waiver> {
        let Some(map) = self.map(node, &WAIVERS) else { return Vec::new() };
        let Some((_, frameworks)) = map.get("waivers") else {
            if !holds(node, "compliance") {
                let help = "list waivers by framework: waivers: {cis-ubuntu: [{control: …, reason: …, approved_by: …}]}";
                self.missing(&node.site, WAIVERS.what, "waivers", help);
            }
            return Vec::new();
        };
        let mut waivers = Vec::new();
        for (framework, site, value) in self.frameworks(frameworks, "waivers") {
            let items = self.list(value, "waivers");
            if waivers.len() + items.len() > CONTROLS_MAX {
                let message = format!("one file waives at most {CONTROLS_MAX} controls");
                self.sink.push(Diagnostic::error(rules::POLICY_SIZE, site, message));
                return waivers;
            }
            waivers.extend(items.iter().filter_map(|item| self.waiver(item, framework)));
        }
        waivers
    }

    /// The frameworks of a map, in the order of the file.
    fn frameworks<'n>(&mut self, node: &'n Node, key: &str) -> Vec<(&'n str, &'n Site, &'n Node)> {
        let Data::Map(entries) = &node.data else {
            let message = format!("`{key}:` is a map of frameworks");
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, message);
            self.sink.push(diagnostic.found(&node.shown()).expected("frameworks, each with a list"));
            return Vec::new();
        };
        for entry in entries.iter().filter(|e| !is_framework(&e.key)) {
            let known = FRAMEWORKS.map(|(name, _)| name);
            let message = format!("there is no framework {}", entry.key);
            let diagnostic = Diagnostic::error(rules::FRAMEWORK_UNKNOWN, &entry.key_site, message);
            self.sink
                .push(diagnostic.near(&entry.key, known).help(format!("known are {}", known.join(", "))));
        }
        let known = entries.iter().filter(|e| is_framework(&e.key));
        known.map(|e| (e.key.as_str(), &e.key_site, &e.value)).collect()
    }

    /// The id of a control: what stands in the file, digit for digit.
    fn control(&mut self, node: &Node) -> Option<Name> {
        let text = self.text(node, "the id of a control, in quotes")?;
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '(' | ')' | '/' | ' ');
        if text.is_empty() || text.len() > CONTROL_BYTES || !text.chars().all(plain) || text.trim() != text {
            let diagnostic =
                Diagnostic::error(rules::CONTROL_INVALID, &node.site, "this cannot be the id of a control");
            let help =
                "ids have letters, digits, `.`, `-`, `/` and parentheses, like \"AC-6(1)\", at most 64";
            self.sink.push(diagnostic.found(&text).help(help));
            return None;
        }
        Some(Name { value: text, site: node.site.clone() })
    }

    fn waiver(&mut self, node: &Node, framework: &str) -> Option<Waiver> {
        let map = self.map(node, &WAIVER)?;
        let needed = [
            ("control", "say which control is waived"),
            ("reason", "say why it is not satisfied"),
            ("approved_by", "say who accepts that"),
        ];
        for (key, help) in needed.into_iter().filter(|(key, _)| !map.contains_key(key)) {
            self.missing(&node.site, WAIVER.what, key, help);
        }
        let control = map.get("control").and_then(|(_, value)| self.control(value));
        let reason = map.get("reason").and_then(|(_, value)| self.prose(value, "a reason"));
        let approved_by = map.get("approved_by").and_then(|(_, value)| self.prose(value, "a name"));
        let expires = match map.get("expires") {
            Some((_, value)) => {
                let text = self.text(value, "a day, YYYY-MM-DD")?;
                match text.parse() {
                    Ok(day) => Some(day),
                    Err(why) => {
                        let message = "this is no day on which a waiver could end";
                        let diagnostic = Diagnostic::error(rules::WAIVER_EXPIRES, &value.site, message);
                        let diagnostic = diagnostic.found(&text).expected("a day like 2027-01-31");
                        self.sink.push(diagnostic.help(format!("{why}")));
                        return None;
                    }
                }
            }
            None => None,
        };
        Some(Waiver {
            framework: framework.to_string(),
            control: control?.value,
            reason: reason?,
            approved_by: approved_by?,
            expires,
            origin: node.site.to_string(),
        })
    }

    /// A text for people that says something.
    fn prose(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() || text.len() > REASON_BYTES {
            let message = format!("{what} has 1 to {REASON_BYTES} bytes");
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, message);
            self.sink.push(diagnostic.found(&node.shown()));
            return None;
        }
        Some(text)
    }

    /// The `compliance:` of a configcrate: tags, not yet looked up (D5).
    pub(super) fn tags(&mut self, node: &Node) -> Tags {
        let Data::Map(entries) = &node.data else {
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "`compliance:` is a map");
            let diagnostic = diagnostic.found(&node.shown()).expected("the keys provides, bundle");
            self.sink.push(diagnostic.help("write {provides: [time-sync]}"));
            return Tags::default();
        };
        let mut tags = Tags::default();
        for entry in entries {
            match entry.key.as_str() {
                "provides" => tags.provides = self.names(&entry.value, "a provision"),
                "bundle" => tags.bundle = self.names(&entry.value, "a bundle"),
                key => self.sink.push(refused_key(key, &entry.key_site, &entry.value)),
            }
        }
        tags
    }

    /// Reports `waivers:` and `compliance:` at the top of a file that may not have them. True if the file holds
    /// nothing else, so that there is nothing left to read.
    pub(super) fn stray(&mut self, node: &Node) -> bool {
        let Data::Map(entries) = &node.data else { return false };
        let (dir, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let beside = |name: &str| if dir.is_empty() { name.to_string() } else { format!("{dir}/{name}") };
        let keys: BTreeMap<&str, &Site> = entries.iter().map(|e| (e.key.as_str(), &e.key_site)).collect();
        let mut strays = 0;
        if let Some(site) = keys.get("waivers").filter(|_| file != "waivers.vgo") {
            let library =
                ["configcrates", "usercrates"].iter().any(|d| dir.split('/').any(|part| part == *d));
            let to = if library {
                "waivers.vgo in the directory of the hosts, or at the root".into()
            } else {
                beside("waivers.vgo")
            };
            let (rule, message, help) = if file == "compliance.vgo" {
                (
                    rules::COMPLIANCE_MIXED_KEYS,
                    "compliance.vgo holds claims, not waivers",
                    format!("move `waivers:` to {to}"),
                )
            } else {
                let how =
                    if entries.len() == 1 && !library { "rename the file to" } else { "move `waivers:` to" };
                (
                    rules::WAIVERS_STRAY,
                    "waivers are read from files named waivers.vgo only",
                    format!("{how} {to}"),
                )
            };
            self.sink.push(Diagnostic::error(rule, site, message).help(help));
            strays += 1;
        }
        let crate_keys = ["resources", "name", "vars"];
        let of_crate = self.in_library() && crate_keys.iter().any(|key| keys.contains_key(key));
        if let Some(site) = keys.get("compliance").filter(|_| file != "compliance.vgo" && !of_crate) {
            let to = beside("compliance.vgo");
            let (rule, message, help) = if file == "waivers.vgo" {
                (
                    rules::COMPLIANCE_MIXED_KEYS,
                    "waivers.vgo holds waivers, not claims",
                    format!("move `compliance:` to {to}"),
                )
            } else {
                let how = if entries.len() == 1 { "rename the file to" } else { "move `compliance:` to" };
                (
                    rules::CLAIMS_STRAY,
                    "claims of a directory are read from files named compliance.vgo only",
                    format!("{how} {to}"),
                )
            };
            self.sink.push(Diagnostic::error(rule, site, message).help(help));
            strays += 1;
        }
        strays > 0 && strays == entries.len()
    }

    /// Whether the file lies where configcrates or usercrates lie.
    fn in_library(&self) -> bool {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        parts.pop();
        parts.first() == Some(&"configcrates") || parts.contains(&"usercrates")
    }
}

fn holds(node: &Node, key: &str) -> bool {
    matches!(&node.data, Data::Map(entries) if entries.iter().any(|e| e.key == key))
}

/// A key of `compliance:` that is neither `provides` nor `bundle`.
fn refused_key(key: &str, site: &Site, value: &Node) -> Diagnostic {
    let near = vigo_base::text::nearest(key, ["provides", "bundle"]);
    if is_framework(key) || (near.is_none() && matches!(value.data, Data::List(_) | Data::Map(_))) {
        let message = format!("a configcrate no longer lists the controls of a framework ({key}) itself");
        let help = "name what it does under `provides:` or the section it follows under `bundle:` (see \
                    `vigocli compliance provisions` and `bundles`), or move the list to a compliance.vgo in its directory";
        return Diagnostic::error(rules::CONFIGCRATE_COMPLIANCE_KEY_RETIRED, site, message).help(help);
    }
    Diagnostic::error(rules::KEY_UNKNOWN, site, format!("`compliance:` has no key `{key}`"))
        .near(key, ["provides", "bundle"])
        .help("known are provides, bundle")
}
