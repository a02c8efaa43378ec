//! A peer process gone bad (R20): what it can say to the applier as the very user that is heard, and what comes of it.
//!
//! The applier is the real one, on a real socket, with its state on a real disk; the peer is written by hand. A canary
//! below the applier's root tells whether anything was performed.

mod bench;
mod hostile;
mod lives;
#[path = "../../../node/tests/warrant/rig.rs"]
mod rig;
mod strangers;
