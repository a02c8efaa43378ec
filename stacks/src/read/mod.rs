//! From nodes to [`Parsed`]: every key is known, every value is of its kind, every mistake is reported.
//!
//! It never looks at another file (but for the texts of `source:`), and never stops at the first mistake.

mod attribute;
mod branches;
mod compliance;
mod crates;
mod file;
mod hosts;
mod keys;
mod place;
mod resource;
mod scalar;

pub(crate) use attribute::{misshapen, sound};
pub(crate) use resource::fits_type;
pub(crate) use scalar::name_fault;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::Parsed;
use crate::rules;
use crate::source::{SourceTree, Templates};
use crate::yaml;

pub(crate) use file::{FileRead, read_file};
use place::note_environments;

/// The directory of scripts for `stream_edit:` (D22).
const SCRIPTS: &str = "/srv/vigo/scripts";

/// What reading a file needs.
pub(crate) struct Reader<'a> {
    pub path: Arc<str>,
    pub templates: &'a Templates<'a>,
    pub sink: &'a mut Vec<Diagnostic>,
}

/// Reads every file of `tree` that is configuration.
pub(crate) fn tree(tree: &SourceTree, sink: &mut Vec<Diagnostic>) -> Parsed {
    let templates = Templates::of(tree);
    together(tree, tree.iter().map(|(path, bytes)| read_file(path, bytes, &templates)), sink)
}

/// Puts together what the files of `tree` say, which come in the order of their paths.
pub(crate) fn together<F: std::borrow::Borrow<FileRead>>(
    tree: &SourceTree,
    files: impl Iterator<Item = F>,
    sink: &mut Vec<Diagnostic>,
) -> Parsed {
    let mut parsed = Parsed::default();
    files.for_each(|file| file.borrow().put(&mut parsed, sink));
    // D15: deeper directories first, then by path, then by order in the file; the sort keeps that order.
    let depth = |dir: &str| if dir.is_empty() { 0 } else { dir.matches('/').count() + 1 };
    parsed.blocks.sort_by_key(|b| std::cmp::Reverse(depth(&b.dir)));
    note_environments(tree, sink);
    parsed
}

/// The name of a file without its ending.
fn stem_of(path: &str) -> &str {
    path.rsplit('/').next().and_then(|f| f.strip_suffix(".vgo")).unwrap_or_default()
}

impl Reader<'_> {
    /// A file of `tasks/` or `workflows/`: it travels with the tree, and nothing runs it yet.
    fn kept(&mut self, node: &yaml::Node, kind: &str) -> Option<crate::parsed::Name> {
        let yaml::Data::Map(entries) = &node.data else {
            let message = format!("a {kind} is a map");
            let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, message);
            self.sink.push(diagnostic.found(&node.shown()).expected("the key name, and what it does"));
            return None;
        };
        let Some(entry) = entries.iter().find(|e| e.key == "name") else {
            self.missing(
                &node.site,
                &format!("a {kind}"),
                "name",
                "it is the name by which it will be asked for",
            );
            return None;
        };
        let message =
            format!("{kind}s are kept and published, but this version neither checks nor runs them");
        let help = format!(
            "only `name:` and the form of the file are checked; run it another way until {kind}s come"
        );
        self.sink.push(Diagnostic::warning(rules::KEPT_ONLY, &entry.key_site, message).help(help));
        self.name(&entry.value, &format!("a {kind}"))
    }
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
    Reader { path, templates: &Templates::of(templates), sink }.configcrate(&node, false)
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

/// The keys of every kind of map that is no resource, for the schema that editors use.
pub(crate) fn shapes() -> [(&'static str, &'static [&'static str]); 16] {
    [
        ("configcrate", crates::CRATE_KEYS),
        ("roles", crates::ROLES.known),
        ("role", crates::ROLE.known),
        ("case", crates::CASE.known),
        ("configcrate-mention", crates::CONFIGCRATE_REF.known),
        ("usercrate-mention", crates::USERCRATE_REF.known),
        ("role-mention", crates::ROLE_REF.known),
        ("hostcrate", hosts::HOSTCRATE.known),
        ("match-block", hosts::MATCH_BLOCK.known),
        ("common", hosts::COMMON.known),
        ("environments", hosts::ENVIRONMENTS.known),
        ("environment", hosts::ENVIRONMENT.known),
        ("compliance", compliance::CLAIMS.known),
        ("waivers", compliance::WAIVERS.known),
        ("waiver", compliance::WAIVER.known),
        ("conditional-block", resource::BLOCK.known),
    ]
}

/// A file's YAML as JSON.
pub(crate) fn instance(path: &str, bytes: &[u8]) -> Option<serde_json::Value> {
    let path: Arc<str> = Arc::from(path);
    let (mut sink, tree) = (Vec::new(), SourceTree::new());
    let node = yaml::read(&path, bytes, &mut sink)?;
    Reader { path, templates: &Templates::of(&tree), sink: &mut sink }.as_json(&node)
}

impl Reader<'_> {
    /// A node as JSON, references to secrets as the texts that they are. YAML bounds how deep it nests.
    fn as_json(&mut self, node: &yaml::Node) -> Option<serde_json::Value> {
        Some(match &node.data {
            yaml::Data::Scalar(scalar) if scalar.text.starts_with("secret:") => scalar.text.clone().into(),
            yaml::Data::Scalar(_) => self.value(node)?,
            yaml::Data::List(items) => {
                items.iter().map(|item| self.as_json(item)).collect::<Option<Vec<_>>>()?.into()
            }
            yaml::Data::Map(entries) => {
                let pairs = entries.iter().map(|e| Some((e.key.clone(), self.as_json(&e.value)?)));
                serde_json::Value::Object(pairs.collect::<Option<_>>()?)
            }
        })
    }
}
