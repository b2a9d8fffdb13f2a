//! `harbor config`

use std::fs;
use std::io;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::arguments::Config as Command;
use crate::components::Service;
use crate::config::directories::Directories;
use crate::config::keys::{self, ConfigKey, DefaultValue, KEYS, Standing};
use crate::config::kinds::ValueKind;
use crate::config::load::{self, Given, Loaded};
use crate::config::{file, reference};
use crate::process::announce::one_line;
use crate::process::listen::check_port;
use crate::process::state::Claim;
use crate::screen::{self, Colour, paint};
use crate::secrets::{self, files};

pub(super) fn run(command: &Command, given: &Given) -> anyhow::Result<ExitCode> {
    match command {
        Command::Get { key, json } => get(given, find(key)?, *json)?,
        Command::Set { key, value } => set(given, find(key)?, value)?,
        Command::Ls { json, all } => return list_even_if_wrong(given, *json, *all),
        Command::Path => screen::line(&load::file_of(given)?.to_string_lossy())?,
        Command::Markdown => screen::raw(&reference::markdown())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> anyhow::Result<&'static ConfigKey> {
    let hint = || match keys::similar(name) {
        Some(key) => format!("unknown key {name:?}: did you mean {}?", key.name),
        None => format!("unknown key {name:?}: `harbor config ls` lists the keys"),
    };
    keys::find(name).with_context(hint)
}

fn get(given: &Given, key: &ConfigKey, as_json: bool) -> anyhow::Result<()> {
    let loaded = load::in_force(given)?;
    let (value, source) = value(&loaded, key)?;
    let generated = matches!(key.default, DefaultValue::Generated(_));
    let Some(value) = value.or_else(|| (!generated).then(String::new)) else {
        bail!("{} is generated at the first `harbor up`", key.name);
    };
    if as_json {
        let object = json!({"key": key.name, "value": value, "source": source, "env": key.env()});
        screen::line(&serde_json::to_string_pretty(&object)?)?;
    } else {
        screen::line(&value)?;
    }
    note_without_effect(key);
    note_pending(&loaded, &load::load(given)?, key);
    Ok(())
}

/// Says so where the next start would use another value than the running harbor does.
fn note_pending(loaded: &Loaded, next: &Loaded, key: &ConfigKey) {
    let of = |loaded: &Loaded| loaded.value(key).map(|(value, _)| value);
    let source = next.value(key).map_or_else(String::new, |(_, source)| format!(" ({source})"));
    // 0: the system chooses at each start, and has chosen this one
    if of(loaded) == of(next) || (key.kind == ValueKind::Port && of(next).as_deref() == Some("0")) {
        return;
    }
    screen::note(&match of(next).filter(|_| !key.is_secret()) {
        Some(value) => format!("the running harbor uses this; the next `harbor up` uses {value}{source}"),
        None => format!("the running harbor uses this; the next `harbor up` uses another one{source}"),
    });
}

fn note_without_effect(key: &ConfigKey) {
    match key.standing {
        Standing::Used => {}
        Standing::Awaited(part) => screen::note(&format!("{} has no effect until {part} is built", key.name)),
        Standing::Replaced(by) => screen::note(&format!("{} has no effect: {by}", key.name)),
    }
}

/// The value in force and where it comes from.
fn value(loaded: &Loaded, key: &ConfigKey) -> anyhow::Result<(Option<String>, String)> {
    if key.name == "data_dir" {
        let source = loaded.value(key).map_or_else(String::new, |(_, source)| source);
        return Ok((Some(loaded.config.data_dir.to_string_lossy().into_owned()), source));
    }
    if let Some((value, source)) = loaded.value(key) {
        return Ok((Some(value), source));
    }
    if key.name == "daytona.workspace" {
        return Ok((Some(loaded.config.data_dir.to_string_lossy().into_owned()), "data_dir".to_owned()));
    }
    match key.default {
        DefaultValue::Generated(file) => {
            Ok((secrets::generated(&loaded.config.directories(), file)?, "generated".to_owned()))
        }
        _ => Ok((None, String::new())),
    }
}

fn set(given: &Given, key: &ConfigKey, value: &str) -> anyhow::Result<()> {
    let (path, directories) = match load::load(given) {
        Ok(loaded) => (loaded.file.clone(), Some(loaded.config.directories())),
        // the file may hold what this command is to put right
        Err(error) => (load::file_of(given).map_err(|_| error)?, None),
    };
    if path.parent() == directories.as_ref().map(Directories::root)
        && let Some(directories) = &directories
    {
        directories.create_root()?;
    }
    let before = fs::read(&path).ok();
    file::set(&path, key, &file::absolute(key, value)?)?;
    if key.kind == ValueKind::Port
        && let Err(error) = ports_together(given)
    {
        if let Some(before) = before {
            files::replace(&path, &before).with_context(|| format!("cannot write {}", path.display()))?;
        } else {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        return Err(error);
    }
    if key.kind == ValueKind::Port && value.trim() == "0" {
        screen::note("the system will choose another port at each start: `harbor url` tells which");
    }
    if value.is_empty()
        && key.name == "daytona.ssh_host_key"
        && let Some(directories) = &directories
    {
        forget_host_key(&directories.keys().join("ssh_host_key"))?;
    }
    note_without_effect(key);
    if given.fixes(key) {
        screen::note(&format!("{} is set and wins over config.toml: unset it", key.env()));
    }
    if let Some(directories) = directories
        && key.standing == Standing::Used
        && Claim::read(&directories)? != Claim::Nobody
    {
        screen::note("harbor is running: it applies after `harbor down` and `harbor up`");
    }
    Ok(())
}

/// Refuses ports that are right by themselves and wrong together. A file that is wrong elsewhere is corrected key by key.
fn ports_together(given: &Given) -> anyhow::Result<()> {
    let Ok(loaded) = load::load(given) else { return Ok(()) };
    Service::ALL.into_iter().try_for_each(|service| check_port(&loaded.config, service))
}

/// The documented way to rotate the host key: clear it, then start (contract, edges §10.1).
fn forget_host_key(path: &std::path::Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("cannot remove the SSH host key"),
        _ => Ok(()),
    }
}

/// Lists the keys, which is what a refused key in the file sends people here for: then without the file's values.
fn list_even_if_wrong(given: &Given, as_json: bool, all: bool) -> anyhow::Result<ExitCode> {
    match load::in_force(given) {
        Ok(loaded) => list(&loaded, as_json, all).map(|()| ExitCode::SUCCESS),
        Err(error) => {
            let Ok(loaded) = load::load_without_file(given) else { return Err(error) };
            screen::failure(&one_line(&error));
            screen::note("the values of that file are left out here");
            list(&loaded, as_json, all).map(|()| ExitCode::FAILURE)
        }
    }
}

fn list(loaded: &Loaded, as_json: bool, all: bool) -> anyhow::Result<()> {
    let shown = KEYS.iter().filter(|key| all || as_json || key.standing == Standing::Used);
    let mut objects = Vec::new();
    for key in shown {
        let (value, source) = value(loaded, key)?;
        let value = if key.is_secret() { value.map(|_| "(hidden)".to_owned()) } else { value };
        if as_json {
            objects.push(json!({
                "key": key.name,
                "value": value,
                "source": source,
                "env": key.env(),
                "secret": key.is_secret(),
                "used": key.standing == Standing::Used,
                "meaning": match key.standing {
                    Standing::Used | Standing::Awaited(_) => key.meaning,
                    Standing::Replaced(by) => by,
                },
            }));
        } else {
            let origin = if source.is_empty() { String::new() } else { format!("  ({source})") };
            let value = value.unwrap_or_default();
            if screen::fits(33 + value.chars().count() + origin.chars().count()) {
                screen::line(&format!("{:<32} {value}{}", key.name, paint(&origin, Colour::Dim)))?;
            } else {
                screen::line(key.name)?;
                screen::line(&screen::wrapped(&format!("{value}{origin}"), 2))?;
            }
        }
    }
    if as_json { screen::line(&serde_json::to_string_pretty(&objects)?) } else { Ok(()) }
}
