//! The configuration language.
pub mod diagnostic;
mod fancy;
mod parsed;
pub mod plan;
mod read;
pub mod report;
pub mod rules;
pub mod schema;
pub mod source;
pub mod template;
pub mod traits;
pub mod when;
mod yaml;
pub use diagnostic::{Diagnostic, Severity};
pub use fancy::render_fancy;
pub use source::{BadTree, SourceTree};
