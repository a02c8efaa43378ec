//! From a tree to what is published.
//!
//! The invariant it keeps: the result is a function of the tree's content; with any error there is no result.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::assemble::{Library, Subject, assemble};
use crate::compliance::{self, Claims, Waiver};
use crate::compose::{Composed, Composition, Mention, Rank};
use crate::diagnostic::{Diagnostic, any_error, finish};
use crate::policy::Policy;
use crate::read;
use crate::source::{SourceTree, Templates};
use crate::workshop::Workshop;

/// What a tree means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compiled {
    /// The policies; blocks that mean the same share one.
    pub policies: Vec<Arc<Policy>>,
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

/// Compiles a tree. There is a result exactly if no diagnostic is an error. Who compiles a tree again and again keeps a
/// [`crate::Workshop`].
pub fn compile(tree: &SourceTree) -> (Option<Compiled>, Vec<Diagnostic>) {
    Workshop::new().compile(tree)
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
        let library = BTreeMap::from([(name.value, Arc::new(configcrate))]);
        let templates = Templates::of(templates);
        let library = Library::new(&library, &templates);
        let pattern = Some("this machine");
        let made = assemble(&Subject { library: &library, composition: &composition, pattern });
        sink.extend(made.said);
        policy = made.policy;
    }
    let diagnostics = finish(sink);
    (policy.filter(|_| !any_error(&diagnostics)), diagnostics)
}
