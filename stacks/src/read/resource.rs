//! Resources: their common fields and keys checked against the schema table, defaults merged in.
//!
//! What comes out has only attributes that its type knows; templates are checked but not rendered, lists of `foreach:`
//! not looked up.

use std::collections::BTreeMap;

use vigo_base::text::nearest;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Condition, Name, Resource, Spanned};
use crate::rules;
use crate::schema::{self, Kind, Reversal, Type};
use crate::setting::Setting;
use crate::template;
use crate::when::{Expr, WHEN_BYTES};
use crate::yaml::{Data, Node};

use super::Reader;
use super::attribute::Body;
use super::keys::{Entries, Keys};

/// A `defaults:` entry.
pub(super) type Defaults<'n> = BTreeMap<&'n str, (&'n Site, &'n Node)>;

/// Resources that one configcrate may have, those of its blocks included.
const RESOURCES_MAX: usize = 5_000;
/// Paths of secrets that one resource may watch.
const SECRETS_MAX: usize = 64;

pub(super) const BLOCK: Keys =
    Keys { what: "a conditional_block", known: &["when", "resources"], later: &[], told: &[] };

/// The resources of a configcrate, and the names of those that could not be read.
#[derive(Default)]
pub(super) struct Resources {
    pub read: Vec<Resource>,
    pub lost: Vec<String>,
    lines: BTreeMap<String, usize>,
    /// All that were looked at.
    count: usize,
}

impl Reader<'_> {
    /// `resources:`, the blocks in it flattened (G22).
    pub(super) fn resources(&mut self, node: &Node, defaults: &Defaults<'_>) -> Resources {
        let mut all = Resources::default();
        self.resources_within(node, defaults, None, &mut all);
        all
    }

    /// The resources of one list; `outer` is the condition of the blocks around it. YAML bounds how deep they nest.
    fn resources_within(
        &mut self,
        node: &Node,
        defaults: &Defaults<'_>,
        outer: Option<&Condition>,
        all: &mut Resources,
    ) {
        for item in self.list(node, "resources") {
            all.count += 1;
            if all.count > RESOURCES_MAX {
                if all.count == RESOURCES_MAX + 1 {
                    let message = format!("a configcrate has at most {RESOURCES_MAX} resources");
                    let help = "split it into several configcrates";
                    self.sink.push(Diagnostic::error(rules::POLICY_SIZE, &item.site, message).help(help));
                }
                return;
            }
            if let Data::Map(entries) = &item.data
                && let Some(block) = entries.iter().find(|e| e.key == "conditional_block")
            {
                for other in entries.iter().filter(|e| e.key != "conditional_block") {
                    let message = format!("`{}` stands beside a conditional_block", other.key);
                    let help =
                        "a block is an element of its own; its keys are `when` and `resources`, inside it";
                    let diagnostic = Diagnostic::error(rules::BLOCK_SHAPE, &other.key_site, message);
                    self.sink.push(diagnostic.help(help));
                }
                self.block(&block.value, defaults, outer, all);
                continue;
            }
            let Some(mut resource) = self.resource(item, defaults) else {
                all.lost.extend(super::crates::name_of(item));
                continue;
            };
            resource.when = self.joined(outer, resource.when);
            let (name, site) = (&resource.name.value, &resource.name.site);
            if let Some(line) = all.lines.get(name) {
                let message = format!("the resource {name} is declared twice");
                let help = format!("the first is on line {line}; rename one");
                self.sink.push(Diagnostic::error(rules::NAME_TAKEN, site, message).help(help));
            } else {
                all.lines.insert(name.clone(), site.line);
                all.read.push(resource);
            }
        }
    }

    fn block(
        &mut self,
        node: &Node,
        defaults: &Defaults<'_>,
        outer: Option<&Condition>,
        all: &mut Resources,
    ) {
        let Some(map) = self.map(node, &BLOCK) else { return };
        let when = match map.get("when") {
            Some((_, value)) => self.condition(value),
            None => {
                self.missing(&node.site, BLOCK.what, "when", "it is the condition that its resources share");
                None
            }
        };
        let joined = self.joined(outer, when);
        match map.get("resources") {
            Some((_, value)) => self.resources_within(value, defaults, joined.as_ref(), all),
            None => self.missing(&node.site, BLOCK.what, "resources", "list what the condition is for"),
        }
    }

    /// Both conditions (G22), the outer one first.
    fn joined(&mut self, outer: Option<&Condition>, inner: Option<Condition>) -> Option<Condition> {
        let (outer, inner) = match (outer, inner) {
            (None, inner) => return inner,
            (Some(outer), None) => return Some(outer.clone()),
            (Some(outer), Some(inner)) => (outer, inner),
        };
        let whole = Expr::all([outer.value.clone(), inner.value]);
        if whole.to_string().len() > WHEN_BYTES {
            let message =
                format!("the condition and those of its blocks together have over {WHEN_BYTES} bytes");
            let help = "shorten one of them";
            self.sink.push(Diagnostic::error(rules::WHEN_INVALID, &inner.site, message).help(help));
            return Some(outer.clone());
        }
        Some(Spanned { value: whole, site: inner.site })
    }

    /// One element of `resources:` that is no block.
    fn resource(&mut self, node: &Node, defaults: &Defaults<'_>) -> Option<Resource> {
        let Data::Map(entries) = &node.data else {
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "a resource is a map");
            self.sink
                .push(diagnostic.found(&node.shown()).expected("the keys name, type and those of the type"));
            return None;
        };
        let given: Entries<'_> = entries.iter().map(|e| (e.key.as_str(), (&e.key_site, &e.value))).collect();
        let foreach = given.get("foreach").and_then(|(_, value)| self.variable(value, "foreach"));
        let name = match given.get("name") {
            Some((_, value)) => self.own_name(value, "a resource"),
            None => {
                let help = "give it a name that is unique in its configcrate";
                self.missing(&node.site, "a resource", "name", help);
                None
            }
        };
        let kind = self.kind(node, &given)?;
        self.check_keys(&given, kind);
        let mut body = Body::default();
        self.body(node, &given, defaults, kind, &mut body);
        let case = self.branches(&given, kind, &mut body);
        let (revert, on_revert) = self.reversal(node, &given, kind, &mut body);
        let when = given.get("when").and_then(|(_, value)| self.condition(value));
        let refs = |reader: &mut Self, key: &str| match given.get(key) {
            Some((_, value)) => reader.references(value),
            None => Vec::new(),
        };
        let resource = Resource {
            kind,
            case,
            foreach,
            each: None,
            revert,
            on_revert,
            watch_secret: given.get("watch_secret").map(|(_, v)| self.secrets(v)).unwrap_or_default(),
            when,
            depends_on: refs(self, "depends_on"),
            before: refs(self, "before"),
            notify: refs(self, "notify"),
            subscribes: refs(self, "subscribes"),
            timeout: match given.get("timeout") {
                Some((_, value)) => self.whole(value, 1, schema::TIMEOUT_MAX).unwrap_or(kind.timeout),
                None => kind.timeout,
            },
            attributes: body.settings,
            sites: body.sites,
            templates: body.templates,
            name: name?,
        };
        Some(self.noted(resource))
    }

    /// The resource with its first mention of an element, whose name a copy must have.
    fn noted(&mut self, mut resource: Resource) -> Resource {
        resource.each = crate::expand::first_mention(&resource);
        if let Some(list) = &resource.foreach
            && template::mentions(&resource.name.value).is_empty()
        {
            let message = format!("every copy for an element of {} has the same name", list.value);
            let help = "put the element into the name: \"… {{ .Item }}\", or a field of it";
            self.sink.push(Diagnostic::error(rules::FOREACH_NAME, &resource.name.site, message).help(help));
        }
        resource
    }

    /// The name of a variable.
    pub(super) fn variable(&mut self, node: &Node, key: &str) -> Option<Name> {
        let text = self.text(node, "the name of a variable")?;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !text.is_empty() && text.len() <= 128 && text.chars().all(plain) {
            return Some(Name { value: text, site: node.site.clone() });
        }
        let message = format!("`{key}:` names a variable");
        let help = "write its bare name, like `foreach: users`";
        self.sink.push(Diagnostic::error(rules::FOREACH_LIST, &node.site, message).found(&text).help(help));
        None
    }

    /// A list of references: names, or `configcrate/resource`, with elements of `foreach:` in them or not.
    fn references(&mut self, node: &Node) -> Vec<Name> {
        let items = self.list(node, "names of resources");
        items.iter().filter_map(|item| self.own_name(item, "a reference")).collect()
    }

    /// `watch_secret:`: paths of secrets, without `secret:`.
    fn secrets(&mut self, node: &Node) -> Vec<String> {
        let single = matches!(node.data, Data::Scalar(_)) && !node.is_null();
        let items = if single { std::slice::from_ref(node) } else { self.list(node, "paths of secrets") };
        let mut paths = Vec::new();
        for item in items {
            let Data::Scalar(scalar) = &item.data else {
                let _ = self.text(item, "the path of a secret, like app/token");
                continue;
            };
            let path = scalar.text.strip_prefix("secret:").unwrap_or(&scalar.text);
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
            let sound = (1..=256).contains(&path.len())
                && path.chars().all(plain)
                && path.split('/').all(|part| !part.is_empty() && part != "..");
            if sound && paths.len() < SECRETS_MAX {
                paths.push(path.to_string());
                continue;
            }
            let message = "this cannot be the path of a secret";
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &item.site, message);
            let expected = format!("names joined by `/`, like app/token, at most {SECRETS_MAX} of them");
            self.sink.push(diagnostic.found(&scalar.text).expected(expected));
        }
        paths
    }

    fn kind(&mut self, node: &Node, given: &Entries<'_>) -> Option<&'static Type> {
        let known = || schema::TYPES.iter().map(|t| t.name);
        let Some((_, value)) = given.get("type") else {
            let help = format!("known are {}", known().collect::<Vec<_>>().join(", "));
            self.missing(&node.site, "a resource", "type", &help);
            return None;
        };
        let text = self.text(value, "the name of a resource type")?;
        if let Some(kind) = schema::find(&text) {
            return Some(kind);
        }
        let help = format!("known are {}", known().collect::<Vec<_>>().join(", "));
        let message = format!("there is no resource type {text}");
        let diagnostic = Diagnostic::error(rules::TYPE_UNKNOWN, &value.site, message);
        self.sink.push(diagnostic.near(&text, known()).help(help));
        None
    }

    fn check_keys(&mut self, given: &Entries<'_>, kind: &'static Type) {
        for (key, (site, _)) in given {
            let own = kind.attribute(key).is_some() || schema::COMMON_FIELDS.contains(key);
            if own || (*key == "path" && kind.attribute("target_path").is_some()) {
                continue;
            }
            if *key == "password-secret" {
                let message = "`password-secret` is no longer a key";
                let help = "it is written `password: \"secret:…\"`, which is not part of this version";
                self.sink.push(Diagnostic::error(rules::KEY_RETIRED, site, message).help(help));
                continue;
            }
            let mut known: Vec<&str> = kind.attributes.iter().map(|a| a.name).collect();
            known.extend(schema::COMMON_FIELDS.iter().filter(|field| fits_type(field, kind)));
            let message = format!("the resource type {} has no attribute `{key}`", kind.name);
            let help = match nearest(key, ["conditional_block"]) {
                Some(_) => "a conditional_block is an element of `resources:`".to_string(),
                None => format!("known are {}", known.join(", ")),
            };
            let diagnostic = Diagnostic::error(rules::KEY_UNKNOWN, site, message);
            self.sink.push(diagnostic.near(key, known).help(help));
        }
    }

    /// `revert:` and `on_revert:`, as far as the type is undone by them (G24–G30).
    fn reversal(
        &mut self,
        node: &Node,
        given: &Entries<'_>,
        kind: &Type,
        body: &mut Body,
    ) -> (bool, Option<String>) {
        let revert = given.get("revert").and_then(|(_, value)| self.boolean(value)).unwrap_or(false);
        let command = given.get("on_revert").and_then(|(_, value)| {
            let text = self.text(value, "a command")?;
            self.check_template(&text, value, body);
            Some(text)
        });
        for key in ["revert", "on_revert"] {
            let Some((site, _)) = given.get(key) else { continue };
            let refused = match kind.reversal {
                Reversal::State(state, beside) => {
                    let beside: String =
                        beside.iter().map(|(name, value)| format!(" and `{name}: {value}`")).collect();
                    let message = format!("the resource type {} has states, and no `{key}`", kind.name);
                    let help = format!("to undo it, say `state: {state}`{beside}");
                    Some((rules::REVERT_STATE, message, help))
                }
                Reversal::None => {
                    let message = format!("the resource type {} cannot be reverted yet", kind.name);
                    let help = "declare the values that it should have instead".to_string();
                    Some((rules::REVERT_IMPOSSIBLE, message, help))
                }
                Reversal::Snapshot if key == "on_revert" => {
                    let message =
                        format!("the resource type {} sets a value, and needs no command", kind.name);
                    let help = "`revert: true` restores the value that was found first: remove `on_revert`";
                    Some((rules::REVERT_COMMAND, message, help.to_string()))
                }
                _ => None,
            };
            if let Some((rule, message, help)) = refused {
                self.sink.push(Diagnostic::error(rule, site, message).help(help));
            }
        }
        if revert && kind.reversal.by_command() && !given.contains_key("on_revert") {
            let site = given.get("revert").map_or(&node.site, |(site, _)| site);
            let message = format!("`revert` of a resource of type {} needs `on_revert`", kind.name);
            let help = "say with `on_revert:` which command undoes what `command` did";
            self.sink.push(Diagnostic::error(rules::REVERT_COMMAND, site, message).help(help));
        }
        if command.as_ref().is_some_and(|c| c.trim().is_empty())
            && let Some((_, value)) = given.get("on_revert")
        {
            let message = "the command is empty";
            let help = "write the command that undoes it, or remove `on_revert`";
            self.sink.push(Diagnostic::error(rules::REVERT_COMMAND, &value.site, message).help(help));
        }
        (revert && kind.reversal.by_revert(), command.filter(|_| kind.reversal.by_command()))
    }

    /// One state, or `None` if it was refused.
    pub(super) fn state(&mut self, node: &Node, kind: &Type, body: &mut Body) -> Option<String> {
        let text = self.text(node, "a state")?;
        if kind.states.is_empty() {
            let message = format!("the resource type {} performs an action and has no state", kind.name);
            let message = match kind.reversal {
                Reversal::Snapshot => {
                    format!("the resource type {} sets a value and has no state", kind.name)
                }
                Reversal::None => format!("the resource type {} sets values and has no state", kind.name),
                _ => message,
            };
            let help = match kind.reversal {
                Reversal::Snapshot => "`revert: true` restores the value that was found first",
                Reversal::None => "it cannot be undone yet: declare the values that it should have",
                _ => "to undo it, give the command with `on_revert:` and say `revert: true`",
            };
            self.sink
                .push(Diagnostic::error(rules::STATE_UNKNOWN, &node.site, message).found(&text).help(help));
            return None;
        }
        if template::holds(&text) {
            self.check_template(&text, node, body);
            return Some(text);
        }
        if !kind.states.contains(&text.as_str()) {
            let message = format!("the resource type {} has no such state", kind.name);
            let diagnostic = Diagnostic::error(rules::STATE_UNKNOWN, &node.site, message);
            let diagnostic = diagnostic.found(&text).expected(kind.states.join(" or "));
            self.sink.push(if kind.name == "service" && text == "absent" {
                diagnostic.help("to retract a service, say `state: stopped` and `enabled: false`")
            } else {
                diagnostic.near(&text, kind.states.iter().copied())
            });
            return None;
        }
        Some(text)
    }
}

/// Whether the field is for resources of that type.
pub(crate) fn fits_type(field: &str, kind: &Type) -> bool {
    match field {
        "state" => !kind.states.is_empty(),
        "revert" => kind.reversal.by_revert(),
        "on_revert" => kind.reversal.by_command(),
        _ => true,
    }
}

/// The states that a setting may come to; `None` among them for one that a template gives.
pub(super) fn states(setting: Option<&Setting>) -> Vec<Option<&str>> {
    let Some(setting) = setting else { return vec![None] };
    setting.values().map(|v| v.as_str().filter(|s| !template::holds(s))).collect()
}

/// The name by which an attribute travels: what a source holds is content.
pub(super) fn stored(name: &'static str, kind: Kind) -> &'static str {
    if kind == Kind::Source { "content" } else { name }
}
