//! The servers of the sandbox, by language and project.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::dialogue::Failure;
use super::language::Language;
use super::project::{tidy, uri_of};
use super::server::Server;
use crate::context::Context;
use crate::http::error::Error;

/// Most servers at a time; each is a process that may take hundreds of megabytes.
const SERVERS: usize = 8;

/// Most files that one server has open.
const OPEN: usize = 1024;

/// Longest wait for other documents to be handed over.
const TURN: Duration = Duration::from_secs(45);

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
    /// Held while a document is read and handed over, so that memory holds one of them and each is told of in order.
    turn: Semaphore,
}

impl Running {
    fn new(server: Server) -> Self {
        Self { server, open: Mutex::default(), turn: Semaphore::new(1) }
    }

    /// Waits until no other document is being handed over.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Failure> {
        timeout(TURN, self.turn.acquire()).await.map_err(|_| Failure::Late)?.map_err(|_| Failure::Ended)
    }

    /// Notes a file as open; false when it was so already.
    pub(super) fn note_open(&self, path: &Path) -> Result<bool, Error> {
        let mut open = self.open_files();
        if open.contains(path) {
            return Ok(false);
        }
        if open.len() >= OPEN {
            return Err(Error::too_many(format!("{OPEN} files are open; close one first")));
        }
        open.insert(path.to_owned());
        Ok(true)
    }

    /// Notes a file as closed; false when it was not open.
    pub(super) fn note_closed(&self, path: &Path) -> bool {
        self.open_files().remove(path)
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
        let slot = self.place(key)?;
        let start = async || {
            let server = Server::start(context, key.language, &key.project, &uri_of(&key.project)).await?;
            Ok(Arc::new(Running::new(server)))
        };
        slot.get_or_try_init(start).await.map(drop)
    }

    /// The place of a server, made where there is none. Those of ended servers and failed starts are given up.
    fn place(&self, key: &Key) -> Result<Slot, Error> {
        let mut slots = self.slots();
        slots.retain(|_, slot| match slot.get() {
            Some(running) => running.server.is_running(),
            None => Arc::strong_count(slot) > 1, // somebody is starting it
        });
        if !slots.contains_key(key) && slots.len() >= SERVERS {
            return Err(Error::too_many(format!("{SERVERS} language servers are running; stop one first")));
        }
        Ok(slots.entry(key.clone()).or_default().clone())
    }

    /// A running server.
    pub(super) fn find(&self, key: &Key) -> Result<Arc<Running>, Error> {
        let found = self.slots().get(key).and_then(|slot| slot.get().cloned());
        let why = match found {
            Some(running) if running.server.is_running() => return Ok(running),
            Some(ended) => ended.server.lacked_memory().map(|why| format!("{why}; ")).unwrap_or_default(),
            None => String::new(),
        };
        let told = format!("server not initialized: {why}start it first");
        Err(Error::bad_request(told).with_code("LSP_SERVER_NOT_INITIALIZED"))
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
