//! A policy: all that one match block means, the fourth stage of the language.
//!
//! It is what travels to envoys, as canonical bytes named by their hash. The invariant it keeps, also for bytes
//! from elsewhere: every step is of a known type with known attributes, and the order is complete, so that a
//! step depends only on earlier ones and triggers only later ones.

mod wire;

use std::collections::BTreeMap;

use minicbor::Decoder;
use serde_json::Value;
use vigo_base::codec::{self, BadBytes};
use vigo_base::limits::CONFIG_BLOB_BYTES;

use crate::conditional::Test;
use crate::schema;
use crate::setting::{ARMS_MAX, Branches, Setting};
use crate::when::Expr;

use wire::Wire;

/// Steps that one policy may have.
pub const STEPS_MAX: usize = 20_000;
/// The version of the encoding.
pub(crate) const VERSION: u8 = 2;

/// What a match block means, before the facts of one envoy are known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// Its configcrates, in the order of composition.
    pub(crate) configcrates: Vec<PolicyCrate>,
    /// The variables of roles, common.vgo and the match block.
    pub(crate) vars: BTreeMap<String, Value>,
    /// Its steps, in the order in which they run.
    pub(crate) steps: Vec<PolicyStep>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PolicyCrate {
    pub name: String,
    pub when: Option<Expr>,
    /// The defaults of its variables.
    pub vars: BTreeMap<String, Value>,
    /// Its conditional variables; those that a layer above sets are not there.
    pub tests: BTreeMap<String, Test>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PolicyStep {
    /// Index of its configcrate.
    pub configcrate: u32,
    pub name: String,
    pub kind: String,
    pub attributes: BTreeMap<String, Setting>,
    pub case: Option<Branches>,
    pub when: Option<Expr>,
    /// Indices of earlier steps.
    pub depends_on: Vec<u32>,
    /// Indices of later steps.
    pub triggers: Vec<u32>,
    pub timeout: u64,
    /// Whether it is to be undone, by the command if the type needs one.
    pub revert: bool,
    pub on_revert: Option<String>,
    /// Paths of secrets whose rotation triggers it.
    pub watch_secret: Vec<String>,
}

/// Bytes that are no policy for this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Not canonical, malformed or too large.
    #[error("the policy cannot be read: {0}")]
    Bytes(#[from] BadBytes),
    /// Of a version that this program does not know.
    #[error("the policy has version {found}, this program reads {VERSION}: update vigo on this machine")]
    Version {
        /// The version found.
        found: u64,
    },
    /// Readable, but it breaks a rule of policies.
    #[error("the policy is not sound: {why}")]
    Unsound {
        /// Which rule, and where.
        why: String,
    },
}

impl Policy {
    /// The names of its configcrates, in the order of composition.
    pub fn configcrates(&self) -> impl Iterator<Item = &str> {
        self.configcrates.iter().map(|c| c.name.as_str())
    }

    /// The names of its steps (`configcrate/resource`), in the order in which they run.
    pub fn step_ids(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(|s| self.id(s))
    }

    pub(crate) fn id(&self, step: &PolicyStep) -> String {
        let configcrate = self.configcrates.get(step.configcrate as usize).map_or("?", |c| c.name.as_str());
        format!("{configcrate}/{}", step.name)
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(&Wire::from(self))
    }

    /// The policy of canonical bytes.
    ///
    /// # Errors
    /// [`BadPolicy`], see there.
    pub fn from_bytes(bytes: &[u8]) -> Result<Policy, BadPolicy> {
        // The version is looked at first: a later one may have another shape altogether.
        let mut decoder = Decoder::new(bytes);
        if let (Ok(Some(_)), Ok(found)) = (decoder.array(), decoder.u64())
            && found != u64::from(VERSION)
        {
            return Err(BadPolicy::Version { found });
        }
        let wire: Wire = codec::decode(bytes, CONFIG_BLOB_BYTES as usize)?;
        let policy = Policy::try_from(wire).map_err(|why| BadPolicy::Unsound { why })?;
        policy.sound().map_err(|why| BadPolicy::Unsound { why })?;
        Ok(policy)
    }

    fn sound(&self) -> Result<(), String> {
        if self.steps.len() > STEPS_MAX {
            return Err(format!("more than {STEPS_MAX} steps"));
        }
        for (i, step) in self.steps.iter().enumerate() {
            let id = self.id(step);
            if step.configcrate as usize >= self.configcrates.len() {
                return Err(format!("step {i} has no configcrate"));
            }
            let Some(kind) = schema::find(&step.kind) else {
                return Err(format!("{id} has the unknown type {}", step.kind));
            };
            let arms = step.case.iter().flat_map(|c| c.arms.values());
            for (name, setting) in arms.flatten().chain(&step.attributes) {
                setting_sound(kind, name, setting).map_err(|why| format!("{id}: {why}"))?;
            }
            if step.case.as_ref().is_some_and(|c| c.arms.len() > ARMS_MAX) {
                return Err(format!("{id} has more than {ARMS_MAX} branches"));
            }
            let by_command = kind.reversal.by_command();
            if step.revert && !(kind.reversal.by_revert() && (!by_command || step.on_revert.is_some()))
                || step.on_revert.is_some() && !by_command
            {
                return Err(format!("{id} cannot be reverted so"));
            }
            let order = step.depends_on.iter().all(|d| (*d as usize) < i)
                && step.triggers.iter().all(|t| *t as usize > i && (*t as usize) < self.steps.len());
            if !order {
                return Err(format!("{id} refers to a step on the wrong side"));
            }
            if step.timeout == 0 || step.timeout > schema::TIMEOUT_MAX {
                return Err(format!("{id} has the time limit {}", step.timeout));
            }
        }
        Ok(())
    }
}

fn setting_sound(kind: &schema::Type, name: &str, setting: &Setting) -> Result<(), String> {
    let arms = match setting {
        Setting::Table(table) => table.arms.len(),
        Setting::Fixed(_) => 0,
    };
    if arms > ARMS_MAX {
        return Err(format!("the table for {name} has more than {ARMS_MAX} arms"));
    }
    let unset = |v: &&Value| arms > 0 && v.is_null();
    setting.values().filter(|v| !unset(v) || name == "state").try_for_each(|v| attribute_sound(kind, name, v))
}

/// Whether an attribute is of the type and its value of the attribute's kind, as far as templates let that be
/// known.
fn attribute_sound(kind: &schema::Type, name: &str, value: &Value) -> Result<(), String> {
    if value.as_str().is_some_and(crate::template::holds) {
        let open = name == "state" && !kind.states.is_empty();
        let open = open || kind.attribute(name).is_some_and(|a| a.kind.takes_template());
        return if open { Ok(()) } else { Err(format!("the unknown attribute {name}, or a template in it")) };
    }
    if name == "state" {
        let known = value.as_str().is_some_and(|s| kind.states.contains(&s));
        return if known { Ok(()) } else { Err(format!("the type {} has no such state", kind.name)) };
    }
    match kind.attribute(name) {
        None => Err(format!("the unknown attribute {name}")),
        Some(attribute) if schema::fits(attribute.kind, value) => Ok(()),
        Some(attribute) => Err(format!("{name} is not {}", attribute.kind.expected())),
    }
}
