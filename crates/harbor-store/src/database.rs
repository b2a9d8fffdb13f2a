//! The connections, their threads, and what a caller sees of them.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harbor_model::ids::SandboxId;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use tokio::sync::{broadcast, oneshot};

use crate::changes::{BACKLOG, Change, Changes};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened or brought to this version's schema.
    #[error("the database {path} cannot be opened: {what}")]
    Open {
        /// Path of the database.
        path: String,
        /// What SQLite said.
        what: String,
    },
    /// There is no space for what was to be written; nothing of it was.
    #[error("the disk of harbor's data directory is full: free some space on it, then try again")]
    Full(#[source] rusqlite::Error),
    /// A statement failed: the file is damaged, or a rule of the schema was broken.
    #[error("the database refused a statement")]
    Database(#[source] rusqlite::Error),
    /// A stored value is not one that this version knows.
    #[error("the database holds an unknown {0}")]
    Unreadable(&'static str),
    /// The name belongs to another row of its organization.
    #[error("the name is taken")]
    NameTaken,
    /// The key that makes another was deleted meanwhile.
    #[error("the key is gone")]
    KeyGone,
    /// No such sandbox.
    #[error("sandbox {0} not found")]
    NoSandbox(SandboxId),
    /// Thousands of statements wait: the disk does not keep up.
    #[error("the database is overloaded")]
    Busy,
    /// The store's threads have ended.
    #[error("the database is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // the index beside the log is a file of its own, with a code of its own
        let index = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
        match error.sqlite_error() {
            Some(refusal) if refusal.code == ErrorCode::DiskFull || refusal.extended_code == index => Self::Full(error),
            _ => Self::Database(error),
        }
    }
}

/// Statements that may wait for one of the store's threads.
const QUEUE: usize = 4096;

const READERS: usize = 2;

const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001.sql")),
    M::up(include_str!("migrations/0002.sql")),
    M::up(include_str!("migrations/0003.sql")),
];

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The database of one installation. Clones share it.
#[derive(Clone)]
pub struct Store {
    writer: SyncSender<Job>,
    readers: SyncSender<Job>,
    changes: broadcast::Sender<Change>,
}

impl Store {
    /// Opens the database at `path`, making it if it is not there, and brings it to this version's schema.
    ///
    /// Blocks for as long as that takes: milliseconds, but for a migration.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |what: String| StoreError::Open { path: path.display().to_string(), what };
        make_private(path).map_err(|error| failed(error.to_string()))?;
        let mut writer = connect(path).map_err(|error| failed(error.to_string()))?;
        Migrations::from_slice(MIGRATIONS).to_latest(&mut writer).map_err(|error| failed(error.to_string()))?;
        let readers = (0..READERS)
            .map(|_| connect(path).and_then(|reader| reader.pragma_update(None, "query_only", true).map(|()| reader)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(error.to_string()))?;
        let (changes, _) = broadcast::channel(BACKLOG);
        let started =
            Self { writer: serve("store-writer", vec![writer])?, readers: serve("store-reader", readers)?, changes };
        Ok(started)
    }

    /// Listens to everything committed from now on.
    pub fn changes(&self) -> Changes {
        self.changes.subscribe()
    }

    /// Runs `query` on a connection that cannot write.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        ask(&self.readers, move |connection| query(connection)).await
    }

    /// Runs `work` in one write transaction, commits it, and then announces the changes it noted.
    ///
    /// Not cancelled with the caller: what was queued is done.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>, &mut Vec<Change>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let announce = self.changes.clone();
        ask(&self.writer, move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut noted = Vec::new();
            let outcome = work(&transaction, &mut noted)?;
            transaction.commit()?;
            for change in noted {
                let _ = announce.send(change); // nobody listens: nothing to tell
            }
            Ok(outcome)
        })
        .await
    }
}

/// Only the owner reads what sandboxes' environments and tokens are in; SQLite gives the files beside it the same mode.
/// One that is there is not opened: closing it would end the locks of other connections.
fn make_private(path: &Path) -> io::Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        made => made.map(drop),
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // FULL: a committed row survives power loss (82 µs against 22 µs for NORMAL where that was measured)
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// One thread per connection, all fed from one bounded queue; they end when the last [`Store`] is dropped.
fn serve(name: &str, connections: Vec<Connection>) -> Result<SyncSender<Job>, StoreError> {
    let (jobs, queue) = sync_channel::<Job>(QUEUE);
    let queue = Arc::new(Mutex::new(queue));
    for mut connection in connections {
        let queue = Arc::clone(&queue);
        let work = move || {
            while let Some(job) = next(&queue) {
                job(&mut connection);
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|_| StoreError::Closed)?;
    }
    Ok(jobs)
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

async fn ask<T: Send + 'static>(
    jobs: &SyncSender<Job>,
    work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (answer, outcome) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        let _ = answer.send(work(connection)); // the caller may have gone
    });
    jobs.try_send(job).map_err(|refused| match refused {
        TrySendError::Full(_) => StoreError::Busy,
        TrySendError::Disconnected(_) => StoreError::Closed,
    })?;
    outcome.await.map_err(|_| StoreError::Closed)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_told_apart_and_passes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("harbor.db")).unwrap();
        let grow = || {
            store.write(|transaction, _| {
                transaction.execute_batch(
                    "CREATE TABLE IF NOT EXISTS big (bytes); INSERT INTO big VALUES (zeroblob(1 << 20))",
                )?;
                Ok(())
            })
        };
        // SQLite's own bound of its file answers as a disk without space does
        let pages = |most: u32| {
            store.write(move |transaction, _| {
                transaction.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))?;
                Ok(())
            })
        };
        pages(1).await.unwrap();
        let refused = grow().await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        pages(1 << 20).await.unwrap();
        grow().await.unwrap();
        let other =
            store.write(|transaction, _| Ok(transaction.execute_batch("INSERT INTO nowhere VALUES (1)")?)).await;
        assert!(matches!(other, Err(StoreError::Database(_))), "{other:?}");
    }
}
