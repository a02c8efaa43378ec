//! Compiling the same tree again and again: what was made is kept, and made anew only where something it rests on has
//! changed.
//!
//! A [`Workshop`] is a value that its owner keeps; it holds nothing but what the tree of the last run needed. The
//! invariant it keeps: the result, diagnostics included, is that of a new workshop, whatever it has seen before.
//!
//! What rests on what: a file that was read, on its bytes and the templates that it names; a policy, on its match
//! block and on everything that the block can reach by name ([`Needs`]); both on the names of the whole tree, where
//! one was looked for in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vigo_base::Hash;

use crate::assemble::{Assembled, Library, Subject, assemble};
use crate::check;
use crate::compile::{Compiled, Route};
use crate::compliance::Claims;
use crate::compose::{self, Composed, Composition};
use crate::diagnostic::{Diagnostic, any_error, finish};
use crate::parsed::{Common, Configcrate, Environment, MatchBlock, Parsed, Ref, Role};
use crate::policy::Policy;
use crate::read::{self, FileRead, read_file};
use crate::secrets::{mask, scan_file};
use crate::source::{Asked, SourceTree, Templates};

/// What was made from a tree, for the next time that it is compiled.
#[derive(Debug, Default)]
pub struct Workshop {
    files: BTreeMap<String, KeptFile>,
    /// By the address of their match block, which they hold.
    policies: BTreeMap<usize, KeptPolicy>,
    /// By the address of their configcrate, which they hold.
    alone: BTreeMap<usize, KeptAlone>,
}

#[derive(Debug)]
struct KeptFile {
    bytes: Hash,
    read: FileRead,
    /// What looks like a credential in it, if somebody asked.
    secrets: Option<Vec<Diagnostic>>,
}

#[derive(Debug)]
struct KeptPolicy {
    needs: Needs,
    made: Made,
}

#[derive(Debug)]
struct KeptAlone {
    configcrate: Arc<Configcrate>,
    names: Option<Hash>,
    asked: Asked,
    said: Vec<Diagnostic>,
    doubted: Vec<Diagnostic>,
}

/// What a match block came to.
#[derive(Debug, Clone, Default)]
struct Made {
    /// The policy with the hash of its bytes; none if it has mistakes.
    policy: Option<(Arc<Policy>, Hash)>,
    retracted: Vec<String>,
    said: Vec<Diagnostic>,
}

impl Workshop {
    /// One that has seen nothing.
    pub fn new() -> Workshop {
        Workshop::default()
    }

    /// Compiles a tree, as [`crate::compile()`] does.
    pub fn compile(&mut self, tree: &SourceTree) -> (Option<Compiled>, Vec<Diagnostic>) {
        self.compiled(tree, false)
    }

    /// Compiles a tree and looks for credentials in the clear: everything that stops a publish. No diagnostic shows one.
    pub fn lint(&mut self, tree: &SourceTree) -> (Option<Compiled>, Vec<Diagnostic>) {
        self.compiled(tree, true)
    }

    fn compiled(&mut self, tree: &SourceTree, secrets: bool) -> (Option<Compiled>, Vec<Diagnostic>) {
        let mut sink = Vec::new();
        let parsed = self.read(tree, &mut sink);
        if secrets {
            self.secrets(tree, &mut sink);
        }
        check::check(&parsed, &mut sink);
        let retracted = parsed.mentions().filter(|m| m.is_absent()).map(|m| m.name.value.as_str());
        let templates = Templates::of(tree);
        let library = Library::new(&parsed.configcrates, &templates).retract(retracted);
        let (policies, routes) = self.policies(&parsed, tree, &library, &mut sink);
        self.check_alone(&parsed, tree, &library, &mut sink);
        let mut diagnostics = finish(sink);
        if secrets {
            mask(&mut diagnostics, tree);
        }
        if any_error(&diagnostics) {
            return (None, diagnostics);
        }
        let claims = Claims::of(&parsed);
        (Some(Compiled { policies, routes, claims, waivers: parsed.waivers }), diagnostics)
    }

    /// Reads the files that are not known yet, or have changed.
    fn read(&mut self, tree: &SourceTree, sink: &mut Vec<Diagnostic>) -> Parsed {
        let mut old = std::mem::take(&mut self.files);
        let templates = Templates::of(tree);
        for (path, bytes) in tree.iter() {
            let hash = Hash::of(bytes);
            let kept = match old.remove(path) {
                Some(kept) if kept.bytes == hash && kept.read.asked.holds(tree) => kept,
                Some(kept) => {
                    let read = read_file(path, bytes, &templates).sharing(&kept.read);
                    KeptFile { bytes: hash, read, secrets: None }
                }
                None => KeptFile { bytes: hash, read: read_file(path, bytes, &templates), secrets: None },
            };
            self.files.insert(path.to_string(), kept);
        }
        read::together(tree, self.files.values().map(|kept| &kept.read), sink)
    }

    /// Looks for credentials in the files that were not looked at as they are.
    fn secrets(&mut self, tree: &SourceTree, sink: &mut Vec<Diagnostic>) {
        for (path, kept) in &mut self.files {
            let bytes = tree.get(path).unwrap_or_default();
            sink.extend(kept.secrets.get_or_insert_with(|| scan_file(path, bytes)).iter().cloned());
        }
    }

    /// The policy of each match block.
    fn policies(
        &mut self,
        parsed: &Parsed,
        tree: &SourceTree,
        library: &Library<'_>,
        sink: &mut Vec<Diagnostic>,
    ) -> (Vec<Arc<Policy>>, Vec<Route>) {
        let mut old = std::mem::take(&mut self.policies);
        let (mut policies, mut routes) = (Vec::new(), Vec::new());
        let mut known: BTreeMap<Hash, usize> = BTreeMap::new();
        for block in &parsed.blocks {
            let kept = match old.remove(&address(block)) {
                Some(kept) if kept.needs.hold(block, parsed, tree, library) => kept,
                _ => make(parsed, block, library),
            };
            sink.extend(kept.made.said.iter().cloned());
            if let Some((policy, hash)) = &kept.made.policy {
                let next = policies.len();
                let index = *known.entry(*hash).or_insert(next);
                if index == next {
                    policies.push(Arc::clone(policy));
                }
                routes.push(route(block, &kept.made.retracted, index));
            }
            self.policies.insert(address(block), kept);
        }
        (policies, routes)
    }

    /// Every configcrate is checked on its own too: those that no host has, and those whose block has mistakes.
    fn check_alone(
        &mut self,
        parsed: &Parsed,
        tree: &SourceTree,
        library: &Library<'_>,
        sink: &mut Vec<Diagnostic>,
    ) {
        let mut old = std::mem::take(&mut self.alone);
        // What a policy has shown already is not shown again.
        let mut shown: Option<BTreeSet<Place>> = None;
        for configcrate in parsed.configcrates.values() {
            let kept = match old.remove(&address(configcrate)) {
                Some(kept)
                    if Arc::ptr_eq(&kept.configcrate, configcrate)
                        && kept.names.is_none_or(|names| names == library.summary())
                        && kept.asked.holds(tree) =>
                {
                    kept
                }
                _ => alone(configcrate, library),
            };
            for doubt in &kept.doubted {
                let shown = shown.get_or_insert_with(|| sink.iter().map(place).collect());
                if shown.insert(place(doubt)) {
                    sink.push(doubt.clone());
                }
            }
            if let Some(shown) = &mut shown {
                shown.extend(kept.said.iter().map(place));
            }
            sink.extend(kept.said.iter().cloned());
            self.alone.insert(address(configcrate), kept);
        }
    }
}

/// A rule, and where it is broken.
type Place = (&'static str, String, usize, usize);

fn place(said: &Diagnostic) -> Place {
    (said.rule, said.path.clone(), said.line, said.column)
}

/// Who holds the value also keeps anything else from having this address.
fn address<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).addr()
}

fn alone(configcrate: &Arc<Configcrate>, library: &Library<'_>) -> KeptAlone {
    let composed = Composed { name: configcrate.name.value.clone(), mentions: Vec::new() };
    let composition = Composition::of(composed);
    let Assembled { said, doubted, .. } =
        assemble(&Subject { library, composition: &composition, pattern: None });
    let (names, asked) = (library.take_asked(), library.templates.take_asked());
    KeptAlone { configcrate: Arc::clone(configcrate), names, asked, said, doubted }
}

fn make(parsed: &Parsed, block: &Arc<MatchBlock>, library: &Library<'_>) -> KeptPolicy {
    let composition = compose::compose(parsed, block);
    let mut said = Vec::new();
    compose::review(parsed, block, &composition, &mut said);
    let pattern = Some(block.pattern.value.as_str());
    let assembled = assemble(&Subject { library, composition: &composition, pattern });
    said.extend(assembled.said);
    let policy = assembled.policy.map(|policy| {
        let hash = Hash::of(&policy.to_bytes());
        (Arc::new(policy), hash)
    });
    let retracted = composition.retracted().map(str::to_string).collect();
    let needs = Needs::of(parsed, block, library);
    KeptPolicy { needs, made: Made { policy, retracted, said } }
}

fn route(block: &MatchBlock, retracted: &[String], policy: usize) -> Route {
    Route {
        pattern: block.pattern.value.clone(),
        tags: block.tags.iter().map(|tag| tag.value.clone()).collect(),
        environment: block.environment.as_ref().map(|name| name.value.clone()),
        retracted: retracted.to_vec(),
        directory: block.dir.clone(),
        policy,
        origin: format!("{}:{}", block.pattern.site.path, block.pattern.site.line),
    }
}

type Environments = BTreeMap<String, Environment>;

/// What a policy rests on: the same values, not equal ones.
#[derive(Debug)]
struct Needs {
    block: Arc<MatchBlock>,
    commons: Vec<Option<Arc<Common>>>,
    /// Those of the directory and above, and whether any file of that kind could not be read.
    environments: (Vec<Option<Arc<Environments>>>, bool),
    roles: Vec<(String, Option<Arc<Role>>)>,
    crates: Vec<(String, Option<Arc<Configcrate>>)>,
    asked: Asked,
    /// The names of the whole tree.
    names: Option<Hash>,
}

impl Needs {
    fn of(parsed: &Parsed, block: &Arc<MatchBlock>, library: &Library<'_>) -> Needs {
        let commons = commons(parsed, &block.dir);
        let environments = environments(parsed, &block.dir);
        let mut roles = BTreeSet::new();
        let mut refs: Vec<&Ref> = Vec::new();
        for common in commons.iter().flatten() {
            roles.extend(common.roles.iter().map(|role| role.name.value.as_str()));
            refs.extend(common.configcrates.iter().chain(&common.usercrates));
        }
        roles.extend(block.roles.iter().map(|role| role.name.value.as_str()));
        let included =
            roles.iter().filter_map(|name| parsed.roles.get(*name)).flat_map(|role| &role.includes);
        let included: Vec<&str> = included.map(|name| name.value.as_str()).collect();
        roles.extend(included);
        for role in roles.iter().filter_map(|name| parsed.roles.get(*name)) {
            refs.extend(role.configcrates.iter().chain(&role.usercrates));
            refs.extend(role.cases.iter().flat_map(|case| case.configcrates.iter().chain(&case.usercrates)));
        }
        refs.extend(block.configcrates.iter().chain(&block.usercrates));
        let of_file = |file: &Arc<Environments>| file.values().cloned().collect::<Vec<_>>();
        let found: Vec<Environment> = environments.0.iter().flatten().flat_map(of_file).collect();
        refs.extend(found.iter().flat_map(|e| e.configcrates.iter().chain(&e.usercrates)));
        let mut names: BTreeSet<&str> = refs.iter().map(|mention| mention.name.value.as_str()).collect();
        let excluded = commons.iter().flatten().flat_map(|common| &common.exclude).chain(&block.exclude);
        names.extend(excluded.chain(found.iter().flat_map(|e| &e.exclude)).map(|name| name.value.as_str()));
        let held = |name: &str| (name.to_string(), parsed.configcrates.get(name).cloned());
        let crates = names.into_iter().map(held).collect();
        let role = |name: &str| (name.to_string(), parsed.roles.get(name).cloned());
        let roles = roles.into_iter().map(role).collect();
        Needs {
            block: Arc::clone(block),
            crates,
            roles,
            commons,
            environments,
            asked: library.templates.take_asked(),
            names: library.take_asked(),
        }
    }

    /// Whether the tree still gives all of it.
    fn hold(
        &self,
        block: &Arc<MatchBlock>,
        parsed: &Parsed,
        tree: &SourceTree,
        library: &Library<'_>,
    ) -> bool {
        let same_crate = |(name, held): &(String, Option<Arc<Configcrate>>)| {
            same(held.as_ref(), parsed.configcrates.get(name))
        };
        let same_role =
            |(name, held): &(String, Option<Arc<Role>>)| same(held.as_ref(), parsed.roles.get(name));
        let commons = commons(parsed, &self.block.dir);
        let environments = environments(parsed, &self.block.dir);
        Arc::ptr_eq(&self.block, block)
            && same_list(&self.commons, &commons)
            && same_list(&self.environments.0, &environments.0)
            && self.environments.1 == environments.1
            && self.roles.iter().all(same_role)
            && self.crates.iter().all(same_crate)
            && self.asked.holds(tree)
            && self.names.is_none_or(|names| names == library.summary())
    }
}

fn commons(parsed: &Parsed, dir: &str) -> Vec<Option<Arc<Common>>> {
    compose::chain(dir).into_iter().map(|dir| parsed.commons.get(dir).cloned()).collect()
}

fn environments(parsed: &Parsed, dir: &str) -> (Vec<Option<Arc<Environments>>>, bool) {
    let found = compose::ancestors(dir).into_iter().map(|dir| parsed.environments.get(dir).cloned());
    (found.collect(), parsed.lost.contains("environments"))
}

fn same<T>(held: Option<&Arc<T>>, found: Option<&Arc<T>>) -> bool {
    match (held, found) {
        (Some(held), Some(found)) => Arc::ptr_eq(held, found),
        (None, None) => true,
        _ => false,
    }
}

fn same_list<T>(held: &[Option<Arc<T>>], found: &[Option<Arc<T>>]) -> bool {
    held.len() == found.len()
        && held.iter().zip(found).all(|(held, found)| same(held.as_ref(), found.as_ref()))
}
