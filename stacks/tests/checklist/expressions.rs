//! Rows H and I: conditions and templates.

use super::case::{Edit, configcrate, edit, resource, when};
use super::{Row, row};

const ASKED: &str = "executors::conditions_ask_the_machine_for_processes_time_displays_flags_and_groups";

/// The rows.
pub fn rows() -> Vec<Row> {
    [logic(), functions(), of_time(), whole(), templates(), rendering()].into_iter().flatten().collect()
}

/// A condition that holds on the machine, and one that does not.
fn decided(id: &'static str, says: &'static str, from: &str, to: &str) -> Row {
    row(id, says, "stacks::traits_and_variables_answer", when(from, to).turns("exec a/r", ""))
}

fn logic() -> Vec<Row> {
    vec![
        row(
            "H1",
            "conditions have and, or, not and parentheses",
            "stacks::conditions_have_one_spelling",
            when(
                "os_family('debian') && (arch('amd64') || !is_container)",
                "os_family('debian') & arch('amd64')",
            )
            .says("when-invalid"),
        ),
        row(
            "H2",
            "texts and names are compared, without chains",
            "stacks::equality_binds_between_not_and_and",
            when("distro == 'ubuntu'", "distro == 'ubuntu' == 'ubuntu'").says("when-invalid"),
        ),
        row(
            "H3",
            "the result of a function is not compared",
            "stacks::mistakes_are_placed_and_explained",
            when("os_family('debian')", "os_family('debian') == 'true'").says("when-invalid"),
        ),
        row(
            "H4",
            "and, or and not are words too",
            "stacks::words_become_symbols_outside_of_texts",
            when("os_family('debian') and arch('amd64')", "os_family('debian') adn arch('amd64')")
                .says("when-invalid"),
        ),
    ]
}

/// A function of the machine: the condition stays as it is written.
fn asks(
    id: &'static str,
    says: &'static str,
    from: &str,
    to: &str,
    seen: &'static str,
    then: &'static str,
) -> Row {
    row(id, says, ASKED, when(from, to).turns(seen, then))
}

/// An argument that the function does not take.
fn refuses(id: &'static str, says: &'static str, from: &str, to: &str) -> Row {
    row(id, says, ASKED, when(from, to).says("when-invalid"))
}

fn functions() -> Vec<Row> {
    vec![
        asks(
            "H5",
            "file_exists asks for a regular file",
            "file_exists('/x')",
            "file_exists('/y')",
            "when=file_exists('/x')",
            "when=file_exists('/y')",
        ),
        asks(
            "H6",
            "dir_exists asks for a directory",
            "dir_exists('/x')",
            "dir_exists('/y')",
            "when=dir_exists('/x')",
            "when=dir_exists('/y')",
        ),
        asks(
            "H7",
            "process_running asks for a process",
            "process_running('x')",
            "process_running('y')",
            "when=process_running('x')",
            "when=process_running('y')",
        ),
        asks(
            "H8",
            "command_succeeds runs a command",
            "command_succeeds('x')",
            "command_succeeds('y')",
            "when=command_succeeds('x')",
            "when=command_succeeds('y')",
        ),
        refuses("H9", "hour_range is of hours, and may wrap", "hour_range(22, 5)", "hour_range(22, 25)"),
    ]
}

fn of_time() -> Vec<Row> {
    vec![
        refuses("H10", "minute_range is of minutes", "minute_range(0, 15)", "minute_range(5, 5)"),
        refuses("H11", "day_of_week knows the days", "day_of_week('Mon')", "day_of_week('montag')"),
        refuses("H12", "day_of_month is from 1 to 31", "day_of_month(31)", "day_of_month(32)"),
        decided(
            "H13",
            "os_family is the family or the kernel class, in any case",
            "os_family('DEBIAN')",
            "os_family('redhat')",
        ),
        decided("H14", "distro is the distribution, in any case", "distro('Ubuntu')", "distro('fedora')"),
        decided("H15", "arch is the processor", "arch('amd64')", "arch('arm64')"),
        row(
            "H16",
            "version_ge compares versions",
            "stacks::versions_are_compared_by_their_numbers",
            when("version_ge('9.10')", "version_ge('22.10')").turns("exec a/r", ""),
        ),
        refuses("H17", "has_display asks for a display", "has_display()", "has_display('x')"),
        refuses("H18", "flag_set asks for a flag", "flag_set('beta')", "flag_set('a b')"),
        asks(
            "H19",
            "in_group asks for a group of the system",
            "in_group('adm')",
            "in_group('ops')",
            "when=in_group('adm')",
            "when=in_group('ops')",
        ),
        decided(
            "H20",
            "port_listening asks for a listener, by number or text",
            "port_listening(8080) && port_listening('8080')",
            "port_listening(8080) && port_listening('8081')",
        ),
    ]
}

fn whole() -> Vec<Row> {
    let vars = |value: &str| {
        format!(
            "name: a\nvars: {{strict: {value}}}\nresources:\n  - {{name: r, type: exec, command: x, when: strict}}\n"
        )
    };
    vec![
        row(
            "H21",
            "changed waits for a trigger, alone or beside &&",
            "stacks::changed_comes_out_of_the_outermost_conjunction",
            edit("configcrates/web.vgo", "changed && os_family('linux')", "changed || os_family('linux')")
                .says("when-changed"),
        ),
        row(
            "H22",
            "a variable stands for true or false",
            "stacks::traits_and_variables_answer",
            configcrate(&vars("true"), "strict: true", "strict: false").turns("exec a/r", ""),
        ),
        row(
            "H23",
            "a conditional variable asks a trait",
            "stacks::conditional_variables_are_decided_by_traits",
            configcrate(&vars("{trait: hardware.memory_mb, gte: 4096}"), "4096", "8192")
                .turns("exec a/r", ""),
        ),
        row(
            "H24",
            "what traits decide is decided, the rest stays for the machine",
            "stacks::only_questions_to_the_machine_are_left",
            when("os_family('debian') && file_exists('/x')", "os_family('redhat') && file_exists('/x')")
                .turns("when=file_exists('/x')", ""),
        ),
        row(
            "H25",
            "mentions, roles and branches have the same conditions",
            "stacks::roles_have_cases",
            edit(
                "orchard/shop/hosts.vgo",
                "{name: ada, when: os_family('linux')}",
                "{name: ada, when: \"distro('windows')\"}",
            )
            .on("counter2.orchard.example")
            .turns("user ada/ada", ""),
        ),
    ]
}

/// A file whose content is a template over two variables.
fn content(from: &str, to: &str) -> Edit {
    let text = format!(
        "name: a\nvars: {{port: 80, tls: true, words: [one, two]}}\nresources:\n  - {{name: r, type: file, target_path: /x, content: '{from}'}}\n"
    );
    configcrate(&text, from, to)
}

fn templates() -> Vec<Row> {
    vec![
        row(
            "I1",
            "a template prints variables, and none that is missing",
            "stacks::a_missing_key_is_never_printed",
            content("{{ .Vars.port }}", "{{ .Vars.prot }}").says("template-name"),
        ),
        row(
            "I2",
            "a template prints traits",
            "stacks::conditions_and_templates",
            content("{{ .Traits.os.family }}", "{{ .Traits.os.famly }}").says("template-name"),
        ),
        row(
            "I3",
            "templates branch",
            "stacks::go_templates_render",
            content(
                "{{ if .Vars.tls }}on{{ else }}off{{ end }}",
                "{{ if not .Vars.tls }}on{{ else }}off{{ end }}",
            )
            .turns("content=\"on\"", "content=\"off\""),
        ),
        row(
            "I4",
            "templates go through lists",
            "stacks::go_templates_render",
            content("{{ range .Vars.words }}<{{ . }}>{{ end }}", "{{ range .Vars.words }}({{ . }}){{ end }}")
                .turns("content=\"<one><two>\"", "content=\"(one)(two)\""),
        ),
        row(
            "I5",
            "Go's functions are there, others are refused",
            "stacks::templates_stand_in_every_text",
            content(
                "{{ if eq (index .Vars.words 0) \"one\" }}1{{ end }}",
                "{{ if equal (index .Vars.words 0) \"one\" }}1{{ end }}",
            )
            .says("template-invalid"),
        ),
        row(
            "I6",
            "default stands in for what is missing",
            "stacks::a_missing_key_is_falsy_in_a_condition",
            content("{{ .Vars.none | default \"this\" }}", "{{ .Vars.none | default \"that\" }}")
                .turns("content=\"this\"", "content=\"that\""),
        ),
    ]
}

fn rendering() -> Vec<Row> {
    vec![
        row(
            "I7",
            "templates stand in every text",
            "stacks::templates_stand_in_every_text",
            resource("type: file\ntarget_path: \"/x/{{ .Traits.os.family }}\"", "os.family", "os.distro")
                .turns("target_path=\"/x/debian\"", "target_path=\"/x/ubuntu\""),
        ),
        row(
            "I8",
            "content and source exclude each other",
            "stacks::resources",
            edit(
                "configcrates/base.vgo",
                "source: templates/motd.tmpl",
                "source: templates/motd.tmpl\n    content: x",
            )
            .says("attributes-exclusive"),
        ),
        row(
            "I9",
            "elements are put in at publish, the rest on the machine",
            "stacks::elements_are_put_into_actions",
            edit("harbor/hosts.vgo", "shares: [{name: charts", "shares: [{name: maps")
                .on("db1")
                .turns("target_path:\"/srv/charts\"", "target_path:\"/srv/maps\""),
        ),
        row(
            "I10",
            "a state by a template is left to the machine",
            "executors::templates_are_rendered_at_the_turn_and_their_mistakes_fail_one_step",
            resource(
                "type: file\ntarget_path: /x\nstate: absent",
                "state: absent",
                "state: \"{{ .Traits.os.family }}\"",
            )
            .turns("state:\"absent\"", "state:\"{{ .Traits.os.family }}\""),
        ),
    ]
}
