//! The Debian package: built by `cargo deb` from the program as it was built for the tests, unpacked, and looked at.
//!
//! It needs cargo-deb (`CARGO_DEB`, the tools of `.ci/run`, or the PATH) and dpkg-deb. Without them it says so; under
//! `VIGO_LAB=require` that is a failure. The release build is packed by `.ci/long`.

#[path = "program/package.rs"]
mod package;
mod program;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use package::{built, cargo_deb, good};
use program::{Room, repository};

#[test]
fn the_package_holds_what_it_should() {
    let Some(tool) = cargo_deb() else { return };
    let room = Room::new();
    let deb = built(&room.path("target"), &tool);
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
