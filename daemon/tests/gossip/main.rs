//! The gossip plane with real libp2p: an honest fleet, and peers written for the test that are not.

mod honest;
mod hostile;
#[path = "../fleet/house.rs"]
#[allow(dead_code, reason = "the other fleet uses the rest")]
mod house;
mod raw;
