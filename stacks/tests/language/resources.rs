//! What resources come to: lists, tables, branches, blocks, reversal, on one machine or another.

use serde_json::{Value, json};
use vigo_stacks::plan::{Plan, Revert};
use vigo_stacks::{Compiled, Facts, Policy, compile, resolve, template};

use crate::{compiled, said, tree, with_configcrate, with_resource};

fn traits() -> Value {
    json!({"os": {"family": "debian", "distro": "ubuntu", "version": "22.04", "arch": "amd64", "kernel_class": "linux"},
           "hardware": {"memory_mb": 4096}, "is_container": false})
}

/// The plan of a host with these tags and the traits of a Debian.
fn plan_of(compiled: &Compiled, name: &str, tags: &[&str]) -> Plan {
    plan_with(compiled, name, tags, traits())
}

fn plan_with(compiled: &Compiled, name: &str, tags: &[&str], traits: Value) -> Plan {
    let policy = &compiled.policies[compiled.route(name).expect("a route").policy];
    assert_eq!(Policy::from_bytes(&policy.to_bytes()).as_ref(), Ok(&**policy), "it travels");
    let tags = tags.iter().map(|t| t.to_string()).collect();
    resolve(policy, &Facts { name: name.into(), tags, traits }).expect("a plan")
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

/// One attribute of every step.
fn each<'p>(plan: &'p Plan, attribute: &str) -> Vec<&'p Value> {
    plan.steps.iter().map(|s| s.attributes.get(attribute).unwrap_or(&Value::Null)).collect()
}

/// Compiles a tree that is right but for warnings.
fn lenient(text: &str) -> (Compiled, String) {
    let (compiled, diagnostics) = compile(&tree(text));
    let said = said(&diagnostics);
    (compiled.unwrap_or_else(|| panic!("{said}")), said)
}

/// G12, G13: one resource for each element, of maps and of texts; none for none.
#[test]
fn a_resource_is_made_for_each_element_of_a_list() {
    let text = with_configcrate(
        "name: a
vars:
  rules: [{name: https, port: 443, on: true}, {name: app, port: 8080, on: false}]
  words: [one, two]
  nobody: []
resources:
  - {name: \"allow {{ .Each.name }}\", type: firewall, foreach: rules, port: \"{{ .Each.port }}\", comment: \"{{ .Item.name }}\", notify: [last]}
  - {name: \"{{ .Item }}\", type: directory, foreach: words, target_path: \"/srv/{{ .Item }}\", recurse: \"{{ eq .Item \\\"one\\\" }}\", depends_on: [\"allow https\"]}
  - {name: \"user {{ .Item.x }}\", type: cron, foreach: nobody, job: \"{{ .Item.x }}\", schedule: \"@daily\", command: x}
  - {name: \"on {{ .Item.name }}\", type: service, foreach: rules, service: \"{{ .Item.name }}\", enabled: \"{{ .Item.on }}\"}
  - {name: last, type: exec, command: x, depends_on: [\"{{ .Item }}\"]}
",
    );
    let compiled = compiled(&text);
    let plan = plan_of(&compiled, "h", &[]);
    assert_eq!(
        ids(&plan),
        ["a/allow https", "a/allow app", "a/one", "a/two", "a/on https", "a/on app", "a/last"]
    );
    assert_eq!(each(&plan, "port")[..2], [&json!("443"), &json!("8080")]);
    assert_eq!(each(&plan, "target_path")[2..4], [&json!("/srv/one"), &json!("/srv/two")]);
    assert_eq!(each(&plan, "enabled")[4..6], [&json!(true), &json!(false)], "a truth value is one again");
    assert_eq!(plan.steps[2].depends_on, [0], "a copy is named like any resource");
    assert_eq!(plan.steps[6].depends_on, [2, 3], "the name as it is written means all the copies");
    assert_eq!(plan.steps[0].triggers, [6]);
    let recurse = plan.steps[2].attributes["recurse"].as_str().unwrap();
    assert_eq!(template::render(recurse, &Default::default(), &json!({})).unwrap(), "true");
}

/// D1: an element in a larger action is a literal there; what it holds is never an action.
#[test]
fn elements_are_put_into_actions() {
    let text = with_configcrate(
        "name: a
vars:
  sites:
    - {name: www, tls: true, aliases: [a, \"b\\\"c\"], note: \"{{ .Vars.oops }} }}\", deep: {x: [1, 2]}, none: null}
resources:
  - name: \"{{ .Each.name }}\"
    type: file
    foreach: sites
    target_path: /x
    content: |
      {{ if .Each.tls }}tls{{ else }}plain{{ end }}
      {{ range .Each.aliases }}<{{ . }}>{{ end }}
      {{ .Each.note }}
      {{- with .Each.deep }} {{ index .x 1 }}{{ end }}
      {{ .Each.none | default \"fallback\" }} {{ `.Each.raw` }} {{/* .Each.comment */}}{{ $.Each.name | printf \"%s!\" }}
",
    );
    let (compiled, said) = lenient(&text);
    assert_eq!(said.lines().count(), 2, "a template in a variable: {said}");
    let plan = plan_of(&compiled, "h", &[]);
    let content = plan.steps[0].attributes["content"].as_str().unwrap();
    let rendered = template::render(content, &plan.steps[0].vars, &json!({})).unwrap();
    assert_eq!(rendered, "tls\n<a><b\"c>\n{{ .Vars.oops }} }} 2\nfallback .Each.raw www!\n");
}

const VHOSTS: &str = "=== configcrates/nginx.vgo
name: nginx
resources:
  - {name: nginx-reload, type: service, service: nginx, state: reloaded, when: changed}
=== configcrates/vhost.vgo
name: vhost
vars: {base: /var/www}
resources:
  - {name: docroot, type: directory, target_path: \"{{ .Vars.base }}/{{ .Each.server_name }}\"}
  - {name: conf, type: file, target_path: \"/etc/{{ .Each.server_name }}.conf\", source: templates/vhost.tmpl, depends_on: [docroot], notify: [nginx-reload]}
  - {name: extra, type: blockinfile, when: \"'{{ .Each.has_extra }}' == 'yes'\", target_path: /x, content: \"{{ .Each.server_name }}\", subscribes: [vhost/conf]}
=== templates/vhost.tmpl
server_name {{ .Each.server_name }} {{ .Vars.base }} {{ .Traits.os.arch }};
=== configcrates/own.vgo
name: own
depends_on: [vhost]
resources:
  - {name: after, type: exec, command: x, depends_on: [\"conf[www.example.com]\", \"vhost[shop.example.com]/docroot\"]}
  - {name: all, type: exec, command: x, subscribes: [vhost], when: changed}
=== roles.vgo
name: web
configcrates: [nginx, {name: vhost, foreach: vhosts, key: server_name}, own]
=== site/hosts.vgo
envoys:
  - match: \"web*\"
    roles: [web]
    vars:
      vhosts:
        - {server_name: www.example.com, has_extra: \"yes\"}
        - {server_name: shop.example.com, has_extra: \"no\"}
";

/// G14–G16, G20: a configcrate is made for each element, with its names, references and sources.
#[test]
fn a_configcrate_is_made_for_each_element_of_a_list() {
    let compiled = compiled(VHOSTS);
    let policy = &compiled.policies[0];
    let names: Vec<&str> = policy.configcrates().collect();
    assert_eq!(names, ["nginx", "vhost[www.example.com]", "vhost[shop.example.com]", "own"]);
    let plan = plan_of(&compiled, "web1", &[]);
    let at = |id: &str| plan.steps.iter().position(|s| s.id == id).unwrap_or_else(|| panic!("{id}"));
    let conf = at("vhost[www.example.com]/conf[www.example.com]");
    let other = at("vhost[shop.example.com]/conf[shop.example.com]");
    let docroot = at("vhost[www.example.com]/docroot[www.example.com]");
    assert_eq!(plan.steps[conf].depends_on, [docroot], "a reference stays in its instance");
    assert!(plan.steps[conf].triggers.contains(&at("nginx/nginx-reload")), "one elsewhere is left alone");
    assert_eq!(
        plan.steps[conf].attributes["content"],
        json!("server_name www.example.com {{ .Vars.base }} {{ .Traits.os.arch }};\n")
    );
    assert_eq!(plan.steps[docroot].attributes["target_path"], json!("{{ .Vars.base }}/www.example.com"));
    assert_eq!(plan.steps[docroot].vars["base"], json!("/var/www"));
    let extra = at("vhost[www.example.com]/extra[www.example.com]");
    assert!(plan.steps[conf].triggers.contains(&extra), "vhost/conf means its own instance's");
    assert!(!plan.steps.iter().any(|s| s.name == "extra[shop.example.com]"), "when: by a field");
    let after = at("own/after");
    assert_eq!(plan.steps[after].depends_on.len(), 2);
    assert!(after > other, "own depends on every instance");
    assert!(plan.steps[docroot].triggers.contains(&at("own/all")), "a configcrate means all its instances");
}

/// G18: of a plain mention and one with `foreach:` the first counts, and it is said.
#[test]
fn the_first_mention_of_a_configcrate_counts() {
    let text = VHOSTS.replace(
        "    roles: [web]\n",
        "    roles: [web]\n    configcrates: [{name: vhost, foreach: others}]\n",
    );
    let (compiled, said) = lenient(&text);
    assert!(said.contains("foreach-once") && said.contains("roles.vgo:2"), "{said}");
    assert_eq!(compiled.policies[0].configcrates().filter(|c| c.starts_with("vhost")).count(), 2);
}

/// G15: a list of texts needs no key; G19: a list inside an instance goes through a variable.
#[test]
fn instances_of_texts_and_lists_within() {
    let text = "=== configcrates/cache.vgo
name: cache
vars: {sizes: [1, 2]}
resources:
  - {name: dir, type: directory, target_path: \"/c/{{ .Item }}\"}
  - {name: \"size {{ .Item }}\", type: exec, foreach: sizes, command: \"make {{ .Item }}\", depends_on: [dir]}
=== s/h.vgo
envoys:
  - match: \"*\"
    configcrates: [{name: cache, foreach: kinds}]
    vars: {kinds: [nginx, redis]}
";
    let compiled = compiled(text);
    let plan = plan_of(&compiled, "h", &[]);
    assert_eq!(
        ids(&plan),
        [
            "cache[nginx]/dir[nginx]",
            "cache[nginx]/size 1[nginx]",
            "cache[nginx]/size 2[nginx]",
            "cache[redis]/dir[redis]",
            "cache[redis]/size 1[redis]",
            "cache[redis]/size 2[redis]"
        ]
    );
    assert_eq!(plan.steps[4].depends_on, [3]);
    assert_eq!(plan.steps[5].attributes["command"], json!("make 2"));
}

/// G32–G36, D18: unions of lists, ranks of single values, what counts when nothing matches.
#[test]
fn lookup_tables_give_each_machine_its_own() {
    let text = with_resource(
        "type: user
username: dan
groups:
  tag:workstation: [docker, virtualbox]
  tag:mediaserver: [docker, plex]
  danlap: [kvm]
  default: [none]
shell:
  \"*lap\": /bin/glob
  tag:*station: /bin/tagglob
  tag:workstation: /bin/zsh
  os.distro=ubuntu: /bin/trait
  danlap: /bin/fish
  default: /bin/bash
comment: {tag:workstation: null, os_family:redhat: red, default: other}
sudo_nopasswd: {tag:workstation: true, default: false}
state: {tag:gone: absent, default: present}",
    );
    let (compiled, _) = lenient(&text);
    let on = |name: &str, tags: &[&str], family: &str, distro: &str| {
        let traits = json!({"os": {"family": family, "distro": distro}});
        let plan = plan_with(&compiled, name, tags, traits);
        let a = &plan.steps[0].attributes;
        json!([a["groups"], a["shell"], a.get("comment"), a["sudo_nopasswd"], a["state"]])
    };
    assert_eq!(
        on("danlap", &["workstation"], "debian", "ubuntu"),
        json!([["docker", "virtualbox", "kvm"], "/bin/fish", null, true, "present"])
    );
    assert_eq!(on("x", &["workstation"], "debian", "ubuntu")[1], json!("/bin/trait"), "a trait over a tag");
    assert_eq!(on("x", &["workstation"], "debian", "debian")[1], json!("/bin/zsh"), "a tag over its glob");
    assert_eq!(on("xlap", &["playstation"], "debian", "debian")[1], json!("/bin/tagglob"), "over a host's");
    assert_eq!(on("xlap", &[], "debian", "debian")[1], json!("/bin/glob"));
    assert_eq!(on("x", &["gone"], "redhat", "rhel"), json!([["none"], "/bin/bash", "red", false, "absent"]));
    assert_eq!(
        on("x", &["mediaserver", "workstation"], "", "")[0],
        json!(["docker", "virtualbox", "plex"]),
        "in the order of the file, each once"
    );
}

/// G36: of arms of one rank the first in the file counts; a target has one spelling in a policy.
#[test]
fn arms_of_one_rank_count_in_the_order_of_the_file() {
    let text = with_resource(
        "type: file\ntarget_path: /x\nowner: {tag:zeta: first, tag:alpha: second, danlap.example: host, default: root}",
    );
    let (compiled, _) = lenient(&text);
    let plan = plan_of(&compiled, "h", &["alpha", "zeta"]);
    assert_eq!(plan.steps[0].attributes["owner"], json!("first"));
    let mut bytes = compiled.policies[0].to_bytes();
    let at = bytes.windows(6).position(|w| w == b"danlap").expect("the arm");
    bytes[at] = b'D';
    let refused = Policy::from_bytes(&bytes).unwrap_err().to_string();
    assert!(refused.contains("one spelling"), "{refused}");
}

/// G21: a branch sets attributes over the base; without a base the resource is left out.
#[test]
fn branches_are_taken_by_a_template() {
    let text = with_configcrate(
        "name: a
resources:
  - name: settings
    type: file
    target_path: /etc/x.conf
    case: \"{{ .Traits.os.family }}\"
    match:
      debian: {content: apt, target_path: /etc/apt/x, mode: {tag:strict: \"0600\", default: \"0644\"}}
      redhat: {content: yum}
  - name: shell
    type: package
    package: bash
    case: \"{{ .Vars.shell }}\"
    match:
      zsh: {package: zsh, state: latest}
  - {name: after, type: exec, command: x, depends_on: [settings]}
vars: {shell: fish}
",
    );
    let (compiled, said) = lenient(&text);
    assert_eq!(said, "");
    let on = |family: &str| plan_with(&compiled, "h", &["strict"], json!({"os": {"family": family}}));
    let debian = on("debian");
    assert_eq!(
        json!(debian.steps[0].attributes),
        json!({"content": "apt", "target_path": "/etc/apt/x", "mode": "0600", "state": "present"})
    );
    assert_eq!(on("redhat").steps[0].attributes["target_path"], json!("/etc/x.conf"));
    assert_eq!(debian.steps[1].attributes["package"], json!("bash"), "no branch: the base");
    let other = on("suse");
    assert_eq!(ids(&other), ["a/shell", "a/after"], "no branch and no content: left out");
    assert!(other.steps[1].depends_on.is_empty());
    assert_eq!(ids(&plan_with(&compiled, "h", &[], json!({}))), ["a/shell", "a/after"]);
}

/// D26: a branch that a machine cannot decide fails one step there, and the plan stands.
#[test]
fn a_branch_that_cannot_be_decided_fails_alone() {
    let text = with_configcrate(
        "name: a
resources:
  - {name: one, type: package, package: xx, case: \"{{ index .Traits.network.ip_addresses 0 }}\", match: {\"10.0.0.1\": {package: yy}}}
  - {name: two, type: exec, command: x}
",
    );
    let compiled = compiled(&text);
    let plan = plan_with(&compiled, "h", &[], json!({"network": {"ip_addresses": ["10.0.0.1"]}}));
    assert_eq!((plan.steps[0].attributes["package"].as_str(), &plan.steps[0].fault), (Some("yy"), &None));
    let bare = plan_with(&compiled, "h", &[], json!({}));
    assert!(bare.steps[0].fault.as_ref().is_some_and(|why| why.contains("cannot be decided")), "{bare:?}");
    assert_eq!(bare.steps[1].fault, None);
}

/// G22: a block's condition is joined to that of each resource in it, and blocks nest.
#[test]
fn blocks_share_their_condition() {
    let text = with_configcrate(
        "name: a
defaults: {timeout: 5}
resources: []
",
    );
    assert!(compile(&tree(&text)).0.is_none(), "a common field has no default");
    let text = with_configcrate(
        "name: a
defaults: {owner: root}
resources:
  - conditional_block:
      when: file_exists('/x') || is_container
      resources:
        - {name: one, type: file, target_path: /a, when: \"file_exists('/y') || file_exists('/z')\"}
        - conditional_block: {when: dir_exists('/d'), resources: [{name: two, type: file, target_path: /b, owner: dan}]}
  - {name: three, type: exec, command: x}
",
    );
    let compiled = compiled(&text);
    let plan = plan_of(&compiled, "h", &[]);
    let when: Vec<String> =
        plan.steps.iter().map(|s| s.when.as_ref().map_or("-".into(), ToString::to_string)).collect();
    assert_eq!(
        when,
        [
            "file_exists('/x') && (file_exists('/y') || file_exists('/z'))",
            "file_exists('/x') && dir_exists('/d')",
            "-"
        ]
    );
    assert_eq!(each(&plan, "owner")[..2], [&json!("root"), &json!("dan")]);
}

/// H22–H24, D3: traits decide conditional variables; what is not reported is unknown; a layer above overrides.
#[test]
fn conditional_variables_are_decided_by_traits() {
    let text = with_configcrate(
        "name: a
vars:
  is_debian: {trait: os.family, in: [debian]}
  big: {trait: memory_mb, gte: 4096}
  new: {trait: os.version, gt: \"9\"}
  fixed: {trait: os.family, eq: redhat}
resources:
  - {name: one, type: exec, command: x, when: is_debian && big && new}
  - {name: two, type: exec, command: x, when: \"!big\"}
  - {name: three, type: exec, command: \"{{ if .Vars.fixed }}yes{{ end }}\", when: fixed}
",
    ) + "    vars: {fixed: true}\n";
    let compiled = compiled(&text);
    assert_eq!(ids(&plan_of(&compiled, "h", &[])), ["a/one", "a/three"]);
    let poor = plan_with(&compiled, "h", &[], json!({"os": {"family": "debian", "version": "12"}}));
    assert_eq!(ids(&poor), ["a/one", "a/two", "a/three"], "unknown is neither yes nor no");
    assert_eq!(poor.steps[0].when.as_ref().unwrap().to_string(), "big");
    assert_eq!(poor.steps[1].when.as_ref().unwrap().to_string(), "!big");
}

/// G9, G24–G28, J3: how a step is undone, which secrets trigger it and which scripts edit it travel with it.
#[test]
fn reversal_secrets_and_scripts_travel() {
    let text = with_configcrate(
        "name: a
resources:
  - {name: name, type: hostname, hostname: web-01, revert: true}
  - {name: rule, type: exec, command: x, on_revert: \"y {{ .Traits.os.arch }}\", revert: true}
  - {name: fw, type: ssh_exec, host: fw1, command: x, on_revert: y}
  - {name: token, type: exec, command: x, when: changed, watch_secret: [secret:app/token, app/key]}
  - {name: clean, type: file, target_path: /x, content: y, stream_edit: /srv/vigo/scripts/clean.sh}
",
    );
    let plan = plan_of(&compiled(&text), "h", &[]);
    let revert: Vec<Option<&Revert>> = plan.steps.iter().map(|s| s.revert.as_ref()).collect();
    let command = Revert::Command("y {{ .Traits.os.arch }}".into());
    assert_eq!(revert, [Some(&Revert::Snapshot), Some(&command), None, None, None]);
    assert_eq!(plan.steps[3].watch_secret, ["app/token", "app/key"]);
    assert_eq!(plan.steps[4].attributes["stream_edit"], json!(["/srv/vigo/scripts/clean.sh"]));
    for step in &plan.steps {
        for common in ["revert", "on_revert", "watch_secret", "foreach", "case", "match"] {
            assert!(!step.attributes.contains_key(common), "{common} is no attribute");
        }
    }
}

/// D4, I7: a source may be named by a variable, and lists, truth values and paths by templates.
#[test]
fn templates_stand_in_every_text() {
    let text = with_configcrate(
        "name: a
vars: {flavor: big, who: root}
resources:
  - {name: f, type: file, target_path: \"/etc/{{ .Vars.flavor }}\", source: \"templates/{{ .Vars.flavor }}.conf\", owner: \"{{ .Vars.who }}\", mode: \"{{ .Vars.mode }}\"}
  - {name: s, type: service, service: \"{{ .Vars.who }}\", enabled: \"{{ .Traits.is_container }}\", state: \"{{ .Vars.state }}\"}
",
    ) + "    vars: {mode: \"0600\", state: stopped}\n=== templates/big.conf\nbig {{ .Vars.who }}\n";
    let plan = plan_of(&compiled(&text), "h", &[]);
    assert_eq!(plan.steps[0].attributes["content"], json!("big {{ .Vars.who }}\n"));
    assert_eq!(plan.steps[1].attributes["enabled"], json!("{{ .Traits.is_container }}"));
    assert!(!plan.steps[0].attributes.contains_key("source"));
}

/// J1–J38: every type is read, carried and resolved with all of its attributes.
#[test]
fn every_type_travels_with_all_its_attributes() {
    for t in vigo_stacks::schema::TYPES {
        let mut body = format!("type: {}\n", t.name);
        for a in t.attributes.iter().filter(|a| a.name != "source" && a.name != "gitback") {
            body += &format!("{}: {}\n", a.name, sample(a.kind));
        }
        let (compiled, _) = lenient(&with_resource(&body));
        let plan = plan_of(&compiled, "h", &[]);
        let given = t.attributes.iter().filter(|a| a.name != "source" && a.name != "gitback").count();
        let states = usize::from(!t.states.is_empty());
        assert_eq!(plan.steps[0].attributes.len(), given + states, "{}", t.name);
        assert_eq!(plan.steps[0].timeout, t.timeout);
        for state in t.states {
            let (compiled, _) = lenient(&with_resource(&format!("{body}state: \"{state}\"\n")));
            assert_eq!(plan_of(&compiled, "h", &[]).steps[0].attributes["state"], json!(state));
        }
    }
}

/// A value of a kind, as it is written.
pub fn sample(kind: vigo_stacks::schema::Kind) -> String {
    use vigo_stacks::schema::Kind;
    use vigo_stacks::words::Word;
    let word = |word: Word| match word {
        Word::Key => "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5IG9mIG5vIG9uZSwgZm9yIHRlc3RzIG9ubHkh",
        Word::PasswordHash => "\"*\"",
        Word::Schedule => "\"@daily\"",
        Word::Id | Word::Number | Word::Port | Word::Ports => "22",
        Word::Url => "https://example.com/x",
        Word::Checksum => "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        Word::Address => "10.0.0.0/8",
        Word::Sysctl => "net.ipv4.ip_forward",
        Word::Zone => "Europe/Zurich",
        _ => "nginx",
    };
    match kind {
        Kind::Text | Kind::Source => "xy".into(),
        Kind::Texts => "[xy]".into(),
        Kind::Path => "/x".into(),
        Kind::Paths => "[/srv/vigo/scripts/x]".into(),
        Kind::Mode => "\"0644\"".into(),
        Kind::Bool => "true".into(),
        Kind::ExitCodes => "[0, 2]".into(),
        Kind::Environment => "{A: b}".into(),
        Kind::Choice(words) => words[0].into(),
        Kind::Word(w) => word(w).into(),
        Kind::Words(w) => format!("[{}]", word(w)),
    }
}

/// Lists and copies are bounded: a list that is too long, and copies that are too large.
#[test]
fn expansion_is_bounded() {
    let long: Vec<String> = (0..5_001).map(|i| i.to_string()).collect();
    let resource = |content: &str| {
        format!(
            "resources:\n  - {{name: \"f {{{{ .Item }}}}\", type: file, foreach: xs, target_path: /x, content: \"{content}\"}}\n"
        )
    };
    let refused = |text: &str| said(&compile(&tree(text)).1);
    let text = with_configcrate(&format!("name: a\nvars: {{xs: [{}]}}\n{}", long.join(", "), resource("x")));
    assert!(refused(&text).contains("5001 elements"), "{}", refused(&text));
    let text = with_configcrate(&format!(
        "name: a\nvars: {{xs: [{}]}}\n{}",
        long[..2_000].join(", "),
        resource(&"x".repeat(20_000))
    ));
    assert!(refused(&text).contains("policy-size"), "{}", refused(&text));
}
