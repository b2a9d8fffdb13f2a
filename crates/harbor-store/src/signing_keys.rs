//! Keys that sign URLs of files (contract, toolbox §11.15): at most one per sandbox, gone as soon as the sandbox is
//! wanted gone.
//!
//! Beside the sandbox's row and not in it, so that no announced change carries a key.

use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::Sandbox;
use harbor_model::secrets::Secret;
use rusqlite::{Connection, Transaction, params};

use crate::{Store, StoreError, Writer, row};

impl Store {
    /// The sandbox's key, if one was ever asked for.
    pub async fn signing_key(&self, sandbox: SandboxId) -> Result<Option<Secret>, StoreError> {
        self.read(move |connection| by_sandbox(connection, sandbox)).await
    }
}

impl Writer {
    /// The sandbox's key; `fresh` becomes it if there is none. [`StoreError::NoSandbox`] if the sandbox is wanted gone.
    pub async fn ensure_signing_key(&self, sandbox: SandboxId, fresh: Secret) -> Result<Secret, StoreError> {
        self.write(move |transaction, _| {
            if let Some(known) = by_sandbox(transaction, sandbox)? {
                return Ok(known);
            }
            put(transaction, sandbox, &fresh)?;
            Ok(fresh)
        })
        .await
    }

    /// Makes `fresh` the sandbox's key. [`StoreError::NoSandbox`] if the sandbox is wanted gone.
    pub async fn replace_signing_key(&self, sandbox: SandboxId, fresh: Secret) -> Result<(), StoreError> {
        self.write(move |transaction, _| put(transaction, sandbox, &fresh)).await
    }
}

fn by_sandbox(connection: &Connection, sandbox: SandboxId) -> Result<Option<Secret>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT key FROM signing_key WHERE sandbox = ?1")?;
    row::first(&mut statement, params![sandbox.to_string()], |found| Ok(Secret::new(found.get::<_, String>("key")?)))
}

fn put(transaction: &Transaction<'_>, sandbox: SandboxId, key: &Secret) -> Result<(), StoreError> {
    let written = transaction
        .prepare_cached(
            "INSERT INTO signing_key (sandbox, key)
             SELECT id, ?2 FROM sandbox WHERE id = ?1 AND live = 1
             ON CONFLICT (sandbox) DO UPDATE SET key = excluded.key",
        )?
        .execute(params![sandbox.to_string(), key.reveal()])?;
    if written == 0 { Err(StoreError::NoSandbox(sandbox)) } else { Ok(()) }
}

/// Deletes the key of a sandbox that is going or gone.
pub(crate) fn forget_gone(transaction: &Transaction<'_>, sandbox: &Sandbox) -> Result<(), StoreError> {
    if !sandbox.live() {
        transaction
            .prepare_cached("DELETE FROM signing_key WHERE sandbox = ?1")?
            .execute(params![sandbox.id.to_string()])?;
    }
    Ok(())
}
