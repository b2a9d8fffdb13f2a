//! Registries that organizations have logins to. Passwords are encrypted.

use harbor_model::ids::{OrganizationId, RegistryId};
use harbor_model::registries::Registry;
use harbor_model::secrets::Secret;
use rusqlite::{Connection, Row, Transaction, params};

use crate::{EncryptionKey, Store, StoreError, Writer, row};

/// The column that is encrypted.
const PASSWORD: &str = "registry.encrypted_password";

impl Store {
    /// The organization's registries, the newest first.
    pub async fn registries(&self, organization: OrganizationId) -> Result<Vec<Registry>, StoreError> {
        let key = self.key()?;
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT * FROM registry WHERE organization = ?1 ORDER BY created_at DESC, id")?;
            row::collect(&mut statement, params![organization.to_string()], |found| read(found, &key))
        })
        .await
    }

    /// The registry with this id.
    pub async fn registry(&self, id: RegistryId) -> Result<Option<Registry>, StoreError> {
        let key = self.key()?;
        self.read(move |connection| by_id(connection, &key, id)).await
    }
}

impl Writer {
    /// Records a registry, unless its organization has `most` already; answers whether it did.
    pub async fn add_registry(&self, registry: Registry, most: u32) -> Result<bool, StoreError> {
        let key = self.key()?;
        self.write(move |transaction, _| {
            let count: u32 = transaction
                .prepare_cached("SELECT count(*) FROM registry WHERE organization = ?1")?
                .query_row(params![registry.organization.to_string()], |found| found.get(0))?;
            if count >= most {
                return Ok(false);
            }
            write(transaction, &key, &registry)?;
            Ok(true)
        })
        .await
    }

    /// Changes one registry: `change` sees the committed row and alters it. The new row comes back; `None`: there is none.
    pub async fn change_registry(
        &self,
        id: RegistryId,
        change: impl FnOnce(&mut Registry) + Send + 'static,
    ) -> Result<Option<Registry>, StoreError> {
        let key = self.key()?;
        self.write(move |transaction, _| {
            let Some(mut registry) = by_id(transaction, &key, id)? else { return Ok(None) };
            change(&mut registry);
            write(transaction, &key, &registry)?;
            Ok(Some(registry))
        })
        .await
    }

    /// Removes the registry with this id; answers whether there was one.
    pub async fn remove_registry(&self, id: RegistryId) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let mut statement = transaction.prepare_cached("DELETE FROM registry WHERE id = ?1")?;
            Ok(statement.execute(params![id.to_string()])? > 0)
        })
        .await
    }
}

fn by_id(connection: &Connection, key: &EncryptionKey, id: RegistryId) -> Result<Option<Registry>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM registry WHERE id = ?1")?;
    row::first(&mut statement, params![id.to_string()], |found| read(found, key))
}

fn read(found: &Row<'_>, key: &EncryptionKey) -> Result<Registry, StoreError> {
    let row_id: String = found.get("id")?;
    Ok(Registry {
        id: row::parsed(found, "id")?,
        organization: row::parsed(found, "organization")?,
        name: row::name(found, "name")?,
        url: found.get("url")?,
        username: found.get("username")?,
        password: Secret::new(key.read(found, PASSWORD, &row_id)?.unwrap_or_default()),
        project: found.get("project")?,
        created_at: row::moment(found, "created_at")?,
        updated_at: row::moment(found, "updated_at")?,
    })
}

fn write(transaction: &Transaction<'_>, key: &EncryptionKey, registry: &Registry) -> Result<(), StoreError> {
    let id = registry.id.to_string();
    transaction
        .prepare_cached(
            "INSERT INTO registry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET (name, url, username, encrypted_password, project, updated_at)
                 = (?3, ?4, ?5, ?6, ?7, ?9)",
        )?
        .execute(params![
            id,
            registry.organization.to_string(),
            registry.name.as_str(),
            registry.url,
            registry.username,
            key.encrypt(PASSWORD, &id, registry.password.reveal())?,
            registry.project,
            row::milliseconds(registry.created_at),
            row::milliseconds(registry.updated_at),
        ])?;
    Ok(())
}
