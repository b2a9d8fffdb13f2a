//! The sessions of the sandbox, by id, and the entrypoint's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::command::Command;
use super::entrypoint::Entrypoint;
use super::session::Session;
use super::shelf::Shelf;
use crate::context::Context;
use crate::http::error::Error;

/// The sandbox's sessions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(super) context: Context,
    pub(super) shelf: Shelf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    entrypoint: OnceLock<Entrypoint>,
    created: Mutex<BTreeMap<String, Arc<Session>>>,
}

impl Sessions {
    /// No sessions yet.
    pub(crate) fn new(context: Context) -> Self {
        Self { context, shelf: Shelf::default(), shared: Arc::default() }
    }

    /// Starts the snapshot's entrypoint, once in the life of this process. No arguments: there is none.
    pub(crate) fn start_entrypoint(&self, arguments: &[String]) {
        if !arguments.is_empty() {
            self.shared.entrypoint.get_or_init(|| Entrypoint::start(&self.context, &self.shelf, arguments));
        }
    }

    /// The snapshot's entrypoint; 404 when it has none.
    pub(super) fn entrypoint(&self) -> Result<&Entrypoint, Error> {
        let entrypoint = self.shared.entrypoint.get();
        entrypoint.ok_or_else(|| Error::not_found("session not found").with_code("PROCESS_NOT_FOUND"))
    }

    /// The session that a client created as `id`.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Session>, Error> {
        let session = self.created().get(id).filter(|session| !session.is_deleted()).cloned();
        session.ok_or_else(|| Error::not_found("session not found").with_code("PROCESS_NOT_FOUND"))
    }

    /// A command of a session that a client created.
    pub(super) fn find_command(&self, session: &str, command: &str) -> Result<Arc<Command>, Error> {
        let command = self.find(session)?.command(command);
        command.ok_or_else(|| Error::not_found("command not found").with_code("PROCESS_NOT_FOUND"))
    }

    /// All that clients have created, by id.
    pub(super) fn created(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.shared.created.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
