//! `vigocli config retract`: drafts that undo configcrates.
//!
//! The drafts are the generator's; a program of the operator's may improve each: it gets the draft on its input and
//! prints the better one, and is held to a time and a size. What it prints must still be a configcrate, else the draft
//! stays. A `.retract` file is replaced only if it is a draft of before that nobody edited, or with a newer draft of the
//! same configcrate.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, Reply};
use vigo_stacks::retract::{Retraction, retract};
use vigo_stacks::search::{Sought, search};
use vigo_stacks::{Diagnostic, SourceTree, any_error, compile, compile_single};

use super::config::head_source;
use super::format::replace;
use crate::args::Everywhere;
use crate::args::config::Retract;
use crate::exit::{Exit, Failure};
use crate::reach::{self, call};
use crate::show::Show;
use crate::{said, tree};

/// How long a reviewer may take.
const REVIEW: Duration = Duration::from_secs(120);
/// Bytes that a reviewer may print.
const REVIEW_BYTES: u64 = 1024 * 1024;

/// A draft and what goes with it.
#[derive(Debug, Serialize)]
pub struct Draft {
    /// Where it goes in the tree.
    path: String,
    #[serde(flatten)]
    retraction: Retraction,
    /// Whether the configcrate is no longer in the tree.
    removed: bool,
    /// Envoys that had it, as far as this node knows.
    envoys: Vec<String>,
    /// Whether a reviewer improved it.
    reviewed: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] if there is no such configcrate, no draft can be made, or it cannot be written.
pub fn run(everywhere: &Everywhere, args: &Retract) -> Result<(), Failure> {
    let ours = tree::read(&args.tree.stacks)?;
    let published = published(everywhere, args.changed)?;
    let paths = wanted(args, &ours, published.as_ref().map(|p| &p.source))?;
    let drafts =
        drafts(&ours, published.as_ref(), paths, args.reviewer.as_deref()).map_err(|(failure, found)| {
            said::print(everywhere, &found, &ours);
            failure
        })?;
    if args.write {
        write(&args.tree.stacks, &drafts)?;
    }
    Show::new(everywhere).result(&drafts, || text(&drafts, args.write))
}

/// The drafts for what a publish of `ours` makes new, changed or gone.
///
/// # Errors
/// [`Failure`] if the node cannot be asked or a draft cannot be made.
pub fn changed(client: &Client, ours: &SourceTree, reviewer: Option<&Path>) -> Result<Vec<Draft>, Failure> {
    let published = match read_published(client) {
        Ok(published) => published,
        Err(failure) if failure.exit == Exit::NotFound => {
            Published { source: SourceTree::new(), envoys: Vec::new() }
        }
        Err(failure) => return Err(failure),
    };
    let paths = differing(ours, &published.source);
    drafts(ours, Some(&published), paths, reviewer).map_err(|(failure, _)| failure)
}

/// Writes drafts into a tree, and says which.
///
/// # Errors
/// [`Failure`] if one cannot be written.
pub fn write(stacks: &Path, drafts: &[Draft]) -> Result<String, Failure> {
    drafts.iter().try_for_each(|draft| put(stacks, draft))?;
    Ok(text(drafts, true))
}

type Wrong = (Failure, Vec<Diagnostic>);

fn drafts(
    ours: &SourceTree,
    published: Option<&Published>,
    paths: Vec<String>,
    reviewer: Option<&Path>,
) -> Result<Vec<Draft>, Wrong> {
    let mut drafts = Vec::new();
    for path in paths {
        let (source, removed) = match (ours.get(&path), published.and_then(|p| p.source.get(&path))) {
            (Some(bytes), _) => (bytes, false),
            (None, Some(bytes)) => (bytes, true),
            (None, None) => continue,
        };
        let retraction = retract(&path, source).map_err(|diagnostics| {
            let what = format!("no retraction of {} can be written", escaped(&path));
            let hint = "vigocli config lint says what is wrong with the tree";
            (Failure::new(Exit::Config, what).hint(hint), diagnostics)
        })?;
        let envoys = published.map(|p| p.who_has(&retraction.of)).unwrap_or_default();
        let path = path.trim_end_matches(".vgo").to_owned() + ".retract";
        let mut draft = Draft { path, retraction, removed, envoys, reviewed: false };
        draft.tell_envoys();
        if let Some(reviewer) = reviewer {
            draft.review(reviewer).map_err(|failure| (failure, Vec::new()))?;
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

fn text(drafts: &[Draft], written: bool) -> String {
    if drafts.is_empty() {
        return "nothing is new, changed or gone\n".into();
    }
    if !written {
        return drafts.iter().map(|d| d.retraction.text.as_str()).collect::<Vec<_>>().join("---\n");
    }
    let mut out = String::new();
    for draft in drafts {
        let undone = &draft.retraction.resources;
        let low = undone.iter().filter(|r| r.review.is_some()).count();
        out += &format!("wrote {}: {} resources, {low} to look at\n", escaped(&draft.path), undone.len());
        if draft.removed && !draft.envoys.is_empty() {
            out += &format!("  it is gone from the tree; had by {}\n", escaped(&draft.envoys.join(", ")));
        }
    }
    out + "each begins with what to do; nothing of it is in force\n"
}

/// What is published, and who gets what.
struct Published {
    source: SourceTree,
    envoys: Vec<String>,
}

impl Published {
    /// The envoys whose policy holds that configcrate.
    fn who_has(&self, configcrate: &str) -> Vec<String> {
        let Some(compiled) = compile(&self.source).0 else { return Vec::new() };
        let prefix = format!("{configcrate}/");
        let has = |name: &&String| {
            let route = compiled.route(name);
            route.is_some_and(|r| compiled.policies[r.policy].step_ids().any(|id| id.starts_with(&prefix)))
        };
        self.envoys.iter().filter(has).cloned().collect()
    }
}

/// What the node says is published; needed only to tell what has changed.
fn published(everywhere: &Everywhere, needed: bool) -> Result<Option<Published>, Failure> {
    let asked = reach::node(everywhere).and_then(|client| read_published(&client));
    match asked {
        Ok(published) => Ok(Some(published)),
        Err(failure) if needed => Err(failure),
        Err(_) => Ok(None),
    }
}

fn read_published(client: &Client) -> Result<Published, Failure> {
    let source = head_source(client)?;
    let rows = call!(client, Command::Envoys, Reply::Envoys(rows) => rows)?;
    Ok(Published { source, envoys: rows.into_iter().map(|row| row.name).collect() })
}

/// The files of the configcrates that are meant.
fn wanted(args: &Retract, ours: &SourceTree, published: Option<&SourceTree>) -> Result<Vec<String>, Failure> {
    let mut paths = Vec::new();
    for name in &args.names {
        let trees = [Some(ours), published].into_iter().flatten();
        let found =
            trees.flat_map(|tree| search(tree, Sought::Configcrate(name))).find(|f| f.what == "defined");
        let found = found.ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("there is no configcrate {}", escaped(name)))
                .hint("vigocli config search --configcrate '*' lists them")
        })?;
        paths.push(found.path);
    }
    if let (true, Some(theirs)) = (args.changed, published) {
        paths.extend(differing(ours, theirs));
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// The configcrates that are in one of two trees, or in both and not the same.
fn differing(ours: &SourceTree, theirs: &SourceTree) -> Vec<String> {
    let crates = |tree: &SourceTree| -> Vec<String> {
        let is = |path: &&str| {
            path.starts_with("configcrates/")
                && path.ends_with(".vgo")
                && !path.ends_with("-retract.vgo")
                && !path.ends_with("compliance.vgo")
        };
        tree.iter().map(|(path, _)| path).filter(is).map(str::to_owned).collect()
    };
    let mut all = crates(ours);
    all.extend(crates(theirs));
    all.retain(|path| ours.get(path) != theirs.get(path));
    all.sort();
    all.dedup();
    all
}

impl Draft {
    /// Adds who had the configcrate to the head of its draft.
    fn tell_envoys(&mut self) {
        if !self.envoys.is_empty() {
            let names: Vec<String> = self.envoys.iter().take(50).map(|name| escaped(name)).collect();
            self.retraction.text =
                format!("# Envoys that had it: {}\n{}", names.join(", "), self.retraction.text);
        }
    }

    /// Gives the draft to a program, and takes what it prints if that is a configcrate.
    fn review(&mut self, reviewer: &Path) -> Result<(), Failure> {
        let better = ask(reviewer, &self.retraction.text)?;
        let (_, diagnostics) = compile_single("draft.vgo", better.as_bytes(), &SourceTree::new());
        let (_, before) = compile_single("draft.vgo", self.retraction.text.as_bytes(), &SourceTree::new());
        let unreadable = vigo_stacks::format::format("configcrates/draft.vgo", better.as_bytes()).is_err();
        if unreadable || (any_error(&diagnostics) && !any_error(&before)) {
            let first =
                diagnostics.iter().find(|d| d.is_error()).map(ToString::to_string).unwrap_or_default();
            let what = format!(
                "what {} printed is no configcrate: {first}",
                escaped(&reviewer.display().to_string())
            );
            return Err(
                Failure::new(Exit::Failed, what).hint("without --reviewer the draft is written as it is")
            );
        }
        self.retraction.text = better;
        self.reviewed = true;
        Ok(())
    }
}

/// What a program prints that reads a text.
fn ask(reviewer: &Path, draft: &str) -> Result<String, Failure> {
    let shown = escaped(&reviewer.display().to_string());
    let wrong = |why: &str| {
        Failure::new(Exit::Failed, format!("the reviewer {shown} {why}")).hint(
            "it reads a draft on its input and prints the better one; without it the draft stays as it is",
        )
    };
    let mut child = Program::new(reviewer)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| Failure::io("run", reviewer, &e))?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let text = draft.to_owned();
    let writer = std::thread::spawn(move || input.map(|mut input| input.write_all(text.as_bytes())));
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.map(|out| out.take(REVIEW_BYTES + 1).read_to_end(&mut bytes)).transpose().map(|_| bytes)
    });
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None)
                if begun.elapsed() < REVIEW && !(reader.is_finished() && begun.elapsed() > REVIEW / 2) =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    // A program may end without reading all of it.
    let _ = writer.join();
    let bytes = reader.join().ok().and_then(Result::ok).unwrap_or_default();
    match status {
        None => Err(wrong("did not end in time")),
        Some(status) if !status.success() => Err(wrong(&format!("failed ({status})"))),
        Some(_) if bytes.len() as u64 > REVIEW_BYTES => Err(wrong("printed more than 1 MiB")),
        Some(_) => String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| wrong("printed no text")),
    }
}

/// Writes a draft into the tree.
fn put(stacks: &Path, draft: &Draft) -> Result<(), Failure> {
    let place = stacks.join(&draft.path);
    if let Ok(old) = fs::read_to_string(&place) {
        if old == draft.retraction.text {
            return Ok(());
        }
        if !old.contains(&format!("# Undoes the configcrate {}.", draft.retraction.of)) {
            let what = format!("{} is there already and is no draft", escaped(&draft.path));
            return Err(Failure::new(Exit::Failed, what).hint("move it away"));
        }
        return replace(&place, draft.retraction.text.as_bytes());
    }
    let failed = |e: std::io::Error| Failure::io("write", &place, &e);
    fs::create_dir_all(place.parent().unwrap_or(stacks)).map_err(failed)?;
    fs::write(&place, &draft.retraction.text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn program(dir: &Path, text: &str) -> std::path::PathBuf {
        let path = dir.join("review");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn draft() -> Draft {
        let text = "name: a\nresources:\n  - {name: x, type: package, package: xz}\n";
        let retraction = retract("configcrates/a.vgo", text.as_bytes()).unwrap();
        let path = "configcrates/a.retract".into();
        Draft { path, retraction, removed: true, envoys: vec!["web1".into()], reviewed: false }
    }

    // K6, D21
    #[test]
    fn a_reviewer_improves_a_draft_or_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut good = draft();
        good.review(&program(dir.path(), "#!/bin/sh\necho '# looked at'\ncat\n")).unwrap();
        assert!(good.reviewed && good.retraction.text.starts_with("# looked at\n# Undoes"));
        for (text, why) in [
            ("#!/bin/sh\nexit 3\n", "failed"),
            ("#!/bin/sh\nexec true\n", "printed no text"),
            ("#!/bin/sh\necho 'name: ['\n", "is no configcrate"),
        ] {
            let mut bad = draft();
            let failure = bad.review(&program(dir.path(), text)).unwrap_err();
            assert!(failure.what.contains(why), "{why}: {}", failure.what);
            assert!(!bad.reviewed);
        }
    }

    // K5, K8
    #[test]
    fn a_draft_is_written_beside_its_configcrate_and_never_over_anything_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut told = draft();
        told.tell_envoys();
        put(dir.path(), &told).unwrap();
        let place = dir.path().join("configcrates/a.retract");
        assert!(fs::read_to_string(&place).unwrap().starts_with("# Envoys that had it: web1\n"));
        put(dir.path(), &draft()).unwrap();
        fs::write(&place, "mine").unwrap();
        assert!(put(dir.path(), &draft()).unwrap_err().what.contains("is no draft"));
        assert!(text(&[told], true).contains("had by web1"));
    }
}
