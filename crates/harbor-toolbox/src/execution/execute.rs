//! `POST /process/execute`: a text run by the sandbox's shell (contract, toolbox §6).

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;

use super::answer::answer;
use super::capture::{self, Finished};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json;
use crate::process::command::{Variables, check_names, limit};
use crate::process::{Prepared, Shell};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Execute {
    command: String,
    cwd: String,
    envs: Variables,
    timeout: Option<u32>,
}

/// How much of the budget each byte of output takes: its answer is written as it is sent.
const WEIGHT: usize = 1;

pub(super) async fn execute(State(context): State<Context>, request: Request) -> Result<Response, Error> {
    let Execute { command: text, cwd, envs, timeout } = parse(&json::read(request).await?)?;
    let environment = context.environment();
    let directory = context.resolve(cwd);
    // The shell takes the text from its standard input: no limit on its length, here-documents work.
    let Prepared { command, preamble } = Shell::of(&environment).prepare(&environment, &envs, &directory);
    let text = preamble + &text;
    let limit = limit(timeout);
    let finished = capture::run(context.processes(), command, &directory, text.as_bytes(), limit, WEIGHT).await?;
    let Finished { exit_code, output } = finished;
    Ok(answer(exit_code, output))
}

fn parse(body: &[u8]) -> Result<Execute, Error> {
    let invalid = |reason: String| Error::bad_request(format!("invalid request body: {reason}"));
    let execute: Option<Execute> = json::decode(body).map_err(|error| invalid(error.to_string()))?;
    let execute = execute.unwrap_or_default();
    if execute.command.is_empty() {
        return Err(invalid("command is required".to_owned()));
    }
    if execute.command.trim().is_empty() {
        return Err(Error::bad_request("command cannot be empty or whitespace-only"));
    }
    check_names(&execute.envs)?;
    Ok(execute)
}
