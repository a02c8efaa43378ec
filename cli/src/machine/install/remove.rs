//! `vigo uninstall`: everything that `vigo install` put there goes; the state stays, unless it is to go too.
//!
//! Units first, the program last. What is left is listed, with the line that removes it. With `--purge` the state, the
//! user and the groups go as well; the tree of configuration and operators' keys are people's and always stay.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use vigo_base::text::escaped;

use super::places::{self, Places, UNITS};
use super::work::{self, Outcome, Work};
use super::{ADMINS, USER, accounts, allowed, not_packaged, system, when};
use crate::args::Everywhere;
use crate::args::vigo::Uninstall;
use crate::exit::{Exit, Failure};
use crate::show;

/// What is the state: where, and what it holds.
const STATE: [(&str, &str); 3] = [
    ("/var/lib/vigo", "this machine's key in the fleet, records and blobs"),
    ("/var/lib/vigo-applier", "whom this machine believes, and former contents of files"),
    ("/etc/vigo", "settings of this machine's node"),
];
/// What people made: it always stays.
const OWN: [(&str, &str); 3] = [
    (TREE, "the tree of configuration, your own work"),
    ("/etc/systemd/system/vigo-peer.service.d", "changes to the unit, your own work"),
    ("/etc/systemd/system/vigo-applier.service.d", "changes to the unit, your own work"),
];
const TREE: &str = "/srv/vigo";
/// Directories that every system has, full or empty; others go with the last file in them.
const EVERYWHERE: [&str; 5] = ["bin", "share", "man", "tmpfiles.d", "system"];
/// What goes when it is empty, the deepest first.
const WHEN_EMPTY: [&str; 5] =
    ["/srv/vigo/stacks", TREE, "/etc/vigo", "/var/lib/vigo-applier", "/var/lib/vigo"];

/// `vigo uninstall`.
///
/// # Errors
/// [`Failure`] with the step that failed; the command can be repeated.
pub fn run(everywhere: &Everywhere, args: &Uninstall) -> Result<(), Failure> {
    allowed(args.dry_run)?;
    not_packaged("remove that package: apt remove vigo (apt purge vigo removes the state, too)")?;
    let prefix = args.prefix.clone().or_else(places::installed_prefix).unwrap_or_else(|| "/usr/local".into());
    let places = Places::new(&prefix, None)?;
    if args.purge && !args.dry_run && !args.yes {
        sure()?;
    }
    let mut work = Work::new(everywhere, args.dry_run);
    units(&mut work)?;
    files(&mut work, &places)?;
    if args.purge {
        purge(&mut work)?;
    }
    for dir in WHEN_EMPTY.map(Path::new) {
        let empty = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
        if empty {
            work.step(Outcome::Deleted, dir.display().to_string(), || {
                fs::remove_dir(dir).map_err(|e| Failure::io("remove", dir, &e))
            })?;
        }
    }
    people(&mut work, args.purge)?;
    told(work, args.purge)
}

fn sure() -> Result<(), Failure> {
    eprintln!("--purge destroys this machine's key in its fleet, its records and its settings:\n");
    for (path, what) in STATE.iter().filter(|(path, _)| Path::new(path).exists()) {
        eprintln!("  {path:<22} {what}");
    }
    if Path::new(places::FLEET).exists() {
        eprintln!(
            "\nThe machine leaves its fleet by that, and comes back only as a new one, with a new token."
        );
    }
    if show::confirm("Remove all of it?", "say --yes")? {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "nothing was removed"))
}

/// Stops the units, and has them not started any more.
fn units(work: &mut Work) -> Result<(), Failure> {
    if !system::has_systemd() {
        return Ok(());
    }
    let known: Vec<&str> =
        UNITS.into_iter().rev().filter(|unit| system::is_active(unit) || system::is_enabled(unit)).collect();
    if !known.is_empty() {
        work.step(Outcome::Stopped, known.join(" "), || {
            let line: Vec<&str> = ["disable", "--now"].into_iter().chain(known.iter().copied()).collect();
            system::run("systemctl", &line).map(drop)
        })?;
    }
    Ok(())
}

/// All that was put there; the program and its link last.
fn files(work: &mut Work, places: &Places) -> Result<(), Failure> {
    for bundle in places.bundles()? {
        let mut paths: Vec<PathBuf> = bundle.items.iter().map(|item| item.path.clone()).collect();
        paths.retain(|path| path.exists());
        paths.extend(bundle.strays());
        work.step(when(!paths.is_empty(), Outcome::Deleted), bundle.shown(), || {
            paths.iter().try_for_each(|path| work::remove_file(path))
        })?;
    }
    let items = places.items();
    let units = items.iter().any(|item| item.is_unit() && there(&item.path));
    for item in items.iter().rev() {
        work.step(when(there(&item.path), Outcome::Deleted), item.shown(), || work::remove_file(&item.path))?;
    }
    if !work.is_dry() {
        let bundled = places.bundles()?.into_iter().flat_map(|bundle| bundle.items);
        bundled.chain(items).for_each(|item| leave_no_empty(&item.path, places));
    }
    let run = places::directories().into_iter().filter(|dir| dir.path.starts_with("/run"));
    for dir in run.map(|dir| dir.path) {
        work.step(when(dir.exists(), Outcome::Deleted), dir.display().to_string(), || remove_all(&dir))?;
    }
    if units && system::has_systemd() {
        work.step(Outcome::Updated, "systemd's view of the units", || {
            system::run("systemctl", &["daemon-reload"])?;
            // Units that never failed are no trouble.
            let _ = system::run("systemctl", &[&["reset-failed"], UNITS.as_slice()].concat());
            Ok(())
        })?;
    }
    Ok(())
}

/// Removes the directories above a file that is gone as long as they hold nothing: `install` made them.
fn leave_no_empty(path: &Path, places: &Places) {
    let ours = |dir: &&Path| {
        let own = places.own_prefix().is_some_and(|prefix| dir.starts_with(prefix));
        own || dir.file_name().is_some_and(|name| EVERYWHERE.iter().all(|keep| name != *keep))
    };
    for dir in path.ancestors().skip(1).take_while(ours) {
        // One that holds something cannot be removed, and so ends it.
        if there(dir) && fs::remove_dir(dir).is_err() {
            return;
        }
    }
}

fn there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn remove_all(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|e| Failure::io("remove", path, &e)),
    }
}

/// The state.
fn purge(work: &mut Work) -> Result<(), Failure> {
    for path in STATE.map(|(path, _)| Path::new(path)) {
        work.step(when(path.exists(), Outcome::Deleted), path.display().to_string(), || remove_all(path))?;
    }
    Ok(())
}

/// The user and the groups go when nothing is left that is theirs.
fn people(work: &mut Work, purged: bool) -> Result<(), Failure> {
    let gone = STATE.iter().all(|(path, _)| !Path::new(path).exists());
    if !purged && !gone {
        return Ok(());
    }
    let user = accounts::user(USER).is_some();
    work.step(when(user, Outcome::Deleted), format!("the user {USER}"), || {
        system::run("userdel", &[USER]).map(drop)
    })?;
    for name in [USER, ADMINS] {
        // Where a user's own group goes with it, it is gone by now.
        let act = || match accounts::group(name) {
            Some(_) => system::run("groupdel", &[name]).map(drop),
            None => Ok(()),
        };
        work.step(when(accounts::group(name).is_some(), Outcome::Deleted), format!("the group {name}"), act)?;
    }
    Ok(())
}

/// What is there still of the state and of people's work.
fn left() -> Vec<(&'static str, &'static str)> {
    STATE.into_iter().chain(OWN).filter(|(path, _)| Path::new(path).exists()).collect()
}

fn told(work: Work, purged: bool) -> Result<(), Failure> {
    let (changed, dry_run) = (work.changed(), work.is_dry());
    let mut left = left();
    if dry_run && purged {
        left.retain(|row| OWN.contains(row));
    }
    let body = json!({"left": left.iter().map(|(path, _)| path).collect::<Vec<_>>()});
    work.finish(body, || {
        let mut out = match (changed, dry_run) {
            (0, _) => "Nothing to do: vigo is not installed here.\n".to_owned(),
            (_, true) => "Nothing was done.\n".to_owned(),
            (_, false) => "vigo is uninstalled.\n".to_owned(),
        };
        if left.is_empty() {
            return out;
        }
        out += if dry_run { "\nWould be left:\n" } else { "\nLeft:\n" };
        left.iter().for_each(|(path, what)| out += &format!("  {:<22}  {what}\n", escaped(path)));
        let state: Vec<&str> = left.iter().filter(|row| !OWN.contains(row)).map(|(path, _)| *path).collect();
        if !state.is_empty() {
            out += "  the user vigo and the groups vigo and vigo-admin, whose it is\n";
            out += "\n`vigo install` takes it up again. To remove the state:\n";
            out += &format!(
                "  {0}rm -r {1} && {0}userdel {USER} && {0}groupdel {ADMINS}\n",
                system::sudo(),
                state.join(" ")
            );
        }
        out
    })
}
