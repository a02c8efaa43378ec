//! What holds for any input: no panic, one meaning whatever the order, one encoding, edges kept.

use proptest::prelude::*;
use vigo_base::target::glob_matches;
use vigo_stacks::when::{Builtin, Expr, Operand, parse};
use vigo_stacks::{Facts, Policy, SourceTree, compile, resolve, trace};

use crate::with_configcrate;

const PLACES: [&str; 12] = [
    "configcrates/a.vgo",
    "roles.vgo",
    "common.vgo",
    "site/common.vgo",
    "site/hosts.vgo",
    "templates/t",
    "environments.vgo",
    "site/environments.vgo",
    "usercrates/dan.vgo",
    "configcrates/compliance.vgo",
    "waivers.vgo",
    "tasks/t.vgo",
];

/// Compiles, traces and draws; the result and the diagnostics must agree.
fn survives(files: Vec<(String, Vec<u8>)>) {
    let mut tree = SourceTree::new();
    for (path, bytes) in files {
        let _ = tree.insert(path, bytes);
    }
    let (compiled, diagnostics) = compile(&tree);
    assert_eq!(compiled.is_none(), diagnostics.iter().any(|d| d.is_error()));
    for diagnostic in &diagnostics {
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1 && diagnostic.length >= 1);
        assert!(!diagnostic.to_string().contains('\u{1b}'));
    }
    let _ = vigo_stacks::render_fancy(&diagnostics, &tree, false, 80);
    let _ = trace(&tree, "web1", None).0.to_string();
    for policy in compiled.iter().flat_map(|c| &c.policies) {
        assert_eq!(Policy::from_bytes(&policy.to_bytes()).as_ref(), Ok(&**policy));
        resolve(policy, &Facts::default()).unwrap();
    }
}

/// Pieces of files.
const PIECES: &[&str] = &[
    "name: a\n",
    "resources:\n",
    "  - name: r\n",
    "    type: exec\n",
    "    type: file\n",
    "    command: x\n",
    "    target_path: /x\n",
    "    content: |\n      {{ .Vars.x }}\n",
    "    when: changed\n",
    "    when: x\n",
    "    depends_on: [r]\n",
    "    notify: [a, s]\n",
    "envoys:\n",
    "  - match: \"*\"\n",
    "    configcrates: [a]\n",
    "    roles: [web]\n",
    "vars: {x: 1}\n",
    "vars:\n  y: &a [1, *a]\n",
    "configcrates: [a, {name: a, when: x}]\n",
    "configcrates: [{name: a, state: absent}]\n",
    "usercrates: [dan]\n",
    "    usercrates: [dan, a]\n",
    "    environment: live\n",
    "    exclude_configcrates: [a]\n",
    "  case: [{when: x, configcrates: [a]}]\n",
    "    type: user\n    username: dan\n",
    "env:\n  live:\n",
    "    state: absent\n",
    "compliance: {provides: [time-sync], bundle: [x]}\n",
    "compliance:\n  soc2: [CC6.1]\n",
    "waivers:\n  soc2:\n",
    "    - {control: A1.1, reason: r, approved_by: d, expires: 2027-01-01}\n",
    "- name: web\n",
    "  includes: [web]\n",
    "  configcrates: [a]\n",
    "- ",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "\n",
    "\t",
    "'",
    "\"",
    "|",
    ">",
    "&a ",
    "*a ",
    "!x ",
    "<<: ",
    "é",
    "\u{feff}",
    "\r\n",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "? ",
    ", ",
    "\\",
    "0644",
    "yes",
    "null",
    "~",
    "{{ if .Vars.x }}",
    "{{ end }}",
    "\u{85}",
    "\u{2028}",
    "-1e400",
];

/// Text that looks like the language.
fn fragments() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES.to_vec());
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn expression() -> impl Strategy<Value = Expr> {
    let name =
        prop::sample::select(vec!["enabled", "os.family", "x_1", "is_container"]).prop_map(str::to_string);
    let text = "[ a-z'{}()|&!=\"\\\\é-]{0,12}";
    let operand = prop_oneof![name.clone().prop_map(Operand::Name), text.prop_map(Operand::Text)];
    let call = (prop::sample::select(Builtin::ALL.to_vec()), "[1-9][a-z0-9' .]{0,8}");
    let leaf = prop_oneof![
        any::<bool>().prop_map(Expr::Literal),
        Just(Expr::Changed),
        name.prop_map(Expr::Name),
        call.prop_map(|(builtin, argument)| match builtin {
            // A port is a number, whatever the text.
            Builtin::PortListening => Expr::Call(builtin, vec![(argument.len() * 7_000).to_string()]),
            Builtin::HourRange | Builtin::MinuteRange => {
                Expr::Call(builtin, vec![argument.len().to_string(), "23".into()])
            }
            Builtin::DayOfWeek => Expr::Call(builtin, vec!["Sun".into()]),
            Builtin::DayOfMonth => Expr::Call(builtin, vec![argument.len().to_string()]),
            Builtin::HasDisplay => Expr::Call(builtin, Vec::new()),
            Builtin::FlagSet => Expr::Call(builtin, vec!["a.b-c_1".into()]),
            other => Expr::Call(other, vec![argument]),
        }),
        (operand.clone(), any::<bool>(), operand).prop_map(|(left, equal, right)| Expr::Compare {
            left,
            equal,
            right
        }),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| Expr::Not(Box::new(e))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::all),
            prop::collection::vec(inner, 2..4).prop_map(Expr::any),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(place in 0..PLACES.len(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(vec![(PLACES[place].into(), bytes)]);
    }

    #[test]
    fn any_text_like_ours_is_survived(texts in prop::collection::vec((0..PLACES.len(), fragments()), 1..5)) {
        survives(texts.into_iter().map(|(p, t)| (PLACES[p].to_string(), t.into_bytes())).collect());
    }

    #[test]
    fn any_path_is_taken_or_refused(path in "[a-z./\\\\ \u{0}-\u{20}:é-]{0,20}") {
        survives(vec![(path, b"name: a\n".to_vec())]);
    }

    #[test]
    fn an_expression_survives_its_spelling(expr in expression()) {
        prop_assert_eq!(parse(&expr.to_string()), Ok(expr));
    }

    #[test]
    fn any_condition_is_read_or_refused(text in "[a-z'&|!=() .{}0-9\"é]{0,40}") {
        match parse(&text) {
            Ok(expr) => prop_assert_eq!(parse(&expr.to_string()), Ok(expr)),
            Err(error) => prop_assert!(error.at <= text.chars().count() && !error.message.is_empty()),
        }
    }

    #[test]
    fn any_bytes_are_a_policy_only_canonically(at in 0..400usize, byte in any::<u8>()) {
        let tree = crate::tree(&with_configcrate(
            "name: a\nvars: {x: [1, -2, 1.5, null, {k: v}]}\nresources:\n  - {name: r, type: exec, command: x, when: changed}\n",
        ));
        let mut bytes = compile(&tree).0.unwrap().policies[0].to_bytes();
        let len = bytes.len();
        bytes[at % len] = byte;
        if let Ok(policy) = Policy::from_bytes(&bytes) {
            prop_assert_eq!(policy.to_bytes(), bytes);
            let _ = resolve(&policy, &Facts::default());
        }
        let mut archive = tree.to_archive();
        let len = archive.len();
        archive[at % len] = byte;
        if let Ok(tree) = SourceTree::from_archive(&archive) {
            prop_assert_eq!(tree.to_archive(), archive);
        }
    }

    #[test]
    fn the_order_of_insertion_does_not_matter(order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle()) {
        let files: Vec<(String, Vec<u8>)> = (0..5)
            .map(|i| (format!("configcrates/c{i}.vgo"), format!("name: c{i}\nresources:\n  - {{name: r, type: exec, command: x, before: [c{}/r]}}\n", (i + 1) % 5).into_bytes()))
            .chain([("s/h.vgo".to_string(), b"envoys:\n  - {match: a, configcrates: [c3, c1, zz]}\n  - {match: \"*\", configcrates: [c0, c4, c2]}\n".to_vec())])
            .collect();
        let shuffled = SourceTree::from_files(order.iter().map(|i| files[*i].clone())).unwrap();
        let straight = SourceTree::from_files(files).unwrap();
        prop_assert_eq!(straight.digest(), shuffled.digest());
        prop_assert_eq!(compile(&straight), compile(&shuffled));
    }

    #[test]
    fn every_edge_is_kept_or_a_cycle_is_named(edges in prop::collection::vec((0..8usize, 0..8usize, 0..4usize), 0..12)) {
        let keys = ["depends_on", "before", "notify", "subscribes"];
        let mut body = "name: a\nresources:\n".to_string();
        for step in 0..8 {
            body += &format!("  - name: s{step}\n    type: exec\n    command: x\n");
            for (k, key) in keys.iter().enumerate() {
                let to: Vec<String> = edges.iter().filter(|e| e.0 == step && e.2 == k).map(|e| format!("s{}", e.1)).collect();
                if !to.is_empty() {
                    body += &format!("    {key}: [{}]\n", to.join(", "));
                }
            }
        }
        let (compiled, diagnostics) = compile(&crate::tree(&with_configcrate(&body)));
        let Some(compiled) = compiled else {
            prop_assert!(diagnostics.iter().all(|d| d.rule == "order-cycle"), "{}", crate::said(&diagnostics));
            return Ok(());
        };
        let order: Vec<String> = compiled.policies[0].step_ids().collect();
        let at = |step: usize| order.iter().position(|id| *id == format!("a/s{step}")).unwrap();
        for (from, to, kind) in edges {
            let (first, then) = if kind == 0 || kind == 3 { (to, from) } else { (from, to) };
            prop_assert!(at(first) < at(then), "{order:?}");
        }
    }

    /// F22, F35, D17: of any carriers that speak, the most specific decides the state, the last the variable, and an
    /// exclusion takes the configcrate out.
    #[test]
    fn any_carriers_come_to_what_the_order_says(
        says in prop::collection::vec((0..3usize, any::<bool>(), 0..8usize), 7),
    ) {
        // From the least specific to the most: role included, role, common of the root and of the directory, match
        // block, environments.vgo of the root and of the directory.
        let mention = |i: usize| match says[i].0 {
            0 => String::new(),
            1 => "configcrates: [f], ".to_string(),
            _ => "configcrates: [{name: f, state: absent}], ".to_string(),
        };
        let vars = |i: usize| if says[i].1 { format!("vars: {{x: {i}}}, ") } else { String::new() };
        let excludes = |i: usize| i >= 2 && says[i].2 == 0;
        let exclude = |i: usize| if excludes(i) { "exclude_configcrates: [f], " } else { "" };
        let body = |i: usize| format!("{}{}{}", mention(i), vars(i), exclude(i));
        let text = [
            "=== configcrates/f.vgo\nname: f\nresources: [{name: r, type: file, target_path: /x}]\n".to_string(),
            format!("=== roles.vgo\n- {{{}name: inner, usercrates: []}}\n- {{{}name: outer, includes: [inner]}}\n", body(0), body(1)),
            format!("=== common.vgo\n{{{}roles: []}}\n", body(2)),
            format!("=== s/common.vgo\n{{{}roles: []}}\n", body(3)),
            format!("=== environments.vgo\nenv: {{live: {{{}usercrates: []}}}}\n", body(5)),
            format!("=== s/environments.vgo\nenv: {{live: {{{}usercrates: []}}}}\n", body(6)),
            format!("=== s/h.vgo\nenvoys:\n  - {{{}match: h, environment: live, roles: [outer]}}\n", body(4)),
        ];
        let (compiled, diagnostics) = compile(&crate::tree(&text.concat()));
        let Some(compiled) = compiled else { panic!("{}", crate::said(&diagnostics)) };
        let policy = &compiled.policies[compiled.routes[0].policy];
        let plan = resolve(policy, &Facts::default()).unwrap();
        let state = plan.steps.iter().find(|s| s.id == "f/r").map(|s| s.attributes["state"] == "absent");
        let last = (0..7).rev().find(|i| says[*i].0 > 0).map(|i| says[i].0 == 2);
        let expected = last.filter(|_| !(2..7).any(excludes));
        prop_assert_eq!(state, expected);
        let (traced, _) = trace(&crate::tree(&text.concat()), "h", None);
        let var = traced.vars.iter().find(|v| v.name == "x").and_then(|v| v.layers.last()?.value.as_u64());
        let set = (0..7usize).rev().find(|i| says[*i].1).map(|i| i as u64);
        prop_assert_eq!(var, set);
        let shown = traced.configcrates.iter().find(|c| c.name == "f").map(|c| c.absent);
        prop_assert_eq!(shown, expected);
    }

    /// A host has the route of the first block that matches it, in the order of the file; nobody else's.
    #[test]
    fn a_host_has_the_route_of_the_first_block_that_matches(
        patterns in prop::collection::vec("[ab*?]{1,4}", 1..6), hosts in prop::collection::vec("[ab]{1,5}", 1..8),
    ) {
        let mut text = "=== configcrates/a.vgo\nname: a\nresources:\n  - {name: r, type: exec, command: x}\n=== site/hosts.vgo\nenvoys:\n".to_string();
        for (n, pattern) in patterns.iter().enumerate() {
            text += &format!("  - {{match: \"{pattern}\", configcrates: [a], tags: [t{n}]}}\n");
        }
        let (compiled, diagnostics) = compile(&crate::tree(&text));
        // Two blocks of one pattern are refused; everything else has a result.
        let Some(compiled) = compiled else {
            prop_assert!(diagnostics.iter().any(|d| d.is_error()));
            return Ok(());
        };
        for host in hosts {
            let first = compiled.routes.iter().find(|route| glob_matches(&route.pattern, &host));
            prop_assert_eq!(compiled.route(&host), first);
            prop_assert_eq!(first.is_some(), patterns.iter().any(|pattern| glob_matches(pattern, &host)));
        }
    }
}
