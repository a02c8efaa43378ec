//! Rows J: the resource types, their attributes and states.

use super::case::{Edit, resource, starting};
use super::{Row, row};

const LATER: &str =
    "its executor comes with a later issue; here it is checked, published and its absence said";
const ALL: &str = "stacks::every_type_travels_with_all_its_attributes";
const USER: &str = "executors::an_account_with_everything_is_made_damaged_repaired_and_removed";

/// The rows.
pub fn rows() -> Vec<Row> {
    [files(), software(), accounts(), jobs(), systems(), devices()].into_iter().flatten().collect()
}

/// An account without a usercrate, with one more key.
fn user(from: &str, to: &str) -> Edit {
    resource(&format!("type: user_freebsd\nusername: dan\n{from}"), from, to)
}

/// The same of a person with a usercrate.
fn person(from: &str, to: &str) -> Edit {
    let shell = "shell: /bin/bash";
    starting("usercrates/grace.vgo", shell, &format!("{shell}, {from}")).and("usercrates/grace.vgo", from, to)
}

fn files() -> Vec<Row> {
    vec![
        row(
            "J1",
            "file has content or source, owner, group, mode, state",
            "executors::a_file_on_everything",
            resource("type: file\ntarget_path: /x\ncontent: a", "content: a", "contents: a")
                .says("key-unknown"),
        ),
        row(
            "J2",
            "target_path is also written path",
            "stacks::an_untidy_configcrate_is_put_in_order",
            resource("type: file\npath: /x", "path: /x", "path: /x\n    target_path: /y")
                .says("attributes-exclusive"),
        ),
        row(
            "J3",
            "stream_edit names scripts in allowed directories",
            "stacks::the_rest_of_a_resource",
            resource(
                "type: file\ntarget_path: /x\ncontent: a\nstream_edit: /srv/vigo/scripts/x",
                "/srv/vigo/scripts/x",
                "/tmp/x",
            )
            .says("stream-edit-path"),
        )
        .later("the scripts are run by a later issue; here the paths are checked and carried"),
        row(
            "J4",
            "directory has owner, group and mode",
            "executors::a_directory_on_everything",
            resource("type: directory\ntarget_path: /x\nmode: \"0755\"", "\"0755\"", "rwx")
                .says("value-kind"),
        ),
        row(
            "J5",
            "symlink points somewhere",
            "executors::a_symlink_on_everything",
            resource("type: symlink\ntarget_path: /x\nlink_target: /y", "\n    link_target: /y", "")
                .says("key-missing"),
        ),
        row(
            "J6",
            "blockinfile keeps a block in a file",
            ALL,
            resource("type: blockinfile\ntarget_path: /x\ncontent: a", "\n    content: a", "")
                .says("key-missing"),
        )
        .later(LATER),
        row(
            "J7",
            "replace edits by a pattern, and is an action",
            "stacks::reversal",
            resource(
                "type: replace\ntarget_path: /x\npattern: a\nreplacement: b",
                "pattern: a",
                "pattern: a\n    state: absent",
            )
            .says("state-unknown"),
        )
        .later(LATER),
    ]
}

fn software() -> Vec<Row> {
    vec![
        row(
            "J8",
            "package is present, absent or latest",
            "executors::a_package_is_installed_kept_repaired_and_removed",
            resource("type: package\npackage: x1\nstate: latest", "latest", "newest").says("state-unknown"),
        ),
        row(
            "J9",
            "repository has a line and a key",
            ALL,
            resource("type: repository\nrepo: deb x y\nkey_url: https://x/k", "https://x/k", "ftp://x/k")
                .says("value-kind"),
        )
        .later(LATER),
        row(
            "J10",
            "source_package is fetched from an address",
            ALL,
            resource("type: source_package\ntarget_path: /x\nurl: https://x/y", "\n    url: https://x/y", "")
                .says("key-missing"),
        )
        .later(LATER),
        row(
            "J11",
            "nonrepo_package is installed from a file",
            ALL,
            resource("type: nonrepo_package\npackage: x1\nurl: https://x/y", "\n    url: https://x/y", "")
                .says("key-missing"),
        )
        .later(LATER),
        row(
            "J12",
            "service runs or not, and starts with the machine or not",
            "executors::a_service_is_started_kept_repaired_and_stopped",
            resource("type: service\nservice: x\nstate: stopped", "stopped", "absent").says("state-unknown"),
        ),
        row(
            "J13",
            "service has the states of illumos",
            "stacks::vocabularies_of_states",
            resource("type: service\nservice: x\nstate: maintenance", "maintenance", "maintained")
                .says("state-unknown"),
        )
        .later("an executor for illumos comes later; here the states are known"),
    ]
}

fn accounts() -> Vec<Row> {
    vec![
        row("J14", "user is an account", USER, resource("type: user_freebsd\nusername: dan", "dan", "\"dan d\"").says("value-kind")),
        row("J15", "groups are merged, or replaced when that is asked for", "executors::groups_are_merged_or_replaced", person("purge_groups: true", "purge_groups: sometimes").says("value-kind")),
        row("J16", "authorized_keys are whole and public", "executors::the_keys_of_remote_sessions_stay", person("authorized_keys: []", "authorized_keys: [ssh-rsa AAAA]").says("value-kind")),
        row("J17", "sudo_nopasswd gives sudo", "executors::what_sudo_does_not_understand_is_not_put_there", person("sudo_nopasswd: true", "sudo_nopaswd: true").says("key-unknown")),
        row("J18", "system takes a low id", USER, person("system: true", "system: low").says("value-kind")),
        row("J19", "processes in the way of a change are ended", "executors::processes_in_the_way_end_and_are_counted", person("uid: 1500", "uid: -1").says("value-kind")),
        row("J20", "a password is never in clear", "stacks::encoded_passwords_and_nothing_else", person("password: \"*\"", "password: secret:users/grace").says("secret-unsupported"))
            .later("references to secrets come with a later issue; here they are refused by name, encoded passwords are taken"),
        row("J21", "gitback is an attribute of a user", "stacks::the_rest_of_a_resource", person("gitback: false", "gitback: perhaps").says("value-kind"))
            .later("the mirror comes with a later issue"),
        row("J22", "each kind of system has its own type of account", ALL, user("login_class: daemon", "full_name: Dan").says("key-unknown")).later(LATER),
    ]
}

fn jobs() -> Vec<Row> {
    vec![
        row(
            "J23",
            "cron has a schedule and a command",
            "executors::a_cron_job_is_made_damaged_repaired_and_removed",
            resource("type: cron\njob: x\nschedule: \"0 3 * * *\"\ncommand: x", "0 3 * * *", "0 25 * * *")
                .says("value-kind"),
        ),
        row(
            "J24",
            "exec has guards and an inverse",
            "executors::an_exec_s_guards_are_its_state",
            resource("type: exec\ncommand: x\nonlyif: y", "onlyif", "only_if").says("key-unknown"),
        ),
        row(
            "J25",
            "custom looks, makes and removes, in 300 s",
            ALL,
            resource("type: custom\ncheck: a\napply: b", "apply: b", "apply: b\n    state: absent")
                .says("key-missing"),
        )
        .later(LATER),
        row(
            "J33",
            "backup is an action",
            "stacks::reversal",
            resource(
                "type: backup\npaths: [/x]\ntarget_path: /y",
                "target_path: /y",
                "target_path: /y\n    revert: true",
            )
            .says("revert-command"),
        )
        .later(LATER),
        row(
            "J34",
            "db_backup is an action",
            ALL,
            resource("type: db_backup\nengine: postgres\ndatabase: x\ntarget_path: /y", "postgres", "oracle")
                .says("value-kind"),
        )
        .later(LATER),
        row(
            "J39",
            "an executor looks, acts on what differs, and says what it did",
            "executors::a_dry_run_predicts_and_a_second_run_rests",
            resource("type: exec\ncommand: x\ncreates: /x", "creates: /x", "creates: x").says("value-kind"),
        ),
    ]
}

fn systems() -> Vec<Row> {
    vec![
        row(
            "J26",
            "sysctl sets a value, absent is the default",
            ALL,
            resource("type: sysctl\nkey: a.b\nvalue: x", "\n    value: x", "").says("key-missing"),
        )
        .later(LATER),
        row(
            "J27",
            "firewall has port, proto, action and comment",
            ALL,
            resource("type: firewall\nport: 80\nproto: tcp", "proto: tcp", "proto: sctp").says("value-kind"),
        )
        .later(LATER),
        row(
            "J28",
            "mount is mounted, present, unmounted or absent",
            "stacks::vocabularies_of_states",
            resource("type: mount\ntarget_path: /x\nstate: unmounted", "unmounted", "mounted")
                .says("key-missing"),
        )
        .later(LATER),
        row(
            "J29",
            "swap is present, absent, on or off",
            "stacks::vocabularies_of_states",
            resource("type: swap\ntarget_path: /x\nstate: \"off\"", "\"off\"", "stopped")
                .says("state-unknown"),
        )
        .later(LATER),
        row(
            "J30",
            "kernel_module is present, absent, loaded or unloaded",
            "stacks::vocabularies_of_states",
            resource("type: kernel_module\nmodule: x\nstate: loaded", "loaded", "running")
                .says("state-unknown"),
        )
        .later(LATER),
        row(
            "J31",
            "hostname is a value",
            "stacks::reversal",
            resource("type: hostname\nhostname: x", "hostname: x", "hostname: x\n    state: absent")
                .says("state-unknown"),
        )
        .later(LATER),
        row(
            "J32",
            "timezone is a value",
            "stacks::reversal",
            resource(
                "type: timezone\ntimezone: UTC\nrevert: true",
                "revert: true",
                "revert: true\n    on_revert: y",
            )
            .says("revert-command"),
        )
        .later(LATER),
    ]
}

fn devices() -> Vec<Row> {
    vec![
        row(
            "J35",
            "ssh_exec runs on another device",
            ALL,
            resource("type: ssh_exec\nhost: sw1\ncommand: x", "host: sw1\n    ", "").says("key-missing"),
        )
        .later(LATER),
        row(
            "J36",
            "powershell runs on Windows",
            ALL,
            resource("type: powershell\ncommand: x", "command: x", "comand: x").says("key-unknown"),
        )
        .later(LATER),
        row(
            "J37",
            "interfaces of two kinds of devices are set",
            "stacks::reversal",
            resource(
                "type: junos_interface\nhost: fw1\ninterface: ge-0/0/1",
                "host: fw1",
                "host: fw1\n    revert: true",
            )
            .says("revert-impossible"),
        )
        .later(LATER),
        row(
            "J38",
            "two settings of Windows are set",
            ALL,
            resource(
                "type: service_recovery_windows\nservice: x\nfirst_failure: restart",
                "restart",
                "retry",
            )
            .says("value-kind"),
        )
        .later(LATER),
    ]
}
