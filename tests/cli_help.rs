//! What the programs say of themselves: help, slips, completions, manual pages, exit codes.
//!
//! Every help is a snapshot, so that a change of it is seen. No help may promise what this version does not do.

mod program;

use program::{Room, repository};

/// Every command of a program, by walking its help.
fn commands(room: &Room, program: &[&str]) -> Vec<Vec<String>> {
    let mut all = vec![program.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()];
    let mut at = 0;
    while at < all.len() {
        let path = all[at].clone();
        let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = room.run(&words).good();
        let listed = help.split("\nCommands:\n").nth(1).unwrap_or("");
        for line in listed.lines().take_while(|l| !l.is_empty()) {
            let name = line.split_whitespace().next().expect("a name");
            all.push(path.iter().cloned().chain([name.to_owned()]).collect());
        }
        at += 1;
    }
    all
}

fn helps(room: &Room, program: &[&str]) -> String {
    let mut out = String::new();
    for path in commands(room, program) {
        let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = room.run(&words).good();
        // What every command takes is shown once.
        let own = if path.len() > program.len() { without_everywhere(&help) } else { help };
        out += &format!("==== {}\n{own}\n", path.join(" "));
    }
    out
}

fn without_everywhere(help: &str) -> String {
    let Some((before, rest)) = help.split_once("Everywhere:\n") else { return help.to_owned() };
    let after = rest.lines().skip_while(|l| l.starts_with(' ') || l.is_empty());
    format!("{before}{}\n", after.collect::<Vec<_>>().join("\n"))
}

#[test]
fn help_of_vigo() {
    insta::assert_snapshot!(helps(&Room::new(), &[]));
}

#[test]
fn help_of_vigocli() {
    insta::assert_snapshot!(helps(&Room::new(), &["vigocli"]));
}

#[test]
fn every_help_shows_an_example_and_none_promises_more() {
    let room = Room::new();
    for program in [&[][..], &["vigocli"]] {
        for path in commands(&room, program) {
            let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
            let help = room.run(&words).good();
            // The names of rights are one closed list; the line says itself what is of no use yet.
            let idle = |line: &&str| !line.starts_with("Rights without use in this version: ");
            let help = help.lines().filter(idle).collect::<Vec<_>>().join("\n");
            let leaf = !help.contains("\nCommands:\n");
            assert!(!leaf || help.contains("Example"), "{path:?} has no example");
            for later in ["puddle", "lockbox", "filecast", "longdrawer", "gitback", "canary", "secrets"] {
                assert!(!help.contains(later), "{path:?} promises {later}");
            }
        }
    }
    assert!(room.vigo("--help").good().contains("vigo is this machine and you; vigocli is the fleet"));
    assert!(room.cli("--help").good().contains("vigo is this machine and you; vigocli is the fleet"));
}

#[test]
fn the_name_decides_the_program() {
    let room = Room::new();
    let link = room.path("vigocli");
    std::os::unix::fs::symlink(program::VIGO, &link).unwrap();
    let said = std::process::Command::new(link).arg("--version").output().unwrap();
    assert!(String::from_utf8(said.stdout).unwrap().starts_with("vigocli 0."));
    assert!(room.vigo("--version").good().starts_with("vigo 0."));
    assert!(room.cli("--version").good().starts_with("vigocli 0."));
}

#[test]
fn slips_are_answered_with_the_right_line() {
    let room = Room::new();
    let mut out = String::new();
    for line in [
        "vigo publish --wait",
        "vigo puddle",
        "vigo spanner invite --name web01",
        "vigo envoys list",
        "vigo statsu",
        "vigo status --jsno",
        "vigo init",
        "vigo init --nam bolt1",
        "vigo join",
        "vigo bench everything",
        "vigo frobnicate",
        "vigocli join vigo1abc",
        "vigocli envoys revoke web01 --reason 'disk stolen'",
        "vigocli envoys delete web01",
        "vigocli spanner list",
        "vigocli publish",
        "vigocli config format",
        "vigocli fmt",
        "vigocli task",
        "vigocli envoys lsit",
        "vigocli operator add bob 5f0c --right config.publish",
        "vigocli keygen --plain-key",
        "vigocli config publish --dry-run --wait",
    ] {
        let said = match line.strip_prefix("vigocli ") {
            Some(rest) => room.cli(rest),
            None => room.vigo(line.strip_prefix("vigo ").unwrap_or("")),
        };
        out += &format!("$ {line}\n{}", said.bad(2));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn errors_are_json_with_json() {
    let room = Room::new();
    for (line, code, kind) in [
        ("publish --json", 2, "usage"),
        ("status --json --socket nowhere.sock", 6, "unavailable"),
        ("apply --json --file nowhere.vgo", 4, "not-found"),
    ] {
        let said = room.vigo(line).bad(code);
        let error: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
        assert_eq!(error["error"]["exit"], code, "{line}");
        assert_eq!(error["error"]["kind"], kind, "{line}");
        assert!(error["error"]["what"].as_str().is_some_and(|w| !w.is_empty()), "{line}");
    }
}

#[test]
fn completions_are_shell_and_hide_what_is_hidden() {
    let room = Room::new();
    for (shell, mark) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        for name in ["vigo", "vigocli"] {
            let script = room.vigo(&format!("completions {shell} --program {name}")).good();
            assert!(script.contains(mark), "{shell} {name}");
            if name == "vigo" {
                assert!(script.contains("replay") && !script.contains("end-with-parent"), "{shell}");
                assert!(!script.contains("without the link"), "{shell}");
            }
        }
    }
    // Names that the program carries are offered: tags of both catalogues, rules, examples.
    let script = room.vigo("completions bash --program vigocli").good();
    for name in ["time-sync", "cis-ubuntu-access", "secret-in-clear", "unattended-upgrades"] {
        assert!(script.contains(name), "{name} is not offered");
    }
    let script = room.vigo("completions bash").good();
    room.write("vigo.bash", &script);
    let checked = std::process::Command::new("bash").arg("-n").arg(room.path("vigo.bash")).status().unwrap();
    assert!(checked.success(), "bash does not read the script");
}

#[test]
fn manual_pages_are_made_for_every_command() {
    let room = Room::new();
    let names = room.vigo("man --dir man1 --json").json();
    let names: Vec<&str> = names.as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    for name in [
        "vigo.1",
        "vigo-init.1",
        "vigo-demo.1",
        "vigocli.1",
        "vigocli-config-publish.1",
        "vigocli-settings-import.1",
    ] {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
        let page = room.read(&format!("man1/{name}"));
        assert!(page.contains(".TH") && page.contains("SH NAME") && page.contains("SH EXAMPLES"), "{name}");
    }
    assert!(!names.contains(&"vigo-vigocli.1"));
    assert!(room.read("man1/vigo.1").contains("EXIT STATUS"));
    assert!(room.vigo("man").good().contains(".SH \"EXIT STATUS\""));
}

#[test]
fn the_page_of_exit_codes_is_the_programs_own() {
    let page = std::fs::read_to_string(repository("docs/exit-codes.md")).unwrap();
    let man = Room::new().vigo("man").good();
    let table = man.split("EXIT STATUS\"\n.nf\n").nth(1).unwrap();
    let mut rows = 0;
    for line in table.lines().take_while(|l| !l.starts_with('.')) {
        let (code, about) = line.trim().split_once("  ").unwrap();
        let row = page
            .lines()
            .find(|l| l.starts_with(&format!("| {code} |")))
            .unwrap_or_else(|| panic!("no row {code}"));
        assert!(row.ends_with(&format!("| {about} |")), "{row} is not {about}");
        rows += 1;
    }
    assert_eq!(
        page.lines().filter(|l| l.starts_with("| ") && l.as_bytes()[2].is_ascii_digit()).count(),
        rows
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let room = Room::new();
    let line = format!("{} man | head -c 10 > /dev/null; test ${{PIPESTATUS[0]}} = 0", program::VIGO);
    let ended =
        std::process::Command::new("bash").arg("-c").arg(line).current_dir(room.path(".")).output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}
