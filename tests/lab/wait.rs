//! Waiting for something with a deadline, and saying what was seen last when it did not come.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives `Ok`, and gives that with the time it took; fails after `within` with the last `Err`.
#[track_caller]
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        match look() {
            Ok(value) => return (value, began.elapsed()),
            Err(seen) => {
                assert!(began.elapsed() < within, "{what}: not within {within:?}; last seen: {seen}");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Looks until the condition holds; fails after `within`.
#[track_caller]
pub fn holds(what: &str, within: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    until(what, within, || if condition() { Ok(()) } else { Err("it does not hold".to_owned()) }).1
}

/// Runs a command that prints one JSON value.
pub fn json(mut command: Command) -> Result<Value, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{command:?}: {}: {} {}", output.status, text.trim(), errors.trim()));
    }
    serde_json::from_str(&text).map_err(|e| format!("{command:?} printed no JSON ({e}): {}", text.trim()))
}

/// Runs a command again and again until the JSON it prints is accepted.
#[track_caller]
pub fn until_json(
    what: &str,
    within: Duration,
    mut command: impl FnMut() -> Command,
    mut accept: impl FnMut(&Value) -> bool,
) -> (Value, Duration) {
    until(what, within, || {
        let value = json(command())?;
        if accept(&value) { Ok(value) } else { Err(value.to_string()) }
    })
}
