//! UDP sockets of the peer channel: bound exclusively, then opened for the beacon to share the port.
//!
//! It never joins a multicast group, and takes care that a wildcard socket gets no multicast of others.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Bytes asked for as the kernel's buffers; it gives what its own limits allow.
const KERNEL_BUFFER: usize = 2 * 1024 * 1024;

/// A socket on exactly this address. An IPv6 socket is never dual-stack, so that `0.0.0.0` and `[::]` can have
/// the same port.
///
/// # Errors
/// What the system says: mostly that the address is in use or not of this machine.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    // Only now: set before, a second node could take the same port unnoticed.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_multicast_all_v6(false)?;
    } else {
        socket.set_multicast_all_v4(false)?;
    }
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
    Ok(socket.into())
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
