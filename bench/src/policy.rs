//! Policies: a large tree compiled, hosts routed, one policy resolved with its traits.
//!
//! The tree is the one of the targets: 1,000 configcrates in 50 roles, 200 match blocks for 10,000 hosts. Its reference is a bare
//! pass of the YAML parser over the same bytes, with nothing made of them; resolving stands beside reading the same policy
//! from its bytes.

use std::fmt::Write as _;

use saphyr_parser::Parser;
use serde_json::{Value, json};
use vigo_base::Hash;
use vigo_stacks::{Compiled, Facts, Policy, SourceTree, compile, resolve};

use crate::measure::{in_turn, seconds};
use crate::{Better, Broken, Figure, Measured, Size};

/// How large a tree is.
#[derive(Debug, Clone, Copy)]
struct Tree {
    configcrates: usize,
    roles: usize,
    blocks: usize,
    hosts: usize,
}

/// Compiling, routing, resolving.
///
/// # Errors
/// [`Broken`] if the tree is refused, a host has no route, or a policy does not resolve.
pub fn figures(size: Size) -> Measured {
    let full = Tree { configcrates: 1_000, roles: 50, blocks: 200, hosts: 10_000 };
    let shape = size.of(full, Tree { configcrates: 8, roles: 4, blocks: 4, hosts: 16 });
    let mut files = shape.files();
    let compiled = compiled(&files)?;
    let mut figures = vec![compiling(&files, size)?, one_change(&mut files, size)?];
    figures.push(routing(&compiled, shape)?);
    figures.extend(resolving(&compiled, size)?);
    Ok(figures)
}

type Files = Vec<(String, String)>;

impl Tree {
    fn files(self) -> Files {
        let Tree { configcrates, roles, blocks, .. } = self;
        let mut files: Files =
            (0..configcrates).map(|n| (format!("configcrates/unit{n}.vgo"), configcrate(n))).collect();
        let each = configcrates / roles;
        let mut text = String::from("roles:\n");
        for role in 0..roles {
            let names: Vec<String> = (role * each..(role + 1) * each).map(|n| format!("unit{n}")).collect();
            let _ = writeln!(text, "  - name: role{role}\n    configcrates: [{}]", names.join(", "));
        }
        files.push(("roles.vgo".into(), text));
        files.push(("site/common.vgo".into(), "vars: {level: info}\n".into()));
        for n in 0..blocks {
            let (one, other) = (n % roles, (n + 1) % roles);
            let text = format!(
                "envoys:\n  - match: \"site{n}-*\"\n    roles: [role{one}, role{other}]\n    tags: [site]\n"
            );
            files.push((format!("site/s{n}/hosts.vgo"), text));
        }
        files
    }
}

/// Four files that the traits decide on, and a command when one of them changed.
fn configcrate(n: usize) -> String {
    let mut text = format!("name: unit{n}\nvars:\n  port: {}\nresources:\n", 1_024 + n);
    for part in 0..4 {
        let salt = Hash::of(format!("{n} {part}").as_bytes());
        let _ = writeln!(
            text,
            "  - name: part{part}\n    type: file\n    target_path: /etc/unit{n}/part{part}.conf\n    mode: \"0640\"\n    \
             when: os_family('debian')\n    content: |\n      # {salt}\n      listen = {{{{ .Vars.port }}}}\n      \
             level = {{{{ .Vars.level }}}}\n      arch = {{{{ .Traits.os.arch }}}}"
        );
    }
    let _ = writeln!(
        text,
        "  - name: reload\n    type: exec\n    command: \"true\"\n    when: changed\n    subscribes: [part0, part3]"
    );
    text
}

fn tree(files: &Files) -> Result<SourceTree, Broken> {
    Ok(SourceTree::from_files(files.iter().cloned())?)
}

fn compiled(files: &Files) -> Result<Compiled, Broken> {
    let (compiled, diagnostics) = compile(&tree(files)?);
    let first = || diagnostics.first().map(ToString::to_string).unwrap_or_default();
    compiled.ok_or_else(|| Broken(format!("the tree to measure with is wrong: {}", first())))
}

/// The YAML parser alone over all files; how many events there are.
fn parse(files: &Files) -> usize {
    files.iter().map(|(_, text)| Parser::new_from_str(text).filter(Result::is_ok).count()).sum()
}

fn compiling(files: &Files, size: Size) -> Result<Figure, Broken> {
    let tree = tree(files)?;
    let (ours, alone) = in_turn(size.of(5, 1), || compile(&tree).0.is_some(), || parse(files));
    let name = format!(
        "policy.publish.{}_configcrates",
        files.iter().filter(|(path, _)| path.starts_with("configcrates/")).count()
    );
    Ok(Figure::new(name, ours * 1e3, "ms", Better::Lower)
        .beside(alone * 1e3, "the YAML parser over the same bytes")
        .wanted(1_000.0))
}

/// The same tree with one file changed: from its bytes to policies.
fn one_change(files: &mut Files, size: Size) -> Result<Figure, Broken> {
    let (mut times, mut alone) = (Vec::new(), Vec::new());
    for round in 0..size.of(5, 1) {
        let text = files[0].1.replace("mode: \"0640\"", &format!("mode: \"06{}0\"", round % 2 * 4));
        files[0].1 = text;
        let tree = tree(files)?;
        times.push(seconds(|| compile(&tree).0.is_some()).0);
        alone.push(seconds(|| Parser::new_from_str(&files[0].1).filter(Result::is_ok).count()).0);
    }
    times.sort_by(f64::total_cmp);
    alone.sort_by(f64::total_cmp);
    Ok(Figure::new("policy.publish.one_file_changed", times[times.len() / 2] * 1e3, "ms", Better::Lower)
        .beside(alone[alone.len() / 2] * 1e3, "the YAML parser over the changed file")
        .wanted(100.0))
}

fn routing(compiled: &Compiled, shape: Tree) -> Result<Figure, Broken> {
    let hosts: Vec<String> =
        (0..shape.hosts).map(|n| format!("site{}-{n}.example.com", n % shape.blocks)).collect();
    let (took, routed) = seconds(|| hosts.iter().filter(|host| compiled.route(host).is_some()).count());
    if routed != hosts.len() {
        return Err(Broken(format!("only {routed} of {} hosts have a route", hosts.len())));
    }
    Ok(Figure::new(format!("policy.route.{}_hosts", hosts.len()), took * 1e3, "ms", Better::Lower))
}

fn resolving(compiled: &Compiled, size: Size) -> Measured {
    let policy = compiled.policies.iter().max_by_key(|policy| policy.step_ids().count());
    let policy = policy.ok_or_else(|| Broken("the tree came to no policy".into()))?;
    let facts = Facts { name: "site0-0.example.com".into(), tags: vec!["site".into()], traits: machine() };
    let plan = resolve(policy, &facts)
        .map_err(|problems| Broken(format!("the policy does not resolve: {problems:?}")))?;
    if plan.steps.len() != policy.step_ids().count() {
        return Err(Broken(format!(
            "{} steps are planned of {}",
            plan.steps.len(),
            policy.step_ids().count()
        )));
    }
    let bytes = policy.to_bytes();
    let (ours, read) =
        in_turn(size.of(41, 1), || resolve(policy, &facts).is_ok(), || Policy::from_bytes(&bytes).is_ok());
    Ok(vec![
        Figure::new(format!("policy.resolve.{}_steps", plan.steps.len()), ours * 1e3, "ms", Better::Lower)
            .beside(read * 1e3, "reading the policy from its bytes")
            .wanted(2.0),
    ])
}

fn machine() -> Value {
    json!({"os": {"family": "debian", "distro": "debian", "version": "13", "arch": "amd64", "kernel_class": "linux"}})
}
