//! Rows K and M: publishing, retraction and the commands.
//!
//! What only the program does is shown by the named test of `cli` or `tests`; the mutation is of the part that this
//! crate decides.

use super::case::{configcrate, edit, live, moved, outline, places, resource, retraction};
use super::{Row, row};

const NOTE: &str = "type: file\ntarget_path: /note\ncontent: x";

/// The rows.
pub fn rows() -> Vec<Row> {
    [publishing(), retractions(), commands()].into_iter().flatten().collect()
}

fn publishing() -> Vec<Row> {
    vec![
        row(
            "K1",
            "publishing checks, formats, swaps the live copy and signs",
            "tests::a_publish_formats_and_a_failed_one_changes_nothing",
            edit("configcrates/base.vgo", "greeting: \"Welcome\"", "greeting: \"Hello\"")
                .seen(live)
                .turns("\"Welcome\"", "\"Hello\""),
        ),
        row(
            "K2",
            "errors block a publish and say what to do",
            "tests::a_strangers_mistakes_in_a_tree",
            resource(NOTE, "content", "contnet").says("key-unknown"),
        ),
        row(
            "K3",
            "credentials in the clear are refused",
            "stacks::credentials_are_refused_without_being_shown",
            edit(
                "configcrates/machine/watch.vgo",
                " #vigo:allow-secret printed in the manual, opens nothing",
                "",
            )
            .says("secret-in-clear"),
        ),
        row(
            "K4",
            "a file in the wrong place stops the load",
            "cli::what_was_put_edited_or_taken_by_hand_is_named",
            moved("harbor/hosts.vgo", "configcrates/hosts.vgo").says("file-place"),
        ),
    ]
}

fn retractions() -> Vec<Row> {
    let package = "type: package\npackage: x1";
    vec![
        row("K5", "a retraction is made of the table of types", "stacks::a_retraction_undoes_each_resource_in_the_opposite_order", resource(package, "type: package\n    package: x1", "type: service\n    service: x1").seen(retraction).turns("state: absent # was: present", "state: stopped # was: running")),
        row("K6", "a program of the operator's may review a draft", "cli::a_reviewer_improves_a_draft_or_is_refused", resource(package, "package: x1", "package: y1").seen(retraction).turns("package: x1", "package: y1"))
            .later("ai.enabled and ai.provider are one key, the command of a reviewer (D21); a service that asks a model is the operator's own"),
        row("K7", "the operator decides whether drafts are written", "tests::a_publish_formats_and_a_failed_one_changes_nothing", resource(package, "name: r", "name: s").seen(retraction).turns("package r:", "package s:"))
            .later("a publish writes drafts with --retract; a setting that makes it so for every publish is not here yet"),
        row("K8", "a removed configcrate names the envoys that had it", "cli::a_draft_is_written_beside_its_configcrate_and_never_over_anything_else", resource(package, "package: x1", "package: y1\n    state: latest").seen(retraction).turns("# was: present", "# was: latest")),
        row("K9", "each type says how sure its retraction is", "stacks::a_retraction_undoes_each_resource_in_the_opposite_order", resource(package, "type: package\n    package: x1", "type: exec\n    command: y").seen(retraction).turns("# high ", "# low ")),
        row("K10", "a retraction is a configcrate of its own name", "stacks::undoing_twice_is_the_start", configcrate("name: a\nresources: []\n", "name: a", "name: b").seen(retraction).turns("name: a-retract", "name: b-retract")),
        row("K11", "every example has its retraction", "stacks::every_example_has_its_retraction", resource("type: cron\njob: x\nschedule: \"@daily\"\ncommand: y", "job: x", "job: z").seen(retraction).turns("job: x", "job: z")),
    ]
}

fn commands() -> Vec<Row> {
    vec![
        row(
            "M1",
            "config publish",
            "tests::a_publish_formats_and_a_failed_one_changes_nothing",
            edit("harbor/hosts.vgo", "roles: [web]", "roles: [wbe]").says("role-unknown"),
        ),
        row(
            "M2",
            "config trace HOST",
            "tests::trace_and_tree_of_the_demo",
            edit("harbor/hosts.vgo", "match: \"web?\"", "match: \"web*.harbor\"").turns("matched `web?`", ""),
        ),
        row(
            "M3",
            "config tree",
            "tests::trace_and_tree_of_the_demo",
            moved("harbor/hosts.vgo", "harbor/quay/hosts.vgo").seen(outline).turns("", "quay/"),
        ),
        row(
            "M4",
            "config search",
            "tests::names_rules_and_examples_are_shown",
            edit("roles.vgo", "configcrates: [sshd]", "configcrates: [upgrades]")
                .seen(places)
                .turns("given roles.vgo", ""),
        ),
        row(
            "M5",
            "config examples list",
            "cli::the_program_carries_every_example",
            moved("configcrates/base.vgo", "configcrates/base.vgo.example").says("configcrate-unknown"),
        ),
        row(
            "M6",
            "config examples copy NAME",
            "cli::an_example_is_copied_once_with_its_retraction",
            edit("roles.vgo", "configcrates: [sshd]", "configcrates: [chrony]").says("configcrate-unknown"),
        ),
        row(
            "M7",
            "compliance provisions",
            "tests::the_catalogues_of_compliance_are_shown",
            edit("configcrates/base.vgo", "[login-banner]", "[login-banners]").says("compliance-tag-unknown"),
        ),
        row(
            "M8",
            "compliance bundles",
            "tests::the_catalogues_of_compliance_are_shown",
            edit("configcrates/machine/sshd.vgo", "[cis-ubuntu-access]", "[cis-ubuntu-accesses]")
                .says("compliance-tag-unknown"),
        ),
    ]
}
