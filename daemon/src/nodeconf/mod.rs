//! `/etc/vigo/node.yaml`: how this machine's node runs, and the flags that go over it.
//!
//! [`KEYS`] is the whole language: every key with what it may be, its default and what it does; the
//! documentation is printed from it. A key that is not there is refused with the nearest one and its line.
//! Fleet-wide things are no keys of this file: those are fleet settings (`vigocli settings`).
//!
//! It reads one file and nothing else; all mistakes are told at once.

#[cfg(test)]
mod tests;
mod values;
mod yaml;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use vigo_base::PublicKey;
use vigo_base::text::{escaped, nearest};
use vigo_node::boot::Lan;
use vigo_node::swarm::beacon::Choice;

use crate::logging::LogFormat;

/// Where the file lies.
pub const FILE: &str = "/etc/vigo/node.yaml";
/// Where the state lies if nothing else is said.
pub const STATE: &str = "/var/lib/vigo";
/// Where the socket lies for the state at [`STATE`].
pub const SOCKET: &str = "/run/vigo/vigo.sock";
/// The port of the peer channel.
pub const PORT: u16 = 1531;
/// The port of the gossip plane.
pub const GOSSIP_PORT: u16 = 1530;

/// One key of the file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its dotted name: `log.level` is `level:` below `log:`.
    pub name: &'static str,
    /// What its value may be.
    pub value: &'static str,
    /// What it is when it is not there.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    Key {
        name: "state",
        value: "a directory",
        default: STATE,
        help: "Holds the node's key, its records and its blobs. Made by `vigo init` or `vigo join`.",
    },
    Key {
        name: "listen",
        value: "addresses with ports (UDP), or none",
        default: "[\"0.0.0.0:1531\", \"[::]:1531\"]",
        help: "Where peers reach this node. With none it only dials out, and is served through bolts.",
    },
    Key {
        name: "announce",
        value: "auto, none, or host:port values",
        default: "auto",
        help: "What peers are told to dial. auto: the addresses listened on, those of this machine for 0.0.0.0 and [::]. \
               none: nobody is told.",
    },
    Key {
        name: "peers",
        value: "host:port or KEY@host:port values",
        default: "[]",
        help: "Members to look for beside those already known; with a key, nobody else may answer there.",
    },
    Key {
        name: "beacon",
        value: "auto, off, or names of interfaces",
        default: "auto",
        help: "Whether this node finds others by multicast on its own networks (port 1531/udp). auto: on all of them, if the \
               fleet setting beacon.enabled says so. off: neither sent nor heard. Names: on these, whatever the setting says.",
    },
    Key {
        name: "gossip.listen",
        value: "auto, addresses with ports (UDP), or none",
        default: "auto",
        help: "Where peers reach this node's gossip plane. auto: on the addresses of `listen`, with port 1530 beside 1531 and \
               any free port beside another. none: it only dials out.",
    },
    Key {
        name: "socket",
        value: "a path of at most 107 bytes",
        default: "/run/vigo/vigo.sock, or STATE/vigo.sock for another state",
        help: "The local API: root and the group vigo-admin may use it.",
    },
    Key {
        name: "applier.socket",
        value: "a path of at most 107 bytes",
        default: "/run/vigo-applier/applier.sock",
        help: "Where `vigo applier` listens and `vigo peer` finds it. `vigo node` is both and uses none.",
    },
    Key {
        name: "applier.state",
        value: "a directory",
        default: "/var/lib/vigo-applier",
        help: "Holds what the applier decides by, and former contents of files. Root's, and nobody else's.",
    },
    Key {
        name: "applier.peer_user",
        value: "a user's name or number",
        default: "vigo",
        help: "Whose process the applier listens to, beside root's.",
    },
    Key {
        name: "fs_root",
        value: "a directory",
        default: "(the whole machine)",
        help: "Applies configuration below this directory only, which is made if it is not there; commands are then never run.",
    },
    Key {
        name: "log.level",
        value: "error, warn, info, debug or trace, or by part",
        default: "info",
        help: "How much is logged, to standard error. By part: info,vigo_daemon::world=debug.",
    },
    Key {
        name: "log.format",
        value: "human or json",
        default: "human",
        help: "Lines for people, or one JSON object a line.",
    },
    Key {
        name: "converge.interval",
        value: "1s to 1d",
        default: "(the fleet setting converge.interval)",
        help: "How often this node converges when nothing was published.",
    },
    Key {
        name: "converge.splay",
        value: "0s to 1h",
        default: "(the fleet setting converge.splay)",
        help: "By how much each converge is delayed at random, at most.",
    },
];

/// A mistake in the file or a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadConf {
    /// `FILE:LINE`, or the flag.
    pub place: String,
    /// What was found and what is expected.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for BadConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for BadConf {}

/// What peers are told to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announce {
    /// What is listened on.
    Auto,
    /// These; with none, nobody is told.
    These(Vec<String>),
}

/// How this node runs: the file, and the flags over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConf {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// The state directory.
    pub state: PathBuf,
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// What peers are told to dial.
    pub announce: Announce,
    /// Members to look for.
    pub peers: Vec<(String, Option<PublicKey>)>,
    /// How this node takes part in beacons.
    pub beacon: Choice,
    /// The beacons' port. No key of the file: all nodes of a network must have the same.
    pub beacon_port: u16,
    /// Where gossip links are taken; where peers are listened to if nothing is said.
    pub gossip: Option<Vec<SocketAddr>>,
    /// The socket of the local API.
    pub socket: PathBuf,
    /// The applier's socket, for `vigo applier` and `vigo peer`.
    pub applier_socket: PathBuf,
    /// The applier's state directory.
    pub applier_state: PathBuf,
    /// Whose process the applier listens to.
    pub peer_user: String,
    /// The part of the machine that configuration is applied to; all of it if none.
    pub fs_root: Option<PathBuf>,
    /// How much is logged.
    pub log_level: String,
    /// The form of the log.
    pub log_format: LogFormat,
    /// Seconds between two runs, over the fleet setting.
    pub interval: Option<u64>,
    /// Seconds by which a run is delayed at most, over the fleet setting.
    pub splay: Option<u64>,
}

impl Default for NodeConf {
    fn default() -> NodeConf {
        NodeConf {
            file: None,
            state: STATE.into(),
            listen: vec![SocketAddr::from(([0; 4], PORT)), SocketAddr::from(([0u16; 8], PORT))],
            announce: Announce::Auto,
            peers: Vec::new(),
            beacon: Choice::Auto,
            beacon_port: vigo_node::swarm::beacon::PORT,
            gossip: None,
            socket: SOCKET.into(),
            applier_socket: crate::applier::server::SOCKET.into(),
            applier_state: crate::applier::anchor::STATE.into(),
            peer_user: "vigo".into(),
            fs_root: None,
            log_level: "info".into(),
            log_format: LogFormat::Human,
            interval: None,
            splay: None,
        }
    }
}

/// A flag of the command line that stands for a key: the key's name, and the values given.
#[derive(Debug, Clone)]
pub struct Flag {
    /// One of [`KEYS`].
    pub key: &'static str,
    /// As on the command line.
    pub values: Vec<String>,
}

impl NodeConf {
    /// Reads `file`, or [`FILE`] if none is named (which may be missing), and puts `flags` over it.
    ///
    /// # Errors
    /// Every mistake, in the order of the lines.
    pub fn load(file: Option<&Path>, flags: &[Flag]) -> Result<NodeConf, Vec<BadConf>> {
        let path = file.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(e) if file.is_none() && e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(vec![cannot_read(path, &e)]),
        };
        let mut conf = NodeConf::parse(&path.display().to_string(), text.as_deref().unwrap_or(""), flags)?;
        conf.file = text.map(|_| path.to_path_buf());
        Ok(conf)
    }

    /// The same from text that stands in for the file named `name`.
    ///
    /// # Errors
    /// Every mistake, in the order of the lines.
    pub fn parse(name: &str, text: &str, flags: &[Flag]) -> Result<NodeConf, Vec<BadConf>> {
        let mut conf = NodeConf::default();
        let mut bad = Vec::new();
        let mut seen: Vec<(String, usize)> = Vec::new();
        let mut socket_given = false;
        for yaml::Entry { key, line, values } in yaml::read(name, text)? {
            let place = format!("{name}:{line}");
            if let Some((_, first)) = seen.iter().find(|(k, _)| *k == key) {
                let what = format!("{key} stands here a second time");
                bad.push(BadConf {
                    place,
                    what,
                    hint: Some(format!("the first is in line {first}; keep one")),
                });
                continue;
            }
            socket_given |= key == "socket";
            bad.extend(conf.set(&key, &values, &place).err());
            seen.push((key, line));
        }
        for flag in flags {
            socket_given |= flag.key == "socket";
            let place = format!("--{}", flag.key.replace(['.', '_'], "-"));
            bad.extend(conf.set(flag.key, &flag.values, &place).err());
        }
        if !socket_given && conf.state != Path::new(STATE) {
            conf.socket = conf.state.join("vigo.sock");
            let length = conf.socket.as_os_str().len();
            if length > values::SOCKET_BYTES {
                let what =
                    format!("the socket {} would have a path of {length} bytes", conf.socket.display());
                let hint = format!(
                    "a socket's path has at most {} bytes: give `socket:` a shorter one",
                    values::SOCKET_BYTES
                );
                bad.push(BadConf { place: name.into(), what, hint: Some(hint) });
            }
        }
        if bad.is_empty() { Ok(conf) } else { Err(bad) }
    }

    /// What peers are told to dial, for the addresses that are really bound.
    pub fn addresses(&self, bound: &[SocketAddr]) -> Vec<String> {
        match &self.announce {
            Announce::These(addresses) => addresses.clone(),
            Announce::Auto => values::reachable(bound),
        }
    }

    /// Where to take gossip links, for the addresses of the peer channel that are really bound.
    pub fn gossip_on(&self, bound: &[SocketAddr]) -> Vec<SocketAddr> {
        let beside = |a: &SocketAddr| SocketAddr::new(a.ip(), if a.port() == PORT { GOSSIP_PORT } else { 0 });
        self.gossip.clone().unwrap_or_else(|| bound.iter().map(beside).collect())
    }

    /// How the node takes part in beacons, for the addresses that are really bound.
    pub fn lan(&self, bound: &[SocketAddr]) -> Lan {
        // Whoever wants nobody to be told where it listens does not shout it.
        let told = self.announce != Announce::These(Vec::new());
        Lan { choice: self.beacon.clone(), listening: if told { bound.to_vec() } else { Vec::new() } }
    }

    fn set(&mut self, key: &str, found: &[String], place: &str) -> Result<(), BadConf> {
        let bad = |what: String, hint: &str| BadConf {
            place: place.into(),
            what,
            hint: Some(hint.to_string()).filter(|h| !h.is_empty()),
        };
        let Some(known) = KEYS.iter().find(|k| k.name == key) else { return Err(unknown(key, place)) };
        let wrong = |why: String| bad(format!("{key}: {why}; expected {}", known.value), "");
        let one = || match found {
            [value] if !value.is_empty() => Ok(value.as_str()),
            [] | [_] => Err(wrong("there is no value".into())),
            _ => Err(wrong(format!("{} values, one is expected", found.len()))),
        };
        match key {
            "state" => self.state = values::directory(one()?).map_err(wrong)?,
            "listen" => self.listen = values::listen(found).map_err(wrong)?,
            "announce" => self.announce = values::announce(found).map_err(wrong)?,
            "peers" => self.peers = values::peers(found).map_err(wrong)?,
            "beacon" => self.beacon = values::beacon(found).map_err(wrong)?,
            "gossip.listen" => self.gossip = values::gossip(found).map_err(wrong)?,
            "socket" => self.socket = values::socket(one()?).map_err(wrong)?,
            "applier.socket" => self.applier_socket = values::socket(one()?).map_err(wrong)?,
            "applier.state" => self.applier_state = values::directory(one()?).map_err(wrong)?,
            "applier.peer_user" => self.peer_user = values::user(one()?).map_err(wrong)?,
            "fs_root" => self.fs_root = Some(values::directory(one()?).map_err(wrong)?),
            "log.level" => {
                self.log_level = values::level(one()?).map_err(wrong)?;
            }
            "log.format" => {
                let word = values::word(one()?, &["human", "json"]).map_err(wrong)?;
                self.log_format = if word == "json" { LogFormat::Json } else { LogFormat::Human };
            }
            "converge.interval" => self.interval = Some(values::seconds(one()?, 1, 86_400).map_err(wrong)?),
            "converge.splay" => self.splay = Some(values::seconds(one()?, 0, 3_600).map_err(wrong)?),
            _ => return Err(unknown(key, place)),
        }
        Ok(())
    }
}

/// The file with every key, its default and what it does: what `docs/` and the man page show.
pub fn documented() -> String {
    let mut out = String::from("# /etc/vigo/node.yaml: all keys are optional.\n");
    for key in KEYS {
        out.push_str(&format!(
            "\n# {}\n# {}. Default: {}\n#{}:\n",
            key.help, key.value, key.default, key.name
        ));
    }
    out
}

fn unknown(key: &str, place: &str) -> BadConf {
    let hint = match nearest(key, KEYS.iter().map(|k| k.name)) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the keys are {}", KEYS.iter().map(|k| k.name).collect::<Vec<_>>().join(", ")),
    };
    BadConf { place: place.into(), what: format!("there is no key {}", escaped(key)), hint: Some(hint) }
}

fn cannot_read(path: &Path, error: &io::Error) -> BadConf {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "give --config an existing file, or leave it out",
        io::ErrorKind::PermissionDenied => "it must be readable by the user that runs vigo",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "see the message of the system",
    };
    let what = format!("the file cannot be read: {error}");
    BadConf { place: path.display().to_string(), what, hint: Some(hint.into()) }
}
