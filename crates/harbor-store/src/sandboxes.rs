//! Sandboxes: insert, read, change.

use std::sync::Arc;

use harbor_model::Timestamp;
use harbor_model::ids::{OrganizationId, SandboxId, SnapshotId};
use harbor_model::names::SandboxRef;
use harbor_model::sandboxes::Sandbox;
use rusqlite::{named_params, params};

use crate::changes::Change;
use crate::sandbox_change::commit_change;
use crate::sandbox_row::{INSERT, UPDATE, all, by_id, put, read};
use crate::{Store, StoreError, Writer, image_row, outbox, pools, row, snapshots, stock, volumes};

/// What a new sandbox takes from what was made ahead of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromStock {
    /// Nothing.
    Nothing,
    /// An infra container, if one is ready.
    Infra,
    /// A member of a warm pool that is just like it, else an infra container.
    Warm,
}

impl Store {
    /// The sandbox with this id, in whatever state.
    pub async fn sandbox(&self, id: SandboxId) -> Result<Option<Sandbox>, StoreError> {
        if let Some(row) = self.live()?.get(id) {
            return Ok(Some(Sandbox::clone(&row)));
        }
        let key = self.key()?;
        self.read(move |connection| by_id(connection, &key, id)).await
    }

    /// The organization's sandbox with this id or name, a live one first. One that is no longer live is found by its id only.
    pub async fn find_sandbox(
        &self,
        organization: OrganizationId,
        sandbox: &SandboxRef,
    ) -> Result<Option<Sandbox>, StoreError> {
        let (id, name) = (sandbox.id(), sandbox.as_str().to_owned());
        let row = id.map(|id| self.live().map(|live| live.get(id))).transpose()?.flatten();
        if let Some(row) = row.filter(|row| row.organization == organization) {
            return Ok(Some(Sandbox::clone(&row)));
        }
        let key = self.key()?;
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT * FROM sandbox WHERE organization = ?1 AND name = ?2 AND live = 1")?;
            let named = row::first(&mut statement, params![organization.to_string(), name], |found| read(found, &key))?;
            if named.is_some() {
                return Ok(named);
            }
            let gone = id.map(|id| by_id(connection, &key, id)).transpose()?.flatten();
            Ok(gone.filter(|gone| gone.organization == organization))
        })
        .await
    }

    /// Every sandbox of the organization that has not been removed, in no order.
    pub fn sandboxes_of(&self, organization: OrganizationId) -> Result<Vec<Arc<Sandbox>>, StoreError> {
        let mut all = self.live()?.all();
        all.retain(|sandbox| sandbox.organization == organization);
        Ok(all)
    }

    /// The ids of all sandboxes that have not been removed.
    pub async fn sandbox_ids(&self) -> Result<Vec<SandboxId>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT id FROM sandbox WHERE removed = 0")?;
            row::collect(&mut statement, [], |found| row::parsed(found, "id"))
        })
        .await
    }

    /// Every sandbox that has not been removed, of all organizations, in no order.
    pub fn all_sandboxes(&self) -> Result<Vec<Arc<Sandbox>>, StoreError> {
        Ok(self.live()?.all())
    }
}

impl Writer {
    /// Records a new sandbox; its name must be free in its organization, else [`StoreError::NameTaken`].
    ///
    /// What it takes from what was made ahead of time is taken in the same transaction, and gives it its id. `name` then
    /// sees the id it has to name, should the caller have given no name. With [`FromStock::Warm`] the answer may be
    /// started already. `snapshot` was used by that.
    pub async fn insert_sandbox(
        &self,
        mut sandbox: Sandbox,
        from: FromStock,
        snapshot: Option<SnapshotId>,
        name: impl FnOnce(&mut Sandbox) + Send + 'static,
    ) -> Result<Sandbox, StoreError> {
        let (actor, key, room) = (self.actor().clone(), self.key()?, self.room());
        self.write(move |transaction, changes| {
            if let Some(target) = sandbox.linked {
                by_id(transaction, &key, target)?.filter(Sandbox::live).ok_or(StoreError::NoSandbox(target))?;
            }
            let member = if from == FromStock::Warm { pools::claim(transaction, &key, &sandbox)? } else { None };
            if let Some(before) = &member {
                let (at, wanted) = (sandbox.updated_at, std::mem::replace(&mut sandbox, before.clone()));
                sandbox.claim(wanted);
                sandbox.note_change(before, at);
            } else if from != FromStock::Nothing
                && let Some(id) = stock::claim(transaction)?
            {
                sandbox.id = id;
            }
            if let Some(room) = room {
                room.admit(member.as_ref(), &sandbox)?;
            }
            name(&mut sandbox);
            if let Some(snapshot) = snapshot {
                snapshots::note_use(transaction, snapshot, sandbox.created_at)?;
            }
            volumes::note_use(transaction, changes, &sandbox)?;
            if sandbox.awaits_image() {
                let wanted = (sandbox.organization, sandbox.origin.image.as_str(), sandbox.origin.build.as_ref());
                let image = image_row::ask(transaction, changes, wanted, sandbox.created_at)?;
                sandbox.follow(&image);
            }
            put(transaction, &key, if member.is_some() { UPDATE } else { INSERT }, &sandbox)?;
            outbox::note_sandbox(transaction, &actor, member.as_ref(), &sandbox)?;
            changes.push(Change::Sandbox { before: member.map(Arc::new), after: Arc::new(sandbox.clone()) });
            Ok(sandbox)
        })
        .await
    }

    /// Changes one sandbox: `change` sees the committed row and alters it, all in one transaction.
    ///
    /// What `change` returns comes back beside the new row. A copy of its files that ends with it is told to whom it is
    /// for, in the same transaction. If it alters nothing, nothing is written or announced. If it
    /// gives the row a name that another one holds, that is [`StoreError::NameTaken`].
    pub async fn change_sandbox<T: Send + 'static>(
        &self,
        id: SandboxId,
        now: Timestamp,
        change: impl FnOnce(&mut Sandbox) -> T + Send + 'static,
    ) -> Result<(Sandbox, T), StoreError> {
        let (actor, key, room) = (self.actor().clone(), self.key()?, self.room());
        self.write(move |transaction, changes| {
            let before = by_id(transaction, &key, id)?.ok_or(StoreError::NoSandbox(id))?;
            let mut after = before.clone();
            let outcome = change(&mut after);
            if let Some(room) = room {
                room.admit(Some(&before), &after)?;
            }
            Ok((commit_change(transaction, changes, &actor, &key, &before, after, now)?, outcome))
        })
        .await
    }

    /// Notes that a sandbox was used at `at`; never moves the time back, and announces nothing. What goes on in one that
    /// is being stopped or started is no use of it: the time at which that was asked for stands.
    pub async fn touch_sandbox(&self, id: SandboxId, at: Timestamp) -> Result<(), StoreError> {
        if self.live()?.get(id).is_none_or(|row| row.state().is_quick()) {
            return Ok(());
        }
        let key = self.key()?;
        self.write(move |transaction, noted| {
            let touched = transaction
                .prepare_cached("UPDATE sandbox SET last_activity_at = ?2 WHERE id = ?1 AND last_activity_at < ?2")?
                .execute(params![id.to_string(), row::milliseconds(at)])?;
            if touched > 0
                && let Some(row) = by_id(transaction, &key, id)?
            {
                noted.unannounced(row);
            }
            Ok(())
        })
        .await
    }

    /// The clock was set by `by` after `since`, as it shows now: moves the times at which sandboxes were last used and are
    /// to be deleted by as much, so that as much is left of every interval as before. Times that the new clock gave,
    /// between `since` and `now`, stay. Answers how many sandboxes there are.
    pub async fn move_times(&self, by: time::Duration, since: Timestamp, now: Timestamp) -> Result<usize, StoreError> {
        const LAST: i64 = 253_402_300_799_999; // of the year 9999, after which no row could be read
        let by = by.whole_milliseconds().clamp(i128::from(-LAST), i128::from(LAST));
        let by = i64::try_from(by).unwrap_or(0);
        let window = (row::milliseconds(since), row::milliseconds(now));
        let key = self.key()?;
        self.write(move |transaction, noted| {
            let moved = transaction
                .prepare_cached(
                    "UPDATE sandbox SET
                       last_activity_at = CASE WHEN last_activity_at BETWEEN :since AND :now THEN last_activity_at
                         ELSE max(0, min(last_activity_at + :by, :last)) END,
                       destroy_at = CASE WHEN updated_at BETWEEN :since AND :now THEN destroy_at
                         ELSE max(0, min(destroy_at + :by, :last)) END
                     WHERE removed = 0",
                )?
                .execute(named_params! { ":since": window.0, ":now": window.1, ":by": by, ":last": LAST })?;
            all(transaction, &key)?.into_iter().for_each(|row| noted.unannounced(row));
            Ok(moved)
        })
        .await
    }

    /// Deletes the rows of sandboxes that were removed before `before`; answers how many there were.
    pub async fn purge_removed_sandboxes(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write(move |transaction, _| {
            let purged = transaction
                .prepare_cached("DELETE FROM sandbox WHERE removed = 1 AND updated_at < ?1")?
                .execute(params![row::milliseconds(before)])?;
            Ok(purged)
        })
        .await
    }
}
