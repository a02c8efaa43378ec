//! The configuration language: from the files of a `stacks/` tree to what one machine will do.
//!
//! The stages are types, and none can be skipped:
//!
//! 1. [`SourceTree`]: files as bytes, given by the caller.
//! 2. *parsed*: what the files say, each mention with its place; inside this crate.
//! 3. *composed*: which configcrates and variables a match block comes to, and why; [`trace()`] shows it.
//! 4. [`Compiled`]: a [`Policy`] for every match block and the [`Route`]s that lead to them; this is published.
//! 5. [`Plan`]: a policy with the [`Facts`] of one envoy; only questions to the machine are left in it.
//!
//! The words: a *configcrate* is a named set of *resources*; a *usercrate* is one of a person; a *role* is a named
//! list of both; a *hostcrate* is a file of *match blocks*, each saying what hosts of a name get; `common.vgo` is what
//! a directory gives to everything below, `environments.vgo` what an environment adds. `docs/language.md` teaches
//! them.
//!
//! ```
//! use vigo_stacks::{Facts, SourceTree, compile, resolve};
//!
//! let tree = SourceTree::from_files([
//!     ("configcrates/motd.vgo", "
//! name: motd
//! vars: {greeting: hello}
//! resources:
//!   - name: motd
//!     type: file
//!     target_path: /etc/motd
//!     content: \"{{ .Vars.greeting }} from {{ .Traits.network.hostname }}\"
//!     when: os_family('linux')
//! "),
//!     ("site/hosts.vgo", "
//! envoys:
//!   - match: \"web*\"
//!     configcrates: [motd]
//! "),
//! ]).unwrap();
//! let (compiled, diagnostics) = compile(&tree);
//! assert!(diagnostics.is_empty());
//! let compiled = compiled.unwrap();
//! let route = compiled.route("web01").unwrap();
//! let traits = serde_json::json!({"os": {"family": "debian", "kernel_class": "linux"}});
//! let facts = Facts { name: "web01".into(), tags: route.tags.clone(), traits };
//! let plan = resolve(&compiled.policies[route.policy], &facts).unwrap();
//! assert_eq!(plan.steps[0].id, "motd/motd");
//! assert_eq!(plan.steps[0].when, None);
//! ```
//!
//! What this crate never does: read a file, a clock, the environment or a network; stop at the first mistake;
//! pass over a key, a file or a name in silence. What the reference of the language has and this version lacks
//! is an error that says so. Compiling is a function of the tree's content.

mod absent;
mod assemble;
mod check;
mod compile;
pub mod compliance;
mod compose;
mod conditional;
pub mod diagnostic;
mod expand;
mod fancy;
pub mod format;
pub mod migrate;
mod order;
pub mod outline;
mod parsed;
pub mod plan;
pub mod policy;
mod read;
pub mod report;
mod resolve;
pub mod retract;
pub mod rules;
pub mod schema;
pub mod search;
pub mod secrets;
mod setting;
pub mod source;
pub mod template;
pub mod trace;
pub mod traits;
pub mod when;
pub mod words;
mod workshop;
mod yaml;

pub use compile::{Compiled, Route, compile, compile_single};
pub use diagnostic::{Diagnostic, Severity, any_error};
pub use fancy::render_fancy;
pub use outline::{Directory, tree};
pub use plan::{Plan, Step};
pub use policy::{BadPolicy, Policy};
pub use resolve::{Facts, Problem, resolve};
pub use source::{BadTree, SourceTree};
pub use trace::{Trace, Tracer, trace};
pub use workshop::Workshop;
