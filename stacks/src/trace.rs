//! Why a host gets what it gets, and what the tree looks like: for people, and as data.
//!
//! It decides nothing itself: it shows what composing and resolving decide. Text from files is
//! escaped when printed.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;
use vigo_base::target::glob_matches;
use vigo_base::text::escaped;

use crate::compose::{self, Composition};
use crate::diagnostic::{Diagnostic, Site, finish};
use crate::parsed::{MatchBlock, Parsed, Ref};
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
    /// The configcrates, in order.
    pub configcrates: Vec<TracedCrate>,
    /// What was excluded.
    pub excluded: Vec<TracedExclusion>,
    /// The variables.
    pub vars: Vec<TracedVar>,
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
}

/// A configcrate and who asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedCrate {
    /// Its name.
    pub name: String,
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
    /// A common.vgo, a role or the match block.
    pub by: String,
    /// Where it stands: `path:line`.
    pub origin: String,
    /// The condition that counts for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// A configcrate that was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedExclusion {
    /// Its name.
    pub name: String,
    /// Where the exclusion stands: `path:line`.
    pub origin: String,
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
    /// A configcrate's defaults, a role, a common.vgo or the match block.
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
    let mut sink = Vec::new();
    let parsed = read::tree(tree, &mut sink);
    crate::check::check(&parsed, &mut sink);
    let mut matching = parsed.blocks.iter().filter(|b| glob_matches(&b.pattern.value, host));
    let block = matching.next();
    let mut trace = Trace {
        host: host.to_string(),
        matched: block.map(matched),
        shadowed: matching.map(matched).collect(),
        common: Vec::new(),
        configcrates: Vec::new(),
        excluded: Vec::new(),
        vars: Vec::new(),
    };
    if let Some(block) = block {
        let composition = compose::compose(&parsed, block);
        let commons = compose::chain(&block.dir).into_iter().filter_map(|d| parsed.commons.get(d));
        trace.common = commons.map(|c| c.path.to_string()).collect();
        trace.configcrates = traced_crates(&parsed, &composition, traits);
        let exclusion = |e: &compose::Exclusion| TracedExclusion {
            name: e.name.value.clone(),
            origin: origin(&e.name.site),
        };
        trace.excluded = composition.excluded.iter().map(exclusion).collect();
        trace.vars = traced_vars(&parsed, &composition);
    }
    (trace, finish(sink))
}

fn matched(block: &MatchBlock) -> Matched {
    Matched {
        pattern: block.pattern.value.clone(),
        origin: origin(&block.pattern.site),
        tags: block.tags.clone(),
    }
}

fn traced_crates(parsed: &Parsed, composition: &Composition, traits: Option<&Value>) -> Vec<TracedCrate> {
    let values = composition.values();
    let one = |composed: &compose::Composed| {
        let declared = parsed.configcrates.get(&composed.name)?;
        let mut vars: BTreeMap<String, Value> =
            declared.vars.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect();
        vars.extend(values.iter().map(|(k, v)| (k.clone(), v.clone())));
        let when = composed.when();
        Some(TracedCrate {
            name: composed.name.clone(),
            path: declared.path.to_string(),
            asked_by: composed
                .mentions
                .iter()
                .map(|m| Reason {
                    by: m.by.clone(),
                    origin: origin(&m.site),
                    when: m.when.as_ref().map(|w| w.value.to_string()),
                })
                .collect(),
            applies: applies(when.as_ref(), &vars, traits),
            when: when.map(|w| w.to_string()),
        })
    };
    composition.configcrates.iter().filter_map(one).collect()
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
        for (name, var) in &declared.vars {
            let by = format!("configcrate {} (default)", composed.name);
            let layer = TracedLayer { by, origin: origin(&var.site), value: var.value.clone() };
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

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "host {}", escaped(&self.host))?;
        let Some(matched) = &self.matched else {
            return writeln!(f, "  no match block matches it: nothing applies");
        };
        write!(f, "  matched `{}` at {}", escaped(&matched.pattern), escaped(&matched.origin))?;
        if !matched.tags.is_empty() {
            write!(f, ", tags {}", escaped(&matched.tags.join(", ")))?;
        }
        writeln!(f)?;
        for other in &self.shadowed {
            writeln!(f, "  not used: `{}` at {}", escaped(&other.pattern), escaped(&other.origin))?;
        }
        writeln!(f, "configcrates")?;
        for c in &self.configcrates {
            let applies = match c.applies {
                Applies::Yes => "",
                Applies::No => "  does not apply here",
                Applies::Unknown => "  depends on the machine",
            };
            writeln!(f, "  {}{applies}", escaped(&c.name))?;
            for reason in &c.asked_by {
                write!(f, "    by {} at {}", escaped(&reason.by), escaped(&reason.origin))?;
                match &reason.when {
                    Some(when) => writeln!(f, ", when {}", escaped(when))?,
                    None => writeln!(f)?,
                }
            }
        }
        for e in &self.excluded {
            writeln!(f, "  {}  excluded at {}", escaped(&e.name), escaped(&e.origin))?;
        }
        writeln!(f, "variables")?;
        for var in &self.vars {
            let Some((last, before)) = var.layers.split_last() else { continue };
            let (name, value) = (escaped(&var.name), shown(&last.value));
            writeln!(f, "  {name} = {value}  by {} at {}", escaped(&last.by), escaped(&last.origin))?;
            for layer in before.iter().rev() {
                let value = shown(&layer.value);
                writeln!(f, "    over {value}  by {} at {}", escaped(&layer.by), escaped(&layer.origin))?;
            }
        }
        Ok(())
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    escaped(&cut)
}

/// A directory of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Directory {
    /// Its name; empty for the root.
    pub name: String,
    /// Its common.vgo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common: Option<CommonView>,
    /// Its hostcrates.
    pub hostcrates: Vec<HostcrateView>,
    /// The directories in it that hold configuration.
    pub directories: Vec<Directory>,
}

/// What a common.vgo gives to what is below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommonView {
    /// Configcrates.
    pub configcrates: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Names of variables.
    pub vars: Vec<String>,
    /// Exclusions.
    pub exclude_configcrates: Vec<String>,
}

/// A hostcrate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostcrateView {
    /// Its file's name.
    pub file: String,
    /// Its match blocks.
    pub blocks: Vec<BlockView>,
}

/// A match block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockView {
    /// The pattern.
    pub pattern: String,
    /// Roles it asks for.
    pub roles: Vec<String>,
    /// Configcrates it asks for.
    pub configcrates: Vec<String>,
    /// Tags it gives.
    pub tags: Vec<String>,
}

/// The hierarchy of a tree: who inherits what from where. Diagnostics as by [`trace`].
pub fn tree(source: &SourceTree) -> (Directory, Vec<Diagnostic>) {
    let mut sink = Vec::new();
    let parsed = read::tree(source, &mut sink);
    crate::check::check(&parsed, &mut sink);
    let mut root = Directory::default();
    for common in parsed.commons.values() {
        let view = CommonView {
            configcrates: names(&common.configcrates),
            roles: names(&common.roles),
            vars: common.vars.keys().cloned().collect(),
            exclude_configcrates: common.exclude.iter().map(|n| n.value.clone()).collect(),
        };
        root.at(&common.dir).common = Some(view);
    }
    for path in parsed.hostcrates.keys() {
        let (dir, file) = path.rsplit_once('/').unwrap_or(("", path));
        let blocks = parsed.blocks.iter().filter(|b| *b.pattern.site.path == **path).map(|b| BlockView {
            pattern: b.pattern.value.clone(),
            roles: names(&b.roles),
            configcrates: names(&b.configcrates),
            tags: b.tags.clone(),
        });
        root.at(dir).hostcrates.push(HostcrateView { file: file.to_string(), blocks: blocks.collect() });
    }
    (root, finish(sink))
}

fn names(refs: &[Ref]) -> Vec<String> {
    refs.iter().map(|r| r.name.value.clone()).collect()
}

impl Directory {
    /// The directory at `path`, made if it is not there yet.
    fn at(&mut self, path: &str) -> &mut Directory {
        let mut here = self;
        for part in path.split('/').filter(|p| !p.is_empty()) {
            let place = match here.directories.binary_search_by(|d| d.name.as_str().cmp(part)) {
                Ok(place) => place,
                Err(place) => {
                    here.directories.insert(place, Directory { name: part.into(), ..Directory::default() });
                    place
                }
            };
            here = &mut here.directories[place];
        }
        here
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let pad = "  ".repeat(depth);
        let name = if self.name.is_empty() { "stacks" } else { &self.name };
        writeln!(f, "{pad}{}/", escaped(name))?;
        if let Some(common) = &self.common {
            write!(f, "{pad}  common.vgo")?;
            write_list(f, "configcrates", &common.configcrates)?;
            write_list(f, "roles", &common.roles)?;
            write_list(f, "vars", &common.vars)?;
            write_list(f, "without", &common.exclude_configcrates)?;
            writeln!(f)?;
        }
        for hostcrate in &self.hostcrates {
            writeln!(f, "{pad}  {}", escaped(&hostcrate.file))?;
            for block in &hostcrate.blocks {
                write!(f, "{pad}    {}", escaped(&block.pattern))?;
                write_list(f, "roles", &block.roles)?;
                write_list(f, "configcrates", &block.configcrates)?;
                write_list(f, "tags", &block.tags)?;
                writeln!(f)?;
            }
        }
        self.directories.iter().try_for_each(|d| d.write(f, depth + 1))
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() { Ok(()) } else { write!(f, "  {what}: {}", escaped(&names.join(", "))) }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
