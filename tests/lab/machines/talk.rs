//! A command on a terminal that asks questions, answered as a person would: when the question is there.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

use super::super::{Said, wait};
use super::machine::{COMMAND, Machine};

impl Machine {
    /// Runs a line in a login shell of a user on a terminal, and answers: whenever it has said the first of a pair,
    /// the second is typed, with a newline. Both outputs are in `out`; what is typed is shown only where the program
    /// shows it.
    #[track_caller]
    pub fn talk(&self, user: &str, line: &str, answers: &[(&str, &str)]) -> Said {
        let log = self.scratch("talk");
        let file = fs::File::create(&log).unwrap_or_else(|e| panic!("cannot make {}: {e}", log.display()));
        let mut command = self.command("su");
        command.args(["-", user, "-c", "exec script -E never -qefc \"$0\" /dev/null", "--", line]);
        command.stdin(Stdio::piped()).stdout(file).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {line:?}: {e}"));
        let mut keys = child.stdin.take().expect("it was piped");
        let said =
            || fs::read(&log).map(|b| String::from_utf8_lossy(&b).replace("\r\n", "\n")).unwrap_or_default();
        let (began, mut heard) = (Instant::now(), 0);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap_or_else(|e| panic!("{line:?}: {e}")) {
                break status;
            }
            let text = said();
            let new = text.get(heard..).unwrap_or_default();
            if let Some((_, answer)) = answers.iter().find(|(question, _)| new.contains(question)) {
                heard = text.len();
                let _ = keys.write_all(format!("{answer}\n").as_bytes());
            }
            assert!(began.elapsed() < COMMAND, "{line:?} did not end:\n{text}");
            std::thread::sleep(wait::PAUSE);
        };
        Said { code: status.code().unwrap_or(-1), out: said(), err: String::new() }
    }
}
