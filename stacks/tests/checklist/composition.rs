//! Rows E: files, places and inheritance.

use super::case::{add, edit, live, migrated, moved};
use super::{Row, row};

/// The rows.
pub fn rows() -> Vec<Row> {
    [files(), places(), inheritance(), layouts()].into_iter().flatten().collect()
}

fn files() -> Vec<Row> {
    vec![
        row(
            "E1",
            "configuration is YAML in files that end in .vgo",
            "stacks::places",
            add("harbor/more.yaml", "envoys: []\n").says("file-extension"),
        ),
        row(
            "E2",
            "one tree that the operator edits",
            "tests::a_tree_that_cannot_be_read",
            edit("harbor/hosts.vgo", "\"web?\"", "\"www?\"").turns("matched `web?`", ""),
        ),
        row(
            "E3",
            "a checked copy that nobody edits",
            "cli::what_was_put_edited_or_taken_by_hand_is_named",
            edit("configcrates/base.vgo", "Welcome", "Hello").seen(live).turns("\"Welcome\"", "\"Hello\""),
        ),
        row(
            "E4",
            "examples are a catalogue that nothing reads",
            "stacks::every_example_is_right_and_formatted",
            moved("configcrates/machine/upgrades.vgo", "configcrates/machine/upgrades.vgo.example")
                .says("configcrate-unknown"),
        ),
        row(
            "E5",
            "configcrates lie below configcrates/, at any depth",
            "stacks::places",
            moved("configcrates/machine/watch.vgo", "harbor/watch.vgo").says("file-place"),
        ),
        row(
            "E6",
            "any directory may have usercrates",
            "stacks::usercrates_apply_where_they_are_included",
            moved("clinic/usercrates/hedy.vgo", "clinic/hedy.vgo").says("file-place"),
        ),
        row(
            "E7",
            "templates are named by their path",
            "stacks::resources",
            edit("configcrates/base.vgo", "templates/motd.tmpl", "templates/mtd.tmpl").says("source-missing"),
        ),
    ]
}

fn places() -> Vec<Row> {
    vec![
        row("E8", "tasks lie in tasks/", "stacks::places", add("tasks/a.vgo", "name: x\n").says("kept-only"))
            .later("a task is run by a later issue; here it is kept, published, and its name checked"),
        row(
            "E9",
            "workflows lie in workflows/",
            "stacks::places",
            add("workflows/a.vgo", "name: x\n").says("kept-only"),
        )
        .later("a workflow is run by a later issue; here it is kept, published, and its name checked"),
        row(
            "E10",
            "all roles stand in one file at the root",
            "stacks::places",
            moved("roles.vgo", "harbor/roles.vgo").says("file-place"),
        ),
        row(
            "E11",
            "a hostcrate may be named envoys.vgo",
            "stacks::the_deepest_file_is_tried_first",
            moved("harbor/hosts.vgo", "harbor/envoys.vgo").turns("harbor/hosts.vgo", "harbor/envoys.vgo"),
        ),
        row(
            "E12",
            "any other .vgo file with envoys: is a hostcrate",
            "stacks::places",
            add("configcrates/h.vgo", "envoys: []\n").says("file-place"),
        ),
        row(
            "E23",
            "the name of a configcrate's file means nothing",
            "stacks::one_configcrate_compiles_alone",
            moved("configcrates/web.vgo", "configcrates/stone.vgo")
                .turns("configcrates/web.vgo", "configcrates/stone.vgo"),
        ),
        row(
            "E24",
            "a flag is a file of its name",
            "executors::conditions_ask_the_machine_for_processes_time_displays_flags_and_groups",
            edit("configcrates/machine/watch.vgo", "flag_set('beta')", "flag_set('../beta')")
                .says("when-invalid"),
        ),
    ]
}

fn inheritance() -> Vec<Row> {
    vec![
        row(
            "E13",
            "common.vgo gives to a directory and matches nobody",
            "stacks::places",
            edit("harbor/common.vgo", "vars:", "match: \"*\"\nvars:").says("file-place"),
        ),
        row(
            "E14",
            "a child's variable counts over its parent's",
            "stacks::parents_come_before_children_and_children_override",
            edit("clinic/common.vgo", ", contact: it@clinic.example", "")
                .on("bed3.clinic.example")
                .turns("contact = \"it@clinic.example\"", "contact = \"ops@fleet.example\""),
        ),
        row(
            "E15",
            "the root's common.vgo leaves entries at the root alone",
            "stacks::the_root_common_leaves_entries_at_the_root_alone",
            add("hosts.vgo", "envoys:\n  - {match: solo, roles: [server]}\n").says("common-at-root"),
        ),
        row(
            "E16",
            "an environment gives configcrates, usercrates, variables and exclusions",
            "stacks::environments_come_last_from_the_root_down",
            edit(
                "environments.vgo",
                "    configcrates: [watch]\n    vars: {log_level: warn}",
                "    vars: {log_level: warn}",
            )
            .on("ct1.clinic.example")
            .turns("file watch/level", ""),
        ),
        row(
            "E17",
            "environments stand under env:",
            "stacks::environments",
            edit("environments.vgo", "env:", "envs:").says("key-unknown"),
        ),
    ]
}

fn layouts() -> Vec<Row> {
    vec![
        row(
            "E18",
            "a match block declares its environment",
            "stacks::environments",
            edit("clinic/hosts.vgo", "environment: live", "environment: lvie").says("environment-unknown"),
        ),
        row(
            "E19",
            "the names of the two compliance files are theirs",
            "stacks::claims_reach_every_configcrate_below_their_file",
            moved("clinic/waivers.vgo", "clinic/corp.vgo").says("waivers-stray"),
        ),
        row(
            "E20",
            "directories of old layouts are refused with what converts them",
            "stacks::places",
            add("vars/site.vgo", "port: 80\n").says("legacy-layout"),
        ),
        row(
            "E21",
            "an old layout is brought over, once",
            "stacks::an_old_tree_is_brought_over_once",
            moved("roles.vgo", "roles/all.vgo").seen(migrated).turns("", "roles/all.vgo -> roles.vgo"),
        ),
        row(
            "E22",
            "retired ways to set variables are refused by name",
            "stacks::environments",
            edit("clinic/hosts.vgo", "    environment: live", "    vars_from: x\n    environment: live")
                .says("key-retired"),
        ),
    ]
}
