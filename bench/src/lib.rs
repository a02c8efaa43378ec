//! What `cargo bench` measures: figures of the pure crates, each beside a reference of the same machine and run.
//!
//! Absolute times do not repeat on shared machines; a ratio to what the machine does without us nearly does. So every
//! [`Figure`] that is a time (of the processor, so that other work does not count) stands beside a *reference* that was measured in turn with it, and figures that do repeat (bytes,
//! round trips, virtual time) beside what the bare library or the ideal needs.
//!
//! Each module is one bench target: [`records`], [`reconcile`], [`exchange`], [`policy`]. Its `figures` takes a [`Size`]:
//! `cargo bench` measures at full size, `cargo test` runs the same bodies once at a tiny one, so that they cannot rot.
//!
//! What this crate never does: fail because something is slow. A missed target is printed as one. A bench fails only when
//! what it measured did not do its work. Networks, disks and processes are measured by `vigo bench`.

pub mod exchange;
mod measure;
pub mod policy;
pub mod reconcile;
pub mod records;

use std::process::ExitCode;

pub use vigo_base::figure::{Better, Figure, markdown, table};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// What the targets speak of.
    Full,
    /// Every body once, in no time; the figures say nothing.
    Tiny,
}

impl Size {
    /// One of two numbers, by size.
    pub fn of<T>(self, full: T, tiny: T) -> T {
        match self {
            Size::Full => full,
            Size::Tiny => tiny,
        }
    }
}

/// What a bench measured did not do its work: a bug of ours, never slowness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Anything that says why in words.
impl<E: std::error::Error> From<E> for Broken {
    fn from(why: E) -> Broken {
        Broken(why.to_string())
    }
}

/// The figures of one bench, or why there are none.
pub type Measured = Result<Vec<Figure>, Broken>;

/// The body of every bench target. `--json` prints one line of JSON for each figure instead of a table,
/// `--markdown` rows for `docs/performance.md`. Cargo says `--bench` when
/// it benches; without it (`cargo test --benches`) the tiny size is run.
pub fn main(figures: fn(Size) -> Measured) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let said = |word: &str| args.iter().any(|arg| arg == word);
    if let Some(odd) =
        args.iter().find(|arg| !["--bench", "--json", "--markdown", "--tiny"].contains(&arg.as_str()))
    {
        eprintln!(
            "{odd:?} is no option of this bench: --json, --markdown and --tiny are (cargo bench -- --json)"
        );
        return ExitCode::from(2);
    }
    let size = if said("--bench") && !said("--tiny") { Size::Full } else { Size::Tiny };
    match figures(size) {
        Ok(figures) if said("--json") => figures.iter().for_each(|figure| println!("{}", figure.json())),
        Ok(figures) if said("--markdown") => print!("{}", markdown(&figures)),
        Ok(figures) => print!("{}", table(&figures)),
        Err(why) => {
            eprintln!("nothing was measured: {why}");
            return ExitCode::FAILURE;
        }
    }
    if cfg!(debug_assertions) && size == Size::Full {
        eprintln!("built without optimisation: these figures say little");
    }
    ExitCode::SUCCESS
}
