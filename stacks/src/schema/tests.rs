//! The table agrees with itself and with the reference.

use super::*;

#[test]
fn the_table_is_consistent() {
    for t in TYPES {
        for a in t.attributes {
            assert!(!COMMON_FIELDS.contains(&a.name), "{} of {} is a common field", a.name, t.name);
            assert_eq!(t.attributes.iter().filter(|b| b.name == a.name).count(), 1, "{}: {}", t.name, a.name);
        }
        for (a, b) in t.exclusive {
            assert!(t.attribute(a).is_some() && t.attribute(b).is_some());
        }
        for (state, a) in t.required_in {
            assert!(t.states.contains(state) && t.attribute(a).is_some());
        }
        assert_eq!(TYPES.iter().filter(|other| other.name == t.name).count(), 1, "{}", t.name);
        assert!(t.timeout <= TIMEOUT_MAX);
    }
}

/// G11: five minutes for what fetches or runs something of the operator's, one for the others.
#[test]
fn default_timeouts() {
    let long = ["exec", "source_package", "nonrepo_package", "custom", "package", "repository"];
    for t in TYPES {
        assert_eq!(t.timeout, if long.contains(&t.name) { 300 } else { 60 }, "{}", t.name);
    }
}

/// G23, G24, G26–G28, G30: what has states is undone by one, what has none by `revert`, four types not yet.
#[test]
fn every_type_says_how_it_is_undone() {
    let of = |pick: &dyn Fn(Reversal) -> bool| -> Vec<&str> {
        TYPES.iter().filter(|t| pick(t.reversal)).map(|t| t.name).collect()
    };
    assert_eq!(of(&|r| r == Reversal::Snapshot), ["hostname", "timezone"]);
    assert_eq!(of(&|r| r == Reversal::Command), ["replace", "exec", "backup", "db_backup"]);
    assert_eq!(of(&|r| r == Reversal::Native), ["ssh_exec", "powershell"]);
    let open = ["cisco_interface", "junos_interface", "local_security_policy", "service_recovery_windows"];
    assert_eq!(of(&|r| r == Reversal::None), open);
    for t in TYPES {
        match t.reversal {
            Reversal::State(state, beside) => {
                assert!(t.states.contains(&state) && t.default_state() != Some(state), "{}", t.name);
                assert!(
                    beside.iter().all(|(name, _)| t.attribute(name).is_some_and(|a| a.kind == Kind::Bool))
                );
            }
            _ => assert!(t.states.is_empty(), "{}", t.name),
        }
    }
}

/// G40, J12, J13, J28–J30: the vocabularies that differ from present and absent.
#[test]
fn vocabularies_of_states() {
    let states = |name: &str| find(name).unwrap().states.join(" ");
    assert_eq!(states("file"), "present absent");
    assert_eq!(states("package"), "present absent latest");
    assert_eq!(states("service"), "running stopped restarted reloaded started disabled maintenance");
    assert_eq!(states("mount"), "mounted present unmounted absent");
    assert_eq!(states("swap"), "present absent on off");
    assert_eq!(states("kernel_module"), "present absent loaded unloaded");
    assert_eq!(states("exec"), "");
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
