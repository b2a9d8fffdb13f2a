//! Snapshots.

use std::sync::Arc;

use harbor_model::ids::{OrganizationId, SnapshotId};
use harbor_model::resources::Resources;
use harbor_model::snapshots::{Snapshot, SnapshotState};
use harbor_model::{Timestamp, to_millisecond};
use rusqlite::{Connection, Row, Transaction, params};

use crate::changes::Change;
use crate::image_row::Wish;
use crate::{Store, StoreError, Writer, files, image_row, row};

impl Store {
    /// The snapshot with this id.
    pub async fn snapshot(&self, id: SnapshotId) -> Result<Option<Snapshot>, StoreError> {
        self.read(move |connection| by_id(connection, id)).await
    }

    /// What this text names for this organization: its own snapshot of that name, then a general one, then by id.
    pub async fn find_snapshot(
        &self,
        organization: OrganizationId,
        text: String,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM snapshot WHERE (name = ?2 OR id = lower(?2)) AND (organization = ?1 OR general = 1)
                 ORDER BY name = ?2 DESC, organization = ?1 DESC, state = 'active' DESC LIMIT 1",
            )?;
            row::first(&mut statement, params![organization.to_string(), text], read)
        })
        .await
    }

    /// All that this organization may use.
    pub async fn snapshots(&self, organization: OrganizationId) -> Result<Vec<Snapshot>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM snapshot WHERE organization = ?1 OR general = 1 ORDER BY created_at, id",
            )?;
            row::collect(&mut statement, params![organization.to_string()], read)
        })
        .await
    }
}

impl Writer {
    /// Records `snapshot`, or brings the row of that organization and name in line with its image, entrypoint,
    /// resources, state and size; what was there keeps its id and times. Answers the row.
    pub async fn put_snapshot(&self, snapshot: Snapshot) -> Result<Snapshot, StoreError> {
        self.write(move |transaction, changes| {
            let before = by_name(transaction, snapshot.organization, &snapshot.name)?;
            let mut after = snapshot;
            if let Some(before) = &before {
                (after.id, after.created_at, after.last_used_at) = (before.id, before.created_at, before.last_used_at);
                if (Snapshot { updated_at: before.updated_at, ..after.clone() }) == *before {
                    return Ok(before.clone());
                }
            }
            write(transaction, &after)?;
            changes.push(Change::Snapshot { before: before.map(Arc::new), after: Arc::new(after.clone()) });
            Ok(after)
        })
        .await
    }

    /// Records a snapshot, and asks for its image if it waits for one; [`StoreError::NameTaken`] if its organization has one
    /// of this name.
    pub async fn add_snapshot(&self, snapshot: Snapshot) -> Result<Snapshot, StoreError> {
        self.write(move |transaction, changes| {
            let mut snapshot = snapshot;
            if snapshot.awaits_image() {
                let image = image_row::ask(transaction, changes, wanted_by(&snapshot), snapshot.created_at)?;
                snapshot.follow(&image, snapshot.created_at);
            }
            write(transaction, &snapshot)?;
            changes.push(Change::Snapshot { before: None, after: Arc::new(snapshot.clone()) });
            Ok(snapshot)
        })
        .await
    }

    /// Changes one snapshot: `change` sees the committed row and alters it, all in one transaction; one that waits for its
    /// image from then on has asked for it. The new row and what `change` returns come back; `None`: there is no such
    /// snapshot.
    pub async fn change_snapshot<T: Send + 'static>(
        &self,
        id: SnapshotId,
        change: impl FnOnce(&mut Snapshot) -> T + Send + 'static,
    ) -> Result<Option<(Snapshot, T)>, StoreError> {
        self.write(move |transaction, changes| {
            let Some(before) = by_id(transaction, id)? else { return Ok(None) };
            let mut after = before.clone();
            let outcome = change(&mut after);
            if after != before {
                if after.awaits_image() && !before.awaits_image() {
                    let image = image_row::ask(transaction, changes, wanted_by(&after), after.updated_at)?;
                    after.follow(&image, after.updated_at);
                }
                write(transaction, &after)?;
                changes.push(Change::Snapshot { before: Some(Arc::new(before)), after: Arc::new(after.clone()) });
            }
            Ok(Some((after, outcome)))
        })
        .await
    }

    /// Removes the snapshot with this id; answers whether there was one. Its warm pools go with it.
    pub async fn remove_snapshot(&self, id: SnapshotId) -> Result<bool, StoreError> {
        self.write(move |transaction, changes| {
            let Some(before) = by_id(transaction, id)? else { return Ok(false) };
            transaction.prepare_cached("DELETE FROM snapshot WHERE id = ?1")?.execute(params![id.to_string()])?;
            image_row::forget(transaction, &before)?;
            changes.push(Change::SnapshotRemoved(Arc::new(before)));
            Ok(true)
        })
        .await
    }
}

/// How a snapshot asks for its image.
pub(crate) fn wanted_by(snapshot: &Snapshot) -> Wish<'_> {
    (snapshot.organization, &snapshot.image, snapshot.build.as_ref())
}

/// Notes that a sandbox was made from this snapshot at `at`.
pub(crate) fn note_use(transaction: &Transaction<'_>, id: SnapshotId, at: Timestamp) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE snapshot SET last_used_at = ?2 WHERE id = ?1")?
        .execute(params![id.to_string(), row::milliseconds(to_millisecond(at))])?;
    Ok(())
}

fn by_name(connection: &Connection, organization: OrganizationId, name: &str) -> Result<Option<Snapshot>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM snapshot WHERE organization = ?1 AND name = ?2")?;
    row::first(&mut statement, params![organization.to_string(), name], read)
}

/// The snapshots of this organization whose image has this reference.
pub(crate) fn of_image(
    connection: &Connection,
    organization: OrganizationId,
    reference: &str,
) -> Result<Vec<Snapshot>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM snapshot WHERE organization = ?1 AND image = ?2")?;
    row::collect(&mut statement, params![organization.to_string(), reference], read)
}

/// The snapshots that are made of the image with this id of the engine's.
pub(crate) fn of_engine_image(connection: &Connection, id: &str) -> Result<Vec<Snapshot>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM snapshot WHERE image_id = ?1")?;
    row::collect(&mut statement, params![id], read)
}

/// The snapshot with this id.
pub(crate) fn by_id(connection: &Connection, id: SnapshotId) -> Result<Option<Snapshot>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM snapshot WHERE id = ?1")?;
    row::first(&mut statement, params![id.to_string()], read)
}

fn read(found: &Row<'_>) -> Result<Snapshot, StoreError> {
    let state: String = found.get("state")?;
    let layer = found.get_ref("layer")?.as_str_or_null().unwrap_or_default();
    Ok(Snapshot {
        id: row::parsed(found, "id")?,
        organization: row::parsed(found, "organization")?,
        name: found.get("name")?,
        general: found.get("general")?,
        image: found.get("image")?,
        image_id: found.get("image_id")?,
        build: row::recipe(found, "image")?,
        layer: layer.map(files::decode_layer).transpose()?,
        source: row::optional_id(found, "source")?,
        entrypoint: row::list(found, "entrypoint")?,
        resources: Resources {
            cpu: found.get("cpu")?,
            memory_gib: found.get("memory_gib")?,
            disk_gib: found.get("disk_gib")?,
            gpu: found.get("gpu")?,
        },
        state: SnapshotState::from_word(&state).ok_or(StoreError::Unreadable("snapshot state"))?,
        error: found.get("error")?,
        size_bytes: found.get::<_, Option<i64>>("size_bytes")?.and_then(|size| u64::try_from(size).ok()),
        last_used_at: row::optional_moment(found, "last_used_at")?,
        created_at: row::moment(found, "created_at")?,
        updated_at: row::moment(found, "updated_at")?,
    })
}

/// Writes the row of this id, which may be new; [`StoreError::NameTaken`] if another one of its organization has its name.
pub(crate) fn write(transaction: &Transaction<'_>, snapshot: &Snapshot) -> Result<(), StoreError> {
    let Snapshot {
        id,
        organization,
        name,
        general,
        image,
        image_id,
        build,
        layer,
        source,
        entrypoint,
        resources: Resources { cpu, memory_gib, disk_gib, gpu },
        state,
        error,
        size_bytes,
        last_used_at,
        created_at,
        updated_at,
    } = snapshot;
    transaction
        .prepare_cached(
            "INSERT INTO snapshot VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
             ON CONFLICT (id) DO UPDATE SET
                 (general, image, entrypoint, cpu, memory_gib, disk_gib, gpu, state, error, size_bytes, last_used_at, updated_at, layer, source, image_id, dockerfile, contexts)
                 = (?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .execute(params![
            id.to_string(),
            organization.to_string(),
            name,
            general,
            image,
            entrypoint.clone().map(row::json),
            cpu,
            memory_gib,
            disk_gib,
            gpu,
            state.word(),
            error,
            size_bytes.and_then(|size| i64::try_from(size).ok()),
            last_used_at.map(row::milliseconds),
            row::milliseconds(*created_at),
            row::milliseconds(*updated_at),
            layer.as_ref().map(files::encode_layer).transpose()?,
            source.map(|id| id.to_string()),
            image_id,
            build.as_ref().map(|recipe| &recipe.dockerfile),
            build.as_ref().map(|recipe| row::json(recipe.contexts.clone())),
        ])
        .map_err(row::name_taken)?;
    Ok(())
}
