//! The questions of a `when:` that only the machine can answer, put to a host.
//!
//! It never takes an error for a no: what cannot be looked at is unavailable, with the reason. Links are followed
//! here, below the root, as a person asking "is it there" would.

use std::collections::BTreeMap;

use vigo_stacks::when::{Answer, LocalTime, Probe};

use crate::accounts::{Table, find};
use crate::change::{Limits, Run, run_within};
use crate::host::{Ending, Fault, Host, HostError, Kind, NO_EXEC, Ran};
use crate::path::HostPath;

/// A host that is asked at a step's turn, in that step's time.
pub struct HostProbe<'a> {
    /// The machine.
    pub host: &'a mut dyn Host,
    /// The step's time and stop flag.
    pub limits: &'a Limits,
}

/// Processes that are looked at, and things in the folders of displays.
const ENTRIES_MAX: usize = 65_536;
/// Bytes of a process's short name, which the kernel cuts.
const SHORT_NAME: usize = 15;
/// What gives the local time in four numbers, whatever the language of the machine.
const CLOCK: &str = "date '+%H %M %u %d'";

impl HostProbe<'_> {
    /// What a command of the probe's own, or the operator's, came to.
    fn asked(&mut self, command: &str) -> Result<Ran, String> {
        if !self.host.capabilities().exec {
            return Err(NO_EXEC.to_owned());
        }
        let run =
            Run { command: command.to_owned(), cwd: None, environment: BTreeMap::new(), returns: vec![0] };
        run_within(&run, &mut *self.host, self.limits).map_err(|trouble| trouble.to_string())
    }

    /// The names in a folder; none if it is not there.
    fn names(&self, folder: &str) -> Result<Vec<String>, HostError> {
        let Ok(path) = HostPath::parse(folder) else { return Ok(Vec::new()) };
        match self.host.list(&path, ENTRIES_MAX) {
            Ok(entries) => Ok(entries.into_iter().map(|e| e.name).collect()),
            Err(error) if error.fault() == Fault::Missing => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Whether a socket of X11 or of Wayland is there.
    fn displays(&self) -> Result<bool, HostError> {
        if self.names("/tmp/.X11-unix")?.iter().any(|name| name.starts_with('X')) {
            return Ok(true);
        }
        for user in self.names("/run/user")? {
            // The folder of another user may be closed to us; that is no display of ours.
            let inside = self.names(&format!("/run/user/{user}")).unwrap_or_default();
            if inside.iter().any(|name| name.starts_with("wayland-") && !name.ends_with(".lock")) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the process with that number has the name: its short one, which is cut, or its program's.
    fn is_named(&self, process: &str, name: &str) -> bool {
        let read = |file: &str, most: u64| {
            let path = HostPath::parse(&format!("/proc/{process}/{file}")).ok()?;
            // A process may have ended since.
            self.host.read_start(&path, most).ok()
        };
        let short = read("comm", 64).unwrap_or_default();
        let short = String::from_utf8_lossy(&short).trim_end_matches('\n').to_owned();
        if short == name {
            return true;
        }
        if name.len() <= SHORT_NAME || !name.starts_with(&short) {
            return false;
        }
        let line = read("cmdline", 4096).unwrap_or_default();
        let program = line.split(|b| *b == 0).next().unwrap_or_default();
        String::from_utf8_lossy(program).rsplit('/').next() == Some(name)
    }

    fn is(&self, path: &str, kind: Kind) -> Answer {
        let path = match HostPath::parse(path) {
            Ok(path) => path,
            Err(bad) => return Answer::Unavailable(bad.to_string()),
        };
        match self.host.stat_followed(&path) {
            Ok(found) => found.is_some_and(|stat| stat.kind == kind).into(),
            Err(error) => Answer::Unavailable(error.to_string()),
        }
    }
}

impl Probe for HostProbe<'_> {
    fn file_exists(&mut self, path: &str) -> Answer {
        self.is(path, Kind::File)
    }

    fn dir_exists(&mut self, path: &str) -> Answer {
        self.is(path, Kind::Directory)
    }

    fn command_succeeds(&mut self, command: &str) -> Answer {
        match self.asked(command) {
            Ok(ran) => (ran.ending == Ending::Exit(0)).into(),
            Err(why) => Answer::Unavailable(why),
        }
    }

    fn process_running(&mut self, name: &str) -> Answer {
        let processes = match self.names("/proc") {
            Ok(names) => names.into_iter().filter(|n| n.bytes().all(|b| b.is_ascii_digit())),
            Err(error) => return Answer::Unavailable(error.to_string()),
        };
        let processes: Vec<String> = processes.collect();
        if processes.is_empty() {
            return Answer::Unavailable("there is no /proc to look for processes in".to_owned());
        }
        processes.iter().any(|process| self.is_named(process, name)).into()
    }

    fn in_group(&mut self, group: &str) -> Answer {
        if group.bytes().all(|b| b.is_ascii_digit()) {
            return Answer::Unavailable(format!("{group} is the id of a group, not its name"));
        }
        match find(&*self.host, Table::Groups, group) {
            Ok(_) => Answer::Yes,
            Err(HostError::NoAccount { .. }) => Answer::No,
            Err(error) => Answer::Unavailable(error.to_string()),
        }
    }

    fn has_display(&mut self) -> Answer {
        match self.displays() {
            Ok(found) => found.into(),
            Err(error) => Answer::Unavailable(error.to_string()),
        }
    }

    fn local_time(&mut self) -> Result<LocalTime, String> {
        let ran = self.asked(CLOCK)?;
        let said = String::from_utf8_lossy(&ran.output).trim().to_owned();
        let numbers: Vec<u8> = said.split(' ').filter_map(|n| n.parse().ok()).collect();
        match numbers.as_slice() {
            [hour @ 0..=23, minute @ 0..=59, weekday @ 1..=7, day @ 1..=31] => {
                Ok(LocalTime { hour: *hour, minute: *minute, weekday: weekday - 1, day: *day })
            }
            _ => Err(format!("the machine's clock says {said:?}")),
        }
    }
}
