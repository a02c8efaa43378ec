//! A hostile machine on the LAN: what it can make a fleet do with beacons, and what it cannot.
//!
//! The foe is this very program, started in a namespace of its own: [`foe`] is a test that only acts when it is told
//! to. It knows the fleet's id, can sign with keys of its own, has what it heard, and sends from any address it likes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use vigo_base::{Hash, SecretKey, SpannerId, Time};
use vigo_daemon::node::swarm::beacon::{GROUP_V4, Here, PORT, Packet};
use vigo_daemon::node::swarm::peers::Kind;

use crate::discover::{meet, relocate, strand};
use crate::figures::say;
use crate::fleet::{Fleet, PATIENCE, alone};
use crate::lab::{Process, require_lab, secs, wait};

/// The words that tell [`foe`] what to do.
const ORDERS: &str = "VIGO_TEST_FOE";

/// Not a test: the foe's own program. Orders are `WHAT SECONDS FLEET OWN VICTIM`.
#[test]
#[ignore = "long: the program of a foe, which other tests start"]
fn foe() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let words: Vec<&str> = orders.split(' ').collect();
    let lasts = secs(words[1].parse().expect("seconds"));
    let fleet = SpannerId(words[2].parse().expect("a fleet"));
    let (own, victim): (Ipv4Addr, Ipv4Addr) =
        (words[3].parse().expect("own"), words[4].parse().expect("victim"));
    let (sent, took) = match words[0] {
        "flood" => flood(lasts, fleet, own),
        "victim" => frame(lasts, fleet, own, victim),
        "echo" => echo(lasts, own),
        other => panic!("no such foe: {other}"),
    };
    println!("FOE sent {sent} in {} ms", took.as_millis());
}

/// A socket that sends to the group on the interface of `own`, from `from`.
fn mouth(own: Ipv4Addr, from: Ipv4Addr) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("shared");
    socket.bind(&SocketAddr::new(from.into(), PORT).into()).expect("bound");
    socket.set_multicast_if_v4(&own).expect("the interface");
    socket
}

fn group() -> socket2::SockAddr {
    SocketAddr::new(GROUP_V4.into(), PORT).into()
}

fn beacon(key: u64, fleet: SpannerId, at: IpAddr, moment: u64) -> Vec<u8> {
    let here = Here {
        spanner: fleet,
        kind: Kind::Bolt,
        address: SocketAddr::new(at, PORT),
        label: "home".into(),
        time: Time(u64::MAX / 2 + moment),
        nonce: moment,
        seeks: true,
        digests: [[7; _]; 3],
    };
    Packet::Here(here).sign(&SecretKey::from_seed(Hash::of(&key.to_be_bytes()).0))
}

/// Everything at once, as fast as it goes, at most 50,000 a second: well signed, forged, malformed, of other fleets.
fn flood(lasts: Duration, fleet: SpannerId, own: Ipv4Addr) -> (u64, Duration) {
    let mut packets = Vec::new();
    for n in 0..256 {
        let good = beacon(n, fleet, own.into(), n);
        let mut forged = good.clone();
        *forged.last_mut().expect("a packet") ^= 1;
        packets.push(beacon(n, SpannerId::default(), own.into(), n));
        packets.push([&b"VIGO\x01"[..], &[0xff; 400]].concat());
        packets.extend([good, forged]);
    }
    let (socket, to, began) = (mouth(own, own), group(), Instant::now());
    let mut sent = 0u64;
    while began.elapsed() < lasts {
        for _ in 0..100 {
            let _ = socket.send_to(&packets[sent as usize % packets.len()], &to);
            sent += 1;
        }
        let due = Duration::from_micros(sent * 20);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    (sent, began.elapsed())
}

/// Names the victim in beacons of a hundred keys: from its address, and from its own. The address must be this host's.
fn frame(lasts: Duration, fleet: SpannerId, own: Ipv4Addr, victim: Ipv4Addr) -> (u64, Duration) {
    let (spoofed, plain, to, began) = (mouth(own, victim), mouth(own, own), group(), Instant::now());
    let mut sent = 0u64;
    while began.elapsed() < lasts {
        let packet = beacon(1_000 + sent % 100, fleet, victim.into(), sent);
        let _ = spoofed.send_to(&packet, &to);
        let _ = plain.send_to(&packet, &to);
        sent += 2;
        std::thread::sleep(Duration::from_millis(100));
    }
    (sent, began.elapsed())
}

/// Sends again whatever it hears, from its own address.
fn echo(lasts: Duration, own: Ipv4Addr) -> (u64, Duration) {
    let ear = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    ear.set_reuse_address(true).expect("shared");
    ear.bind(&group()).expect("bound");
    ear.join_multicast_v4(&GROUP_V4, &own).expect("joined");
    ear.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let ear: std::net::UdpSocket = ear.into();
    let (mouth, to, began) = (mouth(own, own), group(), Instant::now());
    let (mut kept, mut sent): (Vec<Vec<u8>>, u64) = (Vec::new(), 0);
    let mut buffer = [0; 2_000];
    while began.elapsed() < lasts {
        if let Ok((length, from)) = ear.recv_from(&mut buffer)
            && from.ip() != IpAddr::from(own)
            && kept.len() < 1_000
        {
            kept.push(buffer[..length].to_vec());
        }
        for packet in &kept {
            let _ = mouth.send_to(packet, &to);
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    (sent, began.elapsed())
}

/// Starts the foe on a host.
fn start(fleet: &Fleet, what: &str, lasts: u64, own: Ipv4Addr, victim: Ipv4Addr) -> Process {
    let id = fleet.look("bolt1").and_then(|s| s.spanner).expect("a fleet");
    let mut command = fleet.lab.command("foe", std::env::current_exe().expect("this program"));
    command.args(["--exact", "foes::foe", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(ORDERS, format!("{what} {lasts} {id} {own} {victim}"));
    Process::spawn(&format!("foe.{what}"), command, fleet.lab.folder())
}

/// Processor time (ms) and resident memory (KiB) of a node so far.
fn cost(fleet: &Fleet, name: &str) -> (u64, u64) {
    let pid = fleet.pid(name);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<u64> =
        stat.rsplit(')').next().expect("fields").split(' ').filter_map(|f| f.parse().ok()).collect();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|l| l.split_whitespace().next());
    // Of the fields behind the state (which is no number) utime and stime are the 11th and 12th, in hundredths.
    ((fields[10] + fields[11]) * 10, rss.and_then(|kib| kib.parse().ok()).expect("VmRSS"))
}

fn ignored(fleet: &Fleet, name: &str, why: &str) -> u64 {
    fleet.look(name).and_then(|s| s.beacons.ignored.get(why).copied()).unwrap_or(0)
}

#[test]
fn a_flood_of_beacons_costs_little_and_an_honest_node_is_still_found() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    let mut fleet = Fleet::of("flood", 1, 2);
    let own = fleet.lab.host("foe");
    // Nobody knows where anybody is: not the one that comes in the middle of it, nor the others where that one is.
    fleet.stop("env2");
    relocate(&fleet, "env2", 7);
    strand(&mut fleet, &["bolt1", "env1"]);
    meet(&fleet, &["bolt1", "env1"], 1, PATIENCE);
    let before = cost(&fleet, "bolt1");
    let began = Instant::now();
    let mut foe = start(&fleet, "flood", 10, own, own);
    std::thread::sleep(secs(2));
    fleet.begin("env2");
    let found = meet(&fleet, &["env2"], 1, PATIENCE);
    let line = foe.wait_line("FOE sent", secs(30));
    let lasted = began.elapsed().as_millis() as u64;
    let after = cost(&fleet, "bolt1");
    let (cpu, grown) = (after.0 - before.0, after.1.saturating_sub(before.1));
    let share = cpu * 100 / lasted;
    say("beacon", "a flood", line.trim());
    say("beacon", "a flood: processor of a bolt, and growth", &format!("{share} % of a core, {grown} KiB"));
    say("beacon", "a flood: an honest node is found after", &format!("{} ms", found[0].as_millis()));
    // An unoptimised program, on a machine where the flood itself takes a core.
    assert!(share <= 50, "{share} % of a core ({cpu} of {lasted} ms)");
    assert!(grown <= 16 * 1024, "{grown} KiB");
    let heard = fleet.look("bolt1").expect("it answers").beacons;
    assert!(heard.ignored.values().sum::<u64>() < 2_000, "the flood reached the node: {heard:?}");
    let done = fleet.publish("bolt1", "after");
    fleet.arrives(&["bolt1", "env1", "env2"], "after", done.returned, PATIENCE);
}

#[test]
fn a_victim_is_dialed_once_a_minute_and_nothing_is_reflected() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    let mut fleet = Fleet::of("victim", 1, 2);
    let (own, victim) = (fleet.lab.host("foe"), fleet.lab.host("victim"));
    let names = ["bolt1", "env1", "env2"];
    let run = |host: &str, line: &str| {
        let words: Vec<&str> = ["sh", "-c", line].to_vec();
        let output = fleet.lab.run(host, &words);
        assert!(output.status.success(), "{host}: {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // The foe has the victim's address too, without saying so to anybody who asks.
    run("foe", &format!("sysctl -qw net.ipv4.conf.all.arp_ignore=1 && ip addr add {victim}/32 dev lo"));
    // What comes to the victim, by sender: everything that is not for the group.
    run(
        "victim",
        "nft add table inet count && nft 'add chain inet count in { type filter hook input priority -10; }'",
    );
    let count = |sender: Ipv4Addr| {
        format!("nft 'add rule inet count in ip saddr {sender} ip daddr {victim} udp dport 0-65535 counter'")
    };
    for name in names {
        run("victim", &count(fleet.lab.address(name)));
    }
    let began = Instant::now();
    let mut foe = start(&fleet, "victim", 25, own, victim);
    let line = foe.wait_line("FOE sent", secs(60));
    std::thread::sleep(secs(2));
    let minutes = began.elapsed().as_secs() / 60 + 1;
    let rules = run("victim", "nft list chain inet count in");
    let packets: Vec<u64> = rules
        .lines()
        .filter_map(|l| l.split("counter packets ").nth(1)?.split(' ').next()?.parse().ok())
        .collect();
    say(
        "beacon",
        "a victim named in beacons",
        &format!("{}; packets to it from each of 3 nodes: {packets:?}", line.trim()),
    );
    assert_eq!(packets.len(), 3, "{rules}");
    for (name, packets) in names.iter().zip(&packets) {
        let beacons = fleet.look(name).expect("it answers").beacons;
        assert!(ignored(&fleet, name, "spoofed") > 10, "{name}: {beacons:?}");
        // Nobody answers there: a dial is its first packet, repeated for as long as one waits for an answer.
        assert!(*packets <= 8 * minutes, "{name} sent {packets} packets to the victim: {beacons:?}");
    }
    // The victim was dialed at all, or this test shows nothing.
    assert!(packets.iter().sum::<u64>() > 0, "{packets:?}");
    let done = fleet.publish("bolt1", "after");
    fleet.arrives(&names, "after", done.returned, PATIENCE);
}

#[test]
fn what_is_sent_again_changes_nothing() {
    if require_lab().skips() {
        return;
    }
    let _alone = alone();
    let mut fleet = Fleet::of("echo", 1, 3);
    let own = fleet.lab.host("foe");
    let names = ["bolt1", "env1", "env2", "env3"];
    let mut foe = start(&fleet, "echo", 12, own, own);
    strand(&mut fleet, &names);
    meet(&fleet, &names, 2, PATIENCE);
    let line = foe.wait_line("FOE sent", secs(60));
    say("beacon", "beacons sent again from elsewhere", line.trim());
    for name in names {
        assert!(ignored(&fleet, name, "spoofed") > 0, "{name}: {:?}", fleet.look(name).map(|s| s.beacons));
        let to_foe = fleet.peers(name).iter().any(|p| p.address.contains(&own.to_string()));
        assert!(!to_foe, "{name} is connected with the foe");
    }
    wait::until("all are together", PATIENCE, || {
        let few = names.iter().any(|name| fleet.look(name).is_none_or(|s| s.peers < 2));
        if few { Err(fleet.states(&names)) } else { Ok(()) }
    });
    let done = fleet.publish("env1", "after");
    fleet.arrives(&names, "after", done.returned, PATIENCE);
}
