//! Creating, showing, resizing and deleting terminals (contract, toolbox §10.1 to §10.3).

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::session::{Description, Specification, unavailable};
use super::terminal::Size;
use super::terminals::Terminals;
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::{Body, Json};
use crate::http::params::Params;

/// Most columns and rows.
const LARGEST: u16 = 1000;

/// The size of a terminal whose creator names none.
const USUAL: Size = Size { cols: 80, rows: 24 };

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Create {
    pub(super) id: String,
    pub(super) cwd: String,
    pub(super) envs: BTreeMap<String, Option<String>>,
    pub(super) cols: Option<u16>,
    pub(super) rows: Option<u16>,
    pub(super) lazy_start: bool,
}

impl Create {
    /// Checks what is asked for and completes it.
    pub(super) fn specify(self, context: &Context) -> Result<Specification, Error> {
        let Self { id, cwd, envs, cols, rows, lazy_start } = self;
        if id.is_empty() {
            return Err(Error::bad_request("session ID is required"));
        }
        let size = sized(cols.unwrap_or(USUAL.cols), rows.unwrap_or(USUAL.rows))?;
        let envs = envs.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect();
        check(&envs)?;
        Ok(Specification {
            id,
            cwd: if cwd.is_empty() { context.work_dir() } else { context.resolve(cwd) },
            envs,
            size,
            lazy_start,
        })
    }
}

fn sized(cols: u16, rows: u16) -> Result<Size, Error> {
    if cols > LARGEST || rows > LARGEST {
        return Err(Error::bad_request(format!("a PTY has at most {LARGEST} columns and rows")));
    }
    Ok(Size { cols, rows })
}

/// An environment can hold any name but these.
fn check(envs: &BTreeMap<String, String>) -> Result<(), Error> {
    let impossible = |name: &str| name.is_empty() || name.contains(['=', '\0']);
    match envs.iter().find(|(name, value)| impossible(name) || value.contains('\0')) {
        None => Ok(()),
        Some((name, _)) => Err(Error::bad_request(format!("invalid environment variable: '{name}'"))),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    session_id: String,
}

pub(super) async fn create(State(terminals): State<Terminals>, Body(body): Body<Create>) -> Result<Response, Error> {
    let session = terminals.create(body.specify(&terminals.context)?)?;
    Ok((StatusCode::CREATED, Json(Created { session_id: session.id().to_owned() })).into_response())
}

#[derive(Serialize)]
pub(super) struct List {
    sessions: Vec<Description>,
}

pub(super) async fn list(State(terminals): State<Terminals>) -> Json<List> {
    Json(List { sessions: terminals.list().iter().map(|session| session.describe()).collect() })
}

pub(super) async fn describe(
    State(terminals): State<Terminals>,
    Params(id): Params<String>,
) -> Result<Json<Description>, Error> {
    Ok(Json(terminals.find(&id).ok_or_else(unknown)?.describe()))
}

fn unknown() -> Error {
    Error::not_found("PTY session not found").with_code("PROCESS_NOT_FOUND")
}

#[derive(Deserialize)]
pub(super) struct Resize {
    cols: u16,
    rows: u16,
}

pub(super) async fn resize(
    State(terminals): State<Terminals>,
    Params(id): Params<String>,
    Body(Resize { cols, rows }): Body<Resize>,
) -> Result<Json<Description>, Error> {
    let size = sized(cols, rows)?;
    let session = terminals.find(&id).ok_or_else(|| unavailable(&id))?;
    session.resize(size)?;
    Ok(Json(session.describe()))
}

#[derive(Serialize)]
pub(super) struct Deleted {
    message: &'static str,
}

pub(super) async fn delete(
    State(terminals): State<Terminals>,
    Params(id): Params<String>,
) -> Result<Json<Deleted>, Error> {
    let session = terminals.find(&id).ok_or_else(unknown)?;
    // It goes on when the client does not wait.
    let chores = terminals.context.processes().chores().clone();
    let deletion = chores.spawn(async move {
        let killed = session.kill().await;
        terminals.remove(&session);
        killed
    });
    match deletion.await {
        Ok(true) => Ok(Json(Deleted { message: "PTY session deleted" })),
        _ => Err(unknown()),
    }
}
