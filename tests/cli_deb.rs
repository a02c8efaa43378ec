//! The Debian package: built by `cargo deb` from the program as it was built for the tests, unpacked, and looked at.
//!
//! It needs cargo-deb (`CARGO_DEB`, the tools of `.ci/run`, or the PATH) and dpkg-deb. Without them it says so; under
//! `VIGO_LAB=require` that is a failure. The release build is packed by `.ci/long`.

mod program;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use program::{Room, VIGO, repository};

fn good(output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

/// The program cargo-deb, if this machine has it.
fn cargo_deb() -> Option<PathBuf> {
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

/// Builds the package into a place of the test's own.
fn built(room: &Room, tool: &Path) -> PathBuf {
    // A target directory of the test's own: the program as it was built, and room for what cargo-deb writes.
    let target = room.path("target");
    fs::create_dir_all(target.join("debug")).unwrap();
    fs::hard_link(VIGO, target.join("debug/vigo"))
        .or_else(|_| fs::copy(VIGO, target.join("debug/vigo")).map(drop))
        .unwrap();
    let mut command = Command::new(repository("packaging/deb"));
    command.arg("dev").env("CARGO_TARGET_DIR", &target).env("CARGO_DEB", tool).env("VIGO_BUILT", "1");
    let said = good(command.output().unwrap());
    let path = said.lines().last().unwrap_or_default().trim();
    assert!(path.ends_with(".deb"), "the last line names the package: {said}");
    PathBuf::from(path)
}

#[test]
fn the_package_holds_what_it_should() {
    let Some(tool) = cargo_deb() else { return };
    let room = Room::new();
    let deb = built(&room, &tool);
    let control = good(Command::new("dpkg-deb").arg("--field").arg(&deb).output().unwrap());
    for line in ["Package: vigo", "Section: admin", "Depends: ", "Description: "] {
        assert!(control.contains(line), "{line} is missing:\n{control}");
    }
    assert!(
        control.contains("libc6") && control.contains("systemd") && control.contains("passwd"),
        "{control}"
    );

    let root = room.path("unpacked");
    good(Command::new("dpkg-deb").arg("--raw-extract").arg(&deb).arg(&root).output().unwrap());
    let mode = |path: &str| {
        fs::symlink_metadata(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}")).permissions().mode()
    };
    for (path, expected) in [
        ("usr/bin/vigo", 0o755),
        ("usr/lib/systemd/system/vigo-peer.service", 0o644),
        ("usr/lib/systemd/system/vigo-applier.service", 0o644),
        ("usr/lib/sysusers.d/vigo.conf", 0o644),
        ("usr/lib/tmpfiles.d/vigo.conf", 0o644),
        ("usr/share/man/man1/vigo.1.gz", 0o644),
        ("usr/share/man/man1/vigocli-config-publish.1.gz", 0o644),
        ("usr/share/bash-completion/completions/vigocli", 0o644),
        ("usr/share/zsh/vendor-completions/_vigo", 0o644),
        ("usr/share/fish/vendor_completions.d/vigo.fish", 0o644),
        ("usr/share/doc/vigo/copyright", 0o644),
        ("DEBIAN/postinst", 0o755),
        ("DEBIAN/prerm", 0o755),
        ("DEBIAN/postrm", 0o755),
    ] {
        assert_eq!(mode(path) & 0o7777, expected, "{path}");
    }
    assert_eq!(fs::read_link(root.join("usr/bin/vigocli")).unwrap(), Path::new("vigo"));
    let version = good(Command::new(root.join("usr/bin/vigocli")).arg("--version").output().unwrap());
    assert!(version.starts_with("vigocli "), "{version}");
    let listed = good(Command::new("dpkg-deb").arg("--contents").arg(&deb).output().unwrap());
    for line in listed.lines() {
        assert!(line.contains(" 0/0 ") || line.contains(" root/root "), "not root's: {line}");
        let path = line.split(" ./").nth(1).unwrap_or("");
        let known = ["usr/bin", "usr/lib/sys", "usr/lib/tmpfiles.d", "usr/share/"]
            .iter()
            .any(|p| path.starts_with(p));
        assert!(known || path.ends_with('/') || path.is_empty(), "where packages have nothing: {line}");
    }
}

#[test]
fn the_scripts_of_the_package_are_in_order() {
    for name in ["postinst", "prerm", "postrm"] {
        let path = repository(&format!("packaging/debian/{name}"));
        good(Command::new("/bin/sh").arg("-n").arg(&path).output().unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{name}");
        // Whatever dpkg says that it does not know of, a script does nothing and succeeds.
        let ran = Command::new("/bin/sh")
            .arg(&path)
            .arg("abort-something")
            .env("PATH", "/nonexistent")
            .output()
            .unwrap();
        assert!(ran.status.success() || Path::new("/run/systemd/system").exists(), "{name}");
        assert!(
            !text.contains("systemctl enable") && !text.contains("systemctl start"),
            "{name} starts nothing"
        );
    }
}
