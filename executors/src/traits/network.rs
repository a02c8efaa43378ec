//! `network.*`: the machine's name and addresses, from the kernel and `/etc/hosts`.
//!
//! It never asks a name server. Addresses that are of no use to others (loopback, link-local) are left out; the
//! list is sorted, IPv4 first, so that the same machine gives the same list.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::{LIST_ITEMS, clean, object, text_of};
use crate::host::Host;

/// The group.
pub(super) fn collect(host: &dyn Host) -> Value {
    let name = host.kernel().hostname;
    let name = clean(
        text_of(host, "/proc/sys/kernel/hostname").filter(|t| !t.trim().is_empty()).as_ref().unwrap_or(&name),
    );
    let hosts = text_of(host, "/etc/hosts").unwrap_or_default();
    let short = name.split('.').next().unwrap_or_default().to_owned();
    let mut all = object([("hostname", short), ("fqdn", fqdn(&name, &hosts))]);
    let v4 = text_of(host, "/proc/net/fib_trie").map(|t| v4(&t)).unwrap_or_default();
    let v6 = text_of(host, "/proc/net/if_inet6").map(|t| v6(&t)).unwrap_or_default();
    let addresses = v4.iter().map(Ipv4Addr::to_string).chain(v6.iter().map(Ipv6Addr::to_string));
    let addresses = addresses.take(LIST_ITEMS).map(Value::String).collect();
    all.insert("ip_addresses".into(), Value::Array(addresses));
    Value::Object(all)
}

/// The full name: the machine's own if it has a dot, else the first dotted name beside it in `/etc/hosts`.
fn fqdn(name: &str, hosts: &str) -> String {
    if name.is_empty() || name.contains('.') {
        return name.to_owned();
    }
    hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>())
        .filter(|names| names.contains(&name))
        .find_map(|names| names.into_iter().find(|n| n.split('.').next() == Some(name) && n.contains('.')))
        .map_or_else(|| name.to_owned(), clean)
}

/// The machine's own addresses in `/proc/net/fib_trie`: lines `|-- 10.0.0.5` before `/32 host LOCAL`.
fn v4(trie: &str) -> BTreeSet<Ipv4Addr> {
    let mut last = None;
    let mut found = BTreeSet::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.filter(|a| !a.is_loopback() && !a.is_link_local()));
        }
    }
    found
}

/// `/proc/net/if_inet6`: 32 hex digits, then index, prefix, scope, flags, interface.
fn v6(table: &str) -> BTreeSet<Ipv6Addr> {
    table
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|digits| digits.len() == 32)
        .filter_map(|digits| u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from))
        .filter(|a| !a.is_loopback() && !a.is_unicast_link_local())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;
    use serde_json::json;

    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.1.0.0/16 2 0 2\n        |-- 10.1.0.0\n           /16 link UNICAST\n        |-- 10.1.0.7\n           /32 host LOCAL\n        |-- 10.1.255.255\n           /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\nLocal:\n        |-- 10.1.0.7\n           /32 host LOCAL\n        |-- 169.254.3.4\n           /32 host LOCAL\n";
    const INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo\nfe80000000000000021122fffe334455 02 40 20 80     eth0\n20010db8000000000000000000000007 02 40 00 80     eth0\nbroken\n";

    #[test]
    fn names_and_addresses() {
        let host = FakeHost::new()
            .with_file("/proc/sys/kernel/hostname", "web-1\n")
            .with_file(
                "/etc/hosts",
                "127.0.0.1 localhost\n# 9.9.9.9 web-1.wrong\n10.1.0.7 web-1.example.org web-1\n",
            )
            .with_file("/proc/net/fib_trie", TRIE)
            .with_file("/proc/net/if_inet6", INET6);
        let expected = json!({"hostname": "web-1", "fqdn": "web-1.example.org",
            "ip_addresses": ["10.1.0.7", "2001:db8::7"]});
        assert_eq!(collect(&host), expected);
    }

    #[test]
    fn a_name_without_hosts_file_is_its_own_full_name() {
        let network = collect(&FakeHost::new());
        assert_eq!((&network["hostname"], &network["fqdn"]), (&json!("fake"), &json!("fake")));
        let long = FakeHost::new().with_file("/proc/sys/kernel/hostname", "db.example.org\n");
        assert_eq!(collect(&long)["hostname"], "db");
        assert_eq!(collect(&long)["fqdn"], "db.example.org");
    }
}
