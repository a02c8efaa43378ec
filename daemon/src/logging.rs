//! Logs through `tracing`: for people or as JSON, one line an event.
//!
//! It chooses nothing: format, level and colour are arguments. What peers and files say may stand in any field;
//! in the format for people its control characters are shown escaped, so that no log line can be forged and no
//! terminal moved, and a long text is cut.
//!
//! Invariant: an event is one line.

use std::io::{IsTerminal, Write};

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use vigo_base::text;

/// Characters of one field.
const FIELD: usize = 4096;
/// The levels, from least to most.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why logs could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoggingError {
    /// The level is not one.
    #[error(
        "{found:?} is no log level{}: expected one of off, error, warn, info, debug, trace, or a filter such as \
         `info,vigo_daemon=debug`",
        nearest.map(|n| format!(", did you mean {n:?}")).unwrap_or_default()
    )]
    Level {
        /// What was found, escaped.
        found: String,
        /// The nearest level.
        nearest: Option<&'static str>,
    },
    /// This process has logs already.
    #[error("logs are set up already in this process")]
    Twice,
}

/// Sends this process's logs to standard error, in colour only if that is a terminal (and not JSON).
///
/// # Errors
/// [`LoggingError`].
pub fn init(format: LogFormat, level: &str) -> Result<(), LoggingError> {
    let colour = std::io::stderr().is_terminal();
    let subscriber = subscriber(format, level, colour, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Twice)
}

/// What [`init`] installs, with any writer.
///
/// # Errors
/// [`LoggingError::Level`].
pub fn subscriber<W>(
    format: LogFormat,
    level: &str,
    colour: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter(level)?).with_writer(writer);
    Ok(match format {
        LogFormat::Json => Box::new(builder.with_ansi(false).json().flatten_event(true).finish()),
        LogFormat::Human => {
            let fields = debug_fn(|out, field, value| match (field.name(), shown(&format!("{value:?}"))) {
                ("message", text) => write!(out, "{text}"),
                (name, text) => write!(out, "{name}={text}"),
            });
            Box::new(builder.with_ansi(colour).fmt_fields(fields.delimited(" ")).finish())
        }
    })
}

/// Crates that are heard of only when something is broken.
const LIBP2P: [&str; 6] = [
    "libp2p_core",
    "libp2p_gossipsub",
    "libp2p_identify",
    "libp2p_quic",
    "libp2p_swarm",
    "multistream_select",
];

/// Whether this says what is logged, such as `info,vigo_daemon=debug`.
pub fn is_filter(level: &str) -> bool {
    filter(level).is_ok()
}

/// A bare word must be a level (`EnvFilter` would take it for the name of a module and log nothing).
fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    let bad = || LoggingError::Level { found: shown(level), nearest: text::nearest(level, LEVELS) };
    let is_word = !level.contains(['=', ',', '[']);
    if is_word && !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
        return Err(bad());
    }
    // A peer can make libp2p warn as often as it likes; what matters of it is told by us, once.
    let as_said = !is_word || ["trace", "off"].iter().any(|all| level.eq_ignore_ascii_case(all));
    let quiet = match as_said {
        true => String::new(),
        false => LIBP2P.map(|name| format!(",{name}=error")).concat(),
    };
    EnvFilter::try_new(format!("{level}{quiet}")).map_err(|_| bad())
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(FIELD) {
        Some((end, _)) => text::escaped(&text[..end]) + "…",
        None => text::escaped(text),
    }
}

/// Ends the process's last words on a line of their own: flushes standard error.
pub fn flush() {
    let _ = std::io::stderr().flush();
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, colour: bool, log: impl FnOnce()) -> String {
        let paper = Paper::default();
        let writer = {
            let paper = paper.clone();
            move || paper.clone()
        };
        tracing::subscriber::with_default(subscriber(format, level, colour, writer).unwrap(), log);
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn hello() {
        let name = "web01\u{1b}[2J\nERROR forged\u{202e}";
        tracing::info!(peer = %name, quoted = name, count = 3, "hello {name}");
        tracing::debug!("not for everyone");
    }

    #[test]
    fn people_see_what_peers_would_hide() {
        let text = logged(LogFormat::Human, "info", false, hello);
        let escaped = "web01\\u{1b}[2J\\nERROR forged\\u{202e}";
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(&format!("hello {escaped} peer={escaped} ")), "{text}");
        assert!(text.contains("count=3") && !text.contains('\u{1b}'), "{text}");
        assert!(logged(LogFormat::Human, "debug", false, hello).contains("not for everyone"));
        let long = logged(LogFormat::Human, "info", false, || tracing::info!("{}", "x".repeat(9000)));
        assert!(long.len() < 4300 && long.ends_with("…\n"));
    }

    #[test]
    fn colour_only_when_asked_for() {
        assert!(logged(LogFormat::Human, "info", true, hello).contains('\u{1b}'));
        assert!(!logged(LogFormat::Json, "info", true, hello).contains('\u{1b}'));
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(LogFormat::Json, "info", false, hello);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["count"], 3);
        assert_eq!(value["peer"], "web01\u{1b}[2J\nERROR forged\u{202e}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_wrong_level_is_named() {
        let error = |level| filter(level).err().map(|e| e.to_string());
        assert!(error("wran").unwrap().contains("\"wran\" is no log level, did you mean \"warn\""));
        assert!(error("vigo_daemon=loud").is_some());
        assert_eq!(error("info,vigo_daemon=debug"), None);
        assert_eq!(error("WARN"), None);
    }
}
