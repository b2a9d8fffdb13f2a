//! Sessions: processes that outlive the request that started them, and the logs of what they write (contract,
//! toolbox §8).
//!
//! Built so far: the `entrypoint` session.

mod entrypoint;
mod log;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use axum::Router;
use axum::routing::get;

use crate::context::Context;
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
    Router::new()
        .route("/process/session/entrypoint", get(entrypoint::session))
        .route("/process/session/entrypoint/logs", get(entrypoint::logs))
}
