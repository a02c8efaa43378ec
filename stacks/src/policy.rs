//! A policy: all that one match block means, the fourth stage of the language.
//!
//! It is what travels to envoys, as canonical bytes named by their hash. The invariant it keeps, also for bytes
//! from elsewhere: every step is of a known type with known attributes, and the order is complete, so that a
//! step depends only on earlier ones and triggers only later ones.

use std::collections::BTreeMap;

use minicbor::{Decode, Decoder, Encode, Encoder};
use serde_json::{Map, Number, Value};
use vigo_base::codec::{self, BadBytes};
use vigo_base::limits::CONFIG_BLOB_BYTES;

use crate::schema;
use crate::when::Expr;

/// Steps that one policy may have.
pub const STEPS_MAX: usize = 20_000;
/// The version of the encoding.
const VERSION: u8 = 1;
/// How deep values nest in an encoded policy.
const VALUE_DEPTH: usize = 40;

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
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PolicyStep {
    /// Index of its configcrate.
    pub configcrate: u32,
    pub name: String,
    pub kind: String,
    pub attributes: BTreeMap<String, Value>,
    pub when: Option<Expr>,
    /// Indices of earlier steps.
    pub depends_on: Vec<u32>,
    /// Indices of later steps.
    pub triggers: Vec<u32>,
    pub timeout: u64,
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
            for (name, value) in &step.attributes {
                attribute_sound(kind, name, value).map_err(|why| format!("{id}: {why}"))?;
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

/// Whether an attribute is of the type and its value of the attribute's kind, as far as templates let that be
/// known.
fn attribute_sound(kind: &schema::Type, name: &str, value: &Value) -> Result<(), String> {
    if value.as_str().is_some_and(crate::template::holds) {
        let open = name == "state" && !kind.states.is_empty();
        let open = open || kind.attribute(name).is_some_and(|a| a.kind != schema::Kind::Bool);
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

/// The encoded form.
#[derive(Encode, Decode)]
#[cbor(array)]
struct Wire {
    #[n(0)]
    version: u8,
    #[n(1)]
    configcrates: Vec<WireCrate>,
    #[n(2)]
    vars: WireValue,
    #[n(3)]
    steps: Vec<WireStep>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireCrate {
    #[n(0)]
    name: String,
    #[n(1)]
    when: Option<String>,
    #[n(2)]
    vars: WireValue,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireStep {
    #[n(0)]
    configcrate: u32,
    #[n(1)]
    name: String,
    #[n(2)]
    kind: String,
    #[n(3)]
    attributes: WireValue,
    #[n(4)]
    when: Option<String>,
    #[n(5)]
    depends_on: Vec<u32>,
    #[n(6)]
    triggers: Vec<u32>,
    #[n(7)]
    timeout: u64,
}

fn object(map: &BTreeMap<String, Value>) -> WireValue {
    WireValue(Value::Object(map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()))
}

fn sorted(value: WireValue) -> Result<BTreeMap<String, Value>, String> {
    match value.0 {
        Value::Object(map) => Ok(map.into_iter().collect()),
        _ => Err("a map is something else".into()),
    }
}

fn expr(text: Option<String>) -> Result<Option<Expr>, String> {
    text.map(|t| match t.parse::<Expr>() {
        Ok(expr) if expr.to_string() == t => Ok(expr),
        Ok(_) => Err(format!("the condition {t:?} is not in its one spelling")),
        Err(error) => Err(format!("the condition {t:?}: {error}")),
    })
    .transpose()
}

impl From<&Policy> for Wire {
    fn from(policy: &Policy) -> Wire {
        let configcrates = policy.configcrates.iter().map(|c| WireCrate {
            name: c.name.clone(),
            when: c.when.as_ref().map(Expr::to_string),
            vars: object(&c.vars),
        });
        let steps = policy.steps.iter().map(|s| WireStep {
            configcrate: s.configcrate,
            name: s.name.clone(),
            kind: s.kind.clone(),
            attributes: object(&s.attributes),
            when: s.when.as_ref().map(Expr::to_string),
            depends_on: s.depends_on.clone(),
            triggers: s.triggers.clone(),
            timeout: s.timeout,
        });
        Wire {
            version: VERSION,
            configcrates: configcrates.collect(),
            vars: object(&policy.vars),
            steps: steps.collect(),
        }
    }
}

impl TryFrom<Wire> for Policy {
    type Error = String;
    fn try_from(wire: Wire) -> Result<Policy, String> {
        let mut policy = Policy { vars: sorted(wire.vars)?, ..Policy::default() };
        for c in wire.configcrates {
            policy.configcrates.push(PolicyCrate {
                name: c.name,
                when: expr(c.when)?,
                vars: sorted(c.vars)?,
            });
        }
        for s in wire.steps {
            policy.steps.push(PolicyStep {
                configcrate: s.configcrate,
                name: s.name,
                kind: s.kind,
                attributes: sorted(s.attributes)?,
                when: expr(s.when)?,
                depends_on: s.depends_on,
                triggers: s.triggers,
                timeout: s.timeout,
            });
        }
        Ok(policy)
    }
}

/// A JSON value as CBOR, maps in the order of their keys.
struct WireValue(Value);

impl<C> Encode<C> for WireValue {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        put(&self.0, e)
    }
}

fn put<W: minicbor::encode::Write>(
    value: &Value,
    e: &mut Encoder<W>,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    match value {
        Value::Null => e.null()?.ok(),
        Value::Bool(b) => e.bool(*b)?.ok(),
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(u), _) => e.u64(u)?.ok(),
            (None, Some(i)) => e.i64(i)?.ok(),
            (None, None) => e.f64(n.as_f64().unwrap_or(0.0))?.ok(),
        },
        Value::String(s) => e.str(s)?.ok(),
        Value::Array(items) => {
            e.array(items.len() as u64)?;
            items.iter().try_for_each(|item| put(item, e))
        }
        Value::Object(map) => {
            let map: BTreeMap<&String, &Value> = map.iter().collect();
            e.map(map.len() as u64)?;
            map.into_iter().try_for_each(|(key, value)| {
                e.str(key)?;
                put(value, e)
            })
        }
    }
}

impl<'b, C> Decode<'b, C> for WireValue {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<WireValue, minicbor::decode::Error> {
        take(d, VALUE_DEPTH).map(WireValue)
    }
}

fn take(d: &mut Decoder<'_>, depth: usize) -> Result<Value, minicbor::decode::Error> {
    use minicbor::data::Type;
    let bad = minicbor::decode::Error::message;
    let Some(depth) = depth.checked_sub(1) else { return Err(bad("values nest too deep")) };
    Ok(match d.datatype()? {
        Type::Null => {
            d.null()?;
            Value::Null
        }
        Type::Bool => Value::Bool(d.bool()?),
        Type::F64 => {
            Number::from_f64(d.f64()?).map(Value::Number).ok_or_else(|| bad("not a finite number"))?
        }
        Type::String => Value::String(d.str()?.to_string()),
        Type::Array => {
            let len = d.array()?.ok_or_else(|| bad("a length is missing"))?;
            let mut items = Vec::new();
            for _ in 0..len {
                items.push(take(d, depth)?);
            }
            Value::Array(items)
        }
        Type::Map => {
            let len = d.map()?.ok_or_else(|| bad("a length is missing"))?;
            let mut map = Map::new();
            for _ in 0..len {
                let key = d.str()?.to_string();
                map.insert(key, take(d, depth)?);
            }
            Value::Object(map)
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Value::from(d.u64()?),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => Value::from(d.i64()?),
        _ => return Err(bad("not a value of the language")),
    })
}
