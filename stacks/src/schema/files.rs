//! Files, folders and links, and edits of parts of files.
//!
//! A part of the table; see [`super`].

use super::{Confidence, GROUP, Kind, MODE, OWNER, Reversal, TARGET_PATH, Type, optional, required};

pub(super) const FILE: Type = Type {
    exclusive: &[("content", "source")],
    ..Type::new(
        "file",
        "a regular file: its content, owner, group and permissions",
        &[
            TARGET_PATH,
            optional("content", Kind::Text, "what is in it"),
            optional("source", Kind::Source, "the file under templates/ that holds what is in it"),
            OWNER,
            GROUP,
            MODE,
            optional(
                "stream_edit",
                Kind::Paths,
                "scripts that the content goes through, each from input to output, before it is written",
            ),
        ],
    )
};

pub(super) const DIRECTORY: Type = Type::new(
    "directory",
    "a directory: its owner, group and permissions",
    &[
        TARGET_PATH,
        OWNER,
        GROUP,
        MODE,
        optional("recurse", Kind::Bool, "when absent: remove it with everything in it"),
    ],
);

pub(super) const SYMLINK: Type = Type {
    required_in: &[("present", "link_target")],
    ..Type::new(
        "symlink",
        "a symbolic link",
        &[
            TARGET_PATH,
            optional("link_target", Kind::Text, "what it points to"),
            optional("force", Kind::Bool, "replace a file that is in its place"),
        ],
    )
};

pub(super) const BLOCKINFILE: Type = Type {
    required_in: &[("present", "content")],
    ..Type::new(
        "blockinfile",
        "a block of lines between two marks in a file that others write, too",
        &[
            TARGET_PATH,
            optional("content", Kind::Text, "the lines of the block"),
            optional("marker", Kind::Text, "the text of the marks, with {mark} where BEGIN and END stand"),
            optional(
                "insert_after",
                Kind::Text,
                "a pattern: a new block goes behind the last line that fits, else to the end",
            ),
            optional("create", Kind::Bool, "make the file if it is missing"),
            OWNER,
            GROUP,
            MODE,
        ],
    )
};

pub(super) const REPLACE: Type = Type {
    states: &[],
    reversal: Reversal::Command,
    confidence: Confidence::Low,
    ..Type::new(
        "replace",
        "an edit: what a pattern finds in a file is replaced",
        &[
            TARGET_PATH,
            required("pattern", Kind::Text, "the regular expression"),
            required("replacement", Kind::Text, "what takes the place of each find; $1 is the first group"),
        ],
    )
};
