//! `harbor env`, `harbor url`, `harbor open`: where harbor is, for shells and browsers.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::arguments::{Env, VariableSyntax};
use super::note_foreign;
use crate::config::Config;
use crate::config::load::Loaded;
use crate::invocation::quoted;
use crate::process::presence::{PATIENCE, Presence};
use crate::{screen, secrets};

pub(super) fn print_variables(loaded: &Loaded, options: &Env) -> anyhow::Result<ExitCode> {
    note_foreign(&options.handles);
    let config = &loaded.config;
    let presence = Presence::look(&config.directories(), PATIENCE)?;
    // this installation's key with the address of nobody, or of somebody else, would be worse than nothing
    anyhow::ensure!(presence != Presence::Stopped, "harbor does not run: `harbor up`");
    note_unless_serving(&presence);
    ensure_known(config)?;
    let key = api_key(config)?.context("there is no API key yet: the first `harbor up` makes one")?;
    let variables = [("DAYTONA_API_URL", api_url(config) + "/api"), ("DAYTONA_API_KEY", key)];
    if options.json {
        screen::line(&serde_json::to_string_pretty(&BTreeMap::from(variables))?)?;
    } else {
        screen::line(&written(options.shell, &variables))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The variables as `dialect` has them.
fn written(dialect: VariableSyntax, variables: &[(&str, String)]) -> String {
    let lines = |each: fn(&str, &str) -> String| {
        variables.iter().map(|(name, value)| each(name, value)).collect::<Vec<_>>().join("\n")
    };
    match dialect {
        VariableSyntax::Posix => {
            let words: Vec<_> = variables.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
            format!("export {}", words.join(" "))
        }
        VariableSyntax::Fish => {
            lines(|name, value| format!("set -gx {name} '{}'", value.replace('\\', "\\\\").replace('\'', "\\'")))
        }
        VariableSyntax::Powershell => lines(|name, value| format!("$env:{name} = '{}'", value.replace('\'', "''"))),
        // readers disagree about escapes: what needs none is written bare
        VariableSyntax::Dotenv => lines(|name, value| {
            if quoted(value) == value {
                format!("{name}={value}")
            } else {
                format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
            }
        }),
    }
}

pub(super) fn print_url(loaded: &Loaded, as_json: bool, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let config = &loaded.config;
    let presence = Presence::look(&config.directories(), PATIENCE)?;
    note_unless_serving(&presence);
    ensure_known(config)?;
    let url = api_url(config);
    if as_json {
        let object = json!({
            "url": url,
            "api_url": format!("{url}/api"),
            "proxy_url": config.proxy_url(config.daytona.proxy_host_port),
        });
        screen::line(&serde_json::to_string_pretty(&object)?)?;
    } else {
        screen::line(&url)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A port that the system chooses is known once harbor is ready.
fn ensure_known(config: &Config) -> anyhow::Result<()> {
    let unknown = config.daytona.host_port == 0 && config.public_url.api.is_none();
    anyhow::ensure!(!unknown, "the system chooses the port when harbor starts: `harbor up` tells it");
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Bash reads dotenv's quotes as its own.
    #[test]
    fn a_shell_reads_back_what_was_written() {
        for value in ["dtn_0123", "it's $HOME `id` \\ \"x\"", "http://localhost:35000/api"] {
            let variables = [("A", "first".to_owned()), ("B", value.to_owned())];
            let script = format!("{}\nprintf %s \"$B\"", written(VariableSyntax::Posix, &variables));
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }

    #[test]
    fn each_dialect_has_its_own_quotes() {
        let written = |dialect| super::written(dialect, &[("A", "plain".to_owned()), ("B", "it's \\ $x".to_owned())]);
        assert_eq!(written(VariableSyntax::Fish), "set -gx A 'plain'\nset -gx B 'it\\'s \\\\ $x'");
        assert_eq!(written(VariableSyntax::Powershell), "$env:A = 'plain'\n$env:B = 'it''s \\ $x'");
        assert_eq!(written(VariableSyntax::Dotenv), "A=plain\nB=\"it's \\\\ \\$x\"");
    }
}
