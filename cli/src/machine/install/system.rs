//! The machine's own programs: systemctl, systemd-sysusers, usermod, userdel, groupdel.
//!
//! They are looked for where the system keeps them, never where the caller's PATH leads. What they say when they fail
//! is told, bounded and escaped. Nothing is run through a shell.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use vigo_base::text::escaped;

use super::accounts;
use super::places::UNITS;
use crate::exit::{Exit, Failure};

/// Where the system keeps programs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Characters of what a program said that are told.
const SAID: usize = 600;

fn command(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(words)
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("SYSTEMD_PAGER", "")
        .stdin(Stdio::null());
    command
}

/// Runs a program to its end and gives what it printed.
///
/// # Errors
/// [`Failure`] with what it said.
pub fn run(program: &str, words: &[&str]) -> Result<String, Failure> {
    let line = escaped(&format!("{program} {}", words.join(" ")));
    let ran = command(program, words).output().map_err(|e| {
        Failure::new(Exit::Failed, format!("cannot run {line}: {e}"))
            .hint(format!("is {program} installed? It is looked for in {PATH}"))
    })?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&ran.stderr);
    let said: Vec<String> = text.lines().map(escaped).filter(|line| !line.is_empty()).collect();
    let said: String = said.join("; ").chars().take(SAID).collect();
    let said = if said.is_empty() { ran.status.to_string() } else { said };
    Err(Failure::new(Exit::Failed, format!("{line} failed: {said}")))
}

/// Whether systemd runs this machine.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// An error on a machine without systemd.
///
/// # Errors
/// [`Failure`] that says what to do instead.
pub fn needs_systemd() -> Result<(), Failure> {
    if has_systemd() {
        return Ok(());
    }
    Err(Failure::new(Exit::Unavailable, "systemd does not run this machine, and the units are for it").hint(
        "here the whole node is one process that something else keeps running: vigo node\nfor an image that systemd will run: vigo install --root DIR",
    ))
}

/// `sudo ` in lines to type, where somebody came by sudo.
pub fn sudo() -> &'static str {
    if accounts::behind_sudo().is_some() { "sudo " } else { "" }
}

fn property(unit: &str, name: &str) -> String {
    let said = run("systemctl", &["show", "--value", "-p", name, unit]);
    said.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Whether a unit runs, or is about to.
pub fn is_active(unit: &str) -> bool {
    ["active", "activating", "reloading"].contains(&property(unit, "ActiveState").as_str())
}

/// Whether a unit is started at boot.
pub fn is_enabled(unit: &str) -> bool {
    property(unit, "UnitFileState") == "enabled"
}

/// Whether systemd has read other units than lie on the disk.
pub fn needs_reload() -> bool {
    UNITS.iter().any(|unit| property(unit, "NeedDaemonReload") == "yes")
}

/// Whether a unit's process runs from another file than `program`: an older version, mostly.
pub fn runs_another(unit: &str, program: &Path) -> bool {
    let id: u32 = property(unit, "MainPID").parse().unwrap_or(0);
    if id == 0 {
        return false;
    }
    let file = |path: &Path| std::fs::metadata(path).ok().map(|about| (about.dev(), about.ino()));
    let runs = file(Path::new(&format!("/proc/{id}/exe")));
    runs.is_some() && runs != file(program)
}
