//! From nodes to [`Parsed`]: every key is known, every value is of its kind, every mistake is reported.
//!
//! It never looks at another file (but for the texts of `source:`), and never stops at the first mistake.

mod crates;
mod hosts;
mod keys;
mod resource;
mod scalar;

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::text::escaped;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::Parsed;
use crate::rules;
use crate::source::SourceTree;
use crate::yaml;

/// Names of directories that look like environments.
const ENVIRONMENTS: [&str; 10] =
    ["prod", "production", "staging", "stage", "dev", "development", "test", "testing", "qa", "uat"];

/// What reading a file needs.
pub(crate) struct Reader<'a> {
    pub path: Arc<str>,
    pub tree: &'a SourceTree,
    pub sink: &'a mut Vec<Diagnostic>,
}

/// Reads every file of `tree` that is configuration.
pub(crate) fn tree(tree: &SourceTree, sink: &mut Vec<Diagnostic>) -> Parsed {
    let mut parsed = Parsed::default();
    let mut blocks = Vec::new();
    for (path, bytes) in tree.iter() {
        let path: Arc<str> = Arc::from(path);
        let Some(place) = place_of(&path, sink) else { continue };
        let stem =
            path.rsplit('/').next().and_then(|f| f.strip_suffix(".vgo")).unwrap_or_default().to_string();
        let Some(node) = yaml::read(&path, bytes, sink) else {
            note_empty(&path, bytes, sink);
            parsed.lost.insert(stem);
            continue;
        };
        let mut reader = Reader { path: Arc::clone(&path), tree, sink };
        match place {
            Place::Configcrate => match reader.configcrate(&node) {
                Some(found) => add_configcrate(&mut parsed, found, sink),
                None => parsed.lost.extend(crates::name_of(&node).into_iter().chain([stem])),
            },
            Place::Roles => {
                for role in reader.roles(&node) {
                    if let Some(first) = parsed.roles.get(&role.name.value) {
                        let message = format!("the role {} is declared twice", role.name.value);
                        let help = format!("the first is at {}; rename one", first.name.site);
                        sink.push(Diagnostic::error(rules::NAME_TAKEN, &role.name.site, message).help(help));
                    } else {
                        parsed.roles.insert(role.name.value.clone(), role);
                    }
                }
            }
            Place::Common(dir) => {
                if let Some(common) = reader.common(&node, dir) {
                    parsed.commons.insert(common.dir.clone(), common);
                }
            }
            Place::Hostcrate(dir) => {
                let found = reader.hostcrate(&node, &dir);
                parsed.hostcrates.insert(path.to_string(), found.len());
                blocks.extend(found);
            }
        }
    }
    // D15: deeper directories first, then by path, then by order in the file; the sort keeps that order.
    let depth = |dir: &str| if dir.is_empty() { 0 } else { dir.matches('/').count() + 1 };
    blocks.sort_by_key(|b| std::cmp::Reverse(depth(&b.dir)));
    parsed.blocks = blocks;
    note_environments(tree, sink);
    parsed
}

/// Reads one configcrate on its own.
pub(crate) fn single(
    path: &str,
    bytes: &[u8],
    templates: &SourceTree,
    sink: &mut Vec<Diagnostic>,
) -> Option<crate::parsed::Configcrate> {
    let path: Arc<str> = Arc::from(path);
    if bytes.len() > crate::source::VGO_BYTES {
        let message =
            format!("the file has {} bytes, at most {} are allowed", bytes.len(), crate::source::VGO_BYTES);
        sink.push(Diagnostic::error(rules::FILE_SIZE, &Site::start(&path), message));
        return None;
    }
    let Some(node) = yaml::read(&path, bytes, sink) else {
        note_empty(&path, bytes, sink);
        return None;
    };
    Reader { path, tree: templates, sink }.configcrate(&node)
}

fn add_configcrate(parsed: &mut Parsed, found: crate::parsed::Configcrate, sink: &mut Vec<Diagnostic>) {
    if let Some(first) = parsed.configcrates.get(&found.name.value) {
        let message = format!("the configcrate {} is declared twice", found.name.value);
        let help = format!("the first is at {}; rename one", first.name.site);
        sink.push(Diagnostic::error(rules::NAME_TAKEN, &found.name.site, message).help(help));
        return;
    }
    parsed.configcrates.insert(found.name.value.clone(), found);
}

/// A file without a document gets one diagnostic: the reader's own, or this.
fn note_empty(path: &Arc<str>, bytes: &[u8], sink: &mut Vec<Diagnostic>) {
    let reported = sink.iter().any(|d| d.is_error() && d.path == **path);
    if !reported && std::str::from_utf8(bytes).is_ok() {
        let message = "the file says nothing";
        let help = "write its keys, or remove the file";
        sink.push(Diagnostic::error(rules::FILE_EMPTY, &Site::start(path), message).help(help));
    }
}

/// What a file is, by where it lies.
enum Place {
    Configcrate,
    Roles,
    Common(String),
    Hostcrate(String),
}

/// What the file at `path` is; `None` if it is not read, with a diagnostic where that needs one.
fn place_of(path: &Arc<str>, sink: &mut Vec<Diagnostic>) -> Option<Place> {
    let (dir, file) = path.rsplit_once('/').unwrap_or(("", path));
    let parts: Vec<&str> = dir.split('/').filter(|p| !p.is_empty()).collect();
    if path.split('/').any(|p| p.starts_with('.')) || parts.first() == Some(&"templates") {
        return None;
    }
    if !file.ends_with(".vgo") {
        if [".yaml", ".yml", ".VGO", ".vg0", ".vgo.txt"].iter().any(|end| file.ends_with(end)) {
            let site = Site::start(path);
            let message = "this file is not read: configuration lies in .vgo files";
            sink.push(
                Diagnostic::warning(rules::FILE_EXTENSION, &site, message).help("rename it to end in .vgo"),
            );
        }
        return None;
    }
    if let Some((rule, message, help)) = misplaced(&parts, file) {
        sink.push(Diagnostic::error(rule, &Site::start(path), message).help(help));
        return None;
    }
    Some(match (parts.first(), file) {
        (Some(&"configcrates"), _) => Place::Configcrate,
        (None, "roles.vgo") => Place::Roles,
        (_, "common.vgo") => Place::Common(dir.to_string()),
        _ => Place::Hostcrate(dir.to_string()),
    })
}

/// Why a file may not lie where it lies: rule, message, help.
fn misplaced(parts: &[&str], file: &str) -> Option<(&'static str, String, String)> {
    let later = |what: &str, help: &str| {
        let message = format!("{what} is part of the language but not of this version");
        Some((rules::NOT_IN_THIS_VERSION, message, help.to_string()))
    };
    if parts.contains(&"usercrates") {
        return later("a usercrate", "move the file out of the tree");
    }
    match parts.first().copied() {
        Some("tasks") => return later("a task definition", "move the file out of the tree"),
        Some("workflows") => return later("a workflow definition", "move the file out of the tree"),
        Some(dir @ ("envoys" | "roles" | "vars")) => {
            let help = match dir {
                "envoys" => "put hostcrates beside roles.vgo or in directories of your own",
                "roles" => "put all roles into roles.vgo at the root",
                _ => "put variables into common.vgo",
            };
            let message = format!("the directory {dir}/ belongs to the layout of old versions");
            let help =
                format!("{help}; `vigocli config migrate` will do it, but is not part of this version");
            return Some((rules::LEGACY_LAYOUT, message, help));
        }
        _ => {}
    }
    match file {
        "compliance.vgo" | "waivers.vgo" | "environments.vgo" => later(file, "move the file out of the tree"),
        "roles.vgo" if !parts.is_empty() && parts[0] != "configcrates" => Some((
            rules::FILE_PLACE,
            "roles live in one roles.vgo at the root of the tree".into(),
            "move its roles there".into(),
        )),
        _ if parts.iter().skip(1).any(|p| *p == "configcrates") && parts[0] != "configcrates" => Some((
            rules::FILE_PLACE,
            "configcrates lie below configcrates/ at the root of the tree".into(),
            format!("move it to configcrates/{file}"),
        )),
        _ => None,
    }
}

/// D8: a directory named for an environment is accepted with a warning, once for each.
fn note_environments(tree: &SourceTree, sink: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<String, Arc<str>> = BTreeMap::new();
    for (path, _) in tree.iter() {
        let parts: Vec<&str> = path.split('/').collect();
        let library = ["configcrates", "templates", "tasks", "workflows"].contains(&parts[0]);
        if library || !path.ends_with(".vgo") || path.starts_with('.') {
            continue;
        }
        for (i, part) in parts[..parts.len() - 1].iter().enumerate() {
            if ENVIRONMENTS.contains(part) {
                seen.entry(parts[..=i].join("/")).or_insert_with(|| Arc::from(path));
            }
        }
    }
    for (dir, path) in seen {
        let message = format!("the directory {}/ is named for an environment", escaped(&dir));
        let help = "directories follow the business (customer, site); an environment cuts across them";
        let site = Site::start(&path);
        sink.push(Diagnostic::warning(rules::DIRECTORY_ENVIRONMENT, &site, message).help(help));
    }
}
