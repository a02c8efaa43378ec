//! A Debian repository of packages that a test makes, so that machines without a network can install and upgrade.
//!
//! It is a folder on this machine; [`Repository::give_to`] copies it to a machine and names it as the only source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::Machine;

/// Where a machine has it.
const PLACE: &str = "/srv/repository";

/// Packages of a test.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// An empty one, in a folder below `folder` (`machines.lab.folder()`).
    pub fn new(folder: &Path) -> Repository {
        let folder = folder.join("repository");
        fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
        Repository { folder }
    }

    /// Adds a package of files (absolute path, text); scripts below `/usr/bin` and the like are made executable.
    /// With `service`, a unit `NAME.service` that runs this command line, enabled and started when installed, as
    /// Debian's packages do it.
    #[track_caller]
    pub fn package(&self, name: &str, version: &str, files: &[(&str, &str)], service: Option<&str>) {
        self.package_with(name, version, files, service, "");
    }

    /// As [`Repository::package`], with more lines of the control file (`Depends: …`, `Conffiles` go by themselves:
    /// every file below `/etc` is one).
    #[track_caller]
    pub fn package_with(
        &self,
        name: &str,
        version: &str,
        files: &[(&str, &str)],
        service: Option<&str>,
        control: &str,
    ) {
        let tree = self.folder.join(format!("{name}_{version}.tree"));
        let put = |path: &str, text: &str, executable: bool| put(&tree, path, text, executable);
        let more = if control.is_empty() { String::new() } else { format!("{}\n", control.trim_end()) };
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: The lab <lab@localhost>\n{more}\
             Description: made by a test\n"
        );
        put("DEBIAN/control", &control, false);
        for (path, text) in files {
            put(path.trim_start_matches('/'), text, path.contains("bin/"));
        }
        let conffiles: String =
            files.iter().filter(|f| f.0.starts_with("/etc/")).map(|f| format!("{}\n", f.0)).collect();
        if !conffiles.is_empty() {
            put("DEBIAN/conffiles", &conffiles, false);
        }
        if let Some(line) = service {
            let unit = format!(
                "[Unit]\nDescription={name} of a test\n[Service]\nExecStart={line}\n[Install]\nWantedBy=multi-user.target\n"
            );
            put(&format!("lib/systemd/system/{name}.service"), &unit, false);
            put("DEBIAN/postinst", &STARTS.replace("NAME", name), true);
            put("DEBIAN/prerm", &STOPS.replace("NAME", name), true);
        }
        let deb = self.folder.join(format!("{name}_{version}_all.deb"));
        must(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&deb));
        fs::remove_dir_all(&tree).unwrap_or_else(|e| panic!("cannot remove {}: {e}", tree.display()));
        let index =
            must(Command::new("apt-ftparchive").args(["packages", "."]).current_dir(&self.folder)).stdout;
        fs::write(self.folder.join("Packages"), index).expect("the index can be written");
        let release =
            must(Command::new("apt-ftparchive").args(["release", "."]).current_dir(&self.folder)).stdout;
        fs::write(self.folder.join("Release"), release).expect("the release can be written");
    }

    /// Puts what there is now on a machine as its only source, and updates its lists. Again after more packages.
    #[track_caller]
    pub fn give_to(&self, machine: &Machine) {
        machine.copy_in(&self.folder, PLACE);
        machine.write("/etc/apt/sources.list", &format!("deb [trusted=yes] file:{PLACE} ./\n"));
        machine.run(&["apt-get", "update", "-q"]).good();
    }
}

const STARTS: &str = "#!/bin/sh
set -e
systemctl daemon-reload
systemctl enable NAME.service
systemctl restart NAME.service
";

const STOPS: &str = "#!/bin/sh
set -e
if [ \"$1\" = remove ]; then systemctl disable --now NAME.service; fi
";

fn put(tree: &Path, path: &str, text: &str, executable: bool) {
    use std::os::unix::fs::PermissionsExt;
    let path = tree.join(path);
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
    fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    let mode = fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 });
    fs::set_permissions(&path, mode).expect("a mode can be set");
}

#[track_caller]
fn must(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
