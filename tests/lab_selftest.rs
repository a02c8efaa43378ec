//! The lab, tried on itself: what it says about a network must be true of the network.
//!
//! Every fault it can make is shown to bite and to end, and everything it makes is shown to be gone.

#[path = "lab/mod.rs"]
mod lab;

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use lab::{Lab, Node, Process, Readiness, decide, require_lab, secs, sweep, wait};

/// Makes [`helper`] do something: `listen`, or `send ADDRESS TEXT`.
const HELPER: &str = "VIGO_LAB_HELPER";
const PORT: u16 = 1531;
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 42);

/// Not a test: the program that the tests below run inside namespaces.
#[test]
fn helper() {
    let Ok(order) = std::env::var(HELPER) else { return };
    let words: Vec<&str> = order.split(' ').collect();
    match words.as_slice() {
        ["listen"] => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("bind");
            socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED).expect("join");
            println!("listening");
            let mut buffer = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).expect("receive");
                println!("heard {} from {}", String::from_utf8_lossy(&buffer[..length]), from.ip());
            }
        }
        ["send", address, text] => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
            // A first packet may be lost to address resolution.
            for _ in 0..3 {
                let _ = socket.send_to(text.as_bytes(), (*address, PORT));
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
        other => panic!("no such order: {other:?}"),
    }
}

fn helper_on(lab: &Lab, host: &str, order: &str) -> Command {
    let mut command = lab.command(host, std::env::current_exe().expect("a test has a path"));
    command.args(["--exact", "helper", "--nocapture"]).env(HELPER, order);
    command
}

fn listen(lab: &Lab, host: &str) -> Process {
    let mut listener =
        Process::spawn(&format!("{host}.listen"), helper_on(lab, host, "listen"), lab.folder());
    listener.wait_line("listening", secs(10));
    listener
}

fn send(lab: &Lab, host: &str, to: Ipv4Addr, text: &str) {
    let status = helper_on(lab, host, &format!("send {to} {text}")).output().expect("runs").status;
    assert!(status.success(), "sending failed");
}

#[test]
fn a_cut_link_is_cut_until_it_is_mended() {
    if require_lab().skips() {
        return;
    }
    let mut lab = Lab::new("cut");
    let (_, b) = (lab.host("a"), lab.host("b"));
    assert!(lab.pings("a", b));
    lab.cut("b");
    assert!(!lab.pings("a", b), "a cut link answers");
    lab.mend("b");
    wait::holds("the link is back", secs(10), || lab.pings("a", b));
}

#[test]
fn a_partition_divides_and_heals() {
    if require_lab().skips() {
        return;
    }
    let mut lab = Lab::new("partition");
    let (_, b, c, d) = (lab.host("a"), lab.host("b"), lab.host("c"), lab.host("d"));
    assert!(lab.pings("a", b) && lab.pings("a", c) && lab.pings("c", d));
    lab.partition(&["c", "d"]);
    assert!(!lab.pings("a", c), "the partition leaks");
    wait::holds("each side works", secs(10), || lab.pings("a", b) && lab.pings("c", d));
    lab.heal();
    wait::holds("the partition healed", secs(10), || lab.pings("a", c) && lab.pings("d", b));
}

#[test]
fn deafness_is_one_way() {
    if require_lab().skips() {
        return;
    }
    let mut lab = Lab::new("deaf");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut at_a, mut at_b) = (listen(&lab, "a"), listen(&lab, "b"));
    lab.deafen("b", "a");
    send(&lab, "a", b, "lost");
    send(&lab, "b", a, "through");
    at_a.wait_line("heard through", secs(10));
    assert!(!at_b.log().contains("lost"), "a deaf host heard: {}", at_b.log());
    lab.hear("b", "a");
    send(&lab, "a", b, "again");
    at_b.wait_line("heard again", secs(10));
}

#[test]
fn behind_nat_one_can_only_dial_out() {
    if require_lab().skips() {
        return;
    }
    let mut lab = Lab::new("nat");
    let (open, inner) = (lab.host("open"), lab.host_behind_nat("laptop"));
    let outer = lab.outer_address("laptop");
    assert!(lab.pings("laptop", open), "it cannot dial out");
    assert!(!lab.pings("open", inner), "the inner address can be reached from outside");
    let mut listener = listen(&lab, "open");
    send(&lab, "laptop", open, "hello");
    let line = listener.wait_line("heard hello", secs(10));
    assert!(line.ends_with(&format!("from {outer}")), "not from the box's address {outer}: {line}");
    let caged = listen(&lab, "laptop");
    send(&lab, "open", outer, "unasked");
    assert!(!caged.log().contains("unasked"), "the box lets strangers in");
    lab.cut("laptop");
    assert!(!lab.pings("laptop", open), "a cut link answers");
}

#[test]
fn multicast_crosses_the_switch() {
    if require_lab().skips() {
        return;
    }
    let mut lab = Lab::new("multicast");
    lab.host("a");
    lab.host("b");
    let mut listener = listen(&lab, "b");
    send(&lab, "a", GROUP, "beacon");
    let line = listener.wait_line("heard beacon", secs(10));
    assert!(line.ends_with(&lab.address("a").to_string()), "{line}");
}

#[test]
fn nothing_is_left_after_a_panic() {
    if require_lab().skips() {
        return;
    }
    let (say, hear) = std::sync::mpsc::channel();
    let ended = std::thread::spawn(move || {
        let mut lab = Lab::new("panic");
        lab.host("a");
        lab.host_behind_nat("b");
        let process = lab.spawn("a", "sleep", &["sleep", "600"]);
        say.send((lab.tag().to_owned(), lab.folder().to_owned(), process.pid())).expect("heard");
        // Whatever a host started and lost sight of goes too.
        let orphan = lab.run("a", &["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]);
        say.send((String::from_utf8_lossy(&orphan.stdout).into_owned(), lab.folder().to_owned(), 0))
            .expect("heard");
        panic!("on purpose");
    })
    .join();
    assert!(ended.is_err());
    let (tag, folder, pid) = hear.recv().expect("said");
    let (orphan, ..) = hear.recv().expect("said");
    assert_eq!(spaces(&tag), Vec::<String>::new());
    assert!(!folder.exists(), "{} is left", folder.display());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is left");
    let orphan: u32 = orphan.trim().parse().expect("a process id");
    wait::holds("the orphan is gone", secs(5), || {
        std::fs::read_to_string(format!("/proc/{orphan}/stat")).map_or(true, |stat| stat.contains(") Z "))
    });
}

#[test]
fn leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    if require_lab().skips() {
        return;
    }
    let mut short = Command::new("true").spawn().expect("true runs");
    let dead = short.id();
    short.wait().expect("it ends");
    let (left, mine) = (format!("vigo-{dead}-0-web01"), format!("vigo-{}-77-web01", std::process::id()));
    let folder = std::env::temp_dir().join(format!("vigo-lab-{dead}-0-old"));
    std::fs::create_dir_all(&folder).expect("a folder");
    for name in [&left, &mine] {
        assert!(Command::new("ip").args(["netns", "add", name]).status().expect("ip runs").success());
    }
    let mut inside =
        Command::new("ip").args(["netns", "exec", &left, "sleep", "600"]).spawn().expect("spawns");
    wait::holds("it runs inside", secs(5), || {
        let output = Command::new("ip").args(["netns", "pids", &left]).output().expect("ip runs");
        !output.stdout.is_empty()
    });
    sweep();
    let (gone, kept) = (spaces(&left), spaces(&mine));
    let _ = Command::new("ip").args(["netns", "del", &mine]).status();
    let _ = inside.kill();
    assert!(inside.wait().is_ok_and(|status| !status.success()), "the process inside was not killed");
    assert_eq!(gone, Vec::<String>::new());
    assert_eq!(kept, [mine]);
    assert!(!folder.exists());
}

fn spaces(prefix: &str) -> Vec<String> {
    let output = Command::new("ip").args(["netns", "list"]).output().expect("ip runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    text.lines().map(first).filter(|name| name.starts_with(prefix)).collect()
}

#[test]
fn processes_are_heard_asked_and_killed() {
    let folder = std::env::temp_dir().join(format!("vigo-lab-{}-processes", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let shell = |title: &str, script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(title, command, &folder)
    };
    let mut polite =
        shell("polite", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done");
    assert_eq!(polite.wait_line("rea", secs(10)), "ready");
    let (status, took) = polite.terminate(secs(10));
    assert_eq!(status.code(), Some(7));
    assert!(took < secs(10) && polite.log().contains("bye"));

    let mut stubborn = shell("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.02; done");
    stubborn.wait_line("ready", secs(10));
    let late = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        stubborn.terminate(std::time::Duration::from_millis(200));
    }));
    assert!(late.is_err(), "a program that ignores SIGTERM passed");
    stubborn.kill();
    assert!(!stubborn.is_running());

    let mut silent = shell("silent", "echo something else");
    let never =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| silent.wait_line("ready", secs(60))));
    assert!(never.is_err(), "a program that ended without the line passed");
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_node_runs_under_both_names_with_its_own_home() {
    let folder = std::env::temp_dir().join(format!("vigo-lab-{}-node", std::process::id()));
    let node = Node::new("web01", "/bin/sh", &folder);
    assert!(node.state().is_dir() && node.root().is_dir());
    for name in ["vigo", "vigocli"] {
        let output = node.command(None, name, &["-c", "echo $0 $HOME"]).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&format!("/{name} ")) && said.contains("web01/home"), "{said}");
    }
    let mut process = node.spawn(None, "node", &["-c", "echo ready; exec sleep 600"], &folder);
    process.wait_line("ready", secs(10));
    process.terminate(secs(10));
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn json_is_waited_for_and_a_deadline_ends_it() {
    let count = std::cell::Cell::new(0);
    let print = || {
        count.set(count.get() + 1);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo '{{\"n\": {}}}'", count.get())]);
        command
    };
    let (value, _) = wait::until_json("n is 3", secs(10), print, |v| v["n"].as_u64() == Some(3));
    assert_eq!(value["n"], 3);
    let never = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait::until_json("n is 0", std::time::Duration::from_millis(100), print, |v| {
            v["n"].as_u64() == Some(0)
        })
    }));
    let said = *never.expect_err("it never holds").downcast::<String>().expect("a message");
    assert!(said.contains("n is 0") && said.contains("last seen"), "{said}");
}

#[test]
fn a_missing_lab_skips_unless_it_is_required() {
    let missing = ["nft is missing".to_owned()];
    assert_eq!(decide(&[], true), Ok(Readiness::Ready));
    assert_eq!(decide(&[], false), Ok(Readiness::Ready));
    assert!(decide(&missing, false).is_ok_and(|r| r.skips()));
    assert!(decide(&missing, true).is_err_and(|why| why.contains("nft is missing")));
}
