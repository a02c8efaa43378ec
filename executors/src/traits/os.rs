//! `os.*`: which system this is, from `/etc/os-release` and the kernel.
//!
//! It never guesses a family from a name it does not know: an unknown distribution without `ID_LIKE` is its own
//! family.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{clean, object, text_of};
use crate::host::Host;

/// Distributions and the family that each belongs to.
const FAMILIES: [(&str, &str); 26] = [
    ("debian", "debian"),
    ("ubuntu", "debian"),
    ("raspbian", "debian"),
    ("linuxmint", "debian"),
    ("pop", "debian"),
    ("kali", "debian"),
    ("devuan", "debian"),
    ("rhel", "redhat"),
    ("redhat", "redhat"),
    ("fedora", "redhat"),
    ("centos", "redhat"),
    ("rocky", "redhat"),
    ("almalinux", "redhat"),
    ("ol", "redhat"),
    ("amzn", "redhat"),
    ("suse", "suse"),
    ("sles", "suse"),
    ("opensuse", "suse"),
    ("opensuse-leap", "suse"),
    ("opensuse-tumbleweed", "suse"),
    ("arch", "arch"),
    ("manjaro", "arch"),
    ("alpine", "alpine"),
    ("gentoo", "gentoo"),
    ("void", "void"),
    ("nixos", "nixos"),
];

/// The group.
pub(super) fn collect(host: &dyn Host) -> Value {
    let text = text_of(host, "/etc/os-release").or_else(|| text_of(host, "/usr/lib/os-release"));
    let fields = fields(&text.unwrap_or_default());
    let get = |name: &str| fields.get(name).map(|v| clean(v)).unwrap_or_default();
    let distro = get("ID").to_ascii_lowercase();
    let (upstream_id, upstream_codename) = upstream(&fields, &distro);
    let kernel = host.kernel();
    let family = family(&distro, &get("ID_LIKE"));
    Value::Object(object([
        ("family", family),
        ("distro", distro),
        ("version", get("VERSION_ID")),
        ("arch", arch(&kernel.machine)),
        ("kernel_class", kernel_class(&kernel.name)),
        ("upstream_id", upstream_id),
        ("upstream_codename", upstream_codename),
    ]))
}

fn family(distro: &str, like: &str) -> String {
    let known = |name: &str| FAMILIES.iter().find(|(d, _)| *d == name).map(|(_, f)| (*f).to_owned());
    known(distro).or_else(|| like.split_whitespace().find_map(known)).unwrap_or_else(|| distro.to_owned())
}

/// The distribution whose packages this one uses, and the codename of its release: a derivative names the latter
/// in a field of its own.
fn upstream(fields: &BTreeMap<String, String>, distro: &str) -> (String, String) {
    let get = |name: &str| fields.get(name).map(|v| clean(v)).filter(|v| !v.is_empty());
    if distro != "ubuntu"
        && let Some(codename) = get("UBUNTU_CODENAME")
    {
        return ("ubuntu".to_owned(), codename);
    }
    if distro != "debian"
        && let Some(codename) = get("DEBIAN_CODENAME")
    {
        return ("debian".to_owned(), codename);
    }
    (distro.to_owned(), get("VERSION_CODENAME").unwrap_or_default())
}

fn arch(machine: &str) -> String {
    match machine {
        "x86_64" | "amd64" => "amd64".to_owned(),
        "aarch64" | "arm64" => "arm64".to_owned(),
        "i386" | "i486" | "i586" | "i686" => "386".to_owned(),
        other => clean(other),
    }
}

fn kernel_class(name: &str) -> String {
    match name {
        "SunOS" => "illumos".to_owned(),
        other => clean(other).to_ascii_lowercase(),
    }
}

/// `NAME=value` lines, with quotes and backslashes as in a shell.
fn fields(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim())))
        .collect()
}

fn unquoted(value: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;
    use crate::host::{Kernel, Kind};
    use serde_json::json;

    fn os(release: &str, machine: &str) -> Value {
        let kernel = Kernel { name: "Linux".into(), machine: machine.into(), ..Kernel::default() };
        let mut host = FakeHost::new().with_file("/usr/lib/os-release", release).with_kernel(kernel);
        host.place("/etc/os-release", Kind::Symlink, "../usr/lib/os-release");
        collect(&host)
    }

    #[test]
    fn debian() {
        let release = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\n\
                       VERSION_CODENAME=trixie\nDEBIAN_VERSION_FULL=13.1\nID=debian\n";
        let expected = json!({"family": "debian", "distro": "debian", "version": "13", "arch": "amd64",
            "kernel_class": "linux", "upstream_id": "debian", "upstream_codename": "trixie"});
        assert_eq!(os(release, "x86_64"), expected);
    }

    #[test]
    fn a_derivative_names_its_upstream() {
        let mint = os(
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"22\"\nUBUNTU_CODENAME=noble\n",
            "aarch64",
        );
        assert_eq!(mint["upstream_id"], "ubuntu");
        assert_eq!(mint["upstream_codename"], "noble");
        assert_eq!((&mint["family"], &mint["arch"]), (&json!("debian"), &json!("arm64")));
        let unknown = os("ID=frobnix\nID_LIKE='rhel fedora'\n", "riscv64");
        assert_eq!((&unknown["family"], &unknown["arch"]), (&json!("redhat"), &json!("riscv64")));
        assert_eq!(os("ID=alone\n", "i686")["family"], "alone");
    }

    #[test]
    fn hostile_text_is_cleaned() {
        let os = os("ID=\"deb\\\"ian\u{1b}[31m\"\nVERSION_ID=\u{202e}1\n=\nnothing\n", "x86_64");
        assert_eq!(os["distro"], "deb\"ian[31m");
        assert_eq!(os["version"], "\\u{202e}1");
    }
}
