//! One UDP socket, joined to the beacons' group on one interface.
//!
//! It never takes the port from the peer channel: it is bound to the group's address, and the port is shared.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use vigo_node::swarm::beacon::{GROUP_V4, GROUP_V6};

/// Bytes asked for as the kernel's buffer: a flood does not push honest packets out at once.
const KERNEL_BUFFER: usize = 512 * 1024;

/// A socket and the group it sends to.
pub(super) struct Open {
    pub socket: UdpSocket,
    group: SocketAddr,
}

impl Open {
    /// A socket on the interface with this index, sending from `from`. Must be called within the runtime.
    pub fn new(index: u32, from: IpAddr, port: u16) -> io::Result<Open> {
        let (socket, group) = match from {
            IpAddr::V4(from) => v4(index, from, port)?,
            IpAddr::V6(_) => v6(index, port)?,
        };
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
        socket.set_nonblocking(true)?;
        Ok(Open { socket: UdpSocket::from_std(socket.into())?, group })
    }

    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_send_to(bytes, self.group)
    }
}

fn v4(index: u32, from: Ipv4Addr, port: u16) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    let group = SocketAddr::new(GROUP_V4.into(), port);
    socket.set_reuse_address(true)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_multicast_ttl_v4(1)?;
    socket.set_multicast_loop_v4(true)?;
    socket.set_multicast_if_v4(&from)?;
    socket.bind(&group.into())?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    Ok((socket, group))
}

fn v6(index: u32, port: u16) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    let group = SocketAddr::V6(SocketAddrV6::new(GROUP_V6, port, 0, index));
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.set_multicast_all_v6(false)?;
    socket.set_multicast_hops_v6(1)?;
    socket.set_multicast_loop_v6(true)?;
    socket.set_multicast_if_v6(index)?;
    socket.bind(&group.into())?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    Ok((socket, group))
}
