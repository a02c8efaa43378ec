//! The driver around a pretended node: order, group commit, a disk that is full, the end.

use std::sync::{Arc, Mutex};

use vigo_base::{Hash, Time};
use vigo_node::io::Event;
use vigo_node::swarm::gossip::{MessageId, Verdict};
use vigo_node::swarm::ids::ConnId;

use super::*;

/// Keeps what it gets and sends it on, as a node does with a record.
#[derive(Default)]
struct Echo {
    handled: usize,
    due: Option<Time>,
}

impl Machine for Echo {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, _now: Time, input: Input, out: &mut Outbox<Output>) {
        self.handled += 1;
        match input {
            Input::Frame { conn, bytes } => {
                let bytes: Arc<[u8]> = bytes.into();
                // The frame before its record: it must wait for the commit all the same.
                out.push(Output::Send { conn, frame: bytes.clone() });
                out.push(Output::Persist(vec![StoreOp::Put { id: Hash::of(&bytes), bytes: bytes.clone() }]));
                out.push(Output::Send { conn, frame: bytes });
            }
            Input::GossipHeard { message, bytes, .. } => {
                let bytes: Arc<[u8]> = bytes.into();
                out.push(Output::Persist(vec![StoreOp::Put { id: Hash::of(&bytes), bytes: bytes.clone() }]));
                out.push(Output::Send { conn: ConnId(1), frame: bytes });
                out.push(Output::GossipVerdict { message, verdict: Verdict::Accept });
            }
            Input::Command { id, .. } => {
                out.push(Output::Persist(vec![StoreOp::PutMeta { key: "k".into(), value: vec![1] }]));
                out.push(Output::Reply { id, reply: Ok(Reply::Denied) });
            }
            Input::Stopping => out.push(Output::Emit(Event::Note("bye".into()))),
            _ => {}
        }
    }

    fn wake(&mut self, _now: Time, out: &mut Outbox<Output>) {
        self.due = None;
        out.push(Output::Emit(Event::Note("woken".into())));
    }

    fn next_wake(&self) -> Option<Time> {
        self.due
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Did {
    Commit(usize),
    Fail,
    Send(Vec<u8>),
    Note(String),
    Verdict,
}

/// Writes down what it is asked for; its disk can be full.
#[derive(Clone, Default)]
struct Diary {
    did: Arc<Mutex<Vec<Did>>>,
    full: Arc<Mutex<bool>>,
    fatal: bool,
}

impl Diary {
    fn read(&self) -> Vec<Did> {
        self.did.lock().unwrap().clone()
    }
    fn fill(&self, full: bool) {
        *self.full.lock().unwrap() = full;
    }
    fn wait_for(&self, wanted: &Did) {
        let until = Instant::now() + Duration::from_secs(10);
        while !self.read().contains(wanted) {
            assert!(Instant::now() < until, "{wanted:?} never happened: {:?}", self.read());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl World for Diary {
    fn commit(&mut self, ops: &[StoreOp]) -> Result<(), Trouble> {
        if *self.full.lock().unwrap() {
            self.did.lock().unwrap().push(Did::Fail);
            let (what, hint) = ("cannot write to /x: no space left".into(), "free some space".into());
            return Err(Trouble { what, hint, fatal: self.fatal });
        }
        self.did.lock().unwrap().push(Did::Commit(ops.len()));
        Ok(())
    }
    fn perform(&mut self, output: Output) {
        let did = match output {
            Output::Send { frame, .. } => Did::Send(frame.to_vec()),
            Output::Emit(Event::Note(note)) => Did::Note(note),
            Output::GossipVerdict { .. } => Did::Verdict,
            other => panic!("not expected: {other:?}"),
        };
        self.did.lock().unwrap().push(did);
    }
}

fn frame(n: u8) -> Input {
    Input::Frame { conn: ConnId(1), bytes: vec![n] }
}

fn start(node: Echo, diary: &Diary, first: Vec<Input>) -> (Handle, thread::JoinHandle<Ending>) {
    let (handle, inlet) = queue();
    for input in first {
        assert!(handle.give(input));
    }
    let driver = Driver::new(node, Outbox::new(), diary.clone(), inlet, SteadyClock::start());
    (handle, thread::spawn(move || driver.run()))
}

fn admin() -> Caller {
    Caller { uid: 0, admin: true }
}

fn call(handle: &Handle, patience: Duration) -> Result<Reply, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(handle.call(admin(), Command::Status, patience))
}

#[test]
fn a_turn_is_one_commit_and_nothing_is_sent_before_it() {
    let diary = Diary::default();
    let (handle, thread) = start(Echo::default(), &diary, (0..100).map(frame).collect());
    diary.wait_for(&Did::Send(vec![99]));
    handle.stop();
    assert_eq!(thread.join().unwrap(), Ending::Stopped);
    let did = diary.read();
    assert_eq!(did[0], Did::Commit(100), "all that waited went into one commit, before anything else");
    let sent: Vec<_> = did.iter().filter(|d| matches!(d, Did::Send(_))).cloned().collect();
    let expected: Vec<_> = (0..100u8).flat_map(|n| [Did::Send(vec![n]), Did::Send(vec![n])]).collect();
    assert_eq!(sent, expected, "in the order in which they were written");
    assert_eq!(did.last(), Some(&Did::Note("bye".into())), "the node was told of the end");
}

#[test]
fn a_turn_takes_no_more_than_its_bound() {
    let diary = Diary::default();
    let (handle, thread) = start(Echo::default(), &diary, (0..1000).map(|n| frame(n as u8)).collect());
    diary.wait_for(&Did::Commit(TURN));
    handle.stop();
    assert_eq!(thread.join().unwrap(), Ending::Stopped);
    assert!(diary.read().iter().all(|d| !matches!(d, Did::Commit(n) if *n > TURN)));
}

#[test]
fn a_full_disk_holds_everything_back_until_there_is_room() {
    let diary = Diary::default();
    diary.fill(true);
    let (handle, thread) = start(Echo::default(), &diary, vec![frame(1)]);
    diary.wait_for(&Did::Fail);
    let refusal = call(&handle, Duration::from_secs(30)).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Unavailable);
    assert_eq!(refusal.what, "cannot write to /x: no space left");
    assert_eq!(refusal.hint.as_deref(), Some("free some space"));
    assert!(diary.read().iter().all(|d| *d == Did::Fail), "nothing was sent: {:?}", diary.read());
    assert!(handle.health().trouble().is_some());
    diary.fill(false);
    diary.wait_for(&Did::Send(vec![1]));
    assert!(call(&handle, Duration::from_secs(10)).is_ok(), "it goes on by itself");
    assert_eq!(handle.health().trouble(), None);
    handle.stop();
    assert_eq!(thread.join().unwrap(), Ending::Stopped);
}

#[test]
fn a_full_disk_does_not_keep_it_from_stopping() {
    let diary = Diary::default();
    diary.fill(true);
    let (handle, thread) = start(Echo::default(), &diary, vec![frame(1)]);
    diary.wait_for(&Did::Fail);
    let begun = Instant::now();
    handle.stop();
    assert!(matches!(thread.join().unwrap(), Ending::StoppedInTrouble(_)));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(diary.read().iter().all(|d| *d == Did::Fail), "what was not durable was not sent");
    assert!(!handle.give(frame(2)), "nobody is there any more");
}

#[test]
fn a_store_that_cannot_be_written_ends_the_driver() {
    let diary = Diary { fatal: true, ..Diary::default() };
    diary.fill(true);
    let (handle, thread) = start(Echo::default(), &diary, vec![frame(1)]);
    assert!(matches!(thread.join().unwrap(), Ending::Broken(_)));
    assert!(handle.health().has_ended());
    assert_eq!(call(&handle, Duration::from_secs(5)).unwrap_err().what, "the node is stopping");
}

#[test]
fn it_wakes_the_node_when_that_is_due() {
    let diary = Diary::default();
    let due = Some(clock::wall().after(vigo_base::time::millis(50)));
    let (handle, thread) = start(Echo { due, ..Echo::default() }, &diary, vec![]);
    diary.wait_for(&Did::Note("woken".into()));
    handle.stop();
    assert_eq!(thread.join().unwrap(), Ending::Stopped);
}

#[test]
fn what_is_due_at_the_start_comes_before_everything_that_waits() {
    let diary = Diary::default();
    let due = Some(Time(0));
    let (handle, thread) = start(Echo { due, ..Echo::default() }, &diary, vec![frame(1)]);
    diary.wait_for(&Did::Send(vec![1]));
    handle.stop();
    assert_eq!(thread.join().unwrap(), Ending::Stopped);
    assert_eq!(diary.read()[0], Did::Note("woken".into()));
}

#[test]
fn a_verdict_on_what_others_say_waits_for_no_disk_and_all_else_does() {
    let diary = Diary::default();
    diary.fill(true);
    let from = vigo_base::SecretKey::from_seed([1; 32]).public();
    let heard = Input::GossipHeard { message: MessageId(1), from, bytes: vec![9] };
    let (handle, driving) = start(Echo::default(), &diary, vec![heard]);
    diary.wait_for(&Did::Fail);
    assert_eq!(diary.read()[0], Did::Verdict, "{:?}", diary.read());
    assert!(!diary.read().contains(&Did::Send(vec![9])), "a full disk holds it back: {:?}", diary.read());
    diary.fill(false);
    diary.wait_for(&Did::Send(vec![9]));
    handle.stop();
    assert_eq!(driving.join().unwrap(), Ending::Stopped);
}
