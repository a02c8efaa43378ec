//! A partition in which much is written on both sides: when it heals, everybody comes to hold all of it.
//!
//! What is written are fleet settings, signed in this process: a command for each would measure the commands.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use vigo_base::SecretKey;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, Reply};
use vigo_daemon::operator::{Signer, keyfile};

use crate::figures::{percentile, say, say_long, spread};
use crate::fleet::{Fleet, PATIENCE, alone, in_company};
use crate::lab::{require_lab, secs};

/// The setting that is written again and again.
const KEY: &str = "converge.interval";

/// Sets it `count` times through a node, to values from `from` on, spread over `lasts`; every write was acknowledged.
fn write(client: &Client, key: &SecretKey, from: u64, count: u64, lasts: Duration) {
    let began = Instant::now();
    for n in 0..count {
        let due = lasts.mul_f64(n as f64 / count as f64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let context = match client.call(&Command::Context { key: key.public() }) {
            Ok(Reply::Context(context)) => *context,
            other => panic!("no context: {other:?}"),
        };
        let signer = Signer::new(key.clone(), context);
        let signed = signer.set(KEY, Some(&(from + n).into())).expect("it may be set so");
        let done = client.call(&signed.command());
        assert!(matches!(done, Ok(Reply::Submitted { .. })), "write {n}: {done:?}");
    }
}

/// How many settings statements a node holds, and what they come to; why not, if it does not say: one that has much
/// to take in may be late with an answer.
fn held(client: &Client) -> Result<(usize, String), String> {
    let count = match client.call(&Command::Status) {
        Ok(Reply::Status(s)) => {
            s.records.iter().find(|(space, _)| space == "settings").map_or(0, |(_, n)| *n)
        }
        other => return Err(format!("no status: {other:?}")),
    };
    let value = match client.call(&Command::Settings) {
        Ok(Reply::Settings(rows)) => rows.iter().find(|r| r.key == KEY).map(|r| r.value.to_string()),
        other => return Err(format!("no settings: {other:?}")),
    };
    Ok((count, value.unwrap_or_default()))
}

/// What a process has used of the processors.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|n| n.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// Splits `nodes` machines in halves for `lasts`, writes on both sides meanwhile, heals; gives what each node took from
/// then on to hold every write.
fn split(title: &str, nodes: usize, writes: u64, lasts: Duration) -> Vec<Duration> {
    let fleet = Fleet::of(title, 2, nodes - 2);
    let names = fleet.running();
    let isle = |name: &&String| {
        let number: usize = name.trim_start_matches(char::is_alphabetic).parse().unwrap_or(0);
        number.is_multiple_of(2)
    };
    let right: Vec<&str> = names.iter().filter(isle).map(String::as_str).collect();
    fleet.lab.partition(&right);
    let key = keyfile::load(&fleet.key("home"), &mut |_| None).expect("a plain key");
    let clients: Vec<(&str, Client)> =
        names.iter().map(|name| (name.as_str(), fleet.client(name).expect("it answers"))).collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (bolt, from) in [("bolt1", 1_000), ("bolt2", 5_000)] {
            // A client is not shared by threads.
            let client = fleet.client(bolt).expect("it answers");
            let key = &key;
            scope.spawn(move || write(&client, key, from, writes, lasts));
        }
    });
    println!("{} writes acknowledged in {:?}", 2 * writes, began.elapsed());
    std::thread::sleep(lasts.saturating_sub(began.elapsed()));
    let before: BTreeSet<usize> = clients.iter().map(|(_, c)| held(c).expect("it answers").0).collect();
    assert!(before.iter().all(|n| *n <= writes as usize), "the sides were not apart: {before:?}");

    let spent = |names: &[String]| names.iter().map(|name| cpu(fleet.pid(name))).collect::<Vec<_>>();
    let before = spent(&names);
    fleet.lab.heal();
    let healed = Instant::now();
    let all = 2 * writes as usize;
    // Each is asked by a thread of its own: one that is late with an answer makes no other look late.
    let ask = |client: &Client| loop {
        let seen = held(client);
        if seen.as_ref().is_ok_and(|(count, _)| *count == all) {
            return Ok(healed.elapsed());
        }
        if healed.elapsed() >= secs(180) {
            return Err(seen);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let took: Vec<(&str, Result<Duration, _>)> = std::thread::scope(|scope| {
        let asking: Vec<_> = clients.iter().map(|(name, c)| (*name, scope.spawn(move || ask(c)))).collect();
        asking.into_iter().map(|(name, asked)| (name, asked.join().expect("it asks"))).collect()
    });
    let late: Vec<_> = took.iter().filter(|(_, took)| took.is_err()).collect();
    assert!(late.is_empty(), "not all have {all}: {late:?}");
    let spent: Vec<Duration> = spent(&names).iter().zip(&before).map(|(now, then)| *now - *then).collect();
    println!("processor time of a node from the healing on: {}; {took:?}", spread(&spent));
    let took: Vec<Duration> = took.into_iter().filter_map(|(_, took)| took.ok()).collect();
    let values: BTreeSet<String> = clients.iter().map(|(_, c)| held(c).expect("it answers").1).collect();
    assert_eq!(values.len(), 1, "the same records, and not the same state: {values:?}");
    let after = fleet.publish("bolt2", "after");
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet.arrives(&all, "after", after.returned, PATIENCE);
    took
}

#[test]
fn writes_on_both_sides_of_a_partition_reach_everyone() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let took = split("split", 6, 40, secs(0));
    say("R3", "6 nodes split, 40 writes on each side: healed to equal records and state", &spread(&took));
    assert!(percentile(&took, 99) <= secs(30), "{took:?}");
}

#[test]
#[ignore = "long: twenty nodes split for ten minutes, a thousand writes on each side"]
fn long_a_thousand_writes_on_each_side_of_a_partition_reach_everyone() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    // Shorter only to look into it: the promise is about ten minutes.
    let lasts = std::env::var("VIGO_SPLIT").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let took = split("splits", 20, 1_000, secs(lasts));
    say_long(
        "R3",
        &format!(
            "20 nodes split for {lasts} s, 1,000 settings on each side, healed: all hold all 2,000 and say the same"
        ),
        &format!("0 lost; {} (target p99 30 s)", spread(&took)),
    );
    assert!(percentile(&took, 99) <= secs(30), "more than 30 s: {took:?}");
}
