//! The JSON schema of `.vgo` files, for editors, made from the table and from the keys that the readers know.
//!
//! It is looser than publishing: it knows one file and no other, and takes a name for a name. The invariant it keeps: a
//! file that publishing takes without a word is valid, but for an attribute that its type requires and only `defaults:`
//! gives.

use serde_json::{Map, Value, json};

use super::{Attribute, COMMON_FIELDS, Kind, TIMEOUT_MAX, TYPES, Type};
use crate::read::{fits_type, shapes};

/// The kinds of files.
pub const FILES: [&str; 7] =
    ["configcrate", "roles", "common", "hostcrate", "environments", "compliance", "waivers"];

/// The schema of one kind of file, one of [`FILES`], or of any.
pub fn schema(file: Option<&str>) -> Value {
    let mut defs = Map::new();
    for (name, keys) in shapes() {
        defs.insert(name.to_string(), shape(name, keys));
    }
    for t in &TYPES {
        defs.insert(format!("type-{}", t.name), of_type(t));
    }
    defs.insert("resource".into(), resource());
    defs.insert("roles-file".into(), roles_file());
    let reference = |file: &str| {
        let name = if file == "roles" { "roles-file" } else { file };
        json!({ "$ref": format!("#/$defs/{name}") })
    };
    let mut whole = Map::new();
    whole.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    whole.insert("title".into(), json!("Vigo configuration"));
    match file {
        Some(file) => drop(whole.insert("$ref".into(), reference(file)["$ref"].clone())),
        None => drop(whole.insert("anyOf".into(), FILES.map(reference).to_vec().into())),
    }
    whole.insert("$defs".into(), Value::Object(defs));
    Value::Object(whole)
}

/// A map with exactly these keys.
fn shape(name: &str, keys: &[&str]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|k| (k.to_string(), of_key(name, k))).collect();
    let required: &[&str] = match name {
        "configcrate" => &["resources"],
        "roles" => &["roles"],
        "role" | "configcrate-mention" | "usercrate-mention" | "role-mention" => &["name"],
        "case" => &["when"],
        "hostcrate" => &["envoys"],
        "match-block" => &["match"],
        "environments" => &["env"],
        "compliance" => &["compliance"],
        "waivers" => &["waivers"],
        "waiver" => &["control", "reason", "approved_by"],
        "conditional-block" => &["when", "resources"],
        _ => &[],
    };
    json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

/// `roles.vgo`: a list, the key `roles:`, or one role.
fn roles_file() -> Value {
    let role = json!({"$ref": "#/$defs/role"});
    json!({"anyOf": [{"type": "array", "items": role}, {"$ref": "#/$defs/roles"}, role]})
}

/// The values of a key in a map of that name.
fn of_key(name: &str, key: &str) -> Value {
    let to = |def: &str| json!({ "$ref": format!("#/$defs/{def}") });
    let mention = |def: &str| list(json!({ "anyOf": [text(), to(def)] }));
    match (name, key) {
        ("roles", "roles") => list(to("role")),
        ("compliance", "compliance") => json!({"type": "object", "additionalProperties": list(text())}),
        ("waivers", "waivers") => json!({"type": "object", "additionalProperties": list(to("waiver"))}),
        (_, "compliance") => json!({
            "type": "object", "additionalProperties": false,
            "properties": {"provides": list(text()), "bundle": list(text())},
        }),
        (_, "configcrates") => mention("configcrate-mention"),
        (_, "usercrates") => mention("usercrate-mention"),
        (_, "roles") => mention("role-mention"),
        (_, "resources") => list(to("resource")),
        (_, "case") => list(to("case")),
        (_, "envoys") => list(to("match-block")),
        (_, "env") => json!({"type": ["object", "null"], "additionalProperties": to("environment")}),
        (_, "vars") => json!({"type": ["object", "null"]}),
        (_, "defaults") => defaults(),
        (_, "state") => json!({"enum": ["present", "absent"]}),
        (_, "when") => condition(),
        (_, "depends_on" | "before" | "includes" | "tags" | "exclude_configcrates") => list(text()),
        _ => text(),
    }
}

/// A list; nothing at all is an empty one.
fn list(of: Value) -> Value {
    json!({"type": ["array", "null"], "items": of})
}

/// A text; numbers and truth values are texts as they are written.
fn text() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn condition() -> Value {
    json!({"type": ["string", "boolean"], "description": "a condition, like os_family('debian')"})
}

/// Attributes of any type: each with the values of all that have it.
fn defaults() -> Value {
    let mut properties: Map<String, Value> = Map::new();
    for attribute in TYPES.iter().flat_map(|t| t.attributes) {
        properties.entry(attribute.name).or_insert_with(|| json!({}));
    }
    properties.insert("state".into(), json!({}));
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// An element of `resources:`: a block, or a resource of some type.
fn resource() -> Value {
    let names: Vec<&str> = TYPES.iter().map(|t| t.name).collect();
    let branch = |t: &Type| {
        json!({
            "if": {"properties": {"type": {"const": t.name}}, "required": ["type"]},
            "then": {"$ref": format!("#/$defs/type-{}", t.name)},
        })
    };
    let all: Vec<Value> = TYPES.iter().map(branch).collect();
    json!({
        "type": "object",
        "if": {"required": ["conditional_block"]},
        "then": {
            "properties": {"conditional_block": {"$ref": "#/$defs/conditional-block"}},
            "additionalProperties": false,
        },
        "else": {
            "required": ["name", "type"],
            "properties": {"type": {"enum": names}},
            "allOf": all,
        },
    })
}

fn of_type(t: &Type) -> Value {
    let own = attributes(t);
    let mut properties = own.clone();
    for field in COMMON_FIELDS.iter().filter(|field| fits_type(field, t) && **field != "state") {
        properties.insert(field.to_string(), common(field, &own));
    }
    let needed = |names: Vec<&str>| -> Vec<Value> {
        let one = |name: &str| match name {
            "target_path" => json!({"anyOf": [{"required": ["target_path"]}, {"required": ["path"]}]}),
            name => json!({"required": [name]}),
        };
        names.into_iter().map(one).collect()
    };
    // Branches may give what the resource itself does not.
    let mut rules = needed(t.attributes.iter().filter(|a| a.required).map(|a| a.name).collect());
    for (state, attribute) in t.required_in {
        let mut when = json!({"properties": {"state": {"const": state}}});
        if t.default_state() != Some(state) {
            when["required"] = json!(["state"]);
        }
        rules.push(json!({"if": when, "then": {"allOf": needed(vec![attribute])}}));
    }
    let mut all = vec![json!({"if": {"required": ["match"]}, "else": {"allOf": rules}})];
    all.extend(t.exclusive.iter().map(|(a, b)| json!({"not": {"required": [a, b]}})));
    json!({
        "description": t.about, "type": "object", "properties": properties, "additionalProperties": false,
        "allOf": all,
    })
}

/// The attributes of a type, and its state: what branches may set.
fn attributes(t: &Type) -> Map<String, Value> {
    let mut all: Map<String, Value> = Map::new();
    for a in t.attributes {
        all.insert(a.name.to_string(), attribute(a));
        if a.name == "target_path" {
            all.insert("path".into(), attribute(a));
        }
    }
    if !t.states.is_empty() {
        let state = json!({"anyOf": [{"enum": t.states}, template()]});
        all.insert("state".into(), json!({"anyOf": [state.clone(), table(&state)], "default": t.states[0]}));
    }
    all
}

fn attribute(a: &Attribute) -> Value {
    let value = value(a.kind);
    let mut found = json!({"description": a.about, "anyOf": [value.clone(), table(&value)]});
    if a.name == "content"
        && let Some(all) = found["anyOf"].as_array_mut()
    {
        all.push(json!({"type": "null"}));
    }
    found
}

/// A lookup table of such values.
fn table(value: &Value) -> Value {
    json!({
        "type": "object", "required": ["default"],
        "additionalProperties": {"anyOf": [value, {"type": "null"}]},
    })
}

fn template() -> Value {
    json!({"type": "string", "pattern": "\\{\\{"})
}

fn value(kind: Kind) -> Value {
    let text = text();
    match kind {
        Kind::Text | Kind::Word(_) => text,
        Kind::Texts | Kind::Words(_) | Kind::Paths => json!({"anyOf": [list(text.clone()), text]}),
        Kind::Path => json!({"type": "string", "pattern": "^/|^[A-Za-z]:[/\\\\]|\\{\\{"}),
        Kind::Mode => json!({"type": ["string", "integer"], "pattern": "^[0-7]{3,4}$|\\{\\{"}),
        Kind::Bool => json!({"anyOf": [{"type": "boolean"}, template()]}),
        Kind::Source => json!({"type": "string", "pattern": "^templates/|\\{\\{"}),
        Kind::ExitCodes => json!({
            "type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 255},
        }),
        Kind::Environment => json!({"type": "object", "additionalProperties": text}),
        Kind::Choice(words) => json!({"anyOf": [{"enum": words}, template()]}),
    }
}

/// A common field; `own` are the attributes, for branches.
fn common(field: &str, own: &Map<String, Value>) -> Value {
    match field {
        "when" => condition(),
        "depends_on" | "before" | "notify" | "subscribes" => list(text()),
        "watch_secret" => json!({"anyOf": [list(json!({"type": "string"})), {"type": "string"}]}),
        "timeout" => json!({"type": "integer", "minimum": 1, "maximum": TIMEOUT_MAX}),
        "revert" => json!({"type": "boolean"}),
        "case" => json!({"type": "string", "pattern": "\\{\\{"}),
        "match" => json!({
            "type": "object",
            "additionalProperties": {"type": "object", "properties": own, "additionalProperties": false},
        }),
        _ => text(),
    }
}

/// What a file looks like to an editor: its YAML as JSON, without a check of the language. `None` if it is no YAML that
/// we read.
pub fn instance(path: &str, bytes: &[u8]) -> Option<Value> {
    crate::read::instance(path, bytes)
}
