//! The second stage: what the files say, each mention with its place.
//!
//! Nothing here is merged or looked up; a name that does not exist is still only a name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::Site;
use crate::schema::Type;
use crate::when::Expr;

/// A value with the place where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spanned<T> {
    pub value: T,
    pub site: Site,
}

/// A condition; its text may span lines, so its place is the whole.
pub(crate) type Condition = Spanned<Expr>;
/// Variables by name.
pub(crate) type Vars = BTreeMap<String, Spanned<Value>>;
/// A mention of a name.
pub(crate) type Name = Spanned<String>;

/// A configcrate.
#[derive(Debug, Clone)]
pub(crate) struct Configcrate {
    pub name: Name,
    pub path: Arc<str>,
    pub vars: Vars,
    pub depends_on: Vec<Name>,
    pub before: Vec<Name>,
    pub resources: Vec<Resource>,
    /// Names of resources that could not be read; mentions of them are not reported again.
    pub lost: Vec<String>,
}

/// A resource, defaults merged in.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub name: Name,
    pub kind: &'static Type,
    pub attributes: BTreeMap<String, Value>,
    /// Every text that holds a template, with the node it stands in.
    pub templates: Vec<TemplateText>,
    pub when: Option<Condition>,
    pub depends_on: Vec<Name>,
    pub before: Vec<Name>,
    pub notify: Vec<Name>,
    pub subscribes: Vec<Name>,
    pub timeout: u64,
}

/// What a template prints for certain, and where, already as places in files.
#[derive(Debug, Clone)]
pub(crate) struct TemplateText {
    pub printed: Vec<(Vec<String>, Site)>,
}

/// A mention of a configcrate or a role, with a condition of its own.
#[derive(Debug, Clone)]
pub(crate) struct Ref {
    pub name: Name,
    pub when: Option<Condition>,
}

/// A role.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub name: Name,
    pub configcrates: Vec<Ref>,
    pub includes: Vec<Name>,
    pub vars: Vars,
    pub when: Option<Condition>,
}

/// A `common.vgo`.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// Its directory; empty for the root.
    pub dir: String,
    pub path: Arc<str>,
    pub configcrates: Vec<Ref>,
    pub roles: Vec<Ref>,
    pub vars: Vars,
    pub exclude: Vec<Name>,
}

/// One match block.
#[derive(Debug, Clone)]
pub(crate) struct MatchBlock {
    /// The directory of its file; empty for the root.
    pub dir: String,
    pub pattern: Name,
    pub roles: Vec<Ref>,
    pub configcrates: Vec<Ref>,
    pub exclude: Vec<Name>,
    pub tags: Vec<String>,
    pub vars: Vars,
}

/// Everything that a tree says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parsed {
    /// By name; of two of one name the first by path.
    pub configcrates: BTreeMap<String, Configcrate>,
    /// By name; of two of one name the first.
    pub roles: BTreeMap<String, Role>,
    /// By directory.
    pub commons: BTreeMap<String, Common>,
    /// In the order in which they are tried (D15).
    pub blocks: Vec<MatchBlock>,
    /// Names that files which could not be read may have declared, with or without the ending: what is
    /// missing for that reason is not reported again.
    pub lost: BTreeSet<String>,
    /// Hostcrate files and their number of blocks, for the view of the tree.
    pub hostcrates: BTreeMap<String, usize>,
}
