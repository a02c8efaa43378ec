//! The image that all machines stand on: one Debian 12, made once, never written to afterwards.
//!
//! It lies outside the clone, in `VIGO_LAB_CACHE` or `~/.cache/vigo-lab`, under a name that changes with everything
//! that goes into it. It appears by a rename under a lock, so that nobody sees half of one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::super::net::try_run;

const SUITE: &str = "bookworm";

/// What every machine has beside Debian's essential packages. There is no network to install more from: a test that
/// needs a package of its own makes one (`Repository`).
const PACKAGES: [&str; 16] = [
    "adduser",
    "ca-certificates",
    "cron",
    "dbus",
    "iproute2",
    "iputils-ping",
    "less",
    "libcap2-bin",
    "nftables",
    "openssh-client",
    "openssh-server",
    "procps",
    "socat",
    "sudo",
    "systemd",
    "systemd-sysv",
];

/// Run inside once. Users: `admin` may do all by `sudo` without a password, `guest` nothing.
const FINISH: &str = r#"set -eu
for user in admin guest; do useradd --create-home --shell /bin/bash "$user"; done
printf 'admin ALL=(ALL:ALL) NOPASSWD: ALL\n' >/etc/sudoers.d/admin
chmod 440 /etc/sudoers.d/admin
systemctl disable ssh.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer 2>/dev/null
systemctl mask e2scrub_reap.service console-getty.service fstrim.timer 2>/dev/null
systemctl enable systemd-networkd.service
apt-get clean
rm -rf /var/lib/apt/lists/* /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/ssh/ssh_host_*
mkdir -p /var/log/journal
: >/etc/machine-id
: >/etc/resolv.conf
"#;

static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The image's folder; makes it when it is not there, which takes a minute or two and the network.
pub fn ready() -> Result<PathBuf, String> {
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if built.is_none() {
        *built = Some(find_or_build(&cache())?);
    }
    Ok(built.clone().unwrap_or_default())
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    std::env::var_os("VIGO_LAB_CACHE").map_or_else(|| home().join(".cache/vigo-lab"), PathBuf::from)
}

fn find_or_build(cache: &Path) -> Result<PathBuf, String> {
    let image = cache.join(format!("{SUITE}-{}", key()));
    let said = |what: &str, e: std::io::Error| format!("cannot {what} below {}: {e}", cache.display());
    fs::create_dir_all(cache).map_err(|e| said("make a folder", e))?;
    let lock = File::create(cache.join("lock")).map_err(|e| said("open the lock", e))?;
    lock.lock().map_err(|e| said("take the lock", e))?;
    if image.is_dir() {
        return Ok(image);
    }
    // We hold the lock: what is unfinished has no builder any more.
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(".unfinished") {
            fs::remove_dir_all(entry.path()).map_err(|e| said("remove an unfinished image", e))?;
        }
    }
    let unfinished = image.with_extension("unfinished");
    build(&unfinished)?;
    fs::rename(&unfinished, &image).map_err(|e| said("name the image", e))?;
    Ok(image)
}

fn build(folder: &Path) -> Result<(), String> {
    let root = folder.display().to_string();
    let mirror = std::env::var("VIGO_LAB_MIRROR").unwrap_or_default();
    let include = format!("--include={}", PACKAGES.join(","));
    let mut words = vec!["--variant=minbase", &include, SUITE, &root];
    words.extend(Some(mirror.as_str()).filter(|m| !m.is_empty()));
    try_run("debootstrap", &words, None)
        .map_err(|e| format!("{e}; see {root}/debootstrap/debootstrap.log"))?;
    try_run("chroot", &[&root, "sh", "-c", FINISH], None)
}

/// FNV-1a over all that goes in: enough to tell one list from another.
fn key() -> String {
    let all = format!("{SUITE} {} {FINISH}", PACKAGES.join(" "));
    let hash = all.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
