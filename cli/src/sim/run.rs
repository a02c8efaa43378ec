//! `vigo sim run`: seeds on threads, progress, the table of results, the report.
//!
//! A run that panics counts as a broken promise of its seed. Ctrl-C ends with what has been found so far. Invariant:
//! what is printed with `--json` does not depend on threads, wall time or this machine.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use vigo_base::text::escaped;
use vigo_simnet::file::File;
use vigo_simnet::report::{Tally, Verdict, time};
use vigo_simnet::{Broken, Course, Outcome, Seen, Spread};

use crate::args::Everywhere;
use crate::args::sim::Run;
use crate::exit::{Exit, Failure};
use crate::show::{self, Show};

/// How often progress is drawn and a signal looked for.
const TICK: Duration = Duration::from_millis(100);
/// Parts of one seed in the bar.
const PARTS: u64 = 1_000;
/// Lines of what broke that are shown.
const SHOWN_LINES: usize = 12;

thread_local! {
    /// What the last panic of this thread said.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What a seed came to.
type Came = (u64, Result<Outcome, Broken>, Course);

/// How far one seed is: thousandths, virtual microseconds, events.
#[derive(Debug, Clone, Copy, Default)]
struct Far {
    parts: u64,
    at: u64,
    events: u64,
}

/// What threads tell while they work.
#[derive(Debug, Default)]
struct Board {
    under_way: Mutex<BTreeMap<u64, Far>>,
    done: Mutex<Far>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] if the scenario cannot be run, or a check did not hold.
pub fn run(everywhere: &Everywhere, args: &Run) -> Result<(), Failure> {
    let (file, _) = super::load(&args.scenario)?;
    let named = escaped(&args.scenario.display().to_string());
    let file = match args.nodes {
        Some(nodes) => file.with_nodes(nodes).map_err(|e| {
            Failure::new(Exit::Usage, escaped(&e.to_string())).hint("give another number with --nodes")
        })?,
        None => file,
    };
    if let Some(report) = &args.report {
        can_write(report)?;
    }
    let first = args.seed.unwrap_or(1);
    let count = args.seeds.unwrap_or(if args.seed.is_some() { 1 } else { file.seeds });
    let Some(_) = first.checked_add(count) else {
        return Err(
            Failure::new(Exit::Usage, "there are not so many seeds").hint("begin with a lower --seed")
        );
    };
    let mut tally = Tally::new(&file, &named, args.nodes, first, count);
    let began = Instant::now();
    let stopped = work(&file, (first, count), &mut tally)?;
    let show = Show::new(everywhere);
    if everywhere.json {
        show.text(&tally.json().to_string())?;
    } else {
        show.text(&table(&show, &file, &tally, began.elapsed()))?;
    }
    if let Some(report) = &args.report {
        std::fs::write(report, tally.html()).map_err(|e| Failure::io("write", report, &e))?;
        if !everywhere.json {
            show.text(&format!("report: {}", escaped(&report.display().to_string())))?;
        }
    }
    if stopped {
        eprintln!("stopped after {} of {count} seeds", tally.runs());
        std::process::exit(show::INTERRUPTED);
    }
    judge(&tally)
}

/// Whether a file can be made there: better known before the work than behind it.
fn can_write(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = escaped(&path.display().to_string());
    if path.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("{place} is a directory, expected a file to write")));
    }
    match std::fs::metadata(parent) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Failure::new(Exit::Usage, format!("there is no directory for {place}"))),
        Err(e) => Err(Failure::io("write to", parent, &e)),
    }
}

/// Runs all seeds; whether it was stopped before the end.
fn work(file: &File, (first, count): (u64, u64), tally: &mut Tally) -> Result<bool, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    vigo_daemon::signals::set_on_end(&stop)
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot wait for signals: {e}")))?;
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        let said = format!("{}{place}", message(info.payload()));
        SAID.with(|last| *last.borrow_mut() = Some(said));
    }));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(usize::try_from(count).unwrap_or(cores));
    let (mouth, ear) = sync_channel::<Came>(threads * 2);
    let (next, board) = (Arc::new(AtomicU64::new(first)), Arc::new(Board::default()));
    for n in 0..threads {
        let (file, mouth) = (file.clone(), mouth.clone());
        let (next, board, end) = (Arc::clone(&next), Arc::clone(&board), first + count);
        let spawned = std::thread::Builder::new()
            .name(format!("sim-{n}"))
            .stack_size(16 << 20)
            .spawn(move || one_by_one(&file, &next, end, &board, &mouth));
        spawned.map_err(|e| Failure::new(Exit::Failed, format!("cannot make a thread: {e}")))?;
    }
    drop(mouth);
    let bar = show::bar(count.saturating_mul(PARTS));
    let stopped = gather(&ear, &stop, (&bar, &board), tally);
    bar.finish_and_clear();
    let _ = std::panic::take_hook();
    Ok(stopped)
}

/// Takes results until there are no more, or somebody ends it.
fn gather(
    ear: &Receiver<Came>,
    stop: &AtomicBool,
    (bar, board): (&ProgressBar, &Board),
    tally: &mut Tally,
) -> bool {
    let began = Instant::now();
    loop {
        match ear.recv_timeout(TICK) {
            Ok((seed, came, course)) => tally.add(seed, came, course),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.load(Ordering::SeqCst) {
            return true;
        }
        let far = board.sum();
        bar.set_position(far.parts);
        let rate = far.events as f64 / began.elapsed().as_secs_f64().max(0.001);
        bar.set_message(format!(
            "virtual {}, {} events/s, {} seeds done",
            time(far.at),
            thousands(rate as u64),
            tally.runs()
        ));
    }
}

impl Board {
    fn sum(&self) -> Far {
        let mut sum = *self.done.lock().unwrap_or_else(|e| e.into_inner());
        for far in self.under_way.lock().unwrap_or_else(|e| e.into_inner()).values() {
            sum.add(*far);
        }
        sum
    }

    fn put(&self, seed: u64, far: Far) {
        self.under_way.lock().unwrap_or_else(|e| e.into_inner()).insert(seed, far);
    }

    fn end(&self, seed: u64) {
        let last = self.under_way.lock().unwrap_or_else(|e| e.into_inner()).remove(&seed).unwrap_or_default();
        self.done.lock().unwrap_or_else(|e| e.into_inner()).add(Far { parts: PARTS, ..last });
    }
}

impl Far {
    fn add(&mut self, other: Far) {
        self.parts += other.parts;
        self.at += other.at;
        self.events += other.events;
    }
}

/// The work of one thread: a seed after the other.
fn one_by_one(file: &File, next: &AtomicU64, end: u64, board: &Board, mouth: &SyncSender<Came>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let mut course = Course::default();
        let mut far = Far::default();
        let mut watch = |seen: &Seen| {
            course.see(seen);
            let parts = seen.at.saturating_mul(PARTS).checked_div(seen.of).unwrap_or(0).min(PARTS - 1);
            far = Far { parts, at: seen.at, events: seen.events.max(far.events) };
            board.put(seed, far);
        };
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| file.run(seed, &mut watch)));
        let came = ran.unwrap_or_else(|payload| {
            let what = SAID.with(|said| said.borrow_mut().take()).unwrap_or_else(|| message(&*payload));
            Err(Broken { promise: "nothing panics", what, report: String::new() })
        });
        board.end(seed);
        if mouth.send((seed, came, course)).is_err() {
            return;
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_string())).unwrap_or_default()
}

/// The failure that a tally comes to, if it does.
fn judge(tally: &Tally) -> Result<(), Failure> {
    if tally.passed() {
        return Ok(());
    }
    let what = match tally.broken().iter().next() {
        Some((seed, broken)) => {
            let mut lines: Vec<String> = broken.what.lines().take(SHOWN_LINES).map(escaped).collect();
            if broken.what.lines().count() > SHOWN_LINES {
                lines.push("…".into());
            }
            let more = match tally.broken().len() {
                1 => String::new(),
                n => format!(" ({n} seeds broke promises)"),
            };
            format!("seed {seed} broke {:?}: {}{more}", broken.promise, lines.join("\n"))
        }
        None => {
            let missed: Vec<String> =
                tally.verdicts().into_iter().filter(|v| v.holds == Some(false)).map(|v| v.name).collect();
            format!("never reached in {} seeds: {}", tally.runs(), escaped(&missed.join(", ")))
        }
    };
    Err(Failure::new(Exit::Failed, what).hint(tally.reproduce()))
}

fn table(show: &Show, file: &File, tally: &Tally, took: Duration) -> String {
    let rate = tally.events() as f64 / took.as_secs_f64().max(0.001);
    let seeds = if tally.runs() == 1 { "1 seed".to_string() } else { format!("{} seeds", tally.runs()) };
    let mut out = format!(
        "{}: {}  {seeds}, {:.1} fleet-hours, {} events in {:.1} s ({} events/s)\n\n",
        show.bold(&file.name),
        show.tint(tally.word()),
        tally.fleet_hours(),
        thousands(tally.events()),
        took.as_secs_f64(),
        thousands(rate as u64),
    );
    let f = tally.figures();
    let times: Vec<Vec<String>> = [
        ("update reaches a node", &f.delivery),
        ("publish has converged", &f.converge),
        ("all settles after the faults", &f.settle),
    ]
    .into_iter()
    .filter(|(_, spread)| spread.count() > 0)
    .map(|(name, spread)| spread_row(name, spread))
    .collect();
    out += &show.table(&["virtual time", "p50", "p99", "max", "count"], &times);
    let mut costs = vec![
        vec!["updates".into(), thousands(f.updates)],
        vec!["copies per node and update".into(), format!("{:.2}", f.redundancy())],
        vec!["reconciliation rounds".into(), thousands(f.rounds)],
    ];
    for (plane, bytes) in f.bytes.named() {
        let each = format!("{:.0} B, {} B in all", f.per_update(bytes), thousands(bytes));
        costs.push(vec![format!("{plane} per node and update"), each]);
    }
    out += &format!("\n{}\n", show.table(&["cost", "value"], &costs));
    out + &checks(show, tally)
}

fn spread_row(name: &str, spread: &Spread) -> Vec<String> {
    let times = [spread.percentile(50), spread.percentile(99), spread.max()].map(time);
    let mut row = vec![name.to_string()];
    row.extend(times);
    row.push(thousands(spread.count()));
    row
}

/// The checks; of those that are to be reached only what was not.
fn checks(show: &Show, tally: &Tally) -> String {
    let verdicts = tally.verdicts();
    let row = |v: &Verdict| {
        let word = match v.holds {
            Some(true) => "ok",
            Some(false) => "failed",
            None => "unknown",
        };
        vec![v.name.clone(), v.kind.into(), word.into(), thousands(v.times), v.note.clone()]
    };
    let shown = |v: &&Verdict| v.kind != "sometimes" || v.holds != Some(true);
    let rows: Vec<Vec<String>> = verdicts.iter().filter(shown).map(row).collect();
    let sometimes = verdicts.iter().filter(|v| v.kind == "sometimes");
    let (all, reached) = (sometimes.clone().count(), sometimes.filter(|v| v.holds == Some(true)).count());
    let line = if all == 0 { String::new() } else { format!("reached: {reached} of {all} that must be\n") };
    show.table(&["check", "kind", "verdict", "times", ""], &rows) + &line
}

/// A number with its thousands apart.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
