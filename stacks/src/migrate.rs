//! From the layout and the keys of old versions to this one.
//!
//! `envoys/`, `roles/` and `vars/` give way to hostcrates, one roles.vgo and common.vgo; waivers leave
//! compliance.vgo; keys with one replacement get it. It never guesses: what it cannot bring over is said, and then
//! nothing of that file is changed. A second run finds nothing to do.

use std::sync::Arc;

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Site};
use crate::format::edit::{Edit, apply};
use crate::format::{Body, Item, TextTree};
use crate::rules;
use crate::source::SourceTree;

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The file as it was.
    pub from: String,
    /// Where its content goes.
    pub to: String,
    /// What is done.
    pub what: String,
}

/// A tree, brought over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The tree.
    pub tree: SourceTree,
    /// What was done.
    pub steps: Vec<Step>,
    /// What a person has to do.
    pub left: Vec<Diagnostic>,
}

/// Brings a tree over.
pub fn migrate(tree: &SourceTree) -> Migrated {
    let mut work = Migrated { tree: tree.clone(), steps: Vec::new(), left: Vec::new() };
    let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_owned()).collect();
    for path in &paths {
        if !path.ends_with(".vgo") {
            continue;
        }
        match path.split('/').next() {
            Some("envoys") => work.hostcrate(path),
            Some("roles") => work.role(path),
            Some("vars") => work.vars(path),
            _ => {}
        }
    }
    let paths: Vec<String> = work.tree.iter().map(|(path, _)| path.to_owned()).collect();
    for path in paths.iter().filter(|path| path.ends_with(".vgo")) {
        if path.ends_with("compliance.vgo") {
            work.waivers(path);
        } else {
            work.keys(path);
        }
    }
    work
}

impl Migrated {
    fn text(&self, path: &str) -> Option<String> {
        self.tree.get(path).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    }

    fn done(&mut self, from: &str, to: &str, what: &str) {
        self.steps.push(Step { from: from.into(), to: to.into(), what: what.into() });
    }

    fn leave(&mut self, path: &str, why: &str, help: &str) {
        let name: Arc<str> = Arc::from(path);
        let site = Site::start(&name);
        self.left.push(Diagnostic::error(rules::LEGACY_LAYOUT, &site, why).help(help));
    }

    /// `envoys/x.vgo` lies at `x.vgo`.
    fn hostcrate(&mut self, path: &str) {
        let to = path.strip_prefix("envoys/").unwrap_or(path).to_owned();
        let special = ["roles.vgo", "common.vgo", "waivers.vgo", "compliance.vgo", "environments.vgo"];
        let library =
            ["configcrates/", "templates/", "tasks/", "workflows/"].iter().any(|dir| to.starts_with(dir));
        if self.tree.get(&to).is_some() || library || (special.contains(&to.as_str()) && to == "roles.vgo") {
            let why = format!("it cannot be moved to {to}, which is taken or means something else");
            return self.leave(path, &why, "move it by hand to a directory of its own");
        }
        let Some(bytes) = self.tree.remove(path) else { return };
        if self.tree.insert(to.clone(), bytes).is_ok() {
            self.done(path, &to, "moved");
        }
    }

    /// `roles/x.vgo`, one role or a list of them, joins roles.vgo.
    fn role(&mut self, path: &str) {
        let Some(text) = self.text(path) else { return };
        let Some(tree) = TextTree::read(&text) else {
            return self.leave(path, "it cannot be read", "mend it, then migrate again");
        };
        let existing = self.text("roles.vgo").unwrap_or_default();
        let listed = |text: &str| TextTree::read(text).is_none_or(|t| matches!(t.root.body, Body::List(_)));
        if tree.root.marked || text.contains('\r') || !listed(&existing) {
            let why = "its roles cannot be joined to roles.vgo, which must be a plain list";
            return self.leave(path, why, "copy them by hand into roles.vgo, and remove the file");
        }
        let inner = tree.root.pair("roles").map_or(&tree.root, |pair| &pair.value);
        let mut out = existing.clone();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        match &inner.body {
            Body::Map { flow: false, .. } => {
                let body = text.trim_end();
                for (i, line) in body.lines().enumerate() {
                    let blank = line.trim().is_empty();
                    let begun = body.lines().take(i).all(|l| l.trim().is_empty() || l.starts_with('#'));
                    let first = begun && !blank && !line.starts_with('#');
                    out += &match (blank, first, begun && line.starts_with('#')) {
                        (true, ..) => "\n".to_owned(),
                        (_, true, _) => format!("- {line}\n"),
                        (_, _, true) => format!("{line}\n"),
                        _ => format!("  {line}\n"),
                    };
                }
            }
            Body::List(items) if !items.is_empty() && !text[inner.start..].starts_with('[') => {
                let from = text[..inner.start].rfind('\n').map_or(0, |i| i + 1);
                let indent = text[from..inner.start].len() - text[from..inner.start].trim_start().len();
                for line in text[from..].trim_end().lines() {
                    let cut = indent.min(line.len() - line.trim_start().len());
                    out += &format!("{}\n", &line[cut..]);
                }
            }
            _ => {
                let why = "its roles are not written as a block";
                return self.leave(path, why, "copy them by hand into roles.vgo, and remove the file");
            }
        }
        if self.tree.replace("roles.vgo", out.into_bytes()).is_ok() {
            self.tree.remove(path);
            self.done(path, "roles.vgo", "joined");
        }
    }

    /// `vars/x.vgo`, a map of variables, joins the `vars:` of common.vgo.
    fn vars(&mut self, path: &str) {
        let Some(text) = self.text(path) else { return };
        let tree = TextTree::read(&text);
        let plain = tree.as_ref().and_then(|t| match &t.root.body {
            Body::Map { flow: false, pairs } if !t.root.marked && !text.contains('\r') => Some(pairs),
            _ => None,
        });
        let Some(pairs) = plain else {
            let why = "its variables are not a plain map";
            return self.leave(
                path,
                why,
                "copy them by hand into `vars:` of common.vgo, and remove the file",
            );
        };
        let common = self.text("common.vgo").unwrap_or_default();
        let root = TextTree::read(&common);
        let taken = |key: &str| {
            let vars = root.as_ref().and_then(|t| t.root.pair("vars"));
            vars.is_some_and(|vars| vars.value.pair(key).is_some())
        };
        if let Some(twice) = pairs.iter().find(|p| taken(&p.key)) {
            let why = format!("the variable {} is in common.vgo already", twice.key);
            return self.leave(path, &why, "keep one of the two");
        }
        let body: String = text.trim_end().lines().map(indented).collect();
        let Some(out) = with_vars(&common, root.as_ref().map(|t| &t.root), &body) else {
            let why = "common.vgo writes its variables in one line";
            return self.leave(
                path,
                why,
                "copy them by hand into `vars:` of common.vgo, and remove the file",
            );
        };
        if self.tree.replace("common.vgo", out.into_bytes()).is_ok() {
            self.tree.remove(path);
            self.done(path, "common.vgo", "joined to vars");
        }
    }

    /// `waivers:` of a compliance.vgo get a file of their own beside it.
    fn waivers(&mut self, path: &str) {
        let Some(text) = self.text(path) else { return };
        let Some(tree) = TextTree::read(&text) else { return };
        let Some(pair) = tree.root.pair("waivers") else { return };
        let to = path.replace("compliance.vgo", "waivers.vgo");
        let Body::Map { flow: false, pairs } = &tree.root.body else { return };
        if self.tree.get(&to).is_some() || tree.root.marked {
            let why = format!("its waivers belong into {to}, which is there already");
            return self.leave(path, &why, "move them by hand");
        }
        let next = pairs.iter().find(|p| p.start > pair.start).map_or(text.len(), |p| p.start);
        let (moved, rest) =
            (text[pair.start..next].to_owned(), text[..pair.start].to_owned() + &text[next..]);
        let alone = pairs.len() == 1;
        if self.tree.insert(to.clone(), (moved.trim_end().to_owned() + "\n").into_bytes()).is_ok() {
            if alone {
                self.tree.remove(path);
            } else {
                let _ = self.tree.replace(path, rest.into_bytes());
            }
            self.done(path, &to, "waivers moved");
        }
    }

    /// Keys with one replacement.
    fn keys(&mut self, path: &str) {
        let library = path.starts_with("configcrates/") || path.split('/').any(|p| p == "usercrates");
        let Some(text) = self.text(path).filter(|_| library) else { return };
        let Some(tree) = TextTree::read(&text) else { return };
        let mut edits = Vec::new();
        let mut what = Vec::new();
        let tags: Vec<_> = ["provides", "bundle"].iter().filter_map(|key| tree.root.pair(key)).collect();
        let block = matches!(&tree.root.body, Body::Map { flow: false, .. });
        if !tags.is_empty() && block && tree.root.pair("compliance").is_none() {
            let mut moved = String::from("compliance:\n");
            for pair in &tags {
                let end = text[pair.value.end..].find('\n').map_or(text.len(), |i| pair.value.end + i + 1);
                moved += &text[pair.start..end].lines().map(indented).collect::<String>();
                edits.push(Edit::new(pair.start, end, ""));
            }
            let at = tags.iter().map(|p| p.start).min().unwrap_or(0);
            edits.push(Edit::new(at, at, moved));
            what.push("provides and bundle moved below compliance");
        }
        secrets(&tree.root, 0, &mut edits);
        if edits.iter().any(|e| e.text.contains("secret:")) {
            what.push("password-secret written as password");
        }
        edits.sort_by_key(|e| (e.start, e.end));
        if let Some(new) = apply(&text, edits).filter(|new| *new != text)
            && self.tree.replace(path, new.into_bytes()).is_ok()
        {
            self.done(path, path, &what.join(", "));
        }
    }
}

fn indented(line: &str) -> String {
    if line.trim().is_empty() { "\n".into() } else { format!("  {line}\n") }
}

/// `common` with the lines `body` in its `vars:`.
fn with_vars(common: &str, root: Option<&Item>, body: &str) -> Option<String> {
    let mut out = common.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    let Some(vars) = root.and_then(|root| root.pair("vars")) else {
        return Some(format!("{out}vars:\n{body}"));
    };
    let Body::Map { flow: false, pairs } = &vars.value.body else { return None };
    let column = common[..pairs.first()?.start].rsplit('\n').next().map_or(0, str::len);
    if column != 2 {
        return None;
    }
    let end = common[vars.value.end..].find('\n').map_or(out.len(), |i| vars.value.end + i + 1);
    out.insert_str(end, body);
    Some(out)
}

/// `password-secret: x` is `password: "secret:x"`.
fn secrets(item: &Item, depth: usize, edits: &mut Vec<Edit>) {
    match &item.body {
        _ if depth > crate::yaml::DEPTH_MAX => {}
        Body::List(items) => items.iter().for_each(|i| secrets(i, depth + 1, edits)),
        Body::Map { pairs, .. } => {
            for pair in pairs {
                let scalar = pair.value.scalar().map(|(value, _)| value.trim_start_matches("secret:"));
                match scalar {
                    Some(value)
                        if pair.key == "password-secret"
                            && item.pair("password").is_none()
                            && !value.contains(['"', '\\', '\n']) =>
                    {
                        edits.push(Edit::new(pair.start, pair.key_end, "password"));
                        edits.push(Edit::new(
                            pair.value.start,
                            pair.value.end,
                            format!("\"secret:{value}\""),
                        ));
                    }
                    _ => secrets(&pair.value, depth + 1, edits),
                }
            }
        }
        _ => {}
    }
}
