//! The servers of the sandbox, by language and project.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::language::Language;
use super::project::{tidy, uri_of};
use super::server::Server;
use crate::context::Context;
use crate::error::Error;

/// Which server: a language, and the project's directory from the root.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) language: Language,
    pub(super) project: PathBuf,
}

impl Key {
    /// The server that a request means. Both texts are required.
    pub(super) fn new(context: &Context, language: &str, project: &str) -> Result<Self, Error> {
        for (name, value) in [("languageId", language), ("pathToProject", project)] {
            if value.is_empty() {
                return Err(Error::bad_request(format!("{name} is required")));
            }
        }
        let project = project.strip_prefix("file://").unwrap_or(project);
        Ok(Self { language: Language::named(language)?, project: tidy(&context.resolve(project)) })
    }
}

/// A server and the files it has been told of.
pub(super) struct Running {
    pub(super) server: Server,
    open: Mutex<BTreeSet<PathBuf>>,
}

impl Running {
    /// Notes a file as open; false when it was so already.
    pub(super) fn note_open(&self, path: PathBuf) -> bool {
        self.open_files().insert(path)
    }

    /// Notes a file as closed.
    pub(super) fn note_closed(&self, path: &PathBuf) {
        self.open_files().remove(path);
    }

    /// The files that are open.
    pub(super) fn open(&self) -> Vec<PathBuf> {
        self.open_files().iter().cloned().collect()
    }

    fn open_files(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for a server: empty while it starts.
type Slot = Arc<OnceCell<Arc<Running>>>;

/// All servers. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Servers {
    slots: Arc<Mutex<HashMap<Key, Slot>>>,
}

impl Servers {
    /// Starts a server unless it runs. Several that ask at once share one start.
    pub(super) async fn start(&self, context: &Context, key: &Key) -> Result<(), Error> {
        let slot = {
            let mut slots = self.slots();
            let slot = slots.entry(key.clone()).or_default();
            if slot.get().is_some_and(|running| !running.server.is_running()) {
                *slot = Slot::default();
            }
            slot.clone()
        };
        let start = async || {
            let server = Server::start(context, key.language, &key.project, &uri_of(&key.project)).await?;
            Ok(Arc::new(Running { server, open: Mutex::default() }))
        };
        slot.get_or_try_init(start).await.map(drop)
    }

    /// A running server.
    pub(super) fn find(&self, key: &Key) -> Result<Arc<Running>, Error> {
        let found = self.slots().get(key).and_then(|slot| slot.get().cloned());
        found.filter(|running| running.server.is_running()).ok_or_else(|| {
            Error::bad_request("server not initialized: start it first").with_code("LSP_SERVER_NOT_INITIALIZED")
        })
    }

    /// Ends a server; false when there is none.
    pub(super) async fn stop(&self, key: &Key) -> bool {
        let slot = self.slots().remove(key);
        match slot.as_ref().and_then(|slot| slot.get()) {
            Some(running) => {
                running.server.end().await;
                true
            }
            None => false,
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
