//! The commands of `vigo`: this machine and you.

pub mod applier;
pub mod apply;
pub mod bench;
pub mod generate;
pub mod init;
pub mod install;
pub mod join;
pub mod node;
pub mod service;
pub mod starter;
pub mod state;
