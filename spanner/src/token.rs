//! The token: an invite as a line of text that a person carries to a new machine.
//!
//! It holds the fleet's id, where the bolts are and which keys they have, and the seed whose public half the
//! invite names. The seed is a secret until it is spent: it never crosses the wire, no bolt holds it, and it is
//! not printed by `Debug`. The text is `vigo1` and then base 32 in lower case with a checksum, so that it
//! survives being dictated, and a slip is told from a spent token.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use minicbor::{Decode, Encode};
use vigo_base::text::escaped;
use vigo_base::{Hash, PublicKey, SecretKey, SpannerId, Time, codec, limits};
use zeroize::Zeroizing;

use crate::act::{NameRule, NodeKind};

/// What every token begins with; the digit is its version.
const PREFIX: &str = "vigo1";
const CHECKSUM: usize = 4;
/// Bolts named in one token.
pub const TOKEN_BOLTS: usize = 8;
/// Bytes of a decoded token.
const TOKEN_BYTES: usize = 4096;

/// One bolt as a token names it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TokenBolt {
    /// Its key: whoever answers with another one is not it.
    #[n(0)]
    pub key: PublicKey,
    /// Where its peer channel listens: `host:port`, `192.0.2.1:1531`, `[2001:db8::1]:1531`.
    #[n(1)]
    pub addresses: Vec<String>,
}

/// An invite to carry.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The fleet.
    pub spanner: SpannerId,
    /// Bolts that may spend it.
    pub bolts: Vec<TokenBolt>,
    /// The seed of the invite's key.
    pub seed: Zeroizing<[u8; 32]>,
    /// What the machine becomes.
    pub kind: NodeKind,
    /// The name it may take.
    pub name: NameRule,
    /// When bolts stop taking it.
    pub until: Time,
}

#[derive(Encode, Decode)]
struct Wire {
    #[n(0)]
    spanner: SpannerId,
    #[n(1)]
    bolts: Vec<TokenBolt>,
    #[n(2)]
    seed: Hash,
    #[n(3)]
    kind: NodeKind,
    #[n(4)]
    name: NameRule,
    #[n(5)]
    until: Time,
}

/// Why text is no token. None of these says that a token is spent: only a bolt knows that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Something else was pasted.
    #[error(
        "a token begins with {PREFIX}, found {found:?}: copy the whole line that `vigocli spanner invite` printed"
    )]
    NotAToken {
        /// How it begins, escaped.
        found: String,
    },
    /// Made by a later program.
    #[error(
        "this is a token of version {found:?} and this program reads version 1: install the fleet's version of vigo first"
    )]
    Version {
        /// The version found.
        found: char,
    },
    /// A character that no token has.
    #[error(
        "character {place} of the token is {found:?}; a token has only the letters a to z and the digits 2 to 7"
    )]
    Character {
        /// Where, counted from 1.
        place: usize,
        /// What stands there, escaped.
        found: String,
    },
    /// It was cut or mistyped.
    #[error(
        "the token's checksum does not fit: it was cut short or mistyped ({found} characters arrived); copy it again"
    )]
    Checksum {
        /// How many characters there are.
        found: usize,
    },
    /// The checksum fits and the content does not: it was never a token of ours.
    #[error("the token is intact but makes no sense: {why}")]
    Senseless {
        /// What is wrong.
        why: String,
    },
}

/// The token's time is over, as far as this machine's clock knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the token expired {} ago, at {}; this machine's clock says {}. If the clock is wrong, set it; otherwise ask for a new one: vigocli spanner invite",
    span(.now.since(*.until)), .until.rfc3339(), .now.rfc3339()
)]
pub struct TokenExpired {
    /// When it expired.
    pub until: Time,
    /// What this machine's clock says.
    pub now: Time,
}

/// A length of time for people: `3 hours`.
pub(crate) fn span(micros: u64) -> String {
    let secs = micros / 1_000_000;
    let (n, unit) = match secs {
        0..=119 => (secs, "second"),
        120..=7_199 => (secs / 60, "minute"),
        7_200..=172_799 => (secs / 3_600, "hour"),
        _ => (secs / 86_400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

impl Token {
    /// The key that signs for the node that joins.
    pub fn key(&self) -> SecretKey {
        SecretKey::from_seed(*self.seed)
    }

    /// Whether bolts would still take it, by this machine's clock. A token that the clock calls expired may be
    /// tried all the same: the bolt's clock decides.
    ///
    /// # Errors
    /// [`TokenExpired`], which says by how much and mentions the clock.
    pub fn check(&self, now: Time) -> Result<(), TokenExpired> {
        if now <= self.until { Ok(()) } else { Err(TokenExpired { until: self.until, now }) }
    }

    /// The line of text. It holds the secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(codec::encode(&Wire {
            spanner: self.spanner,
            bolts: self.bolts.clone(),
            seed: Hash(*self.seed),
            kind: self.kind,
            name: self.name.clone(),
            until: self.until,
        }));
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        Zeroizing::new(format!("{PREFIX}{}", base32(&bytes)))
    }
}

impl FromStr for Token {
    type Err = BadToken;
    fn from_str(text: &str) -> Result<Token, BadToken> {
        let text = text.trim();
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let Some(rest) = lower.strip_prefix("vigo") else {
            return Err(BadToken::NotAToken { found: escaped(text).chars().take(12).collect() });
        };
        match rest.chars().next() {
            Some('1') => {}
            Some(found @ '0'..='9') => return Err(BadToken::Version { found }),
            _ => return Err(BadToken::NotAToken { found: escaped(text).chars().take(12).collect() }),
        }
        let bytes = from_base32(&rest[1..])?;
        let cut = BadToken::Checksum { found: text.chars().count() };
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| cut.clone())?;
        if checksum(body) != *sum {
            return Err(cut);
        }
        let wire: Wire =
            codec::decode(body, TOKEN_BYTES).map_err(|why| BadToken::Senseless { why: why.to_string() })?;
        if wire.bolts.is_empty() || wire.bolts.len() > TOKEN_BOLTS {
            return Err(BadToken::Senseless { why: format!("it names {} bolts", wire.bolts.len()) });
        }
        let odd = |a: &String| a.len() > 261 || a.bytes().any(|b| !b.is_ascii_graphic());
        if wire.bolts.iter().any(|b| b.addresses.len() > limits::ADDRESSES || b.addresses.iter().any(odd)) {
            return Err(BadToken::Senseless { why: "a bolt's address is not one".into() });
        }
        Ok(Token {
            spanner: wire.spanner,
            bolts: wire.bolts,
            seed: Zeroizing::new(wire.seed.0),
            kind: wire.kind,
            name: wire.name,
            until: wire.until,
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(for one {} {} of {:?})", self.kind, self.name, self.spanner)
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let hash = Hash::of_parts(&[b"vigo/token\0", body]);
    std::array::from_fn(|i| hash.0[i])
}

fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn from_base32(text: &str) -> Result<Zeroizing<Vec<u8>>, BadToken> {
    if let Some((i, c)) = text.chars().enumerate().find(|(_, c)| !matches!(c, 'a'..='z' | '2'..='7')) {
        let place = PREFIX.len() + i + 1;
        return Err(BadToken::Character { place, found: escaped(&c.to_string()) });
    }
    if text.len() > (TOKEN_BYTES + CHECKSUM) * 2 {
        return Err(BadToken::Senseless { why: format!("longer than {TOKEN_BYTES} bytes") });
    }
    let upper = Zeroizing::new(text.to_ascii_uppercase());
    let bytes = BASE32_NOPAD.decode(upper.as_bytes());
    bytes.map(Zeroizing::new).map_err(|_| BadToken::Checksum { found: PREFIX.len() + text.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::time::{hours, mins};

    fn token() -> Token {
        Token {
            spanner: SpannerId(Hash::of(b"fleet")),
            bolts: vec![TokenBolt {
                key: SecretKey::from_seed([1; 32]).public(),
                addresses: vec!["192.0.2.1:1531".into()],
            }],
            seed: Zeroizing::new([7; 32]),
            kind: NodeKind::Envoy,
            name: NameRule::Pattern("web*".parse().unwrap()),
            until: Time(1_795_162_500 * 1_000_000),
        }
    }

    fn refusal(text: &str) -> String {
        text.parse::<Token>().unwrap_err().to_string()
    }

    #[test]
    fn a_token_survives_the_terminal() {
        let text = token().to_text();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!("  {}\n", text.to_uppercase()).parse(), Ok(token()));
        assert!(text.len() < 260, "one bolt: {} characters", text.len());
        let shown = format!("{:?}", token());
        assert!(!shown.contains("0707") && !shown.contains("7, 7"), "{shown}");
    }

    #[test]
    fn every_mistyped_character_and_every_cut_is_noticed() {
        let text = token().to_text();
        for i in PREFIX.len()..text.len() {
            let mut bent = text.as_bytes().to_vec();
            bent[i] = if bent[i] == b'a' { b'b' } else { b'a' };
            let bent = String::from_utf8(bent).unwrap();
            assert!(bent.parse::<Token>().is_err(), "character {i}");
            assert!(text[..i].parse::<Token>().is_err(), "cut to {i}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let text = token().to_text();
        assert!(refusal("hello world").contains("begins with vigo1, found \"hello world\""));
        assert!(refusal("").contains("begins with vigo1"));
        assert!(refusal("vigo2abc").contains("version '2'"));
        assert!(refusal(&text.replacen('a', "!", 1)).contains("is \"!\""));
        assert!(refusal(&text[..60]).contains("cut short or mistyped (60 characters arrived)"));
        assert!(refusal("vigo1").contains("checksum"));
        let ours = |body: &[u8]| format!("{PREFIX}{}", base32(&[body, &checksum(body)].concat()));
        assert!(refusal(&ours(b"x")).contains("intact but makes no sense"));
        let empty = Token { bolts: vec![], ..token() };
        assert!(refusal(&empty.to_text()).contains("names 0 bolts"));
    }

    #[test]
    fn an_expired_token_mentions_the_clock() {
        let t = token();
        assert_eq!(t.check(t.until), Ok(()));
        let message = t.check(t.until.after(hours(3) + mins(1))).unwrap_err().to_string();
        assert!(message.starts_with(
            "the token expired 3 hours ago, at 2026-11-20T08:15:00Z; this machine's clock says"
        ));
        assert!(message.contains("If the clock is wrong, set it"));
        assert_eq!((span(1_000_000), span(400 * 86_400 * 1_000_000)), ("1 second".into(), "400 days".into()));
    }
}
