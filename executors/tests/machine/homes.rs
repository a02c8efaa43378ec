//! What root does for a user in a folder that is theirs, against a user who moves things meanwhile. Needs root, as
//! the program has it; without it there is nothing to be tried.

use std::os::unix::fs::{MetadataExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use vigo_executors::Host;
use vigo_executors::host::{Access, HostError, Kind, NewFile};

use crate::support::*;

const USER: u32 = 4_100_001;
const ROUNDS: usize = 10_000;

/// A home with `.ssh`; beside it `/victim`, root's, with a file; `None` without root.
fn home() -> Option<(Real, PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let real = Real::new();
    let root = real.root();
    for folder in ["home/.ssh", "victim"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("victim/authorized_keys"), "root's").unwrap();
    for folder in ["home", "home/.ssh"] {
        chown(root.join(folder), Some(USER), Some(USER)).unwrap();
    }
    Some((real, root))
}

fn file() -> NewFile<'static> {
    NewFile { bytes: b"keys", mode: 0o600, owner: Some(USER), group: Some(USER) }
}

/// Kinds, owners, modes, inodes and contents below a folder of root's.
fn listing(folder: &Path) -> Vec<String> {
    let mut lines = vec![line(folder)];
    lines.extend(std::fs::read_dir(folder).unwrap().map(|entry| line(&entry.unwrap().path())));
    lines.sort();
    lines
}

fn line(at: &Path) -> String {
    let meta = at.symlink_metadata().unwrap();
    let content = if meta.is_file() { std::fs::read(at).unwrap() } else { vec![] };
    format!(
        "{} {:o} {} {} {content:?}",
        at.display(),
        meta.mode(),
        meta.uid(),
        if meta.is_file() { meta.ino() } else { 0 }
    )
}

fn swapper(ours: PathBuf, other: PathBuf, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut swaps = 0;
        while !stop.load(Ordering::Relaxed) {
            renameat_with(CWD, &ours, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            swaps += 1;
        }
        swaps
    })
}

#[test]
fn files_and_folders_are_made_as_the_user_would() {
    let Some((mut real, root)) = home() else { return };
    let access = Access { mode: Some(0o700), owner: Some(USER), group: Some(USER) };
    real.host.make_dir_for(USER, &path("/home/new"), &access).unwrap();
    real.host.write_for(USER, &path("/home/new/f"), &file()).unwrap();
    real.host.set_mode_for(USER, &path("/home/new"), 0o711).unwrap();
    let of = |name: &str| {
        let meta = root.join(name).metadata().unwrap();
        (meta.uid(), meta.mode() & 0o7777)
    };
    assert_eq!((of("home/new"), of("home/new/f")), ((USER, 0o711), (USER, 0o600)));
    // What was there is kept, and is another file afterwards: a hard link to it does not change.
    std::fs::hard_link(root.join("victim/authorized_keys"), root.join("home/.ssh/authorized_keys")).unwrap();
    real.host.write_for(USER, &path("/home/.ssh/authorized_keys"), &file()).unwrap();
    assert_eq!(std::fs::read(root.join("victim/authorized_keys")).unwrap(), b"root's");
    assert_eq!(real.kept(), ["root's"]);
}

#[test]
fn nothing_is_done_in_a_folder_of_somebody_else() {
    let Some((mut real, root)) = home() else { return };
    let before = listing(&root.join("victim"));
    let host = &mut real.host;
    let theirs = |refused: Result<(), HostError>| {
        assert!(matches!(refused, Err(HostError::NotTheirs { owner: 0, user: USER, .. })), "{refused:?}");
    };
    theirs(host.write_for(USER, &path("/victim/authorized_keys"), &file()));
    theirs(host.make_dir_for(USER, &path("/victim/d"), &Access::default()));
    theirs(host.set_mode_for(USER, &path("/victim/authorized_keys"), 0o666));
    chown(root.join("home"), Some(USER), None).unwrap();
    std::fs::create_dir(root.join("home/roots")).unwrap();
    theirs(host.set_mode_for(USER, &path("/home/roots"), 0o777));
    // Folders on the way are not made.
    assert!(host.write_for(USER, &path("/home/no/f"), &file()).is_err());
    assert!(!root.join("home/no").exists());
    symlink("/victim", root.join("home/link")).unwrap();
    lchown(root.join("home/link"), Some(USER), Some(USER)).unwrap();
    let misled = host.write_for(USER, &path("/home/link/authorized_keys"), &file());
    assert!(matches!(misled, Err(HostError::Misled { .. } | HostError::NotTheirs { .. })), "{misled:?}");
    let wrong = host.write_for(USER, &path("/home/link"), &file());
    assert!(matches!(wrong, Err(HostError::WrongKind { found: Kind::Symlink, .. })), "{wrong:?}");
    assert_eq!(listing(&root.join("victim")), before);
}

#[test]
fn a_folder_that_moves_meanwhile_leads_nowhere() {
    for scene in ["a link", "a folder of root's"] {
        let Some((mut real, root)) = home() else { return };
        let other = root.join("home/other");
        let mine = root.join("home/.ssh");
        if scene == "a link" {
            symlink("/victim", &other).unwrap();
            lchown(&other, Some(USER), Some(USER)).unwrap();
        } else {
            std::fs::rename(root.join("victim"), &other).unwrap();
        }
        let victim = if scene == "a link" { root.join("victim") } else { other.clone() };
        let before: Vec<String> = contents(&victim);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = swapper(mine.clone(), other.clone(), &stop);
        let (mut done, mut refused) = (0, 0);
        let access = Access { mode: Some(0o700), owner: Some(USER), group: Some(USER) };
        for round in 0..ROUNDS {
            let host = &mut real.host;
            let did = match round % 3 {
                0 => host.write_for(USER, &path("/home/.ssh/authorized_keys"), &file()),
                1 => host.set_mode_for(USER, &path("/home/.ssh"), 0o700),
                _ => host.make_dir_for(USER, &path(&format!("/home/.ssh/d{round}")), &access),
            };
            if did.is_ok() { done += 1 } else { refused += 1 }
        }
        stop.store(true, Ordering::Relaxed);
        let swaps = thread.join().unwrap();
        // After an odd number of swaps the two have changed places.
        let victim = if scene == "a link" || swaps.is_multiple_of(2) { victim } else { mine };
        assert_eq!(contents(&victim), before, "{scene}");
        assert!(swaps > 1_000 && done > 10 && refused > 10, "no race: {scene}: {swaps} {done} {refused}");
    }
}

/// As [`listing`], by names alone: the folder may have moved.
fn contents(folder: &Path) -> Vec<String> {
    let prefix = folder.display().to_string();
    listing(folder).into_iter().map(|line| line.replacen(&prefix, "", 1)).collect()
}
