//! `vigo bench`: figures beside this machine's own references.
//!
//! Records and the channel are measured by the daemon; compiling and resolving here, and gossip with real nodes. A figure short of its target is
//! shown as a miss and is no failure of the program: machines differ.

mod gossip;
mod lab;
mod stacks;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vigo_base::Hash;
use vigo_base::figure::{self, Better, Figure};
use vigo_base::text::escaped;
use vigo_daemon::bench::{self, CannotMeasure};
use vigo_stacks::{Facts, SourceTree, compile, resolve};

use crate::args::Everywhere;
use crate::args::vigo::{Bench, BenchWhat};
use crate::exit::{Exit, Failure};
use crate::show::{self, Show};

/// The tree of the target: configcrates, roles, match blocks; and hosts that are routed.
const SIZE: (usize, usize, usize, usize) = (1_000, 50, 200, 10_000);
/// How often resolving is repeated.
const RESOLVES: u32 = 50;

/// Runs the command.
///
/// # Errors
/// [`Failure`] if nothing could be measured.
pub fn run(everywhere: &Everywhere, args: &Bench) -> Result<(), Failure> {
    let bar = show::spinner("measuring");
    let measured = match args.what {
        BenchWhat::Records => with_directory(args.dir.as_deref(), |dir| Ok(bench::records(dir)?)),
        BenchWhat::Channel => bench::channel().map_err(Failure::from),
        BenchWhat::Publish => publish(),
        BenchWhat::Stacks if args.peak => stacks::peak(args.crates.into()),
        BenchWhat::Stacks => stacks::stacks(&bar, args.crates.into()),
        BenchWhat::Gossip => {
            let dir = args.dir.clone().or_else(memory);
            let size = (usize::from(args.nodes), usize::from(args.updates));
            with_directory(dir.as_deref(), |dir| gossip::gossip(&bar, size, dir))
        }
    };
    bar.finish_and_clear();
    let figures = measured?;
    let show = Show::new(everywhere);
    show.result(&figures, || {
        let rows: Vec<Vec<String>> = figures.iter().map(|f| f.row().to_vec()).collect();
        let debug = if cfg!(debug_assertions) {
            "built without optimisation: these figures say little\n"
        } else {
            ""
        };
        show.table(&figure::COLUMNS, &rows) + debug
    })
}

/// Where fifty nodes do not wait for one disk: each would have its own.
fn memory() -> Option<std::path::PathBuf> {
    let shared = Path::new("/dev/shm");
    shared.is_dir().then(|| shared.to_path_buf())
}

impl From<CannotMeasure> for Failure {
    fn from(error: CannotMeasure) -> Failure {
        Failure::new(Exit::Failed, escaped(&error.to_string()))
    }
}

fn with_directory<T>(
    dir: Option<&Path>,
    work: impl FnOnce(&Path) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("vigo-bench-");
    let made = match dir {
        Some(dir) => builder.tempdir_in(dir),
        None => builder.tempdir(),
    };
    let made =
        made.map_err(|e| Failure::io("make a directory in", dir.unwrap_or(&std::env::temp_dir()), &e))?;
    work(made.path())
}

/// Compiles the tree of the target, routes every host and resolves one policy.
fn publish() -> Result<Vec<Figure>, Failure> {
    let tree = large_tree()?;
    let (again, _) = timed(|| tree.digest());
    let (took, (compiled, diagnostics)) = timed(|| compile(&tree));
    let Some(compiled) = compiled else {
        let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::new(Exit::Failed, format!("the tree to measure with is wrong: {first}")));
    };
    let hosts: Vec<String> = (0..SIZE.3).map(|n| format!("web{}-{n}.example.com", n % SIZE.2)).collect();
    let (routing, routed) = timed(|| hosts.iter().filter(|h| compiled.route(h).is_some()).count());
    if routed != SIZE.3 {
        return Err(Failure::new(Exit::Failed, format!("only {routed} of {} hosts have a route", SIZE.3)));
    }
    let policy = compiled.policies.iter().max_by_key(|p| p.step_ids().count());
    let Some(policy) = policy else { return Err(Failure::new(Exit::Failed, "the tree came to no policy")) };
    let facts = Facts { name: "web0-0.example.com".into(), tags: Vec::new(), traits: machine() };
    let (resolving, plans) = timed(|| (0..RESOLVES).filter(|_| resolve(policy, &facts).is_ok()).count());
    if plans != RESOLVES as usize {
        return Err(Failure::new(Exit::Failed, "a policy does not resolve"));
    }
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    Ok(vec![
        Figure::new("publish.compile_1000_configcrates", ms(took), "ms", Better::Lower)
            .beside(ms(again), "packing and hashing the same tree")
            .wanted(1_000.0),
        Figure::new("publish.route_10000_hosts", ms(routing), "ms", Better::Lower),
        Figure::new("publish.resolve_one_policy", ms(resolving) / f64::from(RESOLVES), "ms", Better::Lower)
            .wanted(2.0),
        Figure::new(
            "publish.tree",
            tree.iter().map(|(_, b)| b.len()).sum::<usize>() as f64 / 1e6,
            "MB",
            Better::Lower,
        ),
    ])
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

fn machine() -> Value {
    json!({"os": {"family": "debian", "distro": "debian", "version": "13", "arch": "amd64", "kernel_class": "linux"}})
}

fn large_tree() -> Result<SourceTree, Failure> {
    let (crates, roles, blocks, _) = SIZE;
    let mut files: Vec<(String, String)> = Vec::new();
    for n in 0..crates {
        let mut text = format!("name: crate{n}\nvars:\n  level: info\nresources:\n");
        for r in 0..5 {
            let filler = Hash::of(format!("{n}/{r}").as_bytes());
            let _ = write!(
                text,
                "  - name: file{r}\n    type: file\n    target_path: /etc/app{n}/part{r}.conf\n    mode: \"0644\"\n    content: |\n      # {filler}\n      level = {{{{ .Vars.level }}}}\n      host = {{{{ .Traits.os.arch }}}}\n"
            );
        }
        let _ = write!(
            text,
            "  - name: reload\n    type: exec\n    command: \"true\"\n    when: changed && os_family('debian')\n    subscribes: [file0, file1]\n"
        );
        files.push((format!("configcrates/crate{n}.vgo"), text));
    }
    let mut text = String::from("roles:\n");
    for n in 0..roles {
        let names: Vec<String> =
            (0..crates / roles).map(|c| format!("crate{}", n * (crates / roles) + c)).collect();
        let _ = write!(
            text,
            "  - name: role{n}\n    configcrates: [{}]\n    vars: {{level: warn}}\n",
            names.join(", ")
        );
    }
    files.push(("roles.vgo".into(), text));
    files.push(("site/common.vgo".into(), "configcrates: [crate0]\nvars: {level: debug}\n".into()));
    for n in 0..blocks {
        let text = format!(
            "envoys:\n  - match: \"web{n}-*\"\n    roles: [role{}, role{}]\n    tags: [web]\n",
            n % roles,
            (n + 1) % roles
        );
        files.push((format!("site/web{n}/hosts.vgo"), text));
    }
    SourceTree::from_files(files).map_err(|e| Failure::new(Exit::Failed, e.to_string()))
}
