//! Spends and fork proofs: the two kinds of record in `admissions` that are no statements.
//!
//! A bolt writes a [`Spend`] to let a node in under an operator's invite: bolts' spends live in
//! `admissions`, which everybody holds, envoys' in `admissions/envoys`, which bolts hold (an envoy carries its own
//! as papers). A [`ForkProof`] is two records of one author with one sequence; it proves itself, so anybody may
//! carry it.
//!
//! Everything here is checked once, when it is read: signatures hold, keys are strong, encodings are canonical.
//! Whether it *counts* is not decided here.

use minicbor::{Decode, Encode};
use vigo_base::codec::{self, BadBytes};
use vigo_base::{BadSignature, Domain, Hash, Hostname, PublicKey, SecretKey, Signature, SpannerId, limits};
use vigo_crdt::{BadRecord, Record, Space, Unverified};

/// The kind of records that carry a statement, in every operators' space.
pub const STATEMENT: u16 = vigo_crdt::statement::STATEMENT;
/// The kind of a record that carries a [`Spend`].
pub const SPEND: u16 = 2;
/// The kind of a record that carries a [`ForkProof`].
pub const FORK: u16 = 3;

/// A bolt's countersignature: this node comes in, under this name, by this invite.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Spend {
    /// The invite's statement id.
    #[n(0)]
    pub invite: Hash,
    /// The node's key.
    #[n(1)]
    pub node: PublicKey,
    /// The node's name.
    #[n(2)]
    pub name: Hostname,
    /// That the holder of the token's seed stands behind the node; none for an invite of one node.
    #[n(3)]
    pub proof: Option<Proof>,
}

/// The token's seed signing for a node, with what it takes to check that again years later.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Proof {
    /// The public half of the seed: the invite's key.
    #[n(0)]
    pub key: PublicKey,
    /// SHA-256 of the TLS exporter of the connection on which the node enrolled.
    #[n(1)]
    pub exporter: Hash,
    /// The signature, [`Domain::Enrol`].
    #[n(2)]
    pub signature: Signature,
}

impl Proof {
    fn message(node: &PublicKey, name: &Hostname, exporter: &Hash) -> Vec<u8> {
        codec::encode(&(node, name, exporter))
    }

    /// Signs with the token's seed that `node` may come in as `name` over the connection with this exporter.
    pub fn sign(
        seed: &SecretKey,
        spanner: &SpannerId,
        node: &PublicKey,
        name: &Hostname,
        exporter: &[u8],
    ) -> Proof {
        let exporter = Hash::of(exporter);
        let signature = seed.sign(Domain::Enrol, spanner, &Proof::message(node, name, &exporter));
        Proof { key: seed.public(), exporter, signature }
    }

    /// Checks the signature. Whether the key is the invite's and the exporter this connection's is the caller's.
    ///
    /// # Errors
    /// [`BadSignature`] if the seed never signed for this node and name in this fleet.
    pub fn check(&self, spanner: &SpannerId, node: &PublicKey, name: &Hostname) -> Result<(), BadSignature> {
        self.key.verify(Domain::Enrol, spanner, &Proof::message(node, name, &self.exporter), &self.signature)
    }
}

/// A spend as it came: the record around it is its author's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendRecord {
    record: Record,
    spend: Spend,
}

/// Two records of one author with one sequence in one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkProof {
    lower: Record,
    higher: Record,
}

#[derive(Encode, Decode)]
struct ForkPayload {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    lower: Vec<u8>,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    higher: Vec<u8>,
}

/// Why a record is no admission. The sender must have known: it is its fault, except for
/// [`BadAdmission::UnknownKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAdmission {
    /// A kind of a later version: it is kept and has no effect.
    #[error("records of kind {kind} in {space} are not known to this program: kept, without effect")]
    UnknownKind {
        /// Its space.
        space: Space,
        /// Its kind.
        kind: u16,
    },
    /// It is of a space that holds no admissions.
    #[error("a record of the space {space} is no admission")]
    Space {
        /// Its space.
        space: Space,
    },
    /// The payload does not decode.
    #[error("malformed payload: {why}")]
    Malformed {
        /// What is wrong.
        why: BadBytes,
    },
    /// The statement inside is bad.
    #[error("{0}")]
    Statement(#[from] vigo_crdt::BadStatement),
    /// The seed never signed for this node and name.
    #[error("the proof of {key:?} for {name}: {why}")]
    Proof {
        /// The invite's key.
        key: PublicKey,
        /// The name it should be for.
        name: Hostname,
        /// What is wrong.
        why: BadSignature,
    },
    /// One of the two records of a fork is bad.
    #[error("a fork's record: {0}")]
    ForkRecord(BadRecord),
    /// Two records that prove nothing.
    #[error("no fork: {why}")]
    NoFork {
        /// What is missing.
        why: &'static str,
    },
}

impl SpendRecord {
    /// Reads a record of kind [`SPEND`] and checks its proof.
    ///
    /// # Errors
    /// [`BadAdmission`] if the payload is not a spend or its proof does not hold.
    pub fn read(record: &Record, spanner: &SpannerId) -> Result<SpendRecord, BadAdmission> {
        if ![Space::admissions(), Space::envoys()].contains(record.space()) {
            return Err(BadAdmission::Space { space: record.space().clone() });
        }
        if record.kind() != SPEND {
            return Err(BadAdmission::UnknownKind { space: record.space().clone(), kind: record.kind() });
        }
        let spend: Spend = codec::decode(record.payload(), limits::PAYLOAD_BYTES)
            .map_err(|why| BadAdmission::Malformed { why })?;
        if let Some(proof) = &spend.proof {
            proof.check(spanner, &spend.node, &spend.name).map_err(|why| BadAdmission::Proof {
                key: proof.key,
                name: spend.name.clone(),
                why,
            })?;
        }
        Ok(SpendRecord { record: record.clone(), spend })
    }

    /// The record's id: the spend's identity.
    pub fn id(&self) -> Hash {
        self.record.id()
    }

    /// The bolt that spent.
    pub fn author(&self) -> PublicKey {
        self.record.author()
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What it says.
    pub fn spend(&self) -> &Spend {
        &self.spend
    }
}

impl ForkProof {
    /// The proof that two records make, whichever comes first.
    ///
    /// # Errors
    /// [`BadAdmission::NoFork`] if they are the same, or differ in author, space or sequence.
    pub fn of(a: Record, b: Record) -> Result<ForkProof, BadAdmission> {
        let no = |why| Err(BadAdmission::NoFork { why });
        if a.id() == b.id() {
            return no("the two records are one");
        }
        if a.author() != b.author() || a.space() != b.space() || a.seq() != b.seq() {
            return no("author, space and sequence must be the same");
        }
        let (lower, higher) = if a.id() < b.id() { (a, b) } else { (b, a) };
        Ok(ForkProof { lower, higher })
    }

    /// Reads the payload of a record of kind [`FORK`]: decodes both records and checks both signatures.
    ///
    /// # Errors
    /// [`BadAdmission`] if it is no proof, or not in its one order.
    pub fn read(payload: &[u8], spanner: &SpannerId) -> Result<ForkProof, BadAdmission> {
        let pair: ForkPayload =
            codec::decode(payload, limits::PAYLOAD_BYTES).map_err(|why| BadAdmission::Malformed { why })?;
        let record = |bytes: &[u8]| {
            Unverified::decode(bytes).and_then(|u| u.verify(spanner)).map_err(BadAdmission::ForkRecord)
        };
        let (lower, higher) = (record(&pair.lower)?, record(&pair.higher)?);
        if lower.id() > higher.id() {
            return Err(BadAdmission::NoFork { why: "the lower id comes first" });
        }
        ForkProof::of(lower, higher)
    }

    /// The payload of the record that carries it. `None` if the two together do not fit into a record: then
    /// everybody who holds both still sees the fork, but it cannot be told to who holds neither.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let pair = ForkPayload { lower: self.lower.bytes().to_vec(), higher: self.higher.bytes().to_vec() };
        let bytes = codec::encode(&pair);
        (bytes.len() <= limits::PAYLOAD_BYTES).then_some(bytes)
    }

    /// Whose key is in two hands.
    pub fn author(&self) -> PublicKey {
        self.lower.author()
    }

    /// The space in which it happened.
    pub fn space(&self) -> &Space {
        self.lower.space()
    }

    /// The sequence that was used twice.
    pub fn seq(&self) -> u64 {
        self.lower.seq()
    }

    /// The record of the two that counts.
    pub fn counts(&self) -> Hash {
        self.lower.id()
    }

    /// The record of the two that does not.
    pub fn falls(&self) -> Hash {
        self.higher.id()
    }
}
