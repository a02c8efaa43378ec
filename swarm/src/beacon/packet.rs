//! The packet: a frozen envelope around a canonical body, and a signature over all of it.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `VIGO` |
//! | 1 | the version of the body: 1 |
//! | up to 443 | the body, canonical CBOR |
//! | 64 | the signature of the sender's key over all bytes before it, with `Domain::Beacon` and the fleet's id |
//!
//! A [`Claim`] is a packet that was read and proves nothing; only [`Claim::verify`] gives its content with the key
//! that signed it. No part of a packet is outside the signature.

use std::net::{IpAddr, SocketAddr};

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Decoder, Encode, Encoder};
use vigo_base::codec::{self, BadBytes};
use vigo_base::key::{BadSignature, Domain};
use vigo_base::{Hash, PublicKey, SecretKey, Signature, SpannerId, Time};

use crate::peers::Kind;

/// Bytes of a packet, at most.
pub const PACKET_BYTES: usize = 512;
/// Bytes of a fleet's label in a packet.
pub const LABEL_BYTES: usize = 32;
/// Bytes that are left of a digest.
pub const DIGEST_BYTES: usize = 12;

const MAGIC: [u8; 4] = *b"VIGO";
const VERSION: u8 = 1;
const HEAD: usize = 5;
const SIGNATURE: usize = 64;

/// A digest of a space, cut short: enough to see that two sets differ.
pub type Short = [u8; DIGEST_BYTES];

/// Why bytes are no beacon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBeacon {
    /// Too long, too short, or without the magic.
    #[error("no beacon")]
    Foreign,
    /// Of another version.
    #[error("a beacon of version {found}; {VERSION} is read")]
    Version {
        /// The version.
        found: u8,
    },
    /// The body.
    #[error(transparent)]
    Body(#[from] BadBytes),
    /// A value that nobody may send.
    #[error("{0}")]
    Value(&'static str),
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A member is here.
    Here(Here),
    /// Who is there?
    Probe(Probe),
}

/// A member is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// Its fleet.
    pub spanner: SpannerId,
    /// What it says it is.
    pub kind: Kind,
    /// The one address at which it takes connections. An IPv6 address has no scope here.
    pub address: SocketAddr,
    /// What people call the fleet, at most [`LABEL_BYTES`].
    pub label: String,
    /// The sender's wall clock, and greater than in every earlier packet of its process.
    pub time: Time,
    /// Tells two packets of one moment apart.
    pub nonce: u64,
    /// Whether it knows nobody: others should let themselves be heard.
    pub seeks: bool,
    /// Digests of `admissions`, `config` and `settings`, in this order.
    pub digests: [Short; 3],
}

/// Who is there?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Of this fleet; of any if none.
    pub spanner: Option<SpannerId>,
    /// The sender's wall clock.
    pub time: Time,
    /// Tells two packets of one moment apart.
    pub nonce: u64,
}

/// The first bytes of a digest.
pub fn short(digest: &Hash) -> Short {
    let mut out = [0; DIGEST_BYTES];
    out.copy_from_slice(&digest.0[..DIGEST_BYTES]);
    out
}

/// A fleet's label, cut to what fits.
pub fn label(text: &str) -> String {
    let fits = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LABEL_BYTES);
    text[..fits.last().unwrap_or(0)].to_string()
}

impl Packet {
    /// The packet, signed by `key`.
    pub fn sign(self, key: &SecretKey) -> Vec<u8> {
        let spanner = self.spanner().unwrap_or_default();
        let body = codec::encode(&Body::of(self, &key.public()));
        let mut bytes = [&MAGIC[..], &[VERSION], &body].concat();
        let signature = key.sign(Domain::Beacon, &spanner, &bytes);
        bytes.extend(signature.0);
        bytes
    }

    /// The fleet that it belongs to or asks for.
    pub fn spanner(&self) -> Option<SpannerId> {
        match self {
            Packet::Here(here) => Some(here.spanner),
            Packet::Probe(probe) => probe.spanner,
        }
    }

    /// Its time and nonce: greater in each packet of one process.
    pub fn moment(&self) -> (Time, u64) {
        match self {
            Packet::Here(here) => (here.time, here.nonce),
            Packet::Probe(probe) => (probe.time, probe.nonce),
        }
    }
}

/// A packet that was read and is not believed yet.
#[derive(Debug, Clone)]
pub struct Claim {
    packet: Packet,
    key: [u8; 32],
    signed: Vec<u8>,
    signature: Signature,
}

impl Claim {
    /// Reads a packet; no signature is checked and no curve point looked at.
    ///
    /// # Errors
    /// [`BadBeacon`] if it is none, of another version, not canonical, or with a value that nobody may send.
    pub fn decode(bytes: &[u8]) -> Result<Claim, BadBeacon> {
        if bytes.len() > PACKET_BYTES || bytes.len() <= HEAD + SIGNATURE || bytes[..4] != MAGIC {
            return Err(BadBeacon::Foreign);
        }
        if bytes[4] != VERSION {
            return Err(BadBeacon::Version { found: bytes[4] });
        }
        let (signed, signature) = bytes.split_at(bytes.len() - SIGNATURE);
        let body: Body = codec::decode(&signed[HEAD..], PACKET_BYTES)?;
        let mut raw = [0; SIGNATURE];
        raw.copy_from_slice(signature);
        let (packet, key) = body.packet()?;
        Ok(Claim { packet, key, signed: signed.to_vec(), signature: Signature(raw) })
    }

    /// What it says.
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// The bytes that stand where the signer's key is.
    pub fn key_bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// What it says, with the key that signed it.
    ///
    /// # Errors
    /// [`BadSignature`] if the signature does not hold.
    pub fn verify(self) -> Result<(PublicKey, Packet), BadSignature> {
        let spanner = self.packet.spanner().unwrap_or_default();
        let key = PublicKey::that_signed(self.key, Domain::Beacon, &spanner, &self.signed, &self.signature)?;
        Ok((key, self.packet))
    }
}

/// The body as it is spelled.
#[derive(Encode, Decode)]
enum Body {
    #[n(0)]
    Here(#[n(0)] HereBody),
    #[n(1)]
    Probe(#[n(0)] ProbeBody),
}

#[derive(Encode, Decode)]
struct HereBody {
    #[n(0)]
    spanner: SpannerId,
    #[n(1)]
    key: ByteArray<32>,
    #[n(2)]
    kind: Kind,
    #[n(3)]
    ip: Ip,
    #[n(4)]
    port: u16,
    #[n(5)]
    label: String,
    #[n(6)]
    time: Time,
    #[n(7)]
    nonce: u64,
    #[n(8)]
    seeks: bool,
    #[n(9)]
    digests: ByteArray<{ 3 * DIGEST_BYTES }>,
}

#[derive(Encode, Decode)]
struct ProbeBody {
    #[n(0)]
    spanner: Option<SpannerId>,
    #[n(1)]
    key: ByteArray<32>,
    #[n(2)]
    time: Time,
    #[n(3)]
    nonce: u64,
}

/// An address as 4 or 16 bytes.
struct Ip(IpAddr);

impl Body {
    fn of(packet: Packet, key: &PublicKey) -> Body {
        let key = ByteArray::from(*key.as_bytes());
        match packet {
            Packet::Here(here) => {
                let mut digests = [0; 3 * DIGEST_BYTES];
                digests.copy_from_slice(here.digests.as_flattened());
                Body::Here(HereBody {
                    spanner: here.spanner,
                    key,
                    kind: here.kind,
                    ip: Ip(here.address.ip()),
                    port: here.address.port(),
                    label: label(&here.label),
                    time: here.time,
                    nonce: here.nonce,
                    seeks: here.seeks,
                    digests: digests.into(),
                })
            }
            Packet::Probe(Probe { spanner, time, nonce }) => {
                Body::Probe(ProbeBody { spanner, key, time, nonce })
            }
        }
    }

    fn packet(self) -> Result<(Packet, [u8; 32]), BadBeacon> {
        match self {
            Body::Probe(ProbeBody { spanner, key, time, nonce }) => {
                Ok((Packet::Probe(Probe { spanner, time, nonce }), *key))
            }
            Body::Here(body) => {
                let ip = body.ip.0;
                if body.port == 0 || ip.is_unspecified() || ip.is_multicast() {
                    return Err(BadBeacon::Value("the named address is none that can be dialed"));
                }
                if body.label.len() > LABEL_BYTES {
                    return Err(BadBeacon::Value("the label is too long"));
                }
                let mut digests = [Short::default(); 3];
                digests.as_flattened_mut().copy_from_slice(&*body.digests);
                let here = Here {
                    spanner: body.spanner,
                    kind: body.kind,
                    address: SocketAddr::new(ip, body.port),
                    label: body.label,
                    time: body.time,
                    nonce: body.nonce,
                    seeks: body.seeks,
                    digests,
                };
                Ok((Packet::Here(here), *body.key))
            }
        }
    }
}

impl<C> Encode<C> for Ip {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self.0 {
            IpAddr::V4(v4) => e.bytes(&v4.octets())?.ok(),
            IpAddr::V6(v6) => e.bytes(&v6.octets())?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for Ip {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Ip, minicbor::decode::Error> {
        let bytes = d.bytes()?;
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return Ok(Ip(v4.into()));
        }
        let v6 = <[u8; 16]>::try_from(bytes);
        v6.map(|v6| Ip(v6.into())).map_err(|_| minicbor::decode::Error::message("no address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Here {
        Here {
            spanner: SpannerId(Hash::of(b"fleet")),
            kind: Kind::Bolt,
            address: "[fe80::1:2:3:4]:1531".parse().unwrap(),
            label: "ö".repeat(40),
            time: Time(u64::MAX),
            nonce: u64::MAX,
            seeks: true,
            digests: [[7; DIGEST_BYTES]; 3],
        }
    }

    #[test]
    fn the_largest_packet_fits_and_comes_back() {
        let key = SecretKey::from_seed([1; 32]);
        let bytes = Packet::Here(here()).sign(&key);
        assert!(bytes.len() <= PACKET_BYTES, "{} bytes", bytes.len());
        let (signer, packet) = Claim::decode(&bytes).unwrap().verify().unwrap();
        let expected = Here { label: "ö".repeat(16), ..here() };
        assert_eq!((signer, packet), (key.public(), Packet::Here(expected)));
        let probe = Packet::Probe(Probe { spanner: None, time: Time(5), nonce: 6 });
        let claim = Claim::decode(&probe.clone().sign(&key)).unwrap();
        assert_eq!(claim.key_bytes(), key.public().as_bytes());
        assert_eq!(claim.verify().unwrap().1, probe);
    }

    #[test]
    fn no_byte_of_a_packet_is_outside_its_signature() {
        let bytes = Packet::Here(here()).sign(&SecretKey::from_seed([1; 32]));
        for at in 0..bytes.len() {
            for flip in [1, 0x80] {
                let mut bent = bytes.clone();
                bent[at] ^= flip;
                let good = Claim::decode(&bent).is_ok_and(|claim| claim.verify().is_ok());
                assert!(!good, "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_no_packet_is_told_apart() {
        let key = SecretKey::from_seed([1; 32]);
        let good = Packet::Here(here()).sign(&key);
        assert_eq!(Claim::decode(&[]).unwrap_err(), BadBeacon::Foreign);
        assert_eq!(Claim::decode(&[b'V'; 4096]).unwrap_err(), BadBeacon::Foreign);
        let newer = [&b"VIGO\x02"[..], &good[5..]].concat();
        assert_eq!(Claim::decode(&newer).unwrap_err(), BadBeacon::Version { found: 2 });
        assert!(matches!(Claim::decode(&good[..good.len() - 1]), Err(BadBeacon::Body(_))));
        let nowhere = Here { address: "0.0.0.0:1".parse().unwrap(), ..here() };
        let nowhere = Packet::Here(nowhere).sign(&key);
        assert!(matches!(Claim::decode(&nowhere), Err(BadBeacon::Value(_))));
    }

    #[test]
    fn a_packet_of_one_fleet_is_none_of_another_and_no_record() {
        let key = SecretKey::from_seed([1; 32]);
        let good = Packet::Here(here()).sign(&key);
        let (signed, signature) = good.split_at(good.len() - SIGNATURE);
        let signature = Signature(signature.try_into().unwrap());
        let check = |domain, spanner: &SpannerId| key.public().verify(domain, spanner, signed, &signature);
        assert_eq!(check(Domain::Beacon, &here().spanner), Ok(()));
        assert!(check(Domain::Beacon, &SpannerId::default()).is_err());
        assert!(check(Domain::Record, &here().spanner).is_err());
    }
}
