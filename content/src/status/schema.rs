//! The three registers of an envoy.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vigo_base::codec::{self, BadBytes};
use vigo_base::{Hash, Time};
use vigo_crdt::register::Slot;

/// The slot of [`Presence`].
pub const PRESENCE: Slot = 1;
/// The slot of [`Run`].
pub const RUN: Slot = 2;
/// The slot of [`Traits`].
pub const TRAITS: Slot = 3;
/// How many runs a register remembers.
pub const HISTORY: usize = 20;
/// Bytes of the largest value: two records of this size, side by side, still fit into a proof of a fork.
pub const VALUE_BYTES: usize = 14 * 1024;
const TRAITS_BYTES: usize = 13 * 1024;
const STEPS: usize = 64;
const MESSAGE: usize = 200;

/// A value that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed status: {0}")]
pub struct BadStatus(#[from] pub BadBytes);

/// That the envoy is there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Presence {
    /// The version of the program.
    #[n(0)]
    pub version: String,
    /// Where it listens; empty if it can only dial out.
    #[n(1)]
    pub addresses: Vec<String>,
    /// When the node started.
    #[n(2)]
    pub started: Time,
    /// How often it says something of itself, in seconds.
    #[n(3)]
    pub cadence: u64,
}

/// Outcomes of one run, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct Tally {
    /// As declared.
    #[n(0)]
    pub none: u32,
    /// Created, updated or deleted.
    #[n(1)]
    pub changed: u32,
    /// Skipped.
    #[n(2)]
    pub skipped: u32,
    /// Blocked by another's failure.
    #[n(3)]
    pub blocked: u32,
    /// Failed.
    #[n(4)]
    pub failed: u32,
}

/// A step worth telling of: one that changed, failed or was blocked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct RunStep {
    /// `configcrate/resource`.
    #[n(0)]
    pub id: String,
    /// The outcome in lower case.
    #[n(1)]
    pub outcome: String,
    /// Why, cut to 200 characters.
    #[n(2)]
    pub message: String,
}

/// The last run, and how the ones before it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct Run {
    /// The epoch it converged to; 0 if there was nothing to converge to.
    #[n(0)]
    pub epoch: u64,
    /// The publish of that epoch.
    #[n(1)]
    pub publish: Hash,
    /// When it ended, by the envoy's clock.
    #[n(2)]
    pub at: Time,
    /// How long it took, in milliseconds.
    #[n(3)]
    pub millis: u64,
    /// Its outcomes.
    #[n(4)]
    pub tally: Tally,
    /// Why it was aborted or could not start, if so.
    #[n(5)]
    pub aborted: Option<String>,
    /// How many machine changes each of the last runs made, the latest first, this one included.
    #[n(6)]
    pub changes: Vec<u32>,
    /// The steps worth telling of, at most 64.
    #[n(7)]
    pub steps: Vec<RunStep>,
    /// Whether the config was new (intended changes) or the same as in the run before (drift corrected).
    #[n(8)]
    pub intended: bool,
    /// How many runs this envoy has made.
    #[n(9)]
    pub number: u64,
}

/// The envoy's traits, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Traits {
    /// A JSON object.
    #[n(0)]
    pub json: String,
}

impl Presence {
    /// The value of the register.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`BadStatus`] if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Presence, BadStatus> {
        Ok(codec::decode(bytes, VALUE_BYTES)?)
    }
}

impl Run {
    /// The value of the register, bounded: long texts and lists are cut.
    pub fn encode(&self) -> Vec<u8> {
        let mut run = self.clone();
        run.changes.truncate(HISTORY);
        run.steps.truncate(STEPS);
        for step in &mut run.steps {
            step.id = step.id.chars().take(MESSAGE).collect();
            step.message = step.message.chars().take(MESSAGE).collect();
        }
        run.aborted = run.aborted.map(|text| text.chars().take(1_000).collect());
        while codec::encode(&run).len() > VALUE_BYTES && !run.steps.is_empty() {
            run.steps.truncate(run.steps.len() / 2);
        }
        codec::encode(&run)
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`BadStatus`] if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Run, BadStatus> {
        Ok(codec::decode(bytes, VALUE_BYTES)?)
    }
}

impl Traits {
    /// The value of the register. Where all traits together are too large for it, lists are summarised, the largest
    /// first, as their `count` and a `digest` of what is in them; what is too large even so is replaced by a note.
    pub fn encode(&self) -> Vec<u8> {
        if self.json.len() <= TRAITS_BYTES {
            return codec::encode(self);
        }
        let json = summarised(&self.json).filter(|json| json.len() <= TRAITS_BYTES);
        let json =
            json.unwrap_or_else(|| format!("{{\"truncated\":\"{} bytes of traits\"}}", self.json.len()));
        codec::encode(&Traits { json })
    }

    /// Reads the value.
    ///
    /// # Errors
    /// [`BadStatus`] if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Traits, BadStatus> {
        Ok(codec::decode(bytes, VALUE_BYTES)?)
    }
}

/// The traits with their largest lists summarised until they fit.
fn summarised(json: &str) -> Option<String> {
    let mut traits: serde_json::Map<String, Value> = serde_json::from_str(json).ok()?;
    let mut lists: Vec<(usize, String)> = traits
        .iter()
        .filter(|(_, value)| value.is_array())
        .map(|(name, value)| (value.to_string().len(), name.clone()))
        .collect();
    lists.sort();
    let mut size = json.len();
    while size > TRAITS_BYTES {
        let (_, name) = lists.pop()?;
        let list = traits.get_mut(&name)?;
        let digest = Hash::of(list.to_string().as_bytes()).short();
        *list = serde_json::json!({"count": list.as_array().map_or(0, Vec::len), "digest": digest});
        size = serde_json::to_string(&traits).ok()?.len();
    }
    serde_json::to_string(&traits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_lists_are_summarised_and_small_ones_are_not() {
        let all = |version: &str| {
            let package =
                |n: usize| serde_json::json!({"name": format!("p{n}"), "version": version, "arch": "amd64"});
            let packages: Vec<Value> = (0..600).map(package).collect();
            let ports = serde_json::json!([{"proto": "tcp", "address": "::", "port": 22}]);
            let traits =
                serde_json::json!({"os": {"family": "debian"}, "ports": ports, "packages": packages});
            let traits = Traits { json: traits.to_string() };
            let told = Traits::decode(&traits.encode()).unwrap();
            serde_json::from_str::<Value>(&told.json).unwrap()
        };
        let (one, same, other) = (all("1"), all("1"), all("2"));
        assert_eq!((&one["os"]["family"], &one["ports"][0]["port"]), (&"debian".into(), &22.into()));
        assert_eq!(one["packages"]["count"], 600);
        assert_eq!(one["packages"]["digest"], same["packages"]["digest"]);
        assert_ne!(one["packages"]["digest"], other["packages"]["digest"]);
    }

    #[test]
    fn registers_stay_bounded() {
        let step = RunStep { id: "i".repeat(9_000), outcome: "failed".into(), message: "ü".repeat(9_000) };
        let run = Run { steps: vec![step; 500], aborted: Some("x".repeat(99_999)), ..Run::default() };
        let bytes = run.encode();
        assert!(bytes.len() <= VALUE_BYTES);
        assert!(!Run::decode(&bytes).unwrap().steps.is_empty());
        let traits = Traits { json: "x".repeat(100_000) };
        assert!(Traits::decode(&traits.encode()).unwrap().json.contains("100000 bytes"));
    }
}
