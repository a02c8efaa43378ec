//! The third stage: which configcrates and variables a match block comes to, and why.
//!
//! The order of composition (D17) is in one function; every element remembers who asked for it. Names that do
//! not exist are passed over here, because [`crate::check`] has reported them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Condition, MatchBlock, Name, Parsed, Ref, Vars};
use crate::rules;
use crate::when::Expr;

/// What a match block comes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Composition {
    /// The configcrates, in order, without the excluded.
    pub configcrates: Vec<Composed>,
    /// The variables of roles, common.vgo and the match block; the last layer of each counts.
    pub vars: BTreeMap<String, Vec<Layer>>,
    /// What was excluded: the configcrate's name, and where the exclusion stands.
    pub excluded: Vec<Name>,
}

/// A configcrate that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Composed {
    pub name: String,
    /// Everyone who asks for it, first to last.
    pub mentions: Vec<Mention>,
}

/// One reason for a configcrate.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    /// A common.vgo by its path, `role web (given at …)`, `role base (included by web, given at …)` or
    /// `match block`.
    pub by: String,
    pub site: Site,
    /// The condition that counts for it: its own, else its role's, else that of the mention of the role.
    pub when: Option<Condition>,
}

/// One setting of a variable.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub by: String,
    pub site: Site,
    pub value: Value,
}

impl Composed {
    /// It applies where any of its mentions does.
    pub fn when(&self) -> Option<Expr> {
        if self.mentions.is_empty() {
            return None;
        }
        let mut conditions: Vec<Expr> = Vec::new();
        for mention in &self.mentions {
            let condition = mention.when.as_ref()?;
            if !conditions.contains(&condition.value) {
                conditions.push(condition.value.clone());
            }
        }
        Some(Expr::any(conditions))
    }
}

impl Composition {
    /// The values of the variables, without the defaults of configcrates.
    pub fn values(&self) -> BTreeMap<String, Value> {
        let last =
            |(name, layers): (&String, &Vec<Layer>)| Some((name.clone(), layers.last()?.value.clone()));
        self.vars.iter().filter_map(last).collect()
    }

    fn ask(&mut self, by: &str, mention: &Ref, inherited: Option<&Condition>) {
        let when = mention.when.as_ref().or(inherited).cloned();
        let reason = Mention { by: by.to_string(), site: mention.name.site.clone(), when };
        match self.configcrates.iter_mut().find(|c| c.name == mention.name.value) {
            Some(composed) => composed.mentions.push(reason),
            None => {
                self.configcrates.push(Composed { name: mention.name.value.clone(), mentions: vec![reason] });
            }
        }
    }

    fn set(&mut self, by: &str, vars: &Vars) {
        for (name, var) in vars {
            let layer = Layer { by: by.to_string(), site: var.site.clone(), value: var.value.clone() };
            self.vars.entry(name.clone()).or_default().push(layer);
        }
    }
}

/// The directories whose common.vgo applies to an entry in `dir`, the root first; none for the root (D7).
pub(crate) fn chain(dir: &str) -> Vec<&str> {
    if dir.is_empty() {
        return Vec::new();
    }
    let mut dirs = vec![""];
    dirs.extend(dir.match_indices('/').map(|(i, _)| &dir[..i]));
    dirs.push(dir);
    dirs
}

/// Composes a match block (D17): common (parent to child), roles (included first), the block's own, exclusions;
/// variables of roles below those of common, those of the block on top (D2).
pub(crate) fn compose(parsed: &Parsed, block: &MatchBlock) -> Composition {
    let mut composition = Composition::default();
    let commons: Vec<_> = chain(&block.dir).into_iter().filter_map(|d| parsed.commons.get(d)).collect();
    for common in &commons {
        for mention in &common.configcrates {
            if parsed.configcrates.contains_key(&mention.name.value) {
                composition.ask(&common.path, mention, None);
            }
        }
    }
    let of_common = commons.iter().flat_map(|c| &c.roles);
    for mention in of_common.chain(&block.roles) {
        add_role(&mut composition, parsed, mention);
    }
    for mention in &block.configcrates {
        if parsed.configcrates.contains_key(&mention.name.value) {
            composition.ask("match block", mention, None);
        }
    }
    for common in &commons {
        composition.set(&common.path, &common.vars);
    }
    composition.set("match block", &block.vars);
    for exclusion in commons.iter().flat_map(|c| &c.exclude).chain(&block.exclude) {
        let before = composition.configcrates.len();
        composition.configcrates.retain(|c| c.name != exclusion.value);
        if composition.configcrates.len() < before {
            composition.excluded.push(exclusion.clone());
        }
    }
    composition
}

fn add_role(composition: &mut Composition, parsed: &Parsed, mention: &Ref) {
    let Some(role) = parsed.roles.get(&mention.name.value) else { return };
    let given = format!("given at {}", mention.name.site);
    let outer = role.when.as_ref().or(mention.when.as_ref());
    for include in &role.includes {
        let Some(inner) = parsed.roles.get(&include.value) else { continue };
        let by = format!("role {} (included by {}, {given})", inner.name.value, role.name.value);
        composition.set(&by, &inner.vars);
        let inherited = inner.when.as_ref().or(outer);
        for crate_ref in &inner.configcrates {
            if parsed.configcrates.contains_key(&crate_ref.name.value) {
                composition.ask(&by, crate_ref, inherited);
            }
        }
    }
    let by = format!("role {} ({given})", role.name.value);
    composition.set(&by, &role.vars);
    for crate_ref in &role.configcrates {
        if parsed.configcrates.contains_key(&crate_ref.name.value) {
            composition.ask(&by, crate_ref, outer);
        }
    }
}

/// Warns about what a composition does that its author may not expect.
pub(crate) fn review(
    parsed: &Parsed,
    block: &MatchBlock,
    composition: &Composition,
    sink: &mut Vec<Diagnostic>,
) {
    for composed in &composition.configcrates {
        let first = composed.mentions.first().map(|m| m.when.as_ref().map(|w| &w.value));
        let other = composed.mentions.iter().find(|m| Some(m.when.as_ref().map(|w| &w.value)) != first);
        if let (Some(other), Some(first)) = (other, composed.mentions.first()) {
            let message =
                format!("{} is asked for under different conditions, and applies under any", composed.name);
            let help = format!(
                "the other mention is at {}; give both the same condition, or remove one",
                first.site
            );
            sink.push(Diagnostic::warning(rules::CONDITIONS_DIFFER, &other.site, message).help(help));
        }
    }
    for exclusion in &block.exclude {
        let own = block.configcrates.iter().find(|c| c.name.value == exclusion.value);
        if let Some(own) = own {
            let message = format!("{} is both asked for and excluded here", exclusion.value);
            let help = "it is excluded; remove one of the two";
            sink.push(Diagnostic::warning(rules::EXCLUDES_NOTHING, &own.name.site, message).help(help));
        } else if parsed.configcrates.contains_key(&exclusion.value)
            && !composition.excluded.iter().any(|e| e.value == exclusion.value)
        {
            let message = format!("nothing asks for {} here, so the exclusion does nothing", exclusion.value);
            sink.push(
                Diagnostic::warning(rules::EXCLUDES_NOTHING, &exclusion.site, message).help("remove it"),
            );
        }
    }
}
