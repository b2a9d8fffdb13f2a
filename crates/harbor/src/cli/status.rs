//! `harbor status`

use std::process::ExitCode;

use serde_json::json;

use super::{env, loops, note_foreign};
use crate::config::load::{self, Given};
use crate::invocation::completed;
use crate::process::announce::one_line;
use crate::process::presence::{self, Presence};
use crate::process::readiness;
use crate::screen::{self, Colour, paint};

pub(super) fn run(given: &Given, as_json: bool, verbose: bool, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let presence = Presence::look(&load::directories_of(given)?, presence::PATIENCE)?;
    let loaded = load::in_force(given);
    if let Err(error) = &loaded {
        screen::note(&one_line(error)); // a harbor that runs is as well as it was
    }
    let url = presence.ready().and_then(|ready| match &loaded {
        Ok(loaded) => Some(env::api_url(&loaded.config)),
        Err(_) => ready.api_address().map(|address| format!("http://{address}")),
    });
    let (word, detail) = judge(&presence);
    if as_json {
        screen::line(&serde_json::to_string_pretty(&json!({
            "ready": word == "ready",
            "state": word,
            "detail": detail,
            "pid": presence.process().and_then(|process| process.pid),
            "version": presence.process().and_then(|process| process.version.as_deref()),
            "url": url,
            "engine": presence.ready().map(|ready| ready.engine.as_str()),
            "services": presence.ready().map(|ready| &ready.services),
        }))?)?;
    } else {
        let colour = if word == "ready" { Colour::Green } else { Colour::Yellow };
        let at = url.map_or_else(String::new, |url| format!(" at {url}"));
        let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
        screen::line(&completed(&format!("harbor is {}{at}{detail}", paint(word, colour))))?;
        if let (true, Some(ready), Ok(loaded)) = (verbose, presence.ready(), &loaded) {
            loops::print(ready, &env::api_key(&loaded.config)?.unwrap_or_default())?;
        }
    }
    Ok(if word == "ready" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One word, and what there is to say about it.
fn judge(presence: &Presence) -> (&'static str, Option<String>) {
    match presence {
        Presence::Stopped => ("stopped", None),
        Presence::Starting(_, activity) => ("starting", Some(activity.what.clone()).filter(|what| !what.is_empty())),
        Presence::Stopping(_) => ("stopping", None),
        Presence::Silent(_, _, reason) => ("unhealthy", Some(reason.clone())),
        Presence::Serving(_, ready) => match readiness::problem(ready) {
            None => ("ready", None),
            problem => ("unhealthy", problem),
        },
    }
}
