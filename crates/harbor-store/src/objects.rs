//! Buckets and the objects in them.

use harbor_model::Timestamp;
use harbor_model::objects::{BucketRemoval, Condition, Entry, Freshness, Listing, Page, Put, StoredObject};
use rusqlite::{Connection, Row, Transaction, params};

use crate::blobs::{let_go, need, pieces, pieces_to_json};
use crate::{Store, StoreError, Writer, row};

impl Store {
    /// All buckets, by name, and when they were made.
    pub async fn buckets(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM bucket ORDER BY name")?;
            row::collect(&mut statement, [], |found| Ok((found.get("name")?, row::moment(found, "created_at")?)))
        })
        .await
    }

    /// Whether there is this bucket.
    pub async fn has_bucket(&self, name: String) -> Result<bool, StoreError> {
        self.read(move |connection| has_bucket(connection, &name)).await
    }

    /// The object of this key.
    pub async fn object(&self, bucket: String, key: String) -> Result<Option<StoredObject>, StoreError> {
        self.read(move |connection| by_key(connection, &bucket, &key)).await
    }

    /// Lists objects, in the order of bytes.
    pub async fn objects(&self, bucket: String, listing: Listing) -> Result<Page, StoreError> {
        self.read(move |connection| list(connection, &bucket, &listing)).await
    }
}

impl Writer {
    /// Makes a bucket; answers whether it is new.
    pub async fn create_bucket(&self, name: String, at: Timestamp) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let mut statement = transaction.prepare_cached("INSERT OR IGNORE INTO bucket VALUES (?1, ?2)")?;
            Ok(statement.execute(params![name, row::milliseconds(at)])? > 0)
        })
        .await
    }

    /// Removes a bucket that has no objects and no uploads.
    pub async fn remove_bucket(&self, name: String) -> Result<BucketRemoval, StoreError> {
        self.write(move |transaction, _| {
            if !has_bucket(transaction, &name)? {
                return Ok(BucketRemoval::Missing);
            }
            let mut statement = transaction.prepare_cached(
                "DELETE FROM bucket WHERE name = ?1
                     AND NOT EXISTS (SELECT 1 FROM object WHERE object.bucket = ?1)
                     AND NOT EXISTS (SELECT 1 FROM upload WHERE upload.bucket = ?1)",
            )?;
            let removed = statement.execute(params![name])? > 0;
            Ok(if removed { BucketRemoval::Removed } else { BucketRemoval::NotEmpty })
        })
        .await
    }

    /// Writes an object in place of the one before, if the condition is true of that.
    pub async fn put_object(
        &self,
        bucket: String,
        key: String,
        object: StoredObject,
        condition: Condition,
        fresh: Freshness,
    ) -> Result<Put, StoreError> {
        self.write(move |transaction, _| {
            if !has_bucket(transaction, &bucket)? {
                return Ok(Put::Missing);
            }
            put(transaction, &bucket, &key, &object, &condition, fresh)
        })
        .await
    }

    /// Removes objects; a key without one is fine.
    pub async fn remove_objects(&self, bucket: String, keys: Vec<String>, at: Timestamp) -> Result<(), StoreError> {
        self.write(move |transaction, _| keys.iter().try_for_each(|key| remove(transaction, &bucket, key, at))).await
    }
}

/// Removes an object; a key without one is fine.
pub(crate) fn remove(transaction: &Transaction<'_>, bucket: &str, key: &str, at: Timestamp) -> Result<(), StoreError> {
    if let Some(object) = by_key(transaction, bucket, key)? {
        let_go(transaction, &object.pieces, at)?;
        transaction
            .prepare_cached("DELETE FROM object WHERE bucket = ?1 AND key = ?2")?
            .execute(params![bucket, key])?;
    }
    Ok(())
}

pub(crate) fn has_bucket(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM bucket WHERE name = ?1")?.exists(params![name])?)
}

/// Writes an object in place of the one before, if the condition is true of that.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    bucket: &str,
    key: &str,
    object: &StoredObject,
    condition: &Condition,
    fresh: Freshness,
) -> Result<Put, StoreError> {
    let before = by_key(transaction, bucket, key)?;
    match (condition, &before) {
        (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => {}
        (Condition::Etag(etag), Some(before)) if before.etag == *etag => {}
        (Condition::Present | Condition::Etag(_), None) => return Ok(Put::NoObject),
        (Condition::Absent | Condition::Etag(_), Some(_)) => return Ok(Put::Unmet),
    }
    if !need(transaction, &object.pieces, fresh)? {
        // what was counted so far is taken back
        return Err(StoreError::Gone);
    }
    if let Some(before) = before {
        let_go(transaction, &before.pieces, object.modified_at)?;
    }
    transaction.prepare_cached("INSERT OR REPLACE INTO object VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(
        params![
            bucket,
            key,
            row::integer(object.size),
            object.etag,
            row::milliseconds(object.modified_at),
            object.attributes,
            pieces_to_json(&object.pieces),
        ],
    )?;
    Ok(Put::Done)
}

fn by_key(connection: &Connection, bucket: &str, key: &str) -> Result<Option<StoredObject>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM object WHERE bucket = ?1 AND key = ?2")?;
    row::first(&mut statement, params![bucket, key], |found| {
        Ok(StoredObject {
            size: size(found)?,
            etag: found.get("etag")?,
            modified_at: row::moment(found, "modified_at")?,
            attributes: found.get("attributes")?,
            pieces: pieces(found)?,
        })
    })
}

pub(crate) fn size(found: &Row<'_>) -> Result<u64, StoreError> {
    u64::try_from(found.get::<_, i64>("size")?).map_err(|_| StoreError::Unreadable("size"))
}

/// Reads keys from where it stands; after a common prefix it goes on behind all keys that begin with it, without reading
/// them.
fn list(connection: &Connection, bucket: &str, listing: &Listing) -> Result<Page, StoreError> {
    let Listing { prefix, after, delimiter, most } = listing;
    let mut page = Page::default();
    // a listing that goes on after a common prefix begins behind it
    let skipped = common_prefix(after, prefix, delimiter).filter(|common| common == after);
    let mut from = match skipped.and_then(|common| behind(&common)) {
        Some(behind) => (behind, true),
        None if after < prefix => (prefix.clone(), true),
        None => (after.clone(), false),
    };
    loop {
        let mut statement = connection.prepare_cached(
            "SELECT key, size, etag, modified_at FROM object
             WHERE bucket = ?1 AND (key > ?2 OR (?3 AND key = ?2)) AND key >= ?2 ORDER BY key",
        )?;
        let mut rows = statement.query(params![bucket, from.0, from.1])?;
        let jump = loop {
            let Some(found) = rows.next()? else { return Ok(page) };
            let key: String = found.get("key")?;
            if !key.starts_with(prefix.as_str()) {
                return Ok(page);
            }
            if page.entries.len() == *most {
                page.more = true;
                return Ok(page);
            }
            if let Some(common) = common_prefix(&key, prefix, delimiter) {
                page.entries.push(Entry::CommonPrefix(common.clone()));
                break behind(&common);
            }
            page.entries.push(Entry::Object {
                key,
                size: size(found)?,
                etag: found.get("etag")?,
                modified_at: row::moment(found, "modified_at")?,
            });
        };
        let Some(behind) = jump else { return Ok(page) };
        from = (behind, true);
    }
}

/// What a key is shortened to: up to the first delimiter after the prefix, that included.
fn common_prefix(key: &str, prefix: &str, delimiter: &str) -> Option<String> {
    let rest = key.strip_prefix(prefix).filter(|_| !delimiter.is_empty())?;
    let end = rest.find(delimiter)? + delimiter.len();
    Some(key[..prefix.len() + end].to_owned())
}

/// The first string, in the order of bytes, that is behind all that begin with this one; `None`: there is none.
fn behind(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn behind_a_prefix_is_the_next_string_of_its_length() {
        for (prefix, next) in [
            ("a/", Some("a0")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(behind(prefix).as_deref(), next, "{prefix:?}");
        }
    }
}
