//! The attributes of a resource: values, lookup tables, embedded sources; each of the kind that the schema asks for.
//!
//! Nothing is decided here that a machine decides: a table keeps all of its arms.

use std::collections::BTreeMap;

use serde_json::Value;
use vigo_base::target::Target;
use vigo_base::text::nearest;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::TemplateText;
use crate::rules;
use crate::schema::{self, Attribute, Kind, Type};
use crate::setting::{ARMS_MAX, Setting, Table};
use crate::template;
use crate::traits;
use crate::words::{LIST_MAX, Word};
use crate::yaml::{Data, Entry, Node};

use super::Reader;
use super::keys::Entries;
use super::resource::{Defaults, states, stored};

/// The attributes of a resource while they are read.
#[derive(Default)]
pub(super) struct Body {
    pub settings: BTreeMap<String, Setting>,
    pub sites: BTreeMap<String, Site>,
    pub templates: Vec<TemplateText>,
}

impl Body {
    pub fn put(&mut self, name: &str, site: &Site, setting: Setting) {
        self.settings.insert(name.to_string(), setting);
        self.sites.insert(name.to_string(), site.clone());
    }
}

impl Reader<'_> {
    /// What is given here or by `defaults:`, with what is missing reported unless branches may give it.
    pub(super) fn body(
        &mut self,
        node: &Node,
        given: &Entries<'_>,
        defaults: &Defaults<'_>,
        kind: &'static Type,
        body: &mut Body,
    ) {
        self.fill(given, defaults, kind, body);
        if !body.settings.contains_key("state")
            && !given.contains_key("state")
            && let Some(state) = kind.default_state()
        {
            body.settings.insert("state".into(), Setting::Fixed(Value::String(state.into())));
        }
        for (a, b) in kind.exclusive {
            if let (Some(_), Some((site, _))) = (given.get(a), given.get(b)) {
                let message = format!("`{a}` and `{b}` exclude each other");
                self.sink
                    .push(Diagnostic::error(rules::ATTRIBUTES_EXCLUSIVE, site, message).help("keep one"));
            }
        }
        if given.contains_key("match") {
            return;
        }
        for attribute in kind.attributes {
            let needed = states(body.settings.get("state")).iter().any(|s| kind.needs(attribute, *s));
            if needed && self.given(given, defaults, kind, attribute).is_none() {
                let what = format!("the resource type {}", kind.name);
                self.missing(&node.site, &what, attribute.name, attribute.about);
            }
        }
    }

    /// Reads every attribute that is given, and the state.
    pub(super) fn fill(
        &mut self,
        given: &Entries<'_>,
        defaults: &Defaults<'_>,
        kind: &'static Type,
        body: &mut Body,
    ) {
        let inherited = defaults.get("state").filter(|_| !kind.states.is_empty());
        if let Some((_, value)) = given.get("state").or(inherited) {
            let state = self.setting(value, "state", false, body, &mut |reader, node, body| {
                reader.state(node, kind, body).map(Value::String)
            });
            if let Some(state) = state {
                body.put("state", &value.site, state);
            }
        }
        for attribute in kind.attributes {
            let Some((_, value)) = self.given(given, defaults, kind, attribute) else { continue };
            if attribute.name == "gitback" && given.contains_key("gitback") {
                let message = "repositories in homes are not mirrored by this version";
                let diagnostic = Diagnostic::warning(rules::NOT_IN_THIS_VERSION, &value.site, message);
                self.sink.push(diagnostic.help("it takes effect with a later version; nothing else changes"));
            }
            let map = attribute.kind == Kind::Environment;
            let setting = self.setting(value, attribute.name, map, body, &mut |reader, node, body| {
                reader.attribute(node, attribute, body)
            });
            let Some(setting) = setting else { continue };
            if attribute.required && setting.values().any(Value::is_null) {
                let message =
                    format!("`{}` is required, and this table leaves it unset somewhere", attribute.name);
                let help = "give every arm a value; to leave the resource out, use `when:`";
                self.sink.push(Diagnostic::error(rules::KEY_MISSING, &value.site, message).help(help));
            }
            body.put(stored(attribute.name, attribute.kind), &value.site, setting);
        }
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

    /// A value, or a lookup table of values (G32). `map` says that a value itself is a map.
    fn setting(
        &mut self,
        node: &Node,
        name: &str,
        map: bool,
        body: &mut Body,
        read: &mut dyn FnMut(&mut Self, &Node, &mut Body) -> Option<Value>,
    ) -> Option<Setting> {
        let Data::Map(entries) = &node.data else { return read(self, node, body).map(Setting::Fixed) };
        let default = entries.iter().find(|e| e.key == "default");
        match default {
            None if map || entries.is_empty() => read(self, node, body).map(Setting::Fixed),
            None => {
                self.no_default(node, name, entries);
                None
            }
            Some(default) => self.table(name, entries, default, map, body, read).map(Setting::Table),
        }
    }

    fn no_default(&mut self, node: &Node, name: &str, entries: &[Entry]) {
        let near = entries.iter().find(|e| nearest(&e.key, ["default"]).is_some());
        let message = format!("`{name}` is a map, and lookup tables have an arm `default`");
        let help = match near {
            Some(entry) => format!("did you mean default where {} stands?", entry.key),
            None => {
                "add `default:`: what counts when no other arm matches; `null` leaves it unset".to_string()
            }
        };
        self.sink.push(Diagnostic::error(rules::LOOKUP_DEFAULT, &node.site, message).help(help));
    }

    fn table(
        &mut self,
        name: &str,
        entries: &[Entry],
        default: &Entry,
        map: bool,
        body: &mut Body,
        read: &mut dyn FnMut(&mut Self, &Node, &mut Body) -> Option<Value>,
    ) -> Option<Table> {
        if entries.len() > ARMS_MAX {
            let message = format!("the table has {} arms, at most {ARMS_MAX} are allowed", entries.len());
            let help = "use tags for what many machines share";
            self.sink.push(Diagnostic::error(rules::LOOKUP_ARM, &default.key_site, message).help(help));
            return None;
        }
        let list = |e: &&Entry| matches!(e.value.data, Data::List(_));
        let lists = entries.iter().filter(list).count();
        let odd = entries.iter().find(|e| !list(e) && !e.value.is_null());
        if let (true, Some(odd)) = (lists > 0, odd) {
            let message = format!("some arms of the table for `{name}` are lists, and this one is not");
            let help = "write the single value as a list of one: [value]";
            self.sink.push(Diagnostic::error(rules::LOOKUP_MIXED, &odd.value.site, message).help(help));
            return None;
        }
        let (mut arms, mut otherwise, mut sound) = (Vec::new(), Value::Null, true);
        for entry in entries {
            let target = if entry.key == "default" { None } else { Some(self.arm(entry)) };
            let Some(value) = self.arm_value(&entry.value, name, map, lists > 0, body, read) else {
                sound = false;
                continue;
            };
            match target {
                None => otherwise = value,
                Some(Some(target)) => arms.push((target, value)),
                Some(None) => sound = false,
            }
        }
        sound.then_some(Table { list: lists > 0, arms, otherwise })
    }

    fn arm_value(
        &mut self,
        node: &Node,
        name: &str,
        map: bool,
        list: bool,
        body: &mut Body,
        read: &mut dyn FnMut(&mut Self, &Node, &mut Body) -> Option<Value>,
    ) -> Option<Value> {
        if node.is_null() {
            return Some(if list { Value::Array(Vec::new()) } else { Value::Null });
        }
        if !map && matches!(&node.data, Data::Map(entries) if !entries.is_empty()) {
            let message = format!("the table for `{name}` holds another map");
            let help = "tables do not nest: give each combination a tag, and an arm for it";
            self.sink.push(Diagnostic::error(rules::LOOKUP_PLACE, &node.site, message).help(help));
            return None;
        }
        read(self, node, body)
    }

    /// The machines that an arm is for (G33, D18).
    fn arm(&mut self, entry: &Entry) -> Option<Target> {
        let refuse = |message: String, help: String| {
            Diagnostic::error(rules::LOOKUP_ARM, &entry.key_site, message).help(help)
        };
        let target: Target = match entry.key.parse() {
            Ok(target) => target,
            Err(bad) => {
                let help = "write a host, a glob like web*, tag:name, trait=value, or default";
                self.sink.push(refuse(bad.to_string(), help.to_string()));
                return None;
            }
        };
        if let Target::Trait { name, value } = &target {
            let kind = traits::kind_of(name);
            if kind.is_none() || matches!(kind, Some(traits::TraitKind::List | traits::TraitKind::Table)) {
                let (message, help) = match (kind, nearest(name, traits::paths())) {
                    (Some(_), _) => (
                        format!("the trait {name} is a list and is equal to nothing"),
                        "use a tag".to_string(),
                    ),
                    (None, Some(near)) => {
                        (format!("there is no trait {name}"), format!("did you mean {near}?"))
                    }
                    (None, None) => (
                        format!("there is no trait {name}"),
                        "traits are named in full, like os.distro".into(),
                    ),
                };
                self.sink.push(refuse(message, help));
                return None;
            }
            if name == "os.family" && ["linux", "illumos"].contains(&value.to_ascii_lowercase().as_str()) {
                let help = format!("write os.kernel_class={value}");
                self.sink
                    .push(refuse(format!("{value} is the class of a kernel, not a family of systems"), help));
                return None;
            }
        }
        Some(target)
    }

    fn attribute(&mut self, node: &Node, attribute: &Attribute, body: &mut Body) -> Option<Value> {
        match attribute.kind {
            Kind::Bool => self.truth(node, body),
            Kind::Source => self.source(node, body),
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

    /// True or false, or a template in quotes that will say which.
    fn truth(&mut self, node: &Node, body: &mut Body) -> Option<Value> {
        if let Data::Scalar(scalar) = &node.data
            && template::holds(&scalar.text)
        {
            self.check_template(&scalar.text, node, body);
            return Some(Value::String(scalar.text.clone()));
        }
        self.boolean(node).map(Value::Bool)
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
        let mut texts = Vec::new();
        for item in items {
            let Some(text) = self.attribute_text(item, attribute, body) else { continue };
            if attribute.name == "stream_edit" && !self.may_edit(&text, item) {
                continue;
            }
            texts.extend(self.shaped(item, attribute, text).map(Value::String));
        }
        Some(Value::Array(texts))
    }

    /// Whether a script of `stream_edit:` lies where scripts may lie (D22). Links are resolved on the machine.
    fn may_edit(&mut self, path: &str, node: &Node) -> bool {
        let allowed = super::SCRIPTS;
        let below = |dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        if template::holds(path) || !schema::is_absolute(path) || below(allowed) {
            return true;
        }
        let message = format!("scripts of stream_edit lie below {allowed}/");
        let help = "move the script there; the setting `stream_edit.allowed_paths` names the directories";
        let diagnostic = Diagnostic::error(rules::STREAM_EDIT_PATH, &node.site, message);
        self.sink.push(diagnostic.found(path).help(help));
        false
    }

    /// The text, if it has the form of its kind or may get it when its templates are rendered.
    fn shaped(&mut self, node: &Node, attribute: &Attribute, text: String) -> Option<String> {
        if template::holds(&text) || sound(attribute.kind, &text) {
            return Some(text);
        }
        self.sink.push(misshapen(&node.site, attribute, &text));
        None
    }

    fn attribute_text(&mut self, node: &Node, attribute: &Attribute, body: &mut Body) -> Option<String> {
        if attribute.kind == Kind::Text && node.is_null() && attribute.name == "content" {
            return Some(String::new());
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

    /// The text of a file under `templates/`; a path that is a template itself is kept, as `{source: path}`.
    fn source(&mut self, node: &Node, body: &mut Body) -> Option<Value> {
        let path = self.text(node, Kind::Source.expected())?;
        if template::holds(&path) {
            self.check_template(&path, node, body);
            return Some(serde_json::json!({ "source": path }));
        }
        let text = match crate::expand::source(self.templates, &path) {
            Ok(text) => text,
            Err((message, help)) => {
                let diagnostic = Diagnostic::error(rules::SOURCE_MISSING, &node.site, message);
                self.sink.push(diagnostic.found(&path).help(help));
                return None;
            }
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
        Some(Value::String(text.to_string()))
    }

    pub(super) fn check_template(&mut self, text: &str, node: &Node, body: &mut Body) {
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

/// Whether a text without templates is of a kind, or may be in a list of that kind.
pub(crate) fn sound(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Word(word) => word.fault(text).is_none(),
        kind if kind.is_list() => schema::fits_in_list(kind, text),
        kind => schema::fits(kind, &Value::String(text.to_string())),
    }
}

/// What is said of a text that is not of its attribute's kind.
pub(crate) fn misshapen(site: &Site, attribute: &Attribute, text: &str) -> Diagnostic {
    let message = match attribute.kind.fault(text) {
        Some(why) => format!("this cannot be the `{}`: {why}", attribute.name),
        None => format!("this cannot be the `{}`", attribute.name),
    };
    let secret = attribute.kind == Kind::Word(Word::PasswordHash);
    let found = if secret { "a text that is not shown" } else { text };
    Diagnostic::error(rules::VALUE_KIND, site, message).found(found).expected(attribute.kind.expected())
}

fn note_printed(body: &mut Body, printed: Vec<template::Printed>, place: &dyn Fn(usize, usize) -> Site) {
    let certain = printed.into_iter().filter(|p| !p.guarded);
    let printed: Vec<_> = certain.map(|p| (p.path, place(p.line, p.column))).collect();
    if !printed.is_empty() {
        body.templates.push(TemplateText { printed });
    }
}
