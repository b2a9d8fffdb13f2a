//! `harbor env`, `harbor url`, `harbor open`: where harbor is, for shells and browsers.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use super::note_foreign;
use crate::config::Config;
use crate::config::load::Loaded;
use crate::invocation::quoted;
use crate::process::presence::{PATIENCE, Presence};
use crate::{screen, secrets};

pub(super) fn print_exports(loaded: &Loaded, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let config = &loaded.config;
    let presence = Presence::look(&config.directories(), PATIENCE)?;
    // this installation's key with the address of nobody, or of somebody else, would be worse than nothing
    anyhow::ensure!(presence != Presence::Stopped, "harbor does not run: `harbor up`");
    note_unless_serving(&presence);
    let key = api_key(config)?.context("there is no API key yet: the first `harbor up` makes one")?;
    let url = api_url(config) + "/api";
    screen::line(&format!("export DAYTONA_API_URL={} DAYTONA_API_KEY={}", quoted(&url), quoted(&key)))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn print_url(loaded: &Loaded, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let presence = Presence::look(&loaded.config.directories(), PATIENCE)?;
    note_unless_serving(&presence);
    screen::line(&api_url(&loaded.config))?;
    Ok(ExitCode::SUCCESS)
}

fn note_unless_serving(presence: &Presence) {
    match presence {
        Presence::Serving(..) => {}
        Presence::Silent(process, _, reason) => screen::note(&format!("{process} does not answer: {reason}")),
        Presence::Stopped => screen::note("harbor does not run: `harbor up`"),
        Presence::Starting(..) => screen::note("harbor is still starting: `harbor status`"),
        Presence::Stopping(_) => screen::note("harbor is stopping: `harbor up` starts it again"),
    }
}

pub(super) fn open(loaded: &Loaded, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let presence = Presence::look(&loaded.config.directories(), PATIENCE)?;
    anyhow::ensure!(presence.ready().is_some(), "harbor is not ready: `harbor up`");
    browse(&page(&loaded.config))?;
    Ok(ExitCode::SUCCESS)
}

/// Scheme, host and port of the API, by a configuration in force.
pub(super) fn api_url(config: &Config) -> String {
    config.api_url(config.daytona.host_port)
}

/// The page for people: the API's, while there is no dashboard.
pub(super) fn page(config: &Config) -> String {
    api_url(config) + "/api"
}

/// The admin API key in force: configured, else generated, else none yet.
pub(super) fn api_key(config: &Config) -> anyhow::Result<Option<String>> {
    match &config.daytona.admin_api_key {
        Some(key) => Ok(Some(key.reveal().to_owned())),
        None => secrets::generated(&config.directories(), "admin_api_key"),
    }
}

/// Opens `url` in a browser; where there is none, prints it and says so.
pub(super) fn browse(url: &str) -> anyhow::Result<()> {
    for program in ["xdg-open", "open", "wslview"] {
        let opened =
            Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match opened {
            Ok(status) if status.success() => return Ok(()),
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => bail!("cannot run {program}: {error}"),
        }
    }
    screen::note("there is no browser here; the address is");
    screen::line(url)
}
