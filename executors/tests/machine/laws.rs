//! Laws, on machines and plans drawn at random: a dry run predicts, a second run changes nothing, the fake host
//! and the real one agree.

use proptest::prelude::*;
use serde_json::{Value, json};
use vigo_executors::FakeHost;
use vigo_executors::host::Kind;
use vigo_stacks::plan::Step;
use vigo_stacks::report::Outcome;

use crate::support::*;

fn before() -> impl Strategy<Value = Before> {
    prop_oneof![
        Just(Before::Nothing),
        Just(Before::Text("")),
        Just(Before::Text("one\ntwo\nthree\n")),
        Just(Before::Text("one\n2\nthree")),
        Just(Before::Empty),
        Just(Before::Full),
        Just(Before::Link("../elsewhere")),
        Just(Before::Odd(Kind::Fifo)),
    ]
}

fn optional(
    name: &'static str,
    values: &'static [&'static str],
) -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    proptest::option::of(proptest::sample::select(values))
        .prop_map(move |value| value.map(|v| (name, json!(v))).into_iter().collect())
}

/// Attributes without a path.
fn declared() -> impl Strategy<Value = (&'static str, Vec<(&'static str, Value)>)> {
    let contents: &[&str] = &["", "one\n", "one\ntwo\nthree\n", "{{ .Vars.site }}\n", "a\u{1b}b"];
    let common = (
        optional("state", &["present", "absent"]),
        optional("mode", &["0700", "0744", "755", "1777"]),
        any::<bool>(),
        proptest::sample::select(contents),
    );
    (proptest::sample::select(&["file", "directory", "symlink"][..]), common).prop_map(
        |(kind, (state, mode, force, content))| {
            let mut all = state;
            all.push(("force", json!(force)));
            match kind {
                "file" => all.extend(mode.into_iter().chain([("content", json!(content))])),
                "directory" => all.extend(mode.into_iter().chain([("recurse", json!(force))])),
                _ => all.push(("link_target", json!("../elsewhere"))),
            }
            (kind, all)
        },
    )
}

type Scene = Vec<(Before, Step)>;

/// Up to six steps, each on a path of its own, some below folders that are links or missing.
fn scene() -> impl Strategy<Value = Scene> {
    proptest::collection::vec((before(), declared()), 1..6).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(n, (before, (kind, attributes)))| {
                let target = format!("/srv/t{n}/thing");
                let mut values = json!({"target_path": target});
                for (name, value) in attributes {
                    values[name] = value;
                }
                (before, step(&target, kind, values))
            })
            .collect()
    })
}

fn target(step: &Step) -> String {
    step.attributes["target_path"].as_str().unwrap().to_owned()
}

fn steps(scene: &Scene) -> Vec<Step> {
    scene.iter().map(|(_, step)| step.clone()).collect()
}

fn fake(scene: &Scene) -> FakeHost {
    let mut host = FakeHost::new();
    scene.iter().for_each(|(before, step)| set_fake(&mut host, &target(step), *before));
    host
}

fn settled(first: Outcome) -> Outcome {
    if first == Outcome::Failed { Outcome::Failed } else { Outcome::None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dry_run_predicts_and_a_second_run_rests(scene in scene()) {
        let mut host = fake(&scene);
        let start = host.clone();
        let predicted = dry_run(&mut host, &steps(&scene));
        prop_assert!(host.same_files(&start));
        let done = run(&mut host, &steps(&scene));
        prop_assert_eq!(said(&predicted), said(&done));
        let after = host.clone();
        let again = run(&mut host, &steps(&scene));
        prop_assert!(host.same_files(&after));
        let expected: Vec<Outcome> = outcomes(&done).into_iter().map(settled).collect();
        prop_assert_eq!(outcomes(&again), expected);
        prop_assert!(dry_run(&mut host, &steps(&scene)).steps.iter().all(|s| s.diff.is_none()));
    }

    #[test]
    fn unrelated_steps_commute(scene in scene()) {
        let (mut forth, mut back) = (fake(&scene), fake(&scene));
        let steps = steps(&scene);
        run(&mut forth, &steps);
        run(&mut back, &steps.iter().rev().cloned().collect::<Vec<_>>());
        prop_assert!(forth.same_files(&back));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fake_host_and_the_real_one_agree(scene in scene()) {
        let mut fake = fake(&scene);
        let mut real = Real::new();
        for (before, step) in &scene {
            prop_assert!(set_real(&mut real, &target(step), *before));
        }
        let steps = steps(&scene);
        prop_assert_eq!(said(&dry_run(&mut fake, &steps)), said(&dry_run(&mut real.host, &steps)));
        prop_assert_eq!(said(&run(&mut fake, &steps)), said(&run(&mut real.host, &steps)));
        prop_assert_eq!(said(&run(&mut fake, &steps)), said(&run(&mut real.host, &steps)));
        for path in fake.paths() {
            let at = real.root().join(path.trim_start_matches('/'));
            prop_assert!(at.symlink_metadata().is_ok(), "{} is missing on the real host", path);
            if let Some(bytes) = fake.content(&path) {
                prop_assert_eq!(std::fs::read(&at).ok(), Some(bytes.to_vec()));
            }
        }
    }
}
