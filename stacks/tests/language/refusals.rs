//! Every way to be refused, word for word.
//!
//! Each group is one snapshot: the input's name, then all that is said about it. A case that says nothing fails.

use vigo_stacks::compile;

use crate::{said, tree, with_configcrate, with_resource};

pub fn group(cases: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (name, text) in cases {
        let (compiled, diagnostics) = compile(&tree(text));
        assert!(!diagnostics.is_empty(), "{name}: nothing is said");
        assert_eq!(compiled.is_none(), diagnostics.iter().any(|d| d.is_error()), "{name}");
        out += &format!("# {name}\n{}\n", said(&diagnostics));
    }
    out
}

fn resource(name: &'static str, body: &str) -> (&'static str, String) {
    (name, with_resource(body))
}

fn when(name: &'static str, condition: &str) -> (&'static str, String) {
    (name, with_resource(&format!("type: exec\ncommand: x\nwhen: \"{condition}\"")))
}

fn configcrate(name: &'static str, body: &str) -> (&'static str, String) {
    (name, with_configcrate(body))
}

const EXEC: &str = "resources:\n  - {name: r, type: exec, command: \"true\"}\n";

fn beside(name: &'static str, files: &str) -> (&'static str, String) {
    (name, format!("=== configcrates/a.vgo\nname: a\n{EXEC}{files}"))
}

#[test]
fn yaml() {
    let out = group(&[
        configcrate("unclosed list", "name: a\nresources: [\n"),
        configcrate("tab", "name: a\nresources:\n\t- name: r\n"),
        configcrate("bad indentation", "name: a\n  vars: {}\nresources: []\n"),
        configcrate(
            "unquoted template",
            "name: a\nresources:\n  - name: r\n    type: exec\n    command: {{ .Vars.x }}\n",
        ),
        configcrate("duplicate key", "name: a\nname: b\nresources: []\n"),
        configcrate("duplicate key deep", "name: a\nvars: {x: {y: 1, y: 2}}\nresources: []\n"),
        configcrate("two documents", "name: a\nresources: []\n---\nname: b\n"),
        configcrate("tag", "name: !!str a\nresources: []\n"),
        configcrate("merge key", "name: a\nvars:\n  base: &b {x: 1}\n  more: {<<: *b}\nresources: []\n"),
        configcrate("unknown alias", "name: *nope\nresources: []\n"),
        beside("a star without quotes", "=== s/h.vgo\nenvoys:\n  - match: *\n"),
        configcrate("alias in itself", "name: a\nvars: &v\n  x: *v\nresources: []\n"),
        configcrate("alias bomb", &format!("name: a\nvars:\n{}resources: []\n", bomb())),
        configcrate(
            "too deep",
            &format!("name: a\nvars: {{x: {}1{}}}\nresources: []\n", "[".repeat(60), "]".repeat(60)),
        ),
        configcrate("map as key", "name: a\nvars: {[1, 2]: x}\nresources: []\n"),
        configcrate("empty file", "# only a comment\n"),
        configcrate("a list", "- name: a\n"),
        configcrate("a text", "just words\n"),
        configcrate("control character", "name: \"a\u{1}\"\nresources: []\n"),
        configcrate("huge number", "name: a\nvars: {x: 99999999999999999999999, y: .inf}\nresources: []\n"),
    ]);
    insta::assert_snapshot!(out);
}

fn bomb() -> String {
    let mut text = String::from("  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        text += &format!("  a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
    }
    text
}

#[test]
fn warnings_about_yaml() {
    let out = group(&[
        resource("yes as text", "type: file\ntarget_path: /x\ncontent: yes"),
        resource("on as boolean", "type: directory\ntarget_path: /x\nstate: absent\nrecurse: on"),
        resource("unquoted mode", "type: file\ntarget_path: /x\nmode: 0644"),
        configcrate(
            "in variables",
            &format!("name: a\nvars: {{a: no, b: 007, c: 1.10, d: \"{{{{ .Vars.x }}}}\"}}\n{EXEC}"),
        ),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn configcrates() {
    let out = group(&[
        configcrate("no name", EXEC),
        configcrate("no resources", "name: a\n"),
        configcrate("unknown key", &format!("name: a\nresource: []\n{EXEC}")),
        configcrate("compliance", &format!("name: a\ncompliance: {{provides: [x]}}\n{EXEC}")),
        configcrate("bad name", &format!("name: a/b\n{EXEC}")),
        configcrate("name is a list", &format!("name: [a]\n{EXEC}")),
        configcrate("templated name", &format!("name: \"{{{{ .Each.x }}}}\"\n{EXEC}")),
        configcrate("vars is a list", &format!("name: a\nvars: [x]\n{EXEC}")),
        configcrate("variable named like a word", &format!("name: a\nvars: {{changed: 1}}\n{EXEC}")),
        configcrate(
            "secret in variables",
            &format!("name: a\nvars: {{token: \"secret:app/token\"}}\n{EXEC}"),
        ),
        configcrate("unknown default", &format!("name: a\ndefaults: {{onwer: root}}\n{EXEC}")),
        configcrate("common field as default", &format!("name: a\ndefaults: {{when: changed}}\n{EXEC}")),
        configcrate(
            "two resources of one name",
            "name: a\nresources:\n  - {name: r, type: exec, command: x}\n  - {name: r, type: exec, command: y}\n",
        ),
        configcrate("resources is a map", "name: a\nresources: {name: r}\n"),
        beside("two configcrates of one name", &format!("=== configcrates/b.vgo\nname: a\n{EXEC}")),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn resources() {
    let out = group(&[
        resource("no type", "command: x"),
        resource("unknown type", "type: flie"),
        resource(
            "mount without its device",
            "type: mount
target_path: /x",
        ),
        resource(
            "a word that is none of the few",
            "type: firewall
port: 80
proto: sctp",
        ),
        resource(
            "a port range that goes down",
            "type: firewall
port: 90-80",
        ),
        resource(
            "a checksum of another kind",
            "type: source_package
target_path: /x
url: https://x/y
checksum: md5:00",
        ),
        resource("absent service", "type: service\nservice: nginx\nstate: absent"),
        resource("package with a version", "type: package\npackage: nginx=1.2"),
        resource("service by a command", "type: service\nservice: nginx; id"),
        resource("package in another state", "type: package\npackage: nginx\nstate: running"),
        resource("unknown attribute", "type: file\ntarget_path: /x\ncontnet: y"),
        resource("missing attribute", "type: exec"),
        resource("missing in a state", "type: symlink\ntarget_path: /x"),
        resource("relative path", "type: file\ntarget_path: etc/motd"),
        resource("path with dots", "type: file\ntarget_path: /etc/../motd"),
        resource("symbolic mode", "type: file\ntarget_path: /x\nmode: u=rw"),
        resource("both paths", "type: file\npath: /x\ntarget_path: /y"),
        resource("content and source", "type: file\ntarget_path: /x\ncontent: a\nsource: templates/a"),
        resource("source is missing", "type: file\ntarget_path: /x\nsource: templates/a"),
        resource("source elsewhere", "type: file\ntarget_path: /x\nsource: ./a.tmpl"),
        resource("unknown state", "type: file\ntarget_path: /x\nstate: absnt"),
        resource("state of another type", "type: file\ntarget_path: /x\nstate: stopped"),
        resource("state without states", "type: exec\ncommand: x\nstate: absent"),
        resource("a map as text", "type: file\ntarget_path: /x\nowner: {a: b}"),
        resource("a list as text", "type: exec\ncommand: [ls, -l]"),
        resource("nothing as text", "type: exec\ncommand:"),
        resource("no boolean", "type: directory\ntarget_path: /x\nrecurse: maybe"),
        resource("quoted boolean", "type: directory\ntarget_path: /x\nrecurse: \"true\""),
        resource("secret", "type: file\ntarget_path: /x\ncontent: secret:app/key"),
        resource("timeout", "type: exec\ncommand: x\ntimeout: 10m"),
        resource("timeout of zero", "type: exec\ncommand: x\ntimeout: 0"),
        resource("exit codes", "type: exec\ncommand: x\nexit_codes: [0, 300]"),
        resource("environment", "type: exec\ncommand: x\nenvironment: {\"1A\": b}"),
        configcrate("a resource as text", "name: a\nresources: [nginx]\n"),
        configcrate("resource without a name", "name: a\nresources:\n  - {type: exec, command: x}\n"),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn users_and_cron_jobs() {
    let dan = |name, more: &str| resource(name, &format!("type: user\nusername: dan\n{more}"));
    let job = |name, more: &str| resource(name, &format!("type: cron\njob: x\n{more}"));
    let out = group(&[
        resource("no name to log in", "type: user"),
        resource("a name with a blank", "type: user\nusername: \"dan d\""),
        dan("a negative id", "uid: -5"),
        dan("a password in clear", "password: hunter2"),
        dan("a secret", "password: secret:dan"),
        dan("a group with a colon", "groups: [adm, \"a:b\"]"),
        dan("a map of groups", "groups: {adm: true}"),
        dan("a private key", "authorized_keys: [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]"),
        dan("a key cut short", "authorized_keys:\n  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5 dan"),
        dan("a relative home", "home: dan"),
        job("no schedule", "command: x"),
        job("four fields", "schedule: \"5 * * *\"\ncommand: x"),
        job("minute 60", "schedule: \"60 * * * *\"\ncommand: x"),
        job("a word misspelt", "schedule: \"@dayly\"\ncommand: x"),
        job("two lines", "schedule: \"@daily\"\ncommand: \"a\\nb\""),
        resource("a dot in the job's name", "type: cron\njob: a.b\nstate: absent"),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn places() {
    let out = group(&[
        // E8, E9
        beside(
            "tasks and workflows",
            "=== tasks/x.vgo\nname: x\n=== tasks/deep/z.vgo\nname: x\n=== workflows/y.vgo\nname: x\n=== tasks/n.vgo\nsteps: []\n=== workflows/l.vgo\n- a\n",
        ),
        // E20, E21
        beside(
            "legacy layout",
            "=== envoys/x.vgo\nenvoys: []\n=== roles/y.vgo\nname: y\n=== vars/z.vgo\nx: 1\n",
        ),
        // E10
        beside("roles not at the root", "=== site/roles.vgo\nroles: []\n"),
        // E5
        beside("configcrates not at the root", "=== site/configcrates/b.vgo\nname: b\nresources: []\n"),
        beside("a configcrate outside", "=== site/b.vgo\nname: b\nresources: []\n"),
        // E11, E12
        beside("a hostcrate inside", "=== configcrates/h.vgo\nenvoys: []\n"),
        beside("a hostcrate without envoys", "=== site/h.vgo\nenvoy: []\n"),
        // E13
        beside("match in common.vgo", "=== site/common.vgo\nmatch: \"*\"\n"),
        // E1
        beside("another ending", "=== site/h.yaml\nenvoys: []\n"),
        // E18 (D8)
        beside(
            "named for an environment",
            "=== production/web/h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [a]}\n",
        ),
        // E15 (D7)
        beside(
            "common.vgo at the root",
            "=== common.vgo\nconfigcrates: [a]\n=== h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [a]}\n",
        ),
    ]);
    insta::assert_snapshot!(out);
}

fn hosts(name: &'static str, blocks: &str) -> (&'static str, String) {
    beside(
        name,
        &format!(
            "=== roles.vgo\nroles:\n  - {{name: web, configcrates: [a]}}\n=== site/h.vgo\nenvoys:\n{blocks}"
        ),
    )
}

fn roles(name: &'static str, list: &str) -> (&'static str, String) {
    beside(name, &format!("=== roles.vgo\n{list}"))
}

#[test]
fn hostcrates() {
    let out = group(&[
        hosts("no match", "  - roles: [web]\n"),
        hosts("a tag as match", "  - match: tag:web\n    roles: [web]\n"),
        hosts("an odd match", "  - match: \"web[0-9]\"\n  - match: \"a b\"\n  - match: \"\"\n"),
        hosts("a list as match", "  - match: [a, b]\n"),
        hosts("unknown role", "  - {match: \"*\", roles: [wbe]}\n"),
        hosts("configcrate as role", "  - {match: \"*\", roles: [a]}\n"),
        hosts("role as configcrate", "  - {match: \"*\", configcrates: [web]}\n"),
        hosts("unknown configcrate", "  - {match: \"*\", configcrates: [aa], exclude_configcrates: [bb]}\n"),
        hosts("role and roles", "  - {match: \"*\", role: web, roles: [web]}\n"),
        hosts("a name where a list is needed", "  - {match: \"*\", roles: web}\n"),
        hosts(
            "retired keys",
            "  - {match: \"*\", environment_overrides: {}, vars_from: x, exclude_usercrates: [dan]}\n",
        ),
        hosts(
            "foreach, key, state",
            "  - match: \"*\"\n    configcrates: [{name: a, foreach: xs, key: n, state: absent}]\n",
        ),
        hosts("mention without name", "  - match: \"*\"\n    configcrates: [{when: \"true\"}]\n"),
        hosts("changed on a mention", "  - match: \"*\"\n    configcrates: [{name: a, when: changed}]\n"),
        hosts("a tag with a space", "  - {match: \"*\", tags: [\"a b\"]}\n"),
        hosts("unreachable", "  - {match: \"web*\", roles: [web]}\n  - {match: \"web1\", roles: [web]}\n"),
        beside(
            "two files match one host",
            "=== x/h.vgo\nenvoys:\n  - {match: \"web*\", configcrates: [a]}\n=== y/h.vgo\nenvoys:\n  - {match: \"*.prod\", configcrates: [a]}\n",
        ),
        hosts(
            "exclusions",
            "  - {match: \"*\", exclude_configcrates: [a]}\n  - {match: x, configcrates: [a], exclude_configcrates: [a]}\n",
        ),
        hosts(
            "asked for twice",
            "  - match: \"*\"\n    roles: [web]\n    configcrates: [{name: a, when: is_container}]\n",
        ),
    ]);
    insta::assert_snapshot!(out);
    let many: String = ('b'..='f').map(|c| format!("=== configcrates/{c}.vgo\nname: {c}\n{EXEC}")).collect();
    let many =
        format!("{many}=== site/h.vgo\nenvoys:\n  - {{match: \"*\", configcrates: [b, c, d, e, f]}}\n");
    let out = group(&[beside("many inline configcrates", &many)]);
    insta::assert_snapshot!("inline", out);
}

#[test]
fn role_declarations() {
    let out = group(&[
        roles("no name", "- configcrates: [a]\n"),
        roles("nothing in it", "- name: web\n"),
        roles("twice", "- {name: web, configcrates: [a]}\n- {name: web, configcrates: [a]}\n"),
        roles("usercrates", "- {name: web, configcrates: [a], usercrates: [dan]}\n"),
        roles("unknown include", "- {name: web, includes: [bsae]}\n- {name: base, configcrates: [a]}\n"),
        roles(
            "nested includes",
            "- {name: x, includes: [y]}\n- {name: y, includes: [z]}\n- {name: z, configcrates: [a]}\n",
        ),
        roles(
            "variables under a condition",
            "- {name: web, when: is_container, vars: {x: 1}, configcrates: [a]}\n",
        ),
        roles("unknown configcrate", "roles:\n  - {name: web, configcrates: [{name: b}]}\n"),
        roles("unknown key", "role: []\n"),
        roles("text", "web\n"),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn references_and_order() {
    let steps = |list: &str| format!("name: a\nresources:\n{list}");
    let exec = |name: &str, rest: &str| format!("  - {{name: {name}, type: exec, command: x, {rest}}}\n");
    let out = group(&[
        configcrate(
            "unknown",
            &steps(&(exec("one", "depends_on: [tow]") + &exec("two", "notify: [nothing]"))),
        ),
        configcrate("itself", &steps(&exec("one", "depends_on: [one]"))),
        configcrate(
            "a ring of three",
            &steps(
                &(exec("one", "depends_on: [three]")
                    + &exec("two", "subscribes: [one]")
                    + &exec("three", "subscribes: [two]")),
            ),
        ),
        configcrate(
            "before and depends_on",
            &steps(&(exec("one", "before: [two]") + &exec("two", "before: [one]"))),
        ),
        configcrate("a configcrate as resource", &steps(&exec("one", "depends_on: [a]"))),
        configcrate("no list", &steps(&exec("one", "depends_on: two"))),
        beside(
            "configcrates in a ring",
            &format!(
                "=== configcrates/b.vgo\nname: b\ndepends_on: [c]\n{EXEC}=== configcrates/c.vgo\nname: c\ndepends_on: [b]\n{EXEC}=== site/h.vgo\nenvoys:\n  - {{match: \"*\", configcrates: [b, c]}}\n"
            ),
        ),
        beside(
            "unknown configcrate",
            &format!("=== configcrates/b.vgo\nname: b\ndepends_on: [aa]\nbefore: [zzz]\n{EXEC}"),
        ),
        beside(
            "absent configcrate",
            &format!(
                "=== configcrates/b.vgo\nname: b\ndepends_on: [a]\nresources:\n{}=== site/h.vgo\nenvoys:\n  - {{match: \"*\", configcrates: [b]}}\n",
                exec("q", "depends_on: [r], notify: [a/r]")
            ),
        ),
        beside(
            "ambiguous",
            &format!(
                "=== configcrates/b.vgo\nname: b\n{EXEC}=== configcrates/c.vgo\nname: c\nresources:\n{}=== site/h.vgo\nenvoys:\n  - {{match: \"*\", configcrates: [a, b, c]}}\n",
                exec("q", "depends_on: [r]")
            ),
        ),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn conditions_and_templates() {
    let out = group(&[
        resource("unknown name", "type: exec\ncommand: x\nwhen: is_contaner"),
        resource("syntax", "type: exec\ncommand: x\nwhen: \"os_family('debian') & arch('amd64')\""),
        when("a range with one end", "hour_range(1)"),
        when("a range with three ends", "hour_range(1, 2, 3)"),
        when("an hour that is none", "hour_range(1, 25)"),
        when("an empty range", "minute_range(5, 5)"),
        when("a minute of a template and one that is none", "minute_range('{{ .Vars.x }}', 61)"),
        when("no such weekday", "day_of_week('sonntag')"),
        when("no such day of the month", "day_of_month(32)"),
        when("a flag with a path", "flag_set('../x')"),
        when("a display of somebody", "has_display('x')"),
        resource("not a text", "type: exec\ncommand: x\nwhen: [a]"),
        resource("changed under or", "type: exec\ncommand: x\nwhen: changed || is_container"),
        resource("changed under not", "type: exec\ncommand: x\nwhen: \"!changed\""),
        resource(
            "a template in a condition",
            "type: exec\ncommand: x\nwhen: \"file_exists('{{ .Var.x }}')\"",
        ),
        resource("nothing for a function", "type: exec\ncommand: x\nwhen: \"dir_exists('/{{ .Vars.x }}')\""),
        resource("a negation without quotes", "type: exec\ncommand: x\nwhen: !is_container"),
        resource("in a block", "type: exec\ncommand: x\nwhen: |\n  os_family('debian')\n  && arhc('amd64')"),
        resource("unknown function", "type: file\ntarget_path: /x\ncontent: \"{{ upper .Vars.x }}\""),
        resource("unclosed", "type: file\ntarget_path: /x\ncontent: \"{{ if .Vars.x }}\""),
        resource(
            "in a literal block",
            "type: file\ntarget_path: /x\ncontent: |\n  one\n    two {{ .Vras.x }}",
        ),
        resource("unknown variable", "type: file\ntarget_path: \"/x/{{ .Vars.naem }}\""),
        resource(
            "unknown variable, perhaps",
            "type: file\nwhen: is_container\ntarget_path: \"/x/{{ .Vars.naem }}\"",
        ),
        resource("unknown trait", "type: file\ntarget_path: /x\ncontent: \"{{ .Traits.os.familly }}\""),
        (
            "in a source",
            format!(
                "=== templates/motd\nhello\n{{{{ .Vars.nam }}}}\n{{{{ nope }}}}\n{}",
                with_resource("type: file\ntarget_path: /x\nsource: templates/motd")
            ),
        ),
        (
            "variable of another host",
            [
                "=== configcrates/a.vgo\nname: a\nresources:\n",
                "  - {name: r, type: exec, command: \"x {{ .Vars.port }}\", when: on_web}\n",
                "=== site/h.vgo\nenvoys:\n",
                "  - {match: web, configcrates: [a], vars: {port: 1, on_web: true}}\n",
                "  - {match: db, configcrates: [a]}\n",
            ]
            .concat(),
        ),
    ]);
    insta::assert_snapshot!(out);
}

#[test]
fn drawn_over_the_source() {
    let tree = tree(&with_resource(
        "type: file\ntarget_path: etc\ncontent: ünï {{ .Vras.x }}\nmoed: \"0644\"\nmode: 0644",
    ));
    let (_, diagnostics) = compile(&tree);
    let drawn = vigo_stacks::render_fancy(&diagnostics, &tree, false, 100);
    insta::assert_snapshot!(drawn);
    assert!(vigo_stacks::render_fancy(&diagnostics, &tree, true, 100).contains('\u{1b}'));
    let json: Vec<String> = diagnostics.iter().map(|d| serde_json::to_string(d).unwrap()).collect();
    insta::assert_snapshot!("json", json.join("\n"));
}
