//! The ground that every crate of Vigo stands on.
//!
//! Four words matter here:
//!
//! - **identity**: [`PublicKey`], [`SecretKey`], [`Signature`], [`struct@Hash`]. [`PublicKey::verify`] is the
//!   one place in the project where a signature is checked, always strictly.
//! - **encoding**: [`codec`] turns a value into canonical bytes and refuses bytes that are not canonical.
//! - **machines**: [`Machine`] is logic without IO. Input in, outputs out, time as an argument.
//! - **targets**: [`Target`] is the mini-language that names machines in lookups, invites and `--target`.
//!
//! ```
//! use vigo_base::{Domain, SecretKey, SpannerId};
//!
//! let key = SecretKey::from_seed([7; 32]);
//! let fleet = SpannerId::default();
//! let signature = key.sign(Domain::Statement, &fleet, b"hello");
//! assert!(key.public().verify(Domain::Statement, &fleet, b"hello", &signature).is_ok());
//! assert!(key.public().verify(Domain::Record, &fleet, b"hello", &signature).is_err());
//! ```
//!
//! What this crate never does: read a clock, draw randomness from the system, open a file or a socket, or
//! keep state between calls; but for the number of a wrong line that a test chose, under the feature `planted`.

pub mod codec;
pub mod dice;
pub mod figure;
pub mod hash;
pub mod key;
pub mod limits;
pub mod machine;
pub mod name;
#[cfg(feature = "planted")]
pub mod planted;
mod spelled;
pub mod target;
pub mod text;
pub mod time;

pub use dice::Dice;
pub use hash::{Hash, SpannerId};
pub use key::{BadSignature, Domain, PublicKey, SecretKey, Signature};
pub use machine::{Machine, Outbox};
pub use name::{BadName, Hostname};
pub use target::{BadTarget, Rank, Subject, Target};
pub use time::{Clock, Stamp, Time};

/// Whether wrong lines are compiled in: `daemon` refuses to be built with them.
pub const PLANTED: bool = cfg!(feature = "planted");

/// Whether the wrong line of this number is to be taken: never, for this was built without the feature `planted`.
#[cfg(not(feature = "planted"))]
#[macro_export]
macro_rules! planted {
    ($number:literal) => {
        false
    };
}

/// Whether the wrong line of this number is to be taken: if a test chose it on this thread, see [`planted::with`].
#[cfg(feature = "planted")]
#[macro_export]
macro_rules! planted {
    ($number:literal) => {
        $crate::planted::chosen($number)
    };
}
