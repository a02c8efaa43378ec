//! Signed records and what they merge to.
//!
//! The words of this crate:
//!
//! - a **[`Record`]** is what travels and what is stored: canonical bytes signed by one node, in one [`Space`].
//! - a **[`Statement`]** is what an operator signs. It travels inside records; the same statement may arrive in
//!   records of several nodes and counts once, so it has a name of its own.
//! - a **shape** says what a set of records means: *statements* are a grow-only set under a pure function that
//!   lives with the content type; a *register* ([`register`]) keeps the latest of one writer; a *log* ([`log`])
//!   keeps every entry of one writer, each holding the id of the one before.
//! - a **[`Replica`]** is the set of records that one node holds, space by space, and finds forks.
//! - **[`reconcile`]** makes two such sets equal, cheaply; **[`sketch`]** does it more cheaply where few records differ.
//!
//! ```
//! use vigo_base::{SecretKey, SpannerId, Stamp};
//! use vigo_crdt::{Record, Space, Unverified};
//!
//! let (key, fleet) = (SecretKey::from_seed([1; 32]), SpannerId::default());
//! let record = Record::sign(&key, &fleet, Space::status(), 1, 9, Stamp(0), b"up".to_vec()).unwrap();
//! let heard = Unverified::decode(record.bytes()).unwrap().verify(&fleet).unwrap();
//! assert_eq!(heard.id(), record.id());
//! ```
//!
//! What this crate never does: decide who may write (that is `spanner`), look at stamps to decide anything, or
//! touch a disk or a network.

pub mod log;
pub mod reconcile;
pub mod record;
pub mod register;
pub mod replica;
pub mod sketch;
pub mod space;
pub mod statement;

pub use record::{BadRecord, Record, Unverified};
pub use replica::{Replica, Verdict};
pub use space::{BadSpace, Space};
pub use statement::{BadStatement, Draft, Statement};
