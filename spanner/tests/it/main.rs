//! The story tests of `vigo-spanner`, in one binary. Which module guards which promise of `threats.md`:
//!
//! - `r11`: concurrent admit and revoke converge (R11), in all orders of six statements.
//! - `props`: the same over random histories; nothing a revoked key does later ever counts (R10, R11).
//! - `nodes`: spends, names, uses, forks, cuts (R9: weak keys and bad signatures; R11: forks of one author).
//! - `papers`: what a peer that slept for months believes, and what it does not (R10).
//! - `enrol`: every refusal at the desk.
//! - `bounds`: limits kept to the item, and how things are spelled.
//! - `laws`: patterns, grants, tokens, words, papers: nothing widens, nothing changed is believed.

mod bounds;
mod enrol;
mod laws;
mod nodes;
mod papers;
mod props;
mod r11;
mod spaces;
mod world;
