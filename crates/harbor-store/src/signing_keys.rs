//! Keys that sign URLs of files (contract, toolbox §11.15): at most one per sandbox, gone as soon as the sandbox is
//! wanted gone.
//!
//! Beside the sandbox's row and not in it, so that no announced change carries a key.

use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::Sandbox;
use harbor_model::secrets::Secret;
use rusqlite::{Connection, Transaction, params};

use crate::{EncryptionKey, Store, StoreError, Writer, row};

impl Store {
    /// The sandbox's key, if one was ever asked for.
    pub async fn signing_key(&self, sandbox: SandboxId) -> Result<Option<Secret>, StoreError> {
        let key = self.key()?;
        self.read(move |connection| by_sandbox(connection, &key, sandbox)).await
    }
}

impl Writer {
    /// The sandbox's key; `fresh` becomes it if there is none. [`StoreError::NoSandbox`] if the sandbox is wanted gone.
    pub async fn ensure_signing_key(&self, sandbox: SandboxId, fresh: Secret) -> Result<Secret, StoreError> {
        let key = self.key()?;
        self.write(move |transaction, _| {
            if let Some(known) = by_sandbox(transaction, &key, sandbox)? {
                return Ok(known);
            }
            put(transaction, &key, sandbox, &fresh)?;
            Ok(fresh)
        })
        .await
    }

    /// Makes `fresh` the sandbox's key. [`StoreError::NoSandbox`] if the sandbox is wanted gone.
    pub async fn replace_signing_key(&self, sandbox: SandboxId, fresh: Secret) -> Result<(), StoreError> {
        let key = self.key()?;
        self.write(move |transaction, _| put(transaction, &key, sandbox, &fresh)).await
    }
}

const COLUMN: &str = "signing_key.encrypted_key";

fn by_sandbox(connection: &Connection, key: &EncryptionKey, sandbox: SandboxId) -> Result<Option<Secret>, StoreError> {
    let id = sandbox.to_string();
    let mut statement = connection.prepare_cached("SELECT encrypted_key FROM signing_key WHERE sandbox = ?1")?;
    let found = row::first(&mut statement, params![id], |found| key.read(found, COLUMN, &id))?;
    Ok(found.flatten().map(Secret::new))
}

fn put(
    transaction: &Transaction<'_>,
    key: &EncryptionKey,
    sandbox: SandboxId,
    fresh: &Secret,
) -> Result<(), StoreError> {
    let id = sandbox.to_string();
    let written = transaction
        .prepare_cached(
            "INSERT INTO signing_key (sandbox, encrypted_key)
             SELECT id, ?2 FROM sandbox WHERE id = ?1 AND live = 1
             ON CONFLICT (sandbox) DO UPDATE SET encrypted_key = excluded.encrypted_key",
        )?
        .execute(params![id, key.encrypt(COLUMN, &id, fresh.reveal())?])?;
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
