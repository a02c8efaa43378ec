//! Which interfaces a beacon uses: all that are a LAN, none, or those that are named.
//!
//! It looks at descriptions only; the daemon makes them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Bytes of an interface's name, as the kernel has it.
pub const NAME_BYTES: usize = 15;

/// A network interface of this machine that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its addresses, of each family the one that packets leave with first.
    pub addresses: Vec<IpAddr>,
    /// Whether it is no LAN: loopback, or a line to one other machine.
    #[serde(default)]
    pub apart: bool,
}

/// What the operator of the machine wants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Choice {
    /// As the fleet setting `beacon.enabled` says, on every LAN.
    #[default]
    Auto,
    /// Neither sent nor heard.
    Off,
    /// On the interfaces with these names, whatever the fleet setting says.
    Only(Vec<String>),
}

impl Choice {
    /// Whether a beacon may use this interface.
    pub fn takes(&self, interface: &Interface) -> bool {
        match self {
            Choice::Auto => !interface.apart,
            Choice::Off => false,
            Choice::Only(names) => names.contains(&interface.name),
        }
    }

    /// Whether beacons are on, where the fleet setting says `setting`.
    pub fn is_on(&self, setting: bool) -> bool {
        match self {
            Choice::Auto => setting,
            Choice::Off => false,
            Choice::Only(_) => true,
        }
    }
}

impl Interface {
    /// The address that an IPv4 packet leaves with here.
    pub fn v4(&self) -> Option<IpAddr> {
        self.addresses.iter().copied().find(IpAddr::is_ipv4)
    }

    /// The address that a packet to a link-local IPv6 group leaves with here.
    pub fn v6(&self) -> Option<IpAddr> {
        let local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        self.addresses.iter().copied().find(local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lan_is_taken_and_what_is_apart_only_by_name() {
        let of = |name: &str, apart| Interface { index: 1, name: name.into(), addresses: vec![], apart };
        let (eth, lo) = (of("eth0", false), of("lo", true));
        let named = Choice::Only(vec!["lo".into()]);
        assert!(Choice::Auto.takes(&eth) && !Choice::Auto.takes(&lo));
        assert!(!Choice::Off.takes(&eth) && !Choice::Off.is_on(true));
        assert!(named.takes(&lo) && !named.takes(&eth) && named.is_on(false));
        assert!(Choice::Auto.is_on(true) && !Choice::Auto.is_on(false));
    }
}
