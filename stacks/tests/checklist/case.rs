//! One mutation: a tree before and after an edit, how it is looked at, and what must be seen.
//!
//! A case that says nothing before and after, or whose edit changes nothing, is itself a mistake.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use vigo_stacks::search::{Sought, search};
use vigo_stacks::{Diagnostic, Facts, SourceTree, compile, resolve, secrets, template, trace};

/// Files by path.
pub type Files = BTreeMap<String, String>;

/// How a tree is looked at.
pub type Look = fn(&Files) -> String;

/// A mutation.
pub struct Case {
    before: Files,
    after: Files,
    host: &'static str,
    look: Option<Look>,
    expect: Expect,
}

enum Expect {
    /// A diagnostic of that rule, which was not there before.
    Rule(&'static str),
    /// The first is seen before and not after, the second after and not before; an empty one asks nothing.
    Change(&'static str, &'static str),
}

/// An edit of a tree, of which nothing is asked yet.
pub struct Edit {
    before: Files,
    after: Files,
    host: &'static str,
    look: Option<Look>,
}

impl Edit {
    /// It must be refused, or warned about, by that rule.
    pub fn says(self, rule: &'static str) -> Case {
        self.case(Expect::Rule(rule))
    }

    /// Something else must be seen.
    pub fn turns(self, from: &'static str, to: &'static str) -> Case {
        self.case(Expect::Change(from, to))
    }

    /// Looked at as that host gets it.
    pub fn on(mut self, host: &'static str) -> Edit {
        self.host = host;
        self
    }

    /// Looked at in another way than as what a host gets.
    pub fn seen(mut self, look: Look) -> Edit {
        self.look = Some(look);
        self
    }

    /// With another edit of the tree.
    pub fn and(mut self, path: &str, from: &str, to: &str) -> Edit {
        replace(&mut self.after, path, from, to);
        self
    }

    fn case(self, expect: Expect) -> Case {
        Case { before: self.before, after: self.after, host: self.host, look: self.look, expect }
    }
}

/// The tree of `stacks-examples/tree`.
fn whole() -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks-examples/tree");
    let (mut found, mut open) = (Files::new(), vec![root.clone()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).expect("the example tree") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("below it").to_string_lossy().into_owned();
                found.insert(name, fs::read_to_string(&path).expect("a text"));
            }
        }
    }
    found
}

fn replace(files: &mut Files, path: &str, from: &str, to: &str) {
    let text = files.get_mut(path).unwrap_or_else(|| panic!("there is no {path}"));
    assert!(text.contains(from), "{path} has no text {from:?}:\n{text}");
    *text = text.replacen(from, to, 1);
}

/// The example tree with a text replaced in one of its files.
pub fn edit(path: &str, from: &str, to: &str) -> Edit {
    let before = whole();
    let mut after = before.clone();
    replace(&mut after, path, from, to);
    Edit { before, after, host: "web1", look: None }
}

/// The example tree with a text replaced from the start; the edit is still to come.
pub fn starting(path: &str, from: &str, to: &str) -> Edit {
    let mut before = whole();
    replace(&mut before, path, from, to);
    Edit { after: before.clone(), before, host: "web1", look: None }
}

/// The example tree with one more file.
pub fn add(path: &str, text: &str) -> Edit {
    let before = whole();
    let mut after = before.clone();
    assert!(after.insert(path.into(), text.into()).is_none(), "{path} is there");
    Edit { before, after, host: "web1", look: None }
}

/// The example tree with a file elsewhere.
pub fn moved(from: &str, to: &str) -> Edit {
    let before = whole();
    let mut after = before.clone();
    let text = after.remove(from).unwrap_or_else(|| panic!("there is no {from}"));
    after.insert(to.into(), text);
    Edit { before, after, host: "web1", look: None }
}

/// A tree in one text, each file after a line `=== path`, with a text replaced; looked at as the host `h`.
pub fn text(files: &str, from: &str, to: &str) -> Edit {
    let read = |text: &str| -> Files {
        let parts = text.split("=== ").skip(1).filter_map(|part| part.split_once('\n'));
        parts.map(|(path, body)| (path.to_owned(), body.to_owned())).collect()
    };
    assert!(files.contains(from), "no text {from:?}");
    Edit { before: read(files), after: read(&files.replacen(from, to, 1)), host: "h", look: None }
}

/// A tree of one file, `configcrates/a.vgo`, given to the host `h` with the tag `web`, with a text replaced.
pub fn configcrate(text: &str, from: &str, to: &str) -> Edit {
    let hosts = "envoys:\n  - {match: h, configcrates: [a], tags: [web]}\n";
    let before =
        Files::from([("configcrates/a.vgo".into(), text.to_owned()), ("s/hosts.vgo".into(), hosts.into())]);
    let mut after = before.clone();
    replace(&mut after, "configcrates/a.vgo", from, to);
    Edit { before, after, host: "h", look: None }
}

/// The same of one resource `r`, whose keys are `body`, one a line.
pub fn resource(body: &str, from: &str, to: &str) -> Edit {
    let lines: String = body.lines().map(|l| format!("    {l}\n")).collect();
    configcrate(&format!("name: a\nresources:\n  - name: r\n{lines}"), from, to)
}

/// The same of a resource with a condition.
pub fn when(from: &str, to: &str) -> Edit {
    resource(&format!("type: exec\ncommand: x\nwhen: \"{from}\""), from, to)
}

fn tree(files: &Files) -> SourceTree {
    let mut tree = SourceTree::new();
    for (path, text) in files {
        if let Err(why) = tree.insert(path.clone(), text.clone().into_bytes()) {
            panic!("{why}");
        }
    }
    tree
}

fn diagnostics(files: &Files) -> Vec<Diagnostic> {
    let tree = tree(files);
    let mut found = compile(&tree).1;
    found.extend(secrets::scan(&tree));
    found
}

fn said(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| format!("{d}\n")).collect()
}

/// Everything that a host gets, on a Debian.
fn given(files: &Files, host: &str) -> String {
    let tree = tree(files);
    let traits = json!({
        "os": {"family": "debian", "distro": "ubuntu", "version": "22.04", "arch": "amd64", "kernel_class": "linux"},
        "hardware": {"memory_mb": 4096, "cpu_count": 4}, "is_container": false,
        "network": {"hostname": "h", "ip_addresses": ["10.0.0.1"]}, "ports": [{"proto": "tcp", "port": 8080}],
    });
    let (Some(compiled), found) = compile(&tree) else { return said(&compile(&tree).1) };
    let traced = trace(&tree, host, Some(&traits)).0.on("2026-01-01".parse().expect("a day"));
    let mut out = said(&found) + &traced.to_string();
    for control in traced.controls.iter().filter(|c| c.waived) {
        out += &format!("waived {} {}\n", control.framework, control.control);
    }
    let Some(route) = compiled.route(host) else { return out };
    let facts = Facts { name: host.into(), tags: route.tags.clone(), traits: traits.clone() };
    let plan = resolve(&compiled.policies[route.policy], &facts).expect("a plan");
    for (i, step) in plan.steps.iter().enumerate() {
        out += &format!("step {i} {} {}", step.kind, step.id);
        for (name, value) in &step.attributes {
            let rendered = value.as_str().map(|text| template::render(text, &step.vars, &traits));
            match rendered {
                Some(Ok(text)) => out += &format!(" {name}={text:?}"),
                _ => out += &format!(" {name}={value}"),
            }
            out += &format!(" {name}:{value}");
        }
        out += &format!(" after={:?} triggers={:?} timeout={}", step.depends_on, step.triggers, step.timeout);
        out += &format!(" revert={:?} secrets={:?}", step.revert, step.watch_secret);
        out += &step.when.as_ref().map_or(String::new(), |when| format!(" when={when}"));
        out += if step.only_when_triggered { " triggered\n" } else { "\n" };
    }
    out
}

/// `configcrates/a.vgo` as the formatter leaves it.
pub fn formatted(files: &Files) -> String {
    let (path, text) = files.iter().find(|(path, _)| path.contains("configcrates/")).expect("a configcrate");
    vigo_stacks::format::format(path, text.as_bytes()).map_or_else(|why| said(&why), |done| done.text)
}

/// What is published of it, as the program keeps it beside the tree.
pub fn live(files: &Files) -> String {
    let live = vigo_stacks::format::live(&tree(files));
    live.iter().map(|(path, bytes)| format!("=== {path}\n{}", String::from_utf8_lossy(bytes))).collect()
}

/// The retraction of `configcrates/a.vgo`.
pub fn retraction(files: &Files) -> String {
    let drafted = vigo_stacks::retract::retract("configcrates/a.vgo", files["configcrates/a.vgo"].as_bytes());
    drafted.map_or_else(|why| said(&why), |draft| draft.text)
}

/// The tree brought over from an old layout.
pub fn migrated(files: &Files) -> String {
    let done = vigo_stacks::migrate::migrate(&tree(files));
    done.steps.iter().map(|step| format!("{} -> {}: {}\n", step.from, step.to, step.what)).collect()
}

/// The directories of the tree.
pub fn outline(files: &Files) -> String {
    vigo_stacks::tree(&tree(files)).0.to_string()
}

/// Where the configcrate `sshd` stands.
pub fn places(files: &Files) -> String {
    search(&tree(files), Sought::Configcrate("sshd"))
        .iter()
        .map(|found| format!("{} {}:{} in {}\n", found.what, found.path, found.line, found.within))
        .collect()
}

/// The lines of the one that the other has not.
fn apart(one: &str, other: &str) -> String {
    one.lines().filter(|line| !other.lines().any(|l| l == *line)).map(|line| format!("{line}\n")).collect()
}

impl Case {
    /// Whether the edit is noticed; why not otherwise.
    ///
    /// # Errors
    /// What is seen instead of what is expected.
    pub fn run(&self) -> Result<(), String> {
        if self.before == self.after {
            return Err("the edit changes nothing".into());
        }
        match self.expect {
            Expect::Rule(rule) => {
                let (before, after) = (diagnostics(&self.before), diagnostics(&self.after));
                if before.iter().any(|d| d.rule == rule || d.is_error()) {
                    return Err(format!("the tree before is not right:\n{}", said(&before)));
                }
                let found = after.iter().any(|d| d.rule == rule);
                if found { Ok(()) } else { Err(format!("no {rule} is said:\n{}", said(&after))) }
            }
            Expect::Change(from, to) => {
                assert!(!(from.is_empty() && to.is_empty()), "nothing is expected");
                let look =
                    |files: &Files| self.look.map_or_else(|| given(files, self.host), |look| look(files));
                let (before, after) = (look(&self.before), look(&self.after));
                let gone = from.is_empty() || before.contains(from) && !after.contains(from);
                let come = to.is_empty() || after.contains(to) && !before.contains(to);
                if gone && come {
                    return Ok(());
                }
                let (less, more) = (apart(&before, &after), apart(&after, &before));
                Err(format!("expected {from:?} to turn into {to:?}\n--- before\n{less}--- after\n{more}"))
            }
        }
    }
}
