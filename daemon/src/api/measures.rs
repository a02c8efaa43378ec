//! What `/metrics` says: counts of the process and what the node says of itself.
//!
//! It measures nothing itself and keeps nothing: each scrape fills a [`Registry`] anew.

use std::sync::atomic::{AtomicU64, Ordering};

use vigo_node::command::Status;

use crate::blobs::Usage;
use crate::channel::{LinkStats, Totals};
use crate::driver::Health;
use crate::gossip::Figures;
use crate::metrics::Registry;

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
    /// The blob store, and how many blobs are in it.
    pub blobs: (Usage, usize),
    /// The peer channel.
    pub totals: Totals,
    /// The gossip plane.
    pub gossip: Figures,
    /// The connections of the peer channel.
    pub links: Vec<LinkStats>,
}

/// A page under construction. A mistake in a name would be ours; the page then lacks that line.
struct Page(Registry);

impl Page {
    fn gauge(&self, name: &str, help: &str, value: impl Number) {
        self.labelled(name, help, &[], value);
    }

    fn labelled(&self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Number) {
        if let Ok(gauge) = self.0.gauge(name, help, labels) {
            gauge.set(value.number());
        }
    }

    fn counter(&self, name: &str, help: &str, value: u64) {
        if let Ok(counter) = self.0.counter(name, help, &[]) {
            counter.add(value);
        }
    }
}

/// Numbers as Prometheus has them.
trait Number {
    fn number(self) -> f64;
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Number for u64 {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

/// The page.
pub fn page(measured: &Measured<'_>) -> String {
    let page = Page(Registry::default());
    page.labelled("info", "The program.", &[("version", measured.version)], true);
    page.gauge("uptime_seconds", "Seconds since the process began.", measured.uptime);
    let trouble = measured.health.trouble().is_some();
    page.gauge("healthy", "1 unless something is in the way of going on.", !trouble);
    driver(&page, measured.health);
    let (usage, blobs) = measured.blobs;
    page.gauge("blobs", "Whole blobs.", blobs);
    page.gauge("blob_bytes", "Bytes of blobs, unfinished ones at their full size.", usage.used);
    page.gauge("blob_quota_bytes", "Bytes that blobs may take.", usage.quota);
    network(&page, measured);
    gossip(&page, &measured.gossip);
    if let Some(status) = measured.status {
        node(&page, status);
    }
    page.0.render()
}

fn driver(page: &Page, health: &Health) {
    let counts = &health.counts;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.counter("inputs_total", "Inputs the node handled.", get(&counts.inputs));
    page.counter("outputs_total", "Outputs performed.", get(&counts.outputs));
    page.counter("turns_total", "Turns of the driver that did something.", get(&counts.turns));
    page.counter("store_commits_total", "Durable commits to the store.", get(&counts.commits));
    page.counter("store_writes_total", "Writes in those commits.", get(&counts.writes));
    page.counter("store_failed_commits_total", "Commits that failed.", get(&counts.failed_commits));
    page.counter("store_commit_microseconds_total", "Time spent in commits.", get(&counts.commit_micros));
    page.gauge("queue_depth", "Signals waiting for the driver.", get(&counts.queued));
    page.gauge("calls", "Calls of the local API that wait for a reply.", get(&counts.calls));
}

fn network(page: &Page, measured: &Measured<'_>) {
    let totals = measured.totals;
    page.gauge("connections", "Connections of the peer channel.", totals.connections);
    page.gauge("strangers", "Accepted connections without papers yet.", totals.strangers);
    page.gauge("asks", "Requests of peers that wait for an answer.", totals.asks);
    page.counter("handshakes_accepted_total", "Connection attempts let in.", totals.accepted);
    page.counter("handshakes_retried_total", "Attempts that had to prove their address.", totals.retried);
    page.counter("handshakes_refused_total", "Attempts refused for lack of room.", totals.refused);
    page.counter("handshakes_failed_total", "Handshakes that failed.", totals.failed_handshakes);
    let sum = |f: fn(&LinkStats) -> u64| measured.links.iter().map(f).sum::<u64>();
    page.gauge("sent_bytes", "Bytes sent on the connections that stand.", sum(|l| l.sent_bytes));
    page.gauge("received_bytes", "Bytes received on the connections that stand.", sum(|l| l.received_bytes));
    page.gauge("queued_frames", "Frames waiting to be sent.", sum(|l| l.queued_frames as u64));
    page.gauge("queued_bytes", "Bytes of frames waiting to be sent.", sum(|l| l.queued_bytes as u64));
    page.gauge("lost_packets", "Packets lost on the connections that stand.", sum(|l| l.lost_packets));
}

fn gossip(page: &Page, figures: &Figures) {
    page.gauge("gossip_links", "Gossip links that stand.", figures.links);
    page.gauge("gossip_mesh_peers", "Peers to whom messages are passed on at once.", figures.mesh);
    page.counter("gossip_said_total", "Messages said.", figures.said);
    page.counter("gossip_heard_total", "Messages heard for the first time.", figures.heard);
    let copies = figures.copies.saturating_sub(figures.said);
    page.counter("gossip_copies_total", "Copies of messages that came in, the first among them.", copies);
    page.counter("gossip_accepted_total", "Messages passed on.", figures.accepted);
    page.counter("gossip_rejected_total", "Messages whose sender was to blame.", figures.rejected);
    let dropped = "Messages dropped because a queue was full; reconciliation brings them.";
    for (queue, count) in [("own", figures.unsaid), ("heard", figures.unheard), ("peer", figures.slow)] {
        if let Ok(counter) = page.0.counter("gossip_dropped_total", dropped, &[("queue", queue)]) {
            counter.add(count);
        }
    }
    page.counter("gossip_refused_total", "Connections refused before anything was said.", figures.refused);
    page.counter("gossip_cut_total", "Peers cut off.", figures.cut);
}

fn node(page: &Page, status: &Status) {
    page.gauge("bolt", "1 on a bolt.", status.bolt);
    page.gauge("member", "1 while the node is a member in good standing.", status.standing == "member");
    page.gauge("peers", "Members this node is connected with.", status.peers);
    page.gauge("bolt_peers", "Bolts among them.", status.bolts);
    page.gauge("epoch", "The newest publish that this node knows.", status.head.map_or(0, |at| at.epoch));
    page.gauge("converged_epoch", "The publish it converged to.", status.floor.map_or(0, |at| at.epoch));
    page.gauge("warnings", "Things that somebody should look at.", status.warnings.len());
    for (space, count) in &status.records {
        page.labelled("records", "Records held, by space.", &[("space", space)], *count);
    }
    let Some(report) = &status.report else { return };
    let counts = report.counts;
    for (outcome, count) in [
        ("none", counts.none),
        ("created", counts.created),
        ("updated", counts.updated),
        ("deleted", counts.deleted),
        ("skipped", counts.skipped),
        ("blocked", counts.blocked),
        ("failed", counts.failed),
    ] {
        let help = "Steps of the last run, by outcome.";
        page.labelled("run_steps", help, &[("outcome", outcome)], u64::from(count));
    }
    page.gauge("run_seconds", "How long the last run took.", report.millis as f64 / 1e3);
}
