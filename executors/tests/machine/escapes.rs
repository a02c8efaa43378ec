//! Nothing leaves the root: links of every shape, links swapped under our eyes, odd files. (rsync's cases of
//! links that lead out of a tree, in our words, and a race.)

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;
use vigo_executors::host::{Access, FILE_BYTES, Fault, HostError, Kind, NewFile};
use vigo_executors::path::HostPath;
use vigo_executors::{FakeHost, Host};
use vigo_stacks::report::Outcome;

use crate::support::*;

const SECRET: &[u8] = b"secret of the world outside";

/// A real host, and beside its root a folder `out` with a secret that must stay as it is.
struct World {
    real: Real,
}

impl World {
    fn new() -> World {
        let real = Real::new();
        let out = real.folder.path().join("out");
        std::fs::create_dir_all(out.join("inner")).unwrap();
        for name in ["secret", "inner/secret"] {
            std::fs::write(out.join(name), SECRET).unwrap();
            std::fs::set_permissions(out.join(name), std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        World { real }
    }

    fn out(&self) -> PathBuf {
        self.real.folder.path().join("out")
    }

    /// Everything outside, with inodes: a replaced file is a changed file.
    fn outside(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in ["", "secret", "inner", "inner/secret"] {
            let at = self.out().join(name);
            let meta = at.symlink_metadata().unwrap();
            let content = std::fs::read(&at).unwrap_or_default();
            let entries = std::fs::read_dir(&at).map(|e| e.count()).unwrap_or(0);
            lines.push(format!(
                "{name} {} {:o} {} {content:?} {entries}",
                meta.ino(),
                meta.mode(),
                meta.uid()
            ));
        }
        lines
    }

    /// Every operation on `target`; what is read is never the secret.
    fn attack(&mut self, target: &str) {
        let at: HostPath = path(target);
        let host = &mut self.real.host;
        for read in [host.read(&at, FILE_BYTES), host.read_followed(&at, FILE_BYTES)] {
            assert_ne!(read.as_deref(), Ok(SECRET), "read through {target}");
        }
        for stat in [host.stat(&at), host.stat_followed(&at)].into_iter().flatten().flatten() {
            assert!(stat.kind != Kind::File || stat.size != SECRET.len() as u64, "saw {target}");
        }
        let _ = host.is_empty_dir(&at);
        let _ = host.set_access(&at, &Access { mode: Some(0o777), owner: None, group: None });
        let _ = host.write(&at, &NewFile { bytes: b"mine", mode: 0o666, owner: None, group: None });
        let _ = host.symlink(&at, "/x");
        let _ = host.remove_file(&at);
        let _ = host.make_dir(&at, &Access::default());
        let _ = host.remove_dir(&at, true);
    }
}

/// Links as a person with write access below the root could leave them.
fn links(world: &World) -> Vec<(&'static str, String)> {
    let out = world.out().display().to_string();
    let up = "../".repeat(40);
    vec![
        ("absolute", out.clone()),
        ("relative", "../out".into()),
        ("deep", format!("{up}{}", out.trim_start_matches('/'))),
        ("dotted", "./.././../out/.".into()),
        ("slashes", format!("//{out}//")),
        ("chain", "relative".into()),
        ("chain2", "chain/inner/..".into()),
        ("up", "..".into()),
        ("self", "self".into()),
        ("ping", "pong".into()),
        ("pong", "ping".into()),
        ("proc", "/proc/self/root".into()),
        ("cwd", "/proc/self/cwd".into()),
        ("dir/inside", "../../out".into()),
    ]
}

#[test]
fn no_link_leads_out() {
    for (name, target) in links(&World::new()) {
        for below in ["", "/secret", "/inner/secret", "/new", "/new/deeper", "/out/secret", "/inner"] {
            let mut world = World::new();
            for (name, target) in links(&world) {
                let at = world.real.root().join(name);
                std::fs::create_dir_all(at.parent().unwrap()).unwrap();
                symlink(target, at).unwrap();
            }
            let before = world.outside();
            world.attack(&format!("/{name}{below}"));
            assert_eq!(world.outside(), before, "/{name}{below} by {target}");
        }
    }
}

#[test]
fn the_last_part_is_never_followed_by_a_change() {
    let mut world = World::new();
    let secret = world.out().join("secret");
    symlink(&secret, world.real.root().join("file")).unwrap();
    symlink("../out/secret", world.real.root().join("relative")).unwrap();
    let before = world.outside();
    for target in ["/file", "/relative"] {
        let steps = [
            file(target, "mine"),
            step("mode", "file", json!({"target_path": target, "mode": "0777"})),
            step("gone", "file", json!({"target_path": target, "state": "absent"})),
        ];
        assert_eq!(outcomes(&run(&mut world.real.host, &steps)), [Outcome::Failed; 3]);
        world.attack(target);
        assert_eq!(world.outside(), before);
    }
}

#[test]
fn a_recursive_removal_does_not_follow_links() {
    let mut world = World::new();
    let tree = world.real.root().join("srv/tree/deep");
    std::fs::create_dir_all(&tree).unwrap();
    symlink(world.out(), tree.join("link")).unwrap();
    symlink(world.out().join("secret"), tree.join("file")).unwrap();
    let before = world.outside();
    let gone = json!({"target_path": "/srv/tree", "state": "absent", "recurse": true});
    let report = run(&mut world.real.host, &[step("gone", "directory", gone)]);
    assert_eq!(outcomes(&report), [Outcome::Deleted]);
    assert!(!world.real.root().join("srv/tree").exists());
    assert_eq!(world.outside(), before);
}

#[test]
fn a_tree_that_is_too_deep_is_left_and_said_so() {
    let mut world = World::new();
    let mut at = world.real.root().join("srv/tree");
    for _ in 0..250 {
        at.push("d");
    }
    std::fs::create_dir_all(&at).unwrap();
    let gone = json!({"target_path": "/srv/tree", "state": "absent", "recurse": true});
    let report = run(&mut world.real.host, &[step("gone", "directory", gone)]);
    assert_eq!(outcomes(&report), [Outcome::Failed]);
    assert!(report.steps[0].message.contains("deeper than 200"), "{}", report.steps[0].message);
    let error = vigo_executors::RealHost::below(&at.join("missing"), &at).unwrap_err().to_string();
    assert!(error.starts_with("cannot open the root directory `/"), "{error}");
}

#[test]
fn links_inside_the_root_work_as_in_a_chroot() {
    let mut real = Real::new();
    let mut fake = FakeHost::new();
    for host in [&mut real.host as &mut dyn Host, &mut fake] {
        set(host, "/run/app/pid", Before::Text("7"));
        set(host, "/var/run", Before::Link("/run"));
        set(host, "/var/up", Before::Link("../../../../run/app/../app"));
        let steps = [
            file("/var/run/app/new", "through an absolute link"),
            file("/var/up/also", "through a relative one"),
            file("/fresh/made", "with its folders"),
        ];
        assert_eq!(outcomes(&run(host, &steps)), [Outcome::Created; 3]);
        let read = |at: &str| host.read(&path(at), 100).unwrap();
        assert_eq!(read("/run/app/new"), b"through an absolute link");
        assert_eq!(read("/run/app/also"), b"through a relative one");
        assert_eq!(host.read_followed(&path("/var/run/app/pid"), 100).unwrap(), b"7");
        assert_eq!(host.stat_followed(&path("/var/up")).unwrap().unwrap().kind, Kind::Directory);
        set(host, "/loop", Before::Link("loop"));
        assert!(matches!(host.stat_followed(&path("/loop")), Err(HostError::LinkLoop { .. })));
        assert!(matches!(host.stat(&path("/loop/x")), Err(HostError::LinkLoop { .. })));
        let through = host.stat(&path("/run/app/pid/x")).unwrap_err();
        assert_eq!(through.to_string(), "cannot reach /run/app/pid/x: a part of the path is not a directory");
        let missing = host.read(&path("/no/such"), 10).unwrap_err();
        assert_eq!(
            (missing.fault(), missing.to_string().as_str()),
            (Fault::Missing, "cannot read /no/such: no such file or directory")
        );
    }
}

/// Swaps a thing of ours and a link that leads out, as fast as it can, until told to stop.
fn swapper(ours: PathBuf, link: PathBuf, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut swaps = 0;
        while !stop.load(Ordering::Relaxed) {
            renameat_with(CWD, &ours, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            swaps += 1;
        }
        swaps
    })
}

#[test]
fn a_racing_swap_of_a_file_and_a_link_never_leads_out() {
    const ROUNDS: usize = 20_000;
    let mut world = World::new();
    let root = world.real.root();
    std::fs::write(root.join("f"), "mine").unwrap();
    symlink("../out/secret", root.join("l")).unwrap();
    let before = world.outside();
    let stop = Arc::new(AtomicBool::new(false));
    let thread = swapper(root.join("f"), root.join("l"), &stop);
    let (mut seen, mut set) = (0, 0);
    for round in 0..ROUNDS {
        let host = &mut world.real.host;
        let mode = Some(if round % 2 == 0 { 0o600 } else { 0o777 });
        set += usize::from(host.set_access(&path("/f"), &Access { mode, owner: None, group: None }).is_ok());
        for read in [host.read(&path("/f"), FILE_BYTES), host.read_followed(&path("/f"), FILE_BYTES)] {
            assert_ne!(read.as_deref(), Ok(SECRET), "round {round}");
            seen += usize::from(read.is_ok());
        }
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = thread.join().unwrap();
    assert_eq!(world.outside(), before, "after {swaps} swaps");
    assert!(swaps > 1_000 && seen > 0 && set > 0 && set < ROUNDS, "no race: {swaps} {seen} {set}");
}

#[test]
fn a_racing_swap_of_a_folder_and_a_link_never_leads_out() {
    const ROUNDS: usize = 20_000;
    for target in ["relative", "absolute"] {
        let mut world = World::new();
        let root = world.real.root();
        std::fs::create_dir(root.join("d")).unwrap();
        let to = if target == "relative" { PathBuf::from("../out") } else { world.out() };
        symlink(to, root.join("l")).unwrap();
        let before = world.outside();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = swapper(root.join("d"), root.join("l"), &stop);
        let secret = path("/d/secret");
        let (mut seen, mut missed) = (0, 0);
        for round in 0..ROUNDS / 2 {
            let host = &mut world.real.host;
            let _ = host.set_access(&secret, &Access { mode: Some(0o777), owner: None, group: None });
            match host.read_followed(&secret, FILE_BYTES) {
                Ok(read) => {
                    assert_ne!(read, SECRET, "round {round}");
                    seen += 1;
                }
                Err(_) => missed += 1,
            }
            if round % 100 == 0 {
                let _ =
                    host.write(&secret, &NewFile { bytes: b"mine", mode: 0o600, owner: None, group: None });
                let _ = host.symlink(&path("/d/inner/link"), "x");
            }
            if round % 100 == 50 {
                let _ = host.remove_file(&secret);
                let _ = host.remove_dir(&path("/d/inner"), true);
                let _ = host.make_dir(&path("/d/secret"), &Access::default());
                let _ = host.remove_dir(&path("/d/secret"), true);
            }
        }
        stop.store(true, Ordering::Relaxed);
        let swaps = thread.join().unwrap();
        assert_eq!(world.outside(), before, "after {swaps} swaps");
        assert!(
            swaps > 1_000 && seen > 0 && missed > 0,
            "no race: {swaps} swaps, {seen} seen, {missed} missed"
        );
    }
}

#[test]
fn odd_files_neither_block_nor_yield() {
    let real = Real::new();
    let root = real.root();
    assert!(make_odd(&root.join("fifo"), Kind::Fifo));
    let zero = make_odd(&root.join("zero"), Kind::Device);
    symlink("fifo", root.join("link")).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let host = std::thread::spawn(move || {
        let mut host = real.host;
        for at in ["/fifo", "/zero", "/link"] {
            // Only root makes devices.
            if at == "/zero" && !zero {
                continue;
            }
            let read = host.read_followed(&path(at), FILE_BYTES);
            assert!(read.is_err(), "{at}");
            let mut steps =
                vec![file(at, "x"), step("gone", "file", json!({"target_path": at, "state": "absent"}))];
            steps.push(step("f", "file", json!({"target_path": at, "content": "x", "force": at != "/link"})));
            assert_eq!(outcomes(&run(&mut host, &steps)), [Outcome::Failed; 3], "{at}");
        }
        sender.send(()).unwrap();
    });
    receiver.recv_timeout(Duration::from_secs(20)).expect("it hangs");
    host.join().unwrap();
    assert!(root.join("fifo").symlink_metadata().is_ok());
}

#[test]
fn a_file_is_read_up_to_a_bound() {
    let mut real = Real::new();
    set(&mut real.host, "/big", Before::Text("0123456789"));
    let error = real.host.read(&path("/big"), 9).unwrap_err();
    assert!(matches!(error, HostError::TooLarge { size: 10, limit: 9, .. }));
    assert_eq!(real.host.read(&path("/big"), 10).unwrap().len(), 10);
    // Endless behind a size of 0: only the bound ends it.
    let system = vigo_executors::RealHost::system(&real.folder.path().join("kept")).unwrap();
    assert!(system.read_followed(&path("/dev/zero"), 1 << 20).is_err());
    assert!(matches!(system.read(&path("/proc/self/status"), 8), Err(HostError::TooLarge { .. })));
}
