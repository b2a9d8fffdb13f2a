//! Which installation a database belongs to: its containers on the engine carry that id, and no other installation finds
//! them.

use harbor_model::ids::InstanceId;
use rusqlite::params;

use crate::{Store, StoreError, Writer, row};

impl Store {
    /// The installation that the database belongs to, if one has claimed it.
    pub async fn owner(&self) -> Result<Option<InstanceId>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT instance FROM installation")?;
            row::first(&mut statement, [], |found| row::parsed(found, "instance"))
        })
        .await
    }
}

impl Writer {
    /// The installation that the database belongs to: `instance`, if it belonged to none.
    pub async fn claim(&self, instance: InstanceId) -> Result<InstanceId, StoreError> {
        self.write(move |transaction, _| {
            transaction
                .prepare_cached("INSERT INTO installation VALUES (1, ?1) ON CONFLICT DO NOTHING")?
                .execute(params![instance.to_string()])?;
            let mut statement = transaction.prepare_cached("SELECT instance FROM installation")?;
            let owner = row::first(&mut statement, [], |found| row::parsed(found, "instance"))?;
            owner.ok_or(StoreError::Unreadable("installation"))
        })
        .await
    }
}
