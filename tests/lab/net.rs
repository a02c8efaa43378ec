//! Hosts, the switch between them, and what can go wrong on the way.
//!
//! One namespace is the switch, with two bridges: `main`, and `isle` for a partition. Each host is a namespace
//! whose `eth0` is a veth pair to a port of the switch. Addresses are from 10.77.0.0/17; hosts behind a NAT box
//! have theirs from 10.77.128.0/17, which only the box can reach. Nothing here has a route to the outside.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::clean::{FOLDER, PREFIX, namespaces, remove_namespace, sweep};
use super::process::Process;

/// Hosts of one lab: as many as the address plan holds comfortably.
const HOSTS: usize = 2000;
static LABS: AtomicUsize = AtomicUsize::new(0);
static SWEPT: Once = Once::new();

/// A network of hosts. Dropping it removes everything.
#[derive(Debug)]
pub struct Lab {
    tag: String,
    folder: PathBuf,
    hosts: BTreeMap<String, Host>,
    ports: usize,
    cages: usize,
}

#[derive(Debug)]
struct Host {
    address: Ipv4Addr,
    /// The switch's end of the cable, of the host or of its NAT box.
    port: String,
    /// The NAT box's namespace and outer address.
    cage: Option<(String, Ipv4Addr)>,
}

impl Lab {
    /// An empty network. `title` names its folder in messages.
    pub fn new(title: &str) -> Lab {
        SWEPT.call_once(sweep);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let folder = std::env::temp_dir().join(format!("{FOLDER}{pid}-{number}-{title}"));
        std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
        let tag = format!("{PREFIX}{pid}-{number}-");
        let lab = Lab { tag, folder, hosts: BTreeMap::new(), ports: 0, cages: 0 };
        let switch = lab.switch();
        must("ip", &["netns", "add", &switch]);
        for bridge in ["main", "isle"] {
            must(
                "ip",
                &["-n", &switch, "link", "add", "name", bridge, "type", "bridge", "mcast_snooping", "0"],
            );
            must("ip", &["-n", &switch, "link", "set", bridge, "up"]);
        }
        lab
    }

    /// Adds a host on the main bridge and gives its address.
    pub fn host(&mut self, name: &str) -> Ipv4Addr {
        let (address, namespace) = (self.next_address(), self.namespace(name));
        let port = self.plug(&namespace, address);
        self.add(name, Host { address, port, cage: None })
    }

    /// Adds a host behind a NAT box of its own: it can dial out, nobody can dial in.
    pub fn host_behind_nat(&mut self, name: &str) -> Ipv4Addr {
        let (outer, cage) = (self.next_address(), self.namespace(&format!("{name}.nat")));
        let port = self.plug(&cage, outer);
        let net = 128 + u8::try_from(self.cages).expect("at most 120 NAT boxes");
        self.cages += 1;
        let (inner, address) = (Ipv4Addr::new(10, 77, net, 1), Ipv4Addr::new(10, 77, net, 2));
        let namespace = self.namespace(name);
        must("ip", &["netns", "add", &namespace]);
        must(
            "ip",
            &[
                "-n", &cage, "link", "add", "name", "in", "type", "veth", "peer", "name", "eth0", "netns",
                &namespace,
            ],
        );
        for (ns, device, own) in [(&cage, "in", inner), (&namespace, "eth0", address)] {
            must("ip", &["-n", ns, "addr", "add", &format!("{own}/24"), "dev", device]);
            must("ip", &["-n", ns, "link", "set", device, "up"]);
        }
        must("ip", &["-n", &namespace, "link", "set", "lo", "up"]);
        must("ip", &["-n", &namespace, "route", "add", "default", "via", &inner.to_string()]);
        must("ip", &["netns", "exec", &cage, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        nft(&cage, NAT_RULES);
        nft(&namespace, DEAF_RULES);
        self.add(name, Host { address, port, cage: Some((cage, outer)) })
    }

    /// A host's own address.
    pub fn address(&self, name: &str) -> Ipv4Addr {
        self.get(name).address
    }

    /// The address that others see a host come from.
    pub fn outer_address(&self, name: &str) -> Ipv4Addr {
        let host = self.get(name);
        host.cage.as_ref().map_or(host.address, |(_, outer)| *outer)
    }

    /// Pulls a host's cable.
    pub fn cut(&self, name: &str) {
        must("ip", &["-n", &self.switch(), "link", "set", &self.get(name).port, "down"]);
    }

    /// Plugs it in again.
    pub fn mend(&self, name: &str) {
        must("ip", &["-n", &self.switch(), "link", "set", &self.get(name).port, "up"]);
    }

    /// Moves these hosts to a second bridge: they reach each other and nobody else.
    pub fn partition(&self, names: &[&str]) {
        for name in names {
            must("ip", &["-n", &self.switch(), "link", "set", &self.get(name).port, "master", "isle"]);
        }
    }

    /// Ends the partition: every host is on the main bridge again.
    pub fn heal(&self) {
        for host in self.hosts.values() {
            must("ip", &["-n", &self.switch(), "link", "set", &host.port, "master", "main"]);
        }
    }

    /// Drops what `from` sends to `to`, over IPv4 and IPv6, to it or to everybody; the other way still works.
    pub fn deafen(&self, to: &str, from: &str) {
        self.deaf("add", to, from);
    }

    /// Ends [`Lab::deafen`].
    pub fn hear(&self, to: &str, from: &str) {
        self.deaf("delete", to, from);
    }

    fn deaf(&self, doing: &str, to: &str, from: &str) {
        let (source, card) = (self.outer_address(from), self.card(from));
        let rules = format!(
            "{doing} element inet lab deaf {{ {source} }}\n{doing} element inet lab deaf_cards {{ {card} }}"
        );
        nft(&self.namespace(to), &rules);
    }

    /// The hardware address that a host's packets, or its NAT box's, come from.
    fn card(&self, name: &str) -> String {
        let namespace = match &self.get(name).cage {
            Some((cage, _)) => cage.clone(),
            None => self.namespace(name),
        };
        let output = Command::new("ip").args(["-n", &namespace, "-br", "link", "show", "eth0"]).output();
        let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        text.split_whitespace().nth(2).unwrap_or_else(|| panic!("{name} has no eth0: {text}")).to_owned()
    }

    /// A command that will run on a host.
    pub fn command(&self, host: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        assert!(self.hosts.contains_key(host), "no host {host:?} in this lab");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program).stdin(Stdio::null());
        command
    }

    /// Runs a program on a host to its end.
    pub fn run(&self, host: &str, words: &[&str]) -> Output {
        let mut command = self.command(host, words[0]);
        command.args(&words[1..]).output().unwrap_or_else(|e| panic!("{words:?} on {host}: {e}"))
    }

    /// Starts a program on a host, its output in a log of the lab's folder. `title` is unique on that host.
    pub fn spawn(&self, host: &str, title: &str, words: &[&str]) -> Process {
        let mut command = self.command(host, words[0]);
        command.args(&words[1..]);
        Process::spawn(&format!("{host}.{title}"), command, &self.folder)
    }

    /// Whether one ping from a host to another is answered within a second.
    pub fn pings(&self, from: &str, to: Ipv4Addr) -> bool {
        self.run(from, &["ping", "-n", "-c", "1", "-W", "1", &to.to_string()]).status.success()
    }

    /// A folder that lives as long as the lab.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How the names of this lab's namespaces begin.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: &str) -> String {
        format!("{}{host}", self.tag)
    }

    fn switch(&self) -> String {
        self.namespace(".switch")
    }

    fn get(&self, name: &str) -> &Host {
        let known = || self.hosts.keys().map(String::as_str).collect::<Vec<_>>().join(" ");
        self.hosts.get(name).unwrap_or_else(|| panic!("no host {name:?} in this lab; there are: {}", known()))
    }

    fn add(&mut self, name: &str, host: Host) -> Ipv4Addr {
        let address = host.address;
        assert!(self.hosts.insert(name.to_owned(), host).is_none(), "host {name:?} is there already");
        address
    }

    fn next_address(&mut self) -> Ipv4Addr {
        assert!(self.ports < HOSTS, "more than {HOSTS} hosts");
        let (high, low) = (1 + self.ports / 250, 1 + self.ports % 250);
        self.ports += 1;
        Ipv4Addr::new(10, 77, high as u8, low as u8)
    }

    /// Makes a namespace with a cable to the main bridge; gives the switch's end.
    fn plug(&self, namespace: &str, address: Ipv4Addr) -> String {
        let (switch, port) = (self.switch(), format!("p{}", self.ports));
        must("ip", &["netns", "add", namespace]);
        must(
            "ip",
            &[
                "-n", &switch, "link", "add", "name", &port, "type", "veth", "peer", "name", "eth0", "netns",
                namespace,
            ],
        );
        must("ip", &["-n", &switch, "link", "set", &port, "master", "main"]);
        must("ip", &["-n", &switch, "link", "set", &port, "up"]);
        must("ip", &["-n", namespace, "addr", "add", &format!("{address}/17"), "brd", "+", "dev", "eth0"]);
        must("ip", &["-n", namespace, "link", "set", "eth0", "up"]);
        must("ip", &["-n", namespace, "link", "set", "lo", "up"]);
        // Multicast has somewhere to go without a default route.
        must("ip", &["-n", namespace, "route", "add", "224.0.0.0/4", "dev", "eth0"]);
        nft(namespace, DEAF_RULES);
        port
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, text) in super::process::tails(&self.folder) {
                eprintln!("---- end of {name}\n{text}");
            }
        }
        for name in namespaces(&self.tag) {
            remove_namespace(&name);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const DEAF_RULES: &str = "table inet lab {
    set deaf { type ipv4_addr; }
    set deaf_cards { type ether_addr; }
    chain heard {
        type filter hook input priority 0; policy accept;
        ip saddr @deaf drop
        ether saddr @deaf_cards drop
    }
}";

const NAT_RULES: &str = "table ip nat {
    chain leaving { type nat hook postrouting priority 100; oifname \"eth0\" masquerade; }
}
table ip cage {
    chain passing {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname \"in\" accept
    }
}";

/// Whether namespaces and filters can be made here at all.
pub fn trial() -> Result<(), String> {
    let name = format!("{PREFIX}{}-trial", std::process::id());
    let made = try_run("ip", &["netns", "add", &name], None)
        .and_then(|()| try_run("ip", &["-n", &name, "link", "add", "name", "trial", "type", "bridge"], None))
        .and_then(|()| try_run("ip", &["netns", "exec", &name, "nft", "-f", "-"], Some(NAT_RULES)));
    remove_namespace(&name);
    made
}

fn nft(namespace: &str, rules: &str) {
    try_run("ip", &["netns", "exec", namespace, "nft", "-f", "-"], Some(rules))
        .unwrap_or_else(|e| panic!("{e}"));
}

#[track_caller]
fn must(program: &str, words: &[&str]) {
    try_run(program, words, None).unwrap_or_else(|e| panic!("{e}"));
}

/// Runs a program with this input; the error says what it was and what it said.
pub fn try_run(program: &str, words: &[&str], input: Option<&str>) -> Result<(), String> {
    let said = |what: &dyn std::fmt::Display| format!("{program} {}: {what}", words.join(" "));
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = Command::new(program)
        .args(words)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| said(&e))?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        pipe.write_all(input.as_bytes()).map_err(|e| said(&e))?;
    }
    let output = child.wait_with_output().map_err(|e| said(&e))?;
    if output.status.success() { Ok(()) } else { Err(said(&String::from_utf8_lossy(&output.stderr).trim())) }
}
