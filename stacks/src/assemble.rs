//! From a composition to a policy: copies are made for lists, references become edges, edges an order, and what can be
//! known about names in conditions and templates is checked.
//!
//! The invariant it keeps: a policy that leaves here is sound ([`Policy::from_bytes`] would take it).

mod library;
mod names;
mod references;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::compose::{Composed, Composition};
use crate::diagnostic::{Diagnostic, Site, any_error};
use crate::expand::{Expansion, Instance, is_open};
use crate::order::Graph;
use crate::parsed::{Configcrate, Resource};
use crate::policy::{Policy, PolicyCrate, PolicyStep, STEPS_MAX};
use crate::rules;

pub(crate) use library::Library;

/// What is being assembled.
pub(crate) struct Subject<'a> {
    pub library: &'a Library<'a>,
    pub composition: &'a Composition,
    /// The pattern of the match block; `None` for a configcrate that is checked on its own, where variables
    /// and other configcrates cannot be judged.
    pub pattern: Option<&'a str>,
}

/// What assembling came to.
#[derive(Debug, Default)]
pub(crate) struct Assembled {
    /// The policy; none if it has mistakes, or was not wanted.
    pub policy: Option<Policy>,
    /// Every mistake.
    pub said: Vec<Diagnostic>,
    /// Of a configcrate on its own: mistakes of its copies, which count where no policy showed them already.
    pub doubted: Vec<Diagnostic>,
}

/// Assembles a policy; a configcrate on its own is only checked.
pub(crate) fn assemble(subject: &Subject<'_>) -> Assembled {
    let mut made = Assembled::default();
    let Some(mut assembler) = Assembler::new(subject, &mut made.said, &mut made.doubted) else { return made };
    assembler.check_names();
    assembler.edges();
    assembler.check_triggers();
    let order = assembler.order().filter(|_| subject.pattern.is_some());
    let order = order.filter(|_| !any_error(assembler.sink));
    made.policy = order.map(|order| assembler.policy(&order));
    made
}

/// A configcrate of the policy, or an instance of one.
struct Crate<'a> {
    configcrate: &'a Configcrate,
    composed: &'a Composed,
    /// Its name in the policy, with the key of an instance.
    name: String,
    /// Whether it is retracted.
    absent: bool,
}

/// A step before it is placed.
struct Planned<'a> {
    /// Index of its configcrate.
    of: usize,
    resource: Cow<'a, Resource>,
    /// The name that it has in the file, which may hold an element of `foreach:`.
    pattern: &'a str,
    /// Its name in the policy, with the key of its instance.
    name: String,
}

struct Assembler<'a, 'b> {
    subject: &'a Subject<'a>,
    sink: &'b mut Vec<Diagnostic>,
    crates: Vec<Crate<'a>>,
    /// In the order of composition.
    steps: Vec<Planned<'a>>,
    /// First step and number of steps of each configcrate.
    ranges: Vec<(usize, usize)>,
    /// Steps by their names in the policy.
    by_name: BTreeMap<String, Vec<usize>>,
    /// Steps by their configcrate and their name in it.
    beside: BTreeMap<(usize, String), usize>,
    vars: BTreeMap<String, Value>,
    depends_on: Vec<BTreeSet<usize>>,
    triggers: Vec<BTreeSet<usize>>,
    /// Pairs that are only ordered: nodes, see `order`.
    ordered: Vec<(usize, usize)>,
}

impl<'a, 'b> Assembler<'a, 'b> {
    fn new(
        subject: &'a Subject<'a>,
        sink: &'b mut Vec<Diagnostic>,
        doubted: &mut Vec<Diagnostic>,
    ) -> Option<Assembler<'a, 'b>> {
        let mut this = Assembler {
            subject,
            sink,
            crates: Vec::new(),
            steps: Vec::new(),
            ranges: Vec::new(),
            by_name: BTreeMap::new(),
            beside: BTreeMap::new(),
            vars: subject.composition.values(),
            depends_on: Vec::new(),
            triggers: Vec::new(),
            ordered: Vec::new(),
        };
        let mut bytes = 0;
        for composed in &subject.composition.configcrates {
            let Some(configcrate) = subject.library.form(composed) else { continue };
            let listed = composed.foreach().is_some() || is_open(configcrate);
            let vars = if listed { seen(configcrate, &this.vars) } else { BTreeMap::new() };
            let of_pattern = this.of_pattern();
            let judged = subject.pattern.is_some();
            let mut expansion = Expansion {
                templates: subject.library.templates,
                sink: if judged { &mut *this.sink } else { &mut *doubted },
                of_pattern,
                judged,
                bytes,
                room: STEPS_MAX.saturating_sub(this.steps.len()) + 1,
                looks: 0,
                faults: 0,
            };
            let instances = expansion.instances(configcrate, composed.foreach(), &vars);
            bytes = expansion.bytes;
            this.check_once(composed);
            for instance in instances {
                this.add(composed, instance);
            }
            if this.steps.len() > STEPS_MAX {
                let site = &configcrate.name.site;
                let message = format!("a policy has more than {STEPS_MAX} resources{}", this.of_pattern());
                let help = "split the match block, or shorten the lists of `foreach:`";
                this.sink.push(Diagnostic::error(rules::POLICY_SIZE, site, message).help(help));
                return None;
            }
        }
        this.depends_on = vec![BTreeSet::new(); this.steps.len()];
        this.triggers = this.depends_on.clone();
        Some(this)
    }

    fn add(&mut self, composed: &'a Composed, instance: Instance<'a>) {
        let of = self.crates.len();
        self.ranges.push((self.steps.len(), instance.resources.len()));
        for (resource, pattern) in instance.resources {
            let at = self.steps.len();
            let own = resource.name.value.clone();
            let name = format!("{own}{}", instance.suffix);
            self.by_name.entry(name.clone()).or_default().push(at);
            self.beside.insert((of, own), at);
            self.steps.push(Planned { of, resource, pattern, name });
        }
        let Instance { configcrate, name, .. } = instance;
        self.crates.push(Crate { configcrate, composed, name, absent: composed.is_absent() });
    }

    /// Warns of a configcrate that is asked for with `foreach:` more than once, or with and without (G18).
    fn check_once(&mut self, composed: &Composed) {
        let first = composed.foreach().map(|f| (&f.list.value, f.key.as_ref().map(|k| &k.value)));
        let differs = |m: &&crate::compose::Mention| {
            m.foreach.as_ref().map(|f| (&f.list.value, f.key.as_ref().map(|k| &k.value))) != first
        };
        let (Some(other), Some(counts)) = (composed.mentions.iter().find(differs), composed.mentions.first())
        else {
            return;
        };
        let message = format!("{} is asked for with another `foreach`{}", composed.name, self.of_pattern());
        let help = format!("the first mention counts, at {}: put everything into one list", counts.site);
        self.sink.push(Diagnostic::warning(rules::FOREACH_ONCE, &other.site, message).help(help));
    }

    /// The variables that a configcrate sees; what a trait decides stands there as a truth value.
    fn scope(&self, index: usize) -> BTreeMap<String, Value> {
        let configcrate = self.crates[index].configcrate;
        let mut vars = seen(configcrate, &self.vars);
        for name in configcrate.tests.keys() {
            vars.entry(name.clone()).or_insert(Value::Bool(true));
        }
        vars
    }

    fn of_pattern(&self) -> String {
        self.subject.pattern.map(|p| format!(" (for hosts of `{p}`)")).unwrap_or_default()
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
                let step = &self.steps[*node];
                (format!("{}/{}", self.crates[step.of].name, step.name), &step.resource.name.site)
            } else {
                let of = &self.crates[(*node - n) / 2];
                (format!("configcrate {}", of.name), &of.configcrate.name.site)
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
        let configcrates = self.crates.iter().map(|c| PolicyCrate {
            name: c.name.clone(),
            when: c.composed.when(),
            vars: c.configcrate.vars.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect(),
            tests: (c.configcrate.tests.iter())
                .filter(|(name, _)| !self.vars.contains_key(*name))
                .map(|(name, test)| (name.clone(), test.value.clone()))
                .collect(),
        });
        let steps = order.iter().map(|old| {
            let Planned { of, resource, name, .. } = &self.steps[*old];
            PolicyStep {
                configcrate: index(*of),
                name: name.clone(),
                kind: resource.kind.name.to_string(),
                attributes: resource.attributes.clone(),
                case: resource.case.clone(),
                when: resource.when.as_ref().map(|w| w.value.clone()),
                depends_on: placed(&self.depends_on[*old]),
                triggers: placed(&self.triggers[*old]),
                timeout: resource.timeout,
                revert: resource.revert,
                on_revert: resource.on_revert.clone(),
                watch_secret: resource.watch_secret.clone(),
            }
        });
        Policy { configcrates: configcrates.collect(), vars: self.vars.clone(), steps: steps.collect() }
    }
}

/// The defaults of a configcrate, with the variables of a policy over them.
fn seen(configcrate: &Configcrate, above: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut vars: BTreeMap<String, Value> =
        configcrate.vars.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect();
    vars.extend(above.iter().map(|(k, v)| (k.clone(), v.clone())));
    vars
}

fn begin_of(steps: usize, index: usize) -> usize {
    steps + 2 * index
}

fn end_of(steps: usize, index: usize) -> usize {
    steps + 2 * index + 1
}
