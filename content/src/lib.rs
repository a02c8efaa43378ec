//! What travels: one folder for each content type, all of the same anatomy.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | what it is, what it never does, its space and shape, who writes, who reads, its limits |
//! | `schema.rs` | its records, typed, with canonical encoding |
//! | `view.rs` | what the records mean: a pure function of the record set |
//!
//! What a node does about a change is in `node`, in a module of the same name. Present now: [`audit`],
//! [`config`], [`settings`], [`status`].
//!
//! What this crate never does: decide whether a statement's signer may (the caller asks `spanner` and passes the
//! answer in), read a clock, or keep state: a view is made from records whenever they change.

pub mod audit;
pub mod config;
pub mod settings;
pub mod status;
