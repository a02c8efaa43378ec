//! The first hour: the ten lines of the README, word for word, on two machines that have never seen the program.
//!
//! The lines are read out of the README. Only the first is not run: what it builds is put where it would be.

use std::time::Instant;

use crate::lab::machines::{Machines, require_machines};
use crate::lab::wait;
use crate::story::{PATIENCE, VIGO, alone, known, repository};

/// What the issue promises to a newcomer.
const LINES: usize = 10;
/// Typed by a newcomer whenever they are asked for a passphrase.
const PASSPHRASE: &str = "correct horse battery staple";
/// What the program asks.
const QUESTIONS: [&str; 3] = ["A passphrase for the operator's key: ", "The same again: ", "Passphrase of "];
/// What an editor does when its user uncomments the line for web01.
const EDIT: &str = "#!/bin/sh\nexec sed -i 's/# - {match: \"web01\"/- {match: \"web01\"/' \"$1\"\n";

/// The lines of the README that begin with a machine's prompt, as machine and command.
fn lines() -> Vec<(String, String)> {
    let readme = repository("README.md");
    let prompted = |line: &str| {
        let (machine, command) = line.trim().split_once("$ ")?;
        matches!(machine, "bolt1" | "web01").then(|| (machine.to_owned(), command.trim().to_owned()))
    };
    readme.lines().filter_map(prompted).collect()
}

#[test]
fn the_readme_has_ten_lines() {
    let lines = lines();
    assert_eq!(lines.len(), LINES, "{lines:#?}");
    assert!(
        lines[0].1.starts_with("git clone ") && lines[0].1.ends_with("&& cd vigo && cargo build --release")
    );
}

#[test]
fn ten_lines_make_a_fleet() {
    if require_machines().skips() {
        return;
    }
    let _alone = alone();
    let machines = Machines::boot("hour", &["bolt1", "web01"]);
    let bolt = &machines["bolt1"];
    bolt.copy_in(std::path::Path::new(VIGO), "/home/admin/vigo/target/release/vigo");
    bolt.shell("chown -R admin: /home/admin/vigo").good();
    bolt.write("/home/admin/edit", EDIT);
    bolt.shell("chmod 755 /home/admin/edit").good();
    machines.ssh("admin", "bolt1", "web01");

    let (began, mut token) = (Instant::now(), None);
    for (machine, command) in lines().into_iter().skip(1) {
        let folder = if machine == "bolt1" { "vigo" } else { "." };
        let typed = command.replace("TOKEN", token.as_deref().unwrap_or("TOKEN"));
        let line = format!("cd {folder} && export SUDO_EDITOR=/home/admin/edit && {typed}");
        let said = machines[machine.as_str()].talk(
            "admin",
            &line,
            &QUESTIONS.map(|question| (question, PASSPHRASE)),
        );
        println!("{machine}$ {command}\n{}", said.out);
        assert_eq!(said.code, 0, "{machine}$ {command}\n{}", said.out);
        assert!(!said.out.contains(PASSPHRASE), "the passphrase is shown: {}", said.out);
        if command.contains("spanner invite") {
            token = said.out.split_whitespace().find(|word| is_token(word)).map(str::to_owned);
            assert!(token.is_some(), "no token: {}", said.out);
        }
        if command.contains("envoys show") {
            assert!(
                said.out.contains("converged"),
                "web01 is not converged after the last line:\n{}",
                said.out
            );
        }
    }
    println!("lab | first hour | ten lines without the build | {} ms", began.elapsed().as_millis());

    let greeting = machines["web01"].read("/etc/motd.d/vigo");
    assert!(greeting.contains("web01 (a web server) is kept by Vigo"), "{greeting}");
    assert!(bolt.read("/etc/motd.d/vigo").contains("bolt1 (the first bolt)"));

    // What it promises: edited by hand, it is put back.
    machines["web01"].shell("echo mine >/etc/motd.d/vigo && vigo converge").good();
    assert_eq!(machines["web01"].read("/etc/motd.d/vigo"), greeting);
    wait::until("bolt1 knows", PATIENCE, || match known(bolt, "web01")? {
        detail if detail["row"]["drift"] == "changed" => Ok(()),
        detail => Err(detail["row"].to_string()),
    });
}

fn is_token(word: &str) -> bool {
    word.len() > 40 && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}
