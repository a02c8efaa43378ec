//! Accounts on a real machine, by `vigo apply`: made, left alone by a second run, damaged by hand, repaired, removed;
//! what a user of the machine may try against root, who writes in their home.
//!
//! Beside `executors.rs`, which shows the life of every type. What the tests look at is what the machine's own programs say: `id`, `sudo`, `ssh`, `getent`.

use serde_json::{Value, json};

use crate::executors::machine;
use crate::lab::machines::Machine;
use crate::story::{BUILT, in_company};

/// Applies one resource of that type, which may fail; gives its outcome, message and diff.
fn apply(machine: &Machine, kind: &str, attributes: &Value, dry: bool) -> (String, String, String) {
    let mut resource = attributes.clone();
    resource["name"] = json!("it");
    resource["type"] = json!(kind);
    // JSON is YAML.
    machine.write("/root/c.vgo", &json!({"name": "c", "resources": [resource]}).to_string());
    let more: &[&str] = if dry { &["--dry-run"] } else { &[] };
    let said = machine.run(&[&[BUILT, "apply", "--file", "/root/c.vgo", "--json"], more].concat());
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    let step = report["steps"][0].clone();
    let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
    (text("outcome"), text("message"), text("diff"))
}

/// Applies it twice: a dry run says the same, and a second run finds nothing to do.
#[track_caller]
fn settle(machine: &Machine, kind: &str, attributes: &Value, outcome: &str) -> String {
    let predicted = apply(machine, kind, attributes, true);
    let done = apply(machine, kind, attributes, false);
    assert_eq!(done.0, outcome, "{}", done.1);
    assert_eq!(predicted, done);
    let again = apply(machine, kind, attributes, false);
    assert_eq!(again.0, "none", "{}", again.1);
    done.1
}

fn user(machine: &Machine, attributes: Value, outcome: &str) -> String {
    settle(machine, "user", &attributes, outcome)
}

#[test]
fn a_user_is_made_damaged_repaired_and_removed() {
    let Some(machines) = machine("people") else { return };
    let _company = in_company();
    let web = &machines["web01"];
    web.shell("ssh-keygen -q -t ed25519 -N '' -f /root/key && ssh-keygen -q -t ed25519 -N '' -f /root/other")
        .good();
    let (key, other) = (web.read("/root/key.pub"), web.read("/root/other.pub"));
    let hash =
        web.shell("openssl passwd -6 -salt abc correct || perl -e 'print crypt(\"correct\", q($6$abc$))'");
    let dan = json!({
        "username": "dan", "comment": "Dan D., room 5", "shell": "/bin/bash", "groups": ["adm", "deploy"],
        "authorized_keys": [key.trim()], "sudo_nopasswd": true, "password": hash.good().trim(),
    });
    let said = user(web, dan.clone(), "created");
    assert!(
        said.starts_with("created; group deploy made; groups adm, deploy; password set; keys: 1;"),
        "{said}"
    );
    assert_eq!(web.shell("id -nG dan").good(), "dan adm deploy\n");
    assert_eq!(web.shell("id -u dan").good(), web.shell("id -g dan").good(), "its group has another number");
    assert!(web.has("/home/dan/.profile"), "no skeleton in the home");
    let login = |name: &str| {
        let line = format!(
            "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -i /root/{name} dan@127.0.0.1 'sudo -n id -un'"
        );
        web.shell(&line)
    };
    web.shell("ssh-keygen -A && systemctl start ssh").good();
    assert_eq!(login("key").good(), "root\n");
    assert!(!login("other").went_well());

    web.shell("usermod --shell /bin/false --comment '' dan && gpasswd -d dan deploy").good();
    web.shell("chmod 777 ~dan/.ssh && chmod 644 ~dan/.ssh/authorized_keys").good();
    web.write("/home/dan/.ssh/authorized_keys", &other);
    web.write("/etc/sudoers.d/dan", "rubbish that breaks sudo\n");
    let said = user(web, dan.clone(), "updated");
    for part in [
        "shell /bin/false -> /bin/bash",
        "+deploy",
        "mode 0777 -> 0700",
        "1 added, 1 removed",
        "password: content",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(login("key").good(), "root\n");
    assert!(!login("other").went_well());
    assert_eq!(web.shell("stat -c '%a %U' ~dan/.ssh ~dan/.ssh/authorized_keys").good(), "700 dan\n600 dan\n");

    web.shell("usermod --lock dan && rm -r ~dan").good();
    let said = user(web, dan.clone(), "updated");
    assert!(said.contains("home /home/dan made") && said.contains("locked and stays so"), "{said}");
    web.shell("getent shadow dan | grep -q 'dan:!\\$6\\$abc'").good();

    renumbered_and_removed(web, &dan);
}

fn renumbered_and_removed(web: &Machine, dan: &Value) {
    let sleeper = web.spawn("sleeper", &["runuser", "-u", "dan", "--", "sleep", "1000"]);
    web.shell("for n in $(seq 50); do pgrep -u dan sleep && exit; sleep 0.1; done; exit 1").good();
    let mut renumbered = dan.clone();
    renumbered["uid"] = json!(4321);
    let said = user(web, renumbered, "updated");
    assert!(said.contains("-> 4321; ends the user's 1 process"), "{said}");
    assert_eq!(web.shell("stat -c %u ~dan ~dan/.ssh/authorized_keys").good(), "4321\n4321\n");
    drop(sleeper);

    let said = user(web, json!({"username": "dan", "state": "absent"}), "deleted");
    assert!(said.contains("the home /home/dan stays") && said.contains("withdrawn"), "{said}");
    assert!(!web.shell("getent passwd dan").went_well() && web.has("/home/dan/.ssh/authorized_keys"));
    assert!(!web.has("/etc/sudoers.d/dan"));
    user(web, dan.clone(), "created");
    assert_eq!(web.shell("id -u dan").good(), "4321\n", "not the number of the home that was there");
    user(web, json!({"username": "dan", "state": "absent", "remove_home": true}), "deleted");
    assert!(!web.has("/home/dan") && !web.shell("pgrep -u 4321").went_well());
}

#[test]
fn service_accounts_refusals_and_what_is_not_declared() {
    let Some(machines) = machine("accounts") else { return };
    let _company = in_company();
    let web = &machines["web01"];
    let meter =
        json!({"username": "meter", "system": true, "home": "/var/lib/meter", "shell": "/usr/sbin/nologin"});
    user(web, meter, "created");
    assert!(!web.has("/var/lib/meter"));
    let uid: u32 = web.shell("id -u meter").good().trim().parse().expect("a number");
    assert!(uid < 1000, "{uid}");

    let before = web.read("/etc/passwd") + &web.read("/etc/group") + &web.read("/etc/shadow");
    assert_eq!(apply(web, "user", &json!({"username": "guest"}), false).0, "none");
    let refused = |attributes: Value, part: &str| {
        let (outcome, message, _) = apply(web, "user", &attributes, false);
        assert!(outcome == "failed" && message.contains(part), "{outcome}: {message}");
    };
    refused(json!({"username": "dan", "uid": uid}), "is that of `meter`");
    refused(json!({"username": "root", "state": "absent"}), "it is not removed");
    web.shell("mkdir /home/eve && chown 4567 /home/eve").good();
    refused(
        json!({"username": "guest", "home": "/home/eve", "xsession": "exec i3\n"}),
        "belongs to user 4567",
    );
    let after = web.read("/etc/passwd") + &web.read("/etc/group") + &web.read("/etc/shadow");
    assert_eq!(before, after, "a refusal changed an account");

    let groups = web.shell("id -nG guest").good().to_owned();
    user(web, json!({"username": "guest", "groups": ["video"]}), "updated");
    assert_eq!(web.shell("id -nG guest").good().trim(), format!("{} video", groups.trim()));
    user(web, json!({"username": "guest", "groups": ["audio"], "purge_groups": true}), "updated");
    assert_eq!(web.shell("id -nG guest").good(), "guest audio\n");
    user(web, json!({"username": "guest", "xsession": "exec i3\n"}), "updated");
    assert_eq!(web.shell("runuser -u guest cat /home/guest/.xsession").good(), "exec i3\n");
}

#[test]
fn root_writes_in_a_home_only_what_its_user_could() {
    let Some(machines) = machine("homes") else { return };
    let _company = in_company();
    let web = &machines["web01"];
    web.shell("ssh-keygen -q -t ed25519 -N '' -f /root/key").good();
    let keys = json!({"username": "guest", "authorized_keys": [web.read("/root/key.pub").trim()]});
    let refused = |scene: &str, part: &str| {
        web.shell(&format!("rm -rf /home/guest/.ssh; {scene}")).good();
        let (outcome, message, diff) = apply(web, "user", &keys, false);
        assert!(outcome == "failed" && message.contains(part), "{scene}: {outcome}: {message}");
        assert!(diff.is_empty());
    };
    let guest = "runuser -u guest --";
    refused(&format!("{guest} ln -s /root /home/guest/.ssh"), "is a symlink");
    refused(
        &format!(
            "{guest} mkdir -m 700 /home/guest/.ssh; {guest} ln -s /etc/shadow /home/guest/.ssh/authorized_keys"
        ),
        "is a symlink",
    );
    refused(
        &format!("{guest} mkdir -m 700 /home/guest/.ssh; {guest} mkfifo /home/guest/.ssh/authorized_keys"),
        "named pipe",
    );
    refused("mkdir -m 755 /home/guest/.ssh", "belongs to user 0");
    assert!(!web.has("/root/authorized_keys"));

    // A file of root's, hard-linked by who could: its owner, its content and its secrecy stay.
    web.shell("rm -rf /home/guest/.ssh; echo 'top secret' >/root/secret; chmod 600 /root/secret").good();
    web.shell("mkdir -m 700 /home/guest/.ssh && ln /root/secret /home/guest/.ssh/authorized_keys && chown guest: /home/guest/.ssh").good();
    let (outcome, message, diff) = apply(web, "user", &keys, false);
    assert_eq!(outcome, "updated", "{message}");
    assert!(!diff.contains("secret") && !message.contains("secret"), "{diff}");
    assert_eq!(web.shell("cat /root/secret; stat -c '%U %a' /root/secret").good(), "top secret\nroot 600\n");
    assert_eq!(web.shell("stat -c '%U %a' /home/guest/.ssh/authorized_keys").good(), "guest 600\n");

    // A link that moves while root writes.
    let swap = "cd /home/guest; while :; do rm -rf s; mv -T .ssh s; ln -s /etc .ssh; rm -rf .ssh; mv -T s .ssh; done 2>/dev/null";
    let swapper = web.spawn("swapper", &["runuser", "-u", "guest", "--", "sh", "-c", swap]);
    let listing = web.shell("ls -la --time-style=+ /etc /root | grep -v ' \\.\\.*$'").good().to_owned();
    let mut changed = 0;
    for round in 0..100 {
        web.shell("runuser -u guest -- sh -c 'echo x >/home/guest/.ssh/authorized_keys'; true").good();
        let (outcome, ..) = apply(web, "user", &keys, false);
        changed += u32::from(outcome != "failed");
        assert!(!web.has("/etc/authorized_keys"), "round {round}");
    }
    drop(swapper);
    web.shell("pkill -u guest sh; true").good();
    assert_eq!(
        web.shell("ls -la --time-style=+ /etc /root | grep -v ' \\.\\.*$'").good().lines().count(),
        listing.lines().count()
    );
    println!("lab | homes | runs while a link moves: that wrote, of 100 | {changed}");
}
