//! The driver: one thread that owns the node and performs what it wants done.
//!
//! Everything reaches it through one bounded queue: the network, finished effects, calls of the local API. In
//! each turn it takes what waits (at most [`TURN`] signals), lets the node handle each, makes **one** commit of
//! all the node wants kept, and only then performs the other outputs, in their order. So nothing is sent,
//! answered or begun before what it stands on is on the disk.
//!
//! It never awaits, never asks a peer for anything itself and never waits for a queue of somebody else: a
//! [`World`] must not block, except in `commit`. When a commit fails the outputs are held back, [`Health`] says
//! why, and the commit is tried again until it works or the process is told to stop; meanwhile the queue fills
//! and pushes back.

pub mod clock;
#[cfg(test)]
pub(crate) mod ear;
pub mod health;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use vigo_base::{Machine, Outbox};
use vigo_node::command::{Command, Refusal, RefusalKind, Reply};
use vigo_node::io::{Caller, CommandId, Input, Output, StoreOp};

use crate::trace::Recorder;
use clock::SteadyClock;
use health::Counts;
pub use health::{Health, Trouble};

/// Signals that wait for the driver; more wait at their senders.
pub const QUEUE: usize = 2048;
/// Signals handled in one turn, and so in one commit.
pub const TURN: usize = 256;
/// Calls that wait for a reply; one more is refused.
pub const CALLS: usize = 256;
/// The longest sleep, so that a jump of the wall clock is noticed.
const NAP: Duration = Duration::from_secs(2);
/// Pauses between attempts to commit: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How often a pause looks whether to stop.
const SLICE: Duration = Duration::from_millis(20);
/// How long a call waits while the driver is in trouble before it is told of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the driver does its outputs with.
pub trait World {
    /// Writes durably, all or nothing. May block on the disk.
    ///
    /// # Errors
    /// [`Trouble`]: unless it is fatal, the same is tried again later.
    fn commit(&mut self, ops: &[StoreOp]) -> Result<(), Trouble>;

    /// Performs any output but `Persist` and `Reply`. Never blocks; what comes of it is an input later.
    fn perform(&mut self, output: Output);
}

/// A node, whichever: the real one, or a pretended one in a test.
pub trait Brain: Machine<Input = Input, Output = Output> {}
impl<M: Machine<Input = Input, Output = Output>> Brain for M {}

/// What reaches the driver.
#[derive(Debug)]
pub enum Signal {
    /// An input for the node.
    Input(Input),
    /// A call that waits for its reply.
    Call(Call),
    /// Wake up and look whether to stop.
    Nudge,
}

/// A call of the local API.
#[derive(Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// What for.
    pub command: Command,
    /// Where the reply goes.
    pub reply: oneshot::Sender<Result<Reply, Refusal>>,
}

/// A queue that takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is full now.
    #[error("the node's queue is full")]
    Full,
    /// The driver has ended.
    #[error("the node has ended")]
    Ended,
}

/// The way to the driver, from any thread.
#[derive(Debug, Clone)]
pub struct Handle {
    sender: SyncSender<Signal>,
    health: Arc<Health>,
}

impl Handle {
    /// How the driver is.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Offers an input without waiting; gives it back when it is not taken.
    ///
    /// # Errors
    /// The input, and why it was not taken.
    #[expect(
        clippy::result_large_err,
        reason = "what is not taken goes back as it came, without a box for each"
    )]
    pub fn offer(&self, input: Input) -> Result<(), (Input, NotTaken)> {
        let back = |signal| match signal {
            Signal::Input(input) => input,
            Signal::Call(_) | Signal::Nudge => Input::Stopping,
        };
        match self.sender.try_send(Signal::Input(input)) {
            Ok(()) => {
                Counts::add(&self.health.counts.queued, 1);
                Ok(())
            }
            Err(TrySendError::Full(signal)) => Err((back(signal), NotTaken::Full)),
            Err(TrySendError::Disconnected(signal)) => Err((back(signal), NotTaken::Ended)),
        }
    }

    /// Hands over an input, waiting for room. For plain threads; says whether the driver still takes any.
    pub fn give(&self, input: Input) -> bool {
        let given = self.sender.send(Signal::Input(input)).is_ok();
        Counts::add(&self.health.counts.queued, u64::from(given));
        given
    }

    /// Hands over an input, waiting for room. For tasks.
    pub async fn give_async(&self, mut input: Input) -> bool {
        loop {
            match self.offer(input) {
                Ok(()) => return true,
                Err((_, NotTaken::Ended)) => return false,
                Err((back, NotTaken::Full)) => input = back,
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Calls the node and waits for its reply, at most `patience`. When the driver is in trouble the caller is
    /// told what it is, and that what was asked may still be done once the trouble is over.
    ///
    /// # Errors
    /// The node's [`Refusal`], or ours of kind [`RefusalKind::Unavailable`].
    pub async fn call(&self, caller: Caller, command: Command, patience: Duration) -> Result<Reply, Refusal> {
        let deadline = Instant::now() + patience;
        let (reply, mut answer) = oneshot::channel();
        let mut signal = Signal::Call(Call { caller, command, reply });
        let begun = Instant::now();
        loop {
            match self.sender.try_send(signal) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return Err(ended()),
                Err(TrySendError::Full(back)) => signal = back,
            }
            self.still_waiting(begun, deadline, patience)?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Counts::add(&self.health.counts.queued, 1);
        loop {
            match tokio::time::timeout(Duration::from_millis(100), &mut answer).await {
                Ok(Ok(reply)) => return reply,
                Ok(Err(_)) => return Err(ended()),
                Err(_) => self.still_waiting(begun, deadline, patience)?,
            }
        }
    }

    fn still_waiting(&self, begun: Instant, deadline: Instant, patience: Duration) -> Result<(), Refusal> {
        if let Some(trouble) = self.health.trouble().filter(|_| begun.elapsed() >= PATIENCE) {
            return Err(unavailable(trouble.what, trouble.hint));
        }
        if Instant::now() >= deadline {
            let what = format!("the node did not answer within {} s", patience.as_secs());
            return Err(unavailable(
                what,
                "try again; `vigo status` and the node's log say what it is doing",
            ));
        }
        Ok(())
    }

    /// Asks the driver to end after what it has taken so far is durable.
    pub fn stop(&self) {
        self.health.stop();
        let _ = self.sender.try_send(Signal::Nudge);
    }
}

fn unavailable(what: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal { kind: RefusalKind::Unavailable, what: what.into(), hint: Some(hint.into()) }
}

fn ended() -> Refusal {
    unavailable("the node is stopping", "start it again with `vigo node`, then repeat the command")
}

/// Makes the queue to a driver that is built later, since what feeds it must exist before it.
pub fn queue() -> (Handle, Inlet) {
    let (sender, receiver) = sync_channel(QUEUE);
    let health = Arc::new(Health::default());
    (Handle { sender, health: health.clone() }, Inlet { receiver, health })
}

/// The driver's end of the queue.
#[derive(Debug)]
pub struct Inlet {
    receiver: Receiver<Signal>,
    health: Arc<Health>,
}

/// The loop around a node.
pub struct Driver<M, W> {
    node: M,
    world: W,
    inlet: Inlet,
    clock: SteadyClock,
    out: Outbox<Output>,
    calls: BTreeMap<CommandId, oneshot::Sender<Result<Reply, Refusal>>>,
    next_call: u64,
    trace: Option<Recorder>,
}

/// How a driver ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to, and everything it had acknowledged is on the disk.
    Stopped,
    /// It was asked to while it could not write: what the trouble was. Nothing acknowledged is lost.
    StoppedInTrouble(Trouble),
    /// It could not go on.
    Broken(Trouble),
}

impl<M: Brain, W: World> Driver<M, W> {
    /// A driver around `node`, which wrote `out` when it was made.
    pub fn new(node: M, out: Outbox<Output>, world: W, inlet: Inlet, clock: SteadyClock) -> Driver<M, W> {
        Driver { node, world, inlet, clock, out, calls: BTreeMap::new(), next_call: 1, trace: None }
    }

    /// Writes every input to a file from now on.
    pub fn with_trace(mut self, trace: Recorder) -> Driver<M, W> {
        self.trace = Some(trace);
        self
    }

    /// Drives until it is told to stop. Blocks.
    pub fn run(mut self) -> Ending {
        let ending = self.turns();
        for (_, reply) in std::mem::take(&mut self.calls) {
            let _ = reply.send(Err(ended()));
        }
        if let Some(trace) = &mut self.trace {
            trace.finish();
        }
        self.inlet.health.set_ended();
        ending
    }

    fn turns(&mut self) -> Ending {
        // What is due at the start comes first: a node that has just booted is to be whole before it is asked.
        self.wake();
        let mut settled = self.settle();
        while settled.is_ok() {
            if self.inlet.health.is_stopping() {
                self.drain();
                self.handle(Input::Stopping);
                return match self.settle() {
                    Ok(()) => Ending::Stopped,
                    Err(trouble) if trouble.fatal => Ending::Broken(trouble),
                    Err(trouble) => Ending::StoppedInTrouble(trouble),
                };
            }
            self.wait();
            settled = self.settle();
        }
        match settled {
            Err(trouble) if !trouble.fatal => Ending::StoppedInTrouble(trouble),
            Err(trouble) => Ending::Broken(trouble),
            Ok(()) => Ending::Stopped,
        }
    }

    /// Waits for a signal or the node's deadline, and handles what there is.
    fn wait(&mut self) {
        let nap = self.clock.until(self.node.next_wake(), NAP);
        match self.inlet.receiver.recv_timeout(nap) {
            Ok(signal) => {
                self.take(signal);
                self.drain();
            }
            // All senders gone: nobody can ask for anything any more.
            Err(RecvTimeoutError::Disconnected) => self.inlet.health.stop(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(offset) = self.clock.jump() {
            self.handle(Input::WallClock { offset });
        }
        self.wake();
    }

    fn wake(&mut self) {
        let now = self.clock.now();
        if self.node.next_wake().is_some_and(|at| at <= now) {
            if let Some(trace) = &mut self.trace {
                trace.wake(now);
            }
            self.node.wake(now, &mut self.out);
        }
    }

    fn drain(&mut self) {
        for _ in 1..TURN {
            match self.inlet.receiver.try_recv() {
                Ok(signal) => self.take(signal),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, signal: Signal) {
        match signal {
            Signal::Nudge => return,
            Signal::Input(input) => self.handle(input),
            Signal::Call(call) => self.take_call(call),
        }
        let queued = &self.inlet.health.counts.queued;
        let _ = queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(1)));
    }

    fn take_call(&mut self, call: Call) {
        if self.calls.len() >= CALLS {
            self.calls.retain(|_, reply| !reply.is_closed());
        }
        if self.calls.len() >= CALLS {
            let what = format!("{CALLS} calls wait for this node's answer already");
            let _ = call.reply.send(Err(unavailable(what, "try again in a moment")));
            return;
        }
        let id = CommandId(self.next_call);
        self.next_call += 1;
        self.calls.insert(id, call.reply);
        self.inlet.health.counts.calls.store(self.calls.len() as u64, Ordering::Relaxed);
        self.handle(Input::Command { id, caller: call.caller, command: call.command });
    }

    fn handle(&mut self, input: Input) {
        let now = self.clock.now();
        Counts::add(&self.inlet.health.counts.inputs, 1);
        if let Some(trace) = &mut self.trace {
            trace.input(now, &input);
        }
        self.node.handle(now, input, &mut self.out);
    }

    /// One commit of all that is to be kept, then everything else in its order. Only verdicts on what others gossiped
    /// go ahead: they rely on nothing of ours on the disk, and every hop would wait for a disk (docs/decisions/010).
    fn settle(&mut self) -> Result<(), Trouble> {
        if self.out.is_empty() {
            return Ok(());
        }
        if let Some(trace) = &mut self.trace {
            trace.outputs(self.out.as_slice());
        }
        let (mut ops, mut rest) = (Vec::new(), Vec::new());
        for output in self.out.drain() {
            match output {
                Output::Persist(writes) => ops.extend(writes),
                verdict @ Output::GossipVerdict { .. } => self.world.perform(verdict),
                other => rest.push(other),
            }
        }
        let counts = &self.inlet.health.counts;
        Counts::add(&counts.turns, 1);
        Counts::add(&counts.outputs, rest.len() as u64);
        if !ops.is_empty() {
            self.commit(&ops)?;
        }
        for output in rest {
            match output {
                Output::Reply { id, reply } => self.reply(id, reply),
                other => self.world.perform(other),
            }
        }
        Ok(())
    }

    fn reply(&mut self, id: CommandId, reply: Result<Reply, Refusal>) {
        if let Some(sender) = self.calls.remove(&id) {
            // Whoever asked may have gone away meanwhile.
            let _ = sender.send(reply);
        }
        self.inlet.health.counts.calls.store(self.calls.len() as u64, Ordering::Relaxed);
    }

    /// Commits, again and again if it must. An error means: told to stop, or fatal.
    fn commit(&mut self, ops: &[StoreOp]) -> Result<(), Trouble> {
        let health = self.inlet.health.clone();
        let (mut pause, longest) = PAUSES;
        loop {
            let begun = Instant::now();
            let trouble = match self.world.commit(ops) {
                Ok(()) => {
                    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                    Counts::add(&health.counts.commits, 1);
                    Counts::add(&health.counts.writes, ops.len() as u64);
                    Counts::add(&health.counts.commit_micros, micros);
                    if health.trouble().is_some() {
                        tracing::info!("the store can be written again: the node goes on");
                        health.set_trouble(None);
                    }
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            Counts::add(&health.counts.failed_commits, 1);
            if health.trouble().as_ref() != Some(&trouble) {
                tracing::error!(hint = trouble.hint, "{}", trouble.what);
                health.set_trouble(Some(trouble.clone()));
            }
            if trouble.fatal || !nap_unless_stopping(&health, pause) {
                return Err(trouble);
            }
            pause = (pause * 2).min(longest);
        }
    }
}

/// Sleeps; false when the driver is to stop.
fn nap_unless_stopping(health: &Health, pause: Duration) -> bool {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        if health.is_stopping() {
            return false;
        }
        thread::sleep(SLICE);
    }
    !health.is_stopping()
}
