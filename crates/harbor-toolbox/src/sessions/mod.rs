//! Sessions: processes that outlive the request that started them, and the logs of what they write (contract,
//! toolbox §8).

mod command;
mod demux;
mod directory;
mod entrypoint;
mod follow;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod holders;
mod log;
mod logs;
mod manage;
mod registry;
mod render;
mod run;
mod session;
mod shelf;
mod shell;
mod signs;
mod tail;

use std::future::{Ready, ready};

use axum::Router;
use axum::routing::{get, post};

use crate::http::error::Error;
pub(crate) use registry::Sessions;
pub(crate) use tail::tail;

/// The routes of this module.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(sessions: Sessions) -> Router<S> {
    const SESSION: &str = "/process/session/{sessionId}";
    const COMMAND: &str = "/process/session/{sessionId}/command/{commandId}";
    Router::new()
        .route("/process/session", get(manage::list).post(manage::create))
        .route(SESSION, get(manage::describe).delete(manage::delete))
        .route(&format!("{SESSION}/exec"), post(run::execute))
        .route(COMMAND, get(manage::command))
        .route(&format!("{COMMAND}/logs"), get(logs::of_command))
        .route(&format!("{COMMAND}/input"), post(run::input))
        .merge(entrypoint_routes())
        .with_state(sessions)
}

/// The routes of the session `entrypoint`, which only shows itself.
fn entrypoint_routes() -> Router<Sessions> {
    const SESSION: &str = "/process/session/entrypoint";
    const COMMAND: &str = "/process/session/entrypoint/command/entrypoint_command";
    Router::new()
        .route(SESSION, get(manage::entrypoint).delete(refuse("delete entrypoint session")))
        .route(&format!("{SESSION}/logs"), get(logs::of_entrypoint))
        .route(&format!("{SESSION}/exec"), post(refuse("execute command in entrypoint session")))
        .route(COMMAND, get(manage::entrypoint_command))
        .route(&format!("{COMMAND}/logs"), get(logs::of_entrypoint_command))
        .route(&format!("{COMMAND}/input"), post(refuse("send input to entrypoint session")))
}

fn refuse(what: &'static str) -> impl Fn() -> Ready<Error> + Clone {
    move || ready(Error::bad_request(format!("can't {what}")))
}
