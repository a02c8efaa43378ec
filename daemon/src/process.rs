//! The process of one node: everything started in its order, and ended in its order.
//!
//! [`start`] takes the state directory's lock, opens store and blobs, binds the peer channel, boots the node and
//! serves the local API; [`Running::stop`] ends all of it within two seconds and loses nothing that was
//! acknowledged. [`run_node`] is `vigo node` and `vigo peer`: the same with signals and one line when it is ready. Whatever is
//! in the way is an error that says what to do; a damaged store is no obstacle, only a line in the log.
//!
//! It decides nothing about the fleet and asks nobody anything.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use vigo_base::{Hash, Outbox, SecretKey, SpannerId};
use vigo_node::boot::{BadBoot, Boot, Join, Options, meta};
use vigo_node::command::Command;
use vigo_node::io::Caller;
use vigo_node::warrant::{Anchor, Warrants};
use vigo_node::{Node, Reply};

use crate::api::{self, Api, caller::OwnUser, socket::SocketError};
use crate::applier::Place;
use crate::applier::link::Link;
use crate::applier::seat::{Machine, Seat};
use crate::beacon::Beacons;
use crate::blobs::{BlobDamage, BlobError, BlobStore};
use crate::channel::{BindError, Channel, Limits};
use crate::driver::{self, Driver, Ending, Handle, clock::SteadyClock};
use crate::effects::Effects;
use crate::gossip::{Figures, Gossip, GossipError};
use crate::network::Network;
use crate::nodeconf::NodeConf;
use crate::state::{MachineId, StateDir, StateError};
use crate::store::{Loaded, Seal, Store, StoreError};
use crate::trace::{Recorder, TraceError};
use crate::world::{Listener, Machinery, Planes};

/// Where blobs lie below the state directory.
const BLOBS: &str = "swarm/.blobs";
/// Where former contents of files are kept below the state directory.
const BACKUPS: &str = "backups";
/// Where a machine without a machine-id keeps one below the state directory.
const MACHINE: &str = "machine-id";
/// Bytes that blobs may take.
const BLOB_QUOTA: u64 = 16 * 1024 * 1024 * 1024;
/// Threads of the runtime.
const WORKERS: usize = 2;
/// Time for a run under way to reach its next step when the process ends.
const RUN_ENDS: Duration = Duration::from_millis(500);
/// Time for the driver to write what is left.
const DRIVER_ENDS: Duration = Duration::from_millis(900);
/// Time for tasks that are left.
const TASKS_END: Duration = Duration::from_millis(100);

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blobs.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The port of the gossip plane.
    #[error(transparent)]
    Gossip(#[from] GossipError),
    /// The socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The node itself.
    #[error(transparent)]
    Boot(#[from] BadBoot),
    /// The trace.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The folder to apply configuration below.
    #[error("fs_root {} is no directory: name another in `fs_root:` of node.yaml (--fs-root)", path.display())]
    NoRoot {
        /// The path.
        path: PathBuf,
    },
    /// That folder could not be made.
    #[error("cannot make the directory of fs_root, {}: {source}; correct `fs_root:` in node.yaml (--fs-root)", path.display())]
    RootUnmade {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system has no more of something.
    #[error("the system refused what a node needs: {0}")]
    System(#[from] std::io::Error),
}

/// What to start.
pub struct Start {
    /// How it runs.
    pub conf: NodeConf,
    /// How to join a fleet, for a node that only does that.
    pub join: Option<Join>,
    /// The socket of an applier in another process; without one, this process touches the machine itself.
    pub applier: Option<PathBuf>,
    /// The program's version.
    pub version: String,
    /// Writes every input to this file.
    pub trace: Option<PathBuf>,
    /// Whether to serve the local API.
    pub api: bool,
    /// Told of every event.
    pub listener: Listener,
}

impl Start {
    /// A node as `vigo node` starts it.
    pub fn new(conf: NodeConf, version: &str) -> Start {
        let listener: Listener = Box::new(|_| {});
        let version = version.into();
        Start { conf, join: None, applier: None, version, trace: None, api: true, listener }
    }
}

/// A node that runs in this process.
pub struct Running {
    runtime: Runtime,
    driver: Handle,
    channel: Channel,
    gossip: Gossip,
    effects: Effects,
    ended: Receiver<Ending>,
    api: Option<(oneshot::Sender<()>, PathBuf)>,
    /// Last: the lock is given up when everything else has ended.
    _state: StateDir,
}

/// Starts a node.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub fn start(start: Start) -> Result<Running, StartError> {
    let Start { conf, join, applier, version, trace, api, listener } = start;
    let Opened { state, key, store, loaded, blobs } = open(&conf, join.is_some(), applier.is_none())?;
    let runtime =
        Builder::new_multi_thread().worker_threads(WORKERS).enable_all().thread_name("vigo").build()?;
    let (driver, inlet) = driver::queue();
    let network = Network::new(driver.clone(), runtime.handle().clone());
    let listen = if join.is_some() { &[][..] } else { &conf.listen };
    let channel = bind(&runtime, listen, &key, &network)?;
    let stop = Arc::new(AtomicBool::new(false));
    let own = if applier.is_none() { OwnUser::Administers } else { OwnUser::IsNobody };
    let place = place(&conf, applier, join.is_some(), &key, &loaded.meta, &stop);
    let effects = Effects::start(runtime.handle(), &driver, blobs.clone(), channel.clone(), place, stop)?;
    network.connect(channel.clone(), effects.clone());

    let beacons = match &join {
        None | Some(Join::Discover { .. }) => {
            Beacons::start(runtime.handle(), &driver, conf.beacon.clone(), conf.beacon_port)
        }
        Some(_) => Beacons::none(),
    };

    let bound = if listen.is_empty() { Vec::new() } else { channel.addresses() };
    let gossip = match join {
        None => start_gossip(&runtime, &conf.gossip_on(&bound), &key, &loaded.meta, &driver)?,
        Some(_) => Gossip::none(),
    };
    let options = Options { gossip: gossip.port(), ..options(&conf, &bound, &version, join) };
    let records = loaded.records.into_iter().map(|(_, bytes)| bytes).collect();
    let boot = Boot { key, seed: seed()?, records, meta: loaded.meta, blobs: blobs.list(), options };
    let clock = SteadyClock::start();
    let trace = trace.map(|path| Recorder::create(&path, clock.begin(), &boot)).transpose()?;
    let mut out = Outbox::new();
    let node = Node::boot(clock.begin(), boot, &mut out)?;
    let socket = if api { Some(listen_on(&runtime, &conf.socket)?) } else { None };

    let planes = Planes { channel: channel.clone(), network, gossip: gossip.clone(), beacons };
    let world = Machinery::new(store, planes, effects.clone(), listener);
    let mut driving = Driver::new(node, out, world, inlet, clock);
    if let Some(trace) = trace {
        driving = driving.with_trace(trace);
    }
    let (tell, ended) = mpsc::channel();
    thread::Builder::new().name("vigo-driver".into()).spawn(move || {
        // Nobody listens any more only when the process ends.
        let _ = tell.send(driving.run());
    })?;
    let api = socket.map(|listener| {
        let (stop, stopped) = oneshot::channel();
        let (driver, channel, gossip, started) =
            (driver.clone(), channel.clone(), gossip.clone(), Instant::now());
        let served = Api { driver, blobs, channel, gossip, version, started, state: conf.state, own };
        runtime.spawn(api::serve(listener, Arc::new(served), stopped));
        (stop, conf.socket)
    });
    Ok(Running { runtime, driver, channel, gossip, effects, ended, api, _state: state })
}

/// Starts the gossip plane of a node that belongs to a fleet.
fn start_gossip(
    runtime: &Runtime,
    listen: &[SocketAddr],
    key: &SecretKey,
    meta: &BTreeMap<String, Vec<u8>>,
    driver: &Handle,
) -> Result<Gossip, GossipError> {
    match fleet_of(meta.get(meta::SPANNER)) {
        Some(spanner) => Gossip::start(runtime.handle(), listen, key, &spanner, driver.clone()),
        None => Ok(Gossip::none()),
    }
}

/// Where this machine is touched.
fn place(
    conf: &NodeConf,
    applier: Option<PathBuf>,
    joining: bool,
    key: &SecretKey,
    meta: &BTreeMap<String, Vec<u8>>,
    stop: &Arc<AtomicBool>,
) -> Place {
    if let Some(socket) = applier {
        return Place::There(Link::new(socket, stop.clone()));
    }
    if joining {
        return Place::Nowhere("this process only joins: nothing is applied by it".into());
    }
    let machine = Machine { fs_root: conf.fs_root.clone(), backups: conf.state.join(BACKUPS) };
    match anchor(key, meta) {
        Ok(anchor) => {
            let warrants = Warrants::new(anchor, meta::floor(meta));
            Place::Here(Box::new(Seat::new(warrants, None, machine, stop.clone())))
        }
        Err(why) => Place::Nowhere(why),
    }
}

/// Who this machine is, by what its store holds.
pub(crate) fn anchor(key: &SecretKey, meta: &BTreeMap<String, Vec<u8>>) -> Result<Anchor, String> {
    let spanner = fleet_of(meta.get(meta::SPANNER)).ok_or("this machine belongs to no fleet")?;
    let papers = meta.get(meta::PAPERS).map(Vec::as_slice).unwrap_or_default();
    Anchor::of_papers(spanner, key.public(), papers).map_err(|e| e.to_string())
}

/// Binds the peer channel. A machine without IPv6 does without `[::]`, as long as something else is listened on.
fn bind(
    runtime: &Runtime,
    listen: &[SocketAddr],
    key: &SecretKey,
    network: &Arc<Network>,
) -> Result<Channel, BindError> {
    let on =
        |listen: &[SocketAddr]| Channel::bind(runtime.handle(), listen, key, Limits::bolt(), network.sink());
    let without: Vec<SocketAddr> = listen.iter().filter(|a| !is_any_v6(a)).copied().collect();
    match on(listen) {
        Err(error @ (BindError::System { address, .. } | BindError::NotHere { address }))
            if is_any_v6(&address) && !without.is_empty() =>
        {
            tracing::warn!(%error, "this machine has no IPv6: listening without it");
            on(&without)
        }
        bound => bound,
    }
}

fn is_any_v6(address: &SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

/// What lies in a state directory.
struct Opened {
    state: StateDir,
    key: SecretKey,
    store: Store,
    loaded: Loaded,
    blobs: BlobStore,
}

fn open(conf: &NodeConf, joining: bool, applies: bool) -> Result<Opened, StartError> {
    if !joining && !conf.state.join("records.redb").exists() {
        return Err(BadBoot::NoFleet.into());
    }
    let state = StateDir::open(&conf.state)?;
    conf.fs_root.as_deref().filter(|_| applies).map_or(Ok(()), root)?;
    let (key, _) = state.node_key(&machine_id(&state)?)?;
    let (store, mut loaded) = Store::open(state.path(), Seal::new(&*key.seed()))?;
    for damage in &loaded.damaged {
        tracing::warn!("{damage}");
    }
    let fleet = state.fleet(fleet_of(loaded.meta.get(meta::SPANNER)), None)?;
    if let Some(fleet) = fleet.filter(|_| !joining) {
        // A damaged store may have lost it: the directory knows it too.
        loaded.meta.entry(meta::SPANNER.to_string()).or_insert_with(|| fleet.0.0.to_vec());
    }
    let blobs = open_blobs(&conf.state)?;
    Ok(Opened { state, key, store, loaded, blobs })
}

/// The folder to apply configuration below: there, or made with mode 0755.
pub(crate) fn root(path: &Path) -> Result<(), StartError> {
    if path.is_dir() {
        return Ok(());
    }
    // A link that leads nowhere is in the way, too.
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(StartError::NoRoot { path: path.into() });
    }
    let made = DirBuilder::new().recursive(true).mode(0o755).create(path);
    // Whatever the umask is: what lies below it is for others to read, as on the whole machine.
    let made = made.and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o755)));
    made.map_err(|source| StartError::RootUnmade { path: path.into(), source })?;
    tracing::info!(path = %path.display(), "fs_root was not there: an empty directory was made");
    Ok(())
}

fn options(conf: &NodeConf, bound: &[SocketAddr], version: &str, join: Option<Join>) -> Options {
    Options {
        addresses: conf.addresses(bound),
        gossip: None,
        peers: conf.peers.clone(),
        version: version.to_string(),
        join,
        interval: conf.interval,
        splay: conf.splay,
        lan: conf.lan(bound),
        ranges_only: false,
    }
}

fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(seed)
}

fn listen_on(runtime: &Runtime, path: &Path) -> Result<tokio::net::UnixListener, SocketError> {
    let _context = runtime.enter();
    api::socket::listen(path)
}

/// The blobs of the state directory `state`.
///
/// # Errors
/// [`BlobError`] when the directory cannot be used.
pub fn open_blobs(state: &Path) -> Result<BlobStore, BlobError> {
    let (blobs, damaged) = BlobStore::open(&state.join(BLOBS), BLOB_QUOTA)?;
    for damage in damaged {
        match damage {
            BlobDamage::Rotten { hash } => {
                tracing::warn!(%hash, "a blob was damaged on disk; it is fetched again")
            }
            BlobDamage::Forgotten { exchange } => tracing::warn!(%exchange, "a fetch begins anew"),
        }
    }
    Ok(blobs)
}

/// What identifies this machine. One without a machine-id (a container) gets one in the state directory, which
/// does not tell a copy of the disk from the original.
///
/// # Errors
/// [`StateError`] when it can neither be read nor made.
pub fn machine_id(state: &StateDir) -> Result<MachineId, StateError> {
    let found = MachineId::of_this_machine();
    if !matches!(found, Err(StateError::NoMachineId { .. })) {
        return found;
    }
    let own = state.path().join(MACHINE);
    if !own.exists() {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| StateError::NoMachineId { place: own.display().to_string() })?;
        state.write_small(MACHINE, format!("{}\n", hex::encode(id)).as_bytes())?;
        tracing::warn!("this machine has no /etc/machine-id: a copy of its disk cannot be told from it");
    }
    MachineId::read(&own)
}

/// The fleet that a store's records belong to.
pub fn fleet_of(noted: Option<&Vec<u8>>) -> Option<SpannerId> {
    let id: [u8; 32] = noted?.as_slice().try_into().ok()?;
    Some(SpannerId(Hash(id)))
}

impl Running {
    /// The way to the node.
    pub fn driver(&self) -> &Handle {
        &self.driver
    }

    /// The addresses it listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.channel.addresses()
    }

    /// The addresses on which it takes gossip links.
    pub fn gossip_addresses(&self) -> &[SocketAddr] {
        self.gossip.addresses()
    }

    /// What was counted on the gossip plane.
    pub fn gossip_figures(&self) -> Figures {
        self.gossip.figures()
    }

    /// Has the node do something, as its own user.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn call(&self, command: Command, patience: Duration) -> Result<Reply, vigo_node::Refusal> {
        let caller = Caller { uid: rustix::process::geteuid().as_raw(), admin: true };
        self.runtime.block_on(self.driver.call(caller, command, patience))
    }

    /// Waits until the node ends by itself; `None` when it did not within `patience`.
    pub fn wait(&self, patience: Duration) -> Option<Ending> {
        match self.ended.recv_timeout(patience) {
            Ok(ending) => Some(ending),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Ending::Stopped),
        }
    }

    /// Ends the node: the run under way after its step, then the node, which says goodbye, then connections
    /// and tasks. Takes two seconds at most, unless the disk hangs.
    pub fn stop(mut self) -> Ending {
        self.effects.stop(RUN_ENDS);
        self.driver.stop();
        let ending = self.wait(DRIVER_ENDS).unwrap_or(Ending::Stopped);
        self.close();
        ending
    }

    fn close(&mut self) {
        let socket = self.api.take().map(|(stop, path)| {
            let _ = stop.send(());
            path
        });
        self.runtime.block_on(async { tokio::join!(self.gossip.stop(), self.channel.shutdown()) });
        if let Some(path) = socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without `stop` (a panic of the program around us): let go of everything all the same.
        self.driver.stop();
        if let Some((_, path)) = self.api.take() {
            let _ = std::fs::remove_file(path);
        }
        if let Ok(runtime) = Builder::new_current_thread().build() {
            std::mem::replace(&mut self.runtime, runtime).shutdown_timeout(TASKS_END);
        }
    }
}

/// `vigo node`, and `vigo peer` with the socket of its applier: runs until SIGTERM, SIGINT or SIGHUP. `ready` is told
/// one line when the node is ready.
///
/// # Errors
/// [`StartError`] when it cannot be started.
pub fn run_node(
    conf: NodeConf,
    version: &str,
    trace: Option<PathBuf>,
    applier: Option<PathBuf>,
    ready: impl FnOnce(&str),
) -> Result<Ending, StartError> {
    let socket = conf.socket.clone();
    if applier.is_some() && rustix::process::geteuid().is_root() {
        tracing::warn!("the peer runs as root: run it as a user of its own, which `vigo install` makes");
    }
    let what = if applier.is_some() { "peer" } else { "node" };
    let running = start(Start { trace, applier, ..Start::new(conf, version) })?;
    let mut signals = {
        let _context = running.runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]
    };
    ready(&line(what, &running, &socket));
    notify("READY=1");
    let ending = running.runtime.block_on(async {
        loop {
            let [term, int, hup] = &mut signals;
            tokio::select! {
                () = told(term) => return None,
                () = told(int) => return None,
                () = told(hup) => return None,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            if let Some(ending) = running.wait(Duration::ZERO) {
                return Some(ending);
            }
        }
    });
    notify("STOPPING=1");
    match ending {
        // It broke: there is nothing left to stop but what is around it.
        Some(ending) => {
            running.stop();
            Ok(ending)
        }
        None => Ok(running.stop()),
    }
}

async fn told(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

fn line(what: &str, running: &Running, socket: &Path) -> String {
    let name = match running.call(Command::Status, Duration::from_secs(5)) {
        Ok(Reply::Status(status)) => status.name.unwrap_or_else(|| "without a name".into()),
        _ => "not answering yet".into(),
    };
    let bound: Vec<String> = running.addresses().iter().map(SocketAddr::to_string).collect();
    let bound = if bound.is_empty() { "nothing (it only dials out)".into() } else { bound.join(" and ") };
    format!("vigo {what} {name} is ready: listening on {bound}, local API on {}", socket.display())
}

/// Tells the service manager, if there is one (sd_notify(3)).
pub(crate) fn notify(message: &str) {
    let Some(to) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        let name = to.to_string_lossy();
        match name.strip_prefix('@') {
            Some(name) => {
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                socket.send_to_addr(message.as_bytes(), &address)
            }
            None => socket.send_to(message.as_bytes(), &to),
        }
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "the service manager was not told: {message}");
    }
}
