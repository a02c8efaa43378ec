//! What the compiler does not check about this tree.
//!
//! Each module is one check: a function from plain data (manifests, source text) to a list of [`Breach`]es, a
//! test named `the_tree_...` that runs it over the workspace and wants none, and tests that plant a breach and
//! want it found, because a check that cannot fail is a defect. Every breach says what to do instead. The
//! tree is read, never written.

mod advisories;
mod decoders;
mod docs;
mod edges;
mod letters;
mod lines;
mod manifests;
mod names;
mod paths;
mod placement;
mod planted;
mod scan;
mod scripts;
mod tree;

/// Something in the tree that a check does not allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// Where: a file with its line, or a manifest.
    pub place: String,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub instead: String,
}

impl Breach {
    /// A breach of three texts.
    pub fn new(place: impl Into<String>, found: impl Into<String>, instead: impl Into<String>) -> Breach {
        Breach { place: place.into(), found: found.into(), instead: instead.into() }
    }
}

/// Fails with one readable list when there is any breach.
#[track_caller]
pub fn expect_none(what: &str, mut breaches: Vec<Breach>) {
    breaches.sort();
    let mut text = String::new();
    for breach in &breaches {
        text += &format!("\n  {}: {}\n    instead: {}", breach.place, breach.found, breach.instead);
    }
    assert!(breaches.is_empty(), "{what}: {} breach(es){text}\n", breaches.len());
}

#[test]
#[should_panic(expected = "instead: write less")]
fn a_breach_fails_and_says_what_to_do() {
    expect_none("a check", vec![Breach::new("a.rs:1", "too much", "write less")]);
}

#[test]
fn no_breach_passes() {
    expect_none("a check", Vec::new());
}
