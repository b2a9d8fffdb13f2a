//! What nobody needs any more, and what letting go of it, or trying to, frees.

use std::collections::{BTreeSet, HashSet};

use harbor_model::Timestamp;
use harbor_model::garbage::{LetGo, Unneeded};
use rusqlite::{Connection, Transaction, params};

use crate::image_row::unused;
use crate::{Store, StoreError, Writer, objects, repositories, repository_blobs, row, uploads};

/// What lies in a build context's place, after its organization and its name.
const CONTEXT: &str = "context.tar";

/// A collection of what nobody needs.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Only what has been unneeded since before this goes.
    pub before: Timestamp,
    /// What becomes unneeded by it has been so since this.
    pub noted: Timestamp,
    /// The time.
    pub now: Timestamp,
    /// The bucket that build contexts lie in.
    pub contexts_in: String,
}

impl Store {
    /// The references of images that somebody needs, or needed since `before`.
    pub async fn needed_images(&self, before: Timestamp) -> Result<BTreeSet<String>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(concat!(
                "SELECT reference FROM image WHERE NOT (state IN ('ready', 'failed') AND updated_at < ?1 AND ",
                unused!(),
                ")"
            ))?;
            let all = row::collect(&mut statement, params![row::milliseconds(before)], |found| {
                Ok(found.get::<_, String>("reference")?)
            })?;
            Ok(all.into_iter().collect())
        })
        .await
    }
}

impl Writer {
    /// Lets go of some of what is unneeded; whoever else writes waits for these alone.
    pub async fn let_go_of(&self, what: Unneeded, collection: Collection) -> Result<LetGo, StoreError> {
        self.write(move |transaction, _| some(transaction, what, &collection)).await
    }

    /// What letting go of everything that is unneeded would do, at most `portions` of each kind; nothing is changed.
    pub async fn rehearse(
        &self,
        collection: Collection,
        portions: usize,
    ) -> Result<Vec<(Unneeded, LetGo)>, StoreError> {
        self.write(move |transaction, _| {
            transaction.execute_batch("SAVEPOINT rehearsal")?;
            let mut told = Vec::new();
            for what in Unneeded::ALL {
                let mut all = some(transaction, what, &collection)?;
                for _ in 1..portions {
                    if !all.more {
                        break;
                    }
                    all.go_on(some(transaction, what, &collection)?);
                }
                told.push((what, all));
            }
            transaction.execute_batch("ROLLBACK TO rehearsal; RELEASE rehearsal")?;
            Ok(told)
        })
        .await
    }
}

fn some(transaction: &Transaction<'_>, what: Unneeded, collection: &Collection) -> Result<LetGo, StoreError> {
    let Collection { before, noted, now, contexts_in } = collection;
    let unused_before = unused_blobs(transaction)?;
    // each upload may have thousands of parts
    let most = if matches!(what, Unneeded::Uploads | Unneeded::RegistryPushes) { 16 } else { 100 };
    let count = match what {
        Unneeded::RegistryImages => repositories::remove_unneeded(transaction, *before, most, *noted),
        Unneeded::RegistryBlobs => repository_blobs::remove_unneeded(transaction, *before, most, *now),
        Unneeded::RegistryPushes => repository_blobs::end_unneeded(transaction, *before, most, *now),
        Unneeded::Uploads => uploads::remove_unneeded(transaction, *before, most, *now),
        Unneeded::BuildContexts => remove_contexts(transaction, contexts_in, *before, most, *now),
    }?;
    let mut blobs = unused_blobs(transaction)?;
    blobs.retain(|blob| !unused_before.contains(blob));
    Ok(LetGo { count: count as u64, blobs: blobs.into_iter().collect(), more: count == most })
}

fn unused_blobs(transaction: &Transaction<'_>) -> Result<HashSet<String>, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT id FROM blob WHERE uses = 0")?;
    Ok(row::collect(&mut statement, [], |found| Ok(found.get("id")?))?.into_iter().collect())
}

/// Removes build contexts that nothing is made with and that nobody wrote since a time, at most `most`; answers how many.
fn remove_contexts(
    transaction: &Transaction<'_>,
    bucket: &str,
    before: Timestamp,
    most: usize,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let unneeded = unneeded_contexts(transaction, bucket, before, most)?;
    for key in &unneeded {
        objects::remove(transaction, bucket, key, at)?;
    }
    Ok(unneeded.len())
}

fn unneeded_contexts(
    connection: &Connection,
    bucket: &str,
    before: Timestamp,
    most: usize,
) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT key FROM object WHERE bucket = ?1 AND modified_at < ?2 AND key LIKE '%/context.tar' AND key NOT IN (
             SELECT organization || '/' || value || '/context.tar' FROM image, json_each(image.contexts)
             UNION SELECT organization || '/' || value || '/context.tar' FROM snapshot, json_each(snapshot.contexts)
             UNION SELECT organization || '/' || value || '/context.tar' FROM sandbox, json_each(sandbox.contexts)
                 WHERE sandbox.live = 1)",
    )?;
    let mut rows = statement.query(params![bucket, row::milliseconds(before)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get("key")?;
        // what a user keeps there by another name is the user's
        if is_context(&key) {
            found.push(key);
        }
        if found.len() == most {
            break;
        }
    }
    Ok(found)
}

/// Whether an object lies where clients put what an image is to be built with: below its organization's id and a digest.
fn is_context(key: &str) -> bool {
    let mut names = key.split('/');
    let (_organization, digest, file) = (names.next(), names.next().unwrap_or_default(), names.next());
    let is_digest = digest.len() >= 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest && file == Some(CONTEXT) && names.next().is_none()
}

#[cfg(test)]
mod tests {
    #[test]
    fn contexts_lie_below_an_organization_and_a_digest() {
        let digest = "d41d8cd98f00b204e9800998ecf8427e";
        assert!(super::is_context(&format!("organization/{digest}/context.tar")));
        for other in [
            format!("organization/{digest}/context.tar/more"),
            format!("organization/{digest}/other.tar"),
            format!("organization/more/{digest}/context.tar"),
            "organization/notes/context.tar".to_owned(),
            format!("{digest}/context.tar"),
        ] {
            assert!(!super::is_context(&other), "{other}");
        }
    }
}
