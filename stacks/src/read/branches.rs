//! `case:` and `match:` of a resource, and conditional variables of a configcrate: what an envoy's traits decide.
//!
//! All branches are checked, whichever a machine may take.

use std::collections::BTreeMap;

use crate::conditional::{Ask, Test};
use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::Spanned;
use crate::rules;
use crate::schema::{self, Type};
use crate::setting::{ARMS_MAX, Branches, Setting};
use crate::template;
use crate::yaml::{Data, Entry, Node, Style};

use super::Reader;
use super::attribute::Body;
use super::keys::Entries;
use super::resource::{Defaults, states, stored};

impl Reader<'_> {
    /// `case:` and `match:` (G21).
    pub(super) fn branches(
        &mut self,
        given: &Entries<'_>,
        kind: &'static Type,
        body: &mut Body,
    ) -> Option<Branches> {
        let (case, arms) = match (given.get("case"), given.get("match")) {
            (None, None) => return None,
            (Some((_, case)), Some((_, arms))) => (case, arms),
            (Some((site, _)), None) | (None, Some((site, _))) => {
                let message = "`case` and `match` belong together";
                let help = "`case:` is a template, `match:` a map of its results to attributes";
                self.sink.push(Diagnostic::error(rules::CASE_SHAPE, site, message).help(help));
                return None;
            }
        };
        let on = self.text(case, "a template like \"{{ .Traits.os.family }}\"")?;
        if template::mentions(&on).is_empty() && !template::holds(&on) {
            let message = "`case` always comes to the same";
            let help = match crate::traits::path_of(&on) {
                Some(path) => format!("write \"{{{{ .Traits.{path} }}}}\""),
                None => {
                    "write a template like \"{{ .Traits.os.family }}\" or \"{{ .Vars.flavor }}\"".to_string()
                }
            };
            let diagnostic = Diagnostic::error(rules::CASE_SHAPE, &case.site, message);
            self.sink.push(diagnostic.found(&on).help(help));
            return None;
        }
        self.check_template(&on, case, body);
        let Data::Map(entries) = &arms.data else {
            let diagnostic = Diagnostic::error(rules::CASE_SHAPE, &arms.site, "`match` is a map");
            let expected = "the results of `case`, each with a map of attributes";
            self.sink.push(diagnostic.found(&arms.shown()).expected(expected));
            return None;
        };
        if entries.len() > ARMS_MAX {
            let message = format!("there are {} branches, at most {ARMS_MAX} are allowed", entries.len());
            self.sink
                .push(Diagnostic::error(rules::CASE_SHAPE, &arms.site, message).help("split the resource"));
            return None;
        }
        let mut read: BTreeMap<String, BTreeMap<String, Setting>> = BTreeMap::new();
        for entry in entries {
            if entry.key == "default" {
                let message = "`match` has no branch `default`";
                let help = "what stands beside `case` counts where no branch matches: put the fallback there";
                self.sink.push(Diagnostic::error(rules::CASE_SHAPE, &entry.key_site, message).help(help));
                continue;
            }
            if let Some(settings) = self.branch(entry, kind, body) {
                read.insert(entry.key.clone(), settings);
            }
        }
        let base = self.complete(given, entries, &read, kind, body);
        Some(Branches { on, arms: read, base })
    }

    /// One branch: attributes of the type, and `state`.
    fn branch(
        &mut self,
        entry: &Entry,
        kind: &'static Type,
        whole: &mut Body,
    ) -> Option<BTreeMap<String, Setting>> {
        let Data::Map(entries) = &entry.value.data else {
            let message = format!("the branch {} is a map of attributes", entry.key);
            let diagnostic = Diagnostic::error(rules::CASE_SHAPE, &entry.value.site, message);
            self.sink.push(diagnostic.found(&entry.value.shown()).expected("attributes and values"));
            return None;
        };
        let given: Entries<'_> = entries.iter().map(|e| (e.key.as_str(), (&e.key_site, &e.value))).collect();
        for (key, (site, _)) in &given {
            let own = kind.attribute(key).is_some() || *key == "state";
            if own || (*key == "path" && kind.attribute("target_path").is_some()) {
                continue;
            }
            let known: Vec<&str> = kind.attributes.iter().map(|a| a.name).chain(["state"]).collect();
            let diagnostic = if schema::COMMON_FIELDS.contains(key) {
                let message = format!("a branch does not set `{key}`");
                Diagnostic::error(rules::CASE_SHAPE, site, message)
                    .help("it sets attributes of the type; put this beside `case`, or write two resources")
            } else {
                let message = format!("the resource type {} has no attribute `{key}`", kind.name);
                let help = format!("known are {}", known.join(", "));
                Diagnostic::error(rules::KEY_UNKNOWN, site, message).near(key, known).help(help)
            };
            self.sink.push(diagnostic);
        }
        for (a, b) in kind.exclusive {
            if let (Some(_), Some((site, _))) = (given.get(a), given.get(b)) {
                let message = format!("`{a}` and `{b}` exclude each other");
                self.sink
                    .push(Diagnostic::error(rules::ATTRIBUTES_EXCLUSIVE, site, message).help("keep one"));
            }
        }
        let mut body = Body::default();
        self.fill(&given, &Defaults::new(), kind, &mut body);
        // What a branch prints is not printed for certain: only its mistakes count.
        for (name, site) in body.sites {
            whole.sites.entry(name).or_insert(site);
        }
        Some(body.settings)
    }

    /// Whether the base stands alone, and that each branch with it has what the type needs.
    fn complete(
        &mut self,
        given: &Entries<'_>,
        entries: &[Entry],
        branches: &BTreeMap<String, BTreeMap<String, Setting>>,
        kind: &'static Type,
        body: &Body,
    ) -> bool {
        // What is given and wrong has been reported, and is not missing.
        let lacks = |branch: Option<(&Entry, &BTreeMap<String, Setting>)>| {
            let get = |name: &str| branch.and_then(|(_, b)| b.get(name)).or_else(|| body.settings.get(name));
            let written = |name: &str| {
                let path = |key: &str| key == name || (key == "path" && name == "target_path");
                given.keys().any(|key| path(key))
                    || branch.is_some_and(|(entry, _)| {
                        matches!(&entry.value.data, Data::Map(inner) if inner.iter().any(|e| path(&e.key)))
                    })
            };
            let states = states(get("state"));
            kind.attributes.iter().find(|a| {
                let needed = states.iter().any(|s| kind.needs(a, *s));
                needed && get(stored(a.name, a.kind)).is_none() && !written(a.name)
            })
        };
        for entry in entries {
            let Some(branch) = branches.get(&entry.key) else { continue };
            if let Some(missing) = lacks(Some((entry, branch))) {
                let what = format!("the branch {} of a resource of type {}", entry.key, kind.name);
                self.missing(&entry.key_site, &what, missing.name, missing.about);
            }
        }
        let content = branches.values().any(|b| b.contains_key("content"));
        lacks(None).is_none() && (!content || body.settings.contains_key("content"))
    }

    /// `vars:` of a configcrate: its variables, and those that traits decide (D3).
    pub(super) fn configcrate_vars(
        &mut self,
        node: &Node,
    ) -> (crate::parsed::Vars, BTreeMap<String, Spanned<Test>>) {
        let Data::Map(entries) = &node.data else { return (self.vars(node), BTreeMap::new()) };
        let mut tests = BTreeMap::new();
        let mut plain = Vec::new();
        for entry in entries {
            match &entry.value.data {
                Data::Map(inner) if is_conditional(inner) => {
                    if self.refuse_word(&entry.key, &entry.key_site) {
                        continue;
                    }
                    let test = self.test(&entry.value.site, inner);
                    tests.extend(
                        test.map(|value| {
                            (entry.key.clone(), Spanned { value, site: entry.key_site.clone() })
                        }),
                    );
                }
                _ => plain.push(entry.clone()),
            }
        }
        let plain = Node { site: node.site.clone(), data: Data::Map(plain) };
        (self.vars(&plain), tests)
    }

    fn test(&mut self, site: &Site, entries: &[Entry]) -> Option<Test> {
        let mut asks: Vec<(&Entry, Ask)> = Vec::new();
        let mut path = None;
        for entry in entries {
            let ask = Ask::ALL.iter().find(|(key, _)| *key == entry.key);
            match (entry.key.as_str(), ask) {
                ("trait", _) => path = self.text(&entry.value, "the name of a trait, like os.family"),
                (_, Some((_, ask))) => asks.push((entry, *ask)),
                (key, None) => {
                    let keys = Ask::ALL.map(|(key, _)| key);
                    let message = format!("a conditional variable has no key `{key}`");
                    let diagnostic = Diagnostic::error(rules::CONDITIONAL_VARIABLE, &entry.key_site, message);
                    let help = format!("it has `trait` and one of {}", keys.join(", "));
                    self.sink.push(diagnostic.near(key, keys).help(help));
                    return None;
                }
            }
        }
        let [(entry, ask)] = asks.as_slice() else {
            let message = "a conditional variable asks for one thing";
            let help = "keep one of in, eq, gt, gte, lt, lte; join two variables in the condition with `&&`";
            self.sink.push(Diagnostic::error(rules::CONDITIONAL_VARIABLE, site, message).help(help));
            return None;
        };
        let named = path?;
        let items = match (&entry.value.data, ask) {
            (Data::List(items), Ask::In) => items.as_slice(),
            (Data::Scalar(_), ask) if *ask != Ask::In => std::slice::from_ref(&entry.value),
            _ => {
                let (found, key) = (entry.value.shown(), ask.key());
                let message = format!("`{key}` of a conditional variable has another value");
                let expected = if *ask == Ask::In { "a list, like [debian, redhat]" } else { "one value" };
                let diagnostic = Diagnostic::error(rules::CONDITIONAL_VARIABLE, &entry.value.site, message);
                self.sink.push(diagnostic.found(&found).expected(expected));
                return None;
            }
        };
        let values: Vec<String> = items.iter().filter_map(|item| self.text(item, "a text")).collect();
        if values.len() < items.len() || values.len() > ARMS_MAX {
            return None;
        }
        let path = crate::traits::path_of(&named).map_or(named, str::to_string);
        let test = Test { path, ask: *ask, values };
        if let Some((message, help)) = test.fault() {
            self.sink.push(Diagnostic::error(rules::CONDITIONAL_VARIABLE, site, message).help(help));
            return None;
        }
        Some(test)
    }
}

/// Whether a value of `vars:` asks for a trait: it has `trait:`, and a key that compares or one like it.
pub(super) fn is_conditional(entries: &[Entry]) -> bool {
    let asks = |e: &Entry| {
        Ask::ALL.iter().any(|(key, _)| *key == e.key) || matches!(e.key.as_str(), "not_in" | "ne" | "matches")
    };
    let text =
        |e: &Entry| matches!(&e.value.data, Data::Scalar(s) if s.style == Style::Plain || !s.text.is_empty());
    entries.iter().any(|e| e.key == "trait" && text(e)) && (entries.len() == 1 || entries.iter().any(asks))
}
