//! What two peers say to each other on a control stream.
//!
//! A [`Frame`] is canonical CBOR, at most [`limits::FRAME_BYTES`] long. The first frame on a connection is
//! [`Frame::Hello`] (with papers), [`Frame::Enrol`] or [`Frame::AskToJoin`]; nothing else is heard from a
//! stranger. Chunks do not travel in frames: a [`Bulk`] request opens a stream of its own.
//!
//! This module only spells messages. Who may say what is `spanner::door`'s.

use minicbor::{Decode, Encode};
use vigo_base::codec::{self, BadBytes};
use vigo_base::{Hash, Hostname, PublicKey, Signature, SpannerId, Time, limits};
use vigo_crdt::Space;
use vigo_crdt::sketch::{SHORT_BYTES, Short};

use crate::outline::BlobRef;

/// The version of this protocol. A peer of another version is told so.
pub const VERSION: u16 = 1;

/// Bytes that are not text in CBOR's sense.
pub type Bytes = minicbor::bytes::ByteVec;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Frame {
    /// Who I am, and what I hold.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// I do not talk to you, and why.
    #[n(1)]
    Goodbye(#[n(0)] Goodbye),
    /// A sign of life with what I hold; answered by [`Frame::Pong`].
    #[n(2)]
    Ping(#[n(0)] Vec<Digest>),
    /// The answer to a ping.
    #[n(3)]
    Pong(#[n(0)] Vec<Digest>),
    /// A move of the initiator of a reconciliation.
    #[n(4)]
    Compare(#[n(0)] Space, #[n(1)] Bytes),
    /// The answer to [`Frame::Compare`].
    #[n(5)]
    Compared(#[n(0)] Space, #[n(1)] Bytes),
    /// Send me the records with these keys.
    #[n(6)]
    Want(#[n(0)] Space, #[n(1)] Vec<Hash>),
    /// Encoded records, at most [`limits::PUSH_RECORDS`].
    #[n(7)]
    Push(#[n(0)] Vec<Bytes>),
    /// Whom do you know?
    #[n(8)]
    PeersPlease,
    /// Hints where other members may be reached.
    #[n(9)]
    Peers(#[n(0)] Vec<Hint>),
    /// What do you have of the blob with this exchange id?
    #[n(10)]
    WhoHas(#[n(0)] Hash),
    /// This much.
    #[n(11)]
    Has(#[n(0)] Hash, #[n(1)] Have),
    /// Admit me: I hold an invite's seed.
    #[n(12)]
    Enrol(#[n(0)] Enrol),
    /// Admit me: ask your operator.
    #[n(13)]
    AskToJoin(#[n(0)] AskToJoin),
    /// How it stands with a request to join.
    #[n(14)]
    JoinAnswer(#[n(0)] JoinAnswer),
    /// What the sender's wall clock shows; said with each ping, for people to be warned by.
    #[n(15)]
    Clock(#[n(0)] Time),
    /// Show me so many cells of a sketch of what you hold. Only to a peer that said [`features::SKETCH`].
    #[n(16)]
    Sketch(#[n(0)] Space, #[n(1)] u32),
    /// The answer to [`Frame::Sketch`].
    #[n(17)]
    Sketched(#[n(0)] Space, #[n(1)] Bytes),
    /// Send me the records whose keys begin so: names of eight bytes, one behind the other, ascending.
    #[n(18)]
    WantShort(#[n(0)] Space, #[n(1)] Bytes),
}

/// What a node can do beyond what every version can. A node says its own in its [`Hello`]; nothing that the other did
/// not say is asked of it, and what we do not know of what it said is passed over.
pub mod features {
    /// It answers [`Frame::Sketch`](super::Frame::Sketch) and [`Frame::WantShort`](super::Frame::WantShort).
    pub const SKETCH: u64 = 1;
}

/// The papers, and what the sender holds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// [`VERSION`].
    #[n(0)]
    pub version: u16,
    /// The sender's encoded papers.
    #[n(1)]
    pub papers: Bytes,
    /// Where the sender listens; empty if it can only dial out.
    #[n(2)]
    pub addresses: Vec<String>,
    /// What the sender holds of each space that the receiver may hold too.
    #[n(3)]
    pub digests: Vec<Digest>,
    /// The highest sequence of the *receiver* that the sender has seen, by space: a node that comes back with an
    /// old disk learns it here before it writes.
    #[n(4)]
    pub your_heads: Vec<Head>,
    /// The port on which the sender takes gossip links, if it does.
    #[n(5)]
    pub gossip: Option<u16>,
    /// What the sender can do, by the bits of [`features`].
    #[n(6)]
    pub features: u64,
}

/// The digest of one space.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Digest {
    /// The space.
    #[n(0)]
    pub space: Space,
    /// `Replica::digest` of it.
    #[n(1)]
    pub digest: Hash,
}

/// The last record of one author in a space.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Head {
    /// The space.
    #[n(0)]
    pub space: Space,
    /// The record's sequence.
    #[n(1)]
    pub seq: u64,
    /// The record's id.
    #[n(2)]
    pub id: Hash,
}

/// The end of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Goodbye {
    /// Why, as a machine sees it.
    #[n(0)]
    pub why: Farewell,
    /// Why, for a person.
    #[n(1)]
    pub text: String,
    /// Records that prove it: the revocation, the fork.
    #[n(2)]
    pub proof: Vec<Bytes>,
}

/// Why a peer is not talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Farewell {
    /// It speaks another version.
    #[n(0)]
    Version,
    /// Its papers do not hold.
    #[n(1)]
    Papers,
    /// Its key is revoked.
    #[n(2)]
    Revoked,
    /// Its key was found in two places.
    #[n(3)]
    Suspended,
    /// It broke the protocol.
    #[n(4)]
    Misbehaved,
    /// A second connection between the same two nodes.
    #[n(5)]
    Twice,
    /// There is no room.
    #[n(6)]
    Full,
    /// The sender is stopping.
    #[n(7)]
    Stopping,
    /// It asked for what it may not.
    #[n(8)]
    Denied,
}

impl Farewell {
    /// Whether the next dial would end the same way: it is about who the peer is or what it does, not about now.
    pub fn is_lasting(self) -> bool {
        !matches!(self, Farewell::Twice | Farewell::Full | Farewell::Stopping)
    }
}

/// Where a member may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hint {
    /// Its key: whoever answers must hold it.
    #[n(0)]
    pub key: PublicKey,
    /// Its addresses.
    #[n(1)]
    pub addresses: Vec<String>,
    /// Whether it is said to be a bolt; its papers will tell.
    #[n(2)]
    pub bolt: bool,
}

/// How much of a blob a peer has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Have {
    /// Nothing, or nothing for you.
    #[n(0)]
    None,
    /// Everything.
    #[n(1)]
    All,
    /// The chunks whose bits are set; bit 0 of byte 0 is chunk 0.
    #[n(2)]
    Some(#[n(0)] Bytes),
}

/// A request to spend an invite.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Enrol {
    /// The fleet the sender means.
    #[n(0)]
    pub spanner: SpannerId,
    /// The public half of the invite's seed: names the invite.
    #[n(1)]
    pub invite_key: PublicKey,
    /// The name the sender would like.
    #[n(2)]
    pub name: Hostname,
    /// By the invite's seed, over what `spanner` says it must cover.
    #[n(3)]
    pub proof: Signature,
    /// Whether the sender would be a bolt.
    #[n(4)]
    pub bolt: bool,
}

/// A request that an operator decides.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AskToJoin {
    /// The fleet the sender means, if it knows one.
    #[n(0)]
    pub spanner: Option<SpannerId>,
    /// The name it would like.
    #[n(1)]
    pub name: Hostname,
    /// Whether it would be a bolt.
    #[n(2)]
    pub bolt: bool,
}

/// How it stands with a request to join.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum JoinAnswer {
    /// Admitted: here are your papers.
    #[n(0)]
    Admitted(#[n(0)] SpannerId, #[n(1)] Bytes),
    /// An operator has not decided yet. The sender shows six words.
    #[n(1)]
    Pending(#[n(0)] SpannerId, #[n(1)] String),
    /// Not admitted, and why.
    #[n(2)]
    Refused(#[n(0)] String),
}

/// A request on a stream of its own, answered by bytes or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Bulk {
    /// The outline of a blob.
    #[n(0)]
    Outline(#[n(0)] BlobRef),
    /// One chunk of a blob, by its place in the outline.
    #[n(1)]
    Chunk(#[n(0)] Hash, #[n(1)] u32),
}

impl Frame {
    /// The bytes of the frame.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`BadBytes`] if the bytes are too many, no frame, or not canonical: the sender's fault.
    pub fn decode(bytes: &[u8]) -> Result<Frame, BadBytes> {
        codec::decode(bytes, limits::FRAME_BYTES)
    }

    /// The frame that asks for records by their short names, which must ascend.
    pub fn want_short(space: Space, names: &[Short]) -> Frame {
        let bytes: Vec<u8> = names.iter().flat_map(|name| name.0.to_be_bytes()).collect();
        Frame::WantShort(space, Bytes::from(bytes))
    }

    /// The names in a [`Frame::WantShort`]; none if they are more than [`limits::WANT_RECORDS`], do not ascend, or
    /// end within one.
    pub fn short_names(bytes: &[u8]) -> Option<Vec<Short>> {
        let (names, rest) = bytes.as_chunks::<SHORT_BYTES>();
        let names: Vec<Short> = names.iter().map(|name| Short(u64::from_be_bytes(*name))).collect();
        let good = rest.is_empty() && names.len() <= limits::WANT_RECORDS && names.is_sorted_by(|a, b| a < b);
        good.then_some(names)
    }

    /// A short name, for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Frame::Hello(_) => "hello",
            Frame::Goodbye(_) => "goodbye",
            Frame::Ping(_) => "ping",
            Frame::Pong(_) => "pong",
            Frame::Compare(..) => "compare",
            Frame::Compared(..) => "compared",
            Frame::Want(..) => "want",
            Frame::Push(_) => "push",
            Frame::PeersPlease => "peers-please",
            Frame::Peers(_) => "peers",
            Frame::WhoHas(_) => "who-has",
            Frame::Has(..) => "has",
            Frame::Enrol(_) => "enrol",
            Frame::AskToJoin(_) => "ask-to-join",
            Frame::JoinAnswer(_) => "join-answer",
            Frame::Clock(_) => "clock",
            Frame::Sketch(..) => "sketch",
            Frame::Sketched(..) => "sketched",
            Frame::WantShort(..) => "want-short",
        }
    }
}

impl Bulk {
    /// The bytes of the request.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`BadBytes`] if the bytes are too many, no request, or not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Bulk, BadBytes> {
        codec::decode(bytes, 4096)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire_and_nothing_else_does() {
        let key = vigo_base::SecretKey::from_seed([1; 32]).public();
        let frames = [
            Frame::PeersPlease,
            Frame::Want(Space::config(), vec![Hash::of(b"a")]),
            Frame::Push(vec![Bytes::from(vec![1, 2, 3])]),
            Frame::Peers(vec![Hint { key, addresses: vec!["127.0.0.1:1531".into()], bolt: true }]),
            Frame::Has(Hash::of(b"b"), Have::All),
            Frame::Sketch(Space::config(), 64),
            Frame::Sketched(Space::config(), Bytes::from(vec![7; 40])),
            Frame::want_short(Space::config(), &[Short(1), Short(2)]),
        ];
        for frame in frames {
            let bytes = frame.encode();
            assert_eq!(Frame::decode(&bytes), Ok(frame));
            for cut in 0..bytes.len() {
                assert!(Frame::decode(&bytes[..cut]).is_err());
            }
        }
        assert!(Frame::decode(&vec![0; limits::FRAME_BYTES + 1]).is_err());
    }
    #[test]
    fn short_names_ascend_and_are_whole() {
        let names = [Short(1), Short(5), Short(u64::MAX)];
        let Frame::WantShort(_, bytes) = Frame::want_short(Space::config(), &names) else { unreachable!() };
        assert_eq!(Frame::short_names(&bytes).as_deref(), Some(names.as_slice()));
        assert_eq!(Frame::short_names(&bytes[..23]), None);
        assert_eq!(Frame::short_names(&[&bytes[..8], &bytes[..8]].concat()), None, "twice");
        let many: Vec<Short> = (0..=limits::WANT_RECORDS as u64).map(Short).collect();
        let Frame::WantShort(_, bytes) = Frame::want_short(Space::config(), &many) else { unreachable!() };
        assert_eq!(Frame::short_names(&bytes), None);
        assert_eq!(Frame::short_names(&bytes[8..]).map(|names| names.len()), Some(limits::WANT_RECORDS));
    }
}
