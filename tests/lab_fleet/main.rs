//! Whole fleets of real programs on a bridge of namespaces: what the main job promises, end to end.
//!
//! Each test makes a lab, founds a fleet in it with the same commands as an operator types, and looks at the files
//! in the roots of its machines beside what the nodes say of themselves. Figures are printed as
//! `lab | promise | what | figure` (`--show-output` shows them), those of long tests as `long | …` for `.ci/long`.
//! Nothing waits without a bound, and nothing outlives its test.

#[path = "../lab/mod.rs"]
mod lab;
#[path = "../stories/mod.rs"]
mod stories;

mod bench;
mod conformance;
mod discover;
mod divided;
mod drill;
mod figures;
mod fleet;
mod foes;
mod gossip;
mod kill;
mod nat;
mod offline;
mod operators;
mod partition;
mod quic;
mod rollout;
mod siege;
mod strangers;
mod trust;

pub(crate) use vigo_daemon::node;
