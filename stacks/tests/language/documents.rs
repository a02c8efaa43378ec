//! The page that teaches the language is true: its examples are one tree, and it compiles.

use std::fs;
use std::path::Path;

use serde_json::json;
use vigo_stacks::{Facts, SourceTree, compile, resolve, rules, schema, template, traits, when};

use crate::said;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md");
    fs::read_to_string(path).expect("docs/language.md")
}

/// The fences that name a file, as a tree.
fn examples(page: &str) -> SourceTree {
    let mut tree = SourceTree::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(tag)) => {
                let path = tag.split_whitespace().nth(1).unwrap_or_default();
                assert!(tag == "text" || !path.is_empty(), "a fence without a file: {tag}");
                open = Some((path.to_string(), String::new()));
            }
            (Some((path, body)), Some(_)) => {
                if !path.is_empty() {
                    tree.insert(path.clone(), body.clone()).expect("a file once");
                }
                open = None;
            }
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    tree
}

#[test]
fn the_examples_of_the_page_compile_and_resolve() {
    let tree = examples(&page());
    assert!(tree.len() >= 7, "{}", tree.len());
    let (compiled, diagnostics) = compile(&tree);
    assert_eq!(said(&diagnostics), "");
    assert_eq!(crate::editor::valid(&tree), Ok(()));
    let compiled = compiled.unwrap();
    let host = |name: &str| {
        let route = compiled.route(name).unwrap();
        let traits = json!({
            "os": {"family": "debian", "kernel_class": "linux", "arch": "amd64", "version": "24.04", "upstream_codename": "noble"},
            "network": {"fqdn": "web1.acme.example"},
            "is_container": false,
        });
        resolve(
            &compiled.policies[route.policy],
            &Facts { name: name.into(), tags: route.tags.clone(), traits },
        )
        .unwrap()
    };
    let plan = host("web1.acme.example");
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "hardening/limits",
            "hardening/sysrq",
            "hardening/note",
            "web/settings",
            "web/site",
            "web/current",
            "web/reload",
            "web/old settings",
            "metrics/spool"
        ]
    );
    let site = &plan.steps[4];
    let content = site.attributes["content"].as_str().unwrap();
    let rendered =
        template::render(content, &site.vars, &json!({"network": {"fqdn": "web1.acme.example"}})).unwrap();
    insta::assert_snapshot!(rendered);
    let lab = host("lab1.acme.example");
    let ids: Vec<_> = lab.steps.iter().map(|s| s.id.as_str()).collect();
    insta::assert_snapshot!(ids.join("\n"));
    let of = |name: &str| lab.steps.iter().find(|s| s.name == name).expect(name);
    assert_eq!(of("cache").attributes["value"], json!("120"), "the host's own arm");
    assert_eq!(of("operators").attributes["group"], json!("lab"));
    assert_eq!(of("package settings").attributes["target_path"], json!("/etc/apt/apt.conf.d/99-fleet"));
    let conf = of("conf[www.acme.example]");
    let content = conf.attributes["content"].as_str().unwrap();
    insta::assert_snapshot!(template::render(content, &conf.vars, &json!({})).unwrap());
    let attic = of("attic").attributes["group"].as_str().unwrap();
    assert_eq!(template::render(attic, &of("attic").vars, &json!({})).unwrap(), "users");
    let canary = host("web-canary.acme.example");
    assert!(canary.steps.iter().all(|s| s.configcrate != "metrics"));
    assert_eq!(canary.steps[0].vars["port"], json!(8080));
}

#[test]
fn the_page_names_everything_there_is() {
    let page = page();
    for t in schema::TYPES {
        assert!(page.contains(&format!("`{}`", t.name)), "{}", t.name);
    }
    for builtin in when::Builtin::ALL {
        assert!(page.contains(&format!("`{}(", builtin.name())), "{}", builtin.name());
    }
    for path in traits::paths() {
        assert!(page.contains(&format!("`{path}`")), "{path}");
    }
    assert!(rules::find("order-cycle").is_some() && rules::find("nope").is_none());
}

/// The page of resource types is what the table says; `VIGO_WRITE_DOCS=1` writes it.
#[test]
fn the_page_of_types_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/resources.md");
    let wanted = schema::page::page();
    if std::env::var_os("VIGO_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("docs/resources.md");
    }
    let found = fs::read_to_string(&path).expect("docs/resources.md");
    assert!(found == wanted, "docs/resources.md is old: run this test with VIGO_WRITE_DOCS=1");
}
