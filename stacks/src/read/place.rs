//! What a file is, by where it lies.
//!
//! It never looks into a file. Every place in a tree has one meaning, and a file that lies where it can mean
//! nothing is reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::text::escaped;

use crate::diagnostic::{Diagnostic, Site};
use crate::rules;
use crate::source::SourceTree;

/// Names of directories that look like environments.
const ENVIRONMENTS: [&str; 10] =
    ["prod", "production", "staging", "stage", "dev", "development", "test", "testing", "qa", "uat"];

/// What a file is; the text is its directory.
pub(super) enum Place {
    Configcrate,
    Usercrate,
    Roles,
    Common(String),
    Environments(String),
    Claims(String),
    Waivers(String),
    Hostcrate(String),
    /// A definition that is kept, and that nothing runs yet: of a `task` or a `workflow`.
    Kept(&'static str),
}

/// What the file at `path` is; `None` if it is not read, with a diagnostic where that needs one.
pub(super) fn place_of(path: &Arc<str>, sink: &mut Vec<Diagnostic>) -> Option<Place> {
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
    match parts.first().copied() {
        Some("tasks") => return Some(Place::Kept("task")),
        Some("workflows") => return Some(Place::Kept("workflow")),
        _ => {}
    }
    let library = parts.first() == Some(&"configcrates") || parts.contains(&"usercrates");
    Some(match file {
        "compliance.vgo" => Place::Claims(dir.to_string()),
        _ if parts.contains(&"usercrates") => Place::Usercrate,
        _ if library => Place::Configcrate,
        "waivers.vgo" => Place::Waivers(dir.to_string()),
        "environments.vgo" => Place::Environments(dir.to_string()),
        "common.vgo" => Place::Common(dir.to_string()),
        "roles.vgo" => Place::Roles,
        _ => Place::Hostcrate(dir.to_string()),
    })
}

/// Why a file may not lie where it lies: rule, message, help.
fn misplaced(parts: &[&str], file: &str) -> Option<(&'static str, String, String)> {
    let place = |message: &str, help: String| Some((rules::FILE_PLACE, message.to_string(), help));
    if let Some(dir @ ("envoys" | "roles" | "vars")) = parts.first().copied() {
        let by_hand = match dir {
            "envoys" => "hostcrates lie beside roles.vgo or in directories of your own",
            "roles" => "all roles are in one roles.vgo at the root",
            _ => "variables are in common.vgo",
        };
        let message = format!("the directory {dir}/ belongs to the layout of old versions");
        let help = format!("`vigocli config migrate` converts it; {by_hand}");
        return Some((rules::LEGACY_LAYOUT, message, help));
    }
    if let Some(dir) = parts.iter().find(|part| part.ends_with(".vgo")) {
        let message = format!("the directory {dir}/ has the name of a file of configuration");
        return place(&message, format!("rename it: {}/", dir.trim_end_matches(".vgo")));
    }
    let library = if parts.contains(&"usercrates") {
        Some("usercrates")
    } else {
        (parts.first() == Some(&"configcrates")).then_some("configcrates")
    };
    match (library, file) {
        (Some(library), "waivers.vgo") => place(
            &format!("waivers are for hosts, and {library}/ holds none"),
            "move it to the directory of the hosts, or to waivers.vgo at the root".into(),
        ),
        (Some("usercrates"), _) => None,
        (_, "roles.vgo") if !parts.is_empty() => {
            place("roles live in one roles.vgo at the root of the tree", "move its roles there".into())
        }
        (None, _) if parts.contains(&"configcrates") => place(
            "configcrates lie below configcrates/ at the root of the tree",
            format!("move it to configcrates/{file}"),
        ),
        _ => None,
    }
}

/// D8: a directory named for an environment is accepted with a warning, once for each.
pub(super) fn note_environments(tree: &SourceTree, sink: &mut Vec<Diagnostic>) {
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
        let help = "directories follow the business (customer, site); an environment cuts across them: \
                    `environment:` of a match block, and environments.vgo";
        let site = Site::start(&path);
        sink.push(Diagnostic::warning(rules::DIRECTORY_ENVIRONMENT, &site, message).help(help));
    }
}
