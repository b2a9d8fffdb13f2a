//! Blobs of the registry's repositories, and those that are being pushed. The same bytes lie once, in whichever repositories
//! they are.

use harbor_model::Timestamp;
use harbor_model::objects::{Freshness, Piece};
use harbor_model::repositories::{Addition, BlobUpload, Digest, Removal, RepositoryBlob, RepositoryName};
use rusqlite::{Connection, Row, Transaction, params};

use crate::blobs::{let_go, need, pieces, pieces_to_json};
use crate::objects::size;
use crate::{Store, StoreError, Writer, row};

impl Store {
    /// The blob of a repository with this digest.
    pub async fn repository_blob(
        &self,
        repository: RepositoryName,
        digest: Digest,
    ) -> Result<Option<RepositoryBlob>, StoreError> {
        self.read(move |connection| by_digest(connection, &repository, &digest)).await
    }

    /// What is being pushed to a repository by this id.
    pub async fn blob_upload(&self, repository: RepositoryName, id: String) -> Result<Option<BlobUpload>, StoreError> {
        self.read(move |connection| upload(connection, &repository, &id)).await
    }
}

impl Writer {
    /// Begins to push a blob, unless `most` are being pushed; answers whether it did.
    pub async fn begin_blob_upload(&self, upload: BlobUpload, most: u32) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let mut under_way = transaction.prepare_cached("SELECT count(*) FROM blob_upload")?;
            if under_way.query_row([], |found| found.get::<_, u32>(0))? >= most {
                return Ok(false);
            }
            transaction.prepare_cached("INSERT INTO blob_upload VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                upload.id,
                upload.repository.as_str(),
                row::integer(upload.size),
                pieces_to_json(&upload.pieces),
                row::milliseconds(upload.touched_at),
            ])?;
            Ok(true)
        })
        .await
    }

    /// Adds a piece, written for it, to what is being pushed, if that has `before` bytes.
    pub async fn add_to_blob_upload(
        &self,
        repository: RepositoryName,
        id: String,
        before: u64,
        piece: Piece,
        at: Timestamp,
    ) -> Result<Addition, StoreError> {
        self.write(move |transaction, _| {
            let Some(mut upload) = upload(transaction, &repository, &id)? else { return Ok(Addition::Missing) };
            if upload.size != before {
                return Ok(Addition::Overtaken);
            }
            upload.size += piece.size;
            need(transaction, std::slice::from_ref(&piece), Freshness::Written)?;
            upload.pieces.push(piece);
            transaction
                .prepare_cached("UPDATE blob_upload SET size = ?2, pieces = ?3, touched_at = ?4 WHERE id = ?1")?
                .execute(params![
                    id,
                    row::integer(upload.size),
                    pieces_to_json(&upload.pieces),
                    row::milliseconds(at)
                ])?;
            Ok(Addition::Done)
        })
        .await
    }

    /// Makes what was pushed a blob of its repository, whose digest it has; answers whether it was there, with `size` bytes.
    pub async fn complete_blob_upload(
        &self,
        repository: RepositoryName,
        id: String,
        size: u64,
        digest: Digest,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let found = upload(transaction, &repository, &id)?.filter(|found| found.size == size);
            let Some(BlobUpload { pieces, .. }) = found else { return Ok(false) };
            if renew(transaction, &repository, &digest, at)? || share(transaction, &repository, &digest, at)? {
                let_go(transaction, &pieces, at)?;
            } else {
                // what it needed as a push, it needs as a blob
                insert(transaction, &repository, &digest, size, &pieces, at)?;
            }
            transaction.prepare_cached("DELETE FROM blob_upload WHERE id = ?1")?.execute(params![id])?;
            Ok(true)
        })
        .await
    }

    /// Ends a push; answers whether there was one.
    pub async fn abort_blob_upload(
        &self,
        repository: RepositoryName,
        id: String,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let Some(found) = upload(transaction, &repository, &id)? else { return Ok(false) };
            end(transaction, &found, at)?;
            Ok(true)
        })
        .await
    }

    /// Gives a repository the blob of another one; answers whether that has it.
    pub async fn mount_blob(
        &self,
        repository: RepositoryName,
        from: RepositoryName,
        digest: Digest,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            if !has_blob(transaction, &from, &digest)? {
                return Ok(false);
            }
            Ok(renew(transaction, &repository, &digest, at)? || share(transaction, &repository, &digest, at)?)
        })
        .await
    }

    /// Begins the time anew after which a blob that no manifest names goes; answers whether the repository has it.
    pub async fn renew_repository_blob(
        &self,
        repository: RepositoryName,
        digest: Digest,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |transaction, _| renew(transaction, &repository, &digest, at)).await
    }

    /// Removes a blob from a repository none of whose manifests names it.
    pub async fn remove_repository_blob(
        &self,
        repository: RepositoryName,
        digest: Digest,
        at: Timestamp,
    ) -> Result<Removal, StoreError> {
        self.write(move |transaction, _| {
            let Some(blob) = by_digest(transaction, &repository, &digest)? else { return Ok(Removal::Missing) };
            if is_named(transaction, &repository, &digest)? {
                return Ok(Removal::Needed);
            }
            remove(transaction, &repository, &digest, &blob.pieces, at)?;
            Ok(Removal::Removed)
        })
        .await
    }
}

/// Ends pushes to which nothing came since a time, or comes now (`busy`, ids in JSON), at most `most`; answers how many.
pub(crate) fn end_unneeded(
    transaction: &Transaction<'_>,
    before: Timestamp,
    busy: &str,
    most: usize,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT * FROM blob_upload WHERE touched_at < ?1 AND id NOT IN (SELECT value FROM json_each(?3)) LIMIT ?2",
    )?;
    let bounds = params![row::milliseconds(before), row::integer(most), busy];
    let old = row::collect(&mut statement, bounds, read_upload)?;
    for upload in &old {
        end(transaction, upload, at)?;
    }
    Ok(old.len())
}

/// Removes blobs that no manifest of their repository has named since `before`, at most `most`; answers how many.
pub(crate) fn remove_unneeded(
    transaction: &Transaction<'_>,
    before: Timestamp,
    busy: &str,
    most: usize,
    at: Timestamp,
) -> Result<usize, StoreError> {
    // of a repository that something is just being pushed to, they may be part of that
    let mut statement = transaction.prepare_cached(
        "SELECT * FROM repository_blob WHERE unneeded_since < ?1 AND NOT EXISTS
             (SELECT 1 FROM blob_upload WHERE blob_upload.repository = repository_blob.repository
                  AND (blob_upload.touched_at >= ?1 OR blob_upload.id IN (SELECT value FROM json_each(?3)))) LIMIT ?2",
    )?;
    let unneeded: Vec<(RepositoryName, Digest, Vec<Piece>)> =
        row::collect(&mut statement, params![row::milliseconds(before), row::integer(most), busy], |found| {
            Ok((row::parsed(found, "repository")?, row::parsed(found, "digest")?, pieces(found)?))
        })?;
    for (repository, digest, pieces) in &unneeded {
        remove(transaction, repository, digest, pieces, at)?;
    }
    Ok(unneeded.len())
}

/// Whether a repository has this blob.
fn has_blob(connection: &Connection, repository: &RepositoryName, digest: &Digest) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM repository_blob WHERE repository = ?1 AND digest = ?2")?;
    Ok(statement.exists(params![repository.as_str(), digest.as_str()])?)
}

/// Notes of what is in a table that it is not unneeded.
pub(crate) fn note_needed(
    transaction: &Transaction<'_>,
    table: &'static str,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE {table} SET unneeded_since = NULL WHERE repository = ?1 AND digest = ?2 AND unneeded_since IS NOT NULL"
    );
    transaction.prepare_cached(&sql)?.execute(params![repository.as_str(), digest.as_str()])?;
    Ok(())
}

/// Begins the time anew after which a blob that no manifest names goes; answers whether the repository has it.
fn renew(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let mut statement = transaction.prepare_cached(
        "UPDATE repository_blob SET unneeded_since = iif(unneeded_since IS NULL, NULL, ?3)
         WHERE repository = ?1 AND digest = ?2",
    )?;
    Ok(statement.execute(params![repository.as_str(), digest.as_str(), row::milliseconds(at)])? > 0)
}

/// Notes of those of these blobs that no manifest names any more that they are unneeded from now on.
pub(crate) fn note_blobs(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    blobs: &[Digest],
    at: Timestamp,
) -> Result<(), StoreError> {
    for blob in blobs {
        if !is_named(transaction, repository, blob)? {
            transaction
                .prepare_cached("UPDATE repository_blob SET unneeded_since = ?3 WHERE repository = ?1 AND digest = ?2")?
                .execute(params![repository.as_str(), blob.as_str(), row::milliseconds(at)])?;
        }
    }
    Ok(())
}

/// Whether a manifest of the repository names this blob.
fn is_named(transaction: &Transaction<'_>, repository: &RepositoryName, digest: &Digest) -> Result<bool, StoreError> {
    let mut statement =
        transaction.prepare_cached("SELECT 1 FROM manifest_blob WHERE repository = ?1 AND digest = ?2")?;
    Ok(statement.exists(params![repository.as_str(), digest.as_str()])?)
}

/// Gives a repository, which lacks it, the blob of any other one; answers whether one has it.
fn share(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT * FROM repository_blob WHERE digest = ?1 LIMIT 1")?;
    let Some(blob) = row::first(&mut statement, params![digest.as_str()], read_blob)? else { return Ok(false) };
    if !need(transaction, &blob.pieces, Freshness::Shared)? {
        return Err(StoreError::Gone);
    }
    insert(transaction, repository, digest, blob.size, &blob.pieces, at)?;
    Ok(true)
}

/// Adds a blob whose pieces were counted. Until a manifest names it, nothing needs it.
fn insert(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    size: u64,
    pieces: &[Piece],
    at: Timestamp,
) -> Result<(), StoreError> {
    transaction.prepare_cached("INSERT INTO repository_blob VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        repository.as_str(),
        digest.as_str(),
        row::integer(size),
        pieces_to_json(pieces),
        row::milliseconds(at),
    ])?;
    Ok(())
}

fn remove(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    pieces: &[Piece],
    at: Timestamp,
) -> Result<(), StoreError> {
    let_go(transaction, pieces, at)?;
    transaction
        .prepare_cached("DELETE FROM repository_blob WHERE repository = ?1 AND digest = ?2")?
        .execute(params![repository.as_str(), digest.as_str()])?;
    Ok(())
}

fn end(transaction: &Transaction<'_>, upload: &BlobUpload, at: Timestamp) -> Result<(), StoreError> {
    let_go(transaction, &upload.pieces, at)?;
    transaction.prepare_cached("DELETE FROM blob_upload WHERE id = ?1")?.execute(params![upload.id])?;
    Ok(())
}

fn by_digest(
    connection: &Connection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<RepositoryBlob>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM repository_blob WHERE repository = ?1 AND digest = ?2")?;
    row::first(&mut statement, params![repository.as_str(), digest.as_str()], read_blob)
}

fn upload(connection: &Connection, repository: &RepositoryName, id: &str) -> Result<Option<BlobUpload>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM blob_upload WHERE id = ?1 AND repository = ?2")?;
    row::first(&mut statement, params![id, repository.as_str()], read_upload)
}

fn read_blob(found: &Row<'_>) -> Result<RepositoryBlob, StoreError> {
    Ok(RepositoryBlob {
        size: size(found)?,
        pieces: pieces(found)?,
        unneeded_since: row::optional_moment(found, "unneeded_since")?,
    })
}

fn read_upload(found: &Row<'_>) -> Result<BlobUpload, StoreError> {
    Ok(BlobUpload {
        id: found.get("id")?,
        repository: row::parsed(found, "repository")?,
        size: size(found)?,
        pieces: pieces(found)?,
        touched_at: row::moment(found, "touched_at")?,
    })
}
