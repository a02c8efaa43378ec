//! A fleet in a lab: its machines, its operator, and what an operator does with it.
//!
//! Everything is done with the commands of `vigo` and `vigocli`; only looking goes through the local API in this
//! process, because it happens often. A machine keeps its state when it is stopped or killed, and loses it only in
//! [`Fleet::lose`].

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, PeerRow, PublishRow, Reply, Status};

pub use crate::lab::Said;
use crate::lab::{Lab, Node, Process, secs, wait};

/// The program under test.
pub const VIGO: &str = env!("CARGO_BIN_EXE_vigo");
/// How long a machine may take to join or to be ready, on a machine that does other things as well.
pub const PATIENCE: Duration = secs(30);

static MACHINE: RwLock<()> = RwLock::new(());

/// Held by a test that measures: nothing else of this program runs meanwhile.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Held by a test that does not mind company.
pub fn in_company() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One machine.
struct Machine {
    node: Node,
    /// The label of the fleet it belongs to.
    label: String,
    /// More words for `vigo node`.
    options: Vec<String>,
    /// What stands before `vigo` on its command lines, and in its environment.
    clock: Option<String>,
    process: Option<Process>,
    /// The privileged part, where nodes are two processes.
    applier: Option<Process>,
    starts: usize,
}

/// What a publish came to.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its epoch.
    pub epoch: u64,
    /// Its id.
    pub id: String,
    /// When the command had returned.
    pub returned: Instant,
}

/// A fleet, or several, on one bridge.
pub struct Fleet {
    machines: BTreeMap<String, Machine>,
    /// The user that peers run as, where every node is a peer and an applier.
    divided: Option<u32>,
    /// How much nodes log; as they please if not said.
    level: Option<&'static str>,
    /// More words for `vigo node` on every machine.
    words: Vec<String>,
    /// Last, so that the machines' programs have ended when the network goes.
    pub lab: Lab,
}

impl Fleet {
    /// An empty bridge.
    pub fn new(title: &str) -> Fleet {
        Fleet {
            machines: BTreeMap::new(),
            divided: None,
            level: None,
            words: Vec::new(),
            lab: Lab::new(title),
        }
    }

    /// An empty bridge, on which every node is two processes: a peer of this user and an applier.
    pub fn divided(title: &str, user: u32) -> Fleet {
        let fleet = Fleet { divided: Some(user), ..Fleet::new(title) };
        // The peers' user has to reach the program and its own state.
        fs::set_permissions(fleet.lab.folder(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        fleet
    }

    /// A fleet named `label` with bolts `bolt1…` and envoys `env1…`, all running and each with a peer.
    pub fn of(title: &str, bolts: usize, envoys: usize) -> Fleet {
        let mut fleet = Fleet::new(title);
        fleet.fill(bolts, envoys);
        fleet
    }

    /// An empty bridge whose nodes log this much.
    pub fn logging(title: &str, level: &'static str) -> Fleet {
        Fleet { level: Some(level), ..Fleet::new(title) }
    }

    /// A fleet `home` on an empty bridge, as [`Fleet::of`].
    pub fn fill(&mut self, bolts: usize, envoys: usize) {
        let fleet = self;
        fleet.found("home", "bolt1");
        for n in 2..=bolts {
            let name = format!("bolt{n}");
            fleet.place(&name);
            fleet.join("home", "bolt1", &[&name], true);
            fleet.start(&name);
        }
        let names: Vec<String> = (1..=envoys).map(|n| format!("env{n}")).collect();
        names.iter().for_each(|name| fleet.place(name));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !names.is_empty() {
            fleet.join("home", "bolt1", &names, false);
        }
        names.iter().for_each(|name| fleet.start(name));
        fleet.all_have_peers(bolts.min(2));
    }

    /// Waits until every running machine has this many peers.
    #[track_caller]
    pub fn all_have_peers(&self, peers: usize) {
        let all = self.running();
        wait::until("everyone has peers", PATIENCE, || {
            let few = |name: &&String| self.look(name).is_none_or(|s| s.peers < peers);
            let lonely: Vec<&String> = all.iter().filter(few).collect();
            if lonely.is_empty() { Ok(()) } else { Err(format!("too few peers: {lonely:?}")) }
        });
    }

    /// Adds a machine to the main bridge.
    pub fn place(&mut self, name: &str) {
        self.lab.host(name);
        self.add(name);
    }

    /// Adds a machine behind a NAT box of its own.
    pub fn place_behind_nat(&mut self, name: &str) {
        self.lab.host_behind_nat(name);
        self.add(name);
    }

    fn add(&mut self, name: &str) {
        let node = Node::new(name, VIGO, self.lab.folder());
        let (label, options) = (String::new(), Vec::new());
        let machine = Machine { node, label, options, clock: None, process: None, applier: None, starts: 0 };
        self.machines.insert(name.to_owned(), machine);
    }

    /// Words that `vigo node` gets on this machine from its next start on.
    pub fn options(&mut self, name: &str, words: &[&str]) {
        self.machine(name).options = words.iter().map(|w| (*w).to_owned()).collect();
    }

    /// Words that `vigo node` gets on every machine from its next start on.
    pub fn options_of_all(&mut self, words: &[&str]) {
        self.words = words.iter().map(|w| (*w).to_owned()).collect();
    }

    /// Sets this machine's clock, as `faketime` writes it: `+50y`.
    pub fn clock(&mut self, name: &str, shift: &str) {
        self.machine(name).clock = Some(shift.to_owned());
    }

    /// Founds the fleet `label` on a new machine and runs it. Gives what `vigo init` said.
    pub fn found(&mut self, label: &str, name: &str) -> Value {
        self.place(name);
        let key = self.key(label).display().to_string();
        let words = ["init", "--name", name, "--fleet", label, "--operator", "alice", "--plain-key"];
        let anchor = self.applier_state(name).display().to_string();
        let anchor = ["--applier-state", &anchor];
        let anchor = if self.divided.is_some() { &anchor[..] } else { &[] };
        let said = self.vigo(name, &[&words[..], &["--key", &key, "--json"], anchor].concat()).json();
        label.clone_into(&mut self.machine(name).label);
        self.start(name);
        said
    }

    /// Lets these machines join at once with one token that `via` makes.
    #[track_caller]
    pub fn join(&mut self, label: &str, via: &str, names: &[&str], bolt: bool) {
        let token = self.token(label, via, names.len(), bolt);
        let folder = self.lab.folder().to_owned();
        let mut joining = Vec::new();
        for name in names {
            label.clone_into(&mut self.machine(name).label);
            joining.push(Process::spawn(&format!("{name}.join"), self.joining(name, &token), &folder));
        }
        for process in &mut joining {
            assert!(process.wait_exit(PATIENCE).success(), "could not join: {}", process.log());
        }
    }

    /// The command with which a machine joins.
    pub fn joining(&self, name: &str, token: &str) -> Program {
        let mut command = self.on_host(name);
        command.args(["join", token, "--name", name, "--state"]).arg(self.get(name).node.state());
        if self.divided.is_some() {
            command.arg("--applier-state").arg(self.applier_state(name));
        }
        command
    }

    /// A token that `via` makes.
    #[track_caller]
    pub fn token(&self, label: &str, via: &str, uses: usize, bolt: bool) -> String {
        let uses = uses.to_string();
        let mut words = vec!["spanner", "invite", "--uses", &uses, "--json"];
        words.extend(bolt.then_some("--bolt"));
        let said = self.signed(label, via, &words).json();
        said["token"].as_str().expect("a token").to_owned()
    }

    /// Starts a machine's node and waits until it is ready.
    #[track_caller]
    pub fn start(&mut self, name: &str) {
        self.begin(name);
        let process = self.machine(name).process.as_mut().expect("it was just begun");
        process.wait_line("is ready", PATIENCE);
    }

    /// Starts a machine's node.
    pub fn begin(&mut self, name: &str) {
        let folder = self.lab.folder().to_owned();
        let mut command = self.on_host(name);
        match self.divided {
            None => drop(command.arg("node").arg("--fs-root").arg(self.get(name).node.root())),
            Some(user) => {
                self.begin_applier(name);
                let state = self.get(name).node.state();
                let given =
                    Program::new("chown").arg("-R").arg(format!("{user}:{user}")).arg(&state).status();
                assert!(given.expect("chown runs").success());
                command = self.lab.command(name, Path::new("setpriv"));
                let user = user.to_string();
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all"]);
                command.args(["--no-new-privs", "--bounding-set=-all"]).arg(self.get(name).node.program());
                command.arg("peer").arg("--applier-socket").arg(self.applier_socket(name));
            }
        }
        let (level, words) = (self.level, self.words.clone());
        let machine = self.machine(name);
        command.arg("--state").arg(machine.node.state());
        command.args(&machine.options);
        command.args(words);
        command.args(level.map(|level| ["--log-level", level]).into_iter().flatten());
        machine.starts += 1;
        let title = format!("{name}.node{}", machine.starts);
        machine.process = Some(Process::spawn(&title, command, &folder));
    }

    /// Starts the applier of a machine, if none runs, and waits until it listens.
    #[track_caller]
    pub fn begin_applier(&mut self, name: &str) {
        if self.machine(name).applier.is_some() {
            return;
        }
        let folder = self.lab.folder().to_owned();
        let (state, socket) = (self.applier_state(name), self.applier_socket(name));
        let user = self.divided.unwrap_or_default().to_string();
        let mut command = self.on_host(name);
        command.arg("applier").arg("--applier-state").arg(state).arg("--applier-socket").arg(socket);
        let machine = self.machine(name);
        command.args(["--peer-user", &user, "--fs-root"]).arg(machine.node.root());
        machine.starts += 1;
        let title = format!("{name}.applier{}", machine.starts);
        let process = machine.applier.insert(Process::spawn(&title, command, &folder));
        process.wait_line("is ready", PATIENCE);
    }

    /// Ends an applier as a crash does.
    pub fn kill_applier(&mut self, name: &str) {
        if let Some(mut process) = self.machine(name).applier.take() {
            process.kill();
        }
    }

    /// Where the applier of a machine keeps what it decides by.
    pub fn applier_state(&self, name: &str) -> PathBuf {
        self.lab.folder().join(format!("{name}.anchor"))
    }

    /// Where the applier of a machine listens.
    pub fn applier_socket(&self, name: &str) -> PathBuf {
        self.lab.folder().join(format!("{name}.sock"))
    }

    /// `vigo` on the machine's own network, by its own clock.
    fn on_host(&self, name: &str) -> Program {
        let machine = self.get(name);
        let mut command = machine.node.command(Some(&self.lab), "vigo", &[]);
        if let Some(shift) = &machine.clock {
            command.env("LD_PRELOAD", faketime().expect("a test that sets a clock looked for it"));
            command.env("FAKETIME", shift).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
    }

    /// Ends a node in order, within what is promised.
    #[track_caller]
    pub fn stop(&mut self, name: &str) {
        let mut process = self.machine(name).process.take().expect("it runs");
        let (status, took) = process.terminate(secs(4));
        assert!(status.success(), "{name} ended with {status} after {took:?}: {}", process.log());
    }

    /// Ends a node as a crash does.
    pub fn kill(&mut self, name: &str) {
        if let Some(mut process) = self.machine(name).process.take() {
            process.kill();
        }
    }

    /// Ends a node as a crash does, and removes all it had.
    pub fn lose(&mut self, name: &str) {
        self.kill(name);
        let node = &self.get(name).node;
        for path in [node.state(), node.root()] {
            fs::remove_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }

    /// What a node has logged since it was last started.
    pub fn log(&self, name: &str) -> String {
        self.get(name).process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// The process of a running machine.
    #[track_caller]
    pub fn pid(&self, name: &str) -> u32 {
        self.get(name).process.as_ref().unwrap_or_else(|| panic!("{name} does not run")).pid()
    }

    /// The machines whose programs were started and not ended.
    pub fn running(&self) -> Vec<String> {
        self.machines.iter().filter(|(_, m)| m.process.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// Runs `vigo` with the state of a machine.
    pub fn vigo(&self, name: &str, words: &[&str]) -> Said {
        self.call(name, "vigo", words)
    }

    /// Runs `vigocli` with the state of a machine.
    pub fn cli(&self, name: &str, words: &[&str]) -> Said {
        self.call(name, "vigocli", words)
    }

    /// Runs `vigocli` with the state of a machine and the operator's key of a fleet.
    pub fn signed(&self, label: &str, name: &str, words: &[&str]) -> Said {
        let key = self.key(label).display().to_string();
        self.cli(name, &[words, &["--key", &key]].concat())
    }

    fn call(&self, name: &str, program: &str, words: &[&str]) -> Said {
        let node = &self.get(name).node;
        let mut command = node.command(None, program, words);
        command.arg("--state").arg(node.state());
        Said::of(command.output().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Where the operator's key of a fleet is.
    pub fn key(&self, label: &str) -> PathBuf {
        self.lab.folder().join(format!("{label}.key"))
    }

    /// Publishes, through a machine, a tree that says `marker`.
    #[track_caller]
    pub fn publish(&self, via: &str, marker: &str) -> Published {
        let label = self.get(via).label.clone();
        let said = self.try_publish(&label, via, marker, &["--force"]);
        self.published(&said)
    }

    /// What a publish that went well said.
    #[track_caller]
    pub fn published(&self, said: &Said) -> Published {
        let returned = Instant::now();
        let body = said.json();
        let id = body["id"].as_str().expect("an id").to_owned();
        Published { epoch: body["epoch"].as_u64().expect("an epoch"), id, returned }
    }

    /// The same, with the key `label`; it may be refused.
    pub fn try_publish(&self, label: &str, via: &str, marker: &str, more: &[&str]) -> Said {
        Said::of(self.publishing(label, via, marker, more).output().expect("the program runs"))
    }

    /// The command of [`Fleet::try_publish`], with the tree written.
    pub fn publishing(&self, label: &str, via: &str, marker: &str, more: &[&str]) -> Program {
        let place = self.lab.folder().join(format!("tree-{label}-{via}"));
        tree(&place.join("stacks"), marker);
        let (stacks, live) =
            (place.join("stacks").display().to_string(), place.join("live").display().to_string());
        let key = self.key(label).display().to_string();
        let words = ["config", "publish", "--json", "--stacks", &stacks, "--live", &live, "--key", &key];
        let node = &self.get(via).node;
        let mut command = node.command(None, "vigocli", &[&words[..], more].concat());
        command.arg("--state").arg(node.state());
        command
    }

    /// Whether a machine's files are as the tree with this marker says.
    pub fn has(&self, name: &str, marker: &str) -> bool {
        let file = self.get(name).node.root().join("etc/release");
        fs::read_to_string(file).is_ok_and(|text| text == format!("{marker}\n"))
    }

    /// Whether a machine ever ran the tree with this marker.
    pub fn ever_had(&self, name: &str, marker: &str) -> bool {
        self.get(name).node.root().join(format!("srv/seen-{marker}")).exists()
    }

    /// Waits until these machines' files are as `marker` says; gives when each was, from `since`.
    #[track_caller]
    pub fn arrives(&self, names: &[&str], marker: &str, since: Instant, within: Duration) -> Vec<Duration> {
        let mut missing: Vec<&str> = names.to_vec();
        let mut took = Vec::new();
        loop {
            missing.retain(|name| {
                let has = self.has(name, marker);
                if has {
                    took.push(since.elapsed());
                }
                !has
            });
            if missing.is_empty() {
                return took;
            }
            assert!(since.elapsed() < within, "{marker} not within {within:?} on {}", self.states(&missing));
            std::thread::sleep(Duration::from_millis(4));
        }
    }

    /// Waits until these nodes say that they converged to a publish.
    #[track_caller]
    pub fn converged(&self, names: &[&str], id: &str, within: Duration) {
        wait::until("all converged", within, || {
            let ran = |s: &Status| s.run.as_ref().is_some_and(|run| run.publish.to_string() == id);
            let done = |name: &&&str| !self.look(name).is_some_and(|s| ran(&s) && s.config == "converged");
            let missing: Vec<&str> = names.iter().filter(done).copied().collect();
            if missing.is_empty() { Ok(()) } else { Err(self.states(&missing)) }
        });
    }

    /// One line for each of these machines, for a failure.
    pub fn states(&self, names: &[&str]) -> String {
        let line = |name: &&str| match self.look(name) {
            Some(s) => format!(
                "\n{name}: {} ({:?}), head {:?}, {}, {} peers, {:?}",
                s.standing, s.why, s.head, s.config, s.peers, s.beacons
            ),
            None => format!("\n{name}: does not answer"),
        };
        names.iter().map(line).collect()
    }

    /// The state directory of a machine.
    pub fn state(&self, name: &str) -> PathBuf {
        self.get(name).node.state()
    }

    /// The part of a machine that its configuration is applied to.
    pub fn root(&self, name: &str) -> PathBuf {
        self.get(name).node.root()
    }

    /// How a node is, if it answers.
    pub fn look(&self, name: &str) -> Option<Status> {
        match self.ask(name, &Command::Status)? {
            Reply::Status(status) => Some(*status),
            _ => None,
        }
    }

    /// The peers of a node.
    #[track_caller]
    pub fn peers(&self, name: &str) -> Vec<PeerRow> {
        match self.ask(name, &Command::Peers) {
            Some(Reply::Peers(rows)) => rows,
            other => panic!("{name} was asked for its peers, and said {other:?}"),
        }
    }

    /// The publishes that a node knows.
    #[track_caller]
    pub fn publishes(&self, name: &str) -> Vec<PublishRow> {
        match self.ask(name, &Command::Publishes) {
            Some(Reply::Publishes(rows)) => rows,
            other => panic!("{name} was asked for what was published, and said {other:?}"),
        }
    }

    fn ask(&self, name: &str, command: &Command) -> Option<Reply> {
        self.client(name)?.call(command).ok()
    }

    /// The local API of a node, if it answers.
    pub fn client(&self, name: &str) -> Option<Client> {
        Client::connect(&self.get(name).node.state().join("vigo.sock")).ok()
    }

    /// The key of a node that runs.
    #[track_caller]
    pub fn key_of(&self, name: &str) -> vigo_base::PublicKey {
        self.look(name).unwrap_or_else(|| panic!("{name} does not answer")).key
    }

    /// Whether a machine's program still runs.
    pub fn is_running(&mut self, name: &str) -> bool {
        self.machine(name).process.as_mut().is_some_and(Process::is_running)
    }

    fn get(&self, name: &str) -> &Machine {
        self.machines.get(name).unwrap_or_else(|| panic!("there is no machine {name}"))
    }

    fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines.get_mut(name).unwrap_or_else(|| panic!("there is no machine {name}"))
    }
}

/// The library that gives one program another clock, if Debian's `faketime` is installed.
pub fn faketime() -> Option<PathBuf> {
    let dirs = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    dirs.map(|dir| dir.path().join("faketime/libfaketime.so.1")).find(|path| path.exists())
}

/// Writes a tree of ten resources that say `marker`, for every machine. Of each marker a file stays behind, so that
/// it can be seen later what was ever run.
fn tree(stacks: &Path, marker: &str) {
    let mut crates = String::from(
        "name: base\nvars: {group: none}\ndefaults: {mode: \"0644\"}\nresources:\n\
         \x20 - {name: etc, type: directory, target_path: /etc, mode: \"0755\"}\n\
         \x20 - {name: srv, type: directory, target_path: /srv, mode: \"0755\"}\n",
    );
    crates += &format!(
        "  - {{name: seen, type: file, target_path: /srv/seen-{marker}, content: \"x\", depends_on: [srv]}}\n"
    );
    for n in 1..=6 {
        crates += &format!(
            "  - {{name: part{n}, type: file, target_path: /srv/part{n}, content: \"{n} of {marker} for {{{{ .Vars.group }}}} on {{{{ .Traits.kernel.release }}}}\", depends_on: [srv]}}\n"
        );
    }
    // Last, so that whoever has it has the rest.
    crates += &format!(
        "  - name: release\n    type: file\n    target_path: /etc/release\n    content: \"{marker}\\n\"\n    depends_on: [etc, seen, part1, part2, part3, part4, part5, part6]\n"
    );
    // Several policies, so that nobody has those of all others by having its own.
    let mut hosts = String::from("envoys:\n");
    for pattern in ["bolt*", "*1", "*2", "*"] {
        hosts +=
            &format!("  - {{match: \"{pattern}\", configcrates: [base], vars: {{group: \"{pattern}\"}}}}\n");
    }
    for (path, text) in [("configcrates/base.vgo", crates.as_str()), ("hosts.vgo", hosts.as_str())] {
        let path = stacks.join(path);
        fs::create_dir_all(path.parent().expect("below the tree")).expect("directories");
        fs::write(path, text).expect("a file");
    }
}
