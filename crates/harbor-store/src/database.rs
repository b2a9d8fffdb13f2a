//! The connections, and what a caller sees of them.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::capacity::{Capacity, Free, NoRoom};
use harbor_model::ids::{SandboxId, VolumeId};
use harbor_model::sandboxes::{Sandbox, Tally};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{broadcast, watch};

use crate::changes::{BACKLOG, Change, Changes};
use crate::live::{Live, Noted};
use crate::threads::Jobs;
use crate::{EncryptionKey, migrations, sandbox_row, threads};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What a row was to share with others is gone.
    #[error("what it shares with others is gone")]
    Gone,
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
    /// The key is not the one that the database's secrets were encrypted with.
    #[error(
        "the secrets in the database {path} were encrypted with another key: put back what keys/encryption_key and \
         keys/encryption_salt, or daytona.encryption_key and daytona.encryption_salt, were"
    )]
    WrongKey {
        /// Path of the database.
        path: String,
    },
    /// A value could not be encrypted, or does not open: it was changed from outside, or moved from another row.
    #[error("{0} in the database cannot be encrypted or decrypted")]
    Encryption(&'static str),
    /// The database was opened without the key to its secrets.
    #[error("the database was opened without the key to its secrets")]
    NoKey,
    /// The name belongs to another row of its organization.
    #[error("the name is taken")]
    NameTaken,
    /// The key that makes another was deleted meanwhile.
    #[error("the key is gone")]
    KeyGone,
    /// The row was written by somebody else since it was read; nothing was written.
    #[error("sandbox {0} was changed meanwhile")]
    Stale(SandboxId),
    /// The sandbox would take more than there is; nothing was written.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// No such sandbox.
    #[error("sandbox {0} not found")]
    NoSandbox(SandboxId),
    /// No such volume, or one that is to be deleted.
    #[error("volume {0} is not in a ready state")]
    NoVolume(VolumeId),
    /// The database was opened to be read only.
    #[error("the database was opened to be read only")]
    ReadOnly,
    /// What was to be done ran into a bug; nothing of it was written.
    #[error("a bug in harbor ended what was being done in the database; nothing of it was written")]
    Panicked,
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

const READERS: usize = 2;

/// The database of one installation. Clones share it.
#[derive(Clone)]
pub struct Store {
    /// `None`: opened to be read only.
    writer: Option<Jobs>,
    readers: Jobs,
    changes: broadcast::Sender<Change>,
    /// Nothing where the database was opened to look only.
    live: Live,
    ended: watch::Receiver<bool>,
    /// `None`: opened to look only.
    key: Option<EncryptionKey>,
}

/// Writes to the database in the name of one actor, with whom a change is recorded. Made by [`Store::by`].
#[derive(Clone)]
pub struct Writer {
    store: Store,
    actor: Actor,
    room: Option<Room>,
}

/// What there is to give. Only used on the thread that writes, so that no two writers are given the same.
#[derive(Clone)]
pub(crate) struct Room {
    capacity: Capacity,
    free: Free,
    live: Live,
}

impl Room {
    /// Whether there is room for what a sandbox takes more than before.
    pub(crate) fn admit(&self, before: Option<&Sandbox>, after: &Sandbox) -> Result<(), NoRoom> {
        let had = before.filter(|before| before.warm_pool.is_none()).map(Sandbox::usage).unwrap_or_default();
        self.capacity.admit(self.live.tally().promised, after.usage().without(had), self.free)
    }
}

impl Store {
    /// Opens the database at `path`, making it if it is not there, and brings it to this version's schema. Its secrets
    /// are encrypted with `key`; [`StoreError::WrongKey`] if they were with another one.
    ///
    /// Blocks for as long as that takes: milliseconds, but for a migration.
    pub fn open(path: &Path, key: &EncryptionKey) -> Result<Self, StoreError> {
        let failed = |what: String| StoreError::Open { path: path.display().to_string(), what };
        make_private(path).map_err(|error| failed(error.to_string()))?;
        let mut writer = connect(path).map_err(|error| failed(error.to_string()))?;
        migrations::migrate(&mut writer, key).map_err(failed)?;
        if !key.opens(&writer)? {
            return Err(StoreError::WrongKey { path: path.display().to_string() });
        }
        let readers = connect_readers(path).map_err(|error| failed(error.to_string()))?;
        let live = Live::of(sandbox_row::all(&writer, key)?);
        Self::start(Some(writer), readers, Some(key.clone()), live)
    }

    /// Opens the database at `path` to look only, also beside a harbor that runs: nothing is made, converted or
    /// written, and a file of another schema is refused. Writing is [`StoreError::ReadOnly`], and reading what holds
    /// secrets [`StoreError::NoKey`].
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let failed = |what: String| StoreError::Open { path: path.display().to_string(), what };
        let readers = connect_readers(path).map_err(|error| failed(error.to_string()))?;
        for reader in &readers {
            let found = migrations::version(reader).map_err(|error| failed(error.to_string()))?;
            if found != migrations::VERSION {
                return Err(failed(migrations::other_version(found)));
            }
        }
        Self::start(None, readers, None, Live::default())
    }

    fn start(
        writer: Option<Connection>,
        readers: Vec<Connection>,
        key: Option<EncryptionKey>,
        live: Live,
    ) -> Result<Self, StoreError> {
        let (telling, ended) = watch::channel(false);
        let (changes, _) = broadcast::channel(BACKLOG);
        let writer = writer.map(|writer| threads::serve("store-writer", vec![writer], &telling)).transpose()?;
        let readers = threads::serve("store-reader", readers, &telling)?;
        Ok(Self { writer, readers, changes, live, ended, key })
    }

    /// Listens to everything committed from now on.
    pub fn changes(&self) -> Changes {
        self.changes.subscribe()
    }

    /// Writes in the name of `actor`.
    pub fn by(&self, actor: Actor) -> Writer {
        Writer { store: self.clone(), actor, room: None }
    }

    /// What all sandboxes take together, as was last committed.
    pub fn tally(&self) -> Tally {
        self.live.tally()
    }

    /// Completes when one of the store's threads has ended, which is a bug: what is asked from then on may fail.
    pub async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await; // an error: no thread is left to tell
    }

    /// All rows that have not been removed, as was last committed.
    pub(crate) fn live(&self) -> Result<&Live, StoreError> {
        if self.key.is_some() { Ok(&self.live) } else { Err(StoreError::NoKey) }
    }

    /// The key to the secrets in rows.
    pub(crate) fn key(&self) -> Result<EncryptionKey, StoreError> {
        self.key.clone().ok_or(StoreError::NoKey)
    }

    /// Runs `query` on a connection that cannot write.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.ask(move |connection| query(connection)).await
    }
}

impl Writer {
    /// Refuses with [`StoreError::NoRoom`] what would take more than `capacity`, or what is `free`, allows.
    #[must_use]
    pub fn within(self, capacity: Capacity, free: Free) -> Self {
        let room = Room { capacity, free, live: self.store.live.clone() };
        Self { room: Some(room), ..self }
    }

    pub(crate) fn room(&self) -> Option<Room> {
        self.room.clone()
    }

    /// The store that it writes to.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(crate) fn key(&self) -> Result<EncryptionKey, StoreError> {
        self.store.key()
    }

    /// Every row that has not been removed, as was last committed.
    pub(crate) fn live(&self) -> Result<&Live, StoreError> {
        self.store.live()
    }

    /// Runs `work` in one write transaction, commits it, and then announces the changes it noted.
    ///
    /// Not cancelled with the caller: what was queued is done.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>, &mut Noted) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let announce = self.store.changes.clone();
        let live = self.store.live.clone();
        let writer = self.store.writer.as_ref().ok_or(StoreError::ReadOnly)?;
        writer
            .ask(move |connection| {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let mut noted = Noted::default();
                let outcome = work(&transaction, &mut noted)?;
                transaction.commit()?;
                for change in live.follow(noted) {
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

/// A connection that writes; makes the file if it is not there.
pub(crate) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // FULL: a committed row survives power loss (82 µs against 22 µs for NORMAL where that was measured)
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // what was deleted or wiped is overwritten
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

fn connect_readers(path: &Path) -> Result<Vec<Connection>, rusqlite::Error> {
    (0..READERS).map(|_| open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)).collect()
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use harbor_model::secrets::Secret;

    use super::*;

    fn key() -> EncryptionKey {
        EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"))
    }

    #[tokio::test]
    async fn a_full_disk_is_told_apart_and_passes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("harbor.db"), &key()).unwrap().by(Actor::Harbor);
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

    async fn write_then_panic(store: &Store) -> Result<(), StoreError> {
        let wrong = |transaction: &Transaction<'_>| -> Result<(), StoreError> {
            transaction.execute_batch("CREATE TABLE half (done)")?;
            panic!("a bug in a job");
        };
        store.by(Actor::Harbor).write(move |transaction, _| wrong(transaction)).await
    }

    #[tokio::test]
    async fn a_panic_in_a_job_is_an_error_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("harbor.db"), &key()).unwrap();
        for _ in 0..3 {
            assert!(matches!(write_then_panic(&store).await, Err(StoreError::Panicked)));
        }
        let read = store.read(|_| -> Result<(), StoreError> { panic!("a bug in a query") }).await;
        assert!(matches!(read, Err(StoreError::Panicked)));
        let made = |transaction: &Transaction<'_>| Ok(transaction.execute_batch("CREATE TABLE half (done)")?);
        store.by(Actor::Harbor).write(move |transaction, _| made(transaction)).await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(50), store.ended()).await;
        assert!(waited.is_err(), "a thread ended");
    }

    #[tokio::test]
    async fn a_thread_that_ends_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("harbor.db"), &key()).unwrap();
        let writer = store.writer.clone().unwrap();
        writer.ask(|connection| Ok(connection.execute_batch("BEGIN")?)).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), store.ended()).await.unwrap();
        let refused = store.by(Actor::Harbor).write(|_, _| Ok(())).await;
        assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    }
}
