//! From what files say to what each configcrate claims.
//!
//! It decides nothing about hosts. The invariant it keeps: a claim is there once for each source, and in one order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Catalogue, Claim, Via, bundles, provisions};
use crate::compose::ancestors;
use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Name, Parsed};
use crate::rules;

/// The claims of every configcrate and usercrate of a tree that has any, by name (B13, B14, B22).
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    by_name: BTreeMap<String, Vec<Claim>>,
}

impl Claims {
    /// Attaches to each configcrate what its own tags and the compliance.vgo files above its file claim.
    pub fn of(parsed: &Parsed) -> Claims {
        let crates = parsed.configcrates.values();
        let tagged =
            crates.clone().any(|c| !c.compliance.provides.is_empty() || !c.compliance.bundle.is_empty());
        let catalogues = if tagged { (provisions(), bundles()) } else { Default::default() };
        let mut by_dir: BTreeMap<&str, Vec<Claim>> = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for found in crates {
            let dir = found.path.rsplit_once('/').map_or("", |(dir, _)| dir);
            let inherited = by_dir.entry(dir).or_insert_with(|| of_files(parsed, dir));
            let mut claims = inherited.clone();
            of_tags(&found.compliance.provides, &catalogues.0, Via::Provision, &mut claims);
            of_tags(&found.compliance.bundle, &catalogues.1, Via::Bundle, &mut claims);
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

/// Warns about files of claims and waivers that are for nothing.
pub(crate) fn review(parsed: &Parsed, sink: &mut Vec<Diagnostic>) {
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
