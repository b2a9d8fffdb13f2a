//! Copies of a sandbox's files: forks and snapshots that are made of one, and what is kept for them (design D7).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use harbor_model::Timestamp;
use harbor_model::ids::{LayerId, SandboxId};
use harbor_model::sandboxes::Sandbox;
use harbor_model::snapshots::Snapshot;
use rusqlite::params;

use crate::changes::Change;
use crate::sandbox_change::commit_change;
use crate::sandbox_row::{INSERT, by_id, put, read};
use crate::{Store, StoreError, Writer, files, outbox, row, snapshots, stock, volumes};

/// What is stored beside containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredFiles {
    /// The layers that somebody needs, or is about to have.
    pub layers: HashSet<LayerId>,
    /// The images that they lie on, by the engine's ids.
    pub images: BTreeSet<String>,
    /// Whether a copy is wanted or being made, whose image is not among these yet.
    pub copying: bool,
}

impl Store {
    /// The forks of this sandbox, oldest first, in whatever state.
    pub async fn forks_of(&self, parent: SandboxId) -> Result<Vec<Sandbox>, StoreError> {
        let key = self.key()?;
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT * FROM sandbox WHERE parent = ?1 ORDER BY created_at, id")?;
            row::collect(&mut statement, params![parent.to_string()], |found| read(found, &key))
        })
        .await
    }

    /// What is stored for sandboxes and snapshots, or is about to be.
    pub async fn stored_files(&self) -> Result<StoredFiles, StoreError> {
        let mut needed = StoredFiles::default();
        for row in self.all_sandboxes()? {
            needed.layers.extend(row.layers());
            needed.images.extend(row.base_images().map(str::to_owned));
            needed.copying |= row.files.copying.is_some();
            needed.images.extend(row.image_to_come_from().map(str::to_owned));
        }
        let of_snapshots = self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT layer FROM snapshot WHERE layer IS NOT NULL")?;
            let layers = row::collect(&mut statement, [], |found| {
                files::decode_layer(found.get_ref("layer")?.as_str().unwrap_or_default())
            })?;
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT image_id FROM snapshot WHERE image_id IS NOT NULL AND state = 'active'",
            )?;
            let images = row::collect(&mut statement, [], |found| Ok(found.get::<_, String>("image_id")?))?;
            Ok((layers, images))
        });
        let (layers, images) = of_snapshots.await?;
        needed.images.extend(images);
        for layer in layers {
            needed.layers.insert(layer.id);
            needed.images.insert(layer.image);
        }
        Ok(needed)
    }
}

impl Writer {
    /// Records a fork of `parent`: `fork` sees the committed row, wants the copy of its files, and makes the child under
    /// the id that it is given. Answers the child; where `fork` refuses, nothing is written.
    ///
    /// The child's name must be free, else [`StoreError::NameTaken`]. It takes an infra container from the stock.
    pub async fn fork_sandbox<E: Send + 'static>(
        &self,
        parent: SandboxId,
        now: Timestamp,
        fork: impl FnOnce(&mut Sandbox, SandboxId) -> Result<Sandbox, E> + Send + 'static,
    ) -> Result<Result<Sandbox, E>, StoreError> {
        let (actor, key, room) = (self.actor().clone(), self.key()?, self.room());
        self.write(move |transaction, changes| {
            let before = by_id(transaction, &key, parent)?.ok_or(StoreError::NoSandbox(parent))?;
            let mut after = before.clone();
            let ready = stock::oldest_ready(transaction)?;
            let child = match fork(&mut after, ready.unwrap_or_else(SandboxId::random)) {
                Ok(child) => child,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if let Some(room) = room {
                room.admit(None, &child)?;
            }
            if ready.is_some() {
                stock::claim(transaction)?;
            }
            volumes::note_use(transaction, changes, &child)?;
            put(transaction, &key, INSERT, &child)?;
            outbox::note_sandbox(transaction, &actor, None, &child)?;
            changes.push(Change::Sandbox { before: None, after: Arc::new(child.clone()) });
            commit_change(transaction, changes, &actor, &key, &before, after, now)?;
            Ok(Ok(child))
        })
        .await
    }

    /// Records a snapshot that is to be made of `source`: `snapshot` sees the committed row, wants the copy of its files,
    /// and makes the snapshot's. Answers the sandbox's new row; where `snapshot` refuses, nothing is written.
    ///
    /// The snapshot's name must be free in its organization, else [`StoreError::NameTaken`].
    pub async fn snapshot_sandbox<E: Send + 'static>(
        &self,
        source: SandboxId,
        now: Timestamp,
        snapshot: impl FnOnce(&mut Sandbox) -> Result<Snapshot, E> + Send + 'static,
    ) -> Result<Result<Sandbox, E>, StoreError> {
        let (actor, key) = (self.actor().clone(), self.key()?);
        self.write(move |transaction, changes| {
            let before = by_id(transaction, &key, source)?.ok_or(StoreError::NoSandbox(source))?;
            let mut after = before.clone();
            let made = match snapshot(&mut after) {
                Ok(made) => made,
                Err(refusal) => return Ok(Err(refusal)),
            };
            snapshots::write(transaction, &made)?;
            changes.push(Change::Snapshot { before: None, after: Arc::new(made) });
            commit_change(transaction, changes, &actor, &key, &before, after, now).map(Ok)
        })
        .await
    }
}
