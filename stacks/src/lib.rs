//! placeholder
pub mod plan;
pub mod report;
pub mod when;
