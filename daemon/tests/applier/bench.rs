//! An applier on a bench, and a peer that says whatever a test wants it to.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use vigo_daemon::applier::anchor;
use vigo_daemon::applier::link::Link;
use vigo_daemon::applier::seat::{Machine, Seat, Tally};
use vigo_daemon::applier::server::{PeerUser, Server};
use vigo_daemon::applier::wire::{self, GREETING, Kind, Offer, Tell, WireError};
use vigo_node::crdt::Space;
use vigo_node::warrant::Evidence;

use crate::rig::{Paper, Published};

/// A directory with an applier's state, its socket and the root that it works below.
pub struct Bench {
    dir: tempfile::TempDir,
    running: Option<(Arc<AtomicBool>, JoinHandle<bool>)>,
}

impl Bench {
    /// An applier of `paper`'s machine, running.
    pub fn of(paper: &Paper) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let mut bench = Bench { dir, running: None };
        anchor::write(&bench.state(), &paper.anchor()).unwrap();
        bench.start();
        bench
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("applier.sock")
    }

    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }

    pub fn start(&mut self) {
        let (warrants, kept) = anchor::open(&self.state()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let machine =
            Machine { fs_root: Some(self.dir.path().join("root")), backups: self.state().join("backups") };
        let seat = Seat::new(warrants, Some(kept), machine, stop.clone());
        let own =
            PeerUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let server = Server::listen(&self.socket(), own, seat, stop.clone()).unwrap();
        let thread = std::thread::spawn(move || server.serve(Duration::from_secs(10)));
        self.running = Some((stop, thread));
    }

    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::SeqCst);
            assert!(thread.join().unwrap(), "it ends in time");
        }
    }

    /// What lies in the canary.
    pub fn canary(&self) -> Option<String> {
        std::fs::read_to_string(self.dir.path().join("root/etc/canary")).ok()
    }

    pub fn peer(&self) -> Peer {
        let peer = Peer(self.raw());
        assert_eq!(peer.ask(Kind::Hello, GREETING).unwrap(), (Kind::Hello, GREETING.to_vec()));
        peer
    }

    pub fn raw(&self) -> UnixStream {
        UnixStream::connect(self.socket()).unwrap()
    }

    pub fn link(&self) -> Link {
        Link::new(self.socket(), Arc::new(AtomicBool::new(false)))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::SeqCst);
            let _ = thread.join();
        }
    }
}

/// The other end of the socket.
pub struct Peer(pub UnixStream);

impl Peer {
    pub fn ask(&self, kind: Kind, body: &[u8]) -> Result<(Kind, Vec<u8>), WireError> {
        wire::write(&self.0, kind, body)?;
        self.hear()
    }

    pub fn hear(&self) -> Result<(Kind, Vec<u8>), WireError> {
        wire::read(&self.0, Kind::answered, || true)
    }

    pub fn bytes(&self, bytes: &[u8]) {
        // Whoever was cut off meanwhile is told so when it reads.
        let _ = (&self.0).write_all(bytes);
    }

    /// Tells statements of one space; what became of them.
    pub fn tell<'a>(&self, space: &Space, statements: impl IntoIterator<Item = &'a [u8]>) -> Tally {
        let mut tell = Tell::new(space);
        for bytes in statements {
            assert!(tell.add(bytes), "they fit into one frame");
        }
        let (kind, body) = self.ask(Kind::Tell, tell.body()).unwrap();
        assert_eq!(kind, Kind::Told);
        wire::read_tally(&body).unwrap()
    }

    pub fn show(&self, evidence: &Evidence) {
        for space in [Space::admissions(), Space::config()] {
            let of = evidence.pieces().iter().map(|p| p.statement()).filter(|s| *s.space() == space);
            self.tell(&space, of.map(|s| s.bytes()));
        }
    }

    /// Offers a publish to the end; gives the report or the refusal.
    pub fn offer(&self, published: &Published) -> (Kind, String) {
        let offer = Offer { at: published.at, dry_run: false, routes: published.routes.len() as u64 };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        match self.ask(Kind::Converge, &offer.encode()).unwrap() {
            (Kind::Go, _) => {}
            (kind, why) => return (kind, text(why)),
        }
        wire::write(&self.0, Kind::Bytes, &published.routes).unwrap();
        let (kind, body) = self.ask(Kind::Bytes, &published.policy).unwrap();
        (kind, text(body))
    }

    /// Offers a publish, which must be refused for this reason.
    pub fn is_refused(&self, published: &Published, why: &str) {
        let (kind, said) = self.offer(published);
        assert!(kind == Kind::Refused && said.contains(why), "{why}: {kind:?} {said}");
    }

    /// Whether the applier has closed.
    pub fn is_cut_off(&self) -> bool {
        loop {
            match self.hear() {
                Ok(_) => {}
                Err(WireError::Closed | WireError::Io(_)) => return true,
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// Bytes of this process that are in memory.
pub fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Whether this test has its process for itself. If not, it is run in one that has, and must pass there.
pub fn is_alone(test: &str) -> bool {
    const ALONE: &str = "VIGO_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let own = std::env::current_exe().unwrap();
    let ran = std::process::Command::new(own).args(["--exact", test, "--nocapture"]).env(ALONE, "1").output();
    let ran = ran.unwrap();
    let text = String::from_utf8_lossy(&ran.stdout);
    println!("{text}");
    assert!(ran.status.success() && text.contains("1 passed"), "{}", String::from_utf8_lossy(&ran.stderr));
    false
}
