//! What a value is, by where it stands: which keys it has, and in which order they are written.
//!
//! It knows the skeleton of the language only; whether a tree is right is decided by the readers. Both the edits and
//! the proof that they kept the meaning go by it, each over a tree of its own.

use crate::schema::{self, Kind, Type};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing is known of it.
    Any,
    /// A configcrate or a usercrate.
    Crate,
    Defaults,
    Resources,
    Resource(Option<&'static Type>),
    /// A `conditional_block`.
    Block,
    /// `match:` of a resource: attributes by case.
    Branches(Option<&'static Type>),
    Attribute(Kind),
    When,
    /// roles.vgo, a list of roles, or a role.
    Role,
    /// Branches of a role's `case:`.
    Case,
    /// References to configcrates or roles, or one of them.
    Ref,
    /// common.vgo, or one environment.
    Common,
    Hostcrate,
    MatchBlock,
    /// environments.vgo.
    Environments,
    EnvironmentMap,
}

/// The keys before the attributes of a resource.
const RESOURCE_HEAD: [&str; 3] = ["name", "type", "state"];
/// The keys after them.
const RESOURCE_TAIL: [&str; 13] = [
    "foreach",
    "case",
    "match",
    "when",
    "depends_on",
    "before",
    "notify",
    "subscribes",
    "watch_secret",
    "revert",
    "on_revert",
    "timeout",
    "retry",
];

impl Shape {
    /// What the file at `path` holds, whose keys at the top are `keys`.
    pub fn of_file<'k>(path: &str, mut keys: impl Iterator<Item = &'k str>) -> Shape {
        let parts: Vec<&str> = path.split('/').collect();
        let (file, dirs) = parts.split_last().map_or(("", &parts[..]), |(file, dirs)| (*file, dirs));
        match file {
            "compliance.vgo" | "waivers.vgo" => Shape::Any,
            _ if dirs.first() == Some(&"tasks") || dirs.first() == Some(&"workflows") => Shape::Any,
            _ if dirs.first() == Some(&"configcrates") || dirs.contains(&"usercrates") => Shape::Crate,
            "roles.vgo" => Shape::Role,
            "common.vgo" => Shape::Common,
            "environments.vgo" => Shape::Environments,
            _ => match keys.find(|key| matches!(*key, "envoys" | "resources")) {
                Some("resources") => Shape::Crate,
                _ => Shape::Hostcrate,
            },
        }
    }

    /// What an element is, if this is a list.
    pub fn item(self) -> Shape {
        match self {
            Shape::Resources => Shape::Resource(None),
            Shape::Role | Shape::Case | Shape::Ref | Shape::MatchBlock | Shape::Attribute(_) => self,
            _ => Shape::Any,
        }
    }

    /// This, told by the value of its key `type`.
    pub fn typed(self, of: Option<&str>) -> Shape {
        match self {
            Shape::Resource(_) => Shape::Resource(of.and_then(schema::find)),
            other => other,
        }
    }

    /// What the value of a key is, if this is a map.
    pub fn entry(self, key: &str) -> Shape {
        match (self, key) {
            (Shape::Crate, "defaults") => Shape::Defaults,
            (Shape::Crate | Shape::Block, "resources") => Shape::Resources,
            (Shape::Resource(_), "conditional_block") => Shape::Block,
            (Shape::Resource(of), "match") => Shape::Branches(of),
            (Shape::Branches(of), _) => Shape::Resource(of),
            (Shape::Resource(_) | Shape::Block | Shape::Role | Shape::Case | Shape::Ref, "when") => {
                Shape::When
            }
            (Shape::Resource(Some(of)), key) => {
                of.attribute(key).map_or(Shape::Any, |a| Shape::Attribute(a.kind))
            }
            (Shape::Defaults, key) => {
                let found = schema::TYPES.iter().find_map(|t| t.attribute(key));
                found.map_or(Shape::Any, |a| Shape::Attribute(a.kind))
            }
            // The arms of a lookup table.
            (Shape::Attribute(Kind::Bool | Kind::Mode), _) => self,
            (Shape::Role, "roles") => Shape::Role,
            (Shape::Role, "case") => Shape::Case,
            (
                Shape::Role | Shape::Case | Shape::Common | Shape::MatchBlock,
                "configcrates" | "roles" | "usercrates",
            ) => Shape::Ref,
            (Shape::Hostcrate, "envoys") => Shape::MatchBlock,
            (Shape::Environments, "env") => Shape::EnvironmentMap,
            (Shape::EnvironmentMap, _) => Shape::Common,
            _ => Shape::Any,
        }
    }

    /// The place of a key among the others of its map; `None` if their order is the operator's.
    pub fn rank(self, key: &str) -> Option<usize> {
        let keys: &[&str] = match self {
            Shape::Crate => &["name", "compliance", "vars", "defaults", "depends_on", "before", "resources"],
            Shape::Block => &["when", "resources"],
            Shape::Role => &["name", "when", "includes", "configcrates", "case", "usercrates", "vars"],
            Shape::Case => &["when", "configcrates", "usercrates"],
            Shape::Ref => &["name", "foreach", "key", "state", "when"],
            Shape::Common => &["configcrates", "roles", "usercrates", "exclude_configcrates", "vars"],
            Shape::MatchBlock => &[
                "match",
                "environment",
                "roles",
                "configcrates",
                "usercrates",
                "exclude_configcrates",
                "tags",
                "vars",
            ],
            Shape::Resource(of) => return Some(resource_rank(of, key)),
            _ => return None,
        };
        Some(keys.iter().position(|k| *k == key).unwrap_or(keys.len()))
    }
}

fn resource_rank(of: Option<&'static Type>, key: &str) -> usize {
    let attributes = of.map_or(&[][..], |t| t.attributes);
    let (head, tail) = (RESOURCE_HEAD.len(), RESOURCE_HEAD.len() + attributes.len() + 1);
    if let Some(i) = attributes.iter().position(|a| a.name == key) {
        return head + i;
    }
    if let Some(i) = RESOURCE_HEAD.iter().position(|k| *k == key) {
        return i;
    }
    // What is known to no one keeps its place between the attributes and the rest.
    RESOURCE_TAIL.iter().position(|k| *k == key).map_or(tail - 1, |i| tail + i)
}

/// Whether `target_path` is meant by the key `path` of a resource of that type.
pub(crate) fn path_is_alias(of: Option<&'static Type>) -> bool {
    of.is_some_and(|t| t.attribute("target_path").is_some() && t.attribute("path").is_none())
}

/// Whether a plain scalar is one of the words that YAML 1.1 took for booleans.
pub(crate) fn old_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" => Some(true),
        "no" | "off" => Some(false),
        _ => None,
    }
}

/// Whether it is digits with a leading zero, like the mode 0644.
pub(crate) fn looks_octal(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}
