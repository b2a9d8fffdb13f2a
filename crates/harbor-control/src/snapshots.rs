//! Snapshots: lookup, listing, and the general ones that this installation offers. Making others comes with the image
//! builder.

use harbor_model::ids::SnapshotId;
use harbor_model::resources::Resources;
use harbor_model::snapshots::{Snapshot, SnapshotState};

use crate::{Caller, Control, Error, now};

/// Sizes that documents promise by name, of the default image (contract, edges §11.4).
const PRESETS: [(&str, Resources); 3] = [
    ("daytona-small", Resources { cpu: 1, memory_gib: 1, disk_gib: 3, gpu: 0 }),
    ("daytona-medium", Resources { cpu: 2, memory_gib: 4, disk_gib: 8, gpu: 0 }),
    ("daytona-large", Resources { cpu: 4, memory_gib: 8, disk_gib: 10, gpu: 0 }),
];

/// Every tag of this name means the default snapshot (design D8): documents name many.
const DEFAULT_ALIAS: &str = "daytonaio/sandbox:";

impl Control {
    /// The snapshot that `text` names for the caller: its own name, a general name, or an id.
    pub async fn snapshot(&self, caller: &Caller, text: &str) -> Result<Snapshot, Error> {
        let found = self.find_snapshot(caller, text).await?;
        found.ok_or_else(|| Error::not_found(format!("Snapshot {text} not found")))
    }

    /// All snapshots that the caller may use: own ones first, then general ones.
    pub async fn snapshots(&self, caller: &Caller) -> Result<Vec<Snapshot>, Error> {
        Ok(self.store().snapshots(caller.organization).await?)
    }

    /// As [`Self::snapshot`], and `None` when there is none.
    pub(crate) async fn find_snapshot(&self, caller: &Caller, text: &str) -> Result<Option<Snapshot>, Error> {
        let found = self.store().find_snapshot(caller.organization, text.to_owned()).await?;
        if found.is_some() || !text.starts_with(DEFAULT_ALIAS) {
            return Ok(found);
        }
        let default = self.config().default_snapshot.clone();
        Ok(self.store().find_snapshot(caller.organization, default).await?)
    }

    /// Why a create without a snapshot would be refused now; `None`: it would not.
    pub async fn default_snapshot_problem(&self) -> Result<Option<String>, Error> {
        let name = self.config().default_snapshot.clone();
        let organization = self.own_organization().await?;
        Ok(match self.store().find_snapshot(organization, name.clone()).await? {
            Some(Snapshot { state: SnapshotState::Active, .. }) => None,
            Some(snapshot) => Some(match snapshot.error {
                Some(error) => format!("snapshot {name} is in error: {error}"),
                None => format!("snapshot {name} is {}", snapshot.state.word()),
            }),
            None => Some(format!("snapshot {name} is not there yet")),
        })
    }

    /// Offers the default snapshot and its size presets to every organization, in this state. The binary calls it when
    /// it begins and when it has finished to get the default image.
    pub async fn offer_default_snapshot(
        &self,
        state: SnapshotState,
        size_bytes: Option<u64>,
        error: Option<String>,
    ) -> Result<(), Error> {
        let organization = self.own_organization().await?;
        let image = &self.config().default_snapshot;
        for (name, resources) in [(image.as_str(), Resources::DEFAULT)].into_iter().chain(PRESETS) {
            let snapshot = Snapshot {
                id: SnapshotId::random(),
                organization,
                name: name.to_owned(),
                general: true,
                image: image.clone(),
                entrypoint: None,
                resources,
                state,
                error: error.clone(),
                size_bytes,
                last_used_at: None,
                created_at: now(),
                updated_at: now(),
            };
            self.store().put_snapshot(snapshot).await?;
        }
        Ok(())
    }
}
