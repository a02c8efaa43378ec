//! Types that are their text: written as it, read by parsing it.
//!
//! Two macros for what a checked text has to say to CBOR and to serde. Invariant: what is read has passed the type's own
//! `FromStr`, so that no value of it comes past the check; what is written is its one spelling. They add no check and no
//! spelling of their own.

/// CBOR for a type with a text in its field `0` and a `FromStr`: a text string, and when it does not parse the error that
/// `$why` makes of the type's own.
#[macro_export]
macro_rules! spelled_in_cbor {
    ($type:ty, $why:expr) => {
        impl<C> ::minicbor::Encode<C> for $type {
            fn encode<W: ::minicbor::encode::Write>(
                &self,
                e: &mut ::minicbor::Encoder<W>,
                _: &mut C,
            ) -> ::core::result::Result<(), ::minicbor::encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> ::minicbor::Decode<'b, C> for $type {
            fn decode(
                d: &mut ::minicbor::Decoder<'b>,
                _: &mut C,
            ) -> ::core::result::Result<$type, ::minicbor::decode::Error> {
                let bad = $why;
                d.str()?.parse::<$type>().map_err(|e| ::minicbor::decode::Error::message(bad(e)))
            }
        }
    };
}

/// serde for a type with `Display` and `FromStr`: a string, and the type's own error.
#[macro_export]
macro_rules! spelled_in_serde {
    ($type:ty) => {
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, s: S) -> ::core::result::Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(d: D) -> ::core::result::Result<$type, D::Error> {
                let text = <::std::string::String as ::serde::Deserialize>::deserialize(d)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::codec::{decode, encode};
    use crate::{Hash, Hostname, PublicKey, SecretKey};

    #[test]
    fn the_bytes_are_those_of_the_text() {
        let name: Hostname = "WEB01".parse().unwrap();
        assert_eq!(encode(&name), b"\x65web01");
        assert_eq!(decode::<Hostname>(b"\x65web01", 100).unwrap(), name);
        let why = decode::<Hostname>(b"\x65web 1", 100).unwrap_err().to_string();
        assert!(why.contains("not a hostname"), "{why}");
        assert!(decode::<Hostname>(b"\x65WEB01", 100).is_err(), "there is one spelling");
        assert!(decode::<Hostname>(b"\x45web01", 100).is_err(), "bytes are no text");
    }

    #[test]
    fn json_is_the_text() {
        let (hash, key) = (Hash::of(b"x"), SecretKey::from_seed([7; 32]).public());
        let json = |text: &str| format!("\"{text}\"");
        assert_eq!(serde_json::to_string(&hash).unwrap(), json(&hash.to_string()));
        assert_eq!(serde_json::from_str::<Hash>(&json(&hash.to_string())).unwrap(), hash);
        assert_eq!(serde_json::to_string(&key).unwrap(), json(&key.to_string()));
        assert_eq!(serde_json::from_str::<PublicKey>(&json(&key.to_string())).unwrap(), key);
        let name: Hostname = serde_json::from_str("\"web01\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"web01\"");
        let why = serde_json::from_str::<Hostname>("\"a b\"").unwrap_err().to_string();
        assert!(why.contains("is no hostname"), "{why}");
    }
}
