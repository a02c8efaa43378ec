//! Canonical bytes for everything that is signed, hashed or sent.
//!
//! Values are CBOR (RFC 8949) by way of `minicbor`. What this module never does is accept two encodings of
//! one value: [`decode`] encodes what it decoded and compares. The invariant it keeps: for all bytes that
//! decode, `encode(decode(bytes)) == bytes`.

use minicbor::{Decode, Encode};

/// Why bytes from a peer or a disk were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBytes {
    /// The bytes are no value of the expected type.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The bytes decode, but are not the one encoding of that value.
    #[error("not canonical")]
    NotCanonical,
    /// More bytes than the type may have.
    #[error("{found} bytes where at most {limit} are allowed")]
    TooLarge {
        /// How many bytes there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// The canonical encoding of `value`.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to a Vec cannot fail, and our types have no encoder that refuses.
    match minicbor::encode(value, &mut out) {
        Ok(()) => out,
        Err(_) => unreachable!("encoding into memory does not fail"),
    }
}

/// Decodes bytes that must be the canonical encoding of a `T`, with nothing behind it.
///
/// # Errors
/// [`BadBytes::TooLarge`] over `limit` bytes, [`BadBytes::Malformed`] or [`BadBytes::NotCanonical`].
pub fn decode<'b, T>(bytes: &'b [u8], limit: usize) -> Result<T, BadBytes>
where
    T: Decode<'b, ()> + Encode<()>,
{
    if bytes.len() > limit {
        return Err(BadBytes::TooLarge { found: bytes.len(), limit });
    }
    let value: T = minicbor::decode(bytes).map_err(|e| BadBytes::Malformed(e.to_string()))?;
    if encode(&value) != bytes {
        return Err(BadBytes::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_encoding() {
        let bytes = encode(&(1u64, "a".to_string()));
        assert_eq!(decode::<(u64, String)>(&bytes, 64), Ok((1, "a".into())));
        // 1 written in two bytes, and a trailing byte, are other spellings of the same value.
        assert_eq!(decode::<(u64, String)>(&[0x82, 0x18, 0x01, 0x61, b'a'], 64), Err(BadBytes::NotCanonical));
        assert_eq!(decode::<u64>(&[0x01, 0x00], 64), Err(BadBytes::NotCanonical));
        assert_eq!(decode::<u64>(&[0; 65], 64), Err(BadBytes::TooLarge { found: 65, limit: 64 }));
        assert!(matches!(decode::<u64>(&[0x61], 64), Err(BadBytes::Malformed(_))));
    }

    #[test]
    fn a_promised_length_takes_no_memory() {
        // An array and a byte string that claim 2^40 elements.
        assert!(decode::<Vec<u64>>(&[0x9b, 0, 0, 1, 0, 0, 0, 0, 0], 64).is_err());
        assert!(decode::<String>(&[0x7b, 0, 0, 1, 0, 0, 0, 0, 0], 64).is_err());
    }
}
