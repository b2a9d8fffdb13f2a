//! What is written with a change of a sandbox's row, in the same transaction: events, keys of one that is gone, and what the
//! end of a copy of its files means for the fork or snapshot that it is for.

use std::sync::Arc;

use harbor_model::actors::Actor;
use harbor_model::sandboxes::{CopyPurpose, EndedCopy, Sandbox};
use harbor_model::{Timestamp, to_millisecond};
use rusqlite::Transaction;

use crate::changes::Change;
use crate::live::Noted;
use crate::sandbox_row::{UPDATE, by_id, linked_to, put};
use crate::{EncryptionKey, StoreError, outbox, signing_keys, snapshots};

/// Writes what a sandbox has become from `before`, with all that follows from it, and answers it. If nothing was altered,
/// nothing is written or announced.
pub(crate) fn commit_change(
    transaction: &Transaction<'_>,
    changes: &mut Noted,
    actor: &Actor,
    key: &EncryptionKey,
    before: &Sandbox,
    mut after: Sandbox,
    now: Timestamp,
) -> Result<Sandbox, StoreError> {
    let ended = after.end_copy(to_millisecond(now));
    if after == *before {
        return Ok(after);
    }
    if after.removed() {
        after.forget_secrets();
    }
    after.note_change(before, to_millisecond(now));
    // first, so that whoever hears of this sandbox's new state finds what was made of it
    if let Some(ended) = ended {
        follow(transaction, changes, actor, key, ended, now)?;
    }
    if put(transaction, key, UPDATE, &after)? == 0 {
        return Err(StoreError::Stale(after.id));
    }
    signing_keys::forget_gone(transaction, &after)?;
    outbox::note_sandbox(transaction, actor, Some(before), &after)?;
    changes.push(Change::Sandbox { before: Some(Arc::new(before.clone())), after: Arc::new(after.clone()) });
    if before.live() && !after.live() {
        for linked in linked_to(transaction, key, after.id)? {
            let mut gone = linked.clone();
            gone.want_destroyed(now);
            commit_change(transaction, changes, actor, key, &linked, gone, now)?;
        }
    }
    Ok(after)
}

/// Does for others what follows from the end of a copy.
fn follow(
    transaction: &Transaction<'_>,
    changes: &mut Noted,
    actor: &Actor,
    key: &EncryptionKey,
    ended: EndedCopy,
    now: Timestamp,
) -> Result<(), StoreError> {
    match ended.purpose {
        CopyPurpose::Backup | CopyPurpose::Stopped | CopyPurpose::Archive => {}
        CopyPurpose::Fork(child) => {
            // it may have been deleted meanwhile, and its row be purged
            let Some(before) = by_id(transaction, key, child)? else { return Ok(()) };
            let mut after = before.clone();
            after.receive(ended.outcome);
            if after != before {
                after.note_change(&before, to_millisecond(now));
                put(transaction, key, UPDATE, &after)?;
                outbox::note_sandbox(transaction, actor, Some(&before), &after)?;
                changes.push(Change::Sandbox { before: Some(Arc::new(before)), after: Arc::new(after) });
            }
        }
        CopyPurpose::Snapshot(id) => {
            let Some(before) = snapshots::by_id(transaction, id)? else { return Ok(()) };
            let mut after = before.clone();
            after.receive(ended.outcome, to_millisecond(now));
            if after != before {
                snapshots::write(transaction, &after)?;
                changes.push(Change::Snapshot { before: Some(Arc::new(before)), after: Arc::new(after) });
            }
        }
    }
    Ok(())
}
