//! From a composition to a policy: references become edges, edges an order, and what can be known about names
//! in conditions and templates is checked.
//!
//! The invariant it keeps: a policy that leaves here is sound ([`Policy::from_bytes`] would take it).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vigo_base::text::nearest;

use crate::absent;
use crate::compose::{Composed, Composition};
use crate::diagnostic::{Diagnostic, Site};
use crate::order::Graph;
use crate::parsed::{Configcrate, Name, Resource};
use crate::policy::{Policy, PolicyCrate, PolicyStep, STEPS_MAX};
use crate::rules;
use crate::template;
use crate::traits;
use crate::when::{self, Expr};

/// The configcrates of a tree, and where each resource name is declared.
pub(crate) struct Library<'a> {
    configcrates: &'a BTreeMap<String, Configcrate>,
    by_resource: BTreeMap<&'a str, Vec<&'a str>>,
    /// Those that some mention retracts, as they are then.
    retracted: BTreeMap<&'a str, Configcrate>,
}

impl<'a> Library<'a> {
    pub fn new(configcrates: &'a BTreeMap<String, Configcrate>) -> Library<'a> {
        let mut by_resource: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for configcrate in configcrates.values() {
            for resource in &configcrate.resources {
                by_resource.entry(&resource.name.value).or_default().push(&configcrate.name.value);
            }
        }
        Library { configcrates, by_resource, retracted: BTreeMap::new() }
    }

    /// Makes the retracted form of these configcrates known.
    pub fn retract(mut self, names: impl Iterator<Item = &'a str>) -> Library<'a> {
        for name in names {
            if let (Some(found), None) = (self.configcrates.get(name), self.retracted.get(name)) {
                self.retracted.insert(name, absent::retracted(found));
            }
        }
        self
    }

    /// A configcrate as it was asked for: present, or retracted.
    fn form(&self, composed: &Composed) -> Option<&Configcrate> {
        if composed.is_absent() {
            return self.retracted.get(composed.name.as_str());
        }
        self.configcrates.get(&composed.name)
    }

    /// A configcrate that is, or declares, what `name` refers to.
    fn holder(&self, name: &str) -> Option<&str> {
        if let Some((configcrate, resource)) = name.split_once('/') {
            let declared = self.configcrates.get(configcrate)?;
            return declared
                .resources
                .iter()
                .any(|r| r.name.value == resource)
                .then_some(declared.name.value.as_str());
        }
        let by_resource = self.by_resource.get(name).and_then(|c| c.first()).copied();
        by_resource.or_else(|| self.configcrates.get(name).map(|c| c.name.value.as_str()))
    }
}

/// What is being assembled.
pub(crate) struct Subject<'a> {
    pub library: &'a Library<'a>,
    pub composition: &'a Composition,
    /// The pattern of the match block; `None` for a configcrate that is checked on its own, where variables
    /// and other configcrates cannot be judged.
    pub pattern: Option<&'a str>,
}

/// What a reference leads to.
enum Found {
    Step(usize),
    Configcrate(usize),
    Nothing,
}

/// Assembles a policy; `None` if it has mistakes, all of which are reported.
pub(crate) fn assemble(subject: &Subject<'_>, sink: &mut Vec<Diagnostic>) -> Option<Policy> {
    let errors = sink.iter().filter(|d| d.is_error()).count();
    let mut assembler = Assembler::new(subject, sink)?;
    assembler.check_names();
    assembler.edges();
    let order = assembler.order();
    let failed = assembler.sink.iter().filter(|d| d.is_error()).count() > errors;
    order.filter(|_| !failed).map(|order| assembler.policy(&order))
}

struct Assembler<'a, 'b> {
    subject: &'a Subject<'a>,
    sink: &'b mut Vec<Diagnostic>,
    crates: Vec<&'a Configcrate>,
    /// Crate index and resource, in the order of composition.
    steps: Vec<(usize, &'a Resource)>,
    /// First step and number of steps of each configcrate.
    ranges: Vec<(usize, usize)>,
    /// Which configcrates are retracted.
    absent: Vec<bool>,
    /// Steps by the name of their resource.
    by_name: BTreeMap<&'a str, Vec<usize>>,
    vars: BTreeMap<String, Value>,
    depends_on: Vec<BTreeSet<usize>>,
    triggers: Vec<BTreeSet<usize>>,
    /// Pairs that are only ordered: nodes, see `order`.
    ordered: Vec<(usize, usize)>,
}

impl<'a, 'b> Assembler<'a, 'b> {
    fn new(subject: &'a Subject<'a>, sink: &'b mut Vec<Diagnostic>) -> Option<Assembler<'a, 'b>> {
        let mut crates = Vec::new();
        let (mut steps, mut ranges, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for composed in &subject.composition.configcrates {
            let Some(configcrate) = subject.library.form(composed) else { continue };
            absent.push(composed.is_absent());
            ranges.push((steps.len(), configcrate.resources.len()));
            steps.extend(configcrate.resources.iter().map(|r| (crates.len(), r)));
            crates.push(configcrate);
        }
        if steps.len() > STEPS_MAX {
            let site = crates.last().map(|c| c.name.site.clone())?;
            let message = format!("a policy has {} resources, at most {STEPS_MAX} are allowed", steps.len());
            sink.push(Diagnostic::error(rules::POLICY_SIZE, &site, message).help("split the match block"));
            return None;
        }
        let n = steps.len();
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, (_, resource)) in steps.iter().enumerate() {
            let resource: &'a Resource = resource;
            by_name.entry(resource.name.value.as_str()).or_default().push(at);
        }
        Some(Assembler {
            subject,
            by_name,
            sink,
            crates,
            steps,
            ranges,
            absent,
            vars: subject.composition.values(),
            depends_on: vec![BTreeSet::new(); n],
            triggers: vec![BTreeSet::new(); n],
            ordered: Vec::new(),
        })
    }

    /// The variables that a configcrate sees.
    fn scope(&self, index: usize) -> BTreeMap<String, Value> {
        let mut vars: BTreeMap<String, Value> =
            self.crates[index].vars.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect();
        vars.extend(self.vars.iter().map(|(k, v)| (k.clone(), v.clone())));
        vars
    }

    /// Checks the names in conditions and templates against the variables of this policy.
    fn check_names(&mut self) {
        for index in 0..self.crates.len() {
            let scope = self.scope(index);
            let mut conditional = false;
            if let Some(composed) =
                self.subject.composition.configcrates.iter().find(|c| c.name == self.crates[index].name.value)
            {
                let when = composed.when();
                conditional = when.is_some();
                if when.is_some_and(|w| w.to_string().len() > when::WHEN_BYTES)
                    && let Some(mention) = composed.mentions.last()
                {
                    let message = format!("the conditions of {} together are too long", composed.name);
                    let help = "ask for it with fewer or shorter conditions";
                    self.sink.push(Diagnostic::error(rules::POLICY_SIZE, &mention.site, message).help(help));
                }
                for when in composed.counting().filter_map(|m| m.when.as_ref()) {
                    self.check_condition(&when.value, &when.site, &scope);
                }
            }
            let (first, count) = self.ranges[index];
            for at in first..first + count {
                let resource = self.steps[at].1;
                if let Some(when) = &resource.when {
                    self.check_condition(&when.value, &when.site, &scope);
                    self.check_changed(when);
                }
                for (path, site) in resource.templates.iter().flat_map(|t| &t.printed) {
                    // A trait that does not exist is a mistake in any policy; a variable may be meant for others.
                    let of_vars = path.first().is_some_and(|p| p == "Vars");
                    let certain = resource.when.is_none() && !(of_vars && conditional);
                    self.check_printed(path, site, &scope, certain);
                }
            }
        }
    }

    fn of_pattern(&self) -> String {
        self.subject.pattern.map(|p| format!(" (for hosts of `{p}`)")).unwrap_or_default()
    }

    fn check_condition(&mut self, expr: &Expr, site: &Site, scope: &BTreeMap<String, Value>) {
        if self.subject.pattern.is_none() {
            return;
        }
        for misuse in when::check(expr, scope) {
            let message = format!("{}{}", misuse.message, self.of_pattern());
            self.sink.push(Diagnostic::error(rules::WHEN_NAME, site, message).help(misuse.help));
        }
        let mut printed = Vec::new();
        expr.walk(&mut |part| {
            if let Expr::Call(_, arguments) = part {
                for found in arguments.iter().filter_map(|a| template::check(a).ok()) {
                    printed.extend(found.into_iter().filter(|p| !p.guarded));
                }
            }
        });
        for name in printed {
            self.check_printed(&name.path, site, scope, true);
        }
    }

    fn check_changed(&mut self, when: &crate::parsed::Condition) {
        let (_, rest) = when.value.clone().without_changed();
        if rest.is_some_and(|r| r.holds_changed()) {
            let message = "`changed` stands alone or beside `&&`, not under `!` or `||`";
            let help = "write `changed && …`; for \"or\", use two resources";
            self.sink.push(Diagnostic::error(rules::WHEN_CHANGED, &when.site, message).help(help));
        }
    }

    fn check_printed(
        &mut self,
        path: &[String],
        site: &Site,
        scope: &BTreeMap<String, Value>,
        certain: bool,
    ) {
        let (message, near) = match path {
            [space, rest @ ..] if space == "Traits" && !rest.is_empty() => {
                let name = rest.join(".");
                if traits::is_known(&name) {
                    return;
                }
                (
                    format!("there is no trait {name}"),
                    nearest(&name, traits::paths()).map(|n| format!(".Traits.{n}")),
                )
            }
            [space, name, inner @ ..] if space == "Vars" && self.subject.pattern.is_some() => match scope
                .get(name)
            {
                None => {
                    let near = nearest(name, scope.keys().map(String::as_str)).map(|n| format!(".Vars.{n}"));
                    (format!("the variable {name} has no value{}", self.of_pattern()), near)
                }
                Some(value) => {
                    if inner.iter().try_fold(value, |at, part| at.get(part)).is_some_and(|v| !v.is_null()) {
                        return;
                    }
                    let whole = path[1..].join(".");
                    (format!("the variable {whole} has no value{}", self.of_pattern()), None)
                }
            },
            _ => return,
        };
        let help = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "set it in `vars:`, or give it a fallback: `| default \"…\"`".to_string(),
        };
        self.sink.push(if certain {
            Diagnostic::error(rules::TEMPLATE_NAME, site, message).help(help)
        } else {
            Diagnostic::warning(rules::TEMPLATE_NAME, site, message).help(help)
        });
    }

    fn edges(&mut self) {
        for (at, (_, resource)) in self.steps.clone().into_iter().enumerate() {
            for name in &resource.depends_on {
                if let Found::Step(on) = self.find(at, name, "depends_on") {
                    self.depends_on[at].insert(on);
                    self.ordered.push((on, at));
                }
            }
            for name in &resource.before {
                if let Found::Step(then) = self.find(at, name, "before") {
                    self.ordered.push((at, then));
                }
            }
            for name in &resource.notify {
                for then in self.all(at, name, "notify") {
                    self.triggers[at].insert(then);
                    self.ordered.push((at, then));
                }
            }
            for name in &resource.subscribes {
                for first in self.all(at, name, "subscribes") {
                    self.triggers[first].insert(at);
                    self.ordered.push((first, at));
                }
            }
        }
        for index in 0..self.crates.len() {
            let configcrate = self.crates[index];
            for name in &configcrate.depends_on {
                if let Some(other) = self.other_crate(name) {
                    self.order_crates(other, index);
                }
            }
            for name in &configcrate.before {
                if let Some(other) = self.other_crate(name) {
                    self.order_crates(index, other);
                }
            }
        }
    }

    /// One configcrate after another; what is retracted goes after those that need it.
    fn order_crates(&mut self, first: usize, then: usize) {
        let n = self.steps.len();
        let (first, then) = if self.absent[first] { (then, first) } else { (first, then) };
        self.ordered.push((end_of(n, first), begin_of(n, then)));
    }

    fn other_crate(&mut self, name: &Name) -> Option<usize> {
        let found = self.crates.iter().position(|c| c.name.value == name.value);
        if found.is_none()
            && self.subject.pattern.is_some()
            && self.subject.library.configcrates.contains_key(&name.value)
        {
            let message = format!("{} is not part of the policy{}", name.value, self.of_pattern());
            let help = "the order has no effect there; ask for it too, or leave this";
            self.sink.push(Diagnostic::warning(rules::REFERENCE_ABSENT, &name.site, message).help(help));
        }
        found
    }

    /// The steps that a `notify` or `subscribes` means.
    fn all(&mut self, at: usize, name: &Name, key: &str) -> Vec<usize> {
        match self.find(at, name, key) {
            Found::Step(step) => vec![step],
            Found::Configcrate(index) => {
                let (first, count) = self.ranges[index];
                (first..first + count).filter(|s| *s != at).collect()
            }
            Found::Nothing => Vec::new(),
        }
    }

    /// What `name` means in the step `at`: a resource beside it, a qualified one, one elsewhere in the policy
    /// whose name is unique, or (for `notify` and `subscribes`) a configcrate.
    fn find(&mut self, at: usize, name: &Name, key: &str) -> Found {
        let own = self.steps[at].0;
        let text = name.value.as_str();
        let named: Vec<usize> = match text.split_once('/') {
            Some((configcrate, resource)) => self.named(resource, |c| c == configcrate),
            None => {
                let beside = &self.crates[own].name.value;
                let beside = self.named(text, |c| c == beside);
                if beside.is_empty() { self.named(text, |_| true) } else { beside }
            }
        };
        let configcrate = self.crates.iter().position(|c| c.name.value == text);
        match (named.as_slice(), configcrate) {
            ([one], _) if self.lost_to_retraction(own, self.steps[*one].0, name, key) => Found::Nothing,
            ([one], _) => Found::Step(*one),
            ([], Some(index)) if matches!(key, "notify" | "subscribes") => {
                if self.lost_to_retraction(own, index, name, key) {
                    return Found::Nothing;
                }
                Found::Configcrate(index)
            }
            ([], Some(_)) => {
                let message = format!("{text} is a configcrate, and `{key}:` of a resource names resources");
                let help = format!("to order whole configcrates, use `{key}:` of the configcrate");
                self.sink.push(Diagnostic::error(rules::REFERENCE_UNKNOWN, &name.site, message).help(help));
                Found::Nothing
            }
            ([], None) => {
                self.not_found(own, name, key);
                Found::Nothing
            }
            (many, _) => {
                let holders: Vec<String> = many
                    .iter()
                    .map(|s| format!("{}/{text}", self.crates[self.steps[*s].0].name.value))
                    .collect();
                let message = format!("{text} is declared in {} configcrates", many.len());
                let help = format!("write one of {}", holders.join(", "));
                self.sink.push(Diagnostic::error(rules::REFERENCE_AMBIGUOUS, &name.site, message).help(help));
                Found::Nothing
            }
        }
    }

    /// Reports a reference into a configcrate that is retracted here; true if it is one.
    fn lost_to_retraction(&mut self, own: usize, other: usize, name: &Name, key: &str) -> bool {
        if !self.absent[other] || own == other {
            return false;
        }
        let message = format!(
            "{} is retracted{}, and `{key}` names {}",
            self.crates[other].name.value,
            self.of_pattern(),
            name.value
        );
        let help = "take the reference out, or retract this configcrate too";
        self.sink.push(if key == "depends_on" {
            Diagnostic::error(rules::REFERENCE_ABSENT, &name.site, message).help(help)
        } else {
            Diagnostic::warning(rules::REFERENCE_ABSENT, &name.site, message).help(help)
        });
        true
    }

    /// The steps of that name in the configcrates that `of` picks.
    fn named(&self, resource: &str, of: impl Fn(&str) -> bool) -> Vec<usize> {
        let all = self.by_name.get(resource).map(Vec::as_slice).unwrap_or_default();
        all.iter().copied().filter(|s| of(&self.crates[self.steps[*s].0].name.value)).collect()
    }

    fn not_found(&mut self, own: usize, name: &Name, key: &str) {
        let text = name.value.as_str();
        if let Some(holder) = self.subject.library.holder(text) {
            if self.subject.pattern.is_none() {
                return;
            }
            let message =
                format!("{text} belongs to the configcrate {holder}, which is not part of the policy");
            let message = format!("{message}{}", self.of_pattern());
            let help = format!("ask for {holder} too");
            self.sink.push(if key == "depends_on" {
                Diagnostic::error(rules::REFERENCE_ABSENT, &name.site, message).help(help)
            } else {
                Diagnostic::warning(rules::REFERENCE_ABSENT, &name.site, message).help(help)
            });
            return;
        }
        let resource = text.rsplit('/').next().unwrap_or(text);
        if self.subject.library.configcrates.values().any(|c| c.lost.iter().any(|l| l == resource)) {
            return;
        }
        let beside = self.crates[own].resources.iter().map(|r| r.name.value.as_str());
        let elsewhere = self.subject.library.by_resource.keys().copied();
        let all: Vec<&str> = beside.chain(elsewhere).collect();
        let message = format!("`{key}` names {text}, which no configcrate declares");
        let diagnostic = Diagnostic::error(rules::REFERENCE_UNKNOWN, &name.site, message);
        self.sink.push(
            diagnostic.near(text, all).help("name a resource of this configcrate, or configcrate/resource"),
        );
    }

    /// The steps in order, or `None` with the cycle reported. Beside the steps, each configcrate has a node
    /// where it begins and one where it ends.
    fn order(&mut self) -> Option<Vec<usize>> {
        let n = self.steps.len();
        let mut keys: Vec<usize> = (0..n).collect();
        for (first, count) in &self.ranges {
            keys.push(*first);
            keys.push((first + count).saturating_sub(1));
        }
        let mut graph = Graph::new(keys);
        for (index, (first, count)) in self.ranges.iter().enumerate() {
            graph.edge(begin_of(n, index), end_of(n, index));
            for step in *first..first + count {
                graph.edge(begin_of(n, index), step);
                graph.edge(step, end_of(n, index));
            }
        }
        for (first, then) in &self.ordered {
            graph.edge(*first, *then);
        }
        match graph.sort() {
            Ok(order) => Some(order.into_iter().filter(|node| *node < n).collect()),
            Err(cycle) => {
                self.report_cycle(&cycle);
                None
            }
        }
    }

    fn report_cycle(&mut self, cycle: &[usize]) {
        let n = self.steps.len();
        let mut members: Vec<String> = Vec::new();
        let mut sites: Vec<&Site> = Vec::new();
        for node in cycle {
            let (member, site) = if *node < n {
                let (index, resource) = &self.steps[*node];
                let id = format!("{}/{}", self.crates[*index].name.value, resource.name.value);
                (id, &resource.name.site)
            } else {
                let configcrate = self.crates[(*node - n) / 2];
                (format!("configcrate {}", configcrate.name.value), &configcrate.name.site)
            };
            if members.last() != Some(&member) {
                members.push(member);
                sites.push(site);
            }
        }
        if members.len() > 1 && members.first() == members.last() {
            members.pop();
        }
        let Some(site) = sites.first().copied().cloned() else { return };
        let first = members.first().cloned().unwrap_or_default();
        let message = if members.len() < 2 {
            format!("{first} waits for itself")
        } else {
            format!("these wait for each other: {} → {first}", members.join(" → "))
        };
        let help = "remove one of the depends_on, before, notify or subscribes between them";
        self.sink.push(Diagnostic::error(rules::ORDER_CYCLE, &site, message).help(help));
    }

    fn policy(&self, order: &[usize]) -> Policy {
        let index = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut place = vec![0u32; self.steps.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = index(new);
        }
        let placed = |set: &BTreeSet<usize>| {
            let mut all: Vec<u32> = set.iter().map(|s| place[*s]).collect();
            all.sort_unstable();
            all
        };
        let composed = &self.subject.composition.configcrates;
        let configcrates = self.crates.iter().map(|c| PolicyCrate {
            name: c.name.value.clone(),
            when: composed.iter().find(|m| m.name == c.name.value).and_then(|m| m.when()),
            vars: c.vars.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect(),
        });
        let steps = order.iter().map(|old| {
            let (configcrate, resource) = &self.steps[*old];
            PolicyStep {
                configcrate: index(*configcrate),
                name: resource.name.value.clone(),
                kind: resource.kind.name.to_string(),
                attributes: resource.attributes.clone(),
                when: resource.when.as_ref().map(|w| w.value.clone()),
                depends_on: placed(&self.depends_on[*old]),
                triggers: placed(&self.triggers[*old]),
                timeout: resource.timeout,
            }
        });
        Policy { configcrates: configcrates.collect(), vars: self.vars.clone(), steps: steps.collect() }
    }
}

fn begin_of(steps: usize, index: usize) -> usize {
    steps + 2 * index
}

fn end_of(steps: usize, index: usize) -> usize {
    steps + 2 * index + 1
}
