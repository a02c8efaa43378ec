//! Conditions: any text read, spelled again, decided in part and answered.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vigo_stacks::when::{Answer, Expr, LocalTime, NoProbe, Probe, Scope, WHEN_BYTES, check, eval, simplify};

use crate::Target;
use crate::feed::{Feed, Ink};

pub const TARGET: Target = Target {
    name: "when",
    about: "conditions: read, spelled, simplified and answered in machines of any kind",
    run,
    seeds,
    longest: 6_144,
};

const WORDS: [&str; 40] = [
    "x",
    "y",
    "level",
    "os.family",
    "is_container",
    "changed",
    "true",
    "false",
    "&&",
    "||",
    "!",
    " and ",
    " or ",
    "not ",
    "(",
    ")",
    "==",
    "!=",
    "'a'",
    "'{{ .Vars.level }}'",
    "'{{ .Vars.none }}'",
    "os_family('debian')",
    "distro('ubuntu')",
    "arch('amd64')",
    "version_ge('22.04')",
    "file_exists('/x')",
    "dir_exists('/x')",
    "command_succeeds('true')",
    "process_running('x')",
    "in_group('adm')",
    "has_display()",
    "hour_range('9','17')",
    "minute_range('0','30')",
    "day_of_week('Mon')",
    "day_of_month('1')",
    "flag_set('a')",
    "port_listening('80')",
    ",",
    "''",
    "\n",
];

/// A machine that answers every question by its own bytes.
struct Machine<'a>(Feed<'a>);

impl Machine<'_> {
    fn answer(&mut self) -> Answer {
        match self.0.below(3) {
            0 => Answer::No,
            1 => Answer::Yes,
            _ => Answer::Unavailable("nobody knows".into()),
        }
    }
}

impl Probe for Machine<'_> {
    fn file_exists(&mut self, _: &str) -> Answer {
        self.answer()
    }
    fn dir_exists(&mut self, _: &str) -> Answer {
        self.answer()
    }
    fn command_succeeds(&mut self, _: &str) -> Answer {
        self.answer()
    }
    fn process_running(&mut self, _: &str) -> Answer {
        self.answer()
    }
    fn in_group(&mut self, _: &str) -> Answer {
        self.answer()
    }
    fn has_display(&mut self) -> Answer {
        self.answer()
    }
    fn local_time(&mut self) -> Result<LocalTime, String> {
        let weekday = self.0.below(7) as u8;
        Ok(LocalTime { hour: self.0.below(24) as u8, minute: self.0.below(60) as u8, weekday, day: 1 })
    }
}

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    let (traits, vars) = (traits(feed.below(4)), vars(feed.below(3)));
    let answers = feed.array::<8>();
    let text = match feed.below(2) {
        0 => String::from_utf8_lossy(feed.rest()).into_owned(),
        _ => {
            let words = feed.rest().iter().map(|at| WORDS[usize::from(*at) % WORDS.len()]);
            words.collect::<Vec<_>>().concat()
        }
    };
    let expr = match text.parse::<Expr>() {
        Ok(expr) => expr,
        Err(why) => {
            assert!(why.at <= text.chars().count() && !why.message.is_empty(), "{why:?}");
            return;
        }
    };
    assert!(text.len() <= WHEN_BYTES, "{} bytes of a condition were read", text.len());
    let spelled = expr.to_string();
    assert_eq!(spelled.parse::<Expr>().as_ref(), Ok(&expr), "one spelling of a condition");
    let same = expr.with_texts::<()>(&mut |text| Ok(text.to_string()));
    assert_eq!(same.as_ref(), Ok(&expr), "texts put back");
    let scope = Scope { vars: &vars, traits: &traits };
    drop(check(&expr, &vars));
    let left = simplify(&expr, &scope);
    assert_eq!(simplify(&left, &scope), left, "what is left cannot be simplified further");
    // A machine that knows nothing says the same of what is left as of the whole.
    let known = |expr: &Expr| match eval(expr, &scope, &mut NoProbe) {
        Answer::Unavailable(_) => None,
        Answer::Yes => Some(true),
        Answer::No => Some(false),
    };
    assert_eq!(known(&left), known(&expr), "{expr} and what is left of it, {left}");
    drop(eval(&expr, &scope, &mut Machine(Feed::new(&answers))));
    let (_, rest) = expr.without_changed();
    assert!(rest.is_none_or(|rest| !rest.without_changed().0), "`changed` is taken out whole");
}

fn traits(which: usize) -> Value {
    match which {
        0 => Value::Null,
        1 => json!({"os": {"family": "debian", "distro": "ubuntu", "version": "22.04", "arch": "amd64",
                    "kernel_class": "linux"}, "is_container": false, "network": {"listening_ports": [22, 80]}}),
        2 => json!({"os": {"family": 1, "version": "22..a-~9999999999999999999999"}, "is_container": "text"}),
        _ => json!({"os": [], "network": null}),
    }
}

fn vars(which: usize) -> BTreeMap<String, Value> {
    let all = match which {
        0 => json!({}),
        1 => json!({"x": true, "y": false, "level": "a"}),
        _ => json!({"x": null, "y": [1], "level": {"a": 1}, "is_container": 0}),
    };
    serde_json::from_value(all).unwrap_or_default()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let begun = |which: u8| Ink::new().byte(which).byte(which).raw(&[0, 1, 2, 0, 1, 2, 0, 1]);
    for (n, word) in WORDS.iter().enumerate() {
        all.push(begun(n as u8).byte(0).raw(word.as_bytes()).done());
        all.push(begun(1).byte(1).raw(&[14, n as u8, 15, 8, 10, n as u8, 9, 21]).done());
    }
    for text in [
        "os_family('debian') and not file_exists('/opt/app') || x",
        "upstream_codename != 'jammy' && version_ge('22.04')",
        "!!!!((((x && y) || changed)))",
        "level == '{{ .Vars.level }}{{ if .Vars.x }}{{ .Traits.os.family }}{{ end }}'",
        "flag_set('maintenance') && hour_range('22', '6') && day_of_week('Sat,Sun')",
    ] {
        all.push(begun(1).byte(0).raw(text.as_bytes()).done());
    }
    all.push(begun(1).byte(0).raw("(".repeat(5_000).as_bytes()).done());
    all.push(begun(1).byte(0).raw("x || ".repeat(800).as_bytes()).done());
    all
}
