//! How an image stands in its row, and how whoever waits for one asks for it.

use std::sync::Arc;

use harbor_model::Timestamp;
use harbor_model::ids::{ImageId, OrganizationId};
use harbor_model::images::{ImageState, Recipe, WantedImage};
use harbor_model::snapshots::Snapshot;
use rusqlite::{Connection, Row, Transaction, params};

use crate::changes::Change;
use crate::live::Noted;
use crate::{StoreError, row};

/// No snapshot has it and no sandbox was made of it, or waits for it.
macro_rules! unused {
    () => {
        "NOT EXISTS (SELECT 1 FROM snapshot WHERE snapshot.organization = image.organization
             AND snapshot.image = image.reference)
         AND NOT EXISTS (SELECT 1 FROM sandbox WHERE sandbox.organization = image.organization
             AND sandbox.build = image.reference AND sandbox.live = 1)"
    };
}
pub(crate) use unused;

/// Nobody has it, and nobody asked for it since `?1`.
macro_rules! unneeded {
    () => {
        concat!("state IN ('ready', 'failed') AND updated_at < ?1 AND ", crate::image_row::unused!())
    };
}
pub(crate) use unneeded;

/// Who asks for an image, its reference, and how it is built if it is.
pub(crate) type Wish<'a> = (OrganizationId, &'a str, Option<&'a Recipe>);

/// Asks for the image of whoever waits for it, in the transaction that records that. The row comes back, to be followed.
pub(crate) fn ask(
    transaction: &Transaction<'_>,
    changes: &mut Noted,
    (organization, reference, recipe): Wish<'_>,
    at: Timestamp,
) -> Result<WantedImage, StoreError> {
    let before = by_reference(transaction, organization, reference)?;
    let mut after = before.clone().unwrap_or_else(|| WantedImage::new(organization, reference.to_owned(), recipe, at));
    after.ask_again(at);
    if before.as_ref() != Some(&after) {
        write(transaction, &after)?;
        changes.push(Change::Image(Arc::new(after.clone())));
    }
    Ok(after)
}

/// Forgets the image of a snapshot that is gone, unless another one of its organization has it too, or a sandbox.
pub(crate) fn forget(transaction: &Transaction<'_>, gone: &Snapshot) -> Result<(), StoreError> {
    transaction
        .prepare_cached(concat!("DELETE FROM image WHERE organization = ?1 AND reference = ?2 AND ", unused!()))?
        .execute(params![gone.organization.to_string(), gone.image])?;
    Ok(())
}

/// Writes the row of this id, which may be new.
pub(crate) fn write(transaction: &Transaction<'_>, image: &WantedImage) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO image VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET (state, error, engine_id, size_bytes, updated_at) = (?5, ?6, ?7, ?8, ?10)",
        )?
        .execute(params![
            image.id.to_string(),
            image.organization.to_string(),
            image.reference,
            image.dockerfile,
            image.state.word(),
            image.error,
            image.engine_id,
            image.size_bytes.and_then(|size| i64::try_from(size).ok()),
            row::milliseconds(image.created_at),
            row::milliseconds(image.updated_at),
            row::json(image.contexts.clone()),
        ])?;
    Ok(())
}

/// The image with this id.
pub(crate) fn by_id(connection: &Connection, id: ImageId) -> Result<Option<WantedImage>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM image WHERE id = ?1")?;
    row::first(&mut statement, params![id.to_string()], read)
}

/// The image of this reference that the organization asked for.
pub(crate) fn by_reference(
    connection: &Connection,
    organization: OrganizationId,
    reference: &str,
) -> Result<Option<WantedImage>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM image WHERE organization = ?1 AND reference = ?2")?;
    row::first(&mut statement, params![organization.to_string(), reference], read)
}

/// What a row says.
pub(crate) fn read(found: &Row<'_>) -> Result<WantedImage, StoreError> {
    let state: String = found.get("state")?;
    Ok(WantedImage {
        id: row::parsed(found, "id")?,
        organization: row::parsed(found, "organization")?,
        reference: found.get("reference")?,
        dockerfile: found.get("dockerfile")?,
        contexts: row::list(found, "contexts")?.unwrap_or_default(),
        state: ImageState::from_word(&state).ok_or(StoreError::Unreadable("image state"))?,
        error: found.get("error")?,
        engine_id: found.get("engine_id")?,
        size_bytes: found.get::<_, Option<i64>>("size_bytes")?.and_then(|size| u64::try_from(size).ok()),
        created_at: row::moment(found, "created_at")?,
        updated_at: row::moment(found, "updated_at")?,
    })
}
