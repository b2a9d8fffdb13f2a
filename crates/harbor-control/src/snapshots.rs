//! Snapshots: lookup and listing. Making them comes with the image builder.

use harbor_model::snapshots::Snapshot;

use crate::identity::Caller;
use crate::{Control, Error};

impl Control {
    /// The snapshot that `text` names for the caller: its own name, a general name, or an id.
    pub async fn snapshot(&self, caller: &Caller, text: &str) -> Result<Snapshot, Error> {
        let found = self.store().find_snapshot(caller.organization, text.to_owned()).await?;
        found.ok_or_else(|| Error::not_found(format!("Snapshot {text} not found")))
    }

    /// All snapshots that the caller may use: own ones first, then general ones.
    pub async fn snapshots(&self, caller: &Caller) -> Result<Vec<Snapshot>, Error> {
        Ok(self.store().snapshots(caller.organization).await?)
    }
}
