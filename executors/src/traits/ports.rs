//! `ports`: what listens on the machine: `proto` (`tcp`, `udp`), `address`, `port`.
//!
//! It never walks the processes: whose a socket is would cost a look at every open file of the machine. A UDP socket
//! counts when it is bound and takes packets from anybody. The list is sorted, so that the same sockets give the
//! same list.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use crate::host::Host;
use crate::path::HostPath;

/// Sockets in the list.
const MOST: usize = 1024;
/// Bytes read of each table. The kernel lists what listens before what is connected, so that the start is enough.
const TABLE_BYTES: u64 = 256 * 1024;
/// Protocol, table, and the state of a socket that waits for anybody.
const TABLES: [(&str, &str, &str); 4] = [
    ("tcp", "/proc/net/tcp", "0A"),
    ("tcp", "/proc/net/tcp6", "0A"),
    ("udp", "/proc/net/udp", "07"),
    ("udp", "/proc/net/udp6", "07"),
];

/// The trait; `None` where the kernel shows no tables.
pub(super) fn collect(host: &dyn Host) -> Option<Value> {
    let mut seen = false;
    let mut found = BTreeSet::new();
    for (proto, path, state) in TABLES {
        let Some(bytes) = HostPath::parse(path).ok().and_then(|p| host.read_start(&p, TABLE_BYTES).ok())
        else {
            continue;
        };
        seen = true;
        let text = String::from_utf8_lossy(&bytes);
        found.extend(
            text.lines().skip(1).filter_map(|l| listener(l, state)).map(|(port, at)| (proto, port, at)),
        );
    }
    let shown = |(proto, port, at): &(&str, u16, IpAddr)| json!({"proto": proto, "address": at.to_string(), "port": port});
    seen.then(|| found.iter().take(MOST).map(shown).collect())
}

/// Port and address of a line `0: 0100007F:1F90 00000000:0000 0A …`, if the socket is in that state.
fn listener(line: &str, state: &str) -> Option<(u16, IpAddr)> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _remote) = (fields.next()?, fields.next()?);
    if fields.next()? != state {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok().filter(|port| *port != 0)?;
    Some((port, ip(address)?))
}

/// An address as the kernel prints it: words of 32 bits in this machine's byte order.
fn ip(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(digits.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match digits.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (i, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(i * 8)?);
            }
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
        \x20  1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
        \x20  2: 0100007F:0016 0100007F:A3B2 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
        broken\n";
    const TCP6: &str = "  sl\n   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A x\n\
        \x20  1: 0000000000000000FFFF00000100007F:0CEA 00000000000000000000000000000000:0000 0A x\n";
    const UDP: &str =
        "  sl\n  10: 00000000:05FB 00000000:0000 07 x\n  11: 0100007F:0044 0100007F:0043 01 x\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_found_and_connections_are_not() {
        let host = FakeHost::new()
            .with_file("/proc/net/tcp", TCP)
            .with_file("/proc/net/tcp6", TCP6)
            .with_file("/proc/net/udp", UDP);
        let expected = json!([
            {"proto": "tcp", "address": "0.0.0.0", "port": 22},
            {"proto": "tcp", "address": "::", "port": 22},
            {"proto": "tcp", "address": "127.0.0.1", "port": 3306},
            {"proto": "tcp", "address": "127.0.0.1", "port": 8080},
            {"proto": "udp", "address": "0.0.0.0", "port": 1531},
        ]);
        assert_eq!(collect(&host), Some(expected));
        assert_eq!(collect(&FakeHost::new()), None);
        let quiet = FakeHost::new().with_file("/proc/net/tcp", "  sl\n");
        assert_eq!(collect(&quiet), Some(json!([])));
    }

    #[test]
    fn a_busy_table_is_read_from_its_start() {
        let busy = format!("{TCP}{}", "   9: 0100007F:0016 0100007F:A3B2 01 x\n".repeat(20_000));
        let found = collect(&FakeHost::new().with_file("/proc/net/tcp", busy)).unwrap();
        assert_eq!(found.as_array().unwrap().len(), 2);
    }
}
