//! What makes a machine this one and no other, written into its layer before it boots: name, addresses, machine id.
//!
//! It writes only below the machine's own folder, which nothing has mounted yet.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use super::super::Lab;

/// Writes the files of a machine named `name` into its layer at `layer`.
pub fn prepare(layer: &Path, lab: &Lab, name: &str, hosts: &[(String, Ipv4Addr)]) {
    let id =
        fs::read_to_string("/proc/sys/kernel/random/uuid").expect("the kernel makes ids").replace('-', "");
    put(layer, "etc/hostname", &format!("{name}\n"));
    put(layer, "etc/machine-id", &id);
    put(layer, "etc/hosts", &hosts_file(name, hosts));
    put(layer, "etc/systemd/network/10-lab.network", &network_file(lab, name));
}

/// All names, with a machine's own on the loopback address as Debian has it.
pub fn hosts_file(name: &str, hosts: &[(String, Ipv4Addr)]) -> String {
    let mut text = format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n");
    for (other, address) in hosts.iter().filter(|(other, _)| other != name) {
        text += &format!("{address} {other}\n");
    }
    text
}

/// As the lab's hosts have it: no way out, but multicast has somewhere to go.
fn network_file(lab: &Lab, name: &str) -> String {
    let address = lab.address(name);
    let behind_nat = address != lab.outer_address(name);
    let [a, b, c, _] = address.octets();
    let (bits, gateway) =
        if behind_nat { (24, format!("Gateway={a}.{b}.{c}.1\n")) } else { (17, String::new()) };
    format!(
        "[Match]\nName=eth0\n[Network]\nAddress={address}/{bits}\n{gateway}LinkLocalAddressing=ipv6\n\
         IPv6AcceptRA=no\nLLDP=no\n[Route]\nDestination=224.0.0.0/4\n"
    )
}

fn put(layer: &Path, path: &str, text: &str) {
    let path = layer.join(path);
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
    fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}
