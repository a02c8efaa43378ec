//! `stacks-examples/tree`, which the demo publishes: it is right, formatted, and uses every feature of the language.
//!
//! What the features are is asked of the language's own tables, so that a new key, type or function is missing here
//! until the tree has it. Left out on purpose: two spellings that the formatter rewrites (`role:`, `path:`), and what
//! this version does not run (tasks, workflows, secrets). With UPDATE_EXAMPLES=1 the files are written formatted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vigo_base::target::Target;
use vigo_stacks::format::{format, is_formatted};
use vigo_stacks::schema::{COMMON_FIELDS, TYPES, json as editors};
use vigo_stacks::when::{Builtin, Expr, parse};
use vigo_stacks::{Facts, SourceTree, compile, resolve, secrets, trace};

use crate::{editor, said};

/// The names of hosts, one for each match block, and what their machines report.
fn machines() -> Vec<(&'static str, Value)> {
    let machine = |family: &str, distro: &str, version: &str, kernel: &str, memory: u32, contained: bool| {
        json!({
            "os": {"family": family, "distro": distro, "version": version, "arch": "amd64", "kernel_class": kernel,
                   "upstream_codename": "bookworm"},
            "hardware": {"memory_mb": memory, "cpu_count": memory / 1024}, "is_container": contained,
            "network": {"hostname": "h", "ip_addresses": ["10.1.2.3"]}, "ports": [{"proto": "tcp", "port": 9100}],
        })
    };
    let debian = |memory, contained| machine("debian", "debian", "12", "linux", memory, contained);
    vec![
        ("web1", debian(32_768, false)),
        ("db1", debian(8_192, true)),
        ("bolt1", debian(8_192, false)),
        ("ct1.clinic.example", machine("redhat", "rocky", "9.4", "linux", 16_384, false)),
        ("bed3.clinic.example", debian(1_024, false)),
        ("mail.orchard.example", debian(4_096, false)),
        ("trial7.orchard.example", machine("alpine", "alpine", "3.20", "linux", 512, true)),
        ("counter2.orchard.example", machine("windows", "windows", "10.0", "windows", 8_192, false)),
    ]
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks-examples/tree")
}

/// Its files.
fn files() -> BTreeMap<String, String> {
    let (root, mut found) = (root(), BTreeMap::new());
    let mut open = vec![root.clone()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn source() -> SourceTree {
    SourceTree::from_files(files()).expect("a tree")
}

/// F21, F23, M2: nothing is said about it, and each of its hosts comes to what the snapshot says.
#[test]
fn the_whole_tree_is_right_and_each_host_is_traced() {
    for (path, text) in files() {
        if !is_formatted(&path) {
            continue;
        }
        let done = format(&path, text.as_bytes()).unwrap_or_else(|why| panic!("{}", said(&why)));
        if done.text != text && std::env::var_os("UPDATE_EXAMPLES").is_some() {
            fs::write(root().join(&path), done.text).unwrap();
        } else {
            assert_eq!(done.text, text, "{path}: UPDATE_EXAMPLES=1 formats it");
        }
    }
    let tree = source();
    let (compiled, diagnostics) = compile(&tree);
    assert_eq!(said(&diagnostics), "");
    assert_eq!(said(&secrets::scan(&tree)), "");
    assert_eq!(editor::valid(&tree), Ok(()));
    let compiled = compiled.unwrap();
    let mut blocks = BTreeSet::new();
    for (host, traits) in machines() {
        let route = compiled.route(host).unwrap();
        blocks.insert(&route.origin);
        let facts = Facts { name: host.into(), tags: route.tags.clone(), traits: traits.clone() };
        let plan = resolve(&compiled.policies[route.policy], &facts).unwrap();
        let traced = trace(&tree, host, Some(&traits)).0.to_string();
        let steps: String = plan.steps.iter().map(|s| format!("{} {}\n", s.kind, s.id)).collect();
        insta::assert_snapshot!(
            format!("tree_{}", host.replace('.', "_")),
            format!("{traced}\nplan\n{steps}")
        );
    }
    assert_eq!(blocks.len(), compiled.routes.len(), "a host for each match block");
}

/// One thing that the language has: its name, and how a text loses it.
struct Feature {
    name: String,
    cut: (String, String),
}

fn feature(name: impl Into<String>, from: impl Into<String>, to: &str) -> Feature {
    Feature { name: name.into(), cut: (from.into(), to.into()) }
}

/// Everything that the language has.
fn wanted() -> Vec<Feature> {
    let schema = editors::schema(None);
    let mut all = Vec::new();
    for (shape, says) in schema["$defs"].as_object().unwrap() {
        if shape.starts_with("type-") || ["resource", "roles-file"].contains(&shape.as_str()) {
            continue;
        }
        for key in says["properties"].as_object().unwrap().keys() {
            if (shape.as_str(), key.as_str()) != ("match-block", "role") {
                all.push(feature(format!("{shape}.{key}"), format!("{key}:"), "zzz:"));
            }
        }
    }
    let compliance = &schema["$defs"]["configcrate"]["properties"]["compliance"]["properties"];
    let tags = compliance.as_object().unwrap().keys();
    all.extend(tags.map(|key| feature(format!("configcrate.compliance.{key}"), format!("{key}:"), "zzz:")));
    let fields = COMMON_FIELDS.iter();
    all.extend(fields.map(|key| feature(format!("resource.{key}"), format!("{key}:"), "zzz:")));
    all.extend(
        TYPES.iter().map(|t| feature(format!("type {}", t.name), format!("type: {}", t.name), "type: zzz")),
    );
    all.extend(
        Builtin::ALL.map(|b| {
            feature(format!("function {}", b.name()), format!("{}(", b.name()), "is_container || (")
        }),
    );
    all.extend([
        feature("word changed", "changed", "is_container"),
        feature("and", "&&", "||"),
        feature("or", "||", "&&"),
        feature("not", "!", ""),
        feature("equal", "==", "!="),
        feature("not equal", "!=", "=="),
        feature("arm host", "web1:", "os.family=x:"),
        feature("arm glob of hosts", "\"*.orchard.example\":", "os.family=x:"),
        feature("arm tag", "tag:", "tag:*"),
        feature("arm glob of tags", "tag:web*:", "tag:web:"),
        feature("arm trait", "=", "-"),
        feature("arms that are lists", "default: [users]", "default: users"),
        feature("default: null", "default: null", "default: x"),
        feature("a mention that says absent", "state: absent", "state: present"),
        feature("a place that is allowed", "vigo:allow-secret", "vigo"),
        feature("a waiver that ends", "expires:", "zzz:"),
        feature("foreach over texts", "foreach: queues", "zzz: queues"),
        feature("usercrates/retired", "usercrates/retired/", "usercrates/"),
        feature("usercrates of a directory", "clinic/usercrates/", "usercrates/"),
        feature("file usercrate", "usercrates/", "configcrates/"),
        feature("a deep configcrate", "configcrates/machine/", "configcrates/"),
    ]);
    all.extend(
        ["in", "eq", "gt", "gte", "lt", "lte"]
            .map(|a| feature(format!("variable.{a}"), format!("{a}:"), "zzz:")),
    );
    all.extend(
        ["if", "else", "range", "with", "define", "template", "eq", "index", "default", "list", "dict"]
            .map(|word| feature(format!("template {word}"), word, "zzz")),
    );
    all.extend(
        ["Vars", "Traits", "Each", "Item"].map(|root| feature(format!("template .{root}"), root, "Zzz")),
    );
    let shapes = editors::FILES.iter().map(|kind| match *kind {
        "configcrate" => feature("file configcrate", "configcrates/", "zzz/"),
        "hostcrate" => feature("file hostcrate", "hosts.vgo", "waivers.vgo"),
        kind => feature(format!("file {kind}"), format!("{kind}.vgo"), "hosts.vgo"),
    });
    all.extend(shapes);
    all
}

/// What a tree uses, by the names of [`wanted`].
#[derive(Default)]
struct Used(BTreeSet<String>);

impl Used {
    fn of(files: &BTreeMap<String, String>) -> Used {
        let mut used = Used::default();
        for (path, text) in files {
            used.template(text);
            for (name, part) in [
                ("usercrates/retired", "usercrates/retired/"),
                ("usercrates of a directory", "/usercrates/"),
                ("a deep configcrate", "configcrates/machine/"),
            ] {
                if path.contains(part) && (part != "/usercrates/" || path.starts_with("clinic/")) {
                    used.mark(name);
                }
            }
            if text.contains("#vigo:allow-secret ") {
                used.mark("a place that is allowed");
            }
            let Some(shape) = editor::kind(path) else { continue };
            let value = editors::instance(path, text.as_bytes()).expect("YAML");
            let people = path.contains("usercrates/") && shape == "configcrate";
            used.mark(&format!("file {}", if people { "usercrate" } else { shape }));
            used.map(shape, &value);
        }
        used
    }

    fn mark(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// A map of that shape, and what is in it.
    fn map(&mut self, shape: &str, value: &Value) {
        for (key, inner) in value.as_object().into_iter().flatten() {
            self.mark(&format!("{shape}.{key}"));
            let many = |shape: &str, used: &mut Used| {
                inner.as_array().into_iter().flatten().for_each(|one| used.map(shape, one));
            };
            let each = |shape: &str, used: &mut Used| {
                let maps = inner.as_object().into_iter().flatten();
                maps.for_each(|(_, one)| match one {
                    Value::Array(list) => list.iter().for_each(|one| used.map(shape, one)),
                    one => used.map(shape, one),
                });
            };
            match (shape, key.as_str()) {
                ("roles", "roles") => many("role", self),
                (_, "configcrates") => {
                    many("configcrate-mention", self);
                    let texts = |one: &&Value| one.get("foreach").is_some() && one.get("key").is_none();
                    if inner
                        .as_array()
                        .into_iter()
                        .flatten()
                        .any(|one| one.get("state") == Some(&json!("absent")))
                    {
                        self.mark("a mention that says absent");
                    }
                    if inner.as_array().into_iter().flatten().any(|one| texts(&one)) {
                        self.mark("foreach over texts");
                    }
                }
                (_, "usercrates") => many("usercrate-mention", self),
                (_, "roles") => many("role-mention", self),
                ("role", "case") => many("case", self),
                (_, "envoys") => many("match-block", self),
                (_, "env") => each("environment", self),
                ("waivers", "waivers") => {
                    each("waiver", self);
                    if inner.to_string().contains("\"expires\"") {
                        self.mark("a waiver that ends");
                    }
                }
                ("configcrate", "compliance") => self.map("configcrate.compliance", inner),
                (_, "resources") => inner.as_array().into_iter().flatten().for_each(|one| self.resource(one)),
                ("configcrate", "vars") => {
                    let tests =
                        inner.as_object().into_iter().flatten().filter(|(_, v)| v.get("trait").is_some());
                    for (_, test) in tests {
                        self.map("variable", test);
                    }
                }
                (_, "when") => self.condition(inner),
                _ => {}
            }
        }
    }

    fn resource(&mut self, value: &Value) {
        if let Some(block) = value.get("conditional_block") {
            return self.map("conditional-block", block);
        }
        for (key, inner) in value.as_object().into_iter().flatten() {
            self.mark(&format!("resource.{key}"));
            match (key.as_str(), inner) {
                ("type", Value::String(name)) => self.mark(&format!("type {name}")),
                ("when", condition) => self.condition(condition),
                (_, Value::Object(arms)) if arms.contains_key("default") => self.table(arms),
                _ => {}
            }
        }
    }

    fn table(&mut self, arms: &serde_json::Map<String, Value>) {
        if arms.values().filter(|arm| arm.is_array()).count() > 2 {
            self.mark("arms that are lists");
        }
        if arms["default"].is_null() {
            self.mark("default: null");
        }
        for arm in arms.keys().filter(|arm| *arm != "default") {
            self.mark(match arm.parse::<Target>().expect("an arm") {
                Target::Host(_) => "arm host",
                Target::HostGlob(_) => "arm glob of hosts",
                Target::Tag(_) => "arm tag",
                Target::TagGlob(_) => "arm glob of tags",
                Target::Trait { .. } => "arm trait",
            });
        }
    }

    fn condition(&mut self, value: &Value) {
        if let Ok(expr) = parse(value.as_str().unwrap_or_default()) {
            self.expr(&expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Changed => self.mark("word changed"),
            Expr::Call(of, _) => self.mark(&format!("function {}", of.name())),
            Expr::Compare { equal, .. } => self.mark(if *equal { "equal" } else { "not equal" }),
            Expr::Not(inner) => {
                self.mark("not");
                self.expr(inner);
            }
            Expr::And(all) | Expr::Or(all) => {
                self.mark(if matches!(expr, Expr::And(_)) { "and" } else { "or" });
                all.iter().for_each(|one| self.expr(one));
            }
            Expr::Literal(_) | Expr::Name(_) => {}
        }
    }

    /// The words between the braces of templates.
    fn template(&mut self, text: &str) {
        for action in text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            for word in action.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                let dotted = action.contains(&format!(".{word}"));
                self.mark(&if dotted { format!("template .{word}") } else { format!("template {word}") });
            }
        }
    }
}

/// `text` without a feature: each mention that begins a word.
fn without(text: &str, (from, to): &(String, String)) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(from.as_str()) {
        let (before, after) = rest.split_at(at);
        let inside = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            && from.starts_with(|c: char| c.is_ascii_alphanumeric());
        out += before;
        out += if inside { from } else { to };
        rest = &after[from.len()..];
    }
    out + rest
}

/// Every feature is used, and each is missed when it goes.
#[test]
fn the_whole_tree_uses_every_feature() {
    let files = files();
    let (wanted, used) = (wanted(), Used::of(&files).0);
    assert!(wanted.len() > 150, "{}", wanted.len());
    let missing: Vec<&str> =
        wanted.iter().map(|f| f.name.as_str()).filter(|name| !used.contains(*name)).collect();
    assert!(missing.is_empty(), "stacks-examples/tree does not use {missing:?}");
    let less = |feature: &&Feature| {
        let files: BTreeMap<String, String> = files
            .iter()
            .map(|(path, text)| (without(path, &feature.cut), without(text, &feature.cut)))
            .filter(|(path, text)| {
                editors::instance(path, text.as_bytes()).is_some() || !path.ends_with(".vgo")
            })
            .collect();
        Used::of(&files).0.contains(&feature.name)
    };
    let kept: Vec<&str> = wanted.iter().filter(less).map(|f| f.name.as_str()).collect();
    assert!(kept.is_empty(), "nobody misses {kept:?}");
}
