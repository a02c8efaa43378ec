//! A page for each rule: what it guards, why, and what to write instead.
//!
//! Made from one table, in two parts, so that the program and `docs/rules/` say the same. A test holds that every rule
//! has its page, with an example that breaks it and one that does not.

mod language;

use super::Rule;

/// Why a rule is there, what breaks it, and what to write instead.
struct More {
    name: &'static str,
    why: &'static str,
    wrong: &'static str,
    right: &'static str,
}

const fn more(name: &'static str, why: &'static str, wrong: &'static str, right: &'static str) -> More {
    More { name, why, wrong, right }
}

/// The page of a rule.
pub(super) fn of(rule: &Rule) -> String {
    let mut page = format!("# {}\n\n{}\n", rule.name, rule.about);
    let Some(more) = all().find(|m| m.name == rule.name) else { return page };
    page += &format!("\n{}\n", more.why);
    for (title, text) in [("Not like this", more.wrong), ("But like this", more.right)] {
        if !text.is_empty() {
            let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
            page += &format!("\n{title}:\n\n{lines}");
        }
    }
    page
}

/// Both parts.
fn all() -> impl Iterator<Item = &'static More> {
    MORE.iter().chain(language::LANGUAGE)
}

const MORE: &[More] = &[
    more(
        "file-path",
        "A tree is published as an archive that every system can hold.",
        "configcrates/a:b.vgo",
        "configcrates/a-b.vgo",
    ),
    more(
        "file-size",
        "Every bolt keeps every publish. A .vgo file has at most 1 MiB, any other file 16 MiB.",
        "templates/image.iso                  # 700 MiB",
        "templates/image.url                  # and fetched by a source_package",
    ),
    more(
        "file-utf8",
        "One encoding, so that a text means the same on every machine.",
        "a file that an editor saved as Latin-1",
        "the same file, saved as UTF-8",
    ),
    more(
        "file-empty",
        "An empty file is more often a mistake than a wish.",
        "# configcrates/web.vgo: a comment, and nothing else",
        "name: web\nresources: []",
    ),
    more(
        "file-place",
        "What a file is depends on where it lies; in the wrong place it would be read as something else, or not at all.",
        "site/roles.vgo",
        "roles.vgo",
    ),
    more(
        "file-extension",
        "A file that looks like configuration and is not read is a trap.",
        "configcrates/web.yaml",
        "configcrates/web.vgo",
    ),
    more(
        "legacy-layout",
        "Old versions kept match blocks, roles and variables in directories of their own. `vigocli config migrate` converts such a tree and keeps a copy.",
        "roles/web.vgo",
        "roles.vgo",
    ),
    more(
        "directory-environment",
        "An environment cuts across customers and sites, so a directory for it either repeats them or leaves them out. Declare it on the match block.",
        "production/web/hosts.vgo",
        "envoys:\n  - match: \"web*\"\n    environment: production",
    ),
    more(
        "yaml-syntax",
        "Indent with spaces; put a value that begins with `{{`, `*`, `&`, `!`, `@` or `` ` `` in quotes.",
        "content: {{ .Vars.x }}",
        "content: \"{{ .Vars.x }}\"",
    ),
    more(
        "yaml-duplicate-key",
        "Of two values one would win without a word.",
        "mode: \"0644\"\nmode: \"0600\"",
        "mode: \"0600\"",
    ),
    more("yaml-key", "A key is a name, not a list, a map or nothing.", "{{ .Vars.x }}: 1", "name: 1"),
    more(
        "yaml-tag",
        "Tags and merge keys differ between readers of YAML.",
        "<<: *base",
        "defaults:\n  owner: root",
    ),
    more(
        "yaml-expansion",
        "A few lines of aliases can expand to more than a machine holds.",
        "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]      # and so on",
        "a: [x]",
    ),
    more(
        "yaml-depth",
        "No configuration needs it, and what reads it stays bounded.",
        "x: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "x: [1]",
    ),
    more(
        "yaml-boolean",
        "YAML 1.1 took these words for booleans, YAML 1.2 takes them for texts. The formatter writes what this version understands.",
        "enabled: yes",
        "enabled: true",
    ),
    more(
        "yaml-octal",
        "YAML 1.1 took it for an octal number, so that 0644 became 420. The formatter adds the quotes.",
        "mode: 0644",
        "mode: \"0644\"",
    ),
    more(
        "yaml-number",
        "A version like 1.10 is the number 1.1 without quotes.",
        "version: 1.10",
        "version: \"1.10\"",
    ),
    more("value-kind", "Nothing is converted silently.", "depends_on: nginx", "depends_on: [nginx]"),
    more(
        "key-unknown",
        "A key with a slip in it would be a wish that nobody hears.",
        "ower: root",
        "owner: root",
    ),
    more(
        "key-missing",
        "Without it the rest cannot be understood.",
        "- type: file",
        "- name: motd\n  type: file\n  target_path: /etc/motd",
    ),
    more(
        "key-retired",
        "The message names what took its place.",
        "exclude_usercrates: [dan]",
        "usercrates: [alice]",
    ),
    more(
        "name-invalid",
        "Names stand in reports, conditions and command lines.",
        "name: \"a/b\"",
        "name: a-b",
    ),
    more(
        "name-taken",
        "A reference must have one meaning. Configcrates and usercrates share their names.",
        "# configcrates/dan.vgo\nname: dan\n# usercrates/dan.vgo\nname: dan",
        "# configcrates/dan-laptop.vgo\nname: dan-laptop\n# usercrates/dan.vgo\nname: dan",
    ),
    more("type-unknown", "docs/resources.md lists them with their attributes.", "type: files", "type: file"),
    more(
        "state-unknown",
        "Each type has states of its own; one that performs an action has none and is undone with `revert:`.",
        "type: service\nstate: present",
        "type: service\nstate: running",
    ),
    more(
        "attributes-exclusive",
        "One of the two would win without a word.",
        "content: x\nsource: templates/x",
        "source: templates/x",
    ),
    more(
        "source-missing",
        "Texts of `source:` are published with the policy, so they must be in the tree.",
        "source: motd.tmpl",
        "source: templates/motd.tmpl",
    ),
    more(
        "template-invalid",
        "A mistake in a template is found before it reaches a machine.",
        "content: \"{{ if .Vars.x }}\"",
        "content: \"{{ if .Vars.x }}a{{ end }}\"",
    ),
    more(
        "template-name",
        "A name that can have no value would fail on every machine.",
        "{{ .Var.port }}",
        "{{ .Vars.port }}",
    ),
    more(
        "template-in-vars",
        "Variables are values. Put the template where the variable is used.",
        "vars:\n  url: \"http://{{ .Traits.network.fqdn }}\"",
        "content: \"http://{{ .Traits.network.fqdn }}\"",
    ),
    more(
        "when-invalid",
        "Conditions have `&&`, `||`, `!`, `==`, `!=`, parentheses, names, texts in single quotes and functions.",
        "when: os_family(\"debian\")",
        "when: os_family('debian')",
    ),
    more(
        "when-name",
        "A bare name is a variable, else a trait; a third thing would never hold.",
        "when: is_contaner",
        "when: is_container",
    ),
    more(
        "when-changed",
        "A resource either waits for a trigger or does not.",
        "when: changed || is_container",
        "when: changed && is_container",
    ),
    more("configcrate-unknown", "Nothing could be given.", "configcrates: [ngnix]", "configcrates: [nginx]"),
    more("role-unknown", "Nothing could be given.", "roles: [weberver]", "roles: [webserver]"),
    more(
        "role-includes",
        "One level is read at a glance.",
        "- {name: base, configcrates: [sshd]}\n- {name: server, includes: [base]}\n- {name: web, includes: [server]}",
        "- {name: base, configcrates: [sshd]}\n- {name: web, includes: [base], configcrates: [nginx]}",
    ),
    more(
        "reference-unknown",
        "An edge that leads nowhere orders nothing and triggers nothing.",
        "notify: [relaod]",
        "notify: [reload]",
    ),
    more(
        "reference-ambiguous",
        "Two configcrates have a resource of that name.",
        "notify: [reload]",
        "notify: [nginx/reload]",
    ),
    more(
        "order-cycle",
        "No order would satisfy it. The message names the ring.",
        "- {name: one, type: exec, command: x, depends_on: [two]}\n- {name: two, type: exec, command: x, depends_on: [one]}",
        "- {name: one, type: exec, command: x, depends_on: [two]}\n- {name: two, type: exec, command: x}",
    ),
    more("match-invalid", "A match block sees the name of a host only.", "match: tag:web", "match: \"web*\""),
    more(
        "match-unreachable",
        "The first match block that fits decides; one behind a wider one never does.",
        "- match: \"*\"\n- match: \"web*\"",
        "- match: \"web*\"\n- match: \"*\"",
    ),
    more(
        "match-two-files",
        "Which file wins follows from depth and path; that is easily overlooked.",
        "# east/hosts.vgo\n- match: \"web*\"\n# west/hosts.vgo\n- match: \"*.example.com\"",
        "# east/hosts.vgo\n- match: \"web*.east.example.com\"\n# west/hosts.vgo\n- match: \"*.west.example.com\"",
    ),
    more(
        "common-at-root",
        "Match blocks in the root stand alone. Put them into a directory to inherit.",
        "hosts.vgo",
        "site/hosts.vgo",
    ),
    more(
        "inline-configcrates",
        "A list that grows in one match block is a role without a name.",
        "configcrates: [a, b, c, d, e]",
        "roles: [web]",
    ),
    more(
        "excludes-nothing",
        "Either the name is wrong, or what it excluded is gone.",
        "configcrates: [web]\nexclude_configcrates: [metrics]",
        "roles: [webserver]                   # which has metrics\nexclude_configcrates: [metrics]",
    ),
    more(
        "secret-in-clear",
        "What is published lies on every bolt for ever, and everybody who may read the tree reads it. Keep the value on the machine. The scanner knows formats of tokens, private keys, passwords in addresses and what is assigned to keys like `password`. A place that is no secret says why.",
        "db_password: hunter2hunter2",
        "db_password_file: /etc/app/password\napi_key: 0123456789abcdef #vigo:allow-secret a test fixture, opens nothing",
    ),
    more(
        "secret-allowed",
        "Whoever reads it later must see why it is all right. A comment that allows nothing is removed.",
        "token: abc123def456 #vigo:allow-secret",
        "token: abc123def456 #vigo:allow-secret printed in the manual",
    ),
    more(
        "format-doubt",
        "The formatter compares what a file means before and after. If it cannot show that both are the same, it writes nothing and says so. Publish with --no-format, and report the file.",
        "a file that the formatter would not leave as it was meant",
        "the same file, published with --no-format",
    ),
    more(
        "policy-size",
        "Every envoy fetches its policy whole.",
        "a list of 20,000 elements that a configcrate is made for",
        "the list in a file of templates/ that one resource writes",
    ),
    more(
        "too-many",
        "Mend the first ones: many of the rest often go with them.",
        "ten thousand mistakes of one kind",
        "the first of them, mended everywhere at once",
    ),
    more(
        "usercrate-shape",
        "The history of a person's account is the history of one file.",
        "# usercrates/team.vgo\nresources:\n  - {name: dan, type: user, username: dan}\n  - {name: eve, type: user, username: eve}",
        "# usercrates/dan.vgo\nresources:\n  - {name: dan, type: user, username: dan}",
    ),
    more(
        "usercrate-unreferenced",
        "The directory is a library: a usercrate does nothing until a match block, a common.vgo, a role or an environment names it.",
        "# usercrates/dan.vgo, and no mention of dan",
        "usercrates: [dan]",
    ),
    more(
        "configcrate-top-level-provides-bundle",
        "They moved below `compliance:`.",
        "provides: [time-sync]",
        "compliance:\n  provides: [time-sync]",
    ),
    more(
        "configcrate-compliance-key-retired",
        "Which controls of which framework a tag covers stands in the catalogue, once.",
        "compliance:\n  cis: [\"1.1\"]",
        "compliance:\n  provides: [time-sync]",
    ),
    more(
        "compliance-mixed-keys",
        "The name of the file says what is in it.",
        "# acme/compliance.vgo\ncompliance: {soc2: [\"CC6.1\"]}\nwaivers: {soc2: []}",
        "# acme/compliance.vgo\ncompliance: {soc2: [\"CC6.1\"]}\n# acme/waivers.vgo\nwaivers: {soc2: []}",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_one_page_with_both_examples() {
        for more in all() {
            assert!(super::super::find(more.name).is_some(), "there is no rule {}", more.name);
            assert_eq!(all().filter(|m| m.name == more.name).count(), 1, "{} stands twice", more.name);
            assert!(!more.wrong.is_empty() && !more.right.is_empty(), "{} has no examples", more.name);
            assert_ne!(more.wrong, more.right, "{}", more.name);
        }
        for rule in super::super::RULES {
            assert!(all().any(|m| m.name == rule.name), "{} has no page", rule.name);
        }
    }
}
