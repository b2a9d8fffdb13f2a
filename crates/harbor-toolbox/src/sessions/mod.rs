//! Sessions: processes that outlive the request that started them, and the logs of what they write (contract,
//! toolbox §8).
//!
//! Built so far: the `entrypoint` session.

mod entrypoint;
mod log;

use std::future::{Ready, ready};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use axum::Router;
use axum::routing::{get, post};

use crate::context::Context;
use crate::error::Error;
use entrypoint::Entrypoint;

/// Id of the session that runs the snapshot's entrypoint.
const ENTRYPOINT: &str = "entrypoint";

/// The sandbox's sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    entrypoint: OnceLock<Entrypoint>,
}

impl Sessions {
    /// Starts the snapshot's entrypoint, once in the life of this process. No arguments: there is none.
    pub(crate) fn start_entrypoint(&self, context: &Context, arguments: &[String]) {
        if !arguments.is_empty() {
            self.entrypoint.get_or_init(|| Entrypoint::start(context, arguments));
        }
    }

    /// Ends the entrypoint's process group: SIGTERM, and SIGKILL after five seconds.
    pub(crate) async fn end_entrypoint(&self) {
        if let Some(entrypoint) = self.entrypoint.get() {
            entrypoint.end().await;
        }
    }
}

/// Where the logs of a session are kept.
fn directory(home: &Path, session: &str) -> PathBuf {
    home.join(".daytona/sessions").join(session)
}

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    const SESSION: &str = "/process/session/entrypoint";
    const COMMAND: &str = "/process/session/entrypoint/command/entrypoint_command";
    Router::new()
        .route(SESSION, get(entrypoint::session).delete(refuse("delete entrypoint session")))
        .route(&format!("{SESSION}/logs"), get(entrypoint::logs))
        .route(&format!("{SESSION}/exec"), post(refuse("execute command in entrypoint session")))
        .route(COMMAND, get(entrypoint::command))
        .route(&format!("{COMMAND}/logs"), get(entrypoint::command_logs))
        .route(&format!("{COMMAND}/input"), post(refuse("send input to entrypoint session")))
}

/// The entrypoint session only shows itself.
fn refuse(what: &'static str) -> impl Fn() -> Ready<Error> + Clone {
    move || ready(Error::bad_request(format!("can't {what}")))
}
