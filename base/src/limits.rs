//! Every limit in one place.
//!
//! A limit is a promise about memory: what a peer, a file or a user can make us hold. Units are in the
//! names or the docs. Changing one is a decision (docs/decisions/).

/// Bytes of one encoded record with its signature.
pub const RECORD_BYTES: usize = 32 * 1024;
/// Bytes of a record's payload: what is left beside the largest envelope.
pub const PAYLOAD_BYTES: usize = RECORD_BYTES - 256;
/// Bytes of one frame on a peer channel's control stream.
pub const FRAME_BYTES: usize = 128 * 1024;
/// Bytes of one reconciliation message inside a frame.
pub const RECONCILE_BYTES: usize = 60 * 1024;
/// Cells of a sketch: what fits in [`RECONCILE_BYTES`]. Enough for some 3,500 records that differ.
pub const SKETCH_CELLS: usize = 5000;
/// Records pushed in one frame.
pub const PUSH_RECORDS: usize = 128;
/// Records asked for by id in one frame.
pub const WANT_RECORDS: usize = 512;
/// Records kept that wait for an author or a dependency, over all spaces.
pub const PARKED_RECORDS: usize = 4096;
/// Records of unknown kinds kept per author.
pub const OPAQUE_RECORDS: usize = 256;
/// Frames waiting to be sent to one peer; more hangs up.
pub const PEER_QUEUE_FRAMES: usize = 1024;
/// Peer-channel connections of an envoy.
pub const ENVOY_PEERS: usize = 64;
/// Peer-channel connections of a bolt.
pub const BOLT_PEERS: usize = 4096;
/// Connections of strangers (no papers yet) at one time.
pub const STRANGERS: usize = 64;
/// Bytes of a record that is gossiped; a larger one goes from peer to peer.
pub const GOSSIP_RECORD_BYTES: usize = 4 * 1024;
/// Bytes of a gossiped message: such a record in its envelope.
pub const GOSSIP_BYTES: usize = GOSSIP_RECORD_BYTES + 64;
/// Gossip links of an envoy.
pub const ENVOY_LINKS: usize = 32;
/// Gossip links of a bolt.
pub const BOLT_LINKS: usize = 256;
/// Addresses remembered for one peer.
pub const ADDRESSES: usize = 8;
/// Peers remembered in the address book.
pub const ADDRESS_BOOK: usize = 4096;
/// Chunk requests open to one peer.
pub const CHUNKS_IN_FLIGHT: usize = 16;
/// Blobs being fetched at one time.
pub const OPEN_EXCHANGES: usize = 64;
/// Bytes of the largest blob of configuration.
pub const CONFIG_BLOB_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of one chunk: FastCDC minimum, average and maximum.
pub const CHUNK_MIN: usize = 16 * 1024;
/// See [`CHUNK_MIN`].
pub const CHUNK_AVERAGE: usize = 64 * 1024;
/// See [`CHUNK_MIN`].
pub const CHUNK_MAX: usize = 256 * 1024;
/// Bytes of an encoded outline: about a million chunks.
pub const OUTLINE_BYTES: usize = 48 * 1024 * 1024;
/// Links between the recovery key and an operator.
pub const AUTHORITY_DEPTH: usize = 16;
/// Statements in a peer's papers.
pub const PAPERS_STATEMENTS: usize = 64;
/// Requests to join that wait for an operator.
pub const JOIN_REQUESTS: usize = 32;
/// How far ahead a stamp may be, in microseconds, and still advance our clock.
pub const STAMP_AHEAD_MICROS: u64 = 5 * 60 * 1_000_000;
