//! The stories of `tests/stories`, told by real programs on a network of namespaces.
//!
//! The virtual world tells the same ones (`simnet/tests/conformance.rs`). What people do goes through `vigo` and
//! `vigocli`; only looking goes through the local API in this process. No story is left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fleet::{Fleet, Said, in_company};
use crate::lab::require_lab;
use crate::node::command::{Command, Reply};
use crate::stories::{self, Stage, Story, Tree, play, read};

stories::stories!(tell);

fn tell(name: &str) {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let began = Instant::now();
    stories::tell(&mut Lab::new(name), name);
    crate::figures::say("story", name, &format!("{} ms", began.elapsed().as_millis()));
}

/// Real programs as a stage.
struct Lab {
    fleet: Fleet,
    began: Instant,
    disks: BTreeMap<String, PathBuf>,
    /// Who hears nothing from whom.
    deaf: Vec<(String, String)>,
}

impl Lab {
    fn new(title: &str) -> Lab {
        // A folder's name ends up in the paths of sockets, which are short.
        let title: String = title.split('_').filter_map(|word| word.chars().next()).collect();
        Lab { fleet: Fleet::new(&title), began: Instant::now(), disks: BTreeMap::new(), deaf: Vec::new() }
    }
}

impl Stage for Lab {
    fn title(&self) -> &'static str {
        "lab"
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn pass(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn fleet(&mut self, bolts: usize, envoys: usize) {
        self.fleet.fill(bolts, envoys);
    }

    fn join(&mut self, name: &str, bolt: bool, through: &str, nat: bool) {
        match nat {
            true => self.fleet.place_behind_nat(name),
            false => self.fleet.place(name),
        }
        self.fleet.join("home", through, &[name], bolt);
        self.fleet.start(name);
    }

    fn publish(&mut self, trees: &[(&str, Tree)]) -> Vec<Result<String, String>> {
        let publishing = |(at, tree): &(&str, Tree)| {
            let mut command = self.fleet.publishing("home", at, "story", &["--force"]);
            let place = self.fleet.lab.folder().join(format!("tree-home-{at}/stacks"));
            for (path, text) in tree {
                fs::write(place.join(path), text).expect("a file of the tree");
            }
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
            child.expect("the program runs")
        };
        // All of them run before the end of any is waited for.
        let children: Vec<_> = trees.iter().map(publishing).collect();
        let ended = children.into_iter().map(|child| {
            let said = Said::of(child.wait_with_output().expect("it ends"));
            match said.code {
                0 => Ok(said.json()["id"].as_str().expect("an id").to_owned()),
                code => Err(format!("exit code {code}: {}", said.err)),
            }
        });
        ended.collect()
    }

    fn set(&mut self, at: &str, key: &str, value: &Value) {
        self.fleet.signed("home", at, &["settings", "set", key, &value.to_string()]).good();
    }

    fn revoke(&mut self, name: &str, through: &str) {
        self.fleet.signed("home", through, &["spanner", "revoke", name, "--reason", "lost", "--yes"]).good();
    }

    fn split(&mut self, _: &[String], right: &[String]) {
        let right: Vec<&str> = right.iter().map(String::as_str).collect();
        self.fleet.lab.partition(&right);
    }

    fn deafen(&mut self, to: &str, from: &str) {
        self.fleet.lab.deafen(to, from);
        self.deaf.push((to.into(), from.into()));
    }

    fn heal(&mut self) {
        self.fleet.lab.heal();
        for (to, from) in self.deaf.drain(..) {
            self.fleet.lab.hear(&to, &from);
        }
    }

    fn kill(&mut self, name: &str) {
        self.fleet.kill(name);
    }

    fn stop(&mut self, name: &str) {
        self.fleet.stop(name);
    }

    fn start(&mut self, name: &str) {
        self.fleet.start(name);
    }

    fn clock(&mut self, name: &str, seconds: i64) {
        self.fleet.clock(name, &format!("{seconds:+}"));
    }

    fn mark(&mut self, name: &str, mark: &str) {
        let place = self.fleet.lab.folder().join(format!("mark-{mark}"));
        for (part, path) in self.parts(name) {
            copy(&path, &place.join(part));
        }
        self.disks.insert(mark.into(), place);
    }

    fn roll_back(&mut self, name: &str, mark: &str) {
        let place = self.disks[mark].clone();
        for (part, path) in self.parts(name) {
            fs::remove_dir_all(&path).expect("it was there");
            copy(&place.join(part), &path);
        }
    }

    fn call(&mut self, name: &str, command: Command) -> Option<Reply> {
        self.fleet.client(name)?.call(&command).ok()
    }

    fn files(&mut self, name: &str) -> BTreeMap<String, String> {
        let root = self.fleet.root(name);
        let below = fs::read_dir(root.join("srv")).into_iter().flatten().flatten();
        let names = below.map(|entry| format!("/srv/{}", entry.file_name().to_string_lossy()));
        let paths = names.chain(["/etc/release".to_owned()]);
        let text = |path: &String| fs::read_to_string(root.join(path.trim_start_matches('/'))).ok();
        paths.filter_map(|path| text(&path).map(|text| (path, text))).collect()
    }
}

impl Lab {
    /// What is on the disk of a machine: the node's state, and what its configuration made.
    fn parts(&self, name: &str) -> [(&'static str, PathBuf); 2] {
        [("state", self.fleet.state(name)), ("root", self.fleet.root(name))]
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("below the lab's folder")).expect("a folder");
    let copied = Program::new("cp").arg("-a").arg(from).arg(to).output().expect("cp runs");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
}

#[test]
fn an_end_that_is_written_otherwise_is_noticed() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut story: Story = read("settings_on_both_sides_of_a_partition");
    story.ends["settings"] = serde_json::json!({"bolt1 bolt2 env1 env2 env3": {"converge.interval": 60}});
    let fell = play(&mut Lab::new("bent"), &story).expect_err("it ends otherwise");
    assert!(fell.ended.is_some() && fell.what.contains("it ended in"), "{fell}");
}
