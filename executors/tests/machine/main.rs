//! The resource types and the run on both hosts, as stories, matrices and laws.

mod commands;
mod escapes;
mod homes;
mod laws;
mod matrix;
mod ownership;
mod pending;
mod runs;
mod software;
mod support;
mod users;
