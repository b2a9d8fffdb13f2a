//! `harbor up`

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use super::arguments::Up;
use super::{env, note_foreign};
use crate::components::Service;
use crate::config::load::{Loaded, Said};
use crate::config::{Config, keys, wellknown};
use crate::process::background::{self, Started};
use crate::process::daemon::{self, Audience};
use crate::process::presence::{LOOK_EVERY, PATIENCE, Presence};
use crate::process::readiness;
use crate::process::state::Ready;
use crate::screen::{self, Colour, Waiting, paint};
use crate::secrets::{self, Secrets};

pub(super) fn run(loaded: &Loaded, said: &Said, options: &Up) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    if options.detached {
        // whoever started us has been told, and so has the log
        return Ok(daemon::run(config, Audience::Starter).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS));
    }
    note_foreign(&options.handles);
    if options.foreground {
        return foreground(config, options);
    }
    wellknown::check(config)?;
    let directories = config.directories();
    directories.create()?;
    let limit = Duration::from_secs(options.wait);
    let mut waiting = Waiting::new();
    let started =
        background::ensure(&directories, &arguments(loaded, said), limit, &mut |activity| waiting.show(activity))?;
    if started.found && said.flags.keys().any(|name| *name != "data_dir") {
        screen::note("harbor is already running: other flags apply after `harbor down`");
    }
    drop(waiting);
    announce(config, &started, options.json)?;
    if options.open {
        env::browse(&(env::api_url(config, Some(&started.ready)) + "/dashboard"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn foreground(config: &Config, options: &Up) -> anyhow::Result<ExitCode> {
    wellknown::check(config)?;
    config.directories().create()?;
    await_end(config)?;
    let (json, open, told) = (options.json, options.open, config.clone());
    let announce = move |ready: &Ready, secrets: &Secrets| {
        announce(&told, &Started { ready: ready.clone(), first_start: secrets.first_start, found: false }, json)?;
        if open { env::browse(&(env::api_url(&told, Some(ready)) + "/dashboard")) } else { Ok(()) }
    };
    daemon::run(config, Audience::Terminal(Box::new(announce)))?;
    Ok(ExitCode::SUCCESS)
}

/// How long the one before is given to end, where it does not answer any more.
const ENDING: Duration = Duration::from_mins(1);

/// Waits for a harbor that is ending: a service manager starts the next one at once.
fn await_end(config: &Config) -> anyhow::Result<()> {
    let directories = config.directories();
    let deadline = Instant::now() + ENDING;
    while Instant::now() < deadline {
        match Presence::look(&directories, PATIENCE)? {
            // the lock says who runs
            Presence::Stopped | Presence::Serving(..) | Presence::Starting(..) => break,
            Presence::Silent(..) | Presence::Stopping(_) => thread::sleep(LOOK_EVERY),
        }
    }
    Ok(())
}

/// The command line of the process in the background: what this one was told, with paths that do not depend on the
/// working directory.
fn arguments(loaded: &Loaded, said: &Said) -> Vec<String> {
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let mut arguments = vec!["up".to_owned(), "--detached".to_owned()];
    arguments.extend([
        "--config".to_owned(),
        path(&loaded.file),
        "--data-dir".to_owned(),
        path(&loaded.config.data_dir),
    ]);
    for (name, value) in said.flags.iter().filter(|(name, _)| **name != "data_dir") {
        if let Some(flag) = keys::find(name).and_then(keys::Key::flag) {
            arguments.push(format!("--{flag}={value}"));
        }
    }
    arguments
}

/// Says where harbor is and how to use it.
fn announce(config: &Config, started: &Started, as_json: bool) -> anyhow::Result<()> {
    let url = env::api_url(config, Some(&started.ready));
    let key = env::api_key(config)?.context("there is no API key: the data directory was changed meanwhile")?;
    let proxy = started.ready.port(Service::Proxy).map(|port| config.proxy_url(port));
    let problem = readiness::problem(&started.ready);
    if as_json {
        return screen::line(&serde_json::to_string_pretty(&json!({
            "ready": problem.is_none(),
            "problem": problem,
            "url": url,
            "api_url": format!("{url}/api"),
            "dashboard_url": format!("{url}/dashboard"),
            "proxy_url": proxy,
            "api_key": key,
            "engine": started.ready.engine,
            "first_start": started.first_start,
        }))?);
    }
    let mut text = match &problem {
        None => format!("{}\n\n", paint("harbor is ready", Colour::Green)),
        Some(problem) => format!(
            "{}: {problem}\nIt goes on trying: `harbor status` says how that goes.\n\n",
            paint("harbor runs, and cannot make sandboxes yet", Colour::Yellow)
        ),
    };
    let mut row = |name: &str, value: &str| text.extend(["  ", &format!("{name:<10}"), " ", value, "\n"]);
    row("API", &format!("{url}/api"));
    row("Dashboard", &format!("{url}/dashboard"));
    row("API key", &key);
    if started.first_start {
        row("Login", &config.daytona.admin_email);
        row("Password", &password(config)?);
    }
    text.push_str(SNIPPET);
    screen::raw(&text)
}

const SNIPPET: &str = r#"
Try it:

  eval "$(harbor env)"
  pip install daytona
  python3 -c '
from daytona import Daytona
sandbox = Daytona().create()
print(sandbox.process.exec("echo hello from $(hostname)").result)
sandbox.delete()'
"#;

fn password(config: &Config) -> anyhow::Result<String> {
    match &config.daytona.admin_password {
        Some(_) => Ok("as configured".to_owned()),
        None => Ok(secrets::generated(&config.directories(), "admin_password")?.unwrap_or_default()),
    }
}
