//! Whole fleets, in one process: stories told twice, and random lives from seeds.
//!
//! - `stories`: what a fleet does on good and bad days;
//! - `audit`: what bolts write down, and that tampering with it shows (R14);
//! - `authority`: who may what, when statements come to different nodes in every order (R11);
//! - `edges`: the last one, one too many, one from below, after a restart;
//! - `power`: machines that lose power between any two outputs, and disks from the past (R4);
//! - `faults`: bad links and disks, hosts that drift, members that behave badly in every way of the library;
//! - `hostile`: members gone bad;
//! - `lan`: machines that find each other by beacons, and what a hostile neighbour can cause;
//! - `random`: seeded random lives with every fault (R1);
//! - `sketch`: many scattered differences, found by sketches;
//! - `skew`: clocks that are wrong;
//! - `soak`: random lives of large fleets over many hours, for `.ci/long`.

mod audit;
mod authority;
mod edges;
mod edges2;
mod gossip;
mod hostile;
mod lan;
mod power;
mod random;
mod sketch;
mod trouble;

mod skew;
mod soak;
mod stories;
