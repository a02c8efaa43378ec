//! The JSON schema against the trees of the other tests: what publishing takes is valid, what it refuses mostly not.
//!
//! The checker below knows the words that our schema uses and fails on any other.

use serde_json::{Map, Value};
use vigo_stacks::SourceTree;
use vigo_stacks::schema::json::{FILES, instance, schema};

use crate::{tree, with_configcrate, with_resource};

/// Whether `value` is valid; the first mistake otherwise.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(words) = schema else { return Err(format!("{at}: the schema is no map")) };
    for (word, say) in words {
        checked(root, words, word, say, value, at)?;
    }
    Ok(())
}

fn checked(
    root: &Value,
    words: &Map<String, Value>,
    word: &str,
    say: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let fail = |why: String| Err(format!("{at}: {why}"));
    let valid = |schema: &Value| check(root, schema, value, at).is_ok();
    match word {
        "$schema" | "title" | "description" | "default" | "$defs" | "then" | "else" => Ok(()),
        "$ref" => {
            let name = say.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            check(root, &root["$defs"][name], value, at)
        }
        "type" if is_of(value, say) => Ok(()),
        "type" => fail(format!("{value} is not {say}")),
        "enum" if say.as_array().unwrap().contains(value) => Ok(()),
        "const" if say == value => Ok(()),
        "enum" | "const" => fail(format!("{value} is not {say}")),
        "anyOf" if say.as_array().unwrap().iter().any(valid) => Ok(()),
        "anyOf" => {
            let whys = say.as_array().unwrap().iter().filter_map(|s| check(root, s, value, at).err());
            fail(whys.collect::<Vec<_>>().join(" | "))
        }
        "allOf" => say.as_array().unwrap().iter().try_for_each(|s| check(root, s, value, at)),
        "not" => {
            if valid(say) {
                fail(format!("{say} holds"))
            } else {
                Ok(())
            }
        }
        "if" => match words.get(if valid(say) { "then" } else { "else" }) {
            Some(next) => check(root, next, value, at),
            None => Ok(()),
        },
        "required" => {
            let lacks = |name: &&Value| value.is_object() && value.get(name.as_str().unwrap()).is_none();
            say.as_array()
                .unwrap()
                .iter()
                .find(lacks)
                .map_or(Ok(()), |name| fail(format!("{name} is missing")))
        }
        "properties" | "additionalProperties" => keys(root, words, word, say, value, at),
        "items" => {
            let items = value.as_array().into_iter().flatten().enumerate();
            items.into_iter().try_for_each(|(i, item)| check(root, say, item, &format!("{at}[{i}]")))
        }
        "minItems" if value.as_array().is_some_and(|a| (a.len() as u64) < say.as_u64().unwrap()) => {
            fail("too short".into())
        }
        "minimum" if value.as_u64().is_some_and(|v| v < say.as_u64().unwrap()) => fail("too small".into()),
        "maximum" if value.as_u64().is_some_and(|v| v > say.as_u64().unwrap()) => fail("too large".into()),
        "minItems" | "minimum" | "maximum" => Ok(()),
        "pattern" => match value.as_str() {
            Some(text) if !fits(say.as_str().unwrap(), text) => fail(format!("{text} is not {say}")),
            _ => Ok(()),
        },
        other => panic!("the word {other}"),
    }
}

/// Whether the value is of one of these types.
fn is_of(value: &Value, say: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other}"),
    };
    say.as_array().map_or_else(|| is(say), |all| all.iter().any(is))
}

/// The keys of a map, those that are named and the others.
fn keys(
    root: &Value,
    words: &Map<String, Value>,
    word: &str,
    say: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    for (key, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match (words.get("properties").and_then(|p| p.get(key)), word, say) {
            (Some(schema), "properties", _) => check(root, schema, inner, &at)?,
            (None, "additionalProperties", Value::Bool(false)) => {
                return Err(format!("{at}: there is no such key"));
            }
            (None, "additionalProperties", schema) => check(root, schema, inner, &at)?,
            _ => {}
        }
    }
    Ok(())
}

/// The four patterns that the schema has.
fn fits(pattern: &str, text: &str) -> bool {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let drive = text.as_bytes().get(1) == Some(&b':');
    text.contains("{{")
        || match pattern {
            "\\{\\{" => false,
            "^templates/|\\{\\{" => text.starts_with("templates/"),
            "^[0-7]{3,4}$|\\{\\{" => octal,
            "^/|^[A-Za-z]:[/\\\\]|\\{\\{" => text.starts_with('/') || drive,
            other => panic!("the pattern {other}"),
        }
}

/// The kind of a file by where it lies.
pub fn kind(path: &str) -> Option<&'static str> {
    let file = path.rsplit('/').next().unwrap();
    let library = path.starts_with("configcrates/") || path.contains("usercrates/");
    Some(match file {
        _ if !path.ends_with(".vgo") || path.starts_with("templates/") => return None,
        "compliance.vgo" => "compliance",
        "waivers.vgo" => "waivers",
        _ if library => "configcrate",
        "roles.vgo" => "roles",
        "common.vgo" => "common",
        "environments.vgo" => "environments",
        _ => "hostcrate",
    })
}

/// Every file of a tree that compiles without a word must be valid.
pub fn valid(tree: &SourceTree) -> Result<(), String> {
    for (path, bytes) in tree.iter() {
        let Some(kind) = kind(path) else { continue };
        let schema = schema(Some(kind));
        let found = instance(path, bytes).ok_or_else(|| format!("{path} is no YAML"))?;
        check(&schema, &schema, &found, path)?;
    }
    Ok(())
}

/// Whether the schema refuses the configcrate of a tree.
fn refused(text: &str) -> Option<String> {
    valid(&tree(text)).err()
}

/// The schema is of use: it refuses what an editor can see.
#[test]
fn what_an_editor_can_see_is_refused() {
    for (body, part) in [
        ("type: flie", "flie"),
        ("type: file", "target_path"),
        ("type: file\ntarget_path: etc/x", "etc/x"),
        ("type: file\ntarget_path: /x\ncontnet: x", "contnet"),
        ("type: file\ntarget_path: /x\nmode: u=rw", "u=rw"),
        ("type: file\ntarget_path: /x\nstate: absnt", "absnt"),
        ("type: file\ntarget_path: /x\ncontent: a\nsource: templates/a", "holds"),
        ("type: file\ntarget_path: /x\nrevert: true", "revert"),
        ("type: symlink\ntarget_path: /x", "link_target"),
        ("type: exec\ncommand: x\nstate: absent", "state"),
        ("type: exec\ncommand: [x]", "command"),
        ("type: exec\ncommand: x\ntimeout: 0", "too small"),
        ("type: exec\ncommand: x\nexit_codes: [300]", "too large"),
        ("type: firewall\nproto: sctp", "sctp"),
        ("type: user\nusername: {tag:x: dan}", "default"),
        ("type: file\ntarget_path: /x\ncase: \"{{ .Vars.x }}\"\nmatch: {a: {whn: x}}", "whn"),
    ] {
        let why = refused(&with_resource(body)).unwrap_or_else(|| panic!("{body} is taken"));
        assert!(why.contains(part), "{body}: {why}");
    }
    for (text, part) in [
        (with_configcrate("name: a\nresource: []\n"), "resource"),
        (with_configcrate("name: a\nresources:\n  - conditional_block: {when: x}\n"), "resources"),
        (with_configcrate("name: a\nresources: []\ndefaults: {onwer: x}\n"), "onwer"),
        ("=== s/h.vgo\nenvoys:\n  - {match: x, role: a, tgas: [x]}\n".into(), "tgas"),
        ("=== roles.vgo\n- {name: x, configcrates: [{name: y, wen: z}]}\n".into(), "wen"),
    ] {
        let why = refused(&text).unwrap_or_else(|| panic!("{text} is taken"));
        assert!(why.contains(part), "{text}: {why}");
    }
}

/// The whole schema has no dangling reference, and each kind of file has its own.
#[test]
fn the_schema_is_whole() {
    let whole = schema(None);
    let text = whole.to_string();
    for reference in text.split("\"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(whole["$defs"].get(name).is_some(), "{name}");
    }
    for file in FILES {
        assert!(schema(Some(file))["$ref"].as_str().unwrap().starts_with("#/$defs/"), "{file}");
    }
    assert!(text.len() < 1_000_000, "{} bytes", text.len());
}
