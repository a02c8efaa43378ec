//! The few programs that a machine in memory has: shadow-utils and visudo, as far as the executors use them.
//!
//! Pure: they read and write the three account files of the fake machine. They refuse what the real ones refuse and
//! an executor can run into: a name that is there or is not, a group that is not, a user that is busy.

use super::{Body, FakeHost, Node};
use crate::host::{Command, Ending, Kind, Ran};
use crate::types::user::{CHECK_SUDOERS, SET_PASSWORD};

type Done = Result<(), (i32, String)>;

impl FakeHost {
    /// What the command does, if it is one of the programs.
    pub(super) fn program(&mut self, command: &Command) -> Option<Ran> {
        let variable = |name: &str| command.environment.get(name).cloned().unwrap_or_default();
        let done = match command.line.as_str() {
            SET_PASSWORD => self.chpasswd(&variable("VIGO_USER"), &variable("VIGO_HASH")),
            CHECK_SUDOERS => visudo(&variable("VIGO_SUDOERS")),
            line => {
                let words = words(line);
                let arguments = Arguments(words.get(1..)?);
                match words.first()?.as_str() {
                    "useradd" => self.useradd(&arguments),
                    "usermod" => self.usermod(&arguments),
                    "userdel" => self.userdel(&arguments),
                    "groupadd" => self.groupadd(arguments.last(), arguments.flag("--system")),
                    _ => return None,
                }
            }
        };
        let (code, output) = done.err().unwrap_or_default();
        Some(Ran { ending: Ending::Exit(code), output: output.into_bytes() })
    }

    /// A line of one of the files, by its first field.
    fn entry(&self, file: &str, name: &str) -> Option<Vec<String>> {
        let lines = self.lines(file);
        lines.into_iter().find(|fields| fields.first().is_some_and(|f| f == name))
    }

    fn lines(&self, file: &str) -> Vec<Vec<String>> {
        let content = self.content(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&content).into_owned();
        text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
    }

    fn save(&mut self, file: &str, lines: &[Vec<String>]) {
        let text: String = lines.iter().map(|fields| fields.join(":") + "\n").collect();
        self.drift(file, text);
    }

    fn edit(&mut self, file: &str, name: &str, change: impl FnOnce(&mut Vec<String>)) {
        let mut lines = self.lines(file);
        if let Some(fields) = lines.iter_mut().find(|f| f.first().is_some_and(|n| n == name)) {
            change(fields);
        }
        self.save(file, &lines);
    }

    fn add(&mut self, file: &str, fields: &[&str]) {
        let mut lines = self.lines(file);
        lines.push(fields.iter().map(|f| (*f).to_owned()).collect());
        self.save(file, &lines);
    }

    fn free_id(&self, file: &str, system: bool) -> String {
        let taken: Vec<u32> = self.lines(file).iter().filter_map(|f| f.get(2)?.parse().ok()).collect();
        let mut ids: Box<dyn Iterator<Item = u32>> =
            if system { Box::new((100..1000).rev()) } else { Box::new(1000..60_000) };
        ids.find(|id| !taken.contains(id)).unwrap_or(u32::MAX - 1).to_string()
    }

    fn groupadd(&mut self, name: &str, system: bool) -> Done {
        if self.entry("/etc/group", name).is_some() {
            return Err((9, format!("groupadd: group '{name}' already exists\n")));
        }
        let gid = self.free_id("/etc/group", system);
        self.add("/etc/group", &[name, "x", &gid, ""]);
        Ok(())
    }

    fn gid(&self, name: &str) -> Result<String, (i32, String)> {
        let found = self.entry("/etc/group", name).and_then(|fields| fields.get(2).cloned());
        found.ok_or_else(|| (6, format!("group '{name}' does not exist\n")))
    }

    fn useradd(&mut self, arguments: &Arguments<'_>) -> Done {
        let name = arguments.last();
        if self.entry("/etc/passwd", name).is_some() {
            return Err((9, format!("useradd: user '{name}' already exists\n")));
        }
        let gid = match arguments.value("--gid") {
            Some(group) => self.gid(group)?,
            None => {
                self.groupadd(name, arguments.flag("--system"))?;
                self.gid(name)?
            }
        };
        self.join(name, arguments.value("--groups").unwrap_or(""), true)?;
        let free = self.free_id("/etc/passwd", arguments.flag("--system"));
        let uid = arguments.value("--uid").unwrap_or(&free);
        let home = arguments.value("--home-dir").unwrap_or("/");
        let (comment, shell) = (arguments.value("--comment").unwrap_or(""), arguments.value("--shell"));
        self.add("/etc/passwd", &[name, "x", uid, &gid, comment, home, shell.unwrap_or("/bin/sh")]);
        self.add("/etc/shadow", &[name, "!", "20000", "0", "99999", "7", "", "", ""]);
        if arguments.flag("--create-home") && self.node(home).is_none() {
            self.place(home, Kind::Directory, "");
            self.give(home, uid, &gid);
        }
        Ok(())
    }

    fn usermod(&mut self, arguments: &Arguments<'_>) -> Done {
        let name = arguments.last();
        let found =
            self.entry("/etc/passwd", name).ok_or((6, format!("usermod: user '{name}' does not exist\n")))?;
        let old: Vec<&str> = found.iter().map(String::as_str).collect();
        let [_, _, uid, gid, comment, home, shell] = old[..] else { return Ok(()) };
        let busy = self.processes.get(&uid.parse().unwrap_or(0)).is_some_and(|n| *n > 0);
        if busy && (arguments.value("--uid").is_some() || arguments.value("--home").is_some()) {
            return Err((8, format!("usermod: user {name} is currently used by process 1\n")));
        }
        let gid = arguments.value("--gid").map_or_else(|| Ok(gid.to_owned()), |group| self.gid(group))?;
        if let Some(groups) = arguments.value("--groups") {
            self.join(name, groups, arguments.flag("--append"))?;
        }
        let new = [
            name,
            "x",
            arguments.value("--uid").unwrap_or(uid),
            &gid,
            arguments.value("--comment").unwrap_or(comment),
            arguments.value("--home").unwrap_or(home),
            arguments.value("--shell").unwrap_or(shell),
        ];
        let (uid, gid, home) = (new[2].to_owned(), gid.clone(), new[5].to_owned());
        self.edit("/etc/passwd", name, |fields| *fields = new.iter().map(|f| (*f).to_owned()).collect());
        if arguments.value("--uid").is_some() {
            let below = format!("{home}/");
            let theirs = |p: &String| *p == home || p.starts_with(&below);
            let paths: Vec<String> = self.paths().into_iter().filter(theirs).collect();
            paths.iter().for_each(|path| self.give(path, &uid, &gid));
        }
        Ok(())
    }

    /// Adds the user to the groups; unless `append`, takes them out of all others.
    fn join(&mut self, name: &str, groups: &str, append: bool) -> Done {
        let groups: Vec<&str> = groups.split(',').filter(|g| !g.is_empty()).collect();
        for group in &groups {
            self.gid(group)?;
        }
        let mut lines = self.lines("/etc/group");
        for fields in &mut lines {
            let [group, _, _, members] = &mut fields[..] else { continue };
            let mut all: Vec<&str> = members.split(',').filter(|m| !m.is_empty()).collect();
            let wanted = groups.contains(&group.as_str());
            if !wanted && !append {
                all.retain(|m| *m != name);
            } else if wanted && !all.contains(&name) {
                all.push(name);
            }
            *members = all.join(",");
        }
        self.save("/etc/group", &lines);
        Ok(())
    }

    fn userdel(&mut self, arguments: &Arguments<'_>) -> Done {
        let name = arguments.last();
        let found =
            self.entry("/etc/passwd", name).ok_or((6, format!("userdel: user '{name}' does not exist\n")))?;
        let uid = found.get(2).and_then(|id| id.parse().ok()).unwrap_or(0);
        if self.processes.get(&uid).is_some_and(|n| *n > 0) {
            return Err((8, format!("userdel: user {name} is currently used by process 1\n")));
        }
        self.join(name, "", false)?;
        for file in ["/etc/passwd", "/etc/shadow", "/etc/group"] {
            let mut lines = self.lines(file);
            lines.retain(|fields| {
                let same = fields.first().is_some_and(|n| n == name);
                let used = file == "/etc/group" && fields.get(3).is_some_and(|members| !members.is_empty());
                !same || used
            });
            self.save(file, &lines);
        }
        if let Some(home) = found.get(5).filter(|_| arguments.flag("--remove")) {
            self.erase(home);
        }
        Ok(())
    }

    fn chpasswd(&mut self, name: &str, hash: &str) -> Done {
        if self.entry("/etc/passwd", name).is_none() {
            return Err((1, format!("chpasswd: (line 1, user {name}) password not changed\n")));
        }
        if self.entry("/etc/shadow", name).is_none() {
            self.add("/etc/shadow", &[name, "!", "20000", "0", "99999", "7", "", "", ""]);
        }
        self.edit("/etc/shadow", name, |fields| {
            if let Some(field) = fields.get_mut(1) {
                *field = hash.to_owned();
            }
        });
        Ok(())
    }

    fn node(&self, path: &str) -> Option<&Node> {
        self.tree.get(path)
    }

    /// Somebody gives a path to a user and a group.
    pub fn give(&mut self, path: &str, uid: &str, gid: &str) {
        if let (Some(node), Ok(uid), Ok(gid)) = (self.tree.get_mut(path), uid.parse(), gid.parse()) {
            (node.owner, node.group) = (uid, gid);
            if matches!(node.body, Body::Dir) && node.mode == 0o755 {
                node.mode = 0o700;
            }
        }
    }
}

/// Takes lines of the one form that is written, and comments.
fn visudo(text: &str) -> Done {
    let sound = |line: &str| {
        line.is_empty() || line.starts_with('#') || line.contains(" ALL=(ALL:ALL) NOPASSWD: ALL")
    };
    if text.lines().all(sound) { Ok(()) } else { Err((1, "stdin: syntax error\n".to_owned())) }
}

struct Arguments<'a>(&'a [String]);

impl<'a> Arguments<'a> {
    fn last(&self) -> &'a str {
        self.0.last().map_or("", String::as_str)
    }

    fn flag(&self, name: &str) -> bool {
        self.0.iter().any(|word| word == name)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|word| word == name)?;
        self.0.get(at + 1).map(String::as_str)
    }
}

/// The words of a line, single quotes taken off.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => (quoted, any) = (!quoted, true),
            '\\' if !quoted => word.extend(chars.next()),
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        all.push(word);
    }
    all
}
