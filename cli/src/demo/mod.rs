//! `vigo demo`: a real fleet on this machine, in one command, without root.
//!
//! One bolt and four envoys, each a process of its own below a temporary directory. A story is told and looked at,
//! then the fleet stays for whoever wants to talk to it. Whatever ends the demo, its processes end, and the directory
//! is removed unless it was asked for.

pub mod example;
mod processes;
mod screen;
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use vigo_base::text::escaped;

use crate::args::Everywhere;
use crate::args::vigo::Demo;
use crate::exit::{Exit, Failure};
use crate::reach;
use processes::end_all;
use screen::Screen;
use story::{NAMES, Story};

/// Between two looks at the fleet while it stays.
const LOOK: Duration = Duration::from_millis(250);

/// Runs the command.
///
/// # Errors
/// [`Failure`] if anything of the story did not happen.
pub fn run(everywhere: &Everywhere, args: &Demo) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = vigo_daemon::signals::set_on_end(&stop);
    told.map_err(|e| Failure::new(Exit::Failed, format!("cannot wait for signals: {e}")))?;
    let place = Place::new(args.keep.as_deref())?;
    let screen = Screen::new(everywhere, &NAMES);
    let mut story = Story::new(place.path.clone(), &screen, Arc::clone(&stop))?;
    link(&place.path)?;
    let told = story.tell();
    if let Err(failure) = told {
        screen.end();
        end_all(&mut story.nodes);
        if !stop.load(Ordering::SeqCst) {
            story.nodes.iter().for_each(|node| eprint!("{}", node.last_lines()));
        }
        finish(everywhere, &story)?;
        return Err(failure);
    }
    if !args.once {
        explain(&screen, &story);
        if everywhere.json {
            finish(everywhere, &story)?;
        }
        stay(&mut story, &screen, &stop);
    }
    screen.end();
    end_all(&mut story.nodes);
    if args.once {
        finish(everywhere, &story)?;
    }
    if !everywhere.json {
        let kept = if place.kept() { "kept" } else { "removed" };
        println!("The fleet has ended; {} is {kept}.", escaped(&place.path.display().to_string()));
    }
    if story.happened.ok { Ok(()) } else { Err(Failure::new(Exit::Failed, "not all of the story happened")) }
}

/// The one object, last on standard output.
fn finish(everywhere: &Everywhere, story: &Story<'_>) -> Result<(), Failure> {
    if everywhere.json {
        let body = serde_json::to_string(&story.happened);
        let body = body.map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        println!("{body}");
    }
    Ok(())
}

fn explain(screen: &Screen, story: &Story<'_>) {
    let shown = |path: PathBuf| escaped(&path.display().to_string());
    let bin = shown(story.dir.join("bin"));
    let (socket, key) = (shown(story.nodes[0].socket()), shown(story.key()));
    let (stacks, root) = (shown(story.stacks()), shown(story.nodes[1].root()));
    screen.plain("");
    screen.plain("The fleet stays until Ctrl-C. To talk to it, paste this into another terminal:");
    screen.plain("");
    screen.plain(&format!("  export VIGO_SOCKET={socket} VIGO_OPERATOR_KEY={key} PATH={bin}:$PATH"));
    screen.plain("");
    screen.plain("and then, for example:");
    screen.plain("");
    screen.plain("  vigocli envoys list");
    screen.plain(&format!("  vigocli config trace web1 --stacks {stacks}"));
    screen.plain(&format!(
        "  vigocli config trace bed3.clinic.example --stacks {stacks}     # of another customer"
    ));
    screen.plain(&format!("  vigocli config publish --wait --stacks {stacks}      # after a change there"));
    screen.plain(&format!("  echo oops > {root}/etc/motd; sleep 2; cat {root}/etc/motd"));
    screen.plain("");
}

/// Keeps the table up to date until a signal comes.
fn stay(story: &mut Story<'_>, screen: &Screen, stop: &AtomicBool) {
    let mut gone = [false; NAMES.len()];
    while !stop.load(Ordering::SeqCst) {
        for (index, name) in NAMES.iter().enumerate() {
            story.status(index);
            if !story.nodes[index].runs() && !gone[index] {
                gone[index] = true;
                screen.line(&format!("{name} has ended"));
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// `vigo` and `vigocli` in the demo's `bin`, for whoever pastes the line.
fn link(dir: &Path) -> Result<(), Failure> {
    let program =
        std::env::current_exe().map_err(|e| Failure::new(Exit::Failed, format!("where am I? {e}")))?;
    let bin = dir.join("bin");
    fs::create_dir_all(&bin).map_err(|e| Failure::io("make", &bin, &e))?;
    for name in ["vigo", "vigocli"] {
        let path = bin.join(name);
        std::os::unix::fs::symlink(&program, &path).map_err(|e| Failure::io("make", &path, &e))?;
    }
    Ok(())
}

/// Where the fleet lives.
struct Place {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    fn new(keep: Option<&Path>) -> Result<Place, Failure> {
        let Some(keep) = keep else {
            let base = std::env::temp_dir();
            let made = tempfile::Builder::new().prefix("vigo-demo-").tempdir_in(&base);
            let dir = made.map_err(|e| Failure::io("make a directory in", &base, &e))?;
            return Ok(Place { path: dir.path().to_path_buf(), temporary: Some(dir) });
        };
        let path = reach::absolute(keep);
        fs::create_dir_all(&path).map_err(|e| Failure::io("make", &path, &e))?;
        let mut entries = fs::read_dir(&path).map_err(|e| Failure::io("read", &path, &e))?;
        if entries.next().is_some() {
            let what = format!("{} is not empty", escaped(&path.display().to_string()));
            return Err(Failure::new(Exit::Usage, what).hint("--keep takes a new or an empty directory"));
        }
        Ok(Place { path, temporary: None })
    }

    fn kept(&self) -> bool {
        self.temporary.is_none()
    }
}
