//! Contexts: each a queue of executions and a task that works it off on a worker (contract, toolbox §9.1).
//!
//! Guarantees: executions of a context run one after the other in the order they came; a worker that ends frees the
//! queue at once, and the next execution starts a fresh one; deleting a context ends its worker and whoever waits; the
//! number of contexts is bounded.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::output::Text;
use super::worker::{Ending, Worker};
use crate::context::Context;
use crate::http::error::{Error, timestamp};

/// Id of the context that is used when a client names none.
pub(super) const DEFAULT: &str = "default";

/// Most contexts that clients have made at a time; each is a Python process.
const CONTEXTS: usize = 50;

/// Most executions that wait on one context.
const QUEUE: usize = 128;

/// Most texts between a worker and a client that has not read them.
const TEXTS: usize = 16;

/// How an execution ended, or why there was none: the worker could not be started.
pub(super) type End = Result<Ending, String>;

/// One execution.
pub(super) struct Job {
    request: Vec<u8>,
    limit: Option<Duration>,
    texts: mpsc::Sender<Text>,
    end: oneshot::Sender<End>,
}

/// The client's side of an execution: everything written, then how it ended.
///
/// The end travels by itself, so that a client that does not read holds up nobody.
pub(super) struct Progress {
    pub(super) texts: mpsc::Receiver<Text>,
    pub(super) end: oneshot::Receiver<End>,
}

impl Job {
    /// An execution of `code` with extra variables. `limit`: none is for ever.
    ///
    /// Names and values must be free of NUL, and names not empty and free of `=`.
    pub(super) fn new(
        code: &str,
        variables: impl Iterator<Item = (String, String)>,
        limit: Option<Duration>,
    ) -> (Self, Progress) {
        let variables: Vec<_> = variables.map(|(name, value)| format!("{name}={value}")).collect();
        let request = format!("{}\0\0{code}", variables.join("\0")).into_bytes();
        let ((texts, written), (end, ended)) = (mpsc::channel(TEXTS), oneshot::channel());
        (Self { request, limit, texts, end }, Progress { texts: written, end: ended })
    }
}

/// A context as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Description {
    id: String,
    cwd: String,
    created_at: String,
    active: bool,
    language: &'static str,
}

/// A context. Its task ends when it is shut down.
pub(super) struct Interpreter {
    id: String,
    directory: PathBuf,
    created_at: String,
    active: Arc<AtomicBool>,
    jobs: mpsc::Sender<Job>,
    stop: CancellationToken,
}

impl Interpreter {
    /// Starts a worker in `directory`, and the task that feeds it and gives up `place` when it ends.
    async fn start(
        context: &Context,
        id: String,
        directory: &Path,
        place: Option<OwnedSemaphorePermit>,
    ) -> std::io::Result<Self> {
        let worker = Worker::start(context, directory).await?;
        let active = Arc::new(AtomicBool::new(true));
        let (jobs, queue) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let attendant = Attendant {
            context: context.clone(),
            directory: directory.to_owned(),
            active: active.clone(),
            worker: Some(worker),
            _place: place,
        };
        context.processes().chores().spawn(attendant.attend(queue, stop.clone()));
        Ok(Self { id, directory: directory.to_owned(), created_at: timestamp(), active, jobs, stop })
    }

    /// Puts an execution at the end of the queue; false when the queue is full.
    pub(super) fn enqueue(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }

    /// Ends the worker and everything that waits for it; returns once that is done.
    async fn shut_down(&self) {
        self.stop.cancel();
        self.jobs.closed().await;
    }

    pub(super) fn describe(&self) -> Description {
        Description {
            id: self.id.clone(),
            cwd: self.directory.to_string_lossy().into_owned(),
            created_at: self.created_at.clone(),
            active: self.active.load(Ordering::Relaxed),
            language: "python",
        }
    }
}

/// The task of a context.
struct Attendant {
    context: Context,
    directory: PathBuf,
    active: Arc<AtomicBool>,
    worker: Option<Worker>,
    /// Its place among the bounded ones; the default context needs none.
    _place: Option<OwnedSemaphorePermit>,
}

impl Attendant {
    async fn attend(mut self, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
        let work = async {
            loop {
                let job = tokio::select! {
                    biased;
                    job = queue.recv() => job,
                    () = Self::worker_ends(&mut self.worker) => {
                        self.bury().await;
                        continue;
                    }
                };
                let Some(job) = job else { return };
                let Job { request, limit, texts, end } = job;
                let ended = self.run(&request, limit, &texts).await;
                // A client that went away is not told.
                let _ = end.send(ended);
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
        if let Some(worker) = &mut self.worker {
            worker.end().await;
        }
        // The queue is dropped with this: whoever waits in it, and whoever waits for this end, notices now.
    }

    async fn run(&mut self, request: &[u8], limit: Option<Duration>, texts: &mpsc::Sender<Text>) -> End {
        let worker = match &mut self.worker {
            Some(worker) => worker,
            gone => {
                let fresh = Worker::start(&self.context, &self.directory).await;
                gone.insert(fresh.map_err(|error| error.to_string())?)
            }
        };
        self.active.store(true, Ordering::Relaxed);
        let ending = worker.execute(request, limit, texts).await;
        if matches!(ending, Ending::Died | Ending::Killed) {
            self.bury().await;
        }
        Ok(ending)
    }

    async fn worker_ends(worker: &mut Option<Worker>) {
        match worker {
            Some(worker) => worker.idle().await,
            None => std::future::pending().await,
        }
    }

    /// Forgets a worker that has ended or let go of its channel.
    async fn bury(&mut self) {
        self.active.store(false, Ordering::Relaxed);
        if let Some(mut worker) = self.worker.take() {
            worker.kill().await;
        }
    }
}

/// All contexts of the sandbox. Cheap to clone.
#[derive(Clone)]
pub(super) struct Interpreters {
    contexts: Arc<Mutex<Vec<Arc<Interpreter>>>>,
    /// Room for further contexts.
    places: Arc<Semaphore>,
    /// Held while the default context is started, so that there is one.
    starting: Arc<tokio::sync::Mutex<()>>,
}

impl Default for Interpreters {
    fn default() -> Self {
        Self { contexts: Arc::default(), places: Arc::new(Semaphore::new(CONTEXTS)), starting: Arc::default() }
    }
}

impl Interpreters {
    /// A new context in `directory`; 429 when there are too many.
    pub(super) async fn create(&self, context: &Context, directory: &Path) -> Result<Arc<Interpreter>, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place =
            place.map_err(|_| Error::too_many(format!("there are {CONTEXTS} contexts already; delete one first")))?;
        let made = self.add(context, Uuid::new_v4().to_string(), directory, Some(place)).await;
        made.map_err(|error| Error::internal(format!("cannot start an interpreter: {error}")))
    }

    /// The context that is used when a client names none; it is started when it is first needed.
    pub(super) async fn default_context(&self, context: &Context) -> std::io::Result<Arc<Interpreter>> {
        let _starting = self.starting.lock().await;
        match self.find(DEFAULT) {
            Some(found) => Ok(found),
            None => self.add(context, DEFAULT.to_owned(), &context.work_dir(), None).await,
        }
    }

    async fn add(
        &self,
        context: &Context,
        id: String,
        directory: &Path,
        place: Option<OwnedSemaphorePermit>,
    ) -> std::io::Result<Arc<Interpreter>> {
        let made = Arc::new(Interpreter::start(context, id, directory, place).await?);
        self.list_mut().push(made.clone());
        Ok(made)
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Interpreter>> {
        self.list_mut().iter().find(|known| known.id == id).cloned()
    }

    /// All but the default context, oldest first.
    pub(super) fn describe(&self) -> Vec<Description> {
        self.list_mut().iter().filter(|known| known.id != DEFAULT).map(|known| known.describe()).collect()
    }

    /// Ends a context and forgets it; false when there is none with this id.
    pub(super) async fn delete(&self, id: &str) -> bool {
        let found = {
            let mut contexts = self.list_mut();
            contexts.iter().position(|known| known.id == id).map(|at| contexts.remove(at))
        };
        match found {
            Some(found) => {
                found.shut_down().await;
                true
            }
            None => false,
        }
    }

    fn list_mut(&self) -> MutexGuard<'_, Vec<Arc<Interpreter>>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
