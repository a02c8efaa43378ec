//! Completions and manual pages, made from the command lines themselves, so that they cannot fall behind.

use std::fs;

use clap::Command;
use clap_complete::{Shell as ClapShell, generate};
use clap_mangen::Man as Page;

use crate::args::Everywhere;
use crate::args::vigo::{Completions, Man, Program, Shell};
use crate::exit::{Exit, Failure};
use crate::show::Show;
use crate::slips::command_of;

/// Both names of the program.
const PROGRAMS: [&str; 2] = ["vigo", "vigocli"];

/// `vigo completions`.
///
/// # Errors
/// [`Failure`] if they cannot be written.
pub fn completions(everywhere: &Everywhere, args: &Completions) -> Result<(), Failure> {
    let name = match args.program {
        Program::Vigo => "vigo",
        Program::Vigocli => "vigocli",
    };
    let shell = match args.shell {
        Shell::Bash => ClapShell::Bash,
        Shell::Zsh => ClapShell::Zsh,
        Shell::Fish => ClapShell::Fish,
    };
    Show::new(everywhere).text(&String::from_utf8_lossy(&script(shell, name)))
}

fn script(shell: ClapShell, program: &str) -> Vec<u8> {
    let mut out = Vec::new();
    generate(shell, &mut visible(command_of(program)), program, &mut out);
    out
}

/// A directory, and files in it by their names.
pub type Folder = (&'static str, Vec<(String, Vec<u8>)>);

/// The completions of both programs: the directories below `share/` where shells look, and the files for each. `zsh`
/// is where that shell looks, which differs from prefix to prefix.
pub fn scripts(zsh: &'static str) -> Vec<Folder> {
    let places = [
        (ClapShell::Bash, "bash-completion/completions", "", ""),
        (ClapShell::Zsh, zsh, "_", ""),
        (ClapShell::Fish, "fish/vendor_completions.d", "", ".fish"),
    ];
    let files = |shell, before: &str, after: &str| {
        let file = |program: &str| (format!("{before}{program}{after}"), script(shell, program));
        PROGRAMS.iter().map(|program| file(program)).collect()
    };
    places.map(|(shell, dir, before, after)| (dir, files(shell, before, after))).into()
}

/// A command without what its help does not show. clap cannot take anything away, so it is put together again.
fn visible(command: Command) -> Command {
    let mut fresh = Command::new(command.get_name().to_owned()).disable_help_subcommand(true);
    if let Some(version) = command.get_version() {
        fresh = fresh.version(version.to_owned());
    }
    if let Some(about) = command.get_about() {
        fresh = fresh.about(about.clone());
    }
    if let Some(about) = command.get_long_about() {
        fresh = fresh.long_about(about.clone());
    }
    if let Some(after) = command.get_after_help() {
        fresh = fresh.after_help(after.clone());
    }
    let below = command.get_subcommands().filter(|c| !c.is_hide_set()).cloned().map(visible);
    fresh.args(command.get_arguments().filter(|a| !a.is_hide_set()).cloned()).subcommands(below)
}

/// `vigo man`.
///
/// # Errors
/// [`Failure`] if a page cannot be written.
pub fn man(everywhere: &Everywhere, args: &Man) -> Result<(), Failure> {
    let Some(dir) = &args.dir else {
        let page = page(&built("vigo"), "vigo")?;
        return Show::new(everywhere).text(&String::from_utf8_lossy(&page));
    };
    fs::create_dir_all(dir).map_err(|e| Failure::io("make", dir, &e))?;
    let mut names = Vec::new();
    for (name, page) in pages()? {
        let path = dir.join(&name);
        fs::write(&path, page).map_err(|e| Failure::io("write", &path, &e))?;
        names.push(name);
    }
    Show::new(everywhere).result(&names, || names.join("\n"))
}

/// The manual pages of both programs, one for each command: their files' names and texts.
///
/// # Errors
/// [`Failure`] if one cannot be made.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut pages = Vec::new();
    for program in PROGRAMS {
        pages_of(&built(program), program, &mut pages)?;
    }
    Ok(pages)
}

fn built(program: &str) -> Command {
    let mut command = visible(command_of(program));
    command.build();
    command
}

fn pages_of(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    pages.push((format!("{}.1", name.replace(' ', "-")), page(command, name)?));
    let below = command.get_subcommands().filter(|c| !c.is_hide_set());
    for each in below {
        pages_of(each, &format!("{name} {}", each.get_name()), pages)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, Failure> {
    let failed =
        |e: std::io::Error| Failure::new(Exit::Failed, format!("cannot make the page of {name}: {e}"));
    let dashed = name.replace(' ', "-");
    let command = command.clone().name(dashed.clone()).bin_name(name.to_owned()).display_name(dashed.clone());
    let page = Page::new(command)
        .title(dashed.to_uppercase())
        .manual("Vigo")
        .source(concat!("vigo ", env!("CARGO_PKG_VERSION")));
    let mut out = Vec::new();
    page.render(&mut out).map_err(failed)?;
    // The examples are lines to type: they are not filled.
    let text = String::from_utf8_lossy(&out);
    let mut out = match text.split_once(".SH EXTRA\n") {
        Some((before, extra)) => {
            let (examples, after) = extra.split_once("\n.SH").map_or((extra, None), |(a, b)| (a, Some(b)));
            let after = after.map(|rest| format!(".SH{rest}")).unwrap_or_default();
            format!("{before}.SH EXAMPLES\n.nf\n{examples}\n.fi\n{after}").into_bytes()
        }
        None => text.into_owned().into_bytes(),
    };
    if !name.contains(' ') {
        out.extend_from_slice(b".SH \"EXIT STATUS\"\n.nf\n");
        out.extend_from_slice(crate::exit::Exit::table().as_bytes());
        out.extend_from_slice(b".fi\n");
    }
    Ok(out)
}
