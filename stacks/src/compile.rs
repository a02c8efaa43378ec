//! From a tree to what is published: one function, no state.
//!
//! The invariant it keeps: the result is a function of the tree's content; with any error there is no result.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::assemble::{Library, Subject, assemble};
use crate::check;
use crate::compliance::{self, Claims, Waiver};
use crate::compose::{self, Composed, Composition, Mention, Rank};
use crate::diagnostic::{Diagnostic, any_error, finish};
use crate::parsed::Parsed;
use crate::policy::Policy;
use crate::read;
use crate::source::SourceTree;

/// What a tree means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compiled {
    /// The policies; blocks that mean the same share one.
    pub policies: Vec<Policy>,
    /// The match blocks, in the order in which they are tried.
    pub routes: Vec<Route>,
    /// What each configcrate and usercrate claims.
    pub claims: Claims,
    /// What is waived, by the directory for whose hosts it is; see [`Compiled::waived`].
    pub waivers: BTreeMap<String, Vec<Waiver>>,
}

/// One match block of the route table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// A host name or a glob.
    pub pattern: String,
    /// The tags it gives.
    pub tags: Vec<String>,
    /// The environment it declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The configcrates that are retracted on its hosts: they claim nothing there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retracted: Vec<String>,
    /// The directory of its hostcrate; empty for the root.
    #[serde(skip)]
    pub directory: String,
    /// Index of its policy.
    pub policy: usize,
    /// Where it stands: `path:line`.
    pub origin: String,
}

impl Compiled {
    /// The route of a host: the first that matches.
    pub fn route(&self, host: &str) -> Option<&Route> {
        self.routes.iter().find(|r| vigo_base::target::glob_matches(&r.pattern, host))
    }

    /// What is waived for the hosts of a route, those of the root first; those that have run out are among them.
    pub fn waived<'a>(&'a self, route: &'a Route) -> impl Iterator<Item = &'a Waiver> {
        compliance::waivers(&self.waivers, &route.directory)
    }
}

/// Compiles a tree. There is a result exactly if no diagnostic is an error.
pub fn compile(tree: &SourceTree) -> (Option<Compiled>, Vec<Diagnostic>) {
    let mut sink = Vec::new();
    let parsed = read::tree(tree, &mut sink);
    check::check(&parsed, &mut sink);
    let retracted = parsed.mentions().filter(|m| m.is_absent()).map(|m| m.name.value.as_str());
    let library = Library::new(&parsed.configcrates, tree).retract(retracted);
    let mut policies: Vec<Policy> = Vec::new();
    let mut known: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut routes = Vec::new();
    for block in &parsed.blocks {
        let composition = compose::compose(&parsed, block);
        compose::review(&parsed, block, &composition, &mut sink);
        let pattern = Some(block.pattern.value.as_str());
        let subject = Subject { library: &library, composition: &composition, pattern };
        let Some(policy) = assemble(&subject, &mut sink) else { continue };
        let next = policies.len();
        let index = *known.entry(policy.to_bytes()).or_insert(next);
        if index == next {
            policies.push(policy);
        }
        routes.push(Route {
            pattern: block.pattern.value.clone(),
            tags: block.tags.iter().map(|tag| tag.value.clone()).collect(),
            environment: block.environment.as_ref().map(|name| name.value.clone()),
            retracted: composition.retracted().map(str::to_string).collect(),
            directory: block.dir.clone(),
            policy: index,
            origin: format!("{}:{}", block.pattern.site.path, block.pattern.site.line),
        });
    }
    check_unassigned(&parsed, &library, &mut sink);
    let diagnostics = finish(sink);
    if any_error(&diagnostics) {
        return (None, diagnostics);
    }
    let claims = Claims::of(&parsed);
    (Some(Compiled { policies, routes, claims, waivers: parsed.waivers }), diagnostics)
}

/// Every configcrate is checked on its own too: those that no host has, and those whose block has mistakes.
fn check_unassigned(parsed: &Parsed, library: &Library<'_>, sink: &mut Vec<Diagnostic>) {
    for name in parsed.configcrates.keys() {
        let composed = Composed { name: name.clone(), mentions: Vec::new() };
        let composition = Composition::of(composed);
        assemble(&Subject { library, composition: &composition, pattern: None }, sink);
    }
}

/// Compiles one configcrate for this machine, without a fleet: no roles, no hosts, its own variables only.
/// `templates` holds the files that `source:` may name.
pub fn compile_single(path: &str, bytes: &[u8], templates: &SourceTree) -> (Option<Policy>, Vec<Diagnostic>) {
    let mut sink = Vec::new();
    let mut policy = None;
    if let Some(configcrate) = read::single(path, bytes, templates, &mut sink) {
        compliance::check_tags(std::iter::once(&configcrate), &mut sink);
        let name = configcrate.name.clone();
        let by = "the command line".to_string();
        let site = name.site.clone();
        let mention = Mention { by, rank: Rank::Block, site, when: None, absent: false, foreach: None };
        let composed = Composed { name: name.value.clone(), mentions: vec![mention] };
        let composition = Composition::of(composed);
        let library = BTreeMap::from([(name.value, configcrate)]);
        let library = Library::new(&library, templates);
        policy = assemble(
            &Subject { library: &library, composition: &composition, pattern: Some("this machine") },
            &mut sink,
        );
    }
    let diagnostics = finish(sink);
    (policy.filter(|_| !any_error(&diagnostics)), diagnostics)
}
