//! `vigo sim`: simulated fleets, in virtual time, from scenario files.
//!
//! What is simulated and checked is decided in `simnet`; here files are read, seeds are given to threads, and results
//! become text. Wall time is shown and never part of a result. It touches no node and no state of this machine.

mod compare;
mod run;

use std::path::Path;

use serde_json::json;
use vigo_base::text::{escaped, nearest};
use vigo_simnet::file::{File, LIBRARY, time_text};

use crate::args::Everywhere;
use crate::args::sim::{Show as ShowArgs, Sim, SimWhat};
use crate::exit::{Exit, Failure};
use crate::show::Show;

/// Bytes of a scenario file or of a result at most.
const FILE_BYTES: u64 = 1 << 22;

/// Runs the command.
///
/// # Errors
/// [`Failure`] if a scenario cannot be read or run, or a check did not hold.
pub fn run(everywhere: &Everywhere, args: &Sim) -> Result<(), Failure> {
    match &args.what {
        SimWhat::Run(args) => run::run(everywhere, args),
        SimWhat::List => list(everywhere),
        SimWhat::Show(args) => show(everywhere, args),
        SimWhat::Diff(args) => compare::run(everywhere, args),
    }
}

fn list(everywhere: &Everywhere) -> Result<(), Failure> {
    let files: Vec<File> = LIBRARY.iter().filter_map(|(name, _)| File::built_in(name)).collect();
    let rows: Vec<serde_json::Value> = files.iter().map(facts).collect();
    let show = Show::new(everywhere);
    show.result(&rows, || {
        let row = |file: &File| {
            vec![
                file.name.clone(),
                file.kind.name().into(),
                nodes(file),
                time_text(file.lasts()),
                file.seeds.to_string(),
                file.about.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = files.iter().map(row).collect();
        show.table(&["name", "kind", "nodes", "lasts", "seeds", "about"], &rows)
    })
}

fn nodes(file: &File) -> String {
    match file.nodes() {
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least}-{most}"),
    }
}

fn facts(file: &File) -> serde_json::Value {
    let (least, most) = file.nodes();
    json!({
        "name": file.name,
        "about": file.about,
        "kind": file.kind.name(),
        "nodes": [least, most],
        "lasts_us": file.lasts(),
        "seeds": file.seeds,
        "sometimes": file.checks.sometimes,
    })
}

fn show(everywhere: &Everywhere, args: &ShowArgs) -> Result<(), Failure> {
    let (file, text) = load(&args.scenario)?;
    let mut value = facts(&file);
    value["text"] = json!(text);
    Show::new(everywhere).result(&value, || text)
}

/// Reads a scenario: one of the program's by its name, or a file by its path.
fn load(named: &Path) -> Result<(File, String), Failure> {
    let shown = escaped(&named.display().to_string());
    let word = named.to_str().unwrap_or_default();
    let built_in = LIBRARY.iter().find(|(name, _)| *name == word);
    let (called, text) = match built_in {
        Some((name, text)) => (format!("{name}.toml"), (*text).to_string()),
        None if named.components().count() == 1 && !word.ends_with(".toml") && !named.exists() => {
            return Err(unknown(word));
        }
        None => (shown, read(named)?),
    };
    let parsed = File::parse(&called, &text).map_err(|mistakes| {
        let hint =
            "vigo sim show lives prints a scenario to start from; docs/simulation.md explains every key";
        Failure::new(Exit::Usage, mistakes.to_string()).hint(hint)
    })?;
    Ok((parsed, text))
}

fn unknown(word: &str) -> Failure {
    let names = LIBRARY.iter().map(|(name, _)| *name);
    let hint = match nearest(word, names.clone()) {
        Some(name) => format!("vigo sim run {name}"),
        None => {
            format!("there are: {}; a file is named by its path", names.collect::<Vec<_>>().join(", "))
        }
    };
    Failure::new(Exit::NotFound, format!("there is no scenario {:?}", escaped(word))).hint(hint)
}

/// The text of a file of bounded size.
fn read(path: &Path) -> Result<String, Failure> {
    let failed = |e: &std::io::Error| Failure::io("read", path, e);
    let size = std::fs::metadata(path).map_err(|e| failed(&e))?;
    let place = escaped(&path.display().to_string());
    if size.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("{place} is a directory, expected a file")));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| failed(&e))?;
    let taken = std::io::Read::read_to_string(&mut std::io::Read::take(file, FILE_BYTES + 1), &mut text);
    match taken {
        Ok(long) if long as u64 > FILE_BYTES => {
            Err(Failure::new(Exit::Usage, format!("{place} is longer than {} MiB", FILE_BYTES >> 20)))
        }
        Ok(_) => Ok(text),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            Err(Failure::new(Exit::Usage, format!("{place} is no text: it is not UTF-8")))
        }
        Err(e) => Err(failed(&e)),
    }
}
