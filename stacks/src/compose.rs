//! The third stage: which configcrates, usercrates and variables a match block comes to, and why.
//!
//! The order of composition (D17) is in one function; every element remembers who asked for it. Names that do
//! not exist are passed over here, because [`crate::check`] has reported them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Common, Condition, Environment, Foreach, MatchBlock, Name, Parsed, Ref, Role, Vars};
use crate::rules;
use crate::when::Expr;

/// What a match block comes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Composition {
    /// The configcrates and usercrates, in order, without the excluded.
    pub configcrates: Vec<Composed>,
    /// The variables of roles, common.vgo, the match block and environments.vgo; the last layer of each counts.
    pub vars: BTreeMap<String, Vec<Layer>>,
    /// What was excluded.
    pub excluded: Vec<Exclusion>,
    /// Places in `configcrates`, while they are asked for.
    places: BTreeMap<String, usize>,
}

/// A configcrate that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Composed {
    pub name: String,
    /// Everyone who asks for it, first to last.
    pub mentions: Vec<Mention>,
}

/// How specific a mention is: of those that disagree about the state of a configcrate, the greatest counts (F35).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A role that another includes.
    Included,
    Role,
    /// A common.vgo so many directories deep.
    Common(usize),
    Block,
    /// An environments.vgo so many directories deep.
    Environment(usize),
}

/// One reason for a configcrate.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    /// A common.vgo by its path, `role web (given at …)`, `role base (included by web, given at …)`,
    /// `match block`, or an environments.vgo with the environment.
    pub by: String,
    pub rank: Rank,
    pub site: Site,
    /// The condition that counts for it: its own, else its case's, else its role's, else that of the mention of
    /// the role.
    pub when: Option<Condition>,
    /// Whether it asks for the configcrate to be retracted.
    pub absent: bool,
    /// The list of whose elements each makes an instance.
    pub foreach: Option<Foreach>,
}

/// One setting of a variable.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub by: String,
    pub site: Site,
    pub value: Value,
}

/// A configcrate that was taken out.
#[derive(Debug, Clone)]
pub(crate) struct Exclusion {
    pub name: Name,
    pub by: String,
    pub rank: Rank,
    /// Who had asked for it, and how specific that was.
    pub asked: Vec<Mention>,
}

/// Who is speaking, while a block is composed.
struct Carrier {
    by: String,
    rank: Rank,
}

impl Composed {
    /// Whether it is retracted here: the most specific mention decides.
    pub fn is_absent(&self) -> bool {
        self.mentions.iter().max_by_key(|m| m.rank).is_some_and(|m| m.absent)
    }

    /// The list of whose elements each makes an instance: that of the first mention (G18).
    pub fn foreach(&self) -> Option<&Foreach> {
        self.mentions.first()?.foreach.as_ref()
    }

    /// The mentions that count for its state: all but those that a more specific one overrides.
    pub fn counting(&self) -> impl Iterator<Item = &Mention> {
        let absent = self.is_absent();
        self.mentions.iter().filter(move |m| m.absent == absent)
    }

    /// It applies where any of the mentions that count does.
    pub fn when(&self) -> Option<Expr> {
        if self.mentions.is_empty() {
            return None;
        }
        let mut conditions: Vec<Expr> = Vec::new();
        for mention in self.counting() {
            let condition = mention.when.as_ref()?;
            if !conditions.contains(&condition.value) {
                conditions.push(condition.value.clone());
            }
        }
        Some(Expr::any(conditions))
    }
}

impl Composition {
    /// A composition of one configcrate, without a fleet.
    pub fn of(composed: Composed) -> Composition {
        Composition { configcrates: vec![composed], ..Composition::default() }
    }

    /// The values of the variables, without the defaults of configcrates.
    pub fn values(&self) -> BTreeMap<String, Value> {
        let last =
            |(name, layers): (&String, &Vec<Layer>)| Some((name.clone(), layers.last()?.value.clone()));
        self.vars.iter().filter_map(last).collect()
    }

    /// The names of those that are retracted.
    pub fn retracted(&self) -> impl Iterator<Item = &str> {
        self.configcrates.iter().filter(|c| c.is_absent()).map(|c| c.name.as_str())
    }

    fn ask(&mut self, carrier: &Carrier, mention: &Ref, inherited: Option<&Condition>) {
        let when = mention.when.as_ref().or(inherited).cloned();
        let (by, rank) = (carrier.by.clone(), carrier.rank);
        let site = mention.name.site.clone();
        let foreach = mention.foreach.clone();
        let reason = Mention { by, rank, site, when, absent: mention.is_absent(), foreach };
        let name = &mention.name.value;
        match self.places.get(name) {
            Some(place) => self.configcrates[*place].mentions.push(reason),
            None => {
                self.places.insert(name.clone(), self.configcrates.len());
                self.configcrates.push(Composed { name: name.clone(), mentions: vec![reason] });
            }
        }
    }

    fn ask_all(&mut self, parsed: &Parsed, carrier: &Carrier, refs: &[Ref], user: bool) {
        for mention in refs.iter().filter(|r| parsed.library(&r.name.value, user).is_some()) {
            self.ask(carrier, mention, None);
        }
    }

    fn set(&mut self, carrier: &Carrier, vars: &Vars) {
        for (name, var) in vars {
            let layer = Layer { by: carrier.by.clone(), site: var.site.clone(), value: var.value.clone() };
            self.vars.entry(name.clone()).or_default().push(layer);
        }
    }

    fn exclude(&mut self, carrier: &Carrier, names: &[Name]) {
        for name in names {
            let Some(place) = self.configcrates.iter().position(|c| c.name == name.value) else { continue };
            let asked = self.configcrates.remove(place).mentions;
            self.excluded.push(Exclusion {
                name: name.clone(),
                by: carrier.by.clone(),
                rank: carrier.rank,
                asked,
            });
        }
    }
}

/// The directories above an entry in `dir` and its own, the root first.
pub(crate) fn ancestors(dir: &str) -> Vec<&str> {
    let mut dirs = vec![""];
    dirs.extend(dir.match_indices('/').map(|(i, _)| &dir[..i]));
    if !dir.is_empty() {
        dirs.push(dir);
    }
    dirs
}

/// The directories whose common.vgo applies to an entry in `dir`, the root first; none for the root (D7).
pub(crate) fn chain(dir: &str) -> Vec<&str> {
    if dir.is_empty() { Vec::new() } else { ancestors(dir) }
}

/// What a block inherits, each with its carrier.
struct Inherited<'a> {
    commons: Vec<(Carrier, &'a Common)>,
    environments: Vec<(Carrier, &'a Environment)>,
    block: Carrier,
}

impl<'a> Inherited<'a> {
    fn of(parsed: &'a Parsed, block: &MatchBlock) -> Inherited<'a> {
        let commons = chain(&block.dir).into_iter().enumerate().filter_map(|(depth, dir)| {
            let common = parsed.commons.get(dir)?;
            Some((Carrier { by: common.path.to_string(), rank: Rank::Common(depth) }, &**common))
        });
        let environments = environments(parsed, block).map(|(depth, found)| {
            let by = format!("{} ({})", found.path, found.name.value);
            (Carrier { by, rank: Rank::Environment(depth) }, found)
        });
        Inherited {
            commons: commons.collect(),
            environments: environments.collect(),
            block: Carrier { by: "match block".into(), rank: Rank::Block },
        }
    }
}

/// What the environments.vgo files from the root down give to the environment of a block. The root's counts for
/// blocks at the root too: they declare their environment themselves.
pub(crate) fn environments<'a>(
    parsed: &'a Parsed,
    block: &MatchBlock,
) -> impl Iterator<Item = (usize, &'a Environment)> {
    let of_dir = |name: &Name| {
        let found = ancestors(&block.dir).into_iter().enumerate();
        let found =
            found.filter_map(|(depth, dir)| Some((depth, parsed.environments.get(dir)?.get(&name.value)?)));
        found.collect::<Vec<_>>()
    };
    block.environment.as_ref().map(of_dir).unwrap_or_default().into_iter()
}

/// Composes a match block (D17): common (parent to child), roles (included first), the block's own, usercrates,
/// environments, exclusions; variables of roles below those of common, then those of the block, those of
/// environments on top (D2).
pub(crate) fn compose(parsed: &Parsed, block: &MatchBlock) -> Composition {
    let mut composition = Composition::default();
    let inherited = Inherited::of(parsed, block);
    for (carrier, common) in &inherited.commons {
        composition.ask_all(parsed, carrier, &common.configcrates, false);
    }
    let roles: Vec<&Ref> = inherited.commons.iter().flat_map(|(_, c)| &c.roles).chain(&block.roles).collect();
    for mention in &roles {
        add_role(&mut composition, parsed, mention, false);
    }
    composition.ask_all(parsed, &inherited.block, &block.configcrates, false);
    for (carrier, common) in &inherited.commons {
        composition.ask_all(parsed, carrier, &common.usercrates, true);
    }
    for mention in &roles {
        add_role(&mut composition, parsed, mention, true);
    }
    composition.ask_all(parsed, &inherited.block, &block.usercrates, true);
    for (carrier, environment) in &inherited.environments {
        composition.ask_all(parsed, carrier, &environment.configcrates, false);
        composition.ask_all(parsed, carrier, &environment.usercrates, true);
    }
    for (carrier, common) in &inherited.commons {
        composition.set(carrier, &common.vars);
    }
    composition.set(&inherited.block, &block.vars);
    for (carrier, environment) in &inherited.environments {
        composition.set(carrier, &environment.vars);
    }
    for (carrier, common) in &inherited.commons {
        composition.exclude(carrier, &common.exclude);
    }
    composition.exclude(&inherited.block, &block.exclude);
    for (carrier, environment) in &inherited.environments {
        composition.exclude(carrier, &environment.exclude);
    }
    composition
}

/// Adds a role's configcrates and variables, or its usercrates.
fn add_role(composition: &mut Composition, parsed: &Parsed, mention: &Ref, user: bool) {
    let Some(role) = parsed.roles.get(&mention.name.value) else { return };
    let given = format!("given at {}", mention.name.site);
    let outer = role.when.as_ref().or(mention.when.as_ref());
    for include in &role.includes {
        let Some(inner) = parsed.roles.get(&include.value) else { continue };
        let by = format!("role {} (included by {}, {given})", inner.name.value, role.name.value);
        let carrier = Carrier { by, rank: Rank::Included };
        add_members(composition, parsed, &carrier, inner, inner.when.as_ref().or(outer), user);
    }
    let carrier = Carrier { by: format!("role {} ({given})", role.name.value), rank: Rank::Role };
    add_members(composition, parsed, &carrier, role, outer, user);
}

fn add_members(
    composition: &mut Composition,
    parsed: &Parsed,
    carrier: &Carrier,
    role: &Role,
    when: Option<&Condition>,
    user: bool,
) {
    if !user {
        composition.set(carrier, &role.vars);
    }
    let members = if user { &role.usercrates } else { &role.configcrates };
    let of_cases = role.cases.iter().flat_map(|case| {
        let members = if user { &case.usercrates } else { &case.configcrates };
        members.iter().map(|member| (member, Some(&case.when)))
    });
    for (member, when) in members.iter().map(|member| (member, when)).chain(of_cases) {
        if parsed.library(&member.name.value, user).is_some() {
            composition.ask(carrier, member, when);
        }
    }
}

/// Reports what a composition does that its author may not expect, and what cannot be known to be meant.
pub(crate) fn review(
    parsed: &Parsed,
    block: &MatchBlock,
    composition: &Composition,
    sink: &mut Vec<Diagnostic>,
) {
    for composed in &composition.configcrates {
        review_states(composed, sink);
        review_conditions(composed, sink);
    }
    for excluded in &composition.excluded {
        review_exclusion(excluded, sink);
    }
    let environments = environments(parsed, block).flat_map(|(_, e)| &e.exclude);
    for exclusion in block.exclude.iter().chain(environments) {
        let done = composition.excluded.iter().any(|e| e.name.value == exclusion.value);
        if parsed.library(&exclusion.value, false).is_some() && !done {
            let message = format!("nothing asks for {} here, so the exclusion does nothing", exclusion.value);
            sink.push(
                Diagnostic::warning(rules::EXCLUDES_NOTHING, &exclusion.site, message).help("remove it"),
            );
        }
    }
    review_environment(parsed, block, sink);
}

fn review_conditions(composed: &Composed, sink: &mut Vec<Diagnostic>) {
    let Some(first) = composed.counting().next() else { return };
    let condition = |mention: &Mention| mention.when.as_ref().map(|w| w.value.clone());
    let Some(other) = composed.counting().find(|m| condition(m) != condition(first)) else { return };
    let message = format!("{} is asked for under different conditions, and applies under any", composed.name);
    let help = format!("the other mention is at {}; give both the same condition, or remove one", first.site);
    sink.push(Diagnostic::warning(rules::CONDITIONS_DIFFER, &other.site, message).help(help));
}

/// Whether a configcrate is present or absent is decided here, when no condition is known; what a condition would
/// have to decide, or nothing does, is refused.
fn review_states(composed: &Composed, sink: &mut Vec<Diagnostic>) {
    let Some(winner) = composed.mentions.iter().max_by_key(|m| m.rank) else { return };
    let state = |mention: &Mention| if mention.absent { "absent" } else { "present" };
    for other in composed.mentions.iter().filter(|m| m.absent != winner.absent) {
        let (message, help) = if other.rank == winner.rank {
            (
                format!("{} is {} here and {} elsewhere", composed.name, state(other), state(winner)),
                format!("the other mention, just as specific, is at {}: let both say the same", winner.site),
            )
        } else if let Some(when) = &winner.when {
            (
                format!(
                    "whether {} is {} or {} would depend on the condition `{}`",
                    composed.name,
                    state(winner),
                    state(other),
                    when.value
                ),
                format!(
                    "the state is decided at publish, without conditions: {} says {} when that holds; take its \
                     condition away, or give those hosts a match block of their own",
                    winner.site,
                    state(winner)
                ),
            )
        } else {
            continue;
        };
        sink.push(Diagnostic::error(rules::STATES_DIFFER, &other.site, message).help(help));
    }
}

/// Warns where an exclusion takes out what somebody more specific, or as specific, asks for.
fn review_exclusion(excluded: &Exclusion, sink: &mut Vec<Diagnostic>) {
    let name = &excluded.name;
    let below = |m: &&Mention| m.rank >= excluded.rank;
    let Some(own) = excluded.asked.iter().find(below) else { return };
    let (message, help) = if own.site.path == name.site.path {
        (
            format!("{} is both asked for and excluded here", name.value),
            "it is excluded; remove one of the two".to_string(),
        )
    } else {
        (
            format!("{} is asked for here, and excluded by {}", name.value, excluded.by),
            format!("it is excluded, at {}; remove one of the two", name.site),
        )
    };
    sink.push(Diagnostic::warning(rules::EXCLUDES_NOTHING, &own.site, message).help(help));
}

fn review_environment(parsed: &Parsed, block: &MatchBlock, sink: &mut Vec<Diagnostic>) {
    let Some(name) = &block.environment else { return };
    let readable = !parsed.lost.contains("environments");
    if environments(parsed, block).next().is_none() && readable {
        let known = ancestors(&block.dir).into_iter().filter_map(|dir| parsed.environments.get(dir));
        let known: Vec<&str> = known.flat_map(|of_file| of_file.keys()).map(String::as_str).collect();
        let message = format!("no environments.vgo that applies here gives {} anything", name.value);
        let help = "declare it under `env:` of an environments.vgo in this directory or above";
        let diagnostic = Diagnostic::warning(rules::ENVIRONMENT_UNKNOWN, &name.site, message);
        sink.push(diagnostic.near(&name.value, known).help(help));
    }
}
