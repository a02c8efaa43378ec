//! `vigocli settings`: what holds for the whole fleet.
//!
//! Names and values are checked here against the same table that every node checks them against.

use serde_json::{Value, json};
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, Reply, SettingRow};
use vigo_daemon::node::content_types::settings::{BadSetting, find, from_server_yaml_tree};
use vigo_daemon::operator::{Signer, keyfile, setting, value};

use super::yaml;
use crate::args::vigocli::Settings;
use crate::args::{Everywhere, KeyArgs};
use crate::exit::{Exit, Failure};
use crate::reach::{self, call};
use crate::show::Show;
use crate::tree;

/// A command of `vigocli settings`.
///
/// # Errors
/// [`Failure`].
pub fn run(everywhere: &Everywhere, args: &Settings) -> Result<(), Failure> {
    match args {
        Settings::List => list(everywhere),
        Settings::Set { name, value: text, key } => {
            let value = find(name).and_then(|known| known.check(&value(text))).map_err(wrong)?;
            set(everywhere, name, Some(value), key)
        }
        Settings::Unset { name, key } => {
            find(name).map_err(wrong)?;
            set(everywhere, name, None, key)
        }
        Settings::Import { file, dry_run, key } => import(everywhere, file, *dry_run, key),
    }
}

fn wrong(error: BadSetting) -> Failure {
    reach::split(Exit::Usage, &error.to_string())
}

fn all(client: &Client) -> Result<Vec<SettingRow>, Failure> {
    call!(client, Command::Settings, Reply::Settings(rows) => rows)
}

fn list(everywhere: &Everywhere) -> Result<(), Failure> {
    let rows = all(&reach::node(everywhere)?)?;
    let show = Show::new(everywhere);
    show.result(&rows, || {
        let row = |s: &SettingRow| {
            let by = match (&s.by, s.set) {
                (Some(by), true) => format!("set by {by}"),
                (None, true) => "set".into(),
                (_, false) => "default".into(),
            };
            vec![s.key.clone(), s.value.to_string(), by, s.help.clone()]
        };
        show.table(&["setting", "value", "from", "what it does"], &rows.iter().map(row).collect::<Vec<_>>())
    })
}

fn set(everywhere: &Everywhere, name: &str, value: Option<Value>, key: &KeyArgs) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let signer = reach::signer(&client, key)?;
    reach::submit(&client, &signer.set(name, value.as_ref())?)?;
    let rows = all(&client)?;
    let row = setting(&rows, name)?;
    Show::new(everywhere)
        .result(row, || format!("{} is {} now\n", escaped(&row.key), escaped(&row.value.to_string())))
}

fn import(
    everywhere: &Everywhere,
    file: &std::path::Path,
    dry_run: bool,
    key: &KeyArgs,
) -> Result<(), Failure> {
    let bytes = tree::read_file(file)?;
    let shown = escaped(&file.display().to_string());
    let read = yaml::read(&bytes).map_err(|bad| {
        Failure::new(Exit::Usage, format!("{shown}:{bad}")).hint("mend the file; nothing was set")
    })?;
    let found = from_server_yaml_tree(&read).map_err(|bad| {
        let lines: Vec<String> = bad.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Usage, format!("{shown}:\n{}", lines.join("\n")))
            .hint("nothing was set; vigocli settings list shows every setting; how one node runs stands in its node.yaml")
    })?;
    let mut changed = Vec::new();
    if !dry_run && !found.is_empty() {
        let client = reach::node(everywhere)?;
        let path = reach::key_path(key)?;
        reach::context(&client, keyfile::public(&path)?)?;
        let key = reach::open_key(&path, key.passphrase_file.as_deref())?;
        for (known, value) in &found {
            // Each statement stands on the one before: what the node knows is asked for anew.
            let signer = Signer::new(key.clone(), reach::context(&client, key.public())?);
            reach::submit(&client, &signer.set(known.name, Some(value))?)?;
        }
    }
    for (known, value) in &found {
        changed.push(json!({"key": known.name, "value": value}));
    }
    Show::new(everywhere).result(&json!({"dry_run": dry_run, "settings": changed}), || {
        let would = if dry_run { "would be" } else { "is" };
        let line = |(known, value): &(&vigo_daemon::node::content_types::settings::Key, Value)| {
            format!("{} {would} {value}\n", known.name)
        };
        if found.is_empty() {
            format!("{shown} holds no settings\n")
        } else {
            found.iter().map(line).collect()
        }
    })
}
