//! Which blobs are needed, and how often.

use harbor_model::Timestamp;
use harbor_model::objects::{Freshness, Piece};
use rusqlite::{Row, Transaction, params};

use crate::{Store, StoreError, Writer, row};

impl Store {
    /// Those of these blobs of which there is no row.
    pub async fn unknown_blobs(&self, blobs: Vec<String>) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT 1 FROM blob WHERE id = ?1")?;
            let mut unknown = Vec::new();
            for blob in blobs {
                if !statement.exists(params![blob])? {
                    unknown.push(blob);
                }
            }
            Ok(unknown)
        })
        .await
    }
}

impl Writer {
    /// Forgets blobs that nothing has needed since `before`, at most `most`, and answers which: nothing can need them again.
    pub async fn forget_blobs(&self, before: Timestamp, most: usize) -> Result<Vec<String>, StoreError> {
        self.write(move |transaction, _| {
            let mut statement = transaction.prepare_cached(
                "DELETE FROM blob WHERE id IN
                     (SELECT id FROM blob WHERE uses = 0 AND unused_since < ?1 ORDER BY unused_since LIMIT ?2)
                 RETURNING id",
            )?;
            let most = row::integer(most);
            row::collect(&mut statement, params![row::milliseconds(before), most], |found| Ok(found.get("id")?))
        })
        .await
    }
}

/// Notes that these pieces are needed once more; answers whether they can be: one that nothing needs any more, or ever did
/// unless it is `fresh`, may be gone.
pub(crate) fn need(transaction: &Transaction<'_>, pieces: &[Piece], fresh: Freshness) -> Result<bool, StoreError> {
    let mut insert = transaction.prepare_cached("INSERT INTO blob VALUES (?1, 1, NULL)")?;
    let mut share = transaction.prepare_cached("UPDATE blob SET uses = uses + 1 WHERE id = ?1 AND uses > 0")?;
    for piece in pieces {
        let noted = match fresh {
            Freshness::Written => insert.execute(params![piece.blob])?,
            Freshness::Shared => share.execute(params![piece.blob])?,
        };
        if noted == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Notes that these pieces are needed once less.
pub(crate) fn let_go(transaction: &Transaction<'_>, pieces: &[Piece], at: Timestamp) -> Result<(), StoreError> {
    let mut statement = transaction
        .prepare_cached("UPDATE blob SET uses = uses - 1, unused_since = CASE uses WHEN 1 THEN ?2 END WHERE id = ?1")?;
    for piece in pieces {
        statement.execute(params![piece.blob, row::milliseconds(at)])?;
    }
    Ok(())
}

/// Pieces as a row has them.
pub(crate) fn pieces_to_json(pieces: &[Piece]) -> String {
    let pieces = pieces.iter().map(|Piece { blob, start, size }| serde_json::json!([blob, start, size]));
    row::json(pieces.collect::<Vec<_>>())
}

/// The pieces of a row.
pub(crate) fn pieces(found: &Row<'_>) -> Result<Vec<Piece>, StoreError> {
    let text: String = found.get("pieces")?;
    let all: Vec<(String, u64, u64)> = serde_json::from_str(&text).map_err(|_| StoreError::Unreadable("pieces"))?;
    Ok(all.into_iter().map(|(blob, start, size)| Piece { blob, start, size }).collect())
}
