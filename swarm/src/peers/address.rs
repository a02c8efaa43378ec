//! Where a peer may be dialed: a host and a UDP port.
//!
//! An [`Address`] is text that was checked: `192.0.2.7:1531`, `[2001:db8::7]:1531` or `bolt.example.org:1531`.
//! It resolves nothing and says nothing about who answers there.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use vigo_base::Hostname;

/// The longest address, in bytes: a hostname of 253 and a port.
pub const ADDRESS_BYTES: usize = 260;

/// A host (a literal address or a name) and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no address: {why}; expected HOST:PORT, as in 192.0.2.7:1531, [2001:db8::7]:1531 or bolt.example.org:1531"
)]
pub struct BadAddress {
    /// What was found, cut to 80 characters.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Address {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The literal address; none if the host is a name that must be resolved.
    pub fn literal(&self) -> Option<SocketAddr> {
        self.0.parse().ok()
    }

    /// Whether a stranger's word is enough to dial it: a literal address of one machine.
    pub fn is_plausible(&self) -> bool {
        self.literal()
            .is_some_and(|at| !at.ip().is_unspecified() && !at.ip().is_multicast() && at.port() != 0)
    }

    /// Whether it means something on this machine only: a link-local IPv6 address, of one of its interfaces.
    pub fn is_scoped(&self) -> bool {
        matches!(self.literal(), Some(SocketAddr::V6(at)) if at.ip().is_unicast_link_local())
    }
}

impl From<SocketAddr> for Address {
    fn from(at: SocketAddr) -> Address {
        Address(at.to_string())
    }
}

impl FromStr for Address {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Address, BadAddress> {
        let bad = |why| BadAddress { found: text.chars().take(80).collect(), why };
        if text.len() > ADDRESS_BYTES {
            return Err(bad("it is too long"));
        }
        if let Ok(literal) = text.parse::<SocketAddr>() {
            // One spelling for each.
            return Ok(Address(literal.to_string()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| bad("it has no port"))?;
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port: u16 =
            port.parse().ok().filter(|_| digits).ok_or_else(|| bad("its port is no number below 65536"))?;
        let host: Hostname =
            host.parse().map_err(|_| bad("its host is no address and no lower-case name"))?;
        Ok(Address(format!("{}:{port}", host.as_str())))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

vigo_base::spelled_in_cbor!(Address, |e: BadAddress| e.to_string());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_are_those_of_the_text() {
        let read = |bytes: &[u8]| vigo_base::codec::decode::<Address>(bytes, 100);
        let address: Address = "b:01".parse().unwrap();
        assert_eq!(vigo_base::codec::encode(&address), b"\x63b:1");
        assert_eq!(read(b"\x63b:1").unwrap(), address);
        assert!(read(b"\x63b-1").unwrap_err().to_string().contains("it has no port"));
    }

    #[test]
    fn addresses_have_one_spelling_and_nonsense_is_named() {
        for good in ["192.0.2.7:1531", "[2001:db8::7]:1531", "bolt.example.org:1531"] {
            assert_eq!(good.parse::<Address>().unwrap().as_str(), good);
        }
        assert_eq!("bolt:01531".parse::<Address>().unwrap().as_str(), "bolt:1531");
        for (bad, why) in [
            ("bolt", "it has no port"),
            ("bolt:x", "its port is no number below 65536"),
            ("bolt:70000", "its port is no number below 65536"),
            ("bo lt:1531", "its host is no address and no lower-case name"),
            ("a\nb:1", "its host is no address and no lower-case name"),
        ] {
            assert_eq!(bad.parse::<Address>().unwrap_err().why, why, "{bad:?}");
        }
        assert!(format!("{}:1", "a".repeat(300)).parse::<Address>().is_err());
        assert!(!"0.0.0.0:1531".parse::<Address>().unwrap().is_plausible());
        assert!(!"bolt.example.org:1531".parse::<Address>().unwrap().is_plausible());
        let scoped = "[fe80::1%3]:1531".parse::<Address>().unwrap();
        assert!(scoped.is_plausible() && scoped.is_scoped());
        assert_eq!(scoped.as_str(), "[fe80::1%3]:1531");
        assert!(!"[fd00::1]:1531".parse::<Address>().unwrap().is_scoped());
        assert!("10.0.0.1:1531".parse::<Address>().unwrap().is_plausible());
    }
}
