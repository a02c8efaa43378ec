//! Checks over the whole tree.
//!
//! This crate holds no code that ships. Its `[[test]]` targets are `tidy` (what the compiler does not check
//! about the tree: edges between crates, lengths, banned names, docs) and `lab_selftest` (the lab of network
//! namespaces that other tests stand on, tried on itself). It never weakens a check to let code in: a breach
//! says what to do instead.
