//! The story of the demo: what happens, in order, and what is seen of it.
//!
//! Everything is done through the same functions as `vigo` and `vigocli` use, and everything claimed is looked at:
//! the node's own status and the file in its root. Nothing is waited for longer than [`PATIENCE`].

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use vigo_base::{Hash, Time};
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, Reply, Status};
use vigo_daemon::node::content_types::status::Failure as Axis;
use vigo_daemon::node::spanner::{NameRule, NodeKind, Pattern};
use vigo_daemon::setup::{self, OperatorKey};
use vigo_stacks::compile;

use super::example;
use super::processes::{Node, free_ports};
use super::screen::Screen;
use crate::args::KeyArgs;
use crate::exit::{Exit, Failure};
use crate::fleet::{publish, spanner};
use crate::reach;
use crate::tree;

/// The nodes; the first is the bolt, the last is the one that is started late.
pub const NAMES: [&str; 5] = ["bolt1", "web1", "web2", "db1", "db2"];
/// The bolt, the envoy that is published through, and the late one.
const BOLT: usize = 0;
/// See [`BOLT`].
const VIA: usize = 1;
/// See [`BOLT`].
const LATE: usize = 4;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// What a hand writes.
const BY_HAND: &str = "edited by hand\n";

/// What happened.
#[derive(Debug, Default, Serialize)]
pub struct Happened {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many publishes there were.
    pub epochs: u64,
    /// Whether every node converged to every publish that it was awake for.
    pub converged: bool,
    /// From before the signing of a publish until the last node had converged to it, in milliseconds.
    pub publish_to_converged_ms: BTreeMap<String, u64>,
    /// Whether a file changed by hand was put back.
    pub corrected: bool,
    /// Whether, with the bolt down, a publish through an envoy reached the others, the late one included.
    pub bolt_down_converged: bool,
    /// All of it.
    pub ok: bool,
}

/// The fleet and where the story is.
pub struct Story<'a> {
    /// The directory of it all.
    pub dir: PathBuf,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What happened so far.
    pub happened: Happened,
    screen: &'a Screen,
    stop: Arc<AtomicBool>,
    clients: Vec<Option<Client>>,
}

impl<'a> Story<'a> {
    /// A story in an empty directory; nothing has happened yet.
    ///
    /// # Errors
    /// [`Failure`] if the directory cannot be used.
    pub fn new(dir: PathBuf, screen: &'a Screen, stop: Arc<AtomicBool>) -> Result<Story<'a>, Failure> {
        let ports = free_ports(NAMES.len())?;
        let mut nodes = Vec::new();
        for (name, port) in NAMES.into_iter().zip(ports) {
            nodes.push(Node::prepare(name, dir.join(name), port)?);
        }
        example::write(&dir.join("stacks"))?;
        let happened = Happened { nodes: NAMES.len(), ..Happened::default() };
        let clients = NAMES.iter().map(|_| None).collect();
        Ok(Story { dir, nodes, happened, screen, stop, clients })
    }

    /// The tree.
    pub fn stacks(&self) -> PathBuf {
        self.dir.join("stacks")
    }

    /// The operator's key.
    pub fn key(&self) -> PathBuf {
        self.dir.join("operator.key")
    }

    /// Tells it.
    ///
    /// # Errors
    /// [`Failure`] at the first thing that did not happen.
    pub fn tell(&mut self) -> Result<(), Failure> {
        self.found()?;
        self.join()?;
        self.first_publishes()?;
        self.drift()?;
        self.without_the_bolt()?;
        self.bolt_returns()?;
        let happened = &mut self.happened;
        happened.converged = happened.publish_to_converged_ms.len() as u64 == happened.epochs;
        happened.ok = happened.converged && happened.corrected && happened.bolt_down_converged;
        Ok(())
    }

    fn found(&mut self) -> Result<(), Failure> {
        let bolt = &self.nodes[BOLT];
        let made = setup::init(setup::Init {
            state: &bolt.state(),
            name: name(NAMES[BOLT])?,
            fleet: "demo".into(),
            operator_name: name("you")?,
            operator: OperatorKey::New { path: self.key(), passphrase: None },
        })?;
        let id: String = made.spanner.to_string().chars().take(12).collect();
        self.screen.line(&format!("bolt1 founds the fleet {id}…; its operator is you"));
        self.nodes[BOLT].start()?;
        self.until("bolt1 runs", |story| Ok(story.status(BOLT).is_some()))
    }

    fn join(&mut self) -> Result<(), Failure> {
        let key = key_args(&self.dir);
        let client = self.client(BOLT)?;
        let any = NameRule::Pattern(Pattern::any());
        let hour = vigo_base::time::hours(1);
        let uses = NAMES.len() as u32 - 1;
        let token = spanner::token(client, &key, NodeKind::Envoy, any, uses, hour)?;
        self.screen.line("you make a token; web1, web2, db1 and db2 join with it");
        let text = token.to_text();
        let mut joining = Vec::new();
        for node in &self.nodes[1..] {
            joining.push((node.name, node.join(&text)?));
        }
        for (name, mut child) in joining {
            let ended =
                child.wait().map_err(|e| Failure::new(Exit::Failed, format!("{name} cannot join: {e}")))?;
            if !ended.success() {
                return Err(Failure::new(Exit::Failed, format!("{name} could not join")));
            }
        }
        for node in &mut self.nodes[1..] {
            node.start()?;
        }
        self.until("everyone has a peer", |story| {
            Ok((0..NAMES.len()).all(|i| story.status(i).is_some_and(|s| s.peers > 0)))
        })?;
        self.screen.line("all five run, each in a process of its own");
        Ok(())
    }

    fn first_publishes(&mut self) -> Result<(), Failure> {
        let all: Vec<usize> = (0..NAMES.len()).collect();
        let files = example::FILES.len();
        self.screen.line(&format!(
            "stacks/ has three customers in {files} files: the harbor's machines run here, those of the clinic and the orchard do not"
        ));
        self.screen.line("you publish it through bolt1");
        self.publish(BOLT, "the first", "Welcome", &all)?;
        self.screen.line("you change the greeting, and publish again");
        example::greet(&self.stacks(), "Welcome back")?;
        self.publish(BOLT, "another greeting", "Welcome back", &all)
    }

    /// Somebody edits a file on web1; the next converge puts it back.
    fn drift(&mut self) -> Result<(), Failure> {
        let motd = self.nodes[VIA].root().join("etc/motd");
        let before = fs::read(&motd).map_err(|e| Failure::io("read", &motd, &e))?;
        fs::write(&motd, BY_HAND).map_err(|e| Failure::io("write", &motd, &e))?;
        self.screen.line("somebody edits etc/motd on web1 by hand");
        let begun = Instant::now();
        self.until("web1 puts the file back", |_| Ok(fs::read(&motd).is_ok_and(|now| now == before)))?;
        self.happened.corrected = true;
        self.screen.line(&format!("web1 has put it back, after {} ms", begun.elapsed().as_millis()));
        Ok(())
    }

    /// The bolt and db2 are stopped; a publish goes through an envoy; db2 starts late.
    fn without_the_bolt(&mut self) -> Result<(), Failure> {
        self.stop_nodes(&[BOLT, LATE]);
        self.screen.line("bolt1 and db2 are stopped: there is no bolt now");
        example::greet(&self.stacks(), "Welcome without a bolt")?;
        self.screen.line("you publish another change, through web1");
        let awake: Vec<usize> = (0..NAMES.len()).filter(|i| ![BOLT, LATE].contains(i)).collect();
        self.publish(VIA, "no bolt is up", "Welcome without a bolt", &awake)?;
        let id = self.head(VIA)?;
        self.nodes[LATE].start()?;
        let begun = Instant::now();
        self.until("db2 gets it from its peers", |story| Ok(story.has(LATE, id, "Welcome without a bolt")))?;
        self.screen.line(&format!(
            "db2 is started late, and has it from its peers after {} ms",
            begun.elapsed().as_millis()
        ));
        self.happened.bolt_down_converged = !self.nodes[BOLT].runs();
        Ok(())
    }

    fn bolt_returns(&mut self) -> Result<(), Failure> {
        let id = self.head(VIA)?;
        self.nodes[BOLT].start()?;
        self.until("bolt1 catches up", |story| Ok(story.has(BOLT, id, "Welcome without a bolt")))?;
        self.screen.line("bolt1 is back, and has caught up");
        Ok(())
    }

    /// Publishes the tree through a node, and waits until those in `whom` have it.
    fn publish(&mut self, via: usize, note: &str, greeting: &str, whom: &[usize]) -> Result<(), Failure> {
        let source = tree::read(&self.stacks())?;
        let (compiled, diagnostics) = compile(&source);
        let compiled = compiled.ok_or_else(|| {
            let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
            Failure::new(Exit::Config, format!("the demo's tree is wrong: {first}"))
        })?;
        let key = key_args(&self.dir);
        let client = self.client(via)?;
        let begun = Instant::now();
        let signer = reach::signer(client, &key)?;
        let done = publish::publish(client, &signer, &source, &compiled, note)?;
        self.happened.epochs += 1;
        let what = format!("epoch {} arrives everywhere", done.at.epoch);
        self.until(&what, |story| Ok(whom.iter().all(|i| story.has(*i, done.at.id, greeting))))?;
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.happened.publish_to_converged_ms.insert(done.at.epoch.to_string(), millis);
        let (policies, all) = (done.size.0, whom.len());
        self.screen.line(&format!(
            "epoch {} ({policies} policies): all {all} have converged after {millis} ms",
            done.at.epoch
        ));
        Ok(())
    }

    /// Whether a node ran that publish without a failure, and its files say so.
    fn has(&mut self, index: usize, id: Hash, greeting: &str) -> bool {
        let ran = self.status(index).is_some_and(|status| {
            status.failure == Axis::Converged
                && status.run.is_some_and(|run| run.publish == id && run.at > Time(0))
        });
        let motd = self.nodes[index].root().join("etc/motd");
        ran && fs::read_to_string(motd).is_ok_and(|text| text.starts_with(&format!("{greeting} to ")))
    }

    fn head(&mut self, index: usize) -> Result<Hash, Failure> {
        let head = self.status(index).and_then(|status| status.head);
        head.map(|head| head.id).ok_or_else(|| Failure::new(Exit::Failed, "a node forgot what was published"))
    }

    fn stop_nodes(&mut self, which: &[usize]) {
        which.iter().for_each(|i| self.nodes[*i].ask_to_end());
        for i in which {
            self.nodes[*i].wait_for_end();
            self.clients[*i] = None;
            self.screen.node(*i, None);
        }
    }

    fn client(&mut self, index: usize) -> Result<&Client, Failure> {
        let client = match self.clients[index].take() {
            Some(client) => client,
            None => Client::connect(&self.nodes[index].socket())?,
        };
        Ok(self.clients[index].insert(client))
    }

    /// How a node is, and its row on the screen; none while it does not answer.
    pub fn status(&mut self, index: usize) -> Option<Status> {
        let asked = self.client(index).ok().map(|client| client.call(&Command::Status));
        let status = match asked {
            Some(Ok(Reply::Status(status))) => Some(*status),
            _ => None,
        };
        if status.is_none() {
            self.clients[index] = None;
        }
        self.screen.node(index, status.as_ref());
        status
    }

    /// Waits until something holds.
    fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Story<'a>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return Err(Failure::new(Exit::Failed, "stopped before the story was told"));
            }
            if holds(self)? {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let what = format!("waited {} s in vain until {what}", PATIENCE.as_secs());
                return Err(Failure::new(Exit::Failed, what).hint("--keep DIR keeps the nodes' logs"));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn key_args(dir: &std::path::Path) -> KeyArgs {
    KeyArgs { operator_key: Some(dir.join("operator.key")), passphrase_file: None }
}

fn name(text: &str) -> Result<vigo_base::Hostname, Failure> {
    crate::machine::init::hostname(text, "the demo")
}
