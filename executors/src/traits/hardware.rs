//! `hardware.*`: processors and memory, from `/proc`. It never counts what the kernel does not show.

use serde_json::{Map, Value};

use super::text_of;
use crate::host::Host;

/// The group.
pub(super) fn collect(host: &dyn Host) -> Value {
    let mut all = Map::new();
    let online = text_of(host, "/sys/devices/system/cpu/online").and_then(|t| ranges(t.trim()));
    let listed = || text_of(host, "/proc/cpuinfo").map(|t| listed(&t)).filter(|n| *n > 0);
    if let Some(count) = online.or_else(listed) {
        all.insert("cpu_count".into(), count.into());
    }
    if let Some(megabytes) = text_of(host, "/proc/meminfo").and_then(|t| memory(&t)) {
        all.insert("memory_mb".into(), megabytes.into());
    }
    Value::Object(all)
}

/// `0-3,8` is five processors.
fn ranges(text: &str) -> Option<u64> {
    text.split(',').try_fold(0u64, |sum, part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.parse::<u64>().ok()?, to.parse::<u64>().ok()?);
        sum.checked_add(to.checked_sub(from)?.checked_add(1)?)
    })
}

fn listed(text: &str) -> u64 {
    let is_one = |line: &&str| line.split(':').next().is_some_and(|name| name.trim() == "processor");
    text.lines().filter(is_one).count() as u64
}

/// `MemTotal:  16310000 kB`, in MiB.
fn memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;
    use serde_json::json;

    #[test]
    fn processors_and_memory() {
        let mut host = FakeHost::new()
            .with_file(
                "/proc/cpuinfo",
                "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\nmodel name\t: x\n",
            )
            .with_file("/proc/meminfo", "MemTotal:       16310000 kB\nMemFree: 1 kB\n");
        assert_eq!(collect(&host), json!({"cpu_count": 2, "memory_mb": 15927}));
        host.drift("/sys/devices/system/cpu/online", "0-3,8\n");
        assert_eq!(collect(&host)["cpu_count"], 5);
        host.drift("/sys/devices/system/cpu/online", "3-0\n");
        assert_eq!(collect(&host)["cpu_count"], 2);
        host.drift("/proc/meminfo", "MemTotal: lots\n");
        assert_eq!(collect(&host), json!({"cpu_count": 2}));
    }
}
