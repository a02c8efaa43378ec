//! Packages and services on a booted machine, from a repository that the test makes.
//!
//! What is on the machine is asked of the machine, never of the program.

use crate::executors::{Life, changes, machine, nothing};
use crate::lab::machines::Repository;
use crate::story::in_company;

#[test]
fn packages() {
    let Some(machines) = machine("package") else { return };
    let _company = in_company();
    let (web, repository) = (&machines["web01"], Repository::new(machines.lab.folder()));
    let script = |version: u8| format!("#!/bin/sh\necho hello {version}\n");
    repository.package("hello", "1.0", &[("/usr/bin/hello", &script(1)), ("/etc/hello.conf", "x\n")], None);
    repository.give_to(web);
    let life = |absent, gone| Life {
        declared: "  - {name: hello, type: package, package: hello}\n",
        holds: "dpkg -s hello 2>/dev/null | grep -qx 'Status: install ok installed' && hello",
        damages: &["apt-get remove -qy hello", "apt-get purge -qy hello"],
        absent,
        gone,
    };
    life(
        "  - {name: hello, type: package, package: hello, state: absent}\n",
        "! test -e /usr/bin/hello && test -e /etc/hello.conf",
    )
    .on(web);
    life(
        "  - {name: hello, type: package, package: hello, state: absent, purge: true}\n",
        "! test -e /usr/bin/hello && ! test -e /etc/hello.conf && ! dpkg -s hello",
    )
    .on(web);

    changes(web, "  - {name: hello, type: package, package: hello}\n");
    repository.package("hello", "1.1", &[("/usr/bin/hello", &script(2)), ("/etc/hello.conf", "x\n")], None);
    repository.give_to(web);
    nothing(web, "  - {name: hello, type: package, package: hello}\n");
    changes(web, "  - {name: hello, type: package, package: hello, state: latest}\n");
    assert_eq!(web.run(&["hello"]).good(), "hello 2\n");
    nothing(web, "  - {name: hello, type: package, package: hello, state: latest}\n");
}

#[test]
fn services() {
    let Some(machines) = machine("service") else { return };
    let _company = in_company();
    let web = &machines["web01"];
    let unit = "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/touch /run/reloaded\n[Install]\nWantedBy=multi-user.target\n";
    web.write("/etc/systemd/system/hello.service", unit);
    Life {
        declared: "  - {name: hello, type: service, service: hello, state: running, enabled: true}\n",
        holds: "systemctl is-active hello && systemctl is-enabled hello",
        damages: &[
            "systemctl stop hello",
            "systemctl disable hello",
            "systemctl disable --now hello",
            "pkill -x sleep; sleep 0.5",
        ],
        absent: "  - {name: hello, type: service, service: hello, state: stopped, enabled: false}\n",
        gone: "test $(systemctl is-active hello) = inactive && test $(systemctl is-enabled hello) = disabled",
    }
    .on(web);

    // Told that its file changed, it is restarted, and only then.
    let declared = |text: &str| {
        format!(
            "  - {{name: conf, type: file, target_path: /etc/hello.conf, content: \"{text}\", notify: [hello]}}\n  \
             - {{name: hello, type: service, service: hello, state: restarted}}\n"
        )
    };
    changes(web, &declared("one"));
    let pid = web.unit("hello.service", "MainPID");
    nothing(web, &declared("one"));
    assert_eq!(web.unit("hello.service", "MainPID"), pid, "restarted for nothing");
    changes(web, &declared("two"));
    assert_ne!(web.unit("hello.service", "MainPID"), pid, "not restarted");
}
