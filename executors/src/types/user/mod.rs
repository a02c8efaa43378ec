//! An account: `/etc/passwd`, `/etc/shadow`, `/etc/group`, files in the home, and the right to use sudo.
//!
//! It looks by reading the files and changes them by shadow-utils alone, which lock them. It never touches what is
//! not declared, never takes a lock off a password, never removes a home unless told so in words, and never moves
//! one. What it ends and what it leaves behind, its message names.

mod account;
mod act;
mod home;
mod sudo;

use std::fmt;

use thiserror::Error;
use vigo_base::text::escaped;
use vigo_stacks::report::Outcome;
use vigo_stacks::words::Word;

pub use act::Act;
pub(crate) use act::{CHECK_SUDOERS, SET_PASSWORD};
pub use home::{EPHEMERAL, HomeFiles};

use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Action, Change, Trouble};
use crate::host::{Host, Kind, NO_ACCOUNTS};
use crate::path::HostPath;
use account::{Account, Tables, shadow};

/// What a `user` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: Option<u32>,
    gid: Option<String>,
    home: Option<HostPath>,
    manage_home: bool,
    remove_home: bool,
    shell: Option<HostPath>,
    comment: Option<String>,
    groups: Option<Vec<String>>,
    purge_groups: bool,
    system: bool,
    password: Option<Hidden>,
    keys: Option<Vec<String>>,
    sudo: bool,
    xsession: Option<String>,
    absent: bool,
}

/// A text that is not shown, not even in a trace.
#[derive(Clone, PartialEq, Eq)]
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Why an account cannot be as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadAccount {
    #[error("the uid {uid} is that of `{}`: choose another", escaped(by))]
    IdTaken { uid: u32, by: String },
    #[error("`{}` is the account of root: it is not {doing}", escaped(user))]
    Root { user: String, doing: &'static str },
    #[error("{path} belongs to user {owner}, not to `{}` ({uid}): give it to them by hand", escaped(user))]
    FolderOf { path: HostPath, owner: u32, user: String, uid: u32 },
    #[error("`{}` has no home {home} for their files: set `manage_home: true`", escaped(user))]
    NoHome { user: String, home: HostPath },
    #[error("the home `{}` of `{}` is no absolute path: set `home`", escaped(home), escaped(user))]
    HomePath { user: String, home: String },
    #[error("{home} is no place for a home")]
    HomeTop { home: HostPath },
    #[error("the home {home} would be made in a directory of user {owner}: make it by hand")]
    HomeIn { home: HostPath, owner: u32 },
    #[error("the home {home} is not removed: {why}")]
    HomeStays { home: HostPath, why: String },
    #[error("`{}` is no longer in /etc/passwd: somebody removed it meanwhile", escaped(user))]
    Gone { user: String },
}

/// A change that is put together.
#[derive(Default)]
struct Work {
    words: Vec<String>,
    notes: Vec<String>,
    diffs: String,
    actions: Vec<Action>,
}

impl Work {
    fn act(&mut self, act: Act) {
        self.actions.push(Action::User(act));
    }

    fn change(mut self, outcome: Outcome) -> Change {
        let outcome = if self.actions.is_empty() { Outcome::None } else { outcome };
        self.words.append(&mut self.notes);
        let diff = (!self.diffs.is_empty()).then_some(self.diffs);
        Change { outcome, message: self.words.join("; "), diff, actions: self.actions }
    }
}

impl User {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<User, BadAttribute> {
        // For the mirror of repositories, which reads the policy itself; an account is the same either way.
        attributes.flag("gitback")?;
        let name = attributes
            .shaped("username", Word::Account)?
            .ok_or(BadAttribute::Missing { name: "username" })?;
        let system = attributes.flag("system")?;
        let user = User {
            name,
            uid: attributes.shaped("uid", Word::Id)?.and_then(|id| id.parse().ok()),
            gid: attributes.shaped("gid", Word::Account)?,
            home: attributes.path("home")?,
            manage_home: attributes.choice("manage_home")?.unwrap_or(!system),
            remove_home: attributes.flag("remove_home")?,
            shell: attributes.path("shell")?,
            comment: attributes.text("comment")?,
            groups: attributes.shaped_list("groups", Word::Account)?,
            purge_groups: attributes.flag("purge_groups")?,
            system,
            password: attributes.shaped("password", Word::PasswordHash)?.map(Hidden),
            keys: attributes.shaped_list("authorized_keys", Word::Key)?,
            sudo: attributes.flag("sudo_nopasswd")?,
            xsession: attributes.text("xsession")?,
            absent: attributes.absent()?,
        };
        if let Some(why) = user.comment.as_deref().and_then(|text| Word::Comment.fault(text)) {
            let (found, expected) = ("not that".to_owned(), Word::Comment.expected());
            return Err(BadAttribute::Shape { name: "comment", found, why, expected });
        }
        for (name, path) in [("home", &user.home), ("shell", &user.shell)] {
            if let Some(path) = path
                && path.as_str().contains([':', '\n', '\r'])
            {
                let found = format!("`{path}`");
                return Err(BadAttribute::Wrong {
                    name,
                    found,
                    expected: "a path without `:` and line breaks",
                });
            }
        }
        Ok(user)
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// [`Trouble`] when the machine cannot be looked at, or the account cannot be as it is declared.
    pub fn check(&self, host: &dyn Host) -> Result<Change, Trouble> {
        if !host.capabilities().exec {
            return Ok(Change::skipped(NO_ACCOUNTS));
        }
        let tables = Tables::read(host)?;
        match tables.user(&self.name) {
            found if self.absent => self.remove(host, &tables, found),
            Some(account) => self.compare(host, &tables, account),
            None => self.create(host, &tables),
        }
    }

    fn create(&self, host: &dyn Host, tables: &Tables) -> Result<Change, Trouble> {
        let mut work = Work { words: vec!["created".to_owned()], ..Work::default() };
        self.id_is_free(tables)?;
        let home = match &self.home {
            Some(home) => home.as_str().to_owned(),
            None => format!("/home/{}", self.name),
        };
        let (uid, kept) = self.uid_for(host, tables, &home)?;
        work.words.extend(kept);
        let groups = self.groups.clone().unwrap_or_default();
        self.make_groups(tables, groups.iter().chain(&self.gid), &mut work);
        let (uid, listed) = (uid.map(|id| id.to_string()), groups.join(","));
        let mut words = vec!["useradd", "--home-dir", home.as_str()];
        words.push(if self.manage_home { "--create-home" } else { "--no-create-home" });
        match self.gid.as_deref().or(tables.group(&self.name).map(|g| g.name.as_str())) {
            Some(gid) => words.extend(["--gid", gid]),
            None => words.push("--user-group"),
        }
        if self.system {
            words.push("--system");
        }
        let options = [
            ("--uid", uid.as_deref()),
            ("--shell", self.shell.as_ref().map(HostPath::as_str)),
            ("--comment", self.comment.as_deref()),
            ("--groups", Some(listed.as_str()).filter(|g| !g.is_empty())),
        ];
        words.extend(options.into_iter().filter_map(|(name, value)| Some([name, value?])).flatten());
        words.push(&self.name);
        work.act(Act::command(&words, None));
        if !groups.is_empty() {
            work.words.push(format!("groups {}", groups.join(", ")));
        }
        self.note_shell(host, &mut work)?;
        self.set_password(String::new(), &mut work);
        let files = self.files(false);
        if !files.is_empty() {
            files.keys.iter().for_each(|keys| work.words.push(format!("keys: {}", keys.len())));
            files.xsession.iter().for_each(|_| work.words.push(".xsession".to_owned()));
            work.act(Act::Home(files));
        }
        self.sudo(host, &mut work)?;
        Ok(work.change(Outcome::Created))
    }

    fn compare(&self, host: &dyn Host, tables: &Tables, account: &Account) -> Result<Change, Trouble> {
        let mut work = Work::default();
        self.modify(host, tables, account, &mut work)?;
        if self.password.is_some() {
            self.set_password(shadow(host, &self.name)?, &mut work);
        }
        let files = self.files(self.manage_home);
        if !files.is_empty() {
            let mut future = account.clone();
            future.uid = self.uid.unwrap_or(account.uid);
            if let Some(home) = &self.home {
                future.home = home.as_str().to_owned();
            }
            let plan = files.plan(host, &future, account.uid)?;
            let rests = plan.is_empty();
            work.words.extend(plan.words);
            work.notes.extend(plan.notes);
            work.diffs.extend(plan.diff);
            if !rests {
                work.act(Act::Home(files));
            }
        }
        self.sudo(host, &mut work)?;
        Ok(work.change(Outcome::Updated))
    }

    /// One `usermod` for all that differs in the two tables.
    fn modify(
        &self,
        host: &dyn Host,
        tables: &Tables,
        account: &Account,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let mut words: Vec<String> = Vec::new();
        let mut differ = |option: &str, what: &str, wanted: Option<&str>, found: &str| {
            let Some(wanted) = wanted.filter(|w| *w != found) else { return false };
            words.extend([option.to_owned(), wanted.to_owned()]);
            let shown = |text: &str| if text.is_empty() { "nothing".to_owned() } else { escaped(text) };
            work.words.push(format!("{what} {} -> {}", shown(found), shown(wanted)));
            true
        };
        let uid = self.uid.map(|id| id.to_string());
        let renumbered = differ("--uid", "uid", uid.as_deref(), &account.uid.to_string());
        let found = tables.groups.iter().find(|group| group.gid == account.gid);
        let primary = found.map_or_else(|| account.gid.to_string(), |group| group.name.clone());
        differ("--gid", "primary group", self.gid.as_deref(), &primary);
        let home = self.home.as_ref().map(HostPath::as_str);
        let moved = differ("--home", "home", home, &account.home);
        let shell = self.shell.as_ref().map(HostPath::as_str);
        let reshelled = differ("--shell", "shell", shell, &account.shell);
        differ("--comment", "comment", self.comment.as_deref(), &account.comment);
        if renumbered && account.uid == 0 {
            return Err(BadAccount::Root { user: self.name.clone(), doing: "given another id" }.into());
        }
        if renumbered {
            self.id_is_free(tables)?;
            work.notes.push(format!("what user {} owns outside of the home stays as it is", account.uid));
        }
        if moved {
            work.notes.push(format!("what is in {} stays there", escaped(&account.home)));
        }
        if reshelled {
            self.note_shell(host, work)?;
        }
        words.extend(self.memberships(tables, &primary, work));
        let missing = if words.is_empty() { None } else { self.gid.iter().next() };
        self.make_groups(tables, self.groups.iter().flatten().chain(missing), work);
        if !words.is_empty() {
            let ends = if renumbered || moved { self.in_the_way(host, account.uid, work)? } else { None };
            let words: Vec<&str> = ["usermod"]
                .into_iter()
                .chain(words.iter().map(String::as_str))
                .chain([&*self.name])
                .collect();
            work.act(Act::command(&words, ends));
        }
        Ok(())
    }

    /// The options that bring the user into the declared groups, and with `purge_groups` out of all others.
    fn memberships(&self, tables: &Tables, primary: &str, work: &mut Work) -> Vec<String> {
        if self.groups.is_none() && !self.purge_groups {
            return Vec::new();
        }
        let found = tables.memberships(&self.name);
        let declared: Vec<&str> = self.groups.iter().flatten().map(String::as_str).collect();
        let added = declared
            .iter()
            .filter(|g| !found.contains(g) && **g != primary && Some(**g) != self.gid.as_deref());
        let mut signs: Vec<String> = added.clone().map(|g| format!("+{g}")).collect();
        let left = found.iter().filter(|g| !declared.contains(g));
        let options = if self.purge_groups {
            signs.extend(left.map(|g| format!("-{g}")));
            vec!["--groups".to_owned(), declared.join(",")]
        } else {
            vec!["--append".to_owned(), "--groups".to_owned(), added.copied().collect::<Vec<_>>().join(",")]
        };
        if signs.is_empty() {
            return Vec::new();
        }
        work.words.push(format!("groups {}", signs.join(" ")));
        options
    }

    /// Makes the groups that are named and missing.
    fn make_groups<'a>(&'a self, tables: &Tables, names: impl Iterator<Item = &'a String>, work: &mut Work) {
        let mut made: Vec<&str> = Vec::new();
        for name in names.map(String::as_str) {
            if tables.group(name).is_none() && !made.contains(&name) {
                made.push(name);
                // A system group, so that the ids from 1000 on are left to people's own groups.
                let words = ["groupadd", "--system", name];
                // Before the command that needs it.
                let at = work.actions.len().min(made.len() - 1);
                work.actions.insert(at, Action::User(Act::command(&words, None)));
                work.words.push(format!("group {name} made"));
            }
        }
    }

    fn id_is_free(&self, tables: &Tables) -> Result<(), BadAccount> {
        let taken = |uid| tables.users.iter().find(|user| user.uid == uid && user.name != self.name);
        match self.uid.and_then(|uid| Some((uid, taken(uid)?))) {
            Some((uid, by)) => Err(BadAccount::IdTaken { uid, by: by.name.clone() }),
            None => Ok(()),
        }
    }

    /// The id for a new account: the declared one, else that of the home which is there already, if it is free.
    fn uid_for(
        &self,
        host: &dyn Host,
        tables: &Tables,
        home: &str,
    ) -> Result<(Option<u32>, Option<String>), Trouble> {
        if self.uid.is_some() || !self.manage_home {
            return Ok((self.uid, None));
        }
        let found = HostPath::parse(home).ok().map(|path| host.stat(&path)).transpose()?.flatten();
        let owner = found.filter(|stat| stat.kind == Kind::Directory).map(|stat| stat.owner);
        let fits =
            |uid: &u32| (*uid < 1000) == self.system && !tables.users.iter().any(|user| user.uid == *uid);
        let uid = owner.filter(fits);
        Ok((uid, uid.map(|uid| format!("uid {uid}, that of {home}"))))
    }

    /// Whose processes must end first, if there are any.
    fn in_the_way(&self, host: &dyn Host, uid: u32, work: &mut Work) -> Result<Option<u32>, Trouble> {
        let count = host.processes(uid)?;
        if count == 0 {
            return Ok(None);
        }
        work.words
            .push(format!("ends the user's {count} {}", if count == 1 { "process" } else { "processes" }));
        Ok(Some(uid))
    }

    fn note_shell(&self, host: &dyn Host, work: &mut Work) -> Result<(), Trouble> {
        if let Some(shell) = &self.shell
            && host.stat_followed(shell)?.is_none()
        {
            work.notes.push(format!("{shell} is not there: nobody can log in with it"));
        }
        Ok(())
    }

    /// The encoded password, with the lock that is on the account.
    fn set_password(&self, found: String, work: &mut Work) {
        let Some(Hidden(wanted)) = &self.password else { return };
        let hash = found.trim_start_matches('!');
        let (locked, empty) = (hash.len() < found.len(), matches!(hash, "" | "*"));
        let new = if matches!(wanted.as_str(), "*" | "!") {
            (!empty || found.is_empty()).then(|| "*".to_owned())
        } else if hash == wanted {
            None
        } else if locked && !empty {
            Some(format!("!{wanted}"))
        } else {
            Some(wanted.clone())
        };
        if locked && !empty {
            work.notes.push("the password is locked and stays so".to_owned());
        }
        if let Some(new) = new {
            work.words.push("password set".to_owned());
            work.act(Act::with(SET_PASSWORD, &[("VIGO_USER", &self.name), ("VIGO_HASH", &new)]));
        }
    }

    fn files(&self, make: bool) -> HomeFiles {
        let (keys, xsession) = (self.keys.clone(), self.xsession.clone());
        HomeFiles { user: self.name.clone(), make, keys, xsession }
    }

    fn remove(&self, host: &dyn Host, tables: &Tables, found: Option<&Account>) -> Result<Change, Trouble> {
        let mut work = Work::default();
        self.sudo(host, &mut work)?;
        let Some(account) = found else { return Ok(work.change(Outcome::Deleted)) };
        if account.uid == 0 {
            return Err(BadAccount::Root { user: self.name.clone(), doing: "removed" }.into());
        }
        work.words.insert(0, "removed".to_owned());
        let home = HostPath::parse(&account.home).ok();
        let found = home.as_ref().map(|path| host.stat(path)).transpose()?.flatten();
        let mut words = vec!["userdel"];
        match home.filter(|_| found.is_some()) {
            Some(home) if self.remove_home => {
                removable(&home, found.map(|stat| (stat.kind, stat.owner)), account, tables)?;
                words.push("--remove");
                work.words.push(format!("the home {home} with everything in it too"));
            }
            Some(home) => work.words.push(format!("the home {home} stays")),
            None => {}
        }
        words.push(&self.name);
        let ends = self.in_the_way(host, account.uid, &mut work)?;
        work.act(Act::command(&words, ends));
        Ok(work.change(Outcome::Deleted))
    }
}

/// Refuses to remove what is more than this user's home.
fn removable(
    home: &HostPath,
    found: Option<(Kind, u32)>,
    account: &Account,
    tables: &Tables,
) -> Result<(), BadAccount> {
    let other = tables.users.iter().filter(|user| user.name != account.name).find(|user| {
        HostPath::parse(&user.home).is_ok_and(|theirs| theirs == *home || theirs.is_below(home))
    });
    let why = match found {
        _ if home.parts().count() < 2 => "it lies at the top of the file system".to_owned(),
        Some((kind, _)) if kind != Kind::Directory => format!("it is {}", kind.described()),
        Some((_, owner)) if owner != account.uid => format!("it belongs to user {owner}"),
        _ => match other {
            Some(user) => format!("it is or holds the home of `{}` too", escaped(&user.name)),
            None => return Ok(()),
        },
    };
    Err(BadAccount::HomeStays { home: home.clone(), why })
}
