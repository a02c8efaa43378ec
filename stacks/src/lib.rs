//! The configuration language.
pub mod plan;
pub mod report;
pub mod schema;
pub mod template;
pub mod traits;
pub mod when;
