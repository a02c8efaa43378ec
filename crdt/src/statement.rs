//! The statement: what an operator or the recovery key signs.
//!
//! A statement has no sequence. It travels as the payload of records of kind [`STATEMENT`]; the same statement
//! may come in records of several nodes and counts once, under its own id. It names the Admit it acts `under`
//! and, in `after`, the statements of its space that the signer had seen: its causal past, which is what
//! decides whether it outlives a revocation.
//!
//! The signature covers the domain tag, the fleet, the space and every field. Encoding is canonical.

use std::fmt;

use minicbor::{Decode, Encode};
use vigo_base::codec::{self, BadBytes};
use vigo_base::{BadSignature, Domain, Hash, PublicKey, SecretKey, Signature, SpannerId, Time, limits};

use crate::space::Space;

/// The kind of every record that carries a statement.
pub const STATEMENT: u16 = 1;
/// The kind of every record that carries a proof. Like a statement it may come in records of several nodes, counts
/// once, and is named by the hash of its payload.
pub const PROOF: u16 = 3;
/// How many statements one may name as seen.
pub const AFTER: usize = 256;

/// What is to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Draft {
    /// The space it is of.
    #[n(0)]
    pub space: Space,
    /// What the payload is; each space has its own kinds.
    #[n(1)]
    pub kind: u16,
    /// The Admit it acts under; all zero for the genesis and what the recovery key signs.
    #[n(2)]
    pub under: Hash,
    /// The heads of this space's statements that the signer knew, ascending.
    #[n(3)]
    pub after: Vec<Hash>,
    /// When the signer says it was made; for people and for order in listings, never for who may.
    #[n(4)]
    pub at: Time,
    /// What it says.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Signed {
    #[n(0)]
    draft: Draft,
    #[n(1)]
    signer: PublicKey,
    #[n(2)]
    signature: Signature,
}

/// A statement whose signature holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    id: Hash,
    signed: Signed,
    bytes: Vec<u8>,
}

/// Why bytes are no statement. The sender must have known: it is its fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStatement {
    /// Not the canonical encoding of a statement.
    #[error("malformed statement: {0}")]
    Malformed(#[from] BadBytes),
    /// It came in a record of another space.
    #[error("a statement for the space {found} in a record of {expected}")]
    Space {
        /// The space of the record.
        expected: Space,
        /// The space of the statement.
        found: Space,
    },
    /// What it has seen is out of order or too much.
    #[error("a statement names what it comes after in ascending order, at most {AFTER}")]
    After,
    /// The signature does not hold.
    #[error("statement by {signer:?}: {why}")]
    Signature {
        /// Who is said to have signed.
        signer: PublicKey,
        /// What is wrong.
        why: BadSignature,
    },
}

impl Draft {
    fn message(&self, signer: &PublicKey) -> Vec<u8> {
        codec::encode(&(self, signer))
    }

    /// Signs the draft. `after` is put in order first.
    pub fn sign(mut self, key: &SecretKey, spanner: &SpannerId) -> Statement {
        self.after.sort_unstable();
        self.after.dedup();
        let signer = key.public();
        let signature = key.sign(Domain::Statement, spanner, &self.message(&signer));
        let signed = Signed { draft: self, signer, signature };
        let bytes = codec::encode(&signed);
        Statement { id: Hash::of(&bytes), signed, bytes }
    }
}

impl Statement {
    /// Reads and checks a statement that came in a record of `space`.
    ///
    /// # Errors
    /// [`BadStatement`] if it is malformed, of another space or fleet, or not signed by whom it says.
    pub fn decode(bytes: &[u8], space: &Space, spanner: &SpannerId) -> Result<Statement, BadStatement> {
        let signed: Signed = codec::decode(bytes, limits::PAYLOAD_BYTES)?;
        let draft = &signed.draft;
        if draft.space != *space {
            return Err(BadStatement::Space { expected: space.clone(), found: draft.space.clone() });
        }
        if draft.after.len() > AFTER || !draft.after.is_sorted_by(|a, b| a < b) {
            return Err(BadStatement::After);
        }
        let signer = signed.signer;
        signer
            .verify(Domain::Statement, spanner, &draft.message(&signer), &signed.signature)
            .map_err(|why| BadStatement::Signature { signer, why })?;
        Ok(Statement { id: Hash::of(bytes), bytes: bytes.to_vec(), signed })
    }

    /// SHA-256 of the encoded statement.
    pub fn id(&self) -> Hash {
        self.id
    }

    /// Who signed it.
    pub fn signer(&self) -> PublicKey {
        self.signed.signer
    }

    /// The space it is of.
    pub fn space(&self) -> &Space {
        &self.signed.draft.space
    }

    /// What the payload is.
    pub fn kind(&self) -> u16 {
        self.signed.draft.kind
    }

    /// The Admit it acts under.
    pub fn under(&self) -> Hash {
        self.signed.draft.under
    }

    /// The heads the signer knew, ascending.
    pub fn after(&self) -> &[Hash] {
        &self.signed.draft.after
    }

    /// When the signer says it was made.
    pub fn at(&self) -> Time {
        self.signed.draft.at
    }

    /// What it says.
    pub fn payload(&self) -> &[u8] {
        &self.signed.draft.payload
    }

    /// The encoded statement with its signature: the payload of a record.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statement({} kind {} by {:?} {:?})", self.space(), self.kind(), self.signer(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            space: Space::config(),
            kind: 4,
            under: Hash::of(b"admit"),
            after: vec![Hash::of(b"b"), Hash::of(b"a")],
            at: Time(9),
            payload: b"payload".to_vec(),
        }
    }

    #[test]
    fn a_statement_means_one_thing_in_one_place() {
        let (key, fleet) = (SecretKey::from_seed([1; 32]), SpannerId(Hash::of(b"fleet")));
        let statement = draft().sign(&key, &fleet);
        let read = |space, fleet| Statement::decode(statement.bytes(), &space, &fleet);
        assert_eq!(read(Space::config(), fleet), Ok(statement.clone()));
        assert!(matches!(read(Space::settings(), fleet), Err(BadStatement::Space { .. })));
        let other = SpannerId(Hash::of(b"other"));
        assert!(matches!(read(Space::config(), other), Err(BadStatement::Signature { .. })));
    }

    #[test]
    fn what_it_saw_is_in_order() {
        let (key, fleet) = (SecretKey::from_seed([1; 32]), SpannerId(Hash::of(b"fleet")));
        assert!(draft().sign(&key, &fleet).after().is_sorted());
        let signer = key.public();
        for after in [vec![Hash([2; 32]), Hash([1; 32])], vec![Hash([1; 32]); 2]] {
            let twisted = Draft { after, ..draft() };
            let signature = key.sign(Domain::Statement, &fleet, &twisted.message(&signer));
            let bytes = codec::encode(&Signed { draft: twisted, signer, signature });
            assert_eq!(Statement::decode(&bytes, &Space::config(), &fleet), Err(BadStatement::After));
        }
    }
}
