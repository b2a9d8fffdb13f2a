//! Uploads of objects in parts.

use harbor_model::Timestamp;
use harbor_model::objects::{Condition, Freshness, Part, Put, StoredObject, Upload, UploadListing};
use rusqlite::{Connection, Row, Transaction, params};

use crate::blobs::{let_go, need, pieces, pieces_to_json};
use crate::objects::{has_bucket, put, size};
use crate::{Store, StoreError, Writer, row};

impl Store {
    /// The upload with this id.
    pub async fn upload(&self, id: String) -> Result<Option<Upload>, StoreError> {
        self.read(move |connection| by_id(connection, &id)).await
    }

    /// Lists the uploads of a bucket by key and id; answers whether there are more.
    pub async fn uploads(&self, bucket: String, listing: UploadListing) -> Result<(Vec<Upload>, bool), StoreError> {
        self.read(move |connection| {
            let UploadListing { prefix, after: (key, id), most } = listing;
            let mut statement = connection.prepare_cached(
                "SELECT * FROM upload WHERE bucket = ?1 AND key >= ?2 AND (key, id) > (?3, ?4) ORDER BY key, id",
            )?;
            let mut rows = statement.query(params![bucket, prefix, key, id])?;
            let mut uploads = Vec::new();
            while let Some(found) = rows.next()? {
                let upload = read(found)?;
                if !upload.key.starts_with(&prefix) {
                    break;
                }
                if uploads.len() == most {
                    return Ok((uploads, true));
                }
                uploads.push(upload);
            }
            Ok((uploads, false))
        })
        .await
    }

    /// The parts of an upload, by number.
    pub async fn upload_parts(&self, upload: String) -> Result<Vec<Part>, StoreError> {
        self.read(move |connection| parts(connection, &upload)).await
    }
}

impl Writer {
    /// Begins an upload; answers whether there is its bucket.
    pub async fn begin_upload(&self, upload: Upload) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            if !has_bucket(transaction, &upload.bucket)? {
                return Ok(false);
            }
            transaction.prepare_cached("INSERT INTO upload VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                upload.id,
                upload.bucket,
                upload.key,
                upload.attributes,
                row::milliseconds(upload.started_at),
            ])?;
            Ok(true)
        })
        .await
    }

    /// Adds a part in place of the one with this number; answers whether there is the upload.
    pub async fn add_upload_part(&self, upload: String, part: Part, fresh: Freshness) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            if by_id(transaction, &upload)?.is_none() {
                return Ok(false);
            }
            if !need(transaction, &part.pieces, fresh)? {
                return Err(StoreError::Gone);
            }
            let mut before =
                transaction.prepare_cached("SELECT pieces FROM upload_part WHERE upload = ?1 AND number = ?2")?;
            if let Some(replaced) = row::first(&mut before, params![upload, part.number], pieces)? {
                let_go(transaction, &replaced, part.modified_at)?;
            }
            transaction
                .prepare_cached("INSERT OR REPLACE INTO upload_part VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute(params![
                    upload,
                    part.number,
                    row::integer(part.size),
                    part.etag,
                    row::milliseconds(part.modified_at),
                    part.checksums,
                    pieces_to_json(&part.pieces),
                ])?;
            Ok(true)
        })
        .await
    }

    /// Writes the object of an upload, which is then gone with all its parts.
    pub async fn complete_upload(
        &self,
        id: String,
        object: StoredObject,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        self.write(move |transaction, _| {
            let Some(upload) = by_id(transaction, &id)? else { return Ok(Put::Missing) };
            let outcome = put(transaction, &upload.bucket, &upload.key, &object, &condition, Freshness::Shared)?;
            if outcome == Put::Done {
                remove(transaction, &id, object.modified_at)?;
            }
            Ok(outcome)
        })
        .await
    }

    /// Removes an upload with all its parts; answers whether there was one.
    pub async fn abort_upload(&self, id: String, at: Timestamp) -> Result<bool, StoreError> {
        self.write(move |transaction, _| remove(transaction, &id, at)).await
    }
}

/// Removes uploads that began before a time and to which nothing came since, or comes now (`busy`, ids in JSON), at most
/// `most`; answers how many.
pub(crate) fn remove_unneeded(
    transaction: &Transaction<'_>,
    before: Timestamp,
    busy: &str,
    most: usize,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT id FROM upload WHERE started_at < ?1 AND NOT EXISTS
             (SELECT 1 FROM upload_part WHERE upload_part.upload = upload.id AND upload_part.modified_at >= ?1)
             AND id NOT IN (SELECT value FROM json_each(?3)) LIMIT ?2",
    )?;
    let bounds = params![row::milliseconds(before), row::integer(most), busy];
    let old: Vec<String> = row::collect(&mut statement, bounds, |found| Ok(found.get("id")?))?;
    for id in &old {
        remove(transaction, id, at)?;
    }
    Ok(old.len())
}

fn remove(transaction: &Transaction<'_>, id: &str, at: Timestamp) -> Result<bool, StoreError> {
    for part in parts(transaction, id)? {
        let_go(transaction, &part.pieces, at)?;
    }
    transaction.prepare_cached("DELETE FROM upload_part WHERE upload = ?1")?.execute(params![id])?;
    Ok(transaction.prepare_cached("DELETE FROM upload WHERE id = ?1")?.execute(params![id])? > 0)
}

fn by_id(connection: &Connection, id: &str) -> Result<Option<Upload>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM upload WHERE id = ?1")?;
    row::first(&mut statement, params![id], read)
}

fn parts(connection: &Connection, upload: &str) -> Result<Vec<Part>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM upload_part WHERE upload = ?1 ORDER BY number")?;
    row::collect(&mut statement, params![upload], |found| {
        Ok(Part {
            number: found.get("number")?,
            size: size(found)?,
            etag: found.get("etag")?,
            modified_at: row::moment(found, "modified_at")?,
            checksums: found.get("checksums")?,
            pieces: pieces(found)?,
        })
    })
}

fn read(found: &Row<'_>) -> Result<Upload, StoreError> {
    Ok(Upload {
        id: found.get("id")?,
        bucket: found.get("bucket")?,
        key: found.get("key")?,
        attributes: found.get("attributes")?,
        started_at: row::moment(found, "started_at")?,
    })
}
