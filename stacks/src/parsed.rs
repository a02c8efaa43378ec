//! The second stage: what the files say, each mention with its place.
//!
//! Nothing here is merged or looked up; a name that does not exist is still only a name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::compliance::Waiver;
use crate::conditional::Test;
use crate::diagnostic::Site;
use crate::schema::Type;
use crate::setting::{Branches, Setting};
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

/// A configcrate, or a usercrate: both live in one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Configcrate {
    pub name: Name,
    pub path: Arc<str>,
    /// Whether it is a usercrate.
    pub user: bool,
    /// What its own `compliance:` says.
    pub compliance: Tags,
    pub vars: Vars,
    /// Its conditional variables.
    pub tests: BTreeMap<String, Spanned<Test>>,
    pub depends_on: Vec<Name>,
    pub before: Vec<Name>,
    pub resources: Vec<Resource>,
    /// Names of resources that could not be read; mentions of them are not reported again.
    pub lost: Vec<String>,
}

/// A resource, defaults merged in. While `.Each` stands in its texts it is a pattern, not yet a resource.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub name: Name,
    pub kind: &'static Type,
    pub attributes: BTreeMap<String, Setting>,
    /// Where attributes stand, for what is found only when elements are put in.
    pub sites: BTreeMap<String, Site>,
    /// What depends on a template over traits.
    pub case: Option<Branches>,
    /// The list variable of whose elements each makes one of it.
    pub foreach: Option<Name>,
    /// The first mention of `.Each` or `.Item`, and where.
    pub each: Option<Name>,
    pub revert: bool,
    pub on_revert: Option<String>,
    /// Paths of secrets whose rotation triggers it.
    pub watch_secret: Vec<String>,
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

/// The `compliance:` of a configcrate: tags of the two catalogues.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tags {
    pub provides: Vec<Name>,
    pub bundle: Vec<Name>,
}

/// A mention of a configcrate, a usercrate or a role, with a condition of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ref {
    pub name: Name,
    pub when: Option<Condition>,
    /// The `state:` of a mention of a configcrate, if it says one: whether it is `absent`.
    pub absent: Option<Spanned<bool>>,
    /// The list variable of whose elements each makes an instance, with the field that names it.
    pub foreach: Option<Foreach>,
}

impl Ref {
    /// A bare mention.
    pub fn bare(name: Name) -> Ref {
        Ref { name, when: None, absent: None, foreach: None }
    }

    /// Whether the configcrate is to be retracted; a mention without a state says that it is present.
    pub fn is_absent(&self) -> bool {
        self.absent.as_ref().is_some_and(|state| state.value)
    }
}

/// One branch of a role's `case:`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub when: Condition,
    pub configcrates: Vec<Ref>,
    pub usercrates: Vec<Ref>,
}

/// `foreach:` and `key:` of a mention of a configcrate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Foreach {
    pub list: Name,
    pub key: Option<Name>,
}

/// A role.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Role {
    pub name: Name,
    pub configcrates: Vec<Ref>,
    pub usercrates: Vec<Ref>,
    pub cases: Vec<Case>,
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
    pub usercrates: Vec<Ref>,
    pub roles: Vec<Ref>,
    pub vars: Vars,
    pub exclude: Vec<Name>,
}

/// What one `environments.vgo` gives to one environment.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub path: Arc<str>,
    pub name: Name,
    pub configcrates: Vec<Ref>,
    pub usercrates: Vec<Ref>,
    pub vars: Vars,
    pub exclude: Vec<Name>,
}

/// One control that a `compliance.vgo` claims.
#[derive(Debug, Clone)]
pub(crate) struct ClaimLine {
    pub framework: String,
    pub control: Name,
}

/// One match block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MatchBlock {
    /// The directory of its file; empty for the root.
    pub dir: String,
    pub pattern: Name,
    /// The environment it declares.
    pub environment: Option<Name>,
    pub roles: Vec<Ref>,
    pub configcrates: Vec<Ref>,
    pub usercrates: Vec<Ref>,
    pub exclude: Vec<Name>,
    pub tags: Vec<Name>,
    pub vars: Vars,
}

/// Everything that a tree says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parsed {
    /// Configcrates and usercrates by name; of two of one name the first by path.
    pub configcrates: BTreeMap<String, Arc<Configcrate>>,
    /// By name; of two of one name the first.
    pub roles: BTreeMap<String, Arc<Role>>,
    /// By directory.
    pub commons: BTreeMap<String, Arc<Common>>,
    /// By directory, then by the environment's name.
    pub environments: BTreeMap<String, Arc<BTreeMap<String, Environment>>>,
    /// The controls of each `compliance.vgo`, by directory.
    pub claims: BTreeMap<String, Vec<ClaimLine>>,
    /// The waivers of each `waivers.vgo`, by directory.
    pub waivers: BTreeMap<String, Vec<Waiver>>,
    /// Tasks and workflows, by kind and name.
    pub kept: BTreeMap<(&'static str, String), Site>,
    /// In the order in which they are tried (D15).
    pub blocks: Vec<Arc<MatchBlock>>,
    /// Names that files which could not be read may have declared, with or without the ending: what is
    /// missing for that reason is not reported again.
    pub lost: BTreeSet<String>,
    /// Hostcrate files and their number of blocks, for the view of the tree.
    pub hostcrates: BTreeMap<String, usize>,
}

impl Parsed {
    /// Every mention of a configcrate or a usercrate, in any carrier.
    pub fn mentions(&self) -> impl Iterator<Item = &Ref> {
        let of_roles = self.roles.values().flat_map(|r| {
            let of_cases = r.cases.iter().flat_map(|c| c.configcrates.iter().chain(&c.usercrates));
            r.configcrates.iter().chain(&r.usercrates).chain(of_cases)
        });
        let of_commons = self.commons.values().flat_map(|c| c.configcrates.iter().chain(&c.usercrates));
        let of_environments = self
            .environments
            .values()
            .flat_map(|of_file| of_file.values().flat_map(|e| e.configcrates.iter().chain(&e.usercrates)));
        let of_blocks = self.blocks.iter().flat_map(|b| b.configcrates.iter().chain(&b.usercrates));
        of_commons.chain(of_roles).chain(of_environments).chain(of_blocks)
    }

    /// The configcrate of that name that is no usercrate, or the usercrate with `user`.
    pub fn library(&self, name: &str, user: bool) -> Option<&Configcrate> {
        self.configcrates.get(name).map(Arc::as_ref).filter(|c| c.user == user)
    }
}
