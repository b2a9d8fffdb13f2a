//! Volumes, and how they stand in the rows of sandboxes that have them.

use std::sync::Arc;

use harbor_model::ids::{OrganizationId, VolumeId};
use harbor_model::names::DisplayName;
use harbor_model::sandboxes::Sandbox;
use harbor_model::volumes::{Mount, Volume, VolumeState};
use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::changes::Change;
use crate::live::Noted;
use crate::{Store, StoreError, Writer, row};

/// The last use of a volume is written at most this often (contract, edges §6).
const NOTED: time::Duration = time::Duration::MINUTE;

impl Store {
    /// The volume with this id, in whatever state.
    pub async fn volume(&self, id: VolumeId) -> Result<Option<Volume>, StoreError> {
        self.read(move |connection| by_id(connection, id)).await
    }

    /// The organization's volume of this name that is ready.
    pub async fn volume_named(&self, organization: OrganizationId, name: String) -> Result<Option<Volume>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT * FROM volume WHERE organization = ?1 AND name = ?2 AND state = 'ready'")?;
            row::first(&mut statement, params![organization.to_string(), name], read)
        })
        .await
    }

    /// The organization's volumes, those used last first, then the newest.
    pub async fn volumes(&self, organization: OrganizationId) -> Result<Vec<Volume>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM volume WHERE organization = ?1
                 ORDER BY last_used_at DESC NULLS LAST, created_at DESC, id",
            )?;
            row::collect(&mut statement, params![organization.to_string()], read)
        })
        .await
    }

    /// The ids of volumes whose files are to be removed.
    pub async fn volumes_to_remove(&self) -> Result<Vec<VolumeId>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT id FROM volume WHERE state = 'deleting'")?;
            row::collect(&mut statement, [], |found| row::parsed(found, "id"))
        })
        .await
    }

    /// The ids of all volumes whose files are not known to be gone.
    pub async fn volume_ids(&self) -> Result<Vec<VolumeId>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT id FROM volume WHERE state <> 'deleted'")?;
            row::collect(&mut statement, [], |found| row::parsed(found, "id"))
        })
        .await
    }
}

impl Writer {
    /// Records a volume; [`StoreError::NameTaken`] if its organization has one of this name that is ready.
    pub async fn add_volume(&self, volume: Volume) -> Result<Volume, StoreError> {
        self.write(move |transaction, changes| {
            transaction
                .prepare_cached("INSERT INTO volume VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
                .execute(params![
                    volume.id.to_string(),
                    volume.organization.to_string(),
                    volume.name.as_str(),
                    volume.state.word(),
                    volume.error,
                    volume.last_used_at.map(row::milliseconds),
                    row::milliseconds(volume.created_at),
                    row::milliseconds(volume.updated_at),
                ])
                .map_err(row::name_taken)?;
            changes.push(Change::Volume { before: None, after: Arc::new(volume.clone()) });
            Ok(volume)
        })
        .await
    }

    /// Changes one volume: `change` sees the committed row, with the name of a live sandbox that has the volume, and alters
    /// its name, state, error and time, all in one transaction. What it returns comes back; `None`: there is no such volume.
    pub async fn change_volume<T: Send + 'static>(
        &self,
        id: VolumeId,
        change: impl FnOnce(&mut Volume, Option<DisplayName>) -> T + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        self.write(move |transaction, changes| {
            let Some(before) = by_id(transaction, id)? else { return Ok(None) };
            let mut after = before.clone();
            let outcome = change(&mut after, who_has(transaction, id)?);
            if after != before {
                transaction
                    .prepare_cached(
                        "UPDATE volume SET (name, state, error, updated_at) = (?2, ?3, ?4, ?5) WHERE id = ?1",
                    )?
                    .execute(params![
                        id.to_string(),
                        after.name.as_str(),
                        after.state.word(),
                        after.error,
                        row::milliseconds(after.updated_at),
                    ])?;
                changes.push(Change::Volume { before: Some(Arc::new(before)), after: Arc::new(after) });
            }
            Ok(Some(outcome))
        })
        .await
    }
}

/// Notes that a new sandbox has its volumes; [`StoreError::NoVolume`] if one of them is not ready any more.
pub(crate) fn note_use(
    transaction: &Transaction<'_>,
    changes: &mut Noted,
    sandbox: &Sandbox,
) -> Result<(), StoreError> {
    let at = sandbox.created_at;
    for id in sandbox.origin.mounts.iter().map(|mount| mount.volume) {
        let ready = by_id(transaction, id)?.filter(|volume| volume.state == VolumeState::Ready);
        let before = ready.ok_or(StoreError::NoVolume(id))?;
        if before.last_used_at.is_some_and(|last| at - last < NOTED) {
            continue;
        }
        transaction
            .prepare_cached("UPDATE volume SET last_used_at = ?2 WHERE id = ?1")?
            .execute(params![id.to_string(), row::milliseconds(at)])?;
        let after = Volume { last_used_at: Some(at), ..before.clone() };
        changes.push(Change::Volume { before: Some(Arc::new(before)), after: Arc::new(after) });
    }
    Ok(())
}

/// A live sandbox that has this volume, by its name.
fn who_has(transaction: &Transaction<'_>, id: VolumeId) -> Result<Option<DisplayName>, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT name FROM sandbox WHERE live = 1
             AND EXISTS (SELECT 1 FROM json_each(mounts) WHERE value ->> '$.volume' = ?1) LIMIT 1",
    )?;
    row::first(&mut statement, params![id.to_string()], |found| row::name(found, "name"))
}

fn by_id(connection: &Connection, id: VolumeId) -> Result<Option<Volume>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM volume WHERE id = ?1")?;
    row::first(&mut statement, params![id.to_string()], read)
}

fn read(found: &Row<'_>) -> Result<Volume, StoreError> {
    let state: String = found.get("state")?;
    Ok(Volume {
        id: row::parsed(found, "id")?,
        organization: row::parsed(found, "organization")?,
        name: row::name(found, "name")?,
        state: VolumeState::from_word(&state).ok_or(StoreError::Unreadable("volume state"))?,
        error: found.get("error")?,
        last_used_at: row::optional_moment(found, "last_used_at")?,
        created_at: row::moment(found, "created_at")?,
        updated_at: row::moment(found, "updated_at")?,
    })
}

/// How a [`Mount`] stands in the column `mounts` of its sandbox.
#[derive(Serialize, Deserialize)]
struct EncodedMount {
    volume: String,
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subpath: Option<String>,
}

/// The column's text.
pub(crate) fn encode_mounts(mounts: &[Mount]) -> Result<String, StoreError> {
    let encoded: Vec<EncodedMount> = mounts
        .iter()
        .map(|Mount { volume, path, subpath }| EncodedMount {
            volume: volume.to_string(),
            path: path.clone(),
            subpath: subpath.clone(),
        })
        .collect();
    serde_json::to_string(&encoded).map_err(|_| UNREADABLE)
}

/// What the column says.
pub(crate) fn decode_mounts(text: &str) -> Result<Vec<Mount>, StoreError> {
    let encoded: Vec<EncodedMount> = serde_json::from_str(text).map_err(|_| UNREADABLE)?;
    let mount = |EncodedMount { volume, path, subpath }| {
        let volume = volume.parse().map_err(|_| UNREADABLE)?;
        Ok(Mount { volume, path, subpath })
    };
    encoded.into_iter().map(mount).collect()
}

const UNREADABLE: StoreError = StoreError::Unreadable("mounts");
