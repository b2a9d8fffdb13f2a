//! Warm pools, and their members: sandboxes that wait for an owner (design D3).

use harbor_model::Timestamp;
use harbor_model::ids::RegionId;
use harbor_model::ids::{OrganizationId, WarmPoolId};
use harbor_model::pools::WarmPool;
use harbor_model::sandboxes::Sandbox;
use rusqlite::{Row, Transaction, named_params, params};

use crate::changes::Change;
use crate::{EncryptionKey, Store, StoreError, Writer, row, sandbox_row};

impl Store {
    /// All pools, oldest first.
    pub async fn warm_pools(&self) -> Result<Vec<WarmPool>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM warm_pool ORDER BY created_at, id")?;
            row::collect(&mut statement, [], read)
        })
        .await
    }

    /// All members of all pools, oldest first.
    pub async fn pool_members(&self) -> Result<Vec<Sandbox>, StoreError> {
        let key = self.key()?;
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM sandbox WHERE warm_pool IS NOT NULL AND removed = 0 ORDER BY created_at, id",
            )?;
            row::collect(&mut statement, [], |found| sandbox_row::read(found, &key))
        })
        .await
    }
}

impl Writer {
    /// Records a pool; [`StoreError::NameTaken`] if its organization has one of this snapshot and target.
    pub async fn add_warm_pool(&self, pool: WarmPool) -> Result<WarmPool, StoreError> {
        self.write(move |transaction, changes| {
            transaction
                .prepare_cached("INSERT INTO warm_pool VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
                .execute(params![
                    pool.id.to_string(),
                    pool.organization.to_string(),
                    pool.snapshot.to_string(),
                    pool.target.as_str(),
                    pool.size,
                    pool.error,
                    row::milliseconds(pool.created_at),
                    row::milliseconds(pool.updated_at),
                ])
                .map_err(row::name_taken)?;
            changes.push(Change::WarmPools);
            Ok(pool)
        })
        .await
    }

    /// Keeps so many ready in the organization's pool `id` from `at` on; `None`: there is none.
    pub async fn resize_warm_pool(
        &self,
        organization: OrganizationId,
        id: WarmPoolId,
        size: u32,
        at: Timestamp,
    ) -> Result<Option<WarmPool>, StoreError> {
        self.write(move |transaction, changes| {
            let mut statement = transaction.prepare_cached(
                "UPDATE warm_pool SET size = ?3, updated_at = ?4 WHERE id = ?1 AND organization = ?2 RETURNING *",
            )?;
            let values = params![id.to_string(), organization.to_string(), size, row::milliseconds(at)];
            let changed = row::first(&mut statement, values, read)?;
            changes.push(Change::WarmPools);
            Ok(changed)
        })
        .await
    }

    /// Removes the organization's pool `id`, whose members are nobody's then; answers whether there was one.
    pub async fn remove_warm_pool(&self, organization: OrganizationId, id: WarmPoolId) -> Result<bool, StoreError> {
        self.write(move |transaction, changes| {
            let removed = transaction
                .prepare_cached("DELETE FROM warm_pool WHERE id = ?1 AND organization = ?2")?
                .execute(params![id.to_string(), organization.to_string()])?;
            changes.push(Change::WarmPools);
            Ok(removed > 0)
        })
        .await
    }

    /// Notes why the newest member of pool `id` could not be started, or that one could.
    pub async fn note_pool_error(&self, id: WarmPoolId, error: Option<String>) -> Result<(), StoreError> {
        self.write(move |transaction, _| {
            transaction
                .prepare_cached("UPDATE warm_pool SET error = ?2 WHERE id = ?1 AND error IS NOT ?2")?
                .execute(params![id.to_string(), error])?;
            Ok(())
        })
        .await
    }
}

/// The member that is what `wanted` shall be, waits longest and may be given to its organization.
pub(crate) fn claim(
    transaction: &Transaction<'_>,
    key: &EncryptionKey,
    wanted: &Sandbox,
) -> Result<Option<Sandbox>, StoreError> {
    // members were told no environment, have no volumes, and no other network than any
    if !wanted.origin.env.is_empty() || !wanted.origin.mounts.is_empty() || wanted.settings.network.restricted() {
        return Ok(None);
    }
    let mut statement = transaction.prepare_cached(
        "SELECT sandbox.* FROM sandbox JOIN warm_pool ON warm_pool.id = sandbox.warm_pool
         WHERE sandbox.removed = 0 AND desired = 'started' AND failure IS NULL
         AND seen ->> '$.kind' = 'running' AND seen ->> '$.configured' AND seen ->> '$.connected'
         AND sandbox.snapshot = :snapshot AND image = :image AND entrypoint IS :entrypoint AND user = :user
         AND files ->> '$.beginning.layer.id' IS :layer
         AND (cpu, memory_gib, disk_gib, gpu) = (:cpu, :memory_gib, :disk_gib, :gpu)
         AND warm_pool.organization IN (:nobody, :organization)
         ORDER BY sandbox.created_at, sandbox.id LIMIT 1",
    )?;
    let values = named_params! {
        ":snapshot": wanted.origin.snapshot,
        ":image": wanted.origin.image,
        ":entrypoint": wanted.origin.entrypoint.clone().map(row::json),
        ":user": wanted.origin.user,
        ":cpu": wanted.resources.cpu,
        ":memory_gib": wanted.resources.memory_gib,
        ":disk_gib": wanted.resources.disk_gib,
        ":gpu": wanted.resources.gpu,
        ":layer": wanted.filling().map(|layer| layer.id.to_string()),
        ":nobody": OrganizationId::NOBODY.to_string(),
        ":organization": wanted.organization.to_string(),
    };
    let found = row::first(&mut statement, values, |found| sandbox_row::read(found, key))?;
    Ok(found.filter(Sandbox::claimable))
}

fn read(found: &Row<'_>) -> Result<WarmPool, StoreError> {
    Ok(WarmPool {
        id: row::parsed(found, "id")?,
        organization: row::parsed(found, "organization")?,
        snapshot: row::parsed(found, "snapshot")?,
        target: RegionId::new(found.get::<_, String>("target")?),
        size: found.get("size")?,
        error: found.get("error")?,
        created_at: row::moment(found, "created_at")?,
        updated_at: row::moment(found, "updated_at")?,
    })
}
