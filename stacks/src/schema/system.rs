//! What the kernel and the system hold: values, rules, mounts.
//!
//! A part of the table; see [`super`].

use super::{Confidence, Kind, Reversal, TARGET_PATH, Type, optional, required};
use crate::words::Word;

pub(super) const SYSCTL: Type = Type {
    required_in: &[("present", "value")],
    ..Type::new(
        "sysctl",
        "a value of the kernel, now and after a restart; absent is its default",
        &[
            required("key", Kind::Word(Word::Sysctl), "the name, like net.ipv4.ip_forward"),
            optional("value", Kind::Word(Word::Line), "the value"),
        ],
    )
};

pub(super) const FIREWALL: Type = Type::new(
    "firewall",
    "a rule of the packet filter of this machine",
    &[
        optional("port", Kind::Word(Word::Ports), "the port, or a range like 8000-8010"),
        optional("proto", Kind::Choice(&["tcp", "udp", "icmp", "any"]), "the protocol; tcp when not given"),
        optional(
            "action",
            Kind::Choice(&["allow", "deny", "reject"]),
            "what becomes of a packet; allow when not given",
        ),
        optional("direction", Kind::Choice(&["in", "out"]), "which packets; in when not given"),
        optional("source_address", Kind::Words(Word::Address), "from where; from anywhere when not given"),
        optional("destination_address", Kind::Words(Word::Address), "to where; to anywhere when not given"),
        optional("interface", Kind::Word(Word::Interface), "the network interface; any when not given"),
        optional("comment", Kind::Word(Word::Comment), "what the rule is for"),
    ],
);

pub(super) const MOUNT: Type = Type {
    states: &["mounted", "present", "unmounted", "absent"],
    required_in: &[
        ("mounted", "device"),
        ("present", "device"),
        ("mounted", "fstype"),
        ("present", "fstype"),
    ],
    confidence: Confidence::Medium,
    ..Type::new(
        "mount",
        "a file system in its place, now and after a restart",
        &[
            TARGET_PATH,
            optional("device", Kind::Word(Word::Line), "what is mounted, like UUID=… or a path"),
            optional("fstype", Kind::Word(Word::Account), "the kind of file system"),
            optional("options", Kind::Words(Word::Line), "mount options"),
        ],
    )
};

pub(super) const SWAP: Type = Type {
    states: &["present", "absent", "on", "off"],
    confidence: Confidence::Medium,
    ..Type::new(
        "swap",
        "a swap file or device",
        &[TARGET_PATH, optional("size_mb", Kind::Word(Word::Number), "how large a file is made, in MiB")],
    )
};

pub(super) const KERNEL_MODULE: Type = Type {
    states: &["present", "absent", "loaded", "unloaded"],
    ..Type::new(
        "kernel_module",
        "a module of the kernel, now and after a restart",
        &[
            required("module", Kind::Word(Word::Account), "its name"),
            optional("parameters", Kind::Words(Word::Line), "parameters like name=value"),
        ],
    )
};

pub(super) const HOSTNAME: Type = Type {
    states: &[],
    reversal: Reversal::Snapshot,
    ..Type::new(
        "hostname",
        "the name of the machine",
        &[required("hostname", Kind::Word(Word::Host), "the name")],
    )
};

pub(super) const TIMEZONE: Type = Type {
    states: &[],
    reversal: Reversal::Snapshot,
    ..Type::new(
        "timezone",
        "the time zone of the machine",
        &[required("timezone", Kind::Word(Word::Zone), "its name, like Europe/Zurich")],
    )
};
