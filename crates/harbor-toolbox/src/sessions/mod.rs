//! Sessions: processes that outlive the request that started them, and the logs of what they write (contract,
//! toolbox §8).

mod command;
mod demux;
mod entrypoint;
mod follow;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod log;
mod logs;
mod manage;
mod render;
mod run;
mod session;
mod shelf;
mod shell;
mod tail;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::future::{Ready, ready};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::Router;
use axum::routing::{get, post};

use crate::context::Context;
use crate::error::Error;
use entrypoint::Entrypoint;
use session::Session;
use shelf::Shelf;

pub(crate) use tail::tail;

/// Id of the session that runs the snapshot's entrypoint.
const ENTRYPOINT: &str = "entrypoint";

/// Most sessions at a time; each is a shell.
const SESSIONS: usize = 100;

/// The sandbox's sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    entrypoint: OnceLock<Entrypoint>,
    created: Mutex<BTreeMap<String, Arc<Session>>>,
    shelf: Shelf,
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

    /// The session that a client created as `id`.
    fn find(&self, id: &str) -> Result<Arc<Session>, Error> {
        let session = self.created().get(id).filter(|session| !session.is_deleted()).cloned();
        session.ok_or_else(|| Error::not_found("session not found").with_code("PROCESS_NOT_FOUND"))
    }

    fn created(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the place where the logs of a session are kept: below the home directory, or where that cannot be written
/// to (a read-only root), in a directory for temporary files.
fn make_directory(context: &Context, session: &str) -> io::Result<PathBuf> {
    let private = format!(".daytona-{}", rustix::process::geteuid().as_raw());
    let temporary = context.variable("TMPDIR").map_or_else(|| "/tmp".into(), PathBuf::from);
    let places = [context.home().join(".daytona"), temporary.join(&private), PathBuf::from("/dev/shm").join(&private)];
    let mut first = None;
    for place in places {
        let directory = place.join("sessions").join(session);
        match DirBuilder::new().recursive(true).mode(0o755).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) => first.get_or_insert(error),
        };
    }
    Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
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
}

/// The routes of the session `entrypoint`, which only shows itself.
fn entrypoint_routes() -> Router<Context> {
    const SESSION: &str = "/process/session/entrypoint";
    const COMMAND: &str = "/process/session/entrypoint/command/entrypoint_command";
    Router::new()
        .route(SESSION, get(entrypoint::session).delete(refuse("delete entrypoint session")))
        .route(&format!("{SESSION}/logs"), get(logs::of_entrypoint))
        .route(&format!("{SESSION}/exec"), post(refuse("execute command in entrypoint session")))
        .route(COMMAND, get(entrypoint::command))
        .route(&format!("{COMMAND}/logs"), get(logs::of_entrypoint_command))
        .route(&format!("{COMMAND}/input"), post(refuse("send input to entrypoint session")))
}

fn refuse(what: &'static str) -> impl Fn() -> Ready<Error> + Clone {
    move || ready(Error::bad_request(format!("can't {what}")))
}
