//! `vigocli config lint|search|explain|schema`: what is wrong with a tree, where a name stands, what a rule means, what
//! files look like to an editor.
//!
//! Nothing here is signed, sent or written.

use std::time::{Duration, Instant};

use serde_json::json;
use vigo_base::text::{escaped, nearest};
use vigo_stacks::Workshop;
use vigo_stacks::diagnostic::tally;
use vigo_stacks::rules::{self, Rule};
use vigo_stacks::search::{Found, Sought, search as find};

use crate::args::Everywhere;
use crate::args::config::{Lint, Search};
use crate::exit::{Exit, Failure};
use crate::show::Show;
use crate::{said, tree, words};

/// Between two looks at the files of a tree.
const GLANCE: Duration = Duration::from_millis(200);

/// Runs `vigocli config lint`.
///
/// # Errors
/// [`Failure`] if the tree cannot be read or has errors, or with `--strict` warnings.
pub fn lint(everywhere: &Everywhere, args: &Lint) -> Result<(), Failure> {
    let mut workshop = Workshop::new();
    if !args.watch {
        return linted(everywhere, args, &mut workshop);
    }
    loop {
        let seen = tree::stamp(&args.tree.stacks);
        let began = Instant::now();
        let wrong = linted(everywhere, args, &mut workshop);
        if let Err(failure) = &wrong {
            // A reader that is gone ends it; a tree that is wrong does not.
            if failure.exit != Exit::Config {
                return wrong;
            }
            failure.print(everywhere.json, false);
        }
        if !everywhere.json {
            eprintln!("linted in {} ms, waiting for a change (Ctrl-C ends)", began.elapsed().as_millis());
        }
        while tree::stamp(&args.tree.stacks) == seen {
            std::thread::sleep(GLANCE);
        }
    }
}

fn linted(everywhere: &Everywhere, args: &Lint, workshop: &mut Workshop) -> Result<(), Failure> {
    let source = tree::read(&args.tree.stacks)?;
    let (compiled, diagnostics) = workshop.lint(&source);
    said::print(everywhere, &diagnostics, &source);
    let show = Show::new(everywhere);
    let (policies, routes) = compiled.as_ref().map_or((0, 0), |c| (c.policies.len(), c.routes.len()));
    let (errors, warnings) = tally(&diagnostics);
    let body = json!({
        "errors": errors, "warnings": warnings, "policies": policies, "routes": routes,
        "diagnostics": diagnostics,
    });
    if everywhere.json || errors == 0 {
        show.result(&body, || {
            format!(
                "the tree is right: {} for {}\n",
                words::count(policies, "policy", "policies"),
                words::count(routes, "match block", "match blocks")
            )
        })?;
    }
    said::judge(&diagnostics, args.strict, "a publish would be refused")
}

/// Runs `vigocli config explain`.
///
/// # Errors
/// [`Failure`] if there is no such rule.
pub fn explain(everywhere: &Everywhere, rule: Option<&str>) -> Result<(), Failure> {
    let show = Show::new(everywhere);
    let Some(name) = rule else {
        let all: Vec<_> = rules::RULES.iter().map(|r| json!({"rule": r.name, "about": r.about})).collect();
        let rows: Vec<Vec<String>> =
            rules::RULES.iter().map(|r| vec![r.name.to_owned(), r.about.to_owned()]).collect();
        return show.result(&all, || show.table(&["rule", "what it guards"], &rows));
    };
    let found: &Rule = rules::find(name).ok_or_else(|| {
        let hint = match nearest(name, rules::RULES.iter().map(|r| r.name)) {
            Some(near) => format!("did you mean {near}? vigocli config explain lists them all"),
            None => "vigocli config explain lists them all".to_owned(),
        };
        Failure::new(Exit::NotFound, format!("there is no rule {}", escaped(name))).hint(hint)
    })?;
    let page = rules::page(found);
    show.result(&json!({"rule": found.name, "about": found.about, "page": page}), || page.clone())
}

/// Runs `vigocli config search`.
///
/// # Errors
/// [`Failure`] if the tree cannot be read, or the name stands nowhere.
pub fn search(everywhere: &Everywhere, args: &Search) -> Result<(), Failure> {
    let sought = [
        args.configcrate.as_deref().map(Sought::Configcrate),
        args.role.as_deref().map(Sought::Role),
        args.var.as_deref().map(Sought::Var),
        args.tag.as_deref().map(Sought::Tag),
        args.template.as_deref().map(Sought::Template),
    ];
    let Some(sought) = sought.into_iter().flatten().next() else {
        return Err(
            Failure::new(Exit::Usage, "nothing is looked for").hint("--configcrate NAME, --role NAME, …")
        );
    };
    let found = find(&tree::read(&args.tree.stacks)?, sought);
    let show = Show::new(everywhere);
    let row = |f: &Found| {
        vec![format!("{}:{}:{}", f.path, f.line, f.column), f.what.into(), f.name.clone(), f.within.clone()]
    };
    show.result(&found, || {
        show.table(&["place", "what", "name", "in"], &found.iter().map(row).collect::<Vec<_>>())
    })?;
    if found.is_empty() {
        return Err(Failure::new(Exit::NotFound, "it stands nowhere in the tree")
            .hint("a name may be a glob in quotes, like 'web*'; vigocli config tree shows what there is"));
    }
    Ok(())
}

/// Prints the JSON schema of one kind of file, or of any; it is JSON with and without `--json`.
///
/// # Errors
/// [`Failure`] if it cannot be written.
pub fn schema(everywhere: &Everywhere, kind: Option<&str>) -> Result<(), Failure> {
    let schema = vigo_stacks::schema::json::schema(kind);
    Show::new(everywhere).result(&schema, || format!("{schema:#}"))
}
