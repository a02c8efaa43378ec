//! Which interfaces this machine has, from the kernel.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use vigo_node::swarm::beacon::{Choice, Interface};

/// The interfaces that are up, have an address, and that `choice` takes.
pub(super) fn list(choice: &Choice) -> io::Result<Vec<Interface>> {
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    for each in getifaddrs()? {
        let flags = each.flags;
        let Some(address) = each.address.filter(|_| flags.contains(InterfaceFlags::IFF_UP)) else { continue };
        let v4 = address.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
        let Some(ip) = v4.or_else(|| address.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip()))) else {
            continue;
        };
        // A label (eth0:1) is an address of the interface before the colon.
        let name = each.interface_name.split(':').next().unwrap_or_default().to_string();
        let Ok(index) = if_nametoindex(name.as_str()) else { continue };
        let line = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_POINTOPOINT;
        let apart = flags.intersects(line) || !flags.contains(InterfaceFlags::IFF_MULTICAST);
        let interface =
            found.entry(name.clone()).or_insert(Interface { index, name, addresses: Vec::new(), apart });
        interface.addresses.push(ip);
    }
    let mut taken: Vec<Interface> = found.into_values().filter(|i| choice.takes(i)).collect();
    for interface in &mut taken {
        interface.addresses = [interface.v4(), interface.v6()].into_iter().flatten().collect();
    }
    taken.retain(|i| !i.addresses.is_empty());
    Ok(taken)
}
