//! What an idle node costs: memory of both processes with eight connections, and processor time.
//!
//! Figures, not judged here but loosely: the program is built for debugging unless `VIGO_BIN_RELEASE` names another.

use std::time::Duration;

use crate::lab::machines::{Machine, require_machines};
use crate::lab::{Node, Process, secs, wait};
use crate::story::{PATIENCE, alone, fleet, program};

/// Connections to other nodes.
const PEERS: usize = 8;
/// Clock ticks in a second (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

#[test]
fn an_idle_node_takes_little() {
    if require_machines().skips() {
        return;
    }
    let _alone = alone();
    let mut machines = fleet("idle", &[]);
    let names: Vec<String> = (1..=PEERS).map(|n| format!("env{n}")).collect();
    let mut processes = Vec::new();
    for name in &names {
        machines.lab.host(name);
        processes.push(envoy(&machines, name));
    }
    let bolt = &machines["bolt1"];
    wait::until("all are connected", PATIENCE, || {
        let said = bolt.shell("vigocli envoys list --json").json();
        let online = said.as_array().map_or(0, |rows| rows.iter().filter(|r| r["online"] == true).count());
        if online > PEERS { Ok(()) } else { Err(said.to_string()) }
    });
    let long = std::env::var_os("VIGO_LONG").is_some() || std::env::var_os("VIGO_BIN_RELEASE").is_some();
    let span = if long { secs(60) } else { secs(15) };
    std::thread::sleep(secs(5));
    let (mut memory, mut share) = (0, 0.0);
    let before = ["vigo-peer", "vigo-applier"].map(|unit| (unit, ticks(bolt, unit)));
    std::thread::sleep(span);
    for (unit, ticks_before) in before {
        let used = (ticks(bolt, unit) - ticks_before) / TICKS / span.as_secs_f64() * 100.0;
        let (own, pss) = (pss(bolt, unit, "Pss_Anon:"), pss(bolt, unit, "Pss:"));
        println!(
            "lab | idle | {unit}, {PEERS} connections | {pss} KiB PSS ({own} of its own, the rest of files), {used:.2} % of a core over {span:?}"
        );
        memory += pss;
        share += used;
    }
    let build = if std::env::var_os("VIGO_BIN_RELEASE").is_some() { "release" } else { "dev profile" };
    println!(
        "lab | idle | both, {build} | {:.1} MiB PSS, {share:.2} % of a core",
        f64::from(memory) / 1024.0
    );
    assert!(memory < 512 * 1024 && share < 50.0, "an idle node takes {memory} KiB and {share} % of a core");
}

/// A node without a machine of its own that joins and runs.
fn envoy(machines: &crate::lab::machines::Machines, name: &str) -> Process {
    let node = Node::new(name, program(), machines.lab.folder());
    let state = node.state().display().to_string();
    let root = node.root().display().to_string();
    let invited = machines["bolt1"].run(&["vigocli", "spanner", "invite", "--name", name, "--json"]).json();
    let token = invited["token"].as_str().expect("a token").to_owned();
    let mut join =
        node.command(Some(&machines.lab), "vigo", &["join", &token, "--name", name, "--state", &state]);
    let said = join.output().expect("it runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let words = ["node", "--state", &state, "--fs-root", &root];
    let mut process = node.spawn(Some(&machines.lab), "node", &words, machines.lab.folder());
    process.wait_line("is ready", Duration::from_secs(30));
    process
}

fn pss(machine: &Machine, unit: &str, kind: &str) -> u32 {
    let all = machine.read(&format!("/proc/{}/smaps_rollup", machine.unit(unit, "MainPID")));
    let line = all.lines().find_map(|line| line.strip_prefix(kind)).expect("a sum");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number of KiB")
}

/// Time in user and system mode so far.
fn ticks(machine: &Machine, unit: &str) -> f64 {
    let stat = machine.read(&format!("/proc/{}/stat", machine.unit(unit, "MainPID")));
    let behind = stat.rsplit(") ").next().expect("fields");
    let field = |n: usize| behind.split(' ').nth(n).and_then(|t| t.parse::<f64>().ok()).expect("a number");
    field(11) + field(12)
}
