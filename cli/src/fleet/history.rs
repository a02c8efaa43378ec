//! `vigocli config diff|rollback`: what was published, beside what is here, and published again.
//!
//! A rollback is a publish like any other: signed, with the next epoch, and refused by whoever may not. The tree on
//! the disk is never changed by it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::PublishRow;
use vigo_stacks::{SourceTree, compile};

use super::config::{publishes, source_of};
use super::{compare, format, publish};
use crate::args::Everywhere;
use crate::args::config::{Diff, Rollback};
use crate::exit::{Exit, Failure};
use crate::reach;
use crate::show::Show;
use crate::{said, tree, words};

/// How a file differs.
#[derive(Debug, Serialize)]
struct File {
    path: String,
    what: &'static str,
    diff: String,
}

/// Runs `vigocli config diff`.
///
/// # Errors
/// [`Failure`] if there is no such publish, or it or the tree cannot be read.
pub fn diff(everywhere: &Everywhere, args: &Diff) -> Result<(), Failure> {
    let ours = tree::read(&args.tree.stacks)?;
    let client = reach::node(everywhere)?;
    let row = args.epoch.map(|epoch| row_of(&client, epoch)).transpose()?;
    let theirs = source_of(&client, row.as_ref().map(|row| row.at.id))?;
    let files = files(&theirs, &ours);
    let show = Show::new(everywhere);
    show.result(&json!({"epoch": row.map(|r| r.at.epoch), "files": files}), || {
        if files.is_empty() {
            return "the tree is what was published\n".into();
        }
        let count = words::count(files.len(), "file differs", "files differ");
        files.iter().map(|file| file.diff.as_str()).collect::<String>() + &format!("{count}\n")
    })
}

/// How `ours` differs from `theirs`.
fn files(theirs: &SourceTree, ours: &SourceTree) -> Vec<File> {
    let seen = |tree: &'_ SourceTree| -> BTreeSet<String> {
        let hidden = |path: &str| path.split('/').any(|part| part.starts_with('.'));
        tree.iter().map(|(path, _)| path.to_owned()).filter(|path| !hidden(path)).collect()
    };
    let all: BTreeSet<String> = seen(theirs).union(&seen(ours)).cloned().collect();
    let differs = all.into_iter().filter(|path| theirs.get(path) != ours.get(path));
    differs
        .map(|path| {
            let (old, new) = (theirs.get(&path), ours.get(&path));
            let what = match (old, new) {
                (None, _) => "new",
                (_, None) => "gone",
                _ => "changed",
            };
            let diff = format::diff(&path, old.unwrap_or_default(), new.unwrap_or_default());
            let diff = if diff.is_empty() { format!("{what}: {}\n", escaped(&path)) } else { diff };
            File { path, what, diff }
        })
        .collect()
}

/// The publish of an epoch that counts.
fn row_of(client: &Client, epoch: u64) -> Result<PublishRow, Failure> {
    let rows = publishes(client)?;
    let counts = rows.iter().filter(|row| row.refused.is_none());
    let best = counts.filter(|row| row.at.epoch == epoch).max_by_key(|row| row.at);
    best.cloned().ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("nothing was published as epoch {epoch}"))
            .hint("vigocli config log lists the epochs")
    })
}

/// Runs `vigocli config rollback`.
///
/// # Errors
/// [`Failure`] if there is no such publish, its source cannot be had or no longer compiles, or publishing fails; then
/// nothing was published.
pub fn rollback(everywhere: &Everywhere, args: &Rollback) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let row = row_of(&client, args.epoch)?;
    if row.head {
        let what = format!("epoch {} is what is published now", args.epoch);
        return Err(Failure::new(Exit::Usage, what).hint("vigocli config log lists the others"));
    }
    let source = source_of(&client, Some(row.at.id))?;
    let (compiled, diagnostics) = compile(&source);
    let compiled = compiled.ok_or_else(|| {
        said::print(everywhere, &diagnostics, &source);
        let what = format!("what epoch {} says does not compile with this version of vigocli", args.epoch);
        Failure::new(Exit::Config, what).hint("mend the tree, and publish it")
    })?;
    if args.dry_run {
        return compare::run(everywhere, &compiled, &[]);
    }
    let signer = reach::signer(&client, &args.key)?;
    let note = format!("rollback to epoch {}", args.epoch);
    let done = publish::publish(&client, &signer, &source, &compiled, &note)?;
    let body = json!({"epoch": done.at.epoch, "id": done.at.id.to_string(), "of": args.epoch});
    Show::new(everywhere).result(&body, || {
        format!(
            "published epoch {}: what epoch {} said\nyour tree is as it was: vigocli config diff shows what differs\n",
            done.at.epoch, args.epoch
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_are_shown_line_by_line() {
        let tree = |files: &[(&str, &str)]| {
            SourceTree::from_files(files.iter().map(|(p, b)| (p.to_string(), b.as_bytes().to_vec()))).unwrap()
        };
        let old = tree(&[("a.vgo", "x: 1\n"), ("b.vgo", "same\n"), ("c.vgo", "c\n")]);
        let new = tree(&[("a.vgo", "x: 2\n"), ("b.vgo", "same\n"), ("d.vgo", "")]);
        let found = files(&old, &new);
        let told: Vec<_> = found.iter().map(|f| (f.path.as_str(), f.what)).collect();
        assert_eq!(told, [("a.vgo", "changed"), ("c.vgo", "gone"), ("d.vgo", "new")]);
        assert!(found[0].diff.contains("-x: 1\n+x: 2\n"), "{}", found[0].diff);
    }
}
