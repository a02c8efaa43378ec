//! The process around the pure node: network, store, files, local API.
//!
//! `node` decides and `daemon` does. Words that matter here:
//!
//! - the **driver** ([`driver`]) is the one thread that owns the node: it takes what happens from one bounded
//!   queue, makes one commit a turn, and performs the node's outputs after it, in their order;
//! - **effects** ([`effects`]) are the work that takes time: blobs on two threads, the machine on one;
//! - the **applier** ([`applier`]) is the part that touches the machine, in this process or in one of its own: it judges
//!   by itself what may be run;
//! - the **channel** ([`channel`]) carries frames and requests between nodes, the **API** ([`api`]) commands from
//!   programs on this machine, whose other end is [`client`];
//! - the **state directory** ([`state`]) holds the node's key, its records ([`store`]) and its blobs ([`blobs`]);
//!   [`setup`] makes one, [`process`] runs a node from one.
//!
//! A fleet of one bolt, from nothing:
//!
//! ```
//! use vigo_daemon::nodeconf::NodeConf;
//! use vigo_daemon::process::{Start, start};
//! use vigo_daemon::setup::{Init, OperatorKey, init};
//!
//! let dir = tempfile::tempdir()?;
//! let state = dir.path().join("b1");
//! let made = init(Init {
//!     state: &state,
//!     name: "b1".parse()?,
//!     fleet: "example".into(),
//!     operator_name: "alice".parse()?,
//!     operator: OperatorKey::New { path: dir.path().join("operator.key"), passphrase: None },
//! })?;
//! assert_eq!(made.words.map(|words| words.split(' ').count()), Some(24));
//!
//! let conf = NodeConf { socket: state.join("vigo.sock"), state, listen: vec![], ..NodeConf::default() };
//! let running = start(Start::new(conf, "example"))?;
//! running.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What this crate never does: decide who may, what counts or what is fetched. That is [`node`]'s.

pub mod api;
pub mod applier;
pub mod authority;
pub mod beacon;
pub mod bench;
pub mod blobs;
pub mod channel;
pub mod client;
pub mod driver;
pub mod effects;
pub mod gossip;
pub mod logging;
pub mod metrics;
pub mod network;
pub mod nodeconf;
pub mod operator;
pub mod process;
pub mod setup;
pub mod signals;
pub mod state;
pub mod store;
pub mod trace;
pub mod world;

const _: () = assert!(
    !vigo_base::PLANTED,
    "the feature `planted` plants wrong lines in the logic for simnet/tests/planted: nothing that ships is built with it"
);

// What programs around this one need of it, so that they depend on this crate alone.
pub use vigo_executors as executors;
pub use vigo_node as node;
