//! `vigo bench gossip`: a record to every node of a real fleet, beside serf in the same network.
//!
//! Each node is a process with an address of its own on a bridge; nothing is converged. An update is one fleet setting,
//! signed and handed to the first node. Its arrival is the time that a node logs for it, when it was verified and taken in;
//! the line itself comes when it is durable. Serf's agents log no part of a second: there the time counts at which this
//! process reads their line, from the line of the first agent on; ours begins with the call.
//!
//! It measures nothing on a fleet of somebody's, and leaves nothing behind.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::ProgressBar;
use serde_json::json;
use vigo_base::SecretKey;
use vigo_base::figure::{Better, Figure};
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::operator::{Signer, keyfile};
use vigo_daemon::setup::{Init, OperatorKey, init};

use super::lab::{Heard, Lab, Program, address};
use crate::exit::{Exit, Failure};
use crate::reach;

/// Updates before those that are measured.
const WARM_UP: usize = 10;
/// Between two updates.
const PAUSE: Duration = Duration::from_millis(100);
/// Longer than an update takes.
const LATE: Duration = Duration::from_secs(10);
/// Longer than it takes to start everything.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time for links and meshes to settle.
const SETTLE: Duration = Duration::from_secs(10);
/// Machines that join at one time.
const JOINING: usize = 8;
/// What nodes log, and what of it is read.
const LEVEL: &str = "info,vigo_daemon::world=debug";
const WORDS: &[&str] = &["is ready", "a statement arrived"];
const SERF_WORDS: &[&str] = &["user-event: vigobench-"];

/// What is under way.
struct Bench<'a> {
    lab: &'a Lab,
    nodes: usize,
    updates: usize,
    bar: &'a ProgressBar,
    stop: Arc<AtomicBool>,
    heard: Receiver<Heard>,
    mouth: SyncSender<Heard>,
    /// Arrivals by gossip, and all beyond the first node.
    ways: RefCell<(u64, u64)>,
}

/// What was measured of one of the two.
struct Measured {
    /// From the start of an update to each node.
    each: Vec<Duration>,
    /// To the last node.
    last: Vec<Duration>,
    /// To the last node's disk.
    durable: Vec<Duration>,
    /// Updates that did not arrive everywhere in time.
    late: usize,
    /// Bytes received for an update on a node, beyond what is received anyway.
    bytes: f64,
    /// Bytes of an update.
    update: usize,
    /// Copies of an update that came in on a node, with whatever else was gossiped meanwhile.
    copies: f64,
}

/// Measures so many nodes with so many updates; what they keep goes below `dir`.
///
/// # Errors
/// [`Failure`] if anything cannot be started, or somebody ends it.
pub fn gossip(
    bar: &ProgressBar,
    (nodes, updates): (usize, usize),
    dir: &Path,
) -> Result<Vec<Figure>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    vigo_daemon::signals::set_on_end(&stop)
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot wait for signals: {e}")))?;
    bar.set_message(format!("making a network of {nodes} hosts"));
    let lab = Lab::new(nodes)?;
    let (mouth, heard) = sync_channel(1 << 16);
    let bench = Bench { lab: &lab, nodes, updates, bar, stop, heard, mouth, ways: RefCell::default() };
    let ours = bench.vigo(dir)?;
    let serf = if Process::new("serf").arg("version").output().is_ok() {
        match bench.serf(ours.update) {
            Ok(measured) => Some(measured),
            Err(failure) => {
                // Ours are measured, and stand alone.
                bench.go_on()?;
                eprintln!("serf could not be measured: {}", failure.what);
                None
            }
        }
    } else {
        eprintln!("serf is not installed, so nothing stands beside these figures: apt-get install serf");
        None
    };
    let (gossiped, all) = *bench.ways.borrow();
    let mut figures = figures(&ours, serf.as_ref());
    let part = 100.0 * gossiped as f64 / all.max(1) as f64;
    figures.push(Figure::new("gossip.arrived_by_gossip", part, "%", Better::Higher));
    Ok(figures)
}

fn figures(ours: &Measured, serf: Option<&Measured>) -> Vec<Figure> {
    let ms = |samples: &[Duration], percent| percentile(samples, percent).as_secs_f64() * 1e3;
    let time = |name, of: fn(&Measured) -> &[Duration], percent| {
        let figure = Figure::new(name, ms(of(ours), percent), "ms", Better::Lower);
        match serf {
            Some(serf) if !of(serf).is_empty() => figure.beside(ms(of(serf), percent), "serf, LAN profile"),
            _ => figure,
        }
    };
    let bytes = Figure::new("gossip.bytes_per_node_and_update", ours.bytes, "B", Better::Lower);
    let late = Figure::new("gossip.late_updates", ours.late as f64, "", Better::Lower).wanted(0.0);
    vec![
        time("gossip.to_each_p50", |m| &m.each, 50),
        time("gossip.to_each_p99", |m| &m.each, 99),
        time("gossip.to_all_p50", |m| &m.last, 50),
        time("gossip.to_all_p99", |m| &m.last, 99).wanted(50.0),
        time("gossip.to_all_max", |m| &m.last, 100),
        time("gossip.durable_at_all_p99", |m| &m.durable, 99),
        match serf {
            Some(serf) => late.beside(serf.late as f64, "serf, LAN profile"),
            None => late,
        },
        match serf {
            Some(serf) => bytes.beside(serf.bytes, "serf, LAN profile"),
            None => bytes,
        },
        Figure::new("gossip.copies", ours.copies, "per node", Better::Lower).wanted(6.0),
    ]
}

impl Bench<'_> {
    fn vigo(&self, dir: &Path) -> Result<Measured, Failure> {
        let program = std::env::current_exe()
            .map_err(|e| Failure::new(Exit::Failed, format!("where is this program? {e}")))?;
        let state = |host: usize| dir.join(format!("n{host}"));
        let key = dir.join("operator.key");
        let bad = |e: &dyn std::fmt::Display| Failure::new(Exit::Failed, escaped(&e.to_string()));
        init(Init {
            state: &state(0),
            name: "n0".parse().map_err(|e| bad(&e))?,
            fleet: "bench".into(),
            operator_name: "bench".parse().map_err(|e| bad(&e))?,
            operator: OperatorKey::New { path: key.clone(), passphrase: None },
        })
        .map_err(|e| bad(&e))?;
        let node = |host: usize| {
            let mut command = self.lab.command(host, &program);
            command
                .args(["node", "--log-level", LEVEL, "--end-with-parent"])
                .arg(std::process::id().to_string());
            command.arg("--state").arg(state(host)).arg("--fs-root").arg(state(host).join("root"));
            self.lab.start(host, command, WORDS, &self.mouth)
        };
        let mut nodes = vec![node(0)?];
        self.ready(&mut nodes, 1)?;
        let mut invite = Process::new(&program);
        invite.args(["vigocli", "spanner", "invite", "--json", "--uses"]).arg(self.nodes.to_string());
        let invited =
            invite.arg("--state").arg(state(0)).arg("--key").arg(&key).output().map_err(|e| bad(&e))?;
        let token: serde_json::Value = serde_json::from_slice(&invited.stdout)
            .map_err(|e| bad(&format!("no token: {e} {}", String::from_utf8_lossy(&invited.stderr))))?;
        let token = token["token"].as_str().unwrap_or_default().to_owned();
        self.join(&program, &token, &state)?;
        for host in 1..self.nodes {
            nodes.push(node(host)?);
        }
        self.ready(&mut nodes, self.nodes - 1)?;
        self.rest("letting links settle", SETTLE)?;
        let key = keyfile::load(&key, &mut |_| None)?;
        let client = Client::connect(&state(0).join("vigo.sock"))?;
        let clients: Vec<Client> = (0..self.nodes)
            .map(|host| Client::connect(&state(host).join("vigo.sock")))
            .collect::<Result<_, _>>()?;
        let before = copies(&clients)?;
        let mut measured = self.run("vigo", |n| push(&client, &key, n))?;
        let (all, sent) = (copies(&clients)?.saturating_sub(before), self.updates + WARM_UP);
        measured.copies = all as f64 / (self.nodes - 1) as f64 / sent as f64;
        Ok(measured)
    }

    /// Everybody but the first joins.
    fn join(&self, program: &Path, token: &str, state: &dyn Fn(usize) -> PathBuf) -> Result<(), Failure> {
        let hosts: Vec<usize> = (1..self.nodes).collect();
        for some in hosts.chunks(JOINING) {
            self.go_on()?;
            self.bar.set_message(format!("{} of {} joined", some[0], self.nodes));
            let mut joining = Vec::new();
            for host in some {
                let mut command = self.lab.command(*host, program);
                command.args(["join", token, "--name", &format!("n{host}"), "--state"]).arg(state(*host));
                joining.push(self.lab.start(*host, command, WORDS, &self.mouth)?);
            }
            let began = Instant::now();
            for each in &mut joining {
                while each.runs() && began.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(5));
                }
                if !each.succeeded() {
                    let words = each.last_words();
                    return Err(Failure::new(Exit::Failed, format!("a node did not join:{words}")));
                }
            }
        }
        Ok(())
    }

    fn serf(&self, update: usize) -> Result<Measured, Failure> {
        let agent = |host: usize| {
            let mut command = self.lab.command(host, Path::new("serf"));
            command.args(["agent", "-log-level=info", "-rpc-addr=127.0.0.1:7373"]);
            command.arg(format!("-node=n{host}")).arg(format!("-bind={}:7946", address(host)));
            command.arg(format!("-retry-join={}", address(0))).arg("-retry-interval=1s");
            self.lab.start(host, command, SERF_WORDS, &self.mouth)
        };
        self.bar.set_message("starting serf");
        let mut agents = Vec::new();
        for host in 0..self.nodes {
            agents.push(agent(host)?);
        }
        let began = Instant::now();
        loop {
            self.go_on()?;
            let know = |host: usize| {
                let mut command = self.lab.command(host, Path::new("serf"));
                let output = command.args(["members", "-status=alive"]).output();
                output.map_or(0, |o| String::from_utf8_lossy(&o.stdout).lines().count())
            };
            let known = [0, self.nodes / 2, self.nodes - 1].map(know);
            if known == [self.nodes; 3] {
                break;
            }
            if began.elapsed() > PATIENCE {
                let words = agents.first().map(Program::last_words).unwrap_or_default();
                let what =
                    format!("serf's agents know {known:?} of {} after {PATIENCE:?}:{words}", self.nodes);
                return Err(Failure::new(Exit::Failed, what));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.rest("letting serf settle", SETTLE)?;
        let payload = "x".repeat(update);
        self.run("serf", |n| {
            let name = format!("vigobench-{n}");
            let mut command = self.lab.command(0, Path::new("serf"));
            let output = command.args(["event", "-coalesce=false", &name, &payload]).output();
            let output = output.map_err(|e| Failure::new(Exit::Failed, format!("serf event: {e}")))?;
            if !output.status.success() {
                let why = escaped(String::from_utf8_lossy(&output.stderr).trim());
                return Err(Failure::new(Exit::Failed, format!("serf event: {why}")));
            }
            Ok(Sent { began: None, name, bytes: payload.len() })
        })
    }

    /// Sends updates and watches them arrive, and as long does nothing.
    fn run(
        &self,
        what: &str,
        mut send: impl FnMut(usize) -> Result<Sent, Failure>,
    ) -> Result<Measured, Failure> {
        for n in 0..WARM_UP {
            let sent = send(n)?;
            self.arrive(&sent)?;
        }
        while self.heard.try_recv().is_ok() {}
        self.bar.set_message(format!("{what}: measuring"));
        let (mut each, mut last, mut durable, mut late, mut update) = (vec![], vec![], vec![], 0, 0);
        let (before, began) = (self.lab.received()?, Instant::now());
        for n in 0..self.updates {
            self.bar.set_message(format!("{what}: update {} of {}", n + 1, self.updates));
            let sent = send(WARM_UP + n)?;
            update = sent.bytes;
            let (taken, kept) = self.arrive(&sent)?;
            each.extend(&taken);
            late += usize::from(taken.len() < self.nodes);
            last.extend(taken.iter().max().filter(|_| taken.len() == self.nodes));
            durable.extend(kept.iter().max().filter(|_| kept.len() == self.nodes));
            std::thread::sleep(PAUSE);
        }
        let (busy, lasted) = (self.lab.received()? - before, began.elapsed());
        let before = self.lab.received()?;
        self.rest(&format!("{what}: what flows without updates"), lasted)?;
        let idle = self.lab.received()? - before;
        let bytes = busy.saturating_sub(idle) as f64 / self.nodes as f64 / self.updates as f64;
        Ok(Measured { each, last, durable, late, bytes, update, copies: 0.0 })
    }

    /// When an update was taken in, and when it was durable, on each node. Nobody has longer than [`LATE`].
    fn arrive(&self, sent: &Sent) -> Result<(Vec<Duration>, Vec<Duration>), Failure> {
        let (mut taken, mut kept): (BTreeMap<usize, Duration>, BTreeMap<usize, Duration>) =
            Default::default();
        let end = Instant::now() + LATE;
        let mut began = sent.began;
        while taken.len() < self.nodes {
            self.go_on()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let Ok(heard) = self.heard.recv_timeout(left.min(Duration::from_millis(100))) else { continue };
            if !heard.line.split([' ', '=']).any(|word| word == sent.name) {
                continue;
            }
            let (began, wall) = *began.get_or_insert((heard.at, 0));
            let read = heard.at.saturating_duration_since(began);
            let logged =
                heard.line.split(' ').find_map(|word| word.strip_prefix("micros=")?.parse::<u64>().ok());
            if let Some(micros) = logged {
                kept.entry(heard.host).or_insert(read);
                let mut ways = self.ways.borrow_mut();
                ways.0 += u64::from(heard.line.contains("by=Gossip"));
                ways.1 += u64::from(heard.host != 0);
                taken.entry(heard.host).or_insert(Duration::from_micros(micros.saturating_sub(wall)));
            } else {
                taken.entry(heard.host).or_insert(read);
            }
        }
        Ok((taken.into_values().collect(), kept.into_values().collect()))
    }

    /// Waits until so many more nodes said that they are ready.
    fn ready(&self, nodes: &mut [Program], count: usize) -> Result<(), Failure> {
        let (began, mut ready) = (Instant::now(), 0);
        while ready < count {
            self.go_on()?;
            self.bar.set_message(format!("{ready} of {count} nodes are ready"));
            if let Ok(heard) = self.heard.recv_timeout(Duration::from_millis(100)) {
                ready += usize::from(heard.line.contains("is ready"));
            }
            let ended = nodes.iter_mut().find_map(|node| (!node.runs()).then(|| node.last_words()));
            if let Some(words) = ended {
                return Err(Failure::new(Exit::Failed, format!("a node has ended:{words}")));
            }
            if began.elapsed() > PATIENCE {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("{ready} of {count} nodes are ready after {PATIENCE:?}"),
                ));
            }
        }
        Ok(())
    }

    fn rest(&self, why: &str, time: Duration) -> Result<(), Failure> {
        self.bar.set_message(why.to_owned());
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.go_on()?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), Failure> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(Failure::new(Exit::Failed, "ended before anything was measured"));
        }
        Ok(())
    }
}

/// An update under way.
struct Sent {
    /// When it began, also in microseconds of the wall clock; with the first line if none.
    began: Option<(Instant, u64)>,
    /// What stands in the lines that tell of it.
    name: String,
    /// Its bytes.
    bytes: usize,
}

/// Copies of messages that have come in on all nodes together.
fn copies(clients: &[Client]) -> Result<u64, Failure> {
    let mut sum = 0;
    for client in clients {
        let page = client.metrics()?;
        let line = page.lines().find_map(|line| line.strip_prefix("vigo_gossip_copies_total "));
        sum += line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// Sets a setting.
fn push(client: &Client, key: &SecretKey, n: usize) -> Result<Sent, Failure> {
    let signer = Signer::new(key.clone(), reach::context(client, key.public())?);
    let signed = signer.set("converge.interval", Some(&json!(1_000 + n % 10_000)))?;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began = Some((Instant::now(), u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)));
    let id = reach::submit(client, &signed)?;
    Ok(Sent { began, name: id.to_string(), bytes: signed.bytes.len() })
}

/// The smallest of the samples that at least `percent` of a hundred do not exceed; nothing of none.
fn percentile(samples: &[Duration], percent: usize) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(times: std::ops::Range<u64>, bytes: f64) -> Measured {
        let all: Vec<Duration> = times.map(Duration::from_millis).collect();
        Measured {
            each: all.clone(),
            last: all.clone(),
            durable: all,
            late: 0,
            bytes,
            update: 300,
            copies: 4.0,
        }
    }

    #[test]
    fn figures_stand_beside_serf_and_are_judged_without_it() {
        let serf = measured(1..201, 4_000.0);
        for serf in [None, Some(&serf)] {
            let figures = figures(&measured(1..101, 1_000.0), serf);
            let of = |name: &str| figures.iter().find(|f| f.name == name).unwrap();
            let p99 = of("gossip.to_all_p99");
            assert_eq!((p99.value, p99.target, p99.met), (99.0, Some(50.0), Some(false)));
            assert_eq!(p99.ratio, serf.map(|_| 0.5));
            assert_eq!(of("gossip.copies").met, Some(true));
            assert_eq!(of("gossip.late_updates").met, Some(true));
        }
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
