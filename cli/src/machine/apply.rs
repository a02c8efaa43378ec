//! `vigo apply`: one configcrate on this machine, without a fleet.
//!
//! It needs no node and keeps nothing but former contents of files, in the state directory's `backups`, or for
//! other users beside their own state. It never runs as part of a node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use vigo_base::text::escaped;
use vigo_daemon::executors::host::HostError;
use vigo_daemon::executors::{InMemory, Options, Progress, RealHost, converge, traits};
use vigo_stacks::{Diagnostic, Facts, Policy, SourceTree, compile_single, resolve};

use crate::args::Everywhere;
use crate::args::vigo::Apply;
use crate::exit::{Exit, Failure};
use crate::show::{self, Show};
use crate::{report, said, tree};

/// Runs the command.
///
/// # Errors
/// [`Failure`] if nothing could be applied, or not all of it.
pub fn run(everywhere: &Everywhere, args: &Apply) -> Result<(), Failure> {
    let (policy, diagnostics, sources) = compile(&args.file)?;
    said::print(everywhere, &diagnostics, &sources);
    said::judge(&diagnostics, false, "nothing was applied")?;
    let Some(policy) = policy else {
        return Err(Failure::new(Exit::Failed, "the configcrate came to nothing, and no error says why"));
    };
    let (backups, opened) = (backups(everywhere, args), |e| refused(&e));
    // The facts are the machine's own, also where the configcrate is applied below a directory.
    let machine = RealHost::system(&backups).map_err(opened)?;
    let traits = traits::collect(&machine);
    let mut host = match &args.fs_root {
        Some(root) => RealHost::below(root, &backups).map_err(opened)?,
        None => machine,
    };
    let facts = Facts { name: "this machine".into(), tags: Vec::new(), traits: traits.clone() };
    let plan = resolve(&policy, &facts).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|p| escaped(&p.to_string())).collect();
        Failure::new(Exit::Config, lines.join("\n"))
    })?;
    let bar = show::progress("applying", plan.steps.len() as u64, false);
    let stop = Arc::new(AtomicBool::new(false));
    let told = vigo_daemon::signals::set_on_end(&stop);
    told.map_err(|e| Failure::new(Exit::Failed, format!("cannot wait for signals: {e}")))?;
    let options = Options { dry_run: args.dry_run, stop };
    // A person stands by and runs it again; what several files trigger cannot be told apart.
    let mut pending = InMemory::default();
    let done = converge(&plan, &mut host, &mut pending, &traits, &options, &mut |progress| {
        if let Progress::Begun { index, step, .. } = progress {
            bar.set_position(index as u64);
            bar.set_message(escaped(&step.id));
        }
    });
    bar.finish_and_clear();
    let show = Show::new(everywhere);
    show.result(&done, || report::text(&show, &done, args.diff))?;
    match report::exit(&done) {
        Exit::Ok => Ok(()),
        exit => Err(Failure::said(exit)),
    }
}

fn refused(error: &HostError) -> Failure {
    Failure::new(Exit::Failed, escaped(&error.to_string()))
        .hint("--fs-root names a directory that is there and yours")
}

/// Compiles the file, with the `templates/` beside it or beside the `configcrates/` that holds it. The diagnostics
/// name the file as it was typed.
fn compile(file: &Path) -> Result<(Option<Policy>, Vec<Diagnostic>, SourceTree), Failure> {
    let bytes = tree::read_file(file)?;
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut sources = templates(file)?;
    let (policy, diagnostics) = compile_single(&name, &bytes, &sources);
    // For the drawing only.
    let _ = sources.insert(name, bytes);
    Ok((policy, diagnostics, sources))
}

fn templates(file: &Path) -> Result<SourceTree, Failure> {
    let absolute = std::path::absolute(file).map_err(|e| Failure::io("read", file, &e))?;
    let beside = absolute.ancestors().skip(1).take(8);
    let found = beside.map(|dir| dir.join("templates")).find(|dir| dir.is_dir());
    let mut sources = SourceTree::new();
    if let Some(dir) = found {
        match tree::read(&dir) {
            Ok(read) => {
                for (path, bytes) in read.iter() {
                    let inserted = sources.insert(format!("templates/{path}"), bytes);
                    inserted.map_err(|bad| Failure::new(Exit::Config, bad.to_string()))?;
                }
            }
            Err(failure) if failure.what.ends_with("is empty") => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(sources)
}

/// Where former contents of files are kept.
fn backups(everywhere: &Everywhere, args: &Apply) -> PathBuf {
    if let Some(state) = &everywhere.state {
        return state.join("backups");
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match home {
        Some(home) if args.fs_root.is_some() || !rustix::process::geteuid().is_root() => {
            home.join(".vigo/backups")
        }
        _ => PathBuf::from(vigo_daemon::nodeconf::STATE).join("backups"),
    }
}
