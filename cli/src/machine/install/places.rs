//! What an installation consists of and where each part lies: `packaging/` as data, for a prefix and a root.
//!
//! With the prefix `/usr` and a root it is the tree of the Debian package. It compares and writes single files; it
//! runs no program and asks nobody.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use vigo_base::text::escaped;

use super::accounts;
use super::work::{self, Outcome};
use crate::exit::{Exit, Failure};
use crate::machine::generate;
use crate::words;

/// Both units, in the order in which they start.
pub const UNITS: [&str; 2] = ["vigo-applier.service", "vigo-peer.service"];
/// What is there when this machine belongs to a fleet.
pub const FLEET: &str = "/var/lib/vigo/spanner.id";
/// The units as they are shipped, with the program at [`SHIPPED`].
const UNIT_TEXTS: [(&str, &str); 2] = [
    (UNITS[0], include_str!("../../../../packaging/vigo-applier.service")),
    (UNITS[1], include_str!("../../../../packaging/vigo-peer.service")),
];
const SYSUSERS: &str = include_str!("../../../../packaging/sysusers.conf");
const TMPFILES: &str = include_str!("../../../../packaging/tmpfiles.conf");
/// Where the shipped units have the program.
const SHIPPED: &str = "/usr/bin/vigo";
/// Where packages keep their units.
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
/// Below these the peer, which sees no home, could not start its program.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run", "/tmp", "/var/tmp"];

/// Where things go.
#[derive(Debug, Clone)]
pub struct Places {
    root: Option<PathBuf>,
    prefix: PathBuf,
}

/// The unit of a package of the system, if one is installed.
pub fn packaged_unit() -> Option<PathBuf> {
    PACKAGED.iter().map(|dir| Path::new(dir).join(UNITS[1])).find(|path| path.exists())
}

/// The prefix of what is installed, as its unit says.
pub fn installed_prefix() -> Option<PathBuf> {
    let unit = fs::read_to_string(Path::new("/etc/systemd/system").join(UNITS[1])).ok()?;
    let program = unit.lines().find_map(|line| line.strip_prefix("ExecStart="))?.split(' ').next()?;
    Path::new(program).parent()?.parent().map(Path::to_path_buf)
}

impl Places {
    /// For a prefix, on this machine or below `root`.
    ///
    /// # Errors
    /// [`Failure`] if the prefix cannot stand in a unit.
    pub fn new(prefix: &Path, root: Option<&Path>) -> Result<Places, Failure> {
        let text = prefix.display().to_string();
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/_.+-".contains(c));
        let whole = prefix.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        if !plain || !whole || !prefix.is_absolute() || prefix == Path::new("/") {
            let what = format!("--prefix: {} cannot be used", escaped(&text));
            return Err(Failure::new(Exit::Usage, what).hint(
                "give an absolute path of letters, digits and / _ . + -, like /usr/local or /opt/vigo",
            ));
        }
        if let Some(hidden) = HIDDEN.iter().find(|dir| prefix.starts_with(dir)) {
            let what =
                format!("--prefix: the node sees nothing below {hidden}, so its program cannot lie there");
            return Err(Failure::new(Exit::Usage, what).hint("use /usr/local, or a directory like /opt/vigo"));
        }
        let root = root.map(crate::reach::absolute);
        Ok(Places { root, prefix: prefix.to_path_buf() })
    }

    /// Whether it is below a directory instead of on this machine.
    pub fn is_image(&self) -> bool {
        self.root.is_some()
    }

    /// The prefix, if it is nobody's but ours.
    pub fn own_prefix(&self) -> Option<&Path> {
        let shared = ["/usr", "/usr/local"].iter().any(|dir| self.prefix == Path::new(dir));
        (!shared).then_some(self.prefix.as_path())
    }

    /// The program's place on the machine it is for.
    pub fn program(&self) -> PathBuf {
        self.prefix.join("bin/vigo")
    }

    /// The program's place as this machine sees it.
    pub fn shown(&self) -> PathBuf {
        self.at(&self.program())
    }

    /// The list of users and groups.
    pub fn sysusers(&self) -> PathBuf {
        self.system("sysusers.d").join("vigo.conf")
    }

    fn at(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_path_buf(),
        }
    }

    /// A directory of the system's settings: the administrator's, or a package's for the prefix /usr.
    fn system(&self, name: &str) -> PathBuf {
        let base = if self.is_package() { "/usr/lib" } else { "/etc" };
        self.at(&Path::new(base).join(name))
    }

    /// Whether it is the prefix of packages.
    fn is_package(&self) -> bool {
        self.prefix == Path::new("/usr")
    }

    /// The program, the link, the units, the lists of users and directories.
    pub fn items(&self) -> Vec<Item> {
        let bin = self.at(&self.prefix.join("bin"));
        let program = self.program().display().to_string();
        let text = |dir: PathBuf, name: &str, text: String| Item {
            path: dir.join(name),
            mode: 0o644,
            content: Content::Bytes(text.into_bytes()),
        };
        let mut items = vec![
            Item { path: bin.join("vigo"), mode: 0o755, content: Content::Program },
            Item { path: bin.join("vigocli"), mode: 0o777, content: Content::Link("vigo") },
        ];
        let starts = |text: &str| text.replace(&format!("={SHIPPED} "), &format!("={program} "));
        items.extend(UNIT_TEXTS.map(|(name, unit)| text(self.system("systemd/system"), name, starts(unit))));
        items.push(text(self.system("sysusers.d"), "vigo.conf", SYSUSERS.to_owned()));
        items.push(text(self.system("tmpfiles.d"), "vigo.conf", TMPFILES.to_owned()));
        items
    }

    /// Manual pages and completions.
    ///
    /// # Errors
    /// [`Failure`] if a page cannot be made.
    pub fn bundles(&self) -> Result<Vec<Bundle>, Failure> {
        let share = self.at(&self.prefix.join("share"));
        let files = |dir: &Path, all: Vec<(String, Vec<u8>)>| {
            let item =
                |(name, bytes)| Item { path: dir.join(name), mode: 0o644, content: Content::Bytes(bytes) };
            all.into_iter().map(item).collect::<Vec<Item>>()
        };
        let pages = share.join("man/man1");
        let man = Bundle {
            what: ("manual page", "manual pages"),
            items: files(&pages, generate::pages()?),
            dir: pages,
        };
        let mut items = Vec::new();
        let zsh = if self.is_package() { "zsh/vendor-completions" } else { "zsh/site-functions" };
        for (dir, all) in generate::scripts(zsh) {
            items.extend(files(&share.join(dir), all));
        }
        Ok(vec![man, Bundle { what: ("completion", "completions"), items, dir: share }])
    }
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// This program.
    Program,
    /// Nothing: it is a link to this.
    Link(&'static str),
}

/// A file and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it lies.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// What is in it.
    pub content: Content,
}

impl Item {
    /// Whether it is a unit.
    pub fn is_unit(&self) -> bool {
        self.path.extension().is_some_and(|e| e == "service")
    }

    /// Its name for people.
    pub fn shown(&self) -> String {
        let path = escaped(&self.path.display().to_string());
        match self.content {
            Content::Link(to) => format!("{path} -> {to}"),
            _ => path,
        }
    }

    /// What is to be done about it.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be looked at, or a directory is in its place.
    pub fn look(&self) -> Result<Outcome, Failure> {
        let there = match fs::symlink_metadata(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Outcome::Created),
            other => other.map_err(|e| Failure::io("look at", &self.path, &e))?,
        };
        if there.is_dir() {
            let what = format!("a directory is in the way: {}", escaped(&self.path.display().to_string()));
            return Err(Failure::new(Exit::Failed, what).hint("move it away and repeat the command"));
        }
        let ours = there.uid() == rustix::process::geteuid().as_raw() || work::looks_only();
        let same = match &self.content {
            Content::Link(to) => fs::read_link(&self.path).is_ok_and(|at| at == Path::new(to)),
            _ if !there.is_file() || !ours || there.mode() & 0o7777 != self.mode => false,
            Content::Bytes(bytes) => {
                there.len() == bytes.len() as u64 && fs::read(&self.path).is_ok_and(|b| b == *bytes)
            }
            Content::Program => work::same_as_this_program(&self.path)?,
        };
        Ok(if same { Outcome::None } else { Outcome::Updated })
    }

    /// Puts it in its place, in one rename, with the directories above it.
    ///
    /// # Errors
    /// [`Failure`]; then what was there is there still.
    pub fn put(&self) -> Result<(), Failure> {
        if let Some(dir) = self.path.parent() {
            work::make_above(dir)?;
        }
        match &self.content {
            Content::Bytes(bytes) => work::replace(&self.path, self.mode, &mut bytes.as_slice()),
            Content::Program => work::replace(&self.path, self.mode, &mut work::this_program()?),
            Content::Link(to) => work::link(&self.path, to),
        }
    }
}

/// Files that belong together.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// What one is, and what many are.
    what: (&'static str, &'static str),
    /// The files.
    pub items: Vec<Item>,
    dir: PathBuf,
}

impl Bundle {
    /// Its name for people.
    pub fn shown(&self) -> String {
        let dir = escaped(&self.dir.display().to_string());
        format!("{} below {dir}", words::count(self.items.len(), self.what.0, self.what.1))
    }

    /// Files of other versions of the program in the same directories.
    pub fn strays(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<&Path> = self.items.iter().filter_map(|item| item.path.parent()).collect();
        dirs.dedup();
        let mut found = Vec::new();
        for entry in dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let ours = name.to_str().is_some_and(is_page) && self.items.iter().all(|item| item.path != path);
            if ours {
                found.push(path);
            }
        }
        found
    }
}

/// Whether a file's name is that of a manual page of ours.
fn is_page(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".1") else { return false };
    ["vigo", "vigocli"]
        .iter()
        .any(|p| stem.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

/// A directory of `packaging/tmpfiles.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub user: String,
    /// Its group.
    pub group: String,
}

/// The directories that Vigo needs.
pub fn directories() -> Vec<Directory> {
    TMPFILES.lines().filter_map(directory).collect()
}

fn directory(line: &str) -> Option<Directory> {
    let mut words = line.split_whitespace();
    (words.next()? == "d").then_some(())?;
    let path = PathBuf::from(words.next()?);
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    Some(Directory { path, mode, user: words.next()?.to_owned(), group: words.next()?.to_owned() })
}

impl Directory {
    fn ids(&self) -> Option<(u32, u32)> {
        Some((accounts::user(&self.user)?.uid, accounts::group(&self.group)?.gid))
    }

    /// What is to be done about it. One of root's own that is there is the administrator's to set up as they like.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be looked at or is no directory.
    pub fn look(&self) -> Result<Outcome, Failure> {
        let there = match fs::symlink_metadata(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Outcome::Created),
            other => other.map_err(|e| Failure::io("look at", &self.path, &e))?,
        };
        if self.user == "root" {
            let there = fs::metadata(&self.path).map_err(|e| Failure::io("look at", &self.path, &e))?;
            return if there.is_dir() { Ok(Outcome::None) } else { Err(self.in_the_way()) };
        }
        if !there.is_dir() {
            return Err(self.in_the_way());
        }
        let same = there.mode() & 0o7777 == self.mode && Some((there.uid(), there.gid())) == self.ids();
        Ok(if same { Outcome::None } else { Outcome::Updated })
    }

    fn in_the_way(&self) -> Failure {
        let what = format!("{} is in the way and is no directory", self.path.display());
        Failure::new(Exit::Failed, what).hint("move it away and repeat the command")
    }

    /// Makes it, with its owner and mode.
    ///
    /// # Errors
    /// [`Failure`] if the system refuses.
    pub fn put(&self) -> Result<(), Failure> {
        work::make_above(&self.path)?;
        let (uid, gid) = self.ids().ok_or_else(|| {
            let what = format!("there is no user {} or no group {}", self.user, self.group);
            Failure::new(Exit::Failed, what).hint("repeat the command: it makes them")
        })?;
        work::own(&self.path, uid, gid, self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_lists_is_understood() {
        let lines = TMPFILES.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).count();
        assert_eq!(directories().len(), lines);
        let run = directories().into_iter().find(|d| d.path == Path::new("/run/vigo")).unwrap();
        assert_eq!((run.mode, run.user.as_str(), run.group.as_str()), (0o2755, "vigo", super::super::ADMINS));
        assert!(SYSUSERS.contains("\nu vigo ") && SYSUSERS.contains("\ng vigo-admin "));
    }

    #[test]
    fn units_start_the_program_of_their_prefix() {
        for (prefix, program, dir) in [
            ("/usr/local", "/usr/local/bin/vigo", "/etc/systemd/system"),
            ("/usr", "/usr/bin/vigo", "/usr/lib/systemd/system"),
        ] {
            let items = Places::new(Path::new(prefix), None).unwrap().items();
            for (unit, role) in UNITS.iter().zip(["applier", "peer"]) {
                let item = items.iter().find(|i| i.path == Path::new(dir).join(unit)).unwrap();
                let Content::Bytes(bytes) = &item.content else { panic!("a unit is text") };
                let text = String::from_utf8(bytes.clone()).unwrap();
                assert!(text.contains(&format!("\nExecStart={program} {role}\n")), "{text}");
                assert!(
                    text.contains(&format!("ConditionPathExists={FLEET}")) || role == "applier",
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_prefix_that_cannot_work_is_refused() {
        for bad in ["usr", "/", "/opt/a b", "/opt/%n", "/opt/../etc", "/home/alice", "/tmp/x"] {
            assert!(Places::new(Path::new(bad), None).is_err(), "{bad}");
        }
        assert!(Places::new(Path::new("/opt/vigo-1.0"), None).is_ok());
    }

    #[test]
    fn only_our_pages_are_strays() {
        for (name, ours) in [
            ("vigo.1", true),
            ("vigocli-x.1", true),
            ("vigor.1", false),
            ("vigo.1.gz", false),
            ("vigo-x", false),
        ] {
            assert_eq!(is_page(name), ours, "{name}");
        }
    }
}
