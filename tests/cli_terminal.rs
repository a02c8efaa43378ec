//! What only happens on a terminal: secrets asked for and not shown, six words confirmed, the demo's table.
//!
//! The terminal is that of script(1), which Debian always has.

mod program;

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use program::{Room, VIGO};

/// The program on a terminal.
struct Terminal {
    child: Child,
    keyboard: Option<ChildStdin>,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    fn new(room: &Room, line: &str) -> Terminal {
        let mut command = Command::new("script");
        command.args(["-qfec", &format!("exec {VIGO} {line}"), "/dev/null"]).current_dir(room.path("."));
        command.env_clear().env("HOME", room.path("home")).env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
        command.env("TMPDIR", room.path(".")).env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("script(1)");
        let (keyboard, mut output) = (child.stdin.take(), child.stdout.take().expect("its output"));
        let screen = Arc::new(Mutex::new(String::new()));
        let writing = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut piece) {
                writing.lock().expect("the screen").push_str(&String::from_utf8_lossy(&piece[..n]));
            }
        });
        Terminal { child, keyboard, screen }
    }

    fn shown(&self) -> String {
        self.screen.lock().expect("the screen").clone()
    }

    /// Waits until `count` times `text` was shown.
    fn sees(&self, text: &str, count: usize) {
        let begun = Instant::now();
        while self.shown().matches(text).count() < count {
            assert!(begun.elapsed() < Duration::from_secs(30), "{text:?} is not shown:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
        // What is typed before the question is asked is thrown away, as it should be.
        std::thread::sleep(Duration::from_millis(100));
    }

    fn types(&mut self, text: &str) {
        self.keyboard.as_mut().expect("a keyboard").write_all(text.as_bytes()).expect("it takes keys");
    }

    fn ends(mut self) -> (i32, String) {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not end:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        };
        std::thread::sleep(Duration::from_millis(50));
        (code, self.shown())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_passphrase_is_asked_for_and_not_shown() {
    let mut room = Room::new();
    let line = "init --name bolt1 --operator alice --key operator.key --state bolt1";
    let mut init = Terminal::new(&room, line);
    init.sees("A passphrase for the operator's key: ", 1);
    init.types("half a pass\u{3}");
    let (code, shown) = init.ends();
    assert!(code == 130 && !room.path("operator.key").exists(), "Ctrl-C makes nothing: {shown}");

    let mut init = Terminal::new(&room, line);
    init.sees("A passphrase for the operator's key: ", 1);
    init.types("correct hirs\u{7f}\u{7f}\u{7f}orse\n");
    init.sees("The same again: ", 1);
    init.types("correct horse\n");
    let (code, shown) = init.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("protected by your passphrase") && !shown.contains("correct horse"), "{shown}");
    room.node("bolt1");

    let line = "vigocli spanner invite --state bolt1 --key operator.key";
    let mut invite = Terminal::new(&room, line);
    invite.sees("Passphrase of operator.key: ", 1);
    invite.types("wrong\n");
    invite.sees("That was wrong. Passphrase of operator.key: ", 1);
    invite.types("correct horse\n");
    let (code, shown) = invite.ends();
    assert!(code == 0 && shown.contains("vigo join vigo1"), "{shown}");

    let mut invite = Terminal::new(&room, line);
    for attempt in 1..=3 {
        invite.sees("Passphrase of operator.key: ", attempt);
        invite.types("wrong\n");
    }
    let (code, shown) = invite.ends();
    assert!(code == 3 && shown.contains("wrong passphrase"), "{shown}");
}

#[test]
fn whoever_joins_by_asking_confirms_the_words() {
    let mut room = Room::new();
    room.bolt();
    let address =
        room.read("bolt1.log").split("listening on ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let ask = |room: &Room, name: &str| {
        let asking = Terminal::new(room, &format!("join --address {address} --name {name} --state {name}"));
        asking.sees("Does the operator read out the same words? [yes/no]", 1);
        asking
    };
    let mut asking = ask(&room, "web06");
    asking.types("no\n");
    let (code, shown) = asking.ends();
    assert!(code == 3 && shown.contains("the words were not confirmed; nothing was joined"), "{shown}");
    assert!(!room.path("web06/node.key").exists(), "the key that asked is gone");
    let said = room.vigo("node --state web06 --listen none").bad(2);
    assert!(said.contains("belongs to no fleet"), "{said}");

    let mut asking = ask(&room, "web07");
    asking.types("yes\n");
    let mut approve = Terminal::new(&room, "vigocli spanner approve web07 --state bolt1 --key operator.key");
    approve.sees("Does its screen show these six words? [yes/no]", 1);
    approve.types("yes\n");
    let (code, shown) = approve.ends();
    assert!(code == 0 && shown.contains("web07 is let in as envoy"), "{shown}");
    let (code, shown) = asking.ends();
    assert!(code == 0 && shown.contains("This machine is web07"), "{shown}");
}

#[test]
fn a_terminal_gets_colours_drawings_and_a_table() {
    let room = Room::new();
    let demo = Terminal::new(&room, "demo --once");
    let (code, shown) = demo.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("\u{1b}[32mconverged"), "the table is coloured: {shown:?}");
    assert!(shown.contains("bolt1 is back, and has caught up"));
    room.write("wrong.vgo", "name: wrong\nresources:\n  - {name: r, type: flie}\n");
    let (code, shown) = Terminal::new(&room, "apply --file wrong.vgo").ends();
    assert!(
        code == 7 && shown.contains('╭') && shown.contains("\u{1b}["),
        "drawn over the source: {shown:?}"
    );
    let (_, shown) = Terminal::new(&room, "apply --color never --file wrong.vgo").ends();
    assert!(shown.contains('╭') && !shown.contains("\u{1b}["), "without colours: {shown:?}");
}
