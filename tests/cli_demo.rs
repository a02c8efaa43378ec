//! `vigo demo`: the whole story happens, and nothing is left behind, however it ends.

mod program;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use program::{Room, signal};

/// Directories of demos in the room.
fn left(room: &Room) -> Vec<String> {
    let entries = std::fs::read_dir(room.path(".")).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("vigo-demo-")).collect()
}

/// Processes that run a node below the room.
fn nodes(room: &Room) -> usize {
    let here = room.path(".").canonicalize().unwrap().display().to_string();
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        count += usize::from(line.contains("\0node\0") && line.contains(&here));
    }
    count
}

#[test]
fn the_whole_story_happens() {
    let room = Room::new();
    let ran = room.vigo("demo --once --json");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 1, "standard output is one object: {}", ran.out);
    let happened: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(happened["nodes"], 5);
    assert_eq!(happened["epochs"], 3);
    for fact in ["converged", "corrected", "bolt_down_converged", "ok"] {
        assert_eq!(happened[fact], true, "{fact}: {}", ran.out);
    }
    for epoch in ["1", "2", "3"] {
        assert!(happened["publish_to_converged_ms"][epoch].is_u64(), "{epoch}: {}", ran.out);
    }
    assert!(ran.err.contains("db2 is started late, and has it from its peers"), "{}", ran.err);
    assert_eq!((left(&room).len(), nodes(&room)), (0, 0), "nothing is left");
}

/// A demo that stays, and the line to paste.
fn staying(room: &Room) -> (Child, String) {
    let mut command = room.command(&["demo"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.find_map(|l| l.ok().filter(|l| l.contains("export VIGO_SOCKET")));
    // What follows is read as well, so that the demo never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (child, line.expect("the line to paste"))
}

fn gone_within(room: &Room, seconds: u64) {
    let begun = Instant::now();
    while nodes(room) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{} nodes still run", nodes(room));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_pasted_line_works_and_a_signal_cleans_up() {
    let room = Room::new();
    for name in ["INT", "TERM"] {
        let (mut child, line) = staying(&room);
        assert_eq!(nodes(&room), 5);
        let script = format!("{line}\nvigocli envoys list --json && vigo status > /dev/null");
        let said = Command::new("bash").arg("-c").arg(script).output().unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&said.stdout).expect("a listing");
        assert_eq!(rows.as_array().unwrap().len(), 5, "the bolt knows all five");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        signal(&child, name);
        assert!(child.wait().unwrap().success(), "{name} after the story is no failure");
        assert_eq!((left(&room).len(), nodes(&room)), (0, 0), "{name} leaves nothing");
    }
}

#[test]
fn it_needs_no_root() {
    let root =
        String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0";
    if !root {
        return; // The other tests run without root already.
    }
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let (program, place) = (dir.path().join("vigo"), dir.path().join("place"));
    std::fs::copy(program::VIGO, &program).unwrap();
    std::fs::create_dir(&place).unwrap();
    open(dir.path(), 0o755);
    open(&program, 0o755);
    open(&place, 0o777);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).args(["demo", "--once"]);
    let ran = command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", &place)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_demo_that_is_killed_takes_its_nodes_along() {
    let room = Room::new();
    let (mut child, _) = staying(&room);
    child.kill().unwrap();
    child.wait().unwrap();
    gone_within(&room, 5);
}

#[test]
fn a_directory_is_kept_when_asked_and_not_used_twice() {
    let room = Room::new();
    let said = room.vigo("demo --once --keep kept").good();
    assert!(said.contains("is kept"), "{said}");
    assert!(room.read("kept/web2/root/etc/motd").starts_with("Welcome without a bolt"));
    assert!(room.read("kept/web1/root/srv/www/index.html").contains("Hello from Vigo"));
    assert_eq!(nodes(&room), 0);
    let said = room.vigo("demo --once --keep kept").bad(2);
    assert!(
        said.contains("is not empty") && said.contains("--keep takes a new or an empty directory"),
        "{said}"
    );
}
