//! The applier's one socket: who may speak on it, and what is done about each frame.
//!
//! The kernel says who connects (`SO_PEERCRED`): root and one user, everybody else is closed before a byte is read.
//! One connection counts, the newest; whatever an older one still says is not heard. Each frame is bounded, each
//! answer comes before the next frame is read, and everything that touches the machine goes through the [`Seat`].
//!
//! What it never does: open another socket, dial, or believe what it is told.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vigo_base::limits::CONFIG_BLOB_BYTES;
use vigo_node::io::NotRun;
use vigo_node::stacks::report::RunReport;
use vigo_node::warrant::Request;

use super::seat::{Seat, Seldom};
use super::wire::{self, GREETING, Kind, Offer, Tell, WireError};
use crate::api::socket::{SocketError, bind};

/// Where the applier listens if nothing else is said.
pub const SOCKET: &str = "/run/vigo-applier/applier.sock";
/// Its mode: the owner and the peer's group.
const MODE: u32 = 0o660;
/// Connections at one time: the one that counts, and those that wait for a run to end before they see that they do
/// not.
const HANDLERS: usize = 4;
/// Time for a connection to say who it is.
const GREETS: Duration = Duration::from_secs(10);
/// Statements on one connection that are none of this fleet: who tells more is cut off.
const STRIKES: u32 = 64;
/// How often the listener looks whether to stop.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Who may speak beside root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerUser {
    /// The user.
    pub uid: u32,
    /// Its group, which the socket is given to.
    pub gid: u32,
}

/// A socket with a seat behind it.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    peer: PeerUser,
    shared: Arc<Shared>,
}

struct Shared {
    seat: Mutex<Seat>,
    stop: Arc<AtomicBool>,
    /// The number of the connection that counts, and the connection.
    newest: AtomicU64,
    live: Mutex<Option<UnixStream>>,
    handlers: AtomicUsize,
}

impl Server {
    /// Listens at `path` for root and `peer`.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn listen(
        path: &Path,
        peer: PeerUser,
        seat: Seat,
        stop: Arc<AtomicBool>,
    ) -> Result<Server, SocketError> {
        let failed = |doing| move |source| SocketError::Io { path: path.to_path_buf(), doing, source };
        let listener = bind(path, |path| UnixListener::bind(path))?;
        listener.set_nonblocking(true).map_err(failed("make"))?;
        // The group first: nobody but root is let in by the mode before it is the peer's.
        if let Err(error) = std::os::unix::fs::chown(path, None, Some(peer.gid)) {
            tracing::warn!(%error, "the socket is not given to the peer's group: only this user and root reach it");
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))
            .map_err(failed("set the mode of"))?;
        let shared = Arc::new(Shared {
            seat: Mutex::new(seat),
            stop,
            newest: AtomicU64::new(0),
            live: Mutex::new(None),
            handlers: AtomicUsize::new(0),
        });
        Ok(Server { listener, path: path.into(), peer, shared })
    }

    /// Serves until `stop` is set; a run under way ends before its next step. Gives whether it ended within
    /// `patience`.
    pub fn serve(self, patience: Duration) -> bool {
        let mut warned = Seldom::default();
        while !self.shared.stop.load(Ordering::SeqCst) {
            let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&LOOK));
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not taken");
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            if let Err(who) = self.may_speak(&stream) {
                if warned.now() {
                    tracing::warn!(
                        who,
                        "turned away: only root and the peer's user may speak to the applier"
                    );
                }
                continue;
            }
            self.take(stream, &mut warned);
        }
        let _ = std::fs::remove_file(&self.path);
        if let Some(live) = lock(&self.shared.live).take() {
            let _ = live.shutdown(std::net::Shutdown::Read);
        }
        let until = Instant::now() + patience;
        while self.shared.handlers.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.shared.handlers.load(Ordering::SeqCst) == 0
    }

    fn may_speak(&self, stream: &UnixStream) -> Result<(), String> {
        match rustix::net::sockopt::socket_peercred(stream) {
            Ok(who) if who.uid.is_root() || who.uid.as_raw() == self.peer.uid => Ok(()),
            Ok(who) => Err(format!("user {}", who.uid.as_raw())),
            Err(error) => Err(format!("somebody whom the kernel does not name ({error})")),
        }
    }

    /// The newest connection is the one that counts.
    fn take(&self, stream: UnixStream, warned: &mut Seldom) {
        let shared = self.shared.clone();
        // Those that were just cut off need a moment to see it.
        let until = Instant::now() + Duration::from_secs(1);
        while shared.handlers.load(Ordering::SeqCst) >= HANDLERS && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if shared.handlers.fetch_add(1, Ordering::SeqCst) >= HANDLERS {
            shared.handlers.fetch_sub(1, Ordering::SeqCst);
            if warned.now() {
                tracing::warn!("too many connections wait for a run to end: another one is closed");
            }
            return;
        }
        let number = shared.newest.fetch_add(1, Ordering::SeqCst) + 1;
        let copy = stream.set_nonblocking(false).and_then(|()| stream.try_clone());
        let before = match copy {
            Ok(copy) => lock(&shared.live).replace(copy),
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                shared.handlers.fetch_sub(1, Ordering::SeqCst);
                return;
            }
        };
        if let Some(before) = before {
            let _ = before.shutdown(std::net::Shutdown::Both);
        }
        let counted = shared.clone();
        let spawned = std::thread::Builder::new().name("vigo-peer-link".into()).spawn(move || {
            let handled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Conversation { shared: &shared, stream: &stream, number, strikes: 0 }.run()
            }));
            match handled {
                Ok(Ok(()) | Err(WireError::Closed | WireError::Stopping)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the peer process was cut off");
                    let _ = wire::write(&stream, Kind::Bad, error.to_string().as_bytes());
                }
                Err(_) => tracing::error!("an internal error of the applier; please report it"),
            }
            // The listener holds the connection as well: without this the other side would wait for ever.
            let _ = stream.shutdown(std::net::Shutdown::Both);
            shared.handlers.fetch_sub(1, Ordering::SeqCst);
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "a connection was not taken");
            counted.handlers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// One connection.
struct Conversation<'a> {
    shared: &'a Shared,
    stream: &'a UnixStream,
    number: u64,
    strikes: u32,
}

impl Conversation<'_> {
    fn run(&mut self) -> Result<(), WireError> {
        let until = Instant::now() + GREETS;
        let (kind, body) = match wire::read(self.stream, Kind::asked, || Instant::now() < until) {
            Err(WireError::Stopping) => return Err(WireError::Slow),
            other => other?,
        };
        if kind != Kind::Hello || body != GREETING {
            return Err(WireError::Bad("a program of another version: restart vigo-peer".into()));
        }
        self.say(Kind::Hello, GREETING)?;
        loop {
            let (kind, body) = self.hear()?;
            match kind {
                Kind::Known => {
                    let ids: Vec<u8> = self.seat()?.warrants().ids().flat_map(|id| id.0).collect();
                    self.say(Kind::Known, &ids)?;
                }
                Kind::Tell => self.tell(&body)?,
                Kind::Traits => {
                    let traits = self.seat()?.traits().to_string();
                    self.say(Kind::Traits, traits.as_bytes())?;
                }
                Kind::Converge => self.converge(&body)?,
                kind => return Err(WireError::Bad(format!("{kind:?} out of turn"))),
            }
        }
    }

    fn hear(&self) -> Result<(Kind, Vec<u8>), WireError> {
        wire::read(self.stream, Kind::asked, || self.counts())
    }

    fn say(&self, kind: Kind, body: &[u8]) -> Result<(), WireError> {
        wire::write(self.stream, kind, body)
    }

    fn counts(&self) -> bool {
        let newest = self.shared.newest.load(Ordering::SeqCst) == self.number;
        newest && !self.shared.stop.load(Ordering::SeqCst)
    }

    /// The seat, for the connection that counts. Whoever waited for it while another connected has lost.
    fn seat(&self) -> Result<MutexGuard<'_, Seat>, WireError> {
        let seat = lock(&self.shared.seat);
        if self.counts() { Ok(seat) } else { Err(WireError::Stopping) }
    }

    fn tell(&mut self, body: &[u8]) -> Result<(), WireError> {
        let Some((space, statements)) = Tell::decode(body) else {
            return Err(WireError::Bad("a frame of statements that cannot be read".into()));
        };
        let tally = self.seat()?.tell(&space, statements);
        self.strikes = self.strikes.saturating_add(tally.bad);
        if self.strikes > STRIKES {
            return Err(WireError::Bad(format!("{} statements that are none of this fleet", self.strikes)));
        }
        self.say(Kind::Told, &wire::tally(&tally))
    }

    fn converge(&self, body: &[u8]) -> Result<(), WireError> {
        let Some(Offer { at, dry_run, routes }) = Offer::decode(body) else {
            return Err(WireError::Bad("an offer that cannot be read".into()));
        };
        let expected = self.seat()?.expect(at);
        match expected {
            Ok(expected) if expected == routes && routes <= CONFIG_BLOB_BYTES => self.say(Kind::Go, &[])?,
            Ok(expected) => {
                let why = format!("a route table of {routes} bytes was offered, {expected} were signed");
                return self.say(Kind::Refused, why.as_bytes());
            }
            Err(why) => {
                return self.say(Kind::Refused, why.to_string().as_bytes());
            }
        }
        let routes = self.bytes()?;
        let policy = self.bytes()?;
        let request = Request { at, routes: &routes, policy: &policy };
        let ran = self.seat()?.converge(request, dry_run);
        drop((routes, policy));
        match ran {
            Ok(report) => self.say(Kind::Ran, &encoded(report)),
            Err(NotRun::Refused(why)) => self.say(Kind::Refused, why.as_bytes()),
            Err(NotRun::Away(why)) => self.say(Kind::Later, why.as_bytes()),
            Err(NotRun::Unread { why, .. }) => self.say(Kind::Later, format!("{why:?}").as_bytes()),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, WireError> {
        match self.hear()? {
            (Kind::Bytes, bytes) => Ok(bytes),
            (kind, _) => Err(WireError::Bad(format!("{kind:?} where bytes were expected"))),
        }
    }
}

/// A report as JSON; one that is too long goes without its differences, and then without its steps.
fn encoded(mut report: RunReport) -> Vec<u8> {
    let json = |report: &RunReport| serde_json::to_vec(report).unwrap_or_default();
    let bytes = json(&report);
    if bytes.len() <= wire::REPORT_BYTES {
        return bytes;
    }
    report.steps.iter_mut().for_each(|step| step.diff = None);
    let bytes = json(&report);
    if bytes.len() <= wire::REPORT_BYTES {
        return bytes;
    }
    report.steps.clear();
    json(&report)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
