//! Creating, showing and deleting sessions (contract, toolbox §8.2 to §8.4).

use std::collections::btree_map::Entry;
use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::command::Description;
use super::session::Session;
use super::{ENTRYPOINT, SESSIONS, make_directory};
use crate::client::starts_in_home;
use crate::context::Context;
use crate::error::Error;
use crate::json::{Body, Json};
use crate::params::Params;

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
    State(context): State<Context>,
    headers: HeaderMap,
    Body(Create { session_id: id }): Body<Create>,
) -> Result<StatusCode, Error> {
    check(&id)?;
    let sessions = context.sessions();
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
    let directory = make_directory(&context, &id).map_err(failed)?;
    let shelf = sessions.shelf.clone();
    place.insert(Session::start(&context, id, directory, &begin, shelf).map_err(failed)?);
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

pub(super) async fn list(State(context): State<Context>) -> impl IntoResponse {
    let sessions: Vec<_> = context.sessions().created().values().cloned().collect();
    let present = sessions.iter().filter(|session| !session.is_deleted());
    Json(present.map(|session| show(session)).collect::<Vec<_>>())
}

pub(super) async fn describe(State(context): State<Context>, Params(id): Params<String>) -> Result<Json<Shown>, Error> {
    Ok(Json(show(&*context.sessions().find(&id)?)))
}

fn show(session: &Session) -> Shown {
    Shown { session_id: session.id.clone(), commands: session.describe() }
}

pub(super) async fn command(
    State(context): State<Context>,
    Params((session, command)): Params<(String, String)>,
) -> Result<Json<Description>, Error> {
    Ok(Json(context.find_command(&session, &command)?.describe()))
}

impl Context {
    /// A command of a session that a client created.
    pub(super) fn find_command(&self, session: &str, command: &str) -> Result<Arc<super::command::Command>, Error> {
        let command = self.sessions().find(session)?.command(command);
        command.ok_or_else(|| Error::not_found("command not found").with_code("PROCESS_NOT_FOUND"))
    }
}

pub(super) async fn delete(State(context): State<Context>, Params(id): Params<String>) -> Result<StatusCode, Error> {
    let session = context.sessions().find(&id)?;
    // It goes on when the client does not wait.
    let deletion = context.processes().chores().spawn({
        let context = context.clone();
        async move {
            if session.delete().await {
                context.sessions().created().remove(&session.id);
            }
        }
    });
    let _ = deletion.await;
    Ok(StatusCode::NO_CONTENT)
}
