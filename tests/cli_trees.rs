//! Trees and single configcrates from the command line: `vigo apply`, `vigocli config trace|tree|publish`, and what a
//! stranger gets wrong in them.

mod program;

use program::{Room, repository};

const MOTD: &str = "name: motd\nvars: {who: world}\nresources:\n  - name: motd\n    type: file\n    target_path: /etc/motd\n    source: templates/motd\n    mode: \"0640\"\n    depends_on: [etc]\n  - name: etc\n    type: directory\n    target_path: /etc\n  - name: reload\n    type: exec\n    command: touch /tmp/should-not-be\n    when: changed\n    subscribes: [motd]\n";

fn room() -> Room {
    let room = Room::new();
    room.write("configcrates/motd.vgo", MOTD);
    room.write("templates/motd", "hello {{ .Vars.who }} on {{ .Traits.os.kernel_class }}\n");
    std::fs::create_dir(room.path("root")).unwrap();
    room
}

#[test]
fn apply_converges_shows_what_it_would_do_and_is_idempotent() {
    let room = room();
    let line = "apply --file configcrates/motd.vgo --fs-root root";
    let would = room.vigo(&format!("{line} --dry-run --diff")).good();
    assert!(
        would.contains("would be created motd/motd") && would.contains("+hello world on linux"),
        "{would}"
    );
    assert!(
        would.contains("ms: 0 as declared, would change 2, 1 skipped, 0 blocked, would fail 0\n"),
        "{would}"
    );
    assert!(!room.path("root/etc").exists(), "a dry run changes nothing");
    let did = room.vigo(&format!("{line} --json")).json();
    assert_eq!((&did["counts"]["created"], &did["counts"]["skipped"]), (&2.into(), &1.into()));
    assert_eq!(room.read("root/etc/motd"), "hello world on linux\n");
    let again = room.vigo(line).good();
    assert!(again.contains("2 as declared, 0 changed"), "{again}");
    room.write("root/etc/motd", "by hand\n");
    let diff = room.vigo(&format!("{line} --diff")).good();
    assert!(diff.contains("updated motd/motd") && diff.contains("-by hand"), "{diff}");
}

#[test]
fn apply_ends_with_8_when_a_step_fails() {
    let room = room();
    room.write("root/etc", "in the way\n");
    let ran = room.vigo("apply --file configcrates/motd.vgo --fs-root root");
    assert_eq!(ran.code, 8, "{}", ran.err);
    assert!(ran.out.contains("failed motd/etc") && ran.out.contains("blocked motd/motd"), "{}", ran.out);
}

#[test]
fn apply_says_what_it_cannot_do() {
    let room = room();
    let said = room.vigo("apply --file nowhere.vgo").bad(4);
    assert_eq!(said, "error: cannot read nowhere.vgo: it is not there\n  hint: check the path\n");
    let said = room.vigo("apply --file configcrates/motd.vgo --fs-root nowhere").bad(1);
    assert!(said.contains("nowhere") && said.contains("--fs-root names a directory"), "{said}");
    room.write("wrong.vgo", "name: wrong\nresources:\n  - {name: r, type: flie}\n");
    let said = room.vigo("apply --file wrong.vgo --fs-root root").bad(7);
    insta::assert_snapshot!(said);
}

#[test]
fn trace_and_tree_of_the_demo() {
    let room = Room::new();
    let stacks = repository("stacks-examples/tree");
    let stacks = stacks.display();
    let mut out = room.cli(&format!("config tree --stacks {stacks}")).good();
    out += &room.cli(&format!("config tree harbor --stacks {stacks}")).good();
    out += &room.cli(&format!("config trace web1 --stacks {stacks}")).good();
    insta::assert_snapshot!(out);
    let traced = room.cli(&format!("config trace db7 --json --stacks {stacks}")).json();
    assert_eq!(traced["matched"]["pattern"], "db?");
    let tree = room.cli(&format!("config tree --json --stacks {stacks}")).json();
    assert_eq!(tree["directories"][0]["name"], "clinic");
}

/// B16, B18, B19: the catalogues are listed and shown, for people and as data, and a slip is answered.
#[test]
fn the_catalogues_of_compliance_are_shown() {
    let room = Room::new();
    let listed = room.cli("compliance provisions").good();
    assert!(listed.starts_with("PROVISION") && listed.contains("\ntime-sync "), "{listed}");
    let json = room.cli("compliance bundles --json").json();
    let names: Vec<_> = json.as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"cis-ubuntu-access") && names.len() >= 10, "{names:?}");
    let shown = room.cli("compliance provisions --show time-sync").good();
    assert!(shown.contains("  pci-dss: 10.6.1, 10.6.2, 10.6.3\n"), "{shown}");
    let json = room.cli("compliance provisions --show ssh-hardening --json").json();
    assert!(json["controls"]["nist-800-53"].as_array().unwrap().contains(&"AC-17".into()), "{json}");
    let mut said = room.cli("compliance provisions --show time-sink").bad(4);
    said += &room.cli("compliance provisions --show cis-ubuntu-access").bad(4);
    said += &room.cli("compliance bundles --show nothing-like-it").bad(4);
    insta::assert_snapshot!(said);
}

/// A tree that is right, one file of which is replaced.
fn publish(path: &str, text: &str) -> String {
    let room = Room::new();
    room.write(
        "stacks/configcrates/a.vgo",
        "name: a\nresources:\n  - {name: r, type: exec, command: \"true\"}\n",
    );
    room.write("stacks/hosts.vgo", "envoys:\n  - {match: \"web*\", configcrates: [a]}\n");
    room.write(&format!("stacks/{path}"), text);
    let said = room.cli("config publish --stacks stacks --key nowhere --socket nowhere").bad(7);
    assert!(!room.path(".live").exists(), "nothing was published");
    room.same(&said)
}

#[test]
fn a_strangers_mistakes_in_a_tree() {
    let crate_with = |resource: &str| format!("name: a\nresources:\n  - {resource}\n");
    let mut out = String::new();
    for (what, path, text) in [
        ("broken YAML", "configcrates/a.vgo", "name: a\nresources: [\n".to_owned()),
        ("unknown key", "configcrates/a.vgo", crate_with("{name: r, type: exec, comand: x}")),
        (
            "unknown configcrate",
            "hosts.vgo",
            "envoys:\n  - {match: \"web*\", configcrates: [aa]}\n".to_owned(),
        ),
        (
            "a cycle in depends_on",
            "configcrates/a.vgo",
            "name: a\nresources:\n  - {name: r, type: exec, command: x, depends_on: [s]}\n  - {name: s, type: exec, command: x, depends_on: [r]}\n".to_owned(),
        ),
        (
            "a template that does not parse",
            "configcrates/a.vgo",
            crate_with("{name: r, type: exec, command: \"echo {{ .Vars.x \"}"),
        ),
        (
            "a template with an unknown variable",
            "configcrates/a.vgo",
            crate_with("{name: r, type: exec, command: \"echo {{ .Vars.prot }}\"}"),
        ),
        ("a secret", "configcrates/a.vgo", crate_with("{name: r, type: exec, command: \"secret:app/key\"}")),
    ] {
        out += &format!("# {what}\n{}\n", publish(path, &text));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn no_match_for_a_host() {
    let room = Room::new();
    let stacks = repository("stacks-examples/tree");
    let ran = room.cli(&format!("config trace mail1 --stacks {}", stacks.display()));
    assert_eq!(ran.out, "host mail1\n  no match block matches it: nothing applies\n");
    assert_eq!(
        ran.bad(4),
        "error: no match block matches mail1\n  hint: vigocli config tree shows the patterns; a machine is matched by its name in the fleet, see vigocli envoys list\n"
    );
}

#[test]
fn a_tree_that_cannot_be_read() {
    let room = Room::new();
    let said = room.cli("config tree --stacks nowhere").bad(4);
    assert_eq!(
        said,
        "error: cannot read the tree nowhere: it is not there\n  hint: name it with --stacks DIR\n"
    );
    room.write("stacks/a.vgo", "envoys: []\n");
    std::os::unix::fs::symlink("/etc/shadow", room.path("stacks/leak.vgo")).unwrap();
    let said = room.cli("config tree --stacks stacks").bad(7);
    assert!(said.contains("leak.vgo: a link out of the tree, to /etc/shadow"), "{said}");
}

#[test]
fn diagnostics_are_one_json_object_a_line() {
    let room = Room::new();
    room.write("stacks/configcrates/a.vgo", "name: a\nresource: []\n");
    room.write("stacks/hosts.vgo", "envoys:\n  - {match: \"web*\", configcrates: [b]}\n");
    let said = room.cli("config publish --json --stacks stacks").bad(7);
    let objects: Vec<serde_json::Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let (last, found) = objects.split_last().unwrap();
    assert_eq!(last["error"]["kind"], "config");
    assert!(found.len() >= 2 && found.iter().all(|d| d["rule"].is_string() && d["line"].is_u64()), "{said}");
}

#[test]
fn a_tree_is_checked_without_a_node() {
    let room = Room::new();
    let stacks = repository("stacks-examples/tree");
    let said =
        room.cli(&format!("config publish --dry-run --stacks {} --socket nowhere", stacks.display())).good();
    assert!(said.starts_with("the tree is right: 8 policies for 8 match blocks."), "{said}");
}

#[test]
fn a_node_yaml_is_checked_with_every_mistake_and_its_line() {
    let room = Room::new();
    room.write("node.yaml", "stat: /x\nlog:\n  levle: info\nlisten: bolt1\n");
    let said = room.vigo("node --check --config node.yaml").bad(2);
    insta::assert_snapshot!(said);
    room.write("node.yaml", "state: /srv/x\nlisten: none\nconverge: {interval: 30s}\n");
    let shown = room.vigo("node --check --config node.yaml").good();
    assert!(
        shown.contains("/srv/x/vigo.sock") && shown.contains("30 s") && shown.ends_with("all is well\n"),
        "{shown}"
    );
}

#[test]
fn settings_are_checked_before_anybody_is_asked() {
    let room = Room::new();
    room.write(
        "server.yaml",
        "converge:\n  intervall: 5m\n  splay: 9h\ntungol:\n  name: x\nspanner:\n  mode: founder\n",
    );
    let mut out = room.cli("settings import server.yaml --socket nowhere").bad(2);
    out += &room.cli("settings set converge.intervall 5m").bad(2);
    out += &room.cli("settings set converge.interval soon").bad(2);
    insta::assert_snapshot!(out);
    room.write("server.yaml", "converge: {interval: 5m}\nspanner: {mode: founder}\n");
    let would = room.cli("settings import server.yaml --dry-run --json").json();
    assert_eq!(
        would["settings"],
        serde_json::json!([{"key": "converge.interval", "value": 300}, {"key": "spanner.mode", "value": "founder"}])
    );
}
