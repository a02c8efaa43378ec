//! The program on real machines: Debian with its systemd, installed and used as an operator does it.
//!
//! Each test boots machines of its own (`tests/lab/machines`, whose README says how to add one). Figures are printed
//! as `lab | promise | what | figure`. Nothing waits without a bound, and nothing outlives its test.

#[path = "../lab/mod.rs"]
mod lab;

mod discovery;
mod executors;
mod first_hour;
mod idle;
mod install;
mod lifetime;
mod people;
mod rights;
mod selftest;
mod software_stories;
mod story;
