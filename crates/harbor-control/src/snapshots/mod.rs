//! Snapshots: lookup, listing, making, and the general ones that this installation offers.

mod create;
mod logs;
pub(crate) mod recipe;

use harbor_model::actors::Actor;
use harbor_model::ids::SnapshotId;
use harbor_model::resources::Resources;
use harbor_model::snapshots::{Snapshot, SnapshotState};

use crate::{Caller, Control, Error, now};

pub(crate) use create::AT_ONCE;
pub use create::{NewImage, NewSnapshot};
pub use logs::{BuildLog, Built};

/// Sizes that documents promise by name, of the default image (contract, edges §11.4).
const PRESETS: [(&str, Resources); 3] = [
    ("daytona-small", Resources { cpu: 1, memory_gib: 1, disk_gib: 3, gpu: 0 }),
    ("daytona-medium", Resources { cpu: 2, memory_gib: 4, disk_gib: 8, gpu: 0 }),
    ("daytona-large", Resources { cpu: 4, memory_gib: 8, disk_gib: 10, gpu: 0 }),
];

/// Every version of this name means the default snapshot (design D8): documents name many.
const DEFAULT_ALIAS: &str = "daytonaio/sandbox:";

/// Whether this installation offers a snapshot of this name to everybody, or a later version may.
fn is_reserved(name: &str) -> bool {
    PRESETS.iter().any(|(preset, _)| *preset == name) || is_version_of_default(name)
}

/// Whether `text` names a version of the default image, such as `daytonaio/sandbox:0.4.3`. `latest` or a misspelt tag
/// names none: it would be another image than was asked for, without a word.
fn is_version_of_default(text: &str) -> bool {
    let Some(tag) = text.strip_prefix(DEFAULT_ALIAS) else { return false };
    let version = tag.strip_prefix('v').unwrap_or(tag).split('-').next().unwrap_or_default();
    let numbers: Vec<&str> = version.split('.').collect();
    let number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.len() == 3 && numbers.iter().all(number)
}

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
        if found.is_some() || !is_version_of_default(text) {
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
                image_id: None,
                build: None,
                layer: None,
                source: None,
                entrypoint: None,
                resources,
                state,
                error: error.clone(),
                size_bytes,
                last_used_at: None,
                created_at: now(),
                updated_at: now(),
            };
            self.store().by(Actor::Harbor).put_snapshot(snapshot).await?;
        }
        self.keep_default_warm().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_of_the_default_image_are_its_aliases() {
        for tag in ["0.4.3", "v0.185.0", "v0.185.0-amd64", "0.5.0-slim"] {
            assert!(is_version_of_default(&format!("{DEFAULT_ALIAS}{tag}")), "{tag}");
        }
        for tag in ["", "latest", "lates", "v", "0.4", "0..3", "x0.4.3", "0.4.3.1", "-amd64"] {
            assert!(!is_version_of_default(&format!("{DEFAULT_ALIAS}{tag}")), "{tag}");
        }
        assert!(!is_version_of_default("daytonaio/sandboxes:0.4.3") && !is_version_of_default("0.4.3"));
    }
}
