//! `foreach:`: resources and configcrates made once for each element of a list, at publish (G12–G20).
//!
//! What comes out holds no `.Each` and no `.Item`, and every value that the elements gave has been checked like one that
//! stands in the file. Lists, copies and bytes are bounded.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vigo_base::text::nearest;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Configcrate, Foreach, Name, Resource, TemplateText};
use crate::read::{misshapen, name_fault, sound};
use crate::rules;
use crate::schema::{Attribute, Kind};
use crate::setting::{Branches, Setting};
use crate::source::Templates;
use crate::template::{self, Gap};
use crate::when;

/// Elements of one list.
pub(crate) const ELEMENTS_MAX: usize = 5_000;
/// Bytes of text that copies may add to one policy.
const COPIES_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of the key of an instance.
const KEY_BYTES: usize = 64;
/// Mistakes of one configcrate's copies that are told.
const FAULTS_MAX: usize = 20_000;
/// Resources that are looked at for the copies of one configcrate, whatever comes of them.
const LOOKS_MAX: usize = 60_000;

/// A configcrate in a policy: itself, or one of its instances.
pub(crate) struct Instance<'a> {
    pub configcrate: &'a Configcrate,
    /// Its name, with the key of an instance in brackets.
    pub name: String,
    /// `[key]`, or nothing.
    pub suffix: String,
    /// Its resources, each with the name that it has in the file.
    pub resources: Vec<(Cow<'a, Resource>, &'a str)>,
}

/// What expansion needs to know, and how much of its bounds is left.
pub(crate) struct Expansion<'a, 's> {
    pub templates: &'a Templates<'a>,
    pub sink: &'s mut Vec<Diagnostic>,
    /// ` (for hosts of …)`, or nothing.
    pub of_pattern: String,
    /// Whether variables are known: not for a configcrate that is checked on its own.
    pub judged: bool,
    pub bytes: usize,
    /// Resources that there is room for in the policy; one more than that shows that it is too large.
    pub room: usize,
    /// Resources that were looked at.
    pub looks: usize,
    /// Mistakes so far.
    pub faults: usize,
}

/// The first mention of an element in a resource, but for those in references.
pub(crate) fn first_mention(resource: &Resource) -> Option<Name> {
    let in_text = |text: &str, site: &Site| {
        let mention = template::mentions(text).into_iter().next()?;
        Some(Name { value: mention.shown(), site: site.clone() })
    };
    let at = &resource.name.site;
    let site_of = |name: &str| resource.sites.get(name).unwrap_or(at);
    let in_settings = |settings: &BTreeMap<String, Setting>| {
        settings.iter().find_map(|(name, setting)| {
            setting.values().find_map(|v| find_text(v, &mut |text| in_text(text, site_of(name))))
        })
    };
    let branches = resource
        .case
        .as_ref()
        .and_then(|case| in_text(&case.on, at).or_else(|| case.arms.values().find_map(in_settings)));
    in_text(&resource.name.value, at)
        .or_else(|| in_settings(&resource.attributes))
        .or(branches)
        .or_else(|| {
            let when = resource.when.as_ref()?;
            when.value.texts().into_iter().find_map(|text| in_text(text, &when.site))
        })
        .or_else(|| in_text(resource.on_revert.as_deref().unwrap_or(""), at))
}

fn find_text<T>(value: &Value, see: &mut dyn FnMut(&str) -> Option<T>) -> Option<T> {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().find_map(|item| find_text(item, see)),
        Value::Object(map) => map.values().find_map(|item| find_text(item, see)),
        _ => None,
    }
}

/// The text of a file under `templates/`.
///
/// # Errors
/// What is wrong, and how to put it right.
pub(crate) fn source<'t>(templates: &Templates<'t>, path: &str) -> Result<&'t str, (String, String)> {
    if !path.starts_with("templates/") {
        let help = format!("write templates/{}", path.trim_start_matches(['.', '/']));
        return Err(("a source lies under templates/".into(), help));
    }
    let Some(bytes) = templates.get(path) else {
        let help = match nearest(path, templates.list()) {
            Some(near) => format!("did you mean {near}?"),
            None => "put the file there".into(),
        };
        return Err(("the tree has no such file".into(), help));
    };
    std::str::from_utf8(bytes).map_err(|_| {
        let help = "a source is a template, which is text: a binary file comes with `source_package`";
        ("the source is not UTF-8".into(), help.into())
    })
}

/// What is wrong with the key of an instance.
pub(crate) fn key_fault(key: &str) -> Option<&'static str> {
    if key.is_empty() || key.len() > KEY_BYTES {
        Some("a key has 1 to 64 bytes")
    } else if key
        .chars()
        .any(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '+' | ' ')))
    {
        Some("a key has letters, digits, spaces, and `-_.:@+`")
    } else if key.trim() != key {
        Some("a key does not begin or end with a space")
    } else {
        None
    }
}

/// Whether a name with templates in it could come to `name`.
pub(crate) fn may_be(pattern: &str, name: &str) -> bool {
    match (pattern.find("{{"), pattern.rfind("}}")) {
        (Some(open), Some(close)) if open < close => {
            let (head, tail) = (&pattern[..open], &pattern[close + 2..]);
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
        _ => pattern == name,
    }
}

impl<'a> Expansion<'a, '_> {
    fn error(&mut self, rule: &'static str, site: &Site, message: String, help: impl Into<String>) {
        let message = format!("{message}{}", self.of_pattern);
        self.report(Diagnostic::error(rule, site, message).help(help));
    }

    /// Reports a mistake, as often as it can be of use.
    fn report(&mut self, diagnostic: Diagnostic) {
        self.faults += 1;
        if self.faults <= FAULTS_MAX {
            self.sink.push(diagnostic);
        }
    }

    /// The instances of a configcrate: itself, or one for each element. `vars` are those that it sees.
    pub fn instances(
        &mut self,
        configcrate: &'a Configcrate,
        foreach: Option<&Foreach>,
        vars: &BTreeMap<String, Value>,
    ) -> Vec<Instance<'a>> {
        let name = &configcrate.name.value;
        let Some(foreach) = foreach else {
            let resources = self.resources(configcrate, None, vars);
            return vec![Instance { configcrate, name: name.clone(), suffix: String::new(), resources }];
        };
        let Some(elements) = self.elements(&foreach.list, vars) else { return Vec::new() };
        let mut keys: BTreeSet<String> = BTreeSet::new();
        let mut instances = Vec::new();
        for element in &elements {
            let Some(key) = self.key(element, foreach) else { continue };
            if !keys.insert(key.clone()) {
                let message = format!("two elements of {} have the key {key}", foreach.list.value);
                let help = "every instance has a key of its own: take one out, or another field for `key:`";
                self.error(rules::FOREACH_KEY, &foreach.list.site, message, help);
                continue;
            }
            if self.is_full(&foreach.list.site) {
                break;
            }
            let suffix = format!("[{key}]");
            let resources = self.resources(configcrate, Some(element), vars);
            instances.push(Instance { configcrate, name: format!("{name}{suffix}"), suffix, resources });
        }
        instances
    }

    /// The elements of a list variable.
    fn elements(&mut self, list: &Name, vars: &BTreeMap<String, Value>) -> Option<Vec<Value>> {
        let (name, site) = (&list.value, &list.site);
        let found = vars.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(vars.get(first)?, |at, part| at.get(part))
        });
        match found {
            Some(Value::Array(items)) if items.len() > ELEMENTS_MAX => {
                let message = format!(
                    "the list {name} has {} elements, at most {ELEMENTS_MAX} are allowed",
                    items.len()
                );
                self.error(rules::FOREACH_LIST, site, message, "split it");
            }
            Some(Value::Array(items)) => return Some(items.clone()),
            Some(other) => {
                let kind = match other {
                    Value::Null => "nothing",
                    Value::Object(_) => "a map",
                    Value::String(_) => "a text",
                    Value::Bool(_) => "true or false",
                    _ => "a number",
                };
                let message = format!("`foreach` goes through a list, and the variable {name} is {kind}");
                self.error(rules::FOREACH_LIST, site, message, "write it as a list; an empty one is `[]`");
            }
            None if self.judged => {
                let help = match nearest(name, vars.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "set it in `vars:`; an empty list is `[]`".to_string(),
                };
                self.error(rules::FOREACH_LIST, site, format!("the variable {name} has no value"), help);
            }
            None => {}
        }
        None
    }

    /// The key of one instance (G15, G17).
    fn key(&mut self, element: &Value, foreach: &Foreach) -> Option<String> {
        let (list, site) = (&foreach.list.value, &foreach.list.site);
        let value = match (element, &foreach.key) {
            (Value::Object(map), Some(key)) => {
                let Some(value) = map.get(&key.value) else {
                    let message = format!("an element of {list} has no field {}", key.value);
                    let help = format!("it has {}", map.keys().cloned().collect::<Vec<_>>().join(", "));
                    self.error(rules::FOREACH_KEY, &key.site, message, help);
                    return None;
                };
                value
            }
            (Value::Object(map), None) => {
                let message = format!("the elements of {list} are maps, and no field names the instances");
                let fields = map.keys().cloned().collect::<Vec<_>>().join(", ");
                self.error(rules::FOREACH_KEY, site, message, format!("add `key:` with one of {fields}"));
                return None;
            }
            (_, Some(key)) => {
                let message = format!("the elements of {list} are no maps, and have no field {}", key.value);
                self.error(rules::FOREACH_KEY, &key.site, message, "remove `key:`: the element is the key");
                return None;
            }
            (other, None) => other,
        };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => String::new(),
        };
        match key_fault(&text) {
            None => Some(text),
            Some(why) => {
                let shown: String = vigo_base::text::escaped(&text).chars().take(80).collect();
                let message = format!("\"{shown}\" in {list} cannot be the key of an instance");
                self.error(rules::FOREACH_KEY, site, message, why);
                None
            }
        }
    }

    /// The resources of one instance; `outer` is its element.
    fn resources(
        &mut self,
        configcrate: &'a Configcrate,
        outer: Option<&Value>,
        vars: &BTreeMap<String, Value>,
    ) -> Vec<(Cow<'a, Resource>, &'a str)> {
        let mut all: Vec<(Cow<'a, Resource>, &'a str)> = Vec::new();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for resource in &configcrate.resources {
            if self.is_full(&resource.name.site) {
                break;
            }
            self.looks += 1;
            let own = resource.name.value.as_str();
            let made = match (&resource.foreach, outer) {
                (Some(list), _) => {
                    let elements = self.elements(list, vars).unwrap_or_default();
                    let left = self.room.min(LOOKS_MAX.saturating_sub(self.looks) + 1);
                    let copies = elements.iter().take(left).filter_map(|element| {
                        self.looks += 1;
                        let items: Vec<&Value> = std::iter::once(element).chain(outer).collect();
                        self.copy(resource, &items, vars)
                    });
                    copies.map(Cow::Owned).collect()
                }
                (None, Some(item)) => {
                    self.copy(resource, &[item], vars).map(Cow::Owned).into_iter().collect()
                }
                (None, None) if open(resource) => {
                    self.copy(resource, &[], vars).map(Cow::Owned).into_iter().collect()
                }
                (None, None) => vec![Cow::Borrowed(resource)],
            };
            for made in made {
                self.room = self.room.saturating_sub(1);
                if taken.insert(made.name.value.clone()) {
                    all.push((made, own));
                    continue;
                }
                let message = format!("two resources come to the name {}", made.name.value);
                let help = "put a field into the name that differs from element to element";
                self.error(rules::FOREACH_NAME, &resource.name.site, message, help);
            }
        }
        all
    }

    /// A resource with the elements put in; `None` if something is wrong, which is reported.
    fn copy(
        &mut self,
        resource: &Resource,
        items: &[&Value],
        vars: &BTreeMap<String, Value>,
    ) -> Option<Resource> {
        if items.is_empty() && !self.judged && resource.each.is_some() {
            // A configcrate on its own: who asks for it may do so with `foreach:`.
            return Some(Resource { name: plain_name(&resource.name), ..resource.clone() });
        }
        let before = self.faults;
        let mut copy = resource.clone();
        copy.foreach = None;
        copy.each = None;
        let text = |this: &mut Self, text: &str, site: &Site| match template::substitute(text, items) {
            Ok(text) => text,
            Err(gap) => {
                this.gap(&gap, site);
                String::new()
            }
        };
        copy.name.value = text(self, &resource.name.value, &resource.name.site);
        if let Some(why) = name_fault(&copy.name.value).filter(|_| self.faults == before) {
            let message = format!(
                "\"{}\" cannot be the name of a resource",
                vigo_base::text::escaped(&copy.name.value)
            );
            self.error(rules::NAME_INVALID, &resource.name.site, message, why);
        }
        copy.attributes = self.settings(resource, &resource.attributes, &mut copy.templates, items, vars);
        if let Some(case) = &resource.case {
            let on = text(self, &case.on, &resource.name.site);
            let arms = case.arms.iter().map(|(name, arm)| {
                (name.clone(), self.settings(resource, arm, &mut Vec::new(), items, vars))
            });
            copy.case = Some(Branches { arms: arms.collect(), on, base: case.base });
        }
        copy.on_revert = resource.on_revert.as_ref().map(|c| text(self, c, &resource.name.site));
        if let Some(found) = &resource.when {
            let put = found.value.with_texts(&mut |t| template::substitute(t, items));
            match put {
                Ok(expr) => copy.when = self.reread(&expr, &found.site),
                Err(gap) => self.gap(&gap, &found.site),
            }
        }
        for names in [&mut copy.depends_on, &mut copy.before, &mut copy.notify, &mut copy.subscribes] {
            for name in names {
                // What stays a pattern means all the copies of another resource.
                name.value = template::substitute(&name.value, items).unwrap_or_else(|_| name.value.clone());
            }
        }
        (self.faults == before && self.within_bounds(&copy)).then_some(copy)
    }

    /// Whether no more copies are made: what there is shows that it is too much.
    fn is_full(&mut self, site: &Site) -> bool {
        if self.looks > LOOKS_MAX && self.looks < usize::MAX / 2 {
            self.looks = usize::MAX / 2;
            let message = format!("the lists of `foreach` come to more than {LOOKS_MAX} resources");
            self.error(rules::POLICY_SIZE, site, message, "shorten the lists, or split the configcrate");
        }
        self.room == 0 || self.looks > LOOKS_MAX
    }

    fn gap(&mut self, gap: &Gap, site: &Site) {
        let message = format!("{} cannot be put in here: {}", gap.mention, gap.why);
        let help = "every element needs every field that is put in; without `foreach:` there is no element";
        self.error(rules::FOREACH_ELEMENT, site, message, help);
    }

    /// A condition whose texts have changed, read anew: they are checked like those of a file.
    fn reread(&mut self, expr: &when::Expr, site: &Site) -> Option<crate::parsed::Condition> {
        match when::parse(&expr.to_string()) {
            Ok(value) => Some(crate::parsed::Condition { value, site: site.clone() }),
            Err(error) => {
                self.error(
                    rules::WHEN_INVALID,
                    site,
                    format!("with its element in it: {}", error.message),
                    error.help,
                );
                None
            }
        }
    }

    fn within_bounds(&mut self, copy: &Resource) -> bool {
        let before = self.bytes;
        for value in copy.attributes.values().flat_map(Setting::values) {
            let _: Option<()> = find_text(value, &mut |text| {
                self.bytes += text.len();
                None
            });
        }
        if before <= COPIES_BYTES && self.bytes > COPIES_BYTES {
            let message = format!("the copies for `foreach` have more than {COPIES_BYTES} bytes together");
            self.error(rules::POLICY_SIZE, &copy.name.site, message, "split the list, or shorten the texts");
        }
        self.bytes <= COPIES_BYTES
    }

    fn settings(
        &mut self,
        resource: &Resource,
        settings: &BTreeMap<String, Setting>,
        templates: &mut Vec<TemplateText>,
        items: &[&Value],
        vars: &BTreeMap<String, Value>,
    ) -> BTreeMap<String, Setting> {
        let mut all = BTreeMap::new();
        for (name, setting) in settings {
            let site = resource.sites.get(name).unwrap_or(&resource.name.site);
            let put = setting.try_map(&mut |value| {
                let value = self.embedded(value, site, templates, items, vars)?;
                let value = put_in(&value, items).map_err(|gap| self.gap(&gap, site))?;
                self.settled(resource, name, value, site)
            });
            if let Ok(setting) = put {
                all.insert(name.clone(), setting);
            }
        }
        all
    }

    /// The text of a source whose path was a template (D4).
    fn embedded(
        &mut self,
        value: &Value,
        site: &Site,
        templates: &mut Vec<TemplateText>,
        items: &[&Value],
        vars: &BTreeMap<String, Value>,
    ) -> Result<Value, ()> {
        let Some(path) = value.get("source").and_then(Value::as_str).filter(|p| template::holds(p)) else {
            return Ok(value.clone());
        };
        if !self.judged {
            return Ok(Value::String(String::new()));
        }
        let path = template::substitute(path, items).map_err(|gap| self.gap(&gap, site))?;
        let path = template::render(&path, vars, &Value::Null).map_err(|error| {
            let help = "a source is read when it is published: take a lookup table for what differs by trait";
            self.error(
                rules::SOURCE_MISSING,
                site,
                format!("the source cannot be known: {}", error.message),
                help,
            );
        })?;
        let text = source(self.templates, &path).map_err(|(message, help)| {
            self.error(rules::SOURCE_MISSING, site, format!("{path}: {message}"), help);
        })?;
        match template::check(text) {
            Ok(printed) => {
                let printed = printed.into_iter().filter(|p| !p.guarded).map(|p| (p.path, site.clone()));
                templates.push(TemplateText { printed: printed.collect() });
                Ok(Value::String(text.to_string()))
            }
            Err(error) => {
                let message = format!("{path}:{}:{}: {}", error.line, error.column, error.message);
                self.error(rules::TEMPLATE_INVALID, site, message, error.help);
                Err(())
            }
        }
    }

    /// A value after elements were put in: of the kind of its attribute.
    fn settled(&mut self, resource: &Resource, name: &str, value: Value, site: &Site) -> Result<Value, ()> {
        let kind = resource.kind;
        if name == "state" {
            let text = value.as_str().unwrap_or("");
            if value.is_null() || template::holds(text) || kind.states.contains(&text) {
                return Ok(value);
            }
            let message = format!("the resource type {} has no state \"{text}\"", kind.name);
            self.error(rules::STATE_UNKNOWN, site, message, format!("it has {}", kind.states.join(", ")));
            return Err(());
        }
        let Some(attribute) = kind.attribute(name) else { return Ok(value) };
        match (attribute.kind, value) {
            (Kind::Bool, Value::String(text)) => match text.as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ if template::holds(&text) => Ok(Value::String(text)),
                _ => self.misfit(attribute, &text, site),
            },
            (_, Value::String(text)) if !template::holds(&text) && !sound(attribute.kind, &text) => {
                self.misfit(attribute, &text, site)
            }
            (kind, Value::Array(items)) if kind.is_list() => {
                let odd =
                    items.iter().filter_map(Value::as_str).find(|t| !template::holds(t) && !sound(kind, t));
                match odd {
                    Some(odd) => self.misfit(attribute, odd, site),
                    None => Ok(Value::Array(items)),
                }
            }
            (_, value) => Ok(value),
        }
    }

    fn misfit(&mut self, attribute: &Attribute, text: &str, site: &Site) -> Result<Value, ()> {
        let mut diagnostic = misshapen(site, attribute, text);
        diagnostic.message.push_str(&self.of_pattern);
        self.report(diagnostic);
        Err(())
    }
}

/// Whether variables are needed to say what the resources of a configcrate are.
pub(crate) fn is_open(configcrate: &Configcrate) -> bool {
    configcrate.resources.iter().any(|r| r.foreach.is_some() || open(r))
}

/// Whether something in a resource is to be put in before it can be used.
fn open(resource: &Resource) -> bool {
    let source = |s: &Setting| s.values().any(|v| v.get("source").is_some());
    let branches = resource.case.iter().flat_map(|c| c.arms.values());
    resource.each.is_some()
        || resource.attributes.get("content").is_some_and(source)
        || branches.filter_map(|arm| arm.get("content")).any(source)
}

/// The name of a resource that is checked without its element.
fn plain_name(name: &Name) -> Name {
    Name { value: name.value.replace("{{", "").replace("}}", ""), site: name.site.clone() }
}

fn put_in(value: &Value, items: &[&Value]) -> Result<Value, Gap> {
    Ok(match value {
        Value::String(text) => Value::String(template::substitute(text, items)?),
        Value::Array(all) => Value::Array(all.iter().map(|v| put_in(v, items)).collect::<Result<_, _>>()?),
        Value::Object(map) => Value::Object(
            map.iter().map(|(k, v)| Ok((k.clone(), put_in(v, items)?))).collect::<Result<_, Gap>>()?,
        ),
        other => other.clone(),
    })
}
