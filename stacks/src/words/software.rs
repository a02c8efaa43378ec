//! Names of packages and of units, as Debian's policy and systemd have them.
//!
//! Pure. What has the form of one of them stands for itself on a command line: it begins with no dash, and holds
//! nothing that apt takes for an option, a pattern or a version, nor anything that a shell reads in single quotes.

/// Bytes of the longest package name.
const PACKAGE_BYTES: usize = 128;
/// Bytes of the longest unit name.
const UNIT_BYTES: usize = 255;

/// Kinds of units; a name without one is a service's.
const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".slice",
    ".scope",
    ".device",
];

/// What is wrong with the name of a package; `None` when nothing is.
pub(super) fn package(name: &str) -> Option<String> {
    let (stem, arch) = name.split_once(':').map_or((name, None), |(stem, arch)| (stem, Some(arch)));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let sound = stem.len() >= 2
        && name.len() <= PACKAGE_BYTES
        && stem.starts_with(plain)
        && stem.chars().all(|c| plain(c) || "+.-".contains(c))
        && arch.is_none_or(|arch| !arch.is_empty() && arch.chars().all(|c| plain(c) || c == '-'));
    if sound {
        return None;
    }
    Some(match name {
        name if name.contains(['=', '/']) => "a version or release cannot be asked for".to_owned(),
        name if name.split([' ', ',', '\n']).count() > 1 => "one resource is for one package".to_owned(),
        name if name.chars().any(|c| c.is_ascii_uppercase()) => {
            "the names of packages have no capitals".to_owned()
        }
        _ => "this is no such name".to_owned(),
    })
}

/// The unit that a declared name means.
pub fn unit_name(declared: &str) -> String {
    if SUFFIXES.iter().any(|suffix| declared.ends_with(suffix)) {
        declared.to_owned()
    } else {
        format!("{declared}.service")
    }
}

/// What is wrong with the name of a unit; `None` when nothing is.
pub(super) fn unit(name: &str) -> Option<String> {
    let unit = unit_name(name);
    let stem = SUFFIXES.iter().find_map(|suffix| unit.strip_suffix(suffix)).unwrap_or_default();
    let sound = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if stem.is_empty() || stem.starts_with('-') || unit.len() > UNIT_BYTES || !stem.chars().all(sound) {
        return Some("this is no such name".to_owned());
    }
    stem.ends_with('@').then(|| "a template is not a unit: name one of it, like `getty@tty1`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_from_command_lines() {
        for name in ["nginx", "g++", "libc6:i386", "libstdc++-12-dev", "0ad", "python3.11"] {
            assert_eq!(package(name), None, "{name}");
        }
        let says = |name: &str| package(name).unwrap_or_else(|| panic!("{name}"));
        assert!(says("nginx=1.2").contains("version"));
        assert!(says("nginx/bookworm").contains("release"));
        assert!(says("nginx curl").contains("one package"));
        assert!(says("Nginx").contains("capitals"));
        for name in ["", "x", "-y", "a;id", "a$(id)", "a`id`", "libc*", "~n", "a:", "a:b:c", "a\0b", "ä-x"] {
            says(name);
        }
        says(&"a".repeat(PACKAGE_BYTES + 1));
    }

    #[test]
    fn units_are_told_from_command_lines() {
        for name in
            ["nginx", "getty@tty1", "a\\x2db.mount", "dbus-org.freedesktop.network1", "apt-daily.timer"]
        {
            assert_eq!(unit(name), None, "{name}");
        }
        for name in
            ["", ".service", "-x", "a b", "a;b", "a'b", "a/b", "getty@", "getty@.service", "ä", "a\nb", "a*"]
        {
            assert!(unit(name).is_some(), "{name}");
        }
        assert!(unit(&"a".repeat(UNIT_BYTES)).is_some());
        assert_eq!(unit_name("nginx"), "nginx.service");
        assert_eq!(unit_name("php8.2-fpm"), "php8.2-fpm.service");
        assert_eq!(unit_name("apt-daily.timer"), "apt-daily.timer");
    }
}
