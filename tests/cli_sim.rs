//! `vigo sim`: what its user sees. Same seed, same bytes; mistakes with their lines; a line that tells a failure again.

mod program;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use program::{Room, repository};
use serde_json::Value;

/// A small fleet that is quickly through.
const SMALL: &str = r#"
name = "small"
about = "Three nodes and a few publishes, for tests."
kind = "fleet"
lasts = "1m"

[size]
nodes = 4
bolts = 1

[[workload]]
deed = "publish_safely"
every = "10s"

[[at]]
time = "20s"
do = "off"
share = "25%"

[checks]
sometimes = ["killed"]
"#;

fn small() -> Room {
    let room = Room::new();
    room.write("small.toml", SMALL);
    room
}

#[test]
fn the_same_seeds_give_the_same_bytes() {
    let room = small();
    let line = "sim run ./small.toml --seed 7 --json --report one.html";
    let once = room.vigo(line).good();
    let page = room.read("one.html");
    assert_eq!(once, room.vigo(line).good());
    assert_eq!(page, room.read("one.html"));
    assert_eq!(once.lines().count(), 1, "one line: {once}");
    assert_ne!(once, room.vigo("sim run ./small.toml --seed 8 --json").good());
    // Several on threads, whatever ends first.
    let line = "sim run ./small.toml --seeds 4 --json";
    let many = room.vigo(line).json();
    assert_eq!(many, room.vigo(line).json());
    assert_eq!(many["seeds"], 4);
    assert!(many["figures"]["delivery_us"]["count"].as_u64().unwrap() > 20, "{many}");
    assert!(many["figures"]["converge_us"]["p50"].as_u64().unwrap() > 0, "{many}");
    assert!(many["reached"]["killed"].as_u64().unwrap() >= 4, "{many}");
}

#[test]
fn the_report_is_one_page_that_needs_nothing_else() {
    let room = small();
    room.vigo("sim run ./small.toml --seed 7 --report report.html").good();
    let page = room.read("report.html");
    for needed in
        ["<!doctype html>", "<svg", "viewport", "prefers-color-scheme", "small", "passed", "off 25%"]
    {
        assert!(page.contains(needed), "{needed} is missing");
    }
    for foreign in ["http:", "https:", "<script", " src=", "<link", "@import", "url("] {
        assert!(!page.contains(foreign), "the page names {foreign}");
    }
    let open = page.matches("<svg").count();
    assert_eq!((open, page.matches("</svg>").count()), (3, 3), "delivery, bytes, nodes over time");
}

#[test]
fn a_failing_run_ends_with_the_line_that_tells_it_again() {
    let room = Room::new();
    room.write("never.toml", &SMALL.replace("\"killed\"", "\"killled\""));
    let line = "sim run ./never.toml --seed 3";
    let said = room.vigo(line).bad(1);
    assert!(said.contains("never reached in 1 seeds: killled"), "{said}");
    assert_eq!(said.lines().last(), Some("  hint: vigo sim run ./never.toml --seed 3"), "{said}");
    let ran = room.vigo(&format!("{line} --json"));
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &result["passed"]), (1, &Value::Bool(false)));
    let check = |name: &str| {
        let checks = result["checks"].as_array().unwrap();
        checks.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("{name}: {result}")).clone()
    };
    assert_eq!(check("killled")["note"], "never reached; \"killed\" was");
    assert_eq!(check("nothing-lost")["holds"], true);
}

#[test]
fn a_run_that_cannot_settle_says_so() {
    let room = Room::new();
    // Who is switched on last needs longer than a second to find the others on such links.
    let text = SMALL.replace("lasts = \"1m\"", "lasts = \"1m\"\nsettles = \"1s\"");
    room.write("short.toml", &text.replace("[size]", "[links]\ndelay = \"300ms..400ms\"\n\n[size]"));
    let said = room.vigo("sim run ./short.toml --seed 1 --report broken.html").bad(1);
    assert!(said.contains("seed 1 broke \"everything settles when the faults stop\""), "{said}");
    assert_eq!(said.lines().last(), Some("  hint: vigo sim run ./short.toml --seed 1"), "{said}");
    let page = room.read("broken.html");
    assert!(page.contains("failed") && page.contains("BROKEN") && page.contains("The fleet then"));
}

#[test]
fn mistakes_are_told_all_at_once_with_their_lines() {
    let room = small();
    let text = SMALL
        .replace("nodes = 4", "nodes = 400\nbolt = 1")
        .replace("deed = \"publish_safely\"", "deed = \"pubish\"")
        .replace("time = \"20s\"", "time = \"20 parsecs\"")
        .replace("lasts = \"1m\"", "lasts = 60");
    room.write("wrong.toml", &text);
    let mut out = String::new();
    for line in [
        "sim run ./wrong.toml",
        "sim run revocatoin",
        "sim run ./nowhere.toml",
        "sim run small.toml --nodes 2",
        "sim run small.toml --report nowhere/report.html",
        "sim run home",
        "sim diff small.toml small.toml",
        "sim show nothing-like-it",
        "sim",
        "sim rnu lives",
        "sim compare a b",
        "sim diff a b --threshold lots",
    ] {
        let ran = room.vigo(line);
        out += &format!("$ vigo {line}\n[{}]\n{}", ran.code, room.same(&ran.err));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn a_diff_says_what_got_worse() {
    let room = small();
    let result = room.vigo("sim run ./small.toml --seed 7 --json").good();
    room.write("a.json", &result);
    room.write("b.json", &result);
    let said = room.vigo("sim diff a.json b.json").good();
    assert!(said.contains("delivery_us.p99") && !said.contains("worse"), "{said}");
    let mut value: Value = serde_json::from_str(&result).unwrap();
    let p99 = value["figures"]["delivery_us"]["p99"].as_u64().unwrap();
    value["figures"]["delivery_us"]["p99"] = (p99 + p99 / 10).into();
    room.write("b.json", &value.to_string());
    let said = room.vigo("sim diff a.json b.json").bad(1);
    assert!(said.contains("1 figure got worse by more than 5 %"), "{said}");
    room.vigo("sim diff a.json b.json --threshold 11").good();
    let rows: Value = serde_json::from_str(&room.vigo("sim diff a.json b.json --json").out).unwrap();
    let worse: Vec<&Value> = rows.as_array().unwrap().iter().filter(|r| r["worse"] == true).collect();
    assert_eq!((worse.len(), &worse[0]["figure"]), (1, &Value::from("delivery_us.p99")));
    value["scenario"] = "flood".into();
    room.write("b.json", &value.to_string());
    assert!(room.vigo("sim diff a.json b.json").bad(2).contains("of small, the second of flood"));
}

#[test]
fn the_library_is_listed_and_shown() {
    let room = Room::new();
    let rows = room.vigo("sim list --json").json();
    let names: Vec<&str> = rows.as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 9, "{names:?}");
    let listed = room.vigo("sim list").good();
    for name in names {
        assert!(listed.contains(name), "{name}");
        let shown = room.vigo(&format!("sim show {name}")).good();
        let file = std::fs::read_to_string(repository(&format!("simnet/scenarios/{name}.toml"))).unwrap();
        assert_eq!(shown, file, "{name}");
    }
    let script = room.vigo("completions bash").good();
    assert!(script.contains("partition-heal"), "completion offers scenarios");
}

#[test]
fn ctrl_c_shows_what_was_found_so_far() {
    let room = small();
    let mut command = Command::new(program::VIGO);
    command.args(["sim", "run", "./small.toml", "--seeds", "1000000"]).current_dir(room.path("."));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (pid, began) = (child.id().to_string(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(130), "{out}{err}");
    assert!(err.contains("stopped after ") && err.contains("of 1000000 seeds"), "{err}");
    assert!(out.contains("fleet-hours") && out.contains("CHECK"), "{out}");
}
