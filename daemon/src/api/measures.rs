//! What `/metrics` says: counts of the process and what the node says of itself, in Prometheus' text format.
//!
//! It measures nothing itself and keeps nothing; names begin with `vigo_`.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use vigo_node::command::Status;

use crate::blobs::Usage;
use crate::channel::{LinkStats, Totals};
use crate::driver::Health;

/// A page under construction.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) -> &mut Page {
        // Writing into a string cannot fail.
        let _ = write!(self.0, "# HELP vigo_{name} {help}\n# TYPE vigo_{name} {kind}\n");
        self
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Page {
        let shown = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", shown(v))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "vigo_{name}{labels} {value}");
        self
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help).value(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: &AtomicU64) {
        self.family(name, "counter", help).value(name, &[], value.load(Ordering::Relaxed));
    }
}

/// What the page is made of.
pub struct Measured<'a> {
    /// The program's version.
    pub version: &'a str,
    /// Seconds since the process began.
    pub uptime: u64,
    /// The driver.
    pub health: &'a Health,
    /// What the node says; none when it does not answer.
    pub status: Option<&'a Status>,
    /// The blob store.
    pub blobs: (Usage, usize),
    /// The peer channel.
    pub totals: Totals,
    /// Its connections.
    pub links: Vec<LinkStats>,
}

/// The page.
pub fn page(measured: &Measured<'_>) -> String {
    let mut page = Page(String::with_capacity(8 * 1024));
    page.family("info", "gauge", "The program.").value("info", &[("version", measured.version)], 1);
    page.gauge("uptime_seconds", "Seconds since the process began.", measured.uptime);
    let trouble = measured.health.trouble().is_some();
    page.gauge("healthy", "1 unless something is in the way of going on.", u8::from(!trouble));
    driver(&mut page, measured.health);
    let (usage, blobs) = measured.blobs;
    page.gauge("blobs", "Whole blobs.", blobs);
    page.gauge("blob_bytes", "Bytes of blobs, unfinished ones at their full size.", usage.used);
    page.gauge("blob_quota_bytes", "Bytes that blobs may take.", usage.quota);
    network(&mut page, measured);
    if let Some(status) = measured.status {
        node(&mut page, status);
    }
    page.0
}

fn driver(page: &mut Page, health: &Health) {
    let counts = &health.counts;
    page.counter("inputs_total", "Inputs the node handled.", &counts.inputs);
    page.counter("outputs_total", "Outputs performed.", &counts.outputs);
    page.counter("turns_total", "Turns of the driver that did something.", &counts.turns);
    page.counter("store_commits_total", "Durable commits to the store.", &counts.commits);
    page.counter("store_writes_total", "Writes in those commits.", &counts.writes);
    page.counter("store_failed_commits_total", "Commits that failed and were tried again.", &counts.failed_commits);
    let seconds = counts.commit_micros.load(Ordering::Relaxed) as f64 / 1e6;
    page.family("store_commit_seconds_total", "counter", "Seconds spent in commits.").value(
        "store_commit_seconds_total",
        &[],
        seconds,
    );
    page.gauge("queue_depth", "Signals waiting for the driver.", counts.queued.load(Ordering::Relaxed));
    page.gauge("calls", "Calls of the local API that wait for a reply.", counts.calls.load(Ordering::Relaxed));
}

fn network(page: &mut Page, measured: &Measured<'_>) {
    let Totals { connections, strangers, asks, accepted, retried, refused, failed_handshakes, .. } = measured.totals;
    page.gauge("connections", "Connections of the peer channel.", connections);
    page.gauge("strangers", "Accepted connections without papers yet.", strangers);
    page.gauge("asks", "Requests of peers that wait for an answer.", asks);
    for (name, help, value) in [
        ("handshakes_accepted_total", "Connection attempts let in to the handshake.", accepted),
        ("handshakes_retried_total", "Connection attempts that had to prove their address first.", retried),
        ("handshakes_refused_total", "Connection attempts refused for lack of room.", refused),
        ("handshakes_failed_total", "Handshakes that failed.", failed_handshakes),
    ] {
        page.family(name, "counter", help).value(name, &[], value);
    }
    let sum = |f: fn(&LinkStats) -> u64| measured.links.iter().map(f).sum::<u64>();
    page.gauge("sent_bytes", "Bytes sent on the connections that stand.", sum(|l| l.sent_bytes));
    page.gauge("received_bytes", "Bytes received on the connections that stand.", sum(|l| l.received_bytes));
    page.gauge("queued_frames", "Frames waiting to be sent.", sum(|l| l.queued_frames as u64));
    page.gauge("queued_bytes", "Bytes of frames waiting to be sent.", sum(|l| l.queued_bytes as u64));
    page.gauge("lost_packets", "Packets lost on the connections that stand.", sum(|l| l.lost_packets));
}

fn node(page: &mut Page, status: &Status) {
    page.gauge("bolt", "1 on a bolt.", u8::from(status.bolt));
    page.gauge("member", "1 while the node is a member in good standing.", u8::from(status.standing == "member"));
    page.gauge("peers", "Members this node is connected with.", status.peers);
    page.gauge("bolt_peers", "Bolts among them.", status.bolts);
    page.gauge("epoch", "The newest publish that this node knows.", status.head.map_or(0, |at| at.epoch));
    page.gauge("converged_epoch", "The publish this node converged to.", status.floor.map_or(0, |at| at.epoch));
    page.gauge("warnings", "Things that somebody should look at.", status.warnings.len());
    page.family("records", "gauge", "Records held, by space.");
    for (space, count) in &status.records {
        page.value("records", &[("space", space)], count);
    }
    if let Some(report) = &status.report {
        let counts = report.counts;
        page.family("run_steps", "gauge", "Steps of the last run, by outcome.");
        for (outcome, count) in [
            ("none", counts.none),
            ("created", counts.created),
            ("updated", counts.updated),
            ("deleted", counts.deleted),
            ("skipped", counts.skipped),
            ("blocked", counts.blocked),
            ("failed", counts.failed),
        ] {
            page.value("run_steps", &[("outcome", outcome)], count);
        }
        page.gauge("run_seconds", "How long the last run took.", report.millis as f64 / 1e3);
    }
}
