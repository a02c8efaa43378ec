//! What a policy does to a machine.
//!
//! placeholder

pub mod accounts;
pub mod fake;
pub mod host;
pub mod path;
pub mod real;
