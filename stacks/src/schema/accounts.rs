//! Accounts, on each kind of system.
//!
//! A part of the table; see [`super`]. The four types differ where the systems do.

use super::{Attribute, Confidence, Kind, Type, optional, required};
use crate::words::Word;

const USERNAME: Attribute = required("username", Kind::Word(Word::Account), "the name to log in with");
const UID: Attribute = optional("uid", Kind::Word(Word::Id), "the user id; the next free one when not given");
const HOME: Attribute = optional("home", Kind::Path, "the home directory");
const SHELL: Attribute = optional("shell", Kind::Path, "the program at login");
const COMMENT: Attribute = optional("comment", Kind::Word(Word::Comment), "the full name or purpose");
const GROUPS: Attribute = optional("groups", Kind::Words(Word::Account), "further groups to be a member of");
const PURGE_GROUPS: Attribute =
    optional("purge_groups", Kind::Bool, "leave every group that `groups` does not name");
const PASSWORD: Attribute = optional("password", Kind::Word(Word::PasswordHash), "the encoded password");
const KEYS: Attribute =
    optional("authorized_keys", Kind::Words(Word::Key), "all public keys that may log in");
const REMOVE_HOME: Attribute =
    optional("remove_home", Kind::Bool, "when absent: remove the home with everything in it");
const GITBACK: Attribute =
    optional("gitback", Kind::Bool, "mirror the git repositories in the home to the members of the puddle");

pub(super) const USER: Type = Type {
    confidence: Confidence::Medium,
    ..Type::new(
        "user",
        "an account, with its groups, its keys and its right to use sudo",
        &[
            USERNAME,
            UID,
            optional(
                "gid",
                Kind::Word(Word::Account),
                "the primary group, by name; one of the user's name when not given",
            ),
            HOME,
            optional("manage_home", Kind::Bool, "make a missing home; true but for a system account"),
            REMOVE_HOME,
            SHELL,
            COMMENT,
            GROUPS,
            PURGE_GROUPS,
            optional("system", Kind::Bool, "take an id below 1000 when it is made"),
            PASSWORD,
            KEYS,
            optional("sudo_nopasswd", Kind::Bool, "may run everything with sudo, without a password"),
            optional("xsession", Kind::Text, "what is in ~/.xsession"),
            GITBACK,
        ],
    )
};

pub(super) const USER_MACOS: Type = Type {
    confidence: Confidence::Medium,
    ..Type::new(
        "user_macos",
        "an account on macOS, in its directory service",
        &[
            USERNAME,
            UID,
            optional(
                "gid",
                Kind::Word(Word::Account),
                "the primary group, by name; one of the user's name when not given",
            ),
            HOME,
            REMOVE_HOME,
            SHELL,
            COMMENT,
            GROUPS,
            PURGE_GROUPS,
            KEYS,
            optional("sudo_nopasswd", Kind::Bool, "may run everything with sudo, without a password"),
            optional("hidden", Kind::Bool, "not shown at the login window"),
            GITBACK,
        ],
    )
};

pub(super) const USER_FREEBSD: Type = Type {
    confidence: Confidence::Medium,
    ..Type::new(
        "user_freebsd",
        "an account on FreeBSD, by pw",
        &[
            USERNAME,
            UID,
            optional(
                "gid",
                Kind::Word(Word::Account),
                "the primary group, by name; one of the user's name when not given",
            ),
            HOME,
            REMOVE_HOME,
            SHELL,
            COMMENT,
            GROUPS,
            PURGE_GROUPS,
            PASSWORD,
            KEYS,
            optional("login_class", Kind::Word(Word::Account), "the class of login.conf"),
            optional("sudo_nopasswd", Kind::Bool, "may run everything with sudo, without a password"),
            GITBACK,
        ],
    )
};

pub(super) const USER_WINDOWS: Type = Type {
    confidence: Confidence::Medium,
    ..Type::new(
        "user_windows",
        "a local account on Windows",
        &[
            USERNAME,
            optional("full_name", Kind::Word(Word::Line), "the full name"),
            optional("comment", Kind::Word(Word::Line), "the description"),
            optional("groups", Kind::Words(Word::Line), "local groups to be a member of"),
            PURGE_GROUPS,
            optional("password_never_expires", Kind::Bool, "the password has no end"),
            optional("enabled", Kind::Bool, "whether it may log in"),
            REMOVE_HOME,
            KEYS,
        ],
    )
};
