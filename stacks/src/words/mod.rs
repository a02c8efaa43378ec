//! Texts with a form of their own: names of accounts, public keys, schedules. One rule each, for publish and for
//! the machine.
//!
//! Pure, and it never repairs: a text has the form or is refused with what is wrong in it. The invariant that
//! the executors rest on: what has the form of a word holds no line break, no NUL and, but for a cron command
//! and a comment, nothing that a shell would read.

mod keys;
mod schedule;
mod software;
mod system;

use vigo_base::text::escaped;

pub use keys::{Key, key};
pub use software::unit_name;

/// Bytes of the name of an account or a group, as `useradd` takes it.
pub const ACCOUNT_BYTES: usize = 32;
/// Bytes of the name of a cron job.
pub const JOB_BYTES: usize = 64;
/// Bytes of a comment.
pub const COMMENT_BYTES: usize = 256;
/// Bytes of a line in a cron file: cron cuts what is longer, in silence.
pub const CRON_LINE_BYTES: usize = 990;
/// Bytes of a public key with its options and comment.
pub const KEY_BYTES: usize = 8192;
/// Elements of a list of words.
pub const LIST_MAX: usize = 256;

/// The forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The name of a user or a group.
    Account,
    /// A user or group id.
    Id,
    /// The encoded form of a password, as in `/etc/shadow`.
    PasswordHash,
    /// The comment of an account.
    Comment,
    /// A line of `authorized_keys`.
    Key,
    /// The name of a cron job.
    Job,
    /// What cron runs.
    CronCommand,
    /// When cron runs it.
    Schedule,
    /// The name of a package.
    Package,
    /// The name of a unit of systemd.
    Unit,
    /// One line of text.
    Line,
    /// A whole number.
    Number,
    /// A port.
    Port,
    /// A port or a range of them.
    Ports,
    /// Where something is on the web, or a file.
    Url,
    /// A digest with its kind.
    Checksum,
    /// The name or address of a machine.
    Host,
    /// An address, or a network.
    Address,
    /// A network interface.
    Interface,
    /// The name of a value of the kernel.
    Sysctl,
    /// A time zone.
    Zone,
}

impl Word {
    /// What is expected, for an error.
    pub fn expected(self) -> &'static str {
        match self {
            Word::Account => {
                "a name of at most 32 letters, digits, `_`, `-` and `.`, the first a letter or `_`"
            }
            Word::Id => "a number from 0 to 4294967294",
            Word::PasswordHash => {
                "the encoded form of a password, as `openssl passwd -6` prints it, or `*` for none"
            }
            Word::Comment => "one line of at most 256 bytes without `:`",
            Word::Key => "a public key in one line, as in a .pub file: `ssh-ed25519 AAAA… name`",
            Word::Job => "at most 64 letters, digits, `_` and `-`, the first a letter or digit",
            Word::CronCommand => "a command in one line of at most 990 bytes",
            Word::Package => {
                "a name of letters, digits, `+`, `-` and `.`, two at least, like `nginx` or `libc6:i386`"
            }
            Word::Unit => "a name of letters, digits and `:-_.@`, like `nginx` or `getty@tty1`",
            Word::Line => "one line of at most 4096 bytes, not empty",
            Word::Number => "a whole number from 0 to 4294967295",
            Word::Port => "a port from 1 to 65535",
            Word::Ports => "a number from 1 to 65535, or a range like 8000-8010",
            Word::Url => "an address that begins with https://, http:// or file:///",
            Word::Checksum => "a digest like sha256: and 64 hexadecimal digits",
            Word::Host => "the name or address of a machine",
            Word::Address => "an address or a network, like 10.0.0.1 or 10.0.0.0/8",
            Word::Interface => "the name of an interface, like eth0 or GigabitEthernet0/1",
            Word::Sysctl => "a dotted name like net.ipv4.ip_forward",
            Word::Zone => "a time zone like UTC or Europe/Zurich",
            Word::Schedule => {
                "five fields (minute hour day month weekday) like `0 3 * * 1-5`, or @hourly, @daily, @weekly, @monthly, @yearly, @reboot"
            }
        }
    }

    /// What is wrong with `text` as such a word; `None` when nothing is.
    pub fn fault(self, text: &str) -> Option<String> {
        match self {
            Word::Account => account(text),
            Word::Id => match text.parse::<u32>() {
                Ok(id) if id != u32::MAX && text.bytes().all(|b| b.is_ascii_digit()) => None,
                _ => Some("this is not such a number".into()),
            },
            Word::PasswordHash => password_hash(text),
            Word::Comment => one_line(text, COMMENT_BYTES)
                .or_else(|| text.contains(':').then(|| "a `:` ends the field in /etc/passwd".into())),
            Word::Key => key(text).err(),
            Word::Job => job(text),
            Word::CronCommand => cron_command(text),
            Word::Schedule => schedule::fault(text),
            Word::Package => software::package(text),
            Word::Unit => software::unit(text),
            Word::Line => one_line(text, system::LINE_BYTES)
                .or_else(|| text.trim().is_empty().then(|| "it is empty".into())),
            other => system::fault(other, text),
        }
    }
}

fn account(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match text.chars().next() {
        None => Some("it is empty".into()),
        Some(first) if !(first.is_ascii_alphabetic() || first == '_') => {
            Some(format!("it begins with `{}`", escaped(&first.to_string())))
        }
        Some(_) if text.len() > ACCOUNT_BYTES => Some(format!("it has {} characters", text.len())),
        Some(_) => odd(text, plain),
    }
}

fn job(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match text.chars().next() {
        None => Some("it is empty".into()),
        Some('_' | '-') => Some("it begins with neither a letter nor a digit".into()),
        Some(_) if text.len() > JOB_BYTES => Some(format!("it has {} characters", text.len())),
        Some(_) if text.contains('.') => Some("cron passes over files with a `.` in their names".into()),
        Some(_) => odd(text, plain),
    }
}

/// The first character that is not allowed, in words.
fn odd(text: &str, plain: impl Fn(char) -> bool) -> Option<String> {
    let found = text.chars().find(|c| !plain(*c))?;
    Some(format!("it holds `{}`", escaped(&found.to_string())))
}

/// `*` and `!` stand for no password; else `$id$…` of the characters that crypt(5) writes.
fn password_hash(text: &str) -> Option<String> {
    if matches!(text, "*" | "!") {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '$' | '.' | '/' | '=' | ',' | '-' | '_');
    let shaped = text.starts_with('$') && text.matches('$').count() >= 3 && !text.ends_with('$');
    if shaped && text.len() <= 512 && text.chars().all(plain) {
        return None;
    }
    // The text may be a password in clear: it is not repeated.
    Some("this is no encoded password; a password in clear does not belong here".into())
}

fn one_line(text: &str, bytes: usize) -> Option<String> {
    if text.len() > bytes {
        Some(format!("it has {} bytes", text.len()))
    } else if text.contains(['\n', '\r']) {
        Some("it holds a line break".into())
    } else if text.chars().any(|c| c.is_control() && c != '\t') {
        Some("it holds a control character".into())
    } else {
        None
    }
}

/// One line that has room for the backslash that each `%` gets.
fn cron_command(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("it is empty".into());
    }
    let bytes = text.len() + text.matches('%').count();
    if bytes > CRON_LINE_BYTES {
        return Some(format!("it takes {bytes} bytes: put it into a script and name that"));
    }
    one_line(text, CRON_LINE_BYTES).map(|why| {
        if why.contains("line break") { format!("{why}: join lines with `;` or `&&`") } else { why }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn good(word: Word, texts: &[&str]) {
        texts.iter().for_each(|t| assert_eq!(word.fault(t), None, "{t}"));
    }

    #[track_caller]
    fn bad(word: Word, texts: &[(&str, &str)]) {
        for (text, part) in texts {
            let why = word.fault(text).unwrap_or_else(|| panic!("{text} is taken"));
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn names_of_accounts() {
        good(Word::Account, &["dan", "_apt", "www-data", "first.last", "Dan", "a1", &"a".repeat(32)]);
        bad(Word::Account, &[("", "empty"), ("-r", "begins with `-`"), ("1dan", "begins"), ("a:b", "`:`")]);
        bad(
            Word::Account,
            &[("a b", "` `"), ("a/b", "`/`"), ("a\nb", "\\n"), ("ü", "begins"), ("aü", "`ü`")],
        );
        bad(Word::Account, &[(&"a".repeat(33), "33"), ("a$(x)", "`$`"), (".a", "begins")]);
    }

    #[test]
    fn ids_comments_jobs_and_commands() {
        good(Word::Id, &["0", "1000", "4294967294"]);
        bad(Word::Id, &[("", "number"), ("-1", "number"), ("+1", "number"), ("4294967295", "number")]);
        good(Word::Comment, &["", "Dan D., room 5", "Jürg"]);
        bad(Word::Comment, &[("a:b", "`:`"), ("a\nb", "line break"), (&"a".repeat(257), "257")]);
        good(Word::Job, &["backup", "0-x_Y"]);
        bad(Word::Job, &[("", "empty"), ("a.b", "passes over"), ("../x", "passes over"), ("-a", "begins")]);
        bad(Word::Job, &[("a/b", "`/`"), (&"a".repeat(65), "65")]);
        good(Word::CronCommand, &["date +%F", "x\ty", &"a".repeat(990)]);
        bad(Word::CronCommand, &[("", "empty"), (" ", "empty"), ("a\nb", "join lines"), ("a\0", "control")]);
        bad(Word::CronCommand, &[(&"%".repeat(500), "1000 bytes"), (&"a".repeat(991), "script")]);
    }

    #[test]
    fn encoded_passwords_and_nothing_else() {
        good(
            Word::PasswordHash,
            &["*", "!", "$6$salt$Ab./0", "$y$j9T$salt$hash", "$argon2id$v=19$m=65536,t=2$c2$aGFzaA"],
        );
        for clear in ["hunter2", "", "$", "$6$", "$6$a$", "$6$a$b:c", "$6$a$b\n", "!$6$a$b", "x"] {
            let why = Word::PasswordHash.fault(clear).unwrap_or_else(|| panic!("{clear} is taken"));
            assert!(clear.len() < 2 || !why.contains(clear), "the password is repeated: {why}");
        }
    }
}
