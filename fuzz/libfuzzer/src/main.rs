//! libFuzzer's entry: runs the target that `VIGO_FUZZ` names, and holds it to a second of processor time and 256 MiB.
//!
//! The target `planted` is none of the project's: a bug behind four comparisons that only somebody who is led by
//! coverage finds. `fuzz/run --check` wants it found, or the other targets' silence means nothing.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libfuzzer_sys::fuzz_target;
use rustix::time::{ClockId, clock_gettime};

/// Bytes that one input may make a target hold, more than before it.
const GROWTH: usize = 256 << 20;
/// Processor time that one input may take, in milliseconds.
const MILLIS: i64 = 1_000;

/// Counts what is held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

fn grow(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    if held > LIMIT.load(Relaxed) {
        LIMIT.store(usize::MAX, Relaxed);
        panic!("{bytes} bytes more make {held}: beyond {} MiB for one input", GROWTH >> 20);
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as promised by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as promised by our caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as promised by our caller.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as promised by our caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("VIGO_FUZZ").unwrap_or_default();
    if name == "planted" {
        return planted;
    }
    let target = vigo_fuzz::find(&name).unwrap_or_else(|| panic!("VIGO_FUZZ names no target: {name:?}"));
    // Once before the limits hold: what is made once and kept is not the input's.
    if let Some(seed) = (target.seeds)().first() {
        (target.run)(seed);
    }
    target.run
});

/// How far inputs came: something between two comparisons, or the compiler makes one of them.
static STEPS: AtomicUsize = AtomicUsize::new(0);

fn planted(data: &[u8]) {
    let [a, b, c, d, e, f, g, h, i, ..] = data else { return };
    let step = |holds: bool| holds && STEPS.fetch_add(1, Relaxed) < usize::MAX;
    if step(u32::from_be_bytes([*a, *b, *c, *d]) == 0x5649_474f)
        && step(u32::from_le_bytes([*e, *f, *g, *h]) == 0x0bad_5eed)
        && step(*i == 0x17)
        && step(data.len() > 20)
    {
        panic!("the planted bug was found");
    }
}

fn millis() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

/// Does what `VIGO_CORPUS` asks for instead, if it does: the instrumented crates link only beside libFuzzer.
fn corpus() {
    let Ok(words) = std::env::var("VIGO_CORPUS") else { return };
    match vigo_fuzz::kept::tool(&words.split(' ').collect::<Vec<_>>()) {
        Ok(said) => {
            print!("{said}");
            std::process::exit(0);
        }
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(1);
        }
    }
}

fuzz_target!(init: corpus(), |data: &[u8]| {
    let run = *RUN;
    let began = millis();
    LIMIT.store(HELD.load(Relaxed).saturating_add(GROWTH), Relaxed);
    run(data);
    LIMIT.store(usize::MAX, Relaxed);
    let took = millis() - began;
    assert!(took <= MILLIS, "{took} ms of processor time for one input of {} bytes", data.len());
});
