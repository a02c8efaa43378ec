//! What trees mean: stories with one host or a few, and the plans they come to.

use serde_json::{Value, json};
use vigo_stacks::plan::Plan;
use vigo_stacks::{Compiled, Facts, Policy, SourceTree, compile, compile_single, resolve};

use crate::{compiled, said, tree, with_resource};

/// Configcrates of these names, each with one exec `run`.
fn crates(names: &[&str]) -> String {
    let one = |n: &&str| {
        format!(
            "=== configcrates/{n}.vgo\nname: {n}\nresources:\n  - {{name: run, type: exec, command: \"true\"}}\n"
        )
    };
    names.iter().map(one).collect()
}

fn debian() -> Value {
    json!({"os": {"family": "debian", "distro": "ubuntu", "version": "22.04", "arch": "amd64", "kernel_class": "linux"},
           "is_container": false})
}

fn policy<'c>(compiled: &'c Compiled, host: &str) -> &'c Policy {
    &compiled.policies[compiled.route(host).expect("a route").policy]
}

fn plan(compiled: &Compiled, host: &str) -> Plan {
    let facts = Facts { name: host.into(), tags: Vec::new(), traits: debian() };
    resolve(policy(compiled, host), &facts).expect("a plan")
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

fn names(policy: &Policy) -> Vec<&str> {
    policy.configcrates().collect()
}

/// Compiles a tree that is right but for warnings.
fn lenient(text: &str) -> (Compiled, String) {
    let (compiled, diagnostics) = compile(&tree(text));
    let said = said(&diagnostics);
    (compiled.unwrap_or_else(|| panic!("{said}")), said)
}

#[test]
fn parents_come_before_children_and_children_override() {
    let text = crates(&["sshd", "ntp", "watch", "ship", "audit", "nginx", "certs"])
        + "=== common.vgo\nconfigcrates: [sshd, ntp, watch]\nvars: {dns: \"1.1.1.1\", level: info}\n"
        + "=== east/common.vgo\nconfigcrates: [ship, audit]\nvars: {level: warn}\n"
        + "=== east/web/hosts.vgo\nenvoys:\n  - match: \"web*.east.example.com\"\n    configcrates: [nginx, certs]\n    vars: {port: 443}\n";
    let compiled = compiled(&text);
    let policy = policy(&compiled, "web01.east.example.com");
    assert_eq!(names(policy), ["sshd", "ntp", "watch", "ship", "audit", "nginx", "certs"]);
    let plan = plan(&compiled, "web01.east.example.com");
    let vars = &plan.steps[0].vars;
    assert_eq!(json!(**vars), json!({"dns": "1.1.1.1", "level": "warn", "port": 443}));
    assert!(compiled.route("db01.east.example.com").is_none());
}

#[test]
fn the_root_common_leaves_entries_at_the_root_alone() {
    let text = crates(&["sshd", "nginx"])
        + "=== common.vgo\nconfigcrates: [sshd]\n"
        + "=== hosts.vgo\nenvoys:\n  - {match: a, configcrates: [nginx]}\n"
        + "=== site/hosts.vgo\nenvoys:\n  - {match: b, configcrates: [nginx]}\n"
        + "=== site/common.vgo\nvars: {x: 1}\n";
    let (compiled, said) = lenient(&text);
    assert!(said.contains("common-at-root"));
    assert_eq!(names(policy(&compiled, "a")), ["nginx"]);
    assert_eq!(names(policy(&compiled, "b")), ["sshd", "nginx"]);
    assert_eq!(plan(&compiled, "b").steps[0].vars["x"], json!(1), "beside its common.vgo");
}

#[test]
fn the_deepest_file_is_tried_first() {
    let block = |m: &str| format!("envoys:\n  - {{match: \"{m}\", configcrates: [a]}}\n");
    let text = crates(&["a"])
        + &format!("=== all.vgo\n{}", block("*"))
        + &format!("=== z/deep/h.vgo\n{}", block("web-deep*"))
        + &format!(
            "=== b/h.vgo\n{}  - {{match: \"web*\", configcrates: [a], tags: [web, web]}}\n",
            block("web1")
        )
        + &format!("=== a/h.vgo\n{}", block("db*"));
    let compiled = compiled(&text);
    let order: Vec<_> = compiled.routes.iter().map(|r| (r.pattern.as_str(), r.origin.as_str())).collect();
    assert_eq!(
        order,
        [
            ("web-deep*", "z/deep/h.vgo:2"),
            ("db*", "a/h.vgo:2"),
            ("web1", "b/h.vgo:2"),
            ("web*", "b/h.vgo:3"),
            ("*", "all.vgo:2")
        ]
    );
    assert_eq!(compiled.route("WEB9").unwrap().tags, ["web"], "upper and lower case alike; a tag once");
    assert_eq!(compiled.policies.len(), 1, "blocks that mean the same share a policy");
}

#[test]
fn roles_bring_configcrates_and_the_nearest_condition_counts() {
    let text = crates(&["base", "own", "nginx", "logs", "watch", "inner"])
        + "=== roles.vgo\n- {name: hardening, when: \"distro('debian')\", configcrates: [base, {name: inner, when: \"arch('arm64')\"}]}\n"
        + "- name: web\n  includes: [hardening]\n  configcrates: [nginx, logs, {name: watch, when: not is_container}]\n"
        + "=== s/h.vgo\nenvoys:\n  - match: \"*\"\n    roles: [{name: web, when: \"os_family('redhat')\"}]\n    configcrates: [own]\n";
    let compiled = compiled(&text);
    let (trace, _) = vigo_stacks::trace(&tree(&text), "x", None);
    let conditions: Vec<_> =
        trace.configcrates.iter().map(|c| (c.name.as_str(), c.when.as_deref().unwrap_or("-"))).collect();
    assert_eq!(
        conditions,
        [
            ("base", "distro('debian')"),
            ("inner", "arch('arm64')"),
            ("nginx", "os_family('redhat')"),
            ("logs", "os_family('redhat')"),
            ("watch", "!is_container"),
            ("own", "-"),
        ]
    );
    assert_eq!(ids(&plan(&compiled, "x")), ["watch/run", "own/run"]);
}

#[test]
fn a_configcrate_asked_for_twice_applies_under_any_of_the_conditions() {
    let text = crates(&["audit"])
        + "=== roles.vgo\n- {name: deb, when: \"os_family('debian')\", configcrates: [audit]}\n- {name: rpm, when: \"os_family('redhat')\", configcrates: [audit]}\n"
        + "=== s/h.vgo\nenvoys:\n  - {match: \"*\", roles: [rpm, deb]}\n";
    let (compiled, said) = lenient(&text);
    assert!(said.contains("conditions-differ"), "{said}");
    assert_eq!(ids(&plan(&compiled, "x")), ["audit/run"]);
}

#[test]
fn exclusions_take_out_what_is_inherited() {
    let text = crates(&["ntp", "docker", "watch"])
        + "=== common.vgo\nconfigcrates: [ntp, watch]\n"
        + "=== s/common.vgo\nexclude_configcrates: [watch]\n"
        + "=== s/h.vgo\nenvoys:\n  - {match: \"docker*\", configcrates: [docker], exclude_configcrates: [ntp]}\n  - {match: \"*\", configcrates: [docker]}\n";
    let compiled = compiled(&text);
    assert_eq!(names(policy(&compiled, "docker1")), ["docker"]);
    assert_eq!(names(policy(&compiled, "other")), ["ntp", "docker"]);
}

#[test]
fn variables_are_layered() {
    let text = "=== configcrates/a.vgo\nname: a\nvars: {p: crate, q: crate, r: crate, s: crate}\nresources:\n  - {name: run, type: exec, command: \"echo {{ .Vars.p }}\"}\n".to_string()
        + "=== roles.vgo\n- {name: web, configcrates: [a], vars: {q: role, r: role, s: role}}\n"
        + "=== common.vgo\nvars: {r: root, s: root}\n"
        + "=== s/common.vgo\nvars: {s: site}\n"
        + "=== s/h.vgo\nenvoys:\n  - {match: one, role: web}\n  - {match: two, role: web, vars: {s: block}}\n";
    let compiled = compiled(&text);
    assert_eq!(
        json!(*plan(&compiled, "one").steps[0].vars),
        json!({"p": "crate", "q": "role", "r": "root", "s": "site"})
    );
    assert_eq!(plan(&compiled, "two").steps[0].vars["s"], json!("block"));
    let (trace, _) = vigo_stacks::trace(&tree(&text), "two", None);
    insta::assert_snapshot!(trace.to_string());
}

const NGINX: &str = "=== configcrates/nginx.vgo
name: nginx
vars:
  port: 80
defaults: {owner: root, mode: \"0644\"}
resources:
  - name: restart
    type: exec
    command: systemctl restart nginx
    subscribes: [site]
    when: changed && os_family('debian')
  - name: site
    type: file
    path: /etc/nginx/site.conf
    source: templates/site.conf
    mode: \"0600\"
    depends_on: [dir]
    notify: [logs]
  - name: dir
    type: directory
    target_path: /etc/nginx
    when: \"!is_container\"
  - name: legacy
    type: file
    target_path: /etc/nginx/old
    state: absent
    timeout: 5
=== configcrates/logs.vgo
name: logs
depends_on: [nginx]
resources:
  - {name: rotate, type: exec, command: rotate, when: \"changed and file_exists('/etc/logrotate.conf')\"}
  - {name: link, type: symlink, target_path: /var/log/n, link_target: /srv/log, when: \"os_family('windows')\"}
  - {name: after, type: exec, command: \"true\", depends_on: [link, nginx/site]}
=== templates/site.conf
listen {{ .Vars.port }};
=== s/h.vgo
envoys:
  - match: \"*\"
    configcrates: [logs, nginx]
    vars: {port: 8080}
";

#[test]
fn a_plan_is_ordered_and_holds_what_is_left() {
    let compiled = compiled(NGINX);
    let plan = plan(&compiled, "web");
    assert_eq!(
        ids(&plan),
        ["nginx/dir", "nginx/site", "nginx/restart", "nginx/legacy", "logs/rotate", "logs/after"],
        "the whole of nginx before logs; logs/link is dropped"
    );
    let step = |id: &str| plan.steps.iter().find(|s| s.id == id).unwrap();
    let site = step("nginx/site");
    assert_eq!(
        json!(site.attributes),
        json!({"target_path": "/etc/nginx/site.conf", "content": "listen {{ .Vars.port }};\n", "owner": "root",
               "mode": "0600", "state": "present"})
    );
    assert_eq!(
        (site.depends_on.as_slice(), site.triggers.as_slice(), site.timeout),
        (&[0][..], &[2, 4, 5][..], 60)
    );
    assert_eq!(site.vars["port"], json!(8080));
    let restart = step("nginx/restart");
    assert!(restart.only_when_triggered && restart.when.is_none(), "{restart:?}");
    assert_eq!((restart.timeout, restart.attributes.contains_key("owner")), (300, false));
    assert_eq!(step("nginx/dir").when, None, "decided by traits");
    assert_eq!(json!(step("nginx/dir").attributes["mode"]), json!("0644"));
    assert_eq!(
        (step("nginx/legacy").timeout, &step("nginx/legacy").attributes["state"]),
        (5, &json!("absent"))
    );
    let rotate = step("logs/rotate");
    assert!(rotate.only_when_triggered);
    assert_eq!(rotate.when.as_ref().unwrap().to_string(), "file_exists('/etc/logrotate.conf')");
    assert_eq!(step("logs/after").depends_on, [1], "a dependency that was dropped counts as satisfied");
}

#[test]
fn what_traits_do_not_tell_stays_in_the_plan() {
    let compiled = compiled(NGINX);
    let facts = Facts { name: "web".into(), tags: Vec::new(), traits: json!({}) };
    let plan = resolve(policy(&compiled, "web"), &facts).unwrap();
    assert_eq!(plan.steps.len(), 7);
    let restart = plan.steps.iter().find(|s| s.id == "nginx/restart").unwrap();
    assert_eq!(restart.when.as_ref().unwrap().to_string(), "os_family('debian')");
}

#[test]
fn notify_may_name_a_configcrate() {
    let text = crates(&["b"])
        + "=== configcrates/a.vgo\nname: a\nresources:\n  - {name: one, type: exec, command: x, notify: [b]}\n  - {name: two, type: exec, command: x, subscribes: [c]}\n"
        + &crates(&["c"])
        + "=== s/h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [b, a, c]}\n";
    let compiled = compiled(&text);
    let plan = plan(&compiled, "x");
    assert_eq!(ids(&plan), ["a/one", "b/run", "c/run", "a/two"]);
    assert_eq!((plan.steps[0].triggers.as_slice(), plan.steps[2].triggers.as_slice()), (&[1][..], &[3][..]));
}

#[test]
fn a_policy_travels_as_canonical_bytes() {
    let compiled = compiled(NGINX);
    let bytes = compiled.policies[0].to_bytes();
    assert_eq!(Policy::from_bytes(&bytes).as_ref(), Ok(&*compiled.policies[0]));
    let refused = |bytes: &[u8]| Policy::from_bytes(bytes).unwrap_err().to_string();
    let mut later = bytes.clone();
    assert_eq!(later[1], 2, "the version");
    later[1] = 3;
    assert!(refused(&later).contains("version 3"), "{}", refused(&later));
    later[1] = 1;
    assert!(refused(&later).contains("version 1"), "{}", refused(&later));
    assert!(refused(&bytes[..bytes.len() - 1]).contains("malformed"));
    assert!(refused(&[bytes.clone(), vec![0]].concat()).contains("not canonical"));
    let swap = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect(from);
        let mut swapped = bytes.clone();
        swapped[at..at + to.len()].copy_from_slice(to.as_bytes());
        refused(&swapped)
    };
    assert!(swap("symlink", "hardlnk").contains("unknown type"));
    assert!(swap("/var/log/n", "var/log/nn").contains("target_path is not an absolute path"));
    assert!(swap("absent", "absnet").contains("no such state"));
    assert!(swap("link_target", "link_tagret").contains("unknown attribute"));
    assert!(swap("!is_container", "!is_containe)").contains("condition"));
    assert!(swap("os_family('windows')", "os_family( 'window')").contains("one spelling"));
}

#[test]
fn one_configcrate_compiles_alone() {
    let source = tree(NGINX);
    let bytes = source.get("configcrates/nginx.vgo").unwrap();
    let (policy, diagnostics) = compile_single("nginx.vgo", bytes, &source);
    assert!(policy.is_none() && said(&diagnostics).contains("`notify` names logs"), "{}", said(&diagnostics));
    let alone = String::from_utf8(bytes.to_vec()).unwrap().replace("    notify: [logs]\n", "");
    let (policy, diagnostics) = compile_single("nginx.vgo", alone.as_bytes(), &source);
    assert_eq!(said(&diagnostics), "");
    let steps: Vec<_> = policy.unwrap().step_ids().collect();
    assert_eq!(steps, ["nginx/dir", "nginx/site", "nginx/restart", "nginx/legacy"]);
    assert!(compile_single("x.vgo", b"\xff", &SourceTree::new()).0.is_none());
}

// G45, E3
#[test]
fn live_is_the_tree_without_hidden_files_and_without_comments_in_its_libraries() {
    let text = format!(
        "{NGINX}=== .git/config\nx\n=== notes.md\nhello\n=== configcrates/c.vgo\nname: c # c\n=== common.vgo\nvars: {{}} # kept\n"
    );
    let live = vigo_stacks::format::live(&tree(&text));
    assert_eq!(live.len(), 7);
    assert_eq!(live["notes.md"], b"hello\n");
    assert_eq!(live["configcrates/c.vgo"], b"name: c\n");
    assert_eq!(live["common.vgo"], b"vars: {} # kept\n");
    assert!(!live.contains_key(".git/config"));
}

#[test]
fn line_ends_and_a_byte_order_mark_do_not_matter() {
    let plain = compiled(&with_resource("type: file\ntarget_path: /x\ncontent: |\n  a\n  b"));
    let text = with_resource("type: file\ntarget_path: /x\ncontent: |\n  a\n  b");
    let odd = tree(&text)
        .iter()
        .map(|(p, b)| {
            let body = String::from_utf8(b.to_vec()).unwrap().replace('\n', "\r\n");
            (p.to_string(), format!("\u{feff}{body}").into_bytes())
        })
        .collect::<Vec<_>>();
    let (odd, diagnostics) = compile(&SourceTree::from_files(odd).unwrap());
    assert_eq!(said(&diagnostics), "");
    assert_eq!(odd.unwrap().policies, plain.policies);
}

#[test]
fn a_file_that_is_not_utf_8_is_refused() {
    let mut tree = SourceTree::new();
    tree.insert("configcrates/a.vgo", b"name: a\nx: \xff\n".to_vec()).unwrap();
    let (none, diagnostics) = compile(&tree);
    assert!(none.is_none());
    assert_eq!(
        said(&diagnostics),
        "configcrates/a.vgo:2:1: error[file-utf8]: the file is not UTF-8: byte 11 is wrong\n  help: save the file as UTF-8\n"
    );
}

#[test]
fn an_archive_is_a_tree() {
    let source = tree(NGINX);
    let bytes = source.to_archive();
    assert_eq!(SourceTree::from_archive(&bytes).as_ref(), Ok(&source));
    assert_eq!(source.digest(), SourceTree::from_archive(&bytes).unwrap().digest());
    assert!(SourceTree::from_archive(&bytes[..bytes.len() - 1]).is_err());
    assert!(SourceTree::from_archive(&[&bytes[..], &[0]].concat()).is_err());
    let refused = |files: &[(&str, &str)]| {
        let list: Vec<(&str, &minicbor::bytes::ByteSlice)> =
            files.iter().map(|(p, b)| (*p, b.as_bytes().into())).collect();
        SourceTree::from_archive(&vigo_base::codec::encode(&(1u8, list))).unwrap_err().to_string()
    };
    for path in
        ["/etc/x", "../x", "a/../b", "a//b", "", "a\\b", "C:x", "a/.", "a\u{1b}b", "a\u{202e}b", "a./b"]
    {
        assert!(refused(&[(path, "")]).contains("is not allowed"), "{path:?}");
    }
    assert!(refused(&[("b", ""), ("a", "")]).contains("twice"));
    assert!(refused(&[("a", ""), ("a/b", "")]).contains("twice"), "a file cannot be a directory too");
    let bad = SourceTree::from_files([("../x", "")]).unwrap_err().diagnostic().to_string();
    assert!(bad.starts_with("../x:1:1: error[file-path]: the path \"../x\" is not allowed"), "{bad}");
    let big = "x".repeat(2 * 1024 * 1024);
    assert!(refused(&[("a.vgo", &big)]).contains("at most"));
    let version = vigo_base::codec::encode(&(2u8, Vec::<(&str, &minicbor::bytes::ByteSlice)>::new()));
    assert!(SourceTree::from_archive(&version).unwrap_err().to_string().contains("version 2"));
}

#[test]
fn a_tree_is_shown_as_its_directories() {
    let text = crates(&["a", "b"])
        + "=== roles.vgo\n- {name: web, configcrates: [a]}\n=== common.vgo\nconfigcrates: [a]\nvars: {x: 1}\n"
        + "=== s/t/h.vgo\nenvoys:\n  - {match: \"web*\", roles: [web], tags: [web]}\n  - {match: \"*\", configcrates: [b]}\n"
        + "=== s/common.vgo\nroles: [web]\nexclude_configcrates: [b]\n=== s/empty.vgo\nenvoys: []\n";
    let (view, _) = vigo_stacks::tree(&tree(&text));
    insta::assert_snapshot!(view.to_string());
    let (trace, _) = vigo_stacks::trace(&tree(&text), "web1", Some(&debian()));
    insta::assert_snapshot!("trace_text", trace.to_string());
    insta::assert_snapshot!("trace_json", serde_json::to_string_pretty(&trace).unwrap());
    let (nobody, _) = vigo_stacks::trace(&tree(&crates(&["a"])), "x\u{1b}", None);
    assert_eq!(nobody.to_string(), "host x\\u{1b}\n  no match block matches it: nothing applies\n");
}

#[test]
fn large_files_are_read_or_refused_without_delay() {
    let line = |unit: &str| unit.repeat(1024 * 1024 / unit.len() - 100);
    for body in [
        line("["),
        line("a: "),
        line("- "),
        format!("x: [{}]", line("1, ")),
        format!("x: {{{}}}", (0..60_000).map(|i| format!("k{i}: 1, ")).collect::<String>()),
        (0..60_000).map(|i| format!("k{i}: 1\n")).collect(),
        format!("x: \"{}\"", line("\\n")),
        format!("x: |\n{}", line("  y\n")),
        line("#\n"),
        line("é"),
        line("*a "),
        line("&a "),
        line("? "),
        line("{{ "),
    ] {
        let source = SourceTree::from_files([("configcrates/a.vgo", body)]).unwrap();
        let (none, diagnostics) = compile(&source);
        assert!(none.is_none() && diagnostics.len() <= 501);
        assert!(vigo_stacks::render_fancy(&diagnostics, &source, false, 80).len() < 2_000_000);
    }
}

#[test]
fn a_condition_that_compiles_travels() {
    let long = |n: usize| vec!["enabled==enabled"; n].join("||");
    let tree_of = |a: usize, b: usize| {
        crates(&["a"])
            + &format!("=== roles.vgo\n- {{name: one, when: \"{}\", configcrates: [a]}}\n", long(a))
            + &format!("- {{name: two, when: \"!({})\", configcrates: [a]}}\n", long(b))
            + "=== s/h.vgo\nenvoys:\n  - {match: \"*\", roles: [one, two], vars: {enabled: true}}\n"
    };
    let (compiled, _) = compile(&tree(&tree_of(80, 80)));
    let policy = &compiled.unwrap().policies[0];
    assert_eq!(Policy::from_bytes(&policy.to_bytes()).as_ref(), Ok(&**policy));
    for (a, b, why) in [(120, 120, "together are too long"), (200, 1, "written out")] {
        let (none, diagnostics) = compile(&tree(&tree_of(a, b)));
        assert!(none.is_none() && said(&diagnostics).contains(why), "{}", said(&diagnostics));
    }
}
