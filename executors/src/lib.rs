//! What a policy does to a machine: resource types, and the run that applies them.
//!
//! Five words matter here:
//!
//! - **host**: [`Host`], everything that is done to a machine, as one trait. [`RealHost`]
//!   is this machine or the part of it below a folder; [`FakeHost`] is one in memory.
//! - **resource**: [`Resource`](types::Resource), what one step declares: `file`, `package`, `service`, …
//! - **change**: [`Change`](change::Change), what `check` of a resource finds to be done, and [`change::apply`] does.
//! - **run**: [`converge`](converge::converge), all steps of a plan in their order, and a report.
//! - **pending**: [`Pending`], what a run has to trigger still, kept where a crash does not reach it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use serde_json::json;
//! use vigo_executors::{FakeHost, InMemory, Options, converge};
//! use vigo_stacks::plan::{Plan, Step};
//!
//! let motd = Step {
//!     id: "base/motd".into(), configcrate: "base".into(), name: "motd".into(), kind: "file".into(),
//!     attributes: BTreeMap::from([
//!         ("target_path".into(), json!("/etc/motd")),
//!         ("content".into(), json!("hello from {{ .Vars.site }}\n")),
//!     ]),
//!     vars: BTreeMap::from([("site".to_owned(), json!("Bern"))]).into(),
//!     when: None, only_when_triggered: false, depends_on: vec![], triggers: vec![], timeout: 60,
//!     revert: None, watch_secret: vec![], fault: None,
//! };
//! let (mut host, plan) = (FakeHost::new(), Plan { steps: vec![motd] });
//! let mut pending = InMemory::default();
//! let mut run = || converge(&plan, &mut host, &mut pending, &json!({}), &Options::default(), &mut |_| {});
//! assert_eq!(run().counts.created, 1);
//! assert_eq!(run().counts.none, 1);
//! assert_eq!(&*host.content("/etc/motd").unwrap(), b"hello from Bern\n");
//! ```
//!
//! What this crate never does: decide what a policy is or who may set it, speak to a peer, or touch a path outside
//! the root of its host.

pub mod accounts;
pub mod apt;
pub mod attributes;
pub mod change;
pub mod converge;
pub mod diff;
pub mod dpkg;
pub mod fake;
pub mod host;
pub mod output;
pub mod path;
pub mod pending;
pub mod probe;
pub mod real;
pub mod systemd;
pub mod traits;
pub mod types;

pub use converge::{Options, Progress, converge};
pub use fake::FakeHost;
pub use host::Host;
pub use pending::{InMemory, Pending};
pub use real::{PendingFile, RealHost};
