//! libp2p's advisories that RustSec does not carry, against our locked versions.
//!
//! `cargo deny` reads the RustSec snapshot; these exist only as GHSA or CVE (advisory-db/README.md of the
//! project's shared folder, 21 August 2026). Where the fixed version is not known here, any version is a breach
//! until somebody has looked it up and written it down: silence is not safety.

use crate::tree::{locked, text_of};
use crate::{Breach, expect_none};

/// What is known of the version that mends it.
enum Fixed {
    /// Mended in this version.
    In([u64; 3]),
    /// Not known on the day of the snapshot.
    Unknown,
}

/// Package, advisory, and the version that mends it.
const LIST: [(&str, &str, Fixed); 9] = [
    ("libp2p-gossipsub", "GHSA-gc42-3jg7-rxr2", Fixed::In([0, 49, 3])),
    ("libp2p-gossipsub", "GHSA-xqmp-fxgv-xvq5", Fixed::In([0, 49, 4])),
    // These two by the crate's own CHANGELOG of 0.50.1: the first mended in 0.49.5 and taken over into 0.50.0.
    ("libp2p-gossipsub", "GHSA-g3g5-x568-qvqx", Fixed::In([0, 49, 5])),
    ("libp2p-gossipsub", "GHSA-vrx6-jcp8-vm7m", Fixed::In([0, 50, 1])),
    ("libp2p-quic", "GHSA-5hq8-qhww-jm7q", Fixed::In([0, 13, 1])),
    ("libp2p-rendezvous", "GHSA-cqfx-gf56-8x59", Fixed::Unknown),
    ("libp2p-rendezvous", "GHSA-v5hw-cv9c-rpg7", Fixed::Unknown),
    ("yamux", "CVE-2026-32314", Fixed::Unknown),
    ("yamux", "CVE-2024-32984", Fixed::Unknown),
];

fn version(text: &str) -> [u64; 3] {
    let mut parts = text.split(['.', '-', '+']).map(|p| p.parse().unwrap_or(0));
    [parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0)]
}

fn breaches(lock: &str) -> Vec<Breach> {
    let locked = locked(lock);
    let mut found = Vec::new();
    for (package, advisory, fixed) in &LIST {
        for text in locked.get(*package).into_iter().flatten() {
            let (bad, instead) = match fixed {
                Fixed::In(first) => {
                    let [major, minor, patch] = first;
                    (version(text) < *first, format!("cargo update -p {package} to {major}.{minor}.{patch} or later"))
                }
                Fixed::Unknown => (
                    true,
                    "look up which release mends it and write that into tests/tidy/advisories.rs, or leave it out".to_owned(),
                ),
            };
            if bad {
                found.push(Breach::new("Cargo.lock", format!("{package} {text} has {advisory}"), instead));
            }
        }
    }
    found
}

#[test]
fn the_tree_has_no_libp2p_with_an_advisory() {
    expect_none("libp2p advisories", breaches(&text_of("Cargo.lock")));
}

#[test]
fn planted_versions_are_found() {
    let count = |name: &str, version: &str| {
        breaches(&format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")).len()
    };
    assert_eq!(count("libp2p-quic", "0.13.0"), 1);
    assert_eq!(count("libp2p-quic", "0.13.1"), 0);
    assert_eq!(count("libp2p-quic", "0.2.9"), 1);
    assert_eq!(count("libp2p-gossipsub", "0.49.3"), 3);
    assert_eq!(count("libp2p-gossipsub", "0.49.4"), 2);
    assert_eq!(count("libp2p-gossipsub", "0.50.0"), 1);
    assert_eq!(count("libp2p-gossipsub", "0.50.1"), 0);
    assert_eq!(count("yamux", "0.13.9"), 2);
    assert_eq!(count("quinn", "0.11.0"), 0);
}
