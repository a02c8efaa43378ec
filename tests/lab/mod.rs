//! The lab: machines made of network namespaces, with real programs in them.
//!
//! A test includes this folder with `#[path = "lab/mod.rs"] mod lab;`, asks [`require_lab`], makes a [`Lab`], adds
//! hosts, spawns [`Process`]es in them and waits ([`wait`]) for what should come. It never touches the host's own
//! network, and whatever it makes is gone when the [`Lab`] is dropped, also after a panic; what a killed test left
//! behind is removed by the next one.
//!
//! ```text
//! if require_lab().skips() { return; }
//! let mut lab = Lab::new("fleet");
//! let bolt = lab.host("bolt1");
//! let mut daemon = lab.spawn("bolt1", "node", &[vigo, "node", "--state", "/tmp/…"]);
//! daemon.wait_line("ready", secs(10));
//! lab.cut("bolt1");
//! ```

// Each test target that includes the lab uses a part of it.
#![allow(dead_code, unused_imports)]

mod clean;
pub mod machines;
mod net;
mod process;
mod said;
pub mod wait;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

pub use clean::sweep;
pub use net::Lab;
pub use process::{Node, Process};
pub use said::Said;

/// What the lab runs, with the Debian package that brings it.
const TOOLS: [(&str, &str); 3] = [("ip", "iproute2"), ("nft", "nftables"), ("ping", "iputils-ping")];

/// Whether a test that needs the lab can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot, for this reason.
    Skip(String),
}

impl Readiness {
    /// Whether the test must return.
    pub fn skips(&self) -> bool {
        matches!(self, Readiness::Skip(_))
    }
}

/// Says whether there can be a lab here. A skip is printed even when the test's output is captured; under
/// `VIGO_LAB=require` it is a failure.
#[track_caller]
pub fn require_lab() -> Readiness {
    static MISSING: OnceLock<Vec<String>> = OnceLock::new();
    let missing = MISSING.get_or_init(missing);
    let required = std::env::var("VIGO_LAB").is_ok_and(|v| v == "require");
    match decide(missing, required) {
        Ok(readiness) => {
            if let Readiness::Skip(why) = &readiness {
                let test = std::thread::current().name().unwrap_or("a test").to_owned();
                // Not eprintln!, which the test runner would swallow.
                let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
            }
            readiness
        }
        Err(why) => panic!("{why}"),
    }
}

/// The rule of [`require_lab`], apart from the machine.
pub fn decide(missing: &[String], required: bool) -> Result<Readiness, String> {
    let why = format!("no lab here: {}", missing.join("; "));
    match (missing.is_empty(), required) {
        (true, _) => Ok(Readiness::Ready),
        (false, false) => Ok(Readiness::Skip(why)),
        (false, true) => Err(format!("{why} (VIGO_LAB=require makes this a failure)")),
    }
}

fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if !is_root() {
        return vec!["namespaces need root: run the tests as root".to_owned()];
    }
    for (tool, package) in TOOLS {
        if Command::new(tool).arg("-V").output().is_err() {
            missing.push(format!("{tool} is missing: apt-get install {package}"));
        }
    }
    if missing.is_empty() {
        missing.extend(net::trial().err());
    }
    missing
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// `n` seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
