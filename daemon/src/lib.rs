//! placeholder
pub mod store;
pub mod channel;
pub mod blobs;
pub mod state;
