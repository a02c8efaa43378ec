//! A network for `vigo bench gossip`: one host after another in namespaces on a bridge, and programs in them.
//!
//! The machine's own network is never touched. Invariant: what was made is removed when the [`Lab`] is dropped; what
//! a killed bench left behind is removed by the next one (names carry the id of the process that made them).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;
use vigo_base::text::escaped;

use crate::exit::{Exit, Failure};

/// How the names of the namespaces begin.
const PREFIX: &str = "vigobench-";
/// Last lines of a program kept for a failure.
const TAIL: usize = 8;

/// The hosts, by number from 0.
#[derive(Debug)]
pub struct Lab {
    tag: String,
    hosts: usize,
}

/// What a program said that was waited for.
#[derive(Debug)]
pub struct Heard {
    /// The host.
    pub host: usize,
    /// When it was read.
    pub at: Instant,
    /// The line.
    pub line: String,
}

/// A program on a host. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    tail: Arc<Mutex<Vec<String>>>,
}

impl Lab {
    /// A bridge with so many hosts.
    ///
    /// # Errors
    /// [`Failure`] without root, without `ip`, or when the system refuses.
    pub fn new(hosts: usize) -> Result<Lab, Failure> {
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::new(Exit::Denied, "network namespaces need root").hint("run it with sudo"));
        }
        sweep();
        let lab = Lab { tag: format!("{PREFIX}{}-", std::process::id()), hosts };
        let names: String = (0..hosts).map(|host| format!("netns add {}\n", lab.name(host))).collect();
        ip(&["-batch", "-"], &format!("netns add {}\n{names}", lab.switch()))?;
        let mut ports = String::from("link add name main type bridge mcast_snooping 0\nlink set main up\n");
        for host in 0..hosts {
            let name = lab.name(host);
            ports += &format!("link add name p{host} type veth peer name eth0 netns {name}\n");
            ports += &format!("link set p{host} master main\nlink set p{host} up\n");
        }
        ip(&["-n", &lab.switch(), "-batch", "-"], &ports)?;
        for host in 0..hosts {
            let mut own = format!(
                "link set eth0 address {}\naddr add {}/16 brd + dev eth0\nlink set eth0 up\nlink set lo up\n\
                 route add 224.0.0.0/4 dev eth0\n",
                card(host),
                address(host)
            );
            // The kernel's table of neighbours is one for all namespaces, and fifty hosts that all talk to each other
            // overflow it. Entries for good are not counted.
            for other in (0..hosts).filter(|other| *other != host) {
                let (at, card) = (address(other), card(other));
                own += &format!("neigh add {at} lladdr {card} dev eth0 nud permanent\n");
            }
            ip(&["-n", &lab.name(host), "-batch", "-"], &own)?;
        }
        Ok(lab)
    }

    /// A command that will run on a host.
    pub fn command(&self, host: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(host)]).arg(program);
        command.stdin(Stdio::null()).process_group(0);
        for variable in ["VIGO_SOCKET", "VIGO_OPERATOR_KEY", "NOTIFY_SOCKET", "SUDO_USER"] {
            command.env_remove(variable);
        }
        command
    }

    /// Starts a command; lines of it that contain one of `wanted` go to `heard`, with the time at which they were read.
    ///
    /// # Errors
    /// [`Failure`] if there is no such process to be had.
    pub fn start(
        &self,
        host: usize,
        mut command: Command,
        wanted: &'static [&'static str],
        heard: &SyncSender<Heard>,
    ) -> Result<Program, Failure> {
        let failed = |e: std::io::Error| Failure::new(Exit::Failed, format!("cannot start {command:?}: {e}"));
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let again = writer.try_clone().map_err(failed)?;
        let child = command.stdout(writer).stderr(again).spawn();
        let child = child.map_err(|e| Failure::new(Exit::Failed, format!("cannot start a program: {e}")))?;
        // It holds the other end of the pipe, which would never close.
        drop(command);
        let (tail, heard) = (Arc::new(Mutex::new(Vec::new())), heard.clone());
        let kept = Arc::clone(&tail);
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                let (Ok(line), at) = (line, Instant::now()) else { return };
                if wanted.iter().any(|word| line.contains(word)) {
                    // Full only when nobody listens any more.
                    let _ = heard.try_send(Heard { host, at, line });
                } else {
                    let mut tail = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if tail.len() >= TAIL {
                        tail.remove(0);
                    }
                    tail.push(line);
                }
            }
        });
        Ok(Program { child, tail })
    }

    /// Bytes that all hosts together have received.
    ///
    /// # Errors
    /// [`Failure`] if `ip` does not tell.
    pub fn received(&self) -> Result<u64, Failure> {
        let text = ip(&["-n", &self.switch(), "-s", "-j", "link"], "")?;
        let links: Value = serde_json::from_slice(&text)
            .map_err(|e| Failure::new(Exit::Failed, format!("ip -j link printed no JSON: {e}")))?;
        let ports = links.as_array().into_iter().flatten();
        let ports = ports.filter(|link| link["ifname"].as_str().is_some_and(|name| name.starts_with('p')));
        // What the switch sends on a port its host receives.
        Ok(ports.filter_map(|link| link["stats64"]["tx"]["bytes"].as_u64()).sum())
    }

    fn name(&self, host: usize) -> String {
        format!("{}{host}", self.tag)
    }

    fn switch(&self) -> String {
        format!("{}switch", self.tag)
    }
}

/// A host's address.
pub fn address(host: usize) -> String {
    format!("10.78.{}.{}", 1 + host / 250, 1 + host % 250)
}

/// The address of its network card.
fn card(host: usize) -> String {
    format!("02:00:00:00:{:02x}:{:02x}", host / 256, host % 256)
}

impl Drop for Lab {
    fn drop(&mut self) {
        let names: String = (0..self.hosts).map(|host| format!("netns del {}\n", self.name(host))).collect();
        // What cannot be removed now is removed by the next bench.
        let _ = ip(&["-force", "-batch", "-"], &format!("{names}netns del {}\n", self.switch()));
    }
}

impl Program {
    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it has ended and all went well.
    pub fn succeeded(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(status)) if status.success())
    }

    /// The end of what it said.
    pub fn last_words(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().map(|line| format!("\n  {}", escaped(line))).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Removes what benches left behind whose processes are gone.
fn sweep() {
    let Ok(names) = ip(&["netns", "list"], "") else { return };
    let names = String::from_utf8_lossy(&names).into_owned();
    for name in names.lines().filter_map(|line| line.split(' ').next()) {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = ip(&["netns", "del", name], "");
        }
    }
}

/// Runs `ip` with this input; gives what it printed.
fn ip(words: &[&str], input: &str) -> Result<Vec<u8>, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("ip {}: {why}", words.join(" ")))
            .hint("it is in the Debian package iproute2")
    };
    let (from, to) = (Stdio::piped(), Stdio::piped());
    let child = Command::new("ip").args(words).stdin(from).stdout(to).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|e| failed(&e))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes()).map_err(|e| failed(&e))?;
    }
    let output = child.wait_with_output().map_err(|e| failed(&e))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(failed(&escaped(String::from_utf8_lossy(&output.stderr).trim())))
    }
}
