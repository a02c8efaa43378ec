//! Ed25519 keys and the one place where signatures are checked.
//!
//! Every signature covers a [`Domain`] tag and the fleet it belongs to, so that none can be replayed as
//! another kind of thing or in another fleet. [`PublicKey::verify`] is strict (RFC 8032 with cofactorless
//! check, low-order keys and `R` refused): the laxer `verify` of the library is never called.
//!
//! Invariant: a [`PublicKey`] that exists is a point of large order. Weak keys do not parse.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::hash::{SpannerId, fixed};

/// What a signature is for. The tag is part of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A record by a node.
    Record,
    /// A statement by an operator, the recovery key or a puddle.
    Statement,
    /// A beacon on the LAN.
    Beacon,
    /// The proof that the holder of an invite's seed stands behind a node key.
    Enrol,
}

impl Domain {
    fn tag(self) -> &'static [u8] {
        match self {
            Domain::Record => b"vigo/record\0",
            Domain::Statement => b"vigo/statement\0",
            Domain::Beacon => b"vigo/beacon\0",
            Domain::Enrol => b"vigo/enrol\0",
        }
    }

    fn message(self, spanner: &SpannerId, message: &[u8]) -> Vec<u8> {
        let tag = self.tag();
        let mut out = Vec::with_capacity(tag.len() + 32 + message.len());
        out.extend_from_slice(tag);
        out.extend_from_slice(&spanner.0.0);
        out.extend_from_slice(message);
        out
    }
}

/// An Ed25519 public key of large order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// An Ed25519 signature, not yet checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// A private key. It leaves memory when dropped and is never printed.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// A signature that does not hold, or a key that may not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The bytes are no point of large order.
    #[error("not a usable Ed25519 public key")]
    WeakKey,
    /// The signature does not verify strictly.
    #[error("the signature does not verify")]
    Mismatch,
}

impl PublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`BadSignature::WeakKey`] if they are no curve point, or one of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<PublicKey, BadSignature> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(PublicKey(bytes)),
            _ => Err(BadSignature::WeakKey),
        }
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks a signature strictly: the only check of signatures in the project.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not hold for this domain, fleet and message.
    pub fn verify(
        &self,
        domain: Domain,
        spanner: &SpannerId,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        self.verify_raw(&domain.message(spanner, message), signature)
    }

    /// The key with these bytes, if it signed this message: [`PublicKey::from_bytes`] and [`PublicKey::verify`] in
    /// one, which looks at the curve point once.
    ///
    /// # Errors
    /// [`BadSignature`] when the bytes are no key that may sign, or the signature does not hold.
    pub fn that_signed(
        bytes: [u8; 32],
        domain: Domain,
        spanner: &SpannerId,
        message: &[u8],
        signature: &Signature,
    ) -> Result<PublicKey, BadSignature> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| BadSignature::WeakKey)?;
        if key.is_weak() {
            return Err(BadSignature::WeakKey);
        }
        strictly(&key, &domain.message(spanner, message), signature)?;
        Ok(PublicKey(bytes))
    }

    /// [`PublicKey::verify`] over the bare message. Public so that test vectors, which have no domain, go
    /// through the same check; nothing else calls it.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not hold.
    #[doc(hidden)]
    pub fn verify_raw(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature::WeakKey)?;
        strictly(&key, message, signature)
    }

    /// The first twelve hex digits, for people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }

    /// A UUIDv8 (RFC 9562) from the hash of the key: how an envoy is addressed by programs.
    pub fn uuid(&self) -> String {
        let mut b = crate::Hash::of(&self.0).0;
        b[6] = (b[6] & 0x0f) | 0x80;
        b[8] = (b[8] & 0x3f) | 0x80;
        let h = hex::encode(&b[..16]);
        format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
    }
}

/// The one call of the library's check.
fn strictly(key: &VerifyingKey, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    key.verify_strict(message, &signature).map_err(|_| BadSignature::Mismatch)
}

impl SecretKey {
    /// The key with this RFC 8032 seed.
    pub fn from_seed(seed: [u8; 32]) -> SecretKey {
        SecretKey(SigningKey::from_bytes(&seed))
    }

    /// The seed, for storing it.
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `message` for one domain of one fleet.
    pub fn sign(&self, domain: Domain, spanner: &SpannerId, message: &[u8]) -> Signature {
        Signature(self.0.sign(&domain.message(spanner, message)).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().short())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

/// Text that is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a public key of 64 hexadecimal digits, found {0:?}")]
pub struct BadKey(pub String);

impl FromStr for PublicKey {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<PublicKey, BadKey> {
        let bad = || BadKey(text.chars().take(80).collect());
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| bad())?;
        PublicKey::from_bytes(bytes).map_err(|_| bad())
    }
}

crate::spelled_in_serde!(PublicKey);

impl<C> Encode<C> for PublicKey {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for PublicKey {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<PublicKey, minicbor::decode::Error> {
        PublicKey::from_bytes(fixed(d)?).map_err(|_| minicbor::decode::Error::message("weak public key"))
    }
}

impl<C> Encode<C> for Signature {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Signature {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Signature, minicbor::decode::Error> {
        fixed(d).map(Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;

    #[test]
    fn a_signature_is_bound_to_domain_fleet_and_message() {
        let key = SecretKey::from_seed([1; 32]);
        let (ours, theirs) = (SpannerId(Hash::of(b"ours")), SpannerId(Hash::of(b"theirs")));
        let signature = key.sign(Domain::Record, &ours, b"m");
        let check = |d, s, m: &[u8]| key.public().verify(d, s, m, &signature);
        assert_eq!(check(Domain::Record, &ours, b"m"), Ok(()));
        assert_eq!(check(Domain::Beacon, &ours, b"m"), Err(BadSignature::Mismatch));
        assert_eq!(check(Domain::Record, &theirs, b"m"), Err(BadSignature::Mismatch));
        assert_eq!(check(Domain::Record, &ours, b"n"), Err(BadSignature::Mismatch));
        let bytes = *key.public().as_bytes();
        let signed = |m: &[u8]| PublicKey::that_signed(bytes, Domain::Record, &ours, m, &signature);
        assert_eq!((signed(b"m"), signed(b"n")), (Ok(key.public()), Err(BadSignature::Mismatch)));
        let other = SecretKey::from_seed([2; 32]).public();
        assert_eq!(other.verify(Domain::Record, &ours, b"m", &signature), Err(BadSignature::Mismatch));
    }

    #[test]
    fn weak_keys_do_not_exist() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(identity), Err(BadSignature::WeakKey));
        assert_eq!(PublicKey::from_bytes([0; 32]), Err(BadSignature::WeakKey));
        let signature = SecretKey::from_seed([1; 32]).sign(Domain::Record, &SpannerId::default(), b"m");
        let weak = PublicKey::that_signed(identity, Domain::Record, &SpannerId::default(), b"m", &signature);
        assert_eq!(weak, Err(BadSignature::WeakKey));
        assert!(hex::encode(identity).parse::<PublicKey>().is_err());
        assert!(crate::codec::decode::<PublicKey>(&crate::codec::encode(&Hash(identity)), 64).is_err());
    }

    #[test]
    fn a_uuid_has_version_eight() {
        let uuid = SecretKey::from_seed([1; 32]).public().uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"));
        assert!("89ab".contains(&uuid[19..20]));
    }
}
