//! UDP sockets of the peer channel: bound exclusively, then opened for the beacon to share the port.
//!
//! It never joins a multicast group, and takes care that a wildcard socket gets no multicast of others.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Bytes asked for as the kernel's buffers. A flood must not push honest packets out before this process gets its turn.
const KERNEL_BUFFER: usize = 2 * 1024 * 1024;

/// A socket on exactly this address. An IPv6 socket is never dual-stack, so that `0.0.0.0` and `[::]` can have
/// the same port.
///
/// # Errors
/// What the system says: mostly that the address is in use or not of this machine.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = match bind_alone(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.ip().is_unspecified() => {
            // Beacons of other nodes on this machine stand in the way of a wildcard, and take no packet of ours. One
            // address that they do not have tells them from a second peer channel.
            let guard = bind_alone(SocketAddr::new(loopback(address), address.port()));
            let guard = guard.map_err(|_| error)?;
            let socket = unbound(address)?;
            guard.set_reuse_address(true)?;
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket
        }
        bound => bound?,
    };
    // Only now: set before, a second node could take the same port unnoticed.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_multicast_all_v6(false)?;
    } else {
        socket.set_multicast_all_v4(false)?;
    }
    // Beyond the limit of the system if this process may, else up to it.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, KERNEL_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    }
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
    Ok(socket.into())
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn bind_alone(address: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn loopback(address: SocketAddr) -> IpAddr {
    if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

/// Any free port of all addresses of the same family as `like`.
pub(crate) fn any(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Whether a socket bound to `local` can send to `remote`.
pub(crate) fn reaches(local: SocketAddr, remote: SocketAddr) -> bool {
    local.is_ipv4() == remote.is_ipv4()
        && (local.ip().is_unspecified() || local.ip().is_loopback() == remote.ip().is_loopback())
}
