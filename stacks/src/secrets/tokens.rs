//! What credentials look like, within a line.
//!
//! Formats with a prefix of their own are told by it; passwords are told by what they are assigned to and by how
//! little they look like words. A template, a reference to the vault, an encoded password and a placeholder are none.

/// Something that looks like a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub start: usize,
    pub end: usize,
    /// What kind, with its article.
    pub what: &'static str,
}

/// A format that begins with a prefix of its own.
struct Format {
    what: &'static str,
    prefix: &'static str,
    /// Which characters follow.
    body: fn(u8) -> bool,
    /// How many at least, and how many at most.
    length: (usize, usize),
}

fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

fn dotted(b: u8) -> bool {
    word(b) || b == b'.'
}

fn capital(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

const fn format(
    what: &'static str,
    prefix: &'static str,
    body: fn(u8) -> bool,
    length: (usize, usize),
) -> Format {
    Format { what, prefix, body, length }
}

const LONG: usize = 4096;

const FORMATS: [Format; 29] = [
    format("a key of AWS", "AKIA", capital, (16, 16)),
    format("a key of AWS", "ASIA", capital, (16, 16)),
    format("an API key of Google", "AIza", word, (35, 35)),
    format("an OAuth secret of Google", "GOCSPX-", word, (24, 40)),
    format("an OAuth token of Google", "ya29.", word, (40, LONG)),
    format("a token of GitHub", "ghp_", alnum, (36, 255)),
    format("a token of GitHub", "gho_", alnum, (36, 255)),
    format("a token of GitHub", "ghu_", alnum, (36, 255)),
    format("a token of GitHub", "ghs_", alnum, (36, 255)),
    format("a token of GitHub", "ghr_", alnum, (36, 255)),
    format("a token of GitHub", "github_pat_", word, (60, 255)),
    format("a token of GitLab", "glpat-", word, (20, 255)),
    format("a token of Slack", "xoxb-", word, (20, 255)),
    format("a token of Slack", "xoxp-", word, (20, 255)),
    format("a token of Slack", "xoxa-", word, (20, 255)),
    format("a token of Slack", "xoxr-", word, (20, 255)),
    format("a token of Slack", "xapp-", word, (20, 255)),
    format("a key of Stripe", "sk_live_", alnum, (20, 255)),
    format("a key of Stripe", "rk_live_", alnum, (20, 255)),
    format("a token of npm", "npm_", alnum, (36, 36)),
    format("a token of PyPI", "pypi-AgEI", word, (50, LONG)),
    format("a key of SendGrid", "SG.", dotted, (60, 80)),
    format("an API key", "sk-ant-", word, (30, LONG)),
    format("an API key", "sk-proj-", word, (30, LONG)),
    format("a token of Vault", "hvs.", word, (24, LONG)),
    format("a token of DigitalOcean", "dop_v1_", alnum, (64, 64)),
    format("an age key", "AGE-SECRET-KEY-1", capital, (50, 70)),
    format("a token of Docker Hub", "dckr_pat_", word, (20, 255)),
    format("a web hook of Slack", "hooks.slack.com/services/T", |b| alnum(b) || b == b'/', (30, 255)),
];

/// The last words of keys whose values are credentials.
const KEYS: [&str; 20] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "secret_key",
    "secret_access_key",
    "secret_key_base",
    "access_token",
    "auth_token",
    "token",
    "api_key",
    "apikey",
    "api_secret",
    "client_secret",
    "private_key",
    "encryption_key",
    "credential",
    "credentials",
    "psk",
];

/// What marks a value as no credential.
const PLACEHOLDERS: [&str; 13] = [
    "example",
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "redacted",
    "your-",
    "your_",
    "dummy",
    "xxxx",
    "****",
    "....",
    "secret:",
];

/// All that looks like a credential in a line, from left to right, none inside another.
pub(super) fn in_line(line: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    private_key(line, &mut hits);
    for format in &FORMATS {
        prefixed(line, format, &mut hits);
    }
    web_token(line, &mut hits);
    in_address(line, &mut hits);
    assigned(line, &mut hits);
    hits.sort_by_key(|h| (h.start, std::cmp::Reverse(h.end)));
    let mut end = 0;
    hits.retain(|hit| {
        let keep = hit.start >= end;
        end = end.max(hit.end);
        keep
    });
    hits
}

fn private_key(line: &str, hits: &mut Vec<Hit>) {
    let Some(start) = line.find("-----BEGIN ") else { return };
    let rest = &line[start + 11..];
    let Some(stop) = rest.find("-----") else { return };
    let title = &rest[..stop];
    if title.ends_with("PRIVATE KEY") || title.ends_with("PRIVATE KEY BLOCK") {
        hits.push(Hit { start, end: start + 11 + stop + 5, what: "a private key" });
    }
}

fn prefixed(line: &str, format: &Format, hits: &mut Vec<Hit>) {
    let bytes = line.as_bytes();
    let mut from = 0;
    while let Some(at) = line[from..].find(format.prefix).map(|i| from + i) {
        let body = at + format.prefix.len();
        let length = bytes[body..].iter().take_while(|b| (format.body)(**b)).count();
        from = body + length;
        let bounded = at == 0 || !alnum(bytes[at - 1]);
        let text = &line[at..from];
        if bounded && (format.length.0..=format.length.1).contains(&length) && !is_placeholder(text) {
            hits.push(Hit { start: at, end: from, what: format.what });
        }
    }
}

/// A JSON web token: three parts, of which the first two are JSON.
fn web_token(line: &str, hits: &mut Vec<Hit>) {
    let bytes = line.as_bytes();
    let mut from = 0;
    while let Some(at) = line[from..].find("eyJ").map(|i| from + i) {
        let length = bytes[at..].iter().take_while(|b| dotted(**b)).count();
        from = at + length.max(3);
        let parts: Vec<&str> = line[at..at + length].split('.').collect();
        let whole = parts.len() == 3 && parts.iter().all(|p| p.len() >= 10) && parts[1].starts_with("eyJ");
        if whole && (at == 0 || !word(bytes[at - 1])) {
            hits.push(Hit { start: at, end: at + length, what: "a web token" });
        }
    }
}

/// `scheme://user:password@host`.
fn in_address(line: &str, hits: &mut Vec<Hit>) {
    let mut from = 0;
    while let Some(at) = line[from..].find("://").map(|i| from + i + 3) {
        let stop = line[at..].find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '<' | ')'));
        let authority = &line[at..stop.map_or(line.len(), |i| at + i)];
        from = at;
        let Some((user, _)) = authority.rsplit_once('@') else { continue };
        let Some((name, password)) = user.split_once(':') else { continue };
        let sound = password.len() >= 4 && !is_reference(password) && !is_placeholder(password);
        if sound && !matches!(password, "password" | "pass" | "user" | "secret") {
            let start = at + name.len() + 1;
            hits.push(Hit { start, end: start + password.len(), what: "a password in an address" });
        }
    }
}

/// `password: …`, `API_KEY=…` and the like.
fn assigned(line: &str, hits: &mut Vec<Hit>) {
    let bytes = line.as_bytes();
    for (at, _) in line.match_indices([':', '=']) {
        let key_end = line[..at].trim_end_matches([' ', '\t', '"', '\'']).len();
        let key_start = bytes[..key_end].iter().rposition(|b| !word(*b)).map_or(0, |i| i + 1);
        if !is_key(&line[key_start..key_end]) {
            continue;
        }
        let after = &line[at + 1..];
        // `secret:PATH` is how the vault is named.
        if bytes[at] == b':' && &line[key_start..key_end] == "secret" && !after.starts_with([' ', '\t']) {
            continue;
        }
        let value = after.trim_start_matches([' ', '\t', ':', '=']);
        let start = line.len() - value.len();
        let (start, value) = match value.as_bytes().first() {
            Some(quote @ (b'"' | b'\'')) => {
                let inner = &value[1..];
                (start + 1, &inner[..inner.find(char::from(*quote)).unwrap_or(inner.len())])
            }
            _ => {
                let whole = value.split(" #").next().unwrap_or(value);
                // It ends where a text around it does, or the next key begins.
                let whole = whole.split(['"', '\'']).next().unwrap_or(whole);
                let whole = whole.split(", ").next().unwrap_or(whole).trim_end();
                let whole = whole.trim_end_matches([',', ';', '}', ']']);
                (start, if whole.contains(' ') { "" } else { whole })
            }
        };
        if is_password(value) {
            hits.push(Hit { start, end: start + value.len(), what: "a password or key" });
        }
    }
}

fn is_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    KEYS.iter()
        .any(|known| key == *known || key.strip_suffix(known).is_some_and(|rest| rest.ends_with(['_', '.'])))
}

/// Whether a value that is assigned to a key of [`KEYS`] is one in the clear.
fn is_password(value: &str) -> bool {
    if value.len() < 8 || value.len() > LONG || is_reference(value) || is_placeholder(value) {
        return false;
    }
    let encoded = value.starts_with('$') && value[1..].contains('$');
    let path = value.starts_with(['/', '~']) || value.starts_with("./") || value.contains("://");
    if encoded || path || value.starts_with(['!', '*', '&', '<', '[', '{', '(', '|', '>']) {
        return false;
    }
    let has = |test: fn(&u8) -> bool| usize::from(value.as_bytes().iter().any(test));
    let classes = has(u8::is_ascii_lowercase)
        + has(u8::is_ascii_uppercase)
        + has(u8::is_ascii_digit)
        + has(|b| b.is_ascii_punctuation() && !matches!(b, b'.' | b'-' | b'_' | b'/' | b',' | b':'));
    classes >= 2 && entropy(value) >= 2.5
}

/// Whether a value is a template, a variable of a shell, or a reference to the vault.
fn is_reference(value: &str) -> bool {
    value.contains("{{")
        || value.contains("${")
        || value.contains("$(")
        || value.starts_with("secret:")
        || value.starts_with("%(")
        || (value.starts_with('$') && value[1..].bytes().all(word))
}

fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|p| lower.contains(p))
}

/// Bits of each character, by how often each stands.
fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    text.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let all = text.len() as f64;
    let bits = |count: &u32| {
        let share = f64::from(*count) / all;
        -share * share.log2()
    };
    counts.iter().filter(|c| **c > 0).map(bits).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<&'static str> {
        in_line(line).into_iter().map(|h| h.what).collect()
    }

    // Each is put together here, so that no scanner of this repository finds it.
    #[test]
    fn credentials_are_found() {
        let cases: [(&str, String); 17] = [
            ("a private key", format!("-----BEGIN {}PRIVATE KEY-----", "OPENSSH ")),
            ("a private key", format!("-----BEGIN {} BLOCK-----", "PGP PRIVATE KEY")),
            ("a key of AWS", format!("id: {}Q3EGRZ6PLWVN2TXY", "AKIA")),
            ("an API key of Google", format!("key={}SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "AIza")),
            ("a token of GitHub", format!("x {}{}", "ghp_", "a1B2c3D4e5".repeat(4))),
            ("a token of GitLab", format!("{}{}", "glpat-", "Zx81_qwertyuiopASDFG")),
            ("a token of Slack", format!("{}123456789012-abcdefghijkl", "xoxb-")),
            ("a key of Stripe", format!("{}51HfakeKEYfakeKEYfakeKEY", "sk_live_")),
            ("a web token", format!("{}hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "eyJ")),
            ("a password in an address", "dsn: postgres://app:Tr0ub4dor@db/app".into()),
            ("a password or key", "password: \"Tr0ub4dor&3\"".into()),
            ("a password or key", "  DB_PASSWORD=correct7horse".into()),
            ("a password or key", "api-key: 9f8e7d6c5b4a39281706".into()),
            ("a password or key", "{user: a, token: Zm9vYmFyMTIz}".into()),
            ("a password or key", "{content: \"password: Tr0ub4dor&3\\n\", mode: a}".into()),
            ("a password or key", "\"client_secret\": \"aB3dE6gH9jK2\",".into()),
            ("a password or key", "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYzzKEYTEST1".into()),
        ];
        for (what, line) in cases {
            assert_eq!(found(&line), [what], "{line}");
        }
    }

    #[test]
    fn what_is_none_is_left_alone() {
        for line in [
            "password: \"secret:vigo/db/dsn\"",
            "password: \"{{ .Vars.password }}\"",
            "password: \"$6$rounds=5000$abcdefgh$0123456789abcdefghijklmnop\"",
            "password: \"*\"",
            "password_encryption = scram-sha-256",
            "PasswordAuthentication no",
            "passwd:         files systemd",
            "password    requisite    pam_pwquality.so retry=3 minlen=14",
            "DB_PASSWORD=${DB_PASSWORD}",
            "token: changeme123",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5IG9mIG5vIG9uZSwgZm9yIHRlc3RzIG9ubHkh dan@laptop",
            "ssl_certificate_key /etc/ssl/private/site.key;",
            "private_key: /etc/ssl/private/site.key",
            "url: https://user:{{ .Vars.pw }}@host/",
            "url: http://localhost:8080/a@b",
            "id: AKIAIOSFODNN7EXAMPLE",
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "secret: vault",
            "checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ] {
            assert_eq!(found(line), [""; 0], "{line}");
        }
    }
}
