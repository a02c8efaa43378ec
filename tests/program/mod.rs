//! Driving the programs from tests: one call, its code and what it said; and nodes that run while a test does.
//!
//! Every call has an environment of its own and a working directory that is removed. No test touches the state,
//! the keys or the socket of this machine.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub const VIGO: &str = env!("CARGO_BIN_EXE_vigo");

/// What a call came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The output, of a call that must have gone well.
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "it failed:\n{}\n{}", self.out, self.err);
        self.out
    }

    /// The error, of a call that must have ended with `code`.
    pub fn bad(self, code: i32) -> String {
        assert_eq!(self.code, code, "another code was expected:\n{}\n{}", self.out, self.err);
        self.err
    }

    /// The output as JSON.
    pub fn json(self) -> Value {
        let out = self.good();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }
}

/// A directory for one test, with its own home, in which the programs are called.
pub struct Room {
    dir: tempfile::TempDir,
    nodes: Vec<(String, Child)>,
}

impl Default for Room {
    fn default() -> Room {
        Room::new()
    }
}

impl Room {
    /// An empty one.
    pub fn new() -> Room {
        let dir = tempfile::Builder::new().prefix("vigo-test-").tempdir().expect("a directory");
        fs::create_dir(dir.path().join("home")).expect("a home");
        Room { dir, nodes: Vec::new() }
    }

    /// A path in it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Writes a file, and the directories above it.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below the room")).expect("directories");
        fs::write(path, text).expect("a file");
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// The program, not started yet, in this room.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(VIGO);
        command.args(words).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.path("home")).env("USER", "alice").env("PATH", "/usr/bin:/bin");
        command.env("TMPDIR", self.dir.path());
        command
    }

    /// Calls `vigo`.
    pub fn vigo(&self, line: &str) -> Ran {
        self.run(&words(line))
    }

    /// Calls `vigocli`.
    pub fn cli(&self, line: &str) -> Ran {
        let line = words(line);
        self.run(&[&["vigocli"], line.as_slice()].concat())
    }

    /// Calls the program.
    pub fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output().expect("the program runs"))
    }

    /// Calls `vigo` with something on standard input.
    pub fn vigo_hears(&self, line: &str, input: &str) -> Ran {
        let mut command = self.command(&words(line));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it listens");
        Ran::of(child.wait_with_output().expect("it ends"))
    }

    /// What is said, with what differs from run to run made the same.
    pub fn same(&self, text: &str) -> String {
        let text = text.replace(&self.dir.path().display().to_string(), "ROOM");
        let mut out = String::new();
        let mut run = String::new();
        for c in text.chars().chain(['\0']) {
            if c.is_ascii_hexdigit() {
                run.push(c);
                continue;
            }
            out += if run.len() >= 12 { "HASH" } else { &run };
            run.clear();
            if c != '\0' {
                out.push(c);
            }
        }
        out
    }

    /// A first bolt that runs, with a plain operator's key at `operator.key`. Its state is `bolt1`.
    pub fn bolt(&mut self) {
        self.found();
        self.node("bolt1");
    }

    /// The same, not started.
    pub fn found(&self) {
        self.vigo(
            "init --name bolt1 --fleet test --operator alice --plain-key --key operator.key --state bolt1",
        )
        .good();
    }

    /// Runs a node that manages this machine and not a directory: its policy must keep to this room.
    pub fn whole_machine(&mut self, state: &str) {
        self.start(state, &["--listen", "127.0.0.1:0"]);
    }

    /// Kills a node, as a power cut would.
    pub fn kill(&mut self, state: &str) {
        let place = self.nodes.iter().position(|(name, _)| name == state).expect("it runs");
        let (_, mut child) = self.nodes.remove(place);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// Runs the node with this state, on any port of loopback, and waits until it answers.
    pub fn node(&mut self, state: &str) {
        self.node_with(state, &["--listen", "127.0.0.1:0"]);
    }

    /// The same with other options.
    pub fn node_with(&mut self, state: &str, more: &[&str]) {
        let root = self.path(&format!("{state}-root"));
        fs::create_dir_all(&root).expect("a root");
        let root = root.display().to_string();
        self.start(state, &[&["--fs-root", &root], more].concat());
    }

    fn start(&mut self, state: &str, more: &[&str]) {
        let mut words = vec!["node", "--state", state, "--interval", "1s", "--splay", "0s"];
        words.extend(more);
        let log = fs::File::create(self.path(&format!("{state}.log"))).expect("a log");
        let mut command = self.command(&words);
        command.stdout(log.try_clone().expect("the log twice")).stderr(log);
        self.nodes.push((state.to_owned(), command.spawn().expect("a node")));
        let line = format!("status --json --state {state}");
        self.until(&format!("{state} answers"), |room| room.vigo(&line).code == 0);
    }

    /// An invited envoy that runs.
    pub fn envoy(&mut self, name: &str) {
        let token = self.token(&format!("--name {name}"));
        self.vigo(&format!("join {token} --state {name}")).good();
        self.node(name);
    }

    /// A token of the bolt.
    pub fn token(&self, options: &str) -> String {
        let line = format!("spanner invite {options} --json --state bolt1 --key operator.key");
        self.cli(&line).json()["token"].as_str().expect("a token").to_owned()
    }

    /// Ends a node as a service manager does; says how long it took.
    pub fn end(&mut self, state: &str) -> Duration {
        let place = self.nodes.iter().position(|(name, _)| name == state).expect("it runs");
        let (_, mut child) = self.nodes.remove(place);
        let begun = Instant::now();
        signal(&child, "TERM");
        child.wait().expect("it ends");
        begun.elapsed()
    }

    /// Waits until something holds, half a minute at most.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Room) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "waited in vain until {what}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// What the nodes logged.
    pub fn logs(&self) -> String {
        let mut out = String::new();
        for (name, _) in &self.nodes {
            out += &format!("--- {name}\n{}\n", self.read(&format!("{name}.log")));
        }
        out
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for (_, child) in &mut self.nodes {
            // Either fails only when it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process of ours.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success(), "there is no process {}", child.id());
}

/// A port on loopback that somebody holds.
pub fn taken_port() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("its number").port();
    (socket, port)
}

/// Below the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join(path)
}

/// The words of a line; `'…'` holds one together.
fn words(line: &str) -> Vec<&str> {
    let mut all = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            all.push(part);
        } else {
            all.extend(part.split_whitespace());
        }
    }
    all
}
