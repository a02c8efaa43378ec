//! Scripts can be run: what opens with `#!` is executable, stops at the first error, and nothing else is.

use crate::tree::{File, files};
use crate::{Breach, expect_none};

fn breaches(files: &[File]) -> Vec<Breach> {
    let mut found = Vec::new();
    for file in files {
        let script = file.text.starts_with("#!/");
        let executable = file.mode & 0o111 == 0o111;
        if (script || file.path.starts_with(".ci/")) && !executable {
            found.push(Breach::new(
                &file.path,
                "a script that is not executable",
                "chmod +x and commit the mode",
            ));
        }
        if executable && !script {
            found.push(Breach::new(
                &file.path,
                "executable, but no script",
                "chmod -x, or give it a #! line",
            ));
        }
        if script && file.text.contains("bash") && !file.text.contains("set -euo pipefail") {
            found.push(Breach::new(
                &file.path,
                "a bash script that runs on after errors",
                "add set -euo pipefail",
            ));
        }
    }
    found
}

#[test]
fn the_tree_has_scripts_that_run() {
    let all = files();
    assert!(all.iter().any(|f| f.path == ".ci/run"), ".ci/run is missing");
    assert!(all.iter().any(|f| f.path == ".ci/long"), ".ci/long is missing");
    expect_none("scripts", breaches(&all));
}

#[test]
fn planted_scripts_are_found() {
    let count = |path: &str, mode: u32, text: &str| {
        breaches(&[File { path: path.to_owned(), mode, text: text.to_owned() }]).len()
    };
    assert_eq!(count("a.sh", 0o755, "#!/bin/bash\nset -euo pipefail\n"), 0);
    assert_eq!(count("a.sh", 0o644, "#!/bin/bash\nset -euo pipefail\n"), 1);
    assert_eq!(count("a.sh", 0o755, "#!/bin/bash\nls\n"), 1);
    assert_eq!(count("a.rs", 0o755, "//! x\n"), 1);
    assert_eq!(count(".ci/run", 0o644, "ls\n"), 1);
}
