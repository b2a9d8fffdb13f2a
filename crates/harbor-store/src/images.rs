//! Images that organizations ask for, and what their pulls and builds say.

use std::sync::Arc;

use harbor_model::Timestamp;
use harbor_model::ids::{ImageId, OrganizationId};
use harbor_model::images::{ImageState, WantedImage};
use rusqlite::{Transaction, params};

use crate::changes::Change;
use crate::image_row::{ask, by_id, by_reference, unneeded, unused, write};
use crate::live::Noted;
use crate::sandbox_change::commit_change;
use crate::{Store, StoreError, Writer, row, sandbox_row, snapshots};

/// No snapshot and no sandbox waits for it.
macro_rules! unawaited {
    () => {
        "NOT EXISTS (SELECT 1 FROM snapshot WHERE snapshot.organization = image.organization
             AND snapshot.image = image.reference AND snapshot.state IN ('pending', 'pulling', 'building'))
         AND NOT EXISTS (SELECT 1 FROM sandbox WHERE sandbox.organization = image.organization
             AND sandbox.build = image.reference AND sandbox.live = 1 AND sandbox.failure IS NULL
             AND json_extract(sandbox.files, '$.beginning.unbuilt') IS NOT NULL)"
    };
}

impl Store {
    /// The image with this id.
    pub async fn image(&self, id: ImageId) -> Result<Option<WantedImage>, StoreError> {
        self.read(move |connection| by_id(connection, id)).await
    }

    /// The image of this reference that the organization asked for.
    pub async fn image_of(
        &self,
        organization: OrganizationId,
        reference: String,
    ) -> Result<Option<WantedImage>, StoreError> {
        self.read(move |connection| by_reference(connection, organization, &reference)).await
    }

    /// The images that are still to be had.
    pub async fn awaited_images(&self) -> Result<Vec<ImageId>, StoreError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT id FROM image WHERE state IN ('pending', 'under way') ORDER BY created_at")?;
            row::collect(&mut statement, [], |found| row::parsed(found, "id"))
        })
        .await
    }

    /// Whether anybody asked for an image of this reference.
    pub async fn is_wanted_image(&self, reference: String) -> Result<bool, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT 1 FROM image WHERE reference = ?1")?;
            Ok(statement.exists(params![reference])?)
        })
        .await
    }

    /// What the last pull or build of this image said after its first `seen` pieces, and how many pieces there are.
    pub async fn image_log(&self, id: ImageId, seen: u32) -> Result<(String, u32), StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sequence, text FROM image_log WHERE image = ?1 AND sequence >= ?2 ORDER BY sequence",
            )?;
            let (mut text, mut next) = (String::new(), seen);
            let mut rows = statement.query(params![id.to_string(), seen])?;
            while let Some(found) = rows.next()? {
                next = found.get::<_, u32>("sequence")?.saturating_add(1);
                text.push_str(found.get_ref("text")?.as_str().unwrap_or_default());
            }
            Ok((text, next))
        })
        .await
    }
}

impl Writer {
    /// Changes one image, and with it the snapshots that wait for it: `change` sees the committed row, all in one
    /// transaction. The new row comes back; `None`: there is no such image any more.
    pub async fn change_image(
        &self,
        id: ImageId,
        change: impl FnOnce(&mut WantedImage) + Send + 'static,
    ) -> Result<Option<WantedImage>, StoreError> {
        let (actor, key) = (self.actor().clone(), self.key()?);
        self.write(move |transaction, changes| {
            let Some(before) = by_id(transaction, id)? else { return Ok(None) };
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                write(transaction, &after)?;
                if before.state == ImageState::Pending && after.state == ImageState::UnderWay {
                    forget_log(transaction, id)?;
                }
                tell_snapshots(transaction, changes, &after)?;
                for waiting in sandbox_row::of_build(transaction, &key, after.organization, &after.reference)? {
                    let mut follows = waiting.clone();
                    follows.follow(&after);
                    commit_change(transaction, changes, &actor, &key, &waiting, follows, after.updated_at)?;
                }
                changes.push(Change::Image(Arc::new(after.clone())));
            }
            Ok(Some(after))
        })
        .await
    }

    /// Gives an image up that nobody waits for any more, and forgets it if nobody has it either; answers whether it did, or
    /// it was forgotten before.
    pub async fn give_up_image(&self, id: ImageId) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let id = id.to_string();
            transaction
                .prepare_cached(concat!("DELETE FROM image WHERE id = ?1 AND ", unused!()))?
                .execute(params![id])?;
            transaction
                .prepare_cached(concat!(
                    "UPDATE image SET state = 'failed', error = 'it was given up: nobody waited for it' WHERE id = ?1 AND ",
                    unawaited!()
                ))?
                .execute(params![id])?;
            let mut statement = transaction
                .prepare_cached("SELECT 1 FROM image WHERE id = ?1 AND state IN ('pending', 'under way')")?;
            Ok(!statement.exists(params![id])?)
        })
        .await
    }

    /// The image with this id of the engine's is gone there: the snapshots that are made of it ask for theirs again.
    /// Answers how many do.
    pub async fn ask_for_lost_image(&self, engine_id: String, at: Timestamp) -> Result<usize, StoreError> {
        self.write(move |transaction, changes| {
            let mut count = 0;
            for before in snapshots::of_engine_image(transaction, &engine_id)? {
                let mut after = before.clone();
                after.lose_image(at);
                if after != before {
                    ask(transaction, changes, snapshots::wanted_by(&after), at)?;
                    snapshots::write(transaction, &after)?;
                    changes.push(Change::Snapshot { before: Some(Arc::new(before)), after: Arc::new(after) });
                    count += 1;
                }
            }
            Ok(count)
        })
        .await
    }

    /// Forgets the images that nobody has, and nobody asked for since `before`; answers how many.
    pub async fn purge_images(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write(move |transaction, _| purge(transaction, before)).await
    }

    /// Keeps what a pull or build says: whole lines, after those that are kept.
    pub async fn add_to_image_log(&self, id: ImageId, text: String) -> Result<(), StoreError> {
        self.write(move |transaction, _| {
            transaction
                .prepare_cached(
                    "INSERT INTO image_log SELECT id,
                         (SELECT coalesce(max(sequence) + 1, 0) FROM image_log WHERE image = ?1), ?2
                     FROM image WHERE id = ?1",
                )?
                .execute(params![id.to_string(), text])?;
            Ok(())
        })
        .await
    }
}

/// Forgets the images that nobody has, and nobody asked for since `before`; answers how many.
pub(crate) fn purge(transaction: &Transaction<'_>, before: Timestamp) -> Result<usize, StoreError> {
    let mut statement = transaction.prepare_cached(concat!("DELETE FROM image WHERE ", unneeded!()))?;
    Ok(statement.execute(params![row::milliseconds(before)])?)
}

fn tell_snapshots(transaction: &Transaction<'_>, changes: &mut Noted, image: &WantedImage) -> Result<(), StoreError> {
    for before in snapshots::of_image(transaction, image.organization, &image.reference)? {
        let mut after = before.clone();
        after.follow(image, image.updated_at);
        if after != before {
            snapshots::write(transaction, &after)?;
            changes.push(Change::Snapshot { before: Some(Arc::new(before)), after: Arc::new(after) });
        }
    }
    Ok(())
}

fn forget_log(transaction: &Transaction<'_>, id: ImageId) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM image_log WHERE image = ?1")?.execute(params![id.to_string()])?;
    Ok(())
}
