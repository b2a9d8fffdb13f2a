//! Repositories of the registry: their manifests, and what these are called.

use harbor_model::Timestamp;
use harbor_model::repositories::{Digest, Manifest, ManifestKey, ManifestPush, NewManifest, RepositoryName, Tag};
use rusqlite::{Connection, Row, Transaction, params};

use crate::repository_blobs::{by_digest, note_needed, note_unneeded};
use crate::{Store, StoreError, Writer, row};

impl Store {
    /// The manifest of a repository that has this tag or digest.
    pub async fn manifest(&self, repository: RepositoryName, key: ManifestKey) -> Result<Option<Manifest>, StoreError> {
        self.read(move |connection| {
            let (sql, text) = match &key {
                ManifestKey::Digest(digest) => {
                    ("SELECT * FROM manifest WHERE repository = ?1 AND digest = ?2", digest.as_str())
                }
                ManifestKey::Tag(tag) => (
                    "SELECT manifest.* FROM tag
                     JOIN manifest ON manifest.repository = tag.repository AND manifest.digest = tag.manifest
                     WHERE tag.repository = ?1 AND tag.name = ?2",
                    tag.as_str(),
                ),
            };
            let mut statement = connection.prepare_cached(sql)?;
            row::first(&mut statement, params![repository.as_str(), text], read)
        })
        .await
    }

    /// The manifests of a repository that are about the one with this digest and come after another one, at most `most`, by
    /// digest.
    pub async fn referrers(
        &self,
        repository: RepositoryName,
        subject: Digest,
        after: String,
        most: usize,
    ) -> Result<Vec<Manifest>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM manifest WHERE repository = ?1 AND subject = ?2 AND digest > ?3 ORDER BY digest LIMIT ?4",
            )?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            row::collect(&mut statement, params![repository.as_str(), subject.as_str(), after, most], read)
        })
        .await
    }

    /// The tags of a repository after one of them, at most `most`, in the order of their bytes; `None`: there is no such
    /// repository.
    pub async fn tags(
        &self,
        repository: RepositoryName,
        after: String,
        most: usize,
    ) -> Result<Option<Vec<Tag>>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT name FROM tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3")?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let tags: Vec<Tag> = row::collect(&mut statement, params![repository.as_str(), after, most], |found| {
                row::parsed(found, "name")
            })?;
            if tags.is_empty() && !exists(connection, &repository)? {
                return Ok(None);
            }
            Ok(Some(tags))
        })
        .await
    }

    /// The repositories with manifests whose names come after one of them, at most `most`, in the order of their bytes.
    pub async fn repositories(&self, after: String, most: usize) -> Result<Vec<RepositoryName>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT repository FROM manifest WHERE repository > ?1 ORDER BY repository LIMIT ?2",
            )?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            row::collect(&mut statement, params![after, most], |found| row::parsed(found, "repository"))
        })
        .await
    }
}

impl Writer {
    /// Adds a manifest to a repository that has all that it names, and calls it by its tag.
    pub async fn push_manifest(
        &self,
        repository: RepositoryName,
        new: NewManifest,
    ) -> Result<ManifestPush, StoreError> {
        self.write(move |transaction, _| {
            let NewManifest { manifest, blobs, manifests, tag } = new;
            let name = repository.as_str();
            for (blob, size) in &blobs {
                match by_digest(transaction, &repository, blob)? {
                    None => return Ok(ManifestPush::NoBlob(blob.clone())),
                    Some(found) if found.size != *size => return Ok(ManifestPush::OtherSize(blob.clone())),
                    Some(_) => {}
                }
            }
            for listed in manifests {
                if !has_manifest(transaction, &repository, &listed)? {
                    return Ok(ManifestPush::NoManifest(listed));
                }
            }
            let digest = manifest.digest.as_str();
            transaction
                .prepare_cached(
                    "INSERT INTO manifest VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT DO UPDATE SET media_type = excluded.media_type",
                )?
                .execute(params![
                    name,
                    digest,
                    manifest.media_type,
                    manifest.content,
                    manifest.subject.as_ref().map(Digest::as_str),
                    manifest.artifact_type,
                    row::milliseconds(manifest.pushed_at),
                ])?;
            for (blob, _) in blobs {
                transaction
                    .prepare_cached("INSERT OR IGNORE INTO manifest_blob VALUES (?1, ?2, ?3)")?
                    .execute(params![name, blob.as_str(), digest])?;
                note_needed(transaction, &repository, &blob)?;
            }
            if let Some(tag) = tag {
                transaction.prepare_cached("INSERT OR REPLACE INTO tag VALUES (?1, ?2, ?3)")?.execute(params![
                    name,
                    tag.as_str(),
                    digest
                ])?;
            }
            Ok(ManifestPush::Done)
        })
        .await
    }

    /// Removes a manifest with all its tags; answers whether there was one.
    pub async fn remove_manifest(
        &self,
        repository: RepositoryName,
        digest: Digest,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let key = params![repository.as_str(), digest.as_str()];
            transaction.prepare_cached("DELETE FROM tag WHERE repository = ?1 AND manifest = ?2")?.execute(key)?;
            let mut named = transaction
                .prepare_cached("DELETE FROM manifest_blob WHERE repository = ?1 AND manifest = ?2 RETURNING digest")?;
            let blobs: Vec<Digest> = row::collect(&mut named, key, |found| row::parsed(found, "digest"))?;
            note_unneeded(transaction, &repository, &blobs, at)?;
            let mut manifest =
                transaction.prepare_cached("DELETE FROM manifest WHERE repository = ?1 AND digest = ?2")?;
            Ok(manifest.execute(key)? > 0)
        })
        .await
    }

    /// Removes a tag, and leaves its manifest; answers whether there was one.
    pub async fn remove_tag(&self, repository: RepositoryName, tag: Tag) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let mut statement = transaction.prepare_cached("DELETE FROM tag WHERE repository = ?1 AND name = ?2")?;
            Ok(statement.execute(params![repository.as_str(), tag.as_str()])? > 0)
        })
        .await
    }
}

/// Whether anything was pushed to a repository and is still there.
fn exists(connection: &Connection, repository: &RepositoryName) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM manifest WHERE repository = ?1 UNION ALL SELECT 1 FROM repository_blob WHERE repository = ?1",
    )?;
    Ok(statement.exists(params![repository.as_str()])?)
}

fn has_manifest(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<bool, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT 1 FROM manifest WHERE repository = ?1 AND digest = ?2")?;
    Ok(statement.exists(params![repository.as_str(), digest.as_str()])?)
}

fn read(found: &Row<'_>) -> Result<Manifest, StoreError> {
    Ok(Manifest {
        digest: row::parsed(found, "digest")?,
        media_type: found.get("media_type")?,
        content: found.get("content")?,
        subject: row::optional_id(found, "subject")?,
        artifact_type: found.get("artifact_type")?,
        pushed_at: row::moment(found, "pushed_at")?,
    })
}
