//! Programs that a test starts, with their output kept and their end in hand.
//!
//! A [`Process`] that is dropped is killed and waited for: none outlives its test. A [`Node`] is one `vigo` with its
//! own state directory, on a host of a lab or, without root, on this machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::clean::signal;
use super::net::Lab;
use super::wait;

/// Lines of a log that a failure shows.
const TAIL: usize = 40;

/// A running program.
#[derive(Debug)]
pub struct Process {
    title: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it says on both outputs is added to `FOLDER/TITLE.log`.
    pub fn spawn(title: &str, mut command: Command, folder: &Path) -> Process {
        let log = folder.join(format!("{title}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.unwrap_or_else(|e| panic!("cannot open {}: {e}", log.display()));
        let again = file.try_clone().unwrap_or_else(|e| panic!("cannot share {}: {e}", log.display()));
        let child = command.stdin(Stdio::null()).stdout(file).stderr(again).spawn();
        let child = child.unwrap_or_else(|e| panic!("cannot start {title} ({command:?}): {e}"));
        Process { title: title.to_owned(), child, log }
    }

    /// Its process id. (`ip netns exec` becomes the program, it does not stay above it.)
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as a crash would (SIGKILL) and waits for it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM); fails when it has not within `within`. Gives its status and what it took.
    #[track_caller]
    pub fn terminate(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let began = Instant::now();
        assert!(self.is_running(), "{} had ended before it was asked to:\n{}", self.title, self.tail());
        signal("TERM", &[self.pid()]);
        let status = self.wait_exit(within);
        (status, began.elapsed())
    }

    /// Waits for its end; fails when it runs on.
    #[track_caller]
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) if Instant::now() < end => std::thread::sleep(wait::PAUSE),
                other => panic!("{} did not end within {within:?} ({other:?}):\n{}", self.title, self.tail()),
            }
        }
    }

    /// Waits until it has said a line that holds `needle`, and gives the line. Fails at once when it ends first.
    #[track_caller]
    pub fn wait_line(&mut self, needle: &str, within: Duration) -> String {
        let end = Instant::now() + within;
        loop {
            // Asked before the log is read, so that the last words of a program that ended are seen.
            let running = self.is_running();
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(needle)) {
                return line.to_owned();
            }
            assert!(running, "{} ended without saying {needle:?}:\n{}", self.title, self.tail());
            let late = Instant::now() >= end;
            assert!(!late, "{} did not say {needle:?} within {within:?}:\n{}", self.title, self.tail());
            std::thread::sleep(wait::PAUSE);
        }
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn tail(&self) -> String {
        last_lines(&self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// The ends of all logs in a folder.
pub fn tails(folder: &Path) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "log"))
        .map(|entry| {
            let text = fs::read(entry.path()).unwrap_or_default();
            (entry.file_name().to_string_lossy().into_owned(), last_lines(&String::from_utf8_lossy(&text)))
        })
        .collect();
    all.sort();
    all
}

/// One `vigo` with its state, on a host of a lab or on this machine.
#[derive(Debug)]
pub struct Node {
    /// Its name: the host's, in a lab.
    pub name: String,
    /// The executable; `vigocli` is a link to it beside the state.
    program: PathBuf,
    /// Its folder: `state/`, `root/` (what `--fs-root` names), `home/`.
    folder: PathBuf,
}

impl Node {
    /// A node with an empty state below `folder`. In test targets of the cli crate `program` is
    /// `env!("CARGO_BIN_EXE_vigo")`.
    pub fn new(name: &str, program: impl Into<PathBuf>, folder: &Path) -> Node {
        let (folder, program) = (folder.join(name), program.into());
        for part in ["state", "root", "home", "bin"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        }
        for link in ["vigo", "vigocli"] {
            let path = folder.join("bin").join(link);
            let _ = fs::remove_file(&path);
            std::os::unix::fs::symlink(&program, &path)
                .unwrap_or_else(|e| panic!("cannot link {}: {e}", path.display()));
        }
        Node { name: name.to_owned(), program, folder }
    }

    /// Where its records and keys are.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The root below which its resources are applied.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The program itself.
    pub fn program(&self) -> PathBuf {
        self.folder.join("bin/vigo")
    }

    /// `vigo` or `vigocli` with these words, on its host when a lab is given, with a home of its own.
    pub fn command(&self, lab: Option<&Lab>, program: &str, words: &[&str]) -> Command {
        let path = self.folder.join("bin").join(program);
        let mut command = lab.map_or_else(|| Command::new(&path), |lab| lab.command(&self.name, &path));
        command
            .args(words)
            .env("HOME", self.folder.join("home"))
            .env_remove("SUDO_USER")
            .stdin(Stdio::null());
        command
    }

    /// Starts `vigo` with these words; its log is `TITLE.log` in `folder`.
    pub fn spawn(&self, lab: Option<&Lab>, title: &str, words: &[&str], folder: &Path) -> Process {
        Process::spawn(&format!("{}.{title}", self.name), self.command(lab, "vigo", words), folder)
    }
}
