//! The processes of the demo's fleet: one `vigo node` each, with a state directory and a root of its own.
//!
//! They are children of this process in a group of their own, so that Ctrl-C reaches this process alone, which then
//! ends them. They end by themselves when this process is killed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use vigo_base::text::escaped;

use crate::exit::{Exit, Failure};

/// Time for a node to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(4);
/// Lines of a node's log shown when something went wrong.
const LOG_LINES: usize = 8;

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its name in the fleet.
    pub name: &'static str,
    /// Its directory: state, root, node.yaml and log.
    pub dir: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// What it takes for the machine.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.state().join("vigo.sock")
    }

    /// Makes its directories and its `node.yaml`.
    ///
    /// # Errors
    /// [`Failure`] if that cannot be done.
    pub fn prepare(name: &'static str, dir: PathBuf, port: u16) -> Result<Node, Failure> {
        let node = Node { name, dir, child: None };
        fs::create_dir_all(node.root()).map_err(|e| Failure::io("make", &node.root(), &e))?;
        let text = format!(
            "state: {}\nfs_root: {}\nlisten: [\"127.0.0.1:{port}\"]\nbeacon: off\nconverge: {{interval: 1s, splay: 0s}}\n",
            quoted(&node.state()),
            quoted(&node.root())
        );
        let path = node.dir.join("node.yaml");
        fs::write(&path, text).map_err(|e| Failure::io("write", &path, &e))?;
        Ok(node)
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`Failure`] if there is no such process to be had.
    pub fn start(&mut self) -> Result<(), Failure> {
        let config = self.dir.join("node.yaml");
        let own = std::process::id().to_string();
        let words = ["node", "--end-with-parent", &own, "--config"].map(OsStr::new);
        let args = [&words[..], &[config.as_os_str()]].concat();
        self.child = Some(spawn(&args, &self.dir.join("node.log"), Stdio::null())?);
        Ok(())
    }

    /// Joins with a token, which goes through a pipe and so is not seen in the list of processes.
    ///
    /// # Errors
    /// [`Failure`] if there is no such process to be had.
    pub fn join(&self, token: &str) -> Result<Child, Failure> {
        use std::io::Write;
        let state = self.state();
        let args = [
            "join".as_ref(),
            "-".as_ref(),
            "--name".as_ref(),
            self.name.as_ref(),
            "--state".as_ref(),
            state.as_os_str(),
        ];
        let log = self.dir.join("join.log");
        let mut child = spawn(&args, &log, Stdio::piped())?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(token.as_bytes()).map_err(|e| Failure::io("speak to", &log, &e))?;
        }
        Ok(child)
    }

    /// Whether its process runs.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Asks it to end.
    pub fn ask_to_end(&self) {
        let pid =
            self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until it has ended, and kills it when it does not.
    pub fn wait_for_end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let until = Instant::now() + PATIENCE;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Both fail only when it has ended.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// The end of what it logged.
    pub fn last_lines(&self) -> String {
        let mut out = String::new();
        for log in ["join.log", "node.log"] {
            let text = fs::read(self.dir.join(log)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                out += &format!("  {} {log}: {}\n", self.name, escaped(line));
            }
        }
        out
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.ask_to_end();
        self.wait_for_end();
    }
}

/// Ends all at once.
pub fn end_all(nodes: &mut [Node]) {
    nodes.iter().for_each(Node::ask_to_end);
    nodes.iter_mut().for_each(Node::wait_for_end);
}

/// Ports on loopback that nobody uses now.
///
/// # Errors
/// [`Failure`] if the system has none.
pub fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    let failed =
        |e: std::io::Error| Failure::new(Exit::Failed, format!("there are no free ports on 127.0.0.1: {e}"));
    // All are held until each is known, so that they differ.
    let held: Vec<UdpSocket> =
        (0..count).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>().map_err(failed)?;
    held.iter().map(|socket| socket.local_addr().map(|a| a.port())).collect::<Result<_, _>>().map_err(failed)
}

fn spawn(args: &[&OsStr], log: &Path, stdin: Stdio) -> Result<Child, Failure> {
    let program =
        std::env::current_exe().map_err(|e| Failure::new(Exit::Failed, format!("where am I? {e}")))?;
    let opened = File::options().create(true).append(true).open(log);
    let out = opened.map_err(|e| Failure::io("write", log, &e))?;
    let err = out.try_clone().map_err(|e| Failure::io("write", log, &e))?;
    let mut command = Command::new(&program);
    command.args(args).stdin(stdin).stdout(out).stderr(err).process_group(0);
    // The demo's fleet is its own: what the caller exported for another is not meant.
    command.env_remove("VIGO_SOCKET").env_remove("VIGO_OPERATOR_KEY").env_remove("NOTIFY_SOCKET");
    command.spawn().map_err(|e| Failure::io("start", &program, &e))
}

fn quoted(path: &Path) -> String {
    serde_json::to_string(&path.display().to_string()).unwrap_or_default()
}
