//! Containers and volumes of this installation that its database does not know: listed by `harbor doctor`, removed by
//! `harbor prune --orphans` (design §3a). They may hold files of a user, so nothing else removes them.

use anyhow::bail;
use harbor_model::ids::VolumeId;
use harbor_reconcile::Orphan;
use harbor_runner::{DockerEngine, Engine};
use harbor_store::Store;

use crate::config::Config;
use crate::config::engine::engine_config;
use crate::secrets;

/// A way to look for orphans and to remove them, beside a harbor that runs or without one.
pub(crate) struct Orphans {
    store: Store,
    engine: DockerEngine,
}

impl Orphans {
    /// `None`: this installation has never been started, or its database is gone, so nothing can be told apart.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        let directories = config.directories();
        let (Some(instance), true) = (secrets::existing_instance(&directories), directories.database().exists()) else {
            return Ok(None);
        };
        let engine = engine_config(config, instance);
        let store = Store::open_read_only(&directories.database())?;
        if let Some(owner) = store.owner().await?.filter(|owner| *owner != instance) {
            bail!(
                "the database belongs to the installation {owner}, and this is {instance}: `harbor up` says what to do"
            );
        }
        Ok(Some(Self { store, engine: DockerEngine::connect(engine).await? }))
    }

    /// What the engine holds and the database does not know, those with files.
    pub(crate) async fn list(&self) -> anyhow::Result<Vec<Orphan>> {
        let all = harbor_reconcile::orphans(&self.store, &self.engine).await.map_err(anyhow::Error::msg)?;
        Ok(all.into_iter().filter(|orphan| orphan.files).collect())
    }

    /// The volumes that there are and that the database does not know.
    pub(crate) async fn volumes(&self) -> anyhow::Result<Vec<VolumeId>> {
        let mut there = self.engine.volumes()?;
        let known = self.store.volume_ids().await?;
        there.retain(|volume| !known.contains(volume));
        Ok(there)
    }

    /// Removes a volume, with all that is in it.
    pub(crate) async fn remove_volume(&self, volume: &VolumeId) -> anyhow::Result<()> {
        Ok(self.engine.remove_volume(volume).await?)
    }

    /// Removes one, files and all.
    pub(crate) async fn remove(&self, orphan: &Orphan) -> anyhow::Result<()> {
        Ok(Engine::remove(&self.engine, &orphan.sandbox).await?)
    }
}
