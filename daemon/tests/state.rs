//! The state directory: one process, one machine, one fleet.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use vigo_base::{Hash, SpannerId};
use vigo_daemon::state::{MachineId, StateDir, StateError};

fn machine(dir: &Path, id: &str) -> Result<MachineId, StateError> {
    let path = dir.join("machine-id");
    fs::write(&path, id).unwrap();
    MachineId::read(&path)
}

const HERE: &str = "0123456789abcdef0123456789abcdef\n";
const THERE: &str = "0123456789abcdef0123456789abcdee\n";

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let first = StateDir::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    let refused = StateDir::open(&path).unwrap_err().to_string();
    assert!(refused.contains(&format!("another vigo node (process {})", std::process::id())), "{refused}");
    drop(first);
    StateDir::open(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(StateDir::open(&path), Err(StateError::Exposed { mode: 0o777, .. })));
    assert!(matches!(StateDir::open(&path.join("lock")), Err(StateError::Io { .. })));
}

#[test]
fn a_key_stays_and_stays_here() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (machine(dir.path(), HERE).unwrap(), machine(dir.path(), THERE).unwrap());
    let path = dir.path().join("state");
    let state = StateDir::open(&path).unwrap();
    let (key, made) = state.node_key(&here).unwrap();
    assert!(made);
    let (again, made) = state.node_key(&here).unwrap();
    assert!(!made && again.public() == key.public());
    let refused = state.node_key(&there).unwrap_err();
    assert!(matches!(refused, StateError::OtherMachine { .. }));
    assert!(refused.to_string().contains("/etc/machine-id"), "{refused}");
    let file = path.join("node.key");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(HERE.trim()), "the machine-id itself is secret");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(state.node_key(&here), Err(StateError::KeyExposed { mode: 0o640, .. })));
}

#[test]
fn every_flipped_byte_of_a_key_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let here = machine(dir.path(), HERE).unwrap();
    let state = StateDir::open(&dir.path().join("state")).unwrap();
    state.node_key(&here).unwrap();
    let path = state.path().join("node.key");
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        for bit in [0, 5, 7] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            fs::write(&path, bad).unwrap();
            let refused = state.node_key(&here);
            assert!(
                matches!(refused, Err(StateError::KeyDamaged { .. })),
                "byte {at} bit {bit}: {refused:?}"
            );
        }
        fs::write(&path, &good[..at]).unwrap();
        assert!(matches!(state.node_key(&here), Err(StateError::KeyDamaged { .. })), "cut at {at}");
    }
    fs::remove_file(&path).unwrap();
    fs::write(state.path().join("records.redb"), b"records").unwrap();
    assert!(matches!(state.node_key(&here), Err(StateError::KeyMissing { .. })));
    assert!(!path.exists(), "no new key beside old records");
}

#[test]
fn a_machine_without_an_id_is_told_what_to_run() {
    let dir = tempfile::tempdir().unwrap();
    for bad in ["", "uninitialized\n", "xyz", &HERE.repeat(2), "0123456789abcdef0123456789abcdeg"] {
        let refused = machine(dir.path(), bad).unwrap_err().to_string();
        assert!(refused.contains("systemd-machine-id-setup"), "{refused}");
    }
    assert!(MachineId::read(&dir.path().join("none")).is_err());
    assert_eq!(machine(dir.path(), HERE).unwrap(), machine(dir.path(), &HERE.to_uppercase()).unwrap());
}

#[test]
fn the_state_of_another_fleet_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(&dir.path().join("state")).unwrap();
    let [ours, theirs] = [b"ours".as_slice(), b"theirs"].map(|n| Some(SpannerId(Hash::of(n))));
    assert_eq!(state.fleet(None, None).unwrap(), None);
    assert_eq!(state.fleet(ours, None).unwrap(), ours);
    assert_eq!(state.fleet(None, None).unwrap(), ours, "remembered when the records were lost");
    assert_eq!(state.fleet(ours, ours).unwrap(), ours);
    for (records, configured, by) in [(theirs, None, "records"), (ours, theirs, "configuration")] {
        let refused = state.fleet(records, configured).unwrap_err();
        assert!(matches!(refused, StateError::OtherFleet { .. }));
        assert!(refused.to_string().contains(by), "{refused}");
    }
    let fresh = StateDir::open(&dir.path().join("fresh")).unwrap();
    assert!(matches!(fresh.fleet(ours, theirs), Err(StateError::OtherFleet { .. })));
    assert_eq!(fresh.read_small("spanner.id").unwrap(), None, "a contradiction is not remembered");
    fs::write(state.path().join("spanner.id"), "nonsense").unwrap();
    assert!(matches!(state.fleet(ours, None), Err(StateError::FileDamaged { .. })));
}

#[test]
fn small_files_are_written_whole() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(&dir.path().join("state")).unwrap();
    assert_eq!(state.read_small("note").unwrap(), None);
    fs::write(state.path().join("note.new"), b"half of an earlier try").unwrap();
    for content in [b"one".as_slice(), b"", b"three"] {
        state.write_small("note", content).unwrap();
        assert_eq!(state.read_small("note").unwrap().as_deref(), Some(content));
    }
    assert!(!state.path().join("note.new").exists());
    assert_eq!(fs::metadata(state.path().join("note")).unwrap().mode() & 0o7777, 0o600);
    // A link planted in its place is replaced, never followed.
    let outside = dir.path().join("outside");
    fs::write(&outside, b"untouched").unwrap();
    state.remove_small("note").unwrap();
    state.remove_small("note").unwrap();
    std::os::unix::fs::symlink(&outside, state.path().join("note")).unwrap();
    assert!(state.read_small("note").is_err());
    state.write_small("note", b"ours").unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"untouched");
}
