//! The store's threads: one per connection, fed from bounded queues.
//!
//! Guarantees: a job that panics is rolled back and answered as an error; a thread whose connection is not sound after
//! a job ends, and whoever waits on [`Ended`] hears at once of every thread that ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use crate::StoreError;

/// Jobs that may wait for one of the threads.
const QUEUE: usize = 4096;

/// Answers whether the connection can be used further.
type Job = Box<dyn FnOnce(&mut Connection) -> bool + Send>;

/// Where jobs for some connections are put; their threads end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Jobs(SyncSender<Job>);

/// Becomes true when a thread has ended.
pub(crate) type Ended = watch::Sender<bool>;

struct TellsEnd(Ended);

impl Drop for TellsEnd {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Starts one thread for each of `connections`, all fed from one queue.
pub(crate) fn serve(name: &str, connections: Vec<Connection>, ended: &Ended) -> Result<Jobs, StoreError> {
    let (jobs, queue) = sync_channel::<Job>(QUEUE);
    let queue = Arc::new(Mutex::new(queue));
    for mut connection in connections {
        let (queue, tells) = (Arc::clone(&queue), TellsEnd(ended.clone()));
        let work = move || {
            let _tells = tells;
            while let Some(job) = next(&queue) {
                if !job(&mut connection) {
                    tracing::error!("a connection to the database was left in a transaction; its thread ends");
                    return;
                }
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|_| StoreError::Closed)?;
    }
    Ok(Jobs(jobs))
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl Jobs {
    /// Does `work` on one of the threads and answers what came of it.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // a transaction under way is rolled back when the panic drops it
            let done = catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or(Err(StoreError::Panicked));
            let sound = connection.is_autocommit();
            let _ = answer.send(done); // the caller may have gone
            sound
        });
        self.0.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }
}
