//! What happened, kept in commit order for consumers that must not miss anything.

use harbor_model::Timestamp;
use harbor_model::actors::Actor;
use harbor_model::ids::{OrganizationId, UserId};
use harbor_model::sandboxes::{Sandbox, events};
use rusqlite::{Row, Transaction, params};

use crate::{Store, StoreError, Writer, row};

/// One entry of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its place in commit order.
    pub sequence: i64,
    /// When it was committed.
    pub at: Timestamp,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Who did it; `None`: it was recorded before that was told apart.
    pub actor: Option<Actor>,
    /// The event's name, for example `sandbox.state.updated` (contract, control-plane §15.3).
    pub kind: String,
    /// Id of what it is about.
    pub subject: String,
    /// The contract's word before.
    pub before: Option<String>,
    /// The contract's word after.
    pub after: Option<String>,
}

impl Store {
    /// Up to `limit` entries after `sequence`, oldest first.
    pub async fn outbox_after(&self, sequence: i64, limit: u32) -> Result<Vec<OutboxEntry>, StoreError> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT * FROM outbox WHERE sequence > ?1 ORDER BY sequence LIMIT ?2")?;
            row::collect(&mut statement, params![sequence, limit], |found| {
                Ok(OutboxEntry {
                    sequence: found.get("sequence")?,
                    at: row::moment(found, "at")?,
                    organization: row::parsed(found, "organization")?,
                    actor: read_actor(found)?,
                    kind: found.get("kind")?,
                    subject: found.get("subject")?,
                    before: found.get("before")?,
                    after: found.get("after")?,
                })
            })
        })
        .await
    }
}

impl Writer {
    /// Deletes entries from before `before`; answers how many there were.
    pub async fn purge_outbox(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write(move |transaction, _| {
            let purged = transaction
                .prepare_cached("DELETE FROM outbox WHERE at < ?1")?
                .execute(params![row::milliseconds(before)])?;
            Ok(purged)
        })
        .await
    }
}

/// Notes what a change of a sandbox's row means to others: its making, its state, its intent.
pub(crate) fn note_sandbox(
    transaction: &Transaction<'_>,
    actor: &Actor,
    before: Option<&Sandbox>,
    after: &Sandbox,
) -> Result<(), StoreError> {
    let (word, user, key) = actor_columns(actor);
    for event in events(before, after) {
        let (old, new) = event.words();
        transaction
            .prepare_cached(
                "INSERT INTO outbox (at, organization, kind, subject, before, after, actor, actor_user, actor_key)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                row::milliseconds(after.updated_at),
                after.organization.to_string(),
                event.name(),
                after.id.to_string(),
                old,
                new,
                word,
                user,
                key,
            ])?;
    }
    Ok(())
}

/// The columns `actor, actor_user, actor_key`.
fn actor_columns(actor: &Actor) -> (&'static str, Option<&str>, Option<&str>) {
    match actor {
        Actor::Key { user, key } => ("key", Some(user.as_str()), Some(key.as_str())),
        Actor::User(user) => ("user", Some(user.as_str()), None),
        Actor::Harbor => ("harbor", None, None),
    }
}

fn read_actor(found: &Row<'_>) -> Result<Option<Actor>, StoreError> {
    let user = || -> Result<UserId, StoreError> { Ok(UserId::new(found.get::<_, String>("actor_user")?)) };
    Ok(Some(match found.get_ref("actor")?.as_str().unwrap_or_default() {
        "key" => Actor::Key { user: user()?, key: row::name(found, "actor_key")? },
        "user" => Actor::User(user()?),
        "harbor" => Actor::Harbor,
        "unknown" => return Ok(None),
        _ => return Err(StoreError::Unreadable("actor")),
    }))
}
