//! What undoes a configcrate: a draft for a person to look at, made from the table of types alone.
//!
//! Every resource gets the state that takes back what it did, in the opposite order; what it was is written beside it
//! as `# was: …`, so that the retraction of a retraction is the start again. An action without `on_revert:` gets one
//! that fails until somebody writes it; what cannot be undone at all is left out and named.
//!
//! The draft is a file that ends in `.retract`: it does nothing until it is renamed. No machine, model or network is
//! asked; a program of the operator's may improve the text afterwards.

mod edits;

use std::sync::Arc;

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Site};
use crate::format::{self, Body, Item, TextTree};
use crate::rules;
use crate::schema::{self, Confidence, Reversal, Type};
use crate::when::{self, Expr};

/// The end of the name of a retraction.
const END: &str = "-retract";

/// Files that the system owns: to remove them undoes nothing and may lock everybody out.
const OF_THE_SYSTEM: [&str; 16] = [
    "/etc/fstab",
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/login.defs",
    "/etc/nsswitch.conf",
    "/etc/pam.d/",
    "/etc/passwd",
    "/etc/profile",
    "/etc/resolv.conf",
    "/etc/shadow",
    "/etc/ssh/sshd_config",
    "/etc/ssh/ssh_config",
    "/etc/sudoers",
    "/etc/sysctl.conf",
    "/etc/apt/sources.list",
];

/// Packages and services that other things need, whoever declared them first.
const NEEDED: [&str; 18] = [
    "apt",
    "bash",
    "ca-certificates",
    "cron",
    "dbus",
    "libc6",
    "locales",
    "openssh-client",
    "openssh-server",
    "rsyslog",
    "ssh",
    "sshd",
    "sudo",
    "systemd",
    "systemd-journald",
    "systemd-resolved",
    "systemd-sysctl",
    "tzdata",
];

/// The retraction of a configcrate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retraction {
    /// The configcrate that it undoes.
    pub of: String,
    /// Its own name.
    pub name: String,
    /// What becomes of each resource, in the order of the retraction.
    pub resources: Vec<Undone>,
    /// The file.
    pub text: String,
}

/// What becomes of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// How sure it is that nothing stays behind: `high`, `medium` or `low`.
    pub confidence: &'static str,
    /// What is done.
    pub how: String,
    /// What a person has to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}

/// Writes the retraction of the configcrate in the file at `path`.
///
/// # Errors
/// The diagnostics of a file that cannot be read, or that no draft can be made of.
pub fn retract(path: &str, bytes: &[u8]) -> Result<Retraction, Vec<Diagnostic>> {
    let shaped = if path.contains("configcrates/") { path } else { "configcrates/draft.vgo" };
    let begun = edits::without_remarks(&format::format(shaped, bytes)?.text);
    let begun = edits::unfolded(&begun).ok_or_else(|| none(path, "it is not plain enough"))?;
    let tree = TextTree::read(&begun).ok_or_else(|| none(path, "it is not plain enough"))?;
    if tree.root.marked {
        return Err(none(path, "it has anchors; write out what they stand for"));
    }
    let name = tree.root.pair("name").and_then(|p| p.value.scalar()).map(|(text, _)| text.to_owned());
    let name = name.or_else(|| Some(path.rsplit('/').next()?.strip_suffix(".vgo")?.to_owned()));
    let of = name.ok_or_else(|| none(path, "it has no name"))?;
    let (text, mut resources) =
        edits::undone(&begun, &tree).ok_or_else(|| none(path, "it is not plain enough"))?;
    let turned = edits::turned(&text).ok_or_else(|| none(path, "its resources cannot be put in order"))?;
    resources.reverse();
    let renamed = of.strip_suffix(END).map_or_else(|| format!("{of}{END}"), str::to_owned);
    let named = edits::named(&turned, &renamed).ok_or_else(|| none(path, "it has no name"))?;
    let body = format::format("configcrates/draft.vgo", named.as_bytes())?.text;
    let text = head(&of, &renamed, &resources) + &body;
    Ok(Retraction { of, name: renamed, resources, text })
}

fn none(path: &str, why: &str) -> Vec<Diagnostic> {
    let name: Arc<str> = Arc::from(path);
    let message = format!("no retraction can be made of this configcrate: {why}");
    vec![Diagnostic::error(rules::RETRACT_NONE, &Site::start(&name), message).help("write it by hand")]
}

fn head(of: &str, name: &str, resources: &[Undone]) -> String {
    let mut out = format!(
        "# Undoes the configcrate {of}. Look at it, rename the file to {name}.vgo, give {name} to the hosts instead of\n# {of}, publish, and remove both when all have converged.\n#\n"
    );
    for undone in resources {
        out += &format!("# {:<6} {} {}: {}\n", undone.confidence, undone.kind, undone.name, undone.how);
        if let Some(review) = &undone.review {
            out += &format!("#        REVIEW: {review}\n");
        }
    }
    out + "\n"
}

/// What is set in a resource to undo it.
struct Wanted {
    fields: Vec<(&'static str, String)>,
    undone: Undone,
    /// Whether it is left out.
    out: bool,
}

/// How a resource is undone; `None` if it is no resource.
fn wanted(source: &str, item: &Item, defaults: Option<&Item>) -> Option<Wanted> {
    let text = |key: &str| item.pair(key).and_then(|p| p.value.scalar()).map(|(text, _)| text.to_owned());
    let (name, kind) = (text("name").unwrap_or_default(), text("type")?);
    let undone = |confidence, how: String, review: Option<&str>| Undone {
        name: name.clone(),
        kind: kind.clone(),
        confidence,
        how,
        review: review.map(str::to_owned),
    };
    let left_out = |why: &str| Wanted {
        fields: Vec::new(),
        undone: undone("low", "left out".into(), Some(why)),
        out: true,
    };
    let Some(of) = schema::find(&kind) else { return Some(left_out("its type is not known")) };
    let branching = ["case", "match"].iter().any(|key| item.pair(key).is_some());
    let odd =
        item.pair("state").is_some_and(|p| p.value.scalar().is_none_or(|(text, _)| text.contains("{{")));
    if branching || odd {
        return Some(left_out("what it does differs from host to host; write what undoes it"));
    }
    let noted = |key: &str| item.pair(key).is_some_and(|pair| edits::noted(source, pair).is_some());
    let given =
        defaults.and_then(|d| d.pair("state")).and_then(|p| p.value.scalar()).map(|(t, _)| t.to_owned());
    let state = text("state").or(given).or(of.default_state().map(str::to_owned));
    let (answers, rest) = condition(text("when").as_deref());
    let rests = noted("when") && text("when").as_deref() == Some("false");
    let handles = matches!(state.as_deref(), Some("restarted" | "reloaded"))
        || of.reversal.by_command() && text("on_revert").is_none();
    if rests || answers && handles {
        return Some(resting(of, &undone));
    }
    let mut wanted = match of.reversal {
        Reversal::State(target, _) if state.as_deref() == Some(target) && !noted("state") => {
            left_out("it removes something, and what was there before is not known")
        }
        Reversal::State(target, extras) => {
            let object = ["target_path", "package", "service"].iter().find_map(|key| text(key));
            by_state(of, target, extras, state.as_deref(), &undone, object.as_deref())
        }
        Reversal::Snapshot => Wanted {
            fields: vec![("revert", "true".into())],
            undone: undone(level(of.confidence), "revert to the value that was found first".into(), None),
            out: false,
        },
        Reversal::Command | Reversal::Native if text("on_revert").is_some() && !noted("on_revert") => {
            Wanted {
                fields: vec![("revert", "true".into())],
                undone: undone("medium", "run its on_revert".into(), None),
                out: false,
            }
        }
        Reversal::Command | Reversal::Native => Wanted {
            fields: vec![("on_revert", "\"false\"".into()), ("revert", "true".into())],
            undone: undone(
                "low",
                "run a command that has to be written".into(),
                Some("on_revert fails until you write the command that undoes it"),
            ),
            out: false,
        },
        Reversal::None => left_out("this type cannot be undone yet"),
    };
    // What waited for a trigger is undone without one.
    if answers || noted("when") {
        wanted.fields.push(("when", rest));
    }
    Some(wanted)
}

/// What only answers changes rests: there is nothing that it keeps on the machine.
fn resting(of: &Type, undone: &dyn Fn(&'static str, String, Option<&str>) -> Undone) -> Wanted {
    let (level, review) = match of.reversal.by_command() {
        true => ("low", Some("look whether what it did has to be undone")),
        false => ("high", None),
    };
    let how = "rest, for it only answers changes".to_owned();
    Wanted { fields: vec![("when", "false".into())], undone: undone(level, how, review), out: false }
}

/// Whether a condition waits for a trigger, and what is left of it without, as it is written.
fn condition(text: Option<&str>) -> (bool, String) {
    let Some(Ok(expr)) = text.map(when::parse) else { return (false, String::new()) };
    let (answers, rest) = expr.without_changed();
    let shown = |rest: Expr| serde_json::to_string(&rest.to_string()).unwrap_or_default();
    (answers, rest.map_or_else(|| "true".to_owned(), shown))
}

fn by_state(
    of: &Type,
    target: &str,
    extras: &[(&'static str, bool)],
    state: Option<&str>,
    undone: &dyn Fn(&'static str, String, Option<&str>) -> Undone,
    object: Option<&str>,
) -> Wanted {
    let back = state == Some(target);
    let new = if back { of.default_state().unwrap_or(target) } else { target };
    let mut fields = vec![("state", new.to_owned())];
    fields.extend(extras.iter().map(|(key, value)| (*key, (*value != back).to_string())));
    let how: Vec<String> = fields.iter().map(|(key, value)| format!("{key} {value}")).collect();
    let owned = |path: &str| {
        OF_THE_SYSTEM.iter().any(|own| path == *own || (own.ends_with('/') && path.starts_with(own)))
    };
    let (confidence, review) = match (of.name, object) {
        _ if back => (level(of.confidence), None),
        ("file", Some(path)) if owned(path) => {
            ("low", Some("the system owns this file: put its former content back instead of removing it"))
        }
        ("package" | "service", Some(name)) if NEEDED.contains(&name) => {
            ("low", Some("other things need it: keep it, unless it came for this alone"))
        }
        _ => (level(of.confidence), None),
    };
    Wanted { fields, undone: undone(confidence, how.join(", "), review), out: false }
}

fn level(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}

/// The lists of resources in a configcrate: its own, and those of its conditional blocks.
fn lists(root: &Item) -> Vec<&Item> {
    let Some(own) = root.pair("resources").map(|p| &p.value) else { return Vec::new() };
    let mut found = Vec::new();
    if let Body::List(items) = &own.body {
        let blocks = items.iter().filter_map(|item| item.pair("conditional_block"));
        found.extend(blocks.filter_map(|block| block.value.pair("resources")).map(|p| &p.value));
    }
    found.push(own);
    found
}
