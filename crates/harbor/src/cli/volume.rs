//! `harbor volume`: volumes of the running harbor, asked for with the owner's key.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Api;
use super::arguments::Volume as Command;
use crate::config::load::Loaded;
use crate::screen::{self, Colour, paint};

/// How long the API may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A volume, as the API tells it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    id: String,
    name: String,
    state: String,
    created_at: String,
    last_used_at: Option<String>,
}

pub(super) fn run(loaded: &Loaded, command: &Command) -> anyhow::Result<ExitCode> {
    let api = Api::of(loaded, PATIENCE)?;
    match command {
        Command::Ls { json: true } => screen::line(&serde_json::to_string_pretty(&all(&api)?)?)?,
        Command::Ls { json: false } => show(&volumes(&api)?)?,
        Command::Create { name, json } => {
            let made = api.ask(Method::POST, "/api/volumes", Some(json!({"name": name})))?;
            let id = made["id"].as_str().unwrap_or_default();
            screen::line(&if *json { serde_json::to_string_pretty(&made)? } else { id.to_owned() })?;
        }
        Command::Rm { volumes: named } => {
            let known = volumes(&api)?;
            // all of them are looked up before the first one goes
            let found = named.iter().map(|text| Ok((text, find(&known, text)?))).collect::<anyhow::Result<Vec<_>>>()?;
            for (text, volume) in found {
                api.ask(Method::DELETE, &format!("/api/volumes/{}", volume.id), None)?;
                screen::line(&format!("removed volume {text}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(volumes: &[Volume]) -> anyhow::Result<()> {
    let longest = volumes.iter().map(|volume| volume.name.chars().count()).max().unwrap_or(0).clamp(4, 40);
    let head = format!("{:<36}  {:<longest$}  {:<8}  {:<24}  {}", "ID", "NAME", "STATE", "CREATED", "LAST USED");
    screen::line(&paint(&head, Colour::Bold))?;
    for Volume { id, name, state, created_at, last_used_at } in volumes {
        // a name may hold the end of a line
        let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let used = last_used_at.as_deref().unwrap_or("never");
        screen::line(&format!("{id:<36}  {name:<longest$}  {state:<8}  {created_at:<24}  {used}"))?;
    }
    Ok(())
}

/// The volume that `text` names: one that is ready by its name, or one by its id; never one where it may be another.
fn find<'a>(all: &'a [Volume], text: &str) -> anyhow::Result<&'a Volume> {
    let named = all.iter().find(|volume| volume.name == text && volume.state == "ready");
    match (named, all.iter().find(|volume| volume.id == text)) {
        (Some(one), Some(other)) if one.id != other.id => {
            bail!("{text} is the name of one volume and the id of another: give the id {} for the first", one.id)
        }
        (Some(volume), _) | (None, Some(volume)) => Ok(volume),
        (None, None) => bail!("there is no volume {text}: `harbor volume ls` lists those that there are"),
    }
}

fn all(api: &Api) -> anyhow::Result<Value> {
    api.ask(Method::GET, "/api/volumes", None)
}

fn volumes(api: &Api) -> anyhow::Result<Vec<Volume>> {
    serde_json::from_value(all(api)?).context("the running harbor tells its volumes in other words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_found_by_name_or_id_if_it_can_be_no_other_and_one_that_is_going_by_its_id_only() {
        let volume = |id: &str, name: &str, state: &str| Volume {
            id: id.to_owned(),
            name: name.to_owned(),
            state: state.to_owned(),
            created_at: String::new(),
            last_used_at: None,
        };
        let all = [volume("1", "a", "deleting"), volume("2", "a", "ready"), volume("3", "1", "ready")];
        let found = |text: &str| find(&all, text).map(|volume| volume.id.as_str()).ok();
        assert_eq!([found("a"), found("3"), found("2"), found("b")], [Some("2"), Some("3"), Some("2"), None]);
        assert!(find(&all, "1").err().unwrap().to_string().contains("the id 3"));
    }
}
