//! `vigocli config examples`: configcrates that come with the program.
//!
//! Real files in `stacks-examples`, carried in the program; a test holds both equal. What undoes one is written by the
//! generator of retractions. A file that is there already is never replaced.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use vigo_base::text::{escaped, nearest};
use vigo_stacks::retract::retract;

use crate::args::Everywhere;
use crate::args::config::Examples;
use crate::demo::example;
use crate::exit::{Exit, Failure};
use crate::show::Show;
use crate::words;

/// An example: where it lies, and its text.
type Example = (&'static str, &'static str);

/// Runs the command.
///
/// # Errors
/// [`Failure`] if there is no such example, or it cannot be written.
pub fn run(everywhere: &Everywhere, args: &Examples) -> Result<(), Failure> {
    match args {
        Examples::List { word } => list(everywhere, word.as_deref()),
        Examples::Tree { dir } => tree(everywhere, dir),
        Examples::Copy { name, retraction, tree } => copy(everywhere, name, *retraction, &tree.stacks),
    }
}

fn stem(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path).trim_end_matches(".vgo.example")
}

/// The names of all, for completion.
pub fn names() -> Vec<String> {
    ALL.iter().map(|(path, _)| stem(path).to_owned()).collect()
}

fn about(text: &str) -> &str {
    text.lines().next().unwrap_or("").trim_start_matches("# ")
}

fn list(everywhere: &Everywhere, word: Option<&str>) -> Result<(), Failure> {
    let word = word.unwrap_or("").to_lowercase();
    let fits = |(path, text): &&Example| {
        path.to_lowercase().contains(&word) || about(text).to_lowercase().contains(&word)
    };
    let found: Vec<&Example> = ALL.iter().filter(fits).collect();
    let body: Vec<_> = found
        .iter()
        .map(|(path, text)| json!({"name": stem(path), "path": path, "about": about(text)}))
        .collect();
    let show = Show::new(everywhere);
    show.result(&body, || {
        let row = |(path, text): &&Example| {
            let group = path.split('/').nth(1).unwrap_or("");
            vec![stem(path).to_owned(), group.to_owned(), about(text).to_owned()]
        };
        let count = words::count(found.len(), "example", "examples");
        show.table(&["name", "group", "what it is for"], &found.iter().map(row).collect::<Vec<_>>())
            + &format!("{count}; vigocli config examples copy NAME\n")
    })
}

fn copy(everywhere: &Everywhere, name: &str, retraction: bool, stacks: &Path) -> Result<(), Failure> {
    let (path, text) = ALL.iter().find(|(path, _)| stem(path) == name).ok_or_else(|| {
        let hint = match nearest(name, ALL.iter().map(|(path, _)| stem(path))) {
            Some(near) => format!("did you mean {near}? vigocli config examples list shows them all"),
            None => "vigocli config examples list shows them all".to_owned(),
        };
        Failure::new(Exit::NotFound, format!("there is no example {}", escaped(name))).hint(hint)
    })?;
    let to = path.trim_end_matches(".example");
    let mut files = vec![(to.to_owned(), (*text).to_owned())];
    if retraction {
        let draft = retract(to, text.as_bytes())
            .map_err(|_| Failure::new(Exit::Failed, format!("{} has no retraction", escaped(name))))?;
        files.push((to.replace(".vgo", "-retract.vgo"), draft.text));
    }
    if !stacks.is_dir() {
        let what = format!("{} is no directory", escaped(&stacks.display().to_string()));
        return Err(Failure::new(Exit::NotFound, what).hint("name the tree with --stacks DIR"));
    }
    if let Some((there, _)) = files.iter().find(|(to, _)| stacks.join(to).exists()) {
        return Err(Failure::new(Exit::Failed, format!("{} is there already", escaped(there)))
            .hint("move it away, or look at the example with vigocli config examples list"));
    }
    for (to, text) in &files {
        let place = stacks.join(to);
        let failed = |e: std::io::Error| Failure::io("write", &place, &e);
        fs::create_dir_all(place.parent().unwrap_or(stacks)).map_err(failed)?;
        let mut file = File::create_new(&place).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
    }
    let names: Vec<&String> = files.iter().map(|(to, _)| to).collect();
    Show::new(everywhere).result(&json!({"files": names}), || {
        let lines: String = names.iter().map(|to| format!("wrote {to}\n")).collect();
        lines + &format!("give it to hosts: configcrates: [{name}]\n")
    })
}

/// Writes the example tree into a directory that holds nothing.
fn tree(everywhere: &Everywhere, dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|e| Failure::io("make", dir, &e))?;
    let mut entries = fs::read_dir(dir).map_err(|e| Failure::io("read", dir, &e))?;
    let shown = escaped(&dir.display().to_string());
    if entries.next().is_some() {
        return Err(Failure::new(Exit::Failed, format!("{shown} is not empty"))
            .hint("name a new or an empty directory: nothing is written over"));
    }
    example::write(dir)?;
    let names: Vec<&str> = example::FILES.iter().map(|(path, _)| *path).collect();
    Show::new(everywhere).result(&json!({"files": names}), || {
        let count = words::count(names.len(), "file", "files");
        format!("wrote {count}; look at it with vigocli config tree --stacks {shown}\n")
    })
}

/// All of them, in the order of their paths.
const ALL: &[Example] = &[
    (
        "configcrates/access/deploy-folder.vgo.example",
        include_str!("../../../stacks-examples/configcrates/access/deploy-folder.vgo.example"),
    ),
    (
        "configcrates/access/sftp-dropbox.vgo.example",
        include_str!("../../../stacks-examples/configcrates/access/sftp-dropbox.vgo.example"),
    ),
    (
        "configcrates/access/ssh-client.vgo.example",
        include_str!("../../../stacks-examples/configcrates/access/ssh-client.vgo.example"),
    ),
    (
        "configcrates/access/sudo-group.vgo.example",
        include_str!("../../../stacks-examples/configcrates/access/sudo-group.vgo.example"),
    ),
    (
        "configcrates/base/admin-tools.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/admin-tools.vgo.example"),
    ),
    (
        "configcrates/base/apt-proxy.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/apt-proxy.vgo.example"),
    ),
    (
        "configcrates/base/base.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/base.vgo.example"),
    ),
    (
        "configcrates/base/chrony.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/chrony.vgo.example"),
    ),
    (
        "configcrates/base/journald.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/journald.vgo.example"),
    ),
    (
        "configcrates/base/locale.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/locale.vgo.example"),
    ),
    (
        "configcrates/base/logrotate.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/logrotate.vgo.example"),
    ),
    (
        "configcrates/base/resolver.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/resolver.vgo.example"),
    ),
    (
        "configcrates/base/shell-history.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/shell-history.vgo.example"),
    ),
    (
        "configcrates/base/sudo-logging.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/sudo-logging.vgo.example"),
    ),
    (
        "configcrates/base/timezone.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/timezone.vgo.example"),
    ),
    (
        "configcrates/base/tmp-cleanup.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/tmp-cleanup.vgo.example"),
    ),
    (
        "configcrates/base/unattended-upgrades.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/unattended-upgrades.vgo.example"),
    ),
    (
        "configcrates/base/vim.vgo.example",
        include_str!("../../../stacks-examples/configcrates/base/vim.vgo.example"),
    ),
    (
        "configcrates/data/mariadb.vgo.example",
        include_str!("../../../stacks-examples/configcrates/data/mariadb.vgo.example"),
    ),
    (
        "configcrates/data/memcached.vgo.example",
        include_str!("../../../stacks-examples/configcrates/data/memcached.vgo.example"),
    ),
    (
        "configcrates/data/nfs-server.vgo.example",
        include_str!("../../../stacks-examples/configcrates/data/nfs-server.vgo.example"),
    ),
    (
        "configcrates/data/postgres-backup.vgo.example",
        include_str!("../../../stacks-examples/configcrates/data/postgres-backup.vgo.example"),
    ),
    (
        "configcrates/data/postgres.vgo.example",
        include_str!("../../../stacks-examples/configcrates/data/postgres.vgo.example"),
    ),
    (
        "configcrates/data/rabbitmq.vgo.example",
        include_str!("../../../stacks-examples/configcrates/data/rabbitmq.vgo.example"),
    ),
    (
        "configcrates/data/redis.vgo.example",
        include_str!("../../../stacks-examples/configcrates/data/redis.vgo.example"),
    ),
    (
        "configcrates/data/samba-share.vgo.example",
        include_str!("../../../stacks-examples/configcrates/data/samba-share.vgo.example"),
    ),
    (
        "configcrates/observe/alertmanager.vgo.example",
        include_str!("../../../stacks-examples/configcrates/observe/alertmanager.vgo.example"),
    ),
    (
        "configcrates/observe/disk-space-alarm.vgo.example",
        include_str!("../../../stacks-examples/configcrates/observe/disk-space-alarm.vgo.example"),
    ),
    (
        "configcrates/observe/node-exporter.vgo.example",
        include_str!("../../../stacks-examples/configcrates/observe/node-exporter.vgo.example"),
    ),
    (
        "configcrates/observe/postgres-exporter.vgo.example",
        include_str!("../../../stacks-examples/configcrates/observe/postgres-exporter.vgo.example"),
    ),
    (
        "configcrates/observe/prometheus.vgo.example",
        include_str!("../../../stacks-examples/configcrates/observe/prometheus.vgo.example"),
    ),
    (
        "configcrates/observe/rsyslog-collect.vgo.example",
        include_str!("../../../stacks-examples/configcrates/observe/rsyslog-collect.vgo.example"),
    ),
    (
        "configcrates/observe/rsyslog-forward.vgo.example",
        include_str!("../../../stacks-examples/configcrates/observe/rsyslog-forward.vgo.example"),
    ),
    (
        "configcrates/observe/smartmontools.vgo.example",
        include_str!("../../../stacks-examples/configcrates/observe/smartmontools.vgo.example"),
    ),
    (
        "configcrates/security/account-limits.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/account-limits.vgo.example"),
    ),
    (
        "configcrates/security/aide.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/aide.vgo.example"),
    ),
    (
        "configcrates/security/apparmor.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/apparmor.vgo.example"),
    ),
    (
        "configcrates/security/auditd.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/auditd.vgo.example"),
    ),
    (
        "configcrates/security/ca-trust.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/ca-trust.vgo.example"),
    ),
    (
        "configcrates/security/fail2ban.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/fail2ban.vgo.example"),
    ),
    (
        "configcrates/security/legacy-services-removed.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/legacy-services-removed.vgo.example"),
    ),
    (
        "configcrates/security/login-banner.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/login-banner.vgo.example"),
    ),
    (
        "configcrates/security/nftables.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/nftables.vgo.example"),
    ),
    (
        "configcrates/security/no-usb-storage.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/no-usb-storage.vgo.example"),
    ),
    (
        "configcrates/security/password-quality.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/password-quality.vgo.example"),
    ),
    (
        "configcrates/security/rkhunter.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/rkhunter.vgo.example"),
    ),
    (
        "configcrates/security/sshd-hardening.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/sshd-hardening.vgo.example"),
    ),
    (
        "configcrates/security/sysctl-hardening.vgo.example",
        include_str!("../../../stacks-examples/configcrates/security/sysctl-hardening.vgo.example"),
    ),
    (
        "configcrates/site/apt-cache.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/apt-cache.vgo.example"),
    ),
    (
        "configcrates/site/cups.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/cups.vgo.example"),
    ),
    (
        "configcrates/site/dnsmasq.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/dnsmasq.vgo.example"),
    ),
    (
        "configcrates/site/docker.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/docker.vgo.example"),
    ),
    (
        "configcrates/site/network-tuning.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/network-tuning.vgo.example"),
    ),
    (
        "configcrates/site/postfix-relay.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/postfix-relay.vgo.example"),
    ),
    (
        "configcrates/site/reboot-window.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/reboot-window.vgo.example"),
    ),
    (
        "configcrates/site/restic-backup.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/restic-backup.vgo.example"),
    ),
    (
        "configcrates/site/swap-file-tuning.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/swap-file-tuning.vgo.example"),
    ),
    (
        "configcrates/site/unbound.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/unbound.vgo.example"),
    ),
    (
        "configcrates/site/wireguard-tools.vgo.example",
        include_str!("../../../stacks-examples/configcrates/site/wireguard-tools.vgo.example"),
    ),
    (
        "configcrates/web/apache.vgo.example",
        include_str!("../../../stacks-examples/configcrates/web/apache.vgo.example"),
    ),
    (
        "configcrates/web/certbot.vgo.example",
        include_str!("../../../stacks-examples/configcrates/web/certbot.vgo.example"),
    ),
    (
        "configcrates/web/haproxy.vgo.example",
        include_str!("../../../stacks-examples/configcrates/web/haproxy.vgo.example"),
    ),
    (
        "configcrates/web/nginx-proxy.vgo.example",
        include_str!("../../../stacks-examples/configcrates/web/nginx-proxy.vgo.example"),
    ),
    (
        "configcrates/web/nginx.vgo.example",
        include_str!("../../../stacks-examples/configcrates/web/nginx.vgo.example"),
    ),
    (
        "configcrates/web/php-fpm.vgo.example",
        include_str!("../../../stacks-examples/configcrates/web/php-fpm.vgo.example"),
    ),
    (
        "configcrates/web/varnish.vgo.example",
        include_str!("../../../stacks-examples/configcrates/web/varnish.vgo.example"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    // M5, M6
    #[test]
    fn the_program_carries_every_example() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks-examples");
        let mut found = Vec::new();
        for group in fs::read_dir(root.join("configcrates")).unwrap() {
            for file in fs::read_dir(group.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                found.push(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
            }
        }
        found.sort();
        let carried: Vec<&str> = ALL.iter().map(|(path, _)| *path).collect();
        assert_eq!(found, carried);
        assert_eq!(stem(carried[0]), carried[0].rsplit('/').next().unwrap().split('.').next().unwrap());
    }

    #[test]
    fn an_example_is_copied_once_with_its_retraction() {
        let dir = tempfile::tempdir().unwrap();
        let everywhere = Everywhere::default();
        copy(&everywhere, "chrony", true, dir.path()).unwrap();
        for file in ["chrony.vgo", "chrony-retract.vgo"] {
            assert!(dir.path().join("configcrates/base").join(file).exists(), "{file}");
        }
        assert!(copy(&everywhere, "chrony", false, dir.path()).unwrap_err().what.contains("there already"));
        let whole = dir.path().join("whole");
        tree(&everywhere, &whole).unwrap();
        assert!(whole.join("clinic/usercrates/hedy.vgo").exists());
        assert!(tree(&everywhere, &whole).unwrap_err().what.contains("not empty"));
        assert!(copy(&everywhere, "chrny", false, dir.path()).unwrap_err().hint.unwrap().contains("chrony"));
    }
}
