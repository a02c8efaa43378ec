//! How a node ends, and how it goes on when it cannot write.

use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::{Duration, Instant};

use vigo_daemon::client::CallError;
use vigo_daemon::driver::Ending;
use vigo_daemon::node::command::{Command, Refusal, RefusalKind, Reply};
use vigo_daemon::nodeconf::NodeConf;
use vigo_daemon::process::{Start, run_node, start};

use super::house::{House, PATIENCE, motd, stop, wait};

/// A small file system of its own, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where mounting is not allowed; under `VIGO_LAB=require` that is a failure.
    fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Program::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        if mounted.is_ok_and(|m| m.status.success()) {
            return Some(SmallDisk(at.to_path_buf()));
        }
        assert!(std::env::var("VIGO_LAB").as_deref() != Ok("require"), "a small disk cannot be mounted here");
        eprintln!("skipped: a small disk cannot be mounted without root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Fills the disk that holds `file`.
fn fill(file: &Path) {
    use std::io::Write;
    let mut junk = std::fs::File::create(file).unwrap();
    for size in [65_536, 4_096, 512] {
        while junk.write_all(&vec![1; size]).is_ok() {}
    }
}

fn splay(house: &House) -> u64 {
    match house.client("b1").call(&Command::Settings).unwrap() {
        Reply::Settings(rows) => {
            rows.iter().find(|r| r.key == "converge.splay").unwrap().value.as_u64().unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_is_told_and_when_there_is_room_the_node_goes_on() {
    let house = House::new();
    let Some(_disk) = SmallDisk::mount(&house.state("b1"), "12m") else { return };
    house.found("b1");
    let b1 = house.start("b1");
    let signed = house.signer("b1").set("converge.splay", Some(&17.into())).unwrap();
    let junk = house.state("b1").join("junk");
    fill(&junk);
    // The store may have some room in its file still: keep writing until it has not.
    let mut refused: Option<Refusal> = None;
    for n in 0..600u64 {
        let more =
            house.signer_quiet("b1").map(|s| s.set("converge.interval", Some(&(60 + n).into())).unwrap());
        let Some(more) = more else { break };
        if let Err(CallError::Refused(why)) = house.client("b1").call(&more.command()) {
            refused = Some(why);
            break;
        }
    }
    let refused = match refused {
        Some(refused) => refused,
        None => match house.client("b1").call(&signed.command()).unwrap_err() {
            CallError::Refused(refused) => refused,
            other => panic!("{other}"),
        },
    };
    assert_eq!(refused.kind, RefusalKind::Unavailable);
    assert!(
        refused.what.contains("cannot write to") && refused.what.contains("no space left"),
        "{refused:?}"
    );
    assert!(refused.hint.is_some_and(|hint| hint.contains("goes on by itself")));
    let health = house.client("b1").health().unwrap();
    assert!(!health.ok && health.state == "in trouble", "{health:?}");
    assert!(house.client("b1").metrics().unwrap().contains("vigo_healthy 0"));

    std::fs::remove_file(&junk).unwrap();
    wait("the node to go on", || house.client("b1").health().unwrap().ok);
    let signed = house.signer("b1").set("converge.splay", Some(&18.into())).unwrap();
    house.client("b1").call(&signed.command()).unwrap();
    assert_eq!(splay(&house), 18);
    stop(b1);
    let b1 = house.start("b1");
    assert_eq!(splay(&house), 18, "what was acknowledged is there");
    stop(b1);
}

#[test]
fn a_run_under_way_does_not_keep_a_node_from_ending() {
    let house = House::new();
    house.found("b1");
    // Commands do not run below fs_root; this one only sleeps.
    let b1 = start(Start::new(NodeConf { fs_root: None, ..house.conf("b1") }, "test")).unwrap();
    let marker = house.state("marker");
    let crates = format!(
        "name: slow\nresources:\n  - name: sleep\n    type: exec\n    command: \"touch {} && sleep 60\"\n    timeout: 90\n",
        marker.display()
    );
    let hosts = "envoys:\n  - match: \"*\"\n    configcrates: [slow]\n".to_string();
    house.publish("b1", &[("configcrates/slow.vgo", crates), ("site/hosts.vgo", hosts)]);
    wait("the command to run", || marker.exists());
    stop(b1);
}

#[test]
fn sigterm_ends_it_within_two_seconds_and_keeps_what_was_acknowledged() {
    let house = House::new();
    house.found("b1");
    let conf = house.conf("b1");
    let (tell, ready) = std::sync::mpsc::channel();
    let node = std::thread::spawn(move || {
        run_node(conf, "test", None, None, |line: &str| drop(tell.send(line.to_string())))
    });
    let line = ready.recv_timeout(PATIENCE).unwrap();
    assert!(line.starts_with("vigo node b1 is ready: listening on 127.0.0.1:"), "{line}");
    let epoch = house.publish("b1", &motd("kept"));
    let begun = Instant::now();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    assert_eq!(node.join().unwrap().unwrap(), Ending::Stopped);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let b1 = house.start("b1");
    assert_eq!(house.status("b1").head.map(|at| at.epoch), Some(epoch));
    stop(b1);
}
