//! Jobs, commands and copies: what is done rather than what is.
//!
//! A part of the table; see [`super`].

use super::{Attribute, Confidence, Kind, Reversal, Type, optional, required};
use crate::words::Word;

const COMMAND: Attribute = required("command", Kind::Text, "the command line");
const ONLYIF: Attribute = optional("onlyif", Kind::Text, "run only if this command succeeds");
const UNLESS: Attribute = optional("unless", Kind::Text, "do not run if this command succeeds");
const CREATES: Attribute = optional("creates", Kind::Path, "do not run if this path exists");
const CWD: Attribute = optional("cwd", Kind::Path, "the directory to run in");
const ENVIRONMENT: Attribute = optional("environment", Kind::Environment, "variables for the command");
const EXIT_CODES: Attribute =
    optional("exit_codes", Kind::ExitCodes, "codes that mean success; [0] when not given");
const KEEP: Attribute =
    optional("keep", Kind::Word(Word::Number), "how many copies stay; all when not given");

pub(super) const CRON: Type = Type {
    required_in: &[("present", "schedule"), ("present", "command")],
    ..Type::new(
        "cron",
        "a job that cron runs, in a file of its own below /etc/cron.d",
        &[
            required("job", Kind::Word(Word::Job), "the name of the job on the machine"),
            optional(
                "schedule",
                Kind::Word(Word::Schedule),
                "when it runs: five fields, or @daily and the like",
            ),
            optional("command", Kind::Word(Word::CronCommand), "what runs, in one line"),
            optional("user", Kind::Word(Word::Account), "who runs it; root when not given"),
            ENVIRONMENT,
        ],
    )
};

pub(super) const EXEC: Type = Type {
    timeout: 300,
    states: &[],
    reversal: Reversal::Command,
    confidence: Confidence::Low,
    ..Type::new(
        "exec",
        "a command, run by the shell",
        &[COMMAND, ONLYIF, UNLESS, CREATES, CWD, ENVIRONMENT, EXIT_CODES],
    )
};

pub(super) const CUSTOM: Type = Type {
    required_in: &[("present", "apply"), ("absent", "remove")],
    timeout: 300,
    confidence: Confidence::Low,
    ..Type::new(
        "custom",
        "a state of your own: a command that looks, one that makes and one that removes",
        &[
            required("check", Kind::Text, "succeeds when it is there"),
            optional("apply", Kind::Text, "makes it"),
            optional("remove", Kind::Text, "removes it"),
            CWD,
            ENVIRONMENT,
        ],
    )
};

pub(super) const BACKUP: Type = Type {
    states: &[],
    reversal: Reversal::Command,
    confidence: Confidence::Low,
    ..Type::new(
        "backup",
        "a copy of files, made when something in them is newer than the last copy",
        &[
            required("paths", Kind::Paths, "what is copied"),
            required(
                "target_path",
                Kind::Path,
                "the directory for the copies; `path` is another name for it",
            ),
            optional("exclude", Kind::Texts, "patterns of what is left out"),
            optional("compress", Kind::Bool, "compress the copy"),
            KEEP,
        ],
    )
};

pub(super) const DB_BACKUP: Type = Type {
    states: &[],
    reversal: Reversal::Command,
    confidence: Confidence::Low,
    ..Type::new(
        "db_backup",
        "a dump of a database",
        &[
            required(
                "engine",
                Kind::Choice(&["postgres", "mysql", "mariadb", "sqlite", "mongodb", "redis"]),
                "the kind of database",
            ),
            required("database", Kind::Word(Word::Line), "its name, or the path of its file"),
            required("target_path", Kind::Path, "the directory for the dumps; `path` is another name for it"),
            optional("user", Kind::Word(Word::Account), "who connects"),
            optional("host", Kind::Word(Word::Host), "where it runs; here when not given"),
            optional("port", Kind::Word(Word::Port), "its port"),
            optional("compress", Kind::Bool, "compress the dump"),
            KEEP,
        ],
    )
};

pub(super) const SSH_EXEC: Type = Type {
    states: &[],
    reversal: Reversal::Native,
    confidence: Confidence::Low,
    ..Type::new(
        "ssh_exec",
        "a command on another device, over SSH",
        &[
            COMMAND,
            required("host", Kind::Word(Word::Host), "the device"),
            optional("port", Kind::Word(Word::Port), "its port; 22 when not given"),
            optional("user", Kind::Word(Word::Account), "who logs in"),
            optional("key_path", Kind::Path, "the private key on this machine"),
            optional(
                "known_host",
                Kind::Word(Word::Line),
                "the line of known_hosts that the device must show",
            ),
            ONLYIF,
            UNLESS,
            EXIT_CODES,
        ],
    )
};

pub(super) const POWERSHELL: Type = Type {
    states: &[],
    reversal: Reversal::Native,
    confidence: Confidence::Low,
    ..Type::new(
        "powershell",
        "a command of PowerShell on Windows",
        &[COMMAND, ONLYIF, UNLESS, CREATES, CWD, ENVIRONMENT, EXIT_CODES],
    )
};
