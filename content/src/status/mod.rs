//! Status: what each envoy says of itself.
//!
//! | | |
//! |---|---|
//! | space, shape | `status`, registers: presence, run, traits |
//! | writers | each envoy, its own |
//! | readers | bolts |
//! | limits | 14 KiB each, so that two fit into a proof of a fork |
//!
//! What an envoy reports is data: it is shown escaped, it never decides who may do what, and it is never a
//! template. The three axes (failure, drift, reachability) are computed apart and never mixed; none of them is
//! compliance.

mod schema;
mod view;

pub use schema::{
    BadStatus, HISTORY, PRESENCE, Presence, RUN, Run, RunStep, TRAITS, Tally, Traits, VALUE_BYTES,
};
pub use view::{Drift, FAILED_RULE, Failure, drift, failure, offline_after};
