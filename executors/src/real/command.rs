//! A command on the real machine: one child, one pipe, one deadline.
//!
//! It never waits on a pipe that a daemon started by the command still holds, never passes the caller's
//! environment or input on, and never keeps more output than its bound. Invariant: when it gives up on a
//! command, it kills the process group before the leader is reaped, so the group's number cannot be another's.

use std::io::{self, PipeReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::host::{COMMAND_PATH, Command, Ending, HostError, Ran};
use crate::output::Output;

/// Between a request to end and the end.
const GRACE: Duration = Duration::from_millis(300);
/// Longest sleep between two looks at the child.
const NAP: Duration = Duration::from_millis(10);

/// Runs it to its end.
pub(super) fn run(command: &Command) -> Result<Ran, HostError> {
    let started = Instant::now();
    let (mut child, reader) = spawn(command).map_err(|e| {
        let place = command.cwd.as_ref().map(|d| format!(" in {d}")).unwrap_or_default();
        HostError::NoRun { why: format!("cannot start /bin/sh{place}: {e}") }
    })?;
    let mut pipe = Pipe { reader: Some(reader), output: Output::default() };
    let timeout = Duration::from_millis(command.timeout_millis);
    loop {
        pipe.take(NAP);
        if let Some(status) = child.try_wait().map_err(lost)? {
            pipe.take(Duration::ZERO);
            let ending = match (status.code(), status.signal()) {
                (Some(code), _) => Ending::Exit(code),
                (None, signal) => Ending::Signal(signal.unwrap_or(0)),
            };
            return Ok(Ran { ending, output: pipe.output.finish() });
        }
        let stopped = command.stop.as_ref().is_some_and(|s| s.load(Ordering::SeqCst));
        if stopped || started.elapsed() >= timeout {
            end(&mut child, &mut pipe)?;
            let ending = if stopped { Ending::Stopped } else { Ending::TimedOut };
            return Ok(Ran { ending, output: pipe.output.finish() });
        }
    }
}

fn spawn(command: &Command) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let flags = rustix::fs::fcntl_getfl(&reader)?;
    rustix::fs::fcntl_setfl(&reader, flags | OFlags::NONBLOCK)?;
    let child = std::process::Command::new("/bin/sh")
        .arg("-c")
        .arg(&command.line)
        .current_dir(command.cwd.as_ref().map_or("/", |d| d.as_str()))
        .env_clear()
        .envs([("PATH", COMMAND_PATH), ("HOME", "/"), ("LANG", "C.UTF-8")])
        .envs(&command.environment)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    Ok((child, reader))
}

/// Asks the whole group to end, then kills it, then reaps the leader.
fn end(child: &mut Child, pipe: &mut Pipe) -> Result<(), HostError> {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return child.kill().and_then(|()| child.wait().map(drop)).map_err(lost);
    };
    let _ = kill_process_group(group, Signal::TERM);
    let asked = Instant::now();
    while asked.elapsed() < GRACE && is_running(group) {
        pipe.take(NAP);
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().map(drop).map_err(lost)
}

/// Whether the leader has not ended; does not reap it.
fn is_running(leader: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(leader), look), Ok(None))
}

fn lost(error: io::Error) -> HostError {
    HostError::NoRun { why: format!("lost the command: {error}") }
}

/// What the command writes; what is more than the bound is read and dropped.
struct Pipe {
    reader: Option<PipeReader>,
    output: Output,
}

impl Pipe {
    /// Waits for output, at most `wait`, and takes what is there.
    fn take(&mut self, wait: Duration) {
        let Some(reader) = &mut self.reader else {
            std::thread::sleep(wait.min(NAP));
            return;
        };
        let nanos = i64::from(wait.subsec_nanos());
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanos };
        let _ = poll(&mut [PollFd::new(reader, PollFlags::IN)], Some(&timeout));
        let mut buffer = [0; 8192];
        for _ in 0..16 {
            match reader.read(&mut buffer) {
                Ok(0) => {
                    self.reader = None;
                    return;
                }
                Ok(n) => {
                    self.output.push(buffer.get(..n).unwrap_or_default());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}
