//! Which installation a database belongs to: its containers on the engine carry that id, and no other installation finds
//! them.

use harbor_model::ids::InstanceId;
use rusqlite::{Connection, params};

use crate::{Store, StoreError, Writer, row};

impl Store {
    /// The installation that the database belongs to, if one has claimed it.
    pub async fn owner(&self) -> Result<Option<InstanceId>, StoreError> {
        self.read(owner).await
    }
}

impl Writer {
    /// The installation that the database belongs to: `instance`, if it belonged to none.
    pub async fn claim(&self, instance: InstanceId) -> Result<InstanceId, StoreError> {
        self.write(move |transaction, _| {
            transaction
                .prepare_cached("INSERT INTO installation VALUES (1, ?1) ON CONFLICT DO NOTHING")?
                .execute(params![instance.to_string()])?;
            owner(transaction)?.ok_or(StoreError::Unreadable("installation"))
        })
        .await
    }
}

fn owner(connection: &Connection) -> Result<Option<InstanceId>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT instance FROM installation")?;
    row::first(&mut statement, [], |found| row::parsed(found, "instance"))
}
