//! A machine in memory: for tests, and for the thousands of nodes of `simnet`.
//!
//! It is pure and deterministic: time passes only where a test says so ([`FakeHost::slow`], scripted commands),
//! and the same calls give the same answers. It never touches the machine it runs on. It keeps the same laws as
//! the real host: links never leave the root, replaced content is kept, odd kinds are not overwritten.

mod programs;
mod software;
mod tree;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::host::{
    Access, Capabilities, Command, Ending, Entry, Fault, Host, HostError, Kernel, Kind, NewFile, Ran, Stat,
};
use crate::path::HostPath;
pub use software::{Offer, Software};
pub use units::FakeUnit;

use tree::{Body, Node, Tree, refused};

/// Old contents that a fake host keeps.
const KEPT: usize = 64;

/// A machine in memory. Cloning is cheap: files are shared until changed.
#[derive(Debug, Clone)]
pub struct FakeHost {
    tree: Tree,
    faults: BTreeMap<String, Fault>,
    slow: BTreeMap<String, u64>,
    read_only: bool,
    disk_bytes: Option<u64>,
    capabilities: Capabilities,
    scripts: Arc<BTreeMap<String, Script>>,
    ran: Vec<String>,
    processes: BTreeMap<u32, usize>,
    kept: Vec<(String, Arc<[u8]>)>,
    kernel: Arc<Kernel>,
    software: Option<Arc<Software>>,
    now: u64,
    writes: u64,
}

/// What a scripted command does when it is run.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Its exit code.
    pub code: i32,
    /// What it prints.
    pub output: String,
    /// What it does to the machine.
    pub effects: Vec<Effect>,
    /// How long it takes; more than the step's timeout is a timeout, without effects.
    pub millis: u64,
}

/// What a scripted command does to the machine.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Writes a file.
    Write(String, Vec<u8>),
    /// Removes what is at a path, with all below it.
    Remove(String),
}

impl Default for FakeHost {
    fn default() -> FakeHost {
        FakeHost {
            tree: Tree::default(),
            faults: BTreeMap::new(),
            slow: BTreeMap::new(),
            read_only: false,
            disk_bytes: None,
            capabilities: Capabilities { exec: true, own: true },
            scripts: Arc::default(),
            ran: Vec::new(),
            processes: BTreeMap::new(),
            kept: Vec::new(),
            kernel: Arc::new(Kernel {
                name: "Linux".into(),
                release: "6.12.0".into(),
                version: "#1 SMP".into(),
                machine: "x86_64".into(),
                hostname: "fake".into(),
            }),
            software: None,
            now: 0,
            writes: 0,
        }
    }
}

/// Setting the scene, and looking at it.
impl FakeHost {
    /// An empty machine: a root folder, every capability.
    pub fn new() -> FakeHost {
        FakeHost::default()
    }

    /// This machine with a file more; for building scenes.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: impl AsRef<[u8]>) -> FakeHost {
        self.drift(path, content);
        self
    }

    /// This machine with a script more: what `sh -c line` does.
    #[must_use]
    pub fn with_script(mut self, line: &str, script: Script) -> FakeHost {
        Arc::make_mut(&mut self.scripts).insert(line.to_owned(), script);
        self
    }

    /// This machine with other capabilities.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> FakeHost {
        self.capabilities = capabilities;
        self
    }

    /// This machine with another kernel or name.
    #[must_use]
    pub fn with_kernel(mut self, kernel: Kernel) -> FakeHost {
        self.kernel = Arc::new(kernel);
        self
    }

    /// Somebody edits a file by hand: no fault, no copy, mode and owner stay if it was there. A path that cannot
    /// be (relative, through a file) changes nothing.
    pub fn drift(&mut self, path: &str, content: impl AsRef<[u8]>) {
        let Some(real) = self.real_for(path) else { return };
        let body = Body::File(content.as_ref().into());
        match self.tree.get_mut(&real) {
            Some(node) => node.body = body,
            None => self.tree.put(real, Node::new(body, 0o644)),
        }
    }

    /// Somebody makes a folder, a link (`to`), or an odd thing by hand, in place of what is there.
    pub fn place(&mut self, path: &str, kind: Kind, to: &str) {
        let Some(real) = self.real_for(path) else { return };
        self.tree.remove(&real);
        let node = match kind {
            Kind::File => Node::new(Body::File(Arc::from(to.as_bytes())), 0o644),
            Kind::Directory => Node::new(Body::Dir, 0o755),
            Kind::Symlink => Node::new(Body::Link(to.to_owned()), 0o777),
            special => Node::new(Body::Special(special), 0o644),
        };
        self.tree.put(real, node);
    }

    /// Somebody removes what is at a path, with all below it.
    pub fn erase(&mut self, path: &str) {
        if let Some(real) = self.real_for(path) {
            self.tree.remove(&real);
        }
    }

    /// From now on every operation on `path` is refused; `None` heals it.
    pub fn fail(&mut self, path: &str, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.faults.insert(path.to_owned(), fault),
            None => self.faults.remove(path),
        };
    }

    /// From now on a change of `path` takes so long.
    pub fn slow(&mut self, path: &str, millis: u64) {
        self.slow.insert(path.to_owned(), millis);
    }

    /// Makes the whole machine read-only, or not.
    pub fn set_read_only(&mut self, read_only: bool) {
        self.read_only = read_only;
    }

    /// How many bytes all files may have together; `None` for no end.
    pub fn set_disk_bytes(&mut self, bytes: Option<u64>) {
        self.disk_bytes = bytes;
    }

    /// Lets time pass.
    pub fn elapse(&mut self, millis: u64) {
        self.now = self.now.saturating_add(millis);
    }

    /// The content of the file that `path` leads to, if there is one.
    pub fn content(&self, path: &str) -> Option<Arc<[u8]>> {
        let real = self.tree.find(&HostPath::parse(path).ok()?, true).ok()??;
        match &self.tree.get(&real)?.body {
            Body::File(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// Every path on the machine, in order.
    pub fn paths(&self) -> BTreeSet<String> {
        self.tree.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Whether two machines have equal file systems: contents, kinds, modes, owners.
    pub fn same_files(&self, other: &FakeHost) -> bool {
        self.tree == other.tree
    }

    /// The commands that ran, in order.
    pub fn commands(&self) -> &[String] {
        &self.ran
    }

    /// Old contents that were kept, oldest first: path and bytes; the last 64.
    pub fn kept(&self) -> &[(String, Arc<[u8]>)] {
        &self.kept
    }

    /// From now on so many processes of a user run; they end when they are told to.
    pub fn set_processes(&mut self, user: u32, count: usize) {
        self.processes.insert(user, count);
    }

    /// How often something was changed through the host.
    pub fn changes(&self) -> u64 {
        self.writes
    }

    fn real_for(&mut self, path: &str) -> Option<String> {
        self.tree.make_parents(&HostPath::parse(path).ok()?).ok()
    }
}

/// The parts of the operations.
impl FakeHost {
    fn healthy(&self, doing: &'static str, path: &HostPath) -> Result<(), HostError> {
        match self.faults.get(path.as_str()) {
            Some(fault) => Err(refused(doing, path, *fault, fault_text(*fault))),
            None => Ok(()),
        }
    }

    /// What every change does first.
    fn change(&mut self, doing: &'static str, path: &HostPath) -> Result<(), HostError> {
        self.now = self.now.saturating_add(self.slow.get(path.as_str()).copied().unwrap_or(0));
        self.healthy(doing, path)?;
        if self.read_only {
            return Err(refused(doing, path, Fault::ReadOnly, fault_text(Fault::ReadOnly)));
        }
        self.writes += 1;
        Ok(())
    }

    /// Whether the folder of `path` is there and the user's.
    fn theirs(&self, user: u32, path: &HostPath) -> Result<(), HostError> {
        let folder = path.parent().ok_or_else(|| HostError::Precious { path: path.clone() })?;
        let stat = self.stat_followed(&folder)?.ok_or_else(|| missing("reach", path))?;
        if stat.owner == user {
            return Ok(());
        }
        Err(HostError::NotTheirs { path: folder, owner: stat.owner, user })
    }

    fn keep(&mut self, path: &HostPath, bytes: Arc<[u8]>) {
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        self.kept.push((path.as_str().to_owned(), bytes));
    }

    fn look(&self, path: &HostPath, follow: bool) -> Result<Option<&Node>, HostError> {
        self.healthy("look at", path)?;
        Ok(self.tree.find(path, follow)?.and_then(|real| self.tree.get(&real)))
    }

    fn bytes_of(&self, path: &HostPath, limit: u64, follow: bool) -> Result<Vec<u8>, HostError> {
        self.healthy("read", path)?;
        let node = self.look(path, follow)?.ok_or_else(|| missing("read", path))?;
        let Body::File(bytes) = &node.body else {
            return Err(wrong_kind(path, node.kind(), "a regular file"));
        };
        let size = bytes.len() as u64;
        if size > limit {
            return Err(HostError::TooLarge { path: path.clone(), size, limit });
        }
        Ok(bytes.to_vec())
    }

    fn access(node: &mut Node, access: &Access) {
        node.mode = access.mode.unwrap_or(node.mode);
        node.owner = access.owner.unwrap_or(node.owner);
        node.group = access.group.unwrap_or(node.group);
    }

    fn perform(&mut self, effect: &Effect) {
        match effect {
            Effect::Write(path, bytes) => self.drift(path, bytes),
            Effect::Remove(path) => self.erase(path),
        }
    }
}

impl Host for FakeHost {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn stat(&self, path: &HostPath) -> Result<Option<Stat>, HostError> {
        Ok(self.look(path, false)?.map(Node::stat))
    }

    fn stat_followed(&self, path: &HostPath) -> Result<Option<Stat>, HostError> {
        Ok(self.look(path, true)?.map(Node::stat))
    }

    fn is_empty_dir(&self, path: &HostPath) -> Result<bool, HostError> {
        self.healthy("read", path)?;
        let real = self.tree.find(path, false)?.ok_or_else(|| missing("read", path))?;
        match self.tree.get(&real).map(Node::kind) {
            None => Err(missing("read", path)),
            Some(Kind::Directory) => Ok(!self.tree.has_children(&real)),
            Some(kind) => Err(wrong_kind(path, kind, "a directory")),
        }
    }

    fn list(&self, path: &HostPath, most: usize) -> Result<Vec<Entry>, HostError> {
        self.healthy("list", path)?;
        let real = self.tree.find(path, true)?.ok_or_else(|| missing("list", path))?;
        match self.tree.get(&real).map(Node::kind) {
            None => Err(missing("list", path)),
            Some(Kind::Directory) => Ok(self.tree.children(&real).take(most).collect()),
            Some(kind) => Err(wrong_kind(path, kind, "a directory")),
        }
    }

    fn read(&self, path: &HostPath, limit: u64) -> Result<Vec<u8>, HostError> {
        self.bytes_of(path, limit, false)
    }

    fn read_followed(&self, path: &HostPath, limit: u64) -> Result<Vec<u8>, HostError> {
        self.bytes_of(path, limit, true)
    }

    fn read_start(&self, path: &HostPath, most: u64) -> Result<Vec<u8>, HostError> {
        let mut bytes = self.bytes_of(path, u64::MAX, true)?;
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    fn write(&mut self, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError> {
        self.change("write", path)?;
        let old = match self.tree.find(path, false)?.and_then(|real| self.tree.get(&real)) {
            None => None,
            Some(Node { body: Body::File(bytes), .. }) => Some(bytes.clone()),
            Some(node) => return Err(wrong_kind(path, node.kind(), "a regular file or nothing")),
        };
        if self.disk_bytes.is_some_and(|most| self.tree.bytes() + file.bytes.len() as u64 > most) {
            return Err(refused("write", path, Fault::Full, fault_text(Fault::Full)));
        }
        let real = self.tree.make_parents(path)?;
        if let Some(bytes) = old {
            self.keep(path, bytes);
        }
        let mut node = Node::new(Body::File(file.bytes.into()), file.mode);
        FakeHost::access(&mut node, &Access { mode: None, owner: file.owner, group: file.group });
        self.tree.put(real, node);
        Ok(())
    }

    fn make_dir(&mut self, path: &HostPath, access: &Access) -> Result<(), HostError> {
        self.change("make", path)?;
        let real = self.tree.make_parents(path)?;
        if let Some(node) = self.tree.get(&real) {
            return Err(wrong_kind(path, node.kind(), "nothing"));
        }
        let mut node = Node::new(Body::Dir, 0o755);
        FakeHost::access(&mut node, access);
        self.tree.put(real, node);
        Ok(())
    }

    fn symlink(&mut self, path: &HostPath, to: &str) -> Result<(), HostError> {
        self.change("link", path)?;
        let real = self.tree.make_parents(path)?;
        match self.tree.get(&real).map(Node::kind) {
            None | Some(Kind::Symlink) => {}
            Some(kind) => return Err(wrong_kind(path, kind, "a symlink or nothing")),
        }
        self.tree.put(real, Node::new(Body::Link(to.to_owned()), 0o777));
        Ok(())
    }

    fn remove_file(&mut self, path: &HostPath) -> Result<(), HostError> {
        self.change("remove", path)?;
        let real = self.tree.find(path, false)?.ok_or_else(|| missing("remove", path))?;
        match self.tree.get(&real).map(|n| (n.kind(), n.body.clone())) {
            None => return Err(missing("remove", path)),
            Some((_, Body::File(bytes))) => self.keep(path, bytes),
            Some((_, Body::Link(_))) => {}
            Some((kind, _)) => return Err(wrong_kind(path, kind, "a regular file or a symlink")),
        }
        self.tree.remove(&real);
        Ok(())
    }

    fn remove_dir(&mut self, path: &HostPath, recursive: bool) -> Result<(), HostError> {
        self.change("remove", path)?;
        if path.name().is_none() {
            return Err(HostError::Precious { path: path.clone() });
        }
        let real = self.tree.find(path, false)?.ok_or_else(|| missing("remove", path))?;
        match self.tree.get(&real).map(Node::kind) {
            None => return Err(missing("remove", path)),
            Some(Kind::Directory) => {}
            Some(kind) => return Err(wrong_kind(path, kind, "a directory")),
        }
        if self.tree.has_children(&real) {
            if !recursive {
                return Err(HostError::NotEmpty { path: path.clone() });
            }
            if path.parts().count() < 2 {
                return Err(HostError::Precious { path: path.clone() });
            }
        }
        self.tree.remove(&real);
        Ok(())
    }

    fn set_access(&mut self, path: &HostPath, access: &Access) -> Result<(), HostError> {
        self.change("change the owner or mode of", path)?;
        let real =
            self.tree.find(path, false)?.ok_or_else(|| missing("change the owner or mode of", path))?;
        match self.tree.get_mut(&real) {
            None => Err(missing("change the owner or mode of", path)),
            Some(node) if matches!(node.kind(), Kind::File | Kind::Directory) => {
                FakeHost::access(node, access);
                Ok(())
            }
            Some(node) => Err(wrong_kind(path, node.kind(), "a regular file or a directory")),
        }
    }

    fn write_for(&mut self, user: u32, path: &HostPath, file: &NewFile<'_>) -> Result<(), HostError> {
        self.theirs(user, path)?;
        self.write(path, file)
    }

    fn make_dir_for(&mut self, user: u32, path: &HostPath, access: &Access) -> Result<(), HostError> {
        self.theirs(user, path)?;
        self.make_dir(path, access)
    }

    fn set_mode_for(&mut self, user: u32, path: &HostPath, mode: u32) -> Result<(), HostError> {
        self.theirs(user, path)?;
        match self.stat(path)? {
            Some(stat) if stat.owner != user => {
                Err(HostError::NotTheirs { path: path.clone(), owner: stat.owner, user })
            }
            _ => self.set_access(path, &Access { mode: Some(mode), ..Access::default() }),
        }
    }

    fn processes(&self, user: u32) -> Result<usize, HostError> {
        Ok(self.processes.get(&user).copied().unwrap_or(0))
    }

    fn end_processes(&mut self, user: u32, _millis: u64) -> Result<usize, HostError> {
        Ok(self.processes.remove(&user).unwrap_or(0))
    }

    fn run(&mut self, command: &Command) -> Result<Ran, HostError> {
        if !self.capabilities.exec {
            return Err(HostError::NoRun { why: crate::host::NO_EXEC.to_owned() });
        }
        if command.stop.as_ref().is_some_and(|stop| stop.load(Ordering::SeqCst)) {
            return Ok(Ran { ending: Ending::Stopped, output: Vec::new() });
        }
        self.ran.push(command.line.clone());
        let Some(script) = self.scripts.get(&command.line).cloned() else {
            if let Some(ran) = self.program(command).or_else(|| self.manage(&command.line)) {
                return Ok(ran);
            }
            let output = format!("sh: {}: not found\n", command.line).into_bytes();
            return Ok(Ran { ending: Ending::Exit(127), output });
        };
        if script.millis > command.timeout_millis {
            self.elapse(command.timeout_millis);
            return Ok(Ran { ending: Ending::TimedOut, output: Vec::new() });
        }
        self.elapse(script.millis);
        script.effects.iter().for_each(|effect| self.perform(effect));
        let output = crate::output::bounded(script.output.as_bytes());
        Ok(Ran { ending: Ending::Exit(script.code), output })
    }

    fn millis(&self) -> u64 {
        self.now
    }

    fn kernel(&self) -> Kernel {
        (*self.kernel).clone()
    }
}

fn missing(doing: &'static str, path: &HostPath) -> HostError {
    refused(doing, path, Fault::Missing, fault_text(Fault::Missing))
}

fn wrong_kind(path: &HostPath, found: Kind, expected: &'static str) -> HostError {
    HostError::WrongKind { path: path.clone(), found, expected }
}

fn fault_text(fault: Fault) -> &'static str {
    match fault {
        Fault::Missing => "no such file or directory",
        Fault::Denied => "permission denied",
        Fault::Full => "no space left on device",
        Fault::ReadOnly => "read-only file system",
        Fault::Other => "input/output error",
    }
}
