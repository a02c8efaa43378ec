//! Resources: checked against the schema table, defaults merged in, texts of `source:` embedded.
//!
//! What comes out has only attributes that its type knows; templates are checked but not rendered.

use std::collections::BTreeMap;

use serde_json::Value;
use vigo_base::text::nearest;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Name, Resource, TemplateText};
use crate::rules;
use crate::schema::{self, Attribute, Kind, Type};
use crate::template;
use crate::words::{LIST_MAX, Word};
use crate::yaml::{Data, Node};

use super::Reader;
use super::keys::Entries;

/// A `defaults:` entry.
pub(super) type Defaults<'n> = BTreeMap<&'n str, (&'n Site, &'n Node)>;

/// The attributes of a resource while they are read.
#[derive(Default)]
struct Body {
    values: BTreeMap<String, Value>,
    templates: Vec<TemplateText>,
}

impl Reader<'_> {
    /// One element of `resources:`.
    pub(super) fn resource(&mut self, node: &Node, defaults: &Defaults<'_>) -> Option<Resource> {
        let Data::Map(entries) = &node.data else {
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "a resource is a map");
            self.sink
                .push(diagnostic.found(&node.shown()).expected("the keys name, type and those of the type"));
            return None;
        };
        let given: Entries<'_> = entries.iter().map(|e| (e.key.as_str(), (&e.key_site, &e.value))).collect();
        if given.contains_key("conditional_block") {
            self.refuse_later(given["conditional_block"].0, "conditional_block");
            return None;
        }
        let name = match given.get("name") {
            Some((_, value)) => self.name(value, "a resource"),
            None => {
                self.missing(
                    &node.site,
                    "a resource",
                    "name",
                    "give it a name that is unique in its configcrate",
                );
                None
            }
        };
        let kind = self.kind(node, &given)?;
        self.check_keys(&given, kind);
        let body = self.body(node, &given, defaults, kind);
        let refs = |reader: &mut Self, key: &str| match given.get(key) {
            Some((_, value)) => reader.references(value),
            None => Vec::new(),
        };
        Some(Resource {
            kind,
            attributes: body.values,
            templates: body.templates,
            when: given.get("when").and_then(|(_, value)| self.condition(value)),
            depends_on: refs(self, "depends_on"),
            before: refs(self, "before"),
            notify: refs(self, "notify"),
            subscribes: refs(self, "subscribes"),
            timeout: match given.get("timeout") {
                Some((_, value)) => self.whole(value, 1, schema::TIMEOUT_MAX).unwrap_or(kind.timeout),
                None => kind.timeout,
            },
            name: name?,
        })
    }

    /// A list of references: names, or `configcrate/resource`.
    fn references(&mut self, node: &Node) -> Vec<Name> {
        let items = self.list(node, "names of resources");
        let mut found = Vec::new();
        for item in items {
            let qualified = match &item.data {
                Data::Scalar(s) => s.text.split_once('/').map(|(c, r)| (c.to_string(), r.to_string())),
                _ => None,
            };
            match qualified {
                Some((c, r)) if !c.is_empty() && !r.is_empty() && !r.contains('/') => {
                    found.push(Name { value: format!("{c}/{r}"), site: item.site.clone() });
                }
                _ => found.extend(self.name(item, "a resource")),
            }
        }
        found
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

    fn refuse_later(&mut self, site: &Site, key: &str) {
        let help = match key {
            "foreach" | "case" | "match" => "write the resources out, with `when:` where they differ",
            "conditional_block" => "give each resource the condition with `when:`",
            "watch_secret" => "secrets are not part of this version",
            "stream_edit" => "put the finished text into `content:` or `source:`",
            _ => "remove it",
        };
        let message = format!("`{key}` is part of the language but not of this version");
        self.sink.push(Diagnostic::error(rules::NOT_IN_THIS_VERSION, site, message).help(help));
    }

    fn check_keys(&mut self, given: &Entries<'_>, kind: &'static Type) {
        for (key, (site, _)) in given {
            if ["foreach", "case", "match", "revert", "on_revert", "watch_secret"].contains(key) {
                self.refuse_later(site, key);
                continue;
            }
            let own = kind.attribute(key).is_some() || schema::COMMON_FIELDS.contains(key);
            if own || (*key == "path" && kind.attribute("target_path").is_some()) {
                continue;
            }
            let known: Vec<&str> =
                kind.attributes.iter().map(|a| a.name).chain(schema::COMMON_FIELDS).collect();
            let message = format!("the resource type {} has no attribute `{key}`", kind.name);
            let help = format!("known are {}", known.join(", "));
            let diagnostic = Diagnostic::error(rules::KEY_UNKNOWN, site, message);
            self.sink.push(diagnostic.near(key, known).help(help));
        }
    }

    fn body(
        &mut self,
        node: &Node,
        given: &Entries<'_>,
        defaults: &Defaults<'_>,
        kind: &'static Type,
    ) -> Body {
        let mut body = Body::default();
        let state = self.state(given, defaults, kind);
        for attribute in kind.attributes {
            let Some((_, value)) = self.given(given, defaults, kind, attribute) else { continue };
            if let Some(read) = self.attribute(value, attribute, &mut body) {
                // The text of a source takes the place of the content.
                let name = if attribute.kind == Kind::Source { "content" } else { attribute.name };
                body.values.insert(name.to_string(), read);
            }
        }
        for attribute in kind.attributes {
            let needed = attribute.required
                || state.as_deref().is_some_and(|s| kind.required_in.contains(&(s, attribute.name)));
            if needed && self.given(given, defaults, kind, attribute).is_none() {
                let what = format!("the resource type {}", kind.name);
                self.missing(&node.site, &what, attribute.name, attribute.about);
            }
        }
        for (a, b) in kind.exclusive {
            if let (Some(_), Some((site, _))) = (given.get(a), given.get(b)) {
                let message = format!("`{a}` and `{b}` exclude each other");
                self.sink
                    .push(Diagnostic::error(rules::ATTRIBUTES_EXCLUSIVE, site, message).help("keep one"));
            }
        }
        if let Some(state) = state {
            body.values.insert("state".into(), Value::String(state));
        }
        body
    }

    /// What is given for an attribute, here or in `defaults:`; what excludes a given one is no default.
    fn given<'n>(
        &mut self,
        given: &Entries<'n>,
        defaults: &Defaults<'n>,
        kind: &Type,
        attribute: &Attribute,
    ) -> Option<(&'n Site, &'n Node)> {
        if attribute.name == "target_path"
            && let Some((site, value)) = given.get("path")
        {
            if given.contains_key("target_path") {
                let message = "`path` and `target_path` are the same attribute";
                let diagnostic = Diagnostic::error(rules::ATTRIBUTES_EXCLUSIVE, site, message);
                if !self.sink.contains(&diagnostic.clone().help("keep `target_path`")) {
                    self.sink.push(diagnostic.help("keep `target_path`"));
                }
            }
            return Some((site, value));
        }
        if let Some(found) = given.get(attribute.name) {
            return Some(*found);
        }
        let excluded = kind.exclusive.iter().any(|(a, b)| {
            (*a == attribute.name && given.contains_key(b)) || (*b == attribute.name && given.contains_key(a))
        });
        if excluded { None } else { defaults.get(attribute.name).copied() }
    }

    fn state(&mut self, given: &Entries<'_>, defaults: &Defaults<'_>, kind: &Type) -> Option<String> {
        let inherited = defaults.get("state").filter(|_| !kind.states.is_empty());
        let Some((_, value)) = given.get("state").or(inherited) else {
            return kind.default_state().map(str::to_string);
        };
        let text = self.text(value, "a state")?;
        if kind.states.is_empty() {
            let message = format!("the resource type {} performs an action and has no state", kind.name);
            let help =
                "to undo an action there is `revert:`, which is part of the language but not of this version";
            self.sink
                .push(Diagnostic::error(rules::STATE_UNKNOWN, &value.site, message).found(&text).help(help));
            return None;
        }
        if template::holds(&text) {
            let mut body = Body::default();
            self.check_template(&text, value, &mut body);
            return Some(text);
        }
        if !kind.states.contains(&text.as_str()) {
            let message = format!("the resource type {} has no such state", kind.name);
            let diagnostic = Diagnostic::error(rules::STATE_UNKNOWN, &value.site, message);
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

    fn attribute(&mut self, node: &Node, attribute: &Attribute, body: &mut Body) -> Option<Value> {
        match attribute.kind {
            Kind::Bool => self.boolean(node).map(Value::Bool),
            Kind::Source => self.source(node, body).map(Value::String),
            Kind::ExitCodes => {
                let items = self.list(node, "exit codes");
                let codes: Vec<Value> =
                    items.iter().filter_map(|i| self.whole(i, 0, 255)).map(Value::from).collect();
                (!codes.is_empty()).then_some(Value::Array(codes))
            }
            Kind::Environment => self.environment(node, body),
            Kind::Words(_) | Kind::Texts | Kind::Paths => self.words(node, attribute, body),
            Kind::Text | Kind::Path | Kind::Mode | Kind::Choice(_) | Kind::Word(_) => {
                let text = self.attribute_text(node, attribute, body)?;
                self.shaped(node, attribute, text).map(Value::String)
            }
        }
    }

    /// A list of words, or one alone.
    fn words(&mut self, node: &Node, attribute: &Attribute, body: &mut Body) -> Option<Value> {
        let single = matches!(node.data, Data::Scalar(_)) && !node.is_null();
        let items = if single { std::slice::from_ref(node) } else { self.list(node, "texts") };
        if items.len() > LIST_MAX {
            let message = format!("`{}` has {} elements", attribute.name, items.len());
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, message);
            self.sink.push(diagnostic.expected(format!("at most {LIST_MAX}")));
            return None;
        }
        let texts = items.iter().filter_map(|item| {
            let text = self.attribute_text(item, attribute, body)?;
            self.shaped(item, attribute, text).map(Value::String)
        });
        Some(Value::Array(texts.collect()))
    }

    /// The text, if it has the form of its kind or may get it when its templates are rendered.
    fn shaped(&mut self, node: &Node, attribute: &Attribute, text: String) -> Option<String> {
        let fault = attribute.kind.fault(&text);
        let fits = match attribute.kind {
            Kind::Word(_) => fault.is_none(),
            kind if kind.is_list() => schema::fits_in_list(kind, &text),
            kind => schema::fits(kind, &Value::String(text.clone())),
        };
        if fits || template::holds(&text) {
            return Some(text);
        }
        let message = match fault {
            Some(why) => format!("this cannot be the `{}`: {why}", attribute.name),
            None => format!("this cannot be the `{}`", attribute.name),
        };
        let found = if attribute.kind == Kind::Word(Word::PasswordHash) {
            "a text that is not shown".to_owned()
        } else {
            node.shown()
        };
        let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, message);
        self.sink.push(diagnostic.found(&found).expected(attribute.kind.expected()));
        None
    }

    fn attribute_text(&mut self, node: &Node, attribute: &Attribute, body: &mut Body) -> Option<String> {
        if attribute.kind == Kind::Text && node.is_null() && attribute.name == "content" {
            return Some(String::new());
        }
        if let Data::Map(entries) = &node.data
            && entries.iter().any(|e| e.key == "default")
        {
            let message = "lookup tables are part of the language but not of this version";
            let help = "write the resource several times, each with its `when:`";
            self.sink.push(Diagnostic::error(rules::NOT_IN_THIS_VERSION, &node.site, message).help(help));
            return None;
        }
        let text = self.text(node, attribute.kind.expected())?;
        self.check_template(&text, node, body);
        Some(text)
    }

    fn environment(&mut self, node: &Node, body: &mut Body) -> Option<Value> {
        let Data::Map(entries) = &node.data else {
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "`environment` is a map");
            self.sink.push(diagnostic.found(&node.shown()).expected(Kind::Environment.expected()));
            return None;
        };
        let mut map = serde_json::Map::new();
        for entry in entries {
            if !schema::is_variable(&entry.key) {
                let diagnostic =
                    Diagnostic::error(rules::NAME_INVALID, &entry.key_site, "this cannot name a variable");
                self.sink.push(diagnostic.found(&entry.key).expected("letters, digits and `_`"));
                continue;
            }
            if let Some(text) = self.text(&entry.value, "a text") {
                self.check_template(&text, &entry.value, body);
                map.insert(entry.key.clone(), Value::String(text));
            }
        }
        Some(Value::Object(map))
    }

    /// The text of a file under `templates/`.
    fn source(&mut self, node: &Node, body: &mut Body) -> Option<String> {
        let path = self.text(node, Kind::Source.expected())?;
        let refuse = |message: String, help: String| {
            Diagnostic::error(rules::SOURCE_MISSING, &node.site, message).found(&path).help(help)
        };
        if template::holds(&path) {
            let message =
                "a template in `source` is part of the language but not of this version".to_string();
            self.sink.push(
                Diagnostic::error(rules::NOT_IN_THIS_VERSION, &node.site, message)
                    .help("write the resource several times, each with its `when:`"),
            );
            return None;
        }
        if !path.starts_with("templates/") {
            let help = format!("write templates/{}", path.trim_start_matches(['.', '/']));
            self.sink.push(refuse("a source lies under templates/".into(), help));
            return None;
        }
        let tree = self.tree;
        let Some(bytes) = tree.get(&path) else {
            let known: Vec<&str> =
                tree.iter().map(|(p, _)| p).filter(|p| p.starts_with("templates/")).collect();
            let help = match nearest(&path, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => "put the file there".into(),
            };
            self.sink.push(refuse("the tree has no such file".into(), help));
            return None;
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            let help = "a file that is not text cannot be a source in this version".into();
            self.sink.push(refuse("the source is not UTF-8".into(), help));
            return None;
        };
        let file = std::sync::Arc::from(path.as_str());
        let place = |line: usize, column: usize| Site { line, column, ..Site::start(&file) };
        match template::check(text) {
            Ok(printed) => note_printed(body, printed, &place),
            Err(error) => self.sink.push(
                Diagnostic::error(rules::TEMPLATE_INVALID, &place(error.line, error.column), error.message)
                    .help(error.help),
            ),
        }
        Some(text.to_string())
    }

    fn check_template(&mut self, text: &str, node: &Node, body: &mut Body) {
        if !template::holds(text) {
            return;
        }
        match template::check(text) {
            Ok(printed) => note_printed(body, printed, &|line, column| node.site_within(line, column)),
            Err(error) => {
                let site = node.site_within(error.line, error.column);
                self.sink
                    .push(Diagnostic::error(rules::TEMPLATE_INVALID, &site, error.message).help(error.help));
            }
        }
    }
}

fn note_printed(body: &mut Body, printed: Vec<template::Printed>, place: &dyn Fn(usize, usize) -> Site) {
    let certain = printed.into_iter().filter(|p| !p.guarded);
    let printed: Vec<_> = certain.map(|p| (p.path, place(p.line, p.column))).collect();
    if !printed.is_empty() {
        body.templates.push(TemplateText { printed });
    }
}
