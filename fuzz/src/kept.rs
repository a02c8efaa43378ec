//! Inputs that are kept in the tree: `fuzz/corpus/NAME.hex` and `fuzz/regressions/NAME.hex`.
//!
//! One input a line, in hex; a line that begins with `#` says something about those below it. Text instead of thousands
//! of small files, so that a diff shows what came and went. Nothing outside `fuzz/` is read or written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use vigo_base::Hash;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// What covers the code: made from seeds, grown by the fuzzer, minimised.
    Corpus,
    /// What broke something once; these stay.
    Regressions,
}

/// The file of a target on a shelf.
pub fn file(shelf: Shelf, target: &str) -> PathBuf {
    let folder = match shelf {
        Shelf::Corpus => "corpus",
        Shelf::Regressions => "regressions",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{target}.hex"))
}

/// The inputs that are kept; none where there is no file.
///
/// # Errors
/// Which line is no hex.
pub fn read(shelf: Shelf, target: &str) -> Result<Vec<Vec<u8>>, String> {
    let path = file(shelf, target);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(Vec::new()) };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|(at, line)| {
            hex::decode(line).map_err(|e| format!("{}:{}: {e}; expected hex", path.display(), at + 1))
        })
        .collect()
}

/// Replaces the corpus of a target: the same inputs give the same file.
///
/// # Errors
/// What the system says.
pub fn write(target: &str, inputs: impl IntoIterator<Item = Vec<u8>>) -> Result<usize, String> {
    let inputs: BTreeSet<Vec<u8>> = inputs.into_iter().filter(|input| !input.is_empty()).collect();
    let mut lines: Vec<String> = inputs.iter().map(hex::encode).collect();
    lines.sort_by_key(|line| (line.len(), line.clone()));
    lines.push(String::new());
    let path = file(Shelf::Corpus, target);
    fs::write(&path, lines.join("\n")).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(inputs.len())
}

/// Puts the inputs of both shelves and the seeds into a folder, one file each, named by their hashes.
///
/// # Errors
/// What the system says, or which line is no hex.
pub fn unpack(target: &crate::Target, into: &Path) -> Result<usize, String> {
    fs::create_dir_all(into).map_err(|e| format!("{}: {e}", into.display()))?;
    let mut inputs = read(Shelf::Corpus, target.name)?;
    inputs.extend(read(Shelf::Regressions, target.name)?);
    inputs.extend((target.seeds)());
    for input in &inputs {
        let path = into.join(Hash::of(input).to_string());
        fs::write(&path, input).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(inputs.len())
}

/// The inputs in a folder of one file each.
///
/// # Errors
/// What the system says.
pub fn folder(from: &Path) -> Result<Vec<Vec<u8>>, String> {
    let shown = |e: std::io::Error| format!("{}: {e}", from.display());
    let entries = fs::read_dir(from).map_err(shown)?;
    entries.map(|entry| entry.and_then(|e| fs::read(e.path())).map_err(shown)).collect()
}

const USAGE: &str = "expected `list`, `unpack TARGET FOLDER` or `pack TARGET FOLDER`";

/// What `fuzz/run` asks for: the targets, or inputs moved between the kept files and a folder.
///
/// # Errors
/// What is wrong with the words, or what the system says.
pub fn tool(words: &[&str]) -> Result<String, String> {
    let target = |name: &str| {
        crate::find(name)
            .ok_or_else(|| format!("there is no target {name:?}; `fuzz/run --list` shows them all"))
    };
    match words {
        ["list"] => {
            Ok(crate::TARGETS.iter().map(|t| format!("{}\t{}\t{}\n", t.name, t.longest, t.about)).collect())
        }
        ["unpack", name, into] => {
            unpack(target(name)?, Path::new(into)).map(|n| format!("{n} inputs in {into}\n"))
        }
        ["pack", name, from] => {
            let name = target(name)?.name;
            let n = write(name, folder(Path::new(from))?)?;
            Ok(format!("{n} inputs in {}\n", file(Shelf::Corpus, name).display()))
        }
        _ => Err(USAGE.to_string()),
    }
}
