//! `harbor status`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::{env, loops, note_foreign};
use crate::config::load::{self, Said};
use crate::process::announce::one_line;
use crate::process::http;
use crate::process::state::{Phase, Ready, Running, State};
use crate::screen::{self, Colour, paint};

/// How long the API may take to say how it is; it gives its components five seconds.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(said: &Said, as_json: bool, verbose: bool, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let running = Running::find(&load::directories_of(said)?)?;
    let loaded = load::load(said);
    if let Err(error) = &loaded {
        screen::note(&one_line(error)); // a harbor that runs is as well as it was
    }
    let url = running.ready().and_then(|ready| match &loaded {
        Ok(loaded) => Some(env::api_url(&loaded.config, Some(ready))),
        Err(_) => ready.api_address().map(|address| format!("http://{address}")),
    });
    let (word, detail) = judge(&running);
    let state = match &running {
        Running::Yes { state } => state.as_ref(),
        Running::No => None,
    };
    if as_json {
        screen::line(&serde_json::to_string_pretty(&json!({
            "ready": word == "ready",
            "state": word,
            "detail": detail,
            "pid": state.map(|state| state.pid),
            "version": state.map(|state| state.version.as_str()),
            "url": url,
            "engine": running.ready().map(|ready| ready.engine.as_str()),
            "services": running.ready().map(|ready| &ready.services),
        }))?)?;
    } else {
        let colour = if word == "ready" { Colour::Green } else { Colour::Yellow };
        let at = url.map_or_else(String::new, |url| format!(" at {url}"));
        let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
        screen::line(&format!("harbor is {}{at}{detail}", paint(word, colour)))?;
        if let (true, Some(ready), Ok(loaded)) = (verbose, running.ready(), &loaded) {
            loops::print(ready, &env::api_key(&loaded.config)?.unwrap_or_default())?;
        }
    }
    Ok(if word == "ready" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One word, and what there is to say about it.
fn judge(running: &Running) -> (&'static str, Option<String>) {
    match running {
        Running::No => ("stopped", None),
        Running::Yes { state: None } => ("starting", None),
        Running::Yes { state: Some(State { phase: Phase::Starting(doing), .. }) } => {
            ("starting", Some(doing.what.clone()).filter(|what| !what.is_empty()))
        }
        Running::Yes { state: Some(State { phase: Phase::Stopping, .. }) } => ("stopping", None),
        Running::Yes { state: Some(State { phase: Phase::Ready(ready), .. }) } => match ask(ready) {
            Ok(()) => ("ready", None),
            Err(error) => ("unhealthy", Some(format!("{error:#}"))),
        },
    }
}

fn ask(ready: &Ready) -> anyhow::Result<()> {
    let address = ready.api_address().context("the API does not listen")?;
    let (status, body) = http::answer(address, "/api/harbor/ready", PATIENCE)?;
    anyhow::ensure!(status.is_success(), "{}", missing(&body).unwrap_or_else(|| format!("its API answers {status}")));
    Ok(())
}

/// The components that are down, each with its reason, from the body of `/api/harbor/ready`.
fn missing(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let down = body["error"].as_object()?;
    let reasons: Vec<String> =
        down.iter().map(|(name, part)| format!("{name}: {}", part["message"].as_str().unwrap_or("down"))).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_down_is_named_with_its_reason() {
        let body =
            br#"{"status":"error","info":{"b":{"status":"up"}},"error":{"engine":{"status":"down","message":"gone"}}}"#;
        assert_eq!(missing(body).as_deref(), Some("engine: gone"));
        assert_eq!(missing(b"no JSON"), None);
        assert_eq!(missing(br#"{"error":{}}"#), None);
    }
}
