//! What a tree looks like: its directories, and what each gives to what is below.
//!
//! It decides nothing, and it follows no name. Text from files is escaped when printed.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use vigo_base::text::escaped;

use crate::diagnostic::{Diagnostic, finish};
use crate::parsed::{Environment, Parsed, Ref};
use crate::read;
use crate::source::SourceTree;

/// A directory of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Directory {
    /// Its name; empty for the root.
    pub name: String,
    /// Its common.vgo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common: Option<CommonView>,
    /// What its environments.vgo gives to each environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentView>,
    /// How many controls its compliance.vgo claims, by framework.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ControlsView>,
    /// How many controls its waivers.vgo waives, by framework.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<ControlsView>,
    /// The usercrates in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub usercrates: Vec<String>,
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
    /// Usercrates.
    pub usercrates: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Names of variables.
    pub vars: Vec<String>,
    /// Exclusions.
    pub exclude_configcrates: Vec<String>,
}

/// What an environments.vgo gives to one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvironmentView {
    /// The environment.
    pub name: String,
    /// Configcrates.
    pub configcrates: Vec<String>,
    /// Usercrates.
    pub usercrates: Vec<String>,
    /// Names of variables.
    pub vars: Vec<String>,
    /// Exclusions.
    pub exclude_configcrates: Vec<String>,
}

/// Controls of one framework.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ControlsView {
    /// The framework.
    pub framework: String,
    /// How many.
    pub controls: usize,
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
    /// The environment it declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Roles it asks for.
    pub roles: Vec<String>,
    /// Configcrates it asks for.
    pub configcrates: Vec<String>,
    /// Usercrates it asks for.
    pub usercrates: Vec<String>,
    /// Tags it gives.
    pub tags: Vec<String>,
}

/// The hierarchy of a tree: who inherits what from where. Diagnostics as by [`crate::trace()`].
pub fn tree(source: &SourceTree) -> (Directory, Vec<Diagnostic>) {
    let mut sink = Vec::new();
    let parsed = read::tree(source, &mut sink);
    crate::check::check(&parsed, &mut sink);
    let mut root = Directory::default();
    for common in parsed.commons.values() {
        let view = CommonView {
            configcrates: mentions(&common.configcrates),
            usercrates: mentions(&common.usercrates),
            roles: mentions(&common.roles),
            vars: common.vars.keys().cloned().collect(),
            exclude_configcrates: common.exclude.iter().map(|n| n.value.clone()).collect(),
        };
        root.at(&common.dir).common = Some(view);
    }
    for (dir, environments) in &parsed.environments {
        root.at(dir).environments = environments.values().map(environment).collect();
    }
    for (dir, lines) in &parsed.claims {
        root.at(dir).claims = counted(lines.iter().map(|line| line.framework.as_str()));
    }
    for (dir, waivers) in &parsed.waivers {
        root.at(dir).waivers = counted(waivers.iter().map(|waiver| waiver.framework.as_str()));
    }
    for found in parsed.configcrates.values().filter(|c| c.user) {
        let dir = found.path.rsplit_once('/').map_or("", |(dir, _)| dir);
        root.at(dir).usercrates.push(found.name.value.clone());
    }
    hostcrates(&parsed, &mut root);
    (root, finish(sink))
}

fn hostcrates(parsed: &Parsed, root: &mut Directory) {
    for path in parsed.hostcrates.keys() {
        let (dir, file) = path.rsplit_once('/').unwrap_or(("", path));
        let blocks = parsed.blocks.iter().filter(|b| *b.pattern.site.path == **path).map(|b| BlockView {
            pattern: b.pattern.value.clone(),
            environment: b.environment.as_ref().map(|name| name.value.clone()),
            roles: mentions(&b.roles),
            configcrates: mentions(&b.configcrates),
            usercrates: mentions(&b.usercrates),
            tags: b.tags.iter().map(|tag| tag.value.clone()).collect(),
        });
        root.at(dir).hostcrates.push(HostcrateView { file: file.to_string(), blocks: blocks.collect() });
    }
}

fn environment(found: &Environment) -> EnvironmentView {
    EnvironmentView {
        name: found.name.value.clone(),
        configcrates: mentions(&found.configcrates),
        usercrates: mentions(&found.usercrates),
        vars: found.vars.keys().cloned().collect(),
        exclude_configcrates: found.exclude.iter().map(|n| n.value.clone()).collect(),
    }
}

/// The names of mentions; what is retracted has a `!` before it.
fn mentions(refs: &[Ref]) -> Vec<String> {
    let shown = |r: &Ref| if r.is_absent() { format!("!{}", r.name.value) } else { r.name.value.clone() };
    refs.iter().map(shown).collect()
}

fn counted<'a>(frameworks: impl Iterator<Item = &'a str>) -> Vec<ControlsView> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for framework in frameworks {
        *counts.entry(framework).or_default() += 1;
    }
    let view = |(framework, controls): (&str, usize)| ControlsView { framework: framework.into(), controls };
    counts.into_iter().map(view).collect()
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
            write_list(f, "usercrates", &common.usercrates)?;
            write_list(f, "roles", &common.roles)?;
            write_list(f, "vars", &common.vars)?;
            write_list(f, "without", &common.exclude_configcrates)?;
            writeln!(f)?;
        }
        for environment in &self.environments {
            write!(f, "{pad}  environments.vgo ({})", escaped(&environment.name))?;
            write_list(f, "configcrates", &environment.configcrates)?;
            write_list(f, "usercrates", &environment.usercrates)?;
            write_list(f, "vars", &environment.vars)?;
            write_list(f, "without", &environment.exclude_configcrates)?;
            writeln!(f)?;
        }
        for (file, controls) in [("compliance.vgo", &self.claims), ("waivers.vgo", &self.waivers)] {
            let all: Vec<String> =
                controls.iter().map(|c| format!("{} ({})", c.framework, c.controls)).collect();
            if !all.is_empty() {
                writeln!(f, "{pad}  {file}: {}", all.join(", "))?;
            }
        }
        if !self.usercrates.is_empty() {
            writeln!(f, "{pad}  usercrates: {}", escaped(&self.usercrates.join(", ")))?;
        }
        for hostcrate in &self.hostcrates {
            writeln!(f, "{pad}  {}", escaped(&hostcrate.file))?;
            for block in &hostcrate.blocks {
                write!(f, "{pad}    {}", escaped(&block.pattern))?;
                write_list(f, "environment", block.environment.as_slice())?;
                write_list(f, "roles", &block.roles)?;
                write_list(f, "configcrates", &block.configcrates)?;
                write_list(f, "usercrates", &block.usercrates)?;
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
