//! What resources may not say: lists, tables, branches, blocks, reversal, triggers; word for word.
//!
//! Each group is one snapshot, as in `refusals.rs`; rows of the checklist stand at the cases.

use crate::refusals::group;
use crate::{with_configcrate, with_resource};

fn resource(name: &'static str, body: &str) -> (&'static str, String) {
    (name, with_resource(body))
}

/// A configcrate of these `vars:` and resources.
fn with(name: &'static str, vars: &str, resources: &str) -> (&'static str, String) {
    (name, with_configcrate(&format!("name: a\nvars: {vars}\nresources:\n{resources}")))
}

/// A configcrate `a` that is asked for with `foreach:`, and the variables of the match block.
fn instances(name: &'static str, mention: &str, vars: &str) -> (&'static str, String) {
    let text = format!(
        "=== configcrates/a.vgo\nname: a\nresources:\n  - {{name: r, type: file, target_path: \"/x/{{{{ .Each.n }}}}\"}}\n\
         === site/hosts.vgo\nenvoys:\n  - match: \"*\"\n    configcrates: [{mention}]\n    vars: {vars}\n"
    );
    (name, text)
}

/// G12, G13, G17, G19: `foreach:` of resources.
#[test]
fn foreach_of_resources() {
    let user =
        |name: &str, rest: &str| format!("  - {{name: \"{name}\", type: user, {rest}, foreach: people}}\n");
    let ok = user("u {{ .Item.n }}", "username: \"{{ .Item.n }}\"");
    let out = group(&[
        with("no such list", "{peopl: []}", &ok),
        with("the list is a map", "{people: {n: dan}}", &ok),
        with("the list is a text", "{people: dan}", &ok),
        with("one name for all", "{people: [{n: dan}]}", &user("u", "username: \"{{ .Item.n }}\"")),
        with("two copies of one name", "{people: [{n: dan}, {n: dan}]}", &ok),
        with("an element without the field", "{people: [{n: dan}, {name: eve}]}", &ok),
        with("a field of a text", "{people: [dan]}", &ok),
        with("a value that does not fit", "{people: [{n: \"a b\"}]}", &ok),
        with(
            "a name that does not fit",
            "{people: [{n: dan, x: a/b}]}",
            &user("u {{ .Item.x }}", "username: \"{{ .Item.n }}\""),
        ),
        with(
            "neither true nor false",
            "{people: [{n: dan, s: maybe}]}",
            &user("{{ .Item.n }}", "username: \"{{ .Item.n }}\", system: \"{{ .Item.s }}\""),
        ),
        with(
            "an argument that does not fit",
            "{people: [http]}",
            "  - {name: \"{{ .Item }}\", type: exec, command: x, foreach: people, when: \"port_listening('{{ .Item }}')\"}\n",
        ),
        with(
            "a state that is none",
            "{people: [gone]}",
            "  - {name: \"{{ .Item }}\", type: file, target_path: /x, foreach: people, state: \"{{ .Item }}\"}\n",
        ),
        with(
            "not the name of a variable",
            "{people: []}",
            "  - {name: \"{{ .Item }}\", type: exec, command: x, foreach: \"a b\"}\n",
        ),
        with("an element without foreach", "{}", "  - {name: r, type: exec, command: \"{{ .Item }}\"}\n"),
        with("a variable in a name", "{x: 1}", "  - {name: \"r {{ .Vars.x }}\", type: exec, command: x}\n"),
        with(
            "a copy that the list does not make",
            "{people: [{n: dan}]}",
            &format!("{ok}  - {{name: r, type: exec, command: x, depends_on: [u eve], notify: [u joe]}}\n"),
        ),
    ]);
    insta::assert_snapshot!(out);
}

/// G14–G18: `foreach:` of configcrates.
#[test]
fn foreach_of_configcrates() {
    let out = group(&[
        instances("no such list", "{name: a, foreach: xs}", "{x: []}"),
        instances("maps without a key", "{name: a, foreach: xs}", "{xs: [{n: 1}]}"),
        instances(
            "a key that an element lacks",
            "{name: a, foreach: xs, key: m}",
            "{xs: [{n: 1, m: a}, {n: 2}]}",
        ),
        instances("a key of texts", "{name: a, foreach: xs, key: n}", "{xs: [one]}"),
        instances("a key twice", "{name: a, foreach: xs, key: n}", "{xs: [{n: 1}, {n: 1}]}"),
        instances("a key that is a path", "{name: a, foreach: xs, key: n}", "{xs: [{n: ../x}]}"),
        instances("a key that is a list", "{name: a, foreach: xs, key: n}", "{xs: [{n: [x]}]}"),
        instances("a key without foreach", "{name: a, key: n}", "{}"),
        instances("an element without the field", "{name: a, foreach: xs, key: m}", "{xs: [{m: 1}]}"),
        instances("without foreach", "a", "{}"),
        instances("plain and with foreach", "{name: a, foreach: xs, key: n}, a", "{xs: [{n: 1}]}"),
    ]);
    insta::assert_snapshot!(out);
}

/// G33, G37–G39, D18: lookup tables.
#[test]
fn lookup_tables() {
    let out = group(&[
        resource("no default", "type: file\ntarget_path: /x\nowner: {\"tag:web\": www, \"web*\": root}"),
        resource(
            "a default misspelt",
            "type: file\ntarget_path: /x\nowner: {\"tag:web\": www, defualt: root}",
        ),
        resource("lists and texts", "type: user\nusername: dan\ngroups: {\"tag:web\": [a, b], default: c}"),
        resource("a list for a text", "type: file\ntarget_path: /x\nowner: {\"tag:web\": [a], default: []}"),
        resource(
            "a table in a table",
            "type: file\ntarget_path: /x\nowner: {\"tag:web\": {x: y, default: z}, default: a}",
        ),
        resource("no such trait", "type: file\ntarget_path: /x\nowner: {os.famly=debian: a, default: b}"),
        resource("a trait that is a list", "type: file\ntarget_path: /x\nowner: {packages=x: a, default: b}"),
        resource(
            "a kernel as a family",
            "type: file\ntarget_path: /x\nowner: {\"os_family:linux\": a, default: b}",
        ),
        resource(
            "an arm of another kind",
            "type: file\ntarget_path: /x\nowner: {\"role:web\": a, default: b}",
        ),
        resource(
            "an arm with a wrong value",
            "type: file\ntarget_path: /x\nmode: {\"tag:web\": \"0999\", default: \"0644\"}",
        ),
        resource(
            "a wrong state in an arm",
            "type: file\ntarget_path: /x\nstate: {\"tag:web\": absnt, default: present}",
        ),
        resource("a required one unset", "type: file\ntarget_path: {\"tag:web\": /x, default: null}"),
        resource(
            "missing in one of its states",
            "type: symlink\ntarget_path: /x\nstate: {\"tag:web\": present, default: absent}",
        ),
        resource("a table for a name", "type: exec\ncommand: x\ndepends_on: {default: []}"),
        with(
            "a table in variables",
            "{x: {\"tag:web\": 1, default: 2}}",
            "  - {name: r, type: exec, command: x}\n",
        ),
    ]);
    insta::assert_snapshot!(out);
}

/// G21: `case:` and `match:`.
#[test]
fn cases() {
    let file = "type: file\ntarget_path: /x\n";
    let out = group(&[
        resource("case alone", &format!("{file}case: \"{{{{ .Traits.os.family }}}}\"")),
        resource("match alone", &format!("{file}match: {{debian: {{content: a}}}}")),
        resource("case is no template", &format!("{file}case: os.family\nmatch: {{debian: {{content: a}}}}")),
        resource(
            "case with a typo",
            &format!("{file}case: \"{{{{ .Trait.os.family }}}}\"\nmatch: {{debian: {{content: a}}}}"),
        ),
        resource("match is a list", &format!("{file}case: \"{{{{ .Vars.x }}}}\"\nmatch: [a]")),
        resource(
            "a default branch",
            &format!("{file}case: \"{{{{ .Traits.os.family }}}}\"\nmatch: {{default: {{content: a}}}}"),
        ),
        resource(
            "a branch is a text",
            &format!("{file}case: \"{{{{ .Traits.os.family }}}}\"\nmatch: {{debian: a}}"),
        ),
        resource(
            "a branch with a common field",
            &format!("{file}case: \"{{{{ .Traits.os.family }}}}\"\nmatch: {{debian: {{when: x}}}}"),
        ),
        resource(
            "a branch with an unknown attribute",
            &format!("{file}case: \"{{{{ .Traits.os.family }}}}\"\nmatch: {{debian: {{contnet: x}}}}"),
        ),
        resource(
            "a branch with a wrong value",
            &format!(
                "{file}case: \"{{{{ .Traits.os.family }}}}\"\nmatch: {{debian: {{mode: x, state: gone}}}}"
            ),
        ),
        resource(
            "a branch with both",
            &format!(
                "{file}case: \"{{{{ .Traits.os.family }}}}\"\nmatch: {{debian: {{content: a, source: templates/a}}}}"
            ),
        ),
        resource(
            "a branch that is not whole",
            "type: symlink\ncase: \"{{ .Traits.os.family }}\"\nmatch: {debian: {target_path: /x}}",
        ),
    ]);
    insta::assert_snapshot!(out);
}

/// G22: `conditional_block`.
#[test]
fn blocks() {
    let block = |name, body: &str| {
        (name, with_configcrate(&format!("name: a\nresources:\n  - conditional_block: {body}\n")))
    };
    let one = "resources: [{name: r, type: exec, command: x}]";
    let out = group(&[
        block("without a condition", &format!("{{{one}}}")),
        block("without resources", "{when: is_container}"),
        block("an unknown key", &format!("{{when: is_container, wen: x, {one}}}")),
        block("a list", "[]"),
        block("a wrong condition", &format!("{{when: is_containr, {one}}}")),
        block(
            "two of one name",
            "{when: is_container, resources: [{name: r, type: exec, command: x}, {name: r, type: exec, command: y}]}",
        ),
        (
            "keys beside it",
            with_configcrate(&format!(
                "name: a\nresources:\n  - name: x\n    conditional_block: {{when: is_container, {one}}}\n"
            )),
        ),
        block(
            "conditions too long together",
            &format!(
                "{{when: \"distro('{0}')\", resources: [{{name: r, type: exec, command: x, when: \"distro('{0}')\"}}]}}",
                "x".repeat(3_000)
            ),
        ),
    ]);
    insta::assert_snapshot!(out);
}

/// G23–G28, G30, D19: what undoes, and what does not.
#[test]
fn reversal() {
    let exec = "type: exec\ncommand: x\n";
    let out = group(&[
        resource("revert without a command", &format!("{exec}revert: true")),
        resource("revert over SSH without a command", "type: ssh_exec\nhost: fw1\ncommand: x\nrevert: true"),
        resource("an empty command", &format!("{exec}on_revert: \" \"")),
        resource("a state of an action", &format!("{exec}state: absent")),
        resource("a state of a value", "type: hostname\nhostname: x\nstate: absent"),
        resource("a state of a stanza", "type: cisco_interface\nhost: sw1\ninterface: Gi0/1\nstate: absent"),
        resource("revert of a file", "type: file\ntarget_path: /x\nrevert: true"),
        resource("revert of a service", "type: service\nservice: x\nrevert: true\non_revert: y"),
        resource("a command for a value", "type: timezone\ntimezone: UTC\nrevert: true\non_revert: y"),
        resource("revert of a stanza", "type: junos_interface\nhost: sw1\ninterface: ge-0/0/1\nrevert: true"),
        resource("revert is a text", &format!("{exec}revert: soon\non_revert: y")),
    ]);
    insta::assert_snapshot!(out);
}

/// G8, G9, H21, J3, J21, D3, D4, D22, H23: triggers, secrets, scripts, variables of traits, sources.
#[test]
fn the_rest_of_a_resource() {
    let exec = "  - {name: r, type: exec, command: x}\n";
    let file = "type: file\ntarget_path: /x\n";
    let out = group(&[
        resource("nothing triggers it", "type: exec\ncommand: x\nwhen: changed"),
        resource("a secret that is none", "type: exec\ncommand: x\nwatch_secret: [../x, \"a b\", [x]]"),
        resource("a script elsewhere", &format!("{file}content: x\nstream_edit: /usr/local/bin/x.sh")),
        resource("a script with dots", &format!("{file}content: x\nstream_edit: [/srv/vigo/scripts/../x]")),
        resource("a mirror", "type: user\nusername: dan\ngitback: true"),
        resource("a source by a trait", &format!("{file}source: \"templates/{{{{ .Traits.os.family }}}}\"")),
        with(
            "a source that is not there",
            "{x: y}",
            "  - {name: r, type: file, target_path: /x, source: \"templates/{{ .Vars.x }}\"}\n",
        ),
        with("a variable of no trait", "{big: {trait: hardware.memory, gte: 4096}}", exec),
        with("a variable of a list", "{big: {trait: packages, in: [x]}}", exec),
        with("a variable that asks twice", "{big: {trait: hardware.memory_mb, gte: 1, lt: 9}}", exec),
        with("a variable that asks nothing", "{big: {trait: hardware.memory_mb}}", exec),
        with("a variable that asks otherwise", "{big: {trait: os.family, not_in: [x]}}", exec),
        with("a number that is none", "{big: {trait: hardware.memory_mb, gte: much}}", exec),
        with("a list for one", "{big: {trait: hardware.memory_mb, gte: [1]}}", exec),
        with("one for a list", "{big: {trait: os.family, in: debian}}", exec),
        with("an order of truth", "{big: {trait: is_container, gte: true}}", exec),
        (
            "a conditional variable elsewhere",
            format!(
                "{}    vars: {{big: {{trait: hardware.memory_mb, gte: 4096}}}}\n",
                with_configcrate(&format!("name: a\nresources:\n{exec}"))
            ),
        ),
    ]);
    insta::assert_snapshot!(out);
}
