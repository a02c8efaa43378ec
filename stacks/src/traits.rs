//! The facts that an envoy reports about itself, as the language sees them: their dotted names, their kinds
//! and their short names.
//!
//! This table decides what a condition or a template may name. It never holds values.

use serde_json::Value;

/// What kind of value a trait has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraitKind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// A list of texts.
    List,
    /// A list of maps, for templates and functions.
    Table,
}

/// Every trait: dotted name, short name (if it has one), kind.
const TRAITS: [(&str, Option<&str>, TraitKind); 20] = [
    ("os.family", Some("family"), TraitKind::Text),
    ("os.distro", Some("distro"), TraitKind::Text),
    ("os.version", Some("version"), TraitKind::Text),
    ("os.arch", Some("arch"), TraitKind::Text),
    ("os.kernel_class", Some("kernel_class"), TraitKind::Text),
    ("os.upstream_id", Some("upstream_id"), TraitKind::Text),
    ("os.upstream_codename", Some("upstream_codename"), TraitKind::Text),
    ("network.hostname", Some("hostname"), TraitKind::Text),
    ("network.fqdn", Some("fqdn"), TraitKind::Text),
    ("network.ip_addresses", Some("ip_addresses"), TraitKind::List),
    ("hardware.cpu_count", Some("cpu_count"), TraitKind::Number),
    ("hardware.memory_mb", Some("memory_mb"), TraitKind::Number),
    ("kernel.release", None, TraitKind::Text),
    ("kernel.version", None, TraitKind::Text),
    ("is_container", Some("is_container"), TraitKind::Bool),
    ("mounts", None, TraitKind::Table),
    ("packages", None, TraitKind::Table),
    ("ports", None, TraitKind::Table),
    ("services", None, TraitKind::Table),
    ("users", None, TraitKind::Table),
];

/// The dotted name of the trait that `name` means, dotted or short.
pub fn path_of(name: &str) -> Option<&'static str> {
    TRAITS.iter().find(|t| t.0 == name || t.1 == Some(name)).map(|t| t.0)
}

/// The kind of the trait with this dotted name.
pub fn kind_of(path: &str) -> Option<TraitKind> {
    TRAITS.iter().find(|t| t.0 == path).map(|t| t.2)
}

/// Whether a template may name this path: a trait, or a group of traits like `os`.
pub fn is_known(path: &str) -> bool {
    TRAITS.iter().any(|t| t.0 == path || t.0.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// All names, short ones first.
pub fn names() -> impl Iterator<Item = &'static str> {
    TRAITS.iter().filter_map(|t| t.1).chain(TRAITS.iter().map(|t| t.0))
}

/// All dotted names.
pub fn paths() -> impl Iterator<Item = &'static str> {
    TRAITS.iter().map(|t| t.0)
}

/// The value at a dotted name in the traits of a machine.
pub fn lookup<'a>(traits: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(traits, |at, part| at.get(part)).filter(|v| !v.is_null())
}
