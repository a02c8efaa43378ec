//! A small fleet to tell stories with: every node a real one, but all in this process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vigo_base::time::hours;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::driver::Ending;
use vigo_daemon::node::command::{Command, Context, Reply, Status};
use vigo_daemon::node::release::Release;
use vigo_daemon::node::spanner::{NameRule, NodeKind, Token};
use vigo_daemon::node::stacks::SourceTree;
use vigo_daemon::nodeconf::NodeConf;
use vigo_daemon::operator::{Signer, Wanted, keyfile};
use vigo_daemon::process::{Running, Start, start};
use vigo_daemon::setup::{Init, Joined, OperatorKey, init, join_by_token};
use zeroize::Zeroizing;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where everybody lives.
pub struct House {
    dir: tempfile::TempDir,
    seeds: AtomicU64,
}

impl House {
    pub fn new() -> House {
        House { dir: tempfile::tempdir().unwrap(), seeds: AtomicU64::new(1) }
    }

    pub fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.root"))
    }

    pub fn key_file(&self) -> PathBuf {
        self.dir.path().join("operator.key")
    }

    pub fn conf(&self, name: &str) -> NodeConf {
        let root = self.root(name);
        std::fs::create_dir_all(&root).unwrap();
        NodeConf {
            state: self.state(name),
            socket: self.state(name).join("vigo.sock"),
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            fs_root: Some(root),
            splay: Some(0),
            ..NodeConf::default()
        }
    }

    pub fn start(&self, name: &str) -> Running {
        start(Start::new(self.conf(name), "test")).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn client(&self, name: &str) -> Client {
        Client::connect(&self.state(name).join("vigo.sock")).unwrap()
    }

    /// Founds a fleet with the bolt `name`; its recovery words.
    pub fn found(&self, name: &str) -> Zeroizing<String> {
        let made = init(Init {
            state: &self.state(name),
            name: name.parse().unwrap(),
            fleet: "test".into(),
            operator_name: "alice".parse().unwrap(),
            operator: OperatorKey::New { path: self.key_file(), passphrase: None },
        });
        made.unwrap().words.unwrap()
    }

    /// A signer with what the node `at` knows.
    pub fn signer(&self, at: &str) -> Signer {
        let key = keyfile::load(&self.key_file(), &mut |_| None).unwrap();
        let context = context(&self.client(at), &key);
        Signer::new(key, context)
    }

    /// The same, or none while the node does not answer.
    pub fn signer_quiet(&self, at: &str) -> Option<Signer> {
        let key = keyfile::load(&self.key_file(), &mut |_| None).unwrap();
        match self.client(at).call(&Command::Context { key: key.public() }) {
            Ok(Reply::Context(context)) => Some(Signer::new(key, *context)),
            _ => None,
        }
    }

    /// An invitation, taken in by the node `at`.
    pub fn invite(&self, at: &str, name: &str, kind: NodeKind) -> Token {
        let seed = [self.seeds.fetch_add(1, Ordering::Relaxed) as u8; 32];
        let wanted = Wanted {
            kind,
            name: NameRule::Exact(name.parse().unwrap()),
            uses: 1,
            expires: hours(1),
            seed: Zeroizing::new(seed),
        };
        let (signed, token) = self.signer(at).invite(wanted).unwrap();
        let reply = self.client(at).call(&signed.command()).unwrap();
        assert!(matches!(reply, Reply::Submitted { id } if id == signed.id), "{reply:?}");
        token
    }

    pub fn join(&self, at: &str, name: &str, kind: NodeKind) -> Joined {
        let token = self.invite(at, name, kind);
        join_by_token(&self.state(name), token, name.parse().unwrap(), "test", PATIENCE, &mut |_| {}).unwrap()
    }

    /// Publishes `tree` through the node `at`; the epoch.
    pub fn publish(&self, at: &str, files: &[(&'static str, String)]) -> u64 {
        let tree = SourceTree::from_files(files.iter().map(|(p, b)| (*p, b.as_bytes().to_vec()))).unwrap();
        let (compiled, diagnostics) = vigo_daemon::node::stacks::compile(&tree);
        let compiled = compiled.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let client = self.client(at);
        let release = Release::pack(&tree, &compiled);
        for (blob, bytes) in &release.blobs {
            let kept = client.put_blob(std::io::Cursor::new(bytes.clone()), blob.size, |_| {}).unwrap();
            assert_eq!(kept, *blob);
        }
        let signer = self.signer(at);
        let signed = signer.publish(release.routes, release.source, "a test").unwrap();
        client.call(&signed.command()).unwrap();
        signer.context().next_epoch
    }

    pub fn status(&self, name: &str) -> Status {
        match self.client(name).call(&Command::Status).unwrap() {
            Reply::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the file `path` below the node's root holds `text`.
    pub fn wait_for_file(&self, name: &str, path: &str, text: &str) {
        let file = self.root(name).join(path);
        wait(&format!("{} to hold {text:?}", file.display()), || {
            std::fs::read_to_string(&file).is_ok_and(|found| found == text)
        });
    }
}

pub fn context(client: &Client, key: &vigo_base::SecretKey) -> Context {
    match client.call(&Command::Context { key: key.public() }).unwrap() {
        Reply::Context(context) => *context,
        other => panic!("{other:?}"),
    }
}

pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn stop(running: Running) {
    let begun = Instant::now();
    assert_eq!(running.stop(), Ending::Stopped);
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
}

/// A tree that writes `text` to `/etc/motd` of every host.
pub fn motd(text: &str) -> Vec<(&'static str, String)> {
    let crates = format!(
        "name: motd\nresources:\n  - name: motd\n    type: file\n    target_path: /etc/motd\n    content: \"{text}\"\n"
    );
    let hosts = "envoys:\n  - match: \"*\"\n    configcrates: [motd]\n";
    vec![("configcrates/motd.vgo", crates), ("site/hosts.vgo", hosts.to_string())]
}
