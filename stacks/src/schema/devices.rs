//! Stanzas of network devices and policies of Windows: values whose former state is not kept yet.
//!
//! A part of the table; see [`super`].

use super::{Attribute, Confidence, Kind, Reversal, Type, optional, required};
use crate::words::Word;

const DEVICE: Attribute = required("host", Kind::Word(Word::Host), "the device");
const INTERFACE: Attribute =
    required("interface", Kind::Word(Word::Interface), "the interface, like GigabitEthernet0/1");
const LOGIN: Attribute = optional("user", Kind::Word(Word::Account), "who logs in");
const KEY_PATH: Attribute = optional("key_path", Kind::Path, "the private key on this machine");
const DESCRIPTION: Attribute = optional("description", Kind::Word(Word::Line), "what the interface is for");
const ENABLED: Attribute = optional("enabled", Kind::Bool, "whether it is up");
const ADDRESS: Attribute = optional("address", Kind::Word(Word::Address), "its address, like 10.0.0.1/24");
const MTU: Attribute = optional("mtu", Kind::Word(Word::Number), "the largest packet");

pub(super) const CISCO_INTERFACE: Type = Type {
    states: &[],
    reversal: Reversal::None,
    confidence: Confidence::Low,
    ..Type::new(
        "cisco_interface",
        "an interface of a Cisco device, over SSH",
        &[
            DEVICE,
            INTERFACE,
            LOGIN,
            KEY_PATH,
            DESCRIPTION,
            ENABLED,
            ADDRESS,
            MTU,
            optional("switchport_mode", Kind::Choice(&["access", "trunk"]), "how it switches"),
            optional("access_vlan", Kind::Word(Word::Number), "the VLAN of an access port"),
            optional("trunk_vlans", Kind::Words(Word::Ports), "the VLANs of a trunk"),
        ],
    )
};

pub(super) const JUNOS_INTERFACE: Type = Type {
    states: &[],
    reversal: Reversal::None,
    confidence: Confidence::Low,
    ..Type::new(
        "junos_interface",
        "an interface of a Junos device, over SSH",
        &[
            DEVICE,
            INTERFACE,
            LOGIN,
            KEY_PATH,
            DESCRIPTION,
            ENABLED,
            ADDRESS,
            MTU,
            optional("unit", Kind::Word(Word::Number), "the logical unit; 0 when not given"),
            optional("vlan_members", Kind::Words(Word::Line), "the VLANs that it carries"),
        ],
    )
};

pub(super) const LOCAL_SECURITY_POLICY: Type = Type {
    states: &[],
    reversal: Reversal::None,
    confidence: Confidence::Low,
    ..Type::new(
        "local_security_policy",
        "a setting of the local security policy of Windows",
        &[
            required("policy", Kind::Word(Word::Line), "the name of the setting, like MinimumPasswordLength"),
            required("value", Kind::Word(Word::Line), "its value"),
            optional(
                "section",
                Kind::Choice(&["system_access", "event_audit", "registry_values", "privilege_rights"]),
                "where it stands; system_access when not given",
            ),
        ],
    )
};

pub(super) const SERVICE_RECOVERY_WINDOWS: Type = Type {
    states: &[],
    reversal: Reversal::None,
    confidence: Confidence::Low,
    ..Type::new(
        "service_recovery_windows",
        "what Windows does when a service fails",
        &[
            required("service", Kind::Word(Word::Line), "the service"),
            optional(
                "first_failure",
                Kind::Choice(&["none", "restart", "reboot", "command"]),
                "at the first failure",
            ),
            optional(
                "second_failure",
                Kind::Choice(&["none", "restart", "reboot", "command"]),
                "at the second",
            ),
            optional(
                "subsequent_failures",
                Kind::Choice(&["none", "restart", "reboot", "command"]),
                "at all others",
            ),
            optional("reset_seconds", Kind::Word(Word::Number), "after how long failures are counted anew"),
            optional("delay_seconds", Kind::Word(Word::Number), "how long it waits before it acts"),
            optional("command", Kind::Text, "what is run by `command`"),
        ],
    )
};
