//! How secrets stand in the database: encrypted, each bound to its row and column.
//!
//! XChaCha20-Poly1305, because its nonces are long enough to be drawn at random for ever. A value that was moved to
//! another row or column does not open there.
//! Leaves out: protection from who can read the key's file or the memory of harbor.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use harbor_model::secrets::Secret;
use hkdf::Hkdf;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::Sha256;

use crate::StoreError;

/// Bytes of the nonce, which stand before what is encrypted.
const NONCE: usize = 24;

/// What the check value says.
const CHECK: &str = "harbor";

/// Encrypts the secrets in the database.
#[derive(Clone)]
pub struct EncryptionKey(XChaCha20Poly1305);

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(…)")
    }
}

impl EncryptionKey {
    /// The key that `key` and `salt` make (HKDF-SHA-256). It is as hard to guess as `key`, which should hold 32 random
    /// bytes.
    #[expect(clippy::missing_panics_doc, reason = "HKDF-SHA-256 gives up to 8,160 bytes")]
    pub fn derive(key: &Secret, salt: &Secret) -> Self {
        let mut derived = Key::default();
        Hkdf::<Sha256>::new(Some(salt.reveal().as_bytes()), key.reveal().as_bytes())
            .expand(b"harbor: secrets in the database", &mut derived)
            .expect("32 bytes are few enough");
        Self(XChaCha20Poly1305::new(&derived))
    }

    /// `text` for `column`, written as `table.column`, of the row `id`.
    pub(crate) fn encrypt(&self, column: &'static str, id: &str, text: &str) -> Result<Vec<u8>, StoreError> {
        let nonce = XNonce::try_generate().map_err(|_| StoreError::Encryption(column))?;
        let bound = bound_to(column, id);
        let payload = Payload { msg: text.as_bytes(), aad: bound.as_bytes() };
        let encrypted = self.0.encrypt(&nonce, payload).map_err(|_| StoreError::Encryption(column))?;
        Ok([nonce.as_slice(), &encrypted].concat())
    }

    /// The text that was encrypted for this `column` of the row `id`.
    pub(crate) fn decrypt(&self, column: &'static str, id: &str, encrypted: &[u8]) -> Result<String, StoreError> {
        let failed = || StoreError::Encryption(column);
        let (nonce, rest) = encrypted.split_first_chunk::<NONCE>().ok_or_else(failed)?;
        let bound = bound_to(column, id);
        let payload = Payload { msg: rest, aad: bound.as_bytes() };
        let text = self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| failed())?;
        String::from_utf8(text).map_err(|_| failed())
    }

    /// The text in `column`, written as `table.column`, of `row`; `None`: it was wiped.
    pub(crate) fn read(&self, row: &Row<'_>, column: &'static str, id: &str) -> Result<Option<String>, StoreError> {
        let name = column.rsplit('.').next().unwrap_or(column);
        let encrypted: Option<Vec<u8>> = row.get(name)?;
        encrypted.map(|encrypted| self.decrypt(column, id, &encrypted)).transpose()
    }

    /// Whether this is the key of the database's secrets.
    pub(crate) fn opens(&self, connection: &Connection) -> Result<bool, StoreError> {
        let check = "SELECT value FROM encryption_check WHERE id = 1";
        let value: Option<Vec<u8>> = connection.query_row(check, [], |row| row.get(0)).optional()?;
        let value = value.ok_or(StoreError::Unreadable("encryption check"))?;
        Ok(self.decrypt("encryption_check.value", "1", &value).is_ok_and(|text| text == CHECK))
    }

    /// Encrypts what versions before the sixth left in the clear, and records which key did it.
    pub(crate) fn encrypt_all(&self, connection: &Connection) -> Result<(), StoreError> {
        let check = self.encrypt("encryption_check.value", "1", CHECK)?;
        connection.execute("INSERT INTO encryption_check VALUES (1, ?1)", params![check])?;
        for (column, clear, id) in [
            ("sandbox.encrypted_env", "env", "id"),
            ("sandbox.encrypted_preview_token", "preview_token", "id"),
            ("sandbox.encrypted_toolbox_token", "toolbox_token", "id"),
            ("signing_key.encrypted_key", "key", "sandbox"),
        ] {
            let (table, target) = column.split_once('.').unwrap_or_default();
            let of_gone = if table == "sandbox" { "WHERE removed = 0" } else { "" };
            let mut rows = connection.prepare(&format!("SELECT {id}, {clear} FROM {table} {of_gone}"))?;
            let mut update = connection.prepare(&format!("UPDATE {table} SET {target} = ?2 WHERE {id} = ?1"))?;
            let all = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            for (id, text) in all.collect::<Result<Vec<_>, _>>()? {
                update.execute(params![id, self.encrypt(column, &id, &text)?])?;
            }
        }
        Ok(connection.execute_batch(include_str!("migrations/0006_forget_clear_text.sql"))?)
    }
}

fn bound_to(column: &str, id: &str) -> String {
    format!("{column} of {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, salt: &str) -> EncryptionKey {
        EncryptionKey::derive(&Secret::new(key), &Secret::new(salt))
    }

    #[track_caller]
    fn check(key: &EncryptionKey, column: &'static str, id: &str, encrypted: &[u8], text: Option<&str>) {
        assert_eq!(key.decrypt(column, id, encrypted).ok().as_deref(), text);
    }

    #[test]
    fn a_text_opens_with_its_key_in_its_place_and_nowhere_else() {
        let own = key("k", "s");
        let encrypted = own.encrypt("sandbox.env", "1", "ünïcode").unwrap();
        check(&own, "sandbox.env", "1", &encrypted, Some("ünïcode"));
        check(&key("k", "s"), "sandbox.env", "1", &encrypted, Some("ünïcode"));
        check(&key("k", "t"), "sandbox.env", "1", &encrypted, None);
        check(&key("K", "s"), "sandbox.env", "1", &encrypted, None);
        check(&own, "sandbox.env", "2", &encrypted, None);
        check(&own, "sandbox.preview_token", "1", &encrypted, None);
        check(&own, "sandbox.env", "1", &encrypted[..encrypted.len() - 1], None);
        check(&own, "sandbox.env", "1", &encrypted[..NONCE - 1], None);
        check(&own, "sandbox.env", "1", b"", None);
        let mut changed = encrypted.clone();
        *changed.last_mut().unwrap() ^= 1;
        check(&own, "sandbox.env", "1", &changed, None);
    }

    #[test]
    fn no_two_encryptions_are_alike() {
        let own = key("k", "s");
        assert_ne!(own.encrypt("a.b", "1", "x").unwrap(), own.encrypt("a.b", "1", "x").unwrap());
    }

    /// Computed apart from this code, with Python's `hmac`: the key must never come out otherwise.
    #[test]
    fn the_key_is_hkdf_of_key_and_salt() {
        let mut derived = [0; 32];
        Hkdf::<Sha256>::new(Some(b"salt"), b"key").expand(b"harbor: secrets in the database", &mut derived).unwrap();
        let apart = [
            0x56, 0x5b, 0x95, 0x23, 0x9d, 0xb5, 0x2f, 0x3d, 0x87, 0xc7, 0x39, 0x96, 0xd7, 0x3e, 0x18, 0x0f, 0x96, 0x63,
            0xce, 0xc5, 0x71, 0x0d, 0xaa, 0x81, 0x2c, 0xb9, 0x9d, 0x95, 0xd2, 0x2f, 0xed, 0x20,
        ];
        assert_eq!(derived, apart);
        let nonce = XNonce::from([7; NONCE]);
        let encrypted = XChaCha20Poly1305::new(&Key::from(apart)).encrypt(&nonce, b"x".as_slice()).unwrap();
        assert_eq!(key("key", "salt").0.encrypt(&nonce, b"x".as_slice()).unwrap(), encrypted);
    }
}
