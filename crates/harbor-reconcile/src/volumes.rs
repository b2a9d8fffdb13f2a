//! Volumes that nobody wants any more: their files are removed once the last sandbox that had them is gone.

use std::sync::Arc;
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::VolumeId;
use harbor_model::volumes::VolumeState;
use harbor_store::StoreError;

use crate::Inner;
use crate::queue::{Lane, Mark, Queue, Stepped};
use crate::work::Work;

/// When one is looked at again that a sandbox still has, which is being removed.
const SOON: Duration = Duration::from_secs(1);

/// When one is looked at again whose files could not be removed.
const AGAIN: Duration = Duration::from_mins(1);

/// Removes volumes.
pub(crate) struct Volumes(pub(crate) Arc<Inner>);

impl Work for Volumes {
    type Key = VolumeId;

    fn queue(&self) -> &Queue<VolumeId> {
        &self.0.volumes
    }

    async fn step(&self, id: VolumeId, _: Mark) -> Stepped {
        let (pause, outcome) = match self.0.remove_volume(id).await {
            Ok(None) => (None, Ok(format!("volume {id} removed"))),
            Ok(Some(pause)) => (Some(pause), Ok(format!("volume {id} is still in a sandbox"))),
            Err(reason) => {
                tracing::warn!(volume = %id, reason, "volume not removed");
                (Some(AGAIN), Err(reason))
            }
        };
        Stepped { again: pause.map(|pause| Mark::after(pause, Lane::Bulk)), outcome }
    }
}

impl Inner {
    /// Marks every volume that is to be removed.
    pub(crate) async fn mark_leaving_volumes(&self) {
        match self.store.volumes_to_remove().await {
            Ok(leaving) => leaving.into_iter().for_each(|id| self.volumes.mark(id, Mark::now(Lane::Bulk))),
            Err(error) => tracing::error!(error = chain(&error), "volumes not read"),
        }
    }

    /// Removes the files of a volume that is to be removed, and says so in its row; answers when to look again.
    async fn remove_volume(&self, id: VolumeId) -> Result<Option<Duration>, String> {
        let read = async || -> Result<_, StoreError> {
            let leaving = self.store.volume(id).await?.is_some_and(|volume| volume.state == VolumeState::Deleting);
            let has = self.store.all_sandboxes()?.iter().any(|row| row.has_volume(id));
            Ok((leaving, has))
        };
        match read().await.map_err(|error| chain(&error))? {
            (false, _) => return Ok(None),
            (true, true) => return Ok(Some(SOON)),
            (true, false) => {}
        }
        let removed = self.engine.remove_volume(&id).await.map_err(|error| chain(&error));
        let (outcome, at) = (removed.clone(), self.now());
        let noted = self.store.by(Actor::Harbor).change_volume(id, move |row, _| row.note_removal(outcome, at)).await;
        noted.map_err(|error| chain(&error))?;
        removed.map(|()| None)
    }
}
