//! Creating, showing and deleting sessions (contract, toolbox §8.2 to §8.4).

use std::collections::btree_map::Entry;

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::command::Description;
use super::directory::make_directory;
use super::entrypoint::SESSION as ENTRYPOINT;
use super::registry::Sessions;
use super::session::Session;
use crate::http::client::starts_in_home;
use crate::http::error::Error;
use crate::http::json::{Body, Json};
use crate::http::params::Params;

/// Most sessions at a time; each is a shell.
const SESSIONS: usize = 100;

/// Longest id, in bytes: it names a directory.
const LONGEST_ID: usize = 255;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Create {
    session_id: String,
}

/// A session as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    pub(super) session_id: String,
    pub(super) commands: Vec<Description>,
}

pub(super) async fn create(
    State(sessions): State<Sessions>,
    headers: HeaderMap,
    Body(Create { session_id: id }): Body<Create>,
) -> Result<StatusCode, Error> {
    check(&id)?;
    let context = &sessions.context;
    let mut created = sessions.created();
    let number = created.len();
    let Entry::Vacant(place) = created.entry(id.clone()) else {
        return Err(Error::conflict("session already exists"));
    };
    if number >= SESSIONS {
        return Err(Error::too_many(format!("there are {SESSIONS} sessions already; delete one first")));
    }
    let failed = |error: std::io::Error| Error::internal(format!("failed to create session: {error}"));
    let begin = if starts_in_home(&headers) { context.home() } else { context.work_dir() };
    let directory = make_directory(context, &id).map_err(failed)?;
    let shelf = sessions.shelf.clone();
    place.insert(Session::start(context, id, directory, &begin, shelf).map_err(failed)?);
    Ok(StatusCode::CREATED)
}

fn check(id: &str) -> Result<(), Error> {
    match id {
        "" => Err(Error::invalid_body("sessionId is required")),
        ENTRYPOINT => Err(Error::bad_request("provided session ID is reserved and cannot be created/overridden")),
        "." | ".." => Err(Error::bad_request("a session ID must not name a directory")),
        id if id.contains(['/', '\0']) || id.contains("..") => {
            Err(Error::bad_request("a session ID must not contain a slash, two dots or a NUL character"))
        }
        id if id.len() > LONGEST_ID => Err(Error::bad_request(format!("a session ID has at most {LONGEST_ID} bytes"))),
        _ => Ok(()),
    }
}

pub(super) async fn list(State(sessions): State<Sessions>) -> impl IntoResponse {
    let created: Vec<_> = sessions.created().values().cloned().collect();
    let present = created.iter().filter(|session| !session.is_deleted());
    Json(present.map(|session| show(session)).collect::<Vec<_>>())
}

pub(super) async fn describe(
    State(sessions): State<Sessions>,
    Params(id): Params<String>,
) -> Result<Json<Shown>, Error> {
    Ok(Json(show(&*sessions.find(&id)?)))
}

fn show(session: &Session) -> Shown {
    Shown { session_id: session.id.clone(), commands: session.describe() }
}

pub(super) async fn command(
    State(sessions): State<Sessions>,
    Params((session, command)): Params<(String, String)>,
) -> Result<Json<Description>, Error> {
    Ok(Json(sessions.find_command(&session, &command)?.describe()))
}

pub(super) async fn entrypoint(State(sessions): State<Sessions>) -> Result<Json<Shown>, Error> {
    let commands = vec![sessions.entrypoint()?.describe()];
    Ok(Json(Shown { session_id: ENTRYPOINT.to_owned(), commands }))
}

pub(super) async fn entrypoint_command(State(sessions): State<Sessions>) -> Result<Json<Description>, Error> {
    Ok(Json(sessions.entrypoint()?.describe()))
}

pub(super) async fn delete(State(sessions): State<Sessions>, Params(id): Params<String>) -> Result<StatusCode, Error> {
    let session = sessions.find(&id)?;
    // It goes on when the client does not wait.
    let chores = sessions.context.processes().chores().clone();
    let deletion = chores.spawn(async move {
        if session.delete().await {
            sessions.created().remove(&session.id);
        }
    });
    let _ = deletion.await;
    Ok(StatusCode::NO_CONTENT)
}
