//! Rows F: fields of configcrates, roles, match blocks and mentions.

use super::case::{add, edit, moved, text};
use super::{Row, row};

const BED: &str = "bed3.clinic.example";
const CT: &str = "ct1.clinic.example";
const MAIL: &str = "mail.orchard.example";
const TILL: &str = "counter2.orchard.example";
const ROLES: &str = "=== configcrates/a.vgo
name: a
resources:
  - {name: r, type: exec, command: x}
=== roles.vgo
- {name: web, configcrates: [a]}
=== s/hosts.vgo
envoys:
  - {match: h, roles: [{name: web, when: os_family('linux')}]}
";
const WEB: &str = "configcrates/web.vgo";

/// The rows.
pub fn rows() -> Vec<Row> {
    [crates(), roles(), hosts(), mentions(), states(), usercrates()].into_iter().flatten().collect()
}

fn crates() -> Vec<Row> {
    vec![
        row("F1", "a configcrate has a name of its own", "stacks::configcrates", edit(WEB, "name: web\n", "name: base\n").says("name-taken")),
        row("F2", "a configcrate's variables are defaults", "stacks::variables_are_layered", edit("harbor/common.vgo", "{debug", "{port: 9, debug").turns("", "port = 9  by harbor/common.vgo")),
        row("F3", "defaults are attributes of all resources that have them", "stacks::a_plan_is_ordered_and_holds_what_is_left", edit(WEB, "defaults:\n  mode: \"0644\"", "defaults:\n  mode: \"0600\"").turns("", "file web/page content=\"<h1>Hello from Vigo</h1>\\n\" content:\"<h1>{{ .Vars.title }}</h1>\\n\" mode=\"0600\"")),
        row("F4", "whole configcrates depend on others", "stacks::a_retracted_configcrate_goes_after_those_that_need_it", edit(WEB, "depends_on: [base]", "depends_on: [bsae]").says("configcrate-unknown")),
        row("F5", "whole configcrates come before others", "stacks::references_and_order", edit("configcrates/machine/room.vgo", "before: [sshd]", "depends_on: [sshd]\nbefore: [sshd]").says("order-cycle")),
        row("F6", "a configcrate has resources", "stacks::configcrates", edit("configcrates/machine/selinux.vgo", "resources:", "resorces:").says("key-missing")),
        row("F7", "a configcrate's compliance has two keys", "stacks::tags_claim_what_the_catalogues_say", edit("configcrates/base.vgo", "  provides:", "  provide:").says("key-unknown")),
    ]
}

fn roles() -> Vec<Row> {
    vec![
        row(
            "F8",
            "a role gives configcrates, usercrates and variables",
            "stacks::whole_roles",
            edit("roles.vgo", "Hello from Vigo", "Hello again")
                .turns("title = \"Hello from Vigo\"", "title = \"Hello again\""),
        ),
        row(
            "F9",
            "a role's mention may have a condition",
            "stacks::roles_have_cases",
            edit("roles.vgo", "when: \"!is_container || shares_everywhere\"", "when: is_container")
                .on("db1")
                .turns("directory shares/share charts", ""),
        ),
        row(
            "F10",
            "a role's condition is that of what it gives",
            "stacks::roles_have_cases",
            edit("roles.vgo", "when: os_family('linux')", "when: os_family('windows')")
                .on(BED)
                .turns("file sshd/settings", ""),
        ),
        row(
            "F11",
            "every branch of case: that holds gives its own",
            "stacks::roles_have_cases",
            edit("roles.vgo", "- when: os_family('debian')", "- when: os_family('windows')")
                .on(BED)
                .turns("package upgrades/installed", ""),
        ),
        row(
            "F12",
            "the mention of a role may have a condition",
            "stacks::roles_bring_configcrates_and_the_nearest_condition_counts",
            text(ROLES, "when: os_family('linux')", "when: os_family('windows')").turns("exec a/r", ""),
        ),
        row(
            "F13",
            "the nearest condition counts",
            "stacks::roles_bring_configcrates_and_the_nearest_condition_counts",
            edit("roles.vgo", "- {name: ada, when: \"!is_container\"}", "- {name: ada, when: is_container}")
                .on(BED)
                .turns("user ada/ada", ""),
        ),
        row(
            "F14",
            "includes go one level deep",
            "stacks::role_declarations",
            edit("roles.vgo", "  - name: server", "  - name: server\n    includes: [oncall]")
                .says("role-includes"),
        ),
    ]
}

fn hosts() -> Vec<Row> {
    vec![
        row(
            "F15",
            "the first match block that fits decides",
            "stacks::the_deepest_file_is_tried_first",
            edit("clinic/hosts.vgo", "match: ct1.clinic.example", "match: ct9.clinic.example")
                .on(CT)
                .turns("matched `ct1.clinic.example`", "matched `*.clinic.example`"),
        ),
        row(
            "F16",
            "a match block has seven more keys",
            "stacks::whole_roles",
            edit("clinic/hosts.vgo", "tags:", "tgas:").says("key-unknown"),
        ),
        row(
            "F17",
            "role: is roles: of one",
            "stacks::match_blocks_and_roles_are_put_in_order",
            edit(
                "clinic/hosts.vgo",
                "    roles: [{name: oncall, when: \"!is_container\"}]",
                "    role: web\n    roles: [web]",
            )
            .says("attributes-exclusive"),
        ),
        row(
            "F18",
            "a match block alone gives tags",
            "stacks::a_trace_says_where_everything_comes_from",
            edit("harbor/hosts.vgo", "tags: [web]", "tags: [front]").turns("tag web at", "tag front at"),
        )
        .later("the index of the fleet by tags comes later; the route table carries them"),
        row(
            "F19",
            "an exclusion takes out what is inherited",
            "stacks::exclusions_take_out_what_is_inherited",
            edit("orchard/shop/common.vgo", "exclude_configcrates: [machine-room]", "vars: {x: 1}")
                .on(TILL)
                .turns("machine-room  excluded", "firewall machine-room/https"),
        ),
        row(
            "F20",
            "more than four configcrates in a block ask for a role",
            "stacks::hostcrates",
            edit(
                "harbor/hosts.vgo",
                "configcrates: [settings]",
                "configcrates: [settings, db, watch, upgrades, selinux]",
            )
            .says("inline-configcrates"),
        ),
    ]
}

fn mentions() -> Vec<Row> {
    vec![
        row(
            "F21",
            "the carriers come in a fixed order",
            "stacks::environments_come_last_from_the_root_down",
            edit(
                "environments.vgo",
                "    configcrates: [watch]\n",
                "    configcrates: [watch]\n    exclude_configcrates: [legacy-agent]\n",
            )
            .on(CT)
            .turns("file legacy-agent/settings", "legacy-agent  excluded by environments.vgo (live)"),
        ),
        row(
            "F22",
            "variables are set in layers",
            "stacks::any_carriers_come_to_what_the_order_says",
            edit(
                "clinic/hosts.vgo",
                "    tags: [modality]",
                "    tags: [modality]\n    vars: {log_level: loud}",
            )
            .on(CT)
            .turns("", "over \"loud\"  by match block"),
        ),
        row(
            "F23",
            "a host comes to its configcrates in order",
            "stacks::the_example_of_directories",
            edit("orchard/common.vgo", "[watch, machine-room]", "[machine-room, watch]")
                .on(MAIL)
                .turns("step 0 file watch/level", "step 0 sysctl machine-room/forwarding off"),
        ),
    ]
}

fn states() -> Vec<Row> {
    vec![
        row(
            "F34",
            "a mention may take its configcrate back",
            "stacks::a_mention_retracts_a_configcrate",
            edit("clinic/common.vgo", "state: absent", "state: present")
                .on(BED)
                .turns("legacy-agent  retracted", "state=\"running\""),
        ),
        row(
            "F35",
            "the most specific mention decides the state",
            "stacks::the_most_specific_mention_decides_the_state",
            edit("clinic/hosts.vgo", "    configcrates: [legacy-agent]\n", "")
                .on(CT)
                .turns("overridden: by clinic/common.vgo", "legacy-agent  retracted"),
        ),
        row(
            "F36",
            "what cannot be undone cannot be absent",
            "stacks::states_of_mentions",
            edit(
                "orchard/hosts.vgo",
                "{name: devices, when: os_family('linux')}",
                "{name: devices, state: absent}",
            )
            .says("absent-irreversible"),
        ),
        row(
            "F37",
            "an action that is absent says how it is undone",
            "stacks::states_of_mentions",
            edit(
                "configcrates/machine/legacy-agent.vgo",
                "    on_revert: nft delete element inet filter open '{ 5666 }'\n",
                "",
            )
            .says("absent-needs-revert"),
        )
        .later("the command is run by a later issue; here the policy carries it"),
    ]
}

fn usercrates() -> Vec<Row> {
    vec![
        row("F24", "exclude_usercrates is refused with its replacement", "stacks::usercrates", edit("clinic/common.vgo", "usercrates:", "exclude_usercrates: [hedy]\nusercrates:").says("key-retired")),
        row("F25", "a usercrate does nothing by lying there", "stacks::usercrates_apply_where_they_are_included", edit("orchard/environments.vgo", "    usercrates: [mary]\n", "").on(MAIL).turns("user mary/mary", "usercrate-unreferenced")),
        row("F26", "four carriers take usercrates", "stacks::usercrates_apply_where_they_are_included", edit("roles.vgo", "        usercrates: [grace]\n", "").on(BED).turns("user grace/grace", "")),
        row("F27", "a usercrate has exactly one user", "stacks::usercrates", edit("usercrates/ada.vgo", "  - name: prompt\n    type: file\n    state: present\n    target_path: /home/ada/.bashrc\n    content: |\n      PS1='\\h \\w \\$ '\n    depends_on: [ada]\n", "  - {name: eve, type: user, username: eve}\n").says("usercrate-shape")),
        row("F28", "each kind is named in its own list", "stacks::usercrates", edit("orchard/common.vgo", "usercrates: [alan]", "usercrates: [alan, base]").says("reference-kind")),
        row("F29", "both kinds share their names", "stacks::usercrates", edit("usercrates/grace.vgo", "name: grace\nresources", "name: base\nresources").says("name-taken")),
        row("F30", "a usercrate has the name of its file", "stacks::usercrates_apply_where_they_are_included", moved("orchard/usercrates/mary.vgo", "orchard/usercrates/maria.vgo").says("usercrate-unknown")),
        row("F31", "usercrates that nobody includes are listed", "stacks::usercrates_that_nobody_includes_are_named", add("usercrates/eve.vgo", "resources:\n  - {name: eve, type: user, username: eve}\n").says("usercrate-unreferenced")),
        row("F32", "who has left is absent before the file may go", "stacks::usercrates_that_nobody_includes_are_named", edit("usercrates/retired/alan.vgo", "user, state: absent", "user, state: present").says("usercrate-retired")),
        row("F33", "people belong into usercrates", "stacks::usercrates", edit("configcrates/machine/upgrades.vgo", "type: package, state: present, package: unattended-upgrades", "type: user, username: eve").says("user-outside-usercrate")),
    ]
}
