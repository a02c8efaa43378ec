//! The Debian package, built from the program as it was built for the tests.
//!
//! It needs cargo-deb, and says so where it is not; under `VIGO_LAB=require` that is a failure.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VIGO: &str = env!("CARGO_BIN_EXE_vigo");

/// The output of a call that must have gone well.
pub fn good(output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

/// The program cargo-deb, if this machine has it.
pub fn cargo_deb() -> Option<PathBuf> {
    // VIGO lies in TARGET/PROFILE.
    let target = Path::new(VIGO).parent()?.parent()?;
    let named = std::env::var_os("CARGO_DEB").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("cargo-deb")).collect::<Vec<_>>();
    let mut places = named.into_iter().chain([target.join("vigo-ci/bin/cargo-deb")]).chain(on_path);
    let found = places.find(|path| path.is_file());
    if found.is_none() {
        let why = "cargo-deb is not here: cargo install cargo-deb --locked";
        assert!(std::env::var("VIGO_LAB").as_deref() != Ok("require"), "{why}");
        println!("skipped: {why}");
    }
    found
}

/// Builds the package below `target`, a directory of the test's own: the program as it was built for the tests, and
/// room for what cargo-deb writes.
pub fn built(target: &Path, tool: &Path) -> PathBuf {
    fs::create_dir_all(target.join("debug")).unwrap();
    fs::hard_link(VIGO, target.join("debug/vigo"))
        .or_else(|_| fs::copy(VIGO, target.join("debug/vigo")).map(drop))
        .unwrap();
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/deb"));
    command.arg("dev").env("CARGO_TARGET_DIR", target).env("CARGO_DEB", tool).env("VIGO_BUILT", "1");
    let said = good(command.output().unwrap());
    let path = said.lines().last().unwrap_or_default().trim();
    assert!(path.ends_with(".deb"), "the last line names the package: {said}");
    PathBuf::from(path)
}
