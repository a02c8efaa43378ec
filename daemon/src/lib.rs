//! placeholder
pub mod store;
pub mod channel;
pub mod blobs;
pub mod state;
pub mod api;
pub mod client;
pub mod driver;
pub mod effects;
pub mod network;
pub mod nodeconf;
pub mod trace;
pub mod world;
pub mod operator;
pub mod logging;
pub mod metrics;
pub mod process;
