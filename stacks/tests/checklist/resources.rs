//! Rows G: what every resource may say, and what becomes of it.

use super::case::{configcrate, edit, formatted, live, resource};
use super::{Row, row};

const SETTINGS: &str = "configcrates/machine/settings.vgo";
const BLOCK: &str = "name: a\nresources:\n  - conditional_block:\n      when: os_family('debian')\n      resources:\n        - {name: r, type: exec, command: x}\n";
const EXEC: &str = "type: exec\ncommand: x\n";
const FILE: &str = "type: file\ntarget_path: /x\n";
const REVERTED: &str = "type: exec\ncommand: x\nrevert: true\non_revert: y";
const RUNS: &str = "the machine does it with a later issue; here it is checked and carried in the policy";

/// Two resources, `one` and `two`, with more keys each.
fn two(one: &str, more: &str) -> String {
    format!(
        "name: a\nresources:\n  - {{name: one, type: exec, command: x{one}}}\n  - {{name: two, type: exec, command: x{more}}}\n"
    )
}

/// The rows.
pub fn rows() -> Vec<Row> {
    [common(), triggers(), lists(), instances(), branches(), reversal(), reverts(), tables(), text()]
        .into_iter()
        .flatten()
        .collect()
}

fn common() -> Vec<Row> {
    vec![
        row(
            "G1",
            "a resource has a name of its own",
            "stacks::configcrates",
            configcrate(&two("", ""), "name: two", "name: one").says("name-taken"),
        ),
        row(
            "G2",
            "a resource has a known type",
            "stacks::resources",
            resource(FILE, "type: file", "type: flie").says("type-unknown"),
        ),
        row(
            "G3",
            "a state may be left out and has a default",
            "stacks::the_default_state_is_written_out",
            resource(FILE, "target_path: /x", "target_path: /x\n    state: absent")
                .turns("state=\"present\"", "state=\"absent\""),
        ),
        row(
            "G4",
            "a resource is skipped where its condition does not hold",
            "stacks::a_plan_is_ordered_and_holds_what_is_left",
            resource(&format!("{EXEC}when: os_family('debian')"), "'debian'", "'redhat'")
                .turns("exec a/r", ""),
        ),
        row(
            "G5",
            "what is depended on comes first and must succeed",
            "executors::one_failure_blocks_what_depends_on_it_and_nothing_else",
            configcrate(&two("", ", depends_on: [one]"), "[one]", "[two]").says("order-cycle"),
        ),
        row(
            "G6",
            "a resource may come before others",
            "stacks::references_and_order",
            configcrate(&two("", ", before: [one]"), ", before: [one]", "")
                .turns("step 0 exec a/two", "step 0 exec a/one"),
        ),
    ]
}

fn triggers() -> Vec<Row> {
    vec![
        row(
            "G7",
            "a change triggers resources and configcrates",
            "stacks::notify_may_name_a_configcrate",
            configcrate(&two(", notify: [two]", ", when: changed"), ", notify: [two]", "")
                .turns("triggers=[1]", "trigger-missing"),
        ),
        row(
            "G8",
            "a resource is triggered by what it subscribes to",
            "executors::a_handler_runs_only_after_a_change",
            configcrate(&two("", ", subscribes: [one]"), ", subscribes: [one]", "").turns("triggers=[1]", ""),
        ),
        row(
            "G9",
            "the rotation of a secret triggers",
            "stacks::reversal_secrets_and_scripts_travel",
            resource(&format!("{EXEC}watch_secret: [app/key]"), "app/key", "app/other")
                .turns("secrets=[\"app/key\"]", "secrets=[\"app/other\"]"),
        )
        .later("secrets are rotated by a later issue; here the paths are checked and carried"),
        row(
            "G10",
            "a resource has a time limit in seconds",
            "executors::time_is_up_for_commands_guards_conditions_and_slow_looks",
            resource(&format!("{EXEC}timeout: 10"), "timeout: 10", "timeout: 10m").says("value-kind"),
        ),
        row(
            "G11",
            "the limit depends on the type",
            "stacks::default_timeouts",
            resource(
                "type: package\npackage: x1",
                "type: package\n    package: x1",
                "type: service\n    service: x1",
            )
            .turns("timeout=300", "timeout=60"),
        ),
    ]
}

fn lists() -> Vec<Row> {
    let copies = "name: a\nvars: {xs: [one, two]}\nresources:\n  - {name: \"{{ .Item }}\", type: directory, foreach: xs, target_path: \"/{{ .Item }}\"}\n";
    vec![
        row(
            "G12",
            "one resource for each element of a list",
            "stacks::a_resource_is_made_for_each_element_of_a_list",
            configcrate(copies, "[one, two]", "[]").turns("directory a/two", ""),
        ),
        row(
            "G13",
            "the element is put in for .Item and .Each",
            "stacks::foreach_of_resources",
            configcrate(copies, "target_path: \"/{{ .Item }}\"", "target_path: \"/{{ .Item.name }}\"")
                .says("foreach-element"),
        ),
        row(
            "G14",
            "one configcrate for each element of a list",
            "stacks::a_configcrate_is_made_for_each_element_of_a_list",
            edit(
                "harbor/hosts.vgo",
                "        - {server_name: shop.harbor.example, kind: shop, aliases: []}\n",
                "",
            )
            .turns("directory vhost[shop.harbor.example]/docroot[shop.harbor.example]", ""),
        ),
        row(
            "G15",
            "a key names the instances of maps",
            "stacks::foreach_of_configcrates",
            edit("roles.vgo", ", key: server_name", "").says("foreach-key"),
        ),
        row(
            "G16",
            "instances and their resources bear the key",
            "stacks::a_configcrate_is_made_for_each_element_of_a_list",
            edit("harbor/hosts.vgo", "quay.harbor.example", "pier.harbor.example").turns(
                "vhost[quay.harbor.example]/conf[quay.harbor.example]",
                "vhost[pier.harbor.example]/conf[pier.harbor.example]",
            ),
        ),
    ]
}

fn instances() -> Vec<Row> {
    let nested = "name: a\nvars: {xs: [one], x: 1}\nresources:\n  - {name: \"{{ .Item }}\", type: directory, foreach: xs, target_path: \"/{{ .Item }}\"}\n";
    vec![
        row(
            "G17",
            "a key is there, and there once",
            "stacks::foreach_of_configcrates",
            edit("harbor/hosts.vgo", "shop.harbor.example", "quay.harbor.example").says("foreach-key"),
        ),
        row(
            "G18",
            "of several mentions of one configcrate the first counts",
            "stacks::the_first_mention_of_a_configcrate_counts",
            edit("harbor/hosts.vgo", "configcrates: [settings]", "configcrates: [settings, vhost]")
                .says("foreach-once"),
        ),
        row(
            "G19",
            "foreach inside an instance goes through a variable",
            "stacks::instances_of_texts_and_lists_within",
            configcrate(nested, "foreach: xs", "foreach: x").says("foreach-list"),
        ),
        row(
            "G20",
            "a template of a file sees the element",
            "stacks::a_configcrate_is_made_for_each_element_of_a_list",
            edit("templates/vhost.conf", "server {{ .Each.server_name }}", "server {{ .Each.name }}")
                .says("foreach-element"),
        ),
    ]
}

fn branches() -> Vec<Row> {
    vec![
        row(
            "G21",
            "a branch sets attributes over the base",
            "stacks::branches_are_taken_by_a_template",
            edit(SETTINGS, "/etc/apt.conf", "/etc/apt/fleet.conf")
                .turns("target_path=\"/etc/apt.conf\"", "target_path=\"/etc/apt/fleet.conf\""),
        ),
        row(
            "G22",
            "a block gives its condition to what is in it",
            "stacks::blocks_share_their_condition",
            configcrate(BLOCK, "'debian'", "'redhat'").turns("exec a/r", ""),
        ),
    ]
}

fn reversal() -> Vec<Row> {
    vec![
        row(
            "G23",
            "what has states is undone by one",
            "stacks::every_type_says_how_it_is_undone",
            resource(EXEC, "command: x", "command: x\n    state: absent").says("state-unknown"),
        ),
        row(
            "G24",
            "what has none is undone by revert",
            "stacks::reversal",
            resource(FILE, "target_path: /x", "target_path: /x\n    revert: true").says("revert-state"),
        )
        .later(RUNS),
        row(
            "G25",
            "an action that is reverted says how",
            "stacks::reversal",
            resource(REVERTED, "\n    on_revert: y", "").says("revert-command"),
        )
        .later(RUNS),
        row(
            "G26",
            "a value is set back to what was found first",
            "stacks::reversal_secrets_and_scripts_travel",
            resource("type: hostname\nhostname: x\nrevert: true", "\n    revert: true", "")
                .turns("revert=Some(Snapshot)", "revert=None"),
        )
        .later(RUNS),
        row(
            "G27",
            "a local action runs its on_revert by the shell",
            "stacks::every_type_says_how_it_is_undone",
            resource(REVERTED, "on_revert: y", "on_revert: z").turns("Command(\"y\")", "Command(\"z\")"),
        )
        .later(RUNS),
        row(
            "G28",
            "an action elsewhere runs it there",
            "stacks::reversal",
            resource(
                "type: ssh_exec\nhost: fw1\ncommand: x\nrevert: true\non_revert: y",
                "\n    on_revert: y",
                "",
            )
            .says("revert-command"),
        )
        .later(RUNS),
    ]
}

fn reverts() -> Vec<Row> {
    vec![
        row(
            "G29",
            "what was reverted rests, and is armed again by a normal run",
            "executors::what_has_no_executor_fails_and_says_so",
            resource(REVERTED, "revert: true", "revert: false").turns("revert=Some", "revert=None"),
        )
        .later(RUNS),
        row(
            "G30",
            "four types cannot be reverted",
            "stacks::reversal",
            resource(
                "type: cisco_interface\nhost: sw1\ninterface: Gi0/1",
                "host: sw1",
                "host: sw1\n    revert: true",
            )
            .says("revert-impossible"),
        ),
        row(
            "G31",
            "the label of a resource shows that it is reverted",
            "stacks::an_untidy_configcrate_is_put_in_order",
            resource(REVERTED, "revert: true", "revert: false")
                .seen(formatted)
                .turns("being undone by revert: true", ""),
        ),
    ]
}

fn tables() -> Vec<Row> {
    let table = |arms: &str| format!("{FILE}owner: {{{arms}}}");
    let groups = "type: user_freebsd\nusername: x\ngroups: {\"tag:web\": [a], \"h\": [b], default: [c]}";
    vec![
        row(
            "G32",
            "a value may be a table with a default",
            "stacks::lookup_tables",
            resource(&table("\"tag:web\": a, default: b"), "default", "defualt").says("lookup-default"),
        ),
        row(
            "G33",
            "an arm names a host, a glob, a tag or a trait",
            "stacks::lookup_tables_give_each_machine_its_own",
            resource(&table("\"tag:web\": a, default: b"), "tag:web", "role:web").says("lookup-arm"),
        ),
        row(
            "G34",
            "os_family:x is the trait os.family",
            "stacks::lookup_tables",
            resource(&table("\"os_family:debian\": a, default: b"), "os_family:debian", "os_family:redhat")
                .turns("owner=\"a\"", "owner=\"b\""),
        ),
        row(
            "G35",
            "lists of all arms that match are joined",
            "stacks::lookup_tables_give_each_machine_its_own",
            resource(groups, "\"h\": [b]", "\"x\": [b]").turns("groups=[\"a\",\"b\"]", "groups=[\"a\"]"),
        ),
        row(
            "G36",
            "of single values the most specific counts",
            "stacks::arms_of_one_rank_count_in_the_order_of_the_file",
            resource(&table("\"tag:web\": a, h: c, default: b"), "h: c", "x: c")
                .turns("owner=\"c\"", "owner=\"a\""),
        ),
        row(
            "G37",
            "the arms are all lists, or none is",
            "stacks::lookup_tables",
            resource(groups, "default: [c]", "default: c").says("lookup-mixed"),
        ),
        row(
            "G38",
            "a table has its default, which may be nothing",
            "stacks::lookup_tables",
            resource(&table("\"tag:db\": a, default: null"), ", default: null", ", \"web*\": b")
                .says("lookup-default"),
        ),
        row(
            "G39",
            "tables do not nest and are no variables",
            "stacks::lookup_tables",
            resource(
                &table("\"tag:web\": a, default: b"),
                "\"tag:web\": a",
                "\"tag:web\": {x: y, default: z}",
            )
            .says("lookup-place"),
        ),
        row(
            "G40",
            "a state is of its type's vocabulary",
            "stacks::vocabularies_of_states",
            resource(&format!("{FILE}state: absent"), "state: absent", "state: absnt").says("state-unknown"),
        ),
    ]
}

fn text() -> Vec<Row> {
    let file = "# of mine\nname: a\nresources:\n  # above it\n  - {name: r, type: file, path: /x, content: \"a # b\"}\n";
    vec![
        row(
            "G41",
            "unquoted modes and booleans are flagged and mended",
            "stacks::an_untidy_configcrate_is_put_in_order",
            resource(&format!("{FILE}mode: \"0644\""), "\"0644\"", "0644").says("yaml-octal"),
        ),
        row(
            "G42",
            "labels are written for each configcrate and resource",
            "stacks::an_untidy_configcrate_is_put_in_order",
            configcrate(file, "/x", "/y").seen(formatted).turns("#~ Write /x", "#~ Write /y"),
        ),
        row(
            "G43",
            "the operator's comments are never touched",
            "stacks::formatting_is_idempotent_and_keeps_comments_and_meaning",
            configcrate(file, "# above it", "# below it").seen(formatted).turns("# above it", "# below it"),
        ),
        row(
            "G44",
            "a # inside of a text is text",
            "stacks::comments_go_and_content_stays",
            configcrate(file, "a # b", "c # b").seen(live).turns("a # b", "c # b"),
        ),
        row(
            "G45",
            "published configcrates have no comments, other files keep theirs",
            "stacks::live_is_the_tree_without_hidden_files_and_without_comments_in_its_libraries",
            edit("harbor/hosts.vgo", "# Who gets what", "# Who has what")
                .seen(live)
                .turns("# Who gets what", "# Who has what"),
        ),
    ]
}
