//! What the tests of machines have in common: the program in a checkout, a fleet installed from it, its tree.
//!
//! Everything is done with the commands that an operator types; waiting looks at `vigocli … --json`.

use std::path::{Path, PathBuf};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;

use crate::lab::machines::{Machine, Machines};
use crate::lab::{secs, wait};

/// The program under test.
pub const VIGO: &str = env!("CARGO_BIN_EXE_vigo");
/// Where `admin` has the checkout of the README.
pub const BUILT: &str = "/home/admin/vigo/target/release/vigo";
/// The tree of the README.
pub const STACKS: &str = "/srv/vigo/stacks";
/// How long a machine may take to do what it was told, on a machine that does other things as well.
pub const PATIENCE: std::time::Duration = secs(90);

static MACHINE: RwLock<()> = RwLock::new(());

/// Held by a test that measures: no other of this program runs meanwhile.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Held by a test that does not mind company.
pub fn in_company() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The program: a release build when `VIGO_BIN_RELEASE` names one.
pub fn program() -> PathBuf {
    std::env::var_os("VIGO_BIN_RELEASE").map_or_else(|| VIGO.into(), PathBuf::from)
}

/// Machines with nothing but the program at [`BUILT`].
pub fn checkouts(title: &str, names: &[&str]) -> Machines {
    let mut machines = Machines::new(title);
    machines.show(&program(), BUILT);
    machines.add(names);
    machines
}

/// A fleet of `bolt1` and these envoys, installed, joined and running, with the starter tree.
pub fn fleet(title: &str, envoys: &[&str]) -> Machines {
    let names: Vec<&str> = std::iter::once("bolt1").chain(envoys.iter().copied()).collect();
    let machines = checkouts(title, &names);
    for name in &names {
        machines[*name].run(&[BUILT, "install"]).good();
    }
    machines["bolt1"].shell("vigo init --name bolt1 --operator alice --plain-key").good();
    for name in envoys {
        join(&machines, name);
    }
    machines
}

/// Lets a machine join through `bolt1`.
pub fn join(machines: &Machines, name: &str) {
    let invited = machines["bolt1"].run(&["vigocli", "spanner", "invite", "--name", name, "--json"]).json();
    machines[name].run(&["vigo", "join", invited["token"].as_str().expect("a token")]).good();
}

/// Writes one configcrate for all machines as the whole tree of `bolt1`, publishes it, and gives the epoch.
#[track_caller]
pub fn publish(machines: &Machines, resources: &str) -> u64 {
    let bolt = &machines["bolt1"];
    bolt.shell(&format!("rm -rf {STACKS}/*")).good();
    bolt.write(&format!("{STACKS}/envoys.vgo"), "envoys:\n  - {match: \"*\", configcrates: [all]}\n");
    bolt.write(&format!("{STACKS}/configcrates/all.vgo"), &format!("name: all\nresources:\n{resources}"));
    let said = bolt.run(&["vigocli", "config", "publish", "--force", "--json"]).json();
    said["epoch"].as_u64().expect("an epoch")
}

/// What `bolt1` knows of a machine.
pub fn known(bolt: &Machine, name: &str) -> Result<Value, String> {
    let said = bolt.run(&["vigocli", "envoys", "show", name, "--json"]);
    if !said.went_well() {
        return Err(format!("{} {}", said.out, said.err));
    }
    serde_json::from_str(&said.out).map_err(|e| format!("{e}: {}", said.out))
}

/// Waits until `bolt1` knows that a machine has run the publish of this epoch, or a later one, and nothing failed.
#[track_caller]
pub fn converges(machines: &Machines, name: &str, epoch: u64) -> Value {
    let what = format!("{name} has converged to epoch {epoch}");
    let look = || {
        let detail = known(&machines["bolt1"], name)?;
        let row = &detail["row"];
        let done = row["epoch"].as_u64().is_some_and(|at| at >= epoch) && row["failure"] == "converged";
        if done { Ok(detail) } else { Err(format!("{row} {}", detail["run"])) }
    };
    wait::until(&what, PATIENCE, look).0
}

/// A file resource in a configcrate.
pub fn file(name: &str, path: &str, content: &str) -> String {
    format!(
        "  - {{name: {name}, type: file, target_path: {path}, mode: \"0644\", content: \"{content}\\n\"}}\n"
    )
}

/// The text of a file of the repository.
pub fn repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
