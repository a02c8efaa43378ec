//! What templates print and what they refuse.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn vars() -> BTreeMap<String, Value> {
    let pairs = [
        ("port", json!(8080)),
        ("ratio", json!(1.5)),
        ("name", json!("web")),
        ("users", json!(["alice", "bob"])),
        ("nested", json!({"a": {"b": 1}})),
        ("nothing", json!(null)),
        ("holes", json!(["x", null])),
        ("off", json!(false)),
    ];
    pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
}

fn traits() -> Value {
    json!({"os": {"family": "debian"}, "network": {"ip_addresses": ["10.0.0.1", "fe80::1"]}})
}

fn rendered(text: &str) -> Result<String, TemplateError> {
    render(text, &vars(), &traits())
}

#[test]
fn go_templates_render() {
    let check = |text: &str, expect: &str| assert_eq!(rendered(text).as_deref(), Ok(expect), "{text}");
    check("no template", "no template");
    check("{{ .Vars.name }}:{{ .Vars.port }} {{ .Vars.ratio }}", "web:8080 1.5");
    check("{{ if eq .Traits.os.family \"debian\" }}apt{{ else }}dnf{{ end }}", "apt");
    check("{{ range .Vars.users }}- {{ . }}\n{{ end }}", "- alice\n- bob\n");
    check(
        "{{ range $i, $u := .Vars.users }}{{ $i }}{{ $u }} {{ $.Vars.name }};{{ end }}",
        "0alice web;1bob web;",
    );
    check("{{ index .Traits.network.ip_addresses 0 }}", "10.0.0.1");
    check("{{ .Vars.nested.a.b }}", "1");
    check("{{ with .Vars.nested }}{{ .a.b }}{{ end }}", "1");
    check("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" .Vars.name }}", "<web>");
    check("{{ $x := .Vars.port }}{{ $x }}", "8080");
    check("{{ printf \"%05d|%s\" .Vars.port .Vars.name }}", "08080|web");
    check("a {{- .Vars.name -}} b", "awebb");
    check("{{/* a comment */}}x", "x");
    check("{{ not .Vars.off }} {{ len .Vars.users }}", "true 2");
}

#[test]
fn a_format_that_asks_for_too_much_is_refused_wherever_it_comes_from() {
    for text in [
        "{{ printf \"%.65535e\" 1.5 }}",
        "{{ $f := \"%.65535e\" }}{{ printf $f 1.5 }}",
        "{{ 1.5 | printf (print \"%.655\" \"35e\") }}",
        "{{ if (printf \"%.65535e\" 1.5) }}x{{ end }}",
    ] {
        let refused = rendered(text).expect_err(text);
        assert!(refused.message.contains("a precision of 65535, at most 1000"), "{text}: {refused}");
    }
    assert_eq!(rendered("{{ \"%.65535e\" | printf }}").as_deref(), Ok("%!e(MISSING)"));
    assert_eq!(rendered("{{ 1.5 | printf \"%.3f\" }}").as_deref(), Ok("1.500"));
}

#[test]
fn a_missing_key_is_falsy_in_a_condition() {
    let check = |text: &str, expect: &str| assert_eq!(rendered(text).as_deref(), Ok(expect), "{text}");
    check("{{ if .Vars.nope }}yes{{ else }}no{{ end }}", "no");
    check("{{ if .Vars.nope.deep }}yes{{ else }}no{{ end }}", "no");
    check("{{ if eq .Vars.nope \"x\" }}yes{{ else }}no{{ end }}", "no");
    check("{{ if and .Vars.name .Vars.nope }}yes{{ else }}no{{ end }}", "no");
    check("{{ .Vars.nope | default \"info\" }}", "info");
    check("{{ default \"info\" .Vars.nothing }}", "info");
    check("{{ .Vars.name | default \"info\" }}", "web");
    check("{{ .Vars.off | default true }}", "true");
    check("{{ with .Vars.nope }}{{ . }}{{ else }}none{{ end }}", "none");
    check("{{ or .Vars.nope .Vars.name }}", "web");
}

#[test]
fn a_missing_key_is_never_printed() {
    for text in [
        "{{ .Vars.nope }}",
        "{{ .Vars.nothing }}",
        "{{ .Vars.nested.a.c }}",
        "{{ .Traits.os.codename }}",
        "{{ print .Vars.nope }}",
        "{{ printf \"%s\" .Vars.nope }}",
        "{{ printf \"%v\" (index .Vars.nested \"zz\") }}",
        "{{ .Vars.nope | printf \"%v\" }}",
        "{{ .Vars.nope | html }}",
        "{{ .Vars.nope | urlquery }}",
        "{{ println .Vars.name .Vars.nope }}",
        "{{ if (print .Vars.nope) }}x{{ end }}",
        "{{ $x := .Vars.nope }}{{ $x }}",
        "{{ $x := print .Vars.nope }}{{ $x }}",
        "{{ .Vars.holes }}",
        "{{ range .Vars.holes }}{{ . }}{{ end }}",
        "{{ define \"t\" }}{{ . }}{{ end }}{{ template \"t\" .Vars.nope }}",
        "{{ define \"t\" }}{{ . }}{{ end }}{{ template \"t\" }}",
        "{{ with $x := .Vars.nested }}{{ $x.q }}{{ end }}",
        "{{ or .Vars.nope .Vars.nothing }}",
        "{{ block \"b\" .Vars.nope }}{{ . }}{{ end }}",
    ] {
        let result = rendered(text);
        let error = result.expect_err(text);
        assert!(error.message.contains("value"), "{text}: {error}");
    }
    assert_eq!(render_condition("{{ .Vars.nope }}", &vars(), &traits()).as_deref(), Ok(""));
}

#[test]
fn errors_say_where() {
    let mut out = String::new();
    for text in [
        "line one\n  {{ .Vars.nope }}\n",
        "ä {{ .Vars.nope.deep }}",
        "{{ if true }}\n\n{{ index .Vars.users 7 }}{{ end }}",
        "{{ if lt .Vars.port \"x\" }}{{ end }}",
        "{{ range .Vars.port }}{{ .x }}{{ end }}",
        "{{ .Vars.name.first }}",
        "a\n{{ if }}",
        "a\n{{ if .Vars.x }}",
        "{{ .Vars.x",
        "a{{ end }}b",
        "{{ if true }}a{{ else }}b{{ else }}c{{ end }}",
        "a{{ else }}b",
        "{{ range .Vars.users }}{{ else if true }}{{ end }}",
        "{{ break }}",
        "{{ if true }}{{ define \"x\" }}{{ end }}{{ end }}",
        "{{ uper .Vars.name }}",
        "{{ lenn .Vars.users }}",
        "{{ $undeclared }}",
        "{{ range $u := .Vars.users }}{{ end }}{{ $u }}",
        "{{ template \"nope\" }}",
        "{{ define \"head\" }}{{ end }}{{ template \"haed\" }}",
        "{{ .Var.x }}",
        "{{ .name }}",
        "{{ .Each.name }}",
        "{{ range .Vars.users }}{{ $.Item }}{{ end }}",
        "{{ default \"a\" }}",
        "{{ nil }}",
        "{{ .Vars.name | .Vars.port }}",
    ] {
        let error = rendered(text).expect_err(text);
        out += &format!("{text:?}\n  {error}\n  help: {}\n", error.help);
    }
    insta::assert_snapshot!(out);
}

#[test]
fn no_text_is_cut_short() {
    let check = |text: &str, expect: &str| assert_eq!(rendered(text).as_deref(), Ok(expect), "{text}");
    check("{{ if false }}a{{ else if true }}b{{ else }}c{{ end }}d", "bd");
    check("{{ with .Vars.no }}a{{ else with .Vars.name }}{{ . }}{{ end }}d", "webd");
    check("{{ \"}}\" }}{{ `{{ end }}` }}{{/* {{ if }} */}}d", "}}{{ end }}d");
    check("{{- /* }} */ -}} {{ print '}' }}d", "125d");
    check("{{ block \"b\" .Vars.name }}<{{ . }}>{{ end }}d", "<web>d");
    check("{{ range .Vars.users }}{{ if eq . \"bob\" }}{{ continue }}{{ end }}{{ . }}{{ end }}d", "aliced");
    check("{{ if true }}{{ block \"b\" . }}{{ block \"c\" . }}x{{ end }}{{ end }}{{ end }}d", "xd");
    check("{{if true}}{{range .Vars.users}}x{{end}}{{end}}d", "xxd");
}

#[test]
fn renderings_are_bounded() {
    let bombs = [
        "{{ range 2000000000 }}x{{ end }}".to_string(),
        format!("{{{{ range 5000 }}}}{}{{{{ end }}}}", "y".repeat(10_000)),
        "{{ $x := \"aaaaaaaaaaaaaaaa\" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}".to_string(),
        "{{ define \"a\" }}{{ template \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}".to_string(),
        (0..40).map(|i| format!("{{{{ define \"t{i}\" }}}}{{{{ template \"t{}\" }}}}{{{{ template \"t{}\" }}}}{{{{ end }}}}", i + 1, i + 1)).collect::<String>()
            + "{{ define \"t40\" }}{{ end }}{{ template \"t0\" }}",
        format!("{{{{ if false }}}}{}{{{{ end }}}}", "{{ else if false }}x".repeat(100_000)),
        format!("{}x{}", "{{ if true }}".repeat(500), "{{ end }}".repeat(500)),
        format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
    ];
    for bomb in &bombs {
        assert!(rendered(bomb).is_err(), "{}", &bomb[..60]);
    }
}

#[test]
fn what_is_printed_for_certain_is_listed() {
    let check = |text: &str| -> Vec<String> {
        let printed = super::check(text).unwrap();
        printed
            .iter()
            .map(|p| {
                format!("{}:{} {}{}", p.line, p.column, p.path.join("."), if p.guarded { "?" } else { "" })
            })
            .collect()
    };
    assert_eq!(
        check("{{ .Vars.a }}\n {{ if .Vars.b }}{{ .Vars.c }}{{ end }}{{ .Vars.d | default 1 }}"),
        ["1:4 Vars.a", "2:21 Vars.c?"]
    );
    assert_eq!(check("{{ range .Vars.l }}{{ .x }}{{ $.Traits.os.arch }}{{ end }}"), ["1:31 Traits.os.arch?"]);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(\\{\\{[ a-zA-Z.$|():=\"0-9-]{0,20}\\}\\}|[a{} \\n]){0,8}") {
        let _ = check(&text);
        if let Ok(out) = render(&text, &vars(), &traits()) {
            proptest::prop_assert!(!out.contains("<no value>") && !out.contains("<nil>"));
        }
    }
}

proptest::proptest! {
    /// D1: an element is put in as it is, whatever it holds; what only looks like a mention stays.
    #[test]
    fn an_element_is_never_taken_for_a_template(
        value in "[a-z{}\"\\\\\n`'%|/*. $é-]{0,16}",
        pieces in proptest::collection::vec(0..6usize, 0..8),
    ) {
        let item = json!(value);
        let (mut text, mut expected) = (String::new(), String::new());
        for piece in pieces {
            let (write, says) = match piece {
                0 => ("{{ .Item }}", value.as_str()),
                1 => ("{{ printf \"%s\" $.Item }}", value.as_str()),
                2 => ("{{ `.Item` }}", ".Item"),
                3 => ("{{/* .Item */}}", ""),
                4 => ("{{ if eq .Item .Item }}y{{ end }}", "y"),
                _ => ("<.Item>", "<.Item>"),
            };
            text += write;
            expected += says;
        }
        let put = substitute(&text, &[&item]).map_err(|gap| proptest::test_runner::TestCaseError::fail(gap.why))?;
        proptest::prop_assert!(mentions(&put).is_empty(), "{put}");
        proptest::prop_assert_eq!(rendered(&put), Ok(expected));
    }
}

/// G17: what stands for nothing is named, with its place.
#[test]
fn a_mention_that_stands_for_nothing_is_placed() {
    let item = json!({"name": "x", "none": null});
    let gap = substitute("a\n {{ if .Each.nam }}x{{ end }}", &[&item]).unwrap_err();
    assert_eq!((gap.line, gap.column, gap.mention.as_str()), (2, 8, ".Each.nam"));
    assert!(gap.why.contains("did you mean .Each.name?"), "{}", gap.why);
    assert!(substitute("{{ .Each.none }}", &[&item]).unwrap_err().why.contains("no value"));
    assert_eq!(substitute("{{ .Each.none | default 1 }}", &[&item]).unwrap(), "{{ \"\" | default 1 }}");
    let inner = json!({"port": 80});
    let put = substitute("{{ .Each.name }}:{{ .Item.port }}", &[&inner, &item]).unwrap();
    assert_eq!(put, "x:80", "the inner element, then the outer one");
    assert!(substitute("{{ .Item.name }}", &[&inner, &item]).is_err(), ".Item is the inner element alone");
    assert!(mentions("{{ $x.Each }} {{ .Vars.Each }} {{ (index .Vars.x 0).Each }} .Each").is_empty());
}
