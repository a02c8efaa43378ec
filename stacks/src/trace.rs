//! Why a host gets what it gets: configcrates, variables, tags, claims and waivers, each with its place.
//!
//! It decides nothing itself: it shows what composing and resolving decide, and what overrode what. Text from files
//! is escaped when printed.

mod text;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use vigo_base::target::glob_matches;

use crate::compliance::{self, Claims, Day, Via, Waiver};
use crate::compose::{self, Composed, Composition, Mention};
use crate::diagnostic::{Diagnostic, Site, finish};
use crate::parsed::{MatchBlock, Parsed};
use crate::read;
use crate::source::SourceTree;
use crate::when::{Answer, Expr, NoProbe, Scope, eval};

/// Where everything of one host comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// The host that was asked for.
    pub host: String,
    /// The match block that counts; without one, nothing applies.
    pub matched: Option<Matched>,
    /// Blocks that match too, but come later.
    pub shadowed: Vec<Matched>,
    /// The common.vgo files that apply, the root's first.
    pub common: Vec<String>,
    /// The environments.vgo files that give something to its environment, the root's first.
    pub environments: Vec<String>,
    /// The tags of the host.
    pub tags: Vec<TracedTag>,
    /// The configcrates and usercrates, in order.
    pub configcrates: Vec<TracedCrate>,
    /// What was excluded.
    pub excluded: Vec<TracedExclusion>,
    /// The variables.
    pub vars: Vec<TracedVar>,
    /// The controls that its configcrates claim, those that are retracted left out.
    pub controls: Vec<TracedControl>,
    /// What is waived for it.
    pub waivers: Vec<TracedWaiver>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedTag {
    /// The tag.
    pub name: String,
    /// Where it stands: `path:line`.
    pub origin: String,
}

/// A control, and who claims it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedControl {
    /// The framework.
    pub framework: String,
    /// The control's id in it.
    pub control: String,
    /// Everyone who claims it.
    pub claimed_by: Vec<TracedClaim>,
    /// Whether a waiver for this host names it, one that has not run out as far as the day is known.
    pub waived: bool,
}

/// One claim of a control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedClaim {
    /// The configcrate or usercrate.
    pub configcrate: String,
    /// A tag of a catalogue, or a file.
    pub via: Via,
    /// Where that stands: `path:line`.
    pub origin: String,
    /// Whether the configcrate applies, as far as the given traits tell.
    pub applies: Applies,
}

/// A waiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedWaiver {
    /// What it says.
    #[serde(flatten)]
    pub waiver: Waiver,
    /// Whether it counts on the day of the trace; nothing where no day was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<bool>,
}

/// A match block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Its pattern.
    pub pattern: String,
    /// Where it stands: `path:line`.
    pub origin: String,
    /// The tags it gives.
    pub tags: Vec<String>,
    /// The environment it declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// A configcrate and who asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedCrate {
    /// Its name.
    pub name: String,
    /// Whether it is a usercrate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub usercrate: bool,
    /// Whether it is retracted here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// The file that declares it.
    pub path: String,
    /// Everyone who asks for it, first to last.
    pub asked_by: Vec<Reason>,
    /// The condition under which it applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whether it applies, as far as the given traits tell.
    pub applies: Applies,
}

/// Whether something applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Applies {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It depends on traits that were not given, or on the machine.
    Unknown,
}

/// One reason for a configcrate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A common.vgo, a role, the match block or an environments.vgo.
    pub by: String,
    /// Where it stands: `path:line`.
    pub origin: String,
    /// The condition that counts for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The list of whose elements each makes an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreach: Option<String>,
    /// Whether it asks for the configcrate to be retracted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// Whether it counts; it does not where a more specific one says the other state.
    pub counts: bool,
}

/// A configcrate that was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedExclusion {
    /// Its name.
    pub name: String,
    /// A common.vgo, the match block or an environments.vgo.
    pub by: String,
    /// Where the exclusion stands: `path:line`.
    pub origin: String,
    /// Who had asked for it.
    pub asked_by: Vec<Reason>,
}

/// A variable and what set it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TracedVar {
    /// Its name.
    pub name: String,
    /// The configcrate that alone sees this value: a default that nothing overrides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configcrate: Option<String>,
    /// What set it: the last one counts, those before were overridden.
    pub layers: Vec<TracedLayer>,
}

/// One setting of a variable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TracedLayer {
    /// A configcrate's defaults, a role, a common.vgo, the match block or an environments.vgo.
    pub by: String,
    /// Where it stands: `path:line`.
    pub origin: String,
    /// The value.
    pub value: Value,
}

fn origin(site: &Site) -> String {
    format!("{}:{}", site.path, site.line)
}

/// Traces `host` through a tree, with its traits if they are known. What is wrong with the tree is reported as
/// by [`crate::compile()`], without what only whole policies show; the trace shows what could be read.
pub fn trace(tree: &SourceTree, host: &str, traits: Option<&Value>) -> (Trace, Vec<Diagnostic>) {
    let tracer = Tracer::new(tree);
    let trace = tracer.trace(host, traits);
    (trace, tracer.diagnostics)
}

/// A tree made ready to trace any number of hosts through it.
#[derive(Debug)]
pub struct Tracer {
    parsed: Parsed,
    claims: Claims,
    /// What is wrong with the tree, as far as [`trace`] tells it.
    pub diagnostics: Vec<Diagnostic>,
}

impl Tracer {
    /// Reads and checks the tree.
    pub fn new(tree: &SourceTree) -> Tracer {
        let mut sink = Vec::new();
        let parsed = read::tree(tree, &mut sink);
        crate::check::check(&parsed, &mut sink);
        let claims = Claims::of(&parsed);
        Tracer { parsed, claims, diagnostics: finish(sink) }
    }

    /// Traces one host, with its traits if they are known.
    pub fn trace(&self, host: &str, traits: Option<&Value>) -> Trace {
        traced(&self.parsed, &self.claims, host, traits)
    }
}

fn traced(parsed: &Parsed, claims: &Claims, host: &str, traits: Option<&Value>) -> Trace {
    let mut matching = parsed.blocks.iter().filter(|b| glob_matches(&b.pattern.value, host));
    let block = matching.next();
    let mut trace = Trace::of(host);
    trace.matched = block.map(|block| matched(block));
    trace.shadowed = matching.map(|block| matched(block)).collect();
    if let Some(block) = block {
        let composition = compose::compose(parsed, block);
        let commons = compose::chain(&block.dir).into_iter().filter_map(|d| parsed.commons.get(d));
        trace.common = commons.map(|c| c.path.to_string()).collect();
        let environments = compose::environments(parsed, block);
        trace.environments = environments.map(|(_, e)| format!("{} ({})", e.path, e.name.value)).collect();
        let tag =
            |tag: &crate::parsed::Name| TracedTag { name: tag.value.clone(), origin: origin(&tag.site) };
        trace.tags = block.tags.iter().map(tag).collect();
        trace.configcrates = traced_crates(parsed, &composition, traits);
        trace.excluded = composition.excluded.iter().map(traced_exclusion).collect();
        trace.vars = traced_vars(parsed, &composition);
        let waivers = compliance::waivers(&parsed.waivers, &block.dir).cloned();
        trace.waivers = waivers.map(|waiver| TracedWaiver { waiver, counts: None }).collect();
        trace.controls = traced_controls(claims, &trace);
    }
    trace
}

impl Trace {
    fn of(host: &str) -> Trace {
        Trace {
            host: host.to_string(),
            matched: None,
            shadowed: Vec::new(),
            common: Vec::new(),
            environments: Vec::new(),
            tags: Vec::new(),
            configcrates: Vec::new(),
            excluded: Vec::new(),
            vars: Vec::new(),
            controls: Vec::new(),
            waivers: Vec::new(),
        }
    }

    /// Says of each waiver whether it counts today, which a tree does not know.
    pub fn on(mut self, today: Day) -> Trace {
        for traced in &mut self.waivers {
            traced.counts = Some(traced.waiver.counts_on(today));
        }
        for control in &mut self.controls {
            control.waived = is_waived(&self.waivers, &control.framework, &control.control);
        }
        self
    }
}

fn is_waived(waivers: &[TracedWaiver], framework: &str, control: &str) -> bool {
    let names = |w: &TracedWaiver| w.waiver.framework == framework && w.waiver.control == control;
    waivers.iter().any(|w| names(w) && w.counts != Some(false))
}

fn matched(block: &MatchBlock) -> Matched {
    Matched {
        pattern: block.pattern.value.clone(),
        origin: origin(&block.pattern.site),
        tags: block.tags.iter().map(|tag| tag.value.clone()).collect(),
        environment: block.environment.as_ref().map(|name| name.value.clone()),
    }
}

fn reason(mention: &Mention, counts: bool) -> Reason {
    Reason {
        by: mention.by.clone(),
        origin: origin(&mention.site),
        when: mention.when.as_ref().map(|w| w.value.to_string()),
        foreach: mention.foreach.as_ref().map(|f| f.list.value.clone()),
        absent: mention.absent,
        counts,
    }
}

fn traced_exclusion(excluded: &compose::Exclusion) -> TracedExclusion {
    TracedExclusion {
        name: excluded.name.value.clone(),
        by: excluded.by.clone(),
        origin: origin(&excluded.name.site),
        asked_by: excluded.asked.iter().map(|mention| reason(mention, true)).collect(),
    }
}

fn traced_crates(parsed: &Parsed, composition: &Composition, traits: Option<&Value>) -> Vec<TracedCrate> {
    let values = composition.values();
    let one = |composed: &Composed| {
        let declared = parsed.configcrates.get(&composed.name)?;
        let mut vars: BTreeMap<String, Value> =
            declared.vars.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect();
        // What a trait decides is known once it is reported; until then its name stands for nothing.
        let told = |test: &crate::conditional::Test| test.on(traits?).map(Value::Bool);
        let tests = declared.tests.iter().filter_map(|(name, test)| Some((name.clone(), told(&test.value)?)));
        vars.extend(tests);
        vars.extend(values.iter().map(|(k, v)| (k.clone(), v.clone())));
        let (when, absent) = (composed.when(), composed.is_absent());
        Some(TracedCrate {
            name: composed.name.clone(),
            usercrate: declared.user,
            absent,
            path: declared.path.to_string(),
            asked_by: composed.mentions.iter().map(|m| reason(m, m.absent == absent)).collect(),
            applies: applies(when.as_ref(), &vars, traits),
            when: when.map(|w| w.to_string()),
        })
    };
    composition.configcrates.iter().filter_map(one).collect()
}

/// What the configcrates of a host claim, by control; what is retracted claims nothing.
fn traced_controls(claims: &Claims, trace: &Trace) -> Vec<TracedControl> {
    let mut by_control: BTreeMap<(String, String), Vec<TracedClaim>> = BTreeMap::new();
    for traced in trace.configcrates.iter().filter(|c| !c.absent) {
        for claim in claims.get(&traced.name) {
            let key = (claim.framework.to_string(), claim.control.to_string());
            by_control.entry(key).or_default().push(TracedClaim {
                configcrate: traced.name.clone(),
                via: claim.via.clone(),
                origin: claim.origin.to_string(),
                applies: traced.applies,
            });
        }
    }
    let control = |((framework, control), claimed_by): ((String, String), Vec<TracedClaim>)| TracedControl {
        waived: is_waived(&trace.waivers, &framework, &control),
        framework,
        control,
        claimed_by,
    };
    by_control.into_iter().map(control).collect()
}

fn applies(when: Option<&Expr>, vars: &BTreeMap<String, Value>, traits: Option<&Value>) -> Applies {
    let Some(when) = when else { return Applies::Yes };
    let scope = Scope { vars, traits: traits.unwrap_or(&Value::Null) };
    match eval(when, &scope, &mut NoProbe) {
        Answer::Yes => Applies::Yes,
        Answer::No => Applies::No,
        Answer::Unavailable(_) => Applies::Unknown,
    }
}

fn traced_vars(parsed: &Parsed, composition: &Composition) -> Vec<TracedVar> {
    let mut vars: Vec<TracedVar> = Vec::new();
    let mut defaults: BTreeMap<&str, Vec<TracedLayer>> = BTreeMap::new();
    for composed in &composition.configcrates {
        let Some(declared) = parsed.configcrates.get(&composed.name) else { continue };
        let by = format!("configcrate {} (default)", composed.name);
        let values = declared.vars.iter().map(|(name, var)| (name, &var.site, var.value.clone()));
        let tests = declared.tests.iter().map(|(name, test)| (name, &test.site, condition(&test.value)));
        for (name, site, value) in values.chain(tests) {
            let layer = TracedLayer { by: by.clone(), origin: origin(site), value };
            if composition.vars.contains_key(name) {
                defaults.entry(name).or_default().push(layer);
            } else {
                let configcrate = Some(composed.name.clone());
                vars.push(TracedVar { name: name.clone(), configcrate, layers: vec![layer] });
            }
        }
    }
    for (name, layers) in &composition.vars {
        let mut all = defaults.remove(name.as_str()).unwrap_or_default();
        all.extend(layers.iter().map(|l| TracedLayer {
            by: l.by.clone(),
            origin: origin(&l.site),
            value: l.value.clone(),
        }));
        vars.push(TracedVar { name: name.clone(), configcrate: None, layers: all });
    }
    vars.sort_by(|a, b| (&a.name, &a.configcrate).cmp(&(&b.name, &b.configcrate)));
    vars
}

/// A conditional variable as it is written.
fn condition(test: &crate::conditional::Test) -> Value {
    let asked = match test.values.as_slice() {
        [one] if test.ask != crate::conditional::Ask::In => Value::from(one.as_str()),
        all => Value::from(all.to_vec()),
    };
    serde_json::json!({"trait": test.path, test.ask.key(): asked})
}
