//! Infra containers made ahead of time (design D4).
//!
//! A row is written before its container is made, so that after a crash every infra container of ours is either a
//! sandbox's, in this table, or an orphan. It is claimed by deleting it in the transaction that records the sandbox.

use harbor_model::Timestamp;
use harbor_model::ids::SandboxId;
use rusqlite::{Transaction, params};

use crate::{Store, StoreError, Writer, row};

impl Store {
    /// All that is in stock, with whether it is ready.
    pub async fn infra_stock(&self) -> Result<Vec<(SandboxId, bool)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM infra_stock ORDER BY made_at")?;
            row::collect(&mut statement, [], |found| Ok((row::parsed(found, "sandbox")?, found.get("ready")?)))
        })
        .await
    }
}

impl Writer {
    /// Notes that an infra container for the future sandbox `id` is about to be made.
    pub async fn add_infra(&self, id: SandboxId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |transaction, _| {
            transaction
                .prepare_cached("INSERT INTO infra_stock VALUES (?1, 0, ?2)")?
                .execute(params![id.to_string(), row::milliseconds(now)])?;
            Ok(())
        })
        .await
    }

    /// The infra container of `id` runs and may be claimed.
    pub async fn infra_ready(&self, id: SandboxId) -> Result<(), StoreError> {
        self.write(move |transaction, _| {
            transaction
                .prepare_cached("UPDATE infra_stock SET ready = 1 WHERE sandbox = ?1")?
                .execute(params![id.to_string()])?;
            Ok(())
        })
        .await
    }

    /// Nobody may claim the infra container of `id` any more: it is about to be removed. Answers whether it was in stock.
    pub async fn retire_infra(&self, id: SandboxId) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let retired = transaction
                .prepare_cached("UPDATE infra_stock SET ready = 0 WHERE sandbox = ?1")?
                .execute(params![id.to_string()])?;
            Ok(retired > 0)
        })
        .await
    }

    /// Forgets `id`, if it has not been claimed: all of it is gone. Answers whether it was there.
    pub async fn drop_infra(&self, id: SandboxId) -> Result<bool, StoreError> {
        self.write(move |transaction, _| {
            let dropped = transaction
                .prepare_cached("DELETE FROM infra_stock WHERE sandbox = ?1")?
                .execute(params![id.to_string()])?;
            Ok(dropped > 0)
        })
        .await
    }
}

/// The oldest ready one, which [`claim`] would take.
pub(crate) fn oldest_ready(transaction: &Transaction<'_>) -> Result<Option<SandboxId>, StoreError> {
    let mut statement =
        transaction.prepare_cached("SELECT sandbox FROM infra_stock WHERE ready = 1 ORDER BY made_at LIMIT 1")?;
    row::first(&mut statement, [], |found| row::parsed(found, "sandbox"))
}

/// Takes the oldest ready one.
pub(crate) fn claim(transaction: &Transaction<'_>) -> Result<Option<SandboxId>, StoreError> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM infra_stock WHERE sandbox =
            (SELECT sandbox FROM infra_stock WHERE ready = 1 ORDER BY made_at LIMIT 1)
         RETURNING sandbox",
    )?;
    row::first(&mut statement, [], |found| row::parsed(found, "sandbox"))
}
