//! What a host comes to: environments, roles whole, usercrates, exclusions, retraction by a mention.
//!
//! Rows of the checklist are named at each test.

use serde_json::{Value, json};
use vigo_stacks::plan::Plan;
use vigo_stacks::{Compiled, Facts, Policy, compile, resolve};

use crate::{compiled, said, tree};

/// Configcrates of these names, each with one exec `run`.
pub fn crates(names: &[&str]) -> String {
    let one = |n: &&str| {
        format!(
            "=== configcrates/{n}.vgo\nname: {n}\nresources:\n  - {{name: run, type: exec, command: \"true\"}}\n"
        )
    };
    names.iter().map(one).collect()
}

/// Usercrates of these paths, each with its user.
pub fn people(paths: &[&str]) -> String {
    let one = |path: &&str| {
        let name = path.rsplit('/').next().unwrap();
        format!("=== {path}.vgo\nresources:\n  - {{name: account, type: user, username: {name}}}\n")
    };
    paths.iter().map(one).collect()
}

pub fn policy<'c>(compiled: &'c Compiled, host: &str) -> &'c Policy {
    &compiled.policies[compiled.route(host).expect("a route").policy]
}

fn plan_with(compiled: &Compiled, host: &str, traits: Value) -> Plan {
    let facts = Facts { name: host.into(), tags: Vec::new(), traits };
    resolve(policy(compiled, host), &facts).expect("a plan")
}

fn plan(compiled: &Compiled, host: &str) -> Plan {
    plan_with(
        compiled,
        host,
        json!({"os": {"family": "debian", "distro": "ubuntu", "arch": "amd64", "kernel_class": "linux"}}),
    )
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

fn names(policy: &Policy) -> Vec<&str> {
    policy.configcrates().collect()
}

/// E13, E14, E16, E17, E18, F19, F21, F22: the layers in their order, for configcrates and for variables.
#[test]
fn environments_come_last_from_the_root_down() {
    let text = crates(&["common", "site", "role", "own", "audit", "site-audit", "watch", "debug"])
        + &people(&["usercrates/oncall", "usercrates/auditor"])
        + "=== roles.vgo\n- {name: web, configcrates: [role], vars: {v: role, r: role}}\n"
        + "=== common.vgo\nconfigcrates: [common, watch]\nvars: {v: root, c: root}\nusercrates: [oncall]\n"
        + "=== site/common.vgo\nconfigcrates: [site]\nvars: {v: site, s: site}\n"
        + "=== environments.vgo\nenv:\n  live: {configcrates: [audit], vars: {v: live, e: root}, exclude_configcrates: [watch]}\n  lab: {configcrates: [debug], vars: {v: lab}}\n"
        + "=== site/environments.vgo\nenv:\n  live: {configcrates: [site-audit], usercrates: [auditor], vars: {e: site}}\n"
        + "=== site/hosts.vgo\nenvoys:\n"
        + "  - {match: \"a*\", environment: live, roles: [web], configcrates: [own], vars: {v: block, b: block}}\n"
        + "  - {match: \"b*\", environment: lab, roles: [web], configcrates: [own], vars: {v: block, b: block}}\n"
        + "  - {match: \"c*\", roles: [web], configcrates: [own], vars: {b: block}}\n";
    let compiled = compiled(&text);
    assert_eq!(
        names(policy(&compiled, "a1")),
        ["common", "site", "role", "own", "oncall", "audit", "site-audit", "auditor"]
    );
    assert_eq!(
        json!(*plan(&compiled, "a1").steps[0].vars),
        json!({"v": "live", "c": "root", "s": "site", "r": "role", "b": "block", "e": "site"})
    );
    assert_eq!(
        names(policy(&compiled, "b1")),
        ["common", "watch", "site", "role", "own", "oncall", "debug"],
        "an exclusion of another environment takes out nothing"
    );
    assert_eq!(plan(&compiled, "b1").steps[0].vars["v"], json!("lab"));
    assert_eq!(names(policy(&compiled, "c1")), ["common", "watch", "site", "role", "own", "oncall"]);
    assert_eq!(plan(&compiled, "c1").steps[0].vars["v"], json!("site"), "over the role");
    let environments: Vec<_> = compiled.routes.iter().map(|r| r.environment.as_deref()).collect();
    assert_eq!(environments, [Some("live"), Some("lab"), None]);
}

/// E15, E16: the root's environments.vgo applies to a block at the root, which declares its environment itself; the
/// root's common.vgo does not.
#[test]
fn a_block_at_the_root_has_its_environment() {
    let text = crates(&["own", "audit"])
        + "=== environments.vgo\nenv: {live: {configcrates: [audit], vars: {x: 1}}}\n"
        + "=== hosts.vgo\nenvoys:\n  - {match: a, environment: live, configcrates: [own]}\n";
    assert_eq!(names(policy(&compiled(&text), "a")), ["own", "audit"]);
}

/// F23: the example of the reference, seven configcrates in order and three variables.
#[test]
fn the_example_of_directories() {
    let text = crates(&["sshd", "ntp", "monitoring", "log-shipping", "auditd", "nginx", "certbot", "docker"])
        + "=== common.vgo\nconfigcrates: [sshd, ntp, monitoring]\nvars: {dns_server: \"1.1.1.1\"}\n"
        + "=== east/common.vgo\nconfigcrates: [log-shipping, auditd]\nvars: {log_level: warn}\n"
        + "=== east/web/web.vgo\nenvoys:\n  - {match: \"web*.example.com\", configcrates: [nginx, certbot], vars: {nginx_port: 443}}\n"
        + "  - {match: \"docker*.example.com\", configcrates: [docker], exclude_configcrates: [ntp]}\n";
    let compiled = compiled(&text);
    assert_eq!(
        names(policy(&compiled, "web01.example.com")),
        ["sshd", "ntp", "monitoring", "log-shipping", "auditd", "nginx", "certbot"]
    );
    assert_eq!(
        json!(*plan(&compiled, "web01.example.com").steps[0].vars),
        json!({"dns_server": "1.1.1.1", "log_level": "warn", "nginx_port": 443})
    );
    assert!(!names(policy(&compiled, "docker1.example.com")).contains(&"ntp"));
}

/// F9, F10, F11, F12, F13, F14: every branch that holds contributes, and the nearest condition counts.
#[test]
fn roles_have_cases() {
    let text = crates(&["base", "always", "lin", "win", "own", "deep"])
        + "=== roles.vgo\nroles:\n"
        + "  - {name: inner, case: [{when: \"os_family('linux')\", configcrates: [deep]}], configcrates: [base]}\n"
        + "  - name: desk\n    when: \"distro('ubuntu')\"\n    includes: [inner]\n    configcrates: [always]\n    case:\n"
        + "      - when: \"os_family('linux')\"\n        configcrates: [lin, {name: own, when: \"arch('arm64')\"}]\n"
        + "      - {when: \"os_family('windows')\", configcrates: [win]}\n"
        + "=== s/h.vgo\nenvoys:\n  - {match: \"*\", roles: [{name: desk, when: \"distro('debian')\"}]}\n";
    let compiled = compiled(&text);
    let (trace, _) = vigo_stacks::trace(&tree(&text), "x", None);
    let conditions: Vec<_> =
        trace.configcrates.iter().map(|c| (c.name.as_str(), c.when.as_deref().unwrap_or("-"))).collect();
    assert_eq!(
        conditions,
        [
            ("base", "distro('ubuntu')"),
            ("deep", "os_family('linux')"),
            ("always", "distro('ubuntu')"),
            ("lin", "os_family('linux')"),
            ("own", "arch('arm64')"),
            ("win", "os_family('windows')"),
        ]
    );
    assert_eq!(ids(&plan(&compiled, "x")), ["base/run", "deep/run", "always/run", "lin/run"]);
}

/// E6, F8, F25, F26, F30: four carriers, a name from the file, and nothing by lying there.
#[test]
fn usercrates_apply_where_they_are_included() {
    let text = crates(&["base"])
        + &people(&["usercrates/admin", "usercrates/dan", "site/usercrates/alice", "site/usercrates/eve"])
        + "=== usercrates/retired/gone.vgo\nresources:\n  - {name: gone, type: user, username: gone, state: absent}\n"
        + "=== roles.vgo\n- {name: ops, configcrates: [base], usercrates: [admin]}\n"
        + "=== site/common.vgo\nusercrates: [dan]\n"
        + "=== site/environments.vgo\nenv: {live: {usercrates: [eve]}}\n"
        + "=== site/hosts.vgo\nenvoys:\n  - match: \"a*\"\n    environment: live\n    roles: [ops]\n    usercrates: [{name: alice, when: \"os_family('linux')\"}]\n"
        + "  - {match: \"b*\", roles: [ops]}\n"
        + "=== other/hosts.vgo\nenvoys:\n  - {match: \"c*\", configcrates: [base]}\n";
    let compiled = compiled(&text);
    assert_eq!(names(policy(&compiled, "a1")), ["base", "dan", "admin", "alice", "eve"]);
    assert_eq!(names(policy(&compiled, "b1")), ["base", "dan", "admin"]);
    assert_eq!(names(policy(&compiled, "c1")), ["base"]);
    let windows = json!({"os": {"family": "windows", "kernel_class": "windows"}});
    let plan = plan_with(&compiled, "a1", windows);
    assert!(!ids(&plan).contains(&"alice/account"), "its condition");
}

/// F31: one warning for all, with their number and names; F32: the roster of those who left is no mistake.
#[test]
fn usercrates_that_nobody_includes_are_named() {
    let text = crates(&["base"])
        + &people(&["usercrates/dan", "usercrates/ann"])
        + "=== s/h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [base]}\n";
    let (compiled, diagnostics) = compile(&tree(&text));
    assert!(compiled.is_some());
    insta::assert_snapshot!(said(&diagnostics));
}

const DOCKER: &str = "=== configcrates/docker.vgo\nname: docker\nresources:\n\
    \x20 - {name: package, type: package, package: docker.io}\n\
    \x20 - {name: settings, type: file, target_path: /etc/docker/daemon.json, content: \"{}\", depends_on: [package], notify: [restart]}\n\
    \x20 - {name: running, type: service, service: docker, state: running, enabled: true, depends_on: [settings]}\n\
    \x20 - {name: restart, type: service, service: docker, state: restarted, when: \"changed && os_family('linux')\"}\n";

/// F34: everything that the configcrate manages, taken back in the reverse of its order; what is beside it stays.
#[test]
fn a_mention_retracts_a_configcrate() {
    let text = DOCKER.to_string()
        + &crates(&["nginx"])
        + "=== s/h.vgo\nenvoys:\n  - match: \"*\"\n    configcrates: [{name: docker, state: absent}, nginx]\n";
    let plan = plan(&compiled(&text), "x");
    assert_eq!(
        ids(&plan),
        ["docker/running", "docker/settings", "docker/package", "nginx/run"],
        "what only answers changes is not stopped: it may be the service of another"
    );
    let of = |id: &str| plan.steps.iter().find(|s| s.id == id).unwrap();
    let states: Vec<_> = plan.steps.iter().map(|s| s.attributes.get("state").cloned()).collect();
    let (stopped, absent) = (Some(json!("stopped")), Some(json!("absent")));
    assert_eq!(states, [stopped, absent.clone(), absent, None]);
    assert_eq!(of("docker/running").attributes["enabled"], json!(false));
    let before = |id: &str| {
        let on = of(id).depends_on.iter().map(|i| plan.steps[*i].id.as_str());
        on.collect::<Vec<_>>()
    };
    assert_eq!(before("docker/package"), ["docker/settings"], "taken back once what needs it is");
    assert_eq!(before("docker/settings"), ["docker/running"]);
    assert!(plan.steps.iter().all(|s| s.triggers.is_empty()));
}

/// F35: environments.vgo > match block > common.vgo > role, and deeper files over those above.
#[test]
fn the_most_specific_mention_decides_the_state() {
    let host = |files: &str, block: &str| {
        let text = DOCKER.to_string()
            + "=== roles.vgo\n- {name: keeps, configcrates: [docker]}\n- {name: drops, configcrates: [{name: docker, state: absent}]}\n"
            + "- {name: wraps, includes: [drops], configcrates: [docker]}\n"
            + files
            + &format!("=== s/t/h.vgo\nenvoys:\n  - match: \"*\"\n    environment: live\n{block}");
        let text = text + "=== s/t/environments.vgo\nenv: {live: {}}\n";
        let compiled = compiled(&text);
        let plan = plan(&compiled, "x");
        let package = plan.steps.iter().find(|s| s.id == "docker/package").expect("asked for");
        package.attributes["state"] == json!("absent")
    };
    let mention = |absent: bool| if absent { "[{name: docker, state: absent}]" } else { "[docker]" };
    let common = |dir: &str, absent| format!("=== {dir}common.vgo\nconfigcrates: {}\n", mention(absent));
    let env = |dir: &str, absent| {
        format!("=== {dir}environments.vgo\nenv: {{live: {{configcrates: {}}}}}\n", mention(absent))
    };
    let block = |absent| format!("    configcrates: {}\n", mention(absent));
    for absent in [true, false] {
        let other = !absent;
        assert_eq!(host(&env("s/", absent), &block(other)), absent, "an environment over the block");
        assert_eq!(host(&common("s/", other), &block(absent)), absent, "the block over common.vgo");
        let role = |absent| format!("    roles: [{}]\n", if absent { "drops" } else { "keeps" });
        assert_eq!(host(&common("", absent), &role(other)), absent, "common.vgo over a role");
        let two = common("", other) + &common("s/", absent);
        assert_eq!(host(&two, "    tags: [x]\n"), absent, "the deeper common.vgo");
        let two = env("", other) + &env("s/", absent);
        assert_eq!(host(&two, "    tags: [x]\n"), absent, "the deeper environments.vgo");
    }
    assert!(!host("", "    roles: [wraps]\n"), "a role over what it includes");
}

/// F21, F35: of the mentions that count for the state, any condition will do; those overridden do not count.
#[test]
fn an_overridden_mention_lends_no_condition() {
    let text = DOCKER.to_string()
        + "=== s/common.vgo\nconfigcrates: [{name: docker, when: \"os_family('windows')\"}]\n"
        + "=== s/h.vgo\nenvoys:\n  - match: \"*\"\n    configcrates: [{name: docker, state: absent}]\n";
    assert_eq!(plan(&compiled(&text), "x").steps.len(), 3, "absent everywhere");
}

/// F4, F5: whole configcrates are ordered; one that is retracted goes once those that need it have gone.
#[test]
fn a_retracted_configcrate_goes_after_those_that_need_it() {
    let text = DOCKER.to_string()
        + "=== configcrates/app.vgo\nname: app\ndepends_on: [docker]\nresources:\n  - {name: run, type: file, target_path: /x}\n"
        + "=== s/h.vgo\nenvoys:\n  - match: both\n    configcrates: [{name: docker, state: absent}, {name: app, state: absent}]\n"
        + "  - match: here\n    configcrates: [docker, app]\n";
    let compiled = compiled(&text);
    assert_eq!(ids(&plan(&compiled, "both"))[0], "app/run");
    assert_eq!(*ids(&plan(&compiled, "here")).last().unwrap(), "app/run");
}

/// F34, G12, G20: copies and instances are taken back too, in the reverse of what each says by any of its names.
#[test]
fn copies_and_instances_are_retracted() {
    let text = "=== configcrates/vhost.vgo\nname: vhost\nvars: {dirs: [a, b]}\nresources:\n\
        \x20 - {name: \"dir-{{ .Item }}\", type: directory, target_path: \"/srv/{{ .Item }}\", foreach: dirs, depends_on: [site]}\n\
        \x20 - {name: site, type: file, target_path: \"/etc/{{ .Each.name }}\"}\n\
        \x20 - {name: tool, type: exec, command: up, on_revert: down, depends_on: [dir-b], before: [host]}\n\
        \x20 - {name: host, type: hostname, hostname: x}\n\
        === s/h.vgo\nenvoys:\n  - match: \"*\"\n    vars: {sites: [{name: one}, {name: two}]}\n    configcrates: [{name: vhost, foreach: sites, key: name, state: absent}]\n";
    let plan = plan(&compiled(text), "x");
    let one: Vec<_> = ids(&plan).into_iter().filter(|id| id.starts_with("vhost[one]/")).collect();
    assert_eq!(
        one,
        [
            "vhost[one]/host[one]",
            "vhost[one]/tool[one]",
            "vhost[one]/dir-a[one]",
            "vhost[one]/dir-b[one]",
            "vhost[one]/site[one]"
        ]
    );
    assert_eq!(plan.steps.len(), 10);
    let step = |id: &str| plan.steps.iter().find(|s| s.id == id).unwrap();
    assert_eq!(step("vhost[two]/tool[two]").revert, Some(vigo_stacks::plan::Revert::Command("down".into())));
    assert_eq!(step("vhost[two]/host[two]").revert, Some(vigo_stacks::plan::Revert::Snapshot));
    assert_eq!(step("vhost[two]/dir-a[two]").attributes["state"], json!("absent"));
    let on = step("vhost[one]/site[one]").depends_on.iter().map(|i| plan.steps[*i].id.as_str());
    assert_eq!(on.collect::<Vec<_>>(), ["vhost[one]/dir-a[one]", "vhost[one]/dir-b[one]"]);
}

/// F34: what a retracted configcrate depended on elsewhere goes after it if it goes too, and does not matter if not.
#[test]
fn a_retracted_step_is_held_up_by_nothing_that_stays() {
    let file = |name: &str, on: &str| {
        format!(
            "=== configcrates/{name}.vgo\nname: {name}\nresources:\n  - {{name: {name}-file, type: file, target_path: /{name}, depends_on: [{on}]}}\n"
        )
    };
    let text = file("base", "")
        + &file("app", "base/base-file")
        + "=== s/h.vgo\nenvoys:\n"
        + "  - {match: both, configcrates: [{name: base, state: absent}, {name: app, state: absent}]}\n"
        + "  - {match: app, configcrates: [base, {name: app, state: absent}]}\n"
        + "  - {match: alone, configcrates: [{name: app, state: absent}]}\n";
    let compiled = compiled(&text);
    let both = plan(&compiled, "both");
    assert_eq!(ids(&both), ["app/app-file", "base/base-file"]);
    assert_eq!(both.steps[1].depends_on, [0]);
    let app = plan(&compiled, "app");
    assert_eq!(ids(&app), ["base/base-file", "app/app-file"]);
    assert!(app.steps[1].depends_on.is_empty());
    assert_eq!(ids(&plan(&compiled, "alone")), ["app/app-file"]);
}

/// B23, F18, F21, F35: where each configcrate, variable, tag, control and waiver comes from, and what overrode what.
#[test]
fn a_trace_says_where_everything_comes_from() {
    let text = DOCKER.to_string()
        + &crates(&["base", "watch"])
        + &people(&["usercrates/dan"])
        + "=== configcrates/chrony.vgo\nname: chrony\nvars: {pool: a}\ncompliance: {provides: [time-sync], bundle: [soc2-availability]}\nresources: [{name: r, type: exec, command: x, when: is_container}]\n"
        + "=== configcrates/compliance.vgo\ncompliance:\n  nist-800-53: [AU-8]\n  cis: [\"1.1\"]\n"
        + "=== roles.vgo\n- {name: web, configcrates: [{name: chrony, when: \"os_family('linux')\"}, docker], usercrates: [dan], vars: {pool: b}}\n"
        + "=== common.vgo\nconfigcrates: [base, watch]\nvars: {pool: c}\n"
        + "=== environments.vgo\nenv: {live: {vars: {pool: d}, exclude_configcrates: [watch]}}\n"
        + "=== waivers.vgo\nwaivers:\n  soc2:\n    - {control: A1.1, reason: one machine only, approved_by: dan, expires: 2027-01-01}\n  cis:\n    - {control: \"1.1\", reason: later, approved_by: ann, expires: 2020-01-01}\n"
        + "=== s/h.vgo\nenvoys:\n  - match: \"web*\"\n    environment: live\n    roles: [web]\n    configcrates: [{name: docker, state: absent}]\n    tags:\n      - web\n      - live\n";
    let (trace, diagnostics) = vigo_stacks::trace(&tree(&text), "web1", None);
    assert!(!diagnostics.iter().any(|d| d.is_error()), "{}", said(&diagnostics));
    let trace = trace.on("2026-11-20".parse().unwrap());
    insta::assert_snapshot!(trace.to_string());
    insta::assert_snapshot!("trace_of_everything_json", serde_json::to_string_pretty(&trace).unwrap());
    let (view, _) = vigo_stacks::tree(&tree(&text));
    insta::assert_snapshot!("tree_of_everything", view.to_string());
    let waived = |day: &str| {
        let (trace, _) = vigo_stacks::trace(&tree(&text), "web1", None);
        let trace = trace.on(day.parse().unwrap());
        trace.controls.iter().filter(|c| c.waived).map(|c| c.control.clone()).collect::<Vec<_>>()
    };
    assert_eq!(waived("2026-11-20"), ["A1.1"], "one has run out");
    assert_eq!(waived("2027-01-02"), Vec::<String>::new());
    let compiled = compile(&tree(&text)).0.expect("compiles");
    assert_eq!(compiled.routes[0].retracted, ["docker"]);
}

/// H23, G17: conditional variables and instances are traced too, and with traits what they decide is decided.
#[test]
fn a_trace_shows_conditions_and_lists() {
    let text = "=== configcrates/a.vgo\nname: a\nvars:\n  big: {trait: hardware.memory_mb, gte: 4096}\n  sites: [{n: x}]\nresources: [{name: r, type: file, target_path: \"/{{ .Each.n }}\"}]\n\
        === s/h.vgo\nenvoys:\n  - match: \"*\"\n    configcrates: [{name: a, foreach: sites, key: n, when: big}]\n";
    let traced = |traits: Option<&Value>| {
        let (trace, diagnostics) = vigo_stacks::trace(&tree(text), "x", traits);
        assert_eq!(said(&diagnostics), "");
        trace
    };
    insta::assert_snapshot!(traced(None).to_string());
    let applies = |memory: u64| {
        let json = serde_json::to_value(traced(Some(&json!({"hardware": {"memory_mb": memory}})))).unwrap();
        json["configcrates"][0]["applies"].clone()
    };
    assert_eq!((applies(8192), applies(1024)), (json!("yes"), json!("no")));
}
