//! The values that keys of `node.yaml` may have: from text to what it means, or what is wrong with it.
//!
//! Pure but for [`reachable`], which asks the kernel for this machine's addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use vigo_base::limits::ADDRESSES;
use vigo_base::text::{escaped, nearest};
use vigo_base::{Hostname, PublicKey};
use vigo_node::swarm::beacon::{Choice, NAME_BYTES};

use super::Announce;

/// Bytes of a socket's path, as the kernel has it.
pub(super) const SOCKET_BYTES: usize = 107;
/// Values in one list.
const ITEMS: usize = 64;

pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|e| format!("{:?} is no path: {e}", escaped(text)))
}

pub(super) fn socket(text: &str) -> Result<PathBuf, String> {
    let path = directory(text)?;
    let length = path.as_os_str().len();
    if length > SOCKET_BYTES {
        return Err(format!("the path has {length} bytes"));
    }
    Ok(path)
}

pub(super) fn user(text: &str) -> Result<String, String> {
    let well = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    match text.len() <= 64 && text.chars().all(well) {
        true => Ok(text.to_string()),
        false => Err(format!("found {:?}", escaped(text))),
    }
}

pub(super) fn word(text: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&text) {
        return Ok(text.to_string());
    }
    let hint = nearest(text, words.iter().copied()).map(|near| format!(" (did you mean {near}?)"));
    Err(format!("found {:?}{}", escaped(text), hint.unwrap_or_default()))
}

pub(super) fn seconds(text: &str, low: u64, high: u64) -> Result<u64, String> {
    let bad = || format!("found {:?}", escaped(text));
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    let count = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(bad)?;
    if (low..=high).contains(&count) { Ok(count) } else { Err(bad()) }
}

pub(super) fn listen(found: &[String]) -> Result<Vec<SocketAddr>, String> {
    bounded(found)?;
    if found.len() == 1 && matches!(found[0].as_str(), "none" | "") {
        return Ok(Vec::new());
    }
    let parse = |text: &String| {
        text.parse::<SocketAddr>().map_err(|_| {
            let text = escaped(text);
            format!("found {text:?}, which is no IP address with a port like 0.0.0.0:1531 or [::]:1531")
        })
    };
    found.iter().map(parse).collect()
}

/// A level, or levels by part of the program.
pub(super) fn level(found: &str) -> Result<String, String> {
    if found.contains('=') && crate::logging::is_filter(found) {
        return Ok(found.to_owned());
    }
    word(found, &["error", "warn", "info", "debug", "trace"])
}

pub(super) fn gossip(found: &[String]) -> Result<Option<Vec<SocketAddr>>, String> {
    match found {
        [one] if one == "auto" => Ok(None),
        some => listen(some).map(Some),
    }
}

pub(super) fn announce(found: &[String]) -> Result<Announce, String> {
    bounded(found)?;
    match found {
        [one] if one == "auto" => Ok(Announce::Auto),
        [one] if one == "none" || one.is_empty() => Ok(Announce::These(Vec::new())),
        many if many.len() > ADDRESSES => {
            Err(format!("{} addresses, at most {ADDRESSES} are announced", many.len()))
        }
        many => many.iter().map(|text| host_port(text)).collect::<Result<_, _>>().map(Announce::These),
    }
}

pub(super) fn peers(found: &[String]) -> Result<Vec<(String, Option<PublicKey>)>, String> {
    bounded(found)?;
    if found.len() == 1 && found[0].is_empty() {
        return Ok(Vec::new());
    }
    let parse = |text: &String| match text.split_once('@') {
        Some((key, address)) => {
            Ok((host_port(address)?, Some(key.parse::<PublicKey>().map_err(|e| e.to_string())?)))
        }
        None => Ok((host_port(text)?, None)),
    };
    found.iter().map(parse).collect()
}

pub(super) fn beacon(found: &[String]) -> Result<Choice, String> {
    bounded(found)?;
    let name = |text: &String| {
        let good = (1..=NAME_BYTES).contains(&text.len()) && !text.contains(|c: char| c == '/' || c <= ' ');
        let word = matches!(text.as_str(), "auto" | "off" | "on" | "yes" | "no" | "none" | "true" | "false");
        match good && !word {
            true => Ok(text.clone()),
            false => Err(format!("found {:?}, which is no name of an interface like eth0", escaped(text))),
        }
    };
    match found {
        [one] if one == "auto" => Ok(Choice::Auto),
        [one] if one == "off" => Ok(Choice::Off),
        [] => Err("there is no value".into()),
        names => names.iter().map(name).collect::<Result<_, _>>().map(Choice::Only),
    }
}

/// `host:port`, `1.2.3.4:port` or `[v6]:port`; the port may be left out.
pub fn host_port(text: &str) -> Result<String, String> {
    let bad =
        || format!("found {:?}, which is no host with a port like bolt1.example.com:1531", escaped(text));
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.to_string());
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, super::PORT).to_string());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(bad)?),
        None => (text, super::PORT),
    };
    let host: Hostname = host.parse().map_err(|_| bad())?;
    Ok(format!("{}:{port}", host.as_str()))
}

fn bounded(found: &[String]) -> Result<(), String> {
    if found.len() > ITEMS {
        Err(format!("{} values, at most {ITEMS} are read", found.len()))
    } else {
        Ok(())
    }
}

/// What to announce for the addresses that are bound: those themselves, and for 0.0.0.0 and [::] the addresses
/// of this machine's interfaces without loopback and link-local ones. At most [`ADDRESSES`].
pub(super) fn reachable(bound: &[SocketAddr]) -> Vec<String> {
    let mut out: Vec<SocketAddr> = Vec::new();
    for address in bound {
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                let table = std::fs::read_to_string("/proc/self/net/fib_trie").unwrap_or_default();
                out.extend(local_v4(&table).into_iter().map(|ip| SocketAddr::new(ip.into(), address.port())));
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                let table = std::fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default();
                out.extend(local_v6(&table).into_iter().map(|ip| SocketAddr::new(ip.into(), address.port())));
            }
            _ => out.push(*address),
        }
    }
    out.dedup();
    out.truncate(ADDRESSES);
    out.iter().map(SocketAddr::to_string).collect()
}

/// The addresses that `/proc/net/fib_trie` calls local: the line after an address says `/32 host LOCAL`.
fn local_v4(table: &str) -> Vec<Ipv4Addr> {
    let mut out: Vec<Ipv4Addr> = Vec::new();
    let mut last = None;
    for line in table.lines() {
        let line = line.trim_start_matches([' ', '|', '+', '-']);
        if line.starts_with("/32 host LOCAL") {
            out.extend(
                last.filter(|ip: &Ipv4Addr| !ip.is_loopback() && !ip.is_link_local() && !out.contains(ip)),
            );
        }
        last = line.split_whitespace().next().and_then(|word| word.parse().ok()).or(last);
    }
    out
}

/// The global and unique-local addresses in `/proc/net/if_inet6` (scope 00).
fn local_v6(table: &str) -> Vec<Ipv6Addr> {
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (hex, scope) = (fields.first()?, fields.get(3)?);
        (*scope == "00").then(|| u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from)).flatten()
    };
    table.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tables_are_read() {
        let v4 = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.77.0.1\n        /32 host LOCAL\n     |-- 10.77.255.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local_v4(v4), [Ipv4Addr::new(10, 77, 0, 1)]);
        let v6 = "fe800000000000000000000000000001 02 40 20 80 eth0\nfd000000000000000000000000000005 02 40 00 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\n";
        assert_eq!(local_v6(v6), ["fd00::5".parse::<Ipv6Addr>().unwrap()]);
    }

    #[test]
    fn what_is_bound_by_name_is_announced_as_it_is() {
        let bound = ["127.0.0.1:4000".parse().unwrap()];
        assert_eq!(reachable(&bound), ["127.0.0.1:4000"]);
    }

    #[test]
    fn hosts_and_ports() {
        for (text, expected) in [
            ("bolt1", "bolt1:1531"),
            ("bolt1.example.com:99", "bolt1.example.com:99"),
            ("10.0.0.1", "10.0.0.1:1531"),
            ("[::1]:5", "[::1]:5"),
            ("::1", "[::1]:1531"),
        ] {
            assert_eq!(host_port(text).as_deref(), Ok(expected));
        }
        for bad in ["", ":1", "a b:1", "bolt1:0", "bolt1:99999", "bolt1:x"] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }
}
