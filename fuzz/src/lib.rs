//! Hostile bytes: what is done with them, and which were kept.
//!
//! A [`Target`] takes any bytes and panics where a promise is broken. It reads them as a peer's bytes are read, and
//! does more than read: what decodes must encode to the same bytes, and what depends on a checksum or a signature gets a
//! right one, so that the thing behind the decoder is reached too. The same targets are driven by libFuzzer
//! (`fuzz/libfuzzer`, a workspace of its own; see fuzz/README.md) and, over the kept inputs, by `cargo test`.
//!
//! ```
//! use vigo_fuzz::find;
//!
//! let beacon = find("beacon").expect("there is one");
//! (beacon.run)(b"VIGO\x01 and something else");
//! for seed in (beacon.seeds)() {
//!     (beacon.run)(&seed);
//! }
//! ```
//!
//! What this crate never does: decide anything for a node, or run in one.

pub mod feed;
pub mod host;
pub mod kept;
pub mod smith;
mod targets;
pub mod trees;
pub mod world;

pub use targets::TARGETS;

/// One way for bytes to come in.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its files.
    pub name: &'static str,
    /// What it reads, and where that goes.
    pub about: &'static str,
    /// Takes the bytes; a panic is a finding.
    pub run: fn(&[u8]),
    /// Good inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes of the longest input worth trying.
    pub longest: usize,
}

/// The target with this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
