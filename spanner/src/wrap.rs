//! The one envelope for private keys on disk.
//!
//! ```text
//! "vigo-key" | version 1 | protection 1 | purpose 1 | public key 32 | KiB 4 | passes 4 | lanes 4 | salt 16 | nonce 24 | sealed seed 48
//! ```
//!
//! Numbers are big-endian. The seed is sealed by XChaCha20-Poly1305 under a key that Argon2id makes from the
//! passphrase; everything before it is associated data, so that a changed cost, purpose or public key does not
//! open. The costs are compared with both bounds *before* memory is taken. In a file it stands as text between two
//! lines that say what it is.
//!
//! A key without a passphrase (for automation) has the same envelope with the seed in the clear, and says
//! UNPROTECTED in its first line.
//!
//! What this module never does: draw randomness (salt and nonce are arguments, fresh for every wrapping), or tell
//! a wrong passphrase from a changed file, which cannot be told apart.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::BASE64;
use vigo_base::{PublicKey, SecretKey};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"vigo-key";
const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const WRAPPED: u8 = 1;
const HEADER: usize = 8 + 3 + 32 + 12 + 16 + 24;
const SEALED: usize = 32 + 16;
/// Bytes of the largest file that is looked at.
const FILE_BYTES: usize = 4096;

/// What a key is for. An envelope of one purpose does not open as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An operator's key.
    Operator,
    /// The recovery key, for a drill; it is at home on paper.
    Recovery,
    /// A puddle's key.
    Puddle,
    /// A node's key.
    Node,
}

/// How much work a guess of the passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Cost {
        Cost { kib: 256 * 1024, passes: 3, lanes: 1 }
    }
}

/// The cheapest that is accepted: a thief who lowers the cost in a file gains nothing.
pub const COST_LEAST: Cost = Cost { kib: 256 * 1024, passes: 3, lanes: 1 };
/// The dearest that is accepted: a file cannot make us take more than 1 GiB.
pub const COST_MOST: Cost = Cost { kib: 1024 * 1024, passes: 16, lanes: 4 };

/// Why a key could not be wrapped or unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEnvelope {
    /// The text has no envelope.
    #[error("this is no vigo key: expected a line {expected:?}, found {found:?}")]
    NotAKey {
        /// The first line expected.
        expected: String,
        /// The first line found, escaped and cut.
        found: String,
    },
    /// The text between the lines is damaged.
    #[error("the key file is damaged: {why}")]
    Damaged {
        /// What is wrong.
        why: &'static str,
    },
    /// It was written by a later program.
    #[error("the key file has version {found}, this program reads version {VERSION}: use a newer vigo")]
    Version {
        /// The version found.
        found: u8,
    },
    /// It holds a key for something else.
    #[error("this is a key of the kind {found}, expected {expected}")]
    Purpose {
        /// The purpose expected.
        expected: &'static str,
        /// The purpose found.
        found: &'static str,
    },
    /// The cost is out of bounds. No memory was taken.
    #[error(
        "the key file asks for {what} = {found}, allowed are {least} to {most}: it was tampered with, or is not ours"
    )]
    Cost {
        /// Which of the three.
        what: &'static str,
        /// What is asked for.
        found: u32,
        /// The least allowed.
        least: u32,
        /// The most allowed.
        most: u32,
    },
    /// It does not open.
    #[error("wrong passphrase, or the key file was changed")]
    Passphrase,
    /// An empty passphrase protects nothing.
    #[error("an empty passphrase protects nothing: choose one, or ask for an unprotected key")]
    Empty,
    /// The machine has not the memory.
    #[error("could not derive the key: {why}")]
    Derivation {
        /// What Argon2 says.
        why: String,
    },
}

impl Purpose {
    const ALL: [Purpose; 4] = [Purpose::Operator, Purpose::Recovery, Purpose::Puddle, Purpose::Node];

    const fn code(self) -> u8 {
        match self {
            Purpose::Operator => 1,
            Purpose::Recovery => 2,
            Purpose::Puddle => 3,
            Purpose::Node => 4,
        }
    }

    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Purpose::Operator => "OPERATOR",
            Purpose::Recovery => "RECOVERY",
            Purpose::Puddle => "PUDDLE",
            Purpose::Node => "NODE",
        }
    }
}

impl Cost {
    fn check(&self) -> Result<(), BadEnvelope> {
        let within = |what, found, least, most| match (least..=most).contains(&found) {
            true => Ok(()),
            false => Err(BadEnvelope::Cost { what, found, least, most }),
        };
        within("memory in KiB", self.kib, COST_LEAST.kib, COST_MOST.kib)?;
        within("passes", self.passes, COST_LEAST.passes, COST_MOST.passes)?;
        within("lanes", self.lanes, COST_LEAST.lanes, COST_MOST.lanes)
    }
}

/// A key as it stands in a file: read, bounds checked, not opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    purpose: Purpose,
    public: PublicKey,
    cost: Option<Cost>,
    bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.is_wrapped() { "wrapped" } else { "unprotected" };
        write!(f, "Envelope({how} {} key of {:?})", self.purpose.as_str(), self.public)
    }
}

impl Envelope {
    /// Seals a key under a passphrase. `salt` and `nonce` must be fresh random bytes. Takes `cost.kib` of memory
    /// and, at the default cost, about half a second.
    ///
    /// # Errors
    /// [`BadEnvelope::Empty`], [`BadEnvelope::Cost`], or [`BadEnvelope::Derivation`] without the memory.
    pub fn wrap(
        key: &SecretKey,
        purpose: Purpose,
        passphrase: &str,
        cost: Cost,
        salt: [u8; 16],
        nonce: [u8; 24],
    ) -> Result<Envelope, BadEnvelope> {
        if passphrase.is_empty() {
            return Err(BadEnvelope::Empty);
        }
        cost.check()?;
        let public = key.public();
        let mut bytes = Zeroizing::new(header(WRAPPED, purpose, &public, cost, &salt, &nonce));
        let cipher = cipher(passphrase, &salt, cost)?;
        let seed = key.seed();
        let payload = Payload { msg: seed.as_slice(), aad: &bytes };
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| BadEnvelope::Derivation { why: "the seed could not be sealed".into() })?;
        bytes.extend_from_slice(&sealed);
        Ok(Envelope { purpose, public, cost: Some(cost), bytes })
    }

    /// Puts a key into an envelope that protects nothing.
    pub fn plain(key: &SecretKey, purpose: Purpose) -> Envelope {
        let public = key.public();
        let none = Cost { kib: 0, passes: 0, lanes: 0 };
        let mut bytes = Zeroizing::new(header(PLAIN, purpose, &public, none, &[0; 16], &[0; 24]));
        bytes.extend_from_slice(key.seed().as_slice());
        Envelope { purpose, public, cost: None, bytes }
    }

    /// Reads a key file. Nothing is opened and no memory taken.
    ///
    /// # Errors
    /// [`BadEnvelope`] if it is no key file, damaged, of a later version, or its cost is out of bounds.
    pub fn read(text: &str) -> Result<Envelope, BadEnvelope> {
        if text.len() > FILE_BYTES {
            return Err(BadEnvelope::Damaged { why: "it is too long" });
        }
        let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        let first = lines.next().unwrap_or_default();
        let found = || vigo_base::text::escaped(first).chars().take(60).collect();
        let title = first.strip_prefix("-----BEGIN VIGO ").and_then(|l| l.strip_suffix(" KEY-----"));
        let not = || BadEnvelope::NotAKey { expected: begin("OPERATOR", true), found: found() };
        let title = title.ok_or_else(not)?;
        let mut body = Zeroizing::new(String::new());
        let mut closed = false;
        for line in lines {
            if line.starts_with("-----END VIGO ") {
                closed = true;
                break;
            }
            body.push_str(line);
        }
        if !closed {
            return Err(BadEnvelope::Damaged { why: "its last line is missing" });
        }
        let bytes = BASE64.decode(body.as_bytes());
        let bytes = bytes.map_err(|_| BadEnvelope::Damaged { why: "it is not base 64" })?;
        let envelope = Envelope::parse(Zeroizing::new(bytes))?;
        let same = begin(envelope.purpose.as_str(), envelope.is_wrapped()) == begin_raw(title);
        if same { Ok(envelope) } else { Err(BadEnvelope::Damaged { why: "its first line is another key's" }) }
    }

    fn parse(bytes: Zeroizing<Vec<u8>>) -> Result<Envelope, BadEnvelope> {
        let short = BadEnvelope::Damaged { why: "it was cut" };
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(BadEnvelope::Damaged { why: "it is not ours" })?;
        let [version, protection, purpose] = take::<3>(&mut rest).ok_or(short.clone())?;
        if version != VERSION {
            return Err(BadEnvelope::Version { found: version });
        }
        let purpose = Purpose::ALL.into_iter().find(|p| p.code() == purpose);
        let purpose = purpose.ok_or(BadEnvelope::Damaged { why: "its purpose is not known" })?;
        let public = take::<32>(&mut rest).ok_or(short.clone())?;
        let public = PublicKey::from_bytes(public)
            .map_err(|_| BadEnvelope::Damaged { why: "its public key is none" })?;
        let mut number = || take::<4>(&mut rest).map(u32::from_be_bytes).ok_or(short.clone());
        let cost = Cost { kib: number()?, passes: number()?, lanes: number()? };
        let (cost, length) = match protection {
            PLAIN => (None, HEADER + 32),
            WRAPPED => {
                cost.check()?;
                (Some(cost), HEADER + SEALED)
            }
            _ => return Err(BadEnvelope::Damaged { why: "its protection is not known" }),
        };
        if bytes.len() != length {
            return Err(BadEnvelope::Damaged { why: "its length is wrong" });
        }
        Ok(Envelope { purpose, public, cost, bytes })
    }

    /// Opens the envelope. Without protection the passphrase is not looked at.
    ///
    /// # Errors
    /// [`BadEnvelope::Purpose`], [`BadEnvelope::Passphrase`], or [`BadEnvelope::Derivation`] without the memory.
    pub fn open(&self, purpose: Purpose, passphrase: &str) -> Result<SecretKey, BadEnvelope> {
        if purpose != self.purpose {
            let (expected, found) = (purpose.as_str(), self.purpose.as_str());
            return Err(BadEnvelope::Purpose { expected, found });
        }
        let (header, body) =
            self.bytes.split_at_checked(HEADER).ok_or(BadEnvelope::Damaged { why: "it was cut" })?;
        let seed = match self.cost {
            None => Zeroizing::new(body.to_vec()),
            Some(cost) => {
                let (salt, nonce) = tail(header).ok_or(BadEnvelope::Damaged { why: "it was cut" })?;
                let payload = Payload { msg: body, aad: header };
                let opened = cipher(passphrase, &salt, cost)?.decrypt(&XNonce::from(nonce), payload);
                Zeroizing::new(opened.map_err(|_| BadEnvelope::Passphrase)?)
            }
        };
        let seed: Zeroizing<[u8; 32]> = match seed.as_slice().try_into() {
            Ok(seed) => Zeroizing::new(seed),
            Err(_) => return Err(BadEnvelope::Damaged { why: "its seed is no seed" }),
        };
        let key = SecretKey::from_seed(*seed);
        if key.public() != self.public {
            return Err(BadEnvelope::Damaged { why: "its public key is another key's" });
        }
        Ok(key)
    }

    /// The file's text.
    pub fn to_text(&self) -> Zeroizing<String> {
        let (name, wrapped) = (self.purpose.as_str(), self.is_wrapped());
        let encoded = Zeroizing::new(BASE64.encode(&self.bytes));
        let mut out = Zeroizing::new(begin(name, wrapped));
        for line in encoded.as_bytes().chunks(64) {
            out.push('\n');
            out.extend(line.iter().map(|b| char::from(*b)));
        }
        out.push('\n');
        out.push_str(&begin(name, wrapped).replacen("BEGIN", "END", 1));
        out.push('\n');
        out
    }

    /// Whether it takes a passphrase.
    pub fn is_wrapped(&self) -> bool {
        self.cost.is_some()
    }

    /// The public half, without opening it. Believed only once it was opened.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// What the key is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }
}

fn begin(name: &str, wrapped: bool) -> String {
    begin_raw(&format!("{}{name}", if wrapped { "" } else { "UNPROTECTED " }))
}

fn begin_raw(title: &str) -> String {
    format!("-----BEGIN VIGO {title} KEY-----")
}

fn header(
    protection: u8,
    purpose: Purpose,
    public: &PublicKey,
    cost: Cost,
    salt: &[u8; 16],
    nonce: &[u8; 24],
) -> Vec<u8> {
    // Room for the seed too, so that no copy of it is left behind by growing.
    let mut out = Vec::with_capacity(HEADER + SEALED);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, protection, purpose.code()]);
    out.extend_from_slice(public.as_bytes());
    for number in [cost.kib, cost.passes, cost.lanes] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(salt);
    out.extend_from_slice(nonce);
    out
}

/// Salt and nonce, the last 40 bytes of a header.
fn tail(header: &[u8]) -> Option<([u8; 16], [u8; 24])> {
    let (rest, nonce) = header.split_last_chunk::<24>()?;
    let (_, salt) = rest.split_last_chunk::<16>()?;
    Some((*salt, *nonce))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn cipher(passphrase: &str, salt: &[u8; 16], cost: Cost) -> Result<XChaCha20Poly1305, BadEnvelope> {
    let why = |e: argon2::Error| BadEnvelope::Derivation { why: e.to_string() };
    let params = Params::new(cost.kib, cost.passes, cost.lanes, Some(32)).map_err(why)?;
    let mut key = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice()).map_err(why)?;
    Ok(XChaCha20Poly1305::new(&(*key).into()))
}

#[cfg(test)]
mod tests;
