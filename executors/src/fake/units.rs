//! The units of a fake machine: what `systemctl` and `journalctl` say and do there.

use std::fmt::Write as _;

use super::FakeHost;
use super::software::ended;
use crate::host::Ran;

/// A unit.
#[derive(Debug, Clone, Default)]
pub struct FakeUnit {
    /// `active`, `failed`, or `inactive` where empty.
    pub active: String,
    /// It starts with the machine.
    pub enabled: bool,
    /// Nobody may use it.
    pub masked: bool,
    /// Nothing can enable it.
    pub is_static: bool,
    /// It does something and ends.
    pub oneshot: bool,
    /// It has a command that reloads its settings.
    pub can_reload: bool,
    /// Its start fails.
    pub fails: bool,
    /// It starts, and ends right after.
    pub dies: bool,
    /// Its file has changed.
    pub outdated: bool,
    /// The files in its `.d` folder that were there when systemd read it, by their paths.
    pub parts: Vec<String>,
    /// How often it was started.
    pub starts: u32,
    /// How often it was reloaded.
    pub reloads: u32,
}

impl FakeUnit {
    /// A unit that runs and starts with the machine.
    pub fn running() -> FakeUnit {
        FakeUnit { active: "active".into(), enabled: true, can_reload: true, ..FakeUnit::default() }
    }

    fn start(&mut self) -> bool {
        self.starts += 1;
        self.active = match (self.fails || self.dies, self.oneshot) {
            (true, _) => "failed".into(),
            (false, true) => "inactive".into(),
            (false, false) => "active".into(),
        };
        !self.fails
    }

    fn shown(&self, name: &str) -> String {
        let or = |yes: bool, a: &'static str, b: &'static str| if yes { a } else { b };
        let active = if self.active.is_empty() { "inactive" } else { &self.active };
        let file = match (self.masked, self.is_static) {
            (true, _) => "masked",
            (_, true) => "static",
            _ => or(self.enabled, "enabled", "disabled"),
        };
        let mut text = format!("Id={name}\nActiveState={active}\nUnitFileState={file}\n");
        let _ = writeln!(text, "LoadState={}", or(self.masked, "masked", "loaded"));
        let _ = writeln!(text, "SubState={}", or(active == "active", "running", "dead"));
        let _ = writeln!(text, "NeedDaemonReload={}", or(self.outdated, "yes", "no"));
        let _ = writeln!(text, "DropInPaths={}", self.parts.join(" "));
        let _ = writeln!(text, "CanReload={}", or(self.can_reload, "yes", "no"));
        let _ = writeln!(text, "Type={}\nRemainAfterExit=no", or(self.oneshot, "oneshot", "simple"));
        let _ = writeln!(text, "Result={}", or(active == "failed", "exit-code", "success"));
        let _ = writeln!(text, "InvocationID={:032x}", self.starts);
        let _ = writeln!(text, "ExecMainStartTimestampMonotonic={}", self.starts);
        text
    }
}

impl FakeHost {
    /// Units that come with a package.
    pub(super) fn add_units(&mut self, names: &[String]) {
        for name in names {
            self.drift(&format!("/usr/lib/systemd/system/{name}"), "");
            self.software().units.insert(name.clone(), FakeUnit { starts: 1, ..FakeUnit::running() });
        }
    }

    /// Units that go with a package.
    pub(super) fn remove_units(&mut self, names: &[String]) {
        for name in names {
            self.erase(&format!("/usr/lib/systemd/system/{name}"));
            self.software().units.remove(name);
        }
    }

    pub(super) fn systemd(&mut self, program: &str, words: &[&str], name: &str) -> Ran {
        let software = self.software();
        if program == "journalctl" {
            let own = name.starts_with("_SYSTEMD_INVOCATION_ID=");
            return ended(
                0,
                if own { "bad setting in line 3\n" } else { "Failed with result 'exit-code'.\n" },
            );
        }
        if words.contains(&"daemon-reload") {
            software.reads += 1;
            let paths = self.paths();
            for (name, unit) in &mut self.software().units {
                unit.outdated = false;
                unit.parts = paths.iter().filter(|p| p.contains(&format!("/{name}.d/"))).cloned().collect();
            }
            return ended(0, "");
        }
        let verb = words.iter().copied().find(|w| !w.starts_with('-')).unwrap_or_default();
        let Some(unit) = software.units.get_mut(name) else {
            let unknown = format!("Id={name}\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n");
            return if verb == "show" {
                ended(0, &unknown)
            } else {
                ended(5, &format!("Unit {name} not found.\n"))
            };
        };
        let done = match verb {
            "show" => return ended(0, &unit.shown(name)),
            "start" | "restart" => unit.start(),
            "stop" => {
                unit.active = "inactive".into();
                true
            }
            "reload" => {
                unit.reloads += 1;
                true
            }
            "enable" | "disable" => {
                unit.enabled = verb == "enable";
                true
            }
            "reset-failed" => {
                unit.active = unit.active.replace("failed", "inactive");
                true
            }
            _ => false,
        };
        let said = format!("Job for {name} failed because the control process exited with error code.\n");
        if done { ended(0, "") } else { ended(1, &said) }
    }
}
