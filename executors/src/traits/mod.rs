//! The facts that an envoy reports about itself.
//!
//! One module a group; their names are in `vigo_stacks::traits`. Collecting never fails and never runs a command:
//! what cannot be read is left out, so that a condition on it is unavailable and not wrong. Every text is bounded
//! and has no control characters, since a machine's own files may hold anything.

mod container;
mod hardware;
mod kernel;
mod mounts;
mod network;
mod os;
mod packages;
mod ports;
mod services;
mod users;

use serde_json::{Map, Value};

use crate::host::Host;
use crate::path::HostPath;

/// Characters of a text.
pub const TEXT_CHARS: usize = 256;
/// Elements of a list.
pub const LIST_ITEMS: usize = 64;
/// Bytes read of one source.
const SOURCE_BYTES: u64 = 1024 * 1024;

/// All traits of the machine behind `host`: an object of objects, `is_container`, and lists of objects. For the traits of the
/// machine itself the host is one whose root is `/`, also where a plan is applied below `--fs-root`.
pub fn collect(host: &dyn Host) -> Value {
    let mut all = Map::new();
    all.insert("os".into(), os::collect(host));
    all.insert("network".into(), network::collect(host));
    all.insert("hardware".into(), hardware::collect(host));
    all.insert("kernel".into(), kernel::collect(host));
    all.insert("is_container".into(), Value::Bool(container::collect(host)));
    let lists = [
        ("mounts", mounts::collect(host)),
        ("packages", packages::collect(host)),
        ("ports", ports::collect(host)),
        ("services", services::collect(host)),
        ("users", users::collect(host)),
    ];
    all.extend(lists.into_iter().filter_map(|(name, list)| Some((name.to_owned(), list?))));
    Value::Object(all)
}

/// The text of a file that `path` leads to, if it can be read.
fn text_of(host: &dyn Host, path: &str) -> Option<String> {
    let path = HostPath::parse(path).ok()?;
    let bytes = host.read_followed(&path, SOURCE_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether anything is at `path`.
fn is_there(host: &dyn Host, path: &str) -> bool {
    HostPath::parse(path).is_ok_and(|path| matches!(host.stat_followed(&path), Ok(Some(_))))
}

/// A text without control characters, bounded.
fn clean(text: &str) -> String {
    let shown: String = text.chars().filter(|c| !c.is_control()).collect();
    let shown: String = shown.trim().chars().take(TEXT_CHARS).collect();
    vigo_base::text::escaped(&shown)
}

/// An object of the texts that are not empty.
fn object<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> Map<String, Value> {
    fields
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name.to_owned(), Value::String(text)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn an_empty_machine_has_few_traits_and_no_wrong_ones() {
        let traits = collect(&FakeHost::new());
        assert_eq!(traits["os"], serde_json::json!({"arch": "amd64", "kernel_class": "linux"}));
        assert_eq!(traits["hardware"], serde_json::json!({}));
        assert_eq!(traits["is_container"], serde_json::json!(false));
    }

    #[test]
    fn every_trait_that_is_collected_has_a_name_in_the_language() {
        let host = FakeHost::new()
            .with_file("/etc/os-release", "ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie\n")
            .with_file("/proc/meminfo", "MemTotal: 2048000 kB\n")
            .with_file("/proc/cpuinfo", "processor\t: 0\n")
            .with_file("/proc/1/mountinfo", "")
            .with_file("/proc/net/tcp", "")
            .with_file("/etc/passwd", "")
            .with_file("/run/systemd/system/x.service", "")
            .with_file(crate::dpkg::STATUS, "Package: x\nStatus: install ok installed\n");
        let traits = collect(&host);
        for (group, fields) in traits.as_object().unwrap() {
            let alone = vigo_stacks::traits::kind_of(group).is_some();
            assert!(alone || fields.is_object(), "{group}");
            for name in fields.as_object().into_iter().flat_map(|f| f.keys()) {
                let path = format!("{group}.{name}");
                assert!(vigo_stacks::traits::kind_of(&path).is_some(), "{path}");
            }
        }
        for path in vigo_stacks::traits::paths() {
            assert!(vigo_stacks::traits::lookup(&traits, path).is_some(), "{path} is not collected");
        }
    }

    #[test]
    fn texts_are_bounded_and_clean() {
        assert_eq!(clean(" a\u{1b}[2J\nb\u{202e} "), "a[2Jb\\u{202e}");
        assert_eq!(clean(&"x".repeat(1000)).len(), TEXT_CHARS);
    }
}
