//! Another user of the machine: neither the applier's socket nor the local API is theirs, whatever the modes of the
//! files say. The kernel names who connects; the test starts itself as somebody else.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use vigo_daemon::applier::wire::{GREETING, Kind};

use crate::bench::Bench;
use crate::rig::*;

const SOCKET: &str = "VIGO_TEST_STRANGER";
const NOBODY: u32 = 65_534;

/// The child. Without the variable it has nothing to do.
#[test]
fn child() {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(e) => return println!("\nsaid: {:?}", e.kind()),
    };
    let mut hello = (GREETING.len() as u32 + 1).to_be_bytes().to_vec();
    hello.push(Kind::Hello as u8);
    hello.extend_from_slice(GREETING);
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let heard = stream.write_all(&hello).and_then(|()| stream.read_to_end(&mut answer));
    println!("\nsaid: {heard:?} and {} bytes", answer.len());
}

fn as_nobody(socket: &Path) -> Option<String> {
    // Somewhere that this user may read.
    let own = std::env::current_exe().unwrap();
    let copy = socket.with_file_name("stranger");
    fs::copy(own, &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    let mut child = Command::new(&copy);
    child.args(["--exact", "strangers::child", "--nocapture"]).env(SOCKET, socket).uid(NOBODY).gid(NOBODY);
    match child.output() {
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let said = text.lines().find_map(|l| l.strip_prefix("said: "));
            Some(
                said.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&out.stderr)))
                    .to_string(),
            )
        }
        Err(e) if e.kind() == ErrorKind::PermissionDenied => None,
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn another_user_is_not_heard_by_the_applier() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can be somebody else");
        return;
    }
    let bench = Bench::of(&Paper::new("home"));
    let mode = fs::metadata(bench.socket()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);
    fs::set_permissions(bench.dir(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(as_nobody(&bench.socket()).as_deref(), Some("PermissionDenied"));
    // Even if the file let them in: the kernel says who they are.
    fs::set_permissions(bench.socket(), Permissions::from_mode(0o777)).unwrap();
    let said = as_nobody(&bench.socket()).unwrap();
    assert!(said.ends_with(" and 0 bytes") && !said.contains("WouldBlock"), "closed without a word: {said}");
    drop(bench.peer());
}
