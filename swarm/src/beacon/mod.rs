//! "I am here": how nodes on one LAN find each other without having been told of each other.
//!
//! A [`Packet`] goes to a multicast group that no router passes on ([`GROUP_V4`], [`GROUP_V6`], port [`PORT`]). A
//! [`Here`] names one member, the one address at which it takes connections and short digests of what everybody
//! holds; a [`Probe`] asks for such packets. Both are signed. Every answer is another packet to the group: nothing
//! is ever sent to an address because a packet came from it or names it, except one dial.
//!
//! [`Beacons`] is the one gate for what is heard: limits by source before anything is read, then the form, the
//! fleet, the source against the named address, the replay window, and last the signature. [`Pace`] says when to
//! speak. What this module never does: believe a packet. Whoever it names is only dialed, and papers decide.
//!
//! Invariant: whatever is heard, at most one dial a minute goes to one key and to one address, and memory is bounded.

mod choice;
mod ear;
mod gate;
mod pace;
mod packet;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use choice::{Choice, Interface, NAME_BYTES};
pub use ear::{Ear, Rates};
pub use gate::{Beacons, Heard, Ignored};
pub use pace::Pace;
pub use packet::{
    BadBeacon, Claim, DIGEST_BYTES, Here, LABEL_BYTES, PACKET_BYTES, Packet, Probe, Short, label, short,
};

/// The port of all beacons.
pub const PORT: u16 = 1531;
/// The IPv4 group: link-local, so that routers do not pass it on.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 42);
/// The IPv6 group: link-local scope, transient (nobody assigned it), with a group id of the range that RFC 3307
/// leaves to such: `ff12::8a2a:1531`.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0x8a2a, 0x1531);
