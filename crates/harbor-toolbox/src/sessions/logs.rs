//! Logs as clients ask for them: a snapshot, or a WebSocket that may follow (contract, toolbox §8.8 and §8.11).

use std::io;
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse as _, Response};
use harbor_protocol::toolbox::FOLLOW_HEADER;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::Deserialize;

use super::demux::{Part, Stream};
use super::follow;
use super::log::Log;
use super::registry::Sessions;
use super::render::{Section, render};
use crate::http::client::{OutputForm, output_form, version_token, wants_markers};
use crate::http::error::Error;
use crate::http::params::Params;

/// How a log is asked for.
pub(super) struct Asked {
    follow: bool,
    headers: HeaderMap,
    upgrade: Option<WebSocketUpgrade>,
}

#[derive(Deserialize)]
struct Follow {
    follow: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let query = Query::<Follow>::from_request_parts(parts, state).await.ok();
        let follow = query.and_then(|Query(Follow { follow })| follow);
        let upgrade: Result<_, WebSocketUpgradeRejection> = WebSocketUpgrade::from_request_parts(parts, state).await;
        Ok(Self { follow: follow.as_deref() == Some("true"), headers: parts.headers.clone(), upgrade: upgrade.ok() })
    }
}

pub(super) async fn of_command(
    State(sessions): State<Sessions>,
    Params((session, command)): Params<(String, String)>,
    asked: Asked,
) -> Result<Response, Error> {
    let command = sessions.find_command(&session, &command)?;
    let form = output_form(&asked.headers);
    answer(&command.log, asked, form)
}

/// The entrypoint session's own route, which knows no combined form.
pub(super) async fn of_entrypoint(State(sessions): State<Sessions>, asked: Asked) -> Result<Response, Error> {
    let form = match output_form(&asked.headers) {
        OutputForm::Combined => OutputForm::Raw,
        form => form,
    };
    answer(sessions.entrypoint()?.log()?, asked, form)
}

/// The route that every command's log has.
pub(super) async fn of_entrypoint_command(State(sessions): State<Sessions>, asked: Asked) -> Result<Response, Error> {
    let form = output_form(&asked.headers);
    answer(sessions.entrypoint()?.log()?, asked, form)
}

fn answer(log: &Arc<Log>, asked: Asked, form: OutputForm) -> Result<Response, Error> {
    let Asked { follow, headers, upgrade } = asked;
    if let Some(upgrade) = upgrade {
        let markers = form != OutputForm::Combined || wants_markers(&headers);
        let part = if markers { Part::Raw } else { Part::Combined };
        let log = Arc::clone(log);
        let upgrade = upgrade.protocols(version_token(&headers).map(str::to_owned));
        return Ok(upgrade.on_upgrade(move |socket| follow::send(log, socket, part, follow)));
    }
    if follow && headers.contains_key(FOLLOW_HEADER) {
        let body = follow::stream(log, Part::Combined).map_err(|error| unreadable(&error))?;
        return Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response());
    }
    // A snapshot of a log that is gone is none; see `render`.
    log.read().map_err(|error| unreadable(&error))?;
    let literal = |text: &str| Section::Literal(text.to_owned());
    let (content_type, sections) = match form {
        OutputForm::Split => (
            "application/json; charset=utf-8",
            vec![
                literal(r#"{"output":""#),
                Section::Quoted(Part::Raw),
                literal(r#"","stdout":""#),
                Section::Quoted(Part::Only(Stream::Output)),
                literal(r#"","stderr":""#),
                Section::Quoted(Part::Only(Stream::Error)),
                literal(r#""}"#),
            ],
        ),
        OutputForm::Raw => (TEXT, vec![Section::Plain(Part::Raw)]),
        OutputForm::Combined => (TEXT, vec![Section::Plain(Part::Combined)]),
    };
    render(log, content_type, sections).map_err(|error| unreadable(&error))
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Why a log cannot be read, as the contract answers it.
pub(super) fn unreadable(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::not_found("the log of this command is no longer kept"),
        io::ErrorKind::PermissionDenied => Error::forbidden("the log of this command cannot be read"),
        _ => Error::internal(format!("failed to read the log: {error}")),
    }
}
