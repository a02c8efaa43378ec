//! What the pages tell people to type: run as it stands, or at least understood by the programs.

mod program;

use std::process::Command;

use program::{Room, VIGO, repository};

fn page(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// The `sh` blocks of a page.
fn blocks(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => all.extend(open.take()),
            (Some(block), line) => *block += &format!("{line}\n"),
            _ => {}
        }
    }
    all
}

#[test]
fn the_operators_page_runs_as_it_stands() {
    let room = Room::new();
    let page = page("docs/operators.md");
    let section = page.split("\n## When things are lost").next().unwrap();
    let bin = room.path("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in ["vigo", "vigocli"] {
        std::os::unix::fs::symlink(VIGO, bin.join(name)).unwrap();
    }
    let script = format!(
        "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n{}\necho THE END\n",
        blocks(section).join("\n")
    );
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).current_dir(room.path(".")).env_clear();
    command.env("HOME", room.path("home")).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let ran = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && out.ends_with("THE END\n"), "{out}\n{err}");
    assert!(room.read("authority.txt").starts_with("vigo authority 1"));
}

#[test]
fn the_scenarios_of_the_page_of_simulation_run_as_they_stand() {
    let room = Room::new();
    let page = page("docs/simulation.md");
    let section = page.split("\n## Scenarios\n").nth(1).and_then(|s| s.split("\n## ").next()).unwrap();
    let bin = room.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(VIGO, bin.join("vigo")).unwrap();
    let script = format!("set -eu\n{}\necho THE END\n", blocks(section).join("\n"));
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).current_dir(room.path(".")).env_clear();
    command.env("HOME", room.path("home")).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let ran = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && out.ends_with("THE END\n"), "{out}\n{err}");
    assert_eq!(room.read("before.json"), room.read("after.json"), "one seed is one story");
    assert!(room.read("report.html").ends_with("</html>\n"));
}

#[test]
fn the_page_of_simulation_lists_every_deed_and_every_check() {
    let page = page("docs/simulation.md");
    for deed in vigo_simnet::DEEDS {
        let row = format!("| `{}` | {} |", deed.name, deed.about);
        assert!(page.contains(&row), "docs/simulation.md must hold the row\n{row}");
    }
    for check in vigo_simnet::CHECKS {
        let kept = format!("{:?}", check.kept).to_lowercase();
        let row = format!("| `{}` | {kept} | {} |", check.name, check.promises.join("; "));
        assert!(page.contains(&row), "docs/simulation.md must hold the row\n{row}");
    }
}

#[test]
fn every_command_on_every_page_is_understood() {
    let room = Room::new();
    let mut seen = 0;
    for path in [
        "README.md",
        "docs/operators.md",
        "docs/language.md",
        "docs/publishing.md",
        "docs/exit-codes.md",
        "docs/architecture.md",
        "docs/simulation.md",
        "docs/contributing.md",
    ] {
        let text = page(path);
        let inline = text.split('`').skip(1).step_by(2).map(str::to_owned);
        let listed = blocks(&text).into_iter().flat_map(|b| b.lines().map(str::to_owned).collect::<Vec<_>>());
        for line in inline.chain(listed) {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            let Some(first) = words.first().copied().filter(|w| ["vigo", "vigocli"].contains(w)) else {
                continue;
            };
            if words.len() == 1
                || line.contains('|')
                || line == "vigo vigocli"
                || line == "vigocli envoys revoke"
            {
                continue;
            }
            words.truncate(
                words.iter().position(|w| [">", "<", "||", "&"].contains(w)).unwrap_or(words.len()),
            );
            let plain: Vec<&str> = words[1..]
                .iter()
                .copied()
                .take_while(|w| w.chars().all(|c| c.is_ascii_lowercase()))
                .collect();
            let help =
                understood(&room, first, &plain).unwrap_or_else(|| panic!("{path}: `{line}` is no command"));
            for option in words.iter().filter(|w| w.starts_with("--")) {
                let name = option.split('=').next().unwrap();
                assert!(help.contains(name), "{path}: `{line}`: there is no {name}");
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} commands were found");
}

/// The help of the longest beginning of `words` that is a command.
fn understood(room: &Room, program: &str, words: &[&str]) -> Option<String> {
    (0..=words.len()).rev().find_map(|n| {
        let mut line: Vec<&str> = if program == "vigocli" { vec!["vigocli"] } else { Vec::new() };
        line.extend(&words[..n]);
        line.push("--help");
        let ran = room.run(&line);
        (ran.code == 0 && (n > 0 || words.is_empty())).then_some(ran.out)
    })
}

#[test]
fn the_page_lists_every_key_of_node_yaml() {
    let page = page("docs/operators.md");
    for key in vigo_daemon::nodeconf::KEYS {
        let row = format!("| `{}` | {} | {} | {} |", key.name, key.value, key.default, key.help);
        assert!(page.contains(&row), "docs/operators.md must hold the row\n{row}");
    }
}
