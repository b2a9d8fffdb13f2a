//! Repositories of the registry: their manifests, and what these are called.

use harbor_model::Timestamp;
use harbor_model::repositories::{
    Digest, Manifest, ManifestKey, ManifestPush, NewManifest, Referrer, Removal, RepositoryName, Tag,
};
use rusqlite::{Connection, Row, Transaction, params};

use crate::objects::size;
use crate::repository_blobs::{note_blobs, note_needed};
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
    /// digest; only those of this kind of artifact, if one is given.
    pub async fn referrers(
        &self,
        repository: RepositoryName,
        subject: Digest,
        kind: Option<String>,
        after: String,
        most: usize,
    ) -> Result<Vec<Referrer>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT digest, media_type, length(content) AS size, artifact_type, annotations FROM manifest
                 WHERE repository = ?1 AND subject = ?2 AND digest > ?3 AND (?4 IS NULL OR artifact_type = ?4)
                 ORDER BY digest LIMIT ?5",
            )?;
            let most = row::integer(most);
            row::collect(&mut statement, params![repository.as_str(), subject.as_str(), after, kind, most], |found| {
                Ok(Referrer {
                    digest: row::parsed(found, "digest")?,
                    media_type: found.get("media_type")?,
                    size: size(found)?,
                    artifact_type: found.get("artifact_type")?,
                    annotations: found.get("annotations")?,
                })
            })
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
            let most = row::integer(most);
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
            let most = row::integer(most);
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
            let NewManifest { manifest, named, tag } = new;
            let mut parts = Vec::new();
            for part in &named {
                let found = look_up(transaction, &repository, &part.digest)?;
                if found.is_empty() && !part.elsewhere {
                    return Ok(ManifestPush::Missing(part.digest.clone()));
                }
                if found.iter().any(|(_, size)| *size != part.size) {
                    return Ok(ManifestPush::OtherSize(part.digest.clone()));
                }
                parts.extend(found.into_iter().map(|(kind, _)| (kind, &part.digest)));
            }
            insert(transaction, &repository, &manifest)?;
            for (kind, part) in parts {
                name_part(transaction, &repository, &manifest.digest, kind, part)?;
            }
            if let Some(tag) = tag {
                let before = tagged(transaction, &repository, &tag)?;
                transaction.prepare_cached("INSERT OR REPLACE INTO tag VALUES (?1, ?2, ?3)")?.execute(params![
                    repository.as_str(),
                    tag.as_str(),
                    manifest.digest.as_str()
                ])?;
                note_manifests(transaction, &repository, before.as_slice(), manifest.pushed_at)?;
                note_needed(transaction, "manifest", &repository, &manifest.digest)?;
            }
            Ok(ManifestPush::Done)
        })
        .await
    }

    /// Removes a manifest that no other one lists, with all its tags.
    pub async fn remove_manifest(
        &self,
        repository: RepositoryName,
        digest: Digest,
        at: Timestamp,
    ) -> Result<Removal, StoreError> {
        self.write(move |transaction, _| remove(transaction, &repository, &digest, at)).await
    }

    /// Removes a tag, and leaves its manifest; answers whether there was one.
    pub async fn remove_tag(&self, repository: RepositoryName, tag: Tag, at: Timestamp) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let Some(manifest) = tagged(transaction, &repository, &tag)? else { return Ok(false) };
            transaction
                .prepare_cached("DELETE FROM tag WHERE repository = ?1 AND name = ?2")?
                .execute(params![repository.as_str(), tag.as_str()])?;
            note_manifests(transaction, &repository, &[manifest], at)?;
            Ok(true)
        })
        .await
    }
}

/// Removes manifests that lost their last tag or list before a time and have had none since, at most `most`; answers how many.
/// What only they named is unneeded since `at`. Those that are about another one are not among them.
pub(crate) fn remove_unneeded(
    transaction: &Transaction<'_>,
    before: Timestamp,
    most: usize,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let mut statement =
        transaction.prepare_cached("SELECT repository, digest FROM manifest WHERE unneeded_since < ?1 LIMIT ?2")?;
    let unneeded: Vec<(RepositoryName, Digest)> =
        row::collect(&mut statement, params![row::milliseconds(before), row::integer(most)], |found| {
            Ok((row::parsed(found, "repository")?, row::parsed(found, "digest")?))
        })?;
    for (repository, digest) in &unneeded {
        remove(transaction, repository, digest, at)?;
    }
    Ok(unneeded.len())
}

/// What a manifest may name.
#[derive(Clone, Copy)]
enum Kind {
    Blob,
    Manifest,
}

/// What a repository has by this digest, a blob, a manifest or both, and its size.
fn look_up(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<(Kind, u64)>, StoreError> {
    let mut found = Vec::new();
    for (kind, sql) in [
        (Kind::Blob, "SELECT size FROM repository_blob WHERE repository = ?1 AND digest = ?2"),
        (Kind::Manifest, "SELECT length(content) AS size FROM manifest WHERE repository = ?1 AND digest = ?2"),
    ] {
        let key = params![repository.as_str(), digest.as_str()];
        found.extend(row::first(&mut *transaction.prepare_cached(sql)?, key, size)?.map(|size| (kind, size)));
    }
    Ok(found)
}

/// Notes that a manifest names a part.
fn name_part(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    manifest: &Digest,
    kind: Kind,
    part: &Digest,
) -> Result<(), StoreError> {
    let (sql, table) = match kind {
        Kind::Blob => ("INSERT OR IGNORE INTO manifest_blob VALUES (?1, ?2, ?3)", "repository_blob"),
        Kind::Manifest => ("INSERT OR IGNORE INTO manifest_listed VALUES (?1, ?2, ?3)", "manifest"),
    };
    transaction.prepare_cached(sql)?.execute(params![repository.as_str(), part.as_str(), manifest.as_str()])?;
    note_needed(transaction, table, repository, part)
}

fn insert(transaction: &Transaction<'_>, repository: &RepositoryName, manifest: &Manifest) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO manifest VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL)
             ON CONFLICT DO UPDATE SET media_type = excluded.media_type, unneeded_since = NULL",
        )?
        .execute(params![
            repository.as_str(),
            manifest.digest.as_str(),
            manifest.media_type,
            manifest.content,
            manifest.subject.as_ref().map(Digest::as_str),
            manifest.artifact_type,
            manifest.annotations,
            row::milliseconds(manifest.pushed_at),
        ])?;
    Ok(())
}

fn remove(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    at: Timestamp,
) -> Result<Removal, StoreError> {
    let key = params![repository.as_str(), digest.as_str()];
    let mut listed =
        transaction.prepare_cached("SELECT 1 FROM manifest_listed WHERE repository = ?1 AND digest = ?2")?;
    if listed.exists(key)? {
        return Ok(Removal::Needed);
    }
    transaction.prepare_cached("DELETE FROM tag WHERE repository = ?1 AND manifest = ?2")?.execute(key)?;
    let parts = |sql| -> Result<Vec<Digest>, StoreError> {
        row::collect(&mut *transaction.prepare_cached(sql)?, key, |found| row::parsed(found, "digest"))
    };
    let blobs = parts("DELETE FROM manifest_blob WHERE repository = ?1 AND manifest = ?2 RETURNING digest")?;
    let manifests = parts("DELETE FROM manifest_listed WHERE repository = ?1 AND manifest = ?2 RETURNING digest")?;
    note_blobs(transaction, repository, &blobs, at)?;
    note_manifests(transaction, repository, &manifests, at)?;
    let mut manifest = transaction.prepare_cached("DELETE FROM manifest WHERE repository = ?1 AND digest = ?2")?;
    Ok(if manifest.execute(key)? > 0 { Removal::Removed } else { Removal::Missing })
}

/// Notes of those of these manifests that have no tag and that no other one lists that they are unneeded from now on. One that
/// is about another one stays as it is: it is found by that.
fn note_manifests(
    transaction: &Transaction<'_>,
    repository: &RepositoryName,
    manifests: &[Digest],
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "UPDATE manifest SET unneeded_since = ?3 WHERE repository = ?1 AND digest = ?2 AND subject IS NULL
             AND NOT EXISTS (SELECT 1 FROM tag WHERE tag.repository = ?1 AND tag.manifest = ?2)
             AND NOT EXISTS (SELECT 1 FROM manifest_listed AS listed WHERE listed.repository = ?1 AND listed.digest = ?2)",
    )?;
    for manifest in manifests {
        statement.execute(params![repository.as_str(), manifest.as_str(), row::milliseconds(at)])?;
    }
    Ok(())
}

/// The manifest that a tag is of.
fn tagged(transaction: &Transaction<'_>, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT manifest FROM tag WHERE repository = ?1 AND name = ?2")?;
    row::first(&mut statement, params![repository.as_str(), tag.as_str()], |found| row::parsed(found, "manifest"))
}

/// Whether anything was pushed to a repository and is still there.
fn exists(connection: &Connection, repository: &RepositoryName) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM manifest WHERE repository = ?1 UNION ALL SELECT 1 FROM repository_blob WHERE repository = ?1",
    )?;
    Ok(statement.exists(params![repository.as_str()])?)
}

fn read(found: &Row<'_>) -> Result<Manifest, StoreError> {
    Ok(Manifest {
        digest: row::parsed(found, "digest")?,
        media_type: found.get("media_type")?,
        content: found.get("content")?,
        subject: row::optional_id(found, "subject")?,
        artifact_type: found.get("artifact_type")?,
        annotations: found.get("annotations")?,
        pushed_at: row::moment(found, "pushed_at")?,
    })
}
