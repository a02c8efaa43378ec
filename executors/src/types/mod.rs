//! The resource types: what a step declares, typed, and its `check`.
//!
//! Each type reads its attributes (names and kinds are in `vigo_stacks::schema`) and has a `check` that looks at
//! the machine and gives a [`Change`]. None of them changes anything: that is [`crate::change::apply`].

mod access;
pub mod cron;
pub mod directory;
pub mod exec;
pub mod file;
pub mod package;
pub mod service;
pub mod symlink;
pub mod user;

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;
use vigo_base::text::{escaped, nearest};
use vigo_stacks::schema;

use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Change, Limits, Trouble, Turn};
use crate::host::Host;

/// What one step declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A regular file.
    File(file::File),
    /// A folder.
    Directory(directory::Directory),
    /// A symbolic link.
    Symlink(symlink::Symlink),
    /// A command.
    Exec(exec::Exec),
    /// An account.
    User(Box<user::User>),
    /// A job that cron runs.
    Cron(cron::Cron),
    /// A package of the distribution.
    Package(package::Package),
    /// A unit of systemd.
    Service(service::Service),
}

/// Why a step declares nothing that this program knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadResource {
    #[error("`{}` is no resource type of this program{}", escaped(found), hint(nearest))]
    Type { found: String, nearest: Option<&'static str> },
    #[error(
        "no executor for `{kind}` is on this machine: this version of vigo knows the type and cannot apply it"
    )]
    NoExecutor { kind: &'static str },
    #[error("{0}")]
    Undecided(String),
    #[error("this version of vigo cannot revert: nothing was done")]
    NoRevert,
    #[error(transparent)]
    Attribute(#[from] BadAttribute),
}

impl Resource {
    /// Reads the rendered attributes of a step of type `kind`.
    ///
    /// # Errors
    /// [`BadResource`] for an unknown type or a wrong attribute.
    pub fn parse(kind: &str, values: &BTreeMap<String, Value>) -> Result<Resource, BadResource> {
        let mut attributes = Attributes::new(values);
        let resource = match kind {
            "file" => Resource::File(file::File::parse(&mut attributes)?),
            "directory" => Resource::Directory(directory::Directory::parse(&mut attributes)?),
            "symlink" => Resource::Symlink(symlink::Symlink::parse(&mut attributes)?),
            "exec" => Resource::Exec(exec::Exec::parse(&mut attributes)?),
            "user" => Resource::User(Box::new(user::User::parse(&mut attributes)?)),
            "cron" => Resource::Cron(cron::Cron::parse(&mut attributes)?),
            "package" => Resource::Package(package::Package::parse(&mut attributes)?),
            "service" => Resource::Service(service::Service::parse(&mut attributes)?),
            known if schema::find(known).is_some() => {
                let kind = schema::find(known).map_or("", |t| t.name);
                return Err(BadResource::NoExecutor { kind });
            }
            found => {
                let nearest = nearest(found, schema::TYPES.iter().map(|t| t.name))
                    .and_then(schema::find)
                    .map(|t| t.name);
                return Err(BadResource::Type { found: found.to_owned(), nearest });
            }
        };
        attributes.finish()?;
        Ok(resource)
    }

    /// Looks at the machine: what would have to be done. Commands that it runs (an `exec`'s guards, questions to apt
    /// and systemd) change nothing but, outside of a dry run, what apt and systemd remember of their own files.
    ///
    /// # Errors
    /// [`Trouble`] when the machine cannot be looked at, or is such that the step would fail.
    pub fn check(&self, host: &mut dyn Host, limits: &Limits, turn: &Turn<'_>) -> Result<Change, Trouble> {
        match self {
            Resource::File(file) => file.check(host),
            Resource::Directory(directory) => directory.check(host),
            Resource::Symlink(symlink) => symlink.check(host),
            Resource::Exec(exec) => exec.check(host, limits),
            Resource::User(user) => user.check(host),
            Resource::Cron(cron) => cron.check(host),
            Resource::Package(package) => package.check(host, limits, turn),
            Resource::Service(service) => service.check(host, limits, turn),
        }
    }
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|n| format!("; the nearest is `{n}`")).unwrap_or_default()
}

/// Whether the schema gives the type a `force`, so that an error may advise it.
fn forceable(kind: &str) -> bool {
    schema::find(kind).is_some_and(|t| t.attribute("force").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use vigo_stacks::words::Word;

    fn sample(word: Word) -> &'static str {
        match word {
            Word::Id => "1500",
            Word::PasswordHash => "*",
            Word::Key => "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5IG9mIG5vIG9uZSwgZm9yIHRlc3RzIG9ubHkh",
            Word::Schedule => "@daily",
            Word::Account | Word::Comment | Word::Job | Word::CronCommand => "x",
            Word::Package | Word::Unit => "nginx",
            other => panic!("no type with an executor has an attribute of the form {other:?}"),
        }
    }

    /// Every attribute of the schema, with a value that fits.
    fn full(t: &schema::Type) -> BTreeMap<String, Value> {
        let value = |kind| match kind {
            schema::Kind::Text | schema::Kind::Source => json!("xy"),
            schema::Kind::Texts => json!(["xy"]),
            schema::Kind::Path => json!("/x"),
            schema::Kind::Paths => json!(["/x"]),
            schema::Kind::Choice(words) => json!(words[0]),
            schema::Kind::Mode => json!("0644"),
            schema::Kind::Bool => json!(true),
            schema::Kind::ExitCodes => json!([0, 2]),
            schema::Kind::Environment => json!({"A": "b"}),
            schema::Kind::Word(word) => json!(sample(word)),
            schema::Kind::Words(word) => json!([sample(word)]),
        };
        let states = t.default_state().map(|s| ("state".to_owned(), json!(s)));
        let attributes =
            t.attributes.iter().filter(|a| a.kind != schema::Kind::Source && a.name != "stream_edit");
        attributes.map(|a| (a.name.to_owned(), value(a.kind))).chain(states).collect()
    }

    #[test]
    fn the_schema_and_the_executors_know_the_same_attributes() {
        let runs = ["file", "directory", "symlink", "exec", "user", "cron", "package", "service"];
        for t in schema::TYPES {
            if !runs.contains(&t.name) {
                let refused = Resource::parse(t.name, &BTreeMap::new());
                assert_eq!(refused, Err(BadResource::NoExecutor { kind: t.name }));
                continue;
            }
            let values = full(&t);
            assert_eq!(Resource::parse(t.name, &values).err(), None, "{}", t.name);
            for required in t.attributes.iter().filter(|a| a.required) {
                let mut values = values.clone();
                values.remove(required.name);
                assert!(Resource::parse(t.name, &values).is_err(), "{} without {}", t.name, required.name);
            }
            let mut values = values;
            values.insert("ownr".into(), json!("x"));
            assert!(matches!(
                Resource::parse(t.name, &values),
                Err(BadResource::Attribute(BadAttribute::Unknown { .. }))
            ));
        }
    }

    #[test]
    fn mistakes_are_named() {
        let says = |kind: &str, values: Value| {
            let values = values.as_object().unwrap().clone().into_iter().collect();
            Resource::parse(kind, &values).unwrap_err().to_string()
        };
        assert_eq!(
            says("fil", json!({})),
            "`fil` is no resource type of this program; the nearest is `file`"
        );
        assert_eq!(says("file", json!({})), "`target_path` is missing");
        assert!(says("file", json!({"target_path": "etc/x"})).contains("not absolute"));
        assert!(says("file", json!({"target_path": "/"})).contains("below the root"));
        assert!(says("file", json!({"target_path": "/x", "mode": 644})).contains("in quotes"));
        assert!(says("file", json!({"target_path": "/x", "mode": "0999"})).contains("octal"));
        assert!(
            says("file", json!({"target_path": "/x", "state": "gone"})).contains("`present` or `absent`")
        );
        let near = says("file", json!({"target_path": "/x", "contnt": "a"}));
        assert_eq!(near, "`contnt` is not an attribute of this type; the nearest is `content`");
        assert_eq!(says("symlink", json!({"target_path": "/x"})), "`link_target` is missing");
        assert!(says("exec", json!({"command": "x", "environment": {"A=B": "c"}})).contains("A=B"));
        assert!(says("exec", json!({"command": "x", "exit_codes": ["zero"]})).contains("exit code"));
        assert!(says("directory", json!({"target_path": "/x", "recurse": "maybe"})).contains("true"));
        assert!(says("file", json!({"target_path": "/x", "stream_edit": ["/x"]})).contains("cannot do"));
        assert!(says("package", json!({"package": "nginx=1.2"})).contains("version"));
        assert!(says("package", json!({"package": "nginx", "state": "running"})).contains("`latest`"));
        assert!(says("service", json!({"service": "a;b"})).contains("letters"));
        assert!(says("service", json!({"service": "nginx", "state": "absent"})).contains("`stopped`"));
    }
}
