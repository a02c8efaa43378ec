//! The bytes of a policy: CBOR with one spelling.
//!
//! Only shapes are decided here; whether what was read is sound is [`super::Policy::from_bytes`]'s to say. Nesting is
//! bounded, and a condition, a target or a word has exactly one text.

use std::collections::BTreeMap;

use minicbor::{Decode, Decoder, Encode, Encoder};
use serde_json::{Map, Number, Value};
use vigo_base::target::Target;

use crate::conditional::{Ask, Test};
use crate::setting::{Branches, Setting, Table};
use crate::when::Expr;

use super::{Policy, PolicyCrate, PolicyStep, VERSION};

/// How deep values nest in an encoded policy.
const VALUE_DEPTH: usize = 40;

/// The encoded form.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct Wire {
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
    #[n(3)]
    tests: Vec<WireTest>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireTest {
    #[n(0)]
    name: String,
    #[n(1)]
    path: String,
    #[n(2)]
    ask: String,
    #[n(3)]
    values: Vec<String>,
}

/// A lookup table for one attribute.
#[derive(Encode, Decode)]
#[cbor(array)]
struct WireTable {
    #[n(0)]
    attribute: String,
    #[n(1)]
    list: bool,
    #[n(2)]
    arms: Vec<WireArm>,
    #[n(3)]
    otherwise: WireValue,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireArm {
    #[n(0)]
    target: String,
    #[n(1)]
    value: WireValue,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireCase {
    #[n(0)]
    on: String,
    #[n(1)]
    base: bool,
    #[n(2)]
    arms: Vec<WireBranch>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireBranch {
    #[n(0)]
    name: String,
    #[n(1)]
    fixed: WireValue,
    #[n(2)]
    tables: Vec<WireTable>,
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
    #[n(8)]
    tables: Vec<WireTable>,
    #[n(9)]
    case: Option<WireCase>,
    #[n(10)]
    revert: bool,
    #[n(11)]
    on_revert: Option<String>,
    #[n(12)]
    watch_secret: Vec<String>,
}

type Settings = BTreeMap<String, Setting>;

/// Settings as the values that are fixed, and the tables by name.
fn parted(settings: &Settings) -> (WireValue, Vec<WireTable>) {
    let mut fixed = Map::new();
    let mut tables = Vec::new();
    for (name, setting) in settings {
        match setting {
            Setting::Fixed(value) => drop(fixed.insert(name.clone(), value.clone())),
            Setting::Table(table) => tables.push(WireTable {
                attribute: name.clone(),
                list: table.list,
                arms: table
                    .arms
                    .iter()
                    .map(|(t, v)| WireArm { target: t.to_string(), value: WireValue(v.clone()) })
                    .collect(),
                otherwise: WireValue(table.otherwise.clone()),
            }),
        }
    }
    (WireValue(Value::Object(fixed)), tables)
}

fn whole(fixed: WireValue, tables: Vec<WireTable>) -> Result<Settings, String> {
    let mut all: Settings = sorted(fixed)?.into_iter().map(|(k, v)| (k, Setting::Fixed(v))).collect();
    let mut last: Option<String> = None;
    for table in tables {
        if last.as_ref().is_some_and(|l| *l >= table.attribute) || all.contains_key(&table.attribute) {
            return Err("tables stand out of order, or twice".into());
        }
        let arms = table.arms.into_iter().map(|arm| {
            let target: Target = arm.target.parse().map_err(|e| format!("{e}"))?;
            if target.to_string() != arm.target {
                return Err(format!("the arm {:?} is not in its one spelling", arm.target));
            }
            Ok((target, arm.value.0))
        });
        let arms = arms.collect::<Result<Vec<_>, String>>()?;
        last = Some(table.attribute.clone());
        let table_read = Table { list: table.list, arms, otherwise: table.otherwise.0 };
        all.insert(table.attribute, Setting::Table(table_read));
    }
    Ok(all)
}

fn case(case: &Branches) -> WireCase {
    let arms = case.arms.iter().map(|(name, settings)| {
        let (fixed, tables) = parted(settings);
        WireBranch { name: name.clone(), fixed, tables }
    });
    WireCase { on: case.on.clone(), base: case.base, arms: arms.collect() }
}

fn branches(wire: WireCase) -> Result<Branches, String> {
    let mut arms: BTreeMap<String, Settings> = BTreeMap::new();
    for branch in wire.arms {
        if arms.last_key_value().is_some_and(|(last, _)| *last >= branch.name) {
            return Err("branches stand out of order, or twice".into());
        }
        arms.insert(branch.name, whole(branch.fixed, branch.tables)?);
    }
    Ok(Branches { on: wire.on, arms, base: wire.base })
}

fn tests(wire: Vec<WireTest>) -> Result<BTreeMap<String, Test>, String> {
    let mut all: BTreeMap<String, Test> = BTreeMap::new();
    for test in wire {
        if all.last_key_value().is_some_and(|(last, _)| *last >= test.name) {
            return Err("conditional variables stand out of order, or twice".into());
        }
        let ask = Ask::ALL.iter().find(|(key, _)| *key == test.ask).map(|(_, ask)| *ask);
        let ask = ask.ok_or_else(|| format!("{:?} asks for nothing", test.ask))?;
        all.insert(test.name, Test { path: test.path, ask, values: test.values });
    }
    Ok(all)
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
            tests: c
                .tests
                .iter()
                .map(|(name, t)| WireTest {
                    name: name.clone(),
                    path: t.path.clone(),
                    ask: t.ask.key().into(),
                    values: t.values.clone(),
                })
                .collect(),
        });
        let steps = policy.steps.iter().map(|s| {
            let (attributes, tables) = parted(&s.attributes);
            WireStep {
                configcrate: s.configcrate,
                name: s.name.clone(),
                kind: s.kind.clone(),
                attributes,
                when: s.when.as_ref().map(Expr::to_string),
                depends_on: s.depends_on.clone(),
                triggers: s.triggers.clone(),
                timeout: s.timeout,
                tables,
                case: s.case.as_ref().map(case),
                revert: s.revert,
                on_revert: s.on_revert.clone(),
                watch_secret: s.watch_secret.clone(),
            }
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
                tests: tests(c.tests)?,
            });
        }
        for s in wire.steps {
            policy.steps.push(PolicyStep {
                configcrate: s.configcrate,
                name: s.name,
                kind: s.kind,
                attributes: whole(s.attributes, s.tables)?,
                case: s.case.map(branches).transpose()?,
                when: expr(s.when)?,
                depends_on: s.depends_on,
                triggers: s.triggers,
                timeout: s.timeout,
                revert: s.revert,
                on_revert: s.on_revert,
                watch_secret: s.watch_secret,
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
