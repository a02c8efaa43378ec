//! From what files say to what each configcrate claims.
//!
//! It decides nothing about hosts. The invariant it keeps: a claim is there once for each source, and in one order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Catalogue, Claim, Via, bundles, provisions};
use crate::compose::ancestors;
use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Configcrate, Name, Parsed};
use crate::rules;

/// The two catalogues, read once for a tree.
#[derive(Debug, Default)]
struct Catalogues {
    provisions: Catalogue,
    bundles: Catalogue,
}

impl Catalogues {
    /// Those that these configcrates need: none, if none has a tag.
    fn of<'a>(mut crates: impl Iterator<Item = &'a Configcrate>) -> Catalogues {
        if crates.any(|c| !c.compliance.provides.is_empty() || !c.compliance.bundle.is_empty()) {
            return Catalogues { provisions: provisions(), bundles: bundles() };
        }
        Catalogues::default()
    }

    fn check(&self, found: &Configcrate, sink: &mut Vec<Diagnostic>) {
        for tag in found.compliance.provides.iter().filter(|tag| self.provisions.get(&tag.value).is_none()) {
            sink.push(unknown(tag, "provision", &self.provisions, ("bundle", &self.bundles)));
        }
        for tag in found.compliance.bundle.iter().filter(|tag| self.bundles.get(&tag.value).is_none()) {
            sink.push(unknown(tag, "bundle", &self.bundles, ("provides", &self.provisions)));
        }
    }
}

/// A tag that its catalogue does not have: it claims nothing (B17).
fn unknown(tag: &Name, of: &str, own: &Catalogue, other: (&str, &Catalogue)) -> Diagnostic {
    let message = format!("the catalogue has no {of} {}", tag.value);
    let diagnostic = Diagnostic::error(rules::COMPLIANCE_TAG_UNKNOWN, &tag.site, message);
    if other.1.get(&tag.value).is_some() {
        return diagnostic.help(format!("it is a tag of the other catalogue: name it under `{}:`", other.0));
    }
    let help = format!("`vigocli compliance {of}s` lists them; it claims nothing");
    diagnostic.near(&tag.value, own.tags()).help(help)
}

/// Reports every tag that its catalogue does not have.
pub(crate) fn check_tags<'a>(
    crates: impl Iterator<Item = &'a Configcrate> + Clone,
    sink: &mut Vec<Diagnostic>,
) {
    let catalogues = Catalogues::of(crates.clone());
    crates.for_each(|found| catalogues.check(found, sink));
}

/// The claims of every configcrate and usercrate of a tree that has any, by name (B13, B14, B22).
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    by_name: BTreeMap<String, Vec<Claim>>,
}

impl Claims {
    /// Attaches to each configcrate what its own tags and the compliance.vgo files above its file claim.
    pub fn of(parsed: &Parsed) -> Claims {
        let crates = parsed.configcrates.values();
        let catalogues = Catalogues::of(crates.clone());
        let mut by_dir: BTreeMap<&str, Vec<Claim>> = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for found in crates {
            let dir = found.path.rsplit_once('/').map_or("", |(dir, _)| dir);
            let inherited = by_dir.entry(dir).or_insert_with(|| of_files(parsed, dir));
            let mut claims = inherited.clone();
            of_tags(&found.compliance.provides, &catalogues.provisions, Via::Provision, &mut claims);
            of_tags(&found.compliance.bundle, &catalogues.bundles, Via::Bundle, &mut claims);
            claims.sort();
            claims.dedup();
            if !claims.is_empty() {
                by_name.insert(found.name.value.clone(), claims);
            }
        }
        Claims { by_name }
    }

    /// What a configcrate claims.
    pub fn get(&self, name: &str) -> &[Claim] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of them, by the names of configcrates.
    pub fn into_map(self) -> BTreeMap<String, Vec<Claim>> {
        self.by_name
    }
}

fn of_files(parsed: &Parsed, dir: &str) -> Vec<Claim> {
    let lines = ancestors(dir).into_iter().filter_map(|dir| parsed.claims.get(dir)).flatten();
    let claim = |line: &crate::parsed::ClaimLine| Claim {
        framework: Arc::from(line.framework.as_str()),
        control: Arc::from(line.control.value.as_str()),
        via: Via::File(Arc::clone(&line.control.site.path)),
        origin: Arc::from(line.control.site.to_string()),
    };
    lines.map(claim).collect()
}

fn of_tags(tags: &[Name], catalogue: &Catalogue, via: impl Fn(Arc<str>) -> Via, claims: &mut Vec<Claim>) {
    for tag in tags {
        let Some((name, entry)) = catalogue.entries.get_key_value(tag.value.as_str()) else { continue };
        let origin: Arc<str> = Arc::from(tag.site.to_string());
        for (framework, controls) in &entry.controls {
            claims.extend(controls.iter().map(|control| Claim {
                framework: Arc::clone(framework),
                control: Arc::clone(control),
                via: via(Arc::clone(name)),
                origin: Arc::clone(&origin),
            }));
        }
    }
}

/// Reports tags that are not known, and warns about files of claims and waivers that are for nothing.
pub(crate) fn review(parsed: &Parsed, sink: &mut Vec<Diagnostic>) {
    check_tags(parsed.configcrates.values(), sink);
    let below = |dir: &str, path: &str| {
        dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
    };
    for (dir, lines) in &parsed.claims {
        let Some(line) = lines.first() else { continue };
        if !parsed.configcrates.values().any(|c| below(dir, &c.path)) && parsed.lost.is_empty() {
            let site = Site::start(&line.control.site.path);
            let message = "no configcrate or usercrate lies below this file, so nothing claims its controls";
            let help = "claims belong to configcrates: move it to configcrates/, or below it";
            sink.push(Diagnostic::warning(rules::COMPLIANCE_WITHOUT_EFFECT, &site, message).help(help));
        }
    }
    for (dir, waivers) in &parsed.waivers {
        let Some(path) = waivers.first().and_then(|w| w.origin.rsplit_once(':')).map(|(path, _)| path) else {
            continue;
        };
        let reached = parsed.hostcrates.keys().any(|hostcrate| below(dir, hostcrate));
        if !reached && parsed.lost.is_empty() {
            let message = "no hostcrate lies below this file, so its waivers reach no host";
            let help = "waivers count for the hosts of their directory: move it beside a hostcrate, or above";
            let site = Site::start(&Arc::from(path));
            sink.push(Diagnostic::warning(rules::COMPLIANCE_WITHOUT_EFFECT, &site, message).help(help));
        }
    }
}

/// The waivers that count for the hosts of match blocks in `dir`, the root's first (B28).
pub(crate) fn waivers<'a>(parsed: &'a Parsed, dir: &'a str) -> impl Iterator<Item = &'a super::Waiver> {
    ancestors(dir).into_iter().filter_map(|dir| parsed.waivers.get(dir)).flatten()
}
