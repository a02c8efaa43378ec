//! Fleet settings: what used to be a server's configuration file.
//!
//! | | |
//! |---|---|
//! | space, shape | `settings`, statements |
//! | writers | operators with `settings` |
//! | readers | everyone |
//! | limits | a value ≤ 4 KiB; only keys of the table |
//!
//! Each statement sets or unsets one key. For each key the counting statement with the greatest
//! (generation, id) is the value; a generation is one more than every one its signer knew, and never above the length
//! of the line of statements behind it. A setting never decides who may do what.

mod schema;
mod view;

pub use schema::{BadSetting, Change, KEYS, Key, Kind, SETTING, find, from_server_yaml_tree};
pub use view::{Setting, SettingsView};
