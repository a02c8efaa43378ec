//! Refusals of what composes a tree: carriers, roles, usercrates, environments, compliance, retraction.
//!
//! Each group is one snapshot, as in `refusals.rs`; rows of the checklist stand at the cases.

use crate::composition::{crates, people};
use crate::refusals::group;

const USER: &str = "resources:\n  - {name: u, type: user, username: u}\n";
const EXEC: &str = "resources:\n  - {name: r, type: exec, command: \"true\"}\n";

/// A tree of the configcrates `a` and `b`, the usercrate `dan`, which a host includes, and `files`.
fn with(name: &'static str, files: &str) -> (&'static str, String) {
    let text = crates(&["a", "b"])
        + &people(&["usercrates/dan"])
        + "=== z/z/hosts.vgo\nenvoys:\n  - {match: zz, usercrates: [dan]}\n"
        + files;
    (name, text)
}

fn block(name: &'static str, keys: &str) -> (&'static str, String) {
    with(name, &format!("=== s/h.vgo\nenvoys:\n  - {{match: \"*\", {keys}}}\n"))
}

#[test]
fn environments() {
    let out = group(&[
        // E16, E17
        with("no env", "=== environments.vgo\nproduction: {vars: {x: 1}}\n"),
        with("env is a list", "=== environments.vgo\nenv: [production]\n"),
        with("an environment is a text", "=== s/environments.vgo\nenv: {production: yes please}\n"),
        with("roles in an environment", "=== environments.vgo\nenv: {production: {roles: [web]}}\n"),
        with("unknown key", "=== environments.vgo\nenv: {production: {configcrate: [a]}}\n"),
        with("odd name", "=== environments.vgo\nenv: {\"a/b\": {}}\n"),
        with(
            "unknown names",
            "=== environments.vgo\nenv: {live: {configcrates: [aa], usercrates: [dane], exclude_configcrates: [bbb]}}\n",
        ),
        with("another file", "=== s/envs.vgo\nenv: {production: {}}\n"),
        // E18
        with(
            "not declared",
            "=== environments.vgo\nenv: {production: {}}\n=== s/h.vgo\nenvoys:\n  - {match: \"*\", environment: prodution, configcrates: [a]}\n",
        ),
        with(
            "declared elsewhere",
            "=== t/environments.vgo\nenv: {live: {}}\n=== s/h.vgo\nenvoys:\n  - {match: \"*\", environment: live, configcrates: [a]}\n",
        ),
        // F19
        with(
            "excludes nothing",
            "=== environments.vgo\nenv: {live: {exclude_configcrates: [b]}}\n=== s/h.vgo\nenvoys:\n  - {match: \"*\", environment: live, configcrates: [a]}\n",
        ),
        with(
            "an exclusion above a mention",
            "=== s/common.vgo\nexclude_configcrates: [a]\n=== s/h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [a]}\n",
        ),
        // E22
        block("retired mechanisms", "environment_overrides: {}, vars_from: [x]"),
    ]);
    insta::assert_snapshot!(out);
}

fn roles(name: &'static str, list: &str) -> (&'static str, String) {
    with(name, &format!("=== roles.vgo\n{list}"))
}

#[test]
fn whole_roles() {
    let out = group(&[
        // F11
        roles("case is a map", "- {name: r, case: {when: is_container, configcrates: [a]}}\n"),
        roles("a branch without a condition", "- {name: r, case: [{configcrates: [a]}]}\n"),
        roles("a branch without configcrates", "- {name: r, case: [{when: is_container}]}\n"),
        roles("unknown key of a branch", "- {name: r, case: [{when: is_container, roles: [a]}]}\n"),
        roles(
            "unknown names in a branch",
            "- {name: r, case: [{when: is_container, configcrates: [aa], usercrates: [b]}]}\n",
        ),
        roles("changed in a branch", "- {name: r, case: [{when: changed, configcrates: [a]}]}\n"),
        // F14
        roles(
            "nested includes",
            "- {name: x, configcrates: [a]}\n- {name: y, includes: [x]}\n- {name: z, includes: [y]}\n",
        ),
        roles("includes itself", "- {name: x, configcrates: [a], includes: [x]}\n"),
        // F8
        roles("says nothing", "- {name: x}\n"),
        // F16, F17
        block("unknown keys", "envrionment: live, usercrate: [dan]"),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn usercrates() {
    let out = group(&[
        // F27
        with("no user", &format!("=== usercrates/eve.vgo\n{EXEC}")),
        with(
            "two users",
            "=== usercrates/eve.vgo\nresources:\n  - {name: u, type: user, username: u}\n  - {name: v, type: user, username: v}\n",
        ),
        // F28, at every site
        with(
            "the other kind at every site",
            "=== roles.vgo\n- {name: one, configcrates: [dan], usercrates: [a], case: [{when: is_container, configcrates: [dan]}]}\n- {name: two, includes: [one], configcrates: [dan]}\n\
             === s/common.vgo\nconfigcrates: [dan]\nusercrates: [a]\n=== s/environments.vgo\nenv: {live: {configcrates: [dan], usercrates: [a], exclude_configcrates: [dan]}}\n\
             === s/h.vgo\nenvoys:\n  - {match: \"*\", roles: [two], configcrates: [dan], usercrates: [a], exclude_configcrates: [dan]}\n",
        ),
        block("nobody of that name", "usercrates: [dna]"),
        // F29
        with("one name for both kinds", &format!("=== usercrates/b.vgo\n{USER}")),
        with("one name twice", &format!("=== s/usercrates/dan.vgo\n{USER}")),
        // F30
        with("a file's name that is no name", &format!("=== usercrates/d@n.vgo\n{USER}")),
        // F32
        with(
            "retired but present",
            &format!(
                "=== usercrates/retired/eve.vgo\n{USER}=== s/h.vgo\nenvoys:\n  - {{match: \"*\", usercrates: [eve]}}\n"
            ),
        ),
        // F33
        with("a user in a configcrate", &format!("=== configcrates/c.vgo\nname: c\n{USER}")),
        // F24
        block("exclude_usercrates", "exclude_usercrates: [dan]"),
        with(
            "exclude_usercrates elsewhere",
            "=== s/common.vgo\nexclude_usercrates: [dan]\n=== s/environments.vgo\nenv: {live: {exclude_usercrates: [dan]}}\n",
        ),
        with("a hostcrate among usercrates", "=== usercrates/h.vgo\nenvoys: []\n"),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn states_of_mentions() {
    let file = "=== configcrates/f.vgo\nname: f\nresources:\n  - {name: r, type: file, target_path: /x}\n";
    let two = |name, roles: &str, block: &str| {
        with(
            name,
            &format!("{file}=== roles.vgo\n{roles}=== s/h.vgo\nenvoys:\n  - {{match: \"*\", {block}}}\n"),
        )
    };
    let out = group(&[
        // F34
        block("no such state", "configcrates: [{name: a, state: absnt}]"),
        block("on a usercrate", "usercrates: [{name: dan, state: absent}]"),
        two("on a role", "- {name: r, configcrates: [f]}\n", "roles: [{name: r, state: absent}]"),
        // F35
        two(
            "two roles disagree",
            "- {name: x, configcrates: [f]}\n- {name: y, configcrates: [{name: f, state: absent}]}\n",
            "roles: [x, y]",
        ),
        two(
            "it would depend on a condition",
            "- {name: x, configcrates: [f]}\n",
            "roles: [x], configcrates: [{name: f, state: absent, when: is_container}]",
        ),
        // F37
        block("an action without an inverse", "configcrates: [{name: a, state: absent}]"),
        // F36
        with(
            "a type that cannot be reversed",
            "=== configcrates/c.vgo\nname: c\nresources:\n  - {name: banner, type: cisco_interface, host: sw1, interface: GigabitEthernet0/1}\n=== s/h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [{name: c, state: absent}]}\n",
        ),
        with(
            "needed by what stays",
            &format!(
                "{file}=== configcrates/g.vgo\nname: g\nresources:\n  - {{name: s, type: exec, command: x, depends_on: [f/r], notify: [f]}}\n=== s/h.vgo\nenvoys:\n  - {{match: \"*\", configcrates: [g, {{name: f, state: absent}}]}}\n"
            ),
        ),
    ]);
    insta::assert_snapshot!(out);
}

fn tagged(name: &'static str, compliance: &str) -> (&'static str, String) {
    with(name, &format!("=== configcrates/c.vgo\nname: c\n{compliance}\n{EXEC}"))
}

#[test]
fn compliance() {
    let out = group(&[
        // B20
        tagged("controls in a configcrate", "compliance: {nist-800-53: [AU-8], internal: [x]}"),
        // B21
        tagged("tags at the top", "provides: [time-sync]\nbundle: [cis-ubuntu-access]"),
        // B17
        tagged("unknown tags", "compliance: {provides: [time-synch], bundle: [nothing-like-it]}"),
        tagged(
            "a tag of the other catalogue",
            "compliance: {provides: [cis-ubuntu-access], bundle: [time-sync]}",
        ),
        tagged("a list", "compliance: [time-sync]"),
        tagged("a misspelt key", "compliance: {provide: [time-sync]}"),
        // B30
        with("waivers among claims", "=== compliance.vgo\ncompliance: {cis: [\"1.1\"]}\nwaivers: {}\n"),
        with("only waivers among claims", "=== s/compliance.vgo\nwaivers: {cis: []}\n"),
        with("claims among waivers", "=== s/waivers.vgo\ncompliance: {cis: [\"1.1\"]}\nwaivers: {}\n"),
        // B31
        with(
            "other keys",
            "=== compliance.vgo\ncompliance: {}\nname: x\n=== waivers.vgo\nwaivers: {}\nvars: {}\n",
        ),
        with("nothing of their own", "=== compliance.vgo\nx: 1\n=== waivers.vgo\n{}\n"),
        // B32
        with(
            "stray waivers",
            "=== s/corp-waivers.vgo\nwaivers: {cis: []}\n=== configcrates/w.vgo\nwaivers: {}\n",
        ),
        with(
            "waivers in other files",
            "=== s/common.vgo\nwaivers: {}\nvars: {}\n=== s/h.vgo\nenvoys: []\nwaivers: {}\n",
        ),
        // B33
        with(
            "stray claims",
            "=== s/corp.vgo\ncompliance: {cis: [\"1.1\"]}\n=== configcrates/corp.vgo\ncompliance: {cis: [\"1.1\"]}\n",
        ),
        with(
            "claims in other files",
            "=== s/common.vgo\ncompliance: {}\nvars: {}\n=== environments.vgo\nenv: {}\ncompliance: {}\n",
        ),
        // B34
        with("waivers below configcrates/", "=== configcrates/waivers.vgo\nwaivers: {}\n"),
        with("claims for nothing", "=== s/compliance.vgo\ncompliance: {cis: [\"1.1\"]}\n"),
        with(
            "waivers for nobody",
            "=== q/waivers.vgo\nwaivers: {cis: [{control: \"1.1\", reason: r, approved_by: dan}]}\n",
        ),
        // B22
        with("unknown framework", "=== compliance.vgo\ncompliance: {nist-800-35: [AC-1]}\n"),
        with(
            "odd controls",
            "=== compliance.vgo\ncompliance: {nist-800-53: [\"\", \"a;b\", {x: 1}], cis: one}\n",
        ),
        // B26
        with("a waiver without its parts", "=== waivers.vgo\nwaivers: {cis: [{expires: 2027-01-01}]}\n"),
        with(
            "odd parts",
            "=== waivers.vgo\nwaivers:\n  cis:\n    - {control: \"1.1\", reason: \" \", approved_by: [dan]}\n    - {control: \"1.1\", reason: r, approved_by: dan, expires: 2027-02-30}\n    - {control: \"1.1\", reason: r, approved_by: dan, expires: soon, until: x}\n    - text\n",
        ),
    ]);
    insta::assert_snapshot!(out);
}
