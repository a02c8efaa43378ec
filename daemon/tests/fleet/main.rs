//! Whole nodes in this process, on loopback, with their state in temporary directories.

mod endings;
mod house;
mod stories;
