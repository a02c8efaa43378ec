//! The three questions of a `when:` that only the machine can answer, put to a host.
//!
//! It never takes an error for a no: what cannot be looked at is unavailable, with the reason. Links are followed
//! here, below the root, as a person asking "is it there" would.

use std::collections::BTreeMap;

use vigo_stacks::when::{Answer, Probe};

use crate::change::{Limits, Run, run_within};
use crate::host::{Ending, Host, Kind, NO_EXEC};
use crate::path::HostPath;

/// A host that is asked at a step's turn, in that step's time.
pub struct HostProbe<'a> {
    /// The machine.
    pub host: &'a mut dyn Host,
    /// The step's time and stop flag.
    pub limits: &'a Limits,
}

impl HostProbe<'_> {
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
        if !self.host.capabilities().exec {
            return Answer::Unavailable(NO_EXEC.to_owned());
        }
        let run =
            Run { command: command.to_owned(), cwd: None, environment: BTreeMap::new(), returns: vec![0] };
        match run_within(&run, self.host, self.limits) {
            Ok(ran) => (ran.ending == Ending::Exit(0)).into(),
            Err(trouble) => Answer::Unavailable(trouble.to_string()),
        }
    }
}
