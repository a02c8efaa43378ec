//! Configuration: publishes of compiled `stacks/`.
//!
//! | | |
//! |---|---|
//! | space, shape | `config`, statements |
//! | writers | operators with `config.publish` |
//! | readers | everyone holds the publishes and their route tables; a policy only those it routes to; the source tree bolts |
//! | limits | a statement ≤ 4 KiB; a blob ≤ 64 MiB; 100,000 routes |
//!
//! A publish names what it was based on, so nobody can jump ahead: `epoch = max(epochs of its parents) + 1`. The
//! head is the greatest (epoch, id) of the publishes that count. It never decides by time.

mod schema;
mod view;

pub use schema::{BadConfig, MAX_ROUTES, PUBLISH, Publish, Route, RouteTable};
pub use view::{ConfigView, Epoch, Published};
