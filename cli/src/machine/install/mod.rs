//! `vigo install` and `vigo uninstall`: the program, its units, its user and its directories, on this machine or below
//! a directory.
//!
//! What an installation is stands in [`places`], as data made from `packaging/`; `install` compares it with what is
//! there, does what differs, and prints each step. So a second run does nothing, and one that was interrupted is
//! repeated. It never touches a fleet's state but to give it to the user `vigo`, and never undoes a step.

pub mod accounts;
pub mod places;
pub mod remove;
pub mod system;
pub mod work;

use std::path::{Path, PathBuf};

use serde_json::json;
use vigo_base::text::escaped;

use self::places::{Bundle, Item, Places, UNITS};
use self::work::{Outcome, Work};
use super::service::Service;
use crate::args::Everywhere;
use crate::args::vigo::Install;
use crate::exit::{Exit, Failure};
use crate::words;

/// The group whose members administer this machine's node.
pub const ADMINS: &str = vigo_daemon::api::caller::GROUP;
/// The user that the peer runs as.
pub const USER: &str = "vigo";

/// `vigo install`.
///
/// # Errors
/// [`Failure`] with the step that failed; what was done before it stays, and the command can be repeated.
pub fn run(everywhere: &Everywhere, args: &Install) -> Result<(), Failure> {
    let places = Places::new(&args.prefix, args.root.as_deref())?;
    let mut work = Work::new(everywhere, args.dry_run);
    if places.is_image() {
        put(&mut work, &places)?;
        return told(work, &places, &[]);
    }
    allowed(args.dry_run)?;
    system::needs_systemd()?;
    not_packaged("install it with apt, or remove that package first")?;
    accounts::usable()?;
    let units_differ = put(&mut work, &places)?;
    people(&mut work, &places)?;
    directories(&mut work)?;
    run_units(everywhere, &mut work, &places, units_differ)?;
    let next = next(args.dry_run);
    told(work, &places, &next)
}

/// Only root changes the machine; looking is for everybody.
fn allowed(dry_run: bool) -> Result<(), Failure> {
    if dry_run || rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(Exit::Denied, "only root can install and uninstall")
        .hint("repeat it with sudo; --dry-run shows what it would do"))
}

/// Refuses to work beside a package of the system: two sets of units would hide each other.
fn not_packaged(hint: &str) -> Result<(), Failure> {
    let Some(unit) = places::packaged_unit() else { return Ok(()) };
    let what = format!("vigo was installed as a package of this system ({})", unit.display());
    Err(Failure::new(Exit::Usage, what).hint(hint))
}

/// Puts all files in their places. Says whether a unit is another than before.
fn put(work: &mut Work, places: &Places) -> Result<bool, Failure> {
    let mut units_differ = false;
    for item in places.items() {
        let outcome = item.look()?;
        units_differ |= outcome != Outcome::None && item.is_unit();
        work.step(outcome, item.shown(), || item.put())?;
    }
    for bundle in places.bundles()? {
        put_bundle(work, &bundle)?;
    }
    Ok(units_differ)
}

/// Files that are told of as one: manual pages, completions. Pages of another version go.
fn put_bundle(work: &mut Work, bundle: &Bundle) -> Result<(), Failure> {
    let looks = bundle.items.iter().map(Item::look).collect::<Result<Vec<_>, _>>()?;
    let strays = bundle.strays();
    let outcome = if looks.iter().all(|o| *o == Outcome::Created) {
        Outcome::Created
    } else if looks.iter().any(|o| *o != Outcome::None) || !strays.is_empty() {
        Outcome::Updated
    } else {
        Outcome::None
    };
    work.step(outcome, bundle.shown(), || {
        let differ = bundle.items.iter().zip(&looks).filter(|(_, outcome)| **outcome != Outcome::None);
        differ.map(|(item, _)| item).try_for_each(Item::put)?;
        strays.iter().try_for_each(|path| work::remove_file(path))
    })
}

/// The user, the groups, and the person behind sudo among those who administer.
fn people(work: &mut Work, places: &Places) -> Result<(), Failure> {
    let there = accounts::user(USER).is_some() && accounts::group(ADMINS).is_some();
    let outcome = if there { Outcome::None } else { Outcome::Created };
    let list = places.sysusers();
    work.step(outcome, format!("the user {USER}, the groups {USER} and {ADMINS}"), || {
        system::run("systemd-sysusers", &[&list.display().to_string()]).map(drop)
    })?;
    let Some(person) = accounts::behind_sudo() else { return Ok(()) };
    let shown = escaped(&person);
    if accounts::user(&person).is_none() {
        work.note(format!(
            "{shown} is not in /etc/passwd: add them to the group {ADMINS} where they are kept"
        ));
        return Ok(());
    }
    let member = accounts::group(ADMINS).is_some_and(|group| group.members.contains(&person));
    let outcome = if member { Outcome::None } else { Outcome::Updated };
    work.step(outcome, format!("{shown} in the group {ADMINS}"), || {
        system::run("usermod", &["--append", "--groups", ADMINS, "--", &person]).map(drop)
    })?;
    if outcome != Outcome::None {
        work.note(format!("{shown} may use this machine's node without sudo from the next login on"));
    }
    Ok(())
}

/// The directories of tmpfiles.d, made here once; systemd makes those in /run at each boot.
fn directories(work: &mut Work) -> Result<(), Failure> {
    for dir in places::directories() {
        let outcome = dir.look()?;
        let shown = format!("{} ({}:{} {:04o})", dir.path.display(), dir.user, dir.group, dir.mode);
        work.step(outcome, shown, || dir.put())?;
    }
    Ok(())
}

/// Tells systemd, restarts what runs an old program or unit, and starts a node that belongs to a fleet already.
fn run_units(
    everywhere: &Everywhere,
    work: &mut Work,
    places: &Places,
    units_differ: bool,
) -> Result<(), Failure> {
    let reload = units_differ || system::needs_reload();
    work.step(when(reload, Outcome::Updated), "systemd's view of the units", || {
        system::run("systemctl", &["daemon-reload"]).map(drop)
    })?;
    let program = places.program();
    let stale: Vec<&str> = UNITS
        .into_iter()
        .filter(|unit| system::is_active(unit) && (units_differ || system::runs_another(unit, &program)))
        .collect();
    let restart = when(!stale.is_empty(), Outcome::Restarted);
    if restart != Outcome::None {
        work.step(restart, stale.join(" "), || {
            let line: Vec<&str> = ["try-restart"].into_iter().chain(stale.iter().copied()).collect();
            system::run("systemctl", &line).map(drop)
        })?;
    }
    let service = Service::standard(everywhere);
    if service.has_fleet() {
        let started = UNITS.iter().all(|unit| system::is_active(unit) && system::is_enabled(unit));
        work.step(when(!started, Outcome::Started), "this machine's node", || {
            service.prepare()?;
            service.start()
        })?;
    }
    Ok(())
}

fn when(needed: bool, outcome: Outcome) -> Outcome {
    if needed { outcome } else { Outcome::None }
}

/// What to type next.
fn next(dry_run: bool) -> Vec<String> {
    if dry_run || Path::new(places::FLEET).exists() {
        return Vec::new();
    }
    let sudo = system::sudo();
    vec![
        format!("{sudo}vigo init --name bolt1   a new fleet, with this machine as its first bolt"),
        format!(
            "{sudo}vigo join TOKEN          a member of a fleet: `vigocli spanner invite` there gives a token"
        ),
    ]
}

fn told(work: Work, places: &Places, next: &[String]) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let (changed, checked) = (work.changed(), work.checked());
    let place: PathBuf = places.shown();
    let extra = json!({"version": version, "program": place});
    let dry_run = work.is_dry();
    work.finish(extra, || {
        let shown = escaped(&place.display().to_string());
        let mut out = match (changed, dry_run) {
            (0, _) => format!("Nothing to do: vigo {version} is installed as {shown}.\n"),
            (_, true) => {
                let which = words::count(changed, "change", "changes");
                format!("{which} of {checked} looked at; nothing was done.\n")
            }
            (_, false) => format!("vigo {version} is installed as {shown}.\n"),
        };
        if !next.is_empty() {
            out += "\nNext, one of:\n";
            next.iter().for_each(|line| out += &format!("  {line}\n"));
        }
        out
    })
}
