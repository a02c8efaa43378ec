//! What a stage must be able to do: a handful of verbs, and to look.
//!
//! A verb that cannot be done at all panics, as the harness of the lab does; one that a node may refuse says so.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::node::command::{Command, Reply};

/// Where a story is told.
pub trait Stage {
    /// Its name in messages.
    fn title(&self) -> &'static str;
    /// Time since it was made.
    fn now(&self) -> Duration;
    /// Lets time pass.
    fn pass(&mut self, time: Duration);

    /// Founds a fleet of `bolt1…` and `env1…`, all running; everybody has peers.
    fn fleet(&mut self, bolts: usize, envoys: usize);
    /// A new machine joins with a token that `through` makes, and runs. Behind NAT nobody can dial it.
    fn join(&mut self, name: &str, bolt: bool, through: &str, nat: bool);
    /// Publishes trees, each through a machine; all are signed from what the machines knew before any was handed
    /// in. Gives the ids, or why a node refused.
    fn publish(&mut self, trees: &[(&str, Tree)]) -> Vec<Result<String, String>>;
    /// Sets a fleet setting through a machine.
    fn set(&mut self, at: &str, key: &str, value: &Value);
    /// Revokes a machine's key through another.
    fn revoke(&mut self, name: &str, through: &str);

    /// Cuts the network in two.
    fn split(&mut self, left: &[String], right: &[String]);
    /// Loses what `from` sends to `to`.
    fn deafen(&mut self, to: &str, from: &str);
    /// Mends every link.
    fn heal(&mut self);

    /// Ends a node at once.
    fn kill(&mut self, name: &str);
    /// Ends a node in order.
    fn stop(&mut self, name: &str);
    /// Starts a node.
    fn start(&mut self, name: &str);
    /// Sets the clock of a machine that is off, by so many seconds from the true one.
    fn clock(&mut self, name: &str, seconds: i64);
    /// Keeps a copy of what is on the disk of a machine that is off.
    fn mark(&mut self, name: &str, mark: &str);
    /// Puts it back.
    fn roll_back(&mut self, name: &str, mark: &str);

    /// A call of a node's local API; none if it does not answer or refuses.
    fn call(&mut self, name: &str, command: Command) -> Option<Reply>;
    /// The files that the fleet's configuration made on a machine: `/etc/release` and all of `/srv`.
    fn files(&mut self, name: &str) -> BTreeMap<String, String>;
}

/// A tree by path.
pub type Tree = Vec<(&'static str, String)>;

/// How the paths of files begin that say what was ever run.
pub const SEEN: &str = "/srv/seen-";

/// The tree that says a label: one configcrate for all, and policies of which a machine gets those that match it.
pub fn tree(label: &str) -> Tree {
    let crates = format!(
        "name: base\nvars: {{group: none}}\ndefaults: {{mode: \"0644\"}}\nresources:\n\
         \x20 - {{name: etc, type: directory, target_path: /etc, mode: \"0755\"}}\n\
         \x20 - {{name: srv, type: directory, target_path: /srv, mode: \"0755\"}}\n\
         \x20 - {{name: seen, type: file, target_path: {SEEN}{label}, content: \"x\", depends_on: [srv]}}\n\
         \x20 - {{name: group, type: file, target_path: /srv/group, content: \"{{{{ .Vars.group }}}}\", depends_on: [srv]}}\n\
         \x20 - {{name: release, type: file, target_path: /etc/release, content: \"{label}\", depends_on: [etc, seen, group]}}\n"
    );
    let policy = |pattern: &str| {
        format!("  - {{match: \"{pattern}\", configcrates: [base], vars: {{group: \"{pattern}\"}}}}\n")
    };
    let hosts: String = ["bolt*", "*1", "*2", "*"].map(policy).concat();
    vec![("configcrates/base.vgo", crates), ("hosts.vgo", format!("envoys:\n{hosts}"))]
}
