//! The sixteen functions of conditions: their names, their arguments, and what is wrong with an argument.
//!
//! It answers none of them; that is [`super::eval()`] with a [`super::Probe`].

/// The functions that a condition may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Builtin {
    /// `os_family('debian')`: the family or the kernel class is that.
    OsFamily,
    /// `distro('ubuntu')`.
    Distro,
    /// `arch('amd64')`.
    Arch,
    /// `version_ge('12')`: the system's version is that or later.
    VersionGe,
    /// `port_listening(8080)`: something listens on that TCP port, by the trait `ports`.
    PortListening,
    /// `file_exists('/etc/x')`: a regular file is there.
    FileExists,
    /// `dir_exists('/opt/app')`: a directory is there.
    DirExists,
    /// `command_succeeds('test -e /x')`: the command exits with 0.
    CommandSucceeds,
    /// `process_running('nginx')`: a process of that name runs.
    ProcessRunning,
    /// `hour_range(22, 5)`: the local hour is from the first up to, not including, the second; it may wrap midnight.
    HourRange,
    /// `minute_range(0, 15)`: the same for the minute of the hour.
    MinuteRange,
    /// `day_of_week('sunday')`: in full or by three letters.
    DayOfWeek,
    /// `day_of_month(1)`.
    DayOfMonth,
    /// `has_display()`: a display server is there.
    HasDisplay,
    /// `flag_set('beta')`: the flag file of that name is there.
    FlagSet,
    /// `in_group('docker')`: the system has that group.
    InGroup,
}

/// Where the files of `flag_set()` lie.
pub const FLAGS: &str = "/var/lib/vigo/flags";

impl Builtin {
    /// All of them.
    pub const ALL: [Builtin; 16] = [
        Builtin::OsFamily,
        Builtin::Distro,
        Builtin::Arch,
        Builtin::VersionGe,
        Builtin::PortListening,
        Builtin::FileExists,
        Builtin::DirExists,
        Builtin::CommandSucceeds,
        Builtin::ProcessRunning,
        Builtin::HourRange,
        Builtin::MinuteRange,
        Builtin::DayOfWeek,
        Builtin::DayOfMonth,
        Builtin::HasDisplay,
        Builtin::FlagSet,
        Builtin::InGroup,
    ];

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Builtin::OsFamily => "os_family",
            Builtin::Distro => "distro",
            Builtin::Arch => "arch",
            Builtin::VersionGe => "version_ge",
            Builtin::PortListening => "port_listening",
            Builtin::FileExists => "file_exists",
            Builtin::DirExists => "dir_exists",
            Builtin::CommandSucceeds => "command_succeeds",
            Builtin::ProcessRunning => "process_running",
            Builtin::HourRange => "hour_range",
            Builtin::MinuteRange => "minute_range",
            Builtin::DayOfWeek => "day_of_week",
            Builtin::DayOfMonth => "day_of_month",
            Builtin::HasDisplay => "has_display",
            Builtin::FlagSet => "flag_set",
            Builtin::InGroup => "in_group",
        }
    }

    /// How many arguments it takes.
    pub fn arguments(self) -> usize {
        match self {
            Builtin::HasDisplay => 0,
            Builtin::HourRange | Builtin::MinuteRange => 2,
            _ => 1,
        }
    }

    /// How it is written.
    pub fn usage(self) -> String {
        let arguments = ["", "'…'", "'…', '…'"][self.arguments().min(2)];
        format!("{}({arguments})", self.name())
    }

    /// Whether it looks at the running system, so that it is answered when the step's turn comes.
    pub fn at_run_time(self) -> bool {
        !matches!(
            self,
            Builtin::OsFamily | Builtin::Distro | Builtin::Arch | Builtin::VersionGe | Builtin::PortListening
        )
    }

    /// What is wrong with arguments in which no template is left: what, and how to put it right.
    pub fn fault(self, arguments: &[String]) -> Option<(String, &'static str)> {
        let first = arguments.first().map_or("", String::as_str);
        let not = |what: &str, help| Some((format!("'{first}' is no {what}"), help));
        match self {
            Builtin::VersionGe if !first.starts_with(|c: char| c.is_ascii_digit()) => {
                not("version", "a version begins with a digit, like version_ge('22.04')")
            }
            Builtin::PortListening if port(first).is_none() => {
                not("port", "a port is a number from 1 to 65535, like port_listening(8080)")
            }
            Builtin::DayOfWeek if weekday(first).is_none() => {
                not("day of the week", "write for example day_of_week('monday') or day_of_week('mon')")
            }
            Builtin::DayOfMonth if number(first, 1, 31).is_none() => {
                not("day of the month", "a day of the month is a number from 1 to 31")
            }
            Builtin::FlagSet if !is_flag(first) => {
                not("flag", "a flag has letters, digits, `.`, `-` and `_`, and begins with a letter or digit")
            }
            Builtin::HourRange => range_fault(arguments, 24, "hour"),
            Builtin::MinuteRange => range_fault(arguments, 60, "minute"),
            _ => None,
        }
    }
}

fn range_fault(arguments: &[String], end: u8, of: &str) -> Option<(String, &'static str)> {
    let help = "the first counts, the second does not: hour_range(22, 5) holds from 22:00 to 4:59";
    for (argument, most) in arguments.iter().zip([end - 1, end]) {
        // A template in one of the two leaves the other to be judged.
        if !crate::template::holds(argument) && number(argument, 0, most).is_none() {
            return Some((format!("'{argument}' is no {of} from 0 to {most}"), help));
        }
    }
    let same = arguments.len() == 2 && number(&arguments[0], 0, end) == number(&arguments[1], 0, end);
    (same && number(&arguments[0], 0, end).is_some())
        .then(|| (format!("from {0} to {0} there is no {of}", arguments[0]), help))
}

/// The port that an argument names.
pub(super) fn port(argument: &str) -> Option<u16> {
    let digits = argument.bytes().all(|b| b.is_ascii_digit());
    argument.parse().ok().filter(|port| digits && *port != 0)
}

/// A whole number within bounds.
pub(super) fn number(argument: &str, low: u8, high: u8) -> Option<u8> {
    let digits = argument.bytes().all(|b| b.is_ascii_digit());
    argument.parse().ok().filter(|n| digits && (low..=high).contains(n))
}

/// The day that a name means, from 0 for Monday (D33).
pub(super) fn weekday(name: &str) -> Option<u8> {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let name = name.to_ascii_lowercase();
    let at = days.iter().position(|day| *day == name || (name.len() == 3 && day.starts_with(&name)))?;
    u8::try_from(at).ok()
}

/// Whether `name` may name a flag: one file, right below [`FLAGS`].
pub(super) fn is_flag(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}
