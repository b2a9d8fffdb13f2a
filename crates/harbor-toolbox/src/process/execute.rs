//! `POST /process/execute`: a text run by the sandbox's shell (contract, toolbox §6).

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};

use super::capture::{self, Finished};
use super::command::{Variables, check_names, command, limit};
use super::shell::default_shell;
use crate::context::Context;
use crate::error::Error;
use crate::json::{self, Json};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Execute {
    command: String,
    cwd: String,
    envs: Variables,
    timeout: Option<u32>,
}

/// What a command answered.
#[derive(Serialize)]
pub(super) struct Answer {
    #[serde(rename = "exitCode")]
    exit_code: i32,
    result: String,
}

pub(super) async fn execute(State(context): State<Context>, request: Request) -> Result<Json<Answer>, Error> {
    let Execute { command: text, cwd, envs, timeout } = parse(&json::read(request).await?)?;
    let environment = context.environment();
    let directory = context.resolve(cwd);
    let shell = default_shell(context.variable("SHELL").as_deref());
    // The shell takes the text from its standard input: no limit on its length, here-documents work.
    let command = command(&shell, &environment, &envs, &directory);
    let finished = capture::run(context.processes(), command, &directory, text.as_bytes(), limit(timeout)).await?;
    let Finished { exit_code, output } = finished;
    Ok(Json(Answer { exit_code, result: text_of(output) }))
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

/// Output as JSON can carry it: bytes that are no text become replacement characters. Text is not copied.
pub(super) fn text_of(output: Vec<u8>) -> String {
    String::from_utf8(output).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
