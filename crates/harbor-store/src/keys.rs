//! API keys.

use harbor_model::Timestamp;
use harbor_model::identity::{ApiKey, KeyEnds, KeyHash, Permission};
use harbor_model::ids::{OrganizationId, UserId};
use harbor_model::organizations::{MemberRole, User};
use rusqlite::{Row, Transaction, params};

use crate::{Store, StoreError, Writer, organizations, row};

/// A key with the user it speaks for.
#[derive(Clone, Debug)]
pub struct KeyOwner {
    /// The key.
    pub key: ApiKey,
    /// Its user.
    pub user: User,
    /// What the user is in the key's organization.
    pub role: MemberRole,
}

impl Store {
    /// The key that this text's hash opens, with its owner; expired ones too.
    pub async fn api_key_by_hash(&self, hash: KeyHash) -> Result<Option<KeyOwner>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT api_key.*, member.role FROM api_key JOIN member USING (organization, user) WHERE hash = ?1",
            )?;
            let found =
                row::first(&mut statement, params![hash.0], |found| Ok((read(found)?, organizations::role(found)?)))?;
            let Some((key, role)) = found else { return Ok(None) };
            let user = organizations::user_by_id(connection, &key.user)?.ok_or(StoreError::Unreadable("user"))?;
            Ok(Some(KeyOwner { key, user, role }))
        })
        .await
    }

    /// The organization's keys, or only those of `user`; newest use first, then newest.
    pub async fn api_keys(
        &self,
        organization: OrganizationId,
        user: Option<UserId>,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM api_key WHERE organization = ?1 AND (?2 IS NULL OR user = ?2)
                 ORDER BY last_used_at DESC NULLS LAST, created_at DESC",
            )?;
            row::collect(&mut statement, params![organization.to_string(), user.as_ref().map(UserId::as_str)], read)
        })
        .await
    }

    /// One key by its name.
    pub async fn api_key(
        &self,
        organization: OrganizationId,
        user: UserId,
        name: String,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT * FROM api_key WHERE organization = ?1 AND user = ?2 AND name = ?3")?;
            row::first(&mut statement, params![organization.to_string(), user.as_str(), name], read)
        })
        .await
    }
}

impl Writer {
    /// Records a new key; its name must be free for this organization and user, else [`StoreError::NameTaken`], and
    /// its parent must still be there, else [`StoreError::KeyGone`].
    pub async fn insert_api_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.write(move |transaction, _| {
            if let Some(parent) = key.parent {
                let mut statement = transaction.prepare_cached("SELECT 1 FROM api_key WHERE hash = ?1")?;
                row::first(&mut statement, params![parent.0], |_| Ok(()))?.ok_or(StoreError::KeyGone)?;
            }
            insert(transaction, &key)
        })
        .await
    }

    /// Makes the key named `name` of this user open with `hash` and allow these permissions from now on; no other key
    /// may have that hash. A key that had the name with another hash is deleted, and with it what it made.
    ///
    /// For the administrator's key, whose text stands in the configuration.
    pub async fn replace_api_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.write(move |transaction, _| {
            let organization = key.organization.to_string();
            transaction
                .prepare_cached(
                    "DELETE FROM api_key WHERE (hash = ?4) <> (organization = ?1 AND user = ?2 AND name = ?3)",
                )?
                .execute(params![organization, key.user.as_str(), key.name.as_str(), key.hash.0])?;
            let kept = transaction
                .prepare_cached("UPDATE api_key SET permissions = ?2 WHERE hash = ?1")?
                .execute(params![key.hash.0, words(&key)])?;
            if kept == 0 { insert(transaction, &key) } else { Ok(()) }
        })
        .await
    }

    /// Deletes one key, and all that were made by it; answers whether it was there.
    pub async fn delete_api_key(
        &self,
        organization: OrganizationId,
        user: UserId,
        name: String,
    ) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let deleted = transaction
                .prepare_cached("DELETE FROM api_key WHERE organization = ?1 AND user = ?2 AND name = ?3")?
                .execute(params![organization.to_string(), user.as_str(), name])?;
            Ok(deleted > 0)
        })
        .await
    }

    /// Notes that a key was used at `at`.
    pub async fn touch_api_key(&self, hash: KeyHash, at: Timestamp) -> Result<(), StoreError> {
        self.write(move |transaction, _| {
            transaction
                .prepare_cached("UPDATE api_key SET last_used_at = ?2 WHERE hash = ?1")?
                .execute(params![hash.0, row::milliseconds(at)])?;
            Ok(())
        })
        .await
    }
}

fn insert(transaction: &Transaction<'_>, key: &ApiKey) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT INTO api_key VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?
        .execute(params![
            key.organization.to_string(),
            key.user.as_str(),
            key.name.as_str(),
            key.hash.0,
            key.ends.first,
            key.ends.last,
            words(key),
            row::milliseconds(key.created_at),
            key.last_used_at.map(row::milliseconds),
            key.expires_at.map(row::milliseconds),
            key.parent.map(|parent| parent.0),
        ])
        .map_err(row::name_taken)?;
    Ok(())
}

fn words(key: &ApiKey) -> String {
    row::json(key.permissions.iter().map(|permission| permission.word()).collect::<Vec<_>>())
}

fn read(found: &Row<'_>) -> Result<ApiKey, StoreError> {
    let words = row::list(found, "permissions")?.unwrap_or_default();
    let permissions = words
        .iter()
        .map(|word| word.parse::<Permission>().map_err(|_| StoreError::Unreadable("permission")))
        .collect::<Result<_, _>>()?;
    Ok(ApiKey {
        organization: row::parsed(found, "organization")?,
        user: UserId::new(found.get::<_, String>("user")?),
        name: row::name(found, "name")?,
        hash: KeyHash(found.get("hash")?),
        ends: KeyEnds { first: found.get("first")?, last: found.get("last")? },
        permissions,
        created_at: row::moment(found, "created_at")?,
        last_used_at: row::optional_moment(found, "last_used_at")?,
        expires_at: row::optional_moment(found, "expires_at")?,
        parent: found.get::<_, Option<[u8; 32]>>("parent")?.map(KeyHash),
    })
}
