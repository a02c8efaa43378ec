//! Packages, where they come from, and services.
//!
//! A part of the table; see [`super`].

use super::{Confidence, GROUP, Kind, MODE, OWNER, Reversal, TARGET_PATH, Type, optional, required};
use crate::words::Word;

pub(super) const PACKAGE: Type = Type {
    states: &["present", "absent", "latest"],
    timeout: 300,
    ..Type::new(
        "package",
        "a package of the distribution, by apt",
        &[
            required("package", Kind::Word(Word::Package), "its name"),
            optional("purge", Kind::Bool, "when absent: remove its configuration files too"),
        ],
    )
};

pub(super) const REPOSITORY: Type = Type {
    timeout: 300,
    ..Type::new(
        "repository",
        "a source of packages for the package manager",
        &[
            required("repo", Kind::Word(Word::Line), "the source, as a line of the package manager"),
            optional("key_url", Kind::Word(Word::Url), "where its signing key is"),
            optional(
                "file_name",
                Kind::Word(Word::Job),
                "the name of the file that holds it; made from the resource when not given",
            ),
        ],
    )
};

pub(super) const SOURCE_PACKAGE: Type = Type {
    required_in: &[("present", "url")],
    timeout: 300,
    confidence: Confidence::Medium,
    ..Type::new(
        "source_package",
        "a file or an archive from the web, unpacked where it belongs",
        &[
            TARGET_PATH,
            optional("url", Kind::Word(Word::Url), "where it is"),
            optional("checksum", Kind::Word(Word::Checksum), "the digest that it must have"),
            optional("extract", Kind::Bool, "unpack the archive into target_path"),
            OWNER,
            GROUP,
            MODE,
        ],
    )
};

pub(super) const NONREPO_PACKAGE: Type = Type {
    required_in: &[("present", "url")],
    timeout: 300,
    ..Type::new(
        "nonrepo_package",
        "a package that no repository has, from a .deb or .rpm file",
        &[
            required("package", Kind::Word(Word::Package), "the name of the package in the file"),
            optional("url", Kind::Word(Word::Url), "where the file is"),
            optional("checksum", Kind::Word(Word::Checksum), "the digest that it must have"),
        ],
    )
};

pub(super) const SERVICE: Type = Type {
    states: &["running", "stopped", "restarted", "reloaded", "started", "disabled", "maintenance"],
    reversal: Reversal::State("stopped", &[("enabled", false)]),
    ..Type::new(
        "service",
        "a service: whether it runs, and whether it starts with the machine",
        &[
            required(
                "service",
                Kind::Word(Word::Unit),
                "its name; without an ending like .timer it is a service's",
            ),
            optional("enabled", Kind::Bool, "whether it starts with the machine; as it is when not given"),
        ],
    )
};
