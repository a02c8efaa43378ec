//! How records and blobs travel between peers: everything about it that can be decided without touching a
//! network or a disk.
//!
//! The words of this crate:
//!
//! - a **[frame]** is what two peers say to each other; a *bulk* request opens a stream of its own. A
//!   [deframer] cuts the frames out of a stream.
//! - an **[outline]** is how a blob is cut into chunks; a `BlobRef` (hash, exchange id, size) is what signed
//!   statements name.
//! - the **[exchange]** decides which chunk to ask from whom; its `Seeder` decides what to show to whom.
//! - the **[view of the peers](peers)** decides whom to dial, and keeps the address book.
//! - a **[beacon]** is a packet to everybody on the LAN: who is here, and with what.
//! - **[gossip]** is the envelope of small records, and the table of links they travel on.
//! - **[sync]** decides when two peers compare a space, and what each then sends the other.
//!
//! The exchange and sync are [machines](vigo_base::Machine): inputs in, acts out, time and dice as arguments. `node`
//! turns acts into frames and effects, the daemon performs those, and every answer carries the
//! [`OpId`](ids::OpId) of its effect.
//!
//! ```
//! use vigo_base::{Dice, Hash, Machine, Outbox, Time};
//! use vigo_swarm::exchange::{Act, Exchange, Input};
//! use vigo_swarm::frame::Have;
//! use vigo_swarm::ids::{ConnId, OpId};
//! use vigo_swarm::outline::{BlobRef, Outline};
//!
//! let bytes = b"a small policy";
//! let outline = Outline::of(bytes);
//! let blob = BlobRef { hash: Hash::of(bytes), exchange: outline.exchange(), size: bytes.len() as u64 };
//!
//! let (mut exchange, mut out) = (Exchange::new(Dice::from_number(1), OpId(1)), Outbox::new());
//! let (now, bob) = (Time(0), ConnId(7));
//! exchange.handle(now, Input::Peers([bob].into()), &mut out);
//! exchange.handle(now, Input::Want(blob, 1), &mut out);
//! assert_eq!(out.drain().collect::<Vec<_>>(), [Act::AskWho { conn: bob, exchange: blob.exchange }]);
//!
//! exchange.handle(now, Input::PeerHas { conn: bob, exchange: blob.exchange, have: Have::All }, &mut out);
//! let acts: Vec<Act> = out.drain().collect();
//! let [Act::FetchChunk { op, index: 0, .. }] = acts[..] else { panic!("{acts:?}") };
//! // The daemon fetches the chunk, finds that its hash is right, stores it and says so.
//! exchange.handle(now, Input::Chunk(op, Ok(())), &mut out);
//! assert!(matches!(out.as_slice(), [Act::Finish { .. }]));
//! ```
//!
//! What this crate never does: open a socket or a file, hash or move the bytes of a blob in transit, decide who is
//! a member or who may read what (`spanner` does), or keep a record (`crdt` does).

pub mod beacon;
pub mod bitmap;
pub mod deframer;
pub mod exchange;
pub mod frame;
pub mod gossip;
pub mod ids;
pub mod outline;
pub mod peers;
pub mod sync;
