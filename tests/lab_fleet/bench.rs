//! `vigo bench gossip`, small: what it prints, and that nothing of it stays behind.

use std::process::{Command, Stdio};

use crate::figures::say;
use crate::fleet::{Said, VIGO, alone};
use crate::lab::{Process, require_lab, secs, wait};

fn namespaces() -> Vec<String> {
    let output = Command::new("ip").args(["netns", "list"]).output().expect("ip runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.starts_with("vigobench-")).map(str::to_owned).collect()
}

#[test]
fn the_gossip_bench_measures_real_nodes_and_cleans_up() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    // Somebody else may be measuring on this machine.
    let others = namespaces();
    let left = || namespaces().into_iter().filter(|name| !others.contains(name)).collect::<Vec<_>>();
    let words = ["bench", "gossip", "--nodes", "4", "--updates", "10", "--json"];
    let said = Said::of(Command::new(VIGO).args(words).stdin(Stdio::null()).output().expect("it runs"));
    let rows = said.json();
    let of = |name: &str| {
        let row = rows.as_array().and_then(|rows| rows.iter().find(|row| row["name"] == name));
        row.unwrap_or_else(|| panic!("no {name} in {rows}")).clone()
    };
    let value = |name: &str| of(name)["value"].as_f64().expect("a number");
    assert_eq!(value("gossip.late_updates"), 0.0, "{rows}");
    let (p50, p99) = (value("gossip.to_all_p50"), value("gossip.to_all_p99"));
    assert!(p50 > 0.1 && p50 <= p99 && p99 < 10_000.0, "{rows}");
    assert!(value("gossip.arrived_by_gossip") > 50.0, "most comes by gossip: {rows}");
    let copies = value("gossip.copies");
    assert!((0.5..10.0).contains(&copies), "{rows}");
    // A record and what is around it has crossed the wire.
    assert!(value("gossip.bytes_per_node_and_update") > 100.0, "{rows}");
    if Command::new("serf").arg("version").output().is_ok() {
        assert!(of("gossip.to_all_p99")["reference"].as_f64().expect("serf's") > 0.1, "{rows}");
    }
    say("target", "gossip bench, 4 nodes: a setting at all, p99", &format!("{p99:.0} ms"));
    assert_eq!(left(), [""; 0]);

    // Ended in the middle, it leaves nothing either.
    let folder = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(VIGO);
    command.args(&words[..4]).arg("--dir").arg(folder.path());
    let mut process = Process::spawn("bench", command, folder.path());
    wait::holds("it has begun", secs(30), || left().len() > 4);
    std::thread::sleep(secs(2));
    let (status, _) = process.terminate(secs(20));
    assert!(!status.success(), "{}", process.log());
    assert_eq!(left(), [""; 0]);
    let kept: Vec<_> =
        std::fs::read_dir(folder.path()).expect("it is there").flatten().map(|e| e.path()).collect();
    assert!(kept.iter().all(|path| path.is_file()), "{kept:?}");
}
