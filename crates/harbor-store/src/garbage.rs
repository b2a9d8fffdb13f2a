//! What nobody needs any more, and what letting go of it, or trying to, frees.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harbor_model::Timestamp;
use harbor_model::garbage::{Collection, LetGo, Unneeded};
use harbor_model::ids::OrganizationId;
use rusqlite::{Connection, Transaction, params};

use crate::image_row::unneeded;
use crate::images::purge;
use crate::{Store, StoreError, Writer, objects, repositories, repository_blobs, row, uploads};

/// What lies in a build context's place, after its organization and its name.
const CONTEXT: &str = "context.tar";

/// How many things are let go of at a time.
const PORTION: usize = 100;

/// How long a rehearsal may take: whoever writes waits for it.
const REHEARSAL: Duration = Duration::from_secs(2);

impl Store {
    /// The references of images that somebody needs, or needed since `before`.
    pub async fn needed_images(&self, before: Timestamp) -> Result<BTreeSet<String>, StoreError> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached(concat!("SELECT reference FROM image WHERE NOT (", unneeded!(), ")"))?;
            let all = row::collect(&mut statement, params![row::milliseconds(before)], |found| {
                Ok(found.get::<_, String>("reference")?)
            })?;
            Ok(all.into_iter().collect())
        })
        .await
    }

    /// The blobs that nothing needs any more since a collection of this time.
    pub async fn let_go_at(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| let_go_at(connection, now)).await
    }
}

impl Writer {
    /// Lets go of some of what is unneeded; whoever else writes waits for these alone. Build contexts lie in this bucket.
    pub async fn let_go_of(
        &self,
        what: Unneeded,
        collection: Collection,
        contexts_in: String,
    ) -> Result<LetGo, StoreError> {
        let mut contexts = None;
        if what == Unneeded::BuildContexts {
            // looked for by a reader, as there may be many, and looked at once more by the writer
            let bucket = contexts_in.clone();
            let before = collection.before;
            let found = move |connection: &Connection| unneeded_contexts(connection, &bucket, before, None);
            contexts = Some(self.store().read(found).await?);
        }
        self.write(move |transaction, _| some(transaction, what, &collection, &contexts_in, contexts.as_deref())).await
    }

    /// What letting go of everything that is unneeded would do, at most `portions` of each kind; nothing is changed.
    pub async fn rehearse(
        &self,
        collection: Collection,
        contexts_in: String,
        portions: usize,
    ) -> Result<Vec<(Unneeded, LetGo)>, StoreError> {
        self.write(move |transaction, _| {
            let begun = Instant::now();
            transaction.execute_batch("SAVEPOINT rehearsal")?;
            // as a collection does, so that what only these needed goes with them
            purge(transaction, collection.before)?;
            let (mut told, mut seen) = (Vec::new(), BTreeSet::new());
            for what in Unneeded::ALL {
                let mut all = LetGo::default();
                for _ in 0..portions {
                    let next = some(transaction, what, &collection, &contexts_in, None)?;
                    (all.count, all.more) = (all.count + next.count, next.more);
                    if !all.more || begun.elapsed() > REHEARSAL {
                        break;
                    }
                }
                let new = let_go_at(transaction, collection.now)?.into_iter().filter(|blob| seen.insert(blob.clone()));
                all.blobs = new.collect();
                told.push((what, all));
            }
            transaction.execute_batch("ROLLBACK TO rehearsal; RELEASE rehearsal")?;
            Ok(told)
        })
        .await
    }
}

/// Lets go of some of what is unneeded: of `contexts`, or of all where there are none.
fn some(
    transaction: &Transaction<'_>,
    what: Unneeded,
    collection: &Collection,
    contexts_in: &str,
    contexts: Option<&[String]>,
) -> Result<LetGo, StoreError> {
    let (before, now) = (collection.before, collection.now);
    let busy = row::json(collection.busy.to_vec());
    // each upload may have thousands of parts
    let most = if matches!(what, Unneeded::Uploads | Unneeded::RegistryPushes) { 16 } else { PORTION };
    let count = match what {
        Unneeded::RegistryImages => {
            repositories::remove_unneeded(transaction, before, most, collection.unneeded_since())
        }
        Unneeded::RegistryBlobs => repository_blobs::remove_unneeded(transaction, before, &busy, most, now),
        Unneeded::RegistryPushes => repository_blobs::end_unneeded(transaction, before, &busy, most, now),
        Unneeded::Uploads => uploads::remove_unneeded(transaction, before, &busy, most, now),
        Unneeded::BuildContexts => {
            let unneeded = unneeded_contexts(transaction, contexts_in, before, contexts)?;
            unneeded.iter().try_for_each(|key| objects::remove(transaction, contexts_in, key, now))?;
            Ok(unneeded.len())
        }
    }?;
    // what a list listed is unneeded once that is gone
    let more = if what == Unneeded::RegistryImages { count > 0 } else { count >= most };
    Ok(LetGo { count: count as u64, more, blobs: Vec::new() })
}

fn let_go_at(connection: &Connection, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM blob WHERE uses = 0 AND unused_since = ?1")?;
    row::collect(&mut statement, params![row::milliseconds(now)], |found| Ok(found.get("id")?))
}

/// Build contexts that nothing is made with and that nobody wrote since a time, some of them; only of `these`, if they are named.
fn unneeded_contexts(
    connection: &Connection,
    bucket: &str,
    before: Timestamp,
    these: Option<&[String]>,
) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT key FROM object WHERE bucket = ?1 AND modified_at < ?2 AND key LIKE '%/context.tar'
             AND (?3 IS NULL OR key IN (SELECT value FROM json_each(?3))) AND key NOT IN (
                 SELECT organization || '/' || value || '/context.tar' FROM image, json_each(image.contexts)
                 UNION SELECT organization || '/' || value || '/context.tar' FROM snapshot, json_each(snapshot.contexts)
                 UNION SELECT organization || '/' || value || '/context.tar' FROM sandbox, json_each(sandbox.contexts)
                     WHERE sandbox.live = 1)",
    )?;
    let these = these.map(|these| row::json(these.to_vec()));
    let mut rows = statement.query(params![bucket, row::milliseconds(before), these])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get("key")?;
        // what a user keeps there by another name is the user's
        if is_context(&key) {
            found.push(key);
        }
        if found.len() == PORTION {
            break;
        }
    }
    Ok(found)
}

/// Whether an object lies where clients put what an image is to be built with: below its organization's id and a digest.
fn is_context(key: &str) -> bool {
    let mut names = key.split('/');
    let organization: Option<OrganizationId> = names.next().and_then(|name| name.parse().ok());
    let (digest, file) = (names.next().unwrap_or_default(), names.next());
    let is_digest = digest.len() >= 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    organization.is_some() && is_digest && file == Some(CONTEXT) && names.next().is_none()
}

#[cfg(test)]
mod tests {
    use harbor_model::ids::OrganizationId;

    #[test]
    fn contexts_lie_below_an_organization_and_a_digest() {
        let (organization, digest) = (OrganizationId::random(), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(super::is_context(&format!("{organization}/{digest}/context.tar")));
        for other in [
            format!("{organization}/{digest}/context.tar/more"),
            format!("{organization}/{digest}/other.tar"),
            format!("{organization}/more/{digest}/context.tar"),
            format!("{organization}/notes/context.tar"),
            format!("backups/{digest}/context.tar"),
            format!("{digest}/context.tar"),
        ] {
            assert!(!super::is_context(&other), "{other}");
        }
    }
}
