//! Where a name is defined, given, set and used in a tree.
//!
//! It goes by the keys under which names stand, in files that the language can read; what it cannot read is passed
//! over here, because checking tells of it. A name may be a glob.

use std::sync::Arc;

use serde::Serialize;
use vigo_base::target::glob_matches;

use crate::diagnostic::Site;
use crate::source::SourceTree;
use crate::yaml::{self, Data, Node};

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought<'a> {
    /// A configcrate or usercrate.
    Configcrate(&'a str),
    /// A role.
    Role(&'a str),
    /// A variable.
    Var(&'a str),
    /// A tag.
    Tag(&'a str),
    /// A file under `templates/`.
    Template(&'a str),
}

/// A place where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Found {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What it is there: `defined`, `given`, `excluded`, `set`, `used`.
    pub what: &'static str,
    /// In what: the match block, the role, the resource.
    pub within: String,
    /// The name that fits.
    pub name: String,
}

/// All places, in the order of the files.
pub fn search(tree: &SourceTree, sought: Sought<'_>) -> Vec<Found> {
    let mut look = Look { sought, found: Vec::new() };
    for (path, bytes) in tree.iter() {
        let hidden = path.split('/').any(|part| part.starts_with('.'));
        if hidden {
            continue;
        }
        let name: Arc<str> = Arc::from(path);
        if path.starts_with("templates/") {
            if let Ok(text) = std::str::from_utf8(bytes) {
                look.template(&Site::start(&name), text, path);
            }
            continue;
        }
        if !path.ends_with(".vgo") {
            continue;
        }
        if let Some(node) = yaml::read(&name, bytes, &mut Vec::new()) {
            let library = path.starts_with("configcrates/") || path.split('/').any(|p| p == "usercrates");
            look.root(&node, path, library);
        }
    }
    look.found.sort();
    look.found.dedup();
    look.found
}

struct Look<'a> {
    sought: Sought<'a>,
    found: Vec<Found>,
}

impl Look<'_> {
    fn note(&mut self, site: &Site, what: &'static str, within: &str, name: &str) {
        let (path, within, name) = (site.path.to_string(), within.to_owned(), name.to_owned());
        self.found.push(Found { path, line: site.line, column: site.column, what, within, name });
    }

    fn root(&mut self, node: &Node, path: &str, library: bool) {
        let role_file = path == "roles.vgo";
        if library && let Some(Data::Scalar(name)) = entry(node, "name").map(|n| &n.data) {
            if let (Sought::Configcrate(sought), Some(value)) = (self.sought, entry(node, "name"))
                && glob_matches(sought, &name.text)
            {
                self.note(&value.site, "defined", path, &name.text);
            }
        } else if library && let Sought::Configcrate(sought) = self.sought {
            let stem = path.rsplit('/').next().and_then(|f| f.strip_suffix(".vgo")).unwrap_or("");
            if glob_matches(sought, stem) {
                self.note(&node.site, "defined", path, stem);
            }
        }
        self.walk(node, path, role_file && matches!(node.data, Data::List(_)));
    }

    /// Goes through a tree; `roles`: the elements of this list are roles.
    fn walk(&mut self, node: &Node, within: &str, roles: bool) {
        match &node.data {
            Data::Scalar(scalar) => self.template(&node.site, &scalar.text, within),
            Data::List(items) => {
                for item in items {
                    if roles
                        && let Some(name) = entry(item, "name")
                        && let (Sought::Role(sought), Data::Scalar(text)) = (self.sought, &name.data)
                        && glob_matches(sought, &text.text)
                    {
                        self.note(&name.site, "defined", within, &text.text);
                    }
                    self.walk(item, within, false);
                }
            }
            Data::Map(entries) => {
                let own = ["match", "name"].iter().find_map(|key| entry(node, key));
                let within = match own.map(|n| &n.data) {
                    Some(Data::Scalar(name)) => name.text.as_str(),
                    _ => within,
                };
                for e in entries {
                    self.key(&e.key, &e.key_site, &e.value, within);
                    self.walk(&e.value, within, e.key == "roles" && within == "roles.vgo");
                }
            }
        }
    }

    /// What a key says of the names in its value.
    fn key(&mut self, key: &str, site: &Site, value: &Node, within: &str) {
        match (self.sought, key) {
            (Sought::Configcrate(name), "configcrates" | "usercrates" | "depends_on" | "before") => {
                self.names(value, name, "given", within);
            }
            (Sought::Configcrate(name), "exclude_configcrates") => {
                self.names(value, name, "excluded", within)
            }
            (Sought::Role(name), "roles" | "role" | "includes") if within != "roles.vgo" => {
                self.names(value, name, "given", within);
            }
            (Sought::Tag(name), "tags") => self.names(value, name, "given", within),
            (Sought::Tag(name), key)
                if key.strip_prefix("tag:").is_some_and(|tag| glob_matches(name, tag)) =>
            {
                self.note(site, "used", within, &key[4..]);
            }
            (Sought::Template(name), "source") => self.names(value, name, "used", within),
            (Sought::Var(name), "vars") => {
                if let Data::Map(vars) = &value.data {
                    for var in vars.iter().filter(|v| glob_matches(name, &v.key)) {
                        self.note(&var.key_site, "set", within, &var.key);
                    }
                }
            }
            (Sought::Var(name), "foreach") => self.names(value, name, "used", within),
            (Sought::Var(name), "when") => {
                if let Data::Scalar(text) = &value.data {
                    for word in words(&text.text).filter(|word| glob_matches(name, word)) {
                        self.note(&value.site, "used", within, word);
                    }
                }
            }
            _ => {}
        }
    }

    /// The names in a list, in maps with `name:`, or alone.
    fn names(&mut self, node: &Node, sought: &str, what: &'static str, within: &str) {
        match &node.data {
            Data::Scalar(text) if glob_matches(sought, &text.text) => {
                self.note(&node.site, what, within, &text.text);
            }
            Data::Scalar(_) => {}
            Data::List(items) => items.iter().for_each(|item| self.names(item, sought, what, within)),
            Data::Map(_) => {
                if let Some(name) = entry(node, "name") {
                    self.names(name, sought, what, within);
                }
            }
        }
    }

    /// `.Vars.NAME` in a text.
    fn template(&mut self, site: &Site, text: &str, within: &str) {
        let Sought::Var(sought) = self.sought else { return };
        for (at, _) in text.match_indices(".Vars.") {
            let rest = &text[at + 6..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            if end > 0 && glob_matches(sought, &rest[..end]) {
                self.note(site, "used", within, &rest[..end]);
            }
        }
    }
}

/// The bare words of a condition, without the texts in it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let outside = text.split('\'').step_by(2);
    outside
        .flat_map(|part| part.split(|c: char| !(c.is_alphanumeric() || c == '_')))
        .filter(|w| !w.is_empty())
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.data {
        Data::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
        _ => None,
    }
}
