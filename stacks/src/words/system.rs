//! Ports, addresses, digests and names that systems give to things.
//!
//! Pure. What has the form of one of them holds no blank and nothing that a shell would read.

use std::net::IpAddr;

use vigo_base::text::escaped;

use super::Word;

/// Bytes of the longest line.
pub(super) const LINE_BYTES: usize = 4096;
/// Bytes of the longest web address.
const URL_BYTES: usize = 2048;
/// Bytes of the longest name of a machine.
const HOST_BYTES: usize = 253;

/// What is wrong with `text`; `None` when nothing is, and for words of other modules.
pub(super) fn fault(word: Word, text: &str) -> Option<String> {
    let fits = match word {
        Word::Number => text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_ok(),
        Word::Port => port(text).is_some(),
        Word::Ports => match text.split_once('-') {
            None => port(text).is_some(),
            Some((low, high)) => matches!((port(low), port(high)), (Some(l), Some(h)) if l <= h),
        },
        Word::Url => return url(text),
        Word::Checksum => return checksum(text),
        Word::Host => host(text),
        Word::Address => address(text),
        Word::Interface => plain(text, 64, "/._:-@"),
        Word::Sysctl => {
            plain(text, 256, "._/-") && text.contains(['.', '/']) && !text.starts_with(['.', '/', '-'])
        }
        Word::Zone => plain(text, 64, "/_+-") && !text.starts_with(['/', '-']),
        _ => return None,
    };
    (!fits).then(|| "this has another form".into())
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

fn plain(text: &str, bytes: usize, beside: &str) -> bool {
    (1..=bytes).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || beside.contains(c))
        && !text.split('/').any(|part| part == "..")
}

fn host(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= HOST_BYTES && text.split('.').all(label))
}

fn address(text: &str) -> bool {
    let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
    let Ok(ip) = ip.parse::<IpAddr>() else { return false };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|b| b.bytes().all(|d| d.is_ascii_digit()) && b.parse::<u8>().is_ok_and(|b| b <= most))
}

fn url(text: &str) -> Option<String> {
    let rest = ["https://", "http://", "file:///"].iter().find_map(|scheme| text.strip_prefix(scheme));
    if text.len() > URL_BYTES {
        return Some(format!("it has {} bytes", text.len()));
    }
    if let Some(odd) =
        text.chars().find(|c| c.is_whitespace() || c.is_control() || "\"'`\\<>|;$".contains(*c))
    {
        return Some(format!("it holds `{}`", escaped(&odd.to_string())));
    }
    match rest {
        None => Some("it begins with something else".into()),
        Some("") => Some("nothing comes after its scheme".into()),
        Some(rest) if rest.split('/').next().is_some_and(|host| host.contains('@')) => {
            Some("a name or password does not belong into an address".into())
        }
        Some(_) => None,
    }
}

fn checksum(text: &str) -> Option<String> {
    let Some((kind, digits)) = text.split_once(':') else { return Some("its kind is missing".into()) };
    let wanted = match kind {
        "sha256" => 64,
        "sha512" => 128,
        _ => return Some("only sha256 and sha512 are known".into()),
    };
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some("there is something beside hexadecimal digits in it".into());
    }
    (digits.len() != wanted).then(|| format!("it has {} digits, not {wanted}", digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn sorts(word: Word, good: &[&str], bad: &[&str]) {
        good.iter().for_each(|t| assert_eq!(word.fault(t), None, "{t}"));
        bad.iter().for_each(|t| assert!(word.fault(t).is_some(), "{t}"));
    }

    #[test]
    fn words_of_systems() {
        sorts(Word::Line, &["x", "deb https://x y main"], &["", " ", "a\nb", "a\0"]);
        sorts(Word::Number, &["0", "4294967295"], &["", "-1", "+1", "4294967296", "1.5"]);
        sorts(Word::Port, &["1", "65535"], &["0", "65536", "", "80-90", "http"]);
        sorts(Word::Ports, &["80", "8000-8010", "7-7"], &["9-8", "-", "1-", "a-b"]);
        sorts(
            Word::Host,
            &["web1", "web-1.example.com", "10.0.0.1", "::1"],
            &["", "-a", "a..b", "a_b", "a b"],
        );
        sorts(
            Word::Address,
            &["10.0.0.1", "10.0.0.0/8", "fe80::/10"],
            &["10.0.0.0/33", "x", "1.2.3", "::1/129"],
        );
        sorts(Word::Interface, &["eth0", "ge-0/0/1", "Gi0/1.20"], &["", "a b", "../x", "a;b"]);
        sorts(Word::Sysctl, &["net.ipv4.ip_forward", "net/ipv4/x"], &["x", ".x", "a b.c", "../a.b"]);
        sorts(Word::Zone, &["UTC", "Europe/Zurich", "Etc/GMT+1"], &["", "/etc", "../x", "a b"]);
    }

    #[test]
    fn addresses_of_the_web_and_digests() {
        sorts(
            Word::Url,
            &["https://x/y?z=1", "http://x", "file:///srv/x.deb"],
            &["", "ftp://x", "https://", "https://a b", "https://x/$(id)", "https://me:pw@x/", "x"],
        );
        let sha = format!("sha256:{}", "0a".repeat(32));
        sorts(Word::Checksum, &[&sha], &["", "sha256:", "md5:00", &sha[7..], &sha[..60], "sha256:zz"]);
    }
}
