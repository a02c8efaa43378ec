//! placeholder
pub mod frame;
pub mod outline;
pub mod bitmap;
pub mod exchange;
pub mod ids;
