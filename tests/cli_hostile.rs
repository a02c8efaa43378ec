//! Trees on the disk that are meant to hurt, given to the built program: it names what is wrong, soon, with little memory.

mod program;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use program::{Ran, Room};

const NOTE: &str = "name: note\nresources:\n  - {name: note, type: file, target_path: /note, content: x}\n";
const HOSTS: &str = "envoys:\n  - {match: \"*\", configcrates: [note]}\n";
/// Kilobytes of memory that linting may map; a debug build is large by itself.
const KIB: u64 = 1_500_000;

fn room() -> Room {
    let room = Room::new();
    room.write("stacks/configcrates/note.vgo", NOTE);
    room.write("stacks/hosts.vgo", HOSTS);
    room
}

/// Lints with the shell's limit on memory, and says how it went.
fn lint(room: &Room, more: &str) -> Ran {
    let began = Instant::now();
    let line = format!("ulimit -v {KIB}; exec {} cli config lint --stacks stacks {more}", program::VIGO);
    let mut shell = room.command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(room.path(""));
    for (name, value) in shell.env("LC_ALL", "C.UTF-8").get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let done = command.output().expect("a shell");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    let ran = Ran { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) };
    assert!(!ran.err.chars().any(|c| c.is_control() && c != '\n'), "{:?}", ran.err);
    assert!(ran.err.len() < 400_000, "{} bytes are said", ran.err.len());
    ran
}

#[test]
fn what_cannot_be_read_is_named_at_once() {
    let room = room();
    let large = File::create(room.path("stacks/configcrates/large.vgo")).unwrap();
    large.set_len(100 << 20).unwrap();
    File::create(room.path("stacks/one-megabyte.vgo")).unwrap().set_len((1 << 20) + 1).unwrap();
    fs::create_dir(room.path("stacks/x.vgo")).unwrap();
    symlink("/etc/passwd", room.path("stacks/passwd.vgo")).unwrap();
    symlink("../../../../etc", room.path("stacks/etc")).unwrap();
    symlink("gone", room.path("stacks/nowhere.vgo")).unwrap();
    symlink(".", room.path("stacks/round")).unwrap();
    let made = Command::new("mkfifo").arg(room.path("stacks/pipe.vgo")).status().unwrap();
    assert!(made.success());
    fs::write(room.path("stacks/a\u{1b}[2J.vgo"), "x").unwrap();
    let ran = lint(&room, "");
    assert_eq!(ran.code, 7, "{}", ran.err);
    for part in [
        "configcrates/large.vgo: ",
        "one-megabyte.vgo\" has 1048577 bytes, at most 1048576 are allowed",
        "x.vgo: a directory with the name of a file of configuration",
        "passwd.vgo: a link out of the tree, to /etc/passwd",
        "etc: a link out of the tree",
        "nowhere.vgo: a link or file that leads nowhere",
        "directories nest deeper than 32; does a link lead in a circle?",
        "pipe.vgo: neither a file nor a directory",
        "a\\u{1b}[2J.vgo",
    ] {
        assert!(ran.err.contains(part), "{part}:\n{}", ran.err);
    }
}

#[test]
fn bytes_that_hurt_are_refused_in_words() {
    for (what, bytes, rule) in [
        ("brackets", format!("name: a\nvars: {{x: {}", "[".repeat(200_000)).into_bytes(), "yaml-depth"),
        ("not UTF-8", b"name: \xff\n".to_vec(), "file-utf8"),
        ("a null byte", b"name: a\0\n".to_vec(), "yaml-syntax"),
        ("a megabyte of stars", vec![b'*'; 1 << 20], "yaml-syntax"),
        ("a megabyte of dashes", b"- ".repeat(1 << 19), "yaml-depth"),
    ] {
        let room = room();
        fs::write(room.path("stacks/configcrates/bad.vgo"), bytes).unwrap();
        let ran = lint(&room, "");
        assert_eq!(ran.code, 7, "{what}: {}", ran.err);
        assert!(
            ran.err.contains(&format!("configcrates/bad.vgo:")) && ran.err.contains(rule),
            "{what}: {}",
            ran.err
        );
    }
}

#[test]
fn ten_thousand_mistakes_are_counted_and_not_all_listed() {
    let room = room();
    for n in 0..100 {
        let rows: String = (0..100)
            .map(|r| format!("  - {{name: r{r}, type: exec, command: x, depends_on: [nothing{r}]}}\n"))
            .collect();
        room.write(&format!("stacks/configcrates/c{n}.vgo"), &format!("name: c{n}\nresources:\n{rows}"));
    }
    let ran = lint(&room, "");
    assert_eq!(ran.code, 7);
    assert!(ran.err.contains("9500 more are not listed"), "{}", &ran.err[ran.err.len() - 600..]);
    assert!(ran.err.contains("the configuration has 10000 errors; "), "{}", &ran.err[ran.err.len() - 600..]);
    let ran = lint(&room, "--json");
    let said: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&said["errors"], &said["warnings"]), (&10_000.into(), &0.into()));
}
