//! The loader: trees of any bytes, of pieces, and good ones that somebody edits.

use std::sync::LazyLock;

use vigo_stacks::SourceTree;

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::trees::{LAWS, edit, edited, pieced, promises, remembered, spelled, spelling};

pub const TARGET: Target = Target {
    name: "tree",
    about: "a tree of files: read, checked, formatted, compiled and traced",
    run,
    seeds,
    longest: 8_192,
};

/// A tree with something of everything.
const GOOD: &str = include_str!("tree.txt");

/// The good tree, or one of those that is left of it when a part of its files is taken out.
fn good(which: u8) -> &'static SourceTree {
    static TREES: LazyLock<Vec<SourceTree>> = LazyLock::new(|| {
        let whole = spelled(GOOD.as_bytes());
        let without = |names: &[&str]| {
            let kept = whole.iter().filter(|(path, _)| !names.iter().any(|name| path.contains(name)));
            SourceTree::from_files(kept.map(|(path, body)| (path, body.to_vec()))).unwrap_or_default()
        };
        vec![
            whole.clone(),
            without(&["acme", "roles", "vhost", "site", "dan", "environments"]),
            without(&["base", "watch", "old", "waivers", "environments"]),
        ]
    });
    &TREES[usize::from(which) % TREES.len()]
}

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    let (kind, law) = (feed.below(3), feed.below(LAWS + 1));
    let tree = match kind {
        0 => spelled(feed.rest()),
        1 => pieced(&mut feed),
        _ => edited(good(feed.byte()).clone(), &mut feed),
    };
    if law < LAWS {
        promises(&tree, law);
        return;
    }
    // What kind of input it was decides what had been seen before.
    let before = if kind == 2 {
        good(bytes.get(2).copied().unwrap_or_default()).clone()
    } else {
        edited(tree.clone(), &mut Feed::new(bytes))
    };
    remembered(&before, &tree);
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let whole = good(0);
    for law in 0..=LAWS as u8 {
        all.push(Ink::new().byte(0).byte(law).raw(&spelling(whole)).done());
        for n in 0..whole.len() as u8 {
            let how = (n + law) % 8;
            let edit = [n, how, 0, 40 + n, 0, 1, b'x'];
            all.push(Ink::new().byte(2).byte(law).byte(n).raw(&edit).done());
        }
        for from in 0..8u8 {
            let lines: Vec<u8> = (0..24).map(|n| from * 24 + n).collect();
            let hosts = [255, 4, 34, 36, 37, 255, 13];
            all.push(Ink::new().byte(1).byte(law).byte(0).raw(&lines).raw(&hosts).done());
        }
        let small = [0, 0, 2, 3, 6, 10, 16, 255, 4, 34, 35, 37, 40, 255, 2, 44];
        all.push(Ink::new().byte(1).byte(law).raw(&small).done());
    }
    for (path, body) in whole.iter() {
        let alone = [format!("=== {path}\n").as_bytes(), body].concat();
        all.push(Ink::new().byte(0).byte(2).raw(&alone).done());
    }
    let mut one = whole.clone();
    edit(&mut one, &mut Feed::new(&[3, 1, 0, 9]));
    all.push(Ink::new().byte(0).byte(0).raw(&spelling(&one)).done());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_tree_is_good() {
        let (_, said) = vigo_stacks::compile(good(0));
        for law in 0..LAWS {
            let compiled = promises(good(0), law).unwrap_or_else(|| panic!("{said:#?}"));
            assert!(compiled.policies.len() >= 2);
        }
        assert!(good(1).len() > 3 && good(2).len() > 3);
    }
}
