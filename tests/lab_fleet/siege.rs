//! Strangers besiege a bolt, and its fleet goes on (R17).
//!
//! Another host of the same bridge does all that a machine without papers can do to the ports of a bolt. Measured are
//! the memory of the bolt and what a setting takes from the bolt to its envoys, beside the same without attackers.
//! Attacker and victims share the processors of one machine, so the attacker is `nice` 19, as if it had its own.
//!
//! The attacker is this very program in a namespace ([`attacker`]). Its addresses are many and truly its own: whoever
//! spoofs gets no answer, and no attack here waits for one that it does not want.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::json;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, Reply};
use vigo_daemon::operator::{Signer, keyfile};

use crate::figures::{percentile, say, spread};
use crate::fleet::{Fleet, PATIENCE, Said, alone};
use crate::lab::{Process, require_lab, secs, wait};
use crate::quic::{self, Plane};

/// The words that tell [`attacker`] what to do.
const ORDERS: &str = "VIGO_TEST_SIEGE";
/// Half-open handshakes of an attack.
const HALF_OPEN: u64 = 10_000;
/// Addresses of the attacker.
const ADDRESSES: u8 = 200;
/// What R17 allows, in KiB.
const GROWTH: u64 = 64 * 1024;
/// The gossip plane's port.
const GOSSIP: u16 = 1530;
const CHANNEL: u16 = 1531;
/// Pushes that are measured at least under an attack.
const FEWEST: usize = 40;

/// Not a test: the attacker's own program. Orders are `WHAT TARGET SECONDS GROUP`.
#[test]
#[ignore = "long: the program of an attacker, which other tests start"]
fn attacker() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let words: Vec<&str> = orders.split(' ').collect();
    let target: Ipv4Addr = words[1].parse().expect("an address");
    let lasts = secs(words[2].parse().expect("seconds"));
    let at = |plane| SocketAddr::new(target.into(), if plane == Plane::Gossip { GOSSIP } else { CHANNEL });
    println!("ATTACK begins: {orders}");
    let (channel, gossip) = (Plane::Channel, Plane::Gossip);
    let told = match words[0] {
        "half-open" => half_open(at(channel), channel, lasts, 1),
        "gaps" => half_open(at(channel), channel, lasts, 8),
        "drip-handshake" => drip_handshake(at(channel), channel, lasts),
        "drip-frame" => drip_frame(at(channel), lasts),
        "gossip-half-open" => half_open(at(gossip), gossip, lasts, 1),
        "gossip-gaps" => half_open(at(gossip), gossip, lasts, 8),
        "flood" => flood(target, words[3].parse().expect("a group"), lasts),
        other => panic!("no such attack: {other}"),
    };
    println!("ATTACK ends: {told}");
}

fn address(n: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 120, 1 + (n % u64::from(ADDRESSES)) as u8)
}

/// Sockets at many addresses.
fn sockets() -> Vec<UdpSocket> {
    (0..2 * u64::from(ADDRESSES)).map(|n| UdpSocket::bind((address(n), 0)).expect("an address")).collect()
}

/// Ten thousand handshakes that are begun and never go on, over half the time. With more than one packet each, all
/// but a piece in the middle of the first words arrives, cut small and in the worst order.
fn half_open(to: SocketAddr, plane: Plane, lasts: Duration, packets: u32) -> String {
    let words = quic::hello(plane);
    let (sockets, began, mut sent) = (sockets(), Instant::now(), 0u64);
    for attempt in 0..HALF_OPEN {
        let socket = &sockets[(attempt % sockets.len() as u64) as usize];
        for number in 0..packets {
            let mut pieces: Vec<(usize, &[u8])> = Vec::new();
            if packets == 1 {
                pieces.push((0, &words));
            } else {
                // Every second byte, from the end; other packets begin the same at places where nothing will ever be.
                let at = number as usize * 1_500;
                pieces.extend((0..words.len() / 2).rev().map(|n| (at + 2 * n, &words[2 * n..=2 * n])));
            }
            let _ = socket.send_to(&quic::initial(attempt, number, &pieces), to);
            sent += 1;
        }
        let due = lasts.mul_f64(0.5 * attempt as f64 / HALF_OPEN as f64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    let took = began.elapsed();
    std::thread::sleep(lasts.saturating_sub(took));
    format!("{HALF_OPEN} handshakes, {sent} packets in {} ms", took.as_millis())
}

/// A thousand handshakes whose first words arrive byte by byte, one in ten seconds.
fn drip_handshake(to: SocketAddr, plane: Plane, lasts: Duration) -> String {
    let words = quic::hello(plane);
    let (sockets, began, mut sent) = (sockets(), Instant::now(), 0u64);
    for byte in 0.. {
        for attempt in 0..1_000 {
            let socket = &sockets[(attempt % sockets.len() as u64) as usize];
            let piece = &words[byte..=byte];
            let _ = socket.send_to(&quic::initial(1 << 32 | attempt, byte as u32, &[(byte, piece)]), to);
            sent += 1;
        }
        let next = secs(10) * (byte as u32 + 1);
        if next >= lasts {
            break;
        }
        std::thread::sleep(next.saturating_sub(began.elapsed()));
    }
    std::thread::sleep(lasts.saturating_sub(began.elapsed()));
    format!("1,000 handshakes, {sent} bytes")
}

/// Sixty-four connections from as many addresses, with good handshakes, each of which sends a byte of a frame in ten
/// seconds; whoever is hung up on comes again at once.
fn drip_frame(to: SocketAddr, lasts: Duration) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let end = Instant::now() + lasts;
    let tasks = (0..64u8).map(|n| {
        runtime.spawn(async move {
            let (mut shaken, mut refused) = (0u64, 0u64);
            while Instant::now() < end {
                match tokio::time::timeout(secs(2), quic::connect(address(n.into()), to, n)).await {
                    Ok(Ok(connection)) => {
                        shaken += 1;
                        drip(&connection).await;
                    }
                    _ => refused += 1,
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (shaken, refused)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    std::thread::sleep(lasts);
    let counts: Vec<(u64, u64)> = tasks
        .into_iter()
        .filter_map(|task| runtime.block_on(async { tokio::time::timeout(secs(5), task).await.ok()?.ok() }))
        .collect();
    let sum = |of: fn(&(u64, u64)) -> u64| counts.iter().map(of).sum::<u64>();
    format!("{} handshakes, {} refused", sum(|c| c.0), sum(|c| c.1))
}

async fn drip(connection: &quinn::Connection) {
    let Ok((mut send, _recv)) = connection.open_bi().await else { return };
    // A frame of 100,000 bytes is announced.
    for byte in 100_000u32.to_be_bytes().iter().chain(&[7; 1_000]) {
        if send.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::select! {
            _ = connection.closed() => return,
            () = tokio::time::sleep(secs(10)) => {}
        }
    }
}

/// Noise on every port, as fast as it goes: bare noise, and what begins like something.
fn flood(target: Ipv4Addr, group: Ipv4Addr, lasts: Duration) -> String {
    let mut dice = vigo_base::Dice::from_number(17);
    let starts: [&[u8]; 5] = [b"", b"VIGO\x01", &[0xc3, 0, 0, 0, 1, 8], &[0x40], &[0x80, 0, 0, 0, 0, 8]];
    let packets: Vec<Vec<u8>> = (0..256)
        .map(|n| {
            let noise = (0..1 + dice.below(1_300)).map(|_| dice.below(256) as u8);
            starts[n % starts.len()].iter().copied().chain(noise).collect()
        })
        .collect();
    let targets = [(target, CHANNEL), (target, GOSSIP), (group, CHANNEL)];
    let (sockets, began, mut sent) = (sockets(), Instant::now(), 0usize);
    while began.elapsed() < lasts {
        for _ in 0..300 {
            let _ = sockets[sent % sockets.len()].send_to(&packets[sent % 256], targets[sent % 3]);
            sent += 1;
        }
    }
    format!("{sent} packets, {} a second", sent as u64 / lasts.as_secs().max(1))
}

/// A bolt, three envoys, and another host full of addresses.
struct Siege {
    fleet: Fleet,
    bolt: Client,
    envoys: Vec<Client>,
    key: vigo_base::SecretKey,
    value: u64,
    attacks: usize,
}

impl Siege {
    fn new() -> Siege {
        let mut fleet = Fleet::of("siege", 1, 3);
        fleet.lab.host("foe");
        fleet.lab.host("empty");
        let all: String =
            (0..u64::from(ADDRESSES)).map(|n| format!("addr add {}/17 dev eth0\n", address(n))).collect();
        let batch = fleet.lab.folder().join("addresses");
        std::fs::write(&batch, all).expect("a file");
        let made = fleet.lab.run("foe", &["ip", "-batch", &batch.display().to_string()]);
        assert!(made.status.success(), "{made:?}");
        let bolt = fleet.client("bolt1").expect("it answers");
        let envoys = ["env1", "env2", "env3"].map(|name| fleet.client(name).expect("it answers")).into();
        let key = keyfile::load(&fleet.key("home"), &mut |_| None).expect("a plain key");
        Siege { fleet, bolt, envoys, key, value: 10, attacks: 0 }
    }

    /// Sets a setting at the bolt so often; gives what each took to be set at the last envoy.
    fn pushes(&mut self, count: usize) -> Vec<Duration> {
        (0..count).map(|_| self.push()).collect()
    }

    fn push(&mut self) -> Duration {
        self.value += 1;
        let value = json!(self.value);
        let context = self.bolt.call(&Command::Context { key: self.key.public() }).expect("an answer");
        let Reply::Context(context) = context else { panic!("no context: {context:?}") };
        let signer = Signer::new(self.key.clone(), *context);
        let signed = signer.set("converge.interval", Some(&value)).expect("a statement");
        let began = Instant::now();
        self.bolt.call(&signed.command()).expect("it is taken");
        for envoy in &self.envoys {
            let has = |reply: &Reply| match reply {
                Reply::Settings(rows) => {
                    rows.iter().any(|row| row.key == "converge.interval" && row.value == value)
                }
                _ => false,
            };
            while !has(&envoy.call(&Command::Settings).expect("an answer")) {
                assert!(began.elapsed() < PATIENCE, "a setting did not arrive within {PATIENCE:?}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let took = began.elapsed();
        std::thread::sleep(Duration::from_millis(25));
        took
    }

    fn attack(&mut self, what: &str, target: &str, lasts: u64) -> Process {
        self.attacks += 1;
        // Nobody is in the group beside the beacons'.
        let group = if target == "empty" { "224.0.0.43" } else { "224.0.0.42" };
        let target = self.fleet.lab.address(target);
        let program = std::env::current_exe().expect("this program").display().to_string();
        let mut command = self.fleet.lab.command("foe", "nice");
        command.args(["-n", "19", &program, "siege::attacker", "--exact", "--ignored", "--nocapture"]);
        command.env(ORDERS, format!("{what} {target} {lasts} {group}"));
        let title = format!("foe.{}-{what}", self.attacks);
        let mut process = Process::spawn(&title, command, self.fleet.lab.folder());
        process.wait_line("ATTACK begins", PATIENCE);
        process
    }

    /// Resident bytes of the bolt now and at most since [`Siege::forget_peak`], in KiB.
    fn memory(&self) -> (u64, u64) {
        let path = format!("/proc/{}/status", self.fleet.pid("bolt1"));
        let text = std::fs::read_to_string(path).expect("it runs");
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect("a field");
            line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number")
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.fleet.pid("bolt1"));
        std::fs::write(path, "5").expect("root may");
    }

    /// Pushes while `what` is sent to `target`; gives what they took and what the attacker said at its end.
    fn under(&mut self, what: &str, target: &str, lasts: u64) -> (Vec<Duration>, String) {
        let mut foe = self.attack(what, target, lasts);
        let began = Instant::now();
        let mut took = Vec::new();
        while began.elapsed() < secs(lasts) - secs(1) || took.len() < FEWEST {
            took.push(self.push());
        }
        let told = foe.wait_line("ATTACK ends", secs(lasts) + PATIENCE);
        (took, told)
    }

    /// One attack: on a host where nothing listens, which costs the machine as much, and on the bolt.
    fn measure(&mut self, what: &str, title: &str) {
        let (sham, _) = self.under(what, "empty", 5);
        self.forget_peak();
        let (before, _) = self.memory();
        let (took, told) = self.under(what, "bolt1", 7);
        println!("{title}: {told}");
        let grown = self.memory().1.saturating_sub(before);
        judge(title, &sham, &took, grown, before);
    }

    /// Machines that were never seen before join meanwhile.
    fn newcomers(&mut self, names: &[&str]) {
        let mut took = Vec::new();
        for name in names {
            self.fleet.place(name);
            let token = self.fleet.token("home", "bolt1", 1, false);
            let began = Instant::now();
            wait::until("a newcomer joins", secs(60), || {
                let said = Said::of(self.fleet.joining(name, &token).output().expect("it runs"));
                if said.code == 0 { Ok(()) } else { Err(format!("{said:?}")) }
            });
            took.push(began.elapsed());
            self.fleet.start(name);
        }
        say("R17", "machines that join under siege: each", &spread(&took));
    }
}

/// Prints what an attack came to, and judges it. What R17 asks of time is printed; on a machine that does other things
/// as well, only what is far off is a failure.
fn judge(title: &str, sham: &[Duration], took: &[Duration], grown: u64, before: u64) {
    let (usual, found) = (percentile(sham, 99), percentile(took, 99));
    let times = found.as_secs_f64() / usual.as_secs_f64();
    let figure = format!(
        "{}; {times:.1} x the p99 of {} ms with the same sent to an empty host",
        spread(took),
        usual.as_millis()
    );
    say("R17", &format!("{title}: a setting at all envoys"), &figure);
    say("R17", &format!("{title}: the bolt's memory"), &format!("{grown} KiB more than {before} KiB"));
    assert!(grown <= GROWTH, "{title}: the bolt grew by {grown} KiB");
    assert!(found <= usual * 10 + secs(1), "{title}: p99 of {took:?} beside {usual:?}");
}

const ATTACKS: [(&str, &str); 7] = [
    ("half-open", "10,000 half-open handshakes"),
    ("gaps", "10,000 handshakes with gaps"),
    ("drip-handshake", "1,000 handshakes of a byte in ten seconds"),
    ("drip-frame", "64 strangers with a byte of a frame in ten seconds"),
    ("flood", "noise on all ports"),
    ("gossip-half-open", "10,000 half-open handshakes with gossip"),
    ("gossip-gaps", "10,000 handshakes with gaps with gossip"),
];

#[test]
fn strangers_cost_little() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    let mut siege = Siege::new();
    siege.pushes(20);
    say("R17", "no attack: a setting at all envoys", &spread(&siege.pushes(100)));
    for (what, title) in ATTACKS {
        siege.measure(what, title);
    }
    all_at_once(&mut siege);
    for name in siege.fleet.running() {
        assert!(siege.fleet.is_running(&name), "{name} has ended: {}", siege.fleet.log(&name));
        assert!(siege.fleet.look(&name).is_some(), "{name} does not answer");
    }
}

fn all_at_once(siege: &mut Siege) {
    let all = |siege: &mut Siege, target: &str| -> Vec<Process> {
        ATTACKS.iter().map(|(what, _)| siege.attack(what, target, 60)).collect()
    };
    let foes = all(siege, "empty");
    let sham = siege.pushes(FEWEST);
    drop(foes);
    siege.forget_peak();
    let (before, _) = siege.memory();
    let foes = all(siege, "bolt1");
    let took = siege.pushes(2 * FEWEST);
    siege.newcomers(&["late1", "late2", "late3"]);
    let grown = siege.memory().1.saturating_sub(before);
    drop(foes);
    judge("all at once", &sham, &took, grown, before);
}
