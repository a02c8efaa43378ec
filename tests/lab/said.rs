//! What a command came to: its exit code and both outputs, and what a test demands of them.
//!
//! It runs nothing.

use std::process::Output;

use serde_json::Value;

/// What a command came to.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Of what a program left.
    pub fn of(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The JSON it printed, of a command that must have gone well.
    #[track_caller]
    pub fn json(&self) -> Value {
        let out = self.good();
        serde_json::from_str(out).unwrap_or_else(|e| panic!("no JSON ({e}): {out}"))
    }

    /// The output of a command that must have gone well.
    #[track_caller]
    pub fn good(&self) -> &str {
        assert_eq!(self.code, 0, "it failed:\n{}\n{}", self.out, self.err);
        &self.out
    }

    /// The error of a command that must have ended with this code.
    #[track_caller]
    pub fn bad(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "another code was expected:\n{}\n{}", self.out, self.err);
        &self.err
    }

    /// Whether it went well.
    pub fn went_well(&self) -> bool {
        self.code == 0
    }
}
