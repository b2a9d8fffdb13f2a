//! Running commands in a session, and sending them input (contract, toolbox §8.5, §8.6 and §8.9).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::command::Order;
use super::demux::{Part, Stream};
use super::logs::unreadable;
use super::registry::Sessions;
use super::render::{Section, render};
use crate::http::client::{OutputForm, output_form};
use crate::http::error::Error;
use crate::http::json::{Body, Json};
use crate::http::params::Params;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Execute {
    command: String,
    run_async: bool,
    /// The old name of `runAsync`.
    #[serde(rename = "async")]
    detached: bool,
    suppress_input_echo: bool,
}

/// The answer to a command that runs on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    cmd_id: String,
    output: Option<String>,
    stdout: Option<String>,
    stderr: Option<String>,
    exit_code: Option<i32>,
}

pub(super) async fn execute(
    State(sessions): State<Sessions>,
    Params(id): Params<String>,
    headers: HeaderMap,
    Body(body): Body<Execute>,
) -> Result<Response, Error> {
    let Execute { command: text, run_async, detached, suppress_input_echo } = body;
    if text.is_empty() {
        return Err(Error::invalid_body("command is required"));
    }
    let session = sessions.find(&id)?;
    let background = run_async || detached;
    let command = session.submit(Order { text, background, echo: !suppress_input_echo })?;
    if background {
        let cmd_id = command.id.clone();
        let begun = Begun { cmd_id, output: None, stdout: None, stderr: None, exit_code: None };
        return Ok((StatusCode::ACCEPTED, Json(begun)).into_response());
    }
    let code = session.outcome(&command).await?;
    let sections = answer(&command.id, code, output_form(&headers));
    render(&command.log, "application/json; charset=utf-8", sections).map_err(|error| unreadable(&error))
}

/// The answer to a command that is done, as its client takes it.
fn answer(id: &str, code: i32, form: OutputForm) -> Vec<Section> {
    let literal = |text: &str| Section::Literal(text.to_owned());
    let output = if form == OutputForm::Combined { Part::Combined } else { Part::Raw };
    let mut sections =
        vec![Section::Literal(format!(r#"{{"cmdId":"{id}","exitCode":{code},"output":""#)), Section::Quoted(output)];
    if form == OutputForm::Split {
        sections.push(literal(r#"","stdout":""#));
        sections.push(Section::Quoted(Part::Only(Stream::Output)));
        sections.push(literal(r#"","stderr":""#));
        sections.push(Section::Quoted(Part::Only(Stream::Error)));
        sections.push(literal(r#""}"#));
    } else {
        sections.push(literal(r#"","stdout":null,"stderr":null}"#));
    }
    sections
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Input {
    data: String,
}

pub(super) async fn input(
    State(sessions): State<Sessions>,
    Params((session, command)): Params<(String, String)>,
    Body(Input { data }): Body<Input>,
) -> Result<StatusCode, Error> {
    if data.is_empty() {
        return Err(Error::invalid_body("data is required"));
    }
    sessions.find_command(&session, &command)?.send_input(data).await?;
    Ok(StatusCode::NO_CONTENT)
}
