//! `vigo bench stacks`: trees of the language of several sizes, linted cold and after a change, traced, resolved.
//!
//! What runs in one thread is measured in the processor time of that thread, so that other work on the machine does not
//! count; tracing, which takes two threads, by the clock. The peak of memory is that of a process which lints one tree
//! once. Nothing is read from a disk or written to one.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use indicatif::ProgressBar;
use rustix::time::{ClockId, clock_gettime};
use saphyr_parser::Parser;
use serde_json::{Value, json};
use vigo_base::Hash;
use vigo_base::figure::{Better, Figure, median};
use vigo_stacks::{Compiled, Facts, Policy, SourceTree, Tracer, Workshop, resolve};

use crate::exit::{Exit, Failure};

/// The size that the targets speak of: configcrates, and hosts.
const TARGET: (usize, usize) = (1_000, 10_000);
/// Resources of a configcrate.
const RESOURCES: usize = 10;
/// Configcrates of a role, and of a match block's share of the tree.
const PER_ROLE: usize = 20;
const PER_BLOCK: usize = 5;
/// Match blocks of a region, the directory above a site's.
const PER_REGION: usize = 10;
/// Rounds of which the median counts, for trees up to the target's.
const ROUNDS: usize = 5;
/// Threads that trace.
const THREADS: usize = 2;

type Measured = Result<Vec<Figure>, Failure>;

/// Measures trees of 100 configcrates up to `largest`.
pub fn stacks(bar: &ProgressBar, largest: usize) -> Measured {
    let mut sizes: Vec<usize> = [100, 1_000].into_iter().filter(|size| *size < largest).collect();
    sizes.push(largest);
    let (mut figures, mut each) = (Vec::new(), Vec::new());
    for size in sizes {
        bar.set_message(format!("{size} configcrates"));
        let tree = tree(size)?;
        let rounds = if size <= TARGET.0 { ROUNDS } else { 1 };
        let (took, bare) = cold(&tree, rounds)?;
        each.push((size, took));
        let figure = Figure::new(format!("stacks.cold.{size}"), took * 1e3, "ms", Better::Lower)
            .beside(bare * 1e3, "the YAML parser over the same bytes");
        figures.push(if size == TARGET.0 { figure.wanted(1_000.0) } else { figure });
        figures.extend(changes(size, tree, rounds)?);
    }
    if let ([(few, short), ..], Some((many, long))) = (each.as_slice(), each.last())
        && many > few
    {
        let growth = (long / *many as f64) / (short / *few as f64);
        let name = format!("stacks.growth.{few}_to_{many}");
        figures.push(Figure::new(name, growth, "x per configcrate", Better::Lower).wanted(1.0));
    }
    let tree = tree(TARGET.0.min(largest))?;
    bar.set_message("resolving and tracing");
    figures.extend(resolving(&tree)?);
    figures.push(tracing(&tree, TARGET.0.min(largest))?);
    figures.extend(peak_of_a_process(TARGET.0.min(largest))?);
    Ok(figures)
}

/// Lints one tree, and says how much memory the process took at most.
pub fn peak(size: usize) -> Measured {
    let tree = tree(size)?;
    let mut workshop = Workshop::new();
    right(workshop.lint(&tree))?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    let kib =
        kib.ok_or_else(|| Failure::new(Exit::Failed, "this system does not say how much memory it took"))?;
    let bytes = tree.iter().map(|(_, body)| body.len()).sum::<usize>() as f64 / f64::from(1 << 20);
    Ok(vec![
        Figure::new(format!("stacks.peak.{size}"), kib / 1024.0, "MiB", Better::Lower)
            .beside(bytes, "the files of the tree")
            .wanted(300.0),
    ])
}

/// The same, measured in a process of its own, where nothing else ever took memory.
fn peak_of_a_process(size: usize) -> Measured {
    let failed = |why: String| Failure::new(Exit::Failed, format!("the process that measures memory: {why}"));
    let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let size_text = size.to_string();
    let done = Command::new(program)
        .args(["bench", "stacks", "--peak", "--json", "--crates", &size_text])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    let said: Value = serde_json::from_slice(&done.stdout).map_err(|e| failed(e.to_string()))?;
    let number = |name: &str| said.pointer(&format!("/0/{name}")).and_then(Value::as_f64);
    let (Some(value), Some(reference)) = (number("value"), number("reference")) else {
        return Err(failed("it said nothing".into()));
    };
    Ok(vec![
        Figure::new(format!("stacks.peak.{size}"), value, "MiB", Better::Lower)
            .beside(reference, "the files of the tree")
            .wanted(300.0),
    ])
}

/// Linting by a new workshop, and the parser alone.
fn cold(tree: &SourceTree, rounds: usize) -> Result<(f64, f64), Failure> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (took, linted) = seconds(|| Workshop::new().lint(tree));
        right(linted)?;
        ours.push(took);
        bare.push(seconds(|| parsed(tree)).0);
    }
    Ok((median(ours), median(bare)))
}

/// How many events a bare parser finds.
fn parsed(tree: &SourceTree) -> usize {
    let texts = tree.iter().filter_map(|(_, body)| std::str::from_utf8(body).ok());
    texts.map(|text| Parser::new_from_str(text).filter(Result::is_ok).count()).sum()
}

/// What one changed file costs somebody who keeps a workshop, file by file.
fn changes(size: usize, mut tree: SourceTree, rounds: usize) -> Measured {
    let mut workshop = Workshop::new();
    right(workshop.lint(&tree))?;
    let (nothing, hashed) = (seconds(|| workshop.lint(&tree)).0, seconds(|| hashes(&tree)).0);
    let mut figures = vec![
        Figure::new(format!("stacks.unchanged.{size}"), nothing * 1e3, "ms", Better::Lower)
            .beside(hashed * 1e3, "hashing the same bytes"),
    ];
    let edits = [
        ("configcrate", "configcrates/unit7.vgo", "level = "),
        ("hosts", "region0/site1/hosts.vgo", "tags: [site"),
        ("region", "region0/common.vgo", "region: r"),
        ("roles", "roles.vgo", "    vars: {rank: 1"),
        ("root", "common.vgo", "level: info"),
    ];
    for (what, path, at) in edits {
        let mut times = Vec::new();
        for round in 0..rounds {
            let text = String::from_utf8_lossy(tree.get(path).unwrap_or_default()).into_owned();
            let changed = text.replacen(at, &format!("{at}{round}"), 1);
            if changed == text {
                return Err(Failure::new(Exit::Failed, format!("{path} has no {at:?} to change")));
            }
            let put = tree.replace(path, changed);
            put.map_err(|bad| Failure::new(Exit::Failed, bad.to_string()))?;
            let (took, linted) = seconds(|| workshop.lint(&tree));
            right(linted)?;
            times.push(took);
        }
        let name = format!("stacks.changed_{what}.{size}");
        let figure = Figure::new(name, median(times) * 1e3, "ms", Better::Lower);
        figures.push(if what == "configcrate" && size == TARGET.0 { figure.wanted(100.0) } else { figure });
    }
    Ok(figures)
}

fn hashes(tree: &SourceTree) -> Vec<Hash> {
    tree.iter().map(|(_, body)| Hash::of(body)).collect()
}

/// The largest policy of a tree, resolved.
fn resolving(tree: &SourceTree) -> Measured {
    let compiled = right(Workshop::new().lint(tree))?;
    let policy = compiled.policies.iter().max_by_key(|policy| policy.step_ids().count());
    let policy = policy.ok_or_else(|| Failure::new(Exit::Failed, "the tree came to no policy"))?;
    let traits =
        json!({"os": {"family": "debian", "distro": "debian", "arch": "amd64", "kernel_class": "linux"}});
    let facts = Facts { name: "site0-0.example.com".into(), tags: vec!["site".into()], traits };
    let bytes = policy.to_bytes();
    let (mut ours, mut read) = (Vec::new(), Vec::new());
    for _ in 0..41 {
        let (took, plan) = seconds(|| resolve(policy, &facts));
        plan.map_err(|problems| {
            Failure::new(Exit::Failed, format!("a policy does not resolve: {problems:?}"))
        })?;
        ours.push(took);
        read.push(seconds(|| Policy::from_bytes(&bytes).is_ok()).0);
    }
    let name = format!("stacks.resolve.{}_steps", policy.step_ids().count());
    Ok(vec![
        Figure::new(name, median(ours) * 1e3, "ms", Better::Lower)
            .beside(median(read) * 1e3, "reading the policy from its bytes")
            .wanted(2.0),
    ])
}

/// All hosts traced, as text, by two threads.
fn tracing(tree: &SourceTree, size: usize) -> Result<Figure, Failure> {
    let start = Instant::now();
    let tracer = Tracer::new(tree);
    let blocks = (size / PER_BLOCK).max(1);
    let hosts: Vec<String> = (0..TARGET.1).map(|n| format!("site{}-{n}.example.com", n % blocks)).collect();
    let share = |hosts: &[String]| {
        let found = hosts.iter().map(|host| tracer.trace(host, None));
        found.filter(|trace| trace.matched.is_some() && trace.to_string().len() > 100).count()
    };
    let traced: usize = std::thread::scope(|scope| {
        let parts: Vec<_> = hosts
            .chunks(hosts.len().div_ceil(THREADS))
            .map(|part| scope.spawn(move || share(part)))
            .collect();
        parts.into_iter().map(|part| part.join().unwrap_or(0)).sum()
    });
    let took = start.elapsed().as_secs_f64();
    if traced != hosts.len() {
        return Err(Failure::new(
            Exit::Failed,
            format!("only {traced} of {} hosts were traced", hosts.len()),
        ));
    }
    Ok(Figure::new(format!("stacks.trace.{}_hosts", hosts.len()), took, "s", Better::Lower).wanted(10.0))
}

/// A tree of so many configcrates, in three levels: the root, regions, sites.
fn tree(size: usize) -> Result<SourceTree, Failure> {
    let (roles, blocks) = ((size / PER_ROLE).max(1), (size / PER_BLOCK).max(1));
    let mut files: Vec<(String, String)> =
        (0..size).map(|n| (format!("configcrates/unit{n}.vgo"), configcrate(n))).collect();
    let mut text = String::new();
    for role in 0..roles {
        let names: Vec<String> =
            (role * PER_ROLE..(role + 1) * PER_ROLE).map(|n| format!("unit{n}")).collect();
        let _ =
            writeln!(text, "- name: role{role}\n  configcrates: [{}]\n  vars: {{rank: 1}}", names.join(", "));
    }
    files.push(("roles.vgo".into(), format!("roles:\n{}", indented(&text))));
    files.push(("common.vgo".into(), "vars: {level: info}\n".into()));
    for n in 0..blocks {
        let region = n / PER_REGION;
        if n % PER_REGION == 0 {
            files.push((format!("region{region}/common.vgo"), format!("vars: {{region: r{region}}}\n")));
        }
        let (one, other) = (n % roles, (n + 1) % roles);
        let text = format!(
            "envoys:\n  - match: \"site{n}-*\"\n    roles: [role{one}, role{other}]\n    tags: [site]\n    vars: {{site: s{n}}}\n"
        );
        files.push((format!("region{region}/site{n}/hosts.vgo"), text));
    }
    SourceTree::from_files(files).map_err(|bad| Failure::new(Exit::Failed, bad.to_string()))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Files that the traits decide on, a package, and a command when one of the files changed.
fn configcrate(n: usize) -> String {
    let mut text = format!("name: unit{n}\nvars:\n  port: {}\nresources:\n", 1_024 + n);
    for part in 0..RESOURCES - 2 {
        let salt = Hash::of(format!("{n} {part}").as_bytes()).short();
        let _ = writeln!(
            text,
            "  - name: part{part}\n    type: file\n    target_path: /etc/unit{n}/part{part}.conf\n    mode: \"0640\"\n    \
             when: os_family('debian')\n    content: |\n      # {salt}\n      listen = {{{{ .Vars.port }}}}\n      \
             level = {{{{ .Vars.level }}}}\n      arch = {{{{ .Traits.os.arch }}}}"
        );
    }
    let _ = writeln!(
        text,
        "  - name: installed\n    type: package\n    package: unit{n}\n  - name: reload\n    type: exec\n    command: \
         \"true\"\n    when: changed\n    subscribes: [part0, part3]"
    );
    text
}

/// What linting came to, which must be a result.
fn right((compiled, said): (Option<Compiled>, Vec<vigo_stacks::Diagnostic>)) -> Result<Compiled, Failure> {
    compiled.ok_or_else(|| {
        let first = said.first().map(ToString::to_string).unwrap_or_default();
        Failure::new(Exit::Failed, format!("the tree to measure with is wrong: {first}"))
    })
}

/// Seconds of this thread's processor time.
fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let spent = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let start = spent();
    let done = std::hint::black_box(work());
    (spent() - start, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trees_are_right_and_changes_are_seen() {
        let tree = tree(200).unwrap();
        let compiled = right(Workshop::new().lint(&tree)).unwrap();
        assert_eq!((compiled.policies.len(), compiled.routes.len()), (40, 40));
        assert_eq!(compiled.policies[0].step_ids().count(), 2 * PER_ROLE * RESOURCES);
        let figures = changes(200, tree.clone(), 1).unwrap();
        assert_eq!(figures.len(), 6);
        let steps = resolving(&tree).unwrap();
        assert!(steps[0].name.contains("400_steps"), "{}", steps[0].name);
    }

    #[test]
    fn memory_is_that_of_this_process() {
        let figures = peak(100).unwrap();
        assert!(figures[0].value > 1.0, "{:?}", figures[0]);
    }
}
