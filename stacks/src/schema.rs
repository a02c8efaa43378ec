//! The one table of resource types: attributes, their kinds, states, defaults and time limits.
//!
//! Publish checks against it and the executors read it, so that both know the same language. It never holds
//! behaviour. The invariant it keeps: an attribute that is not in the table never reaches an executor.

use serde_json::Value;

use crate::template;
use crate::words::{LIST_MAX, Word};

/// What an attribute's value must be. A text of any kind but [`Kind::Bool`] may hold a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// An absolute path.
    Path,
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
            Kind::Path => "an absolute path",
            Kind::Mode => "octal permissions in quotes, like \"0644\"",
            Kind::Bool => "true or false",
            Kind::Source => "a file under templates/, like templates/motd.tmpl",
            Kind::ExitCodes => "a list of exit codes from 0 to 255, like [0, 2]",
            Kind::Environment => "a map of names to texts",
            Kind::Word(word) | Kind::Words(word) => word.expected(),
        }
    }

    /// What is wrong with a text of this kind, beyond what [`Kind::expected`] says.
    pub fn fault(self, text: &str) -> Option<String> {
        match self {
            Kind::Word(word) | Kind::Words(word) => word.fault(text),
            _ => None,
        }
    }
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
    /// The states, the default first; empty for a type that performs an action.
    pub states: &'static [&'static str],
    /// Pairs of attributes that exclude each other.
    pub exclusive: &'static [(&'static str, &'static str)],
    /// Attributes needed only in a state: `(state, attribute)`.
    pub required_in: &'static [(&'static str, &'static str)],
    /// Seconds that it may take unless it says otherwise.
    pub timeout: u64,
}

impl Type {
    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The state it has when none is given.
    pub fn default_state(&self) -> Option<&'static str> {
        self.states.first().copied()
    }
}

/// The type of that name, if this version has it.
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
        (Kind::Mode, Value::String(text)) => is_mode(text),
        (Kind::ExitCodes, Value::Array(codes)) => {
            !codes.is_empty() && codes.iter().all(|c| c.as_u64().is_some_and(|c| c <= 255))
        }
        (Kind::Environment, Value::Object(map)) => map.iter().all(|(k, v)| v.is_string() && is_variable(k)),
        (Kind::Word(word), Value::String(text)) => word.fault(text).is_none(),
        (Kind::Words(word), Value::Array(items)) => {
            let sound = |text: &str| template::holds(text) || word.fault(text).is_none();
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

/// Types of the language that this version lacks.
pub const LATER_TYPES: [&str; 24] = [
    "blockinfile",
    "replace",
    "repository",
    "source_package",
    "nonrepo_package",
    "user_macos",
    "user_freebsd",
    "user_windows",
    "custom",
    "sysctl",
    "firewall",
    "mount",
    "swap",
    "kernel_module",
    "hostname",
    "timezone",
    "backup",
    "db_backup",
    "ssh_exec",
    "powershell",
    "cisco_interface",
    "junos_interface",
    "local_security_policy",
    "service_recovery_windows",
];

/// The fields that every resource may have, beside those of its type.
pub const COMMON_FIELDS: [&str; 9] =
    ["name", "type", "state", "when", "depends_on", "before", "notify", "subscribes", "timeout"];

/// Fields of a resource that the language has and this version lacks.
pub const LATER_FIELDS: [&str; 7] =
    ["foreach", "case", "match", "revert", "on_revert", "watch_secret", "conditional_block"];

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
pub const TYPES: [Type; 8] = [
    Type {
        name: "file",
        about: "a regular file: its content, owner, group and permissions",
        attributes: &[
            TARGET_PATH,
            optional("content", Kind::Text, "what is in it"),
            optional("source", Kind::Source, "the file under templates/ that holds what is in it"),
            OWNER,
            GROUP,
            MODE,
        ],
        states: &["present", "absent"],
        exclusive: &[("content", "source")],
        required_in: &[],
        timeout: 60,
    },
    Type {
        name: "directory",
        about: "a directory: its owner, group and permissions",
        attributes: &[
            TARGET_PATH,
            OWNER,
            GROUP,
            MODE,
            optional("recurse", Kind::Bool, "when absent: remove it with everything in it"),
        ],
        states: &["present", "absent"],
        exclusive: &[],
        required_in: &[],
        timeout: 60,
    },
    Type {
        name: "symlink",
        about: "a symbolic link",
        attributes: &[
            TARGET_PATH,
            optional("link_target", Kind::Text, "what it points to"),
            optional("force", Kind::Bool, "replace a file that is in its place"),
        ],
        states: &["present", "absent"],
        exclusive: &[],
        required_in: &[("present", "link_target")],
        timeout: 60,
    },
    Type {
        name: "exec",
        about: "a command, run by the shell",
        attributes: &[
            required("command", Kind::Text, "the command line"),
            optional("onlyif", Kind::Text, "run only if this command succeeds"),
            optional("unless", Kind::Text, "do not run if this command succeeds"),
            optional("creates", Kind::Path, "do not run if this path exists"),
            optional("cwd", Kind::Path, "the directory to run in"),
            optional("environment", Kind::Environment, "variables for the command"),
            optional("exit_codes", Kind::ExitCodes, "codes that mean success; [0] when not given"),
        ],
        states: &[],
        exclusive: &[],
        required_in: &[],
        timeout: 300,
    },
    Type {
        name: "user",
        about: "an account, with its groups, its keys and its right to use sudo",
        attributes: &[
            required("username", Kind::Word(Word::Account), "the name to log in with"),
            optional("uid", Kind::Word(Word::Id), "the user id; the next free one when not given"),
            optional(
                "gid",
                Kind::Word(Word::Account),
                "the primary group, by name; one of the user's name when not given",
            ),
            optional("home", Kind::Path, "the home directory"),
            optional("manage_home", Kind::Bool, "make a missing home; true but for a system account"),
            optional("remove_home", Kind::Bool, "when absent: remove the home with everything in it"),
            optional("shell", Kind::Path, "the program at login"),
            optional("comment", Kind::Word(Word::Comment), "the full name or purpose"),
            optional("groups", Kind::Words(Word::Account), "further groups to be a member of"),
            optional("purge_groups", Kind::Bool, "leave every group that `groups` does not name"),
            optional("system", Kind::Bool, "take an id below 1000 when it is made"),
            optional("password", Kind::Word(Word::PasswordHash), "the encoded password"),
            optional("authorized_keys", Kind::Words(Word::Key), "all public keys that may log in"),
            optional("sudo_nopasswd", Kind::Bool, "may run everything with sudo, without a password"),
            optional("xsession", Kind::Text, "what is in ~/.xsession"),
        ],
        states: &["present", "absent"],
        exclusive: &[],
        required_in: &[],
        timeout: 60,
    },
    Type {
        name: "package",
        about: "a package of the distribution, by apt",
        attributes: &[
            required("package", Kind::Word(Word::Package), "its name"),
            optional("purge", Kind::Bool, "when absent: remove its configuration files too"),
        ],
        states: &["present", "absent", "latest"],
        exclusive: &[],
        required_in: &[],
        timeout: 300,
    },
    Type {
        name: "service",
        about: "a unit of systemd: whether it runs, and whether it starts with the machine",
        attributes: &[
            required(
                "service",
                Kind::Word(Word::Unit),
                "its name; without an ending like .timer it is a service's",
            ),
            optional("enabled", Kind::Bool, "whether it starts with the machine; as it is when not given"),
        ],
        states: &["running", "stopped", "restarted", "reloaded"],
        exclusive: &[],
        required_in: &[],
        timeout: 60,
    },
    Type {
        name: "cron",
        about: "a job that cron runs, in a file of its own below /etc/cron.d",
        attributes: &[
            required("job", Kind::Word(Word::Job), "the name of the job on the machine"),
            optional(
                "schedule",
                Kind::Word(Word::Schedule),
                "when it runs: five fields, or @daily and the like",
            ),
            optional("command", Kind::Word(Word::CronCommand), "what runs, in one line"),
            optional("user", Kind::Word(Word::Account), "who runs it; root when not given"),
            optional("environment", Kind::Environment, "variables for the command"),
        ],
        states: &["present", "absent"],
        exclusive: &[],
        required_in: &[("present", "schedule"), ("present", "command")],
        timeout: 60,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for t in TYPES {
            for a in t.attributes {
                assert!(!COMMON_FIELDS.contains(&a.name), "{} of {} is a common field", a.name, t.name);
                assert!(!LATER_FIELDS.contains(&a.name), "{} of {} comes later", a.name, t.name);
            }
            for (a, b) in t.exclusive {
                assert!(t.attribute(a).is_some() && t.attribute(b).is_some());
            }
            for (state, a) in t.required_in {
                assert!(t.states.contains(state) && t.attribute(a).is_some());
            }
            assert!(!LATER_TYPES.contains(&t.name) && t.timeout <= TIMEOUT_MAX);
        }
    }

    #[test]
    fn paths_and_modes_are_told_from_other_texts() {
        for yes in ["/", "/etc/motd", "C:\\x", "c:/x"] {
            assert!(is_absolute(yes), "{yes}");
        }
        for no in ["", "etc", "./x", "/etc/../x", "C:x", "~/x", "/a\0b"] {
            assert!(!is_absolute(no), "{no}");
        }
        assert!(is_mode("0644") && is_mode("755") && !is_mode("0888") && !is_mode("u=rw") && !is_mode("64"));
    }
}
