//! From what files say to what each configcrate claims.
//!
//! It decides nothing about hosts. The invariant it keeps: a claim is there once for each source, and in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Catalogue, Claim, Via, bundles, provisions};
use crate::compose::ancestors;
use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{ClaimLine, Configcrate, Name, Parsed, Tags};
use crate::rules;

/// The two catalogues, read once for a tree.
#[derive(Debug, Clone, Default, PartialEq)]
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

/// What the configcrates and usercrates of a tree claim (B13, B14, B22). The claims of one are put together when they
/// are asked for: a file at the root is kept once, however many lie below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    catalogues: Catalogues,
    /// The directory and the tags of each that could claim something, by name.
    crates: BTreeMap<String, (String, Tags)>,
    /// The claims of each compliance.vgo, by directory.
    files: BTreeMap<String, Vec<Claim>>,
}

impl Claims {
    pub(crate) fn of(parsed: &Parsed) -> Claims {
        let crates = parsed.configcrates.values().map(AsRef::as_ref);
        let one = |found: &Configcrate| {
            let dir = found.path.rsplit_once('/').map_or("", |(dir, _)| dir);
            (found.name.value.clone(), (dir.to_string(), found.compliance.clone()))
        };
        Claims {
            catalogues: Catalogues::of(crates.clone()),
            crates: crates.map(one).collect(),
            files: parsed.claims.iter().map(|(dir, lines)| (dir.clone(), of_file(lines))).collect(),
        }
    }

    /// What a configcrate or usercrate claims: each control once for each source, in order.
    pub fn get(&self, name: &str) -> Vec<Claim> {
        let Some((dir, tags)) = self.crates.get(name) else { return Vec::new() };
        let inherited = ancestors(dir).into_iter().filter_map(|dir| self.files.get(dir)).flatten();
        let mut claims: Vec<Claim> = inherited.cloned().collect();
        of_tags(&tags.provides, &self.catalogues.provisions, Via::Provision, &mut claims);
        of_tags(&tags.bundle, &self.catalogues.bundles, Via::Bundle, &mut claims);
        claims.sort();
        claims.dedup();
        claims
    }

    /// The names of those that claim something, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let inherits = |dir: &str| ancestors(dir).into_iter().any(|dir| self.files.contains_key(dir));
        let tagged = |tags: &Tags| !tags.provides.is_empty() || !tags.bundle.is_empty();
        let claiming = self.crates.iter().filter(move |(_, (dir, tags))| tagged(tags) || inherits(dir));
        claiming.map(|(name, _)| name.as_str())
    }
}

fn of_file(lines: &[ClaimLine]) -> Vec<Claim> {
    let claim = |line: &ClaimLine| Claim {
        framework: Arc::from(line.framework.as_str()),
        control: Arc::from(line.control.value.as_str()),
        via: Via::File(Arc::clone(&line.control.site.path)),
        origin: Arc::from(line.control.site.to_string()),
    };
    lines.iter().map(claim).collect()
}

fn of_tags(tags: &[Name], catalogue: &Catalogue, via: impl Fn(Arc<str>) -> Via, claims: &mut Vec<Claim>) {
    let mut seen = BTreeSet::new();
    for tag in tags.iter().filter(|tag| seen.insert(tag.value.as_str())) {
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
    check_tags(parsed.configcrates.values().map(AsRef::as_ref), sink);
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
pub(crate) fn waivers<'a>(
    by_dir: &'a BTreeMap<String, Vec<super::Waiver>>,
    dir: &'a str,
) -> impl Iterator<Item = &'a super::Waiver> {
    ancestors(dir).into_iter().filter_map(|dir| by_dir.get(dir)).flatten()
}
