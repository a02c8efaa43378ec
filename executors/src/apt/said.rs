//! What apt and dpkg print, read: plans, reasons, locks. Pure.
//!
//! It never takes a text for more than a message, except the plan of a simulation, whose lines are stable under
//! `LC_ALL=C`.

use vigo_base::text::escaped;

/// Characters of a reason.
const REASON_CHARS: usize = 600;
/// Lines of a reason.
const REASON_LINES: usize = 6;
/// Names in a message.
const NAMES: usize = 5;

/// What a simulation says that apt would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    installed: Vec<(String, String)>,
    removed: Vec<String>,
}

impl Plan {
    /// Lines `Inst nginx [1.0] (1.1 Debian:12 [amd64])` and `Remv nginx [1.0]`.
    pub(super) fn read(output: &[u8]) -> Plan {
        let text = String::from_utf8_lossy(output);
        let mut plan = Plan::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("Inst"), Some(name)) => {
                    let version = words.find_map(|w| w.strip_prefix('(')).unwrap_or_default();
                    plan.installed.push((name.to_owned(), version.to_owned()));
                }
                (Some("Remv" | "Purg"), Some(name)) => plan.removed.push(name.to_owned()),
                _ => {}
            }
        }
        plan
    }

    /// The version of `name` that would be installed.
    pub fn version(&self, name: &str) -> Option<&str> {
        self.installed.iter().find(|(each, _)| same(each, name)).map(|(_, version)| version.as_str())
    }

    /// What would happen beside what was asked of `name`, in words; may be empty.
    pub fn beside(&self, name: &str) -> String {
        let installed: Vec<&str> =
            self.installed.iter().map(|(each, _)| each.as_str()).filter(|each| !same(each, name)).collect();
        let removed: Vec<&str> =
            self.removed.iter().map(String::as_str).filter(|each| !same(each, name)).collect();
        let mut words = Vec::new();
        if !installed.is_empty() {
            words.push(format!("with {}", listed(&installed)));
        }
        if !removed.is_empty() {
            words.push(format!("removes {}", listed(&removed)));
        }
        if words.is_empty() { String::new() } else { format!(", {}", words.join(", ")) }
    }
}

/// apt leaves the machine's own architecture away.
fn same(said: &str, declared: &str) -> bool {
    said == declared || declared.split(':').next() == Some(said)
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES).map(|name| escaped(name)).collect();
    match names.len().saturating_sub(NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The packages that provide a virtual one: the end of what `apt-cache showpkg` prints.
pub(super) fn providers(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let after = text.split_once("Reverse Provides:").map_or("", |(_, after)| after);
    let mut names: Vec<String> =
        after.lines().filter_map(|line| line.split_whitespace().next()).map(escaped).collect();
    names.sort();
    names.dedup();
    names.truncate(10);
    names
}

/// The line that says that a lock is held, if that is what went wrong.
pub(super) fn lock(output: &[u8]) -> Option<String> {
    let marks =
        ["Could not get lock", "locked by another process", "Unable to lock", "Unable to acquire the dpkg"];
    let text = String::from_utf8_lossy(output);
    let line = text.lines().find(|line| marks.iter().any(|mark| line.contains(mark)))?;
    Some(plain(line))
}

/// Why it failed: the lines that name errors, else the last ones.
pub(super) fn reason(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    let empty = "E: Sub-process";
    let tells = |line: &str| {
        !line.starts_with(empty)
            && ["E: ", "dpkg: error", "rror: ", "unmet dependencies:"].iter().any(|mark| line.contains(mark))
    };
    let (mut told, mut telling): (Vec<&str>, bool) = (Vec::new(), false);
    for line in &lines {
        // What is said of an error goes on in the next lines, after a blank.
        telling = tells(line) || (telling && line.starts_with(' '));
        if telling && !told.contains(line) {
            told.push(line);
        }
    }
    if told.is_empty() {
        told = lines.iter().skip(lines.len().saturating_sub(REASON_LINES)).copied().collect();
    }
    told.truncate(REASON_LINES);
    let said = told.iter().map(|line| plain(line)).collect::<Vec<_>>().join("; ");
    if said.is_empty() { "it said nothing".to_owned() } else { said.chars().take(REASON_CHARS).collect() }
}

fn plain(line: &str) -> String {
    escaped(line.trim().trim_start_matches("E: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_what_else_happens() {
        let text = "Reading package lists...\nInst libpcre (8.39 Debian:12 [amd64])\n\
            Inst nginx [1.21] (1.22-9 Debian:12 [amd64])\nConf nginx (1.22-9 x)\nRemv apache2 [2.4]\n";
        let plan = Plan::read(text.as_bytes());
        assert_eq!(plan.version("nginx"), Some("1.22-9"));
        assert_eq!(plan.version("nginx:amd64"), Some("1.22-9"));
        assert_eq!(plan.beside("nginx"), ", with libpcre, removes apache2");
        assert_eq!(Plan::read(b"Remv nginx [1]\n").beside("nginx"), "");
        let many: String = (0..9).map(|n| format!("Inst p{n} (1 x)\n")).collect();
        assert_eq!(Plan::read(many.as_bytes()).beside("q"), ", with p0, p1, p2, p3, p4 and 4 more");
    }

    #[test]
    fn reasons_are_the_telling_lines() {
        let failed = "Setting up bad (1.0) ...\ndpkg: error processing package bad (--configure):\n installed bad \
            package post-installation script subprocess returned error exit status 1\nErrors were encountered while \
            processing:\n bad\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n";
        assert_eq!(
            reason(failed.as_bytes()),
            "dpkg: error processing package bad (--configure):; installed bad package post-installation script \
             subprocess returned error exit status 1"
        );
        let unmet = "The following packages have unmet dependencies:\n needy : Depends: nowhere but it is not installable\nE: Unable to correct problems, you have held broken packages.\n";
        assert!(
            reason(unmet.as_bytes())
                .contains("needy : Depends: nowhere but it is not installable; Unable to")
        );
        assert_eq!(reason(b"a\nb\n\nc\n"), "a; b; c");
        assert_eq!(reason(b"E: Sub-process /usr/bin/dpkg returned\n"), "Sub-process /usr/bin/dpkg returned");
        assert_eq!(reason(b""), "it said nothing");
        assert!(reason("E: \u{1b}[2J".as_bytes()).is_ascii());
    }

    #[test]
    fn locks_and_providers_are_recognised() {
        let held =
            b"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (apt-get)\nE: x\n";
        assert_eq!(
            lock(held).unwrap(),
            "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (apt-get)"
        );
        assert!(
            lock(b"dpkg: error: dpkg frontend lock was locked by another process with pid 7\n").is_some()
        );
        assert_eq!(lock(b"E: Unable to locate package x\n"), None);
        let shown = b"Package: mta\nVersions: \n\nProvides: \nReverse Provides: \npostfix 3.7 (= )\nexim4 4.9 (= )\npostfix 3.6 (= )\n";
        assert_eq!(providers(shown), ["exim4", "postfix"]);
        assert!(providers(b"Package: nginx\n").is_empty());
    }
}
