//! The one table of resource types: attributes, their kinds, states, defaults, time limits and how each is undone.
//!
//! Publish checks against it, the JSON schema is made from it and the executors read it, so that all know the same
//! language. It holds types that this version's executors cannot run, too. It never holds behaviour. The invariant it
//! keeps: an attribute that is not in the table never reaches an executor.

mod accounts;
mod actions;
mod devices;
mod files;
pub mod json;
pub mod page;
mod software;
mod system;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::template;
use crate::words::{LIST_MAX, Word};

/// What an attribute's value must be. Every text may hold a template, and so may a truth value in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A list of texts, or one alone.
    Texts,
    /// An absolute path.
    Path,
    /// A list of absolute paths, or one alone.
    Paths,
    /// Octal permission bits, three or four digits.
    Mode,
    /// True or false.
    Bool,
    /// A file under `templates/`; its text takes the place of `content` at publish.
    Source,
    /// A list of whole numbers from 0 to 255.
    ExitCodes,
    /// A map of texts: environment variables.
    Environment,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A text with a form of its own.
    Word(Word),
    /// A list of such texts, or one alone.
    Words(Word),
}

impl Kind {
    /// What is expected, for an error.
    pub fn expected(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::Texts => "a list of texts",
            Kind::Path => "an absolute path",
            Kind::Paths => "a list of absolute paths",
            Kind::Mode => "octal permissions in quotes, like \"0644\"",
            Kind::Bool => "true or false",
            Kind::Source => "a file under templates/, like templates/motd.tmpl",
            Kind::ExitCodes => "a list of exit codes from 0 to 255, like [0, 2]",
            Kind::Environment => "a map of names to texts",
            Kind::Choice(_) => "one of its words",
            Kind::Word(word) | Kind::Words(word) => word.expected(),
        }
    }

    /// What is wrong with a text of this kind, or with one in a list of them, beyond what [`Kind::expected`] says.
    pub fn fault(self, text: &str) -> Option<String> {
        match self {
            Kind::Word(word) | Kind::Words(word) => word.fault(text),
            Kind::Choice(words) => {
                (!words.contains(&text)).then(|| format!("it is one of {}", words.join(", ")))
            }
            _ => None,
        }
    }

    /// Whether it is a list, of which lookup tables make unions.
    pub fn is_list(self) -> bool {
        matches!(self, Kind::Texts | Kind::Paths | Kind::Words(_) | Kind::ExitCodes)
    }

    /// Whether a text that holds a template may stand for it.
    pub fn takes_template(self) -> bool {
        !matches!(self, Kind::ExitCodes | Kind::Environment | Kind::Source) && !self.is_list()
    }
}

/// How what a resource did is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reversal {
    /// By declaring this state, with these truth values beside it.
    State(&'static str, &'static [(&'static str, bool)]),
    /// By `revert: true`: the value that was there first is set again.
    Snapshot,
    /// By `revert: true`, which runs `on_revert` with the shell of the machine.
    Command,
    /// By `revert: true`, which runs `on_revert` where the command itself runs.
    Native,
    /// Not yet: its former state is not kept.
    None,
}

impl Reversal {
    /// Whether `revert:` is for such a type.
    pub fn by_revert(self) -> bool {
        matches!(self, Reversal::Snapshot | Reversal::Command | Reversal::Native)
    }

    /// Whether `on_revert:` is for such a type.
    pub fn by_command(self) -> bool {
        matches!(self, Reversal::Command | Reversal::Native)
    }
}

/// How sure it is that undoing leaves nothing behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// What was made goes.
    High,
    /// Something may stay, such as data.
    Medium,
    /// A person has to look.
    Low,
}

/// One attribute of a resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// The name as it is written.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// Whether it must be given.
    pub required: bool,
    /// What it does, in a line.
    pub about: &'static str,
}

/// One resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type {
    /// The name as it is written.
    pub name: &'static str,
    /// What it manages, in a line.
    pub about: &'static str,
    /// The attributes, without the common fields and without `state`.
    pub attributes: &'static [Attribute],
    /// The states, the default first; empty for a type that performs an action or sets a value.
    pub states: &'static [&'static str],
    /// Pairs of attributes that exclude each other.
    pub exclusive: &'static [(&'static str, &'static str)],
    /// Attributes needed only in a state: `(state, attribute)`.
    pub required_in: &'static [(&'static str, &'static str)],
    /// Seconds that it may take unless it says otherwise.
    pub timeout: u64,
    /// How it is undone.
    pub reversal: Reversal,
    /// How sure it is that undoing leaves nothing behind.
    pub confidence: Confidence,
}

impl Type {
    /// A type with no attributes that is made and removed within a minute: the rest is set over it.
    const fn new(name: &'static str, about: &'static str, attributes: &'static [Attribute]) -> Type {
        Type {
            name,
            about,
            attributes,
            states: &["present", "absent"],
            exclusive: &[],
            required_in: &[],
            timeout: 60,
            reversal: Reversal::State("absent", &[]),
            confidence: Confidence::High,
        }
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The state it has when none is given.
    pub fn default_state(&self) -> Option<&'static str> {
        self.states.first().copied()
    }

    /// Whether it must be given in that state.
    pub fn needs(&self, attribute: &Attribute, state: Option<&str>) -> bool {
        attribute.required || state.is_some_and(|s| self.required_in.contains(&(s, attribute.name)))
    }
}

/// The type of that name.
pub fn find(name: &str) -> Option<&'static Type> {
    TYPES.iter().find(|t| t.name == name)
}

/// Whether `value` is octal permissions as the language writes them.
pub fn is_mode(value: &str) -> bool {
    (3..=4).contains(&value.len()) && value.bytes().all(|b| (b'0'..=b'7').contains(&b))
}

/// Whether `path` is absolute on some system and has no `..` in it.
pub fn is_absolute(path: &str) -> bool {
    let drive = path
        .as_bytes()
        .get(..3)
        .is_some_and(|b| b[0].is_ascii_alphabetic() && b[1] == b':' && matches!(b[2], b'\\' | b'/'));
    (path.starts_with('/') || drive)
        && !path.split(['/', '\\']).any(|part| part == "..")
        && !path.contains('\0')
}

/// Whether a value given by template, or by text, may stand for `kind`: the check an executor repeats once
/// templates are rendered.
pub fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Text | Kind::Source, Value::String(_)) | (Kind::Bool, Value::Bool(_)) => true,
        (Kind::Path, Value::String(text)) => is_absolute(text),
        (Kind::Choice(words), Value::String(text)) => words.contains(&text.as_str()),
        (Kind::Mode, Value::String(text)) => is_mode(text),
        (Kind::ExitCodes, Value::Array(codes)) => {
            !codes.is_empty() && codes.iter().all(|c| c.as_u64().is_some_and(|c| c <= 255))
        }
        (Kind::Environment, Value::Object(map)) => map.iter().all(|(k, v)| v.is_string() && is_variable(k)),
        (Kind::Word(word), Value::String(text)) => word.fault(text).is_none(),
        (Kind::Words(_) | Kind::Texts | Kind::Paths, Value::Array(items)) => {
            let sound = |text: &str| template::holds(text) || fits_in_list(kind, text);
            items.len() <= LIST_MAX && items.iter().all(|item| item.as_str().is_some_and(sound))
        }
        _ => false,
    }
}

/// Whether `name` may name an environment variable.
pub fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a text may be an element of a list of this kind.
pub fn fits_in_list(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Paths => is_absolute(text),
        Kind::Words(word) => word.fault(text).is_none(),
        _ => true,
    }
}

/// The fields that every resource may have, beside those of its type.
pub const COMMON_FIELDS: [&str; 15] = [
    "name",
    "type",
    "state",
    "when",
    "depends_on",
    "before",
    "notify",
    "subscribes",
    "watch_secret",
    "timeout",
    "foreach",
    "case",
    "match",
    "revert",
    "on_revert",
];

/// Seconds that a resource may take at most: a day.
pub const TIMEOUT_MAX: u64 = 86_400;

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Attribute {
    Attribute { name, kind, required: false, about }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Attribute {
    Attribute { name, kind, required: true, about }
}

const TARGET_PATH: Attribute =
    required("target_path", Kind::Path, "where it is; `path` is another name for it");
const OWNER: Attribute = optional("owner", Kind::Text, "the owning user, by name or number");
const GROUP: Attribute = optional("group", Kind::Text, "the owning group, by name or number");
const MODE: Attribute = optional("mode", Kind::Mode, "the permissions");

/// All types.
pub static TYPES: [Type; 32] = [
    files::FILE,
    files::DIRECTORY,
    files::SYMLINK,
    files::BLOCKINFILE,
    files::REPLACE,
    software::PACKAGE,
    software::REPOSITORY,
    software::SOURCE_PACKAGE,
    software::NONREPO_PACKAGE,
    software::SERVICE,
    accounts::USER,
    accounts::USER_MACOS,
    accounts::USER_FREEBSD,
    accounts::USER_WINDOWS,
    actions::CRON,
    actions::EXEC,
    actions::CUSTOM,
    system::SYSCTL,
    system::FIREWALL,
    system::MOUNT,
    system::SWAP,
    system::KERNEL_MODULE,
    system::HOSTNAME,
    system::TIMEZONE,
    actions::BACKUP,
    actions::DB_BACKUP,
    actions::SSH_EXEC,
    actions::POWERSHELL,
    devices::CISCO_INTERFACE,
    devices::JUNOS_INTERFACE,
    devices::LOCAL_SECURITY_POLICY,
    devices::SERVICE_RECOVERY_WINDOWS,
];
