//! Stories that are told on two stages from one text: in the virtual world and in the lab of real programs.
//!
//! Each `*.story` here is a plain text: what people do and what breaks, step by step, and at the end the state that
//! the fleet is in, as JSON. [`parse`] reads it, [`play`] performs it on whatever is a [`Stage`] and compares. A
//! stage includes this folder with `#[path]`, names the node's types as `crate::node`, and has one test for each
//! story from [`stories!`]: none is told on one stage only. docs/contributing.md says how to add one.
//!
//! Nothing here knows which stage it is told on: no bound and no expectation depends on it.

// Each stage uses a part of it.
#![allow(dead_code, unused_imports)]

mod forms;
mod parse;
mod play;
mod stage;

use std::path::{Path, PathBuf};

pub use forms::{FORMS, Step, Who};
pub use parse::{Bad, Story, parse};
pub use play::play;
pub use stage::{Stage, Tree};

/// Makes a test for each story: `$tell` is a function that takes the story's name. The list is the same for every
/// stage, and `every_story_is_told` fails when a file is not in it.
macro_rules! stories {
    ($tell:path) => {
        $crate::stories::stories!(@ $tell:
            a_bolt_is_lost_for_a_while
            a_clock_is_a_year_back
            a_disk_from_the_past
            a_fork_is_closed_by_the_next_publish
            a_killed_envoy_goes_on_where_it_was
            a_late_joiner_catches_up
            a_link_that_works_one_way
            a_partition_heals
            a_power_cut_for_everyone
            a_publish_reaches_everyone
            a_revocation_on_one_side_of_a_partition
            a_revoked_envoy_is_cut_off
            all_bolts_are_down
            an_envoy_that_only_dials
            settings_on_both_sides_of_a_partition
            two_publishes_at_once
        );
    };
    (@ $tell:path: $($name:ident)*) => {
        /// The names of all stories.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            $tell(stringify!($name));
        })*

        #[test]
        fn every_story_is_told() {
            assert_eq!($crate::stories::names(), NAMES, "the files of tests/stories, and the list of its macro");
        }
    };
}
pub(crate) use stories;

/// Where the stories are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/stories")
}

/// The names of the stories that there are files of, in order.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder of the stories");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let stories = paths.filter(|path| path.extension().is_some_and(|e| e == "story"));
    let mut names: Vec<String> =
        stories.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

/// Reads the story with this name.
pub fn read(name: &str) -> Story {
    let file = format!("tests/stories/{name}.story");
    let text = std::fs::read_to_string(folder().join(format!("{name}.story")));
    let text = text.unwrap_or_else(|e| panic!("{file}: {e}"));
    parse(&file, &text).unwrap_or_else(|bad| panic!("{bad}"))
}

/// Tells a story on a stage to its end; the state it ended in is kept as JSON below the build directory's
/// `tmp/stories`, under the stage's name.
#[track_caller]
pub fn tell(stage: &mut impl Stage, name: &str) {
    let story = read(name);
    let told = play(stage, &story);
    let ended = match &told {
        Ok(ended) => Some(ended),
        Err(fell) => fell.ended.as_ref(),
    };
    if let Some(ended) = ended {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stories").join(stage.title());
        std::fs::create_dir_all(&place).expect("a folder in the build directory");
        let text = serde_json::to_string_pretty(ended).expect("JSON");
        std::fs::write(place.join(format!("{name}.json")), text + "\n").expect("a file there");
    }
    if let Err(fell) = told {
        panic!("{}: {fell}", stage.title());
    }
}
