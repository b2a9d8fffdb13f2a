//! `harbor up`

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::arguments::Up;
use super::{env, first_try, note_foreign};
use crate::components::Service;
use crate::config::directories::Directories;
use crate::config::exposure;
use crate::config::keep::{self, Kept};
use crate::config::keys::{self, ConfigKey};
use crate::config::kinds::ValueKind;
use crate::config::load::{self, Given, Loaded};
use crate::process::background::{self, StartOutcome};
use crate::process::daemon::{self, Audience};
use crate::process::presence::{LOOK_EVERY, PATIENCE, Presence};
use crate::process::readiness;
use crate::process::state::{Claim, Ready, RunningSettings};
use crate::{invocation, screen};
use screen::{Colour, ProgressDisplay, paint};

pub(super) fn run(loaded: &Loaded, given: &Given, options: &Up) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    let kept = keep::differing(loaded, given)?;
    let settled = || keep::keep(loaded, &kept);
    if options.detached {
        // whoever started us has been told, and so has the log
        return Ok(daemon::run(loaded, &settled, Audience::Starter).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS));
    }
    note_foreign(&options.handles);
    exposure::check(config)?;
    let directories = config.directories();
    directories.create()?;
    if options.foreground {
        await_end(&directories)?;
        let (json, open, given) = (options.json, options.open, given.clone());
        let announce = move |ready: &Ready, first_start: bool| {
            announce(&given, &StartOutcome { ready: ready.clone(), first_start, found: false }, json, open)
        };
        daemon::run(loaded, &settled, Audience::Terminal(Box::new(announce)))?;
        return Ok(ExitCode::SUCCESS);
    }
    tell_when_interrupted(directories.clone());
    let mut waiting = ProgressDisplay::new();
    let started = background::ensure(
        &directories,
        &arguments(loaded, given),
        Duration::from_secs(options.wait),
        &mut |activity| waiting.show(activity),
    )?;
    drop(waiting);
    if started.found {
        compare(&directories, loaded, given)?;
    } else {
        note_kept(&kept, &keep::differing(loaded, given)?, &loaded.file);
    }
    announce(given, &started, options.json, options.open)?;
    Ok(ExitCode::SUCCESS)
}

/// How long the one before is given to end, where it does not answer any more.
const ENDING: Duration = Duration::from_mins(1);

/// Waits for a harbor that is ending: a service manager starts the next one at once.
fn await_end(directories: &Directories) -> anyhow::Result<()> {
    let deadline = Instant::now() + ENDING;
    while Instant::now() < deadline {
        match Presence::look(directories, PATIENCE)? {
            // the lock says who runs
            Presence::Stopped | Presence::Serving(..) | Presence::Starting(..) => break,
            Presence::Silent(..) | Presence::Stopping(_) => thread::sleep(LOOK_EVERY),
        }
    }
    Ok(())
}

/// Exit status of a command that Ctrl-C ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// Says on Ctrl-C what goes on without this command.
fn tell_when_interrupted(directories: Directories) {
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_err() {
            return;
        }
        // where it was being started, it takes a moment to say so
        thread::sleep(Duration::from_millis(300));
        screen::end_line();
        screen::note(match Claim::read(&directories) {
            Ok(Claim::Process { .. }) => {
                "harbor goes on in the background: `harbor logs -f` shows what it does, `harbor down` stops it"
            }
            Ok(Claim::Nobody) | Err(_) => "harbor does not run",
        });
        std::process::exit(INTERRUPTED);
    });
}

/// The command line of the process in the background: what this one was told, with paths that do not depend on the
/// working directory.
fn arguments(loaded: &Loaded, given: &Given) -> Vec<String> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut arguments = vec!["up".to_owned(), "--detached".to_owned()];
    arguments.extend([
        "--config".to_owned(),
        path(&loaded.file),
        "--data-dir".to_owned(),
        path(&loaded.config.data_dir),
    ]);
    for (name, value) in given.flags.iter().filter(|(name, _)| **name != "data_dir") {
        if let Some(flag) = keys::find(name).and_then(ConfigKey::flag) {
            arguments.push(format!("--{flag}={value}"));
        }
    }
    arguments
}

/// Refuses flags that the harbor which runs already was not started with, and notes other differences.
fn compare(directories: &Directories, loaded: &Loaded, given: &Given) -> anyhow::Result<()> {
    let Some(running) = RunningSettings::of_running(directories)? else { return Ok(()) };
    let asked = loaded.settings();
    let mut others = Vec::new();
    for key in keys::KEYS.iter().filter(|key| key.name != "data_dir") {
        let (now, asked) = (running.values.get(key.name), asked.get(key.name));
        // 0: the system chooses, and has chosen
        if now == asked || (key.kind == ValueKind::Port && asked.is_some_and(|port| port == "0")) {
            continue;
        }
        match (given.flags.get(key.name), key.flag()) {
            (Some(value), Some(flag)) => bail!(
                "harbor is already running with {} {}: run `harbor down`, then `harbor up --{flag} {}`",
                key.name,
                now.map_or("unset", String::as_str),
                invocation::quoted(value)
            ),
            _ => others.push(key.name),
        }
    }
    if !others.is_empty() {
        screen::note(&format!(
            "harbor is already running, with other values of {}: `harbor config get` tells its own; environment and \
             config.toml apply after `harbor down`",
            others.join(", ")
        ));
    }
    Ok(())
}

/// Says what the next start will know by itself, and what not.
fn note_kept(wanted: &[Kept], left: &[Kept], file: &Path) {
    for Kept { key, value } in wanted {
        if left.iter().any(|left| left.key.name == key.name) {
            screen::note(&format!(
                "not kept in {}: {} = {value}; give it again at the next start",
                file.display(),
                key.name
            ));
            continue;
        }
        screen::note(&format!(
            "kept in {}: {} = {value}; `harbor config set {} \"\"` forgets it",
            file.display(),
            key.name,
            key.name
        ));
    }
}

/// Says where harbor is and how to use it, and opens it in a browser where that was asked for.
fn announce(given: &Given, started: &StartOutcome, as_json: bool, open: bool) -> anyhow::Result<()> {
    // what it runs with may differ from what this command was given
    let config = &load::in_force(&Given { flags: given.data_directory(), ..given.clone() })?.config;
    let url = env::api_url(config);
    let key = env::api_key(config)?.context("there is no API key: the data directory was changed meanwhile")?;
    let problem = readiness::problem(&started.ready);
    if as_json {
        screen::line(&serde_json::to_string_pretty(&json!({
            "ready": problem.is_none(),
            "problem": problem,
            "url": url,
            "api_url": format!("{url}/api"),
            "proxy_url": started.ready.port(Service::Proxy).map(|port| config.proxy_url(port)),
            "api_key": key,
            "engine": started.ready.engine,
            "audience": exposure::audience(config.bind),
            "first_start": started.first_start,
        }))?)?;
    } else {
        let mut text = heading(problem.as_deref());
        for (name, value) in
            [("API", format!("{url}/api")), ("API key", key), ("Open to", exposure::audience(config.bind))]
        {
            text.extend(["  ", &format!("{name:<8}"), " ", &value, "\n"]);
        }
        text.push_str(&first_try::Client::here().lines(&invocation::pasted("env")));
        screen::raw(&text)?;
    }
    if open { env::browse(&env::page(config)) } else { Ok(()) }
}

fn heading(problem: Option<&str>) -> String {
    match problem {
        None => format!("{}\n\n", paint("harbor is ready", Colour::Green)),
        Some(problem) => invocation::completed(&format!(
            "{}: {problem}\nIt goes on trying: `harbor status` says how that goes.\n\n",
            paint("harbor runs, and cannot make sandboxes yet", Colour::Yellow)
        ))
        .into_owned(),
    }
}
