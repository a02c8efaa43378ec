//! The grammar, the answers and the checks of conditions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn debian() -> Value {
    json!({
        "os": {"family": "debian", "distro": "Ubuntu", "version": "22.04", "arch": "amd64", "kernel_class": "linux",
               "upstream_codename": "jammy"},
        "hardware": {"cpu_count": 4},
        "ports": [{"proto": "tcp", "address": "::", "port": 22}, {"proto": "udp", "address": "::", "port": 53}],
        "is_container": false,
    })
}

/// A machine with `/etc/motd`, `/opt`, and a command `true`; of `/secret` nothing can be known.
struct Machine;

impl Probe for Machine {
    fn file_exists(&mut self, path: &str) -> Answer {
        if path == "/secret" {
            Answer::Unavailable("not permitted".into())
        } else {
            matches!(path, "/etc/motd" | "/var/lib/vigo/flags/beta").into()
        }
    }
    fn dir_exists(&mut self, path: &str) -> Answer {
        (path == "/opt").into()
    }
    fn command_succeeds(&mut self, command: &str) -> Answer {
        (command == "true").into()
    }
    fn process_running(&mut self, name: &str) -> Answer {
        (name == "nginx").into()
    }
    fn in_group(&mut self, group: &str) -> Answer {
        (group == "docker").into()
    }
    fn has_display(&mut self) -> Answer {
        Answer::Yes
    }
    fn local_time(&mut self) -> Result<LocalTime, String> {
        Ok(LocalTime { hour: 23, minute: 5, weekday: 6, day: 31 })
    }
}

fn vars() -> BTreeMap<String, Value> {
    let pairs = [
        ("enabled", json!(true)),
        ("off_word", json!("false")),
        ("port", json!(8080)),
        ("target", json!("jammy")),
        ("list", json!([1])),
        ("path", json!("/etc/motd")),
        ("empty", json!(null)),
        ("arch", json!("mine")),
    ];
    pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
}

fn answer(text: &str) -> Answer {
    let (vars, traits) = (vars(), debian());
    eval(&parse(text).unwrap(), &Scope { vars: &vars, traits: &traits }, &mut Machine)
}

#[test]
fn conditions_have_one_spelling() {
    let check = |text: &str, expect: &str| {
        let expr = parse(text).unwrap();
        assert_eq!(expr.to_string(), expect);
        assert_eq!(parse(expect).unwrap(), expr, "{expect}");
    };
    check("os_family('debian')&&arch( 'amd64' )", "os_family('debian') && arch('amd64')");
    check("not is_container and enabled or changed", "!is_container && enabled || changed");
    check("(a || b) && c", "(a || b) && c");
    check("a || (b && c)", "a || b && c");
    check("a && (b && c)", "a && b && c");
    check("!(a && b)", "!(a && b)");
    check("!(a == 'x')", "!(a == 'x')");
    check("!!a", "!!a");
    check("a && b == 'c'", "a && b == 'c'");
    check("'it''s' != os.distro", "'it''s' != os.distro");
    check("version_ge(9)", "version_ge('9')");
    check("((true))", "true");
}

#[test]
fn equality_binds_between_not_and_and() {
    let expr = parse("a && b == 'c' || !d").unwrap();
    let Expr::Or(parts) = &expr else { panic!("{expr:?}") };
    assert!(matches!(&parts[0], Expr::And(inner) if matches!(inner[1], Expr::Compare { equal: true, .. })));
    assert!(matches!(&parts[1], Expr::Not(_)));
}

#[test]
fn traits_and_variables_answer() {
    for yes in [
        "os_family('Debian')",
        "os_family('linux')",
        "port_listening(22)",
        "!port_listening('53')",
        "distro('ubuntu')",
        "arch('x86_64')",
        "version_ge('22.04')",
        "version_ge('9')",
        "version_ge('22.4')",
        "!version_ge('22.10')",
        "!is_container",
        "enabled && !off_word",
        "port == '8080'",
        "target == upstream_codename",
        "arch == 'mine'",
        "os.arch == 'amd64'",
        "empty == ''",
        "cpu_count != '8'",
        "'{{ .Vars.target }}-x' == 'jammy-x'",
        "'{{ .Vars.nothing }}' == ''",
        "file_exists('{{ .Vars.path }}')",
        "dir_exists('/opt') and command_succeeds('true')",
        "file_exists('/secret') || true",
    ] {
        assert_eq!(answer(yes), Answer::Yes, "{yes}");
    }
    for no in [
        "os_family('redhat')",
        "file_exists('/x')",
        "file_exists('/secret') && false",
        "dir_exists('/etc/motd')",
    ] {
        assert_eq!(answer(no), Answer::No, "{no}");
    }
}

#[test]
fn what_cannot_be_known_is_not_a_no() {
    for open in [
        "file_exists('/secret')",
        "!file_exists('/secret')",
        "file_exists('/secret') || false",
        "fqdn == 'x'",
    ] {
        assert!(matches!(answer(open), Answer::Unavailable(_)), "{open}: {:?}", answer(open));
    }
    assert_eq!(
        answer("fqdn == 'x'"),
        Answer::Unavailable("this machine reports no trait network.fqdn".into())
    );
}

#[test]
fn nothing_missing_is_handed_to_a_function() {
    let answer = answer("file_exists('/etc/{{ .Vars.nothing }}')");
    assert!(matches!(answer, Answer::Unavailable(why) if why.contains("no value")));
}

#[test]
fn simplifying_leaves_what_asks_the_machine() {
    let check = |text: &str, expect: &str| {
        let (vars, traits) = (vars(), debian());
        let left = simplify(&parse(text).unwrap(), &Scope { vars: &vars, traits: &traits });
        assert_eq!(left.to_string(), expect, "{text}");
    };
    check("os_family('debian') && file_exists('/x')", "file_exists('/x')");
    check("os_family('redhat') && file_exists('/x')", "false");
    check("enabled || file_exists('/x')", "true");
    check("!(is_container || file_exists('/x'))", "!file_exists('/x')");
    check("changed && distro('ubuntu')", "changed");
    check("changed && distro('rhel')", "false");
    check("fqdn == 'a' && enabled", "fqdn == 'a'");
}

#[test]
fn versions_are_compared_by_their_numbers() {
    for (found, wanted) in
        [("10", "9"), ("22.04", "22.04"), ("12.4", "12"), ("12", "12.0"), ("10", "10-rc1"), ("1.10", "1.9")]
    {
        assert!(version_at_least(found, wanted), "{found} {wanted}");
    }
    for (found, wanted) in [("9", "10"), ("22.04", "22.10"), ("12", "12.1"), ("10-rc1", "10"), ("", "1")] {
        assert!(!version_at_least(found, wanted), "{found} {wanted}");
    }
    assert!(version_at_least(&"9".repeat(400), "8"), "numbers of any length");
}

#[test]
fn changed_comes_out_of_the_outermost_conjunction() {
    let split = |text: &str| {
        let (found, rest) = parse(text).unwrap().without_changed();
        (found, rest.map(|r| r.to_string()))
    };
    assert_eq!(split("changed"), (true, None));
    assert_eq!(split("changed && a && b"), (true, Some("a && b".into())));
    assert_eq!(split("a"), (false, Some("a".into())));
    assert_eq!(split("!changed"), (false, Some("!changed".into())));
}

#[test]
fn names_are_checked() {
    let misuse = |text: &str| -> Vec<String> {
        let found = check(&parse(text).unwrap(), &vars());
        found.into_iter().map(|m| format!("{} | {}", m.message, m.help)).collect()
    };
    assert!(misuse("enabled && is_container && port == '1' && os.family == 'x' && off_word").is_empty());
    let out = misuse(
        "enabeld && port && list == 'x' && cpu_count && release == 'jammy' && qqqqqq && os.familly == ''",
    )
    .join("\n");
    insta::assert_snapshot!(out);
}

#[test]
fn mistakes_are_placed_and_explained() {
    let mut out = String::new();
    for text in [
        "",
        "a b",
        "a &",
        "a = b",
        "\"debian\" == a",
        "{{ .Vars.x }}",
        "a < 'b'",
        "'open",
        "(a",
        "a)",
        "a == b == c",
        "os_family('x') == 'y'",
        "'a' == arch('y')",
        "!a == 'b'",
        "'text'",
        "os_family",
        "os_family()",
        "os_family('a', 'b')",
        "os_family(debian)",
        "os_famly('x')",
        "has_display('x')",
        "process_running",
        "port_listening('http')",
        "port_listening(70000)",
        "version_ge('new')",
        "file_exists('')",
        "5",
        "a &&",
        "nothing_like_it('x')",
        "ä$",
    ] {
        let error = parse(text).expect_err(text);
        let marks = format!("{}{}", " ".repeat(error.at), "^".repeat(error.len.min(80)));
        out += &format!("{text}\n{marks}\n{}\n  help: {}\n\n", error.message, error.help);
    }
    for text in [format!("{}a", "!".repeat(100)), format!("{}a", "(".repeat(100)), "a".repeat(5000)] {
        let error = parse(&text).unwrap_err();
        out += &format!("{} …\n{}\n  help: {}\n\n", &text[..10], error.message, error.help);
    }
    insta::assert_snapshot!(out);
}

#[test]
fn an_expression_is_its_text_in_json() {
    let expr = parse("a and b").unwrap();
    assert_eq!(serde_json::to_string(&expr).unwrap(), "\"a && b\"");
    assert_eq!(serde_json::from_str::<Expr>("\"a and b\"").unwrap(), expr);
    assert!(serde_json::from_str::<Expr>("\"a and\"").is_err());
}

/// H7, H9–H12, H17–H19, D31, D33: the functions of the running system, of time and of flags.
#[test]
fn functions_of_the_machine_and_of_time() {
    for (text, holds) in [
        ("process_running('nginx')", true),
        ("process_running('nginxd')", false),
        ("in_group('docker')", true),
        ("in_group('wheel')", false),
        ("has_display()", true),
        ("flag_set('beta')", true),
        ("flag_set('gamma')", false),
        ("hour_range(23, 24)", true),
        ("hour_range('22', '23')", false),
        ("hour_range(22, 5)", true),
        ("hour_range(5, 22)", false),
        ("minute_range(0, 15)", true),
        ("minute_range(5, 6)", true),
        ("minute_range(0, 5)", false),
        ("minute_range(50, 6)", true),
        ("day_of_week('SUNDAY')", true),
        ("day_of_week('sun')", true),
        ("day_of_week('mon')", false),
        ("day_of_month(31)", true),
        ("day_of_month('1')", false),
        ("hour_range('{{ 22 }}', 5) && !day_of_month('{{ 30 }}')", true),
    ] {
        assert_eq!(answer(text), holds.into(), "{text}");
    }
    for text in ["day_of_month('{{ 32 }}')", "flag_set('{{ `../x` }}')", "hour_range('{{ 30 }}', 5)"] {
        assert!(matches!(answer(text), Answer::Unavailable(_)), "{text}");
    }
}

/// H24: what asks the machine is left by a resolution, what asks traits is not.
#[test]
fn only_questions_to_the_machine_are_left() {
    let (vars, traits) = (vars(), debian());
    let scope = Scope { vars: &vars, traits: &traits };
    for builtin in Builtin::ALL {
        let text = match builtin {
            Builtin::HourRange | Builtin::MinuteRange => format!("{}(1, 2)", builtin.name()),
            Builtin::HasDisplay => "has_display()".into(),
            Builtin::DayOfWeek => "day_of_week('mon')".into(),
            other => format!("{}('1')", other.name()),
        };
        let left = simplify(&parse(&text).unwrap(), &scope);
        assert_eq!(!matches!(left, Expr::Literal(_)), builtin.at_run_time(), "{text}");
    }
}

#[test]
fn a_part_that_decides_leaves_nothing_of_the_whole() {
    let vars = BTreeMap::new();
    let scope = Scope { vars: &vars, traits: &json!({}) };
    for (text, left) in [
        ("nobody || !(!changed && false)", "true"),
        ("nobody && !(changed || true)", "false"),
        ("nobody || changed && false", "nobody"),
        ("nobody && changed", "nobody && changed"),
    ] {
        assert_eq!(simplify(&parse(text).unwrap(), &scope).to_string(), left, "{text}");
    }
}
